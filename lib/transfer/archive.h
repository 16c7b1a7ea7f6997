/*
 * archive.h - moving archives between a directory and a store, with the options of
 * blockvisor/transfer.h. Called by the public calls (lib/snapshot/transfer_api.c), which find out
 * the format first.
 */
#ifndef BVI_TRANSFER_ARCHIVE_H
#define BVI_TRANSFER_ARCHIVE_H

#include <blockvisor/transfer.h>

#include "transfer/store.h"

/* Each takes the store over, also on failure; opts->store only names it. Store, key and directory
 * are set. */
int bvi_archive_download(bv_ctx *ctx, bvi_store *store, const bv_download_opts *opts,
                         bv_transfer_done_fn done, bv_op **ret_op, bv_error **err);
int bvi_archive_upload(bv_ctx *ctx, bvi_store *store, const bv_upload_opts *opts,
                       bv_transfer_done_fn done, bv_op **ret_op, bv_error **err);
int bvi_archive_verify(bv_ctx *ctx, bvi_store *store, const bv_verify_opts *opts,
                       bv_transfer_done_fn done, bv_op **ret_op, bv_error **err);

/* "<dir>.transfer" unless a state directory is given; NULL: no memory. */
char *bvi_transfer_state_dir(const char *dir, const char *state_dir);

#endif
