/*
 * scan.c - walks a source directory through descriptors, so that a directory swapped for a link
 * meanwhile leads nowhere.
 *
 * Called by upload.c in the worker pool, before planning, and once more at the end to see what
 * changed.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/glob.h"
#include "base/utf8.h"
#include "sys/fs.h"
#include "transfer/path.h"
#include "transfer/scan.h"

typedef struct walk {
    bvi_scan *scan;
    const bvi_scan_opts *opts;
    struct stat skip; /* identity of opts->skip_dir, st_ino 0 for none */
    bvi_buf path;     /* of the entry at hand */
    unsigned depth;
} walk;

void bvi_scan_init(bvi_scan *scan)
{
    *scan = (bvi_scan){ .files = BVI_VEC_INIT(BVI_TARGETS_MAX) };
}

void bvi_scan_done(bvi_scan *scan)
{
    for (size_t i = 0; i < scan->files.len; i++)
        bvi_free(scan->files.items[i].path);
    bvi_vec_done(&scan->files);
    bvi_scan_init(scan);
}

static int64_t time_ns(const struct timespec *ts)
{
    return (int64_t)ts->tv_sec * 1000000000 + ts->tv_nsec;
}

bvi_file_stamp bvi_file_stamp_of(const struct stat *st)
{
    return (bvi_file_stamp){
        .device = st->st_dev,
        .inode = st->st_ino,
        .size = (uint64_t)st->st_size,
        .mtime_ns = time_ns(&st->st_mtim),
        .ctime_ns = time_ns(&st->st_ctim),
    };
}

bool bvi_file_stamp_equal(const bvi_file_stamp *a, const bvi_file_stamp *b)
{
    return a->device == b->device && a->inode == b->inode && a->size == b->size &&
           a->mtime_ns == b->mtime_ns && a->ctime_ns == b->ctime_ns;
}

static int add_file(walk *w, const struct stat *st, bv_error **err)
{
    const char *path = bvi_buf_str(&w->path);
    bvi_scan *scan = w->scan;
    bvi_scan_file *file;

    if (!bvi_utf8_valid(path, w->path.len))
        return bvi_fail(err, BV_E_UNSUPPORTED,
                        "file name '%s' is not UTF-8 and cannot be archived; rename or exclude it",
                        path);
    if (scan->files.len >= BVI_TARGETS_MAX)
        return bvi_fail(err, BV_E_LIMIT, "more than %u files", BVI_TARGETS_MAX);
    if (__builtin_add_overflow(scan->total_size, (uint64_t)st->st_size, &scan->total_size) ||
        scan->total_size > BVI_FILE_BYTES_MAX)
        return bvi_fail(err, BV_E_LIMIT, "more than %llu bytes", BVI_FILE_BYTES_MAX);
    file = bvi_vec_push(&scan->files);
    if (file)
        file->path = bvi_strdup(path);
    if (!file || !file->path)
        return bvi_fail_nomem(err);
    file->stamp = bvi_file_stamp_of(st);
    return 0;
}

static bool is_excluded(const walk *w)
{
    for (const char *const *p = w->opts->exclude; p && *p; p++) {
        if (bvi_glob_match(*p, bvi_buf_str(&w->path)))
            return true;
    }
    return false;
}

static int walk_dir(walk *w, int dir_fd, bv_error **err);

static int enter(walk *w, int parent_fd, const char *name, const struct stat *st, bv_error **err)
{
    bvi_auto_close int fd = -1;
    int r;

    if (w->skip.st_ino && st->st_ino == w->skip.st_ino && st->st_dev == w->skip.st_dev)
        return 0;
    if (w->depth >= BVI_SCAN_DEPTH_MAX)
        return bvi_fail(err, BV_E_LIMIT, "directory '%s' is more than %u levels deep",
                        bvi_buf_str(&w->path), BVI_SCAN_DEPTH_MAX);
    fd = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return bvi_fail_sys(err, errno, "cannot read directory '%s'", bvi_buf_str(&w->path));
    w->depth++;
    r = walk_dir(w, fd, err);
    w->depth--;
    return r;
}

static int take_entry(walk *w, int dir_fd, const char *name, bv_error **err)
{
    struct stat st;

    if (is_excluded(w)) {
        w->scan->excluded++;
        return 0;
    }
    if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return bvi_fail_sys(err, errno, "cannot look at '%s'", bvi_buf_str(&w->path));
    if (S_ISDIR(st.st_mode))
        return enter(w, dir_fd, name, &st, err);
    if (S_ISREG(st.st_mode))
        return add_file(w, &st, err);
    if (S_ISLNK(st.st_mode))
        w->scan->skipped_links++;
    else
        w->scan->skipped_special++;
    return 0;
}

static int visit(walk *w, int dir_fd, const char *name, bv_error **err)
{
    size_t len = w->path.len;
    int r;

    if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return 0;
    r = len ? bvi_buf_append_char(&w->path, '/') : 0;
    if (r == 0)
        r = bvi_buf_append_str(&w->path, name);
    if (r < 0)
        return bvi_fail(err, r, "the path of '%s' is longer than %u bytes", name,
                        BVI_TARGET_PATH_MAX);
    r = take_entry(w, dir_fd, name, err);
    w->path.len = len;
    w->path.data[len] = '\0';
    return r;
}

static void close_dir(DIR **dir)
{
    if (*dir)
        (void)closedir(*dir); /* was only read */
}

static int walk_dir(walk *w, int dir_fd, bv_error **err)
{
    bvi_auto_close int copy = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    BVI_AUTO(close_dir) DIR *dir = copy >= 0 ? fdopendir(copy) : NULL;
    int r = 0;

    if (!dir)
        return bvi_fail_sys(err, errno, "cannot read directory '%s'", bvi_buf_str(&w->path));
    (void)bvi_take_fd(&copy); /* dir has it now */
    if (w->opts->cancelled && w->opts->cancelled(w->opts->data))
        return bvi_fail(err, BV_E_CANCELLED, "the scan was interrupted");
    while (r == 0) {
        struct dirent *entry;

        errno = 0;
        entry = readdir(dir);
        if (!entry)
            return errno ? bvi_fail_sys(err, errno, "cannot read directory '%s'",
                                        bvi_buf_str(&w->path))
                         : 0;
        r = visit(w, dir_fd, entry->d_name, err);
    }
    return r;
}

static int compare_files(const void *a, const void *b)
{
    return bvi_target_path_compare(((const bvi_scan_file *)a)->path,
                                   ((const bvi_scan_file *)b)->path);
}

static int check_patterns(const bvi_scan_opts *opts, bv_error **err)
{
    size_t count = 0;

    for (const char *const *p = opts->exclude; p && *p; p++) {
        int r = bvi_glob_check(*p, err);

        if (r < 0)
            return bvi_wrap(err, r, "exclude");
        if (++count > BVI_SCAN_PATTERNS_MAX)
            return bvi_fail(err, BV_E_LIMIT, "more than %u exclude patterns",
                            BVI_SCAN_PATTERNS_MAX);
    }
    return 0;
}

int bvi_scan_run(bvi_scan *scan, int dir_fd, const bvi_scan_opts *opts, bv_error **err)
{
    BVI_AUTO(bvi_buf_done) bvi_buf path = BVI_BUF_INIT(BVI_TARGET_PATH_MAX);
    walk w = { .scan = scan, .opts = opts, .path = path };
    int r = check_patterns(opts, err);

    if (r == 0)
        r = bvi_buf_reserve(&w.path, 1) < 0 ? bvi_fail_nomem(err) : 0;
    if (r == 0 && opts->skip_dir && stat(opts->skip_dir, &w.skip) < 0)
        w.skip.st_ino = 0; /* it does not exist yet, so it is not in the way */
    if (r == 0)
        r = walk_dir(&w, dir_fd, err);
    path = w.path; /* for its cleanup */
    if (r == 0 && scan->files.len > 0)
        qsort(scan->files.items, scan->files.len, sizeof(*scan->files.items), compare_files);
    return r;
}

const bvi_scan_file *bvi_scan_find(const bvi_scan *scan, const char *path)
{
    bvi_scan_file wanted = { .path = (char *)path };

    if (scan->files.len == 0)
        return NULL;
    return bsearch(&wanted, scan->files.items, scan->files.len, sizeof(*scan->files.items),
                   compare_files);
}
