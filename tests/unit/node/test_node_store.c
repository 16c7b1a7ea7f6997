/* A node's store from end to end: the job's store over the socket, the engine service, what a node
 * may do, and a directory store below. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/engine_server.h"
#include "agent/engine_store.h"
#include "base/hex.h"
#include "bvt.h"
#include "node/node_store.h"
#include "snapshot/root.h"
#include "sys/fs.h"

#define KEY "some-key"

typedef struct fixture {
    bv_ctx *ctx;
    bvi_engine_server *server;
    bvi_store *store; /* the node's */
    const char *uri;  /* of a store with URLs; NULL: a directory */
    bool has_gate;
    const char *gate_says; /* NULL: yes */
    unsigned gated;
    bvi_task gate_task;
    bvi_gate_done_fn gate_done;
    void *gate_data;
    /* The last answer. */
    bool done;
    int code;
    char story[4096];
    char bytes[4096];
    size_t len;
    uint64_t size;
    uint64_t version;
    size_t n_versions;
    size_t n_objects;
    char object[256];
    size_t n_leases;
    bvi_store_format format;
    char protects[64];
} fixture;

/* ---- the host ---- */

static void gate_answers(void *data)
{
    fixture *f = data;
    bvi_auto_error bv_error *err = NULL;

    if (f->gate_says)
        (void)bvi_fail(&err, BV_E_STATE, "%s", f->gate_says);
    bvi_take(f->gate_done)(err, f->gate_data);
}

static int gate(void *data, const char *store_key, uint64_t version, bvi_gate_done_fn done,
                void *done_data, bv_error **err)
{
    fixture *f = data;

    if (!f->has_gate)
        return BVI_GATE_NONE;
    ck_assert_str_eq(store_key, KEY);
    f->gated++;
    f->gate_done = done;
    f->gate_data = done_data;
    bvi_task_post(&f->gate_task);
    return 0;
}

static int open_store(void *data, const char *store_key, bvi_store **ret_store, bv_error **err)
{
    fixture *f = data;
    const bvi_node_store_opts opts = {
        .store_key = "Some-Key",
        .staging_dir = f->uri ? NULL : bvt_path("store/.staging/id"),
        .store_dir = bvt_path("store"),
        .node_store_dir = bvt_path("store/" KEY),
        .node_upload_dir = bvt_path("store/.staging/id"),
        .gate = gate,
        .data = f,
    };
    bvi_store *inner = NULL;
    int r;

    if (store_key)
        return bvi_fail(err, BV_E_DENIED, "not your key");
    r = f->uri ? bvi_store_open(f->ctx, f->uri, &inner, err)
               : bvi_store_dir_open(f->ctx, bvt_path("store"), &inner, err);
    return r < 0 ? r : bvi_node_store_new(inner, &opts, ret_store, err);
}

static int object_url(void *data, bvi_store *store, const char *key, bool put, char **ret_url,
                      bv_error **err)
{
    return bvi_node_store_url(store, key, put, ret_url, err);
}

static int info(void *data, const char *store_key, uint64_t data_version, bool upload,
                bvi_store_info_fn done, void *done_data, bv_error **err)
{
    return bvi_fail(err, BV_E_NOT_FOUND, "version %d of %s", (int)data_version,
                    upload ? "an upload" : "a download");
}

static void share(void *data, bv_transfer_limits *ret_share)
{
    fixture *f = data;

    (void)f;
    ret_share->memory_mib = 99;
    ret_share->connections = 7;
    ret_share->upload_bytes_per_s = 5000000000;
}

static void open_fixture(fixture *f)
{
    bv_ctx_opts ctx = BV_CTX_OPTS_INIT;
    const bvi_engine_host host = {
        .data = f,
        .store = { .data = f, .open = open_store, .url = object_url, .info = info, .share = share },
    };
    const bvi_engine_store_opts opts = { .socket_path = bvt_path("engine.socket") };
    bv_error *err = NULL;

    *f = (fixture){ .ctx = NULL };
    bvt_assert_ok(bv_ctx_new(&ctx, &f->ctx, &err), err);
    bvi_task_init(&f->gate_task, f->ctx, gate_answers, f);
    bvt_assert_ok(bvi_fs_mkdir(bvt_path("store/.staging/id"), 0755, &err), err);
    bvt_assert_ok(bvi_engine_server_new(f->ctx, bvt_path("engine.socket"), &host, &f->server, &err),
                  err);
    bvt_assert_ok(bvi_engine_store_new(f->ctx, &opts, &f->store, &err), err);
}

static void close_fixture(fixture *f)
{
    bvi_store_free(f->store);
    bvi_engine_server_free(f->server);
    bvi_task_done(&f->gate_task);
    bv_ctx_free(f->ctx);
}

/* ---- asking ---- */

static void on_answer(const bv_error *err, const bvi_store_reply *reply, void *data)
{
    fixture *f = data;

    ck_assert(!f->done);
    f->done = true;
    f->code = bv_error_code(err);
    (void)bv_error_format(err, f->story, sizeof(f->story));
    if (err)
        return;
    f->len = reply->len;
    if (reply->bytes && reply->len < sizeof(f->bytes))
        memcpy(f->bytes, reply->bytes, reply->len);
    f->size = reply->size;
    f->version = reply->version;
    f->n_versions = reply->n_versions;
    f->n_objects = reply->n_objects;
    if (reply->n_objects)
        (void)snprintf(f->object, sizeof(f->object), "%s", reply->objects[0].key);
    f->n_leases = reply->n_leases;
}

static void on_info(const bv_error *err, const bvi_store_info *got, void *data)
{
    fixture *f = data;

    f->done = true;
    f->code = bv_error_code(err);
    (void)bv_error_format(err, f->story, sizeof(f->story));
}

static int wait_done(fixture *f)
{
    for (int i = 0; !f->done; i++) {
        ck_assert_int_lt(i, 10000);
        ck_assert_int_ge(bv_ctx_dispatch(f->ctx, 10), 0);
    }
    f->done = false;
    return f->code;
}

static int ask(fixture *f, const bvi_store_request *request)
{
    bv_error *err = NULL;

    if (bvi_store_call(f->store, request, on_answer, f, &err) < 0) {
        f->code = bv_error_code(err);
        bv_error_free(err);
        return f->code;
    }
    return wait_done(f);
}

#define ASK(f, ...) ask((f), &(const bvi_store_request){ __VA_ARGS__ })
#define OK(f, ...)  ck_assert_msg(ASK(f, __VA_ARGS__) == 0, "%s", (f)->story)

static int put(fixture *f, const char *key, const char *bytes)
{
    return ASK(f, .verb = BVI_STORE_PUT, .key = key, .bytes = bytes, .len = strlen(bytes));
}

static bvi_hash256 hash_of(const char *text)
{
    bvi_hash256 hash;

    bvi_blake3_hash(text, strlen(text), hash.bytes);
    return hash;
}

static const char *pack_key(const char *content)
{
    bvi_hash256 hash = hash_of(content);
    char *key = bvi_snap_pack_key(KEY, &hash);
    const char *copy = bvt_format("%s", key);

    bvi_free(key);
    return copy;
}

static const char *stored(const char *key)
{
    return bvt_path("store/%s", key);
}

/* A root of one page that lies in a pack of that content. */
static const char *root_text(const char *key, uint64_t version, const char *pack)
{
    bvi_snap_root root;
    bvi_buf text = BVI_BUF_INIT(65536);
    bvi_snap_page_ref *page;
    const char *copy;
    bv_error *err = NULL;

    bvi_snap_root_init(&root);
    root.key = bvi_strdup(key);
    root.version = version;
    root.created_us = 1;
    root.entries = 1;
    page = bvi_vec_push(&root.pages);
    ck_assert_ptr_nonnull(page);
    page->frame = (bvi_snap_frame){ .hash = hash_of(pack),
                                    .pack = hash_of(pack),
                                    .stored = (uint32_t)strlen(pack),
                                    .plain = (uint32_t)strlen(pack) };
    page->entries = 1;
    root.stored_bytes = root.sent_bytes = strlen(pack);
    bvt_assert_ok(bvi_snap_root_print(&root, &text, &err), err);
    copy = bvt_format("%s", bvi_buf_str(&text));
    bvi_buf_done(&text);
    bvi_snap_root_done(&root);
    return copy;
}

/* ---- tests ---- */

START_TEST(a_version_is_made_and_read)
{
    fixture f;
    char into[8] = { 0 };
    const char *pack = "the pack's bytes";

    open_fixture(&f);
    OK(&f, .verb = BVI_STORE_RESERVE, .lease = "lease");
    ck_assert_uint_eq(f.version, 1);
    OK(&f, .verb = BVI_STORE_LEASES);
    ck_assert_uint_eq(f.n_leases, 1);
    ck_assert_int_eq(put(&f, pack_key(pack), pack), 0);
    ck_assert(bvt_exists(stored(pack_key(pack))));
    ck_assert(!bvt_exists(bvt_path("store/.staging/id/%s", strchr(pack_key(pack), '/') + 1)));
    ck_assert_int_eq(put(&f, pack_key(pack), pack), 0); /* there already */
    ck_assert_int_eq(put(&f, KEY "/1/snapshot.json.sig", "{}"), 0);
    ck_assert_msg(put(&f, KEY "/1/snapshot.json", root_text(KEY, 1, pack)) == 0, "%s", f.story);
    ck_assert_msg(put(&f, KEY "/latest.json", "{\"version\":1}") == 0, "%s", f.story);
    OK(&f, .verb = BVI_STORE_RELEASE, .version = 1, .lease = "lease");

    OK(&f, .verb = BVI_STORE_VERSIONS);
    ck_assert_uint_eq(f.n_versions, 1);
    OK(&f, .verb = BVI_STORE_VERSIONS, .format = BVI_STORE_ARCHIVE);
    ck_assert_uint_eq(f.n_versions, 0);
    OK(&f, .verb = BVI_STORE_GET, .key = KEY "/1/snapshot.json", .max = 65536);
    ck_assert_uint_eq(f.len, strlen(root_text(KEY, 1, pack)));
    ck_assert_int_eq(memcmp(f.bytes, root_text(KEY, 1, pack), f.len), 0);
    OK(&f, .verb = BVI_STORE_STAT, .key = pack_key(pack));
    ck_assert_uint_eq(f.size, strlen(pack));
    OK(&f, .verb = BVI_STORE_OBJECTS, .key = KEY "/packs/");
    ck_assert_uint_eq(f.n_objects, 1);
    ck_assert_str_eq(f.object, pack_key(pack));
    for (int i = 0; i < 2; i++) { /* the second one knows the URL */
        OK(&f, .verb = BVI_STORE_READ, .key = pack_key(pack), .offset = 4, .into = into,
           .into_len = 4);
        ck_assert_int_eq(memcmp(into, "pack", 4), 0);
    }
    ck_assert_int_eq(ASK(&f, .verb = BVI_STORE_READ, .key = pack_key(pack), .offset = 14,
                         .into = into, .into_len = 4),
                     BV_E_FORMAT);
    close_fixture(&f);
}
END_TEST

START_TEST(a_large_object_goes_in_parts)
{
    fixture f;
    size_t len = 3 * 1024 * 1024;
    char *text = malloc(len + 1);
    const char *small = root_text(KEY, 1, "p");

    ck_assert_ptr_nonnull(text);
    open_fixture(&f);
    OK(&f, .verb = BVI_STORE_RESERVE, .lease = "lease");
    ck_assert_int_eq(put(&f, pack_key("p"), "p"), 0);
    memset(text, ' ', len);
    memcpy(text, small, strlen(small));
    text[len] = '\0';
    ck_assert_msg(put(&f, KEY "/1/snapshot.json", text) == 0, "%s", f.story);
    OK(&f, .verb = BVI_STORE_GET, .key = KEY "/1/snapshot.json", .max = 4 << 20);
    ck_assert_uint_eq(f.len, len);
    ck_assert_int_eq(ASK(&f, .verb = BVI_STORE_GET, .key = KEY "/1/snapshot.json", .max = 1 << 20),
                     BV_E_LIMIT);
    close_fixture(&f);
    free(text);
}
END_TEST

/* What a node may not do, whatever it says. */
static const struct {
    bvi_store_request request;
    int code;
} denied[] = {
    { { .verb = BVI_STORE_GET, .key = "other-key/1/snapshot.json" }, BV_E_DENIED },
    { { .verb = BVI_STORE_GET, .key = KEY "/../other-key/1/snapshot.json" }, BV_E_DENIED },
    { { .verb = BVI_STORE_GET, .key = KEY "x/1/snapshot.json" }, BV_E_DENIED },
    { { .verb = BVI_STORE_GET, .key = KEY "/1/data.part_0" }, BV_E_DENIED },
    { { .verb = BVI_STORE_GET, .key = KEY "/packs/00/0011" }, BV_E_DENIED },
    { { .verb = BVI_STORE_STAT, .key = "other-key/latest.json" }, BV_E_DENIED },
    { { .verb = BVI_STORE_OBJECTS, .key = "other-key/" }, BV_E_DENIED },
    { { .verb = BVI_STORE_OBJECTS, .key = NULL }, BV_E_DENIED },
    { { .verb = BVI_STORE_OBJECTS, .key = KEY "/", .after = "other/x" }, BV_E_DENIED },
    { { .verb = BVI_STORE_REMOVE, .key = KEY "/1/snapshot.json" }, BV_E_DENIED },
    { { .verb = BVI_STORE_RESERVE }, BV_E_DENIED },
    { { .verb = BVI_STORE_RESERVE, .lease = "l", .version = UINT64_MAX }, BV_E_INVALID },
    { { .verb = BVI_STORE_RELEASE, .version = 1 }, BV_E_DENIED },
    { { .verb = BVI_STORE_LIST }, BV_E_UNSUPPORTED },
    { { .verb = BVI_STORE_PRUNE }, BV_E_UNSUPPORTED },
    { { .verb = BVI_STORE_PUT, .key = "other-key/1/snapshot.json", .bytes = "{}", .len = 2 },
      BV_E_DENIED },
    { { .verb = BVI_STORE_PUT, .key = KEY "/1/.lock", .bytes = "x", .len = 1 }, BV_E_DENIED },
    { { .verb = BVI_STORE_PUT, .key = KEY "/prune.json", .bytes = "x", .len = 1 }, BV_E_DENIED },
    { { .verb = BVI_STORE_PUT, .key = KEY "/01/snapshot.json", .bytes = "{}", .len = 2 },
      BV_E_DENIED },
    { { .verb = BVI_STORE_PUT, .key = KEY "/1/snapshot.json", .bytes = "{}", .len = 2 },
      BV_E_FORMAT },
    { { .verb = BVI_STORE_PUT, .key = KEY "/latest.json", .bytes = "{\"version\":7}", .len = 13 },
      BV_E_STATE },
    { { .verb = BVI_STORE_PUT, .key = KEY "/latest.json", .bytes = "no", .len = 2 }, BV_E_FORMAT },
};

START_TEST(refuses)
{
    fixture f;
    char into[1];
    bvi_store_request request = denied[_i].request;

    open_fixture(&f);
    request.into = into;
    ck_assert_msg(ask(&f, &request) == denied[_i].code, "%d: %s", f.code, f.story);
    close_fixture(&f);
}
END_TEST

START_TEST(a_pack_is_what_its_name_says)
{
    fixture f;

    open_fixture(&f);
    ck_assert_int_eq(put(&f, pack_key("right"), "wrong"), BV_E_CHECKSUM);
    ck_assert(!bvt_exists(stored(pack_key("right"))));
    ck_assert_int_eq(put(&f, pack_key("right"), "right"), 0);
    close_fixture(&f);
}
END_TEST

START_TEST(roots_are_checked)
{
    fixture f;

    open_fixture(&f);
    OK(&f, .verb = BVI_STORE_RESERVE, .lease = "lease");
    ck_assert_int_eq(put(&f, KEY "/1/snapshot.json", root_text("other-key", 1, "p")), BV_E_DENIED);
    ck_assert_int_eq(put(&f, KEY "/1/snapshot.json", root_text(KEY, 2, "p")), BV_E_DENIED);
    ck_assert_int_eq(put(&f, KEY "/1/snapshot.json", root_text(KEY, 1, "p")), BV_E_NOT_FOUND);
    ck_assert(strstr(f.story, "a pack of version 1"));
    ck_assert_int_eq(put(&f, pack_key("p"), "p"), 0);
    ck_assert_int_eq(put(&f, KEY "/1/snapshot.json", root_text(KEY, 1, "p")), 0);
    ck_assert_int_eq(put(&f, KEY "/1/snapshot.json", root_text(KEY, 1, "p")), BV_E_EXISTS);
    ck_assert_int_eq(put(&f, KEY "/1/snapshot.json.sig", "{}"), BV_E_EXISTS);
    close_fixture(&f);
}
END_TEST

START_TEST(the_gate_decides)
{
    fixture f;

    open_fixture(&f);
    f.has_gate = true;
    f.gate_says = "the database does not open";
    OK(&f, .verb = BVI_STORE_RESERVE, .lease = "lease");
    ck_assert_int_eq(put(&f, pack_key("p"), "p"), 0);
    ck_assert_int_eq(put(&f, KEY "/1/snapshot.json", root_text(KEY, 1, "p")), BV_E_STATE);
    ck_assert(strstr(f.story, "the database does not open"));
    ck_assert(!bvt_exists(stored(KEY "/1/snapshot.json")));
    OK(&f, .verb = BVI_STORE_VERSIONS);
    ck_assert_uint_eq(f.n_versions, 0);
    f.gate_says = NULL;
    ck_assert_int_eq(put(&f, KEY "/1/snapshot.json", root_text(KEY, 1, "p")), 0);
    ck_assert_uint_eq(f.gated, 2);
    close_fixture(&f);
}
END_TEST

static void on_share(const bv_error *err, const bvi_store_info *got, void *data)
{
    fixture *f = data;

    f->done = true;
    f->code = bv_error_code(err);
    ck_assert_uint_eq(got->share.size, sizeof(got->share));
    ck_assert_uint_eq(got->share.memory_mib, 99);
    ck_assert_uint_eq(got->share.connections, 7);
    ck_assert_uint_eq(got->share.open_files, 0);
    ck_assert_uint_eq(got->share.download_bytes_per_s, 0);
    ck_assert_uint_eq(got->share.upload_bytes_per_s, 5000000000);
}

START_TEST(a_job_hears_its_share_of_the_limits)
{
    bv_error *err = NULL;
    fixture f;

    open_fixture(&f);
    bvt_assert_ok(bvi_engine_store_share(f.store, on_share, &f, &err), err);
    while (!f.done)
        ck_assert_int_ge(bv_ctx_dispatch(f.ctx, 10000), 0);
    ck_assert_int_eq(f.code, 0); /* nothing else of the information was looked for */
    close_fixture(&f);
}
END_TEST

START_TEST(information_has_its_own_call)
{
    fixture f;
    bv_error *err = NULL;

    open_fixture(&f);
    bvt_assert_ok(bvi_engine_store_info(f.store, 5, true, on_info, &f, &err), err);
    ck_assert_int_eq(wait_done(&f), BV_E_NOT_FOUND);
    ck_assert(strstr(f.story, "version 5 of an upload"));
    close_fixture(&f);
}
END_TEST

START_TEST(everything_may_be_cancelled)
{
    for (int steps = 0; steps < 12; steps++) {
        fixture f;
        const char *pack = "some pack";
        const bvi_store_request request = {
            .verb = BVI_STORE_PUT, .key = pack_key(pack), .bytes = pack, .len = strlen(pack)
        };
        bv_error *err = NULL;
        int r;

        open_fixture(&f);
        bvt_assert_ok(bvi_store_call(f.store, &request, on_answer, &f, &err), err);
        for (int i = 0; i < steps && !f.done; i++)
            ck_assert_int_ge(bv_ctx_dispatch(f.ctx, 10), 0);
        if (!f.done)
            f.store->vtable->cancel(f.store);
        r = wait_done(&f);
        ck_assert_msg(r == 0 || r == BV_E_CANCELLED, "%s", f.story);
        ck_assert_int_eq(put(&f, pack_key(pack), pack), 0);
        close_fixture(&f);
    }
}
END_TEST

START_TEST(a_restarted_host_is_asked_again)
{
    fixture f;
    const bvi_engine_host host = {
        .data = &f,
        .store = { .data = &f, .open = open_store, .url = object_url, .info = info },
    };
    const bvi_store_request request = { .verb = BVI_STORE_VERSIONS };
    bv_error *err = NULL;

    open_fixture(&f);
    OK(&f, .verb = BVI_STORE_RESERVE, .lease = "lease");
    bvi_engine_server_free(f.server);
    bvt_assert_ok(bvi_store_call(f.store, &request, on_answer, &f, &err), err);
    for (int i = 0; i < 5; i++)
        ck_assert_int_ge(bv_ctx_dispatch(f.ctx, 1), 0);
    bvt_assert_ok(bvi_engine_server_new(f.ctx, bvt_path("engine.socket"), &host, &f.server, &err),
                  err);
    ck_assert_msg(wait_done(&f) == 0, "%s", f.story);
    close_fixture(&f);
}
END_TEST

/* Through the whole way: the job's store, the socket, the service, the node's store, the directory.
 */
static void ask_everything(fixture *f)
{
    const char *key = pack_key("pack");

    (void)unlink(stored(key));
    ck_assert_msg(put(f, key, "pack") == 0 || f->code < 0, "%s", f->story);
    ck_assert_msg(ASK(f, .verb = BVI_STORE_OBJECTS, .key = KEY "/") == 0 || f->code < 0, "%s",
                  f->story);
    (void)put(f, KEY "/1/snapshot.json", root_text(KEY, 2, "pack")); /* never complete */
    for (int i = 0; i < 10; i++) /* a connection that was given up goes on both sides */
        ck_assert_int_ge(bv_ctx_dispatch(f->ctx, 1), 0);
}

/* A lost connection is made anew, which leaves other blocks than before: so it is counted at the
 * end what is left of everything. */
START_TEST(survives_failed_allocations)
{
    size_t before = bvt_live_blocks();
    fixture f;

    open_fixture(&f);
    OK(&f, .verb = BVI_STORE_RESERVE, .lease = "lease");
    for (size_t n = 1; n <= 40; n++) {
        bvt_fail_allocation(n);
        ask_everything(&f);
        bvt_fail_allocation(0);
    }
    ck_assert_int_eq(put(&f, pack_key("pack"), "pack"), 0);
    close_fixture(&f);
    ck_assert_uint_eq(bvt_live_blocks(), before);
}
END_TEST

/* Packs go to the bucket and come from it by URLs that the host signed. */
START_TEST(urls_of_a_bucket)
{
    fixture f;
    char into[32] = { 0 };
    const char *pack = "the pack's bytes";
    const char *endpoint = getenv("BVT_S3_ENDPOINT");

    if (!endpoint)
        bvt_skip("there is no S3 server: tools/install-packages test");
    open_fixture(&f);
    f.uri =
        bvt_format("s3://%s/node-%d?endpoint=%s", getenv("BVT_S3_BUCKET"), (int)getpid(), endpoint);
    OK(&f, .verb = BVI_STORE_RESERVE, .lease = "lease");
    ck_assert_msg(put(&f, pack_key(pack), pack) == 0, "%s", f.story);
    ck_assert_msg(put(&f, pack_key(pack), pack) == 0, "%s", f.story); /* there already */
    ck_assert_msg(put(&f, KEY "/1/snapshot.json", root_text(KEY, 1, pack)) == 0, "%s", f.story);
    OK(&f, .verb = BVI_STORE_RELEASE, .version = 1, .lease = "lease");
    OK(&f, .verb = BVI_STORE_VERSIONS);
    ck_assert_uint_eq(f.n_versions, 1);
    OK(&f, .verb = BVI_STORE_READ, .key = pack_key(pack), .offset = 4, .into = into, .into_len = 4);
    ck_assert_int_eq(memcmp(into, "pack", 4), 0);
    ck_assert_int_lt(ASK(&f, .verb = BVI_STORE_READ, .key = pack_key(pack), .offset = 10,
                         .into = into, .into_len = 30),
                     0);
    ck_assert_int_eq(
        ASK(&f, .verb = BVI_STORE_READ, .key = pack_key("none"), .into = into, .into_len = 1),
        BV_E_NOT_FOUND);
    close_fixture(&f);
}
END_TEST

BVT_MAIN("node/node_store", bvt_test(a_version_is_made_and_read),
         bvt_test(a_large_object_goes_in_parts), bvt_loop(refuses, denied),
         bvt_test(a_pack_is_what_its_name_says), bvt_test(roots_are_checked),
         bvt_test(the_gate_decides), bvt_test(information_has_its_own_call),
         bvt_test(a_job_hears_its_share_of_the_limits), bvt_test(everything_may_be_cancelled),
         bvt_test(a_restarted_host_is_asked_again), bvt_test(survives_failed_allocations),
         bvt_test(urls_of_a_bucket))
