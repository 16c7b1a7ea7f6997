/* babel.yaml: a whole one read field by field, and each rule of the format with the message that
 * explains it. */
#include <stdio.h>
#include <stdlib.h>

#include "bvt.h"
#include "image/image_fields.h"
#include "image/image_meta.h"

#define HEAD                                                                                       \
    "version: 1.0.0\ncontainer_uri: docker://o/p/v:1\nprotocol_key: p\nvisibility: public\n"
#define FIREWALL "firewall_config: {default_in: deny, default_out: allow, rules: []}\n"
#define VARIANT                                                                                    \
    "{key: v, sku_code: A-B-C, archive_pointers: [], min_cpu: 1, min_memory_mb: 2, min_disk_gb: "  \
    "3}"
#define GOOD HEAD FIREWALL "properties: []\nvariants: [" VARIANT "]\n"

static const char whole[] =
    "version: 1.10.0\n"
    "container_uri: docker://o/p/v:1\n"
    "protocol_key: p-1\n"
    "description: text\n"
    "visibility: development\n"
    "sku_code: stray\n"
    "protected_paths: [signer/**, '!**/*.pem']\n"
    "firewall_config:\n"
    "  default_in: deny\n"
    "  default_out: allow\n"
    "  rules:\n"
    "    - {key: rpc, protocol: tcp, direction: in, action: allow, ips: [{ip: 10.0.0.0/8}], ports: "
    "[{port: 8545}]}\n"
    "properties:\n"
    "  - {key: rpc, name: RPC, dynamic_value: true, default_value: off, ui_type: !switch {on: "
    "{new_archive: true}}}\n"
    "  - key: peers\n"
    "    name: Peers\n"
    "    description: how many\n"
    "    dynamic_value: false\n"
    "    default_value: 25\n"
    "    ui_type: !text\n"
    "variants:\n"
    "  - key: a-main-full\n"
    "    sku_code: A1-B2-C3\n"
    "    archive_pointers:\n"
    "      - {pointer: !combination_disallowed , new_archive_properties: [rpc-on]}\n"
    "      - pointer: !store_key snap-1\n"
    "      - pointer: !store_key snap-2\n"
    "    min_cpu: 4\n"
    "    min_memory_mb: 8000\n"
    "    min_disk_gb: 500\n"
    "    ramdisks: [{mount: /mnt/r, size_mb: 64}]\n"
    "  - key: a-test-full\n"
    "    sku_code: A-B-C\n"
    "    archive_pointers: []\n"
    "    min_cpu: 1\n"
    "    min_memory_mb: 2\n"
    "    min_disk_gb: 3\n"
    "    properties: []\n"
    "    protected_paths: []\n"
    "    firewall_config: {default_in: reject, default_out: reject, rules: []}\n";

static bvi_image_meta *parse(const char *text)
{
    bvi_image_meta *meta = NULL;
    bv_error *err = NULL;

    bvt_assert_ok(bvi_image_meta_parse(text, strlen(text), &meta, &err), err);
    return meta;
}

static void assert_json(const bvi_json *node, const char *expected)
{
    bvi_auto_free char *text = NULL;

    ck_assert_int_eq(bvi_json_print(node, false, &text, NULL), 0);
    ck_assert_str_eq(text, expected);
}

START_TEST(reads_everything)
{
    BVI_AUTO(bvi_image_meta_freep) bvi_image_meta *meta = parse(whole);
    const bvi_image_variant *v = bvi_image_meta_variant(meta, NULL);
    const bvi_image_variant *second = bvi_image_meta_variant(meta, "a-test-full");

    ck_assert_str_eq(meta->version, "1.10.0");
    ck_assert_str_eq(meta->container_uri, "docker://o/p/v:1");
    ck_assert_str_eq(meta->protocol_key, "p-1");
    ck_assert_str_eq(meta->description, "text");
    ck_assert_str_eq(meta->visibility, "development");
    ck_assert_uint_eq(meta->variants.len, 2);
    ck_assert_str_eq(v->key, "a-main-full");
    ck_assert_str_eq(v->sku_code, "A1-B2-C3");
    ck_assert_str_eq(v->store_key, "snap-1");
    ck_assert_uint_eq(v->min_cpu, 4);
    ck_assert_uint_eq(v->min_memory_mb, 8000);
    ck_assert_uint_eq(v->min_disk_gb, 500);
    assert_json(v->ramdisks, "[{\"ram_disk_mount_point\":\"/mnt/r\",\"ram_disk_size_mb\":64}]");
    assert_json(
        v->firewall,
        "{\"default_in\":\"deny\",\"default_out\":\"allow\",\"rules\":[{\"name\":\"rpc\","
        "\"action\":\"allow\",\"direction\":\"in\",\"protocol\":\"tcp\",\"ips\":[\"10.0.0.0/8\"],"
        "\"ports\":[8545]}]}");
    ck_assert_uint_eq(v->properties.len, 2);
    ck_assert_str_eq(v->properties.items[0].default_value, "off");
    ck_assert(v->properties.items[0].dynamic_value);
    ck_assert_ptr_null(v->properties.items[0].description);
    ck_assert_str_eq(v->properties.items[1].default_value, "25");
    ck_assert_str_eq(v->properties.items[1].description, "how many");

    ck_assert_ptr_null(second->store_key);
    ck_assert_uint_eq(second->properties.len, 0);
    assert_json(second->firewall,
                "{\"default_in\":\"reject\",\"default_out\":\"reject\",\"rules\":[]}");
    assert_json(second->ramdisks, "[]");
    ck_assert(bvi_protect_match(&v->protected_paths, "signer/state"));
    ck_assert(bvi_protect_match(&v->protected_paths, "regtest/wallets/w"));
    ck_assert(!bvi_protect_match(&v->protected_paths, "tls.pem"));
    ck_assert(!bvi_protect_match(&second->protected_paths, "signer/state"));
    ck_assert(bvi_protect_match(&second->protected_paths, "tls.pem"));
    ck_assert_ptr_null(bvi_image_meta_variant(meta, "none"));
}
END_TEST

#define WITH_PROPERTY(p) HEAD FIREWALL "properties: [" p "]\nvariants: [" VARIANT "]\n"
#define WITH_VARIANT(v)  HEAD FIREWALL "properties: []\nvariants: [" v "]\n"
#define WITH_RULE(r)                                                                               \
    HEAD "firewall_config: {default_in: deny, default_out: allow, rules: [" r                      \
         "]}\nproperties: []\n"                                                                    \
         "variants: [" VARIANT "]\n"

static const struct {
    const char *text;
    const char *says;
} refused[] = {
    { "", "" },
    { "[]", "must be a mapping" },
    { "version: 1.0\n", "version must be semantic" },
    { "version: 1.0.0\n", "'container_uri' is missing" },
    { "version: [1]\n", "'version'" },
    { "version: 1.0.0\ncontainer_uri: nowhere\n", "invalid container_uri" },
    { "version: 1.0.0\ncontainer_uri: docker://x\nprotocol_key: A_b\n",
      "'protocol_key: A_b' isn't lower-kebab-case" },
    { "version: 1.0.0\ncontainer_uri: docker://x\nprotocol_key: p\nvisibility: secret\n",
      "'visibility' cannot be 'secret'" },
    { HEAD "properties: []\nvariants: [" VARIANT "]\n", "'firewall_config' must be a mapping" },
    { HEAD FIREWALL "variants: [" VARIANT "]\n", "'properties' is missing" },
    { HEAD FIREWALL "properties: []\n", "'variants' is missing" },
    { HEAD FIREWALL "properties: []\nvariants: []\n", "'variants' is empty" },
    { HEAD FIREWALL "properties: {}\nvariants: [" VARIANT "]\n", "'properties' must be a list" },
    { WITH_VARIANT("x"), "a variant must be a mapping" },
    { WITH_VARIANT("{key: V1}"), "'variant_key: V1' isn't lower-kebab-case" },
    { WITH_VARIANT("{key: v}"), "'sku_code' is missing" },
    { WITH_VARIANT("{key: v, sku_code: A-B}"), "Invalid SKU format for variant 'v': 'A-B'" },
    { WITH_VARIANT("{key: v, sku_code: a-b-c}"), "Invalid SKU format" },
    { WITH_VARIANT("{key: v, sku_code: A--C}"), "Invalid SKU format" },
    { WITH_VARIANT("{key: v, sku_code: A-B-C-D}"), "Invalid SKU format" },
    { WITH_VARIANT("{key: v, sku_code: A-B-C}"), "'min_cpu'" },
    { WITH_VARIANT("{key: v, sku_code: A-B-C, min_cpu: -1}"), "'min_cpu'" },
    { WITH_VARIANT("{key: v, sku_code: A-B-C, metadata: [{key: N, value: x}]}"),
      "'metadata key: N' isn't" },
    { WITH_VARIANT("{key: v, sku_code: A-B-C, min_cpu: 1, min_memory_mb: 1, min_disk_gb: 1,"
                   " archive_pointers: [{pointer: !store_key A}]}"),
      "'store_key: A' isn't" },
    { WITH_VARIANT("{key: v, sku_code: A-B-C, min_cpu: 1, min_memory_mb: 1, min_disk_gb: 1,"
                   " archive_pointers: [{pointer: plain}]}"),
      "'pointer' must be !store_key" },
    { WITH_VARIANT("{key: v, sku_code: A-B-C, min_cpu: 1, min_memory_mb: 1, min_disk_gb: 1,"
                   " ramdisks: [{mount: mnt, size_mb: 1}]}"),
      "ramdisk 'mount' must be an absolute path" },
    { WITH_VARIANT(
          "{key: v, sku_code: A-B-C, min_cpu: 1, min_memory_mb: 1, min_disk_gb: 1, visibility: x}"),
      "'visibility' cannot be 'x'" },
    { WITH_PROPERTY("{key: P}"), "'property key: P' isn't" },
    { WITH_PROPERTY("{key: p}"), "property 'p': 'name' is missing" },
    { WITH_PROPERTY("{key: p, name: n, default_value: x}"), "'dynamic_value'" },
    { WITH_PROPERTY("{key: p, name: n, default_value: x, dynamic_value: no}"), "'dynamic_value'" },
    { WITH_PROPERTY("{key: p, name: n, default_value: x, dynamic_value: true}"),
      "'ui_type' must be" },
    { WITH_PROPERTY("{key: p, name: n, default_value: x, dynamic_value: true, ui_type: !box }"),
      "not !box" },
    { WITH_PROPERTY("{key: p, name: n, default_value: x, dynamic_value: true, ui_type: !enum "
                    "[{value: A, name: a}]}"),
      "'enum value: A' isn't" },
    { WITH_PROPERTY("{key: p, name: n, default_value: x, dynamic_value: true, ui_type: !text "
                    "{add_cpu: many}}"),
      "'add_cpu'" },
    { WITH_RULE("{key: R_1, protocol: tcp, direction: in, action: allow}"),
      "'firewall rule key: R_1' isn't" },
    { WITH_RULE("{key: r, protocol: icmp, direction: in, action: allow}"),
      "'protocol' cannot be 'icmp'" },
    { WITH_RULE("{key: r, protocol: tcp, direction: up, action: allow}"),
      "'direction' cannot be 'up'" },
    { WITH_RULE("{key: r, protocol: tcp, direction: in, action: drop}"),
      "'action' cannot be 'drop'" },
    { WITH_RULE("{key: r, protocol: tcp, direction: in, action: allow, ips: [{ip: 10.0.0.0/33}]}"),
      "invalid ip (10.0.0.0/33) in rule 'r'" },
    { WITH_RULE("{key: r, protocol: tcp, direction: in, action: allow, ports: [{port: 65536}]}"),
      "above 65535" },
    { GOOD "protected_paths: wallets\n", "'protected_paths'" },
    { GOOD "protected_paths: [{a: b}]\n", "holds object" },
    { GOOD "protected_paths: ['/etc/x']\n", "relative to the protocol data" },
    { GOOD "protected_paths: ['a[']\n", "'[' has no ']'" },
    { GOOD "protected_paths: ['!**/nothing']\n", "takes out nothing" },
};

START_TEST(refuses_and_explains)
{
    bvi_image_meta *meta = NULL;
    bv_error *err = NULL;
    int r = bvi_image_meta_parse(refused[_i].text, strlen(refused[_i].text), &meta, &err);

    bvt_assert_error_says(err, BV_E_FORMAT, refused[_i].says);
    bvt_assert_error_says(err, BV_E_FORMAT, "babel.yaml");
    ck_assert_int_eq(r, BV_E_FORMAT);
    ck_assert_ptr_null(meta);
    bv_error_free(err);
}
END_TEST

START_TEST(bounds_its_lists)
{
    size_t size = 200 * strlen(VARIANT) + 1024;
    char *text = malloc(size);
    bvi_image_meta *meta = NULL;
    size_t len;

    ck_assert_ptr_nonnull(text);
    len = (size_t)snprintf(text, size, "%s", HEAD FIREWALL "properties: []\nvariants: [");
    for (unsigned i = 0; i <= BVI_IMAGE_VARIANTS_MAX; i++)
        len += (size_t)snprintf(text + len, size - len, "%s%s", i ? "," : "", VARIANT);
    len += (size_t)snprintf(text + len, size - len, "]\n");
    ck_assert_int_eq(bvi_image_meta_parse(text, len, &meta, NULL), BV_E_LIMIT);
    free(text);
}
END_TEST

static const struct {
    const char *text;
    bool good;
} versions[] = {
    { "0.0.0", true },       { "1.2.3", true },         { "10.20.30", true },
    { "1.0.0-alpha", true }, { "1.0.0-a.1+b.2", true }, { "1.0.0+001", true },
    { "1.0.0-0a", true },    { "1.0.0--", true },       { "1", false },
    { "1.2", false },        { "01.2.3", false },       { "1.2.3.4", false },
    { "1.2.3-", false },     { "1.2.3-01", false },     { "1.2.3+", false },
    { "1.2.3-a..b", false }, { "v1.2.3", false },       { "1.2.3 ", false },
    { "", false },           { "1.2.x", false },
};

START_TEST(knows_versions)
{
    ck_assert_int_eq(bvi_image_check_version(versions[_i].text, NULL),
                     versions[_i].good ? 0 : BV_E_FORMAT);
}
END_TEST

static const struct {
    const char *text;
    bool good;
} addresses[] = {
    { "10.0.0.1", true },        { "10.0.0.0/8", true },
    { "0.0.0.0/0", true },       { "::/0", true },
    { "2001:db8::1/128", true }, { "10.0.0.1/", false },
    { "10.0.0.1/33", false },    { "::1/129", false },
    { "10.0.0", false },         { "", false },
    { "host", false },           { "10.0.0.1/-1", false },
    { "10.0.0.1/1a", false },    { "10.0.0.1/0008", false },
};

START_TEST(knows_addresses)
{
    ck_assert(bvi_image_is_cidr(addresses[_i].text) == addresses[_i].good);
}
END_TEST

START_TEST(survives_every_failed_allocation)
{
    bvt_for_each_failed_allocation(n) {
        bvi_image_meta *meta = NULL;
        int r = bvi_image_meta_parse(whole, strlen(whole), &meta, NULL);

        ck_assert_msg(r == 0 || r == BV_E_NOMEM, "round %zu: %s", n, bv_code_name(r));
        bvi_image_meta_free(meta);
    }
}
END_TEST

BVT_MAIN("image/image_meta", bvt_test(reads_everything), bvt_loop(refuses_and_explains, refused),
         bvt_test(bounds_its_lists), bvt_loop(knows_versions, versions),
         bvt_loop(knows_addresses, addresses), bvt_test(survives_every_failed_allocation))
