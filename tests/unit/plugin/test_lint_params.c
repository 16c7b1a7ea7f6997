/* Which node properties a script asks for. */
#include "bvt.h"
#include "plugin/lint_params.h"

static const struct {
    const char *text;
    const char *warning; /* NULL: none */
} cases[] = {
    { "node_params()[\"known\"]", NULL },
    { "node_params().known", NULL },
    { "node_params()[\"other\"]", "f:1:16: 'other' not defined in babel.yaml" },
    { "let x =\n  node_params().other;", "f:2:17: 'other' not defined in babel.yaml" },
    { "node_params ( ) [ `other` ].len()", "f:1:20: 'other' not defined in babel.yaml" },
    { "`a ${node_params().other} b`", "f:1:20: 'other' not defined in babel.yaml" },
    { "node_params().len()", NULL },
    { "node_params()[key]", NULL },
    { "let p = node_params(); p.other", NULL },
    { "my_node_params().other", NULL },
    { "// node_params().other", NULL },
    { "/* a /* b */ node_params().other */ node_params().known", NULL },
    { "\"node_params().other\"", NULL },
    { "\"\\\"\" + node_params().other", "f:1:22: 'other' not defined in babel.yaml" },
    { "node_params", NULL },
    { "node_params()[\"", NULL },
    { "/*", NULL },
    { "\"abc\\", NULL },
};

START_TEST(finds_unknown_keys)
{
    BVI_AUTO(bvi_strv_done) bvi_strv warnings = BVI_VEC_INIT(10);
    bvi_auto_json bvi_json *properties = bvi_json_new_object();
    size_t len = strlen(cases[_i].text);

    ck_assert_int_eq(bvi_json_put_string(properties, "known", ""), 0);
    ck_assert_int_eq(bvi_lint_params("f", cases[_i].text, len, properties, &warnings), 0);
    ck_assert_uint_eq(warnings.len, cases[_i].warning ? 1 : 0);
    if (cases[_i].warning)
        ck_assert_str_eq(warnings.items[0], cases[_i].warning);
}
END_TEST

BVT_MAIN("plugin/lint_params", bvt_loop(finds_unknown_keys, cases))
