/*
 * chunk.c - chunk values: life, checksums, and the JSON forms shared by store manifests and
 * journals.
 *
 * Used by manifest.c, the journals and the chunk sources. Pure; callable from any thread.
 */
#include <string.h>

#include "transfer/chunk.h"

static const struct {
    bvi_checksum_kind kind;
    const char *name;
    size_t len;
} checksum_kinds[] = {
    { BVI_CHECKSUM_SHA1, "sha1", 20 },
    { BVI_CHECKSUM_SHA256, "sha256", 32 },
    { BVI_CHECKSUM_BLAKE3, "blake3", 32 },
};

size_t bvi_checksum_len(bvi_checksum_kind kind)
{
    for (size_t i = 0; i < BVI_COUNT(checksum_kinds); i++) {
        if (checksum_kinds[i].kind == kind)
            return checksum_kinds[i].len;
    }
    return 0;
}

const char *bvi_checksum_name(bvi_checksum_kind kind)
{
    for (size_t i = 0; i < BVI_COUNT(checksum_kinds); i++) {
        if (checksum_kinds[i].kind == kind)
            return checksum_kinds[i].name;
    }
    return "none";
}

bool bvi_checksum_equal(const bvi_checksum *a, const bvi_checksum *b)
{
    return a->kind == b->kind && memcmp(a->bytes, b->bytes, bvi_checksum_len(a->kind)) == 0;
}

int bvi_checksum_set(bvi_checksum *sum, bvi_checksum_kind kind, const void *bytes, size_t len,
                     bv_error **err)
{
    size_t wanted = bvi_checksum_len(kind);

    if (wanted == 0)
        return bvi_fail(err, BV_E_FORMAT, "missing checksum");
    if (len != wanted)
        return bvi_fail(err, BV_E_FORMAT, "expected %zu bytes checksum, but %zu bytes found",
                        wanted, len);
    *sum = (bvi_checksum){ .kind = kind };
    memcpy(sum->bytes, bytes, len);
    return 0;
}

void bvi_chunk_init(bvi_chunk *chunk)
{
    *chunk = (bvi_chunk){ .targets = BVI_VEC_INIT(BVI_TARGETS_MAX) };
}

void bvi_chunk_done(bvi_chunk *chunk)
{
    for (size_t i = 0; i < chunk->targets.len; i++)
        bvi_free(chunk->targets.items[i].path);
    bvi_vec_done(&chunk->targets);
    bvi_free(chunk->key);
    bvi_free(chunk->url);
    bvi_chunk_init(chunk);
}

static int set_text(char **field, const char *text, size_t max, const char *what, bv_error **err)
{
    char *copy;

    if (text && strlen(text) > max)
        return bvi_fail(err, BV_E_LIMIT, "%s is longer than %zu bytes", what, max);
    copy = bvi_strdup(text);
    if (text && !copy)
        return bvi_fail_nomem(err);
    bvi_free(*field);
    *field = copy;
    return 0;
}

int bvi_chunk_set_key(bvi_chunk *chunk, const char *key, bv_error **err)
{
    return set_text(&chunk->key, key, BVI_CHUNK_KEY_MAX, "the chunk's key", err);
}

int bvi_chunk_set_url(bvi_chunk *chunk, const char *url, bv_error **err)
{
    return set_text(&chunk->url, url, BVI_CHUNK_URL_MAX, "the chunk's URL", err);
}

int bvi_chunk_add_target(bvi_chunk *chunk, const char *path, uint64_t pos, uint64_t size,
                         bv_error **err)
{
    char *copy = bvi_strdup(path);
    bvi_target *target;

    if (!copy)
        return bvi_fail_nomem(err);
    if (chunk->targets.len >= BVI_TARGETS_MAX) {
        bvi_free(copy);
        return bvi_fail(err, BV_E_LIMIT, "chunk %u has more than %u destinations", chunk->index,
                        BVI_TARGETS_MAX);
    }
    target = bvi_vec_push(&chunk->targets);
    if (!target) {
        bvi_free(copy);
        return bvi_fail_nomem(err);
    }
    *target = (bvi_target){ .path = copy, .pos = pos, .size = size };
    return 0;
}

int bvi_chunk_copy(bvi_chunk *to, const bvi_chunk *from, bv_error **err)
{
    int r;

    to->index = from->index;
    to->checksum = from->checksum;
    to->size = from->size;
    r = bvi_chunk_set_key(to, from->key, err);
    if (r == 0)
        r = bvi_chunk_set_url(to, from->url, err);
    for (size_t i = 0; r == 0 && i < from->targets.len; i++) {
        const bvi_target *t = &from->targets.items[i];

        r = bvi_chunk_add_target(to, t->path, t->pos, t->size, err);
    }
    if (r < 0)
        bvi_chunk_done(to);
    return r;
}

uint64_t bvi_chunk_plain_bytes(const bvi_chunk *chunk)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < chunk->targets.len; i++) {
        if (__builtin_add_overflow(sum, chunk->targets.items[i].size, &sum))
            return UINT64_MAX;
    }
    return sum;
}

static int checksum_bytes(const bvi_json *list, bvi_checksum_kind kind, bvi_checksum *ret_sum,
                          bv_error **err)
{
    uint8_t bytes[BVI_CHECKSUM_BYTES_MAX];
    size_t count = bvi_json_count(list);
    size_t n = 0;

    if (count != bvi_checksum_len(kind))
        return bvi_fail(err, BV_E_FORMAT, "expected %zu bytes checksum, but %zu bytes found",
                        bvi_checksum_len(kind), count);
    bvi_json_each(item, list) {
        uint64_t value = 0;

        if (bvi_json_uint64(item, &value) < 0 || value > UINT8_MAX)
            return bvi_fail(err, BV_E_FORMAT, "checksum holds something that is not a byte");
        bytes[n++] = (uint8_t)value;
    }
    return bvi_checksum_set(ret_sum, kind, bytes, n, err);
}

int bvi_checksum_from_json(const bvi_json *node, bvi_checksum *ret_sum, bv_error **err)
{
    for (size_t i = 0; i < BVI_COUNT(checksum_kinds); i++) {
        const bvi_json *list = bvi_json_find(node, checksum_kinds[i].name);

        if (list && bvi_json_type_of(list) == BVI_JSON_ARRAY)
            return checksum_bytes(list, checksum_kinds[i].kind, ret_sum, err);
    }
    return bvi_fail(err, BV_E_FORMAT,
                    "missing checksum: expected sha1, sha256 or blake3 with a list of bytes");
}

bvi_json *bvi_checksum_to_json(const bvi_checksum *sum)
{
    bvi_auto_json bvi_json *node = bvi_json_new_object();
    bvi_auto_json bvi_json *list = bvi_json_new_array();

    if (!node || !list)
        return NULL;
    for (size_t i = 0; i < bvi_checksum_len(sum->kind); i++) {
        if (bvi_json_add(list, bvi_json_new_uint64(sum->bytes[i])) < 0)
            return NULL;
    }
    if (bvi_json_put(node, bvi_checksum_name(sum->kind), bvi_take(list)) < 0)
        return NULL;
    return bvi_take(node);
}

int bvi_compression_from_json(const bvi_json *node, bvi_compression *ret_compression,
                              bv_error **err)
{
    int64_t level = 0;

    if (bvi_json_type_of(node) == BVI_JSON_NULL) {
        *ret_compression = (bvi_compression){ .kind = BVI_CODEC_STORED };
        return 0;
    }
    if (bvi_json_type_of(node) != BVI_JSON_OBJECT || bvi_json_count(node) != 1 ||
        !bvi_json_find(node, "ZSTD"))
        return bvi_fail(err, BV_E_UNSUPPORTED,
                        "unknown compression: expected null or {\"ZSTD\": level}");
    if (bvi_json_int64(bvi_json_find(node, "ZSTD"), &level) < 0 || level < INT32_MIN ||
        level > INT32_MAX)
        return bvi_fail(err, BV_E_FORMAT, "the ZSTD level is not a 32-bit number");
    *ret_compression = (bvi_compression){ .kind = BVI_CODEC_ZSTD, .level = (int32_t)level };
    return 0;
}

bvi_json *bvi_compression_to_json(const bvi_compression *compression)
{
    bvi_auto_json bvi_json *node = NULL;

    if (compression->kind == BVI_CODEC_STORED)
        return bvi_json_new_null();
    node = bvi_json_new_object();
    if (!node || bvi_json_put_int64(node, "ZSTD", compression->level) < 0)
        return NULL;
    return bvi_take(node);
}

static int target_from_json(const bvi_json *node, bvi_chunk *chunk, bv_error **err)
{
    const char *path = NULL;
    uint64_t pos = 0;
    uint64_t size = 0;
    int r;

    r = bvi_json_get_string(node, "path", &path, err);
    if (r < 0)
        return r;
    r = bvi_json_get_uint64(node, bvi_json_find(node, "pos") ? "pos" : "position", &pos, err);
    if (r == 0)
        r = bvi_json_get_uint64(node, "size", &size, err);
    if (r < 0)
        return bvi_wrap(err, r, "destination '%s'", path);
    return bvi_chunk_add_target(chunk, path, pos, size, err);
}

static int read_chunk(const bvi_json *node, uint32_t position, bvi_chunk *chunk, bv_error **err)
{
    const bvi_json *targets = NULL;
    const char *key = NULL;
    const char *url = NULL;
    uint64_t index = position;
    int r;

    r = bvi_json_opt_uint64(node, "index", &index, err);
    if (r < 0)
        return r;
    if (index > UINT32_MAX)
        return bvi_fail(err, BV_E_FORMAT, "'index' is out of range");
    chunk->index = (uint32_t)index;
    if ((r = bvi_json_opt_string(node, "key", &key, err)) < 0 ||
        (r = bvi_chunk_set_key(chunk, key, err)) < 0 ||
        (r = bvi_json_opt_string(node, "url", &url, err)) < 0 ||
        (r = bvi_chunk_set_url(chunk, url && *url ? url : NULL, err)) < 0 ||
        (r = bvi_json_get_uint64(node, "size", &chunk->size, err)) < 0 ||
        (r = bvi_checksum_from_json(bvi_json_find(node, "checksum"), &chunk->checksum, err)) < 0 ||
        (r = bvi_json_get_array(node, "destinations", &targets, err)) < 0)
        return r;
    bvi_json_each(target, targets) {
        r = target_from_json(target, chunk, err);
        if (r < 0)
            return r;
    }
    return 0;
}

int bvi_chunk_from_json(const bvi_json *node, uint32_t position, bvi_chunk *ret_chunk,
                        bv_error **err)
{
    bvi_chunk chunk;
    int r;

    bvi_chunk_init(&chunk);
    r = read_chunk(node, position, &chunk, err);
    if (r < 0) {
        bvi_chunk_done(&chunk);
        return bvi_wrap(err, r, "chunk %u", position);
    }
    *ret_chunk = chunk;
    return 0;
}

static bvi_json *target_to_json(const bvi_target *target, const char *pos_name)
{
    bvi_auto_json bvi_json *node = bvi_json_new_object();

    if (!node || bvi_json_put_string(node, "path", target->path) < 0 ||
        bvi_json_put_uint64(node, pos_name, target->pos) < 0 ||
        bvi_json_put_uint64(node, "size", target->size) < 0)
        return NULL;
    return bvi_take(node);
}

static bvi_json *targets_to_json(const bvi_chunk *chunk, const char *pos_name)
{
    bvi_auto_json bvi_json *list = bvi_json_new_array();

    if (!list)
        return NULL;
    for (size_t i = 0; i < chunk->targets.len; i++) {
        if (bvi_json_add(list, target_to_json(&chunk->targets.items[i], pos_name)) < 0)
            return NULL;
    }
    return bvi_take(list);
}

int bvi_chunk_to_json(const bvi_chunk *chunk, const char *pos_name, bvi_json **ret_node,
                      bv_error **err)
{
    bvi_auto_json bvi_json *node = bvi_json_new_object();

    if (!node || bvi_json_put_uint64(node, "index", chunk->index) < 0 ||
        bvi_json_put_string(node, "key", chunk->key ? chunk->key : "") < 0 ||
        bvi_json_put(node, "url", bvi_json_new_string(chunk->url)) < 0 ||
        bvi_json_put(node, "checksum", bvi_checksum_to_json(&chunk->checksum)) < 0 ||
        bvi_json_put_uint64(node, "size", chunk->size) < 0 ||
        bvi_json_put(node, "destinations", targets_to_json(chunk, pos_name)) < 0)
        return bvi_fail_nomem(err);
    *ret_node = bvi_take(node);
    return 0;
}
