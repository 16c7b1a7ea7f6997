/*
 * testing_lib.c - functions that only tests have. See doc/dev/plugin-testing.md.
 */
#include <string.h>

#include "plugin/lib.h"
#include "plugin/testing.h"
#include "script/value.h"

/* A value in a message, or compared. */
#define FORM_MAX (1024u * 1024u)

static bvi_scripted *node_of(void *data)
{
    return bvi_offline_node(((bvi_test_world *)data)->offline);
}

/* ---- assertions ---- */

static int assert_true(bvi_script_call *call, bvi_value *args, size_t argc, bvi_value *ret,
                       void *data)
{
    if (args[0].as.b)
        return 0;
    if (argc > 1)
        return bvi_script_throw(call, "assertion failed: %s", bvi_value_text(&args[1], NULL));
    return bvi_script_throw(call, "assertion failed");
}

/* Values are equal when they look alike in the form that tells all types apart. */
static int assert_eq(bvi_script_call *call, bvi_value *args, size_t argc, bvi_value *ret,
                     void *data)
{
    const char *note = argc > 2 ? bvi_value_text(&args[2], NULL) : "";
    BVI_AUTO(bvi_buf_done) bvi_buf actual = BVI_BUF_INIT(FORM_MAX);
    BVI_AUTO(bvi_buf_done) bvi_buf wanted = BVI_BUF_INIT(FORM_MAX);
    int r = bvi_format(&actual, &args[0], BVI_FORM_DUMP);

    if (r == 0)
        r = bvi_format(&wanted, &args[1], BVI_FORM_DUMP);
    if (r == BV_E_LIMIT)
        return bvi_script_throw(call, "a value is too large to be compared");
    if (r < 0)
        return bvi_script_throw_code(call, r);
    if (strcmp(bvi_buf_str(&actual), bvi_buf_str(&wanted)) == 0)
        return 0;
    return bvi_script_throw(call, "assertion failed: %s%s%s is not %s", note, note[0] ? ": " : "",
                            bvi_buf_str(&actual), bvi_buf_str(&wanted));
}

/* ---- the node ---- */

static int mock(bvi_script_call *call, bvi_value *args, size_t argc, bvi_value *ret, void *data)
{
    bvi_auto_json bvi_json *document = NULL;
    bv_error *err = NULL;
    int r = bvi_value_to_json(&args[0], &document, &err);

    if (r == 0)
        r = bvi_answers_check(document, BVI_ANSWERS_BEHAVIOUR, &err);
    if (r == 0)
        r = bvi_scripted_add(node_of(data), document, BVI_ANSWERS_BEHAVIOUR, &err);
    return r < 0 ? bvi_hostlib_throw(call, err) : 0;
}

/* All requests, or those of one call; "log" gives the log. */
static int requests(bvi_script_call *call, bvi_value *args, size_t argc, bvi_value *ret, void *data)
{
    const char *wanted = argc ? bvi_value_text(&args[0], NULL) : NULL;
    bool is_log = wanted && strcmp(wanted, "log") == 0;
    const bvi_json *list =
        is_log ? bvi_scripted_log(node_of(data)) : bvi_scripted_requests(node_of(data));
    bvi_script_engine *engine = bvi_script_engine_of(call);
    int r = bvi_value_array(engine, ret);

    bvi_json_each(request, list) {
        const char *name = bvi_json_string(bvi_json_find(request, "call"));
        bvi_value value = BVI_VALUE_UNIT;

        if (r == 0 && (!wanted || strcmp(name, wanted) == 0)) {
            r = bvi_value_from_json(engine, request, &value);
            if (r == 0)
                r = bvi_value_push(ret, value);
        }
    }
    return r < 0 ? bvi_script_throw_code(call, r) : 0;
}

const bvi_script_function bvi_testing_functions[] = {
    { "assert", "t", assert_true },
    { "assert", "ts", assert_true },
    { "assert_eq", "vv", assert_eq },
    { "assert_eq", "vvs", assert_eq },
    { "mock", "m", mock },
    { "requests", "", requests },
    { "requests", "s", requests },
    { NULL },
};
