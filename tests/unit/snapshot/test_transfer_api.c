/* The calls of blockvisor/transfer.h over both formats: which one a version has is found out. */
#include <glob.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "../transfer/support.h"
#include "base/error.h"

static bv_upload_opts upload_opts(int format)
{
    bv_upload_opts opts = BV_UPLOAD_OPTS_INIT;

    opts.store = bvt_format("dir:%s", bvt_path("store"));
    opts.key = "Key";
    opts.source_dir = bvt_path("source");
    opts.format = format;
    return opts;
}

static bv_download_opts download_opts(const char *dest)
{
    bv_download_opts opts = BV_DOWNLOAD_OPTS_INIT;

    opts.store = bvt_format("dir:%s", bvt_path("store"));
    opts.key = "key";
    opts.dest_dir = bvt_path("%s", dest);
    return opts;
}

static void upload(int format, unsigned seed)
{
    bv_upload_opts opts = upload_opts(format);
    outcome o = { 0 };

    make_file(bvt_path("source"), "deep/er/file", 300000, seed);
    make_text(bvt_path("source"), "text", "some text");
    ck_assert_msg(run_upload(2, &opts, &o) == 0, "%s", o.text);
    ck_assert_int_eq(o.status.format, format);
    ck_assert_str_eq(o.phase, "done");
    ck_assert_uint_eq(o.status.bytes_done, o.status.bytes_total);
    ck_assert_uint_eq(o.status.chunks_done, o.status.chunks_total);
}

START_TEST(formats_follow_each_other)
{
    static const int formats[] = { BV_FORMAT_SNAPSHOT, BV_FORMAT_ARCHIVE, BV_FORMAT_SNAPSHOT,
                                   BV_FORMAT_ARCHIVE };
    outcome o = { 0 };

    for (unsigned i = 0; i < 4; i++) {
        bv_download_opts opts = download_opts(i % 2 ? "odd" : "even");
        bv_verify_opts verify = BV_VERIFY_OPTS_INIT;

        upload(formats[i], i + 1);
        ck_assert_msg(run_download(2, &opts, &o) == 0, "%s", o.text); /* the latest */
        ck_assert_uint_eq(o.status.data_version, i + 1);
        ck_assert_int_eq(o.status.format, formats[i]);
        assert_same_tree(bvt_path("source"), opts.dest_dir);
        verify.store = opts.store;
        verify.key = "key";
        verify.data_version = 1; /* a named one */
        ck_assert_msg(run_verify(0, &verify, &o) == 0, "%s", o.text);
        ck_assert_int_eq(o.status.format, BV_FORMAT_SNAPSHOT);
        verify.data_version = i + 1;
        verify.local_dir = opts.dest_dir;
        ck_assert_msg(run_verify(2, &verify, &o) == 0, "%s", o.text);
        ck_assert_int_eq(o.status.format, formats[i]);
    }
}
END_TEST

START_TEST(a_format_may_be_insisted_on)
{
    bv_download_opts opts = download_opts("dest");
    outcome o = { 0 };

    upload(BV_FORMAT_ARCHIVE, 1);
    opts.format = BV_FORMAT_SNAPSHOT;
    ck_assert_int_eq(run_download(0, &opts, &o), BV_E_NOT_FOUND);
    opts.format = BV_FORMAT_ARCHIVE;
    ck_assert_int_eq(run_download(0, &opts, &o), 0);
    opts.format = 7;
    ck_assert_int_eq(run_download(0, &opts, &o), BV_E_INVALID);
}
END_TEST

/* Inverts all bytes of all packs: chunks and pages. */
static void damage_store(void)
{
    static uint8_t bytes[8 * 1024 * 1024];
    glob_t found = { 0 };

    ck_assert_int_eq(glob(bvt_path("store/key/packs/*/*"), 0, NULL, &found), 0);
    for (size_t i = 0; i < found.gl_pathc; i++) {
        size_t len = 0;
        FILE *file;

        ck_assert_int_eq(chmod(found.gl_pathv[i], 0644), 0);
        file = fopen(found.gl_pathv[i], "r+e");
        ck_assert_ptr_nonnull(file);
        len = fread(bytes, 1, sizeof(bytes), file);
        for (size_t at = 0; at < len; at++)
            bytes[at] ^= 0xff;
        rewind(file);
        ck_assert_uint_eq(fwrite(bytes, 1, len, file), len);
        ck_assert_int_eq(fclose(file), 0);
    }
    globfree(&found);
}

START_TEST(a_mirror_helps_where_all_is_damaged)
{
    const char *mirrors[] = { bvt_format("dir:%s", bvt_path("mirror")), NULL };
    bv_download_opts opts = download_opts("dest");
    outcome o = { 0 };

    upload(BV_FORMAT_SNAPSHOT, 1);
    ck_assert_int_eq(system(bvt_format("cp -r '%s' '%s'", bvt_path("store"), bvt_path("mirror"))),
                     0);
    damage_store();
    ck_assert_int_eq(run_download(0, &opts, &o), BV_E_CHECKSUM);
    opts.mirrors = mirrors;
    ck_assert_msg(run_download(0, &opts, &o) == 0, "%s", o.text);
    assert_same_tree(bvt_path("source"), opts.dest_dir);
}
END_TEST

START_TEST(nothing_there)
{
    bv_download_opts opts = download_opts("dest");
    bv_verify_opts verify = BV_VERIFY_OPTS_INIT;
    outcome o = { 0 };

    for (uint64_t version = 0; version < 2; version++) {
        opts.data_version = verify.data_version = version;
        ck_assert_int_eq(run_download(0, &opts, &o), BV_E_NOT_FOUND);
        verify.store = opts.store;
        verify.key = opts.key;
        ck_assert_int_eq(run_verify(0, &verify, &o), BV_E_NOT_FOUND);
    }
    opts.key = "not/a/key";
    ck_assert_int_eq(run_download(0, &opts, &o), BV_E_INVALID);
}
END_TEST

/* An option of an archive that only snapshots know is refused, never ignored. */
START_TEST(archives_refuse)
{
    static const char *const list[] = { "x", NULL };
    static const struct {
        size_t offset;
        bool is_flag;
    } options[] = {
        { offsetof(bv_download_opts, mirrors), false },
        { offsetof(bv_download_opts, include), false },
        { offsetof(bv_download_opts, protect), false },
        { offsetof(bv_download_opts, seeds), false },
        { offsetof(bv_download_opts, verify_key_file), false },
        { offsetof(bv_download_opts, delete_extra), true },
        { offsetof(bv_download_opts, recheck), true },
    };
    outcome o = { 0 };

    upload(BV_FORMAT_ARCHIVE, 1);
    for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
        bv_download_opts opts = download_opts("dest");
        char *at = (char *)&opts + options[i].offset;

        if (options[i].is_flag)
            *(int32_t *)(void *)at = 1;
        else if (options[i].offset == offsetof(bv_download_opts, verify_key_file))
            opts.verify_key_file = "key.pem";
        else if (options[i].offset == offsetof(bv_download_opts, mirrors))
            continue; /* needs a second store */
        else
            *(const char *const **)(void *)at = list;
        ck_assert_int_eq(run_download(0, &opts, &o), BV_E_UNSUPPORTED);
        ck_assert_ptr_nonnull(strstr(o.text, "needs a snapshot"));
        ck_assert(!bvt_exists(bvt_path("dest")));
    }
}
END_TEST

/* Programs that were built before there were snapshots give shorter structs. */
START_TEST(older_programs)
{
    bv_upload_opts up = upload_opts(BV_FORMAT_SNAPSHOT);
    bv_download_opts down = download_opts("dest");
    outcome o = { 0 };

    make_text(bvt_path("source"), "text", "some text");
    up.size = offsetof(bv_upload_opts, s3_keys);
    ck_assert_int_eq(run_upload(0, &up, &o), 0);
    ck_assert_int_eq(o.status.format, BV_FORMAT_ARCHIVE); /* the format is not looked at */
    down.size = offsetof(bv_download_opts, s3_keys);
    down.include = (const char *const[]){ "nothing", NULL };
    ck_assert_int_eq(run_download(0, &down, &o), 0);
    assert_same_tree(bvt_path("source"), bvt_path("dest"));
    up.size = 8;
    ck_assert_int_eq(run_upload(0, &up, &o), BV_E_INVALID);
    down.size = 0;
    ck_assert_int_eq(run_download(0, &down, &o), BV_E_INVALID);
}
END_TEST

START_TEST(keys_must_be_whole)
{
    bv_s3_keys keys = BV_S3_KEYS_INIT;
    bv_upload_opts up = upload_opts(BV_FORMAT_SNAPSHOT);
    outcome o = { 0 };

    up.store = "s3://some-bucket/x?endpoint=http://127.0.0.1:1";
    up.s3_keys = &keys;
    keys.access_key = "AKIDEXAMPLE";
    ck_assert_int_eq(run_upload(0, &up, &o), BV_E_INVALID);
}
END_TEST

/* Cancelled and abandoned at every moment: it ends, and what comes after works. */
START_TEST(cancelled_at_any_time)
{
    bv_download_opts opts = download_opts("dest");
    outcome o;

    upload(BV_FORMAT_SNAPSHOT, 1);
    for (unsigned turns = 0; turns < 30; turns++) {
        bv_ctx *ctx = make_ctx(turns % 2);
        bv_op *op = NULL;

        o = (outcome){ 0 };
        opts.data = &o;
        ck_assert_int_eq(bv_download_start(ctx, &opts, on_outcome, &op, NULL), 0);
        for (unsigned i = 0; i < turns && !o.done; i++)
            (void)bv_ctx_dispatch(ctx, 100);
        if (turns % 3)
            bv_op_cancel(op);
        if (turns % 3 == 1)
            wait_outcome(ctx, &o);
        bv_op_unref(op);
        bv_ctx_free(ctx);
        ck_assert(o.done);
        ck_assert(o.code == 0 || o.code == BV_E_CANCELLED);
    }
    opts.data = NULL;
    ck_assert_msg(run_download(2, &opts, &o) == 0, "%s", o.text);
    assert_same_tree(bvt_path("source"), bvt_path("dest"));
}
END_TEST

START_TEST(failed_allocations)
{
    static const char *const list[] = { "a/**", "b", NULL };
    bv_download_opts opts;

    upload(BV_FORMAT_SNAPSHOT, 1);
    opts = download_opts("dest");
    opts.include = opts.protect = list;
    bvt_for_each_failed_allocation(n) {
        bv_ctx *ctx = NULL;
        bv_op *op = NULL;
        outcome o = { 0 };
        int r = bv_ctx_new(NULL, &ctx, NULL);

        opts.data = &o;
        if (r == 0)
            r = bv_download_start(ctx, &opts, on_outcome, &op, NULL);
        while (r == 0 && !o.done)
            ck_assert_int_ge(bv_ctx_dispatch(ctx, 30000), 0);
        r = r < 0 ? r : o.code;
        ck_assert_msg(r == 0 || r == BV_E_NOMEM, "%d: %s", r, o.text);
        bv_op_unref(op);
        bv_ctx_free(ctx);
    }
}
END_TEST

BVT_MAIN("snapshot/transfer_api", bvt_test(formats_follow_each_other),
         bvt_test(a_format_may_be_insisted_on), bvt_test(a_mirror_helps_where_all_is_damaged),
         bvt_test(nothing_there), bvt_test(archives_refuse), bvt_test(older_programs),
         bvt_test(keys_must_be_whole), bvt_test(cancelled_at_any_time),
         bvt_test(failed_allocations))
