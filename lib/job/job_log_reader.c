/*
 * job_log_reader.c - the reading side: the last lines, and following by name across rotations.
 *
 * Files are found again by inode, so a rename between two reads is nothing but a new name. Each
 * call opens what it needs and closes it again.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "job/job_log.h"
#include "job/runner_files.h"

#define CHUNK (64u * 1024u)

/* Newest first, as they were when they were opened. */
typedef struct log_files {
    int fds[BVI_JOB_LOG_FILES];
    uint64_t inodes[BVI_JOB_LOG_FILES];
    uint64_t sizes[BVI_JOB_LOG_FILES];
    size_t count;
} log_files;

static void close_files(log_files *files)
{
    for (size_t i = 0; i < files->count; i++)
        bvi_closep(&files->fds[i]);
    files->count = 0;
}

static int add_file(log_files *files, int dir_fd, const char *name, bv_error **err)
{
    bvi_auto_close int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    struct stat st;

    if (fd < 0 && errno == ENOENT)
        return 0;
    if (fd < 0 || fstat(fd, &st) < 0)
        return bvi_fail_sys(err, errno, "cannot open '%s'", name);
    if (!S_ISREG(st.st_mode))
        return bvi_fail(err, BV_E_FORMAT, "'%s' is not a regular file", name);
    for (size_t i = 0; i < files->count; i++) {
        if (files->inodes[i] == (uint64_t)st.st_ino)
            return 0; /* it was renamed between two opens */
    }
    files->inodes[files->count] = (uint64_t)st.st_ino;
    files->sizes[files->count] = (uint64_t)st.st_size;
    files->fds[files->count++] = bvi_take_fd(&fd);
    return 0;
}

/* Newest name first: a rotation meanwhile can only show a file twice, never hide one. */
static int open_files(const char *job_dir, log_files *files, bv_error **err)
{
    static const char *const names[] = { BVI_JOB_LOG_FILE, BVI_JOB_LOG_FILE ".1",
                                         BVI_JOB_LOG_FILE ".2" };
    bvi_auto_close int dir_fd = open(job_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int r = 0;

    if (dir_fd < 0)
        return bvi_fail_sys(err, errno, "cannot open the job directory '%s'", job_dir);
    for (size_t i = 0; i < BVI_COUNT(names) && r == 0; i++)
        r = add_file(files, dir_fd, names[i], err);
    return r < 0 ? bvi_wrap(err, r, "cannot read the logs in '%s'", job_dir) : 0;
}

/* Appends bytes [from, to) of a file; *ret_end is how far it really went. */
static int read_range(int fd, uint64_t from, uint64_t to, bvi_buf *out, uint64_t *ret_end,
                      bv_error **err)
{
    while (from < to) {
        size_t want = to - from < CHUNK ? (size_t)(to - from) : CHUNK;
        ssize_t n;
        int r = bvi_buf_reserve(out, want);

        if (r < 0)
            return r == BV_E_NOMEM ? bvi_fail_nomem(err)
                                   : bvi_fail(err, r, "the log does not fit the buffer");
        n = pread(fd, out->data + out->len, want, (off_t)from);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return bvi_fail_sys(err, errno, "cannot read a log");
        if (n == 0)
            break;
        out->len += (size_t)n;
        out->data[out->len] = '\0';
        from += (uint64_t)n;
    }
    *ret_end = from;
    return 0;
}

/* ---- tail ---- */

typedef struct line_search {
    size_t lines; /* still wanted */
    size_t bytes; /* still allowed */
    bool first;   /* the very last byte was not looked at yet */
    bool found;
    uint64_t start; /* in the file where it was found */
} line_search;

/* Looks backwards for the start of the wanted lines in one piece of a file. */
static void search_piece(line_search *s, const char *piece, size_t len, uint64_t offset)
{
    for (size_t i = len; i > 0 && !s->found; i--) {
        bool ends_line = piece[i - 1] == '\n';

        /* The line end at the very end of the log ends the last line and begins none. */
        if (ends_line && !s->first && --s->lines == 0) {
            s->found = true;
            s->start = offset + i;
        } else if (s->bytes == 0) {
            s->found = true;
            s->start = offset + i;
        } else {
            s->bytes--;
        }
        s->first = false;
    }
}

static int search_file(line_search *s, int fd, uint64_t size, bv_error **err)
{
    char piece[4096];

    for (uint64_t end = size; end > 0 && !s->found;) {
        size_t want = end < sizeof(piece) ? (size_t)end : sizeof(piece);
        ssize_t n = pread(fd, piece, want, (off_t)(end - want));

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return bvi_fail_sys(err, errno, "cannot read a log");
        if ((size_t)n < want)
            return 0; /* somebody cut the file: take it from its start */
        search_piece(s, piece, want, end - want);
        end -= want;
    }
    return 0;
}

int bvi_job_log_tail(const char *job_dir, size_t lines, size_t max_bytes, bvi_buf *out,
                     bvi_job_log_pos *ret_pos, bv_error **err)
{
    BVI_AUTO(close_files) log_files files = { 0 };
    line_search s = { .lines = lines, .bytes = max_bytes, .first = true };
    bvi_job_log_pos pos = { 0 };
    size_t oldest = 0;
    int r = open_files(job_dir, &files, err);

    if (r < 0)
        return r;
    if (files.count) {
        pos.inode = files.inodes[0];
        pos.offset = files.sizes[0];
    }
    for (size_t i = 0; i < files.count && lines && !s.found; i++) {
        oldest = i;
        r = search_file(&s, files.fds[i], files.sizes[i], err);
        if (r < 0)
            return r;
    }
    for (size_t i = files.count && lines ? oldest + 1 : 0; i > 0; i--) {
        uint64_t end = 0;

        r = read_range(files.fds[i - 1], s.found && i - 1 == oldest ? s.start : 0,
                       files.sizes[i - 1], out, &end, err);
        if (r < 0)
            return r;
    }
    *ret_pos = pos;
    return 0;
}

/* ---- follow ---- */

static int step(const log_files *files, size_t i, bvi_job_log_pos *pos, size_t *left, bvi_buf *out,
                bv_error **err)
{
    uint64_t end = pos->offset;
    uint64_t to = files->sizes[i];
    int r;

    if (to > end && to - end > *left)
        to = end + *left;
    r = read_range(files->fds[i], end, to, out, &end, err);
    if (r < 0)
        return r;
    *left -= (size_t)(end - pos->offset);
    pos->offset = end;
    return 0;
}

int bvi_job_log_next(const char *job_dir, bvi_job_log_pos *pos, size_t max_bytes, bvi_buf *out,
                     bool *ret_gap, bv_error **err)
{
    BVI_AUTO(close_files) log_files files = { 0 };
    size_t left = max_bytes;
    size_t i;
    int r = open_files(job_dir, &files, err);

    if (r < 0)
        return r;
    *ret_gap = false;
    if (files.count == 0)
        return 0;
    for (i = 0; i < files.count && files.inodes[i] != pos->inode; i++)
        ;
    if (i == files.count) {
        *ret_gap = pos->inode != 0;
        i = files.count - 1;
        *pos = (bvi_job_log_pos){ .inode = files.inodes[i] };
    }
    if (pos->offset > files.sizes[i])
        pos->offset = 0; /* somebody emptied the file */
    for (;;) {
        r = step(&files, i, pos, &left, out, err);
        /* A newer file exists only once this one is complete. */
        if (r < 0 || i == 0 || left == 0)
            return r;
        i--;
        *pos = (bvi_job_log_pos){ .inode = files.inodes[i] };
    }
}
