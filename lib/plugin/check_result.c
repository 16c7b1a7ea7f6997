/*
 * check_result.c - what the daemon wants from a plugin's functions. See check_result.h.
 */
#include <stdlib.h>
#include <string.h>

#include "plugin/check_result.h"

static char *wrong_type(const char *wanted, const bvi_json *outcome)
{
    return bvi_asprintf("must return %s; it returned %s", wanted,
                        bvi_json_string(bvi_json_find(outcome, "type")));
}

bool bvi_outcome_has_type(const bvi_json *outcome, const char *type)
{
    return strcmp(bvi_json_string(bvi_json_find(outcome, "type")), type) == 0;
}

static char *judge_nothing(const bvi_json *outcome, bool asked)
{
    return NULL;
}

static char *judge_number(const bvi_json *outcome, bool asked)
{
    int64_t number = 0;

    if (!bvi_outcome_has_type(outcome, "i64"))
        return wrong_type("an integer", outcome);
    if (!asked && bvi_json_int64(bvi_json_find(outcome, "value"), &number) == 0 && number < 0)
        return bvi_asprintf("must not return a negative number");
    return NULL;
}

static char *judge_text(const bvi_json *outcome, bool asked)
{
    return bvi_outcome_has_type(outcome, "string") ? NULL : wrong_type("a string", outcome);
}

static char *judge_bool(const bvi_json *outcome, bool asked)
{
    return bvi_outcome_has_type(outcome, "bool") ? NULL : wrong_type("a bool", outcome);
}

static char *judge_bool_text(const bvi_json *outcome, bool asked)
{
    const char *text = bvi_json_string(bvi_json_find(outcome, "value"));

    if (text && strcmp(text, "true") != 0 && strcmp(text, "false") != 0)
        return bvi_asprintf("must return \"true\" or \"false\"; it returned another text");
    return text || bvi_outcome_has_type(outcome, "bool")
               ? NULL
               : wrong_type("\"true\" or \"false\"", outcome);
}

static char *judge_real_text(const bvi_json *outcome, bool asked)
{
    const char *text = bvi_json_string(bvi_json_find(outcome, "value"));
    char *end = NULL;

    if (text && (strtod(text, &end), end == text || *end))
        return bvi_asprintf("must return a number as text; it returned another text");
    return text || bvi_outcome_has_type(outcome, "f64") || bvi_outcome_has_type(outcome, "i64")
               ? NULL
               : wrong_type("a number as text", outcome);
}

static char *judge_status(const bvi_json *outcome, bool asked)
{
    static const char *const health_names[] = { "healthy", "neutral", "unhealthy" };
    const bvi_json *value = bvi_json_find(outcome, "value");
    const char *health;

    if (!bvi_outcome_has_type(outcome, "map"))
        return wrong_type("a map with state and health", outcome);
    if (!bvi_json_string(bvi_json_find(value, "state")))
        return bvi_asprintf("must return a map with a text 'state'");
    health = bvi_json_string(bvi_json_find(value, "health"));
    if (!health)
        return bvi_asprintf("must return a map with a text 'health'");
    for (size_t i = 0; i < BVI_COUNT(health_names); i++) {
        if (strcmp(health, health_names[i]) == 0)
            return NULL;
    }
    return bvi_asprintf("returned health '%s'; it can be healthy, neutral or unhealthy", health);
}

const bvi_wanted bvi_check_wanted[] = {
    { "init", judge_nothing, true },
    { "upload", judge_nothing, true },
    { "protocol_status", judge_status, false },
    { "height", judge_number, false },
    { "block_age", judge_number, false },
    { "name", judge_text, false },
    { "address", judge_text, false },
    { "consensus", judge_bool, false },
    { "apr", judge_real_text, false },
    { "jailed", judge_bool_text, false },
    { "jailed_reason", judge_text, false },
    { "sqd_name", judge_text, false },
    { NULL, NULL, false },
};
