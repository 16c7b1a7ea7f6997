/*
 * ramdisk.c - the memory mounts a node asks for. Blocking; any thread.
 */
#include "agent/conf.h"
#include "sys/fs.h"
#include "sys/mounts.h"

static int is_mounted(const char *path, bool *ret_mounted, bv_error **err)
{
    *ret_mounted = false;
    return bvi_fs_exists(path) ? bvi_mount_is_mounted(path, ret_mounted, err) : 0;
}

int bvi_agent_ramdisks_mounted(const bvi_agent_conf *conf, const char *prefix, bool *ret_all,
                               bv_error **err)
{
    bool all = true;
    int r = 0;

    for (size_t i = 0; r >= 0 && i < conf->ramdisks.len; i++) {
        bvi_auto_free char *path =
            bvi_asprintf("%s%s", prefix, conf->ramdisks.items[i].mount_point);
        bool mounted = false;

        r = path ? is_mounted(path, &mounted, err) : bvi_fail_nomem(err);
        all = all && mounted;
    }
    if (r < 0)
        return bvi_wrap(err, r, "cannot tell whether the RAM disks are mounted");
    *ret_all = all;
    return 0;
}

static int mount_one(const char *path, uint64_t size_mb, bv_error **err)
{
    bool mounted = false;
    int r = is_mounted(path, &mounted, err);

    if (r < 0 || mounted)
        return r;
    r = bvi_fs_mkdir(path, 0755, err);
    return r < 0 ? r : bvi_mount_tmpfs(path, size_mb, err);
}

int bvi_agent_ramdisks_mount(const bvi_agent_conf *conf, const char *prefix, bv_error **err)
{
    int r = 0;

    for (size_t i = 0; r >= 0 && i < conf->ramdisks.len; i++) {
        const bvi_agent_ramdisk *disk = &conf->ramdisks.items[i];
        bvi_auto_free char *path = bvi_asprintf("%s%s", prefix, disk->mount_point);

        r = path ? mount_one(path, disk->size_mb, err) : bvi_fail_nomem(err);
        if (r < 0)
            return bvi_wrap(err, r, "cannot set up the RAM disk '%s' (%llu MB)", disk->mount_point,
                            (unsigned long long)disk->size_mb);
    }
    return r;
}
