/*
 * outcome.c - see outcome.h.
 */
#include <string.h>

#include "plugin/eval.h"
#include "plugin/outcome.h"

/* What `bv node run` prints is text for these, and a JSON value for others. */
static bool is_text(const char *function)
{
    return strcmp(function, "name") == 0 || strcmp(function, "address") == 0;
}

static int put_value(bvi_json *outcome, const char *function, const char *text)
{
    bvi_json *json = NULL;

    if (is_text(function))
        return bvi_json_put_string(outcome, "value", text);
    if (!text[0])
        return bvi_json_put(outcome, "value", bvi_json_new_null());
    (void)bvi_json_parse(text, strlen(text), &json, NULL); /* NULL: no memory */
    return bvi_json_put(outcome, "value", json);
}

bvi_json *bvi_outcome_value(const char *function, const bvi_plugin_value *value)
{
    bvi_auto_json bvi_json *outcome = bvi_json_new_object();

    if (!outcome || bvi_json_put_string(outcome, "text", value->text) < 0 ||
        put_value(outcome, function, value->text) < 0)
        return NULL;
    return bvi_take(outcome);
}

bvi_json *bvi_outcome_failure(const bvi_plugin *plugin, const bv_error *err)
{
    const bvi_json *place = plugin ? bvi_plugin_failure(plugin) : NULL;
    bvi_auto_json bvi_json *failure = place ? bvi_json_copy(place) : bvi_json_new_object();
    bvi_auto_free char *text = bvi_error_text(err);
    const bv_error *cause = err;

    while (bv_error_cause(cause))
        cause = bv_error_cause(cause);
    if (!failure || !text || bvi_json_put_string(failure, "text", text) < 0 ||
        (!place && bvi_json_put_string(failure, "message", bv_error_message(cause)) < 0))
        return NULL;
    return bvi_eval_failure(bvi_take(failure));
}

bool bvi_outcome_is_none(const bv_error *err)
{
    int code = bv_error_code(err);

    return code == BV_E_CANCELLED || code == BV_E_NOMEM || code == BV_E_INTERNAL;
}
