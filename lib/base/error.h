/*
 * error.h - making errors. See doc/dev/error.md for the three-line use.
 *
 *     if (fd < 0)
 *         return bvi_fail_sys(err, errno, "cannot open '%s'", path);
 *     r = parse(text, &thing, err);
 *     if (r < 0)
 *         return bvi_wrap(err, r, "state file '%s'", path);
 *
 * All return the code they store, so they end a function. err may be NULL. Messages: lower case, no
 * full stop, user data in single quotes. bvi_wrap() adds what only this layer knows and never
 * repeats the cause.
 */
#ifndef BVI_BASE_ERROR_H
#define BVI_BASE_ERROR_H

#include <stdarg.h>

#include <blockvisor/error.h>

#include "base/mem.h"

/* No message is longer; longer ones are cut. */
#define BVI_ERROR_MESSAGE_MAX 4096u
/* No chain is deeper; wrapping beyond it keeps the innermost causes. */
#define BVI_ERROR_DEPTH_MAX 32u

int bvi_fail(bv_error **err, int code, const char *fmt, ...) BV_PRINTF(3, 4);
int bvi_fail_sys(bv_error **err, int errnum, const char *fmt, ...)
    BV_PRINTF(3, 4); /* code from errno */
int bvi_fail_nomem(bv_error **err);
int bvi_wrap(bv_error **err, int code, const char *fmt, ...) BV_PRINTF(3, 4);

int bvi_code_from_errno(int errnum);
int bvi_code_from_name(const char *name); /* BV_E_INTERNAL when unknown */

/* The whole chain as one allocated string; NULL when out of memory. */
char *bvi_error_text(const bv_error *err);
/* A copy of the chain; falls back to the static out-of-memory error. Never NULL for a non-NULL
 * input. */
bv_error *bvi_error_copy(const bv_error *err);
/* An error that came over a wire, its messages from the outside in. Never NULL; the static one when
 * out of memory. */
bv_error *bvi_error_rebuild(int code, int errnum, const char *const *messages, size_t count);
/* Moves an error into *err, freeing it when err is NULL. Returns its code. */
int bvi_error_move(bv_error **err, bv_error *from);

BVI_DEFINE_FREEP(bv_error, bv_error_free)
#define bvi_auto_error BVI_AUTO(bv_error_freep)

#endif
