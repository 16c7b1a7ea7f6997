/*
 * transfer_start.c - a public transfer's options in the words of the engine that carries it out.
 */
#include <stddef.h>

#include "snapshot/transfer_impl.h"
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

/* ---- snapshots ---- */

static int no_engine(bvi_transfer *t, bv_error **err)
{
    return bvi_fail(err, BV_E_UNSUPPORTED, "%s: this build has no engine for snapshots",
                    t->kind->name);
}

const bvi_transfer_kind bvi_transfer_download = { "download", archive_download, no_engine };
const bvi_transfer_kind bvi_transfer_upload = { "upload", archive_upload, no_engine };
const bvi_transfer_kind bvi_transfer_verify = { "verification", archive_verify, no_engine };
