/*
 * archive.c - uploads, downloads and verifications of archives over a store.
 *
 * Each hands the store to a source, the source to the engine, and frees it after the operation is
 * over.
 */
#include <string.h>

#include "transfer/archive.h"
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

char *bvi_transfer_state_dir(const char *dir, const char *state_dir)
{
    size_t len = dir ? strlen(dir) : 0;

    while (len > 1 && dir[len - 1] == '/')
        len--;
    return state_dir ? bvi_strdup(state_dir)
                     : bvi_asprintf("%.*s.transfer", (int)len, dir ? dir : "");
}

/* Owns the store. */
static int fill_holder(holder *h, bvi_store *store, const char *uri, const char *key,
                       const char *dir, const char *state_dir, bv_error **err)
{
    BVI_AUTO(bvi_store_freep) bvi_store *taken = store;

    h->archive = bvi_asprintf("%s %s", uri, key);
    h->state_dir = bvi_transfer_state_dir(dir, state_dir);
    if (!h->archive || !h->state_dir)
        return bvi_fail_nomem(err);
    return bvi_source_store_new(bvi_take(taken), key, &h->source, err);
}

static int holder_new(bvi_store *store, const char *uri, const char *key, const char *dir,
                      const char *state_dir, holder **ret_holder, bv_error **err)
{
    holder *h = bvi_new0(holder);
    int r;

    if (!h) {
        bvi_store_free(store);
        return bvi_fail_nomem(err);
    }
    r = fill_holder(h, store, uri, key, dir, state_dir, err);
    if (r < 0) {
        holder_free(h);
        return r;
    }
    *ret_holder = h;
    return 0;
}

int bvi_archive_download(bv_ctx *ctx, bvi_store *store, const bv_download_opts *opts,
                         bv_transfer_done_fn done, bv_op **ret_op, bv_error **err)
{
    holder *h = NULL;
    int r = holder_new(store, opts->store, opts->key, opts->dest_dir, opts->state_dir, &h, err);

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
    if (opts->stored || opts->codec == BV_CODEC_STORED)
        return (bvi_compression){ .kind = BVI_CODEC_STORED };
    return (bvi_compression){
        .kind = BVI_CODEC_ZSTD,
        .level = opts->zstd_level ? opts->zstd_level : BV_TRANSFER_ZSTD_LEVEL_DEFAULT,
    };
}

int bvi_archive_upload(bv_ctx *ctx, bvi_store *store, const bv_upload_opts *opts,
                       bv_transfer_done_fn done, bv_op **ret_op, bv_error **err)
{
    BVI_AUTO(bvi_store_freep) bvi_store *taken = store;
    bvi_compression compression = compression_of(opts);
    holder *h = NULL;
    int r = bvi_compression_check(&compression, err);

    if (r == 0)
        r = holder_new(bvi_take(taken), opts->store, opts->key, opts->source_dir, opts->state_dir,
                       &h, err);
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

int bvi_archive_verify(bv_ctx *ctx, bvi_store *store, const bv_verify_opts *opts,
                       bv_transfer_done_fn done, bv_op **ret_op, bv_error **err)
{
    holder *h = NULL;
    int r = holder_new(store, opts->store, opts->key, opts->local_dir, NULL, &h, err);

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
