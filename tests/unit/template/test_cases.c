/*
 * The cases in tests/template: each is a template and what it gives. See tests/template/README.md.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bvt.h"
#include "template/template.h"

#ifndef TEMPLATE_CASES_DIR
#error "TEMPLATE_CASES_DIR names tests/template"
#endif

#define RESULT_MARK "    => "
#define OURS_MARK   "[ours] "
#define STORY_MAX   8192u

static const char *const files[] = {
    "reference.txt", "expressions.txt", "variables.txt", "context.txt",
    "tags.txt",      "macros.txt",      "filters.txt",   "tests.txt",
    "space.txt",     "escape.txt",      "includes.txt",
};

typedef struct suite {
    const char *name;
    bvi_json *params;
    int dir_fd;
    unsigned count;
    unsigned wrong;
} suite;

/* ---- running one ---- */

static int load(const char *name, char **ret_text, size_t *ret_len, bv_error **err, void *data)
{
    const suite *s = data;

    return bvi_template_load_beneath(s->dir_fd, name, ret_text, ret_len, err);
}

static const char *env(const char *name, void *data)
{
    if (strcmp(name, "HOME") == 0)
        return "/root";
    return strcmp(name, "API_KEY") == 0 ? "secret" : NULL;
}

static int render(suite *s, const char *text, bvi_buf *out, bvi_template_place *place,
                  bool *ret_parsed, bv_error **err)
{
    bvi_template_options options = { .load = load, .env = env, .data = s };
    BVI_AUTO(bvi_template_freep) bvi_template *tpl = NULL;
    int r = bvi_template_parse(text, strlen(text), s->name, &tpl, place, err);

    *ret_parsed = r >= 0;
    return r < 0 ? r : bvi_template_render(tpl, &options, s->params, out, place, err);
}

/* The story without ": line L, column C" at its end, which is checked to be there. */
static void cut_position(char *story)
{
    char *at = NULL;

    for (char *next = story; (next = strstr(next, ": line ")) != NULL; next++)
        at = next;
    if (at)
        *at = '\0';
}

static bool says(const char *wanted, const char *story)
{
    size_t len = strlen(wanted);

    if (len > 3 && strcmp(wanted + len - 3, "...") == 0)
        return strncmp(story, wanted, len - 3) == 0;
    return strcmp(story, wanted) == 0;
}

static bool matches_error(const char *expected, bool parsed, const bv_error *err,
                          const bvi_template_place *place, char *got)
{
    unsigned line = 0, column = 0;

    if (!parsed && sscanf(expected, "PARSE ERROR at %u:%u", &line, &column) == 2) {
        (void)snprintf(got, STORY_MAX, "PARSE ERROR at %u:%u", place->line, place->column);
        return place->line == line && place->column == column;
    }
    strcpy(got, "ERROR: ");
    (void)bv_error_format(err, got + 7, STORY_MAX - 7);
    cut_position(got);
    return says(expected, got);
}

static bool matches_text(const char *expected, const bvi_buf *out, char *got)
{
    bvi_json *text = NULL;
    bool same;

    (void)snprintf(got, STORY_MAX, "%s", bvi_buf_str(out));
    if (bvi_json_parse(expected, strlen(expected), &text, NULL) < 0)
        return false;
    same = bvi_json_string(text) && strcmp(bvi_json_string(text), bvi_buf_str(out)) == 0;
    bvi_json_free(text);
    return same;
}

static void check(suite *s, const char *line, const char *expected)
{
    BVI_AUTO(bvi_buf_done) bvi_buf out = BVI_BUF_INIT(16u * 1024u * 1024u);
    bvi_template_place place = { .line = 0 };
    bvi_json *text = NULL;
    bv_error *err = NULL;
    char got[STORY_MAX];
    bool parsed = false;
    bool same;

    bvt_assert_ok(bvi_json_parse(line, strlen(line), &text, &err), err);
    if (render(s, bvi_json_string(text), &out, &place, &parsed, &err) < 0)
        same = matches_error(expected, parsed, err, &place, got);
    else
        same = matches_text(expected, &out, got);
    if (!same)
        fprintf(stderr, "%s\n    => %s\n    got %s\n", line, expected, got);
    s->wrong += !same;
    s->count++;
    bvi_json_free(text);
    bv_error_free(err);
}

/* ---- reading a file ---- */

static void set_params(suite *s, const char *text)
{
    bv_error *err = NULL;

    bvi_json_free(s->params);
    s->params = NULL;
    bvt_assert_ok(bvi_json_parse(text, strlen(text), &s->params, &err), err);
}

static void end_case(suite *s, const char **line, const char **expected)
{
    if (*line && *expected)
        check(s, *line, *expected);
    *line = *expected = NULL;
}

static void run_suite(suite *s, char *text)
{
    const char *expected = NULL;
    const char *template = NULL;
    char *rest = NULL;

    for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        if (strncmp(line, RESULT_MARK, strlen(RESULT_MARK)) == 0) {
            bool ours = strncmp(line + strlen(RESULT_MARK), OURS_MARK, strlen(OURS_MARK)) == 0;

            expected = line + strlen(RESULT_MARK) + (ours ? strlen(OURS_MARK) : 0);
            continue;
        }
        end_case(s, &template, &expected);
        if (strncmp(line, "name ", 5) == 0)
            s->name = line + 5;
        else if (strncmp(line, "params ", 7) == 0)
            set_params(s, line + 7);
        else if (*line == '"')
            template = line;
        else
            ck_assert_msg(*line == '#', "a line of no kind: %s", line);
    }
    end_case(s, &template, &expected);
}

START_TEST(conforms)
{
    char *text = bvt_read_file(bvt_format("%s/%s", TEMPLATE_CASES_DIR, files[_i]), NULL);
    suite s = { .name = "out.txt" };

    ck_assert_ptr_nonnull(text);
    s.dir_fd = open(TEMPLATE_CASES_DIR "/include", O_PATH | O_DIRECTORY | O_CLOEXEC);
    ck_assert_int_ge(s.dir_fd, 0);
    set_params(&s, "{}");
    run_suite(&s, text);
    bvi_json_free(s.params);
    (void)close(s.dir_fd);
    ck_assert_msg(s.wrong == 0, "%u of %u cases in %s are wrong", s.wrong, s.count, files[_i]);
    ck_assert_uint_gt(s.count, 2);
}
END_TEST

/* Whole files as nodes have them: files/<name>.template, .json and .expected. */
static const char *const whole[] = { "Caddyfile", "config.toml", "dashboard.json", "env",
                                     "index.html" };

static char *read_case(const char *name, const char *ending)
{
    char *text =
        bvt_read_file(bvt_format("%s/files/%s.%s", TEMPLATE_CASES_DIR, name, ending), NULL);

    ck_assert_msg(text != NULL, "there is no %s.%s", name, ending);
    return text;
}

START_TEST(makes_whole_files)
{
    BVI_AUTO(bvi_buf_done) bvi_buf out = BVI_BUF_INIT(16u * 1024u * 1024u);
    suite s = { .name = whole[_i], .dir_fd = -1 };
    bvi_template_place place;
    bv_error *err = NULL;
    bool parsed = false;

    set_params(&s, read_case(whole[_i], "json"));
    s.dir_fd = open(TEMPLATE_CASES_DIR "/files", O_PATH | O_DIRECTORY | O_CLOEXEC);
    bvt_assert_ok(render(&s, read_case(whole[_i], "template"), &out, &place, &parsed, &err), err);
    ck_assert_str_eq(bvi_buf_str(&out), read_case(whole[_i], "expected"));
    bvi_json_free(s.params);
    (void)close(s.dir_fd);
}
END_TEST

BVT_MAIN("template/cases", bvt_loop(conforms, files), bvt_loop(makes_whole_files, whole))
