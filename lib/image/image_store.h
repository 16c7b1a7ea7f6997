/*
 * image_store.h - the host's images: each unpacked once, read-only, named by its content.
 *
 * Layout below the store's directory: <id>/root, <id>/image.json, <id>/babel.yaml. An import
 * happens in a temporary directory that is renamed when it is whole, so an interrupted one leaves
 * nothing that counts; leftovers go when the store is opened.
 */
#ifndef BVI_IMAGE_STORE_H
#define BVI_IMAGE_STORE_H

#include "image/image_meta.h"
#include "io/reply.h"

#define BVI_IMAGES_MAX 4096u

typedef struct bvi_image_store bvi_image_store;
typedef struct bvi_image bvi_image;

/* Loads what is there. An entry that cannot be read is skipped and logged. */
int bvi_image_store_open(bv_ctx *ctx, const char *dir, bvi_image_store **ret_store, bv_error **err);
void bvi_image_store_free(bvi_image_store *store); /* imports under way end with BV_E_CANCELLED */
BVI_DEFINE_FREEP(bvi_image_store, bvi_image_store_free)

/* Ordered by name, then creation. Borrowed until the next import or removal. */
size_t bvi_image_store_count(const bvi_image_store *store);
const bvi_image *bvi_image_store_at(const bvi_image_store *store, size_t index);
/* By id, by an unambiguous prefix of an id of at least 8 characters, by name, or by name without
 * ":version" (then the one created last). NULL: none. */
const bvi_image *bvi_image_store_find(const bvi_image_store *store, const char *key);

const char *bvi_image_id(const bvi_image *image);
const char *bvi_image_name(const bvi_image *image); /* "protocol/variant:version" */
const char *bvi_image_root(const bvi_image *image); /* host directory of the root file system */
const bvi_image_meta *bvi_image_meta_of(const bvi_image *image);
bvi_json *bvi_image_json(const bvi_image *image); /* the image document of blockvisor/image.h */

/* Owns the reply, which is answered with the image document. name NULL: "<protocol_key>/<first
 * variant>:<version>". Content that is in the store gives the image that is there; when another
 * name is asked for it, BV_E_EXISTS. */
void bvi_image_store_import(bvi_image_store *store, const char *path, const char *name,
                            bvi_reply *reply);
/* Owns the reply; in_use may be NULL; when it says yes the reply fails with BV_E_BUSY. */
void bvi_image_store_remove(bvi_image_store *store, const char *key,
                            bool (*in_use)(const char *id, void *data), void *data,
                            bvi_reply *reply);

#endif
