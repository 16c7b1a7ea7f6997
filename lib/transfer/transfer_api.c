/*
 * transfer_api.c - the public calls of blockvisor/transfer.h: uploads, downloads and verifications
 * over a store.
 *
 * Each opens the store, hands its source to the engine, and frees it after the operation is over.
 */
#include <string.h>

#include <blockvisor/transfer.h>

#include "transfer/codec.h"
#include "transfer/download.h"
#include "transfer/source_store.h"
#include "transfer/upload.h"
#include "transfer/verify.h"

/* What belongs to one operation besides the engine's own state. */
typedef struct holder {
    bvi_chunk_source *source;
    char *archive; /* "<store uri> <key>" */
    char *state_dir;
    bv_transfer_done_fn done;
    bv_transfer_status_fn status;
    void *data;
} holder;

static void holder_free(holder *h)
{
    bvi_chunk_source_free(h->source);
    bvi_free(h->archive);
    bvi_free(h->state_dir);
    bvi_free(h);
}

static void on_done(bv_op *op, const bv_error *err, const bv_transfer_status *status, void *data)
{
    holder *h = data;

    h->done(op, err, status, h->data);
    holder_free(h);
}

static void on_status(bv_op *op, const bv_transfer_status *status, void *data)
{
    holder *h = data;

    h->status(op, status, h->data);
}

static int fill_holder(holder *h, bv_ctx *ctx, const char *store, const char *key, const char *dir,
                       const char *state_dir, bv_error **err)
{
    size_t len = dir ? strlen(dir) : 0;

    while (len > 1 && dir[len - 1] == '/')
        len--;
    h->archive = bvi_asprintf("%s %s", store, key);
    h->state_dir =
        state_dir ? bvi_strdup(state_dir) : bvi_asprintf("%.*s.transfer", (int)len, dir ? dir : "");
    if (!h->archive || !h->state_dir)
        return bvi_fail_nomem(err);
    return bvi_source_open(ctx, store, key, &h->source, err);
}

static int holder_new(bv_ctx *ctx, const char *store, const char *key, const char *dir,
                      const char *state_dir, holder **ret_holder, bv_error **err)
{
    holder *h;
    int r;

    if (!store || !key)
        return bvi_fail(err, BV_E_INVALID, "a transfer needs a store and a key");
    h = bvi_new0(holder);
    if (!h)
        return bvi_fail_nomem(err);
    r = fill_holder(h, ctx, store, key, dir, state_dir, err);
    if (r < 0) {
        holder_free(h);
        return r;
    }
    *ret_holder = h;
    return 0;
}

static int check_size(size_t given, size_t least, bv_error **err)
{
    return given < least ? bvi_fail(err, BV_E_INVALID, "the options' size is not set") : 0;
}

int bv_download_start(bv_ctx *ctx, const bv_download_opts *opts, bv_transfer_done_fn done,
                      bv_op **ret_op, bv_error **err)
{
    holder *h = NULL;
    int r = check_size(opts->size, sizeof(*opts), err);

    if (r == 0 && !opts->dest_dir)
        r = bvi_fail(err, BV_E_INVALID, "a download needs a destination");
    if (r == 0)
        r = holder_new(ctx, opts->store, opts->key, opts->dest_dir, opts->state_dir, &h, err);
    if (r < 0)
        return r;
    h->done = done;
    h->status = opts->status;
    h->data = opts->data;
    r = bvi_download_start(ctx,
                           &(bvi_download_opts){
                               .source = h->source,
                               .archive = h->archive,
                               .dest_dir = opts->dest_dir,
                               .meta_dir = h->state_dir,
                               .data_version = opts->data_version,
                               .max_connections = opts->max_connections,
                               .max_runners = opts->max_runners,
                               .memory_mib = opts->memory_mib,
                               .bytes_per_s = opts->bytes_per_s,
                               .space_wait_secs = opts->space_wait_secs,
                               .status = opts->status ? on_status : NULL,
                           },
                           on_done, h, ret_op, err);
    if (r < 0)
        holder_free(h);
    return r;
}

static bvi_compression compression_of(const bv_upload_opts *opts)
{
    if (opts->stored)
        return (bvi_compression){ .kind = BVI_CODEC_STORED };
    return (bvi_compression){
        .kind = BVI_CODEC_ZSTD,
        .level = opts->zstd_level ? opts->zstd_level : BV_TRANSFER_ZSTD_LEVEL_DEFAULT,
    };
}

int bv_upload_start(bv_ctx *ctx, const bv_upload_opts *opts, bv_transfer_done_fn done,
                    bv_op **ret_op, bv_error **err)
{
    bvi_compression compression;
    holder *h = NULL;
    int r = check_size(opts->size, sizeof(*opts), err);

    if (r == 0 && !opts->source_dir)
        r = bvi_fail(err, BV_E_INVALID, "an upload needs a source directory");
    if (r < 0)
        return r;
    compression = compression_of(opts);
    r = bvi_compression_check(&compression, err);
    if (r == 0)
        r = holder_new(ctx, opts->store, opts->key, opts->source_dir, opts->state_dir, &h, err);
    if (r < 0)
        return r;
    h->done = done;
    h->status = opts->status;
    h->data = opts->data;
    r = bvi_upload_start(ctx,
                         &(bvi_upload_opts){
                             .source = h->source,
                             .archive = h->archive,
                             .source_dir = opts->source_dir,
                             .meta_dir = h->state_dir,
                             .exclude = opts->exclude,
                             .data_version = opts->data_version,
                             .number_of_chunks = opts->number_of_chunks,
                             .compression = compression,
                             .max_connections = opts->max_connections,
                             .max_runners = opts->max_runners,
                             .memory_mib = opts->memory_mib,
                             .bytes_per_s = opts->bytes_per_s,
                             .space_wait_secs = opts->space_wait_secs,
                             .status = opts->status ? on_status : NULL,
                         },
                         on_done, h, ret_op, err);
    if (r < 0)
        holder_free(h);
    return r;
}

int bv_snapshot_verify_start(bv_ctx *ctx, const bv_verify_opts *opts, bv_transfer_done_fn done,
                             bv_op **ret_op, bv_error **err)
{
    holder *h = NULL;
    int r = check_size(opts->size, sizeof(*opts), err);

    if (r == 0)
        r = holder_new(ctx, opts->store, opts->key, opts->local_dir, NULL, &h, err);
    if (r < 0)
        return r;
    h->done = done;
    h->status = opts->status;
    h->data = opts->data;
    r = bvi_verify_start(ctx,
                         &(bvi_verify_opts){
                             .source = h->source,
                             .data_version = opts->data_version,
                             .local_dir = opts->local_dir,
                             .max_connections = opts->max_connections,
                             .max_runners = opts->max_runners,
                             .memory_mib = opts->memory_mib,
                             .status = opts->status ? on_status : NULL,
                         },
                         on_done, h, ret_op, err);
    if (r < 0)
        holder_free(h);
    return r;
}
