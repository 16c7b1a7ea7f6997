/*
 * snapshots.c - what a store holds, as documents; and what a node asks of it.
 */
#include <string.h>

#include "node/node.h"
#include "node/node_source.h"
#include "node/snapshots.h"
#include "transfer/source_store.h"

struct bvi_snapshots {
    bvi_store *store;
    unsigned pending;
    bool closed;
};

/* One request of the store. */
typedef struct asked {
    bvi_snapshots *snapshots;
    bvi_store_fn done;
    void *data;
} asked;

int bvi_snapshots_new(bvi_store *store, bvi_snapshots **ret_snapshots, bv_error **err)
{
    bvi_snapshots *snapshots = bvi_new0(bvi_snapshots);

    if (!snapshots) {
        bvi_store_free(store);
        return bvi_fail_nomem(err);
    }
    snapshots->store = store;
    *ret_snapshots = snapshots;
    return 0;
}

static void destroy_unused(bvi_snapshots *snapshots)
{
    if (!snapshots->closed || snapshots->pending)
        return;
    bvi_store_free(snapshots->store);
    bvi_free(snapshots);
}

void bvi_snapshots_free(bvi_snapshots *snapshots)
{
    if (!snapshots)
        return;
    snapshots->closed = true;
    if (snapshots->pending)
        snapshots->store->vtable->cancel(snapshots->store);
    destroy_unused(snapshots);
}

static void on_answer(const bv_error *err, const bvi_store_reply *reply, void *data)
{
    asked *ask = data;
    bvi_snapshots *snapshots = ask->snapshots;

    ask->done(err, reply, ask->data);
    bvi_free(ask);
    snapshots->pending--;
    destroy_unused(snapshots);
}

int bvi_snapshots_ask(bvi_snapshots *snapshots, const bvi_store_request *request, bvi_store_fn done,
                      void *data, bv_error **err)
{
    asked *ask = bvi_new0(asked);
    int r;

    if (!ask)
        return bvi_fail_nomem(err);
    *ask = (asked){ snapshots, done, data };
    r = bvi_store_call(snapshots->store, request, on_answer, ask, err);
    if (r < 0)
        bvi_free(ask);
    else
        snapshots->pending++;
    return r;
}

static void on_list(const bv_error *err, const bvi_store_reply *listed, void *data)
{
    if (err)
        bvi_reply_fail(data, bvi_error_copy(err));
    else
        bvi_reply_ok(data, bvi_snapshot_list_json(listed));
}

void bvi_snapshots_list(bvi_snapshots *snapshots, const char *key, bvi_reply *reply)
{
    const bvi_store_request request = { .verb = BVI_STORE_LIST, .store_key = key };
    bv_error *err = NULL;

    if (bvi_snapshots_ask(snapshots, &request, on_list, reply, &err) < 0)
        bvi_reply_fail(reply, err);
}

int bvi_snapshot_format_parse(const char *text, bvi_store_format *ret_format, bv_error **err)
{
    static const struct {
        const char *name;
        bvi_store_format format;
    } names[] = { { "archive", BVI_STORE_ARCHIVE }, { "snapshot", BVI_STORE_SNAPSHOT } };

    *ret_format = BVI_STORE_ANY;
    for (size_t i = 0; text && i < BVI_COUNT(names); i++) {
        if (strcmp(names[i].name, text) == 0)
            *ret_format = names[i].format;
    }
    if (text && *ret_format == BVI_STORE_ANY)
        return bvi_fail(err, BV_E_INVALID, "format '%s' is neither 'archive' nor 'snapshot'", text);
    return 0;
}

/* ---- what a node's work asks ---- */

typedef struct latest {
    void (*done)(const bv_error *err, bvi_json *snapshot, void *data);
    void *data;
} latest;

static void on_latest(const bv_error *err, const bvi_store_reply *listed, void *data)
{
    latest *ask = data;
    const bvi_snapshot_info *newest = NULL;
    bvi_auto_error bv_error *failure = NULL;
    bvi_json *snapshot = NULL;

    for (size_t i = 0; !err && i < listed->n_infos; i++) {
        if (!newest || listed->infos[i].version > newest->version)
            newest = &listed->infos[i];
    }
    if (!err && !newest)
        (void)bvi_fail(&failure, BV_E_NOT_FOUND,
                       "the store has no version of it"); /* reported below */
    else if (newest)
        snapshot = bvi_snapshot_json(newest);
    if (newest && !snapshot)
        (void)bvi_fail_nomem(&failure); /* reported below */
    ask->done(err ? err : failure, snapshot, ask->data);
    bvi_free(ask);
}

int bvi_manager_latest_snapshot(bvi_manager *manager, const char *key,
                                void (*done)(const bv_error *err, bvi_json *snapshot, void *data),
                                void *data, bv_error **err)
{
    const bvi_store_request request = { .verb = BVI_STORE_LIST, .store_key = key };
    latest *ask = bvi_new0(latest);
    int r;

    if (!ask)
        return bvi_fail_nomem(err);
    *ask = (latest){ done, data };
    r = bvi_snapshots_ask(manager->opts.snapshots, &request, on_latest, ask, err);
    if (r < 0)
        bvi_free(ask);
    return r;
}

typedef struct archive_question {
    void (*done)(bool has, const bv_error *err, void *data);
    void *data;
    uint64_t version; /* 0: any */
} archive_question;

static void on_versions(const bv_error *err, const bvi_store_reply *reply, void *data)
{
    archive_question *ask = data;
    bool missing = bv_error_code(err) == BV_E_NOT_FOUND;
    bool has = false;

    for (size_t i = 0; !err && i < reply->n_versions; i++)
        has = has || ask->version == 0 || reply->versions[i] == ask->version;
    ask->done(has, missing ? NULL : err, ask->data);
    bvi_free(ask);
}

void bvi_node_has_archive(bvi_node *node, void (*done)(bool has, const bv_error *err, void *data),
                          void *data)
{
    const bvi_store_request request = { .verb = BVI_STORE_VERSIONS,
                                        .store_key = node->state.store_key };
    archive_question *ask = NULL;
    bvi_auto_error bv_error *err = NULL;

    if (!*node->state.store_key) {
        done(false, NULL, data);
        return;
    }
    ask = bvi_new0(archive_question);
    if (!ask) {
        (void)bvi_fail_nomem(&err); /* reported below */
        done(false, err, data);
        return;
    }
    *ask = (archive_question){ done, data, (uint64_t)node->state.snapshot_version };
    if (bvi_snapshots_ask(node->manager->opts.snapshots, &request, on_versions, ask, &err) < 0) {
        bvi_free(ask);
        done(false, err, data);
    }
}

int bvi_node_open_source(void *data, const char *store_key, bvi_chunk_source **ret_source,
                         bv_error **err)
{
    bvi_node *node = data;
    const char *key = NULL;
    const bvi_node_source_opts opts = { .staging_dir = node->upload_bind,
                                        .store_dir = node->manager->opts.store_dir,
                                        .store_key = node->state.store_key };
    bvi_chunk_source *inner = NULL;
    int r;

    r = bvi_node_check_key(node, store_key, &key, err);
    if (r == 0)
        r = bvi_source_open(node->ctx, node->manager->opts.store_uri, key, &inner, err);
    if (r < 0)
        return r;
    if (node->store_bind)
        return bvi_node_source_new(node->ctx, inner, &opts, ret_source, err);
    *ret_source = inner;
    return 0;
}
