/*
 * io_faults.c - see io_faults.h.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "io_faults.h"

static struct {
    atomic_bool armed;
    io_plan plan;
    atomic_uint count;
    atomic_uint failed;
} state;

void io_faults_arm(const io_plan *plan)
{
    state.plan = *plan;
    atomic_store(&state.count, 0);
    atomic_store(&state.failed, 0);
    atomic_store(&state.armed, true);
}

unsigned io_faults_disarm(unsigned *ret_failed)
{
    atomic_store(&state.armed, false);
    if (ret_failed)
        *ret_failed = atomic_load(&state.failed);
    return atomic_load(&state.count);
}

/* The call that is next in line; the first look-up may come from any thread. */
static void *real(const char *name)
{
    void *found = dlsym(RTLD_NEXT, name);

    if (!found)
        abort();
    return found;
}

/* 0, the errno to fail with, or IO_SHORT. */
static int due(unsigned kind)
{
    unsigned at;

    if (!atomic_load(&state.armed) || !(state.plan.calls & kind))
        return 0;
    at = atomic_fetch_add(&state.count, 1) + 1;
    if (!state.plan.at || at < state.plan.at || (at > state.plan.at && !state.plan.on))
        return 0;
    atomic_fetch_add(&state.failed, 1);
    return state.plan.errnum;
}

static bool is_file(int fd)
{
    struct stat st;

    return atomic_load(&state.armed) && fstat(fd, &st) == 0 &&
           (S_ISREG(st.st_mode) || S_ISDIR(st.st_mode));
}

static int due_for(unsigned kind, int fd)
{
    return is_file(fd) ? due(kind) : 0;
}

static bool is_ours(const char *path)
{
    return strncmp(path, "/proc", 5) != 0 && strncmp(path, "/sys", 4) != 0 &&
           strncmp(path, "/dev", 4) != 0;
}

static int due_for_open(const char *path, uint64_t flags)
{
    unsigned kind = IO_OPEN | ((flags & (O_CREAT | __O_TMPFILE)) ? IO_MAKE : 0);

    return is_ours(path) ? due(kind) : 0;
}

#define REAL(type, name) ((type)(uintptr_t)real(name))

#define FAIL_IF(fault)                                                                             \
    do {                                                                                           \
        int fault_ = (fault);                                                                      \
        if (fault_ > 0) {                                                                          \
            errno = fault_;                                                                        \
            return -1;                                                                             \
        }                                                                                          \
    } while (0)

ssize_t write(int fd, const void *bytes, size_t len)
{
    int fault = due_for(IO_WRITE, fd);

    FAIL_IF(fault);
    return REAL(ssize_t(*)(int, const void *, size_t),
                "write")(fd, bytes, fault == IO_SHORT && len > 1 ? len / 2 : len);
}

ssize_t pwrite64(int fd, const void *bytes, size_t len, off64_t at)
{
    int fault = due_for(IO_WRITE, fd);

    FAIL_IF(fault);
    return REAL(ssize_t(*)(int, const void *, size_t, off64_t),
                "pwrite64")(fd, bytes, fault == IO_SHORT && len > 1 ? len / 2 : len, at);
}

int fsync(int fd)
{
    FAIL_IF(due_for(IO_SYNC, fd));
    return REAL(int (*)(int), "fsync")(fd);
}

int fdatasync(int fd)
{
    FAIL_IF(due_for(IO_SYNC, fd));
    return REAL(int (*)(int), "fdatasync")(fd);
}

int syncfs(int fd)
{
    FAIL_IF(due_for(IO_SYNC, fd));
    return REAL(int (*)(int), "syncfs")(fd);
}

int ftruncate64(int fd, off64_t size)
{
    FAIL_IF(due_for(IO_SIZE, fd));
    return REAL(int (*)(int, off64_t), "ftruncate64")(fd, size);
}

int fallocate64(int fd, int mode, off64_t at, off64_t len)
{
    FAIL_IF(due_for(IO_SIZE, fd));
    return REAL(int (*)(int, int, off64_t, off64_t), "fallocate64")(fd, mode, at, len);
}

int posix_fallocate64(int fd, off64_t at, off64_t len)
{
    int fault = due_for(IO_SIZE, fd);

    if (fault > 0)
        return fault;
    return REAL(int (*)(int, off64_t, off64_t), "posix_fallocate64")(fd, at, len);
}

int rename(const char *from, const char *to)
{
    FAIL_IF(due(IO_RENAME));
    return REAL(int (*)(const char *, const char *), "rename")(from, to);
}

int renameat(int from_dir, const char *from, int to_dir, const char *to)
{
    FAIL_IF(due(IO_RENAME));
    return REAL(int (*)(int, const char *, int, const char *), "renameat")(from_dir, from, to_dir,
                                                                           to);
}

int renameat2(int from_dir, const char *from, int to_dir, const char *to, unsigned flags)
{
    FAIL_IF(due(IO_RENAME));
    return REAL(int (*)(int, const char *, int, const char *, unsigned),
                "renameat2")(from_dir, from, to_dir, to, flags);
}

int linkat(int from_dir, const char *from, int to_dir, const char *to, int flags)
{
    FAIL_IF(due(IO_RENAME));
    return REAL(int (*)(int, const char *, int, const char *, int), "linkat")(from_dir, from,
                                                                              to_dir, to, flags);
}

int mkdir(const char *path, mode_t mode)
{
    FAIL_IF(due(IO_MAKE));
    return REAL(int (*)(const char *, mode_t), "mkdir")(path, mode);
}

int mkdirat(int dir_fd, const char *path, mode_t mode)
{
    FAIL_IF(due(IO_MAKE));
    return REAL(int (*)(int, const char *, mode_t), "mkdirat")(dir_fd, path, mode);
}

int symlinkat(const char *target, int dir_fd, const char *path)
{
    FAIL_IF(due(IO_MAKE));
    return REAL(int (*)(const char *, int, const char *), "symlinkat")(target, dir_fd, path);
}

static mode_t mode_of(int flags, va_list args)
{
    return (flags & (O_CREAT | __O_TMPFILE)) ? va_arg(args, mode_t) : 0;
}

int open64(const char *path, int flags, ...)
{
    va_list args;
    mode_t mode;

    va_start(args, flags);
    mode = mode_of(flags, args);
    va_end(args);
    FAIL_IF(due_for_open(path, (uint64_t)(unsigned)flags));
    return REAL(int (*)(const char *, int, ...), "open64")(path, flags, mode);
}

int openat64(int dir_fd, const char *path, int flags, ...)
{
    va_list args;
    mode_t mode;

    va_start(args, flags);
    mode = mode_of(flags, args);
    va_end(args);
    FAIL_IF(due_for_open(path, (uint64_t)(unsigned)flags));
    return REAL(int (*)(int, const char *, int, ...), "openat64")(dir_fd, path, flags, mode);
}

long syscall(long number, ...)
{
    long a[6];
    va_list args;

    va_start(args, number);
    for (unsigned i = 0; i < 6; i++)
        a[i] = va_arg(args, long);
    va_end(args);
    /* The first word of struct open_how is the flags. */
    if (number == SYS_openat2)
        FAIL_IF(due_for_open((const char *)(uintptr_t)a[1], *(uint64_t *)(uintptr_t)a[2]));
    if (number == SYS_renameat2)
        FAIL_IF(due(IO_RENAME));
    return REAL(long (*)(long, ...), "syscall")(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}
