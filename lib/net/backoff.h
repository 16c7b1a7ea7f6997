/*
 * backoff.h - when to try again: the one place for retries. Each use names its own policy.
 *
 *     static const bvi_retry_policy fetch_retry = {
 *         .first_ms = 500, .factor_percent = 200, .ceiling_ms = 30000, .jitter_percent = 25,
 * .give_up = 6,
 *     };
 *     bvi_retry_init(&fetch->retry, &fetch_retry);
 *     ...
 *     if (bvi_retry_is_worth(code) && bvi_retry_next(&fetch->retry, ctx, at_least_ms, &delay_ms))
 *         bvi_timer_set(fetch->timer, delay_ms * 1000, NULL);
 *     else give up
 *     ...
 *     bvi_retry_reset(&fetch->retry);     // after a success
 *
 * Pure apart from the context's random numbers. All arithmetic saturates.
 */
#ifndef BVI_NET_BACKOFF_H
#define BVI_NET_BACKOFF_H

#include "io/loop.h"

typedef struct bvi_retry_policy {
    uint32_t first_ms;       /* before the first repetition */
    uint32_t factor_percent; /* each wait is so much of the one before: 200 doubles; less than 100
                                counts as 100 */
    uint32_t ceiling_ms;     /* no wait is longer, before jitter; 0: none */
    uint32_t jitter_percent; /* up to so much is added at random */
    uint32_t give_up;        /* so many failures in a row are the end; 0: never */
} bvi_retry_policy;

typedef struct bvi_retry {
    const bvi_retry_policy *policy;
    uint32_t failures; /* in a row */
    int64_t wait_ms;   /* the next one, before jitter */
} bvi_retry;

void bvi_retry_init(bvi_retry *retry, const bvi_retry_policy *policy);
void bvi_retry_reset(bvi_retry *retry);
/*
 * Counts a failure. False: give up. at_least_ms is what the peer asked for (Retry-After; 0 or less:
 * nothing); it may pass the ceiling and gets jitter too. ctx NULL: no jitter.
 */
bool bvi_retry_next(bvi_retry *retry, bv_ctx *ctx, int64_t at_least_ms, int64_t *ret_delay_ms);
/* Failures that may pass by themselves: again, busy, timeout, remote. */
bool bvi_retry_is_worth(int code);

#endif
