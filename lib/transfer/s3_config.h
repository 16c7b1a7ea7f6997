/*
 * s3_config.h - where an S3 store is and with which keys: from its URI, the environment, files, or
 * the program. Used by the S3 store.
 *
 *     s3://bucket/prefix?region=R&endpoint=http://host:port&style=path|host&ca=FILE
 *         &profile=NAME&credentials=FILE
 *
 * All parameters are optional. Keys are never in the URI: they come from the program; from the
 * profile or file the URI names; from AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and
 * AWS_SESSION_TOKEN; or from the profile AWS_PROFILE of AWS_SHARED_CREDENTIALS_FILE
 * (~/.aws/credentials). AWS_REGION, AWS_DEFAULT_REGION, AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL and
 * AWS_CA_BUNDLE stand in for parameters that are missing.
 */
#ifndef BVI_TRANSFER_S3_CONFIG_H
#define BVI_TRANSFER_S3_CONFIG_H

#include "transfer/s3_sign.h"

#define BVI_S3_SCHEME        "s3://"
#define BVI_S3_REGION        "us-east-1" /* if nobody says otherwise */
#define BVI_S3_PREFIX_MAX    512u
#define BVI_S3_KEYS_FILE_MAX (64u * 1024u)
#define BVI_S3_KEY_MAX       4096u /* of an access key, secret or token */

typedef struct bvi_s3_config {
    char *name;   /* "s3://bucket/prefix", for messages */
    char *prefix; /* of all objects: "" or "a/b/" */
    char *region;
    char *origin;  /* "https://host:port" */
    char *host;    /* of the origin, as it is signed */
    char *base;    /* what paths begin with: "" or "/bucket" */
    char *ca_file; /* NULL: the system's certificates */
    bvi_s3_credentials keys;
} bvi_s3_config;

/* keys (copied) may be NULL. BV_E_INVALID tells what is wrong with the URI, BV_E_DENIED that there
 * are no keys. The config is done by the caller, also after a failure. */
int bvi_s3_config_init(bvi_s3_config *config, const char *uri, const bvi_s3_credentials *keys,
                       bv_error **err);
/* Looks for keys anew, where the URI or the environment says. True: there are others now. */
bool bvi_s3_config_renew(bvi_s3_config *config, const char *uri);
void bvi_s3_config_done(bvi_s3_config *config);

#endif
