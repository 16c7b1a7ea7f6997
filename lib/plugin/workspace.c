/*
 * workspace.c - finding a plugin's files, and making up the node it would run on. See workspace.h.
 */
#include <string.h>

#include "base/yaml.h"
#include "image/image_fields.h"
#include "plugin/workspace.h"
#include "sys/fs.h"

#define DEFINITION "babel.yaml"
#define OLD_MAIN   "babel.rhai" /* of images before babel.yaml */
/* A list of names in a message. */
#define NAMES_TEXT_MAX 1024u

/* ---- finding ---- */

/* Where the scripts may be below the directory that was named, and where the root file system then
 * is. */
static const struct place {
    const char *scripts; /* NULL: the directory itself */
    const char *rootfs;  /* NULL: wherever `roots` finds it */
} places[] = {
    { NULL, NULL },
    { BVI_PLUGIN_DIR, "." },
    { "rootfs/" BVI_PLUGIN_DIR, "rootfs" },
    { "root/" BVI_PLUGIN_DIR, "root" },
};

static const char *const roots[] = { "rootfs", "root" };

/* "<dir>/<below>"; either may be empty. */
static char *below(const char *dir, const char *path)
{
    return path && strcmp(path, ".") != 0 ? bvi_path_join(dir, path, NULL) : bvi_strdup(dir);
}

/* Paths in messages are made from it: "dir/main.rhai", not "dir//main.rhai". */
static char *without_slashes(const char *path)
{
    size_t len = strlen(path);

    while (len > 1 && path[len - 1] == '/')
        len--;
    return bvi_strndup(path, len);
}

static char *parent_of(const char *dir)
{
    size_t len = strlen(dir);
    const char *slash;

    while (len > 1 && dir[len - 1] == '/')
        len--;
    slash = memrchr(dir, '/', len);
    if (!slash || strcmp(slash, "/.") == 0 || strcmp(slash, "/..") == 0)
        return strcmp(dir, ".") == 0 ? bvi_strdup("..") : bvi_path_join(dir, "..", NULL);
    return slash == dir ? bvi_strdup("/") : bvi_strndup(dir, (size_t)(slash - dir));
}

/* The root file system that a directory "<root>/var/lib/babel/plugin" is in; NULL: it is not. */
static char *root_around(const char *dir)
{
    size_t len = strlen(dir);
    size_t suffix = strlen("/" BVI_PLUGIN_DIR);

    while (len > 1 && dir[len - 1] == '/')
        len--;
    if (len <= suffix || memcmp(dir + len - suffix, "/" BVI_PLUGIN_DIR, suffix) != 0)
        return NULL;
    return bvi_strndup(dir, len - suffix);
}

/* The path of a file in dir; NULL when it is not there. */
static int look_for(const char *dir, const char *name, char **ret_path, bv_error **err)
{
    bvi_auto_free char *path = bvi_path_join(dir, name, NULL);

    if (!path)
        return bvi_fail_nomem(err);
    *ret_path = bvi_fs_exists(path) ? bvi_take(path) : NULL;
    return 0;
}

static int find_root_beside(bvi_workspace *ws, bv_error **err)
{
    ws->rootfs = root_around(ws->dir);
    for (size_t i = 0; i < BVI_COUNT(roots) && !ws->rootfs; i++) {
        bvi_auto_free char *path = bvi_path_join(ws->dir, roots[i], NULL);

        if (!path)
            return bvi_fail_nomem(err);
        if (bvi_fs_is_dir(path))
            ws->rootfs = bvi_take(path);
    }
    return 0;
}

/* Images of 2023 and 2024 have one script, of another name, beside what describes them. */
static int find_old_script(bvi_workspace *ws, const char *path, bv_error **err)
{
    bvi_auto_free char *script = NULL;
    int r = look_for(path, OLD_MAIN, &script, err);

    if (r < 0)
        return r;
    if (!script)
        return bvi_fail(err, BV_E_NOT_FOUND,
                        "no plugin in '%s': it has neither " BVI_PLUGIN_MAIN " nor " BVI_PLUGIN_DIR
                        "/" BVI_PLUGIN_MAIN,
                        path);
    bvi_free(ws->main_file);
    ws->main_file = bvi_strdup(OLD_MAIN);
    ws->dir = bvi_strdup(path);
    return ws->main_file && ws->dir ? 0 : bvi_fail_nomem(err);
}

static int find_scripts(bvi_workspace *ws, const char *path, bv_error **err)
{
    for (size_t i = 0; i < BVI_COUNT(places); i++) {
        bvi_auto_free char *dir = below(path, places[i].scripts);
        bvi_auto_free char *main_path = NULL;
        int r = dir ? look_for(dir, BVI_PLUGIN_MAIN, &main_path, err) : bvi_fail_nomem(err);

        if (r < 0)
            return r;
        if (!main_path)
            continue;
        ws->dir = bvi_take(dir);
        if (!places[i].rootfs)
            return find_root_beside(ws, err);
        ws->rootfs = below(path, places[i].rootfs);
        return ws->rootfs ? 0 : bvi_fail_nomem(err);
    }
    return find_old_script(ws, path, err);
}

static int find(bvi_workspace *ws, const char *path, bv_error **err)
{
    const char *slash = strrchr(path, '/');
    const char *name = slash ? slash + 1 : path;

    if (!bvi_fs_exists(path))
        return bvi_fail(err, BV_E_NOT_FOUND, "there is no '%s'", path);
    if (bvi_fs_is_dir(path)) {
        ws->main_file = bvi_strdup(BVI_PLUGIN_MAIN);
        return ws->main_file ? find_scripts(ws, path, err) : bvi_fail_nomem(err);
    }
    ws->main_file = bvi_strdup(name);
    if (!slash)
        ws->dir = bvi_strdup(".");
    else
        ws->dir = slash == path ? bvi_strdup("/") : bvi_strndup(path, (size_t)(slash - path));
    if (!ws->main_file || !ws->dir)
        return bvi_fail_nomem(err);
    return find_root_beside(ws, err);
}

/* ---- the image ---- */

/* Beside the scripts, a directory above, where an image keeps it, or around what was named. */
static int find_definition(bvi_workspace *ws, const char *path, bv_error **err)
{
    bvi_auto_free char *above = parent_of(ws->dir);
    bvi_auto_free char *around = parent_of(path);
    const char *const dirs[] = { ws->dir, above, ws->rootfs, path, around };
    int r = above && around ? 0 : bvi_fail_nomem(err);

    for (size_t i = 0; i < BVI_COUNT(dirs) && r == 0 && !ws->image_path; i++) {
        if (dirs[i])
            r = look_for(dirs[i], DEFINITION, &ws->image_path, err);
    }
    return r;
}

static int read_definition(bvi_workspace *ws, bv_error **err)
{
    bvi_auto_free char *text = NULL;
    size_t len = 0;
    int r = bvi_fs_read_plain(ws->image_path, BVI_YAML_BYTES_MAX, &text, &len, err);

    if (r == 0)
        r = bvi_image_meta_parse(text, len, &ws->image, err);
    return r < 0 ? bvi_wrap(err, r, "'%s'", ws->image_path) : 0;
}

static int name_variants(bvi_workspace *ws, bv_error **err)
{
    int r = ws->image ? 0 : bvi_strv_add(&ws->variants, "");

    for (size_t i = 0; ws->image && r == 0 && i < ws->image->variants.len; i++)
        r = bvi_strv_add(&ws->variants, ws->image->variants.items[i].key);
    return r < 0 ? bvi_fail_nomem(err) : 0;
}

static int load(bvi_workspace *ws, const char *path, bv_error **ret_image_err, bv_error **err)
{
    const bvi_plugin_limits limits = BVI_PLUGIN_LIMITS_INIT;
    bvi_auto_error bv_error *image_err = NULL;
    int r = find(ws, path, err);

    if (r == 0)
        r = bvi_sources_read(ws->dir, ".", limits.file_bytes, limits.files, &ws->sources, err);
    if (r == 0 && !bvi_sources_find(&ws->sources, ws->main_file))
        r = bvi_fail(err, BV_E_NOT_FOUND, "'%s' in '%s' is not a script: a plain file *.rhai",
                     ws->main_file, ws->dir);
    if (r == 0)
        r = find_definition(ws, path, err);
    if (r == 0 && ws->image_path && read_definition(ws, &image_err) < 0) {
        if (!ret_image_err || bv_error_code(image_err) == BV_E_NOMEM)
            return bvi_error_move(err, bvi_take(image_err));
    }
    if (r == 0)
        r = name_variants(ws, err);
    if (r == 0 && ret_image_err)
        *ret_image_err = bvi_take(image_err);
    return r;
}

int bvi_workspace_open(const char *path, bvi_workspace **ret_workspace, bv_error **ret_image_err,
                       bv_error **err)
{
    BVI_AUTO(bvi_workspace_freep) bvi_workspace *ws = bvi_new0(bvi_workspace);
    bvi_auto_free char *named = NULL;
    int r;

    if (!ws)
        return bvi_fail_nomem(err);
    ws->variants.max = BVI_IMAGE_VARIANTS_MAX;
    named = without_slashes(path);
    r = named ? load(ws, named, ret_image_err, err) : bvi_fail_nomem(err);
    if (r < 0)
        return r;
    *ret_workspace = bvi_take(ws);
    return 0;
}

void bvi_workspace_free(bvi_workspace *ws)
{
    if (!ws)
        return;
    bvi_free(ws->dir);
    bvi_free(ws->main_file);
    bvi_sources_done(&ws->sources);
    bvi_free(ws->rootfs);
    bvi_free(ws->image_path);
    bvi_image_meta_free(ws->image);
    bvi_strv_done(&ws->variants);
    bvi_free(ws);
}

/* ---- the node ---- */

static int no_such_variant(const bvi_workspace *ws, const char *name, bv_error **err)
{
    BVI_AUTO(bvi_buf_done) bvi_buf names = BVI_BUF_INIT(NAMES_TEXT_MAX);

    for (size_t i = 0; i < ws->variants.len; i++)
        (void)bvi_buf_printf(&names, "%s'%s'", i ? ", " : "", ws->variants.items[i]); /* cut */
    return bvi_fail(err, BV_E_NOT_FOUND, "there is no variant '%s' in '%s'; it has %s", name,
                    ws->image_path, bvi_buf_str(&names));
}

static int choose(const bvi_workspace *ws, const bvi_workspace_overlay *overlay,
                  const bvi_image_variant **ret_variant, bv_error **err)
{
    if (!ws->image) {
        *ret_variant = NULL;
        return 0;
    }
    *ret_variant = bvi_image_meta_variant(ws->image, overlay->variant);
    return *ret_variant ? 0 : no_such_variant(ws, overlay->variant, err);
}

int bvi_workspace_check_texts(const bvi_json *object, const char *what, bv_error **err)
{
    if (object && bvi_json_type_of(object) != BVI_JSON_OBJECT)
        return bvi_fail(err, BV_E_INVALID, "%s are not an object", what);
    bvi_json_each(value, object) {
        if (!bvi_json_string(value))
            return bvi_fail(err, BV_E_INVALID, "%s: '%s' is not a string", what,
                            bvi_json_key(value));
    }
    return 0;
}

static int lay_over(bvi_json *object, const bvi_json *overlay)
{
    int r = 0;

    bvi_json_each(value, overlay) {
        if (r == 0)
            r = bvi_json_put(object, bvi_json_key(value), bvi_json_copy(value));
    }
    return r;
}

int bvi_workspace_node_params(const bvi_workspace *ws, const bvi_workspace_overlay *overlay,
                              bvi_json **ret_params, bv_error **err)
{
    bvi_auto_json bvi_json *params = bvi_json_new_object();
    const bvi_image_variant *variant = NULL;
    int r = choose(ws, overlay, &variant, err);

    if (r < 0)
        return r;
    for (size_t i = 0; variant && r == 0 && i < variant->properties.len; i++) {
        const bvi_image_property *p = &variant->properties.items[i];

        r = bvi_json_put_string(params, p->key, p->default_value);
    }
    if (!params || r < 0 || lay_over(params, overlay->params) < 0)
        return bvi_fail_nomem(err);
    *ret_params = bvi_take(params);
    return 0;
}

int bvi_workspace_node_env(const bvi_workspace *ws, const bvi_workspace_overlay *overlay,
                           bvi_json **ret_env, bv_error **err)
{
    bvi_auto_json bvi_json *env = bvi_json_new_object();
    bvi_auto_json bvi_json *properties = NULL;
    const bvi_image_variant *variant = NULL;
    int r = choose(ws, overlay, &variant, err);
    const char *key = variant ? variant->key : overlay->variant;
    const struct {
        const char *key;
        const char *text;
    } fields[] = {
        { "node_id", "node-id" },
        { "node_name", "node_name" },
        { "node_org_id", "org-id" },
        { "node_version", ws->image ? ws->image->version : "0.0.0" },
        { "node_protocol", ws->image ? ws->image->protocol_key : "protocol" },
        { "node_variant", key ? key : "" },
        { "node_ip", "1.2.3.4" },
        { "node_gateway", "4.3.2.1" },
        { "bv_host_id", "host-id" },
        { "bv_host_name", "hostname" },
        { "bv_api_url", "none.com" },
        { "data_mount_point", "/blockjoy" },
        { "protocol_data_path", "/blockjoy/protocol_data" },
    };

    if (r == 0)
        r = bvi_workspace_node_params(ws, overlay, &properties, err);
    if (r < 0)
        return r;
    r = bvi_json_put(env, "properties", bvi_take(properties));
    if (r == 0)
        r = bvi_json_put_bool(env, "dev_mode", true);
    for (size_t i = 0; r == 0 && i < BVI_COUNT(fields); i++)
        r = bvi_json_put_string(env, fields[i].key, fields[i].text);
    if (r == 0)
        r = lay_over(env, overlay->env);
    if (r == 0 && overlay->variant && overlay->variant[0])
        r = bvi_json_put_string(env, "node_variant", overlay->variant); /* it was asked for */
    if (r < 0)
        return bvi_fail_nomem(err); /* env too, when it could not be made */
    *ret_env = bvi_take(env);
    return 0;
}
