/*
 * node_state.h - what is known about a node on disk: nodes/<uuid>/state.json (spec host.md 4).
 *
 * Fields of the spec keep their names and places; what upstream does not know stands under the key
 * "local". Keys that this version does not read survive. Every write is durable and whole.
 */
#ifndef BVI_NODE_STATE_H
#define BVI_NODE_STATE_H

#include "base/json.h"

#define BVI_NODE_STATE_MAX (4u * 1024u * 1024u) /* bytes of a state file */
#define BVI_NODE_NAME_MAX  63u                  /* a host name in the container */
/* Limits beyond these are mistakes. */
#define BVI_NODE_MEMORY_MB_MAX 1000000000u
#define BVI_NODE_CPUS_MAX      4096

typedef enum bvi_expected {
    BVI_EXPECT_STOPPED = 0,
    BVI_EXPECT_RUNNING = 1,
    BVI_EXPECT_FAILED = 2, /* recovery gave up */
} bvi_expected;

/* What was begun and must be finished or undone after a crash. Starting and stopping need none:
 * there the expected status is the intent. */
typedef enum bvi_intent {
    BVI_INTENT_NONE = 0,
    BVI_INTENT_CREATE = 1, /* undone: the caller never heard that it exists */
    BVI_INTENT_DELETE = 2, /* finished */
} bvi_intent;

typedef struct bvi_node_state {
    char *id;
    char *name;
    char *protocol_key;
    char *variant_key;
    char *ip;
    char *gateway;
    char *image_id; /* in the local store */
    char *image_version;
    char *image_uri;  /* the image's name in the store */
    char *store_key;  /* "": none */
    char *network;    /* local: "host" or "none" */
    char *plugin_dir; /* local: host directory of a development node's plugin; NULL: the image's */
    char *upload_format;  /* local: of the upload asked for last; NULL: the host's choice */
    char *problem;        /* local: why it is failed; NULL when it is not */
    bvi_json *properties; /* object of strings */
    bvi_json *tags;       /* array of strings */
    bvi_json *ramdisks;   /* array */
    uint64_t memory_mb;
    int64_t snapshot_version; /* local: 0 is the latest */
    double cpus;              /* local: CPU limit, 0 for none */
    bvi_expected expected;
    bvi_intent intent;  /* local */
    int64_t created_at; /* local: Unix seconds */
    int64_t started_at; /* Unix seconds, -1 when not */
    bool initialized;
    bool dev_mode;
    bvi_json *rest; /* the document as it was read, for the keys we do not know */
} bvi_node_state;

void bvi_node_state_init(bvi_node_state *state);
void bvi_node_state_done(bvi_node_state *state);
int bvi_node_state_set(char **field, const char *text,
                       bv_error **err); /* replaces a string field */
/* BV_E_FORMAT names the field. The state must be initialised and empty. */
int bvi_node_state_parse(const char *text, size_t len, bvi_node_state *state, bv_error **err);
int bvi_node_state_print(const bvi_node_state *state, char **ret_text, bv_error **err);
int bvi_node_state_load(const char *path, bvi_node_state *state, bv_error **err);
int bvi_node_state_save(const char *path, const bvi_node_state *state, bv_error **err);

/* BV_E_INVALID names the number that cannot be. */
int bvi_node_state_check_numbers(const bvi_node_state *state, bv_error **err);

const char *bvi_expected_name(bvi_expected expected); /* "Running" ... */

#endif
