/*
 * schema_types.c - the types of a script's value against a table of fields, before it becomes a
 * document: JSON knows neither characters nor the difference between () and NaN. See schema.h.
 *
 * Only types are looked at, in the order of the value's keys, as the reference does; what is
 * missing or unknown is for the conversion.
 */
#include <string.h>

#include "plugin/schema.h"
#include "plugin/schema_place.h"

static int check(const bvi_field *field, const bvi_value *value, const bvi_place *at,
                 bv_error **err);

static int mismatch(const bvi_field *field, const bvi_value *value, const bvi_place *at,
                    bv_error **err)
{
    return bvi_place_fail(at, err, "Output type incorrect: %s (expecting %s)",
                          bvi_value_type_name(value), bvi_field_type_name(field));
}

static int check_map(const bvi_field *fields, const bvi_value *map, const bvi_place *at,
                     bv_error **err)
{
    for (size_t i = 0; i < bvi_value_count(map); i++) {
        const char *key = NULL;
        size_t len = 0;
        const bvi_value *value = bvi_value_entry(map, i, &key, &len);
        const bvi_field *f = bvi_field_find(fields, key, len);
        bvi_place here = { at, f ? f->key : NULL, 0 };
        int r = f ? check(f, value, &here, err) : 0;

        if (r < 0)
            return r;
    }
    return 0;
}

static int check_list(const bvi_field *field, const bvi_value *list, const bvi_place *at,
                      bv_error **err)
{
    for (size_t i = 0; i < bvi_value_count(list) && i < BVI_SCHEMA_ITEMS_MAX; i++) {
        bvi_place here = { at, NULL, i };
        int r = check(field->item, bvi_value_at(list, i), &here, err);

        if (r < 0)
            return r;
    }
    return 0;
}

static int check_enum(const bvi_field *field, const bvi_value *value, const bvi_place *at,
                      bv_error **err)
{
    const bvi_variant *v = field->variants;
    const bvi_value *payload;
    const char *key = NULL;
    size_t len = 0;
    bvi_place here = { at, NULL, 0 };

    if (value->type == BVI_T_STRING)
        return 0;
    if (value->type != BVI_T_MAP || bvi_value_count(value) != 1)
        return mismatch(field, value, at, err);
    payload = bvi_value_entry(value, 0, &key, &len);
    while (v->name && (strlen(v->name) != len || memcmp(v->name, key, len) != 0))
        v++;
    here.key = v->name;
    return v->name && v->payload ? check(v->payload, payload, &here, err) : 0;
}

static int check(const bvi_field *field, const bvi_value *value, const bvi_place *at,
                 bv_error **err)
{
    static const bvi_type types[] = {
        [BVI_FIELD_STRING] = BVI_T_STRING, [BVI_FIELD_BOOL] = BVI_T_BOOL,
        [BVI_FIELD_UINT] = BVI_T_INT,      [BVI_FIELD_INT] = BVI_T_INT,
        [BVI_FIELD_SIGNAL] = BVI_T_STRING, [BVI_FIELD_OBJECT] = BVI_T_MAP,
        [BVI_FIELD_LIST] = BVI_T_ARRAY,
    };

    if (value->type == BVI_T_UNIT || field->kind == BVI_FIELD_ANY)
        return 0;
    if (field->kind == BVI_FIELD_ENUM)
        return check_enum(field, value, at, err);
    if (value->type != types[field->kind])
        return mismatch(field, value, at, err);
    if (field->kind == BVI_FIELD_OBJECT)
        return check_map(field->fields, value, at, err);
    return field->kind == BVI_FIELD_LIST ? check_list(field, value, at, err) : 0;
}

int bvi_schema_convert_value(const bvi_field *fields, const bvi_value *value, bvi_json **ret_object,
                             bvi_strv *unknown, bv_error **err)
{
    const bvi_field root = { .kind = BVI_FIELD_OBJECT, .fields = fields };
    bvi_auto_json bvi_json *document = NULL;
    bvi_auto_error bv_error *failure = NULL;
    int to_json = bvi_value_to_json(value, &document, &failure);
    int r;

    if (to_json < 0 && to_json != BV_E_INVALID)
        return bvi_error_move(err, bvi_take(failure));
    /* What JSON cannot hold at all is best named by the place that cannot hold it. */
    r = check(&root, value, NULL, err);
    if (r < 0)
        return r;
    if (to_json < 0) {
        (void)bvi_error_move(err, bvi_take(failure));
        return bvi_wrap(err, BV_E_FORMAT, "it cannot be kept");
    }
    return bvi_schema_convert(fields, document, ret_object, unknown, err);
}
