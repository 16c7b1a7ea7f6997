/*
 * clock.h - the system's clocks in the form a context takes them; programs without a context use
 * them too.
 */
#ifndef BVI_IO_CLOCK_H
#define BVI_IO_CLOCK_H

#include <blockvisor/ctx.h>

extern const bv_clock bvi_clock_system;

#endif
