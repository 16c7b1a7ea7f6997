/*
 * check_image.c - babel.yaml: what makes it unreadable, and keys that nobody reads. See
 * check_impl.h.
 */
#include <stdio.h>
#include <string.h>

#include "base/yaml.h"
#include "plugin/check_impl.h"
#include "plugin/check_shape.h"
#include "sys/fs.h"

#define ANY(k)                                                                                     \
    {                                                                                              \
        .key = (k), .kind = BVI_FIELD_ANY                                                          \
    }
#define OBJECT_OF(f)                                                                               \
    {                                                                                              \
        .kind = BVI_FIELD_OBJECT, .fields = (f)                                                    \
    }

/* ---- what can be in it (spec plugin.md 11); types are checked by whoever reads it ---- */

static const bvi_field impact_fields[] = {
    ANY("new_archive"), ANY("add_cpu"), ANY("add_memory_mb"), ANY("add_disk_gb"), END_FIELDS,
};
static const bvi_field impact = OBJECT_OF(impact_fields);
static const bvi_field switch_fields[] = {
    OPT_OBJECT("on", impact_fields),
    OPT_OBJECT("off", impact_fields),
    END_FIELDS,
};
static const bvi_field switch_impact = OBJECT_OF(switch_fields);
static const bvi_field choice_fields[] = {
    ANY("value"),
    ANY("name"),
    OPT_OBJECT("impact", impact_fields),
    END_FIELDS,
};
static const bvi_field choice = OBJECT_OF(choice_fields);
static const bvi_field choices = { .kind = BVI_FIELD_LIST, .item = &choice };
static const bvi_variant ui_types[] = {
    { "!text", &impact },  { "!password", &impact }, { "!switch", &switch_impact },
    { "!enum", &choices }, { NULL, NULL },
};
/* `required` and `legacy_store_key` are read by nobody any more, and known. */
static const bvi_field property_fields[] = {
    ANY("key"),           ANY("name"),          ANY("description"),
    ANY("dynamic_value"), ANY("default_value"), ENUM("ui_type", NULL, ui_types, false),
    ANY("required"),      END_FIELDS,
};
static const bvi_field property = OBJECT_OF(property_fields);
static const bvi_field pointer_fields[] = {
    ANY("pointer"),
    ANY("new_archive_properties"),
    ANY("legacy_store_key"),
    END_FIELDS,
};
static const bvi_field pointer = OBJECT_OF(pointer_fields);
static const bvi_field ip_fields[] = { ANY("ip"), ANY("name"), END_FIELDS };
static const bvi_field ip = OBJECT_OF(ip_fields);
static const bvi_field port_fields[] = { ANY("port"), ANY("name"), END_FIELDS };
static const bvi_field port = OBJECT_OF(port_fields);
static const bvi_field rule_fields[] = {
    ANY("key"),
    ANY("description"),
    ANY("protocol"),
    ANY("direction"),
    ANY("action"),
    OPT_LIST("ips", &ip, NULL),
    OPT_LIST("ports", &port, NULL),
    END_FIELDS,
};
static const bvi_field rule = OBJECT_OF(rule_fields);
static const bvi_field firewall_fields[] = {
    ANY("default_in"),
    ANY("default_out"),
    OPT_LIST("rules", &rule, NULL),
    END_FIELDS,
};
static const bvi_field ramdisk_fields[] = { ANY("mount"), ANY("size_mb"), END_FIELDS };
static const bvi_field ramdisk = OBJECT_OF(ramdisk_fields);
static const bvi_field metadata_fields[] = {
    ANY("key"),
    ANY("value"),
    ANY("description"),
    END_FIELDS,
};
static const bvi_field metadata = OBJECT_OF(metadata_fields);
static const bvi_field variant_fields[] = {
    ANY("key"),
    OPT_LIST("metadata", &metadata, NULL),
    ANY("sku_code"),
    OPT_LIST("archive_pointers", &pointer, NULL),
    ANY("min_cpu"),
    ANY("min_memory_mb"),
    ANY("min_disk_gb"),
    OPT_LIST("ramdisks", &ramdisk, NULL),
    ANY("dns_scheme"),
    ANY("description"),
    ANY("visibility"),
    OPT_LIST("properties", &property, NULL),
    OPT_OBJECT("firewall_config", firewall_fields),
    ANY("protected_paths"),
    END_FIELDS,
};
static const bvi_field variant_item = OBJECT_OF(variant_fields);
/* A stray sku_code is in many real files. */
static const bvi_field image_fields[] = {
    ANY("version"),
    ANY("container_uri"),
    ANY("protocol_key"),
    ANY("org_id"),
    ANY("dns_scheme"),
    ANY("description"),
    ANY("visibility"),
    OPT_OBJECT("firewall_config", firewall_fields),
    OPT_LIST("properties", &property, NULL),
    OPT_LIST("variants", &variant_item, NULL),
    ANY("protected_paths"),
    ANY("sku_code"),
    END_FIELDS,
};

/* ---- where ---- */

typedef struct image_check {
    bvi_check *check;
    bvi_yaml_marks marks;
} image_check;

static bvi_spot spot_of(const image_check *c, const bvi_json *node)
{
    const bvi_yaml_mark *mark = bvi_yaml_mark_of(&c->marks, node);

    return (bvi_spot){ BVI_REPORT_IMAGE, mark ? mark->line : 0, mark ? mark->column : 0 };
}

/* The text between the first single quotes of a message. */
static bool quoted(const char *message, char *text, size_t size)
{
    const char *start = strchr(message, '\'');
    const char *end = start ? strchr(start + 1, '\'') : NULL;

    if (!end || (size_t)(end - start) > size)
        return false;
    (void)snprintf(text, size, "%.*s", (int)(end - start - 1), start + 1); /* fits */
    return true;
}

/* Messages name what they are about from the outside in: "variant 'a': property 'b': 'name' is
 * missing". */
static const struct {
    const char *says;
    const char *list;   /* holds it, by its `key` */
    const char *inside; /* which is in this object */
} named[] = {
    { "variant '", "variants", NULL },
    { "property '", "properties", NULL },
    { "firewall rule '", "rules", "firewall_config" },
};

static const bvi_json *with_key(const bvi_json *list, const char *key)
{
    bvi_json_each(item, list) {
        const char *own = bvi_json_type_of(item) == BVI_JSON_OBJECT
                              ? bvi_json_string(bvi_json_find(item, "key"))
                              : NULL;

        if (own && strcmp(own, key) == 0)
            return item;
    }
    return NULL;
}

/* The part of the document that one message leads to, beginning at a node. */
static const bvi_json *follow(const bvi_json *root, const bvi_json *node, const char *message)
{
    char name[128];

    if (!quoted(message, name, sizeof(name)))
        return node;
    for (size_t i = 0; i < BVI_COUNT(named); i++) {
        const bvi_json *holder = named[i].inside ? bvi_json_find(node, named[i].inside) : node;
        const bvi_json *found;

        if (strncmp(message, named[i].says, strlen(named[i].says)) != 0)
            continue;
        found = with_key(bvi_json_find(holder, named[i].list), name);
        if (!found) /* a variant that has the image's */
            found = with_key(
                bvi_json_find(named[i].inside ? bvi_json_find(root, named[i].inside) : root,
                              named[i].list),
                name);
        return found ? found : node;
    }
    if (bvi_json_type_of(node) == BVI_JSON_OBJECT && bvi_json_find(node, name))
        return bvi_json_find(node, name);
    return node;
}

static bvi_spot spot_of_error(const image_check *c, const bvi_json *root, const bv_error *image_err)
{
    const bvi_json *node = root;
    bvi_spot spot = { BVI_REPORT_IMAGE, 0, 0 };

    for (const bv_error *e = image_err; e; e = bv_error_cause(e)) {
        const char *at = strstr(bv_error_message(e), "line ");

        if (at && sscanf(at, "line %u, column %u", &spot.line, &spot.column) == 2)
            return spot;
        node = root ? follow(root, node, bv_error_message(e)) : NULL;
    }
    return node && node != root ? spot_of(c, node) : spot;
}

/* ---- findings ---- */

static void report_broken(image_check *c, const bvi_json *root, const bv_error *image_err)
{
    const bv_error *cause = image_err;
    bvi_auto_free char *text = NULL;

    /* The outer ones say which file it is, and so does the finding. */
    while (bv_error_cause(cause) && (strstr(bv_error_message(cause), "babel.yaml")))
        cause = bv_error_cause(cause);
    text = bvi_error_text(cause);
    bvi_report_add(&c->check->report, BVI_RULE_IMAGE, BVI_REPORT_ALL,
                   spot_of_error(c, root, image_err), "%s", text ? text : "cannot be read");
}

static void on_unknown(void *data, const char *path, const bvi_json *node, const bvi_near *near)
{
    image_check *c = data;
    char hint[BVI_CHECK_HINT_MAX];

    bvi_report_add(&c->check->report, BVI_RULE_IMAGE_KEY, BVI_REPORT_ALL, spot_of(c, node),
                   "unknown key '%s' is ignored%s", path, bvi_check_hint(near->best, hint));
}

static void check_rules(image_check *c, const bvi_json *holder)
{
    bvi_json_each(item, bvi_json_find(bvi_json_find(holder, "firewall_config"), "rules")) {
        const char *key = bvi_json_string(bvi_json_find(item, "key"));

        if (!bvi_json_first(bvi_json_find(item, "ports")))
            bvi_report_add(&c->check->report, BVI_RULE_OPEN_PORTS, BVI_REPORT_ALL, spot_of(c, item),
                           "firewall rule '%s' names no ports: it is about all of them",
                           key ? key : "");
    }
}

static void check_document(image_check *c, const bvi_json *root)
{
    const bvi_shape_sink sink = { .unknown = on_unknown, .data = c };

    if (bvi_json_type_of(root) != BVI_JSON_OBJECT)
        return;
    if (bvi_shape_check(image_fields, root, &sink) < 0)
        c->check->report.no_memory = true;
    if (!c->check->ws->image)
        return;
    check_rules(c, root);
    bvi_json_each(variant, bvi_json_find(root, "variants"))
        check_rules(c, variant);
}

void bvi_check_image(bvi_check *check, const bv_error *image_err)
{
    image_check c = { .check = check, .marks = BVI_YAML_MARKS_INIT };
    bvi_auto_json bvi_json *root = NULL;
    bvi_auto_free char *text = NULL;
    size_t len = 0;

    if (!check->ws->image_path)
        return;
    if (bvi_fs_read(check->ws->image_path, BVI_YAML_BYTES_MAX, &text, &len, NULL) == 0)
        (void)bvi_yaml_parse_marked(text, len, &root, &c.marks, NULL); /* image_err tells why not */
    if (image_err)
        report_broken(&c, root, image_err);
    check_document(&c, root);
    bvi_vec_done(&c.marks);
}
