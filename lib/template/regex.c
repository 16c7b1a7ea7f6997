/*
 * regex.c - the regular expressions of the test `matching`, on top of POSIX's extended ones.
 *
 * The dialect is what both understand: literals, `.`, `[...]`, `*`, `+`, `?`, `{n,m}`, `|`, groups,
 * `^`, `$`, and these, which are translated: `\d \D \w \W \s \S`, also in brackets (lower case),
 * `\b \B`, `\n \t \r`, `(?:`, `(?i)` at the start, lazy quantifiers. Back references, look-around
 * and Unicode classes are refused. The C library may need a second for a pattern made for that, so
 * both texts are bounded and a match is paid for by what it may cost.
 */
#include <regex.h>
#include <string.h>

#include "base/buf.h"
#include "base/error.h"
#include "template/run.h"

#define PATTERN_MAX    256u
#define TEXT_MAX       1024u
#define TRANSLATED_MAX 4096u
/* What is repeated is copied: numbers in braces, and `+` behind a group, multiply the size of the
 * compiled pattern. */
#define REPEATS_MAX 64u

typedef struct translator {
    const char *at;
    const char *end;
    bvi_buf out;
    uint64_t repeats; /* product of the copies so far */
    bool behind_group;
    bool ignore_case;
    const char *refused;
} translator;

static int put(translator *t, const char *text)
{
    return bvi_buf_append_str(&t->out, text);
}

static int refuse(translator *t, const char *what)
{
    t->refused = what;
    return BV_E_INVALID;
}

static const char *find_class(char c, bool bracket)
{
    static const struct {
        char c;
        const char *alone;
        const char *inside;
    } classes[] = {
        { 'd', "[0-9]", "0-9" },
        { 'D', "[^0-9]", NULL },
        { 'w', "[[:alnum:]_]", "[:alnum:]_" },
        { 'W', "[^[:alnum:]_]", NULL },
        { 's', "[[:space:]]", "[:space:]" },
        { 'S', "[^[:space:]]", NULL },
        { 'b', "\\b", NULL },
        { 'B', "\\B", NULL },
        { 'n', "\n", "\n" },
        { 't', "\t", "\t" },
        { 'r', "\r", "\r" },
    };

    for (size_t i = 0; i < BVI_COUNT(classes); i++) {
        if (classes[i].c == c)
            return bracket ? classes[i].inside : classes[i].alone;
    }
    return NULL;
}

static bool is_alnum(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

static int translate_escape(translator *t)
{
    const char literal[] = { '\\', t->at + 1 < t->end ? t->at[1] : '\0', '\0' };
    const char *instead = find_class(literal[1], false);

    if (!literal[1])
        return refuse(t, "a backslash at the end");
    t->at += 2;
    if (instead)
        return put(t, instead);
    return is_alnum(literal[1]) ? refuse(t, "an escape that is not known here") : put(t, literal);
}

/* POSIX knows no escapes in brackets: "]" has to come first, "-" last, "^" not first. */
typedef struct bracket {
    bvi_buf middle;
    bool negated, closes, dash, caret;
} bracket;

static int bracket_char(translator *t, bracket *b, char c, bool escaped)
{
    const char *instead = escaped ? find_class(c, true) : NULL;

    if (escaped && !instead && is_alnum(c))
        return refuse(t, "an escape in brackets that is not known here");
    if (instead)
        return bvi_buf_append_str(&b->middle, instead);
    b->closes |= escaped && c == ']';
    b->dash |= escaped && c == '-';
    b->caret |= c == '^';
    if (escaped && (c == ']' || c == '-'))
        return 0;
    return c == '^' ? 0 : bvi_buf_append_char(&b->middle, c);
}

static int bracket_class(translator *t, bracket *b)
{
    const char *stop = memmem(t->at, (size_t)(t->end - t->at), ":]", 2);
    int r;

    if (!stop)
        return refuse(t, "`[` inside brackets without an escape");
    r = bvi_buf_append(&b->middle, t->at, (size_t)(stop + 2 - t->at));
    t->at = stop + 2;
    return r;
}

static bool looking_at(const translator *t, const char *text)
{
    size_t len = strlen(text);

    return (size_t)(t->end - t->at) >= len && memcmp(t->at, text, len) == 0;
}

/* "]" at the start, "-" at the start or the end. */
static bool stands_for_itself(const translator *t, const char *first)
{
    return (t->at == first && (*t->at == ']' || *t->at == '-')) || looking_at(t, "-]");
}

static int bracket_body(translator *t, bracket *b)
{
    const char *first = t->at;

    while (t->at < t->end && (*t->at != ']' || t->at == first)) {
        bool escaped = *t->at == '\\';
        int r;

        if (looking_at(t, "[:")) {
            r = bracket_class(t, b);
        } else {
            t->at += escaped;
            if (t->at == t->end)
                break;
            r = bracket_char(t, b, *t->at, escaped || stands_for_itself(t, first));
            t->at++;
        }
        if (r < 0)
            return r;
    }
    if (t->at == t->end)
        return refuse(t, "brackets that do not end");
    t->at++;
    return 0;
}

static int put_bracket(translator *t, const bracket *b)
{
    bool first = !b->negated && !b->closes && b->middle.len == 0; /* nothing before the "^" */

    if (b->caret && first)
        return put(t, b->dash ? "[-^]" : "\\^");
    return bvi_buf_printf(&t->out, "[%s%s%s%s%s]", b->negated ? "^" : "", b->closes ? "]" : "",
                          bvi_buf_str(&b->middle), b->caret ? "^" : "", b->dash ? "-" : "");
}

static int translate_bracket(translator *t)
{
    bracket b = { .middle = BVI_BUF_INIT(TRANSLATED_MAX) };
    int r;

    t->at++;
    b.negated = t->at < t->end && *t->at == '^';
    t->at += b.negated;
    r = bracket_body(t, &b);
    if (r >= 0)
        r = put_bracket(t, &b);
    bvi_buf_done(&b.middle);
    return r;
}

static int translate_group(translator *t)
{
    t->at++;
    if (looking_at(t, "?")) {
        if (!looking_at(t, "?:"))
            return refuse(t, "a group with `?` other than `(?:`");
        t->at += 2;
    }
    return put(t, "(");
}

/* Numbers in braces, and their product, stop growing when they are too large. */
static uint64_t add_digit(uint64_t number, char digit)
{
    return number <= REPEATS_MAX ? number * 10 + (uint64_t)(digit - '0') : number;
}

static uint64_t multiply(uint64_t repeats, uint64_t number)
{
    return number == 0 || repeats > REPEATS_MAX ? repeats : repeats * number;
}

/* The C library turns `x+` into `xx*`, and `x{n,}` likewise, so each such group doubles what is
 * inside. */
static bool copies_group(const char *at, const char *end)
{
    const char *stop = *at == '{' ? memchr(at, '}', (size_t)(end - at)) : NULL;

    return *at == '+' || (stop && stop[-1] == ',');
}

static int translate_braces(translator *t)
{
    uint64_t number = 0;

    for (; t->at < t->end && *t->at != '}'; t->at++) {
        bool digit = *t->at >= '0' && *t->at <= '9';

        if (!digit && *t->at != ',' && *t->at != '{')
            return refuse(t, "braces with something else than numbers");
        if (!digit)
            t->repeats = multiply(t->repeats, number);
        number = digit ? add_digit(number, *t->at) : 0;
        if (bvi_buf_append_char(&t->out, *t->at) < 0)
            return BV_E_NOMEM;
    }
    t->repeats = multiply(t->repeats, number);
    if (t->at == t->end)
        return refuse(t, "braces that do not end");
    t->at++;
    return put(t, "}");
}

/* A quantifier, and the `?` that would make it lazy: whether there is a match is the same. */
static int translate_quantifier(translator *t)
{
    const char sign[] = { *t->at, '\0' };
    int r;

    if (t->behind_group && copies_group(t->at, t->end))
        t->repeats = multiply(t->repeats, 2);
    r = *t->at == '{' ? translate_braces(t) : put(t, sign);
    if (r < 0)
        return r;
    if (t->repeats > REPEATS_MAX)
        return refuse(t, "repetitions whose product is above 64");
    t->at += sign[0] != '{';
    if (t->at < t->end && *t->at == '?')
        t->at++;
    if (t->at < t->end && strchr("*+?{", *t->at))
        return refuse(t, "two quantifiers in a row");
    return 0;
}

static int translate(translator *t)
{
    if (looking_at(t, "(?i)")) {
        t->ignore_case = true;
        t->at += 4;
    }
    while (t->at < t->end) {
        const char plain[] = { *t->at, '\0' };
        bool ends_group = *t->at == ')';
        int r;

        if (*t->at == '\\')
            r = translate_escape(t);
        else if (*t->at == '[')
            r = translate_bracket(t);
        else if (*t->at == '(')
            r = translate_group(t);
        else if (strchr("*+?{", *t->at))
            r = translate_quantifier(t);
        else
            r = (t->at++, put(t, plain));
        if (r < 0)
            return r;
        t->behind_group = ends_group;
    }
    return 0;
}

static int run_regex(const translator *t, const char *text, bool *ret, bv_error **err)
{
    int flags = REG_EXTENDED | REG_NOSUB | (t->ignore_case ? REG_ICASE : 0);
    char why[128];
    regex_t regex;
    int r = regcomp(&regex, bvi_buf_str(&t->out), flags);

    if (r == REG_ESPACE)
        return bvi_fail_nomem(err);
    if (r) {
        (void)regerror(r, &regex, why, sizeof(why));
        return bvi_fail(err, BV_E_INVALID, "the pattern is wrong: %s", why);
    }
    r = regexec(&regex, text, 0, NULL, 0);
    regfree(&regex);
    if (r == REG_ESPACE)
        return bvi_fail_nomem(err);
    *ret = r == 0;
    return 0;
}

uint64_t bvi_tpl_match_cost(const char *pattern, size_t pattern_len, size_t len)
{
    uint64_t repeats = 1;
    uint64_t number = 0;
    bool inside = false; /* braces */

    for (size_t i = 0; i < pattern_len; i++) {
        bool digit = inside && pattern[i] >= '0' && pattern[i] <= '9';

        if (!digit)
            repeats = multiply(repeats, number);
        if (i > 0 && pattern[i - 1] == ')' && strchr("+{", pattern[i]) &&
            copies_group(pattern + i, pattern + pattern_len))
            repeats = multiply(repeats, 2);
        number = digit ? add_digit(number, pattern[i]) : 0;
        inside = pattern[i] == '{' || (inside && pattern[i] != '}');
    }
    return 1000 + pattern_len * pattern_len + pattern_len * repeats * (repeats + 4 * len);
}

int bvi_tpl_matches(const char *pattern, size_t pattern_len, const char *text, size_t len,
                    bool *ret, bv_error **err)
{
    translator t = { .at = pattern, .end = pattern + pattern_len, .repeats = 1 };
    int r;

    if (pattern_len > PATTERN_MAX)
        return bvi_fail(err, BV_E_INVALID, "a pattern has at most %u bytes", PATTERN_MAX);
    if (len > TEXT_MAX)
        return bvi_fail(err, BV_E_INVALID, "a text to match has at most %u bytes", TEXT_MAX);
    bvi_buf_init(&t.out, TRANSLATED_MAX);
    r = translate(&t);
    if (r >= 0)
        r = run_regex(&t, text, ret, err);
    else if (t.refused)
        r = bvi_fail(err, BV_E_INVALID, "the pattern has %s", t.refused);
    else
        r = bvi_fail_nomem(err);
    bvi_buf_done(&t.out);
    return r;
}
