/*
 * http_request.c - requests from the maps of scripts. See http_request.h.
 */
#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "plugin/fields.h"
#include "plugin/http_request.h"
#include "plugin/schema_place.h"

static const bvi_field any_item = { .kind = BVI_FIELD_ANY };

const bvi_field bvi_jrpc_fields[] = {
    REQ_STRING("host"), REQ_STRING("method"), OPT_ANY("params"), OPT_ANY("headers"), END_FIELDS,
};
const bvi_field bvi_rest_fields[] = {
    REQ_STRING("url"),
    OPT_ANY("headers"),
    END_FIELDS,
};
const bvi_field bvi_graphql_fields[] = {
    REQ_STRING("url"),
    REQ_STRING("query"),
    OPT_ANY("variables"),
    OPT_STRING("operation_name"),
    OPT_LIST("headers", &any_item, NULL),
    END_FIELDS,
};

static const char *text_of(const bvi_json *object, const char *key)
{
    return bvi_json_string(bvi_json_find(object, key));
}

/* ---- headers ---- */

typedef struct header {
    const char *name;
    const char *value;
} header;

typedef struct headers {
    header items[BVI_REQUEST_HEADERS_MAX];
    size_t len;
} headers;

static bool is_header_name(const char *name)
{
    static const char others[] = "!#$%&'*+-.^_`|~";

    if (!*name)
        return false;
    for (; *name; name++) {
        if (!isalnum((unsigned char)*name) && !strchr(others, *name))
            return false;
    }
    return true;
}

static bool is_header_value(const char *value)
{
    for (; *value; value++) {
        if ((iscntrl((unsigned char)*value) && *value != '\t'))
            return false;
    }
    return true;
}

/* A name given twice: the last one wins. */
static int set_header(headers *h, const char *name, const char *value, bv_error **err)
{
    size_t i = 0;

    if (!is_header_name(name))
        return bvi_fail(err, BV_E_FORMAT, "invalid HTTP header name '%.64s'", name);
    if (!is_header_value(value))
        return bvi_fail(err, BV_E_FORMAT, "invalid value of HTTP header '%s'", name);
    while (i < h->len && strcasecmp(h->items[i].name, name) != 0)
        i++;
    if (i == BVI_REQUEST_HEADERS_MAX)
        return bvi_fail(err, BV_E_LIMIT, "more than %u headers", BVI_REQUEST_HEADERS_MAX);
    if (i == h->len)
        h->len++;
    h->items[i] = (header){ name, value };
    return 0;
}

static int need_text(const bvi_json *value, const bvi_place *at, bv_error **err)
{
    if (bvi_json_string(value))
        return 0;
    return bvi_place_fail(at, err, "Output type incorrect: %s (expecting String)",
                          bvi_schema_type_of(value));
}

/* A longer array is fine: its rest is ignored. */
static int set_pair(headers *h, const bvi_json *pair, const bvi_place *at, bv_error **err)
{
    const bvi_json *name = bvi_json_first(pair);
    const bvi_json *value = name ? bvi_json_next(name) : NULL;
    int r;

    if (bvi_json_type_of(pair) != BVI_JSON_ARRAY)
        return bvi_place_fail(at, err, "Output type incorrect: %s (expecting Array)",
                              bvi_schema_type_of(pair));
    if (!value)
        return bvi_place_fail(
            at, err, "Syntax error: invalid length %d, expected a tuple of size 2", name ? 1 : 0);
    r = need_text(name, at, err);
    if (r >= 0)
        r = need_text(value, at, err);
    return r < 0 ? r : set_header(h, bvi_json_string(name), bvi_json_string(value), err);
}

static int set_entry(headers *h, const bvi_json *value, const bvi_place *at, bv_error **err)
{
    int r = need_text(value, at, err);

    return r < 0 ? r : set_header(h, bvi_json_key(value), bvi_json_string(value), err);
}

static int read_headers(const bvi_json *map, headers *h, bv_error **err)
{
    const bvi_json *given = bvi_json_find(map, "headers");
    bvi_json_type kind = bvi_json_type_of(given);
    const bvi_place root = { NULL, "headers", 0 };
    size_t i = 0;

    if (kind == BVI_JSON_NULL)
        return 0;
    if (kind != BVI_JSON_ARRAY && kind != BVI_JSON_OBJECT)
        return bvi_fail(err, BV_E_FORMAT, "unsupported jrpc headers type");
    bvi_json_each(item, given) {
        bvi_place at = { &root, bvi_json_key(item), i++ };
        int r = kind == BVI_JSON_ARRAY ? set_pair(h, item, &at, err) : set_entry(h, item, &at, err);

        if (r < 0)
            return r;
    }
    return 0;
}

/* NULL: no memory. */
static bvi_json *headers_json(const headers *h)
{
    bvi_auto_json bvi_json *list = bvi_json_new_array();

    for (size_t i = 0; list && i < h->len; i++) {
        bvi_auto_json bvi_json *pair = bvi_json_new_array();

        if (!pair || bvi_json_add(pair, bvi_json_new_string(h->items[i].name)) < 0 ||
            bvi_json_add(pair, bvi_json_new_string(h->items[i].value)) < 0 ||
            bvi_json_add(list, bvi_take(pair)) < 0)
            return NULL;
    }
    return bvi_take(list);
}

/* ---- the requests ---- */

int bvi_http_request_jrpc(const bvi_value *map, bvi_json **ret_request, bv_error **err)
{
    bvi_auto_json bvi_json *given = NULL;
    bvi_auto_json bvi_json *request = bvi_json_new_object();
    const bvi_json *params;
    headers h = { .len = 0 };
    int r;

    r = bvi_schema_convert_value(bvi_jrpc_fields, map, &given, NULL, err);
    if (r >= 0)
        r = read_headers(given, &h, err);
    if (r < 0)
        return r;
    params = bvi_json_find(given, "params");
    if (bvi_json_type_of(params) == BVI_JSON_NULL)
        params = NULL;
    else if (bvi_json_type_of(params) != BVI_JSON_ARRAY &&
             bvi_json_type_of(params) != BVI_JSON_OBJECT)
        return bvi_fail(err, BV_E_FORMAT, "unsupported jrpc params type");
    if (!request || bvi_json_put_string(request, "host", text_of(given, "host")) < 0 ||
        bvi_json_put_string(request, "method", text_of(given, "method")) < 0 ||
        (params && bvi_json_put(request, "params", bvi_json_copy(params)) < 0) ||
        bvi_json_put(request, "headers", headers_json(&h)) < 0)
        return bvi_fail_nomem(err);
    *ret_request = bvi_take(request);
    return 0;
}

static int get_request(const char *url, const headers *h, bvi_json **ret_request, bv_error **err)
{
    bvi_auto_json bvi_json *request = bvi_json_new_object();

    if (!request || bvi_json_put_string(request, "url", url) < 0 ||
        bvi_json_put(request, "headers", headers_json(h)) < 0)
        return bvi_fail_nomem(err);
    *ret_request = bvi_take(request);
    return 0;
}

int bvi_http_request_rest(const bvi_value *map, bvi_json **ret_request, bv_error **err)
{
    bvi_auto_json bvi_json *given = NULL;
    headers h = { .len = 0 };
    int r;

    r = bvi_schema_convert_value(bvi_rest_fields, map, &given, NULL, err);
    if (r >= 0)
        r = read_headers(given, &h, err);
    return r < 0 ? r : get_request(text_of(given, "url"), &h, ret_request, err);
}

/* ---- GraphQL ---- */

static int append_encoded(bvi_buf *url, const char *key, const char *text)
{
    int r = bvi_buf_append_str(url, key);

    for (; r >= 0 && *text; text++) {
        unsigned char c = (unsigned char)*text;

        r = isalnum(c) || strchr("-_.~", c) ? bvi_buf_append_char(url, (char)c)
                                            : bvi_buf_printf(url, "%%%02X", c);
    }
    return r;
}

/* The variables as text; nothing for none. */
static int variables_text(const bvi_json *given, char **ret_text, bv_error **err)
{
    const bvi_json *variables = bvi_json_find(given, "variables");
    const bvi_place at = { NULL, "variables", 0 };

    if (bvi_json_type_of(variables) == BVI_JSON_NULL)
        return 0;
    if (bvi_json_type_of(variables) != BVI_JSON_OBJECT)
        return bvi_place_fail(&at, err, "Output type incorrect: %s (expecting Map)",
                              bvi_schema_type_of(variables));
    return bvi_json_print(variables, false, ret_text, err);
}

static int graphql_url(const bvi_json *given, bvi_buf *url, bv_error **err)
{
    const char *base = text_of(given, "url");
    const char *operation = text_of(given, "operation_name");
    bvi_auto_free char *variables = NULL;
    int r;

    r = variables_text(given, &variables, err);
    if (r < 0)
        return r;
    r = bvi_buf_printf(url, "%s%c", base, strchr(base, '?') ? '&' : '?');
    if (r >= 0)
        r = append_encoded(url, "query=", text_of(given, "query"));
    if (r >= 0 && variables)
        r = append_encoded(url, "&variables=", variables);
    if (r >= 0 && operation)
        r = append_encoded(url, "&operationName=", operation);
    if (r == BV_E_LIMIT)
        return bvi_fail(err, r, "the request is longer than %u bytes", BVI_REQUEST_URL_MAX);
    return r < 0 ? bvi_fail_nomem(err) : 0;
}

static int build_graphql(const bvi_value *map, bvi_json **ret_request, bv_error **err)
{
    BVI_AUTO(bvi_buf_done) bvi_buf url = BVI_BUF_INIT(BVI_REQUEST_URL_MAX);
    bvi_auto_json bvi_json *given = NULL;
    headers h = { .len = 0 };
    int r;

    r = bvi_schema_convert_value(bvi_graphql_fields, map, &given, NULL, err);
    if (r >= 0)
        r = graphql_url(given, &url, err);
    if (r >= 0)
        r = read_headers(given, &h, err);
    if (r >= 0)
        r = set_header(&h, "Content-Type", "application/json", err);
    if (r >= 0)
        r = set_header(&h, "Accept", "application/json", err);
    return r < 0 ? r : get_request(bvi_buf_str(&url), &h, ret_request, err);
}

int bvi_http_request_graphql(const bvi_value *map, bvi_json **ret_request, bv_error **err)
{
    int r = build_graphql(map, ret_request, err);

    return r < 0 ? bvi_wrap(err, r, "Failed to parse GraphQL request") : 0;
}
