/*
 * transfer_start.c - a public transfer's options in the words of the engine that carries it out.
 */
#include <stddef.h>

#include "base/protect.h"
#include "snapshot/download.h"
#include "snapshot/transfer_impl.h"
#include "snapshot/upload.h"
#include "transfer/archive.h"

/* ---- archives: what they cannot do is refused ---- */

/* An option that only snapshots have, and why. */
typedef struct only {
    size_t offset;
    bool is_flag; /* otherwise a pointer */
    const char *says;
} only;

static const only only_download[] = {
    { offsetof(bv_download_opts, mirrors), false, "has no mirrors" },
    { offsetof(bv_download_opts, include), false, "is fetched whole" },
    { offsetof(bv_download_opts, protect), false, "has no protected paths" },
    { offsetof(bv_download_opts, seeds), false, "cannot be fetched from other directories" },
    { offsetof(bv_download_opts, verify_key_file), false, "is not signed" },
    { offsetof(bv_download_opts, delete_extra), true, "does not say what else may be there" },
    { offsetof(bv_download_opts, recheck), true, "cannot be mended in place" },
};

static const only only_upload[] = {
    { offsetof(bv_upload_opts, protect), false, "has no protected paths; exclude them" },
    { offsetof(bv_upload_opts, sign_key_file), false, "cannot be signed" },
    { offsetof(bv_upload_opts, gate), false, "has no gate" },
    { offsetof(bv_upload_opts, xattrs), true, "has no extended attributes" },
};

static const only only_verify[] = {
    { offsetof(bv_verify_opts, mirrors), false, "has no mirrors" },
    { offsetof(bv_verify_opts, protect), false, "has no protected paths" },
    { offsetof(bv_verify_opts, verify_key_file), false, "is not signed" },
};

static bool is_set(const void *opts, const only *option)
{
    const char *at = (const char *)opts + option->offset;

    return option->is_flag ? *(const int32_t *)(const void *)at != 0
                           : *(const void *const *)(const void *)at != NULL;
}

static int refuse(const void *opts, const only *options, size_t count, bv_error **err)
{
    for (size_t i = 0; i < count; i++) {
        if (is_set(opts, &options[i]))
            return bvi_fail(err, BV_E_UNSUPPORTED, "an archive %s: this needs a snapshot",
                            options[i].says);
    }
    return 0;
}

/* ---- snapshots ---- */

/* The built-in patterns and these, with a NULL behind them as engines want them. */
static int protected_paths(const char *const *more, bvi_strv *ret_paths, bv_error **err)
{
    char **end;
    int r = bvi_protect_begin(ret_paths, err);

    for (; r == 0 && more && *more; more++)
        r = bvi_protect_add(ret_paths, *more, err);
    if (r < 0)
        return r;
    ret_paths->max++;
    end = bvi_vec_push(ret_paths);
    if (!end)
        return bvi_fail_nomem(err);
    *end = NULL;
    return 0;
}

/* ---- downloads ---- */

static int archive_download(bvi_transfer *t, bv_error **err)
{
    bv_download_opts opts = t->opts.download;
    int r = refuse(&opts, only_download, BVI_COUNT(only_download), err);

    if (r < 0)
        return r;
    opts.status = bvi_transfer_on_status;
    opts.data = t;
    return bvi_archive_download(t->ctx, bvi_take(t->store), &opts, bvi_transfer_on_done, &t->engine,
                                err);
}

/* More connections than runners would be idle ones. */
static uint32_t runners_of(const bv_download_opts *o)
{
    return o->max_runners || o->max_connections <= BVI_SNAP_RUNNERS_DEFAULT ? o->max_runners
                                                                            : o->max_connections;
}

static int snapshot_download(bvi_transfer *t, bv_error **err)
{
    const bv_download_opts *o = &t->opts.download;
    BVI_AUTO(bvi_strv_done) bvi_strv paths = BVI_VEC_INIT(0);
    bvi_snap_download_opts opts = {
        .store = t->store,
        .store_key = o->key,
        .version = t->version,
        .mode = BVI_SNAP_RESTORE,
        .dest_dir = o->dest_dir,
        .state_dir = t->state_dir,
        .include = o->include,
        .seeds = o->seeds,
        .verify_key_file = o->verify_key_file,
        .delete_extra = o->delete_extra != 0,
        .owners = o->no_owner == 0,
        .xattrs = o->xattrs != 0,
        .recheck = o->recheck != 0,
        .space_wait_secs = o->space_wait_secs,
        .max_runners = runners_of(o),
        .memory_mib = o->memory_mib,
        .status = bvi_transfer_on_status,
    };
    int r = protected_paths(o->protect, &paths, err);

    if (r < 0)
        return r;
    opts.protect = (const char *const *)paths.items;
    return bvi_snap_download_start(t->ctx, &opts, bvi_transfer_on_done, t, &t->engine, err);
}

const bvi_transfer_kind bvi_transfer_download = { "download", archive_download, snapshot_download };

/* ---- uploads ---- */

static int archive_upload(bvi_transfer *t, bv_error **err)
{
    bv_upload_opts opts = t->opts.upload;
    int r = refuse(&opts, only_upload, BVI_COUNT(only_upload), err);

    if (r == 0 && opts.codec == BV_CODEC_LZ4)
        r = bvi_fail(err, BV_E_UNSUPPORTED, "an archive knows no lz4: this needs a snapshot");
    if (r < 0)
        return r;
    opts.status = bvi_transfer_on_status;
    opts.data = t;
    return bvi_archive_upload(t->ctx, bvi_take(t->store), &opts, bvi_transfer_on_done, &t->engine,
                              err);
}

static bvi_snap_codec codec_of(const bv_upload_opts *o)
{
    if (o->stored || o->codec == BV_CODEC_STORED)
        return BVI_SNAP_STORED;
    return o->codec == BV_CODEC_LZ4 ? BVI_SNAP_LZ4 : BVI_SNAP_ZSTD;
}

static int snapshot_upload(bvi_transfer *t, bv_error **err)
{
    const bv_upload_opts *o = &t->opts.upload;
    BVI_AUTO(bvi_strv_done) bvi_strv paths = BVI_VEC_INIT(0);
    bvi_snap_codec codec = codec_of(o);
    bvi_snap_upload_opts opts = {
        .store = t->store,
        .store_key = o->key,
        .source_dir = o->source_dir,
        .state_dir = t->state_dir,
        .exclude = o->exclude,
        .codec = codec,
        .level = o->zstd_level || codec != BVI_SNAP_ZSTD ? o->zstd_level
                                                         : BV_TRANSFER_ZSTD_LEVEL_DEFAULT,
        .data_version = o->data_version,
        .max_runners = o->max_runners,
        .max_connections = o->max_connections,
        .memory_mib = o->memory_mib,
        .bytes_per_s = o->bytes_per_s,
        .xattrs = o->xattrs != 0,
        .no_owners = o->no_owner != 0,
        .rehash = o->rehash != 0,
        .sign_key_file = o->sign_key_file,
        .gate_argv = o->gate,
        .status = bvi_transfer_on_status,
    };
    int r = protected_paths(o->protect, &paths, err);

    if (r < 0)
        return r;
    opts.protect = (const char *const *)paths.items;
    return bvi_snap_upload_start(t->ctx, &opts, bvi_transfer_on_done, t, &t->engine, err);
}

const bvi_transfer_kind bvi_transfer_upload = { "upload", archive_upload, snapshot_upload };

/* ---- verifications ---- */

static int archive_verify(bvi_transfer *t, bv_error **err)
{
    bv_verify_opts opts = t->opts.verify;
    int r = refuse(&opts, only_verify, BVI_COUNT(only_verify), err);

    if (r < 0)
        return r;
    opts.status = bvi_transfer_on_status;
    opts.data = t;
    return bvi_archive_verify(t->ctx, bvi_take(t->store), &opts, bvi_transfer_on_done, &t->engine,
                              err);
}

static void on_differs(const char *path, uint64_t pos, uint64_t len, void *data)
{
    bvi_transfer *t = data;

    t->opts.verify.differs(t->op ? t->op : t->engine, path, pos, len, t->data);
}

static int snapshot_verify(bvi_transfer *t, bv_error **err)
{
    const bv_verify_opts *o = &t->opts.verify;
    BVI_AUTO(bvi_strv_done) bvi_strv paths = BVI_VEC_INIT(0);
    bvi_snap_download_opts opts = {
        .store = t->store,
        .store_key = o->key,
        .version = t->version,
        .mode = o->local_dir ? BVI_SNAP_COMPARE : BVI_SNAP_CHECK,
        .dest_dir = o->local_dir,
        .state_dir = t->state_dir, /* without a store only */
        .verify_key_file = o->verify_key_file,
        .recheck = true,
        .max_runners = o->max_runners,
        .memory_mib = o->memory_mib,
        .status = bvi_transfer_on_status,
        .differs = o->differs ? on_differs : NULL,
    };
    int r = protected_paths(o->protect, &paths, err);

    if (r < 0)
        return r;
    opts.protect = (const char *const *)paths.items;
    return bvi_snap_download_start(t->ctx, &opts, bvi_transfer_on_done, t, &t->engine, err);
}

const bvi_transfer_kind bvi_transfer_verify = { "verification", archive_verify, snapshot_verify };
