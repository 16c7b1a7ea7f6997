/*
 * filter.c - finding a filter, checking what it is applied to, and the filters for any value.
 */
#include <string.h>

#include "template/run.h"

static const bvi_tpl_filter *find_filter(bvi_span name)
{
    static const bvi_tpl_filter *const tables[] = { bvi_tpl_string_filters, bvi_tpl_number_filters,
                                                    bvi_tpl_array_filters, bvi_tpl_value_filters };

    for (size_t i = 0; i < BVI_COUNT(tables); i++) {
        for (const bvi_tpl_filter *f = tables[i]; f->name; f++) {
            if (bvi_span_is(name, f->name, strlen(f->name)))
                return f;
        }
    }
    return NULL;
}

static bool takes(bvi_tpl_takes takes, const bvi_tpl_value *v)
{
    switch (takes) {
    case BVI_TPL_TAKES_ANY:
        return true;
    case BVI_TPL_TAKES_STRING:
        return v->type == BVI_TPL_STRING;
    case BVI_TPL_TAKES_NUMBER:
        return bvi_tpl_is_number(v);
    case BVI_TPL_TAKES_ARRAY:
        return v->type == BVI_TPL_ARRAY;
    case BVI_TPL_TAKES_OBJECT:
        return v->type == BVI_TPL_OBJECT;
    }
    return false;
}

static int check_input(bvi_tpl_using *use, const bvi_tpl_filter *f, const bvi_tpl_value *v)
{
    static const char *const names[] = {
        [BVI_TPL_TAKES_ANY] = "value",     [BVI_TPL_TAKES_STRING] = "String",
        [BVI_TPL_TAKES_NUMBER] = "Number", [BVI_TPL_TAKES_ARRAY] = "Vec<Value>",
        [BVI_TPL_TAKES_OBJECT] = "Object",
    };
    char shown[BVI_TPL_SHOWN_MAX];

    if (takes(f->takes, v))
        return 0;
    bvi_tpl_show(v, shown);
    return bvi_tpl_use_fail(
        use, "Filter `%s` was called on an incorrect value: got `%s` but expected a %s", f->name,
        shown, names[f->takes]);
}

/* Copies and searches cost by what goes in. */
static uint64_t cost(const bvi_tpl_value *v)
{
    if (v->type == BVI_TPL_STRING)
        return v->len / BVI_TPL_BYTES_PER_OPERATION;
    return v->type >= BVI_TPL_ARRAY ? v->len : 0;
}

static int write_text(bvi_tpl_using *use, const bvi_tpl_value *input, bvi_tpl_write_fn fn,
                      bvi_tpl_value *ret)
{
    BVI_AUTO(bvi_buf_done) bvi_buf out = BVI_BUF_INIT(bvi_tpl_room(use->run));
    bvi_span text = { input->as.text, input->len };
    int r = bvi_tpl_use_room(use, fn(&out, text));

    return r < 0 ? r : bvi_tpl_use_keep(use, &out, ret);
}

int bvi_tpl_apply_filter(bvi_tpl_run *run, const bvi_tpl_expr *e, bvi_tpl_value input,
                         bvi_tpl_value *ret)
{
    const bvi_tpl_filter *f = find_filter(e->as.call.name);
    bvi_tpl_using use;
    int r;

    if (!f)
        return bvi_tpl_fail(run, e->pos, "Filter '%.*s' not found", (int)e->as.call.name.len,
                            e->as.call.name.at);
    r = bvi_tpl_use(run, e, "Filter", f->name, &use);
    if (r < 0)
        return r;
    r = bvi_tpl_spend(run, e->pos, cost(&input));
    if (r < 0)
        return r;
    r = check_input(&use, f, &input);
    if (r >= 0)
        r = f->write ? write_text(&use, &input, f->write, ret) : f->fn(&use, &input, ret);
    if (r < 0)
        return bvi_tpl_wrap(run, r, "Filter call '%s' failed", f->name);
    return bvi_tpl_checked(run, e->pos, ret);
}

/* ---- filters for any value ---- */

static int filter_same(bvi_tpl_using *use, const bvi_tpl_value *input, bvi_tpl_value *ret)
{
    *ret = *input;
    return 0;
}

static int filter_as_str(bvi_tpl_using *use, const bvi_tpl_value *input, bvi_tpl_value *ret)
{
    BVI_AUTO(bvi_buf_done) bvi_buf text = BVI_BUF_INIT(bvi_tpl_room(use->run));
    int r = bvi_tpl_use_room(use, bvi_tpl_print(&text, input));

    return r < 0 ? r : bvi_tpl_use_keep(use, &text, ret);
}

static int filter_json_encode(bvi_tpl_using *use, const bvi_tpl_value *input, bvi_tpl_value *ret)
{
    BVI_AUTO(bvi_buf_done) bvi_buf text = BVI_BUF_INIT(bvi_tpl_room(use->run));
    bool pretty = false;
    int r = bvi_tpl_arg_bool(use, "pretty", &pretty);

    if (r >= 0)
        r = bvi_tpl_use_room(use, bvi_tpl_print_json(&text, input, pretty));
    return r < 0 ? r : bvi_tpl_use_keep(use, &text, ret);
}

static int filter_length(bvi_tpl_using *use, const bvi_tpl_value *input, bvi_tpl_value *ret)
{
    size_t count = input->len;

    if (input->type < BVI_TPL_STRING)
        return bvi_tpl_use_fail(
            use,
            "Filter `length` was used on a value that isn't an array, an object, or a string.");
    if (input->type == BVI_TPL_STRING) {
        for (size_t i = 0; i < input->len; i++)
            count -= ((unsigned char)input->as.text[i] & 0xC0) == 0x80;
    }
    *ret = bvi_tpl_int((int64_t)count);
    return 0;
}

static int reverse_text(bvi_tpl_using *use, const bvi_tpl_value *input, bvi_tpl_value *ret)
{
    int r = 0;
    char *out = bvi_tpl_use_alloc(use, (size_t)input->len + 1, &r);
    size_t used = 0;

    if (!out)
        return r;
    out[input->len] = '\0';
    for (size_t at = 0; at < input->len; at += used) {
        (void)bvi_text_char(input->as.text + at, input->len - at, &used); /* only measured */
        memcpy(out + input->len - at - used, input->as.text + at, used);
    }
    *ret = bvi_tpl_text(out, input->len);
    return 0;
}

static int filter_reverse(bvi_tpl_using *use, const bvi_tpl_value *input, bvi_tpl_value *ret)
{
    bvi_tpl_value *items;
    int r = 0;

    if (input->type == BVI_TPL_STRING)
        return reverse_text(use, input, ret);
    if (input->type != BVI_TPL_ARRAY) {
        char shown[BVI_TPL_SHOWN_MAX];

        bvi_tpl_show(input, shown);
        return bvi_tpl_use_fail(use,
                                "Filter `reverse` received an incorrect type for arg `value`: got "
                                "`%s` but expected Array|String",
                                shown);
    }
    items = bvi_tpl_use_alloc(use, input->len * sizeof(*items), &r);
    if (!items)
        return r;
    for (size_t i = 0; i < input->len; i++)
        items[i] = input->as.items[input->len - 1 - i];
    *ret = bvi_tpl_array(items, input->len);
    return 0;
}

static int filter_get(bvi_tpl_using *use, const bvi_tpl_value *input, bvi_tpl_value *ret)
{
    const bvi_tpl_value *found = NULL;
    bvi_span key = { "", 0 };
    int r = bvi_tpl_arg_string(use, "key", true, &key);

    if (r < 0)
        return r;
    found = bvi_tpl_find(input, key.at, key.len);
    if (!found)
        found = bvi_tpl_arg_find(use, "default");
    if (!found)
        return bvi_tpl_use_fail(use, "Filter `get` tried to get key `%.*s` but it wasn't found",
                                (int)key.len, key.at);
    *ret = *found;
    return 0;
}

const bvi_tpl_filter bvi_tpl_value_filters[] = {
    { "as_str", BVI_TPL_TAKES_ANY, filter_as_str },
    { "get", BVI_TPL_TAKES_OBJECT, filter_get },
    { "json_encode", BVI_TPL_TAKES_ANY, filter_json_encode },
    { "length", BVI_TPL_TAKES_ANY, filter_length },
    { "reverse", BVI_TPL_TAKES_ANY, filter_reverse },
    { "safe", BVI_TPL_TAKES_ANY, filter_same },
    { NULL, BVI_TPL_TAKES_ANY, NULL },
};
