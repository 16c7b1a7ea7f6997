/* read_snapshot.py was written from doc/snapshot-format.md alone: what it restores is what we do.
 */
#include <stdio.h>
#include <stdlib.h>

#include "../transfer/support.h"
#include "run_snapshot.h"
#include "run_upload.h"
#include "snap_maker.h"

/* Runs a command; what it printed stays until the test ends. */
static const char *output_of(const char *command)
{
    FILE *out = popen(command, "r");
    static char text[4u << 20];
    size_t len;

    ck_assert(out != NULL);
    len = fread(text, 1, sizeof(text) - 1, out);
    text[len] = '\0';
    ck_assert_msg(pclose(out) == 0, "%s: %.2000s", command, text);
    return text;
}

/* Kind, mode, owner, size, time, links and target of all there is, then all bytes. */
static const char *tree_of(const char *dir)
{
    return output_of(bvt_format(
        "cd '%s' && find . -printf '%%P|%%y|%%m|%%U:%%G|%%s|%%T@|%%n|%%l\\n' | LC_ALL=C sort | "
        "sed 's/^\\([^|]*|d|[^|]*|[^|]*\\)|[^|]*|\\([^|]*\\)|.*/\\1|\\2/' && "
        "find . -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum",
        dir));
}

static bool have_zstd(void)
{
    return system("zstd -V >/dev/null 2>&1 && python3 -V >/dev/null 2>&1") == 0;
}

static void assert_read_alike(const char *store, unsigned version, const char *dir)
{
    const char *theirs = bvt_path("theirs%u", version);
    bvi_auto_free char *tree = NULL;

    tree = bvi_strdup(tree_of(dir));
    (void)output_of(
        bvt_format("python3 '" READER "' '%s' key %u '%s' 2>&1", store, version, theirs));
    ck_assert_str_eq(tree_of(theirs), tree);
}

START_TEST(a_snapshot_of_everything)
{
    static snap_maker m;
    const char *store = bvt_path("store");
    const char *ours = bvt_path("ours");
    snap_run run = { .done = false };

    if (!have_zstd())
        bvt_skip("needs the zstd program and python3");
    snap_maker_init(&m, store, "key", 1);
    m.stored = _i == 1;
    snap_maker_mixed(&m, 7);
    snap_maker_end(&m);
    ck_assert_msg(run_snapshot(0, store, ours, &run) == 0, "%s", run.text);
    assert_read_alike(store, 1, ours);
}
END_TEST

static const struct {
    bvi_snap_codec codec;
    int32_t level;
} codecs[] = {
    { BVI_SNAP_ZSTD, 3 },
    { BVI_SNAP_STORED, 0 },
    { BVI_SNAP_LZ4, 1 },
};

/* What the upload makes, and what it makes of changes on top. */
START_TEST(uploads_of_every_codec)
{
    const char *source = bvt_path("source");
    const char *store = bvt_path("store");
    upload_run run = { .opts = { .codec = codecs[_i].codec, .level = codecs[_i].level } };

    if (!have_zstd() ||
        (codecs[_i].codec == BVI_SNAP_LZ4 && system("lz4 --version >/dev/null 2>&1") != 0))
        bvt_skip("needs python3 and the programs zstd and lz4");
    make_mixed_tree(source, 1u << 20);
    (void)output_of(bvt_format(
        "cd '%s' && mkdir -p links/empty && ln -s /no/where links/dangling && "
        "ls -A | head -1 | while read f; do ln -s \"../$f\" links/up; done && "
        "echo same > links/a && ln links/a links/b && truncate -s 3M links/hole && "
        "printf data | dd of=links/hole bs=1 seek=2000000 conv=notrunc status=none && "
        "touch -d '2001-02-03 04:05:06.789' links/a && chmod 4711 links/a && chmod 500 links/empty",
        source));
    (void)upload_ok(store, source, &run);
    assert_read_alike(store, 1, source);
    (void)output_of(bvt_format("cd '%s' && rm links/dangling && echo more >> links/hole && "
                               "mv links/b links/c && chmod 640 links/c",
                               source));
    (void)upload_ok(store, source, &run);
    assert_read_alike(store, 2, source);
}
END_TEST

/* It checks what it reads: any changed byte of a pack is told. */
START_TEST(damage_is_told)
{
    static snap_maker m;
    const char *store = bvt_path("store");
    uint8_t bytes[3000];

    if (!have_zstd())
        bvt_skip("needs the zstd program and python3");
    snap_maker_init(&m, store, "key", 1);
    snap_maker_dir(&m, "", 0755);
    fill_bytes(bytes, sizeof(bytes), 3);
    snap_maker_file(&m, "file", bytes, sizeof(bytes));
    snap_maker_end(&m);
    (void)output_of(bvt_format("f=$(ls %s/key/packs/*/* | head -1) && "
                               "printf X | dd of=$f bs=1 seek=40 conv=notrunc status=none",
                               store));
    (void)output_of(bvt_format("python3 '" READER "' '%s' key 1 '%s' 2>&1 | grep -q "
                               "'read_snapshot: frame at .* of pack'",
                               store, bvt_path("theirs")));
}
END_TEST

BVT_MAIN("snapshot/reader", bvt_times(a_snapshot_of_everything, 2),
         bvt_loop(uploads_of_every_codec, codecs), bvt_test(damage_is_told))
