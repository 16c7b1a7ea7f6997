/*
 * support.h - trees of files, and running one transfer to its end.
 */
#ifndef TRANSFER_SUPPORT_H
#define TRANSFER_SUPPORT_H

#include <blockvisor/transfer.h>

#include "bvt.h"

/* A file of pseudo-random, half compressible bytes; parents are made. Sizes are exact. */
void make_file(const char *root, const char *name, size_t size, unsigned seed);
void make_text(const char *root, const char *name, const char *text);
/* Small, empty and large files, names with spaces and dots, nested directories. */
void make_mixed_tree(const char *root, size_t big_bytes);
/* Paths, sizes and content of all regular files below root, sorted: equal trees give equal texts.
 * Freed with free(). */
char *describe_tree(const char *root);
void assert_same_tree(const char *a, const char *b);

bv_ctx *make_ctx(unsigned workers);

/* How an operation ended. */
typedef struct outcome {
    bool done;
    int code;
    int errnum;
    char text[2048];
    bv_transfer_status status;
    char phase[32];
    unsigned reports;
    uint64_t cancel_at; /* cancels when bytes_done reaches it; 0: never */
} outcome;

void on_outcome(bv_op *op, const bv_error *err, const bv_transfer_status *status, void *data);
void on_report(bv_op *op, const bv_transfer_status *status, void *data);
void wait_outcome(bv_ctx *ctx, outcome *o);

/* Starts, runs to the end, frees. `data`, `status` of the options are set here. Returns the code.
 */
int run_upload(unsigned workers, bv_upload_opts *opts, outcome *o);
int run_download(unsigned workers, bv_download_opts *opts, outcome *o);
int run_verify(unsigned workers, bv_verify_opts *opts, outcome *o);

#endif
