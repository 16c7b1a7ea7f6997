/*
 * image_entry.c - one image in the store: its document, loaded and saved.
 */
#include <string.h>

#include "base/yaml.h"
#include "image/store_impl.h"
#include "sys/fs.h"

#define FORMAT_VERSION 1
/* A document lists the variants' keys and a few numbers. */
#define DOCUMENT_MAX (1024u * 1024u)

void bvi_image_free(bvi_image *image)
{
    if (!image)
        return;
    bvi_free(image->id);
    bvi_free(image->name);
    bvi_free(image->source);
    bvi_free(image->root);
    bvi_image_meta_free(image->meta);
    bvi_free(image);
}

bool bvi_image_id_valid(const char *id)
{
    return strlen(id) == BVI_IMAGE_ID_LEN && strspn(id, "0123456789abcdef") == BVI_IMAGE_ID_LEN;
}

bool bvi_image_name_valid(const char *name)
{
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._/:+-";
    size_t len = strlen(name);

    return len > 0 && len <= BVI_IMAGE_NAME_MAX && strspn(name, allowed) == len &&
           strchr("./:-+", name[0]) == NULL;
}

/* ---- loading ---- */

static int copy_string(const bvi_json *root, const char *key, char **ret_text, bv_error **err)
{
    const char *text = NULL;
    int r = bvi_json_get_string(root, key, &text, err);

    if (r < 0)
        return r;
    *ret_text = bvi_strdup(text);
    return *ret_text ? 0 : bvi_fail_nomem(err);
}

static int read_document(const char *path, bvi_image *image, bv_error **err)
{
    bvi_auto_json bvi_json *root = NULL;
    int64_t format = 0;
    int r = bvi_fs_read_json(path, DOCUMENT_MAX, &root, err);

    if (r == 0)
        r = bvi_json_get_int64(root, "format", &format, err);
    if (r == 0 && format != FORMAT_VERSION)
        return bvi_fail(err, BV_E_FORMAT, "'%s': format %lld is not known to this program", path,
                        (long long)format);
    if (r == 0)
        r = copy_string(root, "name", &image->name, err);
    if (r == 0)
        r = copy_string(root, "source", &image->source, err);
    if (r == 0)
        r = bvi_json_get_int64(root, "created_us", &image->created_us, err);
    if (r == 0)
        r = bvi_json_get_uint64(root, "size_bytes", &image->size_bytes, err);
    if (r == 0)
        r = bvi_json_get_uint64(root, "files", &image->files, err);
    return r < 0 ? bvi_wrap(err, r, "image document '%s'", path) : 0;
}

static int read_definition(const char *path, bvi_image *image, bv_error **err)
{
    bvi_auto_free char *text = NULL;
    size_t len = 0;
    int r = bvi_fs_read(path, BVI_YAML_BYTES_MAX, &text, &len, err);

    return r < 0 ? r : bvi_image_meta_parse(text, len, &image->meta, err);
}

int bvi_image_load(const char *dir, const char *id, bvi_image **ret_image, bv_error **err)
{
    BVI_AUTO(bvi_image_freep) bvi_image *image = bvi_new0(bvi_image);
    bvi_auto_free char *document = bvi_path_join(dir, id, "image.json", NULL);
    bvi_auto_free char *definition = bvi_path_join(dir, id, "babel.yaml", NULL);
    int r;

    if (!image || !document || !definition)
        return bvi_fail_nomem(err);
    image->id = bvi_strdup(id);
    image->root = bvi_path_join(dir, id, "root", NULL);
    if (!image->id || !image->root)
        return bvi_fail_nomem(err);
    r = read_document(document, image, err);
    if (r == 0)
        r = read_definition(definition, image, err);
    if (r == 0 && !bvi_fs_is_dir(image->root))
        r = bvi_fail(err, BV_E_NOT_FOUND, "the root file system '%s' is missing", image->root);
    if (r < 0)
        return bvi_wrap(err, r, "image '%s'", id);
    *ret_image = bvi_take(image);
    return 0;
}

/* ---- documents ---- */

static bvi_json *variant_keys(const bvi_image_meta *meta)
{
    bvi_json *list = bvi_json_new_array();

    for (size_t i = 0; list && i < meta->variants.len; i++) {
        if (bvi_json_add(list, bvi_json_new_string(meta->variants.items[i].key)) < 0) {
            bvi_json_free(list);
            return NULL;
        }
    }
    return list;
}

bvi_json *bvi_image_json(const bvi_image *image)
{
    bvi_auto_json bvi_json *root = bvi_json_new_object();
    bvi_auto_free char *digest = bvi_asprintf("blake3:%s", image->id);

    if (!root || !digest || bvi_json_put_string(root, "id", image->id) < 0 ||
        bvi_json_put_string(root, "name", image->name) < 0 ||
        bvi_json_put_string(root, "version", image->meta->version) < 0 ||
        bvi_json_put_string(root, "protocol", image->meta->protocol_key) < 0 ||
        bvi_json_put(root, "variants", variant_keys(image->meta)) < 0 ||
        bvi_json_put_int64(root, "created_at", image->created_us / 1000000) < 0 ||
        bvi_json_put_uint64(root, "size_bytes", image->size_bytes) < 0 ||
        bvi_json_put_uint64(root, "files", image->files) < 0 ||
        bvi_json_put_string(root, "digest", digest) < 0 ||
        bvi_json_put_string(root, "source", image->source) < 0)
        return NULL;
    return bvi_take(root);
}

int bvi_image_save(const bvi_image *image, const char *dir, const char *yaml, size_t yaml_len,
                   bv_error **err)
{
    bvi_auto_json bvi_json *root = bvi_image_json(image);
    bvi_auto_free char *document = bvi_path_join(dir, "image.json", NULL);
    bvi_auto_free char *definition = bvi_path_join(dir, "babel.yaml", NULL);
    int r;

    if (!root || !document || !definition ||
        bvi_json_put_int64(root, "format", FORMAT_VERSION) < 0 ||
        bvi_json_put_int64(root, "created_us", image->created_us) < 0)
        return bvi_fail_nomem(err);
    r = bvi_fs_replace(definition, yaml, yaml_len, 0644, err);
    return r < 0 ? r : bvi_fs_replace_json(document, root, 0644, err);
}

const char *bvi_image_id(const bvi_image *image)
{
    return image->id;
}

const char *bvi_image_name(const bvi_image *image)
{
    return image->name;
}

const char *bvi_image_root(const bvi_image *image)
{
    return image->root;
}

const bvi_image_meta *bvi_image_meta_of(const bvi_image *image)
{
    return image->meta;
}
