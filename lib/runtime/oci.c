/*
 * oci.c - the driver for nodes in containers made by crun or runc.
 *
 * This file is the loop's side: which containers there are, who waits for what. The steps
 * themselves (oci_box.c) block, so they run in a worker, one call a node at a time; a first process
 * is watched through its pidfd. Stopping waits on the loop, as long as the caller likes, without
 * holding a worker.
 */
#include <assert.h>
#include <string.h>
#include <unistd.h>

#include "io/work.h"
#include "runtime/oci_box.h"

#define CONTAINERS_MAX 4096u
#define RUNTIMES_MAX   8u
#define CGROUP_PARENT  "blockvisor"
/* A process that takes longer to die of SIGKILL waits in the kernel, and nobody can tell for how
 * long. */
#define KILL_TIMEOUT_US (30 * 1000 * 1000)
#define REASONS_MAX     16384u
/* The logs of running containers are looked at so often. */
#define CONSOLES_US (INT64_C(60) * 1000 * 1000)

typedef struct oci_driver oci_driver;
typedef struct call call;

typedef struct container {
    oci_driver *owner;
    char *id;
    char *node_dir;
    bvi_container_state state;
    bvi_proc_id proc; /* while running */
    int pidfd;
    bvi_watch *watch;
    call *busy;
} container;

/* One asynchronous call. Lives until its work is done, also when the driver is freed before. */
struct call {
    oci_driver *owner;
    container *container;     /* NULL for probe, and once the driver is closed */
    bvi_container_spec *spec; /* a copy; NULL for probe */
    bvi_work work;
    int (*step)(call *c, bv_error **err);   /* in a worker */
    void (*apply)(call *c, bv_error **err); /* on the loop, after a step that worked */
    bool ends_it;     /* stop and remove: an exit is what they wait for, not news */
    bvi_timer *timer; /* until the next, harder attempt at ending it */
    bool killed;
    bv_error *error;
    bvi_driver_done_fn done;
    void *data;
    /* Given to and got from the step. */
    char *wanted;
    bvi_oci_runtime rt;
    bvi_proc_id proc;
    int pidfd;
};

struct oci_driver {
    bvi_driver driver;
    bvi_oci_env env;
    char *wanted;       /* configured runtime; "" */
    bvi_oci_runtime rt; /* chosen by probe; path NULL before */
    BVI_VEC(container *) containers;
    bvi_timer *consoles;
    unsigned refs; /* the owner's, and one for each call */
    bool closed;
};

static oci_driver *of(bvi_driver *driver)
{
    return (oci_driver *)driver;
}

/* ---- containers ---- */

static container *find(const oci_driver *oci, const char *id)
{
    for (size_t i = 0; i < oci->containers.len; i++) {
        if (strcmp(oci->containers.items[i]->id, id) == 0)
            return oci->containers.items[i];
    }
    return NULL;
}

static void unwatch(container *c)
{
    bvi_watch_free(c->watch);
    c->watch = NULL;
    bvi_closep(&c->pidfd);
}

static void set_stopped(container *c)
{
    unwatch(c);
    c->state = BVI_CONTAINER_STOPPED;
    c->proc = (bvi_proc_id){ 0 };
}

static void free_container(container *c)
{
    unwatch(c);
    bvi_free(c->id);
    bvi_free(c->node_dir);
    bvi_free(c);
}

static void forget(container *c)
{
    oci_driver *oci = c->owner;

    for (size_t i = 0; i < oci->containers.len; i++) {
        if (oci->containers.items[i] == c) {
            bvi_vec_remove(&oci->containers, i);
            break;
        }
    }
    free_container(c);
}

static int add(oci_driver *oci, const bvi_container_spec *spec, container **ret_container,
               bv_error **err)
{
    container *c = bvi_new0(container);
    container **slot = NULL;

    if (!c)
        return bvi_fail_nomem(err);
    c->owner = oci;
    c->pidfd = -1;
    c->id = bvi_strdup(spec->id);
    c->node_dir = bvi_strdup(spec->node_dir);
    if (c->id && c->node_dir)
        slot = bvi_vec_push(&oci->containers);
    if (!slot) {
        free_container(c);
        return oci->containers.len == CONTAINERS_MAX
                   ? bvi_fail(err, BV_E_LIMIT, "more than %u containers", CONTAINERS_MAX)
                   : bvi_fail_nomem(err);
    }
    *slot = c;
    *ret_container = c;
    return 0;
}

static void first_process_ended(bvi_watch *watch, int fd, unsigned events, void *data);

static void look_at_consoles(bvi_timer *timer, void *data)
{
    const oci_driver *oci = data;

    for (size_t i = 0; i < oci->containers.len; i++) {
        if (oci->containers.items[i]->state == BVI_CONTAINER_RUNNING)
            bvi_oci_box_trim_console(oci->containers.items[i]->node_dir);
    }
    (void)bvi_timer_set(timer, CONSOLES_US, NULL); /* it was set before */
}

static int watch_process(container *c, const bvi_proc_id *proc, int *pidfd, bv_error **err)
{
    int r = bvi_watch_new(c->owner->driver.ctx, *pidfd, BV_IO_IN, first_process_ended, c, &c->watch,
                          err);

    if (r < 0)
        return r;
    c->pidfd = bvi_take_fd(pidfd);
    c->proc = *proc;
    c->state = BVI_CONTAINER_RUNNING;
    return 0;
}

/* Asks the system about a container this driver has not heard of yet. */
static int look(container *c, const bvi_container_spec *spec, bv_error **err)
{
    bvi_auto_close int pidfd = -1;
    bvi_proc_id proc = { 0 };
    bool known = false;
    int r = bvi_oci_box_find(&c->owner->env, spec, &proc, &known, err);

    if (r < 0)
        return r;
    c->state = known ? BVI_CONTAINER_STOPPED : BVI_CONTAINER_ABSENT;
    if (proc.pid == 0)
        return 0;
    r = bvi_proc_open(&proc, &pidfd, NULL);
    if (r == BV_E_NOT_FOUND) /* ended this instant */
        return 0;
    return r < 0 ? bvi_fail(err, r, "cannot watch process %d", (int)proc.pid)
                 : watch_process(c, &proc, &pidfd, err);
}

static int have(oci_driver *oci, const bvi_container_spec *spec, container **ret_container,
                bv_error **err)
{
    container *c = find(oci, spec->id);
    int r;

    if (c && c->busy)
        return bvi_fail(err, BV_E_BUSY, "container '%s' has an operation running", spec->id);
    if (!c) {
        r = add(oci, spec, &c, err);
        if (r < 0)
            return r;
        r = look(c, spec, err);
        if (r < 0) {
            forget(c);
            return r;
        }
    }
    *ret_container = c;
    return 0;
}

/* ---- calls ---- */

static void unref(oci_driver *oci)
{
    if (--oci->refs > 0)
        return;
    bvi_free(oci->env.state_dir);
    bvi_free(oci->env.init_path);
    bvi_free(oci->env.cgroup_parent);
    bvi_cgroups_done(&oci->env.cgroups);
    bvi_oci_runtime_done(&oci->rt);
    bvi_free(oci->wanted);
    bvi_free(oci);
}

static void free_call(call *c)
{
    oci_driver *oci = c->owner;

    bvi_timer_free(c->timer);
    bvi_container_spec_free(c->spec);
    bvi_oci_runtime_done(&c->rt);
    bvi_free(c->wanted);
    bvi_closep(&c->pidfd);
    bv_error_free(c->error);
    bvi_free(c);
    unref(oci);
}

/* Answers. The callback may start the next call for the node, or free the driver. */
static void finish(call *c)
{
    bvi_driver_done_fn done = c->owner->closed ? NULL : c->done;
    bvi_auto_error bv_error *error = bvi_take(c->error);
    void *data = c->data;

    if (c->container)
        c->container->busy = NULL;
    free_call(c);
    if (done)
        done(error, data);
}

static void run_step(void *data)
{
    call *c = data;

    (void)c->step(c, &c->error); /* the error tells */
}

static void step_done(void *data, bool cancelled)
{
    call *c = data;

    if (cancelled)
        (void)bvi_fail(&c->error, BV_E_CANCELLED, "cancelled"); /* the answer */
    if (!c->error && !c->owner->closed && c->apply)
        c->apply(c, &c->error);
    /* A start or a preparation that failed half way left something to remove. */
    if (c->error && c->container && c->container->state == BVI_CONTAINER_ABSENT)
        c->container->state = BVI_CONTAINER_STOPPED;
    finish(c);
}

static int new_call(oci_driver *oci, container *on, const bvi_container_spec *spec,
                    int (*step)(call *, bv_error **), void (*apply)(call *, bv_error **),
                    bvi_driver_done_fn done, void *data, call **ret_call, bv_error **err)
{
    call *c = bvi_new0(call);
    int r = 0;

    assert(done);
    if (!c)
        return bvi_fail_nomem(err);
    oci->refs++;
    c->owner = oci;
    c->pidfd = -1;
    c->step = step;
    c->apply = apply;
    c->done = done;
    c->data = data;
    if (spec)
        r = bvi_container_spec_copy(spec, &c->spec, err);
    if (r < 0) {
        free_call(c);
        return r;
    }
    c->container = on;
    if (on)
        on->busy = c;
    bvi_work_init(&c->work, oci->driver.ctx, run_step, step_done, c);
    *ret_call = c;
    return 0;
}

/* ---- probe ---- */

static int try_runtime(const bvi_oci_env *env, const char *path, bvi_oci_runtime *rt,
                       bv_error **err)
{
    int r =
        bvi_oci_runtime_init(rt, path, env->state_dir, bvi_cgroups_is_hybrid(&env->cgroups), err);

    if (r == 0)
        r = bvi_oci_box_self_test(env, rt, err);
    if (r < 0)
        bvi_oci_runtime_done(rt);
    return r;
}

static int step_probe(call *c, bv_error **err)
{
    BVI_AUTO(bvi_strv_done) bvi_strv paths = BVI_VEC_INIT(RUNTIMES_MAX);
    BVI_AUTO(bvi_buf_done) bvi_buf reasons = BVI_BUF_INIT(REASONS_MAX);
    int r = bvi_oci_runtime_find(c->wanted, &paths, err);
    int code = 0;

    if (r < 0)
        return r;
    for (size_t i = 0; i < paths.len; i++) {
        bvi_auto_error bv_error *why = NULL;
        bvi_auto_free char *text = NULL;

        code = try_runtime(&c->owner->env, paths.items[i], &c->rt, &why);
        if (code == 0)
            return 0;
        text = bvi_error_text(why);
        (void)bvi_buf_printf(&reasons, "%s%s: %s", reasons.len ? "; " : "", paths.items[i],
                             text ? text
                                  : bv_code_name(code)); /* a full buffer has reasons enough */
    }
    return bvi_fail(err, code == BV_E_NOMEM ? code : BV_E_UNSUPPORTED,
                    "no container runtime works on this host: %s", bvi_buf_str(&reasons));
}

static void apply_probe(call *c, bv_error **err)
{
    oci_driver *oci = c->owner;

    (void)err; /* nothing can fail */
    bvi_oci_runtime_done(&oci->rt);
    oci->rt = c->rt;
    c->rt = (bvi_oci_runtime){ 0 };
    bvi_log_info(oci->driver.ctx, "runtime", "containers are made by '%s'", oci->rt.path);
}

static int oci_probe(bvi_driver *driver, bvi_driver_done_fn done, void *data, bv_error **err)
{
    oci_driver *oci = of(driver);
    char *wanted = bvi_strdup(oci->wanted);
    call *c = NULL;
    int r = wanted ? new_call(oci, NULL, NULL, step_probe, apply_probe, done, data, &c, err)
                   : bvi_fail_nomem(err);

    if (r < 0) {
        bvi_free(wanted);
        return r;
    }
    c->wanted = wanted;
    bvi_work_submit(&c->work);
    return 0;
}

/* ---- prepare, unmount ---- */

static int step_prepare(call *c, bv_error **err)
{
    return bvi_oci_box_prepare(&c->owner->env, c->spec, err);
}

static void apply_prepare(call *c, bv_error **err)
{
    (void)err; /* nothing can fail */
    if (c->container->state == BVI_CONTAINER_ABSENT)
        c->container->state = BVI_CONTAINER_STOPPED;
}

/* The root of a running container is as it is; taking it down to put it up again would pull it from
 * under the node. */
static int step_nothing(call *c, bv_error **err)
{
    (void)c;
    (void)err;
    return 0;
}

static int oci_prepare(bvi_driver *driver, const bvi_container_spec *spec, bvi_driver_done_fn done,
                       void *data, bv_error **err)
{
    container *on = NULL;
    call *c = NULL;
    int r = bvi_container_spec_check(spec, false, err);

    if (r == 0 && (!spec->image_root || spec->image_root[0] != '/'))
        return bvi_fail(err, BV_E_INVALID,
                        "container '%s': the image root must be an absolute path", spec->id);
    if (r == 0)
        r = have(of(driver), spec, &on, err);
    if (r == 0)
        r = new_call(of(driver), on, spec,
                     on->state == BVI_CONTAINER_RUNNING ? step_nothing : step_prepare,
                     apply_prepare, done, data, &c, err);
    if (r == 0)
        bvi_work_submit(&c->work);
    return r;
}

static int step_unmount(call *c, bv_error **err)
{
    return bvi_oci_box_unmount(&c->owner->env, c->spec, err);
}

static int oci_unmount(bvi_driver *driver, const bvi_container_spec *spec, bvi_driver_done_fn done,
                       void *data, bv_error **err)
{
    container *on = NULL;
    call *c = NULL;
    int r = bvi_container_spec_check(spec, false, err);

    if (r == 0)
        r = have(of(driver), spec, &on, err);
    if (r < 0)
        return r;
    if (on->state == BVI_CONTAINER_RUNNING)
        return bvi_fail(err, BV_E_STATE, "container '%s' is running", spec->id);
    r = new_call(of(driver), on, spec, step_unmount, NULL, done, data, &c, err);
    if (r == 0)
        bvi_work_submit(&c->work);
    return r;
}

/* ---- start ---- */

static int step_start(call *c, bv_error **err)
{
    return bvi_oci_box_start(&c->owner->env, &c->rt, c->spec, &c->proc, &c->pidfd, err);
}

static void apply_start(call *c, bv_error **err)
{
    if (watch_process(c->container, &c->proc, &c->pidfd, err) == 0)
        return;
    /* One nobody watches must not run; the next start clears it away. */
    c->container->state = BVI_CONTAINER_STOPPED;
    (void)bvi_proc_signal(&c->proc, SIGKILL, NULL);
}

static int oci_start(bvi_driver *driver, const bvi_container_spec *spec, bvi_driver_done_fn done,
                     void *data, bv_error **err)
{
    oci_driver *oci = of(driver);
    container *on = NULL;
    call *c = NULL;
    int r = bvi_container_spec_check(spec, true, err);

    if (r == 0 && !oci->rt.path)
        return bvi_fail(err, BV_E_STATE, "no container runtime is chosen yet: probe first");
    if (r == 0)
        r = have(oci, spec, &on, err);
    if (r < 0)
        return r;
    if (on->state == BVI_CONTAINER_RUNNING)
        return bvi_fail(err, BV_E_STATE, "container '%s' is running", spec->id);
    r = new_call(oci, on, spec, step_start, apply_start, done, data, &c, err);
    if (r < 0)
        return r;
    r = bvi_oci_runtime_copy(&c->rt, &oci->rt, err);
    if (r < 0) {
        on->busy = NULL;
        free_call(c);
        return r;
    }
    bvi_work_submit(&c->work);
    return 0;
}

/* ---- stop, remove ---- */

static void tell_exit(container *c)
{
    bvi_driver *driver = &c->owner->driver;
    bvi_auto_free char *group = bvi_oci_box_group(&c->owner->env, c->id);

    if (group && bvi_cgroup_oom_kills(&c->owner->env.cgroups, group) > 0)
        bvi_log_full(driver->ctx, BV_LOG_WARN, "runtime", c->id, NULL,
                     "the kernel killed processes of the node for its memory limit");
    /* The callback may free the driver: nothing is touched afterwards. */
    if (driver->on_exit)
        driver->on_exit(driver, c->id, driver->on_exit_data);
}

static void first_process_ended(bvi_watch *watch, int fd, unsigned events, void *data)
{
    container *c = data;
    call *busy = c->busy;

    (void)watch;
    (void)fd;
    (void)events;
    set_stopped(c);
    if (!busy || !busy->ends_it) {
        tell_exit(c);
        return;
    }
    bvi_timer_clear(busy->timer);
    bvi_work_submit(&busy->work);
}

/* The caller's patience is over (kill), or that of the kill itself. */
static void patience_over(bvi_timer *timer, void *data)
{
    call *c = data;

    if (c->killed) {
        (void)bvi_fail(&c->error, BV_E_TIMEOUT,
                       "process %d does not die: it waits for the kernel (disk or network)",
                       (int)c->container->proc.pid); /* the answer */
        finish(c);
        return;
    }
    c->killed = true;
    /* Number 1 takes its whole process namespace with it. */
    (void)bvi_proc_signal(&c->container->proc, SIGKILL,
                          NULL); /* whether it worked is seen by its end */
    if (bvi_timer_set(timer, KILL_TIMEOUT_US, &c->error) < 0)
        finish(c);
}

static int step_clear(call *c, bv_error **err)
{
    return bvi_oci_box_clear(&c->owner->env, c->spec, err);
}

static int step_remove(call *c, bv_error **err)
{
    return bvi_oci_box_remove(&c->owner->env, c->spec, err);
}

/* The parent group goes when the last container does; others may use it, then it stays. */
static void apply_remove(call *c, bv_error **err)
{
    oci_driver *oci = c->owner;
    container *gone = c->container;

    (void)err; /* nothing can fail */
    c->container = NULL;
    forget(gone);
    for (size_t i = 0; i < oci->env.cgroups.all.len && oci->containers.len == 0; i++) {
        bvi_auto_free char *path =
            bvi_asprintf("%s/%s", oci->env.cgroups.all.items[i], oci->env.cgroup_parent);

        if (path)
            (void)rmdir(path);
    }
}

/* Ends the first process if there is one, then runs the call's step. */
static int end_it(oci_driver *oci, const bvi_container_spec *spec, int64_t timeout_ms,
                  int (*step)(call *, bv_error **), void (*apply)(call *, bv_error **),
                  bvi_driver_done_fn done, void *data, bv_error **err)
{
    container *on = NULL;
    call *c = NULL;
    int r = bvi_container_spec_check(spec, false, err);

    if (r == 0)
        r = have(oci, spec, &on, err);
    if (r == 0)
        r = new_call(oci, on, spec, step, apply, done, data, &c, err);
    if (r < 0)
        return r;
    if (on->state != BVI_CONTAINER_RUNNING) {
        bvi_work_submit(&c->work);
        return 0;
    }
    c->ends_it = true;
    r = bvi_timer_new(oci->driver.ctx, patience_over, c, &c->timer, err);
    if (r == 0 && timeout_ms > 0)
        r = bvi_proc_signal(&on->proc, SIGTERM, err);
    if (r == 0)
        r = bvi_timer_set(c->timer, timeout_ms > 0 ? timeout_ms * 1000 : 0, err);
    if (r < 0) {
        on->busy = NULL;
        free_call(c);
    }
    return r;
}

static int oci_stop(bvi_driver *driver, const bvi_container_spec *spec, int64_t timeout_ms,
                    bvi_driver_done_fn done, void *data, bv_error **err)
{
    return end_it(of(driver), spec, timeout_ms, step_clear, NULL, done, data, err);
}

static int oci_remove(bvi_driver *driver, const bvi_container_spec *spec, bvi_driver_done_fn done,
                      void *data, bv_error **err)
{
    return end_it(of(driver), spec, 0, step_remove, apply_remove, done, data, err);
}

/* ---- questions ---- */

static int oci_attach(bvi_driver *driver, const bvi_container_spec *spec,
                      bvi_container_state *ret_state, bv_error **err)
{
    container *c = NULL;
    int r = bvi_container_spec_check(spec, false, err);

    if (r == 0)
        r = have(of(driver), spec, &c, err);
    if (r < 0)
        return r;
    *ret_state = c->state;
    if (c->state == BVI_CONTAINER_ABSENT)
        forget(c);
    return 0;
}

static bvi_container_state oci_state(bvi_driver *driver, const char *id)
{
    const container *c = find(of(driver), id);

    return c ? c->state : BVI_CONTAINER_ABSENT;
}

static pid_t oci_pid(bvi_driver *driver, const char *id)
{
    const container *c = find(of(driver), id);

    return c && c->state == BVI_CONTAINER_RUNNING ? c->proc.pid : 0;
}

static int find_running(oci_driver *oci, const char *id, const container **ret_container,
                        bv_error **err)
{
    const container *c = find(oci, id);

    if (!c || c->state != BVI_CONTAINER_RUNNING)
        return bvi_fail(err, BV_E_STATE, "container '%s' is not running", id);
    *ret_container = c;
    return 0;
}

static int oci_stats(bvi_driver *driver, const char *id, bvi_container_stats *ret_stats,
                     bv_error **err)
{
    oci_driver *oci = of(driver);
    const container *c = NULL;
    bvi_auto_free char *group = NULL;
    int r = find_running(oci, id, &c, err);

    if (r < 0)
        return r;
    group = bvi_oci_box_group(&oci->env, id);
    return group ? bvi_cgroup_stats(&oci->env.cgroups, group, ret_stats, err) : bvi_fail_nomem(err);
}

/* The container may have been made by another runtime than the one chosen now: its record tells. */
static int oci_exec_argv(bvi_driver *driver, const char *id, bvi_strv *argv, bv_error **err)
{
    oci_driver *oci = of(driver);
    BVI_AUTO(bvi_oci_record_done) bvi_oci_record record = { 0 };
    BVI_AUTO(bvi_oci_runtime_done) bvi_oci_runtime rt = { 0 };
    const container *c = NULL;
    const char *path;
    int r = find_running(oci, id, &c, err);

    if (r == 0)
        r = bvi_oci_record_load(c->node_dir, &record, err);
    if (r < 0)
        return r;
    path = record.runtime && record.runtime[0] ? record.runtime : oci->rt.path;
    if (!path)
        return bvi_fail(err, BV_E_STATE, "it is not known which runtime made container '%s'", id);
    r = bvi_oci_runtime_init(&rt, path, oci->env.state_dir,
                             bvi_cgroups_is_hybrid(&oci->env.cgroups), err);
    return r < 0 ? r : bvi_oci_runtime_exec_argv(&rt, id, argv, err);
}

/* ---- the driver ---- */

static void oci_free(bvi_driver *driver)
{
    oci_driver *oci = of(driver);

    oci->closed = true;
    bvi_timer_free(oci->consoles);
    oci->consoles = NULL;
    oci->refs++; /* calls freed below must not take the driver with them yet */
    for (size_t i = 0; i < oci->containers.len; i++) {
        container *c = oci->containers.items[i];
        call *busy = c->busy;

        if (busy)
            busy->container = NULL;
        /* One that waits on the loop for an exit has no work under way that would free it. */
        if (busy && !bvi_work_is_pending(&busy->work))
            free_call(busy);
        free_container(c);
    }
    bvi_vec_done(&oci->containers);
    unref(oci);
    unref(oci);
}

static const bvi_driver_vtable oci_vtable = {
    .name = "oci",
    .free = oci_free,
    .probe = oci_probe,
    .prepare = oci_prepare,
    .start = oci_start,
    .attach = oci_attach,
    .stop = oci_stop,
    .remove = oci_remove,
    .state = oci_state,
    .pid = oci_pid,
    .stats = oci_stats,
    .exec_argv = oci_exec_argv,
    .unmount = oci_unmount,
};

static int set_up(oci_driver *oci, const bvi_oci_opts *opts, bv_error **err)
{
    const char *parent = opts->cgroup_parent ? opts->cgroup_parent : CGROUP_PARENT;

    parent += strspn(parent, "/");
    if (!opts->state_dir || opts->state_dir[0] != '/' || !opts->init_path || !parent[0] ||
        strstr(parent, ".."))
        return bvi_fail(err, BV_E_INVALID,
                        "the oci driver needs an absolute state directory, a first process and a "
                        "control group");
    oci->env.state_dir = bvi_strdup(opts->state_dir);
    oci->env.init_path = bvi_strdup(opts->init_path);
    oci->env.cgroup_parent = bvi_strdup(parent);
    oci->wanted = bvi_strdup(opts->runtime ? opts->runtime : "");
    if (!oci->env.state_dir || !oci->env.init_path || !oci->env.cgroup_parent || !oci->wanted)
        return bvi_fail_nomem(err);
    return bvi_cgroups_detect(&oci->env.cgroups, err);
}

static int watch_consoles(oci_driver *oci, bv_error **err)
{
    int r = bvi_timer_new(oci->driver.ctx, look_at_consoles, oci, &oci->consoles, err);

    return r < 0 ? r : bvi_timer_set(oci->consoles, CONSOLES_US, err);
}

int bvi_oci_driver_new(bv_ctx *ctx, const bvi_oci_opts *opts, bvi_driver **ret_driver,
                       bv_error **err)
{
    oci_driver *oci = bvi_new0(oci_driver);
    int r;

    if (!oci)
        return bvi_fail_nomem(err);
    oci->driver.vtable = &oci_vtable;
    oci->driver.ctx = ctx;
    oci->containers.max = CONTAINERS_MAX;
    oci->refs = 1;
    r = set_up(oci, opts, err);
    if (r == 0)
        r = watch_consoles(oci, err);
    if (r < 0) {
        bvi_timer_free(oci->consoles);
        unref(oci);
        return r;
    }
    *ret_driver = &oci->driver;
    return 0;
}
