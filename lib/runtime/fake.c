/*
 * fake.c - the container driver without containers: everything is in memory, every answer comes
 * from dispatch.
 *
 * For unit tests, examples and bindings (`fake:` hosts). It keeps the rules a real driver keeps, so
 * that code tested against it meets no surprise: only one call per node at a time, a running
 * container is not started twice, exits are reported once and never after a stop. Failures are
 * scripted: the n-th call of an operation fails with a code.
 */
#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "runtime/driver.h"

#define CONTAINERS_MAX 4096u
#define FAULTS_MAX     256u
/* The first pid handed out; no real process has one like it. */
#define PID_FIRST 1000000000

typedef struct fake_driver fake_driver;

typedef struct container {
    fake_driver *owner;
    char *id;
    bvi_container_state state;
    pid_t pid;
    uint64_t memory_bytes;
    bvi_task exited; /* posted by bvi_fake_driver_kill() */
} container;

typedef struct fault {
    char *operation;
    unsigned left; /* calls until it strikes, this one counted; 0: done */
    int code;
} fault;

typedef struct call call;
typedef void (*effect_fn)(fake_driver *fake, const call *from);

struct call {
    fake_driver *owner;
    bvi_task task;
    call *next;
    const char *operation;
    effect_fn effect; /* what the operation does when it does not fail */
    char *id;         /* NULL for probe */
    uint64_t memory_bytes;
    int code;
    bvi_driver_done_fn done;
    void *data;
};

struct fake_driver {
    bvi_driver driver;
    BVI_VEC(container *) containers;
    BVI_VEC(fault) faults;
    call *calls; /* started and not yet answered */
    pid_t next_pid;
};

static fake_driver *of(bvi_driver *driver)
{
    return (fake_driver *)driver;
}

static container *find(const fake_driver *fake, const char *id)
{
    for (size_t i = 0; i < fake->containers.len; i++) {
        if (strcmp(fake->containers.items[i]->id, id) == 0)
            return fake->containers.items[i];
    }
    return NULL;
}

static void free_container(container *c)
{
    bvi_task_done(&c->exited);
    bvi_free(c->id);
    bvi_free(c);
}

static void forget(fake_driver *fake, const char *id)
{
    for (size_t i = 0; i < fake->containers.len; i++) {
        if (strcmp(fake->containers.items[i]->id, id) == 0) {
            free_container(fake->containers.items[i]);
            bvi_vec_remove(&fake->containers, i);
            return;
        }
    }
}

static void tell_exit(void *data)
{
    container *c = data;
    bvi_driver *driver = &c->owner->driver;

    /* The callback may remove the container or free the driver: nothing is touched afterwards. */
    if (driver->on_exit)
        driver->on_exit(driver, c->id, driver->on_exit_data);
}

static container *add(fake_driver *fake, const char *id)
{
    container *c = bvi_new0(container);
    container **slot = NULL;

    if (c)
        c->id = bvi_strdup(id);
    if (c && c->id)
        slot = bvi_vec_push(&fake->containers);
    if (!slot) {
        if (c)
            bvi_free(c->id);
        bvi_free(c);
        return NULL;
    }
    c->owner = fake;
    bvi_task_init(&c->exited, fake->driver.ctx, tell_exit, c);
    *slot = c;
    return c;
}

/* ---- faults ---- */

/* The code this call of an operation is to fail with, or 0. Every scripted fault counts every call.
 */
static int strike(fake_driver *fake, const char *operation)
{
    int code = 0;

    for (size_t i = 0; i < fake->faults.len; i++) {
        fault *f = &fake->faults.items[i];

        if (f->left > 0 && strcmp(f->operation, operation) == 0 && --f->left == 0 && code == 0)
            code = f->code;
    }
    return code;
}

static int strike_now(fake_driver *fake, const char *operation, bv_error **err)
{
    int code = strike(fake, operation);

    return code < 0 ? bvi_fail(err, code, "scripted failure of '%s'", operation) : 0;
}

/* ---- asynchronous calls ---- */

static void effect_none(fake_driver *fake, const call *from)
{
    (void)fake;
    (void)from;
}

static void effect_start(fake_driver *fake, const call *from)
{
    container *c = find(fake, from->id);

    bvi_task_done(&c->exited); /* the exit of an earlier life is old news */
    c->state = BVI_CONTAINER_RUNNING;
    c->pid = fake->next_pid++;
    c->memory_bytes = from->memory_bytes;
}

static void effect_stop(fake_driver *fake, const call *from)
{
    container *c = find(fake, from->id);

    if (!c)
        return;
    bvi_task_done(&c->exited);
    c->state = BVI_CONTAINER_STOPPED;
    c->pid = 0;
}

static void effect_remove(fake_driver *fake, const call *from)
{
    forget(fake, from->id);
}

static void unlink_call(fake_driver *fake, const call *gone)
{
    call **at = &fake->calls;

    while (*at != gone)
        at = &(*at)->next;
    *at = gone->next;
}

static void free_call(call *c)
{
    bvi_task_done(&c->task);
    bvi_free(c->id);
    bvi_free(c);
}

static void answer(void *data)
{
    call *c = data;
    bvi_driver_done_fn done = c->done;
    void *done_data = c->data;
    bvi_auto_error bv_error *error = NULL;

    if (c->code < 0)
        (void)bvi_fail(&error, c->code, "scripted failure of '%s'",
                       c->operation); /* the error is the answer */
    else
        c->effect(c->owner, c);
    unlink_call(c->owner, c);
    free_call(c);
    done(error, done_data);
}

static bool is_busy(const fake_driver *fake, const char *id)
{
    for (const call *c = fake->calls; c; c = c->next) {
        if (c->id && strcmp(c->id, id) == 0)
            return true;
    }
    return false;
}

static int begin(fake_driver *fake, const char *operation, effect_fn effect,
                 const bvi_container_spec *spec, bvi_driver_done_fn done, void *data,
                 bv_error **err)
{
    call *c;

    assert(done);
    if (spec && is_busy(fake, spec->id))
        return bvi_fail(err, BV_E_BUSY, "container '%s' has an operation running", spec->id);
    c = bvi_new0(call);
    if (!c)
        return bvi_fail_nomem(err);
    if (spec) {
        c->memory_bytes = spec->memory_bytes;
        c->id = bvi_strdup(spec->id);
        if (!c->id) {
            bvi_free(c);
            return bvi_fail_nomem(err);
        }
    }
    c->owner = fake;
    c->operation = operation;
    c->effect = effect;
    c->done = done;
    c->data = data;
    c->code = strike(fake, operation);
    c->next = fake->calls;
    fake->calls = c;
    bvi_task_init(&c->task, fake->driver.ctx, answer, c);
    bvi_task_post(&c->task);
    return 0;
}

/* ---- the table ---- */

static int fake_probe(bvi_driver *driver, bvi_driver_done_fn done, void *data, bv_error **err)
{
    return begin(of(driver), "probe", effect_none, NULL, done, data, err);
}

/* Room for the container is made at once, so that the answer from dispatch cannot fail for lack of
 * memory. */
static int have_container(fake_driver *fake, const bvi_container_spec *spec,
                          container **ret_container, bv_error **err)
{
    container *c = find(fake, spec->id);

    if (!c)
        c = add(fake, spec->id);
    if (!c)
        return bvi_fail_nomem(err);
    *ret_container = c;
    return 0;
}

static void effect_prepare(fake_driver *fake, const call *from)
{
    container *c = find(fake, from->id);

    if (c->state == BVI_CONTAINER_ABSENT)
        c->state = BVI_CONTAINER_STOPPED;
}

static int fake_prepare(bvi_driver *driver, const bvi_container_spec *spec, bvi_driver_done_fn done,
                        void *data, bv_error **err)
{
    container *c = NULL;
    int r = bvi_container_spec_check(spec, false, err);

    /* An empty root, where there is a node directory to have it: callers put files there. */
    if (r == 0 && mkdir(spec->root_dir, 0755) < 0 && errno != EEXIST && errno != ENOENT)
        r = bvi_fail_sys(err, errno, "cannot make '%s'", spec->root_dir);
    if (r == 0)
        r = have_container(of(driver), spec, &c, err);
    return r < 0 ? r : begin(of(driver), "prepare", effect_prepare, spec, done, data, err);
}

static int fake_start(bvi_driver *driver, const bvi_container_spec *spec, bvi_driver_done_fn done,
                      void *data, bv_error **err)
{
    container *c = NULL;
    int r = bvi_container_spec_check(spec, true, err);

    if (r == 0)
        r = have_container(of(driver), spec, &c, err);
    if (r < 0)
        return r;
    if (c->state == BVI_CONTAINER_RUNNING)
        return bvi_fail(err, BV_E_STATE, "container '%s' is running", spec->id);
    return begin(of(driver), "start", effect_start, spec, done, data, err);
}

static bvi_container_state fake_state(bvi_driver *driver, const char *id)
{
    const container *c = find(of(driver), id);

    return c ? c->state : BVI_CONTAINER_ABSENT;
}

static int fake_attach(bvi_driver *driver, const bvi_container_spec *spec,
                       bvi_container_state *ret_state, bv_error **err)
{
    int r = strike_now(of(driver), "attach", err);

    if (r < 0)
        return r;
    *ret_state = fake_state(driver, spec->id);
    return 0;
}

static int fake_stop(bvi_driver *driver, const bvi_container_spec *spec, int64_t timeout_ms,
                     bvi_driver_done_fn done, void *data, bv_error **err)
{
    (void)timeout_ms; /* nothing here takes time */
    return begin(of(driver), "stop", effect_stop, spec, done, data, err);
}

static int fake_remove(bvi_driver *driver, const bvi_container_spec *spec, bvi_driver_done_fn done,
                       void *data, bv_error **err)
{
    return begin(of(driver), "remove", effect_remove, spec, done, data, err);
}

static int fake_unmount(bvi_driver *driver, const bvi_container_spec *spec, bvi_driver_done_fn done,
                        void *data, bv_error **err)
{
    if (fake_state(driver, spec->id) == BVI_CONTAINER_RUNNING)
        return bvi_fail(err, BV_E_STATE, "container '%s' is running", spec->id);
    return begin(of(driver), "unmount", effect_none, spec, done, data, err);
}

static pid_t fake_pid(bvi_driver *driver, const char *id)
{
    const container *c = find(of(driver), id);

    return c ? c->pid : 0;
}

static int running(fake_driver *fake, const char *id, const container **ret_container,
                   bv_error **err)
{
    const container *c = find(fake, id);

    if (!c || c->state != BVI_CONTAINER_RUNNING)
        return bvi_fail(err, BV_E_STATE, "container '%s' is not running", id);
    *ret_container = c;
    return 0;
}

static int fake_stats(bvi_driver *driver, const char *id, bvi_container_stats *ret_stats,
                      bv_error **err)
{
    const container *c = NULL;
    int r = strike_now(of(driver), "stats", err);

    if (r == 0)
        r = running(of(driver), id, &c, err);
    if (r < 0)
        return r;
    *ret_stats =
        (bvi_container_stats){ .memory_bytes = c->memory_bytes / 2, .cpu_us = 1000, .pids = 1 };
    return 0;
}

static int fake_exec_argv(bvi_driver *driver, const char *id, bvi_strv *argv, bv_error **err)
{
    const container *c = NULL;
    int r = strike_now(of(driver), "exec_argv", err);

    if (r == 0)
        r = running(of(driver), id, &c, err);
    if (r < 0)
        return r;
    if (bvi_strv_add(argv, "/bin/false") < 0 || bvi_strv_add(argv, id) < 0)
        return bvi_fail_nomem(err);
    return 0;
}

static void fake_free(bvi_driver *driver)
{
    fake_driver *fake = of(driver);

    while (fake->calls) {
        call *c = fake->calls;

        fake->calls = c->next;
        free_call(c);
    }
    for (size_t i = 0; i < fake->containers.len; i++)
        free_container(fake->containers.items[i]);
    bvi_vec_done(&fake->containers);
    for (size_t i = 0; i < fake->faults.len; i++)
        bvi_free(fake->faults.items[i].operation);
    bvi_vec_done(&fake->faults);
    bvi_free(fake);
}

static const bvi_driver_vtable fake_vtable = {
    .name = "fake",
    .free = fake_free,
    .probe = fake_probe,
    .prepare = fake_prepare,
    .start = fake_start,
    .attach = fake_attach,
    .stop = fake_stop,
    .remove = fake_remove,
    .state = fake_state,
    .pid = fake_pid,
    .stats = fake_stats,
    .exec_argv = fake_exec_argv,
    .unmount = fake_unmount,
};

int bvi_fake_driver_new(bv_ctx *ctx, bvi_driver **ret_driver, bv_error **err)
{
    fake_driver *fake = bvi_new0(fake_driver);

    if (!fake)
        return bvi_fail_nomem(err);
    fake->driver.vtable = &fake_vtable;
    fake->driver.ctx = ctx;
    fake->containers.max = CONTAINERS_MAX;
    fake->faults.max = FAULTS_MAX;
    fake->next_pid = PID_FIRST;
    *ret_driver = &fake->driver;
    return 0;
}

void bvi_fake_driver_fail(bvi_driver *driver, const char *operation, unsigned nth, int code)
{
    fake_driver *fake = of(driver);
    char *copy = bvi_strdup(operation);
    fault *slot = copy ? bvi_vec_push(&fake->faults) : NULL;

    assert(driver->vtable == &fake_vtable);
    assert(nth > 0);
    assert(code < 0);
    if (!slot) { /* only a test scripts faults; one without its fault fails and shows it */
        bvi_free(copy);
        return;
    }
    *slot = (fault){ .operation = copy, .left = nth, .code = code };
}

void bvi_fake_driver_kill(bvi_driver *driver, const char *id)
{
    container *c = find(of(driver), id);

    assert(driver->vtable == &fake_vtable);
    if (!c || c->state != BVI_CONTAINER_RUNNING)
        return;
    c->state = BVI_CONTAINER_STOPPED;
    c->pid = 0;
    bvi_task_post(&c->exited);
}
