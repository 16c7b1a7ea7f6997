/*
 * check_jobs.c - the order in which a plugin's jobs can run: what they need and what never comes.
 * See check_impl.h; spec plugin.md 5.1 and 5.2 give the order of the stages.
 */
#include <string.h>

#include "base/near.h"
#include "plugin/check_impl.h"
#include "plugin/jobs.h"

#define JOBS_MAX 4096u

/* Stages in the order in which they are started; those of an upload come after all others. */
typedef enum stage {
    AUX,
    INIT,
    DOWNLOAD,
    POST_DOWNLOAD,
    SERVICES,
    PRE_UPLOAD,
    UPLOAD,
    POST_UPLOAD,
} stage;

static const struct {
    const char *list;
    const char *inner;
    stage stage;
} lists[] = {
    { "aux_services", NULL, AUX },
    { "init", "jobs", INIT },
    { "post_download", NULL, POST_DOWNLOAD },
    { "services", NULL, SERVICES },
    { "pre_upload", "jobs", PRE_UPLOAD },
    { "post_upload", NULL, POST_UPLOAD },
};

typedef struct job {
    const char *name;
    stage stage;
    const bvi_json *needs;
    char *path; /* of its needs */
    bool seen;  /* by the walk under way */
} job;

typedef struct graph {
    bvi_check *check;
    size_t variant;
    const bvi_json *config;
    BVI_VEC(job) jobs;
} graph;

static job *find(const graph *g, const char *name)
{
    for (size_t i = 0; i < g->jobs.len; i++) {
        if (strcmp(g->jobs.items[i].name, name) == 0)
            return &g->jobs.items[i];
    }
    return NULL;
}

static int add(graph *g, const char *name, stage when, const bvi_json *needs, char *path)
{
    job *slot = path ? bvi_vec_push(&g->jobs) : NULL;

    if (!slot) {
        bvi_free(path);
        return BV_E_NOMEM;
    }
    *slot = (job){ .name = name, .stage = when, .needs = needs, .path = path };
    return 0;
}

static int collect(graph *g)
{
    int r = add(g, BVI_DOWNLOAD_JOB, DOWNLOAD, NULL, bvi_strdup(""));

    if (r == 0)
        r = add(g, BVI_UPLOAD_JOB, UPLOAD, NULL, bvi_strdup(""));
    for (size_t i = 0; i < BVI_COUNT(lists) && r == 0; i++) {
        const bvi_json *list = bvi_json_find(g->config, lists[i].list);
        const char *inner = lists[i].inner;
        size_t index = 0;

        bvi_json_each(item, inner ? bvi_json_find(list, inner) : list) {
            const char *name = bvi_json_string(bvi_json_find(item, "name"));

            if (r == 0 && name) /* else a fault that is told elsewhere */
                r = add(g, name, lists[i].stage, bvi_json_find(item, "needs"),
                        bvi_asprintf("%s%s%s[%zu].needs", lists[i].list, inner ? "." : "",
                                     inner ? inner : "", index));
            index++;
        }
    }
    return r;
}

static void report(const graph *g, bvi_rule rule, const job *j, const char *why)
{
    bvi_report_add(&g->check->report, rule, g->variant,
                   bvi_check_config_spot(g->check, g->config, j->path), "%s", why);
}

/* ---- one need ---- */

static void report_unknown(const graph *g, const job *j, const char *need)
{
    bvi_near near = BVI_NEAR_INIT(need);
    bvi_auto_free char *why = NULL;
    char hint[BVI_CHECK_HINT_MAX];

    for (size_t i = 0; i < g->jobs.len; i++)
        bvi_near_try(&near, g->jobs.items[i].name);
    why = bvi_asprintf("job '%s' needs '%s', which is not a job of this plugin%s", j->name, need,
                       bvi_check_hint(near.best, hint));
    if (why)
        report(g, BVI_RULE_UNKNOWN_JOB, j, why);
}

/* Why a job of one stage waits for ever for one of another; NULL: it does not. */
static const char *obstacle(const job *j, const job *needed)
{
    if (needed->stage == AUX || needed->stage == SERVICES)
        return "which is a service and never finishes";
    if (needed->stage <= j->stage)
        return NULL;
    if (needed->stage >= PRE_UPLOAD && j->stage < PRE_UPLOAD)
        return "which is started for an upload only";
    return "which is started after it has finished";
}

static void check_need(const graph *g, const job *j, const char *need)
{
    const job *needed = find(g, need);
    const char *why;

    if (!needed) {
        report_unknown(g, j, need);
        return;
    }
    why = obstacle(j, needed);
    if (why) {
        bvi_auto_free char *text = bvi_asprintf("job '%s' needs '%s', %s", j->name, need, why);

        if (text)
            report(g, BVI_RULE_UNREACHABLE_JOB, j, text);
    }
}

/* ---- circles ---- */

/* Whether `to` must finish before `from` can start; each job is entered once. */
static bool waits_for(const graph *g, job *from, const job *to, unsigned depth)
{
    from->seen = true;
    bvi_json_each(need, from->needs) {
        job *needed = bvi_json_string(need) ? find(g, bvi_json_string(need)) : NULL;

        if (needed == to)
            return true;
        if (needed && !needed->seen && depth < BVI_CHECK_DEPTH_MAX &&
            waits_for(g, needed, to, depth + 1))
            return true;
    }
    return false;
}

static void check_circle(const graph *g, job *j)
{
    bvi_auto_free char *text = NULL;

    for (size_t i = 0; i < g->jobs.len; i++)
        g->jobs.items[i].seen = false;
    if (!waits_for(g, j, j, 0))
        return;
    text =
        bvi_asprintf("job '%s' needs itself, through what it needs: it is never started", j->name);
    if (text)
        report(g, BVI_RULE_UNREACHABLE_JOB, j, text);
}

void bvi_check_jobs(bvi_check *check, size_t variant, const bvi_json *config)
{
    graph g = { check, variant, config, { .max = JOBS_MAX } };

    if (collect(&g) < 0)
        check->report.no_memory = true;
    for (size_t i = 0; i < g.jobs.len; i++) {
        job *j = &g.jobs.items[i];

        bvi_json_each(need, j->needs) {
            if (bvi_json_string(need))
                check_need(&g, j, bvi_json_string(need));
        }
        check_circle(&g, j);
    }
    for (size_t i = 0; i < g.jobs.len; i++)
        bvi_free(g.jobs.items[i].path);
    bvi_vec_done(&g.jobs);
}
