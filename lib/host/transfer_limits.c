/*
 * transfer_limits.c - see transfer_limits.h.
 */
#include <stddef.h>

#include <blockvisor/transfer.h>

#include "host/transfer_limits.h"
#include "sys/fs.h"

#define FILE_MAX 4096u

/* The numbers of bv_transfer_limits by their names in documents. */
static const struct {
    const char *key;
    size_t offset;
    bool is_wide;
} fields[] = {
    { "memory_mib", offsetof(bv_transfer_limits, memory_mib), false },
    { "connections", offsetof(bv_transfer_limits, connections), false },
    { "open_files", offsetof(bv_transfer_limits, open_files), false },
    { "download_bytes_per_s", offsetof(bv_transfer_limits, download_bytes_per_s), true },
    { "upload_bytes_per_s", offsetof(bv_transfer_limits, upload_bytes_per_s), true },
};

static uint64_t field_of(const bv_transfer_limits *limits, size_t i)
{
    const char *at = (const char *)limits + fields[i].offset;

    return fields[i].is_wide ? *(const uint64_t *)(const void *)at
                             : *(const uint32_t *)(const void *)at;
}

static void set_field(bv_transfer_limits *limits, size_t i, uint64_t value)
{
    char *at = (char *)limits + fields[i].offset;

    if (fields[i].is_wide)
        *(uint64_t *)(void *)at = value;
    else
        *(uint32_t *)(void *)at = (uint32_t)value;
}

static bvi_json *use_json(const bv_transfer_use *use)
{
    bvi_auto_json bvi_json *root = bvi_json_new_object();

    if (!root || bvi_json_put_uint64(root, "memory_bytes", use->memory_bytes) < 0 ||
        bvi_json_put_uint64(root, "connections", use->connections) < 0 ||
        bvi_json_put_uint64(root, "open_files", use->open_files) < 0 ||
        bvi_json_put_uint64(root, "waiting", use->waiting) < 0 ||
        bvi_json_put_uint64(root, "throttled", use->throttled) < 0 ||
        bvi_json_put_uint64(root, "downloaded_bytes", use->downloaded_bytes) < 0 ||
        bvi_json_put_uint64(root, "uploaded_bytes", use->uploaded_bytes) < 0)
        return NULL;
    return bvi_take(root);
}

static int put_limits(const bv_ctx *ctx, bvi_json *root)
{
    bv_transfer_limits limits = BV_TRANSFER_LIMITS_INIT;
    int r = 0;

    bv_ctx_transfer_limits(ctx, &limits);
    for (size_t i = 0; r == 0 && i < BVI_COUNT(fields); i++)
        r = bvi_json_put_uint64(root, fields[i].key, field_of(&limits, i));
    return r;
}

bvi_json *bvi_host_limits_json(const bv_ctx *ctx)
{
    bvi_auto_json bvi_json *root = bvi_json_new_object();
    bv_transfer_use use = { .size = sizeof(use) };

    bv_ctx_transfer_use(ctx, &use);
    if (!root || put_limits(ctx, root) < 0 || bvi_json_put(root, "in_use", use_json(&use)) < 0)
        return NULL;
    return bvi_take(root);
}

int bvi_host_limits_take(bv_ctx *ctx, const bvi_json *args, bv_error **err)
{
    bv_transfer_limits limits = BV_TRANSFER_LIMITS_INIT;

    bv_ctx_transfer_limits(ctx, &limits);
    for (size_t i = 0; i < BVI_COUNT(fields); i++) {
        uint64_t value = field_of(&limits, i);
        int r = bvi_json_opt_uint64(args, fields[i].key, &value, err);

        if (r < 0)
            return r;
        if (!fields[i].is_wide && value > UINT32_MAX)
            return bvi_fail(err, BV_E_INVALID, "'%s' is %llu, more than %u", fields[i].key,
                            (unsigned long long)value, UINT32_MAX);
        set_field(&limits, i, value);
    }
    return bv_ctx_set_transfer_limits(ctx, &limits, err);
}

int bvi_host_limits_metrics(const bv_ctx *ctx, bvi_json *root)
{
    bv_transfer_use use = { .size = sizeof(use) };

    bv_ctx_transfer_use(ctx, &use);
    if (bvi_json_put_uint64(root, "transfer_memory_bytes", use.memory_bytes) < 0 ||
        bvi_json_put_uint64(root, "transfer_connections", use.connections) < 0 ||
        bvi_json_put_uint64(root, "transfer_waiting", use.waiting + use.throttled) < 0 ||
        bvi_json_put_uint64(root, "transfer_downloaded_bytes", use.downloaded_bytes) < 0)
        return BV_E_NOMEM;
    return bvi_json_put_uint64(root, "transfer_uploaded_bytes", use.uploaded_bytes);
}

/* ---- over a restart ---- */

int bvi_host_limits_load(bv_ctx *ctx, const char *path, bv_error **err)
{
    bvi_auto_json bvi_json *root = NULL;
    int r;

    if (!bvi_fs_exists(path))
        return 0;
    r = bvi_fs_read_json(path, FILE_MAX, &root, err);
    if (r == 0)
        r = bvi_host_limits_take(ctx, root, err);
    return r < 0 ? bvi_wrap(err, r, "cannot load the limits in '%s'; correct or remove it", path)
                 : 0;
}

int bvi_host_limits_save(const bv_ctx *ctx, const char *path, bv_error **err)
{
    bvi_auto_json bvi_json *root = bvi_json_new_object();

    if (!root || put_limits(ctx, root) < 0)
        return bvi_fail_nomem(err);
    return bvi_fs_replace_json(path, root, 0644, err);
}
