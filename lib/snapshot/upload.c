/*
 * upload.c - a snapshot upload from outside: its start, its end, and the two things its phases are
 * made of, a step on the worker and a request to the store, one of either at a time.
 *
 * A failure or a cancel stops everything under way and waits for it; packs that were stored by then
 * are in the journal, and the next start goes on with them.
 */
#include <string.h>

#include "snapshot/upload_impl.h"

static void upload_free(bvi_snap_upload *u)
{
    bvi_snap_up_run_free(u);
    bvi_snap_up_begin_free(u);
    bvi_store_try_done(&u->call);
    bvi_store_try_done(&u->renewal);
    bvi_strv_done(&u->exclude);
    bvi_strv_done(&u->protect);
    bvi_strv_done(&u->gate_argv);
    bvi_buf_done(&u->root_text);
    bvi_buf_done(&u->sig_text);
    bvi_free((char *)u->opts.store_key);
    bvi_free((char *)u->opts.source_dir);
    bvi_free((char *)u->opts.state_dir);
    bvi_free((char *)u->opts.sign_key_file);
    bv_error_free(u->step_err);
    bv_error_free(u->err);
    bvi_free(u);
}

/* ---- failing and completing ---- */

void bvi_snap_up_fail(bvi_snap_upload *u, bv_error *err)
{
    bool first = !bvi_snap_up_stopping(u);

    if (u->err)
        bv_error_free(err);
    else
        u->err = err;
    atomic_store(&u->stopping, true);
    if (!first)
        return;
    bvi_store_try_stop(&u->call);
    bvi_store_try_stop(&u->renewal);
    bvi_snap_up_begin_stop(u);
    bvi_snap_up_run_stop(u);
    bvi_snap_up_end_stop(u);
    u->opts.store->vtable->cancel(u->opts.store);
}

void bvi_snap_up_fail_copy(bvi_snap_upload *u, const bv_error *err, const char *what)
{
    bv_error *why = bvi_error_copy(err);

    (void)bvi_wrap(&why, bv_error_code(why), "%s", what);
    bvi_snap_up_fail(u, why);
}

static void on_cancel(bv_op *op, void *data)
{
    bvi_snap_upload *u = data;
    bv_error *err = NULL;

    (void)op;
    if (u->completed)
        return;
    (void)bvi_fail(&err, BV_E_CANCELLED, "upload interrupted");
    bvi_snap_up_fail(u, err);
    bvi_snap_up_settle(u);
}

static void on_finish(bv_op *op, const bv_error *err, void *data)
{
    bvi_snap_upload *u = data;

    u->done(op, err, &u->report.now, u->data);
    upload_free(u);
}

static const bvi_op_vtable upload_op = { .name = "snapshot upload",
                                         .cancel = on_cancel,
                                         .finish = on_finish };

static void complete(bvi_snap_upload *u)
{
    u->completed = true;
    bvi_timer_clear(u->renew_timer);
    bvi_claim_release(&u->claim);
    if (u->finished) /* also when somebody asked to stop meanwhile */
        bv_error_free(bvi_take(u->err));
    if (!u->err)
        bvi_report_phase(&u->report, "done");
    bvi_op_complete(u->op, bvi_take(u->err));
}

void bvi_snap_up_settle(bvi_snap_upload *u)
{
    if (u->completed)
        return;
    bvi_snap_up_pump(u);
    if (u->step_pending || u->call.busy || u->renewal.busy || u->gate_busy ||
        !bvi_snap_up_begin_idle(u) || !bvi_snap_up_run_idle(u))
        return;
    if (u->give_back)
        bvi_snap_up_give_back(u);
    else if (u->finished || bvi_snap_up_stopping(u))
        complete(u);
}

/* ---- steps on the worker ---- */

static void step_run(void *data)
{
    bvi_snap_upload *u = data;

    (void)u->step_run(u, &u->step_err); /* the error says it all */
}

static void step_done(void *data, bool cancelled)
{
    bvi_snap_upload *u = data;
    bv_error *err = bvi_take(u->step_err);

    u->step_pending = false;
    if (cancelled && !err)
        (void)bvi_fail(&err, BV_E_CANCELLED, "upload interrupted");
    if (err && u->step_failed && !bvi_snap_up_stopping(u))
        u->step_failed(u, err);
    else if (err)
        bvi_snap_up_fail(u, err);
    else if (!bvi_snap_up_stopping(u) || u->keep_going)
        u->step_next(u);
    bvi_snap_up_settle(u);
}

void bvi_snap_up_step(bvi_snap_upload *u, int (*run)(bvi_snap_upload *u, bv_error **err),
                      void (*next)(bvi_snap_upload *u))
{
    u->step_run = run;
    u->step_next = next;
    u->step_failed = NULL;
    u->step_pending = true;
    bvi_work_submit(&u->step);
}

/* ---- requests ---- */

static void on_call(const bv_error *err, const bvi_store_reply *reply, void *data)
{
    bvi_snap_upload *u = data;

    if (err || !bvi_snap_up_stopping(u) || u->keep_going)
        u->call_next(u, err, reply);
    bvi_snap_up_settle(u);
}

void bvi_snap_up_call(bvi_snap_upload *u, const bvi_store_request *request,
                      void (*next)(bvi_snap_upload *u, const bv_error *err,
                                   const bvi_store_reply *reply))
{
    u->call_next = next;
    bvi_store_try_start(&u->call, request, on_call, u);
}

bvi_tree_walk_opts bvi_snap_up_walk_opts(const bvi_snap_upload *u)
{
    return (bvi_tree_walk_opts){
        .dir_fd = u->source_fd,
        .exclude = u->opts.exclude,
        .protect = u->opts.protect,
        .skip_dir = u->opts.state_dir,
        .xattrs = u->opts.xattrs,
        .no_owners = u->opts.no_owners,
        .stopping = &u->stopping,
    };
}

/* ---- start ---- */

static int copy_text(const char **field, bv_error **err)
{
    const char *text = *field;

    *field = bvi_strdup(text);
    return text && !*field ? bvi_fail_nomem(err) : 0;
}

/* The list gets a NULL at its end, as its reader expects; `more` is a last item, or NULL. */
static int copy_list(bvi_strv *list, const char *const *from, const char *more, bv_error **err)
{
    char **end;
    int r = 0;

    for (; r == 0 && from && *from; from++)
        r = bvi_strv_add(list, *from);
    if (r == 0 && more)
        r = bvi_strv_add(list, more);
    if (r < 0)
        return r == BV_E_LIMIT ? bvi_fail(err, r, "more than %zu items in a list", list->max)
                               : bvi_fail_nomem(err);
    end = bvi_vec_push(list);
    return end ? 0 : bvi_fail_nomem(err);
}

static int copy_lists(bvi_snap_upload *u, const bvi_snap_upload_opts *opts, bv_error **err)
{
    int r = copy_list(&u->exclude, opts->exclude, NULL, err);

    if (r == 0)
        r = copy_list(&u->protect, opts->protect, NULL, err);
    if (r == 0 && opts->gate_argv)
        r = copy_list(&u->gate_argv, opts->gate_argv, opts->source_dir, err);
    u->opts.exclude = (const char *const *)u->exclude.items;
    u->opts.protect = (const char *const *)u->protect.items;
    u->opts.gate_argv = (const char *const *)u->gate_argv.items;
    return r;
}

static int copy_opts(bvi_snap_upload *u, const bvi_snap_upload_opts *opts, bv_error **err)
{
    const char **const texts[] = { &u->opts.source_dir, &u->opts.state_dir,
                                   &u->opts.sign_key_file };
    char *key = NULL;
    int r;

    u->opts = *opts;
    u->opts.exclude = u->opts.protect = u->opts.gate_argv = NULL;
    u->opts.store_key = NULL;
    if (!u->opts.max_connections)
        u->opts.max_connections = BV_TRANSFER_CONNECTIONS_DEFAULT;
    r = bvi_store_key_normalise(opts->store_key, &key, err);
    u->opts.store_key = key;
    /* Each of them is replaced by its copy or NULL, so that upload_free() is right in any case. */
    for (size_t i = 0; i < BVI_COUNT(texts); i++) {
        int got = copy_text(texts[i], r == 0 ? err : NULL);

        r = r < 0 ? r : got;
    }
    return r < 0 ? r : copy_lists(u, opts, err);
}

static bvi_snap_upload *make_upload(bv_ctx *ctx)
{
    bvi_snap_upload *u = bvi_new0(bvi_snap_upload);

    if (!u)
        return NULL;
    u->ctx = ctx;
    u->source_fd = u->lock_fd = -1;
    u->exclude.max = u->protect.max = BVI_TREE_PATTERNS_MAX + 1;
    u->gate_argv.max = BVI_SNAP_GATE_ARGS;
    bvi_snap_root_init(&u->base);
    bvi_page_cache_init(&u->base_pages);
    bvi_page_cache_init(&u->pages);
    bvi_buf_init(&u->root_text, BVI_SNAP_ROOT_MAX);
    bvi_buf_init(&u->sig_text, BVI_SNAP_ROOT_MAX);
    atomic_init(&u->stopping, false);
    bvi_work_init(&u->step, ctx, step_run, step_done, u);
    bvi_task_init(&u->join_again, ctx, NULL, u);
    return u;
}

int bvi_snap_upload_start(bv_ctx *ctx, const bvi_snap_upload_opts *opts, bv_transfer_done_fn done,
                          void *data, bv_op **ret_op, bv_error **err)
{
    bvi_snap_upload *u;
    int r;

    if (!opts->store || !opts->store_key || !opts->source_dir || !opts->state_dir)
        return bvi_fail(err, BV_E_INVALID,
                        "an upload needs a source directory, a state directory, a store and a key");
    u = make_upload(ctx);
    if (!u)
        return bvi_fail_nomem(err);
    u->done = done;
    u->data = data;
    u->began_us = bvi_ctx_wall_us(ctx);
    r = copy_opts(u, opts, err);
    if (r == 0)
        r = bvi_store_try_init(&u->call, ctx, u->opts.store, &u->report.now.retries, err);
    if (r == 0)
        r = bvi_store_try_init(&u->renewal, ctx, u->opts.store, NULL, err);
    if (r == 0)
        r = bvi_snap_up_begin_init(u, err);
    if (r == 0)
        r = bvi_op_new(ctx, &upload_op, u, &u->op, err);
    if (r < 0) {
        upload_free(u);
        return r;
    }
    bvi_report_init(&u->report, ctx, u->op, opts->status, data);
    *ret_op = bv_op_ref(u->op);
    bvi_snap_up_begin(u);
    return 0;
}
