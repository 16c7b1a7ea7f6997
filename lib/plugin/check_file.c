/*
 * check_file.c - a plugin's scripts compiled for looking at: their notes, by kind and by name. See
 * check_impl.h.
 */
#include <stdio.h>
#include <string.h>

#include "plugin/check_impl.h"
#include "plugin/lib.h"
#include "plugin/testing.h"

/* Variables that stand for variables: longer chains are not followed. */
#define MEANING_STEPS_MAX 32

/* ---- opening ---- */

static bvi_note_list *list_for(bvi_check_file *file, const bvi_note *note)
{
    switch (note->kind) {
    case BVI_NOTE_FUNCTION:
        return &file->functions;
    case BVI_NOTE_DECLARE:
        return note->is_top ? &file->tops : NULL;
    case BVI_NOTE_IMPORT:
        return &file->imports;
    case BVI_NOTE_EXPORT:
        return &file->exports;
    case BVI_NOTE_ASSIGN:
        return &file->assigns;
    default:
        return NULL;
    }
}

static int sort_notes(bvi_check_file *file)
{
    bvi_check_each_note(note, file) {
        bvi_note_list *list = list_for(file, note);
        uint32_t *slot;

        if (!list)
            continue;
        slot = bvi_vec_push(list);
        if (!slot)
            return BV_E_NOMEM;
        *slot = (uint32_t)(note - file->notes->items.items);
    }
    return 0;
}

static void report_syntax(bvi_check *check, const bvi_check_file *file)
{
    bvi_spot spot = { file->source->path, file->notes->line, file->notes->column };
    bvi_backtick backtick = bvi_check_backtick(file->source, spot.line, spot.column);
    const char *error = file->notes->error;

    check->compiles = false;
    if (backtick.is_code)
        bvi_report_add(&check->report, BVI_RULE_SYNTAX, BVI_REPORT_ALL, spot,
                       "%s; ${...} in a back-tick string is code of the script, write "
                       "${\"$\"}{...} for one of the shell",
                       error);
    else if (backtick.began)
        bvi_report_add(&check->report, BVI_RULE_SYNTAX, BVI_REPORT_ALL, spot,
                       "%s; the back-tick string that ends in this line began in line %u", error,
                       backtick.began);
    else
        bvi_report_add(&check->report, BVI_RULE_SYNTAX, BVI_REPORT_ALL, spot, "%s", error);
}

static int open_file(bvi_check *check, const bvi_source *source, bv_error **err)
{
    bvi_check_file *file = bvi_vec_push(&check->files);
    int r;

    if (!file)
        return bvi_fail_nomem(err);
    file->source = source;
    file->is_test = bvi_is_test_file(source->path);
    file->functions.max = file->tops.max = file->imports.max = BVI_NOTES_MAX;
    file->exports.max = file->assigns.max = BVI_NOTES_MAX;
    r = bvi_script_inspect(check->engine, source->text, source->len, source->path, &file->notes,
                           err);
    if (r < 0)
        return r;
    if (file->notes->error)
        report_syntax(check, file);
    return sort_notes(file) < 0 ? bvi_fail_nomem(err) : 0;
}

int bvi_check_open_files(bvi_check *check, bv_error **err)
{
    const bvi_sources *sources = &check->ws->sources;
    int r = bvi_script_engine_new(NULL, &check->engine, err);

    if (r == 0)
        r = bvi_hostlib_register(check->engine, NULL, err);
    check->files.max = BVI_CHECK_FILES_MAX;
    check->compiles = true;
    for (size_t i = 0; r == 0 && i < sources->files.len; i++)
        r = open_file(check, &sources->files.items[i], err);
    if (r < 0)
        return r;
    bvi_check_each(file, check) {
        if (strcmp(file->source->path, check->ws->main_file) == 0 && !file->notes->error)
            check->main = file;
    }
    return 0;
}

void bvi_check_close_files(bvi_check *check)
{
    for (size_t i = 0; i < check->files.len; i++) {
        bvi_check_file *file = &check->files.items[i];

        bvi_notes_free(file->notes);
        bvi_vec_done(&file->functions);
        bvi_vec_done(&file->tops);
        bvi_vec_done(&file->imports);
        bvi_vec_done(&file->exports);
        bvi_vec_done(&file->assigns);
    }
    bvi_vec_done(&check->files);
    bvi_script_engine_free(check->engine);
    check->engine = NULL;
}

/* ---- looking ---- */

const bvi_note *bvi_check_note(const bvi_check_file *file, uint32_t index)
{
    return index ? &file->notes->items.items[index] : NULL;
}

bvi_spot bvi_check_spot(const bvi_check_file *file, const bvi_note *note)
{
    return (bvi_spot){ file->source->path, note->line, note->column };
}

const bvi_note *bvi_check_function(const bvi_check_file *file, const char *name, int64_t arity)
{
    bvi_check_each_listed(note, file, functions) {
        if (strcmp(note->text, name) == 0 && (arity < 0 || note->count == arity))
            return note;
    }
    return NULL;
}

const bvi_note *bvi_check_top(const bvi_check_file *file, const char *name, bool only_const)
{
    bvi_check_each_listed(note, file, tops) {
        if (strcmp(note->text, name) == 0 && (note->is_const || !only_const))
            return note;
    }
    return NULL;
}

const bvi_check_file *bvi_check_module(const bvi_check *check, const bvi_note *import)
{
    const bvi_source *source = NULL;

    if (!import || !import->text ||
        bvi_sources_import(&check->ws->sources, import->text, &source, NULL) < 0)
        return NULL;
    bvi_check_each(file, check) {
        if (file->source == source)
            return file;
    }
    return NULL;
}

const bvi_note *bvi_check_import(const bvi_check_file *file, const bvi_note *note)
{
    if (note->of)
        return bvi_check_note(file, note->of);
    bvi_check_each_listed(import, file, imports) {
        if (import->is_top && import->alias && strcmp(import->alias, note->alias) == 0)
            return import;
    }
    return NULL;
}

static bool is_assigned(const bvi_check_file *file, uint32_t declaration)
{
    bvi_check_each_listed(note, file, assigns) {
        const bvi_note *target = bvi_check_note(file, note->of);

        if (target && target->kind == BVI_NOTE_VARIABLE && target->of == declaration)
            return true;
    }
    return false;
}

/* What was said when a variable or a constant was declared; 0: nothing that can be told. */
static uint32_t initial(const bvi_check_file *file, const bvi_note *note)
{
    const bvi_note *declared = note->kind == BVI_NOTE_GLOBAL ? bvi_check_top(file, note->text, true)
                                                             : bvi_check_note(file, note->of);

    if (!declared || declared->kind != BVI_NOTE_DECLARE)
        return 0;
    if (!declared->is_const && is_assigned(file, note->of))
        return 0;
    return declared->of;
}

const bvi_note *bvi_check_meaning(const bvi_check_file *file, uint32_t index)
{
    for (int i = 0; i < MEANING_STEPS_MAX && index; i++) {
        const bvi_note *note = bvi_check_note(file, index);

        if (note->kind != BVI_NOTE_VARIABLE && note->kind != BVI_NOTE_GLOBAL)
            return note;
        index = initial(file, note);
    }
    return NULL;
}

const bvi_note *bvi_check_function_around(const bvi_check_file *file, const bvi_note *note)
{
    uint32_t at = (uint32_t)(note - file->notes->items.items);
    const bvi_note *function;
    size_t low = 0;
    size_t high = file->functions.len;

    /* They are in order and never one in the other: the last that begins before it, or none. */
    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (file->functions.items[middle] < at)
            low = middle + 1;
        else
            high = middle;
    }
    function = low ? bvi_check_note(file, file->functions.items[low - 1]) : NULL;
    return function && at < function->end ? function : NULL;
}

const char *bvi_check_hint(const char *best, char *text)
{
    text[0] = '\0';
    if (best)
        (void)snprintf(text, BVI_CHECK_HINT_MAX, "; did you mean '%.100s'?", best); /* fits */
    return text;
}
