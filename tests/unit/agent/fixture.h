/*
 * fixture.h - calls to an agent as if they were synchronous, for the tests of lib/agent.
 */
#ifndef AGENT_FIXTURE_H
#define AGENT_FIXTURE_H

#include "agent/agent_server.h"
#include "agent/client.h"
#include "bvt.h"

/* A copy of what `done` was given. Strings live as long as the test. */
typedef struct answer {
    bool done;
    int code;
    char *story; /* the error, whole */
    bvi_agent_result result;
    bvi_json *json;
    bvi_agent_call *call;
} answer;

typedef struct fixture {
    bv_ctx *ctx;
    bvi_agent_server *agent; /* NULL: it is another process */
    bvi_agent_client *client;
} fixture;

/* Directories below the test's own, as a node has them, with a bundle whose runner is the real one.
 */
void make_node(void);

void fixture_open(fixture *f, uint32_t workers, const bvi_agent_server_opts *more);
void fixture_close(fixture *f);

/* The argument list ends with an answer; the call is made and dispatched until it is answered. */
#define ask(f, fn, a, ...)                                                                         \
    do {                                                                                           \
        bvi_agent_wait wait_ = { .timeout_ms = 20000, .done = keep_answer, .data = (a) };          \
        bv_error *err_ = NULL;                                                                     \
        *(a) = (answer){ 0 };                                                                      \
        bvt_assert_ok(fn((f)->client, ##__VA_ARGS__, &wait_, &(a)->call, &err_), err_);            \
        dispatch_until((f)->ctx, &(a)->done);                                                      \
    } while (0)

void keep_answer(const bvi_agent_result *result, const bv_error *err, void *data);
void answer_done(answer *a);
void dispatch_until(bv_ctx *ctx, const bool *flag);
/* Dispatches until the file exists. */
void dispatch_until_file(bv_ctx *ctx, const char *path);

#define assert_answer_ok(a)                                                                        \
    ck_assert_msg((a)->code == 0, "%s: %s", bv_code_name((a)->code), (a)->story)
#define assert_answer_says(a, wanted, text)                                                        \
    do {                                                                                           \
        ck_assert_msg((a)->code == (wanted), "%s: %s", bv_code_name((a)->code), (a)->story);       \
        ck_assert_msg(strstr((a)->story, (text)) != NULL, "'%s' does not say '%s'", (a)->story,    \
                      (text));                                                                     \
    } while (0)

/* Set up without a hook and RAM disks. */
void setup_node(fixture *f);
bvi_json *parse(const char *text);
#define CONF "{\"node_env\":{\"node_id\":\"n\"},\"ramdisks\":[]}"

#endif
