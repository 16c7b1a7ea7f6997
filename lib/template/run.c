/*
 * run.c - one rendering from outside: limits, failures with their place, and the entry.
 */
#include <stdio.h>
#include <string.h>

#include "template/run.h"

#define OPERATIONS_DEFAULT 20000000u
#define MEMORY_DEFAULT     (64u * 1024u * 1024u)
#define OUTPUT_DEFAULT     (16u * 1024u * 1024u)

/* ---- failing ---- */

static int fail_nomem(bvi_tpl_run *run)
{
    bv_error_free(run->err); /* that there is no memory says more */
    run->err = NULL;
    return bvi_fail_nomem(&run->err);
}

/* The place becomes the innermost cause. */
static int fail_at(bvi_tpl_run *run, size_t pos, int code, const char *text)
{
    bvi_template_place *place = &run->place;

    bvi_tpl_place(run->file, pos, place);
    if (run->file == run->main)
        (void)bvi_fail(&run->err, code, "line %u, column %u", place->line, place->column);
    else
        (void)bvi_fail(&run->err, code, "line %u, column %u of '%s'", place->line, place->column,
                       place->file);
    return bvi_wrap(&run->err, code, "%s", text);
}

int bvi_tpl_fail_code(bvi_tpl_run *run, size_t pos, int code, const char *fmt, ...)
{
    bvi_auto_free char *text = NULL;
    va_list args;

    va_start(args, fmt);
    text = bvi_vasprintf(fmt, args);
    va_end(args);
    return text ? fail_at(run, pos, code, text) : fail_nomem(run);
}

int bvi_tpl_fail(bvi_tpl_run *run, size_t pos, const char *fmt, ...)
{
    bvi_auto_free char *text = NULL;
    va_list args;

    va_start(args, fmt);
    text = bvi_vasprintf(fmt, args);
    va_end(args);
    return text ? fail_at(run, pos, BV_E_INVALID, text) : fail_nomem(run);
}

int bvi_tpl_fail_room(bvi_tpl_run *run, size_t pos, int code)
{
    if (code == BV_E_NOMEM)
        return fail_nomem(run);
    return bvi_tpl_fail_code(run, pos, BV_E_LIMIT,
                             "more than %zu bytes of values or %zu bytes of output", run->arena.max,
                             run->output_max);
}

int bvi_tpl_wrap(bvi_tpl_run *run, int code, const char *fmt, ...)
{
    bvi_auto_free char *text = NULL;
    va_list args;

    va_start(args, fmt);
    text = bvi_vasprintf(fmt, args);
    va_end(args);
    return text ? bvi_wrap(&run->err, code, "%s", text) : fail_nomem(run);
}

/* ---- counting ---- */

int bvi_tpl_spend(bvi_tpl_run *run, size_t pos, uint64_t operations)
{
    run->work += operations;
    if (run->work + run->arena.sum / BVI_TPL_BYTES_PER_OPERATION > run->work_max)
        return bvi_tpl_fail_code(run, pos, BV_E_LIMIT, "more than %llu operations",
                                 (unsigned long long)run->work_max);
    return 0;
}

size_t bvi_tpl_room(const bvi_tpl_run *run)
{
    return run->arena.max - run->arena.used;
}

int bvi_tpl_enter(bvi_tpl_run *run, size_t pos)
{
    if (run->depth >= BVI_TPL_DEPTH_MAX)
        return bvi_tpl_fail_code(run, pos, BV_E_LIMIT,
                                 "tags, macros and includes nest deeper than %u levels",
                                 BVI_TPL_DEPTH_MAX);
    run->depth++;
    return 0;
}

int bvi_tpl_checked(bvi_tpl_run *run, size_t pos, const bvi_tpl_value *v)
{
    if (v->nesting <= BVI_TPL_NESTING_MAX)
        return 0;
    return bvi_tpl_fail_code(run, pos, BV_E_LIMIT, "a value nested deeper than %u levels",
                             BVI_TPL_NESTING_MAX);
}

int bvi_tpl_keep(bvi_tpl_run *run, size_t pos, const bvi_buf *buf, bvi_tpl_value *ret)
{
    int r = bvi_tpl_copy_text(&run->arena, bvi_buf_str(buf), buf->len, ret);

    return r < 0 ? bvi_tpl_fail_room(run, pos, r) : 0;
}

/* ---- the entry ---- */

static bool ends_with(const char *text, const char *end)
{
    size_t len = strlen(text), end_len = strlen(end);

    return len >= end_len && strcmp(text + len - end_len, end) == 0;
}

static bool escapes(const char *name)
{
    return ends_with(name, ".html") || ends_with(name, ".htm") || ends_with(name, ".xml");
}

static uint64_t or_default(uint64_t value, uint64_t otherwise)
{
    return value ? value : otherwise;
}

static void init(bvi_tpl_run *run, const bvi_template *tpl, const bvi_template_options *options,
                 bvi_buf *out)
{
    const bvi_template_limits *limits = &options->limits;

    *run = (bvi_tpl_run){
        .options = options,
        .main = tpl,
        .file = tpl,
        .bindings = BVI_VEC_INIT(BVI_TPL_BINDINGS_MAX),
        .out = out,
        .output_max = or_default(limits->output_bytes, OUTPUT_DEFAULT),
        .escapes = escapes(tpl->name),
        .work_max = or_default(limits->operations, OPERATIONS_DEFAULT),
    };
    bvi_arena_init(&run->arena, or_default(limits->memory_bytes, MEMORY_DEFAULT));
}

static void done(bvi_tpl_run *run)
{
    while (run->loaded) {
        bvi_template *tpl = run->loaded;

        run->loaded = tpl->next;
        bvi_template_free(tpl);
    }
    bvi_vec_done(&run->bindings);
    bvi_arena_done(&run->arena);
    bv_error_free(run->err);
}

static int render(bvi_tpl_run *run, const bvi_json *params)
{
    bvi_tpl_frame frame;
    int r = bvi_tpl_from_json(&run->arena, params, &run->params);

    if (r < 0)
        return bvi_tpl_fail_room(run, 0, r);
    bvi_arena_pin(&run->arena);
    bvi_tpl_push(run, &frame, BVI_TPL_FRAME_FILE);
    frame.file = run->main;
    r = bvi_tpl_check_links(run, run->main);
    if (r < 0)
        return r;
    r = bvi_tpl_render_nodes(run, run->main->body);
    return r < 0 ? bvi_tpl_wrap(run, r, "Failed to render '%s'", run->main->name) : 0;
}

int bvi_template_check_params(const bvi_json *params, bv_error **err)
{
    if (bvi_json_type_of(params) == BVI_JSON_OBJECT)
        return 0;
    return bvi_fail(err, BV_E_INVALID,
                    "Creating a Context from a Value/Serialize requires it being a JSON object");
}

int bvi_template_render(const bvi_template *tpl, const bvi_template_options *options,
                        const bvi_json *params, bvi_buf *out, bvi_template_place *place,
                        bv_error **err)
{
    static const bvi_template_options defaults;
    bvi_tpl_run run;
    int r = bvi_template_check_params(params, err);

    if (r < 0)
        return r;
    init(&run, tpl, options ? options : &defaults, out);
    r = render(&run, params);
    if (r < 0) {
        if (place)
            *place = run.place;
        r = bvi_error_move(err, bvi_take(run.err));
    }
    done(&run);
    return r;
}
