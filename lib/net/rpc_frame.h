/*
 * rpc_frame.h - frames of proto/rpc.proto on a byte stream; for the two ends in this folder and the
 * fuzzer.
 */
#ifndef BVI_NET_RPC_FRAME_H
#define BVI_NET_RPC_FRAME_H

#include "base/buf.h"
#include "net/rpc.h"
#include "rpc.pb-c.h"

#define BVI_RPC_LENGTH_BYTES 4u

typedef Bvi__Rpc__Frame bvi_rpc_frame;

void bvi_rpc_frame_free(bvi_rpc_frame *frame);
BVI_DEFINE_FREEP(bvi_rpc_frame, bvi_rpc_frame_free)
/* Appends length and frame. BV_E_LIMIT when it is larger than BVI_RPC_FRAME_MAX or the buffer's
 * maximum. */
int bvi_rpc_frame_pack(const bvi_rpc_frame *frame, bvi_buf *out, bv_error **err);

/* ---- cutting a stream into frames ---- */

typedef struct bvi_rpc_reader {
    bvi_buf in;
    size_t at; /* begin of the next frame in it */
} bvi_rpc_reader;

void bvi_rpc_reader_init(bvi_rpc_reader *reader);
void bvi_rpc_reader_done(bvi_rpc_reader *reader);
/* At most BVI_STREAM_READ_MAX bytes; all complete frames must be taken before the next feeding. */
int bvi_rpc_reader_feed(bvi_rpc_reader *reader, const void *bytes, size_t len, bv_error **err);
/* 1: a frame; 0: its rest is missing; negative: the stream makes no sense (BV_E_LIMIT, BV_E_FORMAT)
 * or BV_E_NOMEM. */
int bvi_rpc_reader_next(bvi_rpc_reader *reader, bvi_rpc_frame **ret_frame, bv_error **err);

/* ---- what both ends say ---- */

#define BVI_RPC_HELLO_BYTES_MAX (16u * 1024u)

int bvi_rpc_hello_pack(const bvi_rpc_self *self, bvi_buf *out,
                       bv_error **err); /* BV_E_INVALID: names too long */
/* BV_E_UNSUPPORTED: no version in common; BV_E_FORMAT. */
int bvi_rpc_hello_check(const Bvi__Rpc__Hello *hello, bv_error **err);

/* A failure as a response, appended to out, and back. */
int bvi_rpc_failure_pack(uint64_t id, const bv_error *failure, bvi_buf *out, bv_error **err);
bv_error *bvi_rpc_failure_unpack(const Bvi__Rpc__Response *response); /* never NULL */

#endif
