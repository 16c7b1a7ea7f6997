/*
 * default_upload.c - planning the built-in upload (spec plugin.md 5.2) from a plugin's
 * configuration.
 *
 * It only starts the sequence of jobs. Whatever fails, the services that were stopped come back:
 * behind the upload when that was started already, else at once.
 */
#include <string.h>

#include "plugin/jobs.h"
#include "plugin/sequence.h"

static const char *name_of(const bvi_json *entry)
{
    return bvi_json_string(bvi_json_find(entry, "name"));
}

static bool uses_data(const bvi_json *service)
{
    return bvi_json_is_true(bvi_json_find(service, "use_protocol_data"));
}

/* Whether an action of that kind and name was begun. */
static bool was_begun(const bvi_sequence *seq, bvi_action_kind kind, const char *name)
{
    for (size_t i = 0; i < seq->at; i++) {
        const bvi_action *a = &seq->actions.items[i];

        if (a->kind == kind && strcmp(a->name, name) == 0)
            return true;
    }
    return false;
}

static int add_service(bvi_sequence *seq, const bvi_json *service, const bvi_strv *wait_for,
                       bv_error **err)
{
    static const bvi_strv nothing = { 0 };
    bvi_json *config = NULL;
    int r;

    r = bvi_plugin_job_from_service(service, &nothing, wait_for, &config, err);
    return r < 0 ? r : bvi_sequence_add_job(seq, name_of(service), config, err);
}

static int plan_repair(bvi_sequence *seq, bv_error **err)
{
    BVI_AUTO(bvi_strv_done) bvi_strv wait_for = BVI_VEC_INIT(1);
    int r;

    if (was_begun(seq, BVI_ACTION_START_JOB, BVI_UPLOAD_JOB) &&
        bvi_strv_add(&wait_for, BVI_UPLOAD_JOB) < 0)
        return bvi_fail_nomem(err);
    bvi_json_each(service, bvi_json_find(seq->config, "services")) {
        if (!was_begun(seq, BVI_ACTION_STOP_JOB, name_of(service)))
            continue;
        r = add_service(seq, service, &wait_for, err);
        if (r < 0)
            return r;
    }
    return 0;
}

static int stop_services(bvi_sequence *seq, bv_error **err)
{
    bvi_json_each(service, bvi_json_find(seq->config, "services")) {
        int r;

        if (!uses_data(service))
            continue;
        r = bvi_sequence_add(seq, BVI_ACTION_STOP_JOB, name_of(service), NULL, err);
        if (r < 0)
            return r;
    }
    return 0;
}

static int start_services(bvi_sequence *seq, bv_error **err)
{
    bvi_json_each(service, bvi_json_find(seq->config, "services")) {
        int r = uses_data(service) ? add_service(seq, service, &seq->stage, err) : 0;

        if (r < 0)
            return r;
    }
    return 0;
}

static int add_upload(bvi_sequence *seq, bv_error **err)
{
    bvi_json *config = NULL;
    int r;

    if (bvi_plugin_has_clients(seq->config))
        r = bvi_plugin_job_from_multi_upload(seq->config, &seq->stage, &config, err);
    else
        r = bvi_plugin_job_from_upload(bvi_json_find(seq->config, "upload"), &seq->stage, &config,
                                       err);
    if (r >= 0)
        r = bvi_sequence_add_job(seq, BVI_UPLOAD_JOB, config, err);
    return r < 0 ? r : bvi_sequence_set_stage(seq, BVI_UPLOAD_JOB, err);
}

int bvi_plan_upload(bvi_sequence *seq, bv_error **err)
{
    int r;

    seq->repair = plan_repair;
    r = stop_services(seq, err);
    if (r >= 0)
        r = bvi_sequence_add_actions(seq, bvi_json_find(seq->config, "pre_upload"), err);
    if (r >= 0)
        r = add_upload(seq, err);
    if (r >= 0)
        r = bvi_sequence_add_jobs(seq, bvi_json_find(seq->config, "post_upload"), err);
    return r < 0 ? r : start_services(seq, err);
}
