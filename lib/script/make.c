/*
 * make.c - the longer instructions of the machine: making arrays, maps, text and closures, choosing
 * a case, stepping through what a loop runs over.
 */
#include "base/utf8.h"
#include "script/vm.h"

static int checked(bvi_script_call *call, int r)
{
    return r < 0 ? bvi_script_throw_code(call, r) : 0;
}

/* ---- making ---- */

int bvi_vm_make_array(bvi_script_call *call, uint32_t count)
{
    bvi_value v = BVI_VALUE_UNIT;
    bvi_value *items = call->sp - count;
    int r = bvi_array_open(call->engine, count, &v);

    if (r < 0)
        return checked(call, r);
    for (uint32_t i = 0; i < count; i++) {
        bvi_arr(&v)->items[i] = items[i];
        bvi_arr(&v)->items[i].tag = 0;
    }
    call->sp = items;
    *call->sp++ = v;
    return 0;
}

static int fill_map(bvi_value *map, const bvi_script *unit, const uint32_t *keys, bvi_value *items,
                    uint32_t count)
{
    int r = 0;

    for (uint32_t i = 0; r == 0 && i < count; i++)
        r = bvi_map_set(map, bvi_unit_str(unit, keys[i]), bvi_move(&items[i]));
    return r;
}

/* The place of each entry was found when the source was compiled. */
static void fill_ranked(bvi_map *m, const bvi_script *unit, const uint32_t *keys,
                        const bvi_value *items, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        bvi_map_entry *e = &m->entries[keys[count + i]];

        e->key = bvi_unit_str(unit, keys[i]);
        bvi_obj_ref(e->key);
        e->value = items[i];
        e->value.tag = 0;
    }
}

int bvi_vm_make_map(bvi_script_call *call, const bvi_script *unit, uint32_t first, uint32_t count)
{
    bool ranked = count <= BVI_RANKED_KEYS_MAX;
    bvi_value v = BVI_VALUE_UNIT;
    bvi_value *items = call->sp - count;
    int r = bvi_map_open(call->engine, ranked ? count : 0, &v);

    if (r == 0 && ranked)
        fill_ranked(bvi_mp(&v), unit, &unit->names[first], items, count);
    else if (r == 0)
        r = fill_map(&v, unit, &unit->names[first], items, count);
    if (r < 0) {
        bvi_drop(&v);
        return checked(call, r);
    }
    call->sp = items;
    *call->sp++ = v;
    return 0;
}

/* What the parts will need, strings exactly, others as numbers do. */
static size_t room_for(const bvi_value *parts, uint32_t count)
{
    size_t room = 0;

    for (uint32_t i = 0; i < count; i++)
        room += parts[i].type == BVI_T_STRING ? bvi_str(&parts[i])->len : 8;
    return room;
}

int bvi_vm_interpolate(bvi_script_call *call, uint32_t count)
{
    bvi_value v = BVI_VALUE_UNIT;
    int r = bvi_string_with_room(call->engine, room_for(call->sp - count, count), &v);

    for (uint32_t i = 0; r == 0 && i < count; i++)
        r = bvi_op_append_text(call, &v, call->sp - count + i, BVI_FORM_INTERP);
    if (r < 0) {
        bvi_drop(&v);
        return checked(call, r);
    }
    bvi_vm_cut(call, (uint32_t)(call->sp - call->stack) - count);
    *call->sp++ = v;
    return 0;
}

static int capture(bvi_script_call *call, bvi_value *from, bool copied, bvi_value *to)
{
    int r = 0;

    if (copied) {
        *to = bvi_dup(bvi_deref(from));
        return bvi_cell_new(call->engine, to);
    }
    if (from->type != BVI_T_CELL)
        r = bvi_cell_new(call->engine, from);
    if (r == 0)
        *to = bvi_dup(from);
    return r;
}

/* Variables that a closure uses become shared ones, here and in it. */
int bvi_vm_make_closure(bvi_script_call *call, bvi_frame *f, const bvi_proto *proto)
{
    bvi_value v = BVI_VALUE_UNIT;
    uint32_t count = proto->captures_len;
    int r = bvi_fn_new(call->engine, bvi_unit_str(proto->unit, proto->name), proto, f->home, count,
                       count, &v);

    for (uint32_t i = 0; r == 0 && i < count; i++) {
        const bvi_capture *c = &proto->captures[i];
        bvi_value *from;

        if (c->by_name) {
            r = bvi_vm_capture_name(call, f, c, &bvi_fnp(&v)->values[i]);
            if (r == 0)
                continue;
            bvi_drop(&v);
            return r;
        }
        from = c->from_local ? &call->stack[f->base + c->slot] : &bvi_fnp(&f->fn)->values[c->slot];

        r = capture(call, from, c->copied, &bvi_fnp(&v)->values[i]);
    }
    if (r < 0) {
        bvi_drop(&v);
        return checked(call, r);
    }
    *call->sp++ = v;
    return 0;
}

/* ---- switch ---- */

static bool case_matches(bvi_script_call *call, const bvi_case *c, const bvi_value *v)
{
    bool equal = false;

    if (c->is_range && v->type == BVI_T_INT)
        return v->as.i >= c->start && (c->inclusive ? v->as.i <= c->end : v->as.i < c->end);
    if (c->is_range)
        return v->type == BVI_T_FLOAT && v->as.f >= (double)c->start &&
               (c->inclusive ? v->as.f <= (double)c->end : v->as.f < (double)c->end);
    if (v->type != BVI_T_ARRAY && v->type != BVI_T_MAP)
        return bvi_op_same_literal(&c->value, v);
    if (c->value.type != v->type)
        return false;
    if (bvi_op_equal(call, &c->value, v, &equal) < 0) {
        bvi_vm_forget_failure(call); /* what cannot be compared does not match */
        return false;
    }
    return equal;
}

uint32_t bvi_vm_switch_target(bvi_script_call *call, const bvi_switch *s, uint32_t first,
                              const bvi_value *v)
{
    for (uint32_t i = first; i < s->len; i++) {
        if (case_matches(call, &s->cases[i], v))
            return s->cases[i].target;
    }
    return s->otherwise;
}

/* ---- for ---- */

static int iterable_error(bvi_script_call *call, bvi_value *v, bool empty_body)
{
    if (!empty_body)
        return bvi_vm_fail(call, BVI_FAILURE_FOR, "For loop expects iterable type");
    bvi_drop(v); /* the reference drops such loops before they run */
    return 0;
}

int bvi_vm_make_iterator(bvi_script_call *call, bvi_value *v, bool empty_body)
{
    static const bvi_iter_kind kinds[] = {
        [BVI_T_STRING] = BVI_ITER_STRING,
        [BVI_T_ARRAY] = BVI_ITER_ARRAY,
        [BVI_T_BLOB] = BVI_ITER_BLOB,
    };
    bvi_iter *it;
    int r;

    if (v->type == BVI_T_ITER)
        return 0;
    if (v->type != BVI_T_RANGE && v->type != BVI_T_STRING && v->type != BVI_T_ARRAY &&
        v->type != BVI_T_BLOB)
        return iterable_error(call, v, empty_body);
    r = bvi_iter_new(call->engine, v->type == BVI_T_RANGE ? BVI_ITER_INT : kinds[v->type], &it);
    if (r < 0)
        return checked(call, r);
    if (v->type == BVI_T_RANGE) {
        it->at = bvi_rng(v)->start;
        it->end = bvi_rng(v)->end;
        it->inclusive = bvi_rng(v)->inclusive;
        it->step = 1;
        bvi_drop(v);
    } else {
        it->end = v->type == BVI_T_STRING  ? bvi_str(v)->chars
                  : v->type == BVI_T_ARRAY ? bvi_arr(v)->len
                                           : bvi_blb(v)->len;
        it->source = bvi_move(v);
    }
    *v = bvi_of_obj(it);
    return 0;
}

int bvi_vm_make_range_iterator(bvi_script_call *call, bool inclusive)
{
    bvi_value *from = call->sp - 2;
    bvi_value *to = call->sp - 1;
    bvi_iter *it;
    int r;

    if (from->type != BVI_T_INT || to->type != BVI_T_INT) /* the operator knows what to say */
        return bvi_op_binary(call, inclusive ? BVI_OP_RANGE_INCL : BVI_OP_RANGE, from, to, false);
    r = bvi_iter_new(call->engine, BVI_ITER_INT, &it);
    if (r < 0)
        return checked(call, r);
    it->at = from->as.i;
    it->end = to->as.i;
    it->inclusive = inclusive;
    it->step = 1;
    *from = bvi_of_obj(it);
    call->sp--;
    return 0;
}

static bool next_int(bvi_iter *it, bvi_value *ret)
{
    int64_t next;

    if (it->done || (it->step > 0 ? it->at > it->end : it->at < it->end) ||
        (!it->inclusive && it->at == it->end))
        return false;
    *ret = bvi_value_int(it->at);
    if (it->at == it->end || __builtin_add_overflow(it->at, it->step, &next))
        it->done = true;
    else
        it->at = next;
    return true;
}

static bool next_float(bvi_iter *it, bvi_value *ret)
{
    if (it->f_step > 0 ? !(it->f_at < it->f_end) : !(it->f_at > it->f_end))
        return false;
    *ret = bvi_value_float(it->f_at);
    it->f_at += it->f_step;
    return true;
}

/* at counts characters, step is the byte it stands at. */
static bool next_char(bvi_iter *it, bvi_value *ret)
{
    const bvi_string *s = bvi_str(&it->source);
    size_t from = (size_t)it->step;
    size_t n;
    int32_t c = bvi_utf8_decode(s->data + from, s->len - from, &n);

    *ret = bvi_value_char(c < 0 ? 0xfffdu : (uint32_t)c);
    it->step += (int64_t)n;
    it->at++;
    return true;
}

static bool next_item(bvi_iter *it, bvi_value *ret)
{
    if (it->kind == BVI_ITER_INT)
        return next_int(it, ret);
    if (it->kind == BVI_ITER_FLOAT)
        return next_float(it, ret);
    if (it->at >= it->end)
        return false;
    switch (it->kind) {
    case BVI_ITER_STRING:
        return next_char(it, ret);
    case BVI_ITER_ARRAY:
        *ret = bvi_dup(&bvi_arr(&it->source)->items[it->at]);
        break;
    case BVI_ITER_BLOB:
        *ret = bvi_value_int(bvi_blb(&it->source)->data[it->at]);
        break;
    default:
        *ret = bvi_value_bool(((uint64_t)it->source.as.i >> it->at) & 1u);
        break;
    }
    it->at++;
    return true;
}

/* The iterator is in a slot, its variable in the next one. */
bool bvi_vm_advance(bvi_value *slot, bool counts)
{
    bvi_value item = BVI_VALUE_UNIT;

    if (slot->type != BVI_T_ITER || !next_item((bvi_iter *)slot->as.obj, &item))
        return false;
    bvi_replace(bvi_deref(&slot[1]), item);
    if (counts) {
        bvi_value *count = bvi_deref(&slot[2]);

        bvi_replace(count, bvi_value_int(((bvi_iter *)slot->as.obj)->turns++));
    }
    return true;
}

/* A first-class iterator is a value like others: a loop runs over a copy. */
int bvi_vm_own_iterator(bvi_script_call *call, bvi_value *v)
{
    const bvi_iter *from;
    bvi_iter *it;
    int r;

    if (v->type != BVI_T_ITER || v->as.obj->refs == 1)
        return 0;
    from = (const bvi_iter *)v->as.obj;
    r = bvi_iter_new(call->engine, from->kind, &it);
    if (r < 0)
        return checked(call, r);
    it->source = bvi_dup(&from->source);
    it->at = from->at;
    it->end = from->end;
    it->step = from->step;
    it->done = from->done;
    it->inclusive = from->inclusive;
    it->f_at = from->f_at;
    it->f_end = from->f_end;
    it->f_step = from->f_step;
    bvi_replace(v, bvi_of_obj(it));
    return 0;
}
