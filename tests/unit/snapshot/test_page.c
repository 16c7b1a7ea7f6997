/* Pages: what is written is read again, and what nobody would have written is refused. */
#include <stdio.h>

#include "base/hex.h"
#include "bvt.h"
#include "snapshot/page.h"

static bvi_snap_frame frame_of(uint32_t plain, uint8_t pack)
{
    bvi_snap_frame frame = { .plain = plain, .stored = plain / 2 + 1, .offset = 7 * plain };

    memset(frame.hash.bytes, (int)plain, sizeof(frame.hash.bytes));
    memset(frame.pack.bytes, pack, sizeof(frame.pack.bytes));
    frame.codec = BVI_SNAP_ZSTD;
    return frame;
}

static bvi_snap_entry dir_of(const char *path)
{
    return (bvi_snap_entry){ .kind = BVI_SNAP_DIR, .path = path, .mode = 0755 };
}

static int open_buf(bvi_page *page, const bvi_buf *bytes, bv_error **err)
{
    uint8_t *copy = bvi_malloc(bytes->len + 1);
    int r;

    if (!copy)
        return bvi_fail_nomem(err);
    memcpy(copy, bytes->data, bytes->len);
    r = bvi_page_open(page, copy, bytes->len, err);
    if (r < 0)
        bvi_free(copy);
    return r;
}

/* A page with one entry of each kind. */
static int write_sample(bvi_page_writer *w, bvi_buf *bytes, bv_error **err)
{
    const bvi_snap_xattr xattrs[] = {
        { "user.a", (const uint8_t *)"\0\1", 2 },
        { "user.empty", (const uint8_t *)"", 0 },
    };
    const bvi_snap_extent extents[] = { { 0, 10 }, { 100, 20 } };
    const bvi_snap_entry entries[] = {
        { .kind = BVI_SNAP_DIR, .path = "", .mode = 0750, .uid = 7, .gid = 8 },
        { .kind = BVI_SNAP_DIR,
          .path = "d",
          .mode = 01777,
          .mtime_s = -5,
          .mtime_ns = 999999999,
          .xattrs = xattrs,
          .n_xattrs = 2 },
        { .kind = BVI_SNAP_FILE,
          .path = "d/file",
          .mode = 0644,
          .mtime_s = INT64_MAX,
          .size = 1000,
          .extents = extents,
          .n_extents = 2 },
        { .kind = BVI_SNAP_HARDLINK, .path = "d/hard", .target = "d/file" },
        { .kind = BVI_SNAP_SYMLINK, .path = "d/sym", .target = "/any where", .mtime_s = INT64_MIN },
        { .kind = BVI_SNAP_FILE, .path = "d.x", .mode = 04600, .size = 0 },
        { .kind = BVI_SNAP_FILE, .path = "\xff\x01name", .size = BVI_SNAP_FILE_MAX },
    };
    const bvi_snap_frame chunks[] = { frame_of(10, 1), frame_of(30, 2), frame_of(5, 1) };
    int r = 0;

    for (size_t i = 0; r == 0 && i < BVI_COUNT(entries); i++)
        r = bvi_page_writer_entry(w, &entries[i], err);
    if (r == 0)
        r = bvi_page_writer_extent(w, BVI_SNAP_FILE_MAX - 15, 15, err);
    for (size_t i = 0; r == 0 && i < BVI_COUNT(chunks); i++)
        r = bvi_page_writer_chunk(w, &chunks[i], err);
    return r < 0 ? r : bvi_page_writer_finish(w, bytes, err);
}

static const char *describe(const bvi_snap_entry *e)
{
    static char text[512];
    size_t n =
        (size_t)snprintf(text, sizeof(text), "%d %s %o %u:%u %lld.%u %llu %s", (int)e->kind,
                         e->path, e->mode, e->uid, e->gid, (long long)e->mtime_s, e->mtime_ns,
                         (unsigned long long)e->size, e->target ? e->target : "-");

    for (size_t i = 0; i < e->n_extents; i++)
        n += (size_t)snprintf(text + n, sizeof(text) - n, " %llu+%llu",
                              (unsigned long long)e->extents[i].pos,
                              (unsigned long long)e->extents[i].len);
    for (size_t i = 0; i < e->n_xattrs; i++)
        n += (size_t)snprintf(text + n, sizeof(text) - n, " %s=%zu", e->xattrs[i].name,
                              e->xattrs[i].value_len);
    return text;
}

static const char *const sample_lines[] = {
    "1  750 7:8 0.0 0 -",
    "1 d 1777 0:0 -5.999999999 0 - user.a=2 user.empty=0",
    "2 d/file 644 0:0 9223372036854775807.0 1000 - 0+10 100+20",
    "5 d/hard 0 0:0 0.0 0 d/file",
    "4 d/sym 0 0:0 -9223372036854775808.0 0 /any where",
    "2 d.x 4600 0:0 0.0 0 -",
    "2 \xff\x01name 0 0:0 0.0 1152921504606846976 - 1152921504606846961+15",
};

START_TEST(what_is_written_is_read)
{
    BVI_AUTO(bvi_page_writer_freep) bvi_page_writer *w = NULL;
    BVI_AUTO(bvi_buf_done) bvi_buf bytes = BVI_BUF_INIT(BVI_SNAP_PAGE_MAX);
    BVI_AUTO(bvi_page_entries_done) bvi_page_entries it;
    BVI_AUTO(bvi_page_done) bvi_page page = { 0 };
    bvi_page_chunks chunks;
    bvi_snap_frame frame;
    bv_error *err = NULL;
    size_t room;

    bvt_assert_ok(bvi_page_writer_new(&w, &err), err);
    bvt_assert_ok(write_sample(w, &bytes, &err), err);
    room = bvi_page_writer_size(w);
    ck_assert_msg(room < 40, "an empty writer has %zu bytes", room);
    bvt_assert_ok(open_buf(&page, &bytes, &err), err);
    ck_assert_uint_eq(page.n_entries, BVI_COUNT(sample_lines));
    ck_assert_uint_eq(page.n_chunks, 3);
    ck_assert_uint_eq(page.n_packs, 2);
    ck_assert_uint_eq(page.data_bytes, 45);

    bvi_page_entries_init(&it, &page, 0);
    for (size_t i = 0; i < BVI_COUNT(sample_lines); i++) {
        ck_assert_int_eq(bvi_page_entries_next(&it, &err), 1);
        ck_assert_str_eq(describe(&it.entry), sample_lines[i]);
    }
    ck_assert_int_eq(bvi_page_entries_next(&it, &err), 0);
    ck_assert_mem_eq(it.entry.path, "\xff\x01name", 7);

    bvi_page_chunks_init(&chunks, &page);
    for (uint32_t i = 0; i < 3; i++) {
        const bvi_snap_frame want = frame_of(i == 0 ? 10 : i == 1 ? 30 : 5, i == 1 ? 2 : 1);

        ck_assert(bvi_page_chunks_next(&chunks, &frame));
        ck_assert(bvi_hash256_equal(&frame.hash, &want.hash));
        ck_assert(bvi_hash256_equal(&frame.pack, &want.pack));
        ck_assert_uint_eq(frame.offset, want.offset);
        ck_assert_uint_eq(frame.stored, want.stored);
        ck_assert_uint_eq(frame.plain, want.plain);
        ck_assert_int_eq(frame.codec, want.codec);
    }
    ck_assert(!bvi_page_chunks_next(&chunks, &frame));
}
END_TEST

/* What doc/snapshot-format.md gives as an example. */
START_TEST(the_documents_example)
{
    static const char hello[] = "ea8f163db38682925e4491c5e58d4bb3506ef8c14eb78a86e908c5624a67200f";
    static const char pack_id[] =
        "7f111ef799ab7132be8d05db9edd60ddf3dac444b8365b8fdd7778349093908a";
    static const char pack[] = "\0\1\2\3\4\5\6\7\10\11\12\13\14\15\16\17hello";
    BVI_AUTO(bvi_page_writer_freep) bvi_page_writer *w = NULL;
    BVI_AUTO(bvi_buf_done) bvi_buf bytes = BVI_BUF_INIT(BVI_SNAP_PAGE_MAX);
    const bvi_snap_extent extent = { 0, 5 };
    const bvi_snap_entry dir = dir_of("");
    const bvi_snap_entry file = { .kind = BVI_SNAP_FILE,
                                  .path = "f",
                                  .mode = 0644,
                                  .size = 5,
                                  .extents = &extent,
                                  .n_extents = 1 };
    bvi_snap_frame chunk = { .plain = 5, .stored = 5, .offset = 16 };
    char hex[BVI_HEX_SIZE(256)];
    bv_error *err = NULL;

    bvi_blake3_hash("hello", 5, chunk.hash.bytes);
    bvi_blake3_hash(pack, sizeof(pack) - 1, chunk.pack.bytes);
    bvt_assert_ok(bvi_page_writer_new(&w, &err), err);
    bvt_assert_ok(bvi_page_writer_entry(w, &dir, &err), err);
    bvt_assert_ok(bvi_page_writer_entry(w, &file, &err), err);
    bvt_assert_ok(bvi_page_writer_chunk(w, &chunk, &err), err);
    bvt_assert_ok(bvi_page_writer_finish(w, &bytes, &err), err);
    ck_assert_uint_le(bytes.len, 256);
    bvi_hex_encode(bytes.data, bytes.len, hex);
    ck_assert_str_eq(hex, bvt_format("425653500101%s02010000ed03000000000002000166a4030000000000"
                                     "0501000501%s0500001005",
                                     pack_id, hello));
}
END_TEST

START_TEST(no_cut_page_is_read)
{
    BVI_AUTO(bvi_page_writer_freep) bvi_page_writer *w = NULL;
    BVI_AUTO(bvi_buf_done) bvi_buf bytes = BVI_BUF_INIT(BVI_SNAP_PAGE_MAX);
    bvi_page page = { 0 };
    bv_error *err = NULL;

    bvt_assert_ok(bvi_page_writer_new(&w, &err), err);
    bvt_assert_ok(write_sample(w, &bytes, &err), err);
    for (size_t len = bytes.len; bytes.len-- > 0; len--) {
        ck_assert_int_eq(open_buf(&page, &bytes, &err), BV_E_FORMAT);
        bv_error_free(err);
        err = NULL;
    }
    bytes.len = 0;
    ck_assert_int_eq(bvi_page_writer_finish(w, &bytes, &err), 0);
    ck_assert_int_eq(bvi_buf_append_char(&bytes, '\0'), 0);
    ck_assert_int_eq(open_buf(&page, &bytes, &err), BV_E_FORMAT);
    bvt_assert_error_says(err, BV_E_FORMAT, "behind its end");
    bv_error_free(err);
}
END_TEST

START_TEST(a_file_goes_on_in_the_next_page)
{
    BVI_AUTO(bvi_page_writer_freep) bvi_page_writer *w = NULL;
    BVI_AUTO(bvi_buf_done) bvi_buf bytes = BVI_BUF_INIT(BVI_SNAP_PAGE_MAX);
    BVI_AUTO(bvi_page_entries_done) bvi_page_entries it;
    BVI_AUTO(bvi_page_done) bvi_page page = { 0 };
    bvi_snap_entry entry = { .kind = BVI_SNAP_FILE, .path = "f", .size = 100 };
    bvi_snap_frame chunk = frame_of(10, 1);
    bv_error *err = NULL;

    bvt_assert_ok(bvi_page_writer_new(&w, &err), err);
    bvt_assert_ok(bvi_page_writer_entry(w, &entry, &err), err);
    bvt_assert_ok(bvi_page_writer_extent(w, 20, 10, &err), err);
    bvt_assert_ok(bvi_page_writer_chunk(w, &chunk, &err), err);
    bvt_assert_ok(bvi_page_writer_finish(w, &bytes, &err), err);
    entry.kind = BVI_SNAP_CONTINUED;
    for (int fresh = 0; fresh < 2; fresh++) {
        if (fresh) {
            bvi_page_writer_free(bvi_take(w));
            bvt_assert_ok(bvi_page_writer_new(&w, &err), err);
            bvi_page_writer_resume(w, 30);
        }
        bvi_buf_clear(&bytes);
        bvt_assert_ok(bvi_page_writer_entry(w, &entry, &err), err);
        bvt_assert_ok(bvi_page_writer_extent(w, 90, 10, &err), err);
        bvt_assert_ok(bvi_page_writer_chunk(w, &chunk, &err), err);
        bvt_assert_ok(bvi_page_writer_finish(w, &bytes, &err), err);
    }
    bvt_assert_ok(open_buf(&page, &bytes, &err), err);
    bvi_page_entries_init(&it, &page, 30);
    ck_assert_int_eq(bvi_page_entries_next(&it, &err), 1);
    ck_assert_uint_eq(it.entry.extents[0].pos, 90);
    bvi_page_entries_done(&it);
    bvi_page_entries_init(&it, &page, 31); /* another page than the one it was written for */
    ck_assert_int_eq(bvi_page_entries_next(&it, &err), BV_E_FORMAT);
    bv_error_free(err);
}
END_TEST

/* ---- what is refused: bytes behind the magic ---- */

#define H32                     "hhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhh"
#define META                    "\0\0\0\0\0\0" /* mode, owner, time, no attributes */
#define DIR1(shared, len, path) "\1" shared len path META
#define B(text)                                                                                    \
    {                                                                                              \
        text, sizeof(text) - 1                                                                     \
    }

static const struct {
    struct {
        const char *bytes;
        size_t len;
    } page;
    const char *says; /* NULL: it is a page */
} cases[] = {
    { B("\0\0\0"), NULL },
    { B("\0\1" DIR1("\0", "\0", "") "\0"), NULL },
    { B("\0\2" DIR1("\0", "\1", "a") DIR1("\1", "\2", "/b") "\0"), NULL },
    { B("\1" H32 "\1\2\0\1f" META "\5\1\0\5\1" H32 "\5\0\0\0\5"), NULL },
    { B("\1" H32 "\1\3\0\1f\5\1\0\5\1" H32 "\5\0\0\0\5"), NULL },
    { B("\0\1\5\0\1b\1a\0"), NULL },
    { B("\1"), "list of packs" },
    { B("\200\0\0\0"), "list of packs" }, /* a number with more bytes than it needs */
    { B("\0\377\377\377\377\377\377\377\377\377\2\0"), "count of entries" },
    { B("\0\177\0"), "count of entries" },
    { B("\0\0\177"), "count of chunks" },
    { B("\0\1\0\0\1a" META "\0"), "unknown kind" },
    { B("\0\1\6\0\1a" META "\0"), "unknown kind" },
    { B("\0\1\2\0\0" META "\0\0\0"), "not a directory" },
    { B("\0\1" DIR1("\1", "\1", "a") "\0"), "without a path" },
    { B("\0\1" DIR1("\0", "\3", "a\0b") "\0"), "without a path" },
    { B("\0\1" DIR1("\0", "\2", "/a") "\0"), "empty component" },
    { B("\0\1" DIR1("\0", "\2", "a/") "\0"), "empty component" },
    { B("\0\1" DIR1("\0", "\4", "a//b") "\0"), "empty component" },
    { B("\0\1" DIR1("\0", "\1", ".") "\0"), "'.' or '..'" },
    { B("\0\1" DIR1("\0", "\2", "..") "\0"), "'.' or '..'" },
    { B("\0\1" DIR1("\0", "\4", "a/..") "\0"), "'.' or '..'" },
    { B("\0\2" DIR1("\0", "\1", ".") DIR1("\1", "\1", "b") "\0"), "'.' or '..'" },
    { B("\0\2" DIR1("\0", "\2", ".a") DIR1("\1", "\1", ".") "\0"), "out of order" },
    { B("\0\2" DIR1("\0", "\1", "-") DIR1("\0", "\1", ".") "\0"), "'.' or '..'" },
    { B("\0\2" DIR1("\0", "\1", "b") DIR1("\0", "\1", "a") "\0"), "out of order" },
    { B("\0\2" DIR1("\0", "\1", "b") DIR1("\1", "\0", "") "\0"), "out of order" },
    { B("\0\2" DIR1("\0", "\1", "b") DIR1("\0", "\3", "c/d") "\0"), "out of order" },
    { B("\0\2" DIR1("\0", "\3", "b/c") DIR1("\0", "\1", "b") "\0"), "out of order" },
    { B("\0\2" DIR1("\0", "\2", "b.") DIR1("\0", "\3", "b/c") "\0"), "out of order" },
    { B("\0\2\2\0\1b" META "\0\0" DIR1("\1", "\2", "/c") "\0"), "out of order" },
    { B("\0\1\1\0\1a\200\40\0\0\0\0\0\0"), "impossible mode" },
    { B("\0\1\1\0\1a\0\377\377\377\377\17\0\0\0\0\0"), "impossible mode" },
    { B("\0\1\1\0\1a\0\0\0\0\200\224\353\334\3\0\0"), "impossible mode" },
    { B("\0\1\1\0\1a\0\0\0\0\0\200\20\0"), "count of extended" },
    { B("\0\1\1\0\1a\0\0\0\0\0\1\0\0\0"), "without a right name" },
    { B("\0\1\1\0\1a\0\0\0\0\0\1\2b\0\0\0"), "extended attributes" },
    { B("\0\1\1\0\1a\0\0\0\0\0\1\1b\5x\0"), "extended attributes" },
    { B("\0\1\4\0\1a" META "\0\0"), "target" },
    { B("\0\1\4\0\1a" META "\2b\0\0"), "target" },
    { B("\0\1\5\0\1a\1b\0"), "not before it" },
    { B("\0\1\5\0\1a\1a\0"), "not before it" },
    { B("\0\1\5\0\1b\2/a\0"), "not before it" },
    { B("\0\1\2\0\1f" META "\5\1\0\6\0"), "extents" },
    { B("\0\1\2\0\1f" META "\5\1\2\4\0"), "extents" },
    { B("\0\1\2\0\1f" META "\5\1\2\0\0"), "extents" },
    { B("\0\1\2\0\1f" META "\201\200\200\200\200\200\200\200\20\0\0"), "size of a file" },
    { B("\0\2" DIR1("\0", "\1", "a") "\3\0\1f\5\0\0"), "behind another" },
    { B("\1" H32 "\1\2\0\1f" META "\5\1\0\5\1" H32 "\4\0\0\0\4"), "different numbers" },
    { B("\1" H32 "\1\2\0\1f" META "\5\1\0\5\1" H32 "\5\0\1\0\5"), "chunk's place" },
    { B("\1" H32 "\1\2\0\1f" META "\5\1\0\5\1" H32 "\5\0\0\0\4"), "stored frame of 4 bytes" },
    { B("\1" H32 "\1\2\0\1f" META "\5\1\0\5\1" H32 "\5\3\0\0\5"), "chunk's place" },
    { B("\1" H32 "\0\1" H32 "\0\0\0\0\0"), "0 plain bytes" },
    { B("\1" H32 "\0\1" H32 "\1\1\0\0\0"), "0 stored bytes" },
    { B("\1" H32 "\0\1" H32 "\1\1\0\200\200\200\40\1"), "at 67108864 of its pack" },
    { B("\1" H32 "\0\1" H32 "\201\200\200\2\1\0\0\1"), "chunk's place" },
};

START_TEST(refuses)
{
    BVI_AUTO(bvi_buf_done) bvi_buf bytes = BVI_BUF_INIT(4096);
    BVI_AUTO(bvi_page_done) bvi_page page = { 0 };
    bv_error *err = NULL;
    int r;

    ck_assert_int_eq(bvi_buf_append(&bytes, "BVSP\1", 5), 0);
    ck_assert_int_eq(bvi_buf_append(&bytes, cases[_i].page.bytes, cases[_i].page.len), 0);
    r = open_buf(&page, &bytes, &err);
    if (!cases[_i].says)
        bvt_assert_ok(r, err);
    else
        bvt_assert_error_says(err, BV_E_FORMAT, cases[_i].says);
    bv_error_free(err);
}
END_TEST

START_TEST(the_writer_refuses_what_the_reader_would)
{
    BVI_AUTO(bvi_page_writer_freep) bvi_page_writer *w = NULL;
    BVI_AUTO(bvi_buf_done) bvi_buf bytes = BVI_BUF_INIT(BVI_SNAP_PAGE_MAX);
    bvi_snap_entry a = dir_of("a");
    bvi_snap_entry up = dir_of("../b");
    bvi_snap_entry again = { .kind = BVI_SNAP_CONTINUED, .path = "f", .size = 5 };
    bvi_snap_entry file = { .kind = BVI_SNAP_FILE, .path = "f", .size = 5 };
    bvi_snap_frame chunk = frame_of(4, 1);

    ck_assert_int_eq(bvi_page_writer_new(&w, NULL), 0);
    ck_assert_int_eq(bvi_page_writer_entry(w, &up, NULL), BV_E_FORMAT);
    ck_assert_int_eq(bvi_page_writer_entry(w, &a, NULL), 0);
    ck_assert_int_eq(bvi_page_writer_entry(w, &a, NULL), BV_E_INVALID);
    ck_assert_int_eq(bvi_page_writer_entry(w, &again, NULL), BV_E_INVALID);
    ck_assert_int_eq(bvi_page_writer_extent(w, 0, 1, NULL), BV_E_INVALID);
    ck_assert_int_eq(bvi_page_writer_entry(w, &file, NULL), 0);
    ck_assert_int_eq(bvi_page_writer_extent(w, 0, 6, NULL), BV_E_INVALID);
    ck_assert_int_eq(bvi_page_writer_extent(w, 0, 0, NULL), BV_E_INVALID);
    ck_assert_int_eq(bvi_page_writer_extent(w, 0, 5, NULL), 0);
    ck_assert_int_eq(bvi_page_writer_extent(w, 4, 1, NULL), BV_E_INVALID);
    ck_assert_int_eq(bvi_page_writer_chunk(w, &chunk, NULL), 0);
    ck_assert_int_eq(bvi_page_writer_finish(w, &bytes, NULL), BV_E_INTERNAL);
    chunk.stored = BVI_SNAP_FRAME_MAX + 1;
    ck_assert_int_eq(bvi_page_writer_chunk(w, &chunk, NULL), BV_E_FORMAT);
}
END_TEST

/* Fills a page as the upload does, up to what room it says to need, and it always finishes. */
START_TEST(a_full_page_keeps_its_size)
{
    BVI_AUTO(bvi_page_writer_freep) bvi_page_writer *w = NULL;
    BVI_AUTO(bvi_buf_done) bvi_buf bytes = BVI_BUF_INIT(BVI_SNAP_PAGE_MAX);
    BVI_AUTO(bvi_page_done) bvi_page page = { 0 };
    bv_error *err = NULL;
    char path[600];
    uint32_t n = 0;

    bvt_assert_ok(bvi_page_writer_new(&w, &err), err);
    for (;; n++) {
        bvi_snap_entry entry = { .kind = BVI_SNAP_FILE, .path = path, .size = UINT32_MAX };
        bvi_snap_frame chunk = frame_of(1 + n % 100, (uint8_t)(n % 200));

        snprintf(path, sizeof(path), "%08u%0*u", n, (int)(n % 240) + 1, n);
        memcpy(chunk.pack.bytes, &n, sizeof(n)); /* never the same pack: the worst */
        if (bvi_page_writer_size(w) + bvi_page_entry_room(&entry) + BVI_PAGE_EXTENT_ROOM +
                BVI_PAGE_CHUNK_ROOM >
            BVI_SNAP_PAGE_MAX)
            break;
        bvt_assert_ok(bvi_page_writer_entry(w, &entry, &err), err);
        bvt_assert_ok(bvi_page_writer_extent(w, n, chunk.plain, &err), err);
        bvt_assert_ok(bvi_page_writer_chunk(w, &chunk, &err), err);
    }
    ck_assert_uint_eq(bvi_page_writer_entries(w), n);
    ck_assert_uint_eq(bvi_page_writer_chunks(w), n);
    bvt_assert_ok(bvi_page_writer_finish(w, &bytes, &err), err);
    ck_assert_uint_gt(bytes.len, BVI_SNAP_PAGE_MAX - 1000);
    bvt_assert_ok(open_buf(&page, &bytes, &err), err);
    ck_assert_uint_eq(page.n_packs, n);
}
END_TEST

static const struct {
    const char *prev;
    bvi_snap_kind kind;
    const char *path;
    bool follows;
} orders[] = {
    { "", BVI_SNAP_DIR, "a", true },
    { "a", BVI_SNAP_DIR, "a/b", true },
    { "a", BVI_SNAP_FILE, "a/b", false },
    { "a", BVI_SNAP_DIR, "a/b/c", false },
    { "a/b", BVI_SNAP_FILE, "a.b", true },
    { "a.b", BVI_SNAP_FILE, "a/b", false },
    { "a/b/c", BVI_SNAP_FILE, "a/d", true },
    { "a/b/c", BVI_SNAP_FILE, "b", true },
    { "a/b/c", BVI_SNAP_FILE, "a/c/d", false },
    { "ab/c", BVI_SNAP_FILE, "ab/d", true },
    { "ab/c", BVI_SNAP_FILE, "abc/d", false },
    { "a", BVI_SNAP_DIR, "", false },
    { "a", BVI_SNAP_DIR, "a", false },
    { "\x7f", BVI_SNAP_DIR, "\x80", true },
};

START_TEST(the_order_of_a_walk)
{
    ck_assert_int_eq(bvi_snap_path_follows(orders[_i].prev, orders[_i].kind, orders[_i].path),
                     orders[_i].follows);
}
END_TEST

START_TEST(survives_every_failed_allocation)
{
    bvt_for_each_failed_allocation(n) {
        BVI_AUTO(bvi_page_writer_freep) bvi_page_writer *w = NULL;
        BVI_AUTO(bvi_buf_done) bvi_buf bytes = BVI_BUF_INIT(BVI_SNAP_PAGE_MAX);
        BVI_AUTO(bvi_page_done) bvi_page page = { 0 };
        int r = bvi_page_writer_new(&w, NULL);

        if (r == 0)
            r = write_sample(w, &bytes, NULL);
        if (r == 0)
            r = open_buf(&page, &bytes, NULL);
        ck_assert(r == 0 || r == BV_E_NOMEM);
    }
}
END_TEST

BVT_MAIN("snapshot/page", bvt_test(what_is_written_is_read), bvt_test(the_documents_example),
         bvt_test(no_cut_page_is_read), bvt_test(a_file_goes_on_in_the_next_page),
         bvt_loop(refuses, cases), bvt_test(the_writer_refuses_what_the_reader_would),
         bvt_test(a_full_page_keeps_its_size), bvt_loop(the_order_of_a_walk, orders),
         bvt_test(survives_every_failed_allocation))
