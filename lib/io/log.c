/*
 * log.c - log records on their way to the host's sink; callable from worker threads.
 */
#include <stdio.h>

#include "io/ctx_impl.h"

/* Longer messages are cut. */
#define LOG_MESSAGE_MAX 2048u

bool bvi_log_on(const bv_ctx *ctx, int level)
{
    return ctx->log && level <= ctx->log_level;
}

void bvi_log_write(bv_ctx *ctx, int level, const char *module, const char *node, const char *job,
                   const char *fmt, ...)
{
    char message[LOG_MESSAGE_MAX];
    bv_log_record rec = { .size = sizeof(rec),
                          .level = level,
                          .module = module,
                          .node = node,
                          .job = job,
                          .message = message };
    va_list args;

    if (!bvi_log_on(ctx, level))
        return;
    va_start(args, fmt);
    (void)vsnprintf(message, sizeof(message), fmt, args); /* cut when too long */
    va_end(args);
    for (char *c = message; *c; c++) {
        if (*c == '\n' || *c == '\r')
            *c = ' ';
    }
    rec.wall_us = bvi_ctx_wall_us(ctx);
    ctx->log(ctx->log_data, &rec);
}
