/* The store on a web server against nginx, which with_nginx.py starts. All tests share its
 * directory, so each has a store key of its own. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "support.h"
#include "transfer/store.h"

#define HAVE_SERVER()                                                                              \
    do {                                                                                           \
        if (!getenv("BVT_NGINX_URL"))                                                              \
            bvt_skip("there is no nginx or openssl: tools/install-packages test");                 \
    } while (0)

typedef struct answer {
    bool done;
    int code;
    char text[1000];
    uint64_t version;
    uint64_t versions[20];
    size_t n_versions;
    bvi_snapshot_info infos[20];
    size_t n_infos;
} answer;

static void on_answer(const bv_error *err, const bvi_store_reply *reply, void *data)
{
    answer *a = data;

    ck_assert(!a->done);
    a->done = true;
    a->code = bv_error_code(err);
    (void)bv_error_format(err, a->text, sizeof(a->text));
    if (!reply)
        return;
    ck_assert(reply->n_versions <= 20 && reply->n_infos <= 20);
    a->version = reply->version;
    a->n_versions = reply->n_versions;
    for (size_t i = 0; i < reply->n_versions; i++)
        a->versions[i] = reply->versions[i];
    a->n_infos = reply->n_infos;
    for (size_t i = 0; i < reply->n_infos; i++)
        a->infos[i] = reply->infos[i];
}

static int ask(bvi_store *store, const bvi_store_request *request, answer *a)
{
    bv_error *err = NULL;
    int r;

    *a = (answer){ 0 };
    r = bvi_store_call(store, request, on_answer, a, &err);
    if (r < 0) {
        (void)bv_error_format(err, a->text, sizeof(a->text));
        bv_error_free(err);
        return a->code = r;
    }
    while (!a->done)
        ck_assert_int_gt(bv_ctx_dispatch(store->ctx, 60000), 0);
    return a->code;
}

static bvi_store *open_store(bv_ctx *ctx, const char *variable, const char *way, const char *ca)
{
    bvi_store *store = NULL;
    bv_error *err = NULL;

    bvt_assert_ok(bvi_store_open_with(ctx, bvt_format("%s/%s", getenv(variable), way),
                                      &(bvi_store_opts){ .ca_file = ca }, &store, &err),
                  err);
    return store;
}

static bvi_store *behind(bv_ctx *ctx)
{
    bvi_store *store = NULL;

    ck_assert_int_eq(bvi_store_dir_open(ctx, getenv("BVT_NGINX_ROOT"), &store, NULL), 0);
    return store;
}

static int put(bvi_store *store, const char *key, const char *text, bool create_only, answer *a)
{
    return ask(store,
               &(bvi_store_request){ .verb = BVI_STORE_PUT,
                                     .key = key,
                                     .bytes = text,
                                     .len = strlen(text),
                                     .create_only = create_only },
               a);
}

static int read_range(bvi_store *store, const char *key, uint64_t offset, void *into, size_t len,
                      answer *a)
{
    return ask(
        store,
        &(bvi_store_request){
            .verb = BVI_STORE_READ, .key = key, .offset = offset, .into = into, .into_len = len },
        a);
}

START_TEST(reads)
{
    static const char *const ways[] = { "plain", "slow" };
    size_t len = 900000;
    uint8_t *into = calloc(1, len);
    bv_ctx *ctx;
    bvi_store *store;
    size_t size = 0;
    char *object;
    answer a;

    HAVE_SERVER();
    ctx = make_ctx(0);
    store = open_store(ctx, "BVT_NGINX_URL", ways[_i], NULL);
    make_file(getenv("BVT_NGINX_ROOT"), bvt_format("reads/packs/%d", _i), 1000000, 1);
    object = bvt_read_file(bvt_format("%s/reads/packs/%d", getenv("BVT_NGINX_ROOT"), _i), &size);
    for (int i = 0; i < 20; i++) { /* over one connection */
        ck_assert_msg(read_range(store, bvt_format("reads/packs/%d", _i), 50 * (uint64_t)i, into,
                                 1000, &a) == 0,
                      "%s", a.text);
        ck_assert(memcmp(into, object + 50 * i, 1000) == 0);
    }
    ck_assert_msg(read_range(store, bvt_format("reads/packs/%d", _i), 100000, into, len, &a) == 0,
                  "%s", a.text);
    ck_assert(memcmp(into, object + 100000, len) == 0);
    ck_assert_int_eq(read_range(store, bvt_format("reads/packs/%d", _i), 100001, into, len, &a),
                     BV_E_CHECKSUM);
    ck_assert_int_eq(read_range(store, bvt_format("reads/packs/%d", _i), 1000000, into, 1, &a),
                     BV_E_CHECKSUM);
    ck_assert_int_eq(read_range(store, "reads/packs/none", 0, into, 1, &a), BV_E_NOT_FOUND);
    ck_assert_msg(read_range(store, "reads/packs/none", 0, into, 0, &a) == 0, "%s", a.text);
    free(into);
    bvi_store_free(store);
    bv_ctx_free(ctx);
}
END_TEST

static const char root_text[] =
    "{\"format\": \"blockvisor-snapshot\", \"plain_bytes\": 70, \"stored_bytes\": 35,"
    " \"chunks\": 3, \"created_us\": 1790000000000000, \"pages\": []}";

static const struct {
    const char *way;
    bool latest;
    size_t n;
    uint64_t first;
} ways[] = {
    { "listed", false, 4, 3 },
    { "json", false, 4, 3 },
    { "plain", false, 1, 3 }, /* the others are too far away */
    { "plain", true, 3, 20 }, /* and now the first one is */
};

START_TEST(finds_versions)
{
    bvi_store_request versions = { .verb = BVI_STORE_VERSIONS };
    bvi_store_request list = { .verb = BVI_STORE_LIST };
    const char *key = bvt_format("versions-%d", _i);
    bvi_store *dir, *store;
    bv_ctx *ctx;
    answer a;

    HAVE_SERVER();
    ctx = make_ctx(0);
    dir = behind(ctx);
    store = open_store(ctx, "BVT_NGINX_URL", ways[_i].way, NULL);
    versions.store_key = list.store_key = key;
    ck_assert_int_eq(put(dir, bvt_format("%s/3/manifest-body.json", key), "{}", false, &a), 0);
    ck_assert_int_eq(put(dir, bvt_format("%s/3/manifest-header.json", key),
                         "{\"total_size\":7,\"compression\":{\"ZSTD\":3},\"chunks\":1}", false, &a),
                     0);
    for (int v = 20; v <= 22; v++)
        ck_assert_int_eq(put(dir, bvt_format("%s/%d/snapshot.json", key, v), root_text, false, &a),
                         0);
    ck_assert_int_eq(put(dir, bvt_format("%s/23/.lock", key), "x", false, &a), 0);
    if (ways[_i].latest)
        ck_assert_int_eq(
            put(dir, bvt_format("%s/latest.json", key), "{\"version\": 21}", false, &a), 0);
    ck_assert_msg(ask(store, &versions, &a) == 0, "%s", a.text);
    ck_assert_uint_eq(a.n_versions, ways[_i].n);
    ck_assert_uint_eq(a.versions[0], ways[_i].first);
    ck_assert_msg(ask(store, &list, &a) == 0, "%s", a.text);
    ck_assert_uint_eq(a.n_infos, ways[_i].n);
    ck_assert_uint_eq(a.infos[0].total_bytes, ways[_i].first == 3 ? 7 : 70);
    versions.format = BVI_STORE_SNAPSHOT;
    ck_assert_msg(ask(store, &versions, &a) == 0, "%s", a.text);
    ck_assert_uint_eq(a.n_versions, ways[_i].n == 1 ? 0 : 3);
    bvi_store_free(dir);
    bvi_store_free(store);
    bv_ctx_free(ctx);
}
END_TEST

START_TEST(writes_where_it_may)
{
    bvi_store *store, *plain;
    bv_ctx *ctx;
    answer a;

    HAVE_SERVER();
    ctx = make_ctx(0);
    store = open_store(ctx, "BVT_NGINX_URL", "dav", NULL);
    plain = open_store(ctx, "BVT_NGINX_URL", "plain", NULL);
    ck_assert_msg(put(store, "dav/1/snapshot.json", root_text, true, &a) == 0, "%s", a.text);
    ck_assert_int_eq(put(store, "dav/1/snapshot.json", "{}", true, &a), BV_E_EXISTS);
    ck_assert_int_eq(put(plain, "dav/1/x", "x", false, &a), BV_E_UNSUPPORTED);
    ck_assert_msg(ask(store,
                      &(bvi_store_request){
                          .verb = BVI_STORE_RESERVE, .store_key = "dav", .lease = "lease-a" },
                      &a) == 0,
                  "%s", a.text);
    ck_assert_uint_eq(a.version, 2);
    for (int i = 0; i < 2; i++)
        ck_assert_msg(
            ask(store,
                &(bvi_store_request){ .verb = BVI_STORE_REMOVE, .key = "dav/1/snapshot.json" },
                &a) == 0,
            "%s", a.text);
    ck_assert_int_eq(
        ask(store, &(bvi_store_request){ .verb = BVI_STORE_STAT, .key = "dav/1/snapshot.json" },
            &a),
        BV_E_NOT_FOUND);
    ck_assert_int_eq(
        ask(store, &(bvi_store_request){ .verb = BVI_STORE_OBJECTS, .key = "dav/" }, &a),
        BV_E_UNSUPPORTED);
    ck_assert_int_eq(
        ask(store, &(bvi_store_request){ .verb = BVI_STORE_LEASES, .store_key = "dav" }, &a),
        BV_E_UNSUPPORTED);
    bvi_store_free(store);
    bvi_store_free(plain);
    bv_ctx_free(ctx);
}
END_TEST

START_TEST(speaks_tls)
{
    bvi_store *dir, *store, *stranger;
    char into[8] = "";
    bv_ctx *ctx;
    answer a;

    HAVE_SERVER();
    ctx = make_ctx(0);
    dir = behind(ctx);
    store = open_store(ctx, "BVT_NGINX_TLS_URL", "plain", getenv("BVT_NGINX_CA"));
    stranger = open_store(ctx, "BVT_NGINX_TLS_URL", "plain", NULL);
    ck_assert_int_eq(put(dir, "tls/x", "012345", false, &a), 0);
    ck_assert_msg(read_range(store, "tls/x", 2, into, 3, &a) == 0, "%s", a.text);
    ck_assert_str_eq(into, "234");
    ck_assert_int_eq(read_range(stranger, "tls/x", 2, into, 3, &a), BV_E_DENIED);
    bvi_store_free(dir);
    bvi_store_free(store);
    bvi_store_free(stranger);
    bv_ctx_free(ctx);
}
END_TEST

static const struct {
    int format;
    bool down; /* the first place is: everything comes from the mirrors */
} downloads[] = {
    { BV_FORMAT_SNAPSHOT, false },
    { BV_FORMAT_SNAPSHOT, true },
    { BV_FORMAT_ARCHIVE, false },
};

START_TEST(data_comes_from_there)
{
    const char *mirrors[] = { bvt_format("%s/plain", getenv("BVT_NGINX_URL")),
                              bvt_format("%s/listed", getenv("BVT_NGINX_URL")), NULL };
    bv_upload_opts up = BV_UPLOAD_OPTS_INIT;
    bv_download_opts down = BV_DOWNLOAD_OPTS_INIT;
    outcome o = { 0 };

    HAVE_SERVER();
    up.store = bvt_format("dir:%s", getenv("BVT_NGINX_ROOT"));
    down.store = downloads[_i].down ? "http://127.0.0.1:9/nobody" : mirrors[0];
    down.mirrors = downloads[_i].down ? mirrors : NULL;
    up.key = down.key = bvt_format("there-%d", _i);
    up.source_dir = bvt_path("source");
    up.format = down.format = downloads[_i].format;
    down.dest_dir = bvt_path("dest");
    make_mixed_tree(bvt_path("source"), 20u << 20);
    ck_assert_msg(run_upload(2, &up, &o) == 0, "%s", o.text);
    ck_assert_msg(run_download(2, &down, &o) == 0, "%s", o.text);
    assert_same_tree(bvt_path("source"), bvt_path("dest"));
}
END_TEST

BVT_MAIN("transfer/nginx", bvt_times(reads, 2), bvt_loop(finds_versions, ways),
         bvt_test(writes_where_it_may), bvt_test(speaks_tls),
         bvt_loop(data_comes_from_there, downloads))
