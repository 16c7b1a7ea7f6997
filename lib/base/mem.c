/*
 * mem.c - the allocator hook, the library's only process-wide state, and the helpers on top of it.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"

static void *system_alloc(void *data, void *ptr, size_t size)
{
    (void)data;
    if (size == 0) {
        free(ptr);
        return NULL;
    }
    return realloc(ptr, size);
}

/* Set once before the first context; see memory.h. Nothing else in the library is writable and
 * global. */
static struct {
    bv_alloc_fn fn;
    void *data;
} hook = { .fn = system_alloc };

void bv_set_allocator(bv_alloc_fn fn, void *data)
{
    hook.fn = fn ? fn : system_alloc;
    hook.data = fn ? data : NULL;
}

void bv_free(void *ptr)
{
    bvi_free(ptr);
}

void *bvi_malloc(size_t size)
{
    return hook.fn(hook.data, NULL, size ? size : 1);
}

void *bvi_calloc(size_t count, size_t size)
{
    size_t bytes = 0;
    void *ptr;

    if (__builtin_mul_overflow(count, size, &bytes))
        return NULL;
    ptr = bvi_malloc(bytes);
    if (ptr)
        memset(ptr, 0, bytes ? bytes : 1);
    return ptr;
}

void *bvi_realloc(void *ptr, size_t size)
{
    return hook.fn(hook.data, ptr, size ? size : 1);
}

void bvi_free(void *ptr)
{
    if (ptr)
        (void)hook.fn(hook.data, ptr, 0); /* freeing has no result */
}

char *bvi_strndup(const char *text, size_t len)
{
    char *copy;

    if (len == SIZE_MAX)
        return NULL;
    copy = bvi_malloc(len + 1);
    if (!copy)
        return NULL;
    if (len)
        memcpy(copy, text, len);
    copy[len] = '\0';
    return copy;
}

char *bvi_strdup(const char *text)
{
    return text ? bvi_strndup(text, strlen(text)) : NULL;
}

char *bvi_vasprintf(const char *fmt, va_list args)
{
    va_list again;
    char *text = NULL;
    int len;

    va_copy(again, args);
    len = vsnprintf(NULL, 0, fmt, again);
    va_end(again);
    if (len < 0)
        return NULL;
    text = bvi_malloc((size_t)len + 1);
    if (text)
        (void)vsnprintf(text, (size_t)len + 1, fmt, args); /* measured above */
    return text;
}

char *bvi_asprintf(const char *fmt, ...)
{
    va_list args;
    char *text;

    va_start(args, fmt);
    text = bvi_vasprintf(fmt, args);
    va_end(args);
    return text;
}

void bvi_freep(void *pointer_to_pointer)
{
    void *ptr;

    memcpy(&ptr, pointer_to_pointer, sizeof(ptr));
    bvi_free(ptr);
    ptr = NULL;
    memcpy(pointer_to_pointer, &ptr, sizeof(ptr));
}

void bvi_closep(int *fd)
{
    int saved = errno;

    if (*fd >= 0)
        (void)close(*fd); /* nothing to do about a failing close in cleanup */
    *fd = -1;
    errno = saved;
}

int bvi_take_fd(int *fd)
{
    int taken = *fd;

    *fd = -1;
    return taken;
}
