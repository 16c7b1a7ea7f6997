/*
 * filter_string.c - filters of strings. Each writes into a buffer, which becomes the result.
 */
#include <string.h>

#include "base/case_map.h"
#include "template/run.h"

#define TRUNCATE_DEFAULT 255

static bvi_span span_of(const bvi_tpl_value *v)
{
    return (bvi_span){ v->as.text, v->len };
}

/* ---- case ---- */

static int append_case(bvi_buf *out, bvi_span text, bool upper)
{
    size_t used = 0;
    int r = 0;

    for (size_t at = 0; r >= 0 && at < text.len; at += used)
        r = bvi_case_text(out, bvi_text_char(text.at + at, text.len - at, &used), upper);
    return r;
}

static int write_upper(bvi_buf *out, bvi_span text)
{
    return append_case(out, text, true);
}

static int write_lower(bvi_buf *out, bvi_span text)
{
    return append_case(out, text, false);
}

static int write_capitalized(bvi_buf *out, bvi_span text)
{
    size_t used = 0;
    int r;

    if (text.len == 0)
        return 0;
    r = bvi_case_text(out, bvi_text_char(text.at, text.len, &used), true);
    return r < 0 ? r : append_case(out, (bvi_span){ text.at + used, text.len - used }, false);
}

/* A word is a run of letters, digits, '_' and '\''. */
static int write_title(bvi_buf *out, bvi_span text)
{
    bool inside = false;
    size_t used = 0;
    int r = 0;

    for (size_t at = 0; r >= 0 && at < text.len; at += used) {
        uint32_t c = bvi_text_char(text.at + at, text.len - at, &used);
        bool word = bvi_text_is_word(c) || c == '\'';

        r = word ? bvi_case_text(out, c, !inside) : bvi_buf_append(out, text.at + at, used);
        inside = word;
    }
    return r;
}

/* ---- trimming ---- */

/* A part of a string is not zero-terminated, so it is copied. */
static int keep_span(bvi_tpl_using *use, bvi_span span, bvi_tpl_value *ret)
{
    return bvi_tpl_use_room(use, bvi_tpl_copy_text(&use->run->arena, span.at, span.len, ret));
}

static int filter_trim(bvi_tpl_using *use, const bvi_tpl_value *input, bvi_tpl_value *ret)
{
    return keep_span(use, bvi_text_trim(span_of(input), BVI_TRIM_BOTH), ret);
}

static int filter_trim_start(bvi_tpl_using *use, const bvi_tpl_value *input, bvi_tpl_value *ret)
{
    return keep_span(use, bvi_text_trim(span_of(input), BVI_TRIM_START), ret);
}

static int filter_trim_end(bvi_tpl_using *use, const bvi_tpl_value *input, bvi_tpl_value *ret)
{
    return keep_span(use, bvi_text_trim(span_of(input), BVI_TRIM_END), ret);
}

static bool starts_with(bvi_span text, const bvi_buf *pat)
{
    return pat->len && text.len >= pat->len && memcmp(text.at, pat->data, pat->len) == 0;
}

static bool ends_with(bvi_span text, const bvi_buf *pat)
{
    return pat->len && text.len >= pat->len &&
           memcmp(text.at + text.len - pat->len, pat->data, pat->len) == 0;
}

static int filter_trim_start_matches(bvi_tpl_using *use, const bvi_tpl_value *input,
                                     bvi_tpl_value *ret)
{
    BVI_AUTO(bvi_buf_done) bvi_buf pat = BVI_BUF_INIT(bvi_tpl_room(use->run));
    bvi_span text = span_of(input);
    int r = bvi_tpl_arg_pattern(use, "pat", true, &pat);

    if (r < 0)
        return r;
    while (starts_with(text, &pat)) {
        text.at += pat.len;
        text.len -= pat.len;
    }
    return keep_span(use, text, ret);
}

static int filter_trim_end_matches(bvi_tpl_using *use, const bvi_tpl_value *input,
                                   bvi_tpl_value *ret)
{
    BVI_AUTO(bvi_buf_done) bvi_buf pat = BVI_BUF_INIT(bvi_tpl_room(use->run));
    bvi_span text = span_of(input);
    int r = bvi_tpl_arg_pattern(use, "pat", true, &pat);

    if (r < 0)
        return r;
    while (ends_with(text, &pat))
        text.len -= pat.len;
    return keep_span(use, text, ret);
}

/* ---- searching ---- */

/* Where the next match of needle is, and what lies before it. An empty needle matches before each
 * character and at the end. */
static bool next_match(bvi_span rest, bvi_span needle, bool first, bvi_span *ret_before)
{
    const char *found;
    size_t used = 0;

    *ret_before = rest;
    if (needle.len) {
        found = bvi_text_find(rest, needle);
        if (found)
            ret_before->len = (size_t)(found - rest.at);
        return found != NULL;
    }
    if (!first && rest.len == 0)
        return false;
    if (!first)
        (void)bvi_text_char(rest.at, rest.len, &used); /* only measured */
    ret_before->len = used;
    return true;
}

static void skip_match(bvi_span *rest, bvi_span before, bvi_span needle)
{
    rest->at += before.len + needle.len;
    rest->len -= before.len + needle.len;
}

static int filter_replace(bvi_tpl_using *use, const bvi_tpl_value *input, bvi_tpl_value *ret)
{
    BVI_AUTO(bvi_buf_done) bvi_buf out = BVI_BUF_INIT(bvi_tpl_room(use->run));
    bvi_span from = { "", 0 }, to = { "", 0 };
    bvi_span rest = span_of(input);
    bvi_span before;
    int r = bvi_tpl_arg_string(use, "from", true, &from);

    if (r >= 0)
        r = bvi_tpl_arg_string(use, "to", true, &to);
    for (bool first = true; r >= 0 && next_match(rest, from, first, &before); first = false) {
        r = bvi_tpl_use_room(use, bvi_buf_append(&out, before.at, before.len));
        if (r >= 0)
            r = bvi_tpl_use_room(use, bvi_buf_append(&out, to.at, to.len));
        skip_match(&rest, before, from);
    }
    if (r >= 0)
        r = bvi_tpl_use_room(use, bvi_buf_append(&out, rest.at, rest.len));
    return r < 0 ? r : bvi_tpl_use_keep(use, &out, ret);
}

static size_t count_parts(bvi_span text, bvi_span pat)
{
    bvi_span before;
    size_t count = 1;

    for (bool first = true; next_match(text, pat, first, &before); first = false) {
        skip_match(&text, before, pat);
        count++;
    }
    return count;
}

static int split_parts(bvi_tpl_using *use, bvi_span text, bvi_span pat, bvi_tpl_value *items)
{
    bvi_span before;
    int r = 0;

    for (bool first = true; r >= 0 && next_match(text, pat, first, &before); first = false) {
        r = keep_span(use, before, items++);
        skip_match(&text, before, pat);
    }
    return r < 0 ? r : keep_span(use, text, items);
}

static int filter_split(bvi_tpl_using *use, const bvi_tpl_value *input, bvi_tpl_value *ret)
{
    BVI_AUTO(bvi_buf_done) bvi_buf pat = BVI_BUF_INIT(bvi_tpl_room(use->run));
    bvi_tpl_value *items = NULL;
    bvi_span needle;
    size_t count;
    int r = bvi_tpl_arg_pattern(use, "pat", true, &pat);

    if (r < 0)
        return r;
    needle = (bvi_span){ bvi_buf_str(&pat), pat.len };
    count = count_parts(span_of(input), needle);
    items = bvi_tpl_use_alloc(use, count * sizeof(*items), &r);
    if (items)
        r = split_parts(use, span_of(input), needle, items);
    if (r >= 0)
        *ret = bvi_tpl_array(items, count);
    return r;
}

/* ---- words and lines ---- */

static int filter_truncate(bvi_tpl_using *use, const bvi_tpl_value *input, bvi_tpl_value *ret)
{
    BVI_AUTO(bvi_buf_done) bvi_buf out = BVI_BUF_INIT(bvi_tpl_room(use->run));
    bvi_span end = { "\xe2\x80\xa6", 3 };
    int64_t length = TRUNCATE_DEFAULT;
    size_t at = 0;
    int r = bvi_tpl_arg_int(use, "length", false, &length);

    if (r >= 0)
        r = bvi_tpl_arg_string(use, "end", false, &end);
    if (r < 0)
        return r;
    for (int64_t n = 0; n < length && at < input->len; n++)
        at += bvi_text_grapheme(input->as.text + at, input->len - at);
    *ret = *input;
    if (at >= input->len)
        return 0;
    r = bvi_tpl_use_room(use, bvi_buf_append(&out, input->as.text, at));
    if (r >= 0)
        r = bvi_tpl_use_room(use, bvi_buf_append(&out, end.at, end.len));
    return r < 0 ? r : bvi_tpl_use_keep(use, &out, ret);
}

static int filter_wordcount(bvi_tpl_using *use, const bvi_tpl_value *input, bvi_tpl_value *ret)
{
    bvi_span rest = span_of(input);
    int64_t count = 0;

    while (bvi_text_word(&rest).len)
        count++;
    *ret = bvi_tpl_int(count);
    return 0;
}

/* The next line without its "\n" or "\r\n"; false at the end. */
static bool next_line(bvi_span *rest, bvi_span *ret_line)
{
    const char *stop;

    if (rest->len == 0)
        return false;
    stop = memchr(rest->at, '\n', rest->len);
    ret_line->at = rest->at;
    ret_line->len = stop ? (size_t)(stop - rest->at) : rest->len;
    rest->at += ret_line->len + (stop != NULL);
    rest->len -= ret_line->len + (stop != NULL);
    if (stop && ret_line->len && ret_line->at[ret_line->len - 1] == '\r')
        ret_line->len--;
    return true;
}

typedef struct indent {
    bvi_span prefix;
    bool first;
    bool blank;
} indent;

static int append_indented(bvi_buf *out, bvi_span text, const indent *how)
{
    bvi_span line;
    int r = 0;

    for (bool first = true; r >= 0 && next_line(&text, &line); first = false) {
        bool empty = bvi_text_trim(line, BVI_TRIM_BOTH).len == 0;
        bool wanted = first ? how->first : how->blank || !empty;

        r = first ? 0 : bvi_buf_append_char(out, '\n');
        if (r >= 0 && wanted)
            r = bvi_buf_append(out, how->prefix.at, how->prefix.len);
        if (r >= 0)
            r = bvi_buf_append(out, line.at, line.len);
    }
    return r;
}

static int filter_indent(bvi_tpl_using *use, const bvi_tpl_value *input, bvi_tpl_value *ret)
{
    BVI_AUTO(bvi_buf_done) bvi_buf out = BVI_BUF_INIT(bvi_tpl_room(use->run));
    indent how = { .prefix = { "    ", 4 } };
    int r = bvi_tpl_arg_string(use, "prefix", false, &how.prefix);

    if (r >= 0)
        r = bvi_tpl_arg_bool(use, "first", &how.first);
    if (r >= 0)
        r = bvi_tpl_arg_bool(use, "blank", &how.blank);
    if (r >= 0)
        r = bvi_tpl_use_room(use, append_indented(&out, span_of(input), &how));
    return r < 0 ? r : bvi_tpl_use_keep(use, &out, ret);
}

/* ---- escapes and markup ---- */

static int write_slashes(bvi_buf *out, bvi_span text)
{
    int r = 0;

    for (size_t i = 0; r >= 0 && i < text.len; i++) {
        if (strchr("\\\"'", text.at[i]))
            r = bvi_buf_append_char(out, '\\');
        if (r >= 0)
            r = bvi_buf_append_char(out, text.at[i]);
    }
    return r;
}

/* Comments may contain '>', other tags end at the first one; a '<' without an end is text. */
static size_t tag_length(bvi_span text)
{
    static const bvi_span close = { "-->", 3 };
    const char *end = NULL;

    if (text.len < 2 || text.at[0] != '<')
        return 0;
    if (text.len >= 4 && memcmp(text.at, "<!--", 4) == 0)
        end = bvi_text_find((bvi_span){ text.at + 4, text.len - 4 }, close);
    if (end)
        return (size_t)(end - text.at) + close.len;
    end = text.at[1] != '>' ? memchr(text.at, '>', text.len) : NULL;
    return end ? (size_t)(end - text.at) + 1 : 0;
}

static int write_without_tags(bvi_buf *out, bvi_span text)
{
    bool closes = true; /* there may still be a '>' */
    int r = 0;

    while (r >= 0 && text.len) {
        size_t tag = closes ? tag_length(text) : 0;

        if (!tag && *text.at == '<' && closes)
            closes = memchr(text.at, '>', text.len) != NULL;
        if (!tag)
            r = bvi_buf_append_char(out, *text.at);
        text.at += tag ? tag : 1;
        text.len -= tag ? tag : 1;
    }
    return r;
}

static int write_spaceless(bvi_buf *out, bvi_span text)
{
    int r = 0;

    while (r >= 0 && text.len) {
        bvi_span rest = { text.at + 1, text.len - 1 };
        bvi_span after = bvi_text_trim(rest, BVI_TRIM_START);

        r = bvi_buf_append_char(out, *text.at);
        text = *text.at == '>' && after.len && *after.at == '<' ? after : rest;
    }
    return r;
}

static int write_breaks(bvi_buf *out, bvi_span text)
{
    int r = 0;

    for (size_t i = 0; r >= 0 && i < text.len; i++) {
        bool pair = text.at[i] == '\r' && i + 1 < text.len && text.at[i + 1] == '\n';

        if (pair || text.at[i] == '\n')
            r = bvi_buf_append_str(out, "<br>");
        else
            r = bvi_buf_append_char(out, text.at[i]);
        i += pair;
    }
    return r;
}

const bvi_tpl_filter bvi_tpl_string_filters[] = {
    { "addslashes", BVI_TPL_TAKES_STRING, NULL, write_slashes },
    { "capitalize", BVI_TPL_TAKES_STRING, NULL, write_capitalized },
    { "escape", BVI_TPL_TAKES_STRING, NULL, bvi_text_escape_html },
    { "escape_xml", BVI_TPL_TAKES_STRING, NULL, bvi_text_escape_xml },
    { "indent", BVI_TPL_TAKES_STRING, filter_indent },
    { "linebreaksbr", BVI_TPL_TAKES_STRING, NULL, write_breaks },
    { "lower", BVI_TPL_TAKES_STRING, NULL, write_lower },
    { "replace", BVI_TPL_TAKES_STRING, filter_replace },
    { "spaceless", BVI_TPL_TAKES_STRING, NULL, write_spaceless },
    { "split", BVI_TPL_TAKES_STRING, filter_split },
    { "striptags", BVI_TPL_TAKES_STRING, NULL, write_without_tags },
    { "title", BVI_TPL_TAKES_STRING, NULL, write_title },
    { "trim", BVI_TPL_TAKES_STRING, filter_trim },
    { "trim_end", BVI_TPL_TAKES_STRING, filter_trim_end },
    { "trim_end_matches", BVI_TPL_TAKES_STRING, filter_trim_end_matches },
    { "trim_start", BVI_TPL_TAKES_STRING, filter_trim_start },
    { "trim_start_matches", BVI_TPL_TAKES_STRING, filter_trim_start_matches },
    { "truncate", BVI_TPL_TAKES_STRING, filter_truncate },
    { "upper", BVI_TPL_TAKES_STRING, NULL, write_upper },
    { "wordcount", BVI_TPL_TAKES_STRING, filter_wordcount },
    { NULL, BVI_TPL_TAKES_ANY, NULL },
};
