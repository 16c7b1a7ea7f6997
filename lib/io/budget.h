/*
 * budget.h - what all transfers of a context share: memory, connections, open files, and bandwidth
 * down and up. Used by lib/net/http.c for connections and bandwidth, and by the transfer and
 * snapshot engines for memory and files.
 *
 *     bvi_claim_init(&self->claim, ctx, on_granted, self);
 *     r = bvi_claim_ask(&self->claim, &(bvi_amounts){ .memory = bytes, .files = 2 }, what, err);
 *     r < 0: it can never be; r == 0: on_granted() comes; r == 1: it is ours already
 *     ...
 *     bvi_claim_release(&self->claim);
 *
 * Claims are granted first in, first out: one that does not fit holds back those behind it that
 * want any of the same things, so that nobody starves. To rule out that claims wait for each other,
 * whoever waits for memory or files holds none of them, and whoever holds a connection waits for
 * nothing but bandwidth. What would only make things faster is tried with bvi_claim_try().
 *
 * Lowering a limit takes nothing back: grants wait until enough was released. What then is larger
 * than the whole limit is granted when nothing else is out.
 *
 * Bandwidth is given out in turns of a quantum: a user that has used up its turn waits for another
 * one, behind all others that wait. All functions are for the context's own thread; callbacks come
 * from dispatch.
 */
#ifndef BVI_IO_BUDGET_H
#define BVI_IO_BUDGET_H

#include "io/loop.h"

/* Limits until others are set. Bandwidth has none then. */
#define BVI_BUDGET_MEMORY_MIB_DEFAULT  1024u
#define BVI_BUDGET_CONNECTIONS_DEFAULT 64u
#define BVI_BUDGET_FILES_DEFAULT       512u

typedef enum bvi_resource {
    BVI_RESOURCE_MEMORY, /* bytes */
    BVI_RESOURCE_CONNECTIONS,
    BVI_RESOURCE_FILES,
    BVI_RESOURCES,
} bvi_resource;

typedef enum bvi_direction {
    BVI_DOWN,
    BVI_UP,
    BVI_DIRECTIONS,
} bvi_direction;

typedef struct bvi_amounts {
    uint64_t memory;
    uint64_t connections;
    uint64_t files;
} bvi_amounts;

/* ---- limits ---- */

typedef struct bvi_limits {
    uint64_t of[BVI_RESOURCES];           /* 0: the default */
    uint64_t bytes_per_s[BVI_DIRECTIONS]; /* 0: none */
} bvi_limits;

typedef struct bvi_budget_use {
    uint64_t out[BVI_RESOURCES];
    uint64_t waiting;                     /* claims */
    uint64_t moved[BVI_DIRECTIONS];       /* bytes so far, over connections of the budget */
    uint64_t waiting_for[BVI_DIRECTIONS]; /* connections that wait for their turn of bandwidth */
} bvi_budget_use;

/* BV_E_NOMEM changes nothing. */
int bvi_budget_set(bv_ctx *ctx, const bvi_limits *limits, bv_error **err);
bvi_limits bvi_budget_limits(const bv_ctx *ctx); /* defaults filled in */
bvi_budget_use bvi_budget_now(const bv_ctx *ctx);

/* ---- claims ---- */

typedef struct bvi_claim bvi_claim;

/* Embedded by its user. All zero is a claim of nothing that may be released. */
struct bvi_claim {
    bv_ctx *ctx;
    uint64_t of[BVI_RESOURCES];
    bool granted;
    bool waiting;
    bvi_claim *prev;
    bvi_claim *next;
    bvi_task tell;
};

void bvi_claim_init(bvi_claim *claim, bv_ctx *ctx, void (*granted)(void *data), void *data);
/*
 * 1: granted, no callback comes. 0: the callback comes. BV_E_INVALID: larger than the whole limit;
 * the message says what of and names the setting. `what` is who asks, as in "packing one chunk".
 */
int bvi_claim_ask(bvi_claim *claim, const bvi_amounts *amounts, const char *what, bv_error **err);
/* Granted now, before nobody who waits, or not at all. */
bool bvi_claim_try(bvi_claim *claim, const bvi_amounts *amounts);
void bvi_claim_shrink(bvi_claim *claim, bvi_resource resource,
                      uint64_t to); /* gives back the rest */
/* Gives back what was granted, or waits no longer. May be called at any time and again. */
void bvi_claim_release(bvi_claim *claim);

/* ---- bandwidth ---- */

typedef struct bvi_turn bvi_turn;

/* One user's share of a direction's bandwidth, embedded by it. */
struct bvi_turn {
    bv_ctx *ctx;
    bvi_direction direction;
    int64_t credit; /* bytes it may still move; below 0: it moved more */
    bool waiting;
    bvi_turn *prev;
    bvi_turn *next;
    bvi_task tell;
};

void bvi_turn_init(bvi_turn *turn, bv_ctx *ctx, bvi_direction direction, void (*ready)(void *data),
                   void *data);
/* May it move some bytes now? If not, its callback comes when it may; asking again is fine. */
bool bvi_turn_ready(bvi_turn *turn);
/* So many at a time keep things even; UINT64_MAX without a limit. */
uint64_t bvi_turn_quantum(const bvi_turn *turn);
void bvi_turn_used(bvi_turn *turn, uint64_t bytes);
void bvi_turn_done(bvi_turn *turn); /* at any time and again */

#endif
