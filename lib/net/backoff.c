/*
 * backoff.c - waiting times between repetitions.
 */
#include "net/backoff.h"

void bvi_retry_init(bvi_retry *retry, const bvi_retry_policy *policy)
{
    *retry = (bvi_retry){ .policy = policy };
    bvi_retry_reset(retry);
}

void bvi_retry_reset(bvi_retry *retry)
{
    retry->failures = 0;
    retry->wait_ms = retry->policy->first_ms;
}

/* 32-bit factors of a 64-bit number: saturates instead of overflowing. */
static int64_t grow(int64_t wait_ms, uint32_t factor_percent)
{
    uint32_t factor = factor_percent > 100 ? factor_percent : 100;
    int64_t grown;

    if (__builtin_mul_overflow(wait_ms, (int64_t)factor, &grown))
        return INT64_MAX / 100;
    return grown / 100;
}

static int64_t capped(const bvi_retry_policy *policy, int64_t wait_ms)
{
    return policy->ceiling_ms && wait_ms > policy->ceiling_ms ? policy->ceiling_ms : wait_ms;
}

bool bvi_retry_next(bvi_retry *retry, bv_ctx *ctx, int64_t at_least_ms, int64_t *ret_delay_ms)
{
    const bvi_retry_policy *policy = retry->policy;
    int64_t delay_ms = capped(policy, retry->wait_ms);

    if (retry->failures < UINT32_MAX)
        retry->failures++;
    if (policy->give_up && retry->failures >= policy->give_up)
        return false;
    retry->wait_ms = capped(policy, grow(retry->wait_ms, policy->factor_percent));
    if (at_least_ms > delay_ms)
        delay_ms = at_least_ms;
    *ret_delay_ms = ctx ? bvi_ctx_jitter_ms(ctx, delay_ms, policy->jitter_percent) : delay_ms;
    return true;
}

bool bvi_retry_is_worth(int code)
{
    return code == BV_E_AGAIN || code == BV_E_BUSY || code == BV_E_TIMEOUT || code == BV_E_REMOTE;
}
