/*
 * engine.c - the engine: counted memory, the table of functions, its life.
 */
#include <string.h>
#include <time.h>

#include "script/coverage.h"
#include "script/engine.h"
#include "script/unit.h"

#define DEFAULT_MEMORY_BYTES     (64u * 1024u * 1024u)
#define DEFAULT_OPERATIONS       100000000u
#define DEFAULT_SLICE_OPERATIONS 10000u
#define DEFAULT_CALL_DEPTH       64u
#define DEFAULT_EXPRESSION_DEPTH 192u
/* The compiler recurses: a level takes less than 2 KiB of the C stack. */
#define EXPRESSION_DEPTH_MAX 1000u
#define DEFAULT_STRING_BYTES (16u * 1024u * 1024u)
#define DEFAULT_ITEMS        1000000u
#define DEFAULT_MODULES      256u

/* ---- memory ---- */

static bool fits(bvi_script_engine *engine, size_t old_bytes, size_t new_bytes)
{
    return new_bytes <= old_bytes || engine->memory_used + (new_bytes - old_bytes) <=
                                         engine->options.limits.memory_bytes + engine->grace_bytes;
}

/* A script that lives just below the ceiling must not make us walk all its objects for every few
 * bytes. */
static uint64_t collect_again_after(const bvi_script_engine *engine)
{
    return engine->options.limits.memory_bytes / 16;
}

int bvi_script_charge(void *owner, size_t old_bytes, size_t new_bytes)
{
    bvi_script_engine *engine = owner;

    if (!fits(engine, old_bytes, new_bytes) && engine->since_collect >= collect_again_after(engine))
        bvi_script_collect(engine); /* cycles may hold what we need */
    if (new_bytes > old_bytes)
        engine->over_ceiling = !fits(engine, old_bytes, new_bytes);
    if (!fits(engine, old_bytes, new_bytes))
        return BV_E_NOMEM;
    engine->memory_used += new_bytes;
    engine->memory_used -= old_bytes;
    return 0;
}

void *bvi_script_realloc(bvi_script_engine *engine, void *ptr, size_t old_bytes, size_t new_bytes)
{
    void *grown;

    if (engine->options.debug_flags & BVI_SCRIPT_DEBUG_STRESS)
        bvi_script_collect(engine);
    if (bvi_script_charge(engine, old_bytes, new_bytes) < 0)
        return NULL;
    grown = bvi_realloc(ptr, new_bytes);
    if (!grown) {
        (void)bvi_script_charge(engine, new_bytes, old_bytes);
        return NULL;
    }
    engine->since_collect += new_bytes;
    engine->work += new_bytes;
    return grown;
}

void *bvi_script_zalloc(bvi_script_engine *engine, size_t bytes)
{
    void *p = bvi_script_realloc(engine, NULL, 0, bytes);

    if (p)
        memset(p, 0, bytes);
    return p;
}

void bvi_script_release(bvi_script_engine *engine, void *ptr, size_t bytes)
{
    if (!ptr)
        return;
    engine->memory_used -= bytes;
    bvi_free(ptr);
}

int bvi_script_grow(bvi_script_engine *engine, void **items, uint32_t *cap, size_t need,
                    size_t item_bytes)
{
    size_t wanted = *cap ? (size_t)*cap * 2 : 8;
    void *grown;

    if (need <= *cap)
        return 0;
    if (wanted < need)
        wanted = need;
    if (wanted > UINT32_MAX / 2 || wanted > SIZE_MAX / item_bytes)
        return BV_E_NOMEM;
    grown = bvi_script_realloc(engine, *items, *cap * item_bytes, wanted * item_bytes);
    if (!grown)
        return BV_E_NOMEM;
    *items = grown;
    *cap = (uint32_t)wanted;
    return 0;
}

int bvi_script_too_large(bvi_script_engine *engine, const char *what)
{
    engine->too_large = what;
    return BV_E_LIMIT;
}

uint64_t bvi_script_memory_used(const bvi_script_engine *engine)
{
    return engine->memory_used;
}

/* ---- functions ---- */

static uint32_t hash_name(const char *name, size_t len)
{
    uint32_t h = 2166136261u;

    for (size_t i = 0; i < len; i++)
        h = (h ^ (uint8_t)name[i]) * 16777619u;
    return h;
}

static bool same_name(const bvi_native *n, uint32_t hash, const char *name, size_t len)
{
    return n->hash == hash && n->name_len == len && memcmp(n->def->name, name, len) == 0;
}

const bvi_native *bvi_native_find(const bvi_script_engine *engine, const char *name, size_t len)
{
    uint32_t hash = hash_name(name, len);
    const bvi_native *n = engine->natives[hash % BVI_NATIVE_BUCKETS];

    while (n && !same_name(n, hash, name, len))
        n = n->next;
    return n;
}

const bvi_native *bvi_native_next(const bvi_native *native)
{
    const bvi_native *n = native->next;

    while (n && !same_name(n, native->hash, native->def->name, native->name_len))
        n = n->next;
    return n;
}

static bool param_matches(char param, uint8_t type)
{
    switch (param) {
    case 'v':
        return true;
    case 'u':
        return type == BVI_T_UNIT;
    case 't':
        return type == BVI_T_BOOL;
    case 'i':
        return type == BVI_T_INT;
    case 'f':
        return type == BVI_T_FLOAT;
    case 'n':
        return type == BVI_T_INT || type == BVI_T_FLOAT;
    case 'c':
        return type == BVI_T_CHAR;
    case 's':
        return type == BVI_T_STRING;
    case 'a':
        return type == BVI_T_ARRAY;
    case 'b':
        return type == BVI_T_BLOB;
    case 'm':
        return type == BVI_T_MAP;
    case 'r':
        return type == BVI_T_RANGE;
    case 'p':
        return type == BVI_T_FN || type == BVI_T_STRING;
    case 'k':
        return type == BVI_T_FN;
    case 'h':
        return type == BVI_T_HOST;
    case 'e':
        return type == BVI_T_TIMESTAMP;
    default:
        return false;
    }
}

bool bvi_params_match(const char *params, const bvi_value *args, size_t argc)
{
    for (size_t i = 0; i < argc; i++) {
        if (!param_matches(params[i], args[i].type))
            return false;
    }
    return params[argc] == '\0';
}

const bvi_native *bvi_native_match(const bvi_native *first, const bvi_value *args, size_t argc)
{
    for (const bvi_native *n = first; n; n = bvi_native_next(n)) {
        if (n->argc == argc && !(n->def->flags & BVI_SCRIPT_PROPERTY_ONLY) &&
            bvi_params_match(n->def->params, args, argc))
            return n;
    }
    return NULL;
}

static void add_native(bvi_script_engine *engine, bvi_native *n, const bvi_script_function *def,
                       void *data)
{
    bvi_native **bucket;

    n->def = def;
    n->data = def->data ? def->data : data;
    n->argc = (uint32_t)strlen(def->params);
    n->name_len = (uint32_t)strlen(def->name);
    n->hash = hash_name(def->name, n->name_len);
    bucket = &engine->natives[n->hash % BVI_NATIVE_BUCKETS];
    n->next = *bucket;
    *bucket = n;
}

static int register_table(bvi_script_engine *engine, const bvi_script_function *table, void *data,
                          bool library, bv_error **err)
{
    bvi_native_table *t;
    size_t count = 0;

    while (table[count].name)
        count++;
    t = bvi_script_zalloc(engine, sizeof(*t) + count * sizeof(t->natives[0]));
    if (!t)
        return bvi_fail_nomem(err);
    t->bytes = sizeof(*t) + count * sizeof(t->natives[0]);
    t->next = engine->tables;
    engine->tables = t;
    for (size_t i = 0; i < count; i++) {
        t->natives[i].varies = library ? (table[i].flags & BVI_SCRIPT_VARIES) != 0
                                       : (table[i].flags & BVI_SCRIPT_STABLE) == 0;
        add_native(engine, &t->natives[i], &table[i], data);
    }
    return 0;
}

int bvi_script_register(bvi_script_engine *engine, const bvi_script_function *table, void *data,
                        bv_error **err)
{
    bvi_script_forget_top_level(engine); /* its names may mean something else now */
    return register_table(engine, table, data, false, err);
}

static int register_library(bvi_script_engine *engine, bv_error **err)
{
    static const bvi_script_function *const tables[] = {
        bvi_lib_core, bvi_lib_number, bvi_lib_string, bvi_lib_array, bvi_lib_callback,
        bvi_lib_map,  bvi_lib_blob,   bvi_lib_iter,   bvi_lib_json,
    };

    for (size_t i = 0; i < BVI_COUNT(tables); i++) {
        int r = register_table(engine, tables[i], NULL, true, err);

        if (r < 0)
            return r;
    }
    return 0;
}

void bvi_script_set_method_data(bvi_script_engine *engine, void *data)
{
    engine->method_data = data;
}

int64_t bvi_script_now_ns(const bvi_script_engine *engine)
{
    const bvi_script_options *o = &engine->options;
    struct timespec now = { 0, 0 };

    if (o->now_ns)
        return o->now_ns(o->data);
    (void)clock_gettime(CLOCK_MONOTONIC, &now); /* cannot fail: the clock is always there */
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* ---- life ---- */

static void fill_limits(bvi_script_limits *l)
{
    static const bvi_script_limits defaults = {
        .memory_bytes = DEFAULT_MEMORY_BYTES,
        .operations = DEFAULT_OPERATIONS,
        .slice_operations = DEFAULT_SLICE_OPERATIONS,
        .call_depth = DEFAULT_CALL_DEPTH,
        .expression_depth = DEFAULT_EXPRESSION_DEPTH,
        .string_bytes = DEFAULT_STRING_BYTES,
        .array_items = DEFAULT_ITEMS,
        .map_entries = DEFAULT_ITEMS,
        .source_bytes = BVI_SCRIPT_SOURCE_BYTES_DEFAULT,
        .modules = DEFAULT_MODULES,
    };
#define FILL(field)                                                                                \
    if (l->field == 0)                                                                             \
    l->field = defaults.field
    FILL(memory_bytes);
    FILL(operations);
    FILL(slice_operations);
    FILL(call_depth);
    FILL(expression_depth);
    if (l->expression_depth > EXPRESSION_DEPTH_MAX)
        l->expression_depth = EXPRESSION_DEPTH_MAX;
    FILL(string_bytes);
    FILL(array_items);
    FILL(map_entries);
    FILL(source_bytes);
    FILL(modules);
#undef FILL
}

int bvi_script_engine_new(const bvi_script_options *options, bvi_script_engine **ret_engine,
                          bv_error **err)
{
    BVI_AUTO(bvi_script_engine_freep) bvi_script_engine *engine = bvi_new0(bvi_script_engine);
    int r;

    if (!engine)
        return bvi_fail_nomem(err);
    if (options)
        engine->options = *options;
    fill_limits(&engine->options.limits);
    r = register_library(engine, err);
    if (r < 0)
        return r;
    r = bvi_value_map(engine, &engine->modules);
    if (r < 0)
        return bvi_fail_nomem(err);
    *ret_engine = bvi_take(engine);
    return 0;
}

void bvi_script_forget_modules(bvi_script_engine *engine)
{
    bvi_value empty = BVI_VALUE_UNIT;

    bvi_script_forget_top_level(engine);
    /* Without memory for a new map the old one stays; modules are then merely not refreshed. */
    if (bvi_value_map(engine, &empty) == 0)
        bvi_replace(&engine->modules, empty);
    bvi_script_collect(engine);
}

static void free_natives(bvi_script_engine *engine)
{
    while (engine->tables) {
        bvi_native_table *t = engine->tables;

        engine->tables = t->next;
        bvi_script_release(engine, t, t->bytes);
    }
}

void bvi_script_engine_free(bvi_script_engine *engine)
{
    if (!engine)
        return;
    engine->options.debug_flags = 0;
    bvi_drop(&engine->modules);
    bvi_script_collect(engine);
    free_natives(engine);
    bvi_coverage_free_all(engine);
    bvi_free(engine);
}
