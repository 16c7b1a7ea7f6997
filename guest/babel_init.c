/*
 * babel_init.c - the first process of a node's container: reaps, and keeps the agent running.
 *
 *     babel_init [--grace-ms N] -- AGENT [ARGUMENT...]
 *     babel_init --self-test          exits with 0: tells whether a container runtime works
 *
 * The agent is started again when it ends, at first after 100 ms, then after twice as long up to 5
 * s; one that lived for 10 s starts over. SIGHUP ends the agent alone, so that a new one (from an
 * updated bundle) takes its place while all jobs go on. SIGTERM or SIGINT is the end of the node:
 * every process is asked (SIGTERM), after N ms (10000) killed, and init exits with 0. The
 * environment is passed on. No library of ours is used: this must be small and never fail.
 */
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define GRACE_DEFAULT_MS 10000
#define GRACE_MAX_MS     (24 * 3600 * 1000)
#define BACKOFF_FIRST_MS 100
#define BACKOFF_MAX_MS   5000
#define GOOD_RUN_MS      10000
/* An agent that is to be replaced has so long to end. */
#define REPLACE_MS 10000
/* After SIGKILL; what is left then hangs in the kernel, and goes with the container. */
#define KILL_MS 5000

typedef struct init {
    char **argv; /* the agent's */
    int64_t grace_ms;
    pid_t agent; /* 0: not running */
    int64_t started_ms;
    int64_t backoff_ms;
    int64_t start_at_ms; /* when the agent is due again */
    int64_t kill_at_ms;  /* when an agent that should make room is killed; 0: never */
} init;

static int64_t now_ms(void)
{
    struct timespec now = { 0, 0 };

    (void)clock_gettime(CLOCK_MONOTONIC, &now); /* cannot fail for this clock */
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void say(const char *text)
{
    ssize_t n = write(STDERR_FILENO, text, strlen(text));

    (void)n; /* nobody else to tell */
}

/* All signals are blocked and taken one by one with sigtimedwait(). */
static void block_signals(void)
{
    sigset_t all;

    (void)sigfillset(&all);
    (void)sigprocmask(SIG_SETMASK, &all, NULL); /* cannot fail with these arguments */
}

static int wait_signal(int64_t timeout_ms)
{
    struct timespec timeout = { timeout_ms / 1000, (long)(timeout_ms % 1000) * 1000000 };
    sigset_t all;

    (void)sigfillset(&all);
    return timeout_ms < 0 ? sigwaitinfo(&all, NULL) : sigtimedwait(&all, NULL, &timeout);
}

/* ---- the agent ---- */

static void agent_ended(init *in)
{
    bool good = now_ms() - in->started_ms >= GOOD_RUN_MS;

    in->agent = 0;
    in->kill_at_ms = 0;
    in->backoff_ms = good || in->backoff_ms == 0 ? BACKOFF_FIRST_MS : in->backoff_ms * 2;
    if (in->backoff_ms > BACKOFF_MAX_MS)
        in->backoff_ms = BACKOFF_MAX_MS;
    in->start_at_ms = now_ms() + in->backoff_ms;
}

static void start_agent(init *in)
{
    sigset_t none;

    in->started_ms = now_ms();
    in->agent = fork();
    if (in->agent == 0) {
        (void)setsid(); /* so that what is meant for the agent's group does not reach us */
        (void)sigemptyset(&none);
        (void)sigprocmask(SIG_SETMASK, &none, NULL); /* cannot fail with these arguments */
        (void)execv(in->argv[0], in->argv);
        say("babel_init: cannot start ");
        say(in->argv[0]);
        say(": ");
        say(strerror(errno));
        say("\n");
        _exit(127);
    }
    if (in->agent < 0)
        agent_ended(in); /* no process to be had: tried again later */
}

static void reap(init *in)
{
    pid_t pid;

    while ((pid = waitpid(-1, NULL, WNOHANG)) > 0) {
        if (pid == in->agent)
            agent_ended(in);
    }
}

/* An update: the new agent comes after the first delay. */
static void replace_agent(init *in)
{
    in->backoff_ms = 0;
    in->start_at_ms = 0;
    if (in->agent <= 0)
        return;
    (void)kill(in->agent, SIGTERM); /* not reaped yet, so it is this process */
    in->kill_at_ms = now_ms() + REPLACE_MS;
}

/* Until when to sleep: -1 for ever. Does what is due on the way. */
static int64_t look_after_agent(init *in)
{
    if (in->agent <= 0 && in->start_at_ms <= now_ms())
        start_agent(in);
    if (in->agent <= 0)
        return in->start_at_ms > now_ms() ? in->start_at_ms - now_ms() : 0;
    if (in->kill_at_ms == 0)
        return -1;
    if (in->kill_at_ms <= now_ms()) {
        (void)kill(in->agent, SIGKILL);
        in->kill_at_ms = 0;
        return -1;
    }
    return in->kill_at_ms - now_ms();
}

/* ---- the end ---- */

static bool are_children_left(void)
{
    siginfo_t info;

    return waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0;
}

/* kill(-1) reaches what we may signal except ourselves: as process 1, everything in the container.
 * Elsewhere (tests, which run us as a subreaper) that would be the whole machine, so only the
 * agent's group is reached. */
static void signal_everything(const init *in, int signum)
{
    if (getpid() == 1)
        (void)kill(-1, signum); /* nobody left is fine */
    else if (in->agent > 0)
        (void)kill(-in->agent, signum);
}

static void wait_for_all(int64_t timeout_ms)
{
    int64_t deadline = now_ms() + timeout_ms;

    for (;;) {
        int64_t left = deadline - now_ms();

        while (waitpid(-1, NULL, WNOHANG) > 0)
            ;
        if (!are_children_left() || left <= 0)
            return;
        (void)wait_signal(left); /* a child's end, or time */
    }
}

static int end(init *in)
{
    signal_everything(in, SIGTERM);
    wait_for_all(in->grace_ms);
    if (are_children_left()) {
        signal_everything(in, SIGKILL);
        wait_for_all(KILL_MS);
    }
    return 0;
}

/* ---- main ---- */

static int run(init *in)
{
    for (;;) {
        int64_t wait_ms;

        reap(in);
        wait_ms = look_after_agent(in);
        switch (wait_signal(wait_ms)) {
        case SIGTERM:
        case SIGINT:
        case SIGPWR:
            return end(in);
        case SIGHUP:
            replace_agent(in);
            break;
        default: /* SIGCHLD, the time, or something that does not concern us */
            break;
        }
    }
}

static bool parse_ms(const char *text, int64_t *ret_ms)
{
    char *rest = NULL;
    long long ms = strtoll(text, &rest, 10);

    if (rest == text || *rest || ms < 0 || ms > GRACE_MAX_MS)
        return false;
    *ret_ms = ms;
    return true;
}

int main(int argc, char **argv)
{
    init in = { .grace_ms = GRACE_DEFAULT_MS };
    int i = 1;

    if (argc == 2 && strcmp(argv[1], "--self-test") == 0)
        return 0;
    if (i + 1 < argc && strcmp(argv[i], "--grace-ms") == 0) {
        if (!parse_ms(argv[i + 1], &in.grace_ms)) {
            say("babel_init: --grace-ms needs a number of milliseconds\n");
            return 2;
        }
        i += 2;
    }
    if (i + 1 >= argc || strcmp(argv[i], "--") != 0) {
        say("Usage: babel_init [--grace-ms N] -- AGENT [ARGUMENT...]\n       babel_init "
            "--self-test\n");
        return 2;
    }
    in.argv = argv + i + 1;
    block_signals();
    (void)prctl(PR_SET_CHILD_SUBREAPER, 1); /* process 1 is one anyway */
    return run(&in);
}
