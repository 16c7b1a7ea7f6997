/* Directories into a directory store and back: content, versions, settings, refusals. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "support.h"
#include "sys/fs.h"

#define BIG (6u * 1024u * 1024u)

static bv_upload_opts upload_opts(const char *source)
{
    bv_upload_opts opts = BV_UPLOAD_OPTS_INIT;

    opts.store = bvt_format("dir:%s", bvt_path("store"));
    opts.key = "chain-data";
    opts.source_dir = source;
    return opts;
}

static bv_download_opts download_opts(const char *dest)
{
    bv_download_opts opts = BV_DOWNLOAD_OPTS_INIT;

    opts.store = bvt_format("dir:%s", bvt_path("store"));
    opts.key = "chain-data";
    opts.dest_dir = dest;
    return opts;
}

static const struct {
    unsigned workers;
    bool stored;
    int level;
    uint32_t chunks;
} settings[] = {
    { 0, false, 0, 0 }, { 2, false, 0, 5 },   { 2, true, 0, 3 },
    { 0, true, 0, 1 },  { 2, false, 1, 100 }, { 0, false, -5, 7 },
};

START_TEST(gives_back_what_went_in)
{
    const char *source = bvt_path("source");
    const char *dest = bvt_path("dest");
    bv_upload_opts up = upload_opts(source);
    bv_download_opts down = download_opts(dest);
    bv_verify_opts verify = BV_VERIFY_OPTS_INIT;
    outcome o = { 0 };

    make_mixed_tree(source, BIG);
    up.stored = settings[_i].stored;
    up.zstd_level = settings[_i].level;
    up.number_of_chunks = settings[_i].chunks;
    ck_assert_msg(run_upload(settings[_i].workers, &up, &o) == 0, "%s", o.text);
    ck_assert_uint_eq(o.status.data_version, 1);
    ck_assert_uint_eq(o.status.chunks_total, settings[_i].chunks ? settings[_i].chunks : 1);
    ck_assert_uint_eq(o.status.chunks_done, o.status.chunks_total);
    ck_assert_uint_eq(o.status.bytes_done, o.status.bytes_total);
    ck_assert_str_eq(o.phase, "done");
    ck_assert(o.reports > 0);
    ck_assert(!bvt_exists(bvt_path("source.transfer/upload.journal")));
    ck_assert(!bvt_exists(bvt_path("store/chain-data/1/.lock")));

    ck_assert_msg(run_download(settings[_i].workers, &down, &o) == 0, "%s", o.text);
    assert_same_tree(source, dest);
    ck_assert_uint_eq(o.status.files, 66);
    ck_assert_uint_eq(o.status.bytes_done, o.status.bytes_total);
    ck_assert(!bvt_exists(bvt_path("dest.transfer/download.journal")));

    verify.store = up.store;
    verify.key = up.key;
    ck_assert_msg(run_verify(settings[_i].workers, &verify, &o) == 0, "%s", o.text);
    verify.local_dir = dest;
    ck_assert_msg(run_verify(settings[_i].workers, &verify, &o) == 0, "%s", o.text);
    make_file(dest, "chain/big.mdb", BIG, 99);
    ck_assert_int_eq(run_verify(settings[_i].workers, &verify, &o), BV_E_CHECKSUM);
    ck_assert_ptr_nonnull(strstr(o.text, "chain/big.mdb"));
}
END_TEST

START_TEST(all_files_get_one_time)
{
    bv_upload_opts up = upload_opts(bvt_path("source"));
    bv_download_opts down = download_opts(bvt_path("dest"));
    outcome o = { 0 };
    struct stat a, b;

    make_mixed_tree(bvt_path("source"), 100000);
    up.number_of_chunks = 9;
    ck_assert_msg(run_upload(0, &up, &o) == 0, "%s", o.text);
    ck_assert_msg(run_download(2, &down, &o) == 0, "%s", o.text);
    ck_assert_int_eq(stat(bvt_path("dest/one"), &a), 0);
    ck_assert_int_eq(stat(bvt_path("dest/chain/big.mdb"), &b), 0);
    ck_assert_int_eq(a.st_mtim.tv_sec, b.st_mtim.tv_sec);
    ck_assert_int_eq(a.st_mtim.tv_nsec, b.st_mtim.tv_nsec);
}
END_TEST

START_TEST(versions_count_up_and_never_change)
{
    bv_upload_opts up = upload_opts(bvt_path("source"));
    bv_download_opts down = download_opts(bvt_path("dest"));
    outcome o = { 0 };

    for (unsigned i = 1; i <= 3; i++) {
        make_file(bvt_path("source"), "data", 1000 * i, i);
        ck_assert_msg(run_upload(0, &up, &o) == 0, "%s", o.text);
        ck_assert_uint_eq(o.status.data_version, i);
    }
    up.data_version = 2;
    ck_assert_int_eq(run_upload(0, &up, &o), BV_E_EXISTS);
    ck_assert_ptr_nonnull(strstr(o.text, "version 2"));
    ck_assert_msg(run_download(0, &down, &o) == 0, "%s", o.text);
    ck_assert_uint_eq(o.status.data_version, 3);
    assert_same_tree(bvt_path("source"), bvt_path("dest"));
    down.data_version = 1; /* shorter: the tail of version 3 must go */
    ck_assert_msg(run_download(0, &down, &o) == 0, "%s", o.text);
    ck_assert_uint_eq(o.status.bytes_total, 1000);
    make_file(bvt_path("source"), "data", 1000, 1);
    assert_same_tree(bvt_path("source"), bvt_path("dest"));
    down.data_version = 9;
    ck_assert_int_eq(run_download(0, &down, &o), BV_E_NOT_FOUND);
    up.data_version = 12;
    ck_assert_msg(run_upload(0, &up, &o) == 0, "%s", o.text);
    up.data_version = 0;
    ck_assert_msg(run_upload(0, &up, &o) == 0, "%s", o.text);
    ck_assert_uint_eq(o.status.data_version, 13);
}
END_TEST

START_TEST(an_empty_directory_is_an_archive_too)
{
    bv_upload_opts up = upload_opts(bvt_path("source"));
    bv_download_opts down = download_opts(bvt_path("dest"));
    outcome o = { 0 };

    ck_assert_int_eq(mkdir(bvt_path("source"), 0755), 0);
    ck_assert_msg(run_upload(0, &up, &o) == 0, "%s", o.text);
    ck_assert_uint_eq(o.status.chunks_total, 0);
    ck_assert_msg(run_download(0, &down, &o) == 0, "%s", o.text);
    make_file(bvt_path("source"), "nothing", 0, 0);
    make_file(bvt_path("source"), "nothing else", 0, 0);
    ck_assert_msg(run_upload(0, &up, &o) == 0, "%s", o.text);
    ck_assert_uint_eq(o.status.chunks_total, 1);
    ck_assert(!bvt_exists(bvt_path("store/chain-data/2/data.part_0")));
    ck_assert_msg(run_download(0, &down, &o) == 0, "%s", o.text);
    assert_same_tree(bvt_path("source"), bvt_path("dest"));
}
END_TEST

START_TEST(leaves_out_what_is_excluded_and_what_cannot_be_kept)
{
    static const char *const exclude[] = { "*.log", "keys", "tmp/**", NULL };
    bv_upload_opts up = upload_opts(bvt_path("source"));
    bv_download_opts down = download_opts(bvt_path("dest"));
    outcome o = { 0 };

    make_text(bvt_path("source"), "data/a", "kept");
    make_text(bvt_path("source"), "data/a.log", "not");
    make_text(bvt_path("source"), "keys/secret/one", "not");
    make_text(bvt_path("source"), "tmp/x/y", "not");
    ck_assert_int_eq(symlink("/etc/passwd", bvt_path("source/link")), 0);
    ck_assert_int_eq(mkfifo(bvt_path("source/pipe"), 0600), 0);
    up.exclude = exclude;
    up.state_dir = bvt_path("source/data/.state"); /* inside, and yet not archived */
    ck_assert_msg(run_upload(0, &up, &o) == 0, "%s", o.text);
    ck_assert_uint_eq(o.status.skipped, 2);
    ck_assert_uint_eq(o.status.files, 1);
    ck_assert_msg(run_download(0, &down, &o) == 0, "%s", o.text);
    ck_assert(bvt_exists(bvt_path("dest/data/a")));
    ck_assert(!bvt_exists(bvt_path("dest/keys")));
}
END_TEST

START_TEST(refuses_what_cannot_be)
{
    static const char *const bad_pattern[] = { "a[b", NULL };
    bv_upload_opts up = upload_opts(bvt_path("source"));
    bv_download_opts down = download_opts(bvt_path("dest"));
    outcome o = { 0 };

    ck_assert_int_eq(run_download(0, &down, &o), BV_E_NOT_FOUND);
    ck_assert_int_eq(run_upload(0, &up, &o), BV_E_NOT_FOUND); /* no source directory */
    make_text(bvt_path("source"), "a", "a");
    up.exclude = bad_pattern;
    ck_assert_int_eq(run_upload(0, &up, &o), BV_E_INVALID);
    ck_assert_ptr_nonnull(strstr(o.text, "a[b"));
    up.exclude = NULL;
    up.zstd_level = 99;
    ck_assert_int_eq(run_upload(0, &up, &o), BV_E_INVALID);
    up.zstd_level = 22;
    ck_assert_int_eq(run_upload(0, &up, &o), BV_E_INVALID); /* more memory than allowed */
    ck_assert_ptr_nonnull(strstr(o.text, "128 MiB"));
    up.zstd_level = 0;
    up.key = "../x";
    ck_assert_int_eq(run_upload(0, &up, &o), BV_E_INVALID);
    up.key = "chain-data";
    up.store = "ftp://x";
    ck_assert_int_eq(run_upload(0, &up, &o), BV_E_INVALID);
}
END_TEST

START_TEST(does_not_write_through_links)
{
    bv_upload_opts up = upload_opts(bvt_path("source"));
    bv_download_opts down = download_opts(bvt_path("dest"));
    outcome o = { 0 };

    make_text(bvt_path("source"), "dir/file", "content");
    ck_assert_msg(run_upload(0, &up, &o) == 0, "%s", o.text);
    ck_assert_int_eq(mkdir(bvt_path("dest"), 0755), 0);
    ck_assert_int_eq(mkdir(bvt_path("elsewhere"), 0755), 0);
    ck_assert_int_eq(symlink(bvt_path("elsewhere"), bvt_path("dest/dir")), 0);
    ck_assert_int_eq(run_download(0, &down, &o), BV_E_INVALID);
    ck_assert(!bvt_exists(bvt_path("elsewhere/file")));
    ck_assert_ptr_nonnull(strstr(o.text, "dir/file"));
}
END_TEST

START_TEST(overwrites_longer_files_and_leaves_others)
{
    bv_upload_opts up = upload_opts(bvt_path("source"));
    bv_download_opts down = download_opts(bvt_path("dest"));
    outcome o = { 0 };
    struct stat st;

    make_file(bvt_path("source"), "f", 5000, 1);
    ck_assert_msg(run_upload(0, &up, &o) == 0, "%s", o.text);
    make_file(bvt_path("dest"), "f", 90000, 2);
    make_file(bvt_path("dest"), "other", 7, 2);
    ck_assert_msg(run_download(0, &down, &o) == 0, "%s", o.text);
    ck_assert_int_eq(stat(bvt_path("dest/f"), &st), 0);
    ck_assert_int_eq(st.st_size, 5000);
    ck_assert(bvt_exists(bvt_path("dest/other")));
}
END_TEST

START_TEST(damaged_chunks_are_found)
{
    bv_upload_opts up = upload_opts(bvt_path("source"));
    bv_download_opts down = download_opts(bvt_path("dest"));
    bv_verify_opts verify = BV_VERIFY_OPTS_INIT;
    outcome o = { 0 };
    FILE *part;

    make_file(bvt_path("source"), "f", 500000, 1);
    up.number_of_chunks = 3;
    ck_assert_msg(run_upload(0, &up, &o) == 0, "%s", o.text);
    part = fopen(bvt_path("store/chain-data/1/data.part_1"), "r+");
    ck_assert_ptr_nonnull(part);
    (void)fseek(part, 30000, SEEK_SET);
    (void)fputs("damage", part);
    (void)fclose(part);
    verify.store = up.store;
    verify.key = up.key;
    ck_assert_int_eq(run_verify(2, &verify, &o), BV_E_CHECKSUM);
    ck_assert_ptr_nonnull(strstr(o.text, "data.part_1"));
    ck_assert_int_eq(run_download(0, &down, &o), BV_E_CHECKSUM);
    ck_assert_int_eq(truncate(bvt_path("store/chain-data/1/data.part_1"), 1000), 0);
    ck_assert_int_eq(run_download(0, &down, &o), BV_E_CHECKSUM);
    ck_assert_ptr_nonnull(strstr(o.text, "bytes instead of"));
    ck_assert_int_eq(unlink(bvt_path("store/chain-data/1/data.part_1")), 0);
    ck_assert_int_eq(run_download(0, &down, &o), BV_E_NOT_FOUND);
    /* Put right, it goes on with what it has. */
    ck_assert_int_eq(unlink(bvt_path("store/chain-data/1/manifest-header.json")), 0);
    up.state_dir = bvt_path("state2");
    up.data_version = 1;
    ck_assert_msg(run_upload(0, &up, &o) == 0, "%s", o.text);
    ck_assert_msg(run_download(0, &down, &o) == 0, "%s", o.text);
    assert_same_tree(bvt_path("source"), bvt_path("dest"));
}
END_TEST

/* What a manifest may call a chunk; the file is there each time, with the right content. */
static const struct {
    const char *key;
    bool link; /* the chunk's file is a link to the real one */
    int code;
    const char *says;
} elsewhere[] = {
    { "../outside", false, BV_E_FORMAT, "leaves the destination through '..'" },
    { "chain-data/1/../../../outside", false, BV_E_FORMAT, "leaves the destination through '..'" },
    { "/outside", false, BV_E_FORMAT, "is absolute" },
    { "chain-data/1/data.part_0", true, BV_E_IO, "cannot open" },
};

START_TEST(chunks_come_from_the_store_alone)
{
    bv_upload_opts up = upload_opts(bvt_path("source"));
    bv_download_opts down = download_opts(bvt_path("dest"));
    const char *body = bvt_path("store/chain-data/1/manifest-body.json");
    const char *part = bvt_path("store/chain-data/1/data.part_0");
    outcome o = { 0 };
    bvi_auto_free char *text = NULL;
    size_t len = 0;
    char *key;

    make_text(bvt_path("source"), "f", "some text");
    up.number_of_chunks = 1;
    ck_assert_msg(run_upload(0, &up, &o) == 0, "%s", o.text);
    ck_assert_int_eq(rename(part, bvt_path("outside")), 0);
    if (elsewhere[_i].link)
        ck_assert_int_eq(symlink(bvt_path("outside"), part), 0);
    ck_assert_int_eq(bvi_fs_read(body, 65536, &text, &len, NULL), 0);
    key = strstr(text, "chain-data/1/data.part_0");
    ck_assert_ptr_nonnull(key);
    *key = '\0';
    (void)bvt_write_file(
        "store/chain-data/1/manifest-body.json",
        bvt_format("%s%s%s", text, elsewhere[_i].key, key + strlen("chain-data/1/data.part_0")));
    ck_assert_int_eq(run_download(0, &down, &o), elsewhere[_i].code);
    ck_assert_msg(strstr(o.text, elsewhere[_i].says) != NULL, "%s", o.text);
    ck_assert(!bvt_exists(bvt_path("dest/f")));
}
END_TEST

START_TEST(header_and_body_must_agree)
{
    bv_upload_opts up = upload_opts(bvt_path("source"));
    bv_download_opts down = download_opts(bvt_path("dest"));
    const char *header = bvt_path("store/chain-data/1/manifest-header.json");
    static const char *const chunks[] = { "\"chunks\":1", "\"chunks\":2" };
    bvi_auto_free char *text = NULL;
    outcome o = { 0 };
    size_t len = 0;
    char *at;

    make_file(bvt_path("source"), "f", 500000, 1);
    up.number_of_chunks = _i == 0 ? 2 : 1; /* the body's; the header is changed to the other */
    ck_assert_msg(run_upload(0, &up, &o) == 0, "%s", o.text);
    ck_assert_int_eq(bvi_fs_read(header, 65536, &text, &len, NULL), 0);
    at = strstr(text, chunks[1 - _i]);
    ck_assert_ptr_nonnull(at);
    *at = '\0';
    (void)bvt_write_file("store/chain-data/1/manifest-header.json",
                         bvt_format("%s%s%s", text, chunks[_i], at + strlen(chunks[1 - _i])));
    ck_assert_int_eq(run_download(0, &down, &o), BV_E_FORMAT);
    ck_assert_msg(strstr(o.text, "header says") != NULL, "%s", o.text);
}
END_TEST

BVT_MAIN("transfer/roundtrip", bvt_loop(gives_back_what_went_in, settings),
         bvt_test(all_files_get_one_time), bvt_test(versions_count_up_and_never_change),
         bvt_test(an_empty_directory_is_an_archive_too),
         bvt_test(leaves_out_what_is_excluded_and_what_cannot_be_kept),
         bvt_test(refuses_what_cannot_be), bvt_test(does_not_write_through_links),
         bvt_test(overwrites_longer_files_and_leaves_others), bvt_test(damaged_chunks_are_found),
         bvt_loop(chunks_come_from_the_store_alone, elsewhere),
         bvt_times(header_and_body_must_agree, 2))
