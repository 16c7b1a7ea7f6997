/* Cuts: where the document says, the same however the data arrives, and stable under changes. */
#include <stdlib.h>

#include "bvt.h"
#include "snapshot/cut.h"

#define MIB      ((size_t)1024 * 1024)
#define CUTS_MAX 1000u

typedef struct cuts {
    uint64_t ends[CUTS_MAX];
    size_t n;
} cuts;

static uint64_t splitmix(uint64_t z)
{
    z *= 0x9e3779b97f4a7c15ull;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
}

static uint8_t *make_data(size_t len, uint64_t seed)
{
    uint8_t *data = malloc(len + 8);

    for (size_t i = 0; i < len; i += 8) {
        uint64_t word = splitmix(seed + i + 1);

        memcpy(data + i, &word, 8);
    }
    return data;
}

static const bvi_cut_rule content = { .kind = BVI_CUT_CONTENT };

/* Cuts a file that lies at `from` of its file, offering `step` bytes more each time it takes. */
static cuts cut_all(const bvi_cut_rule *rule, uint64_t from, const uint8_t *data, size_t len,
                    size_t step)
{
    cuts all = { .n = 0 };
    size_t at = 0;
    size_t offered = step;

    while (at < len) {
        size_t have = offered < len - at ? offered : len - at;
        size_t cut = bvi_cut_next(rule, from + at, data + at, have, have == len - at);

        ck_assert_uint_le(cut, have);
        if (cut == 0) {
            ck_assert_uint_lt(have, BVI_SNAP_CHUNK_MAX);
            offered += step;
            continue;
        }
        at += cut;
        offered = step;
        all.ends[all.n++] = at;
        ck_assert_uint_lt(all.n, CUTS_MAX);
    }
    return all;
}

/* How many of the chunks of b, by their bytes, are chunks of a. */
static size_t shared(const uint8_t *data_a, const cuts *a, const uint8_t *data_b, const cuts *b)
{
    size_t n = 0;

    for (size_t i = 0; i < b->n; i++) {
        uint64_t start = i > 0 ? b->ends[i - 1] : 0;
        uint64_t len = b->ends[i] - start;
        bool found = false;

        for (size_t k = 0; k < a->n && !found; k++) {
            uint64_t other = k > 0 ? a->ends[k - 1] : 0;

            found = a->ends[k] - other == len && memcmp(data_a + other, data_b + start, len) == 0;
        }
        n += found;
    }
    return n;
}

/* The rule of doc/snapshot-format.md word by word. */
static size_t by_the_book(const uint8_t *bytes, size_t len)
{
    for (size_t n = 256 * 1024 + 1; n <= len; n++) {
        uint64_t h = 0;

        if (n == 4 * MIB)
            return n;
        for (size_t i = n - 64; i < n; i++)
            h = h * 2 + splitmix(bytes[i] + 1u);
        if (h >> (n <= MIB ? 42 : 46) == 0)
            return n;
    }
    return len;
}

START_TEST(cuts_as_documented)
{
    size_t len = 2 * MIB;
    uint8_t *data = make_data(len, (uint64_t)_i * 1000003u);

    ck_assert_uint_eq(bvi_cut_next(&content, 0, data, len, true), by_the_book(data, len));
    free(data);
}
END_TEST

START_TEST(cuts_do_not_depend_on_buffers)
{
    size_t len = 80 * MIB;
    uint8_t *data = make_data(len, 1);
    cuts whole = cut_all(&content, 0, data, len, 4 * MIB);
    cuts bits = cut_all(&content, 0, data, len, 300001);
    bool at_segment = false;

    ck_assert_uint_eq(whole.n, bits.n);
    ck_assert_mem_eq(whole.ends, bits.ends, whole.n * sizeof(whole.ends[0]));
    for (size_t i = 0; i < whole.n; i++)
        at_segment |= whole.ends[i] == BVI_CUT_SEGMENT;
    ck_assert(at_segment);
    ck_assert_uint_ge(whole.n, 60);
    ck_assert_uint_le(whole.n, 100);
    free(data);
}
END_TEST

START_TEST(an_insertion_changes_few_chunks)
{
    size_t len = 48 * MIB;
    size_t where = 20 * MIB + 12345;
    uint8_t *data = make_data(len, 2);
    uint8_t *other = malloc(len + 3);
    cuts before = cut_all(&content, 0, data, len, 4 * MIB);
    cuts after;

    memcpy(other, data, where);
    memcpy(other + where, "new", 3);
    memcpy(other + where + 3, data + where, len - where);
    after = cut_all(&content, 0, other, len + 3, 4 * MIB);
    ck_assert_uint_ge(shared(data, &before, other, &after) + 4, after.n);
    free(data);
    free(other);
}
END_TEST

START_TEST(appending_keeps_all_but_the_last)
{
    size_t len = 40 * MIB;
    uint8_t *data = make_data(len + 10 * MIB, 3);
    cuts before = cut_all(&content, 0, data, len, 4 * MIB);
    cuts after = cut_all(&content, 0, data, len + 10 * MIB, 4 * MIB);

    ck_assert_mem_eq(before.ends, after.ends, (before.n - 1) * sizeof(before.ends[0]));
    free(data);
}
END_TEST

START_TEST(a_changed_page_changes_one_chunk)
{
    const bvi_cut_rule grid = { .kind = BVI_CUT_GRID, .grid = 65536 };
    size_t len = 2 * MIB + 100;
    uint8_t *data = make_data(len, 4);
    uint8_t *other = make_data(len, 4);
    cuts before = cut_all(&grid, 0, data, len, 50000);
    cuts after;

    ck_assert_uint_eq(before.n, 33);
    ck_assert_uint_eq(before.ends[0], 65536);
    ck_assert_uint_eq(before.ends[32], len);
    memset(other + 70000, 0, 4096);
    after = cut_all(&grid, 0, other, len, 4 * MIB);
    ck_assert_uint_eq(shared(data, &before, other, &after), 32);
    /* From the middle of a cell only the rest of it. */
    ck_assert_uint_eq(bvi_cut_next(&grid, 65536 + 4096, data, len, false), 65536 - 4096);
    free(data);
    free(other);
}
END_TEST

START_TEST(data_without_content_is_cut_too)
{
    uint8_t *zeros = calloc(1, 9 * MIB);
    cuts all = cut_all(&content, 0, zeros, 9 * MIB, MIB);

    ck_assert_uint_eq(all.ends[0], 4 * MIB);
    ck_assert_uint_eq(all.n, 3);
    free(zeros);
}
END_TEST

#define GIB (1024ull * MIB)

static const struct {
    size_t at;
    size_t len;
    const char *bytes;
    uint64_t size;
    uint32_t grid; /* 0: content */
} kinds[] = {
    { 0, 16, "SQLite format 3", MIB, 65536 },
    { 16, 4, "\xde\xc0\xef\xbe", 64 * GIB, 65536 },
    { 4112, 4, "\xde\xc0\xef\xbe", 64 * GIB + 1, 262144 },
    { 20, 8, "\x03\x11\x4c\xef\xbd\x9d\x65\x59", 512 * GIB, 262144 },
    { 4116, 8, "\x02\x11\x4c\xef\xbd\x9d\x65\x59", 512 * GIB + 1, 1048576 },
    { 16, 4, "\xed\xda\x0c\xed", MIB, 65536 },
    { 17, 4, "\xde\xc0\xef\xbe", MIB, 0 },
    { 0, 15, "SQLite format 4", MIB, 0 },
};

START_TEST(kinds_are_told_by_content)
{
    uint8_t probe[BVI_CUT_PROBE] = { 0 };
    bvi_cut_rule rule;

    memcpy(probe + kinds[_i].at, kinds[_i].bytes, kinds[_i].len);
    rule = bvi_cut_rule_of(probe, sizeof(probe), kinds[_i].size);
    ck_assert_int_eq(rule.kind, kinds[_i].grid ? BVI_CUT_GRID : BVI_CUT_CONTENT);
    ck_assert_uint_eq(rule.grid, kinds[_i].grid);
    rule = bvi_cut_rule_of(probe, kinds[_i].at + kinds[_i].len - 1, kinds[_i].size);
    ck_assert_int_eq(rule.kind, BVI_CUT_CONTENT);
}
END_TEST

BVT_MAIN("snapshot/cut", bvt_times(cuts_as_documented, 5), bvt_test(cuts_do_not_depend_on_buffers),
         bvt_test(an_insertion_changes_few_chunks), bvt_test(appending_keeps_all_but_the_last),
         bvt_test(a_changed_page_changes_one_chunk), bvt_test(data_without_content_is_cut_too),
         bvt_loop(kinds_are_told_by_content, kinds))
