/*
 * reply.c - operations whose result is a JSON document.
 */
#include "io/reply.h"

struct bvi_reply {
    bv_op *op;
    bvi_reply_fn done;
    void *data;
    bvi_json *result;
    void (*cancel)(void *data);
    void *cancel_data;
};

static void on_cancel(bv_op *op, void *data)
{
    bvi_reply *reply = data;

    if (reply->cancel)
        reply->cancel(reply->cancel_data);
}

static void on_finish(bv_op *op, const bv_error *err, void *data)
{
    bvi_reply *reply = data;

    if (reply->done)
        reply->done(op, err ? NULL : reply->result, err, reply->data);
    bvi_json_free(reply->result);
    bvi_free(reply);
}

static const bvi_op_vtable reply_vtable = { .name = "call",
                                            .cancel = on_cancel,
                                            .finish = on_finish };

int bvi_reply_new(bv_ctx *ctx, bvi_reply_fn done, void *data, bvi_reply **ret_reply, bv_op **ret_op,
                  bv_error **err)
{
    bvi_reply *reply = bvi_new0(bvi_reply);
    int r;

    if (!reply)
        return bvi_fail_nomem(err);
    reply->done = done;
    reply->data = data;
    r = bvi_op_new(ctx, &reply_vtable, reply, &reply->op, err);
    if (r < 0) {
        bvi_free(reply);
        return r;
    }
    if (ret_op)
        *ret_op = bv_op_ref(reply->op);
    *ret_reply = reply;
    return 0;
}

void bvi_reply_on_cancel(bvi_reply *reply, void (*cancel)(void *data), void *data)
{
    reply->cancel = cancel;
    reply->cancel_data = data;
    if (cancel && bvi_op_is_cancelled(reply->op))
        cancel(data);
}

bool bvi_reply_is_cancelled(const bvi_reply *reply)
{
    return bvi_op_is_cancelled(reply->op);
}

void bvi_reply_progress(bvi_reply *reply, const bv_progress *progress)
{
    bvi_op_report(reply->op, progress);
}

void bvi_reply_ok(bvi_reply *reply, bvi_json *result)
{
    bv_error *err = NULL;

    if (!result) {
        (void)bvi_fail_nomem(&err);
        bvi_reply_fail(reply, err);
        return;
    }
    reply->result = result;
    reply->cancel = NULL;
    bvi_op_complete(reply->op, NULL);
}

void bvi_reply_fail(bvi_reply *reply, bv_error *err)
{
    reply->cancel = NULL;
    bvi_op_complete(reply->op, err);
}

void bvi_reply_failf(bvi_reply *reply, int code, const char *fmt, ...)
{
    bv_error *err = NULL;
    char *text;
    va_list args;

    va_start(args, fmt);
    text = bvi_vasprintf(fmt, args);
    va_end(args);
    (void)bvi_fail(&err, code, "%s", text ? text : "out of memory"); /* the error is the result */
    bvi_free(text);
    bvi_reply_fail(reply, err);
}

void bvi_reply_ok_empty(bvi_reply *reply)
{
    bvi_reply_ok(reply, bvi_json_new_object());
}
