/*
 * job_drive.c - see job_drive.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "job_drive.h"

int64_t drive_now_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static int archive_argv(const char *name, const bvi_job_config *config, bvi_strv *argv, void *data,
                        bv_error **err)
{
    (void)name;
    (void)config;
    (void)data;
    (void)err;
    bvi_strv_add(argv, "/bin/sh");
    bvi_strv_add(argv, "-c");
    return bvi_strv_add(argv, "echo moved; exit 1");
}

static void on_change(const char *name, const bvi_job_status *status, void *data)
{
    (void)name;
    (void)status;
    ((drive *)data)->changes++;
}

static void on_trouble(const char *text, void *data)
{
    drive *d = data;

    d->troubles++;
    snprintf(d->last_trouble, sizeof(d->last_trouble), "%s", text);
}

void drive_load(drive *d, uint32_t limit, bool archive)
{
    bvi_job_manager_opts opts = {
        .jobs_dir = bvt_path("jobs"),
        .runner_path = getenv("TEST_RUNNER") ? getenv("TEST_RUNNER") : RUNNER_PATH,
        .data_dir = bvt_path("data"),
        .data_lock = bvt_path("data/.protocol_data.lock"),
        .job_limit = limit,
        .archive_argv = archive ? archive_argv : NULL,
        .on_change = on_change,
        .on_trouble = on_trouble,
        .data = d,
    };
    bv_error *err = NULL;

    (void)mkdir(bvt_path("data"), 0755);
    bvt_assert_ok(bvi_job_manager_new(d->ctx, &opts, &d->manager, &err), err);
    bvt_assert_ok(bvi_job_manager_load(d->manager, &err), err);
}

void drive_init(drive *d)
{
    bv_ctx_opts opts = BV_CTX_OPTS_INIT;
    bv_error *err = NULL;

    memset(d, 0, sizeof(*d));
    opts.log = bvt_log_sink;
    opts.log_data = &d->log;
    bvt_assert_ok(bv_ctx_new(&opts, &d->ctx, &err), err);
    drive_load(d, 0, true);
}

void drive_done(drive *d)
{
    bvi_job_manager_free(d->manager);
    d->manager = NULL;
    bv_ctx_free(d->ctx);
    d->ctx = NULL;
}

void drive_end(drive *d)
{
    drive_call call = { 0 };
    bv_error *err = NULL;

    bvt_assert_ok(bvi_job_manager_shutdown(d->manager, true, drive_on_done, &call, &err), err);
    drive_wait_call(d, &call);
    drive_done(d);
}

/* ---- waiting ---- */

static void dispatch_once(drive *d, int64_t until_us, const char *what)
{
    if (drive_now_us() > until_us)
        ck_abort_msg("waited too long for %s; log:\n%s", what, d->log.text);
    ck_assert_int_ge(bv_ctx_dispatch(d->ctx, 10), 0);
}

void drive_on_done(const bv_error *err, void *data)
{
    drive_call *call = data;

    ck_assert(!call->done);
    call->done = true;
    call->code = bv_error_code(err);
    bv_error_format(err, call->text, sizeof(call->text));
}

void drive_wait_call(drive *d, drive_call *call)
{
    int64_t until = drive_now_us() + DRIVE_LIMIT_MS * 1000LL;

    while (!call->done)
        dispatch_once(d, until, "a call");
}

bvi_job *drive_job(drive *d, const char *name)
{
    for (size_t i = 0; i < d->manager->jobs.len; i++) {
        if (strcmp(d->manager->jobs.items[i]->name, name) == 0)
            return d->manager->jobs.items[i];
    }
    return NULL;
}

void drive_wait_state(drive *d, const char *name, bvi_jstate state)
{
    int64_t until = drive_now_us() + DRIVE_LIMIT_MS * 1000LL;

    while (drive_job(d, name)->state != state)
        dispatch_once(d, until,
                      bvt_format("job %s to be %s, it is %s", name, bvi_jstate_name(state),
                                 bvi_jstate_name(drive_job(d, name)->state)));
}

bool drive_file_has(const char *path, const char *text)
{
    return bvt_exists(path) && strstr(bvt_read_file(path, NULL), text);
}

void drive_wait_text(drive *d, const char *path, const char *text)
{
    int64_t until = drive_now_us() + DRIVE_LIMIT_MS * 1000LL;

    while (!drive_file_has(path, text))
        dispatch_once(d, until, bvt_format("'%s' in %s", text, path));
}

const char *drive_path(const char *job, const char *file)
{
    return bvt_path("jobs/%s/%s", job, file);
}

/* ---- calls ---- */

void drive_create(drive *d, const char *name, const char *config_json)
{
    drive_call call = { 0 };
    bvi_json *root = NULL;
    bv_error *err = NULL;

    bvt_assert_ok(bvi_json_parse(config_json, strlen(config_json), &root, &err), err);
    bvt_assert_ok(bvi_job_manager_create(d->manager, name, root, drive_on_done, &call, &err), err);
    bvi_json_free(root);
    drive_wait_call(d, &call);
    ck_assert_msg(call.code == 0, "%s", call.text);
}

void drive_create_sh(drive *d, const char *name, const char *body, const char *restart,
                     const char *more)
{
    bvi_json *text = bvi_json_new_string(body);
    char *quoted = NULL;
    bv_error *err = NULL;

    bvt_assert_ok(bvi_json_print(text, false, &quoted, &err), err);
    drive_create(d, name,
                 bvt_format("{\"job_type\":{\"run_sh\":%s},\"restart\":%s%s%s}", quoted, restart,
                            strstr(more, "shutdown_timeout") ? "" : ",\"shutdown_timeout_secs\":5",
                            more));
    bvi_json_free(text);
    bvi_free(quoted);
}

void drive_start(drive *d, const char *name)
{
    bv_error *err = NULL;

    bvt_assert_ok(bvi_job_manager_start(d->manager, name, &err), err);
}

void drive_stop(drive *d, const char *name)
{
    drive_call call = { 0 };
    bv_error *err = NULL;

    bvt_assert_ok(bvi_job_manager_stop(d->manager, name, drive_on_done, &call, &err), err);
    drive_wait_call(d, &call);
    ck_assert_msg(call.code == 0, "%s", call.text);
}

/* ---- processes ---- */

pid_t drive_read_pid(const char *path)
{
    return bvt_exists(path) ? (pid_t)strtol(bvt_read_file(path, NULL), NULL, 10) : 0;
}

bool drive_is_alive(pid_t pid)
{
    bvi_proc_id id;

    return bvi_proc_identify(pid, &id, NULL) == 0;
}

void drive_wait_gone(pid_t pid)
{
    int64_t until = drive_now_us() + DRIVE_LIMIT_MS * 1000LL;
    bvi_proc_id id;
    int fd = -1;

    if (bvi_proc_identify(pid, &id, NULL) < 0 || bvi_proc_open(&id, &fd, NULL) < 0)
        return;
    while (drive_is_alive(pid)) {
        struct pollfd p = { .fd = fd, .events = POLLIN };

        ck_assert_msg(drive_now_us() < until, "process %d does not end", (int)pid);
        (void)poll(&p, 1, 100);
    }
    close(fd);
}

void drive_see_gone(drive *d, pid_t pid)
{
    int64_t until = drive_now_us() + DRIVE_LIMIT_MS * 1000LL;

    while (drive_is_alive(pid))
        dispatch_once(d, until, bvt_format("process %d to end", (int)pid));
}

/* ---- a runner alone ---- */

const char *runner_path(const char *job, const char *file)
{
    return bvt_path("%s/%s", job, file);
}

void runner_conf(const char *job, bvi_runner_conf *conf)
{
    bv_error *err = NULL;
    int fd;

    (void)mkdir(bvt_path("%s", job), 0755);
    fd = open(bvt_path("%s", job), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    ck_assert_int_ge(fd, 0);
    conf->name = job;
    if (!conf->instance)
        conf->instance = bvt_dir(); /* no other test has it */
    conf->run = "r";
    if (!conf->log_capacity_bytes)
        conf->log_capacity_bytes = 1000000;
    if (!conf->shutdown_signal)
        conf->shutdown_signal = SIGTERM;
    if (!conf->shutdown_timeout_ms)
        conf->shutdown_timeout_ms = 5000;
    bvt_assert_ok(bvi_runner_conf_save(fd, conf, &err), err);
    close(fd);
}

void runner_start(const char *job, runner_proc *proc)
{
    const char *path = getenv("TEST_RUNNER") ? getenv("TEST_RUNNER") : RUNNER_PATH;
    const char *argv[] = { path, bvt_path("%s", job), NULL };
    bvi_spawn how = BVI_SPAWN_INIT;
    bv_error *err = NULL;

    how.argv = argv;
    bvt_assert_ok(bvi_proc_spawn(&how, &proc->pid, &proc->pidfd, &err), err);
}

int runner_wait(runner_proc *proc)
{
    struct pollfd p = { .fd = proc->pidfd, .events = POLLIN };
    int status = -1;

    ck_assert_msg(poll(&p, 1, DRIVE_LIMIT_MS) == 1, "the runner does not end");
    ck_assert_int_eq(waitpid(proc->pid, &status, 0), proc->pid);
    close(proc->pidfd);
    return status;
}

void runner_wait_text(const char *path, const char *text)
{
    int64_t until = drive_now_us() + DRIVE_LIMIT_MS * 1000LL;

    while (!drive_file_has(path, text)) {
        ck_assert_msg(drive_now_us() < until, "no '%s' in %s", text, path);
        (void)poll(NULL, 0, 2); /* files have no event worth the trouble here */
    }
}
