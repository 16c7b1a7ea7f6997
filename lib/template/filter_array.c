/*
 * filter_array.c - filters of arrays.
 */
#include <stdlib.h>
#include <string.h>

#include "base/case_map.h"
#include "template/run.h"

static int new_items(bvi_tpl_using *use, size_t count, bvi_tpl_value **ret)
{
    int r = 0;

    *ret = bvi_tpl_use_alloc(use, count * sizeof(**ret), &r);
    return r;
}

/* ---- single items ---- */

static bvi_tpl_value item_or_empty(const bvi_tpl_value *array, uint64_t index)
{
    return index < array->len ? array->as.items[index] : bvi_tpl_text("", 0);
}

static int filter_first(bvi_tpl_using *use, const bvi_tpl_value *input, bvi_tpl_value *ret)
{
    *ret = item_or_empty(input, 0);
    return 0;
}

static int filter_last(bvi_tpl_using *use, const bvi_tpl_value *input, bvi_tpl_value *ret)
{
    *ret = item_or_empty(input, (uint64_t)input->len - 1);
    return 0;
}

static int filter_nth(bvi_tpl_using *use, const bvi_tpl_value *input, bvi_tpl_value *ret)
{
    int64_t n = 0;
    int r = bvi_tpl_arg_int(use, "n", true, &n);

    *ret = item_or_empty(input, (uint64_t)n); /* a negative one is out of range */
    return r;
}

static int filter_join(bvi_tpl_using *use, const bvi_tpl_value *input, bvi_tpl_value *ret)
{
    BVI_AUTO(bvi_buf_done) bvi_buf sep = BVI_BUF_INIT(bvi_tpl_room(use->run));
    BVI_AUTO(bvi_buf_done) bvi_buf text = BVI_BUF_INIT(bvi_tpl_room(use->run));
    int r = bvi_tpl_arg_pattern(use, "sep", false, &sep);

    for (size_t i = 0; r >= 0 && i < input->len; i++) {
        r = bvi_tpl_use_room(use, i ? bvi_buf_append(&text, bvi_buf_str(&sep), sep.len) : 0);
        if (r >= 0)
            r = bvi_tpl_use_room(use, bvi_tpl_print(&text, &input->as.items[i]));
    }
    return r < 0 ? r : bvi_tpl_use_keep(use, &text, ret);
}

/* ---- parts ---- */

/* Negative counts from the end; clamped to the array. */
static size_t from_either_end(int64_t index, size_t len)
{
    if (index < 0)
        index = index < -(int64_t)len ? 0 : (int64_t)len + index;
    return index < (int64_t)len ? (size_t)index : len;
}

static int filter_slice(bvi_tpl_using *use, const bvi_tpl_value *input, bvi_tpl_value *ret)
{
    int64_t start = 0;
    int64_t end = input->len;
    size_t from, to;
    int r = bvi_tpl_arg_int(use, "start", false, &start);

    if (r >= 0)
        r = bvi_tpl_arg_int(use, "end", false, &end);
    if (r < 0)
        return r;
    from = from_either_end(start, input->len);
    to = from_either_end(end, input->len);
    *ret = bvi_tpl_array(input->as.items + from, from < to ? to - from : 0);
    return 0;
}

static int filter_concat(bvi_tpl_using *use, const bvi_tpl_value *input, bvi_tpl_value *ret)
{
    const bvi_tpl_value *with = NULL;
    const bvi_tpl_value *more;
    bvi_tpl_value *items = NULL;
    size_t count;
    int r = bvi_tpl_arg_need(use, "with", &with);

    if (r < 0)
        return r;
    more = with->type == BVI_TPL_ARRAY ? with->as.items : with;
    count = with->type == BVI_TPL_ARRAY ? with->len : 1;
    r = new_items(use, input->len + count, &items);
    if (r < 0)
        return r;
    if (input->len)
        memcpy(items, input->as.items, input->len * sizeof(*items));
    if (count)
        memcpy(items + input->len, more, count * sizeof(*items));
    *ret = bvi_tpl_array(items, input->len + count);
    return 0;
}

/* ---- by attribute ---- */

static int need_attribute(bvi_tpl_using *use, bvi_span *ret)
{
    return bvi_tpl_arg_string(use, "attribute", true, ret);
}

/* The part of an item that an attribute names; NULL: missing or null. */
static const bvi_tpl_value *attribute_of(const bvi_tpl_value *item, bvi_span attribute)
{
    const bvi_tpl_value *v = bvi_tpl_find_path(item, attribute.at, attribute.len);

    return v && v->type != BVI_TPL_NULL ? v : NULL;
}

static int filter_map(bvi_tpl_using *use, const bvi_tpl_value *input, bvi_tpl_value *ret)
{
    bvi_tpl_value *items = NULL;
    bvi_span attribute = { "", 0 };
    size_t n = 0;
    int r = need_attribute(use, &attribute);

    if (r >= 0)
        r = new_items(use, input->len, &items);
    if (r < 0)
        return r;
    for (size_t i = 0; i < input->len; i++) {
        const bvi_tpl_value *v = attribute_of(&input->as.items[i], attribute);

        if (v)
            items[n++] = *v;
    }
    *ret = bvi_tpl_array(items, n);
    return 0;
}

static int filter_filter(bvi_tpl_using *use, const bvi_tpl_value *input, bvi_tpl_value *ret)
{
    const bvi_tpl_value *wanted = bvi_tpl_arg_find(use, "value");
    bool any = !wanted || wanted->type == BVI_TPL_NULL;
    bvi_tpl_value *items = NULL;
    bvi_span attribute = { "", 0 };
    size_t n = 0;
    int r = need_attribute(use, &attribute);

    if (r >= 0)
        r = new_items(use, input->len, &items);
    if (r < 0)
        return r;
    for (size_t i = 0; i < input->len; i++) {
        const bvi_tpl_value *v = attribute_of(&input->as.items[i], attribute);

        if (v && (any || bvi_tpl_equal(v, wanted, &use->run->work)))
            items[n++] = input->as.items[i];
    }
    *ret = bvi_tpl_array(items, n);
    return bvi_tpl_use_spend(use, 0);
}

/* ---- sort: a merge sort, so that equal items keep their order ---- */

typedef struct sortable {
    const bvi_tpl_value *by;
    bvi_tpl_value item;
} sortable;

static int order_of(const bvi_tpl_value *a, const bvi_tpl_value *b)
{
    if (a->type == BVI_TPL_BOOL)
        return (int)a->as.b - (int)b->as.b;
    if (a->type >= BVI_TPL_ARRAY)
        return (a->len > b->len) - (a->len < b->len);
    return bvi_tpl_compare(a, b);
}

static void merge_sort(sortable *items, sortable *spare, size_t count)
{
    size_t half = count / 2;
    size_t a = 0, b = half, n = 0;

    if (count < 2)
        return;
    merge_sort(items, spare, half);
    merge_sort(items + half, spare, count - half);
    while (a < half && b < count)
        spare[n++] = order_of(items[b].by, items[a].by) < 0 ? items[b++] : items[a++];
    while (a < half)
        spare[n++] = items[a++];
    memcpy(items, spare, n * sizeof(*items));
}

/* Numbers sort with numbers, everything else with its own type. */
static int check_sortable(bvi_tpl_using *use, const sortable *items, size_t count)
{
    char shown[BVI_TPL_SHOWN_MAX], first[BVI_TPL_SHOWN_MAX];

    for (size_t i = 0; i < count; i++) {
        const bvi_tpl_value *v = items[i].by;
        bool same = v->type == items[0].by->type ||
                    (bvi_tpl_is_number(v) && bvi_tpl_is_number(items[0].by));

        if (same && v->type != BVI_TPL_NULL && v->type != BVI_TPL_OBJECT)
            continue;
        bvi_tpl_show(v, shown);
        bvi_tpl_show(items[0].by, first);
        return same ? bvi_tpl_use_fail(use, "Filter `sort` cannot order `%s`", shown)
                    : bvi_tpl_use_fail(use, "Filter `sort` cannot compare `%s` with `%s`", first,
                                       shown);
    }
    return 0;
}

static int take_sortables(bvi_tpl_using *use, const bvi_tpl_value *input, bvi_span attribute,
                          sortable *items)
{
    for (size_t i = 0; i < input->len; i++) {
        items[i].item = input->as.items[i];
        items[i].by = attribute.len
                          ? bvi_tpl_find_path(&input->as.items[i], attribute.at, attribute.len)
                          : &input->as.items[i];
        if (!items[i].by)
            return bvi_tpl_use_fail(use,
                                    "Filter `sort`: attribute '%.*s' does not reference a field",
                                    (int)attribute.len, attribute.at);
    }
    return check_sortable(use, items, input->len);
}

static uint64_t sort_cost(size_t count)
{
    uint64_t levels = 1;

    for (size_t n = count; n > 1; n /= 2)
        levels++;
    return count * levels;
}

static int filter_sort(bvi_tpl_using *use, const bvi_tpl_value *input, bvi_tpl_value *ret)
{
    bvi_span attribute = { "", 0 };
    sortable *all = NULL;
    bvi_tpl_value *items = NULL;
    int r = bvi_tpl_arg_string(use, "attribute", false, &attribute);

    if (r >= 0)
        all = bvi_tpl_use_alloc(use, 2 * input->len * sizeof(*all), &r);
    if (r >= 0)
        r = new_items(use, input->len, &items);
    if (r >= 0)
        r = bvi_tpl_use_spend(use, sort_cost(input->len));
    if (r >= 0)
        r = take_sortables(use, input, attribute, all);
    if (r < 0)
        return r;
    merge_sort(all, all + input->len, input->len);
    for (size_t i = 0; i < input->len; i++)
        items[i] = all[i].item;
    *ret = bvi_tpl_array(items, input->len);
    return 0;
}

/* ---- unique ---- */

static int lower_key(bvi_tpl_using *use, const bvi_tpl_value *v, bvi_tpl_value *ret)
{
    BVI_AUTO(bvi_buf_done) bvi_buf text = BVI_BUF_INIT(bvi_tpl_room(use->run));
    size_t used = 0;
    int r = 0;

    for (size_t at = 0; r >= 0 && at < v->len; at += used)
        r = bvi_case_text(&text, bvi_text_char(v->as.text + at, v->len - at, &used), false);
    r = bvi_tpl_use_room(use, r);
    return r < 0 ? r : bvi_tpl_use_keep(use, &text, ret);
}

/* Whether key is among the first count; counts what that costs. */
static bool is_known(bvi_tpl_using *use, const bvi_tpl_value *keys, size_t count,
                     const bvi_tpl_value *key)
{
    for (size_t i = 0; i < count; i++) {
        if (bvi_tpl_equal(&keys[i], key, &use->run->work))
            return true;
    }
    return false;
}

static int filter_unique(bvi_tpl_using *use, const bvi_tpl_value *input, bvi_tpl_value *ret)
{
    bool exact = false;
    bvi_span attribute = { "", 0 };
    bvi_tpl_value *items = NULL, *keys = NULL;
    size_t n = 0;
    int r = bvi_tpl_arg_bool(use, "case_sensitive", &exact);

    if (r >= 0)
        r = bvi_tpl_arg_string(use, "attribute", false, &attribute);
    if (r >= 0)
        r = new_items(use, input->len, &items);
    if (r >= 0)
        r = new_items(use, input->len, &keys);
    for (size_t i = 0; r >= 0 && i < input->len; i++) {
        const bvi_tpl_value *item = &input->as.items[i];
        const bvi_tpl_value *v = attribute.len ? attribute_of(item, attribute) : item;

        if (!v)
            continue;
        keys[n] = *v;
        if (!exact && v->type == BVI_TPL_STRING)
            r = lower_key(use, v, &keys[n]);
        if (r >= 0 && !is_known(use, keys, n, &keys[n]))
            items[n++] = *item;
        if (r >= 0)
            r = bvi_tpl_use_spend(use, 0);
    }
    *ret = bvi_tpl_array(items, n);
    return r;
}

/* ---- group_by ---- */

typedef struct grouped {
    bvi_tpl_value key; /* as text */
    bvi_tpl_value item;
    size_t order;
} grouped;

static int compare_grouped(const void *a, const void *b)
{
    const grouped *x = a, *y = b;
    int order = bvi_tpl_compare(&x->key, &y->key);

    return order ? order : (x->order > y->order) - (x->order < y->order);
}

static int take_grouped(bvi_tpl_using *use, const bvi_tpl_value *input, bvi_span attribute,
                        grouped *all, size_t *ret_count)
{
    size_t n = 0;

    for (size_t i = 0; i < input->len; i++) {
        BVI_AUTO(bvi_buf_done) bvi_buf text = BVI_BUF_INIT(bvi_tpl_room(use->run));
        const bvi_tpl_value *v = attribute_of(&input->as.items[i], attribute);
        int r;

        if (!v)
            continue;
        r = bvi_tpl_use_room(use, bvi_tpl_print(&text, v));
        if (r >= 0)
            r = bvi_tpl_use_keep(use, &text, &all[n].key);
        if (r < 0)
            return r;
        all[n].item = input->as.items[i];
        all[n].order = n;
        n++;
    }
    *ret_count = n;
    return 0;
}

/* Sorted items with the same key lie together. */
static size_t make_groups(const grouped *all, size_t count, bvi_tpl_value *items,
                          bvi_tpl_member *members)
{
    size_t groups = 0;

    for (size_t from = 0, to = 0; from < count; from = to) {
        while (to < count && bvi_tpl_compare(&all[from].key, &all[to].key) == 0) {
            items[to] = all[to].item;
            to++;
        }
        members[groups].key = all[from].key;
        members[groups++].value = bvi_tpl_array(items + from, to - from);
    }
    return groups;
}

static int filter_group_by(bvi_tpl_using *use, const bvi_tpl_value *input, bvi_tpl_value *ret)
{
    bvi_span attribute = { "", 0 };
    grouped *all = NULL;
    bvi_tpl_value *items = NULL;
    bvi_tpl_member *members = NULL;
    size_t count = 0;
    int r = need_attribute(use, &attribute);

    if (r >= 0)
        all = bvi_tpl_use_alloc(use, input->len * sizeof(*all), &r);
    if (r >= 0)
        r = new_items(use, input->len, &items);
    if (r >= 0)
        members = bvi_tpl_use_alloc(use, input->len * sizeof(*members), &r);
    if (r >= 0)
        r = take_grouped(use, input, attribute, all, &count);
    if (r >= 0)
        r = bvi_tpl_use_spend(use, sort_cost(count));
    if (r < 0)
        return r;
    qsort(all, count, sizeof(*all), compare_grouped);
    *ret = bvi_tpl_object(members, make_groups(all, count, items, members));
    return 0;
}

const bvi_tpl_filter bvi_tpl_array_filters[] = {
    { "concat", BVI_TPL_TAKES_ARRAY, filter_concat },
    { "filter", BVI_TPL_TAKES_ARRAY, filter_filter },
    { "first", BVI_TPL_TAKES_ARRAY, filter_first },
    { "group_by", BVI_TPL_TAKES_ARRAY, filter_group_by },
    { "join", BVI_TPL_TAKES_ARRAY, filter_join },
    { "last", BVI_TPL_TAKES_ARRAY, filter_last },
    { "map", BVI_TPL_TAKES_ARRAY, filter_map },
    { "nth", BVI_TPL_TAKES_ARRAY, filter_nth },
    { "slice", BVI_TPL_TAKES_ARRAY, filter_slice },
    { "sort", BVI_TPL_TAKES_ARRAY, filter_sort },
    { "unique", BVI_TPL_TAKES_ARRAY, filter_unique },
    { NULL, BVI_TPL_TAKES_ANY, NULL },
};
