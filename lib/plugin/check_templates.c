/*
 * check_templates.c - the templates of config_files, where the root file system has them: each is
 * rendered with the parameters it would get. See check_impl.h.
 */
#include <fcntl.h>
#include <string.h>

#include "plugin/check_impl.h"
#include "sys/fs.h"
#include "template/template.h"

#define OUTPUT_MAX (16u * 1024u * 1024u)

/* One of config_files. */
typedef struct entry {
    bvi_check *check;
    size_t variant;
    const char *path; /* of the template, in the node */
    const bvi_json *params;
    bvi_spot spot;
} entry;

static int load(const char *name, char **ret_text, size_t *ret_len, bv_error **err, void *data)
{
    return bvi_template_load_beneath(*(const int *)data, name, ret_text, ret_len, err);
}

/* A variable of the environment that is not there is an error, and here none is there. */
static const char *some_env(const char *name, void *data)
{
    return "";
}

static int try_to_render(const entry *e, int dir_fd, const char *text, size_t len,
                         bvi_template_place *place, bv_error **err)
{
    const bvi_template_options options = { .load = load, .env = some_env, .data = &dir_fd };
    BVI_AUTO(bvi_template_freep) bvi_template *tpl = NULL;
    BVI_AUTO(bvi_buf_done) bvi_buf out = BVI_BUF_INIT(OUTPUT_MAX);
    int r = bvi_template_check_params(e->params, err);

    if (r == 0)
        r = bvi_template_parse(text, len, strrchr(e->path, '/') + 1, &tpl, place, err);
    return r < 0 ? r : bvi_template_render(tpl, &options, e->params, &out, place, err);
}

/* A syntax error shows the place in several lines and ends with "= expected ...". */
static const char *last_line(const char *text)
{
    const char *newline = strrchr(text, '\n');

    return newline ? newline + 1 + strspn(newline + 1, " =") : text;
}

static void render(const entry *e, int dir_fd, const char *text, size_t len)
{
    bvi_template_place place = { .line = 0 };
    bvi_auto_error bv_error *err = NULL;
    bvi_auto_free char *why = NULL;
    int r = try_to_render(e, dir_fd, text, len, &place, &err);

    if (r == BV_E_NOMEM)
        e->check->report.no_memory = true;
    if (r != BV_E_FORMAT && r != BV_E_INVALID)
        return;
    why = bvi_error_text(err);
    bvi_report_add(&e->check->report, BVI_RULE_TEMPLATE, e->variant, e->spot,
                   "template '%s', line %u, column %u: %s", e->path, (unsigned)place.line,
                   (unsigned)place.column, why ? last_line(why) : "");
}

/* One whose directory is not in the root file system may come from a base image. */
static void check_template(const entry *e, int root_fd)
{
    const char *name = strrchr(e->path, '/');
    bvi_auto_free char *parent = name ? bvi_strndup(e->path, (size_t)(name - e->path)) : NULL;
    const char *below = parent ? parent + strspn(parent, "/") : "";
    bvi_auto_close int dir_fd = -1;
    bvi_auto_free char *text = NULL;
    size_t len = 0;
    int r;

    if (!*below ||
        bvi_fs_open_beneath(root_fd, below, O_PATH | O_DIRECTORY | O_CLOEXEC, 0, &dir_fd, NULL) < 0)
        return;
    r = bvi_template_load_beneath(dir_fd, name + 1, &text, &len, NULL);
    if (r == 0)
        render(e, dir_fd, text, len);
    else if (r == BV_E_NOT_FOUND)
        bvi_report_add(&e->check->report, BVI_RULE_MISSING_TEMPLATE, e->variant, e->spot,
                       "there is no template '%s' in '%s'", e->path, e->check->ws->rootfs);
}

void bvi_check_templates(bvi_check *check, size_t variant, const bvi_json *value)
{
    bvi_auto_close int root_fd =
        check->ws->rootfs ? open(check->ws->rootfs, O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;
    size_t index = 0;

    bvi_json_each(file, bvi_json_find(value, "config_files")) {
        bvi_auto_free char *path = bvi_asprintf("config_files[%zu].template", index++);
        entry e = { check,
                    variant,
                    bvi_json_string(bvi_json_find(file, "template")),
                    bvi_json_find(file, "params"),
                    { NULL, 0, 0 } };

        if (root_fd < 0 || !e.path || !path)
            continue;
        e.spot = bvi_check_config_spot(check, value, path);
        check_template(&e, root_fd);
    }
}
