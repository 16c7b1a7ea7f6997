/**
 * @file blockvisor/snapshot.h
 * Snapshots: versions of a node's protocol data in a store.
 *
 * A snapshot document has `key, version, format, total_bytes, stored_bytes, chunks, compression,
 * created_at`; its format is "snapshot" or "archive".
 */
#ifndef BLOCKVISOR_SNAPSHOT_H
#define BLOCKVISOR_SNAPSHOT_H

#include <blockvisor/host.h>
#include <blockvisor/store.h>

BV_BEGIN_DECLS

/**
 * Uploads a node's data: runs its plugin's upload, follows the job and replies when the new version
 * is complete. Cancelling only stops following; bv_job_stop() on job "upload" ends the upload
 * itself.
 * @since 0.1
 */
BV_API int bv_snapshot_upload(bv_host *host, const char *node, bv_reply_fn done, void *data,
                              bv_op **ret_op, bv_error **err);
/**
 * Fetches a snapshot into a directory. An interrupted download resumes where it was.
 *
 * @param key       Store key.
 * @param version   0: the latest.
 * @param dest_dir  Made when missing; must be empty unless a download into it was interrupted.
 * @since 0.1
 */
BV_API int bv_snapshot_download(bv_host *host, const char *key, uint64_t version,
                                const char *dest_dir, bv_reply_fn done, void *data, bv_op **ret_op,
                                bv_error **err);
/** Snapshots in the store: `{snapshots: [...]}`. @param key NULL: of all keys. @since 0.1 */
BV_API int bv_snapshot_list(bv_host *host, const char *key, bv_reply_fn done, void *data,
                            bv_op **ret_op, bv_error **err);
/** Reads every chunk of a version (0: the latest) and checks it: `{key, version, chunks, bytes,
 * ok}`. @since 0.1 */
BV_API int bv_snapshot_verify(bv_host *host, const char *key, uint64_t version, bv_reply_fn done,
                              void *data, bv_op **ret_op, bv_error **err);
/**
 * What changed from one snapshot to another: `{key, old_version, version, differences: [{path,
 * change, kind, bytes, changed_bytes}], changes, changed_bytes}`. Differences beyond the 10000th
 * are counted, not listed.
 *
 * @param version  The newer one; 0: the latest.
 * @since 0.1
 */
BV_API int bv_snapshot_diff(bv_host *host, const char *key, uint64_t old_version, uint64_t version,
                            bv_reply_fn done, void *data, bv_op **ret_op, bv_error **err);
/** Removes old versions; see bv_store_prune_start(). @since 0.1 */
BV_API int bv_snapshot_prune(bv_host *host, const char *key, const bv_prune_opts *prune,
                             bv_reply_fn done, void *data, bv_op **ret_op, bv_error **err);

BV_END_DECLS

#endif
