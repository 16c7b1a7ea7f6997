/*
 * schema.c - applies a table of fields to a document. See schema.h; the tables are in config.c and
 * jobs.c.
 */
#include <inttypes.h>
#include <string.h>

#include "base/near.h"
#include "plugin/schema.h"
#include "plugin/schema_place.h"
#include "sys/proc.h"

#define UNKNOWN_TEXT_MAX 1024u

static int convert(const bvi_field *field, const bvi_json *value, const bvi_place *at,
                   bvi_json **ret, bvi_strv *unknown, bv_error **err);

const char *bvi_schema_type_of(const bvi_json *value)
{
    int64_t i;
    uint64_t u;

    switch (bvi_json_type_of(value)) {
    case BVI_JSON_NULL:
        return "()";
    case BVI_JSON_BOOL:
        return "bool";
    case BVI_JSON_NUMBER:
        return bvi_json_int64(value, &i) == 0 || bvi_json_uint64(value, &u) == 0 ? "i64" : "f64";
    case BVI_JSON_STRING:
        return "string";
    case BVI_JSON_ARRAY:
        return "array";
    case BVI_JSON_OBJECT:
        return "map";
    }
    return "?";
}

static bool is_name(const char *name, const char *key, size_t len)
{
    return name && strlen(name) == len && memcmp(name, key, len) == 0;
}

const bvi_field *bvi_field_find(const bvi_field *fields, const char *key, size_t len)
{
    for (const bvi_field *f = fields; f->key; f++) {
        if (is_name(f->key, key, len) || is_name(f->alias, key, len))
            return f;
    }
    return NULL;
}

const char *bvi_field_type_name(const bvi_field *field)
{
    static const char *const names[] = {
        [BVI_FIELD_STRING] = "String", [BVI_FIELD_BOOL] = "bool",   [BVI_FIELD_UINT] = "u64",
        [BVI_FIELD_INT] = "i64",       [BVI_FIELD_ANY] = "any",     [BVI_FIELD_SIGNAL] = "String",
        [BVI_FIELD_OBJECT] = "Map",    [BVI_FIELD_ENUM] = "String", [BVI_FIELD_LIST] = "Array",
    };

    return field->type_name ? field->type_name : names[field->kind];
}

static int mismatch(const bvi_field *field, const bvi_json *value, const bvi_place *at,
                    bv_error **err)
{
    return bvi_place_fail(at, err, "Output type incorrect: %s (expecting %s)",
                          bvi_schema_type_of(value), bvi_field_type_name(field));
}

/* A made value, or the lack of memory for it. */
static int made(bvi_json *value, bvi_json **ret, bv_error **err)
{
    if (!value)
        return bvi_fail_nomem(err);
    *ret = value;
    return 0;
}

static int convert_scalar(const bvi_field *field, const bvi_json *value, const bvi_place *at,
                          bvi_json_type type, bvi_json **ret, bv_error **err)
{
    if (bvi_json_type_of(value) != type)
        return mismatch(field, value, at, err);
    return made(bvi_json_copy(value), ret, err);
}

static int convert_number(const bvi_field *field, const bvi_json *value, const bvi_place *at,
                          bvi_json **ret, bv_error **err)
{
    int64_t min = field->kind == BVI_FIELD_UINT ? 0 : -field->max - 1;
    int64_t i = 0;
    uint64_t u = 0;

    if (bvi_json_type_of(value) != BVI_JSON_NUMBER)
        return mismatch(field, value, at, err);
    if (bvi_json_int64(value, &i) < 0) {
        if (bvi_json_uint64(value, &u) < 0)
            return mismatch(field, value, at, err); /* a fraction */
        return bvi_place_fail(at, err,
                              "Syntax error: invalid value: integer `%" PRIu64 "`, expected %s", u,
                              bvi_field_type_name(field));
    }
    if (i < min || i > field->max)
        return bvi_place_fail(at, err,
                              "Syntax error: invalid value: integer `%" PRId64 "`, expected %s", i,
                              bvi_field_type_name(field));
    return made(bvi_json_new_int64(i), ret, err);
}

static int convert_signal(const bvi_field *field, const bvi_json *value, const bvi_place *at,
                          bvi_json **ret, bv_error **err)
{
    const char *name = bvi_json_string(value);
    int signum;

    if (name && !bvi_signal_from_name(name, &signum))
        return bvi_place_fail(
            at, err,
            "Syntax error: unknown variant `%s`, expected the name of a signal such "
            "as `SIGTERM` or `SIGINT`",
            name);
    return convert_scalar(field, value, at, BVI_JSON_STRING, ret, err);
}

/* ---- alternatives ---- */

static int unknown_variant(const bvi_field *field, const char *name, const bvi_place *at,
                           bv_error **err)
{
    BVI_AUTO(bvi_buf_done) bvi_buf list = BVI_BUF_INIT(BVI_ERROR_MESSAGE_MAX);
    size_t n = 0;

    for (const bvi_variant *v = field->variants; v->name; v++)
        n++;
    if (n > 2)
        (void)bvi_buf_append_str(&list, "one of "); /* a message that is cut still helps */
    for (size_t i = 0; i < n; i++) {
        const char *between = i == 0 ? "" : n == 2 ? " or " : ", ";

        (void)bvi_buf_printf(&list, "%s`%s`", between, field->variants[i].name);
    }
    return bvi_place_fail(at, err, "Syntax error: unknown variant `%s`, expected %s", name,
                          bvi_buf_str(&list));
}

static int find_variant(const bvi_field *field, const char *name, const bvi_place *at,
                        const bvi_variant **ret_variant, bv_error **err)
{
    for (const bvi_variant *v = field->variants; v->name; v++) {
        if (strcmp(v->name, name) == 0) {
            *ret_variant = v;
            return 0;
        }
    }
    return unknown_variant(field, name, at, err);
}

static int convert_tagged(const bvi_variant *variant, const bvi_json *payload, const bvi_place *at,
                          bvi_json **ret, bvi_strv *unknown, bv_error **err)
{
    bvi_place here = { at, variant->name, 0 };
    bvi_auto_json bvi_json *object = NULL;
    bvi_json *inner = NULL;
    int r;

    r = convert(variant->payload, payload, &here, &inner, unknown, err);
    if (r < 0)
        return r;
    object = bvi_json_new_object();
    if (!object) {
        bvi_json_free(inner);
        return bvi_fail_nomem(err);
    }
    if (bvi_json_put(object, variant->name, inner) < 0)
        return bvi_fail_nomem(err);
    *ret = bvi_take(object);
    return 0;
}

static int convert_enum(const bvi_field *field, const bvi_json *value, const bvi_place *at,
                        bvi_json **ret, bvi_strv *unknown, bv_error **err)
{
    const bvi_json *payload = NULL;
    const bvi_variant *variant = NULL;
    const char *name = bvi_json_string(value);
    int r;

    if (!name) {
        payload = bvi_json_first(value);
        if (bvi_json_type_of(value) != BVI_JSON_OBJECT || !payload || bvi_json_next(payload))
            return mismatch(field, value, at, err);
        name = bvi_json_key(payload);
    }
    r = find_variant(field, name, at, &variant, err);
    if (r < 0)
        return r;
    if (!variant->payload) {
        if (bvi_json_type_of(payload) != BVI_JSON_NULL)
            return bvi_place_fail(at, err,
                                  "Syntax error: invalid type: %s, expected unit for variant `%s`",
                                  bvi_schema_type_of(payload), name);
        return made(bvi_json_new_string(variant->name), ret, err);
    }
    if (!payload)
        return bvi_place_fail(at, err,
                              "Syntax error: invalid type: unit variant, expected newtype variant "
                              "(write #{%s: ...})",
                              name);
    return convert_tagged(variant, payload, at, ret, unknown, err);
}

/* ---- containers ---- */

static int convert_list(const bvi_field *field, const bvi_json *value, const bvi_place *at,
                        bvi_json **ret, bvi_strv *unknown, bv_error **err)
{
    bvi_auto_json bvi_json *list = NULL;
    size_t i = 0;
    int r;

    if (bvi_json_type_of(value) != BVI_JSON_ARRAY)
        return mismatch(field, value, at, err);
    list = bvi_json_new_array();
    if (!list)
        return bvi_fail_nomem(err);
    bvi_json_each(item, value) {
        bvi_place here = { at, NULL, i };
        bvi_json *converted = NULL;

        if (i >= BVI_SCHEMA_ITEMS_MAX)
            return bvi_place_fail(at, err, "more than %u items", BVI_SCHEMA_ITEMS_MAX);
        r = convert(field->item, item, &here, &converted, unknown, err);
        if (r < 0)
            return r;
        r = bvi_json_add(list, converted);
        if (r < 0)
            return bvi_fail_nomem(err);
        i++;
    }
    *ret = bvi_take(list);
    return 0;
}

/* "unknown key 'upload.excludes' is ignored; did you mean 'exclude'?" */
static int describe_unknown(const bvi_field *fields, const char *key, const bvi_place *at,
                            bvi_buf *text)
{
    bvi_place here = { at, key, 0 };
    bvi_near near = BVI_NEAR_INIT(key);
    int r = bvi_buf_append_str(text, "unknown key '");

    for (const bvi_field *f = fields; f->key; f++)
        bvi_near_try(&near, f->key);
    if (r >= 0)
        r = bvi_place_print(&here, text);
    if (r >= 0)
        r = bvi_buf_append_str(text, "' is ignored");
    if (r < 0 || !near.best)
        return r;
    return bvi_buf_printf(text, "; did you mean '%s'?", near.best);
}

static int note_unknown(const bvi_field *fields, const bvi_json *value, const bvi_place *at,
                        bvi_strv *unknown)
{
    bvi_json_each(item, value) {
        BVI_AUTO(bvi_buf_done) bvi_buf text = BVI_BUF_INIT(UNKNOWN_TEXT_MAX);

        if (bvi_field_find(fields, bvi_json_key(item), strlen(bvi_json_key(item))) ||
            unknown->len >= unknown->max)
            continue;
        /* A text that is cut still helps. */
        if (describe_unknown(fields, bvi_json_key(item), at, &text) == BV_E_NOMEM ||
            bvi_strv_add(unknown, bvi_buf_str(&text)) == BV_E_NOMEM)
            return BV_E_NOMEM;
    }
    return 0;
}

/* For what is not required absent and null are the same. */
static int convert_missing(const bvi_field *field, const bvi_json *value, const bvi_place *at,
                           bvi_json **ret, bv_error **err)
{
    bvi_place here = { at, field->key, 0 };

    if (field->required && value)
        return mismatch(field, value, &here, err);
    if (field->required)
        return bvi_place_fail(at, err, "Syntax error: missing field `%s`", field->key);
    if (field->def)
        return bvi_json_parse(field->def, strlen(field->def), ret, err);
    return made(bvi_json_new_null(), ret, err);
}

static int convert_member(const bvi_field *field, const bvi_json *object, const bvi_place *at,
                          bvi_json *out, bvi_strv *unknown, bv_error **err)
{
    const bvi_json *value = bvi_json_find(object, field->key);
    bvi_place here = { at, field->key, 0 };
    bvi_json *converted = NULL;
    int r;

    if (!value && field->alias)
        value = bvi_json_find(object, field->alias);
    if (field->sparse && bvi_json_type_of(value) == BVI_JSON_NULL)
        return 0;
    if (bvi_json_type_of(value) == BVI_JSON_NULL && !(value && field->kind == BVI_FIELD_ANY)) {
        r = convert_missing(field, value, at, &converted, err);
    } else {
        r = convert(field, value, &here, &converted, unknown, err);
    }
    if (r < 0)
        return r;
    return bvi_json_put(out, field->key, converted) < 0 ? bvi_fail_nomem(err) : 0;
}

static int convert_object(const bvi_field *fields, const bvi_json *value, const bvi_place *at,
                          bvi_json **ret, bvi_strv *unknown, bv_error **err)
{
    bvi_auto_json bvi_json *out = bvi_json_new_object();
    int r;

    if (!out)
        return bvi_fail_nomem(err);
    if (unknown && note_unknown(fields, value, at, unknown) < 0)
        return bvi_fail_nomem(err);
    for (const bvi_field *f = fields; f->key; f++) {
        r = convert_member(f, value, at, out, unknown, err);
        if (r < 0)
            return r;
    }
    *ret = bvi_take(out);
    return 0;
}

static int convert(const bvi_field *field, const bvi_json *value, const bvi_place *at,
                   bvi_json **ret, bvi_strv *unknown, bv_error **err)
{
    switch (field->kind) {
    case BVI_FIELD_STRING:
        return convert_scalar(field, value, at, BVI_JSON_STRING, ret, err);
    case BVI_FIELD_BOOL:
        return convert_scalar(field, value, at, BVI_JSON_BOOL, ret, err);
    case BVI_FIELD_UINT:
    case BVI_FIELD_INT:
        return convert_number(field, value, at, ret, err);
    case BVI_FIELD_ANY:
        return made(bvi_json_copy(value), ret, err);
    case BVI_FIELD_SIGNAL:
        return convert_signal(field, value, at, ret, err);
    case BVI_FIELD_OBJECT:
        if (bvi_json_type_of(value) != BVI_JSON_OBJECT)
            return mismatch(field, value, at, err);
        return convert_object(field->fields, value, at, ret, unknown, err);
    case BVI_FIELD_ENUM:
        return convert_enum(field, value, at, ret, unknown, err);
    case BVI_FIELD_LIST:
        return convert_list(field, value, at, ret, unknown, err);
    }
    return bvi_fail(err, BV_E_INTERNAL, "a field of an unknown kind");
}

int bvi_schema_convert(const bvi_field *fields, const bvi_json *value, bvi_json **ret_object,
                       bvi_strv *unknown, bv_error **err)
{
    const bvi_field root = { .kind = BVI_FIELD_OBJECT, .fields = fields };

    return convert(&root, value, NULL, ret_object, unknown, err);
}

int bvi_schema_check(const bvi_field *field, const bvi_json *value, bv_error **err)
{
    bvi_auto_json bvi_json *converted = NULL;

    return convert(field, value, NULL, &converted, NULL, err);
}
