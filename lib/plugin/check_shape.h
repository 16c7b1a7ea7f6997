/*
 * check_shape.h - all that is wrong with the shape of a document, where conversion (schema.h) stops
 * at the first thing. For the files of the checker. Pure.
 */
#ifndef BVI_PLUGIN_CHECK_SHAPE_H
#define BVI_PLUGIN_CHECK_SHAPE_H

#include "base/near.h"
#include "plugin/schema.h"

/* Called for each finding; path is like "services[2].restart_config". Any may be NULL. */
typedef struct bvi_shape_sink {
    /* node is the value of the key; near->wrong is the key. */
    void (*unknown)(void *data, const char *path, const bvi_json *node, const bvi_near *near);
    void (*former)(void *data, const char *path, const bvi_json *node, const bvi_field *field);
    void (*missing)(void *data, const char *path, const bvi_json *object, const char *key);
    void (*wrong)(void *data, const char *path, const bvi_json *node, const char *why);
    void *data;
} bvi_shape_sink;

/* Holds an object against a table of fields. BV_E_NOMEM. */
int bvi_shape_check(const bvi_field *fields, const bvi_json *object, const bvi_shape_sink *sink);

#endif
