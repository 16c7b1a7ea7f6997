/*
 * kill_at.c - runs a program and kills it, with all its threads, at its n-th system call.
 *
 *     kill_at N COMMAND...      N = 0: never
 *
 * Prints how many system calls were begun, of all threads together, and ends with 0 when the
 * command did, with 1 when it failed, with 9 when it was killed. Called by test_crash.py.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#define STOP_SYSCALL (SIGTRAP | 0x80)
#define STOP_EVENT   16 /* where a ptrace event stands in a wait status */

static void run(char **command)
{
    if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0)
        _exit(125);
    (void)raise(SIGSTOP); /* until the options are set */
    (void)execvp(command[0], command);
    _exit(127);
}

/* Which signal the stopped thread is to get. 0: none, it stopped for us. */
static int signal_of(int status)
{
    int sig = WSTOPSIG(status);

    if (sig == STOP_SYSCALL || status >> STOP_EVENT || sig == SIGSTOP || sig == SIGTRAP)
        return 0;
    return sig;
}

/* Goes on until the program ended; returns its wait status. */
static int follow(pid_t child, long limit, long *ret_stops)
{
    *ret_stops = 0;
    for (;;) {
        int status = 0;
        pid_t tid = waitpid(-1, &status, __WALL);

        if (tid < 0 && errno == EINTR)
            continue;
        if (tid < 0)
            return -1;
        if (WIFEXITED(status) || WIFSIGNALED(status)) {
            if (tid == child)
                return status;
            continue;
        }
        if (WSTOPSIG(status) == STOP_SYSCALL)
            ++*ret_stops;
        /* Each call stops twice, before and after: kills happen at both kinds of places. */
        if (limit > 0 && *ret_stops >= 2 * limit) {
            (void)kill(child, SIGKILL);
            limit = -1;
        }
        (void)ptrace(PTRACE_SYSCALL, tid, NULL, signal_of(status)); /* it may be dead by now */
    }
}

int main(int argc, char **argv)
{
    long limit = argc > 2 ? strtol(argv[1], NULL, 10) : 0;
    long stops = 0;
    int status = 0;
    pid_t child;

    if (argc < 3) {
        (void)fputs("usage: kill_at N COMMAND...\n", stderr);
        return 2;
    }
    child = fork();
    if (child == 0)
        run(argv + 2);
    if (child < 0 || waitpid(child, &status, 0) < 0 || !WIFSTOPPED(status) ||
        ptrace(PTRACE_SETOPTIONS, child, NULL,
               PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK |
                   PTRACE_O_TRACEVFORK | PTRACE_O_EXITKILL) < 0 ||
        ptrace(PTRACE_SYSCALL, child, NULL, NULL) < 0) {
        (void)fputs("kill_at: programs cannot be traced here\n", stderr);
        return 77;
    }
    status = follow(child, limit, &stops);
    (void)printf("%ld\n", stops / 2);
    if (WIFSIGNALED(status))
        return WTERMSIG(status) == SIGKILL ? 9 : 1;
    return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : 1;
}
