/*
 * image_tree.c - walking a tree twice: once to know how much there is, once to digest it.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "image/image_tree.h"
#include "sys/fs.h"

#define TREE_DEPTH_MAX   256u
#define TREE_NAMES_MAX   1000000u /* in one directory */
#define TREE_ENTRIES_MAX 20000000u
#define READ_BYTES       (1024u * 1024u)
#define CAPABILITY_XATTR "security.capability"
#define CAPABILITY_MAX   256u

typedef struct walk walk;
typedef int (*visit_fn)(walk *w, const char *path, const struct stat *st, bv_error **err);

struct walk {
    visit_fn visit;
    size_t top_len; /* of the path the walk began at */
    bvi_tree_progress *progress;
    bvi_blake3 hash;
    char *buffer;
    uint64_t files;
    uint64_t bytes;
};

static int walk_dir(walk *w, const char *path, unsigned depth, bv_error **err);

static int walk_entry(walk *w, const char *path, unsigned depth, bv_error **err)
{
    struct stat st;
    int r;

    if (atomic_load(&w->progress->cancel))
        return bvi_fail(err, BV_E_CANCELLED, "cancelled");
    if (++w->files > TREE_ENTRIES_MAX)
        return bvi_fail(err, BV_E_LIMIT, "the tree has more than %u entries", TREE_ENTRIES_MAX);
    if (lstat(path, &st) < 0)
        return bvi_fail_sys(err, errno, "cannot look at '%s'", path);
    r = w->visit(w, path, &st, err);
    return r < 0 || !S_ISDIR(st.st_mode) ? r : walk_dir(w, path, depth, err);
}

static int walk_dir(walk *w, const char *path, unsigned depth, bv_error **err)
{
    BVI_AUTO(bvi_strv_done) bvi_strv names = BVI_VEC_INIT(TREE_NAMES_MAX);
    int r;

    if (depth >= TREE_DEPTH_MAX)
        return bvi_fail(err, BV_E_LIMIT, "'%s' is nested too deeply", path);
    r = bvi_fs_list(path, &names, err);
    for (size_t i = 0; i < names.len && r == 0; i++) {
        bvi_auto_free char *child = bvi_path_join(path, names.items[i], NULL);

        r = child ? walk_entry(w, child, depth + 1, err) : bvi_fail_nomem(err);
    }
    return r;
}

static int count_entry(walk *w, const char *path, const struct stat *st, bv_error **err)
{
    (void)path;
    (void)err;
    if (S_ISREG(st->st_mode))
        w->bytes += (uint64_t)st->st_size;
    return 0;
}

/* ---- digesting ---- */

static int hash_content(walk *w, const char *path, bv_error **err)
{
    bvi_auto_close int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    uint8_t digest[BVI_BLAKE3_SIZE];
    bvi_blake3 hash;

    if (fd < 0)
        return bvi_fail_sys(err, errno, "cannot open '%s'", path);
    bvi_blake3_init(&hash);
    for (;;) {
        ssize_t n = read(fd, w->buffer, READ_BYTES);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return bvi_fail_sys(err, errno, "cannot read '%s'", path);
        if (n == 0)
            break;
        if (atomic_load(&w->progress->cancel))
            return bvi_fail(err, BV_E_CANCELLED, "cancelled");
        bvi_blake3_update(&hash, w->buffer, (size_t)n);
        atomic_fetch_add(&w->progress->bytes, (uint64_t)n);
    }
    bvi_blake3_final(&hash, digest);
    bvi_blake3_update(&w->hash, digest, sizeof(digest));
    return 0;
}

static int hash_link(walk *w, const char *path, bv_error **err)
{
    ssize_t n = readlink(path, w->buffer, READ_BYTES);

    if (n < 0)
        return bvi_fail_sys(err, errno, "cannot read the link '%s'", path);
    bvi_blake3_update(&w->hash, w->buffer, (size_t)n);
    return 0;
}

/* Capabilities make a program privileged: two files that differ in them are not the same. */
static void hash_capabilities(walk *w, const char *path)
{
    char value[CAPABILITY_MAX];
    ssize_t n = lgetxattr(path, CAPABILITY_XATTR, value, sizeof(value));

    if (n > 0)
        bvi_blake3_update(&w->hash, value, (size_t)n);
}

static int hash_entry(walk *w, const char *path, const struct stat *st, bv_error **err)
{
    bool sized = S_ISREG(st->st_mode) || S_ISLNK(st->st_mode);
    bool device = S_ISCHR(st->st_mode) || S_ISBLK(st->st_mode);
    char head[128];
    int len = snprintf(head, sizeof(head), "%o %u %u %llu ", (unsigned)st->st_mode,
                       (unsigned)st->st_uid, (unsigned)st->st_gid,
                       (unsigned long long)(sized    ? (uint64_t)st->st_size
                                            : device ? (uint64_t)st->st_rdev
                                                     : 0));
    const char *relative = path + w->top_len;

    atomic_store(&w->progress->files, w->files);
    bvi_blake3_update(&w->hash, head, (size_t)len);
    bvi_blake3_update(&w->hash, relative,
                      strlen(relative) + 1); /* with its zero, which no path holds */
    if (S_ISREG(st->st_mode)) {
        hash_capabilities(w, path);
        return hash_content(w, path, err);
    }
    return S_ISLNK(st->st_mode) ? hash_link(w, path, err) : 0;
}

int bvi_tree_digest(const char *path, bvi_tree_progress *progress, bvi_tree_result *ret_result,
                    bv_error **err)
{
    bvi_auto_free char *buffer = bvi_malloc(READ_BYTES);
    walk w = {
        .visit = count_entry, .top_len = strlen(path), .progress = progress, .buffer = buffer
    };
    int r = buffer ? walk_entry(&w, path, 0, err) : bvi_fail_nomem(err);

    if (r < 0)
        return r;
    atomic_store(&progress->total, w.bytes);
    ret_result->bytes = w.bytes;
    ret_result->files = w.files;
    w.visit = hash_entry;
    w.files = 0;
    bvi_blake3_init(&w.hash);
    r = walk_entry(&w, path, 0, err);
    if (r == 0)
        bvi_blake3_final(&w.hash, ret_result->digest);
    return r;
}
