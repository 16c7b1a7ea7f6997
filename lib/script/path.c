/*
 * path.c - walking chains of properties and indices: reading through them, storing at their end,
 * and finding the place they lead to so that a method can change it.
 *
 * Reading never copies a container on the way: it follows pointers and holds at most one temporary,
 * the value of a getter or of a computed index. Writing makes every container on the way the
 * chain's own first (copy on write).
 */
#include <stdio.h>
#include <string.h>

#include "base/utf8.h"
#include "script/vm.h"

/* ---- indices ---- */

bool bvi_index(int64_t index, size_t len, size_t *ret)
{
    if (index < 0)
        index += (int64_t)len;
    if (index < 0 || (uint64_t)index >= len)
        return false;
    *ret = (size_t)index;
    return true;
}

void bvi_clamp_range(const bvi_range *range, size_t len, int64_t *ret_start, int64_t *ret_count)
{
    int64_t n = (int64_t)len;
    int64_t start = range->start < 0 ? range->start + n : range->start;
    int64_t end = range->end < 0 ? range->end + n : range->end;

    if (range->inclusive && end < n)
        end++;
    start = start < 0 ? 0 : start > n ? n : start;
    end = end < start ? start : end > n ? n : end;
    *ret_start = start;
    *ret_count = end - start;
}

static uint64_t bit_mask(int64_t count)
{
    return count >= 64 ? UINT64_MAX : ((uint64_t)1 << count) - 1;
}

static int bit_range(bvi_script_call *call, const bvi_range *range, int64_t *ret_start,
                     int64_t *ret_count)
{
    if (range->start >= 64 || range->start < -64)
        return bvi_vm_bounds(call, (bvi_pos){ 0, 0 }, BVI_FAILURE_BIT_BOUNDS, range->start, 64);
    bvi_clamp_range(range, 64, ret_start, ret_count);
    return 0;
}

int bvi_get_bits(bvi_script_call *call, int64_t value, const bvi_range *range, int64_t *ret)
{
    int64_t start = 0;
    int64_t count = 0;
    int r = bit_range(call, range, &start, &count);

    if (r == 0)
        *ret = (int64_t)(((uint64_t)value >> start) & bit_mask(count));
    return r;
}

int bvi_set_bits(bvi_script_call *call, int64_t *value, const bvi_range *range, int64_t bits)
{
    int64_t start = 0;
    int64_t count = 0;
    int r = bit_range(call, range, &start, &count);
    uint64_t mask;

    if (r < 0 || count == 0)
        return r;
    mask = bit_mask(count) << start;
    *value = (int64_t)(((uint64_t)*value & ~mask) | (((uint64_t)bits << start) & mask));
    return 0;
}

/* ---- where chains start ---- */

static const char *root_name(const bvi_frame *frame, const bvi_path *path)
{
    return path->root == BVI_ROOT_THIS ? "" : bvi_unit_str(frame->proto->unit, path->name)->data;
}

static int constant_error(bvi_script_call *call, const bvi_frame *frame, const bvi_path *path)
{
    const char *name = root_name(frame, path);
    int r = bvi_vm_fail_at(call, path->name_pos, BVI_FAILURE_CONSTANT, "Cannot modify constant %s",
                           name);

    bvi_vm_field_text(call, "variable", name);
    return r;
}

static int variable_error(bvi_script_call *call, const bvi_frame *frame, const bvi_path *path,
                          const char *prefix)
{
    const char *name = bvi_unit_str(frame->proto->unit, path->name)->data;
    int r = bvi_vm_fail_at(call, path->pos, BVI_FAILURE_VARIABLE_NOT_FOUND,
                           "Variable not found: %s%s", prefix, name);

    bvi_vm_field_text(call, "variable", name);
    return r;
}

static int no_member(bvi_script_call *call, const bvi_script *unit, const bvi_member *m,
                     const bvi_path *path)
{
    BVI_AUTO(bvi_buf_done) bvi_buf full = BVI_SCRIPT_BUF_INIT(call->engine, BVI_MEMBER_TEXT_MAX);
    const char *name = bvi_unit_str(unit, m->name)->data;
    int r = bvi_vm_member_text(call, unit, m, name, &full);

    if (r < 0)
        return r;
    r = bvi_vm_fail_at(call, path->pos, BVI_FAILURE_VARIABLE_NOT_FOUND, "Variable not found: %s",
                       bvi_buf_str(&full));
    bvi_vm_field_text(call, "variable", name);
    return r;
}

static int member_root(bvi_script_call *call, bvi_frame *frame, const bvi_path *path,
                       bvi_value **ret)
{
    const bvi_script *unit = frame->proto->unit;
    const bvi_member *m = &unit->members[path->slot];
    bvi_module *module = NULL;
    bvi_value *v;
    int r = bvi_vm_member(call, frame, m, &module);

    if (r < 0)
        return r;
    v = module ? bvi_map_find(&module->exports, bvi_unit_str(unit, m->name)) : NULL;
    if (!v)
        return no_member(call, unit, m, path);
    *ret = bvi_deref(v);
    return 0;
}

static int name_root(bvi_script_call *call, bvi_frame *frame, const bvi_path *path, bvi_value *temp,
                     bvi_value **ret)
{
    *ret = bvi_vm_find_dynamic(call, frame, bvi_unit_str(frame->proto->unit, path->slot), INT64_MIN,
                               NULL);
    if (*ret)
        return 0;
    *ret = temp;
    return bvi_vm_get_name(call, frame, path->slot, path->pos, temp);
}

/* A variable that eval() made in front of the one the compiler saw; NULL: there is none. */
static bvi_value *hiding(bvi_script_call *call, bvi_frame *frame, const bvi_path *path,
                         bool *ret_const)
{
    if (path->since == BVI_NOT_HIDDEN ||
        (path->root != BVI_ROOT_LOCAL && path->root != BVI_ROOT_UP))
        return NULL;
    return bvi_vm_find_dynamic(call, frame, bvi_unit_str(frame->proto->unit, path->name),
                               path->since, ret_const);
}

/* The value at the start. temp holds it when it is no variable. */
static inline int root(bvi_script_call *call, bvi_frame *frame, const bvi_path *path,
                       bvi_value *indices, bvi_value *temp, bvi_value **ret)
{
    if (path->root == BVI_ROOT_LOCAL && path->since == BVI_NOT_HIDDEN) {
        *ret = bvi_deref(&call->stack[frame->base + path->slot]);
        return 0;
    }
    *ret = hiding(call, frame, path, NULL);
    if (*ret)
        return 0;
    switch (path->root) {
    case BVI_ROOT_LOCAL:
        *ret = bvi_deref(&call->stack[frame->base + path->slot]);
        return 0;
    case BVI_ROOT_UP:
        *ret = bvi_deref(&bvi_fnp(&frame->fn)->values[path->slot]);
        return 0;
    case BVI_ROOT_STACK:
        *ret = indices - 1;
        return 0;
    case BVI_ROOT_THIS:
        if (!frame->has_this)
            return bvi_vm_fail_at(call, path->pos, BVI_FAILURE_THIS, "'this' not bound");
        *ret = &frame->self;
        return 0;
    case BVI_ROOT_GLOBAL:
        *ret = bvi_map_find(&bvi_home(frame->home)->consts,
                            bvi_unit_str(frame->proto->unit, path->slot));
        return *ret ? 0 : variable_error(call, frame, path, "global::");
    case BVI_ROOT_MEMBER:
        return member_root(call, frame, path, ret);
    default:
        return name_root(call, frame, path, temp, ret);
    }
}

/* ---- properties ---- */

static const bvi_script_function *host_getter(const bvi_value *v, const bvi_string *name)
{
    const bvi_script_function *f = ((const bvi_hostobj *)v->as.obj)->type->methods;

    for (; f && f->name; f++) {
        if ((f->flags & (BVI_SCRIPT_PROPERTY | BVI_SCRIPT_PROPERTY_ONLY)) && f->params[0] == '\0' &&
            strcmp(f->name, name->data) == 0)
            return f;
    }
    return NULL;
}

static bool find_getter(bvi_script_call *call, const bvi_value *v, const bvi_string *name,
                        bvi_step *step)
{
    const bvi_script_function *own = v->type == BVI_T_HOST ? host_getter(v, name) : NULL;

    if (own) {
        step->getter = own;
        step->getter_data = own->data ? own->data : call->engine->method_data;
        step->getter_varies = !(own->flags & BVI_SCRIPT_STABLE);
        return true;
    }
    for (const bvi_native *n = bvi_native_find(call->engine, name->data, name->len); n;
         n = bvi_native_next(n)) {
        if (n->argc == 1 && (n->def->flags & (BVI_SCRIPT_PROPERTY | BVI_SCRIPT_PROPERTY_ONLY)) &&
            bvi_params_match(n->def->params, v, 1)) {
            step->getter = n->def;
            step->getter_data = n->data;
            step->getter_varies = n->varies;
            return true;
        }
    }
    return false;
}

static int property_error(bvi_script_call *call, bvi_pos pos, const char *name, const bvi_value *v,
                          const bvi_value *assigned)
{
    int r;

    if (assigned)
        r = bvi_vm_fail_at(
            call, pos, BVI_FAILURE_DOT,
            "No writable property '%s' - a setter is not registered for type '%s' to handle '%s'",
            name, bvi_type_name(v), bvi_type_name(assigned));
    else
        r = bvi_vm_fail_at(call, pos, BVI_FAILURE_DOT,
                           "Unknown property '%s' - a getter is not registered for type '%s'", name,
                           bvi_type_name(v));
    if (call->failure)
        bvi_vm_field_text(call, "property", bvi_buf_str(&call->failure->text));
    return r;
}

/* What the getters of a value depend on: its type, or its host type. */
static const void *kind_of(const bvi_value *v)
{
    static const char kinds[BVI_T_ERROR + 1];

    return v->type == BVI_T_HOST ? (const void *)((const bvi_hostobj *)v->as.obj)->type
                                 : &kinds[v->type];
}

/* What a getter or a setter answered. */
static int end_property(bvi_script_call *call, const bvi_step *step, const char *name, int r,
                        bool may_wait)
{
    if (r == BVI_SCRIPT_PENDING && may_wait)
        return r;
    if (r > 0)
        return bvi_vm_fail_at(call, step->item, BVI_FAILURE_DOT, "Property '%s' cannot suspend",
                              name);
    if (r < 0 && call->failure && call->failure->pos.line == 0 && !call->failure->no_pos)
        call->failure->pos = step->item;
    return r;
}

static int computed_property(bvi_script_call *call, const bvi_value *v, bvi_step *step,
                             const bvi_string *name, bool may_wait, bvi_value *ret)
{
    bvi_value self;
    int r;

    if (step->getter_of != kind_of(v)) {
        if (strcmp(name->data, "tag") == 0) {
            *ret = bvi_value_int(v->tag);
            return 0;
        }
        step->getter_of = NULL;
        if (!find_getter(call, v, name, step))
            return property_error(call, step->item, name->data, v, NULL);
        step->getter_of = kind_of(v);
    }
    self = bvi_dup(v);
    call->pos = step->item;
    call->top_varies |= step->getter_varies;
    r = step->getter->fn(call, &self, 1, ret, step->getter_data);
    bvi_drop(&self);
    return end_property(call, step, name->data, r, may_wait);
}

/* ---- indices ---- */

static int index_type_error(bvi_script_call *call, const bvi_value *index, const char *wanted,
                            bvi_pos pos)
{
    int r = bvi_script_throw_type(call, index, wanted);

    if (index->type == BVI_T_RANGE && call->failure) {
        const char *name = bvi_rng(index)->inclusive ? "core::ops::range::RangeInclusive<i64>"
                                                     : "core::ops::range::Range<i64>";

        r = bvi_vm_fail(call, BVI_FAILURE_DATA_TYPE, "Data type incorrect: %s (expecting %s)", name,
                        wanted);
        bvi_vm_field_text(call, "actual", name);
        bvi_vm_field_text(call, "requested", wanted);
    }
    if (call->failure)
        call->failure->pos = pos;
    return r;
}

static int index_unavailable(bvi_script_call *call, const bvi_value *v, const bvi_value *index,
                             bvi_pos pos)
{
    char types[256];
    int r;

    snprintf(types, sizeof(types), "%s [%s]", bvi_type_name(v), bvi_type_name(index));
    r = bvi_vm_fail_at(call, pos, BVI_FAILURE_INDEXING, "Indexer unavailable: %s", types);
    bvi_vm_field_text(call, "type", types);
    return r;
}

static int want_int(bvi_script_call *call, const bvi_value *index, const bvi_step *step)
{
    return index->type == BVI_T_INT ? 0 : index_type_error(call, index, "i64", step->item);
}

static inline int item_of(bvi_script_call *call, const bvi_value *v, size_t len,
                          bvi_failure_kind kind, const bvi_value *index, const bvi_step *step,
                          size_t *ret)
{
    int r = want_int(call, index, step);

    if (r < 0)
        return r;
    if (!bvi_index(index->as.i, len, ret))
        return bvi_vm_bounds(call, step->item, kind, index->as.i, len);
    return 0;
}

static int string_index(bvi_script_call *call, const bvi_value *v, const bvi_value *index,
                        const bvi_step *step, bvi_value *ret)
{
    size_t at = 0;
    int r;

    if (index->type == BVI_T_RANGE) {
        int64_t start, count;

        bvi_clamp_range(bvi_rng(index), bvi_str(v)->chars, &start, &count);
        r = bvi_string_slice(v, start, count, ret);
        return r < 0 ? bvi_script_throw_code(call, r) : 0;
    }
    r = item_of(call, v, bvi_str(v)->chars, BVI_FAILURE_STRING_BOUNDS, index, step, &at);
    if (r == 0)
        *ret = bvi_value_char(bvi_string_char(bvi_str(v), at));
    return r;
}

static int int_index(bvi_script_call *call, const bvi_value *v, const bvi_value *index,
                     const bvi_step *step, bvi_value *ret)
{
    size_t at = 0;
    int r;

    if (index->type == BVI_T_RANGE) {
        int64_t bits = 0;

        r = bvi_get_bits(call, v->as.i, bvi_rng(index), &bits);
        *ret = bvi_value_int(bits);
        return r;
    }
    r = item_of(call, v, 64, BVI_FAILURE_BIT_BOUNDS, index, step, &at);
    if (r == 0)
        *ret = bvi_value_bool(((uint64_t)v->as.i >> at) & 1u);
    return r;
}

/* An index whose result is not stored anywhere: of strings, blobs and numbers. */
static int computed_index(bvi_script_call *call, const bvi_value *v, const bvi_value *index,
                          const bvi_step *step, bvi_value *ret)
{
    size_t at = 0;
    int r;

    switch (v->type) {
    case BVI_T_STRING:
        return string_index(call, v, index, step, ret);
    case BVI_T_INT:
        return int_index(call, v, index, step, ret);
    case BVI_T_BLOB:
        r = item_of(call, v, bvi_blb(v)->len, BVI_FAILURE_ARRAY_BOUNDS, index, step, &at);
        if (r == 0)
            *ret = bvi_value_int(bvi_blb(v)->data[at]);
        return r;
    default:
        return index_unavailable(call, v, index, step->pos);
    }
}

/* ---- reading ---- */

typedef struct walker {
    bvi_script_call *call;
    const bvi_script *unit;
    bvi_value *at;    /* where the chain has come to */
    bvi_value temp;   /* holds *at when nothing else does */
    bvi_value *index; /* of the next index step */
    bool ended;       /* at ?. behind a unit */
    bool may_wait;    /* a getter may answer later */
    uint32_t next;    /* step */
} walker;

/* The chain goes on with a value of its own. */
static void go_on_with(walker *w, bvi_value v)
{
    bvi_value old = w->temp;

    w->temp = v;
    w->at = &w->temp;
    bvi_drop(&old);
}

/* A property is usually where it was the last time: a name is one string in all of a source. */
static inline bvi_value *find_property(const bvi_value *map, bvi_step *step, bvi_string *name)
{
    bvi_map *m = bvi_mp(map);
    bvi_value *v;

    if (step->hint < m->len && m->entries[step->hint].key == name)
        return &m->entries[step->hint].value;
    v = bvi_map_find(map, name);
    if (v)
        step->hint = bvi_map_number(map, v);
    return v;
}

/* A step whose result is nobody's item: of strings, numbers, host objects... */
static int computed_step(walker *w, bvi_step *step, const bvi_value *index)
{
    bvi_value made = BVI_VALUE_UNIT;
    int r = index ? computed_index(w->call, w->at, index, step, &made)
                  : computed_property(w->call, w->at, step, bvi_unit_str(w->unit, step->key),
                                      w->may_wait, &made);

    if (r != 0)
        bvi_drop(&made);
    else
        go_on_with(w, made);
    return r;
}

static inline int read_step(walker *w, bvi_step *step)
{
    const bvi_value *index = step->is_index ? w->index++ : NULL;
    bvi_value *found = NULL;

    if (w->at->type == BVI_T_MAP && !index) {
        found = find_property(w->at, step, bvi_unit_str(w->unit, step->key));
    } else if (w->at->type == BVI_T_MAP) {
        if (index->type != BVI_T_STRING)
            return index_type_error(w->call, index, "string", step->item);
        found = bvi_map_find(w->at, bvi_str(index));
    } else if (w->at->type == BVI_T_ARRAY && index) {
        size_t at = 0;
        int r = item_of(w->call, w->at, bvi_arr(w->at)->len, BVI_FAILURE_ARRAY_BOUNDS, index, step,
                        &at);

        if (r < 0)
            return r;
        found = &bvi_arr(w->at)->items[at];
    } else if (step->safe && w->at->type == BVI_T_UNIT) {
        w->ended = true;
        return 0;
    } else {
        return computed_step(w, step, index);
    }
    if (found)
        w->at = found;
    else
        go_on_with(w, BVI_VALUE_UNIT);
    return 0;
}

static int read_steps(walker *w, const bvi_path *path, uint32_t count)
{
    while (w->next < count && !w->ended) {
        int r = read_step(w, &w->unit->steps[path->first + w->next++]);

        if (r != 0)
            return r;
    }
    return 0;
}

static void end_walk(walker *w)
{
    bvi_drop(&w->temp);
}

static bvi_value result_of(const walker *w)
{
    return w->ended ? BVI_VALUE_UNIT : bvi_dup(w->at);
}

int bvi_path_get(bvi_script_call *call, bvi_frame *frame, const bvi_path *path, bvi_value *indices,
                 bvi_value *ret)
{
    BVI_AUTO(end_walk) walker w = { .call = call, .unit = frame->proto->unit, .index = indices };
    bvi_value v;
    int r = root(call, frame, path, indices, &w.temp, &w.at);

    if (r == 0)
        r = read_steps(&w, path, path->steps);
    if (r < 0)
        return r;
    v = result_of(&w);
    *ret = v;
    return 0;
}

/* ---- getters that answer later: a frame of their own waits, then the chain goes on ---- */

enum { REG_NEXT, REG_INDEX };

static void note_place(bvi_frame *f, const walker *w, const bvi_path *path)
{
    f->pos = w->unit->steps[path->first + w->next - 1].item;
    f->reg[REG_NEXT] = w->next;
    f->reg[REG_INDEX] = w->index - (w->call->stack + f->base);
}

static int step_getter(bvi_script_call *call, bvi_frame *frame, bvi_value *ret)
{
    const bvi_path *path = frame->data;
    BVI_AUTO(end_walk)
    walker w = { .call = call,
                 .unit = frame[-1].proto->unit,
                 .index = call->stack + frame->base + frame->reg[REG_INDEX],
                 .may_wait = true,
                 .next = (uint32_t)frame->reg[REG_NEXT] };
    int r;

    w.at = &w.temp;
    r = bvi_vm_step_pending(call, frame, &w.temp);
    if (r == 0)
        r = read_steps(&w, path, path->steps);
    else
        return r;
    if (r == BVI_SCRIPT_PENDING) {
        note_place(frame, &w, path);
        return bvi_vm_step_pending(call, frame, ret);
    }
    if (r == 0)
        *ret = result_of(&w);
    return r;
}

static int wait_for_getter(const walker *w, const bvi_path *path, bvi_value *indices, uint32_t to)
{
    bvi_script_call *call = w->call;
    int r = bvi_vm_push_native(call, step_getter, NULL, (uint32_t)(indices - call->stack),
                               path->indices, to, (bvi_pos){ 0, 0 });

    if (r == 0) {
        call->frames[call->frames_len - 1].data = (void *)path;
        note_place(&call->frames[call->frames_len - 1], w, path);
    }
    return r;
}

int bvi_path_load(bvi_script_call *call, bvi_frame *frame, const bvi_path *path)
{
    bvi_value *indices = call->sp - path->indices;
    uint32_t to = (uint32_t)(indices - call->stack) - (path->root == BVI_ROOT_STACK);
    BVI_AUTO(end_walk)
    walker w = { .call = call, .unit = frame->proto->unit, .index = indices, .may_wait = true };
    bvi_value v;
    int r = root(call, frame, path, indices, &w.temp, &w.at);

    if (r == 0)
        r = read_steps(&w, path, path->steps);
    if (r == BVI_SCRIPT_PENDING)
        return wait_for_getter(&w, path, indices, to);
    if (r < 0)
        return r;
    v = result_of(&w);
    bvi_vm_cut(call, to);
    bvi_vm_push(call, v);
    return 0;
}

/* ---- places ---- */

static inline int own(bvi_script_call *call, bvi_value *v)
{
    int r = 0;

    if (!bvi_is_obj(v) || v->as.obj->refs == 1)
        return 0;
    if (v->type == BVI_T_ARRAY)
        r = bvi_array_own(v);
    else if (v->type == BVI_T_MAP)
        r = bvi_map_own(v);
    return r < 0 ? bvi_script_throw_code(call, r) : 0;
}

static int own_steps(walker *w, const bvi_path *path, uint32_t count)
{
    for (uint32_t i = 0; i < count && !w->ended; i++) {
        int r = own(w->call, w->at);

        if (r == 0)
            r = read_step(w, &w->unit->steps[path->first + i]);
        if (r < 0)
            return r;
    }
    return 0;
}

int bvi_path_place(bvi_script_call *call, bvi_frame *frame, const bvi_path *path,
                   bvi_value *indices, bvi_value *temp, bvi_value **ret)
{
    walker w = { .call = call, .unit = frame->proto->unit, .index = indices };
    int r = root(call, frame, path, indices, &w.temp, &w.at);

    if (r == 0)
        r = own_steps(&w, path, path->steps);
    if (r < 0) {
        end_walk(&w);
        return r;
    }
    *ret = w.ended ? NULL : w.at;
    if (w.at == &w.temp)
        *ret = w.ended ? NULL : temp;
    *temp = w.temp;
    return 0;
}

/* ---- storing ---- */

static int assign_string_index(bvi_script_call *call, bvi_value *s, const bvi_value *index,
                               const bvi_step *step, const bvi_value *value)
{
    bvi_value out = BVI_VALUE_UNIT;
    int64_t start = 0;
    int64_t count = 1;
    size_t at = 0;
    size_t from;
    size_t to;
    int r = 0;

    if (index->type == BVI_T_RANGE) {
        bvi_clamp_range(bvi_rng(index), bvi_str(s)->chars, &start, &count);
        if (value->type != BVI_T_STRING && value->type != BVI_T_CHAR)
            return bvi_script_throw_type(call, value, "string");
    } else {
        r = item_of(call, s, bvi_str(s)->chars, BVI_FAILURE_STRING_BOUNDS, index, step, &at);
        if (r < 0)
            return r;
        if (value->type != BVI_T_CHAR)
            return bvi_script_throw_type(call, value, "char");
        /* Counted from the end, the reference stores at that distance from the start. */
        start = index->as.i < 0 ? -index->as.i : (int64_t)at;
        if (start >= bvi_str(s)->chars)
            return 0;
    }
    from = bvi_string_offset(bvi_str(s), (size_t)start);
    to = bvi_string_offset(bvi_str(s), (size_t)(start + count));
    r = bvi_value_string(call->engine, bvi_str(s)->data, from, &out);
    if (r == 0)
        r = bvi_op_append_text(call, &out, value, BVI_FORM_TEXT);
    if (r == 0)
        r = bvi_string_append(&out, bvi_str(s)->data + to, bvi_str(s)->len - to);
    if (r < 0) {
        bvi_drop(&out);
        return bvi_script_throw_code(call, r);
    }
    bvi_replace(s, out);
    return 0;
}

static int assign_bits(bvi_script_call *call, bvi_value *v, const bvi_value *index,
                       const bvi_step *step, const bvi_value *value)
{
    size_t at = 0;
    int r;

    if (index->type == BVI_T_RANGE) {
        if (value->type != BVI_T_INT)
            return bvi_script_throw_type(call, value, "i64");
        return bvi_set_bits(call, &v->as.i, bvi_rng(index), value->as.i);
    }
    r = item_of(call, v, 64, BVI_FAILURE_BIT_BOUNDS, index, step, &at);
    if (r < 0)
        return r;
    if (value->type != BVI_T_BOOL)
        return bvi_script_throw_type(call, value, "bool");
    v->as.i = (int64_t)(((uint64_t)v->as.i & ~((uint64_t)1 << at)) | (uint64_t)value->as.b << at);
    return 0;
}

static int assign_byte(bvi_script_call *call, bvi_value *b, const bvi_value *index,
                       const bvi_step *step, const bvi_value *value)
{
    size_t at = 0;
    int r = item_of(call, b, bvi_blb(b)->len, BVI_FAILURE_ARRAY_BOUNDS, index, step, &at);

    if (r < 0)
        return r;
    if (value->type != BVI_T_INT)
        return bvi_script_throw_type(call, value, "INT");
    r = bvi_blob_own(b);
    if (r < 0)
        return bvi_script_throw_code(call, r);
    bvi_blb(b)->data[at] = (uint8_t)value->as.i;
    return 0;
}

static int assign_item(bvi_script_call *call, bvi_value *a, const bvi_value *index,
                       const bvi_step *step, bvi_value *value)
{
    size_t at = 0;
    int r = item_of(call, a, bvi_arr(a)->len, BVI_FAILURE_ARRAY_BOUNDS, index, step, &at);

    if (r == 0)
        r = own(call, a);
    if (r < 0)
        return r;
    value->tag = 0;
    bvi_replace(&bvi_arr(a)->items[at], bvi_move(value));
    return 0;
}

static int assign_entry(bvi_script_call *call, bvi_value *map, bvi_string *key, bvi_value *value)
{
    int r = bvi_map_set(map, key, bvi_move(value));

    return r < 0 ? bvi_script_throw_code(call, r) : 0;
}

static int assign_index(bvi_script_call *call, bvi_value *at, const bvi_value *index,
                        const bvi_step *step, bvi_value *value)
{
    switch (at->type) {
    case BVI_T_ARRAY:
        return assign_item(call, at, index, step, value);
    case BVI_T_STRING:
        return assign_string_index(call, at, index, step, value);
    case BVI_T_INT:
        return assign_bits(call, at, index, step, value);
    case BVI_T_BLOB:
        return assign_byte(call, at, index, step, value);
    case BVI_T_MAP:
        if (index->type != BVI_T_STRING)
            return index_type_error(call, index, "string", step->item);
        return assign_entry(call, at, bvi_str(index), value);
    default:
        return index_unavailable(call, at, index, step->pos);
    }
}

static const bvi_script_function *host_setter(const bvi_value *v, const bvi_string *name,
                                              const bvi_value *value)
{
    const bvi_script_function *f = ((const bvi_hostobj *)v->as.obj)->type->methods;

    for (; f && f->name; f++) {
        if ((f->flags & BVI_SCRIPT_PROPERTY_ONLY) && strcmp(f->name, name->data) == 0 &&
            bvi_params_match(f->params, value, 1))
            return f;
    }
    return NULL;
}

static int call_setter(bvi_script_call *call, const bvi_script_function *setter,
                       const bvi_value *self, const bvi_step *step, const bvi_value *value)
{
    bvi_value args[2] = { bvi_dup(self), bvi_dup(value) };
    bvi_value ignored = BVI_VALUE_UNIT;
    int r;

    call->pos = step->item;
    call->top_varies |= !(setter->flags & BVI_SCRIPT_STABLE);
    r = setter->fn(call, args, 2, &ignored,
                   setter->data ? setter->data : call->engine->method_data);
    bvi_drop(&args[0]);
    bvi_drop(&args[1]);
    bvi_drop(&ignored);
    return end_property(call, step, setter->name, r, false);
}

static int assign_property(bvi_script_call *call, bvi_value *at, bvi_step *step, bvi_string *name,
                           bvi_value *value)
{
    const bvi_script_function *setter =
        at->type == BVI_T_HOST ? host_setter(at, name, value) : NULL;

    if (setter)
        return call_setter(call, setter, at, step, value);
    if (at->type == BVI_T_MAP) {
        bvi_value *v = at->as.obj->refs == 1 ? find_property(at, step, name) : NULL;

        if (!v)
            return assign_entry(call, at, name, value);
        value->tag = 0;
        bvi_replace(v, bvi_move(value));
        return 0;
    }
    if (strcmp(name->data, "tag") != 0 || value->type != BVI_T_INT)
        return property_error(call, step->item, name->data, at, value);
    if (value->as.i < INT32_MIN || value->as.i > INT32_MAX)
        return bvi_vm_fail_at(
            call, step->item, BVI_FAILURE_ARITHMETIC,
            "%lld is too large to fit into a tag (must be between -2147483648 and 2147483647)",
            (long long)value->as.i);
    at->tag = (int32_t)value->as.i;
    return 0;
}

/* Stores at the last step; what came before has been walked. */
static int assign_last(walker *w, bvi_step *step, bvi_value *value)
{
    if (step->safe && w->at->type == BVI_T_UNIT)
        return 0;
    if (step->is_index)
        return assign_index(w->call, w->at, w->index, step, value);
    return assign_property(w->call, w->at, step, bvi_unit_str(w->unit, step->key), value);
}

static int check_writable(bvi_script_call *call, bvi_frame *frame, const bvi_path *path)
{
    bool is_const = bvi_path_is_const(frame, path);

    if (path->root == BVI_ROOT_THIS && !frame->has_this)
        return bvi_vm_fail_at(call, path->pos, BVI_FAILURE_THIS, "'this' not bound");
    if (path->root == BVI_ROOT_NAME &&
        !bvi_vm_find_dynamic(call, frame, bvi_unit_str(frame->proto->unit, path->slot), INT64_MIN,
                             &is_const))
        return variable_error(call, frame, path, "");
    (void)hiding(call, frame, path, &is_const);
    return is_const ? constant_error(call, frame, path) : 0;
}

int bvi_path_set(bvi_script_call *call, bvi_frame *frame, const bvi_path *path, bvi_value *indices,
                 bvi_value *value)
{
    BVI_AUTO(end_walk) walker w = { .call = call, .unit = frame->proto->unit, .index = indices };
    int r = check_writable(call, frame, path);

    if (r == 0)
        r = root(call, frame, path, indices, &w.temp, &w.at);
    if (r == 0 && path->steps > 0)
        r = own_steps(&w, path, path->steps - 1);
    if (r < 0 || w.ended)
        return r;
    if (path->steps == 0) {
        bvi_replace(w.at, bvi_move(value));
        return 0;
    }
    return assign_last(&w, &w.unit->steps[path->first + path->steps - 1], value);
}

/* The last step of an op-assignment: read, compute, store. Items of arrays and maps are changed
 * where they are. What has no place of its own is computed, with its errors, and forgotten. */
static int change_last(walker *w, bvi_step *step, bvi_opcode op, const bvi_value *operand)
{
    bool has_place = w->at != &w->temp;
    bvi_value held = bvi_dup(&w->temp); /* the container may be inside */
    bvi_value *container = w->at;
    bvi_value *index = w->index;
    bvi_value current = BVI_VALUE_UNIT;
    int r = own(w->call, w->at);

    if (r == 0)
        r = read_step(w, step);
    if (r == 0 && !w->ended && w->at != &w->temp) {
        r = bvi_op_binary(w->call, op, w->at, operand, true);
    } else if (r == 0 && !w->ended) {
        current = bvi_move(&w->temp);
        r = bvi_op_binary(w->call, op, &current, operand, true);
        w->at = container;
        w->index = index;
        if (r == 0 && has_place)
            r = assign_last(w, step, &current);
    }
    bvi_drop(&current);
    bvi_drop(&held);
    return r;
}

int bvi_path_op(bvi_script_call *call, bvi_frame *frame, const bvi_path *path, bvi_value *indices,
                bvi_opcode op, const bvi_value *operand)
{
    BVI_AUTO(end_walk) walker w = { .call = call, .unit = frame->proto->unit, .index = indices };
    int r = check_writable(call, frame, path);

    if (r == 0)
        r = root(call, frame, path, indices, &w.temp, &w.at);
    if (r == 0 && path->steps > 0)
        r = own_steps(&w, path, path->steps - 1);
    if (r < 0 || w.ended)
        return r;
    if (path->steps == 0)
        return bvi_op_binary(call, op, w.at, operand, true);
    return change_last(&w, &w.unit->steps[path->first + path->steps - 1], op, operand);
}
