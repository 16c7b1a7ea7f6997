/*
 * outcome.h - what became of a call of a function the daemon knows, in the form bvi_plugin_eval()
 * gives to all others.
 */
#ifndef BVI_PLUGIN_OUTCOME_H
#define BVI_PLUGIN_OUTCOME_H

#include "plugin/plugin.h"

/* {"text", "value"}: what `bv node run` prints, and the same as JSON. NULL: no memory. */
bvi_json *bvi_outcome_value(const char *function, const bvi_plugin_value *value);
/* {"error": failure}: the text is the whole story, the place the script's if it was the script that
 * failed. plugin: where bvi_plugin_failure() is kept; NULL: nowhere. NULL: no memory. */
bvi_json *bvi_outcome_failure(const bvi_plugin *plugin, const bv_error *err);
/* Whether the call ended for reasons that are not the plugin's, so that there is no outcome. */
bool bvi_outcome_is_none(const bv_error *err);

#endif
