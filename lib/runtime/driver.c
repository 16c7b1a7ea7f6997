/*
 * driver.c - what all container drivers share: freeing one, and checking and copying the spec of a
 * container.
 *
 * A spec is borrowed for the call that takes it while the work goes on afterwards, so a driver
 * works on a copy.
 */
#include <string.h>

#include "base/id.h"
#include "runtime/driver.h"

/* Far above what a node needs; keeps a mistaken caller from making a config.json nobody can read.
 */
#define SPEC_STRINGS_MAX 4096u
#define SPEC_BINDS_MAX   256u
#define SPEC_TMPFS_MAX   64u

void bvi_driver_free(bvi_driver *driver)
{
    if (driver)
        driver->vtable->free(driver);
}

/* An absolute path without empty, "." and ".." parts, and not the root itself. */
static bool is_plain_path(const char *path)
{
    if (!path || path[0] != '/' || !path[1])
        return false;
    for (const char *part = path; *part;) {
        size_t len = strcspn(++part, "/");

        if (len == 0 || (len <= 2 && strncmp(part, "..", len) == 0))
            return false;
        part += len;
    }
    return true;
}

static int check_binds(const bvi_container_spec *spec, bv_error **err)
{
    if (spec->bind_count > SPEC_BINDS_MAX)
        return bvi_fail(err, BV_E_LIMIT, "more than %u binds", SPEC_BINDS_MAX);
    for (size_t i = 0; i < spec->bind_count; i++) {
        const bvi_bind *bind = &spec->binds[i];

        if (!bind->source || bind->source[0] != '/')
            return bvi_fail(err, BV_E_INVALID, "bind source '%s' is not an absolute path",
                            bind->source ? bind->source : "");
        if (!is_plain_path(bind->destination))
            return bvi_fail(err, BV_E_INVALID,
                            "bind destination '%s' is not a plain absolute path in the node",
                            bind->destination ? bind->destination : "");
    }
    return 0;
}

/* Whether a mount at the one place makes the other invisible. */
static bool hides(const char *mount, const char *path)
{
    size_t len = strlen(mount);

    return strncmp(mount, path, len) == 0 && (path[len] == '\0' || path[len] == '/');
}

static int check_tmpfs(const bvi_container_spec *spec, bv_error **err)
{
    static const char *const kept[] = { "/proc", "/sys", "/dev" };

    if (spec->tmpfs_count > SPEC_TMPFS_MAX)
        return bvi_fail(err, BV_E_LIMIT, "more than %u RAM disks", SPEC_TMPFS_MAX);
    for (size_t i = 0; i < spec->tmpfs_count; i++) {
        const char *path = spec->tmpfs[i].destination;

        if (!is_plain_path(path) || spec->tmpfs[i].size_mb == 0)
            return bvi_fail(err, BV_E_INVALID,
                            "RAM disk '%s': wanted is a plain absolute path in the node and a size",
                            path ? path : "");
        for (size_t k = 0; k < BVI_COUNT(kept) + spec->bind_count; k++) {
            const char *other =
                k < BVI_COUNT(kept) ? kept[k] : spec->binds[k - BVI_COUNT(kept)].destination;

            if (hides(path, other))
                return bvi_fail(err, BV_E_INVALID, "RAM disk '%s' would hide '%s'", path, other);
        }
    }
    return 0;
}

static int check_program(const bvi_container_spec *spec, bv_error **err)
{
    if (!spec->argv || !spec->argv[0] || !spec->argv[0][0])
        return bvi_fail(err, BV_E_INVALID, "no first process is given");
    for (size_t i = 0; spec->env && spec->env[i]; i++) {
        if (!strchr(spec->env[i], '=') || spec->env[i][0] == '=')
            return bvi_fail(err, BV_E_INVALID, "environment entry '%s' is not KEY=value",
                            spec->env[i]);
    }
    return 0;
}

int bvi_container_spec_check(const bvi_container_spec *spec, bool to_run, bv_error **err)
{
    int r;

    /* The id becomes a directory, a cgroup and an argument of the runtime. */
    if (!spec->id || !bvi_name_valid(spec->id, 128))
        return bvi_fail(err, BV_E_INVALID, "container id '%s' is not valid",
                        spec->id ? spec->id : "");
    if (!is_plain_path(spec->node_dir) || !is_plain_path(spec->root_dir))
        return bvi_fail(err, BV_E_INVALID,
                        "container '%s': node and root directories must be plain absolute paths",
                        spec->id);
    if (!to_run)
        return 0;
    if (!spec->image_root || spec->image_root[0] != '/')
        return bvi_fail(err, BV_E_INVALID,
                        "container '%s': the image root must be an absolute path", spec->id);
    r = check_program(spec, err);
    if (r == 0)
        r = check_binds(spec, err);
    if (r == 0)
        r = check_tmpfs(spec, err);
    return r < 0 ? bvi_wrap(err, r, "container '%s'", spec->id) : 0;
}

static void free_strings(const char *const *strings)
{
    for (size_t i = 0; strings && strings[i]; i++)
        bvi_free((void *)strings[i]);
    bvi_free((void *)strings);
}

void bvi_container_spec_free(bvi_container_spec *copy)
{
    if (!copy)
        return;
    bvi_free((void *)copy->id);
    bvi_free((void *)copy->hostname);
    bvi_free((void *)copy->image_root);
    bvi_free((void *)copy->node_dir);
    bvi_free((void *)copy->root_dir);
    for (size_t i = 0; copy->binds && i < copy->bind_count; i++) {
        bvi_free((void *)copy->binds[i].source);
        bvi_free((void *)copy->binds[i].destination);
    }
    bvi_free((void *)copy->binds);
    for (size_t i = 0; copy->tmpfs && i < copy->tmpfs_count; i++)
        bvi_free((void *)copy->tmpfs[i].destination);
    bvi_free((void *)copy->tmpfs);
    free_strings(copy->argv);
    free_strings(copy->env);
    bvi_free(copy);
}

/* Missing text stays missing; out of memory is reported through ok, so that callers check once. */
static const char *copy_text(const char *text, bool *ok)
{
    char *copy = bvi_strdup(text);

    if (text && !copy)
        *ok = false;
    return copy;
}

static const char *const *copy_strings(const char *const *strings, bool *ok)
{
    const char **copy;
    size_t count = 0;

    while (strings && strings[count])
        count++;
    copy = count <= SPEC_STRINGS_MAX ? bvi_new_array(const char *, count + 1) : NULL;
    if (!copy) {
        *ok = false;
        return NULL;
    }
    for (size_t i = 0; i < count && *ok; i++)
        copy[i] = copy_text(strings[i], ok);
    return copy;
}

static const bvi_bind *copy_binds(const bvi_bind *binds, size_t count, bool *ok)
{
    bvi_bind *copy = bvi_new_array(bvi_bind, count ? count : 1);

    if (!copy) {
        *ok = false;
        return NULL;
    }
    for (size_t i = 0; i < count; i++) {
        copy[i].source = copy_text(binds[i].source, ok);
        copy[i].destination = copy_text(binds[i].destination, ok);
        copy[i].read_only = binds[i].read_only;
    }
    return copy;
}

static const bvi_tmpfs *copy_tmpfs(const bvi_tmpfs *tmpfs, size_t count, bool *ok)
{
    bvi_tmpfs *copy = bvi_new_array(bvi_tmpfs, count ? count : 1);

    if (!copy) {
        *ok = false;
        return NULL;
    }
    for (size_t i = 0; i < count; i++) {
        copy[i].destination = copy_text(tmpfs[i].destination, ok);
        copy[i].size_mb = tmpfs[i].size_mb;
    }
    return copy;
}

int bvi_container_spec_copy(const bvi_container_spec *spec, bvi_container_spec **ret_copy,
                            bv_error **err)
{
    BVI_AUTO(bvi_container_spec_freep) bvi_container_spec *copy = bvi_new0(bvi_container_spec);
    bool ok = true;

    if (!copy)
        return bvi_fail_nomem(err);
    copy->network = spec->network;
    copy->memory_bytes = spec->memory_bytes;
    copy->cpus = spec->cpus;
    copy->pids = spec->pids;
    copy->id = copy_text(spec->id, &ok);
    copy->hostname = copy_text(spec->hostname, &ok);
    copy->image_root = copy_text(spec->image_root, &ok);
    copy->node_dir = copy_text(spec->node_dir, &ok);
    copy->root_dir = copy_text(spec->root_dir, &ok);
    copy->argv = copy_strings(spec->argv, &ok);
    copy->env = copy_strings(spec->env, &ok);
    copy->bind_count = spec->bind_count;
    copy->binds = copy_binds(spec->binds, spec->bind_count, &ok);
    copy->tmpfs_count = spec->tmpfs_count;
    copy->tmpfs = copy_tmpfs(spec->tmpfs, spec->tmpfs_count, &ok);
    if (!ok)
        return bvi_fail_nomem(err);
    *ret_copy = bvi_take(copy);
    return 0;
}
