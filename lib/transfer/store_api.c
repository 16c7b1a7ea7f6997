/*
 * store_api.c - the public calls of blockvisor/store.h that ask one question of a store.
 */
#include <blockvisor/store.h>

#include "io/reply.h"
#include "transfer/snapshot_doc.h"

/* One question: the store lives until it is answered. */
typedef struct question {
    bvi_store *store;
    bvi_reply *reply;
    bv_reply_fn done;
    void *data;
} question;

static void question_free(question *q)
{
    bvi_store_free(q->store);
    bvi_free(q);
}

static void on_reply(bv_op *op, const bvi_json *result, const bv_error *err, void *data)
{
    question *q = data;

    q->done(op, (const bv_doc *)result, err, q->data); /* one thing under two names */
    question_free(q);
}

static void on_cancel(void *data)
{
    question *q = data;

    q->store->vtable->cancel(q->store);
}

static int question_new(bv_ctx *ctx, const bv_store_opts *opts, bv_reply_fn done, void *data,
                        question **ret_question, bv_error **err)
{
    question *q;
    int r;

    if (opts->size < sizeof(*opts) || !opts->store)
        return bvi_fail(err, BV_E_INVALID, "a question needs a store, and its options their size");
    q = bvi_new0(question);
    if (!q)
        return bvi_fail_nomem(err);
    q->done = done;
    q->data = data;
    r = bvi_store_open(ctx, opts->store, &q->store, err);
    if (r < 0)
        question_free(q);
    else
        *ret_question = q;
    return r;
}

static int ask(bv_ctx *ctx, question *q, const bvi_store_request *request, bvi_store_fn answered,
               bv_op **ret_op, bv_error **err)
{
    bv_error *failure = NULL;
    int r = bvi_reply_new(ctx, on_reply, q, &q->reply, ret_op, err);

    if (r < 0) {
        question_free(q);
        return r;
    }
    if (bvi_store_call(q->store, request, answered, q, &failure) < 0)
        bvi_reply_fail(q->reply, failure);
    else
        bvi_reply_on_cancel(q->reply, on_cancel, q);
    return 0;
}

/* ---- list ---- */

static void on_list(const bv_error *err, const bvi_store_reply *listed, void *data)
{
    question *q = data;

    if (err)
        bvi_reply_fail(q->reply, bvi_error_copy(err));
    else
        bvi_reply_ok(q->reply, bvi_snapshot_list_json(listed));
}

int bv_store_list_start(bv_ctx *ctx, const bv_store_opts *opts, bv_reply_fn done, void *data,
                        bv_op **ret_op, bv_error **err)
{
    const bvi_store_request request = { .verb = BVI_STORE_LIST, .store_key = opts->key };
    question *q = NULL;
    int r = question_new(ctx, opts, done, data, &q, err);

    return r < 0 ? r : ask(ctx, q, &request, on_list, ret_op, err);
}
