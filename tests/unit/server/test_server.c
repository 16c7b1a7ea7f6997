/* The server with raw peers: what an HTTP client library would never send, and what it would hide.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "../host/door.h"

/* ---- a peer ---- */

#define ANSWER_MAX (8u * 1024u * 1024u)

typedef struct peer {
    door *d;
    int fd;
    char *text; /* what came so far */
    size_t len;
    bool ended;
} peer;

static void peer_open(peer *p, door *d)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    const char *path = bvt_path("door.sock");

    memset(p, 0, sizeof(*p));
    p->d = d;
    p->fd = socket(AF_UNIX, SOCK_STREAM, 0);
    p->text = calloc(1, ANSWER_MAX + 1);
    ck_assert_int_ge(p->fd, 0);
    memcpy(address.sun_path, path, strlen(path));
    ck_assert_int_eq(connect(p->fd, (struct sockaddr *)&address, sizeof(address)), 0);
    ck_assert_int_eq(fcntl(p->fd, F_SETFL, O_NONBLOCK), 0);
}

static void peer_close(peer *p)
{
    (void)close(p->fd);
    free(p->text);
    p->text = NULL;
}

static void peer_read(peer *p)
{
    ssize_t n;

    while (!p->ended && (n = read(p->fd, p->text + p->len, ANSWER_MAX - p->len)) != -1) {
        p->ended = n == 0;
        p->len += (size_t)n;
    }
}

/* Sends all of it, turning the loop when the socket is full; false: the other end is gone. */
static bool peer_send(peer *p, const char *text, size_t len)
{
    while (len > 0) {
        ssize_t n = send(p->fd, text, len, MSG_NOSIGNAL);

        if (n < 0 && errno != EAGAIN)
            return false;
        if (n > 0) {
            text += n;
            len -= (size_t)n;
        } else {
            door_turn(p->d);
        }
    }
    return true;
}

static void say(peer *p, const char *text)
{
    ck_assert(peer_send(p, text, strlen(text)));
}

static void until_says(peer *p, const char *text)
{
    for (int i = 0; i < 1000 && !strstr(p->text, text); i++) {
        door_turn(p->d);
        peer_read(p);
    }
    ck_assert_msg(strstr(p->text, text) != NULL, "no '%s' in '%.2000s'", text, p->text);
}

static void until_ended(peer *p)
{
    for (int i = 0; i < 1000 && !p->ended; i++) {
        door_turn(p->d);
        peer_read(p);
    }
    ck_assert(p->ended);
}

static void open_served(door *d, const char *settings)
{
    ck_assert_int_eq(setenv("BVT_DOOR", "unix", 1), 0);
    door_open(d, settings);
}

/* ---- requests ---- */

static const struct {
    const char *request;
    const char *says[3];
} requests[] = {
    { "GET /v1/nodes HTTP/1.1\r\n\r\n",
      { "HTTP/1.1 200 OK", "Content-Type: application/json", "{\"nodes\":[" } },
    { "GET /v1/nodes HTTP/1.1\r\nAccept: application/x-ndjson\r\n\r\n",
      { "HTTP/1.1 200 OK", "application/x-ndjson", "{\"result\":{\"nodes\":[" } },
    { "GET /v1/nodes/nobody HTTP/1.1\r\n\r\n",
      { "HTTP/1.1 404 Not Found", "\"code\":\"not_found\"", "nobody" } },
    { "GET /v1/nodes/nobody HTTP/1.1\r\nAccept: application/x-ndjson\r\n\r\n",
      { "HTTP/1.1 200 OK", "{\"error\":{", "nobody" } },
    { "GET /nowhere HTTP/1.1\r\n\r\n", { "HTTP/1.1 404", "/v1/openapi.json", "" } },
    { "PUT /v1/nodes HTTP/1.1\r\nContent-Length: 0\r\n\r\n",
      { "HTTP/1.1 405 Method Not Allowed", "PUT", "" } },
    { "POST /v1/nodes HTTP/1.1\r\nContent-Length: 1\r\n\r\n{",
      { "HTTP/1.1 400 Bad Request", "\"invalid\"", "" } },
    { "POST /v1/nodes HTTP/1.1\r\nTransfer-Encoding: "
      "chunked\r\n\r\n8\r\n{\"image\"\r\n5\r\n:\"x\"}\r\n0\r\n\r\n",
      { "HTTP/1.1 404", "image 'x'", "" } },
    { "GET /v1/host HTTP/1.1\r\n\r\nGET /v1/nodes HTTP/1.1\r\n\r\n",
      { "\"driver\"", "\"nodes\"", "" } },
    { "POST /v1/nodes/node-0004/stop HTTP/1.1\r\nContent-Length: 0\r\n\r\n",
      { "HTTP/1.1 200 OK", "stopped", "" } },
    { "POST /v1/nodes HTTP/1.1\r\nContent-Length: 51\r\n\r\n"
      "{\"image\":\"fake/fake-main:1.0.0\",\"name\":\"node-0001\"}",
      { "HTTP/1.1 409 Conflict", "\"exists\"", "" } },
    { "GET /v1/openapi.json HTTP/1.1\r\n\r\n",
      { "HTTP/1.1 200 OK", "\"openapi\":\"3.0.3\"", "node.create" } },
    { "GET /metrics HTTP/1.1\r\n\r\n",
      { "HTTP/1.1 200 OK", "version=0.0.4", "blockvisor_nodes{status=\"running\"} 3" } },
    { "HEAD /v1/nodes HTTP/1.1\r\n\r\n", { "HTTP/1.1 501", "", "" } },
    { "BREW /v1/nodes HTTP/1.1\r\n\r\n", { "HTTP/1.1 501", "", "" } },
    { "GET /v1/nodes HTTP/9.9\r\n\r\n", { "HTTP/1.1 400", "", "" } },
    { "GET\r\n\r\n", { "HTTP/1.", "400", "" } },
    { "GET http://[bad HTTP/1.1\r\n\r\n", { "HTTP/1.1 400", "", "" } },
    { "GET /v1/nodes/%zz HTTP/1.1\r\n\r\n", { "HTTP/1.1 400", "percent-encoded", "" } },
};

START_TEST(answers)
{
    door d;
    peer p;

    open_served(&d, "?nodes=4");
    peer_open(&p, &d);
    say(&p, requests[_i].request);
    for (size_t i = 0; i < 3; i++)
        until_says(&p, requests[_i].says[i]);
    peer_close(&p);
    (void)door_ask(&d, "host.info", NULL); /* it still serves */
    door_close(&d);
}
END_TEST

/* Byte by byte, and one request after the other on the same connection. */
START_TEST(slow_and_persistent)
{
    static const char request[] =
        "POST /v1/nodes/n/stop HTTP/1.1\r\nContent-Length: 15\r\n\r\n{\"force\": true}";
    door d;
    peer p;

    open_served(&d, "");
    peer_open(&p, &d);
    for (size_t i = 0; i < sizeof(request) - 1; i++) {
        ck_assert(peer_send(&p, request + i, 1));
        if (i % 16 == 0)
            door_turn(&d);
    }
    until_says(&p, "no node 'n'");
    say(&p, "POST /v1/nodes HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 13\r\n\r\n");
    until_says(&p, "HTTP/1.1 100 Continue");
    say(&p, "{\"image\":\"x\"}");
    until_says(&p, "image 'x'");
    say(&p, "GET /v1/host HTTP/1.1\r\n\r\n");
    until_says(&p, "\"driver\":\"fake\"");
    peer_close(&p);
    door_close(&d);
}
END_TEST

START_TEST(a_body_that_is_too_large)
{
    static char block[65536];
    door d;
    peer p;

    open_served(&d, "");
    memset(block, 'x', sizeof(block));
    peer_open(&p, &d);
    say(&p, "POST /v1/nodes HTTP/1.1\r\nContent-Length: 1073741824\r\n\r\n");
    until_says(&p, "HTTP/1.1 413");
    peer_close(&p);
    /* In chunks it is found out later. */
    peer_open(&p, &d);
    say(&p, "POST /v1/nodes HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n");
    for (int i = 0; i < 64; i++) {
        if (!peer_send(&p, "10000\r\n", 7) || !peer_send(&p, block, sizeof(block)) ||
            !peer_send(&p, "\r\n", 2))
            break;
        peer_read(&p);
    }
    for (int i = 0; i < 100 && !p.ended && !p.len; i++) {
        door_turn(&d);
        peer_read(&p);
    }
    ck_assert(p.ended || strstr(p.text, "413"));
    peer_close(&p);
    (void)door_ask(&d, "host.info", NULL);
    door_close(&d);
}
END_TEST

START_TEST(a_head_that_is_too_large)
{
    static char block[4096];
    door d;
    peer p;

    open_served(&d, "");
    memset(block, 'x', sizeof(block));
    peer_open(&p, &d);
    say(&p, "GET /v1/host HTTP/1.1\r\nX: ");
    for (int i = 0; i < 64; i++) {
        if (!peer_send(&p, block, sizeof(block)))
            break;
        door_turn(&d);
    }
    for (int i = 0; i < 100 && !p.ended && !p.len; i++) {
        door_turn(&d);
        peer_read(&p);
    }
    ck_assert(p.ended || p.len);
    ck_assert_ptr_null(strstr(p.text, "200 OK"));
    peer_close(&p);
    door_close(&d);
}
END_TEST

/* ---- peers that go ---- */

static int64_t waiting_nodes(door *d, const char *status)
{
    return door_num(bv_doc_get(door_ask(d, "host.metrics", NULL), "nodes"), status);
}

/* The peer goes while its call is under way: the call is cancelled, nothing else happens. */
START_TEST(going_cancels_the_call)
{
    static const char *const calls[] = {
        "GET /v1/events?after=0&wait_ms=600000 HTTP/1.1\r\n\r\n",
        "GET /v1/events?after=0&wait_ms=600000 HTTP/1.1\r\nAccept: application/x-ndjson\r\n\r\n",
        "GET /v1/events HTTP/1.1\r\nAccept: text/event-stream\r\n\r\n",
        "POST /v1/images HTTP/1.1\r\nAccept: application/x-ndjson\r\nContent-Length: "
        "15\r\n\r\n{\"path\":\"/etc\"}",
        "POST /v1/images HTTP/1.1\r\nContent-Length: 15\r\n\r\n{\"path\":\"/etc\"}",
        "GET /metrics HTTP/1.1\r\n\r\n",
        "GET /v1/nodes HTTP/1.1\r\n\r\n",
        "POST /v1/nodes HTTP/1.1\r\nContent-Length: 100\r\n\r\n{",
    };
    door d;
    peer p;

    open_served(&d, "?delay_ms=400");
    peer_open(&p, &d);
    say(&p, calls[_i % 8]);
    if (_i >= 8)
        door_turn_ms(
            &d, 150); /* it is under way, some answers have begun; else it has not even been read */
    peer_close(&p);
    door_turn_ms(&d, 600);
    ck_assert_uint_eq(bv_doc_count(bv_doc_get(door_ask(&d, "image.list", NULL), "images")),
                      1); /* no import */
    ck_assert_int_eq(waiting_nodes(&d, "total"), 0);
    door_close(&d);
}
END_TEST

/* The server closes while calls are under way and answers half sent. */
START_TEST(closing_the_server)
{
    peer peers[5];
    door d;

    open_served(&d, "?delay_ms=400");
    for (size_t i = 0; i < 5; i++)
        peer_open(&peers[i], &d);
    say(&peers[0], "GET /v1/events?after=0&wait_ms=600000 HTTP/1.1\r\n\r\n");
    say(&peers[1], "GET /v1/events HTTP/1.1\r\nAccept: text/event-stream\r\n\r\n");
    say(&peers[2],
        "POST /v1/images HTTP/1.1\r\nAccept: application/x-ndjson\r\nContent-Length: 15\r\n\r\n"
        "{\"path\":\"/etc\"}");
    say(&peers[3], "GET /metrics HTTP/1.1\r\n\r\n");
    say(&peers[4], "GET /v1/no");
    if (_i)
        door_turn_ms(&d, 20 * _i);
    bv_server_free(d.server);
    d.server = NULL;
    ck_assert(!bvt_exists(bvt_path("door.sock")));
    if (_i != 2)
        door_turn_ms(&d, 50);
    for (size_t i = 0; i < 5; i++)
        peer_close(&peers[i]);
    door_close(&d);
}
END_TEST

/* ---- events ---- */

START_TEST(event_streams)
{
    door d;
    peer p, again;

    open_served(&d, "");
    peer_open(&p, &d);
    say(&p, "GET /v1/events HTTP/1.1\r\nAccept: text/event-stream\r\n\r\n");
    until_says(&p, "Content-Type: text/event-stream");
    until_says(&p, ": still here");
    (void)door_ask(&d, "node.create", "{\"image\":\"fake/fake-main\",\"name\":\"one\"}");
    until_says(&p, "id: 1\ndata: {\"seq\":1,");
    until_says(&p, "\"type\":\"node_created\",\"node\":\"one\"");
    (void)door_ask(&d, "node.start", "{\"node\":\"one\"}");
    until_says(&p, "\"node_started\"");
    peer_close(&p);
    /* A browser that comes back says where it was. */
    peer_open(&again, &d);
    say(&again, "GET /v1/events HTTP/1.1\r\nAccept: text/event-stream\r\nLast-Event-ID: 1\r\n\r\n");
    until_says(&again, "id: 2\ndata:");
    ck_assert_ptr_null(strstr(again.text, "id: 1\n"));
    peer_close(&again);
    peer_open(&again, &d);
    say(&again, "GET /v1/events?after=0 HTTP/1.1\r\nAccept: text/event-stream\r\n\r\n");
    until_says(&again, "id: 1\n");
    until_says(&again, "id: 2\n");
    peer_close(&again);
    door_close(&d);
}
END_TEST

/* A follower that does not read is cut off; the server neither waits for it nor keeps everything
 * for it. */
START_TEST(a_follower_that_does_not_read)
{
    door d;
    peer p;

    open_served(&d, "?nodes=1");
    peer_open(&p, &d);
    say(&p, "GET /v1/events HTTP/1.1\r\nAccept: text/event-stream\r\n\r\n");
    until_says(&p, ": still here");
    for (int i = 0; i < 60; i++) {
        door_call calls[16];

        /* Each restart is an event; a long name makes it a long one. */
        for (size_t k = 0; k < 16; k++)
            door_begin(&calls[k], &d, "node.create",
                       "{\"image\":\"fake/fake-main\",\"name\":\"n%d-%zu-%040d\"}", i, k, 7);
        for (size_t k = 0; k < 16; k++) {
            door_wait(&calls[k]);
            door_end(&calls[k]);
        }
    }
    peer_read(&p);
    until_says(&p, "node_created");
    peer_close(&p);
    door_close(&d);
}
END_TEST

/* ---- metrics ---- */

static bool is_name(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (!strchr("abcdefghijklmnopqrstuvwxyz0123456789_", text[i]))
            return false;
    }
    return len > 0;
}

/* Each line is a comment of its family, or a sample of the family named before; counters end in
 * _total. */
static void check_metrics(char *text)
{
    char family[128] = "", type[32] = "";
    unsigned samples = 0;

    for (char *save = NULL, *line = strtok_r(text, "\n", &save); line;
         line = strtok_r(NULL, "\n", &save)) {
        size_t name = strcspn(line, "{ ");
        char *value = strrchr(line, ' ');
        char *end = NULL;

        if (strncmp(line, "# HELP ", 7) == 0)
            continue;
        if (strncmp(line, "# TYPE ", 7) == 0) {
            ck_assert_int_eq(sscanf(line, "# TYPE %127s %31s", family, type), 2);
            ck_assert(strcmp(type, "gauge") == 0 || strcmp(type, "counter") == 0);
            ck_assert_int_eq(strcmp(type, "counter") == 0,
                             strlen(family) > 6 &&
                                 strcmp(family + strlen(family) - 6, "_total") == 0);
            continue;
        }
        ck_assert_msg(is_name(line, name), "%s", line);
        ck_assert_msg(strlen(family) == name && strncmp(line, family, name) == 0, "%s", line);
        ck_assert_ptr_nonnull(value);
        (void)strtod(value + 1, &end);
        ck_assert_msg(end != value + 1 && !*end, "%s", line);
        samples++;
    }
    ck_assert_uint_gt(samples, 12);
}

START_TEST(metrics)
{
    door d;
    peer p;
    char *body;

    open_served(&d, "?nodes=3");
    peer_open(&p, &d);
    say(&p, "GET /metrics HTTP/1.1\r\nConnection: close\r\n\r\n");
    until_ended(&p);
    body = strstr(p.text, "\r\n\r\n");
    ck_assert_ptr_nonnull(body);
    ck_assert_ptr_nonnull(
        strstr(body, "blockvisor_node_up{node=\"node-0001\",image=\"fake/fake-main:1.0.0\"} 1\n"));
    check_metrics(body + 4);
    peer_close(&p);
    door_close(&d);
}
END_TEST

/* ---- the socket ---- */

START_TEST(the_socket)
{
    const char *path = bvt_path("door.sock");
    bv_server_opts opts = BV_SERVER_OPTS_INIT;
    bv_server *second = NULL;
    bv_error *err = NULL;
    struct stat st;
    door d;

    open_served(&d, "");
    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert_uint_eq(st.st_mode & 07777, 0660);
    ck_assert_uint_eq(st.st_gid, getegid());
    /* Somebody serves there. */
    opts.base = d.base;
    opts.socket_path = path;
    ck_assert_int_eq(bv_server_new(d.ctx, d.inner, &opts, &second, &err), BV_E_BUSY);
    bvt_assert_error_says(err, BV_E_BUSY, "a daemon answers");
    bv_error_free(err);
    (void)door_ask(&d, "host.info", NULL); /* and still does */
    /* Another mode, in a directory that is made for it. */
    err = NULL;
    opts.socket_path = bvt_path("a/b/other.sock");
    opts.socket_mode = 0600;
    bvt_assert_ok(bv_server_new(d.ctx, d.inner, &opts, &second, &err), err);
    ck_assert_int_eq(stat(opts.socket_path, &st), 0);
    ck_assert_uint_eq(st.st_mode & 07777, 0600);
    bv_server_free(second);
    ck_assert(!bvt_exists(opts.socket_path));
    door_close(&d);
}
END_TEST

static int serve_at(door *d, const char *path, bv_server **ret_server, bv_error **err)
{
    bv_server_opts opts = BV_SERVER_OPTS_INIT;

    opts.base = d->base;
    opts.socket_path = path;
    return bv_server_new(d->ctx, d->host, &opts, ret_server, err);
}

START_TEST(what_is_in_the_way)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    const char *path = bvt_path("stale.sock");
    bv_server *server = NULL;
    bv_error *err = NULL;
    door d;
    int fd;

    ck_assert_int_eq(setenv("BVT_DOOR", "fake", 1), 0);
    door_open(&d, "");
    /* A socket that nobody listens on is replaced. */
    fd = socket(AF_UNIX, SOCK_STREAM, 0);
    memcpy(address.sun_path, path, strlen(path));
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    (void)close(fd);
    bvt_assert_ok(serve_at(&d, path, &server, &err), err);
    bv_server_free(server);
    /* A file is not. */
    path = bvt_write_file("precious", "data");
    ck_assert_int_eq(serve_at(&d, path, &server, &err), BV_E_EXISTS);
    bvt_assert_error_says(err, BV_E_EXISTS, "not a socket");
    ck_assert_str_eq(bvt_read_file(path, NULL), "data");
    bv_error_free(err);
    err = NULL;
    ck_assert_int_eq(serve_at(&d, bvt_format("%s/%0120d", bvt_dir(), 1), &server, &err),
                     BV_E_INVALID);
    bvt_assert_error_says(err, BV_E_INVALID, "longer than");
    bv_error_free(err);
    err = NULL;
    ck_assert_int_lt(serve_at(&d, bvt_format("%s/x.sock", path), &server, &err),
                     0); /* below a file */
    bv_error_free(err);
    ck_assert_int_eq(bv_server_new(d.ctx, d.host, NULL, &server, NULL), BV_E_INVALID);
    bv_server_free(NULL);
    door_close(&d);
}
END_TEST

/* More requests than are taken at once: some are refused, with a code that says "later". */
START_TEST(too_many_requests)
{
    enum { COUNT = 530 };
    peer *peers = calloc(COUNT, sizeof(*peers));
    unsigned refused = 0;
    door d;

    open_served(&d, "?delay_ms=3000");
    for (size_t i = 0; i < COUNT; i++) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        const char *path = bvt_path("door.sock");

        peers[i].d = &d;
        peers[i].fd = socket(AF_UNIX, SOCK_STREAM, 0);
        peers[i].text = calloc(1, 4096);
        memcpy(address.sun_path, path, strlen(path));
        ck_assert_int_eq(connect(peers[i].fd, (struct sockaddr *)&address, sizeof(address)), 0);
        ck_assert_int_eq(fcntl(peers[i].fd, F_SETFL, O_NONBLOCK), 0);
        say(&peers[i], "POST /v1/images HTTP/1.1\r\nContent-Length: 15\r\n\r\n{\"path\":\"/etc\"}");
        if (i % 32 == 0)
            door_turn(&d);
    }
    door_turn_ms(&d, 200);
    for (size_t i = 0; i < COUNT; i++) {
        ssize_t n = read(peers[i].fd, peers[i].text, 4095);

        if (n > 0 && strstr(peers[i].text, "503 Service Unavailable"))
            refused++;
        peer_close(&peers[i]);
    }
    ck_assert_uint_ge(refused, COUNT - 512);
    door_turn_ms(&d, 100);
    (void)door_ask(&d, "host.info", NULL); /* there is room again */
    door_close(&d);
    free(peers);
}
END_TEST

BVT_MAIN("server/server", bvt_loop(answers, requests), bvt_test(slow_and_persistent),
         bvt_test(a_body_that_is_too_large), bvt_test(a_head_that_is_too_large),
         bvt_times(going_cancels_the_call, 16), bvt_times(closing_the_server, 3),
         bvt_test(event_streams), bvt_test(a_follower_that_does_not_read), bvt_test(metrics),
         bvt_test(the_socket), bvt_test(what_is_in_the_way), bvt_test(too_many_requests))
