/* The table of known chunks: what is added is found, small, large, and with failing growth. */
#include <stdlib.h>

#include "bvt.h"
#include "snapshot/chunk_table.h"

static bvi_snap_frame frame_of(uint32_t n)
{
    bvi_snap_frame frame = {
        .offset = n % 50000,
        .stored = n % 1000 + 1,
        .plain = n % 1000 + 1,
        .codec = (bvi_snap_codec)(n % 3),
    };
    uint32_t pack = n / 7;

    bvi_blake3_hash(&n, sizeof(n), frame.hash.bytes);
    memcpy(frame.pack.bytes, &pack, sizeof(pack));
    return frame;
}

static void check_found(const bvi_chunk_table *table, uint32_t n)
{
    const bvi_snap_frame want = frame_of(n);
    bvi_snap_frame found;

    ck_assert_msg(bvi_chunk_table_find(table, &want.hash, &found), "chunk %u", n);
    ck_assert(bvi_hash256_equal(&found.hash, &want.hash));
    ck_assert(bvi_hash256_equal(&found.pack, &want.pack));
    ck_assert_uint_eq(found.offset, want.offset);
    ck_assert_uint_eq(found.stored, want.stored);
    ck_assert_uint_eq(found.plain, want.plain);
    ck_assert_int_eq(found.codec, want.codec);
}

static void fill(bvi_chunk_table *table, uint32_t count)
{
    bv_error *err = NULL;

    for (uint32_t n = 0; n < count; n++) {
        bvi_snap_frame frame = frame_of(n);

        bvt_assert_ok(bvi_chunk_table_add(table, &frame, &err), err);
    }
    ck_assert_uint_eq(bvi_chunk_table_len(table), count);
}

START_TEST(finds_what_was_added)
{
    /* Few; more than the memory for them; many with and without a directory to spill to. */
    static const uint32_t counts[] = { 1, 191, 193, 400000, 400000 };
    uint32_t count = counts[_i];
    BVI_AUTO(bvi_chunk_table_freep) bvi_chunk_table *table = NULL;
    bvi_snap_frame other = frame_of(count + 1);
    bv_error *err = NULL;

    bvt_assert_ok(bvi_chunk_table_new(_i == 4 ? NULL : bvt_dir(), &table, &err), err);
    ck_assert(!bvi_chunk_table_find(table, &other.hash, &other));
    bvt_reset_peak();
    fill(table, count);
    for (uint32_t n = 0; n < count; n++)
        check_found(table, n);
    ck_assert(!bvi_chunk_table_find(table, &other.hash, &other));
    if (count == 400000 && _i != 4)
        ck_assert_uint_le(bvt_peak_bytes(), 36u << 20);
}
END_TEST

START_TEST(the_first_entry_stays)
{
    BVI_AUTO(bvi_chunk_table_freep) bvi_chunk_table *table = NULL;
    bvi_snap_frame frame = frame_of(5);
    bv_error *err = NULL;

    bvt_assert_ok(bvi_chunk_table_new(NULL, &table, &err), err);
    bvt_assert_ok(bvi_chunk_table_add(table, &frame, &err), err);
    frame.offset = 12345;
    bvt_assert_ok(bvi_chunk_table_add(table, &frame, &err), err);
    check_found(table, 5);
    ck_assert_uint_eq(bvi_chunk_table_len(table), 1);
    frame.offset = BVI_SNAP_PACK_MAX;
    ck_assert_int_eq(bvi_chunk_table_add(table, &frame, NULL), BV_E_FORMAT);
}
END_TEST

/* Hashes that differ only where few would look. */
START_TEST(chosen_hashes_do_not_meet)
{
    BVI_AUTO(bvi_chunk_table_freep) bvi_chunk_table *table = NULL;
    bvi_snap_frame frame = frame_of(5);
    bv_error *err = NULL;

    bvt_assert_ok(bvi_chunk_table_new(NULL, &table, &err), err);
    memset(frame.hash.bytes, 0, sizeof(frame.hash.bytes));
    for (uint32_t n = 0; n < 200000; n++) {
        memcpy(frame.hash.bytes + 4 * (_i + 0u), &n, sizeof(n));
        bvt_assert_ok(bvi_chunk_table_add(table, &frame, &err), err);
    }
    ck_assert_uint_eq(bvi_chunk_table_len(table), 200000);
}
END_TEST

START_TEST(says_where_there_is_no_room)
{
    BVI_AUTO(bvi_chunk_table_freep) bvi_chunk_table *table = NULL;
    bv_error *err = NULL;
    uint32_t n = 0;
    int r = 0;

    bvt_assert_ok(bvi_chunk_table_new(bvt_path("missing"), &table, &err), err);
    for (; r == 0 && n < 1000000; n++) {
        bvi_snap_frame frame = frame_of(n);

        r = bvi_chunk_table_add(table, &frame, &err);
    }
    bvt_assert_error_says(err, BV_E_NOT_FOUND, "missing'");
    bv_error_free(err);
    check_found(table, n - 2); /* what was there before still is */
}
END_TEST

START_TEST(survives_every_failed_allocation)
{
    bvt_for_each_failed_allocation(n) {
        BVI_AUTO(bvi_chunk_table_freep) bvi_chunk_table *table = NULL;
        int r = bvi_chunk_table_new("/tmp", &table, NULL);

        for (uint32_t i = 0; r == 0 && i < 1000; i++) {
            bvi_snap_frame frame = frame_of(i);

            r = bvi_chunk_table_add(table, &frame, NULL);
        }
        ck_assert(r == 0 || r == BV_E_NOMEM);
    }
}
END_TEST

BVT_MAIN("snapshot/chunk_table", bvt_times(finds_what_was_added, 5),
         bvt_test(the_first_entry_stays), bvt_times(chosen_hashes_do_not_meet, 4),
         bvt_test(says_where_there_is_no_room), bvt_test(survives_every_failed_allocation))
