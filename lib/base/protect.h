/*
 * protect.h - files that are one node's own: its keys, its wallets, and what a signer must never
 * forget. They enter no snapshot, and no download writes or removes them.
 *
 * A list of patterns (base/glob.h) on paths below the protocol data. It begins with the built-in
 * ones; an image's babel.yaml adds to it, or takes a built-in one out by writing it behind a '!'.
 */
#ifndef BVI_BASE_PROTECT_H
#define BVI_BASE_PROTECT_H

#include "base/error.h"
#include "base/vec.h"

#define BVI_PROTECT_MAX 256u /* patterns of one list */

/* Up to a NULL. */
extern const char *const bvi_protect_builtin[];

/* The built-in patterns, to begin with. The list is empty and has been initialised. */
int bvi_protect_begin(bvi_strv *patterns, bv_error **err);
/* One more pattern, or a built-in one less. BV_E_INVALID, BV_E_LIMIT. */
int bvi_protect_add(bvi_strv *patterns, const char *pattern, bv_error **err);
bool bvi_protect_match(const bvi_strv *patterns, const char *path);

#endif
