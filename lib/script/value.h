/*
 * value.h - what the objects behind values look like, and how they are made, shared and changed.
 *
 * Every object is counted. Copying a value counts up; changing a container goes through
 * bvi_<kind>_own(), which makes a copy when somebody else holds it too. Objects that can hold
 * others are also on the engine's list, so that the collector (cycle.c) can find the cycles that
 * counts cannot end.
 */
#ifndef BVI_SCRIPT_VALUE_H
#define BVI_SCRIPT_VALUE_H

#include "script/script.h"

typedef struct bvi_obj {
    uint32_t refs;
    uint8_t type; /* bvi_type */
    bvi_script_engine *engine;
} bvi_obj;

/* The head of objects that hold values. */
typedef struct bvi_traced {
    bvi_obj obj;
    bool marked;
    uint32_t outside; /* the collector's count of references from outside the list */
    struct bvi_traced *prev;
    struct bvi_traced *next;
    struct bvi_traced *work; /* the collector's and the drain's list */
} bvi_traced;

typedef struct bvi_string {
    bvi_obj obj;
    uint32_t len;   /* bytes */
    uint32_t chars; /* Unicode scalars */
    uint32_t cap;
    uint32_t hash; /* of its text, for maps; 0: not known */
    char data[];   /* and a zero */
} bvi_string;

typedef struct bvi_array {
    bvi_traced head;
    bvi_value *items;
    uint32_t len;
    uint32_t cap;
} bvi_array;

typedef struct bvi_blob {
    bvi_obj obj;
    uint8_t *data;
    uint32_t len;
    uint32_t cap;
} bvi_blob;

typedef struct bvi_map_entry {
    bvi_string *key;
    bvi_value value;
} bvi_map_entry;

/* Whoever goes through the entries in the order of keys, which printing, keys() and JSON promise,
 * asks bvi_map_in_order() first. */
typedef struct bvi_map {
    bvi_traced head;
    bvi_map_entry *entries;
    uint32_t len;
    uint32_t cap;
    uint32_t ordered; /* so many of the entries, from the first on, are in order */
    uint32_t index_cap;
    uint32_t *index; /* of a large map; NULL: not made yet */
} bvi_map;

typedef struct bvi_range {
    bvi_obj obj;
    int64_t start;
    int64_t end;
    bool inclusive;
} bvi_range;

struct bvi_proto;
struct bvi_module;

typedef struct bvi_fn {
    bvi_traced head;
    bvi_string *name;
    const struct bvi_proto *proto; /* NULL: looked up by name when called */
    struct bvi_module *home;       /* counted; where its names are looked up */
    uint32_t captured;             /* the first so many of values are CELLs */
    uint32_t count;                /* the rest are curried arguments */
    bvi_value values[];
} bvi_fn;

typedef enum bvi_iter_kind {
    BVI_ITER_ARRAY,
    BVI_ITER_STRING,
    BVI_ITER_BLOB,
    BVI_ITER_INT,
    BVI_ITER_FLOAT,
    BVI_ITER_BITS,
} bvi_iter_kind;

typedef struct bvi_iter {
    bvi_traced head;
    bvi_iter_kind kind;
    bvi_value source;
    int64_t at; /* item, byte, number or bit */
    int64_t end;
    int64_t step;
    bool done; /* INT: an inclusive end was handed out */
    bool inclusive;
    double f_at, f_end, f_step;
    int64_t turns; /* of the loop, for its counter */
} bvi_iter;

typedef struct bvi_hostobj {
    bvi_obj obj;
    const bvi_script_type *type;
    void *object;
} bvi_hostobj;

typedef struct bvi_cell {
    bvi_traced head;
    bvi_value value;
} bvi_cell;

/* A script while and after its top level ran: what global:: and imports see. */
typedef struct bvi_module {
    bvi_traced head;
    bvi_script *unit;         /* counted */
    bvi_value consts;         /* MAP: name -> value */
    bvi_value imports;        /* MAP: alias -> MODULE */
    bvi_value exports;        /* MAP: name -> CELL or value */
    struct bvi_module *outer; /* counted; code of eval(): the module whose names it uses */
} bvi_module;

/* Where names of this code are looked up. */
static inline bvi_module *bvi_home(bvi_module *m)
{
    while (m->outer)
        m = m->outer;
    return m;
}

static inline bool bvi_is_obj(const bvi_value *v)
{
    return v->type >= BVI_T_STRING;
}

static inline bvi_value bvi_of_obj(void *obj)
{
    return (bvi_value){ .type = ((bvi_obj *)obj)->type, .as.obj = (bvi_obj *)obj };
}

void bvi_obj_dead(bvi_obj *obj);

static inline void bvi_obj_ref(void *obj)
{
    ((bvi_obj *)obj)->refs++;
}

static inline void bvi_obj_unref(void *obj)
{
    bvi_obj *o = (bvi_obj *)obj;

    if (--o->refs == 0)
        bvi_obj_dead(o);
}

/* The inline forms of bvi_value_copy() and bvi_value_drop(). */
static inline bvi_value bvi_dup(const bvi_value *v)
{
    bvi_value copy = *v;

    copy.tag = 0;
    if (bvi_is_obj(v))
        v->as.obj->refs++;
    return copy;
}

static inline void bvi_drop(bvi_value *v)
{
    if (bvi_is_obj(v))
        bvi_obj_unref(v->as.obj);
    *v = BVI_VALUE_UNIT;
}

/* Puts a value where another one was; the old one goes last, so that v may have been part of it. */
static inline void bvi_replace(bvi_value *slot, bvi_value v)
{
    bvi_value old = *slot;

    *slot = v;
    bvi_drop(&old);
}

static inline bvi_value bvi_move(bvi_value *v)
{
    bvi_value moved = *v;

    *v = BVI_VALUE_UNIT;
    return moved;
}

/* What a variable holds: the content of a shared one. */
static inline bvi_value *bvi_deref(bvi_value *v)
{
    return v->type == BVI_T_CELL ? &((bvi_cell *)v->as.obj)->value : v;
}

static inline bvi_string *bvi_str(const bvi_value *v)
{
    return (bvi_string *)v->as.obj;
}

static inline bvi_array *bvi_arr(const bvi_value *v)
{
    return (bvi_array *)v->as.obj;
}

static inline bvi_blob *bvi_blb(const bvi_value *v)
{
    return (bvi_blob *)v->as.obj;
}

static inline bvi_map *bvi_mp(const bvi_value *v)
{
    return (bvi_map *)v->as.obj;
}

static inline bvi_range *bvi_rng(const bvi_value *v)
{
    return (bvi_range *)v->as.obj;
}

static inline bvi_fn *bvi_fnp(const bvi_value *v)
{
    return (bvi_fn *)v->as.obj;
}

static inline bvi_module *bvi_mod(const bvi_value *v)
{
    return (bvi_module *)v->as.obj;
}

/* ---- objects of any kind (value.c) ---- */

/* A zeroed object with one reference. NULL: no memory. */
void *bvi_obj_new(bvi_script_engine *engine, bvi_type type, size_t bytes);
void *bvi_traced_new(bvi_script_engine *engine, bvi_type type, size_t bytes);
/* Drops what an object holds; it stays usable as an empty one. */
void bvi_traced_clear(bvi_traced *obj);
/* Calls visit for every traced object that obj holds a reference to. */
void bvi_traced_visit(bvi_traced *obj, void (*visit)(bvi_traced *child, void *data), void *data);

int bvi_range_new(bvi_script_engine *engine, int64_t start, int64_t end, bool inclusive,
                  bvi_value *ret);
int bvi_cell_new(bvi_script_engine *engine,
                 bvi_value *slot); /* turns a variable into a shared one */
int bvi_fn_new(bvi_script_engine *engine, bvi_string *name, const struct bvi_proto *proto,
               bvi_module *home, uint32_t captured, uint32_t count,
               bvi_value *ret); /* values start as unit */
int bvi_fn_curry(const bvi_value *fn, const bvi_value *args, size_t argc, bvi_value *ret);
int bvi_iter_new(bvi_script_engine *engine, bvi_iter_kind kind, bvi_iter **ret);
int bvi_module_new(bvi_script *unit, bvi_module *outer, bvi_module **ret);

/* ---- strings (string.c) ---- */

/* Room for len bytes, to be filled, then bvi_string_close(). */
int bvi_string_open(bvi_script_engine *engine, size_t len, bvi_string **ret);
void bvi_string_close(bvi_string *s); /* counts the characters */
/* Appends in place when nobody else holds the string. text may not lie inside it. */
int bvi_string_append(bvi_value *string, const char *text, size_t len);
int bvi_string_append_ascii(bvi_value *string, const char *text, size_t len);
int bvi_string_append_string(bvi_value *string, const bvi_value *more);
/* An empty one, to be appended to. */
int bvi_string_with_room(bvi_script_engine *engine, size_t room, bvi_value *ret);
int bvi_string_from_buf(bvi_script_engine *engine, const bvi_buf *buf, bvi_value *ret);
size_t bvi_utf8_chars(const char *text, size_t len);
/* Byte offset of a character index <= chars. */
size_t bvi_string_offset(const bvi_string *s, size_t chars);
int bvi_string_compare(const bvi_string *a, const bvi_string *b);
int bvi_string_slice(const bvi_value *string, int64_t start, int64_t count,
                     bvi_value *ret); /* within bounds */
uint32_t bvi_string_char(const bvi_string *s, size_t index);

/* ---- containers (container.c) ---- */

int bvi_array_own(bvi_value *array);
/* An array of count items, which the caller sets at once. */
int bvi_array_open(bvi_script_engine *engine, uint32_t count, bvi_value *ret);
int bvi_array_reserve(bvi_value *array, size_t more);              /* owns first */
int bvi_array_push(bvi_value *array, bvi_value item);              /* takes item, also on failure */
int bvi_array_insert(bvi_value *array, size_t at, bvi_value item); /* takes item, also on failure */
int bvi_array_remove(bvi_value *array, size_t at, size_t count);   /* owns first */
int bvi_array_slice(const bvi_value *array, size_t at, size_t count, bvi_value *ret);
int bvi_array_append(bvi_value *array, const bvi_value *from);

int bvi_blob_own(bvi_value *blob);
int bvi_blob_resize(bvi_value *blob, size_t len, uint8_t fill); /* owns first */
int bvi_blob_insert(bvi_value *blob, size_t at, const void *bytes, size_t len);
int bvi_blob_remove(bvi_value *blob, size_t at, size_t len);

/* ---- maps (map.c) ---- */

int bvi_map_own(bvi_value *map);
/* A map of count entries, which the caller sets at once, in the order of keys. */
int bvi_map_open(bvi_script_engine *engine, uint32_t count, bvi_value *ret);
bvi_map *bvi_map_in_order(const bvi_value *map);
bvi_value *bvi_map_find(const bvi_value *map,
                        const bvi_string *key); /* NULL when absent; borrowed */
bvi_value *bvi_map_find_text(const bvi_value *map, const char *key, size_t len);
/* Which entry a found value belongs to. */
static inline uint32_t bvi_map_number(const bvi_value *map, const bvi_value *found)
{
    const bvi_map *m = bvi_mp(map);

    return (uint32_t)(((const char *)found - (const char *)m->entries) / sizeof(*m->entries));
}

int bvi_map_slot(bvi_value *map, bvi_string *key,
                 bvi_value **ret_slot); /* owns; made as unit when absent */
int bvi_map_set(bvi_value *map, bvi_string *key,
                bvi_value value); /* takes value, also on failure */
int bvi_map_set_text(bvi_value *map, const char *key,
                     bvi_value value); /* takes value, also on failure */
int bvi_map_take(bvi_value *map, const bvi_string *key,
                 bvi_value *ret);                                    /* removes; unit when absent */
int bvi_map_merge(bvi_value *map, const bvi_value *from, bool keep); /* keep: present keys win */

/* ---- text forms (format.c) ---- */

typedef enum bvi_form {
    BVI_FORM_TEXT,   /* print, to_string, + */
    BVI_FORM_DEBUG,  /* debug, to_debug */
    BVI_FORM_INTERP, /* ${...}: as text, but characters inside containers are quoted */
    BVI_FORM_DUMP,   /* the form of the conformance suite: characters quoted everywhere */
} bvi_form;

/* BV_E_NOMEM, BV_E_LIMIT */
int bvi_format(bvi_buf *out, const bvi_value *v, bvi_form form);
int bvi_format_float(bvi_buf *out, double f, bool debug);
int bvi_format_whole(bvi_buf *out,
                     double f); /* finite; without the fraction, never with an exponent */
int bvi_format_quoted(bvi_buf *out, const char *text, size_t len);
/* A JSON text; BV_E_LIMIT when too deep. */
int bvi_format_json(bvi_buf *out, const bvi_value *v);
const char *bvi_type_name(const bvi_value *v);
/* The type's own name for how a script may call it: "int" is "i64". */
const char *bvi_type_of_name(const char *name);

/* Nesting of values beyond this cannot be printed or compared. */
#define BVI_VALUE_DEPTH_MAX 1000u

#endif
