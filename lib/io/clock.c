/*
 * clock.c - the context's clocks, the system's unless the host gave its own, and the random part of
 * waiting times.
 */
#include <time.h>

#include "base/id.h"
#include "io/clock.h"
#include "io/ctx_impl.h"

static int64_t read_clock(clockid_t id)
{
    struct timespec now = { 0 };

    (void)clock_gettime(id, &now); /* cannot fail for these two */
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static int64_t system_monotonic_us(void *data)
{
    (void)data;
    return read_clock(CLOCK_MONOTONIC);
}

static int64_t system_wall_us(void *data)
{
    (void)data;
    return read_clock(CLOCK_REALTIME);
}

const bv_clock bvi_clock_system = { .size = sizeof(bvi_clock_system),
                                    .monotonic_us = system_monotonic_us,
                                    .wall_us = system_wall_us };

int64_t bvi_ctx_now_us(const bv_ctx *ctx)
{
    return ctx->clock.monotonic_us(ctx->clock.data);
}

int64_t bvi_ctx_wall_us(const bv_ctx *ctx)
{
    return ctx->clock.wall_us(ctx->clock.data);
}

/* splitmix64; waiting times need spread, not secrecy. */
static uint64_t next_random(bv_ctx *ctx)
{
    uint64_t x;

    if (!ctx->random && bvi_random_bytes(&ctx->random, sizeof(ctx->random), NULL) < 0)
        ctx->random = (uint64_t)read_clock(CLOCK_MONOTONIC);
    x = ctx->random += 0x9e3779b97f4a7c15u;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

int64_t bvi_ctx_jitter_ms(bv_ctx *ctx, int64_t ms, unsigned percent)
{
    uint64_t span, sum;

    if (ms <= 0)
        return 0;
    if (__builtin_mul_overflow((uint64_t)ms / 100, (uint64_t)percent, &span) ||
        __builtin_add_overflow(span, (uint64_t)ms % 100 * percent / 100, &span) ||
        span >= INT64_MAX)
        span = INT64_MAX - 1;
    sum = (uint64_t)ms + next_random(ctx) % (span + 1);
    return sum > INT64_MAX ? INT64_MAX : (int64_t)sum;
}
