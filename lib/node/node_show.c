/*
 * node_show.c - one node with all that can be known of it: its jobs and what its plugin says.
 *
 * The questions go out together and have a short time; what has no answer by then is null. The
 * plugin takes them one after the other, so one that is stuck costs those behind it, and never the
 * whole answer. They go beside init and whatever else the plugin is doing.
 */
#include "node/node.h"

/* For each question (spec plugin.md 2.3). */
#define QUERY_TIMEOUT_MS 4000

typedef struct show show;

/* A question to the plugin: which key of the document its answer becomes. */
typedef struct query {
    show *owner;
    const char *function;
    const char *key;
    bvi_json *(*convert)(const bvi_plugin_value *value);
    bool asked;
} query;

static bvi_json *number(const bvi_plugin_value *value)
{
    return bvi_json_new_uint64(value->number);
}

static bvi_json *text(const bvi_plugin_value *value)
{
    return bvi_json_new_string(value->text);
}

static bvi_json *real(const bvi_plugin_value *value)
{
    return bvi_json_new_double(value->real);
}

static bvi_json *flag(const bvi_plugin_value *value)
{
    return bvi_json_new_bool(value->flag);
}

bvi_json *bvi_node_status_json(const bvi_plugin_value *value)
{
    bvi_auto_json bvi_json *root = bvi_json_new_object();

    if (!root || bvi_json_put_string(root, "state", value->state) < 0 ||
        bvi_json_put_string(root, "health", bvi_plugin_health_name(value->health)) < 0)
        return NULL;
    return bvi_take(root);
}

static const struct {
    const char *function;
    const char *key;
    bvi_json *(*convert)(const bvi_plugin_value *value);
} questions[] = {
    { "height", "height", number },
    { "block_age", "block_age", number },
    { "name", "reported_name", text },
    { "address", "address", text },
    { "consensus", "consensus", flag },
    { "apr", "apr", real },
    { "jailed", "jailed", flag },
    { "jailed_reason", "jailed_reason", text },
    { "sqd_name", "sqd_name", text },
    { "protocol_status", "protocol_status",
      bvi_node_status_json }, /* last: it may ask the agent for all jobs */
};

struct show {
    bvi_reply *reply;
    bvi_json *answer;
    unsigned pending;
    bool no_memory;
    query queries[BVI_COUNT(questions)];
};

static void finish_one(show *s)
{
    if (--s->pending > 0)
        return;
    bvi_reply_ok(s->reply, s->no_memory ? NULL : bvi_take(s->answer));
    bvi_json_free(s->answer);
    bvi_free(s);
}

static void put(show *s, const char *key, bvi_json *value)
{
    if (bvi_json_put(s->answer, key, value) < 0)
        s->no_memory = true;
}

static void on_value(bv_op *op, const bvi_plugin_value *value, const bv_error *err, void *data)
{
    query *q = data;

    if (!err)
        put(q->owner, q->key, q->convert(value));
    finish_one(q->owner);
}

static void on_jobs(const bvi_agent_result *result, const bv_error *err, void *data)
{
    show *s = data;

    if (!err)
        put(s, "jobs", bvi_node_jobs_json(result->json));
    finish_one(s);
}

static void ask(bvi_node *node, show *s)
{
    const bvi_agent_wait wait = { .timeout_ms = QUERY_TIMEOUT_MS, .done = on_jobs, .data = s };

    if (bvi_agent_jobs(node->agent, &wait, NULL, NULL) == 0)
        s->pending++;
    for (size_t i = 0; i < BVI_COUNT(questions); i++) {
        query *q = &s->queries[i];

        *q = (query){ s, questions[i].function, questions[i].key, questions[i].convert, false };
        if (node->plugin && bvi_plugin_has(node->plugin, q->function) &&
            bvi_plugin_query(node->plugin, q->function, QUERY_TIMEOUT_MS, on_value, q, NULL,
                             NULL) == 0)
            s->pending++;
    }
}

void bvi_node_show(bvi_node *node, bvi_reply *reply)
{
    show *s = bvi_new0(show);

    if (!s) {
        bvi_reply_ok(reply, NULL);
        return;
    }
    s->reply = reply;
    s->answer = bvi_node_json(node);
    s->no_memory = !s->answer;
    s->pending = 1;
    if (s->answer) {
        put(s, "jobs", bvi_json_new_null());
        for (size_t i = 0; i < BVI_COUNT(questions); i++)
            put(s, questions[i].key, bvi_json_new_null());
        if (bvi_node_answers(node))
            ask(node, s);
    }
    finish_one(s);
}
