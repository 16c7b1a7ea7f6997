/*
 * report.c - see report.h.
 */
#include "transfer/report.h"

#define INTERVAL_US 100000

void bvi_report_init(bvi_report *report, bv_ctx *ctx, bv_op *op, bv_transfer_status_fn status,
                     void *data)
{
    *report = (bvi_report){ .ctx = ctx, .op = op, .status = status, .data = data };
    report->now.size = sizeof(report->now);
    report->now.phase = "open";
    report->now.eta_ms = -1;
    bvi_meter_start(&report->meter, bvi_ctx_now_us(ctx), 0);
}

static void send(bvi_report *report, int64_t now_us)
{
    bv_transfer_status *now = &report->now;
    bv_progress progress;

    bvi_meter_update(&report->meter, now_us, now->bytes_done);
    now->bytes_per_s = bvi_meter_rate(&report->meter);
    now->eta_ms = bvi_meter_eta_ms(&report->meter, now->bytes_total);
    report->at_us = now_us;
    progress = (bv_progress){
        .phase = now->phase,
        .done = now->bytes_done,
        .total = now->bytes_total,
        .unit = "bytes",
        .bytes_per_s = now->bytes_per_s,
        .eta_ms = now->eta_ms,
    };
    bvi_op_report(report->op, &progress);
    if (report->status)
        report->status(report->op, now, report->data);
}

void bvi_report_phase(bvi_report *report, const char *phase)
{
    int64_t now_us = bvi_ctx_now_us(report->ctx);

    report->now.phase = phase;
    bvi_meter_start(&report->meter, now_us, report->now.bytes_done);
    send(report, now_us);
}

void bvi_report_send(bvi_report *report)
{
    int64_t now_us = bvi_ctx_now_us(report->ctx);

    if (now_us - report->at_us >= INTERVAL_US)
        send(report, now_us);
}

static void still_full(void *data)
{
    bvi_report *report = data;

    report->now.full_path = report->space->path;
    report->now.missing_bytes = report->space->missing;
    bvi_report_phase(report, "no-space");
}

void bvi_report_pause(bvi_report *report, bvi_space *space)
{
    if (!report->paused)
        report->paused = report->now.phase;
    report->space = space;
    space->still = still_full;
    space->still_data = report;
    still_full(report);
}

void bvi_report_resume(bvi_report *report)
{
    report->now.full_path = NULL;
    report->now.missing_bytes = 0;
    if (report->paused)
        bvi_report_phase(report, bvi_take(report->paused));
}
