/*
 * s3_xml.h - the XML that S3 servers answer with: pages of a listing, errors, ids of multipart
 * uploads. Used by the S3 store.
 *
 * Only the XML these answers consist of is read: elements, text, the five entities and numbered
 * characters; attributes, comments and the declaration are passed over. A document type is refused.
 */
#ifndef BVI_TRANSFER_S3_XML_H
#define BVI_TRANSFER_S3_XML_H

#include "base/buf.h"
#include "base/error.h"
#include "base/vec.h"

#define BVI_S3_XML_DEPTH_MAX 16u
#define BVI_S3_XML_PATH_MAX  512u
#define BVI_S3_XML_TEXT_MAX  8192u /* of one element */
#define BVI_S3_PAGE_MAX      1000u /* objects on a page */
#define BVI_S3_PAGE_BYTES    (8u * 1024u * 1024u)

/* At the end of each element: its path ("ListBucketResult/Contents/Key") and the text right before
 * that end. */
typedef int (*bvi_s3_element_fn)(const char *path, const char *text, void *data, bv_error **err);

/* BV_E_FORMAT unless it is one whole document; BV_E_LIMIT; or what fn returned. */
int bvi_s3_xml_read(const char *text, size_t len, bvi_s3_element_fn fn, void *data, bv_error **err);

typedef struct bvi_s3_object {
    char *key;
    uint64_t size;
    int64_t modified_us; /* since 1970 */
} bvi_s3_object;

typedef struct bvi_s3_page {
    BVI_VEC(bvi_s3_object) objects;
    char *next; /* token of the next page; NULL: this is the last */
} bvi_s3_page;

/* The page is empty before and must be done afterwards, also after a failure. */
void bvi_s3_page_init(bvi_s3_page *page);
void bvi_s3_page_done(bvi_s3_page *page);
int bvi_s3_page_parse(const char *text, size_t len, bvi_s3_page *page, bv_error **err);

typedef struct bvi_s3_error {
    char code[64];
    char message[256];
} bvi_s3_error;

/* False: it is no error document. Neither text has control characters. */
bool bvi_s3_error_parse(const char *text, size_t len, bvi_s3_error *ret_error);

/* An upload in parts that was begun and neither completed nor aborted. */
typedef struct bvi_s3_upload {
    char *key;
    char *id;
    int64_t begun_us; /* since 1970 */
} bvi_s3_upload;

typedef BVI_VEC(bvi_s3_upload) bvi_s3_uploads;

void bvi_s3_uploads_done(bvi_s3_uploads *uploads);
/* Up to BVI_S3_PAGE_MAX of them; uploads is empty before, and done by the caller in any case. */
int bvi_s3_uploads_parse(const char *text, size_t len, bvi_s3_uploads *uploads, bv_error **err);

int bvi_s3_upload_id_parse(const char *text, size_t len, char **ret_id, bv_error **err);

#endif
