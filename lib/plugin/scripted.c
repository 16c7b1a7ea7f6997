/*
 * scripted.c - requests to a scripted node, from the journal to the answer. See scripted.h.
 */
#include <string.h>

#include "base/time.h"
#include "plugin/graphql.h"
#include "plugin/scripted.h"
#include "plugin/scripted_render.h"
#include "plugin/scripted_rules.h"
#include "plugin/time_parse.h"

#define DELAYED_MAX 256u

typedef struct delayed {
    bvi_scripted *scripted;
    bvi_plugin_reply *reply;
    bvi_timer *timer;
    bvi_json *value; /* the answer, or */
    bv_error *err;   /* the failure */
} delayed;

/* Whether a request without a rule is an error. */
typedef enum unmatched {
    UNMATCHED_KIND, /* if its kind has rules */
    UNMATCHED_ERROR,
    UNMATCHED_DEFAULT,
} unmatched;

struct bvi_scripted {
    bv_ctx *ctx;
    bvi_fake_env *fake;
    char *rootfs; /* may be NULL */
    BVI_VEC(bvi_json *) layers;
    bvi_rules rules;
    BVI_VEC(delayed *) delayed;
    unmatched unmatched;
    bool has_secrets;
    bvi_json *requests;
    bvi_json *log;
    size_t request_count;
    size_t log_count;
};

static const char *text_of(const bvi_json *object, const char *key)
{
    const char *text = bvi_json_string(bvi_json_find(object, key));

    return text ? text : "";
}

static void give(bvi_plugin_reply *reply, bvi_json *value, bv_error *err)
{
    if (err || !value)
        bvi_plugin_reply_error(reply, err);
    else
        bvi_plugin_reply_json(reply, value);
}

/* ---- answers that come later ---- */

static void delayed_free(delayed *d)
{
    bvi_scripted *s = d->scripted;

    for (size_t i = 0; i < s->delayed.len; i++) {
        if (s->delayed.items[i] == d) {
            bvi_vec_remove(&s->delayed, i);
            break;
        }
    }
    bvi_timer_free(d->timer);
    bvi_json_free(d->value);
    bv_error_free(d->err);
    bvi_free(d);
}

static void on_due(bvi_timer *timer, void *data)
{
    delayed *d = data;
    bvi_plugin_reply *reply = d->reply;
    bvi_json *value = bvi_take(d->value);
    bv_error *err = bvi_take(d->err);

    delayed_free(d);
    give(reply, value, err);
}

/* The plugin has given up: the reply still wants its end. */
static void on_cancel(bvi_plugin_reply *reply, void *data)
{
    delayed_free(data);
    bvi_plugin_reply_json(reply, NULL);
}

static int delay(bvi_scripted *s, bvi_plugin_reply *reply, int64_t ms, delayed **ret)
{
    delayed *d = bvi_new0(delayed);
    delayed **slot = d ? bvi_vec_push(&s->delayed) : NULL;

    if (!slot) {
        bvi_free(d);
        return BV_E_NOMEM;
    }
    *slot = d;
    d->scripted = s;
    d->reply = reply;
    if (bvi_timer_new(s->ctx, on_due, d, &d->timer, NULL) < 0 ||
        bvi_timer_set(d->timer, bvi_time_mul(ms, BVI_US_PER_MS), NULL) < 0) {
        delayed_free(d);
        return BV_E_NOMEM;
    }
    bvi_plugin_reply_on_cancel(reply, on_cancel, d);
    *ret = d;
    return 0;
}

/* Takes value and err. An answer that is too slow is what a node makes of it: a failure. */
static void give_after(bvi_scripted *s, bvi_plugin_reply *reply, int64_t ms, bvi_json *value,
                       bv_error *err)
{
    int64_t timeout_ms = bvi_plugin_reply_timeout_ms(reply);
    delayed *d = NULL;

    if (timeout_ms && ms > timeout_ms) {
        bvi_json_free(bvi_take(value));
        bv_error_free(bvi_take(err));
        (void)bvi_fail(&err, BV_E_TIMEOUT, "request timed out after %lld ms",
                       (long long)timeout_ms);
        ms = timeout_ms;
    }
    if (ms <= 0) {
        give(reply, value, err);
        return;
    }
    if (delay(s, reply, ms, &d) < 0) {
        bvi_json_free(value);
        bv_error_free(err);
        bvi_plugin_reply_error(reply, NULL);
        return;
    }
    d->value = value;
    d->err = err;
}

static void answer_by(bvi_scripted *s, bvi_rule *rule, bvi_plugin_reply *reply)
{
    const bvi_json *answer = bvi_rule_next_answer(rule);
    const char *failure = bvi_json_string(bvi_json_find(answer, "fail"));
    bvi_json *value = NULL;
    bv_error *err = NULL;
    int64_t delay_ms = 0;

    (void)bvi_json_int64(bvi_json_find(answer, "delay_ms"), &delay_ms); /* absent: none */
    if (failure)
        (void)bvi_fail(&err, BV_E_REMOTE, "%s", failure);
    else
        value = bvi_rule_response(rule, answer);
    if (!failure && !value)
        bvi_plugin_reply_error(reply, NULL);
    else
        give_after(s, reply, delay_ms, value, err);
}

/* ---- the journal ---- */

static bvi_json *without_nulls(const bvi_json *value, unsigned depth)
{
    bvi_auto_json bvi_json *copy = NULL;

    if (bvi_json_type_of(value) != BVI_JSON_OBJECT || depth >= BVI_JSON_DEPTH_MAX)
        return bvi_json_copy(value);
    copy = bvi_json_new_object();
    bvi_json_each(member, value) {
        if (bvi_json_type_of(member) != BVI_JSON_NULL &&
            bvi_json_put(copy, bvi_json_key(member), without_nulls(member, depth + 1)) < 0)
            return NULL;
    }
    return bvi_take(copy);
}

/* A job's configuration has every key there is; what it does not use is of no interest. */
static bvi_json *journal_entry(const bvi_json *request)
{
    bvi_auto_json bvi_json *entry = bvi_json_copy(request);
    const bvi_json *config = bvi_json_find(request, "config");

    if (!entry || (config && bvi_json_put(entry, "config", without_nulls(config, 0)) < 0))
        return NULL;
    return bvi_take(entry);
}

static int keep(bvi_json *list, size_t *count, const bvi_json *request)
{
    if (*count >= BVI_SCRIPTED_JOURNAL_MAX)
        return 0;
    ++*count;
    return bvi_json_add(list, journal_entry(request));
}

/* ---- requests without a rule ---- */

/* A script may catch the error; whoever reads the log should know of it still. */
static void log_unmatched(bvi_scripted *s, const char *text)
{
    bvi_auto_json bvi_json *line = bvi_json_new_object();

    if (line && bvi_json_put_string(line, "call", "log") == 0 &&
        bvi_json_put_string(line, "level", "unmatched") == 0 &&
        bvi_json_put_string(line, "text", text) == 0)
        (void)keep(s->log, &s->log_count, line); /* without memory it is lost */
}

static void refuse(bvi_scripted *s, const bvi_rule_kind *kind, const bvi_json *request,
                   bvi_plugin_reply *reply)
{
    BVI_AUTO(bvi_buf_done) bvi_buf text = BVI_BUF_INIT(BVI_ERROR_MESSAGE_MAX);
    bv_error *err = NULL;

    bvi_rules_explain(&s->rules, kind, request, &text);
    log_unmatched(s, bvi_buf_str(&text));
    (void)bvi_fail(&err, BV_E_NOT_FOUND, "%s", bvi_buf_str(&text));
    bvi_plugin_reply_error(reply, err);
}

static bool is_refused(const bvi_scripted *s, const bvi_rule_kind *kind)
{
    if (s->unmatched != UNMATCHED_KIND)
        return s->unmatched == UNMATCHED_ERROR;
    return bvi_rules_has(&s->rules, kind);
}

/* ---- what the fake node asks ---- */

/* A template that can be found is rendered, and the journal and file_read() have the result. */
static int render(bvi_scripted *s, const bvi_json *request, bvi_json **ret_rendered, bv_error **err)
{
    const char *destination = text_of(request, "destination");
    bvi_auto_json bvi_json *copy = NULL;
    bvi_auto_free char *text = NULL;
    int r = bvi_scripted_render(s->fake, s->rootfs, request, &text, err);

    if (r < 0 || !text)
        return r;
    copy = bvi_json_copy(request);
    if (!copy || bvi_json_put_string(copy, "output", text) < 0 ||
        bvi_fake_env_set_file(s->fake, destination, text) < 0)
        return bvi_fail_nomem(err);
    *ret_rendered = bvi_take(copy);
    return 0;
}

/* The request as the journal and the rules see it; *ret_other holds it when it is another one than
 * what was given. */
static int look_into(bvi_scripted *s, const bvi_json *given, bvi_json **ret_other, bv_error **err)
{
    const char *call = text_of(given, "call");

    if (strcmp(call, "run_rest") == 0)
        *ret_other = bvi_graphql_read(given);
    return strcmp(call, "render_template") == 0 ? render(s, given, ret_other, err) : 0;
}

static bool handle(void *data, const bvi_json *given, bvi_plugin_reply *reply)
{
    bvi_scripted *s = data;
    bvi_auto_json bvi_json *other = NULL;
    const bvi_json *request;
    bv_error *err = NULL;
    const bvi_rule_kind *kind;
    bvi_rule *rule;

    if (!reply) {
        (void)keep(s->log, &s->log_count, given); /* without memory it is lost */
        return true;
    }
    (void)look_into(s, given, &other, &err); /* err tells, when it is in the journal */
    request = other ? other : given;
    if (keep(s->requests, &s->request_count, request) < 0 || err) {
        bvi_plugin_reply_error(reply, err);
        return true;
    }
    kind = bvi_rule_kind_of(text_of(request, "call"));
    rule = kind ? bvi_rules_find(&s->rules, kind, request) : NULL;
    if (rule)
        answer_by(s, rule, reply);
    else if (kind && is_refused(s, kind))
        refuse(s, kind, request, reply);
    else
        return false;
    return true;
}

const bvi_json *bvi_scripted_requests(const bvi_scripted *scripted)
{
    return scripted->requests;
}

const bvi_json *bvi_scripted_log(const bvi_scripted *scripted)
{
    return scripted->log;
}

int bvi_scripted_clear_journal(bvi_scripted *scripted)
{
    bvi_json *requests = bvi_json_new_array();
    bvi_json *log = bvi_json_new_array();

    if (!requests || !log) {
        bvi_json_free(requests);
        bvi_json_free(log);
        return BV_E_NOMEM;
    }
    bvi_json_free(scripted->requests);
    bvi_json_free(scripted->log);
    scripted->requests = requests;
    scripted->log = log;
    scripted->request_count = scripted->log_count = 0;
    return 0;
}

/* ---- documents ---- */

typedef int (*set_text_fn)(bvi_fake_env *fake, const char *key, const char *text);

static int set_texts(bvi_scripted *s, const bvi_json *texts, set_text_fn set)
{
    int r = 0;

    bvi_json_each(text, texts) {
        if (r == 0)
            r = set(s->fake, bvi_json_key(text), bvi_json_string(text));
    }
    return r;
}

/* Where some are named, others do not exist. */
static int set_secrets(bvi_scripted *s, const bvi_json *secrets)
{
    if (secrets && !s->has_secrets) {
        bvi_json *none = bvi_json_new_object();

        if (!none)
            return BV_E_NOMEM;
        bvi_fake_env_set_secrets(s->fake, none);
        s->has_secrets = true;
    }
    return set_texts(s, secrets, bvi_fake_env_set_secret);
}

/* A text or a map is the job's status, a map with "status" all about it. */
static int set_jobs(bvi_scripted *s, const bvi_json *jobs)
{
    int r = 0;

    bvi_json_each(job, jobs) {
        bool is_info = bvi_json_find(job, "status") != NULL;
        bvi_auto_free char *status = NULL;

        r = bvi_json_print(is_info ? bvi_json_find(job, "status") : job, false, &status, NULL);
        if (r == 0)
            r = bvi_fake_env_set_job(s->fake, bvi_json_key(job), status);
        if (r == 0 && is_info)
            r = bvi_fake_env_set_job_info(s->fake, bvi_json_key(job), job);
        if (r < 0)
            return r;
    }
    return 0;
}

static bvi_json *laid_over(const bvi_json *below, const bvi_json *above)
{
    bvi_auto_json bvi_json *copy = bvi_json_copy(below);

    bvi_json_each(value, above) {
        if (!copy || bvi_json_put(copy, bvi_json_key(value), bvi_json_copy(value)) < 0)
            return NULL;
    }
    return bvi_take(copy);
}

static int set_node(bvi_scripted *s, const bvi_json *node)
{
    bvi_plugin_env env = bvi_fake_env_functions(s->fake);
    const char *saved = bvi_json_string(bvi_json_find(node, "data"));
    bvi_json *documents[] = {
        laid_over(env.node_env(env.data), bvi_json_find(node, "env")),
        laid_over(env.node_params(env.data), bvi_json_find(node, "params")),
    };

    if (!documents[0] || !documents[1]) {
        bvi_json_free(documents[0]);
        bvi_json_free(documents[1]);
        return BV_E_NOMEM;
    }
    bvi_fake_env_set_env(s->fake, documents[0]);
    bvi_fake_env_set_params(s->fake, documents[1]);
    if (bvi_json_find(node, "protocol_data"))
        bvi_fake_env_set_has_data(s->fake, bvi_json_is_true(bvi_json_find(node, "protocol_data")));
    if (bvi_json_find(node, "archive"))
        bvi_fake_env_set_has_archive(s->fake, bvi_json_is_true(bvi_json_find(node, "archive")));
    return saved ? bvi_fake_env_set_saved(s->fake, saved) : 0;
}

static void set_unmatched(bvi_scripted *s, const bvi_json *document, bvi_answers_part part)
{
    const char *word = bvi_json_string(bvi_json_find(document, "unmatched"));

    if (word)
        s->unmatched = strcmp(word, "error") == 0 ? UNMATCHED_ERROR : UNMATCHED_DEFAULT;
    else if (part == BVI_ANSWERS_FILE)
        s->unmatched = UNMATCHED_ERROR;
}

int bvi_scripted_add(bvi_scripted *s, const bvi_json *document, bvi_answers_part part,
                     bv_error **err)
{
    bvi_json *copy;
    bvi_json **slot;
    int r;

    if (s->layers.len >= BVI_SCRIPTED_LAYERS_MAX)
        return bvi_fail(err, BV_E_LIMIT, "there are %u documents with answers already",
                        BVI_SCRIPTED_LAYERS_MAX);
    copy = bvi_json_copy(document);
    slot = copy ? bvi_vec_push(&s->layers) : NULL;
    if (!slot) {
        bvi_json_free(copy);
        return bvi_fail_nomem(err);
    }
    *slot = copy;
    set_unmatched(s, copy, part);
    r = bvi_rules_add(&s->rules, copy);
    if (r == 0)
        r = set_secrets(s, bvi_json_find(copy, "secrets"));
    if (r == 0)
        r = set_texts(s, bvi_json_find(copy, "files"), bvi_fake_env_set_file);
    if (r == 0)
        r = set_jobs(s, bvi_json_find(copy, "jobs"));
    if (r == 0)
        r = set_node(s, bvi_json_find(copy, "node"));
    return r < 0 ? bvi_fail_nomem(err) : 0;
}

bool bvi_scripted_time(const bvi_json *document, int64_t *ret_wall_us)
{
    const bvi_json *moment = bvi_json_find(bvi_json_find(document, "node"), "time");
    int64_t seconds = 0;

    if (bvi_json_int64(moment, &seconds) < 0 &&
        (!bvi_json_string(moment) ||
         bvi_time_parse_rfc3339(bvi_json_string(moment), &seconds, NULL) < 0))
        return false;
    *ret_wall_us = bvi_time_mul(seconds, BVI_US_PER_S);
    return true;
}

/* ---- life ---- */

int bvi_scripted_new(bv_ctx *ctx, bvi_fake_env *fake, const char *rootfs,
                     bvi_scripted **ret_scripted, bv_error **err)
{
    BVI_AUTO(bvi_scripted_freep) bvi_scripted *s = bvi_new0(bvi_scripted);

    if (!s)
        return bvi_fail_nomem(err);
    s->ctx = ctx;
    s->fake = fake;
    s->layers.max = BVI_SCRIPTED_LAYERS_MAX;
    s->rules = (bvi_rules)BVI_RULES_INIT;
    s->delayed.max = DELAYED_MAX;
    s->rootfs = bvi_strdup(rootfs);
    if ((rootfs && !s->rootfs) || bvi_scripted_clear_journal(s) < 0)
        return bvi_fail_nomem(err);
    bvi_fake_env_set_handler(fake, handle, s);
    *ret_scripted = bvi_take(s);
    return 0;
}

void bvi_scripted_free(bvi_scripted *s)
{
    if (!s)
        return;
    bvi_fake_env_set_handler(s->fake, NULL, NULL);
    while (s->delayed.len) {
        bvi_plugin_reply *reply = s->delayed.items[0]->reply;

        delayed_free(s->delayed.items[0]);
        bvi_plugin_reply_json(reply, NULL);
    }
    for (size_t i = 0; i < s->layers.len; i++)
        bvi_json_free(s->layers.items[i]);
    bvi_vec_done(&s->layers);
    bvi_rules_done(&s->rules);
    bvi_vec_done(&s->delayed);
    bvi_json_free(s->requests);
    bvi_json_free(s->log);
    bvi_free(s->rootfs);
    bvi_free(s);
}
