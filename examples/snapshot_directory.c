/*
 * snapshot_directory.c - a directory into a store as a snapshot, changed and put there again, and
 * fetched back: what moves is what changed. The context is driven by a poll() loop of our own, as a
 * program with a loop would do it.
 *
 *     snapshot_directory WORK-DIRECTORY
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <blockvisor/store.h>

#define FILE_BYTES (4u << 20)

/* One operation after the other; a real program would do other things meanwhile. */
typedef struct task {
    bv_op *op;
    int done;
    int failed;
    bv_transfer_status status; /* of the last transfer; its texts are gone */
} task;

static void report(task *t, const bv_error *err)
{
    char text[1024];

    (void)bv_error_format(err, text, sizeof(text));
    if (err)
        (void)fprintf(stderr, "failed: %s\n", text);
    t->failed |= err != NULL;
    t->done = 1;
}

static void on_transfer(bv_op *op, const bv_error *err, const bv_transfer_status *status,
                        void *data)
{
    task *t = data;

    (void)op;
    t->status = *status;
    report(t, err);
}

static void on_looked(bv_op *op, const bv_error *err, void *data)
{
    (void)op;
    report(data, err);
}

static int on_change(bv_op *op, const bv_snapshot_change *change, void *data)
{
    (void)op;
    (void)data;
    if (change->kind == BV_ENTRY_FILE)
        (void)printf("  '%s' differs in %llu bytes\n", change->path,
                     (unsigned long long)change->changed_bytes);
    return 0;
}

/* Our loop: whatever else the program waits for stands in the same poll(). */
static int wait_for(bv_ctx *ctx, task *t, int r)
{
    while (r == 0 && !t->done) {
        struct pollfd fd = { .fd = bv_ctx_fd(ctx), .events = POLLIN };

        if (poll(&fd, 1, -1) < 0 && errno != EINTR)
            return -1;
        r = bv_ctx_dispatch(ctx, 0) < 0 ? -1 : 0;
    }
    bv_op_unref(t->op);
    t->op = NULL;
    t->done = 0;
    return r < 0 || t->failed ? -1 : 0;
}

static int upload(bv_ctx *ctx, const char *store, const char *dir, task *t, bv_error **err)
{
    bv_upload_opts opts = BV_UPLOAD_OPTS_INIT;
    int r;

    opts.store = store;
    opts.key = "example";
    opts.source_dir = dir;
    opts.format = BV_FORMAT_SNAPSHOT;
    opts.data = t;
    r = wait_for(ctx, t, bv_upload_start(ctx, &opts, on_transfer, &t->op, err));
    if (r == 0)
        (void)printf("version %llu: %llu bytes, %llu of them sent, compressed\n",
                     (unsigned long long)t->status.data_version,
                     (unsigned long long)t->status.bytes_total,
                     (unsigned long long)t->status.stored_done);
    return r;
}

static int compare(bv_ctx *ctx, const char *store, task *t, bv_error **err)
{
    bv_store_opts opts = BV_STORE_OPTS_INIT;
    uint64_t now = t->status.data_version;

    opts.store = store;
    opts.key = "example";
    opts.data_version = now;
    (void)printf("from version %llu to %llu:\n", (unsigned long long)now - 1,
                 (unsigned long long)now);
    return wait_for(ctx, t,
                    bv_store_diff_start(ctx, &opts, now - 1, on_change, on_looked, t, &t->op, err));
}

static int download(bv_ctx *ctx, const char *store, const char *dir, task *t, bv_error **err)
{
    bv_download_opts opts = BV_DOWNLOAD_OPTS_INIT;
    int r;

    opts.store = store;
    opts.key = "example";
    opts.dest_dir = dir;
    opts.data = t;
    r = wait_for(ctx, t, bv_download_start(ctx, &opts, on_transfer, &t->op, err));
    if (r == 0)
        (void)printf("fetched %llu bytes; %llu were there already\n",
                     (unsigned long long)t->status.stored_done,
                     (unsigned long long)t->status.reused_bytes);
    return r;
}

/* Something to move: bytes that do not repeat, `seed` in the middle of them. */
static int make_data(const char *dir, unsigned seed)
{
    char path[4096];
    unsigned value = 1;
    FILE *f;

    (void)snprintf(path, sizeof(path), "%s/blocks", dir);
    if ((mkdir(dir, 0755) < 0 && errno != EEXIST) || !(f = fopen(path, "wb")))
        return -1;
    for (unsigned i = 0; i < FILE_BYTES; i++) {
        value = value * 1664525u + 1013904223u;
        (void)putc(i == FILE_BYTES / 2 ? (int)(seed & 255) : (int)(value >> 24), f);
    }
    return fclose(f);
}

static int run(bv_ctx *ctx, const char *work, bv_error **err)
{
    char store[4096], source[4096], dest[4096];
    task t = { 0 };

    (void)snprintf(store, sizeof(store), "dir:%s/store", work);
    (void)snprintf(source, sizeof(source), "%s/source", work);
    (void)snprintf(dest, sizeof(dest), "%s/copy", work);
    if ((mkdir(work, 0755) < 0 && errno != EEXIST) || make_data(source, 1) < 0)
        return -1;
    if (upload(ctx, store, source, &t, err) < 0 || download(ctx, store, dest, &t, err) < 0)
        return -1;
    if (make_data(source, 2) < 0 || upload(ctx, store, source, &t, err) < 0)
        return -1;
    return compare(ctx, store, &t, err) < 0 ? -1 : download(ctx, store, dest, &t, err);
}

int main(int argc, char **argv)
{
    bv_ctx_opts opts = BV_CTX_OPTS_INIT;
    bv_ctx *ctx = NULL;
    bv_error *err = NULL;
    char text[1024];
    int r;

    if (argc != 2 || argv[1][0] != '/') {
        (void)fputs("usage: snapshot_directory /WORK/DIRECTORY\n", stderr);
        return 2;
    }
    opts.workers = 2; /* reading, compression and digests beside the loop */
    r = bv_ctx_new(&opts, &ctx, &err);
    if (r == 0)
        r = run(ctx, argv[1], &err);
    if (err) {
        (void)bv_error_format(err, text, sizeof(text));
        (void)fprintf(stderr, "failed: %s\n", text);
    }
    bv_error_free(err);
    bv_ctx_free(ctx);
    return r < 0;
}
