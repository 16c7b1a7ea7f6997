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
    ck_assert_ptr_nonnull(strstr(l.text, "[{\"key\":\"alpha\",\"version\":1,\"total_bytes\":9,"));
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

BVT_MAIN("snapshot/store_api", bvt_test(lists_in_order), bvt_test(mistakes),
         bvt_test(failed_allocations))
