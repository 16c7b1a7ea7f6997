/*
 * run.c - a call from the embedder's side: its life, its slices, its end. The loop here picks the
 * frame on top, lets the machine or a built-in's step run, and unwinds when something fails.
 */
#include <stdio.h>
#include <string.h>

#include "script/vm.h"

#define FAILURE_TEXT_MAX (128u * 1024u)

/* ---- unwinding ---- */

/* The code that was running, for a failure that does not know its place yet. */
static void place_failure(bvi_script_call *call)
{
    bvi_failure *f = call->failure;
    bvi_frame *frame = call->frames_len > 0 ? &call->frames[call->frames_len - 1] : NULL;

    if (!f || !frame || frame->is_native)
        return;
    /* Others know it better: which part of a chain it was. */
    if (f->steps.len == 0 && (f->no_pos || f->kind == BVI_FAILURE_PARSING))
        f->origin = bvi_proto_pos(frame->proto, frame->pc);
    if (f->pos.line == 0 && !f->no_pos)
        f->pos = bvi_proto_pos(frame->proto, frame->pc);
}

/* The frame that failed stands at its instruction; those below it stand behind their call. */
static const bvi_handler *find_handler(const bvi_frame *frame, bool in_call)
{
    const bvi_proto *p = frame->proto;
    uint32_t pc = frame->pc - (in_call ? 1 : 0);

    for (uint32_t i = 0; i < p->handlers_len; i++) {
        if (pc >= p->handlers[i].start && pc < p->handlers[i].end)
            return &p->handlers[i];
    }
    return NULL;
}

static bool catch_failure(bvi_script_call *call, bvi_frame *frame, bool in_call)
{
    const bvi_handler *h = find_handler(frame, in_call);

    if (!h)
        return false;
    bvi_vm_cut(call, frame->base + h->depth);
    bvi_vm_push(call, bvi_of_obj(call->failure));
    call->failure = NULL;
    call->code = 0;
    frame->pc = h->handler;
    return true;
}

/* A failure that scripts cannot catch names the outermost place; others gather a line per function.
 */
static void leave_function(bvi_failure *f, const bvi_frame *frame)
{
    const bvi_proto *p = frame->proto;
    const char *source = frame->is_native ? NULL : p->unit->source_name;

    if (!bvi_failure_can_catch(f)) {
        f->pos = frame->pos.line > 0 ? frame->pos : f->pos;
        return;
    }
    if (frame->is_native) {
        if (frame->step == bvi_vm_step_import) {
            bvi_failure_leave(f, BVI_LEAVING_MODULE, bvi_str(&frame->acc[1])->data, NULL,
                              frame->pos);
            f->kind = BVI_FAILURE_IN_MODULE;
        } else if (frame->waiting) { /* it came from the function that the built-in called */
            bvi_failure_leave(f, BVI_LEAVING_FUNCTION, frame->name, NULL, frame->pos);
        } else {
            f->pos = f->pos.line > 0 ? f->pos : frame->pos;
        }
        return;
    }
    if (p->is_top)
        return; /* the import frame below says which module */
    if (frame->is_eval)
        bvi_failure_leave(f, BVI_LEAVING_FUNCTION, "eval", NULL, frame->pos);
    else if (p->is_closure)
        bvi_failure_leave(f, BVI_LEAVING_CLOSURE, NULL, source, frame->pos);
    else
        bvi_failure_leave(f, BVI_LEAVING_FUNCTION, bvi_unit_str(p->unit, p->name)->data, source,
                          frame->pos);
}

/* What a method did to its receiver before it failed stays done. */
static void put_back_this(bvi_script_call *call)
{
    bvi_failure *failure = call->failure;
    int code = call->code;

    call->failure = NULL;
    (void)bvi_vm_put_back(call); /* without memory the change is lost with everything else */
    bvi_vm_forget_failure(call);
    call->failure = failure;
    call->code = code;
}

/* 0: caught, go on. Negative: nothing is left on the stacks. */
static int unwind(bvi_script_call *call)
{
    place_failure(call);
    for (bool in_call = false; call->frames_len > 0; in_call = true) {
        bvi_frame *frame = &call->frames[call->frames_len - 1];
        bvi_failure *f = call->failure;

        if (f && !frame->is_native && bvi_failure_can_catch(f) &&
            catch_failure(call, frame, in_call))
            return 0;
        if (f && call->frames_len > 1)
            leave_function(f, frame);
        put_back_this(call);
        bvi_vm_pop_frame(call);
    }
    bvi_vm_cut(call, 0);
    return call->code < 0 ? call->code : BV_E_INTERNAL;
}

/* ---- ending ---- */

static int code_of(const bvi_script_call *call)
{
    if (!call->failure)
        return call->code < 0 ? call->code : BV_E_NOMEM;
    switch (call->failure->kind) {
    case BVI_FAILURE_STACK_OVERFLOW:
    case BVI_FAILURE_OPERATIONS:
    case BVI_FAILURE_MODULES:
    case BVI_FAILURE_TOO_LARGE:
        return BV_E_LIMIT;
    case BVI_FAILURE_MEMORY:
        return BV_E_NOMEM;
    case BVI_FAILURE_TERMINATED:
        return BV_E_CANCELLED;
    default:
        return call->code == BV_E_NOT_FOUND ? BV_E_NOT_FOUND : BV_E_REMOTE;
    }
}

static int end_failed(bvi_script_call *call)
{
    if (call->failure && call->failure->kind == BVI_FAILURE_EXIT) {
        bvi_replace(&call->result, bvi_move(&call->failure->value));
        bvi_vm_forget_failure(call);
        call->state = BVI_CALL_DONE;
        return BVI_SCRIPT_DONE;
    }
    call->code = code_of(call);
    call->state = BVI_CALL_FAILED;
    if (call->failure && bvi_failure_format(call->failure, &call->failure_text) < 0)
        bvi_buf_clear(&call->failure_text); /* the code still tells */
    return call->code;
}

static int fail_call(bvi_script_call *call)
{
    return unwind(call) == 0 ? 0 : end_failed(call);
}

/* ---- running ---- */

static int start_function(bvi_script_call *call)
{
    const bvi_array *args = bvi_arr(&call->args);
    const bvi_string *name = bvi_str(&call->fn_name);
    const bvi_proto *proto = bvi_unit_find(call->unit, name, (int)args->len);
    int r;

    call->function_called = true;
    bvi_vm_cut(call, 0);
    if (call->engine->work > BVI_WORK_PER_OPERATION)
        bvi_vm_charge(call);
    call->engine->work = 0; /* what the function does counts the same whether the top level ran */
    bvi_top_keep(call);
    if (!proto) {
        (void)bvi_vm_fail(call, BVI_FAILURE_FUNCTION_NOT_FOUND, "Function not found: %s",
                          name->data);
        call->code = BV_E_NOT_FOUND;
        return call->code;
    }
    r = bvi_vm_reserve(call, args->len);
    if (r < 0)
        return r;
    for (uint32_t i = 0; i < args->len; i++)
        bvi_vm_push(call, bvi_dup(&args->items[i]));
    return bvi_vm_push_script(call, proto, call->home, 0, 0, (bvi_pos){ 0, 0 });
}

void bvi_vm_charge(bvi_script_call *call)
{
    uint64_t n = call->engine->work / BVI_WORK_PER_OPERATION;
    uint64_t left = call->budget - 1;

    call->engine->work = 0;
    if (n > left) { /* more than this slice has: the rest counts all the same */
        call->operations += n - left;
        n = left;
    }
    call->budget -= (uint32_t)n;
}

void bvi_vm_work(bvi_script_call *call, const bvi_value *v)
{
    uint64_t bytes = 0;

    switch (v->type) {
    case BVI_T_STRING:
        bytes = bvi_str(v)->len;
        break;
    case BVI_T_BLOB:
        bytes = bvi_blb(v)->len;
        break;
    case BVI_T_ARRAY:
        bytes = bvi_arr(v)->len * sizeof(bvi_value);
        break;
    case BVI_T_MAP:
        bytes = bvi_mp(v)->len * sizeof(bvi_map_entry);
        break;
    default:
        break;
    }
    call->engine->work += bytes;
}

static int run_step(bvi_script_call *call)
{
    uint32_t index = call->frames_len - 1;
    bvi_frame *f = &call->frames[index];
    bvi_value ret = BVI_VALUE_UNIT;
    int r;

    if (call->engine->work > BVI_WORK_PER_OPERATION)
        bvi_vm_charge(call);
    if (call->budget <= 1)
        return BVI_SCRIPT_YIELD;
    call->budget--;
    if (f->waiting) {
        f->waiting = false;
        bvi_replace(&f->result, bvi_move(--call->sp));
    }
    call->pos = f->pos;
    r = f->step(call, f, &ret);
    if (r == BVI_SCRIPT_DONE)
        return bvi_vm_return(call, ret);
    bvi_drop(&ret);
    if (r == BVI_SCRIPT_INVOKE)
        bvi_drop(&call->frames[index].result);
    return r == BVI_SCRIPT_INVOKE ? 0 : r;
}

/* The frame on top until it changes; at the end of all, what comes next. */
static int run_once(bvi_script_call *call)
{
    if (call->frames_len > 0)
        return call->frames[call->frames_len - 1].is_native ? run_step(call) : bvi_vm_execute(call);
    if (!call->function_called && call->fn_name.type == BVI_T_STRING)
        return start_function(call);
    bvi_replace(&call->result, bvi_move(--call->sp));
    call->state = BVI_CALL_DONE;
    return BVI_SCRIPT_DONE;
}

static uint32_t slice(const bvi_script_call *call)
{
    const bvi_script_limits *l = &call->engine->options.limits;
    uint64_t left = l->operations - call->operations;
    uint64_t n = l->slice_operations < left ? l->slice_operations : left;

    return n < BVI_SLICE_MIN ? BVI_SLICE_MIN : (uint32_t)n;
}

static int drive(bvi_script_call *call)
{
    for (;;) {
        int r = run_once(call);

        if (r < 0) {
            r = fail_call(call);
            if (r < 0 || call->state == BVI_CALL_DONE)
                return r;
        } else if (r != 0 || call->state == BVI_CALL_DONE) {
            return r;
        }
    }
}

/* Somebody asked for it, or its time is up. */
static bool must_end(bvi_script_call *call)
{
    int64_t wall_ms = call->engine->options.limits.wall_ms;
    int64_t now;

    if (atomic_load(&call->cancelled))
        return true;
    if (wall_ms <= 0)
        return false;
    now = bvi_script_now_ns(call->engine);
    if (!call->until_ns)
        call->until_ns =
            wall_ms < (INT64_MAX - now) / 1000000 ? now + wall_ms * 1000000 : INT64_MAX;
    return now >= call->until_ns;
}

int bvi_script_run(bvi_script_call *call)
{
    int r;

    if (call->state == BVI_CALL_DONE)
        return BVI_SCRIPT_DONE;
    if (call->state == BVI_CALL_FAILED)
        return call->code;
    if (must_end(call)) {
        (void)bvi_vm_fail(call, BVI_FAILURE_TERMINATED, "Script terminated");
        return fail_call(call);
    }
    if (call->state == BVI_CALL_WAITING)
        return BVI_SCRIPT_PENDING;
    if (call->operations >= call->engine->options.limits.operations) {
        (void)bvi_vm_fail(call, BVI_FAILURE_OPERATIONS, "Too many operations");
        return fail_call(call);
    }
    if (call->code < 0) { /* an error that resume brought */
        r = fail_call(call);
        if (r < 0 || call->state == BVI_CALL_DONE)
            return r;
    }
    call->slice = call->budget = slice(call);
    r = drive(call);
    call->operations += call->slice - call->budget;
    return r;
}

/* ---- answers ---- */

int bvi_script_resume(bvi_script_call *call, bvi_value value)
{
    if (call->state != BVI_CALL_WAITING) {
        bvi_drop(&value);
        return BV_E_STATE;
    }
    bvi_replace(&call->frames[call->frames_len - 1].result, value);
    call->answered = true;
    call->state = BVI_CALL_READY;
    return 0;
}

int bvi_script_resume_error(bvi_script_call *call, const char *message)
{
    if (call->state != BVI_CALL_WAITING)
        return BV_E_STATE;
    call->state = BVI_CALL_READY;
    (void)bvi_script_throw(call, "%s", message); /* stays with the call until the next run */
    return 0;
}

void bvi_script_cancel(bvi_script_call *call)
{
    atomic_store(&call->cancelled, true);
}

const bvi_value *bvi_script_result(const bvi_script_call *call)
{
    return &call->result;
}

const char *bvi_script_failure_text(const bvi_script_call *call)
{
    return bvi_buf_str(&call->failure_text);
}

const bvi_value *bvi_script_thrown(const bvi_script_call *call)
{
    if (call->state != BVI_CALL_FAILED || !call->failure || !call->failure->has_value)
        return NULL;
    return &call->failure->value;
}

int bvi_script_failure(const bvi_script_call *call, bv_error **err)
{
    if (call->state != BVI_CALL_FAILED)
        return bvi_fail(err, BV_E_STATE, "the script call has not failed");
    if (call->failure_text.len == 0)
        return call->code == BV_E_NOMEM ? bvi_fail_nomem(err)
                                        : bvi_fail(err, call->code, "script failed");
    return bvi_fail(err, call->code, "%s", bvi_buf_str(&call->failure_text));
}

/* ---- life ---- */

static int begin_top_level(bvi_script_call *call)
{
    int r = bvi_module_new(call->unit, NULL, &call->home);

    if (r == 0)
        r = bvi_vm_push_script(call, call->unit->protos[0], call->home, 0, 0, (bvi_pos){ 0, 0 });
    return r;
}

/* What the host gives by name is for this call alone: its top level runs. */
static int take_names(bvi_script_call *call)
{
    int r;

    if (call->slice > 0 || call->state != BVI_CALL_READY) /* it has run */
        return BV_E_STATE;
    call->top_varies = true;
    if (call->home != call->unit->top)
        return 0;
    bvi_obj_unref(call->home);
    call->home = NULL;
    call->operations = 0;
    r = begin_top_level(call);
    if (r < 0) { /* such a call cannot run */
        call->state = BVI_CALL_FAILED;
        call->code = r;
    }
    return r;
}

static int prepare(bvi_script_call *call, const char *fn, const bvi_value *args, size_t argc)
{
    bvi_module *kept = fn ? bvi_top_kept(call->unit) : NULL;
    int r = 0;

    if (kept) {
        bvi_obj_ref(kept);
        call->home = kept;
        call->operations = call->unit->top_operations;
    } else {
        r = begin_top_level(call);
    }
    if (r == 0 && fn)
        r = bvi_value_cstring(call->engine, fn, &call->fn_name);
    if (r == 0)
        r = bvi_value_array(call->engine, &call->args);
    for (size_t i = 0; r == 0 && i < argc; i++)
        r = bvi_array_push(&call->args, bvi_dup(&args[i]));
    return r;
}

int bvi_script_call_new(bvi_script_engine *engine, bvi_script *script, const char *fn,
                        const bvi_value *args, size_t argc, bvi_script_call **ret_call,
                        bv_error **err)
{
    BVI_AUTO(bvi_script_call_freep)
    bvi_script_call *call = bvi_script_zalloc(engine, sizeof(*call));
    int r;

    if (!call)
        return bvi_fail_nomem(err);
    call->engine = engine;
    call->unit = bvi_unit_ref(script);
    call->top_generation = engine->top_generation;
    engine->work = 0; /* compiling and the like is no operation of this call */
    bvi_buf_init(&call->failure_text, FAILURE_TEXT_MAX);
    r = prepare(call, fn, args, argc);
    if (r < 0)
        return bvi_fail(err, r, "cannot start a call of the script: %s", bv_code_name(r));
    *ret_call = bvi_take(call);
    return 0;
}

int bvi_script_call_set_constant(bvi_script_call *call, const char *name, bvi_value value)
{
    int r = take_names(call);

    if (r < 0) {
        bvi_drop(&value);
        return r;
    }
    return bvi_map_set_text(&call->home->consts, name, value);
}

int bvi_script_call_set_variable(bvi_script_call *call, const char *name, bvi_value value)
{
    int r = take_names(call);

    if (r == 0 && call->given.type != BVI_T_MAP)
        r = bvi_value_map(call->engine, &call->given);
    if (r < 0) {
        bvi_drop(&value);
        return r;
    }
    return bvi_map_set_text(&call->given, name, value);
}

const bvi_value *bvi_script_constant(const bvi_script_call *call, const char *name)
{
    return bvi_value_get(&call->home->consts, name);
}

static void free_stacks(bvi_script_call *call)
{
    while (call->frames_len > 0)
        bvi_vm_pop_frame(call);
    if (call->stack)
        bvi_vm_cut(call, 0);
    bvi_script_release(call->engine, call->stack, call->stack_cap * sizeof(*call->stack));
    bvi_script_release(call->engine, call->frames, call->frames_cap * sizeof(*call->frames));
}

void bvi_script_call_free(bvi_script_call *call)
{
    bvi_script_engine *engine;

    if (!call)
        return;
    engine = call->engine;
    free_stacks(call);
    bvi_vm_forget_failure(call);
    bvi_drop(&call->result);
    bvi_drop(&call->fn_name);
    bvi_drop(&call->args);
    bvi_drop(&call->given);
    bvi_drop(&call->asked_fn);
    bvi_drop(&call->asked_args);
    bvi_buf_done(&call->failure_text);
    if (call->home)
        bvi_obj_unref(call->home);
    bvi_script_free(call->unit);
    bvi_script_release(engine, call, sizeof(*call));
    if (engine->may_have_cycles)
        bvi_script_collect(engine); /* closures may have tied themselves to their variables */
}

bvi_script_engine *bvi_script_engine_of(const bvi_script_call *call)
{
    return call->engine;
}

void *bvi_script_call_data(const bvi_script_call *call)
{
    return call->data;
}

void bvi_script_call_set_data(bvi_script_call *call, void *data)
{
    call->data = data;
}

unsigned bvi_script_line(const bvi_script_call *call)
{
    return call->pos.line;
}
