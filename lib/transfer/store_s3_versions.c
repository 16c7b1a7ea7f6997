/*
 * store_s3_versions.c - what an S3 bucket holds: listing it page by page, and removing what is left
 * of abandoned uploads.
 *
 * All objects of a version follow each other in a listing, so one pass with a page in memory tells
 * everything. A version is complete when its body and header are there.
 */
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
    if (object->modified_us > last->touched_us)
        last->touched_us = object->modified_us;
    if (strncmp(name, BVI_STORE_CHUNK_PREFIX, strlen(BVI_STORE_CHUNK_PREFIX)) == 0)
        last->stored_bytes += object->size;
    if (strcmp(name, BVI_STORE_BODY) == 0)
        last->has_body = true;
    if (strcmp(name, BVI_STORE_HEADER) == 0) {
        last->has_header = true;
        last->published_us = object->modified_us;
    }
    return 0;
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
        (void)bvi_s3_list(c, NULL, on_walk_page, &err);
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
    c->prefix = c->store_key ? bvi_asprintf("%s/", c->store_key) : bvi_strdup("");
    return c->prefix ? bvi_s3_list(c, NULL, on_walk_page, err) : bvi_fail_nomem(err);
}

static int compare_seen(const void *a, const void *b)
{
    const bvi_s3_version *x = a;
    const bvi_s3_version *y = b;
    int by_key = strcmp(x->key, y->key);

    return by_key ? by_key : (x->version > y->version) - (x->version < y->version);
}

void bvi_s3_keep_complete(bvi_s3_call *c)
{
    size_t kept = 0;

    for (size_t i = 0; i < c->seen.len; i++) {
        if (c->seen.items[i].has_header && c->seen.items[i].has_body)
            c->seen.items[kept++] = c->seen.items[i];
    }
    c->seen.len = kept;
    if (kept > 0)
        qsort(c->seen.items, kept, sizeof(*c->seen.items), compare_seen);
}

static void versions_walked(bvi_s3_call *c)
{
    bv_error *err = NULL;

    bvi_s3_keep_complete(c);
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

/* ---- LIST: the header of each ---- */

static int ask_header(bvi_s3_call *c, bv_error **err);

static int add_info(bvi_s3_call *c, const bvi_s3_version *version,
                    const bvi_http_response *response, bv_error **err)
{
    bvi_manifest_header header;
    bvi_snapshot_info *info;
    int r = bvi_manifest_header_parse(response->body, response->body_len, &header, err);

    if (r < 0)
        return r;
    info = bvi_vec_push(&c->infos);
    if (!info)
        return bvi_fail_nomem(err);
    *info = (bvi_snapshot_info){
        .version = version->version,
        .total_bytes = header.total_size,
        .stored_bytes = version->stored_bytes,
        .chunks = header.chunks,
        .compression = header.compression,
        .created_us = version->published_us,
    };
    memcpy(info->key, version->key, sizeof(info->key));
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
        bvi_log_warn(c->store->store.ctx, "transfer", "version %llu of '%s' is not listed: %s",
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
    bvi_auto_free char *key = NULL;

    if (c->at == c->seen.len) {
        bvi_s3_finish(c, NULL, NULL);
        return 0;
    }
    key = bvi_store_object_key(c->seen.items[c->at].key, c->seen.items[c->at].version,
                               BVI_STORE_HEADER);
    if (!key)
        return bvi_fail_nomem(err);
    return bvi_s3_send(c,
                       &(bvi_s3_ask){ .method = "GET",
                                      .key = key,
                                      .response_max = BVI_MANIFEST_HEADER_MAX,
                                      .step = on_header },
                       err);
}

static void list_walked(bvi_s3_call *c)
{
    bv_error *err = NULL;

    bvi_s3_keep_complete(c);
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
    return bvi_s3_wipe(c, bvi_store_object_key(c->store_key, c->version, BVI_STORE_LOCK), released,
                       err);
}

/* ---- PRUNE: chunks first, then the reservation, so that nobody takes the version meanwhile ----
 */

static int prune_next(bvi_s3_call *c, bv_error **err);

static bool is_abandoned(const bvi_s3_call *c, const bvi_s3_version *v)
{
    int64_t age_us = bvi_ctx_wall_us(c->store->store.ctx) - v->touched_us;

    return !(v->has_header && v->has_body) &&
           (c->max_age_secs == 0 || (age_us > 0 && (uint64_t)age_us / 1000000u > c->max_age_secs));
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

static int prune_next(bvi_s3_call *c, bv_error **err)
{
    while (c->version_at < c->seen.len && !is_abandoned(c, &c->seen.items[c->version_at]))
        c->version_at++;
    if (c->version_at < c->seen.len)
        return prune_version(c, &c->seen.items[c->version_at], err);
    bvi_s3_finish(c, NULL, NULL);
    return 0;
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
