/*
 * snapshot_doc.c - versions of a store as documents.
 */
#include <stdlib.h>
#include <string.h>

#include "transfer/snapshot_doc.h"

bvi_json *bvi_snapshot_json(const bvi_snapshot_info *info)
{
    bvi_auto_json bvi_json *root = bvi_json_new_object();

    if (!root || bvi_json_put_string(root, "key", info->key) < 0 ||
        bvi_json_put_uint64(root, "version", info->version) < 0 ||
        bvi_json_put_string(root, "format",
                            info->format == BVI_STORE_SNAPSHOT ? "snapshot" : "archive") < 0 ||
        bvi_json_put_uint64(root, "total_bytes", info->total_bytes) < 0 ||
        bvi_json_put_uint64(root, "stored_bytes", info->stored_bytes) < 0 ||
        bvi_json_put_uint64(root, "chunks", info->chunks) < 0 ||
        bvi_json_put(root, "compression", bvi_compression_to_json(&info->compression)) < 0 ||
        bvi_json_put_int64(root, "created_at", info->created_us / 1000000) < 0)
        return NULL;
    return bvi_take(root);
}

static int by_key_and_version(const void *a, const void *b)
{
    const bvi_snapshot_info *x = *(const bvi_snapshot_info *const *)a;
    const bvi_snapshot_info *y = *(const bvi_snapshot_info *const *)b;
    int order = strcmp(x->key, y->key);

    return order ? order : (x->version > y->version) - (x->version < y->version);
}

static int add_sorted(bvi_json *list, const bvi_store_reply *listed)
{
    const bvi_snapshot_info **infos;
    int r = 0;

    if (listed->n_infos == 0)
        return 0;
    infos = bvi_new_array(const bvi_snapshot_info *, listed->n_infos);
    if (!infos)
        return BV_E_NOMEM;
    for (size_t i = 0; i < listed->n_infos; i++)
        infos[i] = &listed->infos[i];
    qsort(infos, listed->n_infos, sizeof(*infos), by_key_and_version);
    for (size_t i = 0; r == 0 && i < listed->n_infos; i++)
        r = bvi_json_add(list, bvi_snapshot_json(infos[i]));
    bvi_free(infos);
    return r;
}

bvi_json *bvi_snapshot_list_json(const bvi_store_reply *listed)
{
    bvi_auto_json bvi_json *root = bvi_json_new_object();
    bvi_json *list = root ? bvi_json_new_array() : NULL;

    if (!root || bvi_json_put(root, "snapshots", list) < 0 || add_sorted(list, listed) < 0)
        return NULL;
    return bvi_take(root);
}
