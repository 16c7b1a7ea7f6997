/*
 * args.c - the arguments of filters, tests and functions.
 */
#include <string.h>

#include "template/run.h"

int bvi_tpl_use(bvi_tpl_run *run, const bvi_tpl_expr *e, const char *what, const char *name,
                bvi_tpl_using *use)
{
    use->run = run;
    use->pos = e->pos;
    use->what = what;
    use->name = name;
    use->count = 0;
    for (const bvi_tpl_arg *arg = e->as.call.args; arg; arg = arg->next) {
        bvi_tpl_given *given = &use->args[use->count++];
        int r = bvi_tpl_eval(run, arg->value, &given->value);

        if (r < 0)
            return r;
        given->name = arg->name;
    }
    return 0;
}

int bvi_tpl_use_fail(bvi_tpl_using *use, const char *fmt, ...)
{
    bvi_auto_free char *text = NULL;
    va_list args;

    va_start(args, fmt);
    text = bvi_vasprintf(fmt, args);
    va_end(args);
    return text ? bvi_tpl_fail(use->run, use->pos, "%s", text) : bvi_fail_nomem(&use->run->err);
}

int bvi_tpl_use_spend(bvi_tpl_using *use, uint64_t operations)
{
    return bvi_tpl_spend(use->run, use->pos, operations);
}

void *bvi_tpl_use_alloc(bvi_tpl_using *use, size_t size, int *ret_code)
{
    void *at = bvi_arena_alloc(&use->run->arena, size);

    *ret_code = at ? 0 : bvi_tpl_fail_room(use->run, use->pos, use->run->arena.failure);
    return at;
}

int bvi_tpl_use_keep(bvi_tpl_using *use, const bvi_buf *buf, bvi_tpl_value *ret)
{
    return bvi_tpl_keep(use->run, use->pos, buf, ret);
}

int bvi_tpl_use_room(bvi_tpl_using *use, int r)
{
    return r < 0 ? bvi_tpl_fail_room(use->run, use->pos, r) : 0;
}

/* ---- what is asked for ---- */

const bvi_tpl_value *bvi_tpl_arg_find(const bvi_tpl_using *use, const char *name)
{
    for (size_t i = 0; i < use->count; i++) {
        if (bvi_span_is(use->args[i].name, name, strlen(name)))
            return &use->args[i].value;
    }
    return NULL;
}

int bvi_tpl_arg_need(bvi_tpl_using *use, const char *name, const bvi_tpl_value **ret)
{
    *ret = bvi_tpl_arg_find(use, name);
    return *ret ? 0
                : bvi_tpl_use_fail(use, "%s `%s` expected an arg called `%s`", use->what, use->name,
                                   name);
}

static int fail_type(bvi_tpl_using *use, const char *arg, const bvi_tpl_value *v,
                     const char *expected)
{
    char shown[BVI_TPL_SHOWN_MAX];

    bvi_tpl_show(v, shown);
    return bvi_tpl_use_fail(
        use, "%s `%s` received an incorrect type for arg `%s`: got `%s` but expected a %s",
        use->what, use->name, arg, shown, expected);
}

/* *ret NULL: it is absent and not needed. */
static int find(bvi_tpl_using *use, const char *name, bool needed, const bvi_tpl_value **ret)
{
    if (needed)
        return bvi_tpl_arg_need(use, name, ret);
    *ret = bvi_tpl_arg_find(use, name);
    return 0;
}

int bvi_tpl_arg_string(bvi_tpl_using *use, const char *name, bool needed, bvi_span *value)
{
    const bvi_tpl_value *v = NULL;
    int r = find(use, name, needed, &v);

    if (r < 0 || !v)
        return r;
    if (v->type != BVI_TPL_STRING)
        return fail_type(use, name, v, "String");
    *value = (bvi_span){ v->as.text, v->len };
    return 0;
}

int bvi_tpl_arg_int(bvi_tpl_using *use, const char *name, bool needed, int64_t *value)
{
    const bvi_tpl_value *v = NULL;
    int r = find(use, name, needed, &v);

    if (r < 0 || !v)
        return r;
    return bvi_tpl_to_int(v, value) ? 0 : fail_type(use, name, v, "i64");
}

int bvi_tpl_arg_bool(bvi_tpl_using *use, const char *name, bool *value)
{
    const bvi_tpl_value *v = bvi_tpl_arg_find(use, name);

    if (!v)
        return 0;
    if (v->type != BVI_TPL_BOOL)
        return fail_type(use, name, v, "bool");
    *value = v->as.b;
    return 0;
}

int bvi_tpl_arg_pattern(bvi_tpl_using *use, const char *name, bool needed, bvi_buf *value)
{
    bvi_span text = { "", 0 };
    int r = bvi_tpl_arg_string(use, name, needed, &text);

    for (size_t i = 0; r >= 0 && i < text.len; i++) {
        char next = text.at[i] == '\\' && i + 1 < text.len ? text.at[i + 1] : '\0';
        bool special = next == 'n' || next == 't';

        r = bvi_tpl_use_room(use, bvi_buf_append_char(value, !special      ? text.at[i]
                                                             : next == 'n' ? '\n'
                                                                           : '\t'));
        i += special;
    }
    return r;
}
