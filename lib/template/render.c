/*
 * render.c - text and tags.
 */
#include <string.h>

#include "template/run.h"

/* ---- output ---- */

static int put(bvi_tpl_run *run, size_t pos, const char *text, size_t len)
{
    size_t used = run->captured + run->out->len;
    size_t room = used < run->output_max ? run->output_max - used : 0;
    int r = len > room ? BV_E_LIMIT : bvi_buf_append(run->out, text, len);

    if (r < 0)
        return bvi_tpl_fail_room(run, pos, r);
    return bvi_tpl_spend(run, pos, 1 + len / BVI_TPL_BYTES_PER_OPERATION);
}

static int put_value(bvi_tpl_run *run, size_t pos, const bvi_tpl_value *v, bool escape)
{
    BVI_AUTO(bvi_buf_done) bvi_buf text = BVI_BUF_INIT(run->output_max);
    int r;

    if (v->type == BVI_TPL_STRING && !escape)
        return put(run, pos, v->as.text, v->len);
    if (v->type == BVI_TPL_STRING)
        r = bvi_text_escape_html(&text, (bvi_span){ v->as.text, v->len });
    else
        r = bvi_tpl_print(&text, v);
    return r < 0 ? bvi_tpl_fail_room(run, pos, r) : put(run, pos, bvi_buf_str(&text), text.len);
}

static int render_print(bvi_tpl_run *run, const bvi_tpl_node *node)
{
    const bvi_tpl_expr *e = node->as.print;
    bvi_arena_mark mark = bvi_arena_here(&run->arena);
    bvi_tpl_value v = BVI_TPL_NULL_VALUE;
    int r = bvi_tpl_eval(run, e, &v);

    if (r >= 0)
        r = put_value(run, e->pos, &v, run->escapes && bvi_tpl_wants_escape(e));
    bvi_arena_release(&run->arena, mark);
    return r;
}

/* Renders a body into a buffer of its own. */
static int capture(bvi_tpl_run *run, const bvi_tpl_node *body, bvi_buf *into)
{
    bvi_buf *out = run->out;
    int r;

    run->captured += out->len;
    run->out = into;
    r = bvi_tpl_render_nodes(run, body);
    run->out = out;
    run->captured -= out->len;
    return r;
}

/* ---- if ---- */

static int render_if(bvi_tpl_run *run, const bvi_tpl_node *node)
{
    for (const bvi_tpl_branch *b = node->as.branches; b; b = b->next) {
        bvi_arena_mark mark = bvi_arena_here(&run->arena);
        bool taken = true;
        int r = b->when ? bvi_tpl_eval_truth(run, b->when, &taken) : 0;

        bvi_arena_release(&run->arena, mark);
        if (r < 0)
            return r;
        if (taken)
            return bvi_tpl_render_nodes(run, b->body);
    }
    return 0;
}

/* ---- for ---- */

/* A loop under way. */
typedef struct loop {
    const bvi_tpl_node *node;
    bvi_tpl_value container;
    size_t count;
    const char *rest; /* of a text, what is still to come */
} loop;

static int check_container(bvi_tpl_run *run, const bvi_tpl_node *node, const bvi_tpl_value *v)
{
    bool keyed = node->as.loop.key.len > 0;
    bvi_span name = bvi_tpl_expr_name(node->as.loop.container);
    size_t pos = node->as.loop.container->pos;

    if (keyed && v->type != BVI_TPL_OBJECT)
        return bvi_tpl_fail(run, pos,
                            "Tried to iterate using key value on variable `%.*s`, but it isn't an "
                            "object/map",
                            (int)name.len, name.at);
    if (!keyed && v->type == BVI_TPL_OBJECT)
        return bvi_tpl_fail(
            run, pos,
            "Tried to iterate using key value on variable `%.*s`, but it is missing a key",
            (int)name.len, name.at);
    if (v->type < BVI_TPL_STRING)
        return bvi_tpl_fail(run, pos,
                            "Tried to iterate on a container (`%.*s`) that has a unsupported type",
                            (int)name.len, name.at);
    return 0;
}

static size_t count_turns(const bvi_tpl_value *v)
{
    size_t count = 0;

    if (v->type != BVI_TPL_STRING)
        return v->len;
    for (size_t at = 0; at < v->len; count++)
        at += bvi_text_grapheme(v->as.text + at, v->len - at);
    return count;
}

static bvi_tpl_value turn_value(loop *l, size_t turn)
{
    const char *at = l->rest;
    const char *end = l->container.as.text + l->container.len;

    if (l->container.type == BVI_TPL_ARRAY)
        return l->container.as.items[turn];
    if (l->container.type == BVI_TPL_OBJECT)
        return l->container.as.members[turn].value;
    l->rest += bvi_text_grapheme(at, (size_t)(end - at));
    return bvi_tpl_text(at, (size_t)(l->rest - at));
}

/* The variable `loop`, anew for each turn: `set_global` may keep it. */
static int bind_facts(bvi_tpl_run *run, const loop *l, size_t turn)
{
    const bvi_tpl_member facts[] = {
        { bvi_tpl_cstr("first"), bvi_tpl_bool(turn == 0) },
        { bvi_tpl_cstr("index"), bvi_tpl_int((int64_t)turn + 1) },
        { bvi_tpl_cstr("index0"), bvi_tpl_int((int64_t)turn) },
        { bvi_tpl_cstr("last"), bvi_tpl_bool(turn + 1 == l->count) },
    };
    bvi_tpl_member *kept = bvi_arena_alloc(&run->arena, sizeof(facts));

    if (!kept)
        return bvi_tpl_fail_room(run, l->node->pos, run->arena.failure);
    memcpy(kept, facts, sizeof(facts));
    return bvi_tpl_bind(run, l->node->pos, (bvi_span){ "loop", 4 },
                        bvi_tpl_object(kept, BVI_COUNT(facts)));
}

static int bind_turn(bvi_tpl_run *run, loop *l, size_t turn)
{
    const bvi_tpl_node *node = l->node;
    int r = bind_facts(run, l, turn);

    if (r >= 0 && node->as.loop.key.len)
        r = bvi_tpl_bind(run, node->pos, node->as.loop.key, l->container.as.members[turn].key);
    return r < 0 ? r : bvi_tpl_bind(run, node->pos, node->as.loop.value, turn_value(l, turn));
}

static int render_turn(bvi_tpl_run *run, loop *l, size_t turn)
{
    bvi_arena_mark mark = bvi_arena_here(&run->arena);
    bvi_tpl_frame frame;
    int r;

    bvi_tpl_push(run, &frame, BVI_TPL_FRAME_LOOP);
    r = bind_turn(run, l, turn);
    if (r >= 0)
        r = bvi_tpl_render_nodes(run, l->node->as.loop.body);
    bvi_tpl_pop(run);
    bvi_arena_release(&run->arena, mark);
    return r < 0 ? r : bvi_tpl_spend(run, l->node->pos, 1);
}

static int render_turns(bvi_tpl_run *run, loop *l)
{
    for (size_t turn = 0; turn < l->count; turn++) {
        bool leave;
        int r = render_turn(run, l, turn);

        leave = run->jump == BVI_TPL_LEAVE_LOOP;
        run->jump = BVI_TPL_GO_ON;
        if (r < 0 || leave)
            return r;
    }
    return 0;
}

static int render_for(bvi_tpl_run *run, const bvi_tpl_node *node)
{
    bvi_arena_mark mark = bvi_arena_here(&run->arena);
    loop l = { .node = node };
    int r = bvi_tpl_eval(run, node->as.loop.container, &l.container);

    if (r >= 0)
        r = check_container(run, node, &l.container);
    if (r < 0)
        return r;
    l.rest = l.container.as.text;
    l.count = count_turns(&l.container);
    r = l.count ? render_turns(run, &l) : bvi_tpl_render_nodes(run, node->as.loop.otherwise);
    if (l.count)
        bvi_arena_release(&run->arena, mark);
    return r;
}

/* ---- set, filter ---- */

static int render_set(bvi_tpl_run *run, const bvi_tpl_node *node)
{
    bvi_tpl_value v = BVI_TPL_NULL_VALUE;
    int r = bvi_tpl_eval(run, node->as.set.value, &v);

    return r < 0 ? r : bvi_tpl_assign(run, node->pos, node->as.set.name, v, node->as.set.global);
}

static int render_filtered(bvi_tpl_run *run, const bvi_tpl_node *node)
{
    BVI_AUTO(bvi_buf_done) bvi_buf text = BVI_BUF_INIT(run->output_max);
    bvi_tpl_value in = BVI_TPL_NULL_VALUE, v = BVI_TPL_NULL_VALUE;
    int r = capture(run, node->as.filtered.body, &text);

    if (r >= 0)
        r = bvi_tpl_keep(run, node->pos, &text, &in);
    if (r >= 0)
        r = bvi_tpl_apply_filter(run, node->as.filtered.filter, in, &v);
    return r < 0 ? r : put_value(run, node->pos, &v, false);
}

/* ---- include ---- */

static bool is_being_rendered(const bvi_tpl_run *run, const bvi_template *tpl)
{
    for (const bvi_tpl_frame *f = run->frame; f; f = f->outer) {
        if (f->file == tpl)
            return true;
    }
    return false;
}

static int render_file(bvi_tpl_run *run, size_t pos, const bvi_template *tpl)
{
    const bvi_template *file = run->file;
    bvi_tpl_frame frame;
    int r;

    if (is_being_rendered(run, tpl))
        return bvi_tpl_fail(run, pos, "Template '%s' includes itself", tpl->name);
    if (run->include_depth >= BVI_TEMPLATE_INCLUDE_DEPTH_MAX)
        return bvi_tpl_fail_code(run, pos, BV_E_LIMIT, "templates include each other %u deep",
                                 BVI_TEMPLATE_INCLUDE_DEPTH_MAX);
    run->include_depth++;
    run->file = tpl;
    bvi_tpl_push(run, &frame, BVI_TPL_FRAME_INCLUDE);
    frame.file = tpl;
    r = bvi_tpl_render_nodes(run, tpl->body);
    if (r < 0)
        r = bvi_tpl_wrap(run, r, "in the included template '%s'", tpl->name);
    bvi_tpl_pop(run);
    run->file = file;
    run->include_depth--;
    return r;
}

static int fail_missing(bvi_tpl_run *run, const bvi_tpl_node *node)
{
    BVI_AUTO(bvi_buf_done) bvi_buf names = BVI_BUF_INIT(BVI_TEMPLATE_BYTES_MAX);
    int r = 0;

    for (const bvi_tpl_name *n = node->as.include.names; r >= 0 && n; n = n->next)
        r = bvi_buf_printf(&names, "%s%.*s", names.len ? ", " : "", (int)n->name.len, n->name.at);
    if (r < 0)
        return bvi_tpl_fail_room(run, node->pos, r);
    return bvi_tpl_fail(run, node->pos, "Template '[%s]' not found", bvi_buf_str(&names));
}

static int render_include(bvi_tpl_run *run, const bvi_tpl_node *node)
{
    for (const bvi_tpl_name *n = node->as.include.names; n; n = n->next) {
        const bvi_template *tpl = NULL;
        int r = bvi_tpl_load(run, node->pos, n->name, &tpl);

        if (r < 0)
            return r;
        if (tpl)
            return render_file(run, node->pos, tpl);
    }
    return node->as.include.ignore_missing ? 0 : fail_missing(run, node);
}

/* ---- macros ---- */

static const bvi_tpl_arg *find_arg(const bvi_tpl_call *call, bvi_span name)
{
    for (const bvi_tpl_arg *arg = call->args; arg; arg = arg->next) {
        if (bvi_span_is(arg->name, name.at, name.len))
            return arg;
    }
    return NULL;
}

/* Arguments are evaluated where the call stands. */
static int eval_params(bvi_tpl_run *run, const bvi_tpl_expr *e, const bvi_tpl_macro *macro,
                       bvi_tpl_value values[BVI_TPL_ARGS_MAX])
{
    size_t n = 0;

    for (const bvi_tpl_arg *param = macro->params; param; param = param->next) {
        const bvi_tpl_arg *given = find_arg(&e->as.call, param->name);
        const bvi_tpl_expr *value = given ? given->value : param->value;
        int r;

        if (!value)
            return bvi_tpl_fail(run, e->pos, "Macro `%.*s` is missing the argument `%.*s`",
                                (int)macro->name.len, macro->name.at, (int)param->name.len,
                                param->name.at);
        r = bvi_tpl_eval(run, value, &values[n++]);
        if (r < 0)
            return r;
    }
    return 0;
}

static int bind_params(bvi_tpl_run *run, const bvi_tpl_macro *macro, const bvi_tpl_value *values)
{
    int r = 0;

    for (const bvi_tpl_arg *param = macro->params; r >= 0 && param; param = param->next)
        r = bvi_tpl_bind(run, 0, param->name, *values++);
    return r;
}

static int run_macro(bvi_tpl_run *run, const bvi_tpl_macro *macro, const bvi_tpl_value *values,
                     bvi_buf *text)
{
    bvi_tpl_frame frame;
    int r;

    bvi_tpl_push(run, &frame, BVI_TPL_FRAME_MACRO);
    r = bind_params(run, macro, values);
    if (r >= 0)
        r = capture(run, macro->body, text);
    bvi_tpl_pop(run);
    return r;
}

int bvi_tpl_call_macro(bvi_tpl_run *run, const bvi_tpl_expr *e, bvi_tpl_value *ret)
{
    BVI_AUTO(bvi_buf_done) bvi_buf text = BVI_BUF_INIT(run->output_max);
    const bvi_template *file = run->file;
    const bvi_template *home = NULL;
    const bvi_tpl_macro *macro = NULL;
    bvi_tpl_value values[BVI_TPL_ARGS_MAX];
    int r = bvi_tpl_find_macro(run, &e->as.call, e->pos, &home, &macro);

    if (r >= 0)
        r = eval_params(run, e, macro, values);
    if (r < 0)
        return r;
    run->file = home;
    run->macro_depth++;
    r = run_macro(run, macro, values, &text);
    run->macro_depth--;
    run->file = file;
    if (r < 0 && run->macro_depth >= BVI_TPL_STORY_CALLS_MAX)
        return r;
    if (r < 0)
        return bvi_tpl_wrap(run, r, "error while rendering macro `%.*s::%.*s`",
                            (int)e->as.call.space.len, e->as.call.space.at,
                            (int)e->as.call.name.len, e->as.call.name.at);
    return bvi_tpl_keep(run, e->pos, &text, ret);
}

/* ---- all of them ---- */

static int render_node(bvi_tpl_run *run, const bvi_tpl_node *node)
{
    switch ((bvi_tpl_node_kind)node->kind) {
    case BVI_TPL_TEXT:
        return put(run, node->pos, node->as.text.at, node->as.text.len);
    case BVI_TPL_PRINT:
        return render_print(run, node);
    case BVI_TPL_IF:
        return render_if(run, node);
    case BVI_TPL_FOR:
        return render_for(run, node);
    case BVI_TPL_SET:
        return render_set(run, node);
    case BVI_TPL_FILTERED:
        return render_filtered(run, node);
    case BVI_TPL_BLOCK:
        return bvi_tpl_render_nodes(run, node->as.block);
    case BVI_TPL_INCLUDE:
        return render_include(run, node);
    case BVI_TPL_BREAK:
        run->jump = BVI_TPL_LEAVE_LOOP;
        return 0;
    case BVI_TPL_CONTINUE:
        run->jump = BVI_TPL_LEAVE_TURN;
        return 0;
    }
    return 0;
}

int bvi_tpl_render_nodes(bvi_tpl_run *run, const bvi_tpl_node *nodes)
{
    int r = nodes ? bvi_tpl_enter(run, nodes->pos) : 0;

    if (r < 0 || !nodes)
        return r;
    for (; r >= 0 && nodes && run->jump == BVI_TPL_GO_ON; nodes = nodes->next)
        r = render_node(run, nodes);
    run->depth--;
    return r;
}
