/*
 * host.c - host facts from uname, os-release and /proc.
 */
#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "sys/fs.h"
#include "sys/host.h"

#define PROC_FILE_MAX (1024u * 1024u)

static void copy_text(char *to, const char *from)
{
    (void)snprintf(to, BVI_HOST_TEXT_MAX, "%s", from); /* cut when longer */
}

/* Finds the line that begins with key; NULL when there is none. */
static const char *find_line(const char *text, const char *key)
{
    size_t len = strlen(key);

    while (text) {
        if (strncmp(text, key, len) == 0)
            return text + len;
        text = strchr(text, '\n');
        text = text ? text + 1 : NULL;
    }
    return NULL;
}

bool bvi_os_release_value(const char *text, const char *key, char *value, size_t size)
{
    const char *at = text;
    size_t len = 0;
    char quote = 0;

    do {
        at = find_line(at, key);
    } while (at && *at != '=');
    if (!at)
        return false;
    at++;
    if (*at == '"' || *at == '\'')
        quote = *at++;
    for (; *at && *at != '\n' && (quote ? *at != quote : *at != ' ') && len + 1 < size; at++) {
        if (*at == '\\' && at[1] && at[1] != '\n')
            at++;
        value[len++] = *at;
    }
    value[len] = '\0';
    return true;
}

/* A number in /proc/meminfo, which counts in KiB. */
static uint64_t meminfo_bytes(const char *text, const char *key)
{
    const char *at = find_line(text, key);

    return at ? strtoull(at, NULL, 10) * 1024u : 0;
}

static int read_proc(const char *path, char **ret_text, bv_error **err)
{
    size_t len = 0;

    return bvi_fs_read(path, PROC_FILE_MAX, ret_text, &len, err);
}

static uint32_t count_cpus(void)
{
    cpu_set_t set;
    long n;

    if (sched_getaffinity(0, sizeof(set), &set) == 0)
        return (uint32_t)CPU_COUNT(&set);
    n = sysconf(_SC_NPROCESSORS_ONLN);
    return n > 0 ? (uint32_t)n : 1;
}

static void read_os(bvi_host_facts *facts)
{
    bvi_auto_free char *text = NULL;

    copy_text(facts->os, "Linux");
    if (read_proc("/etc/os-release", &text, NULL) < 0 &&
        read_proc("/usr/lib/os-release", &text, NULL) < 0)
        return;
    (void)bvi_os_release_value(text, "NAME", facts->os,
                               sizeof(facts->os)); /* else the default stays */
    (void)bvi_os_release_value(text, "VERSION_ID", facts->os_version, sizeof(facts->os_version));
}

int bvi_host_facts_get(bvi_host_facts *ret_facts, bv_error **err)
{
    bvi_auto_free char *meminfo = NULL;
    bvi_host_facts facts = { 0 };
    struct utsname name;
    int r;

    if (uname(&name) < 0)
        return bvi_fail_sys(err, errno, "cannot ask for the host's name");
    r = read_proc("/proc/meminfo", &meminfo, err);
    if (r < 0)
        return bvi_wrap(err, r, "cannot ask for the host's memory");
    copy_text(facts.hostname, name.nodename);
    copy_text(facts.kernel, name.release);
    copy_text(facts.machine, name.machine);
    read_os(&facts);
    facts.cpus = count_cpus();
    facts.memory_bytes = meminfo_bytes(meminfo, "MemTotal:");
    *ret_facts = facts;
    return 0;
}

/* "cpu  user nice system idle iowait irq softirq steal": idle and iowait are the fourth and fifth.
 */
static void read_cpu(const char *text, bvi_host_usage *usage)
{
    uint64_t tick_us = 1000000u / (uint64_t)sysconf(_SC_CLK_TCK);
    const char *at = find_line(text, "cpu ");

    for (unsigned i = 0; at && i < 8; i++) {
        char *end = NULL;
        uint64_t us = strtoull(at, &end, 10) * tick_us;

        if (end == at)
            return;
        usage->cpu_total_us += us;
        if (i != 3 && i != 4)
            usage->cpu_busy_us += us;
        at = end;
    }
}

/* "  eth0: received ... (8 fields) sent ...". */
static void read_net(char *text, bvi_host_usage *usage)
{
    char *save = NULL;

    for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        char *colon = strchr(line, ':');
        uint64_t received = 0;
        uint64_t sent = 0;

        if (!colon || strncmp(line + strspn(line, " "), "lo:", 3) == 0)
            continue;
        if (sscanf(colon + 1, "%" SCNu64 " %*s %*s %*s %*s %*s %*s %*s %" SCNu64, &received,
                   &sent) != 2)
            continue;
        usage->net_received_bytes += received;
        usage->net_sent_bytes += sent;
    }
}

int bvi_host_usage_get(bvi_host_usage *ret_usage, bv_error **err)
{
    static const char *const paths[] = { "/proc/meminfo", "/proc/loadavg", "/proc/uptime",
                                         "/proc/stat", "/proc/net/dev" };
    enum { MEMINFO, LOADAVG, UPTIME, STAT, NETDEV };
    bvi_auto_free char *t0 = NULL;
    bvi_auto_free char *t1 = NULL;
    bvi_auto_free char *t2 = NULL;
    bvi_auto_free char *t3 = NULL;
    bvi_auto_free char *t4 = NULL;
    char **texts[] = { &t0, &t1, &t2, &t3, &t4 };
    bvi_host_usage usage = { 0 };

    for (size_t i = 0; i < BVI_COUNT(paths); i++) {
        int r = read_proc(paths[i], texts[i], err);

        if (r < 0)
            return bvi_wrap(err, r, "cannot ask for the host's load");
    }
    usage.memory_available_bytes = meminfo_bytes(*texts[MEMINFO], "MemAvailable:");
    usage.swap_total_bytes = meminfo_bytes(*texts[MEMINFO], "SwapTotal:");
    usage.swap_free_bytes = meminfo_bytes(*texts[MEMINFO], "SwapFree:");
    if (sscanf(*texts[LOADAVG], "%lf %lf %lf", &usage.load1, &usage.load5, &usage.load15) != 3)
        return bvi_fail(err, BV_E_FORMAT, "cannot understand '%s'", paths[LOADAVG]);
    usage.uptime_s = strtoull(*texts[UPTIME], NULL, 10);
    read_cpu(*texts[STAT], &usage);
    read_net(*texts[NETDEV], &usage);
    *ret_usage = usage;
    return 0;
}
