/*
 * testing_coverage.c - lines of a plugin's scripts, and which of them tests reach. See testing.h.
 */
#include <string.h>

#include "plugin/testing.h"

enum { LINE_EXPECTED = 1u << 0, LINE_RAN = 1u << 1 };

/* Lines a file's record grows by; a source has at most as many as bytes. */
#define LINES_MORE 256u

/* ---- collecting ---- */

static bvi_line_file *find_file(const bvi_line_coverage *coverage, const char *path)
{
    while (strncmp(path, "./", 2) == 0)
        path += 2;
    for (size_t i = 0; i < coverage->files.len; i++) {
        if (strcmp(coverage->files.items[i].path, path) == 0)
            return &coverage->files.items[i];
    }
    return NULL;
}

static bool make_room(bvi_line_file *file, uint32_t line)
{
    uint32_t len = line + LINES_MORE;
    uint8_t *lines;

    if (line < file->len)
        return true;
    lines = bvi_realloc(file->lines, len);
    if (!lines)
        return false;
    memset(lines + file->len, 0, len - file->len);
    file->lines = lines;
    file->len = len;
    return true;
}

static void expect_line(const char *name, uint32_t line, bool ran, void *data)
{
    bvi_line_coverage *coverage = data;
    bvi_line_file *file = find_file(coverage, name);

    if (!file)
        return;
    if (make_room(file, line))
        file->lines[line] |= LINE_EXPECTED;
    else
        coverage->no_memory = true;
}

/* Lines behind the main script are a test file's. */
static void note_line(const char *name, uint32_t line, bool ran, void *data)
{
    bvi_line_file *file = find_file(data, name);

    if (file && ran && line < file->len && (file->lines[line] & LINE_EXPECTED))
        file->lines[line] |= LINE_RAN;
}

void bvi_line_coverage_add(bvi_line_coverage *coverage, const bvi_plugin *plugin)
{
    bvi_plugin_coverage(plugin, note_line, coverage);
}

static int compile_file(bvi_script_engine *engine, const bvi_source *source,
                        bvi_line_coverage *coverage, bv_error **err)
{
    bvi_line_file *file = bvi_vec_push(&coverage->files);
    bvi_script *script = NULL;
    int r;

    if (!file)
        return bvi_fail_nomem(err);
    file->path = source->path;
    r = bvi_script_compile(engine, source->text, source->len, source->path, &script, err);
    bvi_script_free(script);
    return r < 0 ? bvi_wrap(err, r, "%s", source->path) : 0;
}

int bvi_line_coverage_init(bvi_line_coverage *coverage, const bvi_workspace *ws, bv_error **err)
{
    bvi_script_options options = { .debug_flags = BVI_SCRIPT_COVERAGE };
    BVI_AUTO(bvi_script_engine_freep) bvi_script_engine *engine = NULL;
    int r;

    *coverage = (bvi_line_coverage){ .files = BVI_VEC_INIT(BVI_TESTING_MAX) };
    r = bvi_script_engine_new(&options, &engine, err);
    for (size_t i = 0; r == 0 && i < ws->sources.files.len; i++) {
        if (!bvi_is_test_file(ws->sources.files.items[i].path))
            r = compile_file(engine, &ws->sources.files.items[i], coverage, err);
    }
    if (r == 0)
        bvi_script_coverage(engine, expect_line, coverage);
    if (r == 0 && coverage->no_memory)
        r = bvi_fail_nomem(err);
    if (r < 0)
        bvi_line_coverage_done(coverage);
    return r;
}

void bvi_line_coverage_done(bvi_line_coverage *coverage)
{
    for (size_t i = 0; i < coverage->files.len; i++)
        bvi_free(coverage->files.items[i].lines);
    bvi_vec_done(&coverage->files);
}

/* ---- telling ---- */

static int64_t count(const bvi_line_file *file, uint8_t state)
{
    int64_t n = 0;

    for (uint32_t i = 0; i < file->len; i++)
        n += (file->lines[i] & state) == state;
    return n;
}

static int put_counts(bvi_json *json, int64_t lines, int64_t covered)
{
    double percent = lines ? (double)(covered * 10000 / lines) / 100 : 100;
    int r = bvi_json_put_int64(json, "lines", lines);

    if (r == 0)
        r = bvi_json_put_int64(json, "covered", covered);
    return r == 0 ? bvi_json_put(json, "percent", bvi_json_new_double(percent)) : r;
}

static bvi_json *lines_json(const bvi_line_file *file, uint8_t state)
{
    bvi_auto_json bvi_json *list = bvi_json_new_array();

    for (uint32_t i = 0; list && i < file->len; i++) {
        if (file->lines[i] == state && bvi_json_add(list, bvi_json_new_int64(i)) < 0)
            return NULL;
    }
    return bvi_take(list);
}

static bvi_json *range_json(uint32_t first, uint32_t last)
{
    bvi_auto_json bvi_json *range = bvi_json_new_array();

    if (!range || bvi_json_add(range, bvi_json_new_int64(first)) < 0 ||
        bvi_json_add(range, bvi_json_new_int64(last)) < 0)
        return NULL;
    return bvi_take(range);
}

/* Lines without statements do not end a range. */
static bvi_json *ranges_json(const bvi_line_file *file)
{
    bvi_auto_json bvi_json *list = bvi_json_new_array();
    uint32_t first = 0;
    uint32_t last = 0;

    for (uint32_t i = 0; list && i <= file->len; i++) {
        uint8_t state = i < file->len ? file->lines[i] : LINE_EXPECTED | LINE_RAN;

        if (state == LINE_EXPECTED) {
            first = first ? first : i;
            last = i;
        } else if (state && first) {
            if (bvi_json_add(list, range_json(first, last)) < 0)
                return NULL;
            first = 0;
        }
    }
    return bvi_take(list);
}

static bvi_json *file_json(const bvi_line_file *file)
{
    bvi_auto_json bvi_json *json = bvi_json_new_object();

    if (!json || bvi_json_put_string(json, "file", file->path) < 0 ||
        put_counts(json, count(file, LINE_EXPECTED), count(file, LINE_RAN)) < 0 ||
        bvi_json_put(json, "uncovered", ranges_json(file)) < 0 ||
        bvi_json_put(json, "executed", lines_json(file, LINE_EXPECTED | LINE_RAN)) < 0 ||
        bvi_json_put(json, "missed", lines_json(file, LINE_EXPECTED)) < 0)
        return NULL;
    return bvi_take(json);
}

int bvi_line_coverage_json(const bvi_line_coverage *coverage, bvi_json **ret_json, bv_error **err)
{
    bvi_auto_json bvi_json *json = bvi_json_new_object();
    bvi_json *files = bvi_json_new_array();
    int64_t lines = 0;
    int64_t covered = 0;
    int r = json && files ? 0 : BV_E_NOMEM;

    for (size_t i = 0; r == 0 && i < coverage->files.len; i++) {
        lines += count(&coverage->files.items[i], LINE_EXPECTED);
        covered += count(&coverage->files.items[i], LINE_RAN);
        r = bvi_json_add(files, file_json(&coverage->files.items[i]));
    }
    if (r == 0)
        r = put_counts(json, lines, covered);
    if (r < 0) {
        bvi_json_free(files);
        return bvi_fail_nomem(err);
    }
    if (bvi_json_put(json, "files", files) < 0)
        return bvi_fail_nomem(err);
    *ret_json = bvi_take(json);
    return 0;
}
