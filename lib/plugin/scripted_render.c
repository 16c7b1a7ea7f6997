/*
 * scripted_render.c - see scripted_render.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "plugin/scripted_render.h"
#include "sys/fs.h"
#include "template/template.h"

#define OUTPUT_MAX (16u * 1024u * 1024u)

/* Where templates are read from. */
typedef struct places {
    const bvi_fake_env *fake;
    int root_fd; /* -1: there is no root file system */
    char *dir;   /* of the template, with its last slash: others are included from there */
} places;

static void places_done(places *p)
{
    bvi_closep(&p->root_fd);
    bvi_free(p->dir);
}

/* BV_E_NOT_FOUND when the file is in neither. Links in the root file system are not followed. */
static int read_file(const places *p, const char *path, char **ret_text, size_t *ret_len,
                     bv_error **err)
{
    const char *known = bvi_fake_env_file(p->fake, path);
    const char *below = path + strspn(path, "/");

    if (!known && p->root_fd >= 0)
        return bvi_template_load_beneath(p->root_fd, below, ret_text, ret_len, err);
    if (!known)
        return bvi_fail(err, BV_E_NOT_FOUND, "there is no file '%s'", path);
    *ret_text = bvi_strdup(known);
    *ret_len = strlen(known);
    return *ret_text ? 0 : bvi_fail_nomem(err);
}

static int load(const char *name, char **ret_text, size_t *ret_len, bv_error **err, void *data)
{
    const places *p = data;
    bvi_auto_free char *path = bvi_asprintf("%s%s", p->dir, name);

    return path ? read_file(p, path, ret_text, ret_len, err) : bvi_fail_nomem(err);
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? slash + 1 : path;
}

static int open_places(places *p, const char *rootfs, const char *path, bv_error **err)
{
    p->dir = bvi_strndup(path, (size_t)(base_name(path) - path));
    if (!p->dir)
        return bvi_fail_nomem(err);
    if (!rootfs)
        return 0;
    p->root_fd = open(rootfs, O_PATH | O_DIRECTORY | O_CLOEXEC);
    return p->root_fd < 0 ? bvi_fail_sys(err, errno, "cannot open directory '%s'", rootfs) : 0;
}

static int render(places *p, const char *text, size_t len, const char *name, const bvi_json *params,
                  char **ret_text, bv_error **err)
{
    bvi_template_options options = { .load = load, .data = p };
    BVI_AUTO(bvi_template_freep) bvi_template *tpl = NULL;
    BVI_AUTO(bvi_buf_done) bvi_buf out = BVI_BUF_INIT(OUTPUT_MAX);
    int r = bvi_template_check_params(params, err);

    if (r == 0)
        r = bvi_template_parse(text, len, name, &tpl, NULL, err);
    if (r == 0)
        r = bvi_template_render(tpl, &options, params, &out, NULL, err);
    if (r < 0)
        return bvi_wrap(err, r, "failed to render template file with");
    if (bvi_buf_reserve(&out, 1) < 0)
        return bvi_fail_nomem(err);
    *ret_text = bvi_buf_take(&out);
    return 0;
}

int bvi_scripted_render(const bvi_fake_env *fake, const char *rootfs, const bvi_json *request,
                        char **ret_text, bv_error **err)
{
    const char *path = bvi_json_string(bvi_json_find(request, "template"));
    const char *destination = bvi_json_string(bvi_json_find(request, "destination"));
    BVI_AUTO(places_done) places p = { .fake = fake, .root_fd = -1 };
    bvi_auto_error bv_error *missing = NULL;
    bvi_auto_free char *text = NULL;
    size_t len = 0;
    int r = open_places(&p, rootfs, path, err);

    if (r < 0)
        return r;
    r = read_file(&p, path, &text, &len, &missing);
    if (r == BV_E_NOMEM || r == BV_E_LIMIT)
        return bvi_error_move(err, bvi_take(missing));
    if (r < 0) { /* not there, or behind a link: nobody knows what it would be */
        *ret_text = NULL;
        return 0;
    }
    return render(&p, text, len, base_name(destination), bvi_json_find(request, "params"), ret_text,
                  err);
}
