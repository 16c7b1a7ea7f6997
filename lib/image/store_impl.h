/*
 * store_impl.h - what image_store.c, image_import.c and image_entry.c share; nobody else includes
 * it.
 */
#ifndef BVI_IMAGE_STORE_IMPL_H
#define BVI_IMAGE_STORE_IMPL_H

#include "image/image_store.h"

/* Beginnings of names below the store's directory that are not images. */
#define BVI_IMAGE_IMPORTING ".import-"
#define BVI_IMAGE_REMOVED   ".removed-"

#define BVI_IMAGE_ID_LEN   64u /* BLAKE3 in hexadecimal */
#define BVI_IMAGE_NAME_MAX 255u

typedef struct bvi_import bvi_import;

struct bvi_image {
    char *id;
    char *name;
    char *source;
    char *root;
    int64_t created_us;
    uint64_t size_bytes;
    uint64_t files;
    bvi_image_meta *meta;
};

struct bvi_image_store {
    bv_ctx *ctx;
    char *dir;
    int lock_fd;                 /* held: nobody else imports into this store */
    BVI_VEC(bvi_image *) images; /* ordered by name, then creation */
    bvi_import *imports;         /* under way */
};

/* image_entry.c */
void bvi_image_free(bvi_image *image);
BVI_DEFINE_FREEP(bvi_image, bvi_image_free)
bool bvi_image_id_valid(const char *id);
bool bvi_image_name_valid(const char *name);
/* <dir>/<id>. Blocking; any thread. */
int bvi_image_load(const char *dir, const char *id, bvi_image **ret_image, bv_error **err);
/* Writes image.json and babel.yaml into a directory. Blocking; any thread. */
int bvi_image_save(const bvi_image *image, const char *dir, const char *yaml, size_t yaml_len,
                   bv_error **err);

/* image_store.c */
int bvi_image_store_add(bvi_image_store *store, bvi_image *image,
                        bv_error **err); /* owns image, also on failure */
/* A new unique name below the store: "<start><random>". */
int bvi_image_store_temporary(const char *dir, const char *start, char **ret_path, bv_error **err);

/* image_import.c */
void bvi_import_detach(bvi_import *import); /* the store goes away: the import ends as cancelled */

#endif
