/*
 * upload_steps.c - what an upload does on the worker between its phases: scan, plan, journal.
 *
 * The blueprint itself is not kept: it follows from the scan and the settings, so the journal only
 * holds a fingerprint of both, and an upload is resumed when scanning and planning again give the
 * same one.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "sys/fs.h"
#include "transfer/chunk_plan.h"
#include "transfer/codec.h"
#include "transfer/upload_impl.h"

/* ---- journal ---- */

static int load_header(bvi_upload *u, const bvi_json *record, bv_error **err)
{
    const char *archive = NULL;
    const char *id = NULL;
    const char *lease = NULL;
    int r;

    r = bvi_json_get_string(record, "archive", &archive, err);
    if (r == 0)
        r = bvi_json_get_string(record, "id", &id, err);
    if (r == 0)
        r = bvi_json_get_string(record, "lease", &lease, err);
    if (r < 0)
        return r;
    if (strlen(id) >= sizeof(u->journal_id) || strlen(lease) >= sizeof(u->lease))
        return bvi_fail(err, BV_E_FORMAT, "'id' or 'lease' is too long");
    u->journal_ours = strcmp(archive, u->opts.archive) == 0;
    memcpy(u->journal_id, id, strlen(id) + 1);
    if (u->journal_ours)
        memcpy(u->lease, lease, strlen(lease) + 1);
    return 0;
}

static int load_chunk(bvi_upload *u, const bvi_json *record, bv_error **err)
{
    bvi_chunk *chunk = bvi_vec_push(&u->journal_chunks);

    if (!chunk)
        return bvi_fail_nomem(err);
    bvi_chunk_init(chunk);
    return bvi_chunk_from_json(record, 0, chunk, err);
}

static int load_record(const bvi_json *record, void *data, bv_error **err)
{
    bvi_upload *u = data;

    if (bvi_json_find(record, "upload"))
        return load_header(u, record, err);
    if (bvi_json_find(record, "version"))
        return bvi_json_get_uint64(record, "version", &u->version, err);
    if (bvi_json_find(record, "publishing")) {
        u->journal_publishing = true;
        return 0;
    }
    return load_chunk(u, bvi_json_find(record, "done"), err);
}

static int append_and_sync(bvi_upload *u, const bvi_json *record, bv_error **err)
{
    int r = bvi_journal_append(&u->journal, record, err);

    return r < 0 ? r : bvi_journal_sync(&u->journal, err);
}

static int append_version(bvi_upload *u, bv_error **err)
{
    bvi_auto_json bvi_json *record = bvi_json_new_object();

    if (!record || bvi_json_put_uint64(record, "version", u->version) < 0)
        return bvi_fail_nomem(err);
    return append_and_sync(u, record, err);
}

/* Starts the journal over. The lease stays, and with it the reservation, if there is one. */
static int write_header(bvi_upload *u, const char *id, bv_error **err)
{
    bvi_auto_json bvi_json *record = bvi_json_new_object();
    int r;

    if (!record || bvi_json_put_uint64(record, "upload", 1) < 0 ||
        bvi_json_put_string(record, "archive", u->opts.archive) < 0 ||
        bvi_json_put_string(record, "id", id) < 0 ||
        bvi_json_put_string(record, "lease", u->lease) < 0)
        return bvi_fail_nomem(err);
    r = bvi_journal_clear(&u->journal, err);
    if (r == 0)
        r = append_and_sync(u, record, err);
    return r < 0 || !u->version ? r : append_version(u, err);
}

/* ---- plan ---- */

static int open_files(bvi_upload *u, bv_error **err)
{
    bvi_auto_free char *lock = bvi_path_join(u->opts.meta_dir, BVI_UPLOAD_LOCK, NULL);
    bvi_auto_free char *path = bvi_path_join(u->opts.meta_dir, BVI_UPLOAD_JOURNAL, NULL);
    int r;

    if (!lock || !path)
        return bvi_fail_nomem(err);
    bvi_closep(&u->source_fd);
    u->source_fd = open(u->opts.source_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (u->source_fd < 0)
        return bvi_fail_sys(err, errno, "cannot open '%s'", u->opts.source_dir);
    r = bvi_fs_mkdir(u->opts.meta_dir, 0700, err);
    if (r == 0 && u->lock_fd < 0)
        r = bvi_fs_lock(lock, &u->lock_fd, err);
    if (r == BV_E_BUSY)
        return bvi_wrap(err, r, "another upload uses '%s'", u->opts.meta_dir);
    return r < 0 ? r : bvi_journal_open(&u->journal, path, load_record, u, err);
}

static bool scan_cancelled(void *data)
{
    bvi_upload *u = data;

    return atomic_load(&u->stopping);
}

static int scan(bvi_upload *u, bvi_scan *ret_scan, bv_error **err)
{
    const bvi_scan_opts opts = {
        .exclude = u->opts.exclude,
        .skip_dir = u->opts.meta_dir,
        .cancelled = scan_cancelled,
        .data = u,
    };
    int r = bvi_scan_run(ret_scan, u->source_fd, &opts, err);

    return r < 0 ? bvi_wrap(err, r, "cannot scan '%s'", u->opts.source_dir) : 0;
}

static void fingerprint(const bvi_upload *u, const bvi_scan *files,
                        char ret_id[BVI_FINGERPRINT_SIZE])
{
    bvi_fingerprint f;

    bvi_fingerprint_init(&f, "upload");
    bvi_fingerprint_text(&f, u->opts.archive);
    bvi_fingerprint_text(&f, u->opts.source_dir);
    bvi_fingerprint_text(&f, u->opts.data_stamp);
    bvi_fingerprint_number(&f, u->opts.data_version);
    bvi_fingerprint_number(&f, u->opts.number_of_chunks);
    bvi_fingerprint_number(&f, u->opts.compression.kind);
    bvi_fingerprint_number(&f, (uint64_t)(int64_t)u->opts.compression.level);
    for (size_t i = 0; i < files->files.len; i++) {
        bvi_fingerprint_text(&f, files->files.items[i].path);
        bvi_fingerprint_bytes(&f, &files->files.items[i].stamp,
                              sizeof(files->files.items[i].stamp));
    }
    bvi_fingerprint_final(&f, ret_id);
}

static int make_states(bvi_upload *u, bv_error **err)
{
    size_t n = u->manifest.chunks.len;

    u->states = bvi_calloc(n ? n : 1, sizeof(*u->states));
    u->url_us = bvi_calloc(n ? n : 1, sizeof(*u->url_us));
    if (!u->states || !u->url_us)
        return bvi_fail_nomem(err);
    u->open_chunks = (uint32_t)n;
    u->report.now.chunks_total = (uint32_t)n;
    u->report.now.bytes_total = u->manifest.total_size;
    u->report.now.files = u->scan.files.len;
    u->report.now.skipped = u->scan.skipped_links + u->scan.skipped_special;
    return 0;
}

/* A recorded chunk over the blueprint's one. */
static int take_recorded(bvi_upload *u, const bvi_chunk *from, bv_error **err)
{
    bvi_chunk *to;
    int r;

    if (from->index >= u->manifest.chunks.len)
        return bvi_fail(err, BV_E_FORMAT,
                        "the journal has chunk %u, which does not exist in the manifest",
                        from->index);
    to = &u->manifest.chunks.items[from->index];
    r = bvi_chunk_set_key(to, from->key, err);
    if (r < 0)
        return r;
    to->size = from->size;
    to->checksum = from->checksum;
    if (u->states[to->index] != BVI_PART_DONE) {
        u->states[to->index] = BVI_PART_DONE;
        u->open_chunks--;
        u->report.now.chunks_done++;
        u->report.now.resumed_chunks++;
        u->report.now.bytes_done += bvi_chunk_plain_bytes(to);
    }
    return 0;
}

static int new_lease(bvi_upload *u, bv_error **err)
{
    return u->lease[0] ? 0 : bvi_id_new(u->lease, err);
}

static int resume_or_begin(bvi_upload *u, bv_error **err)
{
    int r = 0;

    if (u->journal_ours && strcmp(u->journal_id, u->id) == 0) {
        for (size_t i = 0; r == 0 && i < u->journal_chunks.len; i++)
            r = take_recorded(u, &u->journal_chunks.items[i], err);
        return r;
    }
    if (u->journal_ours && u->journal_id[0])
        bvi_log_info(u->ctx, "transfer",
                     "'%s' or the settings changed since the last upload: starting over",
                     u->opts.source_dir);
    u->journal_publishing = false;
    if (!u->journal_ours || (u->opts.data_version && u->opts.data_version != u->version))
        u->version = u->opts.data_version;
    r = new_lease(u, err);
    return r < 0 ? r : write_header(u, u->id, err);
}

/* What an attempt that found no room for its journal leaves. */
static void forget_plan(bvi_upload *u)
{
    bvi_scan_done(&u->scan);
    bvi_scan_init(&u->scan);
    bvi_manifest_done(&u->manifest);
    bvi_manifest_init(&u->manifest);
    bvi_journal_done(&u->journal);
    for (size_t i = 0; i < u->journal_chunks.len; i++)
        bvi_chunk_done(&u->journal_chunks.items[i]);
    u->journal_chunks.len = 0;
    bvi_free(bvi_take(u->states));
    bvi_free(bvi_take(u->url_us));
}

int bvi_upload_step_plan(bvi_upload *u, bv_error **err)
{
    uint64_t slots;
    int r = bvi_compression_check(&u->opts.compression, err);

    forget_plan(u);
    if (r == 0)
        r = open_files(u, err);
    if (r == 0)
        r = scan(u, &u->scan, err);
    if (r < 0)
        return r;
    if (u->scan.skipped_links + u->scan.skipped_special > 0)
        bvi_log_warn(u->ctx, "transfer",
                     "'%s': %llu symbolic links and %llu special files are left out",
                     u->opts.source_dir, (unsigned long long)u->scan.skipped_links,
                     (unsigned long long)u->scan.skipped_special);
    slots = u->opts.number_of_chunks ? u->opts.number_of_chunks
                                     : bvi_chunk_plan_default_slots(u->scan.total_size);
    u->manifest.compression = u->opts.compression;
    r = bvi_chunk_plan_build(&u->scan, slots, &u->manifest, err);
    if (r == 0)
        r = make_states(u, err);
    if (r < 0)
        return r;
    fingerprint(u, &u->scan, u->id);
    return resume_or_begin(u, err);
}

int bvi_upload_step_version(bvi_upload *u, bv_error **err)
{
    return append_version(u, err);
}

/* ---- records ---- */

static int append_chunk(bvi_upload *u, uint32_t index, bv_error **err)
{
    bvi_auto_json bvi_json *record = bvi_json_new_object();
    const bvi_chunk *chunk = &u->manifest.chunks.items[index];
    /* The destinations follow from the blueprint, and the URL is a secret. */
    const bvi_chunk slim = {
        .index = index, .key = chunk->key, .checksum = chunk->checksum, .size = chunk->size
    };
    bvi_json *node = NULL;
    int r;

    r = bvi_chunk_to_json(&slim, "pos", &node, err);
    if (r < 0)
        return r;
    if (!record) {
        bvi_json_free(node);
        return bvi_fail_nomem(err);
    }
    if (bvi_json_put(record, "done", node) < 0)
        return bvi_fail_nomem(err);
    return bvi_journal_append(&u->journal, record, err);
}

int bvi_upload_record_stored(bvi_upload *u, bv_error **err)
{
    for (size_t i = 0; i < u->recording.len; i++) {
        int r = append_chunk(u, u->recording.items[i], err);

        if (r < 0)
            return r;
    }
    /* Not synced: after a power cut a chunk is sent again at worst, while on common file systems
     * each sync would also have to write out the spool files. */
    return bvi_journal_flush(&u->journal, err);
}

/* ---- the end ---- */

static int name_change(const bvi_upload *u, const bvi_scan *now, bv_error **err)
{
    for (size_t i = 0; i < u->scan.files.len; i++) {
        const bvi_scan_file *before = &u->scan.files.items[i];
        const bvi_scan_file *after = bvi_scan_find(now, before->path);

        if (!after || !bvi_file_stamp_equal(&before->stamp, &after->stamp))
            return bvi_fail(err, BV_E_STATE,
                            "file '%s' %s while it was uploaded; stop what writes to it",
                            before->path, after ? "changed" : "disappeared");
    }
    return bvi_fail(err, BV_E_STATE,
                    "files appeared in '%s' while it was uploaded; stop what writes to it",
                    u->opts.source_dir);
}

int bvi_upload_step_recheck(bvi_upload *u, bv_error **err)
{
    bvi_auto_json bvi_json *record = bvi_json_new_object();
    char id[BVI_FINGERPRINT_SIZE];
    bvi_scan now;
    int r;

    if (!record || bvi_json_put_bool(record, "publishing", true) < 0)
        return bvi_fail_nomem(err);
    bvi_scan_init(&now);
    r = scan(u, &now, err);
    if (r == 0) {
        fingerprint(u, &now, id);
        if (strcmp(id, u->id) != 0)
            r = name_change(u, &now, err);
    }
    bvi_scan_done(&now);
    return r < 0 ? r : append_and_sync(u, record, err);
}

int bvi_upload_step_finish(bvi_upload *u, bv_error **err)
{
    return bvi_journal_remove(&u->journal, err);
}

int bvi_upload_step_forget(bvi_upload *u, bv_error **err)
{
    return write_header(u, "", err);
}
