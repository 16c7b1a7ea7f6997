/*
 * unpack.c - one chunk on its way into files. Called by download.c and verify.c from the worker
 * pool.
 *
 * A chunk fills its destinations one after the other, so one open file at a time is enough; parents
 * are made only when opening shows that they are missing. Writeback is started early and waited for
 * late (bvi_unpack_sync), so that the disk works while the next bytes are decoded.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sys/direct.h"
#include "sys/fs.h"
#include "transfer/codec.h"
#include "transfer/hash.h"
#include "transfer/unpack.h"

/* Decoded bytes between two writes; as many as the disk likes to get at once. */
#define OUT_BYTES (512u * 1024u)
/* The disk is told to begin whenever so much was written to one file. */
#define WRITEBACK_BYTES (8u * 1024u * 1024u)
/* Ranges of at least this size are reserved before they are written, so that a full disk shows
 * early. */
#define RESERVE_BYTES (1024u * 1024u)
/* With more files than this one sync of the whole file system is cheaper than one for each. */
#define SYNC_FILES_MAX 256u

struct bvi_unpack {
    bvi_unpack_opts opts;
    bvi_codec *decoder;
    bvi_hash hash;
    void *memory;   /* holds `out` */
    uint8_t *out;   /* OUT_BYTES of decoded bytes */
    size_t begin;   /* of them wait here to be written ... */
    size_t waiting; /* ... so many */
    uint8_t *local; /* the same of local bytes, to compare with */
    bvi_direct direct;
    uint64_t stored;
    uint64_t plain;
    size_t target;    /* being filled */
    uint64_t filled;  /* of it */
    uint64_t started; /* of it: writeback was begun up to here */
    int fd;           /* of it; -1: not opened yet */
    bool passed_over; /* it is protected: its bytes go nowhere */
};

uint64_t bvi_unpack_memory(const bvi_compression *compression)
{
    return sizeof(bvi_unpack) + 2 * OUT_BYTES + bvi_decoder_memory(compression);
}

static const bvi_target *current(const bvi_unpack *u)
{
    const bvi_chunk *chunk = u->opts.chunk;

    return u->target < chunk->targets.len ? &chunk->targets.items[u->target] : NULL;
}

/* ---- files ---- */

static int disk_failure(int errnum, const char *verb, const char *path, bv_error **err)
{
    if (errnum == ENOSPC || errnum == EDQUOT) {
        (void)bvi_fail_sys(err, errnum, "cannot %s '%s'", verb, path);
        return bvi_wrap(err, BV_E_IO,
                        "no disk space left; free some and start again, finished chunks are kept");
    }
    return bvi_fail_sys(err, errnum, "cannot %s '%s'", verb, path);
}

static int make_parents(int dir_fd, const char *path, bv_error **err)
{
    const char *slash = strrchr(path, '/');
    bvi_auto_free char *dir = slash ? bvi_strndup(path, (size_t)(slash - path)) : NULL;

    if (!slash)
        return 0;
    if (!dir)
        return bvi_fail_nomem(err);
    return bvi_fs_mkdir_beneath(dir_fd, dir, 0777, err);
}

static int open_for_writing(bvi_unpack *u, const bvi_target *t, bv_error **err)
{
    int flags =
        O_WRONLY | O_CREAT | O_NOFOLLOW | O_NONBLOCK; /* a pipe in the way must not hold us up */
    bv_error *first = NULL;
    int r;

    r = bvi_fs_open_beneath(u->opts.dir_fd, t->path, flags, 0666, &u->fd, &first);
    if (r == BV_E_NOT_FOUND) {
        bv_error_free(first);
        r = make_parents(u->opts.dir_fd, t->path, err);
        return r < 0 ? r : bvi_fs_open_beneath(u->opts.dir_fd, t->path, flags, 0666, &u->fd, err);
    }
    return r < 0 ? bvi_error_move(err, first) : 0;
}

/* Cuts what an older, longer file leaves behind the end, and reserves room for this range. */
static int prepare_file(bvi_unpack *u, const bvi_target *t, bv_error **err)
{
    const bvi_manifest_file *file = bvi_manifest_find(u->opts.manifest, t->path);
    struct stat st;

    if (fstat(u->fd, &st) < 0)
        return bvi_fail_sys(err, errno, "cannot look at '%s'", t->path);
    if (!S_ISREG(st.st_mode))
        return bvi_fail(err, BV_E_STATE, "'%s' is in the way and is not a regular file; remove it",
                        t->path);
    if (!file)
        return bvi_fail(err, BV_E_INTERNAL, "'%s' is not in the checked manifest", t->path);
    if ((uint64_t)st.st_size > file->size && ftruncate(u->fd, (off_t)file->size) < 0)
        return disk_failure(errno, "cut", t->path, err);
    if (t->size >= RESERVE_BYTES &&
        fallocate(u->fd, FALLOC_FL_KEEP_SIZE, (off_t)t->pos, (off_t)t->size) < 0 &&
        (errno == ENOSPC || errno == EDQUOT))
        return disk_failure(errno, "reserve room for", t->path, err);
    return 0;
}

static int open_for_reading(bvi_unpack *u, const bvi_target *t, bv_error **err)
{
    const bvi_manifest_file *file = bvi_manifest_find(u->opts.manifest, t->path);
    struct stat st;
    int r;

    r = bvi_fs_open_beneath(u->opts.dir_fd, t->path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0, &u->fd,
                            err);
    if (r < 0)
        return r;
    if (fstat(u->fd, &st) < 0)
        return bvi_fail_sys(err, errno, "cannot look at '%s'", t->path);
    if (!S_ISREG(st.st_mode) || !file || (uint64_t)st.st_size != file->size)
        return bvi_fail(err, BV_E_CHECKSUM, "file '%s' has %llu bytes instead of %llu", t->path,
                        (unsigned long long)st.st_size,
                        file ? (unsigned long long)file->size : 0ull);
    return 0;
}

static bool is_protected(const bvi_manifest *manifest, const bvi_target *t)
{
    const bvi_manifest_file *file = bvi_manifest_find(manifest, t->path);

    return file && file->is_protected;
}

static int open_target(bvi_unpack *u, const bvi_target *t, bv_error **err)
{
    int r;

    u->filled = u->started = 0;
    u->direct.on = false;
    u->passed_over = is_protected(u->opts.manifest, t);
    if (u->opts.mode == BVI_UNPACK_CHECK || u->passed_over)
        return 0;
    if (u->opts.mode == BVI_UNPACK_COMPARE)
        return open_for_reading(u, t, err);
    r = open_for_writing(u, t, err);
    return r < 0 ? r : prepare_file(u, t, err);
}

static void set_times(const bvi_unpack *u)
{
    const struct timespec at = {
        .tv_sec = (time_t)(u->opts.times_ns / 1000000000),
        .tv_nsec = (long)(u->opts.times_ns % 1000000000),
    };
    const struct timespec times[2] = { at, at };

    (void)futimens(u->fd, times); /* a convenience for some protocols; the data is what counts */
}

static int close_target(bvi_unpack *u, bv_error **err)
{
    const char *path = current(u)->path;
    int fd = bvi_take_fd(&u->fd);

    if (fd < 0)
        return 0;
    if (u->opts.mode == BVI_UNPACK_WRITE && u->opts.times_ns) {
        u->fd = fd;
        set_times(u);
        u->fd = -1;
    }
    if (close(fd) < 0 && errno != EINTR)
        return disk_failure(errno, "close", path, err);
    return 0;
}

/* ---- decoded bytes into targets ---- */

static int write_all(bvi_unpack *u, const bvi_target *t, const uint8_t *bytes, size_t len,
                     bv_error **err)
{
    int r = bvi_direct_write(&u->direct, u->fd, bytes, len, t->pos + u->filled);
    uint64_t at = u->filled + len;

    if (r < 0)
        return disk_failure(-r, "write", t->path, err);
    if (at - u->started >= WRITEBACK_BYTES) {
        /* Only a hint; the sync at the end is what must succeed. */
        (void)sync_file_range(u->fd, (off_t)(t->pos + u->started), (off_t)(at - u->started),
                              SYNC_FILE_RANGE_WRITE);
        u->started = at;
    }
    return 0;
}

static int compare(bvi_unpack *u, const bvi_target *t, const uint8_t *bytes, size_t len,
                   bv_error **err)
{
    uint64_t at = t->pos + u->filled;

    while (len > 0) {
        ssize_t n = pread(u->fd, u->local, len < OUT_BYTES ? len : OUT_BYTES, (off_t)at);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return bvi_fail_sys(err, errno, "cannot read '%s'", t->path);
        if (n == 0 || memcmp(u->local, bytes, (size_t)n) != 0)
            return bvi_fail(err, BV_E_CHECKSUM,
                            "file '%s' differs from the archive behind byte %llu", t->path,
                            (unsigned long long)at);
        bytes += n;
        len -= (size_t)n;
        at += (uint64_t)n;
    }
    return 0;
}

static int put(bvi_unpack *u, const bvi_target *t, const uint8_t *bytes, size_t len, bv_error **err)
{
    if (u->passed_over)
        return 0;
    switch (u->opts.mode) {
    case BVI_UNPACK_WRITE:
        return write_all(u, t, bytes, len, err);
    case BVI_UNPACK_COMPARE:
        return compare(u, t, bytes, len, err);
    case BVI_UNPACK_CHECK:
        break;
    }
    return 0;
}

/* Opens the target at hand if need be, and moves past it when it is full: empty ones without any
 * byte. */
static int settle(bvi_unpack *u, bv_error **err)
{
    const bvi_target *t;

    while ((t = current(u))) {
        int r = 0;

        if (u->fd < 0 && u->filled == 0)
            r = open_target(u, t, err);
        if (r < 0)
            return r;
        if (u->filled < t->size)
            return 0;
        r = close_target(u, err);
        if (r < 0)
            return r;
        u->target++;
        u->filled = 0;
    }
    return 0;
}

/* Moves what still waits to where it can be written directly with what will follow it. */
static void line_up(bvi_unpack *u, const uint8_t *bytes, size_t len)
{
    const bvi_target *t = current(u);
    const uint8_t *place = bvi_direct_place(u->out, t ? t->pos + u->filled : 0);

    u->begin = (size_t)(place - u->out);
    u->waiting = len;
    memmove(u->out + u->begin, bytes, len);
}

/* So many of `len` bytes go to the file now: a part of a block waits for the rest of it. */
static size_t worth_writing(const bvi_unpack *u, const bvi_target *t, size_t len, bool all)
{
    uint64_t room = t->size - u->filled;
    size_t rest = (size_t)((t->pos + u->filled + len) % BVI_DIRECT_ALIGN);

    if (len >= room)
        return (size_t)room;
    return all || len < rest ? len : len - rest;
}

/* Spreads what waits over the targets; all of it, or as far as a block can be made full. */
static int scatter(bvi_unpack *u, bool all, bv_error **err)
{
    const uint8_t *bytes = u->out + u->begin;
    size_t left = u->waiting;
    int r;

    while (left > 0) {
        const bvi_target *t;
        size_t n;

        r = settle(u, err);
        if (r < 0)
            return r;
        t = current(u);
        if (!t)
            return bvi_fail(err, BV_E_CHECKSUM, "it holds more bytes than its destinations (%llu)",
                            (unsigned long long)u->plain);
        n = worth_writing(u, t, left, all);
        if (n == 0)
            break;
        r = put(u, t, bytes, n, err);
        if (r < 0)
            return r;
        u->filled += n;
        u->plain += n;
        bytes += n;
        left -= n;
    }
    r = settle(u, err); /* what comes next lines up with the next target */
    if (r == 0)
        line_up(u, bytes, left);
    return r;
}

/* After `made` bytes came in behind those that wait; true in *ret_full when there was no room for
 * more. */
static int take(bvi_unpack *u, size_t made, bool *ret_full, bv_error **err)
{
    u->waiting += made;
    *ret_full = u->begin + u->waiting == OUT_BYTES;
    return *ret_full ? scatter(u, false, err) : 0;
}

static int take_stored(bvi_unpack *u, const uint8_t *bytes, size_t len, bv_error **err)
{
    while (len > 0) {
        size_t room = OUT_BYTES - u->begin - u->waiting;
        size_t n = len < room ? len : room;
        bool full;
        int r;

        memcpy(u->out + u->begin + u->waiting, bytes, n);
        r = take(u, n, &full, err);
        if (r < 0)
            return r;
        bytes += n;
        len -= n;
    }
    return 0;
}

static void offer_room(bvi_unpack *u, bvi_codec_io *io)
{
    io->out = u->out + u->begin + u->waiting;
    io->out_cap = OUT_BYTES - u->begin - u->waiting;
    io->out_made = 0;
}

static int decode(bvi_unpack *u, const uint8_t *bytes, size_t len, bv_error **err)
{
    bvi_codec_io io = { .in = bytes, .in_len = len };
    bool full = false;
    int r;

    if (u->opts.manifest->compression.kind == BVI_CODEC_STORED)
        return take_stored(u, bytes, len, err);
    do {
        offer_room(u, &io);
        r = u->decoder->vtable->step(u->decoder, &io, err);
        if (r == BV_E_FORMAT)
            r = bvi_wrap(err, BV_E_CHECKSUM, "the stored bytes are damaged");
        if (r == 0)
            r = take(u, io.out_made, &full, err);
        if (r < 0)
            return r;
    } while (io.in_used < io.in_len || full);
    return 0;
}

static int drain(bvi_unpack *u, bv_error **err)
{
    bool done = false;
    bool full;
    int r = 0;

    while (r == 0 && !done) {
        bvi_codec_io io = { 0 };

        offer_room(u, &io);
        r = u->decoder->vtable->finish(u->decoder, &io, &done, err);
        if (r == 0)
            r = take(u, io.out_made, &full, err);
    }
    return r < 0 ? r : scatter(u, true, err);
}

/* ---- life ---- */

static int allocate(bvi_unpack *u, bv_error **err)
{
    int r = bvi_hash_init(&u->hash, u->opts.chunk->checksum.kind, err);

    if (r < 0)
        return r;
    r = bvi_decoder_new(&u->opts.manifest->compression, &u->decoder, err);
    if (r < 0)
        return r;
    u->memory = bvi_malloc(OUT_BYTES + BVI_DIRECT_ALIGN);
    if (u->opts.mode == BVI_UNPACK_COMPARE)
        u->local = bvi_malloc(OUT_BYTES);
    if (!u->memory || (u->opts.mode == BVI_UNPACK_COMPARE && !u->local))
        return bvi_fail_nomem(err);
    u->out = bvi_direct_place(u->memory, 0);
    line_up(u, u->out, 0);
    return 0;
}

int bvi_unpack_new(const bvi_unpack_opts *opts, bvi_unpack **ret_unpack, bv_error **err)
{
    bvi_unpack *u = bvi_new0(bvi_unpack);
    int r;

    if (!u)
        return bvi_fail_nomem(err);
    u->opts = *opts;
    u->fd = -1;
    r = allocate(u, err);
    if (r < 0) {
        bvi_unpack_free(u);
        return r;
    }
    *ret_unpack = u;
    return 0;
}

void bvi_unpack_free(bvi_unpack *unpack)
{
    if (!unpack)
        return;
    bvi_hash_done(&unpack->hash);
    bvi_codec_free(unpack->decoder);
    bvi_closep(&unpack->fd);
    bvi_free(unpack->memory);
    bvi_free(unpack->local);
    bvi_free(unpack);
}

int bvi_unpack_feed(bvi_unpack *unpack, const void *bytes, size_t len, bv_error **err)
{
    int r;

    if (len > unpack->opts.chunk->size - unpack->stored)
        return bvi_fail(err, BV_E_CHECKSUM,
                        "server error: received more bytes than requested (%llu)",
                        (unsigned long long)unpack->opts.chunk->size);
    r = bvi_hash_update(&unpack->hash, bytes, len, err);
    if (r < 0)
        return r;
    unpack->stored += len;
    return decode(unpack, bytes, len, err);
}

int bvi_unpack_finish(bvi_unpack *unpack, bv_error **err)
{
    const bvi_chunk *chunk = unpack->opts.chunk;
    uint64_t wanted = bvi_chunk_plain_bytes(chunk);
    bvi_checksum sum = { 0 };
    int r;

    if (unpack->stored != chunk->size)
        return bvi_fail(err, BV_E_CHECKSUM, "it has %llu stored bytes instead of %llu",
                        (unsigned long long)unpack->stored, (unsigned long long)chunk->size);
    r = bvi_hash_final(&unpack->hash, &sum, err);
    if (r < 0)
        return r;
    if (!bvi_checksum_equal(&sum, &chunk->checksum))
        return bvi_fail(err, BV_E_CHECKSUM,
                        "chunk checksum mismatch (%s): the stored bytes are damaged",
                        bvi_checksum_name(sum.kind));
    r = drain(unpack, err);
    if (r == 0)
        r = settle(unpack, err);
    if (r < 0)
        return r;
    if (unpack->plain != wanted || current(unpack))
        return bvi_fail(err, BV_E_CHECKSUM, "it unpacks to %llu bytes instead of %llu",
                        (unsigned long long)unpack->plain, (unsigned long long)wanted);
    return 0;
}

uint64_t bvi_unpack_stored(const bvi_unpack *unpack)
{
    return unpack->stored;
}

uint64_t bvi_unpack_plain(const bvi_unpack *unpack)
{
    return unpack->plain;
}

/* ---- durability ---- */

static int sync_dir_of(int dir_fd, const char *path, bv_error **err)
{
    const char *slash = strrchr(path, '/');
    bvi_auto_free char *dir = bvi_strndup(slash ? path : ".", slash ? (size_t)(slash - path) : 1);
    bvi_auto_close int fd = -1;
    int r;

    if (!dir)
        return bvi_fail_nomem(err);
    r = bvi_fs_open_beneath(dir_fd, dir, O_RDONLY | O_DIRECTORY, 0, &fd, err);
    if (r < 0)
        return r;
    return fsync(fd) < 0 ? disk_failure(errno, "sync directory", dir, err) : 0;
}

static int sync_file(int dir_fd, const char *path, bv_error **err)
{
    bvi_auto_close int fd = -1;
    int r = bvi_fs_open_beneath(dir_fd, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0, &fd, err);

    if (r < 0)
        return r;
    if (fdatasync(fd) < 0)
        return disk_failure(errno, "sync", path, err);
    return sync_dir_of(dir_fd, path, err);
}

static int sync_chunk(int dir_fd, const bvi_manifest *manifest, const bvi_chunk *chunk,
                      bv_error **err)
{
    for (size_t i = 0; i < chunk->targets.len; i++) {
        const bvi_target *t = &chunk->targets.items[i];
        int r = is_protected(manifest, t) ? 0 : sync_file(dir_fd, t->path, err);

        if (r < 0)
            return r;
    }
    return 0;
}

int bvi_unpack_sync(int dir_fd, const bvi_manifest *manifest, const bvi_chunk *const *chunks,
                    size_t count, bv_error **err)
{
    size_t files = 0;

    for (size_t i = 0; i < count; i++)
        files += chunks[i]->targets.len;
    if (files > SYNC_FILES_MAX) {
        if (syncfs(dir_fd) < 0)
            return disk_failure(errno, "sync the file system of", "the destination", err);
        return 0;
    }
    for (size_t i = 0; i < count; i++) {
        int r = sync_chunk(dir_fd, manifest, chunks[i], err);

        if (r < 0)
            return r;
    }
    return 0;
}
