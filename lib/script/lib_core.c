/*
 * lib_core.c - built-ins of every kind of value: output, types, function pointers, time, minimum
 * and maximum.
 */
#include <string.h>
#include <time.h>

#include "script/lib.h"

/* Nothing prints longer lines. */
#define OUTPUT_MAX     (16u * 1024u * 1024u)
#define SLEEP_PIECE_NS 20000000
/* Longer than anybody waits, and its nanoseconds fit. */
#define SLEEP_MAX_S 1e9

void bvi_lib_part_args(const bvi_value *args, size_t argc, size_t i, size_t len, size_t *ret_start,
                       size_t *ret_count)
{
    bvi_range range;
    int64_t start, count;

    if (args[i].type != BVI_T_RANGE) {
        bvi_lib_part(args[i].as.i, argc > i + 1 ? args[i + 1].as.i : INT64_MAX, len, ret_start,
                     ret_count);
        return;
    }
    range = bvi_lib_range(&args[i]);
    bvi_clamp_range(&range, len, &start, &count);
    *ret_start = (size_t)start;
    *ret_count = (size_t)count;
}

/* ---- output ---- */

static int output_text(bvi_script_call *call, const bvi_value *v, bvi_form form, bvi_buf *text)
{
    int r = v ? bvi_format(text, v, form) : 0;

    if (r == BV_E_LIMIT)
        r = bvi_script_too_large(call->engine, "Length of string");
    return bvi_lib_end(call, r);
}

BVI_LIB(print)
{
    BVI_AUTO(bvi_buf_done) bvi_buf text = BVI_SCRIPT_BUF_INIT(call->engine, OUTPUT_MAX);
    const bvi_script_options *o = &call->engine->options;
    int r = output_text(call, argc > 0 ? &args[0] : NULL, BVI_FORM_TEXT, &text);

    if (r == 0 && o->print)
        o->print(bvi_buf_str(&text), text.len, o->data);
    return r;
}

BVI_LIB(debug)
{
    BVI_AUTO(bvi_buf_done) bvi_buf text = BVI_SCRIPT_BUF_INIT(call->engine, OUTPUT_MAX);
    const bvi_script_options *o = &call->engine->options;
    const bvi_frame *frame = bvi_vm_script_frame(call);
    int r = output_text(call, argc > 0 ? &args[0] : NULL, BVI_FORM_DEBUG, &text);

    if (r == 0 && o->debug)
        o->debug(bvi_buf_str(&text), text.len, frame ? frame->proto->unit->source_name : NULL,
                 call->pos.line, call->pos.col, o->data);
    return r;
}

static int to_text(bvi_script_call *call, const bvi_value *v, bvi_form form, bvi_value *ret)
{
    BVI_AUTO(bvi_buf_done)
    bvi_buf text = BVI_SCRIPT_BUF_INIT(call->engine, call->engine->options.limits.string_bytes);
    int r = bvi_format(&text, v, form);

    if (r == BV_E_LIMIT)
        r = bvi_script_too_large(call->engine, "Length of string");
    if (r == 0)
        r = bvi_string_from_buf(call->engine, &text, ret);
    return bvi_lib_end(call, r);
}

BVI_LIB(to_string)
{
    return to_text(call, &args[0], BVI_FORM_TEXT, ret);
}

BVI_LIB(to_debug)
{
    return to_text(call, &args[0], BVI_FORM_DEBUG, ret);
}

/* ---- types and functions ---- */

BVI_LIB(type_of)
{
    return bvi_lib_end(call, bvi_value_cstring(call->engine, bvi_type_name(&args[0]), ret));
}

static bool is_function_name(const bvi_string *s)
{
    if (s->len == 0 || (s->data[0] >= '0' && s->data[0] <= '9'))
        return false;
    for (uint32_t i = 0; i < s->len; i++) {
        char c = s->data[i];

        if (!(c == '_' || c == '$' || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
              (c >= 'A' && c <= 'Z')))
            return false;
    }
    return true;
}

static bool is_operator_name(const bvi_string *s)
{
    return s->len > 0 && strspn(s->data, "+-*/%<>=!&|^") == s->len;
}

/* A bad name fails where it stands: at the argument. */
BVI_LIB(make_fn)
{
    bvi_string *name = bvi_str(&args[0]);
    bvi_frame *frame = bvi_vm_script_frame(call);
    int r;

    if (!is_function_name(name) && !is_operator_name(name)) {
        r = bvi_vm_fail_at(call, (bvi_pos){ call->pos.line, call->pos.col + 3 },
                           BVI_FAILURE_FUNCTION_NOT_FOUND, "Function not found: %s", name->data);
        bvi_vm_field_text(call, "function", name->data);
        return r;
    }
    r = bvi_fn_new(call->engine, name, NULL, bvi_home(frame ? frame->home : call->home), 0, 0, ret);
    return bvi_lib_end(call, r);
}

BVI_LIB(fn_name)
{
    *ret = bvi_of_obj(bvi_fnp(&args[0])->name);
    bvi_obj_ref(ret->as.obj);
    return 0;
}

BVI_LIB(fn_is_anonymous)
{
    *ret = bvi_value_bool(strncmp(bvi_fnp(&args[0])->name->data, "anon$", 5) == 0);
    return 0;
}

BVI_LIB(is_def_fn)
{
    bvi_frame *frame = bvi_vm_script_frame(call);
    const bvi_script *unit = bvi_home(frame ? frame->home : call->home)->unit;

    *ret = bvi_value_bool(args[1].as.i >= 0 && args[1].as.i <= INT32_MAX &&
                          bvi_unit_find(unit, bvi_str(&args[0]), (int)args[1].as.i) != NULL);
    return 0;
}

BVI_LIB(is_def_method)
{
    bvi_frame *frame = bvi_vm_script_frame(call);
    const bvi_script *unit = bvi_home(frame ? frame->home : call->home)->unit;
    const char *type = bvi_type_of_name(bvi_str(&args[0])->data);

    *ret = bvi_value_bool(
        args[2].as.i >= 0 && args[2].as.i <= INT32_MAX &&
        bvi_unit_find_method(unit, type, bvi_str(&args[1]), (uint32_t)args[2].as.i) != NULL);
    return 0;
}

static int describe_function(bvi_script_engine *engine, const bvi_proto *p, bvi_value *list)
{
    const char *name = bvi_unit_str(p->unit, p->name)->data;
    bvi_value map = BVI_VALUE_UNIT;
    bvi_value params = BVI_VALUE_UNIT;
    int r = bvi_value_map(engine, &map);

    if (r == 0)
        r = bvi_value_put_string(&map, "access", p->is_private ? "private" : "public");
    if (r == 0)
        r = bvi_map_set_text(&map, "is_anonymous", bvi_value_bool(false));
    if (r == 0)
        r = bvi_value_put_string(&map, "name", name);
    if (r == 0)
        r = bvi_value_array(engine, &params);
    for (uint32_t i = 0; r == 0 && i < p->params_len; i++)
        r = bvi_array_push(&params, bvi_dup(&p->unit->consts[p->params[i]]));
    if (r == 0)
        r = bvi_map_set_text(&map, "params", bvi_move(&params));
    if (r == 0 && p->this_type)
        r = bvi_value_put_string(&map, "this_type", bvi_unit_str(p->unit, p->this_type)->data);
    bvi_drop(&params);
    if (r < 0) {
        bvi_drop(&map);
        return r;
    }
    return bvi_array_push(list, map);
}

BVI_LIB(get_fn_metadata_list)
{
    bvi_frame *frame = bvi_vm_script_frame(call);
    const bvi_script *unit = bvi_home(frame ? frame->home : call->home)->unit;
    int r = bvi_value_array(call->engine, ret);

    for (uint32_t i = 0; r == 0 && i < unit->protos_len; i++) {
        const bvi_proto *p = unit->protos[i];

        if (p->is_top || p->is_closure)
            continue;
        if (argc > 0 && bvi_string_compare(bvi_unit_str(unit, p->name), bvi_str(&args[0])) != 0)
            continue;
        if (argc > 1 && args[1].as.i != p->arity)
            continue;
        r = describe_function(call->engine, p, ret);
    }
    return bvi_lib_end(call, r);
}

BVI_LIB(exit_with)
{
    return bvi_vm_exit(call, argc > 0 ? bvi_dup(&args[0]) : BVI_VALUE_UNIT);
}

BVI_LIB(take)
{
    *ret = bvi_move(&args[0]);
    ret->tag = 0;
    return 0;
}

BVI_LIB(get_tag)
{
    *ret = bvi_value_int(args[0].tag);
    return 0;
}

BVI_LIB(set_tag)
{
    int64_t tag = args[1].as.i;

    if (tag < INT32_MIN || tag > INT32_MAX)
        return bvi_vm_fail(
            call, BVI_FAILURE_ARITHMETIC,
            "%lld is too large to fit into a tag (must be between -2147483648 and 2147483647)",
            (long long)tag);
    args[0].tag = (int32_t)tag;
    return 0;
}

/* ---- time ---- */

BVI_LIB(timestamp)
{
    ret->type = BVI_T_TIMESTAMP;
    ret->as.i = bvi_script_now_ns(call->engine);
    return 0;
}

BVI_LIB(elapsed)
{
    *ret = bvi_value_float((double)(bvi_script_now_ns(call->engine) - args[0].as.i) / 1e9);
    return 0;
}

/* Waits in pieces, each a slice of its own, so that the call can be cancelled and its embedder
 * looks at its limits. One that has a loop registers its own sleep(), which hides this one. */
static int step_sleep(bvi_script_call *call, bvi_frame *frame, bvi_value *ret)
{
    int64_t now = bvi_script_now_ns(call->engine);
    int64_t left;
    struct timespec piece;

    if (frame->reg[1] == 0) {
        frame->reg[0] += now; /* from how long to until when */
        frame->reg[1] = 1;
    }
    left = frame->reg[0] - now;
    if (left <= 0)
        return 0;
    piece.tv_sec = 0;
    piece.tv_nsec = left < SLEEP_PIECE_NS ? (long)left : SLEEP_PIECE_NS;
    (void)nanosleep(&piece, NULL); /* a signal only makes the piece shorter */
    return BVI_SCRIPT_YIELD;
}

BVI_LIB(sleep_for)
{
    double seconds = args[0].type == BVI_T_INT ? (double)args[0].as.i : args[0].as.f;

    if (!(seconds > 0))
        return 0;
    call->asked_reg[0] = (int64_t)((seconds < SLEEP_MAX_S ? seconds : SLEEP_MAX_S) * 1e9);
    return bvi_vm_begin(call, step_sleep);
}

/* ---- order ---- */

static int pick(bvi_script_call *call, bvi_opcode op, bvi_value *args, bvi_value *ret)
{
    bvi_value left = bvi_dup(&args[0]);
    bool mixed = args[0].type != args[1].type;
    int r = bvi_op_binary(call, op, &left, &args[1], false);
    const bvi_value *winner = left.as.b ? &args[0] : &args[1];

    if (r < 0) {
        bvi_drop(&left);
        return r;
    }
    if (mixed && winner->type == BVI_T_INT)
        *ret = bvi_value_float((double)winner->as.i);
    else
        *ret = bvi_dup(winner);
    return 0;
}

BVI_LIB(max)
{
    return pick(call, BVI_OP_GE, args, ret);
}

BVI_LIB(min)
{
    return pick(call, BVI_OP_LE, args, ret);
}

/* ---- operators as functions, for Fn("+") ---- */

#define BINARY(name, op)                                                                           \
    BVI_LIB(name)                                                                                  \
    {                                                                                              \
        *ret = bvi_dup(&args[0]);                                                                  \
        return bvi_op_binary(call, op, ret, &args[1], false);                                      \
    }

BINARY(op_add, BVI_OP_ADD)
BINARY(op_sub, BVI_OP_SUB)
BINARY(op_mul, BVI_OP_MUL)
BINARY(op_div, BVI_OP_DIV)
BINARY(op_mod, BVI_OP_MOD)
BINARY(op_pow, BVI_OP_POW)
BINARY(op_shl, BVI_OP_SHL)
BINARY(op_shr, BVI_OP_SHR)
BINARY(op_and, BVI_OP_AND)
BINARY(op_or, BVI_OP_OR)
BINARY(op_xor, BVI_OP_XOR)
BINARY(op_eq, BVI_OP_EQ)
BINARY(op_ne, BVI_OP_NE)
BINARY(op_lt, BVI_OP_LT)
BINARY(op_le, BVI_OP_LE)
BINARY(op_gt, BVI_OP_GT)
BINARY(op_ge, BVI_OP_GE)

#define UNARY(name, op)                                                                            \
    BVI_LIB(name)                                                                                  \
    {                                                                                              \
        *ret = bvi_dup(&args[0]);                                                                  \
        return bvi_op_unary(call, op, ret);                                                        \
    }

UNARY(op_neg, BVI_OP_NEG)
UNARY(op_plus, BVI_OP_PLUS)
UNARY(op_not, BVI_OP_NOT)

#define PROPERTY BVI_SCRIPT_PROPERTY
#define MUTATES  BVI_SCRIPT_MUTATES

#define VARIES BVI_SCRIPT_VARIES

const bvi_script_function bvi_lib_core[] = {
    { "print", "", print, VARIES },
    { "print", "v", print, VARIES },
    { "debug", "", debug, VARIES },
    { "debug", "v", debug, VARIES },
    { "to_string", "v", to_string, 0 },
    { "to_debug", "v", to_debug, 0 },
    { "type_of", "v", type_of, 0 },
    { "Fn", "s", make_fn, 0 },
    { "name", "k", fn_name, PROPERTY },
    { "is_anonymous", "k", fn_is_anonymous, PROPERTY },
    { "is_def_fn", "si", is_def_fn, 0 },
    { "is_def_fn", "ssi", is_def_method, 0 },
    { "get_fn_metadata_list", "", get_fn_metadata_list, 0 },
    { "get_fn_metadata_list", "s", get_fn_metadata_list, 0 },
    { "get_fn_metadata_list", "si", get_fn_metadata_list, 0 },
    { "exit", "", exit_with, 0 },
    { "exit", "v", exit_with, 0 },
    { "take", "v", take, MUTATES },
    { "tag", "v", get_tag, BVI_SCRIPT_BY_REF },
    { "set_tag", "vi", set_tag, MUTATES },
    { "timestamp", "", timestamp, VARIES },
    { "elapsed", "e", elapsed, PROPERTY | VARIES },
    { "sleep", "n", sleep_for, VARIES },
    { "max", "nn", max, 0 },
    { "max", "ss", max, 0 },
    { "max", "cc", max, 0 },
    { "min", "nn", min, 0 },
    { "min", "ss", min, 0 },
    { "min", "cc", min, 0 },
    { "+", "vv", op_add, 0 },
    { "-", "vv", op_sub, 0 },
    { "*", "vv", op_mul, 0 },
    { "/", "vv", op_div, 0 },
    { "%", "vv", op_mod, 0 },
    { "**", "vv", op_pow, 0 },
    { "<<", "vv", op_shl, 0 },
    { ">>", "vv", op_shr, 0 },
    { "&", "vv", op_and, 0 },
    { "|", "vv", op_or, 0 },
    { "^", "vv", op_xor, 0 },
    { "==", "vv", op_eq, 0 },
    { "!=", "vv", op_ne, 0 },
    { "<", "vv", op_lt, 0 },
    { "<=", "vv", op_le, 0 },
    { ">", "vv", op_gt, 0 },
    { ">=", "vv", op_ge, 0 },
    { "-", "v", op_neg, 0 },
    { "+", "v", op_plus, 0 },
    { "!", "v", op_not, 0 },
    { NULL, NULL, NULL, 0 },
};
