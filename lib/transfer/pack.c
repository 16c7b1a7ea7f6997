/*
 * pack.c - one chunk on its way out of files. Called by upload.c from the worker pool.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sys/fs.h"
#include "transfer/codec.h"
#include "transfer/hash.h"
#include "transfer/pack.h"

#define IN_BYTES (512u * 1024u)
/* One call reads no more than this, however little comes out. */
#define READ_BYTES_MAX (8u * 1024u * 1024u)

struct bvi_pack {
    bvi_pack_opts opts;
    bvi_codec *encoder;
    bvi_hash hash;
    uint8_t *in;
    size_t in_len;
    size_t in_used;
    uint64_t plain;
    uint64_t stored;
    size_t target; /* being read */
    uint64_t pos;  /* in it */
    int fd;        /* of it; -1: not opened yet */
    bool end;
};

uint64_t bvi_pack_memory(const bvi_compression *compression, uint32_t threads)
{
    return sizeof(bvi_pack) + IN_BYTES + bvi_encoder_memory(compression, threads);
}

static int check_unchanged(const bvi_pack *p, const bvi_target *t, bv_error **err)
{
    const bvi_scan_file *file = bvi_scan_find(p->opts.scan, t->path);
    bvi_file_stamp now;
    struct stat st;

    if (fstat(p->fd, &st) < 0)
        return bvi_fail_sys(err, errno, "cannot look at '%s'", t->path);
    now = bvi_file_stamp_of(&st);
    if (!file || !bvi_file_stamp_equal(&file->stamp, &now))
        return bvi_fail(err, BV_E_STATE,
                        "file '%s' changed while it was uploaded; stop what writes to it", t->path);
    return 0;
}

static int open_target(bvi_pack *p, const bvi_target *t, bv_error **err)
{
    int r = bvi_fs_open_beneath(p->opts.dir_fd, t->path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0,
                                &p->fd, err);

    if (r < 0)
        return bvi_wrap(err, r == BV_E_NOT_FOUND ? BV_E_STATE : r, "file '%s' disappeared",
                        t->path);
    if (t->size >= IN_BYTES) /* a hint only */
        (void)posix_fadvise(p->fd, (off_t)t->pos, (off_t)t->size, POSIX_FADV_SEQUENTIAL);
    return check_unchanged(p, t, err);
}

static int close_target(bvi_pack *p, const bvi_target *t, bv_error **err)
{
    int r = check_unchanged(p, t, err);

    bvi_closep(&p->fd);
    p->target++;
    p->pos = 0;
    return r;
}

static int read_some(bvi_pack *p, const bvi_target *t, bv_error **err)
{
    uint64_t left = t->size - p->pos;
    size_t want = IN_BYTES - p->in_len;
    ssize_t n;

    if (left < want)
        want = (size_t)left;
    do {
        n = pread(p->fd, p->in + p->in_len, want, (off_t)(t->pos + p->pos));
    } while (n < 0 && errno == EINTR);
    if (n < 0)
        return bvi_fail_sys(err, errno, "can't read file '%s'", t->path);
    if (n == 0)
        return bvi_fail(err, BV_E_STATE,
                        "can't read file '%s': it became shorter while it was uploaded", t->path);
    p->in_len += (size_t)n;
    p->pos += (uint64_t)n;
    p->plain += (uint64_t)n;
    return 0;
}

/* Fills the input buffer from as many targets as fit. */
static int gather(bvi_pack *p, bv_error **err)
{
    p->in_len = p->in_used = 0;
    while (p->in_len < IN_BYTES && p->target < p->opts.chunk->targets.len) {
        const bvi_target *t = &p->opts.chunk->targets.items[p->target];
        int r = 0;

        if (p->fd < 0)
            r = open_target(p, t, err);
        if (r == 0 && p->pos < t->size)
            r = read_some(p, t, err);
        if (r == 0 && p->pos == t->size)
            r = close_target(p, t, err);
        if (r < 0)
            return r;
    }
    return 0;
}

static int read_step(bvi_pack *p, bvi_codec_io *io, bv_error **err)
{
    int r;

    if (p->in_used == p->in_len) {
        r = gather(p, err);
        if (r < 0)
            return r;
    }
    if (p->in_len == 0)
        return p->encoder->vtable->finish(p->encoder, io, &p->end, err);
    io->in = p->in;
    io->in_len = p->in_len;
    io->in_used = p->in_used;
    r = p->encoder->vtable->step(p->encoder, io, err);
    p->in_used = io->in_used;
    return r;
}

int bvi_pack_read(bvi_pack *pack, uint8_t *out, size_t cap, size_t *ret_made, bool *ret_end,
                  bv_error **err)
{
    bvi_codec_io io = { .out = out, .out_cap = cap };
    uint64_t before = pack->plain;
    int r = 0;

    if (bvi_chunk_plain_bytes(pack->opts.chunk) == 0)
        pack->end = true; /* an empty chunk is stored as nothing, not as an empty frame */
    while (r == 0 && !pack->end && io.out_made < cap && pack->plain - before < READ_BYTES_MAX)
        r = read_step(pack, &io, err);
    if (r == 0)
        r = bvi_hash_update(&pack->hash, out, io.out_made, err);
    if (r < 0)
        return r;
    pack->stored += io.out_made;
    *ret_made = io.out_made;
    *ret_end = pack->end;
    return 0;
}

static int allocate(bvi_pack *p, bv_error **err)
{
    int r = bvi_hash_init(&p->hash, BVI_CHECKSUM_BLAKE3, err);

    if (r < 0)
        return r;
    r = bvi_encoder_new(&p->opts.compression, p->opts.threads, &p->encoder, err);
    if (r < 0)
        return r;
    p->in = bvi_malloc(IN_BYTES);
    return p->in ? 0 : bvi_fail_nomem(err);
}

int bvi_pack_new(const bvi_pack_opts *opts, bvi_pack **ret_pack, bv_error **err)
{
    bvi_pack *p = bvi_new0(bvi_pack);
    int r;

    if (!p)
        return bvi_fail_nomem(err);
    p->opts = *opts;
    p->fd = -1;
    r = allocate(p, err);
    if (r < 0) {
        bvi_pack_free(p);
        return r;
    }
    *ret_pack = p;
    return 0;
}

void bvi_pack_free(bvi_pack *pack)
{
    if (!pack)
        return;
    bvi_hash_done(&pack->hash);
    bvi_codec_free(pack->encoder);
    bvi_closep(&pack->fd);
    bvi_free(pack->in);
    bvi_free(pack);
}

uint64_t bvi_pack_plain(const bvi_pack *pack)
{
    return pack->plain;
}

int bvi_pack_result(bvi_pack *pack, uint64_t *ret_size, bvi_checksum *ret_sum, bv_error **err)
{
    int r;

    if (!pack->end)
        return bvi_fail(err, BV_E_INTERNAL, "the chunk was not read to its end");
    r = bvi_hash_final(&pack->hash, ret_sum, err);
    if (r == 0)
        *ret_size = pack->stored;
    return r;
}
