/*
 * job_manager.c - all jobs of a node: the public calls, dependencies, loading.
 *
 * Calls of operators become wishes to single jobs (job_machine.c). Whenever a job changes, a pass
 * over the pending ones is posted and repeated until nothing changes any more, so no wake-up is
 * missed (weakness 34 of babel.md 13).
 */
#include <stdio.h>
#include <string.h>

#include "base/id.h"
#include "job/manager_impl.h"
#include "sys/fs.h"

#define ENV_MAX         4096u
#define DIR_ENTRIES_MAX 65536u
/* Jobs that start or fail in one dispatch; the loop has other things to do as well. */
#define PASS_CHANGES_MAX 8u

/* ---- registry ---- */

static size_t find_index(const bvi_job_manager *m, const char *name, bool *ret_found)
{
    size_t low = 0;
    size_t high = m->jobs.len;

    while (low < high) {
        size_t mid = low + (high - low) / 2;
        int order = strcmp(m->jobs.items[mid]->name, name);

        if (order == 0) {
            *ret_found = true;
            return mid;
        }
        if (order < 0)
            low = mid + 1;
        else
            high = mid;
    }
    *ret_found = false;
    return low;
}

static bvi_job *find_job(const bvi_job_manager *m, const char *name)
{
    bool found = false;
    size_t i = find_index(m, name, &found);

    return found ? m->jobs.items[i] : NULL;
}

static int add_job(bvi_job_manager *m, bvi_job *job)
{
    bool found = false;
    size_t i = find_index(m, job->name, &found);
    size_t after = m->jobs.len - i;
    bvi_job **slot = bvi_vec_push(&m->jobs);

    if (!slot)
        return BV_E_NOMEM;
    memmove(&m->jobs.items[i + 1], &m->jobs.items[i], after * sizeof(*m->jobs.items));
    m->jobs.items[i] = job;
    return 0;
}

void bvi_job_forget(bvi_job *job)
{
    bvi_job_manager *m = job->manager;
    bool found = false;
    size_t i = find_index(m, job->name, &found);

    if (found)
        bvi_vec_remove(&m->jobs, i);
    bvi_job_free(job);
    bvi_task_post(&m->pass);
}

static int need_job(const bvi_job_manager *m, const char *name, const char *what, bvi_job **ret_job,
                    bv_error **err)
{
    *ret_job = find_job(m, name);
    return *ret_job ? 0 : bvi_fail(err, BV_E_NOT_FOUND, "%s, job '%s' not found", what, name);
}

void bvi_manager_trouble(bvi_job_manager *m, const char *job, const char *fmt, ...)
{
    bvi_auto_free char *text = NULL;
    va_list args;

    va_start(args, fmt);
    text = bvi_vasprintf(fmt, args);
    va_end(args);
    if (!text)
        return;
    for (char *c = text; *c; c++)
        *c = *c == '\n' || *c == '\r' ? ' ' : *c;
    bvi_log_full(m->ctx, BV_LOG_WARN, "job", NULL, job, "%s", text);
    if (m->opts.on_trouble)
        m->opts.on_trouble(text, m->opts.data);
}

/* ---- telling ---- */

static bvi_waiter *new_waiter(bvi_job_done_fn done, void *data, bv_error **err)
{
    bvi_waiter *w = bvi_new0(bvi_waiter);

    if (!w) {
        (void)bvi_fail_nomem(err);
        return NULL;
    }
    w->done = done;
    w->data = data;
    return w;
}

static void make_due(bvi_job_manager *m, bvi_waiter *w, bv_error *err)
{
    w->err = err;
    w->next = NULL;
    *m->due_end = w;
    m->due_end = &w->next;
    bvi_task_post(&m->tell);
}

void bvi_manager_tell(bvi_job *job, bv_error *err)
{
    if (err && !job->waiters) {
        bvi_auto_free char *text = bvi_error_text(err);

        bvi_manager_trouble(job->manager, job->name, "job '%s': %s", job->name,
                            text ? text : "out of memory");
    }
    while (job->waiters) {
        bvi_waiter *w = job->waiters;

        job->waiters = w->next;
        make_due(job->manager, w, err ? bvi_error_copy(err) : NULL);
    }
    bv_error_free(err);
}

static void tell_due(void *data)
{
    bvi_job_manager *m = data;

    while (m->due) {
        bvi_waiter *w = m->due;

        m->due = w->next;
        if (!m->due)
            m->due_end = &m->due;
        if (w->done)
            w->done(w->err, w->data);
        bv_error_free(w->err);
        bvi_free(w);
    }
}

/* Several jobs, one answer. */
typedef struct group {
    bvi_job_manager *manager;
    size_t left;
    bv_error *err; /* the first */
    bvi_waiter *waiter;
} group;

static void leave_group(group *g)
{
    if (--g->left > 0)
        return;
    make_due(g->manager, g->waiter, g->err);
    bvi_free(g);
}

static void member_done(const bv_error *err, void *data)
{
    group *g = data;

    if (err && !g->err)
        g->err = bvi_error_copy(err);
    leave_group(g);
}

/* ---- needs and wait_for ---- */

typedef enum readiness { READY, NOT_YET, UNMET } readiness;

static char *failed_need_text(const bvi_job *job, const bvi_job *other)
{
    const char *message = other->status.message ? other->status.message : "";

    if (other->status.has_exit_code)
        return bvi_asprintf("job '%s' needs '%s', but it failed with Some(%d) - %s", job->name,
                            other->name, other->status.exit_code, message);
    return bvi_asprintf("job '%s' needs '%s', but it failed with None - %s", job->name, other->name,
                        message);
}

static readiness check_need(const bvi_job *job, const char *name, char **ret_why)
{
    const bvi_job *other = find_job(job->manager, name);

    if (!other) {
        *ret_why = bvi_asprintf("job '%s' needs '%s', but it is not defined", job->name, name);
        return UNMET;
    }
    if (other->state == BVI_JS_STOPPED) {
        *ret_why = bvi_asprintf("job '%s' needs '%s', but it was stopped", job->name, name);
        return UNMET;
    }
    if (other->state != BVI_JS_FINISHED)
        return NOT_YET;
    if (bvi_job_status_succeeded(&other->status))
        return READY;
    *ret_why = failed_need_text(job, other);
    return UNMET;
}

static readiness check_wait(const bvi_job *job, const char *name, char **ret_why)
{
    const bvi_job *other = find_job(job->manager, name);

    if (!other) {
        *ret_why = bvi_asprintf("job '%s' waits for '%s', but it is not defined", job->name, name);
        return UNMET;
    }
    return other->state == BVI_JS_FINISHED || other->state == BVI_JS_STOPPED ? READY : NOT_YET;
}

static readiness check_job(const bvi_job *job, char **ret_why)
{
    for (size_t i = 0; i < job->config->needs.len; i++) {
        readiness r = check_need(job, job->config->needs.items[i], ret_why);

        if (r != READY)
            return r;
    }
    for (size_t i = 0; i < job->config->wait_for.len; i++) {
        readiness r = check_wait(job, job->config->wait_for.items[i], ret_why);

        if (r != READY)
            return r;
    }
    return READY;
}

/* One pass; true when a job changed. Jobs never leave the registry here. budget: of changes, for a
 * start takes disk and processes some milliseconds. */
static bool pass_once(bvi_job_manager *m, unsigned *budget)
{
    bool changed = false;

    for (size_t i = 0; i<m->jobs.len && * budget> 0; i++) {
        bvi_job *job = m->jobs.items[i];
        char *why = NULL;
        readiness r;

        if (job->state != BVI_JS_PENDING)
            continue;
        r = check_job(job, &why);
        if (r == UNMET)
            bvi_job_fail(job, why);
        if (r == READY)
            (void)bvi_job_handle(job, BVI_JE_READY, NULL); /* READY never refuses */
        if (r == NOT_YET)
            continue;
        changed = true;
        (*budget)--;
    }
    return changed;
}

static bvi_job *find_changed(bvi_job_manager *m)
{
    for (size_t i = 0; i < m->jobs.len; i++) {
        if (m->jobs.items[i]->changed)
            return m->jobs.items[i];
    }
    return NULL;
}

/* The callback may do anything to the registry, so each job is looked for anew. */
static void report_changes(bvi_job_manager *m)
{
    bvi_job *job;

    while ((job = find_changed(m))) {
        bvi_job_status running = { .state = BVI_JOB_RUNNING, .time_ms = job->status.time_ms };

        job->changed = false;
        if (m->opts.on_change)
            m->opts.on_change(job->name, bvi_job_is_active(job) ? &running : &job->status,
                              m->opts.data);
    }
}

static void run_pass(void *data)
{
    bvi_job_manager *m = data;

    unsigned budget = PASS_CHANGES_MAX;

    /* Each round takes at least one job out of Pending, so it ends. */
    while (m->ready && pass_once(m, &budget))
        ;
    if (budget == 0)
        bvi_task_post(&m->pass);
    report_changes(m);
}

void bvi_manager_changed(bvi_job *job)
{
    job->changed = true;
    bvi_task_post(&job->manager->pass);
}

/* ---- circles ---- */

/* A job that waits for `target` among all that a configuration depends on; NULL: none. Each job is
 * looked at once. */
static const bvi_job *reaches(const bvi_job_manager *m, const bvi_job_config *config,
                              const char *target)
{
    const bvi_strv *lists[] = { &config->needs, &config->wait_for };

    for (size_t l = 0; l < BVI_COUNT(lists); l++) {
        for (size_t i = 0; i < lists[l]->len; i++) {
            bvi_job *other = find_job(m, lists[l]->items[i]);
            const bvi_job *via;

            if (!other || other->seen || strcmp(other->name, target) == 0)
                continue; /* the target's own configuration is about to be replaced */
            other->seen = true;
            if (bvi_strv_has(&other->config->needs, target) ||
                bvi_strv_has(&other->config->wait_for, target))
                return other;
            via = reaches(m, other->config, target);
            if (via)
                return via;
        }
    }
    return NULL;
}

static int check_circle(const bvi_job_manager *m, const char *name, const bvi_job_config *config,
                        bv_error **err)
{
    const bvi_job *via;

    if (bvi_strv_has(&config->needs, name) || bvi_strv_has(&config->wait_for, name))
        return bvi_fail(err, BV_E_INVALID, "job '%s' waits for itself", name);
    for (size_t i = 0; i < m->jobs.len; i++)
        m->jobs.items[i]->seen = false;
    via = reaches(m, config, name);
    if (via)
        return bvi_fail(err, BV_E_INVALID,
                        "job '%s' waits for itself through '%s': remove it from 'needs' and "
                        "'wait_for' of one of them",
                        name, via->name);
    return 0;
}

/* ---- life ---- */

static int copy_opts(bvi_job_manager *m, const bvi_job_manager_opts *opts, bv_error **err)
{
    m->opts = *opts;
    m->jobs_dir = bvi_strdup(opts->jobs_dir);
    m->runner_path = bvi_strdup(opts->runner_path);
    m->data_dir = bvi_strdup(opts->data_dir);
    m->data_lock = bvi_strdup(opts->data_lock);
    if (!m->jobs_dir || !m->runner_path || !m->data_dir || !m->data_lock)
        return bvi_fail_nomem(err);
    return bvi_job_manager_set_env(m, opts->env, err);
}

int bvi_job_manager_new(bv_ctx *ctx, const bvi_job_manager_opts *opts,
                        bvi_job_manager **ret_manager, bv_error **err)
{
    BVI_AUTO(bvi_job_manager_freep) bvi_job_manager *m = bvi_new0(bvi_job_manager);
    uint32_t limit = opts->job_limit ? opts->job_limit : BVI_JOB_LIMIT_DEFAULT;
    int r;

    if (!m)
        return bvi_fail_nomem(err);
    m->ctx = ctx;
    m->jobs.max = BVI_JOB_LIMIT_MAX;
    m->due_end = &m->due;
    bvi_task_init(&m->pass, ctx, run_pass, m);
    bvi_task_init(&m->tell, ctx, tell_due, m);
    if (limit > BVI_JOB_LIMIT_MAX)
        return bvi_fail(err, BV_E_INVALID, "the job limit %u is above %u", limit,
                        BVI_JOB_LIMIT_MAX);
    r = copy_opts(m, opts, err);
    if (r < 0)
        return r;
    m->opts.job_limit = limit;
    *ret_manager = bvi_take(m);
    return 0;
}

static void cancel_waiters(bvi_job_manager *m)
{
    for (size_t i = 0; i < m->jobs.len; i++) {
        while (m->jobs.items[i]->waiters) {
            bvi_waiter *w = m->jobs.items[i]->waiters;
            bv_error *err = NULL;

            m->jobs.items[i]->waiters = w->next;
            (void)bvi_fail(&err, BV_E_CANCELLED, "the job manager ended");
            make_due(m, w, err);
        }
    }
    tell_due(m); /* groups become due meanwhile */
}

void bvi_job_manager_free(bvi_job_manager *m)
{
    if (!m)
        return;
    m->ready = false;
    if (m->due_end)
        cancel_waiters(m);
    bvi_task_done(&m->pass);
    bvi_task_done(&m->tell);
    for (size_t i = 0; i < m->jobs.len; i++)
        bvi_job_free(m->jobs.items[i]);
    bvi_vec_done(&m->jobs);
    bvi_strv_done(&m->env);
    bvi_free(m->jobs_dir);
    bvi_free(m->runner_path);
    bvi_free(m->data_dir);
    bvi_free(m->data_lock);
    bvi_free(m);
}

bool bvi_job_manager_is_ready(const bvi_job_manager *m)
{
    return m->ready;
}

int bvi_job_manager_set_env(bvi_job_manager *m, const char *const *env, bv_error **err)
{
    bvi_strv copy = BVI_VEC_INIT(ENV_MAX);
    int r = 0;

    for (size_t i = 0; env && env[i] && r == 0; i++)
        r = bvi_strv_add(&copy, env[i]);
    /* exec wants a NULL at the end; it does not count. */
    if (r == 0 && env) {
        char **end = bvi_vec_push(&copy);

        r = end ? 0 : BV_E_NOMEM;
    }
    if (r < 0) {
        bvi_strv_done(&copy);
        return bvi_fail(err, r, "cannot keep the environment of jobs");
    }
    if (env)
        copy.len--;
    bvi_strv_done(&m->env);
    memcpy(&m->env, &copy, sizeof(copy));
    m->has_env = env != NULL;
    return 0;
}

/* ---- loading ---- */

static int read_config(bvi_job *job, bv_error **err)
{
    bvi_auto_json bvi_json *root = NULL;
    bvi_auto_free char *path = bvi_job_path(job, BVI_JOB_CONFIG_FILE);
    int r;

    if (!path)
        return bvi_fail_nomem(err);
    r = bvi_fs_read_json(path, BVI_JOB_CONFIG_FILE_MAX, &root, err);
    return r < 0 ? r : bvi_job_config_parse(root, &job->config, err);
}

static bool is_damage(int code)
{
    return code == BV_E_FORMAT || code == BV_E_INVALID || code == BV_E_LIMIT;
}

/* A config that cannot be used is set aside; the directory stays, and what runs in it runs on until
 * it is looked at. */
static int set_config_aside(bvi_job *job, bv_error *why, bv_error **err)
{
    bvi_auto_free char *path = bvi_job_path(job, BVI_JOB_CONFIG_FILE);
    bvi_auto_free char *text = bvi_error_text(why);
    bvi_auto_free char *aside = NULL;
    int r = path ? bvi_fs_quarantine(path, &aside, err) : bvi_fail_nomem(err);

    if (r == 0)
        bvi_manager_trouble(job->manager, job->name,
                            "the configuration of job '%s' was set aside as '%s': %s", job->name,
                            aside ? aside : "", text ? text : "");
    return r;
}

static int load_job(bvi_job_manager *m, const char *name, bv_error **err)
{
    BVI_AUTO(bvi_job_freep) bvi_job *job = NULL;
    bvi_auto_free char *path = NULL;
    bvi_auto_error bv_error *why = NULL;
    bvi_job *added;
    int r = bvi_job_new(m, name, &job, err);

    if (r < 0)
        return r;
    path = bvi_job_path(job, BVI_JOB_CONFIG_FILE);
    if (!path)
        return bvi_fail_nomem(err);
    if (!bvi_fs_exists(path))
        return 0;
    r = read_config(job, &why);
    if (is_damage(r))
        return set_config_aside(job, why, err);
    if (r < 0)
        return bvi_error_move(err, bvi_take(why));
    r = bvi_job_open_dir(job, err);
    if (r == 0)
        r = bvi_job_make_timer(job, err);
    if (r < 0)
        return r;
    added = job;
    if (add_job(m, job) < 0)
        return bvi_fail_nomem(err);
    job = NULL; /* the registry's now */
    bvi_job_restore(added);
    return 0;
}

/* ".deleted-..." of a deletion that was interrupted. */
static void remove_leftover(bvi_job_manager *m, const char *name)
{
    bvi_auto_free char *path = bvi_path_join(m->jobs_dir, name, NULL);

    if (path && strncmp(name, ".deleted-", 9) == 0)
        (void)bvi_fs_remove_tree(path, NULL); /* tried again at the next load */
}

/* One that cannot be loaded does not keep the others from running. */
static void load_entry(bvi_job_manager *m, const char *name)
{
    bvi_auto_error bv_error *err = NULL;
    bvi_auto_free char *text = NULL;
    bvi_job *job = find_job(m, name);

    if (name[0] == '.') {
        remove_leftover(m, name);
        return;
    }
    if (job) {
        if (job->state == BVI_JS_RESUME)
            bvi_job_restore(job);
        return;
    }
    if (bvi_job_name_check(name, &err) == 0 && load_job(m, name, &err) == 0)
        return;
    text = bvi_error_text(err);
    bvi_manager_trouble(m, name, "cannot load job '%s': %s", name, text ? text : "out of memory");
}

int bvi_job_manager_load(bvi_job_manager *m, bv_error **err)
{
    BVI_AUTO(bvi_strv_done) bvi_strv names = BVI_VEC_INIT(DIR_ENTRIES_MAX);
    int r;

    if (m->ready)
        return 0;
    r = bvi_fs_mkdir(m->jobs_dir, 0755, err);
    if (r == 0)
        r = bvi_fs_list(m->jobs_dir, &names, err);
    if (r < 0)
        return bvi_wrap(err, r, "cannot load the jobs");
    m->shut_down = false;
    for (size_t i = 0; i < names.len; i++)
        load_entry(m, names.items[i]);
    m->ready = true;
    bvi_task_post(&m->pass);
    return 0;
}

/* ---- calls ---- */

static int check_new(bvi_job_manager *m, const char *name, const bvi_json *config,
                     bvi_json **ret_document, bv_error **err)
{
    BVI_AUTO(bvi_job_config_freep) bvi_job_config *parsed = NULL;
    int r = bvi_job_name_check(name, err);

    /* Not loaded yet: a job of that name may be running. */
    if (r == 0 && !m->ready && !m->shut_down)
        r = bvi_fail(err, BV_E_STATE, "the node is not set up yet");
    if (r == 0)
        r = bvi_job_config_parse(config, &parsed, err);
    if (r == 0 && parsed->type != BVI_JOB_RUN_SH && !m->opts.archive_argv)
        r = bvi_fail(err, BV_E_UNSUPPORTED, "archive jobs are not available here");
    if (r == 0)
        r = check_circle(m, name, parsed, err);
    if (r == 0 && !find_job(m, name) && m->jobs.len >= m->opts.job_limit)
        r = bvi_fail(err, BV_E_LIMIT, "Exceeded max number of supported jobs: %u",
                     m->opts.job_limit);
    return r < 0 ? r : bvi_job_config_complete(config, ret_document, err);
}

static int create_new(bvi_job_manager *m, const char *name, const bvi_json *document,
                      bv_error **err)
{
    BVI_AUTO(bvi_job_freep) bvi_job *job = NULL;
    int r = bvi_job_new(m, name, &job, err);

    if (r == 0)
        r = bvi_job_make_timer(job, err);
    if (r == 0)
        r = bvi_job_install(job, document, err);
    if (r < 0)
        return r;
    if (add_job(m, job) < 0)
        return bvi_fail_nomem(err);
    bvi_manager_changed(bvi_take(job));
    return 0;
}

static int want(bvi_job *job, bvi_goal goal, bvi_job_done_fn done, void *data, bv_error **err)
{
    bvi_waiter *w = new_waiter(done, data, err);
    int r;

    if (!w)
        return BV_E_NOMEM;
    r = bvi_job_want(job, goal, false, w, err);
    if (r < 0)
        bvi_free(w);
    return r;
}

int bvi_job_manager_create(bvi_job_manager *m, const char *name, const bvi_json *config,
                           bvi_job_done_fn done, void *data, bv_error **err)
{
    bvi_auto_json bvi_json *document = NULL;
    bvi_job *job = find_job(m, name);
    bvi_waiter *w;
    int r = check_new(m, name, config, &document, err);

    if (r < 0)
        return bvi_wrap(err, r, "cannot create job '%s'", name);
    if (job &&
        (job->replacement || (job->state == BVI_JS_STOPPING && job->goal == BVI_GOAL_DELETED)))
        return bvi_fail(err, BV_E_BUSY,
                        "job '%s' is being replaced or deleted: try again when that is done", name);
    if (job) {
        job->replacement = bvi_take(document);
        r = want(job, BVI_GOAL_REPLACED, done, data, err);
        if (r < 0) {
            bvi_json_free(job->replacement);
            job->replacement = NULL;
        }
        return r;
    }
    w = new_waiter(done, data, err);
    r = w ? create_new(m, name, document, err) : BV_E_NOMEM;
    if (r < 0) {
        bvi_free(w);
        return bvi_wrap(err, r, "cannot create job '%s'", name);
    }
    make_due(m, w, NULL);
    return 0;
}

int bvi_job_manager_start(bvi_job_manager *m, const char *name, bv_error **err)
{
    bvi_job *job = NULL;
    int r = need_job(m, name, "can't start", &job, err);

    if (r < 0)
        return r;
    if (!m->ready)
        return bvi_fail(err, BV_E_STATE,
                        "can't start job '%s': the node is not set up yet, or is shutting down",
                        name);
    return bvi_job_handle(job, BVI_JE_START, err);
}

int bvi_job_manager_stop(bvi_job_manager *m, const char *name, bvi_job_done_fn done, void *data,
                         bv_error **err)
{
    bvi_job *job = NULL;
    int r = need_job(m, name, "can't stop", &job, err);

    return r < 0 ? r : want(job, BVI_GOAL_STOPPED, done, data, err);
}

int bvi_job_manager_skip(bvi_job_manager *m, const char *name, bvi_job_done_fn done, void *data,
                         bv_error **err)
{
    bvi_job *job = NULL;
    int r = need_job(m, name, "can't skip", &job, err);

    return r < 0 ? r : want(job, BVI_GOAL_SKIPPED, done, data, err);
}

int bvi_job_manager_delete(bvi_job_manager *m, const char *name, bvi_job_done_fn done, void *data,
                           bv_error **err)
{
    bvi_job *job = NULL;
    int r = need_job(m, name, "can't delete", &job, err);

    return r < 0 ? r : want(job, BVI_GOAL_DELETED, done, data, err);
}

int bvi_job_manager_cleanup(bvi_job_manager *m, const char *name, bv_error **err)
{
    bvi_job *job = NULL;
    int r = need_job(m, name, "can't cleanup", &job, err);

    if (r < 0)
        return r;
    if (bvi_job_is_active(job))
        return bvi_fail(err, BV_E_STATE, "can't cleanup active job '%s': stop it first", name);
    if (job->config->type == BVI_JOB_RUN_SH || !m->opts.archive_cleanup)
        return 0;
    return m->opts.archive_cleanup(name, job->config, m->opts.data, err);
}

/* A wish to all jobs that pass the filter. */
static int want_all(bvi_job_manager *m, bvi_goal goal, bool force, bool active_only,
                    bvi_job_done_fn done, void *data, bv_error **err)
{
    group *g = bvi_new0(group);
    bvi_waiter *last = new_waiter(done, data, err);

    if (!g || !last) {
        bvi_free(g);
        bvi_free(last);
        return bvi_fail_nomem(err);
    }
    *g = (group){ .manager = m, .left = 1, .waiter = last };
    for (size_t i = 0; i < m->jobs.len; i++) {
        bvi_job *job = m->jobs.items[i];
        bv_error *why = NULL;
        bvi_waiter *w;

        if (active_only && !bvi_job_is_active(job))
            continue;
        w = new_waiter(member_done, g, &why);
        g->left++;
        if (w && bvi_job_want(job, goal, force, w, &why) == 0)
            continue;
        bvi_free(w);
        member_done(why, g);
        bv_error_free(why);
    }
    leave_group(g);
    return 0;
}

int bvi_job_manager_stop_all(bvi_job_manager *m, bvi_job_done_fn done, void *data, bv_error **err)
{
    return want_all(m, BVI_GOAL_STOPPED, false, false, done, data, err);
}

int bvi_job_manager_shutdown(bvi_job_manager *m, bool force, bvi_job_done_fn done, void *data,
                             bv_error **err)
{
    m->ready = false;
    m->shut_down = true;
    return want_all(m, BVI_GOAL_RESUME, force, true, done, data, err);
}

/* ---- looking ---- */

int bvi_job_manager_info(bvi_job_manager *m, const char *name, bvi_json **ret_info, bv_error **err)
{
    bvi_job *job = NULL;
    int r = need_job(m, name, "unknown status", &job, err);

    return r < 0 ? r : bvi_job_info(job, ret_info, err);
}

int bvi_job_manager_list(bvi_job_manager *m, bvi_json **ret_infos, bv_error **err)
{
    bvi_auto_json bvi_json *all = bvi_json_new_object();

    if (!all)
        return bvi_fail_nomem(err);
    for (size_t i = 0; i < m->jobs.len; i++) {
        bvi_json *info = NULL;
        int r = bvi_job_info(m->jobs.items[i], &info, err);

        if (r < 0)
            return r;
        if (bvi_json_put(all, m->jobs.items[i]->name, info) < 0)
            return bvi_fail_nomem(err);
    }
    *ret_infos = bvi_take(all);
    return 0;
}

static int64_t job_timeout_ms(const bvi_job *job)
{
    return bvi_job_is_active(job) ? (int64_t)job->config->shutdown_timeout_secs * 1000 : 0;
}

int64_t bvi_job_manager_timeout_ms(const bvi_job_manager *m, const char *name)
{
    const bvi_job *job = find_job(m, name);

    return job ? job_timeout_ms(job) : 0;
}

int64_t bvi_job_manager_active_timeout_ms(const bvi_job_manager *m)
{
    int64_t longest = 0;

    for (size_t i = 0; i < m->jobs.len; i++) {
        int64_t ms = job_timeout_ms(m->jobs.items[i]);

        longest = ms > longest ? ms : longest;
    }
    return longest;
}
