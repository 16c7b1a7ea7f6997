/*
 * image_store.c - the images of a host: opening, looking up, removing. Importing is in
 * image_import.c.
 */
#include <string.h>

#include "base/hex.h"
#include "base/id.h"
#include "image/store_impl.h"
#include "io/work.h"
#include "sys/fs.h"

#define STORE_NAMES_MAX (4u * BVI_IMAGES_MAX)
#define PREFIX_MIN      8u

/* ---- trash: trees that no longer count, removed in a worker; independent of the store ---- */

typedef struct trash {
    bvi_work work;
    bv_ctx *ctx;
    char *path;
    bvi_reply *reply; /* answered when the tree is gone; NULL */
    bv_error *error;
} trash;

static void remove_trash(void *data)
{
    trash *t = data;

    (void)bvi_fs_remove_tree(t->path, &t->error); /* the error tells */
}

static void trash_removed(void *data, bool cancelled)
{
    trash *t = data;

    (void)cancelled; /* then it is found again at the next opening */
    if (t->error)
        bvi_log_warn(t->ctx, "image", "left for the next start: %s", bv_error_message(t->error));
    if (t->reply)
        bvi_reply_ok_empty(t->reply);
    bv_error_free(t->error);
    bvi_free(t->path);
    bvi_free(t);
}

/* Owns path, and reply on success. */
static int throw_away(bv_ctx *ctx, char *path, bvi_reply *reply, bv_error **err)
{
    trash *t = path ? bvi_new0(trash) : NULL;

    if (!t) {
        bvi_free(path);
        return bvi_fail_nomem(err);
    }
    t->ctx = ctx;
    t->path = path;
    t->reply = reply;
    bvi_work_init(&t->work, ctx, remove_trash, trash_removed, t);
    bvi_work_submit(&t->work);
    return 0;
}

int bvi_image_store_temporary(const char *dir, const char *start, char **ret_path, bv_error **err)
{
    uint8_t bytes[8];
    char hex[BVI_HEX_SIZE(sizeof(bytes))];
    int r = bvi_random_bytes(bytes, sizeof(bytes), err);

    if (r < 0)
        return r;
    bvi_hex_encode(bytes, sizeof(bytes), hex);
    *ret_path = bvi_asprintf("%s/%s%s", dir, start, hex);
    return *ret_path ? 0 : bvi_fail_nomem(err);
}

/* ---- the list ---- */

static int compare(const bvi_image *a, const bvi_image *b)
{
    int by_name = strcmp(a->name, b->name);

    if (by_name)
        return by_name;
    return a->created_us < b->created_us ? -1 : a->created_us > b->created_us;
}

int bvi_image_store_add(bvi_image_store *store, bvi_image *image, bv_error **err)
{
    bvi_image **slot = bvi_vec_push(&store->images);
    size_t at = store->images.len - 1;

    if (!slot) {
        bvi_image_free(image);
        return store->images.len == BVI_IMAGES_MAX
                   ? bvi_fail(err, BV_E_LIMIT, "the store holds %u images already", BVI_IMAGES_MAX)
                   : bvi_fail_nomem(err);
    }
    for (; at > 0 && compare(store->images.items[at - 1], image) > 0; at--)
        store->images.items[at] = store->images.items[at - 1];
    store->images.items[at] = image;
    return 0;
}

size_t bvi_image_store_count(const bvi_image_store *store)
{
    return store->images.len;
}

const bvi_image *bvi_image_store_at(const bvi_image_store *store, size_t index)
{
    return index < store->images.len ? store->images.items[index] : NULL;
}

static const bvi_image *find_by_prefix(const bvi_image_store *store, const char *key)
{
    const bvi_image *found = NULL;
    size_t len = strlen(key);

    if (len < PREFIX_MIN || len > BVI_IMAGE_ID_LEN)
        return NULL;
    for (size_t i = 0; i < store->images.len; i++) {
        if (strncmp(store->images.items[i]->id, key, len) != 0)
            continue;
        if (found)
            return NULL;
        found = store->images.items[i];
    }
    return found;
}

/* The name as a whole, or all of it but the version; the latest one wins. */
static const bvi_image *find_by_name(const bvi_image_store *store, const char *key,
                                     bool without_version)
{
    const bvi_image *found = NULL;
    size_t len = strlen(key);

    for (size_t i = 0; i < store->images.len; i++) {
        const bvi_image *image = store->images.items[i];
        const char *colon = strrchr(image->name, ':');
        size_t name_len =
            without_version && colon ? (size_t)(colon - image->name) : strlen(image->name);

        if (name_len == len && strncmp(image->name, key, len) == 0 &&
            (!found || image->created_us >= found->created_us))
            found = image;
    }
    return found;
}

const bvi_image *bvi_image_store_find(const bvi_image_store *store, const char *key)
{
    const bvi_image *found = key ? find_by_prefix(store, key) : NULL;

    if (!found && key)
        found = find_by_name(store, key, false);
    if (!found && key)
        found = find_by_name(store, key, true);
    return found;
}

/* ---- removing ---- */

static void drop(bvi_image_store *store, const bvi_image *image)
{
    for (size_t i = 0; i < store->images.len; i++) {
        if (store->images.items[i] == image) {
            bvi_image_free(store->images.items[i]);
            bvi_vec_remove(&store->images, i);
            return;
        }
    }
}

static int begin_removal(bvi_image_store *store, const char *key,
                         bool (*in_use)(const char *id, void *data), void *data, bvi_reply *reply,
                         bv_error **err)
{
    const bvi_image *image = bvi_image_store_find(store, key);
    bvi_auto_free char *from = NULL;
    bvi_auto_free char *to = NULL;
    int r;

    if (!image)
        return bvi_fail(err, BV_E_NOT_FOUND, "there is no image '%s' in the store", key ? key : "");
    if (in_use && in_use(image->id, data))
        return bvi_fail(err, BV_E_BUSY, "image '%s' is used by a node: delete the node first",
                        image->name);
    from = bvi_path_join(store->dir, image->id, NULL);
    if (!from)
        return bvi_fail_nomem(err);
    r = bvi_image_store_temporary(store->dir, BVI_IMAGE_REMOVED, &to, err);
    if (r == 0)
        r = bvi_fs_rename(from, to, err); /* from here on it is removed, whatever happens */
    if (r < 0)
        return r;
    drop(store, image);
    return throw_away(store->ctx, bvi_take(to), reply, err);
}

void bvi_image_store_remove(bvi_image_store *store, const char *key,
                            bool (*in_use)(const char *id, void *data), void *data,
                            bvi_reply *reply)
{
    bv_error *err = NULL;

    if (begin_removal(store, key, in_use, data, reply, &err) < 0)
        bvi_reply_fail(reply, err);
}

/* ---- opening ---- */

static int load_one(bvi_image_store *store, const char *name, bv_error **err)
{
    bvi_auto_error bv_error *why = NULL;
    bvi_image *image = NULL;
    int r = bvi_image_load(store->dir, name, &image, &why);
    bvi_auto_free char *text = NULL;

    if (r == 0)
        return bvi_image_store_add(store, image, err);
    if (r == BV_E_NOMEM)
        return bvi_fail_nomem(err);
    text = bvi_error_text(why);
    bvi_log_warn(store->ctx, "image", "an image is passed over: %s", text ? text : name);
    return 0;
}

/* Leftovers of imports and removals that were interrupted; somebody else's imports while they hold
 * the lock. */
static int look_at(bvi_image_store *store, const char *name, bv_error **err)
{
    bool leftover = strncmp(name, BVI_IMAGE_IMPORTING, strlen(BVI_IMAGE_IMPORTING)) == 0 ||
                    strncmp(name, BVI_IMAGE_REMOVED, strlen(BVI_IMAGE_REMOVED)) == 0;

    if (leftover && store->lock_fd >= 0)
        return throw_away(store->ctx, bvi_path_join(store->dir, name, NULL), NULL, err);
    return bvi_image_id_valid(name) ? load_one(store, name, err) : 0;
}

static int load_all(bvi_image_store *store, bv_error **err)
{
    BVI_AUTO(bvi_strv_done) bvi_strv names = BVI_VEC_INIT(STORE_NAMES_MAX);
    int r = bvi_fs_list(store->dir, &names, err);

    for (size_t i = 0; i < names.len && r == 0; i++)
        r = look_at(store, names.items[i], err);
    return r;
}

static int lock_store(bvi_image_store *store, bv_error **err)
{
    bvi_auto_free char *path = bvi_path_join(store->dir, ".lock", NULL);
    bvi_auto_error bv_error *why = NULL;
    int r = path ? bvi_fs_lock(path, &store->lock_fd, &why) : bvi_fail_nomem(&why);

    /* Two users of one store are fine: only tidying up is for one alone. */
    return r == BV_E_BUSY ? 0 : bvi_error_move(err, bvi_take(why));
}

int bvi_image_store_open(bv_ctx *ctx, const char *dir, bvi_image_store **ret_store, bv_error **err)
{
    BVI_AUTO(bvi_image_store_freep) bvi_image_store *store = bvi_new0(bvi_image_store);
    int r;

    if (!store)
        return bvi_fail_nomem(err);
    store->ctx = ctx;
    store->lock_fd = -1;
    store->images.max = BVI_IMAGES_MAX;
    store->dir = bvi_strdup(dir);
    if (!store->dir)
        return bvi_fail_nomem(err);
    r = bvi_fs_mkdir(dir, 0755, err);
    if (r == 0)
        r = lock_store(store, err);
    if (r == 0)
        r = load_all(store, err);
    if (r < 0)
        return bvi_wrap(err, r, "cannot open the image store '%s'", dir);
    *ret_store = bvi_take(store);
    return 0;
}

void bvi_image_store_free(bvi_image_store *store)
{
    if (!store)
        return;
    while (store->imports)
        bvi_import_detach(store->imports);
    for (size_t i = 0; i < store->images.len; i++)
        bvi_image_free(store->images.items[i]);
    bvi_vec_done(&store->images);
    bvi_closep(&store->lock_fd);
    bvi_free(store->dir);
    bvi_free(store);
}
