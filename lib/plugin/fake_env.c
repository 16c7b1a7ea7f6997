/*
 * fake_env.c - a plugin's environment in memory. See fake_env.h.
 */
#include <stdio.h>
#include <string.h>

#include "plugin/fake_env.h"

#define RULES_MAX 256u
#define HELD_MAX  256u

typedef enum rule_kind { ANSWER, FAIL, HOLD } rule_kind;

typedef struct rule {
    rule_kind kind;
    char *part;
    char *text; /* JSON or message */
    int code;
} rule;

struct bvi_fake_env {
    bvi_buf journal;
    BVI_VEC(rule) rules;
    BVI_VEC(bvi_plugin_reply *) held;
    size_t cancelled;
    bvi_json *node_env;
    bvi_json *node_params;
    bvi_json *jobs;    /* name -> job info */
    bvi_json *files;   /* path -> text */
    bvi_json *secrets; /* key -> text */
    char *data;        /* NULL: never saved */
    bool has_data;
    bool has_archive;
    bool lenient;
    bool strict_secrets;
    bvi_fake_env_handler handler; /* may be NULL */
    void *handler_data;
};

/* ---- the journal and the rules ---- */

static void drop_held(bvi_plugin_reply *reply, void *data)
{
    bvi_fake_env *fake = data;

    for (size_t i = 0; i < fake->held.len; i++) {
        if (fake->held.items[i] == reply) {
            bvi_vec_remove(&fake->held, i);
            break;
        }
    }
    fake->cancelled++;
    bvi_plugin_reply_json(reply, NULL);
}

static void hold(bvi_fake_env *fake, bvi_plugin_reply *reply)
{
    bvi_plugin_reply **slot = bvi_vec_push(&fake->held);

    if (!slot) {
        bvi_plugin_reply_error(reply, NULL);
        return;
    }
    *slot = reply;
    bvi_plugin_reply_on_cancel(reply, drop_held, fake);
}

static void fail(bvi_plugin_reply *reply, int code, const char *message)
{
    bv_error *err = NULL;

    (void)bvi_fail(&err, code, "%s", message);
    bvi_plugin_reply_error(reply, err);
}

/* A value that may not have been made. */
static void answer(bvi_plugin_reply *reply, bvi_json *value)
{
    if (value)
        bvi_plugin_reply_json(reply, value);
    else
        bvi_plugin_reply_error(reply, NULL);
}

static void answer_text(bvi_plugin_reply *reply, const char *text)
{
    bvi_json *value = NULL;

    (void)bvi_json_parse(text, strlen(text), &value,
                         NULL); /* NULL then means no memory, or a bad rule */
    answer(reply, value);
}

/* What the handler gets: key and text in turn, ended by NULL. NULL: no memory, or no handler. */
static bvi_json *describe(const bvi_fake_env *fake, const char *call, ...)
{
    bvi_auto_json bvi_json *request = fake->handler ? bvi_json_new_object() : NULL;
    int r = request ? bvi_json_put_string(request, "call", call) : BV_E_NOMEM;
    va_list args;

    va_start(args, call);
    for (const char *key; r == 0 && (key = va_arg(args, const char *)) != NULL;)
        r = bvi_json_put_string(request, key, va_arg(args, const char *));
    va_end(args);
    return r < 0 ? NULL : bvi_take(request);
}

/* Adds a document or bytes; takes the request over and hands it on, or NULL. */
static bvi_json *describe_more(bvi_json *request, const char *key, bvi_json *value)
{
    if (request && bvi_json_put(request, key, value) == 0)
        return request;
    if (!request)
        bvi_json_free(value); /* otherwise put has done so */
    bvi_json_free(request);
    return NULL;
}

/* Writes the line and takes the request; true when a handler or a rule took care of the reply. */
static bool note(bvi_fake_env *fake, bvi_plugin_reply *reply, bvi_json *request, const char *fmt,
                 ...) BV_PRINTF(4, 5);

static bool note(bvi_fake_env *fake, bvi_plugin_reply *reply, bvi_json *request, const char *fmt,
                 ...)
{
    bvi_auto_json bvi_json *document = request;
    bvi_auto_free char *line = NULL;
    va_list args;

    va_start(args, fmt);
    line = bvi_vasprintf(fmt, args);
    va_end(args);
    if (!line || (fake->handler && !document)) {
        bvi_plugin_reply_error(reply, NULL);
        return true;
    }
    (void)bvi_buf_printf(&fake->journal, "%s\n", line); /* full: cut */
    if (fake->handler && fake->handler(fake->handler_data, document, reply))
        return true;
    for (size_t i = fake->rules.len; i-- > 0;) {
        const rule *r = &fake->rules.items[i];

        if (!strstr(line, r->part))
            continue;
        if (r->kind == HOLD)
            hold(fake, reply);
        else if (r->kind == FAIL)
            fail(reply, r->code, r->text);
        else
            answer_text(reply, r->text);
        return true;
    }
    return false;
}

static char *print(const bvi_json *json)
{
    char *text = NULL;

    (void)bvi_json_print(json, false, &text, NULL); /* NULL is reported by note() as no memory */
    return text;
}

/* ---- jobs ---- */

static bvi_json *job_info(const char *status_json)
{
    bvi_auto_free char *text = bvi_asprintf(
        "{\"status\":%s,\"timestamp\":{\"secs_since_epoch\":1,\"nanos_since_epoch\":0},"
        "\"progress\":null,\"restart_count\":0,\"logs\":[],\"upgrade_blocking\":false}",
        status_json);
    bvi_json *info = NULL;

    if (text)
        (void)bvi_json_parse(text, strlen(text), &info, NULL); /* NULL: no memory */
    return info;
}

int bvi_fake_env_set_job(bvi_fake_env *fake, const char *name, const char *status_json)
{
    return bvi_json_put(fake->jobs, name, job_info(status_json));
}

int bvi_fake_env_set_job_info(bvi_fake_env *fake, const char *name, const bvi_json *members)
{
    bvi_auto_json bvi_json *info = bvi_json_copy(bvi_json_find(fake->jobs, name));

    bvi_json_each(member, members) {
        if (!info || bvi_json_put(info, bvi_json_key(member), bvi_json_copy(member)) < 0)
            return BV_E_NOMEM;
    }
    return bvi_json_put(fake->jobs, name, bvi_take(info));
}

int bvi_fake_env_set_secret(bvi_fake_env *fake, const char *key, const char *text)
{
    return bvi_json_put_string(fake->secrets, key, text);
}

const char *bvi_fake_env_file(const bvi_fake_env *fake, const char *path)
{
    return bvi_json_string(bvi_json_find(fake->files, path));
}

int bvi_fake_env_set_file(bvi_fake_env *fake, const char *path, const char *text)
{
    return bvi_json_put_string(fake->files, path, text);
}

static void set_and_answer(bvi_fake_env *fake, const char *name, const char *status,
                           bvi_plugin_reply *reply)
{
    if (bvi_fake_env_set_job(fake, name, status) < 0)
        bvi_plugin_reply_error(reply, NULL);
    else
        bvi_plugin_reply_json(reply, NULL);
}

static void create_job(void *data, const char *name, const bvi_json *config,
                       bvi_plugin_reply *reply)
{
    bvi_json *request = describe_more(describe(data, "create_job", "name", name, NULL), "config",
                                      bvi_json_copy(config));
    bvi_auto_free char *text = print(config);

    if (!note(data, reply, request, "create_job %s %s", name, text ? text : ""))
        set_and_answer(data, name, "\"stopped\"", reply);
}

static bool knows_job(bvi_fake_env *fake, const char *name, bvi_plugin_reply *reply)
{
    if (bvi_json_find(fake->jobs, name))
        return true;
    if (fake->lenient &&
        bvi_fake_env_set_job(fake, name, "{\"pending\":{\"waiting_for\":[]}}") == 0)
        return true;
    fail(reply, BV_E_NOT_FOUND, "unknown job");
    return false;
}

static void start_job(void *data, const char *name, bvi_plugin_reply *reply)
{
    if (!note(data, reply, describe(data, "start_job", "name", name, NULL), "start_job %s", name) &&
        knows_job(data, name, reply))
        set_and_answer(data, name, "\"running\"", reply);
}

static void stop_job(void *data, const char *name, bvi_plugin_reply *reply)
{
    if (!note(data, reply, describe(data, "stop_job", "name", name, NULL), "stop_job %s", name) &&
        knows_job(data, name, reply))
        set_and_answer(data, name, "\"stopped\"", reply);
}

static void stop_all_jobs(void *data, bvi_plugin_reply *reply)
{
    if (!note(data, reply, describe(data, "stop_all_jobs", NULL), "stop_all_jobs"))
        bvi_plugin_reply_json(reply, NULL);
}

static void get_job_info(void *data, const char *name, bvi_plugin_reply *reply)
{
    bvi_fake_env *fake = data;

    if (!note(data, reply, describe(data, "job_info", "name", name, NULL), "job_info %s", name) &&
        knows_job(fake, name, reply))
        answer(reply, bvi_json_copy(bvi_json_find(fake->jobs, name)));
}

static void get_jobs(void *data, bvi_plugin_reply *reply)
{
    const bvi_fake_env *fake = data;

    if (!note(data, reply, describe(data, "get_jobs", NULL), "get_jobs"))
        answer(reply, bvi_json_copy(fake->jobs));
}

/* ---- requests ---- */

static void run_sh(void *data, const char *body, bvi_plugin_reply *reply)
{
    if (!note(data, reply, describe(data, "run_sh", "body", body, NULL), "run_sh %s", body))
        answer_text(reply, "{\"exit_code\":0,\"stdout\":\"\",\"stderr\":\"\"}");
}

static void run_request(void *data, const char *function, const bvi_json *request,
                        bvi_plugin_reply *reply)
{
    bvi_auto_free char *text = print(request);
    bvi_json *document =
        describe_more(describe(data, function, NULL), "request", bvi_json_copy(request));

    if (!note(data, reply, document, "%s %s", function, text ? text : ""))
        answer_text(reply, "{\"status_code\":200,\"body\":\"{}\"}");
}

static void run_jrpc(void *data, const bvi_json *request, bvi_plugin_reply *reply)
{
    run_request(data, "run_jrpc", request, reply);
}

static void run_rest(void *data, const bvi_json *request, bvi_plugin_reply *reply)
{
    run_request(data, "run_rest", request, reply);
}

/* ---- files, secrets, data: texts; a test has no use for more ---- */

static void answer_stored(const bvi_fake_env *fake, const bvi_json *stored, const char *key,
                          const char *otherwise, bvi_plugin_reply *reply)
{
    const char *text = bvi_json_string(bvi_json_find(stored, key));

    if (!text && fake->lenient)
        text = otherwise;
    if (text)
        bvi_plugin_reply_bytes(reply, text, strlen(text));
    else
        fail(reply, BV_E_NOT_FOUND, "there is no such thing");
}

static void store(bvi_json *into, const char *key, const void *bytes, size_t len,
                  bvi_plugin_reply *reply)
{
    if (bvi_json_put(into, key, bvi_json_new_string_n(bytes, len)) < 0)
        bvi_plugin_reply_error(reply, NULL);
    else
        bvi_plugin_reply_json(reply, NULL);
}

static void file_read(void *data, const char *path, bvi_plugin_reply *reply)
{
    const bvi_fake_env *fake = data;

    if (!note(data, reply, describe(data, "file_read", "path", path, NULL), "file_read %s", path))
        answer_stored(fake, fake->files, path, "", reply);
}

static void file_write(void *data, const char *path, const void *bytes, size_t len,
                       bvi_plugin_reply *reply)
{
    bvi_json *request = describe_more(describe(data, "file_write", "path", path, NULL), "content",
                                      bvi_json_new_string_n(bytes, len));

    if (!note(data, reply, request, "file_write %s %.*s", path, (int)len, (const char *)bytes))
        store(((bvi_fake_env *)data)->files, path, bytes, len, reply);
}

static void render_template(void *data, const char *template_path, const char *destination,
                            const bvi_json *params, bvi_plugin_reply *reply)
{
    bvi_auto_free char *text = print(params);
    bvi_json *request = describe_more(describe(data, "render_template", "template", template_path,
                                               "destination", destination, NULL),
                                      "params", bvi_json_copy(params));

    if (!note(data, reply, request, "render_template %s %s %s", template_path, destination,
              text ? text : ""))
        bvi_plugin_reply_json(reply, NULL);
}

static void protocol_data_stamp(void *data, bvi_plugin_reply *reply)
{
    if (!note(data, reply, describe(data, "protocol_data_stamp", NULL), "protocol_data_stamp"))
        answer(reply,
               ((bvi_fake_env *)data)->has_data ? bvi_json_new_int64(1) : bvi_json_new_null());
}

static void has_protocol_archive(void *data, bvi_plugin_reply *reply)
{
    if (!note(data, reply, describe(data, "has_protocol_archive", NULL), "has_protocol_archive"))
        answer(reply, bvi_json_new_bool(((bvi_fake_env *)data)->has_archive));
}

/* The secret "*" answers for all that are not there. */
static void get_secret(void *data, const char *key, bvi_plugin_reply *reply)
{
    const bvi_fake_env *fake = data;
    const char *found = bvi_json_find(fake->secrets, key) ? key : "*";

    if (!note(data, reply, describe(data, "get_secret", "key", key, NULL), "get_secret %s", key))
        answer_stored(fake, fake->secrets, found, fake->strict_secrets ? NULL : "secret value",
                      reply);
}

static void put_secret(void *data, const char *key, const void *bytes, size_t len,
                       bvi_plugin_reply *reply)
{
    if (!note(data, reply, describe(data, "put_secret", "key", key, NULL), "put_secret %s",
              key)) /* never its value */
        store(((bvi_fake_env *)data)->secrets, key, bytes, len, reply);
}

static void load_data(void *data, bvi_plugin_reply *reply)
{
    const bvi_fake_env *fake = data;

    if (note(data, reply, describe(data, "load_data", NULL), "load_data"))
        return;
    if (fake->data || fake->lenient)
        bvi_plugin_reply_bytes(reply, fake->data ? fake->data : "",
                               fake->data ? strlen(fake->data) : 0);
    else
        fail(reply, BV_E_NOT_FOUND, "no data was saved");
}

int bvi_fake_env_set_saved(bvi_fake_env *fake, const char *text)
{
    char *copy = bvi_strdup(text);

    if (!copy)
        return BV_E_NOMEM;
    bvi_free(fake->data);
    fake->data = copy;
    return 0;
}

static void save_data(void *data, const char *text, bvi_plugin_reply *reply)
{
    if (note(data, reply, describe(data, "save_data", "text", text, NULL), "save_data %s", text))
        return;
    if (bvi_fake_env_set_saved(data, text) < 0)
        bvi_plugin_reply_error(reply, NULL);
    else
        bvi_plugin_reply_json(reply, NULL);
}

static void add_task(void *data, const char *name, const char *schedule, const char *function,
                     const char *param, bvi_plugin_reply *reply)
{
    bvi_json *request = describe(data, "add_task", "name", name, "schedule", schedule, "function",
                                 function, "param", param, NULL);

    if (!note(data, reply, request, "add_task %s '%s' %s '%s'", name, schedule, function, param))
        bvi_plugin_reply_json(reply, NULL);
}

static void delete_task(void *data, const char *name, bvi_plugin_reply *reply)
{
    if (!note(data, reply, describe(data, "delete_task", "name", name, NULL), "delete_task %s",
              name))
        bvi_plugin_reply_json(reply, NULL);
}

/* ---- at once ---- */

static void log_line(void *data, int level, const char *text)
{
    static const char *const levels[] = { "error", "warn", "info", "debug", "trace" };

    bvi_fake_env *fake = data;
    bvi_auto_json bvi_json *request =
        describe(fake, "log", "level", levels[level], "text", text, NULL);

    (void)bvi_buf_printf(&fake->journal, "log %s %s\n", levels[level], text); /* full: cut */
    if (request)
        (void)fake->handler(fake->handler_data, request, NULL); /* there is nothing to answer */
}

static const bvi_json *node_env(void *data)
{
    return ((bvi_fake_env *)data)->node_env;
}

static const bvi_json *node_params(void *data)
{
    return ((bvi_fake_env *)data)->node_params;
}

bvi_plugin_env bvi_fake_env_functions(bvi_fake_env *fake)
{
    return (bvi_plugin_env){
        .data = fake,
        .create_job = create_job,
        .start_job = start_job,
        .stop_job = stop_job,
        .stop_all_jobs = stop_all_jobs,
        .job_info = get_job_info,
        .get_jobs = get_jobs,
        .run_sh = run_sh,
        .run_jrpc = run_jrpc,
        .run_rest = run_rest,
        .file_read = file_read,
        .file_write = file_write,
        .render_template = render_template,
        .protocol_data_stamp = protocol_data_stamp,
        .has_protocol_archive = has_protocol_archive,
        .get_secret = get_secret,
        .put_secret = put_secret,
        .load_data = load_data,
        .save_data = save_data,
        .add_task = add_task,
        .delete_task = delete_task,
        .log = log_line,
        .node_env = node_env,
        .node_params = node_params,
    };
}

/* ---- life and settings ---- */

static const char default_env[] =
    "{\"node_id\":\"node-id\",\"node_name\":\"node_name\",\"node_org_id\":\"org-id\",\"node_"
    "version\":\"1.0.0\","
    "\"node_protocol\":\"protocol\",\"node_variant\":\"variant\",\"node_ip\":\"1.2.3.4\","
    "\"node_gateway\":\"4.3.2.1\",\"dev_mode\":true,\"bv_host_id\":\"host-id\",\"bv_host_name\":"
    "\"hostname\","
    "\"bv_api_url\":\"none.com\",\"data_mount_point\":\"/blockjoy\","
    "\"protocol_data_path\":\"/blockjoy/protocol_data\"}";

int bvi_fake_env_new(bvi_fake_env **ret_fake, bv_error **err)
{
    BVI_AUTO(bvi_fake_env_freep) bvi_fake_env *fake = bvi_new0(bvi_fake_env);

    if (!fake)
        return bvi_fail_nomem(err);
    bvi_buf_init(&fake->journal, BVI_FAKE_JOURNAL_MAX);
    fake->rules.max = RULES_MAX;
    fake->held.max = HELD_MAX;
    (void)bvi_json_parse(default_env, strlen(default_env), &fake->node_env,
                         NULL); /* NULL: no memory */
    fake->node_params = bvi_json_new_object();
    fake->jobs = bvi_json_new_object();
    fake->files = bvi_json_new_object();
    fake->secrets = bvi_json_new_object();
    if (!fake->node_env || !fake->node_params || !fake->jobs || !fake->files || !fake->secrets)
        return bvi_fail_nomem(err);
    *ret_fake = bvi_take(fake);
    return 0;
}

static void forget_rules(bvi_fake_env *fake)
{
    for (size_t i = 0; i < fake->rules.len; i++) {
        bvi_free(fake->rules.items[i].part);
        bvi_free(fake->rules.items[i].text);
    }
    fake->rules.len = 0;
}

void bvi_fake_env_release(bvi_fake_env *fake)
{
    forget_rules(fake);
    while (fake->held.len)
        bvi_plugin_reply_json(fake->held.items[--fake->held.len], NULL);
}

void bvi_fake_env_free(bvi_fake_env *fake)
{
    if (!fake)
        return;
    bvi_fake_env_release(fake);
    bvi_vec_done(&fake->rules);
    bvi_vec_done(&fake->held);
    bvi_buf_done(&fake->journal);
    bvi_json_free(fake->node_env);
    bvi_json_free(fake->node_params);
    bvi_json_free(fake->jobs);
    bvi_json_free(fake->files);
    bvi_json_free(fake->secrets);
    bvi_free(fake->data);
    bvi_free(fake);
}

const char *bvi_fake_env_journal(const bvi_fake_env *fake)
{
    return bvi_buf_str(&fake->journal);
}

void bvi_fake_env_clear_journal(bvi_fake_env *fake)
{
    bvi_buf_clear(&fake->journal);
}

static int add_rule(bvi_fake_env *fake, rule_kind kind, const char *part, int code,
                    const char *text)
{
    bvi_auto_free char *part_copy = bvi_strdup(part);
    bvi_auto_free char *text_copy = bvi_strdup(text);
    rule *r = part_copy && text_copy ? bvi_vec_push(&fake->rules) : NULL;

    if (!r)
        return BV_E_NOMEM;
    *r = (rule){ kind, bvi_take(part_copy), bvi_take(text_copy), code };
    return 0;
}

int bvi_fake_env_answer(bvi_fake_env *fake, const char *part, const char *json)
{
    return add_rule(fake, ANSWER, part, 0, json);
}

int bvi_fake_env_fail(bvi_fake_env *fake, const char *part, int code, const char *message)
{
    return add_rule(fake, FAIL, part, code, message);
}

int bvi_fake_env_hold(bvi_fake_env *fake, const char *part)
{
    return add_rule(fake, HOLD, part, 0, "");
}

size_t bvi_fake_env_held(const bvi_fake_env *fake)
{
    return fake->held.len;
}

size_t bvi_fake_env_cancelled(const bvi_fake_env *fake)
{
    return fake->cancelled;
}

void bvi_fake_env_set_handler(bvi_fake_env *fake, bvi_fake_env_handler handler, void *data)
{
    fake->handler = handler;
    fake->handler_data = data;
}

void bvi_fake_env_set_params(bvi_fake_env *fake, bvi_json *params)
{
    bvi_json_free(fake->node_params);
    fake->node_params = params;
}

void bvi_fake_env_set_env(bvi_fake_env *fake, bvi_json *env)
{
    bvi_json_free(fake->node_env);
    fake->node_env = env;
}

void bvi_fake_env_set_lenient(bvi_fake_env *fake)
{
    fake->lenient = true;
}

void bvi_fake_env_set_secrets(bvi_fake_env *fake, bvi_json *secrets)
{
    bvi_json_free(fake->secrets);
    fake->secrets = secrets;
    fake->strict_secrets = true;
}

void bvi_fake_env_set_data(bvi_fake_env *fake, bool has_data, bool has_archive)
{
    fake->has_data = has_data;
    fake->has_archive = has_archive;
}

void bvi_fake_env_set_has_data(bvi_fake_env *fake, bool has_data)
{
    fake->has_data = has_data;
}

void bvi_fake_env_set_has_archive(bvi_fake_env *fake, bool has_archive)
{
    fake->has_archive = has_archive;
}
