/**
 * @file blockvisor/image.h
 * Images: a root file system with babel.yaml and a plugin, kept once in the host's store.
 *
 * An image document has `id, name, version, protocol, variants, created_at, size_bytes, source`.
 */
#ifndef BLOCKVISOR_IMAGE_H
#define BLOCKVISOR_IMAGE_H

#include <blockvisor/host.h>

BV_BEGIN_DECLS

/**
 * Brings an image into the store. The reply is its document; importing the same content again gives
 * the same image.
 *
 * @param path  A directory or a tar file (.tar, .tar.gz, .tar.zst) on the host.
 * @param name  "protocol/variant:version"; NULL: from babel.yaml.
 * @since 0.1
 */
BV_API int bv_image_import(bv_host *host, const char *path, const char *name, bv_reply_fn done,
                           void *data, bv_op **ret_op, bv_error **err);
/** All images: `{images: [...]}`. @since 0.1 */
BV_API int bv_image_list(bv_host *host, bv_reply_fn done, void *data, bv_op **ret_op,
                         bv_error **err);
/** Removes an image that no node uses (else BV_E_BUSY). @since 0.1 */
BV_API int bv_image_remove(bv_host *host, const char *image, bv_reply_fn done, void *data,
                           bv_op **ret_op, bv_error **err);

BV_END_DECLS

#endif
