/*
 * calls.c - the table of calls: looking them up and checking their arguments.
 */
#include <stdio.h>
#include <string.h>

#include "host/calls.h"

static const bvi_call calls[] = {
#define BV_CALL(id, name, method, path, args) { BVI_CALL_##id, name, method, path, args },
#include "host/calls.def"
#undef BV_CALL
};

const bvi_call *bvi_call_by_id(bvi_call_id id)
{
    return &calls[id];
}

const bvi_call *bvi_call_by_name(const char *name)
{
    for (size_t i = 0; i < BVI_COUNT(calls); i++) {
        if (strcmp(calls[i].name, name) == 0)
            return &calls[i];
    }
    return NULL;
}

bool bvi_call_next_arg(const char **cursor, bvi_call_arg *ret_arg)
{
    const char *at = *cursor + strspn(*cursor, " ");
    size_t len = strcspn(at, ":");

    if (!*at || len >= sizeof(ret_arg->name))
        return false;
    memcpy(ret_arg->name, at, len);
    ret_arg->name[len] = '\0';
    ret_arg->type = at[len + 1];
    ret_arg->required = at[len + 2] == '!';
    *cursor = at + len + 2 + ret_arg->required;
    return true;
}

bool bvi_call_arg_in_path(const bvi_call *call, const bvi_call_arg *arg)
{
    char pattern[sizeof(arg->name) + 2];

    (void)snprintf(pattern, sizeof(pattern), "{%s}", arg->name); /* sized for it */
    return strstr(call->path, pattern) != NULL;
}

static const struct {
    char type;
    bvi_json_type json;
    const char *text;
} arg_types[] = {
    { 's', BVI_JSON_STRING, "a string" },       { 'b', BVI_JSON_BOOL, "true or false" },
    { 'u', BVI_JSON_NUMBER, "a whole number" }, { 'd', BVI_JSON_NUMBER, "a number" },
    { 'o', BVI_JSON_OBJECT, "an object" },      { 'a', BVI_JSON_ARRAY, "an array" },
};

static int check_type(const bvi_call *call, const bvi_call_arg *arg, const bvi_json *value,
                      bv_error **err)
{
    int64_t number = 0;

    for (size_t i = 0; i < BVI_COUNT(arg_types); i++) {
        if (arg_types[i].type != arg->type)
            continue;
        if (bvi_json_type_of(value) != arg_types[i].json ||
            (arg->type == 'u' && (bvi_json_int64(value, &number) < 0 || number < 0)))
            return bvi_fail(err, BV_E_INVALID, "%s: '%s' must be %s", call->name, arg->name,
                            arg_types[i].text);
    }
    return 0;
}

static bool knows_arg(const bvi_call *call, const char *name)
{
    const char *cursor = call->args;
    bvi_call_arg arg;

    while (bvi_call_next_arg(&cursor, &arg)) {
        if (strcmp(arg.name, name) == 0)
            return true;
    }
    return false;
}

int bvi_call_check(const bvi_call *call, const bvi_json *args, bv_error **err)
{
    const char *cursor = call->args;
    bvi_call_arg arg;

    if (args && bvi_json_type_of(args) != BVI_JSON_OBJECT)
        return bvi_fail(err, BV_E_INVALID, "%s: arguments must be an object", call->name);
    bvi_json_each(it, args) {
        if (!knows_arg(call, bvi_json_key(it)))
            return bvi_fail(err, BV_E_INVALID, "%s: there is no argument '%s'", call->name,
                            bvi_json_key(it));
    }
    while (bvi_call_next_arg(&cursor, &arg)) {
        const bvi_json *value = bvi_json_find(args, arg.name);
        int r;

        if (bvi_json_type_of(value) == BVI_JSON_NULL) {
            if (arg.required)
                return bvi_fail(err, BV_E_INVALID, "%s: argument '%s' is missing", call->name,
                                arg.name);
            continue;
        }
        r = check_type(call, &arg, value, err);
        if (r < 0)
            return r;
    }
    return 0;
}
