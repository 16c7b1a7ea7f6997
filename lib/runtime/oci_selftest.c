/*
 * oci_selftest.c - whether a runtime works here, found out by using it; and remembering that it
 * does.
 *
 * A version number says little: what counts is the kernel, the control groups and the rights of
 * this host. The test is a container with everything nodes get: overlay or copied root, a bind,
 * limits, own network.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "runtime/oci_box.h"
#include "sys/fs.h"

#define CACHE_MAX      65536u
#define SELF_TEST_INIT "/babel_init"

static int stamp_of(const bvi_oci_env *env, const bvi_oci_runtime *rt, char **ret_stamp,
                    bv_error **err)
{
    bvi_auto_free char *boot = NULL;
    int64_t runtime_us = 0;
    int64_t init_us = 0;
    size_t len = 0;
    int r = bvi_fs_mtime_us(rt->path, &runtime_us, err);

    if (r == 0)
        r = bvi_fs_mtime_us(env->init_path, &init_us, err);
    if (r == 0)
        r = bvi_fs_read("/proc/sys/kernel/random/boot_id", 128, &boot, &len, err);
    if (r < 0)
        return r;
    *ret_stamp = bvi_asprintf("%lld %s %lld %.36s", (long long)runtime_us, env->init_path,
                              (long long)init_us, boot);
    return *ret_stamp ? 0 : bvi_fail_nomem(err);
}

static int self_test_in(const bvi_oci_env *env, const bvi_oci_runtime *rt, const char *dir,
                        bv_error **err)
{
    const char *const argv[] = { SELF_TEST_INIT, "--self-test", NULL };
    const char *const environment[] = { "PATH=/", NULL };
    const bvi_bind bind = { .source = env->init_path,
                            .destination = SELF_TEST_INIT,
                            .read_only = true };
    bvi_auto_free char *id =
        bvi_asprintf("bv-self-test-%s-%d", bvi_oci_runtime_name(rt), (int)getpid());
    bvi_auto_free char *image = bvi_path_join(dir, "image", NULL);
    bvi_auto_free char *node = bvi_path_join(dir, "node", NULL);
    bvi_auto_free char *root = bvi_path_join(dir, "node", "rootfs", NULL);
    const bvi_container_spec spec = {
        .id = id,
        .hostname = "self-test",
        .image_root = image,
        .node_dir = node,
        .root_dir = root,
        .binds = &bind,
        .bind_count = 1,
        .argv = argv,
        .env = environment,
        .network = BVI_NETWORK_NONE,
        .memory_bytes = 64u * 1024u * 1024u,
        .cpus = 1,
        .pids = 64,
    };
    int r;

    if (!id || !image || !node || !root)
        return bvi_fail_nomem(err);
    r = bvi_fs_mkdir(image, 0755, err);
    if (r == 0)
        r = bvi_oci_box_run(env, rt, &spec, err);
    if (r < 0)
        (void)bvi_oci_box_remove(env, &spec, NULL); /* the failure that counts is known */
    else
        r = bvi_oci_box_remove(env, &spec, err);
    return r;
}

/* Only a hint: a cache that cannot be read or written costs one more self-test. */
static bool is_cached(const char *path, const char *program, const char *stamp)
{
    bvi_auto_json bvi_json *cache = NULL;
    const char *known = NULL;

    if (bvi_fs_read_json(path, CACHE_MAX, &cache, NULL) == 0)
        known = bvi_json_string(bvi_json_find(cache, program));
    return known && strcmp(known, stamp) == 0;
}

static void cache(const char *path, const char *program, const char *stamp)
{
    bvi_auto_json bvi_json *entries = NULL;

    if (bvi_fs_read_json(path, CACHE_MAX, &entries, NULL) < 0 ||
        bvi_json_type_of(entries) != BVI_JSON_OBJECT) {
        bvi_json_free(entries);
        entries = bvi_json_new_object();
    }
    if (entries && bvi_json_put_string(entries, program, stamp) == 0)
        (void)bvi_fs_replace_json(path, entries, 0600, NULL); /* see above */
}

int bvi_oci_box_self_test(const bvi_oci_env *env, const bvi_oci_runtime *rt, bv_error **err)
{
    bvi_auto_free char *cache_path = bvi_path_join(env->state_dir, "self-test.json", NULL);
    bvi_auto_free char *dir =
        bvi_asprintf("%s/self-test-%s-%d", env->state_dir, bvi_oci_runtime_name(rt), (int)getpid());
    bvi_auto_free char *stamp = NULL;
    int r;

    if (!cache_path || !dir)
        return bvi_fail_nomem(err);
    if (access(env->init_path, X_OK) < 0)
        return bvi_fail_sys(err, errno, "cannot use the first process of containers '%s'",
                            env->init_path);
    r = stamp_of(env, rt, &stamp, err);
    if (r < 0)
        return r;
    if (is_cached(cache_path, rt->path, stamp))
        return 0;
    r = self_test_in(env, rt, dir, err);
    (void)bvi_fs_remove_tree(dir, NULL); /* a leftover is small and in the way of nobody */
    if (r == 0)
        cache(cache_path, rt->path, stamp);
    return r;
}
