/**
 * @file blockvisor/memory.h
 * The one allocator hook.
 *
 * It is the library's only process-wide setting: set it once, before the first context, or leave it
 * alone.
 */
#ifndef BLOCKVISOR_MEMORY_H
#define BLOCKVISOR_MEMORY_H

#include <stddef.h>

#include <blockvisor/export.h>

BV_BEGIN_DECLS

/**
 * Allocates (ptr NULL), resizes, or frees (size 0) memory. Returns NULL on failure, leaving ptr as
 * it was. May be called from worker threads.
 */
typedef void *(*bv_alloc_fn)(void *data, void *ptr, size_t size);

/**
 * Replaces the allocator. NULL brings back the system's.
 *
 * @param fn    The allocator.
 * @param data  First argument of every call to it.
 * @since 0.1
 */
BV_API void bv_set_allocator(bv_alloc_fn fn, void *data);

/**
 * Frees a string or block the library handed out. NULL is fine.
 * @since 0.1
 */
BV_API void bv_free(void *ptr);

BV_END_DECLS

#endif
