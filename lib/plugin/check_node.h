/*
 * check_node.h - nodes that are not there, for running a plugin while it is checked.
 *
 * There are a few kinds, which answer requests in different ways; nobody knows here what a real one
 * would say. Blocking: each has a context of its own, whose time is made up.
 */
#ifndef BVI_PLUGIN_CHECK_NODE_H
#define BVI_PLUGIN_CHECK_NODE_H

#include "plugin/check_impl.h"
#include "plugin/fake_env.h"

/* Kinds of nodes. */
#define BVI_CHECK_NODES 5u

/* A node, and the plugin on it. */
typedef struct bvi_check_node {
    bvi_check *check; /* NULL: not opened */
    size_t variant;
    size_t kind; /* of the answers */
    int64_t now_us;
    bv_ctx *ctx;
    bvi_fake_env *fake;
    bvi_plugin *plugin;
    bvi_json *jobs;    /* created by the plugin: {name: config} */
    bvi_strv warnings; /* logged by the engine about them: "job '<name>': unknown key ..." */
    bool asked;        /* since the function began: its result depends on answers ... */
    bool asked_node;   /* ... and not on those of get_secret() alone */
    bool done;         /* the function has ended */
    bvi_json *outcome; /* how the function evaluated last went, see bv_eval() */
    bv_error *err;     /* why the configuration could not be converted */
} bvi_check_node;

int bvi_check_node_open(bvi_check_node *node, bvi_check *check, size_t variant, size_t kind,
                        bv_error **err);
void bvi_check_node_close(bvi_check_node *node);
/* Runs a function without parameters, the top level for NULL. That it fails is an outcome. */
int bvi_check_node_eval(bvi_check_node *node, const char *function, bv_error **err);
/* Evaluates and converts the configuration; node->err tells what is wrong with it. */
int bvi_check_node_reload(bvi_check_node *node, bv_error **err);

#endif
