/*
 * local_snapshots.c - snapshots of the local host's store: listing, fetching into a directory,
 * verifying, comparing, pruning.
 */
#include <string.h>

#include <blockvisor/snapshot.h>

#include "host/local.h"
#include "node/snapshots.h"
#include "sys/fs.h"

/* A reply has an end; differences beyond are counted. */
#define DIFFERENCES_MAX 10000u
/* Versions that a prune is told to keep. */
#define KEEP_VERSIONS_MAX 64u
/* Enough to see whether a directory is empty. */
#define LOOK_ENTRIES 1u

struct bvi_local_transfer {
    bvi_local *local;
    char *key;
    bvi_reply *reply;
    bv_op *op;
    /* of a comparison */
    bvi_json *differences;
    uint64_t old_version;
    uint64_t version;
    uint64_t changes;
    uint64_t changed_bytes;
};

static void transfer_free(bvi_local_transfer *t)
{
    bvi_local *local = t->local;

    for (size_t i = 0; local && i < local->transfers.len; i++) {
        if (local->transfers.items[i] == t) {
            bvi_vec_remove(&local->transfers, i);
            break;
        }
    }
    bv_op_unref(t->op);
    bvi_json_free(t->differences);
    bvi_free(t->key);
    bvi_free(t);
}

static void on_cancel(void *data)
{
    bvi_local_transfer *t = data;

    bv_op_cancel(t->op);
}

/* NULL with an error: no memory, or too many at once. */
static bvi_local_transfer *transfer_new(bvi_local *local, const char *key, bvi_reply *reply,
                                        bv_error **err)
{
    bvi_local_transfer *t = bvi_new0(bvi_local_transfer);
    bvi_local_transfer **slot = NULL;

    local->transfers.max = BVI_LOCAL_TRANSFERS_MAX;
    if (t)
        t->key = bvi_strdup(key);
    if (t && t->key)
        slot = bvi_vec_push(&local->transfers);
    if (!slot && local->transfers.len < BVI_LOCAL_TRANSFERS_MAX)
        (void)bvi_fail_nomem(err); /* the caller looks at the error */
    else if (!slot)
        (void)bvi_fail(err, BV_E_BUSY, "%u transfers are under way; try again later",
                       BVI_LOCAL_TRANSFERS_MAX);
    if (!slot) {
        if (t)
            bvi_free(t->key);
        bvi_free(t);
        return NULL;
    }
    *slot = t;
    t->local = local;
    t->reply = reply;
    return t;
}

/* Owns err. */
static void transfer_failed(bvi_local_transfer *t, bvi_reply *reply, bv_error *err)
{
    if (t)
        transfer_free(t);
    bvi_reply_fail(reply, err);
}

static void on_status(bv_op *op, const bv_transfer_status *status, void *data)
{
    bvi_local_transfer *t = data;
    const bv_progress progress = { .size = sizeof(progress),
                                   .phase = status->phase,
                                   .done = status->bytes_done,
                                   .total = status->bytes_total,
                                   .unit = "bytes",
                                   .bytes_per_s = status->bytes_per_s,
                                   .eta_ms = status->eta_ms };

    bvi_reply_progress(t->reply, &progress);
}

static bvi_json *summary(const bvi_local_transfer *t, const bv_transfer_status *status)
{
    bvi_auto_json bvi_json *root = bvi_json_new_object();

    if (!root || bvi_json_put_string(root, "key", t->key) < 0 ||
        bvi_json_put_uint64(root, "version", status->data_version) < 0 ||
        bvi_json_put_string(root, "format",
                            status->format == BV_FORMAT_SNAPSHOT ? "snapshot" : "archive") < 0 ||
        bvi_json_put_uint64(root, "total_bytes", status->bytes_total) < 0 ||
        bvi_json_put_uint64(root, "stored_bytes", status->stored_done) < 0 ||
        bvi_json_put_uint64(root, "reused_bytes", status->reused_bytes) < 0 ||
        bvi_json_put_uint64(root, "chunks", status->chunks_total) < 0 ||
        bvi_json_put_uint64(root, "resumed_chunks", status->resumed_chunks) < 0 ||
        bvi_json_put_uint64(root, "files", status->files) < 0 ||
        bvi_json_put_uint64(root, "retries", status->retries) < 0 ||
        bvi_json_put_bool(root, "ok", true) < 0)
        return NULL;
    return bvi_take(root);
}

static void on_done(bv_op *op, const bv_error *err, const bv_transfer_status *status, void *data)
{
    bvi_local_transfer *t = data;
    bvi_reply *reply = t->reply;

    if (t->local)
        t->local->transfer_retries += status->retries;
    if (err) {
        bv_error *copy = bvi_error_copy(err);

        (void)bvi_wrap(&copy, bv_error_code(err), "snapshot '%s'", t->key); /* the code stays */
        transfer_failed(t, reply, copy);
        return;
    }
    if (t->local)
        bvi_events_add(t->local->events, "snapshot_checked", NULL, NULL, "snapshot %s version %llu",
                       t->key, (unsigned long long)status->data_version);
    bvi_reply_ok(reply, summary(t, status));
    transfer_free(t);
}

void bvi_local_snapshot_list(bvi_local *local, const bvi_json *args, bvi_reply *reply)
{
    bvi_snapshots_list(local->snapshots, bvi_json_string(bvi_json_find(args, "key")), reply);
}

/* A directory with something in it that no interrupted download explains is not written to. */
static int check_destination(const char *dir, bv_error **err)
{
    bvi_auto_free char *state = bvi_asprintf("%s.transfer", dir);
    bvi_strv names = BVI_VEC_INIT(LOOK_ENTRIES);
    int r;

    if (!state)
        return bvi_fail_nomem(err);
    if (!bvi_fs_exists(dir) || bvi_fs_exists(state))
        return 0;
    r = bvi_fs_list(dir, &names, NULL);
    r = r == 0 && names.len == 0 ? 0
                                 : bvi_fail(err, BV_E_STATE, "'%s' is not an empty directory", dir);
    bvi_strv_done(&names);
    return r;
}

void bvi_local_snapshot_download(bvi_local *local, const bvi_json *args, bvi_reply *reply)
{
    const char *key = bvi_json_string(bvi_json_find(args, "key"));
    const char *dir = bvi_json_string(bvi_json_find(args, "dest_dir"));
    bv_download_opts opts = BV_DOWNLOAD_OPTS_INIT;
    bvi_local_transfer *t = NULL;
    bv_error *err = NULL;
    int r = dir[0] == '/' ? check_destination(dir, &err)
                          : bvi_fail(&err, BV_E_INVALID, "'%s' must be an absolute path", dir);

    if (r == 0)
        r = bvi_json_opt_uint64(args, "version", &opts.data_version, &err);
    if (r == 0)
        t = transfer_new(local, key, reply, &err);
    if (!t) {
        bvi_reply_fail(reply, err);
        return;
    }
    opts.store = local->store_uri;
    opts.key = key;
    opts.dest_dir = dir;
    opts.status = on_status;
    opts.data = t;
    if (bv_download_start(local->base.ctx, &opts, on_done, &t->op, &err) < 0)
        transfer_failed(t, reply, err);
    else
        bvi_reply_on_cancel(reply, on_cancel, t);
}

void bvi_local_snapshot_verify(bvi_local *local, const bvi_json *args, bvi_reply *reply)
{
    const char *key = bvi_json_string(bvi_json_find(args, "key"));
    bv_verify_opts opts = BV_VERIFY_OPTS_INIT;
    bvi_local_transfer *t = NULL;
    bv_error *err = NULL;

    if (bvi_json_opt_uint64(args, "version", &opts.data_version, &err) == 0)
        t = transfer_new(local, key, reply, &err);
    if (!t) {
        bvi_reply_fail(reply, err);
        return;
    }
    opts.store = local->store_uri;
    opts.key = key;
    opts.status = on_status;
    opts.data = t;
    if (bv_snapshot_verify_start(local->base.ctx, &opts, on_done, &t->op, &err) < 0)
        transfer_failed(t, reply, err);
    else
        bvi_reply_on_cancel(reply, on_cancel, t);
}

/* ---- diff ---- */

static const char *const changes[] = {
    [BV_CHANGE_ADDED] = "added",
    [BV_CHANGE_REMOVED] = "removed",
    [BV_CHANGE_CHANGED] = "changed",
    [BV_CHANGE_TOUCHED] = "touched",
};

static const char *const kinds[] = {
    [BV_ENTRY_DIRECTORY] = "directory",
    [BV_ENTRY_FILE] = "file",
    [BV_ENTRY_SYMLINK] = "symlink",
    [BV_ENTRY_HARDLINK] = "hardlink",
};

static int add_difference(bvi_json *list, const bv_snapshot_change *d)
{
    bvi_auto_json bvi_json *item = bvi_json_new_object();

    if (!item || bvi_json_put_string(item, "path", d->path) < 0 ||
        bvi_json_put_string(item, "change", changes[d->change]) < 0 ||
        bvi_json_put_string(item, "kind", kinds[d->kind]) < 0 ||
        bvi_json_put_uint64(item, "bytes", d->bytes) < 0 ||
        bvi_json_put_uint64(item, "changed_bytes", d->changed_bytes) < 0)
        return BV_E_NOMEM;
    return bvi_json_add(list, bvi_take(item));
}

static int on_change(bv_op *op, const bv_snapshot_change *change, void *data)
{
    bvi_local_transfer *t = data;

    if (change->change != BV_CHANGE_REMOVED)
        t->changed_bytes += change->changed_bytes;
    return t->changes++ < DIFFERENCES_MAX ? add_difference(t->differences, change) : 0;
}

static bvi_json *diff_json(bvi_local_transfer *t)
{
    bvi_auto_json bvi_json *root = bvi_json_new_object();

    if (!root || bvi_json_put_string(root, "key", t->key) < 0 ||
        bvi_json_put_uint64(root, "old_version", t->old_version) < 0 ||
        bvi_json_put_uint64(root, "version", t->version) < 0 ||
        bvi_json_put(root, "differences", bvi_take(t->differences)) < 0 ||
        bvi_json_put_uint64(root, "changes", t->changes) < 0 ||
        bvi_json_put_uint64(root, "changed_bytes", t->changed_bytes) < 0)
        return NULL;
    return bvi_take(root);
}

static void on_diff_done(bv_op *op, const bv_error *err, void *data)
{
    bvi_local_transfer *t = data;

    if (err) {
        transfer_failed(t, t->reply, bvi_error_copy(err));
        return;
    }
    bvi_reply_ok(t->reply, diff_json(t));
    transfer_free(t);
}

void bvi_local_snapshot_diff(bvi_local *local, const bvi_json *args, bvi_reply *reply)
{
    const char *key = bvi_json_string(bvi_json_find(args, "key"));
    bv_store_opts opts = BV_STORE_OPTS_INIT;
    bvi_local_transfer *t = NULL;
    uint64_t old_version = 0;
    bv_error *err = NULL;

    if (bvi_json_opt_uint64(args, "version", &opts.data_version, &err) == 0 &&
        bvi_json_opt_uint64(args, "old_version", &old_version, &err) == 0)
        t = transfer_new(local, key, reply, &err);
    if (!t) {
        bvi_reply_fail(reply, err);
        return;
    }
    opts.store = local->store_uri;
    opts.key = key;
    t->old_version = old_version;
    t->version = opts.data_version;
    t->differences = bvi_json_new_array();
    if (!t->differences)
        (void)bvi_fail_nomem(&err); /* told by err */
    if (err || bv_store_diff_start(local->base.ctx, &opts, old_version, on_change, on_diff_done, t,
                                   &t->op, &err) < 0)
        transfer_failed(t, reply, err);
    else
        bvi_reply_on_cancel(reply, on_cancel, t);
}

/* ---- prune ---- */

static void on_pruned(bv_op *op, const bv_doc *doc, const bv_error *err, void *data)
{
    bvi_local_transfer *t = data;

    if (err) {
        transfer_failed(t, t->reply, bvi_error_copy(err));
        return;
    }
    if (t->local && !bv_doc_is_true(bv_doc_get(doc, "dry_run")))
        bvi_events_add(t->local->events, "snapshots_pruned", NULL, NULL,
                       "%lld versions of snapshot %s are gone",
                       (long long)bv_doc_int64(bv_doc_get(doc, "versions_removed"), 0), t->key);
    bvi_reply_ok(t->reply, bvi_json_copy((const bvi_json *)doc));
    transfer_free(t);
}

static int read_keep(const bvi_json *args, uint64_t *versions, size_t max, size_t *ret_count,
                     bv_error **err)
{
    size_t count = 0;

    bvi_json_each(item, bvi_json_find(args, "keep_versions")) {
        if (count == max || bvi_json_uint64(item, &versions[count]) < 0)
            return bvi_fail(err, BV_E_INVALID, "'keep_versions' has at most %zu whole numbers",
                            max);
        count++;
    }
    *ret_count = count;
    return 0;
}

static int read_prune(const bvi_json *args, bv_prune_opts *ret_opts, bv_error **err)
{
    uint64_t keep = 0, grace = BV_PRUNE_GRACE_SECS_DEFAULT;
    int r = bvi_json_opt_uint64(args, "keep", &keep, err);

    if (r == 0)
        r = bvi_json_opt_uint64(args, "grace_secs", &grace, err);
    if (r == 0 && (keep == 0 || keep > UINT32_MAX || grace > INT32_MAX))
        r = bvi_fail(err, BV_E_INVALID, "'keep' is at least 1, and 'grace_secs' below 2^31");
    ret_opts->keep_last = (uint32_t)keep;
    ret_opts->grace_secs = grace ? (int64_t)grace : -1;
    ret_opts->dry_run = bvi_json_is_true(bvi_json_find(args, "dry_run"));
    return r;
}

void bvi_local_snapshot_prune(bvi_local *local, const bvi_json *args, bvi_reply *reply)
{
    const char *key = bvi_json_string(bvi_json_find(args, "key"));
    bv_store_opts opts = BV_STORE_OPTS_INIT;
    bv_prune_opts prune = BV_PRUNE_OPTS_INIT;
    uint64_t versions[KEEP_VERSIONS_MAX];
    bvi_local_transfer *t = NULL;
    bv_error *err = NULL;

    if (read_prune(args, &prune, &err) == 0 &&
        read_keep(args, versions, KEEP_VERSIONS_MAX, &prune.keep_count, &err) == 0)
        t = transfer_new(local, key, reply, &err);
    if (!t) {
        bvi_reply_fail(reply, err);
        return;
    }
    prune.keep = versions;
    opts.store = local->store_uri;
    opts.key = key;
    if (bv_store_prune_start(local->base.ctx, &opts, &prune, on_pruned, t, &t->op, &err) < 0)
        transfer_failed(t, reply, err);
    else
        bvi_reply_on_cancel(reply, on_cancel, t);
}

/* Their callbacks still come, from the context; by then the host is gone. */
void bvi_local_end_transfers(bvi_local *local)
{
    for (size_t i = 0; i < local->transfers.len; i++) {
        local->transfers.items[i]->local = NULL;
        bv_op_cancel(local->transfers.items[i]->op);
    }
    bvi_vec_done(&local->transfers);
}
