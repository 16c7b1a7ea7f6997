/*
 * buf.h - a growable run of bytes with a maximum. See doc/dev/buf.md.
 *
 * The content is always followed by a zero byte that does not count, so text can be passed on as it
 * is. Append functions return 0, BV_E_NOMEM, or BV_E_LIMIT when the maximum would be passed; the
 * content is then unchanged. What is appended must not lie inside the buffer itself.
 */
#ifndef BVI_BASE_BUF_H
#define BVI_BASE_BUF_H

#include "base/mem.h"

/* Told before storage grows (0 or a negative code: then it does not), shrinks or goes. Giving back
 * cannot fail. */
typedef int (*bvi_buf_charge_fn)(void *owner, size_t old_bytes, size_t new_bytes);

typedef struct bvi_buf {
    char *data; /* NULL until the first byte; use bvi_buf_str() for text */
    size_t len;
    size_t cap;
    size_t max;               /* content never grows beyond it */
    bvi_buf_charge_fn charge; /* NULL: nobody counts the storage */
    void *owner;
} bvi_buf;

#define BVI_BUF_INIT(max_bytes)                                                                    \
    {                                                                                              \
        .max = (max_bytes)                                                                         \
    }

void bvi_buf_init(bvi_buf *buf, size_t max_bytes);
/* The storage counts against an account of the owner's from now on; before the first byte only. */
void bvi_buf_charge_to(bvi_buf *buf, bvi_buf_charge_fn charge, void *owner);
void bvi_buf_done(bvi_buf *buf);
void bvi_buf_clear(bvi_buf *buf);               /* keeps the storage */
int bvi_buf_reserve(bvi_buf *buf, size_t more); /* room for so many further bytes */
int bvi_buf_append(bvi_buf *buf, const void *bytes, size_t len);
int bvi_buf_append_str(bvi_buf *buf, const char *text);
int bvi_buf_append_char(bvi_buf *buf, char c);
int bvi_buf_printf(bvi_buf *buf, const char *fmt, ...) BV_PRINTF(2, 3);
int bvi_buf_vprintf(bvi_buf *buf, const char *fmt, va_list args);
void bvi_buf_consume(bvi_buf *buf, size_t len); /* drops bytes from the front */
const char *bvi_buf_str(const bvi_buf *buf);    /* never NULL */
char *
bvi_buf_take(bvi_buf *buf); /* the zero-terminated content, now the caller's; NULL: no memory */

#endif
