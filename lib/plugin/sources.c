/*
 * sources.c - collecting the script files of a plugin. See sources.h.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "plugin/sources.h"
#include "sys/fs.h"

#define SUFFIX ".rhai"

typedef struct scan {
    bvi_sources *sources;
    int root_fd;
    size_t file_max;
} scan;

static bool has_suffix(const char *name)
{
    size_t len = strlen(name);
    size_t suffix = strlen(SUFFIX);

    return len > suffix && strcmp(name + len - suffix, SUFFIX) == 0;
}

static int read_all(int fd, const char *path, size_t len, char *text, bv_error **err)
{
    size_t done = 0;

    while (done < len) {
        ssize_t n = read(fd, text + done, len - done);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return bvi_fail_sys(err, errno, "cannot read '%s'", path);
        if (n == 0)
            return bvi_fail(err, BV_E_IO, "'%s' became shorter while it was read", path);
        done += (size_t)n;
    }
    return 0;
}

static int check_size(const scan *s, const char *path, off_t size, bv_error **err)
{
    if (size > (off_t)s->file_max)
        return bvi_fail(err, BV_E_LIMIT, "script '%s' is larger than %zu bytes", path, s->file_max);
    if ((size_t)size > BVI_SOURCES_BYTES_MAX - s->sources->bytes)
        return bvi_fail(err, BV_E_LIMIT, "the scripts are larger than %u bytes together",
                        BVI_SOURCES_BYTES_MAX);
    return 0;
}

static int add_file(scan *scanning, int fd, const char *path, size_t len, bv_error **err)
{
    bvi_auto_free char *text = bvi_calloc(1, len + 1);
    bvi_auto_free char *copy = bvi_strdup(path);
    bvi_source *source;
    int r;

    if (!text || !copy)
        return bvi_fail_nomem(err);
    r = read_all(fd, path, len, text, err);
    if (r < 0)
        return r;
    if (scanning->sources->files.len >= scanning->sources->files.max)
        return bvi_fail(err, BV_E_LIMIT, "more than %zu script files",
                        scanning->sources->files.max);
    source = bvi_vec_push(&scanning->sources->files);
    if (!source)
        return bvi_fail_nomem(err);
    *source = (bvi_source){ bvi_take(copy), bvi_take(text), len };
    scanning->sources->bytes += len;
    return 0;
}

/* A link is not followed: openat2 refuses it, and we pass it over like anything that is not a plain
 * file. */
static int read_file(scan *scanning, const char *path, bv_error **err)
{
    bvi_auto_close int found = -1;
    bvi_auto_close int fd = -1;
    char name[64];
    struct stat st;
    int r;

    r = bvi_fs_open_beneath(scanning->root_fd, path, O_PATH, 0, &found, NULL);
    if (r == BV_E_NOMEM)
        return bvi_fail_nomem(err);
    if (r < 0)
        return 0;
    if (fstat(found, &st) < 0)
        return bvi_fail_sys(err, errno, "cannot look at '%s'", path);
    if (!S_ISREG(st.st_mode))
        return 0;
    /* Only now opened for reading: to open a device node of an image may do something already. */
    (void)snprintf(name, sizeof(name), "/proc/self/fd/%d", found); /* fits */
    fd = open(name, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return bvi_fail_sys(err, errno, "cannot open '%s'", path);
    r = check_size(scanning, path, st.st_size, err);
    return r < 0 ? r : add_file(scanning, fd, path, (size_t)st.st_size, err);
}

static int read_dir(scan *scanning, const char *path, unsigned depth, bv_error **err);

static int read_entry(scan *scanning, const char *dir, const struct dirent *entry, unsigned depth,
                      bv_error **err)
{
    bvi_auto_free char *path = NULL;

    if (entry->d_name[0] == '.')
        return 0;
    path = *dir ? bvi_path_join(dir, entry->d_name, NULL) : bvi_strdup(entry->d_name);
    if (!path)
        return bvi_fail_nomem(err);
    if (has_suffix(entry->d_name))
        return read_file(scanning, path, err);
    if (entry->d_type == DT_DIR || entry->d_type == DT_UNKNOWN)
        return depth < BVI_SOURCES_DEPTH_MAX ? read_dir(scanning, path, depth + 1, err) : 0;
    return 0;
}

static int read_dir(scan *scanning, const char *path, unsigned depth, bv_error **err)
{
    int fd = -1;
    DIR *dir;
    int r;

    r = bvi_fs_open_beneath(scanning->root_fd, *path ? path : ".",
                            O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0, &fd, NULL);
    if (r < 0)
        return r == BV_E_NOMEM ? bvi_fail_nomem(err) : 0; /* a link, or not a directory */
    dir = fdopendir(fd);
    if (!dir) {
        r = bvi_fail_sys(err, errno, "cannot read directory '%s'", path);
        (void)close(fd); /* only read from */
        return r;
    }
    for (struct dirent *e = readdir(dir); e && r >= 0; e = readdir(dir))
        r = read_entry(scanning, path, e, depth, err);
    (void)closedir(dir); /* only read from */
    return r;
}

static int open_dir(const char *root, const char *dir, int *ret_fd, bv_error **err)
{
    bvi_auto_close int root_fd = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);

    if (root_fd < 0)
        return bvi_fail_sys(err, errno, "cannot open directory '%s'", root);
    return bvi_fs_open_beneath(root_fd, dir, O_PATH | O_DIRECTORY | O_CLOEXEC, 0, ret_fd, err);
}

static int compare_paths(const void *a, const void *b)
{
    return strcmp(((const bvi_source *)a)->path, ((const bvi_source *)b)->path);
}

int bvi_sources_read(const char *root, const char *dir, size_t file_max, uint32_t count_max,
                     bvi_sources *ret_sources, bv_error **err)
{
    bvi_sources sources = { .files = BVI_VEC_INIT(count_max) };
    scan all = { .sources = &sources, .root_fd = -1, .file_max = file_max };
    int r;

    sources.dir = strcmp(dir, ".") == 0 ? bvi_strdup(root) : bvi_path_join(root, dir, NULL);
    r = sources.dir ? open_dir(root, dir, &all.root_fd, err) : bvi_fail_nomem(err);
    if (r >= 0)
        r = read_dir(&all, "", 0, err);
    bvi_closep(&all.root_fd);
    if (r < 0) {
        bvi_sources_done(&sources);
        return bvi_wrap(err, r, "plugin directory '%s/%s'", root, dir);
    }
    if (sources.files.len)
        qsort(sources.files.items, sources.files.len, sizeof(bvi_source), compare_paths);
    *ret_sources = sources;
    return 0;
}

void bvi_sources_done(bvi_sources *sources)
{
    for (size_t i = 0; i < sources->files.len; i++) {
        bvi_free(sources->files.items[i].path);
        bvi_free(sources->files.items[i].text);
    }
    bvi_vec_done(&sources->files);
    bvi_free(sources->dir);
    sources->dir = NULL;
}

const bvi_source *bvi_sources_find(const bvi_sources *sources, const char *path)
{
    for (size_t i = 0; i < sources->files.len; i++) {
        if (strcmp(sources->files.items[i].path, path) == 0)
            return &sources->files.items[i];
    }
    return NULL;
}

bool bvi_sources_mention(const bvi_sources *sources, const char *word)
{
    for (size_t i = 0; i < sources->files.len; i++) {
        if (strstr(sources->files.items[i].text, word))
            return true;
    }
    return false;
}

/* The file that an import means, below the plugin's directory: "." and ".." worked out, with the
 * suffix. NULL without memory; "" when the path leaves the directory. */
static char *import_path(const char *name)
{
    char *path = bvi_asprintf("%s%s", name, has_suffix(name) ? "" : SUFFIX);
    size_t len = 0;

    if (!path)
        return NULL;
    for (const char *at = path; at; at = strchr(at, '/')) {
        size_t part;

        at += *at == '/';
        part = strcspn(at, "/");
        if (part == 0 || (part == 1 && at[0] == '.'))
            continue;
        if (part == 2 && at[0] == '.' && at[1] == '.') {
            if (len == 0)
                break;
            while (len > 0 && path[--len] != '/')
                continue;
            continue;
        }
        if (len > 0)
            path[len++] = '/';
        memmove(path + len, at, part); /* never behind what is still to be read */
        len += part;
    }
    path[len] = '\0';
    return path;
}

int bvi_sources_import(const bvi_sources *sources, const char *name, const bvi_source **ret_source,
                       bv_error **err)
{
    bvi_auto_free char *path = import_path(name);

    if (!path)
        return bvi_fail_nomem(err);
    if (name[0] == '/' || path[0] == '\0')
        return bvi_fail(err, BV_E_DENIED, "module '%s' is outside of the plugin's directory", name);
    *ret_source = bvi_sources_find(sources, path);
    if (!*ret_source)
        return bvi_fail(err, BV_E_NOT_FOUND, "module '%s' is not in '%s'", name, sources->dir);
    return 0;
}
