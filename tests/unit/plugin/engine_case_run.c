/*
 * engine_case_run.c - one case on a node that is not there. See engine_case.h.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "bvt.h"
#include "engine_case.h"
#include "plugin/fake_env.h"
#include "plugin/plugin.h"
#include "sys/fs.h"

#define SCRIPT_MAX (64u * 1024u)
#define ROUNDS_MAX 100000u

typedef struct stage {
    bvt_clock clock;
    bv_ctx *ctx;
    bvi_fake_env *fake;
    bvi_plugin_env env;
    bvi_plugin *plugin;
    bvi_json *node_env;
    bvi_json *params;
    const char *dir;
    bool has_data;
    bool has_archive;
    unsigned done;
    int code;
    char text[65536]; /* the last answer, or the error's story */
} stage;

/* ---- the script ---- */

static bool is_module(const engine_case *c)
{
    for (size_t i = 0; i < c->script_len; i++) {
        if (strncmp(c->script[i], "fn ", 3) == 0 || strncmp(c->script[i], "private fn", 10) == 0)
            return true;
    }
    return false;
}

/* A script without functions is the body of one, and its value is shown with its type. */
static void write_main(const engine_case *c, const stage *s)
{
    BVI_AUTO(bvi_buf_done) bvi_buf text = BVI_BUF_INIT(SCRIPT_MAX);
    bool wrap = !is_module(c);

    if (wrap)
        ck_assert_int_eq(bvi_buf_append_str(&text, "fn bv_body() {"), 0);
    for (size_t i = 0; i < c->script_len; i++)
        ck_assert_int_eq(bvi_buf_printf(&text, "%s\n", c->script[i]), 0);
    if (wrap)
        ck_assert_int_eq(
            bvi_buf_append_str(
                &text, "}\nfn bv_case() { let r = bv_body(); type_of(r) + \": \" + r.to_debug() }"),
            0);
    (void)bvt_write_file(bvt_format("%s/main.rhai", s->dir), bvi_buf_str(&text));
}

/* ---- setting up ---- */

/* "a<mark>b" as two strings. */
static const char *cut(const char *text, const char *mark, const char **ret_rest)
{
    const char *at = strstr(text, mark);

    ck_assert_msg(at != NULL, "'%s' has no '%s'", text, mark);
    *ret_rest = at + strlen(mark);
    return bvt_format("%.*s", (int)(at - text), text);
}

static void set_answer(stage *s, const char *args)
{
    const char *json;
    const char *part = cut(args, " => ", &json);

    ck_assert_int_eq(bvi_fake_env_answer(s->fake, part, json), 0);
}

static void set_failure(stage *s, const char *args)
{
    const char *text;
    const char *part = cut(args, " => ", &text);

    ck_assert_int_eq(bvi_fake_env_fail(s->fake, part, BV_E_REMOTE, text), 0);
}

static void set_hold(stage *s, const char *args)
{
    ck_assert_int_eq(bvi_fake_env_hold(s->fake, args), 0);
}

static void set_param(stage *s, const char *args)
{
    const char *value;
    const char *key = cut(args, "=", &value);

    ck_assert_int_eq(bvi_json_put_string(s->params, key, value), 0);
}

static void set_env(stage *s, const char *args)
{
    const char *value;
    const char *key = cut(args, "=", &value);

    ck_assert_int_eq(bvi_json_put_string(s->node_env, key, value), 0);
}

static void set_secret(stage *s, const char *args)
{
    const char *value;
    const char *key = cut(args, "=", &value);

    ck_assert_int_eq(bvi_fake_env_set_secret(s->fake, key, value), 0);
}

static void set_file(stage *s, const char *args)
{
    const char *value;
    const char *key = cut(args, "=", &value);

    ck_assert_int_eq(bvi_fake_env_set_file(s->fake, key, value), 0);
}

static void set_job(stage *s, const char *args)
{
    const char *value;
    const char *key = cut(args, "=", &value);

    ck_assert_int_eq(bvi_fake_env_set_job(s->fake, key, value), 0);
}

static void set_data(stage *s, const char *args)
{
    s->has_data = true;
}

static void set_archive(stage *s, const char *args)
{
    s->has_archive = true;
}

static void set_stored(stage *s, const char *args)
{
    (void)bvt_write_file(bvt_format("%s/plugin_config.json", s->dir), args);
}

static const struct {
    const char *name;
    void (*set)(stage *s, const char *args);
} settings[] = {
    { "@answer", set_answer },   { "@fail", set_failure },  { "@hold", set_hold },
    { "@param", set_param },     { "@env", set_env },       { "@secret", set_secret },
    { "@file", set_file },       { "@job", set_job },       { "@data", set_data },
    { "@archive", set_archive }, { "@stored", set_stored },
};

/* "@module name", its lines, "@end"; returns the place of the latter. */
static size_t write_module(const engine_case *c, const stage *s, size_t i)
{
    BVI_AUTO(bvi_buf_done) bvi_buf text = BVI_BUF_INIT(SCRIPT_MAX);
    const char *name = c->setup[i] + strlen("@module ");

    for (i++; i < c->setup_len && strcmp(c->setup[i], "@end") != 0; i++)
        ck_assert_int_eq(bvi_buf_printf(&text, "%s\n", c->setup[i]), 0);
    (void)bvt_write_file(bvt_format("%s/%s.rhai", s->dir, name), bvi_buf_str(&text));
    return i;
}

static void apply(const engine_case *c, stage *s, const char *line)
{
    size_t word = strcspn(line, " ");
    const char *args = line[word] ? line + word + 1 : "";

    for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++) {
        if (strlen(settings[i].name) == word && strncmp(settings[i].name, line, word) == 0) {
            settings[i].set(s, args);
            return;
        }
    }
    ck_abort_msg("%s:%u: '%s' is no setting", c->file, c->line, line);
}

static int load(stage *s, bv_error **err)
{
    bvi_plugin_opts opts = { .root = bvt_dir(),
                             .dir = s->dir,
                             .config_path = bvt_path("%s/plugin_config.json", s->dir),
                             .env = &s->env };

    return bvi_plugin_load(s->ctx, &opts, &s->plugin, err);
}

static int open_stage(const engine_case *c, stage *s)
{
    bv_ctx_opts opts = BV_CTX_OPTS_INIT;
    bv_error *err = NULL;
    int r;

    memset(s, 0, sizeof(*s));
    s->dir = bvt_format("case-%s-%u", c->file, c->line);
    ck_assert_int_eq(mkdir(bvt_path("%s", s->dir), 0755), 0);
    bvt_clock_init(&s->clock);
    opts.clock = &s->clock.clock;
    bvt_assert_ok(bv_ctx_new(&opts, &s->ctx, &err), err);
    bvt_assert_ok(bvi_fake_env_new(&s->fake, &err), err);
    s->env = bvi_fake_env_functions(s->fake);
    s->node_env = bvi_json_copy(s->env.node_env(s->env.data));
    s->params = bvi_json_new_object();
    write_main(c, s);
    for (size_t i = 0; i < c->setup_len; i++) {
        if (strncmp(c->setup[i], "@module ", 8) == 0)
            i = write_module(c, s, i);
        else
            apply(c, s, c->setup[i]);
    }
    bvi_fake_env_set_env(s->fake, s->node_env);
    bvi_fake_env_set_params(s->fake, s->params);
    bvi_fake_env_set_data(s->fake, s->has_data, s->has_archive);
    r = load(s, &err);
    s->code = r;
    if (err)
        (void)bv_error_format(err, s->text, sizeof(s->text)); /* cut when longer */
    bv_error_free(err);
    return r;
}

static void close_stage(stage *s)
{
    bvi_plugin_free(s->plugin);
    bv_ctx_free(s->ctx);
    bvi_fake_env_free(s->fake);
}

/* ---- steps ---- */

static void on_done(bv_op *op, const bvi_plugin_value *value, const bv_error *err, void *data)
{
    stage *s = data;

    s->done++;
    s->code = bv_error_code(err);
    if (err)
        (void)bv_error_format(err, s->text, sizeof(s->text)); /* cut when longer */
    else
        (void)snprintf(s->text, sizeof(s->text), "%s", value->text);
}

/* What waits for the node waits until its time is up: the clock goes on when nothing else does. */
static void dispatch(stage *s, unsigned until)
{
    for (unsigned i = 0; i < ROUNDS_MAX && s->done < until; i++) {
        ck_assert_int_ge(bv_ctx_dispatch(s->ctx, 0), 0);
        if (i > 100 && bvi_fake_env_held(s->fake))
            bvt_clock_advance(&s->clock, 1000 * 1000);
    }
    ck_assert_uint_eq(s->done, until);
}

static void show_config(stage *s)
{
    bvi_auto_free char *text = NULL;
    const bvi_json *config = bvi_plugin_config(s->plugin);

    s->code = 0;
    if (config)
        ck_assert_int_eq(bvi_json_print(config, false, &text, NULL), 0);
    (void)snprintf(s->text, sizeof(s->text), "%s", text ? text : "none");
}

static void show_capabilities(stage *s)
{
    const bvi_strv *names = bvi_plugin_capabilities(s->plugin);

    s->code = 0;
    s->text[0] = '\0';
    for (size_t i = 0; i < names->len; i++)
        (void)snprintf(s->text + strlen(s->text), sizeof(s->text) - strlen(s->text), "%s%s",
                       i ? " " : "", names->items[i]);
}

static void call(stage *s, const char *what)
{
    const char *verb = bvt_format("%.*s", (int)strcspn(what, " "), what);
    const char *rest = what[strlen(verb)] ? what + strlen(verb) + 1 : "";
    const char *name = bvt_format("%.*s", (int)strcspn(rest, " "), rest);
    const char *param = rest[strlen(name)] ? rest + strlen(name) + 1 : "";
    bv_error *err = NULL;
    int r = 0;

    s->code = 0;
    if (strcmp(verb, "call") == 0)
        r = bvi_plugin_call(s->plugin, name, param, 0, on_done, s, NULL, &err);
    else if (strcmp(verb, "query") == 0)
        r = bvi_plugin_query(s->plugin, name, 0, on_done, s, NULL, &err);
    else if (strcmp(verb, "reload") == 0)
        r = bvi_plugin_reload_config(s->plugin, 0, on_done, s, NULL, &err);
    else
        ck_abort_msg("'%s' is no step", what);
    if (r == 0) {
        dispatch(s, s->done + 1);
        return;
    }
    s->code = r;
    (void)bv_error_format(err, s->text, sizeof(s->text)); /* cut when longer */
    bv_error_free(err);
}

static void perform(stage *s, const char *what)
{
    if (!what)
        what = "call bv_case";
    if (strcmp(what, "load") == 0) /* was done: its error is still there */
        return;
    bvi_fake_env_clear_journal(s->fake);
    if (strcmp(what, "config") == 0)
        show_config(s);
    else if (strcmp(what, "capabilities") == 0)
        show_capabilities(s);
    else if (strncmp(what, "wait ", 5) == 0)
        bvt_clock_advance(&s->clock, atoi(what + 5) * INT64_C(1000000));
    else
        call(s, what);
}

/* ---- comparing ---- */

static const char *compare_journal(const stage *s, const case_step *step)
{
    const char *at = bvi_fake_env_journal(s->fake);

    for (size_t i = 0; i < step->journal_len; i++) {
        size_t len = strcspn(at, "\n");

        if (strlen(step->journal[i]) != len || strncmp(at, step->journal[i], len) != 0)
            return bvt_format("request %zu is '%.*s', not '%s'", i + 1, (int)len, at,
                              step->journal[i]);
        at += len + (at[len] == '\n');
    }
    return *at ? bvt_format("there are further requests:\n%s", at) : NULL;
}

static const char *compare(const stage *s, const case_step *step)
{
    if (step->error && !s->code)
        return bvt_format("gave '%s', not the error '%s'", s->text, step->error);
    if (step->error && !strstr(s->text, step->error))
        return bvt_format("failed with '%s', not '%s'", s->text, step->error);
    if (step->result && s->code)
        return bvt_format("failed with '%s', instead of '%s'", s->text, step->result);
    if (step->result && strcmp(s->text, step->result) != 0)
        return bvt_format("gave '%s', not '%s'", s->text, step->result);
    return step->checks_journal ? compare_journal(s, step) : NULL;
}

const char *engine_case_run(const engine_case *c)
{
    const char *complaint = NULL;
    stage *s = calloc(1, sizeof(*s));
    int r;

    ck_assert_ptr_nonnull(s);
    r = open_stage(c, s);
    for (size_t i = 0; i < c->steps_len && !complaint; i++) {
        if (r == 0)
            perform(s, c->steps[i].call);
        complaint = compare(s, &c->steps[i]);
        if (complaint)
            complaint = bvt_format("%s:%u (%s), step %zu: %s", c->file, c->line, c->title, i + 1,
                                   complaint);
    }
    close_stage(s);
    free(s);
    return complaint;
}
