/*
 * Snapshots that somebody made to harm: pages changed at random, with hashes that fit. A download
 * restores something or says what is wrong; it never touches anything but its directory.
 * BVT_ROUNDS sets how many are tried.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "run_snapshot.h"
#include "snap_maker.h"

static unsigned next_random(unsigned *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

/* Bytes that mean something somewhere. */
static const uint8_t telling[] = { 0, 1, 2, 3, 4, 5, 6, 0x7f, 0x80, 0xff, '.', '/', 'a' };

static void change_one(bvi_buf *page, size_t from, size_t to, unsigned *state)
{
    size_t at = from + next_random(state) % (to - from);
    uint8_t byte = telling[next_random(state) % BVI_COUNT(telling)];

    switch (next_random(state) % 4) {
    case 0:
        page->data[at] = (char)(page->data[at] ^ (1 << next_random(state) % 8));
        break;
    case 1:
        page->data[at] = (char)byte;
        break;
    case 2:
        memmove(page->data + at, page->data + at + 1, page->len - at - 1);
        page->len--;
        break;
    default:
        ck_assert_int_eq(bvi_buf_append_char(page, 0), 0);
        memmove(page->data + at + 1, page->data + at, page->len - at - 1);
        page->data[at] = (char)byte;
        break;
    }
}

static bool opens(bvi_page *page, const char *bytes, size_t len)
{
    char *copy = bvi_strndup(bytes, len);

    ck_assert(copy != NULL);
    if (bvi_page_open(page, (uint8_t *)copy, len, NULL) == 0)
        return true;
    bvi_free(copy);
    return false;
}

/* Changes entries. Most changes only make a page that does not open, and are tried again: those
 * that open are what is looked for. */
static void change(bvi_buf *page, void *data)
{
    BVI_AUTO(bvi_page_done) bvi_page before = { 0 };
    unsigned *state = data;

    ck_assert(opens(&before, page->data, page->len));
    for (unsigned tries = 0; tries < 300; tries++) {
        BVI_AUTO(bvi_page_done) bvi_page after = { 0 };

        page->len = 0;
        ck_assert_int_eq(bvi_buf_append(page, before.bytes, before.len), 0);
        for (unsigned n = 1 + next_random(state) % 3; n > 0; n--)
            change_one(page, before.entries_at, before.chunks_at - 1, state);
        if (opens(&after, page->data, page->len))
            return;
    }
}

static void make_tree(snap_maker *m)
{
    const bvi_snap_extent holes[] = { { 10, 5 }, { 5000, 7 } };

    snap_maker_dir(m, "", 0755);
    snap_maker_dir(m, "a", 0755);
    snap_maker_file(m, "a/a", "0123456789", 10);
    snap_maker_dir(m, "a/b", 0700);
    snap_maker_file(m, "a/b/c", "some other bytes", 16);
    snap_maker_sparse(m, "a/hole", 9000, holes, 2, "holes within");
    snap_maker_hardlink(m, "b", "a/a");
    snap_maker_symlink(m, "c", "a");
    snap_maker_symlink(m, "d", "..");
    snap_maker_file(m, "e", "e", 1);
}

static void assert_nothing_else_changed(unsigned seed)
{
    const char *kept = bvt_path("kept");
    size_t len = 0;

    (void)bvt_read_file(bvt_path("kept/a"), &len);
    ck_assert_msg(len == 4 && system(bvt_format("test $(ls -A '%s' | wc -l) = 2 && "
                                                "test $(ls -A '%s' | wc -l) = 3",
                                                kept, bvt_path("in"))) == 0,
                  "seed %u: something was written outside", seed);
}

/* Everything is under "in": the store, the directory, its state. What ".." is from there is kept.
 */
static void run_one(unsigned seed)
{
    static snap_maker m;
    const char *store = bvt_path("in/store");
    snap_run run = { .opts.version = 1 };
    unsigned state = seed;

    (void)system(bvt_format("chmod -Rf u+rwx '%s'; rm -rf '%s'; mkdir -p '%s'", bvt_path("in"),
                            bvt_path("in"), store));
    snap_maker_init(&m, store, "key", 1);
    m.page_chunks = 2;
    m.chunk_bytes = 20;
    m.bend = change;
    m.bend_data = &state;
    make_tree(&m);
    snap_maker_end(&m);
    (void)run_snapshot(1, store, bvt_path("in/dir"), &run); /* any end but a bad one */
    ck_assert_msg(run.code != BV_E_INTERNAL, "seed %u: %s", seed, run.text);
}

START_TEST(nothing_outside_is_touched)
{
    const char *rounds = getenv("BVT_ROUNDS");
    unsigned n = rounds ? (unsigned)strtoul(rounds, NULL, 10) : 25;

    (void)system(bvt_format("mkdir -p '%s'", bvt_path("kept")));
    (void)bvt_write_file("kept/a", "kept");
    (void)bvt_write_file("kept/b", "kept");
    for (unsigned i = 0; i < n; i++) {
        run_one((unsigned)_i * 1000003u + i);
        if (!bvt_exists(bvt_path("in/dir")))
            continue;
        assert_nothing_else_changed((unsigned)_i * 1000003u + i);
    }
}
END_TEST

BVT_MAIN("snapshot/hostile", bvt_times(nothing_outside_is_touched, 3))
