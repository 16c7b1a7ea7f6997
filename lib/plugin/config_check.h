/*
 * config_check.h - the rules a converted plugin configuration must keep besides its shape. Used by
 * config.c. Pure.
 */
#ifndef BVI_PLUGIN_CONFIG_CHECK_H
#define BVI_PLUGIN_CONFIG_CHECK_H

#include "base/json.h"

/* Names of jobs and of tasks are unique, and usable. BV_E_INVALID with the message of spec
 * plugin.md 6.13. */
int bvi_plugin_config_check(const bvi_json *config, bv_error **err);

#endif
