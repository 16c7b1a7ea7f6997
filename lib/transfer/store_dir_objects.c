/*
 * store_dir_objects.c - single objects in a directory store, and listing them. All of it runs on
 * workers.
 *
 * An object is a file, put by renaming a finished one, so that nobody ever sees half of it. What is
 * listed comes in the order of the keys' bytes, as from any other store.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sys/fs.h"
#include "transfer/store_dir_impl.h"

/* Directories of a store inside each other. */
#define DEPTH_MAX 8u
/* A directory may be removed by a prune between making it and putting into it. */
#define PUT_TRIES 8u

static int open_object(bvi_dir_call *c, int *ret_fd, uint64_t *ret_size, bv_error **err)
{
    struct stat st;
    int r = bvi_fs_open_beneath(c->store->root_fd, c->req.key, O_RDONLY | O_NOFOLLOW | O_NONBLOCK,
                                0, ret_fd, err);

    if (r < 0)
        return r;
    if (fstat(*ret_fd, &st) < 0)
        return bvi_fail_sys(err, errno, "cannot look at '%s'", c->req.key);
    if (!S_ISREG(st.st_mode))
        return bvi_fail(err, BV_E_NOT_FOUND, "'%s' is not an object", c->req.key);
    *ret_size = (uint64_t)st.st_size;
    return 0;
}

/* Fewer bytes than asked for when the file ends. */
static int read_at(bvi_dir_call *c, int fd, uint64_t offset, void *into, size_t len,
                   size_t *ret_len, bv_error **err)
{
    size_t done = 0;

    while (done < len) {
        ssize_t n = pread(fd, (char *)into + done, len - done, (off_t)(offset + done));

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return bvi_fail_sys(err, errno, "cannot read '%s'", c->req.key);
        if (n == 0)
            break;
        done += (size_t)n;
    }
    *ret_len = done;
    return 0;
}

int bvi_dir_run_get(bvi_dir_call *c, bv_error **err)
{
    bvi_auto_close int fd = -1;
    uint64_t size = 0;
    int r = open_object(c, &fd, &size, err);

    if (r < 0)
        return r;
    if (size > c->req.max)
        return bvi_fail(err, BV_E_LIMIT, "'%s' is larger than %zu bytes", c->req.key, c->req.max);
    c->bytes = bvi_malloc((size_t)size + 1);
    if (!c->bytes)
        return bvi_fail_nomem(err);
    r = read_at(c, fd, 0, c->bytes, (size_t)size, &c->len, err);
    if (r == 0)
        c->bytes[c->len] = '\0';
    return r;
}

int bvi_dir_run_read(bvi_dir_call *c, bv_error **err)
{
    bvi_auto_close int fd = -1;
    uint64_t size = 0;
    int r = open_object(c, &fd, &size, err);

    if (r == 0)
        r = read_at(c, fd, c->req.offset, c->req.into, c->req.into_len, &c->len, err);
    if (r == 0 && c->len != c->req.into_len)
        return bvi_fail(err, BV_E_CHECKSUM,
                        "'%s' is too short: it has %llu bytes, and %llu are "
                        "needed",
                        c->req.key, (unsigned long long)size,
                        (unsigned long long)(c->req.offset + c->req.into_len));
    return r;
}

int bvi_dir_run_stat(bvi_dir_call *c, bv_error **err)
{
    bvi_auto_close int fd = -1;

    return open_object(c, &fd, &c->size, err);
}

/* ---- PUT ---- */

static int put_once(bvi_dir_call *c, const char *dir, const char *name, bv_error **err)
{
    bvi_auto_close int fd = -1;
    int r = bvi_dir_open(c->store->root_fd, dir, &fd, NULL);

    if (r < 0) {
        r = bvi_fs_mkdir_beneath(c->store->root_fd, dir, 0755, err);
        if (r == 0)
            r = bvi_dir_open(c->store->root_fd, dir, &fd, err);
    }
    if (r < 0)
        return r;
    return (c->req.create_only ? bvi_fs_create_at : bvi_fs_replace_at)(fd, name, c->req.bytes,
                                                                       c->req.len, 0644, err);
}

int bvi_dir_run_put(bvi_dir_call *c, bv_error **err)
{
    const char *slash = strrchr(c->req.key, '/');
    bvi_auto_free char *dir =
        bvi_strndup(slash ? c->req.key : ".", slash ? (size_t)(slash - c->req.key) : 1);
    int r = BV_E_NOT_FOUND;

    if (!dir)
        return bvi_fail_nomem(err);
    for (unsigned i = 0; i < PUT_TRIES && r == BV_E_NOT_FOUND; i++) {
        bvi_auto_error bv_error *why = NULL;

        r = put_once(c, dir, slash ? slash + 1 : c->req.key, &why);
        if (r < 0 && (r != BV_E_NOT_FOUND || i + 1 == PUT_TRIES))
            return bvi_error_move(err, bvi_take(why));
    }
    return r;
}

/* ---- REMOVE ---- */

/* A directory that is missing is no error: *ret_fd stays as it is. */
static int open_if_there(bvi_dir_call *c, const char *dir, int *ret_fd, bv_error **err)
{
    bvi_auto_error bv_error *why = NULL;
    int r = bvi_dir_open(c->store->root_fd, dir, ret_fd, &why);

    return r < 0 && r != BV_E_NOT_FOUND ? bvi_error_move(err, bvi_take(why)) : 0;
}

/* Empty directories above an object go with it. */
static void remove_parents(bvi_dir_call *c, char *dir)
{
    for (;;) {
        char *slash = strrchr(dir, '/');
        bvi_auto_close int fd = -1;

        if (!slash) /* a store key stays */
            return;
        *slash = '\0';
        if (bvi_dir_open(c->store->root_fd, dir, &fd, NULL) < 0 ||
            unlinkat(fd, slash + 1, AT_REMOVEDIR) < 0)
            return; /* something is in it */
    }
}

int bvi_dir_run_remove(bvi_dir_call *c, bv_error **err)
{
    bvi_auto_free char *dir = bvi_strdup(c->req.key);
    char *slash = dir ? strrchr(dir, '/') : NULL;
    bvi_auto_close int fd = -1;
    int r;

    if (!dir)
        return bvi_fail_nomem(err);
    if (slash)
        *slash = '\0';
    r = open_if_there(c, slash ? dir : ".", &fd, err);
    if (r < 0 || fd < 0)
        return r;
    if (unlinkat(fd, slash ? slash + 1 : dir, 0) < 0 && errno != ENOENT)
        return bvi_fail_sys(err, errno, "cannot remove '%s'", c->req.key);
    if (slash)
        remove_parents(c, dir);
    return 0;
}

/* ---- OBJECTS: one directory after the other, those inside at their place ---- */

typedef struct name_list {
    bvi_strv names; /* those of directories with a '/' behind */
    int dir_fd;
} name_list;

bool bvi_dir_is_temporary(const char *name)
{
    return name[0] == '.' && strstr(name, ".tmp-") != NULL;
}

static int add_name(const char *name, void *data, bv_error **err)
{
    name_list *list = data;
    struct stat st;
    int r;

    if (bvi_dir_is_temporary(name) || fstatat(list->dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
        (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode)))
        return 0;
    r = S_ISDIR(st.st_mode) ? bvi_strv_take(&list->names, bvi_asprintf("%s/", name))
                            : bvi_strv_add(&list->names, name);
    if (r == BV_E_LIMIT)
        return bvi_fail(err, r, "a directory of the store has more than %u names",
                        BVI_DIR_NAMES_MAX);
    return r < 0 ? bvi_fail_nomem(err) : 0;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool begins_with(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

/* Whether this key, or for a directory ("a/b/") one below it, may be wanted. */
static bool is_wanted(const bvi_dir_call *c, const char *key)
{
    const char *prefix = c->req.key ? c->req.key : "";
    const char *after = c->req.after ? c->req.after : "";
    bool is_dir = *key && key[strlen(key) - 1] == '/';

    if (!begins_with(key, prefix) && !(is_dir && begins_with(prefix, key)))
        return false;
    return strcmp(key, after) > 0 || (is_dir && begins_with(after, key));
}

static int add_object(bvi_dir_call *c, int dir_fd, const char *name, const char *key,
                      bv_error **err)
{
    bvi_store_object *object;
    struct stat st;

    if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0) /* gone since */
        return 0;
    if (c->objects.len == c->objects.max) {
        c->more = true;
        return 0;
    }
    object = bvi_vec_push(&c->objects);
    if (!object)
        return bvi_fail_nomem(err);
    object->size = (uint64_t)st.st_size;
    object->modified_us = (int64_t)st.st_mtim.tv_sec * 1000000 + st.st_mtim.tv_nsec / 1000;
    object->key = bvi_strdup(key);
    return object->key ? 0 : bvi_fail_nomem(err);
}

/* dir: "" or with a '/' at its end. Recurses, DEPTH_MAX deep at most. */
static int list_dir(bvi_dir_call *c, int dir_fd, const char *dir, unsigned depth, bv_error **err)
{
    name_list list = { .names = BVI_VEC_INIT(BVI_DIR_NAMES_MAX), .dir_fd = dir_fd };
    int r = bvi_dir_each_name(dir_fd, *dir ? dir : c->store->root, add_name, &list, err);

    if (r == 0 && list.names.len > 0)
        qsort(list.names.items, list.names.len, sizeof(char *), compare_names);
    for (size_t i = 0; r == 0 && !c->more && i < list.names.len; i++) {
        const char *name = list.names.items[i];
        bvi_auto_free char *key = bvi_asprintf("%s%s", dir, name);
        bvi_auto_close int fd = -1;

        if (!key)
            r = bvi_fail_nomem(err);
        else if (!is_wanted(c, key))
            continue;
        else if (name[strlen(name) - 1] != '/')
            r = add_object(c, dir_fd, name, key, err);
        else if (depth < DEPTH_MAX && bvi_dir_open(dir_fd, name, &fd, NULL) == 0)
            r = list_dir(c, fd, key, depth + 1, err);
    }
    bvi_strv_done(&list.names);
    return r;
}

int bvi_dir_run_objects(bvi_dir_call *c, bv_error **err)
{
    const char *prefix = c->req.key ? c->req.key : "";
    const char *slash = strrchr(prefix, '/');
    bvi_auto_free char *dir = bvi_strndup(prefix, slash ? (size_t)(slash - prefix) + 1 : 0);
    bvi_auto_close int fd = -1;
    int r;

    if (!dir)
        return bvi_fail_nomem(err);
    c->objects.max = c->req.max ? c->req.max : BVI_STORE_OBJECTS_MAX;
    r = open_if_there(c, *dir ? dir : ".", &fd, err);
    return r < 0 || fd < 0 ? r : list_dir(c, fd, dir, 0, err);
}
