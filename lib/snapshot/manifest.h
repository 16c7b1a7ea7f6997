/*
 * manifest.h - reading a snapshot's root and pages from a store: what downloads, verifications,
 * comparisons and listings have in common.
 *
 * Root and pages are fetched on the loop and unpacked on a worker. With a cache directory the pages
 * are kept there as stored ("snapshot.pages", each at the sum of the lengths before it; their
 * hashes tell whether they are right), so that a later pass needs no network. One request at a
 * time; its callback comes from dispatch. Belongs to its context's thread.
 */
#ifndef BVI_SNAPSHOT_MANIFEST_H
#define BVI_SNAPSHOT_MANIFEST_H

#include "io/work.h"
#include "snapshot/page.h"
#include "snapshot/root.h"
#include "transfer/store.h"

#define BVI_SNAP_CACHE_ROOT  "snapshot.json"
#define BVI_SNAP_CACHE_SIG   "snapshot.json.sig"
#define BVI_SNAP_CACHE_PAGES "snapshot.pages"
#define BVI_SNAP_SIG_MAX     (64u * 1024u)

typedef struct bvi_snap_manifest bvi_snap_manifest;

typedef struct bvi_snap_manifest_opts {
    bvi_store *store;            /* borrowed; NULL: the cache has all that is needed, or fail */
    const char *store_key;       /* copied */
    uint64_t version;            /* 0: the latest; without a store: what is cached */
    const char *verify_key_file; /* copied; NULL: signatures are not looked at */
    const char *cache_dir;       /* copied; exists; NULL: none */
    bool prefer_cache; /* a cached root of this key and version spares the question to the store */
} bvi_snap_manifest_opts;

typedef void (*bvi_snap_manifest_fn)(const bv_error *err, void *data);
/* The page is the callee's when it clears it (*page = (bvi_page){ 0 }). */
typedef void (*bvi_snap_page_fn)(const bv_error *err, bvi_page *page, void *data);

int bvi_snap_manifest_new(bv_ctx *ctx, const bvi_snap_manifest_opts *opts,
                          bvi_snap_manifest **ret_manifest, bv_error **err);
void bvi_snap_manifest_free(bvi_snap_manifest *manifest); /* nothing is under way */
BVI_DEFINE_FREEP(bvi_snap_manifest, bvi_snap_manifest_free)

/* The root, its signature checked first; once, before anything else. */
void bvi_snap_manifest_load(bvi_snap_manifest *manifest, bvi_snap_manifest_fn fn, void *data);
void bvi_snap_manifest_page(bvi_snap_manifest *manifest, uint32_t index, bvi_snap_page_fn fn,
                            void *data);
/* Bytes that came from the store for the last request. */
uint64_t bvi_snap_manifest_fetched(const bvi_snap_manifest *manifest);

const bvi_snap_root *bvi_snap_manifest_root(const bvi_snap_manifest *manifest);
/* BLAKE3 of the root object's bytes: names the snapshot. */
const bvi_hash256 *bvi_snap_manifest_id(const bvi_snap_manifest *manifest);

#endif
