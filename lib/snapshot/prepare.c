/*
 * prepare.c - see prepare.h.
 *
 * What is there already is kept as far as it may be of use: files are cut to their size and emptied
 * where the snapshot has holes, the rest is left for the look at their content. A file with several
 * names that may be right as it is keeps them; before it is written to, here or later, this name is
 * given a file of its own, so that nothing is written through the others.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "snapshot/prepare.h"
#include "sys/fs.h"

/* Room is reserved for extents from this size on, so that they lie together. */
#define RESERVE_MIN (16u * 1024u * 1024u)
#define ZEROS_BYTES 65536u
#define BLOCK_BYTES 4096ull

typedef struct page_work {
    bvi_prepare *p;
    bvi_layout *plan;
    bool last_page;
    bvi_dest_dir dir;
    char path[BVI_SNAP_PATH_MAX + 1];
} page_work;

static const char *name_of(const page_work *w, const bvi_layout_item *item)
{
    return bvi_layout_text(w->plan, item->name);
}

static int fail(const page_work *w, const bvi_layout_item *item, const char *verb, bv_error **err)
{
    return bvi_dest_fail(errno, verb, w->dir.path, name_of(w, item), err);
}

static int enter(page_work *w, const bvi_layout_item *item, bv_error **err)
{
    const char *dir = bvi_layout_text(w->plan, item->dir);

    return w->p->mode == BVI_SNAP_RESTORE ? bvi_dest_make(w->p->dest, &w->dir, dir, err)
                                          : bvi_dest_enter(w->p->dest, &w->dir, dir, err);
}

/* ---- directories and links ---- */

/* A directory that its owner may not write to would stop us unless we are root. */
static int open_up(page_work *w, const bvi_layout_item *item, const struct stat *st, bv_error **err)
{
    if ((st->st_mode & 0700) == 0700)
        return 0;
    if (fchmodat(w->dir.fd, name_of(w, item), (st->st_mode & 07777) | 0700, 0) < 0)
        return fail(w, item, "change the mode of", err);
    return 0;
}

static bool is_below(const char *dir, const char *path)
{
    size_t len = strlen(dir);

    return strncmp(path, dir, len) == 0 && (len == 0 || path[len] == '/' || path[len] == '\0');
}

/* The walk comes to what is in it next; one around it counts as well. */
static void note_new_dir(page_work *w, const bvi_layout_item *item)
{
    bvi_prepare *p = w->p;

    bvi_layout_path(w->plan, item, w->path);
    if (p->in_new_dir && is_below(p->new_dir, w->path))
        return;
    p->in_new_dir = true;
    memcpy(p->new_dir, w->path, strlen(w->path) + 1);
}

static bool is_in_new_dir(const page_work *w, const bvi_layout_item *item)
{
    return w->p->in_new_dir && is_below(w->p->new_dir, bvi_layout_text(w->plan, item->dir));
}

static int prepare_dir(page_work *w, bvi_layout_item *item, bv_error **err)
{
    const char *name = name_of(w, item);
    struct stat st;
    int r = enter(w, item, err);

    if (r < 0 || !*name)
        return r;
    if (mkdirat(w->dir.fd, name, (item->mode & 0777) | 0700) == 0) {
        note_new_dir(w, item);
        return 0;
    }
    if (errno != EEXIST || fstatat(w->dir.fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return fail(w, item, "make the directory", err);
    if (S_ISDIR(st.st_mode))
        return open_up(w, item, &st, err);
    r = bvi_dest_clear(w->p->dest, &w->dir, name, err);
    if (r == 0 && mkdirat(w->dir.fd, name, (item->mode & 0777) | 0700) < 0)
        r = fail(w, item, "make the directory", err);
    return r;
}

static bool is_link_to(const page_work *w, const bvi_layout_item *item)
{
    const char *target = bvi_layout_text(w->plan, item->target);
    char there[BVI_SNAP_PATH_MAX + 1];
    ssize_t n = readlinkat(w->dir.fd, name_of(w, item), there, sizeof(there));

    return n >= 0 && (size_t)n == strlen(target) && memcmp(there, target, (size_t)n) == 0;
}

static int prepare_symlink(page_work *w, bvi_layout_item *item, bv_error **err)
{
    const char *target = bvi_layout_text(w->plan, item->target);
    int r = enter(w, item, err);

    if (r < 0 || is_link_to(w, item))
        return r;
    r = bvi_dest_clear(w->p->dest, &w->dir, name_of(w, item), err);
    if (r == 0 && symlinkat(target, w->dir.fd, name_of(w, item)) < 0)
        r = fail(w, item, "make the symbolic link", err);
    return r;
}

/* ---- files ---- */

static int zero_range(int fd, uint64_t from, uint64_t to)
{
    static const uint8_t zeros[ZEROS_BYTES];

    while (from < to) {
        size_t n = to - from < sizeof(zeros) ? (size_t)(to - from) : sizeof(zeros);
        ssize_t done = pwrite(fd, zeros, n, (off_t)from);

        if (done < 0 && errno != EINTR)
            return -errno;
        from += done > 0 ? (uint64_t)done : 0;
    }
    return 0;
}

static bool is_empty(int fd, uint64_t from, uint64_t to)
{
    off_t data = from < to ? lseek(fd, (off_t)from, SEEK_DATA) : -1;

    return data < 0 || (uint64_t)data >= to;
}

static int is_hole(int fd, uint64_t from, uint64_t to)
{
    return is_empty(fd, from, to) ? 0 : -EEXIST;
}

static int punch(int fd, uint64_t from, uint64_t to)
{
    if (is_empty(fd, from, to))
        return 0;
    if (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)from,
                  (off_t)(to - from)) == 0)
        return 0;
    return errno == EOPNOTSUPP ? zero_range(fd, from, to) : -errno;
}

/* The holes between, before and behind the extents of this page; up to the first failure. */
static int each_hole(const page_work *w, const bvi_layout_item *item, int fd,
                     int (*run)(int fd, uint64_t from, uint64_t to))
{
    uint64_t at = item->kind == BVI_SNAP_CONTINUED ? w->plan->end_pos : 0;
    bool may_go_on = item == &w->plan->items.items[w->plan->items.len - 1] && !w->last_page;
    int r = 0;

    for (uint32_t i = 0; r == 0 && i < item->n_extents; i++) {
        const bvi_layout_extent *extent = &w->plan->extents.items[item->first_extent + i];

        r = run(fd, at, extent->pos);
        at = extent->pos + extent->len;
    }
    /* Up to the end of the last block, which would stay otherwise. */
    return r == 0 && !may_go_on && at < item->size
               ? run(fd, at, (item->size | (BLOCK_BYTES - 1)) + 1)
               : r;
}

static int reserve(const page_work *w, const bvi_layout_item *item, int fd)
{
    for (uint32_t i = 0; i < item->n_extents; i++) {
        const bvi_layout_extent *extent = &w->plan->extents.items[item->first_extent + i];

        if (extent->len >= RESERVE_MIN &&
            fallocate(fd, FALLOC_FL_KEEP_SIZE, (off_t)extent->pos, (off_t)extent->len) < 0 &&
            (errno == ENOSPC || errno == EDQUOT))
            return -errno;
    }
    return 0;
}

static int set_up(page_work *w, bvi_layout_item *item, int flags, bv_error **err)
{
    bvi_auto_close int fd =
        openat(w->dir.fd, name_of(w, item), O_WRONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | flags,
               (item->mode & 0777) | 0200);
    int r = 0;

    if (fd < 0)
        return fail(w, item, "open", err);
    if (item->kind == BVI_SNAP_FILE && ftruncate(fd, (off_t)item->size) < 0)
        r = -errno;
    if (r == 0)
        r = flags & O_CREAT ? reserve(w, item, fd) : each_hole(w, item, fd, punch);
    if (r == 0)
        return 0;
    errno = -r;
    return fail(w, item, "set up", err);
}

/* The chunk with the first byte of an extent: the last one that does not begin behind it. */
static uint32_t chunk_at(const bvi_layout *plan, uint32_t extent)
{
    uint32_t low = 0;
    uint32_t high = (uint32_t)plan->chunks.len;

    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;
        const bvi_layout_chunk *chunk = &plan->chunks.items[middle];

        if (chunk->extent < extent || (chunk->extent == extent && chunk->skip == 0))
            low = middle;
        else
            high = middle;
    }
    return low;
}

/* What was durable went away with the file, or with a part of it: before it gets its size again and
 * looks like the one that was. */
static int forget(const page_work *w, const bvi_layout_item *item, bv_error **err)
{
    const bvi_layout *plan = w->plan;
    bool any = false;

    if (!w->p->bits || item->n_extents == 0)
        return 0;
    for (uint32_t i = chunk_at(plan, item->first_extent);
         i < plan->chunks.len &&
         plan->chunks.items[i].extent < item->first_extent + item->n_extents;
         i++)
        any = bvi_bits_clear(w->p->bits, plan->first_chunk + i) || any;
    return any ? bvi_bits_sync(w->p->bits, err) : 0;
}

/* The first writer makes a file that is whole in one chunk, so that it is opened once. Nobody else
 * may have made it since it was looked for. */
static int prepare_new(page_work *w, bvi_layout_item *item, bv_error **err)
{
    int r = forget(w, item, err);

    w->p->new_file = true;
    if (r < 0 || (item->flags & BVI_LAYOUT_WHOLE))
        return r;
    return set_up(w, item, O_CREAT | (item->kind == BVI_SNAP_FILE ? O_EXCL : 0), err);
}

/* Nothing but what its bytes are would be written: those are looked at without writing. */
static bool may_stay(const page_work *w, const bvi_layout_item *item, const struct stat *st)
{
    bvi_auto_close int fd = -1;

    if ((uint64_t)st->st_size != item->size)
        return false;
    if (item->kind == BVI_SNAP_FILE &&
        ((st->st_mode & 07777) != item->mode || st->st_mtim.tv_sec != item->mtime_s ||
         st->st_mtim.tv_nsec != (long)item->mtime_ns ||
         (w->p->dest->owners && (st->st_uid != item->uid || st->st_gid != item->gid))))
        return false;
    fd = openat(w->dir.fd, name_of(w, item), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    return fd >= 0 && each_hole(w, item, fd, is_hole) == 0;
}

/* Files may be closed to their owner, who still may open them up. */
static int unlock(page_work *w, const bvi_layout_item *item, const struct stat *st, bv_error **err)
{
    if ((st->st_mode & 0600) == 0600)
        return 0;
    if (fchmodat(w->dir.fd, name_of(w, item), (st->st_mode & 07777) | 0600, 0) < 0)
        return fail(w, item, "change the mode of", err);
    return 0;
}

static int prepare_old(page_work *w, bvi_layout_item *item, const struct stat *st, bv_error **err)
{
    bool stays = st->st_nlink > 1 && may_stay(w, item, st);
    int r = 0;

    if (st->st_nlink > 1 && !stays)
        r = bvi_dest_unshare(&w->dir, name_of(w, item), w->p->stopping, err);
    if (r == 0 && (uint64_t)st->st_size < item->size)
        r = forget(w, item, err);
    if (r == 0 && !stays && st->st_nlink == 1)
        r = unlock(w, item, st, err);
    if (r == 0 && !stays)
        r = set_up(w, item, 0, err);
    item->flags |= BVI_LAYOUT_EXISTS;
    item->local_size = (uint64_t)st->st_size < item->size ? (uint64_t)st->st_size : item->size;
    return r;
}

static bool is_stamped(page_work *w, bvi_layout_item *item, const struct stat *st)
{
    if (!w->p->installed || w->p->recheck)
        return false;
    bvi_layout_path(w->plan, item, w->path);
    return bvi_installed_is(w->p->installed, w->path, item->recipe, st);
}

static int prepare_file(page_work *w, bvi_layout_item *item, bv_error **err)
{
    const char *name = name_of(w, item);
    struct stat st;
    int r = enter(w, item, err);

    if (r < 0)
        return r;
    if (item->kind == BVI_SNAP_FILE)
        w->p->new_file = false;
    if (item->kind == BVI_SNAP_FILE && is_in_new_dir(w, item))
        return prepare_new(w, item, err);
    if (fstatat(w->dir.fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? prepare_new(w, item, err) : fail(w, item, "look at", err);
    if (!S_ISREG(st.st_mode)) {
        r = bvi_dest_clear(w->p->dest, &w->dir, name, err);
        return r < 0 ? r : prepare_new(w, item, err);
    }
    if (w->p->new_file) /* it was made for the page before */
        return prepare_new(w, item, err);
    if (is_stamped(w, item, &st)) {
        item->flags |= BVI_LAYOUT_EXISTS | BVI_LAYOUT_STAMPED;
        item->local_size = (uint64_t)st.st_size;
        return 0;
    }
    return prepare_old(w, item, &st, err);
}

/* ---- only looking ---- */

static bool is_of_kind(const page_work *w, const bvi_layout_item *item, const struct stat *st)
{
    switch (item->kind) {
    case BVI_SNAP_DIR:
        return S_ISDIR(st->st_mode);
    case BVI_SNAP_SYMLINK:
        return S_ISLNK(st->st_mode) && is_link_to(w, item);
    default:
        return S_ISREG(st->st_mode);
    }
}

static int look_at(page_work *w, bvi_layout_item *item, bv_error **err)
{
    const char *name = name_of(w, item);
    bv_error *why = NULL;
    struct stat st;
    int r = enter(w, item, &why);

    if (r == BV_E_NOT_FOUND || r == BV_E_INVALID || bv_error_errno(why) == ENOTDIR) {
        bv_error_free(why);
        item->flags |= BVI_LAYOUT_OTHER;
        return 0;
    }
    if (r < 0)
        return bvi_error_move(err, why);
    if (fstatat(w->dir.fd, *name ? name : ".", &st, AT_SYMLINK_NOFOLLOW) < 0 ||
        !is_of_kind(w, item, &st)) {
        item->flags |= BVI_LAYOUT_OTHER;
        return 0;
    }
    item->flags |= BVI_LAYOUT_EXISTS;
    item->local_size = (uint64_t)st.st_size;
    if ((item->kind == BVI_SNAP_FILE || item->kind == BVI_SNAP_CONTINUED) &&
        item->local_size != item->size)
        item->flags |= BVI_LAYOUT_OTHER;
    return 0;
}

/* ---- chunks ---- */

/* What the files of a chunk say about it. */
typedef struct chunk_facts {
    bool wanted;
    bool partly;
    bool there;   /* all its bytes could be */
    bool stamped; /* all its files are as they were installed */
} chunk_facts;

static chunk_facts facts_of(const bvi_layout *plan, uint32_t index)
{
    chunk_facts f = { .there = true, .stamped = true };
    bvi_layout_pieces it;

    bvi_layout_pieces_init(&it, plan, index);
    while (bvi_layout_pieces_next(&it)) {
        if (it.item->flags & BVI_LAYOUT_UNWANTED) {
            f.partly = true;
            continue;
        }
        f.wanted = true;
        if (!(it.item->flags & BVI_LAYOUT_EXISTS) || it.item->local_size < it.pos + it.len)
            f.there = false;
        if (!(it.item->flags & BVI_LAYOUT_STAMPED))
            f.stamped = false;
    }
    return f;
}

static bvi_layout_state decide(bvi_prepare *p, const bvi_layout *plan, uint32_t index,
                               const chunk_facts *f)
{
    if (p->mode == BVI_SNAP_CHECK)
        return BVI_LAYOUT_FETCH;
    if (!f->wanted)
        return BVI_LAYOUT_DONE;
    if (f->there && f->stamped)
        return BVI_LAYOUT_DONE;
    if (f->there && !p->recheck && p->bits && bvi_bits_get(p->bits, plan->first_chunk + index)) {
        p->resumed_chunks++;
        return BVI_LAYOUT_DONE;
    }
    return p->mode == BVI_SNAP_COMPARE || (f->there && !f->partly) || p->seeds ? BVI_LAYOUT_LOOK
                                                                               : BVI_LAYOUT_FETCH;
}

static void decide_all(bvi_prepare *p, bvi_layout *plan)
{
    p->resumed_chunks = p->kept_bytes = 0;
    for (uint32_t i = 0; i < plan->chunks.len; i++) {
        bvi_layout_chunk *chunk = &plan->chunks.items[i];
        chunk_facts f = facts_of(plan, i);

        chunk->wanted = f.wanted;
        chunk->partly = f.partly;
        chunk->local = f.there && !f.partly;
        chunk->state = (uint8_t)decide(p, plan, i, &f);
        if (chunk->state == BVI_LAYOUT_DONE && f.wanted)
            p->kept_bytes += chunk->frame.plain;
    }
}

static int prepare_item(page_work *w, bvi_layout_item *item, bv_error **err)
{
    if (w->p->mode == BVI_SNAP_COMPARE)
        return look_at(w, item, err);
    switch (item->kind) {
    case BVI_SNAP_DIR:
        return prepare_dir(w, item, err);
    case BVI_SNAP_SYMLINK:
        return prepare_symlink(w, item, err);
    case BVI_SNAP_FILE:
    case BVI_SNAP_CONTINUED:
        return prepare_file(w, item, err);
    default: /* hard links are made when their files are complete */
        return 0;
    }
}

static bool is_wanted(page_work *w, const bvi_layout_item *item)
{
    const bvi_dest *dest = w->p->dest;

    if (!dest->include && !dest->protect)
        return true;
    bvi_layout_path(w->plan, item, w->path);
    return bvi_dest_is_wanted(dest, w->path);
}

int bvi_prepare_page(bvi_prepare *p, bvi_layout *plan, bool last, bv_error **err)
{
    page_work *w = bvi_new0(page_work);
    int r = 0;

    if (!w)
        return bvi_fail_nomem(err);
    w->p = p;
    w->plan = plan;
    w->last_page = last;
    bvi_dest_dir_init(&w->dir);
    for (uint32_t i = 0; p->dest && r == 0 && i < plan->items.len; i++) {
        bvi_layout_item *item = &plan->items.items[i];

        item->flags &= BVI_LAYOUT_WHOLE;
        if (is_wanted(w, item))
            r = prepare_item(w, item, err);
        else
            item->flags |= BVI_LAYOUT_UNWANTED;
    }
    if (r == 0)
        decide_all(p, plan);
    bvi_dest_dir_done(&w->dir);
    bvi_free(w);
    return r;
}
