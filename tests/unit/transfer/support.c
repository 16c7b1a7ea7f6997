/*
 * support.c - see support.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/blake3.h"
#include "support.h"

static void make_parents(char *path)
{
    for (char *at = path + 1; *at; at++) {
        if (*at != '/')
            continue;
        *at = '\0';
        ck_assert(mkdir(path, 0755) == 0 || errno == EEXIST);
        *at = '/';
    }
}

static int create(const char *root, const char *name)
{
    char path[4096];
    int fd;

    (void)snprintf(path, sizeof(path), "%s/%s", root, name);
    make_parents(path);
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    ck_assert_msg(fd >= 0, "cannot make %s", path);
    return fd;
}

void make_file(const char *root, const char *name, size_t size, unsigned seed)
{
    static uint8_t block[65536];
    uint64_t x = 88172645463325252ull + seed;
    int fd = create(root, name);

    for (size_t done = 0; done < size;) {
        size_t n = size - done < sizeof(block) ? size - done : sizeof(block);

        for (size_t i = 0; i < sizeof(block); i++) {
            x ^= x << 13;
            x ^= x >> 7;
            x ^= x << 17;
            block[i] = (x >> 60) & 1 ? (uint8_t)x : (uint8_t)('a' + i % 7);
        }
        ck_assert_int_eq(write(fd, block, n), (ssize_t)n);
        done += n;
    }
    (void)close(fd);
}

void make_text(const char *root, const char *name, const char *text)
{
    int fd = create(root, name);

    ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    (void)close(fd);
}

void make_mixed_tree(const char *root, size_t big_bytes)
{
    char name[64];

    make_file(root, "chain/big.mdb", big_bytes, 1);
    make_file(root, "chain/blk 0001.dat", big_bytes / 3 + 17, 2);
    make_file(root, "chain/deep/er/still/x", 100001, 3);
    make_file(root, "one", 1, 4);
    make_file(root, "empty", 0, 0);
    make_file(root, "chain/empty too", 0, 0);
    for (unsigned i = 0; i < 60; i++) {
        (void)snprintf(name, sizeof(name), "small/%u/file.%u.sst", i % 7, i);
        make_file(root, name, 13 * i * i, i);
    }
}

/* nftw() has no argument for its callback. */
static struct {
    char *lines[20000];
    size_t len;
    size_t skip;
} found;

static int add_line(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    static uint8_t block[65536];
    uint8_t digest[BVI_BLAKE3_SIZE];
    bvi_blake3 hash;
    char line[4600];
    ssize_t n;
    int fd;

    (void)ftw;
    if (type != FTW_F || !S_ISREG(st->st_mode))
        return 0;
    bvi_blake3_init(&hash);
    fd = open(path, O_RDONLY);
    while ((n = read(fd, block, sizeof(block))) > 0)
        bvi_blake3_update(&hash, block, (size_t)n);
    (void)close(fd);
    bvi_blake3_final(&hash, digest);
    (void)snprintf(line, sizeof(line), "%s %llu %02x%02x%02x%02x%02x%02x%02x%02x\n",
                   path + found.skip, (unsigned long long)st->st_size, digest[0], digest[1],
                   digest[2], digest[3], digest[4], digest[5], digest[6], digest[7]);
    found.lines[found.len++] = strdup(line);
    return 0;
}

static int compare_lines(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

char *describe_tree(const char *root)
{
    char *text;
    size_t total = 1;

    found.len = 0;
    found.skip = strlen(root);
    (void)nftw(root, add_line, 16, FTW_PHYS);
    if (found.len > 0)
        qsort(found.lines, found.len, sizeof(*found.lines), compare_lines);
    for (size_t i = 0; i < found.len; i++)
        total += strlen(found.lines[i]);
    text = calloc(1, total);
    for (size_t i = 0; i < found.len; i++) {
        strcat(text, found.lines[i]);
        free(found.lines[i]);
    }
    return text;
}

void assert_same_tree(const char *a, const char *b)
{
    char *left = describe_tree(a);
    char *right = describe_tree(b);

    ck_assert_str_eq(left, right);
    free(left);
    free(right);
}

bv_ctx *make_ctx(unsigned workers)
{
    bv_ctx_opts opts = BV_CTX_OPTS_INIT;
    bv_ctx *ctx = NULL;
    bv_error *err = NULL;

    opts.workers = workers;
    bvt_assert_ok(bv_ctx_new(&opts, &ctx, &err), err);
    return ctx;
}

void on_outcome(bv_op *op, const bv_error *err, const bv_transfer_status *status, void *data)
{
    outcome *o = data;

    (void)op;
    ck_assert(!o->done);
    o->done = true;
    o->code = bv_error_code(err);
    o->errnum = bv_error_errno(err);
    (void)bv_error_format(err, o->text, sizeof(o->text));
    o->status = *status;
    (void)snprintf(o->phase, sizeof(o->phase), "%s", status->phase);
}

void on_report(bv_op *op, const bv_transfer_status *status, void *data)
{
    outcome *o = data;

    o->reports++;
    ck_assert(status->bytes_done <= status->bytes_total || !status->bytes_total);
    ck_assert(status->chunks_done <= status->chunks_total || !status->chunks_total);
    if (o->cancel_at && status->bytes_done >= o->cancel_at)
        bv_op_cancel(op);
}

void wait_outcome(bv_ctx *ctx, outcome *o)
{
    while (!o->done) {
        int r = bv_ctx_dispatch(ctx, 30000);

        ck_assert_msg(r > 0, "the transfer hangs (dispatch %d)", r);
    }
}

static int end(bv_ctx *ctx, int r, bv_op *op, bv_error *err, outcome *o)
{
    if (r < 0) {
        o->code = r;
        o->errnum = bv_error_errno(err);
        (void)bv_error_format(err, o->text, sizeof(o->text));
        bv_error_free(err);
    } else {
        wait_outcome(ctx, o);
        bv_op_unref(op);
    }
    bv_ctx_free(ctx);
    return o->code;
}

int run_upload(unsigned workers, bv_upload_opts *opts, outcome *o)
{
    bv_ctx *ctx = make_ctx(workers);
    bv_error *err = NULL;
    bv_op *op = NULL;
    int r;

    *o = (outcome){ .cancel_at = o->cancel_at };
    opts->data = o;
    opts->status = on_report;
    r = bv_upload_start(ctx, opts, on_outcome, &op, &err);
    return end(ctx, r, op, err, o);
}

int run_download(unsigned workers, bv_download_opts *opts, outcome *o)
{
    bv_ctx *ctx = make_ctx(workers);
    bv_error *err = NULL;
    bv_op *op = NULL;
    int r;

    *o = (outcome){ .cancel_at = o->cancel_at };
    opts->data = o;
    opts->status = on_report;
    r = bv_download_start(ctx, opts, on_outcome, &op, &err);
    return end(ctx, r, op, err, o);
}

int run_verify(unsigned workers, bv_verify_opts *opts, outcome *o)
{
    bv_ctx *ctx = make_ctx(workers);
    bv_error *err = NULL;
    bv_op *op = NULL;
    int r;

    *o = (outcome){ .cancel_at = o->cancel_at };
    opts->data = o;
    opts->status = on_report;
    r = bv_snapshot_verify_start(ctx, opts, on_outcome, &op, &err);
    return end(ctx, r, op, err, o);
}
