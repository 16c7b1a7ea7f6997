/*
 * manifest.c - a manifest in memory, and its two JSON objects in a store.
 *
 * A body can be hundreds of megabytes (one destination for each small file), so it is never decoded
 * as a whole: we walk over the text ourselves, only far enough to find each chunk's object, and
 * decode one chunk at a time. The walk is deliberately lax; what it cuts out is parsed strictly.
 * Pure; any thread.
 */
#include <string.h>

#include "transfer/manifest.h"
#include "transfer/path.h"

void bvi_manifest_init(bvi_manifest *manifest)
{
    *manifest = (bvi_manifest){
        .chunks = BVI_VEC_INIT(BVI_CHUNKS_MAX),
        .files = BVI_VEC_INIT(BVI_TARGETS_MAX),
    };
}

void bvi_manifest_done(bvi_manifest *manifest)
{
    for (size_t i = 0; i < manifest->chunks.len; i++)
        bvi_chunk_done(&manifest->chunks.items[i]);
    bvi_vec_done(&manifest->chunks);
    bvi_vec_done(&manifest->files);
    bvi_manifest_init(manifest);
}

bvi_chunk *bvi_manifest_add_chunk(bvi_manifest *manifest)
{
    bvi_chunk *chunk = bvi_vec_push(&manifest->chunks);

    if (chunk) {
        bvi_chunk_init(chunk);
        chunk->index = (uint32_t)(manifest->chunks.len - 1);
    }
    return chunk;
}

const bvi_manifest_file *bvi_manifest_find(const bvi_manifest *manifest, const char *path)
{
    size_t low = 0;
    size_t high = manifest->files.len;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = bvi_target_path_compare(path, manifest->files.items[middle].path);

        if (order == 0)
            return &manifest->files.items[middle];
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

/* ---- header ---- */

static int read_header(const bvi_json *root, bvi_manifest_header *header, bv_error **err)
{
    uint64_t chunks = 0;
    int r;

    r = bvi_json_get_uint64(root, "total_size", &header->total_size, err);
    if (r == 0)
        r = bvi_json_get_uint64(root, "chunks", &chunks, err);
    if (r == 0)
        r = bvi_compression_from_json(bvi_json_find(root, "compression"), &header->compression,
                                      err);
    if (r < 0)
        return r;
    if (chunks > BVI_CHUNKS_MAX)
        return bvi_fail(err, BV_E_LIMIT, "%llu chunks are more than %u", (unsigned long long)chunks,
                        BVI_CHUNKS_MAX);
    header->chunks = (uint32_t)chunks;
    return 0;
}

int bvi_manifest_header_parse(const char *text, size_t len, bvi_manifest_header *ret_header,
                              bv_error **err)
{
    bvi_auto_json bvi_json *root = NULL;
    bvi_manifest_header header = { 0 };
    int r;

    if (len > BVI_MANIFEST_HEADER_MAX)
        return bvi_fail(err, BV_E_LIMIT, "manifest header is larger than %u bytes",
                        BVI_MANIFEST_HEADER_MAX);
    r = bvi_json_parse(text, len, &root, err);
    if (r == 0)
        r = read_header(root, &header, err);
    if (r < 0)
        return bvi_wrap(err, r, "manifest header");
    *ret_header = header;
    return 0;
}

int bvi_manifest_header_print(const bvi_manifest *manifest, char **ret_text, size_t *ret_len,
                              bv_error **err)
{
    bvi_auto_json bvi_json *root = bvi_json_new_object();
    char *text = NULL;
    int r;

    if (!root || bvi_json_put_uint64(root, "total_size", manifest->total_size) < 0 ||
        bvi_json_put(root, "compression", bvi_compression_to_json(&manifest->compression)) < 0 ||
        bvi_json_put_uint64(root, "chunks", manifest->chunks.len) < 0)
        return bvi_fail_nomem(err);
    r = bvi_json_print(root, false, &text, err);
    if (r < 0)
        return r;
    *ret_len = strlen(text);
    *ret_text = text;
    return 0;
}

/* ---- body ---- */

typedef struct walker {
    const char *at;
    const char *end;
} walker;

static char peek(walker *w)
{
    while (w->at < w->end && (*w->at == ' ' || *w->at == '\t' || *w->at == '\n' || *w->at == '\r'))
        w->at++;
    return w->at < w->end ? *w->at : '\0';
}

static bool eat(walker *w, char c)
{
    if (peek(w) != c || w->at == w->end)
        return false;
    w->at++;
    return true;
}

static int malformed(const char *what, bv_error **err)
{
    return bvi_fail(err, BV_E_FORMAT, "not JSON: %s", what);
}

/* cJSON ends a string at an escaped NUL, which would turn "a\u0000b" into "a": refuse it here. */
static int walk_string(walker *w, bv_error **err)
{
    if (!eat(w, '"'))
        return malformed("a string is missing", err);
    for (; w->at < w->end; w->at++) {
        if (*w->at == '"') {
            w->at++;
            return 0;
        }
        if (*w->at != '\\')
            continue;
        if (w->end - w->at > 5 && memcmp(w->at, "\\u0000", 6) == 0)
            return bvi_fail(err, BV_E_FORMAT, "a string holds a NUL character");
        w->at++;
    }
    return malformed("a string does not end", err);
}

static int walk_value(walker *w, bv_error **err)
{
    size_t depth = 0;

    do {
        char c = peek(w);

        if (w->at == w->end)
            return malformed("the text ends early", err);
        if (c == '"') {
            int r = walk_string(w, err);

            if (r < 0)
                return r;
            continue;
        }
        if (depth == 0 && (c == ',' || c == ':' || c == '}' || c == ']'))
            return malformed("a value is missing", err);
        if (c == '{' || c == '[')
            depth++;
        else if (c == '}' || c == ']')
            depth--;
        w->at++;
        if (depth == 0 && c != '}' && c != ']') { /* number or word */
            while (w->at < w->end && !strchr(",:{}[]\" \t\r\n", *w->at))
                w->at++;
        }
    } while (depth > 0);
    return 0;
}

static int body_chunk(walker *w, bvi_manifest *manifest, bv_error **err)
{
    bvi_auto_json bvi_json *node = NULL;
    uint32_t position = (uint32_t)manifest->chunks.len;
    const char *start = (peek(w), w->at);
    bvi_chunk *chunk;
    int r;

    r = walk_value(w, err);
    if (r == 0 && (size_t)(w->at - start) > BVI_MANIFEST_CHUNK_TEXT_MAX)
        r = bvi_fail(err, BV_E_LIMIT, "its description is larger than %u bytes",
                     BVI_MANIFEST_CHUNK_TEXT_MAX);
    if (r == 0)
        r = bvi_json_parse(start, (size_t)(w->at - start), &node, err);
    if (r < 0)
        return bvi_wrap(err, r, "chunk %u", position);
    if (position >= BVI_CHUNKS_MAX)
        return bvi_fail(err, BV_E_LIMIT, "more than %u chunks", BVI_CHUNKS_MAX);
    chunk = bvi_manifest_add_chunk(manifest);
    if (!chunk)
        return bvi_fail_nomem(err);
    r = bvi_chunk_from_json(node, position, chunk, err);
    if (r == 0)
        chunk->index = position; /* the position is what counts, transfer.md 1.3 */
    return r;
}

static int body_chunks(walker *w, bvi_manifest *manifest, bv_error **err)
{
    if (!eat(w, '['))
        return bvi_fail(err, BV_E_FORMAT, "'chunks' is not a list");
    if (eat(w, ']'))
        return 0;
    do {
        int r = body_chunk(w, manifest, err);

        if (r < 0)
            return r;
    } while (eat(w, ','));
    return eat(w, ']') ? 0 : malformed("the list of chunks does not end", err);
}

static int body_member(walker *w, bvi_manifest *manifest, bool *found, bv_error **err)
{
    static const char wanted[] = "\"chunks\"";
    const char *key = (peek(w), w->at);
    bool is_chunks;
    int r = walk_string(w, err);

    if (r < 0)
        return r;
    is_chunks =
        (size_t)(w->at - key) == sizeof(wanted) - 1 && memcmp(key, wanted, sizeof(wanted) - 1) == 0;
    if (!eat(w, ':'))
        return malformed("a ':' is missing", err);
    if (!is_chunks)
        return walk_value(w, err);
    if (*found)
        return bvi_fail(err, BV_E_FORMAT, "'chunks' is there twice");
    *found = true;
    return body_chunks(w, manifest, err);
}

static int walk_body(walker *w, bvi_manifest *manifest, bv_error **err)
{
    bool found = false;

    if (!eat(w, '{'))
        return malformed("an object is missing", err);
    do {
        int r = body_member(w, manifest, &found, err);

        if (r < 0)
            return r;
    } while (eat(w, ','));
    if (!eat(w, '}') || (peek(w), w->at != w->end))
        return malformed("the text does not end with the object", err);
    return found ? 0 : bvi_fail(err, BV_E_FORMAT, "'chunks' is missing");
}

int bvi_manifest_body_parse(const char *text, size_t len, bvi_manifest *manifest, bv_error **err)
{
    walker w = { .at = text, .end = text + len };
    int r;

    if (len > BVI_MANIFEST_BODY_MAX)
        return bvi_fail(err, BV_E_LIMIT, "manifest body is larger than %u bytes",
                        BVI_MANIFEST_BODY_MAX);
    r = walk_body(&w, manifest, err);
    return r < 0 ? bvi_wrap(err, r, "manifest body") : 0;
}

static int print_chunk(const bvi_chunk *chunk, bvi_buf *text, bv_error **err)
{
    bvi_auto_json bvi_json *node = NULL;
    bvi_auto_free char *line = NULL;
    int r;

    r = bvi_chunk_to_json(chunk, "position", &node, err);
    if (r < 0)
        return r;
    bvi_json_remove(node, "url"); /* URLs are secrets and expire */
    if (bvi_json_put(node, "url", bvi_json_new_string("")) < 0)
        return bvi_fail_nomem(err);
    r = bvi_json_print(node, false, &line, err);
    if (r < 0)
        return r;
    r = bvi_buf_append_str(text, line);
    return r < 0 ? bvi_fail(err, r, "manifest body is larger than %zu bytes", text->max) : 0;
}

int bvi_manifest_body_print(const bvi_manifest *manifest, bvi_buf *text, bv_error **err)
{
    int r = bvi_buf_append_str(text, "{\"chunks\":[");

    for (size_t i = 0; r == 0 && i < manifest->chunks.len; i++) {
        if (i > 0)
            r = bvi_buf_append_char(text, ',');
        if (r == 0) {
            r = print_chunk(&manifest->chunks.items[i], text, err);
            if (r < 0)
                return r;
        }
    }
    if (r == 0)
        r = bvi_buf_append_str(text, "]}");
    return r < 0 ? bvi_fail(err, r, "manifest body does not fit into %zu bytes", text->max) : 0;
}
