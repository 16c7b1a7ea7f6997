/*
 * client_impl.h - what the files of the client share. Not for anybody else.
 */
#ifndef BVI_AGENT_CLIENT_IMPL_H
#define BVI_AGENT_CLIENT_IMPL_H

#include "agent.pb-c.h"
#include "agent/client.h"
#include "agent/message.h"
#include "agent/protocol.h"
#include "base/digest.h"
#include "net/rpc.h"

/* How an answer is read. */
typedef enum bvi_agent_answer {
    BVI_ANSWER_EMPTY,
    BVI_ANSWER_VERSION,
    BVI_ANSWER_DURATION,
    BVI_ANSWER_STAMP,
    BVI_ANSWER_JSON, /* from here on: BulkReply, in parts */
    BVI_ANSWER_SHELL,
    BVI_ANSWER_HTTP,
    BVI_ANSWER_FILE,
} bvi_agent_answer;

/* What is to be known about a kind of call. */
typedef struct bvi_agent_kind {
    const char *method;
    bvi_agent_answer answer;
    bool repeatable;    /* twice is as good as once: sent again after a lost connection */
    bool gone_is_fine;  /* when repeated, "not found" means that the first time worked */
    const char *ask;    /* the default timeout is the answer to this request + the margin */
    int64_t timeout_ms; /* the default without `ask`; 0: BVI_AGENT_TIMEOUT_MS */
} bvi_agent_kind;

/* A file on its way (client_file.c). */
typedef struct bvi_agent_sending {
    uint64_t transfer;
    char *path;
    char *content;
    size_t len;
    size_t at;   /* first byte of the piece under way */
    size_t next; /* first byte of the one after it; beyond len: it is the last */
    uint8_t digest[BVI_DIGEST_SIZE_MAX];
} bvi_agent_sending;

struct bvi_agent_call {
    bvi_agent_client *client;
    const bvi_agent_kind *kind;
    bvi_agent_fn done;
    void *data;
    int64_t deadline_us; /* 0: not known yet, the question is under way */
    unsigned repeats;
    bvi_rpc_request *request; /* under way; always one until the call completes */
    bvi_buf question;         /* body of the request `ask` */
    bvi_buf body;             /* of the request itself */
    bvi_buf out;              /* the answer so far */
    bvi_buf err_out;
    bvi_agent_sending *sending; /* NULL: another call */
};

/* The two ends of making a call: a new one, filled by the caller, and its first request. start owns
 * the call, also on failure. */
int bvi_agent_call_new(bvi_agent_client *client, const bvi_agent_kind *kind,
                       const bvi_agent_wait *wait, bvi_agent_call **ret_call, bv_error **err);
int bvi_agent_call_start(bvi_agent_call *call, const bvi_agent_wait *wait,
                         bvi_agent_call **ret_call, bv_error **err);
void bvi_agent_call_free(bvi_agent_call *call);

/* client_file.c. begin: from the first byte, under a new number. piece: encodes the piece at `next`
 * into the body. */
int bvi_agent_sending_begin(bvi_agent_call *call, bv_error **err);
int bvi_agent_sending_piece(bvi_agent_call *call, bv_error **err);
bool bvi_agent_sending_is_done(const bvi_agent_sending *sending);
void bvi_agent_sending_free(bvi_agent_sending *sending);

/* client_answer.c. part: one part of the answer arrived; result: what the user gets, from the last
 * part. */
typedef struct bvi_agent_parsed {
    bvi_agent_result result;
    ProtobufCMessage *message; /* the result borrows from these */
    bvi_json *json;
    bvi_buf text;
    bvi_buf err_text;
} bvi_agent_parsed;

int bvi_agent_answer_part(bvi_agent_call *call, const void *bytes, size_t len, bv_error **err);
int bvi_agent_answer_last(bvi_agent_call *call, const void *bytes, size_t len,
                          bvi_agent_parsed *parsed, bv_error **err);
void bvi_agent_parsed_done(bvi_agent_parsed *parsed);
int bvi_agent_answer_duration(const void *bytes, size_t len, int64_t *ret_ms, bv_error **err);

/* The longest answer of a kind, all parts together. */
size_t bvi_agent_answer_max(bvi_agent_answer answer);

#endif
