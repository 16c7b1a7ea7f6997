/*
 * message.c - bounded decoding: protobuf-c is given an allocator with a budget.
 */
#include "agent/message.h"
#include "base/mem.h"

/* What a decoded message may take: its structs and pointers against the bytes they came from. The
 * densest honest message is a list of short destinations, which takes about ten times its length.
 */
#define BUDGET_FACTOR 16u
#define BUDGET_FLOOR  (16u * 1024u)

static void *budget_alloc(void *data, size_t size)
{
    size_t *left = data;

    if (size > *left)
        return NULL;
    *left -= size;
    return bvi_malloc(size ? size : 1);
}

static void plain_free(void *data, void *ptr)
{
    bvi_free(ptr);
}

int bvi_message_decode(const ProtobufCMessageDescriptor *type, const void *bytes, size_t len,
                       size_t max, ProtobufCMessage **ret_message, bv_error **err)
{
    size_t budget = 0;
    ProtobufCAllocator allocator = { .alloc = budget_alloc,
                                     .free = plain_free,
                                     .allocator_data = &budget };
    ProtobufCMessage *message;

    if (len > max)
        return bvi_fail(err, BV_E_LIMIT, "a %s of %zu bytes is over the limit of %zu",
                        type->short_name, len, max);
    budget = len * BUDGET_FACTOR + BUDGET_FLOOR;
    message = protobuf_c_message_unpack(type, &allocator, len, bytes);
    if (!message)
        return bvi_fail(err, BV_E_FORMAT, "malformed %s of %zu bytes", type->short_name, len);
    *ret_message = message;
    return 0;
}

void bvi_message_free(ProtobufCMessage *message)
{
    ProtobufCAllocator allocator = { .free = plain_free };

    if (message)
        protobuf_c_message_free_unpacked(message, &allocator);
}

int bvi_message_encode(const ProtobufCMessage *message, bvi_buf *to, bv_error **err)
{
    size_t len = protobuf_c_message_get_packed_size(message);
    int r = bvi_buf_reserve(to, len);

    if (r == BV_E_NOMEM)
        return bvi_fail_nomem(err);
    if (r < 0)
        return bvi_fail(err, r, "a %s of %zu bytes does not fit into a message",
                        message->descriptor->short_name, len);
    if (len)
        to->len += protobuf_c_message_pack(message, (uint8_t *)to->data + to->len);
    if (to->data)
        to->data[to->len] = '\0';
    return 0;
}

ProtobufCBinaryData bvi_message_bytes(const void *bytes, size_t len)
{
    return (ProtobufCBinaryData){ .len = len, .data = (uint8_t *)(uintptr_t)bytes };
}
