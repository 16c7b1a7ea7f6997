/*
 * Whole scripts: tests/script/<subject>/<name>.rhai, each with comments that say what to expect;
 * see the README there. They run with the functions of a small fake plugin host, so that plugin
 * skeletons run too.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bvt.h"
#include "harness.h"

#define SCRIPTS_MAX 256

/* ---- the fake plugin host ---- */

static int node_env(bvi_script_call *call, bvi_value *args, size_t argc, bvi_value *ret, void *data)
{
    int r = bvi_value_map(bvi_script_engine_of(call), ret);

    if (r == 0)
        r = bvi_value_put_string(ret, "node_variant", "client-mainnet-full");
    if (r == 0)
        r = bvi_value_put_string(ret, "protocol_data_path", "/blockjoy/protocol_data");
    return r < 0 ? bvi_script_throw_code(call, r) : 0;
}

static int reply_expect(bvi_script_call *call, bvi_value *args, size_t argc, bvi_value *ret,
                        void *data)
{
    const char *text = bvi_value_object(&args[0], data);

    if (args[1].as.i != 200)
        return bvi_script_throw(call, "unexpected status_code: 200");
    return bvi_script_parse_json(call, text, strlen(text), ret);
}

static const bvi_script_function reply_methods[] = {
    { "expect", "i", reply_expect, 0 },
    { NULL, NULL, NULL, 0 },
};

static const bvi_script_type reply_type = { "DressedHttpResponse", reply_methods, NULL };

static int run_jrpc(bvi_script_call *call, bvi_value *args, size_t argc, bvi_value *ret, void *data)
{
    static char height[] = "{\"jsonrpc\": \"2.0\", \"id\": 0, \"result\": \"0x1f\"}";
    static char syncing[] = "{\"jsonrpc\": \"2.0\", \"id\": 0, \"result\": false}";
    const bvi_value *method = bvi_value_get(&args[0], "method");
    bool wants_height = method && strcmp(bvi_value_text(method, NULL), "eth_blockNumber") == 0;
    int r = bvi_value_host(bvi_script_engine_of(call), &reply_type, wants_height ? height : syncing,
                           ret);

    return r < 0 ? bvi_script_throw_code(call, r) : 0;
}

static int parse_hex(bvi_script_call *call, bvi_value *args, size_t argc, bvi_value *ret,
                     void *data)
{
    *ret = bvi_value_int(strtoll(bvi_value_text(&args[0], NULL), NULL, 16));
    return 0;
}

static const bvi_script_function functions[] = {
    { "node_env", "", node_env, 0 },
    { "run_jrpc", "m", run_jrpc, 0 },
    { "parse_hex", "s", parse_hex, 0 },
    { NULL, NULL, NULL, 0 },
};

/* ---- what a script expects ---- */

typedef struct expected {
    bvi_buf text;   /* as harness_run() gives it */
    size_t printed; /* the part before the value or the error */
    bool is_error;  /* the text only has to occur in the outcome, after what was printed */
    char function[64];
} expected;

static void expect_line(expected *e, const char *line)
{
    const char *end = line + strcspn(line, "\n");
    int len = (int)(end - line);

    if (strncmp(line, "value: ", 7) == 0) {
        ck_assert_int_eq(bvi_buf_printf(&e->text, "%.*s", len - 7, line + 7), 0);
    } else if (strncmp(line, "error: ", 7) == 0) {
        ck_assert_int_eq(bvi_buf_printf(&e->text, "%.*s", len - 7, line + 7), 0);
        e->is_error = true;
    } else if (strncmp(line, "function: ", 10) == 0) {
        snprintf(e->function, sizeof(e->function), "%.*s", len - 10, line + 10);
    } else {
        ck_assert_int_eq(bvi_buf_printf(&e->text, "print: %.*s | ", len, line), 0);
        e->printed = e->text.len;
    }
}

static void read_expectations(const char *source, expected *e)
{
    const char *at = source;

    while ((at = strstr(at, "// expect")) != NULL) {
        at += strlen("// expect");
        expect_line(e, *at == ':' ? at + 2 : at + 1);
    }
}

/* Without "type: " before the value: the value says it itself. */
static bool meets(const expected *e, const char *got)
{
    const char *wanted = bvi_buf_str(&e->text);
    size_t printed = e->printed;
    const char *value;

    if (strncmp(got, wanted, printed) != 0)
        return false;
    if (e->is_error)
        return strstr(got + printed, "ERROR: ") != NULL &&
               strstr(got + printed, wanted + printed) != NULL;
    if (wanted[printed] == '\0')
        return strstr(got + printed, "ERROR: ") == NULL;
    value = strstr(got + printed, ": ");
    return value && strcmp(value + 2, wanted + printed) == 0;
}

static unsigned check_script(const char *dir, const char *path)
{
    const char *source = bvt_read_file(path, NULL);
    expected e = { .text = BVI_BUF_INIT(HARNESS_TEXT_MAX) };
    const char *got;
    harness h;
    unsigned wrong = 0;

    ck_assert_msg(source != NULL, "cannot read '%s'", path);
    harness_init(&h);
    h.module_dir = dir;
    harness_open(&h);
    ck_assert_int_eq(bvi_script_register(h.engine, functions, NULL, NULL), 0);
    bvi_script_set_method_data(h.engine, (void *)(uintptr_t)&reply_type);
    read_expectations(source, &e);
    got = harness_run(&h, source, e.function[0] ? e.function : NULL);
    if (!meets(&e, got)) {
        fprintf(stderr, "%s:\n    expected %s\n    got      %s\n", path, bvi_buf_str(&e.text), got);
        wrong = 1;
    }
    harness_close(&h);
    bvi_buf_done(&e.text);
    return wrong;
}

static unsigned check_directory(const char *dir, unsigned *count)
{
    struct dirent **entries = NULL;
    unsigned wrong = 0;
    int n = scandir(dir, &entries, NULL, alphasort);

    for (int i = 0; i < n; i++) {
        size_t len = strlen(entries[i]->d_name);

        if (len > 5 && strcmp(entries[i]->d_name + len - 5, ".rhai") == 0) {
            const char *path = bvt_format("%s/%s", dir, entries[i]->d_name);

            if (strstr(bvt_read_file(path, NULL), "// expect")) { /* others are modules */
                wrong += check_script(dir, path);
                (*count)++;
            }
        }
        free(entries[i]);
    }
    free(entries);
    return wrong;
}

static const char *const subjects[] = { "closures", "chains",   "control", "failures",
                                        "plugin",   "programs", "strings", "values" };

START_TEST(scripts_do_what_they_say)
{
    unsigned count = 0;
    unsigned wrong = check_directory(bvt_format("%s/%s", SCRIPT_CASES_DIR, subjects[_i]), &count);

    ck_assert_msg(wrong == 0, "%u of %u scripts in %s are wrong", wrong, count, subjects[_i]);
    ck_assert_uint_gt(count, 0);
}
END_TEST

BVT_MAIN("script/scripts", bvt_loop(scripts_do_what_they_say, subjects))
