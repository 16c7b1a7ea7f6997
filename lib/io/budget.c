/*
 * budget.c - see budget.h. Claims wait in one list for all resources; bandwidth is a token bucket
 * for each direction, whose users wait in a list of their own and take turns.
 */
#include "io/ctx_impl.h"

/* A turn of bandwidth is this part of a second's bytes, within these bounds. */
#define TURNS_A_SECOND 64
#define TURN_MIN       (16 * 1024)
#define TURN_MAX       (512 * 1024)
/* What an idle bucket saves up, as a part of a second's bytes. */
#define BURST_PART 16
#define US         1000000

/* A limit beyond this is none that arithmetic must care about. */
#define RATE_MAX (1ull << 40)

static const struct {
    const char *name;
    const char *setting;
    uint64_t unit;
    uint64_t normal;
} resources[BVI_RESOURCES] = {
    [BVI_RESOURCE_MEMORY] = { "MiB of memory", "memory_mib", 1u << 20,
                              (uint64_t)BVI_BUDGET_MEMORY_MIB_DEFAULT << 20 },
    [BVI_RESOURCE_CONNECTIONS] = { "connections", "connections", 1,
                                   BVI_BUDGET_CONNECTIONS_DEFAULT },
    [BVI_RESOURCE_FILES] = { "open files", "open_files", 1, BVI_BUDGET_FILES_DEFAULT },
};

static uint64_t limit_of(const bv_ctx *ctx, bvi_resource resource)
{
    uint64_t limit = ctx->budget.limits.of[resource];

    return limit ? limit : resources[resource].normal;
}

/* ---- claims ---- */

static bool fits(const bv_ctx *ctx, const bvi_claim *claim)
{
    const bvi_budget *budget = &ctx->budget;

    for (unsigned i = 0; i < BVI_RESOURCES; i++) {
        uint64_t limit = limit_of(ctx, i);

        if (claim->of[i] == 0 || budget->out[i] == 0)
            continue; /* the first may be larger than a limit that was lowered meanwhile */
        if (budget->out[i] >= limit || claim->of[i] > limit - budget->out[i])
            return false;
    }
    return true;
}

static void grant(bvi_claim *claim)
{
    for (unsigned i = 0; i < BVI_RESOURCES; i++)
        claim->ctx->budget.out[i] += claim->of[i];
    claim->granted = true;
}

static unsigned wants(const bvi_claim *claim)
{
    unsigned mask = 0;

    for (unsigned i = 0; i < BVI_RESOURCES; i++)
        mask |= claim->of[i] ? 1u << i : 0;
    return mask;
}

/* Resources that claims already waiting want. */
static unsigned wanted(const bv_ctx *ctx)
{
    unsigned mask = 0;

    for (const bvi_claim *it = ctx->budget.claims; it; it = it->next)
        mask |= wants(it);
    return mask;
}

static void enqueue(bvi_claim *claim)
{
    bvi_budget *budget = &claim->ctx->budget;

    claim->waiting = true;
    claim->next = NULL;
    claim->prev = budget->claims_tail;
    if (claim->prev)
        claim->prev->next = claim;
    else
        budget->claims = claim;
    budget->claims_tail = claim;
    budget->waiting++;
}

static void dequeue(bvi_claim *claim)
{
    bvi_budget *budget = &claim->ctx->budget;

    if (claim->prev)
        claim->prev->next = claim->next;
    else
        budget->claims = claim->next;
    if (claim->next)
        claim->next->prev = claim->prev;
    else
        budget->claims_tail = claim->prev;
    claim->waiting = false;
    budget->waiting--;
}

static void serve_claims(bv_ctx *ctx)
{
    unsigned held_back = 0;
    bvi_claim *next;

    for (bvi_claim *it = ctx->budget.claims; it; it = next) {
        unsigned mask = wants(it);

        next = it->next;
        if ((mask & held_back) || !fits(ctx, it)) {
            held_back |= mask;
            continue;
        }
        dequeue(it);
        grant(it);
        bvi_task_post(&it->tell);
    }
}

void bvi_claim_init(bvi_claim *claim, bv_ctx *ctx, void (*granted)(void *data), void *data)
{
    *claim = (bvi_claim){ .ctx = ctx };
    bvi_task_init(&claim->tell, ctx, granted, data);
}

static void set_amounts(bvi_claim *claim, const bvi_amounts *amounts)
{
    claim->of[BVI_RESOURCE_MEMORY] = amounts->memory;
    claim->of[BVI_RESOURCE_CONNECTIONS] = amounts->connections;
    claim->of[BVI_RESOURCE_FILES] = amounts->files;
}

static int check_amounts(const bvi_claim *claim, const char *what, bv_error **err)
{
    for (unsigned i = 0; i < BVI_RESOURCES; i++) {
        uint64_t limit = limit_of(claim->ctx, i);
        uint64_t unit = resources[i].unit;

        if (claim->of[i] > limit)
            return bvi_fail(err, BV_E_INVALID,
                            "%s needs %llu %s, but all transfers together may have %llu; raise "
                            "%s of the transfer limits",
                            what, (unsigned long long)((claim->of[i] + unit - 1) / unit),
                            resources[i].name, (unsigned long long)(limit / unit),
                            resources[i].setting);
    }
    return 0;
}

int bvi_claim_ask(bvi_claim *claim, const bvi_amounts *amounts, const char *what, bv_error **err)
{
    int r;

    bvi_claim_release(claim);
    set_amounts(claim, amounts);
    r = check_amounts(claim, what, err);
    if (r < 0)
        return r;
    if (!(wants(claim) & wanted(claim->ctx)) && fits(claim->ctx, claim)) {
        grant(claim);
        return 1;
    }
    enqueue(claim);
    return 0;
}

bool bvi_claim_try(bvi_claim *claim, const bvi_amounts *amounts)
{
    bvi_claim_release(claim);
    set_amounts(claim, amounts);
    if (check_amounts(claim, "", NULL) < 0 || (wants(claim) & wanted(claim->ctx)) ||
        !fits(claim->ctx, claim))
        return false;
    grant(claim);
    return true;
}

void bvi_claim_shrink(bvi_claim *claim, bvi_resource resource, uint64_t to)
{
    if (!claim->granted || claim->of[resource] <= to)
        return;
    claim->ctx->budget.out[resource] -= claim->of[resource] - to;
    claim->of[resource] = to;
    serve_claims(claim->ctx);
}

void bvi_claim_release(bvi_claim *claim)
{
    if (!claim->ctx)
        return;
    bvi_task_done(&claim->tell);
    if (claim->waiting) {
        dequeue(claim);
    } else if (claim->granted) {
        for (unsigned i = 0; i < BVI_RESOURCES; i++)
            claim->ctx->budget.out[i] -= claim->of[i];
        claim->granted = false;
    } else {
        return;
    }
    serve_claims(claim->ctx);
}

/* ---- bandwidth ---- */

static bvi_bucket *bucket_of(const bvi_turn *turn)
{
    return &turn->ctx->budget.buckets[turn->direction];
}

static int64_t quantum(const bvi_bucket *bucket)
{
    int64_t bytes = (int64_t)(bucket->rate / TURNS_A_SECOND);

    return bytes < TURN_MIN ? TURN_MIN : bytes > TURN_MAX ? TURN_MAX : bytes;
}

static int64_t burst(const bvi_bucket *bucket)
{
    int64_t bytes = (int64_t)(bucket->rate / BURST_PART);

    return bytes < quantum(bucket) ? quantum(bucket) : bytes;
}

static void refill(bv_ctx *ctx, bvi_bucket *bucket)
{
    int64_t now_us = bvi_ctx_now_us(ctx);
    uint64_t passed_us = (uint64_t)(now_us - bucket->at_us);
    uint64_t gained;

    bucket->at_us = now_us;
    if (passed_us > 100 * (uint64_t)US)
        passed_us = 100 * (uint64_t)US; /* keeps the product small; a debt is never that old */
    /* What is less than a byte is kept, or many small steps would lose much. */
    gained = bucket->rate / US * passed_us + (bucket->rate % US * passed_us + bucket->rest) / US;
    bucket->rest = (bucket->rate % US * passed_us + bucket->rest) % US;
    bucket->tokens += (int64_t)gained;
    if (bucket->tokens > burst(bucket))
        bucket->tokens = burst(bucket);
}

static void turn_enqueue(bvi_bucket *bucket, bvi_turn *turn)
{
    turn->waiting = true;
    turn->next = NULL;
    turn->prev = bucket->tail;
    if (turn->prev)
        turn->prev->next = turn;
    else
        bucket->head = turn;
    bucket->tail = turn;
    bucket->waiting++;
}

static void turn_dequeue(bvi_bucket *bucket, bvi_turn *turn)
{
    if (turn->prev)
        turn->prev->next = turn->next;
    else
        bucket->head = turn->next;
    if (turn->next)
        turn->next->prev = turn->prev;
    else
        bucket->tail = turn->prev;
    turn->waiting = false;
    bucket->waiting--;
}

static void give(bvi_bucket *bucket, bvi_turn *turn)
{
    int64_t bytes = quantum(bucket);

    turn->credit += bytes;
    bucket->tokens -= bytes;
}

/* Sets the timer for when the next turn can be given. */
static void arm(bvi_bucket *bucket)
{
    uint64_t missing = bucket->tokens > 0 ? 0 : (uint64_t)(1 - bucket->tokens);

    if (!bucket->head)
        bvi_timer_clear(bucket->timer);
    else /* a timer that was made can be set */
        (void)bvi_timer_set(bucket->timer, (int64_t)(missing * US / bucket->rate) + 1, NULL);
}

static void serve_turns(bvi_bucket *bucket)
{
    while (bucket->head && (bucket->rate == 0 || bucket->tokens > 0)) {
        bvi_turn *turn = bucket->head;

        turn_dequeue(bucket, turn);
        if (bucket->rate)
            give(bucket, turn);
        if (bucket->rate && turn->credit <= 0)
            turn_enqueue(bucket, turn);
        else
            bvi_task_post(&turn->tell);
    }
    arm(bucket);
}

static void on_refill(bvi_timer *timer, void *data)
{
    bvi_bucket *bucket = data;

    (void)timer;
    refill(bucket->ctx, bucket);
    serve_turns(bucket);
}

void bvi_turn_init(bvi_turn *turn, bv_ctx *ctx, bvi_direction direction, void (*ready)(void *data),
                   void *data)
{
    *turn = (bvi_turn){ .ctx = ctx, .direction = direction };
    bvi_task_init(&turn->tell, ctx, ready, data);
}

bool bvi_turn_ready(bvi_turn *turn)
{
    bvi_bucket *bucket = bucket_of(turn);

    if (bucket->rate == 0)
        return true;
    if (turn->waiting)
        return false;
    if (turn->credit > 0)
        return true;
    refill(turn->ctx, bucket);
    while (!bucket->head && bucket->tokens > 0 && turn->credit <= 0)
        give(bucket, turn);
    if (turn->credit > 0)
        return true;
    turn_enqueue(bucket, turn);
    if (!bvi_timer_is_set(bucket->timer))
        arm(bucket);
    return false;
}

uint64_t bvi_turn_quantum(const bvi_turn *turn)
{
    const bvi_bucket *bucket = bucket_of(turn);

    return bucket->rate ? (uint64_t)quantum(bucket) : UINT64_MAX;
}

void bvi_turn_used(bvi_turn *turn, uint64_t bytes)
{
    bvi_bucket *bucket = bucket_of(turn);

    bucket->moved += bytes;
    if (bucket->rate)
        turn->credit -= (int64_t)bytes;
    else
        turn->credit = 0; /* a limit set later begins with nothing owed */
}

void bvi_turn_done(bvi_turn *turn)
{
    bvi_bucket *bucket;

    if (!turn->ctx)
        return;
    bucket = bucket_of(turn);
    bvi_task_done(&turn->tell);
    if (turn->waiting) {
        turn_dequeue(bucket, turn);
        arm(bucket);
    }
    if (bucket->rate)
        bucket->tokens += turn->credit; /* what it did not use, or owes */
    turn->credit = 0;
}

/* ---- limits ---- */

void bvi_budget_open(bv_ctx *ctx)
{
    for (unsigned i = 0; i < BVI_DIRECTIONS; i++)
        ctx->budget.buckets[i].ctx = ctx;
}

void bvi_budget_close(bv_ctx *ctx)
{
    for (unsigned i = 0; i < BVI_DIRECTIONS; i++) {
        bvi_timer_free(ctx->budget.buckets[i].timer);
        ctx->budget.buckets[i].timer = NULL;
    }
}

static void set_rate(bv_ctx *ctx, bvi_bucket *bucket, uint64_t rate)
{
    if (rate > RATE_MAX)
        rate = RATE_MAX;
    if (rate == bucket->rate)
        return;
    refill(ctx, bucket);
    bucket->rate = rate;
    bucket->rest = 0;
    if (bucket->tokens > burst(bucket) || bucket->tokens < -burst(bucket))
        bucket->tokens = 0; /* counted in the old measure */
    serve_turns(bucket);
}

int bvi_budget_set(bv_ctx *ctx, const bvi_limits *limits, bv_error **err)
{
    bvi_budget *budget = &ctx->budget;

    for (unsigned i = 0; i < BVI_DIRECTIONS; i++) {
        bvi_bucket *bucket = &budget->buckets[i];
        int r = 0;

        if (limits->bytes_per_s[i] && !bucket->timer)
            r = bvi_timer_new(ctx, on_refill, bucket, &bucket->timer, err);
        if (r < 0)
            return r;
    }
    budget->limits = *limits;
    for (unsigned i = 0; i < BVI_DIRECTIONS; i++) {
        if (budget->buckets[i].timer)
            set_rate(ctx, &budget->buckets[i], limits->bytes_per_s[i]);
    }
    serve_claims(ctx);
    return 0;
}

bvi_limits bvi_budget_limits(const bv_ctx *ctx)
{
    bvi_limits limits = ctx->budget.limits;

    for (unsigned i = 0; i < BVI_RESOURCES; i++)
        limits.of[i] = limit_of(ctx, i);
    return limits;
}

bvi_budget_use bvi_budget_now(const bv_ctx *ctx)
{
    const bvi_budget *budget = &ctx->budget;
    bvi_budget_use use = { .waiting = budget->waiting };

    for (unsigned i = 0; i < BVI_RESOURCES; i++)
        use.out[i] = budget->out[i];
    for (unsigned i = 0; i < BVI_DIRECTIONS; i++) {
        use.moved[i] = budget->buckets[i].moved;
        use.waiting_for[i] = budget->buckets[i].waiting;
    }
    return use;
}
