/* The calls of blockvisor/store.h: what a store holds, as a document. */
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <blockvisor/store.h>

#include "../transfer/support.h"

typedef struct listed {
    bool done;
    int code;
    char text[2048]; /* the document, or the error */
} listed;

static void on_list(bv_op *op, const bv_doc *reply, const bv_error *err, void *data)
{
    listed *l = data;
    char *text = NULL;

    (void)op;
    ck_assert(!l->done);
    l->done = true;
    l->code = bv_error_code(err);
    if (err)
        (void)bv_error_format(err, l->text, sizeof(l->text));
    else if (bv_doc_print(reply, 0, &text, NULL) == 0)
        (void)snprintf(l->text, sizeof(l->text), "%s", text);
    bv_free(text);
}

static int list(bv_ctx *ctx, const char *store, const char *key, listed *l)
{
    bv_store_opts opts = BV_STORE_OPTS_INIT;
    bv_op *op = NULL;
    int r;

    *l = (listed){ 0 };
    opts.store = store;
    opts.key = key;
    r = bv_store_list_start(ctx, &opts, on_list, l, &op, NULL);
    if (r < 0)
        return r;
    ck_assert(!l->done);
    while (!l->done)
        ck_assert_int_ge(bv_ctx_dispatch(ctx, 1000), 0);
    bv_op_unref(op);
    return l->code;
}

/* Uploads a small tree under a key. */
static void upload(const char *store, const char *key, const char *source, const char *state)
{
    bv_upload_opts opts = BV_UPLOAD_OPTS_INIT;
    outcome o = { 0 };

    opts.store = store;
    opts.key = key;
    opts.source_dir = source;
    opts.state_dir = state;
    ck_assert_int_eq(run_upload(0, &opts, &o), 0);
}

START_TEST(lists_in_order)
{
    const char *dir = bvt_dir();
    char store[300], source[300], state[300];
    bv_ctx *ctx = make_ctx(0);
    listed l;

    (void)snprintf(store, sizeof(store), "dir:%s/store", dir);
    (void)snprintf(source, sizeof(source), "%s/source", dir);
    (void)snprintf(state, sizeof(state), "%s/state", dir);
    make_text(source, "a", "some text");
    ck_assert_int_eq(list(ctx, store, NULL, &l), 0);
    ck_assert_str_eq(l.text, "{\"snapshots\":[]}");
    for (int i = 0; i < 11; i++)
        upload(store, "zeta", source, state);
    upload(store, "alpha", source, state);
    ck_assert_int_eq(list(ctx, store, NULL, &l), 0);
    ck_assert_ptr_nonnull(strstr(l.text, "[{\"key\":\"alpha\",\"version\":1,\"format\":\"archive\","));
    ck_assert_ptr_nonnull(strstr(l.text, "\"version\":9,"));
    ck_assert(strstr(l.text, "\"version\":9,") < strstr(l.text, "\"version\":10,"));
    ck_assert_int_eq(list(ctx, store, "alpha", &l), 0);
    ck_assert_ptr_null(strstr(l.text, "zeta"));
    bv_ctx_free(ctx);
}
END_TEST

START_TEST(mistakes)
{
    bv_store_opts opts = BV_STORE_OPTS_INIT;
    bv_ctx *ctx = make_ctx(0);
    listed l;

    ck_assert_int_eq(bv_store_list_start(ctx, &opts, on_list, &l, NULL, NULL), BV_E_INVALID);
    opts.store = "dir:/tmp";
    opts.size = 0;
    ck_assert_int_eq(bv_store_list_start(ctx, &opts, on_list, &l, NULL, NULL), BV_E_INVALID);
    ck_assert_int_eq(list(ctx, "gopher://x", NULL, &l), BV_E_INVALID);
    ck_assert_int_lt(list(ctx, "s3://no/such/bucket?endpoint=x", NULL, &l), 0);
    bv_ctx_free(ctx);
}
END_TEST

START_TEST(failed_allocations)
{
    const char *dir = bvt_dir();
    char store[300], source[300], state[300];

    (void)snprintf(store, sizeof(store), "dir:%s/store", dir);
    (void)snprintf(source, sizeof(source), "%s/source", dir);
    (void)snprintf(state, sizeof(state), "%s/state", dir);
    make_text(source, "a", "some text");
    upload(store, "key", source, state);
    bvt_for_each_failed_allocation(n) {
        bv_ctx *ctx = NULL;
        listed l;
        int r = bv_ctx_new(NULL, &ctx, NULL);

        if (r == 0)
            r = list(ctx, store, NULL, &l);
        ck_assert(r == 0 || r == BV_E_NOMEM);
        bv_ctx_free(ctx);
    }
}
END_TEST

/* ---- what is in snapshots ---- */

typedef struct told {
    bool done;
    int code;
    char text[1024]; /* of the error */
    char lines[2048];
    size_t len;
    int stop_with; /* what callbacks return */
} told;

static void on_done(bv_op *op, const bv_error *err, void *data)
{
    told *t = data;

    (void)op;
    ck_assert(!t->done);
    t->done = true;
    t->code = bv_error_code(err);
    (void)bv_error_format(err, t->text, sizeof(t->text));
}

static int on_entry(bv_op *op, const bv_snapshot_entry *e, void *data)
{
    told *t = data;

    ck_assert_ptr_nonnull(op);
    ck_assert_uint_eq(e->size, sizeof(*e));
    t->len += (size_t)snprintf(t->lines + t->len, sizeof(t->lines) - t->len, "%d %s %llu %s\n",
                               (int)e->kind, e->path, (unsigned long long)e->bytes,
                               e->target ? e->target : "-");
    return t->stop_with;
}

static int on_change(bv_op *op, const bv_snapshot_change *c, void *data)
{
    told *t = data;

    ck_assert_ptr_nonnull(op);
    if (c->kind == BV_ENTRY_FILE)
        t->len += (size_t)snprintf(t->lines + t->len, sizeof(t->lines) - t->len, "%d %s %llu\n",
                                   (int)c->change, c->path, (unsigned long long)c->changed_bytes);
    return t->stop_with;
}

static int on_bytes(bv_op *op, const void *bytes, size_t len, void *data)
{
    told *t = data;

    ck_assert_ptr_nonnull(op);
    ck_assert_uint_lt(t->len + len, sizeof(t->lines));
    memcpy(t->lines + t->len, bytes, len);
    t->len += len;
    return t->stop_with;
}

/* Asks by one of the three calls; path: cat; old: diff. */
static int look(bv_ctx *ctx, const bv_store_opts *opts, const char *path, uint64_t old, told *t)
{
    bv_op *op = NULL;
    int stop_with = t->stop_with;
    int r;

    *t = (told){ .stop_with = stop_with };
    r = path  ? bv_store_cat_start(ctx, opts, path, on_bytes, on_done, t, &op, NULL)
        : old ? bv_store_diff_start(ctx, opts, old, on_change, on_done, t, &op, NULL)
              : bv_store_files_start(ctx, opts, on_entry, on_done, t, &op, NULL);
    if (r < 0)
        return r;
    ck_assert(!t->done);
    while (!t->done)
        ck_assert_int_ge(bv_ctx_dispatch(ctx, 1000), 0);
    bv_op_unref(op);
    return t->code;
}

static void upload_snapshot(const char *store)
{
    bv_upload_opts opts = BV_UPLOAD_OPTS_INIT;
    outcome o = { 0 };

    opts.store = store;
    opts.key = "key";
    opts.source_dir = bvt_path("source");
    opts.format = BV_FORMAT_SNAPSHOT;
    ck_assert_msg(run_upload(0, &opts, &o) == 0, "%s", o.text);
}

/* Two versions; the store's URI. */
static const char *make_versions(void)
{
    const char *store = bvt_format("dir:%s", bvt_path("store"));

    make_text(bvt_path("source"), "dir/a", "first");
    make_text(bvt_path("source"), "gone", "old");
    ck_assert_int_eq(symlink("dir/a", bvt_path("source/link")), 0);
    upload_snapshot(store);
    make_text(bvt_path("source"), "dir/a", "second");
    make_text(bvt_path("source"), "new", "new");
    ck_assert_int_eq(unlink(bvt_path("source/gone")), 0);
    upload_snapshot(store);
    return store;
}

START_TEST(looks_into_snapshots)
{
    bv_store_opts opts = BV_STORE_OPTS_INIT;
    bv_ctx *ctx = make_ctx(1);
    told t = { 0 };

    opts.store = make_versions();
    opts.key = "key";
    ck_assert_msg(look(ctx, &opts, NULL, 0, &t) == 0, "%s", t.text);
    ck_assert_str_eq(t.lines, "1  0 -\n1 dir 0 -\n2 dir/a 6 -\n4 link 0 dir/a\n2 new 3 -\n");
    ck_assert_int_eq(look(ctx, &opts, "dir/a", 0, &t), 0);
    ck_assert_str_eq(t.lines, "second");
    ck_assert_int_eq(look(ctx, &opts, "dir/b", 0, &t), BV_E_NOT_FOUND);
    ck_assert_int_eq(look(ctx, &opts, "dir", 0, &t), BV_E_INVALID);
    ck_assert_int_eq(look(ctx, &opts, NULL, 1, &t), 0);
    ck_assert_str_eq(t.lines, "3 dir/a 6\n2 gone 3\n1 new 3\n");
    opts.data_version = 1;
    ck_assert_int_eq(look(ctx, &opts, "dir/a", 0, &t), 0);
    ck_assert_str_eq(t.lines, "first");
    opts.data_version = 9;
    ck_assert_int_eq(look(ctx, &opts, NULL, 0, &t), BV_E_NOT_FOUND);
    opts.data_version = 0;
    t.stop_with = BV_E_LIMIT;
    ck_assert_int_eq(look(ctx, &opts, NULL, 0, &t), BV_E_LIMIT);
    ck_assert_int_eq(look(ctx, &opts, "dir/a", 0, &t), BV_E_LIMIT);
    opts.key = NULL;
    ck_assert_int_eq(look(ctx, &opts, NULL, 0, &t), BV_E_INVALID);
    bv_ctx_free(ctx);
}
END_TEST

static int prune(bv_ctx *ctx, const bv_prune_opts *how, listed *l)
{
    bv_store_opts opts = BV_STORE_OPTS_INIT;
    int r;

    *l = (listed){ 0 };
    opts.store = bvt_format("dir:%s", bvt_path("store"));
    opts.key = "key";
    r = bv_store_prune_start(ctx, &opts, how, on_list, l, NULL, NULL);
    while (r == 0 && !l->done)
        ck_assert_int_ge(bv_ctx_dispatch(ctx, 1000), 0);
    return r < 0 ? r : l->code;
}

START_TEST(prunes)
{
    const uint64_t keep[] = { 1 };
    bv_prune_opts how = BV_PRUNE_OPTS_INIT;
    bv_ctx *ctx = make_ctx(0);
    listed l;

    (void)make_versions();
    how.keep_last = 1;
    how.grace_secs = -1;
    how.dry_run = 1;
    ck_assert_msg(prune(ctx, &how, &l) == 0, "%s", l.text);
    ck_assert_ptr_nonnull(strstr(l.text, "\"removed\":[1],\"key\":\"key\",\"dry_run\":true"));
    how.dry_run = 0;
    how.keep = keep;
    how.keep_count = 1;
    ck_assert_int_eq(prune(ctx, &how, &l), 0);
    ck_assert_ptr_nonnull(strstr(l.text, "\"removed\":[],"));
    how.keep_count = 0;
    ck_assert_int_eq(prune(ctx, &how, &l), 0);
    ck_assert_ptr_nonnull(strstr(l.text, "\"removed\":[1],"));
    ck_assert(!bvt_exists(bvt_path("store/key/1/snapshot.json")));
    how.size = 0;
    ck_assert_int_eq(prune(ctx, &how, &l), BV_E_INVALID);
    bv_ctx_free(ctx);
}
END_TEST

/* Whichever allocation fails, each question is answered, and with nothing else. */
START_TEST(failed_allocations_of_looks)
{
    bv_store_opts opts = BV_STORE_OPTS_INIT;
    bv_prune_opts how = BV_PRUNE_OPTS_INIT;

    opts.store = make_versions();
    opts.key = "key";
    how.keep_last = 1;
    how.dry_run = 1;
    bvt_for_each_failed_allocation(n) {
        bv_ctx *ctx = NULL;
        told t = { 0 };
        listed l;
        int r = bv_ctx_new(NULL, &ctx, NULL);

        if (r == 0)
            r = _i == 0   ? look(ctx, &opts, NULL, 0, &t)
                : _i == 1 ? look(ctx, &opts, "dir/a", 0, &t)
                : _i == 2 ? look(ctx, &opts, NULL, 1, &t)
                          : prune(ctx, &how, &l);
        ck_assert_msg(r == 0 || r == BV_E_NOMEM, "%d", r);
        bv_ctx_free(ctx);
    }
}
END_TEST

BVT_MAIN("snapshot/store_api", bvt_test(lists_in_order), bvt_test(mistakes),
         bvt_test(failed_allocations), bvt_test(looks_into_snapshots), bvt_test(prunes),
         bvt_times(failed_allocations_of_looks, 4))
