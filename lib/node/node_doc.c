/*
 * node_doc.c - the node document of blockvisor/node.h.
 */
#include "node/node_doc.h"

static int put_image(bvi_json *root, const bvi_node_state *s)
{
    bvi_json *image = bvi_json_new_object();

    if (bvi_json_put(root, "image", image) < 0)
        return BV_E_NOMEM;
    if (bvi_json_put_string(image, "id", s->image_id) < 0 ||
        bvi_json_put_string(image, "name", s->image_uri) < 0 ||
        bvi_json_put_string(image, "version", s->image_version) < 0 ||
        bvi_json_put_string(image, "protocol", s->protocol_key) < 0 ||
        bvi_json_put_string(image, "variant", s->variant_key) < 0)
        return BV_E_NOMEM;
    return 0;
}

static int put_times(bvi_json *root, const bvi_node_state *s, const bvi_node_now *now)
{
    bool up = s->started_at >= 0 && now->pid > 0;

    if (bvi_json_put_int64(root, "created_at", s->created_at) < 0 ||
        bvi_json_put(root, "started_at",
                     up ? bvi_json_new_int64(s->started_at) : bvi_json_new_null()) < 0 ||
        bvi_json_put(root, "uptime_s",
                     up ? bvi_json_new_int64(now->wall_s - s->started_at) : bvi_json_new_null()) <
            0 ||
        bvi_json_put(root, "pid",
                     now->pid > 0 ? bvi_json_new_int64(now->pid) : bvi_json_new_null()) < 0)
        return BV_E_NOMEM;
    return 0;
}

bvi_json *bvi_node_state_json(const bvi_node_state *s, const bvi_node_now *now)
{
    bvi_auto_json bvi_json *root = bvi_json_new_object();

    if (!root || bvi_json_put_string(root, "id", s->id) < 0 ||
        bvi_json_put_string(root, "name", s->name) < 0 || put_image(root, s) < 0 ||
        bvi_json_put_string(root, "status", now->status) < 0 ||
        bvi_json_put_string(root, "work", now->work) < 0 ||
        bvi_json_put_string(root, "expected_status", bvi_expected_name(s->expected)) < 0 ||
        bvi_json_put_bool(root, "initialized", s->initialized) < 0 ||
        bvi_json_put_string(root, "network", s->network) < 0 ||
        bvi_json_put_string(root, "ip", s->ip) < 0 ||
        bvi_json_put_string(root, "store_key", s->store_key) < 0 ||
        bvi_json_put_string(root, "plugin_dir", s->plugin_dir) < 0 || put_times(root, s, now) < 0 ||
        bvi_json_put(root, "properties",
                     s->properties ? bvi_json_copy(s->properties) : bvi_json_new_object()) < 0 ||
        bvi_json_put(root, "tags", s->tags ? bvi_json_copy(s->tags) : bvi_json_new_array()) < 0 ||
        bvi_json_put_string(root, "problem", s->problem) < 0 ||
        bvi_json_put(root, "metrics",
                     now->metrics ? bvi_json_copy(now->metrics) : bvi_json_new_null()) < 0)
        return NULL;
    return bvi_take(root);
}
