/*
 * run.h - one rendering: its limits, its variables, its output. Shared by the files that render.
 *
 * Values are made in the run's arena. A statement gives back what its expressions made, so a long
 * loop does not add up; what `set_global` keeps is pinned.
 */
#ifndef BVI_TEMPLATE_RUN_H
#define BVI_TEMPLATE_RUN_H

#include "base/vec.h"
#include "template/tree.h"

/* Levels of tags, expressions, macros and includes together: the renderer recurses once or twice
 * for each. */
#define BVI_TPL_DEPTH_MAX 200u
/* Calls within calls that the story of a failure names. */
#define BVI_TPL_STORY_CALLS_MAX 8u
/* Variables in all scopes. */
#define BVI_TPL_BINDINGS_MAX 4096u
/* Bytes for which moving them costs an operation. */
#define BVI_TPL_BYTES_PER_OPERATION 16u

typedef enum bvi_tpl_frame_kind {
    BVI_TPL_FRAME_FILE,    /* the template itself */
    BVI_TPL_FRAME_LOOP,    /* one turn of a loop */
    BVI_TPL_FRAME_INCLUDE, /* sees what is around it */
    BVI_TPL_FRAME_MACRO,   /* sees only its arguments and the parameters of the rendering */
} bvi_tpl_frame_kind;

typedef struct bvi_tpl_binding {
    bvi_span name;
    bvi_tpl_value value;
} bvi_tpl_binding;

typedef struct bvi_tpl_frame {
    bvi_tpl_frame_kind kind;
    size_t first;             /* its first binding */
    const bvi_template *file; /* of FILE and INCLUDE: what is being rendered */
    struct bvi_tpl_frame *outer;
} bvi_tpl_frame;

typedef enum bvi_tpl_jump {
    BVI_TPL_GO_ON,
    BVI_TPL_LEAVE_TURN,
    BVI_TPL_LEAVE_LOOP,
} bvi_tpl_jump;

typedef struct bvi_tpl_run {
    const bvi_template_options *options;
    const bvi_template *main;
    const bvi_template *file; /* whose nodes are being rendered; for positions and `self` */
    bvi_template *loaded;
    unsigned loaded_count;
    unsigned include_depth;
    unsigned macro_depth;
    bvi_arena arena;
    bvi_tpl_value params;
    BVI_VEC(bvi_tpl_binding) bindings;
    bvi_tpl_frame *frame;
    bvi_buf *out;
    size_t output_max; /* of all output buffers together */
    size_t captured;   /* bytes in those around `out` */
    bool escapes;
    bvi_tpl_jump jump;
    unsigned depth;
    uint64_t work;
    uint64_t work_max;
    bv_error *err;
    bvi_template_place place; /* of err */
} bvi_tpl_run;

/* ---- run.c: failing and counting; all return a negative code ---- */

int bvi_tpl_fail(bvi_tpl_run *run, size_t pos, const char *fmt, ...) BV_PRINTF(3, 4);
int bvi_tpl_fail_code(bvi_tpl_run *run, size_t pos, int code, const char *fmt, ...) BV_PRINTF(4, 5);
/* For what makers and buffers answer: BV_E_NOMEM or BV_E_LIMIT. */
int bvi_tpl_fail_room(bvi_tpl_run *run, size_t pos, int code);
/* Wraps the failure that code stands for. */
int bvi_tpl_wrap(bvi_tpl_run *run, int code, const char *fmt, ...) BV_PRINTF(3, 4);
/* Counts operations. */
int bvi_tpl_spend(bvi_tpl_run *run, size_t pos, uint64_t operations);
/* Bytes the arena still has: a buffer whose content goes there needs no more. */
size_t bvi_tpl_room(const bvi_tpl_run *run);
int bvi_tpl_enter(bvi_tpl_run *run, size_t pos); /* a level; leave with run->depth-- */
int bvi_tpl_checked(bvi_tpl_run *run, size_t pos, const bvi_tpl_value *v); /* nested too deep? */
/* A buffer's content as a value. */
int bvi_tpl_keep(bvi_tpl_run *run, size_t pos, const bvi_buf *buf, bvi_tpl_value *ret);

/* ---- scope.c ---- */

void bvi_tpl_push(bvi_tpl_run *run, bvi_tpl_frame *frame, bvi_tpl_frame_kind kind);
void bvi_tpl_pop(bvi_tpl_run *run);
/* Adds a variable to the innermost frame, without looking for one of that name. */
int bvi_tpl_bind(bvi_tpl_run *run, size_t pos, bvi_span name, bvi_tpl_value value);
/* `set` and `set_global`. */
int bvi_tpl_assign(bvi_tpl_run *run, size_t pos, bvi_span name, bvi_tpl_value value, bool global);
/* *ret_found NULL: there is none. Fails only when a variable in brackets does. */
int bvi_tpl_lookup(bvi_tpl_run *run, const bvi_tpl_path *path, const bvi_tpl_value **ret_found);
int bvi_tpl_fail_undefined(bvi_tpl_run *run, const bvi_tpl_path *path);
/* `__tera_context`: everything that is visible, as pretty JSON. */
int bvi_tpl_context_text(bvi_tpl_run *run, size_t pos, bvi_tpl_value *ret);

/* ---- eval.c ---- */

int bvi_tpl_eval(bvi_tpl_run *run, const bvi_tpl_expr *e, bvi_tpl_value *ret);
int bvi_tpl_eval_truth(bvi_tpl_run *run, const bvi_tpl_expr *e, bool *ret);
/* How a container is called in messages. */
bvi_span bvi_tpl_expr_name(const bvi_tpl_expr *e);
/* Whether `{{ e }}` is escaped where printing escapes. */
bool bvi_tpl_wants_escape(const bvi_tpl_expr *e);

/* ---- render.c ---- */

int bvi_tpl_render_nodes(bvi_tpl_run *run, const bvi_tpl_node *nodes);
int bvi_tpl_call_macro(bvi_tpl_run *run, const bvi_tpl_expr *e, bvi_tpl_value *ret);

/* ---- load.c ---- */

/* *ret NULL: there is no such file. */
int bvi_tpl_load(bvi_tpl_run *run, size_t pos, bvi_span name, const bvi_template **ret);
/* What every template is checked for before it is rendered: its imports exist, it extends nothing.
 */
int bvi_tpl_check_links(bvi_tpl_run *run, const bvi_template *tpl);
int bvi_tpl_find_macro(bvi_tpl_run *run, const bvi_tpl_call *call, size_t pos,
                       const bvi_template **ret_file, const bvi_tpl_macro **ret_macro);

/* ---- filters, tests and functions ---- */

/* A call under way: arguments are evaluated. */
typedef struct bvi_tpl_given {
    bvi_span name;
    bvi_tpl_value value;
} bvi_tpl_given;

typedef struct bvi_tpl_using {
    bvi_tpl_run *run;
    size_t pos;
    const char *what; /* "Filter", "Function" or "Tester", for messages */
    const char *name;
    bvi_tpl_given args[BVI_TPL_ARGS_MAX];
    size_t count;
} bvi_tpl_using;

int bvi_tpl_apply_filter(bvi_tpl_run *run, const bvi_tpl_expr *e, bvi_tpl_value input,
                         bvi_tpl_value *ret);
int bvi_tpl_apply_test(bvi_tpl_run *run, const bvi_tpl_expr *e, bool *ret);
int bvi_tpl_apply_function(bvi_tpl_run *run, const bvi_tpl_expr *e, bvi_tpl_value *ret);
/* args.c: evaluates the arguments; the name is the callee's. */
int bvi_tpl_use(bvi_tpl_run *run, const bvi_tpl_expr *e, const char *what, const char *name,
                bvi_tpl_using *use);

/* args.c: what a filter asks for. Optional ones keep their default when absent. */
const bvi_tpl_value *bvi_tpl_arg_find(const bvi_tpl_using *use, const char *name);
int bvi_tpl_arg_need(bvi_tpl_using *use, const char *name, const bvi_tpl_value **ret);
int bvi_tpl_arg_string(bvi_tpl_using *use, const char *name, bool needed, bvi_span *value);
int bvi_tpl_arg_int(bvi_tpl_using *use, const char *name, bool needed, int64_t *value);
int bvi_tpl_arg_bool(bvi_tpl_using *use, const char *name, bool *value);
/* A string in which `\n` and `\t`, two characters each, stand for newline and tab. */
int bvi_tpl_arg_pattern(bvi_tpl_using *use, const char *name, bool needed, bvi_buf *value);
int bvi_tpl_use_fail(bvi_tpl_using *use, const char *fmt, ...) BV_PRINTF(2, 3);
int bvi_tpl_use_spend(bvi_tpl_using *use, uint64_t operations);
/* Room in the arena; NULL after *ret_code was set to what to return. */
void *bvi_tpl_use_alloc(bvi_tpl_using *use, size_t size, int *ret_code);
int bvi_tpl_use_keep(bvi_tpl_using *use, const bvi_buf *buf, bvi_tpl_value *ret);
/* r from a buffer or a maker as a failure of the call; 0 stays. */
int bvi_tpl_use_room(bvi_tpl_using *use, int r);

typedef int (*bvi_tpl_filter_fn)(bvi_tpl_using *use, const bvi_tpl_value *input,
                                 bvi_tpl_value *ret);
/* A filter of a string without arguments: what it writes is the result. */
typedef int (*bvi_tpl_write_fn)(bvi_buf *out, bvi_span text);

/* What a filter takes; anything else is refused before it is called. */
typedef enum bvi_tpl_takes {
    BVI_TPL_TAKES_ANY,
    BVI_TPL_TAKES_STRING,
    BVI_TPL_TAKES_NUMBER,
    BVI_TPL_TAKES_ARRAY,
    BVI_TPL_TAKES_OBJECT,
} bvi_tpl_takes;

typedef struct bvi_tpl_filter {
    const char *name;
    bvi_tpl_takes takes;
    bvi_tpl_filter_fn fn;
    bvi_tpl_write_fn write; /* instead of fn */
} bvi_tpl_filter;

/* Tables, each ending with a NULL name. */
extern const bvi_tpl_filter bvi_tpl_string_filters[];
extern const bvi_tpl_filter bvi_tpl_number_filters[];
extern const bvi_tpl_filter bvi_tpl_array_filters[];
extern const bvi_tpl_filter bvi_tpl_value_filters[];

/* regex.c: how many operations a match is paid for with. */
uint64_t bvi_tpl_match_cost(const char *pattern, size_t pattern_len, size_t len);
/* Whether the pattern matches anywhere. BV_E_INVALID names what is wrong with it. */
int bvi_tpl_matches(const char *pattern, size_t pattern_len, const char *text, size_t len,
                    bool *ret, bv_error **err);

#endif
