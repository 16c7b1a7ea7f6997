/*
 * carry.c - see carry.h.
 *
 * Neighbouring chunks mostly belong to one file, and neighbouring files lie in one directory, so
 * the last of each is kept open. A file that is whole in one chunk is made, written and given its
 * mode and time while it is open; all others are finished by the pass over the whole tree
 * (settle.c).
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/hex.h"
#include "snapshot/carry.h"
#include "sys/direct.h"
#include "sys/fs.h"

#define WRITE_FLAGS (O_WRONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)

typedef struct open_file {
    const bvi_dest *dest;
    const atomic_bool *stopping; /* NULL: never */
    const bvi_layout *plan;
    const bvi_layout_item *item; /* NULL: none */
    int fd;
    bvi_direct direct;
    bvi_dest_dir dir;
} open_file;

static void file_init(open_file *f, const bvi_dest *dest, const bvi_layout *plan)
{
    f->dest = dest;
    f->plan = plan;
    f->item = NULL;
    f->fd = -1;
    bvi_dest_dir_init(&f->dir);
}

static int fail(const open_file *f, const char *verb, int errnum, bv_error **err)
{
    return bvi_dest_fail(errnum, verb, f->dir.path, bvi_layout_text(f->plan, f->item->name), err);
}

/* Mode and time while it is open; the owner first, as giving a file away clears parts of the mode.
 * What is right already is left alone: each change goes through the file system's journal. */
static int dress(const open_file *f, bv_error **err)
{
    const bvi_layout_item *item = f->item;
    const struct timespec at = { .tv_sec = item->mtime_s, .tv_nsec = item->mtime_ns };
    const struct timespec times[2] = { at, at };
    struct stat st;
    bool given;

    if (fstat(f->fd, &st) < 0)
        return fail(f, "look at", errno, err);
    given = f->dest->owners && (st.st_uid != item->uid || st.st_gid != item->gid);
    if (given && fchown(f->fd, item->uid, item->gid) < 0)
        return fail(f, "give away", errno, err);
    if ((given || (st.st_mode & 07777) != item->mode) && fchmod(f->fd, item->mode) < 0)
        return fail(f, "change the mode of", errno, err);
    if (futimens(f->fd, times) < 0)
        return fail(f, "set the time of", errno, err);
    return 0;
}

static int file_close(open_file *f, bool good, bv_error **err)
{
    int r = 0;

    if (f->fd < 0)
        return 0;
    if (good && (f->item->flags & BVI_LAYOUT_WHOLE))
        r = dress(f, err);
    if (close(bvi_take_fd(&f->fd)) < 0 && errno != EINTR && r == 0)
        r = fail(f, "close", errno, err);
    f->item = NULL;
    return r;
}

static void file_done(open_file *f)
{
    bvi_closep(&f->fd);
    bvi_dest_dir_done(&f->dir);
}

/* ---- writing ---- */

static int fail_replaced(const open_file *f, bv_error **err)
{
    return bvi_fail(err, BV_E_STATE, "'%s/%s' was replaced while it was restored", f->dir.path,
                    bvi_layout_text(f->plan, f->item->name));
}

/* A file that has other names as well was left with them as long as nothing of it had to change. */
static int open_existing(open_file *f, bv_error **err)
{
    const char *name = bvi_layout_text(f->plan, f->item->name);

    for (int i = 0; i < 2; i++) {
        struct stat st;
        int r;

        f->fd = openat(f->dir.fd, name, WRITE_FLAGS);
        if (f->fd < 0 || fstat(f->fd, &st) < 0)
            return fail(f, "open", errno, err);
        if (!S_ISREG(st.st_mode))
            return fail_replaced(f, err);
        if (st.st_nlink == 1)
            return 0;
        bvi_closep(&f->fd);
        r = bvi_dest_unshare(&f->dir, name, f->stopping, err);
        if (r < 0)
            return r;
    }
    return fail_replaced(f, err);
}

static int open_to_write(open_file *f, const bvi_layout_item *item, bv_error **err)
{
    const char *name = bvi_layout_text(f->plan, item->name);
    int r;

    if (f->fd >= 0 && f->item == item)
        return 0;
    r = file_close(f, true, err);
    if (r == 0)
        r = bvi_dest_enter(f->dest, &f->dir, bvi_layout_text(f->plan, item->dir), err);
    if (r < 0)
        return r;
    f->item = item;
    f->direct = (bvi_direct){ 0 };
    if ((item->flags & (BVI_LAYOUT_WHOLE | BVI_LAYOUT_EXISTS)) == BVI_LAYOUT_WHOLE) {
        f->fd = openat(f->dir.fd, name, WRITE_FLAGS | O_CREAT | O_EXCL, item->mode & 0777);
        if (f->fd >= 0 && item->n_extents > 0 && /* holes at the end */
            item->size > f->plan->extents.items[item->first_extent + item->n_extents - 1].pos +
                             f->plan->extents.items[item->first_extent + item->n_extents - 1].len &&
            ftruncate(f->fd, (off_t)item->size) < 0)
            return fail(f, "set up", errno, err);
        if (f->fd >= 0 || errno != EEXIST)
            return f->fd >= 0 ? 0 : fail(f, "make", errno, err);
    }
    return open_existing(f, err);
}

static int write_pieces(open_file *f, uint32_t chunk, const uint8_t *plain, bv_error **err)
{
    bvi_layout_pieces it;
    int r = 0;

    bvi_layout_pieces_init(&it, f->plan, chunk);
    while (r == 0 && bvi_layout_pieces_next(&it)) {
        if (it.item->flags & BVI_LAYOUT_UNWANTED)
            continue;
        r = open_to_write(f, it.item, err);
        if (r < 0)
            return r;
        r = bvi_direct_write(&f->direct, f->fd, plain + it.at, it.len, it.pos);
        if (r < 0)
            return fail(f, "write", -r, err);
    }
    return r;
}

/* ---- what was fetched ---- */

/* Where the file wants the chunk's first byte, so that whole blocks pass by the page cache. */
static uint64_t first_pos(const bvi_layout *plan, uint32_t chunk)
{
    bvi_layout_pieces it;

    bvi_layout_pieces_init(&it, plan, chunk);
    return bvi_layout_pieces_next(&it) ? it.pos : 0;
}

static uint8_t *lined_up(uint8_t *room, const bvi_layout *plan, uint32_t chunk)
{
    return bvi_direct_place(room, first_pos(plan, chunk));
}

static int fail_chunk(const bvi_layout *plan, uint32_t chunk, bv_error **err)
{
    const bvi_snap_frame *frame = &plan->chunks.items[chunk].frame;
    char path[BVI_SNAP_PATH_MAX + 1];
    char hash[17];
    char pack[17];

    bvi_layout_chunk_path(plan, chunk, path);
    bvi_hex_encode(frame->hash.bytes, 8, hash);
    bvi_hex_encode(frame->pack.bytes, 8, pack);
    return bvi_wrap(err, BV_E_CHECKSUM,
                    "chunk %s... at byte %llu of pack %s..., of file '%s', is damaged in the store",
                    hash, (unsigned long long)frame->offset, pack, path);
}

static int unpack(bvi_frame_unpacker *unpacker, const bvi_layout *plan, uint32_t chunk,
                  const uint8_t *stored, uint8_t *out, bv_error **err)
{
    const bvi_snap_frame *frame = &plan->chunks.items[chunk].frame;
    int r = bvi_frame_unpack(unpacker, frame, stored, out, err);

    return r == BV_E_NOMEM || r == 0 ? r : fail_chunk(plan, chunk, err);
}

/*
 * Bytes that were stored as they are stay where they were read to. They move down to where the file
 * wants them lined up, over what was before them and is done with.
 */
static uint8_t *move_down(const bvi_layout *plan, uint32_t chunk, uint8_t *stored)
{
    size_t len = plan->chunks.items[chunk].frame.plain;
    uint8_t *place = lined_up(stored - BVI_DIRECT_ALIGN + 1, plan, chunk);

    if (place == stored || len < BVI_DIRECT_MIN)
        return stored;
    memmove(place, stored, len);
    return place;
}

/* The next chunk may be the same one at another place. */
static bool is_needed_again(const bvi_carry *c, uint32_t i)
{
    const bvi_layout_chunk *chunks = c->plan->chunks.items;

    return i + 1 < c->n &&
           chunks[c->chunks[i + 1]].frame.offset <
               chunks[c->chunks[i]].frame.offset + chunks[c->chunks[i]].frame.stored;
}

static int unpack_one(bvi_carry *c, bvi_frame_unpacker *unpacker, uint32_t i, uint8_t *stored,
                      uint8_t **ret_plain, bv_error **err)
{
    const bvi_snap_frame *frame = &c->plan->chunks.items[c->chunks[i]].frame;
    int r;

    *ret_plain = bvi_carry_needs_room(frame) ? lined_up(c->room, c->plan, c->chunks[i]) : stored;
    r = unpack(unpacker, c->plan, c->chunks[i], stored, *ret_plain, err);
    if (r == 0 && !bvi_carry_needs_room(frame) && c->dest && !is_needed_again(c, i))
        *ret_plain = move_down(c->plan, c->chunks[i], stored);
    return r;
}

static int write_one(bvi_carry *c, open_file *f, bvi_frame_unpacker *unpacker, uint32_t i,
                     uint8_t *stored, bv_error **ret_bad, bv_error **err)
{
    bv_error *bad = NULL;
    uint8_t *plain;
    int r = unpack_one(c, unpacker, i, stored, &plain, &bad);

    if (r == BV_E_CHECKSUM) {
        c->results[i] = BVI_CARRY_BAD;
        if (*ret_bad)
            bv_error_free(bad);
        else
            *ret_bad = bad;
        return 0;
    }
    if (r < 0)
        return bvi_error_move(err, bad);
    if (c->dest && c->plan->chunks.items[c->chunks[i]].wanted)
        r = write_pieces(f, c->chunks[i], plain, err);
    if (r == 0)
        c->results[i] = BVI_CARRY_WRITTEN;
    return r;
}

int bvi_carry_write(bvi_carry *c, bvi_frame_unpacker *unpacker, uint8_t *stored, uint64_t offset,
                    bv_error **ret_bad, bv_error **err)
{
    open_file *f = bvi_new0(open_file);
    int r = 0;

    if (!f)
        return bvi_fail_nomem(err);
    file_init(f, c->dest, c->plan);
    f->stopping = c->stopping;
    for (uint32_t i = 0; r == 0 && i < c->n && !atomic_load(c->stopping); i++) {
        const bvi_snap_frame *frame = &c->plan->chunks.items[c->chunks[i]].frame;

        r = write_one(c, f, unpacker, i, stored + (frame->offset - offset), ret_bad, err);
    }
    if (r == 0)
        r = file_close(f, true, err);
    file_done(f);
    bvi_free(f);
    return r;
}

/* ---- what may be there ---- */

static bool open_to_read(open_file *f, const bvi_layout_item *item)
{
    if (f->fd >= 0 && f->item == item)
        return true;
    bvi_closep(&f->fd);
    f->item = item;
    if (bvi_dest_enter(f->dest, &f->dir, bvi_layout_text(f->plan, item->dir), NULL) < 0)
        return false;
    f->fd = openat(f->dir.fd, bvi_layout_text(f->plan, item->name),
                   O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    return f->fd >= 0;
}

/* Holes need not be read: a chunk has data there. 1: read; 0: it cannot be; negative: the disk
 * failed. */
static int read_piece(open_file *f, const bvi_layout_pieces *it, uint8_t *out, bv_error **err)
{
    uint64_t at = it->pos;
    size_t left = it->len;

    if (!open_to_read(f, it->item))
        return 0;
    if (lseek(f->fd, (off_t)at, SEEK_DATA) != (off_t)at)
        return 0;
    while (left > 0) {
        ssize_t n = pread(f->fd, out, left, (off_t)at);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return fail(f, "read", errno, err);
        if (n == 0)
            return 0;
        out += n;
        at += (uint64_t)n;
        left -= (size_t)n;
    }
    return 1;
}

static int read_chunk(open_file *f, uint32_t chunk, uint8_t *out, bv_error **err)
{
    bvi_layout_pieces it;
    bvi_hash256 hash;
    int r = 1;

    bvi_layout_pieces_init(&it, f->plan, chunk);
    while (r > 0 && bvi_layout_pieces_next(&it))
        r = read_piece(f, &it, out + it.at, err);
    if (r <= 0)
        return r;
    bvi_blake3_hash(out, f->plan->chunks.items[chunk].frame.plain, hash.bytes);
    return bvi_hash256_equal(&hash, &f->plan->chunks.items[chunk].frame.hash);
}

/* Reads what was cloned once more: the seed may have been written to since it was looked at. */
static bool is_cloned_well(const open_file *to, const bvi_layout_pieces *it,
                           const bvi_hash256 *hash, uint8_t *out)
{
    bvi_auto_close int fd = openat(to->dir.fd, bvi_layout_text(to->plan, it->item->name),
                                   O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    bvi_hash256 there;

    if (fd < 0 || pread(fd, out, it->len, (off_t)it->pos) != (ssize_t)it->len)
        return false;
    bvi_blake3_hash(out, it->len, there.bytes);
    return bvi_hash256_equal(&there, hash);
}

/* A chunk of one piece in whole blocks may share them with the seed, where the file system can.
 * 1: it does; 0: no, and `plain` is untouched; -1: no, and it is not. */
static int clone_chunk(const open_file *from, open_file *to, uint32_t chunk, uint8_t *plain)
{
    const bvi_snap_frame *frame = &from->plan->chunks.items[chunk].frame;
    struct file_clone_range range;
    bvi_layout_pieces it;

    bvi_layout_pieces_init(&it, from->plan, chunk);
    if (!bvi_layout_pieces_next(&it) || it.len != frame->plain ||
        (it.pos | it.len) % BVI_DIRECT_ALIGN != 0 || open_to_write(to, it.item, NULL) < 0)
        return 0;
    range = (struct file_clone_range){
        .src_fd = from->fd, .src_offset = it.pos, .src_length = it.len, .dest_offset = it.pos
    };
    if (ioctl(to->fd, FICLONERANGE, &range) < 0)
        return 0;
    return is_cloned_well(to, &it, &frame->hash, plain) ? 1 : -1;
}

typedef struct look {
    open_file local;
    open_file seed;
    open_file out;
} look;

static int take_seed(bvi_carry *c, look *l, uint32_t i, uint8_t *plain, bv_error **err)
{
    for (size_t s = 0; s < c->n_seeds; s++) {
        int r;

        if (l->seed.dest != &c->seeds[s]) {
            file_done(&l->seed);
            file_init(&l->seed, &c->seeds[s], c->plan);
        }
        if (read_chunk(&l->seed, c->chunks[i], plain, NULL) <= 0)
            continue; /* a seed that cannot be read is none */
        r = clone_chunk(&l->seed, &l->out, c->chunks[i], plain);
        if (r < 0)
            continue;
        if (r == 0)
            r = write_pieces(&l->out, c->chunks[i], plain, err);
        if (r >= 0)
            c->results[i] = BVI_CARRY_SEEDED;
        return r < 0 ? r : 0;
    }
    return 0;
}

static int look_for(bvi_carry *c, look *l, uint32_t i, bv_error **err)
{
    const bvi_layout_chunk *chunk = &c->plan->chunks.items[c->chunks[i]];
    uint8_t *plain = lined_up(c->room, c->plan, c->chunks[i]);
    int r = 0;

    c->results[i] = BVI_CARRY_ABSENT;
    if (chunk->local)
        r = read_chunk(&l->local, c->chunks[i], plain, err);
    if (r > 0)
        c->results[i] = BVI_CARRY_PRESENT;
    return r == 0 && c->n_seeds > 0 ? take_seed(c, l, i, plain, err) : r < 0 ? r : 0;
}

int bvi_carry_look(bvi_carry *c, bv_error **err)
{
    look *l = bvi_new0(look);
    int r = 0;

    if (!l)
        return bvi_fail_nomem(err);
    file_init(&l->local, c->dest, c->plan);
    file_init(&l->out, c->dest, c->plan);
    l->out.stopping = c->stopping;
    file_init(&l->seed, NULL, c->plan);
    for (uint32_t i = 0; r == 0 && i < c->n && !atomic_load(c->stopping); i++)
        r = look_for(c, l, i, err);
    if (r == 0)
        r = file_close(&l->out, true, err);
    file_done(&l->local);
    file_done(&l->seed);
    file_done(&l->out);
    bvi_free(l);
    return r;
}
