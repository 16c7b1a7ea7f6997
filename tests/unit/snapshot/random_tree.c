/*
 * random_tree.c - see random_tree.h. Used by test_property.c.
 *
 * Everything goes by descriptors of directories, since paths may be longer than the kernel takes.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bvt.h"
#include "random_tree.h"

#define NAMES_MAX 16384u
#define DEPTH_MAX 5u    /* of what is not made deep on purpose */
#define MANY      3000u /* files of a tree with very many */
#define LEVELS    190u  /* of a deep one, each with a name of 20 bytes */
#define PIECE     65536u
#define LINKS_MAX 4096u

typedef struct names {
    char *items[NAMES_MAX];
    size_t len;
} names;

/* ---- dice ---- */

uint64_t dice_roll(dice *d, uint64_t sides)
{
    uint64_t z = (d->state += 0x9E3779B97F4A7C15ull);

    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
    return (z ^ (z >> 31)) % sides;
}

static bool one_in(dice *d, uint64_t n)
{
    return dice_roll(d, n) == 0;
}

static void random_name(dice *d, char name[256])
{
    size_t len = one_in(d, 20) ? 200 + dice_roll(d, 56) : 1 + dice_roll(d, 12);
    bool any = one_in(d, 3);

    for (size_t i = 0; i < len; i++) {
        name[i] = any ? (char)(1 + dice_roll(d, 255)) : (char)('a' + dice_roll(d, 26));
        if (name[i] == '/')
            name[i] = '\\';
    }
    name[len] = '\0';
    if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        name[0] = '-';
}

/* ---- lists of names ---- */

static int by_bytes(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static names *list(int dir)
{
    names *n = calloc(1, sizeof(*n));
    int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *stream = fd < 0 ? NULL : fdopendir(fd);
    const struct dirent *entry;

    ck_assert_ptr_nonnull(n);
    ck_assert_ptr_nonnull(stream);
    while ((entry = readdir(stream))) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        ck_assert_uint_lt(n->len, NAMES_MAX);
        n->items[n->len++] = strdup(entry->d_name);
    }
    (void)closedir(stream);
    qsort(n->items, n->len, sizeof(n->items[0]), by_bytes);
    return n;
}

static void names_free(names *n)
{
    for (size_t i = 0; i < n->len; i++)
        free(n->items[i]);
    free(n);
}

/* ---- making ---- */

static void fill(dice *d, uint8_t *bytes, size_t len)
{
    uint64_t seed = dice_roll(d, UINT64_MAX);
    bool shrinks = one_in(d, 2);

    for (size_t i = 0; i < len; i += 8) {
        seed = seed * 6364136223846793005ull + 1442695040888963407ull;
        memcpy(bytes + i, &(uint64_t){ shrinks ? seed >> 60 : seed }, 8);
    }
}

static void write_some(dice *d, int fd, uint64_t pos, uint64_t len)
{
    static uint8_t bytes[PIECE];

    while (len > 0) {
        size_t n = len < PIECE ? (size_t)len : PIECE;

        fill(d, bytes, PIECE);
        ck_assert_int_eq(pwrite(fd, bytes, n, (off_t)pos), (ssize_t)n);
        pos += n;
        len -= n;
    }
}

static uint64_t random_size(dice *d)
{
    switch (dice_roll(d, 40)) {
    case 0:
        return 5u << 20; /* more than one chunk, whatever the cuts */
    case 1:
    case 2:
        return (256u << 10) - 2 + dice_roll(d, 5); /* where bundles end */
    case 3:
        return dice_roll(d, 2u << 20);
    case 4:
    case 5:
        return 0;
    default:
        return dice_roll(d, 9000);
    }
}

static void make_holes(dice *d, int fd)
{
    uint64_t pos = 0;

    for (uint64_t left = dice_roll(d, 5); left > 0; left--) {
        pos += dice_roll(d, 3u << 20);
        write_some(d, fd, pos, 1 + dice_roll(d, 20000));
    }
    ck_assert_int_eq(ftruncate(fd, (off_t)(pos + dice_roll(d, 4u << 20))), 0);
}

/* LMDB's and MDBX's first page, for what is cut at a grid. */
static void make_grid(dice *d, int fd)
{
    static const uint8_t lmdb[4] = { 0xDE, 0xC0, 0xEF, 0xBE };
    const uint64_t mdbx = (0x59659DBDEF4C11ull << 8) | 3;

    write_some(d, fd, 0, (300u << 10) + dice_roll(d, 100) * 4096);
    if (one_in(d, 2))
        ck_assert_int_eq(pwrite(fd, lmdb, sizeof(lmdb), 16), sizeof(lmdb));
    else
        ck_assert_int_eq(pwrite(fd, &mdbx, sizeof(mdbx), 20), sizeof(mdbx));
}

static void dress(dice *d, int dir, const char *name, bool is_dir, bool is_link)
{
    bool root = geteuid() == 0;
    struct timespec at = { .tv_sec = (time_t)dice_roll(d, 1u << 31) - (one_in(d, 9) ? 1 << 30 : 0),
                           .tv_nsec = (long)dice_roll(d, 1000000000) };
    const struct timespec times[2] = { at, at };

    if (root && one_in(d, 4))
        ck_assert_int_eq(fchownat(dir, name, (uid_t)dice_roll(d, 70000), (gid_t)dice_roll(d, 70000),
                                  AT_SYMLINK_NOFOLLOW),
                         0);
    if (!is_link && one_in(d, 3))
        ck_assert_int_eq(fchmodat(dir, name,
                                  (mode_t)dice_roll(d, 010000) | (root     ? 0
                                                                  : is_dir ? 0700
                                                                           : 0600),
                                  0),
                         0);
    if (!one_in(d, 4))
        ck_assert_int_eq(utimensat(dir, name, times, AT_SYMLINK_NOFOLLOW), 0);
}

static void make_file(dice *d, int dir, const char *name)
{
    int fd = openat(dir, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644);

    ck_assert_int_ge(fd, 0);
    if (one_in(d, 12))
        make_holes(d, fd);
    else if (one_in(d, 40))
        make_grid(d, fd);
    else
        write_some(d, fd, 0, random_size(d));
    (void)close(fd);
}

static bool link_to_some(dice *d, int dir, const char *name)
{
    names *n = list(dir);
    const char *other = n->len ? n->items[dice_roll(d, n->len)] : "";
    struct stat st;
    bool done = n->len && fstatat(dir, other, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
                S_ISREG(st.st_mode) && linkat(dir, other, dir, name, 0) == 0;

    names_free(n);
    return done;
}

static void make_entries(dice *d, int dir, unsigned depth);

static void make_entry(dice *d, int dir, unsigned depth)
{
    unsigned kind = (unsigned)dice_roll(d, 20);
    struct stat st;
    char target[256];
    char name[256];
    int fd;

    random_name(d, name);
    if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0)
        return;
    if (kind < 5 && depth < DEPTH_MAX) {
        ck_assert_int_eq(mkdirat(dir, name, 0755), 0);
        fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        ck_assert_int_ge(fd, 0);
        make_entries(d, fd, depth + 1);
        (void)close(fd);
    } else if (kind < 7) {
        random_name(d, target);
        ck_assert_int_eq(symlinkat(target, dir, name), 0);
    } else if (kind > 8 || !link_to_some(d, dir, name)) {
        make_file(d, dir, name);
    }
    ck_assert_int_eq(fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW), 0);
    dress(d, dir, name, S_ISDIR(st.st_mode), S_ISLNK(st.st_mode));
}

static void make_entries(dice *d, int dir, unsigned depth)
{
    for (uint64_t left = dice_roll(d, depth == 0 ? 14 : 6); left > 0; left--)
        make_entry(d, dir, depth);
}

static void make_many(dice *d, int dir)
{
    char name[32];

    for (unsigned i = 0; i < MANY; i++) {
        int fd;

        (void)snprintf(name, sizeof(name), "%u", i * 7919 % 100003);
        fd = openat(dir, name, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
        ck_assert_int_ge(fd, 0);
        write_some(d, fd, 0, dice_roll(d, 60));
        (void)close(fd);
    }
}

static void make_deep(dice *d, int top)
{
    int dir = dup(top);

    for (unsigned i = 0; i < LEVELS; i++) {
        char name[32];
        int fd;

        (void)snprintf(name, sizeof(name), "level-%014u", i);
        ck_assert_int_eq(mkdirat(dir, name, 0755), 0);
        fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        ck_assert_int_ge(fd, 0);
        (void)close(dir);
        dir = fd;
    }
    make_file(d, dir, "deepest");
    (void)close(dir);
}

static int open_top(const char *top)
{
    int fd = open(top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    ck_assert_int_ge(fd, 0);
    return fd;
}

void random_tree_make(dice *d, const char *top)
{
    int dir;

    ck_assert_int_eq(mkdir(top, 0755), 0);
    dir = open_top(top);
    if (!one_in(d, 30))
        make_entries(d, dir, 0);
    if (one_in(d, 60))
        make_deep(d, dir);
    if (one_in(d, 250))
        make_many(d, dir);
    dress(d, dir, ".", true, false);
    (void)close(dir);
}

/* ---- removing ---- */

static void remove_entry(int dir, const char *name)
{
    names *n;
    int fd;

    if (unlinkat(dir, name, 0) == 0)
        return;
    fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    ck_assert_int_ge(fd, 0);
    n = list(fd);
    for (size_t i = 0; i < n->len; i++)
        remove_entry(fd, n->items[i]);
    names_free(n);
    (void)close(fd);
    ck_assert_int_eq(unlinkat(dir, name, AT_REMOVEDIR), 0);
}

void random_tree_remove(const char *top)
{
    if (bvt_exists(top))
        remove_entry(AT_FDCWD, top);
}

/* ---- changing ---- */

static void change_file(dice *d, int dir, const char *name)
{
    int fd = openat(dir, name, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
    struct stat st;
    struct timespec times[2];
    uint64_t size;

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(fstat(fd, &st), 0);
    size = (uint64_t)st.st_size;
    switch (dice_roll(d, 5)) {
    case 0:
        write_some(d, fd, size, 1 + dice_roll(d, 50000));
        break;
    case 1:
        ck_assert_int_eq(ftruncate(fd, (off_t)dice_roll(d, size + 1)), 0);
        break;
    case 2:
        ck_assert_int_eq(ftruncate(fd, (off_t)(size + dice_roll(d, 1u << 20))), 0);
        break;
    case 3:
        (void)fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                        (off_t)dice_roll(d, size + 1), 100000); /* where it is known */
        break;
    default:
        write_some(d, fd, dice_roll(d, size + 1), 1 + dice_roll(d, 5000));
        break;
    }
    times[0] = times[1] = st.st_mtim;
    if (one_in(d, 5)) /* as if nothing had happened; the size may be the same as well */
        ck_assert_int_eq(futimens(fd, times), 0);
    (void)close(fd);
}

static void edit_entries(dice *d, int dir, unsigned one_of, unsigned depth);

static void edit_entry(dice *d, int dir, const char *name, unsigned one_of, unsigned depth)
{
    bool hit = one_in(d, one_of);
    struct stat st;
    char other[256];
    int fd;

    if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return; /* replaced by another that was renamed */
    if (hit && one_in(d, 4)) {
        remove_entry(dir, name);
        if (one_in(d, 2))
            make_entry(d, dir, depth);
    } else if (hit && one_in(d, 4)) {
        random_name(d, other);
        (void)renameat(dir, name, dir, other); /* not over a directory that has something in it */
    } else if (hit && one_in(d, 3)) {
        dress(d, dir, name, S_ISDIR(st.st_mode), S_ISLNK(st.st_mode));
    } else if (hit && S_ISREG(st.st_mode)) {
        change_file(d, dir, name);
    } else if (S_ISDIR(st.st_mode)) {
        fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        ck_assert_int_ge(fd, 0);
        edit_entries(d, fd, one_of, depth + 1);
        (void)close(fd);
    }
}

static void edit_entries(dice *d, int dir, unsigned one_of, unsigned depth)
{
    names *n = list(dir);

    for (size_t i = 0; i < n->len; i++)
        edit_entry(d, dir, n->items[i], one_of, depth);
    names_free(n);
    /* Not at the bottom of a deep one, where no path may grow. */
    if (depth < DEPTH_MAX && one_in(d, one_of))
        make_entry(d, dir, depth);
}

void random_tree_edit(dice *d, const char *top)
{
    static const unsigned shares[] = { 2, 8, 8, 30, 30, 200 };
    int dir = open_top(top);

    if (!one_in(d, 8))
        edit_entries(d, dir, shares[dice_roll(d, 6)], 0);
    (void)close(dir);
}

/* ---- comparing ---- */

typedef struct pairs {
    ino_t a[LINKS_MAX];
    ino_t b[LINKS_MAX];
    size_t len;
} pairs;

/* Files that are one file on one side are one on the other. */
static void compare_links(pairs *p, const struct stat *a, const struct stat *b, const char *name)
{
    ck_assert_msg(a->st_nlink == b->st_nlink, "'%s' has %u instead of %u links", name,
                  (unsigned)b->st_nlink, (unsigned)a->st_nlink);
    if (a->st_nlink < 2)
        return;
    for (size_t i = 0; i < p->len; i++) {
        if (p->a[i] != a->st_ino && p->b[i] != b->st_ino)
            continue;
        ck_assert_msg(p->a[i] == a->st_ino && p->b[i] == b->st_ino, "'%s' is another file's link",
                      name);
        return;
    }
    ck_assert_uint_lt(p->len, LINKS_MAX);
    p->a[p->len] = a->st_ino;
    p->b[p->len++] = b->st_ino;
}

static void compare_content(int a, int b, const char *name)
{
    static uint8_t from_a[PIECE];
    static uint8_t from_b[PIECE];
    uint64_t pos = 0;
    ssize_t n;

    do {
        n = pread(a, from_a, PIECE, (off_t)pos);
        ck_assert_int_eq(pread(b, from_b, PIECE, (off_t)pos), n);
        ck_assert_msg(n <= 0 || memcmp(from_a, from_b, (size_t)n) == 0,
                      "'%s' differs behind byte %llu", name, (unsigned long long)pos);
        pos += n > 0 ? (uint64_t)n : 0;
    } while (n > 0);
}

static void compare_file(int dir_a, int dir_b, const char *name, const struct stat *a,
                         const struct stat *b)
{
    int fd_a = openat(dir_a, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    int fd_b = openat(dir_b, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);

    ck_assert_int_ge(fd_a, 0);
    ck_assert_int_ge(fd_b, 0);
    ck_assert_msg(a->st_size == b->st_size, "'%s' has %lld instead of %lld bytes", name,
                  (long long)b->st_size, (long long)a->st_size);
    compare_content(fd_a, fd_b, name);
    /* A hole may end within a block; what is more was one and is none. */
    ck_assert_msg(b->st_blocks <= a->st_blocks + 256, "'%s' takes %lld blocks instead of %lld",
                  name, (long long)b->st_blocks, (long long)a->st_blocks);
    (void)close(fd_a);
    (void)close(fd_b);
}

static void compare_target(int dir_a, int dir_b, const char *name)
{
    char a[4097] = "";
    char b[4097] = "";

    ck_assert_int_gt(readlinkat(dir_a, name, a, sizeof(a) - 1), 0);
    ck_assert_int_gt(readlinkat(dir_b, name, b, sizeof(b) - 1), 0);
    ck_assert_str_eq(a, b);
}

static void compare_dirs(int dir_a, int dir_b, pairs *p);

static void compare_entry(int dir_a, int dir_b, const char *name, pairs *p)
{
    struct stat a;
    struct stat b;

    ck_assert_int_eq(fstatat(dir_a, name, &a, AT_SYMLINK_NOFOLLOW), 0);
    ck_assert_int_eq(fstatat(dir_b, name, &b, AT_SYMLINK_NOFOLLOW), 0);
    ck_assert_msg(a.st_mode == b.st_mode, "'%s' has mode %o instead of %o", name, b.st_mode,
                  a.st_mode);
    ck_assert_msg(geteuid() != 0 || (a.st_uid == b.st_uid && a.st_gid == b.st_gid),
                  "'%s' has owner %u:%u instead of %u:%u", name, b.st_uid, b.st_gid, a.st_uid,
                  a.st_gid);
    if (S_ISREG(a.st_mode)) {
        compare_file(dir_a, dir_b, name, &a, &b);
        compare_links(p, &a, &b, name);
    } else if (S_ISLNK(a.st_mode)) {
        compare_target(dir_a, dir_b, name);
    } else if (S_ISDIR(a.st_mode) && strcmp(name, ".") != 0) {
        int fd_a = openat(dir_a, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        int fd_b = openat(dir_b, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

        ck_assert_int_ge(fd_a, 0);
        ck_assert_int_ge(fd_b, 0);
        compare_dirs(fd_a, fd_b, p);
        (void)close(fd_a);
        (void)close(fd_b);
    }
    ck_assert_msg(a.st_mtim.tv_sec == b.st_mtim.tv_sec && a.st_mtim.tv_nsec == b.st_mtim.tv_nsec,
                  "'%s' has another time: %lld.%09ld instead of %lld.%09ld", name,
                  (long long)b.st_mtim.tv_sec, b.st_mtim.tv_nsec, (long long)a.st_mtim.tv_sec,
                  a.st_mtim.tv_nsec);
}

static void compare_dirs(int dir_a, int dir_b, pairs *p)
{
    names *a = list(dir_a);
    names *b = list(dir_b);

    for (size_t i = 0; i < a->len && i < b->len; i++)
        ck_assert_msg(strcmp(a->items[i], b->items[i]) == 0, "'%s' is there instead of '%s'",
                      b->items[i], a->items[i]);
    ck_assert_uint_eq(a->len, b->len);
    for (size_t i = 0; i < a->len; i++)
        compare_entry(dir_a, dir_b, a->items[i], p);
    names_free(a);
    names_free(b);
}

void assert_same_random_tree(const char *wanted, const char *got)
{
    pairs *p = calloc(1, sizeof(*p));
    int a = open_top(wanted);
    int b = open_top(got);

    ck_assert_ptr_nonnull(p);
    compare_dirs(a, b, p);
    compare_entry(a, b, ".", p);
    (void)close(a);
    (void)close(b);
    free(p);
}
