/*
 * fs_json.c - state files: JSON documents read with a maximum and replaced durably.
 */
#include <string.h>

#include "sys/fs.h"

int bvi_fs_read_json(const char *path, size_t max, bvi_json **ret_root, bv_error **err)
{
    bvi_auto_free char *text = NULL;
    size_t len = 0;
    int r = bvi_fs_read(path, max, &text, &len, err);

    if (r < 0)
        return r;
    r = bvi_json_parse(text, len, ret_root, err);
    return r < 0 ? bvi_wrap(err, r, "file '%s'", path) : 0;
}

int bvi_fs_replace_json(const char *path, const bvi_json *root, mode_t mode, bv_error **err)
{
    bvi_auto_free char *text = NULL;
    bvi_auto_free char *file = NULL;
    int r = bvi_json_print(root, true, &text, err);

    if (r < 0)
        return bvi_wrap(err, r, "cannot write '%s'", path);
    file = bvi_asprintf("%s\n", text);
    if (!file)
        return bvi_fail_nomem(err);
    return bvi_fs_replace(path, file, strlen(file), mode, err);
}
