/*
 * names.h - tables that give the values of an enum their names, for files, messages and the wire.
 */
#ifndef BVI_BASE_NAMES_H
#define BVI_BASE_NAMES_H

#include "base/mem.h"

typedef struct bvi_name {
    int value;
    const char *name;
} bvi_name;

/* Tables end with a NULL name. */
const char *bvi_name_of(const bvi_name *table, int value); /* "unknown" when absent */
bool bvi_name_find(const bvi_name *table, const char *name, int *ret_value);

#endif
