/* What an upload is made of: the walk, stamps, the journal of packs, the set of pending chunks, and
 * the plan. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "../transfer/support.h"
#include "base/buf.h"
#include "snapshot/cut.h"
#include "snapshot/pack_journal.h"
#include "snapshot/pending_set.h"
#include "snapshot/plan.h"
#include "sys/fs.h"

/* ---- the walk ---- */

static int open_dir(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    ck_assert_int_ge(fd, 0);
    return fd;
}

/* All paths in their order, a line each: "d" for a directory, "f", "l", "h" before it. */
static char *walk_text(const char *dir, const char *const *exclude, const char *const *protect)
{
    static const char kinds[] = " df lh";
    bvi_buf text = BVI_BUF_INIT(1u << 20);
    bvi_tree_walk *walk = NULL;
    bvi_tree_item item;
    bv_error *err = NULL;
    int fd = open_dir(dir);
    char *copy;
    int r;

    bvt_assert_ok(bvi_tree_walk_new(
                      &(bvi_tree_walk_opts){ .dir_fd = fd, .exclude = exclude, .protect = protect },
                      &walk, &err),
                  err);
    while ((r = bvi_tree_walk_next(walk, &item, &err)) > 0)
        ck_assert_int_eq(bvi_buf_printf(&text, "%c %s\n", kinds[item.entry.kind], item.entry.path),
                         0);
    bvt_assert_ok(r, err);
    bvi_tree_walk_free(walk);
    (void)close(fd);
    copy = strdup(bvi_buf_str(&text));
    bvi_buf_done(&text);
    return copy;
}

START_TEST(walks_in_the_order_of_snapshots)
{
    static const char *const exclude[] = { "*.log", NULL };
    static const char *const protect[] = { "keys", NULL };
    const char *dir = bvt_path("tree");
    char *text;

    make_text(dir, "b", "");
    make_text(dir, "d/x", "x");
    make_text(dir, "d.a", "");
    make_text(dir, "d!", "");
    make_text(dir, "d/sub/y.log", "");
    make_text(dir, "keys/secret", "");
    ck_assert_int_eq(link(bvt_path("tree/b"), bvt_path("tree/z")), 0);
    ck_assert_int_eq(symlink("d", bvt_path("tree/s")), 0);
    text = walk_text(dir, exclude, protect);
    ck_assert_str_eq(text, "d \nf b\nd d\nd d/sub\nf d/x\nf d!\nf d.a\nl s\nh z\n");
    free(text);
}
END_TEST

/* More levels than descriptors stay open for, and a way back through all of them. */
START_TEST(walks_deep_trees)
{
    const char *dir = bvt_path("tree");
    char path[4096] = "";
    char *text;
    size_t lines = 0;

    for (unsigned i = 0; i < 200; i++) {
        (void)strcat(path, "d/");
        make_text(dir, bvt_format("%sz", path), "");
    }
    text = walk_text(dir, NULL, NULL);
    for (const char *at = text; *at; at++)
        lines += *at == '\n';
    ck_assert_uint_eq(lines, 1 + 200 + 200);
    free(text);
}
END_TEST

START_TEST(attributes_are_read)
{
    const char *dir = bvt_path("tree");
    bvi_tree_walk *walk = NULL;
    bvi_tree_item item;
    bv_error *err = NULL;
    int fd;

    make_text(dir, "f", "");
    if (setxattr(bvt_path("tree/f"), "user.b", "two", 3, 0) < 0)
        bvt_skip("no extended attributes here");
    ck_assert_int_eq(setxattr(bvt_path("tree/f"), "user.a", "\0one", 4, 0), 0);
    fd = open_dir(dir);
    bvt_assert_ok(
        bvi_tree_walk_new(&(bvi_tree_walk_opts){ .dir_fd = fd, .xattrs = true }, &walk, &err), err);
    ck_assert_int_eq(bvi_tree_walk_next(walk, &item, &err), 1);
    ck_assert_int_eq(bvi_tree_walk_next(walk, &item, &err), 1);
    ck_assert_uint_eq(item.entry.n_xattrs, 2);
    ck_assert_str_eq(item.entry.xattrs[0].name, "user.a");
    ck_assert_uint_eq(item.entry.xattrs[0].value_len, 4);
    ck_assert_mem_eq(item.entry.xattrs[0].value, "\0one", 4);
    ck_assert_str_eq(item.entry.xattrs[1].name, "user.b");
    ck_assert_mem_eq(item.entry.xattrs[1].value, "two", 3);
    bvi_tree_walk_free(walk);
    (void)close(fd);
}
END_TEST

START_TEST(bad_patterns_are_refused)
{
    static const char *const bad[] = { "a[", NULL };
    bvi_tree_walk *walk = NULL;
    bv_error *err = NULL;

    ck_assert_int_eq(
        bvi_tree_walk_new(&(bvi_tree_walk_opts){ .dir_fd = -1, .protect = bad }, &walk, &err),
        BV_E_INVALID);
    bvt_assert_error_says(err, BV_E_INVALID, "protect");
    bv_error_free(err);
}
END_TEST

/* ---- stamps ---- */

static const bvi_file_stamp some_stamp = {
    .device = 7, .inode = UINT64_MAX, .size = 1, .mtime_ns = -5, .ctime_ns = INT64_MAX
};

static void write_stamps(const char *path, unsigned count, bool finish)
{
    bvi_stamps_head head = { .key = "key", .version = 3, .before_ns = 99 };
    bvi_stamps_writer *w = NULL;
    bv_error *err = NULL;

    bvt_assert_ok(bvi_stamps_writer_new(path, &w, &err), err);
    for (unsigned i = 0; i < count; i++)
        bvt_assert_ok(
            bvi_stamps_add(w, BVI_SNAP_FILE, bvt_format("dir/file %06u", i), &some_stamp, &err),
            err);
    bvt_assert_ok(finish ? bvi_stamps_finish(w, &head, &err) : bvi_stamps_flush(w, &err), err);
    bvi_stamps_writer_free(w);
}

/* How many can be read before the end, or before what is damaged. */
static unsigned read_stamps(const char *path, int *ret_code)
{
    bvi_stamps_reader *s = NULL;
    bvi_stamps_item item;
    bv_error *err = NULL;
    unsigned count = 0;

    bvt_assert_ok(bvi_stamps_reader_new(path, NULL, &s, &err), err);
    while ((*ret_code = bvi_stamps_next(s, &item, &err)) > 0) {
        ck_assert_str_eq(item.path, bvt_format("dir/file %06u", count));
        ck_assert(bvi_file_stamp_equal(&item.stamp, &some_stamp));
        count++;
    }
    bvi_stamps_reader_free(s);
    bv_error_free(err);
    return count;
}

START_TEST(stamps_are_kept)
{
    const char *path = bvt_path("stamps");
    bvi_stamps_reader *s = NULL;
    bvi_stamps_head head;
    bv_error *err = NULL;
    int code;

    write_stamps(path, 5000, true);
    ck_assert_uint_eq(read_stamps(path, &code), 5000);
    ck_assert_int_eq(code, 0);
    bvt_assert_ok(bvi_stamps_reader_new(path, &head, &s, &err), err);
    ck_assert_str_eq(head.key, "key");
    ck_assert_uint_eq(head.version, 3);
    ck_assert_int_eq(head.before_ns, 99);
    bvi_stamps_reader_free(s);
}
END_TEST

START_TEST(stamps_without_a_head_mean_nothing)
{
    const char *path = bvt_path("stamps");
    bvi_stamps_reader *s = NULL;
    bvi_stamps_head head;
    int code;

    write_stamps(path, 10, false);
    ck_assert_int_eq(bvi_stamps_reader_new(path, &head, &s, NULL), BV_E_FORMAT);
    ck_assert_uint_eq(read_stamps(path, &code), 10);
    ck_assert_int_eq(bvi_stamps_reader_new(bvt_path("none"), &head, &s, NULL), BV_E_NOT_FOUND);
}
END_TEST

START_TEST(cut_stamps_end_early)
{
    const char *path = bvt_path("stamps");
    struct stat st;
    int code;

    write_stamps(path, 100, true);
    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert_int_eq(truncate(path, st.st_size - 1), 0);
    ck_assert_uint_eq(read_stamps(path, &code), 99);
    ck_assert_int_eq(code, BV_E_FORMAT);
}
END_TEST

/* ---- the journal ---- */

static void fill_frames(bvi_snap_frame *frames, size_t n, unsigned seed)
{
    for (size_t i = 0; i < n; i++) {
        memset(&frames[i], 0, sizeof(frames[i]));
        memset(frames[i].pack.bytes, (int)seed, sizeof(frames[i].pack.bytes));
        memset(frames[i].hash.bytes, (int)(seed + i), sizeof(frames[i].hash.bytes));
        frames[i].offset = 16 + i * 1000;
        frames[i].stored = 1000;
        frames[i].plain = 4000;
        frames[i].codec = BVI_SNAP_ZSTD;
    }
}

static void write_journal(const char *path, unsigned packs)
{
    bvi_pack_journal_head head = { .version = 0 };
    bvi_pack_journal *j = NULL;
    bvi_snap_frame frames[20];
    bv_error *err = NULL;

    bvt_assert_ok(bvi_pack_journal_open(path, &head, &j, &err), err);
    ck_assert_str_eq(head.key, "");
    (void)strcpy(head.key, "key");
    (void)strcpy(head.lease, "lease");
    bvt_assert_ok(bvi_pack_journal_restart(j, &head, &err), err);
    head.version = 12;
    bvt_assert_ok(bvi_pack_journal_update(j, &head, &err), err);
    for (unsigned i = 0; i < packs; i++) {
        fill_frames(frames, 20, i);
        bvt_assert_ok(bvi_pack_journal_add(j, frames, 20, &err), err);
    }
    bvi_pack_journal_free(j);
}

/* Packs that are read back whole. */
static unsigned read_journal(const char *path, bvi_pack_journal_head *head)
{
    bvi_snap_frames frames = { .max = BVI_PACK_FRAMES_MAX };
    bvi_pack_journal *j = NULL;
    bvi_snap_frame wanted[20];
    bv_error *err = NULL;
    unsigned packs = 0;
    int r;

    bvt_assert_ok(bvi_pack_journal_open(path, head, &j, &err), err);
    while ((r = bvi_pack_journal_next(j, &frames, &err)) > 0) {
        fill_frames(wanted, 20, packs++);
        ck_assert_uint_eq(frames.len, 20);
        ck_assert_mem_eq(frames.items, wanted, sizeof(wanted));
    }
    bvt_assert_ok(r, err);
    ck_assert_uint_eq(packs, bvi_pack_journal_packs(j));
    bvi_pack_journal_free(j);
    bvi_vec_done(&frames);
    return packs;
}

START_TEST(a_journal_is_read_up_to_what_is_damaged)
{
    const char *path = bvt_path("journal");
    bvi_pack_journal_head head;
    struct stat st;
    int fd;

    write_journal(path, 10);
    ck_assert_uint_eq(read_journal(path, &head), 10);
    ck_assert_str_eq(head.key, "key");
    ck_assert_str_eq(head.lease, "lease");
    ck_assert_uint_eq(head.version, 12);
    ck_assert(!head.publishing);
    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert_int_eq(truncate(path, st.st_size - 3), 0);
    ck_assert_uint_eq(read_journal(path, &head), 9);
    fd = open(path, O_WRONLY);
    ck_assert_int_eq(pwrite(fd, "?", 1, st.st_size / 2), 1);
    (void)close(fd);
    ck_assert_uint_lt(read_journal(path, &head), 6);
    ck_assert_uint_eq(head.version, 12);
}
END_TEST

START_TEST(an_end_is_remembered_too)
{
    const char *path = bvt_path("journal");
    bvi_pack_journal_head head;
    bvi_pack_journal_head again;
    bvi_pack_journal *j = NULL;
    bv_error *err = NULL;

    write_journal(path, 2);
    bvt_assert_ok(bvi_pack_journal_open(path, &head, &j, &err), err);
    head.publishing = true;
    memset(head.root.bytes, 0x5a, sizeof(head.root.bytes));
    bvt_assert_ok(bvi_pack_journal_update(j, &head, &err), err);
    bvi_pack_journal_free(j);
    ck_assert_uint_eq(read_journal(path, &again), 2);
    ck_assert(again.publishing && bvi_hash256_equal(&again.root, &head.root));
}
END_TEST

/* ---- chunks under way ---- */

static bvi_hash256 hash_number(uint32_t number)
{
    bvi_hash256 hash;

    bvi_blake3_hash(&number, sizeof(number), hash.bytes);
    if (number % 3 == 0) /* neighbours that fall on one place */
        memset(hash.bytes, 0, 8);
    return hash;
}

START_TEST(pending_chunks_come_and_go)
{
    bvi_pending_set set = { .len = 0 };
    uint32_t owner;

    for (uint32_t i = 0; i < 3000; i++) {
        bvi_hash256 hash = hash_number(i);

        ck_assert(!bvi_pending_find(&set, &hash, &owner));
        ck_assert_int_eq(bvi_pending_add(&set, &hash, i % 7, NULL), 0);
    }
    for (uint32_t i = 0; i < 3000; i += 2) {
        bvi_hash256 hash = hash_number(i);

        bvi_pending_remove(&set, &hash);
        bvi_pending_remove(&set, &hash); /* is no harm */
    }
    ck_assert_uint_eq(set.len, 1500);
    for (uint32_t i = 0; i < 3000; i++) {
        bvi_hash256 hash = hash_number(i);

        ck_assert_int_eq(bvi_pending_find(&set, &hash, &owner), i % 2);
        ck_assert(i % 2 == 0 || owner == i % 7);
    }
    bvi_pending_done(&set);
}
END_TEST

/* ---- the plan ---- */

/* The first path of each unit. */
static void plan_units(const char *dir, bvi_strv *firsts)
{
    bvi_unit_list units = { .len = 0 };
    bvi_plan *plan = NULL;
    bvi_unit *unit;
    bv_error *err = NULL;
    int fd = open_dir(dir);
    int r;

    bvt_assert_ok(
        bvi_plan_new(&(bvi_plan_opts){ .walk = { .dir_fd = fd }, .new_stamps = bvt_path("stamps") },
                     &plan, &err),
        err);
    do {
        r = bvi_plan_step(plan, &units, &err);
    } while (r > 0);
    bvt_assert_ok(r, err);
    while ((unit = bvi_unit_pop(&units))) {
        ck_assert_uint_le(unit->data_bytes, unit->large ? UINT64_MAX : BVI_CUT_BUNDLE);
        ck_assert_int_eq(bvi_strv_add(firsts, bvi_unit_path(unit, 0)), 0);
        bvi_unit_free(unit);
    }
    bvi_plan_free(plan);
    (void)close(fd);
}

static size_t count_missing(const bvi_strv *from, const bvi_strv *in)
{
    size_t missing = 0;

    for (size_t i = 0; i < from->len; i++)
        missing += !bvi_strv_has(in, from->items[i]);
    return missing;
}

/* What is added and removed in the middle leaves almost all bundles as they were. */
START_TEST(bundles_stay_where_they_are)
{
    const char *dir = bvt_path("tree");
    bvi_strv before = BVI_VEC_INIT(1000);
    bvi_strv after = BVI_VEC_INIT(1000);

    for (unsigned i = 0; i < 1500; i++)
        make_file(dir, bvt_format("f%04u", i), 1 + i * 7919 % 16384, i);
    plan_units(dir, &before);
    ck_assert_uint_gt(before.len, 12);
    ck_assert_uint_lt(before.len, 48);
    make_file(dir, "f0700 new", 5000, 1);
    (void)unlink(bvt_path("tree/f0100"));
    make_file(dir, "f1200", 200000, 2);
    plan_units(dir, &after);
    ck_assert_uint_le(count_missing(&before, &after), 6);
    bvi_strv_done(&before);
    bvi_strv_done(&after);
}
END_TEST

static const struct {
    const char *what;
    const char *says;
} changes[] = {
    { "true", NULL },
    { "touch new", "'new' appeared" },
    { "rm b", "'b' disappeared" },
    { "rm -r d", "'d' disappeared" },
    { "echo more >> d/x", "'d/x' changed" },
    { "cp -p b c && mv c b", "'b' changed" },
    { "chmod 600 d/x", "'d/x' changed" },
    { "chmod 700 d", "'d' changed" },
    { "rm b && mkdir b", "'b' changed" },
    { "touch z", "'z' appeared" },
    { "touch left.out", NULL },
    { "touch -d 2001-01-01 d", NULL }, /* files that are left out may come and go in it */
};

START_TEST(the_look_back_names_what_changed)
{
    static const char *const exclude[] = { "*.out", NULL };
    const char *dir = bvt_path("tree");
    const char *stamps = bvt_path("stamps");
    bvi_unit_list units = { .len = 0 };
    bvi_tree_walk_opts walk = { .exclude = exclude };
    bvi_plan *plan = NULL;
    bv_error *err = NULL;
    int r;

    make_text(dir, "b", "text");
    make_text(dir, "d/x", "text");
    walk.dir_fd = open_dir(dir);
    bvt_assert_ok(bvi_plan_new(&(bvi_plan_opts){ .walk = walk, .new_stamps = stamps }, &plan, &err),
                  err);
    ck_assert_int_eq(bvi_plan_step(plan, &units, &err), 0);
    ck_assert_uint_eq(bvi_plan_result(plan)->files, 2);
    bvi_unit_list_done(&units);
    bvi_plan_free(plan);
    ck_assert_int_eq(system(bvt_format("cd %s && %s", dir, changes[_i].what)), 0);
    r = bvi_plan_recheck(&walk, stamps, &err);
    ck_assert_int_eq(r, changes[_i].says ? BV_E_STATE : 0);
    if (changes[_i].says)
        bvt_assert_error_says(err, BV_E_STATE, changes[_i].says);
    bv_error_free(err);
    (void)close(walk.dir_fd);
}
END_TEST

BVT_MAIN("snapshot/upload_parts", bvt_test(walks_in_the_order_of_snapshots),
         bvt_test(walks_deep_trees), bvt_test(attributes_are_read),
         bvt_test(bad_patterns_are_refused), bvt_test(stamps_are_kept),
         bvt_test(stamps_without_a_head_mean_nothing), bvt_test(cut_stamps_end_early),
         bvt_test(a_journal_is_read_up_to_what_is_damaged), bvt_test(an_end_is_remembered_too),
         bvt_test(pending_chunks_come_and_go), bvt_test(bundles_stay_where_they_are),
         bvt_loop(the_look_back_names_what_changed, changes))
