/*
 * lib_blob.c - built-ins of blobs.
 */
#include <string.h>

#include "base/utf8.h"
#include "script/lib.h"

/* ---- making and looking ---- */

BVI_LIB(make)
{
    int64_t len = argc > 0 && args[0].as.i > 0 ? args[0].as.i : 0;
    uint8_t fill = argc > 1 ? (uint8_t)args[1].as.i : 0;
    int r = bvi_value_blob(call->engine, NULL, 0, ret);

    if (r == 0)
        r = bvi_blob_resize(ret, (size_t)len, fill);
    return bvi_lib_end(call, r);
}

BVI_LIB(from_string)
{
    return bvi_lib_end(
        call, bvi_value_blob(call->engine, bvi_str(&args[0])->data, bvi_str(&args[0])->len, ret));
}

BVI_LIB(len)
{
    *ret = bvi_value_int(bvi_blb(&args[0])->len);
    return 0;
}

BVI_LIB(is_empty)
{
    *ret = bvi_value_bool(bvi_blb(&args[0])->len == 0);
    return 0;
}

BVI_LIB(contains)
{
    bool yes = false;
    int r = bvi_op_contains(call, &args[0], &args[1], &yes);

    *ret = bvi_value_bool(yes);
    return r;
}

BVI_LIB(get)
{
    size_t at;

    *ret = bvi_value_int(0);
    if (bvi_index(args[1].as.i, bvi_blb(&args[0])->len, &at))
        ret->as.i = bvi_blb(&args[0])->data[at];
    return 0;
}

BVI_LIB(set)
{
    size_t at;
    int r;

    if (!bvi_index(args[1].as.i, bvi_blb(&args[0])->len, &at))
        return 0;
    r = bvi_blob_own(&args[0]);
    if (r == 0)
        bvi_blb(&args[0])->data[at] = (uint8_t)args[2].as.i;
    return bvi_lib_end(call, r);
}

/* ---- changing ---- */

BVI_LIB(push)
{
    uint8_t byte = (uint8_t)args[1].as.i;

    return bvi_lib_end(call, bvi_blob_insert(&args[0], bvi_blb(&args[0])->len, &byte, 1));
}

BVI_LIB(append)
{
    return bvi_op_binary(call, BVI_OP_ADD, &args[0], &args[1], true);
}

BVI_LIB(insert)
{
    uint8_t byte = (uint8_t)args[2].as.i;
    size_t at, count;

    bvi_lib_part(args[1].as.i, 0, bvi_blb(&args[0])->len, &at, &count);
    return bvi_lib_end(call, bvi_blob_insert(&args[0], at, &byte, 1));
}

BVI_LIB(pad)
{
    int64_t len = args[1].as.i;

    if (len <= bvi_blb(&args[0])->len)
        return 0;
    return bvi_lib_end(call, bvi_blob_resize(&args[0], (size_t)len, (uint8_t)args[2].as.i));
}

static int keep_part(bvi_script_call *call, bvi_value *blob, size_t at, size_t count)
{
    size_t len = bvi_blb(blob)->len;
    int r = bvi_blob_remove(blob, at + count, len - at - count);

    if (r == 0)
        r = bvi_blob_remove(blob, 0, at);
    return bvi_lib_end(call, r);
}

BVI_LIB(truncate)
{
    size_t at, count;

    bvi_lib_part(0, args[1].as.i, bvi_blb(&args[0])->len, &at, &count);
    return keep_part(call, &args[0], 0, count);
}

BVI_LIB(chop)
{
    size_t len = bvi_blb(&args[0])->len;
    size_t at, count;

    bvi_lib_part(0, args[1].as.i, len, &at, &count);
    return keep_part(call, &args[0], len - count, count);
}

BVI_LIB(clear)
{
    return keep_part(call, &args[0], 0, 0);
}

BVI_LIB(reverse)
{
    int r = bvi_blob_own(&args[0]);
    bvi_blob *b = bvi_blb(&args[0]);

    bvi_vm_work(call, &args[0]);
    for (uint32_t i = 0; r == 0 && i < b->len / 2; i++) {
        uint8_t byte = b->data[i];

        b->data[i] = b->data[b->len - 1 - i];
        b->data[b->len - 1 - i] = byte;
    }
    return bvi_lib_end(call, r);
}

static int take_byte(bvi_script_call *call, bvi_value *blob, int64_t index, bvi_value *ret)
{
    size_t at;

    *ret = bvi_value_int(0);
    if (!bvi_index(index, bvi_blb(blob)->len, &at))
        return 0;
    ret->as.i = bvi_blb(blob)->data[at];
    return bvi_lib_end(call, bvi_blob_remove(blob, at, 1));
}

BVI_LIB(pop)
{
    return take_byte(call, &args[0], -1, ret);
}

BVI_LIB(shift)
{
    return take_byte(call, &args[0], 0, ret);
}

BVI_LIB(remove_at)
{
    return take_byte(call, &args[0], args[1].as.i, ret);
}

BVI_LIB(splice)
{
    bvi_value with = bvi_dup(&args[argc - 1]);
    size_t at, count;
    int r;

    bvi_lib_part_args(args, argc - 1, 1, bvi_blb(&args[0])->len, &at, &count);
    r = bvi_blob_remove(&args[0], at, count);
    if (r == 0)
        r = bvi_blob_insert(&args[0], at, bvi_blb(&with)->data, bvi_blb(&with)->len);
    bvi_drop(&with);
    return bvi_lib_end(call, r);
}

static int copy_part(bvi_script_engine *engine, const bvi_value *blob, size_t at, size_t count,
                     bvi_value *ret)
{
    return bvi_value_blob(engine, count > 0 ? bvi_blb(blob)->data + at : NULL, count, ret);
}

BVI_LIB(extract)
{
    size_t at, count;

    bvi_lib_part_args(args, argc, 1, bvi_blb(&args[0])->len, &at, &count);
    return bvi_lib_end(call, copy_part(call->engine, &args[0], at, count, ret));
}

static int cut_out(bvi_script_call *call, bvi_value *blob, size_t at, size_t count, bvi_value *ret)
{
    int r = copy_part(call->engine, blob, at, count, ret);

    if (r == 0)
        r = bvi_blob_remove(blob, at, count);
    return bvi_lib_end(call, r);
}

BVI_LIB(split)
{
    size_t at, count;

    bvi_lib_part(args[1].as.i, INT64_MAX, bvi_blb(&args[0])->len, &at, &count);
    return cut_out(call, &args[0], at, count, ret);
}

BVI_LIB(drain)
{
    size_t at, count;

    bvi_lib_part_args(args, argc, 1, bvi_blb(&args[0])->len, &at, &count);
    return cut_out(call, &args[0], at, count, ret);
}

BVI_LIB(retain)
{
    bvi_value kept = BVI_VALUE_UNIT;
    size_t at, count;
    int r;

    bvi_lib_part_args(args, argc, 1, bvi_blb(&args[0])->len, &at, &count);
    r = cut_out(call, &args[0], at, count, &kept);
    if (r < 0)
        return r;
    *ret = args[0];
    args[0] = kept;
    return 0;
}

/* ---- numbers in bytes ---- */

/* Up to 8 bytes into an 8-byte field filled from its start, then read in the given order. */
static uint64_t read_field(const bvi_value *args, size_t argc, bool big)
{
    const bvi_blob *b = bvi_blb(&args[0]);
    uint8_t field[8] = { 0 };
    uint64_t v = 0;
    size_t at, count;

    bvi_lib_part_args(args, argc, 1, b->len, &at, &count);
    if (count > sizeof(field))
        count = sizeof(field);
    if (count > 0)
        memcpy(field, b->data + at, count);
    for (unsigned i = 0; i < sizeof(field); i++)
        v = v << 8 | field[big ? i : 7 - i];
    return v;
}

static double as_double(uint64_t bits)
{
    double f;

    memcpy(&f, &bits, sizeof(f));
    return f;
}

BVI_LIB(parse_le_int)
{
    *ret = bvi_value_int((int64_t)read_field(args, argc, false));
    return 0;
}

BVI_LIB(parse_be_int)
{
    *ret = bvi_value_int((int64_t)read_field(args, argc, true));
    return 0;
}

BVI_LIB(parse_le_float)
{
    *ret = bvi_value_float(as_double(read_field(args, argc, false)));
    return 0;
}

BVI_LIB(parse_be_float)
{
    *ret = bvi_value_float(as_double(read_field(args, argc, true)));
    return 0;
}

static int write_field(bvi_script_call *call, bvi_value *args, size_t argc, bool big)
{
    const bvi_value *number = &args[argc - 1];
    uint64_t bits = (uint64_t)number->as.i;
    size_t at, count;
    int r = bvi_blob_own(&args[0]);

    if (r < 0)
        return bvi_lib_end(call, r);
    if (number->type == BVI_T_FLOAT)
        memcpy(&bits, &number->as.f, sizeof(bits));
    bvi_lib_part_args(args, argc - 1, 1, bvi_blb(&args[0])->len, &at, &count);
    for (size_t i = 0; i < count && i < 8; i++)
        bvi_blb(&args[0])->data[at + i] = (uint8_t)(bits >> 8 * (big ? 7 - i : i));
    return 0;
}

BVI_LIB(write_le)
{
    return write_field(call, args, argc, false);
}

BVI_LIB(write_be)
{
    return write_field(call, args, argc, true);
}

/* ---- text in bytes ---- */

static int write_text(bvi_script_call *call, bvi_value *args, size_t argc, bool ascii)
{
    const bvi_string *s = bvi_str(&args[argc - 1]);
    size_t at, count;
    int r = bvi_blob_own(&args[0]);

    if (r < 0)
        return bvi_lib_end(call, r);
    bvi_lib_part_args(args, argc - 1, 1, bvi_blb(&args[0])->len, &at, &count);
    for (size_t i = 0; i < s->len && count > 0; i++) {
        if (ascii && (uint8_t)s->data[i] >= 0x80)
            continue;
        bvi_blb(&args[0])->data[at++] = (uint8_t)s->data[i];
        count--;
    }
    return 0;
}

BVI_LIB(write_utf8)
{
    return write_text(call, args, argc, false);
}

BVI_LIB(write_ascii)
{
    return write_text(call, args, argc, true);
}

BVI_LIB(as_string)
{
    int r = bvi_value_string(call->engine, "", 0, ret);

    if (r == 0)
        r = bvi_op_append_text(call, ret, &args[0], BVI_FORM_TEXT);
    return bvi_lib_end(call, r);
}

BVI_LIB(to_array)
{
    const bvi_blob *b = bvi_blb(&args[0]);
    int r = bvi_value_array(call->engine, ret);

    for (uint32_t i = 0; r == 0 && i < b->len; i++)
        r = bvi_array_push(ret, bvi_value_int(b->data[i]));
    return bvi_lib_end(call, r);
}

#define PROPERTY BVI_SCRIPT_PROPERTY
#define MUTATES  BVI_SCRIPT_MUTATES

const bvi_script_function bvi_lib_blob[] = {
    { "blob", "", make, 0 },
    { "blob", "i", make, 0 },
    { "blob", "ii", make, 0 },
    { "to_blob", "s", from_string, 0 },
    { "len", "b", len, PROPERTY },
    { "is_empty", "b", is_empty, PROPERTY },
    { "contains", "bi", contains, 0 },
    { "get", "bi", get, 0 },
    { "set", "bii", set, MUTATES },
    { "push", "bi", push, MUTATES },
    { "append", "bi", append, MUTATES },
    { "append", "bb", append, MUTATES },
    { "append", "bs", append, MUTATES },
    { "append", "bc", append, MUTATES },
    { "insert", "bii", insert, MUTATES },
    { "pad", "bii", pad, MUTATES },
    { "truncate", "bi", truncate, MUTATES },
    { "chop", "bi", chop, MUTATES },
    { "clear", "b", clear, MUTATES },
    { "reverse", "b", reverse, MUTATES },
    { "pop", "b", pop, MUTATES },
    { "shift", "b", shift, MUTATES },
    { "remove", "bi", remove_at, MUTATES },
    { "splice", "brb", splice, MUTATES },
    { "splice", "biib", splice, MUTATES },
    { "extract", "br", extract, 0 },
    { "extract", "bi", extract, 0 },
    { "extract", "bii", extract, 0 },
    { "split", "bi", split, MUTATES },
    { "drain", "br", drain, MUTATES },
    { "drain", "bii", drain, MUTATES },
    { "retain", "br", retain, MUTATES },
    { "retain", "bii", retain, MUTATES },
    { "parse_le_int", "br", parse_le_int, 0 },
    { "parse_le_int", "bii", parse_le_int, 0 },
    { "parse_be_int", "br", parse_be_int, 0 },
    { "parse_be_int", "bii", parse_be_int, 0 },
    { "parse_le_float", "br", parse_le_float, 0 },
    { "parse_le_float", "bii", parse_le_float, 0 },
    { "parse_be_float", "br", parse_be_float, 0 },
    { "parse_be_float", "bii", parse_be_float, 0 },
    { "write_le", "brn", write_le, MUTATES },
    { "write_le", "biin", write_le, MUTATES },
    { "write_be", "brn", write_be, MUTATES },
    { "write_be", "biin", write_be, MUTATES },
    { "write_utf8", "brs", write_utf8, MUTATES },
    { "write_utf8", "biis", write_utf8, MUTATES },
    { "write_ascii", "brs", write_ascii, MUTATES },
    { "write_ascii", "biis", write_ascii, MUTATES },
    { "as_string", "b", as_string, 0 },
    { "to_array", "b", to_array, 0 },
    { NULL, NULL, NULL, 0 },
};
