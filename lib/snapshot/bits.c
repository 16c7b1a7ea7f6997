/*
 * bits.c - see bits.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "snapshot/bits.h"
#include "sys/fs.h"

#define BITS_MAGIC "BVSB\1\0\0\0"

/* Written by and for one machine; another byte order does not match the magic's neighbours. */
typedef struct file_header {
    char magic[8];
    bvi_bits_header header;
} file_header;

void bvi_bits_init(bvi_bits *bits)
{
    *bits = (bvi_bits){ .fd = -1 };
}

void bvi_bits_done(bvi_bits *bits)
{
    if (bits->map)
        (void)munmap(bits->map, bits->map_len); /* cannot fail for a mapping of ours */
    bvi_closep(&bits->fd);
    bvi_bits_init(bits);
}

static bool read_header(int fd, bvi_bits_header *ret_header)
{
    file_header h;

    if (pread(fd, &h, sizeof(h), 0) != (ssize_t)sizeof(h) ||
        memcmp(h.magic, BITS_MAGIC, sizeof(h.magic)) != 0)
        return false;
    h.header.settings[sizeof(h.header.settings) - 1] = '\0';
    *ret_header = h.header;
    return true;
}

bool bvi_bits_peek(const char *path, bvi_bits_header *ret_header)
{
    bvi_auto_close int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);

    return fd >= 0 && read_header(fd, ret_header);
}

static bool same(const bvi_bits_header *a, const bvi_bits_header *b)
{
    return a->version == b->version && a->count == b->count &&
           bvi_hash256_equal(&a->root, &b->root) && strcmp(a->settings, b->settings) == 0;
}

static bool is_ours(const bvi_bits *bits, const bvi_bits_header *header)
{
    bvi_bits_header there;
    struct stat st;

    return read_header(bits->fd, &there) && same(&there, header) && fstat(bits->fd, &st) == 0 &&
           (uint64_t)st.st_size == bits->map_len;
}

/* The header comes last, so that a crash in between leaves nothing that could be believed. */
static int start_anew(bvi_bits *bits, const bvi_bits_header *header)
{
    file_header h = { .header = *header };
    int r;

    memcpy(h.magic, BITS_MAGIC, sizeof(h.magic));
    if (ftruncate(bits->fd, 0) < 0)
        return -errno;
    /* Really there: a hole of a mapped file that finds no room when it is written to ends the
     * process. */
    r = posix_fallocate(bits->fd, 0, (off_t)bits->map_len);
    if (r > 0)
        return -r;
    if (fdatasync(bits->fd) < 0)
        return -errno;
    r = bvi_fs_pwrite_all(bits->fd, &h, sizeof(h), 0);
    return r == 0 && fdatasync(bits->fd) < 0 ? -errno : r;
}

int bvi_bits_open(bvi_bits *bits, const char *path, const bvi_bits_header *header, bool anew,
                  bv_error **err)
{
    bvi_bits_header clean = { .version = header->version,
                              .count = header->count,
                              .root = header->root };
    int r = 0;

    (void)memcpy(clean.settings, header->settings, sizeof(clean.settings));
    bits->count = header->count;
    bits->map_len = sizeof(file_header) + (size_t)(header->count / 8 + 1);
    bits->fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (bits->fd < 0)
        return bvi_fail_sys(err, errno, "cannot open '%s'", path);
    if (anew || !is_ours(bits, &clean))
        r = start_anew(bits, &clean);
    if (r == 0) {
        bits->map = mmap(NULL, bits->map_len, PROT_READ | PROT_WRITE, MAP_SHARED, bits->fd, 0);
        if (bits->map == MAP_FAILED) {
            bits->map = NULL;
            r = -errno;
        }
    }
    return r < 0 ? bvi_fail_sys(err, -r, "cannot set up '%s'", path) : 0;
}

static uint8_t *byte_of(const bvi_bits *bits, uint64_t index)
{
    return &bits->map[sizeof(file_header) + index / 8];
}

bool bvi_bits_get(const bvi_bits *bits, uint64_t index)
{
    return index < bits->count &&
           (__atomic_load_n(byte_of(bits, index), __ATOMIC_RELAXED) >> (index % 8) & 1);
}

void bvi_bits_set(bvi_bits *bits, uint64_t index)
{
    if (index < bits->count)
        (void)__atomic_fetch_or(byte_of(bits, index), (uint8_t)(1u << (index % 8)),
                                __ATOMIC_RELAXED);
}

bool bvi_bits_clear(bvi_bits *bits, uint64_t index)
{
    const uint8_t mask = (uint8_t)(1u << (index % 8));

    return index < bits->count &&
           (__atomic_fetch_and(byte_of(bits, index), (uint8_t)~mask, __ATOMIC_RELAXED) & mask);
}

int bvi_bits_sync(bvi_bits *bits, bv_error **err)
{
    if (bits->map && msync(bits->map, bits->map_len, MS_SYNC) < 0)
        return bvi_fail_sys(err, errno, "cannot write down which chunks are done");
    return 0;
}
