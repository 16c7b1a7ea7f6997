/*
 * download_steps.c - what a snapshot's download does on the worker between its phases.
 *
 * While a step runs nothing else touches what it touches: pages, plans in the making, state files.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "snapshot/download_impl.h"
#include "sys/fs.h"

static char *state_path(const bvi_snap_download *d, const char *name)
{
    return bvi_path_join(d->opts.state_dir, name, NULL);
}

/* ---- open ---- */

static void name_settings(bvi_snap_download *d)
{
    bvi_fingerprint f;

    bvi_fingerprint_init(&f, "snapshot download");
    bvi_fingerprint_text(&f, d->store_key);
    bvi_fingerprint_text(&f, d->opts.dest_dir);
    bvi_fingerprint_number(&f, d->include.len);
    for (size_t i = 0; i < d->include.len; i++)
        bvi_fingerprint_text(&f, d->include.items[i]);
    for (size_t i = 0; i < d->protect.len; i++)
        bvi_fingerprint_text(&f, d->protect.items[i]);
    bvi_fingerprint_final(&f, d->settings);
}

static int open_state(bvi_snap_download *d, bv_error **err)
{
    bvi_auto_free char *lock = state_path(d, BVI_SNAP_DOWNLOAD_LOCK);
    bvi_auto_free char *bits = state_path(d, BVI_SNAP_DOWNLOAD_BITS);
    bvi_bits_header header;
    struct stat st;
    int r;

    if (!lock || !bits)
        return bvi_fail_nomem(err);
    d->made_state = !bvi_fs_exists(d->opts.state_dir);
    r = bvi_fs_mkdir(d->opts.state_dir, 0700, err);
    if (r == 0)
        r = bvi_fs_lock(lock, &d->lock_fd, err);
    if (r == BV_E_BUSY)
        return bvi_wrap(err, r, "another download uses '%s'", d->opts.state_dir);
    if (r < 0)
        return r;
    if (stat(d->opts.state_dir, &st) == 0) {
        d->dest.state_dev = st.st_dev;
        d->dest.state_ino = st.st_ino;
    }
    if (!d->opts.version && d->opts.mode == BVI_SNAP_RESTORE && bvi_bits_peek(bits, &header) &&
        strcmp(header.settings, d->settings) == 0)
        d->opts.version = header.version; /* pinned by the run before */
    return 0;
}

static int open_seeds(bvi_snap_download *d, bv_error **err)
{
    size_t n = d->seed_dirs.len;

    if (n == 0)
        return 0;
    d->seeds = bvi_new_array(bvi_dest, n);
    if (!d->seeds)
        return bvi_fail_nomem(err);
    for (size_t i = 0; i < n; i++)
        bvi_dest_init(&d->seeds[i]);
    for (size_t i = 0; i < n; i++) {
        int r = bvi_dest_open(&d->seeds[i], d->seed_dirs.items[i], false, err);

        if (r < 0)
            return bvi_wrap(err, r, "cannot take bytes from another directory");
    }
    return 0;
}

int bvi_snap_step_open(bvi_snap_download *d, bv_error **err)
{
    int r = 0;

    name_settings(d);
    d->made_dest = d->opts.mode == BVI_SNAP_RESTORE && !bvi_fs_exists(d->opts.dest_dir);
    if (d->opts.dest_dir)
        r = bvi_dest_open(&d->dest, d->opts.dest_dir, d->opts.mode == BVI_SNAP_RESTORE, err);
    if (r == 0 && d->opts.state_dir)
        r = open_state(d, err);
    d->dest.include = d->include.len > 0 ? d->include.items : NULL;
    d->dest.protect = d->protect.len > 0 ? d->protect.items : NULL;
    d->dest.owners = d->opts.owners && geteuid() == 0;
    return r == 0 ? open_seeds(d, err) : r;
}

/* Only what is empty can go, so nothing is lost if others came meanwhile. */
int bvi_snap_step_undo(bvi_snap_download *d, bv_error **err)
{
    bvi_auto_free char *lock =
        d->made_state && d->lock_fd >= 0 ? state_path(d, BVI_SNAP_DOWNLOAD_LOCK) : NULL;

    (void)err;
    if (lock && unlink(lock) == 0)
        (void)rmdir(d->opts.state_dir);
    if (d->made_dest)
        (void)rmdir(d->opts.dest_dir);
    return 0;
}

/* ---- begin ---- */

static int fail_space(const bvi_snap_download *d, uint64_t need, uint64_t available,
                      const char *what, bv_error **err)
{
    (void)bvi_fail_sys(err, ENOSPC, "free %llu %s on the file system of '%s'",
                       (unsigned long long)(need - available), what, d->opts.dest_dir);
    return bvi_wrap(err, BV_E_IO, "the snapshot needs %llu more %s, but only %llu are available",
                    (unsigned long long)need, what, (unsigned long long)available);
}

/* What is there already is counted only when it matters: that takes a walk over all of it. */
int bvi_snap_step_space(bvi_snap_download *d, bv_error **err)
{
    const bvi_snap_root *root = bvi_snap_manifest_root(d->manifest);
    uint64_t have_bytes = 0;
    uint64_t have_entries = 0;
    struct statvfs fs;
    uint64_t available;
    int r;

    if (d->opts.mode != BVI_SNAP_RESTORE || d->include.len > 0)
        return 0; /* of a part it is not known how much it is */
    if (fstatvfs(d->dest.fd, &fs) < 0)
        return bvi_fail_sys(err, errno, "cannot get available disk space of '%s'",
                            d->opts.dest_dir);
    available = (uint64_t)fs.f_bavail * fs.f_frsize;
    if (available >= root->plain_bytes && (fs.f_files == 0 || fs.f_favail >= root->entries))
        return 0;
    r = bvi_dest_usage(&d->dest, &have_bytes, &have_entries, err);
    if (r < 0)
        return r;
    if (root->plain_bytes > have_bytes && root->plain_bytes - have_bytes > available)
        return fail_space(d, root->plain_bytes - have_bytes, available, "bytes", err);
    if (fs.f_files > 0 && root->entries > have_entries &&
        root->entries - have_entries > fs.f_favail)
        return fail_space(d, root->entries - have_entries, fs.f_favail, "files (inodes)", err);
    return 0;
}

static int open_bits(bvi_snap_download *d, bv_error **err)
{
    bvi_auto_free char *path = state_path(d, BVI_SNAP_DOWNLOAD_BITS);
    const bvi_snap_root *root = bvi_snap_manifest_root(d->manifest);
    bvi_bits_header header = { .version = root->version,
                               .count = root->chunks,
                               .root = *bvi_snap_manifest_id(d->manifest) };

    if (!path)
        return bvi_fail_nomem(err);
    memcpy(header.settings, d->settings, sizeof(header.settings));
    return bvi_bits_open(&d->bits, path, &header, d->opts.recheck, err);
}

int bvi_snap_step_begin(bvi_snap_download *d, bv_error **err)
{
    const bvi_snap_root *root = bvi_snap_manifest_root(d->manifest);
    bvi_auto_free char *stamps = NULL;
    int r;

    if (root->pages.len == 0)
        return bvi_fail(err, BV_E_FORMAT, "snapshot '%s' has no pages", d->store_key);
    /* Each takes more than its hash; what is kept for them is reckoned with before pages are seen.
     */
    if (root->chunks / (BVI_SNAP_PAGE_MAX / BVI_BLAKE3_SIZE) > root->pages.len)
        return bvi_fail(err, BV_E_FORMAT, "snapshot '%s' has more chunks than pages can hold",
                        d->store_key);
    d->prepare = (bvi_prepare){ .mode = d->opts.mode,
                                .recheck = d->opts.recheck,
                                .seeds = d->seed_dirs.len > 0,
                                .stopping = &d->stopping,
                                .dest = d->opts.mode == BVI_SNAP_CHECK ? NULL : &d->dest };
    if (d->opts.mode != BVI_SNAP_RESTORE)
        return 0;
    stamps = state_path(d, BVI_SNAP_INSTALLED);
    if (!stamps)
        return bvi_fail_nomem(err);
    r = open_bits(d, err);
    if (r < 0)
        return r;
    bvi_installed_reader_open(&d->installed, stamps);
    d->prepare.in_new_dir = bvi_dest_is_empty(&d->dest); /* new_dir is "" */
    d->prepare.bits = &d->bits;
    d->prepare.installed = &d->installed;
    return 0;
}

/* ---- pages ---- */

static int make_plan(bvi_snap_download *d, bool *ret_last, bv_error **err)
{
    const bvi_snap_root *root = bvi_snap_manifest_root(d->manifest);
    int r = bvi_layout_new(&d->page, d->next_page, &d->walk, &d->plan, err);

    *ret_last = d->next_page + 1 == root->pages.len;
    if (r == 0)
        r = bvi_walk_check_page(&d->walk, &root->pages.items[d->next_page], d->page.n_entries,
                                d->page.n_chunks, d->page.data_bytes, err);
    if (r == 0 && *ret_last)
        r = bvi_walk_check_end(&d->walk, root, err);
    return r == 0 || r == BV_E_NOMEM ? r
                                     : bvi_wrap(err, r, "page %u of snapshot '%s' is refused",
                                                d->next_page, d->store_key);
}

/* After a full disk once more: what was made the first time is no sign of an earlier run then. */
int bvi_snap_step_plan(bvi_snap_download *d, bv_error **err)
{
    const bvi_snap_root *root = bvi_snap_manifest_root(d->manifest);
    bool last = d->next_page + 1 == root->pages.len;
    int r = 0;

    if (d->plan) {
        d->prepare.recheck = true;
        d->prepare.in_new_dir = false;
    } else {
        r = make_plan(d, &last, err);
    }
    if (r == 0)
        r = bvi_prepare_page(&d->prepare, d->plan, last, err);
    bvi_page_done(&d->page);
    return r;
}

int bvi_snap_step_turn(bvi_snap_download *d, bv_error **err)
{
    bvi_auto_free char *stamps = NULL;

    bvi_walk_check_again(&d->walk);
    bvi_installed_reader_done(&d->installed);
    if (d->opts.mode != BVI_SNAP_RESTORE)
        return 0;
    stamps = state_path(d, BVI_SNAP_INSTALLED);
    d->settle = bvi_new0(bvi_settle);
    if (!stamps || !d->settle)
        return bvi_fail_nomem(err);
    bvi_settle_init(d->settle);
    d->settle->dest = &d->dest;
    d->settle->xattrs = d->opts.xattrs;
    d->settle->delete_extra = d->opts.delete_extra;
    d->settle->installed = &d->installing;
    return bvi_installed_writer_open(&d->installing, stamps, err);
}

int bvi_snap_step_settle(bvi_snap_download *d, bv_error **err)
{
    bool last = false;
    int r = make_plan(d, &last, err);

    if (r == 0 && d->settle)
        r = bvi_settle_page(d->settle, d->plan, &d->page, err);
    if (r == 0 && d->settle && last)
        r = bvi_settle_end(d->settle, err);
    bvi_layout_free(bvi_take(d->plan));
    bvi_page_done(&d->page);
    return r;
}

/* ---- durability and the end ---- */

int bvi_snap_sync_written(bvi_snap_download *d, bv_error **err)
{
    if (syncfs(d->dest.fd) < 0)
        return bvi_fail_sys(err, errno, "cannot make the data in '%s' durable", d->opts.dest_dir);
    for (size_t i = 0; i < d->syncing.len; i++)
        bvi_bits_set(&d->bits, d->syncing.items[i]);
    return 0;
}

int bvi_snap_step_finish(bvi_snap_download *d, bv_error **err)
{
    bvi_auto_free char *bits = NULL;
    int r;

    if (d->opts.mode != BVI_SNAP_RESTORE)
        return 0;
    bits = state_path(d, BVI_SNAP_DOWNLOAD_BITS);
    if (!bits)
        return bvi_fail_nomem(err);
    if (syncfs(d->dest.fd) < 0)
        return bvi_fail_sys(err, errno, "cannot make the data in '%s' durable", d->opts.dest_dir);
    r = bvi_installed_writer_commit(&d->installing, err);
    bvi_bits_done(&d->bits);
    return r == 0 ? bvi_fs_remove(bits, err) : r;
}
