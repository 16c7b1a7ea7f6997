/*
 * oci_config.c - config.json by the OCI runtime specification 1.0.
 *
 * What a node may do is what Docker gives a container by default, less what no node needs:
 * operators know it, and images are written for it. One thing is on purpose: no_new_privs stays
 * off, because the agent runs jobs as other users through su.
 *
 * A node's root is the host's uid 0 with few rights, so what is dangerous in uid 0 alone matters:
 * a user namespace would give the rights back inside (and with them most of the kernel's mistakes),
 * the kernel's key rings belong to a uid, not to a container, and on the host's network raw sockets
 * read what other nodes send.
 */
#include <errno.h>
#include <linux/sched.h>
#include <math.h>
#include <stdio.h>

#include "runtime/oci_config.h"

/* The period a processor share is counted in; the kernel's and everybody's default. */
#define CPU_PERIOD_US 100000
/* The kernel's smallest quota. */
#define CPU_QUOTA_MIN 1000
#define HOSTNAME_MAX  63u

/* Not CAP_MKNOD: device nodes would be kept from use by the control group alone. */
static const char *const capabilities[] = {
    "CAP_AUDIT_WRITE", "CAP_CHOWN",   "CAP_DAC_OVERRIDE",     "CAP_FOWNER",
    "CAP_FSETID",      "CAP_KILL",    "CAP_NET_BIND_SERVICE", "CAP_SETFCAP",
    "CAP_SETGID",      "CAP_SETPCAP", "CAP_SETUID",           "CAP_SYS_CHROOT",
};

/* With a network of its own a node may do to it what it likes. */
#define OWN_NETWORK_CAPABILITY "CAP_NET_RAW"

/* Inheritable and ambient stay empty, as Docker's have been since CVE-2022-24769. */
static const char *const capability_sets[] = { "bounding", "effective", "permitted" };

static const char *const masked_paths[] = {
    "/proc/acpi",          "/proc/asound",
    "/proc/kcore",         "/proc/keys",
    "/proc/latency_stats", "/proc/sched_debug",
    "/proc/scsi",          "/proc/timer_list",
    "/proc/timer_stats",   "/sys/devices/virtual/powercap",
    "/sys/firmware",       NULL,
};

static const char *const readonly_paths[] = {
    "/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger", NULL,
};

static const struct mount_row {
    const char *destination;
    const char *type;
    const char *source;
    const char *options[8];
} mount_rows[] = {
    { "/proc", "proc", "proc", { "nosuid", "noexec", "nodev" } },
    { "/dev", "tmpfs", "tmpfs", { "nosuid", "strictatime", "mode=755", "size=65536k" } },
    { "/dev/pts",
      "devpts",
      "devpts",
      { "nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5" } },
    { "/dev/shm", "tmpfs", "shm", { "nosuid", "noexec", "nodev", "mode=1777", "size=65536k" } },
    { "/dev/mqueue", "mqueue", "mqueue", { "nosuid", "noexec", "nodev" } },
    { "/sys", "sysfs", "sysfs", { "nosuid", "noexec", "nodev", "ro" } },
    { "/sys/fs/cgroup", "cgroup", "cgroup", { "nosuid", "noexec", "nodev", "relatime", "ro" } },
};

/* Makers of JSON answer NULL, and adders BV_E_NOMEM, when memory is out: everything below ends in
 * one check. */

static bvi_json *strings(const char *const *texts)
{
    bvi_json *array = bvi_json_new_array();

    for (size_t i = 0; array && texts && texts[i]; i++) {
        if (bvi_json_add(array, bvi_json_new_string(texts[i])) < 0) {
            bvi_json_free(array);
            return NULL;
        }
    }
    return array;
}

static int put_capabilities(bvi_json *process, bvi_network network)
{
    const char *given[BVI_COUNT(capabilities) + 2] = { NULL };
    bvi_json *sets = bvi_json_new_object();
    int r = bvi_json_put(process, "capabilities", sets);

    for (size_t i = 0; i < BVI_COUNT(capabilities); i++)
        given[i] = capabilities[i];
    if (network != BVI_NETWORK_HOST)
        given[BVI_COUNT(capabilities)] = OWN_NETWORK_CAPABILITY;
    for (size_t i = 0; i < BVI_COUNT(capability_sets) && r == 0; i++)
        r = bvi_json_put(sets, capability_sets[i], strings(given));
    return r;
}

/* The hard limit is only ever lowered: raising it needs a right that even root may not have. */
static int put_rlimits(bvi_json *process, uint64_t hard)
{
    uint64_t value = hard < BVI_OCI_NOFILE_WANTED ? hard : BVI_OCI_NOFILE_WANTED;
    bvi_json *list = bvi_json_new_array();
    bvi_json *row = bvi_json_new_object();
    int r = bvi_json_put(process, "rlimits", list);

    if (r < 0) {
        bvi_json_free(row);
        return r;
    }
    r = bvi_json_add(list, row);
    if (r == 0)
        r = bvi_json_put_string(row, "type", "RLIMIT_NOFILE");
    if (r == 0)
        r = bvi_json_put_uint64(row, "hard", value);
    return r < 0 ? r : bvi_json_put_uint64(row, "soft", value);
}

static int put_process(bvi_json *root, const bvi_container_spec *spec,
                       const bvi_oci_config_facts *facts)
{
    bvi_json *process = bvi_json_new_object();
    bvi_json *user;
    int r = bvi_json_put(root, "process", process);

    if (r < 0)
        return r;
    user = bvi_json_new_object();
    r = bvi_json_put(process, "user", user);
    if (r == 0)
        r = bvi_json_put_int64(user, "uid", 0);
    if (r == 0)
        r = bvi_json_put_int64(user, "gid", 0);
    if (r == 0)
        r = bvi_json_put_bool(process, "terminal", false);
    if (r == 0)
        r = bvi_json_put(process, "args", strings(spec->argv));
    if (r == 0)
        r = bvi_json_put(process, "env", strings(spec->env));
    if (r == 0)
        r = bvi_json_put_string(process, "cwd", "/");
    if (r == 0)
        r = bvi_json_put_bool(process, "noNewPrivileges", false);
    if (r == 0)
        r = put_capabilities(process, spec->network);
    return r < 0 ? r : put_rlimits(process, facts->nofile_hard);
}

/* ---- mounts ---- */

static int add_mount(bvi_json *mounts, const char *destination, const char *type,
                     const char *source, const char *const *options)
{
    bvi_json *mount = bvi_json_new_object();
    int r = bvi_json_add(mounts, mount);

    if (r == 0)
        r = bvi_json_put_string(mount, "destination", destination);
    if (r == 0)
        r = bvi_json_put_string(mount, "type", type);
    if (r == 0)
        r = bvi_json_put_string(mount, "source", source);
    return r < 0 ? r : bvi_json_put(mount, "options", strings(options));
}

static int add_binds(bvi_json *mounts, const bvi_bind *binds, size_t count)
{
    int r = 0;

    for (size_t i = 0; i < count && r == 0; i++) {
        const char *options[] = { "rbind", "rprivate", "nodev", binds[i].read_only ? "ro" : "rw",
                                  NULL };

        r = add_mount(mounts, binds[i].destination, "bind", binds[i].source, options);
    }
    return r;
}

static int add_tmpfs(bvi_json *mounts, const bvi_tmpfs *tmpfs, size_t count)
{
    int r = 0;

    for (size_t i = 0; i < count && r == 0; i++) {
        char size[32];
        const char *options[] = { "nosuid", "nodev", size, NULL };

        (void)snprintf(size, sizeof(size), "size=%lluM",
                       (unsigned long long)tmpfs[i].size_mb); /* fits */
        r = add_mount(mounts, tmpfs[i].destination, "tmpfs", "tmpfs", options);
    }
    return r;
}

static int put_mounts(bvi_json *root, const bvi_container_spec *spec,
                      const bvi_oci_config_facts *facts)
{
    bvi_json *mounts = bvi_json_new_array();
    int r = bvi_json_put(root, "mounts", mounts);

    for (size_t i = 0; i < BVI_COUNT(mount_rows) && r == 0; i++) {
        const struct mount_row *row = &mount_rows[i];

        r = add_mount(mounts, row->destination, row->type, row->source, row->options);
    }
    if (r == 0)
        r = add_binds(mounts, spec->binds, spec->bind_count);
    if (r == 0)
        r = add_binds(mounts, facts->binds, facts->bind_count);
    return r < 0 ? r : add_tmpfs(mounts, spec->tmpfs, spec->tmpfs_count);
}

/* ---- linux ---- */

static int add_namespace(bvi_json *list, const char *type)
{
    bvi_json *row = bvi_json_new_object();
    int r = bvi_json_add(list, row);

    return r < 0 ? r : bvi_json_put_string(row, "type", type);
}

static int put_namespaces(bvi_json *root, const bvi_container_spec *spec,
                          const bvi_oci_config_facts *facts)
{
    static const char *const always[] = { "pid", "ipc", "uts", "mount" };
    bvi_json *list = bvi_json_new_array();
    int r = bvi_json_put(root, "namespaces", list);

    for (size_t i = 0; i < BVI_COUNT(always) && r == 0; i++)
        r = add_namespace(list, always[i]);
    if (r == 0 && facts->cgroup_ns)
        r = add_namespace(list, "cgroup");
    if (r == 0 && spec->network == BVI_NETWORK_NONE)
        r = add_namespace(list, "network");
    return r;
}

/* No device but the standard ones, which runtimes allow on top of this rule. */
static int put_devices(bvi_json *resources)
{
    bvi_json *list = bvi_json_new_array();
    bvi_json *row;
    int r = bvi_json_put(resources, "devices", list);

    if (r < 0)
        return r;
    row = bvi_json_new_object();
    r = bvi_json_add(list, row);
    if (r == 0)
        r = bvi_json_put_bool(row, "allow", false);
    return r < 0 ? r : bvi_json_put_string(row, "access", "rwm");
}

static int put_number_in(bvi_json *parent, const char *object, const char *key, int64_t value)
{
    bvi_json *child = bvi_json_new_object();
    int r = bvi_json_put(parent, object, child);

    return r < 0 ? r : bvi_json_put_int64(child, key, value);
}

static int put_cpu(bvi_json *resources, double cpus)
{
    double quota = ceil(cpus * CPU_PERIOD_US);
    bvi_json *cpu = bvi_json_new_object();
    int r = bvi_json_put(resources, "cpu", cpu);

    if (quota > (double)INT32_MAX * 100.0)
        quota = (double)INT32_MAX * 100.0;
    if (r == 0)
        r = bvi_json_put_int64(cpu, "quota",
                               quota < CPU_QUOTA_MIN ? CPU_QUOTA_MIN : (int64_t)quota);
    return r < 0 ? r : bvi_json_put_int64(cpu, "period", CPU_PERIOD_US);
}

static int put_resources(bvi_json *root, const bvi_container_spec *spec)
{
    bvi_json *resources = bvi_json_new_object();
    int r = bvi_json_put(root, "resources", resources);

    if (r == 0)
        r = put_devices(resources);
    if (r == 0 && spec->memory_bytes > 0)
        r = put_number_in(resources, "memory", "limit",
                          spec->memory_bytes > INT64_MAX ? INT64_MAX : (int64_t)spec->memory_bytes);
    if (r == 0 && spec->cpus > 0)
        r = put_cpu(resources, spec->cpus);
    if (r == 0 && spec->pids > 0)
        r = put_number_in(resources, "pids", "limit", spec->pids);
    return r;
}

/* ---- system calls ---- */

/* Refused as if the right were missing. */
static const char *const refused_calls[] = {
    "add_key", "bpf", "keyctl", "perf_event_open", "request_key", "setns", "userfaultfd", NULL,
};
static const char *const namespace_calls[] = { "clone", "unshare", NULL };
/* Its flags are in memory, where a filter cannot look: programs take clone() instead. */
static const char *const missing_calls[] = { "clone3", NULL };

/* Programs for the processor's older relatives go on working; without a list they would be killed.
 */
static const char *const architectures[] = {
#if defined(__x86_64__)
    "SCMP_ARCH_X86_64",
    "SCMP_ARCH_X86",
    "SCMP_ARCH_X32",
#elif defined(__aarch64__)
    "SCMP_ARCH_AARCH64",
    "SCMP_ARCH_ARM",
#endif
    NULL,
};

static int add_refusal(bvi_json *list, const char *const *names, int errnum, bvi_json **ret_row)
{
    bvi_json *row = bvi_json_new_object();
    int r = bvi_json_add(list, row);

    if (r == 0)
        r = bvi_json_put(row, "names", strings(names));
    if (r == 0)
        r = bvi_json_put_string(row, "action", "SCMP_ACT_ERRNO");
    if (r == 0)
        r = bvi_json_put_int64(row, "errnoRet", errnum);
    if (r == 0 && ret_row)
        *ret_row = row;
    return r;
}

/* Only calls whose first argument has all bits of a mask. */
static int put_first_argument(bvi_json *row, int64_t mask)
{
    bvi_json *list = bvi_json_new_array();
    bvi_json *arg;
    int r = bvi_json_put(row, "args", list);

    if (r < 0)
        return r;
    arg = bvi_json_new_object();
    r = bvi_json_add(list, arg);
    if (r == 0)
        r = bvi_json_put_int64(arg, "index", 0);
    if (r == 0)
        r = bvi_json_put_int64(arg, "value", mask);
    if (r == 0)
        r = bvi_json_put_int64(arg, "valueTwo", mask);
    return r < 0 ? r : bvi_json_put_string(arg, "op", "SCMP_CMP_MASKED_EQ");
}

static int put_refusals(bvi_json *filter)
{
    bvi_json *list = bvi_json_new_array();
    bvi_json *row = NULL;
    int r = bvi_json_put(filter, "syscalls", list);

    if (r == 0)
        r = add_refusal(list, refused_calls, EPERM, NULL);
    if (r == 0)
        r = add_refusal(list, missing_calls, ENOSYS, NULL);
    if (r == 0)
        r = add_refusal(list, namespace_calls, EPERM, &row);
    return r < 0 ? r : put_first_argument(row, CLONE_NEWUSER);
}

/* A list of what is refused, not of what is allowed: nodes run programs nobody here knows, on
 * kernels nobody here knows. */
static int put_seccomp(bvi_json *os)
{
    bvi_json *filter = bvi_json_new_object();
    int r = bvi_json_put(os, "seccomp", filter);

    if (r == 0)
        r = bvi_json_put_string(filter, "defaultAction", "SCMP_ACT_ALLOW");
    if (r == 0)
        r = bvi_json_put(filter, "architectures", strings(architectures));
    return r < 0 ? r : put_refusals(filter);
}

static int put_linux(bvi_json *root, const bvi_container_spec *spec,
                     const bvi_oci_config_facts *facts)
{
    bvi_json *os = bvi_json_new_object();
    bvi_auto_free char *group = bvi_asprintf("/%s", facts->group);
    int r = bvi_json_put(root, "linux", os);

    if (r < 0 || !group)
        return BV_E_NOMEM;
    r = bvi_json_put_string(os, "cgroupsPath", group);
    if (r == 0)
        r = put_namespaces(os, spec, facts);
    if (r == 0)
        r = put_resources(os, spec);
    if (r == 0 && facts->seccomp)
        r = put_seccomp(os);
    if (r == 0)
        r = bvi_json_put(os, "maskedPaths", strings(masked_paths));
    return r < 0 ? r : bvi_json_put(os, "readonlyPaths", strings(readonly_paths));
}

/* Node names may hold "_", host names may not. */
static int put_hostname(bvi_json *root, const char *name)
{
    char text[HOSTNAME_MAX + 1];

    if (!name || !name[0])
        return 0;
    (void)snprintf(text, sizeof(text), "%s", name); /* cut on purpose */
    for (char *at = text; *at; at++) {
        if (*at == '_')
            *at = '-';
    }
    return bvi_json_put_string(root, "hostname", text);
}

static int put_root(bvi_json *config, const char *path)
{
    bvi_json *root = bvi_json_new_object();
    int r = bvi_json_put(config, "root", root);

    if (r == 0)
        r = bvi_json_put_string(root, "path", path);
    return r < 0 ? r : bvi_json_put_bool(root, "readonly", false);
}

int bvi_oci_config_make(const bvi_container_spec *spec, const bvi_oci_config_facts *facts,
                        bvi_json **ret_config, bv_error **err)
{
    bvi_auto_json bvi_json *config = bvi_json_new_object();
    int r = config ? bvi_json_put_string(config, "ociVersion", "1.0.0") : BV_E_NOMEM;

    if (r == 0)
        r = put_root(config, facts->root);
    if (r == 0)
        r = put_hostname(config, spec->hostname);
    if (r == 0)
        r = put_process(config, spec, facts);
    if (r == 0)
        r = put_mounts(config, spec, facts);
    if (r == 0)
        r = put_linux(config, spec, facts);
    if (r < 0)
        return bvi_fail_nomem(err);
    *ret_config = bvi_take(config);
    return 0;
}
