/*
 * node_metrics.c - what a running node's plugin says about its protocol, asked every half minute
 * (spec plugin.md 2.3).
 *
 * One node's questions go one after the other, each with its own short time; nodes do not wait for
 * each other, nor for init or a method somebody runs, since questions have a lane of their own in
 * the plugin. What has no answer is absent. A round that is still going when the next is due is not
 * joined by another.
 */
#include <string.h>

#include "node/node.h"

#define INTERVAL_MS 30000
/* After a start: people look at a new node. */
#define FIRST_MS 2000
/* For each question. */
#define QUERY_TIMEOUT_MS 4000

static bvi_json *number(const bvi_plugin_value *value)
{
    return bvi_json_new_uint64(value->number);
}

static bvi_json *real(const bvi_plugin_value *value)
{
    return bvi_json_new_double(value->real);
}

static bvi_json *flag(const bvi_plugin_value *value)
{
    return bvi_json_new_bool(value->flag);
}

static bvi_json *text(const bvi_plugin_value *value)
{
    return bvi_json_new_string(value->text);
}

/* In the order of asking: the status says whether the rest makes sense. */
static const struct {
    const char *name; /* of the function, and the key in the document */
    bvi_json *(*convert)(const bvi_plugin_value *value);
} metrics[] = {
    { "protocol_status", bvi_node_status_json },
    { "height", number },
    { "block_age", number },
    { "consensus", flag },
    { "apr", real },
    { "jailed", flag },
    { "jailed_reason", text },
    { "sqd_name", text },
};

struct bvi_metrics {
    bvi_node *node;
    bvi_json *document;
    size_t at;
};

/* While these last there is no chain to ask about. */
static bool is_preparing(const char *state)
{
    static const char *const states[] = { "downloading", "uploading", "starting" };

    for (size_t i = 0; i < BVI_COUNT(states); i++) {
        if (strcmp(states[i], state) == 0)
            return true;
    }
    return false;
}

static const char *text_of(const bvi_json *document, const char *key)
{
    const char *found =
        bvi_json_string(bvi_json_find(bvi_json_find(document, "protocol_status"), key));

    return found ? found : "";
}

static void tell_change(bvi_node *node, const bvi_json *before, const bvi_json *now)
{
    const char *state = text_of(now, "state");
    const char *health = text_of(now, "health");

    if (*state &&
        (strcmp(state, text_of(before, "state")) || strcmp(health, text_of(before, "health"))))
        bvi_events_add(node->manager->opts.events, "protocol_status", node->state.name, NULL,
                       "%s (%s)", state, health);
}

static void end_round(bvi_metrics *round)
{
    bvi_node *node = round->node;

    node->round = NULL;
    node->users--;
    if (!node->closing && bvi_node_answers(node)) {
        tell_change(node, node->metrics, round->document);
        bvi_json_free(node->metrics);
        node->metrics = bvi_take(round->document);
    }
    bvi_json_free(round->document);
    bvi_free(round);
    if (node->closing)
        bvi_node_release(node);
}

/* Told once, not every half minute. */
static void complain(bvi_node *node, size_t metric, const bv_error *err)
{
    bvi_auto_free char *why = NULL;

    if (!node->closing && !(node->failing_metrics & (1u << metric))) {
        why = bvi_error_text(err);
        bvi_log_full(node->ctx, BV_LOG_WARN, "node", node->state.id, NULL,
                     "its '%s' is not known: %s", metrics[metric].name,
                     why ? why : "out of memory");
    }
    node->failing_metrics |= 1u << metric;
}

static void ask_next(bvi_metrics *round);

static void on_value(bv_op *op, const bvi_plugin_value *value, const bv_error *err, void *data)
{
    bvi_metrics *round = data;
    bvi_node *node = round->node;
    size_t at = round->at++;

    if (err) {
        complain(node, at, err);
    } else {
        node->failing_metrics &= ~(1u << at);
        /* What cannot be kept for lack of memory is absent as well. */
        (void)bvi_json_put(round->document, metrics[at].name, metrics[at].convert(value));
    }
    if (at == 0 && (err || is_preparing(value->state)))
        end_round(round);
    else
        ask_next(round);
}

static void ask_next(bvi_metrics *round)
{
    bvi_node *node = round->node;

    for (; !node->closing && bvi_node_answers(node) && round->at < BVI_COUNT(metrics);
         round->at++) {
        const char *name = metrics[round->at].name;
        bvi_auto_error bv_error *err = NULL;

        if (round->at > 0 && !bvi_plugin_has(node->plugin, name))
            continue;
        if (bvi_plugin_query(node->plugin, name, QUERY_TIMEOUT_MS, on_value, round, NULL, &err) ==
            0)
            return;
        complain(node, round->at, err);
    }
    end_round(round);
}

static bvi_metrics *new_round(bvi_node *node)
{
    bvi_metrics *round = bvi_new0(bvi_metrics);
    bvi_json *document = bvi_json_new_object();
    int r = document
                ? bvi_json_put_int64(document, "collected_at", bvi_ctx_wall_us(node->ctx) / 1000000)
                : BV_E_NOMEM;

    for (size_t i = 0; r == 0 && i < BVI_COUNT(metrics); i++)
        r = bvi_json_put(document, metrics[i].name, bvi_json_new_null());
    if (!round || r < 0) {
        bvi_json_free(document);
        bvi_free(round);
        return NULL;
    }
    *round = (bvi_metrics){ node, document, 0 };
    return round;
}

static void collect(bvi_node *node)
{
    bvi_metrics *round = node->round ? NULL : new_round(node);

    if (!round)
        return;
    node->round = round;
    node->users++;
    ask_next(round);
}

static void wait_ms(bvi_node *node, int64_t ms)
{
    /* When it cannot be set, metrics go on after the next start. */
    (void)bvi_timer_set(node->metrics_timer, bvi_ctx_jitter_ms(node->ctx, ms, 10) * 1000, NULL);
}

void bvi_node_collect_metrics(bvi_timer *timer, void *data)
{
    bvi_node *node = data;

    bvi_node_drop_retired(node, false);
    if (node->plugin && bvi_node_answers(node)) {
        collect(node);
    } else {
        bvi_json_free(bvi_take(node->metrics));
    }
    if (node->state.expected == BVI_EXPECT_RUNNING)
        wait_ms(node, INTERVAL_MS);
}

void bvi_node_begin_metrics(bvi_node *node)
{
    wait_ms(node, FIRST_MS);
}

void bvi_node_end_metrics(bvi_node *node)
{
    bvi_timer_clear(node->metrics_timer);
    bvi_json_free(bvi_take(node->metrics));
    node->failing_metrics = 0;
}
