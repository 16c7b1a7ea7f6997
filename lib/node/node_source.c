/*
 * node_source.c - chunks of a directory store as a node sees them.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "agent/paths.h"
#include "io/work.h"
#include "node/node_source.h"
#include "node/staged.h"
#include "sys/fs.h"
#include "transfer/store.h"

/* A node may name the version it uploads; beyond this there would soon be no next one. */
#define VERSION_MAX (UINT64_C(1) << 48)

typedef struct node_source {
    bvi_chunk_source base;
    bvi_chunk_source *inner;
    char *staging_dir;
    char *store_dir;
    char *store_key; /* as it is in the store */
    /* The call under way; a source has one at a time. */
    bvi_source_chunks_fn chunks_done;
    bvi_source_slots_fn slots_done;
    bvi_source_put_fn put_done;
    void *data;
    /* Publishing. */
    bvi_work work;
    bv_error *work_err;
    uint64_t version;
    const bvi_manifest *manifest;
    bool cancelled;
} node_source;

static node_source *self(bvi_chunk_source *source)
{
    return (node_source *)source;
}

/* "<store_key>/<version>/data.part_3" is "<version>/data.part_3" below the node's mount of that
 * key. */
static const char *below_store_key(const char *key)
{
    const char *slash = strchr(key, '/');

    return slash ? slash + 1 : key;
}

static int node_metadata(bvi_chunk_source *source, uint64_t data_version,
                         bvi_source_metadata_fn done, void *data, bv_error **err)
{
    node_source *s = self(source);

    return s->inner->vtable->metadata(s->inner, data_version, done, data, err);
}

/* ---- reading ---- */

static void on_chunks(const bv_error *err, bvi_chunk *chunks, size_t count, void *data)
{
    node_source *s = data;
    bvi_auto_error bv_error *failure = NULL;

    for (size_t i = 0; !err && i < count; i++) {
        bvi_auto_free char *url = bvi_asprintf("file://%s/%s", BVI_NODE_STORE_DIR,
                                               below_store_key(chunks[i].key ? chunks[i].key : ""));

        if (!url)
            (void)bvi_fail_nomem(&failure); /* reported below */
        else if (chunks[i].url)
            (void)bvi_chunk_set_url(&chunks[i], url, &failure); /* reported below */
        err = failure;
    }
    s->chunks_done(err, err ? NULL : chunks, err ? 0 : count, s->data);
}

static int node_chunks(bvi_chunk_source *source, uint64_t data_version, const uint32_t *indexes,
                       size_t count, bvi_source_chunks_fn done, void *data, bv_error **err)
{
    node_source *s = self(source);

    s->chunks_done = done;
    s->data = data;
    return s->inner->vtable->chunks(s->inner, data_version, indexes, count, on_chunks, s, err);
}

/* ---- writing ---- */

/* Both directories of a version: the node's staged one, which it may have filled with anything, and
 * the store's. */
typedef struct version_dirs {
    int staging;
    int store;
} version_dirs;

static void version_dirs_done(version_dirs *dirs)
{
    bvi_closep(&dirs->staging);
    bvi_closep(&dirs->store);
}

static int open_staging(const node_source *s, uint64_t version, int *ret_fd, bv_error **err)
{
    bvi_auto_free char *name = bvi_asprintf("%" PRIu64, version);

    return name ? bvi_staged_open_dir(s->staging_dir, name, true, ret_fd, err)
                : bvi_fail_nomem(err);
}

static int make_slots(const node_source *s, uint64_t version, const bvi_upload_slot *slots,
                      size_t count, bvi_upload_slot *ret_slots, bv_error **err)
{
    bvi_auto_close int dir = -1;
    int r = open_staging(s, version, &dir, err); /* only so that it is there */

    for (size_t i = 0; r == 0 && i < count; i++) {
        char *url =
            bvi_asprintf("file://%s/%s", BVI_NODE_UPLOAD_DIR, below_store_key(slots[i].key));

        if (!url)
            return bvi_fail_nomem(err);
        ret_slots[i] = (bvi_upload_slot){ slots[i].index, slots[i].key, url };
    }
    return r;
}

static void on_slots(const bv_error *err, uint64_t data_version, const bvi_upload_slot *slots,
                     size_t count, void *data)
{
    node_source *s = data;
    bvi_upload_slot mapped[BVI_SOURCE_BATCH_MAX] = { { 0 } };
    bvi_auto_error bv_error *failure = NULL;

    if (!err && count > BVI_SOURCE_BATCH_MAX)
        (void)bvi_fail(&failure, BV_E_INTERNAL, "%zu slots in one answer",
                       count); /* reported below */
    else if (!err)
        (void)make_slots(s, data_version, slots, count, mapped, &failure); /* reported below */
    if (err || failure)
        s->slots_done(err ? err : failure, 0, NULL, 0, s->data);
    else
        s->slots_done(NULL, data_version, mapped, count, s->data);
    for (size_t i = 0; i < BVI_SOURCE_BATCH_MAX; i++)
        bvi_free((char *)mapped[i].url);
}

static int node_slots(bvi_chunk_source *source, const bvi_slots_request *request,
                      bvi_source_slots_fn done, void *data, bv_error **err)
{
    node_source *s = self(source);

    if (request->data_version > VERSION_MAX)
        return bvi_fail(err, BV_E_INVALID, "version %" PRIu64 " is too large",
                        request->data_version);
    s->slots_done = done;
    s->data = data;
    return s->inner->vtable->slots(s->inner, request, on_slots, s, err);
}

/* ---- publishing: the version is free, staged chunks become the store's, then the manifest ---- */

/* The node may hold staged files open for writing, so the store gets a file that was never the
 * node's. */
static int move_chunk(const version_dirs *dirs, const char *name, uint64_t size, bv_error **err)
{
    bvi_auto_close int fd = -1;
    int r;

    if (faccessat(dirs->staging, name, F_OK, AT_SYMLINK_NOFOLLOW) < 0 && errno == ENOENT)
        return bvi_staged_open(dirs->store, name, size, &fd, err); /* moved by an earlier try */
    r = bvi_staged_open(dirs->staging, name, size, &fd, err);
    if (r == 0)
        r = bvi_staged_copy(dirs->store, fd, name, size, NULL, err);
    if (r == 0)
        (void)unlinkat(dirs->staging, name, 0); /* what stays goes with the staging directory */
    return r;
}

/* A manifest comes from the node: it may name chunks of this version of its own key, and no others.
 */
static int check_key(const node_source *s, const bvi_chunk *chunk, bv_error **err)
{
    bvi_auto_free char *wanted = bvi_store_chunk_key(s->store_key, s->version, chunk->index);

    if (!wanted)
        return bvi_fail_nomem(err);
    if (!chunk->key || strcmp(chunk->key, wanted) != 0)
        return bvi_fail(err, BV_E_DENIED, "it is kept as '%s' instead of '%s'",
                        chunk->key ? chunk->key : "", wanted);
    return 0;
}

static int move_all(node_source *s, bv_error **err)
{
    BVI_AUTO(version_dirs_done) version_dirs dirs = { -1, -1 };
    bvi_auto_free char *below = bvi_asprintf("%s/%" PRIu64, s->store_key, s->version);
    int r = below ? open_staging(s, s->version, &dirs.staging, err) : bvi_fail_nomem(err);

    if (r == 0)
        r = bvi_staged_open_dir(s->store_dir, below, false, &dirs.store, err);
    if (r < 0)
        return r;
    for (size_t i = 0; i < s->manifest->chunks.len; i++) {
        const bvi_chunk *chunk = &s->manifest->chunks.items[i];

        if (chunk->size == 0)
            continue;
        r = check_key(s, chunk, err);
        if (r == 0)
            r = move_chunk(&dirs, strrchr(chunk->key, '/') + 1, chunk->size, err);
        if (r < 0)
            return bvi_wrap(err, r, "chunk %u", chunk->index);
    }
    if (fsync(dirs.store) < 0)
        return bvi_fail_sys(err, errno, "cannot sync version %" PRIu64 " of '%s'", s->version,
                            s->store_key);
    return 0;
}

static void run_move(void *data)
{
    node_source *s = data;

    (void)move_all(s, &s->work_err); /* the error is kept */
}

static void clear_staging(node_source *s)
{
    bvi_auto_free char *dir = bvi_asprintf("%s/%" PRIu64, s->staging_dir, s->version);

    if (dir)
        (void)bvi_fs_remove_tree(dir, NULL); /* what stays is removed with the node */
}

static void on_put(const bv_error *err, void *data)
{
    node_source *s = data;

    if (!err)
        clear_staging(s);
    s->put_done(err, s->data);
}

static void moved(void *data, bool cancelled)
{
    node_source *s = data;
    bvi_auto_error bv_error *err = bvi_take(s->work_err);

    if ((cancelled || s->cancelled) && !err)
        (void)bvi_fail(&err, BV_E_CANCELLED, "cancelled"); /* the error is what we want */
    if (!err &&
        s->inner->vtable->put_manifest(s->inner, s->version, s->manifest, on_put, s, &err) == 0)
        return;
    s->put_done(err, s->data);
}

/* Nothing is moved into a version that is complete or somebody else's. */
static void on_version_mine(const bv_error *err, uint64_t data_version,
                            const bvi_upload_slot *slots, size_t count, void *data)
{
    node_source *s = data;

    if (err)
        s->put_done(err, s->data);
    else
        bvi_work_submit(&s->work);
}

static int node_put_manifest(bvi_chunk_source *source, uint64_t data_version,
                             const bvi_manifest *manifest, bvi_source_put_fn done, void *data,
                             bv_error **err)
{
    const bvi_slots_request request = { .data_version = data_version };
    node_source *s = self(source);

    if (bvi_work_is_pending(&s->work))
        return bvi_fail(err, BV_E_BUSY, "a manifest is being published");
    if (data_version == 0)
        return bvi_fail(err, BV_E_INVALID, "a manifest without a version");
    s->put_done = done;
    s->data = data;
    s->version = data_version;
    s->manifest = manifest;
    s->cancelled = false;
    return s->inner->vtable->slots(s->inner, &request, on_version_mine, s, err);
}

static void node_cancel(bvi_chunk_source *source)
{
    node_source *s = self(source);

    s->cancelled = true;
    bvi_work_cancel(&s->work);
    s->inner->vtable->cancel(s->inner);
}

static void node_free(bvi_chunk_source *source)
{
    node_source *s = self(source);

    bvi_chunk_source_free(s->inner);
    bvi_free(s->staging_dir);
    bvi_free(s->store_dir);
    bvi_free(s->store_key);
    bvi_free(s);
}

static const bvi_chunk_source_vtable node_source_vtable = {
    .name = "node",
    .metadata = node_metadata,
    .chunks = node_chunks,
    .slots = node_slots,
    .put_manifest = node_put_manifest,
    .cancel = node_cancel,
    .free = node_free,
};

int bvi_node_source_new(bv_ctx *ctx, bvi_chunk_source *inner, const bvi_node_source_opts *opts,
                        bvi_chunk_source **ret_source, bv_error **err)
{
    node_source *s = bvi_new0(node_source);
    int r;

    if (!s) {
        bvi_chunk_source_free(inner);
        return bvi_fail_nomem(err);
    }
    s->base.vtable = &node_source_vtable;
    s->inner = inner;
    bvi_work_init(&s->work, ctx, run_move, moved, s);
    s->staging_dir = bvi_strdup(opts->staging_dir);
    s->store_dir = bvi_strdup(opts->store_dir);
    r = s->staging_dir && s->store_dir
            ? bvi_store_key_normalise(opts->store_key, &s->store_key, err)
            : bvi_fail_nomem(err);
    if (r < 0) {
        node_free(&s->base);
        return r;
    }
    *ret_source = &s->base;
    return 0;
}
