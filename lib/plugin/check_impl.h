/*
 * check_impl.h - what the files of the checker share; see check.h. For those files only.
 */
#ifndef BVI_PLUGIN_CHECK_IMPL_H
#define BVI_PLUGIN_CHECK_IMPL_H

#include "base/near.h"
#include "plugin/check.h"
#include "plugin/check_report.h"
#include "plugin/fields.h"
#include "script/inspect.h"

/* ---- scripts, as the compiler sees them (check_file.c) ---- */

/* As many as a plugin may have, see bvi_plugin_limits. */
#define BVI_CHECK_FILES_MAX 512u

/* Jobs that need each other in a row. */
#define BVI_CHECK_DEPTH_MAX 256u

typedef BVI_VEC(uint32_t) bvi_note_list;

typedef struct bvi_check_file {
    const bvi_source *source;
    bvi_notes *notes;
    bool is_test; /* only the author's tests load it */
    /* Notes by kind, in the order of the source. */
    bvi_note_list functions;
    bvi_note_list tops; /* DECLARE outside of functions and blocks */
    bvi_note_list imports;
    bvi_note_list exports;
    bvi_note_list assigns;
} bvi_check_file;

typedef struct bvi_check {
    const bvi_workspace *ws;
    const bvi_check_opts *opts;
    bvi_script_engine *engine; /* knows the functions of plugins; runs nothing */
    BVI_VEC(bvi_check_file) files;
    const bvi_check_file *main; /* NULL: it does not compile */
    bvi_strv variants;          /* those that are checked; at least one */
    bool made_up;               /* the plugin asks for what nobody told us of its node */
    bvi_report report;
    bool compiles; /* all of them */
} bvi_check;

#define bvi_check_each(file, check)                                                                \
    for (const bvi_check_file *file = (check)->files.items;                                        \
         file && file < (check)->files.items + (check)->files.len; file++)
#define bvi_check_each_note(note, file)                                                            \
    for (const bvi_note *note = (file)->notes->items.items + 1;                                    \
         note < (file)->notes->items.items + (file)->notes->items.len; note++)
#define bvi_check_each_listed(note, file, list)                                                    \
    for (const uint32_t *note##_at_ = (file)->list.items,                                          \
                        *note##_end_ = note##_at_ + (file)->list.len;                              \
         note##_at_ < note##_end_; note##_at_++)                                                   \
        for (const bvi_note *note = bvi_check_note(file, *note##_at_); note; note = NULL)

/* Reads and compiles every script; syntax errors are findings. */
int bvi_check_open_files(bvi_check *check, bv_error **err);
void bvi_check_close_files(bvi_check *check);

const bvi_note *bvi_check_note(const bvi_check_file *file, uint32_t index); /* NULL for 0 */
bvi_spot bvi_check_spot(const bvi_check_file *file, const bvi_note *note);
/* arity < 0: any. */
const bvi_note *bvi_check_function(const bvi_check_file *file, const char *name, int64_t arity);
const bvi_note *bvi_check_top(const bvi_check_file *file, const char *name, bool only_const);
/* The file an import means; NULL: computed, or not there. */
const bvi_check_file *bvi_check_module(const bvi_check *check, const bvi_note *import);
/* The import an alias stands for where `note` is; NULL: none. */
const bvi_note *bvi_check_import(const bvi_check_file *file, const bvi_note *note);
/* What a chain or a name stands for, through variables and constants that never change: a call, a
 * step, a literal ...; NULL: cannot be told. */
const bvi_note *bvi_check_meaning(const bvi_check_file *file, uint32_t index);
/* What back-tick strings have to do with a place (check_backtick.c). */
typedef struct bvi_backtick {
    bool is_code;   /* it is inside of ${...} */
    unsigned began; /* the line where a string began that ended before it, in its line; 0: none */
} bvi_backtick;
bvi_backtick bvi_check_backtick(const bvi_source *source, unsigned line, unsigned column);
/* The function around a note; NULL: it is outside of functions. */
const bvi_note *bvi_check_function_around(const bvi_check_file *file, const bvi_note *note);

/* ---- the checks ---- */

/* near->wrong is the key itself, path how to name it. */
void bvi_check_unknown_key(bvi_check *check, size_t variant, bvi_spot spot, const char *path,
                           const bvi_near *near);
/* One that is called otherwise now. */
void bvi_check_former_key(bvi_check *check, size_t variant, bvi_spot spot, const char *path,
                          const bvi_field *field);
/* One that cannot be read; a function of main.rhai that a schedule cannot call. */
void bvi_check_schedule(bvi_check *check, size_t variant, bvi_spot spot, const char *text);
void bvi_check_scheduled(bvi_check *check, size_t variant, bvi_spot spot, const char *name);
/* What plugins of earlier times found in their scope; check_keys.c says so. */
bool bvi_check_is_legacy_variable(const char *name);

void bvi_check_names(bvi_check *check);     /* calls, variables, constants, modules */
void bvi_check_keys(bvi_check *check);      /* node_params(), node_env(), literals of calls */
void bvi_check_functions(bvi_check *check); /* what the daemon calls */
void bvi_check_image(bvi_check *check, const bv_error *image_err);
/* Runs the plugin as one variant. Failures are those of this machine; what the plugin does wrong is
 * reported. */
int bvi_check_run(bvi_check *check, size_t variant, bv_error **err);

/* What plugin_config() returned, and the configuration made of it (NULL: it could not be). */
void bvi_check_config(bvi_check *check, size_t variant, const bvi_json *value);
void bvi_check_templates(bvi_check *check, size_t variant, const bvi_json *value);
void bvi_check_jobs(bvi_check *check, size_t variant, const bvi_json *config);

/* The place in the source that made a part of the configuration: path is like
 * "services[2].restart_config.max_retries"; value is what plugin_config() returned. */
bvi_spot bvi_check_config_spot(const bvi_check *check, const bvi_json *value, const char *path);

/* " (did you mean 'x'?)" or "", in a static or given buffer. */
#define BVI_CHECK_HINT_MAX 160u
const char *bvi_check_hint(const char *best, char *text);

#endif
