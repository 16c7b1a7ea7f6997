/*
 * The oci driver with real runtimes: a node's whole life with crun and with runc, limits,
 * escalation, crashes of the host program at swept moments of start and stop, and that nothing is
 * left behind.
 */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bvt.h"
#include "runtime/driver.h"
#include "runtime/oci_cgroup.h"
#include "sys/fs.h"
#include "sys/mounts.h"
#include "sys/proc.h"

#define WAIT_MS     20000
#define CRASH_TESTS 24

static const char *const runtimes[] = { "crun", "runc" };

static char base[128];      /* everything of this run is below it */
static char parent[64];     /* and below this control group */
static pid_t owner;         /* whose nodes these are, when not this process's; 0 */
static const char *why_not; /* the reason to skip everything; NULL */

typedef struct host {
    bv_ctx *ctx;
    bvi_driver *driver;
    bvt_log log;
    unsigned answers;
    int code;
    char story[4096];
    unsigned exits;
    /* The node under test. */
    bvi_container_spec spec;
    char id[64];
    char node_dir[256], root_dir[300], data_dir[300], image[256];
    const char *argv[8];
    bvi_bind binds[2];
} host;

static int64_t now_ms(void)
{
    struct timespec ts;

    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* ---- the surroundings ---- */

static bool have_runtime(const char *name)
{
    static const char *const dirs[] = { "/usr/bin", "/usr/sbin", "/usr/local/bin",
                                        "/usr/local/sbin" };

    for (size_t i = 0; i < BVI_COUNT(dirs); i++) {
        char path[64];

        (void)snprintf(path, sizeof(path), "%s/%s", dirs[i], name);
        if (access(path, X_OK) == 0)
            return true;
    }
    return false;
}

static int run_program(const char *const *argv)
{
    bvi_spawn spawn = BVI_SPAWN_INIT;
    pid_t pid = 0;
    int status = 0;

    spawn.argv = argv;
    spawn.use_path = true;
    if (bvi_proc_spawn(&spawn, &pid, NULL, NULL) < 0)
        return -1;
    return waitpid(pid, &status, 0) == pid && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* busybox alone, and a link of each kind that an image may have in the way. */
static void make_image(const char *dir)
{
    char path[512];
    static const char *const dirs[] = { "", "/bin", "/etc", "/tmp", "/real" };
    static const char *const links[][2] = {
        { "/bin/sh", "busybox" },
        { "/bin/sleep", "busybox" },
        { "/bin/cat", "busybox" },
        { "/bin/grep", "busybox" },
        { "/bin/hostname", "busybox" },
        { "/bin/dd", "busybox" },
        { "/bin/ls", "busybox" },
        { "/bin/id", "busybox" },
        { "/bin/touch", "busybox" },
        { "/linked", "../../../../real" },
        { "/etc/resolv.conf", "../run/nowhere/resolv.conf" },
    };

    for (size_t i = 0; i < BVI_COUNT(dirs); i++) {
        (void)snprintf(path, sizeof(path), "%s%s", dir, dirs[i]);
        (void)mkdir(path, 0755);
    }
    (void)snprintf(path, sizeof(path), "%s/bin/busybox", dir);
    (void)run_program((const char *[]){ "cp", "/bin/busybox", path, NULL });
    for (size_t i = 0; i < BVI_COUNT(links); i++) {
        (void)snprintf(path, sizeof(path), "%s%s", dir, links[i][0]);
        (void)symlink(links[i][1], path);
    }
}

static void count(const bv_error *err, void *data)
{
    host *h = data;

    h->answers++;
    h->code = bv_error_code(err);
    (void)bv_error_format(err, h->story, sizeof(h->story));
}

static void count_exit(bvi_driver *driver, const char *id, void *data)
{
    host *h = data;

    ck_assert_ptr_eq(driver, h->driver);
    ck_assert_str_eq(id, h->id);
    h->exits++;
}

static void open_driver(host *h, const char *runtime, const char *first)
{
    bv_ctx_opts opts = BV_CTX_OPTS_INIT;
    char state_dir[256];
    bv_error *err = NULL;

    (void)snprintf(state_dir, sizeof(state_dir), "%s/state", base);
    opts.workers = 2;
    opts.log = bvt_log_sink;
    opts.log_data = &h->log;
    bvt_assert_ok(bv_ctx_new(&opts, &h->ctx, &err), err);
    const bvi_oci_opts oci = { runtime, state_dir, first, parent };
    bvt_assert_ok(bvi_oci_driver_new(h->ctx, &oci, &h->driver, &err), err);
    h->driver->on_exit = count_exit;
    h->driver->on_exit_data = h;
}

static void close_driver(host *h)
{
    bvi_driver_free(h->driver);
    bv_ctx_free(h->ctx);
    h->driver = NULL;
    h->ctx = NULL;
}

/* Dispatches until a counter moves on. */
static void wait_count(host *h, const unsigned *counter, unsigned from)
{
    int64_t until = now_ms() + WAIT_MS;

    while (*counter == from && now_ms() < until)
        (void)bv_ctx_dispatch(h->ctx, 100);
    ck_assert_uint_eq(*counter, from + 1);
}

#define CALL(h, name, ...) (h)->driver->vtable->name((h)->driver, __VA_ARGS__)
/* An asynchronous call and its answer's code. */
#define DO(h, name, ...) done_with(h, (h)->answers, CALL(h, name, __VA_ARGS__ count, h, NULL))
#define SPEC(h)          &(h)->spec,

static int done_with(host *h, unsigned before, int started)
{
    if (started < 0)
        return started;
    wait_count(h, &h->answers, before);
    return h->code;
}

#define assert_done(h, name, ...)                                                                  \
    do {                                                                                           \
        int done_code = DO(h, name, __VA_ARGS__);                                                  \
                                                                                                   \
        ck_assert_msg(done_code == 0, "%s: %s: %s", #name, bv_code_name(done_code), (h)->story);   \
    } while (0)

static void make_node(host *h, const char *name, const char *script)
{
    static const char *const env[] = { "PATH=/bin", "GREETING=hello", NULL };

    (void)snprintf(h->id, sizeof(h->id), "%s-%d", name, (int)(owner ? owner : getpid()));
    (void)snprintf(h->image, sizeof(h->image), "%s/image", base);
    (void)snprintf(h->node_dir, sizeof(h->node_dir), "%s/%s", base, h->id);
    (void)snprintf(h->root_dir, sizeof(h->root_dir), "%s/rootfs", h->node_dir);
    (void)snprintf(h->data_dir, sizeof(h->data_dir), "%s/%s-data", base, h->id);
    (void)mkdir(h->data_dir, 0755);
    h->binds[0] = (bvi_bind){ h->data_dir, "/blockjoy", false };
    h->binds[1] = (bvi_bind){ h->data_dir, "/linked/deep/data", true };
    h->argv[0] = "/bin/sh";
    h->argv[1] = "-c";
    h->argv[2] = script;
    h->argv[3] = NULL;
    h->spec = (bvi_container_spec){
        .id = h->id,
        .hostname = "node_one",
        .image_root = h->image,
        .node_dir = h->node_dir,
        .root_dir = h->root_dir,
        .binds = h->binds,
        .bind_count = 2,
        .argv = h->argv,
        .env = env,
        .network = BVI_NETWORK_NONE,
        .memory_bytes = 128u * 1024u * 1024u,
        .cpus = 1,
        .pids = 64,
    };
}

static void open_host(host *h, const char *runtime)
{
    memset(h, 0, sizeof(*h));
    open_driver(h, runtime, getenv("BVT_FIRST"));
    assert_done(h, probe, );
}

static const char *data_file(const host *h, const char *name)
{
    return bvt_format("%s/%s", h->data_dir, name);
}

/* The payload says that it is ready by making a file. */
static void wait_file(const char *path)
{
    int64_t until = now_ms() + WAIT_MS;
    const struct timespec pause = { .tv_nsec = 2000000 };

    while (!bvt_exists(path) && now_ms() < until)
        (void)nanosleep(&pause, NULL);
    ck_assert_msg(bvt_exists(path), "'%s' did not appear", path);
}

/* Living ones: what waits for the machine's first process to collect it does not count. */
static size_t processes_of(const host *h)
{
    bvi_cgroups cgroups = { 0 };
    size_t alive = 0;

    ck_assert_int_eq(bvi_cgroups_detect(&cgroups, NULL), 0);
    for (size_t i = 0; i < cgroups.all.len && alive == 0; i++) {
        FILE *f =
            fopen(bvt_format("%s/%s/%s/cgroup.procs", cgroups.all.items[i], parent, h->id), "r");
        char line[32];

        while (f && fgets(line, sizeof(line), f)) {
            bvi_proc_id id;

            alive += bvi_proc_identify((pid_t)strtol(line, NULL, 10), &id, NULL) == 0;
        }
        if (f)
            (void)fclose(f);
    }
    bvi_cgroups_done(&cgroups);
    return alive;
}

static bool group_exists(const host *h)
{
    bvi_cgroups cgroups = { 0 };
    bool exists;

    ck_assert_int_eq(bvi_cgroups_detect(&cgroups, NULL), 0);
    exists = bvi_cgroup_exists(&cgroups, bvt_format("%s/%s", parent, h->id));
    bvi_cgroups_done(&cgroups);
    return exists;
}

static void assert_nothing_left(const host *h)
{
    BVI_AUTO(bvi_strv_done) bvi_strv names = BVI_VEC_INIT(64);
    BVI_AUTO(bvi_strv_done) bvi_strv mounts = BVI_VEC_INIT(64);

    ck_assert(!group_exists(h));
    ck_assert_int_eq(bvi_mount_list(h->node_dir, &mounts, NULL), 0);
    ck_assert_uint_eq(mounts.len, 0);
    if (bvt_exists(h->node_dir))
        ck_assert_int_eq(bvi_fs_list(h->node_dir, &names, NULL), 0);
    ck_assert_msg(names.len == 0, "left over: '%s'", names.len ? names.items[0] : "");
    for (size_t i = 0; i < BVI_COUNT(runtimes); i++)
        ck_assert(!bvt_exists(bvt_format("%s/state/%s/%s", base, runtimes[i], h->id)));
}

#define skip_unless_possible()                                                                     \
    do {                                                                                           \
        if (why_not)                                                                               \
            bvt_skip("%s", why_not);                                                               \
        if (!have_runtime(runtimes[_i]))                                                           \
            bvt_skip("%s is not installed", runtimes[_i]);                                         \
    } while (0)

/* ---- the tests, each with every runtime ---- */

START_TEST(lives)
{
    static const char script[] =
        "{ hostname; echo $GREETING; echo pid $$; id -u; grep NoNewPrivs /proc/self/status;"
        " ls /dev/null /dev/pts/ptmx /dev/shm /dev/mqueue >/dev/null && echo devices;"
        " touch /linked/deep/data/x 2>/dev/null || echo read-only;"
        " touch /sys/x 2>/dev/null || echo sys-read-only; grep -c : /proc/net/dev;"
        " ls -d /real/deep/data; ulimit -n; } >/blockjoy/facts.tmp; touch /written; echo "
        "to-console;"
        " cat /blockjoy/facts.tmp >/blockjoy/facts; touch /blockjoy/ready;"
        " trap 'exit 0' TERM; while :; do sleep 0.05; done";
    host h;
    bvi_container_stats stats = { 0 };
    bvi_container_state state = BVI_CONTAINER_RUNNING;
    BVI_AUTO(bvi_strv_done) bvi_strv argv = BVI_VEC_INIT(64);
    const char *facts;

    skip_unless_possible();
    open_host(&h, runtimes[_i]);
    make_node(&h, "lives", script);
    ck_assert_int_eq(CALL(&h, attach, &h.spec, &state, NULL), 0);
    ck_assert_int_eq(state, BVI_CONTAINER_ABSENT);
    assert_done(&h, start, SPEC(&h));
    wait_file(data_file(&h, "ready"));
    facts = bvt_read_file(data_file(&h, "facts"), NULL);
    ck_assert_msg(
        strstr(facts,
               "node-one\nhello\npid 1\n0\nNoNewPrivs:\t0\ndevices\nread-only\nsys-read-only\n1\n"
               "/real/deep/data\n") == facts,
        "%s", facts);
    ck_assert_int_eq(CALL(&h, state, h.id), BVI_CONTAINER_RUNNING);
    ck_assert_int_gt(CALL(&h, pid, h.id), 1);
    ck_assert_int_eq(CALL(&h, stats, h.id, &stats, NULL), 0);
    ck_assert_uint_gt(stats.memory_bytes, 0);
    ck_assert_uint_gt(stats.cpu_us, 0);
    ck_assert_uint_ge(stats.pids, 1);
    ck_assert_int_eq(CALL(&h, start, &h.spec, count, &h, NULL), BV_E_STATE);
    ck_assert_int_eq(CALL(&h, unmount, &h.spec, count, &h, NULL), BV_E_STATE);
    assert_done(&h, prepare, SPEC(&h)); /* harmless while running */

    /* The runtime let go of the lock, and a command can join the container. */
    bvi_auto_close int lock = -1;
    ck_assert_int_eq(bvi_fs_lock(bvt_format("%s/container.lock", h.node_dir), &lock, NULL), 0);
    bvi_closep(&lock);
    ck_assert_int_eq(CALL(&h, exec_argv, h.id, &argv, NULL), 0);
    ck_assert_str_eq(argv.items[argv.len - 1], h.id);
    ck_assert_int_eq(bvi_strv_add(&argv, "/bin/sh"), 0);
    ck_assert_int_eq(bvi_strv_add(&argv, "-c"), 0);
    ck_assert_int_eq(bvi_strv_add(&argv, "echo $GREETING-$$ >/blockjoy/joined"), 0);
    ck_assert_ptr_nonnull(bvi_vec_push(&argv));
    ck_assert_int_eq(run_program((const char *const *)argv.items), 0);
    argv.len--;
    ck_assert_ptr_nonnull(strstr(bvt_read_file(data_file(&h, "joined"), NULL), "hello-"));

    assert_done(&h, stop, SPEC(&h) 10000, );
    ck_assert_int_eq(CALL(&h, state, h.id), BVI_CONTAINER_STOPPED);
    ck_assert_int_eq(CALL(&h, pid, h.id), 0);
    ck_assert_uint_eq(h.exits, 0);
    ck_assert(!group_exists(&h));
    ck_assert(bvt_exists(bvt_format("%s/written", h.root_dir)));
    ck_assert(bvt_exists(bvt_format("%s/upper/written", h.node_dir)));
    ck_assert(!bvt_exists(bvt_format("%s/written", h.image)));
    ck_assert_str_eq(bvt_read_file(bvt_format("%s/console.log", h.node_dir), NULL), "to-console\n");

    /* Away and back, then a second life on the same root. */
    assert_done(&h, unmount, SPEC(&h));
    ck_assert(!bvt_exists(bvt_format("%s/written", h.root_dir)));
    assert_done(&h, prepare, SPEC(&h));
    ck_assert(bvt_exists(bvt_format("%s/written", h.root_dir)));
    ck_assert_int_eq(unlink(data_file(&h, "ready")), 0);
    assert_done(&h, start, SPEC(&h));
    wait_file(data_file(&h, "ready"));
    assert_done(&h, remove, SPEC(&h));
    ck_assert_int_eq(CALL(&h, state, h.id), BVI_CONTAINER_ABSENT);
    assert_nothing_left(&h);
    ck_assert(bvt_exists(data_file(&h, "facts"))); /* the data is the node's, not the driver's */
    assert_done(&h, remove, SPEC(&h));
    ck_assert_uint_eq(h.exits, 0);
    close_driver(&h);
}
END_TEST

START_TEST(shares_the_hosts_network)
{
    host h;

    skip_unless_possible();
    open_host(&h, runtimes[_i]);
    make_node(
        &h, "net",
        "cat /proc/net/dev | grep -c : >/blockjoy/devs; cat /etc/resolv.conf >/blockjoy/resolv;"
        " touch /blockjoy/ready; exec sleep 1000");
    h.spec.network = BVI_NETWORK_HOST;
    assert_done(&h, start, SPEC(&h));
    wait_file(data_file(&h, "ready"));
    char link_inside[64];
    char link_outside[64];
    ssize_t a = readlink(bvt_format("/proc/%d/ns/net", (int)CALL(&h, pid, h.id)), link_inside,
                         sizeof(link_inside));
    ssize_t b = readlink("/proc/self/ns/net", link_outside, sizeof(link_outside));
    ck_assert_int_gt(a, 0);
    ck_assert_int_eq(a, b);
    ck_assert_mem_eq(link_inside, link_outside, (size_t)a);
    if (access("/etc/resolv.conf", R_OK) == 0)
        ck_assert_str_eq(bvt_read_file(data_file(&h, "resolv"), NULL),
                         bvt_read_file("/etc/resolv.conf", NULL));
    assert_done(&h, remove, SPEC(&h));
    assert_nothing_left(&h);
    close_driver(&h);
}
END_TEST

/* What root in a node must not get: rights in a user namespace, the host's key rings, devices,
 * other nodes' packets; and on the host nobody but root gets to what a node made. */
START_TEST(keeps_root_in_the_node)
{
    host h;
    struct stat st;

    skip_unless_possible();
    open_host(&h, runtimes[_i]);
    make_node(&h, "escape",
              "cd /blockjoy;"
              " busybox unshare -U true 2>userns && echo yes >>userns;"
              " busybox mknod /dev/disk b 8 0 2>disk && echo yes >>disk;"
              " busybox mknod null c 1 3 2>null && echo yes >>null;"
              " busybox grep -i '^seccomp:' /proc/self/status >filter;"
              " busybox grep '^CapBnd' /proc/self/status >rights;"
              " busybox grep -E '^[0-9]+ [0-9]+ [0-9:]+ [^ ]+ (/|/blockjoy) ' /proc/self/mountinfo "
              ">mounts;"
              " touch ready; exec sleep 1000");
    h.spec.network = BVI_NETWORK_HOST;
    assert_done(&h, start, SPEC(&h));
    wait_file(data_file(&h, "ready"));
    ck_assert_ptr_null(strstr(bvt_read_file(data_file(&h, "userns"), NULL), "yes"));
    ck_assert_ptr_null(strstr(bvt_read_file(data_file(&h, "disk"), NULL), "yes"));
    ck_assert_ptr_null(strstr(bvt_read_file(data_file(&h, "null"), NULL), "yes"));
    ck_assert_ptr_nonnull(strstr(bvt_read_file(data_file(&h, "rights"), NULL), "00000000a00405fb"));
    if (access("/proc/sys/kernel/seccomp/actions_avail", F_OK) == 0)
        ck_assert_ptr_nonnull(strstr(bvt_read_file(data_file(&h, "filter"), NULL), "2"));
    const char *mounts = bvt_read_file(data_file(&h, "mounts"), NULL);
    ck_assert_ptr_nonnull(strstr(mounts, "nodev"));
    ck_assert_ptr_nonnull(strstr(strchr(mounts, '\n') + 1, "nodev")); /* both of them */
    ck_assert_int_eq(stat(h.node_dir, &st), 0);
    ck_assert_uint_eq(st.st_mode & 07777, 0700);
    assert_done(&h, remove, SPEC(&h));
    assert_nothing_left(&h);
    close_driver(&h);
}
END_TEST

START_TEST(limits_memory)
{
    host h;

    skip_unless_possible();
    open_host(&h, runtimes[_i]);
    make_node(&h, "oom", "exec dd if=/dev/zero of=/dev/null bs=200M count=100000");
    h.spec.memory_bytes = 32u * 1024u * 1024u;
    /* The kernel may be faster than the driver's look at the new process. */
    if (DO(&h, start, SPEC(&h)) == 0) {
        wait_count(&h, &h.exits, 0);
        ck_assert_ptr_nonnull(strstr(h.log.text, "memory limit"));
    } else {
        ck_assert_ptr_nonnull(strstr(h.story, "ended at once"));
    }
    ck_assert_int_eq(CALL(&h, state, h.id), BVI_CONTAINER_STOPPED);
    assert_done(&h, remove, SPEC(&h));
    assert_nothing_left(&h);
    close_driver(&h);
}
END_TEST

/* A RAM disk needs no right of the node's, is as large as asked, and ends with the container. */
START_TEST(mounts_ram_disks)
{
    static const bvi_tmpfs disks[] = { { "/mnt/fast", 8 }, { "/blockjoy/inner", 4 } };
    host h;

    skip_unless_possible();
    open_host(&h, runtimes[_i]);
    make_node(&h, "ram",
              "grep ' tmpfs ' /proc/mounts >/blockjoy/mounts;"
              " dd if=/dev/zero of=/mnt/fast/x bs=1M count=7 2>/dev/null && echo fits"
              " >>/blockjoy/facts;"
              " dd if=/dev/zero of=/mnt/fast/y bs=1M count=3 2>/dev/null || echo full"
              " >>/blockjoy/facts;"
              " touch /blockjoy/inner/hidden /blockjoy/ready; exec sleep 1000");
    h.spec.tmpfs = disks;
    h.spec.tmpfs_count = BVI_COUNT(disks);
    assert_done(&h, start, SPEC(&h));
    wait_file(data_file(&h, "ready"));
    ck_assert_ptr_nonnull(strstr(bvt_read_file(data_file(&h, "mounts"), NULL), "/mnt/fast"));
    ck_assert_ptr_nonnull(strstr(bvt_read_file(data_file(&h, "mounts"), NULL), "size=8192k"));
    ck_assert_str_eq(bvt_read_file(data_file(&h, "facts"), NULL), "fits\nfull\n");
    ck_assert(!bvt_exists(data_file(&h, "inner/hidden")));
    assert_done(&h, stop, SPEC(&h) 0, );
    ck_assert(!bvt_exists(bvt_format("%s/mnt/fast/x", h.root_dir)));
    assert_done(&h, remove, SPEC(&h));
    assert_nothing_left(&h);
    close_driver(&h);
}
END_TEST

START_TEST(escalates)
{
    host h;
    int64_t began;

    skip_unless_possible();
    open_host(&h, runtimes[_i]);
    make_node(&h, "deaf",
              "trap '' TERM; (trap '' TERM; sleep 1000) & touch /blockjoy/ready; while :; do sleep "
              "1; done");
    assert_done(&h, start, SPEC(&h));
    wait_file(data_file(&h, "ready"));
    ck_assert_uint_ge(processes_of(&h), 2);
    began = now_ms();
    assert_done(&h, stop, SPEC(&h) 150, );
    ck_assert_int_ge(now_ms() - began, 150);
    ck_assert_int_lt(now_ms() - began, 5000);
    ck_assert_uint_eq(h.exits, 0);
    ck_assert_uint_eq(processes_of(&h), 0);
    assert_done(&h, remove, SPEC(&h));
    assert_nothing_left(&h);
    close_driver(&h);
}
END_TEST

START_TEST(notices_an_end)
{
    host h;
    bvi_auto_close int fifo = -1;

    skip_unless_possible();
    open_host(&h, runtimes[_i]);
    make_node(&h, "ends", "cat /blockjoy/fifo; exit 3");
    ck_assert_int_eq(mkfifo(data_file(&h, "fifo"), 0600), 0);
    assert_done(&h, start, SPEC(&h));
    fifo = open(data_file(&h, "fifo"), O_WRONLY | O_CLOEXEC); /* waits for the reader */
    bvi_closep(&fifo);
    wait_count(&h, &h.exits, 0);
    ck_assert_int_eq(CALL(&h, state, h.id), BVI_CONTAINER_STOPPED);

    /* A new start clears what is left of the old life. */
    assert_done(&h, start, SPEC(&h));
    ck_assert_int_eq(CALL(&h, state, h.id), BVI_CONTAINER_RUNNING);
    ck_assert_int_eq(CALL(&h, remove, &h.spec, count, &h, NULL), 0);
    ck_assert_int_eq(CALL(&h, stop, &h.spec, 1, count, &h, NULL), BV_E_BUSY);
    wait_count(&h, &h.answers, h.answers);
    ck_assert_int_eq(h.code, 0);
    ck_assert_uint_eq(h.exits, 1);
    assert_nothing_left(&h);
    close_driver(&h);
}
END_TEST

START_TEST(explains_failures)
{
    host h;

    skip_unless_possible();
    open_host(&h, runtimes[_i]);
    make_node(&h, "bad", "echo the disk is on fire; exit 7");
    h.argv[0] = "/bin/nowhere";
    ck_assert_int_lt(DO(&h, start, SPEC(&h)), 0);
    ck_assert_msg(strstr(h.story, "/bin/nowhere") && strstr(h.story, "cannot start"), "%s",
                  h.story);
    ck_assert_int_eq(CALL(&h, state, h.id), BVI_CONTAINER_STOPPED);
    ck_assert(!group_exists(&h));

    h.argv[0] = "/bin/sh";
    h.spec.memory_bytes = 0;
    /* So short a life may be seen as a start and an end, or as no start at all. */
    if (DO(&h, start, SPEC(&h)) == 0)
        wait_count(&h, &h.exits, 0);
    else
        ck_assert_msg(strstr(h.story, "the disk is on fire"), "%s", h.story);

    h.binds[0].source = "/nonexistent/data";
    ck_assert_int_eq(DO(&h, start, SPEC(&h)), BV_E_NOT_FOUND);
    ck_assert_msg(strstr(h.story, "/nonexistent/data"), "%s", h.story);
    h.spec.image_root = "/nonexistent/image";
    ck_assert_int_eq(DO(&h, start, SPEC(&h)), BV_E_NOT_FOUND);
    ck_assert_msg(strstr(h.story, "image root '/nonexistent/image' is missing"), "%s", h.story);
    assert_done(&h, remove, SPEC(&h));
    assert_nothing_left(&h);
    close_driver(&h);
}
END_TEST

START_TEST(copies_where_overlays_are_refused)
{
    host h;
    const char *below = bvt_format("%s/below-%s", base, runtimes[_i]);
    const char *dirs[4];
    bv_error *err = NULL;

    skip_unless_possible();
    /* An overlay takes no upper directory that lies on an overlay itself. */
    for (size_t i = 0; i < 4; i++) {
        dirs[i] = bvt_format("%s/%zu", below, i);
        bvt_assert_ok(bvi_fs_mkdir(dirs[i], 0755, &err), err);
    }
    bvt_assert_ok(bvi_mount_overlay(&dirs[0], 1, dirs[1], dirs[2], dirs[3], &err), err);
    open_host(&h, runtimes[_i]);
    make_node(&h, "copy", "touch /written; touch /blockjoy/ready; exec sleep 1000");
    (void)snprintf(h.node_dir, sizeof(h.node_dir), "%s/node", dirs[3]);
    (void)snprintf(h.root_dir, sizeof(h.root_dir), "%s/rootfs", h.node_dir);
    assert_done(&h, start, SPEC(&h));
    wait_file(data_file(&h, "ready"));
    ck_assert(bvt_exists(bvt_format("%s/upper/bin/busybox", h.node_dir)));
    assert_done(&h, stop, SPEC(&h) 0, );
    assert_done(&h, unmount, SPEC(&h));
    assert_done(&h, prepare, SPEC(&h));
    ck_assert(bvt_exists(bvt_format("%s/written", h.root_dir)));
    assert_done(&h, remove, SPEC(&h));
    assert_nothing_left(&h);
    close_driver(&h);
    bvt_assert_ok(bvi_umount_tree(below, &err), err);
}
END_TEST

START_TEST(stands_odd_paths_and_new_images)
{
    host h;
    const char *other = bvt_format("%s/image, v2:%s\\x", base, runtimes[_i]);

    skip_unless_possible();
    make_image(other);
    open_host(&h, runtimes[_i]);
    make_node(&h, "odd", ": >/blockjoy/ready; exec sleep 1000");
    (void)snprintf(h.node_dir, sizeof(h.node_dir), "%s/odd, node:%s", base, runtimes[_i]);
    (void)snprintf(h.root_dir, sizeof(h.root_dir), "%s/rootfs", h.node_dir);
    assert_done(&h, prepare, SPEC(&h));
    ck_assert_int_eq(CALL(&h, state, h.id), BVI_CONTAINER_STOPPED);
    ck_assert_ptr_nonnull(fopen(bvt_format("%s/marked", other), "w"));
    h.spec.image_root = other;
    assert_done(&h, start, SPEC(&h)); /* remounts with the new image below */
    ck_assert(bvt_exists(bvt_format("%s/marked", h.root_dir)));
    assert_done(&h, remove, SPEC(&h));
    assert_nothing_left(&h);
    close_driver(&h);
}
END_TEST

START_TEST(probes)
{
    host h = { 0 };

    skip_unless_possible();
    open_driver(&h, runtimes[_i], "/bin/false");
    ck_assert_int_eq(DO(&h, probe, ), BV_E_UNSUPPORTED);
    ck_assert_msg(strstr(h.story, runtimes[_i]), "%s", h.story);
    close_driver(&h);
    open_driver(&h, "/nonexistent/crun", getenv("BVT_FIRST"));
    ck_assert_int_eq(DO(&h, probe, ), BV_E_NOT_FOUND);
    close_driver(&h);
    open_driver(&h, "no-such-runtime", getenv("BVT_FIRST"));
    ck_assert_int_eq(DO(&h, probe, ), BV_E_NOT_FOUND);
    ck_assert_msg(strstr(h.story, "not installed"), "%s", h.story);
    make_node(&h, "early", "true");
    ck_assert_int_eq(CALL(&h, start, &h.spec, count, &h, NULL), BV_E_STATE);
    close_driver(&h);

    open_host(&h, runtimes[_i]);
    ck_assert_ptr_nonnull(strstr(h.log.text, runtimes[_i]));
    ck_assert(bvt_exists(bvt_format("%s/state/self-test.json", base)));
    close_driver(&h);
}
END_TEST

/* ---- the host program is killed ---- */

/* In a child: starts, or starts and stops, and is killed by its parent at some moment. */
static void run_victim(const char *runtime, bool stops, int ready_fd)
{
    host *h = calloc(1, sizeof(*h));

    if (!h)
        _exit(1);
    owner = getppid();
    open_host(h, runtime);
    make_node(h, "crash", ": >/blockjoy/ready; exec sleep 1000");
    if (stops)
        (void)DO(h, start, SPEC(h));
    (void)!write(ready_fd, "x", 1);
    if (stops)
        (void)DO(h, stop, SPEC(h) 5, );
    else
        (void)DO(h, start, SPEC(h));
    for (;;)
        (void)bv_ctx_dispatch(h->ctx, 1000);
}

static void kill_after(pid_t pid, int ready_fd, int64_t delay_us)
{
    const struct timespec pause = { .tv_sec = 0, .tv_nsec = delay_us * 1000 };
    char c;

    ck_assert_int_eq(read(ready_fd, &c, 1), 1);
    (void)nanosleep(&pause, NULL);
    (void)kill(pid, SIGKILL);
    ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
}

static void crash_once(const char *runtime, bool stops, int64_t delay_us)
{
    host h;
    bvi_container_state state = BVI_CONTAINER_ABSENT;
    bv_error *err = NULL;
    int ends[2];
    pid_t pid;

    ck_assert_int_eq(pipe(ends), 0);
    pid = fork();
    if (pid == 0)
        run_victim(runtime, stops, ends[1]);
    kill_after(pid, ends[0], delay_us);
    (void)close(ends[0]);
    (void)close(ends[1]);

    open_host(&h, runtime);
    make_node(&h, "crash", ": >/blockjoy/ready; exec sleep 1000");
    bvt_assert_ok(CALL(&h, attach, &h.spec, &state, &err), err);
    /* Attached means exactly that; and what is not attached does not run. */
    ck_assert_msg((state == BVI_CONTAINER_RUNNING) == (processes_of(&h) > 0),
                  "%s after %lld us: state %d, %zu processes", runtime, (long long)delay_us,
                  (int)state, processes_of(&h));
    if (state == BVI_CONTAINER_RUNNING) {
        ck_assert_int_gt(CALL(&h, pid, h.id), 0);
    } else {
        (void)unlink(data_file(&h, "ready")); /* of the life before */
        assert_done(&h, start, SPEC(&h));
    }
    wait_file(data_file(&h, "ready"));
    /* One whose stop was under way may be dying of it this instant. */
    if (!stops || state != BVI_CONTAINER_RUNNING)
        ck_assert_uint_eq(processes_of(&h), 1); /* never a second one */

    /* The adopted process is watched. */
    (void)kill(CALL(&h, pid, h.id), SIGKILL); /* seen by its end, just below */
    wait_count(&h, &h.exits, 0);
    assert_done(&h, remove, SPEC(&h));
    assert_nothing_left(&h);
    close_driver(&h);
    (void)unlink(data_file(&h, "ready"));
}

START_TEST(survives_crashes_while_starting)
{
    skip_unless_possible();
    for (int i = 0; i < CRASH_TESTS; i++)
        crash_once(runtimes[_i], false, (int64_t)i * 3000);
}
END_TEST

START_TEST(survives_crashes_while_stopping)
{
    skip_unless_possible();
    for (int i = 0; i < CRASH_TESTS / 2; i++)
        crash_once(runtimes[_i], true, (int64_t)i * 3000);
}
END_TEST

START_TEST(survives_a_damaged_record)
{
    host h;
    host second;
    bvi_container_state state = BVI_CONTAINER_ABSENT;
    bv_error *err = NULL;

    skip_unless_possible();
    open_host(&h, runtimes[_i]);
    make_node(&h, "damaged", ": >/blockjoy/ready; exec sleep 1000");
    assert_done(&h, start, SPEC(&h));
    bvi_auto_close int fd =
        open(bvt_format("%s/container.json", h.node_dir), O_WRONLY | O_TRUNC | O_CLOEXEC);
    ck_assert_int_eq(write(fd, "{\"version", 9), 9);

    open_host(&second, runtimes[_i]);
    make_node(&second, "damaged", h.argv[2]);
    bvt_assert_ok(CALL(&second, attach, &second.spec, &state, &err), err);
    ck_assert_int_eq(state, BVI_CONTAINER_RUNNING);
    ck_assert_int_eq(CALL(&second, pid, h.id), CALL(&h, pid, h.id));
    close_driver(&h);
    assert_done(&second, remove, SPEC(&second));
    ck_assert(!group_exists(&second));
    close_driver(&second);
}
END_TEST

START_TEST(starts_fast)
{
    host h;
    int64_t best = INT64_MAX;

    skip_unless_possible();
    open_host(&h, runtimes[_i]);
    make_node(&h, "fast", "exec sleep 1000");
    for (int i = 0; i < 5; i++) {
        int64_t began = now_ms();

        assert_done(&h, start, SPEC(&h));
        if (now_ms() - began < best)
            best = now_ms() - began;
        assert_done(&h, remove, SPEC(&h));
    }
    printf("# %s: start with everything %lld ms\n", runtimes[_i], (long long)best);
    close_driver(&h);
}
END_TEST

/* ---- around all tests ---- */

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *where)
{
    (void)st;
    (void)kind;
    (void)where;
    (void)remove(path); /* best effort */
    return 0;
}

/* Also after failed tests: no process, no group, no mount, no file stays. */
static void sweep(void)
{
    bvi_cgroups cgroups = { 0 };

    if (bvi_cgroups_detect(&cgroups, NULL) == 0) {
        (void)bvi_cgroup_kill(&cgroups, parent, NULL);
        (void)bvi_cgroup_remove(&cgroups, parent, NULL);
        bvi_cgroups_done(&cgroups);
    }
    (void)bvi_umount_tree(base, NULL);
    (void)nftw(base, remove_one, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
}

static void find_reason_to_skip(void)
{
    if (geteuid() != 0)
        why_not = "containers need root";
    else if (access("/bin/busybox", X_OK) < 0)
        why_not = "there is no /bin/busybox (package busybox-static)";
    else if (!getenv("BVT_FIRST"))
        why_not = "BVT_FIRST is not set: run it through meson";
}

int main(void)
{
    const bvt_entry entries[] = {
        bvt_loop(probes, runtimes),
        bvt_loop(lives, runtimes),
        bvt_loop(shares_the_hosts_network, runtimes),
        bvt_loop(keeps_root_in_the_node, runtimes),
        bvt_loop(limits_memory, runtimes),
        bvt_loop(mounts_ram_disks, runtimes),
        bvt_loop(escalates, runtimes),
        bvt_loop(notices_an_end, runtimes),
        bvt_loop(explains_failures, runtimes),
        bvt_loop(copies_where_overlays_are_refused, runtimes),
        bvt_loop(stands_odd_paths_and_new_images, runtimes),
        bvt_loop(survives_a_damaged_record, runtimes),
        bvt_loop(survives_crashes_while_starting, runtimes),
        bvt_loop(survives_crashes_while_stopping, runtimes),
        bvt_loop(starts_fast, runtimes),
    };
    char image[256];
    int failed;

    find_reason_to_skip();
    (void)snprintf(base, sizeof(base), "/tmp/bv-oci-XXXXXX");
    if (!mkdtemp(base)) {
        perror(base);
        return 99;
    }
    (void)snprintf(parent, sizeof(parent), "blockvisor-test-%d", (int)getpid());
    (void)snprintf(image, sizeof(image), "%s/image", base);
    if (!why_not)
        make_image(image);
    failed = bvt_run("runtime/oci", entries, BVI_COUNT(entries));
    sweep();
    return failed;
}
