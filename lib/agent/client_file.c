/*
 * client_file.c - writing a file of the node: pieces in a row, each sent when the one before it was
 * taken.
 */
#include <string.h>

#include "agent/client_impl.h"
#include "agent/node_file.h"
#include "base/id.h"

static const bvi_agent_kind kind_file_write = { BVI_CALL_FILE_WRITE, BVI_ANSWER_EMPTY,
                                                .repeatable = true };

void bvi_agent_sending_free(bvi_agent_sending *sending)
{
    if (!sending)
        return;
    bvi_free(sending->path);
    bvi_free(sending->content);
    bvi_free(sending);
}

bool bvi_agent_sending_is_done(const bvi_agent_sending *sending)
{
    return sending->next >= sending->len;
}

int bvi_agent_sending_piece(bvi_agent_call *call, bv_error **err)
{
    bvi_agent_sending *s = call->sending;
    Bvi__Agent__FileWriteRequest request = BVI__AGENT__FILE_WRITE_REQUEST__INIT;
    size_t left;

    s->at = s->next;
    left = s->len - s->at;
    s->next = s->at + (left < BVI_AGENT_PIECE_MAX ? left : BVI_AGENT_PIECE_MAX);
    request.transfer = s->transfer;
    request.path = s->path;
    request.offset = s->at;
    request.bytes = bvi_message_bytes(s->next > s->at ? s->content + s->at : NULL, s->next - s->at);
    if (s->next == s->len)
        request.digest = bvi_message_bytes(s->digest, BVI_NODE_DIGEST_BYTES);
    bvi_buf_clear(&call->body);
    return bvi_message_encode(&request.base, &call->body, err);
}

int bvi_agent_sending_begin(bvi_agent_call *call, bv_error **err)
{
    int r = bvi_random_bytes(&call->sending->transfer, sizeof(call->sending->transfer), err);

    if (r < 0)
        return r;
    call->sending->next = 0;
    return bvi_agent_sending_piece(call, err);
}

static int prepare(bvi_agent_call *call, const char *path, const void *bytes, size_t len,
                   bv_error **err)
{
    bvi_agent_sending *s = call->sending = bvi_new0(bvi_agent_sending);
    int r;

    if (!s)
        return bvi_fail_nomem(err);
    s->path = bvi_strdup(path);
    s->content = bvi_strndup(len ? bytes : "", len);
    s->len = len;
    if (!s->path || !s->content)
        return bvi_fail_nomem(err);
    r = bvi_digest_of(BVI_DIGEST_BLAKE3, s->content, len, s->digest, err);
    return r < 0 ? r : bvi_agent_sending_begin(call, err);
}

int bvi_agent_file_write(bvi_agent_client *client, const char *path, const void *bytes, size_t len,
                         const bvi_agent_wait *wait, bvi_agent_call **ret_call, bv_error **err)
{
    bvi_agent_call *call = NULL;
    int r;

    if (len > BVI_AGENT_FILE_MAX)
        return bvi_fail(err, BV_E_LIMIT, "file_write '%s': %zu bytes are more than the limit of %u",
                        path, len, BVI_AGENT_FILE_MAX);
    r = bvi_agent_call_new(client, &kind_file_write, wait, &call, err);
    if (r < 0)
        return r;
    r = prepare(call, path, bytes, len, err);
    if (r < 0) {
        bvi_agent_call_free(call);
        return r;
    }
    return bvi_agent_call_start(call, wait, ret_call, err);
}
