/*
 * world.h - everything a manager needs, in the test's directory, with containers and agents that
 * are not there.
 *
 * A world outlives its managers: world_crash() ends one as a SIGKILL would (nothing is written any
 * more, containers and agents live on) and world_load() begins the next. Time stands still until it
 * is turned.
 */
#ifndef NODE_WORLD_H
#define NODE_WORLD_H

#include "bvt.h"
#include "fake_agent.h"
#include "node/node.h"

#define WORLD_NODES_MAX 8
#define SECOND_US       INT64_C(1000000)

/* What a call of the manager came to. Lives as long as the test. */
typedef struct answer {
    bool done;
    int code;
    char story[8192];
    bvi_json *result; /* freed by world_close() */
    unsigned reports; /* of progress */
    bv_op *op;
    struct answer *next;
} answer;

typedef struct world world;

/* Passes calls on to the fake driver, which knows nothing of managers that come and go. */
typedef struct shim {
    bvi_driver base;
    world *world;
    struct shim_call *calls; /* under way; orphaned when the shim goes */
} shim;

struct world {
    bvt_clock clock;
    bvt_log log;
    bv_ctx *ctx;
    bvi_host_paths paths;
    bvi_image_store *images;
    bvi_snapshots *snapshots;
    char *store_uri;
    bvi_events *events;
    bvi_driver *driver; /* the fake one */
    bvi_manager *manager;
    answer *answers;
    struct {
        char id[64];
        fake_agent *agent;
    } agents[WORLD_NODES_MAX];
    bool agents_mute; /* new containers get no agent */
    unsigned steps;   /* answers of the driver and the agents so far */
    const char *hang; /* the driver never answers this operation */
};

/* An image "chain/main:1" is in the store; its plugin's init makes and starts the job "svc". */
void world_open(world *w);
void world_close(world *w);
void world_load(world *w);
int world_try_load(world *w, bv_error **err);
/* Frees the manager with whatever is under way. */
void world_crash(world *w);

/* Turns until nothing is left to do at this time. */
void world_settle(world *w);
/* One turn of the loop. */
void world_turn(world *w);
/* Turns the clock in steps of a second and settles after each. */
void world_pass(world *w, int64_t us);
void world_until(world *w, const answer *a);

/* Calls the manager; arguments are JSON with ' for ". Not settled. */
answer *world_begin(world *w, const char *method, const char *args);
answer *world_answer(world *w); /* an empty one */
/* A reply that ends in an answer of the caller's; NULL: no memory. */
bvi_reply *world_reply(world *w, answer *a);
/* Called and settled; has an answer. */
answer *world_call(world *w, const char *method, const char *args);
/* The same, for a call about the node "n". */
#define world_do(w, method) world_call(w, method, "{'node':'n'}")
void world_assert(const answer *a, int code, const char *says);
#define assert_ok(a) world_assert((a), BV_OK, "")

/* Makes "n" and starts it. */
void world_create(world *w);
void world_start(world *w);

bvi_node *world_node(world *w);    /* "n"; NULL: there is none */
fake_agent *world_agent(world *w); /* of "n" */
/* Turns until the container of "n" runs: its agent is there, and nobody has talked to it. */
void world_until_container(world *w);
/* The container of "n" ends by itself. */
void world_kill(world *w);
const char *world_status(world *w); /* of "n", from its document */
const char *world_expected(world *w);
const char *world_problem(world *w); /* "": none */
bool world_has_event(world *w, const char *type);
/* Files and directories below nodes/, without the quarantined. */
unsigned world_node_dirs(world *w);
bvi_container_state world_container(world *w, const char *id);

#endif
