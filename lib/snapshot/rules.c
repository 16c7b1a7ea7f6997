/*
 * rules.c - what one entry and one frame of a snapshot may be, and how paths are ordered. The same
 * for writing and reading, so that we never write what we would refuse. Pure; any thread.
 */
#include <string.h>

#include "snapshot/page.h"
#include "snapshot/page_impl.h"
#include "transfer/path.h"

/* ---- paths ---- */

/* Where the component that holds byte `at` begins; no further back than the longest there may be.
 */
static size_t component_start(const char *path, size_t at)
{
    while (at > 0 && path[at - 1] != '/')
        at--;
    return at;
}

static int path_check(const char *path, size_t len, size_t checked, bv_error **err)
{
    size_t at = component_start(path, checked);

    if (len > BVI_SNAP_PATH_MAX)
        return bvi_fail(err, BV_E_FORMAT, "a path is longer than %u bytes", BVI_SNAP_PATH_MAX);
    for (;;) {
        const char *slash = memchr(path + at, '/', len - at);
        size_t n = slash ? (size_t)(slash - path) - at : len - at;

        if (n == 0)
            return bvi_fail(err, BV_E_FORMAT, "path '%s' has an empty component", path);
        if (n > BVI_SNAP_NAME_MAX)
            return bvi_fail(err, BV_E_FORMAT, "path '%s' has a component longer than %u bytes",
                            path, BVI_SNAP_NAME_MAX);
        if (path[at] == '.' && (n == 1 || (n == 2 && path[at + 1] == '.')))
            return bvi_fail(err, BV_E_FORMAT, "path '%s' has a '.' or '..' component", path);
        if (!slash)
            return 0;
        at += n + 1;
    }
}

int bvi_snap_path_compare(const char *a, const char *b)
{
    return bvi_target_path_compare(a, b);
}

bool bvi_snap_path_follows_from(const char *prev, size_t prev_len, bvi_snap_kind kind,
                                const char *path, size_t len, size_t same)
{
    size_t parent;

    while (same < prev_len && same < len && prev[same] == path[same])
        same++;
    if (same == len)
        return false; /* the same path, or one that prev lies in */
    if (same < prev_len && prev[same] != '/' &&
        (path[same] == '/' || (unsigned char)path[same] < (unsigned char)prev[same]))
        return false;

    /* What it lies in must be prev itself, or something that prev lies in. */
    parent = component_start(path, len);
    if (parent > 0)
        parent--;
    if (parent == prev_len)
        return same >= parent && kind == BVI_SNAP_DIR;
    return parent == 0 || (parent < prev_len && same > parent);
}

bool bvi_snap_path_follows(const char *prev, bvi_snap_kind kind, const char *path)
{
    return bvi_snap_path_follows_from(prev, strlen(prev), kind, path, strlen(path), 0);
}

/* ---- entries ---- */

static int check_meta(const bvi_snap_entry *entry, bv_error **err)
{
    size_t bytes = 0;

    if (entry->mode > 07777 || entry->uid == UINT32_MAX || entry->gid == UINT32_MAX ||
        entry->mtime_ns >= 1000000000u)
        return bvi_fail(err, BV_E_FORMAT, "'%s' has an impossible mode, owner or time",
                        entry->path);
    for (size_t i = 0; i < entry->n_xattrs && i < BVI_SNAP_XATTRS_MAX; i++) {
        size_t len = strlen(entry->xattrs[i].name);

        if (len == 0 || len > BVI_SNAP_NAME_MAX)
            return bvi_fail(err, BV_E_FORMAT, "'%s' has an extended attribute without a right name",
                            entry->path);
        bytes += len + entry->xattrs[i].value_len;
    }
    if (entry->n_xattrs > BVI_SNAP_XATTRS_MAX || bytes > BVI_SNAP_XATTR_BYTES)
        return bvi_fail(err, BV_E_FORMAT,
                        "'%s' has more than %u extended attributes or %u bytes of them",
                        entry->path, BVI_SNAP_XATTRS_MAX, BVI_SNAP_XATTR_BYTES);
    return 0;
}

static int check_target(const bvi_snap_entry *entry, bv_error **err)
{
    size_t len = entry->target ? strlen(entry->target) : 0;

    if (len == 0 || len > BVI_SNAP_PATH_MAX)
        return bvi_fail(err, BV_E_FORMAT, "link '%s' has a target of no or too many bytes",
                        entry->path);
    if (entry->kind == BVI_SNAP_SYMLINK)
        return 0;
    if (path_check(entry->target, len, 0, NULL) < 0 ||
        bvi_snap_path_compare(entry->target, entry->path) >= 0)
        return bvi_fail(err, BV_E_FORMAT, "hard link '%s' leads to '%s', which is not before it",
                        entry->path, entry->target);
    return 0;
}

static bool is_file(bvi_snap_kind kind)
{
    return kind == BVI_SNAP_FILE || kind == BVI_SNAP_CONTINUED;
}

int bvi_snap_entry_check(const bvi_snap_entry *entry, size_t path_len, size_t checked,
                         bv_error **err)
{
    int r = 0;

    if (entry->kind < BVI_SNAP_DIR || entry->kind > BVI_SNAP_HARDLINK)
        return bvi_fail(err, BV_E_FORMAT, "'%s' is of unknown kind %d", entry->path, entry->kind);
    if (path_len > 0)
        r = path_check(entry->path, path_len, checked, err);
    else if (entry->kind != BVI_SNAP_DIR)
        r = bvi_fail(err, BV_E_FORMAT, "the root of a snapshot is not a directory");
    if (r == 0)
        r = check_meta(entry, err);
    if (r == 0 && (entry->kind == BVI_SNAP_SYMLINK || entry->kind == BVI_SNAP_HARDLINK))
        r = check_target(entry, err);
    if (r == 0 && is_file(entry->kind) && entry->size > BVI_SNAP_FILE_MAX)
        r = bvi_fail(err, BV_E_FORMAT, "file '%s' is larger than a file can be", entry->path);
    return r;
}

/* ---- frames ---- */

int bvi_snap_frame_check(const bvi_snap_frame *frame, bv_error **err)
{
    if (frame->plain == 0 || frame->plain > BVI_SNAP_CHUNK_MAX)
        return bvi_fail(err, BV_E_FORMAT, "a frame of %u plain bytes", frame->plain);
    if (frame->stored == 0 || frame->stored > BVI_SNAP_FRAME_MAX ||
        frame->offset > BVI_SNAP_PACK_MAX - frame->stored)
        return bvi_fail(err, BV_E_FORMAT, "a frame of %u stored bytes at %llu of its pack",
                        frame->stored, (unsigned long long)frame->offset);
    if (frame->codec > BVI_SNAP_LZ4)
        return bvi_fail(err, BV_E_FORMAT, "a frame of unknown codec %d", (int)frame->codec);
    if (frame->codec == BVI_SNAP_STORED && frame->stored != frame->plain)
        return bvi_fail(err, BV_E_FORMAT, "a stored frame of %u bytes holds %u", frame->stored,
                        frame->plain);
    return 0;
}
