/*
 * default_init.c - planning the built-in init (spec plugin.md 5.1) from a plugin's configuration.
 */
#include "plugin/jobs.h"
#include "plugin/sequence.h"

static const bvi_json *section(const bvi_sequence *seq, const char *key)
{
    const bvi_json *value = bvi_json_find(seq->config, key);

    return bvi_json_type_of(value) == BVI_JSON_NULL ? NULL : value;
}

static const char *name_of(const bvi_json *entry)
{
    return bvi_json_string(bvi_json_find(entry, "name"));
}

/* One action for each item of a list, which it gets as its document; its member name_key is what
 * messages call it. */
static int add_each(bvi_sequence *seq, const char *key, bvi_action_kind kind, const char *name_key,
                    bv_error **err)
{
    bvi_json_each(item, section(seq, key)) {
        bvi_json *copy = bvi_json_copy(item);
        int r;

        if (!copy)
            return bvi_fail_nomem(err);
        r = bvi_sequence_add(seq, kind, bvi_json_string(bvi_json_find(item, name_key)), copy, err);
        if (r < 0)
            return r;
    }
    return 0;
}

static int add_aux_services(bvi_sequence *seq, bv_error **err)
{
    bvi_json_each(service, section(seq, "aux_services")) {
        bvi_json *config = NULL;
        int r;

        r = bvi_plugin_job_from_aux_service(service, &config, err);
        if (r < 0)
            return r;
        r = bvi_sequence_add_job(seq, name_of(service), config, err);
        if (r < 0)
            return r;
    }
    return 0;
}

static int plan_services(bvi_sequence *seq, bv_error **err)
{
    static const bvi_strv nothing = { 0 };

    bvi_json_each(service, section(seq, "services")) {
        bool uses_data = bvi_json_is_true(bvi_json_find(service, "use_protocol_data"));
        bvi_json *config = NULL;
        int r;

        r = bvi_plugin_job_from_service(service, uses_data ? &seq->stage : NULL,
                                        uses_data ? &nothing : NULL, &config, err);
        if (r < 0)
            return r;
        r = bvi_sequence_add_job(seq, name_of(service), config, err);
        if (r < 0)
            return r;
    }
    return add_each(seq, "scheduled", BVI_ACTION_ADD_TASK, "name", err);
}

/* The job "download", whatever fills the data, becomes the stage. Takes what making it gave. */
static int add_download(bvi_sequence *seq, int made, bvi_json *config, bv_error **err)
{
    int r = made;

    if (r >= 0)
        r = bvi_sequence_add_job(seq, BVI_DOWNLOAD_JOB, config, err);
    return r < 0 ? r : bvi_sequence_set_stage(seq, BVI_DOWNLOAD_JOB, err);
}

static int add_post_download(bvi_sequence *seq, bv_error **err)
{
    return bvi_sequence_add_jobs(seq, section(seq, "post_download"), err);
}

/* There is no protocol data yet, and we know whether there is an archive. */
static int plan_download(bvi_sequence *seq, bv_error **err)
{
    const bvi_json *alternative = section(seq, "alternative_download");
    const bvi_json *cold = section(seq, "cold_init");
    const bvi_json *script = alternative ? alternative : cold;
    bvi_json *config = NULL;
    int r;

    seq->plan = plan_services;
    if (seq->has_archive)
        r = bvi_plugin_job_from_download(section(seq, "download"), &seq->stage, &config, err);
    else if (script)
        r = bvi_plugin_job_from_download_script(script, &seq->stage, &config, err);
    else
        return 0;
    r = add_download(seq, r, config, err);
    if (r < 0)
        return r;
    /* A cold init makes new data: there is nothing downloaded to work on. */
    return seq->has_archive || alternative ? add_post_download(seq, err) : 0;
}

/* Each client has an archive of its own, and the job looks at each directory by itself. */
static int plan_clients(bvi_sequence *seq, bv_error **err)
{
    bvi_json *config = NULL;
    int r;

    seq->plan = plan_services;
    r = bvi_plugin_job_from_multi_download(seq->config, &seq->stage, &config, err);
    r = add_download(seq, r, config, err);
    return r < 0 ? r : add_post_download(seq, err);
}

static int plan_data(bvi_sequence *seq, bv_error **err)
{
    if (bvi_plugin_has_clients(seq->config))
        return plan_clients(seq, err);
    if (seq->has_data) {
        seq->plan = plan_services;
        return 0;
    }
    seq->plan = plan_download;
    return bvi_sequence_add(seq, BVI_ACTION_ASK_ARCHIVE, NULL, NULL, err);
}

int bvi_plan_init(bvi_sequence *seq, bv_error **err)
{
    int r;

    seq->plan = plan_data;
    r = bvi_sequence_add(seq, BVI_ACTION_STOP_ALL, NULL, NULL, err);
    if (r >= 0)
        r = add_each(seq, "config_files", BVI_ACTION_RENDER, "destination", err);
    if (r >= 0)
        r = add_aux_services(seq, err);
    if (r >= 0)
        r = bvi_sequence_add_actions(seq, section(seq, "init"), err);
    /* Asked only now: an init job may be what uses the data first. */
    if (r >= 0)
        r = bvi_sequence_add(seq, BVI_ACTION_ASK_STAMP, NULL, NULL, err);
    return r;
}
