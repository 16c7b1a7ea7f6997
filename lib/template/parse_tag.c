/*
 * parse_tag.c - the tags, each from behind its word.
 */
#include <string.h>

#include "template/parse.h"

static int new_node(bvi_tpl_parser *p, bvi_tpl_node_kind kind, bvi_tpl_node **ret)
{
    *ret = bvi_arena_new0(&p->tpl->arena, bvi_tpl_node);
    if (!*ret)
        return bvi_tpl_no_room(p);
    (*ret)->kind = (uint8_t)kind;
    return 0;
}

static int need_spaced_name(bvi_tpl_parser *p, bvi_span *ret)
{
    bvi_tpl_skip_space(p);
    return bvi_tpl_need_name(p, ret);
}

/* The end of the opening tag, the body, and the word that ends it. */
static int parse_block(bvi_tpl_parser *p, unsigned ends, bvi_tpl_node **ret_body, unsigned *ret_end)
{
    const char *opened = p->opened;
    const char *here = p->tag_at;
    int r = bvi_tpl_need_end(p, "%}");

    if (r < 0)
        return r;
    if (p->blocks >= BVI_TPL_BLOCK_DEPTH_MAX)
        return bvi_tpl_too_much(p, p->at, "at most %u tags within each other",
                                BVI_TPL_BLOCK_DEPTH_MAX);
    p->blocks++;
    p->opened = here;
    r = bvi_tpl_parse_body(p, ends, ret_body, ret_end);
    p->opened = opened;
    p->blocks--;
    return r;
}

/* A body that only one word ends and that `break` does not leave; the word may repeat the name. */
static int parse_closed(bvi_tpl_parser *p, unsigned end, bvi_tpl_node **ret_body)
{
    unsigned loops = p->loops;
    unsigned found = 0;
    int r;

    p->loops = 0;
    r = parse_block(p, end, ret_body, &found);
    p->loops = loops;
    if (r < 0)
        return r;
    bvi_tpl_skip_space(p);
    p->at += bvi_tpl_peek_word(p).len;
    return bvi_tpl_need_end(p, "%}");
}

/* ---- if ---- */

static int parse_branch(bvi_tpl_parser *p, unsigned ends, bvi_tpl_branch *branch, unsigned *ret_end)
{
    bool has_condition = ends & BVI_TPL_END_ELIF;
    int r = has_condition ? bvi_tpl_parse_logic(p, &branch->when) : 0;

    return r < 0 ? r : parse_block(p, ends, &branch->body, ret_end);
}

static int parse_if(bvi_tpl_parser *p, bvi_tpl_node **ret)
{
    unsigned ends = BVI_TPL_END_ELIF | BVI_TPL_END_ELSE | BVI_TPL_END_IF;
    unsigned end = 0;
    bvi_tpl_branch **slot;
    int r = new_node(p, BVI_TPL_IF, ret);

    if (r < 0)
        return r;
    slot = &(*ret)->as.branches;
    do {
        *slot = bvi_arena_new0(&p->tpl->arena, bvi_tpl_branch);
        if (!*slot)
            return bvi_tpl_no_room(p);
        r = parse_branch(p, ends, *slot, &end);
        if (r < 0)
            return r;
        slot = &(*slot)->next;
        if (end == BVI_TPL_END_ELSE)
            ends = BVI_TPL_END_IF;
    } while (end != BVI_TPL_END_IF);
    return bvi_tpl_need_end(p, "%}");
}

/* ---- for ---- */

static int parse_for_names(bvi_tpl_parser *p, bvi_tpl_node *node)
{
    int r = need_spaced_name(p, &node->as.loop.value);

    if (r >= 0 && bvi_tpl_take(p, ",")) {
        node->as.loop.key = node->as.loop.value;
        r = need_spaced_name(p, &node->as.loop.value);
    }
    if (r >= 0 && !bvi_tpl_take_word(p, "in"))
        r = bvi_tpl_syntax(p, p->at, "`in`");
    return r < 0 ? r : bvi_tpl_parse_container(p, &node->as.loop.container);
}

static int parse_for(bvi_tpl_parser *p, bvi_tpl_node **ret)
{
    unsigned end = 0;
    int r = new_node(p, BVI_TPL_FOR, ret);

    if (r >= 0)
        r = parse_for_names(p, *ret);
    if (r < 0)
        return r;
    p->loops++;
    r = parse_block(p, BVI_TPL_END_ELSE | BVI_TPL_END_FOR, &(*ret)->as.loop.body, &end);
    p->loops--;
    if (r >= 0 && end == BVI_TPL_END_ELSE)
        r = parse_block(p, BVI_TPL_END_FOR, &(*ret)->as.loop.otherwise, &end);
    return r < 0 ? r : bvi_tpl_need_end(p, "%}");
}

static int parse_jump(bvi_tpl_parser *p, bvi_tpl_node_kind kind, bvi_tpl_node **ret)
{
    int r;

    if (!p->loops)
        return bvi_tpl_syntax(p, p->tag_at, "`break` and `continue` only inside `for`");
    r = new_node(p, kind, ret);
    return r < 0 ? r : bvi_tpl_need_end(p, "%}");
}

static int parse_break(bvi_tpl_parser *p, bvi_tpl_node **ret)
{
    return parse_jump(p, BVI_TPL_BREAK, ret);
}

static int parse_continue(bvi_tpl_parser *p, bvi_tpl_node **ret)
{
    return parse_jump(p, BVI_TPL_CONTINUE, ret);
}

/* ---- set ---- */

static int parse_assignment(bvi_tpl_parser *p, bool global, bvi_tpl_node **ret)
{
    int r = new_node(p, BVI_TPL_SET, ret);

    if (r < 0)
        return r;
    (*ret)->as.set.global = global;
    r = need_spaced_name(p, &(*ret)->as.set.name);
    if (r >= 0)
        r = bvi_tpl_need(p, "=");
    if (r >= 0)
        r = bvi_tpl_parse_value(p, &(*ret)->as.set.value);
    return r < 0 ? r : bvi_tpl_need_end(p, "%}");
}

static int parse_set(bvi_tpl_parser *p, bvi_tpl_node **ret)
{
    return parse_assignment(p, false, ret);
}

static int parse_set_global(bvi_tpl_parser *p, bvi_tpl_node **ret)
{
    return parse_assignment(p, true, ret);
}

/* ---- filter, block ---- */

static int parse_filter(bvi_tpl_parser *p, bvi_tpl_node **ret)
{
    int r = new_node(p, BVI_TPL_FILTERED, ret);

    if (r >= 0)
        r = bvi_tpl_parse_filter(p, NULL, &(*ret)->as.filtered.filter);
    return r < 0 ? r : parse_closed(p, BVI_TPL_END_FILTER, &(*ret)->as.filtered.body);
}

static int parse_named_block(bvi_tpl_parser *p, bvi_tpl_node **ret)
{
    bvi_span name;
    int r = new_node(p, BVI_TPL_BLOCK, ret);

    if (r >= 0)
        r = need_spaced_name(p, &name);
    return r < 0 ? r : parse_closed(p, BVI_TPL_END_BLOCK, &(*ret)->as.block);
}

/* ---- macro ---- */

static int parse_param(bvi_tpl_parser *p, bvi_tpl_arg **slot)
{
    int r;

    *slot = bvi_arena_new0(&p->tpl->arena, bvi_tpl_arg);
    if (!*slot)
        return bvi_tpl_no_room(p);
    r = need_spaced_name(p, &(*slot)->name);
    if (r >= 0 && bvi_tpl_take(p, "="))
        r = bvi_tpl_parse_literal(p, &(*slot)->value);
    return r;
}

static int parse_params(bvi_tpl_parser *p, bvi_tpl_macro *macro)
{
    bvi_tpl_arg **slot = &macro->params;
    unsigned count = 0;
    int r = bvi_tpl_need(p, "(");

    while (r >= 0 && !bvi_tpl_take(p, ")")) {
        if (++count > BVI_TPL_ARGS_MAX)
            return bvi_tpl_too_much(p, p->at, "at most %u parameters", BVI_TPL_ARGS_MAX);
        r = parse_param(p, slot);
        if (r < 0)
            return r;
        slot = &(*slot)->next;
        if (!bvi_tpl_take(p, ","))
            return bvi_tpl_need(p, ")");
    }
    return r;
}

static int need_top_level(bvi_tpl_parser *p, const char *tag)
{
    return p->blocks ? bvi_tpl_syntax(p, p->tag_at, "`%s` outside of other tags", tag) : 0;
}

static int parse_macro(bvi_tpl_parser *p, bvi_tpl_node **ret)
{
    bvi_tpl_macro *macro = bvi_arena_new0(&p->tpl->arena, bvi_tpl_macro);
    int r = need_top_level(p, "macro");

    if (r < 0)
        return r;
    if (!macro)
        return bvi_tpl_no_room(p);
    r = need_spaced_name(p, &macro->name);
    if (r >= 0)
        r = parse_params(p, macro);
    if (r >= 0)
        r = parse_closed(p, BVI_TPL_END_MACRO, &macro->body);
    macro->next = p->tpl->macros; /* the last one of a name is found first */
    p->tpl->macros = macro;
    return r;
}

/* ---- other templates ---- */

static int need_spaced_string(bvi_tpl_parser *p, bvi_span *ret)
{
    bvi_tpl_skip_space(p);
    return bvi_tpl_need_string(p, ret);
}

static int parse_file_name(bvi_tpl_parser *p, bvi_tpl_name **slot)
{
    *slot = bvi_arena_new0(&p->tpl->arena, bvi_tpl_name);
    return *slot ? need_spaced_string(p, &(*slot)->name) : bvi_tpl_no_room(p);
}

static int parse_file_names(bvi_tpl_parser *p, bvi_tpl_name **slot)
{
    int r = 0;

    if (!bvi_tpl_take(p, "["))
        return parse_file_name(p, slot);
    while (r >= 0 && !bvi_tpl_take(p, "]")) {
        r = parse_file_name(p, slot);
        if (r < 0)
            return r;
        slot = &(*slot)->next;
        if (!bvi_tpl_take(p, ","))
            return bvi_tpl_need(p, "]");
    }
    return r;
}

static int parse_include(bvi_tpl_parser *p, bvi_tpl_node **ret)
{
    int r = new_node(p, BVI_TPL_INCLUDE, ret);

    if (r >= 0)
        r = parse_file_names(p, &(*ret)->as.include.names);
    if (r >= 0 && bvi_tpl_take_word(p, "ignore")) {
        (*ret)->as.include.ignore_missing = true;
        if (!bvi_tpl_take_word(p, "missing"))
            r = bvi_tpl_syntax(p, p->at, "`missing`");
    }
    return r < 0 ? r : bvi_tpl_need_end(p, "%}");
}

static int parse_import(bvi_tpl_parser *p, bvi_tpl_node **ret)
{
    bvi_tpl_import *import = bvi_arena_new0(&p->tpl->arena, bvi_tpl_import);
    int r = need_top_level(p, "import");

    if (r < 0)
        return r;
    if (!import)
        return bvi_tpl_no_room(p);
    import->pos = (size_t)(p->tag_at - p->start);
    r = need_spaced_string(p, &import->file);
    if (r >= 0 && !bvi_tpl_take_word(p, "as"))
        r = bvi_tpl_syntax(p, p->at, "`as`");
    if (r >= 0)
        r = need_spaced_name(p, &import->space);
    import->next = p->tpl->imports;
    p->tpl->imports = import;
    return r < 0 ? r : bvi_tpl_need_end(p, "%}");
}

static int parse_extends(bvi_tpl_parser *p, bvi_tpl_node **ret)
{
    int r = need_top_level(p, "extends");

    p->tpl->extends_pos = (size_t)(p->tag_at - p->start);
    if (r >= 0)
        r = need_spaced_string(p, &p->tpl->extends);
    return r < 0 ? r : bvi_tpl_need_end(p, "%}");
}

/* ---- the table ---- */

static const struct {
    const char *word;
    bvi_tpl_tag_fn parse;
} tags[] = {
    { "if", parse_if },           { "for", parse_for },
    { "set", parse_set },         { "set_global", parse_set_global },
    { "include", parse_include }, { "filter", parse_filter },
    { "macro", parse_macro },     { "block", parse_named_block },
    { "break", parse_break },     { "continue", parse_continue },
    { "import", parse_import },   { "extends", parse_extends },
};

bvi_tpl_tag_fn bvi_tpl_find_tag(bvi_span word)
{
    for (size_t i = 0; i < BVI_COUNT(tags); i++) {
        if (bvi_span_is(word, tags[i].word, strlen(tags[i].word)))
            return tags[i].parse;
    }
    return NULL;
}
