/*
 * settle.c - see settle.h.
 *
 * A file that is as it should be costs one stat. What must change is opened as a place only
 * (O_PATH) and reached through /proc/self/fd, so that neither a link nor a pipe in its place is
 * followed or opened.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "snapshot/settle.h"
#include "sys/fs.h"

#define LEVELS_MAX ((BVI_SNAP_PATH_MAX + 1) / 2 + 1)
#define PROC_PATH  32u

void bvi_settle_init(bvi_settle *s)
{
    *s = (bvi_settle){ .levels = BVI_VEC_INIT(LEVELS_MAX),
                       .names = BVI_VEC_INIT(BVI_SETTLE_NAMES_MAX) };
    bvi_dest_dir_init(&s->dir);
    bvi_dest_dir_init(&s->other);
}

void bvi_settle_done(bvi_settle *s)
{
    bvi_dest_dir_done(&s->dir);
    bvi_dest_dir_done(&s->other);
    bvi_vec_done(&s->levels);
    bvi_vec_done(&s->names);
}

static int fail(const bvi_settle *s, const char *verb, bv_error **err)
{
    return bvi_dest_fail(errno, verb, "", s->path, err);
}

static int fail_gone(const bvi_settle *s, bv_error **err)
{
    return bvi_fail(err, BV_E_STATE,
                    "'%s' was changed by something else while it was restored; start again",
                    s->path);
}

/* ---- owners, modes, times ---- */

static struct timespec time_of(const bvi_layout_item *item)
{
    return (struct timespec){ .tv_sec = item->mtime_s, .tv_nsec = item->mtime_ns };
}

static bool owner_differs(const bvi_settle *s, const bvi_layout_item *item, const struct stat *st)
{
    return s->dest->owners && (st->st_uid != item->uid || st->st_gid != item->gid);
}

static bool meta_differs(const bvi_settle *s, const bvi_layout_item *item, const struct stat *st)
{
    return (st->st_mode & 07777) != item->mode || st->st_mtim.tv_sec != item->mtime_s ||
           st->st_mtim.tv_nsec != (long)item->mtime_ns || owner_differs(s, item, st);
}

static int open_place(const bvi_settle *s, const char *name, int *ret_fd, bv_error **err)
{
    *ret_fd = openat(s->dir.fd, *name ? name : ".", O_PATH | O_NOFOLLOW | O_CLOEXEC);
    return *ret_fd < 0 ? fail(s, "open", err) : 0;
}

static void proc_path(int fd, char text[PROC_PATH])
{
    (void)snprintf(text, PROC_PATH, "/proc/self/fd/%d", fd); /* fits */
}

/* The owner first: giving a file away clears parts of its mode. */
static int dress(const bvi_settle *s, const bvi_layout_item *item, const char *name,
                 const struct stat *st, bv_error **err)
{
    const struct timespec times[2] = { time_of(item), time_of(item) };
    bvi_auto_close int fd = -1;
    char place[PROC_PATH];
    int r;

    if (!meta_differs(s, item, st))
        return 0;
    r = open_place(s, name, &fd, err);
    if (r < 0)
        return r;
    proc_path(fd, place);
    if (owner_differs(s, item, st) && fchownat(fd, "", item->uid, item->gid, AT_EMPTY_PATH) < 0)
        return fail(s, "give away", err);
    if ((((st->st_mode & 07777) != item->mode) || owner_differs(s, item, st)) &&
        chmod(place, item->mode) < 0)
        return fail(s, "change the mode of", err);
    return utimensat(AT_FDCWD, place, times, 0) < 0 ? fail(s, "set the time of", err) : 0;
}

static bool has_xattr(const char *place, const bvi_snap_xattr *x, uint8_t *room)
{
    ssize_t n = getxattr(place, x->name, room, BVI_SNAP_XATTR_BYTES);

    return n >= 0 && (size_t)n == x->value_len && memcmp(room, x->value, x->value_len) == 0;
}

/* Attributes that the file system or our rights do not allow are left out. */
static int set_xattrs(const bvi_settle *s, const bvi_snap_entry *e, const char *name,
                      bv_error **err)
{
    bvi_auto_free uint8_t *room = NULL;
    bvi_auto_close int fd = -1;
    char place[PROC_PATH];
    int r;

    if (!s->xattrs || e->n_xattrs == 0)
        return 0;
    room = bvi_malloc(BVI_SNAP_XATTR_BYTES);
    if (!room)
        return bvi_fail_nomem(err);
    r = open_place(s, name, &fd, err);
    if (r < 0)
        return r;
    proc_path(fd, place);
    for (size_t i = 0; i < e->n_xattrs; i++) {
        if (!has_xattr(place, &e->xattrs[i], room) &&
            setxattr(place, e->xattrs[i].name, e->xattrs[i].value, e->xattrs[i].value_len, 0) < 0 &&
            errno != ENOTSUP && errno != EPERM && errno != EACCES)
            return fail(s, "set an attribute of", err);
    }
    return 0;
}

/* ---- what the snapshot does not have ---- */

static uint64_t hash_name(const char *name)
{
    uint8_t digest[BVI_BLAKE3_SIZE];
    uint64_t hash;

    bvi_blake3_hash(name, strlen(name), digest);
    memcpy(&hash, digest, sizeof(hash));
    return hash;
}

static int compare_hashes(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

static bool is_named(const bvi_settle *s, size_t first, const char *name)
{
    uint64_t hash = hash_name(name);

    return s->names.len > first && bsearch(&hash, s->names.items + first, s->names.len - first,
                                           sizeof(hash), compare_hashes) != NULL;
}

static void close_dir(DIR **dir)
{
    if (*dir)
        (void)closedir(*dir); /* only read from */
}

static int remove_extra(bvi_settle *s, const char *name, bv_error **err)
{
    char path[2 * BVI_SNAP_PATH_MAX];
    int n = snprintf(path, sizeof(path), "%s%s%s", s->path, *s->path ? "/" : "", name);

    if (n < 0 || n > (int)BVI_SNAP_PATH_MAX || !bvi_dest_is_wanted(s->dest, path))
        return 0;
    return bvi_dest_remove_extra(s->dest, &s->dir, name, &s->removed, err);
}

/* s->path and s->dir are the directory. */
static int remove_extras(bvi_settle *s, const bvi_settle_level *level, bv_error **err)
{
    int fd = openat(s->dir.fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    BVI_AUTO(close_dir) DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    struct dirent *entry;
    int r = 0;

    if (!dir) {
        bvi_closep(&fd);
        return fail(s, "list", err);
    }
    if (s->names.len > level->first_name)
        qsort(s->names.items + level->first_name, s->names.len - level->first_name,
              sizeof(*s->names.items), compare_hashes);
    while (r == 0 && (entry = readdir(dir))) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
            is_named(s, level->first_name, entry->d_name))
            continue;
        r = remove_extra(s, entry->d_name, err);
    }
    return r;
}

/* ---- directories ---- */

static int enter_level(bvi_settle *s, const bvi_settle_level *level, bv_error **err)
{
    s->path[level->path_len] = '\0';
    return bvi_dest_enter(s->dest, &s->dir, s->path, err);
}

static int leave(bvi_settle *s, bv_error **err)
{
    bvi_settle_level level = s->levels.items[s->levels.len - 1];
    struct stat st;
    int r = 0;

    if (level.wanted || level.touched) {
        r = enter_level(s, &level, err);
        if (r == 0 && s->delete_extra)
            r = remove_extras(s, &level, err);
        if (r == 0 && fstatat(s->dir.fd, ".", &st, 0) < 0)
            r = fail(s, "look at", err);
        if (r == 0)
            r = dress(s, &level.meta, "", &st, err);
    }
    s->names.len = level.first_name;
    s->levels.len--;
    if (s->levels.len > 0 && (level.wanted || level.touched))
        s->levels.items[s->levels.len - 1].touched = true;
    return r;
}

/* Leaves all directories but those around `dir`, which is one the walk is in. */
static int leave_for(bvi_settle *s, const char *dir, bv_error **err)
{
    size_t len = strlen(dir);
    int r = 0;

    while (r == 0 && s->levels.len > 1 && s->levels.items[s->levels.len - 1].path_len > len)
        r = leave(s, err);
    return r;
}

static int enter_dir(bvi_settle *s, const bvi_layout_item *item, const bvi_snap_entry *e,
                     bool wanted, bv_error **err)
{
    bvi_settle_level *level = bvi_vec_push(&s->levels);
    size_t len = strlen(e->path);
    int r = 0;

    if (!level)
        return bvi_fail_nomem(err);
    *level = (bvi_settle_level){
        .path_len = len, .first_name = s->names.len, .meta = *item, .wanted = wanted
    };
    memcpy(s->path, e->path, len + 1);
    if (wanted) {
        r = bvi_dest_enter(s->dest, &s->dir, s->path, err);
        if (r == 0)
            r = set_xattrs(s, e, "", err);
    }
    return r;
}

/* ---- files and links; s->dir is their directory ---- */

static uint64_t data_end(const bvi_layout *plan, const bvi_layout_item *item)
{
    const bvi_layout_extent *last;

    if (item->n_extents == 0)
        return 0;
    last = &plan->extents.items[item->first_extent + item->n_extents - 1];
    return last->pos + last->len;
}

/* `st` is what the file looks like now; NULL: it was changed. */
static int note_installed(bvi_settle *s, const bvi_layout_item *item, const char *name,
                          const struct stat *st, bv_error **err)
{
    struct stat now;

    if (!s->installed)
        return 0;
    if (!st && fstatat(s->dir.fd, name, &now, AT_SYMLINK_NOFOLLOW) < 0)
        return fail_gone(s, err);
    return bvi_installed_add(s->installed, s->path, item->recipe, st ? st : &now, err);
}

static int cut_to_size(bvi_settle *s, const bvi_layout_item *item, const char *name, bv_error **err)
{
    bvi_auto_close int fd = openat(s->dir.fd, name, O_WRONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

    if (fd < 0 || ftruncate(fd, (off_t)item->size) < 0)
        return fail(s, "set the size of", err);
    return 0;
}

static int settle_file(bvi_settle *s, const bvi_layout *plan, const bvi_layout_item *item,
                       const bvi_snap_entry *e, const char *name, bv_error **err)
{
    bool changed = s->xattrs && e->n_xattrs > 0;
    struct stat st;
    int r = 0;

    if (fstatat(s->dir.fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode) ||
        (uint64_t)st.st_size < data_end(plan, item))
        return fail_gone(s, err);
    if ((uint64_t)st.st_size != item->size) {
        r = cut_to_size(s, item, name, err);
        st.st_mtim.tv_nsec = -1; /* has changed by that */
    }
    changed = changed || meta_differs(s, item, &st);
    if (r == 0)
        r = set_xattrs(s, e, name, err);
    if (r == 0)
        r = dress(s, item, name, &st, err);
    return r < 0 ? r : note_installed(s, item, name, changed ? NULL : &st, err);
}

static int settle_symlink(bvi_settle *s, const bvi_layout_item *item, const char *name,
                          bv_error **err)
{
    const struct timespec times[2] = { time_of(item), time_of(item) };
    struct stat st;

    if (fstatat(s->dir.fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISLNK(st.st_mode))
        return fail_gone(s, err);
    if (owner_differs(s, item, &st) &&
        fchownat(s->dir.fd, name, item->uid, item->gid, AT_SYMLINK_NOFOLLOW) < 0)
        return fail(s, "give away", err);
    if (utimensat(s->dir.fd, name, times, AT_SYMLINK_NOFOLLOW) < 0)
        return fail(s, "set the time of", err);
    return 0;
}

static int open_target(bvi_settle *s, const char *target, int *ret_fd, struct stat *ret_st,
                       bv_error **err)
{
    char dir[BVI_SNAP_PATH_MAX + 1];
    const char *slash = strrchr(target, '/');
    size_t len = slash ? (size_t)(slash - target) : 0;
    int r;

    memcpy(dir, target, len);
    dir[len] = '\0';
    r = bvi_dest_enter(s->dest, &s->other, dir, err);
    if (r < 0)
        return r;
    *ret_fd = openat(s->other.fd, slash ? slash + 1 : target, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (*ret_fd < 0 || fstat(*ret_fd, ret_st) < 0 || !S_ISREG(ret_st->st_mode))
        return bvi_fail(err, BV_E_STATE, "'%s', to which '%s' is a hard link, is gone", target,
                        s->path);
    return 0;
}

static int settle_hardlink(bvi_settle *s, const bvi_snap_entry *e, const char *name, bv_error **err)
{
    bvi_auto_close int fd = -1;
    char place[PROC_PATH];
    struct stat target;
    struct stat st;
    int r;

    if (!bvi_dest_is_wanted(s->dest, e->target)) {
        s->skipped++;
        return 0;
    }
    r = open_target(s, e->target, &fd, &target, err);
    if (r < 0)
        return r;
    if (fstatat(s->dir.fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0) {
        if (st.st_dev == target.st_dev && st.st_ino == target.st_ino)
            return 0;
        r = bvi_dest_clear(s->dest, &s->dir, name, err);
        if (r < 0)
            return r;
    }
    proc_path(fd, place);
    return linkat(AT_FDCWD, place, s->dir.fd, name, AT_SYMLINK_FOLLOW) < 0
               ? fail(s, "make the hard link", err)
               : 0;
}

/* ---- pages ---- */

static int settle_wanted(bvi_settle *s, const bvi_layout *plan, const bvi_layout_item *item,
                         const bvi_snap_entry *e, bv_error **err)
{
    const char *name = bvi_layout_text(plan, item->name);
    int r = bvi_dest_make(s->dest, &s->dir, bvi_layout_text(plan, item->dir), err);

    if (r < 0)
        return r;
    memcpy(s->path, e->path, strlen(e->path) + 1);
    if (s->levels.len > 0)
        s->levels.items[s->levels.len - 1].touched = true;
    switch (item->kind) {
    case BVI_SNAP_FILE:
        return settle_file(s, plan, item, e, name, err);
    case BVI_SNAP_CONTINUED:
        return note_installed(s, item, name, NULL, err);
    case BVI_SNAP_SYMLINK:
        return settle_symlink(s, item, name, err);
    default:
        return settle_hardlink(s, e, name, err);
    }
}

static int settle_item(bvi_settle *s, const bvi_layout *plan, const bvi_layout_item *item,
                       const bvi_snap_entry *e, bv_error **err)
{
    bool wanted = bvi_dest_is_wanted(s->dest, e->path);
    int r = leave_for(s, bvi_layout_text(plan, item->dir), err);

    if (r < 0)
        return r;
    if (s->delete_extra && e->kind != BVI_SNAP_CONTINUED && *e->path) {
        uint64_t *hash = bvi_vec_push(&s->names);

        if (!hash)
            return bvi_fail_nomem(err);
        *hash = hash_name(bvi_layout_text(plan, item->name));
    }
    if (item->kind == BVI_SNAP_DIR)
        return enter_dir(s, item, e, wanted, err);
    return wanted ? settle_wanted(s, plan, item, e, err) : 0;
}

int bvi_settle_page(bvi_settle *s, const bvi_layout *plan, const bvi_page *page, bv_error **err)
{
    bvi_page_entries *it = bvi_new0(bvi_page_entries);
    size_t i = 0;
    int r;

    if (!it)
        return bvi_fail_nomem(err);
    bvi_page_entries_init(it, page, plan->end_pos);
    while ((r = bvi_page_entries_next(it, err)) > 0) {
        r = settle_item(s, plan, &plan->items.items[i++], &it->entry, err);
        if (r < 0)
            break;
    }
    bvi_page_entries_done(it);
    bvi_free(it);
    return r;
}

int bvi_settle_end(bvi_settle *s, bv_error **err)
{
    int r = 0;

    while (r == 0 && s->levels.len > 0)
        r = leave(s, err);
    return r;
}
