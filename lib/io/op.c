/*
 * op.c - operations: counted, cancellable from any thread, completed exactly once from dispatch.
 */
#include <assert.h>

#include "io/ctx_impl.h"

/* Progress reports come at most this often. */
#define REPORT_INTERVAL_US 100000

struct bv_op {
    atomic_uint refs;
    atomic_bool cancel_asked;
    atomic_bool done; /* finish was or is being called */
    bool completed;   /* by its maker; finish follows from dispatch */
    bool reported;
    bv_ctx *ctx; /* NULL once done */
    bvi_mailbox *mail;
    const bvi_op_vtable *vtable;
    void *data;
    bv_error *err;
    bvi_task finish;
    bv_op *prev; /* in the context's list until done */
    bv_op *next;
    bv_op *next_cancel; /* in the mailbox */
    bv_progress_fn progress;
    void *progress_data;
    int64_t reported_us;
};

static void leave_list(bv_op *op)
{
    if (op->prev)
        op->prev->next = op->next;
    else
        op->ctx->ops = op->next;
    if (op->next)
        op->next->prev = op->prev;
    op->prev = op->next = NULL;
}

static void finish_now(void *data)
{
    bv_op *op = data;
    bv_error *err = op->err;

    leave_list(op);
    op->ctx = NULL;
    op->err = NULL;
    atomic_store(&op->done, true);
    op->vtable->finish(op, err, op->data);
    bv_error_free(err);
    bv_op_unref(op);
}

int bvi_op_new(bv_ctx *ctx, const bvi_op_vtable *vtable, void *data, bv_op **ret_op, bv_error **err)
{
    bv_op *op;

    if (ctx->closing)
        return bvi_fail(err, BV_E_STATE, "the context is being freed");
    op = bvi_new0(bv_op);
    if (!op)
        return bvi_fail_nomem(err);
    atomic_init(&op->refs, 1);
    atomic_init(&op->cancel_asked, false);
    atomic_init(&op->done, false);
    op->ctx = ctx;
    op->mail = bvi_mailbox_ref(ctx->mail);
    op->vtable = vtable;
    op->data = data;
    bvi_task_init(&op->finish, ctx, finish_now, op);
    op->next = ctx->ops;
    if (ctx->ops)
        ctx->ops->prev = op;
    ctx->ops = op;
    *ret_op = op;
    return 0;
}

void *bvi_op_data(const bv_op *op)
{
    return op->data;
}

bool bvi_op_is_cancelled(const bv_op *op)
{
    return atomic_load(&op->cancel_asked);
}

void bvi_op_complete(bv_op *op, bv_error *err)
{
    assert(!op->completed);
    op->completed = true;
    op->err = err;
    bvi_task_post(&op->finish);
}

static bool is_complete(const bv_progress *progress)
{
    return progress->total && progress->done >= progress->total;
}

void bvi_op_report(bv_op *op, const bv_progress *progress)
{
    bv_progress full = *progress;
    int64_t now_us;

    if (!op->progress || op->completed || !op->ctx || !op->ctx->depth)
        return;
    now_us = bvi_ctx_now_us(op->ctx);
    if (op->reported && now_us - op->reported_us < REPORT_INTERVAL_US && !is_complete(progress))
        return;
    op->reported = true;
    op->reported_us = now_us;
    full.size = sizeof(full);
    op->progress(op, &full, op->progress_data);
}

void bv_op_on_progress(bv_op *op, bv_progress_fn progress, void *data)
{
    op->progress = progress;
    op->progress_data = data;
}

void bv_op_cancel(bv_op *op)
{
    bvi_mailbox *mail;
    bool posted = false;

    if (!op || atomic_load(&op->done) || atomic_exchange(&op->cancel_asked, true))
        return;
    mail = op->mail;
    (void)pthread_mutex_lock(&mail->lock);
    if (!mail->closed) {
        op->next_cancel = mail->cancels;
        mail->cancels = bv_op_ref(op);
        posted = true;
    }
    (void)pthread_mutex_unlock(&mail->lock);
    if (posted)
        bvi_mailbox_ring(mail);
}

int bv_op_is_done(const bv_op *op)
{
    return atomic_load(&op->done);
}

bv_op *bv_op_ref(bv_op *op)
{
    atomic_fetch_add(&op->refs, 1);
    return op;
}

void bv_op_unref(bv_op *op)
{
    if (!op || atomic_fetch_sub(&op->refs, 1) != 1)
        return;
    bvi_mailbox_unref(op->mail);
    bvi_free(op);
}

static void cancel_one(bv_op *op)
{
    if (!op->completed && op->vtable->cancel)
        op->vtable->cancel(op, op->data);
}

static bv_op *take_list(bvi_mailbox *mail)
{
    bv_op *list;

    (void)pthread_mutex_lock(&mail->lock);
    list = mail->cancels;
    mail->cancels = NULL;
    (void)pthread_mutex_unlock(&mail->lock);
    return list;
}

void bvi_op_take_cancels(bv_ctx *ctx)
{
    bv_op *op = take_list(ctx->mail);

    while (op) {
        bv_op *next = op->next_cancel;

        cancel_one(op);
        bv_op_unref(op);
        op = next;
    }
}

void bvi_op_cancel_all(bv_ctx *ctx)
{
    bv_op *op = ctx->ops;

    while (op) {
        bv_op *next;

        (void)bv_op_ref(op);
        if (!atomic_exchange(&op->cancel_asked, true))
            cancel_one(op);
        /* finish_now() alone takes operations off the list, and it runs from a task: next is still
         * there. */
        next = op->next;
        bv_op_unref(op);
        op = next;
    }
}

void bvi_op_finish_all(bv_ctx *ctx)
{
    while (ctx->ops) {
        bv_op *op = ctx->ops;

        if (!op->completed) {
            op->completed = true;
            (void)bvi_fail(&op->err, BV_E_CANCELLED,
                           "the context was freed"); /* the error is the result */
        }
        bvi_task_done(&op->finish);
        finish_now(op);
    }
}

void bvi_mailbox_close(bvi_mailbox *mail)
{
    bv_op *op;

    (void)pthread_mutex_lock(&mail->lock);
    mail->closed = true;
    (void)pthread_mutex_unlock(&mail->lock);
    op = take_list(mail);
    while (op) {
        bv_op *next = op->next_cancel;

        bv_op_unref(op);
        op = next;
    }
}
