/*
 * coverage.h - which lines of a script ran; for the compiler, the machine and the engine.
 *
 * With BVI_SCRIPT_COVERAGE the compiler puts a LINE instruction before every statement and a record
 * of the source's lines into the engine, where it outlives the compiled code. Without it neither
 * exists. bvi_script_coverage() in script.h reads the records.
 */
#ifndef BVI_SCRIPT_COVERAGE_H
#define BVI_SCRIPT_COVERAGE_H

#include "script/engine.h"

typedef struct bvi_coverage {
    struct bvi_coverage *next; /* the engine's list, latest first */
    uint8_t *lines;            /* by number: what is known of it */
    uint32_t lines_cap;
    uint32_t name_bytes;
    char name[]; /* of the source */
} bvi_coverage;

/* A record for a source, which the engine keeps; BV_E_NOMEM. */
int bvi_coverage_new(bvi_script_engine *engine, const char *name, bvi_coverage **ret);
/* A statement begins on this line. BV_E_NOMEM. */
int bvi_coverage_expect(bvi_script_engine *engine, bvi_coverage *coverage, uint32_t line);
void bvi_coverage_free_all(bvi_script_engine *engine);

enum { BVI_LINE_EXPECTED = 1u << 0, BVI_LINE_RAN = 1u << 1 };

/* The statement was reached; its line was expected. */
static inline void bvi_coverage_ran(bvi_coverage *coverage, uint32_t line)
{
    coverage->lines[line] |= BVI_LINE_RAN;
}

#endif
