/*
 * s3_sign.h - AWS signature version 4, in a header or in the URL. Pure: no clock, no network. Used
 * by the S3 store.
 */
#ifndef BVI_TRANSFER_S3_SIGN_H
#define BVI_TRANSFER_S3_SIGN_H

#include "base/buf.h"
#include "base/error.h"

#define BVI_S3_PAIRS_MAX      12u    /* parameters, or headers, of one request */
#define BVI_S3_SIGNED_MAX     16384u /* bytes of a query or of what is signed */
#define BVI_S3_STAMP_SIZE     17u    /* "20130524T000000Z" and its zero */
#define BVI_S3_URL_SECS_MAX   604800u
#define BVI_S3_UNSIGNED       "UNSIGNED-PAYLOAD"
#define BVI_S3_ALGORITHM      "AWS4-HMAC-SHA256"
#define BVI_S3_HEADER_DATE    "x-amz-date"
#define BVI_S3_HEADER_PAYLOAD "x-amz-content-sha256"
#define BVI_S3_HEADER_TOKEN   "x-amz-security-token"

typedef struct bvi_s3_credentials {
    char *access_key_id;
    char *secret_access_key;
    char *session_token; /* NULL: these keys need none */
} bvi_s3_credentials;

typedef struct bvi_s3_pair {
    const char *name; /* unreserved characters only; of headers lower case */
    const char *value;
} bvi_s3_pair;

typedef struct bvi_s3_request {
    const char *method;
    const char *host; /* with the port, if it is not the scheme's own */
    const char *path; /* percent-encoded */
    const bvi_s3_pair *params;
    size_t n_params;
    const bvi_s3_pair *headers; /* to be signed besides host */
    size_t n_headers;
    const char *payload; /* hexadecimal SHA-256 of the body, or BVI_S3_UNSIGNED */
    const char *region;
    const char *service; /* "s3" */
    int64_t wall_us;
} bvi_s3_request;

/* "20130524T000000Z". */
void bvi_s3_stamp(int64_t wall_us, char text[BVI_S3_STAMP_SIZE]);
/* The parameters, sorted and percent-encoded: what is signed and what is sent. */
int bvi_s3_query(const bvi_s3_pair *params, size_t count, bvi_buf *query);
/* Appends the value of the Authorization header. */
int bvi_s3_authorization(const bvi_s3_request *request, const bvi_s3_credentials *keys,
                         bvi_buf *value, bv_error **err);
/* Appends the whole query of a URL that anybody may use for so many seconds. */
int bvi_s3_presign(const bvi_s3_request *request, const bvi_s3_credentials *keys,
                   uint32_t expires_secs, bvi_buf *query, bv_error **err);

#endif
