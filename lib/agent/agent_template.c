/*
 * agent_template.c - render_template: one file of the node made from another, whole or not at all.
 *
 * All of it happens on a worker. The parameters and the template are parsed before anything is
 * touched; the text is rendered in memory and replaces the destination in one step, so that a
 * failure leaves what was there.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/agent_impl.h"
#include "agent/node_file.h"
#include "io/work.h"
#include "template/template.h"

/* What a program started by somebody else than root has to read; the umask applies. */
#define CONFIG_FILE_MODE 0666

typedef struct render_run {
    bvi_service_call *call;
    bvi_work work;
    char *root;
    char *source;
    char *destination;
    char *params;
    bv_error *err;
} render_run;

static void run_free(render_run *run)
{
    bv_error_free(run->err);
    bvi_free(run->root);
    bvi_free(run->source);
    bvi_free(run->destination);
    bvi_free(run->params);
    bvi_free(run);
}

/* ---- on a worker ---- */

/* Includes come from the template's own directory. */
static int load(const char *name, char **ret_text, size_t *ret_len, bv_error **err, void *data)
{
    const int *dir_fd = data;

    return bvi_template_load_beneath(*dir_fd, name, ret_text, ret_len, err);
}

static const char *env(const char *name, void *data)
{
    return getenv(name);
}

static int parse_params(const char *text, bvi_json **ret_params, bv_error **err)
{
    int r = bvi_json_parse(text, strlen(text), ret_params, err);

    if (r < 0)
        return bvi_wrap(err, r, "the parameters");
    return bvi_template_check_params(*ret_params, err);
}

static int parse_template(const render_run *run, bvi_template **ret_template, bv_error **err)
{
    bvi_auto_free char *text = NULL;
    size_t len = 0;
    int r = bvi_node_read_file(run->root, run->source, BVI_TEMPLATE_BYTES_MAX, &text, &len, err);

    if (r < 0)
        return r;
    return bvi_template_parse(text, len, strrchr(run->destination, '/') + 1, ret_template, NULL,
                              err);
}

static int render(const render_run *run, const bvi_template *tpl, const bvi_json *params,
                  bvi_buf *out, bv_error **err)
{
    bvi_auto_close int dir_fd = -1;
    bvi_template_options options = { .load = load, .env = env, .data = &dir_fd };
    int r = bvi_node_open_parent(run->root, run->source, &dir_fd, err);

    return r < 0 ? r : bvi_template_render(tpl, &options, params, out, NULL, err);
}

/* A link to the destination's real place stays one. */
static int put_file(const render_run *run, const bvi_buf *text, const char *path, bv_error **err)
{
    int r = bvi_node_make_parents(run->root, path, err);

    return r < 0 ? r
                 : bvi_node_replace_file(run->root, path, bvi_buf_str(text), text->len,
                                         CONFIG_FILE_MODE, err);
}

static int make_file(const render_run *run, bv_error **err)
{
    BVI_AUTO(bvi_template_freep) bvi_template *tpl = NULL;
    BVI_AUTO(bvi_buf_done) bvi_buf out = BVI_BUF_INIT(BVI_AGENT_FILE_MAX);
    bvi_auto_json bvi_json *params = NULL;
    bvi_auto_free char *path = NULL;
    int r = bvi_node_path_check(run->source, err);

    if (r >= 0)
        r = bvi_node_follow_links(run->root, run->destination, &path, err);
    if (r >= 0)
        r = parse_params(run->params, &params, err);
    if (r >= 0)
        r = parse_template(run, &tpl, err);
    if (r >= 0)
        r = render(run, tpl, params, &out, err);
    return r < 0 ? r : put_file(run, &out, path, err);
}

static void run_work(void *data)
{
    render_run *run = data;

    (void)make_file(run, &run->err); /* err tells */
}

/* ---- on the loop ---- */

static void end(render_run *run, bv_error *err)
{
    if (err)
        (void)bvi_wrap(&err, bv_error_code(err),
                       "failed to render template file with"); /* err is the result */
    bvi_service_end(run->call, err);
    run_free(run);
}

static void work_done(void *data, bool cancelled)
{
    render_run *run = data;
    bv_error *err = bvi_take(run->err);

    if (!err && cancelled)
        (void)bvi_fail(&err, BV_E_CANCELLED, "the agent is shutting down");
    end(run, err);
}

void bvi_agent_handle_render_template(bvi_service_call *call, const ProtobufCMessage *message,
                                      void *service)
{
    const Bvi__Agent__RenderTemplateRequest *request =
        (const Bvi__Agent__RenderTemplateRequest *)message;
    bvi_agent_server *agent = service;
    render_run *run = bvi_new0(render_run);
    bv_error *err = NULL;

    if (run) {
        run->call = call;
        run->root = bvi_strdup(agent->paths.root);
        run->source = bvi_strdup(request->template_path);
        run->destination = bvi_strdup(request->destination);
        run->params = bvi_strdup(request->params_json);
    }
    if (!run || !run->root || !run->source || !run->destination || !run->params) {
        (void)bvi_fail_nomem(&err);
        bvi_service_fail(call, err);
        if (run)
            run_free(run);
        return;
    }
    bvi_work_init(&run->work, agent->ctx, run_work, work_done, run);
    bvi_work_submit(&run->work);
}
