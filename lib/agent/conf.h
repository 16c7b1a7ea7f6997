/*
 * conf.h - /etc/babel.conf: what the host told the agent at set-up, kept for the agent's next
 * start.
 */
#ifndef BVI_AGENT_CONF_H
#define BVI_AGENT_CONF_H

#include "agent/limits.h"
#include "base/json.h"
#include "base/vec.h"

#define BVI_AGENT_CONF_MAX (256u * 1024u)

typedef struct bvi_agent_ramdisk {
    char *mount_point; /* absolute, without a trailing slash */
    uint64_t size_mb;
} bvi_agent_ramdisk;

typedef struct bvi_agent_conf {
    bvi_json *root;               /* as received, fields we do not know included */
    const char *data_mount_point; /* borrowed from root, or the default */
    const char *protocol_data_path;
    BVI_VEC(bvi_agent_ramdisk) ramdisks;
} bvi_agent_conf;

#define BVI_AGENT_CONF_INIT                                                                        \
    {                                                                                              \
        .ramdisks = BVI_VEC_INIT(BVI_AGENT_RAMDISKS_MAX)                                           \
    }

/* Missing fields have defaults, unknown ones are kept; a field of a wrong type or a bad path is
 * BV_E_FORMAT. The conf is initialised and empty; unchanged on failure. */
int bvi_agent_conf_parse(bvi_agent_conf *conf, const char *text, size_t len, bv_error **err);
/* BV_E_NOT_FOUND when there is no file. Blocking. */
int bvi_agent_conf_load(bvi_agent_conf *conf, const char *path, bv_error **err);
int bvi_agent_conf_save(const bvi_agent_conf *conf, const char *path, bv_error **err);
void bvi_agent_conf_done(bvi_agent_conf *conf);

/* RAM disks; prefix as in paths.h. Blocking. Mounting leaves alone what is mounted already. */
int bvi_agent_ramdisks_mounted(const bvi_agent_conf *conf, const char *prefix, bool *ret_all,
                               bv_error **err);
int bvi_agent_ramdisks_mount(const bvi_agent_conf *conf, const char *prefix, bv_error **err);

#endif
