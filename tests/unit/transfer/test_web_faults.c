/* READ and PUT of a store on a web server that does what real ones do on bad days: the right bytes
 * or the right error, and hardly a byte more than needed. And the same with a mirror beside it. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "fault_http.h"
#include "transfer/store.h"

#define OBJECT "key/packs/data.part_1"
#define SIZE   (13u << 20)
#define OFFSET 1000u
#define LEN    (12u << 20)
#define ONCE   .times = 1
#define GETS   .method = "GET", .part = "data.part_1"
#define PUTS   .method = "PUT", .part = "data.part_1"

typedef struct fault_case {
    const char *name;
    fault faults[FAULTS_MAX];
    int code;
    int64_t least_ms;
    int64_t most_ms; /* 0: whatever it takes */
    unsigned again;  /* how often all bytes may be moved besides */
} fault_case;

static const fault_case reads[] = {
    { "no fault", { { 0 } } },
    { "reset before the head", { { GETS, ONCE, .raw = "", .end = FAULT_END_RESET } } },
    { "closed before the head", { { GETS, ONCE, .raw = "", .end = FAULT_END_CLOSE } } },
    { "reset in the head",
      { { GETS, ONCE, .raw = "HTTP/1.1 206 Part\r\nConte", .end = FAULT_END_RESET } } },
    { "reset in the body", { { GETS, ONCE, .body_max = 700000, .end = FAULT_END_RESET } } },
    { "closed in the body", { { GETS, ONCE, .body_max = 700001, .end = FAULT_END_CLOSE } } },
    { "closed again and again, further on each time",
      { { GETS, .times = 30, .body_max = 300000, .end = FAULT_END_CLOSE } } },
    { "closed always before the first byte",
      { { GETS, .raw = "", .end = FAULT_END_CLOSE } },
      BV_E_REMOTE,
      .least_ms = 15000 },
    { "kept connections are closed under us", { { GETS, .end = FAULT_END_CLOSE } } },
    { "nobody listens for a while", { { GETS, ONCE, .refuse_ms = 5000 } } },
    { "stall before the head",
      { { GETS, ONCE, .raw = "", .end = FAULT_END_STALL } },
      .least_ms = 30000,
      .most_ms = 40000 },
    { "stall in the body",
      { { GETS, ONCE, .body_max = 500000, .end = FAULT_END_STALL } },
      .least_ms = 30000,
      .most_ms = 40000 },
    { "stall always", { { GETS, .raw = "", .end = FAULT_END_STALL } }, BV_E_TIMEOUT },
    { "an answer that takes 20 s", { { GETS, ONCE, .delay_ms = 20000 } }, .least_ms = 20000 },
    { "one byte a second", { { GETS, ONCE, .bytes_per_s = 1 } } },
    { "slow, but moving", { { GETS, .bytes_per_s = 100000 } }, .least_ms = 100000 },
    { "not HTTP", { { GETS, ONCE, .raw = "SSH-2.0-x\r\n", .end = FAULT_END_CLOSE } } },
    { "endless headers",
      { { GETS, ONCE, .head = "X-Filler: aaaaaaaaaaaaaaaaaaaaaaaa\r\n", .head_repeats = 4000 } },
      BV_E_LIMIT },
    { "a few 500", { { GETS, .times = 3, .status = 500 } }, .least_ms = 3500 },
    { "a storm of 503", { { GETS, .status = 503 } }, BV_E_AGAIN, .least_ms = 15000 },
    { "501", { { GETS, .status = 501 } }, BV_E_UNSUPPORTED, .most_ms = 1000 },
    { "429 with seconds",
      { { GETS, ONCE, .status = 429, .head = "Retry-After: 77\r\n" } },
      .least_ms = 77000 },
    { "408", { { GETS, ONCE, .status = 408 } } },
    { "403", { { GETS, .status = 403 } }, BV_E_DENIED, .most_ms = 1000 },
    { "404", { { GETS, .status = 404 } }, BV_E_NOT_FOUND, .most_ms = 1000 },
    { "410", { { GETS, .status = 410 } }, BV_E_NOT_FOUND, .most_ms = 1000 },
    { "400", { { GETS, .status = 400 } }, BV_E_INVALID, .most_ms = 1000 },
    { "a redirect to itself",
      { { GETS, .status = 302, .head = "Location: /" OBJECT "\r\n" } },
      BV_E_REMOTE },
    { "told longer than it is", { { GETS, ONCE, .length_off = 1000 } } },
    { "told shorter than it is", { { GETS, ONCE, .length_off = -1000 } } },
    { "an object that is too short", { { GETS, .truncate = true } }, BV_E_CHECKSUM },
    { "an empty object", { { GETS, .empty = true } }, BV_E_CHECKSUM, .most_ms = 1000 },
    { "no length, and a close at the end", { { GETS, .no_length = true } } },
    { "no length, and a close too early",
      { { GETS, ONCE, .no_length = true, .body_max = 300000, .end = FAULT_END_CLOSE } } },
    { "chunked", { { GETS, .chunked = true } } },
    { "chunked, with garbage", { { GETS, ONCE, .chunked = true, .chunked_garbage = true } } },
    { "the range is ignored once", { { GETS, ONCE, .range = FAULT_RANGE_IGNORED } } },
    { "ranges are ignored", { { GETS, .range = FAULT_RANGE_IGNORED } }, BV_E_UNSUPPORTED },
    { "another range once", { { GETS, ONCE, .range = FAULT_RANGE_SHIFTED } } },
    { "always another range", { { GETS, .range = FAULT_RANGE_SHIFTED } }, BV_E_REMOTE },
};

static const fault_case writes[] = {
    { "no fault", { { 0 } } },
    { "reset before the answer",
      { { PUTS, ONCE, .raw = "", .end = FAULT_END_RESET } },
      .again = 1 },
    { "reset at the beginning",
      { { PUTS, ONCE, .read_max = 1, .raw = "", .end = FAULT_END_RESET } },
      .again = 1 },
    { "reset in the body",
      { { PUTS, ONCE, .read_max = 300000, .raw = "", .end = FAULT_END_RESET } },
      .again = 1 },
    { "closed in the body",
      { { PUTS, ONCE, .read_max = 300000, .raw = "", .end = FAULT_END_CLOSE } },
      .again = 1 },
    { "reset in the body always",
      { { PUTS, .read_max = 300000, .raw = "", .end = FAULT_END_RESET } },
      BV_E_REMOTE,
      .again = 6 },
    { "kept connections are closed under us", { { PUTS, .end = FAULT_END_CLOSE } } },
    { "nobody listens for a while", { { PUTS, ONCE, .refuse_ms = 5000 } }, .again = 1 },
    { "nothing is read",
      { { PUTS, ONCE, .read_max = 1, .raw = "", .end = FAULT_END_STALL } },
      .least_ms = 60000,
      .again = 1 },
    { "the answer never comes",
      { { PUTS, ONCE, .raw = "", .end = FAULT_END_STALL } },
      .least_ms = 60000,
      .again = 1 },
    { "an answer that takes 50 s", { { PUTS, ONCE, .delay_ms = 50000 } }, .least_ms = 50000 },
    { "503 before the body was sent",
      { { PUTS, ONCE, .read_max = 1000, .status = 503, .end = FAULT_END_CLOSE } },
      .again = 1 },
    { "a slow line", { { PUTS, ONCE, .read_per_s = 20000 } }, .least_ms = 300000 },
    { "garbage for an answer",
      { { PUTS, ONCE, .raw = "garbage\r\n\r\n", .end = FAULT_END_CLOSE } },
      .again = 1 },
    { "a few 500", { { PUTS, .times = 3, .status = 500 } }, .least_ms = 3500, .again = 3 },
    { "a storm of 503", { { PUTS, .status = 503 } }, BV_E_AGAIN, .least_ms = 15000, .again = 6 },
    { "429 with seconds",
      { { PUTS, ONCE, .status = 429, .head = "Retry-After: 77\r\n" } },
      .least_ms = 77000,
      .again = 1 },
    { "403", { { PUTS, .status = 403 } }, BV_E_DENIED, .most_ms = 1000 },
    { "404", { { PUTS, .status = 404 } }, BV_E_NOT_FOUND, .most_ms = 1000 },
    { "405", { { PUTS, .status = 405 } }, BV_E_UNSUPPORTED, .most_ms = 1000 },
    { "411", { { PUTS, .status = 411 } }, BV_E_INVALID, .most_ms = 1000 },
    { "413", { { PUTS, .status = 413 } }, BV_E_INVALID, .most_ms = 1000 },
    { "501", { { PUTS, .status = 501 } }, BV_E_UNSUPPORTED, .most_ms = 1000 },
    { "507", { { PUTS, ONCE, .status = 507 } }, .again = 1 },
    { "a redirect", { { PUTS, .status = 302, .head = "Location: /elsewhere\r\n" } }, BV_E_REMOTE },
};

static void on_answer(const bv_error *err, const bvi_store_reply *reply, void *data)
{
    outcome *o = data;

    (void)reply;
    ck_assert(!o->done);
    o->done = true;
    o->code = bv_error_code(err);
    (void)bv_error_format(err, o->text, sizeof(o->text));
}

static bvi_store *open_store(fault_http *server, const char *mirror)
{
    const char *mirrors[] = { mirror, NULL };
    bvi_store *store = NULL;
    bv_error *err = NULL;

    bvt_assert_ok(bvi_store_open_with(fault_http_ctx(server), fault_http_url(server, "http"),
                                      &(bvi_store_opts){ .mirrors = mirrors }, &store, &err),
                  err);
    return store;
}

static int ask(fault_http *server, bvi_store *store, const bvi_store_request *request, outcome *o)
{
    bv_error *err = NULL;

    *o = (outcome){ 0 };
    bvt_assert_ok(bvi_store_call(store, request, on_answer, o, &err), err);
    fault_http_wait(server, o);
    return o->code;
}

static void check(const fault_case *c, fault_http *server, const outcome *o, uint64_t moved,
                  uint64_t needed)
{
    int64_t took_ms = fault_http_elapsed_ms(server);
    uint64_t allowed = needed / 50 + c->again * needed;

    ck_assert_msg(o->code == c->code, "%s: %d instead of %d: %s", c->name, o->code, c->code,
                  o->text);
    ck_assert_msg(took_ms >= c->least_ms && (!c->most_ms || took_ms <= c->most_ms),
                  "%s: took %lld ms", c->name, (long long)took_ms);
    ck_assert_msg(moved <= needed + allowed, "%s: moved %llu bytes instead of %llu", c->name,
                  (unsigned long long)moved, (unsigned long long)needed);
}

START_TEST(reads_meet_faults)
{
    const fault_case *c = &reads[_i];
    uint8_t *into = calloc(1, LEN);
    fault_http *server;
    bvi_store *store;
    size_t size = 0;
    char *object;
    outcome o;

    make_file(bvt_path("www"), OBJECT, SIZE, 1);
    object = bvt_read_file(bvt_path("www/" OBJECT), &size);
    server = fault_http_new(bvt_path("www"), 0);
    store = open_store(server, NULL);
    fault_http_set(server, c->faults);
    (void)ask(server, store,
              &(bvi_store_request){ .verb = BVI_STORE_READ,
                                    .key = OBJECT,
                                    .offset = OFFSET,
                                    .into = into,
                                    .into_len = LEN },
              &o);
    check(c, server, &o, fault_http_sent(server), LEN);
    ck_assert_msg(c->code != 0 || memcmp(into, object + OFFSET, LEN) == 0, "%s: wrong bytes",
                  c->name);
    ck_assert_msg(!c->faults[0].method || fault_http_used(server) > 0, "%s: not met", c->name);
    bvi_store_free(store);
    fault_http_free(server);
    free(into);
}
END_TEST

START_TEST(puts_meet_faults)
{
    const fault_case *c = &writes[_i];
    fault_http *server;
    bvi_store *store;
    size_t size = 0;
    char *object;
    outcome o;

    make_file(bvt_dir(), "object", LEN, 1);
    object = bvt_read_file(bvt_path("object"), &size);
    ck_assert_int_eq(mkdir(bvt_path("www"), 0755), 0);
    server = fault_http_new(bvt_path("www"), 0);
    store = open_store(server, NULL);
    fault_http_set(server, c->faults);
    (void)ask(
        server, store,
        &(bvi_store_request){ .verb = BVI_STORE_PUT, .key = OBJECT, .bytes = object, .len = size },
        &o);
    check(c, server, &o, fault_http_received(server), LEN);
    if (c->code == 0) {
        char *stored = bvt_read_file(bvt_path("www/" OBJECT), &size);

        ck_assert_msg(size == LEN && memcmp(stored, object, size) == 0, "%s: wrong bytes", c->name);
    }
    bvi_store_free(store);
    fault_http_free(server);
}
END_TEST

/* An object that must be new, whose answer got lost: ours is recognised, another's is not. */
START_TEST(created_once_whatever_gets_lost)
{
    static const fault lost[FAULTS_MAX] = {
        { .method = "PUT", .part = "root", ONCE, .raw = "", .end = FAULT_END_CLOSE }
    };
    fault_http *server;
    bvi_store *store;
    outcome o;

    ck_assert_int_eq(mkdir(bvt_path("www"), 0755), 0);
    ck_assert_int_eq(mkdir(bvt_path("www/k"), 0755), 0);
    server = fault_http_new(bvt_path("www"), 0);
    store = open_store(server, NULL);
    fault_http_set(server, lost);
    for (int i = 0; i < 2; i++) {
        (void)ask(server, store,
                  &(bvi_store_request){ .verb = BVI_STORE_PUT,
                                        .key = "k/root",
                                        .bytes = i == 0 ? "mine" : "other",
                                        .len = i == 0 ? 4 : 5,
                                        .create_only = true },
                  &o);
        ck_assert_msg(o.code == (i == 0 ? 0 : BV_E_EXISTS), "%d: %s", i, o.text);
    }
    ck_assert_str_eq(bvt_read_file(bvt_path("www/k/root"), NULL), "mine");
    bvi_store_free(store);
    fault_http_free(server);
}
END_TEST

/* One reader may have all of the limit, and several have no more together. */
START_TEST(limits_are_kept)
{
    enum { READERS = 4 };
    unsigned readers = _i == 0 ? 1 : READERS;
    uint8_t *into = calloc(1, LEN);
    outcome outcomes[READERS] = { { 0 } };
    fault_http *server;
    bvi_store *store;
    int64_t took_ms;

    make_file(bvt_path("www"), OBJECT, SIZE, 1);
    server = fault_http_new(bvt_path("www"), 0);
    store = open_store(server, NULL);
    bvi_store_set_limits(store, 0, 1u << 20);
    for (unsigned i = 0; i < readers; i++)
        ck_assert_int_eq(bvi_store_call(store,
                                        &(bvi_store_request){ .verb = BVI_STORE_READ,
                                                              .key = OBJECT,
                                                              .offset = i * (LEN / readers),
                                                              .into = into + i * (LEN / readers),
                                                              .into_len = LEN / readers },
                                        on_answer, &outcomes[i], NULL),
                         0);
    for (unsigned i = 0; i < readers; i++) {
        fault_http_wait(server, &outcomes[i]);
        ck_assert_msg(outcomes[i].code == 0, "%s", outcomes[i].text);
    }
    took_ms = fault_http_elapsed_ms(server);
    ck_assert_msg(took_ms > 11000 && took_ms < 15000, "took %lld ms", (long long)took_ms);
    ck_assert(memcmp(into, bvt_read_file(bvt_path("www/" OBJECT), NULL), LEN) == 0);
    bvi_store_free(store);
    fault_http_free(server);
    free(into);
}
END_TEST

/* ---- with a mirror ---- */

static const fault_case mirrored[] = {
    { "no fault", { { 0 } } },
    { "reset in the body", { { GETS, .body_max = 700000, .end = FAULT_END_RESET } }, .again = 1 },
    { "closed always before the first byte",
      { { GETS, .raw = "", .end = FAULT_END_CLOSE } },
      .most_ms = 1000 },
    { "nobody listens", { { GETS, ONCE, .refuse_ms = 100000 } }, .most_ms = 1000 },
    { "stall always", { { GETS, .raw = "", .end = FAULT_END_STALL } }, .most_ms = 15000 },
    { "one byte a second", { { GETS, .bytes_per_s = 1 } }, .most_ms = 40000 },
    { "a storm of 503", { { GETS, .status = 503 } }, .most_ms = 1000 },
    { "403", { { GETS, .status = 403 } }, .most_ms = 1000 },
    { "404", { { GETS, .status = 404 } }, .most_ms = 1000 },
    { "ranges are ignored", { { GETS, .range = FAULT_RANGE_IGNORED } }, .most_ms = 1000 },
    { "an object that is too short", { { GETS, .truncate = true } }, .most_ms = 1000 },
};

static bvi_store_request read_request(uint8_t *into)
{
    return (bvi_store_request){
        .verb = BVI_STORE_READ, .key = OBJECT, .offset = OFFSET, .into = into, .into_len = LEN
    };
}

START_TEST(mirrors_help)
{
    const fault_case *c = &mirrored[_i];
    uint8_t *into = calloc(1, LEN);
    const bvi_store_request request = read_request(into);
    fault_http *server;
    bvi_store *store;
    size_t size = 0;
    char *object;
    outcome o;

    make_file(bvt_path("www"), OBJECT, SIZE, 1);
    make_file(bvt_path("mirror"), OBJECT, SIZE, 1);
    object = bvt_read_file(bvt_path("www/" OBJECT), &size);
    server = fault_http_new(bvt_path("www"), 0);
    store = open_store(server, bvt_format("dir:%s", bvt_path("mirror")));
    fault_http_set(server, c->faults);
    (void)ask(server, store, &request, &o);
    check(c, server, &o, fault_http_sent(server), LEN);
    ck_assert_msg(memcmp(into, object + OFFSET, LEN) == 0, "%s: wrong bytes", c->name);
    bvi_store_free(store);
    fault_http_free(server);
    free(into);
}
END_TEST

START_TEST(wrong_bytes_are_had_from_elsewhere)
{
    uint8_t *into = calloc(1, LEN);
    const bvi_store_request request = read_request(into);
    fault_http *server;
    bvi_store *store;
    size_t size = 0;
    char *right;
    outcome o;

    make_file(bvt_path("www"), OBJECT, SIZE, 1);
    make_file(bvt_path("mirror"), OBJECT, SIZE, 2);
    right = bvt_read_file(bvt_path("mirror/" OBJECT), &size);
    server = fault_http_new(bvt_path("www"), 0);
    store = open_store(server, bvt_format("dir:%s", bvt_path("mirror")));
    ck_assert_int_eq(ask(server, store, &request, &o), 0);
    ck_assert(memcmp(into, right + OFFSET, LEN) != 0); /* the first one's */
    ck_assert(bvi_store_blame(store, OBJECT));
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(ask(server, store, &request, &o), 0);
        ck_assert(memcmp(into, right + OFFSET, LEN) == 0);
    }
    ck_assert(!bvi_store_blame(store, OBJECT)); /* now there is nowhere else */
    bvi_store_free(store);
    fault_http_free(server);
    free(into);
}
END_TEST

START_TEST(writes_go_to_the_first)
{
    fault_http *server;
    bvi_store *store;
    outcome o;

    ck_assert_int_eq(mkdir(bvt_path("www"), 0755), 0);
    ck_assert_int_eq(mkdir(bvt_path("www/k"), 0755), 0);
    server = fault_http_new(bvt_path("www"), 0);
    store = open_store(server, bvt_format("dir:%s", bvt_path("mirror")));
    ck_assert_int_eq(
        ask(server, store,
            &(bvi_store_request){ .verb = BVI_STORE_PUT, .key = "k/x", .bytes = "1", .len = 1 },
            &o),
        0);
    ck_assert(bvt_exists(bvt_path("www/k/x")));
    ck_assert(!bvt_exists(bvt_path("mirror/k")));
    bvi_store_free(store);
    fault_http_free(server);
}
END_TEST

BVT_MAIN("transfer/web_faults", bvt_loop(reads_meet_faults, reads),
         bvt_loop(puts_meet_faults, writes), bvt_test(created_once_whatever_gets_lost),
         bvt_times(limits_are_kept, 2), bvt_loop(mirrors_help, mirrored),
         bvt_test(wrong_bytes_are_had_from_elsewhere), bvt_test(writes_go_to_the_first))
