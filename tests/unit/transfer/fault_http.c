/*
 * fault_http.c - see fault_http.h.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "fault_http.h"

#define IN_MAX  (32u * 1024u * 1024u)
#define OUT_MAX (64u * 1024u * 1024u)
/* What the kernel holds of an answer: small, so that what is counted as sent was mostly wanted. */
#define SOCKET_BYTES (64 * 1024)
/* Nothing for so long in real time: only the clock can bring more. */
#define QUIET_MS 2
/* Whoever wakes up so late shares the processor, and so may what it waits for: then it waits on. */
#define LATE_US   3000
#define LATES_MAX 10
/* A transfer that turns the clock further hangs. */
#define ELAPSED_MAX_MS (48 * 3600 * 1000ll)

typedef struct conn {
    fault_http *server;
    struct conn *next;
    int fd; /* -1: closed */
    bvi_watch *watch;
    bvi_timer *timer;
    bvi_buf in;
    bvi_buf out;
    size_t sent;
    size_t body_at; /* where in out the body of a chunk begins; 0: it is none */
    bool answering;
    bool complete; /* the request, as far as it is wanted */
    bool is_part;
    const fault *fault; /* being played */
} conn;

struct fault_http {
    bv_ctx *ctx;
    bvt_clock clock;
    int epoll_fd;
    int64_t due_us; /* -1: disarmed */
    const char *root;
    int fd;
    unsigned port;
    bvi_watch *watch;
    bvi_timer *reopen;
    conn *conns;
    const fault *faults;
    unsigned used[FAULTS_MAX];
    unsigned met;
    uint64_t part_bytes_out;
    uint64_t part_bytes_in;
    int64_t began_us;
};

static const fault no_fault = { 0 };

/* ---- the loop ---- */

static int loop_watch(void *host, int fd, unsigned events, void **slot)
{
    fault_http *s = host;
    struct epoll_event e = { .data.fd = fd };

    if (events == 0) {
        (void)epoll_ctl(s->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
        *slot = NULL;
        return 0;
    }
    e.events = ((events & BV_IO_IN) ? EPOLLIN : 0u) | ((events & BV_IO_OUT) ? EPOLLOUT : 0u);
    ck_assert_int_eq(epoll_ctl(s->epoll_fd, *slot ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &e), 0);
    *slot = s;
    return 0;
}

static int loop_arm(void *host, int64_t delay_us)
{
    fault_http *s = host;

    s->due_us = delay_us < 0 ? -1 : s->clock.monotonic_us + delay_us;
    return 0;
}

static int64_t real_us(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000000) + now.tv_nsec / 1000;
}

/* As epoll_wait(); 0 only when it is quiet, not when the machine is busy. */
static int wait_events(const fault_http *s, struct epoll_event *events, int max)
{
    int64_t took_us = LATE_US;
    int n = 0;

    for (unsigned i = 0; n == 0 && took_us >= LATE_US && i < LATES_MAX; i++) {
        int64_t begun_us = real_us();

        n = epoll_wait(s->epoll_fd, events, max, QUIET_MS);
        took_us = real_us() - begun_us;
    }
    return n;
}

static void turn(fault_http *s)
{
    struct epoll_event events[32];
    bool due = s->due_us >= 0 && s->due_us <= s->clock.monotonic_us;
    int n = due ? epoll_wait(s->epoll_fd, events, 32, 0) : wait_events(s, events, 32);

    for (int i = 0; i < n; i++) {
        unsigned got = events[i].events;

        bv_ctx_io_ready(s->ctx, events[i].data.fd,
                        ((got & EPOLLIN) ? BV_IO_IN : 0u) | ((got & EPOLLOUT) ? BV_IO_OUT : 0u) |
                            ((got & (EPOLLERR | EPOLLHUP)) ? BV_IO_ERR : 0u));
    }
    if (n == 0 && !due) {
        ck_assert_msg(s->due_us >= 0, "nothing will ever happen");
        bvt_clock_advance(&s->clock, s->due_us - s->clock.monotonic_us);
        due = true;
    }
    if (due) {
        s->due_us = -1;
        bv_ctx_timer_due(s->ctx);
    }
}

void fault_http_wait(fault_http *s, outcome *o)
{
    while (!o->done) {
        turn(s);
        ck_assert_msg(fault_http_elapsed_ms(s) < ELAPSED_MAX_MS, "the transfer hangs");
    }
}

/* ---- answers ---- */

static void conn_close(conn *c, bool reset)
{
    const struct linger now = { .l_onoff = 1 };

    if (c->fd < 0)
        return;
    if (reset)
        (void)setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    bvi_watch_free(c->watch);
    c->watch = NULL;
    bvi_timer_clear(c->timer);
    (void)close(c->fd);
    c->fd = -1;
}

static void add(conn *c, const void *bytes, size_t len)
{
    ck_assert_int_eq(bvi_buf_append(&c->out, bytes, len), 0);
}

static void add_text(conn *c, const char *text, unsigned repeats)
{
    for (unsigned i = 0; text && i < (repeats ? repeats : 1); i++)
        add(c, text, strlen(text));
}

static void spoil(const fault *f, uint8_t *body, size_t len)
{
    const size_t places[] = { 0, 0, len / 2, len ? len - 1 : 0 };

    if (len > 0 && f->flip)
        body[places[f->flip]] ^= 0x10;
    if (len > 0 && f->twice)
        memmove(body + len / 2, body, len - len / 2);
}

/* Chunked, in two pieces. The one behind `body_max` never comes. */
static void add_chunked(conn *c, const fault *f, const uint8_t *body, size_t len)
{
    size_t first = f->body_max && f->body_max < len ? (size_t)f->body_max : len / 2;

    add_text(c, bvt_format("%zx\r\n", first), 1);
    add(c, body, first);
    add_text(c, "\r\n", 1);
    if (f->chunked_garbage)
        add_text(c, "this is no number\r\n", 1);
    else if (!f->body_max) {
        add_text(c, bvt_format("%zx\r\n", len - first), 1);
        add(c, body + first, len - first);
        add_text(c, "\r\n0\r\n\r\n", 1);
    }
}

static void send_some(conn *c);

static void answer(conn *c, int status, const char *head, const uint8_t *body, size_t len,
                   bool head_only)
{
    const fault *f = c->fault;
    size_t told = (size_t)((int64_t)len + f->length_off);

    if (f->raw) {
        add_text(c, f->raw, f->raw_repeats);
        send_some(c);
        return;
    }
    add_text(c, bvt_format("HTTP/1.1 %d Because\r\n%s", status, head), 1);
    add_text(c, f->head, f->head_repeats);
    if (f->chunked && !head_only)
        add_text(c, "Transfer-Encoding: chunked\r\n", 1);
    else if (f->no_length)
        add_text(c, "Connection: close\r\n", 1);
    else
        add_text(c, bvt_format("Content-Length: %zu\r\n", told), 1);
    add_text(c, "\r\n", 1);
    c->body_at = c->is_part && status / 100 == 2 ? c->out.len : 0;
    if (head_only)
        len = 0;
    else if (f->chunked)
        add_chunked(c, f, body, len);
    else if (f->body_max && f->body_max < len)
        len = (size_t)f->body_max;
    if (!f->chunked)
        add(c, body, len);
    send_some(c);
}

static void answer_status(conn *c, int status)
{
    answer(c, status, "", (const uint8_t *)"as told", 7, false);
}

static void finish_answer(conn *c)
{
    fault_end end = c->fault->end;

    bvi_buf_clear(&c->out);
    c->sent = c->body_at = 0;
    if (end == FAULT_END_STALL)
        return;
    if (end != FAULT_END_KEEP || c->fault->no_length) {
        conn_close(c, end == FAULT_END_RESET);
        return;
    }
    c->answering = c->complete = false;
    c->fault = &no_fault;
    (void)bvi_watch_set(c->watch, BV_IO_IN, NULL);
}

/* As much as the socket takes, or as a slow server's turn allows. */
static void send_some(conn *c)
{
    uint64_t turn_bytes = c->fault->bytes_per_s ? c->fault->bytes_per_s : UINT64_MAX;

    while (c->sent < c->out.len && turn_bytes > 0) {
        size_t left = c->out.len - c->sent;
        ssize_t n = send(c->fd, c->out.data + c->sent, left < turn_bytes ? left : turn_bytes,
                         MSG_NOSIGNAL | MSG_DONTWAIT);

        if (n < 0 && errno == EAGAIN) {
            (void)bvi_watch_set(c->watch, BV_IO_OUT, NULL);
            return;
        }
        if (n < 0) {
            conn_close(c, false);
            return;
        }
        c->sent += (size_t)n;
        turn_bytes -= (size_t)n;
        if (c->body_at && c->sent > c->body_at)
            c->server->part_bytes_out +=
                c->sent - c->body_at < (size_t)n ? c->sent - c->body_at : (size_t)n;
    }
    (void)bvi_watch_set(c->watch, 0, NULL);
    if (c->sent < c->out.len)
        ck_assert_int_eq(bvi_timer_set(c->timer, 1000000, NULL), 0);
    else
        finish_answer(c);
}

/* ---- objects ---- */

static const char *local_path(const conn *c, const char *path)
{
    return bvt_format("%s%.*s", c->server->root, (int)strcspn(path, "?"), path);
}

/* Moves the range of a body to its beginning. */
static int cut_range(const conn *c, const char *head, uint8_t *body, size_t *len,
                     const char **ret_head)
{
    const fault *f = c->fault;
    const char *range = strcasestr(head, "\r\nRange: bytes=");
    size_t total = *len, from, first, last;

    *ret_head = "";
    if (!range || f->range == FAULT_RANGE_IGNORED)
        return 200;
    ck_assert_int_eq(sscanf(range + 15, "%zu-%zu", &first, &last), 2);
    if (first >= total)
        return 416;
    if (last >= total)
        last = total - 1;
    from = f->range == FAULT_RANGE_RIGHT || first == 0 ? first : first - 1;
    *len = last - first + 1;
    memmove(body, body + from, *len);
    if (f->range == FAULT_RANGE_LIES)
        from = first;
    *ret_head =
        bvt_format("Content-Range: bytes %zu-%zu/%zu\r\n", from, from + last - first, total);
    return 206;
}

static void on_get(conn *c, const char *path, const char *head, bool head_only)
{
    const fault *f = c->fault;
    const char *more = "";
    struct stat st;
    size_t len = 0;
    uint8_t *body;
    int status;

    if (stat(local_path(c, path), &st) < 0 || !S_ISREG(st.st_mode)) {
        answer_status(c, 404);
        return;
    }
    body = (uint8_t *)bvt_read_file(local_path(c, path), &len);
    if (f->truncate)
        len /= 2;
    if (f->empty)
        len = 0;
    status = cut_range(c, head, body, &len, &more);
    spoil(f, body, len);
    if (status == 416)
        answer_status(c, 416);
    else
        answer(c, status, more, body, len, head_only);
}

static void make_dirs(char *path)
{
    for (char *at = path + 1; *at; at++) {
        if (*at == '/') {
            *at = '\0';
            ck_assert(mkdir(path, 0755) == 0 || errno == EEXIST);
            *at = '/';
        }
    }
}

static void on_put(conn *c, const char *path, const char *head, const char *body, size_t len)
{
    const fault *f = c->fault;
    const char *local = local_path(c, path);
    char *dirs = strdup(local);
    FILE *file;

    if (strcasestr(head, "\r\nIf-None-Match: *") && bvt_exists(local)) {
        free(dirs);
        answer_status(c, 412);
        return;
    }
    make_dirs(dirs);
    free(dirs);
    if (!f->lose) {
        file = fopen(local, "w");
        ck_assert_ptr_nonnull(file);
        ck_assert_uint_eq(fwrite(body, 1, f->lose_half ? len / 2 : len, file),
                          f->lose_half ? len / 2 : len);
        (void)fclose(file);
    }
    answer(c, 201, "", (const uint8_t *)"", 0, false);
}

static void on_delete(conn *c, const char *path)
{
    if (unlink(local_path(c, path)) == 0)
        answer(c, 204, "", (const uint8_t *)"", 0, false);
    else
        answer_status(c, 404);
}

/* ---- requests ---- */

static const fault *find_fault(fault_http *s, const char *method, const char *path)
{
    for (int i = 0; s->faults && i < FAULTS_MAX && s->faults[i].method; i++) {
        const fault *f = &s->faults[i];

        if (strcmp(f->method, method) != 0 || (f->part && !strstr(path, f->part)) ||
            (f->times && s->used[i] >= f->times))
            continue;
        s->used[i]++;
        s->met++;
        return f;
    }
    return &no_fault;
}

static void shut_door(fault_http *s, int64_t ms)
{
    bvi_watch_free(s->watch);
    s->watch = NULL;
    (void)close(s->fd);
    s->fd = -1;
    for (conn *c = s->conns; c; c = c->next)
        conn_close(c, true);
    ck_assert_int_eq(bvi_timer_set(s->reopen, ms * 1000, NULL), 0);
}

/* A request whose head, and as much of its body as is wanted, came in. */
static void handle(conn *c)
{
    char method[8], path[1024];
    size_t head_len = (size_t)(strstr(c->in.data, "\r\n\r\n") - c->in.data) + 4;
    char *head = strndup(c->in.data, head_len);
    size_t len = c->in.len - head_len;

    (void)bvi_watch_set(c->watch, 0, NULL);
    ck_assert_int_eq(sscanf(head, "%7s %1023s", method, path), 2);
    if (c->is_part && strcmp(method, "PUT") == 0)
        c->server->part_bytes_in += len;
    if (c->fault->refuse_ms)
        shut_door(c->server, c->fault->refuse_ms);
    else if (c->fault->status)
        answer_status(c, c->fault->status);
    else if (strcmp(method, "PUT") == 0)
        on_put(c, path, head, c->in.data + head_len, len);
    else if (strcmp(method, "DELETE") == 0)
        on_delete(c, path);
    else
        on_get(c, path, head, strcmp(method, "HEAD") == 0);
    bvi_buf_clear(&c->in);
    free(head);
}

static void on_conn_timer(bvi_timer *timer, void *data)
{
    conn *c = data;

    (void)timer;
    if (c->out.len > 0)
        send_some(c);
    else if (c->complete)
        handle(c);
    else
        (void)bvi_watch_set(c->watch, BV_IO_IN, NULL);
}

static uint64_t body_wanted(const conn *c, const char *head_end)
{
    const char *length = strcasestr(c->in.data, "\r\nContent-Length:");
    uint64_t wanted = length && length < head_end ? strtoull(length + 17, NULL, 10) : 0;

    return c->fault->read_max && c->fault->read_max < wanted ? c->fault->read_max : wanted;
}

static void look_at_input(conn *c)
{
    const char *end = c->in.data ? strstr(c->in.data, "\r\n\r\n") : NULL;
    char method[8], path[1024];

    if (!end)
        return;
    if (!c->answering) { /* the fault is chosen once, when the head is whole */
        c->answering = true;
        ck_assert_int_eq(sscanf(c->in.data, "%7s %1023s", method, path), 2);
        c->fault = find_fault(c->server, method, path);
        c->is_part = strstr(path, "data.part_") != NULL;
    }
    if (c->in.len - (size_t)(end + 4 - c->in.data) < body_wanted(c, end))
        return;
    c->complete = true;
    if (c->fault->delay_ms) {
        (void)bvi_watch_set(c->watch, 0, NULL);
        ck_assert_int_eq(bvi_timer_set(c->timer, c->fault->delay_ms * 1000, NULL), 0);
    } else {
        bvi_timer_clear(c->timer);
        handle(c);
    }
}

static void on_conn(bvi_watch *watch, int fd, unsigned events, void *data)
{
    static char bytes[64 * 1024];
    conn *c = data;
    size_t max = sizeof(bytes);
    ssize_t n;

    (void)watch;
    (void)events;
    if (c->out.len > 0) {
        send_some(c);
        return;
    }
    if (c->fault->read_per_s && c->fault->read_per_s < max) {
        max = c->fault->read_per_s;
        (void)bvi_watch_set(c->watch, 0, NULL);
        ck_assert_int_eq(bvi_timer_set(c->timer, 1000000, NULL), 0);
    }
    n = recv(fd, bytes, max, MSG_DONTWAIT);
    if (n < 0 && errno == EAGAIN)
        return;
    if (n <= 0) {
        conn_close(c, false);
        return;
    }
    ck_assert_int_eq(bvi_buf_append(&c->in, bytes, (size_t)n), 0);
    look_at_input(c);
}

static void on_accept(bvi_watch *watch, int fd, unsigned events, void *data)
{
    const int bytes = SOCKET_BYTES;
    fault_http *s = data;
    conn *c = calloc(1, sizeof(*c));

    (void)watch;
    (void)events;
    c->server = s;
    c->fault = &no_fault;
    c->fd = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    bvi_buf_init(&c->in, IN_MAX);
    bvi_buf_init(&c->out, OUT_MAX);
    c->next = s->conns;
    s->conns = c;
    if (c->fd < 0)
        return;
    (void)setsockopt(c->fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
    ck_assert_int_eq(bvi_timer_new(s->ctx, on_conn_timer, c, &c->timer, NULL), 0);
    ck_assert_int_eq(bvi_watch_new(s->ctx, c->fd, BV_IO_IN, on_conn, c, &c->watch, NULL), 0);
}

/* ---- life ---- */

static void open_door(fault_http *s)
{
    struct sockaddr_in addr = { .sin_family = AF_INET,
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                                .sin_port = htons((uint16_t)s->port) };
    socklen_t len = sizeof(addr);
    const int on = 1;

    s->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    (void)setsockopt(s->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    (void)setsockopt(s->fd, SOL_SOCKET, SO_RCVBUF, &(int){ SOCKET_BYTES }, sizeof(int));
    ck_assert_int_eq(bind(s->fd, (struct sockaddr *)&addr, len), 0);
    ck_assert_int_eq(listen(s->fd, 64), 0);
    ck_assert_int_eq(getsockname(s->fd, (struct sockaddr *)&addr, &len), 0);
    s->port = ntohs(addr.sin_port);
    ck_assert_int_eq(bvi_watch_new(s->ctx, s->fd, BV_IO_IN, on_accept, s, &s->watch, NULL), 0);
}

static void on_reopen(bvi_timer *timer, void *data)
{
    (void)timer;
    open_door(data);
}

fault_http *fault_http_new(const char *root, unsigned port)
{
    fault_http *s = calloc(1, sizeof(*s));
    bv_loop_hooks hooks = {
        .size = sizeof(hooks), .host = s, .watch = loop_watch, .arm = loop_arm
    };
    bv_ctx_opts opts = BV_CTX_OPTS_INIT;

    s->root = root;
    s->port = port;
    s->due_us = -1;
    s->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    bvt_clock_init(&s->clock);
    s->began_us = s->clock.monotonic_us;
    opts.hooks = &hooks;
    opts.clock = &s->clock.clock;
    ck_assert_int_eq(bv_ctx_new(&opts, &s->ctx, NULL), 0);
    ck_assert_int_eq(bvi_timer_new(s->ctx, on_reopen, s, &s->reopen, NULL), 0);
    open_door(s);
    return s;
}

void fault_http_free(fault_http *s)
{
    while (s->conns) {
        conn *c = s->conns;

        s->conns = c->next;
        conn_close(c, false);
        bvi_timer_free(c->timer);
        bvi_buf_done(&c->in);
        bvi_buf_done(&c->out);
        free(c);
    }
    bvi_watch_free(s->watch);
    bvi_timer_free(s->reopen);
    if (s->fd >= 0)
        (void)close(s->fd);
    bv_ctx_free(s->ctx);
    (void)close(s->epoll_fd);
    free(s);
}

void fault_http_set(fault_http *s, const fault *faults)
{
    s->faults = faults;
    memset(s->used, 0, sizeof(s->used));
}

unsigned fault_http_port(const fault_http *s)
{
    return s->port;
}

bv_ctx *fault_http_ctx(fault_http *s)
{
    return s->ctx;
}

const char *fault_http_url(const fault_http *s, const char *scheme)
{
    return bvt_format("%s://127.0.0.1:%u", scheme, s->port);
}

uint64_t fault_http_sent(const fault_http *s)
{
    return s->part_bytes_out;
}

uint64_t fault_http_received(const fault_http *s)
{
    return s->part_bytes_in;
}

unsigned fault_http_used(const fault_http *s)
{
    return s->met;
}

int64_t fault_http_elapsed_ms(const fault_http *s)
{
    return (s->clock.monotonic_us - s->began_us) / 1000;
}
