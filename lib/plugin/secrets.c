/*
 * secrets.c - a small, short-lived memory of secrets. See secrets.h.
 */
#include <string.h>

#include "plugin/secrets.h"

static void drop(bvi_secrets *secrets, size_t i)
{
    bvi_secret *secret = &secrets->items.items[i];

    explicit_bzero(secret->bytes, secret->len);
    bvi_free(secret->bytes);
    bvi_free(secret->key);
    bvi_vec_remove(&secrets->items, i);
}

static void drop_old(bvi_secrets *secrets, int64_t now_us)
{
    for (size_t i = secrets->items.len; i-- > 0;) {
        if (secrets->items.items[i].until_us <= now_us)
            drop(secrets, i);
    }
}

const bvi_secret *bvi_secrets_find(bvi_secrets *secrets, const char *key, int64_t now_us)
{
    drop_old(secrets, now_us);
    for (size_t i = 0; i < secrets->items.len; i++) {
        if (strcmp(secrets->items.items[i].key, key) == 0)
            return &secrets->items.items[i];
    }
    return NULL;
}

void bvi_secrets_forget(bvi_secrets *secrets, const char *key)
{
    for (size_t i = secrets->items.len; i-- > 0;) {
        if (strcmp(secrets->items.items[i].key, key) == 0)
            drop(secrets, i);
    }
}

void bvi_secrets_keep(bvi_secrets *secrets, const char *key, const void *bytes, size_t len,
                      int64_t now_us)
{
    bvi_auto_free char *key_copy = NULL;
    bvi_auto_free char *copy = NULL;
    bvi_secret *slot;

    bvi_secrets_forget(secrets, key);
    drop_old(secrets, now_us);
    if (len > BVI_SECRET_BYTES_MAX)
        return;
    key_copy = bvi_strdup(key);
    copy = bvi_strndup(len ? bytes : "", len);
    slot = key_copy && copy ? bvi_vec_push(&secrets->items) : NULL;
    if (slot)
        *slot =
            (bvi_secret){ bvi_take(key_copy), bvi_take(copy), len, now_us + BVI_SECRET_KEEP_US };
}

void bvi_secrets_done(bvi_secrets *secrets)
{
    while (secrets->items.len)
        drop(secrets, secrets->items.len - 1);
    bvi_vec_done(&secrets->items);
}
