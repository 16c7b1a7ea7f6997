/*
 * fake_snapshots.c - snapshots of a fake host: what would be in a store, without any bytes.
 */
#include <string.h>

#include "host/fake.h"
#include "node/snapshots.h"

#define UPLOAD_JOB "upload"
/* A block of a chain takes so much, plain and stored. */
#define BLOCK_BYTES  100u
#define STORED_BYTES 40u
#define CHUNK_BYTES  (64u * 1024u)
#define FILES        1u

/* ---- list ---- */

void bvi_fake_snapshot_list(bvi_fake *fake, const bvi_json *args, bvi_reply *reply)
{
    const char *key = bvi_json_string(bvi_json_find(args, "key"));
    bvi_auto_json bvi_json *root = bvi_json_new_object();
    bvi_json *list = root ? bvi_json_new_array() : NULL;
    int r = root ? bvi_json_put(root, "snapshots", list) : BV_E_NOMEM;

    for (size_t i = 0; r == 0 && i < fake->snapshots.len; i++) {
        if (!key || strcmp(fake->snapshots.items[i].key, key) == 0)
            r = bvi_json_add(list, bvi_snapshot_json(&fake->snapshots.items[i]));
    }
    bvi_reply_ok(reply, r == 0 ? bvi_take(root) : NULL);
}

/* Version 0 is the latest; they are in the order in which they came. */
static const bvi_snapshot_info *find(const bvi_fake *fake, const char *key, uint64_t version)
{
    const bvi_snapshot_info *found = NULL;

    for (size_t i = 0; i < fake->snapshots.len; i++) {
        const bvi_snapshot_info *info = &fake->snapshots.items[i];

        if (strcmp(info->key, key) == 0 && (version == 0 || info->version == version))
            found = info;
    }
    return found;
}

/* ---- upload ---- */

static int add(bvi_fake_node *node, const bvi_snapshot_info **ret_info, bv_error **err)
{
    bvi_fake *fake = node->fake;
    const bvi_snapshot_info *before = find(fake, node->state.store_key, 0);
    uint64_t version = before ? before->version + 1 : 1;
    bvi_snapshot_info *info = bvi_vec_push(&fake->snapshots);
    size_t len = strlen(node->state.store_key);

    if (!info)
        return bvi_fail_nomem(err);
    if (len >= sizeof(info->key)) {
        fake->snapshots.len--;
        return bvi_fail(err, BV_E_INVALID, "'%s' is not a store key", node->state.store_key);
    }
    memcpy(info->key, node->state.store_key, len + 1);
    info->version = version;
    info->total_bytes = node->height * BLOCK_BYTES;
    info->stored_bytes = node->height * STORED_BYTES;
    info->chunks = (uint32_t)(info->total_bytes / CHUNK_BYTES) + 1;
    info->format = BVI_STORE_ARCHIVE;
    info->compression = (bvi_compression){ .kind = BVI_CODEC_ZSTD, .level = 3 };
    info->created_us = bvi_ctx_wall_us(fake->base.ctx);
    *ret_info = info;
    return 0;
}

static bvi_json *upload_finish(bvi_fake_work *work, bv_error **err)
{
    bvi_fake_node *node = bvi_fake_node_find(work->fake, work->text);
    const bvi_snapshot_info *info = NULL;
    bvi_fake_job *job;

    if (!node || !node->pid) {
        (void)bvi_fail(err, BV_E_STATE, "upload of '%s': its node has stopped",
                       work->name); /* told by err */
        return NULL;
    }
    job = bvi_fake_job_make(node, UPLOAD_JOB);
    if (!job)
        return NULL;
    if (job->state == BVI_JOB_STOPPED) {
        (void)bvi_fail(err, BV_E_CANCELLED, "upload of '%s': its job was stopped",
                       work->name); /* told by err */
        return NULL;
    }
    bvi_fake_node_catch_up(node);
    if (add(node, &info, err) < 0)
        return NULL;
    bvi_fake_job_print(job, "version %u is complete\n", (unsigned)info->version);
    bvi_fake_job_set(node, job, BVI_JOB_FINISHED);
    return bvi_snapshot_json(info);
}

static const bvi_fake_work_kind upload_kind = { .name = "upload",
                                                .phase = "upload",
                                                .finish = upload_finish };

/* The upload of a node that is under way. */
static bvi_fake_work *find_upload(const bvi_fake_node *node)
{
    for (size_t i = 0; i < node->fake->works.len; i++) {
        bvi_fake_work *work = node->fake->works.items[i];

        if (work->kind == &upload_kind && strcmp(work->text, node->state.id) == 0)
            return work;
    }
    return NULL;
}

/* NULL: the reply, if any, has failed. */
static bvi_fake_work *begin_upload(bvi_fake_node *node, bvi_reply *reply)
{
    bvi_fake_work *work = find_upload(node);
    bvi_auto_free char *id = bvi_strdup(node->state.id);
    bvi_auto_free char *key = bvi_strdup(node->state.store_key);
    bvi_fake_job *job = bvi_fake_job_make(node, UPLOAD_JOB);

    if (work)
        return work;
    if (!id || !key || !job) {
        bvi_reply_ok(reply, NULL);
        return NULL;
    }
    work = bvi_fake_work_begin(node->fake, NULL, &upload_kind, reply);
    if (!work)
        return NULL;
    work->text = bvi_take(id);
    work->name = bvi_take(key);
    work->total_bytes = node->height * BLOCK_BYTES;
    bvi_fake_job_set(node, job, BVI_JOB_RUNNING);
    return work;
}

static bool can_upload(const bvi_fake_node *node, bvi_reply *reply)
{
    if (!*node->state.store_key)
        bvi_reply_failf(reply, BV_E_STATE, "node '%s' has no store key; create it with --store-key",
                        node->state.name);
    else if (!node->pid)
        bvi_reply_failf(reply, BV_E_STATE, "node '%s' is not running; start it first",
                        node->state.name);
    else
        return true;
    return false;
}

void bvi_fake_snapshot_upload(bvi_fake_node *node, const bvi_json *args, bvi_reply *reply)
{
    bvi_store_format format;
    bvi_fake_work *work;
    bv_error *err = NULL;

    if (bvi_snapshot_format_parse(bvi_json_string(bvi_json_find(args, "format")), &format, &err) <
        0) {
        bvi_reply_fail(reply, err);
        return;
    }
    work = can_upload(node, reply) ? begin_upload(node, reply) : NULL;
    if (work)
        bvi_fake_work_join(work, reply);
}

void bvi_fake_snapshot_run_upload(bvi_fake_node *node, bvi_reply *reply)
{
    bvi_auto_json bvi_json *root = bvi_json_new_object();

    if (!can_upload(node, reply) || !begin_upload(node, reply))
        return;
    if (root && bvi_json_put_string(root, "result", "null") == 0 &&
        bvi_json_put(root, "value", bvi_json_new_null()) == 0)
        bvi_reply_ok(reply, bvi_take(root));
    else
        bvi_reply_ok(reply, NULL);
}

/* ---- download, verify ---- */

static bvi_json *summary(bvi_fake_work *work, bv_error **err)
{
    const bvi_snapshot_info *info = find(work->fake, work->name, work->number);
    bvi_auto_json bvi_json *root = NULL;

    if (!info) {
        (void)bvi_fail(err, BV_E_NOT_FOUND,
                       "there is no such version in the store"); /* told by err */
        (void)bvi_wrap(err, BV_E_NOT_FOUND, "snapshot '%s'", work->name);
        return NULL;
    }
    root = bvi_json_new_object();
    if (!root || bvi_json_put_string(root, "key", info->key) < 0 ||
        bvi_json_put_uint64(root, "version", info->version) < 0 ||
        bvi_json_put_string(root, "format", "archive") < 0 ||
        bvi_json_put_uint64(root, "total_bytes", info->total_bytes) < 0 ||
        bvi_json_put_uint64(root, "reused_bytes", 0) < 0 ||
        bvi_json_put_uint64(root, "stored_bytes", info->stored_bytes) < 0 ||
        bvi_json_put_uint64(root, "chunks", info->chunks) < 0 ||
        bvi_json_put_uint64(root, "resumed_chunks", 0) < 0 ||
        bvi_json_put_uint64(root, "files", FILES) < 0 ||
        bvi_json_put_uint64(root, "retries", 0) < 0 || bvi_json_put_bool(root, "ok", true) < 0)
        return NULL;
    bvi_events_add(work->fake->events, "snapshot_checked", NULL, NULL, "snapshot %s version %u",
                   info->key, (unsigned)info->version);
    return bvi_take(root);
}

static const bvi_fake_work_kind download_kind = {
    .name = "download", .phase = "transfer", .is_dropped = true, .finish = summary
};
static const bvi_fake_work_kind verify_kind = {
    .name = "verify", .phase = "verify", .is_dropped = true, .finish = summary
};

static void transfer(bvi_fake *fake, const bvi_fake_work_kind *kind, const bvi_json *args,
                     bvi_reply *reply)
{
    bvi_auto_free char *key = bvi_strdup(bvi_json_string(bvi_json_find(args, "key")));
    const bvi_snapshot_info *info;
    uint64_t version = 0;
    bv_error *err = NULL;
    bvi_fake_work *work;

    if (!key) {
        bvi_reply_ok(reply, NULL);
        return;
    }
    if (bvi_json_opt_uint64(args, "version", &version, &err) < 0) {
        bvi_reply_fail(reply, err);
        return;
    }
    info = find(fake, key, version);
    work = bvi_fake_work_begin(fake, NULL, kind, reply);
    if (!work)
        return;
    work->name = bvi_take(key);
    work->number = version;
    work->total_bytes = info ? info->total_bytes : 0;
    bvi_fake_work_join(work, reply);
}

void bvi_fake_snapshot_download(bvi_fake *fake, const bvi_json *args, bvi_reply *reply)
{
    const char *dir = bvi_json_string(bvi_json_find(args, "dest_dir"));

    if (dir[0] == '/')
        transfer(fake, &download_kind, args, reply);
    else
        bvi_reply_failf(reply, BV_E_INVALID, "'%s' must be an absolute path", dir);
}

void bvi_fake_snapshot_verify(bvi_fake *fake, const bvi_json *args, bvi_reply *reply)
{
    transfer(fake, &verify_kind, args, reply);
}

/* ---- diff, prune ---- */

static bvi_json *diff_json(const bvi_snapshot_info *old, const bvi_snapshot_info *now)
{
    bvi_auto_json bvi_json *root = bvi_json_new_object();
    bvi_json *list = root ? bvi_json_new_array() : NULL;
    bvi_auto_json bvi_json *item = bvi_json_new_object();
    bool same = old->total_bytes == now->total_bytes;
    uint64_t bytes = now->total_bytes > old->total_bytes ? now->total_bytes - old->total_bytes : 0;

    if (!root || !item || bvi_json_put(root, "differences", list) < 0 ||
        bvi_json_put_string(root, "key", now->key) < 0 ||
        bvi_json_put_uint64(root, "old_version", old->version) < 0 ||
        bvi_json_put_uint64(root, "version", now->version) < 0 ||
        bvi_json_put_uint64(root, "changes", same ? 0 : 1) < 0 ||
        bvi_json_put_uint64(root, "changed_bytes", bytes) < 0 ||
        bvi_json_put_string(item, "path", "blocks") < 0 ||
        bvi_json_put_string(item, "change", "changed") < 0 ||
        bvi_json_put_string(item, "kind", "file") < 0 ||
        bvi_json_put_uint64(item, "bytes", now->total_bytes) < 0 ||
        bvi_json_put_uint64(item, "changed_bytes", bytes) < 0)
        return NULL;
    return same || bvi_json_add(list, bvi_take(item)) == 0 ? bvi_take(root) : NULL;
}

void bvi_fake_snapshot_diff(bvi_fake *fake, const bvi_json *args, bvi_reply *reply)
{
    const char *key = bvi_json_string(bvi_json_find(args, "key"));
    uint64_t old_version = 0, version = 0;
    const bvi_snapshot_info *old, *now;
    bv_error *err = NULL;

    if (bvi_json_opt_uint64(args, "old_version", &old_version, &err) < 0 ||
        bvi_json_opt_uint64(args, "version", &version, &err) < 0) {
        bvi_reply_fail(reply, err);
        return;
    }
    old = find(fake, key, old_version);
    now = find(fake, key, version);
    if (old && now)
        bvi_reply_ok(reply, diff_json(old, now));
    else
        bvi_reply_failf(reply, BV_E_NOT_FOUND, "the store has no such versions of '%s'", key);
}

/* How many versions of a key come behind this place. */
static uint64_t newer(const bvi_fake *fake, size_t at)
{
    uint64_t count = 0;

    for (size_t i = at + 1; i < fake->snapshots.len; i++)
        count += strcmp(fake->snapshots.items[i].key, fake->snapshots.items[at].key) == 0;
    return count;
}

static bool is_listed(const bvi_json *list, uint64_t version)
{
    uint64_t listed = 0;

    bvi_json_each(item, list) {
        if (bvi_json_uint64(item, &listed) == 0 && listed == version)
            return true;
    }
    return false;
}

static bvi_json *pruned_json(const char *key, bool dry_run, uint64_t versions, bvi_json *removed)
{
    static const char *const none[] = { "packs",           "pack_bytes",      "packs_removed",
                                        "objects_removed", "packs_young",     "packs_reserved",
                                        "uploads",         "uploads_removed", "versions_reserved",
                                        "bytes_removed" };
    bvi_auto_json bvi_json *root = bvi_json_new_object();
    size_t count = bvi_json_count(removed);
    int r = root ? bvi_json_put(root, "removed", removed) : BV_E_NOMEM;

    if (r < 0 || bvi_json_put_string(root, "key", key) < 0 ||
        bvi_json_put_bool(root, "dry_run", dry_run) < 0 ||
        bvi_json_put_uint64(root, "versions", versions) < 0 ||
        bvi_json_put_uint64(root, "versions_removed", count) < 0)
        return NULL;
    for (size_t i = 0; i < BVI_COUNT(none); i++) {
        if (bvi_json_put_uint64(root, none[i], 0) < 0)
            return NULL;
    }
    return bvi_take(root);
}

void bvi_fake_snapshot_prune(bvi_fake *fake, const bvi_json *args, bvi_reply *reply)
{
    const char *key = bvi_json_string(bvi_json_find(args, "key"));
    const bvi_json *kept = bvi_json_find(args, "keep_versions");
    bool dry_run = bvi_json_is_true(bvi_json_find(args, "dry_run"));
    bvi_auto_json bvi_json *removed = bvi_json_new_array();
    uint64_t keep = 0, versions = 0;
    size_t to = 0;
    int r = removed ? 0 : BV_E_NOMEM;

    if (bvi_json_opt_uint64(args, "keep", &keep, NULL) < 0 || keep == 0) {
        bvi_reply_failf(reply, BV_E_INVALID, "'keep' is at least 1");
        return;
    }
    for (size_t i = 0; r == 0 && i < fake->snapshots.len; i++) {
        const bvi_snapshot_info *info = &fake->snapshots.items[i];

        if (strcmp(info->key, key) != 0)
            continue;
        versions++;
        if (newer(fake, i) >= keep && !is_listed(kept, info->version))
            r = bvi_json_add(removed, bvi_json_new_uint64(info->version));
    }
    for (size_t i = 0; r == 0 && !dry_run && i < fake->snapshots.len; i++) {
        bool gone = strcmp(fake->snapshots.items[i].key, key) == 0 &&
                    is_listed(removed, fake->snapshots.items[i].version);

        if (!gone)
            fake->snapshots.items[to++] = fake->snapshots.items[i];
    }
    if (r == 0 && !dry_run)
        fake->snapshots.len = to;
    bvi_reply_ok(reply, r == 0 ? pruned_json(key, dry_run, versions, bvi_take(removed)) : NULL);
}
