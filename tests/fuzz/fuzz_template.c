/*
 * Any bytes are a template or refused with a place; a rendering ends within its limits, gives
 * UTF-8, and a failure has a story. Includes and imports find the template itself and a small one.
 */
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "template/template.h"

#define PARAMS                                                                                     \
    "{\"s\":\"a-B c\",\"n\":3,\"f\":1.5,\"z\":0,\"t\":true,\"nul\":null,\"arr\":[3,1,2],"          \
    "\"strs\":[\"b\",\"a\"],\"obj\":{\"k\":\"v\",\"x\":{\"y\":[10,20]}},\"e\":\"\",\"ea\":[],"     \
    "\"html\":\"<a href='x'>&\\\"/\",\"users\":[{\"n\":\"bo\",\"a\":2},{\"n\":\"al\",\"a\":1}],"   \
    "\"big\":18446744073709551615,\"uni\":"                                                        \
    "\"\xc3\xa4\xe2\x80\xa6\xf0\x9f\x87\xa9\xf0\x9f\x87\xaa\"}"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct input {
    const char *text;
    size_t len;
} input;

static int load(const char *name, char **ret_text, size_t *ret_len, bv_error **err, void *data)
{
    static const char small[] = "{% macro m(a=1) %}{{ a }}{% endmacro %}{{ s }}{% set q = 1 %}";
    const input *in = data;
    bool self = strcmp(name, "self") == 0;

    if (!self && strlen(name) > 1)
        return BV_E_NOT_FOUND;
    *ret_len = self ? in->len : strlen(small);
    *ret_text = bvi_strndup(self ? in->text : small, *ret_len);
    return *ret_text ? 0 : bvi_fail_nomem(err);
}

static const char *env(const char *name, void *data)
{
    return name[0] == 'H' ? "home" : NULL;
}

static void check_failure(int code, const bv_error *err)
{
    bvi_auto_free char *story = bvi_error_text(err);

    if (code >= 0 || !err || bv_error_code(err) != code || !story || !*story)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    BVI_AUTO(bvi_template_freep) bvi_template *tpl = NULL;
    BVI_AUTO(bvi_buf_done) bvi_buf out = BVI_BUF_INIT(4u * 1024u * 1024u);
    bvi_auto_json bvi_json *params = NULL;
    bvi_auto_error bv_error *err = NULL;
    bvi_template_place place = { .line = 0 };
    input in = { (const char *)data, size };
    bvi_template_options options = { .load = load, .env = env, .data = &in };
    int r = bvi_template_parse(in.text, size, size % 2 ? "a.html" : "a", &tpl, &place, &err);

    options.limits = (bvi_template_limits){ 200000, 4u * 1024u * 1024u, 1024u * 1024u };
    if (r < 0) {
        check_failure(r, err);
        return 0;
    }
    if (bvi_json_parse(PARAMS, strlen(PARAMS), &params, NULL) < 0)
        abort();
    r = bvi_template_render(tpl, &options, params, &out, &place, &err);
    if (r < 0)
        check_failure(r, err);
    else if (!bvi_utf8_valid(bvi_buf_str(&out), out.len))
        abort();
    return 0;
}
