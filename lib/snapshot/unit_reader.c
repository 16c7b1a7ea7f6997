/*
 * unit_reader.c - see unit_reader.h.
 *
 * A large file goes through the buffer as a stream without its holes: what lies behind the last cut
 * is moved to the front, more is read behind it. `pieces` tells where in the file it is from, since
 * cuts are made at places of the file.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "snapshot/unit_reader.h"
#include "sys/fs.h"

#define PIECES_MAX (BVI_SNAP_CHUNK_MAX / 512u)

void bvi_unit_reader_init(bvi_unit_reader *reader, int dir_fd)
{
    *reader = (bvi_unit_reader){ .dir_fd = dir_fd, .fd = -1 };
    reader->pieces.max = PIECES_MAX;
    reader->chunks.max = BVI_SNAP_CHUNK_MAX;
}

void bvi_unit_reader_done(bvi_unit_reader *reader)
{
    bvi_closep(&reader->fd);
    bvi_free(bvi_take(reader->buffer));
    bvi_vec_done(&reader->pieces);
    bvi_vec_done(&reader->chunks);
}

void bvi_unit_reader_begin(bvi_unit_reader *reader)
{
    bvi_closep(&reader->fd);
    reader->len = reader->cut = 0;
    reader->pieces.len = 0;
    reader->changed = false;
}

/* -1 and no error: it is gone. */
static int open_file(const bvi_unit_reader *reader, const char *path, int *ret_fd, bv_error **err)
{
    bvi_auto_error bv_error *why = NULL;
    int r = bvi_fs_open_beneath(reader->dir_fd, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0, ret_fd,
                                &why);

    if (r == BV_E_NOT_FOUND) {
        *ret_fd = -1;
        return 0;
    }
    return r < 0 ? bvi_error_move(err, bvi_take(why)) : 0;
}

static bool is_unchanged(int fd, const bvi_unit_item *item)
{
    bvi_file_stamp now;
    struct stat st;

    if (fd < 0 || fstat(fd, &st) < 0)
        return false;
    now = bvi_tree_stamp_of(&st);
    return bvi_file_stamp_equal(&now, &item->stamp);
}

/* The data at or behind `pos`: [*pos, *end). False: none up to `to`. */
static bool next_data(int fd, uint64_t to, uint64_t *pos, uint64_t *end)
{
    off_t data = lseek(fd, (off_t)*pos, SEEK_DATA);
    off_t hole;

    if (data < 0 && errno != EINVAL) /* ENXIO: only a hole */
        return false;
    if (data < 0) { /* the file system cannot tell */
        *end = to;
        return *pos < to;
    }
    if ((uint64_t)data >= to)
        return false;
    hole = lseek(fd, data, SEEK_HOLE);
    *pos = (uint64_t)data;
    *end = hole < 0 || (uint64_t)hole > to ? to : (uint64_t)hole;
    return *pos < *end;
}

/* Reads what there is; *ret_len is less than len only at the file's end. */
static int read_at(int fd, uint64_t pos, uint8_t *into, size_t len, size_t *ret_len)
{
    size_t done = 0;

    while (done < len) {
        ssize_t n = pread(fd, into + done, len - done, (off_t)(pos + done));

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            break;
        done += (size_t)n;
    }
    *ret_len = done;
    return 0;
}

static int cannot_read(int code, const bvi_unit *unit, size_t item, bv_error **err)
{
    return bvi_fail_sys(err, -code, "cannot read '%s'", bvi_unit_path(unit, item));
}

static int add_chunk(bvi_unit_reader *reader, bvi_unit *unit, size_t len, bv_error **err)
{
    bvi_read_chunk *chunk = bvi_vec_push(&reader->chunks);

    if (!chunk)
        return bvi_fail_nomem(err);
    chunk->bytes = reader->buffer + reader->cut;
    chunk->len = (uint32_t)len;
    bvi_blake3_hash(chunk->bytes, len, chunk->hash.bytes);
    reader->cut += len;
    return bvi_unit_add_chunk(unit, &chunk->hash, chunk->len, err);
}

/* ---- bundles ---- */

/* All data of a small file, behind what the buffer has. */
static int read_small(bvi_unit_reader *reader, bvi_unit *unit, size_t index, int fd, bv_error **err)
{
    const bvi_unit_item *item = &unit->items.items[index];
    const bool dense = item->allocated >= item->size;
    uint64_t pos = 0;
    uint64_t end = item->size;

    while (pos < item->size && (dense || next_data(fd, item->size, &pos, &end))) {
        size_t got = 0;
        int r = read_at(fd, pos, reader->buffer + reader->len, (size_t)(end - pos), &got);

        if (r < 0)
            return cannot_read(r, unit, index, err);
        r = got > 0 ? bvi_unit_add_extent(unit, index, pos, got, err) : 0;
        if (r < 0)
            return r;
        reader->len += got;
        if (got < end - pos)
            break; /* it was cut: is_unchanged() tells */
        pos = end;
    }
    return 0;
}

static int read_bundle(bvi_unit_reader *reader, bvi_unit *unit, bv_error **err)
{
    for (size_t i = 0; i < unit->items.len; i++) {
        const bvi_unit_item *item = &unit->items.items[i];
        bvi_auto_close int fd = -1;
        int r;

        if (item->kind != BVI_SNAP_FILE || item->size == 0)
            continue;
        r = open_file(reader, bvi_unit_path(unit, i), &fd, err);
        if (r == 0 && fd >= 0)
            r = read_small(reader, unit, i, fd, err);
        if (r < 0)
            return r;
        reader->changed = reader->changed || !is_unchanged(fd, item);
    }
    return reader->len > 0 ? add_chunk(reader, unit, reader->len, err) : 0;
}

/* ---- large files ---- */

static int open_large(bvi_unit_reader *reader, const bvi_unit *unit, bv_error **err)
{
    const bvi_unit_item *item = &unit->items.items[0];
    uint8_t probe[BVI_CUT_PROBE];
    size_t got = 0;
    int r = open_file(reader, bvi_unit_path(unit, 0), &reader->fd, err);

    reader->pos = reader->data_end = unit->from;
    if (r < 0 || reader->fd < 0) {
        reader->pos = unit->to;
        return r;
    }
    r = read_at(reader->fd, 0, probe, sizeof(probe), &got);
    if (r < 0)
        return cannot_read(r, unit, 0, err);
    reader->rule = bvi_cut_rule_of(probe, got, item->size);
    reader->dense = item->allocated >= item->size;
    (void)posix_fadvise(reader->fd, (off_t)unit->from, (off_t)(unit->to - unit->from),
                        POSIX_FADV_SEQUENTIAL); /* a hint */
    return 0;
}

static int add_piece(bvi_unit_reader *reader, uint64_t pos, uint64_t len, bv_error **err)
{
    bvi_snap_extent *last =
        reader->pieces.len > 0 ? &reader->pieces.items[reader->pieces.len - 1] : NULL;

    if (last && last->pos + last->len == pos) {
        last->len += len;
        return 0;
    }
    last = bvi_vec_push(&reader->pieces);
    if (!last)
        return bvi_fail_nomem(err);
    *last = (bvi_snap_extent){ .pos = pos, .len = len };
    return 0;
}

/* Where the data goes on; false at the end of the stretch. */
static bool seek_data(bvi_unit_reader *reader, const bvi_unit *unit)
{
    if (reader->pos < reader->data_end)
        return true;
    if (reader->pos < unit->to && reader->dense) {
        reader->data_end = unit->to;
        return true;
    }
    if (reader->pos < unit->to && next_data(reader->fd, unit->to, &reader->pos, &reader->data_end))
        return true;
    reader->pos = unit->to;
    return false;
}

static int fill(bvi_unit_reader *reader, bvi_unit *unit, bv_error **err)
{
    memmove(reader->buffer, reader->buffer + reader->cut, reader->len - reader->cut);
    reader->len -= reader->cut;
    reader->cut = 0;
    while (reader->len < BVI_SNAP_CHUNK_MAX && reader->pieces.len < PIECES_MAX &&
           seek_data(reader, unit)) {
        size_t room = BVI_SNAP_CHUNK_MAX - reader->len;
        uint64_t there = reader->data_end - reader->pos;
        size_t want = there < room ? (size_t)there : room;
        size_t got = 0;
        int r = read_at(reader->fd, reader->pos, reader->buffer + reader->len, want, &got);

        if (r < 0)
            return cannot_read(r, unit, 0, err);
        if (got == 0) { /* it was cut meanwhile */
            reader->pos = reader->data_end = unit->to;
            break;
        }
        r = add_piece(reader, reader->pos, got, err);
        if (r == 0)
            r = bvi_unit_add_extent(unit, 0, reader->pos, got, err);
        if (r < 0)
            return r;
        reader->len += got;
        reader->pos += got;
    }
    return 0;
}

/* Bytes of the buffer that lie in the file before `border`; *ret_beyond: there are others. */
static size_t bytes_before(const bvi_unit_reader *reader, uint64_t border, bool *ret_beyond)
{
    size_t sum = 0;

    *ret_beyond = false;
    for (size_t i = 0; i < reader->pieces.len; i++) {
        const bvi_snap_extent *piece = &reader->pieces.items[i];

        if (piece->pos + piece->len > border) {
            *ret_beyond = true;
            return sum + (size_t)(piece->pos < border ? border - piece->pos : 0);
        }
        sum += (size_t)piece->len;
    }
    return sum;
}

static void drop_pieces(bvi_unit_reader *reader, size_t len)
{
    size_t gone = 0;

    while (len > 0 && len >= reader->pieces.items[gone].len)
        len -= (size_t)reader->pieces.items[gone++].len;
    if (len > 0) {
        reader->pieces.items[gone].pos += len;
        reader->pieces.items[gone].len -= len;
    }
    reader->pieces.len -= gone;
    memmove(reader->pieces.items, reader->pieces.items + gone,
            reader->pieces.len * sizeof(*reader->pieces.items));
}

/* The length of the next chunk; 0: more bytes are needed. */
static size_t next_cut(const bvi_unit_reader *reader, bool ended)
{
    const uint64_t pos = reader->pieces.items[0].pos;
    const uint64_t step = reader->rule.kind == BVI_CUT_GRID ? reader->rule.grid : BVI_CUT_SEGMENT;
    bool beyond;
    const size_t len = bytes_before(reader, (pos / step + 1) * step, &beyond);

    return bvi_cut_next(&reader->rule, pos, reader->buffer + reader->cut, len, beyond || ended);
}

static int cut_all(bvi_unit_reader *reader, bvi_unit *unit, bool ended, bv_error **err)
{
    while (reader->cut < reader->len) {
        size_t len = next_cut(reader, ended);
        int r;

        if (len == 0 && reader->len - reader->cut < BVI_SNAP_CHUNK_MAX &&
            reader->pieces.len < PIECES_MAX)
            return 0;
        if (len == 0) /* nothing more fits, so this is it */
            len = reader->len - reader->cut;
        r = add_chunk(reader, unit, len, err);
        if (r < 0)
            return r;
        drop_pieces(reader, len);
    }
    return 0;
}

static int read_large(bvi_unit_reader *reader, bvi_unit *unit, bv_error **err)
{
    int r = 0;

    if (unit->extents.len == 0 && reader->fd < 0)
        r = open_large(reader, unit, err);
    if (r == 0 && reader->fd >= 0)
        r = fill(reader, unit, err);
    if (r == 0)
        r = cut_all(reader, unit, reader->pos >= unit->to, err);
    if (r < 0)
        return r;
    if (reader->pos < unit->to || reader->cut < reader->len)
        return 1;
    reader->changed = reader->changed || !is_unchanged(reader->fd, &unit->items.items[0]);
    bvi_closep(&reader->fd);
    return 0;
}

int bvi_unit_reader_step(bvi_unit_reader *reader, bvi_unit *unit, bv_error **err)
{
    reader->chunks.len = 0;
    if (!reader->buffer)
        reader->buffer = bvi_malloc(BVI_SNAP_CHUNK_MAX);
    if (!reader->buffer)
        return bvi_fail_nomem(err);
    return unit->kind == BVI_UNIT_BUNDLE ? read_bundle(reader, unit, err)
                                         : read_large(reader, unit, err);
}
