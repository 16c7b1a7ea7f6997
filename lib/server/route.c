/*
 * route.c - from an HTTP request to a call and its arguments, by the table of calls. Pure.
 */
#include <stdlib.h>
#include <string.h>

#include "server/exchange.h"

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Percent-decoded copy; NULL with *ret_bad for a bad escape or a zero byte. */
static char *decode(const char *text, size_t len, bool plus, bool *ret_bad)
{
    char *out = bvi_malloc(len + 1);
    size_t n = 0;

    for (size_t i = 0; out && i < len; i++) {
        char c = text[i];

        if (c == '%') {
            int high = i + 2 < len ? hex_value(text[i + 1]) : -1;
            int low = high >= 0 ? hex_value(text[i + 2]) : -1;

            if (low < 0 || (high == 0 && low == 0)) {
                *ret_bad = true;
                bvi_free(out);
                return NULL;
            }
            c = (char)(high << 4 | low);
            i += 2;
        } else if (plus && c == '+') {
            c = ' ';
        }
        out[n++] = c;
    }
    if (out)
        out[n] = '\0';
    return out;
}

/* Puts a decoded text under a key, as the argument's type wants it. */
static int put_arg(bvi_json *args, const bvi_call_arg *arg, const char *text, bv_error **err)
{
    bvi_json *value = NULL;
    char *end = NULL;
    int r;

    switch (arg->type) {
    case 's':
        value = bvi_json_new_string(text);
        break;
    case 'b':
        if (strcmp(text, "true") != 0 && strcmp(text, "false") != 0)
            return bvi_fail(err, BV_E_INVALID, "'%s' must be true or false", arg->name);
        value = bvi_json_new_bool(strcmp(text, "true") == 0);
        break;
    case 'u':
        if (strspn(text, "0123456789") != strlen(text) || !*text || strlen(text) > 18)
            return bvi_fail(err, BV_E_INVALID, "'%s' must be a whole number", arg->name);
        value = bvi_json_new_int64(strtoll(text, &end, 10));
        break;
    default:
        r = bvi_json_parse(text, strlen(text), &value, err);
        if (r < 0)
            return bvi_wrap(err, BV_E_INVALID, "'%s'", arg->name);
    }
    return bvi_json_put(args, arg->name, value) < 0 ? bvi_fail_nomem(err) : 0;
}

static int put_text(bvi_json *args, const bvi_call_arg *arg, const char *text, size_t len,
                    bool plus, bv_error **err)
{
    bool bad = false;
    bvi_auto_free char *plain = decode(text, len, plus, &bad);

    if (bad)
        return bvi_fail(err, BV_E_INVALID, "'%s' is not percent-encoded well", arg->name);
    return plain ? put_arg(args, arg, plain, err) : bvi_fail_nomem(err);
}

static bool find_arg(const bvi_call *call, const char *name, size_t len, bvi_call_arg *ret_arg)
{
    const char *cursor = call->args;

    while (bvi_call_next_arg(&cursor, ret_arg)) {
        if (strlen(ret_arg->name) == len && strncmp(ret_arg->name, name, len) == 0)
            return true;
    }
    return false;
}

/* Matches a path with a template segment by segment; args NULL: only whether it matches. */
static bool match(const bvi_call *call, const char *path, bvi_json *args, int *ret, bv_error **err)
{
    const char *pattern = call->path;

    while (*pattern == '/' && *path == '/') {
        size_t want = strcspn(++pattern, "/");
        size_t have = strcspn(++path, "/");
        bvi_call_arg arg;

        if (pattern[0] == '{') {
            if (have == 0)
                return false;
            if (args && find_arg(call, pattern + 1, want - 2, &arg)) {
                *ret = put_text(args, &arg, path, have, false, err);
                if (*ret < 0)
                    return true;
            }
        } else if (want != have || strncmp(pattern, path, want) != 0) {
            return false;
        }
        pattern += want;
        path += have;
    }
    return *pattern == '\0' && *path == '\0';
}

static int read_query(const bvi_call *call, const char *query, bvi_json *args, bv_error **err)
{
    while (query && *query) {
        size_t len = strcspn(query, "&");
        size_t name = strcspn(query, "=&");
        bvi_call_arg arg;
        int r;

        if (len) {
            if (!find_arg(call, query, name, &arg) || bvi_call_arg_in_path(call, &arg))
                return bvi_fail(err, BV_E_INVALID, "there is no query parameter '%.*s'",
                                (int)(name > 64 ? 64 : name), query);
            r = put_text(args, &arg, query + name + (name < len), len - name - (name < len), true,
                         err);
            if (r < 0)
                return r;
        }
        query += len + (query[len] == '&');
    }
    return 0;
}

static int read_body(const bvi_call *call, const char *body, size_t len, bvi_json *args,
                     bv_error **err)
{
    bvi_auto_json bvi_json *root = NULL;
    int r = bvi_json_parse(body, len, &root, err);

    if (r < 0)
        return r == BV_E_FORMAT ? bvi_wrap(err, BV_E_INVALID, "request body") : r;
    if (bvi_json_type_of(root) != BVI_JSON_OBJECT)
        return bvi_fail(err, BV_E_INVALID, "request body: must be an object");
    bvi_json_each(it, root) {
        const char *key = bvi_json_key(it);
        bvi_call_arg arg;

        /* Before anything is put anywhere: a body may have a great many keys. */
        if (!find_arg(call, key, strlen(key), &arg))
            return bvi_fail(err, BV_E_INVALID, "%s: there is no argument '%s'", call->name, key);
        if (bvi_json_find(args, key))
            return bvi_fail(err, BV_E_INVALID, "request body: '%s' is in the path already", key);
        if (bvi_json_put(args, key, bvi_json_copy(it)) < 0)
            return bvi_fail_nomem(err);
    }
    return 0;
}

static bool takes_query(const bvi_call *call)
{
    return strcmp(call->http_method, "GET") == 0 || strcmp(call->http_method, "DELETE") == 0;
}

static int read_args(const bvi_call *call, const char *path, const char *query, const char *body,
                     size_t body_len, bvi_json *args, bv_error **err)
{
    int r = 0;

    (void)match(call, path, args, &r, err); /* it matched before */
    if (r == 0 && query && *query) {
        if (!takes_query(call))
            return bvi_fail(err, BV_E_INVALID, "%s takes its arguments in the body", call->name);
        r = read_query(call, query, args, err);
    }
    if (r == 0 && body_len)
        r = read_body(call, body, body_len, args, err);
    return r < 0 ? r : bvi_call_check(call, args, err);
}

int bvi_route(const char *http_method, const char *path, const char *query, const char *body,
              size_t body_len, const bvi_call **ret_call, bvi_json **ret_args, bv_error **err)
{
    bvi_auto_json bvi_json *args = bvi_json_new_object();
    bool path_known = false;
    int r = 0;

    if (!args)
        return bvi_fail_nomem(err);
    for (int id = 0; id < BVI_CALL_COUNT; id++) {
        const bvi_call *call = bvi_call_by_id((bvi_call_id)id);

        if (!match(call, path, NULL, &r, err))
            continue;
        path_known = true;
        if (strcmp(call->http_method, http_method) != 0)
            continue;
        r = read_args(call, path, query, body, body_len, args, err);
        if (r < 0)
            return r;
        *ret_call = call;
        *ret_args = bvi_take(args);
        return 0;
    }
    return path_known ? bvi_fail(err, BV_E_UNSUPPORTED, "'%s' does not take %s", path, http_method)
                      : bvi_fail(err, BV_E_NOT_FOUND,
                                 "there is nothing at '%s'; see /v1/openapi.json", path);
}
