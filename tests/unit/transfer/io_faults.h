/*
 * io_faults.h - the disk that fails: every call with which the library changes files, or opens
 * them, may be made to fail in this process.
 *
 * The program defines those functions of the C library itself and passes calls on unless a fault is
 * due, so no preloading is needed. Only regular files and directories count.
 */
#ifndef TRANSFER_IO_FAULTS_H
#define TRANSFER_IO_FAULTS_H

#include <stdbool.h>

enum {
    IO_WRITE = 1,  /* write, pwrite */
    IO_SYNC = 2,   /* fsync, fdatasync, syncfs */
    IO_RENAME = 4, /* rename and its kind, link */
    IO_SIZE = 8,   /* ftruncate, fallocate */
    IO_MAKE = 16,  /* mkdir, symlink, and opening a file that is made by it */
    IO_OPEN = 32,  /* every opening */
    IO_CHANGES = IO_WRITE | IO_SYNC | IO_RENAME | IO_SIZE | IO_MAKE,
};

#define IO_SHORT (-1) /* in place of an errno: a write that takes half */

typedef struct io_plan {
    unsigned calls; /* which kinds count */
    unsigned at;    /* the first of them that fails, from 1; 0: none */
    bool on;        /* and all behind it */
    int errnum;
} io_plan;

void io_faults_arm(const io_plan *plan);
/* Ends it; how many calls counted, and how many failed. */
unsigned io_faults_disarm(unsigned *ret_failed);

#endif
