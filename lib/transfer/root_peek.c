/*
 * root_peek.c - see root_peek.h. A scan over the members of one JSON object that may be cut off.
 */
#include <string.h>

#include "transfer/root_peek.h"

typedef struct scan {
    const char *at;
    const char *end;
} scan;

static void skip_blanks(scan *s)
{
    while (s->at < s->end && memchr(" \t\r\n", *s->at, 4))
        s->at++;
}

static bool take(scan *s, char c)
{
    skip_blanks(s);
    if (s->at == s->end || *s->at != c)
        return false;
    s->at++;
    return true;
}

/* Behind the end of a string whose first quote was passed; false: it is cut off. */
static bool skip_string(scan *s)
{
    for (; s->at < s->end; s->at++) {
        if (*s->at == '"') {
            s->at++;
            return true;
        }
        if (*s->at == '\\')
            s->at++;
    }
    return false;
}

/* Behind one value of any kind; false: it is cut off. */
static bool skip_value(scan *s)
{
    size_t depth = 0;

    skip_blanks(s);
    while (s->at < s->end) {
        char c = *s->at;

        if (depth == 0 && (c == ',' || c == '}' || c == ']'))
            return true;
        s->at++;
        if (c == '"' && !skip_string(s))
            return false;
        depth += c == '{' || c == '[';
        if (c == '}' || c == ']')
            depth--;
    }
    return false;
}

static int take_compression(const bvi_json *value, bvi_snapshot_info *info, bv_error **err)
{
    const char *codec = "stored";
    int64_t level = 0;
    int r = bvi_json_opt_string(value, "codec", &codec, err);

    if (r == 0)
        r = bvi_json_opt_int64(value, "level", &level, err);
    if (r == 0 && strcmp(codec, "zstd") == 0)
        info->compression = (bvi_compression){ BVI_CODEC_ZSTD, (int32_t)level };
    return r;
}

static int take_member(const char *name, const bvi_json *value, bvi_snapshot_info *info,
                       bool *is_root, bv_error **err)
{
    const struct {
        const char *name;
        uint64_t *to;
    } numbers[] = {
        { "plain_bytes", &info->total_bytes },
        { "stored_bytes", &info->stored_bytes },
        { "chunks", &info->chunks },
    };

    for (size_t i = 0; i < BVI_COUNT(numbers); i++) {
        if (strcmp(numbers[i].name, name) == 0 && bvi_json_uint64(value, numbers[i].to) < 0)
            return bvi_fail(err, BV_E_FORMAT, "'%s' is no number", name);
    }
    if (strcmp(name, "created_us") == 0 && bvi_json_int64(value, &info->created_us) < 0)
        return bvi_fail(err, BV_E_FORMAT, "'%s' is no number", name);
    if (strcmp(name, "format") == 0)
        *is_root =
            bvi_json_string(value) && strcmp(bvi_json_string(value), "blockvisor-snapshot") == 0;
    return strcmp(name, "compression") == 0 ? take_compression(value, info, err) : 0;
}

/* One member as a document of its own, so that the strict parser judges it. */
static int read_member(const char *from, const char *end, bvi_snapshot_info *info, bool *is_root,
                       bv_error **err)
{
    bvi_auto_free char *text = bvi_asprintf("{%.*s}", (int)(end - from), from);
    bvi_auto_json bvi_json *member = NULL;
    const bvi_json *value;
    int r;

    if (!text)
        return bvi_fail_nomem(err);
    r = bvi_json_parse(text, strlen(text), &member, err);
    if (r < 0)
        return r;
    value = bvi_json_first(member);
    return value ? take_member(bvi_json_key(value), value, info, is_root, err) : 0;
}

int bvi_root_peek(const char *text, size_t len, bvi_snapshot_info *info, bv_error **err)
{
    scan s = { text, text + len };
    bool is_root = false;
    bool more = take(&s, '{');

    info->format = BVI_STORE_SNAPSHOT;
    while (more) {
        const char *from = s.at;
        int r;

        if (!take(&s, '"') || !skip_string(&s) || !take(&s, ':') || !skip_value(&s))
            break; /* cut off, here or in a large member */
        r = read_member(from, s.at, info, &is_root, err);
        if (r < 0)
            return r;
        more = take(&s, ',');
    }
    return is_root ? 0 : bvi_fail(err, BV_E_FORMAT, "it is not the root of a snapshot");
}
