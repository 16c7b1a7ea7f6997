/*
 * host.h - facts about this host: its name, system, processors, memory, disk and load. Blocking;
 * any thread.
 */
#ifndef BVI_SYS_HOST_H
#define BVI_SYS_HOST_H

#include "base/error.h"

#define BVI_HOST_TEXT_MAX 256u

/* What does not change while a program runs. */
typedef struct bvi_host_facts {
    char hostname[BVI_HOST_TEXT_MAX];
    char os[BVI_HOST_TEXT_MAX]; /* NAME of os-release, "Debian GNU/Linux"; "Linux" when unknown */
    char os_version[BVI_HOST_TEXT_MAX]; /* VERSION_ID of os-release, "12"; "" when unknown */
    char kernel[BVI_HOST_TEXT_MAX];     /* uname -r */
    char machine[BVI_HOST_TEXT_MAX];    /* uname -m */
    uint32_t cpus;                      /* this process may use */
    uint64_t memory_bytes;
} bvi_host_facts;

/* What does. */
typedef struct bvi_host_usage {
    uint64_t memory_available_bytes;
    uint64_t swap_total_bytes;
    uint64_t swap_free_bytes;
    double load1, load5, load15;
    uint64_t uptime_s;
    uint64_t cpu_busy_us; /* since boot, all processors; a difference of two gives the use */
    uint64_t cpu_total_us;
    uint64_t net_received_bytes; /* since boot, all interfaces but loopback */
    uint64_t net_sent_bytes;
} bvi_host_usage;

int bvi_host_facts_get(bvi_host_facts *ret_facts, bv_error **err);
int bvi_host_usage_get(bvi_host_usage *ret_usage, bv_error **err);

/* The value of one key of an os-release text, quotes removed; false when it is not there. */
bool bvi_os_release_value(const char *text, const char *key, char *value, size_t size);

#endif
