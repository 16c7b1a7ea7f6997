/* The S3 store against a real server, which with_s3.py starts. Each test has a prefix of its own.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/id.h"
#include "snapshot/prune.h"
#include "support.h"
#include "transfer/store_s3_impl.h"

#define HAVE_SERVER()                                                                              \
    do {                                                                                           \
        if (!getenv("BVT_S3_ENDPOINT"))                                                            \
            bvt_skip("there is no S3 server: tools/install-packages test");                        \
    } while (0)

typedef struct answer {
    bool done;
    int code;
    char text[1000];
    uint64_t version;
    uint64_t size;
    uint64_t versions[50];
    size_t n_versions;
    bvi_snapshot_info infos[50];
    size_t n_infos;
    char *bytes;
    size_t len;
    size_t n_objects;
    char last_key[64];
    bool more;
    size_t n_leases;
    bvi_store_lease lease; /* the last one */
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
    a->version = reply->version;
    a->size = reply->size;
    ck_assert_uint_le(reply->n_versions, 50);
    ck_assert_uint_le(reply->n_infos, 50);
    a->n_versions = reply->n_versions;
    for (size_t i = 0; i < reply->n_versions; i++)
        a->versions[i] = reply->versions[i];
    a->n_infos = reply->n_infos;
    for (size_t i = 0; i < reply->n_infos; i++)
        a->infos[i] = reply->infos[i];
    a->n_objects = reply->n_objects;
    a->more = reply->more;
    if (reply->n_objects)
        (void)snprintf(a->last_key, sizeof(a->last_key), "%s",
                       reply->objects[reply->n_objects - 1].key);
    a->n_leases = reply->n_leases;
    if (reply->n_leases)
        a->lease = reply->leases[reply->n_leases - 1];
    if (reply->bytes) {
        a->bytes = malloc(reply->len + 1);
        memcpy(a->bytes, reply->bytes, reply->len);
        a->bytes[reply->len] = '\0';
        a->len = reply->len;
    }
}

static void wait_answer(bv_ctx *ctx, answer *a)
{
    while (!a->done)
        ck_assert_int_gt(bv_ctx_dispatch(ctx, 60000), 0);
}

static int ask(bvi_store *store, const bvi_store_request *request, answer *a)
{
    bv_error *err = NULL;
    int r;

    free(a->bytes);
    *a = (answer){ 0 };
    r = bvi_store_call(store, request, on_answer, a, &err);
    if (r < 0) {
        (void)bv_error_format(err, a->text, sizeof(a->text));
        bv_error_free(err);
        return r;
    }
    ck_assert(!a->done); /* never from inside the call */
    wait_answer(store->ctx, a);
    return a->code;
}

static const char *uri(void)
{
    static char id[BVI_ID_TEXT_SIZE];

    if (!*id)
        ck_assert_int_eq(bvi_id_new(id, NULL), 0);
    return bvt_format("s3://%s/%s/deep?endpoint=%s", getenv("BVT_S3_BUCKET"), id,
                      getenv("BVT_S3_ENDPOINT"));
}

static bvi_store *open_store(bv_ctx *ctx, const char *text)
{
    bvi_store *store = NULL;
    bv_error *err = NULL;

    bvt_assert_ok(bvi_store_open(ctx, text, &store, &err), err);
    return store;
}

static int put(bvi_store *store, const char *key, const char *bytes, size_t len, answer *a)
{
    return ask(
        store,
        &(bvi_store_request){ .verb = BVI_STORE_PUT, .key = key, .bytes = bytes, .len = len }, a);
}

static int get(bvi_store *store, const char *key, size_t max, answer *a)
{
    return ask(store, &(bvi_store_request){ .verb = BVI_STORE_GET, .key = key, .max = max }, a);
}

static int stat_size(bvi_store *store, const char *key, answer *a)
{
    return ask(store, &(bvi_store_request){ .verb = BVI_STORE_STAT, .key = key }, a);
}

static int reserve(bvi_store *store, uint64_t version, const char *lease, answer *a)
{
    return ask(store,
               &(bvi_store_request){ .verb = BVI_STORE_RESERVE,
                                     .store_key = "Some-Key",
                                     .version = version,
                                     .lease = lease },
               a);
}

static void complete_version(bvi_store *store, uint64_t version)
{
    static const char header[] = "{\"total_size\":7,\"compression\":{\"ZSTD\":3},\"chunks\":1}";
    answer a = { 0 };
    static const char *const names[] = { "data.part_0", "manifest-body.json",
                                         "manifest-header.json" };

    for (size_t i = 0; i < 3; i++) {
        const char *key = bvt_format("some-key/%llu/%s", (unsigned long long)version, names[i]);

        ck_assert_msg(put(store, key, header, sizeof(header) - 1, &a) == 0, "%s", a.text);
    }
    free(a.bytes);
}

START_TEST(objects)
{
    bv_ctx *ctx;
    bvi_store *store;
    answer a = { 0 };

    HAVE_SERVER();
    ctx = make_ctx(0);
    store = open_store(ctx, uri());
    ck_assert_int_eq(get(store, "k/1/odd name+&%", 100, &a), BV_E_NOT_FOUND);
    ck_assert_int_eq(stat_size(store, "k/1/odd name+&%", &a), BV_E_NOT_FOUND);
    ck_assert_msg(put(store, "k/1/odd name+&%", "hello", 5, &a) == 0, "%s", a.text);
    ck_assert_msg(get(store, "k/1/odd name+&%", 100, &a) == 0, "%s", a.text);
    ck_assert_str_eq(a.bytes, "hello");
    ck_assert_msg(stat_size(store, "k/1/odd name+&%", &a) == 0, "%s", a.text);
    ck_assert_uint_eq(a.size, 5);
    ck_assert_int_eq(get(store, "k/1/odd name+&%", 4, &a), BV_E_LIMIT);
    ck_assert_msg(put(store, "k/1/empty", "", 0, &a) == 0, "%s", a.text);
    ck_assert_int_eq(get(store, "../k", 4, &a), BV_E_FORMAT);
    free(a.bytes);
    bvi_store_free(store);
    bv_ctx_free(ctx);
}
END_TEST

START_TEST(a_large_object_goes_in_parts)
{
    size_t len = 2 * BVI_S3_PART_BYTES + 12345;
    bv_ctx *ctx;
    bvi_store *store;
    char *bytes;
    answer a = { 0 };

    HAVE_SERVER();
    ctx = make_ctx(0);
    store = open_store(ctx, uri());
    bytes = malloc(len);
    for (size_t i = 0; i < len; i++)
        bytes[i] = (char)(i * 2654435761u >> 13);
    ck_assert_msg(put(store, "k/1/big", bytes, len, &a) == 0, "%s", a.text);
    ck_assert_msg(get(store, "k/1/big", len, &a) == 0, "%s", a.text);
    ck_assert(a.len == len && memcmp(a.bytes, bytes, len) == 0);
    free(a.bytes);
    a = (answer){ 0 }; /* cancelled, it leaves nothing */
    ck_assert_int_eq(
        bvi_store_call(store,
                       &(bvi_store_request){
                           .verb = BVI_STORE_PUT, .key = "k/1/other", .bytes = bytes, .len = len },
                       on_answer, &a, NULL),
        0);
    for (int i = 0; i < 20 && !a.done; i++)
        (void)bv_ctx_dispatch(ctx, 10);
    store->vtable->cancel(store);
    wait_answer(ctx, &a);
    if (a.code != 0) {
        ck_assert_int_eq(a.code, BV_E_CANCELLED);
        ck_assert_int_eq(stat_size(store, "k/1/other", &a), BV_E_NOT_FOUND);
    }
    free(bytes);
    free(a.bytes);
    bvi_store_free(store);
    bv_ctx_free(ctx);
}
END_TEST

/* With what the server offers, and as if it did not know conditions. */
START_TEST(reservations)
{
    bv_ctx *ctx;
    bvi_store *mine, *other;
    answer a = { 0 };

    HAVE_SERVER();
    ctx = make_ctx(0);
    mine = open_store(ctx, uri());
    other = open_store(ctx, uri());
    if (_i == 1)
        ((bvi_store_s3 *)mine)->conditional = ((bvi_store_s3 *)other)->conditional = BVI_S3_MISSING;
    complete_version(mine, 9);
    complete_version(mine, 10);
    ck_assert_msg(reserve(mine, 0, "lease-a", &a) == 0, "%s", a.text);
    ck_assert_uint_eq(a.version, 11); /* the highest complete one and one more */
    ck_assert_int_ne(((bvi_store_s3 *)mine)->conditional, BVI_S3_UNKNOWN);
    ck_assert_msg(reserve(mine, 0, "lease-a", &a) == 0, "%s", a.text);
    ck_assert_uint_eq(a.version, 11); /* ours from before */
    ck_assert_msg(reserve(mine, 11, "lease-a", &a) == 0, "%s", a.text);
    ck_assert_msg(reserve(other, 0, "lease-b", &a) == 0, "%s", a.text);
    ck_assert_uint_eq(a.version, 12);
    ck_assert_int_eq(reserve(other, 11, "lease-b", &a), BV_E_BUSY);
    ck_assert_int_eq(reserve(other, 10, "lease-b", &a), BV_E_EXISTS);
    ck_assert_msg(reserve(other, 12, NULL, &a) == 0, "%s", a.text);
    complete_version(mine, 11);
    ck_assert_int_eq(ask(mine,
                         &(bvi_store_request){
                             .verb = BVI_STORE_RELEASE, .store_key = "some-key", .version = 11 },
                         &a),
                     0);
    ck_assert_int_eq(stat_size(mine, "some-key/11/.lock", &a), BV_E_NOT_FOUND);
    ck_assert_int_eq(reserve(mine, 11, "lease-a", &a), BV_E_EXISTS);
    ck_assert_int_eq(reserve(mine, 0, "UPPER", &a), BV_E_INVALID);
    free(a.bytes);
    bvi_store_free(mine);
    bvi_store_free(other);
    bv_ctx_free(ctx);
}
END_TEST

START_TEST(rivals_never_share_a_version)
{
    enum { RIVALS = 6 };
    bvi_store *stores[RIVALS];
    answer answers[RIVALS] = { { 0 } };
    bv_ctx *ctx;

    HAVE_SERVER();
    ctx = make_ctx(0);
    for (int i = 0; i < RIVALS; i++) {
        const char *lease = bvt_format("rival-%d", i);

        stores[i] = open_store(ctx, uri());
        if (_i == 1)
            ((bvi_store_s3 *)stores[i])->conditional = BVI_S3_MISSING;
        ck_assert_int_eq(bvi_store_call(stores[i],
                                        &(bvi_store_request){ .verb = BVI_STORE_RESERVE,
                                                              .store_key = "some-key",
                                                              .lease = lease },
                                        on_answer, &answers[i], NULL),
                         0);
    }
    for (int i = 0; i < RIVALS; i++)
        wait_answer(ctx, &answers[i]);
    for (int i = 0; i < RIVALS; i++) {
        ck_assert_msg(answers[i].code == 0, "%s", answers[i].text);
        for (int j = 0; j < i; j++)
            ck_assert_uint_ne(answers[i].version, answers[j].version);
        bvi_store_free(stores[i]);
    }
    bv_ctx_free(ctx);
}
END_TEST

START_TEST(listing_and_pruning)
{
    bv_ctx *ctx;
    bvi_store *store;
    answer a = { 0 };
    bvi_store_request versions = { .verb = BVI_STORE_VERSIONS, .store_key = "Some-Key" };
    bvi_store_request list = { .verb = BVI_STORE_LIST };
    bvi_store_request prune = { .verb = BVI_STORE_PRUNE, .max_age_secs = 3600 };

    HAVE_SERVER();
    ctx = make_ctx(0);
    store = open_store(ctx, uri());
    ck_assert_msg(ask(store, &list, &a) == 0, "%s", a.text);
    ck_assert_uint_eq(a.n_infos, 0);
    complete_version(store, 10);
    complete_version(store, 2);
    ck_assert_int_eq(put(store, "some-key/3/.lock", "x", 1, &a), 0);
    ck_assert_int_eq(put(store, "some-key/3/data.part_0", "x", 1, &a), 0);
    ck_assert_int_eq(put(store, "some-key/3/manifest-body.json", "x", 1, &a), 0);
    ck_assert_int_eq(put(store, "some-key/no/version", "x", 1, &a), 0);
    ck_assert_msg(ask(store, &versions, &a) == 0, "%s", a.text);
    ck_assert_uint_eq(a.n_versions, 2);
    ck_assert_uint_eq(a.versions[0], 2);
    ck_assert_uint_eq(a.versions[1], 10);
    ck_assert_msg(ask(store, &list, &a) == 0, "%s", a.text);
    ck_assert_uint_eq(a.n_infos, 2);
    ck_assert_str_eq(a.infos[1].key, "some-key");
    ck_assert_uint_eq(a.infos[1].version, 10);
    ck_assert_uint_eq(a.infos[1].total_bytes, 7);
    ck_assert_uint_gt(a.infos[1].stored_bytes, 0);
    ck_assert_int_gt(a.infos[1].created_us, 0);
    ck_assert_msg(ask(store, &prune, &a) == 0, "%s", a.text);
    ck_assert_uint_eq(a.size, 0); /* too young */
    prune.max_age_secs = 0;
    ck_assert_msg(ask(store, &prune, &a) == 0, "%s", a.text);
    ck_assert_uint_eq(a.size, 1);
    ck_assert_int_eq(stat_size(store, "some-key/3/.lock", &a), BV_E_NOT_FOUND);
    ck_assert_int_eq(stat_size(store, "some-key/3/data.part_0", &a), BV_E_NOT_FOUND);
    ck_assert_int_eq(stat_size(store, "some-key/10/data.part_0", &a), 0);
    free(a.bytes);
    bvi_store_free(store);
    bv_ctx_free(ctx);
}
END_TEST

START_TEST(archives_go_there_and_back)
{
    bv_upload_opts up = BV_UPLOAD_OPTS_INIT;
    bv_download_opts down = BV_DOWNLOAD_OPTS_INIT;
    bv_verify_opts verify = BV_VERIFY_OPTS_INIT;
    outcome o = { 0 };

    HAVE_SERVER();
    up.store = down.store = verify.store = uri();
    up.key = down.key = verify.key = "chain-data";
    up.source_dir = bvt_path("source");
    up.number_of_chunks = 5;
    down.dest_dir = bvt_path("dest");
    make_mixed_tree(bvt_path("source"), 20u << 20);
    ck_assert_msg(run_upload(2, &up, &o) == 0, "%s", o.text);
    ck_assert_uint_eq(o.status.data_version, 1);
    make_text(bvt_path("source"), "more", "more");
    ck_assert_msg(run_upload(2, &up, &o) == 0, "%s", o.text);
    ck_assert_uint_eq(o.status.data_version, 2);
    up.data_version = 1;
    ck_assert_int_eq(run_upload(2, &up, &o), BV_E_EXISTS);
    o.cancel_at = 1u << 20;
    (void)run_download(2, &down, &o); /* it may have been faster */
    o.cancel_at = 0;
    ck_assert_msg(run_download(2, &down, &o) == 0, "%s", o.text);
    assert_same_tree(bvt_path("source"), bvt_path("dest"));
    ck_assert_msg(run_verify(2, &verify, &o) == 0, "%s", o.text);
}
END_TEST

START_TEST(refusals_are_clear_and_hide_keys)
{
    static const char secret[] = "this-is-not-the-secret";
    bv_ctx *ctx;
    bvi_store *store;
    answer a = { 0 };

    HAVE_SERVER();
    ctx = make_ctx(0);
    store = open_store(
        ctx, bvt_format("s3://no-such-bucket-here?endpoint=%s", getenv("BVT_S3_ENDPOINT")));
    ck_assert_int_ne(get(store, "k", 10, &a), 0);
    ck_assert_msg(strstr(a.text, "there is no such bucket"), "%s", a.text);
    bvi_store_free(store);
    ck_assert_int_eq(setenv("AWS_SECRET_ACCESS_KEY", secret, 1), 0);
    store = open_store(ctx, uri());
    ck_assert_int_eq(get(store, "k", 10, &a), BV_E_DENIED);
    ck_assert_msg(strstr(a.text, "does not belong to the access key"), "%s", a.text);
    ck_assert(!strstr(a.text, secret) && !strstr(a.text, "Signature="));
    free(a.bytes);
    bvi_store_free(store);
    bv_ctx_free(ctx);
}
END_TEST

static const char root_text[] =
    "{\"format\": \"blockvisor-snapshot\", \"plain_bytes\": 70, \"stored_bytes\": 35,"
    " \"chunks\": 3, \"created_us\": 1790000000000000, \"pages\": []}";

/* Ranges, new objects, listings and removal; and what looks for versions passes over packs. */
static void check_verbs(bv_ctx *ctx, const char *where)
{
    bvi_store *store = open_store(ctx, where);
    char into[8] = "";
    bvi_store_request read = {
        .verb = BVI_STORE_READ, .key = "k/packs/aa/1", .offset = 2, .into = into, .into_len = 3
    };
    bvi_store_request list = { .verb = BVI_STORE_OBJECTS, .key = "k/packs/", .max = 2 };
    bvi_store_request root = { .verb = BVI_STORE_PUT,
                               .key = "k/7/snapshot.json",
                               .bytes = root_text,
                               .len = strlen(root_text),
                               .create_only = true };
    answer a = { 0 };

    ck_assert_msg(put(store, "k/packs/aa/1", "012345", 6, &a) == 0, "%s", a.text);
    ck_assert_msg(ask(store, &read, &a) == 0, "%s", a.text);
    ck_assert_str_eq(into, "234");
    read.offset = 4;
    ck_assert_int_eq(ask(store, &read, &a), BV_E_CHECKSUM);
    read.offset = 100;
    ck_assert_int_eq(ask(store, &read, &a), BV_E_CHECKSUM);
    read.key = "k/packs/aa/none";
    ck_assert_int_eq(ask(store, &read, &a), BV_E_NOT_FOUND);
    ck_assert_msg(ask(store, &root, &a) == 0, "%s", a.text);
    ck_assert_int_eq(ask(store, &root, &a), BV_E_EXISTS);
    ck_assert_msg(put(store, "k/packs/bb/2", "2", 1, &a) == 0, "%s", a.text);
    ck_assert_msg(put(store, "k/packs/bb/3", "3", 1, &a) == 0, "%s", a.text);
    ck_assert_msg(put(store, "z/9/snapshot.json", root_text, strlen(root_text), &a) == 0, "%s",
                  a.text);
    ck_assert_msg(ask(store, &list, &a) == 0, "%s", a.text);
    ck_assert_uint_eq(a.n_objects, 2);
    ck_assert(a.more);
    ck_assert_str_eq(a.last_key, "k/packs/bb/2");
    list.after = "k/packs/bb/2";
    ck_assert_msg(ask(store, &list, &a) == 0, "%s", a.text);
    ck_assert_uint_eq(a.n_objects, 1);
    ck_assert(!a.more);
    ck_assert_str_eq(a.last_key, "k/packs/bb/3");
    ck_assert_msg(ask(store, &(bvi_store_request){ .verb = BVI_STORE_LIST }, &a) == 0, "%s",
                  a.text);
    ck_assert_uint_eq(a.n_infos, 2);
    ck_assert_int_eq(a.infos[0].format, BVI_STORE_SNAPSHOT);
    ck_assert_uint_eq(a.infos[0].version, 7);
    ck_assert_uint_eq(a.infos[0].total_bytes, 70);
    ck_assert_str_eq(a.infos[1].key, "z");
    for (int i = 0; i < 2; i++)
        ck_assert_msg(ask(store,
                          &(bvi_store_request){ .verb = BVI_STORE_REMOVE, .key = "k/packs/bb/3" },
                          &a) == 0,
                      "%s", a.text);
    ck_assert_int_eq(stat_size(store, "k/packs/bb/3", &a), BV_E_NOT_FOUND);
    free(a.bytes);
    bvi_store_free(store);
}

START_TEST(verbs)
{
    bv_ctx *ctx;

    HAVE_SERVER();
    ctx = make_ctx(0);
    check_verbs(ctx, uri());
    bv_ctx_free(ctx);
}
END_TEST

/* The bucket in the name of the host, TLS, and a certificate that only we trust. */
START_TEST(verbs_by_tls_and_name_of_host)
{
    bvi_store *stranger = NULL;
    answer a = { 0 };
    bv_ctx *ctx;
    const char *where;

    HAVE_SERVER();
    if (!getenv("BVT_S3_TLS_ENDPOINT"))
        bvt_skip("there is no nginx or openssl: tools/install-packages test");
    ctx = make_ctx(0);
    where = bvt_format("s3://%s/tls-%d?style=host&endpoint=%s", getenv("BVT_S3_BUCKET"),
                       (int)getpid(), getenv("BVT_S3_TLS_ENDPOINT"));
    check_verbs(ctx, bvt_format("%s&ca=%s", where, getenv("BVT_S3_CA")));
    stranger = open_store(ctx, where);
    ck_assert_int_eq(get(stranger, "k/packs/aa/1", 100, &a), BV_E_DENIED); /* whose is it? */
    bvi_store_free(stranger);
    bv_ctx_free(ctx);
}
END_TEST

START_TEST(leases_name_their_base)
{
    const bvi_store_request leases = { .verb = BVI_STORE_LEASES, .store_key = "some-key" };
    bvi_store_request on_base = {
        .verb = BVI_STORE_RESERVE, .store_key = "some-key", .base = 3, .lease = "lease-a"
    };
    bv_ctx *ctx;
    bvi_store *store;
    int64_t started;
    answer a = { 0 };

    HAVE_SERVER();
    ctx = make_ctx(0);
    store = open_store(ctx, uri());
    ck_assert_msg(ask(store, &on_base, &a) == 0, "%s", a.text);
    ck_assert_msg(ask(store, &leases, &a) == 0, "%s", a.text);
    ck_assert_uint_eq(a.n_leases, 1);
    ck_assert_uint_eq(a.lease.base, 3);
    started = a.lease.started_us;
    on_base.version = a.lease.version;
    on_base.base = 0;
    ck_assert_msg(ask(store, &on_base, &a) == 0, "%s", a.text); /* a sign of life */
    ck_assert_msg(ask(store, &leases, &a) == 0, "%s", a.text);
    ck_assert_uint_eq(a.lease.base, 3);
    ck_assert_int_eq(a.lease.started_us, started);
    free(a.bytes);
    bvi_store_free(store);
    bv_ctx_free(ctx);
}
END_TEST

/* Parts of an upload that died are gone after a prune: the server refuses to go on with them. */
START_TEST(abandoned_parts_are_aborted)
{
    size_t len = BVI_S3_PART_BYTES + 1;
    char *bytes = calloc(1, len);
    bv_ctx *ctx;
    bvi_store *store;
    answer a = { 0 };

    HAVE_SERVER();
    ctx = make_ctx(0);
    store = open_store(ctx, uri());
    ck_assert_int_eq(
        bvi_store_call(store,
                       &(bvi_store_request){
                           .verb = BVI_STORE_PUT, .key = "k/1/big", .bytes = bytes, .len = len },
                       on_answer, &a, NULL),
        0);
    for (int i = 0; i < 2000 && !((bvi_s3_call *)((bvi_store_s3 *)store)->web.calls)->upload_id;
         i++)
        (void)bv_ctx_dispatch(ctx, 10);
    ck_assert(!a.done);
    {
        bvi_store *other = open_store(ctx, uri());
        answer pruned = { 0 };

        ck_assert_msg(ask(other, &(bvi_store_request){ .verb = BVI_STORE_PRUNE }, &pruned) == 0,
                      "%s", pruned.text);
        bvi_store_free(other);
    }
    wait_answer(ctx, &a);
    ck_assert_int_ne(a.code, 0);
    ck_assert_msg(strstr(a.text, "NoSuchUpload") != NULL, "%s", a.text);
    free(bytes);
    bvi_store_free(store);
    bv_ctx_free(ctx);
}
END_TEST

static void on_pruned(bv_op *op, const bv_error *err, const bvi_snap_prune_report *report,
                      void *data)
{
    answer *a = data;

    (void)op;
    a->done = true;
    a->code = bv_error_code(err);
    (void)bv_error_format(err, a->text, sizeof(a->text));
    a->size = report->packs_removed;
    a->version = report->versions_removed;
}

START_TEST(snapshots_go_there_and_back_and_are_pruned)
{
    bv_upload_opts up = BV_UPLOAD_OPTS_INIT;
    bv_download_opts down = BV_DOWNLOAD_OPTS_INIT;
    bvi_snap_prune_opts opts = { .store_key = "chain-data", .keep_last = 1 };
    answer a = { 0 };
    outcome o = { 0 };
    bv_ctx *ctx;

    HAVE_SERVER();
    up.store = down.store = uri();
    up.key = down.key = "chain-data";
    up.source_dir = bvt_path("source");
    up.format = down.format = BV_FORMAT_SNAPSHOT;
    down.dest_dir = bvt_path("dest");
    make_mixed_tree(bvt_path("source"), 12u << 20);
    ck_assert_msg(run_upload(2, &up, &o) == 0, "%s", o.text);
    make_file(bvt_path("source"), "chain/big.mdb", 9u << 20, 77);
    ck_assert_msg(run_upload(2, &up, &o) == 0, "%s", o.text);
    ck_assert_uint_eq(o.status.data_version, 2);
    (void)sleep(2); /* the server's clock has seconds; only older packs go */
    ctx = make_ctx(0);
    opts.store = open_store(ctx, uri());
    ck_assert_int_eq(bvi_snap_prune_start(ctx, &opts, on_pruned, &a, NULL, NULL), 0);
    wait_answer(ctx, &a);
    ck_assert_msg(a.code == 0, "%s", a.text);
    ck_assert_uint_eq(a.version, 1);
    ck_assert_uint_gt(a.size, 0);
    bvi_store_free(opts.store);
    bv_ctx_free(ctx);
    ck_assert_msg(run_download(2, &down, &o) == 0, "%s", o.text);
    assert_same_tree(bvt_path("source"), bvt_path("dest"));
}
END_TEST

BVT_MAIN("transfer/s3", bvt_test(verbs), bvt_test(verbs_by_tls_and_name_of_host),
         bvt_test(leases_name_their_base), bvt_test(abandoned_parts_are_aborted),
         bvt_test(snapshots_go_there_and_back_and_are_pruned), bvt_test(objects),
         bvt_test(a_large_object_goes_in_parts), bvt_times(reservations, 2),
         bvt_times(rivals_never_share_a_version, 2), bvt_test(listing_and_pruning),
         bvt_test(archives_go_there_and_back), bvt_test(refusals_are_clear_and_hide_keys))
