/*
 * node_snapshot.c - what snapshot and archive jobs in a node ask of the host, beside chunks: their
 * store, the format of what they move, and whether it may be published.
 */
#include <string.h>

#include "image/image_store.h"
#include "node/node.h"
#include "node/node_store.h"
#include "snapshot/root.h"

/* Opening a database may take a while. */
#define GATE_MS (10 * 60 * 1000)

/* ---- keys ---- */

/* A node may use its own key and those its plugin's services name. */
static bool may_use(const bvi_node *node, const char *store_key)
{
    const bvi_json *config = node->plugin ? bvi_plugin_config(node->plugin) : NULL;

    bvi_json_each(service, bvi_json_find(config, "services")) {
        const char *key = bvi_json_string(bvi_json_find(service, "store_key"));

        if (key && strcmp(key, store_key) == 0)
            return true;
    }
    return strcmp(store_key, node->state.store_key) == 0;
}

int bvi_node_check_key(const bvi_node *node, const char *store_key, const char **ret_key,
                       bv_error **err)
{
    const char *key = store_key ? store_key : node->state.store_key;

    if (!*key)
        return bvi_fail(err, BV_E_NOT_FOUND, "node '%s' has no store key", node->state.name);
    if (!may_use(node, key))
        return bvi_fail(err, BV_E_DENIED, "node '%s' may not use the store key '%s'",
                        node->state.name, key);
    if (node->store_bind && strcmp(key, node->state.store_key) != 0)
        return bvi_fail(
            err, BV_E_UNSUPPORTED,
            "a directory store shows node '%s' its own key '%s' only, not '%s'; several "
            "clients need a store with URLs",
            node->state.name, node->state.store_key, key);
    *ret_key = key;
    return 0;
}

/* ---- the gate ---- */

typedef struct gate {
    bvi_gate_done_fn done;
    void *data;
    char *what;
    bv_op *op;
} gate;

static void gate_free(gate *g)
{
    bv_op_unref(g->op);
    bvi_free(g->what);
    bvi_free(g);
}

static void on_gate(bv_op *op, const bvi_plugin_value *value, const bv_error *why, void *data)
{
    gate *g = data;
    bvi_auto_error bv_error *err = NULL;

    if (why && bv_error_code(why) == BV_E_CANCELLED) {
        err = bvi_error_copy(why);
    } else if (why) {
        bvi_auto_free char *text = bvi_error_text(why);

        (void)bvi_fail(&err, BV_E_STATE, "%s is not published: %s() of the plugin says: %s",
                       g->what, BVI_PLUGIN_GATE, text ? text : "out of memory");
    } else if (strcmp(value->text, "false") == 0) {
        (void)bvi_fail(&err, BV_E_STATE, "%s is not published: %s() of the plugin returned false",
                       g->what, BVI_PLUGIN_GATE);
    }
    g->done(err, g->data);
    gate_free(g);
}

/* -1: the plugin has no such function. */
static int gate_arity(const bvi_plugin *plugin)
{
    bvi_script_fn_info info;
    int arity = -1;

    for (size_t i = 0; plugin && bvi_plugin_function_at(plugin, i, &info); i++) {
        if (strcmp(info.name, BVI_PLUGIN_GATE) == 0 && info.arity <= 1 && (int)info.arity > arity)
            arity = (int)info.arity;
    }
    return arity;
}

static int ask_plugin(gate *g, bvi_plugin *plugin, const char *store_key, uint64_t version,
                      int arity, bv_error **err)
{
    bvi_auto_json bvi_json *param = bvi_json_new_object();
    bvi_auto_free char *text = NULL;
    int r;

    g->what = bvi_asprintf("version %llu of '%s'", (unsigned long long)version, store_key);
    if (!g->what || !param || bvi_json_put_string(param, "store_key", store_key) < 0 ||
        bvi_json_put_uint64(param, "version", version) < 0)
        return bvi_fail_nomem(err);
    r = bvi_json_print(param, false, &text, err);
    return r < 0 ? r
                 : bvi_plugin_call(plugin, BVI_PLUGIN_GATE, arity == 1 ? text : NULL, GATE_MS,
                                   on_gate, g, &g->op, err);
}

int bvi_node_gate(void *data, const char *store_key, uint64_t version, bvi_gate_done_fn done,
                  void *done_data, bv_error **err)
{
    const bvi_node *node = data;
    int arity = gate_arity(node->plugin);
    gate *g;
    int r;

    if (arity < 0)
        return BVI_GATE_NONE;
    g = bvi_new0(gate);
    if (!g)
        return bvi_fail_nomem(err);
    *g = (gate){ .done = done, .data = done_data };
    r = ask_plugin(g, node->plugin, store_key ? store_key : node->state.store_key, version, arity,
                   err);
    if (r < 0)
        gate_free(g);
    return r;
}

/* ---- stores ---- */

int bvi_node_open_store(void *data, const char *store_key, bvi_store **ret_store, bv_error **err)
{
    bvi_node *node = data;
    bvi_node_store_opts opts = { .staging_dir = node->upload_bind,
                                 .store_dir = node->manager->opts.store_dir,
                                 .gate = bvi_node_gate,
                                 .data = node };
    bvi_store *inner = NULL;
    int r = bvi_node_check_key(node, store_key, &opts.store_key, err);

    if (r == 0)
        r = bvi_store_open(node->ctx, node->manager->opts.store_uri, &inner, err);
    return r < 0 ? r : bvi_node_store_new(inner, &opts, ret_store, err);
}

int bvi_node_object_url(void *data, bvi_store *store, const char *key, bool put, char **ret_url,
                        bv_error **err)
{
    return bvi_node_store_url(store, key, put, ret_url, err);
}

/* ---- what a job has to know ---- */

typedef struct question {
    bvi_snapshots *snapshots;
    bvi_store_info_fn done;
    void *data;
    char *store_key;  /* as it is in the store */
    uint64_t wanted;  /* 0: the latest */
    uint64_t version; /* the one that is */
    bool upload;
    bvi_store_format format;
    bvi_strv protected_paths;
} question;

static void question_free(question *q)
{
    bvi_strv_done(&q->protected_paths);
    bvi_free(q->store_key);
    bvi_free(q);
}

static void tell(question *q, const bv_error *err)
{
    const bvi_store_info info = {
        .store_key = q->store_key,
        .format = q->format,
        .data_version = q->wanted,
        .protected_paths = (const char *const *)q->protected_paths.items,
        .n_protected_paths = q->protected_paths.len,
    };

    q->done(err, err ? NULL : &info, q->data);
    question_free(q);
}

static void on_root(const bv_error *err, const bvi_store_reply *reply, void *data)
{
    question *q = data;

    q->format = err ? BVI_STORE_ARCHIVE : BVI_STORE_SNAPSHOT;
    tell(q, bv_error_code(err) == BV_E_NOT_FOUND ? NULL : err);
}

static int look_for_root(question *q, bv_error **err)
{
    bvi_auto_free char *key = bvi_snap_root_key(q->store_key, q->version);
    const bvi_store_request request = { .verb = BVI_STORE_STAT, .key = key };

    return key ? bvi_snapshots_ask(q->snapshots, &request, on_root, q, err) : bvi_fail_nomem(err);
}

static void on_versions(const bv_error *err, const bvi_store_reply *reply, void *data)
{
    question *q = data;
    bvi_auto_error bv_error *failure = NULL;
    bool missing = bv_error_code(err) == BV_E_NOT_FOUND || (reply && reply->n_versions == 0);

    if (q->upload && (!err || missing)) {
        tell(q, NULL);
        return;
    }
    if (!err && missing)
        (void)bvi_fail(&failure, BV_E_NOT_FOUND, "the store has no version of '%s'", q->store_key);
    if (!err && !missing)
        q->version = q->wanted ? q->wanted : reply->versions[reply->n_versions - 1];
    if (err || missing || look_for_root(q, &failure) < 0)
        tell(q, err ? err : failure);
}

static int copy_protected(const bvi_node *node, question *q, bv_error **err)
{
    const bvi_image *image = bvi_image_store_find(node->manager->opts.images, node->state.image_id);
    const bvi_image_variant *variant =
        image ? bvi_image_meta_variant(bvi_image_meta_of(image), node->state.variant_key) : NULL;

    if (!variant)
        return bvi_protect_begin(&q->protected_paths, err);
    q->protected_paths.max = BVI_PROTECT_MAX;
    for (size_t i = 0; i < variant->protected_paths.len; i++) {
        if (bvi_strv_add(&q->protected_paths, variant->protected_paths.items[i]) < 0)
            return bvi_fail_nomem(err);
    }
    return 0;
}

/* What the call said, else the plugin, else the host. */
static bvi_store_format choose_format(const bvi_node *node)
{
    const bvi_json *config = node->plugin ? bvi_plugin_config(node->plugin) : NULL;
    const bvi_json *upload = bvi_json_find(config, "upload");
    bvi_store_format format = BVI_STORE_ANY;

    (void)bvi_snapshot_format_parse(node->state.upload_format, &format, NULL);
    if (!format)
        (void)bvi_snapshot_format_parse(bvi_json_string(bvi_json_find(upload, "format")), &format,
                                        NULL);
    if (!format)
        format = node->manager->opts.upload_format;
    return format ? format : BVI_STORE_ARCHIVE;
}

static int fill_question(const bvi_node *node, question *q, const char *store_key, bv_error **err)
{
    const char *key = NULL;
    int r = bvi_node_check_key(node, store_key, &key, err);

    if (r == 0)
        r = bvi_store_key_normalise(key, &q->store_key, err);
    if (r == 0)
        r = copy_protected(node, q, err);
    if (r < 0)
        return r;
    q->snapshots = node->manager->opts.snapshots;
    q->format = choose_format(node);
    if (!q->upload && q->wanted == 0 && strcmp(key, node->state.store_key) == 0)
        q->wanted = (uint64_t)node->state.snapshot_version;
    return 0;
}

int bvi_node_store_info(void *data, const char *store_key, uint64_t data_version, bool upload,
                        bvi_store_info_fn done, void *done_data, bv_error **err)
{
    question *q = bvi_new0(question);
    bvi_store_request request = { .verb = BVI_STORE_VERSIONS };
    int r;

    if (!q)
        return bvi_fail_nomem(err);
    q->done = done;
    q->data = done_data;
    q->wanted = data_version;
    q->upload = upload;
    r = fill_question(data, q, store_key, err);
    request.store_key = q->store_key;
    if (r == 0)
        r = bvi_snapshots_ask(q->snapshots, &request, on_versions, q, err);
    if (r < 0)
        question_free(q);
    return r;
}

/* ---- how much of the host's limits a job gets ---- */

/* A job asks more often than this while it runs. */
#define SHARE_HELD_US 75000000

/* With less memory a job could not unpack a chunk of the highest levels, and would fail. */
#define SHARE_MEMORY_MIB_MIN 160u

static uint32_t part_of(uint32_t whole, uint32_t parts, uint32_t least)
{
    uint32_t part = whole / parts > least ? whole / parts : least;

    return part < whole ? part : whole;
}

void bvi_node_share(void *data, bv_transfer_limits *ret_share)
{
    bvi_node *node = data;
    const bvi_manager *manager = node->manager;
    int64_t now_us = bvi_ctx_now_us(node->ctx);
    bv_transfer_use use = { .size = sizeof(use) };
    uint32_t parts;

    node->share_asked_us = now_us;
    bv_ctx_transfer_use(node->ctx, &use);
    bv_ctx_transfer_limits(node->ctx, ret_share);
    parts = use.connections > 0; /* the daemon's own transfers are one more */
    for (size_t i = 0; i < manager->nodes.len; i++) {
        int64_t asked_us = manager->nodes.items[i]->share_asked_us;

        parts += asked_us && now_us - asked_us < SHARE_HELD_US;
    }
    parts = parts > 0 ? parts : 1;
    ret_share->memory_mib = part_of(ret_share->memory_mib, parts, SHARE_MEMORY_MIB_MIN);
    ret_share->connections = part_of(ret_share->connections, parts, 1);
    ret_share->open_files = part_of(ret_share->open_files, parts, 16);
    /* 0 would be no limit. */
    if (ret_share->download_bytes_per_s)
        ret_share->download_bytes_per_s = ret_share->download_bytes_per_s / parts + 1;
    if (ret_share->upload_bytes_per_s)
        ret_share->upload_bytes_per_s = ret_share->upload_bytes_per_s / parts + 1;
}
