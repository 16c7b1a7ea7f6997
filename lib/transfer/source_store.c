/*
 * source_store.c - a chunk source over a store, as used on the host and by programs without a
 * control plane.
 *
 * Each call is a short chain of store requests; the state of the one under way is in the source
 * itself. The body of a manifest is read once and kept, because it is asked for in batches.
 */
#include <string.h>

#include "transfer/source_store.h"

typedef struct source_store {
    bvi_chunk_source source;
    bvi_store *store;
    char *store_key;
    /* the version whose body is in memory; 0: none */
    uint64_t loaded_version;
    bvi_manifest loaded;
    /* the call under way */
    bool busy;
    bool cancelled;
    void *data;
    bvi_source_metadata_fn metadata_done;
    bvi_source_chunks_fn chunks_done;
    bvi_source_slots_fn slots_done;
    bvi_source_put_fn put_done;
    uint64_t version;
    uint32_t indexes[BVI_SOURCE_BATCH_MAX];
    size_t count;
    const bvi_manifest *manifest;
    size_t put_len;        /* of the object put last */
    size_t checked;        /* chunks of it that were found in the store */
    uint64_t told_version; /* whose header was read last; 0: none */
    uint32_t told_chunks;  /* how many chunks it promised */
    bvi_buf text;          /* being put */
    char *header;
} source_store;

static int begin(source_store *s, void *data, bv_error **err)
{
    if (s->busy)
        return bvi_fail(err, BV_E_BUSY, "another call of this source is under way");
    s->busy = true;
    s->cancelled = false;
    s->data = data;
    return 0;
}

/* A request of the call under way. The keys are copied by the store. */
static int request(source_store *s, const bvi_store_request *req, bvi_store_fn fn, bv_error **err)
{
    if (s->cancelled)
        return bvi_fail(err, BV_E_CANCELLED, "cancelled");
    return bvi_store_call(s->store, req, fn, s, err);
}

static int request_object(source_store *s, bvi_store_verb verb, const char *name, size_t max,
                          bvi_store_fn fn, bv_error **err)
{
    bvi_auto_free char *key = bvi_store_object_key(s->store_key, s->version, name);

    if (!key)
        return bvi_fail_nomem(err);
    return request(s, &(bvi_store_request){ .verb = verb, .key = key, .max = max }, fn, err);
}

/* "not found" of an object means the archive is not there. */
static void name_archive(const source_store *s, bv_error **err)
{
    int code = bv_error_code(*err);

    if (s->version)
        (void)bvi_wrap(err, code, "archive '%s' version %llu", s->store_key,
                       (unsigned long long)s->version);
    else
        (void)bvi_wrap(err, code, "archive '%s'", s->store_key);
}

/* ---- metadata ---- */

static void metadata_end(source_store *s, bv_error *err, const bvi_archive_metadata *metadata)
{
    s->busy = false;
    if (err)
        name_archive(s, &err);
    s->metadata_done(err, err ? NULL : metadata, s->data);
    bv_error_free(err);
}

static void on_header(const bv_error *why, const bvi_store_reply *reply, void *data)
{
    source_store *s = data;
    bv_error *err = bvi_error_copy(why);
    bvi_manifest_header header = { 0 };
    bvi_archive_metadata metadata;

    if (bv_error_code(err) == BV_E_NOT_FOUND)
        (void)bvi_wrap(&err, BV_E_NOT_FOUND, "manifest not found");
    if (!err)
        (void)bvi_manifest_header_parse(reply->bytes, reply->len, &header, &err);
    metadata = (bvi_archive_metadata){
        .data_version = s->version,
        .total_size = header.total_size,
        .compression = header.compression,
        .chunks = header.chunks,
    };
    s->told_version = err ? 0 : s->version;
    s->told_chunks = header.chunks;
    metadata_end(s, err, &metadata);
}

static int ask_header(source_store *s, bv_error **err)
{
    return request_object(s, BVI_STORE_GET, BVI_STORE_HEADER, BVI_MANIFEST_HEADER_MAX, on_header,
                          err);
}

static void on_versions(const bv_error *why, const bvi_store_reply *reply, void *data)
{
    source_store *s = data;
    bv_error *err = bvi_error_copy(why);

    if (!err && reply->n_versions == 0)
        (void)bvi_fail(&err, BV_E_NOT_FOUND, "manifest not found: it has no complete version");
    if (!err) {
        s->version = reply->versions[reply->n_versions - 1];
        (void)ask_header(s, &err); /* err tells */
    }
    if (err)
        metadata_end(s, err, NULL);
}

static int source_metadata(bvi_chunk_source *source, uint64_t data_version,
                           bvi_source_metadata_fn done, void *data, bv_error **err)
{
    source_store *s = (source_store *)source;
    int r = begin(s, data, err);

    if (r < 0)
        return r;
    s->metadata_done = done;
    s->version = data_version;
    if (data_version)
        r = ask_header(s, err);
    else
        r = request(s,
                    &(bvi_store_request){ .verb = BVI_STORE_VERSIONS,
                                          .format = BVI_STORE_ARCHIVE,
                                          .store_key = s->store_key },
                    on_versions, err);
    s->busy = r == 0;
    return r;
}

/* ---- chunks ---- */

static int answer_chunk(source_store *s, uint32_t index, bvi_chunk *chunk, bv_error **err)
{
    bvi_auto_free char *url = NULL;
    bvi_auto_free char *key = NULL;
    const bvi_chunk *from;
    int r;

    if (index >= s->loaded.chunks.len)
        return bvi_fail(err, BV_E_NOT_FOUND, "chunk %u is not in the manifest", index);
    from = &s->loaded.chunks.items[index];
    r = bvi_chunk_copy(chunk, from, err);
    if (r < 0)
        return r;
    key = from->key && *from->key ? bvi_strdup(from->key)
                                  : bvi_store_chunk_key(s->store_key, s->version, index);
    /* Whoever wrote the manifest chose the key: it must not lead out of the store. */
    r = key ? bvi_target_path_check(key, err) : bvi_fail_nomem(err);
    if (r < 0)
        return bvi_wrap(err, r, "the key of chunk %u", index);
    url = s->store->vtable->url(s->store, key, false);
    if (!url)
        return bvi_fail_nomem(err);
    return bvi_chunk_set_url(chunk, url, err);
}

static void chunks_end(source_store *s, bv_error *err)
{
    size_t count = s->count;
    bvi_chunk *chunks = err ? NULL : bvi_new_array(bvi_chunk, count ? count : 1);

    if (!err && !chunks)
        (void)bvi_fail_nomem(&err);
    for (size_t i = 0; chunks && i < count; i++)
        bvi_chunk_init(&chunks[i]);
    for (size_t i = 0; chunks && !err && i < count; i++)
        (void)answer_chunk(s, s->indexes[i], &chunks[i], &err); /* err tells */
    if (err)
        name_archive(s, &err);
    s->busy = false;
    s->chunks_done(err, err ? NULL : chunks, err ? 0 : count, s->data);
    for (size_t i = 0; chunks && i < count; i++)
        bvi_chunk_done(&chunks[i]);
    bvi_free(chunks);
    bv_error_free(err);
}

static void on_body(const bv_error *why, const bvi_store_reply *reply, void *data)
{
    source_store *s = data;
    bv_error *err = bvi_error_copy(why);

    bvi_manifest_done(&s->loaded);
    s->loaded_version = 0;
    if (!err)
        (void)bvi_manifest_body_parse(reply->bytes, reply->len, &s->loaded, &err); /* err tells */
    if (!err && s->told_version == s->version && s->loaded.chunks.len != s->told_chunks)
        (void)bvi_fail(&err, BV_E_FORMAT, "manifest: its header says %u chunks, its body has %zu",
                       s->told_chunks, s->loaded.chunks.len);
    if (!err)
        s->loaded_version = s->version;
    chunks_end(s, err);
}

/* The body is in memory already, but answers never come from inside the call. */
static void on_still_there(const bv_error *why, const bvi_store_reply *reply, void *data)
{
    (void)reply;
    chunks_end(data, bvi_error_copy(why));
}

static int source_chunks(bvi_chunk_source *source, uint64_t data_version, const uint32_t *indexes,
                         size_t count, bvi_source_chunks_fn done, void *data, bv_error **err)
{
    source_store *s = (source_store *)source;
    int r;

    if (count > BVI_SOURCE_BATCH_MAX)
        return bvi_fail(err, BV_E_LIMIT, "%zu chunks asked for at once, at most %u", count,
                        BVI_SOURCE_BATCH_MAX);
    r = begin(s, data, err);
    if (r < 0)
        return r;
    s->chunks_done = done;
    s->version = data_version;
    s->count = count;
    if (count > 0)
        memcpy(s->indexes, indexes, count * sizeof(*indexes));
    if (s->loaded_version == data_version)
        r = request_object(s, BVI_STORE_STAT, BVI_STORE_HEADER, 0, on_still_there, err);
    else
        r = request_object(s, BVI_STORE_GET, BVI_STORE_BODY, BVI_MANIFEST_BODY_MAX, on_body, err);
    s->busy = r == 0;
    return r;
}

/* ---- slots ---- */

static int fill_slot(source_store *s, uint32_t index, bvi_upload_slot *slot, bv_error **err)
{
    char *key = bvi_store_chunk_key(s->store_key, s->version, index);
    char *url = key ? s->store->vtable->url(s->store, key, true) : NULL;

    *slot = (bvi_upload_slot){ .index = index, .key = key, .url = url };
    return url ? 0 : bvi_fail_nomem(err);
}

static void on_reserved(const bv_error *why, const bvi_store_reply *reply, void *data)
{
    source_store *s = data;
    bv_error *err = bvi_error_copy(why);
    size_t count = s->count;
    bvi_upload_slot *slots = err ? NULL : bvi_new_array(bvi_upload_slot, count ? count : 1);

    if (!err && !slots)
        (void)bvi_fail_nomem(&err);
    if (!err)
        s->version = reply->version;
    for (size_t i = 0; slots && !err && i < count; i++)
        (void)fill_slot(s, s->indexes[i], &slots[i], &err); /* err tells */
    if (err)
        name_archive(s, &err);
    s->busy = false;
    s->slots_done(err, err ? 0 : s->version, err ? NULL : slots, err ? 0 : count, s->data);
    for (size_t i = 0; slots && i < count; i++) {
        bvi_free((char *)slots[i].key);
        bvi_free((char *)slots[i].url);
    }
    bvi_free(slots);
    bv_error_free(err);
}

static int source_slots(bvi_chunk_source *source, const bvi_slots_request *req,
                        bvi_source_slots_fn done, void *data, bv_error **err)
{
    source_store *s = (source_store *)source;
    int r;

    if (req->count > BVI_SOURCE_BATCH_MAX)
        return bvi_fail(err, BV_E_LIMIT, "%zu slots asked for at once, at most %u", req->count,
                        BVI_SOURCE_BATCH_MAX);
    r = begin(s, data, err);
    if (r < 0)
        return r;
    s->slots_done = done;
    s->version = req->data_version;
    s->count = req->count;
    if (req->count > 0)
        memcpy(s->indexes, req->indexes, req->count * sizeof(*req->indexes));
    r = request(s,
                &(bvi_store_request){
                    .verb = BVI_STORE_RESERVE,
                    .store_key = s->store_key,
                    .version = req->data_version,
                    .lease = req->lease,
                },
                on_reserved, err);
    s->busy = r == 0;
    return r;
}

/* ---- publish: chunks are there, then body, then header, then the reservation ends ---- */

static void put_end(source_store *s, bv_error *err)
{
    bvi_buf_done(&s->text);
    bvi_free(bvi_take(s->header));
    s->busy = false;
    if (err) {
        name_archive(s, &err);
        (void)bvi_wrap(&err, bv_error_code(err), "cannot publish the manifest");
    }
    s->put_done(err, s->data);
    bv_error_free(err);
}

static void on_released(const bv_error *why, const bvi_store_reply *reply, void *data)
{
    (void)why; /* the version is complete; a reservation left behind does no harm */
    (void)reply;
    put_end(data, NULL);
}

/* A success that a server told does not always mean that it has the object. */
static int look_for(source_store *s, const char *name, bvi_store_fn fn, bv_error **err)
{
    return request_object(s, BVI_STORE_STAT, name, 0, fn, err);
}

static int check_stored(const bvi_store_reply *reply, uint64_t size, bv_error **err)
{
    if (bv_error_code(*err) == BV_E_NOT_FOUND)
        return bvi_wrap(err, BV_E_STATE, "it is not in the store");
    if (!*err && reply->size != size)
        return bvi_fail(err, BV_E_STATE, "it has %llu bytes in the store instead of %llu",
                        (unsigned long long)reply->size, (unsigned long long)size);
    return bv_error_code(*err);
}

static int put_object(source_store *s, const char *name, const char *bytes, size_t len,
                      bvi_store_fn fn, bv_error **err)
{
    bvi_auto_free char *key = bvi_store_object_key(s->store_key, s->version, name);

    if (!key)
        return bvi_fail_nomem(err);
    s->put_len = len;
    return request(
        s, &(bvi_store_request){ .verb = BVI_STORE_PUT, .key = key, .bytes = bytes, .len = len },
        fn, err);
}

static void on_header_stored(const bv_error *why, const bvi_store_reply *reply, void *data)
{
    source_store *s = data;
    bv_error *err = bvi_error_copy(why);

    if (check_stored(reply, s->put_len, &err) < 0)
        (void)bvi_wrap(&err, bv_error_code(err), "manifest header");
    if (!err)
        (void)bvi_store_call(s->store,
                             &(bvi_store_request){ .verb = BVI_STORE_RELEASE,
                                                   .store_key = s->store_key,
                                                   .version = s->version },
                             on_released, s, &err);
    if (err)
        put_end(s, err);
}

static void on_header_put(const bv_error *why, const bvi_store_reply *reply, void *data)
{
    source_store *s = data;
    bv_error *err = bvi_error_copy(why);

    (void)reply;
    if (!err)
        (void)look_for(s, BVI_STORE_HEADER, on_header_stored, &err); /* err tells */
    if (err)
        put_end(s, err);
}

static void on_body_stored(const bv_error *why, const bvi_store_reply *reply, void *data)
{
    source_store *s = data;
    bv_error *err = bvi_error_copy(why);
    size_t len = 0;

    if (check_stored(reply, s->put_len, &err) < 0)
        (void)bvi_wrap(&err, bv_error_code(err), "manifest body");
    if (!err && bvi_manifest_header_print(s->manifest, &s->header, &len, &err) == 0)
        (void)put_object(s, BVI_STORE_HEADER, s->header, len, on_header_put, &err); /* err tells */
    if (err)
        put_end(s, err);
}

static void on_body_put(const bv_error *why, const bvi_store_reply *reply, void *data)
{
    source_store *s = data;
    bv_error *err = bvi_error_copy(why);

    (void)reply;
    bvi_buf_clear(&s->text);
    if (!err)
        (void)look_for(s, BVI_STORE_BODY, on_body_stored, &err); /* err tells */
    if (err)
        put_end(s, err);
}

static int put_body(source_store *s, bv_error **err)
{
    int r;

    bvi_buf_init(&s->text, BVI_MANIFEST_BODY_MAX);
    r = bvi_manifest_body_print(s->manifest, &s->text, err);
    return r < 0 ? r : put_object(s, BVI_STORE_BODY, s->text.data, s->text.len, on_body_put, err);
}

static int check_next(source_store *s, bv_error **err);

static void on_checked(const bv_error *why, const bvi_store_reply *reply, void *data)
{
    source_store *s = data;
    const bvi_chunk *chunk = &s->manifest->chunks.items[s->checked];
    bv_error *err = bvi_error_copy(why);

    if (check_stored(reply, chunk->size, &err) < 0)
        (void)bvi_wrap(&err, bv_error_code(err), "chunk %u", chunk->index);
    s->checked++;
    if (!err)
        (void)check_next(s, &err); /* err tells */
    if (err)
        put_end(s, err);
}

/* Asks for the next chunk that is stored at all; after the last one the body goes out. */
static int check_next(source_store *s, bv_error **err)
{
    while (s->checked < s->manifest->chunks.len && s->manifest->chunks.items[s->checked].size == 0)
        s->checked++;
    if (s->checked == s->manifest->chunks.len)
        return put_body(s, err);
    return request(s,
                   &(bvi_store_request){ .verb = BVI_STORE_STAT,
                                         .key = s->manifest->chunks.items[s->checked].key },
                   on_checked, err);
}

static void on_version_mine(const bv_error *why, const bvi_store_reply *reply, void *data)
{
    source_store *s = data;
    bv_error *err = bvi_error_copy(why);

    (void)reply;
    if (!err)
        (void)check_next(s, &err); /* err tells */
    if (err)
        put_end(s, err);
}

static int source_put_manifest(bvi_chunk_source *source, uint64_t data_version,
                               const bvi_manifest *manifest, bvi_source_put_fn done, void *data,
                               bv_error **err)
{
    source_store *s = (source_store *)source;
    int r = begin(s, data, err);

    if (r < 0)
        return r;
    s->put_done = done;
    s->version = data_version;
    s->manifest = manifest;
    s->checked = 0;
    /* Refuses a version that is complete or somebody else's. */
    r = request(s,
                &(bvi_store_request){
                    .verb = BVI_STORE_RESERVE,
                    .store_key = s->store_key,
                    .version = data_version,
                },
                on_version_mine, err);
    s->busy = r == 0;
    return r;
}

/* ---- life ---- */

static void source_cancel(bvi_chunk_source *source)
{
    source_store *s = (source_store *)source;

    s->cancelled = true;
    s->store->vtable->cancel(s->store);
}

static void source_free(bvi_chunk_source *source)
{
    source_store *s = (source_store *)source;

    bvi_manifest_done(&s->loaded);
    bvi_buf_done(&s->text);
    bvi_free(s->header);
    bvi_free(s->store_key);
    bvi_store_free(s->store);
    bvi_free(s);
}

static const bvi_chunk_source_vtable store_vtable = {
    .name = "store",
    .metadata = source_metadata,
    .chunks = source_chunks,
    .slots = source_slots,
    .put_manifest = source_put_manifest,
    .cancel = source_cancel,
    .free = source_free,
};

int bvi_source_store_new(bvi_store *store, const char *store_key, bvi_chunk_source **ret_source,
                         bv_error **err)
{
    source_store *s = bvi_new0(source_store);
    int r;

    if (!s) {
        bvi_store_free(store);
        return bvi_fail_nomem(err);
    }
    s->source.vtable = &store_vtable;
    s->source.ca_file = store->ca_file;
    s->store = store;
    bvi_manifest_init(&s->loaded);
    bvi_buf_init(&s->text, BVI_MANIFEST_BODY_MAX);
    r = bvi_store_key_normalise(store_key, &s->store_key, err);
    if (r < 0) {
        source_free(&s->source);
        return r;
    }
    *ret_source = &s->source;
    return 0;
}

int bvi_source_open(bv_ctx *ctx, const char *store_uri, const char *store_key,
                    bvi_chunk_source **ret_source, bv_error **err)
{
    bvi_store *store = NULL;
    int r = bvi_store_open(ctx, store_uri, &store, err);

    return r < 0 ? r : bvi_source_store_new(store, store_key, ret_source, err);
}
