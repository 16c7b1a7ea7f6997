/*
 * prune.c - see prune.h: what stays and what can be reached from it. Nothing is removed before all
 * of that is known.
 *
 * The order matters: first the mark, so that every upload that reserves from now on leaves its
 * base's packs alone; then the reservations, so that nothing is taken from those that did not see
 * the mark; then the versions, so that uploads that ended meanwhile are among them.
 */
#include <stdlib.h>
#include <string.h>

#include "snapshot/prune_impl.h"

/* ---- the end ---- */

static void prune_free(bvi_snap_prune *p)
{
    bvi_free(p->store_key);
    bvi_vec_done(&p->keep);
    bvi_vec_done(&p->removed);
    bv_error_free(p->err);
    bvi_buf_done(&p->mark);
    bvi_vec_done(&p->bases);
    bvi_vec_done(&p->versions);
    bvi_snap_manifest_free(p->manifest);
    bvi_hash_set_done(&p->pages);
    bvi_hash_set_done(&p->packs);
    bvi_free(p->prefix);
    bvi_free(p->after);
    bvi_strv_done(&p->doomed);
    bvi_free(p);
}

static void on_finish(bv_op *op, const bv_error *err, void *data)
{
    bvi_snap_prune *p = data;

    p->report.removed = p->removed.items;
    p->done(op, err, &p->report, p->data);
    prune_free(p);
}

static void complete(bvi_snap_prune *p)
{
    bvi_op_complete(p->op, bvi_take(p->err));
}

void bvi_prune_end(bvi_snap_prune *p, bv_error *err)
{
    if (!p->err)
        p->err = err;
    else
        bv_error_free(err);
    if (!p->err && bvi_op_is_cancelled(p->op))
        (void)bvi_fail(&p->err, BV_E_CANCELLED, "the prune was interrupted; it can be run again");
    if (p->err)
        (void)bvi_wrap(&p->err, bv_error_code(p->err), "cannot prune '%s'", p->store_key);
    bvi_prune_mark_remove(p, complete);
}

/* ---- asking the store ---- */

static void on_answer(const bv_error *why, const bvi_store_reply *reply, void *data)
{
    bvi_snap_prune *p = data;
    bv_error *err = NULL;

    if (bvi_op_is_cancelled(p->op)) {
        bvi_prune_end(p, NULL);
    } else if (bv_error_code(why) == BV_E_NOT_FOUND && p->missing) {
        p->missing(p);
    } else if (why) {
        err = bvi_error_copy(why);
        if (bv_error_code(why) == BV_E_EXISTS) /* a mark that was put since we looked */
            (void)bvi_wrap(&err, BV_E_BUSY, "another prune is under way");
        bvi_prune_end(p, err);
    } else {
        p->answer(p, reply);
    }
}

void bvi_prune_ask(bvi_snap_prune *p, const bvi_store_request *request, bvi_prune_answer_fn answer,
                   bvi_prune_step_fn missing)
{
    bv_error *err = NULL;

    p->answer = answer;
    p->missing = missing;
    if (bvi_store_call(p->store, request, on_answer, p, &err) < 0)
        bvi_prune_end(p, err);
}

/* ---- what can be reached ---- */

static void next_snapshot(bvi_snap_prune *p);
static void next_page(bvi_snap_prune *p);

static void fail_reach(bvi_snap_prune *p, const bv_error *why)
{
    bv_error *err = bvi_error_copy(why);

    (void)bvi_wrap(&err, bv_error_code(why),
                   "nothing is removed, as version %llu, which stays, cannot be read whole",
                   (unsigned long long)p->versions.items[p->at].number);
    bvi_prune_end(p, err);
}

/* A page's chunks mostly follow each other in few packs. */
static int reach_packs(bvi_snap_prune *p, const bvi_page *page, bv_error **err)
{
    bvi_snap_frame chunk = { 0 };
    bvi_hash256 last = { 0 };
    bvi_page_chunks it;
    int r = 0;

    bvi_page_chunks_init(&it, page);
    while (r >= 0 && bvi_page_chunks_next(&it, &chunk)) {
        if (!bvi_hash256_equal(&last, &chunk.pack))
            r = bvi_hash_set_add(&p->packs, &chunk.pack, err);
        last = chunk.pack;
    }
    return r;
}

static void on_page(const bv_error *why, bvi_page *page, void *data)
{
    bvi_snap_prune *p = data;
    bv_error *err = NULL;

    if (why) {
        fail_reach(p, why);
        return;
    }
    if (reach_packs(p, page, &err) < 0) {
        bvi_prune_end(p, err);
        return;
    }
    p->page++;
    if (bvi_op_is_cancelled(p->op))
        bvi_prune_end(p, NULL);
    else
        bvi_prune_mark_hold(p, next_page);
}

/* Pages that versions share are read once. */
static int is_new_page(bvi_snap_prune *p, const bvi_snap_frame *frame, bv_error **err)
{
    int r = bvi_hash_set_add(&p->packs, &frame->pack, err);

    return r < 0 ? r : bvi_hash_set_add(&p->pages, &frame->hash, err);
}

static void next_page(bvi_snap_prune *p)
{
    const bvi_snap_root *root = bvi_snap_manifest_root(p->manifest);
    bv_error *err = NULL;
    int r = 0;

    while (p->page < root->pages.len) {
        r = is_new_page(p, &root->pages.items[p->page].frame, &err);
        if (r != 0)
            break;
        p->page++;
    }
    if (r < 0) {
        bvi_prune_end(p, err);
        return;
    }
    bvi_op_report(p->op, &(bv_progress){ .phase = "versions",
                                         .done = p->at,
                                         .total = p->versions.len,
                                         .unit = "versions",
                                         .eta_ms = -1 });
    if (p->page < root->pages.len) {
        bvi_snap_manifest_page(p->manifest, p->page, on_page, p);
        return;
    }
    bvi_snap_manifest_free(bvi_take(p->manifest));
    p->at++;
    next_snapshot(p);
}

static void on_root(const bv_error *why, void *data)
{
    bvi_snap_prune *p = data;

    if (why) {
        fail_reach(p, why);
        return;
    }
    p->page = 0;
    next_page(p);
}

static void next_snapshot(bvi_snap_prune *p)
{
    bvi_snap_manifest_opts opts = { .store = p->store, .store_key = p->store_key };
    bv_error *err = NULL;

    while (p->at < p->versions.len &&
           !(p->versions.items[p->at].stays && p->versions.items[p->at].is_snapshot))
        p->at++;
    if (p->at == p->versions.len) {
        bvi_prune_sweep(p);
        return;
    }
    opts.version = p->versions.items[p->at].number;
    if (bvi_snap_manifest_new(p->ctx, &opts, &p->manifest, &err) < 0)
        bvi_prune_end(p, err);
    else
        bvi_snap_manifest_load(p->manifest, on_root, p);
}

/* ---- what stays ---- */

static bvi_prune_version *find_version(bvi_snap_prune *p, uint64_t number)
{
    for (size_t i = 0; i < p->versions.len; i++) {
        if (p->versions.items[i].number == number)
            return &p->versions.items[i];
    }
    return NULL;
}

static void decide(bvi_snap_prune *p)
{
    size_t n = p->versions.len;

    for (size_t i = 0; i < n; i++)
        p->versions.items[i].stays = p->keep_last == 0 || i + p->keep_last >= n;
    for (size_t i = 0; i < p->keep.len; i++) {
        bvi_prune_version *v = find_version(p, p->keep.items[i]);

        if (v)
            v->stays = true;
    }
    for (size_t i = 0; i < p->bases.len; i++) {
        bvi_prune_version *v = find_version(p, p->bases.items[i]);

        if (v && !v->stays) {
            v->stays = true;
            p->report.versions_reserved++;
        }
    }
    p->report.versions = n;
    p->at = 0;
    next_snapshot(p);
}

static int compare_versions(const void *a, const void *b)
{
    uint64_t x = ((const bvi_prune_version *)a)->number;
    uint64_t y = ((const bvi_prune_version *)b)->number;

    return (x > y) - (x < y);
}

static int add_version(bvi_snap_prune *p, uint64_t number, bool is_snapshot, bv_error **err)
{
    bvi_prune_version *slot = bvi_vec_push(&p->versions);

    if (!slot)
        return bvi_fail_nomem(err);
    *slot = (bvi_prune_version){ .number = number, .is_snapshot = is_snapshot };
    return 0;
}

static void take_versions(bvi_snap_prune *p, const bvi_store_reply *reply, bool is_snapshot,
                          bvi_prune_step_fn next)
{
    bv_error *err = NULL;
    int r = 0;

    for (size_t i = 0; r == 0 && i < reply->n_versions; i++)
        r = add_version(p, reply->versions[i], is_snapshot, &err);
    if (p->versions.len > 0)
        qsort(p->versions.items, p->versions.len, sizeof(*p->versions.items), compare_versions);
    if (r < 0)
        bvi_prune_end(p, err);
    else
        next(p);
}

static void on_snapshots(bvi_snap_prune *p, const bvi_store_reply *reply)
{
    take_versions(p, reply, true, decide);
}

static void ask_snapshots(bvi_snap_prune *p)
{
    bvi_prune_ask(p,
                  &(bvi_store_request){ .verb = BVI_STORE_VERSIONS,
                                        .store_key = p->store_key,
                                        .format = BVI_STORE_SNAPSHOT },
                  on_snapshots, decide);
}

static void on_archives(bvi_snap_prune *p, const bvi_store_reply *reply)
{
    take_versions(p, reply, false, ask_snapshots);
}

static void on_leases(bvi_snap_prune *p, const bvi_store_reply *reply)
{
    bv_error *err = NULL;

    p->oldest_us = INT64_MAX;
    p->report.uploads = reply->n_leases;
    for (size_t i = 0; !err && i < reply->n_leases; i++) {
        uint64_t *slot = bvi_vec_push(&p->bases);

        if (slot)
            *slot = reply->leases[i].base;
        else
            (void)bvi_fail_nomem(&err);
        if (reply->leases[i].started_us < p->oldest_us)
            p->oldest_us = reply->leases[i].started_us;
    }
    if (err)
        bvi_prune_end(p, err);
    else
        bvi_prune_ask(p,
                      &(bvi_store_request){ .verb = BVI_STORE_VERSIONS,
                                            .store_key = p->store_key,
                                            .format = BVI_STORE_ARCHIVE },
                      on_archives, ask_snapshots);
}

static void ask_leases(bvi_snap_prune *p)
{
    bvi_prune_ask(p, &(bvi_store_request){ .verb = BVI_STORE_LEASES, .store_key = p->store_key },
                  on_leases, NULL);
}

/* ---- the beginning ---- */

static int fill(bvi_snap_prune *p, const bvi_snap_prune_opts *opts, bv_error **err)
{
    int r = bvi_store_key_normalise(opts->store_key, &p->store_key, err);

    if (r == 0)
        r = bvi_id_new(p->id, err);
    for (size_t i = 0; r == 0 && i < opts->n_keep; i++) {
        uint64_t *slot = bvi_vec_push(&p->keep);

        if (slot)
            *slot = opts->keep[i];
        else
            r = bvi_fail(err, p->keep.len == p->keep.max ? BV_E_LIMIT : BV_E_NOMEM,
                         "cannot keep more than %u versions by name", BVI_PRUNE_KEEP_MAX);
    }
    return r;
}

static const bvi_op_vtable prune_vtable = {
    .name = "prune",
    .cancel = NULL,
    .finish = on_finish,
};

/* A misspelt key must not become one by a mark. */
static void on_is_there(bvi_snap_prune *p, const bvi_store_reply *reply)
{
    bv_error *err = NULL;

    if (reply->n_objects == 0) {
        (void)bvi_fail(&err, BV_E_NOT_FOUND, "the store has nothing below this key");
        bvi_prune_end(p, err);
    } else if (p->dry_run) {
        ask_leases(p);
    } else {
        bvi_prune_mark_put(p, ask_leases);
    }
}

static void begin(bvi_snap_prune *p)
{
    bvi_auto_free char *prefix = bvi_asprintf("%s/", p->store_key);
    bv_error *err = NULL;

    if (prefix) {
        bvi_prune_ask(p, &(bvi_store_request){ .verb = BVI_STORE_OBJECTS, .key = prefix, .max = 1 },
                      on_is_there, NULL);
        return;
    }
    (void)bvi_fail_nomem(&err);
    bvi_prune_end(p, err);
}

int bvi_snap_prune_start(bv_ctx *ctx, const bvi_snap_prune_opts *opts, bvi_snap_prune_fn done,
                         void *data, bv_op **ret_op, bv_error **err)
{
    bvi_snap_prune *p = bvi_new0(bvi_snap_prune);
    int r;

    if (!p)
        return bvi_fail_nomem(err);
    p->ctx = ctx;
    p->store = opts->store;
    p->keep_last = opts->keep_last;
    p->grace_secs = opts->grace_secs < 0 ? BVI_PRUNE_GRACE_SECS : opts->grace_secs;
    p->dry_run = opts->dry_run;
    p->done = done;
    p->data = data;
    p->started_us = p->marked_us = bvi_ctx_wall_us(ctx);
    p->keep.max = BVI_PRUNE_KEEP_MAX;
    p->removed.max = p->bases.max = BVI_STORE_VERSIONS_MAX;
    p->versions.max = 2 * BVI_STORE_VERSIONS_MAX;
    p->doomed.max = BVI_STORE_OBJECTS_MAX;
    r = fill(p, opts, err);
    if (r == 0)
        r = bvi_op_new(ctx, &prune_vtable, p, &p->op, err);
    if (r < 0) {
        prune_free(p);
        return r;
    }
    if (ret_op)
        *ret_op = bv_op_ref(p->op);
    begin(p);
    return 0;
}
