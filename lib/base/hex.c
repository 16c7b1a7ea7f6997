/*
 * hex.c - bytes as hexadecimal text.
 */
#include <string.h>

#include "base/hex.h"

void bvi_hex_encode(const void *bytes, size_t len, char *ret_text)
{
    const unsigned char *at = bytes;

    for (size_t i = 0; i < len; i++) {
        ret_text[2 * i] = "0123456789abcdef"[at[i] >> 4];
        ret_text[2 * i + 1] = "0123456789abcdef"[at[i] & 15];
    }
    ret_text[2 * len] = '\0';
}

static int digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

bool bvi_hex_decode(const char *text, void *ret_bytes, size_t len)
{
    unsigned char *to = ret_bytes;

    if (strlen(text) != len * 2)
        return false;
    for (size_t i = 0; i < len; i++) {
        int high = digit(text[2 * i]);
        int low = digit(text[2 * i + 1]);

        if (high < 0 || low < 0)
            return false;
        to[i] = (unsigned char)(high << 4 | low);
    }
    return true;
}
