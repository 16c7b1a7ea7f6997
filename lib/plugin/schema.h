/*
 * schema.h - tables that say what a script's map must look like, and one function that applies
 * them.
 *
 * Conversion makes a new document with every key of the table: absent optional keys get their
 * default or null, unknown keys are left out (and named, on request, for a warning). The messages
 * are those plugins know from the reference implementation, preceded by the place: "services[1]:
 * Syntax error: missing field `run_sh`". Pure; any thread.
 */
#ifndef BVI_PLUGIN_SCHEMA_H
#define BVI_PLUGIN_SCHEMA_H

#include "base/json.h"
#include "base/vec.h"
#include "script/script.h"

/* An array in a configuration has no more items. */
#define BVI_SCHEMA_ITEMS_MAX 4096u
/* Unknown keys beyond this many are not named. */
#define BVI_SCHEMA_UNKNOWN_MAX 32u

typedef enum bvi_field_kind {
    BVI_FIELD_STRING,
    BVI_FIELD_BOOL,
    BVI_FIELD_UINT, /* 0 .. max */
    BVI_FIELD_INT,  /* -max-1 .. max */
    BVI_FIELD_ANY,
    BVI_FIELD_SIGNAL, /* a signal's name */
    BVI_FIELD_OBJECT, /* of fields */
    BVI_FIELD_ENUM,   /* of variants */
    BVI_FIELD_LIST,   /* of items that are like *item */
} bvi_field_kind;

typedef struct bvi_field bvi_field;

/* One alternative: text alone, or {text: payload}. */
typedef struct bvi_variant {
    const char *name;
    const bvi_field *payload; /* NULL: text alone */
} bvi_variant;

struct bvi_field {
    const char *key;   /* NULL ends a table of fields */
    const char *alias; /* what the key was called once; NULL: the same */
    bvi_field_kind kind;
    bool required;
    bool sparse;     /* when absent, left out of the document too: not every reader knows the key */
    const char *def; /* JSON text taken when absent or null; NULL: null */
    const char *type_name;       /* in messages: "u64", "Compression"; NULL: the kind's own */
    int64_t max;                 /* UINT, INT */
    const bvi_field *fields;     /* OBJECT */
    const bvi_variant *variants; /* ENUM; a NULL name ends the table */
    const bvi_field *item;       /* LIST */
};

/* Converts value, an object, by a table of fields. unknown may be NULL; else it receives a sentence
 * for each unknown key, at most unknown->max: "unknown key 'upload.excludes' is ignored; did you
 * mean 'exclude'?". Failures are BV_E_FORMAT. */
int bvi_schema_convert(const bvi_field *fields, const bvi_json *value, bvi_json **ret_object,
                       bvi_strv *unknown, bv_error **err);
/* The same for a script's value, whose types say more: a char is no string, NaN is not (). Also
 * BV_E_LIMIT when it is too large. */
int bvi_schema_convert_value(const bvi_field *fields, const bvi_value *value, bvi_json **ret_object,
                             bvi_strv *unknown, bv_error **err);

/* The field of a key or its former name; NULL: there is none. */
const bvi_field *bvi_field_find(const bvi_field *fields, const char *key, size_t len);

/* Whether one value is as a field says, its inside too; messages name no place for the value
 * itself.
 */
int bvi_schema_check(const bvi_field *field, const bvi_json *value, bv_error **err);

/* A document's type as scripts call it: "i64", "f64", "string", "()", "array", "map", "bool". */
const char *bvi_schema_type_of(const bvi_json *value);
/* What messages call the type a field wants: "String", "u64", "Map", "Compression". */
const char *bvi_field_type_name(const bvi_field *field);

#endif
