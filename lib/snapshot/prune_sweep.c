/*
 * prune_sweep.c - the removing half of a prune: versions, their roots first, and then packs.
 */
#include <string.h>

#include "snapshot/prune_impl.h"
#include "snapshot/root.h"

/* Removals under way at a time. */
#define REMOVALS_MAX 16u
/* Packs are listed by so many. */
#define LISTING_MAX 1000u

/* ---- removing what is on the list ---- */

static void remove_more(bvi_snap_prune *p);

static void on_removed(const bv_error *err, const bvi_store_reply *reply, void *data)
{
    bvi_snap_prune *p = data;

    (void)reply;
    p->removing--;
    if (err && !p->err)
        p->err = bvi_error_copy(err);
    remove_more(p);
}

static void remove_more(bvi_snap_prune *p)
{
    while (!p->err && !bvi_op_is_cancelled(p->op) && p->removing < REMOVALS_MAX &&
           p->doomed_at < p->doomed.len) {
        const bvi_store_request request = { .verb = BVI_STORE_REMOVE,
                                            .key = p->doomed.items[p->doomed_at++] };

        if (bvi_store_call(p->store, &request, on_removed, p, &p->err) == 0)
            p->removing++;
    }
    if (p->removing > 0)
        return;
    bvi_strv_done(&p->doomed);
    p->doomed_at = 0;
    if (p->err)
        bvi_prune_end(p, NULL);
    else
        p->swept(p);
}

static int doom(bvi_snap_prune *p, const char *key, uint64_t size, bv_error **err)
{
    p->report.objects_removed++;
    p->report.bytes_removed += size;
    if (p->dry_run)
        return 0;
    return bvi_strv_add(&p->doomed, key) < 0 ? bvi_fail_nomem(err) : 0;
}

/* ---- packs ---- */

static void list_packs(bvi_snap_prune *p);
static void packs_swept(bvi_snap_prune *p);

/* May it go? Counts why not. */
static bool is_garbage(bvi_snap_prune *p, const bvi_store_object *object, const bvi_hash256 *id)
{
    int64_t grown_us = p->marked_us - p->grace_secs * 1000000;
    int64_t reserved_us = p->oldest_us == INT64_MAX
                              ? INT64_MAX
                              : p->oldest_us - (int64_t)BVI_STORE_SKEW_SECS * 1000000;

    if (bvi_hash_set_has(&p->packs, id))
        return false;
    if (object->modified_us >= grown_us) {
        p->report.packs_young++;
        return false;
    }
    if (object->modified_us >= reserved_us) {
        p->report.packs_reserved++;
        return false;
    }
    return true;
}

static int judge(bvi_snap_prune *p, const bvi_store_object *object, bv_error **err)
{
    bvi_hash256 id;

    if (!bvi_snap_pack_of_key(object->key, &id))
        return 0; /* not ours */
    p->report.packs++;
    p->report.pack_bytes += object->size;
    if (!is_garbage(p, object, &id))
        return 0;
    p->report.packs_removed++;
    return doom(p, object->key, object->size, err);
}

static int note_page(bvi_snap_prune *p, const bvi_store_reply *reply, bv_error **err)
{
    if (reply->n_objects > 0) {
        bvi_free(p->after);
        p->after = bvi_strdup(reply->objects[reply->n_objects - 1].key);
        if (!p->after)
            return bvi_fail_nomem(err);
    }
    p->more = reply->more && reply->n_objects > 0;
    return 0;
}

static void on_packs(bvi_snap_prune *p, const bvi_store_reply *reply)
{
    bv_error *err = NULL;
    int r = note_page(p, reply, &err);

    for (size_t i = 0; r == 0 && i < reply->n_objects; i++)
        r = judge(p, &reply->objects[i], &err);
    if (r < 0) {
        bvi_prune_end(p, err);
        return;
    }
    bvi_op_report(
        p->op,
        &(bv_progress){ .phase = "packs", .done = p->report.packs, .unit = "packs", .eta_ms = -1 });
    p->swept = packs_swept;
    bvi_prune_mark_hold(p, remove_more);
}

static void list_packs(bvi_snap_prune *p)
{
    bvi_prune_ask(
        p,
        &(bvi_store_request){
            .verb = BVI_STORE_OBJECTS, .key = p->prefix, .after = p->after, .max = LISTING_MAX },
        on_packs, NULL);
}

static void on_abandoned(bvi_snap_prune *p, const bvi_store_reply *reply)
{
    p->report.uploads_removed = reply->size;
    bvi_prune_end(p, NULL);
}

/* Reservations that ran out, and what such uploads of archives had put. */
static void remove_abandoned(bvi_snap_prune *p)
{
    uint64_t least = BVI_STORE_LEASE_SECS + BVI_STORE_SKEW_SECS;
    uint64_t grace = (uint64_t)p->grace_secs;

    if (p->dry_run)
        bvi_prune_end(p, NULL);
    else
        bvi_prune_ask(p,
                      &(bvi_store_request){ .verb = BVI_STORE_PRUNE,
                                            .store_key = p->store_key,
                                            .max_age_secs = grace > least ? grace : least },
                      on_abandoned, NULL);
}

static void packs_swept(bvi_snap_prune *p)
{
    if (p->more)
        list_packs(p);
    else
        remove_abandoned(p);
}

static void begin_packs(bvi_snap_prune *p)
{
    bv_error *err = NULL;

    bvi_free(bvi_take(p->after));
    bvi_free(p->prefix);
    p->prefix = bvi_asprintf("%s/packs/", p->store_key);
    if (p->prefix) {
        list_packs(p);
        return;
    }
    (void)bvi_fail_nomem(&err);
    bvi_prune_end(p, err);
}

/* ---- versions ---- */

static void next_version(bvi_snap_prune *p);

static void list_version(bvi_snap_prune *p);

static void version_swept(bvi_snap_prune *p)
{
    if (p->more && !p->dry_run) { /* what was listed is gone: from the beginning */
        list_version(p);
        return;
    }
    p->at++;
    next_version(p);
}

/* All that is below the version; its root or header is gone already. */
static void on_version_listed(bvi_snap_prune *p, const bvi_store_reply *reply)
{
    bv_error *err = NULL;
    int r = 0;

    p->more = reply->more;
    for (size_t i = 0; r == 0 && i < reply->n_objects; i++)
        r = doom(p, reply->objects[i].key, reply->objects[i].size, &err);
    p->swept = version_swept;
    if (r < 0)
        bvi_prune_end(p, err);
    else
        remove_more(p);
}

static void list_version(bvi_snap_prune *p)
{
    bv_error *err = NULL;

    bvi_free(p->prefix);
    p->prefix = bvi_store_object_key(p->store_key, p->versions.items[p->at].number, "");
    if (p->prefix) {
        bvi_prune_ask(p, &(bvi_store_request){ .verb = BVI_STORE_OBJECTS, .key = p->prefix },
                      on_version_listed, NULL);
        return;
    }
    (void)bvi_fail_nomem(&err);
    bvi_prune_end(p, err);
}

static void on_root_removed(bvi_snap_prune *p, const bvi_store_reply *reply)
{
    (void)reply;
    p->report.objects_removed++;
    list_version(p);
}

/* From here on the version is invisible. */
static void remove_root(bvi_snap_prune *p)
{
    const bvi_prune_version *v = &p->versions.items[p->at];
    bvi_auto_free char *key = bvi_store_object_key(
        p->store_key, v->number, v->is_snapshot ? BVI_STORE_ROOT : BVI_STORE_HEADER);
    bv_error *err = NULL;

    if (!key) {
        (void)bvi_fail_nomem(&err);
        bvi_prune_end(p, err);
        return;
    }
    bvi_log_info(p->ctx, "snapshot", "version %llu of '%s' is removed",
                 (unsigned long long)v->number, p->store_key);
    bvi_prune_ask(p, &(bvi_store_request){ .verb = BVI_STORE_REMOVE, .key = key }, on_root_removed,
                  NULL);
}

static int note_removed(bvi_snap_prune *p, bv_error **err)
{
    uint64_t *slot = bvi_vec_push(&p->removed);

    if (!slot)
        return bvi_fail_nomem(err);
    *slot = p->versions.items[p->at].number;
    p->report.versions_removed++;
    return 0;
}

static void next_version(bvi_snap_prune *p)
{
    bv_error *err = NULL;

    while (p->at < p->versions.len && p->versions.items[p->at].stays)
        p->at++;
    if (p->at == p->versions.len)
        begin_packs(p);
    else if (note_removed(p, &err) < 0)
        bvi_prune_end(p, err);
    else if (p->dry_run)
        list_version(p);
    else
        bvi_prune_mark_hold(p, remove_root);
}

void bvi_prune_sweep(bvi_snap_prune *p)
{
    p->at = 0;
    next_version(p);
}
