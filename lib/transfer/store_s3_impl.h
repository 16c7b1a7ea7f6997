/*
 * store_s3_impl.h - the inside of the S3 store, shared by its files: store_s3.c has requests and
 * single objects, store_s3_put.c uploads in parts, store_s3_versions.c listing and removing,
 * store_s3_reserve.c reservations.
 */
#ifndef BVI_TRANSFER_STORE_S3_IMPL_H
#define BVI_TRANSFER_STORE_S3_IMPL_H

#include "transfer/root_peek.h"
#include "transfer/s3_config.h"
#include "transfer/s3_xml.h"
#include "transfer/store_web.h"

/* Larger objects go up in parts of this size. */
#define BVI_S3_PART_BYTES (16u * 1024u * 1024u)
#define BVI_S3_PARTS_MAX  10000u
/* A URL of a chunk is good for so long; it is checked when a request begins. */
#define BVI_S3_URL_SECS 3600u
/* No listing has more pages. */
#define BVI_S3_PAGES_MAX 100000u
/* Reservations of living uploads that are passed over before giving up. */
#define BVI_S3_RESERVE_TRIES 1000u
/* Those who claim a version by a server without conditional PUT each have such an object. */
#define BVI_S3_CLAIM ".lock."

typedef struct bvi_s3_call bvi_s3_call;

/* Whether the server refuses to replace an object for "If-None-Match: *". */
typedef enum bvi_s3_conditional {
    BVI_S3_UNKNOWN,
    BVI_S3_OFFERED,
    BVI_S3_MISSING,
} bvi_s3_conditional;

typedef struct bvi_store_s3 {
    bvi_store_web web;
    char *uri; /* where the keys come from; NULL: from the program */
    bvi_s3_config config;
    bvi_s3_conditional conditional;
} bvi_store_s3;

/* What comes after a request. Owns err; the response is valid when err is NULL. */
typedef void (*bvi_s3_step_fn)(bvi_s3_call *c, const bvi_http_response *response, bv_error *err);

/* One request to the server. */
typedef struct bvi_s3_ask {
    const char *method;
    const char *key; /* below the store's prefix; NULL: the bucket */
    bvi_s3_pair params[4];
    size_t n_params;
    const char *body; /* what params and body point to stays until the step */
    size_t body_len;
    uint64_t response_max; /* 0: the usual */
    void *into;            /* as bvi_web_ask has it */
    size_t into_len;
    bool only_new; /* fails with BV_E_EXISTS if the object is there */
    bool clean_up; /* is sent even after a cancel */
    bvi_s3_step_fn step;
} bvi_s3_ask;

/* What a listing tells of one version. */
typedef struct bvi_s3_version {
    char key[BVI_STORE_KEY_MAX + 1];
    uint64_t version;
    uint64_t stored_bytes;
    uint64_t root_bytes;  /* of its root */
    int64_t published_us; /* its header's or root's time */
    int64_t touched_us;   /* its newest object's */
    int64_t locked_us;    /* its .lock's; 0: it has none */
    bool has_header;
    bool has_body;
    bool has_root;
} bvi_s3_version;

static inline bvi_store_format bvi_s3_format(const bvi_s3_version *v)
{
    return bvi_store_format_of(v->has_header, v->has_body, v->has_root);
}

/* A request of the store, which takes several of the server one after the other. */
struct bvi_s3_call {
    bvi_web_call web;
    bvi_store_s3 *store;
    bvi_s3_ask ask; /* the request under way */
    uint64_t version;
    /* PUT in parts */
    char *upload_id;
    bvi_strv etags;
    bvi_buf text; /* the list of parts */
    char number[12];
    bv_error *failed; /* why the upload is given up */
    /* VERSIONS, LIST, PRUNE: what was seen */
    char *prefix; /* of what is listed, below the store's own */
    char *full_prefix;
    bvi_s3_page page;
    uint32_t pages;
    BVI_VEC(bvi_s3_version) seen;
    size_t at; /* of seen, or of the page's objects */
    void (*walked)(bvi_s3_call *c);
    /* removing all below a prefix */
    char *after; /* spare what is not behind it; NULL: nothing */
    size_t version_at;
    bvi_s3_uploads uploads; /* in parts, that nobody completed */
    void (*wiped)(bvi_s3_call *c, bv_error *err);
    /* RESERVE */
    uint64_t probe;
    uint32_t tries;
    bool named;   /* the version was asked for */
    bool claimed; /* there is a claim of ours */
    char *claim;  /* name of our claim */
    bool looked_for_root;
    char lock[BVI_STORE_LOCK_MAX];
    /* results */
    BVI_VEC(uint64_t) versions;
    BVI_VEC(bvi_snapshot_info) infos;
    BVI_VEC(bvi_store_object) objects; /* keys are the page's */
    BVI_VEC(bvi_store_lease) leases;
    char root[BVI_ROOT_PEEK_BYTES];
    uint64_t size;
};

/* Sends a request; its step comes once, after repetitions if need be. Not when this fails. */
int bvi_s3_send(bvi_s3_call *c, const bvi_s3_ask *ask, bv_error **err);
/* The same for an object of the version. */
int bvi_s3_send_object(bvi_s3_call *c, uint64_t version, const char *name, const bvi_s3_ask *ask,
                       bv_error **err);
/* Ends the call. Owns err; response may be NULL. */
void bvi_s3_finish(bvi_s3_call *c, const bvi_http_response *response, bv_error *err);
/* A step that ends the call. */
void bvi_s3_last_step(bvi_s3_call *c, const bvi_http_response *response, bv_error *err);

/* Lists all below c->prefix into c->seen, then calls walked; the call ends if that fails. */
int bvi_s3_walk(bvi_s3_call *c, void (*walked)(bvi_s3_call *c), bv_error **err);
/* Reads the first page below c->prefix, behind `after` if that is not NULL, into c->page. */
int bvi_s3_list(bvi_s3_call *c, const char *after, bvi_s3_step_fn step, bv_error **err);
int bvi_s3_take_page(bvi_s3_call *c, const bvi_http_response *response, bv_error **err);
/* Removes all below a prefix (owned, NULL is BV_E_NOMEM), then calls wiped, which owns its error.
 */
int bvi_s3_wipe(bvi_s3_call *c, char *prefix, void (*wiped)(bvi_s3_call *c, bv_error *err),
                bv_error **err);
/* Of c->seen those of the format that are complete; ascending. */
void bvi_s3_keep_complete(bvi_s3_call *c, bvi_store_format format);

/* What requests begin with. */
int bvi_s3_run_put(bvi_s3_call *c, bv_error **err);
int bvi_s3_run_objects(bvi_s3_call *c, bv_error **err);
int bvi_s3_run_leases(bvi_s3_call *c, bv_error **err);
int bvi_s3_run_versions(bvi_s3_call *c, bv_error **err);
int bvi_s3_run_list(bvi_s3_call *c, bv_error **err);
int bvi_s3_run_prune(bvi_s3_call *c, bv_error **err);
int bvi_s3_run_release(bvi_s3_call *c, bv_error **err);
int bvi_s3_run_reserve(bvi_s3_call *c, bv_error **err);

/* 0 for 2xx; else what the server said, in words an operator can act on. */
int bvi_s3_check(const bvi_store_s3 *store, const bvi_http_response *response, bv_error **err);

#endif
