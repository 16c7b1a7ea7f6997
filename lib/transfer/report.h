/*
 * report.h - progress of a transfer, for both kinds of callbacks.
 */
#ifndef BVI_TRANSFER_REPORT_H
#define BVI_TRANSFER_REPORT_H

#include <blockvisor/transfer.h>

#include "io/op.h"
#include "transfer/meter.h"
#include "transfer/space.h"

typedef struct bvi_report {
    bv_ctx *ctx;
    bv_op *op;                    /* borrowed */
    bv_transfer_status_fn status; /* optional */
    void *data;
    bvi_meter meter;
    bvi_space *space;       /* while it waits for room */
    const char *paused;     /* the phase that a full disk interrupted; NULL: none */
    int64_t at_us;          /* of the last report; 0: none yet */
    bv_transfer_status now; /* filled by the transfer; rate and eta by bvi_report_send() */
} bvi_report;

void bvi_report_init(bvi_report *report, bv_ctx *ctx, bv_op *op, bv_transfer_status_fn status,
                     void *data);
void bvi_report_phase(bvi_report *report,
                      const char *phase); /* a static string; reported at once */
void bvi_report_send(bvi_report *report); /* at most ten times a second, except forced ones */
/* Phase "no-space", with what is missing where, and back again. */
void bvi_report_pause(bvi_report *report, bvi_space *space);
void bvi_report_resume(bvi_report *report);

#endif
