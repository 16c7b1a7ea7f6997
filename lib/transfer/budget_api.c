/*
 * budget_api.c - the limits of blockvisor/transfer.h that all transfers of a context share; what
 * enforces them is io/budget.c.
 */
#include <string.h>

#include <blockvisor/transfer.h>

#include "io/budget.h"

_Static_assert(BVI_BUDGET_MEMORY_MIB_DEFAULT == BV_TRANSFER_LIMIT_MEMORY_MIB_DEFAULT &&
                   BVI_BUDGET_CONNECTIONS_DEFAULT == BV_TRANSFER_LIMIT_CONNECTIONS_DEFAULT &&
                   BVI_BUDGET_FILES_DEFAULT == BV_TRANSFER_LIMIT_FILES_DEFAULT,
               "the header tells what is so");

/* Copies as much as both sides know, and keeps the receiver's size. */
static void copy_sized(void *to, size_t to_size, const void *from, size_t from_size)
{
    size_t given = to_size < from_size ? to_size : from_size;

    if (given > sizeof(size_t))
        memcpy((char *)to + sizeof(size_t), (const char *)from + sizeof(size_t),
               given - sizeof(size_t));
}

int bv_ctx_set_transfer_limits(bv_ctx *ctx, const bv_transfer_limits *limits, bv_error **err)
{
    bv_transfer_limits now = BV_TRANSFER_LIMITS_INIT;

    if (!ctx || !limits || limits->size < sizeof(size_t))
        return bvi_fail(err, BV_E_INVALID, "the limits' size is not set");
    copy_sized(&now, sizeof(now), limits, limits->size);
    return bvi_budget_set(ctx,
                          &(bvi_limits){
                              .of = { [BVI_RESOURCE_MEMORY] = (uint64_t)now.memory_mib << 20,
                                      [BVI_RESOURCE_CONNECTIONS] = now.connections,
                                      [BVI_RESOURCE_FILES] = now.open_files },
                              .bytes_per_s = { [BVI_DOWN] = now.download_bytes_per_s,
                                               [BVI_UP] = now.upload_bytes_per_s },
                          },
                          err);
}

void bv_ctx_transfer_limits(const bv_ctx *ctx, bv_transfer_limits *ret_limits)
{
    const bvi_limits limits = bvi_budget_limits(ctx);
    const bv_transfer_limits now = {
        .memory_mib = (uint32_t)(limits.of[BVI_RESOURCE_MEMORY] >> 20),
        .connections = (uint32_t)limits.of[BVI_RESOURCE_CONNECTIONS],
        .open_files = (uint32_t)limits.of[BVI_RESOURCE_FILES],
        .download_bytes_per_s = limits.bytes_per_s[BVI_DOWN],
        .upload_bytes_per_s = limits.bytes_per_s[BVI_UP],
    };

    copy_sized(ret_limits, ret_limits->size, &now, sizeof(now));
}

void bv_ctx_transfer_use(const bv_ctx *ctx, bv_transfer_use *ret_use)
{
    const bvi_budget_use use = bvi_budget_now(ctx);
    const bv_transfer_use now = {
        .memory_bytes = use.out[BVI_RESOURCE_MEMORY],
        .connections = (uint32_t)use.out[BVI_RESOURCE_CONNECTIONS],
        .open_files = (uint32_t)use.out[BVI_RESOURCE_FILES],
        .waiting = (uint32_t)use.waiting,
        .throttled = (uint32_t)(use.waiting_for[BVI_DOWN] + use.waiting_for[BVI_UP]),
        .downloaded_bytes = use.moved[BVI_DOWN],
        .uploaded_bytes = use.moved[BVI_UP],
    };

    copy_sized(ret_use, ret_use->size, &now, sizeof(now));
}
