/*
 * store.h - where archives and snapshots are kept, behind one interface: a directory, a web server,
 * or an S3 bucket.
 *
 * Everything goes through the store's own calls, except the chunks of archives: those are fetched
 * and put by URL, which the store only names. One request is one call of `done`, from dispatch,
 * never from inside bvi_store_call(). Several requests may be under way. A store belongs to its
 * context's thread and outlives its requests.
 */
#ifndef BVI_TRANSFER_STORE_H
#define BVI_TRANSFER_STORE_H

#include "io/loop.h"
#include "transfer/chunk.h"
#include "transfer/s3_sign.h"

#define BVI_STORE_KEY_MAX      128u    /* characters of a store key */
#define BVI_STORE_VERSIONS_MAX 100000u /* versions of one key that are looked at */
#define BVI_STORE_LEASE_MAX    64u
/* A reservation nobody holds and nobody renewed for so long may be taken over. */
#define BVI_STORE_LEASE_SECS  3600u
#define BVI_STORE_SKEW_SECS   600u  /* clocks of hosts and servers differ by no more */
#define BVI_STORE_OBJECTS_MAX 1000u /* of one OBJECTS, unless it asks for fewer */

typedef enum bvi_store_verb {
    BVI_STORE_GET,      /* key, max -> bytes */
    BVI_STORE_PUT,      /* key, bytes: durable and whole, or not at all */
    BVI_STORE_STAT,     /* key -> size */
    BVI_STORE_VERSIONS, /* store_key -> versions that are complete, ascending */
    BVI_STORE_RESERVE,  /* store_key, version (0: next), lease -> version */
    BVI_STORE_RELEASE,  /* store_key, version: complete, or given up */
    BVI_STORE_LIST,     /* store_key (NULL: all) -> infos */
    BVI_STORE_PRUNE, /* store_key (NULL: all), max_age_secs: removes abandoned uploads -> size: how
                        many */
    BVI_STORE_READ,  /* key, offset, into, into_len: exactly these bytes of an object; the request
                        goes on by itself after a broken connection */
    BVI_STORE_OBJECTS, /* key: a prefix -> objects below it, in order of their keys, at most `max`
                          (0: 1000) behind `after`; more to come: reply.more */
    BVI_STORE_REMOVE,  /* key: the object; no such object is no error */
    BVI_STORE_LEASES,  /* store_key -> reservations that are alive, with their bases */
    BVI_STORE_VERBS,
} bvi_store_verb;

typedef enum bvi_store_format {
    BVI_STORE_ANY,
    BVI_STORE_ARCHIVE,  /* manifest-header.json and manifest-body.json */
    BVI_STORE_SNAPSHOT, /* snapshot.json: doc/snapshot-format.md */
} bvi_store_format;

typedef struct bvi_store_request {
    bvi_store_verb verb;
    bvi_store_format format; /* VERSIONS, LIST: only these */
    const char *key;         /* object key; copied */
    const char *store_key;   /* copied */
    uint64_t version;
    const char *lease; /* copied; NULL: whoever holds it */
    size_t max;        /* GET: BV_E_LIMIT beyond it */
    const char *bytes; /* PUT: borrowed until done */
    size_t len;
    uint64_t max_age_secs;
    bool create_only; /* PUT: BV_E_EXISTS when there is such an object, as far as the store can tell
                       */
    uint64_t base;    /* RESERVE: the version it builds on, kept by prunes; 0: none */
    int64_t since_us; /* RESERVE: it goes on with what was put since then, kept by prunes; 0: now */
    uint64_t offset;  /* READ */
    void *into;       /* READ: borrowed until done */
    size_t into_len;
    bool hasty;        /* what may pass by itself is not waited for: another store can be asked */
    const char *after; /* OBJECTS: behind this key; NULL: from the first; copied */
} bvi_store_request;

typedef struct bvi_snapshot_info {
    char key[BVI_STORE_KEY_MAX + 1];
    bvi_store_format format;
    uint64_t version;
    uint64_t total_bytes;
    uint64_t stored_bytes; /* of a snapshot: what it shares with others included */
    uint64_t chunks;
    bvi_compression compression;
    int64_t created_us; /* since 1970 */
} bvi_snapshot_info;

typedef struct bvi_store_object {
    const char *key;
    uint64_t size;
    int64_t modified_us; /* since 1970 */
} bvi_store_object;

/* A reservation: what its .lock says. Renewing it does not change when it was started. */
typedef struct bvi_store_lease {
    uint64_t version;
    uint64_t base;      /* 0: none */
    int64_t started_us; /* since 1970 */
} bvi_store_lease;

/* Valid during the call only. */
typedef struct bvi_store_reply {
    const char *bytes;
    size_t len;
    uint64_t size;
    uint64_t version;
    const uint64_t *versions;
    size_t n_versions;
    const bvi_snapshot_info *infos;
    size_t n_infos;
    const bvi_store_object *objects;
    size_t n_objects;
    bool more; /* OBJECTS: there are others behind the last one */
    const bvi_store_lease *leases;
    size_t n_leases;
} bvi_store_reply;

typedef void (*bvi_store_fn)(const bv_error *err, const bvi_store_reply *reply, void *data);

typedef struct bvi_store bvi_store;

typedef struct bvi_store_vtable {
    const char *name;
    int (*call)(bvi_store *store, const bvi_store_request *request, bvi_store_fn done, void *data,
                bv_error **err);
    /* Where the object is, for getting or putting it; NULL: no memory. */
    char *(*url)(const bvi_store *store, const char *key, bool put);
    void (*cancel)(bvi_store *store); /* hurries all requests */
    /* Optional: see bvi_store_set_limits(). */
    void (*set_limits)(bvi_store *store, uint32_t connections, uint64_t bytes_per_s);
    /* Optional: see bvi_store_blame(). */
    bool (*blame)(bvi_store *store, const char *key);
    void (*free)(bvi_store *store); /* nothing is under way */
} bvi_store_vtable;

struct bvi_store {
    const bvi_store_vtable *vtable;
    bv_ctx *ctx;
    const char *ca_file; /* trusts these at its URLs; NULL: the system's */
};

typedef struct bvi_store_opts {
    const bvi_s3_credentials *keys; /* S3: copied; NULL: as s3_config.h says */
    const char *ca_file;  /* HTTP and S3: trust these; copied; NULL: as usual. An S3 URI may have
                             its own */
    uint32_t connections; /* 0: BVI_HTTP_CONNECTIONS */
    uint64_t bytes_per_s; /* of all of them together; 0: no limit */
    const char *const *mirrors; /* URIs of stores with the same content, to be read from as well;
                                   up to a NULL; NULL: none */
} bvi_store_opts;

/* "dir:/path" (or "file:///path"), "http://...", "https://..." or "s3://bucket/prefix". */
int bvi_store_open(bv_ctx *ctx, const char *uri, bvi_store **ret_store, bv_error **err);
int bvi_store_open_with(bv_ctx *ctx, const char *uri, const bvi_store_opts *opts,
                        bvi_store **ret_store, bv_error **err); /* opts may be NULL */
int bvi_store_dir_open(bv_ctx *ctx, const char *root, bvi_store **ret_store,
                       bv_error **err); /* makes the root */
int bvi_store_http_open(bv_ctx *ctx, const char *base, const char *ca_file, bvi_store **ret_store,
                        bv_error **err); /* ca_file may be NULL */
/* See s3_config.h about the URI; keys NULL: as it says there. */
int bvi_store_s3_open(bv_ctx *ctx, const char *uri, const bvi_s3_credentials *keys,
                      bvi_store **ret_store, bv_error **err);

/*
 * A store of several with the same content: writes go to the first, reads wherever they are
 * fastest. It owns its members; what fails leaves them the caller's.
 */
int bvi_store_mirror_new(bvi_store *first, bvi_store **ret_store, bv_error **err);
int bvi_store_mirror_add(bvi_store *mirror, bvi_store *store, bv_error **err);

static inline int bvi_store_call(bvi_store *store, const bvi_store_request *request,
                                 bvi_store_fn done, void *data, bv_error **err)
{
    return store->vtable->call(store, request, done, data, err);
}
/* Most connections (0: the usual) and bytes per second of requests that are begun from now on;
 * directories have neither. */
static inline void bvi_store_set_limits(bvi_store *store, uint32_t connections,
                                        uint64_t bytes_per_s)
{
    if (store->vtable->set_limits)
        store->vtable->set_limits(store, connections, bytes_per_s);
}
/* Bytes of this object were wrong. True: the next request may get others, from another place. */
static inline bool bvi_store_blame(bvi_store *store, const char *key)
{
    return store->vtable->blame && store->vtable->blame(store, key);
}
static inline void bvi_store_free(bvi_store *store)
{
    if (store)
        store->vtable->free(store);
}
BVI_DEFINE_FREEP(bvi_store, bvi_store_free)

/* Letters, digits, '-' and '_'; keys in a store are lower case, so the copy is. */
int bvi_store_key_normalise(const char *store_key, char **ret_key, bv_error **err);
/* "<store_key>/<version>/<name>" and "<store_key>/<version>/data.part_<index>". NULL: no memory. */
char *bvi_store_object_key(const char *store_key, uint64_t version, const char *name);
char *bvi_store_chunk_key(const char *store_key, uint64_t version, uint32_t index);

/* "17" -> 17; 0 for anything that is not a version's name. */
uint64_t bvi_store_version_of(const char *name);

/* ---- for the stores themselves ---- */

/* A copy that owns its texts, all of them checked; what a request borrows stays borrowed. Done by
 * the caller, also after a failure. */
int bvi_store_request_copy(const bvi_store_request *request, bvi_store_request *ret_copy,
                           bv_error **err);
void bvi_store_request_done(bvi_store_request *copy);

/* The text of a .lock: lease, base and start, a line each. Older ones have the lease only. */
#define BVI_STORE_LOCK_MAX 192u
typedef struct bvi_store_lock {
    char lease[BVI_STORE_LEASE_MAX + 1]; /* "": nobody's */
    uint64_t base;
    int64_t started_us; /* 0: it does not say */
} bvi_store_lock;

void bvi_store_lock_parse(const char *text, size_t len, bvi_store_lock *ret_lock);
size_t bvi_store_lock_print(const bvi_store_lock *lock, char text[BVI_STORE_LOCK_MAX]);
/* When the upload of a reservation began: the earliest that is known of. */
int64_t bvi_store_lock_start(const bvi_store_lock *old, int64_t since_us, int64_t now_us);
/* NULL matches nobody's. */
bool bvi_store_lock_is_of(const bvi_store_lock *lock, const char *lease);

/* Which format makes a version with these objects complete; BVI_STORE_ANY: none. */
bvi_store_format bvi_store_format_of(bool has_header, bool has_body, bool has_root);
static inline bool bvi_store_format_wanted(bvi_store_format wanted, bvi_store_format found)
{
    return found != BVI_STORE_ANY && (wanted == BVI_STORE_ANY || wanted == found);
}

#define BVI_STORE_HEADER       "manifest-header.json"
#define BVI_STORE_BODY         "manifest-body.json"
#define BVI_STORE_ROOT         "snapshot.json"
#define BVI_STORE_LOCK         ".lock"
#define BVI_STORE_CHUNK_PREFIX "data.part_"

#endif
