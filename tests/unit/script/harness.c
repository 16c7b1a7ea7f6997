/*
 * harness.c - see harness.h.
 */
#include <stdio.h>
#include <string.h>

#include "bvt.h"
#include "harness.h"
#include "script/value.h"

static void on_print(const char *text, size_t len, void *data)
{
    harness *h = data;

    ck_assert_int_eq(bvi_buf_printf(&h->output, "print: %.*s | ", (int)len, text), 0);
}

static void on_debug(const char *text, size_t len, const char *source, unsigned line,
                     unsigned position, void *data)
{
    harness *h = data;

    ck_assert_int_eq(bvi_buf_printf(&h->output, "debug: %.*s @%u:%u %s | ", (int)len, text, line,
                                    position, source ? source : "None"),
                     0);
}

static int on_resolve(const char *name, char **ret_source, size_t *ret_len, bv_error **err,
                      void *data)
{
    harness *h = data;
    const char *path;
    char *text;
    FILE *f;

    if (!h->module_dir)
        return BV_E_NOT_FOUND;
    path = bvt_format("%s/%s%s", h->module_dir, name, strstr(name, ".rhai") ? "" : ".rhai");
    f = fopen(path, "r");
    if (!f)
        return BV_E_NOT_FOUND;
    text = bvi_malloc(65536);
    if (!text) {
        fclose(f);
        return bvi_fail_nomem(err);
    }
    *ret_len = fread(text, 1, 65535, f);
    text[*ret_len] = '\0';
    *ret_source = text;
    fclose(f);
    return 0;
}

void harness_init(harness *h)
{
    *h = (harness){ .options = { .print = on_print, .debug = on_debug, .resolve = on_resolve } };
    h->options.data = h;
    bvi_buf_init(&h->output, HARNESS_TEXT_MAX);
}

void harness_open(harness *h)
{
    bv_error *err = NULL;

    bvt_assert_ok(bvi_script_engine_new(&h->options, &h->engine, &err), err);
}

void harness_close(harness *h)
{
    bvi_script_engine_free(h->engine);
    bvi_buf_done(&h->output);
}

/* Names of closures are numbers that mean nothing; lines of an error are joined. */
static void tidy(char *text)
{
    char *to = text;

    for (const char *p = text; *p;) {
        if (strncmp(p, "anon$", 5) == 0) {
            p += 5 + strspn(p + 5, "0123456789abcdef");
            memcpy(to, "anon$\xe2\x80\xa6", 8);
            to += 8;
        } else {
            *to++ = *p++;
        }
    }
    *to = '\0';
}

static void add_error(harness *h, const char *kind, const char *text)
{
    ck_assert_int_eq(bvi_buf_printf(&h->output, "%s: ", kind), 0);
    for (; *text; text++) {
        if (*text == '\n')
            ck_assert_int_eq(bvi_buf_append_str(&h->output, " | "), 0);
        else
            ck_assert_int_eq(bvi_buf_append_char(&h->output, *text), 0);
    }
}

const char *harness_outcome(harness *h, bvi_script_call *call, int r)
{
    if (r == BVI_SCRIPT_DONE) {
        const bvi_value *v = bvi_script_result(call);

        ck_assert_int_eq(bvi_buf_printf(&h->output, "%s: ", bvi_type_name(v)), 0);
        ck_assert_int_eq(bvi_format(&h->output, v, BVI_FORM_DUMP), 0);
    } else {
        add_error(h, "ERROR", bvi_script_failure_text(call));
    }
    tidy(h->output.data);
    return bvi_buf_str(&h->output);
}

const char *harness_run(harness *h, const char *source, const char *fn)
{
    bvi_script *script = NULL;
    bvi_script_call *call = NULL;
    bv_error *err = NULL;
    int r;

    bvi_buf_clear(&h->output);
    r = bvi_script_compile(h->engine, source, strlen(source), NULL, &script, &err);
    if (r < 0) {
        add_error(h, "PARSE ERROR", bv_error_message(err));
        bv_error_free(err);
        return bvi_buf_str(&h->output);
    }
    bvt_assert_ok(bvi_script_call_new(h->engine, script, fn, NULL, 0, &call, &err), err);
    do {
        r = bvi_script_run(call);
    } while (r == BVI_SCRIPT_YIELD);
    ck_assert_int_ne(r, BVI_SCRIPT_PENDING);
    harness_outcome(h, call, r);
    bvi_script_call_free(call);
    bvi_script_free(script);
    return bvi_buf_str(&h->output);
}

const char *run_script(const char *source)
{
    harness h;
    const char *text;

    harness_init(&h);
    harness_open(&h);
    text = bvt_format("%s", harness_run(&h, source, NULL));
    harness_close(&h);
    return text;
}
