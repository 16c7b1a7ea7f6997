/*
 * testing_expect.c - expectations of an answers file, held against what came out. See testing.h.
 */
#include <stdio.h>
#include <string.h>

#include "plugin/line_diff.h"
#include "plugin/testing.h"

#define DIFF_MAX (256u * 1024u)

/* ---- results ---- */

void bvi_test_result_done(bvi_test_result *result)
{
    bvi_free(result->message);
    bvi_free(result->diff);
    bvi_free(result->source);
    *result = (bvi_test_result){ 0 };
}

int bvi_test_result_fail(bvi_test_result *result, const char *message)
{
    char *copy = bvi_strdup(message);

    if (!copy)
        return BV_E_NOMEM;
    bvi_free(result->message);
    result->message = copy;
    result->passed = false;
    return 0;
}

/* ---- what an expectation is ---- */

char *bvi_expectation_name(const bvi_json *expectation)
{
    const char *name = bvi_json_string(bvi_json_find(expectation, "name"));
    const char *call = bvi_json_string(bvi_json_find(expectation, "call"));
    const char *arg = bvi_json_string(bvi_json_find(expectation, "arg"));

    return name ? bvi_strdup(name) : bvi_asprintf("%s(%s)", call, arg ? arg : "");
}

bvi_json *bvi_expectation_behaviour(const bvi_json *expectation)
{
    static const char *const keys[] = { "node", "secrets", "files", "jobs",     "jrpc",
                                        "rest", "graphql", "sh",    "unmatched" };
    bvi_auto_json bvi_json *behaviour = bvi_json_new_object();

    for (size_t i = 0; behaviour && i < BVI_COUNT(keys); i++) {
        const bvi_json *value = bvi_json_find(expectation, keys[i]);

        if (value && bvi_json_put(behaviour, keys[i], bvi_json_copy(value)) < 0)
            return NULL;
    }
    return bvi_take(behaviour);
}

bool bvi_expectation_is_plain(const bvi_json *expectation)
{
    return bvi_json_find(expectation, "value") || bvi_json_find(expectation, "error") ||
           bvi_json_find(expectation, "requests");
}

int bvi_expectation_actual(const bvi_json *outcome, const bvi_json *requests, const char *failure,
                           bvi_json **ret_actual, bv_error **err)
{
    bvi_auto_json bvi_json *actual = bvi_json_new_object();
    const bvi_json *value = bvi_json_find(outcome, "value");
    int r;

    if (failure)
        r = bvi_json_put_string(actual, "error", failure);
    else if (value)
        r = bvi_json_put(actual, "value", bvi_json_copy(value));
    else /* it has no JSON form: the debug form has to do */
        r = bvi_json_put(actual, "value", bvi_json_copy(bvi_json_find(outcome, "text")));
    if (r == 0)
        r = bvi_json_put(actual, "requests", bvi_json_copy(requests));
    if (!actual || r < 0)
        return bvi_fail_nomem(err);
    *ret_actual = bvi_take(actual);
    return 0;
}

/* ---- comparing ---- */

/* Keys of objects in order, so that two documents differ where they differ in truth. */
static bvi_json *sorted(const bvi_json *value, unsigned depth)
{
    bvi_auto_json bvi_json *copy = NULL;
    const char *last = NULL;

    if (depth >= BVI_JSON_DEPTH_MAX)
        return bvi_json_copy(value);
    if (bvi_json_type_of(value) == BVI_JSON_ARRAY) {
        copy = bvi_json_new_array();
        bvi_json_each(item, value) {
            if (!copy || bvi_json_add(copy, sorted(item, depth + 1)) < 0)
                return NULL;
        }
        return bvi_take(copy);
    }
    if (bvi_json_type_of(value) != BVI_JSON_OBJECT)
        return bvi_json_copy(value);
    copy = bvi_json_new_object();
    for (size_t left = bvi_json_count(value); copy && left > 0; left--) {
        const bvi_json *next = NULL;

        bvi_json_each(member, value) {
            if ((!last || strcmp(bvi_json_key(member), last) > 0) &&
                (!next || strcmp(bvi_json_key(member), bvi_json_key(next)) < 0))
                next = member;
        }
        last = bvi_json_key(next);
        if (bvi_json_put(copy, last, sorted(next, depth + 1)) < 0)
            return NULL;
    }
    return bvi_take(copy);
}

static int print_sorted(const bvi_json *value, char **ret_text)
{
    bvi_auto_json bvi_json *copy = sorted(value, 0);

    return copy ? bvi_json_print(copy, true, ret_text, NULL) : BV_E_NOMEM;
}

static int differ(const char *what, const bvi_json *wanted, const bvi_json *actual,
                  bvi_test_result *result)
{
    BVI_AUTO(bvi_buf_done) bvi_buf diff = BVI_BUF_INIT(DIFF_MAX);
    bvi_auto_free char *message =
        bvi_asprintf("the %s differs (- what is expected, + what came)", what);
    bvi_auto_free char *old_text = NULL;
    bvi_auto_free char *new_text = NULL;
    int r = message ? print_sorted(wanted, &old_text) : BV_E_NOMEM;

    if (r == 0)
        r = print_sorted(actual, &new_text);
    if (r == 0)
        r = bvi_line_diff(old_text, new_text, &diff);
    if (r < 0 && r != BV_E_LIMIT) /* too long a difference is cut */
        return r;
    bvi_free(result->diff);
    result->diff = bvi_buf_take(&diff);
    return result->diff ? bvi_test_result_fail(result, message) : BV_E_NOMEM;
}

static int compare_part(const char *what, const bvi_json *wanted, const bvi_json *actual,
                        bvi_test_result *result)
{
    if (!wanted || bvi_json_equal(wanted, actual))
        return 0;
    return differ(what, wanted, actual, result);
}

/* The text of the expected error is part of the one that came. */
static int compare_error(const char *wanted, const char *actual, bvi_test_result *result)
{
    bvi_auto_free char *message = NULL;

    if (actual && strstr(actual, wanted))
        return 0;
    message = actual ? bvi_asprintf("the error is another one than '%s': %s", wanted, actual)
                     : bvi_asprintf("there was no error with '%s'", wanted);
    return message ? bvi_test_result_fail(result, message) : BV_E_NOMEM;
}

static int compare_plain(const bvi_json *expectation, const bvi_json *actual,
                         bvi_test_result *result)
{
    const char *wanted = bvi_json_string(bvi_json_find(expectation, "error"));
    const char *failure = bvi_json_string(bvi_json_find(actual, "error"));
    int r = 0;

    if (wanted)
        r = compare_error(wanted, failure, result);
    else if (failure)
        r = bvi_test_result_fail(result, failure);
    else
        r = compare_part("value", bvi_json_find(expectation, "value"),
                         bvi_json_find(actual, "value"), result);
    if (r < 0 || !result->passed)
        return r;
    return compare_part("list of requests", bvi_json_find(expectation, "requests"),
                        bvi_json_find(actual, "requests"), result);
}

int bvi_expectation_compare(const bvi_json *expectation, const bvi_json *actual,
                            const bvi_json *golden, bvi_test_result *result, bv_error **err)
{
    int r;

    result->passed = true;
    if (bvi_expectation_is_plain(expectation))
        r = compare_plain(expectation, actual, result);
    else if (golden)
        r = compare_part("result", golden, actual, result);
    else
        r = bvi_test_result_fail(result, "there is no golden result yet; see what comes out with "
                                         "bv plugin call, then keep it with --update");
    return r < 0 ? bvi_fail_nomem(err) : 0;
}
