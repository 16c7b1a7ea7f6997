/*
 * secrets.h - secrets fetched lately, so that a script whose top level asks for one does not cost a
 * request to the control plane with each height().
 *
 * Only queries use what is kept; init, upload and custom functions always ask. Owned by a plugin;
 * wiped when dropped.
 */
#ifndef BVI_PLUGIN_SECRETS_H
#define BVI_PLUGIN_SECRETS_H

#include "base/vec.h"

#define BVI_SECRETS_MAX      32u
#define BVI_SECRET_BYTES_MAX (64u * 1024u)
#define BVI_SECRET_KEEP_US   (INT64_C(30) * 1000 * 1000)

typedef struct bvi_secret {
    char *key;
    char *bytes;
    size_t len;
    int64_t until_us;
} bvi_secret;

typedef struct bvi_secrets {
    BVI_VEC(bvi_secret) items;
} bvi_secrets;

#define BVI_SECRETS_INIT                                                                           \
    {                                                                                              \
        .items = BVI_VEC_INIT(BVI_SECRETS_MAX)                                                     \
    }

/* NULL: not known, or too old. Borrowed until the next change. */
const bvi_secret *bvi_secrets_find(bvi_secrets *secrets, const char *key, int64_t now_us);
/* Keeping is a favour: without room or memory nothing is kept. */
void bvi_secrets_keep(bvi_secrets *secrets, const char *key, const void *bytes, size_t len,
                      int64_t now_us);
void bvi_secrets_forget(bvi_secrets *secrets, const char *key);
void bvi_secrets_done(bvi_secrets *secrets);

#endif
