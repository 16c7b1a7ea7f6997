/*
 * pack_journal.c - see pack_journal.h.
 *
 * record = length of the payload (4 bytes) | first 8 bytes of its BLAKE3 | payload
 * payload = HEAD publishing version began key_len key place lease_len lease [root]
 *         | PACK id n (hash plain codec offset stored)*
 * Numbers are varints. A later HEAD replaces an earlier one.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/blake3.h"
#include "snapshot/pack_journal.h"
#include "snapshot/varint.h"
#include "sys/fs.h"

enum { RECORD_HEAD = 1, RECORD_PACK = 2 };

#define FRAME_BYTES  (BVI_BLAKE3_SIZE + 4 * BVI_VARINT_MAX)
#define RECORD_MAX   (64u + BVI_PACK_FRAMES_MAX * FRAME_BYTES)
#define CHECK_BYTES  8u
#define PREFIX_BYTES (4u + CHECK_BYTES)

struct bvi_pack_journal {
    int fd;
    char *path;
    bvi_buf payload; /* of the record at hand */
    uint64_t packs;  /* at opening */
    uint64_t at;     /* where the next record is read */
    uint64_t end;    /* of what was there at opening */
};

static void check_of(const bvi_buf *payload, uint8_t check[CHECK_BYTES])
{
    uint8_t digest[BVI_BLAKE3_SIZE];

    bvi_blake3_hash(payload->data, payload->len, digest);
    memcpy(check, digest, CHECK_BYTES);
}

/* ---- reading ---- */

static bool read_at(bvi_pack_journal *j, uint64_t pos, void *into, size_t len)
{
    return pread(j->fd, into, len, (off_t)pos) == (ssize_t)len;
}

/* 1: the payload of the record at j->at, which moves on; 0: the rest is not a whole record. */
static int read_record(bvi_pack_journal *j, bv_error **err)
{
    uint8_t prefix[PREFIX_BYTES];
    uint8_t check[CHECK_BYTES];
    uint32_t len;

    if (j->end - j->at < PREFIX_BYTES || !read_at(j, j->at, prefix, sizeof(prefix)))
        return 0;
    memcpy(&len, prefix, sizeof(len));
    if (len == 0 || len > RECORD_MAX || len > j->end - j->at - PREFIX_BYTES)
        return 0;
    bvi_buf_clear(&j->payload);
    if (bvi_buf_reserve(&j->payload, len) < 0)
        return bvi_fail_nomem(err);
    if (!read_at(j, j->at + PREFIX_BYTES, j->payload.data, len))
        return 0;
    j->payload.len = len;
    check_of(&j->payload, check);
    if (memcmp(check, prefix + 4, sizeof(check)) != 0)
        return 0;
    j->at += PREFIX_BYTES + len;
    return 1;
}

static bool get_text(const uint8_t **at, const uint8_t *end, char *text, size_t size)
{
    uint64_t len;

    if (!bvi_varint_get(at, end, &len) || len >= size || len > (uint64_t)(end - *at))
        return false;
    memcpy(text, *at, (size_t)len);
    text[len] = '\0';
    *at += len;
    return true;
}

static bool get_hash(const uint8_t **at, const uint8_t *end, bvi_hash256 *hash)
{
    if ((size_t)(end - *at) < sizeof(hash->bytes))
        return false;
    memcpy(hash->bytes, *at, sizeof(hash->bytes));
    *at += sizeof(hash->bytes);
    return true;
}

static bool parse_head(const bvi_buf *payload, bvi_pack_journal_head *head)
{
    const uint8_t *at = (const uint8_t *)payload->data + 1;
    const uint8_t *end = (const uint8_t *)payload->data + payload->len;
    uint64_t publishing;
    uint64_t began_us;

    if (!bvi_varint_get(&at, end, &publishing) || !bvi_varint_get(&at, end, &head->version) ||
        !bvi_varint_get(&at, end, &began_us) || began_us > INT64_MAX ||
        !get_text(&at, end, head->key, sizeof(head->key)) || !get_hash(&at, end, &head->place) ||
        !get_text(&at, end, head->lease, sizeof(head->lease)))
        return false;
    head->began_us = (int64_t)began_us;
    head->publishing = publishing != 0;
    return !head->publishing || get_hash(&at, end, &head->root);
}

static bool parse_frame(const uint8_t **at, const uint8_t *end, bvi_snap_frame *frame)
{
    uint64_t plain;
    uint64_t codec;
    uint64_t stored;

    if (!get_hash(at, end, &frame->hash) || !bvi_varint_get(at, end, &plain) ||
        !bvi_varint_get(at, end, &codec) || !bvi_varint_get(at, end, &frame->offset) ||
        !bvi_varint_get(at, end, &stored))
        return false;
    frame->plain = (uint32_t)plain;
    frame->stored = (uint32_t)stored;
    frame->codec = (bvi_snap_codec)codec;
    return plain <= BVI_SNAP_CHUNK_MAX && stored <= BVI_SNAP_FRAME_MAX && codec <= BVI_SNAP_LZ4 &&
           frame->offset <= BVI_SNAP_PACK_MAX;
}

static int parse_pack(const bvi_buf *payload, bvi_snap_frames *frames, bv_error **err)
{
    const uint8_t *at = (const uint8_t *)payload->data + 1;
    const uint8_t *end = (const uint8_t *)payload->data + payload->len;
    bvi_hash256 pack;
    uint64_t n = 0;

    frames->len = 0;
    if (!get_hash(&at, end, &pack) || !bvi_varint_get(&at, end, &n))
        return bvi_fail(err, BV_E_FORMAT, "a record is damaged");
    for (uint64_t i = 0; i < n; i++) {
        bvi_snap_frame *frame = bvi_vec_push(frames);

        if (!frame)
            return bvi_fail_nomem(err);
        frame->pack = pack;
        if (!parse_frame(&at, end, frame))
            return bvi_fail(err, BV_E_FORMAT, "a record is damaged");
    }
    return 1;
}

uint64_t bvi_pack_journal_packs(const bvi_pack_journal *journal)
{
    return journal->packs;
}

int bvi_pack_journal_next(bvi_pack_journal *j, bvi_snap_frames *frames, bv_error **err)
{
    for (;;) {
        int r = read_record(j, err);

        if (r <= 0)
            return r;
        if (j->payload.data[0] == RECORD_PACK)
            return parse_pack(&j->payload, frames, err);
    }
}

/* Looks at every record once; what is behind the last good one goes. */
static int load(bvi_pack_journal *j, bvi_pack_journal_head *head, bv_error **err)
{
    struct stat st;
    int r;

    if (fstat(j->fd, &st) < 0)
        return bvi_fail_sys(err, errno, "cannot look at '%s'", j->path);
    j->end = (uint64_t)st.st_size;
    for (;;) {
        r = read_record(j, err);
        if (r <= 0)
            break;
        if (j->payload.data[0] == RECORD_PACK)
            j->packs++;
        else if (!parse_head(&j->payload, head))
            return bvi_fail(err, BV_E_FORMAT, "'%s' was written by another version; remove it",
                            j->path);
    }
    if (r == 0 && j->at < j->end && ftruncate(j->fd, (off_t)j->at) < 0)
        return bvi_fail_sys(err, errno, "cannot cut the damaged end of '%s'", j->path);
    j->end = j->at;
    j->at = 0;
    return r;
}

int bvi_pack_journal_open(const char *path, bvi_pack_journal_head *ret_head,
                          bvi_pack_journal **ret_journal, bv_error **err)
{
    BVI_AUTO(bvi_pack_journal_freep) bvi_pack_journal *j = bvi_new0(bvi_pack_journal);
    int r;

    if (!j)
        return bvi_fail_nomem(err);
    j->fd = -1;
    bvi_buf_init(&j->payload, RECORD_MAX);
    j->path = bvi_strdup(path);
    if (!j->path)
        return bvi_fail_nomem(err);
    j->fd = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (j->fd < 0)
        return bvi_fail_sys(err, errno, "cannot open journal '%s'", path);
    *ret_head = (bvi_pack_journal_head){ .version = 0 };
    r = load(j, ret_head, err);
    if (r < 0)
        return r;
    *ret_journal = bvi_take(j);
    return 0;
}

void bvi_pack_journal_free(bvi_pack_journal *j)
{
    if (!j)
        return;
    bvi_closep(&j->fd);
    bvi_free(j->path);
    bvi_buf_done(&j->payload);
    bvi_free(j);
}

/* ---- writing ---- */

static int write_record(bvi_pack_journal *j, bv_error **err)
{
    const uint32_t len = (uint32_t)j->payload.len;
    uint8_t prefix[PREFIX_BYTES];
    int r;

    memcpy(prefix, &len, sizeof(len));
    check_of(&j->payload, prefix + 4);
    r = bvi_fs_write_all(j->fd, prefix, sizeof(prefix));
    if (r == 0)
        r = bvi_fs_write_all(j->fd, j->payload.data, j->payload.len);
    return r < 0 ? bvi_fail_sys(err, -r, "cannot write journal '%s'", j->path) : 0;
}

static int put_text(bvi_buf *buf, const char *text)
{
    int r = bvi_varint_put(buf, strlen(text));

    return r < 0 ? r : bvi_buf_append_str(buf, text);
}

int bvi_pack_journal_update(bvi_pack_journal *j, const bvi_pack_journal_head *head, bv_error **err)
{
    bvi_buf *p = &j->payload;
    int r;

    bvi_buf_clear(p);
    r = bvi_buf_append_char(p, RECORD_HEAD);
    if (r == 0)
        r = bvi_varint_put(p, head->publishing);
    if (r == 0)
        r = bvi_varint_put(p, head->version);
    if (r == 0)
        r = bvi_varint_put(p, (uint64_t)head->began_us);
    if (r == 0)
        r = put_text(p, head->key);
    if (r == 0)
        r = bvi_buf_append(p, head->place.bytes, sizeof(head->place.bytes));
    if (r == 0)
        r = put_text(p, head->lease);
    if (r == 0 && head->publishing)
        r = bvi_buf_append(p, head->root.bytes, sizeof(head->root.bytes));
    if (r < 0)
        return bvi_fail_nomem(err);
    r = write_record(j, err);
    if (r == 0 && fdatasync(j->fd) < 0)
        return bvi_fail_sys(err, errno, "cannot sync journal '%s'", j->path);
    return r;
}

int bvi_pack_journal_restart(bvi_pack_journal *j, const bvi_pack_journal_head *head, bv_error **err)
{
    if (ftruncate(j->fd, 0) < 0)
        return bvi_fail_sys(err, errno, "cannot clear journal '%s'", j->path);
    j->packs = j->at = j->end = 0;
    return bvi_pack_journal_update(j, head, err);
}

static int put_frame(bvi_buf *p, const bvi_snap_frame *frame)
{
    int r = bvi_buf_append(p, frame->hash.bytes, sizeof(frame->hash.bytes));

    if (r == 0)
        r = bvi_varint_put(p, frame->plain);
    if (r == 0)
        r = bvi_varint_put(p, frame->codec);
    if (r == 0)
        r = bvi_varint_put(p, frame->offset);
    return r < 0 ? r : bvi_varint_put(p, frame->stored);
}

int bvi_pack_journal_add(bvi_pack_journal *j, const bvi_snap_frame *frames, size_t n,
                         bv_error **err)
{
    bvi_buf *p = &j->payload;
    int r;

    if (n == 0)
        return 0;
    bvi_buf_clear(p);
    r = bvi_buf_append_char(p, RECORD_PACK);
    if (r == 0)
        r = bvi_buf_append(p, frames[0].pack.bytes, sizeof(frames[0].pack.bytes));
    if (r == 0)
        r = bvi_varint_put(p, n);
    for (size_t i = 0; r == 0 && i < n; i++)
        r = put_frame(p, &frames[i]);
    return r < 0 ? bvi_fail_nomem(err) : write_record(j, err);
}

int bvi_pack_journal_remove(bvi_pack_journal *j, bv_error **err)
{
    bvi_closep(&j->fd);
    return bvi_fs_remove(j->path, err);
}
