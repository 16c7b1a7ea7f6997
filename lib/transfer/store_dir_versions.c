/*
 * store_dir_versions.c - versions in a directory store: which there are, reserving the next,
 * removing abandoned ones.
 *
 * A version number is reserved by making its directory, which only one process can do. The
 * reserving process then holds a lock on .lock, which ends with it, and writes its lease into it,
 * which does not: an upload that was killed finds its own reservation again, others pass over it
 * until the lease has run out. All of it runs on workers.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "sys/fs.h"
#include "transfer/manifest.h"
#include "transfer/store_dir_impl.h"

/* Reservations of living uploads that are passed over before giving up. */
#define RESERVE_TRIES 1000u

static int open_dir(int at_fd, const char *path, int *ret_fd, bv_error **err)
{
    return bvi_fs_open_beneath(at_fd, path, O_RDONLY | O_DIRECTORY, 0, ret_fd, err);
}

static bool has_file(int dir_fd, const char *name)
{
    struct stat st;

    return fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode);
}

static bool is_complete(int version_fd)
{
    return has_file(version_fd, BVI_STORE_HEADER) && has_file(version_fd, BVI_STORE_BODY);
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

/* Calls fn with each name in a directory. */
static int each_name(int dir_fd, const char *what,
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

static int open_version(int key_fd, uint64_t version, int *ret_fd, bv_error **err)
{
    char name[32];

    (void)snprintf(name, sizeof(name), "%llu", (unsigned long long)version); /* fits */
    return open_dir(key_fd, name, ret_fd, err);
}

static bool version_is_complete(int key_fd, uint64_t version)
{
    bvi_auto_close int fd = -1;

    return open_version(key_fd, version, &fd, NULL) == 0 && is_complete(fd);
}

/* All versions of a key, complete or not, ascending. */
static int all_versions(int key_fd, const char *store_key, bvi_version_list *list, bv_error **err)
{
    int r = each_name(key_fd, store_key, add_version, list, err);

    if (r == 0 && list->len > 0)
        qsort(list->items, list->len, sizeof(*list->items), compare_versions);
    return r;
}

static int complete_versions(int key_fd, const char *store_key, bvi_version_list *list,
                             bv_error **err)
{
    size_t kept = 0;
    int r = all_versions(key_fd, store_key, list, err);

    for (size_t i = 0; r == 0 && i < list->len; i++) {
        if (version_is_complete(key_fd, list->items[i]))
            list->items[kept++] = list->items[i];
    }
    list->len = kept;
    return r;
}

int bvi_dir_run_versions(bvi_dir_call *c, bv_error **err)
{
    bvi_auto_close int fd = -1;
    int r = open_dir(c->store->root_fd, c->store_key, &fd, err);

    if (r == BV_E_NOT_FOUND)
        return bvi_wrap(err, r, "store '%s' not found in '%s'", c->store_key, c->store->root);
    return r < 0 ? r : complete_versions(fd, c->store_key, &c->versions, err);
}

/* ---- reservations ---- */

static bool lock_fd(int fd)
{
    int r;

    do {
        r = flock(fd, LOCK_EX | LOCK_NB);
    } while (r < 0 && errno == EINTR);
    return r == 0;
}

static bool lease_is_old(int fd, uint64_t max_age_secs)
{
    struct stat st;
    time_t now = time(NULL);

    return fstat(fd, &st) == 0 && now > st.st_mtime && (uint64_t)(now - st.st_mtime) > max_age_secs;
}

static bool lease_matches(int fd, const char *lease)
{
    char text[BVI_STORE_LEASE_MAX + 1];
    ssize_t n = pread(fd, text, sizeof(text), 0);

    if (n == 0) /* its maker died between two steps */
        return true;
    return n > 0 && lease && (size_t)n == strlen(lease) && memcmp(text, lease, (size_t)n) == 0;
}

static int wipe_entry(const char *name, void *data, bv_error **err)
{
    int dir_fd = *(int *)data;

    if (strcmp(name, BVI_STORE_LOCK) == 0)
        return 0; /* we hold it */
    if (unlinkat(dir_fd, name, 0) < 0 && errno != ENOENT)
        return bvi_fail_sys(err, errno, "cannot remove '%s' of an abandoned upload", name);
    return 0;
}

static int write_lease(int fd, const char *lease, bv_error **err)
{
    if (!lease) /* only a sign of life */
        return futimens(fd, NULL) < 0 ? bvi_fail_sys(err, errno, "cannot renew the reservation")
                                      : 0;
    if (ftruncate(fd, 0) < 0 || pwrite(fd, lease, strlen(lease), 0) < 0 || fsync(fd) < 0)
        return bvi_fail_sys(err, errno, "cannot write the reservation");
    return 0;
}

/* Takes the version's lock if nobody living holds it and the lease is ours or has run out. */
static int take_version(bvi_dir_call *c, int key_fd, uint64_t version, bool explicit,
                        bv_error **err)
{
    bvi_auto_close int dir_fd = -1;
    bvi_auto_close int fd = -1;
    int r;

    r = open_version(key_fd, version, &dir_fd, err);
    if (r == 0)
        r = bvi_fs_open_beneath(dir_fd, BVI_STORE_LOCK, O_RDWR | O_CREAT | O_NOFOLLOW, 0644, &fd,
                                err);
    if (r < 0)
        return r;
    if (!lock_fd(fd))
        return bvi_fail(err, BV_E_BUSY, "version %llu of '%s' is being uploaded by someone else",
                        (unsigned long long)version, c->store_key);
    if (is_complete(dir_fd)) { /* since we looked */
        (void)unlinkat(dir_fd, BVI_STORE_LOCK, 0);
        return bvi_fail(err, BV_E_EXISTS,
                        "version %llu of '%s' exists already and is never changed",
                        (unsigned long long)version, c->store_key);
    }
    if (!lease_matches(fd, c->lease) && !(explicit && !c->lease)) {
        if (!lease_is_old(fd, BVI_STORE_LEASE_SECS))
            return bvi_fail(err, BV_E_BUSY, "version %llu of '%s' is reserved by another upload",
                            (unsigned long long)version, c->store_key);
        r = each_name(dir_fd, c->store_key, wipe_entry, &dir_fd, err);
        if (r < 0)
            return r;
    }
    r = write_lease(fd, c->lease, err);
    if (r < 0)
        return r;
    c->version = version;
    c->lock_fd = bvi_take_fd(&fd);
    return 0;
}

static int make_version(int key_fd, uint64_t version, bv_error **err)
{
    char name[32];

    (void)snprintf(name, sizeof(name), "%llu", (unsigned long long)version); /* fits */
    if (mkdirat(key_fd, name, 0755) < 0 && errno != EEXIST)
        return bvi_fail_sys(err, errno, "cannot make version %s", name);
    return fsync(key_fd) < 0 ? bvi_fail_sys(err, errno, "cannot sync version %s", name) : 0;
}

static int reserve_next(bvi_dir_call *c, int key_fd, bv_error **err)
{
    bvi_version_list list = BVI_VEC_INIT(BVI_STORE_VERSIONS_MAX);
    uint64_t next = 1;
    int r = complete_versions(key_fd, c->store_key, &list, err);

    if (r == 0 && list.len > 0)
        next = list.items[list.len - 1] + 1;
    bvi_vec_done(&list);
    for (unsigned i = 0; r == 0 && i < RESERVE_TRIES; i++) {
        bvi_auto_error bv_error *why = NULL;

        r = make_version(key_fd, next + i, err);
        if (r < 0)
            return r;
        r = take_version(c, key_fd, next + i, false, &why);
        if (r == 0 || (r != BV_E_BUSY && r != BV_E_EXISTS))
            return bvi_error_move(err, bvi_take(why));
        r = 0;
    }
    return r < 0
               ? r
               : bvi_fail(err, BV_E_BUSY,
                          "%u versions of '%s' are reserved by unfinished uploads; prune the store",
                          RESERVE_TRIES, c->store_key);
}

int bvi_dir_run_reserve(bvi_dir_call *c, bv_error **err)
{
    bvi_auto_close int fd = -1;
    int r;

    if (c->held_fd >= 0) /* ours already: only a sign of life */
        return write_lease(c->held_fd, NULL, err);
    r = bvi_fs_mkdir_beneath(c->store->root_fd, c->store_key, 0755, err);
    if (r == 0)
        r = open_dir(c->store->root_fd, c->store_key, &fd, err);
    if (r < 0)
        return r;
    if (!c->version)
        return reserve_next(c, fd, err);
    if (version_is_complete(fd, c->version))
        return bvi_fail(err, BV_E_EXISTS,
                        "version %llu of '%s' exists already and is never changed",
                        (unsigned long long)c->version, c->store_key);
    r = make_version(fd, c->version, err);
    return r < 0 ? r : take_version(c, fd, c->version, true, err);
}

int bvi_dir_run_release(bvi_dir_call *c, bv_error **err)
{
    bvi_auto_free char *key = bvi_store_object_key(c->store_key, c->version, "");
    bvi_auto_close int fd = -1;

    if (!key)
        return bvi_fail_nomem(err);
    key[strlen(key) - 1] = '\0'; /* the directory itself */
    if (open_dir(c->store->root_fd, key, &fd, NULL) < 0)
        return 0;
    if (unlinkat(fd, BVI_STORE_LOCK, 0) < 0 && errno != ENOENT)
        return bvi_fail_sys(err, errno, "cannot release '%s'", key);
    return 0;
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
        open_dir(walk->call->store->root_fd, store_key, &key_fd, NULL) < 0)
        return 0; /* not a store key's directory */
    p.key_fd = key_fd;
    r = all_versions(key_fd, store_key, &list, err);
    for (size_t i = 0; r == 0 && i < list.len; i++) {
        bvi_auto_close int fd = -1;

        if (open_version(key_fd, list.items[i], &fd, NULL) == 0)
            r = walk->fn(&p, list.items[i], fd, err);
    }
    bvi_vec_done(&list);
    return r;
}

static int each_key(bvi_dir_call *c, version_fn fn, bv_error **err)
{
    key_walk walk = { .call = c, .fn = fn };

    if (c->store_key)
        return each_version(c->store_key, &walk, err);
    return each_name(c->store->root_fd, c->store->root, each_version, &walk, err);
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

static int list_version(per_version *p, uint64_t version, int version_fd, bv_error **err)
{
    bvi_auto_free char *text = NULL;
    bvi_auto_error bv_error *why = NULL;
    bvi_manifest_header header;
    bvi_snapshot_info *info;
    struct stat st;
    size_t len = 0;
    int r;

    if (!is_complete(version_fd) ||
        fstatat(version_fd, BVI_STORE_HEADER, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return 0;
    r = bvi_fs_read_at(version_fd, BVI_STORE_HEADER, BVI_MANIFEST_HEADER_MAX, &text, &len, &why);
    if (r == 0)
        r = bvi_manifest_header_parse(text, len, &header, &why);
    if (r == BV_E_NOMEM)
        return bvi_fail_nomem(err);
    if (r < 0) { /* one bad version must not hide the others */
        bvi_log_warn(p->call->store->store.ctx, "transfer",
                     "version %llu of '%s' is not listed: %s", (unsigned long long)version,
                     p->store_key, bv_error_message(why));
        return 0;
    }
    info = bvi_vec_push(&p->call->infos);
    if (!info)
        return bvi_fail_nomem(err);
    *info = (bvi_snapshot_info){
        .version = version,
        .total_bytes = header.total_size,
        .stored_bytes = stored_bytes(version_fd, header.chunks),
        .chunks = header.chunks,
        .compression = header.compression,
        .created_us = (int64_t)st.st_mtim.tv_sec * 1000000 + st.st_mtim.tv_nsec / 1000,
    };
    memcpy(info->key, p->store_key, strlen(p->store_key)); /* length was checked; zeroed before */
    return 0;
}

int bvi_dir_run_list(bvi_dir_call *c, bv_error **err)
{
    return each_key(c, list_version, err);
}

static int prune_version(per_version *p, uint64_t version, int version_fd, bv_error **err)
{
    bvi_auto_close int fd = -1;
    char name[32];
    struct stat st;
    int r;

    if (is_complete(version_fd))
        return 0;
    if (fstat(version_fd, &st) < 0 ||
        bvi_fs_open_beneath(version_fd, BVI_STORE_LOCK, O_RDWR | O_CREAT | O_NOFOLLOW, 0644, &fd,
                            NULL) < 0)
        return 0;
    if (!lock_fd(fd) || (!lease_is_old(fd, p->call->max_age_secs) && p->call->max_age_secs > 0) ||
        is_complete(version_fd))
        return 0;
    r = each_name(version_fd, p->store_key, wipe_entry, &version_fd, err);
    if (r < 0)
        return r;
    (void)snprintf(name, sizeof(name), "%llu", (unsigned long long)version); /* fits */
    (void)unlinkat(version_fd, BVI_STORE_LOCK, 0);                           /* rmdir tells */
    if (unlinkat(p->key_fd, name, AT_REMOVEDIR) < 0)
        return bvi_fail_sys(err, errno, "cannot remove the abandoned version %s of '%s'", name,
                            p->store_key);
    p->call->size++;
    return 0;
}

int bvi_dir_run_prune(bvi_dir_call *c, bv_error **err)
{
    return each_key(c, prune_version, err);
}
