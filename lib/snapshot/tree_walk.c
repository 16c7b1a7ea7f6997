/*
 * tree_walk.c - see tree_walk.h.
 *
 * A level is a directory on the way down: its names, sorted, and a descriptor. Deep trees would
 * need many of those, so that of a level far above is closed and opened again through ".." on the
 * way back, where it must still be the same directory.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/glob.h"
#include "snapshot/tree_walk.h"

#define LEVELS_MAX (BVI_SNAP_PATH_MAX / 2 + 2) /* "a/a/a" */
#define OPEN_MAX   32u                         /* levels whose descriptor stays open */

typedef struct level {
    int fd; /* -1: closed for now */
    dev_t dev;
    ino_t ino;
    bvi_buf names; /* each with its zero */
    BVI_VEC(uint32_t) order;
    size_t next;     /* in order */
    size_t path_len; /* of the directory */
} level;

/* Where a file with several names was seen first. */
typedef struct link_slot {
    dev_t dev;
    ino_t ino;
    uint32_t path_at; /* in link_paths, plus one; 0: free */
} link_slot;

struct bvi_tree_walk {
    bvi_tree_walk_opts opts;
    struct stat skip; /* st_ino 0: none */
    bvi_tree_counts counts;
    BVI_VEC(level) levels;
    bvi_buf path;
    bool started;
    bool enter; /* the entry given last is a directory to go into */
    char target[BVI_SNAP_PATH_MAX + 1];
    link_slot *links;
    size_t links_cap; /* a power of two */
    size_t links_len;
    bvi_buf link_paths;
    BVI_VEC(bvi_snap_xattr) xattrs;
    bvi_buf xattr_names;
    bvi_buf xattr_values;
};

static int64_t time_ns(const struct timespec *ts)
{
    /* Times beyond 2262 wrap around: still different from others. */
    return (int64_t)((uint64_t)ts->tv_sec * 1000000000u + (uint64_t)ts->tv_nsec);
}

bvi_file_stamp bvi_tree_stamp_of(const struct stat *st)
{
    const bool is_dir = S_ISDIR(st->st_mode);

    return (bvi_file_stamp){
        .device = st->st_dev,
        .inode = st->st_ino,
        .size = is_dir ? st->st_mode & 07777u : (uint64_t)st->st_size,
        .mtime_ns = is_dir ? (int64_t)st->st_uid : time_ns(&st->st_mtim),
        .ctime_ns = is_dir ? (int64_t)st->st_gid : time_ns(&st->st_ctim),
    };
}

/* ---- levels ---- */

static void level_done(level *l)
{
    bvi_closep(&l->fd);
    bvi_buf_done(&l->names);
    bvi_vec_done(&l->order);
}

static level *top(bvi_tree_walk *w)
{
    return &w->levels.items[w->levels.len - 1];
}

static int compare_names(const void *a, const void *b, void *names)
{
    const char *base = names;

    return strcmp(base + *(const uint32_t *)a, base + *(const uint32_t *)b);
}

static int add_name(level *l, const char *name, bv_error **err)
{
    uint32_t *at = bvi_vec_push(&l->order);

    if (!at)
        return bvi_fail_nomem(err);
    *at = (uint32_t)l->names.len;
    return bvi_buf_append(&l->names, name, strlen(name) + 1) < 0
               ? bvi_fail(err, BV_E_LIMIT, "the names of one directory have more than %u bytes",
                          BVI_TREE_NAMES_MAX)
               : 0;
}

static void close_dir(DIR **dir)
{
    if (*dir)
        (void)closedir(*dir); /* was only read */
}

static int read_names(level *l, bv_error **err)
{
    bvi_auto_close int copy = openat(l->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    BVI_AUTO(close_dir) DIR *dir = copy >= 0 ? fdopendir(copy) : NULL;
    int r = 0;

    if (!dir)
        return bvi_fail_sys(err, errno, "cannot read");
    (void)bvi_take_fd(&copy); /* dir has it now */
    while (r == 0) {
        struct dirent *entry;

        errno = 0;
        entry = readdir(dir);
        if (!entry)
            break;
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            r = add_name(l, entry->d_name, err);
    }
    if (r == 0 && errno)
        return bvi_fail_sys(err, errno, "cannot read");
    if (r == 0 && l->order.len > 1)
        qsort_r(l->order.items, l->order.len, sizeof(uint32_t), compare_names, l->names.data);
    return r;
}

/* The parent's descriptor is needed no longer; it is opened again when the walk comes back. */
static void close_far_level(bvi_tree_walk *w)
{
    if (w->levels.len > OPEN_MAX)
        bvi_closep(&w->levels.items[w->levels.len - 1 - OPEN_MAX].fd);
}

static int push_level(bvi_tree_walk *w, int fd, bv_error **err)
{
    struct stat st;
    level *l = bvi_vec_push(&w->levels);
    int r;

    if (!l) {
        (void)close(fd);
        return bvi_fail_nomem(err);
    }
    *l = (level){ .fd = fd, .path_len = w->path.len };
    bvi_buf_init(&l->names, BVI_TREE_NAMES_MAX);
    l->order.max = BVI_TREE_NAMES_MAX / 2;
    close_far_level(w);
    if (fstat(fd, &st) < 0)
        return bvi_fail_sys(err, errno, "cannot look at directory '%s'", bvi_buf_str(&w->path));
    l->dev = st.st_dev;
    l->ino = st.st_ino;
    r = read_names(l, err);
    return r < 0 ? bvi_wrap(err, r, "directory '%s'", bvi_buf_str(&w->path)) : 0;
}

/* Up one level; what was closed there is opened again. */
static int pop_level(bvi_tree_walk *w, bv_error **err)
{
    level *child = top(w);
    level *parent = w->levels.len > 1 ? child - 1 : NULL;
    struct stat st;

    if (parent && parent->fd < 0) {
        parent->fd = openat(child->fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (parent->fd < 0 || fstat(parent->fd, &st) < 0)
            return bvi_fail_sys(err, errno, "cannot go back from directory '%s'",
                                bvi_buf_str(&w->path));
        if (st.st_dev != parent->dev || st.st_ino != parent->ino)
            return bvi_fail(err, BV_E_STATE, "directory '%s' was moved while it was read",
                            bvi_buf_str(&w->path));
    }
    level_done(child);
    w->levels.len--;
    return 0;
}

static void cut_path(bvi_tree_walk *w, size_t len)
{
    w->path.len = len;
    w->path.data[len] = '\0';
}

static int enter_dir(bvi_tree_walk *w, bv_error **err)
{
    const level *l = top(w);
    const char *name = bvi_buf_str(&w->path) + l->path_len + (l->path_len ? 1 : 0);
    int fd;

    if (w->opts.stopping && atomic_load(w->opts.stopping))
        return bvi_fail(err, BV_E_CANCELLED, "the walk was interrupted");
    fd = openat(l->fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 && (errno == ENOENT || errno == ENOTDIR || errno == ELOOP))
        return 0; /* gone meanwhile: the check at the end says so */
    if (fd < 0)
        return bvi_fail_sys(err, errno, "cannot read directory '%s'", bvi_buf_str(&w->path));
    return push_level(w, fd, err);
}

/* ---- hard links ---- */

static size_t link_place(const bvi_tree_walk *w, dev_t dev, ino_t ino)
{
    uint64_t hash = ((uint64_t)ino ^ ((uint64_t)dev << 40)) * 0x9e3779b97f4a7c15ull;
    size_t at = (size_t)(hash >> 32) & (w->links_cap - 1);

    while (w->links[at].path_at && (w->links[at].ino != ino || w->links[at].dev != dev))
        at = (at + 1) & (w->links_cap - 1);
    return at;
}

static int grow_links(bvi_tree_walk *w, bv_error **err)
{
    link_slot *old = w->links;
    size_t old_cap = w->links_cap;

    if (old_cap / 2 > w->links_len)
        return 0;
    if (w->links_len >= BVI_TREE_LINKS_MAX)
        return bvi_fail(err, BV_E_LIMIT, "more than %u files with several names",
                        BVI_TREE_LINKS_MAX);
    w->links_cap = old_cap ? 2 * old_cap : 256;
    w->links = bvi_new_array(link_slot, w->links_cap);
    if (!w->links) {
        w->links = old;
        w->links_cap = old_cap;
        return bvi_fail_nomem(err);
    }
    for (size_t i = 0; i < old_cap; i++) {
        if (old[i].path_at)
            w->links[link_place(w, old[i].dev, old[i].ino)] = old[i];
    }
    bvi_free(old);
    return 0;
}

/* The first name of this file, or NULL after noting that this is the first. */
static int find_link(bvi_tree_walk *w, const struct stat *st, const char **ret_first,
                     bv_error **err)
{
    link_slot *slot;
    int r = grow_links(w, err);

    if (r < 0)
        return r;
    slot = &w->links[link_place(w, st->st_dev, st->st_ino)];
    *ret_first = slot->path_at ? w->link_paths.data + slot->path_at - 1 : NULL;
    if (*ret_first)
        return 0;
    *slot = (link_slot){ .dev = st->st_dev,
                         .ino = st->st_ino,
                         .path_at = (uint32_t)w->link_paths.len + 1 };
    if (bvi_buf_append(&w->link_paths, bvi_buf_str(&w->path), w->path.len + 1) < 0) {
        slot->path_at = 0;
        return bvi_fail_nomem(err);
    }
    w->links_len++;
    return 0;
}

/* ---- extended attributes ---- */

static bool is_kept_xattr(const char *name)
{
    return strncmp(name, "user.", 5) == 0 || strcmp(name, "security.capability") == 0 ||
           strncmp(name, "system.posix_acl_", 17) == 0;
}

static int compare_xattrs(const void *a, const void *b)
{
    return strcmp(((const bvi_snap_xattr *)a)->name, ((const bvi_snap_xattr *)b)->name);
}

/* Values are appended to one buffer that may move: until all are there, value_len only is right. */
static int read_xattr(bvi_tree_walk *w, const char *link, const char *name, bv_error **err)
{
    ssize_t len = lgetxattr(link, name, NULL, 0);
    bvi_snap_xattr *x;

    if (len < 0)
        return errno == ENODATA || errno == ENOTSUP
                   ? 0
                   : bvi_fail_sys(err, errno, "attribute '%s' of '%s'", name,
                                  bvi_buf_str(&w->path));
    if (w->xattr_names.len + w->xattr_values.len + (size_t)len > BVI_SNAP_XATTR_BYTES)
        return bvi_fail(err, BV_E_LIMIT, "attributes of '%s' have more than %u bytes",
                        bvi_buf_str(&w->path), BVI_SNAP_XATTR_BYTES);
    x = bvi_vec_push(&w->xattrs);
    if (!x || bvi_buf_reserve(&w->xattr_values, (size_t)len + 1) < 0)
        return bvi_fail_nomem(err);
    len = lgetxattr(link, name, w->xattr_values.data + w->xattr_values.len, (size_t)len);
    if (len < 0)
        return bvi_fail_sys(err, errno, "attribute '%s' of '%s'", name, bvi_buf_str(&w->path));
    *x = (bvi_snap_xattr){ .name = name, .value_len = (size_t)len };
    w->xattr_values.len += (size_t)len;
    return 0;
}

static int list_xattrs(bvi_tree_walk *w, const char *link, bv_error **err)
{
    ssize_t len = llistxattr(link, NULL, 0);

    if (len > (ssize_t)BVI_SNAP_XATTR_BYTES)
        return bvi_fail(err, BV_E_LIMIT, "attributes of '%s' have more than %u bytes",
                        bvi_buf_str(&w->path), BVI_SNAP_XATTR_BYTES);
    if (len > 0 && bvi_buf_reserve(&w->xattr_names, (size_t)len) < 0)
        return bvi_fail_nomem(err);
    if (len > 0)
        len = llistxattr(link, w->xattr_names.data, (size_t)len);
    if (len < 0 && errno != ENOTSUP && errno != ENOENT)
        return bvi_fail_sys(err, errno, "attributes of '%s'", bvi_buf_str(&w->path));
    w->xattr_names.len = len > 0 ? (size_t)len : 0;
    return 0;
}

/* There is no call that takes a directory's descriptor, so the name goes through /proc. */
static int read_xattrs(bvi_tree_walk *w, int dir_fd, const char *name, bvi_snap_entry *entry,
                       bv_error **err)
{
    char link[BVI_SNAP_NAME_MAX + 64];
    const uint8_t *value;
    int r;

    w->xattrs.len = 0;
    bvi_buf_clear(&w->xattr_names);
    bvi_buf_clear(&w->xattr_values);
    (void)snprintf(link, sizeof(link), "/proc/self/fd/%d/%s", dir_fd, name); /* fits */
    r = list_xattrs(w, link, err);
    for (size_t at = 0; r == 0 && at < w->xattr_names.len;
         at += strlen(w->xattr_names.data + at) + 1) {
        if (is_kept_xattr(w->xattr_names.data + at))
            r = read_xattr(w, link, w->xattr_names.data + at, err);
    }
    if (r < 0)
        return r;
    value = (const uint8_t *)w->xattr_values.data;
    for (size_t i = 0; i < w->xattrs.len; i++) {
        w->xattrs.items[i].value = value;
        value += w->xattrs.items[i].value_len;
    }
    if (w->xattrs.len > 1)
        qsort(w->xattrs.items, w->xattrs.len, sizeof(*w->xattrs.items), compare_xattrs);
    entry->xattrs = w->xattrs.items;
    entry->n_xattrs = w->xattrs.len;
    return 0;
}

/* ---- entries ---- */

static bool matches(const char *const *patterns, const char *path)
{
    for (; patterns && *patterns; patterns++) {
        if (bvi_glob_match(*patterns, path))
            return true;
    }
    return false;
}

static bool is_left_out(bvi_tree_walk *w)
{
    if (matches(w->opts.protect, bvi_buf_str(&w->path))) {
        w->counts.protected ++;
        return true;
    }
    if (matches(w->opts.exclude, bvi_buf_str(&w->path))) {
        w->counts.excluded++;
        return true;
    }
    return false;
}

static void fill_item(bvi_tree_walk *w, const struct stat *st, bvi_snap_kind kind,
                      bvi_tree_item *item)
{
    *item = (bvi_tree_item){
        .entry = { .kind = kind,
                   .path = bvi_buf_str(&w->path),
                   .mode = st->st_mode & 07777u,
                   .uid = w->opts.no_owners ? 0 : st->st_uid,
                   .gid = w->opts.no_owners ? 0 : st->st_gid,
                   .mtime_s = st->st_mtim.tv_sec,
                   .mtime_ns = (uint32_t)st->st_mtim.tv_nsec,
                   .size = kind == BVI_SNAP_FILE ? (uint64_t)st->st_size : 0 },
        .stamp = bvi_tree_stamp_of(st),
        .allocated = (uint64_t)st->st_blocks * 512,
    };
}

static int read_link(bvi_tree_walk *w, int dir_fd, const char *name, bvi_tree_item *item,
                     bv_error **err)
{
    ssize_t len = readlinkat(dir_fd, name, w->target, sizeof(w->target));

    if (len < 0)
        return bvi_fail_sys(err, errno, "cannot read the link '%s'", bvi_buf_str(&w->path));
    if (len == 0 || (size_t)len >= sizeof(w->target))
        return bvi_fail(err, BV_E_LIMIT, "the target of the link '%s' is longer than %u bytes",
                        bvi_buf_str(&w->path), BVI_SNAP_PATH_MAX);
    w->target[len] = '\0';
    item->entry.target = w->target;
    return 0;
}

static int take_file(bvi_tree_walk *w, const struct stat *st, bvi_tree_item *item, bv_error **err)
{
    const char *first = NULL;
    int r;

    if ((uint64_t)st->st_size > BVI_SNAP_FILE_MAX)
        return bvi_fail(err, BV_E_LIMIT, "file '%s' is too large", bvi_buf_str(&w->path));
    r = st->st_nlink > 1 ? find_link(w, st, &first, err) : 0;
    if (r < 0)
        return r;
    fill_item(w, st, first ? BVI_SNAP_HARDLINK : BVI_SNAP_FILE, item);
    item->entry.target = first;
    return 1;
}

static int take_dir(bvi_tree_walk *w, const struct stat *st, bvi_tree_item *item)
{
    if (w->skip.st_ino && st->st_ino == w->skip.st_ino && st->st_dev == w->skip.st_dev)
        return 0;
    fill_item(w, st, BVI_SNAP_DIR, item);
    w->enter = true;
    return 1;
}

/* The entry at w->path. 1: *item is it; 0: it is left out. */
static int take_entry(bvi_tree_walk *w, int dir_fd, const char *name, bvi_tree_item *item,
                      bv_error **err)
{
    struct stat st;
    int r;

    if (is_left_out(w))
        return 0;
    if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT
                   ? 0
                   : bvi_fail_sys(err, errno, "cannot look at '%s'", bvi_buf_str(&w->path));
    if (S_ISDIR(st.st_mode)) {
        r = take_dir(w, &st, item);
    } else if (S_ISREG(st.st_mode)) {
        r = take_file(w, &st, item, err);
    } else if (S_ISLNK(st.st_mode)) {
        fill_item(w, &st, BVI_SNAP_SYMLINK, item);
        r = read_link(w, dir_fd, name, item, err);
        r = r < 0 ? r : 1;
    } else {
        w->counts.special++;
        return 0;
    }
    if (r != 1 || !w->opts.xattrs || item->entry.kind == BVI_SNAP_HARDLINK)
        return r;
    r = read_xattrs(w, dir_fd, name, &item->entry, err);
    return r < 0 ? r : 1;
}

static int next_name(bvi_tree_walk *w, bvi_tree_item *item, bv_error **err)
{
    level *l = top(w);
    const char *name = l->names.data + l->order.items[l->next++];
    int r;

    cut_path(w, l->path_len);
    r = l->path_len ? bvi_buf_append_char(&w->path, '/') : 0;
    if (r == 0)
        r = bvi_buf_append_str(&w->path, name);
    if (r < 0)
        return bvi_fail(err, r == BV_E_NOMEM ? r : BV_E_LIMIT,
                        "the path of '%s' in '%s' is longer than %u bytes", name,
                        bvi_buf_str(&w->path), BVI_SNAP_PATH_MAX);
    return take_entry(w, l->fd, name, item, err);
}

static int take_root(bvi_tree_walk *w, bvi_tree_item *item, bv_error **err)
{
    int fd = openat(w->opts.dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct stat st;
    int r;

    if (fd < 0)
        return bvi_fail_sys(err, errno, "cannot read the directory");
    r = push_level(w, fd, err);
    if (r < 0)
        return r;
    if (fstat(fd, &st) < 0)
        return bvi_fail_sys(err, errno, "cannot look at the directory");
    fill_item(w, &st, BVI_SNAP_DIR, item);
    w->started = true;
    if (w->opts.xattrs)
        r = read_xattrs(w, fd, ".", &item->entry, err);
    return r < 0 ? r : 1;
}

int bvi_tree_walk_next(bvi_tree_walk *w, bvi_tree_item *ret_item, bv_error **err)
{
    int r;

    if (!w->started)
        return take_root(w, ret_item, err);
    if (w->enter) {
        w->enter = false;
        r = enter_dir(w, err);
        if (r < 0)
            return r;
    }
    while (w->levels.len > 0) {
        if (top(w)->next >= top(w)->order.len) {
            cut_path(w, top(w)->path_len);
            r = pop_level(w, err);
            if (r < 0)
                return r;
            continue;
        }
        r = next_name(w, ret_item, err);
        if (r != 0)
            return r;
    }
    return 0;
}

const bvi_tree_counts *bvi_tree_walk_counts(const bvi_tree_walk *walk)
{
    return &walk->counts;
}

static int check_patterns(const char *const *patterns, const char *what, bv_error **err)
{
    for (size_t i = 0; patterns && patterns[i]; i++) {
        int r = i < BVI_TREE_PATTERNS_MAX
                    ? bvi_glob_check(patterns[i], err)
                    : bvi_fail(err, BV_E_LIMIT, "more than %u patterns", BVI_TREE_PATTERNS_MAX);

        if (r < 0)
            return bvi_wrap(err, r, "%s", what);
    }
    return 0;
}

int bvi_tree_walk_new(const bvi_tree_walk_opts *opts, bvi_tree_walk **ret_walk, bv_error **err)
{
    BVI_AUTO(bvi_tree_walk_freep) bvi_tree_walk *w = bvi_new0(bvi_tree_walk);
    int r;

    if (!w)
        return bvi_fail_nomem(err);
    w->opts = *opts;
    w->levels.max = LEVELS_MAX;
    bvi_buf_init(&w->path, BVI_SNAP_PATH_MAX);
    bvi_buf_init(&w->link_paths, BVI_TREE_NAMES_MAX);
    w->xattrs.max = BVI_SNAP_XATTRS_MAX;
    bvi_buf_init(&w->xattr_names, BVI_SNAP_XATTR_BYTES);
    bvi_buf_init(&w->xattr_values, BVI_SNAP_XATTR_BYTES + 1);
    r = check_patterns(opts->exclude, "exclude", err);
    if (r == 0)
        r = check_patterns(opts->protect, "protect", err);
    if (r == 0 && bvi_buf_reserve(&w->path, 1) < 0)
        r = bvi_fail_nomem(err);
    if (r < 0)
        return r;
    w->path.data[0] = '\0';
    if (opts->skip_dir && stat(opts->skip_dir, &w->skip) < 0)
        w->skip.st_ino = 0; /* it does not exist, so it is not in the way */
    *ret_walk = bvi_take(w);
    return 0;
}

void bvi_tree_walk_free(bvi_tree_walk *w)
{
    if (!w)
        return;
    while (w->levels.len > 0) {
        level_done(top(w));
        w->levels.len--;
    }
    bvi_vec_done(&w->levels);
    bvi_buf_done(&w->path);
    bvi_free(w->links);
    bvi_buf_done(&w->link_paths);
    bvi_vec_done(&w->xattrs);
    bvi_buf_done(&w->xattr_names);
    bvi_buf_done(&w->xattr_values);
    bvi_free(w);
}
