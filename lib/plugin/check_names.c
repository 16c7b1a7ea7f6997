/*
 * check_names.c - names in scripts that mean nothing: functions, methods, variables, constants,
 * modules and their members. See check_impl.h.
 *
 * What a name means is known without running, because functions see nothing but their parameters,
 * global::, imports and each other. Methods are looked up by name alone: the type of the receiver
 * is not known here.
 */
#include <string.h>

#include "base/near.h"
#include "plugin/check_impl.h"
#include "plugin/lib.h"
#include "plugin/testing.h"

#define ARGUMENTS_MAX 63u

/* Functions of the language itself, which no table holds. */
static const struct {
    const char *name;
    uint64_t arities; /* as functions; as methods one less */
} built_in[] = {
    { "eval", 1u << 1 },       { "Fn", 1u << 1 },        { "call", ~(uint64_t)1 },
    { "curry", ~(uint64_t)1 }, { "is_def_fn", 1u << 2 }, { "is_def_var", 1u << 1 },
    { "is_shared", 1u << 1 },  { "print", 1u << 1 },     { "debug", 1u << 1 },
    { "type_of", 1u << 1 },
};

static uint64_t bit(uint32_t count)
{
    return (uint64_t)1 << (count < ARGUMENTS_MAX ? count : ARGUMENTS_MAX);
}

/* ---- what there is ---- */

static uint64_t native_arities(const bvi_check *check, const char *name)
{
    uint64_t arities = bvi_script_native_arities(check->engine, name);

    for (size_t i = 0; i < BVI_COUNT(built_in); i++) {
        if (strcmp(built_in[i].name, name) == 0)
            arities |= built_in[i].arities;
    }
    return arities;
}

/* Methods of what run_sh(), run_jrpc() and the like return. */
static uint64_t response_arities(const char *name)
{
    const bvi_script_function *const tables[] = { bvi_hostlib_sh_methods,
                                                  bvi_hostlib_http_methods };
    uint64_t arities = 0;

    for (size_t i = 0; i < BVI_COUNT(tables); i++) {
        for (const bvi_script_function *f = tables[i]; f->name; f++) {
            if (strcmp(f->name, name) == 0 && !(f->flags & BVI_SCRIPT_PROPERTY_ONLY))
                arities |= bit((uint32_t)strlen(f->params));
        }
    }
    return arities;
}

static void try_responses(bvi_near *near)
{
    for (const bvi_script_function *f = bvi_hostlib_sh_methods; f->name; f++)
        bvi_near_try(near, f->name);
    for (const bvi_script_function *f = bvi_hostlib_http_methods; f->name; f++)
        bvi_near_try(near, f->name);
}

/* Numbers of arguments of the functions of that name that can be called by it in this file. A
 * module sees the main script's functions as well. */
static uint64_t script_arities(const bvi_check *check, const bvi_check_file *file, const char *name)
{
    const bvi_check_file *const files[] = { file, check->main };
    uint64_t arities = 0;

    for (size_t i = 0; i < BVI_COUNT(files); i++) {
        if (!files[i])
            continue;
        bvi_check_each_listed(note, files[i], functions) {
            if (strcmp(note->text, name) == 0)
                arities |= bit(note->count);
        }
    }
    return arities;
}

static void try_functions(const bvi_check *check, const bvi_check_file *file, bvi_near *near)
{
    const char *name;

    bvi_check_each_listed(note, file, functions) {
        bvi_near_try(near, note->text);
    }
    for (size_t i = 0; (name = bvi_script_native_name(check->engine, i)) != NULL; i++)
        bvi_near_try(near, name);
}

/* "1 or 2", for messages. */
static void print_arities(uint64_t arities, bvi_buf *out)
{
    bool first = true;

    for (uint32_t i = 0; i < ARGUMENTS_MAX; i++) {
        if (!(arities & bit(i)))
            continue;
        (void)bvi_buf_printf(out, "%s%u", first ? "" : " or ", i); /* a cut message still helps */
        first = false;
    }
}

static void wrong_count(bvi_check *check, const bvi_check_file *file, const bvi_note *note,
                        const char *what, uint64_t arities)
{
    BVI_AUTO(bvi_buf_done) bvi_buf text = BVI_BUF_INIT(256);

    print_arities(arities, &text);
    bvi_report_add(&check->report, BVI_RULE_ARGUMENT_COUNT, BVI_REPORT_ALL,
                   bvi_check_spot(file, note), "%s '%s' takes %s argument%s, not %u", what,
                   note->text, bvi_buf_str(&text), arities == bit(1) ? "" : "s", note->count);
}

/* ---- calls ---- */

/* The alias under which a function could be reached; NULL: none. */
static const char *alias_with(const bvi_check *check, const bvi_check_file *file, const char *name)
{
    bvi_check_each_listed(import, file, imports) {
        const bvi_check_file *module = bvi_check_module(check, import);

        if (module && import->alias && bvi_check_function(module, name, -1))
            return import->alias;
    }
    return NULL;
}

static void unknown_function(bvi_check *check, const bvi_check_file *file, const bvi_note *note)
{
    const char *alias = alias_with(check, file, note->text);
    bvi_near near = BVI_NEAR_INIT(note->text);
    char hint[BVI_CHECK_HINT_MAX];

    if (alias) {
        bvi_report_add(&check->report, BVI_RULE_UNKNOWN_FUNCTION, BVI_REPORT_ALL,
                       bvi_check_spot(file, note),
                       "unknown function '%s'; write %s::%s to call the module's", note->text,
                       alias, note->text);
        return;
    }
    try_functions(check, file, &near);
    bvi_report_add(&check->report, BVI_RULE_UNKNOWN_FUNCTION, BVI_REPORT_ALL,
                   bvi_check_spot(file, note), "unknown function '%s'%s", note->text,
                   bvi_check_hint(near.best, hint));
}

/* assert() and the like, in functions named test_. */
static uint64_t testing_arities(const bvi_check_file *file, const bvi_note *note)
{
    const bvi_note *around = bvi_check_function_around(file, note);
    uint64_t arities = 0;

    if (!around || strncmp(around->text, "test_", strlen("test_")) != 0)
        return 0;
    for (const bvi_script_function *f = bvi_testing_functions; f->name; f++) {
        if (strcmp(f->name, note->text) == 0)
            arities |= bit((uint32_t)strlen(f->params));
    }
    return arities;
}

static void check_call(bvi_check *check, const bvi_check_file *file, const bvi_note *note)
{
    uint64_t arities = script_arities(check, file, note->text) | native_arities(check, note->text) |
                       testing_arities(file, note);

    if (arities & bit(note->count))
        return;
    if (arities)
        wrong_count(check, file, note, "function", arities);
    else
        unknown_function(check, file, note);
}

/* A map may hold a function under that name: closures make methods of keys. */
static bool is_key(const bvi_check *check, const char *name)
{
    bvi_check_each(file, check) {
        bvi_check_each_note(note, file) {
            if (note->kind == BVI_NOTE_KEY && strcmp(note->text, name) == 0)
                return true;
        }
        bvi_check_each_listed(note, file, assigns) {
            const bvi_note *target = bvi_check_note(file, note->of);

            if (target && target->kind == BVI_NOTE_STEP && target->text &&
                strcmp(target->text, name) == 0)
                return true;
        }
    }
    return false;
}

/* They change the text they are called on and return nothing. */
static const char *const text_changers[] = {
    "crop", "make_lower", "make_upper", "pad", "replace", "trim", "truncate",
};

/* Whether a chain begins with what a call returned, or with a literal: nobody sees it change. */
static bool is_temporary(const bvi_check_file *file, uint32_t index)
{
    const bvi_note *note = bvi_check_note(file, index);

    while (note && note->kind == BVI_NOTE_STEP)
        note = bvi_check_note(file, note->of);
    return note && (note->kind == BVI_NOTE_CALL || note->kind == BVI_NOTE_METHOD ||
                    note->kind == BVI_NOTE_MEMBER_CALL || note->kind == BVI_NOTE_STRING);
}

static void check_effect(bvi_check *check, const bvi_check_file *file, const bvi_note *note)
{
    bool changes = false;

    for (size_t i = 0; i < BVI_COUNT(text_changers); i++)
        changes = changes || strcmp(text_changers[i], note->text) == 0;
    if (changes && !script_arities(check, file, note->text) && is_temporary(file, note->of))
        bvi_report_add(&check->report, BVI_RULE_LOST_EFFECT, BVI_REPORT_ALL,
                       bvi_check_spot(file, note),
                       "%s() changes a variable and returns nothing; here its effect is lost: "
                       "write let x = ...; x.%s(...); x",
                       note->text, note->text);
}

static void check_method(bvi_check *check, const bvi_check_file *file, const bvi_note *note)
{
    uint64_t arities = script_arities(check, file, note->text) |
                       native_arities(check, note->text) >> 1 | response_arities(note->text);
    bvi_near near = BVI_NEAR_INIT(note->text);
    char hint[BVI_CHECK_HINT_MAX];

    /* A function of the script may also take the receiver as its first argument: not found then,
     * but the message about the number tells what is wrong. */
    check_effect(check, file, note);
    if (arities & bit(note->count) || is_key(check, note->text))
        return;
    if (arities) {
        wrong_count(check, file, note, "method", arities);
        return;
    }
    try_functions(check, file, &near);
    try_responses(&near);
    bvi_report_add(&check->report, BVI_RULE_UNKNOWN_METHOD, BVI_REPORT_ALL,
                   bvi_check_spot(file, note), "unknown method '%s'%s", note->text,
                   bvi_check_hint(near.best, hint));
}

/* Fn("name"): the name of some function. */
static void check_pointer(bvi_check *check, const bvi_check_file *file, const bvi_note *argument)
{
    const bvi_note *call = bvi_check_note(file, argument->in);
    const bvi_note *name = bvi_check_note(file, argument->of);

    if (call->kind != BVI_NOTE_CALL || strcmp(call->text, "Fn") != 0 || !name ||
        name->kind != BVI_NOTE_STRING)
        return;
    if (!script_arities(check, file, name->text) && !native_arities(check, name->text))
        unknown_function(check, file, name);
}

/* ---- modules ---- */

static void unknown_alias(bvi_check *check, const bvi_check_file *file, const bvi_note *note)
{
    bvi_near near = BVI_NEAR_INIT(note->alias);
    char hint[BVI_CHECK_HINT_MAX];

    bvi_check_each_listed(import, file, imports) {
        if (import->alias)
            bvi_near_try(&near, import->alias);
    }
    bvi_report_add(&check->report, BVI_RULE_MISSING_MODULE, BVI_REPORT_ALL,
                   bvi_check_spot(file, note),
                   "nothing is imported as '%s' here, so '%s::%s' is unknown%s", note->alias,
                   note->alias, note->text, bvi_check_hint(near.best, hint));
}

static void check_member_call(bvi_check *check, const bvi_check_file *file,
                              const bvi_check_file *module, const bvi_note *note)
{
    bvi_near near = BVI_NEAR_INIT(note->text);
    char hint[BVI_CHECK_HINT_MAX];
    uint64_t arities = 0;
    bool is_private = false;

    bvi_check_each_listed(function, module, functions) {
        if (!function->is_private)
            bvi_near_try(&near, function->text);
        if (strcmp(function->text, note->text) != 0)
            continue;
        is_private |= function->is_private;
        arities |= function->is_private ? 0 : bit(function->count);
    }
    if (arities & bit(note->count))
        return;
    if (arities)
        wrong_count(check, file, note, "function", arities);
    else
        bvi_report_add(&check->report, BVI_RULE_UNKNOWN_MEMBER, BVI_REPORT_ALL,
                       bvi_check_spot(file, note), "module '%s' has no %sfunction '%s'%s",
                       module->source->path, is_private ? "public " : "", note->text,
                       bvi_check_hint(near.best, hint));
}

static void check_member_variable(bvi_check *check, const bvi_check_file *file,
                                  const bvi_check_file *module, const bvi_note *note)
{
    bvi_near near = BVI_NEAR_INIT(note->text);
    char hint[BVI_CHECK_HINT_MAX];

    bvi_check_each_listed(exported, module, exports) {
        if (strcmp(exported->text, note->text) == 0)
            return;
        bvi_near_try(&near, exported->text);
    }
    if (bvi_check_top(module, note->text, false))
        bvi_report_add(&check->report, BVI_RULE_UNKNOWN_MEMBER, BVI_REPORT_ALL,
                       bvi_check_spot(file, note), "module '%s' does not export '%s'; add export",
                       module->source->path, note->text);
    else
        bvi_report_add(&check->report, BVI_RULE_UNKNOWN_MEMBER, BVI_REPORT_ALL,
                       bvi_check_spot(file, note), "module '%s' exports no '%s'%s",
                       module->source->path, note->text, bvi_check_hint(near.best, hint));
}

static void check_member(bvi_check *check, const bvi_check_file *file, const bvi_note *note)
{
    const bvi_note *import = bvi_check_import(file, note);
    const bvi_check_file *module = bvi_check_module(check, import);

    if (!import)
        unknown_alias(check, file, note);
    else if (!module || module->notes->error || note->is_nested)
        return; /* reported where it is imported, or computed */
    else if (note->kind == BVI_NOTE_MEMBER_CALL)
        check_member_call(check, file, module, note);
    else
        check_member_variable(check, file, module, note);
}

static bool is_used(const bvi_check_file *file, const bvi_note *import)
{
    bvi_check_each_note(note, file) {
        if ((note->kind == BVI_NOTE_MEMBER || note->kind == BVI_NOTE_MEMBER_CALL) &&
            strcmp(note->alias, import->alias) == 0)
            return true;
    }
    return false;
}

/* Imports of a module are its members: somebody may want them. */
static bool may_be_reached(const bvi_check *check, const bvi_check_file *file)
{
    bvi_check_each(other, check) {
        bvi_check_each_note(note, other) {
            if (other != file && note->is_nested)
                return true;
        }
    }
    return false;
}

static void check_import(bvi_check *check, const bvi_check_file *file, const bvi_note *note)
{
    bvi_auto_error bv_error *err = NULL;
    const bvi_source *source = NULL;

    if (!note->text)
        return;
    if (bvi_sources_import(&check->ws->sources, note->text, &source, &err) < 0)
        bvi_report_add(
            &check->report, BVI_RULE_MISSING_MODULE, BVI_REPORT_ALL, bvi_check_spot(file, note),
            "cannot import '%s': there is no such script in '%s'", note->text, check->ws->dir);
    if (note->alias && !is_used(file, note) && !may_be_reached(check, file))
        bvi_report_add(&check->report, BVI_RULE_UNUSED_IMPORT, BVI_REPORT_ALL,
                       bvi_check_spot(file, note), "'%s' is imported as '%s' and never used",
                       note->text, note->alias);
}

/* A walk along imports from script to script. */
typedef struct walk {
    const bvi_check *check;
    const bvi_check_file *to;
    bool seen[BVI_CHECK_FILES_MAX];
} walk;

/* Whether loading `from` loads `to`; as deep as there are files, since each is entered once. */
static bool leads_to(walk *w, const bvi_check_file *from)
{
    bool *seen = &w->seen[from - w->check->files.items];

    if (from == w->to)
        return true;
    if (*seen)
        return false;
    *seen = true;
    bvi_check_each_listed(import, from, imports) {
        const bvi_check_file *module = import->is_top ? bvi_check_module(w->check, import) : NULL;

        if (module && leads_to(w, module))
            return true;
    }
    return false;
}

static void check_cycles(bvi_check *check, const bvi_check_file *file)
{
    bvi_check_each_listed(import, file, imports) {
        const bvi_check_file *module = import->is_top ? bvi_check_module(check, import) : NULL;
        walk w = { .check = check, .to = file };

        if (module && leads_to(&w, module))
            bvi_report_add(&check->report, BVI_RULE_CYCLIC_IMPORT, BVI_REPORT_ALL,
                           bvi_check_spot(file, import), "importing '%s' imports this script again",
                           import->text);
    }
}

/* ---- variables and constants ---- */

/* eval() and f!() make variables that cannot be seen in the text. */
static bool hides_variables(const bvi_check_file *file)
{
    bvi_check_each_note(note, file) {
        if (note->kind == BVI_NOTE_CALL && (note->is_open || strcmp(note->text, "eval") == 0))
            return true;
    }
    return false;
}

static void unseen_variable(bvi_check *check, const bvi_check_file *file, const bvi_note *note,
                            const bvi_note *top)
{
    if (!bvi_check_function_around(file, note))
        bvi_report_add(&check->report, BVI_RULE_UNKNOWN_VARIABLE, BVI_REPORT_ALL,
                       bvi_check_spot(file, note), "'%s' is used before it is declared in line %u",
                       note->text, top->line);
    else
        bvi_report_add(&check->report, BVI_RULE_UNKNOWN_VARIABLE, BVI_REPORT_ALL,
                       bvi_check_spot(file, note),
                       "functions do not see '%s' of the top level; %swrite global::%s", note->text,
                       top->is_const ? "" : "make it a const and ", note->text);
}

static void check_unknown(bvi_check *check, const bvi_check_file *file, const bvi_note *note)
{
    const bvi_note *top = bvi_check_top(file, note->text, false);
    bvi_near near = BVI_NEAR_INIT(note->text);
    char hint[BVI_CHECK_HINT_MAX];

    if (bvi_check_function(file, note->text, -1) || bvi_check_is_legacy_variable(note->text) ||
        hides_variables(file))
        return; /* a function by its name, or somebody else may declare it */
    if (top) {
        unseen_variable(check, file, note, top);
        return;
    }
    bvi_check_each_note(other, file) {
        if (other->kind == BVI_NOTE_DECLARE)
            bvi_near_try(&near, other->text);
    }
    if (!near.best && bvi_check_backtick(file->source, note->line, note->column).is_code)
        bvi_report_add(
            &check->report, BVI_RULE_UNKNOWN_VARIABLE, BVI_REPORT_ALL, bvi_check_spot(file, note),
            "unknown variable '%s'; if it is the shell's, write $%s", note->text, note->text);
    else
        bvi_report_add(&check->report, BVI_RULE_UNKNOWN_VARIABLE, BVI_REPORT_ALL,
                       bvi_check_spot(file, note), "unknown variable '%s'%s", note->text,
                       bvi_check_hint(near.best, hint));
}

static void check_global(bvi_check *check, const bvi_check_file *file, const bvi_note *note)
{
    bvi_near near = BVI_NEAR_INIT(note->text);
    char hint[BVI_CHECK_HINT_MAX];

    if (bvi_check_top(file, note->text, true) || strcmp(note->text, "NODE_PARAMS") == 0)
        return;
    bvi_check_each_listed(top, file, tops) {
        if (top->is_const)
            bvi_near_try(&near, top->text);
    }
    if (bvi_check_top(file, note->text, false))
        bvi_report_add(&check->report, BVI_RULE_UNKNOWN_GLOBAL, BVI_REPORT_ALL,
                       bvi_check_spot(file, note),
                       "global::%s cannot be read: '%s' is declared with let; use const",
                       note->text, note->text);
    else
        bvi_report_add(&check->report, BVI_RULE_UNKNOWN_GLOBAL, BVI_REPORT_ALL,
                       bvi_check_spot(file, note),
                       "global::%s is no constant of this script's top level%s", note->text,
                       bvi_check_hint(near.best, hint));
}

static void check_duplicates(bvi_check *check, const bvi_check_file *file)
{
    bvi_check_each_listed(note, file, tops) {
        const bvi_note *first = bvi_check_top(file, note->text, true);

        if (note->is_const && first != note)
            bvi_report_add(&check->report, BVI_RULE_DUPLICATE_CONSTANT, BVI_REPORT_ALL,
                           bvi_check_spot(file, note),
                           "constant '%s' hides the one declared in line %u", note->text,
                           first->line);
    }
}

/* ---- all of it ---- */

typedef void (*check_fn)(bvi_check *check, const bvi_check_file *file, const bvi_note *note);

static const check_fn by_kind[] = {
    [BVI_NOTE_CALL] = check_call,
    [BVI_NOTE_METHOD] = check_method,
    [BVI_NOTE_ARGUMENT] = check_pointer,
    [BVI_NOTE_MEMBER_CALL] = check_member,
    [BVI_NOTE_MEMBER] = check_member,
    [BVI_NOTE_IMPORT] = check_import,
    [BVI_NOTE_UNKNOWN] = check_unknown,
    [BVI_NOTE_GLOBAL] = check_global,
    [BVI_NOTE_STRING] = NULL,
};

void bvi_check_names(bvi_check *check)
{
    bvi_check_each(file, check) {
        if (file->is_test)
            continue;
        bvi_check_each_note(note, file) {
            if (by_kind[note->kind])
                by_kind[note->kind](check, file, note);
        }
        check_cycles(check, file);
        check_duplicates(check, file);
    }
}
