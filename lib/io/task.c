/*
 * task.c - deferred calls: a list of embedded tasks, run in order from the next dispatch.
 */
#include "io/ctx_impl.h"

void bvi_task_init(bvi_task *task, bv_ctx *ctx, bvi_task_fn fn, void *data)
{
    *task = (bvi_task){ .ctx = ctx, .fn = fn, .data = data };
}

void bvi_task_post(bvi_task *task)
{
    bv_ctx *ctx = task->ctx;

    if (task->posted)
        return;
    task->posted = true;
    task->next = NULL;
    if (ctx->task_tail)
        ctx->task_tail->next = task;
    else
        ctx->task_head = task;
    ctx->task_tail = task;
    ctx->task_count++;
    bvi_ctx_rearm_or_wake(ctx);
}

void bvi_task_done(bvi_task *task)
{
    bv_ctx *ctx = task->ctx;
    bvi_task *prev = NULL;

    if (!task->posted)
        return;
    for (bvi_task *it = ctx->task_head; it != task; it = it->next)
        prev = it;
    if (prev)
        prev->next = task->next;
    else
        ctx->task_head = task->next;
    if (ctx->task_tail == task)
        ctx->task_tail = prev;
    ctx->task_count--;
    task->posted = false;
}

int bvi_tasks_run(bv_ctx *ctx)
{
    /* Counted beforehand: tasks that post themselves again wait for the next round. */
    size_t count = ctx->task_count < BVI_ROUND_TASKS ? ctx->task_count : BVI_ROUND_TASKS;
    int ran = 0;

    while (count-- > 0 && ctx->task_head) {
        bvi_task *task = ctx->task_head;

        ctx->task_head = task->next;
        if (!ctx->task_head)
            ctx->task_tail = NULL;
        ctx->task_count--;
        task->posted = false;
        ran++;
        task->fn(task->data); /* may free task */
    }
    return ran;
}

void bvi_tasks_drop_all(bv_ctx *ctx)
{
    for (bvi_task *task = ctx->task_head; task; task = task->next)
        task->posted = false; /* bvi_task_done() of a late owner finds nothing to do */
    ctx->task_head = ctx->task_tail = NULL;
    ctx->task_count = 0;
}
