/*
 * image_import.c - bringing an image into the store.
 *
 * Three steps. cp or tar unpacks into a temporary directory, as a child of the loop. A worker then
 * finds the definition and the plugin, digests the tree, writes the documents, and renames the
 * directory to its id: from that moment, and not before, there is an image. Back on the loop it
 * joins the list. Whatever fails leaves nothing behind.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/hex.h"
#include "image/image_layout.h"
#include "image/image_tree.h"
#include "image/store_impl.h"
#include "io/child.h"
#include "io/work.h"
#include "sys/fs.h"

/* Unpacking an image that takes longer hangs on something. */
#define UNPACK_TIMEOUT_US (INT64_C(3600) * 1000000)
#define UNPACK_OUTPUT_MAX 65536u
#define PROGRESS_US       200000

struct bvi_import {
    bvi_image_store *store; /* NULL once the store is gone */
    bvi_import *next;
    bv_ctx *ctx;
    bvi_reply *reply;
    char *store_dir;
    char *source;
    char *name;      /* wanted; NULL: from the definition */
    char *beside;    /* the directory of a bundle that is read in place; NULL */
    char *temporary; /* .import-<random>, becomes <id> */
    char *unpacked;  /* .import-<random>/unpacked: what cp or tar fills */
    char *root;      /* .import-<random>/root */
    int64_t created_us;
    bool is_tar;
    bvi_child *child;
    bvi_work work;
    bvi_timer *timer;
    bvi_tree_progress progress;
    bv_error *error;
    bvi_image *image; /* what the worker made or found */
    bool tidied;      /* the temporary directory is no more */
};

static void import_free(bvi_import *im)
{
    bvi_timer_free(im->timer);
    bvi_free(im->store_dir);
    bvi_free(im->source);
    bvi_free(im->name);
    bvi_free(im->beside);
    bvi_free(im->temporary);
    bvi_free(im->unpacked);
    bvi_free(im->root);
    bv_error_free(im->error);
    bvi_image_free(im->image);
    bvi_free(im);
}

static void unlink_import(bvi_import *im)
{
    if (!im->store)
        return;
    for (bvi_import **at = &im->store->imports; *at; at = &(*at)->next) {
        if (*at == im) {
            *at = im->next;
            break;
        }
    }
    im->store = NULL;
}

static void cancel_import(void *data)
{
    bvi_import *im = data;

    atomic_store(&im->progress.cancel, true);
    if (im->child)
        bvi_child_cancel(im->child);
}

void bvi_import_detach(bvi_import *im)
{
    unlink_import(im);
    cancel_import(im);
}

/* ---- in a worker ---- */

/* A tar may hold either form; a directory was looked at before it was copied. */
static int settle_root(bvi_import *im, bv_error **err)
{
    bvi_auto_free char *inner = bvi_path_join(im->unpacked, "root", NULL);

    if (!inner)
        return bvi_fail_nomem(err);
    if (im->is_tar && bvi_image_is_bundle(im->unpacked)) {
        im->beside = bvi_strdup(im->unpacked);
        if (!im->beside)
            return bvi_fail_nomem(err);
        return bvi_fs_rename(inner, im->root, err);
    }
    return bvi_fs_rename(im->unpacked, im->root, err);
}

static int name_image(const bvi_import *im, bvi_image *image, bv_error **err)
{
    image->name = im->name ? bvi_strdup(im->name)
                           : bvi_asprintf("%s/%s:%s", image->meta->protocol_key,
                                          bvi_image_meta_variant(image->meta, NULL)->key,
                                          image->meta->version);
    image->source = bvi_strdup(im->source);
    image->root = bvi_path_join(im->store_dir, image->id, "root", NULL);
    image->created_us = im->created_us;
    return image->name && image->source && image->root ? 0 : bvi_fail_nomem(err);
}

static int digest_image(bvi_import *im, bvi_image *image, bv_error **err)
{
    bvi_tree_result tree = { 0 };
    int r = bvi_tree_digest(im->root, &im->progress, &tree, err);

    if (r < 0)
        return r;
    image->id = bvi_malloc(BVI_HEX_SIZE(BVI_BLAKE3_SIZE));
    if (!image->id)
        return bvi_fail_nomem(err);
    bvi_hex_encode(tree.digest, sizeof(tree.digest), image->id);
    image->size_bytes = tree.bytes;
    image->files = tree.files;
    return 0;
}

/* Everything of the tree on the disk before its name says that it is whole. */
static int sync_store(const char *dir, bv_error **err)
{
    bvi_auto_close int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0 || syncfs(fd) < 0)
        return bvi_fail_sys(err, errno, "cannot write '%s' out to the disk", dir);
    return 0;
}

/* One of that id that cannot be loaded is set aside: the new one is as good as it ever was. */
static int set_damaged_aside(const bvi_import *im, const char *path, bv_error **err)
{
    bvi_auto_free char *aside = NULL;
    int r = bvi_image_store_temporary(im->store_dir, ".damaged-", &aside, err);

    return r < 0 ? r : bvi_fs_rename(path, aside, err);
}

static int publish(bvi_import *im, bvi_image **image, const char *yaml, size_t len, bv_error **err)
{
    bvi_auto_free char *path = bvi_path_join(im->store_dir, (*image)->id, NULL);
    bvi_image *existing = NULL;
    int r = 0;

    if (!path)
        return bvi_fail_nomem(err);
    if (bvi_fs_is_dir(path)) {
        if (bvi_image_load(im->store_dir, (*image)->id, &existing, NULL) == 0) {
            bvi_image_free(*image);
            *image = existing;
            return 0;
        }
        r = set_damaged_aside(im, path, err);
    }
    if (r == 0)
        r = bvi_image_save(*image, im->temporary, yaml, len, err);
    if (r == 0)
        r = bvi_fs_remove_tree(im->unpacked, err);
    if (r == 0)
        r = sync_store(im->temporary, err);
    if (r == 0)
        r = bvi_fs_rename(im->temporary, path, err);
    if (r == 0)
        im->tidied = true;
    return r;
}

static int make_image(bvi_import *im, bv_error **err)
{
    BVI_AUTO(bvi_image_freep) bvi_image *image = bvi_new0(bvi_image);
    bvi_auto_free char *yaml = NULL;
    size_t len = 0;
    int r = image ? settle_root(im, err) : bvi_fail_nomem(err);

    if (r == 0)
        r = bvi_image_arrange(im->root, im->beside, &yaml, &len, err);
    if (r == 0)
        r = bvi_image_meta_parse(yaml, len, &image->meta, err);
    if (r == 0)
        r = digest_image(im, image, err);
    if (r == 0)
        r = name_image(im, image, err);
    if (r == 0)
        r = publish(im, &image, yaml, len, err);
    if (r < 0)
        return r;
    im->image = bvi_take(image);
    return 0;
}

static void work_on_import(void *data)
{
    bvi_import *im = data;

    if (!im->error && atomic_load(&im->progress.cancel))
        (void)bvi_fail(&im->error, BV_E_CANCELLED, "cancelled"); /* the error tells */
    if (!im->error)
        (void)make_image(im, &im->error);
    if (!im->tidied)
        (void)bvi_fs_remove_tree(im->temporary, NULL); /* what stays goes at the next opening */
}

/* ---- on the loop ---- */

/* Gives the image of the list: the one that was there before, or the new one. An image has one
 * name, so asking for content that is here under another one is told rather than passed over. */
static int join_list(bvi_import *im, const bvi_image **ret_image, bv_error **err)
{
    const char *id = im->image->id;
    const bvi_image *known = NULL;
    int r = 0;

    for (size_t i = 0; i < im->store->images.len && !known; i++) {
        if (strcmp(im->store->images.items[i]->id, id) == 0)
            known = im->store->images.items[i];
    }
    if (im->name && strcmp((known ? known : im->image)->name, im->name) != 0)
        return bvi_fail(err, BV_E_EXISTS, "the same content is in the store as '%s': use that name",
                        (known ? known : im->image)->name);
    if (!known) {
        known = im->image;
        r = bvi_image_store_add(im->store, bvi_take(im->image), err);
    }
    if (r == 0)
        *ret_image = known;
    return r;
}

static void finish(bvi_import *im)
{
    bvi_reply *reply = im->reply;
    const bvi_image *image = NULL;
    bvi_json *document = NULL;
    bv_error *err = NULL;

    if (!im->error && !im->store)
        (void)bvi_fail(&im->error, BV_E_CANCELLED,
                       "the image store was closed"); /* the error tells */
    if (!im->error && join_list(im, &image, &im->error) == 0)
        document = bvi_image_json(image);
    if (im->error)
        (void)bvi_wrap(&im->error, bv_error_code(im->error), "cannot import '%s'", im->source);
    err = bvi_take(im->error);
    unlink_import(im);
    import_free(im);
    if (err)
        bvi_reply_fail(reply, err);
    else
        bvi_reply_ok(reply, document);
}

static void work_done(void *data, bool cancelled)
{
    bvi_import *im = data;

    if (cancelled && !im->error)
        (void)bvi_fail(&im->error, BV_E_CANCELLED, "cancelled"); /* the error tells */
    finish(im);
}

/* Freed with bvi_free(). The last line of tar says that there were errors; the one before says
 * which. */
static char *describe_unpacking(const bvi_child_result *result)
{
    static const char *const summaries[] = {
        "tar: Exiting with failure status due to previous errors",
        "tar: Error is not recoverable: exiting now",
    };
    bvi_child_result shorter = *result;

    for (size_t i = 0; i < BVI_COUNT(summaries); i++) {
        size_t len = strlen(summaries[i]);
        size_t at = result->err_len > len ? result->err_len - len - 1 : 0;

        if (at > 0 && strncmp(result->err + at, summaries[i], len) == 0)
            shorter.err_len = at;
    }
    return bvi_child_describe(&shorter);
}

static void unpacked(const bvi_child_result *result, void *data)
{
    bvi_import *im = data;

    im->child = NULL;
    if (result->cancelled) {
        (void)bvi_fail(&im->error, BV_E_CANCELLED,
                       "cancelled"); /* the error tells, here and below */
    } else if (result->timed_out || result->wait_status != 0) {
        bvi_auto_free char *text = describe_unpacking(result);

        (void)bvi_fail(&im->error, BV_E_IO, "%s %s", im->is_tar ? "tar" : "cp",
                       text ? text : "failed");
    }
    bvi_work_init(&im->work, im->ctx, work_on_import, work_done, im);
    bvi_work_submit(
        &im->work); /* also after a failure: removing what was unpacked takes its time */
}

static void report(bvi_timer *timer, void *data)
{
    bvi_import *im = data;
    uint64_t total = atomic_load(&im->progress.total);
    const bv_progress progress = {
        .phase = im->child ? "unpack" : "verify",
        .done = atomic_load(&im->progress.bytes),
        .total = im->child ? 0 : total,
        .unit = "bytes",
        .eta_ms = -1,
    };

    bvi_reply_progress(im->reply, &progress);
    (void)bvi_timer_set(timer, PROGRESS_US, NULL); /* without it there is only no progress to see */
}

/* ---- starting ---- */

static int start_tar(bvi_import *im, bv_error **err)
{
    bool is_root = geteuid() == 0;
    const char *argv[16] = { "tar",
                             "--extract",
                             "--force-local",
                             "--numeric-owner",
                             "--preserve-permissions",
                             "--delay-directory-restore" };
    size_t n = 6;

    /* Names that are absolute or climb are made harmless by tar itself, links to outside are made
     * last. */
    argv[n++] = is_root ? "--same-owner" : "--no-same-owner";
    if (is_root) {
        argv[n++] = "--xattrs";
        argv[n++] = "--xattrs-include=*";
        argv[n++] =
            "--xattrs-exclude=trusted.overlay.*"; /* what an overlay believes of its layers */
    }
    argv[n++] = "--directory";
    argv[n++] = im->unpacked;
    argv[n++] = "--file";
    argv[n++] = im->source;
    const bvi_child_opts opts = {
        .argv = argv,
        .max_output = UNPACK_OUTPUT_MAX,
        .timeout_us = UNPACK_TIMEOUT_US,
        .use_path = true,
    };

    return bvi_child_run(im->ctx, &opts, unpacked, im, &im->child, err);
}

static int start_copy(bvi_import *im, bv_error **err)
{
    bvi_auto_free char *from = bvi_path_join(im->source, im->beside ? "root/." : ".", NULL);
    const char *argv[] = { "cp", "-a", "--reflink=auto", "--one-file-system",
                           "--", from, im->unpacked,     NULL };
    const bvi_child_opts opts = {
        .argv = argv,
        .max_output = UNPACK_OUTPUT_MAX,
        .timeout_us = UNPACK_TIMEOUT_US,
        .use_path = true,
    };

    return from ? bvi_child_run(im->ctx, &opts, unpacked, im, &im->child, err)
                : bvi_fail_nomem(err);
}

static int inspect_source(bvi_import *im, bv_error **err)
{
    struct stat st;

    if (im->source[0] != '/')
        return bvi_fail(err, BV_E_INVALID, "'%s' is not an absolute path", im->source);
    if (stat(im->source, &st) < 0)
        return bvi_fail_sys(err, errno, "cannot look at '%s'", im->source);
    if (!S_ISDIR(st.st_mode) && !S_ISREG(st.st_mode))
        return bvi_fail(err, BV_E_INVALID, "'%s' is neither a directory nor a tar file",
                        im->source);
    if (im->name && !bvi_image_name_valid(im->name))
        return bvi_fail(err, BV_E_INVALID, "'%s' is not an image name (protocol/variant:version)",
                        im->name);
    im->is_tar = S_ISREG(st.st_mode);
    if (im->is_tar || !bvi_image_is_bundle(im->source))
        return 0;
    im->beside = bvi_strdup(im->source);
    return im->beside ? 0 : bvi_fail_nomem(err);
}

static int fill_import(bvi_import *im, const char *path, const char *name, bv_error **err)
{
    int r;

    im->store_dir = bvi_strdup(im->store->dir);
    im->source = bvi_strdup(path ? path : "");
    im->name = bvi_strdup(name);
    if (!im->store_dir || !im->source || (name && !im->name))
        return bvi_fail_nomem(err);
    r = inspect_source(im, err);
    if (r == 0)
        r = bvi_image_store_temporary(im->store_dir, BVI_IMAGE_IMPORTING, &im->temporary, err);
    if (r < 0)
        return r;
    im->unpacked = bvi_path_join(im->temporary, "unpacked", NULL);
    im->root = bvi_path_join(im->temporary, "root", NULL);
    return im->unpacked && im->root ? 0 : bvi_fail_nomem(err);
}

static int start_import(bvi_import *im, const char *path, const char *name, bv_error **err)
{
    int r = fill_import(im, path, name, err);

    if (r == 0)
        r = bvi_timer_new(im->ctx, report, im, &im->timer, err);
    if (r == 0)
        r = bvi_fs_mkdir(im->temporary, 0700, err);
    if (r == 0)
        r = bvi_fs_mkdir(im->unpacked, 0755, err);
    if (r == 0)
        r = bvi_timer_set(im->timer, PROGRESS_US, err);
    if (r == 0)
        r = im->is_tar ? start_tar(im, err) : start_copy(im, err);
    if (r < 0 && im->temporary)
        (void)bvi_fs_remove_tree(im->temporary,
                                 NULL); /* nearly empty; what stays goes at the next opening */
    return r;
}

void bvi_image_store_import(bvi_image_store *store, const char *path, const char *name,
                            bvi_reply *reply)
{
    bvi_import *im = bvi_new0(bvi_import);
    bv_error *err = NULL;

    if (!im) {
        (void)bvi_fail_nomem(&err);
        bvi_reply_fail(reply, err);
        return;
    }
    im->store = store;
    im->ctx = store->ctx;
    im->reply = reply;
    im->created_us = bvi_ctx_wall_us(store->ctx);
    if (start_import(im, path, name, &err) < 0) {
        im->store = NULL;
        import_free(im);
        bvi_reply_fail(reply, err);
        return;
    }
    im->next = store->imports;
    store->imports = im;
    bvi_reply_on_cancel(reply, cancel_import, im);
}
