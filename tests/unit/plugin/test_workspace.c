/* A plugin as its author has it: where its files are, and what node it would see. */
#include <sys/stat.h>

#include "bvt.h"
#include "plugin/workspace.h"
#include "sys/fs.h"

#define HEAD                                                                                       \
    "version: 1.2.3\ncontainer_uri: docker://a/b\nprotocol_key: chain\nvisibility: public\n"       \
    "firewall_config: {default_in: deny, default_out: allow, rules: []}\n"
#define PROPERTY(key, value)                                                                       \
    "  - {key: " key ", name: n, dynamic_value: false, default_value: " value ", ui_type: !text "  \
    "}\n"
#define VARIANT(key)                                                                               \
    "  - {key: " key ", sku_code: A-B-C, archive_pointers: [], min_cpu: 1, min_memory_mb: 1, "     \
    "min_disk_gb: 1}\n"
#define YAML                                                                                       \
    HEAD "properties:\n" PROPERTY("port", "80")                                                    \
        PROPERTY("mode", "full") "variants:\n" VARIANT("one") VARIANT("two")

static void write_below(const char *path, const char *text)
{
    bvi_auto_free char *dir = bvi_strdup(bvt_path("%s", path));
    bv_error *err = NULL;

    *strrchr(dir, '/') = '\0';
    bvt_assert_ok(bvi_fs_mkdir(dir, 0755, &err), err);
    (void)bvt_write_file(path, text);
}

static const struct {
    const char *script; /* files made */
    const char *yaml;
    const char *open; /* what is named */
    const char *dir;  /* found; below the test's directory */
    const char *rootfs;
    const char *image;
} layouts[] = {
    { "p/main.rhai", NULL, "p", "p", NULL, NULL },
    { "p/main.rhai", "p/babel.yaml", "p", "p", NULL, "p/babel.yaml" },
    { "p/main.rhai", "p/babel.yaml", "p//", "p", NULL, "p/babel.yaml" },
    { "p/main.rhai", "babel.yaml", "p", "p", NULL, "babel.yaml" },
    { "p/babel.rhai", NULL, "p", "p", NULL, NULL },
    { "p/other.rhai", "p/babel.yaml", "p/other.rhai", "p", NULL, "p/babel.yaml" },
    { "p/main.rhai", "p/root/x", "p", "p", "p/root", NULL },
    { "p/var/lib/babel/plugin/main.rhai", "p/var/lib/babel/babel.yaml", "p",
      "p/var/lib/babel/plugin", "p", "p/var/lib/babel/babel.yaml" },
    { "p/var/lib/babel/plugin/main.rhai", NULL, "p/var/lib/babel/plugin", "p/var/lib/babel/plugin",
      "p", NULL },
    { "p/rootfs/var/lib/babel/plugin/main.rhai", "p/babel.yaml", "p",
      "p/rootfs/var/lib/babel/plugin", "p/rootfs", "p/babel.yaml" },
    { "p/root/var/lib/babel/plugin/main.rhai", "p/babel.yaml", "p", "p/root/var/lib/babel/plugin",
      "p/root", "p/babel.yaml" },
};

static void same_path(const char *found, const char *below)
{
    if (below)
        ck_assert_str_eq(found, bvt_path("%s", below));
    else
        ck_assert_ptr_null(found);
}

START_TEST(finds_the_files)
{
    BVI_AUTO(bvi_workspace_freep) bvi_workspace *ws = NULL;
    bv_error *err = NULL;

    write_below(layouts[_i].script, "1");
    if (layouts[_i].yaml)
        write_below(layouts[_i].yaml, YAML);
    bvt_assert_ok(bvi_workspace_open(bvt_path("%s", layouts[_i].open), &ws, NULL, &err), err);
    same_path(ws->dir, layouts[_i].dir);
    same_path(ws->rootfs, layouts[_i].rootfs);
    same_path(ws->image_path, layouts[_i].image);
    ck_assert_ptr_nonnull(bvi_sources_find(&ws->sources, ws->main_file));
    ck_assert_uint_eq(ws->variants.len, layouts[_i].image ? 2 : 1);
    ck_assert_str_eq(ws->variants.items[0], layouts[_i].image ? "one" : "");
}
END_TEST

START_TEST(says_what_is_missing)
{
    bvi_workspace *ws = NULL;
    bv_error *err = NULL;

    ck_assert_int_eq(bvi_workspace_open(bvt_path("none"), &ws, NULL, &err), BV_E_NOT_FOUND);
    bvt_assert_error_says(err, BV_E_NOT_FOUND, "there is no '");
    bv_error_free(bvi_take(err));
    ck_assert_int_eq(bvi_workspace_open(bvt_dir(), &ws, NULL, &err), BV_E_NOT_FOUND);
    bvt_assert_error_says(err, BV_E_NOT_FOUND, "it has neither main.rhai nor");
    bv_error_free(bvi_take(err));
    (void)bvt_write_file("README.md", "text");
    ck_assert_int_eq(bvi_workspace_open(bvt_path("README.md"), &ws, NULL, &err), BV_E_NOT_FOUND);
    bvt_assert_error_says(err, BV_E_NOT_FOUND, "'README.md' in '");
    bv_error_free(err);
}
END_TEST

/* An image that is checked on a host may have anything there; to open a pipe would wait for ever.
 */
START_TEST(does_not_wait_for_a_pipe)
{
    bvi_workspace *ws = NULL;
    bv_error *image_err = NULL;
    bv_error *err = NULL;

    write_below("p/main.rhai", "");
    ck_assert_int_eq(mkfifo(bvt_path("p/babel.yaml"), 0600), 0);
    bvt_assert_ok(bvi_workspace_open(bvt_path("p"), &ws, &image_err, &err), err);
    bvt_assert_error_says(image_err, BV_E_INVALID, "is not an ordinary file");
    bv_error_free(image_err);
    bvi_workspace_free(ws);
}
END_TEST

START_TEST(tells_a_broken_image)
{
    BVI_AUTO(bvi_workspace_freep) bvi_workspace *ws = NULL;
    bv_error *image_err = NULL;
    bv_error *err = NULL;

    write_below("p/main.rhai", "1");
    write_below("p/babel.yaml", "version: x\n");
    ck_assert_int_eq(bvi_workspace_open(bvt_path("p"), &ws, NULL, &err), BV_E_FORMAT);
    bvt_assert_error_says(err, BV_E_FORMAT, "version must be semantic");
    bv_error_free(bvi_take(err));
    bvt_assert_ok(bvi_workspace_open(bvt_path("p"), &ws, &image_err, &err), err);
    bvt_assert_error_says(image_err, BV_E_FORMAT, "version must be semantic");
    ck_assert_ptr_null(ws->image);
    ck_assert_str_eq(ws->variants.items[0], "");
    bv_error_free(image_err);
}
END_TEST

static void same_text(const bvi_json *object, const char *key, const char *text)
{
    ck_assert_str_eq(bvi_json_string(bvi_json_find(object, key)), text);
}

static void documents(bool overlaid, bvi_json **ret_env, bvi_json **ret_params)
{
    static const char env_text[] = "{\"node_name\": \"mine\", \"extra\": 1}";
    static const char params_text[] = "{\"port\": \"81\", \"more\": \"m\"}";
    BVI_AUTO(bvi_workspace_freep) bvi_workspace *ws = NULL;
    bvi_auto_json bvi_json *env = NULL;
    bvi_auto_json bvi_json *params = NULL;
    bvi_workspace_overlay overlay = { 0 };
    bv_error *err = NULL;

    write_below("p/main.rhai", "1");
    write_below("p/babel.yaml", YAML);
    bvt_assert_ok(bvi_json_parse(env_text, strlen(env_text), &env, &err), err);
    bvt_assert_ok(bvi_json_parse(params_text, strlen(params_text), &params, &err), err);
    if (overlaid)
        overlay = (bvi_workspace_overlay){ "two", env, params };
    bvt_assert_ok(bvi_workspace_open(bvt_path("p"), &ws, NULL, &err), err);
    bvt_assert_ok(bvi_workspace_node_env(ws, &overlay, ret_env, &err), err);
    bvt_assert_ok(bvi_workspace_node_params(ws, &overlay, ret_params, &err), err);
}

START_TEST(makes_up_a_node)
{
    bvi_auto_json bvi_json *env = NULL;
    bvi_auto_json bvi_json *params = NULL;

    documents(false, &env, &params);
    same_text(env, "node_id", "node-id");
    same_text(env, "node_version", "1.2.3");
    same_text(env, "node_protocol", "chain");
    same_text(env, "node_variant", "one");
    same_text(env, "node_ip", "1.2.3.4");
    same_text(env, "protocol_data_path", "/blockjoy/protocol_data");
    same_text(bvi_json_find(env, "properties"), "port", "80");
    ck_assert(bvi_json_is_true(bvi_json_find(env, "dev_mode")));
    same_text(params, "port", "80");
    same_text(params, "mode", "full");
}
END_TEST

START_TEST(lays_over)
{
    bvi_auto_json bvi_json *env = NULL;
    bvi_auto_json bvi_json *params = NULL;

    documents(true, &env, &params);
    same_text(env, "node_name", "mine");
    same_text(env, "node_variant", "two");
    ck_assert_ptr_nonnull(bvi_json_find(env, "extra"));
    same_text(bvi_json_find(env, "properties"), "port", "81");
    same_text(params, "port", "81");
    same_text(params, "mode", "full");
    same_text(params, "more", "m");
}
END_TEST

START_TEST(names_the_variants)
{
    BVI_AUTO(bvi_workspace_freep) bvi_workspace *ws = NULL;
    const bvi_workspace_overlay overlay = { .variant = "three" };
    bvi_json *env = NULL;
    bv_error *err = NULL;

    write_below("p/main.rhai", "1");
    write_below("p/babel.yaml", YAML);
    bvt_assert_ok(bvi_workspace_open(bvt_path("p"), &ws, NULL, &err), err);
    ck_assert_int_eq(bvi_workspace_node_env(ws, &overlay, &env, &err), BV_E_NOT_FOUND);
    bvt_assert_error_says(err, BV_E_NOT_FOUND, "it has 'one', 'two'");
    bv_error_free(err);
}
END_TEST

START_TEST(takes_any_variant_without_an_image)
{
    BVI_AUTO(bvi_workspace_freep) bvi_workspace *ws = NULL;
    const bvi_workspace_overlay overlay = { .variant = "mine" };
    bvi_auto_json bvi_json *env = NULL;
    bv_error *err = NULL;

    write_below("p/main.rhai", "1");
    bvt_assert_ok(bvi_workspace_open(bvt_path("p"), &ws, NULL, &err), err);
    bvt_assert_ok(bvi_workspace_node_env(ws, &overlay, &env, &err), err);
    same_text(env, "node_variant", "mine");
}
END_TEST

/* One environment serves all variants: each is told its own name. */
START_TEST(keeps_the_variant_asked_for)
{
    static const char text[] = "{\"node_variant\":\"other\"}";
    BVI_AUTO(bvi_workspace_freep) bvi_workspace *ws = NULL;
    bvi_auto_json bvi_json *given = NULL;
    bvi_auto_json bvi_json *env = NULL;
    bv_error *err = NULL;

    write_below("p/main.rhai", "1");
    bvt_assert_ok(bvi_workspace_open(bvt_path("p"), &ws, NULL, &err), err);
    bvt_assert_ok(bvi_json_parse(text, strlen(text), &given, &err), err);
    bvt_assert_ok(bvi_workspace_node_env(
                      ws, &(bvi_workspace_overlay){ .variant = "mine", .env = given }, &env, &err),
                  err);
    same_text(env, "node_variant", "mine");
}
END_TEST

START_TEST(survives_every_failed_allocation)
{
    const bvi_workspace_overlay overlay = { .variant = "two" };

    write_below("p/main.rhai", "1");
    write_below("p/babel.yaml", YAML);
    bvt_for_each_failed_allocation(n) {
        BVI_AUTO(bvi_workspace_freep) bvi_workspace *ws = NULL;
        bvi_auto_json bvi_json *env = NULL;
        int r = bvi_workspace_open(bvt_path("p"), &ws, NULL, NULL);

        if (r == 0)
            r = bvi_workspace_node_env(ws, &overlay, &env, NULL);
        ck_assert(r == 0 || r == BV_E_NOMEM);
    }
}
END_TEST

BVT_MAIN("plugin/workspace", bvt_loop(finds_the_files, layouts), bvt_test(says_what_is_missing),
         bvt_test(does_not_wait_for_a_pipe), bvt_test(tells_a_broken_image),
         bvt_test(makes_up_a_node), bvt_test(lays_over), bvt_test(names_the_variants),
         bvt_test(takes_any_variant_without_an_image), bvt_test(keeps_the_variant_asked_for),
         bvt_test(survives_every_failed_allocation))
