/*
 * store_s3_versions.c - what an S3 bucket holds: listing it page by page, and removing what is left
 * of abandoned uploads.
 *
 * All objects of a version follow each other in a listing, so one pass with a page in memory tells
 * everything. The packs of snapshots, which may be millions, are passed over.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "transfer/manifest.h"
#include "transfer/store_s3_impl.h"

/* ---- pages ---- */

int bvi_s3_list(bvi_s3_call *c, const char *after, bvi_s3_step_fn step, bv_error **err)
{
    const char *token = c->page.next;
    bvi_s3_ask ask = {
        .method = "GET",
        .params = { { "list-type", "2" } },
        .n_params = 1,
        .response_max = BVI_S3_PAGE_BYTES,
        .step = step,
    };

    bvi_free(c->full_prefix);
    c->full_prefix = bvi_asprintf("%s%s", c->store->config.prefix, c->prefix);
    if (!c->full_prefix)
        return bvi_fail_nomem(err);
    if (*c->full_prefix)
        ask.params[ask.n_params++] = (bvi_s3_pair){ "prefix", c->full_prefix };
    if (c->web.req.verb == BVI_STORE_OBJECTS && c->web.req.max > 0 &&
        c->web.req.max < BVI_S3_PAGE_MAX) {
        (void)snprintf(c->number, sizeof(c->number), "%zu", c->web.req.max); /* fits */
        ask.params[ask.n_params++] = (bvi_s3_pair){ "max-keys", c->number };
    }
    if (token)
        ask.params[ask.n_params++] = (bvi_s3_pair){ "continuation-token", token };
    else if (after)
        ask.params[ask.n_params++] = (bvi_s3_pair){ "start-after", after };
    return bvi_s3_send(c, &ask, err);
}

int bvi_s3_take_page(bvi_s3_call *c, const bvi_http_response *response, bv_error **err)
{
    int r;

    bvi_s3_page_done(&c->page);
    bvi_s3_page_init(&c->page);
    r = bvi_s3_page_parse(response->body, response->body_len, &c->page, err);
    return r < 0 ? bvi_wrap(err, r, "the listing of '%s'", c->store->config.name) : 0;
}

/* ---- versions ---- */

static void on_walk_page(bvi_s3_call *c, const bvi_http_response *response, bv_error *err);

/* "<store_key>/<version>/<name>" below the store's prefix. False: it is no object of ours. */
static bool parse_key(const bvi_s3_call *c, const char *key, bvi_s3_version *ret_version,
                      const char **ret_name)
{
    size_t prefix_len = strlen(c->store->config.prefix);
    const char *slash, *second;
    char number[24];

    if (strncmp(key, c->store->config.prefix, prefix_len) != 0)
        return false;
    key += prefix_len;
    slash = strchr(key, '/');
    second = slash ? strchr(slash + 1, '/') : NULL;
    if (!second || slash == key || (size_t)(slash - key) > BVI_STORE_KEY_MAX ||
        (size_t)(second - slash) > sizeof(number))
        return false;
    *ret_version = (bvi_s3_version){ 0 };
    memcpy(ret_version->key, key, (size_t)(slash - key)); /* zeroed before */
    memset(number, 0, sizeof(number));
    memcpy(number, slash + 1, (size_t)(second - slash) - 1);
    ret_version->version = bvi_store_version_of(number);
    *ret_name = second + 1;
    return ret_version->version > 0;
}

static void note_object(bvi_s3_version *v, const char *name, const bvi_s3_object *object)
{
    if (object->modified_us > v->touched_us)
        v->touched_us = object->modified_us;
    if (strncmp(name, BVI_STORE_CHUNK_PREFIX, strlen(BVI_STORE_CHUNK_PREFIX)) == 0)
        v->stored_bytes += object->size;
    if (strcmp(name, BVI_STORE_LOCK) == 0)
        v->locked_us = object->modified_us;
    if (strcmp(name, BVI_STORE_BODY) == 0)
        v->has_body = true;
    if (strcmp(name, BVI_STORE_HEADER) == 0) {
        v->has_header = true;
        v->published_us = object->modified_us;
    }
    if (strcmp(name, BVI_STORE_ROOT) == 0) {
        v->has_root = true;
        v->root_bytes = object->size;
    }
}

static int see_object(bvi_s3_call *c, const bvi_s3_object *object, bv_error **err)
{
    bvi_s3_version *last = c->seen.len > 0 ? &c->seen.items[c->seen.len - 1] : NULL;
    bvi_s3_version found;
    const char *name = NULL;

    if (!parse_key(c, object->key, &found, &name))
        return 0;
    if (!last || last->version != found.version || strcmp(last->key, found.key) != 0) {
        if (c->seen.len == BVI_STORE_VERSIONS_MAX)
            return bvi_fail(err, BV_E_LIMIT, "more than %u versions", BVI_STORE_VERSIONS_MAX);
        last = bvi_vec_push(&c->seen);
        if (!last)
            return bvi_fail_nomem(err);
        *last = found;
    }
    note_object(last, name, object);
    return 0;
}

/* The last object of the page is a pack: the next page begins behind all of them. */
static char *behind_packs(const bvi_s3_call *c)
{
    const char *prefix = c->store->config.prefix;
    const char *key =
        c->page.objects.len > 0 ? c->page.objects.items[c->page.objects.len - 1].key : "";
    const char *slash;

    if (strncmp(key, prefix, strlen(prefix)) != 0)
        return NULL;
    slash = strchr(key + strlen(prefix), '/');
    if (!slash || strncmp(slash, "/packs/", strlen("/packs/")) != 0)
        return NULL;
    return bvi_asprintf("%.*s/packs0", (int)(slash - key), key); /* '0' follows '/' */
}

static int next_page(bvi_s3_call *c, bv_error **err)
{
    bvi_auto_free char *after = behind_packs(c);

    if (after)
        bvi_free(bvi_take(c->page.next));
    return bvi_s3_list(c, after, on_walk_page, err);
}

static void on_walk_page(bvi_s3_call *c, const bvi_http_response *response, bv_error *err)
{
    if (!err)
        (void)bvi_s3_take_page(c, response, &err); /* err tells */
    for (size_t i = 0; !err && i < c->page.objects.len; i++)
        (void)see_object(c, &c->page.objects.items[i], &err); /* err tells */
    if (!err && c->page.next && ++c->pages == BVI_S3_PAGES_MAX)
        (void)bvi_fail(&err, BV_E_LIMIT, "'%s' holds too many objects", c->store->config.name);
    if (!err && c->page.next)
        (void)next_page(c, &err); /* err tells */
    else if (!err) {
        c->walked(c);
        return;
    }
    if (err)
        bvi_s3_finish(c, NULL, err);
}

int bvi_s3_walk(bvi_s3_call *c, void (*walked)(bvi_s3_call *c), bv_error **err)
{
    c->walked = walked;
    c->prefix = c->web.req.store_key ? bvi_asprintf("%s/", c->web.req.store_key) : bvi_strdup("");
    return c->prefix ? bvi_s3_list(c, NULL, on_walk_page, err) : bvi_fail_nomem(err);
}

static int compare_seen(const void *a, const void *b)
{
    const bvi_s3_version *x = a;
    const bvi_s3_version *y = b;
    int by_key = strcmp(x->key, y->key);

    return by_key ? by_key : (x->version > y->version) - (x->version < y->version);
}

void bvi_s3_keep_complete(bvi_s3_call *c, bvi_store_format format)
{
    size_t kept = 0;

    for (size_t i = 0; i < c->seen.len; i++) {
        if (bvi_store_format_wanted(format, bvi_s3_format(&c->seen.items[i])))
            c->seen.items[kept++] = c->seen.items[i];
    }
    c->seen.len = kept;
    if (kept > 0)
        qsort(c->seen.items, kept, sizeof(*c->seen.items), compare_seen);
}

static void versions_walked(bvi_s3_call *c)
{
    bv_error *err = NULL;

    bvi_s3_keep_complete(c, c->web.req.format);
    for (size_t i = 0; !err && i < c->seen.len; i++) {
        uint64_t *slot = bvi_vec_push(&c->versions);

        if (slot)
            *slot = c->seen.items[i].version;
        else
            (void)bvi_fail_nomem(&err);
    }
    bvi_s3_finish(c, NULL, err);
}

int bvi_s3_run_versions(bvi_s3_call *c, bv_error **err)
{
    return bvi_s3_walk(c, versions_walked, err);
}

/* ---- OBJECTS ---- */

static void on_objects(bvi_s3_call *c, const bvi_http_response *response, bv_error *err)
{
    size_t prefix_len = strlen(c->store->config.prefix);

    if (!err)
        (void)bvi_s3_take_page(c, response, &err); /* err tells */
    for (size_t i = 0; !err && i < c->page.objects.len; i++) {
        const bvi_s3_object *from = &c->page.objects.items[i];
        bvi_store_object *slot;

        if (strncmp(from->key, c->full_prefix, strlen(c->full_prefix)) != 0)
            continue; /* not asked for */
        slot = bvi_vec_push(&c->objects);
        if (slot)
            *slot = (bvi_store_object){ from->key + prefix_len, from->size, from->modified_us };
        else
            (void)bvi_fail_nomem(&err);
    }
    bvi_s3_finish(c, NULL, err);
}

int bvi_s3_run_objects(bvi_s3_call *c, bv_error **err)
{
    bvi_auto_free char *after = NULL;

    c->prefix = bvi_strdup(c->web.req.key ? c->web.req.key : "");
    if (c->web.req.after)
        after = bvi_asprintf("%s%s", c->store->config.prefix, c->web.req.after);
    if (!c->prefix || (c->web.req.after && !after))
        return bvi_fail_nomem(err);
    return bvi_s3_list(c, after, on_objects, err);
}

/* ---- LIST: the header or root of each ---- */

static int ask_header(bvi_s3_call *c, bv_error **err);

static size_t peek_bytes(const bvi_s3_version *v)
{
    return v->root_bytes < BVI_ROOT_PEEK_BYTES ? (size_t)v->root_bytes : BVI_ROOT_PEEK_BYTES;
}

static int add_info(bvi_s3_call *c, const bvi_s3_version *version,
                    const bvi_http_response *response, bv_error **err)
{
    bvi_snapshot_info info = { .version = version->version, .format = bvi_s3_format(version) };
    bvi_manifest_header header;
    bvi_snapshot_info *slot;
    int r;

    if (version->has_root) {
        r = bvi_root_peek(c->root, peek_bytes(version), &info, err);
    } else {
        r = bvi_manifest_header_parse(response->body, response->body_len, &header, err);
        if (r == 0) {
            info.total_bytes = header.total_size;
            info.stored_bytes = version->stored_bytes;
            info.chunks = header.chunks;
            info.compression = header.compression;
            info.created_us = version->published_us;
        }
    }
    if (r < 0)
        return r;
    memcpy(info.key, version->key, sizeof(info.key));
    slot = bvi_vec_push(&c->infos);
    if (!slot)
        return bvi_fail_nomem(err);
    *slot = info;
    return 0;
}

static void on_header(bvi_s3_call *c, const bvi_http_response *response, bv_error *err)
{
    const bvi_s3_version *version = &c->seen.items[c->at];
    int code;

    if (!err)
        (void)add_info(c, version, response, &err); /* err tells */
    code = bv_error_code(err);
    if (code == BV_E_FORMAT || code == BV_E_NOT_FOUND) { /* one must not hide the others */
        bvi_log_warn(c->store->web.store.ctx, "transfer", "version %llu of '%s' is not listed: %s",
                     (unsigned long long)version->version, version->key, bv_error_message(err));
        bv_error_free(err);
        err = NULL;
    }
    c->at++;
    if (!err)
        (void)ask_header(c, &err); /* err tells */
    if (err)
        bvi_s3_finish(c, NULL, err);
}

static int ask_header(bvi_s3_call *c, bv_error **err)
{
    bvi_s3_ask get = { .method = "GET",
                       .response_max = BVI_MANIFEST_HEADER_MAX,
                       .step = on_header };
    bvi_auto_free char *key = NULL;
    const bvi_s3_version *v;

    if (c->at == c->seen.len) {
        bvi_s3_finish(c, NULL, NULL);
        return 0;
    }
    v = &c->seen.items[c->at];
    key = bvi_store_object_key(v->key, v->version, v->has_root ? BVI_STORE_ROOT : BVI_STORE_HEADER);
    if (!key)
        return bvi_fail_nomem(err);
    get.key = key;
    get.into = v->has_root ? c->root : NULL;
    get.into_len = v->has_root ? peek_bytes(v) : 0;
    return bvi_s3_send(c, &get, err);
}

static void list_walked(bvi_s3_call *c)
{
    bv_error *err = NULL;

    bvi_s3_keep_complete(c, c->web.req.format);
    c->at = 0;
    (void)ask_header(c, &err); /* err tells */
    if (err)
        bvi_s3_finish(c, NULL, err);
}

int bvi_s3_run_list(bvi_s3_call *c, bv_error **err)
{
    return bvi_s3_walk(c, list_walked, err);
}

/* ---- removing all below a prefix, the first page again and again until it is empty ---- */

static int wipe_next(bvi_s3_call *c, bv_error **err);

static void on_wiped_object(bvi_s3_call *c, const bvi_http_response *response, bv_error *err)
{
    (void)response;
    if (bv_error_code(err) == BV_E_NOT_FOUND) {
        bv_error_free(err);
        err = NULL;
    }
    c->at++;
    if (!err)
        (void)wipe_next(c, &err); /* err tells */
    if (err)
        c->wiped(c, err);
}

static void on_wipe_page(bvi_s3_call *c, const bvi_http_response *response, bv_error *err)
{
    if (!err)
        (void)bvi_s3_take_page(c, response, &err); /* err tells */
    if (!err && c->page.objects.len > 0 && ++c->pages == BVI_S3_PAGES_MAX)
        (void)bvi_fail(&err, BV_E_LIMIT, "'%s' keeps objects that were deleted",
                       c->store->config.name);
    if (!err && c->page.objects.len > 0) {
        c->at = 0;
        (void)wipe_next(c, &err); /* err tells */
        if (!err)
            return;
    }
    c->wiped(c, err);
}

static int wipe_page(bvi_s3_call *c, bv_error **err)
{
    bvi_s3_page_done(&c->page);
    bvi_s3_page_init(&c->page);
    return bvi_s3_list(c, c->after, on_wipe_page, err);
}

static int wipe_next(bvi_s3_call *c, bv_error **err)
{
    const char *key;

    if (c->at == c->page.objects.len)
        return wipe_page(c, err);
    key = c->page.objects.items[c->at].key;
    if (strncmp(key, c->full_prefix, strlen(c->full_prefix)) != 0)
        return bvi_fail(err, BV_E_REMOTE, "the listing of '%s' has what was not asked for",
                        c->store->config.name);
    return bvi_s3_send(c,
                       &(bvi_s3_ask){ .method = "DELETE",
                                      .key = key + strlen(c->store->config.prefix),
                                      .step = on_wiped_object },
                       err);
}

int bvi_s3_wipe(bvi_s3_call *c, char *prefix, void (*wiped)(bvi_s3_call *c, bv_error *err),
                bv_error **err)
{
    bvi_free(c->prefix);
    c->prefix = prefix;
    c->wiped = wiped;
    c->pages = 0;
    return prefix ? wipe_page(c, err) : bvi_fail_nomem(err);
}

/* ---- RELEASE ---- */

static void released(bvi_s3_call *c, bv_error *err)
{
    bvi_s3_finish(c, NULL, err);
}

int bvi_s3_run_release(bvi_s3_call *c, bv_error **err)
{
    return bvi_s3_wipe(c, bvi_store_object_key(c->web.req.store_key, c->version, BVI_STORE_LOCK),
                       released, err);
}

/* ---- PRUNE: chunks first, then the reservation, so that nobody takes the version meanwhile ----
 */

static int prune_next(bvi_s3_call *c, bv_error **err);

static bool is_abandoned(const bvi_s3_call *c, const bvi_s3_version *v)
{
    int64_t age_us = bvi_ctx_wall_us(c->store->web.store.ctx) - v->touched_us;

    return bvi_s3_format(v) == BVI_STORE_ANY &&
           (c->web.req.max_age_secs == 0 ||
            (age_us > 0 && (uint64_t)age_us / 1000000u > c->web.req.max_age_secs));
}

/* All of a version is gone, or only its reservation is left. */
static void pruned(bvi_s3_call *c, bv_error *err)
{
    const bvi_s3_version *v = &c->seen.items[c->version_at];
    bool spared_lock = c->after != NULL;

    bvi_free(bvi_take(c->after));
    if (!err && spared_lock) {
        (void)bvi_s3_wipe(c, bvi_store_object_key(v->key, v->version, ""), pruned, &err);
    } else if (!err) {
        c->size++;
        c->version_at++;
        (void)prune_next(c, &err); /* err tells */
    }
    if (err)
        bvi_s3_finish(c, NULL, err);
}

static int prune_version(bvi_s3_call *c, const bvi_s3_version *v, bv_error **err)
{
    c->after = bvi_asprintf("%s%s/%llu/.lock~", c->store->config.prefix, v->key,
                            (unsigned long long)v->version);
    if (!c->after)
        return bvi_fail_nomem(err);
    return bvi_s3_wipe(c, bvi_store_object_key(v->key, v->version, ""), pruned, err);
}

/* ---- and uploads in parts that nobody completed: their parts are invisible, but paid for ---- */

static int abort_next(bvi_s3_call *c, bv_error **err);

static bool is_old(const bvi_s3_call *c, int64_t begun_us)
{
    int64_t age_us = bvi_ctx_wall_us(c->store->web.store.ctx) - begun_us;

    return c->web.req.max_age_secs == 0 ||
           (age_us > 0 && (uint64_t)age_us / 1000000u > c->web.req.max_age_secs);
}

static void on_aborted_upload(bvi_s3_call *c, const bvi_http_response *response, bv_error *err)
{
    (void)response;
    if (bv_error_code(err) == BV_E_NOT_FOUND)
        bvi_web_drop_error(&err);
    c->at++;
    if (!err)
        (void)abort_next(c, &err); /* err tells */
    if (err)
        bvi_s3_finish(c, NULL, err);
}

static int abort_next(bvi_s3_call *c, bv_error **err)
{
    const bvi_s3_upload *u;

    while (c->at < c->uploads.len &&
           (!is_old(c, c->uploads.items[c->at].begun_us) ||
            strncmp(c->uploads.items[c->at].key, c->full_prefix, strlen(c->full_prefix)) != 0))
        c->at++;
    if (c->at == c->uploads.len) {
        bvi_s3_finish(c, NULL, NULL);
        return 0;
    }
    u = &c->uploads.items[c->at];
    return bvi_s3_send(c,
                       &(bvi_s3_ask){ .method = "DELETE",
                                      .key = u->key + strlen(c->store->config.prefix),
                                      .params = { { "uploadId", u->id } },
                                      .n_params = 1,
                                      .step = on_aborted_upload },
                       err);
}

static void on_uploads(bvi_s3_call *c, const bvi_http_response *response, bv_error *err)
{
    int code;

    if (!err)
        (void)bvi_s3_uploads_parse(response->body, response->body_len, &c->uploads, &err);
    code = bv_error_code(err);
    if (code != BV_E_CANCELLED && code != BV_E_NOMEM && err) { /* not every server tells */
        bvi_log_info(c->store->web.store.ctx, "transfer", "%s: unfinished parts stay: %s",
                     c->store->config.name, bv_error_message(err));
        bvi_web_drop_error(&err);
        bvi_s3_uploads_done(&c->uploads);
    }
    c->at = 0;
    if (!err)
        (void)abort_next(c, &err); /* err tells */
    if (err)
        bvi_s3_finish(c, NULL, err);
}

static int list_uploads(bvi_s3_call *c, bv_error **err)
{
    bvi_s3_ask ask = { .method = "GET",
                       .params = { { "uploads", "" } },
                       .n_params = 1,
                       .response_max = BVI_S3_PAGE_BYTES,
                       .step = on_uploads };

    bvi_free(c->full_prefix);
    c->full_prefix = bvi_asprintf("%s%s%s", c->store->config.prefix,
                                  c->web.req.store_key ? c->web.req.store_key : "",
                                  c->web.req.store_key ? "/" : "");
    if (!c->full_prefix)
        return bvi_fail_nomem(err);
    if (*c->full_prefix)
        ask.params[ask.n_params++] = (bvi_s3_pair){ "prefix", c->full_prefix };
    return bvi_s3_send(c, &ask, err);
}

static int prune_next(bvi_s3_call *c, bv_error **err)
{
    while (c->version_at < c->seen.len && !is_abandoned(c, &c->seen.items[c->version_at]))
        c->version_at++;
    if (c->version_at < c->seen.len)
        return prune_version(c, &c->seen.items[c->version_at], err);
    return list_uploads(c, err);
}

static void prune_walked(bvi_s3_call *c)
{
    bv_error *err = NULL;

    (void)prune_next(c, &err); /* err tells */
    if (err)
        bvi_s3_finish(c, NULL, err);
}

int bvi_s3_run_prune(bvi_s3_call *c, bv_error **err)
{
    return bvi_s3_walk(c, prune_walked, err);
}

/* ---- LEASES: the .lock of each reservation that was renewed of late ---- */

static int ask_lock(bvi_s3_call *c, bv_error **err);

static void on_lock(bvi_s3_call *c, const bvi_http_response *response, bv_error *err)
{
    const bvi_s3_version *v = &c->seen.items[c->at++];
    bvi_store_lease *slot = NULL;
    bvi_store_lock lock;

    if (!err) {
        bvi_store_lock_parse(response->body, response->body_len, &lock);
        slot = bvi_vec_push(&c->leases);
    }
    if (slot)
        *slot = (bvi_store_lease){ v->version, lock.base,
                                   lock.started_us ? lock.started_us : v->locked_us };
    else if (!err)
        (void)bvi_fail_nomem(&err);
    if (bv_error_code(err) == BV_E_NOT_FOUND) /* released since */
        bvi_web_drop_error(&err);
    if (!err)
        (void)ask_lock(c, &err); /* err tells */
    if (err)
        bvi_s3_finish(c, NULL, err);
}

static int ask_lock(bvi_s3_call *c, bv_error **err)
{
    int64_t oldest_us = bvi_ctx_wall_us(c->store->web.store.ctx) -
                        (int64_t)(BVI_STORE_LEASE_SECS + BVI_STORE_SKEW_SECS) * 1000000;

    while (c->at < c->seen.len && c->seen.items[c->at].locked_us < oldest_us)
        c->at++;
    if (c->at == c->seen.len) {
        bvi_s3_finish(c, NULL, NULL);
        return 0;
    }
    return bvi_s3_send_object(
        c, c->seen.items[c->at].version, BVI_STORE_LOCK,
        &(bvi_s3_ask){ .method = "GET", .response_max = BVI_HTTP_FAILURE_MAX, .step = on_lock },
        err);
}

static void leases_walked(bvi_s3_call *c)
{
    bv_error *err = NULL;

    c->at = 0;
    (void)ask_lock(c, &err); /* err tells */
    if (err)
        bvi_s3_finish(c, NULL, err);
}

int bvi_s3_run_leases(bvi_s3_call *c, bv_error **err)
{
    return bvi_s3_walk(c, leases_walked, err);
}
