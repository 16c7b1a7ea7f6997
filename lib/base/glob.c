/*
 * glob.c - matching of exclude patterns in linear space and bounded time.
 *
 * Each wildcard takes as little as possible, and only the last one is ever extended. That is enough
 * because both wildcards may skip ahead at will: whatever a longer match of an earlier one allows,
 * the later one allows too. (For
 * `**` "ahead" means to the start of a later component.) Pure; any thread.
 */
#include <string.h>

#include "base/glob.h"
#include "base/utf8.h"

/* The next character of text, or its next byte when it is not UTF-8. */
static uint32_t next_char(const char **at)
{
    size_t used = 1;
    int32_t c = bvi_utf8_decode(*at, strlen(*at) < 4 ? strlen(*at) : 4, &used);
    uint32_t value = c >= 0 ? (uint32_t)c : 0x110000u + (unsigned char)**at;

    *at += used;
    return value;
}

/* The end of a class that begins behind '[', or NULL when it has none. */
static const char *class_end(const char *at)
{
    if (*at == '!')
        at++;
    if (*at) /* a ']' in first place stands for itself */
        at++;
    return strchr(at, ']');
}

static bool class_has(const char *at, const char *end, uint32_t c)
{
    bool negated = *at == '!';
    bool found = false;

    if (negated)
        at++;
    while (at < end) {
        uint32_t low = next_char(&at);
        uint32_t high = low;

        if (*at == '-' && at + 1 < end) {
            at++;
            high = next_char(&at);
        }
        found = found || (c >= low && c <= high);
    }
    return found != negated;
}

static bool is_recursive(const char *pattern)
{
    return pattern[0] == '*' && pattern[1] == '*';
}

/* Matches one element that takes exactly one character; moves both on. */
static bool match_one(const char **pattern, const char **path)
{
    const char *p = *pattern;
    uint32_t c = next_char(path);

    if (*p == '?') {
        *pattern = p + 1;
        return true;
    }
    if (*p == '[') {
        const char *end = class_end(p + 1);

        *pattern = end + 1;
        return class_has(p + 1, end, c);
    }
    return next_char(pattern) == c;
}

/* The start of the next component, or NULL. */
static const char *next_component(const char *path)
{
    const char *slash = strchr(path, '/');

    return slash ? slash + 1 : NULL;
}

bool bvi_glob_match(const char *pattern, const char *path)
{
    const char *star = NULL; /* pattern behind the last wildcard */
    const char *from = NULL; /* where its match may begin next */
    bool recursive = false;

    for (;;) {
        if (is_recursive(pattern)) {
            if (!pattern[2])
                return *path != '\0';
            star = pattern += 3; /* "**" and '/' */
            from = path;
            recursive = true;
            continue;
        }
        if (*pattern == '*') {
            star = ++pattern;
            from = path;
            recursive = false;
            continue;
        }
        if (!*pattern && !*path)
            return true;
        if (*pattern && *path && match_one(&pattern, &path))
            continue;
        if (!star || !*from)
            return false;
        if (recursive)
            from = next_component(from);
        else
            (void)next_char(&from);
        if (!from)
            return false;
        pattern = star;
        path = from;
    }
}

static int check_stars(const char *pattern, const char *at, bv_error **err)
{
    size_t count = strspn(at, "*");

    if (count > 2)
        return bvi_fail(err, BV_E_INVALID, "invalid pattern '%s': wildcards are either '*' or '**'",
                        pattern);
    if (count == 2 && ((at > pattern && at[-1] != '/') || (at[2] && at[2] != '/')))
        return bvi_fail(err, BV_E_INVALID, "invalid pattern '%s': '**' must be a whole component",
                        pattern);
    return 0;
}

int bvi_glob_check(const char *pattern, bv_error **err)
{
    if (!*pattern || strlen(pattern) > BVI_GLOB_PATTERN_MAX)
        return bvi_fail(err, BV_E_INVALID, "a pattern has 1 to %u bytes", BVI_GLOB_PATTERN_MAX);
    for (const char *at = pattern; *at;) {
        if (*at == '*') {
            int r = check_stars(pattern, at, err);

            if (r < 0)
                return r;
            at += strspn(at, "*");
        } else if (*at == '[') {
            at = class_end(at + 1);
            if (!at)
                return bvi_fail(err, BV_E_INVALID, "invalid pattern '%s': '[' has no ']'", pattern);
            at++;
        } else {
            at++;
        }
    }
    return 0;
}
