/*
 * api.h - what other modules share with the public face of the language (api.c).
 */
#ifndef BVI_SCRIPT_API_H
#define BVI_SCRIPT_API_H

#include <blockvisor/script.h>

#include "script/script.h"

/* NULL: all defaults. */
bvi_script_limits bvi_script_limits_of(const bv_script_limits *limits);

#endif
