/*
 * The engine service from end to end: a fake source on the host, the node's source over the socket.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/engine_server.h"
#include "agent/engine_source.h"
#include "agent/protocol.h"
#include "bvt.h"
#include "net/rpc.h"

/* ---- the host's side ---- */

typedef struct host {
    int opened; /* sources made */
    int alive;  /* and not freed */
    int calls;
    int cancels;
    int fail_code; /* the next `failures` calls end with it */
    int failures;
    bool hang;      /* calls wait for cancel */
    size_t targets; /* of each chunk */
    char key[64];
    char report[8192];
    int reports;
    /* What came. */
    uint64_t put_version;
    uint64_t put_total;
    size_t put_chunks;
    size_t put_targets;
    char lease[80];
} host;

typedef struct fake_source {
    bvi_chunk_source base;
    bv_ctx *ctx;
    host *host;
    bvi_task task;
    bool waiting;
    int code;
    /* The call under way. */
    bvi_source_metadata_fn metadata;
    bvi_source_chunks_fn chunks;
    bvi_source_slots_fn slots;
    bvi_source_put_fn put;
    uint64_t data_version;
    uint32_t indexes[BVI_SOURCE_BATCH_MAX];
    size_t count;
    void *data;
} fake_source;

static void make_chunk(bvi_chunk *chunk, uint32_t index, size_t targets)
{
    bv_error *err = NULL;

    bvi_chunk_init(chunk);
    chunk->index = index;
    chunk->size = 1000 + index;
    bvt_assert_ok(bvi_chunk_set_key(chunk, bvt_format("key/%u", index), &err), err);
    bvt_assert_ok(bvi_chunk_set_url(chunk, bvt_format("http://host/%u?secret", index), &err), err);
    bvt_assert_ok(
        bvi_checksum_set(&chunk->checksum, BVI_CHECKSUM_SHA1, "01234567890123456789", 20, &err),
        err);
    for (size_t i = 0; i < targets; i++)
        bvt_assert_ok(
            bvi_chunk_add_target(chunk, bvt_format("some/file-%u-%zu", index, i), 0, 1, &err), err);
}

static void give_chunks(fake_source *s)
{
    bvi_chunk chunks[BVI_SOURCE_BATCH_MAX];

    for (size_t i = 0; i < s->count; i++)
        make_chunk(&chunks[i], s->indexes[i], s->host->targets);
    bvi_take(s->chunks)(NULL, chunks, s->count, s->data);
    for (size_t i = 0; i < s->count; i++)
        bvi_chunk_done(&chunks[i]);
}

static void give_slots(fake_source *s)
{
    bvi_upload_slot slots[BVI_SOURCE_BATCH_MAX];

    for (size_t i = 0; i < s->count; i++)
        slots[i] =
            (bvi_upload_slot){ s->indexes[i], bvt_format("k%u", s->indexes[i]), "http://put" };
    bvi_take(s->slots)(NULL, 42, slots, s->count, s->data);
}

static void finish(void *data)
{
    fake_source *s = data;
    const bvi_archive_metadata metadata = {
        .data_version = s->data_version ? s->data_version : 9,
        .total_size = UINT64_C(1) << 40,
        .compression = { BVI_CODEC_ZSTD, 3 },
        .chunks = 77,
    };
    bvi_auto_error bv_error *err = NULL;

    s->waiting = false;
    if (s->code)
        (void)bvi_fail(&err, s->code, "the store says no");
    if (s->metadata)
        bvi_take(s->metadata)(err, err ? NULL : &metadata, s->data);
    else if (s->chunks && err)
        bvi_take(s->chunks)(err, NULL, 0, s->data);
    else if (s->chunks)
        give_chunks(s);
    else if (s->slots && err)
        bvi_take(s->slots)(err, 0, NULL, 0, s->data);
    else if (s->slots)
        give_slots(s);
    else if (s->put)
        bvi_take(s->put)(err, s->data);
}

static int begin(bvi_chunk_source *source, const uint32_t *indexes, size_t count, void *data)
{
    fake_source *s = (fake_source *)source;

    ck_assert(!s->waiting); /* one call at a time */
    s->waiting = true;
    s->count = count;
    for (size_t i = 0; i < count; i++)
        s->indexes[i] = indexes[i];
    s->data = data;
    s->host->calls++;
    s->code = s->host->failures-- > 0 ? s->host->fail_code : 0;
    if (!s->host->hang)
        bvi_task_post(&s->task);
    return 0;
}

static int fake_metadata(bvi_chunk_source *source, uint64_t data_version,
                         bvi_source_metadata_fn done, void *data, bv_error **err)
{
    ((fake_source *)source)->metadata = done;
    ((fake_source *)source)->data_version = data_version;
    return begin(source, NULL, 0, data);
}

static int fake_chunks(bvi_chunk_source *source, uint64_t data_version, const uint32_t *indexes,
                       size_t count, bvi_source_chunks_fn done, void *data, bv_error **err)
{
    ((fake_source *)source)->chunks = done;
    return begin(source, indexes, count, data);
}

static int fake_slots(bvi_chunk_source *source, const bvi_slots_request *request,
                      bvi_source_slots_fn done, void *data, bv_error **err)
{
    host *h = ((fake_source *)source)->host;

    (void)snprintf(h->lease, sizeof(h->lease), "%s", request->lease ? request->lease : "none");
    ((fake_source *)source)->slots = done;
    return begin(source, request->indexes, request->count, data);
}

static int fake_put(bvi_chunk_source *source, uint64_t data_version, const bvi_manifest *manifest,
                    bvi_source_put_fn done, void *data, bv_error **err)
{
    host *h = ((fake_source *)source)->host;

    h->put_version = data_version;
    h->put_total = manifest->total_size;
    h->put_chunks = manifest->chunks.len;
    h->put_targets = 0;
    for (size_t i = 0; i < manifest->chunks.len; i++)
        h->put_targets += manifest->chunks.items[i].targets.len;
    ((fake_source *)source)->put = done;
    return begin(source, NULL, 0, data);
}

static void fake_cancel(bvi_chunk_source *source)
{
    fake_source *s = (fake_source *)source;

    if (!s->waiting)
        return;
    s->host->cancels++;
    s->code = BV_E_CANCELLED;
    bvi_task_post(&s->task);
}

static void fake_free(bvi_chunk_source *source)
{
    fake_source *s = (fake_source *)source;

    ck_assert(!s->waiting);
    s->host->alive--;
    bvi_task_done(&s->task);
    bvi_free(s);
}

static const bvi_chunk_source_vtable fake_vtable = {
    "fake", fake_metadata, fake_chunks, fake_slots, fake_put, fake_cancel, fake_free,
};

typedef struct engine {
    bv_ctx *ctx;
    host host;
    bvi_engine_server *server;
    bvi_chunk_source *source; /* the node's */
} engine;

static int open_source(void *data, const char *store_key, bvi_chunk_source **ret_source,
                       bv_error **err)
{
    engine *e = data;
    fake_source *s;

    if (store_key && strcmp(store_key, "unknown") == 0)
        return bvi_fail(err, BV_E_NOT_FOUND, "no archive for store key '%s'", store_key);
    s = bvi_new0(fake_source);
    s->base.vtable = &fake_vtable;
    s->ctx = e->ctx;
    s->host = &e->host;
    bvi_task_init(&s->task, e->ctx, finish, s);
    (void)snprintf(e->host.key, sizeof(e->host.key), "%s", store_key ? store_key : "(own)");
    e->host.opened++;
    e->host.alive++;
    *ret_source = &s->base;
    return 0;
}

static void on_report(void *data, const char *text)
{
    engine *e = data;

    e->host.reports++;
    (void)snprintf(e->host.report, sizeof(e->host.report), "%s", text);
}

static void start_server(engine *e)
{
    bvi_engine_host functions = { .data = e, .open_source = open_source, .bv_error = on_report };
    bv_error *err = NULL;

    bvt_assert_ok(
        bvi_engine_server_new(e->ctx, bvt_path("engine.socket"), &functions, &e->server, &err),
        err);
}

static void open_engine(engine *e, const char *store_key)
{
    bv_ctx_opts ctx = BV_CTX_OPTS_INIT;
    bvi_engine_source_opts opts = { .socket_path = bvt_path("engine.socket"),
                                    .store_key = store_key };
    bv_error *err = NULL;

    *e = (engine){ .host.targets = 1 };
    bvt_assert_ok(bv_ctx_new(&ctx, &e->ctx, &err), err);
    start_server(e);
    bvt_assert_ok(bvi_engine_source_new(e->ctx, &opts, &e->source, &err), err);
}

static void close_engine(engine *e)
{
    bvi_chunk_source_free(e->source);
    bvi_engine_server_free(e->server);
    bv_ctx_free(e->ctx);
    ck_assert_int_eq(e->host.alive, 0);
}

/* ---- the node's side ---- */

typedef struct seen {
    bool done;
    int code;
    char story[512];
    bvi_archive_metadata metadata;
    size_t count;
    size_t targets;
    bool right; /* the content is what the host gave */
    uint64_t version;
} seen;

static void note(seen *s, const bv_error *err)
{
    ck_assert(!s->done);
    s->done = true;
    s->code = bv_error_code(err);
    (void)bv_error_format(err, s->story, sizeof(s->story));
}

static void on_metadata(const bv_error *err, const bvi_archive_metadata *metadata, void *data)
{
    seen *s = data;

    note(s, err);
    if (!err)
        s->metadata = *metadata;
}

static void on_chunks(const bv_error *err, bvi_chunk *chunks, size_t count, void *data)
{
    seen *s = data;

    note(s, err);
    s->count = count;
    s->right = true;
    for (size_t i = 0; i < count; i++) {
        const bvi_chunk *c = &chunks[i];

        s->targets += c->targets.len;
        s->right = s->right && c->size == 1000 + c->index &&
                   c->checksum.kind == BVI_CHECKSUM_SHA1 &&
                   strcmp(c->key, bvt_format("key/%u", c->index)) == 0 &&
                   strcmp(c->url, bvt_format("http://host/%u?secret", c->index)) == 0;
    }
}

static void on_slots(const bv_error *err, uint64_t data_version, const bvi_upload_slot *slots,
                     size_t count, void *data)
{
    seen *s = data;

    note(s, err);
    s->version = data_version;
    s->count = count;
    s->right = true;
    for (size_t i = 0; i < count; i++)
        s->right = s->right && strcmp(slots[i].key, bvt_format("k%u", slots[i].index)) == 0;
}

static void on_put(const bv_error *err, void *data)
{
    note(data, err);
}

static void wait_for(engine *e, const bool *flag)
{
    for (int i = 0; i < 200 && !*flag; i++)
        ck_assert_int_ge(bv_ctx_dispatch(e->ctx, 200), 0);
    ck_assert(*flag);
}

static seen get_metadata(engine *e)
{
    seen s = { 0 };

    ck_assert_int_eq(e->source->vtable->metadata(e->source, 0, on_metadata, &s, NULL), 0);
    wait_for(e, &s.done);
    return s;
}

START_TEST(metadata_comes_through)
{
    engine e;
    seen s = { 0 };

    open_engine(&e, _i ? "a-store-key" : NULL);
    s = get_metadata(&e);
    ck_assert_int_eq(s.code, 0);
    ck_assert_uint_eq(s.metadata.data_version, 9);
    ck_assert_uint_eq(s.metadata.total_size, UINT64_C(1) << 40);
    ck_assert_int_eq(s.metadata.compression.kind, BVI_CODEC_ZSTD);
    ck_assert_uint_eq(s.metadata.chunks, 77);
    ck_assert_str_eq(e.host.key, _i ? "a-store-key" : "(own)");
    s = get_metadata(&e);
    ck_assert_int_eq(e.host.opened, 1); /* used again */
    close_engine(&e);
}
END_TEST

static const size_t target_counts[] = { 1, 200, 30000 };

START_TEST(chunks_come_through)
{
    uint32_t indexes[] = { 3, 4, 7, 100000 };
    engine e;
    seen s = { 0 };

    open_engine(&e, NULL);
    e.host.targets = target_counts[_i];
    ck_assert_int_eq(e.source->vtable->chunks(e.source, 5, indexes, 4, on_chunks, &s, NULL), 0);
    ck_assert_int_eq(e.source->vtable->chunks(e.source, 5, indexes, 4, on_chunks, &s, NULL),
                     BV_E_BUSY);
    wait_for(&e, &s.done);
    ck_assert_msg(s.code == 0, "%s", s.story);
    ck_assert_uint_eq(s.count, 4);
    ck_assert_uint_eq(s.targets, 4 * target_counts[_i]);
    ck_assert(s.right);
    close_engine(&e);
}
END_TEST

START_TEST(slots_come_through)
{
    uint32_t indexes[BVI_SOURCE_BATCH_MAX];
    bvi_slots_request request = { .data_version = 42, .lease = "abc-1", .indexes = indexes };
    engine e;
    seen s = { 0 };

    for (uint32_t i = 0; i < BVI_SOURCE_BATCH_MAX; i++)
        indexes[i] = i;
    request.count = _i ? BVI_SOURCE_BATCH_MAX : 0;
    open_engine(&e, NULL);
    ck_assert_int_eq(e.source->vtable->slots(e.source, &request, on_slots, &s, NULL), 0);
    wait_for(&e, &s.done);
    ck_assert_msg(s.code == 0, "%s", s.story);
    ck_assert_uint_eq(s.version, 42);
    ck_assert_uint_eq(s.count, request.count);
    ck_assert(s.right);
    ck_assert_str_eq(e.host.lease, "abc-1");
    request.count = BVI_SOURCE_BATCH_MAX + 1;
    ck_assert_int_eq(e.source->vtable->slots(e.source, &request, on_slots, &s, NULL), BV_E_INVALID);
    close_engine(&e);
}
END_TEST

static void make_manifest(bvi_manifest *manifest, size_t chunks, size_t targets)
{
    bvi_manifest_init(manifest);
    for (size_t i = 0; i < chunks; i++) {
        bvi_chunk *chunk = bvi_manifest_add_chunk(manifest);

        make_chunk(chunk, (uint32_t)i, targets);
        ck_assert_int_eq(bvi_chunk_set_url(chunk, NULL, NULL), 0);
    }
    manifest->total_size = chunks * targets;
    manifest->compression = (bvi_compression){ BVI_CODEC_ZSTD, 3 };
}

static const struct {
    size_t chunks;
    size_t targets;
} manifests[] = { { 0, 0 }, { 1, 1 }, { 3000, 2 }, { 3, 12000 } };

START_TEST(manifests_come_through)
{
    bvi_manifest manifest;
    engine e;
    seen s = { 0 };

    open_engine(&e, NULL);
    make_manifest(&manifest, manifests[_i].chunks, manifests[_i].targets);
    ck_assert_int_eq(e.source->vtable->put_manifest(e.source, 8, &manifest, on_put, &s, NULL), 0);
    wait_for(&e, &s.done);
    ck_assert_msg(s.code == 0, "%s", s.story);
    ck_assert_uint_eq(e.host.put_version, 8);
    ck_assert_uint_eq(e.host.put_total, manifests[_i].chunks * manifests[_i].targets);
    ck_assert_uint_eq(e.host.put_chunks, manifests[_i].chunks);
    ck_assert_uint_eq(e.host.put_targets, manifests[_i].chunks * manifests[_i].targets);
    bvi_manifest_done(&manifest);
    close_engine(&e);
}
END_TEST

START_TEST(a_bad_manifest_goes_no_further)
{
    bvi_manifest manifest;
    engine e;
    seen s = { 0 };

    open_engine(&e, NULL);
    make_manifest(&manifest, 2, 1);
    manifest.total_size = 3; /* a wrong sum */
    ck_assert_int_eq(e.source->vtable->put_manifest(e.source, 8, &manifest, on_put, &s, NULL), 0);
    wait_for(&e, &s.done);
    ck_assert_int_eq(s.code, BV_E_FORMAT);
    ck_assert_int_eq(e.host.calls, 0);
    bvi_manifest_done(&manifest);
    close_engine(&e);
}
END_TEST

static const struct {
    int code;
    int failures;
    int seen; /* by the node */
    int calls;
} failures[] = {
    { BV_E_EXISTS, 1, BV_E_EXISTS, 1 },
    { BV_E_NOT_FOUND, 1, BV_E_NOT_FOUND, 1 },
    { BV_E_DENIED, 1, BV_E_DENIED, 1 },
    { BV_E_INTERNAL, 1, BV_E_INTERNAL, 1 },
    { BV_E_AGAIN, 2, 0, 3 }, /* passes by itself */
    { BV_E_REMOTE, 1, 0, 2 },
};

START_TEST(codes_survive_and_passing_failures_are_tried_again)
{
    engine e;
    seen s;

    open_engine(&e, NULL);
    e.host.fail_code = failures[_i].code;
    e.host.failures = failures[_i].failures;
    s = get_metadata(&e);
    ck_assert_int_eq(s.code, failures[_i].seen);
    ck_assert_int_eq(e.host.calls, failures[_i].calls);
    if (s.code)
        ck_assert_ptr_nonnull(strstr(s.story, "the store says no"));
    close_engine(&e);
}
END_TEST

START_TEST(an_unknown_store_key_is_not_found)
{
    engine e;
    seen s;

    open_engine(&e, "unknown");
    s = get_metadata(&e);
    ck_assert_int_eq(s.code, BV_E_NOT_FOUND);
    ck_assert_ptr_nonnull(strstr(s.story, "'unknown'"));
    close_engine(&e);
}
END_TEST

START_TEST(cancelling_reaches_the_source)
{
    engine e;
    seen s = { 0 };

    open_engine(&e, NULL);
    e.host.hang = true;
    ck_assert_int_eq(e.source->vtable->metadata(e.source, 0, on_metadata, &s, NULL), 0);
    while (!e.host.calls)
        ck_assert_int_ge(bv_ctx_dispatch(e.ctx, 100), 0);
    e.source->vtable->cancel(e.source);
    wait_for(&e, &s.done);
    ck_assert_int_eq(s.code, BV_E_CANCELLED);
    for (int i = 0; i < 10 && !e.host.cancels; i++)
        ck_assert_int_ge(bv_ctx_dispatch(e.ctx, 50), 0);
    ck_assert_int_eq(e.host.cancels, 1);
    for (int i = 0; i < 5; i++)
        ck_assert_int_ge(bv_ctx_dispatch(e.ctx, 10), 0);
    close_engine(&e);
}
END_TEST

START_TEST(cancelling_between_attempts)
{
    engine e;
    seen s = { 0 };

    open_engine(&e, NULL);
    e.host.fail_code = BV_E_AGAIN;
    e.host.failures = 100;
    ck_assert_int_eq(e.source->vtable->metadata(e.source, 0, on_metadata, &s, NULL), 0);
    while (!e.host.calls)
        ck_assert_int_ge(bv_ctx_dispatch(e.ctx, 100), 0);
    for (int i = 0; i < 5; i++)
        ck_assert_int_ge(bv_ctx_dispatch(e.ctx, 20), 0);
    ck_assert(!s.done);
    e.source->vtable->cancel(e.source);
    wait_for(&e, &s.done);
    ck_assert_int_eq(s.code, BV_E_CANCELLED);
    close_engine(&e);
}
END_TEST

START_TEST(a_host_that_restarts_is_waited_for)
{
    engine e;
    seen s = { 0 };

    open_engine(&e, NULL);
    (void)get_metadata(&e);
    bvi_engine_server_free(bvi_take(e.server));
    ck_assert_int_eq(e.source->vtable->metadata(e.source, 0, on_metadata, &s, NULL), 0);
    for (int i = 0; i < 20; i++)
        ck_assert_int_ge(bv_ctx_dispatch(e.ctx, 20), 0);
    ck_assert(!s.done);
    start_server(&e);
    wait_for(&e, &s.done);
    ck_assert_msg(s.code == 0, "%s", s.story);
    close_engine(&e);
}
END_TEST

START_TEST(the_host_may_end_while_a_source_works)
{
    engine e;
    seen s = { 0 };

    open_engine(&e, NULL);
    e.host.hang = true;
    ck_assert_int_eq(e.source->vtable->metadata(e.source, 0, on_metadata, &s, NULL), 0);
    while (!e.host.calls)
        ck_assert_int_ge(bv_ctx_dispatch(e.ctx, 100), 0);
    bvi_engine_server_free(bvi_take(e.server));
    ck_assert_int_eq(e.host.alive, 1); /* its call is still to end */
    while (e.host.alive)
        ck_assert_int_ge(bv_ctx_dispatch(e.ctx, 100), 0);
    e.source->vtable->cancel(e.source);
    wait_for(&e, &s.done);
    close_engine(&e);
}
END_TEST

typedef struct answers {
    unsigned all, busy;
} answers;

static void count_answer(bvi_rpc_request *request, const bvi_rpc_reply *reply, void *data)
{
    answers *a = data;

    a->all++;
    a->busy += bv_error_code(reply->err) == BV_E_BUSY;
}

static bvi_rpc_client *new_client(engine *e)
{
    const bvi_rpc_client_opts opts = { .path = bvt_path("engine.socket"),
                                       .self = { .program = "hostile", .version = "1" },
                                       .reach_ms = -1 };
    bvi_rpc_client *client = NULL;
    bv_error *err = NULL;

    bvt_assert_ok(bvi_rpc_client_new(e->ctx, &opts, &client, &err), err);
    bvi_rpc_client_connect(client);
    return client;
}

static void ask(bvi_rpc_client *client, answers *a)
{
    const bvi_rpc_request_opts opts = { .method = BVI_CALL_METADATA,
                                        .on_reply = count_answer,
                                        .data = a };

    ck_assert_int_eq(bvi_rpc_request_start(client, &opts, NULL, NULL), 0);
}

static void settle(engine *e)
{
    for (int i = 0; i < 200; i++)
        ck_assert_int_ge(bv_ctx_dispatch(e->ctx, 1), 0);
}

/* However many connections it makes, a node does not get more of the host than one may. */
START_TEST(a_node_gets_no_more_than_its_share)
{
    bvi_rpc_client *clients[BVI_ENGINE_CONNECTIONS_MAX + 4];
    answers a = { 0 };
    unsigned open = 0;
    engine e;

    open_engine(&e, NULL);
    e.host.hang = true;
    for (size_t i = 0; i < BVI_COUNT(clients); i++)
        clients[i] = new_client(&e);
    settle(&e);
    for (size_t i = 0; i < BVI_COUNT(clients); i++)
        open += bvi_rpc_client_state(clients[i]) == BVI_RPC_OPEN;
    ck_assert_uint_eq(open, BVI_ENGINE_CONNECTIONS_MAX);
    for (size_t i = 0; i < BVI_COUNT(clients); i++) {
        for (unsigned k = 0; k < 8 && bvi_rpc_client_state(clients[i]) == BVI_RPC_OPEN; k++)
            ask(clients[i], &a);
    }
    settle(&e);
    ck_assert_int_eq(e.host.opened, BVI_ENGINE_CALLS_MAX);
    ck_assert_uint_eq(a.all, 8 * BVI_ENGINE_CONNECTIONS_MAX - BVI_ENGINE_CALLS_MAX);
    ck_assert_uint_eq(a.busy, a.all);
    for (size_t i = 0; i < BVI_COUNT(clients); i++)
        bvi_rpc_client_free(clients[i]);
    settle(&e);
    ck_assert_int_eq(e.host.cancels, BVI_ENGINE_CALLS_MAX);
    close_engine(&e);
}
END_TEST

START_TEST(reports_are_one_line_and_few)
{
    struct stat st;
    engine e;

    open_engine(&e, NULL);
    ck_assert_int_eq(stat(bvt_path("engine.socket"), &st), 0);
    ck_assert_int_eq(st.st_mode & 0777, 0600);
    ck_assert_int_eq(bvi_engine_source_report(e.source, "one\nline\x1b[31m", NULL), 0);
    for (int i = 0; i < 50 && !e.host.reports; i++)
        ck_assert_int_ge(bv_ctx_dispatch(e.ctx, 50), 0);
    ck_assert_str_eq(e.host.report, "one line [31m");
    for (int i = 0; i < 100; i++)
        ck_assert_int_eq(bvi_engine_source_report(e.source, "again", NULL), 0);
    for (int i = 0; i < 50; i++)
        ck_assert_int_ge(bv_ctx_dispatch(e.ctx, 2), 0);
    ck_assert_int_le(e.host.reports, 30);
    ck_assert_int_ge(e.host.reports, 10);
    close_engine(&e);
}
END_TEST

static const int two[2];

BVT_MAIN("agent/engine", bvt_loop(metadata_comes_through, two),
         bvt_loop(chunks_come_through, target_counts), bvt_loop(slots_come_through, two),
         bvt_loop(manifests_come_through, manifests), bvt_test(a_bad_manifest_goes_no_further),
         bvt_loop(codes_survive_and_passing_failures_are_tried_again, failures),
         bvt_test(an_unknown_store_key_is_not_found), bvt_test(cancelling_reaches_the_source),
         bvt_test(cancelling_between_attempts), bvt_test(a_host_that_restarts_is_waited_for),
         bvt_test(the_host_may_end_while_a_source_works),
         bvt_test(a_node_gets_no_more_than_its_share), bvt_test(reports_are_one_line_and_few))
