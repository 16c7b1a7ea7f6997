/* Several transfers of one context under common limits. */
#include <stdio.h>
#include <stdlib.h>

#include "fault_http.h"

#define BIG   (4u * 1024u * 1024u)
#define COUNT 4

static void limit(bv_ctx *ctx, bv_transfer_limits limits)
{
    bv_error *err = NULL;

    limits.size = sizeof(limits);
    bvt_assert_ok(bv_ctx_set_transfer_limits(ctx, &limits, &err), err);
}

static bv_transfer_use use_of(const bv_ctx *ctx)
{
    bv_transfer_use use = { .size = sizeof(use) };

    bv_ctx_transfer_use(ctx, &use);
    return use;
}

static void nothing_is_out(const bv_ctx *ctx)
{
    bv_transfer_use use = use_of(ctx);

    ck_assert_uint_eq(use.memory_bytes, 0);
    ck_assert_uint_eq(use.connections, 0);
    ck_assert_uint_eq(use.open_files, 0);
    ck_assert_uint_eq(use.waiting, 0);
}

static bv_op *start_upload_as(bv_ctx *ctx, const char *store, unsigned i, bool stored, outcome *o)
{
    bv_upload_opts opts = BV_UPLOAD_OPTS_INIT;
    bv_error *err = NULL;
    bv_op *op = NULL;

    *o = (outcome){ 0 };
    opts.store = store;
    opts.key = bvt_format("chain-%u", i);
    opts.source_dir = bvt_path("source");
    opts.state_dir = bvt_path("up-%u", i);
    opts.number_of_chunks = 12;
    opts.stored = stored;
    opts.data = o;
    bvt_assert_ok(bv_upload_start(ctx, &opts, on_outcome, &op, &err), err);
    return op;
}

static bv_op *start_upload(bv_ctx *ctx, const char *store, unsigned i, outcome *o)
{
    return start_upload_as(ctx, store, i, true, o);
}

static bv_op *start_download(bv_ctx *ctx, const char *store, unsigned i, outcome *o)
{
    bv_download_opts opts = BV_DOWNLOAD_OPTS_INIT;
    bv_error *err = NULL;
    bv_op *op = NULL;

    *o = (outcome){ 0 };
    opts.store = store;
    opts.key = bvt_format("chain-%u", i);
    opts.dest_dir = bvt_path("dest-%u", i);
    opts.data = o;
    bvt_assert_ok(bv_download_start(ctx, &opts, on_outcome, &op, &err), err);
    return op;
}

typedef bv_op *(*start_fn)(bv_ctx *ctx, const char *store, unsigned i, outcome *o);

/* All at once; how long it took by the clock the server turns. */
static int64_t run_all(fault_http *server, start_fn start)
{
    int64_t before_ms = fault_http_elapsed_ms(server);
    const char *store = fault_http_url(server, "http");
    outcome o[COUNT];
    bv_op *ops[COUNT];

    for (unsigned i = 0; i < COUNT; i++)
        ops[i] = start(fault_http_ctx(server), store, i, &o[i]);
    for (unsigned i = 0; i < COUNT; i++) {
        fault_http_wait(server, &o[i]);
        ck_assert_msg(o[i].code == 0, "%u: %s", i, o[i].text);
        bv_op_unref(ops[i]);
    }
    return fault_http_elapsed_ms(server) - before_ms;
}

START_TEST(transfers_keep_a_common_rate)
{
    const uint64_t down = 8u << 20;
    const uint64_t up = 4u << 20;
    fault_http *server;
    uint64_t took_ms;
    bv_ctx *ctx;

    make_file(bvt_path("source"), "chain/big", BIG, 7);
    server = fault_http_new(bvt_path("store"), 0);
    ctx = fault_http_ctx(server);
    limit(ctx, (bv_transfer_limits){ .download_bytes_per_s = down, .upload_bytes_per_s = up });
    took_ms = (uint64_t)run_all(server, start_upload);
    ck_assert_uint_ge(took_ms, COUNT * (uint64_t)BIG * 1000 / up * 95 / 100);
    ck_assert_uint_le(took_ms, COUNT * (uint64_t)BIG * 1000 / up * 105 / 100);
    took_ms = (uint64_t)run_all(server, start_download);
    ck_assert_uint_ge(took_ms, COUNT * (uint64_t)BIG * 1000 / down * 95 / 100);
    ck_assert_uint_le(took_ms, COUNT * (uint64_t)BIG * 1000 / down * 105 / 100);
    for (unsigned i = 0; i < COUNT; i++)
        assert_same_tree(bvt_path("source"), bvt_path("dest-%u", i));
    ck_assert_uint_ge(use_of(ctx).uploaded_bytes, COUNT * (uint64_t)BIG);
    ck_assert_uint_ge(use_of(ctx).downloaded_bytes, COUNT * (uint64_t)BIG);
    nothing_is_out(ctx);
    fault_http_free(server);
}
END_TEST

/* Starts all, and watches what is out while they run. */
static bv_transfer_use most_in_use(bv_ctx *ctx, const char *store, start_fn start)
{
    bv_transfer_use most = { .size = sizeof(most) };
    outcome o[COUNT];
    bv_op *ops[COUNT];

    for (unsigned i = 0; i < COUNT; i++)
        ops[i] = start(ctx, store, i, &o[i]);
    for (unsigned i = 0; i < COUNT;) {
        bv_transfer_use now = use_of(ctx);

        most.memory_bytes =
            now.memory_bytes > most.memory_bytes ? now.memory_bytes : most.memory_bytes;
        most.open_files = now.open_files > most.open_files ? now.open_files : most.open_files;
        most.waiting = now.waiting > most.waiting ? now.waiting : most.waiting;
        if (o[i].done)
            i++;
        else
            ck_assert_int_ge(bv_ctx_dispatch(ctx, 10000), 0);
    }
    for (unsigned i = 0; i < COUNT; i++) {
        ck_assert_msg(o[i].code == 0, "%u: %s", i, o[i].text);
        bv_op_unref(ops[i]);
    }
    nothing_is_out(ctx);
    return most;
}

START_TEST(transfers_share_memory_and_files)
{
    const char *store = bvt_format("dir:%s", bvt_path("store"));
    bv_ctx *ctx = make_ctx((unsigned)_i);
    bv_transfer_use most;

    make_mixed_tree(bvt_path("source"), BIG);
    limit(ctx, (bv_transfer_limits){ .memory_mib = 8, .open_files = 7 });
    bvt_reset_peak();
    most = most_in_use(ctx, store, start_upload);
    ck_assert_uint_le(most.memory_bytes, 8u << 20);
    ck_assert_uint_le(most.open_files, 7);
    ck_assert_uint_gt(most.waiting, 0);
    most = most_in_use(ctx, store, start_download);
    ck_assert_uint_le(most.memory_bytes, 8u << 20);
    ck_assert_uint_le(most.open_files, 7);
    ck_assert_uint_gt(most.waiting, 0);
    ck_assert_uint_le(bvt_peak_bytes(), (8u + 2u) << 20); /* manifests and the like besides */
    for (unsigned i = 0; i < COUNT; i++)
        assert_same_tree(bvt_path("source"), bvt_path("dest-%u", i));
    bv_ctx_free(ctx);
}
END_TEST

START_TEST(too_small_a_limit_is_an_error_that_names_it)
{
    bv_ctx *ctx = make_ctx(0);
    outcome o;
    bv_op *op;

    make_text(bvt_path("source"), "a", "text");
    limit(ctx, (bv_transfer_limits){ .memory_mib = 1 }); /* the codec needs more */
    op = start_upload_as(ctx, bvt_format("dir:%s", bvt_path("store")), 0, false, &o);
    wait_outcome(ctx, &o);
    ck_assert_int_eq(o.code, BV_E_INVALID);
    ck_assert_ptr_nonnull(strstr(o.text, "raise memory_mib of the transfer limits"));
    bv_op_unref(op);
    nothing_is_out(ctx);
    limit(ctx, (bv_transfer_limits){ .memory_mib = 0 });
    op = start_upload_as(ctx, bvt_format("dir:%s", bvt_path("store")), 0, false, &o);
    wait_outcome(ctx, &o);
    ck_assert_int_eq(o.code, 0);
    bv_op_unref(op);
    bv_ctx_free(ctx);
}
END_TEST

START_TEST(cancelled_ones_give_everything_back)
{
    bv_ctx *ctx = make_ctx(1);
    const char *store = bvt_format("dir:%s", bvt_path("store"));
    outcome o[COUNT];
    bv_op *ops[COUNT];

    make_mixed_tree(bvt_path("source"), BIG);
    limit(ctx, (bv_transfer_limits){ .memory_mib = 6 });
    for (unsigned i = 0; i < COUNT; i++)
        ops[i] = start_upload(ctx, store, i, &o[i]);
    while (use_of(ctx).waiting == 0)
        ck_assert_int_ge(bv_ctx_dispatch(ctx, 10000), 0);
    for (unsigned i = 0; i < COUNT; i++)
        bv_op_cancel(ops[i]);
    for (unsigned i = 0; i < COUNT; i++) {
        wait_outcome(ctx, &o[i]);
        bv_op_unref(ops[i]);
    }
    nothing_is_out(ctx);
    bv_ctx_free(ctx);
}
END_TEST

START_TEST(limits_are_told)
{
    bv_ctx *ctx = make_ctx(0);
    bv_transfer_limits limits = BV_TRANSFER_LIMITS_INIT;
    bv_transfer_limits old = { .size = offsetof(bv_transfer_limits, connections) };

    bv_ctx_transfer_limits(ctx, &limits);
    ck_assert_uint_eq(limits.memory_mib, BV_TRANSFER_LIMIT_MEMORY_MIB_DEFAULT);
    ck_assert_uint_eq(limits.connections, BV_TRANSFER_LIMIT_CONNECTIONS_DEFAULT);
    ck_assert_uint_eq(limits.open_files, BV_TRANSFER_LIMIT_FILES_DEFAULT);
    ck_assert_uint_eq(limits.download_bytes_per_s, 0);
    limit(ctx, (bv_transfer_limits){ .connections = 5, .upload_bytes_per_s = 77 });
    bv_ctx_transfer_limits(ctx, &limits);
    ck_assert_uint_eq(limits.connections, 5);
    ck_assert_uint_eq(limits.upload_bytes_per_s, 77);
    old.memory_mib = 3;
    old.connections = 1000; /* not part of that struct */
    ck_assert_int_eq(bv_ctx_set_transfer_limits(ctx, &old, NULL), 0);
    bv_ctx_transfer_limits(ctx, &limits);
    ck_assert_uint_eq(limits.memory_mib, 3);
    ck_assert_uint_eq(limits.connections, BV_TRANSFER_LIMIT_CONNECTIONS_DEFAULT);
    limits.size = 0;
    ck_assert_int_eq(bv_ctx_set_transfer_limits(ctx, &limits, NULL), BV_E_INVALID);
    ck_assert_int_eq(bv_ctx_set_transfer_limits(ctx, NULL, NULL), BV_E_INVALID);
    bv_ctx_free(ctx);
}
END_TEST

BVT_MAIN("transfer/budget", bvt_test(transfers_keep_a_common_rate),
         bvt_times(transfers_share_memory_and_files, 3),
         bvt_test(too_small_a_limit_is_an_error_that_names_it),
         bvt_test(cancelled_ones_give_everything_back), bvt_test(limits_are_told))
