/*
 * prune_mark.c - prune.json: the mark by which uploads and other prunes know that one is under way.
 */
#include <string.h>

#include "snapshot/prune_impl.h"
#include "snapshot/root.h"

#define RENEW_US (10ll * 60 * 1000000)

/* ---- its text ---- */

bool bvi_snap_prune_mark_is_alive(const char *text, size_t len, int64_t wall_us)
{
    bvi_auto_json bvi_json *root = NULL;
    int64_t expires_us = 0;

    return bvi_json_parse(text, len, &root, NULL) < 0 ||
           bvi_json_get_int64(root, "expires_us", &expires_us, NULL) < 0 || expires_us > wall_us;
}

static bool is_ours(const bvi_snap_prune *p, const bvi_store_reply *reply)
{
    bvi_auto_json bvi_json *root = NULL;
    const char *id = NULL;

    return bvi_json_parse(reply->bytes, reply->len, &root, NULL) == 0 &&
           bvi_json_get_string(root, "id", &id, NULL) == 0 && strcmp(id, p->id) == 0;
}

static int write_mark(bvi_snap_prune *p, bv_error **err)
{
    int64_t expires_us = bvi_ctx_wall_us(p->ctx) + BVI_PRUNE_MARK_SECS * 1000000;

    bvi_buf_done(&p->mark);
    bvi_buf_init(&p->mark, BVI_PRUNE_MARK_MAX);
    return bvi_buf_printf(
               &p->mark,
               "{\"format\": \"blockvisor-prune\", \"id\": \"%s\", \"started_us\": %lld, "
               "\"expires_us\": %lld}\n",
               p->id, (long long)p->started_us, (long long)expires_us) < 0
               ? bvi_fail_nomem(err)
               : 0;
}

/* ---- asking about it ---- */

static void ask(bvi_snap_prune *p, bvi_store_request request, bvi_prune_answer_fn answer,
                bvi_prune_step_fn missing)
{
    bvi_auto_free char *key = bvi_snap_prune_key(p->store_key);
    bv_error *err = NULL;

    request.key = key;
    if (!key) {
        (void)bvi_fail_nomem(&err);
        bvi_prune_end(p, err);
        return;
    }
    bvi_prune_ask(p, &request, answer, missing);
}

static void put(bvi_snap_prune *p, bool create_only, bvi_prune_answer_fn answer)
{
    bv_error *err = NULL;

    if (write_mark(p, &err) < 0) {
        bvi_prune_end(p, err);
        return;
    }
    ask(p,
        (bvi_store_request){ .verb = BVI_STORE_PUT,
                             .bytes = p->mark.data,
                             .len = p->mark.len,
                             .create_only = create_only },
        answer, NULL);
}

static void read_back(bvi_snap_prune *p, bvi_prune_answer_fn answer, bvi_prune_step_fn missing)
{
    ask(p, (bvi_store_request){ .verb = BVI_STORE_GET, .max = BVI_PRUNE_MARK_MAX }, answer,
        missing);
}

static void lost(bvi_snap_prune *p)
{
    bv_error *err = NULL;

    (void)bvi_fail(&err, BV_E_BUSY,
                   "another prune of '%s' has taken over; run this one again later", p->store_key);
    p->marked = false;
    bvi_prune_end(p, err);
}

/* ---- putting it ---- */

/* By the clock that gives packs their times. */
static void on_listed(bvi_snap_prune *p, const bvi_store_reply *reply)
{
    if (reply->n_objects == 0) {
        lost(p);
        return;
    }
    p->marked_us = reply->objects[0].modified_us;
    p->marked_next(p);
}

static void on_read_back(bvi_snap_prune *p, const bvi_store_reply *reply)
{
    if (!is_ours(p, reply)) {
        lost(p);
        return;
    }
    ask(p, (bvi_store_request){ .verb = BVI_STORE_OBJECTS, .max = 1 }, on_listed, NULL);
}

static void on_put(bvi_snap_prune *p, const bvi_store_reply *reply)
{
    (void)reply;
    p->marked = true;
    p->renewed_us = bvi_ctx_now_us(p->ctx);
    read_back(p, on_read_back, lost); /* two may have found an old one at the same time */
}

static void put_first(bvi_snap_prune *p)
{
    put(p, true, on_put);
}

static void on_found(bvi_snap_prune *p, const bvi_store_reply *reply)
{
    bv_error *err = NULL;

    if (!bvi_snap_prune_mark_is_alive(reply->bytes, reply->len, bvi_ctx_wall_us(p->ctx))) {
        bvi_log_info(p->ctx, "snapshot", "a prune of '%s' has died; this one cleans up after it",
                     p->store_key);
        put(p, false, on_put);
        return;
    }
    (void)bvi_fail(
        &err, BV_E_BUSY,
        "another prune of '%s' is under way; if it has died, its mark '%s' runs out within "
        "an hour",
        p->store_key, "prune.json");
    bvi_prune_end(p, err);
}

void bvi_prune_mark_put(bvi_snap_prune *p, bvi_prune_step_fn next)
{
    p->marked_next = next;
    read_back(p, on_found, put_first);
}

/* ---- keeping it ---- */

static void on_renewed(bvi_snap_prune *p, const bvi_store_reply *reply)
{
    (void)reply;
    p->renewed_us = bvi_ctx_now_us(p->ctx);
    p->marked_next(p);
}

static void on_still_there(bvi_snap_prune *p, const bvi_store_reply *reply)
{
    if (is_ours(p, reply))
        put(p, false, on_renewed);
    else
        lost(p);
}

void bvi_prune_mark_hold(bvi_snap_prune *p, bvi_prune_step_fn next)
{
    int64_t age_us = bvi_ctx_now_us(p->ctx) - p->renewed_us;
    bv_error *err = NULL;

    if (p->dry_run || age_us < RENEW_US) {
        next(p);
    } else if (age_us < BVI_PRUNE_MARK_SECS * 1000000 / 2) {
        p->marked_next = next;
        read_back(p, on_still_there, lost);
    } else { /* uploads may no longer have heeded it: all that was found out is old */
        (void)bvi_fail(&err, BV_E_TIMEOUT,
                       "the prune of '%s' did not get on for %lld minutes; run it again",
                       p->store_key, (long long)(age_us / 60000000));
        bvi_prune_end(p, err);
    }
}

/* ---- taking it back: this is how a prune ends, so nothing that goes wrong here counts ---- */

static void on_gone(const bv_error *err, const bvi_store_reply *reply, void *data)
{
    bvi_snap_prune *p = data;

    (void)reply;
    if (err)
        bvi_log_warn(p->ctx, "snapshot",
                     "the mark of the prune of '%s' stays for up to an hour: %s", p->store_key,
                     bv_error_message(err));
    p->marked_next(p);
}

static void on_last_look(const bv_error *err, const bvi_store_reply *reply, void *data)
{
    bvi_snap_prune *p = data;
    bvi_auto_free char *key = bvi_snap_prune_key(p->store_key);
    const bvi_store_request request = { .verb = BVI_STORE_REMOVE, .key = key };

    if (err || !key || !is_ours(p, reply) ||
        bvi_store_call(p->store, &request, on_gone, p, NULL) < 0)
        p->marked_next(p);
}

void bvi_prune_mark_remove(bvi_snap_prune *p, bvi_prune_step_fn next)
{
    bvi_auto_free char *key = bvi_snap_prune_key(p->store_key);
    const bvi_store_request request = { .verb = BVI_STORE_GET,
                                        .key = key,
                                        .max = BVI_PRUNE_MARK_MAX };

    p->marked_next = next;
    if (!p->marked || !key || bvi_store_call(p->store, &request, on_last_look, p, NULL) < 0)
        next(p);
}
