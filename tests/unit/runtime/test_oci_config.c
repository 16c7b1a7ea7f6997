/* config.json: a node's spec in the words of the OCI specification, compared piece by piece with
 * the expected JSON. */
#include <stdlib.h>

#include "bvt.h"
#include "runtime/oci_config.h"

static const char *const argv[] = { "/opt/agent/babel_init", "run", NULL };
static const char *const env[] = { "NODE_ID=x", "PATH=/bin", NULL };
static const bvi_bind binds[] = { { "/srv/data", "/blockjoy", false },
                                  { "/srv/agent", "/opt/agent", true } };
static const bvi_bind more[] = { { "/etc/hosts", "/etc/hosts", true } };

static const bvi_container_spec base_spec = {
    .id = "n1",
    .hostname = "my_node",
    .image_root = "/image",
    .node_dir = "/nodes/n1",
    .root_dir = "/nodes/n1/rootfs",
    .binds = binds,
    .bind_count = 2,
    .argv = argv,
    .env = env,
};

static const bvi_oci_config_facts base_facts = {
    .root = "/real/n1/rootfs",
    .group = "blockvisor/n1",
    .nofile_hard = 20000,
    .cgroup_ns = true,
    .seccomp = true,
    .binds = more,
    .bind_count = 1,
};

static bvi_json *make(const bvi_container_spec *spec, const bvi_oci_config_facts *facts)
{
    bvi_json *config = NULL;
    bv_error *err = NULL;

    bvt_assert_ok(bvi_oci_config_make(spec, facts, &config, &err), err);
    return config;
}

/* Follows "a.b.2.c" through objects and arrays. */
static const bvi_json *at(const bvi_json *node, const char *path)
{
    char part[64];

    while (*path && node) {
        size_t len = strcspn(path, ".");

        ck_assert_uint_lt(len, sizeof(part));
        memcpy(part, path, len);
        part[len] = '\0';
        if (bvi_json_type_of(node) == BVI_JSON_ARRAY) {
            unsigned long index = strtoul(part, NULL, 10);

            for (node = bvi_json_first(node); node && index > 0; index--)
                node = bvi_json_next(node);
        } else {
            node = bvi_json_find(node, part);
        }
        path += len + (path[len] == '.');
    }
    return node;
}

static void assert_json(const bvi_json *config, const char *path, const char *expected)
{
    bvi_auto_free char *text = NULL;
    const bvi_json *node = at(config, path);

    ck_assert_msg(node != NULL, "there is no '%s'", path);
    ck_assert_int_eq(bvi_json_print(node, false, &text, NULL), 0);
    ck_assert_msg(strcmp(text, expected) == 0, "'%s' is %s", path, text);
}

static const struct {
    const char *path;
    const char *json;
} expected[] = {
    { "ociVersion", "\"1.0.0\"" },
    { "root", "{\"path\":\"/real/n1/rootfs\",\"readonly\":false}" },
    { "hostname", "\"my-node\"" },
    { "process.args", "[\"/opt/agent/babel_init\",\"run\"]" },
    { "process.env", "[\"NODE_ID=x\",\"PATH=/bin\"]" },
    { "process.cwd", "\"/\"" },
    { "process.user", "{\"uid\":0,\"gid\":0}" },
    { "process.terminal", "false" },
    { "process.noNewPrivileges", "false" },
    { "process.rlimits", "[{\"type\":\"RLIMIT_NOFILE\",\"hard\":20000,\"soft\":20000}]" },
    /* On the host's network a node may not listen to others. */
    { "process.capabilities.bounding",
      "[\"CAP_AUDIT_WRITE\",\"CAP_CHOWN\",\"CAP_DAC_OVERRIDE\",\"CAP_FOWNER\",\"CAP_FSETID\","
      "\"CAP_KILL\",\"CAP_NET_BIND_SERVICE\",\"CAP_SETFCAP\",\"CAP_SETGID\",\"CAP_SETPCAP\","
      "\"CAP_SETUID\",\"CAP_SYS_CHROOT\"]" },
    { "mounts.0", "{\"destination\":\"/proc\",\"type\":\"proc\",\"source\":\"proc\","
                  "\"options\":[\"nosuid\",\"noexec\",\"nodev\"]}" },
    { "mounts.5.options", "[\"nosuid\",\"noexec\",\"nodev\",\"ro\"]" },
    { "mounts.7", "{\"destination\":\"/blockjoy\",\"type\":\"bind\",\"source\":\"/srv/data\","
                  "\"options\":[\"rbind\",\"rprivate\",\"nodev\",\"rw\"]}" },
    { "mounts.8.options", "[\"rbind\",\"rprivate\",\"nodev\",\"ro\"]" },
    { "mounts.9.destination", "\"/etc/hosts\"" },
    { "linux.cgroupsPath", "\"/blockvisor/n1\"" },
    { "linux.namespaces", "[{\"type\":\"pid\"},{\"type\":\"ipc\"},{\"type\":\"uts\"},{\"type\":"
                          "\"mount\"},{\"type\":\"cgroup\"}]" },
    { "linux.resources", "{\"devices\":[{\"allow\":false,\"access\":\"rwm\"}]}" },
    { "linux.seccomp.defaultAction", "\"SCMP_ACT_ALLOW\"" },
    { "linux.seccomp.syscalls.1",
      "{\"names\":[\"clone3\"],\"action\":\"SCMP_ACT_ERRNO\",\"errnoRet\":38}" },
    { "linux.seccomp.syscalls.2",
      "{\"names\":[\"clone\",\"unshare\"],\"action\":\"SCMP_ACT_ERRNO\",\"errnoRet\":1,"
      "\"args\":[{\"index\":0,\"value\":268435456,\"valueTwo\":268435456,"
      "\"op\":\"SCMP_CMP_MASKED_EQ\"}]}" },
    { "linux.readonlyPaths",
      "[\"/proc/bus\",\"/proc/fs\",\"/proc/irq\",\"/proc/sys\",\"/proc/sysrq-trigger\"]" },
};

START_TEST(says_what_is_expected)
{
    bvi_auto_json bvi_json *config = make(&base_spec, &base_facts);

    assert_json(config, expected[_i].path, expected[_i].json);
    ck_assert_ptr_null(at(config, "mounts.10"));
    ck_assert_ptr_null(at(config, "process.capabilities.ambient"));
    ck_assert_ptr_null(at(config, "process.capabilities.inheritable"));
}
END_TEST

START_TEST(mounts_ram_disks_last)
{
    static const bvi_tmpfs disks[] = { { "/mnt/ram", 64 } };
    bvi_container_spec spec = base_spec;

    spec.tmpfs = disks;
    spec.tmpfs_count = 1;
    bvi_auto_json bvi_json *config = make(&spec, &base_facts);
    assert_json(config, "mounts.10",
                "{\"destination\":\"/mnt/ram\",\"type\":\"tmpfs\",\"source\":\"tmpfs\","
                "\"options\":[\"nosuid\",\"nodev\",\"size=64M\"]}");
    ck_assert_ptr_null(at(config, "mounts.11"));
}
END_TEST

START_TEST(has_its_own_network_only_when_asked)
{
    bvi_container_spec spec = base_spec;
    bvi_oci_config_facts facts = base_facts;

    spec.network = BVI_NETWORK_NONE;
    facts.cgroup_ns = false;
    bvi_auto_json bvi_json *config = make(&spec, &facts);
    assert_json(config, "linux.namespaces.4.type", "\"network\"");
    assert_json(config, "process.capabilities.bounding.12", "\"CAP_NET_RAW\"");
    ck_assert_ptr_null(at(config, "process.capabilities.bounding.13"));
}
END_TEST

static const struct {
    uint64_t memory_bytes;
    double cpus;
    uint32_t pids;
    const char *memory, *cpu, *process_count; /* NULL: absent */
} limits[] = {
    { 67108864, 0, 0, "{\"limit\":67108864}", NULL, NULL },
    { 0, 0.2, 0, NULL, "{\"quota\":20000,\"period\":100000}", NULL },
    { 0, 3, 50, NULL, "{\"quota\":300000,\"period\":100000}", "{\"limit\":50}" },
    { 0, 0.000001, 0, NULL, "{\"quota\":1000,\"period\":100000}", NULL },
    { UINT64_MAX, 1e300, UINT32_MAX, "{\"limit\":9223372036854775807}",
      "{\"quota\":214748364700,\"period\":100000}", "{\"limit\":4294967295}" },
    { 0, -1, 0, NULL, NULL, NULL },
};

static void assert_limit(const bvi_json *config, const char *path, const char *json)
{
    if (json)
        assert_json(config, path, json);
    else
        ck_assert_ptr_null(at(config, path));
}

START_TEST(limits_resources)
{
    bvi_container_spec spec = base_spec;

    spec.memory_bytes = limits[_i].memory_bytes;
    spec.cpus = limits[_i].cpus;
    spec.pids = limits[_i].pids;
    bvi_auto_json bvi_json *config = make(&spec, &base_facts);
    assert_limit(config, "linux.resources.memory", limits[_i].memory);
    assert_limit(config, "linux.resources.cpu", limits[_i].cpu);
    assert_limit(config, "linux.resources.pids", limits[_i].process_count);
}
END_TEST

START_TEST(filters_nothing_where_the_kernel_cannot)
{
    bvi_oci_config_facts facts = base_facts;

    facts.seccomp = false;
    bvi_auto_json bvi_json *config = make(&base_spec, &facts);
    ck_assert_ptr_null(at(config, "linux.seccomp"));
}
END_TEST

START_TEST(never_raises_a_limit)
{
    bvi_oci_config_facts facts = base_facts;

    facts.nofile_hard = UINT64_MAX; /* "unlimited" */
    bvi_auto_json bvi_json *config = make(&base_spec, &facts);
    assert_json(config, "process.rlimits.0.hard", "1048576");
}
END_TEST

START_TEST(survives_every_failed_allocation)
{
    bvt_for_each_failed_allocation(n) {
        bvi_json *config = NULL;
        int r = bvi_oci_config_make(&base_spec, &base_facts, &config, NULL);

        ck_assert(r == 0 || r == BV_E_NOMEM);
        bvi_json_free(config);
    }
}
END_TEST

BVT_MAIN("runtime/oci_config", bvt_loop(says_what_is_expected, expected),
         bvt_test(mounts_ram_disks_last), bvt_test(has_its_own_network_only_when_asked),
         bvt_loop(limits_resources, limits), bvt_test(filters_nothing_where_the_kernel_cannot),
         bvt_test(never_raises_a_limit), bvt_test(survives_every_failed_allocation))
