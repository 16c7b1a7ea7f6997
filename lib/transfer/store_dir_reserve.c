/*
 * store_dir_reserve.c - reservations of versions in a directory store.
 *
 * A version number is reserved by making its directory, which only one process can do. The
 * reserving process then holds a lock on .lock, which ends with it, and writes its lease into it,
 * which does not: an upload that was killed finds its own reservation again, others pass over it
 * until the lease has run out. All of it runs on workers.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "sys/fs.h"
#include "transfer/store_dir_impl.h"

/* Reservations of living uploads that are passed over before giving up. */
#define RESERVE_TRIES 1000u

/* ---- the lock ---- */

static bool flock_now(int fd, int how)
{
    int r;

    do {
        r = flock(fd, how | LOCK_NB);
    } while (r < 0 && errno == EINTR);
    return r == 0;
}

bool bvi_dir_lock(int fd)
{
    struct stat st;

    return flock_now(fd, LOCK_EX) && fstat(fd, &st) == 0 && st.st_nlink > 0;
}

bool bvi_dir_lease_is_old(int fd, uint64_t max_age_secs)
{
    struct stat st;
    time_t now = time(NULL);

    return fstat(fd, &st) == 0 && now > st.st_mtime && (uint64_t)(now - st.st_mtime) > max_age_secs;
}

/* 0: there is nothing in it. */
static int read_lock(int fd, bvi_store_lock *ret_lock, bv_error **err)
{
    char text[BVI_STORE_LOCK_MAX];
    ssize_t n = pread(fd, text, sizeof(text), 0);

    bvi_store_lock_parse(text, n > 0 ? (size_t)n : 0, ret_lock);
    if (n < 0)
        return bvi_fail_sys(err, errno, "cannot read a reservation");
    return n > 0;
}

/* Keeps when the reservation was started. Without a lease it is only a sign of life. */
static int write_lock(bvi_dir_call *c, int fd, bool keep, bv_error **err)
{
    bvi_store_lock lock = { .base = c->req.base };
    bvi_store_lock old = { 0 };
    char text[BVI_STORE_LOCK_MAX];
    size_t len;
    int r;

    if (!c->req.lease)
        return futimens(fd, NULL) < 0 ? bvi_fail_sys(err, errno, "cannot renew the reservation")
                                      : 0;
    r = keep ? read_lock(fd, &old, err) : 0;
    if (r < 0)
        return r;
    lock.started_us = bvi_store_lock_start(&old, c->req.since_us, c->wall_us);
    if (!lock.base) /* who renews need not repeat it */
        lock.base = old.base;
    memcpy(lock.lease, c->req.lease, strlen(c->req.lease)); /* length was checked; zeroed before */
    len = bvi_store_lock_print(&lock, text);
    /* Readers see the old text or the new one, as the length hardly changes. */
    r = bvi_fs_pwrite_all(fd, text, len, 0);
    if (r == 0 && (ftruncate(fd, (off_t)len) < 0 || futimens(fd, NULL) < 0 || fsync(fd) < 0))
        r = -errno;
    return r < 0 ? bvi_fail_sys(err, -r, "cannot write the reservation") : 0;
}

/* ---- taking a version ---- */

static int refuse_complete(const bvi_dir_call *c, uint64_t version, bv_error **err)
{
    return bvi_fail(err, BV_E_EXISTS, "version %llu of '%s' exists already and is never changed",
                    (unsigned long long)version, c->req.store_key);
}

/* Whose lease is in the lock? An upload's own, from before, is taken up again; one that ran out is
 * taken over. */
static int claim(bvi_dir_call *c, int dir_fd, int fd, uint64_t version, bv_error **err)
{
    bvi_store_lock lock;
    int r = read_lock(fd, &lock, err);
    bool is_ours = r == 0 || /* empty: its maker died between two steps */
                   (c->req.lease ? bvi_store_lock_is_of(&lock, c->req.lease)
                                 : c->req.version > 0); /* whoever holds a version that was named */

    if (r < 0)
        return r;
    r = 0;
    if (!is_ours && !bvi_dir_lease_is_old(fd, BVI_STORE_LEASE_SECS))
        return bvi_fail(err, BV_E_BUSY, "version %llu of '%s' is reserved by another upload",
                        (unsigned long long)version, c->req.store_key);
    if (!is_ours)
        r = bvi_dir_wipe_version(dir_fd, c->req.store_key, err);
    return r < 0 ? r : write_lock(c, fd, is_ours, err);
}

/* Takes the version's lock if nobody living holds it and the lease is ours or has run out. */
static int take_version(bvi_dir_call *c, int key_fd, uint64_t version, bv_error **err)
{
    bvi_store_format format = BVI_STORE_ANY;
    bvi_auto_close int dir_fd = -1;
    bvi_auto_close int fd = -1;
    int r;

    r = bvi_dir_open_version(key_fd, version, &dir_fd, err);
    if (r == 0)
        r = bvi_fs_open_beneath(dir_fd, BVI_STORE_LOCK, O_RDWR | O_CREAT | O_NOFOLLOW, 0644, &fd,
                                err);
    if (r < 0)
        return r;
    if (!bvi_dir_lock(fd))
        return bvi_fail(err, BV_E_BUSY, "version %llu of '%s' is being uploaded by someone else",
                        (unsigned long long)version, c->req.store_key);
    r = bvi_dir_format(dir_fd, &format, err);
    if (r < 0)
        return r;
    if (format != BVI_STORE_ANY) { /* since we looked */
        (void)unlinkat(dir_fd, BVI_STORE_LOCK, 0);
        return refuse_complete(c, version, err);
    }
    r = claim(c, dir_fd, fd, version, err);
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
    int r = bvi_dir_complete_versions(key_fd, c->req.store_key, BVI_STORE_ANY, &list, err);

    if (r == 0 && list.len > 0)
        next = list.items[list.len - 1] + 1;
    bvi_vec_done(&list);
    for (unsigned i = 0; r == 0 && i < RESERVE_TRIES; i++) {
        bvi_auto_error bv_error *why = NULL;

        r = make_version(key_fd, next + i, err);
        if (r < 0)
            return r;
        r = take_version(c, key_fd, next + i, &why);
        if (r == 0 || (r != BV_E_BUSY && r != BV_E_EXISTS && r != BV_E_NOT_FOUND))
            return bvi_error_move(err, bvi_take(why));
        r = 0;
    }
    return r < 0
               ? r
               : bvi_fail(err, BV_E_BUSY,
                          "%u versions of '%s' are reserved by unfinished uploads; prune the store",
                          RESERVE_TRIES, c->req.store_key);
}

int bvi_dir_run_reserve(bvi_dir_call *c, bv_error **err)
{
    bvi_store_format format = BVI_STORE_ANY;
    bvi_auto_close int fd = -1;
    int r;

    if (c->held_fd >= 0) /* ours already */
        return write_lock(c, c->held_fd, true, err);
    r = bvi_fs_mkdir_beneath(c->store->root_fd, c->req.store_key, 0755, err);
    if (r == 0)
        r = bvi_dir_open(c->store->root_fd, c->req.store_key, &fd, err);
    if (r < 0)
        return r;
    if (!c->req.version)
        return reserve_next(c, fd, err);
    r = bvi_dir_format_of(fd, c->req.version, &format, err);
    if (r < 0)
        return r;
    if (format != BVI_STORE_ANY)
        return refuse_complete(c, c->req.version, err);
    r = make_version(fd, c->req.version, err);
    return r < 0 ? r : take_version(c, fd, c->req.version, err);
}

int bvi_dir_run_release(bvi_dir_call *c, bv_error **err)
{
    bvi_auto_free char *key = bvi_store_object_key(c->req.store_key, c->req.version, "");
    bvi_auto_close int fd = -1;

    if (!key)
        return bvi_fail_nomem(err);
    key[strlen(key) - 1] = '\0'; /* the directory itself */
    if (bvi_dir_open(c->store->root_fd, key, &fd, NULL) < 0)
        return 0;
    if (unlinkat(fd, BVI_STORE_LOCK, 0) < 0 && errno != ENOENT)
        return bvi_fail_sys(err, errno, "cannot release '%s'", key);
    return 0;
}

/* ---- LEASES ---- */

/* Renewed of late, or held by somebody living. */
static bool is_alive(int fd)
{
    return !bvi_dir_lease_is_old(fd, BVI_STORE_LEASE_SECS) || !flock_now(fd, LOCK_SH);
}

static int add_lease(bvi_dir_call *c, int key_fd, uint64_t version, bv_error **err)
{
    bvi_auto_close int dir_fd = -1;
    bvi_auto_close int fd = -1;
    bvi_store_lock lock;
    bvi_store_lease *lease;
    bv_error *why = NULL;
    struct stat st;
    int r = bvi_dir_open_version(key_fd, version, &dir_fd, &why);

    if (r == 0)
        r = bvi_fs_open_beneath(dir_fd, BVI_STORE_LOCK, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0, &fd,
                                &why);
    if (r == BV_E_NOT_FOUND || bv_error_errno(why) == ENOTDIR) {
        bv_error_free(why);
        return 0;
    }
    if (r < 0) /* what was not seen would be pruned */
        return bvi_error_move(err, why);
    if (fstat(fd, &st) < 0)
        return bvi_fail_sys(err, errno, "cannot look at a reservation");
    if (!is_alive(fd))
        return 0;
    lease = bvi_vec_push(&c->leases);
    if (!lease)
        return bvi_fail_nomem(err);
    r = read_lock(fd, &lock, err); /* empty: nothing can have been built on it yet */
    if (r < 0)
        return r;
    *lease = (bvi_store_lease){
        .version = version,
        .base = lock.base,
        .started_us = lock.started_us ? lock.started_us : (int64_t)st.st_mtim.tv_sec * 1000000,
    };
    return 0;
}

int bvi_dir_run_leases(bvi_dir_call *c, bv_error **err)
{
    bvi_version_list list = BVI_VEC_INIT(BVI_STORE_VERSIONS_MAX);
    bvi_auto_error bv_error *why = NULL;
    bvi_auto_close int key_fd = -1;
    int r = bvi_dir_open(c->store->root_fd, c->req.store_key, &key_fd, &why);

    if (r == BV_E_NOT_FOUND)
        return 0;
    if (r < 0)
        return bvi_error_move(err, bvi_take(why));
    r = bvi_dir_all_versions(key_fd, c->req.store_key, &list, err);
    for (size_t i = 0; r == 0 && i < list.len; i++)
        r = add_lease(c, key_fd, list.items[i], err);
    bvi_vec_done(&list);
    return r;
}
