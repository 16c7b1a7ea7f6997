/*
 * lint_params.c - node_params()["key"] and node_params().key in the text of a script. See
 * lint_params.h.
 *
 * A scan of tokens is enough: comments and plain strings are passed over, the inside of `...` is
 * looked at because that is where interpolations are.
 */
#include <ctype.h>
#include <string.h>

#include "plugin/lint_params.h"

#define FUNCTION "node_params"

typedef struct scanner {
    const char *at;
    const char *end;
    const char *line_start;
    unsigned line;
} scanner;

static void step(scanner *s)
{
    if (*s->at++ == '\n') {
        s->line++;
        s->line_start = s->at;
    }
}

static bool looks_at(const scanner *s, const char *text)
{
    size_t len = strlen(text);

    return (size_t)(s->end - s->at) >= len && memcmp(s->at, text, len) == 0;
}

static void skip_space(scanner *s)
{
    while (s->at < s->end && isspace((unsigned char)*s->at))
        step(s);
}

static void skip_line(scanner *s)
{
    while (s->at < s->end && *s->at != '\n')
        step(s);
}

static void skip_comment(scanner *s)
{
    unsigned depth = 0;

    do {
        int change = looks_at(s, "/*") ? 1 : looks_at(s, "*/") ? -1 : 0;

        depth += (unsigned)change;
        step(s);
        if (change && s->at < s->end)
            step(s);
    } while (depth && s->at < s->end);
}

static void skip_quoted(scanner *s, char quote)
{
    step(s);
    while (s->at < s->end && *s->at != quote) {
        if (*s->at == '\\' && s->at + 1 < s->end)
            step(s);
        step(s);
    }
    if (s->at < s->end)
        step(s);
}

static bool is_word(char c)
{
    return isalnum((unsigned char)c) || c == '_';
}

static bool take(scanner *s, char c)
{
    skip_space(s);
    if (s->at >= s->end || *s->at != c)
        return false;
    step(s);
    return true;
}

/* The key behind node_params, in quotes and brackets or behind a dot; false when it is neither. */
static bool take_key(scanner *s, const char **ret_key, size_t *ret_len)
{
    char quote = '\0';

    if (!take(s, '(') || !take(s, ')'))
        return false;
    if (take(s, '[')) {
        skip_space(s);
        quote = s->at < s->end ? *s->at : '\0';
        if (quote != '"' && quote != '`')
            return false;
        step(s);
    } else if (!take(s, '.')) {
        return false;
    }
    *ret_key = s->at;
    while (s->at < s->end && (quote ? *s->at != quote && *s->at != '\n' : is_word(*s->at)))
        step(s);
    *ret_len = (size_t)(s->at - *ret_key);
    return *ret_len && (quote || s->at >= s->end || *s->at != '('); /* a method is not a key */
}

static int warn(const scanner *s, const char *file, const char *key, size_t len,
                const bvi_json *properties, bvi_strv *warnings)
{
    bvi_auto_free char *name = bvi_strndup(key, len);
    unsigned column = (unsigned)(key - s->line_start) + 1;
    int r;

    if (!name)
        return BV_E_NOMEM;
    if (bvi_json_find(properties, name))
        return 0;
    r = bvi_strv_take(warnings, bvi_asprintf("%s:%u:%u: '%s' not defined in babel.yaml", file,
                                             s->line, column, name));
    return r == BV_E_LIMIT ? 0 : r;
}

/* A word at s: node_params or anything else. */
static int scan_word(scanner *s, const char *file, const bvi_json *properties, bvi_strv *warnings)
{
    const char *word = s->at;
    const char *key = NULL;
    size_t len = 0;

    while (s->at < s->end && is_word(*s->at))
        step(s);
    if ((size_t)(s->at - word) != strlen(FUNCTION) || memcmp(word, FUNCTION, strlen(FUNCTION)) != 0)
        return 0;
    return take_key(s, &key, &len) ? warn(s, file, key, len, properties, warnings) : 0;
}

int bvi_lint_params(const char *file, const char *text, size_t len, const bvi_json *properties,
                    bvi_strv *warnings)
{
    scanner s = { text, text + len, text, 1 };
    int r = 0;

    while (s.at < s.end && r >= 0) {
        if (looks_at(&s, "//"))
            skip_line(&s);
        else if (looks_at(&s, "/*"))
            skip_comment(&s);
        else if (*s.at == '"')
            skip_quoted(&s, '"');
        else if (is_word(*s.at))
            r = scan_word(&s, file, properties, warnings);
        else
            step(&s);
    }
    return r;
}
