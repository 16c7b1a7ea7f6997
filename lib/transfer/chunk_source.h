/*
 * chunk_source.h - where descriptions of chunks come from, and where a finished manifest goes.
 *
 * The transfer engine never talks to a control plane or a store's layout itself: it asks a source.
 * There are two: one over a store (source_store.c, on the host), one over the engine RPC
 * (lib/agent/engine_source.c, inside a node). Chunk URLs may be http://, https:// or
 * file:///absolute/path.
 *
 * Calls are asynchronous: a function that returns 0 calls `done` exactly once, from dispatch, never
 * from inside the call. One that returns a negative code calls nothing. At most one call of a
 * source is under way at a time (BV_E_BUSY). Retries of single calls are the source's business
 * (net/backoff); what it reports is final for that call. Codes that matter: BV_E_NOT_FOUND (no
 * store, no manifest), BV_E_EXISTS (version is complete or taken; immutable), BV_E_DENIED,
 * BV_E_CANCELLED; BV_E_REMOTE, BV_E_TIMEOUT and BV_E_AGAIN are taken as passing.
 */
#ifndef BVI_TRANSFER_CHUNK_SOURCE_H
#define BVI_TRANSFER_CHUNK_SOURCE_H

#include "io/loop.h"
#include "transfer/manifest.h"

/* No request names more chunks or slots; the control plane refuses more. */
#define BVI_SOURCE_BATCH_MAX 100u

typedef struct bvi_chunk_source bvi_chunk_source;

typedef struct bvi_archive_metadata {
    uint64_t data_version;
    uint64_t total_size;
    bvi_compression compression;
    uint32_t chunks;
} bvi_archive_metadata;

/* Where to put one chunk. */
typedef struct bvi_upload_slot {
    uint32_t index;
    const char *key;
    const char *url;
} bvi_upload_slot;

typedef struct bvi_slots_request {
    uint64_t data_version;     /* 0: reserve the next one */
    uint32_t url_expires_secs; /* 0: the source's default */
    const char
        *lease; /* names this upload, so that a repeated or resumed reservation is known as the same
                   one; a source without leases may ignore it. At most 64 characters [0-9a-z-] */
    const uint32_t
        *indexes; /* ascending, at most BVI_SOURCE_BATCH_MAX; may be none: only fixes the version */
    size_t count;
} bvi_slots_request;

/* Results are NULL (or 0) when err is not NULL, and valid during the call only. */
typedef void (*bvi_source_metadata_fn)(const bv_error *err, const bvi_archive_metadata *metadata,
                                       void *data);
/* `chunks` may be taken apart: whoever needs an item longer moves it out (struct copy, then
 * bvi_chunk_init on it). */
typedef void (*bvi_source_chunks_fn)(const bv_error *err, bvi_chunk *chunks, size_t count,
                                     void *data);
typedef void (*bvi_source_slots_fn)(const bv_error *err, uint64_t data_version,
                                    const bvi_upload_slot *slots, size_t count, void *data);
typedef void (*bvi_source_put_fn)(const bv_error *err, void *data);

typedef struct bvi_chunk_source_vtable {
    const char *name; /* "store", "engine" */
    /* data_version 0: the latest. */
    int (*metadata)(bvi_chunk_source *source, uint64_t data_version, bvi_source_metadata_fn done,
                    void *data, bv_error **err);
    /* Descriptions with fresh URLs; answers may come in any order and are checked by the caller. */
    int (*chunks)(bvi_chunk_source *source, uint64_t data_version, const uint32_t *indexes,
                  size_t count, bvi_source_chunks_fn done, void *data, bv_error **err);
    int (*slots)(bvi_chunk_source *source, const bvi_slots_request *request,
                 bvi_source_slots_fn done, void *data, bv_error **err);
    /* The manifest is borrowed until done. Its chunks are in order, their keys set, their URLs
     * NULL. */
    int (*put_manifest)(bvi_chunk_source *source, uint64_t data_version,
                        const bvi_manifest *manifest, bvi_source_put_fn done, void *data,
                        bv_error **err);
    /* Hurries the call under way, if any: it still completes, usually with BV_E_CANCELLED. */
    void (*cancel)(bvi_chunk_source *source);
    /* No call is under way. */
    void (*free)(bvi_chunk_source *source);
} bvi_chunk_source_vtable;

/* First member of every implementation. */
struct bvi_chunk_source {
    const bvi_chunk_source_vtable *vtable;
    const char *ca_file; /* trust these at the URLs; NULL: the system's. Lives as long as it */
};

static inline void bvi_chunk_source_free(bvi_chunk_source *source)
{
    if (source)
        source->vtable->free(source);
}
BVI_DEFINE_FREEP(bvi_chunk_source, bvi_chunk_source_free)

#endif
