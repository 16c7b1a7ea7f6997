/*
 * utf8.c - UTF-8 by hand: validation, decoding, encoding.
 */
#include "base/utf8.h"

static const struct {
    unsigned char mask, lead;
    uint8_t bytes;
    uint32_t least;
} forms[] = {
    { 0x80, 0x00, 1, 0 },
    { 0xE0, 0xC0, 2, 0x80 },
    { 0xF0, 0xE0, 3, 0x800 },
    { 0xF8, 0xF0, 4, 0x10000 },
};

static bool is_scalar(uint32_t value)
{
    return value <= 0x10FFFF && !(value >= 0xD800 && value <= 0xDFFF);
}

int32_t bvi_utf8_decode(const char *text, size_t len, size_t *ret_used)
{
    unsigned char lead = (unsigned char)text[0];

    *ret_used = 1;
    for (size_t i = 0; i < BVI_COUNT(forms); i++) {
        uint32_t value = lead & (unsigned char)~forms[i].mask;

        if ((lead & forms[i].mask) != forms[i].lead)
            continue;
        if (forms[i].bytes > len)
            return -1;
        for (size_t k = 1; k < forms[i].bytes; k++) {
            unsigned char c = (unsigned char)text[k];

            if ((c & 0xC0) != 0x80)
                return -1;
            value = value << 6 | (c & 0x3Fu);
        }
        if (value < forms[i].least || !is_scalar(value))
            return -1;
        *ret_used = forms[i].bytes;
        return (int32_t)value;
    }
    return -1;
}

bool bvi_utf8_valid(const char *text, size_t len)
{
    size_t used = 0;

    for (size_t i = 0; i < len; i += used) {
        if (bvi_utf8_decode(text + i, len - i, &used) < 0)
            return false;
    }
    return true;
}

size_t bvi_utf8_encode(uint32_t scalar, char out[4])
{
    if (!is_scalar(scalar))
        return 0;
    if (scalar < 0x80) {
        out[0] = (char)scalar;
        return 1;
    }
    if (scalar < 0x800) {
        out[0] = (char)(0xC0 | scalar >> 6);
        out[1] = (char)(0x80 | (scalar & 0x3F));
        return 2;
    }
    if (scalar < 0x10000) {
        out[0] = (char)(0xE0 | scalar >> 12);
        out[1] = (char)(0x80 | (scalar >> 6 & 0x3F));
        out[2] = (char)(0x80 | (scalar & 0x3F));
        return 3;
    }
    out[0] = (char)(0xF0 | scalar >> 18);
    out[1] = (char)(0x80 | (scalar >> 12 & 0x3F));
    out[2] = (char)(0x80 | (scalar >> 6 & 0x3F));
    out[3] = (char)(0x80 | (scalar & 0x3F));
    return 4;
}

bool bvi_utf8_is_space(int32_t c)
{
    return c == ' ' || (c >= '\t' && c <= '\r') || c == 0x85 || c == 0xa0 || c == 0x1680 ||
           (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 || c == 0x202f ||
           c == 0x205f || c == 0x3000;
}
