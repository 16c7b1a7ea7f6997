/*
 * lib_sleep.c - sleep() of plugin scripts: the run waits for a timer as it waits for the node, so
 * the loop, other lanes and the run's own deadline go on.
 */
#include "plugin/lib.h"

/* More than any deadline. */
#define SLEEP_MAX_S 1e9

typedef struct nap {
    bvi_plugin_reply *reply;
    bvi_timer *timer;
} nap;

/* The run's own doing, so the reply ends here, whether it is still wanted or not. */
static void wake(nap *n)
{
    bvi_plugin_reply *reply = n->reply;

    bvi_timer_free(n->timer);
    bvi_free(n);
    bvi_plugin_reply_json(reply, NULL);
}

static void on_timer(bvi_timer *timer, void *data)
{
    wake(data);
}

static void on_cancel(bvi_plugin_reply *reply, void *data)
{
    wake(data);
}

static int fall_asleep(bvi_script_call *call, double seconds, bv_error **err)
{
    bvi_auto_free nap *n = bvi_new0(nap);
    BVI_AUTO(bvi_timer_freep) bvi_timer *timer = NULL;
    int r;

    if (!n)
        return bvi_fail_nomem(err);
    r = bvi_timer_new(bvi_hostlib_run(call)->plugin->ctx, on_timer, n, &timer, err);
    if (r == 0)
        r = bvi_timer_set(timer, (int64_t)(seconds * 1e6), err);
    if (r < 0)
        return r;
    r = bvi_hostlib_ask(call, 0, bvi_to_unit, &n->reply);
    if (r != BVI_SCRIPT_PENDING)
        return r;
    n->timer = bvi_take(timer);
    bvi_plugin_reply_on_cancel(n->reply, on_cancel, n);
    (void)bvi_take(n); /* the timer's or the reply's, whichever ends it */
    return BVI_SCRIPT_PENDING;
}

static int sleep_for(bvi_script_call *call, bvi_value *args, size_t argc, bvi_value *ret,
                     void *data)
{
    double seconds = args[0].type == BVI_T_INT ? (double)args[0].as.i : args[0].as.f;
    bv_error *err = NULL;
    int r;

    if (!(seconds > 0))
        return 0;
    r = fall_asleep(call, seconds < SLEEP_MAX_S ? seconds : SLEEP_MAX_S, &err);
    return err ? bvi_hostlib_throw(call, err) : r;
}

const bvi_script_function bvi_hostlib_sleep[] = {
    { "sleep", "n", sleep_for },
    { NULL },
};
