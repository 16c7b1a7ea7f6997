/*
 * fuzz_rpc.c - frames from a strange peer: cutting the stream, decoding, checking, and packing
 * again what was taken.
 *
 * The first byte says in how large pieces the rest arrives.
 */
#include <stdlib.h>

#include "net/rpc_frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(int good)
{
    if (!good)
        abort();
}

static void use_frame(const bvi_rpc_frame *frame)
{
    BVI_AUTO(bvi_buf_done) bvi_buf out = BVI_BUF_INIT(16u * 1024u * 1024u);

    if (frame->kind_case == BVI__RPC__FRAME__KIND_HELLO)
        (void)bvi_rpc_hello_check(frame->hello, NULL); /* either answer is fine */
    if (frame->kind_case == BVI__RPC__FRAME__KIND_RESPONSE) {
        bv_error *err = bvi_rpc_failure_unpack(frame->response);

        check(bv_error_code(err) < 0);
        check(bvi_rpc_failure_pack(1, err, &out, NULL) == 0);
        bv_error_free(err);
    }
    /* What could be read can be written; only a denser encoding than ours may have been smaller
     * than the maximum. */
    (void)bvi_rpc_frame_pack(frame, &out, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    bvi_rpc_reader reader;
    size_t piece = size ? (size_t)data[0] * 64 + 1 : 1;
    int r = 0;

    bvi_rpc_reader_init(&reader);
    for (size_t at = 1; at < size && r >= 0; at += piece) {
        bv_error *err = NULL;
        size_t n = size - at < piece ? size - at : piece;

        r = bvi_rpc_reader_feed(&reader, data + at, n, &err);
        while (r >= 0) {
            bvi_rpc_frame *frame = NULL;

            r = bvi_rpc_reader_next(&reader, &frame, &err);
            if (r <= 0)
                break;
            use_frame(frame);
            bvi_rpc_frame_free(frame);
        }
        check((r < 0) == (err != NULL));
        bv_error_free(err);
    }
    bvi_rpc_reader_done(&reader);
    return 0;
}
