/*
 * api.c - the public way to render a template.
 */
#include <blockvisor/template.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "template/template.h"

typedef struct api_call {
    const bv_template_opts *opts;
    int dir_fd; /* -1: no includes */
} api_call;

static int load(const char *name, char **ret_text, size_t *ret_len, bv_error **err, void *data)
{
    const api_call *call = data;

    return bvi_template_load_beneath(call->dir_fd, name, ret_text, ret_len, err);
}

static const char *env(const char *name, void *data)
{
    const api_call *call = data;

    return call->opts->env(name, call->opts->data);
}

static int open_dir(const char *dir, int *ret_fd, bv_error **err)
{
    *ret_fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    return *ret_fd < 0 ? bvi_fail_sys(err, errno, "cannot open the include directory '%s'", dir)
                       : 0;
}

static int parse_params(const char *params, bvi_json **ret, bv_error **err)
{
    const char *text = params ? params : "{}";
    int r = bvi_json_parse(text, strlen(text), ret, err);

    return r < 0 ? bvi_wrap(err, r, "the parameters of a template") : 0;
}

static int render(const char *text, const bvi_json *params, api_call *call, bvi_buf *out,
                  bvi_template_place *place, bv_error **err)
{
    BVI_AUTO(bvi_template_freep) bvi_template *tpl = NULL;
    const bv_template_opts *opts = call->opts;
    bvi_template_options options = {
        .limits = { opts->max_operations, opts->max_memory_bytes, opts->max_output_bytes },
        .load = call->dir_fd >= 0 ? load : NULL,
        .env = opts->env ? env : NULL,
        .data = call,
    };
    const char *name = opts->name ? opts->name : "template";
    int r = bvi_template_parse(text, strlen(text), name, &tpl, place, err);

    return r < 0 ? r : bvi_template_render(tpl, &options, params, out, place, err);
}

static void tell_place(const bv_template_opts *opts, const bvi_template_place *place)
{
    bv_template_place *told = opts->place;

    if (!told || told->size < sizeof(*told))
        return;
    told->line = place->line;
    told->column = place->column;
    memcpy(told->file, place->file, sizeof(told->file));
}

int bv_template_render(const char *text, const char *params, const bv_template_opts *opts,
                       char **ret_text, bv_error **err)
{
    static const bv_template_opts defaults = BV_TEMPLATE_OPTS_INIT;
    BVI_AUTO(bvi_buf_done) bvi_buf out = BVI_BUF_INIT(SIZE_MAX / 2);
    bvi_auto_json bvi_json *object = NULL;
    bvi_template_place place = { .line = 0 };
    api_call call = { .opts = opts ? opts : &defaults, .dir_fd = -1 };
    bvi_auto_close int dir_fd = -1;
    int r = parse_params(params, &object, err);

    if (r >= 0 && call.opts->include_dir)
        r = open_dir(call.opts->include_dir, &dir_fd, err);
    call.dir_fd = dir_fd;
    if (r >= 0)
        r = render(text, object, &call, &out, &place, err);
    if (r < 0) {
        tell_place(call.opts, &place);
        return r;
    }
    *ret_text = bvi_buf_take(&out);
    return *ret_text ? 0 : bvi_fail_nomem(err);
}
