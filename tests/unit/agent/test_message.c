/* Messages: bounded decoding, chunks cut into pieces and put together again, bytes made UTF-8. */
#include <stdlib.h>

#include "agent.pb-c.h"
#include "agent/archive_message.h"
#include "agent/limits.h"
#include "agent/lossy.h"
#include "agent/message.h"
#include "bvt.h"

static const ProtobufCMessageDescriptor *const chunks_type =
    &bvi__agent__download_chunks_reply__descriptor;

START_TEST(refuses_what_is_too_long_or_broken)
{
    ProtobufCMessage *message = NULL;
    bv_error *err = NULL;

    ck_assert_int_eq(bvi_message_decode(chunks_type, "\x0a\x00", 2, 1, &message, &err), BV_E_LIMIT);
    bv_error_free(bvi_take(err));
    ck_assert_int_eq(bvi_message_decode(chunks_type, "\x0a\x7f", 2, 10, &message, &err),
                     BV_E_FORMAT);
    bvt_assert_error_says(err, BV_E_FORMAT, "DownloadChunksReply");
    bv_error_free(bvi_take(err));
    ck_assert_ptr_null(message);
}
END_TEST

START_TEST(refuses_a_small_message_that_would_be_big)
{
    size_t len = 2 * 200000;
    char *bytes = calloc(1, len); /* 200000 empty chunks: each takes 100 bytes decoded */
    ProtobufCMessage *message = NULL;
    bv_error *err = NULL;

    for (size_t i = 0; i < len; i += 2)
        bytes[i] = 0x0a;
    ck_assert_int_eq(bvi_message_decode(chunks_type, bytes, len, len, &message, &err), BV_E_FORMAT);
    ck_assert_uint_lt(bvt_peak_bytes(), 20 * len);
    bv_error_free(err);
    free(bytes);
}
END_TEST

/* A list with one chunk of very many targets between small ones. */
static void make_chunks(bvi_chunk_list *list, size_t many)
{
    static const size_t sizes[] = { 1, 0, 2 };

    for (size_t i = 0; i < 3; i++) {
        bvi_chunk *chunk = bvi_vec_push(list);
        size_t n = sizes[i] ? sizes[i] : many;
        bv_error *err = NULL;

        bvi_chunk_init(chunk);
        chunk->index = (uint32_t)i + 7;
        chunk->size = 100 + i;
        bvt_assert_ok(bvi_chunk_set_key(chunk, bvt_format("key-%zu", i), &err), err);
        bvt_assert_ok(bvi_checksum_set(&chunk->checksum, BVI_CHECKSUM_BLAKE3,
                                       "0123456789abcdef0123456789abcdef", 32, &err),
                      err);
        for (size_t k = 0; k < n; k++)
            bvt_assert_ok(bvi_chunk_add_target(chunk, "dir/some-file-name", k, k + 1, &err), err);
    }
}

static void same_chunks(const bvi_chunk_list *a, const bvi_chunk_list *b)
{
    ck_assert_uint_eq(a->len, b->len);
    for (size_t i = 0; i < a->len; i++) {
        const bvi_chunk *x = &a->items[i], *y = &b->items[i];

        ck_assert_uint_eq(x->index, y->index);
        ck_assert_uint_eq(x->size, y->size);
        ck_assert_str_eq(x->key, y->key);
        ck_assert(bvi_checksum_equal(&x->checksum, &y->checksum));
        ck_assert_uint_eq(x->targets.len, y->targets.len);
        for (size_t k = 0; k < x->targets.len; k++) {
            ck_assert_str_eq(x->targets.items[k].path, y->targets.items[k].path);
            ck_assert_uint_eq(x->targets.items[k].pos, y->targets.items[k].pos);
            ck_assert_uint_eq(x->targets.items[k].size, y->targets.items[k].size);
        }
    }
}

/* Over the wire and back; the number of pieces. */
static size_t carry(const bvi_chunk_list *from, bvi_chunk_list *to, bvi_chunk_bounds *bounds,
                    int *ret_code)
{
    bvi_chunk_cursor cursor = { .chunks = from->items, .count = from->len };
    size_t pieces = 0;
    bv_error *err = NULL;

    *ret_code = 0;
    while (!bvi_chunk_cursor_at_end(&cursor) && *ret_code == 0) {
        Bvi__Agent__DownloadChunksReply reply = BVI__AGENT__DOWNLOAD_CHUNKS_REPLY__INIT;
        bvi_buf bytes = BVI_BUF_INIT(BVI_ARCHIVE_MESSAGE_MAX);
        ProtobufCMessage *message = NULL;
        bvi_chunk_piece piece = { 0 };

        bvt_assert_ok(bvi_chunk_piece_take(&cursor, &piece, &err), err);
        reply.n_chunks = piece.count;
        reply.chunks = piece.pointers;
        bvt_assert_ok(bvi_message_encode(&reply.base, &bytes, &err), err);
        bvt_assert_ok(bvi_message_decode(chunks_type, bytes.data, bytes.len,
                                         BVI_ARCHIVE_MESSAGE_MAX, &message, &err),
                      err);
        *ret_code = bvi_chunks_add(to, bounds, ((Bvi__Agent__DownloadChunksReply *)message)->chunks,
                                   ((Bvi__Agent__DownloadChunksReply *)message)->n_chunks, NULL);
        bvi_message_free(message);
        bvi_chunk_piece_done(&piece);
        bvi_buf_done(&bytes);
        pieces++;
    }
    return pieces;
}

static const size_t many[] = { 1, 1000, 40000 };

START_TEST(chunks_survive_the_journey)
{
    bvi_chunk_list from = BVI_VEC_INIT(10), to = BVI_VEC_INIT(10);
    bvi_chunk_bounds bounds = { .chunks = 10, .targets = 100000 };
    int code = 0;
    size_t pieces;

    make_chunks(&from, many[_i]);
    pieces = carry(&from, &to, &bounds, &code);
    ck_assert_int_eq(code, 0);
    ck_assert(many[_i] < 10000 ? pieces == 1 : pieces > 4);
    same_chunks(&from, &to);
    bvi_chunk_list_done(&from);
    bvi_chunk_list_done(&to);
}
END_TEST

START_TEST(chunks_stay_within_bounds)
{
    static const bvi_chunk_bounds tight[] = { { .chunks = 2, .targets = 1000 },
                                              { .chunks = 10, .targets = 12 } };

    for (size_t i = 0; i < 2; i++) {
        bvi_chunk_list from = BVI_VEC_INIT(10), to = BVI_VEC_INIT(10);
        bvi_chunk_bounds bounds = tight[i];
        int code = 0;

        make_chunks(&from, 10);
        (void)carry(&from, &to, &bounds, &code);
        ck_assert_int_eq(code, BV_E_LIMIT);
        bvi_chunk_list_done(&from);
        bvi_chunk_list_done(&to);
    }
}
END_TEST

static void refuses(Bvi__Agent__Chunk *chunk, const char *says)
{
    bvi_chunk_list to = BVI_VEC_INIT(10);
    bvi_chunk_bounds bounds = { .chunks = 10, .targets = 10 };
    bv_error *err = NULL;

    ck_assert_int_eq(bvi_chunks_add(&to, &bounds, &chunk, 1, &err), BV_E_FORMAT);
    bvt_assert_error_says(err, BV_E_FORMAT, says);
    bv_error_free(err);
    bvi_chunk_list_done(&to);
}

START_TEST(chunks_from_outside_are_checked)
{
    Bvi__Agent__Chunk chunk = BVI__AGENT__CHUNK__INIT;
    Bvi__Agent__Checksum sum = BVI__AGENT__CHECKSUM__INIT;

    chunk.continues = true;
    refuses(&chunk, "continuation");
    chunk.continues = false;
    chunk.checksum = &sum;
    sum.kind = 9;
    refuses(&chunk, "unknown kind of checksum 9");
    sum.kind = BVI_CHECKSUM_SHA1;
    sum.digest = bvi_message_bytes("short", 5);
    refuses(&chunk, "expected 20 bytes checksum, but 5 bytes found");
}
END_TEST

START_TEST(compressions)
{
    Bvi__Agent__Compression message = BVI__AGENT__COMPRESSION__INIT;
    bvi_compression back;

    message.kind = BVI_CODEC_ZSTD;
    message.level = -3;
    ck_assert_int_eq(bvi_compression_from_message(&message, &back, NULL), 0);
    ck_assert_int_eq(back.level, -3);
    ck_assert_int_eq(bvi_compression_from_message(NULL, &back, NULL), 0);
    ck_assert_int_eq(back.kind, BVI_CODEC_STORED);
    message.kind = 77;
    ck_assert_int_eq(bvi_compression_from_message(&message, &back, NULL), BV_E_UNSUPPORTED);
}
END_TEST

#define R "\xEF\xBF\xBD"
static const struct {
    const char *bytes;
    size_t len;
    const char *text;
} texts[] = {
    { "", 0, "" },
    { "plain", 5, "plain" },
    { "\xC3\xA4\xE2\x82\xAC\xF0\x9F\x98\x80", 9, "\xC3\xA4\xE2\x82\xAC\xF0\x9F\x98\x80" },
    { "a\xFFz", 3, "a" R "z" },
    { "\xF0\x9F\x98", 3, R }, /* one cut-off character is one mark */
    { "\xF0\x9F\x98z", 4, R "z" },
    { "\xE0\x80\x80", 3, R R R },       /* not the beginning of anything */
    { "\xED\xA0\x80", 3, R R R },       /* a surrogate */
    { "\xF4\x90\x80\x80", 4, R R R R }, /* beyond the last character */
    { "\xC3", 1, R },
    { "\xC3\xC3\xA4", 3, R "\xC3\xA4" },
    { "x\x80y\x80", 4, "x" R "y" R },
};

START_TEST(bytes_become_utf8)
{
    bvi_buf out = BVI_BUF_INIT(1000);

    ck_assert_int_eq(bvi_append_lossy_utf8(&out, texts[_i].bytes, texts[_i].len), 0);
    ck_assert_str_eq(bvi_buf_str(&out), texts[_i].text);
    bvi_buf_done(&out);
}
END_TEST

START_TEST(survives_every_failed_allocation)
{
    bvt_for_each_failed_allocation(n) {
        bvi_chunk_list list = BVI_VEC_INIT(4);
        bvi_chunk_bounds bounds = { .chunks = 4, .targets = 4 };
        Bvi__Agent__Chunk chunk = BVI__AGENT__CHUNK__INIT;
        Bvi__Agent__ChunkTarget target = BVI__AGENT__CHUNK_TARGET__INIT;
        Bvi__Agent__ChunkTarget *targets[] = { &target };
        Bvi__Agent__Chunk *chunks[] = { &chunk };
        bvi_chunk_piece piece = { 0 };
        bvi_chunk_cursor cursor;

        chunk.key = (char *)(uintptr_t) "key";
        target.path = (char *)(uintptr_t) "path";
        chunk.n_targets = 1;
        chunk.targets = targets;
        if (bvi_chunks_add(&list, &bounds, chunks, 1, NULL) == 0) {
            cursor = (bvi_chunk_cursor){ .chunks = list.items, .count = list.len };
            if (bvi_chunk_piece_take(&cursor, &piece, NULL) == 0)
                bvi_chunk_piece_done(&piece);
        }
        bvi_chunk_list_done(&list);
    }
}
END_TEST

BVT_MAIN("agent/message", bvt_test(refuses_what_is_too_long_or_broken),
         bvt_test(refuses_a_small_message_that_would_be_big),
         bvt_loop(chunks_survive_the_journey, many), bvt_test(chunks_stay_within_bounds),
         bvt_test(chunks_from_outside_are_checked), bvt_test(compressions),
         bvt_loop(bytes_become_utf8, texts), bvt_test(survives_every_failed_allocation))
