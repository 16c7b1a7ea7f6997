/*
 * store_impl.h - what the public calls of blockvisor/store.h share: a store that is opened for one
 * question and lives until it is answered. Between store_api.c and store_browse.c.
 */
#ifndef BVI_SNAPSHOT_STORE_IMPL_H
#define BVI_SNAPSHOT_STORE_IMPL_H

#include <blockvisor/store.h>

#include "io/reply.h"
#include "snapshot/browse.h"

typedef struct bvi_question {
    bvi_store *store;
    bv_store_opts opts; /* texts are the caller's, for the time of its call */
    void *data;
    bv_op *op; /* the engine's; NULL: the reply's */
    /* one of these ends it */
    bv_reply_fn replied;
    bv_store_done_fn done;
    bvi_reply *reply;
    /* and these tell what was found */
    bv_snapshot_entry_fn entry;
    bv_snapshot_bytes_fn bytes;
    bv_snapshot_change_fn change;
} bvi_question;

int bvi_question_new(bv_ctx *ctx, const bv_store_opts *opts, void *data,
                     bvi_question **ret_question, bv_error **err);
void bvi_question_free(bvi_question *question);
BVI_DEFINE_FREEP(bvi_question, bvi_question_free)

/* bv_s3_keys and the rest of a store's options in the words of the store. */
int bvi_store_open_public(bv_ctx *ctx, const char *uri, const bv_s3_keys *keys, bvi_store_opts opts,
                          bvi_store **ret_store, bv_error **err);

#endif
