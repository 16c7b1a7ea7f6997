/*
 * check_shape.c - walks a document along its table of fields. See check_shape.h.
 *
 * Recursion follows the tables, which end; the document may be as deep as it likes.
 */
#include <string.h>

#include "plugin/check_shape.h"
#include "plugin/schema_place.h"

static int walk(const bvi_field *field, const bvi_json *value, const bvi_place *at,
                const bvi_shape_sink *sink);

/* The path as text; NULL: no memory. */
static char *path_of(const bvi_place *at)
{
    bvi_buf text = BVI_BUF_INIT(BVI_PLACE_TEXT_MAX);
    char *path;

    (void)bvi_place_print(at, &text); /* one that is cut still helps */
    path = bvi_buf_take(&text);
    bvi_buf_done(&text);
    return path;
}

/* A key that means nothing, or is called otherwise now. */
static int report_key(const bvi_field *fields, const bvi_json *member, const bvi_place *at,
                      const bvi_shape_sink *sink)
{
    const char *key = bvi_json_key(member);
    const bvi_place here = { at, key, 0 };
    const bvi_field *field = bvi_field_find(fields, key, strlen(key));
    bvi_near near = BVI_NEAR_INIT(key);
    bvi_auto_free char *path = NULL;

    if (field && strcmp(field->key, key) == 0)
        return 0;
    for (const bvi_field *f = fields; f->key; f++)
        bvi_near_try(&near, f->key);
    path = path_of(&here);
    if (path && field && sink->former)
        sink->former(sink->data, path, member, field);
    if (path && !field && sink->unknown)
        sink->unknown(sink->data, path, member, &near);
    return path ? 0 : BV_E_NOMEM;
}

static int report_missing(const bvi_json *object, const char *key, const bvi_place *at,
                          const bvi_shape_sink *sink)
{
    bvi_auto_free char *path = sink->missing ? path_of(at) : NULL;

    if (path)
        sink->missing(sink->data, path, object, key);
    return path || !sink->missing ? 0 : BV_E_NOMEM;
}

static int report_wrong(const bvi_field *field, const bvi_json *value, const bvi_place *at,
                        const bvi_shape_sink *sink)
{
    bvi_auto_error bv_error *err = NULL;
    bvi_auto_free char *path = NULL;
    bvi_auto_free char *why = NULL;

    if (!sink->wrong || bvi_schema_check(field, value, &err) == 0)
        return 0;
    path = path_of(at);
    why = bvi_error_text(err);
    if (!path || !why)
        return BV_E_NOMEM;
    sink->wrong(sink->data, path, value, why);
    return 0;
}

static int walk_object(const bvi_field *fields, const bvi_json *object, const bvi_place *at,
                       const bvi_shape_sink *sink)
{
    int r = 0;

    bvi_json_each(member, object) {
        if (r == 0)
            r = report_key(fields, member, at, sink);
    }
    for (const bvi_field *f = fields; f->key && r == 0; f++) {
        const bvi_json *now = bvi_json_find(object, f->key);
        const bvi_json *value = now || !f->alias ? now : bvi_json_find(object, f->alias);
        const bvi_place here = { at, f->key, 0 };

        if (bvi_json_type_of(value) != BVI_JSON_NULL)
            r = walk(f, value, &here, sink);
        else if (f->required)
            r = report_missing(object, f->key, at, sink);
    }
    return r;
}

static int walk_list(const bvi_field *field, const bvi_json *list, const bvi_place *at,
                     const bvi_shape_sink *sink)
{
    size_t index = 0;
    int r = 0;

    bvi_json_each(item, list) {
        const bvi_place here = { at, NULL, index++ };

        if (r == 0)
            r = walk(field->item, item, &here, sink);
    }
    return r;
}

/* The payload of an alternative with one; anything else is as right or wrong as a whole. */
static int walk_enum(const bvi_field *field, const bvi_json *value, const bvi_place *at,
                     const bvi_shape_sink *sink)
{
    const bvi_json *payload =
        bvi_json_type_of(value) == BVI_JSON_OBJECT ? bvi_json_first(value) : NULL;

    for (const bvi_variant *v = field->variants; payload && v->name; v++) {
        const bvi_place here = { at, v->name, 0 };

        if (strcmp(v->name, bvi_json_key(payload)) == 0 && v->payload && !bvi_json_next(payload))
            return walk(v->payload, payload, &here, sink);
    }
    return report_wrong(field, value, at, sink);
}

static int walk(const bvi_field *field, const bvi_json *value, const bvi_place *at,
                const bvi_shape_sink *sink)
{
    bvi_json_type type = bvi_json_type_of(value);

    if (field->kind == BVI_FIELD_OBJECT && type == BVI_JSON_OBJECT)
        return walk_object(field->fields, value, at, sink);
    if (field->kind == BVI_FIELD_LIST && type == BVI_JSON_ARRAY)
        return walk_list(field, value, at, sink);
    if (field->kind == BVI_FIELD_ENUM)
        return walk_enum(field, value, at, sink);
    return report_wrong(field, value, at, sink);
}

int bvi_shape_check(const bvi_field *fields, const bvi_json *object, const bvi_shape_sink *sink)
{
    return walk_object(fields, object, NULL, sink);
}
