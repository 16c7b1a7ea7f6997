/*
 * parse.c - text, comments and raw sections, the frame of every tag, and what is said about
 * mistakes.
 */
#include <stdio.h>
#include <string.h>

#include "base/utf8.h"
#include "template/parse.h"
#include "template/template.h"

/* Of the tree; a template's own length bounds it well below that. */
#define TREE_BYTES_MAX (256u * 1024u * 1024u)
/* Of the source line shown with a mistake. */
#define LINE_SHOWN_MAX 160u

/* ---- mistakes ---- */

static int note(bvi_tpl_parser *p, int code, const char *at, const char *fmt, va_list args)
{
    if (!p->code) {
        p->code = code;
        p->mistake_at = at;
        (void)vsnprintf(p->mistake, sizeof(p->mistake), fmt, args); /* cut when too long */
    }
    return p->code;
}

int bvi_tpl_syntax(bvi_tpl_parser *p, const char *at, const char *fmt, ...)
{
    va_list args;
    int r;

    va_start(args, fmt);
    r = note(p, BV_E_FORMAT, at, fmt, args);
    va_end(args);
    return r;
}

int bvi_tpl_too_much(bvi_tpl_parser *p, const char *at, const char *fmt, ...)
{
    va_list args;
    int r;

    va_start(args, fmt);
    r = note(p, BV_E_LIMIT, at, fmt, args);
    va_end(args);
    return r;
}

int bvi_tpl_no_room(bvi_tpl_parser *p)
{
    return p->code = p->tpl->arena.failure;
}

/* ---- characters ---- */

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static bool is_name_char(char c)
{
    return (unsigned char)c < 0x80 && bvi_text_is_word((unsigned char)c);
}

void bvi_tpl_skip_space(bvi_tpl_parser *p)
{
    while (p->at < p->end && is_blank(*p->at))
        p->at++;
}

bool bvi_tpl_looking_at(const bvi_tpl_parser *p, const char *text)
{
    size_t len = strlen(text);

    return (size_t)(p->end - p->at) >= len && memcmp(p->at, text, len) == 0;
}

bvi_span bvi_tpl_peek_word(const bvi_tpl_parser *p)
{
    const char *at = p->at;

    while (at < p->end && is_name_char(*at))
        at++;
    return (bvi_span){ p->at, (size_t)(at - p->at) };
}

bool bvi_tpl_take(bvi_tpl_parser *p, const char *text)
{
    bvi_tpl_skip_space(p);
    if (!bvi_tpl_looking_at(p, text))
        return false;
    p->at += strlen(text);
    return true;
}

bool bvi_tpl_take_word(bvi_tpl_parser *p, const char *word)
{
    bvi_span found;

    bvi_tpl_skip_space(p);
    found = bvi_tpl_peek_word(p);
    if (!bvi_span_is(found, word, strlen(word)))
        return false;
    p->at += found.len;
    return true;
}

int bvi_tpl_need(bvi_tpl_parser *p, const char *text)
{
    return bvi_tpl_take(p, text) ? 0 : bvi_tpl_syntax(p, p->at, "`%s`", text);
}

int bvi_tpl_need_name(bvi_tpl_parser *p, bvi_span *ret)
{
    *ret = bvi_tpl_peek_word(p);
    if (ret->len == 0 || (*ret->at >= '0' && *ret->at <= '9'))
        return bvi_tpl_syntax(p, p->at, "a name");
    p->at += ret->len;
    return 0;
}

int bvi_tpl_need_string(bvi_tpl_parser *p, bvi_span *ret)
{
    char quote = p->at < p->end ? *p->at : '\0';
    const char *close;

    if (quote != '"' && quote != '\'' && quote != '`')
        return bvi_tpl_syntax(p, p->at, "a string");
    close = memchr(p->at + 1, quote, (size_t)(p->end - p->at - 1));
    if (!close)
        return bvi_tpl_syntax(p, p->at, "a string that ends with its quote");
    *ret = (bvi_span){ p->at + 1, (size_t)(close - p->at - 1) };
    p->at = close + 1;
    return 0;
}

bool bvi_tpl_at_end(const bvi_tpl_parser *p, const char *closer)
{
    bvi_tpl_parser ahead = *p;

    if (ahead.at < ahead.end && *ahead.at == '-')
        ahead.at++;
    return bvi_tpl_looking_at(&ahead, closer);
}

int bvi_tpl_need_end(bvi_tpl_parser *p, const char *closer)
{
    bvi_tpl_skip_space(p);
    if (!bvi_tpl_at_end(p, closer))
        return bvi_tpl_syntax(p, p->at, "an operator or `%s`", closer);
    p->trim = *p->at == '-';
    p->at += 2 + p->trim;
    return 0;
}

/* ---- nodes ---- */

typedef struct node_list {
    bvi_tpl_node *first;
    bvi_tpl_node **slot;
} node_list;

static int add_text(bvi_tpl_parser *p, node_list *list, const char *from, const char *to,
                    unsigned trim)
{
    bvi_span text = bvi_text_trim((bvi_span){ from, (size_t)(to - from) }, trim);
    bvi_tpl_node *node;

    if (text.len == 0)
        return 0;
    node = bvi_arena_new0(&p->tpl->arena, bvi_tpl_node);
    if (!node)
        return bvi_tpl_no_room(p);
    node->kind = BVI_TPL_TEXT;
    node->pos = (size_t)(text.at - p->start);
    node->as.text = text;
    *list->slot = node;
    list->slot = &node->next;
    return 0;
}

/* The next `{{`, `{%` or `{#`, or the end. */
static const char *find_opening(const bvi_tpl_parser *p)
{
    const char *at = p->at;

    while ((at = memchr(at, '{', (size_t)(p->end - at))) != NULL) {
        if (at + 1 < p->end && (at[1] == '{' || at[1] == '%' || at[1] == '#'))
            return at;
        at++;
    }
    return p->end;
}

/* Text up to the next opening, then the opening with its '-'. */
static int parse_text(bvi_tpl_parser *p, node_list *list)
{
    const char *to = find_opening(p);
    bool trim_end = p->end - to > 2 && to[2] == '-';
    unsigned trim = (p->trim ? BVI_TRIM_START : 0u) | (trim_end ? BVI_TRIM_END : 0u);
    int r = add_text(p, list, p->at, to, trim);

    p->trim = false;
    p->tag_at = to;
    p->at = to == p->end ? to : to + 2 + trim_end;
    return r;
}

static int parse_comment(bvi_tpl_parser *p)
{
    const char *close = memmem(p->at, (size_t)(p->end - p->at), "#}", 2);

    if (!close)
        return bvi_tpl_syntax(p, p->end, "`#}`");
    if (close == p->at)
        return bvi_tpl_syntax(p, p->at, "a comment that is not empty");
    p->trim = close[-1] == '-';
    p->at = close + 2;
    return 0;
}

static int parse_print(bvi_tpl_parser *p, node_list *list)
{
    bvi_tpl_node *node = bvi_arena_new0(&p->tpl->arena, bvi_tpl_node);
    int r;

    if (!node)
        return bvi_tpl_no_room(p);
    node->kind = BVI_TPL_PRINT;
    node->pos = (size_t)(p->tag_at - p->start);
    r = bvi_tpl_parse_value(p, &node->as.print);
    *list->slot = node;
    list->slot = &node->next;
    return r < 0 ? r : bvi_tpl_need_end(p, "}}");
}

/* ---- raw ---- */

/* The `{% endraw %}` at or after p->at; *ret_behind is behind its word. */
static const char *find_endraw(const bvi_tpl_parser *p, const char **ret_behind)
{
    bvi_tpl_parser ahead = *p;
    const char *tag;

    while ((tag = memmem(ahead.at, (size_t)(p->end - ahead.at), "{%", 2)) != NULL) {
        ahead.at = tag + 2 + (tag + 2 < p->end && tag[2] == '-');
        if (bvi_tpl_take_word(&ahead, "endraw")) {
            *ret_behind = ahead.at;
            return tag;
        }
    }
    return NULL;
}

static int parse_raw(bvi_tpl_parser *p, node_list *list)
{
    const char *behind = NULL;
    const char *from, *to;
    unsigned trim;
    int r = bvi_tpl_need_end(p, "%}");

    if (r < 0)
        return r;
    from = p->at;
    to = find_endraw(p, &behind);
    if (!to)
        return bvi_tpl_syntax(p, p->end, "`{%% endraw %%}`");
    trim = (p->trim ? BVI_TRIM_START : 0u) | (to[2] == '-' ? BVI_TRIM_END : 0u);
    p->at = behind;
    r = add_text(p, list, from, to, trim);
    return r < 0 ? r : bvi_tpl_need_end(p, "%}");
}

/* ---- tags ---- */

static const struct {
    const char *word;
    unsigned end;
} ends[] = {
    { "elif", BVI_TPL_END_ELIF },        { "else", BVI_TPL_END_ELSE },
    { "endif", BVI_TPL_END_IF },         { "endfor", BVI_TPL_END_FOR },
    { "endfilter", BVI_TPL_END_FILTER }, { "endmacro", BVI_TPL_END_MACRO },
    { "endblock", BVI_TPL_END_BLOCK },
};

static unsigned end_of_word(bvi_span word)
{
    for (size_t i = 0; i < BVI_COUNT(ends); i++) {
        if (bvi_span_is(word, ends[i].word, strlen(ends[i].word)))
            return ends[i].end;
    }
    return 0;
}

static int fail_open(bvi_tpl_parser *p, unsigned wanted)
{
    unsigned line = 1;
    const char *word = "";

    for (size_t i = 0; i < BVI_COUNT(ends); i++)
        word = ends[i].end & wanted ? ends[i].word : word; /* the last one always will do */
    for (const char *at = p->start; at < p->opened; at++)
        line += *at == '\n';
    return bvi_tpl_syntax(p, p->end, "`{%% %s %%}` for the tag in line %u", word, line);
}

static int parse_tag(bvi_tpl_parser *p, bvi_span word, node_list *list)
{
    bvi_tpl_tag_fn parse = bvi_tpl_find_tag(word);
    const char *from = p->tag_at;
    bvi_tpl_node *node = NULL;
    int r;

    if (!parse)
        return bvi_tpl_syntax(p, from, "a tag that is known here, not `%.*s`",
                              (int)(word.len < 40 ? word.len : 40), word.at);
    r = parse(p, &node);
    if (r < 0 || !node)
        return r;
    node->pos = (size_t)(from - p->start);
    *list->slot = node;
    list->slot = &node->next;
    return 0;
}

/* One opening and what belongs to it. *ret_end: it was one of the ends. */
static int parse_opened(bvi_tpl_parser *p, unsigned wanted, node_list *list, unsigned *ret_end)
{
    bvi_span word;

    if (p->tag_at[1] == '#')
        return parse_comment(p);
    if (p->tag_at[1] == '{')
        return parse_print(p, list);
    bvi_tpl_skip_space(p);
    word = bvi_tpl_peek_word(p);
    p->at += word.len;
    *ret_end = end_of_word(word) & wanted;
    if (*ret_end)
        return 0;
    return bvi_span_is(word, "raw", 3) ? parse_raw(p, list) : parse_tag(p, word, list);
}

int bvi_tpl_parse_body(bvi_tpl_parser *p, unsigned wanted, bvi_tpl_node **ret_first,
                       unsigned *ret_end)
{
    node_list list = { .slot = &list.first };
    unsigned end = 0;
    int r = 0;

    while (r >= 0 && !end) {
        r = parse_text(p, &list);
        if (r >= 0 && p->tag_at == p->end) {
            if (wanted)
                r = fail_open(p, wanted);
            break;
        }
        if (r >= 0)
            r = parse_opened(p, wanted, &list, &end);
    }
    *ret_first = list.first;
    *ret_end = end;
    return r;
}

/* ---- reporting ---- */

static void find_place(const char *start, const char *at, uint32_t *ret_line, uint32_t *ret_column)
{
    *ret_line = 1;
    *ret_column = 1;
    for (; start < at; start++) {
        if (*start == '\n') {
            ++*ret_line;
            *ret_column = 1;
        } else if (((unsigned char)*start & 0xC0) != 0x80) {
            ++*ret_column;
        }
    }
}

void bvi_tpl_place(const bvi_template *tpl, size_t pos, bvi_template_place *place)
{
    find_place(tpl->source, tpl->source + pos, &place->line, &place->column);
    (void)snprintf(place->file, sizeof(place->file), "%s", tpl->name); /* cut when too long */
}

/* "\n --> 3:5", the line with a caret below the place, and what is wrong. */
static int show_mistake(const bvi_tpl_parser *p, const bvi_template_place *place, bv_error **err)
{
    const char *line = p->mistake_at;
    const char *stop = p->mistake_at;
    bool shown;

    while (line > p->start && line[-1] != '\n')
        line--;
    while (stop < p->end && *stop != '\n' && *stop != '\r')
        stop++;
    shown = (size_t)(stop - line) <= LINE_SHOWN_MAX;
    if (!shown)
        return bvi_fail(err, p->code, "\n --> %u:%u\n  = expected %s", place->line, place->column,
                        p->mistake);
    return bvi_fail(err, p->code,
                    "\n --> %u:%u\n  |\n%-2u| %.*s\n  | %*s^---\n  |\n  = expected %s", place->line,
                    place->column, place->line, (int)(stop - line), line, (int)place->column - 1,
                    "", p->mistake);
}

static int report(const bvi_tpl_parser *p, bvi_template_place *place, bv_error **err)
{
    bvi_template_place here = { .line = 0 };

    if (p->code == BV_E_NOMEM || !p->mistake_at)
        return p->code == BV_E_NOMEM ? bvi_fail_nomem(err)
                                     : bvi_fail(err, p->code, "the template is too large");
    bvi_tpl_place(p->tpl, (size_t)(p->mistake_at - p->start), &here);
    if (place)
        *place = here;
    if (strncmp(p->mistake, "Integer out", 11) == 0) {
        (void)bvi_fail(err, p->code, "line %u, column %u", here.line, here.column);
        (void)bvi_wrap(err, p->code, "%s", p->mistake);
    } else {
        (void)show_mistake(p, &here, err);
    }
    return bvi_wrap(err, p->code, "Failed to parse '%s'", p->tpl->name);
}

/* ---- the whole ---- */

void bvi_template_free(bvi_template *tpl)
{
    if (!tpl)
        return;
    bvi_arena_done(&tpl->arena);
    bvi_free(tpl->source);
    bvi_free(tpl->name);
    bvi_free(tpl);
}

static int new_template(const char *text, size_t len, const char *name, bvi_template **ret,
                        bv_error **err)
{
    bvi_template *tpl = bvi_new0(bvi_template);

    if (!tpl)
        return bvi_fail_nomem(err);
    bvi_arena_init(&tpl->arena, TREE_BYTES_MAX);
    tpl->name = bvi_strdup(name);
    tpl->source = bvi_strndup(text, len);
    tpl->len = len;
    if (!tpl->name || !tpl->source) {
        bvi_template_free(tpl);
        return bvi_fail_nomem(err);
    }
    *ret = tpl;
    return 0;
}

int bvi_template_parse(const char *text, size_t len, const char *name, bvi_template **ret_template,
                       bvi_template_place *place, bv_error **err)
{
    BVI_AUTO(bvi_template_freep) bvi_template *tpl = NULL;
    bvi_tpl_parser p;
    unsigned end = 0;
    int r;

    if (len > BVI_TEMPLATE_BYTES_MAX)
        return bvi_fail(err, BV_E_LIMIT, "the template '%s' has %zu bytes, more than %u", name, len,
                        BVI_TEMPLATE_BYTES_MAX);
    if (!bvi_utf8_valid(text, len))
        return bvi_fail(err, BV_E_FORMAT, "the template '%s' is not UTF-8 text", name);
    r = new_template(text, len, name, &tpl, err);
    if (r < 0)
        return r;
    p = (bvi_tpl_parser){ .tpl = tpl, .start = tpl->source, .at = tpl->source };
    p.end = tpl->source + len;
    if (bvi_tpl_parse_body(&p, BVI_TPL_END_FILE, &tpl->body, &end) < 0)
        return report(&p, place, err);
    *ret_template = bvi_take(tpl);
    return 0;
}
