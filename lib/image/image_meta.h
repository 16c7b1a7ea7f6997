/*
 * image_meta.h - babel.yaml: what an image says about itself (spec plugin.md 11).
 *
 * Parsed once and immutable. Everything pointed to lives as long as the metadata.
 */
#ifndef BVI_IMAGE_META_H
#define BVI_IMAGE_META_H

#include "base/json.h"
#include "base/protect.h"

typedef struct bvi_image_property {
    char *key;
    char *name;
    char *description; /* NULL: none */
    char *default_value;
    bool dynamic_value; /* may change after creation */
} bvi_image_property;

typedef struct bvi_image_variant {
    char *key;
    char *sku_code;
    char *store_key; /* of the first archive pointer that names one; NULL: none */
    uint64_t min_cpu;
    uint64_t min_memory_mb;
    uint64_t min_disk_gb;
    bvi_json
        *ramdisks; /* array of {ram_disk_mount_point, ram_disk_size_mb}, as in a node's state */
    bvi_json *firewall;                     /* as in a node's state; the variant's or the image's */
    BVI_VEC(bvi_image_property) properties; /* the variant's own list, or a copy of the image's */
    bvi_strv protected_paths;               /* the built-in ones, and what the file says */
} bvi_image_variant;

typedef struct bvi_image_meta {
    char *version;
    char *container_uri;
    char *protocol_key;
    char *description;                   /* NULL: none */
    char *visibility;                    /* "public", "development", "private" */
    BVI_VEC(bvi_image_variant) variants; /* at least one */
    bvi_json *document;                  /* the whole file, tags as one-key objects */
} bvi_image_meta;

/* BV_E_FORMAT names the key and what is wrong with it. */
int bvi_image_meta_parse(const char *text, size_t len, bvi_image_meta **ret_meta, bv_error **err);
void bvi_image_meta_free(bvi_image_meta *meta);
BVI_DEFINE_FREEP(bvi_image_meta, bvi_image_meta_free)

/* key NULL: the first one. NULL: there is no such variant. */
const bvi_image_variant *bvi_image_meta_variant(const bvi_image_meta *meta, const char *key);

#endif
