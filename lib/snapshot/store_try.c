/*
 * store_try.c - see store_try.h.
 */
#include "snapshot/store_try.h"

/* Stores repeat requests themselves; this is for those that gave up within a moment. */
static const bvi_retry_policy request_retry = {
    .first_ms = 500,
    .factor_percent = 200,
    .ceiling_ms = 30000,
    .jitter_percent = 25,
    .give_up = 2,
};

static void forget(bvi_store_try *t)
{
    bvi_free(bvi_take(t->key));
    bvi_free(bvi_take(t->store_key));
    bvi_free(bvi_take(t->lease));
    bvi_free(bvi_take(t->after));
}

/* The try may be started anew inside `done`. */
static void finish(bvi_store_try *t, const bv_error *err, const bvi_store_reply *reply)
{
    t->busy = false;
    t->done(err, reply, t->data);
}

static void on_reply(const bv_error *err, const bvi_store_reply *reply, void *data)
{
    bvi_store_try *t = data;
    int64_t delay_ms = 0;

    if (!err || t->stopped || !bvi_retry_is_worth(bv_error_code(err)) ||
        bv_error_code(err) == BV_E_BUSY || !bvi_retry_next(&t->retry, t->ctx, 0, &delay_ms) ||
        bvi_timer_set(t->timer, delay_ms * 1000, NULL) < 0) {
        finish(t, err, reply);
        return;
    }
    if (t->retries)
        (*t->retries)++;
}

static void tell(void *data)
{
    bvi_store_try *t = data;
    bv_error *err = bvi_take(t->late);

    finish(t, err, NULL);
    bv_error_free(err);
}

static void on_timer(bvi_timer *timer, void *data)
{
    bvi_store_try *t = data;

    (void)timer;
    if (t->stopped)
        (void)bvi_fail(&t->late, BV_E_CANCELLED, "the request was interrupted");
    else if (bvi_store_call(t->store, &t->request, on_reply, t, &t->late) == 0)
        return;
    tell(t);
}

static int copy(char **to, const char **field)
{
    *to = bvi_strdup(*field);
    if (*field && !*to)
        return BV_E_NOMEM;
    *field = *to;
    return 0;
}

void bvi_store_try_start(bvi_store_try *t, const bvi_store_request *request, bvi_store_fn done,
                         void *data)
{
    bv_error *err = NULL;

    /* What is asked may be a string of the request before. */
    char *const old[] = { bvi_take(t->key), bvi_take(t->store_key), bvi_take(t->lease),
                          bvi_take(t->after) };

    t->request = *request;
    t->done = done;
    t->data = data;
    t->busy = true;
    bvi_retry_init(&t->retry, &request_retry);
    if (copy(&t->key, &t->request.key) < 0 || copy(&t->store_key, &t->request.store_key) < 0 ||
        copy(&t->lease, &t->request.lease) < 0 || copy(&t->after, &t->request.after) < 0)
        (void)bvi_fail_nomem(&err);
    for (size_t i = 0; i < BVI_COUNT(old); i++)
        bvi_free(old[i]);
    if (err || bvi_store_call(t->store, &t->request, on_reply, t, &err) < 0) {
        t->late = err;
        bvi_task_post(&t->tell);
    }
}

void bvi_store_try_stop(bvi_store_try *t)
{
    t->stopped = true;
    if (t->busy && t->timer && bvi_timer_is_set(t->timer))
        (void)bvi_timer_set(t->timer, 0, NULL); /* if not: it ends when its wait does */
}

int bvi_store_try_init(bvi_store_try *t, bv_ctx *ctx, bvi_store *store, uint32_t *retries,
                       bv_error **err)
{
    *t = (bvi_store_try){ .ctx = ctx, .store = store, .retries = retries };
    bvi_task_init(&t->tell, ctx, tell, t);
    return bvi_timer_new(ctx, on_timer, t, &t->timer, err);
}

void bvi_store_try_done(bvi_store_try *t)
{
    if (!t->timer) /* it was never made */
        return;
    bvi_task_done(&t->tell);
    bvi_timer_free(bvi_take(t->timer));
    bv_error_free(bvi_take(t->late));
    forget(t);
}
