/*
 * transfer_limits.h - the calls host.limits and host.set_limits: what all transfers of the host's process
 * share. For conn_local.c, which also keeps them over a restart, and conn_fake.c.
 */
#ifndef BVI_HOST_TRANSFER_LIMITS_H
#define BVI_HOST_TRANSFER_LIMITS_H

#include "io/reply.h"

/* The answer of both calls; NULL: no memory. */
bvi_json *bvi_host_limits_json(const bv_ctx *ctx);
/* Takes the numbers that are there; 0 is the default, or no limit. BV_E_INVALID changes nothing. */
int bvi_host_limits_take(bv_ctx *ctx, const bvi_json *args, bv_error **err);
/* Adds the numbers of transfers to an answer of host.metrics. */
int bvi_host_limits_metrics(const bv_ctx *ctx, bvi_json *root);

/* A file with the limits, in the form of the answer; a missing one is none. */
int bvi_host_limits_load(bv_ctx *ctx, const char *path, bv_error **err);
int bvi_host_limits_save(const bv_ctx *ctx, const char *path, bv_error **err);

#endif
