/* Blueprints, checksums and compression against the vectors of the specification. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bvt.h"
#include "support.h"
#include "transfer/chunk_plan.h"
#include "transfer/codec.h"
#include "transfer/pack.h"

/* "x[0,91) a[0,7)" */
static const char *describe(const bvi_chunk *chunk)
{
    const char *text = "";

    for (size_t i = 0; i < chunk->targets.len; i++) {
        const bvi_target *t = &chunk->targets.items[i];

        text = bvt_format("%s%s%s[%llu,%llu)", text, i ? " " : "", t->path,
                          (unsigned long long)t->pos, (unsigned long long)t->size);
    }
    return text;
}

static const char *hex(const bvi_checksum *sum)
{
    const char *text = "";

    for (size_t i = 0; i < bvi_checksum_len(sum->kind); i++)
        text = bvt_format("%s%02x", text, sum->bytes[i]);
    return text;
}

static void make_vector(const char *root)
{
    char x[257];

    memset(x, 'x', 256);
    x[256] = '\0';
    make_text(root, "a", "7 bytes");
    make_text(root, "d1/b", "9   bytes");
    make_text(root, "d1/d2/c", "333");
    make_text(root, "empty_file", "");
    make_text(root, "x", x);
}

static int scan_vector(bvi_scan *scan)
{
    const char *root = bvt_path("vector");
    bv_error *err = NULL;
    int fd;

    make_vector(root);
    fd = open(root, O_RDONLY | O_DIRECTORY);
    bvi_scan_init(scan);
    bvt_assert_ok(bvi_scan_run(scan, fd, &(bvi_scan_opts){ 0 }, &err), err);
    ck_assert_uint_eq(scan->total_size, 275);
    return fd;
}

static const struct {
    uint64_t slots;
    const char *chunks[4];
} plans[] = {
    { 3,
      { "x[0,91)", "x[91,91)", "x[182,74) empty_file[0,0) d1/d2/c[0,3) d1/b[0,9) a[0,7)", NULL } },
    { 2, { "x[0,137)", "x[137,119) empty_file[0,0) d1/d2/c[0,3) d1/b[0,9) a[0,7)", NULL } },
    { 1, { "x[0,256) empty_file[0,0) d1/d2/c[0,3) d1/b[0,9) a[0,7)", NULL } },
};

START_TEST(cuts_as_the_specification_does)
{
    bvi_manifest manifest;
    bvi_scan scan;
    bv_error *err = NULL;
    int fd = scan_vector(&scan);
    size_t n = 0;

    bvi_manifest_init(&manifest);
    bvt_assert_ok(bvi_chunk_plan_build(&scan, plans[_i].slots, &manifest, &err), err);
    for (; plans[_i].chunks[n]; n++)
        ck_assert_str_eq(describe(&manifest.chunks.items[n]), plans[_i].chunks[n]);
    ck_assert_uint_eq(manifest.chunks.len, n);
    ck_assert_uint_eq(manifest.total_size, 275);
    bvi_manifest_done(&manifest);
    bvi_scan_done(&scan);
    (void)close(fd);
}
END_TEST

START_TEST(more_slots_than_bytes_make_one_for_each_byte)
{
    bvi_manifest manifest;
    bvi_scan scan;
    bv_error *err = NULL;
    int fd = scan_vector(&scan);

    bvi_manifest_init(&manifest);
    bvt_assert_ok(bvi_chunk_plan_build(&scan, 100000, &manifest, &err), err);
    ck_assert_uint_eq(manifest.chunks.len, 275);
    bvi_manifest_done(&manifest);
    ck_assert_int_eq(bvi_chunk_plan_build(&scan, 0, &manifest, &err), BV_E_INVALID);
    bvt_assert_error_says(err, BV_E_INVALID, "invalid number of chunks");
    bv_error_free(err);
    bvi_scan_done(&scan);
    (void)close(fd);
    ck_assert_uint_eq(bvi_chunk_plan_default_slots(0), 1);
    ck_assert_uint_eq(bvi_chunk_plan_default_slots(499999999), 1);
    ck_assert_uint_eq(bvi_chunk_plan_default_slots(500000000), 2);
}
END_TEST

/* The second vector: the list is consumed from its end. */
START_TEST(fills_as_the_specification_does)
{
    static const struct {
        const char *path;
        uint64_t size;
    } files[] = { { "f", 0 }, { "e", 77 }, { "d", 2048 }, { "c", 512 }, { "b", 0 }, { "a", 0 } };
    static const struct {
        uint64_t limit;
        const char *chunk;
    } steps[] = {
        { 1024, "a[0,0) b[0,0) c[0,512) d[0,512)" },
        { 1536, "d[512,1536)" },
        { 1024, "e[0,77) f[0,0)" },
        { 1024, "" },
    };
    bvi_chunk_plan plan;
    bvi_scan scan;

    bvi_scan_init(&scan);
    for (size_t i = 0; i < BVI_COUNT(files); i++) {
        bvi_scan_file *file = bvi_vec_push(&scan.files);

        file->path = bvi_strdup(files[i].path);
        file->stamp.size = files[i].size;
    }
    bvi_chunk_plan_init(&plan, &scan);
    for (size_t i = 0; i < BVI_COUNT(steps); i++) {
        bvi_chunk chunk;

        bvi_chunk_init(&chunk);
        ck_assert_int_eq(bvi_chunk_plan_next(&plan, steps[i].limit, &chunk, NULL), 0);
        ck_assert_str_eq(describe(&chunk), steps[i].chunk);
        bvi_chunk_done(&chunk);
    }
    bvi_scan_done(&scan);
}
END_TEST

static const struct {
    bool zstd;
    size_t chunk;
    uint64_t size;
    const char *sum;
} packed[] = {
    { false, 0, 91, "77af090491da758bf548420cfcf45f1dc697660414e5cd375ac289a76736bb2b" },
    { false, 1, 91, "77af090491da758bf548420cfcf45f1dc697660414e5cd375ac289a76736bb2b" },
    { false, 2, 93, "8c370ac889991a92e404a642314c8075525af07e5e70f699219683b064ab69f8" },
    { true, 0, 17, "35219fac6123002e692b8fb19d33d6588cba0d6c16b62f2da76fe049c40780d5" },
    { true, 1, 17, "35219fac6123002e692b8fb19d33d6588cba0d6c16b62f2da76fe049c40780d5" },
    { true, 2, 36, "2298f56e75cc692a3a084b936fa5cb3a289264adc62f3484b68141395449bb9e" },
};

static void pack_all(bvi_pack *pack, size_t step, uint64_t *ret_size, bvi_checksum *ret_sum)
{
    uint8_t bytes[1000];
    bv_error *err = NULL;
    bool end = false;

    while (!end) {
        size_t made = 0;

        bvt_assert_ok(bvi_pack_read(pack, bytes, step, &made, &end, &err), err);
    }
    bvt_assert_ok(bvi_pack_result(pack, ret_size, ret_sum, &err), err);
}

START_TEST(packs_as_the_specification_does)
{
    bvi_manifest manifest;
    bvi_scan scan;
    bvi_pack *pack = NULL;
    bvi_checksum sum;
    uint64_t size = 0;
    bv_error *err = NULL;
    int fd = scan_vector(&scan);

    bvi_manifest_init(&manifest);
    bvt_assert_ok(bvi_chunk_plan_build(&scan, 3, &manifest, &err), err);
    for (size_t step = 1; step <= 1000; step *= 10) {
        bvi_pack_opts opts = { .dir_fd = fd,
                               .scan = &scan,
                               .chunk = &manifest.chunks.items[packed[_i].chunk] };

        opts.compression.kind = packed[_i].zstd ? BVI_CODEC_ZSTD : BVI_CODEC_STORED;
        opts.compression.level = 5;
        bvt_assert_ok(bvi_pack_new(&opts, &pack, &err), err);
        pack_all(pack, step, &size, &sum);
        ck_assert_uint_eq(size, packed[_i].size);
        ck_assert_str_eq(hex(&sum), packed[_i].sum);
        bvi_pack_free(pack);
    }
    bvi_manifest_done(&manifest);
    bvi_scan_done(&scan);
    (void)close(fd);
}
END_TEST

START_TEST(an_empty_chunk_is_stored_as_nothing)
{
    bvi_pack *pack = NULL;
    bvi_chunk chunk;
    bvi_scan scan;
    bvi_checksum sum;
    uint64_t size = 9;
    bv_error *err = NULL;

    bvi_scan_init(&scan);
    bvi_chunk_init(&chunk);
    bvt_assert_ok(bvi_chunk_add_target(&chunk, "gone", 0, 0, &err), err);
    bvt_assert_ok(
        bvi_pack_new(&(bvi_pack_opts){ .dir_fd = -1,
                                       .scan = &scan,
                                       .chunk = &chunk,
                                       .compression = { .kind = BVI_CODEC_ZSTD, .level = 3 } },
                     &pack, &err),
        err);
    pack_all(pack, 100, &size, &sum);
    ck_assert_uint_eq(size, 0);
    ck_assert_str_eq(hex(&sum), "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262");
    bvi_pack_free(pack);
    bvi_chunk_done(&chunk);
}
END_TEST

START_TEST(a_file_that_changes_is_noticed)
{
    bvi_manifest manifest;
    bvi_scan scan;
    bvi_pack *pack = NULL;
    uint8_t bytes[1000];
    bv_error *err = NULL;
    size_t made = 0;
    bool end = false;
    int fd = scan_vector(&scan);

    bvi_manifest_init(&manifest);
    bvt_assert_ok(bvi_chunk_plan_build(&scan, 1, &manifest, &err), err);
    make_text(bvt_path("vector"), "d1/b", "other!!!!");
    bvt_assert_ok(
        bvi_pack_new(
            &(bvi_pack_opts){ .dir_fd = fd, .scan = &scan, .chunk = &manifest.chunks.items[0] },
            &pack, &err),
        err);
    ck_assert_int_eq(bvi_pack_read(pack, bytes, sizeof(bytes), &made, &end, &err), BV_E_STATE);
    bvt_assert_error_says(err, BV_E_STATE, "file 'd1/b' changed");
    bv_error_free(err);
    err = NULL;
    bvi_pack_free(pack);
    ck_assert_int_eq(unlink(bvt_path("vector/x")), 0);
    bvt_assert_ok(
        bvi_pack_new(
            &(bvi_pack_opts){ .dir_fd = fd, .scan = &scan, .chunk = &manifest.chunks.items[0] },
            &pack, &err),
        err);
    ck_assert_int_eq(bvi_pack_read(pack, bytes, sizeof(bytes), &made, &end, &err), BV_E_STATE);
    bvt_assert_error_says(err, BV_E_STATE, "file 'x' disappeared");
    bv_error_free(err);
    bvi_pack_free(pack);
    bvi_manifest_done(&manifest);
    bvi_scan_done(&scan);
    (void)close(fd);
}
END_TEST

/* ---- codec ---- */

START_TEST(zstd_writes_the_known_bytes)
{
    static const uint8_t known[] = { 40, 181, 47, 253, 0, 88,  77, 0,   0,
                                     16, 7,   7,  1,   0, 244, 43, 128, 5 };
    const bvi_compression level3 = { .kind = BVI_CODEC_ZSTD, .level = 3 };
    uint8_t plain[1017], out[2000], back[1017];
    bvi_codec_io io = { .in = plain, .in_len = sizeof(plain), .out = out, .out_cap = sizeof(out) };
    bvi_codec *codec = NULL;
    bv_error *err = NULL;
    bool done = false;

    memset(plain, 7, sizeof(plain));
    bvt_assert_ok(bvi_encoder_new(&level3, 1, &codec, &err), err);
    bvt_assert_ok(codec->vtable->step(codec, &io, &err), err);
    bvt_assert_ok(codec->vtable->finish(codec, &io, &done, &err), err);
    ck_assert(done);
    ck_assert_uint_eq(io.out_made, sizeof(known));
    ck_assert_mem_eq(out, known, sizeof(known));
    bvi_codec_free(codec);

    bvt_assert_ok(bvi_decoder_new(&level3, &codec, &err), err);
    io = (bvi_codec_io){
        .in = known, .in_len = sizeof(known), .out = back, .out_cap = sizeof(back)
    };
    bvt_assert_ok(codec->vtable->step(codec, &io, &err), err);
    bvt_assert_ok(codec->vtable->finish(codec, &io, &done, &err), err);
    ck_assert(done);
    ck_assert_uint_eq(io.out_made, sizeof(plain));
    ck_assert_mem_eq(back, plain, sizeof(plain));
    bvi_codec_free(codec);
}
END_TEST

START_TEST(zstd_notices_cut_and_damaged_frames)
{
    static const uint8_t known[] = { 40, 181, 47, 253, 0, 88,  77, 0,   0,
                                     16, 7,   7,  1,   0, 244, 43, 128, 5 };
    const bvi_compression level3 = { .kind = BVI_CODEC_ZSTD, .level = 3 };

    for (size_t len = 1; len < sizeof(known); len++) {
        uint8_t out[2000];
        bvi_codec_io io = { .in = known, .in_len = len, .out = out, .out_cap = sizeof(out) };
        bvi_codec *codec = NULL;
        bv_error *err = NULL;
        bool done = false;
        int r;

        bvt_assert_ok(bvi_decoder_new(&level3, &codec, &err), err);
        r = codec->vtable->step(codec, &io, &err);
        if (r == 0)
            r = codec->vtable->finish(codec, &io, &done, &err);
        ck_assert_int_eq(r, BV_E_FORMAT);
        bvt_assert_error_says(err, BV_E_FORMAT, "cut short");
        bv_error_free(err);
        bvi_codec_free(codec);
    }
}
END_TEST

/* The output is full exactly where the frame ends. */
START_TEST(zstd_frames_may_end_with_the_buffer)
{
    static const uint8_t known[] = { 40, 181, 47, 253, 0, 88,  77, 0,   0,
                                     16, 7,   7,  1,   0, 244, 43, 128, 5 };
    const bvi_compression level3 = { .kind = BVI_CODEC_ZSTD, .level = 3 };
    uint8_t out[1017];
    bvi_codec_io io = { .in = known, .in_len = sizeof(known), .out = out, .out_cap = sizeof(out) };
    bvi_codec *codec = NULL;
    bv_error *err = NULL;
    bool done = false;

    bvt_assert_ok(bvi_decoder_new(&level3, &codec, &err), err);
    bvt_assert_ok(codec->vtable->step(codec, &io, &err), err);
    ck_assert_uint_eq(io.out_made, sizeof(out));
    io.out_made = 0;
    bvt_assert_ok(codec->vtable->step(codec, &io, &err), err);
    ck_assert_uint_eq(io.out_made, 0);
    bvt_assert_ok(codec->vtable->finish(codec, &io, &done, &err), err);
    ck_assert(done);
    bvi_codec_free(codec);
}
END_TEST

START_TEST(a_huge_window_is_refused)
{
    /* A frame header that asks for a window of 2^31 bytes. */
    static const uint8_t frame[] = { 40, 181, 47, 253, 0, 168, 1, 0, 0 };
    const bvi_compression level3 = { .kind = BVI_CODEC_ZSTD, .level = 3 };
    uint8_t out[100];
    bvi_codec_io io = { .in = frame, .in_len = sizeof(frame), .out = out, .out_cap = sizeof(out) };
    bvi_codec *codec = NULL;
    bv_error *err = NULL;

    bvt_assert_ok(bvi_decoder_new(&level3, &codec, &err), err);
    ck_assert_int_eq(codec->vtable->step(codec, &io, &err), BV_E_LIMIT);
    bvt_assert_error_says(err, BV_E_LIMIT, "window");
    bv_error_free(err);
    bvi_codec_free(codec);
}
END_TEST

BVT_MAIN("transfer/plan", bvt_loop(cuts_as_the_specification_does, plans),
         bvt_test(more_slots_than_bytes_make_one_for_each_byte),
         bvt_test(fills_as_the_specification_does),
         bvt_loop(packs_as_the_specification_does, packed),
         bvt_test(an_empty_chunk_is_stored_as_nothing), bvt_test(a_file_that_changes_is_noticed),
         bvt_test(zstd_writes_the_known_bytes), bvt_test(zstd_notices_cut_and_damaged_frames),
         bvt_test(zstd_frames_may_end_with_the_buffer), bvt_test(a_huge_window_is_refused))
