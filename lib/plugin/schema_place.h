/*
 * schema_place.h - where a conversion is: a chain on the stack, as deep as the tables of schema.h
 * nest. For the schema's own files.
 */
#ifndef BVI_PLUGIN_SCHEMA_PLACE_H
#define BVI_PLUGIN_SCHEMA_PLACE_H

#include "base/buf.h"
#include "base/error.h"

/* Longer paths are cut. */
#define BVI_PLACE_TEXT_MAX 512u

typedef struct bvi_place {
    const struct bvi_place *outer; /* NULL: directly in the root */
    const char *key;               /* NULL: an item of a list */
    size_t index;
} bvi_place;

/* Appends "services[2].restart_config"; nothing for NULL, the root. */
int bvi_place_print(const bvi_place *at, bvi_buf *text);
/* Fails with BV_E_FORMAT "<place>: <message>". */
int bvi_place_fail(const bvi_place *at, bv_error **err, const char *fmt, ...) BV_PRINTF(3, 4);

#endif
