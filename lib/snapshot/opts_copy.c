/*
 * opts_copy.c - options that outlive the call they were given to.
 */
#include <string.h>

#include "snapshot/opts_copy.h"

void bvi_opts_copy_init(bvi_opts_copy *copy)
{
    *copy = (bvi_opts_copy){ BVI_VEC_INIT(BVI_OPTS_TEXTS_MAX), BVI_VEC_INIT(BVI_OPTS_TEXTS_MAX) };
}

void bvi_opts_copy_done(bvi_opts_copy *copy)
{
    for (size_t i = 0; i < copy->lists.len; i++)
        bvi_free(copy->lists.items[i]);
    bvi_vec_done(&copy->lists);
    bvi_strv_done(&copy->texts);
}

int bvi_opts_take(void *to, size_t size, const void *from, size_t least, bv_error **err)
{
    size_t given = from ? *(const size_t *)from : 0; /* the first member of all of them */

    if (given < least)
        return bvi_fail(err, BV_E_INVALID, "the options' size is not set");
    memset(to, 0, size);
    memcpy(to, from, given < size ? given : size);
    return 0;
}

static int fail(int r, bv_error **err)
{
    if (r == BV_E_LIMIT)
        return bvi_fail(err, BV_E_LIMIT, "options have more than %u texts", BVI_OPTS_TEXTS_MAX);
    return r < 0 ? bvi_fail_nomem(err) : 0;
}

int bvi_opts_copy_text(bvi_opts_copy *copy, const char **text, bv_error **err)
{
    int r = *text ? bvi_strv_add(&copy->texts, *text) : 0;

    if (*text && r == 0)
        *text = copy->texts.items[copy->texts.len - 1];
    return fail(r, err);
}

int bvi_opts_copy_list(bvi_opts_copy *copy, const char *const **list, bv_error **err)
{
    const char ***slot;
    size_t count = 0;
    int r = 0;

    if (!*list)
        return 0;
    while ((*list)[count])
        count++;
    slot = bvi_vec_push(&copy->lists);
    if (!slot)
        return bvi_fail_nomem(err);
    *slot = bvi_new_array(const char *, count + 1);
    if (!*slot)
        return bvi_fail_nomem(err);
    for (size_t i = 0; r == 0 && i < count; i++) {
        (*slot)[i] = (*list)[i];
        r = bvi_opts_copy_text(copy, &(*slot)[i], err);
    }
    *list = *slot;
    return r;
}
