/**
 * @file blockvisor/error.h
 * Failures as values: a code that says what the caller can do, and a story that says what happened.
 *
 * A function that can fail returns zero or one of the negative codes below and, where it takes a
 * `bv_error **err`, stores an error object with the same code there. `err` may be NULL. An error
 * belongs to whoever received it and is freed with bv_error_free(); errors handed to callbacks are
 * borrowed for the call. An error object is immutable once returned and may be read from any
 * thread.
 */
#ifndef BLOCKVISOR_ERROR_H
#define BLOCKVISOR_ERROR_H

#include <stddef.h>

#include <blockvisor/export.h>

BV_BEGIN_DECLS

/** What the caller can do about a failure. Values are never reused. */
typedef enum bv_code {
    BV_OK = 0,
    BV_E_INVALID = -1,      /**< An argument or a setting is wrong; calling again will not help. */
    BV_E_NOT_FOUND = -2,    /**< The named object does not exist. */
    BV_E_EXISTS = -3,       /**< An object of that name exists already. */
    BV_E_STATE = -4,        /**< The object is in a state that does not allow this. */
    BV_E_BUSY = -5,         /**< Another operation holds the object. */
    BV_E_AGAIN = -6,        /**< Not now; try again later. */
    BV_E_TIMEOUT = -7,      /**< It took longer than allowed. */
    BV_E_CANCELLED = -8,    /**< Somebody asked for it to stop. */
    BV_E_DENIED = -9,       /**< Not permitted. */
    BV_E_FORMAT = -10,      /**< Data could not be understood. */
    BV_E_CHECKSUM = -11,    /**< Data is not what its digest promises. */
    BV_E_IO = -12,          /**< The operating system refused a read, a write or a call. */
    BV_E_REMOTE = -13,      /**< A peer answered with a failure. */
    BV_E_UNSUPPORTED = -14, /**< This build or this host cannot do it. */
    BV_E_NOMEM = -15,       /**< Out of memory, or over a memory ceiling. */
    BV_E_INTERNAL = -16,    /**< A mistake in the library. */
    BV_E_LIMIT = -17        /**< A named maximum was exceeded. */
} bv_code;

/** A failure and its causes. */
typedef struct bv_error bv_error;

/**
 * @return the code; BV_OK for NULL.
 * @since 0.1
 */
BV_API int bv_error_code(const bv_error *err);

/**
 * The outermost message, without its causes.
 *
 * @return text owned by the error; "" for NULL.
 * @since 0.1
 */
BV_API const char *bv_error_message(const bv_error *err);

/**
 * The next error inwards.
 *
 * @return a borrowed error, or NULL at the innermost one.
 * @since 0.1
 */
BV_API const bv_error *bv_error_cause(const bv_error *err);

/**
 * The system's errno behind this failure or one of its causes.
 *
 * @return an errno value, 0 when none is known.
 * @since 0.1
 */
BV_API int bv_error_errno(const bv_error *err);

/**
 * The whole story from the outside in, joined by ": ".
 *
 * @param text   Receives at most @p size bytes including the terminating zero; may be NULL when
 * size is 0.
 * @return the length of the whole text without the zero, as snprintf does.
 * @since 0.1
 */
BV_API size_t bv_error_format(const bv_error *err, char *text, size_t size);

/**
 * Frees an error and its causes. NULL is fine.
 * @since 0.1
 */
BV_API void bv_error_free(bv_error *err);

/**
 * The name of a code as used in JSON answers, for example "not_found".
 *
 * @return a static string; "unknown" for a code this version does not know.
 * @since 0.1
 */
BV_API const char *bv_code_name(int code);

BV_END_DECLS

#endif
