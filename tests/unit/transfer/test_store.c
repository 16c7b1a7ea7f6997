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
    char keys[50][64];
    uint64_t sizes[50];
    size_t n_objects;
    bool more;
    bvi_store_lease leases[10];
    size_t n_leases;
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
    a->more = reply->more;
    a->n_objects = reply->n_objects;
    for (size_t i = 0; i < reply->n_objects; i++) {
        (void)snprintf(a->keys[i], sizeof(a->keys[i]), "%s", reply->objects[i].key);
        a->sizes[i] = reply->objects[i].size;
        ck_assert_int_gt(reply->objects[i].modified_us, 1000000000000000);
    }
    a->n_leases = reply->n_leases;
    if (reply->n_leases)
        memcpy(a->leases, reply->leases, reply->n_leases * sizeof(a->leases[0]));
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

static const char root_text[] =
    "{\"format\": \"blockvisor-snapshot\", \"format_version\": 1, \"created_us\": 1790000000000000,"
    " \"plain_bytes\": 70, \"stored_bytes\": 35, \"chunks\": 3, \"x\": {\"]\": [\"\\\"}\"]},"
    " \"compression\": {\"codec\": \"zstd\", \"level\": 3}, \"pages\": [{\"hash\": \"cut off";

START_TEST(reads_exactly)
{
    static const struct {
        const char *key;
        uint64_t offset;
        size_t len;
        int code;
        const char *gives;
    } reads[] = {
        { "k/packs/aa/x", 0, 10, 0, "0123456789" },
        { "k/packs/aa/x", 3, 4, 0, "3456" },
        { "k/packs/aa/x", 10, 0, 0, "" },
        { "k/packs/aa/x", 9, 2, BV_E_CHECKSUM, NULL },
        { "k/packs/aa/x", 1000, 1, BV_E_CHECKSUM, NULL },
        { "k/packs/aa/none", 0, 1, BV_E_NOT_FOUND, NULL },
        { "k/packs/aa", 0, 1, BV_E_NOT_FOUND, NULL },
        { "../x", 0, 1, BV_E_FORMAT, NULL },
    };
    bv_ctx *ctx = make_ctx(0);
    bvi_store *store = open_store(ctx);
    answer a;

    ck_assert_msg(put(store, "k/packs/aa/x", "0123456789", false, &a) == 0, "%s", a.text);
    for (size_t i = 0; i < BVI_COUNT(reads); i++) {
        char into[16] = "";

        ck_assert_msg(ask(store,
                          &(bvi_store_request){ .verb = BVI_STORE_READ,
                                                .key = reads[i].key,
                                                .offset = reads[i].offset,
                                                .into = into,
                                                .into_len = reads[i].len },
                          &a) == reads[i].code,
                      "%zu: %d %s", i, a.code, a.text);
        if (reads[i].gives)
            ck_assert_str_eq(into, reads[i].gives);
    }
    bvi_store_free(store);
    bv_ctx_free(ctx);
}
END_TEST

START_TEST(creates_only_once)
{
    bv_ctx *ctx = make_ctx(0);
    bvi_store *store = open_store(ctx);
    answer a;

    ck_assert_msg(put(store, "k/1/snapshot.json", "one", true, &a) == 0, "%s", a.text);
    ck_assert_int_eq(put(store, "k/1/snapshot.json", "two", true, &a), BV_E_EXISTS);
    ck_assert_str_eq(bvt_read_file(bvt_path("store/k/1/snapshot.json"), NULL), "one");
    ck_assert_msg(put(store, "k/1/snapshot.json", "two", false, &a) == 0, "%s", a.text);
    ck_assert_str_eq(bvt_read_file(bvt_path("store/k/1/snapshot.json"), NULL), "two");
    bvi_store_free(store);
    bv_ctx_free(ctx);
}
END_TEST

static size_t list_objects(bvi_store *store, const char *prefix, const char *after, size_t max,
                           answer *a)
{
    ck_assert_msg(ask(store,
                      &(bvi_store_request){
                          .verb = BVI_STORE_OBJECTS, .key = prefix, .after = after, .max = max },
                      a) == 0,
                  "%s", a->text);
    return a->n_objects;
}

START_TEST(lists_objects_in_order)
{
    static const char *const keys[] = { "k/packs-x",    "k/packs/aa/1", "k/packs/aa/2",
                                        "k/packs/ab/1", "k/packs/b",    "k/z" };
    bv_ctx *ctx = make_ctx(2);
    bvi_store *store = open_store(ctx);
    char after[64] = "";
    answer a;

    for (size_t i = 0; i < BVI_COUNT(keys); i++)
        ck_assert_msg(put(store, keys[BVI_COUNT(keys) - 1 - i], "12", false, &a) == 0, "%s",
                      a.text);
    (void)bvt_write_file("store/k/packs/.left.tmp-1234", "x");
    ck_assert_uint_eq(list_objects(store, "", NULL, 0, &a), BVI_COUNT(keys));
    for (size_t i = 0; i < BVI_COUNT(keys); i++)
        ck_assert_str_eq(a.keys[i], keys[i]);
    ck_assert_uint_eq(a.sizes[0], 2);
    ck_assert(!a.more);
    for (size_t i = 0; i < BVI_COUNT(keys); i++) { /* one by one */
        ck_assert_uint_eq(list_objects(store, "k/", *after ? after : NULL, 1, &a), 1);
        ck_assert_str_eq(a.keys[0], keys[i]);
        ck_assert(a.more == (i + 1 < BVI_COUNT(keys)));
        (void)snprintf(after, sizeof(after), "%s", a.keys[0]);
    }
    ck_assert_uint_eq(list_objects(store, "k/packs/", NULL, 0, &a), 4);
    ck_assert_uint_eq(list_objects(store, "k/packs/a", "k/packs/aa/1", 0, &a), 2);
    ck_assert_uint_eq(list_objects(store, "k/packs", NULL, 0, &a), 5);
    ck_assert_uint_eq(list_objects(store, "k/none/", NULL, 0, &a), 0);
    ck_assert_uint_eq(list_objects(store, "none", NULL, 0, &a), 0);
    for (int i = 0; i < 2; i++) /* and once more: it is no error */
        ck_assert_int_eq(
            ask(store, &(bvi_store_request){ .verb = BVI_STORE_REMOVE, .key = "k/packs/ab/1" }, &a),
            0);
    ck_assert(!bvt_exists(bvt_path("store/k/packs/ab")));
    ck_assert(bvt_exists(bvt_path("store/k/packs/b")));
    bvi_store_free(store);
    bv_ctx_free(ctx);
}
END_TEST

static size_t versions_of(bvi_store *store, bvi_store_format format, answer *a)
{
    ck_assert_msg(ask(store,
                      &(bvi_store_request){
                          .verb = BVI_STORE_VERSIONS, .store_key = "some-key", .format = format },
                      a) == 0,
                  "%s", a->text);
    return a->n_versions;
}

START_TEST(sees_both_formats)
{
    bv_ctx *ctx = make_ctx(0);
    bvi_store *store;
    answer a;

    complete_version(3);
    store = open_store(ctx);
    ck_assert_msg(put(store, "some-key/5/snapshot.json", root_text, true, &a) == 0, "%s", a.text);
    ck_assert_uint_eq(versions_of(store, BVI_STORE_ANY, &a), 2);
    ck_assert_uint_eq(versions_of(store, BVI_STORE_ARCHIVE, &a), 1);
    ck_assert_uint_eq(a.versions[0], 3);
    ck_assert_uint_eq(versions_of(store, BVI_STORE_SNAPSHOT, &a), 1);
    ck_assert_uint_eq(a.versions[0], 5);
    ck_assert_int_eq(reserve(store, 5, "lease", &a), BV_E_EXISTS);
    ck_assert_msg(reserve(store, 0, "lease", &a) == 0, "%s", a.text);
    ck_assert_uint_eq(a.version, 6);
    ck_assert_int_eq(ask(store, &(bvi_store_request){ .verb = BVI_STORE_LIST }, &a), 0);
    ck_assert_uint_eq(a.n_infos, 2);
    ck_assert_int_eq(a.infos[0].format, BVI_STORE_ARCHIVE);
    ck_assert_int_eq(a.infos[1].format, BVI_STORE_SNAPSHOT);
    ck_assert_uint_eq(a.infos[1].version, 5);
    ck_assert_uint_eq(a.infos[1].total_bytes, 70);
    ck_assert_uint_eq(a.infos[1].stored_bytes, 35);
    ck_assert_uint_eq(a.infos[1].chunks, 3);
    ck_assert_int_eq(a.infos[1].created_us, 1790000000000000);
    ck_assert_int_eq(a.infos[1].compression.level, 3);
    ck_assert_int_eq(ask(store, &(bvi_store_request){ .verb = BVI_STORE_PRUNE }, &a), 0);
    ck_assert_uint_eq(a.size, 0); /* neither is abandoned */
    ck_assert(bvt_exists(bvt_path("store/some-key/5/snapshot.json")));
    bvi_store_free(store);
    bv_ctx_free(ctx);
}
END_TEST

static size_t leases_of(bvi_store *store, answer *a)
{
    ck_assert_msg(ask(store,
                      &(bvi_store_request){ .verb = BVI_STORE_LEASES, .store_key = "some-key" },
                      a) == 0,
                  "%s", a->text);
    return a->n_leases;
}

static int reserve_on(bvi_store *store, uint64_t version, uint64_t base, answer *a)
{
    return ask(store,
               &(bvi_store_request){ .verb = BVI_STORE_RESERVE,
                                     .store_key = "some-key",
                                     .version = version,
                                     .base = base,
                                     .lease = "lease-a" },
               a);
}

START_TEST(leases_name_their_base)
{
    bv_ctx *ctx = make_ctx(0);
    bvi_store *store = open_store(ctx);
    int64_t started;
    answer a;

    ck_assert_uint_eq(leases_of(store, &a), 0);
    ck_assert_msg(reserve_on(store, 0, 7, &a) == 0, "%s", a.text);
    ck_assert_uint_eq(leases_of(store, &a), 1);
    ck_assert_uint_eq(a.leases[0].version, 1);
    ck_assert_uint_eq(a.leases[0].base, 7);
    started = a.leases[0].started_us;
    ck_assert_int_gt(started, 1000000000000000);
    ck_assert_msg(reserve_on(store, 1, 0, &a) == 0, "%s", a.text); /* a sign of life */
    ck_assert_uint_eq(leases_of(store, &a), 1);
    ck_assert_uint_eq(a.leases[0].base, 7);
    ck_assert_int_eq(a.leases[0].started_us, started);
    make_old(bvt_path("store/some-key/1/.lock"));
    ck_assert_uint_eq(leases_of(store, &a), 1); /* still held */
    bvi_store_free(store);
    store = open_store(ctx);
    ck_assert_uint_eq(leases_of(store, &a), 0); /* its process died long ago */
    ck_assert_msg(reserve_on(store, 1, 6, &a) == 0, "%s", a.text);
    ck_assert_uint_eq(leases_of(store, &a), 1);
    ck_assert_uint_eq(a.leases[0].base, 6);
    ck_assert_int_eq(a.leases[0].started_us, started); /* its packs may be as old */
    ck_assert_int_eq(ask(store,
                         &(bvi_store_request){
                             .verb = BVI_STORE_RELEASE, .store_key = "some-key", .version = 1 },
                         &a),
                     0);
    ck_assert_uint_eq(leases_of(store, &a), 0);
    bvi_store_free(store);
    bv_ctx_free(ctx);
}
END_TEST

START_TEST(survives_every_failed_allocation)
{
    static const bvi_store_request requests[] = {
        { .verb = BVI_STORE_OBJECTS, .key = "k/" },
        { .verb = BVI_STORE_PUT, .key = "k/packs/cc/1", .bytes = "x", .len = 1 },
        { .verb = BVI_STORE_LEASES, .store_key = "k" },
        { .verb = BVI_STORE_LIST, .store_key = "k" },
        { .verb = BVI_STORE_REMOVE, .key = "k/packs/cc/1" },
    };
    bv_ctx *ctx = make_ctx(0);
    bvi_store *store = open_store(ctx);
    answer a;

    ck_assert_int_eq(put(store, "k/1/snapshot.json", root_text, true, &a), 0);
    ck_assert_int_eq(put(store, "k/packs/aa/1", "x", true, &a), 0);
    for (size_t i = 0; i < BVI_COUNT(requests); i++) {
        bvt_for_each_failed_allocation(n) {
            int r = ask(store, &requests[i], &a);

            ck_assert_msg(r == 0 || r == BV_E_NOMEM, "%zu: %s", i, a.text);
        }
    }
    bvi_store_free(store);
    bv_ctx_free(ctx);
}
END_TEST

BVT_MAIN("transfer/store", bvt_test(reads_exactly), bvt_test(creates_only_once),
         bvt_test(lists_objects_in_order), bvt_test(sees_both_formats),
         bvt_test(leases_name_their_base), bvt_test(survives_every_failed_allocation),
         bvt_test(reservations), bvt_test(concurrent_reservations_differ),
         bvt_test(lists_and_prunes), bvt_test(objects))
