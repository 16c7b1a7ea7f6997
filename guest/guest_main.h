/*
 * guest_main.h - what babel and babel_transfer do around their library call: signals and log lines.
 */
#ifndef GUEST_MAIN_H
#define GUEST_MAIN_H

#include <blockvisor/guest.h>

typedef int (*guest_main_fn)(int argc, char **argv, const bv_guest_opts *opts);

/* Runs the program; the result is its exit status. */
int guest_main(int argc, char **argv, const char *name, guest_main_fn fn);

#endif
