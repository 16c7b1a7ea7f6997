/*
 * drive.h - one test, three loops: our own descriptor, a poll(2) loop with hooks, and libevent
 * through its adapter.
 */
#ifndef BVT_IO_DRIVE_H
#define BVT_IO_DRIVE_H

#include <event2/event.h>

#include <blockvisor/adapters/libevent.h>

#include "bvt.h"
#include "io/loop.h"

enum { DRIVE_OWN, DRIVE_POLL, DRIVE_LIBEVENT, DRIVE_COUNT };

#define DRIVE_FDS_MAX 512

typedef struct drive_fd {
    int fd;
    unsigned events; /* 0: the entry is free */
    unsigned serial;
} drive_fd;

typedef struct drive {
    int mode;
    bv_ctx *ctx;
    bvt_clock clock;
    bool fake_time;
    /* the poll(2) host */
    drive_fd fds[DRIVE_FDS_MAX];
    unsigned serial;
    int64_t due_us; /* -1: disarmed */
    bool refuse_arm;
    /* libevent */
    struct event_base *base;
    bv_libevent adapter;
} drive;

void drive_open(drive *d, int mode, uint32_t workers, bool fake_time);
void drive_open_opts(drive *d, int mode, bv_ctx_opts *opts, bool fake_time);
void drive_close(drive *d);
/* One turn of the loop without waiting. */
void drive_turn(drive *d);
/* Turns until nothing is left to do at this time; fails when there is no end. */
void drive_settle(drive *d);
/* Turns, waiting for events, until the flag is set; fails after a while. */
void drive_until(drive *d, const bool *flag);
/* Turns the clock (fake time only) and settles. */
void drive_advance(drive *d, int64_t us);

#endif
