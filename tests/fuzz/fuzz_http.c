/*
 * fuzz_http.c - HTTP requests as the daemon routes them: lines of method, path and query, then the
 * body; and the other way round, bytes of an answer.
 *
 * An input beginning with '<' is an answer, everything else a request.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "net/http_reader.h"
#include "server/exchange.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int take_body(const char *bytes, size_t len, void *data, bv_error **err)
{
    *(size_t *)data += len;
    return 0;
}

/* In pieces of two sizes: what is cut anywhere must read the same. */
static void read_answer(const char *text, size_t len)
{
    size_t bodies[2] = { 0, 0 };
    int codes[2] = { 0, 0 };

    for (int i = 0; i < 2; i++) {
        size_t piece = i ? 7 : len;
        bvi_http_reader reader;

        bvi_http_reader_init(&reader, take_body, &bodies[i]);
        for (size_t at = 0; at < len && codes[i] == 0; at += piece)
            codes[i] =
                bvi_http_reader_feed(&reader, text + at, len - at < piece ? len - at : piece, NULL);
        if (codes[i] == 0)
            codes[i] = bvi_http_reader_end(&reader, NULL);
        bvi_http_reader_done(&reader);
    }
    if (codes[0] != codes[1] || (codes[0] == 0 && bodies[0] != bodies[1]))
        abort();
}

/* The next line, zero-terminated in place. */
static char *next_line(char **at)
{
    char *line = *at;
    size_t len = strcspn(line, "\n");

    *at = line + len + (line[len] == '\n');
    line[len] = '\0';
    return line;
}

static void route(char *text, size_t len)
{
    char *at = text;
    char *method = next_line(&at);
    char *path = next_line(&at);
    char *query = next_line(&at);
    const bvi_call *call = NULL;
    bvi_json *args = NULL;
    bv_error *err = NULL;
    int r = bvi_route(method, path, *query ? query : NULL, at, len - (size_t)(at - text), &call,
                      &args, &err);

    if ((r == 0) != (call && args && !err) || (r < 0) != (err != NULL))
        abort();
    if (r == 0 && bvi_call_check(call, args, NULL) < 0)
        abort();
    bvi_json_free(args);
    bv_error_free(err);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);

    if (!text)
        return 0;
    memcpy(text, data, size);
    text[size] = '\0';
    if (text[0] == '<')
        read_answer(text + 1, size - 1);
    else
        route(text, size);
    free(text);
    return 0;
}
