/*
 * pick.c - finds out the format of a version.
 *
 * A version that is named is a snapshot when it has a root. For the latest the highest versions of
 * both formats are asked for, one after the other.
 */
#include "snapshot/pick.h"

#include "snapshot/root.h"

typedef struct pick {
    bvi_store *store;
    char *key;
    uint64_t version;  /* asked for */
    uint64_t snapshot; /* the highest */
    bvi_pick_fn done;
    void *data;
} pick;

static void finish(pick *p, const bv_error *err, bv_format format, uint64_t version)
{
    p->done(err, err ? BV_FORMAT_ANY : format, version, p->data);
    bvi_free(p->key);
    bvi_free(p);
}

/* Nothing of this format, or a store that cannot tell. */
static bool is_none(const bv_error *err)
{
    int code = bv_error_code(err);

    return code == BV_E_NOT_FOUND || code == BV_E_UNSUPPORTED;
}

static uint64_t highest(const bvi_store_reply *reply)
{
    uint64_t version = 0;

    for (size_t i = 0; i < reply->n_versions; i++)
        version = reply->versions[i] > version ? reply->versions[i] : version;
    return version;
}

static void on_root(const bv_error *err, const bvi_store_reply *reply, void *data)
{
    pick *p = data;

    (void)reply;
    finish(p, is_none(err) ? NULL : err, err ? BV_FORMAT_ARCHIVE : BV_FORMAT_SNAPSHOT, p->version);
}

static void on_archives(const bv_error *err, const bvi_store_reply *reply, void *data)
{
    pick *p = data;
    uint64_t archive = err ? 0 : highest(reply);
    bool is_snapshot = p->snapshot > archive;
    bvi_auto_error bv_error *failure = NULL;

    if (err && bv_error_code(err) != BV_E_NOT_FOUND && !(p->snapshot && is_none(err))) {
        finish(p, err, BV_FORMAT_ANY, 0);
    } else if (!p->snapshot && !archive) {
        (void)bvi_fail(&failure, BV_E_NOT_FOUND, "the store has no version of '%s'",
                       p->key); /* handed on */
        finish(p, failure, BV_FORMAT_ANY, 0);
    } else {
        finish(p, NULL, is_snapshot ? BV_FORMAT_SNAPSHOT : BV_FORMAT_ARCHIVE,
               is_snapshot ? p->snapshot : archive);
    }
}

static void on_snapshots(const bv_error *err, const bvi_store_reply *reply, void *data)
{
    pick *p = data;
    const bvi_store_request request = { .verb = BVI_STORE_VERSIONS,
                                        .format = BVI_STORE_ARCHIVE,
                                        .store_key = p->key };
    bvi_auto_error bv_error *failure = NULL;

    if (err && !is_none(err)) {
        finish(p, err, BV_FORMAT_ANY, 0);
        return;
    }
    p->snapshot = err ? 0 : highest(reply);
    if (bvi_store_call(p->store, &request, on_archives, p, &failure) < 0)
        finish(p, failure, BV_FORMAT_ANY, 0);
}

static int ask(pick *p, bv_error **err)
{
    bvi_auto_free char *root = NULL;
    bvi_store_request request = { .verb = BVI_STORE_VERSIONS,
                                  .format = BVI_STORE_SNAPSHOT,
                                  .store_key = p->key };

    if (!p->version)
        return bvi_store_call(p->store, &request, on_snapshots, p, err);
    root = bvi_snap_root_key(p->key, p->version);
    if (!root)
        return bvi_fail_nomem(err);
    request = (bvi_store_request){ .verb = BVI_STORE_STAT, .key = root };
    return bvi_store_call(p->store, &request, on_root, p, err);
}

int bvi_pick_format(bvi_store *store, const char *store_key, uint64_t version, bvi_pick_fn done,
                    void *data, bv_error **err)
{
    pick *p = bvi_new0(pick);
    int r;

    if (!p)
        return bvi_fail_nomem(err);
    *p = (pick){ .store = store, .version = version, .done = done, .data = data };
    r = bvi_store_key_normalise(store_key, &p->key, err);
    if (r == 0)
        r = ask(p, err);
    if (r < 0) {
        bvi_free(p->key);
        bvi_free(p);
    }
    return r;
}
