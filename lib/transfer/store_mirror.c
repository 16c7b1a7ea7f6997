/*
 * store_mirror.c - a store made of several with the same content. All writing, and what must be
 * true at this moment (reservations, listings of objects), goes to the first; reading goes where it
 * is fastest, and elsewhere when it fails or when its bytes turned out wrong.
 *
 * Who is fastest is learnt: a member's rate divided by what it is busy with already, so several
 * good ones share the work. One that failed is left alone for a while. Only when all have failed in
 * haste is one of them asked with all the patience a store has.
 */
#include <string.h>

#include "transfer/limits.h"
#include "transfer/store.h"

#define MEMBERS_MAX 16u
/* A member that failed is spared for so long, twice as long each time. */
#define SPARE_US     10000000ll
#define SPARE_MAX_US 600000000ll
/* Who served what of late, and whose bytes were wrong. */
#define SERVED_MAX 256u

typedef struct member {
    bvi_store *store;
    uint64_t pace; /* bytes per second; 0: not known yet */
    unsigned busy;
    unsigned failures; /* in a row */
    int64_t spared_until_us;
} member;

typedef struct serving {
    uint64_t key; /* hash; 0: none */
    uint8_t member;
    bool wrong;
} serving;

typedef struct store_mirror {
    bvi_store store;
    member members[MEMBERS_MAX];
    size_t n_members;
    serving served[SERVED_MAX]; /* a ring */
    size_t next_served;
} store_mirror;

/* A request that may be asked of more than one member. */
typedef struct call {
    store_mirror *mirror;
    bvi_store_request req; /* owns its texts */
    bvi_store_fn done;
    void *data;
    size_t at; /* member */
    uint32_t tried;
    bool patient; /* the last try */
    int64_t begun_us;
    bv_error *err; /* of the member that counts most */
} call;

/* Reading, which any member can do. VERSIONS and LIST only when the first cannot. */
static bool is_shared(bvi_store_verb verb)
{
    return verb == BVI_STORE_GET || verb == BVI_STORE_STAT || verb == BVI_STORE_READ ||
           verb == BVI_STORE_VERSIONS || verb == BVI_STORE_LIST;
}

static bool wants_newest(bvi_store_verb verb)
{
    return verb == BVI_STORE_VERSIONS || verb == BVI_STORE_LIST;
}

/* FNV-1a; a collision costs one needless detour. */
static uint64_t hash_of(const char *key)
{
    uint64_t h = 1469598103934665603ull;

    for (; key && *key; key++)
        h = (h ^ (uint8_t)*key) * 1099511628211ull;
    return h | 1;
}

/* ---- who served what ---- */

static bool was_wrong(const store_mirror *m, uint64_t key, size_t at)
{
    for (size_t i = 0; i < SERVED_MAX; i++) {
        if (m->served[i].wrong && m->served[i].key == key && m->served[i].member == at)
            return true;
    }
    return false;
}

static void note_served(store_mirror *m, uint64_t key, size_t at)
{
    for (size_t i = 0; i < SERVED_MAX; i++) {
        if (m->served[i].key == key && m->served[i].member == at)
            return;
    }
    m->served[m->next_served] = (serving){ .key = key, .member = (uint8_t)at };
    m->next_served = (m->next_served + 1) % SERVED_MAX;
}

static void spare(store_mirror *m, size_t at)
{
    member *who = &m->members[at];
    int64_t us = SPARE_US << (who->failures < 6 ? who->failures : 6);

    who->failures++;
    who->spared_until_us = bvi_ctx_now_us(m->store.ctx) + (us < SPARE_MAX_US ? us : SPARE_MAX_US);
}

/* ---- choosing ---- */

/* Greater is better. */
static uint64_t score(const call *c, size_t at)
{
    const store_mirror *m = c->mirror;
    const member *who = &m->members[at];
    uint64_t rate = who->pace ? who->pace : 1ull << 40; /* to be tried */

    if (wants_newest(c->req.verb)) /* in their order */
        rate = (1ull << 40) >> at;
    else
        rate /= who->busy + 1;
    if (who->spared_until_us > bvi_ctx_now_us(m->store.ctx))
        rate = rate >> 20;
    if (c->req.key && was_wrong(m, hash_of(c->req.key), at))
        rate = 0;
    return rate + 1;
}

/* The best that was not tried yet; n_members: there is none. */
static size_t choose(const call *c)
{
    size_t best = c->mirror->n_members;
    uint64_t best_score = 0;

    for (size_t i = 0; i < c->mirror->n_members; i++) {
        uint64_t s = c->tried & (1u << i) ? 0 : score(c, i);

        if (s > best_score) {
            best = i;
            best_score = s;
        }
    }
    return best;
}

/* ---- one request ---- */

static int ask_member(call *c, size_t at, bv_error **err);

static void call_free(call *c)
{
    bvi_store_request_done(&c->req);
    bv_error_free(c->err);
    bvi_free(c);
}

/* A pack that one lacks may be where nobody answers. A small object that one lacks is not there at
 * all: many are optional, and a place that is down must not keep others from being used. */
static void keep_error(call *c, const bv_error *err)
{
    bool missing = bv_error_code(err) == BV_E_NOT_FOUND;
    bool told = c->err && bv_error_code(c->err) != BV_E_NOT_FOUND;

    if (c->err && (c->req.verb == BVI_STORE_READ ? told : !(missing && told)))
        return;
    bv_error_free(c->err);
    c->err = bvi_error_copy(err);
}

static bool is_final(int code)
{
    return code == BV_E_CANCELLED || code == BV_E_NOMEM || code == BV_E_INVALID ||
           code == BV_E_LIMIT;
}

static void learn(call *c, const bv_error *err)
{
    member *who = &c->mirror->members[c->at];
    int64_t us = bvi_ctx_now_us(c->mirror->store.ctx) - c->begun_us;
    int code = bv_error_code(err);

    who->busy--;
    if (bvi_retry_is_worth(code) || code == BV_E_DENIED || code == BV_E_UNSUPPORTED ||
        code == BV_E_IO)
        spare(c->mirror, c->at);
    if (err)
        return;
    who->failures = 0;
    if (c->req.verb == BVI_STORE_READ && c->req.into_len >= BVI_PROGRESS_BYTES && us > 0) {
        uint64_t rate = c->req.into_len * 1000000ull / (uint64_t)us;

        who->pace = who->pace ? (who->pace * 3 + rate) / 4 : rate;
    }
    if (c->req.key)
        note_served(c->mirror, hash_of(c->req.key), c->at);
}

/* True: another member was asked. */
static bool ask_next(call *c)
{
    size_t at = choose(c);
    bool again;

    if (at < c->mirror->n_members)
        return ask_member(c, at, NULL) == 0;
    again = !c->patient && bvi_retry_is_worth(bv_error_code(c->err));
    if (!again)
        return false;
    c->patient = true;
    c->tried = 0;
    at = choose(c);
    c->tried = UINT32_MAX;
    return ask_member(c, at, NULL) == 0;
}

static void on_answer(const bv_error *err, const bvi_store_reply *reply, void *data)
{
    call *c = data;

    learn(c, err);
    if (err) {
        keep_error(c, err);
        if (!is_final(bv_error_code(err)) && ask_next(c))
            return;
    }
    c->done(err ? (is_final(bv_error_code(err)) ? err : c->err) : NULL, reply, c->data);
    call_free(c);
}

static int ask_member(call *c, size_t at, bv_error **err)
{
    bvi_store_request req = c->req;
    int r;

    req.hasty = !c->patient;
    c->at = at;
    c->tried |= 1u << at;
    c->begun_us = bvi_ctx_now_us(c->mirror->store.ctx);
    r = bvi_store_call(c->mirror->members[at].store, &req, on_answer, c, err);
    if (r == 0)
        c->mirror->members[at].busy++;
    return r;
}

static int mirror_call(bvi_store *store, const bvi_store_request *request, bvi_store_fn done,
                       void *data, bv_error **err)
{
    store_mirror *m = (store_mirror *)store;
    call *c;
    int r;

    if (!is_shared(request->verb))
        return bvi_store_call(m->members[0].store, request, done, data, err);
    c = bvi_new0(call);
    if (!c)
        return bvi_fail_nomem(err);
    c->mirror = m;
    c->done = done;
    c->data = data;
    r = bvi_store_request_copy(request, &c->req, err);
    if (r == 0)
        r = ask_member(c, choose(c), err);
    if (r < 0)
        call_free(c);
    return r;
}

/* ---- the rest goes to the first, or to all ---- */

static char *mirror_url(const bvi_store *store, const char *key, bool put)
{
    const store_mirror *m = (const store_mirror *)store;

    return m->members[0].store->vtable->url(m->members[0].store, key, put);
}

static void mirror_cancel(bvi_store *store)
{
    store_mirror *m = (store_mirror *)store;

    for (size_t i = 0; i < m->n_members; i++)
        m->members[i].store->vtable->cancel(m->members[i].store);
}

static void mirror_set_limits(bvi_store *store, uint32_t connections, uint64_t bytes_per_s)
{
    store_mirror *m = (store_mirror *)store;

    for (size_t i = 0; i < m->n_members; i++)
        bvi_store_set_limits(m->members[i].store, connections, bytes_per_s / m->n_members);
}

static bool mirror_blame(bvi_store *store, const char *key)
{
    store_mirror *m = (store_mirror *)store;
    uint64_t hash = hash_of(key);
    size_t left = m->n_members;

    for (size_t i = 0; i < SERVED_MAX; i++) {
        if (m->served[i].key != hash)
            continue;
        if (!m->served[i].wrong)
            spare(m, m->served[i].member);
        m->served[i].wrong = true;
        left--;
    }
    return left > 0;
}

static void mirror_free(bvi_store *store)
{
    store_mirror *m = (store_mirror *)store;

    for (size_t i = 0; i < m->n_members; i++)
        bvi_store_free(m->members[i].store);
    bvi_free(m);
}

static const bvi_store_vtable mirror_vtable = {
    .name = "mirror",
    .call = mirror_call,
    .url = mirror_url,
    .cancel = mirror_cancel,
    .set_limits = mirror_set_limits,
    .blame = mirror_blame,
    .free = mirror_free,
};

int bvi_store_mirror_new(bvi_store *first, bvi_store **ret_store, bv_error **err)
{
    store_mirror *m = bvi_new0(store_mirror);

    if (!m)
        return bvi_fail_nomem(err);
    m->store =
        (bvi_store){ .vtable = &mirror_vtable, .ctx = first->ctx, .ca_file = first->ca_file };
    m->members[m->n_members++].store = first;
    *ret_store = &m->store;
    return 0;
}

int bvi_store_mirror_add(bvi_store *mirror, bvi_store *store, bv_error **err)
{
    store_mirror *m = (store_mirror *)mirror;

    if (m->n_members == MEMBERS_MAX)
        return bvi_fail(err, BV_E_LIMIT, "a store has more than %u mirrors", MEMBERS_MAX - 1);
    m->members[m->n_members++].store = store;
    return 0;
}
