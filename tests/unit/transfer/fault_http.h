/*
 * fault_http.h - an object server on the test's own loop that does what real ones do on bad days.
 *
 * It keeps objects as files below a directory, as a directory store does, and answers GET (with
 * Range), HEAD, PUT (If-None-Match: * too) and DELETE. A fault describes which requests it spoils,
 * and how: everything that is not set stays as a good server would have it. The loop turns the
 * clock by itself whenever nothing else can happen, so hours of waiting take no time.
 */
#ifndef TRANSFER_FAULT_HTTP_H
#define TRANSFER_FAULT_HTTP_H

#include "base/buf.h"
#include "io/loop.h"
#include "support.h"

typedef enum fault_end {
    FAULT_END_KEEP, /* the connection */
    FAULT_END_CLOSE,
    FAULT_END_RESET,
    FAULT_END_STALL, /* nothing ever comes again */
} fault_end;

typedef enum fault_range {
    FAULT_RANGE_RIGHT,
    FAULT_RANGE_IGNORED, /* 200 and everything */
    FAULT_RANGE_SHIFTED, /* other bytes, and the head says so */
    FAULT_RANGE_LIES,    /* other bytes, and the head claims the right ones */
} fault_range;

typedef enum fault_place {
    FAULT_NOWHERE,
    FAULT_FIRST,
    FAULT_MIDDLE,
    FAULT_LAST,
} fault_place;

typedef struct fault {
    /* which requests */
    const char *method; /* NULL: there is no such fault */
    const char *part;   /* of the path; NULL: all */
    unsigned times;     /* 0: each time */
    /* before the answer */
    int64_t delay_ms;
    uint64_t read_max;    /* PUT: bytes of the body that are read; 0: all */
    uint64_t read_per_s;  /* of a PUT's body; 0: as fast as it comes */
    int64_t refuse_ms;    /* nobody listens for so long, and connections end */
    const char *raw;      /* sent instead of an answer */
    unsigned raw_repeats; /* how often; 0: once */
    /* the head */
    int status;            /* instead of the right one, with a short body */
    const char *head;      /* more lines, each with \r\n */
    unsigned head_repeats; /* 0: once */
    int64_t length_off;    /* Content-Length is wrong by so much */
    bool no_length;
    bool chunked;
    bool chunked_garbage; /* its second piece is none */
    fault_range range;
    /* the body */
    uint64_t body_max; /* 0: all; what is sent of it */
    bool empty;
    bool twice;       /* the first bytes come again in the middle */
    fault_place flip; /* a bit of this byte */
    bool truncate;    /* the object is shorter than it was */
    bool lose;        /* PUT: answered, but not stored */
    bool lose_half;   /* PUT: likewise, half of it */
    uint64_t bytes_per_s;
    fault_end end;
} fault;

#define FAULTS_MAX 4

typedef struct fault_http fault_http;

/* Serves `root`; port 0: a free one. Faults are borrowed, FAULTS_MAX of them. */
fault_http *fault_http_new(const char *root, unsigned port);
unsigned fault_http_port(const fault_http *server);
void fault_http_free(fault_http *server);
void fault_http_set(fault_http *server, const fault *faults); /* NULL: none */
bv_ctx *fault_http_ctx(fault_http *server);
const char *fault_http_url(const fault_http *server, const char *scheme); /* without an end slash */
/* Turns the loop, and the clock when nothing happens, until the outcome is there. */
void fault_http_wait(fault_http *server, outcome *o);
/* Bytes of chunks that left us, or came in. */
uint64_t fault_http_sent(const fault_http *server);
uint64_t fault_http_received(const fault_http *server);
unsigned fault_http_used(const fault_http *server); /* how often a fault was met */
int64_t fault_http_elapsed_ms(const fault_http *server);

#endif
