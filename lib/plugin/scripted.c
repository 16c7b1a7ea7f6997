/*
 * scripted.c - matching requests with rules, and answering. See scripted.h.
 */
#include <ctype.h>
#include <fnmatch.h>
#include <string.h>

#include "base/time.h"
#include "plugin/graphql.h"
#include "plugin/scripted.h"
#include "plugin/time_parse.h"

#define RULES_MAX   10000u
#define DELAYED_MAX 256u
/* Of a request in a message; a command may be a whole script. */
#define SHOWN_MAX 200

/* ---- kinds of requests ---- */

typedef enum matching { GLOB, CONTAINS, EQUAL } matching;

/* What a rule may ask of a request: its key, and the one in the request. */
typedef struct criterion {
    const char *key;
    const char *of_request;
    matching how;
} criterion;

typedef struct kind {
    const char *section; /* of the document */
    const char *call;
    const criterion *criteria; /* ends with a NULL key */
    bvi_json *(*make_answer)(const bvi_json *answer);
} kind;

static bvi_json *http_answer(const bvi_json *answer);
static bvi_json *jrpc_answer(const bvi_json *answer);
static bvi_json *sh_answer(const bvi_json *answer);

static const criterion jrpc_criteria[] = {
    { "method", "method", GLOB }, { "host", "host", GLOB }, { "params", "params", EQUAL }, { 0 }
};
static const criterion rest_criteria[] = { { "url", "url", GLOB }, { 0 } };
static const criterion graphql_criteria[] = { { "url", "url", GLOB },
                                              { "query", "query", CONTAINS },
                                              { "operation_name", "operation_name", GLOB },
                                              { "variables", "variables", EQUAL },
                                              { 0 } };
static const criterion sh_criteria[] = { { "command", "body", GLOB },
                                         { "contains", "body", CONTAINS },
                                         { 0 } };

static const kind kinds[] = {
    { "jrpc", "run_jrpc", jrpc_criteria, jrpc_answer },
    { "rest", "run_rest", rest_criteria, http_answer },
    { "graphql", "run_graphql", graphql_criteria, http_answer },
    { "sh", "run_sh", sh_criteria, sh_answer },
};

typedef struct rule {
    const kind *kind;
    const bvi_json *json; /* in its layer's document */
    size_t layer;
    size_t index; /* in its section, for messages */
    int64_t used;
} rule;

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
    BVI_VEC(bvi_json *) layers;
    BVI_VEC(rule) rules;
    BVI_VEC(delayed *) delayed;
    unmatched unmatched;
    bool has_secrets;
    bvi_json *requests;
    bvi_json *log;
    size_t request_count;
    size_t log_count;
};

/* ---- answers ---- */

static int64_t number_of(const bvi_json *answer, const char *key, int64_t fallback)
{
    int64_t value = fallback;

    return bvi_json_int64(bvi_json_find(answer, key), &value) < 0 ? fallback : value;
}

static const char *text_of(const bvi_json *answer, const char *key)
{
    const char *text = bvi_json_string(bvi_json_find(answer, key));

    return text ? text : "";
}

/* A text as it is; anything else as JSON; nothing as nothing. NULL: no memory. */
static char *body_text(const bvi_json *body)
{
    const char *text = bvi_json_string(body);
    char *printed = NULL;

    if (text || !body)
        return bvi_strdup(text ? text : "");
    (void)bvi_json_print(body, false, &printed, NULL); /* NULL tells */
    return printed;
}

static bvi_json *http_response(const bvi_json *answer, const bvi_json *body)
{
    bvi_auto_json bvi_json *response = bvi_json_new_object();
    bvi_auto_free char *text = body_text(body);

    if (!response || !text ||
        bvi_json_put_int64(response, "status_code", number_of(answer, "status", 200)) < 0 ||
        bvi_json_put_string(response, "body", text) < 0)
        return NULL;
    return bvi_take(response);
}

static bvi_json *http_answer(const bvi_json *answer)
{
    return http_response(answer, bvi_json_find(answer, "body"));
}

/* "result" and "error" come in JSON-RPC's envelope. */
static bvi_json *jrpc_answer(const bvi_json *answer)
{
    static const char *const members[] = { "result", "error" };
    bvi_auto_json bvi_json *body = bvi_json_new_object();
    bool has_member = false;
    int r = body ? bvi_json_put_string(body, "jsonrpc", "2.0") : BV_E_NOMEM;

    if (r == 0)
        r = bvi_json_put_int64(body, "id", 0);
    for (size_t i = 0; r == 0 && i < BVI_COUNT(members); i++) {
        const bvi_json *member = bvi_json_find(answer, members[i]);

        if (!member)
            continue;
        has_member = true;
        r = bvi_json_put(body, members[i], bvi_json_copy(member));
    }
    if (r < 0)
        return NULL;
    return has_member ? http_response(answer, body) : http_answer(answer);
}

static bvi_json *sh_answer(const bvi_json *answer)
{
    bvi_auto_json bvi_json *response = bvi_json_new_object();

    if (!response ||
        bvi_json_put_int64(response, "exit_code", number_of(answer, "exit_code", 0)) < 0 ||
        bvi_json_put_string(response, "stdout", text_of(answer, "stdout")) < 0 ||
        bvi_json_put_string(response, "stderr", text_of(answer, "stderr")) < 0)
        return NULL;
    return bvi_take(response);
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
        bvi_timer_set(d->timer, ms * BVI_US_PER_MS, NULL) < 0) {
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

/* ---- matching ---- */

/* A command is looked at without the blanks around it. */
static char *trimmed(const char *text)
{
    size_t len;

    while (isspace((unsigned char)*text))
        text++;
    len = strlen(text);
    while (len && isspace((unsigned char)text[len - 1]))
        len--;
    return bvi_strndup(text, len);
}

static bool meets(const criterion *c, const bvi_json *wanted, const bvi_json *actual)
{
    const char *pattern = bvi_json_string(wanted);
    const char *text = bvi_json_string(actual);
    bvi_auto_free char *inner = NULL;

    if (c->how == EQUAL)
        return bvi_json_equal(wanted, actual);
    inner = trimmed(text ? text : "");
    if (!pattern || !inner)
        return false;
    return c->how == GLOB ? fnmatch(pattern, inner, 0) == 0 : strstr(inner, pattern) != NULL;
}

static const bvi_json *subject_of(const bvi_json *request)
{
    const bvi_json *inner = bvi_json_find(request, "request");

    return inner ? inner : request;
}

/* How many of the rule's criteria the request meets; *ret_missed is the first it does not. */
static size_t count_met(const rule *r, const bvi_json *request, const criterion **ret_missed)
{
    size_t met = 0;

    *ret_missed = NULL;
    for (const criterion *c = r->kind->criteria; c->key; c++) {
        const bvi_json *wanted = bvi_json_find(r->json, c->key);

        if (!wanted)
            continue;
        if (meets(c, wanted, bvi_json_find(subject_of(request), c->of_request)))
            met++;
        else if (!*ret_missed)
            *ret_missed = c;
    }
    return met;
}

static bool is_used_up(const rule *r)
{
    const bvi_json *times = bvi_json_find(r->json, "times");

    return times && r->used >= number_of(r->json, "times", 0);
}

static rule *find_rule(const bvi_scripted *s, const kind *k, const bvi_json *request)
{
    const criterion *missed = NULL;

    for (size_t layer = s->layers.len; layer-- > 0;) {
        for (size_t i = 0; i < s->rules.len; i++) {
            rule *r = &s->rules.items[i];

            if (r->layer != layer || r->kind != k || is_used_up(r))
                continue;
            (void)count_met(r, request, &missed); /* all that are missed count */
            if (!missed)
                return r;
        }
    }
    return NULL;
}

/* The n-th use takes the n-th of its answers, and the last again and again. */
static const bvi_json *next_answer(rule *r)
{
    const bvi_json *answers = bvi_json_find(r->json, "answers");
    const bvi_json *chosen = bvi_json_first(answers);

    for (int64_t i = 0; chosen && i < r->used && bvi_json_next(chosen); i++)
        chosen = bvi_json_next(chosen);
    r->used++;
    return chosen ? chosen : r->json;
}

static void answer_by(bvi_scripted *s, rule *r, bvi_plugin_reply *reply)
{
    const bvi_json *answer = next_answer(r);
    const char *failure = bvi_json_string(bvi_json_find(answer, "fail"));
    int64_t delay_ms = number_of(answer, "delay_ms", 0);
    bvi_json *value = NULL;
    bv_error *err = NULL;

    if (failure)
        (void)bvi_fail(&err, BV_E_REMOTE, "%s", failure);
    else
        value = r->kind->make_answer(answer);
    if (!failure && !value)
        bvi_plugin_reply_error(reply, NULL);
    else
        give_after(s, reply, delay_ms, value, err);
}

/* ---- requests without a rule ---- */

static const rule *nearest_rule(const bvi_scripted *s, const kind *k, const bvi_json *request,
                                const criterion **ret_missed)
{
    const rule *best = NULL;
    size_t most = 0;

    for (size_t i = 0; i < s->rules.len; i++) {
        const rule *r = &s->rules.items[i];
        const criterion *missed = NULL;
        size_t met = r->kind == k ? count_met(r, request, &missed) : 0;

        if (r->kind != k || (best && met <= most))
            continue;
        best = r;
        most = met;
        *ret_missed = missed;
    }
    return best;
}

static void describe_nearest(const bvi_scripted *s, const kind *k, const bvi_json *request,
                             bvi_buf *text)
{
    const criterion *missed = NULL;
    const rule *near = nearest_rule(s, k, request, &missed);
    bvi_auto_free char *wanted = NULL;

    if (!near)
        return;
    if (!missed) {
        (void)bvi_buf_printf(text, " (%s[%zu] fits, but is used up)", k->section, near->index);
        return;
    }
    wanted = body_text(bvi_json_find(near->json, missed->key));
    (void)bvi_buf_printf(text, " (nearest is %s[%zu], with %s '%.*s')", k->section, near->index,
                         missed->key, SHOWN_MAX, wanted ? wanted : "");
}

static void refuse(const bvi_scripted *s, const kind *k, const bvi_json *request,
                   bvi_plugin_reply *reply)
{
    BVI_AUTO(bvi_buf_done) bvi_buf text = BVI_BUF_INIT(BVI_ERROR_MESSAGE_MAX);
    bv_error *err = NULL;

    (void)bvi_buf_printf(&text, "no answer is scripted for %s", k->call); /* cut when too long */
    for (const criterion *c = k->criteria; c->key; c++) {
        const bvi_json *value = bvi_json_find(subject_of(request), c->of_request);
        bvi_auto_free char *shown = value ? body_text(value) : NULL;

        if (shown && (c == k->criteria || strcmp(c->of_request, c[-1].of_request) != 0))
            (void)bvi_buf_printf(&text, " %s '%.*s'", c->of_request, SHOWN_MAX, shown);
    }
    describe_nearest(s, k, request, &text);
    (void)bvi_buf_printf(&text, "; add a rule to '%s' in the answers file", k->section);
    (void)bvi_fail(&err, BV_E_NOT_FOUND, "%s", bvi_buf_str(&text));
    bvi_plugin_reply_error(reply, err);
}

static bool is_refused(const bvi_scripted *s, const kind *k)
{
    if (s->unmatched != UNMATCHED_KIND)
        return s->unmatched == UNMATCHED_ERROR;
    for (size_t i = 0; i < s->rules.len; i++) {
        if (s->rules.items[i].kind == k)
            return true;
    }
    return false;
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

static const kind *kind_of(const char *call)
{
    for (size_t i = 0; i < BVI_COUNT(kinds); i++) {
        if (strcmp(kinds[i].call, call) == 0)
            return &kinds[i];
    }
    return NULL;
}

static bool handle(void *data, const bvi_json *given, bvi_plugin_reply *reply)
{
    bvi_scripted *s = data;
    bvi_auto_json bvi_json *graphql = NULL;
    const bvi_json *request = given;
    const kind *k;
    rule *r;

    if (!reply) {
        (void)keep(s->log, &s->log_count, request); /* without memory it is lost */
        return true;
    }
    if (strcmp(text_of(request, "call"), "run_rest") == 0) {
        graphql = bvi_graphql_read(request);
        request = graphql ? graphql : request;
    }
    if (keep(s->requests, &s->request_count, request) < 0) {
        bvi_plugin_reply_error(reply, NULL);
        return true;
    }
    k = kind_of(text_of(request, "call"));
    r = k ? find_rule(s, k, request) : NULL;
    if (r)
        answer_by(s, r, reply);
    else if (k && is_refused(s, k))
        refuse(s, k, request, reply);
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

static int add_rules(bvi_scripted *s, const bvi_json *document)
{
    for (size_t k = 0; k < BVI_COUNT(kinds); k++) {
        size_t index = 0;

        bvi_json_each(json, bvi_json_find(document, kinds[k].section)) {
            rule *r = bvi_vec_push(&s->rules);

            if (!r)
                return BV_E_NOMEM;
            *r = (rule){
                .kind = &kinds[k], .json = json, .layer = s->layers.len - 1, .index = index++
            };
        }
    }
    return 0;
}

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
    r = add_rules(s, copy);
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

int bvi_scripted_new(bv_ctx *ctx, bvi_fake_env *fake, bvi_scripted **ret_scripted, bv_error **err)
{
    BVI_AUTO(bvi_scripted_freep) bvi_scripted *s = bvi_new0(bvi_scripted);

    if (!s)
        return bvi_fail_nomem(err);
    s->ctx = ctx;
    s->fake = fake;
    s->layers.max = BVI_SCRIPTED_LAYERS_MAX;
    s->rules.max = RULES_MAX;
    s->delayed.max = DELAYED_MAX;
    if (bvi_scripted_clear_journal(s) < 0)
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
    bvi_vec_done(&s->rules);
    bvi_vec_done(&s->delayed);
    bvi_json_free(s->requests);
    bvi_json_free(s->log);
    bvi_free(s);
}
