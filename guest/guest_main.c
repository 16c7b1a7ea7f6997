/*
 * guest_main.c - signals become a descriptor, log records become lines on standard error.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <time.h>

#include "guest_main.h"

static void print_record(void *data, const bv_log_record *rec)
{
    static const char *const levels[] = { "error", "warn", "info", "debug", "trace" };
    const char *program = data;
    time_t now = time(NULL);
    struct tm tm;
    char when[32] = "";

    if (gmtime_r(&now, &tm))
        (void)strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%SZ", &tm);
    fprintf(stderr, "%s %s %s: %s\n", when, levels[rec->level], program, rec->message);
}

/* BV_LOG is one of the levels; anything else means info. */
static int32_t wanted_level(void)
{
    static const char *const names[] = { "error", "warn", "info", "debug", "trace" };
    const char *wanted = getenv("BV_LOG");

    for (int32_t i = 0; wanted && i <= BV_LOG_TRACE; i++) {
        if (strcmp(wanted, names[i]) == 0)
            return i;
    }
    return BV_LOG_INFO;
}

int guest_main(int argc, char **argv, const char *name, guest_main_fn fn)
{
    bv_guest_opts opts = BV_GUEST_OPTS_INIT;
    char program[64];
    sigset_t stop;

    sigemptyset(&stop);
    sigaddset(&stop, SIGTERM);
    sigaddset(&stop, SIGINT);
    sigaddset(&stop, SIGHUP);
    sigprocmask(SIG_BLOCK, &stop, NULL);
    signal(SIGPIPE, SIG_IGN);
    snprintf(program, sizeof(program), "%s", name);
    opts.stop_fd = signalfd(-1, &stop, SFD_CLOEXEC | SFD_NONBLOCK);
    opts.log = print_record;
    opts.log_data = program;
    opts.log_level = wanted_level();
    opts.user = getenv("BV_USER");
    if (opts.user && !*opts.user)
        opts.user = NULL;
    return fn(argc, argv, &opts);
}
