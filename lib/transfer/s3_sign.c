/*
 * s3_sign.c - see s3_sign.h. The order is: canonical request, string to sign, derived key,
 * signature.
 */
#include <stdio.h>
#include <string.h>

#include "base/digest.h"
#include "base/hex.h"
#include "base/time.h"
#include "transfer/s3_sign.h"

#define DATE_LEN 8u /* of a stamp */

void bvi_s3_stamp(int64_t wall_us, char text[BVI_S3_STAMP_SIZE])
{
    char full[BVI_TIME_TEXT_SIZE];
    size_t len = 0;

    bvi_time_format(wall_us, full); /* "2013-05-24T00:00:00[.000000]Z" */
    for (const char *at = full; *at && *at != '.' && *at != 'Z' && len < BVI_S3_STAMP_SIZE - 2;
         at++) {
        if (*at != '-' && *at != ':')
            text[len++] = *at;
    }
    text[len++] = 'Z';
    text[len] = '\0';
}

static bool is_unreserved(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c && strchr("-._~", c));
}

static int append_encoded(bvi_buf *out, const char *text)
{
    int r = 0;

    for (; r == 0 && *text; text++)
        r = is_unreserved(*text) ? bvi_buf_append_char(out, *text)
                                 : bvi_buf_printf(out, "%%%02X", (unsigned)(unsigned char)*text);
    return r;
}

/* Few of them, so the simplest sort will do. */
static void sort_pairs(bvi_s3_pair *pairs, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        bvi_s3_pair pair = pairs[i];
        size_t at = i;

        for (; at > 0 && strcmp(pairs[at - 1].name, pair.name) > 0; at--)
            pairs[at] = pairs[at - 1];
        pairs[at] = pair;
    }
}

int bvi_s3_query(const bvi_s3_pair *params, size_t count, bvi_buf *query)
{
    bvi_s3_pair sorted[BVI_S3_PAIRS_MAX];
    int r = 0;

    if (count > BVI_S3_PAIRS_MAX)
        return BV_E_LIMIT;
    for (size_t i = 0; i < count; i++)
        sorted[i] = params[i];
    sort_pairs(sorted, count);
    for (size_t i = 0; r == 0 && i < count; i++) {
        r = i > 0 ? bvi_buf_append_char(query, '&') : 0;
        if (r == 0)
            r = append_encoded(query, sorted[i].name);
        if (r == 0)
            r = bvi_buf_append_char(query, '=');
        if (r == 0)
            r = append_encoded(query, sorted[i].value);
    }
    return r;
}

/* ---- what is signed ---- */

/* One request on its way to a signature. */
typedef struct signing {
    const bvi_s3_request *request;
    const bvi_s3_credentials *keys;
    bvi_s3_pair headers[BVI_S3_PAIRS_MAX + 1]; /* host too; sorted */
    size_t n_headers;
    char stamp[BVI_S3_STAMP_SIZE];
} signing;

static int signing_init(signing *s, const bvi_s3_request *request, const bvi_s3_credentials *keys)
{
    if (request->n_headers > BVI_S3_PAIRS_MAX)
        return BV_E_LIMIT;
    *s = (signing){ .request = request, .keys = keys, .n_headers = request->n_headers + 1 };
    s->headers[0] = (bvi_s3_pair){ "host", request->host };
    for (size_t i = 0; i < request->n_headers; i++)
        s->headers[i + 1] = request->headers[i];
    sort_pairs(s->headers, s->n_headers);
    bvi_s3_stamp(request->wall_us, s->stamp);
    return 0;
}

static int append_header_names(bvi_buf *out, const signing *s)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < s->n_headers; i++)
        r = bvi_buf_printf(out, "%s%s", i > 0 ? ";" : "", s->headers[i].name);
    return r;
}

static int append_scope(bvi_buf *out, const signing *s)
{
    return bvi_buf_printf(out, "%.*s/%s/%s/aws4_request", (int)DATE_LEN, s->stamp,
                          s->request->region, s->request->service);
}

static int append_canonical(bvi_buf *out, const signing *s, const char *query)
{
    int r = bvi_buf_printf(out, "%s\n%s\n%s\n", s->request->method, s->request->path, query);

    for (size_t i = 0; r == 0 && i < s->n_headers; i++)
        r = bvi_buf_printf(out, "%s:%s\n", s->headers[i].name, s->headers[i].value);
    if (r == 0)
        r = bvi_buf_append_char(out, '\n');
    if (r == 0)
        r = append_header_names(out, s);
    return r < 0 ? r : bvi_buf_printf(out, "\n%s", s->request->payload);
}

static int append_string_to_sign(bvi_buf *out, const signing *s, const char *query, bv_error **err)
{
    BVI_AUTO(bvi_buf_done) bvi_buf canonical = BVI_BUF_INIT(2 * BVI_S3_SIGNED_MAX);
    uint8_t digest[BVI_DIGEST_SIZE_MAX];
    char hex[BVI_HEX_SIZE(BVI_DIGEST_SIZE_MAX)];
    int r = append_canonical(&canonical, s, query);

    if (r < 0)
        return r;
    r = bvi_digest_of(BVI_DIGEST_SHA256, canonical.data, canonical.len, digest, err);
    if (r < 0)
        return r;
    bvi_hex_encode(digest, sizeof(digest), hex);
    r = bvi_buf_printf(out, "%s\n%s\n", BVI_S3_ALGORITHM, s->stamp);
    if (r == 0)
        r = append_scope(out, s);
    return r < 0 ? r : bvi_buf_printf(out, "\n%s", hex);
}

/* The key that is good for one day, region and service. */
static int derive_key(const signing *s, uint8_t ret_key[32], bv_error **err)
{
    BVI_AUTO(bvi_buf_done) bvi_buf secret = BVI_BUF_INIT(BVI_S3_SIGNED_MAX);
    const char *const steps[] = { s->request->region, s->request->service, "aws4_request" };
    int r = bvi_buf_printf(&secret, "AWS4%s", s->keys->secret_access_key);

    if (r == 0)
        r = bvi_hmac_sha256(secret.data, secret.len, s->stamp, DATE_LEN, ret_key, err);
    for (size_t i = 0; r == 0 && i < BVI_COUNT(steps); i++) {
        uint8_t next[32];

        r = bvi_hmac_sha256(ret_key, 32, steps[i], strlen(steps[i]), next, err);
        if (r == 0)
            memcpy(ret_key, next, sizeof(next));
    }
    if (secret.data)
        explicit_bzero(secret.data, secret.len);
    return r;
}

static int sign(const signing *s, const char *query, char ret_hex[BVI_HEX_SIZE(32)], bv_error **err)
{
    BVI_AUTO(bvi_buf_done) bvi_buf text = BVI_BUF_INIT(BVI_S3_SIGNED_MAX);
    uint8_t key[32], signature[32];
    int r = append_string_to_sign(&text, s, query, err);

    if (r == 0)
        r = derive_key(s, key, err);
    if (r == 0)
        r = bvi_hmac_sha256(key, sizeof(key), text.data, text.len, signature, err);
    if (r == 0)
        bvi_hex_encode(signature, sizeof(signature), ret_hex);
    explicit_bzero(key, sizeof(key));
    return r;
}

/* Buffers tell only a code. */
static int explain(int r, bv_error **err)
{
    if (r == BV_E_LIMIT)
        return bvi_fail(err, r, "a request is too long to be signed");
    return r == BV_E_NOMEM ? bvi_fail_nomem(err) : r;
}

/* ---- both kinds ---- */

int bvi_s3_authorization(const bvi_s3_request *request, const bvi_s3_credentials *keys,
                         bvi_buf *value, bv_error **err)
{
    BVI_AUTO(bvi_buf_done) bvi_buf query = BVI_BUF_INIT(BVI_S3_SIGNED_MAX);
    char signature[BVI_HEX_SIZE(32)];
    signing s;
    int r = signing_init(&s, request, keys);

    if (r == 0)
        r = bvi_s3_query(request->params, request->n_params, &query);
    if (r == 0)
        r = sign(&s, bvi_buf_str(&query), signature, err);
    if (r == 0)
        r = bvi_buf_printf(value, "%s Credential=%s/", BVI_S3_ALGORITHM, keys->access_key_id);
    if (r == 0)
        r = append_scope(value, &s);
    if (r == 0)
        r = bvi_buf_append_str(value, ", SignedHeaders=");
    if (r == 0)
        r = append_header_names(value, &s);
    if (r == 0)
        r = bvi_buf_printf(value, ", Signature=%s", signature);
    return explain(r, err);
}

static int append_credential(bvi_buf *out, const signing *s)
{
    int r = bvi_buf_printf(out, "%s/", s->keys->access_key_id);

    return r < 0 ? r : append_scope(out, s);
}

int bvi_s3_presign(const bvi_s3_request *request, const bvi_s3_credentials *keys,
                   uint32_t expires_secs, bvi_buf *query, bv_error **err)
{
    BVI_AUTO(bvi_buf_done) bvi_buf credential = BVI_BUF_INIT(BVI_S3_SIGNED_MAX);
    BVI_AUTO(bvi_buf_done) bvi_buf names = BVI_BUF_INIT(BVI_S3_SIGNED_MAX);
    char expires[16], signature[BVI_HEX_SIZE(32)];
    signing s;
    int r = signing_init(&s, request, keys);

    (void)snprintf(expires, sizeof(expires), "%u", expires_secs); /* fits */
    if (r == 0)
        r = append_credential(&credential, &s);
    if (r == 0)
        r = append_header_names(&names, &s);
    if (r == 0) {
        const bvi_s3_pair params[] = {
            { "X-Amz-Algorithm", BVI_S3_ALGORITHM },
            { "X-Amz-Credential", credential.data },
            { "X-Amz-Date", s.stamp },
            { "X-Amz-Expires", expires },
            { "X-Amz-SignedHeaders", names.data },
            { "X-Amz-Security-Token", keys->session_token },
        };

        r = bvi_s3_query(params, BVI_COUNT(params) - (keys->session_token ? 0 : 1), query);
    }
    if (r == 0)
        r = sign(&s, query->data, signature, err);
    if (r == 0)
        r = bvi_buf_printf(query, "&X-Amz-Signature=%s", signature);
    return explain(r, err);
}
