/*
 * transfer_snapshot.c - jobs that move snapshots of our own format (doc/snapshot-format.md), and
 * finding out which format it is.
 */
#include <string.h>

#include "agent/transfer_run.h"
#include "snapshot/download.h"
#include "snapshot/upload.h"
#include "sys/fs.h"

/* ---- facts ---- */

void bvi_transfer_facts_done(bvi_transfer_facts *facts)
{
    bvi_strv_done(&facts->protect);
    bvi_free(facts->store_key);
    *facts = (bvi_transfer_facts){ 0 };
}

static int take_facts(bvi_transfer_facts *facts, const bvi_store_info *info)
{
    facts->format = info->format;
    facts->data_version = info->data_version;
    facts->store_key = bvi_strdup(info->store_key);
    if (!facts->store_key)
        return BV_E_NOMEM;
    facts->protect.max = BVI_PROTECT_MAX;
    for (size_t i = 0; i < info->n_protected_paths; i++) {
        int r = bvi_protect_add(&facts->protect, info->protected_paths[i], NULL);

        if (r < 0)
            return r;
    }
    return 0;
}

/* ---- the share of the host's limits ---- */

/* How often the host is asked for it. */
#define SHARE_US 30000000

static void use_share(bvi_transfer_run *run, const bvi_store_info *info)
{
    if (info->share.memory_mib) /* without memory the old limits stay */
        (void)bv_ctx_set_transfer_limits(run->guest.ctx, &info->share, NULL);
}

static void on_share(const bv_error *err, const bvi_store_info *info, void *data)
{
    bvi_transfer_run *run = data;

    run->share_asked = false;
    if (run->ended) {
        bv_ctx_stop(run->guest.ctx);
        return;
    }
    if (!err)
        use_share(run, info);
    (void)bvi_timer_set(run->share_timer, SHARE_US, NULL); /* armed later if not now */
}

static void on_share_timer(bvi_timer *timer, void *data)
{
    bvi_transfer_run *run = data;

    (void)timer;
    run->share_asked = bvi_engine_store_share(run->store, on_share, run, NULL) == 0;
    if (!run->share_asked)
        (void)bvi_timer_set(run->share_timer, SHARE_US, NULL); /* armed later if not now */
}

int bvi_transfer_share_start(bvi_transfer_run *run, bv_error **err)
{
    int r = bvi_timer_new(run->guest.ctx, on_share_timer, run, &run->share_timer, err);

    run->ended = false;
    return r < 0 ? r : bvi_timer_set(run->share_timer, SHARE_US, err);
}

void bvi_transfer_share_stop(bvi_transfer_run *run)
{
    bvi_timer_free(bvi_take(run->share_timer));
    run->ended = true;
    if (!run->share_asked)
        return;
    run->store->vtable->cancel(run->store);
    (void)bv_ctx_run(run->guest.ctx); /* until on_share() was called */
}

static void on_facts(const bv_error *err, const bvi_store_info *info, void *data)
{
    bvi_transfer_run *run = data;

    if (err)
        run->err = bvi_error_copy(err);
    else
        use_share(run, info);
    if (!err && take_facts(&run->facts, info) < 0)
        (void)bvi_fail(&run->err, BV_E_FORMAT, "what the host says about the store is not right");
    bv_ctx_stop(run->guest.ctx);
}

/* A host that is older than snapshots: archives, and the paths that are always protected. */
static int old_host(bvi_transfer_run *run, bv_error **err)
{
    bvi_transfer_facts_done(&run->facts);
    run->facts.format = BVI_STORE_ARCHIVE;
    run->facts.data_version = run->options.data_version;
    return bvi_protect_begin(&run->facts.protect, err);
}

/* Our own state and the stamp, when the job works on the whole data drive. */
static int protect_state(bvi_transfer_run *run, bv_error **err)
{
    size_t len = strlen(run->target.data_dir);
    const char *meta = run->args.meta_dir;
    bvi_auto_free char *below = NULL;
    int r;

    if (strncmp(meta, run->target.data_dir, len) != 0 || meta[len] != '/')
        return 0;
    below = bvi_asprintf("%s/**", meta + len + 1);
    if (!below)
        return bvi_fail_nomem(err);
    r = bvi_protect_add(&run->facts.protect, below, err);
    if (r == 0)
        r = bvi_protect_add(&run->facts.protect, meta + len + 1, err);
    return r < 0 ? r : bvi_protect_add(&run->facts.protect, ".protocol_data.lock", err);
}

int bvi_transfer_ask_facts(bvi_transfer_run *run, bool upload, bv_error **err)
{
    const bvi_engine_store_opts opts = { .socket_path = run->args.engine_socket,
                                         .store_key = run->target.store_key };
    int r = bvi_engine_store_new(run->guest.ctx, &opts, &run->store, err);

    if (r == 0)
        r = bvi_engine_store_info(run->store, run->options.data_version, upload, on_facts, run,
                                  err);
    if (r < 0)
        return r;
    r = bv_ctx_run(run->guest.ctx);
    if (r < 0)
        return bvi_fail(err, r, "the loop failed");
    if (bv_error_code(run->err) == BV_E_UNSUPPORTED) {
        bv_error_free(bvi_take(run->err));
        r = old_host(run, err);
    } else if (run->err) {
        return bvi_error_move(err, bvi_take(run->err));
    }
    return r < 0 ? r : protect_state(run, err);
}

const char **bvi_transfer_patterns(const bvi_transfer_run *run)
{
    size_t count = run->facts.protect.len;
    const char **patterns;
    size_t n = 0;

    for (const char **p = run->options.exclude; p && *p; p++)
        count++;
    patterns = bvi_new_array(const char *, count + 1);
    if (!patterns)
        return NULL;
    for (const char **p = run->options.exclude; p && *p; p++)
        patterns[n++] = *p;
    for (size_t i = 0; i < run->facts.protect.len; i++)
        patterns[n++] = run->facts.protect.items[i];
    return patterns;
}

/* ---- transfers ---- */

bool bvi_transfer_has_snapshot_begun(const bvi_transfer_target *target)
{
    bvi_auto_free char *bits =
        bvi_path_join(target->meta_dir, BVI_SNAPSHOT_DOWNLOAD_STATE, BVI_SNAP_DOWNLOAD_BITS, NULL);

    return bits && bvi_fs_exists(bits);
}

/* The patterns alone, up to a NULL. */
static const char **protect_list(const bvi_transfer_run *run)
{
    const char **patterns = bvi_new_array(const char *, run->facts.protect.len + 1);

    for (size_t i = 0; patterns && i < run->facts.protect.len; i++)
        patterns[i] = run->facts.protect.items[i];
    return patterns;
}

int bvi_transfer_start_snapshot_download(bvi_transfer_run *run, bv_error **err)
{
    bvi_auto_free const char **protect = protect_list(run);
    bvi_auto_free char *state =
        bvi_path_join(run->target.meta_dir, BVI_SNAPSHOT_DOWNLOAD_STATE, NULL);
    const bvi_snap_download_opts opts = {
        .store = run->store,
        .store_key = run->facts.store_key,
        .version = run->facts.data_version,
        .mode = BVI_SNAP_RESTORE,
        .dest_dir = run->target.data_dir,
        .state_dir = state,
        .protect = protect,
        .owners = true,
        .max_runners = (uint32_t)run->options.max_runners,
        .status = bvi_transfer_run_status,
    };

    if (!protect || !state)
        return bvi_fail_nomem(err);
    return bvi_snap_download_start(run->guest.ctx, &opts, bvi_transfer_run_ended, run, &run->op,
                                   err);
}

int bvi_transfer_start_snapshot_upload(bvi_transfer_run *run, bv_error **err)
{
    const bvi_transfer_options *o = &run->options;
    bvi_auto_free const char **protect = protect_list(run);
    bvi_auto_free char *state =
        bvi_path_join(run->target.meta_dir, BVI_SNAPSHOT_UPLOAD_STATE, NULL);
    const bvi_snap_upload_opts opts = {
        .store = run->store,
        .store_key = run->facts.store_key,
        .source_dir = run->target.data_dir,
        .state_dir = state,
        .exclude = o->exclude,
        .protect = protect,
        .codec = o->compress ? BVI_SNAP_ZSTD : BVI_SNAP_STORED,
        .level = (int32_t)o->zstd_level,
        .data_version = o->data_version,
        .max_runners = (uint32_t)o->max_runners,
        .max_connections = (uint32_t)o->max_connections,
        .status = bvi_transfer_run_status,
    };

    if (!protect || !state)
        return bvi_fail_nomem(err);
    return bvi_snap_upload_start(run->guest.ctx, &opts, bvi_transfer_run_ended, run, &run->op, err);
}
