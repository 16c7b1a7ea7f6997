/*
 * path.c - rules for the relative paths inside an archive.
 *
 * Paths come from manifests, which are untrusted, so what is not plainly a file below the
 * destination is refused here, before openat2() refuses it once more. Pure; any thread.
 */
#include <string.h>

#include "transfer/manifest.h"
#include "transfer/path.h"

static int component_check(const char *path, size_t len, bv_error **err, const char *at)
{
    if (len == 0)
        return bvi_fail(err, BV_E_FORMAT, "path '%s' has an empty component", path);
    if (len > BVI_TARGET_NAME_MAX)
        return bvi_fail(err, BV_E_LIMIT, "path '%s' has a component longer than %u bytes", path,
                        BVI_TARGET_NAME_MAX);
    if (len == 1 && at[0] == '.')
        return bvi_fail(err, BV_E_FORMAT, "path '%s' has a '.' component", path);
    if (len == 2 && at[0] == '.' && at[1] == '.')
        return bvi_fail(err, BV_E_FORMAT, "path '%s' leaves the destination through '..'", path);
    return 0;
}

int bvi_target_path_check(const char *path, bv_error **err)
{
    const char *at = path;

    if (!*path)
        return bvi_fail(err, BV_E_FORMAT, "path is empty");
    if (*path == '/')
        return bvi_fail(err, BV_E_FORMAT, "path '%s' is absolute", path);
    if (strlen(path) > BVI_TARGET_PATH_MAX)
        return bvi_fail(err, BV_E_LIMIT, "path is longer than %u bytes", BVI_TARGET_PATH_MAX);
    for (;;) {
        size_t len = strcspn(at, "/");
        int r = component_check(path, len, err, at);

        if (r < 0)
            return r;
        if (!at[len])
            return 0;
        at += len + 1;
    }
}

/* The end of a path sorts before '/', and '/' before every other byte. */
static int rank(char c)
{
    if (c == '\0')
        return -2;
    return c == '/' ? -1 : (int)(unsigned char)c;
}

int bvi_target_path_compare(const char *a, const char *b)
{
    while (*a && *a == *b) {
        a++;
        b++;
    }
    return rank(*a) - rank(*b);
}

bool bvi_target_path_is_below(const char *path, const char *dir)
{
    size_t len = strlen(dir);

    return strncmp(path, dir, len) == 0 && path[len] == '/';
}
