/*
 * id.c - random identifiers, and the alphabet of names.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "base/id.h"

int bvi_random_bytes(void *bytes, size_t len, bv_error **err)
{
    unsigned char *at = bytes;

    while (len) {
        ssize_t n = getrandom(at, len, 0);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return bvi_fail_sys(err, errno, "cannot read random bytes");
        at += n;
        len -= (size_t)n;
    }
    return 0;
}

int bvi_id_new(char text[BVI_ID_TEXT_SIZE], bv_error **err)
{
    unsigned char b[16] = { 0 };
    int r = bvi_random_bytes(b, sizeof(b), err);

    if (r < 0)
        return r;
    b[6] = (unsigned char)((b[6] & 0x0F) | 0x40);
    b[8] = (unsigned char)((b[8] & 0x3F) | 0x80);
    (void)snprintf(text, BVI_ID_TEXT_SIZE,
                   "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0],
                   b[1], b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13],
                   b[14], b[15]); /* exactly 36 characters */
    return 0;
}

bool bvi_id_valid(const char *text)
{
    if (strlen(text) != BVI_ID_TEXT_SIZE - 1)
        return false;
    for (size_t i = 0; i < BVI_ID_TEXT_SIZE - 1; i++) {
        bool dash = i == 8 || i == 13 || i == 18 || i == 23;

        if (dash ? text[i] != '-' : !strchr("0123456789abcdef", text[i]))
            return false;
    }
    return true;
}

static bool is_alnum(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

bool bvi_name_valid(const char *text, size_t max)
{
    size_t len = strlen(text);

    if (len == 0 || len > max || !is_alnum(text[0]) || strstr(text, ".."))
        return false;
    for (size_t i = 0; i < len; i++) {
        if (!is_alnum(text[i]) && !strchr("._-", text[i]))
            return false;
    }
    return true;
}
