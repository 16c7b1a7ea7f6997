/*
 * api.c - the public face of the language (blockvisor/script.h).
 */
#include "script/api.h"

bvi_script_limits bvi_script_limits_of(const bv_script_limits *limits)
{
    if (!limits)
        return (bvi_script_limits){ 0 };
    return (bvi_script_limits){
        .memory_bytes = limits->memory_bytes,
        .operations = limits->operations,
        .slice_operations = limits->slice_operations,
        .call_depth = limits->call_depth,
        .expression_depth = limits->expression_depth,
        .string_bytes = limits->string_bytes,
        .items = limits->array_items,
        .source_bytes = limits->source_bytes,
        .modules = limits->modules,
    };
}
