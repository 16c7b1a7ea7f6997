/*
 * script.h - the interpreter of the Rhai language: everything an embedder needs, and the only
 * header it includes.
 *
 * An engine holds limits, registered functions and cached modules. A script is compiled source. A
 * call is one run of a script: it has its own stack and is driven from outside in slices, so a
 * script that never ends blocks nobody:
 *
 *     r = bvi_script_call_new(engine, script, "height", NULL, 0, &call, err);
 *     do r = bvi_script_run(call); while (r == BVI_SCRIPT_YIELD);      // or come back from the
 * loop's idle hook if (r == BVI_SCRIPT_PENDING) ...                                 // a host
 * function waits: bvi_script_resume() if (r == BVI_SCRIPT_DONE) use(bvi_script_result(call)); if (r
 * < 0) return bvi_script_failure(call, err);
 *
 * Owner: the caller frees calls and scripts before their engine. Thread: one at a time per engine;
 * engines are independent. Memory: everything a script makes is counted against the engine's
 * ceiling; reference counts free it at once, and cycles end when a call is freed.
 */
#ifndef BVI_SCRIPT_SCRIPT_H
#define BVI_SCRIPT_SCRIPT_H

#include "base/error.h"
#include "base/json.h"

typedef struct bvi_script_engine bvi_script_engine;
typedef struct bvi_script bvi_script;
typedef struct bvi_script_call bvi_script_call;

/* What bvi_script_run() answers; failures are a negative bv_code. */
enum {
    BVI_SCRIPT_DONE = 0,  /* the result is there */
    BVI_SCRIPT_YIELD = 1, /* the slice is used up: run again when it suits */
    BVI_SCRIPT_PENDING =
        2, /* a host function waits for bvi_script_resume(); also what that function returned */
    BVI_SCRIPT_INVOKE = 3, /* only from a host function: bvi_script_invoke() was called */
};

/* ---- values ---- */

typedef enum bvi_type {
    BVI_T_UNIT,
    BVI_T_BOOL,
    BVI_T_INT,
    BVI_T_FLOAT,
    BVI_T_CHAR,
    BVI_T_TIMESTAMP,
    BVI_T_STRING, /* from here on: counted objects */
    BVI_T_ARRAY,
    BVI_T_BLOB,
    BVI_T_MAP,
    BVI_T_RANGE,
    BVI_T_FN,
    BVI_T_ITER,
    BVI_T_HOST,
    BVI_T_CELL,   /* internal: a variable shared with closures */
    BVI_T_MODULE, /* internal */
    BVI_T_ERROR,  /* internal */
} bvi_type;

struct bvi_obj;

/* A value owns one reference to its object. Copy with bvi_value_copy(), end with bvi_value_drop().
 * A zeroed value is unit. Strings are UTF-8; containers are copied on write, so a copy is cheap and
 * never aliases. */
typedef struct bvi_value {
    uint32_t type; /* bvi_type; as wide as tag, so that both are written at once */
    int32_t tag;   /* what scripts set with x.tag */
    union {
        bool b;
        int64_t i; /* also TIMESTAMP: monotonic nanoseconds */
        double f;
        uint32_t c;
        struct bvi_obj *obj;
    } as;
} bvi_value;

#define BVI_VALUE_UNIT ((bvi_value){ 0 })

static inline bvi_value bvi_value_bool(bool b)
{
    return (bvi_value){ .type = BVI_T_BOOL, .as.b = b };
}

static inline bvi_value bvi_value_int(int64_t i)
{
    return (bvi_value){ .type = BVI_T_INT, .as.i = i };
}

static inline bvi_value bvi_value_float(double f)
{
    return (bvi_value){ .type = BVI_T_FLOAT, .as.f = f };
}

static inline bvi_value bvi_value_char(uint32_t c)
{
    return (bvi_value){ .type = BVI_T_CHAR, .as.c = c };
}

/* Makers. They return 0, BV_E_NOMEM or BV_E_LIMIT (a size limit of the engine); *ret_value is then
 * untouched. */
int bvi_value_string(bvi_script_engine *engine, const char *text, size_t len, bvi_value *ret_value);
int bvi_value_cstring(bvi_script_engine *engine, const char *text,
                      bvi_value *ret_value); /* NULL makes unit */
int bvi_value_blob(bvi_script_engine *engine, const void *bytes, size_t len, bvi_value *ret_value);
int bvi_value_array(bvi_script_engine *engine, bvi_value *ret_value);
int bvi_value_map(bvi_script_engine *engine, bvi_value *ret_value);

bvi_value bvi_value_copy(const bvi_value *value);
void bvi_value_drop(bvi_value *value); /* leaves unit */

/* Containers. push and put take item over, also on failure. */
int bvi_value_push(bvi_value *array, bvi_value item);
int bvi_value_put(bvi_value *map, const char *key, bvi_value item);
int bvi_value_put_string(bvi_value *map, const char *key, const char *text);

/* Looking; borrowed until the container changes. Wrong types answer NULL or 0. */
const char *bvi_value_text(const bvi_value *value,
                           size_t *ret_len); /* STRING; zero-terminated; len may be NULL */
const uint8_t *bvi_value_bytes(const bvi_value *value, size_t *ret_len); /* BLOB */
size_t bvi_value_count(const bvi_value *value); /* items of an array or a map */
const bvi_value *bvi_value_at(const bvi_value *array, size_t index);
const bvi_value *bvi_value_get(const bvi_value *map, const char *key); /* NULL when absent */
/* Entry i of a map, in key order. */
const bvi_value *bvi_value_entry(const bvi_value *map, size_t index, const char **ret_key,
                                 size_t *ret_key_len);

/* The name as type_of() gives it: "i64", "string", "()", a host type's own name. */
const char *bvi_value_type_name(const bvi_value *value);
/* A text form is cut off here: parts of a value may be shared, so a small value can have a text
 * without end. */
#define BVI_VALUE_TEXT_MAX (64u * 1024u * 1024u)
/* Text form of print() and to_string(); debug form of debug() and to_debug(). Allocated with
 * bvi_malloc. BV_E_LIMIT: longer than BVI_VALUE_TEXT_MAX, or nested too deep. */
int bvi_value_to_text(const bvi_value *value, bool debug, char **ret_text, size_t *ret_len);

/* JSON. A char becomes a string, a blob an array of numbers, NaN null; functions and host objects
 * are BV_E_INVALID. Unit is null. Numbers fitting i64 without fraction or exponent become INT,
 * others FLOAT. BV_E_LIMIT: too deep, or
 * larger than this. */
#define BVI_VALUE_JSON_MAX (16u << 20)
int bvi_value_to_json(const bvi_value *value, bvi_json **ret_json, bv_error **err);
int bvi_value_from_json(bvi_script_engine *engine, const bvi_json *json, bvi_value *ret_value);

/* ---- host functions and types ---- */

/*
 * A function scripts can call. args are borrowed (they may be changed: for a method flagged
 * BVI_SCRIPT_MUTATES, args[0] is the receiver in place). Returns 0 with *ret set (it starts as
 * unit), or a negative code made by one of the bvi_script_throw functions, or BVI_SCRIPT_PENDING
 * the answer comes later through bvi_script_resume(); bvi_script_run() returns PENDING;
 *   BVI_SCRIPT_INVOKE   as returned by bvi_script_invoke().
 */
typedef int (*bvi_script_fn)(bvi_script_call *call, bvi_value *args, size_t argc, bvi_value *ret,
                             void *data);

enum {
    BVI_SCRIPT_MUTATES = 1u << 0,  /* changes args[0] in place; refused on constants */
    BVI_SCRIPT_PROPERTY = 1u << 1, /* also readable as a property, without parentheses */
    BVI_SCRIPT_PROPERTY_ONLY = 1u << 2,
    /* Does nothing but answer, and the same for the same arguments until
     * bvi_script_forget_top_level(); a top level that calls no others need not run for each call.
     * It may not look at the call's data. */
    BVI_SCRIPT_STABLE = 1u << 3,
};

/*
 * params has one letter per parameter; overloads differ in their letters, a later registration
 * wins: v any  i INT  f FLOAT  n INT or FLOAT  t bool  s string  c char  a array  b blob  m map p
 * function (or a string naming one)  k function only  r range  h host object  e timestamp  u unit
 * A call that matches no overload is "Function not found: name (types)". The table is borrowed for
 * the engine's life and ends with a NULL name.
 */
typedef struct bvi_script_function {
    const char *name;
    const char *params;
    bvi_script_fn fn;
    unsigned flags;
    void *data; /* in place of the one given with the table, or to methods; NULL: that one */
} bvi_script_function;

/* A type of host objects, borrowed for the engine's life. In methods, params does not count the
 * receiver, which is args[0]. Methods flagged BVI_SCRIPT_PROPERTY_ONLY are getters without a
 * parameter, setters with one: their args[1] is the new value. Getters can wait where their
 * value is read, not as the receiver of a method or on the way to a place; setters cannot. */
typedef struct bvi_script_type {
    const char *name;                   /* shown by type_of() and in messages */
    const bvi_script_function *methods; /* ends with a NULL name */
    void (*free)(void *object);         /* may be NULL */
} bvi_script_type;

/* Takes object over, also on failure. */
int bvi_value_host(bvi_script_engine *engine, const bvi_script_type *type, void *object,
                   bvi_value *ret_value);
void *bvi_value_object(const bvi_value *value,
                       const bvi_script_type *type); /* NULL when of another type */

/* Failing. All return a negative code for the host function to return. A script catches the text
 * (or the value). */
int bvi_script_throw(bvi_script_call *call, const char *fmt, ...) BV_PRINTF(2, 3);
int bvi_script_throw_value(bvi_script_call *call, bvi_value value); /* takes value */
int bvi_script_throw_error(bvi_script_call *call,
                           const bv_error *error);          /* the whole chain, joined by ": " */
int bvi_script_throw_nomem(bvi_script_call *call);          /* cannot be caught */
int bvi_script_throw_code(bvi_script_call *call, int code); /* for the makers above */
/* "Data type incorrect: <actual> (expecting <wanted>)", "Output type incorrect: ..." with their
 * kinds */
int bvi_script_throw_type(bvi_script_call *call, const bvi_value *actual, const char *wanted);
int bvi_script_throw_output(bvi_script_call *call, const bvi_value *actual, const char *wanted);

/* Runs after the invoked function with its result; args and data are those of the host function.
 * Same returns. */
typedef int (*bvi_script_then_fn)(bvi_script_call *call, bvi_value *args, size_t argc,
                                  const bvi_value *result, bvi_value *ret, void *data);

/* For a host function that wants to call a script's function value (a closure, Fn, or a name): it
 * returns what this returns. Arguments are copied. The C stack does not grow; the script may yield
 * and suspend in between. */
int bvi_script_invoke(bvi_script_call *call, const bvi_value *fn, const bvi_value *args,
                      size_t argc, bvi_script_then_fn then);

bvi_script_engine *bvi_script_engine_of(const bvi_script_call *call);
void *
bvi_script_call_data(const bvi_script_call *call); /* what bvi_script_call_set_data() stored */
void bvi_script_call_set_data(bvi_script_call *call, void *data);
/* Where the script is: line of the call to the host function that runs or waits; 0 when unknown. */
unsigned bvi_script_line(const bvi_script_call *call);

/* ---- engine ---- */

#define BVI_SCRIPT_SOURCE_BYTES_DEFAULT (1024u * 1024u)

/* Zero means the default. Exceeding one ends the call; scripts cannot catch that. */
typedef struct bvi_script_limits {
    uint64_t memory_bytes;     /* everything the engine allocates; 64 MiB */
    uint64_t operations;       /* calls, loop turns and callback steps of one call; 100 million */
    int64_t wall_ms;           /* from the first run of a call to its end, looked at between
                                  slices; no limit */
    uint32_t slice_operations; /* of one bvi_script_run(); 10000 */
    uint32_t call_depth;       /* nested script functions; 64 */
    uint32_t expression_depth; /* nesting in the source; 192 */
    uint32_t string_bytes;     /* of one string or blob; 16 MiB */
    uint32_t array_items;      /* of one array; 1 million */
    uint32_t map_entries;      /* of one map; 1 million */
    uint32_t source_bytes;     /* of one script or module; 1 MiB */
    uint32_t modules;          /* loaded by one engine; 256 */
} bvi_script_limits;

/* Finds a module: stores its source, allocated with bvi_malloc, and its length. BV_E_NOT_FOUND:
 * there is none; any other failure reaches the script as a catchable error with the chain's text.
 * name is what the script wrote. */
typedef int (*bvi_script_resolve_fn)(const char *name, char **ret_source, size_t *ret_len,
                                     bv_error **err, void *data);
/* print() and debug(): text without newline; borrowed. */
typedef void (*bvi_script_output_fn)(const char *text, size_t len, void *data);
/* debug() also tells where it was called; source is NULL in a script without a name. */
typedef void (*bvi_script_debug_fn)(const char *text, size_t len, const char *source, unsigned line,
                                    unsigned position, void *data);

enum {
    BVI_SCRIPT_DEBUG_DUMP = 1u << 0,  /* code of every compiled function goes to trace */
    BVI_SCRIPT_DEBUG_TRACE = 1u << 1, /* every instruction goes to trace */
    BVI_SCRIPT_DEBUG_STRESS =
        1u << 2,                   /* look for cycles and check all counts at every allocation */
    BVI_SCRIPT_COVERAGE = 1u << 3, /* note which lines run, for bvi_script_coverage() */
};

typedef struct bvi_script_options {
    bvi_script_limits limits;
    bvi_script_resolve_fn resolve; /* NULL: every import fails with "Module not found" */
    bvi_script_output_fn print;    /* NULL: dropped */
    bvi_script_debug_fn debug;     /* gets the debug form */
    bvi_script_output_fn trace;    /* lines of the debug switches */
    int64_t (*now_ns)(void *data); /* monotonic clock of timestamp(); NULL: the system's */
    unsigned debug_flags;
    void *data; /* last argument of all of these */
} bvi_script_options;

int bvi_script_engine_new(const bvi_script_options *options, bvi_script_engine **ret_engine,
                          bv_error **err);
void bvi_script_engine_free(bvi_script_engine *engine);
BVI_DEFINE_FREEP(bvi_script_engine, bvi_script_engine_free)

/* Adds functions; they hide built-ins with the same parameters. data is the last argument of each.
 */
int bvi_script_register(bvi_script_engine *engine, const bvi_script_function *table, void *data,
                        bv_error **err);
/* Data given to the methods of every host type. */
void bvi_script_set_method_data(bvi_script_engine *engine, void *data);
/* Forgets cached modules, so that changed sources are read again. */
void bvi_script_forget_modules(bvi_script_engine *engine);
/* Functions flagged BVI_SCRIPT_STABLE may answer differently from now on. */
void bvi_script_forget_top_level(bvi_script_engine *engine);
uint64_t bvi_script_memory_used(const bvi_script_engine *engine);

/* ---- scripts ---- */

/* name appears as the source in error texts; NULL for none. A first line starting with #! is
 * skipped when name is given. BV_E_FORMAT: "<message> (line L, position P)". Nothing is executed.
 */
int bvi_script_compile(bvi_script_engine *engine, const char *source, size_t len, const char *name,
                       bvi_script **ret_script, bv_error **err);
void bvi_script_free(bvi_script *script);
BVI_DEFINE_FREEP(bvi_script, bvi_script_free)

typedef struct bvi_script_fn_info {
    const char *name;
    unsigned arity;
    bool is_private;
} bvi_script_fn_info;

/* The script's own functions in source order, without closures. False past the end. */
bool bvi_script_function_at(const bvi_script *script, size_t index, bvi_script_fn_info *ret_info);
/* Whether there is one of that name and arity; arity < 0: any. */
bool bvi_script_has_function(const bvi_script *script, const char *name, int arity);

/* One line on which a statement begins, and whether it ever ran. name is the source's: what the
 * script was compiled with, or what it was imported as without the extension. */
typedef void (*bvi_script_coverage_fn)(const char *name, uint32_t line, bool ran, void *data);
/* Every such line of all sources the engine compiled with BVI_SCRIPT_COVERAGE; those of one source
 * in order. */
void bvi_script_coverage(const bvi_script_engine *engine, bvi_script_coverage_fn fn, void *data);

/* ---- calls ---- */

/*
 * Prepares a call: the script's top level runs first, in a fresh scope; then the function with that
 * name and number of arguments (private ones too). fn NULL: only the top level, whose last value is
 * the result. Arguments are copied. The script and engine must outlive the call. Nothing runs
 * before bvi_script_run().
 */
int bvi_script_call_new(bvi_script_engine *engine, bvi_script *script, const char *fn,
                        const bvi_value *args, size_t argc, bvi_script_call **ret_call,
                        bv_error **err);
/* Adds a constant: readable as NAME at the top level and as global::NAME everywhere. Before the
 * first run only, BV_E_STATE afterwards. Takes value, also on failure. */
int bvi_script_call_set_constant(bvi_script_call *call, const char *name, bvi_value value);
/* Adds a constant that is readable by its plain name everywhere, inside functions too, unless the
 * script has something of that name. Otherwise the same. */
int bvi_script_call_set_variable(bvi_script_call *call, const char *name, bvi_value value);
/* A constant of the script's top level, once that ran: borrowed from the call. NULL: there is none.
 */
const bvi_value *bvi_script_constant(const bvi_script_call *call, const char *name);

int bvi_script_run(bvi_script_call *call);
/* Answers the host function that returned PENDING; then run again. resume takes value. BV_E_STATE:
 * nothing waits. */
int bvi_script_resume(bvi_script_call *call, bvi_value value);
int bvi_script_resume_error(bvi_script_call *call,
                            const char *message); /* the script can catch message */
/* Makes the next run fail with BV_E_CANCELLED, "Script terminated", also while PENDING. Any thread,
 * and from signal handlers. */
void bvi_script_cancel(bvi_script_call *call);

const bvi_value *
bvi_script_result(const bvi_script_call *call); /* after DONE; borrowed from the call */
/* After a failure: stores an error with its code and the full text, positions and trace lines;
 * returns the code. BV_E_REMOTE     an uncaught script error          BV_E_NOT_FOUND  no such
 * function BV_E_LIMIT      a limit of the engine             BV_E_NOMEM      memory, or the memory
 * ceiling BV_E_CANCELLED  bvi_script_cancel() */
int bvi_script_failure(const bvi_script_call *call, bv_error **err);
/* The same as a document: {kind, message, text, source, line, column, trace: [{what, name, source,
 * line, column}], value}. message is the innermost one without places, text is everything, line and
 * column are where it happened; each step of trace, the innermost first, is something the failure
 * left and the place where that was called. What is unknown is null. value: what the script threw,
 * when it has a JSON form. The document belongs to the caller. */
int bvi_script_failure_json(const bvi_script_call *call, bvi_json **ret_json, bv_error **err);
/* The same for what bvi_script_compile() made; trace is empty. */
int bvi_script_syntax_json(const bv_error *failure, const char *source, bvi_json **ret_json,
                           bv_error **err);
const bvi_value *
bvi_script_thrown(const bvi_script_call *call); /* the uncaught value, or NULL; borrowed */
const char *bvi_script_failure_text(const bvi_script_call *call); /* "" before a failure */
void bvi_script_call_free(bvi_script_call *call); /* at any time, also while PENDING */
BVI_DEFINE_FREEP(bvi_script_call, bvi_script_call_free)

/* parse_json() of the language: an object only, numbers as above; a failure is thrown in call with
 * the usual texts
 * ("Syntax error: ...") and can be caught. */
int bvi_script_parse_json(bvi_script_call *call, const char *text, size_t len,
                          bvi_value *ret_value);

#endif
