/*
 * fake_images.c - images of a fake host: their definitions only, no root file systems.
 */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "base/blake3.h"
#include "base/hex.h"
#include "base/yaml.h"
#include "host/fake.h"
#include "sys/fs.h"

/* A prefix of an id counts from so many characters on. */
#define PREFIX_MIN 8u
/* What an image is said to take. */
#define IMAGE_BYTES 4194304u
#define IMAGE_FILES 12u

/* The image that is always there; also what an import without a babel.yaml becomes. */
static const char built_in[] = "version: 1.0.0\n"
                               "container_uri: docker://example.org/fake/fake-main:1.0.0\n"
                               "protocol_key: fake\n"
                               "org_id: null\n"
                               "description: A chain that counts\n"
                               "visibility: public\n"
                               "firewall_config:\n"
                               "  default_in: deny\n"
                               "  default_out: allow\n"
                               "  rules: []\n"
                               "properties:\n"
                               "  - key: block-ms\n"
                               "    name: Block time\n"
                               "    description: Milliseconds between two blocks\n"
                               "    dynamic_value: true\n"
                               "    default_value: \"200\"\n"
                               "    ui_type: !text\n"
                               "variants:\n"
                               "  - key: fake-main\n"
                               "    sku_code: FAKE-MAIN-F\n"
                               "    archive_pointers:\n"
                               "      - pointer: !store_key fake-main-v1\n"
                               "    min_cpu: 1\n"
                               "    min_memory_mb: 16\n"
                               "    min_disk_gb: 1\n"
                               "  - key: fake-test\n"
                               "    sku_code: FAKE-TEST-F\n"
                               "    archive_pointers: []\n"
                               "    min_cpu: 1\n"
                               "    min_memory_mb: 16\n"
                               "    min_disk_gb: 1\n";

static void image_free(bvi_fake_image *image)
{
    if (!image)
        return;
    bvi_free(image->id);
    bvi_free(image->name);
    bvi_free(image->source);
    bvi_image_meta_free(image->meta);
    bvi_free(image);
}
BVI_DEFINE_FREEP(bvi_fake_image, image_free)

void bvi_fake_images_done(bvi_fake *fake)
{
    for (size_t i = 0; i < fake->images.len; i++)
        image_free(fake->images.items[i]);
    bvi_vec_done(&fake->images);
}

/* ---- looking ---- */

static bvi_json *image_json(const bvi_fake_image *image)
{
    bvi_auto_json bvi_json *root = bvi_json_new_object();
    bvi_json *variants = NULL;
    bvi_auto_free char *digest = bvi_asprintf("blake3:%s", image->id);

    if (!root || !digest || bvi_json_put_string(root, "id", image->id) < 0 ||
        bvi_json_put_string(root, "name", image->name) < 0 ||
        bvi_json_put_string(root, "version", image->meta->version) < 0 ||
        bvi_json_put_string(root, "protocol", image->meta->protocol_key) < 0 ||
        bvi_json_put_int64(root, "created_at", image->created_us / 1000000) < 0 ||
        bvi_json_put_uint64(root, "size_bytes", IMAGE_BYTES) < 0 ||
        bvi_json_put_uint64(root, "files", IMAGE_FILES) < 0 ||
        bvi_json_put_string(root, "digest", digest) < 0 ||
        bvi_json_put_string(root, "source", image->source) < 0)
        return NULL;
    variants = bvi_json_new_array();
    if (bvi_json_put(root, "variants", variants) < 0)
        return NULL;
    for (size_t i = 0; i < image->meta->variants.len; i++) {
        if (bvi_json_add(variants, bvi_json_new_string(image->meta->variants.items[i].key)) < 0)
            return NULL;
    }
    return bvi_take(root);
}

/* How well a key names an image: 3 wholly, 2 by the beginning of its id, 1 by its name without the
 * version, 0 not. */
static int fits(const bvi_fake_image *image, const char *key)
{
    size_t len = strlen(key);

    if (strcmp(image->id, key) == 0 || strcmp(image->name, key) == 0)
        return 3;
    if (len >= PREFIX_MIN && strncmp(image->id, key, len) == 0)
        return 2;
    return strncmp(image->name, key, len) == 0 && image->name[len] == ':' ? 1 : 0;
}

const bvi_fake_image *bvi_fake_image_find(const bvi_fake *fake, const char *key)
{
    const bvi_fake_image *found = NULL;
    int best = 0;

    for (size_t i = 0; i < fake->images.len; i++) {
        const bvi_fake_image *image = fake->images.items[i];
        int fit = fits(image, key);

        /* Of several versions the one created last. */
        if (fit > best || (fit && fit == best && image->created_us >= found->created_us)) {
            found = image;
            best = fit;
        }
    }
    return found;
}

void bvi_fake_image_list(bvi_fake *fake, const bvi_json *args, bvi_reply *reply)
{
    bvi_auto_json bvi_json *root = bvi_json_new_object();
    bvi_json *list = root ? bvi_json_new_array() : NULL;
    int r = root ? bvi_json_put(root, "images", list) : BV_E_NOMEM;

    for (size_t i = 0; r == 0 && i < fake->images.len; i++)
        r = bvi_json_add(list, image_json(fake->images.items[i]));
    bvi_reply_ok(reply, r == 0 ? bvi_take(root) : NULL);
}

/* ---- adding ---- */

static int set_id(bvi_fake_image *image, const char *definition, size_t len, bv_error **err)
{
    uint8_t digest[BVI_BLAKE3_SIZE];
    bvi_blake3 h;

    bvi_blake3_init(&h);
    bvi_blake3_update(&h, definition, len);
    bvi_blake3_update(&h, image->source, strlen(image->source));
    bvi_blake3_final(&h, digest);
    image->id = bvi_malloc(BVI_HEX_SIZE(sizeof(digest)));
    if (!image->id)
        return bvi_fail_nomem(err);
    bvi_hex_encode(digest, sizeof(digest), image->id);
    return 0;
}

static int image_new(bvi_fake *fake, const char *definition, size_t len, const char *source,
                     const char *name, bvi_fake_image **ret_image, bv_error **err)
{
    BVI_AUTO(image_freep) bvi_fake_image *image = bvi_new0(bvi_fake_image);
    int r;

    if (!image)
        return bvi_fail_nomem(err);
    r = bvi_image_meta_parse(definition, len, &image->meta, err);
    if (r < 0)
        return r;
    image->created_us = bvi_ctx_wall_us(fake->base.ctx);
    image->source = bvi_strdup(source);
    image->name = name ? bvi_strdup(name)
                       : bvi_asprintf("%s/%s:%s", image->meta->protocol_key,
                                      image->meta->variants.items[0].key, image->meta->version);
    if (!image->source || !image->name)
        return bvi_fail_nomem(err);
    r = set_id(image, definition, len, err);
    if (r == 0)
        *ret_image = bvi_take(image);
    return r;
}

/* Owns image. The same content is there once: then the one that was there is given. */
static int add_image(bvi_fake *fake, bvi_fake_image *image, const bvi_fake_image **ret_image,
                     bv_error **err)
{
    bvi_fake_image **slot;
    size_t at = 0;

    for (size_t i = 0; i < fake->images.len; i++) {
        if (strcmp(fake->images.items[i]->id, image->id) == 0) {
            image_free(image);
            *ret_image = fake->images.items[i];
            return 0;
        }
    }
    slot = bvi_vec_push(&fake->images);
    if (!slot) {
        image_free(image);
        return fake->images.len == BVI_FAKE_IMAGES_MAX
                   ? bvi_fail(err, BV_E_LIMIT, "the store holds %u images already",
                              BVI_FAKE_IMAGES_MAX)
                   : bvi_fail_nomem(err);
    }
    for (at = fake->images.len - 1;
         at > 0 && strcmp(fake->images.items[at - 1]->name, image->name) > 0; at--)
        fake->images.items[at] = fake->images.items[at - 1];
    fake->images.items[at] = image;
    *ret_image = image;
    return 0;
}

int bvi_fake_images_init(bvi_fake *fake, bv_error **err)
{
    const bvi_fake_image *added = NULL;
    bvi_fake_image *image = NULL;
    int r =
        image_new(fake, built_in, sizeof(built_in) - 1, "built in", BVI_FAKE_IMAGE, &image, err);

    return r < 0 ? r : add_image(fake, image, &added, err);
}

/* The babel.yaml of what is imported, where images may have it; *ret_text stays NULL when there is
 * none. */
static int read_definition(const char *path, char **ret_text, size_t *ret_len, bv_error **err)
{
    static const char *const places[] = { "babel.yaml", "var/lib/babel/babel.yaml" };

    for (size_t i = 0; i < BVI_COUNT(places); i++) {
        bvi_auto_free char *file = bvi_path_join(path, places[i], NULL);

        if (!file)
            return bvi_fail_nomem(err);
        if (bvi_fs_exists(file))
            return bvi_fs_read(file, BVI_YAML_BYTES_MAX, ret_text, ret_len, err);
    }
    return 0;
}

/* "fake/<last part of the path>:1.0.0" for what has no definition of its own. */
static char *name_after(const char *path)
{
    const char *slash = strrchr(path, '/');
    const char *base = slash && slash[1] ? slash + 1 : "image";

    return bvi_asprintf("fake/%s:1.0.0", base);
}

static int import(bvi_fake *fake, const char *path, const char *name,
                  const bvi_fake_image **ret_image, bv_error **err)
{
    bvi_auto_free char *text = NULL;
    bvi_auto_free char *made_up = NULL;
    bvi_fake_image *image = NULL;
    struct stat st;
    size_t len = 0;
    int r;

    if (stat(path, &st) < 0)
        return bvi_fail_sys(err, errno, "cannot look at it");
    r = read_definition(path, &text, &len, err);
    if (r < 0)
        return r;
    if (!text && !name) {
        made_up = name_after(path);
        if (!made_up)
            return bvi_fail_nomem(err);
    }
    r = image_new(fake, text ? text : built_in, text ? len : sizeof(built_in) - 1, path,
                  name ? name : made_up, &image, err);
    return r < 0 ? r : add_image(fake, image, ret_image, err);
}

static bvi_json *import_finish(bvi_fake_work *work, bv_error **err)
{
    const bvi_fake_image *image = NULL;
    int r = import(work->fake, work->text, work->name, &image, err);

    if (r < 0) {
        (void)bvi_wrap(err, r, "cannot import '%s'", work->text); /* the code stays */
        return NULL;
    }
    return image_json(image);
}

static const bvi_fake_work_kind import_kind = {
    .name = "import", .phase = "copy", .is_dropped = true, .finish = import_finish
};

void bvi_fake_image_import(bvi_fake *fake, const bvi_json *args, bvi_reply *reply)
{
    const char *path = bvi_json_string(bvi_json_find(args, "path"));
    const char *name = bvi_json_string(bvi_json_find(args, "name"));
    bvi_auto_free char *path_copy = bvi_strdup(path);
    bvi_auto_free char *name_copy = bvi_strdup(name);
    bvi_fake_work *work;

    if (path[0] != '/') {
        bvi_reply_failf(reply, BV_E_INVALID, "'%s' is not an absolute path", path);
        return;
    }
    if (!path_copy || (name && !name_copy)) {
        bvi_reply_ok(reply, NULL);
        return;
    }
    work = bvi_fake_work_begin(fake, NULL, &import_kind, reply);
    if (!work)
        return;
    work->text = bvi_take(path_copy);
    work->name = bvi_take(name_copy);
    work->total_bytes = IMAGE_BYTES;
    bvi_fake_work_join(work, reply);
}

/* ---- removing ---- */

static bool in_use(const bvi_fake *fake, const bvi_fake_image *image)
{
    for (size_t i = 0; i < fake->nodes.len; i++) {
        if (strcmp(fake->nodes.items[i]->state.image_id, image->id) == 0)
            return true;
    }
    return false;
}

void bvi_fake_image_remove(bvi_fake *fake, const bvi_json *args, bvi_reply *reply)
{
    const char *key = bvi_json_string(bvi_json_find(args, "image"));
    const bvi_fake_image *image = bvi_fake_image_find(fake, key);

    if (!image) {
        bvi_reply_failf(reply, BV_E_NOT_FOUND, "there is no image '%s' in the store", key);
        return;
    }
    if (in_use(fake, image)) {
        bvi_reply_failf(reply, BV_E_BUSY, "image '%s' is used by a node: delete the node first",
                        image->name);
        return;
    }
    for (size_t i = 0; i < fake->images.len; i++) {
        if (fake->images.items[i] == image) {
            image_free(fake->images.items[i]);
            bvi_vec_remove(&fake->images, i);
            break;
        }
    }
    bvi_reply_ok_empty(reply);
}
