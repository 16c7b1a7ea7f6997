/*
 * vm.h - a running call: stacks, frames, and what built-ins may ask of the machine.
 *
 * There is one value stack and one frame stack. A script frame runs instructions; a native frame
 * belongs to a built-in that calls back into the script: its step function is called again after
 * each callback, with what it returned. So C never recurses into the machine, and a call can stop
 * between any two instructions.
 */
#ifndef BVI_SCRIPT_VM_H
#define BVI_SCRIPT_VM_H

#include <stdatomic.h>

#include "script/engine.h"
#include "script/unit.h"

struct bvi_frame;

/* DONE with *ret; BVI_SCRIPT_INVOKE after bvi_vm_callback(); PENDING; or a negative code with the
 * failure noted. */
typedef int (*bvi_step_fn)(bvi_script_call *call, struct bvi_frame *frame, bvi_value *ret);

/* What a built-in returns after bvi_vm_begin(). */
#define BVI_VM_STEPS 100

#define BVI_FRAME_REGS 8u

/* Where the receiver of a method came from, so that its changed value can be put back. */
typedef struct bvi_origin {
    uint32_t path;    /* of the calling frame's unit; BVI_NO_PATH: nowhere */
    uint32_t indices; /* stack index of the path's first index */
} bvi_origin;

typedef struct bvi_frame {
    bool is_native;
    bool has_this;
    bool this_const;
    bool is_eval;
    bool is_plain;   /* script: leaving it needs no more than dropping its values */
    bool holds_home; /* script: counted; otherwise the frame below keeps it alive */
    bool waiting;    /* native: a callback's result is on top of the stack */
    uint32_t ret;    /* the stack is cut here and the result pushed */
    uint32_t base;   /* first slot or argument */
    uint32_t pc;     /* script */
    bvi_pos pos;     /* of the call */
    bvi_origin origin;
    union {
        struct { /* script */
            const bvi_proto *proto;
            bvi_module *home;
            bvi_value fn;        /* the closure that runs, for its captured variables */
            bvi_value self;      /* this */
            bvi_value dynamic;   /* ARRAY of variables made by eval(), see eval.c; or unit */
            uint32_t eval_scope; /* of an eval: what its source sees of the frame below */
        };
        struct { /* native */
            bvi_step_fn step;
            bvi_script_then_fn then;
            const char *name;
            void *data;
            uint32_t argc;
            bvi_value result; /* of the last callback, during a step */
            bvi_value child;  /* its this, afterwards */
            bvi_value acc[2];
            int64_t reg[BVI_FRAME_REGS];
        };
    };
} bvi_frame;

/* A function's frame with nothing special yet; the members of built-ins are not touched. */
static inline void bvi_frame_begin(bvi_frame *f, const bvi_proto *proto, bvi_module *home,
                                   uint32_t base, uint32_t ret, bvi_pos pos)
{
    f->is_native = f->has_this = f->this_const = f->is_eval = f->holds_home = f->waiting = false;
    f->is_plain = true;
    f->ret = ret;
    f->base = base;
    f->pc = 0;
    f->pos = pos;
    f->origin.path = BVI_NO_PATH;
    f->proto = proto;
    f->home = home;
    f->fn = BVI_VALUE_UNIT;
    f->self = BVI_VALUE_UNIT;
    f->dynamic = BVI_VALUE_UNIT;
}

typedef enum bvi_call_state {
    BVI_CALL_READY,
    BVI_CALL_WAITING, /* for bvi_script_resume() */
    BVI_CALL_DONE,
    BVI_CALL_FAILED,
} bvi_call_state;

struct bvi_script_call {
    bvi_script_engine *engine;
    bvi_script *unit;
    bvi_module *home;
    bvi_call_state state;
    bool function_called; /* the top level is over */
    bool top_varies;      /* it may give something else the next time, or did something */
    uint64_t top_generation;
    uint32_t slice; /* the budget this slice began with */
    bvi_value *stack;
    bvi_value *sp;
    uint32_t stack_cap;
    bvi_frame *frames;
    uint32_t frames_len, frames_cap;
    uint32_t depth; /* of script functions */
    uint64_t operations;
    uint32_t budget;       /* of this slice; never 0 inside the machine */
    atomic_bool cancelled; /* may be set by another thread, or a signal handler */
    int64_t until_ns;      /* of the monotonic clock; 0: not started, or no limit */
    bool answered;         /* resume came; the value is on the stack */
    bvi_failure *failure;
    int code;
    bvi_value result;
    bvi_value fn_name; /* STRING, or unit */
    bvi_value args;    /* ARRAY */
    bvi_value given;   /* MAP of what the host gave by name, or unit */
    void *data;
    bvi_pos pos; /* of the native call that runs */
    /* what a native asked for */
    bvi_step_fn asked_step;
    int64_t asked_reg[BVI_FRAME_REGS]; /* what the frame starts with */
    bvi_script_then_fn asked_then;
    bvi_value asked_fn;
    bvi_value asked_args;
    bvi_buf failure_text;
};

/* Frames of script functions and built-ins together; the call depth limit comes first in practice.
 */
#define BVI_FRAMES_MAX 4096u
#define BVI_STACK_MAX  (1u << 20)
/* The machine stops before the budget of a slice is used up entirely. */
#define BVI_SLICE_MIN 2u
/* Slots a function gets beyond what its code needs. */
#define BVI_STACK_SPARE 2u

/* ---- failures (failure.c); all return a negative code ---- */
int bvi_vm_fail(bvi_script_call *call, bvi_failure_kind kind, const char *fmt, ...) BV_PRINTF(3, 4);
int bvi_vm_fail_at(bvi_script_call *call, bvi_pos pos, bvi_failure_kind kind, const char *fmt, ...)
    BV_PRINTF(4, 5);
/* After a failure was made: a field of the map that catch sees. Taken; dropped without memory. */
void bvi_vm_field(bvi_script_call *call, const char *name, bvi_value v);
void bvi_vm_field_text(bvi_script_call *call, const char *name, const char *text);
int bvi_vm_not_found(bvi_script_call *call, const char *name, const bvi_value *args, size_t argc);
int bvi_vm_arithmetic(bvi_script_call *call, bool no_pos, const char *fmt, ...) BV_PRINTF(3, 4);
int bvi_vm_bounds(bvi_script_call *call, bvi_pos pos, bvi_failure_kind kind, int64_t index,
                  size_t len);
int bvi_vm_throw(bvi_script_call *call, bvi_value value); /* taken */
int bvi_vm_exit(bvi_script_call *call, bvi_value value);  /* taken */
typedef enum bvi_failure_leaving {
    BVI_LEAVING_FUNCTION,
    BVI_LEAVING_CLOSURE, /* without a name */
    BVI_LEAVING_MODULE,
} bvi_failure_leaving;
/* The failure leaves code that was called at pos. name and source may be NULL. */
void bvi_failure_leave(bvi_failure *f, bvi_failure_leaving leaving, const char *name,
                       const char *source, bvi_pos pos);
void bvi_vm_forget_failure(bvi_script_call *call);
bool bvi_failure_can_catch(const bvi_failure *f);
const char *bvi_failure_kind_name(const bvi_failure *f); /* "ErrorArithmetic" */
int bvi_failure_caught(bvi_script_call *call, bvi_failure *f, bvi_value *ret);
/* The text with the last position. */
int bvi_failure_format(const bvi_failure *f, bvi_buf *out);

/* ---- operators (ops.c): the result replaces *left ---- */
int bvi_op_binary(bvi_script_call *call, bvi_opcode op, bvi_value *left, const bvi_value *right,
                  bool assign);
int bvi_op_unary(bvi_script_call *call, bvi_opcode op, bvi_value *v);
int bvi_op_equal(bvi_script_call *call, const bvi_value *a, const bvi_value *b, bool *ret);
/* For an operation that compares many items: what it may look at in all, asked once before. */
uint64_t bvi_op_compare_until(const bvi_script_call *call);
int bvi_op_equal_item(bvi_script_call *call, const bvi_value *a, const bvi_value *b, uint64_t until,
                      bool *ret);
int bvi_op_contains(bvi_script_call *call, const bvi_value *container, const bvi_value *item,
                    bool *ret);
bool bvi_op_same_literal(const bvi_value *a, const bvi_value *b); /* switch: type and value */
/* Appends the text form of v as + does: blobs as text. */
int bvi_op_append_text(bvi_script_call *call, bvi_value *string, const bvi_value *v, bvi_form form);

/* ---- chains (path.c); indices is the first index on the stack ---- */
int bvi_path_get(bvi_script_call *call, bvi_frame *frame, const bvi_path *path, bvi_value *indices,
                 bvi_value *ret);
/* As an instruction: the indices on top of the stack become the value. A getter that answers later
 * leaves a frame that waits for it. */
int bvi_path_load(bvi_script_call *call, bvi_frame *frame, const bvi_path *path);
int bvi_path_set(bvi_script_call *call, bvi_frame *frame, const bvi_path *path, bvi_value *indices,
                 bvi_value *value);
int bvi_path_op(bvi_script_call *call, bvi_frame *frame, const bvi_path *path, bvi_value *indices,
                bvi_opcode op, const bvi_value *operand);
/* The place a chain leads to, for changing it. *temp takes over what has no place of its own. NULL:
 * ended at ?. */
int bvi_path_place(bvi_script_call *call, bvi_frame *frame, const bvi_path *path,
                   bvi_value *indices, bvi_value *temp, bvi_value **ret);
static inline bool bvi_path_is_const(const bvi_frame *frame, const bvi_path *path)
{
    return path->root == BVI_ROOT_THIS ? frame->this_const : path->is_const;
}
/* Index of item i of len, negative from the end; false: out of bounds. */
bool bvi_index(int64_t index, size_t len, size_t *ret);
/* start, end of a range over len items, clamped; negative from the end. */
void bvi_clamp_range(const bvi_range *range, size_t len, int64_t *ret_start, int64_t *ret_count);
int bvi_get_bits(bvi_script_call *call, int64_t value, const bvi_range *range, int64_t *ret);
int bvi_set_bits(bvi_script_call *call, int64_t *value, const bvi_range *range, int64_t bits);

/* ---- calls (call.c) ---- */
bvi_frame *bvi_vm_script_frame(bvi_script_call *call); /* the innermost */
int bvi_vm_reserve(bvi_script_call *call, size_t slots);
void bvi_vm_push(bvi_script_call *call, bvi_value v); /* taken; room must be there */
void bvi_vm_cut(bvi_script_call *call, uint32_t to);  /* drops the stack down to an index */
int bvi_vm_push_script(bvi_script_call *call, const bvi_proto *proto, bvi_module *home,
                       uint32_t base, uint32_t ret, bvi_pos pos);
int bvi_vm_push_native(bvi_script_call *call, bvi_step_fn step, const char *name, uint32_t base,
                       uint32_t argc, uint32_t ret, bvi_pos pos);
int bvi_vm_put_back(
    bvi_script_call *call); /* the receiver of the top frame, to where it came from */
void bvi_vm_pop_frame(bvi_script_call *call);
int bvi_vm_return(bvi_script_call *call, bvi_value result); /* taken; ends the top frame */
int bvi_vm_call(bvi_script_call *call, bvi_site *site);
int bvi_vm_method(bvi_script_call *call, bvi_site *site);
int bvi_vm_call_member(bvi_script_call *call, const bvi_site *site);
/* Calls a function value with the argc topmost values; the result replaces the stack from ret on.
 */
int bvi_vm_call_value(bvi_script_call *call, const bvi_value *fn, uint32_t argc, uint32_t ret,
                      bvi_pos pos);
/* NULL: the first alias is there, a later one is not. */
int bvi_vm_member(bvi_script_call *call, bvi_frame *frame, const bvi_member *m, bvi_module **ret);
/* "alias::alias::name"; the name may be NULL. */
#define BVI_MEMBER_TEXT_MAX (64u * 1024u)
int bvi_vm_member_text(bvi_script_call *call, const bvi_script *unit, const bvi_member *m,
                       const char *name, bvi_buf *out);
int bvi_vm_get_name(bvi_script_call *call, bvi_frame *frame, uint32_t name, bvi_pos pos,
                    bvi_value *ret);
int bvi_vm_step_pending(bvi_script_call *call, bvi_frame *frame, bvi_value *ret);

/* ---- for built-ins that call back ---- */
/* Ends the first part of a built-in: return what this returns. Arguments stay at frame->base. */
int bvi_vm_begin(bvi_script_call *call, bvi_step_fn step);
bvi_value *bvi_vm_arg(bvi_script_call *call, const bvi_frame *frame, uint32_t i);
/*
 * Calls fn for an item; then the step runs again. args has up to count values; as many as the
 * function takes are passed. A function without parameters gets self as its this (NULL: none).
 * with_this: it gets it in any case.
 */
int bvi_vm_callback(bvi_script_call *call, bvi_frame *frame, const bvi_value *fn,
                    const bvi_value *args, uint32_t count, const bvi_value *self, bool with_this);

/* ---- modules (module.c) ---- */
int bvi_vm_no_module(bvi_script_call *call, bvi_pos pos, const char *name); /* fails */
int bvi_vm_import(bvi_script_call *call, bvi_pos pos);
int bvi_vm_step_import(bvi_script_call *call, bvi_frame *frame, bvi_value *ret);

/* ---- eval() and the variables it makes (eval.c) ---- */
int bvi_vm_eval(bvi_script_call *call, uint32_t scope, bvi_pos pos);
/* The latest variable of that name made by eval() number since or a later one, or NULL. */
bvi_value *bvi_vm_find_dynamic(bvi_script_call *call, bvi_frame *frame, const bvi_string *name,
                               int64_t since, bool *ret_const);
/* The value on top of the stack becomes a variable of the function that called eval(). */
int bvi_vm_define_dynamic(bvi_script_call *call, bvi_string *name, bool is_const);
void bvi_vm_forget(bvi_script_call *call, uint32_t evals);
void bvi_vm_end_eval(bvi_script_call *call); /* the top frame, an eval's, is about to go */
int bvi_vm_is_def_var(bvi_script_call *call, uint32_t scope); /* name on the stack, becomes bool */
/* For a closure in the making: a variable made by eval(), or what else has that name. */
int bvi_vm_capture_name(bvi_script_call *call, bvi_frame *frame, const bvi_capture *capture,
                        bvi_value *ret);
/* The function just called sees the variables of its caller. */
int bvi_vm_lend_scope(bvi_script_call *call, uint32_t scope);

/* Long work counts as many operations: what was touched since the last time comes off the budget.
 */
#define BVI_WORK_PER_OPERATION 4096u
void bvi_vm_charge(bvi_script_call *call);
/* Notes that all of a value is about to be looked at. */
void bvi_vm_work(bvi_script_call *call, const bvi_value *v);

/* ---- the global level (global.c); names are constants of the frame's unit ---- */
int bvi_vm_define_const(bvi_script_call *call, bvi_frame *f, uint32_t name);
int bvi_vm_define_import(bvi_script_call *call, bvi_frame *f, uint32_t alias);
int bvi_vm_export(bvi_script_call *call, bvi_frame *f, uint32_t slot, uint32_t name);
int bvi_vm_get_global(bvi_script_call *call, bvi_frame *f, uint32_t name);
int bvi_vm_get_member(bvi_script_call *call, bvi_frame *f, uint32_t member);

/* ---- longer instructions (make.c) ---- */
int bvi_vm_make_array(bvi_script_call *call, uint32_t count);
int bvi_vm_make_map(bvi_script_call *call, const bvi_script *unit, uint32_t first, uint32_t count);
int bvi_vm_interpolate(bvi_script_call *call, uint32_t count);
int bvi_vm_make_closure(bvi_script_call *call, bvi_frame *f, const bvi_proto *proto);
uint32_t bvi_vm_switch_target(bvi_script_call *call, const bvi_switch *s, uint32_t first,
                              const bvi_value *v);
int bvi_vm_make_iterator(bvi_script_call *call, bvi_value *v, bool empty_body);
/* The same for start..end, whose numbers are on top. */
int bvi_vm_make_range_iterator(bvi_script_call *call, bool inclusive);
int bvi_vm_own_iterator(bvi_script_call *call, bvi_value *v);
bool bvi_vm_advance(bvi_value *slot, bool counts);

/* ---- what a top level left (top.c) ---- */
bvi_module *bvi_top_kept(bvi_script *unit); /* borrowed; NULL: it must run */
void bvi_top_keep(bvi_script_call *call);   /* when the top level has ended well */

/* ---- the machine (vm.c) ---- */
/* Runs the top frame, a script one, and those it calls, until a built-in's step or nothing is on
 * top (DONE), the budget ends (YIELD) or something fails. */
int bvi_vm_execute(bvi_script_call *call);

#endif
