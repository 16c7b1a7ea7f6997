/*
 * config.h - what plugin_config() returns (spec plugin.md 6), checked and with every key present.
 *
 * The document is the persisted form as well: absent optionals are null, enumerations are
 * externally tagged. Pure; any thread.
 */
#ifndef BVI_PLUGIN_CONFIG_H
#define BVI_PLUGIN_CONFIG_H

#include "base/json.h"
#include "base/vec.h"
#include "plugin/schema.h"

/* A plugin_config.json beyond this is not ours. */
#define BVI_PLUGIN_CONFIG_MAX (4u * 1024u * 1024u)

/* Its shape. */
extern const bvi_field bvi_plugin_config_fields[];

/* Converts and checks. BV_E_FORMAT for the shape, BV_E_INVALID for clashing names. unknown: NULL,
 * or receives the paths of keys that mean nothing. */
int bvi_plugin_config_convert(const bvi_json *value, bvi_json **ret_config, bvi_strv *unknown,
                              bv_error **err);
/* The same for what a script returned. */
int bvi_plugin_config_convert_value(const bvi_value *value, bvi_json **ret_config,
                                    bvi_strv *unknown, bv_error **err);

#endif
