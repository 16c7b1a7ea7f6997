/*
 * load_beneath.c - other templates from one directory, for the agent and the public interface.
 */
#include "sys/fs.h"
#include "template/template.h"

int bvi_template_load_beneath(int dir_fd, const char *name, char **ret_text, size_t *ret_len,
                              bv_error **err)
{
    int r = bvi_fs_read_beneath(dir_fd, name, BVI_TEMPLATE_BYTES_MAX, ret_text, ret_len, err);

    return r < 0 ? bvi_wrap(err, r, "cannot load the template '%s'", name) : 0;
}
