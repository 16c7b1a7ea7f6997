/*
 * image_layout.c - finding babel.yaml and the plugin. Nothing is read or written outside of the
 * root, whatever links it holds.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/yaml.h"
#include "image/image_layout.h"
#include "sys/fs.h"

#define BABEL_DIR     "var/lib/babel"
#define PLUGIN_DIR    "var/lib/babel/plugin"
#define DEFINITION    "babel.yaml"
#define PLUGIN        "main.rhai"
#define SCRIPT_SUFFIX ".rhai"
/* A plugin is some thousand lines. */
#define SCRIPT_MAX (4u * 1024u * 1024u)
#define NAMES_MAX  10000u

static bool has(const char *dir, const char *name)
{
    bvi_auto_free char *path = bvi_path_join(dir, name, NULL);

    return path && bvi_fs_exists(path);
}

bool bvi_image_is_bundle(const char *dir)
{
    static const char *const parts_of_a_root[] = { "bin", "etc", "lib", "sbin", "usr", "var" };
    bvi_auto_free char *root = bvi_path_join(dir, "root", NULL);

    for (size_t i = 0; i < BVI_COUNT(parts_of_a_root); i++) {
        if (has(dir, parts_of_a_root[i]))
            return false;
    }
    return root && bvi_fs_is_dir(root);
}

/* BV_E_NOT_FOUND when it is missing; any other failure tells about links that lead elsewhere, sizes
 * and so on. */
static int read_beneath(int dir_fd, const char *name, size_t max, char **ret_text, size_t *ret_len,
                        bv_error **err)
{
    bvi_auto_free char *path = NULL;
    bvi_auto_close int fd = -1;
    struct stat st;
    int r = bvi_fs_open_beneath(dir_fd, name, O_PATH, 0, &fd, err);

    if (r < 0)
        return r;
    /* Opened for reading only as a file: a pipe would keep the reader waiting for ever, and a
     * device node that came with the image is one of this host. */
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
        return bvi_fail(err, BV_E_FORMAT, "'%s' is not a file", name);
    path = bvi_asprintf("/proc/self/fd/%d", fd);
    if (!path)
        return bvi_fail_nomem(err);
    r = bvi_fs_read(path, max, ret_text, ret_len, err);
    return r < 0 ? bvi_wrap(err, r, "'%s'", name) : 0;
}

/* What is there is replaced and never opened: an image may hold a device node of that name. */
static int write_beneath(int root_fd, const char *dir, const char *name, const char *text,
                         size_t len, bv_error **err)
{
    bvi_auto_close int fd = -1;
    int r = bvi_fs_open_beneath(root_fd, dir, O_RDONLY | O_DIRECTORY, 0, &fd, err);

    if (r == 0)
        r = bvi_fs_replace_at(fd, name, text, len, 0644, err);
    return r < 0 ? bvi_wrap(err, r, "cannot write '%s/%s' in the image", dir, name) : 0;
}

static int open_dir(const char *path, int *ret_fd, bv_error **err)
{
    *ret_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return *ret_fd < 0 ? bvi_fail_sys(err, errno, "cannot open the directory '%s'", path) : 0;
}

/* ---- the definition ---- */

static int find_definition(int root_fd, int beside_fd, char **ret_yaml, size_t *ret_len,
                           bool *ret_in_place, bv_error **err)
{
    const struct {
        int dir_fd;
        const char *name;
        bool in_place;
    } places[] = {
        { root_fd, BABEL_DIR "/" DEFINITION, true },
        { root_fd, DEFINITION, false },
        { beside_fd, DEFINITION, false },
    };

    for (size_t i = 0; i < BVI_COUNT(places); i++) {
        bvi_auto_error bv_error *why = NULL;
        int r;

        if (places[i].dir_fd < 0)
            continue;
        r = read_beneath(places[i].dir_fd, places[i].name, BVI_YAML_BYTES_MAX, ret_yaml, ret_len,
                         &why);
        if (r != BV_E_NOT_FOUND) {
            *ret_in_place = places[i].in_place;
            return bvi_error_move(err, bvi_take(why));
        }
    }
    return bvi_fail(err, BV_E_FORMAT,
                    "not an image: it has no " DEFINITION " in " BABEL_DIR
                    ", at its top, or beside root/");
}

/* ---- the plugin ---- */

static bool is_script(const char *name)
{
    size_t len = strlen(name);
    size_t suffix = strlen(SCRIPT_SUFFIX);

    return len > suffix && strcmp(name + len - suffix, SCRIPT_SUFFIX) == 0;
}

static int copy_script(int from_fd, int root_fd, const char *name, bv_error **err)
{
    bvi_auto_free char *text = NULL;
    size_t len = 0;
    int r = read_beneath(from_fd, name, SCRIPT_MAX, &text, &len, err);

    return r < 0 ? r : write_beneath(root_fd, PLUGIN_DIR, name, text, len, err);
}

/* main.rhai and whatever it may import. */
static int copy_scripts(const char *dir, int dir_fd, int root_fd, bv_error **err)
{
    BVI_AUTO(bvi_strv_done) bvi_strv names = BVI_VEC_INIT(NAMES_MAX);
    int r = bvi_fs_list(dir, &names, err);

    if (r == 0)
        r = bvi_fs_mkdir_beneath(root_fd, PLUGIN_DIR, 0755, err);
    for (size_t i = 0; i < names.len && r == 0; i++) {
        if (is_script(names.items[i]))
            r = copy_script(dir_fd, root_fd, names.items[i], err);
    }
    return r;
}

static int have_plugin(const char *root, int root_fd, const char *beside, int beside_fd,
                       bv_error **err)
{
    bvi_auto_close int fd = -1;
    bvi_auto_error bv_error *why = NULL;
    int r = bvi_fs_open_beneath(root_fd, PLUGIN_DIR "/" PLUGIN, O_PATH, 0, &fd, &why);

    if (r != BV_E_NOT_FOUND)
        return bvi_error_move(err, bvi_take(why));
    if (beside && has(beside, PLUGIN))
        return copy_scripts(beside, beside_fd, root_fd, err);
    if (has(root, PLUGIN))
        return copy_scripts(root, root_fd, root_fd, err);
    return bvi_fail(err, BV_E_FORMAT,
                    "not an image: it has no plugin (" PLUGIN ") in " PLUGIN_DIR
                    " or beside " DEFINITION);
}

int bvi_image_arrange(const char *root, const char *beside, char **ret_yaml, size_t *ret_len,
                      bv_error **err)
{
    bvi_auto_close int root_fd = -1;
    bvi_auto_close int beside_fd = -1;
    bvi_auto_free char *yaml = NULL;
    bool in_place = false;
    size_t len = 0;
    int r = open_dir(root, &root_fd, err);

    if (r == 0 && beside)
        r = open_dir(beside, &beside_fd, err);
    if (r == 0)
        r = find_definition(root_fd, beside_fd, &yaml, &len, &in_place, err);
    if (r == 0)
        r = have_plugin(root, root_fd, beside, beside_fd, err);
    if (r == 0 && !in_place)
        r = bvi_fs_mkdir_beneath(root_fd, BABEL_DIR, 0755, err);
    if (r == 0 && !in_place)
        r = write_beneath(root_fd, BABEL_DIR, DEFINITION, yaml, len, err);
    if (r < 0)
        return r;
    *ret_yaml = bvi_take(yaml);
    *ret_len = len;
    return 0;
}
