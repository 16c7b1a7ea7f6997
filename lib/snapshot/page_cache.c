/*
 * page_cache.c - see page_cache.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "snapshot/page_cache.h"

void bvi_page_cache_init(bvi_page_cache *cache)
{
    *cache = (bvi_page_cache){ .fd = -1, .slots = BVI_VEC_INIT(BVI_SNAP_PAGES_MAX) };
}

void bvi_page_cache_done(bvi_page_cache *cache)
{
    bvi_closep(&cache->fd);
    bvi_vec_done(&cache->slots);
    bvi_page_cache_init(cache);
}

/* For file systems without O_TMPFILE. */
static int open_unlinked(const char *dir)
{
    bvi_auto_free char *path = bvi_asprintf("%s/.pages-XXXXXX", dir);
    int fd = -1;

    if (!path) {
        errno = ENOMEM;
        return -1;
    }
    fd = mkostemp(path, O_CLOEXEC);
    if (fd >= 0)
        (void)unlink(path); /* a leftover takes room, no more */
    return fd;
}

int bvi_page_cache_open(bvi_page_cache *cache, const char *dir, bv_error **err)
{
    cache->fd = open(dir, O_RDWR | O_TMPFILE | O_CLOEXEC, 0600);
    if (cache->fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR || errno == ENOENT))
        cache->fd = open_unlinked(dir);
    return cache->fd < 0 ? bvi_fail_sys(err, errno, "cannot make a file in '%s'", dir) : 0;
}

int bvi_page_cache_add(bvi_page_cache *cache, uint32_t len, bvi_page_slot *ret_slot, bv_error **err)
{
    bvi_page_slot *slot = bvi_vec_push(&cache->slots);

    if (!slot)
        return cache->slots.len >= BVI_SNAP_PAGES_MAX
                   ? bvi_fail(err, BV_E_LIMIT, "more than %u pages", BVI_SNAP_PAGES_MAX)
                   : bvi_fail_nomem(err);
    *slot = (bvi_page_slot){ .offset = cache->end, .len = len };
    cache->end += len;
    *ret_slot = *slot;
    return 0;
}

int bvi_page_cache_write(int fd, bvi_page_slot slot, const void *bytes, bv_error **err)
{
    const char *from = bytes;
    size_t done = 0;

    while (done < slot.len) {
        ssize_t n = pwrite(fd, from + done, slot.len - done, (off_t)(slot.offset + done));

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return bvi_fail_sys(err, errno, "cannot keep a page in the state directory");
        done += (size_t)n;
    }
    return 0;
}

int bvi_page_cache_read(const bvi_page_cache *cache, size_t index, bvi_page *ret_page,
                        bv_error **err)
{
    const bvi_page_slot slot = cache->slots.items[index];
    bvi_auto_free uint8_t *bytes = bvi_malloc(slot.len ? slot.len : 1);
    size_t done = 0;
    int r;

    if (!bytes)
        return bvi_fail_nomem(err);
    while (done < slot.len) {
        ssize_t n = pread(cache->fd, bytes + done, slot.len - done, (off_t)(slot.offset + done));

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return bvi_fail_sys(err, n < 0 ? errno : EIO, "cannot read a page that was kept");
        done += (size_t)n;
    }
    r = bvi_page_open(ret_page, bytes, slot.len, err);
    if (r == 0)
        (void)bvi_take(bytes); /* the page has it now */
    return r;
}
