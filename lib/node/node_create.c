/*
 * node_create.c - making a node from an image (spec host.md 9.1).
 *
 * The node's directory and state file, with the intent "create", come first; a crash before the end
 * leaves a directory that the next start removes.
 */
#include <string.h>

#include "node/node.h"
#include "node/node_make.h"
#include "sys/fs.h"

static bool name_taken(const char *name, void *data)
{
    return bvi_manager_find(data, name) != NULL;
}

static int make_state(bvi_manager *manager, const bvi_json *args, bvi_node_state *state,
                      bv_error **err)
{
    bvi_node_make from = { .name_taken = name_taken, .data = manager };
    const bvi_image *image;
    const char *image_name = NULL;
    int r = bvi_json_get_string(args, "image", &image_name, err);

    if (r < 0)
        return r;
    image = bvi_image_store_find(manager->opts.images, image_name);
    if (!image)
        return bvi_fail(err, BV_E_NOT_FOUND, "image '%s' is not in the store; see `bv image ls`",
                        image_name);
    from.image_id = bvi_image_id(image);
    from.image_name = bvi_image_name(image);
    from.meta = bvi_image_meta_of(image);
    from.created_at = bvi_ctx_wall_us(manager->ctx) / 1000000;
    return bvi_node_make_state(&from, args, state, err);
}

void bvi_manager_create(bvi_manager *manager, const bvi_json *args, bvi_reply *reply)
{
    bvi_node_state state;
    bvi_node *node = NULL;
    bv_error *err = NULL;
    int r;

    bvi_node_state_init(&state);
    r = make_state(manager, args, &state, &err);
    if (r == 0)
        r = bvi_node_new(manager, &state, &node, &err);
    if (r == 0) {
        r = bvi_manager_register(manager, node, &err);
        if (r < 0)
            bvi_node_free(node);
    }
    bvi_node_state_done(&state);
    if (r < 0) {
        (void)bvi_wrap(&err, r, "cannot create node"); /* the code stays */
        bvi_reply_fail(reply, err);
        return;
    }
    bvi_activity_begin(node, &bvi_create_sequence, false, reply);
}

/* ---- steps ---- */

/* The state file's own directory is synced with it; that the directory exists must survive as well.
 */
static int make_dirs(bvi_node *node, bv_error **err)
{
    int r = bvi_step_make_dirs(node, err);

    if (r < 0)
        return r;
    r = bvi_fs_sync_dir(node->manager->opts.paths->nodes_dir, err);
    return r < 0 ? r : BVI_STEP_DONE;
}

static int finish(bvi_node *node, bv_error **err)
{
    node->state.intent = BVI_INTENT_NONE;
    return bvi_step_save(node, err);
}

static const bvi_step create_steps[] = {
    { "make its directories", make_dirs },
    { "record that it is being made", bvi_step_save },
    { "load its plugin", bvi_step_load_plugin },
    { "prepare its root", bvi_step_prepare_root },
    { "write its environment", bvi_step_write_env },
    { "record that it exists", finish },
    { NULL, NULL },
};

/* Nothing was ever written there by the node: small enough to remove here. */
static int remove_dir(bvi_node *node, bv_error **err)
{
    int r = node->upload_bind ? bvi_fs_remove_tree(node->upload_bind, err) : 0;

    if (r == 0)
        r = bvi_fs_remove_tree(node->paths.dir, err);
    return r < 0 ? r : BVI_STEP_DONE;
}

static const bvi_step undo_steps[] = {
    { "remove its container", bvi_step_remove_container },
    { "remove its directory", remove_dir },
    { NULL, NULL },
};

static bvi_json *created(bvi_node *node, const bv_error *err)
{
    if (err) {
        if (!bvi_activity_is_followed(node)) /* by its deletion */
            bvi_manager_forget(node->manager, node);
        return NULL;
    }
    bvi_log_full(node->ctx, BV_LOG_INFO, "node", node->state.id, NULL,
                 "created as '%s' from image '%s'", node->state.name, node->state.image_uri);
    bvi_events_add(node->manager->opts.events, "node_created", node->state.name, NULL,
                   "created from image %s", node->state.image_uri);
    return bvi_node_json(node);
}

const bvi_sequence bvi_create_sequence = { .name = "create",
                                           .steps = create_steps,
                                           .undo = undo_steps,
                                           .finished = created,
                                           .frees_on_failure = true };
