/*
 * engine.h - the engine's inside: its counting allocator, the list of objects that can form cycles,
 * and the table of registered functions. For the files of lib/script only.
 */
#ifndef BVI_SCRIPT_ENGINE_H
#define BVI_SCRIPT_ENGINE_H

#include "script/script.h"
#include "script/value.h"

/* Overloads of a name form a chain, latest registration first. */
typedef struct bvi_native {
    const bvi_script_function *def;
    void *data;
    uint32_t hash;
    uint32_t name_len;
    uint32_t argc;
    bool varies;             /* does something, or may answer differently the next time */
    struct bvi_native *next; /* same bucket */
} bvi_native;

/* The functions of one registration. */
typedef struct bvi_native_table {
    struct bvi_native_table *next;
    size_t bytes;
    bvi_native natives[];
} bvi_native_table;

/* Further flags of bvi_script_function, for built-ins. */
enum {
    BVI_SCRIPT_BY_REF = 1u << 8, /* wants args[0] in place, also from constants (x.tag()) */
    BVI_SCRIPT_CALLBACK =
        1u << 9, /* changes args[0] with script callbacks in between: a copy that is put back */
    BVI_SCRIPT_VARIES = 1u << 10, /* of the library: the opposite of BVI_SCRIPT_STABLE */
};

/* Buckets of the function table; a power of two. */
#define BVI_NATIVE_BUCKETS 512u

struct bvi_script_engine {
    bvi_script_options options; /* limits filled in */
    uint64_t memory_used;
    bool over_ceiling;      /* the last failed allocation hit our ceiling, not the system's */
    uint32_t grace_bytes;   /* beyond the ceiling, while the failure that reports it is made */
    uint64_t since_collect; /* bytes asked for since cycles were last looked for */
    uint64_t work;          /* bytes touched since the machine last counted them as operations */
    bool collecting;
    const char *too_large; /* what the last BV_E_LIMIT was about: "Length of string" */
    bvi_traced *objects;   /* every traced object */
    bvi_traced *dying;     /* released, contents not dropped yet */
    bool draining;
    bool may_have_cycles;    /* something was made that cycles go through */
    uint64_t top_generation; /* top levels that ran in an earlier one are forgotten */
    size_t cells;            /* live shared variables; without one there are no cycles */
    bvi_native *natives[BVI_NATIVE_BUCKETS];
    bvi_native_table *tables;
    void *method_data;
    bvi_value modules;             /* MAP: name -> MODULE */
    uint64_t next_id;              /* of anonymous functions */
    struct bvi_coverage *coverage; /* of every source compiled with BVI_SCRIPT_COVERAGE */
};

/* old_bytes must be what was asked for before; new_bytes 0 frees. NULL: no memory, ptr is
 * unchanged. */
void *bvi_script_realloc(bvi_script_engine *engine, void *ptr, size_t old_bytes, size_t new_bytes);
void *bvi_script_zalloc(bvi_script_engine *engine, size_t bytes);
void bvi_script_release(bvi_script_engine *engine, void *ptr, size_t bytes);
/* Room for need items; BV_E_NOMEM. */
int bvi_script_grow(bvi_script_engine *engine, void **items, uint32_t *cap, size_t need,
                    size_t item_bytes);
/* A buffer whose storage counts as the engine's memory. */
#define BVI_SCRIPT_BUF_INIT(engine, max_bytes)                                                     \
    {                                                                                              \
        .max = (max_bytes), .charge = bvi_script_charge, .owner = (engine)                         \
    }
int bvi_script_charge(void *engine, size_t old_bytes, size_t new_bytes);
/* BV_E_LIMIT with the reason noted. */
int bvi_script_too_large(bvi_script_engine *engine, const char *what);

/* The first overload with this name, or NULL. */
const bvi_native *bvi_native_find(const bvi_script_engine *engine, const char *name, size_t len);
/* The next one in the chain with the same name. */
const bvi_native *bvi_native_next(const bvi_native *native);
/* The overload in the chain that takes these arguments, or NULL. */
const bvi_native *bvi_native_match(const bvi_native *first, const bvi_value *args, size_t argc);
bool bvi_params_match(const char *params, const bvi_value *args, size_t argc);

int64_t bvi_script_now_ns(const bvi_script_engine *engine); /* monotonic */

/* cycle.c */
void bvi_script_collect(bvi_script_engine *engine);

/* The tables of built-ins, lib_*.c. */
extern const bvi_script_function bvi_lib_core[];
extern const bvi_script_function bvi_lib_number[];
extern const bvi_script_function bvi_lib_string[];
extern const bvi_script_function bvi_lib_array[];
extern const bvi_script_function bvi_lib_callback[];
extern const bvi_script_function bvi_lib_map[];
extern const bvi_script_function bvi_lib_blob[];
extern const bvi_script_function bvi_lib_iter[];
extern const bvi_script_function bvi_lib_json[];

#endif
