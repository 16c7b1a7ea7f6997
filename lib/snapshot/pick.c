/*
 * pick.c - finds out the format of a version.
 *
 * A version is a snapshot when it has a root. Which one is the latest, the store is asked before.
 */
#include "snapshot/pick.h"

#include "snapshot/root.h"

typedef struct pick {
    bvi_store *store;
    char *key;
    uint64_t version; /* asked for, or the latest */
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

static int ask_root(pick *p, bv_error **err)
{
    bvi_auto_free char *root = bvi_snap_root_key(p->key, p->version);

    if (!root)
        return bvi_fail_nomem(err);
    return bvi_store_call(p->store, &(bvi_store_request){ .verb = BVI_STORE_STAT, .key = root },
                          on_root, p, err);
}

static void on_versions(const bv_error *err, const bvi_store_reply *reply, void *data)
{
    pick *p = data;
    bvi_auto_error bv_error *failure = bvi_error_copy(err);

    if (!err)
        p->version = highest(reply);
    if (!err && !p->version)
        (void)bvi_fail(&failure, BV_E_NOT_FOUND, "the store has no version of '%s'",
                       p->key); /* handed on */
    if (failure || ask_root(p, &failure) < 0)
        finish(p, failure, BV_FORMAT_ANY, 0);
}

static int ask(pick *p, bv_error **err)
{
    if (p->version)
        return ask_root(p, err);
    return bvi_store_call(p->store,
                          &(bvi_store_request){ .verb = BVI_STORE_VERSIONS, .store_key = p->key },
                          on_versions, p, err);
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
