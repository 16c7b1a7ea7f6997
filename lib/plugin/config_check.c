/*
 * config_check.c - unique names in a plugin configuration, schedules that mean something. See
 * config_check.h.
 */
#include <string.h>

#include "base/vec.h"
#include "plugin/config_check.h"
#include "plugin/jobs.h"
#include "plugin/schedule.h"

/* Jobs of one plugin, all stages together. */
#define JOBS_MAX 4096u

/* In the order in which names are claimed: the group being added when a clash appears is the one
 * reported. */
static const struct group {
    const char *key;
    const char *inner; /* the list is an inner key of an object */
    const char *title;
} groups[] = {
    { "aux_services", NULL, "Auxiliary services" },  { "init", "jobs", "Init jobs" },
    { "post_download", NULL, "Post-download jobs" }, { "services", NULL, "Services" },
    { "pre_upload", "jobs", "Pre-upload jobs" },     { "post_upload", NULL, "Post-upload jobs" },
};

static const bvi_json *list_of(const bvi_json *config, const struct group *group)
{
    const bvi_json *list = bvi_json_find(config, group->key);

    return group->inner ? bvi_json_find(list, group->inner) : list;
}

static bool is_blank(const char *text)
{
    return text[strspn(text, " \t\r\n")] == '\0';
}

static int claim(bvi_strv *names, const bvi_json *item, const char *title, bv_error **err)
{
    const char *name = bvi_json_string(bvi_json_find(item, "name"));
    int r;

    if (is_blank(name))
        return bvi_fail(err, BV_E_INVALID, "%s: an empty name is not allowed", title);
    if (bvi_strv_has(names, name))
        return bvi_fail(err, BV_E_INVALID, "%s names are not unique: '%s' is used twice", title,
                        name);
    r = bvi_strv_add(names, name);
    if (r == BV_E_LIMIT)
        return bvi_fail(err, r, "more than %zu names", names->max);
    return r < 0 ? bvi_fail_nomem(err) : 0;
}

static int claim_jobs(const bvi_json *config, bvi_strv *names, bv_error **err)
{
    int r;

    if (bvi_strv_add(names, BVI_UPLOAD_JOB) < 0 || bvi_strv_add(names, BVI_DOWNLOAD_JOB) < 0)
        return bvi_fail_nomem(err);
    for (size_t i = 0; i < BVI_COUNT(groups); i++) {
        bvi_json_each(item, list_of(config, &groups[i])) {
            r = claim(names, item, groups[i].title, err);
            if (r < 0)
                return r;
        }
    }
    return 0;
}

static int claim_tasks(const bvi_json *config, bvi_strv *names, bv_error **err)
{
    int r;

    bvi_json_each(task, bvi_json_find(config, "scheduled")) {
        bvi_schedule schedule;

        r = claim(names, task, "Scheduled tasks", err);
        if (r < 0)
            return r;
        r = bvi_schedule_parse(bvi_json_string(bvi_json_find(task, "schedule")), &schedule, err);
        if (r < 0)
            return bvi_wrap(err, r, "scheduled task '%s'",
                            bvi_json_string(bvi_json_find(task, "name")));
    }
    return 0;
}

/* Relative, not empty, and never up. */
static bool is_inside(const char *dir)
{
    if (!*dir || *dir == '/')
        return false;
    for (const char *at = dir; at; at = strchr(at, '/')) {
        at += *at == '/';
        if (strncmp(at, "..", 2) == 0 && (at[2] == '/' || at[2] == '\0'))
            return false;
    }
    return true;
}

static bool is_store_key(const char *key)
{
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-";

    return *key && key[strspn(key, letters)] == '\0';
}

static int check_client(const bvi_json *service, bv_error **err)
{
    const char *name = bvi_json_string(bvi_json_find(service, "name"));
    const char *dir = bvi_json_string(bvi_json_find(service, "data_dir"));
    const char *key = bvi_json_string(bvi_json_find(service, "store_key"));

    if (dir && !is_inside(dir))
        return bvi_fail(err, BV_E_INVALID,
                        "Service '%s' data_dir '%s' must be a relative path without '..' "
                        "components",
                        name, dir);
    if (key && !is_store_key(key))
        return bvi_fail(err, BV_E_INVALID,
                        "Service '%s' store_key '%s' must contain only alphanumeric characters, "
                        "hyphens, and underscores",
                        name, key);
    if (key && !dir && !is_inside(name))
        return bvi_fail(err, BV_E_INVALID,
                        "Service '%s' has a store_key; its name is no directory, so give a "
                        "data_dir",
                        name);
    return 0;
}

static int check_clients(const bvi_json *config, bv_error **err)
{
    bvi_json_each(service, bvi_json_find(config, "services")) {
        int r = check_client(service, err);

        if (r < 0)
            return r;
    }
    return 0;
}

int bvi_plugin_config_check(const bvi_json *config, bv_error **err)
{
    BVI_AUTO(bvi_strv_done) bvi_strv tasks = BVI_VEC_INIT(JOBS_MAX);
    BVI_AUTO(bvi_strv_done) bvi_strv jobs = BVI_VEC_INIT(JOBS_MAX);
    int r;

    r = claim_tasks(config, &tasks, err);
    if (r >= 0)
        r = claim_jobs(config, &jobs, err);
    return r < 0 ? r : check_clients(config, err);
}
