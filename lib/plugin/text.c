/*
 * text.c - quoting for the shell, hexadecimal numbers. See text.h.
 */
#include <string.h>

#include "base/buf.h"
#include "base/utf8.h"
#include "plugin/alnum_table.h"
#include "plugin/text.h"

/* A command line cannot hold more anyway. */
#define SH_PARAM_MAX (1024u * 1024u)

static bool is_alnum(uint32_t c)
{
    size_t low = 0;
    size_t high = BVI_COUNT(alnum_ranges);

    if (c < 0x80)
        return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    while (low < high) {
        size_t middle = (low + high) / 2;

        if (c > alnum_ranges[middle].last)
            low = middle + 1;
        else if (c < alnum_ranges[middle].first)
            high = middle;
        else
            return true;
    }
    return false;
}

static int append_safe(bvi_buf *out, const char *text, size_t len, int32_t c, bv_error **err)
{
    if (c == '\'')
        return bvi_fail(err, BV_E_INVALID, "Very unsafe subsitution >:( '");
    if (c == '"')
        return bvi_buf_append_str(out, "\\\"");
    if (c == '\n')
        return bvi_buf_append_str(out, "\\n");
    if (c > 0 && (is_alnum((uint32_t)c) || (c < 0x80 && strchr("/:{},-_. ", c))))
        return bvi_buf_append(out, text, len);
    return bvi_fail(err, BV_E_INVALID, "Shell unsafe character detected: %.*s", (int)len, text);
}

int bvi_sanitize_sh_param(const char *text, size_t len, char **ret_quoted, bv_error **err)
{
    BVI_AUTO(bvi_buf_done) bvi_buf out = BVI_BUF_INIT(SH_PARAM_MAX);
    bool full = bvi_buf_append_char(&out, '"') < 0;
    char *quoted;

    for (size_t at = 0, used = 0; at < len && !full; at += used) {
        int32_t c = bvi_utf8_decode(text + at, len - at, &used);
        int r = append_safe(&out, text + at, used, c, err);

        if (r == BV_E_INVALID)
            return r;
        full = r < 0;
    }
    if (full || bvi_buf_append_char(&out, '"') < 0)
        return len > SH_PARAM_MAX / 2
                   ? bvi_fail(err, BV_E_LIMIT, "longer than %u bytes", SH_PARAM_MAX)
                   : bvi_fail_nomem(err);
    quoted = bvi_buf_take(&out);
    if (!quoted)
        return bvi_fail_nomem(err);
    *ret_quoted = quoted;
    return 0;
}

static int digit_of(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

int bvi_parse_hex(const char *text, size_t len, int64_t *ret_value, bv_error **err)
{
    const char *end = text + len;
    bool negative;
    uint64_t limit;
    uint64_t value = 0;

    if (len >= 2 && memcmp(text, "0x", 2) == 0)
        text += 2;
    if (text == end)
        return bvi_fail(err, BV_E_INVALID, "cannot parse integer from empty string");
    negative = *text == '-';
    limit = (uint64_t)INT64_MAX + (negative ? 1 : 0);
    if (*text == '-' || *text == '+')
        text++;
    if (text == end)
        return bvi_fail(err, BV_E_INVALID, "invalid digit found in string");
    for (; text < end; text++) {
        int digit = digit_of(*text);

        if (digit < 0)
            return bvi_fail(err, BV_E_INVALID, "invalid digit found in string");
        if (value > (limit - (uint64_t)digit) / 16)
            return bvi_fail(err, BV_E_INVALID, "number too %s to fit in target type",
                            negative ? "small" : "large");
        value = value * 16 + (uint64_t)digit;
    }
    *ret_value = negative ? (int64_t)(0 - value) : (int64_t)value;
    return 0;
}
