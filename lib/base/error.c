/*
 * error.c - error objects: a code, a message, the system's errno, and a cause.
 *
 * Out of memory is one static object, so that reporting it cannot fail; when building any other
 * error runs out of memory, the static object is stored instead but the original code is returned.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"

struct bv_error {
    int code;
    int errnum;
    unsigned depth; /* number of causes below */
    bv_error *cause;
    char *message;
};

static const bv_error out_of_memory = { .code = BV_E_NOMEM, .message = (char *)"out of memory" };

static const struct {
    int code;
    const char *name;
} code_names[] = {
    { BV_OK, "ok" },
    { BV_E_INVALID, "invalid" },
    { BV_E_NOT_FOUND, "not_found" },
    { BV_E_EXISTS, "exists" },
    { BV_E_STATE, "wrong_state" },
    { BV_E_BUSY, "busy" },
    { BV_E_AGAIN, "again" },
    { BV_E_TIMEOUT, "timeout" },
    { BV_E_CANCELLED, "cancelled" },
    { BV_E_DENIED, "denied" },
    { BV_E_FORMAT, "format" },
    { BV_E_CHECKSUM, "checksum" },
    { BV_E_IO, "io" },
    { BV_E_REMOTE, "remote" },
    { BV_E_UNSUPPORTED, "unsupported" },
    { BV_E_NOMEM, "no_memory" },
    { BV_E_INTERNAL, "internal" },
    { BV_E_LIMIT, "limit" },
};

const char *bv_code_name(int code)
{
    for (size_t i = 0; i < BVI_COUNT(code_names); i++) {
        if (code_names[i].code == code)
            return code_names[i].name;
    }
    return "unknown";
}

int bvi_code_from_name(const char *name)
{
    for (size_t i = 0; i < BVI_COUNT(code_names); i++) {
        if (strcmp(code_names[i].name, name) == 0)
            return code_names[i].code;
    }
    return BV_E_INTERNAL;
}

static const struct {
    int errnum;
    int code;
} errno_codes[] = {
    { ENOENT, BV_E_NOT_FOUND },    { ENOTDIR, BV_E_NOT_FOUND },  { EEXIST, BV_E_EXISTS },
    { EACCES, BV_E_DENIED },       { EPERM, BV_E_DENIED },       { EROFS, BV_E_DENIED },
    { ENOMEM, BV_E_NOMEM },        { EINVAL, BV_E_INVALID },     { ENAMETOOLONG, BV_E_INVALID },
    { EBUSY, BV_E_BUSY },          { EAGAIN, BV_E_AGAIN },       { ETIMEDOUT, BV_E_TIMEOUT },
    { ECANCELED, BV_E_CANCELLED }, { ENOSYS, BV_E_UNSUPPORTED }, { EOPNOTSUPP, BV_E_UNSUPPORTED },
    { ESRCH, BV_E_NOT_FOUND },     { ETXTBSY, BV_E_BUSY },       { EINTR, BV_E_AGAIN },
};

int bvi_code_from_errno(int errnum)
{
    for (size_t i = 0; i < BVI_COUNT(errno_codes); i++) {
        if (errno_codes[i].errnum == errnum)
            return errno_codes[i].code;
    }
    return BV_E_IO;
}

static bool is_static(const bv_error *err)
{
    return err == &out_of_memory;
}

static void store_nomem(bv_error **err)
{
    /* The constant is never written through this pointer: bv_error_free() knows it. */
    *err = (bv_error *)&out_of_memory;
}

static char *format_message(const char *fmt, va_list args)
{
    char *text = bvi_vasprintf(fmt, args);
    size_t len = BVI_ERROR_MESSAGE_MAX;

    if (text && strlen(text) > len) {
        while (len && ((unsigned char)text[len] & 0xC0) == 0x80)
            len--; /* not in the middle of a character */
        text[len] = '\0';
    }
    return text;
}

static bv_error *make(int code, int errnum, bv_error *cause, char *message)
{
    bv_error *e = message ? bvi_new0(bv_error) : NULL;

    if (!e) {
        bvi_free(message);
        return NULL;
    }
    e->code = code;
    e->errnum = errnum;
    e->cause = cause;
    e->depth = cause ? cause->depth + 1 : 0;
    e->message = message;
    return e;
}

int bvi_fail(bv_error **err, int code, const char *fmt, ...)
{
    va_list args;

    if (!err)
        return code;
    va_start(args, fmt);
    *err = make(code, 0, NULL, format_message(fmt, args));
    va_end(args);
    if (!*err)
        store_nomem(err);
    return code;
}

int bvi_fail_sys(bv_error **err, int errnum, const char *fmt, ...)
{
    int code = bvi_code_from_errno(errnum);
    char reason[128];
    bv_error *cause;
    va_list args;

    if (!err)
        return code;
    /* %m, because which of the two strerror_r() is declared depends on the C library. On the stack,
     * because an allocation in between might change errno. */
    errno = errnum;
    if (snprintf(reason, sizeof(reason), "%m") < 0)
        reason[0] = '\0';
    cause = make(code, errnum, NULL, bvi_strdup(reason));
    va_start(args, fmt);
    *err = cause ? make(code, errnum, cause, format_message(fmt, args)) : NULL;
    va_end(args);
    if (!*err) {
        bv_error_free(cause);
        store_nomem(err);
    }
    return code;
}

int bvi_fail_nomem(bv_error **err)
{
    if (err)
        store_nomem(err);
    return BV_E_NOMEM;
}

int bvi_wrap(bv_error **err, int code, const char *fmt, ...)
{
    bv_error *outer;
    va_list args;

    if (!err || (*err && (*err)->depth + 1 >= BVI_ERROR_DEPTH_MAX))
        return code;
    va_start(args, fmt);
    outer = make(code, 0, *err, format_message(fmt, args));
    va_end(args);
    if (outer)
        *err = outer;
    else if (!*err)
        store_nomem(err); /* with a cause: that alone is better than nothing */
    return code;
}

int bv_error_code(const bv_error *err)
{
    return err ? err->code : BV_OK;
}

const char *bv_error_message(const bv_error *err)
{
    return err ? err->message : "";
}

const bv_error *bv_error_cause(const bv_error *err)
{
    return err ? err->cause : NULL;
}

int bv_error_errno(const bv_error *err)
{
    for (; err; err = err->cause) {
        if (err->errnum)
            return err->errnum;
    }
    return 0;
}

size_t bv_error_format(const bv_error *err, char *text, size_t size)
{
    size_t total = 0;

    if (size)
        text[0] = '\0';
    for (const bv_error *e = err; e; e = e->cause) {
        const char *parts[2] = { e == err ? "" : ": ", e->message };

        for (size_t i = 0; i < 2; i++) {
            size_t len = strlen(parts[i]);

            if (total + 1 < size) {
                size_t room = size - total - 1;

                memcpy(text + total, parts[i], len < room ? len : room);
                text[total + (len < room ? len : room)] = '\0';
            }
            total += len;
        }
    }
    return total;
}

void bv_error_free(bv_error *err)
{
    while (err && !is_static(err)) {
        bv_error *cause = err->cause;

        bvi_free(err->message);
        bvi_free(err);
        err = cause;
    }
}

char *bvi_error_text(const bv_error *err)
{
    size_t len = bv_error_format(err, NULL, 0);
    char *text = bvi_malloc(len + 1);

    if (text)
        (void)bv_error_format(err, text, len + 1); /* measured above */
    return text;
}

bv_error *bvi_error_copy(const bv_error *err)
{
    bv_error *first = NULL;
    bv_error **next = &first;
    const bv_error *e = err;

    for (; e && !is_static(e); e = e->cause) {
        *next = make(e->code, e->errnum, NULL, bvi_strdup(e->message));
        if (!*next) {
            bv_error_free(first);
            store_nomem(&first);
            return first;
        }
        (*next)->depth = e->depth;
        next = &(*next)->cause;
    }
    if (e)
        store_nomem(next);
    return first;
}

bv_error *bvi_error_rebuild(int code, int errnum, const char *const *messages, size_t count)
{
    const char *name = bv_code_name(code);
    bv_error *err = NULL;

    if (count == 0) {
        messages = &name;
        count = 1;
    }
    if (count > BVI_ERROR_DEPTH_MAX)
        count = BVI_ERROR_DEPTH_MAX;
    while (count-- > 0) {
        char *text = bvi_strndup(messages[count], strnlen(messages[count], BVI_ERROR_MESSAGE_MAX));
        bv_error *outer = make(code, errnum, err, text);

        if (!outer) {
            bv_error_free(err);
            store_nomem(&err);
            return err;
        }
        err = outer;
    }
    return err;
}

int bvi_error_move(bv_error **err, bv_error *from)
{
    int code = bv_error_code(from);

    if (err)
        *err = from;
    else
        bv_error_free(from);
    return code;
}
