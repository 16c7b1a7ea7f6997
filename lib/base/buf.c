/*
 * buf.c - growable byte buffers with a maximum.
 */
#include <stdio.h>
#include <string.h>

#include <blockvisor/error.h>

#include "base/buf.h"

/* First allocation; most buffers hold a line or a small document. */
#define BUF_FIRST 128u

void bvi_buf_init(bvi_buf *buf, size_t max_bytes)
{
    *buf = (bvi_buf)BVI_BUF_INIT(max_bytes);
}

void bvi_buf_charge_to(bvi_buf *buf, bvi_buf_charge_fn charge, void *owner)
{
    buf->charge = charge;
    buf->owner = owner;
}

static int charge(const bvi_buf *buf, size_t old_bytes, size_t new_bytes)
{
    return buf->charge ? buf->charge(buf->owner, old_bytes, new_bytes) : 0;
}

void bvi_buf_done(bvi_buf *buf)
{
    (void)charge(buf, buf->cap, 0); /* giving back cannot fail */
    bvi_free(buf->data);
    buf->data = NULL;
    buf->len = buf->cap = 0;
}

void bvi_buf_clear(bvi_buf *buf)
{
    buf->len = 0;
    if (buf->data)
        buf->data[0] = '\0';
}

int bvi_buf_reserve(bvi_buf *buf, size_t more)
{
    size_t cap = buf->cap ? buf->cap : BUF_FIRST;
    size_t need;
    char *data;
    int r;

    if (more > buf->max || buf->len > buf->max - more)
        return BV_E_LIMIT;
    need = buf->len + more;
    if (need >= SIZE_MAX / 2)
        return BV_E_NOMEM;  /* keeps the sums here from wrapping */
    if (++need <= buf->cap) /* and the zero */
        return 0;
    while (cap < need)
        cap *= 2;
    if (cap - 1 > buf->max)
        cap = buf->max + 1; /* no more than will ever be used */
    r = charge(buf, buf->cap, cap);
    if (r < 0)
        return r;
    data = bvi_realloc(buf->data, cap);
    if (!data) {
        (void)charge(buf, cap, buf->cap);
        return BV_E_NOMEM;
    }
    buf->data = data;
    buf->cap = cap;
    buf->data[buf->len] = '\0';
    return 0;
}

int bvi_buf_append(bvi_buf *buf, const void *bytes, size_t len)
{
    int r = bvi_buf_reserve(buf, len);

    if (r < 0)
        return r;
    if (len)
        memcpy(buf->data + buf->len, bytes, len);
    buf->len += len;
    buf->data[buf->len] = '\0';
    return 0;
}

int bvi_buf_append_str(bvi_buf *buf, const char *text)
{
    return bvi_buf_append(buf, text, strlen(text));
}

int bvi_buf_append_char(bvi_buf *buf, char c)
{
    return bvi_buf_append(buf, &c, 1);
}

int bvi_buf_vprintf(bvi_buf *buf, const char *fmt, va_list args)
{
    va_list again;
    int len, r;

    va_copy(again, args);
    len = vsnprintf(NULL, 0, fmt, again);
    va_end(again);
    if (len < 0)
        return BV_E_INVALID;
    r = bvi_buf_reserve(buf, (size_t)len);
    if (r < 0)
        return r;
    (void)vsnprintf(buf->data + buf->len, (size_t)len + 1, fmt, args); /* measured above */
    buf->len += (size_t)len;
    return 0;
}

int bvi_buf_printf(bvi_buf *buf, const char *fmt, ...)
{
    va_list args;
    int r;

    va_start(args, fmt);
    r = bvi_buf_vprintf(buf, fmt, args);
    va_end(args);
    return r;
}

void bvi_buf_consume(bvi_buf *buf, size_t len)
{
    if (len >= buf->len) {
        bvi_buf_clear(buf);
        return;
    }
    memmove(buf->data, buf->data + len, buf->len - len);
    buf->len -= len;
    buf->data[buf->len] = '\0';
}

const char *bvi_buf_str(const bvi_buf *buf)
{
    return buf->data ? buf->data : "";
}

char *bvi_buf_take(bvi_buf *buf)
{
    char *data = buf->data ? buf->data : bvi_strndup("", 0);

    (void)charge(buf, buf->cap, 0);
    buf->data = NULL;
    buf->len = buf->cap = 0;
    return data;
}
