/*
 * image_meta.c - babel.yaml read into what the rest needs, every rule of the format checked.
 *
 * Keys we do not know are left alone: real files carry some. What a variant does not say itself is
 * the image's.
 */
#include <string.h>

#include "base/yaml.h"
#include "image/image_fields.h"
#include "image/image_meta.h"

static const char *const visibilities[] = { "public", "development", "private", NULL };

static void free_property(bvi_image_property *p)
{
    bvi_free(p->key);
    bvi_free(p->name);
    bvi_free(p->description);
    bvi_free(p->default_value);
}

static void free_variant(bvi_image_variant *v)
{
    bvi_free(v->key);
    bvi_free(v->sku_code);
    bvi_free(v->store_key);
    bvi_json_free(v->ramdisks);
    bvi_json_free(v->firewall);
    for (size_t i = 0; i < v->properties.len; i++)
        free_property(&v->properties.items[i]);
    bvi_vec_done(&v->properties);
    bvi_strv_done(&v->protected_paths);
}

void bvi_image_meta_free(bvi_image_meta *meta)
{
    if (!meta)
        return;
    bvi_free(meta->version);
    bvi_free(meta->container_uri);
    bvi_free(meta->protocol_key);
    bvi_free(meta->description);
    bvi_free(meta->visibility);
    for (size_t i = 0; i < meta->variants.len; i++)
        free_variant(&meta->variants.items[i]);
    bvi_vec_done(&meta->variants);
    bvi_json_free(meta->document);
    bvi_free(meta);
}

/* ---- properties ---- */

/* The one key of a tagged value: "!text" of {"!text": ...}; NULL when it is none. */
static const char *tag_of(const bvi_json *node, const bvi_json **ret_value)
{
    const bvi_json *first = bvi_json_type_of(node) == BVI_JSON_OBJECT ? bvi_json_first(node) : NULL;
    const char *key = first ? bvi_json_key(first) : NULL;

    if (!key || key[0] != '!' || bvi_json_next(first))
        return NULL;
    *ret_value = first;
    return key;
}

/* What choosing a value costs: nothing (null), or numbers that may be negative. */
static int check_impact(const bvi_json *impact, bv_error **err)
{
    static const char *const numbers[] = { "add_cpu", "add_memory_mb", "add_disk_gb" };
    bool new_archive = false;
    int r;

    if (bvi_json_type_of(impact) == BVI_JSON_NULL)
        return 0;
    r = bvi_image_object(impact, "an impact", err);
    if (r == 0)
        r = bvi_json_opt_bool(impact, "new_archive", &new_archive, err);
    for (size_t i = 0; i < BVI_COUNT(numbers) && r == 0; i++) {
        int64_t value = 0;

        r = bvi_json_opt_int64(impact, numbers[i], &value, err);
    }
    return r;
}

static int check_text(const bvi_json *value, bv_error **err)
{
    return check_impact(value, err);
}

static int check_switch(const bvi_json *value, bv_error **err)
{
    int r;

    if (bvi_json_type_of(value) == BVI_JSON_NULL)
        return 0;
    r = bvi_image_object(value, "a switch", err);
    if (r == 0)
        r = check_impact(bvi_json_find(value, "on"), err);
    return r < 0 ? r : check_impact(bvi_json_find(value, "off"), err);
}

static int check_enum(const bvi_json *value, bv_error **err)
{
    if (bvi_json_type_of(value) != BVI_JSON_ARRAY)
        return bvi_fail(err, BV_E_FORMAT, "'!enum' must be a list, not %s",
                        bvi_json_type_name(value));
    bvi_json_each(it, value) {
        bvi_auto_free char *text = NULL;
        bvi_auto_free char *name = NULL;
        int r = bvi_image_object(it, "an enum value", err);

        if (r == 0)
            r = bvi_image_text(it, "value", &text, err);
        if (r == 0)
            r = bvi_image_check_kebab("enum value", text, err);
        if (r == 0)
            r = bvi_image_text(it, "name", &name, err);
        if (r == 0)
            r = check_impact(bvi_json_find(it, "impact"), err);
        if (r < 0)
            return r;
    }
    return 0;
}

static const struct {
    const char *tag;
    int (*check)(const bvi_json *value, bv_error **err);
} ui_types[] = {
    { "!text", check_text },
    { "!password", check_text },
    { "!switch", check_switch },
    { "!enum", check_enum },
};

static int check_ui_type(const bvi_json *property, bv_error **err)
{
    const bvi_json *node = bvi_json_find(property, "ui_type");
    const bvi_json *value = NULL;
    const char *tag = tag_of(node, &value);

    for (size_t i = 0; i < BVI_COUNT(ui_types); i++) {
        if (tag && strcmp(tag, ui_types[i].tag) == 0) {
            int r = ui_types[i].check(value, err);

            return r < 0 ? bvi_wrap(err, r, "'ui_type' %s", tag) : 0;
        }
    }
    return bvi_fail(err, BV_E_FORMAT, "'ui_type' must be !text, !password, !switch or !enum%s%s",
                    tag ? ", not " : "", tag ? tag : "");
}

static int read_property_fields(const bvi_json *from, bvi_image_property *p, bv_error **err)
{
    int r = bvi_image_check_kebab("property key", p->key, err);

    if (r == 0)
        r = bvi_image_text(from, "name", &p->name, err);
    if (r == 0)
        r = bvi_image_opt_text(from, "description", &p->description, err);
    if (r == 0)
        r = bvi_image_text(from, "default_value", &p->default_value, err);
    if (r == 0)
        r = bvi_json_get_bool(from, "dynamic_value", &p->dynamic_value, err);
    return r < 0 ? r : check_ui_type(from, err);
}

static int read_property(const bvi_json *from, bvi_image_property *p, bv_error **err)
{
    int r = bvi_image_object(from, "a property", err);

    if (r == 0)
        r = bvi_image_text(from, "key", &p->key, err);
    if (r < 0)
        return r;
    r = read_property_fields(from, p, err);
    return r < 0 ? bvi_wrap(err, r, "property '%s'", p->key) : 0;
}

/* `from` is the image or the variant, whichever has the list. */
static int read_properties(const bvi_json *from, bvi_image_variant *v, bv_error **err)
{
    const bvi_json *list = NULL;
    int r = bvi_image_list(from, "properties", true, BVI_IMAGE_PROPERTIES_MAX, &list, err);

    v->properties.max = BVI_IMAGE_PROPERTIES_MAX;
    bvi_json_each(it, list) {
        bvi_image_property *slot = bvi_vec_push(&v->properties);

        r = slot ? read_property(it, slot, err) : bvi_fail_nomem(err);
        if (r < 0)
            return r;
    }
    return r;
}

/* ---- variants ---- */

static int read_ramdisks(const bvi_json *from, bvi_image_variant *v, bv_error **err)
{
    const bvi_json *list = NULL;
    int r = bvi_image_list(from, "ramdisks", false, BVI_IMAGE_ENTRIES_MAX, &list, err);

    v->ramdisks = bvi_json_new_array();
    if (!v->ramdisks)
        return bvi_fail_nomem(err);
    bvi_json_each(it, list) {
        const char *mount = NULL;
        uint64_t size = 0;
        bvi_json *disk;

        r = bvi_image_object(it, "a ramdisk", err);
        if (r == 0)
            r = bvi_json_get_string(it, "mount", &mount, err);
        if (r == 0)
            r = bvi_json_get_uint64(it, "size_mb", &size, err);
        if (r < 0)
            return r;
        if (mount[0] != '/')
            return bvi_fail(err, BV_E_FORMAT, "ramdisk 'mount' must be an absolute path, not '%s'",
                            mount);
        disk = bvi_json_new_object();
        if (bvi_json_add(v->ramdisks, disk) < 0 ||
            bvi_json_put_string(disk, "ram_disk_mount_point", mount) < 0 ||
            bvi_json_put_uint64(disk, "ram_disk_size_mb", size) < 0)
            return bvi_fail_nomem(err);
    }
    return r;
}

static int read_pointer(const bvi_json *entry, bvi_image_variant *v, bv_error **err)
{
    const bvi_json *value = NULL;
    const char *tag = tag_of(bvi_json_find(entry, "pointer"), &value);
    bvi_auto_free char *key = NULL;
    int r;

    if (tag && strcmp(tag, "!combination_disallowed") == 0)
        return 0;
    if (!tag || strcmp(tag, "!store_key") != 0)
        return bvi_fail(err, BV_E_FORMAT,
                        "'pointer' must be !store_key or !combination_disallowed");
    r = bvi_json_scalar_text(value, &key, err);
    if (r == 0)
        r = bvi_image_check_kebab("store_key", key, err);
    if (r < 0)
        return r;
    if (!v->store_key)
        v->store_key = bvi_take(key);
    return 0;
}

static int read_archive_pointers(const bvi_json *from, bvi_image_variant *v, bv_error **err)
{
    const bvi_json *list = NULL;
    const bvi_json *properties = NULL;
    int r = bvi_image_list(from, "archive_pointers", false, BVI_IMAGE_ENTRIES_MAX, &list, err);

    bvi_json_each(it, list) {
        r = bvi_image_object(it, "an archive pointer", err);
        if (r == 0)
            r = read_pointer(it, v, err);
        if (r == 0)
            r = bvi_image_list(it, "new_archive_properties", false, BVI_IMAGE_ENTRIES_MAX,
                               &properties, err);
        if (r < 0)
            return r;
    }
    return r;
}

static int check_metadata(const bvi_json *from, bv_error **err)
{
    const bvi_json *list = NULL;
    int r = bvi_image_list(from, "metadata", false, BVI_IMAGE_ENTRIES_MAX, &list, err);

    bvi_json_each(it, list) {
        bvi_auto_free char *key = NULL;
        bvi_auto_free char *value = NULL;

        r = bvi_image_object(it, "a metadata entry", err);
        if (r == 0)
            r = bvi_image_text(it, "key", &key, err);
        if (r == 0)
            r = bvi_image_check_kebab("metadata key", key, err);
        if (r == 0)
            r = bvi_image_text(it, "value", &value, err);
        if (r < 0)
            return r;
    }
    return r;
}

/* Patterns on paths below the protocol data, beside those built in. */
static int read_protected(const bvi_json *from, bvi_image_variant *v, bv_error **err)
{
    const bvi_json *list = NULL;
    int r = bvi_image_list(from, "protected_paths", false, BVI_PROTECT_MAX, &list, err);

    if (r == 0)
        r = bvi_protect_begin(&v->protected_paths, err);
    bvi_json_each(it, list) {
        if (r < 0)
            return r;
        if (!bvi_json_string(it))
            return bvi_fail(err, BV_E_FORMAT, "'protected_paths' holds %s, not a text",
                            bvi_json_type_name(it));
        r = bvi_protect_add(&v->protected_paths, bvi_json_string(it), err);
    }
    if (r == BV_E_INVALID)
        return bvi_wrap(err, BV_E_FORMAT, "'protected_paths'");
    return r;
}

/* The variant when it has the key, else the image: the whole value, never a mixture. */
static const bvi_json *holder(const bvi_json *variant, const bvi_json *image, const char *key)
{
    return bvi_json_type_of(bvi_json_find(variant, key)) == BVI_JSON_NULL ? image : variant;
}

static int read_overridable(const bvi_json *from, const bvi_json *image, bvi_image_variant *v,
                            bv_error **err)
{
    const char *visibility = NULL;
    int r = bvi_image_word(holder(from, image, "visibility"), "visibility", visibilities,
                           &visibility, err);

    if (r == 0)
        r = read_properties(holder(from, image, "properties"), v, err);
    if (r == 0)
        r = read_protected(holder(from, image, "protected_paths"), v, err);
    if (r < 0)
        return r;
    return bvi_image_firewall(
        bvi_json_find(holder(from, image, "firewall_config"), "firewall_config"), &v->firewall,
        err);
}

static int read_variant_fields(const bvi_json *from, const bvi_json *image, bvi_image_variant *v,
                               bv_error **err)
{
    int r = bvi_image_check_kebab("variant_key", v->key, err);

    if (r == 0)
        r = bvi_image_text(from, "sku_code", &v->sku_code, err);
    if (r == 0)
        r = bvi_image_check_sku(v->key, v->sku_code, err);
    if (r == 0)
        r = check_metadata(from, err);
    if (r == 0)
        r = bvi_json_get_uint64(from, "min_cpu", &v->min_cpu, err);
    if (r == 0)
        r = bvi_json_get_uint64(from, "min_memory_mb", &v->min_memory_mb, err);
    if (r == 0)
        r = bvi_json_get_uint64(from, "min_disk_gb", &v->min_disk_gb, err);
    if (r == 0)
        r = read_archive_pointers(from, v, err);
    if (r == 0)
        r = read_ramdisks(from, v, err);
    return r < 0 ? r : read_overridable(from, image, v, err);
}

static int read_variant(const bvi_json *from, const bvi_json *image, bvi_image_variant *v,
                        bv_error **err)
{
    int r = bvi_image_object(from, "a variant", err);

    if (r == 0)
        r = bvi_image_text(from, "key", &v->key, err);
    if (r < 0)
        return r;
    r = read_variant_fields(from, image, v, err);
    return r < 0 ? bvi_wrap(err, r, "variant '%s'", v->key) : 0;
}

static int read_variants(bvi_image_meta *meta, bv_error **err)
{
    const bvi_json *list = NULL;
    int r = bvi_image_list(meta->document, "variants", true, BVI_IMAGE_VARIANTS_MAX, &list, err);

    meta->variants.max = BVI_IMAGE_VARIANTS_MAX;
    if (r == 0 && !bvi_json_first(list))
        return bvi_fail(err, BV_E_FORMAT, "'variants' is empty");
    bvi_json_each(it, list) {
        bvi_image_variant *slot = bvi_vec_push(&meta->variants);

        r = slot ? read_variant(it, meta->document, slot, err) : bvi_fail_nomem(err);
        if (r < 0)
            return r;
    }
    return r;
}

/* ---- the whole ---- */

/* What variants override must be right on its own as well: a variant added later would get it. */
static int check_defaults(const bvi_json *document, bv_error **err)
{
    bvi_image_variant defaults = { 0 };
    int r = read_properties(document, &defaults, err);

    if (r == 0)
        r = bvi_image_firewall(bvi_json_find(document, "firewall_config"), &defaults.firewall, err);
    if (r == 0)
        r = read_protected(document, &defaults, err);
    free_variant(&defaults);
    return r;
}

static int read_meta(bvi_image_meta *meta, bv_error **err)
{
    const bvi_json *document = meta->document;
    const char *visibility = NULL;
    int r = bvi_image_object(document, "the document", err);

    if (r == 0)
        r = bvi_image_text(document, "version", &meta->version, err);
    if (r == 0)
        r = bvi_image_check_version(meta->version, err);
    if (r == 0)
        r = bvi_image_text(document, "container_uri", &meta->container_uri, err);
    if (r == 0)
        r = bvi_image_check_uri(meta->container_uri, err);
    if (r == 0)
        r = bvi_image_text(document, "protocol_key", &meta->protocol_key, err);
    if (r == 0)
        r = bvi_image_check_kebab("protocol_key", meta->protocol_key, err);
    if (r == 0)
        r = bvi_image_opt_text(document, "description", &meta->description, err);
    if (r == 0)
        r = bvi_image_word(document, "visibility", visibilities, &visibility, err);
    if (r < 0)
        return r;
    meta->visibility = bvi_strdup(visibility);
    if (!meta->visibility)
        return bvi_fail_nomem(err);
    r = check_defaults(document, err);
    return r < 0 ? r : read_variants(meta, err);
}

int bvi_image_meta_parse(const char *text, size_t len, bvi_image_meta **ret_meta, bv_error **err)
{
    BVI_AUTO(bvi_image_meta_freep) bvi_image_meta *meta = bvi_new0(bvi_image_meta);
    int r;

    if (!meta)
        return bvi_fail_nomem(err);
    r = bvi_yaml_parse(text, len, &meta->document, err);
    if (r == 0)
        r = read_meta(meta, err);
    if (r < 0)
        return bvi_wrap(err, r, "babel.yaml");
    *ret_meta = bvi_take(meta);
    return 0;
}

const bvi_image_variant *bvi_image_meta_variant(const bvi_image_meta *meta, const char *key)
{
    if (!key)
        return &meta->variants.items[0];
    for (size_t i = 0; i < meta->variants.len; i++) {
        if (strcmp(meta->variants.items[i].key, key) == 0)
            return &meta->variants.items[i];
    }
    return NULL;
}
