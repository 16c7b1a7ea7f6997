/*
 * node_source.c - chunks of a directory store as a node sees them.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/paths.h"
#include "io/work.h"
#include "node/node_source.h"
#include "sys/fs.h"

typedef struct node_source {
    bvi_chunk_source base;
    bvi_chunk_source *inner;
    char *staging_dir;
    char *store_dir;
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
} node_source;

static node_source *self(bvi_chunk_source *source)
{
    return (node_source *)source;
}

/* "<store_key>/<version>/data.part_3" is "<version>/data.part_3" below the node's mount of that key. */
static const char *below_store_key(const char *key)
{
    const char *slash = strchr(key, '/');

    return slash ? slash + 1 : key;
}

static int node_metadata(bvi_chunk_source *source, uint64_t data_version, bvi_source_metadata_fn done, void *data,
                         bv_error **err)
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

static int node_chunks(bvi_chunk_source *source, uint64_t data_version, const uint32_t *indexes, size_t count,
                       bvi_source_chunks_fn done, void *data, bv_error **err)
{
    node_source *s = self(source);

    s->chunks_done = done;
    s->data = data;
    return s->inner->vtable->chunks(s->inner, data_version, indexes, count, on_chunks, s, err);
}

/* ---- writing ---- */

static int make_slots(node_source *s, uint64_t version, const bvi_upload_slot *slots, size_t count,
                      bvi_upload_slot *ret_slots, bv_error **err)
{
    bvi_auto_free char *dir = bvi_asprintf("%s/%" PRIu64, s->staging_dir, version);
    int r = dir ? bvi_fs_mkdir(dir, 0755, err) : bvi_fail_nomem(err);

    for (size_t i = 0; r == 0 && i < count; i++) {
        char *url = bvi_asprintf("file://%s/%s", BVI_NODE_UPLOAD_DIR, below_store_key(slots[i].key));

        if (!url)
            return bvi_fail_nomem(err);
        ret_slots[i] = (bvi_upload_slot){ slots[i].index, slots[i].key, url };
    }
    return r;
}

static void on_slots(const bv_error *err, uint64_t data_version, const bvi_upload_slot *slots, size_t count,
                     void *data)
{
    node_source *s = data;
    bvi_upload_slot mapped[BVI_SOURCE_BATCH_MAX] = { { 0 } };
    bvi_auto_error bv_error *failure = NULL;

    if (!err && count > BVI_SOURCE_BATCH_MAX)
        (void)bvi_fail(&failure, BV_E_INTERNAL, "%zu slots in one answer", count); /* reported below */
    else if (!err)
        (void)make_slots(s, data_version, slots, count, mapped, &failure); /* reported below */
    if (err || failure)
        s->slots_done(err ? err : failure, 0, NULL, 0, s->data);
    else
        s->slots_done(NULL, data_version, mapped, count, s->data);
    for (size_t i = 0; i < BVI_SOURCE_BATCH_MAX; i++)
        bvi_free((char *)mapped[i].url);
}

static int node_slots(bvi_chunk_source *source, const bvi_slots_request *request, bvi_source_slots_fn done,
                      void *data, bv_error **err)
{
    node_source *s = self(source);

    s->slots_done = done;
    s->data = data;
    return s->inner->vtable->slots(s->inner, request, on_slots, s, err);
}

/* ---- publishing: staged chunks become the store's, then the manifest ---- */

/* The staging directory is the node's to write, so what lies there is looked at through its own descriptor. */
static int check_staged(int staging, const char *relative, uint64_t size, bv_error **err)
{
    bvi_auto_close int fd = -1;
    struct stat st;
    int r = bvi_fs_open_beneath(staging, relative, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0, &fd, err);

    if (r < 0)
        return r;
    if (fstat(fd, &st) < 0)
        return bvi_fail_sys(err, errno, "cannot look at staged chunk '%s'", relative);
    if (!S_ISREG(st.st_mode) || st.st_nlink != 1)
        return bvi_fail(err, BV_E_FORMAT, "staged chunk '%s' is not a plain file of its own", relative);
    if ((uint64_t)st.st_size != size)
        return bvi_fail(err, BV_E_FORMAT, "staged chunk '%s' has %" PRId64 " bytes, its manifest says %" PRIu64, relative,
                        (int64_t)st.st_size, size);
    if (fdatasync(fd) < 0)
        return bvi_fail_sys(err, errno, "cannot sync staged chunk '%s'", relative);
    return 0;
}

static int move_chunk(node_source *s, int staging, int store, const bvi_chunk *chunk, bv_error **err)
{
    const char *relative = below_store_key(chunk->key);
    struct stat st;
    int r;

    /* Moved by an earlier try that did not get to the manifest. */
    if (fstatat(store, chunk->key, &st, AT_SYMLINK_NOFOLLOW) == 0 && (uint64_t)st.st_size == chunk->size &&
        faccessat(staging, relative, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
        return 0;
    r = check_staged(staging, relative, chunk->size, err);
    if (r < 0)
        return r;
    if (renameat(staging, relative, store, chunk->key) < 0)
        return bvi_fail_sys(err, errno, "cannot move staged chunk '%s' into the store", relative);
    return 0;
}

static int move_all(node_source *s, bv_error **err)
{
    bvi_auto_close int staging = open(s->staging_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bvi_auto_close int store = open(s->store_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (staging < 0 || store < 0)
        return bvi_fail_sys(err, errno, "cannot open the staging or store directory");
    for (size_t i = 0; i < s->manifest->chunks.len; i++) {
        const bvi_chunk *chunk = &s->manifest->chunks.items[i];
        int r = chunk->size ? move_chunk(s, staging, store, chunk, err) : 0;

        if (r < 0)
            return bvi_wrap(err, r, "chunk %u", chunk->index);
    }
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

    if (cancelled && !err)
        (void)bvi_fail(&err, BV_E_CANCELLED, "cancelled"); /* the error is what we want */
    if (!err && s->inner->vtable->put_manifest(s->inner, s->version, s->manifest, on_put, s, &err) == 0)
        return;
    s->put_done(err, s->data);
}

static int node_put_manifest(bvi_chunk_source *source, uint64_t data_version, const bvi_manifest *manifest,
                             bvi_source_put_fn done, void *data, bv_error **err)
{
    node_source *s = self(source);

    if (bvi_work_is_pending(&s->work))
        return bvi_fail(err, BV_E_BUSY, "a manifest is being published");
    s->put_done = done;
    s->data = data;
    s->version = data_version;
    s->manifest = manifest;
    bvi_work_submit(&s->work);
    return 0;
}

static void node_cancel(bvi_chunk_source *source)
{
    node_source *s = self(source);

    s->inner->vtable->cancel(s->inner);
}

static void node_free(bvi_chunk_source *source)
{
    node_source *s = self(source);

    bvi_chunk_source_free(s->inner);
    bvi_free(s->staging_dir);
    bvi_free(s->store_dir);
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

int bvi_node_source_new(bv_ctx *ctx, bvi_chunk_source *inner, const char *staging_dir, const char *store_dir,
                        bvi_chunk_source **ret_source, bv_error **err)
{
    node_source *s = bvi_new0(node_source);

    if (!s) {
        bvi_chunk_source_free(inner);
        return bvi_fail_nomem(err);
    }
    s->base.vtable = &node_source_vtable;
    s->inner = inner;
    bvi_work_init(&s->work, ctx, run_move, moved, s);
    s->staging_dir = bvi_strdup(staging_dir);
    s->store_dir = bvi_strdup(store_dir);
    if (!s->staging_dir || !s->store_dir) {
        node_free(&s->base);
        return bvi_fail_nomem(err);
    }
    *ret_source = &s->base;
    return 0;
}
