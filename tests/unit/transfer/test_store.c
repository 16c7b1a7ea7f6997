/* The directory store: reservations under concurrency and kills, visibility, listing, pruning. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support.h"
#include "transfer/store.h"

typedef struct answer {
    bool done;
    int code;
    char text[500];
    uint64_t version;
    uint64_t size;
    uint64_t versions[50];
    size_t n_versions;
    bvi_snapshot_info infos[50];
    size_t n_infos;
    char bytes[100];
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
    a->n_versions = reply->n_versions;
    if (reply->n_versions)
        memcpy(a->versions, reply->versions, reply->n_versions * sizeof(uint64_t));
    a->n_infos = reply->n_infos;
    if (reply->n_infos)
        memcpy(a->infos, reply->infos, reply->n_infos * sizeof(bvi_snapshot_info));
    if (reply->bytes && reply->len < sizeof(a->bytes))
        memcpy(a->bytes, reply->bytes, reply->len + 1);
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
        return r;
    }
    ck_assert(!a->done); /* never from inside the call */
    while (!a->done)
        ck_assert_int_gt(bv_ctx_dispatch(store->ctx, 10000), 0);
    return a->code;
}

static bvi_store *open_store(bv_ctx *ctx)
{
    bvi_store *store = NULL;
    bv_error *err = NULL;

    bvt_assert_ok(bvi_store_open(ctx, bvt_format("dir:%s", bvt_path("store")), &store, &err), err);
    return store;
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

static void complete_version(uint64_t version)
{
    (void)mkdir(bvt_path("store"), 0755);
    (void)mkdir(bvt_path("store/some-key"), 0755);
    (void)mkdir(bvt_path("store/some-key/%llu", (unsigned long long)version), 0755);
    (void)bvt_write_file(
        bvt_format("store/some-key/%llu/manifest-body.json", (unsigned long long)version),
        "{\"chunks\":[]}");
    (void)bvt_write_file(
        bvt_format("store/some-key/%llu/manifest-header.json", (unsigned long long)version),
        "{\"total_size\":7,\"compression\":{\"ZSTD\":3},\"chunks\":1}");
    (void)bvt_write_file(bvt_format("store/some-key/%llu/data.part_0", (unsigned long long)version),
                         "12345");
}

static void make_old(const char *path)
{
    const struct timeval times[2] = { { .tv_sec = 1000 }, { .tv_sec = 1000 } };

    ck_assert_int_eq(utimes(path, times), 0);
}

START_TEST(reservations)
{
    bv_ctx *ctx = make_ctx(0);
    bvi_store *mine, *other;
    answer a;

    complete_version(4);
    mine = open_store(ctx);
    other = open_store(ctx);
    ck_assert_msg(reserve(mine, 0, "lease-a", &a) == 0, "%s", a.text);
    ck_assert_uint_eq(a.version, 5); /* the highest complete one and one more */
    ck_assert_msg(reserve(mine, 5, "lease-a", &a) == 0, "%s", a.text); /* renewed */
    ck_assert_msg(reserve(other, 0, "lease-b", &a) == 0, "%s", a.text);
    ck_assert_uint_eq(a.version, 6);
    ck_assert_int_eq(reserve(other, 5, "lease-b", &a), BV_E_BUSY);
    ck_assert_int_eq(reserve(other, 4, "lease-b", &a), BV_E_EXISTS);
    ck_assert_msg(reserve(other, 40, "lease-b", &a) == 0, "%s", a.text);
    bvi_store_free(mine); /* as if its process had died */
    mine = open_store(ctx);
    ck_assert_int_eq(reserve(other, 5, "lease-b", &a), BV_E_BUSY);
    ck_assert_ptr_nonnull(strstr(a.text, "reserved by another upload"));
    ck_assert_msg(reserve(mine, 0, "lease-a", &a) == 0, "%s", a.text);
    ck_assert_uint_eq(a.version, 5); /* found again */
    bvi_store_free(mine);
    (void)bvt_write_file("store/some-key/5/data.part_7", "left behind");
    make_old(bvt_path("store/some-key/5/.lock"));
    mine = open_store(ctx);
    ck_assert_msg(reserve(mine, 0, "lease-c", &a) == 0, "%s", a.text);
    ck_assert_uint_eq(a.version, 5); /* the lease had run out */
    ck_assert(!bvt_exists(bvt_path("store/some-key/5/data.part_7")));
    ck_assert_int_eq(
        ask(mine, &(bvi_store_request){ .verb = BVI_STORE_VERSIONS, .store_key = "some-key" }, &a),
        0);
    ck_assert_uint_eq(a.n_versions, 1); /* reservations are invisible */
    ck_assert_uint_eq(a.versions[0], 4);
    bvi_store_free(mine);
    bvi_store_free(other);
    bv_ctx_free(ctx);
}
END_TEST

START_TEST(concurrent_reservations_differ)
{
    enum { PROCESSES = 12 };
    int pipes[2];
    bool seen[PROCESSES + 1] = { false };

    ck_assert_int_eq(pipe(pipes), 0);
    complete_version(1);
    for (int i = 0; i < PROCESSES; i++) {
        if (fork() == 0) {
            bv_ctx *ctx = make_ctx(0);
            bvi_store *store = open_store(ctx);
            uint64_t version = 0;
            answer a;

            if (reserve(store, 0, bvt_format("lease-%d", i), &a) == 0)
                version = a.version;
            (void)!write(pipes[1], &version, sizeof(version));
            _exit(0); /* like a kill: nothing is released */
        }
    }
    for (int i = 0; i < PROCESSES; i++) {
        uint64_t version = 0;

        ck_assert_int_eq(read(pipes[0], &version, sizeof(version)), sizeof(version));
        ck_assert_uint_ge(version, 2);
        ck_assert_uint_le(version, PROCESSES + 1);
        ck_assert(!seen[version - 1]);
        seen[version - 1] = true;
    }
    while (wait(NULL) > 0)
        ;
}
END_TEST

START_TEST(lists_and_prunes)
{
    bv_ctx *ctx = make_ctx(2);
    bvi_store *store;
    answer a;

    complete_version(1);
    complete_version(3);
    store = open_store(ctx);
    ck_assert_msg(reserve(store, 0, "lease", &a) == 0, "%s", a.text);
    (void)mkdir(bvt_path("store/some-key/9"), 0755);
    (void)bvt_write_file("store/some-key/9/data.part_0", "x");
    (void)bvt_write_file("store/some-key/9/.data.part_1.tmp-1", "x");
    (void)mkdir(bvt_path("store/some-key/not-a-version"), 0755);
    (void)mkdir(bvt_path("store/some-key/12"), 0755);
    (void)bvt_write_file("store/some-key/12/manifest-body.json", "{\"chunks\":[]}");
    (void)bvt_write_file("store/some-key/12/manifest-header.json", "damaged");
    ck_assert_int_eq(ask(store, &(bvi_store_request){ .verb = BVI_STORE_LIST }, &a), 0);
    ck_assert_uint_eq(a.n_infos, 2);
    ck_assert_str_eq(a.infos[0].key, "some-key");
    ck_assert_uint_eq(a.infos[1].version, 3);
    ck_assert_uint_eq(a.infos[1].total_bytes, 7);
    ck_assert_uint_eq(a.infos[1].stored_bytes, 5);
    ck_assert_int_eq(a.infos[1].compression.level, 3);
    ck_assert_int_gt(a.infos[1].created_us, 0);
    ck_assert_int_eq(
        ask(store, &(bvi_store_request){ .verb = BVI_STORE_PRUNE, .max_age_secs = 0 }, &a), 0);
    ck_assert_uint_eq(a.size, 1); /* 9; the living reservation and complete versions stay */
    ck_assert(!bvt_exists(bvt_path("store/some-key/9")));
    ck_assert(bvt_exists(bvt_path("store/some-key/4")));
    ck_assert(bvt_exists(bvt_path("store/some-key/3/data.part_0")));
    ck_assert_int_eq(
        ask(store, &(bvi_store_request){ .verb = BVI_STORE_LIST, .store_key = "other" }, &a), 0);
    ck_assert_uint_eq(a.n_infos, 0);
    bvi_store_free(store);
    bv_ctx_free(ctx);
}
END_TEST

START_TEST(objects)
{
    bv_ctx *ctx = make_ctx(0);
    bvi_store *store;
    answer a;

    complete_version(1);
    store = open_store(ctx);
    ck_assert_int_eq(ask(store,
                         &(bvi_store_request){
                             .verb = BVI_STORE_GET, .key = "some-key/1/data.part_0", .max = 50 },
                         &a),
                     0);
    ck_assert_str_eq(a.bytes, "12345");
    ck_assert_int_eq(ask(store,
                         &(bvi_store_request){
                             .verb = BVI_STORE_GET, .key = "some-key/1/data.part_0", .max = 4 },
                         &a),
                     BV_E_LIMIT);
    ck_assert_int_eq(
        ask(store, &(bvi_store_request){ .verb = BVI_STORE_STAT, .key = "some-key/1/data.part_0" },
            &a),
        0);
    ck_assert_uint_eq(a.size, 5);
    ck_assert_int_eq(
        ask(store, &(bvi_store_request){ .verb = BVI_STORE_STAT, .key = "some-key/1/no" }, &a),
        BV_E_NOT_FOUND);
    ck_assert_int_eq(
        ask(store, &(bvi_store_request){ .verb = BVI_STORE_GET, .key = "../x", .max = 4 }, &a),
        BV_E_FORMAT);
    ck_assert_int_eq(
        ask(store,
            &(bvi_store_request){
                .verb = BVI_STORE_PUT, .key = "some-key/1/new", .bytes = "abc", .len = 3 },
            &a),
        0);
    ck_assert_str_eq(bvt_read_file(bvt_path("store/some-key/1/new"), NULL), "abc");
    bvi_store_free(store);
    bv_ctx_free(ctx);
}
END_TEST

BVT_MAIN("transfer/store", bvt_test(reservations), bvt_test(concurrent_reservations_differ),
         bvt_test(lists_and_prunes), bvt_test(objects))
