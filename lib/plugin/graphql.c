/*
 * graphql.c - a GraphQL request back from its URL. See graphql.h.
 */
#include <string.h>

#include "base/hex.h"
#include "plugin/graphql.h"

#define QUERY "query="

/* Parameters of the URL and the keys they come from. */
static const struct {
    const char *parameter; /* with its = */
    const char *key;
    bool is_json;
} parameters[] = {
    { QUERY, "query", false },
    { "variables=", "variables", true },
    { "operationName=", "operation_name", false },
};

/* Whether a header says JSON. */
static bool says_json(const bvi_json *headers, const char *name)
{
    bvi_json_each(pair, headers) {
        const char *key = bvi_json_string(bvi_json_first(pair));
        const char *value = bvi_json_string(bvi_json_next(bvi_json_first(pair)));

        if (key && value && strcmp(key, name) == 0 && strcmp(value, "application/json") == 0)
            return true;
    }
    return false;
}

/* Where the parameters begin, behind their ? or &; NULL: this is something else. */
static const char *find_parameters(const char *url)
{
    for (const char *at = url; (at = strstr(at, QUERY)) != NULL; at++) {
        if (at > url && (at[-1] == '?' || at[-1] == '&'))
            return at;
    }
    return NULL;
}

/* %41 is A; what is no such code stays. NULL: no memory. */
static char *decoded(const char *text, size_t len)
{
    char *out = bvi_strndup(text, len);
    size_t to = 0;

    for (size_t i = 0; out && i < len; i++) {
        char code[3] = { 0 };

        if (text[i] == '%' && i + 2 < len)
            memcpy(code, text + i + 1, 2);
        if (bvi_hex_decode(code, &out[to], 1))
            i += 2;
        else
            out[to] = text[i];
        to++;
    }
    if (out)
        out[to] = '\0';
    return out;
}

static int put_parameter(bvi_json *request, const char *text, size_t len)
{
    for (size_t i = 0; i < BVI_COUNT(parameters); i++) {
        size_t skip = strlen(parameters[i].parameter);
        bvi_auto_free char *value = NULL;
        bvi_json *json = NULL;

        if (strncmp(text, parameters[i].parameter, skip) != 0)
            continue;
        value = decoded(text + skip, len - skip);
        if (!value)
            return BV_E_NOMEM;
        if (!parameters[i].is_json)
            return bvi_json_put_string(request, parameters[i].key, value);
        (void)bvi_json_parse(value, strlen(value), &json, NULL); /* NULL: left out */
        return json ? bvi_json_put(request, parameters[i].key, json) : 0;
    }
    return 0;
}

static int read_parameters(bvi_json *request, const char *text)
{
    int r = 0;

    while (r == 0 && *text) {
        size_t len = strcspn(text, "&");

        r = put_parameter(request, text, len);
        text += len + (text[len] == '&');
    }
    return r;
}

bvi_json *bvi_graphql_read(const bvi_json *rest)
{
    const bvi_json *given = bvi_json_find(rest, "request");
    const bvi_json *headers = bvi_json_find(given, "headers");
    const char *url = bvi_json_string(bvi_json_find(given, "url"));
    const char *parameters_at = url ? find_parameters(url) : NULL;
    bvi_auto_json bvi_json *result = NULL;
    bvi_auto_json bvi_json *request = NULL;

    if (!parameters_at || !says_json(headers, "Content-Type") || !says_json(headers, "Accept"))
        return NULL;
    result = bvi_json_new_object();
    request = bvi_json_new_object();
    if (!result || !request || bvi_json_put_string(result, "call", "run_graphql") < 0 ||
        bvi_json_put(request, "url",
                     bvi_json_new_string_n(url, (size_t)(parameters_at - url) - 1)) < 0 ||
        read_parameters(request, parameters_at) < 0 ||
        bvi_json_put(result, "request", bvi_take(request)) < 0)
        return NULL;
    return bvi_take(result);
}
