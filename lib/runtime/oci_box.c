/*
 * oci_box.c - the steps of a container's life, and finding it again. The order of steps is the
 * point of this file.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "runtime/oci_box.h"
#include "runtime/oci_config.h"
#include "sys/fs.h"

/* A console log larger than this is put aside (one generation) when its node starts. */
#define CONSOLE_KEEP_MAX (1024u * 1024u)
#define CONSOLE_TAIL_MAX (2u * CONSOLE_KEEP_MAX)
/* One larger than this is cut while its node runs: whoever is root in there may write to it. */
#define CONSOLE_RUNNING_MAX (16u * 1024u * 1024u)
#define PID_FILE_MAX        64u
/* A runtime left over from a killed host program is done in a few hundredths of a second. */
#define LOCK_WAIT_MS 5000
#define LOCK_POLL_MS 5

/* A node directory has some ten entries. */
#define NODE_FILES_MAX 4096u

/* Files in node_dir that are ours. */
#define FILE_LOCK    "container.lock"
#define FILE_PID     "container.pid"
#define FILE_RECORD  "container.json"
#define FILE_CONSOLE "console.log"
#define FILE_OLD     "console.log.1"
#define FILE_RTLOG   "runtime.log"
#define DIR_BUNDLE   "bundle"

char *bvi_oci_box_group(const bvi_oci_env *env, const char *id)
{
    return bvi_asprintf("%s/%s", env->cgroup_parent, id);
}

/* The lock is inherited by the runtime: free means that no runtime works on this node, ours or an
 * orphan. */
static int lock_node(const bvi_container_spec *spec, int *ret_fd, bv_error **err)
{
    bvi_auto_free char *path = bvi_path_join(spec->node_dir, FILE_LOCK, NULL);
    const struct timespec pause = { .tv_nsec = LOCK_POLL_MS * 1000000 };

    if (!path)
        return bvi_fail_nomem(err);
    for (int waited = 0;; waited += LOCK_POLL_MS) {
        bvi_auto_error bv_error *why = NULL;
        int r = bvi_fs_lock(path, ret_fd, &why);

        if (r != BV_E_BUSY)
            return bvi_error_move(err, bvi_take(why));
        if (waited >= LOCK_WAIT_MS)
            return bvi_fail(err, BV_E_BUSY, "another program works on the container of node '%s'",
                            spec->id);
        (void)nanosleep(&pause, NULL); /* woken early is fine */
    }
}

/* A node under the lock: what the steps work on. */
typedef struct box {
    const bvi_oci_env *env;
    const bvi_container_spec *spec;
    bvi_oci_record record;
    int lock; /* -1: the node has no directory, so there is nothing to lock either */
} box;

static void box_done(box *b)
{
    bvi_oci_record_done(&b->record);
    bvi_closep(&b->lock);
}

#define auto_box BVI_AUTO(box_done) box
#define BOX(e, s)                                                                                  \
    {                                                                                              \
        .env = (e), .spec = (s), .lock = -1                                                        \
    }

static int open_box(box *b, bool make, bv_error **err)
{
    int r = make ? bvi_fs_mkdir(b->spec->node_dir, 0700, err) : 0;

    if (r == 0 && !bvi_fs_is_dir(b->spec->node_dir))
        return 0;
    if (r == 0)
        r = lock_node(b->spec, &b->lock, err);
    return r < 0 ? r : bvi_oci_record_load(b->spec->node_dir, &b->record, err);
}

static int save_record(box *b, bvi_oci_status status, const bvi_proc_id *proc, bv_error **err)
{
    b->record.status = status;
    b->record.proc = proc ? *proc : (bvi_proc_id){ 0 };
    return bvi_oci_record_save(b->spec->node_dir, b->spec->id, &b->record, err);
}

/* ---- finding ---- */

static pid_t read_pid_file(const char *node_dir)
{
    bvi_auto_free char *path = bvi_path_join(node_dir, FILE_PID, NULL);
    bvi_auto_free char *text = NULL;
    size_t len = 0;
    char *end = NULL;
    long pid;

    if (!path || bvi_fs_read(path, PID_FILE_MAX, &text, &len, NULL) < 0)
        return 0;
    pid = strtol(text, &end, 10);
    return end != text && pid > 0 && pid <= INT_MAX ? (pid_t)pid : 0;
}

/* A runtime that was killed while it set up a container may leave its own image behind as
 * process 1. */
static bool is_runtime_itself(pid_t pid)
{
    char link[64];
    char target[PATH_MAX];
    const char *name;
    ssize_t len;

    (void)snprintf(link, sizeof(link), "/proc/%d/exe", (int)pid); /* fits */
    len = readlink(link, target, sizeof(target) - 1);
    if (len < 0)
        return false;
    target[len] = '\0';
    name = strrchr(target, '/');
    name = name ? name + 1 : target;
    /* Both may run from a sealed copy of themselves, "/memfd:runc_cloned:/proc/self/exe". */
    return strcmp(name, "crun") == 0 || strcmp(name, "runc") == 0 ||
           strncmp(target, "/memfd:runc", 11) == 0 || strncmp(target, "/memfd:crun", 11) == 0;
}

/* The process the node's control group vouches for; pid 0 when there is none. */
static bvi_proc_id find_in_group(const bvi_oci_env *env, const char *node_dir, const char *group)
{
    const pid_t candidates[] = { read_pid_file(node_dir),
                                 bvi_cgroup_find_init(&env->cgroups, group) };

    for (size_t i = 0; i < BVI_COUNT(candidates); i++) {
        bvi_proc_id id = { 0 };

        if (candidates[i] > 0 && bvi_proc_identify(candidates[i], &id, NULL) == 0 &&
            bvi_cgroup_has(group, candidates[i]) && !is_runtime_itself(candidates[i]) &&
            bvi_proc_is_alive(&id))
            return id;
    }
    return (bvi_proc_id){ 0 };
}

/* A process that is found but not recorded is recorded now. */
static int find_process(box *b, bvi_proc_id *ret_proc, bv_error **err)
{
    const bvi_oci_record *record = &b->record;
    bvi_auto_free char *group = bvi_oci_box_group(b->env, b->spec->id);

    if (!group)
        return bvi_fail_nomem(err);
    if (record->exists && record->same_boot && record->status == BVI_OCI_RUNNING &&
        bvi_proc_is_alive(&record->proc)) {
        *ret_proc = record->proc;
        return 0;
    }
    *ret_proc = find_in_group(b->env, b->spec->node_dir, group);
    return ret_proc->pid == 0 ? 0 : save_record(b, BVI_OCI_RUNNING, ret_proc, err);
}

int bvi_oci_box_find(const bvi_oci_env *env, const bvi_container_spec *spec, bvi_proc_id *ret_proc,
                     bool *ret_known, bv_error **err)
{
    auto_box b = BOX(env, spec);
    bvi_proc_id proc = { 0 };
    int r = open_box(&b, false, err);

    if (r == 0 && b.lock >= 0)
        r = find_process(&b, &proc, err);
    if (r < 0)
        return bvi_wrap(err, r, "cannot find out about the container of node '%s'", spec->id);
    *ret_proc = proc;
    *ret_known = b.record.exists || b.record.was_damaged || proc.pid > 0;
    return 0;
}

/* ---- clearing ---- */

/* Which runtime made the container is not known (its record was damaged): with its processes gone,
 * what a runtime remembers of it is only in the way. */
static int forget_in_all(const bvi_oci_env *env, const char *id, bv_error **err)
{
    static const char *const names[] = { "crun", "runc" };
    int r = 0;

    for (size_t i = 0; i < BVI_COUNT(names) && r == 0; i++) {
        bvi_auto_free char *path = bvi_path_join(env->state_dir, names[i], id, NULL);

        r = path ? bvi_fs_remove_tree(path, err) : bvi_fail_nomem(err);
    }
    return r;
}

/* The runtime that made the container may be another than the one in use now. */
static int delete_from_runtime(const box *b, bv_error **err)
{
    BVI_AUTO(bvi_oci_runtime_done) bvi_oci_runtime rt = { 0 };
    bvi_auto_free char *log = bvi_path_join(b->spec->node_dir, FILE_RTLOG, NULL);
    const char *program = b->record.runtime;
    int r;

    if (!program || !program[0])
        return forget_in_all(b->env, b->spec->id, err);
    r = log ? bvi_oci_runtime_init(&rt, program, b->env->state_dir,
                                   bvi_cgroups_is_hybrid(&b->env->cgroups), err)
            : bvi_fail_nomem(err);
    return r < 0 ? r : bvi_oci_runtime_delete(&rt, b->spec->id, log, b->lock, err);
}

/* Leaves no process, no runtime record and no control group. */
static int clear_traces(const box *b, bv_error **err)
{
    bvi_auto_free char *group = bvi_oci_box_group(b->env, b->spec->id);
    int r = group ? bvi_cgroup_kill(&b->env->cgroups, group, err) : bvi_fail_nomem(err);

    if (r == 0)
        r = delete_from_runtime(b, err);
    return r < 0 ? r : bvi_cgroup_remove(&b->env->cgroups, group, err);
}

static int remove_file(const bvi_container_spec *spec, const char *name, bv_error **err)
{
    bvi_auto_free char *path = bvi_path_join(spec->node_dir, name, NULL);

    return path ? bvi_fs_remove(path, err) : bvi_fail_nomem(err);
}

static int clear_box(box *b, bv_error **err)
{
    int r = clear_traces(b, err);

    if (r == 0)
        r = remove_file(b->spec, FILE_PID, err);
    if (r < 0 || !b->record.exists || b->record.status == BVI_OCI_PREPARED)
        return r;
    return save_record(b, BVI_OCI_PREPARED, NULL, err);
}

int bvi_oci_box_clear(const bvi_oci_env *env, const bvi_container_spec *spec, bv_error **err)
{
    auto_box b = BOX(env, spec);
    int r = open_box(&b, false, err);

    if (r < 0)
        return r;
    return b.lock < 0 ? clear_traces(&b, err) : clear_box(&b, err);
}

/* ---- root ---- */

/* Below are programs that run as root for whoever starts them, made by somebody we do not trust:
 * users of the host must not get there. */
static int keep_others_out(const box *b, bv_error **err)
{
    if (chmod(b->spec->node_dir, 0700) < 0)
        return bvi_fail_sys(err, errno, "cannot protect '%s'", b->spec->node_dir);
    return 0;
}

static int prepare_root(box *b, bv_error **err)
{
    const bvi_root_key *known = b->record.exists && b->record.same_boot ? &b->record.root : NULL;
    int r = keep_others_out(b, err);

    return r < 0 ? r : bvi_oci_root_prepare(b->spec, known, b->lock, &b->record.root, err);
}

int bvi_oci_box_prepare(const bvi_oci_env *env, const bvi_container_spec *spec, bv_error **err)
{
    auto_box b = BOX(env, spec);
    bvi_root_key before;
    int r = open_box(&b, true, err);

    if (r < 0)
        return r;
    before = b.record.root;
    r = prepare_root(&b, err);
    if (r < 0 || (b.record.exists && b.record.same_boot &&
                  memcmp(&before, &b.record.root, sizeof(before)) == 0))
        return r;
    /* After a boot, pids of the last one must not look like this one's. */
    if (!b.record.same_boot)
        return save_record(&b, BVI_OCI_PREPARED, NULL, err);
    return bvi_oci_record_save(spec->node_dir, spec->id, &b.record, err);
}

int bvi_oci_box_unmount(const bvi_oci_env *env, const bvi_container_spec *spec, bv_error **err)
{
    auto_box b = BOX(env, spec);
    int r = open_box(&b, false, err);

    return r < 0 || b.lock < 0 ? r : bvi_oci_root_unmount(spec, err);
}

/* What a crash in the middle of a write left, and damaged records that were set aside. */
static int remove_remains(const bvi_container_spec *spec, bv_error **err)
{
    static const char *const starts[] = { "." FILE_RECORD ".tmp-", FILE_RECORD ".damaged-" };
    BVI_AUTO(bvi_strv_done) bvi_strv names = BVI_VEC_INIT(NODE_FILES_MAX);
    int r = bvi_fs_list(spec->node_dir, &names, err);

    for (size_t i = 0; i < names.len && r == 0; i++) {
        for (size_t k = 0; k < BVI_COUNT(starts) && r == 0; k++) {
            if (strncmp(names.items[i], starts[k], strlen(starts[k])) == 0)
                r = remove_file(spec, names.items[i], err);
        }
    }
    return r;
}

int bvi_oci_box_remove(const bvi_oci_env *env, const bvi_container_spec *spec, bv_error **err)
{
    /* The record goes last but for the lock: until then a crash leaves something that says "remove
     * me again". */
    static const char *const files[] = { FILE_PID,   FILE_CONSOLE, FILE_OLD,
                                         FILE_RTLOG, FILE_RECORD,  FILE_LOCK };
    auto_box b = BOX(env, spec);
    bvi_auto_free char *bundle = bvi_path_join(spec->node_dir, DIR_BUNDLE, NULL);
    int r = bundle ? open_box(&b, false, err) : bvi_fail_nomem(err);

    if (r == 0)
        r = clear_traces(&b, err);
    if (r == 0 && b.lock < 0)
        return 0;
    if (r == 0)
        r = bvi_oci_root_remove(spec, err);
    if (r == 0)
        r = bvi_fs_remove_tree(bundle, err);
    if (r == 0)
        r = remove_remains(spec, err);
    for (size_t i = 0; i < BVI_COUNT(files) && r == 0; i++)
        r = remove_file(spec, files[i], err);
    return r < 0 ? bvi_wrap(err, r, "cannot remove the container of node '%s'", spec->id) : 0;
}

/* ---- starting ---- */

/* Name resolution as on the host, unless the caller binds its own. Only what the host has. */
static size_t host_files(const bvi_container_spec *spec, bvi_bind binds[2])
{
    static const char *const paths[] = { "/etc/resolv.conf", "/etc/hosts" };
    size_t count = 0;

    for (size_t i = 0; i < BVI_COUNT(paths) && spec->network == BVI_NETWORK_HOST; i++) {
        bool bound = access(paths[i], R_OK) < 0;

        for (size_t j = 0; j < spec->bind_count && !bound; j++)
            bound = strcmp(spec->binds[j].destination, paths[i]) == 0;
        if (!bound)
            binds[count++] =
                (bvi_bind){ .source = paths[i], .destination = paths[i], .read_only = true };
    }
    return count;
}

static int make_points(const bvi_container_spec *spec, const bvi_bind *binds, size_t count,
                       bv_error **err)
{
    int r = 0;

    for (size_t i = 0; i < count && r == 0; i++)
        r = bvi_oci_root_make_point(spec->root_dir, &binds[i], err);
    return r;
}

/* config.json is made anew for each start: nothing to keep over a crash, so nothing to sync. */
static int write_config(const char *path, const bvi_json *config, bv_error **err)
{
    bvi_auto_free char *text = NULL;
    bvi_auto_close int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    int r;

    if (fd < 0)
        return bvi_fail_sys(err, errno, "cannot write '%s'", path);
    r = bvi_json_print(config, true, &text, err);
    if (r < 0)
        return r;
    r = bvi_fs_write_all(fd, text, strlen(text));
    return r < 0 ? bvi_fail_sys(err, -r, "cannot write '%s'", path) : 0;
}

static int make_bundle(const bvi_oci_env *env, const bvi_container_spec *spec, const char *bundle,
                       bv_error **err)
{
    bvi_auto_free char *path = bvi_path_join(bundle, "config.json", NULL);
    bvi_auto_free char *group = bvi_oci_box_group(env, spec->id);
    bvi_auto_json bvi_json *config = NULL;
    struct rlimit nofile = { .rlim_max = 1024 };
    char root[PATH_MAX];
    bvi_bind binds[2];
    size_t count = host_files(spec, binds);
    int r =
        path && group ? make_points(spec, spec->binds, spec->bind_count, err) : bvi_fail_nomem(err);

    if (r == 0)
        r = make_points(spec, binds, count, err);
    if (r == 0)
        r = bvi_fs_mkdir(bundle, 0700, err);
    if (r < 0)
        return r;
    if (!realpath(spec->root_dir, root))
        return bvi_fail_sys(err, errno, "cannot look at the root '%s'", spec->root_dir);
    (void)getrlimit(RLIMIT_NOFILE, &nofile); /* the low default above does no harm */
    const bvi_oci_config_facts facts = {
        .root = root,
        .group = group,
        .nofile_hard = nofile.rlim_max,
        .cgroup_ns = access("/proc/self/ns/cgroup", F_OK) == 0,
        .seccomp = access("/proc/sys/kernel/seccomp/actions_avail", F_OK) == 0,
        .binds = binds,
        .bind_count = count,
    };
    r = bvi_oci_config_make(spec, &facts, &config, err);
    return r < 0 ? r : write_config(path, config, err);
}

static int open_console(const bvi_container_spec *spec, int *ret_fd, bv_error **err)
{
    bvi_auto_free char *path = bvi_path_join(spec->node_dir, FILE_CONSOLE, NULL);
    bvi_auto_free char *old = bvi_path_join(spec->node_dir, FILE_OLD, NULL);
    struct stat st;

    if (!path || !old)
        return bvi_fail_nomem(err);
    if (stat(path, &st) == 0 && st.st_size > (off_t)CONSOLE_KEEP_MAX && rename(path, old) < 0)
        return bvi_fail_sys(err, errno, "cannot put '%s' aside", path);
    *ret_fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
    return *ret_fd < 0 ? bvi_fail_sys(err, errno, "cannot open '%s'", path) : 0;
}

/* Writers append, so a file that was cut goes on at its beginning. */
void bvi_oci_box_trim_console(const char *node_dir)
{
    bvi_auto_free char *path = bvi_path_join(node_dir, FILE_CONSOLE, NULL);
    bvi_auto_free char *old = bvi_path_join(node_dir, FILE_OLD, NULL);
    bvi_auto_free char *text = NULL;
    bvi_auto_close int from = -1;
    bvi_auto_close int to = -1;
    struct stat st;
    ssize_t n;

    if (!path || !old)
        return;
    from = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (from < 0 || fstat(from, &st) < 0 || st.st_size <= (off_t)CONSOLE_RUNNING_MAX)
        return;
    text = bvi_malloc(CONSOLE_KEEP_MAX);
    n = text ? pread(from, text, CONSOLE_KEEP_MAX, st.st_size - (off_t)CONSOLE_KEEP_MAX) : -1;
    to = n < 0 ? -1 : open(old, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (to >= 0)
        (void)bvi_fs_write_all(to, text, (size_t)n); /* a full disk is why it must be cut */
    (void)!ftruncate(from, 0);                       /* tried again */
}

/* What the first process said last, for the message about its early end; NULL when nothing. */
static char *last_console_line(const bvi_container_spec *spec)
{
    bvi_auto_free char *path = bvi_path_join(spec->node_dir, FILE_CONSOLE, NULL);
    bvi_auto_free char *text = NULL;
    size_t len = 0;
    size_t start;

    if (!path || bvi_fs_read(path, CONSOLE_TAIL_MAX, &text, &len, NULL) < 0)
        return NULL;
    while (len > 0 && (text[len - 1] == '\n' || text[len - 1] == '\r'))
        text[--len] = '\0';
    for (start = len; start > 0 && text[start - 1] != '\n'; start--)
        ;
    return len > start && len - start < 512 ? bvi_strdup(text + start) : NULL;
}

static int ended_early(const bvi_container_spec *spec, bv_error **err)
{
    bvi_auto_free char *said = last_console_line(spec);

    return bvi_fail(err, BV_E_STATE,
                    "its first process '%s' ended at once%s%s; see '%s/" FILE_CONSOLE "'",
                    spec->argv[0], said ? ": " : "", said ? said : "", spec->node_dir);
}

static int identify_first(const bvi_container_spec *spec, const char *group, bvi_proc_id *ret_proc,
                          int *ret_pidfd, bv_error **err)
{
    bvi_proc_id proc = { 0 };
    pid_t pid = read_pid_file(spec->node_dir);
    int r;

    if (pid == 0)
        return bvi_fail(err, BV_E_IO, "the runtime wrote no pid file");
    r = bvi_proc_identify(pid, &proc, NULL);
    /* Between its end and ours the pid may have become somebody else's. */
    if (r == 0 && !bvi_cgroup_has(group, pid))
        r = BV_E_NOT_FOUND;
    if (r == 0)
        r = bvi_proc_open(&proc, ret_pidfd, NULL);
    if (r < 0)
        return ended_early(spec, err);
    *ret_proc = proc;
    return 0;
}

typedef struct start_paths {
    char *bundle;
    char *pid_file;
    char *log;
    char *group;
} start_paths;

static void start_paths_done(start_paths *p)
{
    bvi_free(p->bundle);
    bvi_free(p->pid_file);
    bvi_free(p->log);
    bvi_free(p->group);
}

static int find_start_paths(const bvi_oci_env *env, const bvi_container_spec *spec, start_paths *p,
                            bv_error **err)
{
    p->bundle = bvi_path_join(spec->node_dir, DIR_BUNDLE, NULL);
    p->pid_file = bvi_path_join(spec->node_dir, FILE_PID, NULL);
    p->log = bvi_path_join(spec->node_dir, FILE_RTLOG, NULL);
    p->group = bvi_oci_box_group(env, spec->id);
    return p->bundle && p->pid_file && p->log && p->group ? 0 : bvi_fail_nomem(err);
}

/* Everything up to the runtime's call; the record is the intent. */
static int get_ready(box *b, const bvi_oci_runtime *rt, const start_paths *paths, bv_error **err)
{
    bool leftover = b->record.exists && b->record.status != BVI_OCI_PREPARED;
    int r = 0;

    if (leftover || bvi_cgroup_exists(&b->env->cgroups, paths->group))
        r = clear_box(b, err);
    if (r == 0)
        r = prepare_root(b, err);
    if (r == 0)
        r = make_bundle(b->env, b->spec, paths->bundle, err);
    if (r == 0)
        r = bvi_fs_mkdir(rt->root, 0700, err);
    if (r == 0)
        r = remove_file(b->spec, FILE_PID, err);
    if (r == 0)
        r = bvi_oci_record_set_runtime(&b->record, rt->path, err);
    /* A record of this very runtime without a record of ours: the node directory was restored or
     * replaced. */
    if (r == 0 && !leftover)
        r = delete_from_runtime(b, err);
    return r < 0 ? r : save_record(b, BVI_OCI_STARTING, NULL, err);
}

static int run_box(const box *b, const bvi_oci_runtime *rt, const start_paths *paths, bool detach,
                   bv_error **err)
{
    bvi_auto_close int console = -1;
    int r = open_console(b->spec, &console, err);
    const bvi_oci_run run = {
        .id = b->spec->id,
        .bundle = paths->bundle,
        .pid_file = paths->pid_file,
        .log_file = paths->log,
        .console_fd = console,
        .lock_fd = b->lock,
        .detach = detach,
    };

    return r < 0 ? r : bvi_oci_runtime_run(rt, &run, err);
}

static int start_box(box *b, const bvi_oci_runtime *rt, bvi_proc_id *ret_proc, int *ret_pidfd,
                     bv_error **err)
{
    BVI_AUTO(start_paths_done) start_paths paths = { 0 };
    bvi_auto_close int pidfd = -1;
    bvi_proc_id proc = { 0 };
    int r = find_start_paths(b->env, b->spec, &paths, err);

    if (r == 0)
        r = get_ready(b, rt, &paths, err);
    if (r == 0)
        r = run_box(b, rt, &paths, true, err);
    if (r == 0)
        r = identify_first(b->spec, paths.group, &proc, &pidfd, err);
    if (r == 0)
        r = save_record(b, BVI_OCI_RUNNING, &proc, err);
    if (r < 0)
        return r;
    *ret_proc = proc;
    *ret_pidfd = bvi_take_fd(&pidfd);
    return 0;
}

int bvi_oci_box_start(const bvi_oci_env *env, const bvi_oci_runtime *rt,
                      const bvi_container_spec *spec, bvi_proc_id *ret_proc, int *ret_pidfd,
                      bv_error **err)
{
    auto_box b = BOX(env, spec);
    int r = open_box(&b, true, err);

    if (r == 0)
        r = start_box(&b, rt, ret_proc, ret_pidfd, err);
    if (r == 0)
        return 0;
    /* What cannot be recorded must not run either: it would be lost with us. The failure that
     * counts is known; what cannot be cleared now is cleared before the next start. */
    if (b.lock >= 0)
        (void)clear_box(&b, NULL);
    return bvi_wrap(err, r, "cannot start the container of node '%s'", spec->id);
}

int bvi_oci_box_run(const bvi_oci_env *env, const bvi_oci_runtime *rt,
                    const bvi_container_spec *spec, bv_error **err)
{
    auto_box b = BOX(env, spec);
    BVI_AUTO(start_paths_done) start_paths paths = { 0 };
    int r = open_box(&b, true, err);

    if (r == 0)
        r = find_start_paths(env, spec, &paths, err);
    if (r == 0)
        r = get_ready(&b, rt, &paths, err);
    return r < 0 ? r : run_box(&b, rt, &paths, false, err);
}
