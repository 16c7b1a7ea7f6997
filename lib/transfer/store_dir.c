/*
 * store_dir.c - a store in a directory: <root>/<store_key>/<version>/{data.part_<n>,
 * manifest-body.json, manifest-header.json, .lock} of archives, and what doc/snapshot-format.md
 * says of snapshots.
 *
 * A version exists once its header or root does; everything before is invisible to readers.
 * Requests run in the worker pool; each one is independent, so any number of processes may work on
 * one directory.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sys/fs.h"
#include "transfer/manifest.h"
#include "transfer/store_dir_impl.h"
#include "transfer/url.h"

/* Each is an open file. An upload has one at a time; what is reserved beyond is kept by its lease.
 */
#define LOCKS_MAX 16u

static int (*const runs[BVI_STORE_VERBS])(bvi_dir_call *c, bv_error **err) = {
    [BVI_STORE_GET] = bvi_dir_run_get,           [BVI_STORE_PUT] = bvi_dir_run_put,
    [BVI_STORE_STAT] = bvi_dir_run_stat,         [BVI_STORE_READ] = bvi_dir_run_read,
    [BVI_STORE_OBJECTS] = bvi_dir_run_objects,   [BVI_STORE_REMOVE] = bvi_dir_run_remove,
    [BVI_STORE_VERSIONS] = bvi_dir_run_versions, [BVI_STORE_LIST] = bvi_dir_run_list,
    [BVI_STORE_PRUNE] = bvi_dir_run_prune,       [BVI_STORE_RESERVE] = bvi_dir_run_reserve,
    [BVI_STORE_RELEASE] = bvi_dir_run_release,   [BVI_STORE_LEASES] = bvi_dir_run_leases,
};

static void call_free(bvi_dir_call *c)
{
    bvi_closep(&c->lock_fd);
    bv_error_free(c->err);
    bvi_store_request_done(&c->req);
    bvi_free(c->bytes);
    bvi_vec_done(&c->versions);
    bvi_vec_done(&c->infos);
    for (size_t i = 0; i < c->objects.len; i++)
        bvi_free((char *)c->objects.items[i].key);
    bvi_vec_done(&c->objects);
    bvi_vec_done(&c->leases);
    bvi_free(c);
}

static bvi_held_lock *find_lock(bvi_store_dir *s, const char *store_key, uint64_t version)
{
    for (size_t i = 0; i < s->locks.len; i++) {
        const char *dir = s->locks.items[i].dir;
        size_t len = strlen(store_key);

        if (strncmp(dir, store_key, len) == 0 && dir[len] == '/' &&
            bvi_store_version_of(dir + len + 1) == version)
            return &s->locks.items[i];
    }
    return NULL;
}

static void drop_lock(bvi_store_dir *s, bvi_held_lock *lock)
{
    bvi_closep(&lock->fd);
    bvi_free(lock->dir);
    bvi_vec_remove(&s->locks, (size_t)(lock - s->locks.items));
}

/* A reservation lives as long as the store is open or until it is released. */
static void keep_lock(bvi_dir_call *c)
{
    bvi_store_dir *s = c->store;
    bvi_held_lock *lock = c->lock_fd >= 0 ? bvi_vec_push(&s->locks) : NULL;

    if (c->lock_fd < 0)
        return;
    if (lock) {
        lock->fd = -1;
        lock->dir = bvi_asprintf("%s/%llu", c->req.store_key, (unsigned long long)c->version);
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
    bvi_dir_call *c = data;

    (void)runs[c->req.verb](c, &c->err); /* the error says it all */
}

static void call_done(void *data, bool cancelled)
{
    bvi_dir_call *c = data;
    bvi_store_reply reply;
    bvi_held_lock *lock;

    if (cancelled)
        (void)bvi_fail(&c->err, BV_E_CANCELLED, "the store request was cancelled");
    if (!c->err && c->req.verb == BVI_STORE_RESERVE)
        keep_lock(c);
    if (!c->err && c->req.verb == BVI_STORE_RELEASE) {
        lock = find_lock(c->store, c->req.store_key, c->req.version);
        if (lock)
            drop_lock(c->store, lock);
    }
    reply = (bvi_store_reply){
        .bytes = c->bytes,
        .len = c->len,
        .size = c->size,
        .version = c->version,
        .versions = c->versions.items,
        .n_versions = c->versions.len,
        .infos = c->infos.items,
        .n_infos = c->infos.len,
        .objects = c->objects.items,
        .n_objects = c->objects.len,
        .more = c->more,
        .leases = c->leases.items,
        .n_leases = c->leases.len,
    };
    c->done(c->err, c->err ? NULL : &reply, c->data);
    call_free(c);
}

static int dir_call(bvi_store *store, const bvi_store_request *request, bvi_store_fn done,
                    void *data, bv_error **err)
{
    bvi_store_dir *s = (bvi_store_dir *)store;
    bvi_dir_call *c = bvi_new0(bvi_dir_call);
    int r;

    if (!c)
        return bvi_fail_nomem(err);
    c->store = s;
    c->done = done;
    c->data = data;
    c->held_fd = c->lock_fd = -1;
    c->wall_us = bvi_ctx_wall_us(store->ctx);
    c->versions.max = c->infos.max = c->leases.max = BVI_STORE_VERSIONS_MAX;
    r = bvi_store_request_copy(request, &c->req, err);
    if (r < 0) {
        call_free(c);
        return r;
    }
    c->version = c->req.version;
    if (c->req.verb == BVI_STORE_RESERVE && c->version) {
        const bvi_held_lock *lock = find_lock(s, c->req.store_key, c->version);

        c->held_fd = lock ? lock->fd : -1;
    }
    bvi_work_init(&c->work, store->ctx, call_run, call_done, c);
    bvi_work_submit(&c->work);
    return 0;
}

static char *dir_url(const bvi_store *store, const char *key, bool put)
{
    const bvi_store_dir *s = (const bvi_store_dir *)store;
    bvi_auto_free char *path = bvi_path_join(s->root, key, NULL);

    (void)put;
    return path ? bvi_url_from_path(path) : NULL;
}

static void dir_cancel(bvi_store *store)
{
    (void)store; /* requests are short */
}

static void dir_free(bvi_store *store)
{
    bvi_store_dir *s = (bvi_store_dir *)store;

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

static int open_root(bvi_store_dir *s, const char *root, bv_error **err)
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
    bvi_store_dir *s = bvi_new0(bvi_store_dir);
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
