/*
 * transfer_main.c - bv_guest_transfer_main(): one archive job as a program.
 *
 * A job has one archive, or one for each of several clients, which are then carried one after the
 * other: their order costs nothing, and memory is needed once.
 *
 * The job runner starts it like any payload and knows it by its exit status and two files in the
 * job's directory: progress.json, which the agent shows, and message, which says why it failed.
 * Interrupted or killed, it goes on where it was when it is started again: what is done is in the
 * transfer's own journal.
 */
#include <stdio.h>
#include <string.h>

#include <blockvisor/guest.h>

#include "agent/engine_source.h"
#include "agent/transfer_run.h"
#include "base/time.h"
#include "snapshot/format.h"
#include "sys/fs.h"
#include "transfer/download.h"
#include "transfer/upload.h"

/* Compression and digests; upstream gave its runner two threads as well. */
#define WORKERS          2u
#define PROGRESS_US      (1 * BVI_US_PER_S)
#define PROGRESS_FILE    "progress.json"
#define MESSAGE_FILE     "message"
#define OPTIONS_MAX      (1024u * 1024u)
#define EXCLUDES_MAX     4096u
#define META_ENTRIES_MAX 65536u

/* ---- options ---- */

static int read_count(const bvi_json *root, const char *key, uint64_t max, uint64_t *value,
                      bv_error **err)
{
    int r = bvi_json_opt_uint64(root, key, value, err);

    if (r >= 0 && *value > max)
        return bvi_fail(err, BV_E_INVALID, "option '%s' is %llu, more than %llu", key,
                        (unsigned long long)*value, (unsigned long long)max);
    return r;
}

static int read_exclude(bvi_transfer_options *options, bv_error **err)
{
    const bvi_json *list = bvi_json_find(options->root, "exclude");
    size_t count = bvi_json_count(list);
    size_t i = 0;

    if (bvi_json_type_of(list) == BVI_JSON_NULL)
        return 0;
    if (bvi_json_type_of(list) != BVI_JSON_ARRAY || count > EXCLUDES_MAX)
        return bvi_fail(err, BV_E_INVALID, "option 'exclude' is not a list of at most %u patterns",
                        EXCLUDES_MAX);
    options->exclude = bvi_new_array(const char *, count + 1);
    if (!options->exclude)
        return bvi_fail_nomem(err);
    bvi_json_each(item, list) {
        options->exclude[i] = bvi_json_string(item);
        if (!options->exclude[i++])
            return bvi_fail(err, BV_E_INVALID, "option 'exclude' holds a %s",
                            bvi_json_type_name(item));
    }
    return 0;
}

static int read_compression(bvi_transfer_options *options, bv_error **err)
{
    const bvi_json *compression = bvi_json_find(options->root, "compression");

    if (bvi_json_type_of(compression) == BVI_JSON_NULL)
        return 0;
    options->compress = true;
    return bvi_json_get_int64(compression, "ZSTD", &options->zstd_level, err);
}

static int read_options(const char *text, bvi_transfer_options *options, bv_error **err)
{
    struct {
        const char *key;
        uint64_t max;
        uint64_t *value;
    } counts[] = {
        { "max_connections", BV_TRANSFER_RUNNERS_MAX, &options->max_connections },
        { "max_runners", BV_TRANSFER_RUNNERS_MAX, &options->max_runners },
        { "number_of_chunks", BVI_CHUNKS_MAX, &options->number_of_chunks },
        { "url_expires_secs", UINT32_MAX, &options->url_expires_secs },
        { "data_version", UINT64_MAX, &options->data_version },
    };
    int r;

    if (strlen(text) > OPTIONS_MAX)
        return bvi_fail(err, BV_E_LIMIT, "options of more than %u bytes", OPTIONS_MAX);
    r = bvi_json_parse(text, strlen(text), &options->root, err);
    for (size_t i = 0; r >= 0 && i < BVI_COUNT(counts); i++)
        r = read_count(options->root, counts[i].key, counts[i].max, counts[i].value, err);
    if (r >= 0)
        r = bvi_json_opt_string(options->root, "store_key", &options->store_key, err);
    if (r >= 0)
        r = read_exclude(options, err);
    options->clients = bvi_json_find(options->root, "clients");
    return r < 0 ? r : read_compression(options, err);
}

/* ---- the two files ---- */

/* Snapshots are told in MiB: their chunks are counted only as they come. */
static bool is_told(const bv_transfer_status *status)
{
    return status->chunks_total || status->bytes_total;
}

static void write_progress(bvi_transfer_run *run, const bv_transfer_status *status)
{
    bool snapshot = run->facts.format == BVI_STORE_SNAPSHOT;
    uint64_t total = snapshot ? status->bytes_total >> 20 : status->chunks_total;
    uint64_t current = snapshot ? status->bytes_done >> 20 : status->chunks_done;
    char text[512], missing[64] = "";
    int len;

    if (status->full_path)
        (void)snprintf(missing, sizeof(missing), ", no space: %llu bytes missing",
                       (unsigned long long)status->missing_bytes); /* fits */
    len = snprintf(text, sizeof(text),
                   "{\"total\":%llu,\"current\":%llu,\"message\":\"%s%s%s\",\"bytes_total\":%llu,"
                   "\"bytes_done\":%llu,\"rate\":%llu,\"eta_ms\":%lld}",
                   (unsigned long long)total, (unsigned long long)current,
                   snapshot ? "MiB" : "chunks", run->label, missing,
                   (unsigned long long)status->bytes_total, (unsigned long long)status->bytes_done,
                   (unsigned long long)status->bytes_per_s, (long long)status->eta_ms); /* fits */

    run->written_us = bvi_ctx_now_us(run->guest.ctx);
    /* Best effort: a full disk is reported by the transfer itself. */
    (void)bvi_fs_replace_unsynced(run->progress_path, text, (size_t)len, 0644, NULL);
}

void bvi_transfer_run_status(bv_op *op, const bv_transfer_status *status, void *data)
{
    bvi_transfer_run *run = data;
    int64_t now = bvi_ctx_now_us(run->guest.ctx);

    run->last = *status;
    if (is_told(status) && (!run->written_us || now - run->written_us >= PROGRESS_US))
        write_progress(run, status);
}

static void write_message(const bvi_transfer_run *run, const char *text)
{
    (void)bvi_fs_replace(run->message_path, text, strlen(text), 0644,
                         NULL); /* best effort: it is logged as well */
}

static void write_failure(const bvi_transfer_run *run, const bv_error *err)
{
    bvi_auto_free char *text = bvi_error_text(err);

    write_message(run, text ? text : "out of memory");
}

/* ---- the transfer ---- */

void bvi_transfer_run_ended(bv_op *op, const bv_error *err, const bv_transfer_status *status,
                            void *data)
{
    bvi_transfer_run *run = data;

    if (status && is_told(status))
        write_progress(run, status);
    run->err = err ? bvi_error_copy(err) : NULL;
    bv_ctx_stop(run->guest.ctx);
}

static void on_stop(void *data)
{
    bvi_transfer_run *run = data;

    run->stopped = true;
    if (bvi_space_is_waiting(&run->space))
        bvi_space_stop(&run->space);
    else if (run->op)
        bv_op_cancel(run->op);
    else if (run->store)
        run->store->vtable->cancel(run->store); /* the question for facts ends */
    else
        bv_ctx_stop(run->guest.ctx);
}

static int start_download(bvi_transfer_run *run, bv_error **err)
{
    const bvi_transfer_options *o = &run->options;
    bvi_download_opts opts = {
        .source = run->source,
        .archive = run->target.store_key ? run->target.store_key : "",
        .dest_dir = run->target.data_dir,
        .meta_dir = run->target.meta_dir,
        .data_version = o->data_version,
        .max_connections = (uint32_t)o->max_connections,
        .max_runners = (uint32_t)o->max_runners,
        .space_wait_secs = BV_TRANSFER_SPACE_WAIT_FOREVER, /* restarting would not help */
        .status = bvi_transfer_run_status,
    };

    return bvi_download_start(run->guest.ctx, &opts, bvi_transfer_run_ended, run, &run->op, err);
}

/* What an upload may only be resumed with: the data as it was when the upload began. */
static char *data_stamp(const bvi_transfer_args *args)
{
    int64_t us = 0;

    if (!args->data_lock || bvi_fs_mtime_us(args->data_lock, &us, NULL) < 0)
        return bvi_strdup("none");
    return bvi_asprintf("%lld", (long long)us);
}

static int start_upload(bvi_transfer_run *run, bv_error **err)
{
    const bvi_transfer_options *o = &run->options;
    bvi_auto_free char *stamp = data_stamp(&run->args);
    bvi_auto_free const char **exclude = bvi_transfer_patterns(run);
    bvi_upload_opts opts = {
        .source = run->source,
        .archive = run->target.store_key ? run->target.store_key : "",
        .source_dir = run->target.data_dir,
        .meta_dir = run->target.meta_dir,
        .data_stamp = stamp,
        .exclude = exclude,
        .data_version = o->data_version,
        .number_of_chunks = (uint32_t)o->number_of_chunks,
        .url_expires_secs = (uint32_t)o->url_expires_secs,
        .compression = { o->compress ? BVI_CODEC_ZSTD : BVI_CODEC_STORED, (int32_t)o->zstd_level },
        .max_connections = (uint32_t)o->max_connections,
        .max_runners = (uint32_t)o->max_runners,
        .space_wait_secs = BV_TRANSFER_SPACE_WAIT_FOREVER, /* restarting would not help */
        .status = bvi_transfer_run_status,
    };

    if (!stamp || !exclude)
        return bvi_fail_nomem(err);
    return bvi_upload_start(run->guest.ctx, &opts, bvi_transfer_run_ended, run, &run->op, err);
}

static bool has_archive_begun(const bvi_transfer_target *target)
{
    bvi_auto_free char *journal = bvi_path_join(target->meta_dir, BVI_DOWNLOAD_JOURNAL, NULL);

    return journal && bvi_fs_exists(journal);
}

/* What was begun goes on, unless a version was named: the latest one may be another by now. */
static bvi_store_format choose_format(const bvi_transfer_run *run, bool upload)
{
    if (upload || run->facts.data_version)
        return run->facts.format;
    if (has_archive_begun(&run->target))
        return BVI_STORE_ARCHIVE;
    if (run->facts.store_key && bvi_transfer_has_snapshot_begun(&run->target))
        return BVI_STORE_SNAPSHOT;
    return run->facts.format;
}

static int start(bvi_transfer_run *run, bool upload, bv_error **err)
{
    bvi_engine_source_opts source = { .socket_path = run->args.engine_socket,
                                      .store_key = run->target.store_key };
    int r;

    run->facts.format = choose_format(run, upload);
    if (run->facts.format == BVI_STORE_SNAPSHOT)
        return upload ? bvi_transfer_start_snapshot_upload(run, err)
                      : bvi_transfer_start_snapshot_download(run, err);
    r = bvi_engine_source_new(run->guest.ctx, &source, &run->source, err);
    if (r < 0)
        return r;
    return upload ? start_upload(run, err) : start_download(run, err);
}

/* ---- a full disk: archives wait by themselves, the engines of snapshots are started again ---- */

static void on_room(const bv_error *err, void *data)
{
    bvi_transfer_run *run = data;

    run->last.full_path = NULL;
    run->err = bvi_error_copy(err);
    bv_ctx_stop(run->guest.ctx);
}

static void on_still_full(void *data)
{
    bvi_transfer_run *run = data;

    run->last.full_path = run->space.path;
    run->last.missing_bytes = run->space.missing;
    write_progress(run, &run->last);
}

/* Begins to wait for room; false: that is not what failed. */
static bool waits_for_room(bvi_transfer_run *run)
{
    if (run->stopped || run->facts.format != BVI_STORE_SNAPSHOT ||
        !bvi_space_pause(&run->space, run->err, run->target.data_dir, BVI_SNAP_PACK_BYTES))
        return false;
    bv_error_free(bvi_take(run->err));
    bv_op_unref(bvi_take(run->op));
    on_still_full(run);
    return true;
}

static int run_to_end(bvi_transfer_run *run, bool upload, bv_error **err)
{
    for (;;) {
        int r = start(run, upload, err);

        if (r == 0 && bv_ctx_run(run->guest.ctx) < 0)
            r = bvi_fail(err, BV_E_IO, "the loop failed");
        if (r < 0)
            return r;
        if (!run->err || !waits_for_room(run))
            return bvi_error_move(err, bvi_take(run->err));
        if (bv_ctx_run(run->guest.ctx) < 0)
            return bvi_fail(err, BV_E_IO, "the loop failed");
        if (run->err)
            return bvi_error_move(err, bvi_take(run->err));
    }
}

static int carry_out(bvi_transfer_run *run, bool upload, bv_error **err)
{
    int r = bvi_transfer_ask_facts(run, upload, err);

    if (r == 0 && run->stopped)
        r = bvi_fail(err, BV_E_CANCELLED, "stopped");
    if (r == 0)
        r = bvi_transfer_share_start(run, err);
    if (r == 0)
        r = bvi_space_init(&run->space, run->guest.ctx, BV_TRANSFER_SPACE_WAIT_FOREVER, on_room,
                           run, err);
    if (r < 0)
        return r;
    run->space.still = on_still_full;
    run->space.still_data = run;
    return run_to_end(run, upload, err);
}

static int run_transfer(bvi_transfer_run *run, const bvi_transfer_target *target, bool upload,
                        bv_error **err)
{
    int r;

    run->target = *target;
    r = carry_out(run, upload, err);
    bvi_transfer_share_stop(run);
    bvi_space_done(&run->space);
    bv_op_unref(bvi_take(run->op));
    bvi_chunk_source_free(bvi_take(run->source));
    bvi_store_free(bvi_take(run->store));
    bvi_transfer_facts_done(&run->facts);
    return r;
}

static int run_own(bvi_transfer_run *run, bool upload, bv_error **err)
{
    const bvi_transfer_target target = { run->args.data_dir, run->args.meta_dir,
                                         run->options.store_key };

    return run_transfer(run, &target, upload, err);
}

/* ---- several clients ---- */

static bool is_empty_dir(const char *path)
{
    BVI_AUTO(bvi_strv_done) bvi_strv names = BVI_VEC_INIT(1);

    return !bvi_fs_exists(path) || (bvi_fs_list(path, &names, NULL) >= 0 && names.len == 0);
}

/* Data that was not left by a download of ours under way is in use and stays. */
static bool is_wanted(const bvi_transfer_target *target)
{
    return is_empty_dir(target->data_dir) || has_archive_begun(target) ||
           bvi_transfer_has_snapshot_begun(target);
}

static int run_client(bvi_transfer_run *run, const bvi_json *client, bool upload, bv_error **err)
{
    const char *name = NULL;
    const char *dir = NULL;
    bvi_transfer_target target = { NULL };
    bvi_auto_free char *data_dir = NULL;
    bvi_auto_free char *meta_dir = NULL;
    bvi_auto_free char *meta_name = NULL;
    int r = bvi_json_get_string(client, "name", &name, err);

    if (r >= 0)
        r = bvi_json_get_string(client, "data_dir", &dir, err);
    if (r >= 0)
        r = bvi_json_get_string(client, "store_key", &target.store_key, err);
    if (r < 0)
        return bvi_wrap(err, r, "option 'clients'");
    meta_name = bvi_asprintf("%s_%s", upload ? "upload" : "download", name);
    data_dir = bvi_path_join(run->args.data_dir, dir, NULL);
    meta_dir = meta_name ? bvi_path_join(run->args.meta_dir, meta_name, NULL) : NULL;
    if (!data_dir || !meta_dir)
        return bvi_fail_nomem(err);
    target.data_dir = data_dir;
    target.meta_dir = meta_dir;
    if (!upload && !is_wanted(&target))
        return 0;
    r = run_transfer(run, &target, upload, err);
    return r < 0 ? bvi_wrap(err, r, "client '%s'", name) : 0;
}

static void set_label(bvi_transfer_run *run, size_t number)
{
    (void)snprintf(run->label, sizeof(run->label), " (client %zu of %zu)", number,
                   bvi_json_count(run->options.clients)); /* fits */
    run->written_us = 0;
}

/* A client whose archive does not exist starts without one. Others are tried to their end, so that
 * a restart of the job has less to do. */
static int do_download_clients(bvi_transfer_run *run, bv_error **err)
{
    bvi_auto_error bv_error *first = NULL;
    size_t n = 0;

    if (bvi_json_count(run->options.clients) == 0)
        write_message(run, "No downloadable clients found with store_key configured");
    bvi_json_each(client, run->options.clients) {
        bvi_auto_error bv_error *failure = NULL;
        int r;

        if (run->stopped)
            return bvi_fail(err, BV_E_CANCELLED, "stopped before client %zu", n + 1);
        set_label(run, ++n);
        r = run_client(run, client, false, &failure);
        if (r == BV_E_NOT_FOUND)
            bvi_guest_log_error(run->guest_opts, "transfer", failure);
        else if (r < 0 && !first)
            first = bvi_take(failure);
    }
    if (!first)
        return 0;
    return bvi_wrap(err, bvi_error_move(err, bvi_take(first)), "Some client downloads failed");
}

static int do_upload_clients(bvi_transfer_run *run, bv_error **err)
{
    size_t n = 0;

    if (bvi_json_count(run->options.clients) == 0)
        write_message(run, "No archivable clients found with store_key configured");
    bvi_json_each(client, run->options.clients) {
        int r;

        if (run->stopped)
            return bvi_fail(err, BV_E_CANCELLED, "stopped before client %zu", n + 1);
        set_label(run, ++n);
        r = run_client(run, client, true, err);
        if (r < 0)
            return bvi_wrap(err, r, "Multi-client upload failed");
    }
    return 0;
}

/* ---- the verbs ---- */

/* Data that has been used must never be overwritten by a download. */
static int do_download(bvi_transfer_run *run, bv_error **err)
{
    const char *name = strrchr(run->args.job_dir, '/');
    bvi_auto_free char *text = NULL;

    if (!run->args.data_lock || !bvi_fs_exists(run->args.data_lock))
        return run_own(run, false, err);
    text = bvi_asprintf("job '%s' finished", name ? name + 1 : run->args.job_dir);
    if (!text)
        return bvi_fail_nomem(err);
    write_message(run, text);
    return 0;
}

static int do_upload(bvi_transfer_run *run, bv_error **err)
{
    return run_own(run, true, err);
}

/* "download.journal", "upload.blueprint", and a client's directory "download_<name>". */
static bool is_ours(const char *name)
{
    return strncmp(name, "download.", 9) == 0 || strncmp(name, "upload.", 7) == 0 ||
           strncmp(name, "download_", 9) == 0 || strncmp(name, "upload_", 7) == 0;
}

/* Only the transfer's own files go: journals, their locks and what an upload prepared. Data stays.
 */
static int do_cleanup(bvi_transfer_run *run, bv_error **err)
{
    BVI_AUTO(bvi_strv_done) bvi_strv names = BVI_VEC_INIT(META_ENTRIES_MAX);
    int r = bvi_fs_exists(run->args.meta_dir) ? bvi_fs_list(run->args.meta_dir, &names, err) : 0;

    for (size_t i = 0; r >= 0 && i < names.len; i++) {
        bvi_auto_free char *path = bvi_path_join(run->args.meta_dir, names.items[i], NULL);

        if (!is_ours(names.items[i]))
            continue;
        r = path ? bvi_fs_remove_tree(path, err) : bvi_fail_nomem(err);
    }
    if (r >= 0)
        r = bvi_fs_remove(run->progress_path, err);
    return r;
}

static const struct {
    const char *verb;
    int (*run)(bvi_transfer_run *run, bv_error **err);
} verbs[] = {
    { "download", do_download },
    { "upload", do_upload },
    { "download-clients", do_download_clients },
    { "upload-clients", do_upload_clients },
    { "cleanup", do_cleanup },
};

static int parse(int argc, char **argv, bvi_transfer_args *args, bv_error **err)
{
    const bvi_guest_arg table[] = {
        { "--job-dir", &args->job_dir },   { "--engine-socket", &args->engine_socket },
        { "--data-dir", &args->data_dir }, { "--meta-dir", &args->meta_dir },
        { "--options", &args->options },   { "--data-lock", &args->data_lock },
    };
    int r;

    if (argc < 2)
        return bvi_fail(err, BV_E_INVALID,
                        "say download, upload, download-clients, upload-clients or cleanup");
    args->verb = argv[1];
    r = bvi_guest_parse(argc, argv, 2, table, BVI_COUNT(table), err);
    if (r < 0)
        return r;
    if (!args->job_dir || !args->engine_socket || !args->data_dir || !args->meta_dir)
        return bvi_fail(err, BV_E_INVALID,
                        "--job-dir, --engine-socket, --data-dir and --meta-dir are needed");
    return 0;
}

static int run_verb(bvi_transfer_run *run, bv_error **err)
{
    int r = read_options(run->args.options ? run->args.options : "{}", &run->options, err);

    if (r < 0)
        return bvi_wrap(err, r, "options of the archive job");
    for (size_t i = 0; i < BVI_COUNT(verbs); i++) {
        if (strcmp(verbs[i].verb, run->args.verb) == 0)
            return verbs[i].run(run, err);
    }
    return bvi_fail(err, BV_E_INVALID,
                    "'%s' is not download, upload, download-clients, upload-clients or cleanup",
                    run->args.verb);
}

static int prepare(bvi_transfer_run *run, const bv_guest_opts *opts, bv_error **err)
{
    run->progress_path = bvi_path_join(run->args.job_dir, PROGRESS_FILE, NULL);
    run->message_path = bvi_path_join(run->args.job_dir, MESSAGE_FILE, NULL);
    if (!run->progress_path || !run->message_path)
        return bvi_fail_nomem(err);
    run->guest.on_stop = on_stop;
    run->guest.data = run;
    return bvi_guest_run_init(&run->guest, opts, WORKERS, err);
}

static void run_done(bvi_transfer_run *run)
{
    bv_op_unref(run->op);
    bvi_chunk_source_free(run->source);
    bvi_store_free(run->store);
    bvi_transfer_facts_done(&run->facts);
    bvi_guest_run_done(&run->guest);
    bvi_json_free(run->options.root);
    bvi_free(run->options.exclude);
    bvi_free(run->progress_path);
    bvi_free(run->message_path);
    bv_error_free(run->err);
}

/* The gate said no, or the data changes all the time: services wait for the end of an upload, and
 * trying again without a change helps nobody. */
static bool is_refused(const bvi_transfer_run *run, int code)
{
    return code == BV_E_STATE && !run->stopped && strncmp(run->args.verb, "upload", 6) == 0;
}

int bv_guest_transfer_main(int argc, char **argv, const bv_guest_opts *opts)
{
    bvi_transfer_run run = { .guest_opts = opts };
    bvi_auto_error bv_error *err = NULL;
    int r = parse(argc, argv, &run.args, &err);

    if (r < 0) {
        bvi_guest_log_error(opts, "transfer", err);
        return BV_GUEST_EXIT_USAGE;
    }
    r = prepare(&run, opts, &err);
    if (r >= 0)
        r = run_verb(&run, &err);
    if (r < 0) {
        bvi_guest_log_error(opts, "transfer", err);
        if (run.message_path)
            write_failure(&run, err);
    }
    run_done(&run);
    if (r >= 0)
        return BV_GUEST_EXIT_OK;
    if (is_refused(&run, r))
        return BV_GUEST_EXIT_REFUSED;
    return run.stopped ? BV_GUEST_EXIT_STOPPED : BV_GUEST_EXIT_FAILED;
}
