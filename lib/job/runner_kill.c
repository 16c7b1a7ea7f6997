/*
 * runner_kill.c - one pass over /proc, then marks on what was found.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "job/runner_kill.h"

/* The start of /proc/PID/stat up to the start time. */
#define STAT_MAX 1024u
/* One piece of an environment or a directory. */
#define PIECE_MAX 4096u

typedef struct entry {
    pid_t pid;
    pid_t parent;
    pid_t session;
    uint64_t start_ticks;
    bool marked;
} entry;

typedef BVI_VEC(entry) table;

/* Fields after the name: state ppid pgrp session ... start time is the twentieth. A zombie is no
 * process any more. */
static bool parse_entry(char *text, entry *e)
{
    char *at = strrchr(text, ')');
    char *save = NULL;
    unsigned n = 0;

    if (!at)
        return false;
    for (char *f = strtok_r(at + 1, " ", &save); f; f = strtok_r(NULL, " ", &save), n++) {
        if (n == 0 && (*f == 'Z' || *f == 'X'))
            return false;
        if (n == 1)
            e->parent = (pid_t)strtol(f, NULL, 10);
        if (n == 3)
            e->session = (pid_t)strtol(f, NULL, 10);
        if (n == 19) {
            e->start_ticks = strtoull(f, NULL, 10);
            return true;
        }
    }
    return false;
}

static int open_proc(pid_t pid, const char *name)
{
    char path[64];

    (void)snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name); /* fits */
    return open(path, O_RDONLY | O_CLOEXEC);
}

static int add_entry(table *t, pid_t pid)
{
    char text[STAT_MAX];
    entry e = { .pid = pid };
    bvi_auto_close int fd = open_proc(pid, "stat");
    ssize_t n = fd >= 0 ? read(fd, text, sizeof(text) - 1) : -1;
    entry *slot;

    if (n <= 0)
        return 0; /* gone meanwhile */
    text[n] = '\0';
    if (!parse_entry(text, &e))
        return 0;
    slot = bvi_vec_push(t);
    if (!slot)
        return BV_E_NOMEM;
    *slot = e;
    return 0;
}

/* What getdents64() fills in. Read by hand: opendir() would take 32 KiB of heap for good. */
typedef struct dirent64_head {
    uint64_t ino;
    int64_t off;
    uint16_t len;
    uint8_t type;
    char name[];
} dirent64_head;

static int read_table(table *t, bv_error **err)
{
    _Alignas(dirent64_head) char piece[PIECE_MAX];
    bvi_auto_close int fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    long n = fd < 0 ? -1 : 0;

    while (fd >= 0 && (n = syscall(SYS_getdents64, fd, piece, sizeof(piece))) > 0) {
        for (long at = 0; at < n;) {
            const dirent64_head *d = (const void *)(piece + at);
            pid_t pid = (pid_t)strtol(d->name, NULL, 10); /* 0 for what is not a process */

            if (pid > 0 && add_entry(t, pid) < 0)
                return bvi_fail_nomem(err);
            at += d->len;
        }
    }
    return n < 0 ? bvi_fail_sys(err, errno, "cannot read the process table") : 0;
}

static entry *find_entry(table *t, pid_t pid)
{
    for (size_t i = 0; i < t->len; i++) {
        if (t->items[i].pid == pid)
            return &t->items[i];
    }
    return NULL;
}

/* Marks whatever descends from a marked process. */
static void spread_marks(table *t)
{
    bool more = true;

    while (more) {
        more = false;
        for (size_t i = 0; i < t->len; i++) {
            entry *e = &t->items[i];
            const entry *parent = e->marked ? NULL : find_entry(t, e->parent);

            if (parent && parent->marked)
                e->marked = more = true;
        }
    }
}

static int collect(const table *t, bvi_proc_ids *ids, bv_error **err)
{
    for (size_t i = 0; i < t->len; i++) {
        bvi_proc_id *id = t->items[i].marked ? bvi_vec_push(ids) : NULL;

        if (t->items[i].marked && !id)
            return bvi_fail_nomem(err);
        if (id)
            *id = (bvi_proc_id){ .pid = t->items[i].pid, .start_ticks = t->items[i].start_ticks };
    }
    return 0;
}

static void table_done(table *t)
{
    bvi_vec_done(t);
}

int bvi_find_descendants(bvi_proc_ids *ids, bv_error **err)
{
    BVI_AUTO(table_done) table t = BVI_VEC_INIT(BVI_KILL_MAX);
    int r = read_table(&t, err);
    entry *self;

    if (r < 0)
        return r;
    self = find_entry(&t, getpid());
    if (!self)
        return bvi_fail(err, BV_E_INTERNAL, "cannot find myself in the process table");
    self->marked = true;
    spread_marks(&t);
    self->marked = false;
    return collect(&t, ids, err);
}

/* ---- leftovers ---- */

/* Whether an environment has a variable that begins with mark, which begins with a zero byte (the
 * end of the variable before). Read in pieces that overlap by the mark's length. */
static bool has_mark(pid_t pid, const char *mark, size_t mark_len)
{
    char piece[PIECE_MAX];
    bvi_auto_close int fd = open_proc(pid, "environ");
    size_t kept = 1;

    piece[0] = '\0'; /* before the first variable */
    while (fd >= 0) {
        ssize_t n = read(fd, piece + kept, sizeof(piece) - kept);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        kept += (size_t)n;
        if (memmem(piece, kept, mark, mark_len))
            return true;
        if (kept >= mark_len) {
            memmove(piece, piece + kept - (mark_len - 1), mark_len - 1);
            kept = mark_len - 1;
        }
    }
    return false;
}

/* Session and pid of the recorded payload mean something only while nobody else can have got that
 * pid. */
static bool payload_is_known(table *t, const bvi_runner_state *state)
{
    char boot[BVI_BOOT_SIZE];
    const entry *e;

    bvi_boot_id(boot);
    if (state->payload.pid <= 1 || strcmp(boot, state->boot) != 0)
        return false;
    e = find_entry(t, state->payload.pid);
    return !e || e->start_ticks == state->payload.start_ticks;
}

static void unmark_ancestors(table *t)
{
    pid_t pid = getpid();

    for (size_t i = 0; i <= t->len && pid > 0; i++) {
        entry *e = find_entry(t, pid);

        if (!e)
            break;
        e->marked = false;
        pid = e->parent;
    }
}

int bvi_find_leftovers(const bvi_runner_conf *conf, const bvi_runner_state *state,
                       bvi_proc_ids *ids, bv_error **err)
{
    BVI_AUTO(table_done) table t = BVI_VEC_INIT(BVI_KILL_MAX);
    char mark[512];
    size_t mark_len;
    bool known;
    int r = read_table(&t, err);

    if (r < 0)
        return r;
    mark_len = (size_t)snprintf(mark, sizeof(mark), "%c" BVI_JOB_RUN_VARIABLE "=%s:%s:", '\0',
                                conf->name, conf->instance);
    if (mark_len >= sizeof(mark))
        return bvi_fail(err, BV_E_INVALID, "the job's name is too long");
    known = payload_is_known(&t, state);
    for (size_t i = 0; i < t.len; i++) {
        entry *e = &t.items[i];
        bool in_session = known && e->session == state->payload.pid &&
                          e->start_ticks >= state->payload.start_ticks;

        e->marked = in_session || (known && e->pid == state->payload.pid) ||
                    has_mark(e->pid, mark, mark_len);
    }
    /* Twice: a runner may itself have been started by a process of the job (a manager under test).
     */
    unmark_ancestors(&t);
    spread_marks(&t);
    unmark_ancestors(&t);
    return collect(&t, ids, err);
}
