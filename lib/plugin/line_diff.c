/*
 * line_diff.c - the longest common part of two lists of lines, and the rest. See line_diff.h.
 */
#include <string.h>

#include "base/error.h"
#include "base/vec.h"
#include "plugin/line_diff.h"

#define LINES_MAX 1000000u

typedef struct line {
    const char *text;
    size_t len;
} line;

typedef BVI_VEC(line) lines;

static int split(const char *text, lines *ret_lines)
{
    while (*text) {
        const char *end = strchr(text, '\n');
        line *l = bvi_vec_push(ret_lines);

        if (!l)
            return BV_E_NOMEM;
        *l = (line){ text, end ? (size_t)(end - text) : strlen(text) };
        text = end ? end + 1 : text + l->len;
    }
    return 0;
}

static bool same(const line *a, const line *b)
{
    return a->len == b->len && memcmp(a->text, b->text, a->len) == 0;
}

static int put(bvi_buf *out, char mark, const line *l)
{
    return bvi_buf_printf(out, "%c %.*s\n", mark, (int)l->len, l->text);
}

static int put_all(bvi_buf *out, char mark, const line *first, size_t count)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < count; i++)
        r = put(out, mark, &first[i]);
    return r;
}

/* Both parts whole. */
static int replace(const line *a, size_t a_len, const line *b, size_t b_len, bvi_buf *out)
{
    int r = put_all(out, '-', a, a_len);

    return r == 0 ? put_all(out, '+', b, b_len) : r;
}

/* table[i * (b_len + 1) + j]: how many lines a[i..] and b[j..] can have in common. */
static void fill(const line *a, size_t a_len, const line *b, size_t b_len, uint16_t *table)
{
    size_t width = b_len + 1;

    for (size_t i = a_len; i-- > 0;) {
        for (size_t j = b_len; j-- > 0;) {
            uint16_t down = table[(i + 1) * width + j];
            uint16_t right = table[i * width + j + 1];
            uint16_t both = (uint16_t)(table[(i + 1) * width + j + 1] + 1);

            table[i * width + j] = same(&a[i], &b[j]) ? both : down > right ? down : right;
        }
    }
}

static int walk(const line *a, size_t a_len, const line *b, size_t b_len, const uint16_t *table,
                bvi_buf *out)
{
    size_t width = b_len + 1;
    size_t i = 0;
    size_t j = 0;
    int r = 0;

    while (r == 0 && (i < a_len || j < b_len)) {
        if (i < a_len && j < b_len && same(&a[i], &b[j])) {
            r = put(out, ' ', &a[i++]);
            j++;
        } else if (i < a_len &&
                   (j == b_len || table[(i + 1) * width + j] >= table[i * width + j + 1])) {
            r = put(out, '-', &a[i++]);
        } else {
            r = put(out, '+', &b[j++]);
        }
    }
    return r;
}

static int compare(const line *a, size_t a_len, const line *b, size_t b_len, bvi_buf *out)
{
    bvi_auto_free uint16_t *table = NULL;

    if (a_len > BVI_LINE_DIFF_LINES_MAX || b_len > BVI_LINE_DIFF_LINES_MAX)
        return replace(a, a_len, b, b_len, out);
    table = bvi_new_array(uint16_t, (a_len + 1) * (b_len + 1));
    if (!table)
        return BV_E_NOMEM;
    fill(a, a_len, b, b_len, table);
    return walk(a, a_len, b, b_len, table, out);
}

static int diff(const lines *a, const lines *b, bvi_buf *out)
{
    size_t shorter = a->len < b->len ? a->len : b->len;
    size_t head = 0;
    size_t tail = 0;
    size_t before;
    size_t after;
    int r;

    while (head < shorter && same(&a->items[head], &b->items[head]))
        head++;
    if (head == a->len && head == b->len)
        return 0;
    while (tail < shorter - head &&
           same(&a->items[a->len - 1 - tail], &b->items[b->len - 1 - tail]))
        tail++;
    before = head < BVI_LINE_DIFF_CONTEXT ? head : BVI_LINE_DIFF_CONTEXT;
    after = tail < BVI_LINE_DIFF_CONTEXT ? tail : BVI_LINE_DIFF_CONTEXT;
    r = put_all(out, ' ', a->items + head - before, before);
    if (r == 0)
        r = compare(a->items + head, a->len - head - tail, b->items + head, b->len - head - tail,
                    out);
    return r == 0 ? put_all(out, ' ', a->items + a->len - tail, after) : r;
}

int bvi_line_diff(const char *old_text, const char *new_text, bvi_buf *out)
{
    lines a = BVI_VEC_INIT(LINES_MAX);
    lines b = BVI_VEC_INIT(LINES_MAX);
    int r = split(old_text, &a);

    if (r == 0)
        r = split(new_text, &b);
    if (r == 0)
        r = diff(&a, &b, out);
    bvi_vec_done(&a);
    bvi_vec_done(&b);
    return r;
}
