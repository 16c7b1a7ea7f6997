/*
 * fake_plugin.c - what the plugin of a fake node answers.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "host/fake.h"

/* Text of an answer that is a number or a short document. */
#define TEXT_MAX 256

/* ---- methods: each gives its result as text; NULL: no memory ---- */

static int64_t block_age_s(const bvi_fake_node *node)
{
    return (bvi_ctx_now_us(node->fake->base.ctx) - node->block_us) / 1000000;
}

static char *block_age(bvi_fake_node *node, const char *param)
{
    return bvi_asprintf("%" PRId64, block_age_s(node));
}

static char *echo(bvi_fake_node *node, const char *param)
{
    return bvi_strdup(param);
}

static char *height(bvi_fake_node *node, const char *param)
{
    return bvi_asprintf("%" PRIu64, node->height);
}

static char *init(bvi_fake_node *node, const char *param)
{
    return bvi_fake_jobs_start(node) < 0 ? NULL : bvi_strdup("");
}

static char *name(bvi_fake_node *node, const char *param)
{
    return bvi_asprintf("fake-%s", node->state.name);
}

static const char *state_of(const bvi_fake_node *node)
{
    return node->height ? "broadcasting" : "starting";
}

static const char *health_of(const bvi_fake_node *node)
{
    return node->height ? "healthy" : "neutral";
}

static char *protocol_status(bvi_fake_node *node, const char *param)
{
    return bvi_asprintf("{\"state\":\"%s\",\"health\":\"%s\"}", state_of(node), health_of(node));
}

/* Ordered by name. "upload" is answered elsewhere: it takes time. */
static const struct {
    const char *name;
    char *(*call)(bvi_fake_node *node, const char *param);
} methods[] = {
    { "block_age", block_age }, { "echo", echo }, { "height", height },
    { "init", init },           { "name", name }, { "protocol_status", protocol_status },
    { "upload", NULL },
};

void bvi_fake_node_capabilities(bvi_fake_node *node, const bvi_json *args, bvi_reply *reply)
{
    bvi_auto_json bvi_json *root = bvi_json_new_object();
    bvi_json *list = root ? bvi_json_new_array() : NULL;
    int r = root ? bvi_json_put(root, "capabilities", list) : BV_E_NOMEM;

    for (size_t i = 0; r == 0 && i < BVI_COUNT(methods); i++)
        r = bvi_json_add(list, bvi_json_new_string(methods[i].name));
    bvi_reply_ok(reply, r == 0 ? bvi_take(root) : NULL);
}

/* ---- check ---- */

static bvi_json *check_row(const char *name, const char *problem)
{
    bvi_auto_json bvi_json *row = bvi_json_new_object();
    bvi_json *problems = row ? bvi_json_new_array() : NULL;

    if (!row || bvi_json_put_string(row, "name", name) < 0 ||
        bvi_json_put_bool(row, "passed", !problem) < 0 ||
        bvi_json_put(row, "problems", problems) < 0 ||
        (problem && bvi_json_add(problems, bvi_json_new_string(problem)) < 0) ||
        bvi_json_put(row, "notes", bvi_json_new_array()) < 0)
        return NULL;
    return bvi_take(row);
}

/* A fake node is well when it runs; it is not started for it. */
void bvi_fake_node_check(bvi_fake_node *node, const bvi_json *args, bvi_reply *reply)
{
    static const char *const known[] = { "plugin", "jobs-status", "jobs-restarts",
                                         "protocol-status" };
    const char *why = node->pid ? NULL : "it is not running; --start starts it";
    const bvi_json *names = bvi_json_find(args, "checks");
    bvi_auto_json bvi_json *root = bvi_json_new_object();
    bvi_json *list = root ? bvi_json_new_array() : NULL;
    bool passed = true;
    int r = root ? bvi_json_put(root, "checks", list) : BV_E_NOMEM;

    for (size_t i = 0; i < BVI_COUNT(known); i++) {
        bool wanted = bvi_json_count(names) == 0 && i < 2;

        bvi_json_each(it, names)
            wanted = wanted || (bvi_json_string(it) && strcmp(bvi_json_string(it), known[i]) == 0);
        if (r == 0 && wanted)
            r = bvi_json_add(list, check_row(known[i], i ? why : NULL));
        passed = passed && (!wanted || i == 0 || !why);
    }
    if (r < 0 || bvi_json_put_bool(root, "passed", passed) < 0 ||
        bvi_json_put_string(root, "node", node->state.name) < 0)
        bvi_reply_ok(reply, NULL);
    else
        bvi_reply_ok(reply, bvi_take(root));
}

/* It schedules nothing. */
void bvi_fake_node_tasks(bvi_fake_node *node, const bvi_json *args, bvi_reply *reply)
{
    bvi_auto_json bvi_json *root = bvi_json_new_object();
    int r = root ? bvi_json_put(root, "tasks", bvi_json_new_array()) : BV_E_NOMEM;

    bvi_reply_ok(reply, r == 0 ? bvi_take(root) : NULL);
}

static void fail_with_options(const bvi_fake_node *node, const char *method, bvi_reply *reply)
{
    char text[TEXT_MAX];
    int at = 0;

    for (size_t i = 0; i < BVI_COUNT(methods) && at < TEXT_MAX; i++)
        at +=
            snprintf(text + at, sizeof(text) - (size_t)at, "%s%s", i ? ", " : "", methods[i].name);
    bvi_reply_failf(reply, BV_E_NOT_FOUND, "there is no method '%s'; node '%s' has: %s", method,
                    node->state.name, text);
}

/* The result with its type: what these answer is JSON already. */
static bvi_json *value_of(const char *method, const char *text)
{
    static const char *const typed[] = { "block_age", "height", "protocol_status" };
    bvi_json *value = NULL;

    if (strcmp(method, "init") == 0)
        return bvi_json_new_null();
    for (size_t i = 0; i < BVI_COUNT(typed); i++) {
        if (strcmp(typed[i], method) == 0)
            return bvi_json_parse(text, strlen(text), &value, NULL) == 0 ? value : NULL;
    }
    return bvi_json_new_string(text);
}

/* A method that begins the upload answers at once; it is the job that takes time. */
static void answer(bvi_reply *reply, const char *method, const char *text)
{
    bvi_auto_json bvi_json *root = bvi_json_new_object();
    int r = root && text ? bvi_json_put_string(root, "result", text) : BV_E_NOMEM;

    if (r == 0)
        r = bvi_json_put(root, "value", value_of(method, text));
    bvi_reply_ok(reply, r == 0 ? bvi_take(root) : NULL);
}

void bvi_fake_node_run(bvi_fake_node *node, const bvi_json *args, bvi_reply *reply)
{
    const char *method = bvi_json_string(bvi_json_find(args, "method"));
    const char *param = bvi_json_string(bvi_json_find(args, "param"));
    size_t i = 0;

    while (i < BVI_COUNT(methods) && strcmp(methods[i].name, method) != 0)
        i++;
    if (i == BVI_COUNT(methods)) {
        fail_with_options(node, method, reply);
    } else if (!node->pid) {
        bvi_reply_failf(reply, BV_E_STATE,
                        "node '%s' is not running; start it with `bv node start %s`",
                        node->state.name, node->state.name);
    } else if (!methods[i].call) {
        bvi_fake_snapshot_run_upload(node, reply);
    } else {
        bvi_auto_free char *text = methods[i].call(node, param ? param : "");

        answer(reply, method, text);
    }
}

/* ---- what a node document shows ---- */

static bvi_json *status_json(const bvi_fake_node *node)
{
    bvi_auto_json bvi_json *root = bvi_json_new_object();

    if (!root || bvi_json_put_string(root, "state", state_of(node)) < 0 ||
        bvi_json_put_string(root, "health", health_of(node)) < 0)
        return NULL;
    return bvi_take(root);
}

bvi_json *bvi_fake_plugin_metrics(const bvi_fake_node *node)
{
    static const char *const absent[] = { "consensus", "apr", "jailed", "jailed_reason",
                                          "sqd_name" };
    bvi_auto_json bvi_json *document = node->pid ? bvi_json_new_object() : NULL;
    int64_t now = bvi_ctx_wall_us(node->fake->base.ctx) / 1000000;

    if (!document || bvi_json_put_int64(document, "collected_at", now) < 0 ||
        bvi_json_put(document, "protocol_status", status_json(node)) < 0 ||
        bvi_json_put_uint64(document, "height", node->height) < 0 ||
        bvi_json_put_int64(document, "block_age", block_age_s(node)) < 0)
        return NULL;
    for (size_t i = 0; i < BVI_COUNT(absent); i++) {
        if (bvi_json_put(document, absent[i], bvi_json_new_null()) < 0)
            return NULL;
    }
    return bvi_take(document);
}

int bvi_fake_plugin_put(bvi_fake_node *node, bvi_json *document)
{
    static const char *const keys[] = {
        "protocol_status", "height", "block_age", "reported_name", "address",
        "consensus",       "apr",    "jailed",    "jailed_reason", "sqd_name"
    };
    bvi_auto_free char *reported = bvi_asprintf("fake-%s", node->state.name);

    for (size_t i = 0; i < BVI_COUNT(keys); i++) {
        if (bvi_json_put(document, keys[i], bvi_json_new_null()) < 0)
            return BV_E_NOMEM;
    }
    if (!node->pid || node->work)
        return 0;
    if (!reported || bvi_json_put(document, "protocol_status", status_json(node)) < 0 ||
        bvi_json_put_uint64(document, "height", node->height) < 0 ||
        bvi_json_put_int64(document, "block_age", block_age_s(node)) < 0 ||
        bvi_json_put_string(document, "reported_name", reported) < 0)
        return BV_E_NOMEM;
    return 0;
}
