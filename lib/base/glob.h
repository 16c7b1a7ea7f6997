/*
 * glob.h - patterns of paths: what uploads exclude, as the existing plugins write it, and what is
 * protected.
 *
 * `?` one character; `*` any run of characters, '/' included; `**` as a whole component: any number
 * of components;
 * `[ab]`, `[a-z]`, `[!a]` one character of a class. Case counts. Everything else stands for itself.
 */
#ifndef BVI_BASE_GLOB_H
#define BVI_BASE_GLOB_H

#include "base/error.h"

#define BVI_GLOB_PATTERN_MAX 4096u /* bytes of one pattern */

int bvi_glob_check(const char *pattern, bv_error **err);    /* BV_E_INVALID with the reason */
bool bvi_glob_match(const char *pattern, const char *path); /* of a checked pattern */

#endif
