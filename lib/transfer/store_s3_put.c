/*
 * store_s3_put.c - objects into an S3 bucket: at once, or in parts. An upload in parts is invisible
 * until it is completed, and is aborted when anything fails, so that nobody pays for its parts.
 */
#include <stdio.h>
#include <string.h>

#include "transfer/store_s3_impl.h"

static size_t part_count(const bvi_s3_call *c)
{
    return (c->web.req.len + BVI_S3_PART_BYTES - 1) / BVI_S3_PART_BYTES;
}

static void on_aborted(bvi_s3_call *c, const bvi_http_response *response, bv_error *err)
{
    (void)response;
    if (err)
        bvi_log_warn(c->store->web.store.ctx, "transfer",
                     "%s: the parts of an upload that failed are still there: %s",
                     c->store->config.name, bv_error_message(err));
    bv_error_free(err);
    bvi_s3_finish(c, NULL, bvi_take(c->failed));
}

/* Owns err. */
static void give_up(bvi_s3_call *c, bv_error *err)
{
    bv_error *why = NULL;

    c->failed = err;
    (void)bvi_s3_send(c,
                      &(bvi_s3_ask){ .method = "DELETE",
                                     .key = c->web.req.key,
                                     .params = { { "uploadId", c->upload_id } },
                                     .n_params = 1,
                                     .clean_up = true,
                                     .step = on_aborted },
                      &why); /* why tells */
    if (why)
        on_aborted(c, NULL, why);
}

/* Servers answer 200 at once, and only later tell in the body that it went wrong. */
static void on_completed(bvi_s3_call *c, const bvi_http_response *response, bv_error *err)
{
    bvi_s3_error error;

    if (!err && bvi_s3_error_parse(response->body, response->body_len, &error))
        (void)bvi_fail(&err, BV_E_REMOTE, "the parts could not be joined: %s: %s", error.code,
                       error.message);
    if (err)
        give_up(c, err);
    else
        bvi_s3_finish(c, NULL, NULL);
}

static int append_escaped(bvi_buf *text, const char *etag)
{
    int r = 0;

    for (; r == 0 && *etag; etag++) {
        if (*etag == '&')
            r = bvi_buf_append_str(text, "&amp;");
        else if (*etag == '<')
            r = bvi_buf_append_str(text, "&lt;");
        else
            r = bvi_buf_append_char(text, *etag);
    }
    return r;
}

static int complete(bvi_s3_call *c, bv_error **err)
{
    int r;

    bvi_buf_init(&c->text, 1024u * BVI_S3_PARTS_MAX);
    r = bvi_buf_append_str(&c->text, "<CompleteMultipartUpload>");
    for (size_t i = 0; r == 0 && i < c->etags.len; i++) {
        r = bvi_buf_printf(&c->text, "<Part><PartNumber>%zu</PartNumber><ETag>", i + 1);
        if (r == 0)
            r = append_escaped(&c->text, c->etags.items[i]);
        if (r == 0)
            r = bvi_buf_append_str(&c->text, "</ETag></Part>");
    }
    if (r == 0)
        r = bvi_buf_append_str(&c->text, "</CompleteMultipartUpload>");
    if (r < 0)
        return bvi_fail_nomem(err);
    return bvi_s3_send(c,
                       &(bvi_s3_ask){ .method = "POST",
                                      .key = c->web.req.key,
                                      .params = { { "uploadId", c->upload_id } },
                                      .n_params = 1,
                                      .body = c->text.data,
                                      .body_len = c->text.len,
                                      .step = on_completed },
                       err);
}

static int send_part(bvi_s3_call *c, bv_error **err);

static void on_part(bvi_s3_call *c, const bvi_http_response *response, bv_error *err)
{
    if (!err && !response->etag)
        (void)bvi_fail(&err, BV_E_REMOTE, "'%s' answered without an ETag", response->url);
    if (!err && bvi_strv_add(&c->etags, response->etag) < 0)
        (void)bvi_fail_nomem(&err);
    if (!err)
        (void)(c->etags.len < part_count(c) ? send_part(c, &err) : complete(c, &err));
    if (err)
        give_up(c, err);
}

static int send_part(bvi_s3_call *c, bv_error **err)
{
    size_t from = c->etags.len * BVI_S3_PART_BYTES;
    size_t left = c->web.req.len - from;

    (void)snprintf(c->number, sizeof(c->number), "%u", (unsigned)c->etags.len + 1); /* fits */
    return bvi_s3_send(
        c,
        &(bvi_s3_ask){ .method = "PUT",
                       .key = c->web.req.key,
                       .params = { { "partNumber", c->number }, { "uploadId", c->upload_id } },
                       .n_params = 2,
                       .body = c->web.req.bytes + from,
                       .body_len = left < BVI_S3_PART_BYTES ? left : BVI_S3_PART_BYTES,
                       .step = on_part },
        err);
}

static void on_begun(bvi_s3_call *c, const bvi_http_response *response, bv_error *err)
{
    if (!err)
        (void)bvi_s3_upload_id_parse(response->body, response->body_len, &c->upload_id,
                                     &err); /* err tells */
    if (!err)
        (void)send_part(c, &err);
    if (err && c->upload_id)
        give_up(c, err);
    else if (err)
        bvi_s3_finish(c, NULL, err);
}

static int put_now(bvi_s3_call *c, bv_error **err);

static bool wants_condition(const bvi_s3_call *c)
{
    return c->store->conditional != BVI_S3_MISSING;
}

static void on_put(bvi_s3_call *c, const bvi_http_response *response, bv_error *err)
{
    if (c->ask.only_new && bv_error_code(err) == BV_E_UNSUPPORTED) {
        bvi_web_drop_error(&err);
        c->store->conditional = BVI_S3_MISSING;
        if (put_now(c, &err) == 0)
            return;
    }
    if (c->ask.only_new && err)
        bvi_web_put_step(&c->web, response, err);
    else
        bvi_s3_finish(c, NULL, err);
}

static int put_now(bvi_s3_call *c, bv_error **err)
{
    if (c->web.req.len > BVI_S3_PART_BYTES)
        return bvi_s3_send(c,
                           &(bvi_s3_ask){ .method = "POST",
                                          .key = c->web.req.key,
                                          .params = { { "uploads", "" } },
                                          .n_params = 1,
                                          .step = on_begun },
                           err);
    return bvi_s3_send(c,
                       &(bvi_s3_ask){ .method = "PUT",
                                      .key = c->web.req.key,
                                      .body = c->web.req.bytes,
                                      .body_len = c->web.req.len,
                                      .only_new = c->web.req.create_only && wants_condition(c),
                                      .step = on_put },
                       err);
}

/* ---- only if there is none: looked at first, as not every server knows the condition ---- */

static void on_is_new(bvi_s3_call *c, const bvi_http_response *response, bv_error *err)
{
    (void)response;
    if (!err) {
        (void)bvi_fail(&err, BV_E_EXISTS, "'%s' exists already", c->web.req.key);
    } else if (bv_error_code(err) == BV_E_NOT_FOUND) {
        bvi_web_drop_error(&err);
        (void)put_now(c, &err); /* err tells */
    }
    if (err)
        bvi_s3_finish(c, NULL, err);
}

int bvi_s3_run_put(bvi_s3_call *c, bv_error **err)
{
    if (part_count(c) > BVI_S3_PARTS_MAX)
        return bvi_fail(err, BV_E_LIMIT, "'%s' is too large", c->web.req.key);
    if (!c->web.req.create_only)
        return put_now(c, err);
    return bvi_s3_send(
        c, &(bvi_s3_ask){ .method = "HEAD", .key = c->web.req.key, .step = on_is_new }, err);
}
