/*
 * fs.h - files: whole reads with a maximum, atomic durable replacement, directories, locks.
 * Blocking; any thread.
 */
#ifndef BVI_SYS_FS_H
#define BVI_SYS_FS_H

#include <sys/types.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/json.h"
#include "base/vec.h"

/* Reads a whole file. BV_E_NOT_FOUND when it is missing, BV_E_LIMIT when it is larger than max. The
 * text is followed by a zero byte that does not count. */
int bvi_fs_read(const char *path, size_t max, char **ret_text, size_t *ret_len, bv_error **err);
int bvi_fs_read_at(int dir_fd, const char *name, size_t max, char **ret_text, size_t *ret_len,
                   bv_error **err);

/* Replaces a file so that after a crash either the old or the new content is there, whole:
 * temporary file in the same directory (".<name>.tmp-<random>"), write, fsync, rename, fsync of the
 * directory. */
int bvi_fs_replace(const char *path, const void *bytes, size_t len, mode_t mode, bv_error **err);
/* Readers see the old bytes or the new ones, but a power cut may leave an empty file: for what is
 * only told, as progress is. */
int bvi_fs_replace_unsynced(const char *path, const void *bytes, size_t len, mode_t mode,
                            bv_error **err);
int bvi_fs_replace_at(int dir_fd, const char *name, const void *bytes, size_t len, mode_t mode,
                      bv_error **err);
/* The same for a new file: BV_E_EXISTS when there is one of this name. */
int bvi_fs_create_at(int dir_fd, const char *name, const void *bytes, size_t len, mode_t mode,
                     bv_error **err);

/* State files: JSON read with a maximum, JSON replaced durably. A file that is not JSON, or that
 * the caller finds wrong, is kept for inspection: bvi_fs_quarantine() renames it to
 * "<path>.damaged-<unix seconds>". */
int bvi_fs_read_json(const char *path, size_t max, bvi_json **ret_root, bv_error **err);
int bvi_fs_replace_json(const char *path, const bvi_json *root, mode_t mode, bv_error **err);
int bvi_fs_quarantine(const char *path, char **ret_new_path, bv_error **err);

int bvi_fs_mkdir(const char *path, mode_t mode,
                 bv_error **err);                    /* with parents; existing is fine */
int bvi_fs_remove(const char *path, bv_error **err); /* one file; missing is fine */
/* A whole tree, never following symbolic links, never crossing into another file system; missing is
 * fine. */
int bvi_fs_remove_tree(const char *path, bv_error **err);
int bvi_fs_rename(const char *from, const char *to,
                  bv_error **err); /* durable: fsyncs both directories */
int bvi_fs_sync_dir(const char *path, bv_error **err);
int bvi_fs_touch(const char *path, bv_error **err); /* creates, or sets mtime to now */
int bvi_fs_list(const char *path, bvi_strv *names,
                bv_error **err); /* sorted, without "." and ".."; up to names->max */
bool bvi_fs_exists(const char *path);
bool bvi_fs_is_dir(const char *path);
int bvi_fs_mtime_us(const char *path, int64_t *ret_us, bv_error **err);
int bvi_fs_space(const char *path, uint64_t *ret_total, uint64_t *ret_available,
                 bv_error **err); /* bytes */

/* "<a>/<b>" and so on; stops at the first NULL. NULL: no memory. */
char *bvi_path_join(const char *first, ...) __attribute__((sentinel));

/* An exclusive lock on a file, released by closing the fd or by the end of the process. BV_E_BUSY
 * when held. */
int bvi_fs_lock(const char *path, int *ret_fd, bv_error **err);

/* Opens below a directory without ever leaving it (openat2 with RESOLVE_BENEATH |
 * RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS). BV_E_INVALID names the path when it tries to
 * escape. */
int bvi_fs_open_beneath(int dir_fd, const char *path, int flags, mode_t mode, int *ret_fd,
                        bv_error **err);
/* A whole ordinary file found by the same rule. */
int bvi_fs_read_beneath(int dir_fd, const char *path, size_t max, char **ret_text, size_t *ret_len,
                        bv_error **err);
/* A whole file where somebody else decides what is there: pipes and devices are refused, and not
 * opened. */
int bvi_fs_read_plain(const char *path, size_t max, char **ret_text, size_t *ret_len,
                      bv_error **err);
/* The parents of path below dir_fd, with the same rule. */
int bvi_fs_mkdir_beneath(int dir_fd, const char *path, mode_t mode, bv_error **err);

/* Writes everything, however often it takes; 0 or -errno. */
int bvi_fs_write_all(int fd, const void *bytes, size_t len);
int bvi_fs_pwrite_all(int fd, const void *bytes, size_t len, uint64_t at); /* likewise */

#endif
