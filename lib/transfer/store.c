/*
 * store.c - what all stores share: names of objects, requests, reservations, and opening by URI.
 */
#include <stdio.h>
#include <string.h>

#include "transfer/manifest.h"
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

bvi_store_format bvi_store_format_of(bool has_header, bool has_body, bool has_root)
{
    if (has_root)
        return BVI_STORE_SNAPSHOT;
    return has_header && has_body ? BVI_STORE_ARCHIVE : BVI_STORE_ANY;
}

/* ---- requests ---- */

static int check_lease(const char *lease, bv_error **err)
{
    size_t len = strlen(lease);

    if (len == 0 || len > BVI_STORE_LEASE_MAX ||
        strspn(lease, "0123456789abcdefghijklmnopqrstuvwxyz-") != len)
        return bvi_fail(err, BV_E_INVALID, "lease '%s' is not 1 to %u of [0-9a-z-]", lease,
                        BVI_STORE_LEASE_MAX);
    return 0;
}

/* "a/b/" and "a/b" both name what is below; the empty prefix everything. */
static int check_prefix(const char *prefix, bv_error **err)
{
    size_t len = strlen(prefix);
    bvi_auto_free char *path =
        bvi_strndup(prefix, len > 0 && prefix[len - 1] == '/' ? len - 1 : len);

    if (!path)
        return bvi_fail_nomem(err);
    return *path ? bvi_target_path_check(path, err) : 0;
}

static int check_request(const bvi_store_request *request, bv_error **err)
{
    int r = 0;

    if (request->key)
        r = request->verb == BVI_STORE_OBJECTS ? check_prefix(request->key, err)
                                               : bvi_target_path_check(request->key, err);
    return r == 0 && request->lease ? check_lease(request->lease, err) : r;
}

int bvi_store_request_copy(const bvi_store_request *request, bvi_store_request *ret_copy,
                           bv_error **err)
{
    char *store_key = NULL;
    int r = check_request(request, err);

    *ret_copy = *request;
    ret_copy->key = ret_copy->store_key = ret_copy->lease = ret_copy->after = NULL;
    if (r == 0 && request->store_key)
        r = bvi_store_key_normalise(request->store_key, &store_key, err);
    if (r < 0)
        return r;
    ret_copy->store_key = store_key;
    ret_copy->key = bvi_strdup(request->key);
    ret_copy->lease = bvi_strdup(request->lease);
    ret_copy->after = bvi_strdup(request->after);
    if ((request->key && !ret_copy->key) || (request->lease && !ret_copy->lease) ||
        (request->after && !ret_copy->after))
        return bvi_fail_nomem(err);
    return 0;
}

void bvi_store_request_done(bvi_store_request *copy)
{
    bvi_free((char *)copy->key);
    bvi_free((char *)copy->store_key);
    bvi_free((char *)copy->lease);
    bvi_free((char *)copy->after);
}

/* ---- reservations ---- */

static uint64_t parse_number(const char **at, const char *end)
{
    uint64_t value = 0;

    while (*at < end && **at >= '0' && **at <= '9' && value <= INT64_MAX / 10 - 1)
        value = value * 10 + (uint64_t)(*(*at)++ - '0');
    while (*at < end && *(*at)++ != '\n')
        ;
    return value;
}

void bvi_store_lock_parse(const char *text, size_t len, bvi_store_lock *ret_lock)
{
    const char *end = text + len;
    const char *line_end = memchr(text, '\n', len);
    size_t lease_len = line_end ? (size_t)(line_end - text) : len;

    *ret_lock = (bvi_store_lock){ 0 };
    if (lease_len <= BVI_STORE_LEASE_MAX)
        memcpy(ret_lock->lease, text, lease_len); /* zeroed before */
    text += lease_len + (line_end ? 1 : 0);
    ret_lock->base = parse_number(&text, end);
    ret_lock->started_us = (int64_t)parse_number(&text, end);
}

size_t bvi_store_lock_print(const bvi_store_lock *lock, char text[BVI_STORE_LOCK_MAX])
{
    return (size_t)snprintf(text, BVI_STORE_LOCK_MAX, "%s\n%llu\n%lld\n", lock->lease,
                            (unsigned long long)lock->base, (long long)lock->started_us);
}

int64_t bvi_store_lock_start(const bvi_store_lock *old, int64_t since_us, int64_t now_us)
{
    int64_t start_us = old && old->started_us ? old->started_us : now_us;

    return since_us > 0 && since_us < start_us ? since_us : start_us;
}

bool bvi_store_lock_is_of(const bvi_store_lock *lock, const char *lease)
{
    return strcmp(lock->lease, lease ? lease : "") == 0;
}

/* ---- opening ---- */

static int open_one(bv_ctx *ctx, const char *uri, const bvi_store_opts *opts, bvi_store **ret_store,
                    bv_error **err)
{
    bvi_auto_free char *path = NULL;
    int r;

    if (strncmp(uri, "dir:", 4) == 0)
        return bvi_store_dir_open(ctx, uri + 4, ret_store, err);
    if (strncmp(uri, BVI_S3_SCHEME, strlen(BVI_S3_SCHEME)) == 0)
        return bvi_store_s3_open(ctx, uri, opts->keys, ret_store, err);
    if (bvi_url_is_http(uri))
        return bvi_store_http_open(ctx, uri, opts->ca_file, ret_store, err);
    if (!bvi_url_is_file(uri))
        return bvi_fail(err, BV_E_INVALID,
                        "unknown store '%s': expected dir:/path, s3://bucket/prefix, http://... or "
                        "https://...",
                        uri);
    r = bvi_url_to_path(uri, &path, err);
    return r < 0 ? r : bvi_store_dir_open(ctx, path, ret_store, err);
}

static int add_mirrors(bv_ctx *ctx, const bvi_store_opts *opts, bvi_store *mirror, bv_error **err)
{
    int r = 0;

    for (size_t i = 0; r == 0 && opts->mirrors[i]; i++) {
        BVI_AUTO(bvi_store_freep) bvi_store *store = NULL;

        r = open_one(ctx, opts->mirrors[i], opts, &store, err);
        if (r == 0)
            r = bvi_store_mirror_add(mirror, store, err);
        if (r == 0)
            (void)bvi_take(store); /* the mirror has it */
    }
    return r;
}

int bvi_store_open_with(bv_ctx *ctx, const char *uri, const bvi_store_opts *opts,
                        bvi_store **ret_store, bv_error **err)
{
    static const bvi_store_opts none = { 0 };
    BVI_AUTO(bvi_store_freep) bvi_store *store = NULL;
    bvi_store *mirror = NULL;
    int r;

    if (!opts)
        opts = &none;
    r = open_one(ctx, uri, opts, &store, err);
    if (r == 0 && opts->mirrors && opts->mirrors[0]) {
        r = bvi_store_mirror_new(store, &mirror, err);
        if (r < 0)
            return r;
        store = mirror;
        r = add_mirrors(ctx, opts, store, err);
    }
    if (r < 0)
        return r;
    if (opts->connections || opts->bytes_per_s)
        bvi_store_set_limits(store, opts->connections, opts->bytes_per_s);
    *ret_store = bvi_take(store);
    return 0;
}

int bvi_store_open(bv_ctx *ctx, const char *uri, bvi_store **ret_store, bv_error **err)
{
    return bvi_store_open_with(ctx, uri, NULL, ret_store, err);
}
