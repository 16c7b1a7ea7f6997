/*
 * store_dir.c - a store in a directory: <root>/<store_key>/<version>/{data.part_<n>,
 * manifest-body.json, manifest-header.json, .lock}.
 *
 * A version exists once its header does; everything before is invisible to readers. A version
 * number is reserved by making its directory, which only one process can do. The reserving process
 * then holds a lock on .lock, which ends with it, and writes its lease into it, which does not: an
 * upload that was killed finds its own reservation again, others pass over it until the lease has
 * run out. Requests run in the worker pool; each one is independent, so any number of processes may
 * work on one directory.
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

#include "io/work.h"
#include "sys/fs.h"
#include "transfer/manifest.h"
#include "transfer/store.h"
#include "transfer/url.h"

/* Reservations of living uploads that are passed over before giving up. */
#define RESERVE_TRIES 1000u
#define LOCKS_MAX     1024u

/* A reservation this process holds. */
typedef struct held_lock {
    char *dir; /* "<store_key>/<version>" */
    int fd;
} held_lock;

typedef struct store_dir {
    bvi_store store;
    char *root;
    int root_fd;
    BVI_VEC(held_lock) locks; /* only touched on the context's thread */
} store_dir;

typedef BVI_VEC(uint64_t) version_list;

/* One request on its way through a worker. */
typedef struct call {
    bvi_work work;
    store_dir *store;
    bvi_store_fn done;
    void *data;
    bvi_store_verb verb;
    char *key;
    char *store_key;
    char *lease;
    uint64_t version;
    uint64_t max_age_secs;
    size_t max;
    const char *bytes_in;
    size_t len_in;
    int held_fd; /* RESERVE: the lock this process holds on the version asked for, or -1 */
    /* results */
    bv_error *err;
    char *bytes;
    size_t len;
    uint64_t size;
    int lock_fd; /* RESERVE: a lock just taken, -1 for none */
    version_list versions;
    BVI_VEC(bvi_snapshot_info) infos;
} call;

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

/* "17" -> 17; 0 for anything that is not a version's name. */
static uint64_t version_of(const char *name)
{
    uint64_t value = 0;

    if (name[0] < '1' || name[0] > '9')
        return 0;
    for (; *name; name++) {
        if (*name < '0' || *name > '9' || __builtin_mul_overflow(value, 10u, &value) ||
            __builtin_add_overflow(value, (uint64_t)(*name - '0'), &value))
            return 0;
    }
    return value;
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
    version_list *list = data;
    uint64_t version = version_of(name);
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
static int all_versions(int key_fd, const char *store_key, version_list *list, bv_error **err)
{
    int r = each_name(key_fd, store_key, add_version, list, err);

    if (r == 0 && list->len > 0)
        qsort(list->items, list->len, sizeof(*list->items), compare_versions);
    return r;
}

static int complete_versions(int key_fd, const char *store_key, version_list *list, bv_error **err)
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

static int run_versions(call *c, bv_error **err)
{
    bvi_auto_close int fd = -1;
    int r = open_dir(c->store->root_fd, c->store_key, &fd, err);

    if (r == BV_E_NOT_FOUND)
        return bvi_wrap(err, r, "store '%s' not found in '%s'", c->store_key, c->store->root);
    return r < 0 ? r : complete_versions(fd, c->store_key, &c->versions, err);
}

/* ---- objects ---- */

static int run_get(call *c, bv_error **err)
{
    bvi_auto_close int fd = -1;
    struct stat st;
    size_t done = 0;
    int r;

    r = bvi_fs_open_beneath(c->store->root_fd, c->key, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0, &fd,
                            err);
    if (r < 0)
        return r;
    if (fstat(fd, &st) < 0)
        return bvi_fail_sys(err, errno, "cannot look at '%s'", c->key);
    if ((uint64_t)st.st_size > c->max)
        return bvi_fail(err, BV_E_LIMIT, "'%s' is larger than %zu bytes", c->key, c->max);
    c->bytes = bvi_malloc((size_t)st.st_size + 1);
    if (!c->bytes)
        return bvi_fail_nomem(err);
    while (done < (size_t)st.st_size) {
        ssize_t n = pread(fd, c->bytes + done, (size_t)st.st_size - done, (off_t)done);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return bvi_fail_sys(err, errno, "cannot read '%s'", c->key);
        if (n == 0)
            break;
        done += (size_t)n;
    }
    c->bytes[done] = '\0';
    c->len = done;
    return 0;
}

static int run_put(call *c, bv_error **err)
{
    const char *slash = strrchr(c->key, '/');
    bvi_auto_free char *dir =
        bvi_strndup(slash ? c->key : ".", slash ? (size_t)(slash - c->key) : 1);
    bvi_auto_close int fd = -1;
    int r;

    if (!dir)
        return bvi_fail_nomem(err);
    r = open_dir(c->store->root_fd, dir, &fd, err);
    return r < 0 ? r
                 : bvi_fs_replace_at(fd, slash ? slash + 1 : c->key, c->bytes_in, c->len_in, 0644,
                                     err);
}

static int run_stat(call *c, bv_error **err)
{
    bvi_auto_close int fd = -1;
    struct stat st;
    int r = bvi_fs_open_beneath(c->store->root_fd, c->key, O_PATH | O_NOFOLLOW, 0, &fd, err);

    if (r < 0)
        return r;
    if (fstat(fd, &st) < 0)
        return bvi_fail_sys(err, errno, "cannot look at '%s'", c->key);
    c->size = (uint64_t)st.st_size;
    return 0;
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
static int take_version(call *c, int key_fd, uint64_t version, bool explicit, bv_error **err)
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

static int reserve_next(call *c, int key_fd, bv_error **err)
{
    version_list list = BVI_VEC_INIT(BVI_STORE_VERSIONS_MAX);
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

static int run_reserve(call *c, bv_error **err)
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

static int run_release(call *c, bv_error **err)
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
    call *call;
    int key_fd;
    const char *store_key;
} per_version;

typedef int (*version_fn)(per_version *p, uint64_t version, int version_fd, bv_error **err);

typedef struct key_walk {
    call *call;
    version_fn fn;
} key_walk;

static int each_version(const char *store_key, void *data, bv_error **err)
{
    key_walk *walk = data;
    version_list list = BVI_VEC_INIT(BVI_STORE_VERSIONS_MAX);
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

static int each_key(call *c, version_fn fn, bv_error **err)
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

static int run_list(call *c, bv_error **err)
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

static int run_prune(call *c, bv_error **err)
{
    return each_key(c, prune_version, err);
}

/* ---- requests ---- */

static int (*const runs[BVI_STORE_VERBS])(call *c, bv_error **err) = {
    [BVI_STORE_GET] = run_get,         [BVI_STORE_PUT] = run_put,
    [BVI_STORE_STAT] = run_stat,       [BVI_STORE_VERSIONS] = run_versions,
    [BVI_STORE_RESERVE] = run_reserve, [BVI_STORE_RELEASE] = run_release,
    [BVI_STORE_LIST] = run_list,       [BVI_STORE_PRUNE] = run_prune,
};

static void call_free(call *c)
{
    bvi_closep(&c->lock_fd);
    bv_error_free(c->err);
    bvi_free(c->key);
    bvi_free(c->store_key);
    bvi_free(c->lease);
    bvi_free(c->bytes);
    bvi_vec_done(&c->versions);
    bvi_vec_done(&c->infos);
    bvi_free(c);
}

static held_lock *find_lock(store_dir *s, const char *store_key, uint64_t version)
{
    for (size_t i = 0; i < s->locks.len; i++) {
        const char *dir = s->locks.items[i].dir;
        size_t len = strlen(store_key);

        if (strncmp(dir, store_key, len) == 0 && dir[len] == '/' &&
            version_of(dir + len + 1) == version)
            return &s->locks.items[i];
    }
    return NULL;
}

static void drop_lock(store_dir *s, held_lock *lock)
{
    bvi_closep(&lock->fd);
    bvi_free(lock->dir);
    bvi_vec_remove(&s->locks, (size_t)(lock - s->locks.items));
}

/* A reservation lives as long as the store is open or until it is released. */
static void keep_lock(call *c)
{
    store_dir *s = c->store;
    held_lock *lock = c->lock_fd >= 0 ? bvi_vec_push(&s->locks) : NULL;

    if (c->lock_fd < 0)
        return;
    if (lock) {
        lock->fd = -1;
        lock->dir = bvi_asprintf("%s/%llu", c->store_key, (unsigned long long)c->version);
    }
    if (!lock || !lock->dir) { /* the lease still protects it */
        if (lock)
            s->locks.len--;
        return;
    }
    lock->fd = bvi_take_fd(&c->lock_fd);
}

static void call_run(void *data)
{
    call *c = data;

    (void)runs[c->verb](c, &c->err); /* the error says it all */
}

static void call_done(void *data, bool cancelled)
{
    call *c = data;
    bvi_store_reply reply;

    if (cancelled)
        (void)bvi_fail(&c->err, BV_E_CANCELLED, "the store request was cancelled");
    if (!c->err && c->verb == BVI_STORE_RESERVE)
        keep_lock(c);
    if (!c->err && c->verb == BVI_STORE_RELEASE && find_lock(c->store, c->store_key, c->version))
        drop_lock(c->store, find_lock(c->store, c->store_key, c->version));
    reply = (bvi_store_reply){
        .bytes = c->bytes,
        .len = c->len,
        .size = c->size,
        .version = c->version,
        .versions = c->versions.items,
        .n_versions = c->versions.len,
        .infos = c->infos.items,
        .n_infos = c->infos.len,
    };
    c->done(c->err, c->err ? NULL : &reply, c->data);
    call_free(c);
}

static int copy_text(char **to, const char *from, bv_error **err)
{
    *to = bvi_strdup(from);
    return from && !*to ? bvi_fail_nomem(err) : 0;
}

static int fill_call(call *c, store_dir *s, const bvi_store_request *request, bv_error **err)
{
    int r = copy_text(&c->key, request->key, err);

    if (r == 0 && c->key)
        r = bvi_target_path_check(c->key, err);
    if (r == 0 && request->store_key)
        r = bvi_store_key_normalise(request->store_key, &c->store_key, err);
    if (r == 0)
        r = copy_text(&c->lease, request->lease, err);
    if (r == 0 && c->lease && strlen(c->lease) > BVI_STORE_LEASE_MAX)
        r = bvi_fail(err, BV_E_INVALID, "lease '%s' is longer than %u characters", c->lease,
                     BVI_STORE_LEASE_MAX);
    if (r < 0)
        return r;
    c->verb = request->verb;
    c->version = request->version;
    c->max = request->max;
    c->max_age_secs = request->max_age_secs;
    c->bytes_in = request->bytes;
    c->len_in = request->len;
    if (c->verb == BVI_STORE_RESERVE && c->version) {
        const held_lock *lock = find_lock(s, c->store_key, c->version);

        c->held_fd = lock ? lock->fd : -1;
    }
    return 0;
}

static int dir_call(bvi_store *store, const bvi_store_request *request, bvi_store_fn done,
                    void *data, bv_error **err)
{
    store_dir *s = (store_dir *)store;
    call *c = bvi_new0(call);
    int r;

    if (!c)
        return bvi_fail_nomem(err);
    c->store = s;
    c->done = done;
    c->data = data;
    c->held_fd = c->lock_fd = -1;
    c->versions.max = BVI_STORE_VERSIONS_MAX;
    c->infos.max = BVI_STORE_VERSIONS_MAX;
    r = fill_call(c, s, request, err);
    if (r < 0) {
        call_free(c);
        return r;
    }
    bvi_work_init(&c->work, store->ctx, call_run, call_done, c);
    bvi_work_submit(&c->work);
    return 0;
}

static char *dir_url(const bvi_store *store, const char *key)
{
    const store_dir *s = (const store_dir *)store;
    bvi_auto_free char *path = bvi_path_join(s->root, key, NULL);

    return path ? bvi_url_from_path(path) : NULL;
}

static void dir_cancel(bvi_store *store)
{
    (void)store; /* requests are short */
}

static void dir_free(bvi_store *store)
{
    store_dir *s = (store_dir *)store;

    while (s->locks.len > 0)
        drop_lock(s, &s->locks.items[s->locks.len - 1]);
    bvi_vec_done(&s->locks);
    bvi_closep(&s->root_fd);
    bvi_free(s->root);
    bvi_free(s);
}

static const bvi_store_vtable dir_vtable = {
    .name = "dir",
    .call = dir_call,
    .url = dir_url,
    .cancel = dir_cancel,
    .free = dir_free,
};

static int open_root(store_dir *s, const char *root, bv_error **err)
{
    char *real = NULL;
    int r = bvi_fs_mkdir(root, 0755, err);

    if (r < 0)
        return r;
    real = realpath(root, NULL);
    if (!real)
        return bvi_fail_sys(err, errno, "cannot resolve '%s'", root);
    s->root = bvi_strdup(real);
    free(real); /* it came from malloc, not from our allocator */
    if (!s->root)
        return bvi_fail_nomem(err);
    s->root_fd = open(s->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return s->root_fd < 0 ? bvi_fail_sys(err, errno, "cannot open '%s'", root) : 0;
}

int bvi_store_dir_open(bv_ctx *ctx, const char *root, bvi_store **ret_store, bv_error **err)
{
    store_dir *s = bvi_new0(store_dir);
    int r;

    if (!s)
        return bvi_fail_nomem(err);
    s->store = (bvi_store){ .vtable = &dir_vtable, .ctx = ctx };
    s->root_fd = -1;
    s->locks.max = LOCKS_MAX;
    r = open_root(s, root, err);
    if (r < 0) {
        dir_free(&s->store);
        return bvi_wrap(err, r, "cannot open the store 'dir:%s'", root);
    }
    *ret_store = &s->store;
    return 0;
}
