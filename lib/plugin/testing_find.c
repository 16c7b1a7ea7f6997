/*
 * testing_find.c - test functions, the files they are in, and their true places. See testing.h.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plugin/testing.h"

#define PREFIX       "test_"
#define FILE_SUFFIX  "_test.rhai"
#define FILES_PREFIX "tests/"
#define TEXT_MAX     (1024u * 1024u)

bool bvi_is_test_file(const char *path)
{
    size_t len = strlen(path);
    size_t suffix = strlen(FILE_SUFFIX);

    return strncmp(path, FILES_PREFIX, strlen(FILES_PREFIX)) == 0 ||
           (len >= suffix && strcmp(path + len - suffix, FILE_SUFFIX) == 0);
}

/* ---- messages ---- */

/* "(line 120, position 5)" behind the main script is "(tests/a.rhai line 3, position 5)". Returns
 * how much of the text was taken; 0: it is no such place. */
static size_t put_place(bvi_buf *out, const bvi_test_unit *unit, const char *text)
{
    unsigned long line;
    char *end = NULL;

    if (!unit || !unit->file || strncmp(text, "(line ", 6) != 0)
        return 0;
    line = strtoul(text + 6, &end, 10);
    if (end == text + 6 || line <= unit->line_offset)
        return 0;
    (void)bvi_buf_printf(out, "(%s line %lu", unit->path, line - unit->line_offset); /* cut */
    return (size_t)(end - text);
}

/* "main.rhai:120:5:" behind the main script is "tests/a.rhai:3:5:". */
static size_t put_file(bvi_buf *out, const bvi_workspace *ws, const bvi_test_unit *unit,
                       const char *text)
{
    size_t len = strlen(ws->main_file);
    unsigned long line;
    char *end = NULL;

    if (!unit || !unit->file || strncmp(text, ws->main_file, len) != 0 || text[len] != ':')
        return 0;
    line = strtoul(text + len + 1, &end, 10);
    if (end == text + len + 1 || line <= unit->line_offset)
        return 0;
    (void)bvi_buf_printf(out, "%s:%lu", unit->path, line - unit->line_offset); /* cut */
    return (size_t)(end - text);
}

char *bvi_test_clean(const bvi_workspace *ws, const bvi_test_unit *unit, const char *text)
{
    BVI_AUTO(bvi_buf_done) bvi_buf out = BVI_BUF_INIT(TEXT_MAX);
    size_t dir_len = strlen(ws->dir);

    if (bvi_buf_reserve(&out, 1) < 0)
        return NULL;
    while (*text) {
        size_t taken = put_place(&out, unit, text);

        if (strncmp(text, ws->dir, dir_len) == 0 && text[dir_len] == '/')
            text += dir_len + 1;
        if (!taken)
            taken = put_file(&out, ws, unit, text);
        if (!taken) {
            (void)bvi_buf_append_char(&out, *text); /* cut when full */
            taken = 1;
        }
        text += taken;
    }
    return bvi_buf_take(&out);
}

/* ---- units ---- */

static uint32_t count_lines(const char *text)
{
    uint32_t lines = 0;

    for (; (text = strchr(text, '\n')) != NULL; text++)
        lines++;
    return lines;
}

/* The unit compiled; a syntax error is told where it is. */
static int compile(const bvi_workspace *ws, const bvi_plugin_limits *limits,
                   const bvi_test_unit *unit, bvi_offline **ret_offline, bv_error **err)
{
    bvi_offline_opts opts = {
        .workspace = ws,
        .limits = limits,
        .tests = unit->file ? unit->file->text : NULL,
        .functions = bvi_testing_functions, /* nothing runs, so they need no data */
    };
    bvi_auto_error bv_error *failure = NULL;
    bvi_auto_free char *text = NULL;
    bvi_auto_free char *clean = NULL;
    int r = bvi_offline_open(&opts, ret_offline, &failure);

    if (r == 0)
        return 0;
    text = bvi_error_text(failure);
    clean = text ? bvi_test_clean(ws, unit, text) : NULL;
    return clean ? bvi_fail(err, r, "%s", clean) : bvi_fail_nomem(err);
}

static bool is_test(const bvi_script_fn_info *info)
{
    return strncmp(info->name, PREFIX, strlen(PREFIX)) == 0 && info->arity <= 1 &&
           !info->is_private;
}

/* known: functions that are not this unit's; NULL: all are. */
static int list_functions(const bvi_plugin *plugin, const bvi_strv *known, bool only_tests,
                          bvi_strv *ret_names)
{
    bvi_script_fn_info info;
    int r = 0;

    for (size_t i = 0; r == 0 && bvi_plugin_function_at(plugin, i, &info); i++) {
        if ((!only_tests || is_test(&info)) && (!known || !bvi_strv_has(known, info.name)) &&
            !bvi_strv_has(ret_names, info.name))
            r = bvi_strv_add(ret_names, info.name);
    }
    return r;
}

static int find_unit(const bvi_workspace *ws, const bvi_plugin_limits *limits,
                     const bvi_source *file, bvi_strv *main_functions, bvi_test_units *units,
                     bv_error **err)
{
    const bvi_source *main_source = bvi_sources_find(&ws->sources, ws->main_file);
    BVI_AUTO(bvi_offline_closep) bvi_offline *offline = NULL;
    bvi_test_unit *unit = bvi_vec_push(&units->units);
    int r;

    if (!unit)
        return bvi_fail_nomem(err);
    *unit = (bvi_test_unit){
        .file = file,
        .path = file ? file->path : ws->main_file,
        .line_offset = main_source ? count_lines(main_source->text) + 2 : 0,
        .functions = BVI_VEC_INIT(BVI_TESTING_MAX),
    };
    r = compile(ws, limits, unit, &offline, err);
    if (r < 0)
        return r;
    if (!file)
        r = list_functions(bvi_offline_plugin(offline), NULL, false, main_functions);
    if (r == 0)
        r = list_functions(bvi_offline_plugin(offline), file ? main_functions : NULL, true,
                           &unit->functions);
    return r < 0 ? bvi_fail(err, r, "'%s' has too many functions", unit->path) : 0;
}

int bvi_test_units_find(const bvi_workspace *ws, const bvi_plugin_limits *limits,
                        bvi_test_units *ret_units, bv_error **err)
{
    BVI_AUTO(bvi_strv_done) bvi_strv main_functions = BVI_VEC_INIT(BVI_TESTING_MAX);
    int r;

    ret_units->units.max = BVI_TESTING_MAX;
    r = find_unit(ws, limits, NULL, &main_functions, ret_units, err);
    for (size_t i = 0; r == 0 && i < ws->sources.files.len; i++) {
        const bvi_source *file = &ws->sources.files.items[i];

        if (bvi_is_test_file(file->path))
            r = find_unit(ws, limits, file, &main_functions, ret_units, err);
    }
    if (r < 0)
        bvi_test_units_done(ret_units);
    return r;
}

void bvi_test_units_done(bvi_test_units *units)
{
    for (size_t i = 0; i < units->units.len; i++)
        bvi_strv_done(&units->units.items[i].functions);
    bvi_vec_done(&units->units);
}
