/*
 * reply.h - an operation whose result is a JSON document: what every call of the one door ends
 * with.
 *
 * Whoever handles a call owns its reply and ends it exactly once, with bvi_reply_ok() or
 * bvi_reply_fail(); the caller hears of it from dispatch. After that the reply is gone.
 */
#ifndef BVI_IO_REPLY_H
#define BVI_IO_REPLY_H

#include "base/json.h"
#include "io/op.h"

typedef struct bvi_reply bvi_reply;
typedef void (*bvi_reply_fn)(bv_op *op, const bvi_json *result, const bv_error *err, void *data);

/* ret_op may be NULL; otherwise the caller gets a reference of its own. */
int bvi_reply_new(bv_ctx *ctx, bvi_reply_fn done, void *data, bvi_reply **ret_reply, bv_op **ret_op,
                  bv_error **err);
/* What to do when the caller cancels; at once when that has happened already. NULL: nothing more to
 * do. */
void bvi_reply_on_cancel(bvi_reply *reply, void (*cancel)(void *data), void *data);
bool bvi_reply_is_cancelled(const bvi_reply *reply);
void bvi_reply_progress(bvi_reply *reply, const bv_progress *progress);
void bvi_reply_ok(bvi_reply *reply,
                  bvi_json *result); /* owns result; NULL is reported as no memory */
void bvi_reply_fail(bvi_reply *reply, bv_error *err); /* owns err */
/* Fails with code and message in one go. */
void bvi_reply_failf(bvi_reply *reply, int code, const char *fmt, ...) BV_PRINTF(3, 4);
void bvi_reply_ok_empty(bvi_reply *reply); /* {} */

#endif
