/* The rules of a snapshot that span its pages. */
#include "bvt.h"
#include "snapshot/walk_check.h"

#define D(p)                                                                                       \
    {                                                                                              \
        .kind = BVI_SNAP_DIR, .path = (p)                                                          \
    }
#define F(p)                                                                                       \
    {                                                                                              \
        .kind = BVI_SNAP_FILE, .path = (p), .size = 10                                             \
    }
#define C(p, n)                                                                                    \
    {                                                                                              \
        .kind = BVI_SNAP_CONTINUED, .path = (p), .size = (n)                                       \
    }
#define S(p)                                                                                       \
    {                                                                                              \
        .kind = BVI_SNAP_SYMLINK, .path = (p), .target = "x"                                       \
    }
#define H(p, t)                                                                                    \
    {                                                                                              \
        .kind = BVI_SNAP_HARDLINK, .path = (p), .target = (t)                                      \
    }
#define STEPS_MAX 8

static const struct {
    bvi_snap_entry steps[STEPS_MAX];
    const char *says; /* NULL: all is well */
    bool second;      /* found when the entries come again */
} cases[] = {
    { { D(""), D("a"), F("a/b"), D("a/c"), F("a/c/d"), F("a/e"), F("a.b"), F("b") }, NULL, false },
    { { D(""), F("a"), C("a", 10), C("a", 10), F("b") }, NULL, false },
    { { D(""), F("a"), H("b", "a"), H("c", "a") }, NULL, false },
    { { F("a") }, "begins with 'a'", false },
    { { D("a") }, "begins with 'a'", false },
    { { C("a", 10) }, "did not begin", false },
    { { D(""), F("b"), F("a") }, "behind 'b'", false },
    { { D(""), F("a"), F("a") }, "behind 'a'", false },
    { { D(""), D("d"), F("d.a"), F("d/x") }, "behind 'd.a'", false },
    { { D(""), F("a/b") }, "does not have", false },
    { { D(""), F("a"), F("a/b") }, "does not have", false },
    { { D(""), S("a"), F("a/b") }, "does not have", false },
    { { D(""), D("a"), F("a/b"), F("a/c/d") }, "does not have", false },
    { { D(""), F("a"), F("b"), C("a", 10) }, "did not begin", false },
    { { D(""), F("a"), C("a", 11) }, "changes its size", false },
    { { D(""), S("a"), C("a", 0) }, "did not begin", false },
    { { D(""), H("a", "b"), F("b") }, "not earlier", false },
    { { D(""), F("a"), H("c", "b") }, "no file of the snapshot", true },
    { { D(""), D("a"), H("b", "a") }, "no file of the snapshot", true },
    { { D(""), F("a"), H("b", "a"), H("c", "b") }, "no file of the snapshot", true },
};

static int feed(bvi_walk_check *walk, const bvi_snap_entry *steps, bv_error **err)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < STEPS_MAX && steps[i].path; i++)
        r = bvi_walk_check_entry(walk, &steps[i], err);
    return r;
}

START_TEST(order_is_kept_or_refused)
{
    bool bad = cases[_i].says != NULL;
    bvi_walk_check walk;
    bv_error *err = NULL;
    int r;

    bvi_walk_check_init(&walk);
    r = feed(&walk, cases[_i].steps, &err);
    ck_assert_int_eq(r, bad && !cases[_i].second ? BV_E_FORMAT : 0);
    if (r == 0) {
        bvi_walk_check_again(&walk);
        r = feed(&walk, cases[_i].steps, &err);
        ck_assert_int_eq(r, bad ? BV_E_FORMAT : 0);
    }
    if (bad)
        bvt_assert_error_says(err, BV_E_FORMAT, cases[_i].says);
    bv_error_free(err);
    bvi_walk_check_done(&walk);
}
END_TEST

START_TEST(sums_must_be_those_of_the_root)
{
    const bvi_snap_page_ref ref = { .entries = 2, .chunks = 1, .bytes = 10 };
    bvi_snap_root root = { .entries = 2, .files = 1, .chunks = 1, .plain_bytes = 10 };
    bvi_walk_check walk;
    bv_error *err = NULL;

    bvi_walk_check_init(&walk);
    ck_assert_int_eq(bvi_walk_check_end(&walk, &root, NULL), BV_E_FORMAT);
    bvt_assert_ok(feed(&walk, (const bvi_snap_entry[STEPS_MAX]){ D(""), F("a") }, &err), err);
    ck_assert_int_eq(bvi_walk_check_page(&walk, &ref, 3, 1, 10, NULL), BV_E_FORMAT);
    ck_assert_int_eq(bvi_walk_check_page(&walk, &ref, 2, 2, 10, NULL), BV_E_FORMAT);
    ck_assert_int_eq(bvi_walk_check_page(&walk, &ref, 2, 1, 11, NULL), BV_E_FORMAT);
    bvt_assert_ok(bvi_walk_check_page(&walk, &ref, 2, 1, 10, &err), err);
    bvt_assert_ok(bvi_walk_check_end(&walk, &root, &err), err);
    root.files++;
    ck_assert_int_eq(bvi_walk_check_end(&walk, &root, NULL), BV_E_FORMAT);
    bvi_walk_check_done(&walk);
}
END_TEST

BVT_MAIN("snapshot/walk_check", bvt_loop(order_is_kept_or_refused, cases),
         bvt_test(sums_must_be_those_of_the_root))
