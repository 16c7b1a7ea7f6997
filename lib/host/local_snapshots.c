/*
 * local_snapshots.c - snapshots of the local host's store: listing, fetching into a directory,
 * verifying.
 */
#include <string.h>

#include <blockvisor/transfer.h>

#include "host/local.h"
#include "node/snapshots.h"
#include "sys/fs.h"

/* Enough to see whether a directory is empty. */
#define LOOK_ENTRIES 1u

struct bvi_local_transfer {
    bvi_local *local;
    char *key;
    bvi_reply *reply;
    bv_op *op;
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
        bvi_json_put_uint64(root, "total_bytes", status->bytes_total) < 0 ||
        bvi_json_put_uint64(root, "stored_bytes", status->stored_done) < 0 ||
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

/* Their callbacks still come, from the context; by then the host is gone. */
void bvi_local_end_transfers(bvi_local *local)
{
    for (size_t i = 0; i < local->transfers.len; i++) {
        local->transfers.items[i]->local = NULL;
        bv_op_cancel(local->transfers.items[i]->op);
    }
    bvi_vec_done(&local->transfers);
}
