/*
 * http_index.c - see http_index.h. Whatever is found is only asked for, so a wrong guess costs a
 * request.
 */
#include <stdlib.h>
#include <string.h>

#include "transfer/http_index.h"
#include "transfer/store.h"

/* What stands before a name, and behind it. */
static const struct {
    const char *before;
    char behind;
} marks[] = {
    { "href=\"", '"' },
    { "href='", '\'' },
    { "\"name\":\"", '"' },
    { "\"name\": \"", '"' },
};

/* "17/", "./17/" and "/base/key/17/" are all version 17. */
static uint64_t number_of(const char *name, size_t len)
{
    char number[24] = "";
    size_t from;

    while (len > 0 && name[len - 1] == '/')
        len--;
    for (from = len; from > 0 && name[from - 1] != '/';)
        from--;
    if (len - from >= sizeof(number) || len == from)
        return 0;
    memcpy(number, name + from, len - from); /* zeroed before */
    return bvi_store_version_of(number);
}

static void take_name(const char *name, const char *end, char behind, bvi_version_numbers *numbers)
{
    const char *stop = memchr(name, behind, (size_t)(end - name));
    uint64_t number = stop ? number_of(name, (size_t)(stop - name)) : 0;
    uint64_t *slot = number ? bvi_vec_push(numbers) : NULL;

    if (slot)
        *slot = number;
}

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

bool bvi_http_index_parse(const char *text, size_t len, bvi_version_numbers *numbers)
{
    const char *end = text + len;
    size_t kept = 0;

    for (size_t i = 0; i < BVI_COUNT(marks); i++) {
        size_t mark_len = strlen(marks[i].before);
        const char *at = text;

        while ((at = memmem(at, (size_t)(end - at), marks[i].before, mark_len)) != NULL) {
            at += mark_len;
            take_name(at, end, marks[i].behind, numbers);
        }
    }
    if (numbers->len > 0)
        qsort(numbers->items, numbers->len, sizeof(*numbers->items), compare);
    for (size_t i = 0; i < numbers->len; i++) {
        if (i == 0 || numbers->items[i] != numbers->items[i - 1])
            numbers->items[kept++] = numbers->items[i];
    }
    numbers->len = kept;
    return kept > 0;
}
