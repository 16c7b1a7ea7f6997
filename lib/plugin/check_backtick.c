/*
 * check_backtick.c - where a place is with respect to back-tick strings. See check_impl.h.
 *
 * Shell scripts are written in them, and two mistakes there are told by the compiler in words that
 * do not help: the shell's own ${name}, which the language reads as code, and a string that nobody
 * closed, which ends where the next one begins. So this reads the text once more, by itself, as it
 * may not compile.
 */
#include <string.h>

#include "plugin/check_impl.h"

/* Back-tick strings in the code of back-tick strings; beyond that nothing is told. */
#define NESTING_MAX 32u

typedef struct reader {
    const char *at;
    const char *end;
    unsigned line, column; /* of at */
    bool in_text;          /* of the innermost open string, else in code */
    unsigned open;         /* strings */
    unsigned began[NESTING_MAX];
    unsigned braces[NESTING_MAX + 1]; /* open in the code, by how many strings are open there */
    unsigned last_began, last_ended;  /* lines of the string that ended last */
} reader;

static bool sees(const reader *r, const char *text)
{
    size_t len = strlen(text);

    return (size_t)(r->end - r->at) >= len && memcmp(r->at, text, len) == 0;
}

static void skip(reader *r, size_t bytes)
{
    for (; bytes > 0 && r->at < r->end; bytes--, r->at++) {
        if (*r->at == '\n') {
            r->line++;
            r->column = 0;
        }
        /* The bytes after the first of a character do not count. */
        if (r->at + 1 == r->end || ((unsigned char)r->at[1] & 0xc0) != 0x80)
            r->column++;
    }
}

/* A string or a character, which end with their line at the latest. */
static void skip_quoted(reader *r, char quote)
{
    skip(r, 1);
    while (r->at < r->end && *r->at != quote && *r->at != '\n')
        skip(r, *r->at == '\\' ? 2 : 1);
    if (r->at < r->end && *r->at == quote)
        skip(r, 1);
}

static void skip_comment(reader *r)
{
    unsigned depth = 0;

    do {
        bool opens = sees(r, "/*");
        bool closes = !opens && sees(r, "*/");

        depth += opens ? 1 : 0;
        depth -= closes ? 1 : 0;
        skip(r, opens || closes ? 2 : 1);
    } while (depth > 0 && r->at < r->end);
}

static void read_text(reader *r)
{
    if (sees(r, "``")) {
        skip(r, 2);
    } else if (sees(r, "${")) {
        r->in_text = false;
        r->braces[r->open] = 0;
        skip(r, 2);
    } else if (*r->at == '`') {
        r->open--;
        r->last_began = r->began[r->open];
        r->last_ended = r->line;
        r->in_text = false;
        skip(r, 1);
    } else {
        skip(r, 1);
    }
}

static void read_code(reader *r)
{
    unsigned *braces = &r->braces[r->open];

    if (*r->at == '"' || *r->at == '\'') {
        skip_quoted(r, *r->at);
        return;
    }
    if (sees(r, "/*")) {
        skip_comment(r);
        return;
    }
    if (sees(r, "//")) {
        while (r->at < r->end && *r->at != '\n')
            skip(r, 1);
        return;
    }
    if (*r->at == '`') {
        r->began[r->open++] = r->line;
        r->in_text = true;
    } else if (*r->at == '{') {
        ++*braces;
    } else if (*r->at == '}' && *braces > 0) {
        --*braces;
    } else if (*r->at == '}' && r->open > 0) {
        r->in_text = true;
    }
    skip(r, 1);
}

bvi_backtick bvi_check_backtick(const bvi_source *source, unsigned line, unsigned column)
{
    reader r = { .at = source->text, .end = source->text + source->len, .line = 1, .column = 1 };

    while (r.at < r.end && (r.line < line || (r.line == line && r.column < column))) {
        if (!r.in_text && *r.at == '`' && r.open == NESTING_MAX)
            return (bvi_backtick){ 0 };
        if (r.in_text)
            read_text(&r);
        else
            read_code(&r);
    }
    return (bvi_backtick){
        .is_code = r.open > 0 && !r.in_text,
        .began = r.last_ended == line && r.last_began < line ? r.last_began : 0,
    };
}
