/*
 * oci_cgroup.c - where control groups are mounted, what a container's group uses, and how it is
 * emptied and removed.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "runtime/oci_cgroup.h"
#include "sys/fs.h"
#include "sys/proc.h"

#define MOUNTS_FILE_MAX (16u * 1024u * 1024u)
/* cgroup files are short; cgroup.procs of a huge node has a line for each process. */
#define GROUP_FILE_MAX (4u * 1024u * 1024u)
#define PROC_FILE_MAX  (64u * 1024u)
/* Groups made by the payload below its own. */
#define GROUP_DEPTH_MAX 16u
#define GROUP_NAMES_MAX 4096u
/* How long killed processes may take to go, and a group to become removable. */
#define EMPTY_WAIT_MS 5000
#define POLL_MS       5

/* ---- finding the hierarchies ---- */

static bool has_option(const char *options, const char *name)
{
    size_t len = strlen(name);

    for (const char *at = options; at && *at; at += strspn(at, ",")) {
        size_t part = strcspn(at, ",");

        if (part == len && strncmp(at, name, len) == 0)
            return true;
        at += part;
    }
    return false;
}

static int set_once(char **field, const char *text)
{
    if (*field)
        return 0; /* mounted in a second place: one is enough */
    *field = bvi_strdup(text);
    return *field ? 0 : BV_E_NOMEM;
}

/* One line of /proc/mounts: source, mount point, type, options. Points with blanks are not cgroup
 * mounts of ours. */
static int parse_line(char *line, bvi_cgroups *cgroups)
{
    char *save = NULL;
    const char *point = strtok_r(line, " ", &save) ? strtok_r(NULL, " ", &save) : NULL;
    const char *type = point ? strtok_r(NULL, " ", &save) : NULL;
    const char *options = type ? strtok_r(NULL, " ", &save) : NULL;
    int r = 0;

    if (!options)
        return 0;
    if (strcmp(type, "cgroup2") == 0)
        return set_once(&cgroups->unified, point);
    if (strcmp(type, "cgroup") != 0)
        return 0;
    if (has_option(options, "memory"))
        r = set_once(&cgroups->memory, point);
    if (r == 0 && has_option(options, "cpuacct"))
        r = set_once(&cgroups->cpuacct, point);
    if (r == 0 && has_option(options, "pids"))
        r = set_once(&cgroups->pids, point);
    return r < 0 ? r : bvi_strv_add(&cgroups->all, point);
}

/* The unified hierarchy to the front: it is the best to look for processes in. */
static int unified_first(bvi_cgroups *cgroups)
{
    int r;

    if (!cgroups->unified)
        return 0;
    r = bvi_strv_add(&cgroups->all, cgroups->unified);
    if (r == 0) {
        char *last = cgroups->all.items[cgroups->all.len - 1];

        memmove(cgroups->all.items + 1, cgroups->all.items, (cgroups->all.len - 1) * sizeof(last));
        cgroups->all.items[0] = last;
    }
    return r;
}

int bvi_cgroups_parse(const char *mounts, bvi_cgroups *ret_cgroups, bv_error **err)
{
    bvi_cgroups cgroups = { .all = BVI_VEC_INIT(BVI_CGROUP_MOUNTS_MAX) };
    bvi_auto_free char *copy = bvi_strdup(mounts);
    char *save = NULL;
    int r = copy ? 0 : BV_E_NOMEM;

    for (char *line = copy ? strtok_r(copy, "\n", &save) : NULL; line && r == 0;
         line = strtok_r(NULL, "\n", &save))
        r = parse_line(line, &cgroups);
    if (r == 0)
        r = unified_first(&cgroups);
    if (r < 0) {
        bvi_cgroups_done(&cgroups);
        return r == BV_E_NOMEM
                   ? bvi_fail_nomem(err)
                   : bvi_fail(err, r, "more than %u control group mounts", BVI_CGROUP_MOUNTS_MAX);
    }
    *ret_cgroups = cgroups;
    return 0;
}

int bvi_cgroups_detect(bvi_cgroups *ret_cgroups, bv_error **err)
{
    bvi_auto_free char *text = NULL;
    size_t len = 0;
    int r = bvi_fs_read("/proc/mounts", MOUNTS_FILE_MAX, &text, &len, err);

    return r < 0 ? r : bvi_cgroups_parse(text, ret_cgroups, err);
}

void bvi_cgroups_done(bvi_cgroups *cgroups)
{
    bvi_free(cgroups->unified);
    bvi_free(cgroups->memory);
    bvi_free(cgroups->cpuacct);
    bvi_free(cgroups->pids);
    bvi_strv_done(&cgroups->all);
    *cgroups = (bvi_cgroups){ 0 };
}

bool bvi_cgroups_is_hybrid(const bvi_cgroups *cgroups)
{
    return cgroups->unified && cgroups->all.len > 1;
}

/* ---- reading ---- */

static int read_group_file(const char *mount, const char *group, const char *name, char **ret_text)
{
    bvi_auto_free char *path = bvi_path_join(mount, group, name, NULL);
    size_t len = 0;

    return path ? bvi_fs_read(path, GROUP_FILE_MAX, ret_text, &len, NULL) : BV_E_NOMEM;
}

/* A file that is one number, or with a key the number after that word at the start of a line. */
static bool read_number(const char *mount, const char *group, const char *name, const char *key,
                        uint64_t *ret_value)
{
    bvi_auto_free char *text = NULL;
    const char *at;
    size_t len = key ? strlen(key) : 0;

    if (!mount || read_group_file(mount, group, name, &text) < 0)
        return false;
    at = text;
    while (key && at && !(strncmp(at, key, len) == 0 && at[len] == ' ')) {
        at = strchr(at, '\n');
        at = at ? at + 1 : NULL;
    }
    if (!at || at[len] == '\0')
        return false;
    *ret_value = strtoull(at + len, NULL, 10);
    return true;
}

int bvi_cgroup_stats(const bvi_cgroups *cgroups, const char *group, bvi_container_stats *ret_stats,
                     bv_error **err)
{
    const char *v2 = cgroups->unified;
    bvi_container_stats stats = { 0 };
    uint64_t cpu_ns = 0;
    uint64_t pids = 0;
    bool any = false;

    /* On a hybrid host the unified group may exist without the controllers: its files are then
     * missing. */
    any |= read_number(v2, group, "memory.current", NULL, &stats.memory_bytes) ||
           read_number(cgroups->memory, group, "memory.usage_in_bytes", NULL, &stats.memory_bytes);
    if (read_number(cgroups->cpuacct, group, "cpuacct.usage", NULL, &cpu_ns)) {
        stats.cpu_us = cpu_ns / 1000;
        any = true;
    } else {
        any |= read_number(v2, group, "cpu.stat", "usage_usec", &stats.cpu_us);
    }
    any |= read_number(v2, group, "pids.current", NULL, &pids) ||
           read_number(cgroups->pids, group, "pids.current", NULL, &pids);
    if (!any)
        return bvi_fail(err, BV_E_NOT_FOUND, "there is no control group '%s'", group);
    stats.pids = pids > UINT32_MAX ? UINT32_MAX : (uint32_t)pids;
    *ret_stats = stats;
    return 0;
}

uint64_t bvi_cgroup_oom_kills(const bvi_cgroups *cgroups, const char *group)
{
    uint64_t kills = 0;

    if (!read_number(cgroups->unified, group, "memory.events", "oom_kill", &kills) &&
        !read_number(cgroups->memory, group, "memory.oom_control", "oom_kill", &kills))
        return 0;
    return kills;
}

bool bvi_cgroup_exists(const bvi_cgroups *cgroups, const char *group)
{
    for (size_t i = 0; i < cgroups->all.len; i++) {
        bvi_auto_free char *path = bvi_path_join(cgroups->all.items[i], group, NULL);

        if (path && bvi_fs_is_dir(path))
            return true;
    }
    return false;
}

/* ---- processes ---- */

bool bvi_cgroup_has(const char *group, pid_t pid)
{
    char path[64];
    bvi_auto_free char *text = NULL;
    size_t len = 0;
    size_t group_len = strlen(group);
    char *save = NULL;

    (void)snprintf(path, sizeof(path), "/proc/%d/cgroup", (int)pid); /* fits */
    if (bvi_fs_read(path, PROC_FILE_MAX, &text, &len, NULL) < 0)
        return false;
    /* "4:memory:/blockvisor/ID" */
    for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        const char *at = strchr(line, ':');

        at = at ? strchr(at + 1, ':') : NULL;
        if (at && at[1] == '/' && strncmp(at + 2, group, group_len) == 0 &&
            (at[2 + group_len] == '\0' || at[2 + group_len] == '/'))
            return true;
    }
    return false;
}

/* "NSpid: <host> ... <innermost>": number 1 in a namespace of its own. */
static bool is_namespace_init(pid_t pid)
{
    char path[64];
    bvi_auto_free char *text = NULL;
    size_t len = 0;
    const char *line;
    const char *last;

    (void)snprintf(path, sizeof(path), "/proc/%d/status", (int)pid); /* fits */
    if (bvi_fs_read(path, PROC_FILE_MAX, &text, &len, NULL) < 0)
        return false;
    line = strstr(text, "\nNSpid:");
    if (!line)
        return false;
    line += strlen("\nNSpid:");
    len = strcspn(line, "\n");
    last = line + len;
    while (last > line && last[-1] != '\t' && last[-1] != ' ')
        last--;
    return line + len == last + 1 && *last == '1' && last - line > 1;
}

/* Calls fn with each process of one directory of a hierarchy; stops when it returns true. */
static bool each_process(const char *dir, bool (*fn)(pid_t pid, void *data), void *data)
{
    bvi_auto_free char *text = NULL;

    if (read_group_file(dir, "", "cgroup.procs", &text) < 0)
        return false;
    for (char *at = text; *at;) {
        pid_t pid = (pid_t)strtol(at, &at, 10);

        at += strspn(at, "\n");
        if (pid > 0 && fn(pid, data))
            return true;
        if (pid <= 0)
            break;
    }
    return false;
}

static bool note_init(pid_t pid, void *data)
{
    if (!is_namespace_init(pid))
        return false;
    *(pid_t *)data = pid;
    return true;
}

pid_t bvi_cgroup_find_init(const bvi_cgroups *cgroups, const char *group)
{
    pid_t pid = 0;

    for (size_t i = 0; i < cgroups->all.len && pid == 0; i++) {
        bvi_auto_free char *dir = bvi_path_join(cgroups->all.items[i], group, NULL);

        if (dir)
            (void)each_process(dir, note_init, &pid);
    }
    return pid;
}

/* ---- killing and removing: depth first over each hierarchy ---- */

typedef bool (*dir_fn)(const char *dir, void *data); /* false: stop */

/* The directory's children first, then itself. */
static bool walk(const char *dir, unsigned depth, dir_fn fn, void *data)
{
    BVI_AUTO(bvi_strv_done) bvi_strv names = BVI_VEC_INIT(GROUP_NAMES_MAX);

    if (depth > GROUP_DEPTH_MAX || bvi_fs_list(dir, &names, NULL) < 0)
        return true; /* gone meanwhile, or too odd to touch: the rmdir above it will tell */
    for (size_t i = 0; i < names.len; i++) {
        bvi_auto_free char *child = bvi_path_join(dir, names.items[i], NULL);

        if (child && bvi_fs_is_dir(child) && !walk(child, depth + 1, fn, data))
            return false;
    }
    return fn(dir, data);
}

static void walk_all(const bvi_cgroups *cgroups, const char *group, dir_fn fn, void *data)
{
    for (size_t i = 0; i < cgroups->all.len; i++) {
        bvi_auto_free char *dir = bvi_path_join(cgroups->all.items[i], group, NULL);

        if (dir && bvi_fs_is_dir(dir))
            (void)walk(dir, 0, fn, data);
    }
}

typedef struct killing {
    const char *group;
    unsigned seen; /* processes that were still there */
} killing;

/* From the cgroup file to the signal a pid could change hands; bvi_proc_signal() compares start
 * times. */
static bool kill_process(pid_t pid, void *data)
{
    bvi_proc_id id = { 0 };
    killing *k = data;

    if (bvi_proc_identify(pid, &id, NULL) < 0 || !bvi_cgroup_has(k->group, pid))
        return false;
    k->seen++;
    (void)bvi_proc_signal(&id, SIGKILL,
                          NULL); /* gone is what we want; anything else shows in the next round */
    return false;
}

static bool kill_dir(const char *dir, void *data)
{
    (void)each_process(dir, kill_process, data);
    return true;
}

static void pause_ms(long ms)
{
    const struct timespec ts = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };

    (void)nanosleep(&ts, NULL); /* woken early is fine: the caller looks again */
}

/* Version 2 kills a whole tree at once, races with fork included. */
static void kill_unified(const bvi_cgroups *cgroups, const char *group)
{
    bvi_auto_free char *path =
        cgroups->unified ? bvi_path_join(cgroups->unified, group, "cgroup.kill", NULL) : NULL;
    bvi_auto_close int fd = path ? open(path, O_WRONLY | O_CLOEXEC) : -1;

    if (fd >= 0)
        (void)bvi_fs_write_all(fd, "1",
                               1); /* before 5.14 there is no such file: one by one below */
}

int bvi_cgroup_kill(const bvi_cgroups *cgroups, const char *group, bv_error **err)
{
    killing k = { .group = group };

    kill_unified(cgroups, group);
    for (int waited = 0; waited < EMPTY_WAIT_MS; waited += POLL_MS) {
        k.seen = 0;
        walk_all(cgroups, group, kill_dir, &k);
        if (k.seen == 0)
            return 0;
        pause_ms(POLL_MS);
    }
    return bvi_fail(err, BV_E_TIMEOUT,
                    "%u processes of '%s' do not die: they wait for the kernel (disk or network)",
                    k.seen, group);
}

typedef struct removal {
    int errnum;
    char path[256]; /* of the first that stayed, for the message */
} removal;

static bool remove_dir(const char *dir, void *data)
{
    removal *rm = data;

    if (rmdir(dir) < 0 && errno != ENOENT && rm->errnum == 0) {
        rm->errnum = errno;
        (void)snprintf(rm->path, sizeof(rm->path), "%s", dir); /* cut is fine in a message */
    }
    return true;
}

int bvi_cgroup_remove(const bvi_cgroups *cgroups, const char *group, bv_error **err)
{
    removal rm = { 0 };

    for (int waited = 0; waited < EMPTY_WAIT_MS; waited += POLL_MS) {
        rm = (removal){ 0 };
        walk_all(cgroups, group, remove_dir, &rm);
        if (rm.errnum != EBUSY) /* a dying process is still counted for a moment */
            break;
        pause_ms(POLL_MS);
    }
    return rm.errnum ? bvi_fail_sys(err, rm.errnum, "cannot remove the control group '%s'", rm.path)
                     : 0;
}
