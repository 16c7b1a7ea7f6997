/*
 * names.c - looking up the names of enum values.
 */
#include <string.h>

#include "base/names.h"

const char *bvi_name_of(const bvi_name *table, int value)
{
    for (; table->name; table++) {
        if (table->value == value)
            return table->name;
    }
    return "unknown";
}

bool bvi_name_find(const bvi_name *table, const char *name, int *ret_value)
{
    for (; table->name; table++) {
        if (strcmp(table->name, name) == 0) {
            *ret_value = table->value;
            return true;
        }
    }
    return false;
}
