/*
 * reply.c - requests of a run to the environment, and their answers.
 *
 * The environment owns a reply until it ends it. From then on it belongs to the run, unless that
 * has lost interest. An answer is never used from inside the function that gave it: it only posts
 * the run's task.
 */
#include <string.h>

#include "plugin/internal.h"

struct bvi_plugin_reply {
    bvi_run *run; /* NULL: detached */
    int64_t timeout_ms;
    void (*cancel)(bvi_plugin_reply *reply, void *data);
    void *cancel_data;
    bvi_answer answer;
    bool answered;
};

void bvi_answer_done(bvi_answer *answer)
{
    bvi_json_free(answer->json);
    bvi_free(answer->bytes);
    bv_error_free(answer->err);
    *answer = (bvi_answer){ 0 };
}

static void reply_free(bvi_plugin_reply *reply)
{
    bvi_answer_done(&reply->answer);
    bvi_free(reply);
}

bvi_plugin_reply *bvi_run_ask(bvi_run *run, int64_t timeout_ms, bvi_answer_fn on_answer)
{
    bvi_plugin_reply *reply = bvi_new0(bvi_plugin_reply);
    int64_t now = bvi_ctx_now_us(run->plugin->ctx);

    if (!reply)
        return NULL;
    run->request_until_us =
        timeout_ms ? now + (timeout_ms + BVI_REQUEST_GRACE_MS) * 1000 : INT64_MAX;
    if (bvi_run_arm(run, NULL) < 0) {
        bvi_free(reply);
        return NULL;
    }
    reply->run = run;
    reply->timeout_ms = timeout_ms;
    run->reply = reply;
    run->on_answer = on_answer;
    return reply;
}

void bvi_plugin_reply_detach(bvi_plugin_reply *reply)
{
    if (!reply)
        return;
    reply->run = NULL;
    if (reply->answered)
        reply_free(reply);
    else if (reply->cancel)
        reply->cancel(reply, reply->cancel_data); /* may end, and so free, the reply */
}

bool bvi_plugin_reply_is_answered(const bvi_plugin_reply *reply)
{
    return reply->answered;
}

bvi_answer bvi_plugin_reply_take(bvi_plugin_reply *reply)
{
    bvi_answer answer = reply->answer;

    reply->answer = (bvi_answer){ 0 };
    reply_free(reply);
    return answer;
}

static void end(bvi_plugin_reply *reply, bvi_answer answer)
{
    if (!reply->run) {
        bvi_answer_done(&answer);
        reply_free(reply);
        return;
    }
    reply->answer = answer;
    reply->answered = true;
    bvi_task_post(&reply->run->task);
}

static bv_error *nomem(void)
{
    bv_error *err = NULL;

    (void)bvi_fail_nomem(&err); /* stores the static error */
    return err;
}

void bvi_plugin_reply_json(bvi_plugin_reply *reply, bvi_json *value)
{
    end(reply, (bvi_answer){ .json = value });
}

void bvi_plugin_reply_bytes(bvi_plugin_reply *reply, const void *bytes, size_t len)
{
    char *copy = bvi_strndup(len ? bytes : "", len);

    end(reply, copy ? (bvi_answer){ .bytes = copy, .len = len } : (bvi_answer){ .err = nomem() });
}

void bvi_plugin_reply_error(bvi_plugin_reply *reply, bv_error *err)
{
    end(reply, (bvi_answer){ .err = err ? err : nomem() });
}

void bvi_plugin_reply_on_cancel(bvi_plugin_reply *reply,
                                void (*cancel)(bvi_plugin_reply *reply, void *data), void *data)
{
    reply->cancel = cancel;
    reply->cancel_data = data;
}

bool bvi_plugin_reply_is_cancelled(const bvi_plugin_reply *reply)
{
    return !reply->run;
}

int64_t bvi_plugin_reply_timeout_ms(const bvi_plugin_reply *reply)
{
    return reply->timeout_ms;
}
