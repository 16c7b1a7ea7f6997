/*
 * store_api.c - the public calls of blockvisor/store.h that answer with a document: what a store
 * holds, and what a prune did. And how all public calls open a store.
 */
#include <stddef.h>
#include <string.h>

#include "snapshot/opts_copy.h"
#include "snapshot/prune.h"
#include "snapshot/store_impl.h"
#include "transfer/snapshot_doc.h"

int bvi_store_open_public(bv_ctx *ctx, const char *uri, const bv_s3_keys *keys, bvi_store_opts opts,
                          bvi_store **ret_store, bv_error **err)
{
    const bvi_s3_credentials given = {
        .access_key_id = (char *)(uintptr_t)(keys ? keys->access_key : NULL),
        .secret_access_key = (char *)(uintptr_t)(keys ? keys->secret_key : NULL),
        .session_token = (char *)(uintptr_t)(keys ? keys->session_token : NULL),
    }; /* only read */

    if (keys && (!keys->access_key || !keys->secret_key))
        return bvi_fail(err, BV_E_INVALID, "S3 keys lack the access key or the secret");
    opts.keys = keys ? &given : NULL;
    return bvi_store_open_with(ctx, uri, &opts, ret_store, err);
}

void bvi_question_free(bvi_question *q)
{
    if (!q)
        return;
    bvi_store_free(q->store);
    bv_op_unref(q->op);
    bvi_free(q);
}

int bvi_question_new(bv_ctx *ctx, const bv_store_opts *opts, void *data,
                     bvi_question **ret_question, bv_error **err)
{
    BVI_AUTO(bvi_question_freep) bvi_question *q = bvi_new0(bvi_question);
    int r;

    if (!q)
        return bvi_fail_nomem(err);
    r = bvi_opts_take(&q->opts, sizeof(q->opts), opts, offsetof(bv_store_opts, data_version), err);
    if (r == 0 && !q->opts.store)
        r = bvi_fail(err, BV_E_INVALID, "a question needs a store");
    if (r == 0)
        r = bvi_store_open_public(ctx, q->opts.store, q->opts.s3_keys,
                                  (bvi_store_opts){ .mirrors = q->opts.mirrors }, &q->store, err);
    if (r < 0)
        return r;
    q->data = data;
    *ret_question = bvi_take(q);
    return 0;
}

/* ---- answers that are documents ---- */

static void on_reply(bv_op *op, const bvi_json *result, const bv_error *err, void *data)
{
    bvi_question *q = data;

    q->replied(op, (const bv_doc *)result, err, q->data); /* one thing under two names */
    bvi_question_free(q);
}

static void cancel_store(void *data)
{
    bvi_question *q = data;

    q->store->vtable->cancel(q->store);
}

/* ---- list ---- */

static void on_list(const bv_error *err, const bvi_store_reply *listed, void *data)
{
    bvi_question *q = data;

    if (err)
        bvi_reply_fail(q->reply, bvi_error_copy(err));
    else
        bvi_reply_ok(q->reply, bvi_snapshot_list_json(listed));
}

int bv_store_list_start(bv_ctx *ctx, const bv_store_opts *opts, bv_reply_fn done, void *data,
                        bv_op **ret_op, bv_error **err)
{
    BVI_AUTO(bvi_question_freep) bvi_question *owned = NULL;
    const bvi_store_request request = { .verb = BVI_STORE_LIST, .store_key = opts->key };
    bv_error *failure = NULL;
    int r = bvi_question_new(ctx, opts, data, &owned, err);
    bvi_question *q = owned;

    if (r == 0)
        r = bvi_reply_new(ctx, on_reply, q, &q->reply, ret_op, err);
    if (r < 0)
        return r;
    (void)bvi_take(owned); /* the reply's */
    q->replied = done;
    if (bvi_store_call(q->store, &request, on_list, q, &failure) < 0)
        bvi_reply_fail(q->reply, failure);
    else
        bvi_reply_on_cancel(q->reply, cancel_store, q);
    return 0;
}

/* ---- prune ---- */

static int put_numbers(bvi_json *root, const bvi_snap_prune_report *report)
{
    const struct {
        const char *name;
        uint64_t value;
    } numbers[] = {
        { "versions", report->versions },
        { "versions_removed", report->versions_removed },
        { "packs", report->packs },
        { "pack_bytes", report->pack_bytes },
        { "packs_removed", report->packs_removed },
        { "bytes_removed", report->bytes_removed },
        { "objects_removed", report->objects_removed },
        { "packs_young", report->packs_young },
        { "packs_reserved", report->packs_reserved },
        { "versions_reserved", report->versions_reserved },
        { "uploads", report->uploads },
        { "uploads_removed", report->uploads_removed },
    };
    int r = 0;

    for (size_t i = 0; r == 0 && i < BVI_COUNT(numbers); i++)
        r = bvi_json_put_uint64(root, numbers[i].name, numbers[i].value);
    return r;
}

static bvi_json *prune_json(const char *key, bool dry_run, const bvi_snap_prune_report *report)
{
    bvi_auto_json bvi_json *root = bvi_json_new_object();
    bvi_json *removed = root ? bvi_json_new_array() : NULL;

    if (!root || bvi_json_put(root, "removed", removed) < 0 ||
        bvi_json_put_string(root, "key", key) < 0 ||
        bvi_json_put_bool(root, "dry_run", dry_run) < 0 || put_numbers(root, report) < 0)
        return NULL;
    for (uint64_t i = 0; i < report->versions_removed; i++) {
        if (bvi_json_add(removed, bvi_json_new_uint64(report->removed[i])) < 0)
            return NULL;
    }
    return bvi_take(root);
}

/* The engine's operation is the user's; the reply is only what makes the document. */
typedef struct pruning {
    bvi_question *question;
    char *key;
    bool dry_run;
} pruning;

static void pruning_free(pruning *p)
{
    if (!p)
        return;
    bvi_question_free(p->question);
    bvi_free(p->key);
    bvi_free(p);
}
BVI_DEFINE_FREEP(pruning, pruning_free)

static void on_pruned(bv_op *op, const bv_error *err, const bvi_snap_prune_report *report,
                      void *data)
{
    pruning *p = data;
    bvi_auto_json bvi_json *doc = err ? NULL : prune_json(p->key, p->dry_run, report);
    bvi_auto_error bv_error *failure = NULL;

    if (!err && !doc)
        (void)bvi_fail_nomem(&failure); /* told below */
    p->question->replied(op, (const bv_doc *)doc, err ? err : failure, p->question->data);
    pruning_free(p);
}

int bv_store_prune_start(bv_ctx *ctx, const bv_store_opts *opts, const bv_prune_opts *prune,
                         bv_reply_fn done, void *data, bv_op **ret_op, bv_error **err)
{
    BVI_AUTO(pruning_freep) pruning *p = bvi_new0(pruning);
    bv_op *op = NULL;
    bv_prune_opts o;
    int r;

    if (!p)
        return bvi_fail_nomem(err);
    r = bvi_opts_take(&o, sizeof(o), prune, sizeof(o), err);
    if (r == 0)
        r = bvi_question_new(ctx, opts, data, &p->question, err);
    if (r == 0 && !opts->key)
        r = bvi_fail(err, BV_E_INVALID, "pruning needs a key");
    if (r < 0)
        return r;
    p->question->replied = done;
    p->dry_run = o.dry_run != 0;
    p->key = bvi_strdup(opts->key);
    if (!p->key)
        return bvi_fail_nomem(err);
    r = bvi_snap_prune_start(ctx,
                             &(bvi_snap_prune_opts){
                                 .store = p->question->store,
                                 .store_key = p->key,
                                 .keep_last = o.keep_last,
                                 .keep = o.keep,
                                 .n_keep = o.keep_count,
                                 .grace_secs = o.grace_secs == 0  ? BV_PRUNE_GRACE_SECS_DEFAULT
                                               : o.grace_secs < 0 ? 0
                                                                  : o.grace_secs,
                                 .dry_run = p->dry_run,
                             },
                             on_pruned, p, &op, err);
    if (r < 0)
        return r;
    (void)bvi_take(p); /* the operation's */
    if (ret_op)
        *ret_op = op;
    else
        bv_op_unref(op);
    return 0;
}
