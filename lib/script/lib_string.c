/*
 * lib_string.c - built-ins of strings and characters. Positions count characters; those that change
 * a string in place return unit.
 */
#include <string.h>

#include "base/case_map.h"
#include "base/utf8.h"
#include "script/lib.h"

/* ---- text arguments: a string or a character ---- */

typedef struct piece {
    const char *text;
    size_t len;
    char utf8[4];
} piece;

static void get_piece(const bvi_value *v, piece *p)
{
    if (v->type == BVI_T_CHAR) {
        p->len = bvi_utf8_encode(v->as.c, p->utf8);
        p->text = p->utf8;
        return;
    }
    p->text = bvi_str(v)->data;
    p->len = bvi_str(v)->len;
}

static const char *find(const char *text, size_t len, const piece *p)
{
    return memmem(text, len, p->text, p->len);
}

static int make(bvi_script_call *call, const char *text, size_t len, bvi_value *ret)
{
    return bvi_lib_end(call, bvi_value_string(call->engine, text, len, ret));
}

static int replace_with(bvi_script_call *call, bvi_value *s, const bvi_buf *text)
{
    bvi_value made = BVI_VALUE_UNIT;
    int r = bvi_string_from_buf(call->engine, text, &made);

    if (r == 0)
        bvi_replace(s, made);
    return bvi_lib_end(call, r);
}

#define TEXT_BUF(name)                                                                             \
    BVI_AUTO(bvi_buf_done)                                                                         \
    bvi_buf name = BVI_SCRIPT_BUF_INIT(call->engine, call->engine->options.limits.string_bytes)

/* bvi_buf says LIMIT without saying of what. */
static int buf_end(bvi_script_call *call, int r)
{
    if (r == BV_E_LIMIT)
        r = bvi_script_too_large(call->engine, "Length of string");
    return bvi_lib_end(call, r);
}

/* ---- looking ---- */

BVI_LIB(len)
{
    *ret = bvi_value_int(bvi_str(&args[0])->chars);
    return 0;
}

BVI_LIB(bytes)
{
    *ret = bvi_value_int(bvi_str(&args[0])->len);
    return 0;
}

BVI_LIB(is_empty)
{
    *ret = bvi_value_bool(bvi_str(&args[0])->len == 0);
    return 0;
}

BVI_LIB(get)
{
    size_t at;

    if (bvi_index(args[1].as.i, bvi_str(&args[0])->chars, &at))
        *ret = bvi_value_char(bvi_string_char(bvi_str(&args[0]), at));
    return 0;
}

BVI_LIB(contains)
{
    bool yes = false;
    int r = bvi_op_contains(call, &args[0], &args[1], &yes);

    *ret = bvi_value_bool(yes);
    return r;
}

BVI_LIB(starts_with)
{
    const bvi_string *s = bvi_str(&args[0]);
    piece p;

    get_piece(&args[1], &p);
    *ret = bvi_value_bool(p.len <= s->len && memcmp(s->data, p.text, p.len) == 0);
    return 0;
}

BVI_LIB(ends_with)
{
    const bvi_string *s = bvi_str(&args[0]);
    piece p;

    get_piece(&args[1], &p);
    *ret = bvi_value_bool(p.len <= s->len && memcmp(s->data + s->len - p.len, p.text, p.len) == 0);
    return 0;
}

BVI_LIB(index_of)
{
    const bvi_string *s = bvi_str(&args[0]);
    size_t at, count, from;
    const char *hit;
    piece p;

    get_piece(&args[1], &p);
    bvi_lib_part(argc > 2 ? args[2].as.i : 0, INT64_MAX, s->chars, &at, &count);
    from = bvi_string_offset(s, at);
    bvi_vm_work(call, &args[0]);
    hit = find(s->data + from, s->len - from, &p);
    *ret = bvi_value_int(
        hit ? (int64_t)(at + bvi_utf8_chars(s->data + from, (size_t)(hit - s->data) - from)) : -1);
    return 0;
}

/* ---- parts ---- */

BVI_LIB(sub_string)
{
    size_t at, count;

    bvi_lib_part_args(args, argc, 1, bvi_str(&args[0])->chars, &at, &count);
    return bvi_lib_end(call, bvi_string_slice(&args[0], (int64_t)at, (int64_t)count, ret));
}

static int keep(bvi_script_call *call, bvi_value *s, size_t at, size_t count)
{
    bvi_value part = BVI_VALUE_UNIT;
    int r = bvi_string_slice(s, (int64_t)at, (int64_t)count, &part);

    if (r == 0)
        bvi_replace(s, part);
    return bvi_lib_end(call, r);
}

BVI_LIB(crop)
{
    size_t at, count;

    bvi_lib_part_args(args, argc, 1, bvi_str(&args[0])->chars, &at, &count);
    return keep(call, &args[0], at, count);
}

BVI_LIB(truncate)
{
    size_t at, count;

    bvi_lib_part(0, args[1].as.i, bvi_str(&args[0])->chars, &at, &count);
    return keep(call, &args[0], 0, count);
}

BVI_LIB(clear)
{
    return keep(call, &args[0], 0, 0);
}

BVI_LIB(pop)
{
    const bvi_string *s = bvi_str(&args[0]);

    if (s->chars == 0)
        return 0;
    *ret = bvi_value_char(bvi_string_char(s, s->chars - 1));
    return keep(call, &args[0], 0, s->chars - 1);
}

BVI_LIB(pop_many)
{
    uint32_t chars = bvi_str(&args[0])->chars;
    size_t at, count;
    int r;

    bvi_lib_part(0, args[1].as.i, chars, &at, &count);
    r = bvi_string_slice(&args[0], (int64_t)(chars - count), (int64_t)count, ret);
    return r < 0 ? bvi_lib_end(call, r) : keep(call, &args[0], 0, chars - count);
}

BVI_LIB(trim)
{
    const bvi_string *s = bvi_str(&args[0]);
    size_t first = s->chars;
    size_t after = 0;
    size_t n = 0;

    bvi_vm_work(call, &args[0]);
    for (size_t i = 0; i < s->len; n++) {
        size_t used;
        int32_t c = bvi_utf8_decode(s->data + i, s->len - i, &used);

        if (!bvi_utf8_is_space(c)) {
            first = n < first ? n : first;
            after = n + 1;
        }
        i += used;
    }
    return keep(call, &args[0], after > 0 ? first : 0, after > 0 ? after - first : 0);
}

/* ---- changing ---- */

BVI_LIB(set)
{
    const bvi_string *s = bvi_str(&args[0]);
    TEXT_BUF(out);
    size_t at, from;
    char utf8[4];
    int r;

    if (!bvi_index(args[1].as.i, s->chars, &at))
        return 0;
    from = bvi_string_offset(s, at);
    r = bvi_buf_append(&out, s->data, from);
    if (r == 0)
        r = bvi_buf_append(&out, utf8, bvi_utf8_encode(args[2].as.c, utf8));
    from = bvi_string_offset(s, at + 1);
    if (r == 0)
        r = bvi_buf_append(&out, s->data + from, s->len - from);
    return r < 0 ? buf_end(call, r) : replace_with(call, &args[0], &out);
}

/* Every occurrence of a piece becomes another; an empty piece stands between all characters. */
static int replace_all(bvi_buf *out, const bvi_string *s, const piece *what, const piece *with)
{
    size_t from = 0;
    int r = 0;

    while (r == 0 && what->len > 0) {
        const char *hit = find(s->data + from, s->len - from, what);

        if (!hit)
            break;
        r = bvi_buf_append(out, s->data + from, (size_t)(hit - s->data) - from);
        if (r == 0)
            r = bvi_buf_append(out, with->text, with->len);
        from = (size_t)(hit - s->data) + what->len;
    }
    for (size_t i = 0; r == 0 && what->len == 0 && i <= s->len;) {
        size_t used = 1;

        if (i < s->len)
            (void)bvi_utf8_decode(s->data + i, s->len - i, &used);
        r = bvi_buf_append(out, with->text, with->len);
        if (r == 0 && i < s->len)
            r = bvi_buf_append(out, s->data + i, used);
        i += used;
        from = s->len;
    }
    return r < 0 ? r : bvi_buf_append(out, s->data + from, s->len - from);
}

BVI_LIB(replace)
{
    TEXT_BUF(out);
    piece what, with;
    int r;

    get_piece(&args[1], &what);
    get_piece(&args[2], &with);
    r = replace_all(&out, bvi_str(&args[0]), &what, &with);
    return r < 0 ? buf_end(call, r) : replace_with(call, &args[0], &out);
}

BVI_LIB(remove_all)
{
    return bvi_op_binary(call, BVI_OP_SUB, &args[0], &args[1], true);
}

BVI_LIB(pad)
{
    int64_t wanted = args[1].as.i;
    size_t have = bvi_str(&args[0])->chars;
    size_t chars;
    piece p;

    get_piece(&args[2], &p);
    chars = bvi_utf8_chars(p.text, p.len);
    if (chars == 0 || wanted <= (int64_t)have)
        return 0;
    if (wanted > (int64_t)call->engine->options.limits.string_bytes)
        return bvi_lib_end(call, bvi_script_too_large(call->engine, "Length of string"));
    while ((int64_t)bvi_str(&args[0])->chars < wanted) {
        int r = bvi_string_append(&args[0], p.text, p.len);

        if (r < 0)
            return bvi_lib_end(call, r);
    }
    return keep(call, &args[0], 0, (size_t)wanted);
}

BVI_LIB(append)
{
    return bvi_lib_end(call, bvi_op_append_text(call, &args[0], &args[1], BVI_FORM_TEXT));
}

/* ---- case ---- */

#define SIGMA       0x3a3
#define FINAL_SIGMA "\xcf\x82" /* ς */

static bool has_case(uint32_t c)
{
    return bvi_case_char(c, true) != c || bvi_case_char(c, false) != c;
}

/* The one letter whose small form depends on its place: at i of s, does it end a word? */
static bool ends_word(const bvi_string *s, size_t i, uint32_t before)
{
    size_t used = 0;
    int32_t c = i < s->len ? bvi_utf8_decode(s->data + i, s->len - i, &used) : -1;

    return has_case(before) && (c < 0 || !has_case((uint32_t)c));
}

static int change_case(bvi_script_call *call, const bvi_value *v, bool upper, bvi_value *ret)
{
    const bvi_string *s;
    TEXT_BUF(out);
    uint32_t before = 0;
    int r = 0;

    if (v->type == BVI_T_CHAR) {
        *ret = bvi_value_char(bvi_case_char(v->as.c, upper));
        return 0;
    }
    s = bvi_str(v);
    for (size_t i = 0; r == 0 && i < s->len;) {
        size_t used;
        int32_t decoded = bvi_utf8_decode(s->data + i, s->len - i, &used);
        uint32_t c = decoded < 0 ? 0xfffdu : (uint32_t)decoded;

        i += used;
        if (!upper && c == SIGMA && ends_word(s, i, before))
            r = bvi_buf_append(&out, FINAL_SIGMA, strlen(FINAL_SIGMA));
        else
            r = bvi_case_text(&out, c, upper);
        before = c;
    }
    return r < 0 ? buf_end(call, r) : make(call, bvi_buf_str(&out), out.len, ret);
}

BVI_LIB(to_upper)
{
    return change_case(call, &args[0], true, ret);
}

BVI_LIB(to_lower)
{
    return change_case(call, &args[0], false, ret);
}

static int make_case(bvi_script_call *call, bvi_value *v, bool upper)
{
    bvi_value made = BVI_VALUE_UNIT;
    int r = change_case(call, v, upper, &made);

    if (r == 0)
        bvi_replace(v, made);
    return r;
}

BVI_LIB(make_upper)
{
    return make_case(call, &args[0], true);
}

BVI_LIB(make_lower)
{
    return make_case(call, &args[0], false);
}

/* ---- to lists ---- */

static int push_text(bvi_value *list, const char *text, size_t len)
{
    bvi_value v = BVI_VALUE_UNIT;
    int r = bvi_value_string(list->as.obj->engine, text, len, &v);

    return r < 0 ? r : bvi_array_push(list, v);
}

BVI_LIB(split_space)
{
    const bvi_string *s = bvi_str(&args[0]);
    size_t from = 0;
    int r = bvi_value_array(call->engine, ret);

    for (size_t i = 0; r == 0 && i <= s->len;) {
        size_t used = 1;
        bool gap =
            i == s->len || bvi_utf8_is_space(bvi_utf8_decode(s->data + i, s->len - i, &used));

        if (gap && i > from)
            r = push_text(ret, s->data + from, i - from);
        i += used;
        if (gap)
            from = i;
    }
    return bvi_lib_end(call, r);
}

BVI_LIB(split_at)
{
    const bvi_string *s = bvi_str(&args[0]);
    size_t at, count, from;
    int r = bvi_value_array(call->engine, ret);

    bvi_lib_part(args[1].as.i, 0, s->chars, &at, &count);
    from = bvi_string_offset(s, at);
    if (r == 0)
        r = push_text(ret, s->data, from);
    if (r == 0)
        r = push_text(ret, s->data + from, s->len - from);
    return bvi_lib_end(call, r);
}

/* An empty separator splits between all characters and at both ends. */
static int split_chars(const bvi_string *s, int64_t most, bvi_value *ret)
{
    int64_t parts = 1;
    size_t i = 0;
    int r = most > 1 ? push_text(ret, "", 0) : 0;

    while (r == 0 && i < s->len && ++parts < most) {
        size_t used;

        (void)bvi_utf8_decode(s->data + i, s->len - i, &used);
        r = push_text(ret, s->data + i, used);
        i += used;
    }
    return r < 0 ? r : push_text(ret, s->data + i, s->len - i);
}

static int64_t most_parts(const bvi_value *args, size_t argc)
{
    if (argc < 3)
        return INT64_MAX;
    return args[2].as.i < 1 ? 1 : args[2].as.i;
}

BVI_LIB(split)
{
    const bvi_string *s = bvi_str(&args[0]);
    int64_t most = most_parts(args, argc);
    size_t from = 0;
    piece p;
    int r = bvi_value_array(call->engine, ret);

    get_piece(&args[1], &p);
    if (r == 0 && p.len == 0)
        return bvi_lib_end(call, split_chars(s, most, ret));
    for (int64_t parts = 1; r == 0 && parts < most; parts++) {
        const char *hit = find(s->data + from, s->len - from, &p);

        if (!hit)
            break;
        r = push_text(ret, s->data + from, (size_t)(hit - s->data) - from);
        from = (size_t)(hit - s->data) + p.len;
    }
    if (r == 0)
        r = push_text(ret, s->data + from, s->len - from);
    return bvi_lib_end(call, r);
}

static int reverse(bvi_value *list)
{
    bvi_array *a = bvi_arr(list);

    for (uint32_t i = 0; i < a->len / 2; i++) {
        bvi_value v = a->items[i];

        a->items[i] = a->items[a->len - 1 - i];
        a->items[a->len - 1 - i] = v;
    }
    return 0;
}

static int append_reversed(bvi_buf *out, const char *text, size_t len)
{
    int r = bvi_buf_reserve(out, len);

    for (size_t i = len; r == 0 && i > 0; i--)
        r = bvi_buf_append_char(out, text[i - 1]);
    return r;
}

/* Searching backwards is searching forwards in both texts reversed, which takes linear time. */
static int split_backwards(bvi_script_call *call, const bvi_string *s, const piece *p, int64_t most,
                           bvi_value *ret)
{
    TEXT_BUF(text);
    TEXT_BUF(what);
    size_t from = 0;
    size_t end = s->len;
    int r = append_reversed(&text, s->data, s->len);

    if (r == 0)
        r = append_reversed(&what, p->text, p->len);
    for (int64_t parts = 1; r == 0 && parts < most; parts++) {
        piece back = { bvi_buf_str(&what), what.len, { 0 } };
        const char *hit = find(bvi_buf_str(&text) + from, text.len - from, &back);
        size_t at;

        if (!hit)
            break;
        at = s->len - (size_t)(hit - bvi_buf_str(&text)) - p->len;
        r = push_text(ret, s->data + at + p->len, end - at - p->len);
        end = at;
        from = s->len - end;
    }
    return r < 0 ? r : push_text(ret, s->data, end);
}

BVI_LIB(split_rev)
{
    const bvi_string *s = bvi_str(&args[0]);
    int64_t most = most_parts(args, argc);
    piece p;
    int r = bvi_value_array(call->engine, ret);

    get_piece(&args[1], &p);
    if (r == 0 && p.len == 0) {
        r = split_chars(s, most, ret);
        return r < 0 ? bvi_lib_end(call, r) : reverse(ret);
    }
    if (r == 0)
        r = split_backwards(call, s, &p, most, ret);
    return buf_end(call, r);
}

BVI_LIB(to_chars)
{
    const bvi_string *s = bvi_str(&args[0]);
    int r = bvi_value_array(call->engine, ret);

    for (size_t i = 0; r == 0 && i < s->len;) {
        size_t used;
        int32_t c = bvi_utf8_decode(s->data + i, s->len - i, &used);

        r = bvi_array_push(ret, bvi_value_char(c < 0 ? 0xfffdu : (uint32_t)c));
        i += used;
    }
    return bvi_lib_end(call, r);
}

#define PROPERTY BVI_SCRIPT_PROPERTY
#define MUTATES  BVI_SCRIPT_MUTATES

const bvi_script_function bvi_lib_string[] = {
    { "len", "s", len, PROPERTY },
    { "bytes", "s", bytes, PROPERTY },
    { "is_empty", "s", is_empty, PROPERTY },
    { "get", "si", get, 0 },
    { "set", "sic", set, MUTATES },
    { "sub_string", "si", sub_string, 0 },
    { "sub_string", "sii", sub_string, 0 },
    { "sub_string", "sr", sub_string, 0 },
    { "crop", "si", crop, MUTATES },
    { "crop", "sii", crop, MUTATES },
    { "crop", "sr", crop, MUTATES },
    { "contains", "ss", contains, 0 },
    { "contains", "sc", contains, 0 },
    { "starts_with", "ss", starts_with, 0 },
    { "starts_with", "sc", starts_with, 0 },
    { "ends_with", "ss", ends_with, 0 },
    { "ends_with", "sc", ends_with, 0 },
    { "index_of", "ss", index_of, 0 },
    { "index_of", "sc", index_of, 0 },
    { "index_of", "ssi", index_of, 0 },
    { "index_of", "sci", index_of, 0 },
    { "split", "s", split_space, 0 },
    { "split", "si", split_at, 0 },
    { "split", "ss", split, 0 },
    { "split", "sc", split, 0 },
    { "split", "ssi", split, 0 },
    { "split", "sci", split, 0 },
    { "split_rev", "ss", split_rev, 0 },
    { "split_rev", "sc", split_rev, 0 },
    { "split_rev", "ssi", split_rev, 0 },
    { "split_rev", "sci", split_rev, 0 },
    { "trim", "s", trim, MUTATES },
    { "clear", "s", clear, MUTATES },
    { "truncate", "si", truncate, MUTATES },
    { "remove", "ss", remove_all, MUTATES },
    { "remove", "sc", remove_all, MUTATES },
    { "replace", "sss", replace, MUTATES },
    { "replace", "ssc", replace, MUTATES },
    { "replace", "scs", replace, MUTATES },
    { "replace", "scc", replace, MUTATES },
    { "pad", "sic", pad, MUTATES },
    { "pad", "sis", pad, MUTATES },
    { "make_upper", "s", make_upper, MUTATES },
    { "make_upper", "c", make_upper, MUTATES },
    { "make_lower", "s", make_lower, MUTATES },
    { "make_lower", "c", make_lower, MUTATES },
    { "append", "sv", append, MUTATES },
    { "pop", "s", pop, MUTATES },
    { "pop", "si", pop_many, MUTATES },
    { "to_upper", "s", to_upper, 0 },
    { "to_upper", "c", to_upper, 0 },
    { "to_lower", "s", to_lower, 0 },
    { "to_lower", "c", to_lower, 0 },
    { "to_chars", "s", to_chars, 0 },
    { NULL, NULL, NULL, 0 },
};
