/*
 * The agent bundle in a root that has nothing but busybox: no C library, no loader, no
 * certificates. The agent starts through the bundle's loader, runs commands and jobs, and what it
 * starts sees nothing of that.
 */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "fixture.h"

#define BUSYBOX "/usr/bin/busybox"
#define LOADER  "/opt/blockvisor/agent/current/lib/ld.so"
#define LIBS    "/opt/blockvisor/agent/current/lib"
#define BIN     "/opt/blockvisor/agent/current/bin/"

static bool have_what_it_takes(const char **ret_why)
{
    if (geteuid() != 0)
        *ret_why = "needs root";
    else if (access(BUSYBOX, X_OK) < 0 && access("/bin/busybox", X_OK) < 0)
        *ret_why = "needs busybox-static";
    else if (system("busybox true && ! ldd $(command -v busybox) >/dev/null 2>&1") != 0)
        *ret_why = "busybox is not static";
    else if (access(BUNDLE_PATH "/current/bin/babel", X_OK) < 0)
        *ret_why = "the bundle is not built";
    else
        return true;
    return false;
}

static void make_root(void)
{
    ck_assert_int_eq(
        system(bvt_format("cd %s && mkdir -p r/bin r/proc r/run r/tmp r/etc r/var/lib/babel "
                          "r/blockjoy r/dev r/opt/blockvisor/agent && "
                          "cp \"$(command -v busybox)\" r/bin/busybox && "
                          "for a in sh cat id sleep env; do ln -s busybox r/bin/$a; done && "
                          "mknod r/dev/null c 1 3",
                          bvt_dir())),
        0);
}

/* In the child: a mount namespace of its own, the bundle and /proc, then the program in the new
 * root. */
static void become(const char *const *argv)
{
    const char *root = bvt_path("r");

    if (unshare(CLONE_NEWNS) < 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
        mount(BUNDLE_PATH, bvt_format("%s/opt/blockvisor/agent", root), NULL, MS_BIND, NULL) < 0 ||
        mount("proc", bvt_format("%s/proc", root), "proc", 0, NULL) < 0 || chroot(root) < 0 ||
        chdir("/") < 0)
        _exit(126);
    execve(argv[0], (char *const *)(uintptr_t)argv,
           (char *[]){ (char *)(uintptr_t) "PATH=/bin", NULL });
    _exit(127);
}

static pid_t start(const char *const *argv)
{
    pid_t pid = fork();

    if (pid == 0)
        become(argv);
    return pid;
}

static int64_t now_us(void)
{
    struct timespec ts;

    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * INT64_C(1000000) + ts.tv_nsec / 1000;
}

static void open_client(fixture *f)
{
    bv_ctx_opts ctx = BV_CTX_OPTS_INIT;
    bvi_agent_client_opts client = { .socket_path = bvt_path("r/run/blockvisor/babel.socket") };
    bv_error *err = NULL;

    *f = (fixture){ 0 };
    bvt_assert_ok(bv_ctx_new(&ctx, &f->ctx, &err), err);
    bvt_assert_ok(bvi_agent_client_new(f->ctx, &client, &f->client, &err), err);
}

static void run_a_job(fixture *f)
{
    bvi_json *job =
        parse("{\"job_type\":{\"run_sh\":\"env >/tmp/env.new; mv() { busybox mv \\\"$@\\\"; }; "
              "mv /tmp/env.new /tmp/env; exit 5\"},\"restart\":\"never\"}");
    answer a;

    ask(f, bvi_agent_create_job, &a, "j", job);
    assert_answer_ok(&a);
    answer_done(&a);
    ask(f, bvi_agent_start_job, &a, "j");
    assert_answer_ok(&a);
    answer_done(&a);
    dispatch_until_file(f->ctx, bvt_path("r/tmp/env"));
    ck_assert_ptr_null(strstr(bvt_read_file(bvt_path("r/tmp/env"), NULL), "blockvisor/agent"));
    bvi_json_free(job);
}

START_TEST(runs_in_an_empty_root)
{
    const char *const argv[] = { LOADER, "--library-path", LIBS, BIN "babel", NULL };
    const char *why = NULL;
    int64_t begun;
    fixture f;
    answer a;
    pid_t pid;

    if (!have_what_it_takes(&why))
        bvt_skip("%s", why);
    make_root();
    begun = now_us();
    pid = start(argv);
    open_client(&f);
    ask(&f, bvi_agent_version, &a);
    assert_answer_ok(&a);
    fprintf(stderr, "# first answer after %lld us\n", (long long)(now_us() - begun));
    answer_done(&a);
    setup_node(&f);
    ask(&f, bvi_agent_run_sh, &a, "id -u; echo \"libs:$LD_LIBRARY_PATH\"; cat /proc/self/maps");
    assert_answer_ok(&a);
    ck_assert_ptr_nonnull(strstr(a.result.out, "0\nlibs:\n"));
    ck_assert_ptr_null(strstr(a.result.out, "blockvisor/agent"));
    answer_done(&a);
    run_a_job(&f);
    ask(&f, bvi_agent_shutdown, &a, true);
    assert_answer_ok(&a);
    answer_done(&a);
    ck_assert_int_eq(kill(pid, SIGTERM), 0);
    ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
    fixture_close(&f);
}
END_TEST

START_TEST(the_other_programs_run_there_too)
{
    const char *const transfer[] = { LOADER, "--library-path", LIBS, BIN "babel_transfer", NULL };
    const char *const runner[] = { BIN "babel_job_runner", NULL };
    const struct {
        const char *const *argv;
        int status;
    } programs[] = { { transfer, 2 }, { runner, 64 } };
    const char *why = NULL;

    if (!have_what_it_takes(&why))
        bvt_skip("%s", why);
    make_root();
    for (size_t i = 0; i < sizeof(programs) / sizeof(programs[0]); i++) {
        int status = 0;
        pid_t pid = start(programs[i].argv);

        ck_assert_int_eq(waitpid(pid, &status, 0), pid);
        ck_assert(WIFEXITED(status));
        ck_assert_int_eq(WEXITSTATUS(status), programs[i].status);
    }
}
END_TEST

BVT_MAIN("agent/bundle", bvt_test(runs_in_an_empty_root),
         bvt_test(the_other_programs_run_there_too))
