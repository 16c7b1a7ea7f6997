/*
 * move_directory.c - upload a directory to a store as a snapshot, or fetch one; the transfer engine
 * without a host.
 *
 *     move_directory upload   dir:/srv/store my-key /var/lib/chain
 *     move_directory download http://127.0.0.1:8080/store my-key /tmp/chain
 *
 * An interrupted transfer goes on where it was when the same command is given again.
 */
#include <stdio.h>
#include <string.h>

#include <blockvisor/transfer.h>

typedef struct outcome {
    bv_ctx *ctx;
    int failed;
} outcome;

static void on_status(bv_op *op, const bv_transfer_status *status, void *data)
{
    (void)op;
    (void)data;
    (void)fprintf(stderr, "\r%-9s %u of %u chunks, %llu MB/s ", status->phase,
                  (unsigned)status->chunks_done, (unsigned)status->chunks_total,
                  (unsigned long long)status->bytes_per_s / 1000000);
}

static void on_done(bv_op *op, const bv_error *err, const bv_transfer_status *status, void *data)
{
    outcome *o = data;
    char text[1024];

    (void)op;
    (void)bv_error_format(err, text, sizeof(text));
    if (err)
        (void)fprintf(stderr, "\nfailed: %s\n", text);
    else
        (void)fprintf(stderr, "\nversion %llu, %llu bytes\n",
                      (unsigned long long)status->data_version,
                      (unsigned long long)status->bytes_total);
    o->failed = err != NULL;
    bv_ctx_stop(o->ctx);
}

static int start(bv_ctx *ctx, char **argv, outcome *o, bv_op **ret_op, bv_error **err)
{
    bv_upload_opts up = BV_UPLOAD_OPTS_INIT;
    bv_download_opts down = BV_DOWNLOAD_OPTS_INIT;

    up.store = down.store = argv[2];
    up.key = down.key = argv[3];
    up.source_dir = down.dest_dir = argv[4];
    up.status = down.status = on_status;
    up.data = down.data = o;
    return strcmp(argv[1], "upload") == 0 ? bv_upload_start(ctx, &up, on_done, ret_op, err)
                                          : bv_download_start(ctx, &down, on_done, ret_op, err);
}

int main(int argc, char **argv)
{
    bv_ctx_opts opts = BV_CTX_OPTS_INIT;
    outcome o = { NULL, 1 };
    bv_error *err = NULL;
    bv_op *op = NULL;
    char text[1024];

    if (argc != 5 || (strcmp(argv[1], "upload") != 0 && strcmp(argv[1], "download") != 0)) {
        (void)fputs("usage: move_directory upload|download STORE KEY DIRECTORY\n", stderr);
        return 2;
    }
    opts.workers = 2; /* compression and digests beside the loop */
    if (bv_ctx_new(&opts, &o.ctx, &err) == 0 && start(o.ctx, argv, &o, &op, &err) == 0)
        (void)bv_ctx_run(o.ctx);
    if (err) {
        (void)bv_error_format(err, text, sizeof(text));
        (void)fprintf(stderr, "failed: %s\n", text);
    }
    bv_op_unref(op);
    bv_error_free(err);
    bv_ctx_free(o.ctx);
    return o.failed;
}
