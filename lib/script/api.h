/*
 * api.h - what the files behind blockvisor/script.h share, and what other modules need of them.
 *
 * Engines, scripts, calls and types of host objects are the inner objects under a public name.
 * Values are converted, so that their inner form may change.
 */
#ifndef BVI_SCRIPT_API_H
#define BVI_SCRIPT_API_H

#include <blockvisor/script.h>

#include "script/script.h"

/* NULL: all defaults. */
bvi_script_limits bvi_script_limits_of(const bv_script_limits *limits);

/* The public form of a value, and the way back; its reference goes along. */
bv_value bvi_value_out(const bvi_value *value);
bvi_value bvi_value_in(const bv_value *value);

/* ---- the files behind the public header only ---- */

struct bvi_bridges;

/* What a public engine has besides the engine; its options.data. */
typedef struct bvi_script_face {
    bv_script_opts opts;
    struct bvi_bridges *bridges; /* the functions and types it was given */
} bvi_script_face;

static inline bvi_script_engine *bvi_engine_in(bv_script_engine *engine)
{
    return (bvi_script_engine *)engine;
}

static inline bvi_script_call *bvi_call_in(bv_script_call *call)
{
    return (bvi_script_call *)call;
}

static inline const bvi_script_call *bvi_call_in_const(const bv_script_call *call)
{
    return (const bvi_script_call *)call;
}

bvi_script_face *bvi_script_face_of(const bvi_script_engine *engine);
void bvi_bridges_free(struct bvi_bridges *bridges);

#endif
