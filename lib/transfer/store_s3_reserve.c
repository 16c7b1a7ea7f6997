/*
 * store_s3_reserve.c - reserving a version in an S3 bucket: a .lock object with the lease of the
 * upload in it.
 *
 * Where the server offers conditional PUT, whoever makes .lock has the version. Where it does not,
 * each contender first puts a claim (".lock.<lease>") and then lists the claims: who sees only its
 * own has the version, everybody else withdraws and goes on to the next one. Two may both withdraw,
 * but never both win. Which of the two it is, the server tells when the first claim of a store is
 * put twice. A version that was published between looking and reserving is left alone.
 */
#include <string.h>

#include "base/id.h"
#include "transfer/store_s3_impl.h"

static int try_version(bvi_s3_call *c, bv_error **err);
static int put_lock(bvi_s3_call *c, bv_error **err);
static int claim(bvi_s3_call *c, bv_error **err);

static int refuse_complete(const bvi_s3_call *c, bv_error **err)
{
    return bvi_fail(err, BV_E_EXISTS, "version %llu of '%s' exists already and is never changed",
                    (unsigned long long)c->probe, c->web.req.store_key);
}

/* Somebody else has the version. */
static int go_on(bvi_s3_call *c, bv_error **err)
{
    if (c->named)
        return bvi_fail(err, BV_E_BUSY,
                        "version %llu of '%s' is reserved by another upload; wait for it, or prune "
                        "the store",
                        (unsigned long long)c->probe, c->web.req.store_key);
    c->probe++;
    return try_version(c, err);
}

static void end_if(bvi_s3_call *c, bv_error *err)
{
    if (err)
        bvi_s3_finish(c, NULL, err);
}

/* ---- withdrawing ---- */

static void on_withdrawn(bvi_s3_call *c, const bvi_http_response *response, bv_error *err)
{
    (void)response;
    c->claimed = false;
    if (bv_error_code(err) == BV_E_NOT_FOUND) {
        bv_error_free(err);
        err = NULL;
    }
    if (!err)
        (void)go_on(c, &err); /* err tells */
    end_if(c, err);
}

static int withdraw(bvi_s3_call *c, bv_error **err)
{
    return bvi_s3_send_object(c, c->probe, c->claim,
                              &(bvi_s3_ask){ .method = "DELETE", .step = on_withdrawn }, err);
}

/* ---- the version is ours, if it was not published meanwhile ---- */

/* HEAD of what makes the version complete: the header of an archive, or the root of a snapshot. */
static int look_for(bvi_s3_call *c, bool root, bvi_s3_step_fn step, bv_error **err)
{
    c->looked_for_root = root;
    return bvi_s3_send_object(c, c->probe, root ? BVI_STORE_ROOT : BVI_STORE_HEADER,
                              &(bvi_s3_ask){ .method = "HEAD", .step = step }, err);
}

static void on_left(bvi_s3_call *c, bv_error *err)
{
    if (!err)
        (void)(c->named ? refuse_complete(c, &err) : go_on(c, &err));
    end_if(c, err);
}

static void on_last_look(bvi_s3_call *c, const bvi_http_response *response, bv_error *err)
{
    (void)response;
    c->version = c->probe;
    if (bv_error_code(err) == BV_E_NOT_FOUND && c->looked_for_root) {
        bv_error_free(err);
        bvi_s3_finish(c, NULL, NULL);
        return;
    }
    if (bv_error_code(err) == BV_E_NOT_FOUND) {
        bvi_web_drop_error(&err);
        (void)look_for(c, true, on_last_look, &err); /* err tells */
    } else if (!err) {                               /* take back the lock and the claim */
        (void)bvi_s3_wipe(c, bvi_store_object_key(c->web.req.store_key, c->probe, BVI_STORE_LOCK),
                          on_left, &err);
    }
    end_if(c, err);
}

static int look_again(bvi_s3_call *c, bv_error **err)
{
    return look_for(c, false, on_last_look, err);
}

/* ---- .lock ---- */

static void on_locked(bvi_s3_call *c, const bvi_http_response *response, bv_error *err)
{
    int code = bv_error_code(err);

    (void)response;
    if (code == BV_E_EXISTS || code == BV_E_UNSUPPORTED) {
        if (code == BV_E_UNSUPPORTED)
            c->store->conditional = BVI_S3_MISSING;
        bv_error_free(err);
        err = NULL;
        (void)try_version(c, &err); /* it may be ours: an answer was lost */
    } else if (!err) {
        (void)look_again(c, &err); /* err tells */
    }
    end_if(c, err);
}

/* The text of the .lock; `old` is the one from before, if there was one. */
static size_t print_lock(bvi_s3_call *c, const bvi_store_lock *old)
{
    bvi_store_lock lock = {
        .base = c->web.req.base,
        .started_us = bvi_store_lock_start(old, c->web.req.since_us,
                                           bvi_ctx_wall_us(c->store->web.store.ctx)),
    };

    if (c->web.req.lease)
        memcpy(lock.lease, c->web.req.lease, strlen(c->web.req.lease)); /* length was checked */
    if (old && !lock.base)
        lock.base = old->base;
    return bvi_store_lock_print(&lock, c->lock);
}

static int put_lock(bvi_s3_call *c, bv_error **err)
{
    return bvi_s3_send_object(c, c->probe, BVI_STORE_LOCK,
                              &(bvi_s3_ask){
                                  .method = "PUT",
                                  .body = c->lock,
                                  .body_len = print_lock(c, NULL),
                                  .only_new = c->store->conditional == BVI_S3_OFFERED,
                                  .step = on_locked,
                              },
                              err);
}

static void on_renewed(bvi_s3_call *c, const bvi_http_response *response, bv_error *err)
{
    (void)response;
    c->version = c->probe;
    bvi_s3_finish(c, NULL, err);
}

/* A sign of life; when it was started stays. */
static int renew_lock(bvi_s3_call *c, const bvi_store_lock *old, bv_error **err)
{
    return bvi_s3_send_object(c, c->probe, BVI_STORE_LOCK,
                              &(bvi_s3_ask){
                                  .method = "PUT",
                                  .body = c->lock,
                                  .body_len = print_lock(c, old),
                                  .step = on_renewed,
                              },
                              err);
}

/* ---- claims ---- */

static void on_claims(bvi_s3_call *c, const bvi_http_response *response, bv_error *err)
{
    size_t others = 0;

    if (!err)
        (void)bvi_s3_take_page(c, response, &err); /* err tells */
    for (size_t i = 0; !err && i < c->page.objects.len; i++) {
        const char *name = strrchr(c->page.objects.items[i].key, '/');

        others += !name || strcmp(name + 1, c->claim) != 0;
    }
    if (!err && (others > 0 || c->page.objects.len == 0))
        (void)withdraw(c, &err);
    else if (!err)
        (void)put_lock(c, &err);
    end_if(c, err);
}

static int list_claims(bvi_s3_call *c, bv_error **err)
{
    bvi_free(c->prefix);
    c->prefix = bvi_store_object_key(c->web.req.store_key, c->probe, BVI_S3_CLAIM);
    bvi_s3_page_done(&c->page);
    bvi_s3_page_init(&c->page);
    return c->prefix ? bvi_s3_list(c, NULL, on_claims, err) : bvi_fail_nomem(err);
}

/* The server knows the condition, so the claim has done its work. */
static void on_claim_removed(bvi_s3_call *c, const bvi_http_response *response, bv_error *err)
{
    (void)response;
    c->claimed = false;
    if (bv_error_code(err) == BV_E_NOT_FOUND) {
        bv_error_free(err);
        err = NULL;
    }
    if (!err)
        (void)put_lock(c, &err); /* err tells */
    end_if(c, err);
}

static int remove_claim(bvi_s3_call *c, bv_error **err)
{
    return bvi_s3_send_object(c, c->probe, c->claim,
                              &(bvi_s3_ask){ .method = "DELETE", .step = on_claim_removed }, err);
}

static int after_claim(bvi_s3_call *c, bool refused, bv_error **err)
{
    if (c->store->conditional == BVI_S3_MISSING) {
        c->claimed = true;
        return list_claims(c, err);
    }
    if (refused) {
        c->store->conditional = BVI_S3_OFFERED;
        return remove_claim(c, err);
    }
    if (c->claimed) { /* twice, although it was there: the condition is not known */
        c->store->conditional = BVI_S3_MISSING;
        return list_claims(c, err);
    }
    c->claimed = true;
    return claim(c, err);
}

static void on_claimed(bvi_s3_call *c, const bvi_http_response *response, bv_error *err)
{
    int code = bv_error_code(err);

    (void)response;
    if (code == BV_E_EXISTS || code == BV_E_UNSUPPORTED) {
        bv_error_free(err);
        err = NULL;
    }
    if (code == BV_E_UNSUPPORTED && c->store->conditional == BVI_S3_UNKNOWN) {
        c->store->conditional = BVI_S3_MISSING;
        (void)claim(c, &err); /* err tells */
    } else if (!err) {
        (void)after_claim(c, code == BV_E_EXISTS, &err); /* err tells */
    }
    end_if(c, err);
}

static int claim(bvi_s3_call *c, bv_error **err)
{
    return bvi_s3_send_object(c, c->probe, c->claim,
                              &(bvi_s3_ask){
                                  .method = "PUT",
                                  .only_new = c->store->conditional == BVI_S3_UNKNOWN,
                                  .step = on_claimed,
                              },
                              err);
}

/* ---- one version after the other ---- */

static void on_lock_read(bvi_s3_call *c, const bvi_http_response *response, bv_error *err)
{
    bvi_store_lock lock;

    if (bv_error_code(err) == BV_E_NOT_FOUND) {
        bvi_web_drop_error(&err);
        (void)(c->store->conditional == BVI_S3_OFFERED ? put_lock(c, &err) : claim(c, &err));
        end_if(c, err);
        return;
    }
    if (!err) {
        bvi_store_lock_parse(response->body, response->body_len, &lock);
        if (!c->web.req.lease && c->named) { /* whoever holds a version that was named may go on */
            c->version = c->probe;
            bvi_s3_finish(c, NULL, NULL);
            return;
        }
        (void)(c->web.req.lease && bvi_store_lock_is_of(&lock, c->web.req.lease)
                   ? renew_lock(c, &lock, &err)
                   : go_on(c, &err)); /* err tells */
    }
    end_if(c, err);
}

static int try_version(bvi_s3_call *c, bv_error **err)
{
    if (c->tries++ == BVI_S3_RESERVE_TRIES)
        return bvi_fail(err, BV_E_BUSY,
                        "%u versions of '%s' are reserved by unfinished uploads; prune the store",
                        BVI_S3_RESERVE_TRIES, c->web.req.store_key);
    c->claimed = false;
    return bvi_s3_send_object(c, c->probe, BVI_STORE_LOCK,
                              &(bvi_s3_ask){ .method = "GET", .step = on_lock_read }, err);
}

static void on_named(bvi_s3_call *c, const bvi_http_response *response, bv_error *err)
{
    (void)response;
    if (!err) {
        (void)refuse_complete(c, &err);
    } else if (bv_error_code(err) == BV_E_NOT_FOUND) {
        bvi_web_drop_error(&err);
        (void)(c->looked_for_root ? try_version(c, &err)
                                  : look_for(c, true, on_named, &err)); /* err tells */
    }
    end_if(c, err);
}

static void reserve_walked(bvi_s3_call *c)
{
    bv_error *err = NULL;

    bvi_s3_keep_complete(c, BVI_STORE_ANY);
    c->probe = c->seen.len > 0 ? c->seen.items[c->seen.len - 1].version + 1 : 1;
    (void)try_version(c, &err); /* err tells */
    end_if(c, err);
}

static int name_claim(bvi_s3_call *c, bv_error **err)
{
    char id[BVI_ID_TEXT_SIZE];
    int r = c->web.req.lease ? 0 : bvi_id_new(id, err);

    if (r < 0)
        return r;
    c->claim = bvi_asprintf("%s%s", BVI_S3_CLAIM, c->web.req.lease ? c->web.req.lease : id);
    return c->claim ? 0 : bvi_fail_nomem(err);
}

int bvi_s3_run_reserve(bvi_s3_call *c, bv_error **err)
{
    int r = name_claim(c, err);

    if (r < 0)
        return r;
    c->named = c->version > 0;
    if (!c->named)
        return bvi_s3_walk(c, reserve_walked, err);
    c->probe = c->version;
    return look_for(c, false, on_named, err);
}
