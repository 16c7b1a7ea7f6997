/*
 * image_fields.h - reading and checking the fields of babel.yaml; used by image_meta.c and
 * image_firewall.c only.
 */
#ifndef BVI_IMAGE_FIELDS_H
#define BVI_IMAGE_FIELDS_H

#include "base/json.h"

/* Far above what any image has. Every variant gets a copy of the image's lists, so their product
 * counts. */
#define BVI_IMAGE_VARIANTS_MAX   128u
#define BVI_IMAGE_PROPERTIES_MAX 1024u
#define BVI_IMAGE_RULES_MAX      512u
#define BVI_IMAGE_ENTRIES_MAX    512u /* of every other list */

/* Text fields take numbers and booleans as they are written: `version: 1.10` is a text to whoever
 * wrote it. */
int bvi_image_text(const bvi_json *object, const char *key, char **ret_text, bv_error **err);
int bvi_image_opt_text(const bvi_json *object, const char *key, char **ret_text,
                       bv_error **err); /* absent: NULL */
/* A list of at most max entries; absent or null gives NULL unless it is required. */
int bvi_image_list(const bvi_json *object, const char *key, bool required, size_t max,
                   const bvi_json **ret_list, bv_error **err);
int bvi_image_object(const bvi_json *node, const char *what, bv_error **err);
/* One of a few words ended by NULL. */
int bvi_image_word(const bvi_json *object, const char *key, const char *const *words,
                   const char **ret_word, bv_error **err);

/* [a-z0-9-]*; `what` names the kind of key in the message. */
int bvi_image_check_kebab(const char *what, const char *value, bv_error **err);
int bvi_image_check_version(const char *version, bv_error **err);
int bvi_image_check_uri(const char *uri, bv_error **err);
int bvi_image_check_sku(const char *variant, const char *sku, bv_error **err);
bool bvi_image_is_cidr(const char *text); /* an address, or one with a prefix length */

/* firewall_config in the form a node's state keeps it. */
int bvi_image_firewall(const bvi_json *config, bvi_json **ret_firewall, bv_error **err);

#endif
