/*
 * download_steps.c - what a download does on the worker between its phases: files, journal, checks.
 *
 * While a step runs nothing else touches the download.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sys/fs.h"
#include "transfer/download_impl.h"
#include "transfer/part.h"

/* ---- journal ---- */

static int load_header(bvi_download *d, const bvi_json *record, bv_error **err)
{
    const char *archive = NULL;
    const char *id = NULL;
    int r;

    r = bvi_json_get_string(record, "archive", &archive, err);
    if (r == 0)
        r = bvi_json_get_string(record, "id", &id, err);
    if (r == 0)
        r = bvi_json_get_uint64(record, "version", &d->journal_version, err);
    if (r == 0)
        r = bvi_json_get_int64(record, "times_ns", &d->times_ns, err);
    if (r < 0)
        return r;
    if (strlen(id) >= sizeof(d->journal_id))
        return bvi_fail(err, BV_E_FORMAT, "'id' is too long");
    memcpy(d->journal_id, id, strlen(id) + 1);
    d->journal_ours = strcmp(archive, d->opts.archive) == 0;
    return 0;
}

static int load_record(const bvi_json *record, void *data, bv_error **err)
{
    bvi_download *d = data;
    uint64_t index = 0;
    uint32_t *slot;

    if (bvi_json_find(record, "download"))
        return load_header(d, record, err);
    if (bvi_json_get_uint64(record, "done", &index, err) < 0)
        return BV_E_FORMAT;
    slot = bvi_vec_push(&d->journal_done);
    if (!slot)
        return bvi_fail_nomem(err);
    *slot = (uint32_t)index;
    return 0;
}

static int write_header(bvi_download *d, const char *id, bv_error **err)
{
    bvi_auto_json bvi_json *record = bvi_json_new_object();
    int r;

    if (!record || bvi_json_put_uint64(record, "download", 1) < 0 ||
        bvi_json_put_string(record, "archive", d->opts.archive) < 0 ||
        bvi_json_put_string(record, "id", id) < 0 ||
        bvi_json_put_uint64(record, "version", d->metadata.data_version) < 0 ||
        bvi_json_put_int64(record, "times_ns", d->times_ns) < 0)
        return bvi_fail_nomem(err);
    bvi_part_remove_all(d->opts.meta_dir);
    r = bvi_journal_clear(&d->journal, err);
    if (r == 0)
        r = bvi_journal_append(&d->journal, record, err);
    return r < 0 ? r : bvi_journal_sync(&d->journal, err);
}

/* ---- open ---- */

static int open_journal(bvi_download *d, bv_error **err)
{
    bvi_auto_free char *lock = bvi_path_join(d->opts.meta_dir, BVI_DOWNLOAD_LOCK, NULL);
    bvi_auto_free char *path = bvi_path_join(d->opts.meta_dir, BVI_DOWNLOAD_JOURNAL, NULL);
    int r;

    if (!lock || !path)
        return bvi_fail_nomem(err);
    r = bvi_fs_mkdir(d->opts.meta_dir, 0700, err);
    if (r == 0 && d->lock_fd < 0)
        r = bvi_fs_lock(lock, &d->lock_fd, err);
    if (r == BV_E_BUSY)
        return bvi_wrap(err, r, "another download uses '%s'", d->opts.meta_dir);
    bvi_journal_done(&d->journal); /* of an attempt that found no room */
    d->journal_done.len = 0;
    return r < 0 ? r : bvi_journal_open(&d->journal, path, load_record, d, err);
}

int bvi_download_step_open(bvi_download *d, bv_error **err)
{
    int r;

    if (d->mode == BVI_UNPACK_CHECK)
        return 0;
    d->full_path = d->opts.meta_dir; /* if a disk is */
    r = d->mode == BVI_UNPACK_WRITE ? bvi_fs_mkdir(d->opts.dest_dir, 0755, err) : 0;
    if (r < 0)
        return r;
    bvi_closep(&d->dest_fd);
    d->dest_fd = open(d->opts.dest_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (d->dest_fd < 0)
        return bvi_fail_sys(err, errno, "cannot open '%s'", d->opts.dest_dir);
    if (d->mode == BVI_UNPACK_COMPARE)
        return 0;
    r = open_journal(d, err);
    if (r == 0 && d->journal_ours && !d->opts.data_version)
        d->opts.data_version = d->journal_version; /* pinned by the run before */
    return r;
}

/* ---- check ---- */

static void fingerprint(const bvi_download *d, char ret_id[BVI_FINGERPRINT_SIZE])
{
    bvi_fingerprint f;

    bvi_fingerprint_init(&f, "download");
    bvi_fingerprint_text(&f, d->opts.archive);
    bvi_fingerprint_number(&f, d->metadata.data_version);
    bvi_fingerprint_number(&f, d->manifest.compression.kind);
    for (size_t i = 0; i < d->manifest.chunks.len; i++) {
        const bvi_chunk *chunk = &d->manifest.chunks.items[i];

        bvi_fingerprint_number(&f, chunk->size);
        bvi_fingerprint_bytes(&f, chunk->checksum.bytes, bvi_checksum_len(chunk->checksum.kind));
        for (size_t t = 0; t < chunk->targets.len; t++) {
            bvi_fingerprint_text(&f, chunk->targets.items[t].path);
            bvi_fingerprint_number(&f, chunk->targets.items[t].pos);
            bvi_fingerprint_number(&f, chunk->targets.items[t].size);
        }
    }
    bvi_fingerprint_final(&f, ret_id);
}

static int stat_beneath(int dir_fd, const char *path, struct stat *ret_st)
{
    bvi_auto_close int fd = -1;
    int r = bvi_fs_open_beneath(dir_fd, path, O_PATH | O_NOFOLLOW, 0, &fd, NULL);

    if (r == 0 && fstat(fd, ret_st) < 0)
        return BV_E_IO;
    return r;
}

/* Are the files of a chunk that the journal calls done still there and long enough? */
static bool files_still_there(const bvi_download *d, const bvi_chunk *chunk)
{
    for (size_t i = 0; i < chunk->targets.len; i++) {
        const bvi_target *t = &chunk->targets.items[i];
        struct stat st;

        const bvi_manifest_file *file = bvi_manifest_find(&d->manifest, t->path);

        if (file && file->is_protected)
            continue;
        if (stat_beneath(d->dest_fd, t->path, &st) < 0 || !S_ISREG(st.st_mode) ||
            (uint64_t)st.st_size < t->pos + t->size)
            return false;
    }
    return true;
}

static void take_journal(bvi_download *d)
{
    for (size_t i = 0; i < d->journal_done.len; i++) {
        uint32_t index = d->journal_done.items[i];
        const bvi_chunk *chunk;

        if (index >= d->manifest.chunks.len || d->states[index] == BVI_CHUNK_DONE)
            continue;
        chunk = &d->manifest.chunks.items[index];
        if (!files_still_there(d, chunk)) {
            bvi_log_warn(d->ctx, "transfer",
                         "files of finished chunk %u are gone or shorter: it is fetched again",
                         index);
            continue;
        }
        d->states[index] = BVI_CHUNK_DONE;
        d->open_chunks--;
        d->report.now.chunks_done++;
        d->report.now.resumed_chunks++;
        d->report.now.bytes_done += bvi_chunk_plain_bytes(chunk);
    }
}

/* What this archive's files take up on the disk already, room that an earlier run reserved
 * included; and how many of them are still to be made. */
static uint64_t allocated_bytes(const bvi_download *d, uint64_t *ret_files)
{
    uint64_t sum = 0;

    *ret_files = 0;
    for (size_t i = 0; i < d->manifest.files.len; i++) {
        const bvi_manifest_file *file = &d->manifest.files.items[i];
        uint64_t bytes;
        struct stat st;

        if (stat_beneath(d->dest_fd, file->path, &st) < 0) {
            ++*ret_files;
            continue;
        }
        bytes = (uint64_t)st.st_blocks * 512;
        sum += bytes < file->size ? bytes : file->size;
    }
    return sum;
}

/* What chunks under way may take up in the state directory besides, at worst. */
static uint64_t parts_bytes(const bvi_download *d)
{
    uint64_t runners = d->opts.max_runners ? d->opts.max_runners : BV_TRANSFER_RUNNERS_DEFAULT;
    uint64_t largest = 0;

    for (size_t i = 0; i < d->manifest.chunks.len; i++) {
        if (d->manifest.chunks.items[i].size > largest)
            largest = d->manifest.chunks.items[i].size;
    }
    return runners > BV_TRANSFER_RUNNERS_MAX ? BV_TRANSFER_RUNNERS_MAX * largest
                                             : runners * largest;
}

static int check_space(bvi_download *d, bv_error **err)
{
    uint64_t files = 0;
    uint64_t have = allocated_bytes(d, &files);
    uint64_t total = 0;
    uint64_t available = 0;
    uint64_t required;
    int r = bvi_fs_space(d->opts.dest_dir, &total, &available, err);

    if (r < 0)
        return bvi_wrap(err, r, "cannot get available disk space");
    if (have < d->report.now.bytes_done)
        have = d->report.now.bytes_done;
    required = d->manifest.total_size > have ? d->manifest.total_size - have : 0;
    if (required > available) { /* what is kept of chunks is worth less than room for files */
        bvi_part_remove_all(d->opts.meta_dir);
        r = bvi_fs_space(d->opts.dest_dir, &total, &available, err);
        if (r < 0)
            return bvi_wrap(err, r, "cannot get available disk space");
    }
    d->keeps_parts = required <= available && parts_bytes(d) <= available - required;
    d->full_path = d->opts.dest_dir;
    d->full_bytes = required;
    r = bvi_space_check(d->opts.dest_dir, required, files, err);
    if (r == 0 || required <= available)
        return r;
    return bvi_wrap(err, BV_E_IO, "can't download %llu bytes of data while only %llu available",
                    (unsigned long long)required, (unsigned long long)available);
}

static void check_against_journal(bvi_download *d)
{
    char id[BVI_FINGERPRINT_SIZE];

    fingerprint(d, id);
    if (d->journal_ours && strcmp(id, d->journal_id) == 0) {
        take_journal(d);
        return;
    }
    if (d->journal_id[0])
        bvi_log_warn(d->ctx, "transfer", "the journal in '%s' is of another archive: starting over",
                     d->opts.meta_dir);
    d->times_ns = bvi_ctx_wall_us(d->ctx) * 1000;
    memcpy(d->journal_id, id, sizeof(d->journal_id));
    d->journal_ours = false; /* until its header says so */
}

int bvi_download_step_space(bvi_download *d, bv_error **err)
{
    int r;

    if (d->mode != BVI_UNPACK_WRITE)
        return 0;
    r = check_space(d, err);
    if (r < 0 || d->journal_ours)
        return r;
    d->full_path = d->opts.meta_dir;
    d->full_bytes = 0;
    r = write_header(d, d->journal_id, err);
    d->journal_ours = r == 0;
    return r;
}

static void mark_protected(bvi_download *d)
{
    uint64_t count = 0;

    for (size_t i = 0; i < d->manifest.files.len; i++) {
        bvi_manifest_file *file = &d->manifest.files.items[i];

        file->is_protected = bvi_protect_match(d->opts.protect, file->path);
        count += file->is_protected;
    }
    if (count)
        bvi_log_warn(d->ctx, "transfer",
                     "%llu protected files of the archive are left out: this node's own stay",
                     (unsigned long long)count);
}

int bvi_download_step_check(bvi_download *d, bv_error **err)
{
    int r = bvi_manifest_check(&d->manifest, err);

    if (r < 0)
        return r;
    if (d->opts.protect)
        mark_protected(d);
    d->open_chunks = (uint32_t)d->manifest.chunks.len;
    d->report.now.files = d->manifest.files.len;
    if (d->mode == BVI_UNPACK_WRITE)
        check_against_journal(d);
    return 0;
}

/* ---- durability and the end ---- */

static int append_done(bvi_download *d, uint32_t index, bv_error **err)
{
    bvi_auto_json bvi_json *record = bvi_json_new_object();

    if (!record || bvi_json_put_uint64(record, "done", index) < 0)
        return bvi_fail_nomem(err);
    return bvi_journal_append(&d->journal, record, err);
}

static void remove_part(const bvi_download *d, const bvi_chunk *chunk)
{
    bvi_part part = { .path = bvi_part_path(d->opts.meta_dir, chunk), .fd = -1 };

    bvi_part_remove(&part);
    bvi_part_done(&part);
}

int bvi_download_sync_written(bvi_download *d, bv_error **err)
{
    bvi_auto_free const bvi_chunk **chunks = bvi_new_array(const bvi_chunk *, d->syncing.len);
    int r;

    if (!chunks)
        return bvi_fail_nomem(err);
    for (size_t i = 0; i < d->syncing.len; i++)
        chunks[i] = &d->manifest.chunks.items[d->syncing.items[i]];
    d->sync_durable = false;
    r = bvi_unpack_sync(d->dest_fd, &d->manifest, chunks, d->syncing.len, err);
    d->sync_durable = r == 0;
    for (size_t i = 0; r == 0 && i < d->syncing.len; i++)
        r = append_done(d, d->syncing.items[i], err);
    if (r == 0)
        r = bvi_journal_sync(&d->journal, err);
    for (size_t i = 0; r == 0 && d->keeps_parts && i < d->syncing.len; i++)
        remove_part(d, chunks[i]);
    return r;
}

static int check_file(const bvi_download *d, const bvi_manifest_file *file, bv_error **err)
{
    bvi_auto_close int fd = -1;
    struct stat st;
    int r = bvi_fs_open_beneath(d->dest_fd, file->path, O_PATH | O_NOFOLLOW, 0, &fd, err);

    if (r < 0)
        return r;
    if (fstat(fd, &st) < 0)
        return bvi_fail_sys(err, errno, "cannot look at '%s'", file->path);
    if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size != file->size)
        return bvi_fail(err, BV_E_CHECKSUM,
                        "'%s' has %llu bytes instead of %llu: something else wrote to it",
                        file->path, (unsigned long long)st.st_size, (unsigned long long)file->size);
    return 0;
}

int bvi_download_step_finish(bvi_download *d, bv_error **err)
{
    if (d->mode != BVI_UNPACK_WRITE)
        return 0;
    for (size_t i = 0; i < d->manifest.files.len; i++) {
        const bvi_manifest_file *file = &d->manifest.files.items[i];
        int r = file->is_protected ? 0 : check_file(d, file, err);

        if (r < 0)
            return r;
    }
    bvi_part_remove_all(d->opts.meta_dir);
    return bvi_journal_remove(&d->journal, err);
}
