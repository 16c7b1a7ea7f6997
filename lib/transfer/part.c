/*
 * part.c - see part.h.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "transfer/part.h"

#define PREFIX "download."
#define SUFFIX ".part"

char *bvi_part_path(const char *dir, const bvi_chunk *chunk)
{
    static const char hex[] = "0123456789abcdef";
    const bvi_checksum *sum = &chunk->checksum;
    char digits[2 * BVI_CHECKSUM_BYTES_MAX + 1];
    size_t len = bvi_checksum_len(sum->kind);

    for (size_t i = 0; i < len; i++) {
        digits[2 * i] = hex[sum->bytes[i] >> 4];
        digits[2 * i + 1] = hex[sum->bytes[i] & 15];
    }
    digits[2 * len] = '\0';
    return bvi_asprintf("%s/" PREFIX "%u.%s" SUFFIX, dir, chunk->index, digits);
}

void bvi_part_remove(bvi_part *part)
{
    bvi_closep(&part->fd);
    part->size = 0;
    if (part->path)
        (void)unlink(part->path); /* the checksum finds out about what stays */
}

void bvi_part_open(bvi_part *part, uint64_t at, uint64_t chunk_size)
{
    struct stat st;

    part->fd = open(part->path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
    if (part->fd < 0)
        return;
    if (fstat(part->fd, &st) < 0 || !S_ISREG(st.st_mode) || (uint64_t)st.st_size < at ||
        (uint64_t)st.st_size > chunk_size ||
        (at > 0 && (uint64_t)st.st_size > at && ftruncate(part->fd, (off_t)at) < 0)) {
        bvi_part_remove(part);
        return;
    }
    part->size = at > 0 ? at : (uint64_t)st.st_size;
}

void bvi_part_append(bvi_part *part, const void *bytes, size_t len)
{
    const char *at = bytes;

    while (part->fd >= 0 && len > 0) {
        ssize_t n = pwrite(part->fd, at, len, (off_t)part->size);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            bvi_part_remove(part); /* the room is better used for the files themselves */
            return;
        }
        part->size += (uint64_t)n;
        at += n;
        len -= (size_t)n;
    }
}

void bvi_part_done(bvi_part *part)
{
    bvi_closep(&part->fd);
    bvi_free(bvi_take(part->path));
}

static bool is_part(const char *name)
{
    size_t len = strlen(name);

    return len > strlen(PREFIX SUFFIX) && strncmp(name, PREFIX, strlen(PREFIX)) == 0 &&
           strcmp(name + len - strlen(SUFFIX), SUFFIX) == 0;
}

void bvi_part_remove_all(const char *dir)
{
    DIR *d = opendir(dir);
    const struct dirent *entry;

    while (d && (entry = readdir(d))) {
        if (is_part(entry->d_name))
            (void)unlinkat(dirfd(d), entry->d_name, 0); /* it is only room that is lost */
    }
    if (d)
        (void)closedir(d);
}
