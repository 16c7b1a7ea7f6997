/*
 * message.h - protobuf messages from untrusted bytes and back, with bounds. The only direct user of
 * protobuf-c's packing in this module.
 */
#ifndef BVI_AGENT_MESSAGE_H
#define BVI_AGENT_MESSAGE_H

#include <protobuf-c/protobuf-c.h>

#include "base/buf.h"
#include "base/error.h"

/*
 * Decodes one message of at most `max` bytes; what it may take in memory is bounded by a multiple
 * of its length, so that thousands of empty items in a small message are refused. BV_E_LIMIT,
 * BV_E_FORMAT. Free it with bvi_message_free().
 */
int bvi_message_decode(const ProtobufCMessageDescriptor *type, const void *bytes, size_t len,
                       size_t max, ProtobufCMessage **ret_message, bv_error **err);
void bvi_message_free(ProtobufCMessage *message);
BVI_DEFINE_FREEP(ProtobufCMessage, bvi_message_free)
#define bvi_auto_message BVI_AUTO(bvi_message_freep)

/* Appends the encoded message to `to`, within its maximum. */
int bvi_message_encode(const ProtobufCMessage *message, bvi_buf *to, bv_error **err);

/* A bytes field that borrows. */
ProtobufCBinaryData bvi_message_bytes(const void *bytes, size_t len);

#endif
