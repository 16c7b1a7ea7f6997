/*
 * upload_end.c - from the last stored pack to the published version.
 *
 *   recheck   (worker) walk again: has anything changed since it was read? Then another pass
 *   gate      somebody opens the data and says whether it is good; then the recheck once more
 *   root      (worker) root, signature, stamps and the journal's last record, in this order
 *   publish   the signature, the root if there is none, latest.json; the reservation is released
 *   finish    (worker) the stamps take their name, the journal goes
 *
 * An upload that dies after the root was put finds its version complete when it is started again.
 * If the root is the one that its journal names, and the directory is as it was, the upload is
 * done.
 */
#include <stdio.h>
#include <unistd.h>

#include "base/json.h"
#include "snapshot/upload_impl.h"
#include "sys/fs.h"

#define GATE_OUTPUT_MAX (64u * 1024u)

extern char **environ;

static void no_memory(bvi_snap_upload *u)
{
    bv_error *err = NULL;

    (void)bvi_fail_nomem(&err);
    bvi_snap_up_fail(u, err);
}

/* ---- finish ---- */

static const char *new_stamps(const bvi_snap_upload *u)
{
    return u->new_paths[(u->pass + 1) % 2];
}

static int step_finish(bvi_snap_upload *u, bv_error **err)
{
    bvi_auto_error bv_error *why = NULL;

    /* Without the stamps the next upload reads more, no worse. */
    if (u->plan && bvi_fs_rename(new_stamps(u), u->stamps_path, &why) < 0)
        bvi_log_warn(u->ctx, "snapshot", "the next upload reads every file: %s",
                     bv_error_message(why));
    for (size_t i = 0; i < BVI_COUNT(u->new_paths); i++)
        (void)bvi_fs_remove(u->new_paths[i], NULL); /* takes room, no more */
    return bvi_pack_journal_remove(u->journal, err);
}

static void finished(bvi_snap_upload *u)
{
    u->finished = true;
    u->report.now.bytes_done = u->report.now.bytes_total; /* holes at the ends of files included */
    if (u->plan)
        bvi_log_info(
            u->ctx, "snapshot",
            "version %llu of '%s': %llu files with %llu bytes, of which %llu were not read; "
            "%llu bytes sent",
            (unsigned long long)u->head.version, u->opts.store_key,
            (unsigned long long)bvi_plan_result(u->plan)->files,
            (unsigned long long)bvi_plan_result(u->plan)->bytes,
            (unsigned long long)bvi_plan_result(u->plan)->known_bytes,
            (unsigned long long)u->sent_bytes);
}

/* ---- publish ---- */

static void on_released(bvi_snap_upload *u, const bv_error *err, const bvi_store_reply *reply)
{
    (void)reply;
    if (err) /* it runs out by itself */
        bvi_log_warn(u->ctx, "snapshot", "the reservation of version %llu was not released: %s",
                     (unsigned long long)u->head.version, bv_error_message(err));
    bvi_snap_up_step(u, step_finish, finished);
}

static void release(bvi_snap_upload *u)
{
    bvi_snap_up_call(u,
                     &(bvi_store_request){ .verb = BVI_STORE_RELEASE,
                                           .store_key = u->opts.store_key,
                                           .version = u->head.version,
                                           .lease = u->head.lease },
                     on_released);
}

static void on_latest(bvi_snap_upload *u, const bv_error *err, const bvi_store_reply *reply)
{
    (void)reply;
    if (err) /* only a hint */
        bvi_log_warn(u->ctx, "snapshot", "latest.json of '%s' was not written: %s",
                     u->opts.store_key, bv_error_message(err));
    release(u);
}

/* The highest version is what counts; an upload that took longer than a later one is not it. */
static void put_latest(bvi_snap_upload *u)
{
    bvi_auto_free char *key = bvi_snap_latest_key(u->opts.store_key);

    if (u->versions.len > 0 && u->versions.items[u->versions.len - 1] > u->head.version) {
        release(u);
        return;
    }
    bvi_buf_clear(&u->sig_text);
    if (!key ||
        bvi_buf_printf(&u->sig_text, "{\"format\":\"blockvisor-snapshot\",\"version\":%llu}",
                       (unsigned long long)u->head.version) < 0) {
        no_memory(u);
        return;
    }
    bvi_snap_up_call(
        u,
        &(bvi_store_request){
            .verb = BVI_STORE_PUT, .key = key, .bytes = u->sig_text.data, .len = u->sig_text.len },
        on_latest);
}

/* ---- is what is there ours? ---- */

static void get_root(bvi_snap_upload *u, void (*next)(bvi_snap_upload *u, const bv_error *err,
                                                      const bvi_store_reply *reply))
{
    bvi_auto_free char *key = bvi_snap_root_key(u->opts.store_key, u->head.version);

    if (!key) {
        no_memory(u);
        return;
    }
    bvi_snap_up_call(
        u, &(bvi_store_request){ .verb = BVI_STORE_GET, .key = key, .max = BVI_SNAP_ROOT_MAX },
        next);
}

static bool is_our_root(const bvi_snap_upload *u, const bvi_store_reply *reply)
{
    bvi_hash256 hash;

    bvi_blake3_hash(reply->bytes, reply->len, hash.bytes);
    return bvi_hash256_equal(&hash, &u->head.root);
}

/* A root was there: after a lost answer it is the one that we put. */
static void on_existing_root(bvi_snap_upload *u, const bv_error *err, const bvi_store_reply *reply)
{
    bv_error *why = NULL;

    if (err) {
        bvi_snap_up_fail_copy(u, err, "cannot see what was published");
    } else if (is_our_root(u, reply)) {
        put_latest(u);
    } else {
        (void)bvi_fail(&why, BV_E_EXISTS, "version %llu of '%s' was published by somebody else",
                       (unsigned long long)u->head.version, u->opts.store_key);
        bvi_snap_up_fail(u, why);
    }
}

/* Which of the files was finished for this root? It becomes that of the last upload. */
static int adopt_stamps(bvi_snap_upload *u, bv_error **err)
{
    for (size_t i = 0; i < BVI_COUNT(u->new_paths); i++) {
        BVI_AUTO(bvi_stamps_reader_freep) bvi_stamps_reader *reader = NULL;
        bvi_stamps_head head;

        if (bvi_stamps_reader_new(u->new_paths[i], &head, &reader, NULL) < 0 ||
            head.version != u->head.version || !bvi_hash256_equal(&head.root, &u->head.root))
            continue;
        u->stamps = head;
        return bvi_fs_rename(u->new_paths[i], u->stamps_path, err);
    }
    return u->stamps.version == u->head.version
               ? 0
               : bvi_fail(err, BV_E_STATE, "what was uploaded is not known any more");
}

static int step_adopt(bvi_snap_upload *u, bv_error **err)
{
    const bvi_tree_walk_opts walk = bvi_snap_up_walk_opts(u);
    int r = adopt_stamps(u, err);

    return r < 0 ? r : bvi_plan_recheck(&walk, u->stamps_path, err);
}

static void adopted(bvi_snap_upload *u)
{
    u->report.now.data_version = u->head.version;
    u->keep_going = true;
    put_latest(u);
}

static void not_adopted(bvi_snap_upload *u, bv_error *err)
{
    const int code = bv_error_code(err);

    if (code == BV_E_NOMEM || code == BV_E_CANCELLED) {
        bvi_snap_up_fail(u, err);
        return;
    }
    bvi_log_info(u->ctx, "snapshot", "version %llu of '%s' was complete; a new one is made: %s",
                 (unsigned long long)u->head.version, u->opts.store_key, bv_error_message(err));
    bv_error_free(err);
    u->not_ours(u);
}

static void on_compared(bvi_snap_upload *u, const bv_error *err, const bvi_store_reply *reply)
{
    if (err) {
        bvi_snap_up_fail_copy(u, err, "cannot see what was published");
        return;
    }
    if (!is_our_root(u, reply)) {
        u->not_ours(u);
        return;
    }
    bvi_snap_up_step(u, step_adopt, adopted);
    u->step_failed = not_adopted;
}

void bvi_snap_up_end_compare(bvi_snap_upload *u, void (*not_ours)(bvi_snap_upload *u))
{
    u->not_ours = not_ours;
    get_root(u, on_compared);
}

/* ---- root and signature ---- */

static void on_root_put(bvi_snap_upload *u, const bv_error *err, const bvi_store_reply *reply)
{
    (void)reply;
    if (err && bv_error_code(err) == BV_E_EXISTS)
        get_root(u, on_existing_root);
    else if (err)
        bvi_snap_up_fail_copy(u, err, "the version was not published");
    else
        put_latest(u);
}

static void put_root(bvi_snap_upload *u)
{
    bvi_auto_free char *key = bvi_snap_root_key(u->opts.store_key, u->head.version);

    if (!key) {
        no_memory(u);
        return;
    }
    u->keep_going = true;
    bvi_snap_up_call(u,
                     &(bvi_store_request){ .verb = BVI_STORE_PUT,
                                           .key = key,
                                           .bytes = u->root_text.data,
                                           .len = u->root_text.len,
                                           .create_only = true },
                     on_root_put);
}

static void on_sig_put(bvi_snap_upload *u, const bv_error *err, const bvi_store_reply *reply)
{
    (void)reply;
    if (err)
        bvi_snap_up_fail_copy(u, err, "the signature was not stored");
    else
        put_root(u);
}

static void publish(bvi_snap_upload *u)
{
    bvi_auto_free char *key = bvi_snap_sig_key(u->opts.store_key, u->head.version);

    bvi_report_phase(&u->report, "publish");
    if (u->sig_text.len == 0) {
        put_root(u);
        return;
    }
    if (!key) {
        no_memory(u);
        return;
    }
    bvi_snap_up_call(
        u,
        &(bvi_store_request){
            .verb = BVI_STORE_PUT, .key = key, .bytes = u->sig_text.data, .len = u->sig_text.len },
        on_sig_put);
}

/* Pages have their places by now. The table is nobody else's while a step runs. */
static int fill_pages(bvi_snap_upload *u, bvi_snap_root *root, bv_error **err)
{
    for (size_t i = 0; i < u->refs.len; i++) {
        bvi_snap_page_ref *ref = bvi_vec_push(&root->pages);

        if (!ref)
            return bvi_fail_nomem(err);
        *ref = u->refs.items[i];
        if (!bvi_chunk_table_find(u->table, &u->refs.items[i].frame.hash, &ref->frame))
            return bvi_fail(err, BV_E_INTERNAL, "page %zu was not stored", i);
        root->stored_bytes += ref->frame.stored;
    }
    return 0;
}

static int fill_root(bvi_snap_upload *u, bvi_snap_root *root, bv_error **err)
{
    root->key = bvi_strdup(u->opts.store_key);
    if (!root->key)
        return bvi_fail_nomem(err);
    root->version = u->head.version;
    root->base = u->base_version;
    root->created_us = bvi_ctx_wall_us(u->ctx);
    root->plain_bytes = u->writer.plain_bytes;
    root->stored_bytes = u->writer.stored_bytes;
    root->sent_bytes = u->sent_bytes;
    root->entries = u->writer.entries;
    root->files = u->writer.files;
    root->chunks = u->writer.chunks;
    root->codec = u->opts.codec;
    root->level = u->opts.level;
    return fill_pages(u, root, err);
}

static int make_root(bvi_snap_upload *u, bv_error **err)
{
    bvi_snap_root root;
    int r;

    bvi_snap_root_init(&root);
    bvi_buf_clear(&u->root_text);
    bvi_buf_clear(&u->sig_text);
    r = fill_root(u, &root, err);
    if (r == 0)
        r = bvi_snap_root_print(&root, &u->root_text, err);
    bvi_snap_root_done(&root);
    if (r == 0 && u->opts.sign_key_file)
        r = bvi_snap_sign(u->root_text.data, u->root_text.len, u->opts.sign_key_file, &u->sig_text,
                          err);
    return r;
}

static int step_root(bvi_snap_upload *u, bv_error **err)
{
    bvi_stamps_head head = { .version = u->head.version };
    int r = make_root(u, err);

    if (r < 0)
        return r;
    bvi_blake3_hash(u->root_text.data, u->root_text.len, u->head.root.bytes);
    head.root = u->head.root;
    head.before_ns = (u->began_us - BVI_SNAP_TRUST_US) * 1000;
    (void)snprintf(head.key, sizeof(head.key), "%s", u->opts.store_key); /* was checked */
    r = bvi_stamps_finish(bvi_plan_stamps(u->plan), &head, err);
    if (r < 0)
        return r;
    u->head.publishing = true;
    return bvi_pack_journal_update(u->journal, &u->head, err);
}

/* ---- the gate ---- */

static int step_recheck(bvi_snap_upload *u, bv_error **err)
{
    const bvi_tree_walk_opts walk = bvi_snap_up_walk_opts(u);

    return bvi_plan_recheck(&walk, new_stamps(u), err);
}

static void recheck(bvi_snap_upload *u);

static void gate_ended(void *token, const bv_error *err)
{
    bvi_snap_upload *u = token;

    u->gate_busy = false;
    if (err) {
        bv_error *why = bvi_error_copy(err);
        const bool cancelled = bvi_snap_up_stopping(u);

        (void)bvi_wrap(&why, cancelled ? BV_E_CANCELLED : BV_E_STATE,
                       "the gate does not let version %llu of '%s' be published",
                       (unsigned long long)u->head.version, u->opts.store_key);
        u->give_back = !cancelled;
        bvi_snap_up_fail(u, why);
    } else if (!bvi_snap_up_stopping(u)) {
        u->gate_passed = true;
        recheck(u);
    }
    bvi_snap_up_settle(u);
}

static void on_gate_child(const bvi_child_result *result, void *data)
{
    bvi_snap_upload *u = data;
    bvi_auto_error bv_error *err = NULL;

    u->gate_child = NULL;
    if (result->wait_status != 0 || result->timed_out || result->cancelled) {
        bvi_auto_free char *what = bvi_child_describe(result);

        (void)bvi_fail(&err, BV_E_STATE, "'%s' %s", u->gate_argv.items[0], what ? what : "failed");
    }
    gate_ended(u, err);
}

static int gate_env(const bvi_snap_upload *u, bvi_strv *env, bv_error **err)
{
    char **end;
    int r = 0;

    for (char **at = environ; r == 0 && at && *at; at++)
        r = bvi_strv_add(env, *at);
    if (r == 0)
        r = bvi_strv_take(env, bvi_asprintf("BV_SNAPSHOT_DIR=%s", u->opts.source_dir));
    if (r == 0)
        r = bvi_strv_take(env, bvi_asprintf("BV_SNAPSHOT_KEY=%s", u->opts.store_key));
    if (r == 0)
        r = bvi_strv_take(
            env, bvi_asprintf("BV_SNAPSHOT_VERSION=%llu", (unsigned long long)u->head.version));
    end = r == 0 ? bvi_vec_push(env) : NULL; /* it ends with a NULL */
    return end ? 0 : bvi_fail_nomem(err);
}

static int start_gate_child(bvi_snap_upload *u, bv_error **err)
{
    BVI_AUTO(bvi_strv_done) bvi_strv env = BVI_VEC_INIT(4096);
    int r = gate_env(u, &env, err);

    if (r < 0)
        return r;
    return bvi_child_run(u->ctx,
                         &(bvi_child_opts){ .argv = (const char *const *)u->gate_argv.items,
                                            .env = (const char *const *)env.items,
                                            .max_output = GATE_OUTPUT_MAX,
                                            .timeout_us = u->opts.gate_timeout_us,
                                            .use_path = true },
                         on_gate_child, u, &u->gate_child, err);
}

static void run_gate(bvi_snap_upload *u)
{
    const bvi_snap_gate_info info = { .source_dir = u->opts.source_dir,
                                      .store_key = u->opts.store_key,
                                      .version = u->head.version,
                                      .base = u->base_version };
    bv_error *err = NULL;
    int r;

    bvi_report_phase(&u->report, "gate");
    u->gate_busy = true;
    r = u->opts.gate ? u->opts.gate(&info, gate_ended, u, u->opts.gate_data, &err)
                     : start_gate_child(u, &err);
    if (r < 0) {
        u->gate_busy = false;
        u->give_back = true;
        (void)bvi_wrap(&err, BV_E_STATE, "the gate could not be run");
        bvi_snap_up_fail(u, err);
    }
}

/* ---- the look back ---- */

/* A machine that slept may have lost its reservation, and with it packs that it counts on. Others
 * may see its end earlier by what clocks differ, and the root has yet to get there. */
static bool is_still_reserved(bvi_snap_upload *u)
{
    const int64_t age_us = bvi_ctx_wall_us(u->ctx) - u->renewed_us;
    bv_error *err = NULL;

    if (age_us < (BVI_STORE_LEASE_SECS - BVI_STORE_SKEW_SECS) * 1000000ll)
        return true;
    (void)bvi_fail(&err, BV_E_AGAIN,
                   "the reservation of version %llu ran out; start the upload again, which goes on "
                   "with what is stored",
                   (unsigned long long)u->head.version);
    bvi_snap_up_fail(u, err);
    return false;
}

static void rechecked(bvi_snap_upload *u)
{
    if ((u->opts.gate || u->gate_argv.len > 0) && !u->gate_passed)
        run_gate(u);
    else if (is_still_reserved(u))
        bvi_snap_up_step(u, step_root, publish);
}

static void recheck_failed(bvi_snap_upload *u, bv_error *err)
{
    if (bv_error_code(err) != BV_E_STATE || u->pass >= BVI_SNAP_PASSES_MAX || u->gate_passed) {
        bvi_snap_up_fail(u, err);
        return;
    }
    bvi_log_info(u->ctx, "snapshot", "what changed is read again: %s", bv_error_message(err));
    bv_error_free(err);
    bvi_snap_up_run_again(u);
}

static void recheck(bvi_snap_upload *u)
{
    bvi_snap_up_step(u, step_recheck, rechecked);
    u->step_failed = recheck_failed;
}

void bvi_snap_up_end(bvi_snap_upload *u)
{
    bvi_report_phase(&u->report, "verify");
    recheck(u);
}

void bvi_snap_up_end_stop(bvi_snap_upload *u)
{
    if (u->gate_child)
        bvi_child_cancel(u->gate_child);
    else if (u->gate_busy && u->opts.gate_cancel)
        u->opts.gate_cancel(u->opts.gate_data);
}

/* ---- giving up the version ---- */

static int step_given_back(bvi_snap_upload *u, bv_error **err)
{
    u->head.version = 0;
    return bvi_pack_journal_update(u->journal, &u->head, err);
}

static void given_back(bvi_snap_upload *u)
{
    (void)u; /* settling completes it */
}

static void not_given_back(bvi_snap_upload *u, bv_error *err)
{
    bvi_log_warn(u->ctx, "snapshot", "%s", bv_error_message(err));
    bv_error_free(err);
}

static void on_given_back(bvi_snap_upload *u, const bv_error *err, const bvi_store_reply *reply)
{
    (void)reply;
    if (err)
        bvi_log_warn(u->ctx, "snapshot", "the reservation of version %llu was not released: %s",
                     (unsigned long long)u->head.version, bv_error_message(err));
    bvi_snap_up_step(u, step_given_back, given_back);
    u->step_failed = not_given_back;
}

void bvi_snap_up_give_back(bvi_snap_upload *u)
{
    u->give_back = false;
    u->keep_going = true;
    bvi_snap_up_call(u,
                     &(bvi_store_request){ .verb = BVI_STORE_RELEASE,
                                           .store_key = u->opts.store_key,
                                           .version = u->head.version,
                                           .lease = u->head.lease },
                     on_given_back);
}
