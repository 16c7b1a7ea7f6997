/*
 * image_layout.h - where an image keeps its definition and its plugin, and bringing both to where
 * they belong.
 *
 * An image comes either as a plain root file system, with babel.yaml in var/lib/babel (or at its
 * top), or as a directory with babel.yaml, main.rhai and the root file system in root/. Afterwards
 * both look alike: definition and plugin are below the root's var/lib/babel. Blocking; any thread.
 */
#ifndef BVI_IMAGE_LAYOUT_H
#define BVI_IMAGE_LAYOUT_H

#include "base/error.h"

/* Whether a directory is of the second kind: babel.yaml beside root/, and not itself a root (which
 * has a /root too). */
bool bvi_image_is_bundle(const char *dir);

/* root: the private, unpacked copy. beside: the directory of a bundle, NULL for a plain root. Gives
 * babel.yaml's text. BV_E_FORMAT says what an image has to have. */
int bvi_image_arrange(const char *root, const char *beside, char **ret_yaml, size_t *ret_len,
                      bv_error **err);

#endif
