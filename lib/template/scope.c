/*
 * scope.c - variables: frames, assignment, and paths into values.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "template/run.h"

#define CONTEXT_NAME "__tera_context"

void bvi_tpl_push(bvi_tpl_run *run, bvi_tpl_frame *frame, bvi_tpl_frame_kind kind)
{
    *frame = (bvi_tpl_frame){ .kind = kind, .first = run->bindings.len, .outer = run->frame };
    run->frame = frame;
}

void bvi_tpl_pop(bvi_tpl_run *run)
{
    run->bindings.len = run->frame->first;
    run->frame = run->frame->outer;
}

/* ---- assignment ---- */

int bvi_tpl_bind(bvi_tpl_run *run, size_t pos, bvi_span name, bvi_tpl_value value)
{
    bvi_tpl_binding *binding = bvi_vec_push(&run->bindings);

    if (binding) {
        *binding = (bvi_tpl_binding){ name, value };
        return 0;
    }
    if (run->bindings.len < BVI_TPL_BINDINGS_MAX)
        return bvi_fail_nomem(&run->err);
    return bvi_tpl_fail_code(run, pos, BV_E_LIMIT, "more than %u variables", BVI_TPL_BINDINGS_MAX);
}

/* The variable among those bound from index `from` up to `to`; the latest one counts. */
static bvi_tpl_binding *find_binding(bvi_tpl_run *run, bvi_span name, size_t from, size_t to)
{
    run->work += (to - from) / 8;
    while (to > from) {
        bvi_tpl_binding *binding = &run->bindings.items[--to];

        if (bvi_span_is(binding->name, name.at, name.len))
            return binding;
    }
    return NULL;
}

/* Puts a binding into an outer frame, behind its others. */
static int insert(bvi_tpl_run *run, size_t pos, bvi_tpl_frame *inner, bvi_span name,
                  bvi_tpl_value value)
{
    size_t at = inner->first;
    int r = bvi_tpl_bind(run, pos, name, value);

    if (r < 0)
        return r;
    memmove(&run->bindings.items[at + 1], &run->bindings.items[at],
            (run->bindings.len - 1 - at) * sizeof(run->bindings.items[0]));
    run->bindings.items[at] = (bvi_tpl_binding){ name, value };
    for (bvi_tpl_frame *f = run->frame; f != inner->outer; f = f->outer)
        f->first++;
    return 0;
}

static int assign_global(bvi_tpl_run *run, size_t pos, bvi_span name, bvi_tpl_value value)
{
    bvi_tpl_frame *frame = run->frame;
    bvi_tpl_frame *inner = NULL;
    bvi_tpl_binding *old;

    while (frame->kind == BVI_TPL_FRAME_LOOP || frame->kind == BVI_TPL_FRAME_INCLUDE) {
        inner = frame;
        frame = frame->outer;
    }
    if (value.type >= BVI_TPL_STRING)
        bvi_arena_pin(&run->arena);
    old = find_binding(run, name, frame->first, inner ? inner->first : run->bindings.len);
    if (old)
        old->value = value;
    else if (inner)
        return insert(run, pos, inner, name, value);
    else
        return bvi_tpl_bind(run, pos, name, value);
    return 0;
}

int bvi_tpl_assign(bvi_tpl_run *run, size_t pos, bvi_span name, bvi_tpl_value value, bool global)
{
    bvi_tpl_binding *old;

    if (global)
        return assign_global(run, pos, name, value);
    old = find_binding(run, name, run->frame->first, run->bindings.len);
    if (!old)
        return bvi_tpl_bind(run, pos, name, value);
    old->value = value;
    return 0;
}

/* ---- paths ---- */

static const bvi_tpl_value *find_variable(bvi_tpl_run *run, bvi_span name)
{
    const bvi_tpl_frame *frame = run->frame;
    const bvi_tpl_binding *binding;

    while (frame->kind == BVI_TPL_FRAME_LOOP || frame->kind == BVI_TPL_FRAME_INCLUDE)
        frame = frame->outer;
    binding = find_binding(run, name, frame->first, run->bindings.len);
    return binding ? &binding->value : bvi_tpl_find(&run->params, name.at, name.len);
}

#define KEY_MAX 24u /* digits of an index */

/* The key a step stands for; numbers are written into digits. */
static int key_of(bvi_tpl_run *run, const bvi_tpl_step *step, char digits[KEY_MAX],
                  bvi_span *ret_key)
{
    const bvi_tpl_value *v = NULL;
    int64_t index = 0;
    int r;

    *ret_key = step->key;
    if (!step->inner)
        return 0;
    r = bvi_tpl_lookup(run, step->inner, &v);
    if (r < 0)
        return r;
    if (!v)
        return bvi_tpl_fail_undefined(run, step->inner);
    if (v->type == BVI_TPL_STRING) {
        *ret_key = (bvi_span){ v->as.text, v->len };
        return 0;
    }
    if (v->type != BVI_TPL_INT)
        return bvi_tpl_fail(run, step->inner->pos,
                            "Only variables evaluating to String or Number can be used as index "
                            "(`%.*s`)",
                            (int)step->inner->text.len, step->inner->text.at);
    index = v->as.i;
    *ret_key = (bvi_span){ digits, (size_t)snprintf(digits, KEY_MAX, "%" PRId64, index) };
    return 0;
}

static const bvi_tpl_value *take_step(const bvi_tpl_value *v, bvi_span key)
{
    const bvi_tpl_value *found = bvi_tpl_find(v, key.at, key.len);

    /* A key with points is one key only in brackets, where find_path would take it apart. */
    return found || v->type != BVI_TPL_ARRAY || memchr(key.at, '.', key.len)
               ? found
               : bvi_tpl_find_path(v, key.at, key.len);
}

int bvi_tpl_lookup(bvi_tpl_run *run, const bvi_tpl_path *path, const bvi_tpl_value **ret_found)
{
    const bvi_tpl_value *v;
    char digits[KEY_MAX];
    int r = bvi_tpl_enter(run, path->pos);

    if (r < 0)
        return r;
    v = find_variable(run, path->name);
    for (const bvi_tpl_step *step = path->steps; v && step; step = step->next) {
        bvi_span key;

        r = key_of(run, step, digits, &key);
        if (r < 0)
            return r;
        v = take_step(v, key);
    }
    run->depth--;
    *ret_found = v;
    return 0;
}

/* ---- what is missing ---- */

/* The path with its brackets evaluated: obj[strs[0]] is obj."b", arr[9] is arr.9. */
static int evaluated_path(bvi_tpl_run *run, const bvi_tpl_path *path, bvi_buf *out)
{
    int r = bvi_buf_append(out, path->name.at, path->name.len);

    for (const bvi_tpl_step *step = path->steps; r >= 0 && step; step = step->next) {
        char digits[KEY_MAX];
        bvi_span key;
        bool quoted;

        r = key_of(run, step, digits, &key);
        if (r < 0)
            return r;
        quoted = step->quoted || (step->inner && key.at != digits);
        r = bvi_buf_printf(out, quoted ? ".\"%.*s\"" : ".%.*s", (int)key.len, key.at);
    }
    return r < 0 ? bvi_tpl_fail_room(run, path->pos, r) : 0;
}

static bool has_brackets(const bvi_tpl_path *path)
{
    for (const bvi_tpl_step *step = path->steps; step; step = step->next) {
        if (step->bracket)
            return true;
    }
    return false;
}

int bvi_tpl_fail_undefined(bvi_tpl_run *run, const bvi_tpl_path *path)
{
    BVI_AUTO(bvi_buf_done) bvi_buf evaluated = BVI_BUF_INIT(BVI_TEMPLATE_BYTES_MAX);
    int len = (int)path->text.len;
    int r;

    if (!has_brackets(path))
        return bvi_tpl_fail(run, path->pos,
                            "Variable `%.*s` not found in context while rendering '%s'", len,
                            path->text.at, run->file->name);
    r = evaluated_path(run, path, &evaluated);
    if (r < 0)
        return r;
    return bvi_tpl_fail(run, path->pos,
                        "Variable `%.*s` not found in context while rendering '%s': the evaluated "
                        "version was `%s`. Maybe the index is out of bounds?",
                        len, path->text.at, run->file->name, bvi_buf_str(&evaluated));
}

/* ---- the whole context ---- */

static int compare_members(const void *a, const void *b)
{
    return bvi_tpl_compare(&((const bvi_tpl_member *)a)->key, &((const bvi_tpl_member *)b)->key);
}

/* Parameters that no variable hides, and the variables. */
static int visible_members(bvi_tpl_run *run, size_t pos, bvi_tpl_value *ret)
{
    const bvi_tpl_value *params = &run->params;
    size_t max = params->len + run->bindings.len;
    bvi_tpl_member *members = bvi_arena_alloc(&run->arena, max * sizeof(*members));
    size_t n = 0;

    if (!members)
        return bvi_tpl_fail_room(run, pos, run->arena.failure);
    for (size_t i = 0; i < params->len; i++) {
        bvi_span key = { params->as.members[i].key.as.text, params->as.members[i].key.len };

        if (find_variable(run, key) == &params->as.members[i].value)
            members[n++] = params->as.members[i];
    }
    for (size_t i = 0; i < run->bindings.len; i++) {
        const bvi_tpl_binding *b = &run->bindings.items[i];

        if (find_variable(run, b->name) != &b->value)
            continue;
        members[n].value = b->value;
        if (bvi_tpl_copy_text(&run->arena, b->name.at, b->name.len, &members[n++].key) < 0)
            return bvi_tpl_fail_room(run, pos, run->arena.failure);
    }
    qsort(members, n, sizeof(*members), compare_members);
    *ret = bvi_tpl_object(members, n);
    return bvi_tpl_spend(run, pos, n * (1 + run->bindings.len));
}

int bvi_tpl_context_text(bvi_tpl_run *run, size_t pos, bvi_tpl_value *ret)
{
    BVI_AUTO(bvi_buf_done) bvi_buf text = BVI_BUF_INIT(bvi_tpl_room(run));
    bvi_tpl_value context = BVI_TPL_NULL_VALUE;
    int r = visible_members(run, pos, &context);

    if (r < 0)
        return r;
    r = bvi_tpl_print_json(&text, &context, true);
    return r < 0 ? bvi_tpl_fail_room(run, pos, r) : bvi_tpl_keep(run, pos, &text, ret);
}
