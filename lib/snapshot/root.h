/*
 * root.h - the root of a snapshot: JSON in and out, its signatures, and where its objects lie. No
 * I/O.
 */
#ifndef BVI_SNAPSHOT_ROOT_H
#define BVI_SNAPSHOT_ROOT_H

#include "snapshot/format.h"

typedef struct bvi_snap_page_ref {
    bvi_snap_frame frame;
    uint32_t entries;
    uint32_t chunks;
    uint64_t bytes; /* plain data bytes of its chunks */
} bvi_snap_page_ref;

typedef struct bvi_snap_root {
    char *key; /* owned */
    uint64_t version;
    uint64_t base; /* 0: none */
    int64_t created_us;
    uint64_t plain_bytes;
    uint64_t stored_bytes;
    uint64_t sent_bytes;
    uint64_t entries;
    uint64_t files;
    uint64_t chunks;
    bvi_snap_codec codec;
    int32_t level;
    BVI_VEC(bvi_snap_page_ref) pages;
} bvi_snap_root;

void bvi_snap_root_init(bvi_snap_root *root);
void bvi_snap_root_done(bvi_snap_root *root);
int bvi_snap_root_parse(const char *text, size_t len, bvi_snap_root *ret_root, bv_error **err);
int bvi_snap_root_print(const bvi_snap_root *root, bvi_buf *text, bv_error **err);

/* Object keys below the store; NULL: no memory. `store_key` as bvi_store_key_normalise() gives it.
 */
char *bvi_snap_pack_key(const char *store_key, const bvi_hash256 *pack);
/* "<store_key>/packs/ab/ab12..." -> its id. False: not the key of a pack. */
bool bvi_snap_pack_of_key(const char *key, bvi_hash256 *ret_id);
char *bvi_snap_root_key(const char *store_key, uint64_t version);
char *bvi_snap_sig_key(const char *store_key, uint64_t version);
char *bvi_snap_latest_key(const char *store_key);
char *bvi_snap_prune_key(const char *store_key);

/* Ed25519, PEM files (openssl genpkey -algorithm ed25519). Blocking. (sign.c) */
int bvi_snap_sign(const char *root_text, size_t len, const char *secret_key_file, bvi_buf *sig,
                  bv_error **err);
/* BV_E_DENIED unless one of the signatures is right and by the given public key. */
int bvi_snap_check_signature(const char *root_text, size_t len, const char *sig_text,
                             size_t sig_len, const char *public_key_file, bv_error **err);

#endif
