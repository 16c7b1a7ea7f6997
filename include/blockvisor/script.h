/**
 * @file blockvisor/script.h
 * The language of plugins (Rhai 1.20) by itself: no context, no host, no node.
 *
 * An engine holds limits, functions and modules. A script is compiled source. A call is one run of
 * a script: its top level, then a function of it. A call is driven from outside, in slices, so that
 * a script that never ends blocks nobody:
 *
 *     bv_script_engine_new(NULL, &engine, &err);
 *     bv_script_compile(engine, text, strlen(text), "main", &script, &err);
 *     bv_script_call_new(engine, script, "height", NULL, 0, &call, &err);
 *     while ((r = bv_script_call_run(call)) == BV_SCRIPT_YIELD)
 *         ;                                         (or come back later)
 *     if (r == BV_SCRIPT_DONE)
 *         bv_script_call_result(call, &value);
 *     else if (r < 0)
 *         bv_script_call_failure(call, &err);
 *
 * A script reaches nothing but the functions it is given. Engines are independent of each other;
 * an engine with its scripts, calls and values belongs to one thread at a time, and only
 * bv_script_interrupt() may be called from another. Free values, calls and scripts first, their
 * engine last.
 */
#ifndef BLOCKVISOR_SCRIPT_H
#define BLOCKVISOR_SCRIPT_H

#include <stddef.h>
#include <stdint.h>

#include <blockvisor/doc.h>
#include <blockvisor/error.h>

BV_BEGIN_DECLS

/**
 * What a script may use up. A limit that is zero means its default. A breach ends the run with an
 * error that the script cannot catch.
 */
typedef struct bv_script_limits {
    size_t size;               /**< sizeof(bv_script_limits). */
    uint64_t operations;       /**< Calls, loop turns and steps of one run; 100 million. */
    uint64_t memory_bytes;     /**< Everything an engine allocates; 64 MiB. */
    int64_t wall_ms;           /**< Milliseconds one run may take; no limit. */
    uint32_t call_depth;       /**< Nested script functions; 64. */
    uint32_t expression_depth; /**< Nesting in the source; 192. */
    uint32_t string_bytes;     /**< One string or blob; 16 MiB. */
    uint32_t array_items;      /**< One array; one million. */
    uint32_t map_entries;      /**< One map; one million. */
    uint32_t modules;          /**< Modules loaded by one engine; 256. */
    uint32_t source_bytes;     /**< One script or module; 1 MiB. */
    uint32_t slice_operations; /**< Operations of one slice; 10000. */
} bv_script_limits;

#define BV_SCRIPT_LIMITS_INIT                                                                      \
    {                                                                                              \
        .size = sizeof(bv_script_limits)                                                           \
    }

/** One output of print() or debug(). Valid during the call only. */
typedef struct bv_script_output {
    size_t size;
    int32_t is_debug;   /**< 1: debug(), whose text is the debug form; 0: print(). */
    uint32_t line;      /**< debug(): where it was called, from 1. */
    uint32_t column;    /**< debug(): the same. */
    const char *source; /**< debug(): name of the source, NULL when it has none. */
    const char *text;   /**< Zero-terminated; may contain further zeros. */
    size_t len;         /**< Bytes of @p text. */
} bv_script_output;

/** Receives what a script prints. */
typedef void (*bv_script_output_fn)(const bv_script_output *output, void *data);

/* ---- values ---- */

typedef enum bv_value_type {
    BV_VALUE_UNIT = 0,
    BV_VALUE_BOOL = 1,
    BV_VALUE_INT = 2,
    BV_VALUE_FLOAT = 3,
    BV_VALUE_CHAR = 4,
    BV_VALUE_TIMESTAMP = 5,
    BV_VALUE_STRING = 6,
    BV_VALUE_ARRAY = 7,
    BV_VALUE_BLOB = 8,
    BV_VALUE_MAP = 9,
    BV_VALUE_RANGE = 10,
    BV_VALUE_FUNCTION = 11,
    BV_VALUE_ITERATOR = 12,
    BV_VALUE_HOST = 13
} bv_value_type;

/**
 * A value of the language. It owns one reference to what it refers to: copy it with
 * bv_value_copy(), end it with bv_value_drop(). Values that a function hands out as borrowed are
 * not dropped. Containers are copied on write, so a copy is cheap and never an alias. All zeros is
 * unit. Small values may be made and read by hand.
 */
typedef struct bv_value {
    uint32_t type; /**< A bv_value_type. */
    uint32_t reserved;
    union {
        int64_t i;    /**< BOOL: 0 or 1. INT. CHAR: the code point. TIMESTAMP: nanoseconds. */
        double f;     /**< FLOAT. */
        void *object; /**< The others; opaque. */
    } as;
} bv_value;

/** Names of engines, scripts, calls and types of host objects. */
typedef struct bv_script_engine bv_script_engine;
typedef struct bv_script bv_script;
typedef struct bv_script_call bv_script_call;
typedef struct bv_script_type bv_script_type;

/** @return the integer as a value. @since 0.1 */
static inline bv_value bv_value_int(int64_t i)
{
    bv_value v = { BV_VALUE_INT, 0, { 0 } };

    v.as.i = i;
    return v;
}

/** @return 0 or 1 as a value of type bool. @since 0.1 */
static inline bv_value bv_value_bool(int b)
{
    bv_value v = { BV_VALUE_BOOL, 0, { 0 } };

    v.as.i = b != 0;
    return v;
}

/** @return the number as a value. @since 0.1 */
static inline bv_value bv_value_float(double f)
{
    bv_value v = { BV_VALUE_FLOAT, 0, { 0 } };

    v.as.f = f;
    return v;
}

/**
 * Makes a string.
 *
 * @param text       UTF-8; copied. Wrong bytes become U+FFFD when it is shown.
 * @param ret_value  The caller's.
 * @return 0, BV_E_NOMEM or BV_E_LIMIT.
 * @since 0.1
 */
BV_API int bv_value_string(bv_script_engine *engine, const char *text, size_t len,
                           bv_value *ret_value);
/** The same for a blob. @since 0.1 */
BV_API int bv_value_blob(bv_script_engine *engine, const void *bytes, size_t len,
                         bv_value *ret_value);
/** Makes an empty array. @return 0 or BV_E_NOMEM. @since 0.1 */
BV_API int bv_value_array(bv_script_engine *engine, bv_value *ret_value);
/** Makes an empty map. @return 0 or BV_E_NOMEM. @since 0.1 */
BV_API int bv_value_map(bv_script_engine *engine, bv_value *ret_value);
/** Appends to an array; takes @p item, also on failure. @return 0, BV_E_INVALID (it is none),
 * BV_E_NOMEM or BV_E_LIMIT. @since 0.1 */
BV_API int bv_value_push(bv_value *array, bv_value item);
/** Sets an entry of a map; takes @p item, also on failure. Returns are those of bv_value_push().
 * @since 0.1 */
BV_API int bv_value_put(bv_value *map, const char *key, bv_value item);

/** @return one more reference to the same, the caller's. @since 0.1 */
BV_API bv_value bv_value_copy(const bv_value *value);
/** Ends a value and leaves unit. @since 0.1 */
BV_API void bv_value_drop(bv_value *value);

/** @return the text of a string, zero-terminated, borrowed from it; NULL when it is none.
 * @param ret_len  Its bytes; may be NULL. @since 0.1 */
BV_API const char *bv_value_text(const bv_value *value, size_t *ret_len);
/** @return the bytes of a blob, borrowed from it; NULL when it is none or empty. @since 0.1 */
BV_API const uint8_t *bv_value_bytes(const bv_value *value, size_t *ret_len);
/** @return the number of items of an array or entries of a map; 0 for others. @since 0.1 */
BV_API size_t bv_value_count(const bv_value *value);
/** Looks up an item. @param ret_item  Borrowed until the array changes. @return 0 or
 * BV_E_NOT_FOUND. @since 0.1 */
BV_API int bv_value_at(const bv_value *array, size_t index, bv_value *ret_item);
/** Looks up an entry. @param ret_item  Borrowed until the map changes. @return 0 or
 * BV_E_NOT_FOUND. @since 0.1 */
BV_API int bv_value_get(const bv_value *map, const char *key, bv_value *ret_item);
/** Entry @p index of a map, in the order of keys. @param ret_key  Borrowed like the item.
 * @return 0 or BV_E_NOT_FOUND. @since 0.1 */
BV_API int bv_value_entry(const bv_value *map, size_t index, const char **ret_key,
                          size_t *ret_key_len, bv_value *ret_item);
/** @return the name that type_of() gives it, such as "i64"; valid as long as the value.
 * @since 0.1 */
BV_API const char *bv_value_type_name(const bv_value *value);

/**
 * The text form of a value, or its debug form.
 *
 * @param debug     0: as print() shows it; 1: as debug() does.
 * @param ret_text  Zero-terminated; freed with bv_free().
 * @param ret_len   Its bytes; may be NULL.
 * @return 0, BV_E_NOMEM or BV_E_LIMIT (longer than 64 MiB, or nested too deep).
 * @since 0.1
 */
BV_API int bv_value_print(const bv_value *value, int debug, char **ret_text, size_t *ret_len);

/**
 * A value as a document. Unit is null, a character a string, a blob an array of numbers, NaN null.
 *
 * @param ret_doc  Freed with bv_doc_free().
 * @return 0, BV_E_INVALID (a function, a host object ...), BV_E_LIMIT or BV_E_NOMEM.
 * @since 0.1
 */
BV_API int bv_value_to_doc(const bv_value *value, bv_doc **ret_doc, bv_error **err);
/** A document as a value: the way back. Whole numbers in range become INT, others FLOAT.
 * @return 0, BV_E_LIMIT or BV_E_NOMEM. @since 0.1 */
BV_API int bv_value_from_doc(bv_script_engine *engine, const bv_doc *doc, bv_value *ret_value);

/* ---- engines ---- */

/** Where a module's source goes; valid during the call of bv_script_resolve_fn only. */
typedef struct bv_script_source bv_script_source;

/**
 * Finds a module by the name that the script wrote, and calls bv_script_source_set() or
 * bv_script_source_fail().
 *
 * @return what that returned; BV_E_NOT_FOUND when there is no such module. The script can catch
 * both.
 */
typedef int (*bv_script_resolve_fn)(bv_script_source *source, const char *name, void *data);

/** Hands over a module's source, which is copied. @return 0 or BV_E_NOMEM. @since 0.1 */
BV_API int bv_script_source_set(bv_script_source *source, const char *text, size_t len);
/** Says why a module cannot be had. @return a negative code to return. @since 0.1 */
BV_API int bv_script_source_fail(bv_script_source *source, const char *message);

typedef struct bv_script_opts {
    size_t size;                    /**< sizeof(bv_script_opts); lets the struct grow. */
    const bv_script_limits *limits; /**< Copied; NULL: the defaults. */
    bv_script_resolve_fn resolve;   /**< NULL: every import fails with "Module not found". */
    bv_script_output_fn output;     /**< NULL: what scripts print is dropped. */
    int64_t (*now_ns)(void *data);  /**< Monotonic clock, in nanoseconds; NULL: the system's. */
    void *data;                     /**< Last argument of these. */
} bv_script_opts;

#define BV_SCRIPT_OPTS_INIT                                                                        \
    {                                                                                              \
        .size = sizeof(bv_script_opts)                                                             \
    }

/**
 * Makes an engine with the standard library.
 *
 * @param opts        Copied; NULL: the defaults.
 * @param ret_engine  Freed with bv_script_engine_free().
 * @return 0, BV_E_INVALID or BV_E_NOMEM.
 * @since 0.1
 */
BV_API int bv_script_engine_new(const bv_script_opts *opts, bv_script_engine **ret_engine,
                                bv_error **err);
/** Frees an engine, after everything that came from it. NULL is fine. @since 0.1 */
BV_API void bv_script_engine_free(bv_script_engine *engine);
/** Forgets loaded modules, so that changed sources are read again. @since 0.1 */
BV_API void bv_script_engine_forget_modules(bv_script_engine *engine);
/** Functions flagged #BV_SCRIPT_STABLE may answer differently from now on: the next call of each
 * script runs its top level again. @since 0.1 */
BV_API void bv_script_engine_forget_top_level(bv_script_engine *engine);
/** @return what counts against the limit memory_bytes, in bytes. @since 0.1 */
BV_API uint64_t bv_script_engine_memory_used(const bv_script_engine *engine);

/* ---- host functions ---- */

/** What bv_script_call_run() and host functions answer; failures are negative. */
enum {
    BV_SCRIPT_DONE = 0,    /**< The result is there. */
    BV_SCRIPT_YIELD = 1,   /**< The slice is used up: run it again when it suits. */
    BV_SCRIPT_PENDING = 2, /**< A host function waits for bv_script_call_resume(). */
    BV_SCRIPT_INVOKE = 3   /**< Of host functions only: bv_script_invoke() was called. */
};

/**
 * A function that scripts can call. The arguments are borrowed.
 *
 * @param ret  Unit at first; the result is left here, and taken over.
 * @return 0; what a bv_script_throw function or bv_script_invoke() returned; or BV_SCRIPT_PENDING:
 * the answer comes later, through bv_script_call_resume().
 */
typedef int (*bv_script_fn)(bv_script_call *call, bv_value *args, size_t argc, bv_value *ret,
                            void *data);

enum {
    BV_SCRIPT_MUTATES = 1u << 0,  /**< Changes args[0] in place; refused on constants. */
    BV_SCRIPT_PROPERTY = 1u << 1, /**< Also readable as a property, without parentheses. */
    /** Only readable as a property. Of a host type, with one parameter: sets the property. */
    BV_SCRIPT_PROPERTY_ONLY = 1u << 2,
    /** Does nothing but answer, and the same for the same arguments until
     * bv_script_engine_forget_top_level(), whatever the call's data. A top level that calls no
     * others runs once and then serves many calls; their operations are counted all the same. */
    BV_SCRIPT_STABLE = 1u << 3
};

/** Most parameters of a host function. */
#define BV_SCRIPT_PARAMS_MAX 16u

/** The second half of a host function, after bv_script_invoke(): gets its arguments again, and the
 * result of the invoked function, borrowed. Returns what bv_script_fn does. */
typedef int (*bv_script_then_fn)(bv_script_call *call, bv_value *args, size_t argc,
                                 const bv_value *result, bv_value *ret, void *data);

/**
 * One overload of a function. Parameters are given by a letter each: v any; i INT; f FLOAT; n INT
 * or FLOAT; t bool; s string; c char; a array; b blob; m map; p function, or a string that names
 * one; k function; r range; h host object; e timestamp; u unit. Later ones win over earlier ones
 * and over the library. A script calls `f(a, b)` or `a.f(b)`.
 */
typedef struct bv_script_function {
    const char *name;
    const char *params;
    bv_script_fn fn;
    bv_script_then_fn then; /**< NULL: it does not call bv_script_invoke(). */
    uint32_t flags;         /**< BV_SCRIPT_MUTATES ... */
    uint32_t reserved;      /**< 0. */
} bv_script_function;

/**
 * Adds functions.
 *
 * @param functions  Copied; ends with a NULL name.
 * @param data       Last argument of each; must live as long as the engine.
 * @return 0, BV_E_INVALID (a letter or flag that is not known) or BV_E_NOMEM.
 * @since 0.1
 */
BV_API int bv_script_engine_register(bv_script_engine *engine, const bv_script_function *functions,
                                     void *data, bv_error **err);

/**
 * Adds a type of host objects. Scripts can hold, pass and compare nothing of them but what the
 * methods allow.
 *
 * @param name      What type_of() answers. Copied.
 * @param methods   Copied; ends with a NULL name. The object is args[0] and has no letter.
 * @param release   Called for each object when nothing refers to it any more; may be NULL.
 * @param data      Last argument of the methods.
 * @param ret_type  Belongs to the engine.
 * @return 0, BV_E_INVALID or BV_E_NOMEM.
 * @since 0.1
 */
BV_API int bv_script_engine_add_type(bv_script_engine *engine, const char *name,
                                     const bv_script_function *methods,
                                     void (*release)(void *object), void *data,
                                     const bv_script_type **ret_type, bv_error **err);
/** Makes a value of an object; takes it over, also on failure. @return 0 or BV_E_NOMEM.
 * @since 0.1 */
BV_API int bv_value_host(bv_script_engine *engine, const bv_script_type *type, void *object,
                         bv_value *ret_value);
/** @return the object, or NULL when it is not of that type. @since 0.1 */
BV_API void *bv_value_object(const bv_value *value, const bv_script_type *type);

/** Throws a text, which the script can catch. @return a negative code for the host function to
 * return. @since 0.1 */
BV_API int bv_script_throw(bv_script_call *call, const char *text);
/** Throws a value, which is taken over. The rest as above. @since 0.1 */
BV_API int bv_script_throw_value(bv_script_call *call, bv_value value);
/** Throws for a negative code that a bv_value function returned; BV_E_NOMEM and BV_E_LIMIT end the
 * script. The rest as above. @since 0.1 */
BV_API int bv_script_throw_code(bv_script_call *call, int code);

/**
 * Calls a function of the script out of a host function, which ends at once by returning what this
 * returns; its @c then is called with the result. So nothing nests on the C stack, and the script
 * can yield in between.
 *
 * @param fn    A function, or a string that names one.
 * @param args  Copied; at most BV_SCRIPT_PARAMS_MAX.
 * @since 0.1
 */
BV_API int bv_script_invoke(bv_script_call *call, const bv_value *fn, const bv_value *args,
                            size_t argc);

/* ---- scripts ---- */

/**
 * Compiles source text; runs nothing.
 *
 * @param text        UTF-8; not needed afterwards.
 * @param name        The source's name in error texts; NULL: none. A first line that begins with
 *                    "#!" is skipped in a script with a name.
 * @param ret_script  Freed with bv_script_free().
 * @return 0, BV_E_FORMAT "<message> (line L, position P)" or BV_E_NOMEM.
 * @since 0.1
 */
BV_API int bv_script_compile(bv_script_engine *engine, const char *text, size_t len,
                             const char *name, bv_script **ret_script, bv_error **err);
/** Frees a script. NULL is fine. @since 0.1 */
BV_API void bv_script_free(bv_script *script);

typedef struct bv_script_function_info {
    size_t size;
    const char *name;    /**< Borrowed from the script. */
    uint32_t arity;      /**< Number of parameters. */
    uint32_t is_private; /**< 1: not visible to importers; callable all the same. */
} bv_script_function_info;

/**
 * Lists the functions that a script defines, in their order.
 *
 * @param ret_info  Its @c size must be set.
 * @return 0 or BV_E_NOT_FOUND past the end.
 * @since 0.1
 */
BV_API int bv_script_function_at(const bv_script *script, size_t index,
                                 bv_script_function_info *ret_info);

/* ---- calls ---- */

/**
 * Prepares a call. Nothing runs before bv_script_call_run(); then the script's top level does, in a
 * fresh scope, and then the function with that name and number of arguments, private ones too.
 *
 * @param fn        NULL: only the top level, whose last value is the result.
 * @param args      Copied; may be NULL when @p argc is 0.
 * @param ret_call  Freed with bv_script_call_free(), before the script and the engine.
 * @return 0, BV_E_NOMEM or BV_E_LIMIT.
 * @since 0.1
 */
BV_API int bv_script_call_new(bv_script_engine *engine, bv_script *script, const char *fn,
                              const bv_value *args, size_t argc, bv_script_call **ret_call,
                              bv_error **err);
/** Ends a call, wherever it is. NULL is fine. @since 0.1 */
BV_API void bv_script_call_free(bv_script_call *call);

/** Adds a constant, NAME at the top level and global::NAME everywhere; only before the first run.
 * Takes @p value, also on failure. @return 0, BV_E_STATE (it has run), BV_E_NOMEM or BV_E_LIMIT.
 * @since 0.1 */
BV_API int bv_script_call_set_constant(bv_script_call *call, const char *name, bv_value value);

/**
 * Runs one slice.
 *
 * @return BV_SCRIPT_DONE, BV_SCRIPT_YIELD, BV_SCRIPT_PENDING, or a negative code: BV_E_REMOTE (the
 * script failed), BV_E_NOT_FOUND (there is no such function), BV_E_LIMIT, BV_E_NOMEM,
 * BV_E_CANCELLED (interrupted, or longer than wall_ms).
 * @since 0.1
 */
BV_API int bv_script_call_run(bv_script_call *call);
/** Runs slices until there is another answer than BV_SCRIPT_YIELD. Blocks. @since 0.1 */
BV_API int bv_script_call_finish(bv_script_call *call);

/** Answers the host function that returned BV_SCRIPT_PENDING; then run again. Takes @p value.
 * @return 0 or BV_E_STATE: nothing waits. @since 0.1 */
BV_API int bv_script_call_resume(bv_script_call *call, bv_value value);
/** The same with an error that the script can catch. @since 0.1 */
BV_API int bv_script_call_resume_error(bv_script_call *call, const char *message);

/**
 * Makes a call end with BV_E_CANCELLED, "Script terminated", which the script cannot catch: when
 * the slice that runs is over, or at the next run. Any thread, and from signal handlers; the call
 * must not be freed meanwhile.
 * @since 0.1
 */
BV_API void bv_script_interrupt(bv_script_call *call);

/** The result. @param ret_value  Borrowed from the call. @return 0 or BV_E_STATE: it is not done.
 * @since 0.1 */
BV_API int bv_script_call_result(const bv_script_call *call, bv_value *ret_value);
/** What the script threw and did not catch. @param ret_value  Borrowed from the call. @return 0 or
 * BV_E_NOT_FOUND: nothing, or an error of the language. @since 0.1 */
BV_API int bv_script_call_thrown(const bv_script_call *call, bv_value *ret_value);

/**
 * The failure of a call as an error, whose message is the language's text: places, and a line for
 * each function it came up through.
 *
 * @return the code that the run returned; BV_E_STATE when it has not failed.
 * @since 0.1
 */
BV_API int bv_script_call_failure(const bv_script_call *call, bv_error **err);
/**
 * The failure of a call as a document, described at bv_eval().
 *
 * @param ret_doc  Freed with bv_doc_free().
 * @return 0, BV_E_STATE (it has not failed) or BV_E_NOMEM.
 * @since 0.1
 */
BV_API int bv_script_call_failure_doc(const bv_script_call *call, bv_doc **ret_doc, bv_error **err);

/** Keeps a pointer with a call, for host functions. @since 0.1 */
BV_API void bv_script_call_set_data(bv_script_call *call, void *data);
/** @return that pointer, or NULL. @since 0.1 */
BV_API void *bv_script_call_data(const bv_script_call *call);
/** @return the engine of a call. @since 0.1 */
BV_API bv_script_engine *bv_script_call_engine(const bv_script_call *call);
/** @return the line at which the host function that runs or waits was called; 0: unknown.
 * @since 0.1 */
BV_API uint32_t bv_script_call_line(const bv_script_call *call);

BV_END_DECLS

#endif
