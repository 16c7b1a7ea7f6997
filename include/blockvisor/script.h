/**
 * @file blockvisor/script.h
 * The language of plugins (Rhai 1.20) by itself: no context, no host, no node.
 */
#ifndef BLOCKVISOR_SCRIPT_H
#define BLOCKVISOR_SCRIPT_H

#include <stddef.h>
#include <stdint.h>

#include <blockvisor/error.h>

BV_BEGIN_DECLS

/**
 * What a script may use up. A limit that is zero means its default. A breach ends the run with an
 * error that the script cannot catch.
 */
typedef struct bv_script_limits {
    size_t size;               /**< sizeof(bv_script_limits). */
    uint64_t operations;       /**< Calls, loop turns and steps of one run; 100 million. */
    uint64_t memory_bytes;     /**< Everything an engine allocates; 64 MiB. */
    int64_t wall_ms;           /**< Milliseconds one run may take; no limit. */
    uint32_t call_depth;       /**< Nested script functions; 64. */
    uint32_t expression_depth; /**< Nesting in the source; 192. */
    uint32_t string_bytes;     /**< One string or blob; 16 MiB. */
    uint32_t array_items;      /**< One array; one million. */
    uint32_t map_entries;      /**< One map; one million. */
    uint32_t modules;          /**< Modules loaded by one engine; 256. */
    uint32_t source_bytes;     /**< One script or module; 1 MiB. */
    uint32_t slice_operations; /**< Operations of one slice; 10000. */
} bv_script_limits;

#define BV_SCRIPT_LIMITS_INIT                                                                      \
    {                                                                                              \
        .size = sizeof(bv_script_limits)                                                           \
    }

/** One output of print() or debug(). Valid during the call only. */
typedef struct bv_script_output {
    size_t size;
    int32_t is_debug;   /**< 1: debug(), whose text is the debug form; 0: print(). */
    uint32_t line;      /**< debug(): where it was called, from 1. */
    uint32_t column;    /**< debug(): the same. */
    const char *source; /**< debug(): name of the source, NULL when it has none. */
    const char *text;   /**< Zero-terminated; may contain further zeros. */
    size_t len;         /**< Bytes of @p text. */
} bv_script_output;

/** Receives what a script prints. */
typedef void (*bv_script_output_fn)(const bv_script_output *output, void *data);

BV_END_DECLS

#endif
