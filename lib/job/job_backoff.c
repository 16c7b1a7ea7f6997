/*
 * job_backoff.c - the restart decision, and restarts counted by the hour.
 */
#include <stddef.h>

#include "job/job_backoff.h"

#define MS_PER_HOUR INT64_C(3600000)

void bvi_restarts_add(bvi_restarts *restarts, int64_t wall_ms)
{
    int64_t hour = wall_ms / MS_PER_HOUR;
    size_t slot = (size_t)(hour % (int64_t)BVI_BACKOFF_HOURS);

    if (hour < 0)
        return; /* a clock before 1970 counts nothing */
    if (restarts->hour[slot] != hour) {
        restarts->hour[slot] = hour;
        restarts->count[slot] = 0;
    }
    if (restarts->count[slot] < UINT32_MAX)
        restarts->count[slot]++;
}

uint32_t bvi_restarts_count(const bvi_restarts *restarts, int64_t wall_ms, unsigned hours)
{
    int64_t now = wall_ms / MS_PER_HOUR;
    uint64_t sum = 0;

    for (size_t i = 0; i < BVI_BACKOFF_HOURS; i++) {
        if (restarts->hour[i] <= now && restarts->hour[i] > now - (int64_t)hours)
            sum += restarts->count[i];
    }
    return sum < UINT32_MAX ? (uint32_t)sum : UINT32_MAX;
}

void bvi_backoff_start(bvi_backoff *backoff, int64_t now_ms)
{
    backoff->started_ms = now_ms;
}

/* base * 2^counter, saturating at the ceiling. */
static uint64_t plain_wait(uint64_t base_ms, uint64_t counter)
{
    uint64_t wait = base_ms < BVI_BACKOFF_MAX_MS ? base_ms : BVI_BACKOFF_MAX_MS;

    while (counter-- > 0 && wait > 0 && wait < BVI_BACKOFF_MAX_MS)
        wait *= 2;
    return wait < BVI_BACKOFF_MAX_MS ? wait : BVI_BACKOFF_MAX_MS;
}

static uint64_t with_jitter(uint64_t wait_ms, uint32_t random)
{
    return wait_ms + wait_ms * (random % (BVI_BACKOFF_JITTER_PERCENT + 1)) / 100;
}

static bool outlived_timeout(const bvi_backoff *backoff, const bvi_backoff_config *config,
                             int64_t now_ms)
{
    int64_t ran = now_ms - backoff->started_ms;

    return ran > 0 && (uint64_t)ran > config->backoff_timeout_ms;
}

bvi_decision bvi_backoff_end(bvi_backoff *backoff, const bvi_backoff_config *config,
                             const bvi_restarts *restarts, bool succeeded, int64_t now_ms,
                             int64_t wall_ms, uint32_t random)
{
    bvi_decision d = { .verdict = BVI_VERDICT_RESTART };

    if (succeeded && config->policy != BVI_RESTART_ALWAYS) {
        d.verdict = BVI_VERDICT_FINISHED;
        return d;
    }
    d.report = true;
    if (config->policy == BVI_RESTART_NEVER) {
        d.verdict = BVI_VERDICT_FAILED;
        return d;
    }
    d.looping = bvi_restarts_count(restarts, wall_ms, 1) >= BVI_BACKOFF_LOOP_RESTARTS;
    if (outlived_timeout(backoff, config, now_ms)) {
        backoff->counter = 0;
        d.wait_ms = d.looping ? with_jitter(BVI_BACKOFF_LOOP_WAIT_MS, random) : 0;
        return d;
    }
    if (config->has_max_retries && backoff->counter >= config->max_retries) {
        d.verdict = BVI_VERDICT_FAILED;
        d.limit = true;
        return d;
    }
    d.wait_ms = with_jitter(plain_wait(config->backoff_base_ms, backoff->counter), random);
    if (backoff->counter < UINT64_MAX)
        backoff->counter++;
    return d;
}
