/*
 * client_answer.c - reading what an agent answers. The agent runs beside untrusted programs, so it
 * is checked.
 */
#include <string.h>

#include "agent/client_impl.h"
#include "agent/lossy.h"
#include "agent/node_file.h"
#include "base/utf8.h"

/* A message of an answer that is not in parts. */
#define SMALL_ANSWER_MAX (64u * 1024u)
#define PART_MAX         (2u * 1024u * 1024u)
/* A byte that is no UTF-8 takes three. */
#define LOSSY_GROWTH 3u

/* What each kind is decoded as, and how long it may become. */
static const struct {
    const ProtobufCMessageDescriptor *type;
    size_t max; /* all parts */
} answers[] = {
    [BVI_ANSWER_EMPTY] = { &bvi__agent__empty__descriptor, 0 },
    [BVI_ANSWER_VERSION] = { &bvi__agent__version_reply__descriptor, 0 },
    [BVI_ANSWER_DURATION] = { &bvi__agent__duration_reply__descriptor, 0 },
    [BVI_ANSWER_STAMP] = { &bvi__agent__stamp_reply__descriptor, 0 },
    [BVI_ANSWER_JSON] = { &bvi__agent__bulk_reply__descriptor, BVI_AGENT_INFOS_MAX },
    [BVI_ANSWER_SHELL] = { &bvi__agent__bulk_reply__descriptor, BVI_AGENT_OUTPUT_MAX },
    [BVI_ANSWER_HTTP] = { &bvi__agent__bulk_reply__descriptor, BVI_AGENT_BODY_MAX },
    [BVI_ANSWER_FILE] = { &bvi__agent__bulk_reply__descriptor, BVI_AGENT_FILE_MAX },
};

size_t bvi_agent_answer_max(bvi_agent_answer answer)
{
    return answers[answer].max;
}

static int add_bulk(bvi_agent_call *call, const Bvi__Agent__BulkReply *part, bv_error **err)
{
    int r = bvi_buf_append(&call->out, part->out.data, part->out.len);

    if (r >= 0)
        r = bvi_buf_append(&call->err_out, part->err.data, part->err.len);
    if (r == BV_E_LIMIT)
        return bvi_fail(err, r, "the agent's answer to '%s' is longer than %zu bytes",
                        call->kind->method, answers[call->kind->answer].max);
    return r < 0 ? bvi_fail_nomem(err) : 0;
}

int bvi_agent_answer_part(bvi_agent_call *call, const void *bytes, size_t len, bv_error **err)
{
    bvi_auto_message ProtobufCMessage *message = NULL;
    int r;

    if (call->deadline_us == 0 || call->kind->answer < BVI_ANSWER_JSON)
        return bvi_fail(err, BV_E_FORMAT, "the agent's answer to '%s' comes in parts",
                        call->kind->method);
    r = bvi_message_decode(&bvi__agent__bulk_reply__descriptor, bytes, len, PART_MAX, &message,
                           err);
    return r < 0 ? bvi_wrap(err, r, "the agent's answer to '%s'", call->kind->method)
                 : add_bulk(call, (const Bvi__Agent__BulkReply *)message, err);
}

int bvi_agent_answer_duration(const void *bytes, size_t len, int64_t *ret_ms, bv_error **err)
{
    bvi_auto_message ProtobufCMessage *message = NULL;
    uint64_t ms;
    int r = bvi_message_decode(&bvi__agent__duration_reply__descriptor, bytes, len,
                               SMALL_ANSWER_MAX, &message, err);

    if (r < 0)
        return bvi_wrap(err, r, "the agent's answer about a timeout");
    ms = ((const Bvi__Agent__DurationReply *)message)->ms;
    *ret_ms = ms < BVI_AGENT_TIMEOUT_MAX_MS ? (int64_t)ms : BVI_AGENT_TIMEOUT_MAX_MS;
    return 0;
}

/* ---- the last part ---- */

static int check_digest(const bvi_agent_call *call, const Bvi__Agent__BulkReply *last,
                        bv_error **err)
{
    uint8_t found[BVI_DIGEST_SIZE_MAX] = { 0 };
    int r = bvi_digest_of(BVI_DIGEST_BLAKE3, bvi_buf_str(&call->out), call->out.len, found, err);

    if (r < 0)
        return r;
    if (last->digest.len != BVI_NODE_DIGEST_BYTES ||
        !bvi_digest_equal(found, last->digest.data, BVI_NODE_DIGEST_BYTES))
        return bvi_fail(err, BV_E_CHECKSUM, "the %zu bytes received are not what the agent read",
                        call->out.len);
    return 0;
}

/* Text as it is when it is UTF-8, else a repaired copy. */
static int as_text(const bvi_buf *bytes, bvi_buf *copy, const char **ret_text, size_t *ret_len,
                   bv_error **err)
{
    const bvi_buf *from = bytes;
    int r = 0;

    if (bytes->len && !bvi_utf8_valid(bytes->data, bytes->len)) {
        bvi_buf_init(copy, bytes->len * LOSSY_GROWTH);
        r = bvi_append_lossy_utf8(copy, bytes->data, bytes->len);
        from = copy;
    }
    *ret_text = bvi_buf_str(from);
    *ret_len = from->len;
    return r < 0 ? bvi_fail_nomem(err) : 0;
}

static int read_bulk(bvi_agent_call *call, bvi_agent_parsed *parsed, bv_error **err)
{
    const Bvi__Agent__BulkReply *last = (const Bvi__Agent__BulkReply *)parsed->message;
    bvi_agent_result *result = &parsed->result;
    int r = add_bulk(call, last, err);

    if (r < 0)
        return r;
    switch (call->kind->answer) {
    case BVI_ANSWER_JSON:
        r = bvi_json_parse(bvi_buf_str(&call->out), call->out.len, &parsed->json, err);
        result->json = parsed->json;
        return r;
    case BVI_ANSWER_FILE:
        result->out = bvi_buf_str(&call->out);
        result->out_len = call->out.len;
        return check_digest(call, last, err);
    default:
        result->exit_code = call->kind->answer == BVI_ANSWER_SHELL ? last->code : 0;
        result->status_code = call->kind->answer == BVI_ANSWER_HTTP ? last->code : 0;
        result->truncated = last->truncated;
        r = as_text(&call->out, &parsed->text, &result->out, &result->out_len, err);
        return r < 0 ? r
                     : as_text(&call->err_out, &parsed->err_text, &result->err_out,
                               &result->err_out_len, err);
    }
}

static int read_answer(bvi_agent_call *call, bvi_agent_parsed *parsed, bv_error **err)
{
    bvi_agent_result *result = &parsed->result;
    const Bvi__Agent__VersionReply *version = (const Bvi__Agent__VersionReply *)parsed->message;
    const Bvi__Agent__StampReply *stamp = (const Bvi__Agent__StampReply *)parsed->message;
    const Bvi__Agent__DurationReply *duration = (const Bvi__Agent__DurationReply *)parsed->message;

    switch (call->kind->answer) {
    case BVI_ANSWER_EMPTY:
        return 0;
    case BVI_ANSWER_VERSION:
        result->version = version->version;
        result->ready = version->ready;
        return 0;
    case BVI_ANSWER_DURATION:
        result->timeout_ms = duration->ms < INT64_MAX ? (int64_t)duration->ms : INT64_MAX;
        return 0;
    case BVI_ANSWER_STAMP:
        result->has_stamp = stamp->present;
        result->stamp_us = stamp->us;
        return 0;
    default:
        return read_bulk(call, parsed, err);
    }
}

int bvi_agent_answer_last(bvi_agent_call *call, const void *bytes, size_t len,
                          bvi_agent_parsed *parsed, bv_error **err)
{
    bool bulk = call->kind->answer >= BVI_ANSWER_JSON;
    int r = bvi_message_decode(answers[call->kind->answer].type, bytes, len,
                               bulk ? PART_MAX : SMALL_ANSWER_MAX, &parsed->message, err);

    if (r >= 0)
        r = read_answer(call, parsed, err);
    return r < 0 ? bvi_wrap(err, r, "the agent's answer to '%s'", call->kind->method) : 0;
}

void bvi_agent_parsed_done(bvi_agent_parsed *parsed)
{
    bvi_message_free(parsed->message);
    bvi_json_free(parsed->json);
    bvi_buf_done(&parsed->text);
    bvi_buf_done(&parsed->err_text);
}
