/*
 * node_file.h - files of the node opened without leaving it, digested while they are read or
 * written. Blocking; for worker threads. One object belongs to one thread at a time.
 *
 * Links are followed as the node sees them: an absolute one starts at the node's root, which in a
 * node is "/" and in tests a directory. Only ordinary files are read or replaced; devices, pipes
 * and /proc's magic links are refused.
 */
#ifndef BVI_AGENT_NODE_FILE_H
#define BVI_AGENT_NODE_FILE_H

#include <sys/types.h>

#include "agent/limits.h"
#include "base/digest.h"
#include "base/error.h"

/* Files travel with their BLAKE3. */
#define BVI_NODE_DIGEST_BYTES 32u

/* ---- reading: pieces in order, at most BVI_AGENT_FILE_MAX bytes in all ---- */

typedef struct bvi_node_reader bvi_node_reader;

int bvi_node_reader_open(const char *root, const char *path, bvi_node_reader **ret_reader,
                         bv_error **err);
/* Fills up to BVI_AGENT_PIECE_MAX bytes; fewer only at the end, which sets *ret_last and the whole
 * file's digest. */
int bvi_node_reader_next(bvi_node_reader *reader, char *piece, size_t *ret_len, bool *ret_last,
                         uint8_t digest[BVI_DIGEST_SIZE_MAX], bv_error **err);
void bvi_node_reader_free(bvi_node_reader *reader);

/* ---- writing: nothing is visible at the path before commit; free without commit leaves nothing
 * behind ---- */

typedef struct bvi_node_writer bvi_node_writer;

/* The directory must exist. mode: of a file that was not there, less the umask. */
int bvi_node_writer_open(const char *root, const char *path, mode_t mode,
                         bvi_node_writer **ret_writer, bv_error **err);
int bvi_node_writer_add(bvi_node_writer *writer, const void *bytes, size_t len, bv_error **err);
uint64_t bvi_node_writer_size(const bvi_node_writer *writer);
/* BV_E_CHECKSUM when what was written has another digest. A replaced file's mode and owner stay. */
int bvi_node_writer_commit(bvi_node_writer *writer, const uint8_t digest[BVI_DIGEST_SIZE_MAX],
                           bv_error **err);
void bvi_node_writer_free(bvi_node_writer *writer);

/* ---- whole files ---- */

int bvi_node_read_file(const char *root, const char *path, size_t max, char **ret_text,
                       size_t *ret_len, bv_error **err);
int bvi_node_replace_file(const char *root, const char *path, const void *bytes, size_t len,
                          mode_t mode, bv_error **err);
/* The directory a file is in, for opening what is below it. */
int bvi_node_open_parent(const char *root, const char *path, int *ret_fd, bv_error **err);
/* Where a path leads when its last component is a symbolic link, or a chain of them; the path
 * itself otherwise. Nothing has to be there at the end. */
int bvi_node_follow_links(const char *root, const char *path, char **ret_path, bv_error **err);
/* Makes the directories above a file that are not there. */
int bvi_node_make_parents(const char *root, const char *path, bv_error **err);

/* An absolute path with a last component, within the maximum: what both accept. */
int bvi_node_path_check(const char *path, bv_error **err);

#endif
