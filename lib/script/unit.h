/*
 * unit.h - compiled code: what the compiler makes and the machine runs; and failures, which both
 * can produce.
 */
#ifndef BVI_SCRIPT_UNIT_H
#define BVI_SCRIPT_UNIT_H

#include "base/vec.h"
#include "script/opcode.h"
#include "script/value.h"

typedef struct bvi_pos {
    uint32_t line; /* 0: unknown */
    uint32_t col;
} bvi_pos;

/* ---- failures ---- */

/* X(kind, name in caught maps, can be caught) */
#define BVI_FAILURES(X)                                                                            \
    X(RUNTIME, "ErrorRuntime", true)                                                               \
    X(ARITHMETIC, "ErrorArithmetic", true)                                                         \
    X(FUNCTION_NOT_FOUND, "ErrorFunctionNotFound", true)                                           \
    X(VARIABLE_NOT_FOUND, "ErrorVariableNotFound", true)                                           \
    X(MODULE_NOT_FOUND, "ErrorModuleNotFound", true)                                               \
    X(IN_MODULE, "ErrorInModule", true)                                                            \
    X(PARSING, "ErrorParsing", true)                                                               \
    X(DATA_TYPE, "ErrorMismatchDataType", true)                                                    \
    X(OUTPUT_TYPE, "ErrorMismatchOutputType", true)                                                \
    X(INDEXING, "ErrorIndexingType", true)                                                         \
    X(ARRAY_BOUNDS, "ErrorArrayBounds", true)                                                      \
    X(STRING_BOUNDS, "ErrorStringBounds", true)                                                    \
    X(BIT_BOUNDS, "ErrorBitFieldBounds", true)                                                     \
    X(DOT, "ErrorDotExpr", true)                                                                   \
    X(FOR, "ErrorFor", true)                                                                       \
    X(THIS, "ErrorUnboundThis", true)                                                              \
    X(DATA_RACE, "ErrorDataRace", true)                                                            \
    X(CONSTANT, "ErrorAssignmentToConstant", true)                                                 \
    X(NON_PURE, "ErrorNonPureMethodCallOnConstant", true)                                          \
    X(STACK_OVERFLOW, "ErrorStackOverflow", false)                                                 \
    X(OPERATIONS, "ErrorTooManyOperations", false)                                                 \
    X(MODULES, "ErrorTooManyModules", false)                                                       \
    X(TOO_LARGE, "ErrorDataTooLarge", false)                                                       \
    X(MEMORY, "ErrorDataTooLarge", false)                                                          \
    X(TERMINATED, "ErrorTerminated", false)                                                        \
    X(EXIT, "Exit", false) /* exit(): not a failure, but it unwinds like one */

typedef enum bvi_failure_kind {
#define X(kind, name, catchable) BVI_FAILURE_##kind,
    BVI_FAILURES(X)
#undef X
} bvi_failure_kind;

/* A function, closure or module that a failure left. Names stand in the failure's text. */
typedef struct bvi_failure_step {
    const char *what; /* "function", "closure" or "module"; static */
    uint32_t name_at, name_len;
    uint32_t source_at, source_len;
    bvi_pos pos; /* where it was called */
} bvi_failure_step;

/* Deeper than scripts can call; the text goes on where the list ends. */
#define BVI_FAILURE_STEPS_MAX 256u

/* A failure on its way up. The text grows by one line per function it leaves; pos is the outermost
 * place so far. */
typedef struct bvi_failure {
    bvi_traced head;
    bvi_failure_kind kind;
    bool has_value; /* value is what catch (e) gets; otherwise a map is made */
    bool wrapped;   /* left a function: kind shows as ErrorInFunctionCall */
    bool no_pos;    /* arithmetic on two INT carries no position */
    bvi_value value;
    bvi_value fields; /* MAP of further fields, or unit */
    bvi_buf text;
    bvi_pos pos;
    char function[64]; /* the outermost function left */
    char source[256];
    BVI_VEC(bvi_failure_step) steps; /* the way so far, the innermost first */
    size_t message_len;              /* of text, before the first step */
    bvi_pos origin; /* in the script, even when the text has no place or one in other text */
} bvi_failure;

void bvi_failure_clear(bvi_failure *f);

/* ---- code ---- */

typedef enum bvi_root {
    BVI_ROOT_LOCAL,
    BVI_ROOT_UP,
    BVI_ROOT_THIS,
    BVI_ROOT_STACK,  /* a temporary below the indices */
    BVI_ROOT_GLOBAL, /* global::name; a constant */
    BVI_ROOT_NAME,   /* a name that is no variable here */
    BVI_ROOT_MEMBER, /* alias::name; a constant */
} bvi_root;

typedef struct bvi_step {
    bool is_index; /* the index is on the stack; otherwise key names the property */
    bool safe;     /* ?. or ?[ */
    uint32_t key;  /* constant */
    uint32_t hint; /* the entry where the property was the last time */
    /* the getter that was found the last time, and for values of which type */
    const struct bvi_script_function *getter;
    void *getter_data;
    bool getter_varies;
    const void *getter_of;
    bvi_pos pos;  /* of the [ */
    bvi_pos item; /* of the index or the name */
} bvi_step;

typedef struct bvi_path {
    bvi_root root;
    uint32_t slot; /* of a local or captured variable, or a name, or a member */
    bool is_const;
    uint32_t name;  /* constant: the variable's name for messages; 0 when it has none */
    uint32_t first; /* step */
    uint32_t steps;
    uint32_t indices; /* how many of the steps have one on the stack */
    uint32_t since;   /* a variable of that name made by this eval() or a later one hides it */
    bvi_pos pos;
    bvi_pos name_pos; /* behind the aliases */
} bvi_path;

/* No eval() can hide the variable. */
#define BVI_NOT_HIDDEN UINT32_MAX

/* alias::alias::name */
typedef struct bvi_member {
    uint32_t first; /* in unit->names: alias constants */
    uint32_t count;
    uint32_t name; /* constant */
    bvi_root root; /* LOCAL or UP: the first alias is that variable; NAME: look it up */
    uint32_t slot;
    bvi_pos pos;
} bvi_member;

#define BVI_NO_PATH  UINT32_MAX
#define BVI_NO_SCOPE UINT32_MAX

/* Names that the machine answers itself. */
typedef enum bvi_special {
    BVI_SPECIAL_NONE,
    BVI_SPECIAL_CALL,
    BVI_SPECIAL_CURRY,
} bvi_special;

/* A place that calls. */
typedef struct bvi_site {
    uint32_t name;   /* constant */
    uint32_t argc;   /* without the receiver */
    uint32_t path;   /* METHOD: the receiver; CALL: a variable as first argument; or BVI_NO_PATH */
    uint32_t member; /* CALL_MEMBER */
    bvi_special special;
    bool safe;      /* ?. before the method */
    uint32_t scope; /* f!(...): what the function sees of its caller; or BVI_NO_SCOPE */
    bvi_pos pos;
    bvi_pos first_arg;
    bool calls_values;           /* f.call(): no function of that name is in the way */
    const struct bvi_proto *own; /* the unit's function of that name and arity */
    bool own_known;              /* looked up on first use; so are natives */
    const struct bvi_native *natives;
    bool natives_known;
    uint32_t native_types; /* of the arguments native was found for; 0: none yet */
    const struct bvi_native *native;
} bvi_site;

typedef struct bvi_case {
    bool is_range;
    bool inclusive;
    bvi_value value;
    int64_t start;
    int64_t end;
    uint32_t target;
} bvi_case;

typedef struct bvi_switch {
    bvi_case *cases;
    uint32_t len;
    uint32_t cap;
    uint32_t otherwise; /* target */
} bvi_switch;

typedef struct bvi_capture {
    bool from_local; /* a variable of the surrounding function; otherwise one it captured itself */
    bool copied;     /* a constant: the closure has its own */
    bool by_name;    /* neither: looked up by its name */
    uint32_t slot;
    uint32_t name;
    bvi_pos pos; /* by_name: of the first use */
} bvi_capture;

typedef struct bvi_place {
    uint32_t at; /* word */
    bvi_pos pos;
} bvi_place;

/* Words [start, end) are protected; the failure goes to handler with the stack at depth. Inner ones
 * come first. */
typedef struct bvi_handler {
    uint32_t start;
    uint32_t end;
    uint32_t handler;
    uint32_t depth;
} bvi_handler;

/* A variable of the function that eval() can see; what it captured is in its proto. */
typedef struct bvi_visible {
    uint32_t name;
    bool is_const;
    uint32_t slot;
    uint32_t since; /* as in bvi_path */
} bvi_visible;

/* What can be seen at one place. */
typedef struct bvi_scope {
    uint32_t first; /* in unit->visible */
    uint32_t count;
    uint32_t evals; /* in the function before it */
    bool is_global; /* constants made there are published */
} bvi_scope;

/* A function's code. */
typedef struct bvi_proto {
    bvi_script *unit;
    uint32_t name; /* constant */
    uint32_t arity;
    uint32_t this_type; /* constant: the only type of receiver; 0: a function for all */
    bool is_private;
    bool is_closure;
    bool is_top;
    uint32_t *code;
    uint32_t code_len, code_cap;
    bvi_place *places;
    uint32_t places_len, places_cap;
    bvi_handler *handlers;
    uint32_t handlers_len, handlers_cap;
    bvi_capture *captures;
    uint32_t captures_len, captures_cap;
    uint32_t *params; /* names */
    uint32_t params_len, params_cap;
    uint32_t max_stack;
} bvi_proto;

/* The keys of a map literal stand in unit->names as they were written. Up to so many are followed
 * by the place of each in their order, so that making the map compares nothing. */
#define BVI_RANKED_KEYS_MAX 64u

/* A compiled source. Counted: the host, modules and running calls hold it. */
struct bvi_script {
    uint32_t refs;
    bvi_script_engine *engine;
    char *source_name; /* NULL: none */
    uint32_t source_name_size;
    struct bvi_module *top;  /* counted: what the top level left, for further calls; or NULL */
    uint64_t top_operations; /* that it took */
    uint64_t top_generation; /* of the engine, when it ran */
    struct bvi_coverage *coverage; /* the engine's; NULL: nobody wants to know */
    bvi_value *consts;
    uint32_t consts_len, consts_cap;
    bvi_proto **protos; /* the first is the top level */
    bool has_methods;   /* some have a this_type */
    uint32_t protos_len, protos_cap;
    bvi_path *paths;
    uint32_t paths_len, paths_cap;
    bvi_step *steps;
    uint32_t steps_len, steps_cap;
    bvi_site *sites;
    uint32_t sites_len, sites_cap;
    bvi_member *members;
    uint32_t members_len, members_cap;
    uint32_t *names;
    uint32_t names_len, names_cap;
    bvi_switch *switches;
    uint32_t switches_len, switches_cap;
    bvi_visible *visible;
    uint32_t visible_len, visible_cap;
    bvi_scope *scopes;
    uint32_t scopes_len, scopes_cap;
};

int bvi_unit_new(bvi_script_engine *engine, const char *name, bvi_script **ret);
bvi_script *bvi_unit_ref(bvi_script *unit);
/* Lets go of what its top level left (top.c). */
void bvi_top_forget(bvi_script *unit);
int bvi_proto_new(bvi_script *unit, bvi_proto **ret); /* belongs to the unit */
/* The function of that name and arity, or NULL; arity < 0: any. Closures and the top level do not
 * count. */
const bvi_proto *bvi_unit_find(const bvi_script *unit, const bvi_string *name, int arity);
/* The method defined for receivers of that type only, or NULL. */
const bvi_proto *bvi_unit_find_method(const bvi_script *unit, const char *type,
                                      const bvi_string *name, uint32_t arity);
bvi_pos bvi_proto_pos(const bvi_proto *proto, uint32_t at);
/* Lines for the trace output. */
void bvi_unit_dump(const bvi_script *unit);
void bvi_dump_instruction(const bvi_proto *proto, uint32_t at);

static inline bvi_string *bvi_unit_str(const bvi_script *unit, uint32_t constant)
{
    return bvi_str(&unit->consts[constant]);
}

/* ---- compiling ---- */

typedef struct bvi_compile_error {
    char text[512];
    bvi_pos pos;
} bvi_compile_error;

/* BV_E_FORMAT with *error filled, BV_E_NOMEM. */
int bvi_compile(bvi_script_engine *engine, const char *source, size_t len, const char *name,
                bvi_script **ret, bvi_compile_error *error);
/* Source of eval(): one closure that captures variables of the function around it. Captures refer
 * to entries of the scope, and behind those to what the function itself has captured. */
int bvi_compile_eval(bvi_script_engine *engine, const char *source, size_t len,
                     const bvi_proto *outer, uint32_t scope, bvi_script **ret,
                     bvi_compile_error *error);

#endif
