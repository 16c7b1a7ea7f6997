/*
 * bench_proxy.c - a TCP proxy that makes a link long: everything arrives later, in both directions,
 * and no more than a window of bytes is under way. For tools/bench.
 *
 *     bench_proxy PORT TO-PORT ROUND-TRIP-MS WINDOW-BYTES
 *
 * Listens on loopback and says "ready". A connection costs one round trip more, for its handshake.
 * Runs until it is killed.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define PIECE      65536u
#define PIECES_MAX 8192u
#define PAIRS_MAX  256u

typedef struct piece {
    int64_t due_us;
    size_t len;
} piece;

/* One direction: a ring of bytes, and when each piece of them may go on. */
typedef struct way {
    int from;
    int to;
    uint8_t *ring;
    size_t head; /* first byte waiting */
    size_t fill;
    piece pieces[PIECES_MAX];
    size_t first;
    size_t count;
    bool ended;  /* nothing more comes in */
    bool closed; /* and that was passed on */
} way;

typedef struct pair {
    way ways[2]; /* to the server, and back */
    int64_t open_us;
    bool used;
} pair;

static pair *pairs;
static size_t window;
static int64_t delay_us; /* of one way */

static int64_t now_us(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static int prepared(int fd)
{
    const int one = 1;

    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    (void)fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    return fd;
}

static int connect_to(unsigned port)
{
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0 || connect(fd, (struct sockaddr *)&at, sizeof(at)) < 0)
        return -1;
    return prepared(fd);
}

static void way_init(way *w, int from, int to)
{
    uint8_t *ring = w->ring ? w->ring : malloc(window);

    *w = (way){ .from = from, .to = to, .ring = ring };
}

static void admit(int client, unsigned port)
{
    int server = connect_to(port);

    for (size_t i = 0; server >= 0 && i < PAIRS_MAX; i++) {
        pair *p = &pairs[i];

        if (p->used)
            continue;
        way_init(&p->ways[0], prepared(client), server);
        way_init(&p->ways[1], server, client);
        p->open_us = now_us() + 2 * delay_us;
        p->used = p->ways[0].ring && p->ways[1].ring;
        return;
    }
    (void)close(client);
}

/* True when something moved. */
static bool take_in(way *w, int64_t due_us)
{
    size_t at = (w->head + w->fill) % window;
    size_t room = window - w->fill;
    ssize_t n;

    room = room < window - at ? room : window - at;
    room = room < PIECE ? room : PIECE;
    if (w->ended || room == 0 || w->count == PIECES_MAX)
        return false;
    n = recv(w->from, w->ring + at, room, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return false;
    if (n <= 0) {
        w->ended = true;
        return true;
    }
    w->pieces[(w->first + w->count++) % PIECES_MAX] = (piece){ due_us, (size_t)n };
    w->fill += (size_t)n;
    return true;
}

static bool pass_on(way *w, int64_t now)
{
    piece *p = &w->pieces[w->first];
    size_t len;
    ssize_t n;

    if (w->count == 0 && w->ended && !w->closed) {
        (void)shutdown(w->to, SHUT_WR);
        w->closed = true;
        return true;
    }
    if (w->count == 0 || p->due_us > now)
        return false;
    len = p->len < window - w->head ? p->len : window - w->head;
    n = send(w->to, w->ring + w->head, len, MSG_NOSIGNAL);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return false;
    if (n <= 0) { /* nobody is there any more */
        w->count = w->fill = 0;
        w->ended = true;
        return true;
    }
    w->head = (w->head + (size_t)n) % window;
    w->fill -= (size_t)n;
    p->len -= (size_t)n;
    if (p->len == 0) {
        w->first = (w->first + 1) % PIECES_MAX;
        w->count--;
    }
    return true;
}

static bool serve(pair *p)
{
    int64_t now = now_us();
    int64_t open_us = p->open_us > now ? p->open_us : now;
    bool moved = false;

    for (size_t i = 0; i < 2; i++) {
        while (take_in(&p->ways[i], open_us + delay_us))
            moved = true;
        while (pass_on(&p->ways[i], now))
            moved = true;
    }
    if (p->ways[0].closed && p->ways[1].closed) {
        (void)close(p->ways[0].from);
        (void)close(p->ways[0].to);
        p->used = false;
    }
    return moved;
}

int main(int argc, char **argv)
{
    struct sockaddr_in at = { .sin_family = AF_INET };
    const int one = 1;
    unsigned to;
    int fd;

    if (argc != 5) {
        (void)fputs("usage: bench_proxy PORT TO-PORT ROUND-TRIP-MS WINDOW-BYTES\n", stderr);
        return 2;
    }
    to = (unsigned)strtoul(argv[2], NULL, 10);
    delay_us = strtol(argv[3], NULL, 10) * 500;
    window = strtoul(argv[4], NULL, 10);
    pairs = calloc(PAIRS_MAX, sizeof(*pairs));
    fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    at.sin_port = htons((uint16_t)strtoul(argv[1], NULL, 10));
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (!pairs || window == 0 || bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0 ||
        listen(fd, 128) < 0) {
        perror("bench_proxy");
        return 1;
    }
    (void)puts("ready");
    (void)fflush(stdout);
    for (;;) {
        const struct timespec nap = { .tv_nsec = 500000 }; /* little beside the delay */
        bool moved = false;
        int client = accept(fd, NULL, NULL);

        if (client >= 0)
            admit(client, to);
        for (size_t i = 0; i < PAIRS_MAX; i++)
            moved = (pairs[i].used && serve(&pairs[i])) || moved;
        if (!moved && client < 0)
            (void)nanosleep(&nap, NULL);
    }
}
