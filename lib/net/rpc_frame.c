/*
 * rpc_frame.c - frames on a byte stream.
 *
 * What comes in is checked in this order: the length against the maximum, then the bytes are waited
 * for (memory grows with what has arrived, not with what was announced), then decoded with a budget
 * of memory, then validated.
 */
#include <string.h>

#include "base/utf8.h"
#include "net/rpc_frame.h"

/* Decoding may use so much more than the frame's own length: structs, tables of strings. */
#define DECODE_EXTRA (32u * 1024u)

struct budget {
    size_t left;
    bool no_memory;
};

static void *budget_alloc(void *data, size_t size)
{
    struct budget *b = data;
    void *ptr;

    if (size > b->left)
        return NULL;
    b->left -= size;
    ptr = bvi_malloc(size);
    if (!ptr)
        b->no_memory = true;
    return ptr;
}

static void budget_free(void *data, void *ptr)
{
    (void)data;
    bvi_free(ptr);
}

void bvi_rpc_frame_free(bvi_rpc_frame *frame)
{
    ProtobufCAllocator allocator = { .alloc = budget_alloc, .free = budget_free };

    if (frame)
        bvi__rpc__frame__free_unpacked(frame, &allocator);
}

static int unpack(const void *bytes, size_t len, bvi_rpc_frame **ret_frame, bv_error **err)
{
    struct budget budget = { .left = len + DECODE_EXTRA };
    ProtobufCAllocator allocator = { .alloc = budget_alloc,
                                     .free = budget_free,
                                     .allocator_data = &budget };
    bvi_rpc_frame *frame = bvi__rpc__frame__unpack(&allocator, len, bytes);

    if (frame) {
        *ret_frame = frame;
        return 0;
    }
    if (budget.no_memory)
        return bvi_fail_nomem(err);
    return bvi_fail(err, BV_E_FORMAT, "a frame of %zu bytes cannot be decoded", len);
}

int bvi_rpc_frame_pack(const bvi_rpc_frame *frame, bvi_buf *out, bv_error **err)
{
    size_t len = bvi__rpc__frame__get_packed_size(frame);
    unsigned char *at;
    int r;

    if (len > BVI_RPC_FRAME_MAX)
        return bvi_fail(err, BV_E_LIMIT, "a message of %zu bytes is larger than %u", len,
                        BVI_RPC_FRAME_MAX);
    r = bvi_buf_reserve(out, BVI_RPC_LENGTH_BYTES + len);
    if (r == BV_E_LIMIT)
        return bvi_fail(err, r, "no room for a message of %zu bytes", len);
    if (r < 0)
        return bvi_fail_nomem(err);
    at = (unsigned char *)out->data + out->len;
    for (unsigned i = 0; i < BVI_RPC_LENGTH_BYTES; i++)
        at[i] = (unsigned char)(len >> (24 - 8 * i));
    (void)bvi__rpc__frame__pack(frame, at + BVI_RPC_LENGTH_BYTES); /* the length is known */
    out->len += BVI_RPC_LENGTH_BYTES + len;
    out->data[out->len] = '\0';
    return 0;
}

/* ---- reading ---- */

void bvi_rpc_reader_init(bvi_rpc_reader *reader)
{
    bvi_buf_init(&reader->in, BVI_RPC_LENGTH_BYTES + BVI_RPC_FRAME_MAX + BVI_STREAM_READ_MAX);
    reader->at = 0;
}

void bvi_rpc_reader_done(bvi_rpc_reader *reader)
{
    bvi_buf_done(&reader->in);
    reader->at = 0;
}

int bvi_rpc_reader_feed(bvi_rpc_reader *reader, const void *bytes, size_t len, bv_error **err)
{
    int r;

    if (reader->at) { /* once for all frames of the feeding before */
        bvi_buf_consume(&reader->in, reader->at);
        reader->at = 0;
    }
    r = bvi_buf_append(&reader->in, bytes, len);
    if (r == BV_E_LIMIT)
        return bvi_fail(err, r, "more than one frame's worth of unread bytes");
    return r < 0 ? bvi_fail_nomem(err) : 0;
}

int bvi_rpc_reader_next(bvi_rpc_reader *reader, bvi_rpc_frame **ret_frame, bv_error **err)
{
    const unsigned char *at = (const unsigned char *)reader->in.data + reader->at;
    size_t have = reader->in.len - reader->at, len = 0;
    int r;

    if (have < BVI_RPC_LENGTH_BYTES)
        return 0;
    for (unsigned i = 0; i < BVI_RPC_LENGTH_BYTES; i++)
        len = len << 8 | at[i];
    if (len > BVI_RPC_FRAME_MAX)
        return bvi_fail(err, BV_E_LIMIT, "a frame of %zu bytes is larger than %u", len,
                        BVI_RPC_FRAME_MAX);
    if (have < BVI_RPC_LENGTH_BYTES + len)
        return 0;
    r = unpack(at + BVI_RPC_LENGTH_BYTES, len, ret_frame, err);
    if (r < 0)
        return r;
    reader->at += BVI_RPC_LENGTH_BYTES + len;
    return 1;
}

/* ---- hello ---- */

static int check_name(const char *name, bv_error **err)
{
    if (!name || strlen(name) > BVI_RPC_NAME_MAX)
        return bvi_fail(err, BV_E_INVALID, "a name is missing or longer than %u bytes",
                        BVI_RPC_NAME_MAX);
    return 0;
}

int bvi_rpc_hello_pack(const bvi_rpc_self *self, bvi_buf *out, bv_error **err)
{
    Bvi__Rpc__Hello hello = BVI__RPC__HELLO__INIT;
    bvi_rpc_frame frame = BVI__RPC__FRAME__INIT;
    int r = check_name(self->program, err);

    if (r == 0)
        r = check_name(self->version, err);
    while (r == 0 && self->capabilities && self->capabilities[hello.n_capabilities]) {
        r = check_name(self->capabilities[hello.n_capabilities++], err);
        if (r == 0 && hello.n_capabilities > BVI_RPC_CAPABILITIES_MAX)
            r = bvi_fail(err, BV_E_INVALID, "more than %u capabilities", BVI_RPC_CAPABILITIES_MAX);
    }
    if (r < 0)
        return r;
    /* protobuf-c wants writable strings and does not write to them. */
    hello.program = (char *)self->program;
    hello.program_version = (char *)self->version;
    hello.capabilities = (char **)self->capabilities;
    hello.version_min = BVI_RPC_VERSION_MIN;
    hello.version_max = BVI_RPC_VERSION_MAX;
    frame.kind_case = BVI__RPC__FRAME__KIND_HELLO;
    frame.hello = &hello;
    return bvi_rpc_frame_pack(&frame, out, err);
}

int bvi_rpc_hello_check(const Bvi__Rpc__Hello *hello, bv_error **err)
{
    bool sane = strlen(hello->program) <= BVI_RPC_NAME_MAX &&
                strlen(hello->program_version) <= BVI_RPC_NAME_MAX &&
                hello->n_capabilities <= BVI_RPC_CAPABILITIES_MAX &&
                hello->version_min <= hello->version_max;

    for (size_t i = 0; sane && i < hello->n_capabilities; i++)
        sane = strlen(hello->capabilities[i]) <= BVI_RPC_NAME_MAX;
    if (!sane)
        return bvi_fail(err, BV_E_FORMAT, "the other end's hello makes no sense");
    if (hello->version_max < BVI_RPC_VERSION_MIN || hello->version_min > BVI_RPC_VERSION_MAX)
        return bvi_fail(err, BV_E_UNSUPPORTED,
                        "'%s' %s speaks protocol versions %u to %u, this program %u to %u; update "
                        "the older one",
                        hello->program, hello->program_version, hello->version_min,
                        hello->version_max, BVI_RPC_VERSION_MIN, BVI_RPC_VERSION_MAX);
    return 0;
}

/* ---- failures ---- */

int bvi_rpc_failure_pack(uint64_t id, const bv_error *failure, bvi_buf *out, bv_error **err)
{
    char *chain[BVI_ERROR_DEPTH_MAX];
    Bvi__Rpc__Response response = BVI__RPC__RESPONSE__INIT;
    bvi_rpc_frame frame = BVI__RPC__FRAME__INIT;

    response.id = id;
    response.code = bv_error_code(failure);
    response.errnum = bv_error_errno(failure);
    response.error_chain = chain;
    for (const bv_error *e = failure; e && response.n_error_chain < BVI_ERROR_DEPTH_MAX;
         e = bv_error_cause(e))
        chain[response.n_error_chain++] = (char *)bv_error_message(e); /* not written to */
    frame.kind_case = BVI__RPC__FRAME__KIND_RESPONSE;
    frame.response = &response;
    return bvi_rpc_frame_pack(&frame, out, err);
}

/* Messages go into logs and JSON, where malformed text must not get. */
static void clean(char *text)
{
    if (bvi_utf8_valid(text, strlen(text)))
        return;
    for (; *text; text++) {
        if ((unsigned char)*text >= 0x80)
            *text = '?';
    }
}

bv_error *bvi_rpc_failure_unpack(const Bvi__Rpc__Response *response)
{
    int code = response->code;

    if (code >= 0 || strcmp(bv_code_name(code), "unknown") == 0)
        code = BV_E_REMOTE; /* of a newer version */
    for (size_t i = 0; i < response->n_error_chain; i++)
        clean(response->error_chain[i]);
    return bvi_error_rebuild(code, response->errnum, (const char *const *)response->error_chain,
                             response->n_error_chain);
}
