/*
 * coverage.c - records of the lines that scripts have and that ran. See coverage.h.
 */
#include <string.h>

#include "script/coverage.h"

int bvi_coverage_new(bvi_script_engine *engine, const char *name, bvi_coverage **ret)
{
    const char *text = name ? name : "";
    uint32_t name_bytes = (uint32_t)strlen(text) + 1;
    bvi_coverage *coverage = bvi_script_zalloc(engine, sizeof(*coverage) + name_bytes);

    if (!coverage)
        return BV_E_NOMEM;
    coverage->name_bytes = name_bytes;
    memcpy(coverage->name, text, name_bytes);
    coverage->next = engine->coverage;
    engine->coverage = coverage;
    *ret = coverage;
    return 0;
}

int bvi_coverage_expect(bvi_script_engine *engine, bvi_coverage *coverage, uint32_t line)
{
    uint32_t had = coverage->lines_cap;

    if (bvi_script_grow(engine, (void **)(void *)&coverage->lines, &coverage->lines_cap,
                        (size_t)line + 1, sizeof(*coverage->lines)) < 0)
        return BV_E_NOMEM;
    memset(coverage->lines + had, 0, coverage->lines_cap - had);
    coverage->lines[line] |= BVI_LINE_EXPECTED;
    return 0;
}

void bvi_coverage_free_all(bvi_script_engine *engine)
{
    while (engine->coverage) {
        bvi_coverage *coverage = engine->coverage;

        engine->coverage = coverage->next;
        bvi_script_release(engine, coverage->lines, coverage->lines_cap);
        bvi_script_release(engine, coverage, sizeof(*coverage) + coverage->name_bytes);
    }
}

void bvi_script_coverage(const bvi_script_engine *engine, bvi_script_coverage_fn fn, void *data)
{
    for (const bvi_coverage *coverage = engine->coverage; coverage; coverage = coverage->next) {
        for (uint32_t line = 1; line < coverage->lines_cap; line++) {
            if (coverage->lines[line] & BVI_LINE_EXPECTED)
                fn(coverage->name, line, (coverage->lines[line] & BVI_LINE_RAN) != 0, data);
        }
    }
}
