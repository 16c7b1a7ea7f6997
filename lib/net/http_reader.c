/*
 * http_reader.c - one HTTP/1.1 response, piece by piece.
 */
#include <string.h>
#include <strings.h>

#include "net/http_reader.h"

void bvi_http_reader_init(bvi_http_reader *reader, bvi_http_body_fn on_body, void *data)
{
    memset(reader, 0, sizeof(*reader));
    bvi_buf_init(&reader->line, BVI_HTTP_LINE_MAX);
    reader->on_body = on_body;
    reader->data = data;
}

void bvi_http_reader_done(bvi_http_reader *reader)
{
    bvi_buf_done(&reader->line);
}

/* ---- numbers ---- */

static int digit_value(char c, int base)
{
    int value = c >= '0' && c <= '9'   ? c - '0'
                : c >= 'a' && c <= 'f' ? c - 'a' + 10
                : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                       : 16;

    return value < base ? value : -1;
}

/* Digits at the beginning of a text; false when there are none or too many. */
static bool read_number(const char *text, int base, uint64_t *ret_value)
{
    uint64_t value = 0;
    size_t i = 0;

    for (; digit_value(text[i], base) >= 0; i++) {
        if (value > (UINT64_MAX >> 5))
            return false;
        value = value * (uint64_t)base + (uint64_t)digit_value(text[i], base);
    }
    *ret_value = value;
    return i > 0;
}

/* ---- lines ---- */

static int read_status(bvi_http_reader *reader, const char *line, bv_error **err)
{
    uint64_t status = 0;

    if (strncmp(line, "HTTP/1.", 7) != 0 || !line[7] || line[8] != ' ' ||
        !read_number(line + 9, 10, &status) || status < 100 || status > 599)
        return bvi_fail(err, BV_E_FORMAT, "the answer is not HTTP");
    reader->status = (int)status;
    reader->part = BVI_HTTP_HEADER;
    return 0;
}

static const char *value_of(const char *line, const char *name)
{
    size_t len = strlen(name);

    if (strncasecmp(line, name, len) != 0 || line[len] != ':')
        return NULL;
    line += len + 1;
    return line + strspn(line, " \t");
}

static void end_head(bvi_http_reader *reader)
{
    if (reader->status < 200) /* "100 Continue": the answer is still to come */
        reader->part = BVI_HTTP_STATUS;
    else if (reader->chunked)
        reader->part = BVI_HTTP_CHUNK_SIZE;
    else if (reader->has_length && reader->left == 0)
        reader->part = BVI_HTTP_DONE;
    else
        reader->part = BVI_HTTP_BODY;
}

static int read_header(bvi_http_reader *reader, const char *line, bv_error **err)
{
    const char *length = value_of(line, "Content-Length");
    const char *encoding = value_of(line, "Transfer-Encoding");

    if (!*line) {
        end_head(reader);
        return 0;
    }
    if (++reader->headers > BVI_HTTP_HEADERS_MAX)
        return bvi_fail(err, BV_E_LIMIT, "the answer has more than %u headers",
                        BVI_HTTP_HEADERS_MAX);
    if (length) {
        reader->has_length = true;
        if (!read_number(length, 10, &reader->left))
            return bvi_fail(err, BV_E_FORMAT, "the answer's Content-Length is not a number");
    }
    if (encoding)
        reader->chunked = strcasecmp(encoding, "chunked") == 0;
    return 0;
}

static int read_size(bvi_http_reader *reader, const char *line, bv_error **err)
{
    if (!read_number(line, 16, &reader->left))
        return bvi_fail(err, BV_E_FORMAT, "the answer has a chunk without a size");
    reader->part = reader->left ? BVI_HTTP_CHUNK : BVI_HTTP_TRAILER;
    return 0;
}

static int take_line(bvi_http_reader *reader, const char *line, bv_error **err)
{
    switch (reader->part) {
    case BVI_HTTP_STATUS:
        return read_status(reader, line, err);
    case BVI_HTTP_HEADER:
        return read_header(reader, line, err);
    case BVI_HTTP_CHUNK_SIZE:
        return read_size(reader, line, err);
    case BVI_HTTP_CHUNK_END:
        reader->part = BVI_HTTP_CHUNK_SIZE;
        return *line ? bvi_fail(err, BV_E_FORMAT, "the answer has a chunk that is too long") : 0;
    default: /* trailer */
        if (!*line)
            reader->part = BVI_HTTP_DONE;
        return 0;
    }
}

/* Collects up to the end of a line; *used tells how much was taken. */
static int feed_line(bvi_http_reader *reader, const char *bytes, size_t len, size_t *used,
                     bv_error **err)
{
    const char *end = memchr(bytes, '\n', len);
    size_t part = end ? (size_t)(end - bytes) : len;
    int r = bvi_buf_append(&reader->line, bytes, part);

    if (r < 0)
        return bvi_fail(err, r, "the answer has a line of more than %u bytes", BVI_HTTP_LINE_MAX);
    *used = part + (end ? 1 : 0);
    if (!end)
        return 0;
    if (reader->line.len && reader->line.data[reader->line.len - 1] == '\r')
        reader->line.data[--reader->line.len] = '\0';
    r = take_line(reader, bvi_buf_str(&reader->line), err);
    bvi_buf_clear(&reader->line);
    return r;
}

static int feed_body(bvi_http_reader *reader, const char *bytes, size_t len, size_t *used,
                     bv_error **err)
{
    bool counted = reader->part == BVI_HTTP_CHUNK || reader->has_length;
    size_t part = counted && reader->left < len ? (size_t)reader->left : len;
    int r = reader->on_body(bytes, part, reader->data, err);

    *used = part;
    if (r < 0 || !counted)
        return r;
    reader->left -= part;
    if (reader->left == 0)
        reader->part = reader->part == BVI_HTTP_CHUNK ? BVI_HTTP_CHUNK_END : BVI_HTTP_DONE;
    return 0;
}

int bvi_http_reader_feed(bvi_http_reader *reader, const char *bytes, size_t len, bv_error **err)
{
    int r = 0;

    while (r == 0 && len > 0 && reader->part != BVI_HTTP_DONE) {
        size_t used = 0;

        if (reader->part == BVI_HTTP_BODY || reader->part == BVI_HTTP_CHUNK)
            r = feed_body(reader, bytes, len, &used, err);
        else
            r = feed_line(reader, bytes, len, &used, err);
        bytes += used;
        len -= used;
    }
    return r;
}

int bvi_http_reader_end(bvi_http_reader *reader, bv_error **err)
{
    if (reader->part == BVI_HTTP_DONE || (reader->part == BVI_HTTP_BODY && !reader->has_length))
        return 0;
    return bvi_fail(err, BV_E_REMOTE, "the connection ended before the answer did");
}
