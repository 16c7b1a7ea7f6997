/* Looking into snapshots: what is in one, one file, what differs between two. */
#include <stdio.h>

#include "base/error.h"
#include "snap_maker.h"
#include "snapshot/browse.h"

typedef struct outcome {
    bool done;
    int code;
    char text[1024];
    /* what was told */
    unsigned n;
    char lines[8192];
    size_t len;
    uint8_t *bytes;
    size_t n_bytes;
    unsigned stop_at; /* ends it at so many calls; 0: never */
} outcome;

static void on_done(bv_op *op, const bv_error *err, void *data)
{
    outcome *o = data;
    char *text = err ? bvi_error_text(err) : NULL;

    (void)op;
    ck_assert(!o->done);
    o->done = true;
    o->code = bv_error_code(err);
    (void)snprintf(o->text, sizeof(o->text), "%s", text ? text : "");
    bvi_free(text);
}

static int stop(outcome *o)
{
    return o->stop_at && ++o->n >= o->stop_at ? BV_E_CANCELLED : 0;
}

static int on_entry(const bvi_snap_root *root, const bvi_snap_entry *e, void *data)
{
    outcome *o = data;

    ck_assert_str_eq(root->key, "key");
    o->len += (size_t)snprintf(o->lines + o->len, sizeof(o->lines) - o->len, "%d %s %llu\n",
                               e->kind, e->path, (unsigned long long)e->size);
    return stop(o);
}

static int on_difference(const bvi_snap_difference *d, void *data)
{
    static const char marks[] = "+-!~";
    outcome *o = data;

    o->len += (size_t)snprintf(o->lines + o->len, sizeof(o->lines) - o->len, "%c%s %llu\n",
                               marks[d->change], d->path, (unsigned long long)d->data_bytes);
    return stop(o);
}

static int on_bytes(const void *bytes, size_t len, void *data)
{
    outcome *o = data;

    ck_assert_uint_le(o->n_bytes + len, 8u << 20);
    memcpy(o->bytes + o->n_bytes, bytes, len);
    o->n_bytes += len;
    return stop(o);
}

typedef struct ask {
    const char *path;     /* cat */
    uint64_t old_version; /* diff */
    uint64_t version;
    bool cancel;
} ask;

static int run(const ask *a, outcome *o)
{
    static uint8_t room[8u << 20];
    bv_ctx_opts ctx_opts = BV_CTX_OPTS_INIT;
    bv_error *err = NULL;
    bvi_store *s = NULL;
    bv_ctx *ctx = NULL;
    bv_op *op = NULL;
    int r = bv_ctx_new(&ctx_opts, &ctx, NULL);

    o->bytes = room;
    if (r < 0)
        return o->code = r;
    r = bvi_store_dir_open(ctx, bvt_path("store"), &s, &err);
    if (r == 0) {
        bvi_snap_manifest_opts opts = { .store = s, .store_key = "key", .version = a->version };

        if (a->path)
            r = bvi_snap_cat_start(ctx, &opts, a->path, on_bytes, on_done, o, &op, &err);
        else if (a->old_version)
            r = bvi_snap_diff_start(ctx, &opts, a->old_version, on_difference, on_done, o, &op,
                                    &err);
        else
            r = bvi_snap_files_start(ctx, &opts, on_entry, on_done, o, &op, &err);
    }
    if (r == 0 && a->cancel)
        bv_op_cancel(op);
    while (r == 0 && !o->done)
        ck_assert_int_ge(bv_ctx_dispatch(ctx, 10000), 0);
    if (r < 0)
        o->code = r;
    bv_error_free(err);
    bv_op_unref(op);
    bvi_store_free(s);
    bv_ctx_free(ctx);
    return o->code;
}

static void make_mixed(uint64_t version, unsigned seed)
{
    static snap_maker m;

    snap_maker_init(&m, bvt_path("store"), "key", version);
    m.page_chunks = 8;
    snap_maker_mixed(&m, seed);
    snap_maker_end(&m);
}

START_TEST(files_are_listed)
{
    outcome o = { .done = false };
    outcome early = { .stop_at = 3 };
    outcome never = { .done = false };

    make_mixed(1, 7);
    ck_assert_int_eq(run(&(ask){ .version = 1 }, &o), 0);
    ck_assert_ptr_nonnull(strstr(o.lines, "1  0\n"));
    ck_assert_ptr_nonnull(strstr(o.lines, "2 chain/big.mdb 4194304\n"));
    ck_assert_ptr_nonnull(strstr(o.lines, "5 other name 0\n"));
    ck_assert_ptr_eq(strstr(strstr(o.lines, "chain/big.mdb") + 1, "chain/big.mdb"), NULL);
    ck_assert_int_eq(run(&(ask){ .version = 1 }, &early), BV_E_CANCELLED);
    ck_assert_uint_eq(early.n, 3);
    ck_assert_int_eq(run(&(ask){ .version = 1, .cancel = true }, &never), BV_E_CANCELLED);
}
END_TEST

START_TEST(a_file_is_read)
{
    static uint8_t bytes[4u << 20];
    outcome big = { .done = false };
    outcome linked = { .done = false };
    outcome holes = { .done = false };
    outcome only = { .done = false };
    outcome empty = { .done = false };
    outcome small = { .done = false };
    outcome early = { .stop_at = 2 };

    make_mixed(1, 7);
    fill_bytes(bytes, sizeof(bytes), 1);
    ck_assert_int_eq(run(&(ask){ .path = "chain/big.mdb" }, &big), 0);
    ck_assert_uint_eq(big.n_bytes, sizeof(bytes));
    ck_assert(memcmp(big.bytes, bytes, sizeof(bytes)) == 0);
    ck_assert_int_eq(run(&(ask){ .path = "other name" }, &linked), 0);
    ck_assert_uint_eq(linked.n_bytes, sizeof(bytes));
    ck_assert_int_eq(run(&(ask){ .path = "chain/holes" }, &holes), 0);
    ck_assert_uint_eq(holes.n_bytes, 5000000);
    ck_assert(memcmp(holes.bytes + 65536, bytes + 777, 70000) == 0);
    ck_assert(memcmp(holes.bytes + 3000000, bytes + 777 + 74096, 100) == 0);
    ck_assert_int_eq(holes.bytes[65535] | holes.bytes[135536] | holes.bytes[4999999], 0);
    ck_assert_int_eq(run(&(ask){ .path = "chain/only hole" }, &only), 0);
    ck_assert_uint_eq(only.n_bytes, 123456);
    ck_assert_int_eq(run(&(ask){ .path = "nothing" }, &empty), 0);
    ck_assert_uint_eq(empty.n_bytes, 0);
    fill_bytes(bytes, 1300, 99);
    ck_assert_int_eq(run(&(ask){ .path = "small/099.sst" }, &small), 0);
    ck_assert_uint_eq(small.n_bytes, 99 * 13);
    ck_assert(memcmp(small.bytes, bytes, 99 * 13) == 0);
    ck_assert_int_eq(run(&(ask){ .path = "chain/big.mdb" }, &early), BV_E_CANCELLED);
}
END_TEST

static const struct {
    const char *path;
    int code;
    const char *says;
} no_files[] = {
    { "chain", BV_E_INVALID, "is a directory" },
    { "to chain", BV_E_INVALID, "is a symbolic link" },
    { "chain/none", BV_E_NOT_FOUND, "'chain/none'" },
    { "zzz", BV_E_NOT_FOUND, "'zzz'" },
};

START_TEST(what_is_no_file_is_refused)
{
    outcome o = { .done = false };

    make_mixed(1, 7);
    ck_assert_int_eq(run(&(ask){ .path = no_files[_i].path }, &o), no_files[_i].code);
    ck_assert_msg(strstr(o.text, no_files[_i].says) != NULL, "%s", o.text);
}
END_TEST

START_TEST(versions_are_compared)
{
    static snap_maker m;
    static uint8_t bytes[400000];
    outcome same = { .done = false };
    outcome o = { .done = false };
    outcome back = { .done = false };

    for (uint64_t v = 1; v <= 2; v++) {
        snap_maker_init(&m, bvt_path("store"), "key", v);
        m.page_chunks = 4;
        snap_maker_dir(&m, "", 0755);
        snap_maker_dir(&m, "a", v == 1 ? 0755 : 0700);
        fill_bytes(bytes, sizeof(bytes), 1);
        if (v == 2)
            bytes[200000] ^= 1;
        snap_maker_file(&m, "a/changed", bytes, sizeof(bytes));
        if (v == 1)
            snap_maker_file(&m, "a/gone", bytes, 1000);
        snap_maker_file(&m, "a/grown", bytes, v == 1 ? 100 : 200);
        if (v == 2)
            snap_maker_file(&m, "a/new", bytes, 5000);
        snap_maker_file(&m, "a/same", bytes, 100000);
        snap_maker_symlink(&m, "link", v == 1 ? "x" : "y");
        for (unsigned i = 0; i < 20; i++)
            snap_maker_file(&m, bvt_format("z%02u", i), bytes, 70000);
        snap_maker_end(&m);
    }
    ck_assert_int_eq(run(&(ask){ .old_version = 1, .version = 1 }, &same), 0);
    ck_assert_str_eq(same.lines, "");
    ck_assert_int_eq(run(&(ask){ .old_version = 1, .version = 2 }, &o), 0);
    ck_assert_ptr_nonnull(strstr(o.lines, "~a 0\n"));
    ck_assert_ptr_nonnull(strstr(o.lines, "!a/changed 72320\n"));
    ck_assert_ptr_nonnull(strstr(o.lines, "-a/gone 1000\n"));
    ck_assert_ptr_nonnull(strstr(o.lines, "!a/grown 200\n"));
    ck_assert_ptr_nonnull(strstr(o.lines, "+a/new 5000\n"));
    ck_assert_ptr_nonnull(strstr(o.lines, "~link 0\n"));
    ck_assert_int_eq(run(&(ask){ .old_version = 2, .version = 1 }, &back), 0);
    ck_assert_ptr_nonnull(strstr(back.lines, "+a/gone 1000\n"));
    ck_assert_ptr_nonnull(strstr(back.lines, "-a/new 5000\n"));
}
END_TEST

START_TEST(survives_every_failed_allocation)
{
    static snap_maker m;

    for (uint64_t v = 1; v <= 2; v++) {
        snap_maker_init(&m, bvt_path("store"), "key", v);
        snap_maker_dir(&m, "", 0755);
        snap_maker_file(&m, "a", "some bytes", v == 1 ? 10 : 9);
        snap_maker_hardlink(&m, "e", "a");
        snap_maker_end(&m);
    }
    for (unsigned i = 0; i < 3; i++) {
        const ask asks[] = { { .version = 1 },
                             { .path = "e" },
                             { .old_version = 1, .version = 2 } };

        bvt_for_each_failed_allocation(n) {
            outcome o = { .done = false };
            int r = run(&asks[i], &o);

            ck_assert_msg(r == 0 || r == BV_E_NOMEM, "%d %s", r, o.text);
        }
    }
}
END_TEST

BVT_MAIN("snapshot/browse", bvt_test(files_are_listed), bvt_test(a_file_is_read),
         bvt_loop(what_is_no_file_is_refused, no_files), bvt_test(versions_are_compared),
         bvt_test(survives_every_failed_allocation))
