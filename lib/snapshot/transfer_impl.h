/*
 * transfer_impl.h - one public transfer: its options, its store, and the engine's operation behind
 * the user's. Between transfer_api.c, which runs it, and transfer_start.c, which starts the
 * engines.
 */
#ifndef BVI_SNAPSHOT_TRANSFER_IMPL_H
#define BVI_SNAPSHOT_TRANSFER_IMPL_H

#include <blockvisor/transfer.h>

#include "io/op.h"
#include "snapshot/opts_copy.h"
#include "transfer/space.h"
#include "transfer/store.h"

#define BVI_TRANSFER_PHASE_MAX 24u

typedef struct bvi_transfer bvi_transfer;

/* What can be done; one for each public call. The functions start the engine. */
typedef struct bvi_transfer_kind {
    const char *name;
    int (*archive)(bvi_transfer *t, bv_error **err);  /* takes t->store, also on failure */
    int (*snapshot)(bvi_transfer *t, bv_error **err); /* borrows it */
} bvi_transfer_kind;

struct bvi_transfer {
    const bvi_transfer_kind *kind;
    bv_ctx *ctx;
    bvi_store *store; /* NULL: an archive's engine has it */
    bvi_opts_copy texts;
    union {
        bv_download_opts download;
        bv_upload_opts upload;
        bv_verify_opts verify;
    } opts;
    char *state_dir;
    bv_op *op;     /* the user's */
    bv_op *engine; /* NULL: not started yet */
    bv_format format;
    uint64_t version;
    bv_transfer_done_fn done;
    bv_transfer_status_fn status; /* may be NULL */
    void *data;
    uint64_t wire_before; /* of the context, when it began */
    bool abandoned;       /* never began: nobody is told of its end */
    int32_t space_wait_secs;
    bvi_space space; /* a snapshot's engine that found a disk full is started again */
    bv_transfer_status last;
    char phase[BVI_TRANSFER_PHASE_MAX];
};

extern const bvi_transfer_kind bvi_transfer_download;
extern const bvi_transfer_kind bvi_transfer_upload;
extern const bvi_transfer_kind bvi_transfer_verify;

/* For the engines; data is the transfer. */
void bvi_transfer_on_status(bv_op *op, const bv_transfer_status *status, void *data);
void bvi_transfer_on_done(bv_op *op, const bv_error *err, const bv_transfer_status *status,
                          void *data);

#endif
