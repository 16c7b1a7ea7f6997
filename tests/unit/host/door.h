/*
 * door.h - one host, whatever is behind it: what the tests of the one door share.
 *
 * BVT_DOOR says which: "fake" (the default), "unix" (a server in this process over a fake host),
 * "local" (the engine with the fake driver: nodes can be made but not started), "oci" (the engine
 * with containers: needs root, a runtime and BVT_BUNDLE). BVT_IMAGE is the definition of the image
 * "tiny"; what it is imported as is DOOR_IMAGE.
 */
#ifndef BVT_HOST_DOOR_H
#define BVT_HOST_DOOR_H

#include <event2/event.h>

#include <blockvisor/adapters/libevent.h>
#include <blockvisor/blockvisor.h>

#include "bvt.h"

#define DOOR_IMAGE "tiny/tiny-local-full:0.1.0"

typedef struct door {
    const char *kind;
    struct event_base *base;
    bv_libevent adapter;
    bv_ctx *ctx;
    bv_host *inner; /* unix: what the server serves */
    bv_server *server;
    bv_host *host;
} door;

/* A call and what became of it. */
typedef struct door_call {
    door *d;
    bv_op *op;
    unsigned ended; /* how often its end was told */
    unsigned reports;
    int code;
    char text[4096]; /* of the error */
    bv_doc *reply;
} door_call;

/* settings: appended to "fake:" where that is what is opened; "" or "?nodes=3". */
void door_open(door *d, const char *settings);
void door_close(door *d);
bool door_runs_nodes(const door *d);
/* Why this kind cannot be tested here; NULL: it can. */
const char *door_missing(void);

/* Starts a call; the arguments are JSON made by a format; NULL: none. Fails the test when it does
 * not start. */
void door_begin(door_call *call, door *d, const char *method, const char *args, ...)
    __attribute__((format(printf, 4, 5)));
void door_wait(door_call *call);
void door_end(door_call *call);
void door_turn(door *d);            /* one turn of the loop, waiting at most a moment */
void door_turn_ms(door *d, int ms); /* turns for so long */

/* A call from beginning to end. The reply lives until the next door_ask() or door_fails(). */
const bv_doc *door_ask(door *d, const char *method, const char *args, ...)
    __attribute__((format(printf, 3, 4)));
/* The same for a call that is refused, at once or later; what it says contains `says`. */
void door_fails(door *d, int code, const char *says, const char *method, const char *args, ...)
    __attribute__((format(printf, 5, 6)));
/* A directory to import the test image from. */
const char *door_image(void);
/* Brings the test image into the store and makes a node of it. */
void door_make_node(door *d, const char *name);

/* Values of documents, for assertions. */
const char *door_str(const bv_doc *doc, const char *key);
int64_t door_num(const bv_doc *doc, const char *key);
/* The element of an array whose `key` is this text; NULL. */
const bv_doc *door_find(const bv_doc *array, const char *key, const char *value);

#endif
