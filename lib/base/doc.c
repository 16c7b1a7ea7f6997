/*
 * doc.c - public documents, which are JSON documents under another name.
 */
#include "base/doc.h"

static const bv_doc *as_doc(const bvi_json *node)
{
    return (const bv_doc *)node;
}

int bv_doc_type_of(const bv_doc *doc)
{
    static const int types[] = {
        [BVI_JSON_NULL] = BV_DOC_NULL,     [BVI_JSON_BOOL] = BV_DOC_BOOL,
        [BVI_JSON_NUMBER] = BV_DOC_NUMBER, [BVI_JSON_STRING] = BV_DOC_STRING,
        [BVI_JSON_ARRAY] = BV_DOC_ARRAY,   [BVI_JSON_OBJECT] = BV_DOC_OBJECT,
    };

    return types[bvi_json_type_of(bvi_json_of(doc))];
}

const bv_doc *bv_doc_get(const bv_doc *doc, const char *key)
{
    return as_doc(bvi_json_find(bvi_json_of(doc), key));
}

const bv_doc *bv_doc_first(const bv_doc *doc)
{
    return as_doc(bvi_json_first(bvi_json_of(doc)));
}

const bv_doc *bv_doc_next(const bv_doc *doc)
{
    return as_doc(bvi_json_next(bvi_json_of(doc)));
}

const char *bv_doc_key(const bv_doc *doc)
{
    return bvi_json_key(bvi_json_of(doc));
}

size_t bv_doc_count(const bv_doc *doc)
{
    return bvi_json_count(bvi_json_of(doc));
}

const char *bv_doc_string(const bv_doc *doc, const char *fallback)
{
    const char *text = bvi_json_string(bvi_json_of(doc));

    return text ? text : fallback;
}

int64_t bv_doc_int64(const bv_doc *doc, int64_t fallback)
{
    int64_t value = fallback;

    return bvi_json_int64(bvi_json_of(doc), &value) < 0 ? fallback : value;
}

double bv_doc_double(const bv_doc *doc, double fallback)
{
    double value = fallback;

    return bvi_json_double(bvi_json_of(doc), &value) < 0 ? fallback : value;
}

int bv_doc_is_true(const bv_doc *doc)
{
    return bvi_json_is_true(bvi_json_of(doc));
}

int bv_doc_print(const bv_doc *doc, int pretty, char **ret_text, bv_error **err)
{
    static const char null_text[] = "null";

    if (!doc) {
        char *text = bvi_strdup(null_text);

        if (!text)
            return bvi_fail_nomem(err);
        *ret_text = text;
        return 0;
    }
    return bvi_json_print(bvi_json_of(doc), pretty != 0, ret_text, err);
}

int bv_doc_parse(const char *text, size_t len, bv_doc **ret_doc, bv_error **err)
{
    bvi_json *root = NULL;
    int r = bvi_json_parse(text, len, &root, err);

    if (r < 0)
        return r;
    *ret_doc = bvi_doc_of(root);
    return 0;
}

int bv_doc_copy(const bv_doc *doc, bv_doc **ret_doc, bv_error **err)
{
    bvi_json *copy = doc ? bvi_json_copy(bvi_json_of(doc)) : bvi_json_new_null();

    if (!copy)
        return bvi_fail_nomem(err);
    *ret_doc = bvi_doc_of(copy);
    return 0;
}

void bv_doc_free(bv_doc *doc)
{
    bvi_json_free((bvi_json *)doc);
}
