/* Protected files: an archive that holds some does not touch those of the destination. */
#include "support.h"
#include "transfer/download.h"
#include "transfer/source_store.h"

static void upload(void)
{
    bv_upload_opts opts = BV_UPLOAD_OPTS_INIT;
    outcome o;

    make_text(bvt_path("source"), "chain/a", "aaaa");
    make_text(bvt_path("source"), "wallets/mine", "of another node");
    make_text(bvt_path("source"), "wallets/other", "another one");
    make_text(bvt_path("source"), "wallets/empty", "");
    make_text(bvt_path("source"), "x/b", "bbbbbb");
    opts.store = bvt_format("dir:%s", bvt_path("store"));
    opts.key = "chain-data";
    opts.source_dir = bvt_path("source");
    opts.number_of_chunks = 3;
    ck_assert_msg(run_upload(1, &opts, &o) == 0, "%s", o.text);
}

static void download(const bvi_strv *protect)
{
    bv_ctx *ctx = make_ctx(1);
    bvi_chunk_source *source = NULL;
    bvi_download_opts opts = { .archive = "chain-data",
                               .dest_dir = bvt_path("dest"),
                               .meta_dir = bvt_path("meta"),
                               .protect = protect };
    bv_op *op = NULL;
    outcome o = { 0 };
    bv_error *err = NULL;

    bvt_assert_ok(
        bvi_source_open(ctx, bvt_format("dir:%s", bvt_path("store")), "chain-data", &source, &err),
        err);
    opts.source = source;
    bvt_assert_ok(bvi_download_start(ctx, &opts, on_outcome, &o, &op, &err), err);
    wait_outcome(ctx, &o);
    ck_assert_msg(o.code == 0, "%s", o.text);
    bv_op_unref(op);
    bvi_chunk_source_free(source);
    bv_ctx_free(ctx);
}

static void assert_holds(const char *name, const char *text)
{
    ck_assert_str_eq(bvt_read_file(bvt_path("dest/%s", name), NULL), text);
}

START_TEST(protected_files_stay)
{
    BVI_AUTO(bvi_strv_done) bvi_strv protect = { 0 };
    bv_error *err = NULL;

    upload();
    bvt_assert_ok(bvi_protect_begin(&protect, &err), err);
    make_text(bvt_path("dest"), "wallets/mine", "my own");
    make_text(bvt_path("dest"), "x/b", "old, and longer than the new one");
    download(&protect);
    assert_holds("wallets/mine", "my own");
    assert_holds("chain/a", "aaaa");
    assert_holds("x/b", "bbbbbb");
    ck_assert(!bvt_exists(bvt_path("dest/wallets/other")));
    ck_assert(!bvt_exists(bvt_path("dest/wallets/empty")));
}
END_TEST

START_TEST(without_protection_all_come)
{
    upload();
    download(NULL);
    assert_same_tree(bvt_path("source"), bvt_path("dest"));
}
END_TEST

BVT_MAIN("transfer/protect", bvt_test(protected_files_stay), bvt_test(without_protection_all_come))
