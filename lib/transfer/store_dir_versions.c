/*
 * store_dir_versions.c - versions in a directory store: which there are, what they are, and
 * removing abandoned ones. All of it runs on workers.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sys/fs.h"
#include "transfer/manifest.h"
#include "transfer/root_peek.h"
#include "transfer/store_dir_impl.h"

int bvi_dir_open(int at_fd, const char *path, int *ret_fd, bv_error **err)
{
    return bvi_fs_open_beneath(at_fd, path, O_RDONLY | O_DIRECTORY, 0, ret_fd, err);
}

/* A disk that does not answer must not look like an object that is not there. */
static int has_file(int dir_fd, const char *name, bool *ret_has, bv_error **err)
{
    struct stat st;

    if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
        if (errno != ENOENT && errno != ENOTDIR)
            return bvi_fail_sys(err, errno, "cannot look for '%s' of a version", name);
        *ret_has = false;
        return 0;
    }
    *ret_has = S_ISREG(st.st_mode);
    return 0;
}

int bvi_dir_format(int version_fd, bvi_store_format *ret_format, bv_error **err)
{
    bool has_header = false;
    bool has_body = false;
    bool has_root = false;
    int r = has_file(version_fd, BVI_STORE_HEADER, &has_header, err);

    if (r == 0)
        r = has_file(version_fd, BVI_STORE_BODY, &has_body, err);
    if (r == 0)
        r = has_file(version_fd, BVI_STORE_ROOT, &has_root, err);
    if (r == 0)
        *ret_format = bvi_store_format_of(has_header, has_header && has_body, has_root);
    return r;
}

int bvi_dir_format_of(int key_fd, uint64_t version, bvi_store_format *ret_format, bv_error **err)
{
    bvi_auto_close int fd = -1;
    bv_error *why = NULL;
    int r = bvi_dir_open_version(key_fd, version, &fd, &why);

    if (r == 0)
        return bvi_dir_format(fd, ret_format, err);
    if (r != BV_E_NOT_FOUND && bv_error_errno(why) != ENOTDIR)
        return bvi_error_move(err, why);
    bv_error_free(why);
    *ret_format = BVI_STORE_ANY; /* removed meanwhile, or no version */
    return 0;
}

static int compare_versions(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

static void close_dir(DIR **dir)
{
    if (*dir)
        (void)closedir(*dir); /* was only read */
}

int bvi_dir_each_name(int dir_fd, const char *what,
                      int (*fn)(const char *name, void *data, bv_error **err), void *data,
                      bv_error **err)
{
    bvi_auto_close int copy = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    BVI_AUTO(close_dir) DIR *dir = copy >= 0 ? fdopendir(copy) : NULL;

    if (!dir)
        return bvi_fail_sys(err, errno, "cannot list '%s'", what);
    (void)bvi_take_fd(&copy); /* dir has it now */
    for (;;) {
        struct dirent *entry;
        int r;

        errno = 0;
        entry = readdir(dir);
        if (!entry)
            return errno ? bvi_fail_sys(err, errno, "cannot list '%s'", what) : 0;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        r = fn(entry->d_name, data, err);
        if (r < 0)
            return r;
    }
}

/* ---- versions ---- */

static int add_version(const char *name, void *data, bv_error **err)
{
    bvi_version_list *list = data;
    uint64_t version = bvi_store_version_of(name);
    uint64_t *slot;

    if (!version)
        return 0;
    if (list->len >= list->max)
        return bvi_fail(err, BV_E_LIMIT, "more than %u versions", BVI_STORE_VERSIONS_MAX);
    slot = bvi_vec_push(list);
    if (!slot)
        return bvi_fail_nomem(err);
    *slot = version;
    return 0;
}

int bvi_dir_open_version(int key_fd, uint64_t version, int *ret_fd, bv_error **err)
{
    char name[32];

    (void)snprintf(name, sizeof(name), "%llu", (unsigned long long)version); /* fits */
    return bvi_dir_open(key_fd, name, ret_fd, err);
}

int bvi_dir_all_versions(int key_fd, const char *store_key, bvi_version_list *list, bv_error **err)
{
    int r = bvi_dir_each_name(key_fd, store_key, add_version, list, err);

    if (r == 0 && list->len > 0)
        qsort(list->items, list->len, sizeof(*list->items), compare_versions);
    return r;
}

int bvi_dir_complete_versions(int key_fd, const char *store_key, bvi_store_format format,
                              bvi_version_list *list, bv_error **err)
{
    size_t kept = 0;
    int r = bvi_dir_all_versions(key_fd, store_key, list, err);

    for (size_t i = 0; r == 0 && i < list->len; i++) {
        bvi_store_format found = BVI_STORE_ANY;

        r = bvi_dir_format_of(key_fd, list->items[i], &found, err);
        if (r == 0 && bvi_store_format_wanted(format, found))
            list->items[kept++] = list->items[i];
    }
    list->len = kept;
    return r;
}

int bvi_dir_run_versions(bvi_dir_call *c, bv_error **err)
{
    bvi_auto_close int fd = -1;
    int r = bvi_dir_open(c->store->root_fd, c->req.store_key, &fd, err);

    if (r == BV_E_NOT_FOUND)
        return bvi_wrap(err, r, "store '%s' not found in '%s'", c->req.store_key, c->store->root);
    return r < 0
               ? r
               : bvi_dir_complete_versions(fd, c->req.store_key, c->req.format, &c->versions, err);
}

/* ---- list and prune ---- */

typedef struct per_version {
    bvi_dir_call *call;
    int key_fd;
    const char *store_key;
} per_version;

typedef int (*version_fn)(per_version *p, uint64_t version, int version_fd, bv_error **err);

typedef struct key_walk {
    bvi_dir_call *call;
    version_fn fn;
} key_walk;

static int each_version(const char *store_key, void *data, bv_error **err)
{
    key_walk *walk = data;
    bvi_version_list list = BVI_VEC_INIT(BVI_STORE_VERSIONS_MAX);
    bvi_auto_close int key_fd = -1;
    per_version p = { .call = walk->call, .store_key = store_key };
    int r;

    if (strlen(store_key) > BVI_STORE_KEY_MAX ||
        bvi_dir_open(walk->call->store->root_fd, store_key, &key_fd, NULL) < 0)
        return 0; /* not a store key's directory */
    p.key_fd = key_fd;
    r = bvi_dir_all_versions(key_fd, store_key, &list, err);
    for (size_t i = 0; r == 0 && i < list.len; i++) {
        bvi_auto_close int fd = -1;

        if (bvi_dir_open_version(key_fd, list.items[i], &fd, NULL) == 0)
            r = walk->fn(&p, list.items[i], fd, err);
    }
    bvi_vec_done(&list);
    return r;
}

static int each_key(bvi_dir_call *c, version_fn fn, bv_error **err)
{
    key_walk walk = { .call = c, .fn = fn };

    if (c->req.store_key)
        return each_version(c->req.store_key, &walk, err);
    return bvi_dir_each_name(c->store->root_fd, c->store->root, each_version, &walk, err);
}

static uint64_t stored_bytes(int version_fd, uint32_t chunks)
{
    uint64_t sum = 0;

    for (uint32_t i = 0; i < chunks; i++) {
        char name[64];
        struct stat st;

        (void)snprintf(name, sizeof(name), "%s%u", BVI_STORE_CHUNK_PREFIX, i); /* fits */
        if (fstatat(version_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0)
            sum += (uint64_t)st.st_size;
    }
    return sum;
}

static int read_archive(int version_fd, bvi_snapshot_info *info, bv_error **err)
{
    bvi_auto_free char *text = NULL;
    bvi_manifest_header header;
    struct stat st;
    size_t len = 0;
    int r;

    if (fstatat(version_fd, BVI_STORE_HEADER, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return bvi_fail_sys(err, errno, "cannot look at '%s'", BVI_STORE_HEADER);
    r = bvi_fs_read_at(version_fd, BVI_STORE_HEADER, BVI_MANIFEST_HEADER_MAX, &text, &len, err);
    if (r == 0)
        r = bvi_manifest_header_parse(text, len, &header, err);
    if (r < 0)
        return r;
    info->total_bytes = header.total_size;
    info->stored_bytes = stored_bytes(version_fd, header.chunks);
    info->chunks = header.chunks;
    info->compression = header.compression;
    info->created_us = (int64_t)st.st_mtim.tv_sec * 1000000 + st.st_mtim.tv_nsec / 1000;
    return 0;
}

static int read_root(int version_fd, bvi_snapshot_info *info, bv_error **err)
{
    bvi_auto_close int fd = openat(version_fd, BVI_STORE_ROOT, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    char text[BVI_ROOT_PEEK_BYTES];
    ssize_t n;

    if (fd < 0)
        return bvi_fail_sys(err, errno, "cannot open '%s'", BVI_STORE_ROOT);
    do {
        n = pread(fd, text, sizeof(text), 0);
    } while (n < 0 && errno == EINTR);
    return n < 0 ? bvi_fail_sys(err, errno, "cannot read '%s'", BVI_STORE_ROOT)
                 : bvi_root_peek(text, (size_t)n, info, err);
}

static int list_version(per_version *p, uint64_t version, int version_fd, bv_error **err)
{
    bvi_auto_error bv_error *why = NULL;
    bvi_store_format format = BVI_STORE_ANY;
    bvi_snapshot_info info = { .version = version };
    bvi_snapshot_info *slot;
    int r = bvi_dir_format(version_fd, &format, err);

    if (r < 0)
        return r;
    info.format = format;
    if (!bvi_store_format_wanted(p->call->req.format, format))
        return 0;
    r = format == BVI_STORE_SNAPSHOT ? read_root(version_fd, &info, &why)
                                     : read_archive(version_fd, &info, &why);
    if (r == BV_E_NOMEM)
        return bvi_fail_nomem(err);
    if (r < 0) { /* one bad version must not hide the others */
        bvi_log_warn(p->call->store->store.ctx, "transfer",
                     "version %llu of '%s' is not listed: %s", (unsigned long long)version,
                     p->store_key, bv_error_message(why));
        return 0;
    }
    memcpy(info.key, p->store_key, strlen(p->store_key)); /* length was checked; zeroed before */
    slot = bvi_vec_push(&p->call->infos);
    if (!slot)
        return bvi_fail_nomem(err);
    *slot = info;
    return 0;
}

int bvi_dir_run_list(bvi_dir_call *c, bv_error **err)
{
    return each_key(c, list_version, err);
}

static int wipe_entry(const char *name, void *data, bv_error **err)
{
    int dir_fd = *(int *)data;

    if (strcmp(name, BVI_STORE_LOCK) == 0)
        return 0; /* whoever wipes holds it */
    if (unlinkat(dir_fd, name, 0) < 0 && errno != ENOENT)
        return bvi_fail_sys(err, errno, "cannot remove '%s' of an abandoned upload", name);
    return 0;
}

int bvi_dir_wipe_version(int version_fd, const char *store_key, bv_error **err)
{
    return bvi_dir_each_name(version_fd, store_key, wipe_entry, &version_fd, err);
}

static int prune_version(per_version *p, uint64_t version, int version_fd, bv_error **err)
{
    uint64_t max_age_secs = p->call->req.max_age_secs;
    bvi_store_format format = BVI_STORE_ANY;
    bvi_auto_close int fd = -1;
    char name[32];
    int r;

    r = bvi_dir_format(version_fd, &format, err);
    if (r < 0 || format != BVI_STORE_ANY ||
        bvi_fs_open_beneath(version_fd, BVI_STORE_LOCK, O_RDWR | O_CREAT | O_NOFOLLOW, 0644, &fd,
                            NULL) < 0)
        return r;
    if (!bvi_dir_lock(fd) || (max_age_secs > 0 && !bvi_dir_lease_is_old(fd, max_age_secs)))
        return 0;
    r = bvi_dir_format(version_fd, &format, err); /* it may have been completed meanwhile */
    if (r < 0 || format != BVI_STORE_ANY)
        return r;
    r = bvi_dir_wipe_version(version_fd, p->store_key, err);
    if (r < 0)
        return r;
    (void)snprintf(name, sizeof(name), "%llu", (unsigned long long)version); /* fits */
    (void)unlinkat(version_fd, BVI_STORE_LOCK, 0);                           /* rmdir tells */
    if (unlinkat(p->key_fd, name, AT_REMOVEDIR) < 0 && errno != ENOTEMPTY)
        return bvi_fail_sys(err, errno, "cannot remove the abandoned version %s of '%s'", name,
                            p->store_key);
    p->call->size++;
    return 0;
}

/* ---- what unfinished puts left among the packs ---- */

typedef struct pack_sweep {
    bvi_dir_call *call;
    int dir_fd;
    unsigned depth;
} pack_sweep;

static bool is_left_over(const pack_sweep *s, const char *name, const struct stat *st)
{
    uint64_t max_age_secs = s->call->req.max_age_secs;
    int64_t age_secs = s->call->wall_us / 1000000 - st->st_mtim.tv_sec;

    if (max_age_secs < BVI_STORE_LEASE_SECS) /* it may be at work */
        max_age_secs = BVI_STORE_LEASE_SECS;
    return S_ISREG(st->st_mode) && bvi_dir_is_temporary(name) && age_secs > 0 &&
           (uint64_t)age_secs > max_age_secs;
}

/* "packs/<xx>": one directory inside the other, no deeper. */
static int sweep_entry(const char *name, void *data, bv_error **err)
{
    const pack_sweep *s = data;
    bvi_auto_close int fd = -1;
    pack_sweep below = { s->call, -1, s->depth + 1 };
    struct stat st;

    if (fstatat(s->dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return 0; /* gone since */
    if (is_left_over(s, name, &st))
        return unlinkat(s->dir_fd, name, 0) < 0 && errno != ENOENT
                   ? bvi_fail_sys(err, errno, "cannot remove '%s' of an abandoned upload", name)
                   : 0;
    if (!S_ISDIR(st.st_mode) || s->depth > 0 || bvi_dir_open(s->dir_fd, name, &fd, NULL) < 0)
        return 0;
    below.dir_fd = fd;
    return bvi_dir_each_name(fd, name, sweep_entry, &below, err);
}

static int sweep_packs(const char *store_key, void *data, bv_error **err)
{
    bvi_dir_call *c = data;
    bvi_auto_free char *dir = bvi_asprintf("%s/packs", store_key);
    bvi_auto_close int fd = -1;
    pack_sweep s = { c, -1, 0 };

    if (!dir)
        return bvi_fail_nomem(err);
    if (bvi_dir_open(c->store->root_fd, dir, &fd, NULL) < 0)
        return 0;
    s.dir_fd = fd;
    return bvi_dir_each_name(fd, dir, sweep_entry, &s, err);
}

int bvi_dir_run_prune(bvi_dir_call *c, bv_error **err)
{
    int r = each_key(c, prune_version, err);

    if (r < 0)
        return r;
    return c->req.store_key
               ? sweep_packs(c->req.store_key, c, err)
               : bvi_dir_each_name(c->store->root_fd, c->store->root, sweep_packs, c, err);
}
