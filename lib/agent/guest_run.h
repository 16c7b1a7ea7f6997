/*
 * guest_run.h - what the programs inside a node have in common: a context, a stop descriptor,
 * arguments as a table.
 */
#ifndef BVI_AGENT_GUEST_RUN_H
#define BVI_AGENT_GUEST_RUN_H

#include <blockvisor/guest.h>

#include "io/loop.h"

typedef struct bvi_guest_run {
    bv_ctx *ctx;
    bvi_watch *stop_watch;
    void (*on_stop)(void *data); /* once; NULL: the context is stopped */
    void *data;
} bvi_guest_run;

/* A context with the options' log, and the stop descriptor watched. */
int bvi_guest_run_init(bvi_guest_run *run, const bv_guest_opts *opts, uint32_t workers,
                       bv_error **err);
void bvi_guest_run_done(bvi_guest_run *run);

/* "--name value" pairs. */
typedef struct bvi_guest_arg {
    const char *name;   /* "--job-dir" */
    const char **value; /* where it goes; set to the default before */
} bvi_guest_arg;

int bvi_guest_parse(int argc, char **argv, int first, const bvi_guest_arg *args, size_t count,
                    bv_error **err);

/* The whole story of a failure as a log record; for programs without a context the sink is called
 * directly. */
void bvi_guest_log_error(const bv_guest_opts *opts, const char *what, const bv_error *err);

#endif
