/*
 * legacy.h - plugins of before plugin_config(): constants instead of functions (spec plugin.md 14).
 *
 * What counts as old: a script without plugin_config() whose top level defines PLUGIN_CONFIG. To it
 * belong DEFAULT_SERVICES (further auxiliary services, unless disable_default_services is true) and
 * BASE_CONFIG or base_config() (config files and services that come before the plugin's own).
 * Pure; the thread of the call's engine.
 */
#ifndef BVI_PLUGIN_LEGACY_H
#define BVI_PLUGIN_LEGACY_H

#include "base/json.h"
#include "script/script.h"

/* The configuration of a call whose top level has run, still unchecked. base: what base_config()
 * returned, or NULL for the constant. *ret_map is NULL when there is no PLUGIN_CONFIG. */
int bvi_legacy_config(const bvi_script_call *call, const bvi_value *base, bvi_json **ret_map,
                      bv_error **err);

/* METADATA of E1 and E2, when the call's script has it: BV_E_FORMAT tells what is wrong with it. */
int bvi_legacy_check_metadata(const bvi_script_call *call, bv_error **err);

/* What the status trio's words mean for protocol_status: "healthy", "neutral" or "unhealthy". */
const char *bvi_legacy_health(const char *state);

#endif
