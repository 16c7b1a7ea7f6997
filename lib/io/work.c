/*
 * work.c - the bounded pool of worker threads.
 *
 * Threads are made when work waits and none is idle, up to the context's number; without any (0
 * asked for, or the system refuses) the work runs inline from dispatch. One lock guards the queue
 * and the list of finished items.
 */
#include <assert.h>
#include <errno.h>
#include <signal.h>

#include "io/ctx_impl.h"

/* Enough for codecs; the default would be 128 KiB with some C libraries and 8 MiB with others. */
#define WORKER_STACK_BYTES (1024u * 1024u)

enum { WORK_IDLE, WORK_QUEUED, WORK_RUNNING, WORK_FINISHED, WORK_CANCELLED };

struct work_list {
    bvi_work *head;
    bvi_work *tail;
};

struct bvi_pool {
    bvi_mailbox *mail;
    uint32_t max;
    uint32_t threads_len; /* only the context's thread touches it */
    pthread_mutex_t lock;
    pthread_cond_t more;  /* the queue or `stopping` changed */
    pthread_cond_t quiet; /* nothing runs any longer */
    struct work_list queue;
    struct work_list finished;
    uint32_t idle;
    uint32_t running;
    uint32_t queued;
    bool stopping;
    pthread_t threads[BV_WORKERS_MAX];
};

static void push(struct work_list *list, bvi_work *work)
{
    work->next = NULL;
    if (list->tail)
        list->tail->next = work;
    else
        list->head = work;
    list->tail = work;
}

static bvi_work *pop(struct work_list *list)
{
    bvi_work *work = list->head;

    if (work) {
        list->head = work->next;
        if (!list->head)
            list->tail = NULL;
    }
    return work;
}

static void unlink_work(struct work_list *list, bvi_work *work)
{
    bvi_work *prev = NULL;

    for (bvi_work *it = list->head; it != work; it = it->next)
        prev = it;
    if (prev)
        prev->next = work->next;
    else
        list->head = work->next;
    if (list->tail == work)
        list->tail = prev;
}

/* With the lock held. */
static bvi_work *begin_next(bvi_pool *pool)
{
    bvi_work *work = pop(&pool->queue);

    if (work) {
        work->state = WORK_RUNNING;
        pool->queued--;
        pool->running++;
    }
    return work;
}

/* Runs an item that begin_next() gave; the lock is held before and after. */
static void run_one(bvi_pool *pool, bvi_work *work)
{
    (void)pthread_mutex_unlock(&pool->lock);
    work->run(work->data);
    (void)pthread_mutex_lock(&pool->lock);
    work->state = WORK_FINISHED;
    push(&pool->finished, work);
    pool->running--;
    if (!pool->running)
        (void)pthread_cond_broadcast(&pool->quiet);
}

static void *worker(void *data)
{
    bvi_pool *pool = data;

    (void)pthread_mutex_lock(&pool->lock);
    while (!pool->stopping) {
        bvi_work *work = begin_next(pool);

        if (!work) {
            pool->idle++;
            (void)pthread_cond_wait(&pool->more, &pool->lock);
            pool->idle--;
            continue;
        }
        run_one(pool, work);
        bvi_mailbox_ring(pool->mail);
    }
    (void)pthread_mutex_unlock(&pool->lock);
    return NULL;
}

/* Signals are the host's: its handlers must not run on our threads. */
static void spawn(bvi_pool *pool)
{
    pthread_attr_t attr;
    sigset_t all, before;

    if (pthread_attr_init(&attr) != 0)
        return;
    (void)pthread_attr_setstacksize(&attr, WORKER_STACK_BYTES); /* the default will do as well */
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    if (pthread_create(&pool->threads[pool->threads_len], &attr, worker, pool) == 0)
        pool->threads_len++;
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    (void)pthread_attr_destroy(&attr);
}

int bvi_pool_new(bv_ctx *ctx, uint32_t workers, bvi_pool **ret_pool, bv_error **err)
{
    bvi_pool *pool = bvi_new0(bvi_pool);

    if (!pool)
        return bvi_fail_nomem(err);
    pool->mail = ctx->mail;
    pool->max = workers;
    /* Default attributes allocate nothing and cannot fail here. */
    (void)pthread_mutex_init(&pool->lock, NULL);
    (void)pthread_cond_init(&pool->more, NULL);
    (void)pthread_cond_init(&pool->quiet, NULL);
    *ret_pool = pool;
    return 0;
}

void bvi_pool_free(bvi_pool *pool)
{
    if (!pool)
        return;
    (void)pthread_mutex_lock(&pool->lock);
    pool->stopping = true;
    (void)pthread_cond_broadcast(&pool->more);
    (void)pthread_mutex_unlock(&pool->lock);
    for (uint32_t i = 0; i < pool->threads_len; i++)
        (void)pthread_join(pool->threads[i], NULL);
    (void)pthread_cond_destroy(&pool->quiet);
    (void)pthread_cond_destroy(&pool->more);
    (void)pthread_mutex_destroy(&pool->lock);
    bvi_free(pool);
}

void bvi_work_init(bvi_work *work, bv_ctx *ctx, void (*run)(void *data),
                   void (*done)(void *data, bool cancelled), void *data)
{
    *work = (bvi_work){ .run = run, .done = done, .data = data, .ctx = ctx, .state = WORK_IDLE };
}

void bvi_work_submit(bvi_work *work)
{
    bv_ctx *ctx = work->ctx;
    bvi_pool *pool = ctx->pool;
    bool want_thread;

    (void)pthread_mutex_lock(&pool->lock);
    assert(work->state == WORK_IDLE);
    if (ctx->closing) { /* too late to begin anything; bv_ctx_free() calls done */
        work->state = WORK_CANCELLED;
        push(&pool->finished, work);
        (void)pthread_mutex_unlock(&pool->lock);
        return;
    }
    work->state = WORK_QUEUED;
    push(&pool->queue, work);
    pool->queued++;
    want_thread = pool->queued > pool->idle && pool->threads_len < pool->max;
    (void)pthread_cond_signal(&pool->more);
    (void)pthread_mutex_unlock(&pool->lock);
    if (want_thread)
        spawn(pool);
    if (pool->threads_len == 0)
        bvi_ctx_rearm_or_wake(ctx);
}

bool bvi_work_is_pending(const bvi_work *work)
{
    bvi_pool *pool = work->ctx->pool;
    bool pending;

    (void)pthread_mutex_lock(&pool->lock);
    pending = work->state != WORK_IDLE;
    (void)pthread_mutex_unlock(&pool->lock);
    return pending;
}

void bvi_work_cancel(bvi_work *work)
{
    bvi_pool *pool = work->ctx->pool;

    (void)pthread_mutex_lock(&pool->lock);
    if (work->state == WORK_QUEUED) {
        unlink_work(&pool->queue, work);
        pool->queued--;
        work->state = WORK_CANCELLED;
        push(&pool->finished, work);
        bvi_mailbox_ring(pool->mail);
    }
    (void)pthread_mutex_unlock(&pool->lock);
}

bool bvi_pool_has_inline(const bvi_pool *pool)
{
    /* Without threads nobody else touches the queue. */
    return pool->threads_len == 0 && pool->queue.head;
}

int bvi_pool_run_inline(bvi_pool *pool)
{
    int ran = 0;

    (void)pthread_mutex_lock(&pool->lock);
    while (pool->threads_len == 0 && ran < (int)BVI_ROUND_INLINE) {
        bvi_work *work = begin_next(pool);

        if (!work)
            break;
        run_one(pool, work);
        ran++;
    }
    (void)pthread_mutex_unlock(&pool->lock);
    if (ran)
        (void)bvi_pool_run_finished(pool); /* counted as run already */
    return ran;
}

int bvi_pool_run_finished(bvi_pool *pool)
{
    int called = 0;

    while (called < (int)BVI_ROUND_FINISHED) {
        bvi_work *work;
        bool cancelled;

        (void)pthread_mutex_lock(&pool->lock);
        work = pop(&pool->finished);
        cancelled = work && work->state == WORK_CANCELLED;
        if (work)
            work->state = WORK_IDLE;
        (void)pthread_mutex_unlock(&pool->lock);
        if (!work)
            return called;
        called++;
        work->done(work->data, cancelled); /* may free or submit work */
    }
    bvi_mailbox_ring(pool->mail); /* there may be more: next round */
    return called;
}

void bvi_pool_cancel_all(bvi_pool *pool)
{
    bvi_work *work;

    (void)pthread_mutex_lock(&pool->lock);
    while ((work = pop(&pool->queue))) {
        pool->queued--;
        work->state = WORK_CANCELLED;
        push(&pool->finished, work);
    }
    while (pool->running)
        (void)pthread_cond_wait(&pool->quiet, &pool->lock);
    (void)pthread_mutex_unlock(&pool->lock);
}
