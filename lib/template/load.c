/*
 * load.c - other templates: each is loaded once for a rendering, through the embedder's function.
 */
#include <string.h>

#include "template/run.h"

static bvi_template *find_loaded(const bvi_tpl_run *run, bvi_span name)
{
    for (bvi_template *tpl = run->loaded; tpl; tpl = tpl->next) {
        if (bvi_span_is(name, tpl->name, strlen(tpl->name)))
            return tpl;
    }
    return NULL;
}

static int parse_loaded(bvi_tpl_run *run, const char *name, const char *text, size_t len)
{
    bvi_template *tpl = NULL;
    int r = bvi_template_parse(text, len, name, &tpl, &run->place, &run->err);

    if (r < 0)
        return r;
    tpl->next = run->loaded;
    run->loaded = tpl;
    run->loaded_count++;
    return bvi_tpl_check_links(run, tpl);
}

int bvi_tpl_load(bvi_tpl_run *run, size_t pos, bvi_span name, const bvi_template **ret)
{
    const bvi_template_options *options = run->options;
    bvi_auto_free char *text = NULL;
    bvi_auto_free char *file = NULL;
    bvi_auto_error bv_error *why = NULL;
    size_t len = 0;
    int r;

    *ret = find_loaded(run, name);
    if (*ret || !options->load)
        return 0;
    if (run->loaded_count >= BVI_TEMPLATE_FILES_MAX)
        return bvi_tpl_fail_code(run, pos, BV_E_LIMIT, "more than %u other templates",
                                 BVI_TEMPLATE_FILES_MAX);
    file = bvi_strndup(name.at, name.len);
    if (!file)
        return bvi_fail_nomem(&run->err);
    r = options->load(file, &text, &len, &why, options->data);
    if (r == BV_E_NOT_FOUND)
        return 0;
    if (r < 0) {
        bvi_tpl_place(run->file, pos, &run->place);
        return bvi_error_move(&run->err, bvi_take(why));
    }
    r = bvi_tpl_spend(run, pos, len / BVI_TPL_BYTES_PER_OPERATION);
    if (r >= 0)
        r = parse_loaded(run, file, text, len);
    *ret = r >= 0 ? find_loaded(run, name) : NULL;
    return r;
}

/* Templates that import each other are loaded once each, so this ends. */
int bvi_tpl_check_links(bvi_tpl_run *run, const bvi_template *tpl)
{
    const bvi_template *file = run->file;
    int r = 0;

    run->file = tpl;
    if (tpl->extends.len)
        r = bvi_tpl_fail(
            run, tpl->extends_pos,
            "Template '%s' is inheriting from '%.*s', which doesn't exist or isn't loaded.",
            tpl->name, (int)tpl->extends.len, tpl->extends.at);
    for (const bvi_tpl_import *i = tpl->imports; r >= 0 && i; i = i->next) {
        const bvi_template *found = NULL;

        r = bvi_tpl_load(run, i->pos, i->file, &found);
        if (r >= 0 && !found)
            r = bvi_tpl_fail(run, i->pos,
                             "Template `%s` loads macros from `%.*s` which isn't present in Tera",
                             tpl->name, (int)i->file.len, i->file.at);
    }
    if (r >= 0)
        run->file = file;
    return r;
}

/* The template whose macros a name space stands for; NULL: none. */
static const bvi_template *find_space(const bvi_tpl_run *run, bvi_span space)
{
    if (bvi_span_is(space, "self", 4))
        return run->file;
    for (const bvi_tpl_import *i = run->file->imports; i; i = i->next) {
        if (bvi_span_is(i->space, space.at, space.len))
            return find_loaded(run, i->file);
    }
    return NULL;
}

int bvi_tpl_find_macro(bvi_tpl_run *run, const bvi_tpl_call *call, size_t pos,
                       const bvi_template **ret_file, const bvi_tpl_macro **ret_macro)
{
    const bvi_template *file = find_space(run, call->space);

    if (!file)
        return bvi_tpl_fail(run, pos, "Macro namespace `%.*s` was not found in template `%s`",
                            (int)call->space.len, call->space.at, run->file->name);
    for (const bvi_tpl_macro *m = file->macros; m; m = m->next) {
        if (bvi_span_is(m->name, call->name.at, call->name.len)) {
            *ret_file = file;
            *ret_macro = m;
            return 0;
        }
    }
    return bvi_tpl_fail(run, pos, "Macro `%.*s` not found in template `%s`", (int)call->name.len,
                        call->name.at, file->name);
}
