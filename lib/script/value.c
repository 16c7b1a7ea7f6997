/*
 * value.c - objects: making, sharing, freeing; and the small kinds (ranges, cells, functions,
 * iterators, host objects).
 *
 * Freeing never recurses: an object whose count reached zero goes onto the engine's list of dying
 * ones, and whoever started the list empties it. A list nested a million deep is therefore freed in
 * constant C stack.
 */
#include <string.h>

#include "script/engine.h"
#include "script/unit.h"

/* ---- sizes, so that the accounting gets back what it gave ---- */

static size_t obj_bytes(const bvi_obj *o)
{
    switch (o->type) {
    case BVI_T_STRING:
        return sizeof(bvi_string) + ((const bvi_string *)o)->cap + 1;
    case BVI_T_ARRAY:
        return sizeof(bvi_array);
    case BVI_T_BLOB:
        return sizeof(bvi_blob);
    case BVI_T_MAP:
        return sizeof(bvi_map);
    case BVI_T_RANGE:
        return sizeof(bvi_range);
    case BVI_T_FN:
        return sizeof(bvi_fn) + ((const bvi_fn *)o)->count * sizeof(bvi_value);
    case BVI_T_ITER:
        return sizeof(bvi_iter);
    case BVI_T_HOST:
        return sizeof(bvi_hostobj);
    case BVI_T_CELL:
        return sizeof(bvi_cell);
    case BVI_T_MODULE:
        return sizeof(bvi_module);
    case BVI_T_ERROR:
        return sizeof(bvi_failure);
    default:
        return 0;
    }
}

static bool is_traced(uint8_t type)
{
    switch (type) {
    case BVI_T_ARRAY:
    case BVI_T_MAP:
    case BVI_T_FN:
    case BVI_T_ITER:
    case BVI_T_CELL:
    case BVI_T_MODULE:
    case BVI_T_ERROR:
        return true;
    default:
        return false;
    }
}

/* ---- making ---- */

void *bvi_obj_new(bvi_script_engine *engine, bvi_type type, size_t bytes)
{
    bvi_obj *o = bvi_script_zalloc(engine, bytes);

    if (!o)
        return NULL;
    o->refs = 1;
    o->type = (uint8_t)type;
    o->engine = engine;
    return o;
}

void *bvi_traced_new(bvi_script_engine *engine, bvi_type type, size_t bytes)
{
    bvi_traced *t = bvi_obj_new(engine, type, bytes);

    if (!t)
        return NULL;
    t->next = engine->objects;
    if (t->next)
        t->next->prev = t;
    engine->objects = t;
    if (type == BVI_T_CELL)
        engine->cells++;
    return t;
}

/* ---- what an object holds ---- */

static void clear_fn(bvi_fn *fn)
{
    for (uint32_t i = 0; i < fn->count; i++)
        bvi_drop(&fn->values[i]);
    if (fn->home) {
        bvi_module *home = fn->home;

        fn->home = NULL;
        fn->proto = NULL; /* lives as long as home */
        bvi_obj_unref(home);
    }
}

static void clear_module(bvi_module *m)
{
    bvi_drop(&m->consts);
    bvi_drop(&m->imports);
    bvi_drop(&m->exports);
    if (m->outer) {
        bvi_module *outer = m->outer;

        m->outer = NULL;
        bvi_obj_unref(outer);
    }
}

static void clear_map(bvi_map *m)
{
    bvi_map_entry *entries = m->entries;
    uint32_t len = m->len;
    uint32_t cap = m->cap;

    m->entries = NULL;
    m->len = m->cap = m->ordered = 0;
    bvi_script_release(m->head.obj.engine, m->index, m->index_cap * sizeof(*m->index));
    m->index = NULL;
    m->index_cap = 0;
    for (uint32_t i = 0; i < len; i++) {
        bvi_obj_unref(entries[i].key);
        bvi_drop(&entries[i].value);
    }
    bvi_script_release(m->head.obj.engine, entries, cap * sizeof(*entries));
}

static void clear_array(bvi_array *a)
{
    bvi_value *items = a->items;
    uint32_t len = a->len;
    uint32_t cap = a->cap;

    a->items = NULL;
    a->len = a->cap = 0;
    for (uint32_t i = 0; i < len; i++)
        bvi_drop(&items[i]);
    bvi_script_release(a->head.obj.engine, items, cap * sizeof(*items));
}

void bvi_traced_clear(bvi_traced *obj)
{
    switch (obj->obj.type) {
    case BVI_T_ARRAY:
        clear_array((bvi_array *)obj);
        break;
    case BVI_T_MAP:
        clear_map((bvi_map *)obj);
        break;
    case BVI_T_FN:
        clear_fn((bvi_fn *)obj);
        break;
    case BVI_T_ITER:
        bvi_drop(&((bvi_iter *)obj)->source);
        break;
    case BVI_T_CELL:
        bvi_drop(&((bvi_cell *)obj)->value);
        break;
    case BVI_T_MODULE:
        clear_module((bvi_module *)obj);
        break;
    case BVI_T_ERROR:
        bvi_failure_clear((bvi_failure *)obj);
        break;
    default:
        break;
    }
}

typedef void (*visit_fn)(bvi_traced *child, void *data);

static void visit_value(const bvi_value *v, visit_fn visit, void *data)
{
    if (is_traced(v->type))
        visit((bvi_traced *)v->as.obj, data);
}

static void visit_fn_object(bvi_fn *fn, visit_fn visit, void *data)
{
    for (uint32_t i = 0; i < fn->count; i++)
        visit_value(&fn->values[i], visit, data);
    if (fn->home)
        visit(&fn->home->head, data);
}

static void visit_module(bvi_module *m, visit_fn visit, void *data)
{
    visit_value(&m->consts, visit, data);
    visit_value(&m->imports, visit, data);
    visit_value(&m->exports, visit, data);
    if (m->outer)
        visit(&m->outer->head, data);
}

static void visit_array(const bvi_array *a, visit_fn visit, void *data)
{
    for (uint32_t i = 0; i < a->len; i++)
        visit_value(&a->items[i], visit, data);
}

static void visit_map(const bvi_map *m, visit_fn visit, void *data)
{
    for (uint32_t i = 0; i < m->len; i++)
        visit_value(&m->entries[i].value, visit, data);
}

void bvi_traced_visit(bvi_traced *obj, visit_fn visit, void *data)
{
    switch (obj->obj.type) {
    case BVI_T_ARRAY:
        visit_array((bvi_array *)obj, visit, data);
        break;
    case BVI_T_MAP:
        visit_map((bvi_map *)obj, visit, data);
        break;
    case BVI_T_FN:
        visit_fn_object((bvi_fn *)obj, visit, data);
        break;
    case BVI_T_ITER:
        visit_value(&((bvi_iter *)obj)->source, visit, data);
        break;
    case BVI_T_CELL:
        visit_value(&((bvi_cell *)obj)->value, visit, data);
        break;
    case BVI_T_MODULE:
        visit_module((bvi_module *)obj, visit, data);
        break;
    case BVI_T_ERROR:
        visit_value(&((bvi_failure *)obj)->value, visit, data);
        visit_value(&((bvi_failure *)obj)->fields, visit, data);
        break;
    default:
        break;
    }
}

/* ---- freeing ---- */

static void free_untraced(bvi_obj *o)
{
    if (o->type == BVI_T_BLOB) {
        bvi_script_release(o->engine, ((bvi_blob *)o)->data, ((bvi_blob *)o)->cap);
    } else if (o->type == BVI_T_HOST) {
        bvi_hostobj *h = (bvi_hostobj *)o;

        if (h->type->free)
            h->type->free(h->object);
    }
    bvi_script_release(o->engine, o, obj_bytes(o));
}

static void unlist(bvi_script_engine *engine, bvi_traced *t)
{
    if (t->prev)
        t->prev->next = t->next;
    else
        engine->objects = t->next;
    if (t->next)
        t->next->prev = t->prev;
    if (t->obj.type == BVI_T_CELL)
        engine->cells--;
}

static void free_traced(bvi_traced *t)
{
    bvi_traced_clear(t);
    if (t->obj.type == BVI_T_FN)
        bvi_obj_unref(((bvi_fn *)t)->name);
    if (t->obj.type == BVI_T_MODULE)
        bvi_script_free(((bvi_module *)t)->unit);
    bvi_script_release(t->obj.engine, t, obj_bytes(&t->obj));
}

static void drain(bvi_script_engine *engine)
{
    engine->draining = true;
    while (engine->dying) {
        bvi_traced *t = engine->dying;

        engine->dying = t->work;
        free_traced(t);
    }
    engine->draining = false;
}

void bvi_obj_dead(bvi_obj *o)
{
    bvi_script_engine *engine = o->engine;
    bvi_traced *t;

    if (!is_traced(o->type)) {
        free_untraced(o);
        return;
    }
    t = (bvi_traced *)o;
    unlist(engine, t);
    t->work = engine->dying;
    engine->dying = t;
    if (!engine->draining)
        drain(engine);
}

bvi_value bvi_value_copy(const bvi_value *value)
{
    return bvi_dup(value);
}

void bvi_value_drop(bvi_value *value)
{
    bvi_drop(value);
}

/* ---- the small kinds ---- */

int bvi_range_new(bvi_script_engine *engine, int64_t start, int64_t end, bool inclusive,
                  bvi_value *ret)
{
    bvi_range *r = bvi_obj_new(engine, BVI_T_RANGE, sizeof(*r));

    if (!r)
        return BV_E_NOMEM;
    r->start = start;
    r->end = end;
    r->inclusive = inclusive;
    *ret = bvi_of_obj(r);
    return 0;
}

int bvi_cell_new(bvi_script_engine *engine, bvi_value *slot)
{
    bvi_cell *cell = bvi_traced_new(engine, BVI_T_CELL, sizeof(*cell));

    if (!cell)
        return BV_E_NOMEM;
    engine->may_have_cycles = true;
    cell->value = bvi_move(slot);
    *slot = bvi_of_obj(cell);
    return 0;
}

int bvi_fn_new(bvi_script_engine *engine, bvi_string *name, const struct bvi_proto *proto,
               bvi_module *home, uint32_t captured, uint32_t count, bvi_value *ret)
{
    bvi_fn *fn = bvi_traced_new(engine, BVI_T_FN, sizeof(*fn) + count * sizeof(bvi_value));

    if (!fn)
        return BV_E_NOMEM;
    bvi_obj_ref(name);
    fn->name = name;
    fn->proto = proto;
    fn->home = home;
    if (home)
        bvi_obj_ref(home);
    fn->captured = captured;
    fn->count = count;
    *ret = bvi_of_obj(fn);
    return 0;
}

int bvi_fn_curry(const bvi_value *fn, const bvi_value *args, size_t argc, bvi_value *ret)
{
    const bvi_fn *from = bvi_fnp(fn);
    bvi_value made = BVI_VALUE_UNIT;
    bvi_fn *to;
    int r = bvi_fn_new(from->head.obj.engine, from->name, from->proto, from->home, from->captured,
                       from->count + (uint32_t)argc, &made);

    if (r < 0)
        return r;
    to = bvi_fnp(&made);
    for (uint32_t i = 0; i < from->count; i++)
        to->values[i] = bvi_dup(&from->values[i]);
    for (size_t i = 0; i < argc; i++)
        to->values[from->count + i] = bvi_dup(&args[i]);
    *ret = made;
    return 0;
}

int bvi_iter_new(bvi_script_engine *engine, bvi_iter_kind kind, bvi_iter **ret)
{
    bvi_iter *it = bvi_traced_new(engine, BVI_T_ITER, sizeof(*it));

    if (!it)
        return BV_E_NOMEM;
    it->kind = kind;
    *ret = it;
    return 0;
}

int bvi_module_new(bvi_script *unit, bvi_module *outer, bvi_module **ret)
{
    bvi_module *m = bvi_traced_new(unit->engine, BVI_T_MODULE, sizeof(*m));
    int r;

    if (!m)
        return BV_E_NOMEM;
    unit->engine->may_have_cycles = true; /* through functions among its constants */
    m->unit = bvi_unit_ref(unit);
    if (outer) {
        bvi_obj_ref(outer);
        m->outer = outer;
    }
    r = bvi_value_map(unit->engine, &m->consts);
    if (r == 0)
        r = bvi_value_map(unit->engine, &m->imports);
    if (r == 0)
        r = bvi_value_map(unit->engine, &m->exports);
    if (r < 0) {
        bvi_obj_unref(m);
        return r;
    }
    *ret = m;
    return 0;
}

int bvi_value_host(bvi_script_engine *engine, const bvi_script_type *type, void *object,
                   bvi_value *ret_value)
{
    bvi_hostobj *h = bvi_obj_new(engine, BVI_T_HOST, sizeof(*h));

    if (!h) {
        if (type->free)
            type->free(object);
        return BV_E_NOMEM;
    }
    h->type = type;
    h->object = object;
    *ret_value = bvi_of_obj(h);
    return 0;
}

void *bvi_value_object(const bvi_value *value, const bvi_script_type *type)
{
    const bvi_hostobj *h;

    if (value->type != BVI_T_HOST)
        return NULL;
    h = (const bvi_hostobj *)value->as.obj;
    return h->type == type ? h->object : NULL;
}

/* ---- names ---- */

const char *bvi_type_name(const bvi_value *v)
{
    static const char *const names[] = {
        [BVI_T_UNIT] = "()",       [BVI_T_BOOL] = "bool",   [BVI_T_INT] = "i64",
        [BVI_T_FLOAT] = "f64",     [BVI_T_CHAR] = "char",   [BVI_T_TIMESTAMP] = "timestamp",
        [BVI_T_STRING] = "string", [BVI_T_ARRAY] = "array", [BVI_T_BLOB] = "blob",
        [BVI_T_MAP] = "map",       [BVI_T_RANGE] = "range", [BVI_T_FN] = "Fn",
        [BVI_T_ITER] = "range",    [BVI_T_HOST] = "host",   [BVI_T_CELL] = "shared",
        [BVI_T_MODULE] = "module", [BVI_T_ERROR] = "error",
    };

    if (v->type == BVI_T_HOST)
        return ((const bvi_hostobj *)v->as.obj)->type->name;
    if (v->type == BVI_T_RANGE && bvi_rng(v)->inclusive)
        return "range=";
    return names[v->type];
}

const char *bvi_type_of_name(const char *name)
{
    if (strcmp(name, "int") == 0)
        return "i64";
    return strcmp(name, "float") == 0 ? "f64" : name;
}

const char *bvi_value_type_name(const bvi_value *value)
{
    return bvi_type_name(value);
}

/* ---- looking, for embedders ---- */

const char *bvi_value_text(const bvi_value *value, size_t *ret_len)
{
    if (value->type != BVI_T_STRING)
        return NULL;
    if (ret_len)
        *ret_len = bvi_str(value)->len;
    return bvi_str(value)->data;
}

const uint8_t *bvi_value_bytes(const bvi_value *value, size_t *ret_len)
{
    static const uint8_t none[1] = { 0 };

    if (value->type != BVI_T_BLOB)
        return NULL;
    *ret_len = bvi_blb(value)->len;
    return bvi_blb(value)->data ? bvi_blb(value)->data : none;
}

size_t bvi_value_count(const bvi_value *value)
{
    if (value->type == BVI_T_ARRAY)
        return bvi_arr(value)->len;
    return value->type == BVI_T_MAP ? bvi_mp(value)->len : 0;
}

const bvi_value *bvi_value_at(const bvi_value *array, size_t index)
{
    if (array->type != BVI_T_ARRAY || index >= bvi_arr(array)->len)
        return NULL;
    return &bvi_arr(array)->items[index];
}

const bvi_value *bvi_value_get(const bvi_value *map, const char *key)
{
    return map->type == BVI_T_MAP ? bvi_map_find_text(map, key, strlen(key)) : NULL;
}

const bvi_value *bvi_value_entry(const bvi_value *map, size_t index, const char **ret_key,
                                 size_t *ret_key_len)
{
    const bvi_map_entry *e;

    if (map->type != BVI_T_MAP || index >= bvi_mp(map)->len)
        return NULL;
    e = &bvi_map_in_order(map)->entries[index];
    *ret_key = e->key->data;
    if (ret_key_len)
        *ret_key_len = e->key->len;
    return &e->value;
}
