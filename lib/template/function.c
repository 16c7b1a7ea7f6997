/*
 * function.c - range(), get_env() and throw().
 */
#include <string.h>
#include <strings.h>

#include "template/run.h"

typedef int (*function_fn)(bvi_tpl_using *use, bvi_tpl_value *ret);

/* ---- range ---- */

static int check_range(bvi_tpl_using *use, int64_t start, int64_t end, int64_t step)
{
    if (start < 0 || end < 0 || step < 0)
        return bvi_tpl_use_fail(use, "Function `range` takes numbers that are not negative");
    if (start > end)
        return bvi_tpl_use_fail(use, "Function `range` was called with a `start` argument greater "
                                     "than the `end` one");
    if (step == 0)
        return bvi_tpl_use_fail(use, "Function `range` was called with a `step_by` argument of 0");
    return 0;
}

static int function_range(bvi_tpl_using *use, bvi_tpl_value *ret)
{
    int64_t start = 0, end = 0, step = 1;
    bvi_tpl_value *items = NULL;
    uint64_t count;
    int r = bvi_tpl_arg_int(use, "start", false, &start);

    if (r >= 0)
        r = bvi_tpl_arg_int(use, "end", true, &end);
    if (r >= 0)
        r = bvi_tpl_arg_int(use, "step_by", false, &step);
    if (r >= 0)
        r = check_range(use, start, end, step);
    if (r < 0)
        return r;
    count = (uint64_t)(end - start) / (uint64_t)step + ((end - start) % step != 0);
    if (count > use->run->arena.max / sizeof(*items))
        return bvi_tpl_fail_code(use->run, use->pos, BV_E_LIMIT,
                                 "Function `range` would give %llu numbers",
                                 (unsigned long long)count);
    items = bvi_tpl_use_alloc(use, count * sizeof(*items), &r);
    if (!items)
        return r;
    for (uint64_t i = 0; i < count; i++)
        items[i] = bvi_tpl_int(start + (int64_t)i * step);
    *ret = bvi_tpl_array(items, count);
    return 0;
}

/* ---- get_env ---- */

bool bvi_template_env_is_public(const char *name)
{
    static const char *const secret[] = { "SECRET", "PASSWORD", "PASSWD",     "PASSPHRASE", "TOKEN",
                                          "KEY",    "MNEMONIC", "CREDENTIAL", "AUTH" };

    for (size_t i = 0; i < BVI_COUNT(secret); i++) {
        for (const char *at = name; *at; at++) {
            if (strncasecmp(at, secret[i], strlen(secret[i])) == 0)
                return false;
        }
    }
    return true;
}

static int function_get_env(bvi_tpl_using *use, bvi_tpl_value *ret)
{
    const bvi_template_options *options = use->run->options;
    const bvi_tpl_value *otherwise = bvi_tpl_arg_find(use, "default");
    bvi_span name = { "", 0 };
    const char *found = NULL;
    bool is_public;
    int r = bvi_tpl_arg_string(use, "name", true, &name);

    if (r < 0)
        return r;
    is_public = bvi_template_env_is_public(name.at);
    if (is_public && options->env)
        found = options->env(name.at, options->data);
    if (found)
        return bvi_tpl_use_room(use,
                                bvi_tpl_copy_text(&use->run->arena, found, strlen(found), ret));
    if (otherwise) {
        *ret = *otherwise;
        return 0;
    }
    return bvi_tpl_use_fail(use,
                            is_public ? "Environment variable `%.*s` not found"
                                      : "Environment variable `%.*s` not found: names that speak "
                                        "of a secret are not given to templates",
                            (int)name.len, name.at);
}

static int function_throw(bvi_tpl_using *use, bvi_tpl_value *ret)
{
    bvi_span message = { "", 0 };
    int r = bvi_tpl_arg_string(use, "message", true, &message);

    return r < 0 ? r : bvi_tpl_use_fail(use, "%.*s", (int)message.len, message.at);
}

/* ---- the table ---- */

static const struct {
    const char *name;
    function_fn fn;
} functions[] = {
    { "get_env", function_get_env },
    { "range", function_range },
    { "throw", function_throw },
};

int bvi_tpl_apply_function(bvi_tpl_run *run, const bvi_tpl_expr *e, bvi_tpl_value *ret)
{
    bvi_span name = e->as.call.name;
    bvi_tpl_using use;
    int r;

    for (size_t i = 0; i < BVI_COUNT(functions); i++) {
        if (!bvi_span_is(name, functions[i].name, strlen(functions[i].name)))
            continue;
        r = bvi_tpl_use(run, e, "Function", functions[i].name, &use);
        if (r < 0)
            return r;
        r = functions[i].fn(&use, ret);
        return r < 0 ? bvi_tpl_wrap(run, r, "Function call '%s' failed", functions[i].name) : 0;
    }
    return bvi_tpl_fail(run, e->pos, "Function '%.*s' not found", (int)name.len, name.at);
}
