/*
 * store.c - what all stores share: names of objects, and opening by URI.
 */
#include <string.h>

#include "transfer/s3_config.h"
#include "transfer/store.h"
#include "transfer/url.h"

int bvi_store_key_normalise(const char *store_key, char **ret_key, bv_error **err)
{
    size_t len = strlen(store_key);
    char *key;

    if (len == 0 || len > BVI_STORE_KEY_MAX)
        return bvi_fail(err, BV_E_INVALID, "store key '%s' does not have 1 to %u characters",
                        store_key, BVI_STORE_KEY_MAX);
    for (const char *at = store_key; *at; at++) {
        char low = (char)(*at | 0x20);

        if (!(low >= 'a' && low <= 'z') && !(*at >= '0' && *at <= '9') && *at != '-' && *at != '_')
            return bvi_fail(err, BV_E_INVALID,
                            "store key '%s' may only have letters, digits, '-' and '_'", store_key);
    }
    key = bvi_strdup(store_key);
    if (!key)
        return bvi_fail_nomem(err);
    for (char *at = key; *at; at++) {
        if (*at >= 'A' && *at <= 'Z')
            *at = (char)(*at | 0x20);
    }
    *ret_key = key;
    return 0;
}

char *bvi_store_object_key(const char *store_key, uint64_t version, const char *name)
{
    return bvi_asprintf("%s/%llu/%s", store_key, (unsigned long long)version, name);
}

char *bvi_store_chunk_key(const char *store_key, uint64_t version, uint32_t index)
{
    return bvi_asprintf("%s/%llu/%s%u", store_key, (unsigned long long)version,
                        BVI_STORE_CHUNK_PREFIX, index);
}

uint64_t bvi_store_version_of(const char *name)
{
    uint64_t value = 0;

    if (name[0] < '1' || name[0] > '9')
        return 0;
    for (; *name; name++) {
        if (*name < '0' || *name > '9' || __builtin_mul_overflow(value, 10u, &value) ||
            __builtin_add_overflow(value, (uint64_t)(*name - '0'), &value))
            return 0;
    }
    return value;
}

int bvi_store_open(bv_ctx *ctx, const char *uri, bvi_store **ret_store, bv_error **err)
{
    bvi_auto_free char *path = NULL;
    int r;

    if (strncmp(uri, "dir:", 4) == 0)
        return bvi_store_dir_open(ctx, uri + 4, ret_store, err);
    if (strncmp(uri, BVI_S3_SCHEME, strlen(BVI_S3_SCHEME)) == 0)
        return bvi_store_s3_open(ctx, uri, NULL, ret_store, err);
    if (bvi_url_is_http(uri))
        return bvi_store_http_open(ctx, uri, ret_store, err);
    if (!bvi_url_is_file(uri))
        return bvi_fail(err, BV_E_INVALID,
                        "unknown store '%s': expected dir:/path, s3://bucket/prefix, http://... or "
                        "https://...",
                        uri);
    r = bvi_url_to_path(uri, &path, err);
    return r < 0 ? r : bvi_store_dir_open(ctx, path, ret_store, err);
}
