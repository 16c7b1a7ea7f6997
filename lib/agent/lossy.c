/*
 * lossy.c - replacing what is not UTF-8. Pure.
 */
#include "agent/lossy.h"
#include "base/error.h"
#include "base/utf8.h"

#define REPLACEMENT "\xEF\xBF\xBD"

/* What a lead byte promises: how many bytes follow, and between which bounds the first of them has
 * to be. */
static size_t promised(unsigned char lead, unsigned char *low, unsigned char *high)
{
    *low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
    *high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
    if (lead >= 0xC2 && lead <= 0xDF)
        return 1;
    if (lead >= 0xE0 && lead <= 0xEF)
        return 2;
    return lead >= 0xF0 && lead <= 0xF4 ? 3 : 0;
}

/* The length of a malformed sequence: as much of it as a well-formed one could begin with. */
static size_t malformed_length(const char *text, size_t len)
{
    unsigned char low, high;
    size_t want = promised((unsigned char)text[0], &low, &high);
    size_t n = 1;

    while (n <= want && n < len) {
        unsigned char c = (unsigned char)text[n];

        if (c < low || c > high)
            break;
        low = 0x80;
        high = 0xBF;
        n++;
    }
    return n;
}

int bvi_append_lossy_utf8(bvi_buf *to, const char *bytes, size_t len)
{
    size_t start = 0;
    size_t at = 0;
    int r = 0;

    while (at < len && r >= 0) {
        size_t used = 1;

        if ((unsigned char)bytes[at] < 0x80 || bvi_utf8_decode(bytes + at, len - at, &used) >= 0) {
            at += used;
            continue;
        }
        r = bvi_buf_append(to, bytes + start, at - start);
        if (r >= 0)
            r = bvi_buf_append_str(to, REPLACEMENT);
        at += malformed_length(bytes + at, len - at);
        start = at;
    }
    return r < 0 ? r : bvi_buf_append(to, bytes + start, at - start);
}
