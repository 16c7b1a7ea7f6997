/*
 * fuzz_job_files.c - the files of a job: config.json, status.json, progress.json, runner.conf,
 * runner.state.
 *
 * The first byte says which. What a parser accepts is written and must be accepted again.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "job/job_config.h"
#include "job/job_status.h"
#include "job/runner_files.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok)
{
    if (!ok)
        abort();
}

static void check_config(const bvi_json *root)
{
    BVI_AUTO(bvi_job_config_freep) bvi_job_config *config = NULL;
    BVI_AUTO(bvi_job_config_freep) bvi_job_config *again = NULL;
    bvi_auto_json bvi_json *complete = NULL;
    bvi_auto_json bvi_json *written = NULL;

    if (bvi_job_config_parse(root, &config, NULL) < 0)
        return;
    must(bvi_job_config_complete(root, &complete, NULL) == 0);
    must(bvi_job_config_to_json(config, &written, NULL) == 0);
    must(bvi_job_config_parse(written, &again, NULL) == 0);
    must(again->type == config->type && again->needs.len == config->needs.len);
    must(!config->body || strcmp(config->body, again->body) == 0);
}

static void check_status(const bvi_json *root)
{
    BVI_AUTO(bvi_job_status_done) bvi_job_status status = BVI_JOB_STATUS_INIT;
    BVI_AUTO(bvi_job_status_done) bvi_job_status again = BVI_JOB_STATUS_INIT;
    bvi_auto_json bvi_json *written = NULL;
    bvi_auto_free char *text = NULL;

    if (bvi_job_status_parse(root, &status, NULL) < 0)
        return;
    must(bvi_job_status_to_json(&status, &written, NULL) == 0);
    must(bvi_job_status_parse(written, &again, NULL) == 0);
    must(again.state == status.state);
    text = bvi_job_status_text(&status); /* may be too long to print */
}

static void check_progress(const bvi_json *root)
{
    BVI_AUTO(bvi_job_progress_done) bvi_job_progress progress = { 0 };
    bvi_auto_free char *text = NULL;

    if (bvi_job_progress_parse(root, &progress, NULL) == 0)
        text = bvi_job_progress_text(&progress);
}

static void check_json(uint8_t which, const char *text, size_t len)
{
    bvi_auto_json bvi_json *root = NULL;

    if (bvi_json_parse(text, len, &root, NULL) < 0)
        return;
    if (which == 'c')
        check_config(root);
    if (which == 's')
        check_status(root);
    if (which == 'p')
        check_progress(root);
}

static void check_runner_conf(char *text, size_t len)
{
    bvi_runner_conf conf = BVI_RUNNER_CONF_INIT;

    if (bvi_runner_conf_parse(text, len, &conf, NULL) == 0)
        must(conf.name && conf.shutdown_signal > 0 && (conf.body || conf.args.len));
    bvi_runner_conf_done(&conf);
}

static void check_runner_state(char *text)
{
    bvi_runner_state state = { 0 };

    if (bvi_runner_state_parse(text, &state, NULL) == 0)
        must(memchr(state.boot, '\0', sizeof(state.boot)) && state.payload.pid >= 0);
    bvi_free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text;

    if (size == 0)
        return 0;
    if (strchr("csp", data[0]) && data[0]) {
        check_json(data[0], (const char *)data + 1, size - 1);
        return 0;
    }
    text = bvi_strndup((const char *)data + 1, size - 1);
    if (!text)
        return 0;
    if (data[0] == 'r')
        check_runner_conf(text, size - 1);
    else
        check_runner_state(text);
    return 0;
}
