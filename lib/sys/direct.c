/*
 * direct.c - see direct.h. Used by what unpacks chunks.
 */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "sys/direct.h"

static int write_all(int fd, const uint8_t *bytes, size_t len, uint64_t pos)
{
    while (len > 0) {
        ssize_t n = pwrite(fd, bytes, len, (off_t)pos);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        bytes += n;
        len -= (size_t)n;
        pos += (uint64_t)n;
    }
    return 0;
}

static bool turn(bvi_direct *state, int fd, bool on)
{
    int flags;

    if (state->on == on)
        return true;
    flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fcntl(fd, F_SETFL, on ? flags | O_DIRECT : flags & ~O_DIRECT) < 0)
        return false;
    state->on = on;
    return true;
}

/* Whole blocks. What a direct write cannot take after all, the cache does. */
static int write_blocks(bvi_direct *state, int fd, const uint8_t *bytes, size_t len, uint64_t pos)
{
    size_t done = 0;

    state->refused = !turn(state, fd, true);
    while (!state->refused && done < len) {
        ssize_t n = pwrite(fd, bytes + done, len - done, (off_t)(pos + done));
        int errnum = n < 0 ? errno : 0;

        if (errnum == EINTR)
            continue;
        if (n < 0 && errnum != EINVAL) {
            (void)turn(state, fd, false); /* nothing more is written after a failure */
            return -errnum;
        }
        /* A write that was cut short would go on in the middle of a block. */
        state->refused = n <= 0 || n % BVI_DIRECT_ALIGN != 0;
        done += n > 0 ? (size_t)n : 0;
    }
    if (!turn(state, fd, false))
        return -EIO;
    return write_all(fd, bytes + done, len - done, pos + done);
}

int bvi_direct_write(bvi_direct *state, int fd, const void *bytes, size_t len, uint64_t pos)
{
    const uint8_t *at = bytes;
    size_t head = (size_t)(-pos % BVI_DIRECT_ALIGN);
    size_t blocks;
    int r;

    if (state->refused || ((uintptr_t)at - pos) % BVI_DIRECT_ALIGN != 0 || len < head ||
        len - head < BVI_DIRECT_MIN)
        return write_all(fd, at, len, pos);
    blocks = (len - head) / BVI_DIRECT_ALIGN * BVI_DIRECT_ALIGN;
    r = write_all(fd, at, head, pos);
    if (r == 0)
        r = write_blocks(state, fd, at + head, blocks, pos + head);
    if (r == 0)
        r = write_all(fd, at + head + blocks, len - head - blocks, pos + head + blocks);
    return r;
}

uint8_t *bvi_direct_place(void *memory, uint64_t pos)
{
    uint8_t *bytes = memory;

    return bytes + (size_t)((pos - (uintptr_t)bytes) % BVI_DIRECT_ALIGN);
}
