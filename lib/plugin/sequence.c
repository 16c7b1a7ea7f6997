/*
 * sequence.c - carrying out the actions of the built-in init and upload. See sequence.h.
 */
#include <string.h>

#include "plugin/jobs.h"
#include "plugin/sequence.h"

static const char *text_of(const bvi_json *object, const char *key)
{
    return bvi_json_string(bvi_json_find(object, key));
}

/* ---- life ---- */

int bvi_sequence_new(const bvi_json *config, bvi_plan_fn plan, bvi_sequence **ret_seq,
                     bv_error **err)
{
    bvi_sequence *seq;

    if (!config)
        return bvi_fail(err, BV_E_STATE, "Missing plugin_config function");
    seq = bvi_new0(bvi_sequence);
    if (!seq)
        return bvi_fail_nomem(err);
    seq->actions.max = BVI_SEQUENCE_MAX;
    seq->stage.max = BVI_SEQUENCE_MAX;
    seq->plan = plan;
    seq->config = bvi_json_copy(config);
    if (!seq->config) {
        bvi_sequence_free(seq);
        return bvi_fail_nomem(err);
    }
    *ret_seq = seq;
    return 0;
}

void bvi_sequence_free(bvi_sequence *seq)
{
    if (!seq)
        return;
    for (size_t i = 0; i < seq->actions.len; i++) {
        bvi_free(seq->actions.items[i].name);
        bvi_json_free(seq->actions.items[i].doc);
    }
    bvi_vec_done(&seq->actions);
    bvi_strv_done(&seq->stage);
    bvi_json_free(seq->config);
    bv_error_free(seq->failure);
    bvi_free(seq);
}

/* ---- what planners append ---- */

int bvi_sequence_add(bvi_sequence *seq, bvi_action_kind kind, const char *name, bvi_json *doc,
                     bv_error **err)
{
    bvi_auto_free char *copy = bvi_strdup(name);
    bvi_auto_json bvi_json *owned = doc;
    bvi_action *action;

    if (name && !copy)
        return bvi_fail_nomem(err);
    if (seq->actions.len >= seq->actions.max)
        return bvi_fail(err, BV_E_LIMIT, "the configuration asks for more than %u actions",
                        BVI_SEQUENCE_MAX);
    action = bvi_vec_push(&seq->actions);
    if (!action)
        return bvi_fail_nomem(err);
    *action = (bvi_action){ kind, bvi_take(copy), bvi_take(owned) };
    return 0;
}

int bvi_sequence_add_job(bvi_sequence *seq, const char *name, bvi_json *config, bv_error **err)
{
    int r = bvi_sequence_add(seq, BVI_ACTION_CREATE_JOB, name, config, err);

    return r < 0 ? r : bvi_sequence_add(seq, BVI_ACTION_START_JOB, name, NULL, err);
}

int bvi_sequence_set_stage(bvi_sequence *seq, const char *name, bv_error **err)
{
    bvi_strv_done(&seq->stage);
    return bvi_strv_add(&seq->stage, name) < 0 ? bvi_fail_nomem(err) : 0;
}

int bvi_sequence_add_jobs(bvi_sequence *seq, const bvi_json *jobs, bv_error **err)
{
    BVI_AUTO(bvi_strv_done) bvi_strv started = BVI_VEC_INIT(BVI_SEQUENCE_MAX);
    bvi_strv before;
    int r;

    bvi_json_each(job, jobs) {
        bvi_json *config = NULL;

        r = bvi_plugin_job_from_job(job, &seq->stage, &config, err);
        if (r < 0)
            return r;
        r = bvi_sequence_add_job(seq, text_of(job, "name"), config, err);
        if (r < 0)
            return r;
        if (bvi_strv_add(&started, text_of(job, "name")) < 0)
            return bvi_fail_nomem(err);
    }
    if (started.len) {
        before = seq->stage;
        seq->stage = started;
        started = before;
    }
    return 0;
}

int bvi_sequence_add_actions(bvi_sequence *seq, const bvi_json *actions, bv_error **err)
{
    int r;

    bvi_json_each(command, bvi_json_find(actions, "commands")) {
        r = bvi_sequence_add(seq, BVI_ACTION_COMMAND, bvi_json_string(command), NULL, err);
        if (r < 0)
            return r;
    }
    return bvi_sequence_add_jobs(seq, bvi_json_find(actions, "jobs"), err);
}

/* ---- carrying out ---- */

/* A command that did not exit with 0 fails, in the words plugins' authors know. */
static int check_command(const bvi_action *action, const bvi_json *result, bv_error **err)
{
    bvi_auto_free char *out = NULL;
    bvi_auto_free char *err_out = NULL;
    int64_t code = -1;
    int r;

    r = bvi_json_get_int64(result, "exit_code", &code, err);
    if (r < 0 || code == 0)
        return r;
    if (bvi_json_print(bvi_json_find(result, "stdout"), false, &out, err) < 0 ||
        bvi_json_print(bvi_json_find(result, "stderr"), false, &err_out, err) < 0)
        return BV_E_NOMEM;
    return bvi_fail(err, BV_E_REMOTE,
                    "init command '%s' failed with exit_code: ShResponse { exit_code: %d, stdout: "
                    "%.1000s, stderr: %.1000s }",
                    action->name, (int)code, out, err_out);
}

static const char *const failures[] = {
    [BVI_ACTION_STOP_ALL] = "cannot stop the jobs",
    [BVI_ACTION_STOP_JOB] = "cannot stop job",
    [BVI_ACTION_CREATE_JOB] = "cannot create job",
    [BVI_ACTION_START_JOB] = "cannot start job",
    [BVI_ACTION_RENDER] = "cannot make config file",
    [BVI_ACTION_COMMAND] = "cannot run command",
    [BVI_ACTION_ADD_TASK] = "cannot schedule task",
    [BVI_ACTION_ASK_STAMP] = "cannot tell whether there is protocol data",
    [BVI_ACTION_ASK_ARCHIVE] = "cannot tell whether there is an archive",
};

static int wrap_failure(const bvi_action *action, bv_error **err, int code)
{
    const char *what = failures[action->kind];

    return action->name ? bvi_wrap(err, code, "%s '%s'", what, action->name)
                        : bvi_wrap(err, code, "%s", what);
}

static int take_result(bvi_sequence *seq, const bvi_action *action, bvi_answer *answer,
                       bv_error **err)
{
    if (answer->err) {
        *err = bvi_take(answer->err);
        return wrap_failure(action, err, bv_error_code(*err));
    }
    if (action->kind == BVI_ACTION_COMMAND)
        return check_command(action, answer->json, err);
    if (action->kind == BVI_ACTION_ASK_STAMP)
        seq->has_data = bvi_json_type_of(answer->json) != BVI_JSON_NULL;
    if (action->kind == BVI_ACTION_ASK_ARCHIVE)
        seq->has_archive = bvi_json_is_true(answer->json);
    return 0;
}

/* Ends the sequence, or turns it to its repairs. */
static void fail_sequence(bvi_sequence *seq, bv_error *failure)
{
    if (seq->failure)
        bv_error_free(failure); /* of a repair: the first one tells more */
    else
        seq->failure = failure;
    for (size_t i = seq->at; i < seq->actions.len; i++) {
        bvi_free(seq->actions.items[i].name);
        bvi_json_free(seq->actions.items[i].doc);
    }
    seq->actions.len = seq->at;
    seq->plan = seq->repair;
    seq->repair = NULL;
}

static int on_answer(bvi_run *run, bvi_answer *answer, bv_error **err)
{
    bvi_sequence *seq = run->sequence;
    bv_error *failure = NULL;

    if (take_result(seq, &seq->actions.items[seq->at - 1], answer, &failure) < 0)
        fail_sequence(seq, failure);
    return 0;
}

static int64_t timeout_of(const bvi_run *run, bvi_action_kind kind)
{
    bool stops = kind == BVI_ACTION_STOP_ALL || kind == BVI_ACTION_STOP_JOB;

    return stops ? 0 : run->plugin->limits.request_timeout_ms;
}

static void perform(const bvi_plugin_env *env, const bvi_action *a, bvi_plugin_reply *reply)
{
    const char *param;

    switch (a->kind) {
    case BVI_ACTION_STOP_ALL:
        env->stop_all_jobs(env->data, reply);
        break;
    case BVI_ACTION_STOP_JOB:
        env->stop_job(env->data, a->name, reply);
        break;
    case BVI_ACTION_CREATE_JOB:
        env->create_job(env->data, a->name, a->doc, reply);
        break;
    case BVI_ACTION_START_JOB:
        env->start_job(env->data, a->name, reply);
        break;
    case BVI_ACTION_RENDER:
        env->render_template(env->data, text_of(a->doc, "template"), text_of(a->doc, "destination"),
                             bvi_json_find(a->doc, "params"), reply);
        break;
    case BVI_ACTION_COMMAND:
        env->run_sh(env->data, a->name, reply);
        break;
    case BVI_ACTION_ADD_TASK:
        param = text_of(a->doc, "param");
        env->add_task(env->data, text_of(a->doc, "name"), text_of(a->doc, "schedule"),
                      text_of(a->doc, "function"), param ? param : "", reply);
        break;
    case BVI_ACTION_ASK_STAMP:
        env->protocol_data_stamp(env->data, reply);
        break;
    case BVI_ACTION_ASK_ARCHIVE:
        env->has_protocol_archive(env->data, reply);
        break;
    }
}

static int begin_action(bvi_run *run, bv_error **err)
{
    bvi_sequence *seq = run->sequence;
    const bvi_action *action = &seq->actions.items[seq->at];
    bvi_plugin_reply *reply;
    int r = 0;

    if (action->kind == BVI_ACTION_CREATE_JOB)
        r = bvi_plugin_job_add_path(action->doc, run->plugin->old_paths.data, err);
    if (r < 0)
        return r;
    reply = bvi_run_ask(run, timeout_of(run, action->kind), on_answer);
    if (!reply)
        return bvi_fail_nomem(err);
    seq->at++;
    perform(&run->plugin->env, action, reply);
    return BVI_PHASE_WAIT;
}

int bvi_sequence_drive(bvi_run *run, bv_error **err)
{
    bvi_sequence *seq = run->sequence;
    bv_error *failure = NULL;
    bvi_plan_fn plan;

    for (;;) {
        if (run->reply || run->late)
            return BVI_PHASE_WAIT;
        if (seq->at < seq->actions.len)
            return begin_action(run, err);
        if (!seq->plan)
            break;
        plan = seq->plan;
        seq->plan = NULL;
        if (plan(seq, &failure) < 0)
            fail_sequence(seq, bvi_take(failure));
    }
    if (!seq->failure)
        return BVI_PHASE_NEXT;
    return bvi_error_move(err, bvi_take(seq->failure));
}
