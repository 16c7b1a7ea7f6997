/* The agent and its client in one process: set-up, commands, files, requests that fail, callers
 * that go away. */
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "fixture.h"

/* ---- set-up ---- */

START_TEST(is_not_ready_before_setup)
{
    fixture f;
    answer a;

    make_node();
    fixture_open(&f, 0, NULL);
    ck_assert_int_eq(bvi_agent_client_state(f.client), BVI_AGENT_CLOSED);
    ask(&f, bvi_agent_version, &a);
    assert_answer_ok(&a);
    ck_assert(!a.result.ready);
    ck_assert_str_eq(a.result.version, "0.1.0");
    ck_assert_int_eq(bvi_agent_client_state(f.client), BVI_AGENT_OPEN);
    ck_assert_str_eq(bvi_agent_client_version(f.client), "0.1.0");
    ck_assert(bvi_agent_client_can(f.client, BVI_AGENT_CAN_DELETE));
    ck_assert(bvi_agent_client_can(f.client, BVI_AGENT_CAN_TEMPLATE));
    answer_done(&a);

    ask(&f, bvi_agent_start_job, &a, "x");
    ck_assert_int_ne(a.code, 0);
    answer_done(&a);

    setup_node(&f);
    ask(&f, bvi_agent_version, &a);
    ck_assert(a.result.ready);
    answer_done(&a);
    ck_assert(bvt_exists(bvt_path("n/etc/babel.conf")));

    /* Another agent takes over without being told anything. */
    bvi_agent_server_free(f.agent);
    bvi_agent_client_free(f.client);
    bv_ctx_free(f.ctx);
    fixture_open(&f, 0, NULL);
    ask(&f, bvi_agent_version, &a);
    ck_assert(a.result.ready);
    answer_done(&a);
    fixture_close(&f);
}
END_TEST

START_TEST(survives_a_damaged_configuration)
{
    fixture f;
    answer a;

    make_node();
    bvt_write_file("n/etc/babel.conf", "{\"node_env\":");
    fixture_open(&f, 0, NULL);
    ask(&f, bvi_agent_version, &a);
    ck_assert(!a.result.ready);
    answer_done(&a);
    ck_assert(!bvt_exists(bvt_path("n/etc/babel.conf")));
    setup_node(&f);
    fixture_close(&f);
}
END_TEST

static void write_hook(const char *text)
{
    ck_assert_int_eq(chmod(bvt_write_file("n/var/lib/babel/post_setup.sh", text), 0755), 0);
}

static const struct {
    const char *hook;
    int code;
    const char *says;
} hooks[] = {
    { "#!/bin/sh\nexit 0\n", 0, "" },
    { "#!/bin/sh\necho some reason >&2\nexit 3\n", BV_E_REMOTE, "some reason" },
    { "#!/bin/sh\nkill -9 $$\n", BV_E_REMOTE, "failed to set up the node" },
    { "#!/bin/sh\nsleep 60\n", BV_E_TIMEOUT, "did not end within" },
    { "#!/no/such/program\n", BV_E_NOT_FOUND, "post_setup.sh" },
};

START_TEST(setup_runs_the_hook)
{
    bvi_agent_server_opts opts = { .hook_timeout_ms = 1000 };
    bvi_json *conf = parse(CONF);
    fixture f;
    answer a;

    make_node();
    write_hook(hooks[_i].hook);
    fixture_open(&f, 0, &opts);
    ask(&f, bvi_agent_setup, &a, conf);
    assert_answer_says(&a, hooks[_i].code, hooks[_i].says);
    answer_done(&a);
    ask(&f, bvi_agent_version, &a);
    ck_assert_int_eq(a.result.ready, hooks[_i].code == 0);
    answer_done(&a);
    bvi_json_free(conf);
    fixture_close(&f);
}
END_TEST

START_TEST(a_second_setup_joins_the_first)
{
    const char *log = bvt_path("log");
    bvi_json *conf = parse(CONF), *other = parse("{}");
    answer first = { 0 }, second = { 0 }, third;
    bvi_agent_wait wait1 = { .done = keep_answer, .data = &first },
                   wait2 = { .done = keep_answer, .data = &second };
    fixture f;

    make_node();
    write_hook(bvt_format("#!/bin/sh\necho run >>%s\nwhile [ ! -e %s ]; do sleep 0.02; done\n", log,
                          bvt_path("go")));
    fixture_open(&f, 1, NULL);
    ck_assert_int_eq(bvi_agent_setup(f.client, conf, &wait1, &first.call, NULL), 0);
    dispatch_until_file(f.ctx, log);
    ck_assert_int_eq(bvi_agent_setup(f.client, conf, &wait2, NULL, NULL), 0);
    ask(&f, bvi_agent_setup, &third, other);
    assert_answer_says(&third, BV_E_BUSY, "another configuration");
    answer_done(&third);

    bvi_agent_call_cancel(first.call); /* the run goes on for the second */
    dispatch_until(f.ctx, &first.done);
    ck_assert_int_eq(first.code, BV_E_CANCELLED);
    ck_assert(!second.done);
    bvt_write_file("go", "");
    dispatch_until(f.ctx, &second.done);
    assert_answer_ok(&second);
    ck_assert_str_eq(bvt_read_file(log, NULL), "run\n");
    answer_done(&first);
    answer_done(&second);
    bvi_json_free(conf);
    bvi_json_free(other);
    fixture_close(&f);
}
END_TEST

START_TEST(setup_refuses_bad_configurations)
{
    bvi_json *conf =
        parse("{\"ramdisks\":[{\"ram_disk_mount_point\":\"x\",\"ram_disk_size_mb\":1}]}");
    fixture f;
    answer a;

    make_node();
    fixture_open(&f, 0, NULL);
    ask(&f, bvi_agent_setup, &a, conf);
    assert_answer_says(&a, BV_E_FORMAT, "RAM disk 'x'");
    answer_done(&a);
    ck_assert(!bvt_exists(bvt_path("n/etc/babel.conf")));
    bvi_json_free(conf);
    fixture_close(&f);
}
END_TEST

/* ---- commands ---- */

static const struct {
    const char *body;
    int exit_code;
    const char *out;
    const char *err;
} commands[] = {
    { "echo out; echo err >&2; exit 7", 7, "out\n", "err\n" },
    { "  \n echo trimmed \\\\ \n", 0, "trimmed\n", "" },
    { "echo chained &&&& ", 0, "chained\n", "" },
    { "printf 'a\\377b'", 0,
      "a\xEF\xBF\xBD"
      "b",
      "" },
    { "cat", 0, "", "" }, /* standard input is empty */
    { "exit 255", 255, "", "" },
    { "", 0, "", "" },
};

START_TEST(runs_commands)
{
    fixture f;
    answer a;

    make_node();
    fixture_open(&f, 0, NULL);
    ask(&f, bvi_agent_run_sh, &a, commands[_i].body);
    assert_answer_ok(&a);
    ck_assert_int_eq(a.result.exit_code, commands[_i].exit_code);
    ck_assert_str_eq(a.result.out, commands[_i].out);
    ck_assert_str_eq(a.result.err_out, commands[_i].err);
    ck_assert(!a.result.truncated);
    answer_done(&a);
    fixture_close(&f);
}
END_TEST

START_TEST(a_command_killed_by_a_signal_is_an_error)
{
    fixture f;
    answer a;

    make_node();
    fixture_open(&f, 0, NULL);
    ask(&f, bvi_agent_run_sh, &a, "kill -9 $$");
    assert_answer_says(&a, BV_E_REMOTE, "SIGKILL");
    answer_done(&a);
    fixture_close(&f);
}
END_TEST

START_TEST(commands_run_as_the_user_of_the_image)
{
    bvi_agent_server_opts opts = { .shell_user = "root" };
    fixture f;
    answer a;

    if (geteuid() != 0)
        bvt_skip("su needs root");
    make_node();
    fixture_open(&f, 0, &opts);
    ask(&f, bvi_agent_run_sh, &a, "echo $HOME; exit 4");
    assert_answer_ok(&a);
    ck_assert_ptr_nonnull(strstr(a.result.out, "/root\n"));
    ck_assert_int_eq(a.result.exit_code, 4);
    answer_done(&a);
    fixture_close(&f);
}
END_TEST

START_TEST(output_is_capped)
{
    fixture f;
    answer a;

    make_node();
    fixture_open(&f, 0, NULL);
    ask(&f, bvi_agent_run_sh, &a,
        "head -c 5000000 /dev/zero | tr '\\0' x; head -c 3000000 /dev/zero | tr '\\0' y >&2");
    assert_answer_ok(&a);
    ck_assert(a.result.truncated);
    ck_assert_uint_eq(a.result.out_len, BVI_AGENT_OUTPUT_MAX);
    ck_assert_uint_eq(a.result.err_out_len, 3000000);
    ck_assert_int_eq(a.result.out[BVI_AGENT_OUTPUT_MAX - 1], 'x');
    ck_assert_int_eq(a.result.err_out[2999999], 'y');
    answer_done(&a);
    fixture_close(&f);
}
END_TEST

START_TEST(a_command_too_long_is_refused)
{
    char *body = calloc(1, BVI_AGENT_COMMAND_MAX + 10);
    fixture f;
    answer a;

    make_node();
    memset(body, 'x', BVI_AGENT_COMMAND_MAX + 5);
    fixture_open(&f, 0, NULL);
    ask(&f, bvi_agent_run_sh, &a, body);
    assert_answer_says(&a, BV_E_LIMIT, "write it to a file");
    answer_done(&a);
    free(body);
    fixture_close(&f);
}
END_TEST

/* The processes of a command, grandchildren included, are gone. */
static void wait_for_end(const char *pid_file)
{
    pid_t pid = atoi(bvt_read_file(pid_file, NULL));
    char state = '?';

    ck_assert_int_gt(pid, 1);
    for (int i = 0; i < 500 && state != 'Z'; i++) {
        FILE *stat = fopen(bvt_format("/proc/%d/stat", pid), "r");

        if (!stat)
            return;
        if (fscanf(stat, "%*d (%*[^)]) %c", &state) != 1)
            state = '?';
        fclose(stat);
        usleep(10000);
    }
    ck_assert_msg(state == 'Z', "process %d is still there", pid);
}

/* The agent saw its commands end: it reaps them itself, and forgets them then. */
static void dispatch_until_childless(bv_ctx *ctx)
{
    time_t end = time(NULL) + 200;
    siginfo_t info;

    while (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0) {
        ck_assert_int_ge(bv_ctx_dispatch(ctx, 10), 0);
        ck_assert_msg(time(NULL) < end, "a command does not end");
    }
}

#define TREE "(echo $$ >/dev/null; sh -c 'echo $$ >%s.new; mv %s.new %s; sleep 60') & wait"

START_TEST(a_timeout_kills_the_whole_group)
{
    const char *pid = bvt_path("pid");
    answer a = { 0 };
    bvi_agent_wait wait = { .timeout_ms = 2500, .done = keep_answer, .data = &a };
    fixture f;

    make_node();
    fixture_open(&f, 0, NULL);
    ck_assert_int_eq(bvi_agent_run_sh(f.client, bvt_format(TREE, pid, pid, pid), &wait, NULL, NULL),
                     0);
    dispatch_until_file(f.ctx, pid);
    dispatch_until(f.ctx, &a.done);
    ck_assert_int_eq(a.code, BV_E_TIMEOUT);
    answer_done(&a);
    ask(&f, bvi_agent_version, &a); /* lets the agent see the cancel */
    answer_done(&a);
    wait_for_end(pid);
    dispatch_until_childless(f.ctx);
    fixture_close(&f);
}
END_TEST

START_TEST(cancelling_kills_the_whole_group)
{
    const char *pid = bvt_path("pid");
    answer a = { 0 };
    bvi_agent_wait wait = { .timeout_ms = 50000, .done = keep_answer, .data = &a };
    fixture f;

    make_node();
    fixture_open(&f, 0, NULL);
    ck_assert_int_eq(
        bvi_agent_run_sh(f.client, bvt_format(TREE, pid, pid, pid), &wait, &a.call, NULL), 0);
    dispatch_until_file(f.ctx, pid);
    if (_i == 0) {
        bvi_agent_call_cancel(a.call);
        dispatch_until(f.ctx, &a.done);
    } else {
        bvi_agent_client_free(bvi_take(f.client)); /* the host goes away */
    }
    ck_assert(a.done);
    ck_assert_int_eq(a.code, BV_E_CANCELLED);
    answer_done(&a);
    dispatch_until_childless(f.ctx);
    wait_for_end(pid);
    fixture_close(&f);
}
END_TEST

START_TEST(ending_the_agent_cancels_everything)
{
    const char *pid = bvt_path("pid");
    answer a = { 0 }, b = { 0 };
    bvi_agent_wait wait = { .timeout_ms = 50000, .done = keep_answer, .data = &a };
    bvi_agent_wait wait_b = { .timeout_ms = 50000, .done = keep_answer, .data = &b };
    bvi_json *conf = parse(CONF);
    fixture f;

    make_node();
    write_hook(bvt_format("#!/bin/sh\ntouch %s\nsleep 60\n", bvt_path("hook")));
    fixture_open(&f, 1, NULL);
    ck_assert_int_eq(bvi_agent_run_sh(f.client, bvt_format(TREE, pid, pid, pid), &wait, NULL, NULL),
                     0);
    ck_assert_int_eq(bvi_agent_setup(f.client, conf, &wait_b, NULL, NULL), 0);
    dispatch_until_file(f.ctx, pid);
    dispatch_until_file(f.ctx, bvt_path("hook"));
    bvi_agent_server_free(bvi_take(f.agent));
    dispatch_until(f.ctx, &a.done); /* not repeatable: a loss is reported */
    ck_assert_int_ne(a.code, 0);
    wait_for_end(pid);
    bvi_agent_client_free(bvi_take(f.client));
    ck_assert(b.done);
    dispatch_until_childless(f.ctx);
    answer_done(&a);
    answer_done(&b);
    bvi_json_free(conf);
    fixture_close(&f);
}
END_TEST

START_TEST(a_slow_command_delays_nobody)
{
    answer slow = { 0 }, a;
    bvi_agent_wait wait = { .timeout_ms = 50000, .done = keep_answer, .data = &slow };
    bvi_agent_client_opts opts = { .socket_path = bvt_path("n/run/blockvisor/babel.socket") };
    fixture f, other;

    make_node();
    fixture_open(&f, 0, NULL);
    other = f;
    ck_assert_int_eq(bvi_agent_client_new(f.ctx, &opts, &other.client, NULL), 0);
    ck_assert_int_eq(bvi_agent_run_sh(f.client,
                                      bvt_format("while [ ! -e %s ]; do sleep 0.02; done; echo ok",
                                                 bvt_path("go")),
                                      &wait, NULL, NULL),
                     0);
    for (int i = 0; i < 5; i++) {
        ask(i % 2 ? &f : &other, bvi_agent_run_sh, &a, "echo fast");
        assert_answer_ok(&a);
        answer_done(&a);
    }
    ck_assert(!slow.done);
    bvt_write_file("go", "");
    dispatch_until(f.ctx, &slow.done);
    assert_answer_ok(&slow);
    answer_done(&slow);
    bvi_agent_client_free(other.client);
    fixture_close(&f);
}
END_TEST

/* ---- the rest ---- */

START_TEST(tells_the_stamp_of_the_data)
{
    fixture f;
    answer a;

    make_node();
    fixture_open(&f, 0, NULL);
    ask(&f, bvi_agent_protocol_data_stamp, &a);
    assert_answer_ok(&a);
    ck_assert(!a.result.has_stamp);
    answer_done(&a);
    bvt_write_file("n/blockjoy/.protocol_data.lock", "");
    ask(&f, bvi_agent_protocol_data_stamp, &a);
    ck_assert(a.result.has_stamp);
    ck_assert_int_gt(a.result.stamp_us, INT64_C(1600000000) * 1000000);
    answer_done(&a);
    fixture_close(&f);
}
END_TEST

START_TEST(an_absent_agent_is_a_quick_answer)
{
    bv_ctx_opts ctx_opts = BV_CTX_OPTS_INIT;
    bvi_agent_client_opts opts = { .socket_path = bvt_path("none") };
    answer a = { 0 };
    bvi_agent_wait wait = { .timeout_ms = 300, .done = keep_answer, .data = &a };
    fixture f = { 0 };

    ck_assert_int_eq(bv_ctx_new(&ctx_opts, &f.ctx, NULL), 0);
    ck_assert_int_eq(bvi_agent_client_new(f.ctx, &opts, &f.client, NULL), 0);
    ck_assert_int_eq(bvi_agent_version(f.client, &wait, NULL, NULL), 0);
    dispatch_until(f.ctx, &a.done);
    ck_assert(a.code == BV_E_TIMEOUT || a.code == BV_E_AGAIN);
    ck_assert_int_eq(bvi_agent_client_state(f.client), BVI_AGENT_BROKEN);
    answer_done(&a);
    fixture_close(&f);
}
END_TEST

static const struct {
    const char *bytes;
    size_t len;
} hostile[] = {
    { "\xff\xff\xff\xff", 4 }, /* a frame of 4 GiB */
    { "\x00\x00\x00\x00", 4 },
    { "\x00\x00\x00\x05\xff\xff\xff\xff\xff", 9 },
    { "GET / HTTP/1.1\r\n\r\n", 18 },
    { "\x00\x00\x00", 3 },
    { "\x00\x00\x10\x00"
      "abc",
      7 },
};

START_TEST(hostile_peers_harm_nobody)
{
    struct sockaddr_un addr = { .sun_family = AF_UNIX };
    fixture f;
    answer a;
    int fd;

    make_node();
    fixture_open(&f, 0, NULL);
    (void)snprintf(addr.sun_path, sizeof(addr.sun_path), "%s",
                   bvt_path("n/run/blockvisor/babel.socket"));
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
    ck_assert_int_eq(send(fd, hostile[_i].bytes, hostile[_i].len, MSG_NOSIGNAL),
                     (ssize_t)hostile[_i].len);
    ask(&f, bvi_agent_version, &a);
    assert_answer_ok(&a);
    answer_done(&a);
    close(fd);
    ask(&f, bvi_agent_version, &a);
    assert_answer_ok(&a);
    answer_done(&a);
    fixture_close(&f);
}
END_TEST

START_TEST(the_socket_is_for_root_alone)
{
    struct stat st;
    fixture f;

    make_node();
    fixture_open(&f, 0, NULL);
    ck_assert_int_eq(stat(bvt_path("n/run/blockvisor/babel.socket"), &st), 0);
    ck_assert_int_eq(st.st_mode & 0777, 0600);
    fixture_close(&f);
    ck_assert(!bvt_exists(bvt_path("n/run/blockvisor/babel.socket")));
}
END_TEST

START_TEST(starting_survives_every_failed_allocation)
{
    make_node();
    bvt_write_file("n/etc/babel.conf", CONF);
    bvt_for_each_failed_allocation(n) {
        const char *const prefix = "/proc/self/cwd"; /* short and without an allocation */
        bvi_agent_server_opts opts = { .prefix = prefix };
        bvi_agent_client_opts client_opts = { .socket_path = "x.socket" };
        bvi_agent_client *client = NULL;
        bvi_agent_server *agent = NULL;
        bv_ctx *ctx = NULL;
        int r;

        ck_assert_int_eq(chdir(bvt_path("n")), 0);
        if (bv_ctx_new(NULL, &ctx, NULL) == 0) {
            r = bvi_agent_server_new(ctx, &opts, &agent, NULL);
            ck_assert_msg(r == 0 || r == BV_E_NOMEM, "%s", bv_code_name(r));
            r = bvi_agent_client_new(ctx, &client_opts, &client, NULL);
            ck_assert(r == 0 || r == BV_E_NOMEM);
        }
        bvi_agent_client_free(client);
        bvi_agent_server_free(agent);
        bv_ctx_free(ctx);
    }
}
END_TEST

START_TEST(mounts_ram_disks)
{
    bvi_json *conf =
        parse("{\"ramdisks\":[{\"ram_disk_mount_point\":\"/mnt/a\",\"ram_disk_size_mb\":1},"
              "{\"ram_disk_mount_point\":\"/mnt/ab\",\"ram_disk_size_mb\":2}]}");
    fixture f;
    answer a;

    make_node();
    if (geteuid() != 0 || unshare(CLONE_NEWNS) < 0 ||
        mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0) {
        bvi_json_free(conf);
        bvt_skip("mounting needs root");
    }
    fixture_open(&f, 0, NULL);
    for (int i = 0; i < 2; i++) { /* the second time everything is there */
        ask(&f, bvi_agent_setup, &a, conf);
        assert_answer_ok(&a);
        answer_done(&a);
    }
    ck_assert_int_eq(system(bvt_format("test $(grep -c ' %s/mnt/a tmpfs' /proc/mounts) = 1 && "
                                       "test $(grep -c ' %s/mnt/ab tmpfs' /proc/mounts) = 1 || "
                                       "test $(grep -c '%s/mnt/a' /proc/mounts) = 2",
                                       bvt_path("n"), bvt_path("n"), bvt_path("n"))),
                     0);
    fixture_close(&f);

    fixture_open(&f, 0, NULL); /* an agent that finds them goes on, one that does not waits */
    ask(&f, bvi_agent_version, &a);
    ck_assert(a.result.ready);
    answer_done(&a);
    fixture_close(&f);
    ck_assert_int_eq(umount(bvt_path("n/mnt/ab")), 0);
    fixture_open(&f, 0, NULL);
    ask(&f, bvi_agent_version, &a);
    ck_assert(!a.result.ready);
    answer_done(&a);
    fixture_close(&f);
    ck_assert_int_eq(umount(bvt_path("n/mnt/a")), 0);
    bvi_json_free(conf);
}
END_TEST

static const int two[2];

BVT_MAIN("agent/agent", bvt_test(is_not_ready_before_setup),
         bvt_test(survives_a_damaged_configuration), bvt_loop(setup_runs_the_hook, hooks),
         bvt_test(a_second_setup_joins_the_first), bvt_test(setup_refuses_bad_configurations),
         bvt_loop(runs_commands, commands), bvt_test(a_command_killed_by_a_signal_is_an_error),
         bvt_test(output_is_capped), bvt_test(a_command_too_long_is_refused),
         bvt_test(a_timeout_kills_the_whole_group), bvt_loop(cancelling_kills_the_whole_group, two),
         bvt_test(ending_the_agent_cancels_everything), bvt_test(a_slow_command_delays_nobody),
         bvt_test(tells_the_stamp_of_the_data), bvt_test(an_absent_agent_is_a_quick_answer),
         bvt_loop(hostile_peers_harm_nobody, hostile), bvt_test(the_socket_is_for_root_alone),
         bvt_test(commands_run_as_the_user_of_the_image),
         bvt_test(starting_survives_every_failed_allocation), bvt_test(mounts_ram_disks))
