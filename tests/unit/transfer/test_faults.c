/*
 * Every fault of fault_http.h against downloads and uploads: the right class of error or success
 * after all, never wrong bytes, little moved in vain.
 *
 * Each case runs a transfer against a server that plays its faults. If it fails, it does so with
 * the code and the words of the table, and goes on to a good end once the faults are gone.
 */
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fault_http.h"

#define BIG    (2u * 1024u * 1024u)
#define CHUNKS 4

typedef struct fault_case {
    const char *name;
    fault faults[FAULTS_MAX];
    int code;
    const char *says;     /* the error; NULL: anything */
    unsigned retries_min; /* of a transfer that gets over it */
    int64_t least_ms;     /* it must have waited so long */
    unsigned again;       /* chunks that may be moved a second time; otherwise 2 % at most */
} fault_case;

static int64_t tree_bytes(const char *dir)
{
    int64_t sum = 0;
    struct stat st;

    for (int i = 0; i < CHUNKS; i++) {
        if (stat(bvt_format("%s/data.part_%d", dir, i), &st) == 0)
            sum += st.st_size;
    }
    return sum;
}

static void make_source(void)
{
    make_file(bvt_path("source"), "chain/big.mdb", 3 * BIG, 1);
    make_file(bvt_path("source"), "chain/deep/x", BIG, 2);
    make_file(bvt_path("source"), "empty", 0, 0);
    make_file(bvt_path("source"), "one", 1, 3);
}

static bv_upload_opts upload_opts(const char *store)
{
    bv_upload_opts opts = BV_UPLOAD_OPTS_INIT;

    opts.store = store;
    opts.key = "chain-data";
    opts.source_dir = bvt_path("source");
    opts.number_of_chunks = CHUNKS;
    return opts;
}

static bv_download_opts download_opts(const char *store, const char *dest)
{
    bv_download_opts opts = BV_DOWNLOAD_OPTS_INIT;

    opts.store = store;
    opts.key = "chain-data";
    opts.dest_dir = dest;
    opts.state_dir = bvt_path("state");
    return opts;
}

static int end(fault_http *server, int r, bv_op *op, bv_error *err, outcome *o)
{
    bvt_assert_ok(r, err);
    fault_http_wait(server, o);
    bv_op_unref(op);
    return o->code;
}

static int download(fault_http *server, bv_download_opts *opts, outcome *o)
{
    bv_error *err = NULL;
    bv_op *op = NULL;
    int r;

    *o = (outcome){ 0 };
    opts->data = o;
    opts->status = on_report;
    r = bv_download_start(fault_http_ctx(server), opts, on_outcome, &op, &err);
    return end(server, r, op, err, o);
}

static int upload(fault_http *server, bv_upload_opts *opts, outcome *o)
{
    bv_error *err = NULL;
    bv_op *op = NULL;
    int r;

    *o = (outcome){ 0 };
    opts->data = o;
    opts->status = on_report;
    r = bv_upload_start(fault_http_ctx(server), opts, on_outcome, &op, &err);
    return end(server, r, op, err, o);
}

static void check_outcome(const fault_case *c, const outcome *o, int64_t took_ms)
{
    ck_assert_msg(o->code == c->code, "%s: %d instead of %d: %s", c->name, o->code, c->code,
                  o->text);
    ck_assert_msg(!c->says || strstr(o->text, c->says), "%s: says '%s'", c->name, o->text);
    ck_assert_msg(o->status.retries >= c->retries_min, "%s: %u retries", c->name,
                  o->status.retries);
    ck_assert_msg(took_ms >= c->least_ms, "%s: took %lld ms", c->name, (long long)took_ms);
    ck_assert_msg(!strstr(o->text, "secret"), "%s: tells '%s'", c->name, o->text);
}

static void check_waste(const fault_case *c, const char *what, uint64_t moved, uint64_t stored)
{
    uint64_t allowed = stored / 50 + c->again * stored / CHUNKS;

    if (getenv("FAULTS_SHOW"))
        fprintf(stderr, "%s, %s: %lld bytes too many of %llu\n", c->name, what,
                (long long)(moved - stored), (unsigned long long)stored);
    ck_assert_msg(moved <= stored + allowed, "%s: %s %llu bytes instead of %llu", c->name, what,
                  (unsigned long long)moved, (unsigned long long)stored);
}

/* ---- downloads ---- */

#define PART .method = "GET", .part = "part_1"
#define PUTS .method = "PUT", .part = "part_1"
#define ONCE .times = 1

static const fault_case downloads[] = {
    { "no fault", { { 0 } } },
    /* the connection */
    { "reset before the head",
      { { PART, ONCE, .raw = "", .end = FAULT_END_RESET } },
      .retries_min = 1 },
    { "closed before the head",
      { { PART, ONCE, .raw = "", .end = FAULT_END_CLOSE } },
      .retries_min = 1 },
    { "reset in the head",
      { { PART, ONCE, .raw = "HTTP/1.1 200 OK\r\nConte", .end = FAULT_END_RESET } },
      .retries_min = 1 },
    { "reset in the body",
      { { PART, ONCE, .body_max = 700000, .end = FAULT_END_RESET } },
      .retries_min = 1 },
    { "closed in the body",
      { { PART, ONCE, .body_max = 700001, .end = FAULT_END_CLOSE } },
      .retries_min = 1 },
    { "closed in the body again and again, further on each time",
      { { PART, .times = 12, .body_max = 100000, .end = FAULT_END_CLOSE } },
      .retries_min = 12 },
    { "closed always before the first byte",
      { { PART, .raw = "", .end = FAULT_END_CLOSE } },
      BV_E_REMOTE,
      "data.part_1",
      .least_ms = 31000 },
    { "kept connections are closed under us",
      { { "GET", NULL, .end = FAULT_END_CLOSE }, { "HEAD", NULL, .end = FAULT_END_RESET } } },
    { "nobody listens for a while",
      { { PART, ONCE, .refuse_ms = 9000 } },
      .retries_min = 1,
      .again = 4 },
    { "stall before the head",
      { { PART, ONCE, .raw = "", .end = FAULT_END_STALL } },
      .retries_min = 1,
      .least_ms = 60000 },
    { "stall after the head",
      { { PART, ONCE, .body_max = 1, .end = FAULT_END_STALL } },
      .retries_min = 1,
      .least_ms = 30000 },
    { "stall in the body",
      { { PART, ONCE, .body_max = 900000, .end = FAULT_END_STALL } },
      .retries_min = 1,
      .least_ms = 60000 },
    { "an answer that takes 50 s", { { PART, ONCE, .delay_ms = 50000 } }, .least_ms = 50000 },
    { "one byte a second", { { PART, ONCE, .bytes_per_s = 1 } }, .retries_min = 1 },
    { "one byte a second, always", { { PART, .bytes_per_s = 1 } }, BV_E_TIMEOUT, "data.part_1" },
    { "slow, but moving", { { PART, .bytes_per_s = 5000 } }, .least_ms = 200000 },
    { "the end of the body is told by a close that never comes",
      { { PART, ONCE, .no_length = true, .end = FAULT_END_STALL } } },
    { "no length, and a close at the end", { { PART, .no_length = true } } },
    { "no length, and a close too early",
      { { PART, ONCE, .no_length = true, .body_max = 800000 } },
      .retries_min = 1 },
    /* the head */
    { "not HTTP",
      { { PART, ONCE, .raw = "SSH-2.0-OpenSSH_9\r\n", .end = FAULT_END_CLOSE } },
      .retries_min = 1 },
    { "garbage instead of headers",
      { { PART, ONCE, .raw = "HTTP/1.1 200 OK\r\n\x01\x02 garbage\r\n\r\n",
          .end = FAULT_END_CLOSE } },
      .retries_min = 1 },
    { "endless headers",
      { { PART, .head = "X-Padding: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n",
          .head_repeats = 4000, .end = FAULT_END_CLOSE } },
      BV_E_LIMIT,
      "headers are too large" },
    { "early hints first", { { PART, .raw = NULL, .head = "Link: </x>\r\n" } } },
    /* statuses */
    { "a few 500", { { PART, .times = 3, .status = 500 } }, .retries_min = 3, .least_ms = 7000 },
    { "a storm of 503", { { PART, .status = 503 } }, BV_E_AGAIN, "status 503", .least_ms = 31000 },
    { "502 for everything, for a while",
      { { "GET", NULL, .times = 3, .status = 502 }, { "HEAD", NULL, .times = 3, .status = 502 } } },
    { "501", { { PART, .status = 501 } }, BV_E_REMOTE, "status 501" },
    { "429 with seconds",
      { { PART, ONCE, .status = 429, .head = "Retry-After: 77\r\n" } },
      .retries_min = 1,
      .least_ms = 77000 },
    { "503 with a date",
      { { PART, ONCE, .status = 503, .head = "Retry-After: Mon, 01 Jan 2024 00:05:00 GMT\r\n" } },
      .retries_min = 1,
      .least_ms = 290000 },
    { "408", { { PART, ONCE, .status = 408 } }, .retries_min = 1 },
    { "an expired URL", { { PART, ONCE, .status = 403 } }, .retries_min = 1 },
    { "403 always", { { PART, .status = 403 } }, BV_E_DENIED, "data.part_1" },
    { "404", { { PART, .status = 404 } }, BV_E_NOT_FOUND, "data.part_1" },
    { "410", { { PART, .status = 410 } }, BV_E_NOT_FOUND, "data.part_1" },
    { "400", { { PART, .status = 400 } }, BV_E_INVALID, "data.part_1" },
    { "a redirect to itself",
      { { PART, .status = 302, .head = "Location: /chain-data/1/data.part_1?secret\r\n" } },
      BV_E_REMOTE,
      "data.part_1" },
    { "a redirect to another object",
      { { PART, .status = 302, .head = "Location: /chain-data/1/data.part_2\r\n" } },
      BV_E_CHECKSUM,
      "data.part_1",
      .again = 3 },
    { "a redirect elsewhere and back",
      { { PART, ONCE, .status = 307, .head = "Location: /./chain-data/1/data.part_1\r\n" } } },
    { "a redirect to what is no HTTP",
      { { PART, .status = 302, .head = "Location: file:///etc/passwd\r\n" } },
      BV_E_REMOTE,
      "data.part_1" },
    { "a redirect to a port that speaks no TLS",
      { { PART, .status = 302, .head = "Location: https://127.0.0.1:1/x?secret=1\r\n" } },
      BV_E_REMOTE,
      "data.part_1" },
    /* lengths */
    { "told longer than it is",
      { { PART, ONCE, .length_off = 1000, .end = FAULT_END_CLOSE } },
      .again = 1 },
    { "told much longer than it is",
      { { PART, .length_off = 1 << 30, .end = FAULT_END_CLOSE } },
      BV_E_CHECKSUM,
      "more bytes than requested" },
    { "told shorter than it is",
      { { PART, ONCE, .length_off = -1000, .end = FAULT_END_CLOSE } },
      .retries_min = 1 },
    { "an object that became shorter",
      { { PART, .truncate = true } },
      BV_E_CHECKSUM,
      "data.part_1",
      .again = 2 },
    { "an empty body", { { PART, ONCE, .empty = true } }, .retries_min = 1 },
    { "always an empty body", { { PART, .empty = true } }, BV_E_REMOTE, "less bytes" },
    { "no content", { { PART, .status = 204, .empty = true } }, BV_E_REMOTE, "less bytes" },
    { "chunked", { { PART, .chunked = true } } },
    { "chunked, cut",
      { { PART, ONCE, .chunked = true, .body_max = 600000, .end = FAULT_END_CLOSE } },
      .retries_min = 1 },
    { "chunked, with garbage",
      { { PART, ONCE, .chunked = true, .chunked_garbage = true, .end = FAULT_END_CLOSE } },
      .retries_min = 1 },
    /* ranges: the first answer is cut, so that there is one */
    { "the range is ignored",
      { { PART, ONCE, .body_max = 900000, .end = FAULT_END_CLOSE },
        { PART, ONCE, .range = FAULT_RANGE_IGNORED } },
      .retries_min = 2,
      .again = 2 },
    { "ranges are ignored, and answers cut, always",
      { { PART, .body_max = 900000, .end = FAULT_END_CLOSE, .range = FAULT_RANGE_IGNORED } },
      BV_E_UNSUPPORTED,
      "byte range",
      .again = 6 },
    { "another range",
      { { PART, ONCE, .body_max = 900000, .end = FAULT_END_CLOSE },
        { PART, ONCE, .range = FAULT_RANGE_SHIFTED } },
      .retries_min = 2,
      .again = 1 }, /* it was on its way already */
    { "another range than told",
      { { PART, ONCE, .body_max = 900000, .end = FAULT_END_CLOSE },
        { PART, ONCE, .range = FAULT_RANGE_LIES } },
      .retries_min = 2,
      .again = 1 },
    /* bytes */
    { "the first byte flipped",
      { { PART, ONCE, .flip = FAULT_FIRST } },
      .retries_min = 1,
      .again = 1 },
    { "the middle byte flipped",
      { { PART, ONCE, .flip = FAULT_MIDDLE } },
      .retries_min = 1,
      .again = 1 },
    { "the last byte flipped",
      { { PART, ONCE, .flip = FAULT_LAST } },
      .retries_min = 1,
      .again = 1 },
    { "a byte flipped always",
      { { PART, .flip = FAULT_MIDDLE } },
      BV_E_CHECKSUM,
      "data.part_1",
      .again = 2 },
    { "bytes twice", { { PART, ONCE, .twice = true } }, .retries_min = 1, .again = 1 },
    { "bytes twice, always",
      { { PART, .twice = true } },
      BV_E_CHECKSUM,
      "data.part_1",
      .again = 2 },
    { "a compressed body that nobody asked for",
      { { PART, .raw = "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 20\r\n\r\n"
                       "\x1f\x8b\x08zzzzzzzzzzzzzzzzz" } },
      BV_E_CHECKSUM,
      "data.part_1",
      .again = 1 },
    /* the manifest */
    { "nobody listens at first", { { "GET", "manifest-header", ONCE, .refuse_ms = 5000 } } },
    { "nobody listens any longer",
      { { "GET", "manifest-header", ONCE, .refuse_ms = 21000 } },
      BV_E_REMOTE,
      "manifest-header",
      .least_ms = 15000 },
    { "the header is reset once",
      { { "GET", "manifest-header", ONCE, .body_max = 5, .end = FAULT_END_RESET } } },
    { "the body of the manifest is cut once",
      { { "GET", "manifest-body", ONCE, .body_max = 50, .end = FAULT_END_CLOSE } } },
    { "the body of the manifest is short",
      { { "GET", "manifest-body", .truncate = true } },
      BV_E_FORMAT },
    { "the body of the manifest is gone",
      { { "GET", "manifest-body", .status = 404 } },
      BV_E_NOT_FOUND },
    { "the manifest is slow to come",
      { { "GET", "manifest-body", ONCE, .raw = "", .end = FAULT_END_STALL } },
      .least_ms = 60000 },
    { "no access to the manifest",
      { { "GET", "manifest-header", .status = 403 } },
      BV_E_DENIED,
      "chain-data" },
};

START_TEST(downloads_meet_faults)
{
    const fault_case *c = &downloads[_i];
    bv_upload_opts up = upload_opts(bvt_format("dir:%s", bvt_path("www")));
    fault_http *server;
    bv_download_opts down;
    outcome o = { 0 };

    make_source();
    ck_assert_msg(run_upload(0, &up, &o) == 0, "%s", o.text);
    server = fault_http_new(bvt_path("www"), 0);
    fault_http_set(server, c->faults);
    down = download_opts(fault_http_url(server, "http"), bvt_path("dest"));
    (void)download(server, &down, &o);
    check_outcome(c, &o, fault_http_elapsed_ms(server));
    ck_assert_msg(!c->faults[0].method || fault_http_used(server) > 0, "%s: not met", c->name);
    fault_http_set(server, NULL);
    if (c->code != 0)
        ck_assert_msg(download(server, &down, &o) == 0, "%s, then: %s", c->name, o.text);
    assert_same_tree(bvt_path("source"), bvt_path("dest"));
    ck_assert(!bvt_exists(bvt_path("state/download.journal")));
    if (c->code == 0) /* a failure also ends the chunks beside the one at fault */
        check_waste(c, "sent", fault_http_sent(server),
                    (uint64_t)tree_bytes(bvt_path("www/chain-data/1")));
    fault_http_free(server);
}
END_TEST

/* ---- uploads ---- */

static const fault_case uploads[] = {
    { "no fault", { { 0 } } },
    /* the connection */
    { "reset before the answer",
      { { PUTS, ONCE, .raw = "", .end = FAULT_END_RESET } },
      .retries_min = 1,
      .again = 1 },
    { "reset at the beginning of the body",
      { { PUTS, ONCE, .read_max = 1, .raw = "", .end = FAULT_END_RESET } },
      .retries_min = 1,
      .again = 1 },
    { "reset in the body",
      { { PUTS, ONCE, .read_max = 300000, .raw = "", .end = FAULT_END_RESET } },
      .retries_min = 1,
      .again = 1 },
    { "closed in the body",
      { { PUTS, ONCE, .read_max = 300000, .raw = "", .end = FAULT_END_CLOSE } },
      .retries_min = 1,
      .again = 1 },
    { "reset in the body always",
      { { PUTS, .read_max = 300000, .raw = "", .end = FAULT_END_RESET } },
      BV_E_REMOTE,
      "data.part_1",
      .again = 6 },
    { "kept connections are closed under us",
      { { "PUT", NULL, .end = FAULT_END_CLOSE }, { "HEAD", NULL, .end = FAULT_END_RESET } } },
    { "nobody listens for a while",
      { { PUTS, ONCE, .refuse_ms = 9000 } },
      .retries_min = 1,
      .again = 4 },
    { "nothing is read",
      { { PUTS, ONCE, .read_max = 1, .raw = "", .end = FAULT_END_STALL } },
      .retries_min = 1,
      .least_ms = 60000 },
    { "the answer never comes",
      { { PUTS, ONCE, .raw = "", .end = FAULT_END_STALL } },
      .retries_min = 1,
      .least_ms = 60000,
      .again = 1 },
    { "an answer that takes 50 s", { { PUTS, ONCE, .delay_ms = 50000 } }, .least_ms = 50000 },
    /* early answers */
    { "success before the body was sent",
      { { PUTS, ONCE, .read_max = 1000, .end = FAULT_END_CLOSE, .lose_half = true } },
      .retries_min = 1,
      .again = 1 },
    { "503 before the body was sent",
      { { PUTS, ONCE, .read_max = 1000, .status = 503, .end = FAULT_END_CLOSE } },
      .retries_min = 1,
      .again = 1 },
    { "success before the body was sent, on a connection that stays", /* the system took it all */
      { { PUTS, ONCE, .read_max = 1000, .end = FAULT_END_STALL, .lose_half = true } },
      BV_E_STATE,
      "chunk 1" },
    { "a slow line", { { PUTS, ONCE, .read_per_s = 5000 } }, .least_ms = 100000 },
    { "a very slow line", { { PUTS, ONCE, .read_per_s = 10 } }, .retries_min = 1, .again = 1 },
    { "success that is none: the object is missing",
      { { PUTS, ONCE, .lose = true } },
      BV_E_STATE,
      "chunk 1",
      .again = 4 },
    { "success that is none: half of the object is missing",
      { { PUTS, ONCE, .lose_half = true } },
      BV_E_STATE,
      "chunk 1",
      .again = 4 },
    { "100 Continue that nobody waits for",
      { { PUTS,
          .raw = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n",
          ONCE } },
      .retries_min = 1,
      .again = 1 },
    { "garbage for an answer",
      { { PUTS, ONCE, .raw = "garbage\r\n\r\n", .end = FAULT_END_CLOSE } },
      .retries_min = 1,
      .again = 1 },
    /* statuses */
    { "a few 500",
      { { PUTS, .times = 3, .status = 500 } },
      .retries_min = 3,
      .least_ms = 7000,
      .again = 3 },
    { "a storm of 503",
      { { PUTS, .status = 503 } },
      BV_E_AGAIN,
      "status 503",
      .least_ms = 31000,
      .again = 6 },
    { "429 with seconds",
      { { PUTS, ONCE, .status = 429, .head = "Retry-After: 77\r\n" } },
      .retries_min = 1,
      .least_ms = 77000,
      .again = 1 },
    { "503 with a date",
      { { PUTS, ONCE, .status = 503, .head = "Retry-After: Mon, 01 Jan 2024 00:05:00 GMT\r\n" } },
      .retries_min = 1,
      .least_ms = 290000,
      .again = 1 },
    { "an expired URL", { { PUTS, ONCE, .status = 403 } }, .retries_min = 1, .again = 1 },
    { "403 always", { { PUTS, .status = 403 } }, BV_E_DENIED, "data.part_1", .again = 3 },
    { "404", { { PUTS, .status = 404 } }, BV_E_NOT_FOUND, "data.part_1", .again = 1 },
    { "400", { { PUTS, .status = 400 } }, BV_E_INVALID, "data.part_1", .again = 1 },
    { "411", { { PUTS, .status = 411 } }, BV_E_INVALID, "data.part_1", .again = 1 },
    { "501", { { PUTS, .status = 501 } }, BV_E_REMOTE, "status 501", .again = 1 },
    { "507", { { PUTS, .status = 507 } }, BV_E_REMOTE, "status 507", .again = 6 },
    { "a redirect to itself",
      { { PUTS, .status = 307, .head = "Location: /chain-data/1/data.part_1?secret\r\n" } },
      BV_E_REMOTE,
      "status 307",
      .again = 1 },
    { "a redirect that would make it a GET",
      { { PUTS, .status = 303, .head = "Location: /chain-data/1/.lock\r\n" } },
      BV_E_REMOTE,
      "status 303",
      .again = 1 },
    { "endless headers",
      { { PUTS, .head = "X-Padding: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n",
          .head_repeats = 4000, .end = FAULT_END_CLOSE } },
      BV_E_LIMIT,
      "headers are too large",
      .again = 1 },
    /* reservation and manifest */
    { "the reservation answers 500 once", { { "PUT", ".lock", ONCE, .status = 500 } } },
    { "versions cannot be seen for a while",
      { { "HEAD", "manifest-header", .times = 3, .status = 503 } } },
    { "the body of the manifest is reset once",
      { { "PUT", "manifest-body", ONCE, .raw = "", .end = FAULT_END_RESET } } },
    { "the header answers 500 once", { { "PUT", "manifest-header", ONCE, .status = 500 } } },
    { "the header answers 500 always",
      { { "PUT", "manifest-header", .status = 500 } },
      BV_E_REMOTE,
      "publish" },
    { "the body of the manifest is lost",
      { { "PUT", "manifest-body", ONCE, .lose = true } },
      BV_E_STATE,
      "publish",
      .again = 4 },
    { "half of the manifest's body is lost",
      { { "PUT", "manifest-body", ONCE, .lose_half = true } },
      BV_E_STATE,
      "publish",
      .again = 4 },
    { "the header is lost",
      { { "PUT", "manifest-header", ONCE, .lose = true } },
      BV_E_STATE,
      "publish",
      .again = 4 },
    { "no access to the header",
      { { "PUT", "manifest-header", .status = 403 } },
      BV_E_DENIED,
      "publish" },
    { "a redirect of the header",
      { { "PUT", "manifest-header", .status = 303,
          .head = "Location: /chain-data/1/manifest-body.json\r\n" } },
      BV_E_REMOTE,
      "status 303" },
    { "chunks cannot be checked for a while", { { "HEAD", "part_", .times = 2, .status = 500 } } },
};

START_TEST(uploads_meet_faults)
{
    const fault_case *c = &uploads[_i];
    fault_http *server;
    bv_upload_opts up;
    bv_download_opts down = download_opts(bvt_format("dir:%s", bvt_path("www")), bvt_path("dest"));
    outcome o = { 0 };

    make_source();
    ck_assert_int_eq(mkdir(bvt_path("www"), 0755), 0);
    server = fault_http_new(bvt_path("www"), 0);
    fault_http_set(server, c->faults);
    up = upload_opts(fault_http_url(server, "http"));
    (void)upload(server, &up, &o);
    check_outcome(c, &o, fault_http_elapsed_ms(server));
    ck_assert_msg(!c->faults[0].method || fault_http_used(server) > 0, "%s: not met", c->name);
    fault_http_set(server, NULL);
    if (c->code != 0) {
        ck_assert_msg(!bvt_exists(bvt_path("www/chain-data/1/manifest-header.json")),
                      "%s: it is visible", c->name);
        ck_assert_msg(upload(server, &up, &o) == 0, "%s, then: %s", c->name, o.text);
    }
    if (c->code == 0)
        check_waste(c, "received", fault_http_received(server),
                    (uint64_t)tree_bytes(bvt_format("%s/%llu", bvt_path("www/chain-data"),
                                                    (unsigned long long)o.status.data_version)));
    fault_http_free(server);
    ck_assert_msg(run_download(0, &down, &o) == 0, "%s", o.text);
    assert_same_tree(bvt_path("source"), bvt_path("dest"));
}
END_TEST

/* ---- killed inside a chunk ---- */

#define HUGE_BYTES (48u * 1024u * 1024u)
#define STALL_AT   (8u * 1024u * 1024u)
#define KILL_AT    (15u * 1024u * 1024u)

static void die_on_the_way(bv_op *op, const bv_transfer_status *status, void *data)
{
    (void)op;
    (void)data;
    if (status->stored_done >= KILL_AT)
        (void)raise(SIGKILL);
}

/* Serves and downloads in a child that dies when so much has come. */
static void download_and_die(unsigned port)
{
    static const fault stalls[FAULTS_MAX] = {
        { "GET", "data.part_", .times = 2, .body_max = STALL_AT, .end = FAULT_END_STALL },
    };
    int status = 0;
    pid_t pid = fork();

    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        fault_http *server = fault_http_new(bvt_path("www"), port);
        bv_download_opts down = download_opts(fault_http_url(server, "http"), bvt_path("dest"));
        outcome o = { 0 };
        bv_op *op = NULL;

        fault_http_set(server, stalls);
        down.data = &o;
        down.status = die_on_the_way;
        (void)bv_download_start(fault_http_ctx(server), &down, on_outcome, &op, NULL);
        fault_http_wait(server, &o);
        _exit(0);
    }
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert(WIFSIGNALED(status));
}

static unsigned count_parts(void)
{
    DIR *dir = opendir(bvt_path("state"));
    const struct dirent *entry;
    unsigned n = 0;

    while (dir && (entry = readdir(dir)))
        n += strstr(entry->d_name, ".part") != NULL;
    if (dir)
        (void)closedir(dir);
    return n;
}

static void damage_parts(void)
{
    DIR *dir = opendir(bvt_path("state"));
    const struct dirent *entry;

    while ((entry = readdir(dir))) {
        if (strstr(entry->d_name, ".part")) {
            FILE *file = fopen(bvt_path("state/%s", entry->d_name), "r+");

            (void)fputs("these bytes are wrong", file);
            (void)fclose(file);
        }
    }
    (void)closedir(dir);
}

START_TEST(a_killed_download_goes_on_inside_its_chunks)
{
    bv_upload_opts up = upload_opts(bvt_format("dir:%s", bvt_path("www")));
    bool damaged = _i == 1;
    fault_http *server;
    bv_download_opts down;
    outcome o = { 0 };
    uint64_t stored;
    unsigned port;

    make_file(bvt_path("source"), "big", HUGE_BYTES, 1);
    up.number_of_chunks = 2;
    ck_assert_msg(run_upload(2, &up, &o) == 0, "%s", o.text);
    stored = (uint64_t)tree_bytes(bvt_path("www/chain-data/1"));
    server = fault_http_new(bvt_path("www"), 0);
    port = fault_http_port(server);
    fault_http_free(server); /* its port is free, and known */
    download_and_die(port);
    ck_assert_uint_eq(count_parts(), 2);
    if (damaged)
        damage_parts();
    server = fault_http_new(bvt_path("www"), port);
    down = download_opts(fault_http_url(server, "http"), bvt_path("dest"));
    ck_assert_msg(download(server, &down, &o) == 0, "%s", o.text);
    assert_same_tree(bvt_path("source"), bvt_path("dest"));
    ck_assert_uint_eq(count_parts(), 0);
    if (damaged)
        ck_assert_uint_eq(fault_http_sent(server), stored);
    else /* what was between network and worker when it died is lost */
        ck_assert_uint_le(fault_http_sent(server), stored - KILL_AT + 2 * (1u << 20));
    fault_http_free(server);
}
END_TEST

BVT_MAIN("transfer/faults", bvt_loop(downloads_meet_faults, downloads),
         bvt_loop(uploads_meet_faults, uploads),
         bvt_times(a_killed_download_goes_on_inside_its_chunks, 2))
