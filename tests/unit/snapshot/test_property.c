/*
 * Random trees go through a store and come back the same; then they change, and so does what came
 * back, and the next version makes it the same again.
 *
 * On a file system in memory it takes half the time: TMPDIR=/dev/shm.
 *
 * BVT_TREES: how many of them (10000 for all; in groups of 100). A failure names its seed:
 * BVT_SEED=<seed> runs it alone.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "bvt.h"
#include "random_tree.h"
#include "snapshot/download.h"
#include "snapshot/upload.h"

#define GROUPS 100
/* Versions of each tree, at most. */
#define VERSIONS 4

typedef struct outcome {
    bool done;
    int code;
    char text[1024];
    uint64_t version;
} outcome;

typedef struct travel {
    bv_ctx *ctx;
    bvi_store *store;
    const char *tree;
    const char *out;
    uint64_t seed;
} travel;

static void on_done(bv_op *op, const bv_error *err, const bv_transfer_status *status, void *data)
{
    outcome *o = data;

    (void)op;
    (void)bv_error_format(err, o->text, sizeof(o->text));
    o->code = bv_error_code(err);
    o->version = status->data_version;
    o->done = true;
}

static void finish(const travel *t, const char *what, int r, bv_op *op, bv_error *err, outcome *o)
{
    if (r < 0)
        (void)bv_error_format(err, o->text, sizeof(o->text));
    while (r == 0 && !o->done)
        ck_assert_int_gt(bv_ctx_dispatch(t->ctx, 30000), 0);
    ck_assert_msg(r == 0 && o->code == 0, "%s: %s", what, o->text);
    bv_op_unref(op);
    bv_error_free(err);
}

static uint64_t upload(const travel *t)
{
    const bvi_snap_upload_opts opts = {
        .store = t->store,
        .store_key = "key",
        .source_dir = t->tree,
        .state_dir = bvt_path("up.state"),
        .codec = t->seed % 3 == 0 ? BVI_SNAP_LZ4 : BVI_SNAP_ZSTD,
        .level = 1,
    };
    outcome o = { 0 };
    bv_op *op = NULL;
    bv_error *err = NULL;
    int r = bvi_snap_upload_start(t->ctx, &opts, on_done, &o, &op, &err);

    finish(t, "upload", r, op, err, &o);
    return o.version;
}

static void download(const travel *t, const char *dest, const char *state)
{
    const bvi_snap_download_opts opts = {
        .store = t->store,
        .store_key = "key",
        .mode = BVI_SNAP_RESTORE,
        .dest_dir = dest,
        .state_dir = state,
        .delete_extra = true,
        .owners = true,
    };
    outcome o = { 0 };
    bv_op *op = NULL;
    bv_error *err = NULL;
    int r = bvi_snap_download_start(t->ctx, &opts, on_done, &o, &op, &err);

    finish(t, "download", r, op, err, &o);
}

static void clear_all(void)
{
    static const char *const all[] = { "tree",     "out",        "fresh",      "store",
                                       "up.state", "down.state", "fresh.state" };

    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        random_tree_remove(bvt_path("%s", all[i]));
}

static void run_versions(const travel *t, dice *d)
{
    uint64_t versions = 1 + dice_roll(d, VERSIONS);

    random_tree_make(d, t->tree);
    for (uint64_t v = 1; v <= versions; v++) {
        ck_assert_uint_eq(upload(t), v);
        download(t, t->out, bvt_path("down.state"));
        assert_same_random_tree(t->tree, t->out);
        if (v == versions)
            break;
        random_tree_edit(d, t->tree);
        if (dice_roll(d, 3) == 0) /* the node has been at work on it */
            random_tree_edit(d, t->out);
    }
    if (versions > 1) { /* all of it from the packs of several versions */
        download(t, bvt_path("fresh"), bvt_path("fresh.state"));
        assert_same_random_tree(t->tree, bvt_path("fresh"));
    }
}

static void run_seed(uint64_t seed, unsigned workers)
{
    bv_ctx_opts opts = BV_CTX_OPTS_INIT;
    travel t = { .tree = bvt_path("tree"), .out = bvt_path("out"), .seed = seed };
    dice d = { seed * 1000003 };
    bv_error *err = NULL;

    (void)fprintf(stderr, "# seed %llu\n", (unsigned long long)seed); /* the last one failed */
    clear_all();
    opts.workers = workers;
    bvt_assert_ok(bv_ctx_new(&opts, &t.ctx, &err), err);
    bvt_assert_ok(bvi_store_dir_open(t.ctx, bvt_path("store"), &t.store, &err), err);
    run_versions(&t, &d);
    bvi_store_free(t.store);
    bv_ctx_free(t.ctx);
}

static uint64_t number_from(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);

    return text && *text ? strtoull(text, NULL, 10) : otherwise;
}

START_TEST(trees_travel)
{
    uint64_t count = number_from("BVT_TREES", 200) / GROUPS;
    uint64_t only = number_from("BVT_SEED", 0);

    if (only) {
        if (_i == 0)
            run_seed(only, 2);
        return;
    }
    for (uint64_t i = 0; i < count; i++)
        run_seed(1 + (uint64_t)_i * count + i, i % 4 ? 2 : 0);
    clear_all();
}
END_TEST

BVT_MAIN("snapshot/property", bvt_times(trees_travel, GROUPS))
