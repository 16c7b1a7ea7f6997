/*
 * stamps.c - see stamps.h.
 *
 * file   = head (512 bytes, zeros until it is known) | record*
 * head   = magic | BLAKE3 of the rest | version | before_ns | root | key, padded by zeros
 * record = kind | shared | suffix_len | suffix | device | inode | size | mtime | ctime
 * Numbers of records are varints, those of the head plain; `shared` bytes of the path before begin
 * the path, as in pages.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/blake3.h"
#include "snapshot/stamps.h"
#include "snapshot/varint.h"
#include "sys/fs.h"

#define HEAD_BYTES   512u
#define BUFFER_BYTES (64u * 1024u)
#define RECORD_MAX   (BVI_SNAP_PATH_MAX + 8u * BVI_VARINT_MAX)

static const char magic[8] = { 'B', 'V', 'S', 'T', 'A', 'M', 'P', '1' };

typedef struct head_image {
    char magic[8];
    uint8_t check[BVI_BLAKE3_SIZE];
    bvi_stamps_head head;
} head_image;

_Static_assert(sizeof(head_image) <= HEAD_BYTES, "the head has its place");

static void check_of(const head_image *image, uint8_t check[BVI_BLAKE3_SIZE])
{
    bvi_blake3_hash(&image->head, sizeof(image->head), check);
}

/* ---- writing ---- */

struct bvi_stamps_writer {
    int fd;
    char *path;
    bvi_buf pending;
    char last[BVI_SNAP_PATH_MAX + 1];
};

int bvi_stamps_writer_new(const char *path, bvi_stamps_writer **ret_writer, bv_error **err)
{
    BVI_AUTO(bvi_stamps_writer_freep) bvi_stamps_writer *w = bvi_new0(bvi_stamps_writer);

    if (!w)
        return bvi_fail_nomem(err);
    w->fd = -1;
    bvi_buf_init(&w->pending, BUFFER_BYTES + RECORD_MAX);
    w->path = bvi_strdup(path);
    if (!w->path)
        return bvi_fail_nomem(err);
    w->fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (w->fd < 0 || lseek(w->fd, HEAD_BYTES, SEEK_SET) < 0)
        return bvi_fail_sys(err, errno, "cannot write '%s'", path);
    *ret_writer = bvi_take(w);
    return 0;
}

void bvi_stamps_writer_free(bvi_stamps_writer *w)
{
    if (!w)
        return;
    bvi_closep(&w->fd);
    bvi_free(w->path);
    bvi_buf_done(&w->pending);
    bvi_free(w);
}

int bvi_stamps_flush(bvi_stamps_writer *w, bv_error **err)
{
    int r = bvi_fs_write_all(w->fd, w->pending.data, w->pending.len);

    if (r < 0)
        return bvi_fail_sys(err, -r, "cannot write '%s'", w->path);
    bvi_buf_clear(&w->pending);
    return 0;
}

static size_t shared_bytes(const char *a, const char *b)
{
    size_t n = 0;

    while (a[n] && a[n] == b[n])
        n++;
    return n;
}

int bvi_stamps_add(bvi_stamps_writer *w, bvi_snap_kind kind, const char *path,
                   const bvi_file_stamp *stamp, bv_error **err)
{
    const size_t shared = shared_bytes(w->last, path);
    const size_t len = strlen(path + shared);
    const uint64_t numbers[] = { stamp->device, stamp->inode, stamp->size,
                                 (uint64_t)stamp->mtime_ns, (uint64_t)stamp->ctime_ns };
    int r = bvi_varint_put(&w->pending, kind);

    if (r == 0)
        r = bvi_varint_put(&w->pending, shared);
    if (r == 0)
        r = bvi_varint_put(&w->pending, len);
    if (r == 0)
        r = bvi_buf_append(&w->pending, path + shared, len);
    for (size_t i = 0; r == 0 && i < BVI_COUNT(numbers); i++)
        r = bvi_varint_put(&w->pending, numbers[i]);
    if (r < 0)
        return bvi_fail(err, r, "cannot keep the stamp of '%s'", path);
    memcpy(w->last + shared, path + shared, len + 1);
    return w->pending.len >= BUFFER_BYTES ? bvi_stamps_flush(w, err) : 0;
}

int bvi_stamps_finish(bvi_stamps_writer *w, const bvi_stamps_head *head, bv_error **err)
{
    head_image image;
    int r = bvi_stamps_flush(w, err);

    if (r < 0)
        return r;
    memset(&image, 0, sizeof(image)); /* its padding is written too */
    memcpy(image.magic, magic, sizeof(magic));
    memcpy(image.head.key, head->key, strlen(head->key));
    image.head.version = head->version;
    image.head.root = head->root;
    image.head.before_ns = head->before_ns;
    check_of(&image, image.check);
    r = fdatasync(w->fd) < 0 ? -errno : bvi_fs_pwrite_all(w->fd, &image, sizeof(image), 0);
    if (r == 0 && fsync(w->fd) < 0)
        r = -errno;
    return r < 0 ? bvi_fail_sys(err, -r, "cannot write '%s'", w->path) : 0;
}

/* ---- reading ---- */

struct bvi_stamps_reader {
    int fd;
    char *path;
    uint8_t *buffer;
    size_t at;
    size_t len;
    bool ended; /* nothing behind the buffer */
    char name[BVI_SNAP_PATH_MAX + 1];
    size_t name_len;
};

static int read_head(bvi_stamps_reader *s, bvi_stamps_head *ret_head, bv_error **err)
{
    head_image image;
    uint8_t check[BVI_BLAKE3_SIZE];
    ssize_t n = pread(s->fd, &image, sizeof(image), 0);

    if (n < 0)
        return bvi_fail_sys(err, errno, "cannot read '%s'", s->path);
    if (n != (ssize_t)sizeof(image) || memcmp(image.magic, magic, sizeof(magic)) != 0)
        return bvi_fail(err, BV_E_FORMAT, "'%s' was not finished", s->path);
    check_of(&image, check);
    if (memcmp(check, image.check, sizeof(check)) != 0)
        return bvi_fail(err, BV_E_FORMAT, "'%s' is damaged", s->path);
    *ret_head = image.head;
    ret_head->key[sizeof(ret_head->key) - 1] = '\0';
    return 0;
}

int bvi_stamps_reader_new(const char *path, bvi_stamps_head *ret_head,
                          bvi_stamps_reader **ret_reader, bv_error **err)
{
    BVI_AUTO(bvi_stamps_reader_freep) bvi_stamps_reader *s = bvi_new0(bvi_stamps_reader);
    int r = 0;

    if (!s)
        return bvi_fail_nomem(err);
    s->fd = -1;
    s->path = bvi_strdup(path);
    s->buffer = bvi_malloc(BUFFER_BYTES);
    if (!s->path || !s->buffer)
        return bvi_fail_nomem(err);
    s->fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (s->fd < 0)
        return bvi_fail_sys(err, errno, "cannot open '%s'", path);
    if (ret_head)
        r = read_head(s, ret_head, err);
    if (r < 0)
        return r;
    if (lseek(s->fd, HEAD_BYTES, SEEK_SET) < 0)
        return bvi_fail_sys(err, errno, "cannot read '%s'", path);
    *ret_reader = bvi_take(s);
    return 0;
}

void bvi_stamps_reader_free(bvi_stamps_reader *s)
{
    if (!s)
        return;
    bvi_closep(&s->fd);
    bvi_free(s->path);
    bvi_free(s->buffer);
    bvi_free(s);
}

/* At least one whole record in the buffer, unless the file ends. */
static int refill(bvi_stamps_reader *s, bv_error **err)
{
    if (s->ended || s->len - s->at >= RECORD_MAX)
        return 0;
    memmove(s->buffer, s->buffer + s->at, s->len - s->at);
    s->len -= s->at;
    s->at = 0;
    while (s->len < BUFFER_BYTES) {
        ssize_t n = read(s->fd, s->buffer + s->len, BUFFER_BYTES - s->len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return bvi_fail_sys(err, errno, "cannot read '%s'", s->path);
        if (n == 0) {
            s->ended = true;
            break;
        }
        s->len += (size_t)n;
    }
    return 0;
}

static bool read_name(bvi_stamps_reader *s, const uint8_t **at, const uint8_t *end)
{
    uint64_t shared;
    uint64_t len;

    if (!bvi_varint_get(at, end, &shared) || !bvi_varint_get(at, end, &len) ||
        shared > s->name_len || len > BVI_SNAP_PATH_MAX || shared + len > BVI_SNAP_PATH_MAX ||
        len > (uint64_t)(end - *at))
        return false;
    memcpy(s->name + shared, *at, (size_t)len);
    s->name_len = (size_t)(shared + len);
    s->name[s->name_len] = '\0';
    *at += len;
    return strlen(s->name) == s->name_len;
}

int bvi_stamps_next(bvi_stamps_reader *s, bvi_stamps_item *ret_item, bv_error **err)
{
    const uint8_t *at;
    const uint8_t *end;
    uint64_t kind;
    uint64_t numbers[5];
    bool good;
    int r = refill(s, err);

    if (r < 0)
        return r;
    at = s->buffer + s->at;
    end = s->buffer + s->len;
    if (at == end)
        return 0;
    good = bvi_varint_get(&at, end, &kind) && read_name(s, &at, end);
    for (size_t i = 0; good && i < BVI_COUNT(numbers); i++)
        good = bvi_varint_get(&at, end, &numbers[i]);
    if (!good)
        return bvi_fail(err, BV_E_FORMAT, "'%s' is damaged", s->path);
    s->at = (size_t)(at - s->buffer);
    *ret_item = (bvi_stamps_item){
        .kind = (bvi_snap_kind)kind,
        .path = s->name,
        .stamp = { .device = numbers[0],
                   .inode = numbers[1],
                   .size = numbers[2],
                   .mtime_ns = (int64_t)numbers[3],
                   .ctime_ns = (int64_t)numbers[4] },
    };
    return 1;
}
