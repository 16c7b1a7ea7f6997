/*
 * mem.h - allocation through the one hook, and cleanup at the end of a scope.
 *
 * Every allocation can fail: the functions return NULL and the caller reports bvi_fail_nomem().
 */
#ifndef BVI_BASE_MEM_H
#define BVI_BASE_MEM_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <blockvisor/export.h>
#include <blockvisor/memory.h>

#define BVI_COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Declares a variable whose cleanup function runs when its scope ends: BVI_AUTO(bvi_buf_done)
 * bvi_buf b = ...; */
#define BVI_AUTO(fn) __attribute__((cleanup(fn)))

#define bvi_auto_free  BVI_AUTO(bvi_freep)
#define bvi_auto_close BVI_AUTO(bvi_closep)

/* Defines <fn>p(), the pointer form of a destructor that BVI_AUTO() wants. */
#define BVI_DEFINE_FREEP(type, fn)                                                                 \
    __attribute__((unused)) static inline void fn##p(type **p)                                     \
    {                                                                                              \
        fn(*p);                                                                                    \
        *p = NULL;                                                                                 \
    }

/* Hands an automatically cleaned pointer (or fd through bvi_take_fd) over to somebody else. */
#define bvi_take(p)                                                                                \
    (__extension__({                                                                               \
        __typeof__(p) bvi_took_ = (p);                                                             \
        (p) = NULL;                                                                                \
        bvi_took_;                                                                                 \
    }))

#define bvi_new0(type)         ((type *)bvi_calloc(1, sizeof(type)))
#define bvi_new_array(type, n) ((type *)bvi_calloc((n), sizeof(type)))

void *bvi_malloc(size_t size);
void *bvi_calloc(size_t count, size_t size); /* zeroed, overflow checked */
void *bvi_realloc(void *ptr, size_t size);   /* size > 0 */
void bvi_free(void *ptr);

char *bvi_strdup(const char *text);              /* NULL gives NULL */
char *bvi_strndup(const char *text, size_t len); /* copies exactly len bytes and adds a zero */
char *bvi_asprintf(const char *fmt, ...) BV_PRINTF(1, 2);
char *bvi_vasprintf(const char *fmt, va_list args);

void bvi_freep(void *pointer_to_pointer);
void bvi_closep(int *fd);
int bvi_take_fd(int *fd);

#endif
