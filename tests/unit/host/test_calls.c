/* The table of calls, and the typed calls over it: each sends what the table says. */
#include <stdio.h>

#include "door.h"
#include "host/calls.h"

START_TEST(the_table)
{
    const bvi_call *call = bvi_call_by_id((bvi_call_id)_i);
    const char *cursor = call->args;
    unsigned in_path = 0, holes = 0;
    bvi_call_arg arg;

    ck_assert_int_eq((int)call->id, _i);
    ck_assert_ptr_eq(bvi_call_by_name(call->name), call);
    ck_assert_ptr_nonnull(strchr(call->name, '.'));
    ck_assert_int_eq(strncmp(call->path, "/v1/", 4), 0);
    while (bvi_call_next_arg(&cursor, &arg)) {
        ck_assert_ptr_nonnull(strchr("sbudoa", arg.type));
        if (bvi_call_arg_in_path(call, &arg)) {
            ck_assert(arg.required);
            ck_assert_int_eq(arg.type, 's');
            in_path++;
        }
    }
    ck_assert_str_eq(cursor + strspn(cursor, " "), ""); /* all of it was understood */
    for (const char *at = call->path; (at = strchr(at, '{')); at++)
        holes++;
    ck_assert_uint_eq(holes, in_path);
    /* No two calls are the same request. */
    for (int other = 0; other < _i; other++) {
        const bvi_call *o = bvi_call_by_id((bvi_call_id)other);

        ck_assert(strcmp(o->path, call->path) != 0 ||
                  strcmp(o->http_method, call->http_method) != 0);
        ck_assert_str_ne(o->name, call->name);
    }
}
END_TEST

START_TEST(no_such_call)
{
    ck_assert_ptr_null(bvi_call_by_name("node"));
    ck_assert_ptr_null(bvi_call_by_name(""));
    ck_assert_ptr_null(bvi_call_by_name("NODE.LIST"));
}
END_TEST

/* ---- the typed calls ---- */

typedef struct outcome {
    unsigned ended;
    int code;
    bv_doc *reply;
} outcome;

static void on_end(bv_op *op, const bv_doc *reply, const bv_error *err, void *data)
{
    outcome *o = data;

    o->ended++;
    o->code = bv_error_code(err);
    if (reply)
        ck_assert_int_eq(bv_doc_copy(reply, &o->reply, NULL), 0);
}

static void wait_for(door *d, outcome *o, int r, bv_op *op, const bv_error *err)
{
    bvt_assert_ok(r, err);
    ck_assert_ptr_nonnull(op);
    for (int i = 0; i < 500 && !o->ended; i++)
        door_turn(d);
    ck_assert_uint_eq(o->ended, 1);
    bv_op_unref(op);
}

/* Makes a typed call and expects a code; the reply stays in o until the next one. */
#define expect(want, fn, ...)                                                                      \
    do {                                                                                           \
        bv_op *op_ = NULL;                                                                         \
        bv_error *err_ = NULL;                                                                     \
        bv_doc *before_ = o.reply;                                                                 \
        o = (outcome){ 0 };                                                                        \
        int r_ = fn(d.host, __VA_ARGS__, on_end, &o, &op_, &err_);                                 \
        bv_doc_free(before_);                                                                      \
        wait_for(&d, &o, r_, op_, err_);                                                           \
        ck_assert_int_eq(o.code, want);                                                            \
    } while (0)
#define expect0(want, fn)                                                                          \
    do {                                                                                           \
        bv_op *op_ = NULL;                                                                         \
        bv_error *err_ = NULL;                                                                     \
        bv_doc *before_ = o.reply;                                                                 \
        o = (outcome){ 0 };                                                                        \
        int r_ = fn(d.host, on_end, &o, &op_, &err_);                                              \
        bv_doc_free(before_);                                                                      \
        wait_for(&d, &o, r_, op_, err_);                                                           \
        ck_assert_int_eq(o.code, want);                                                            \
    } while (0)

START_TEST(typed_calls)
{
    static const char properties_text[] = "{\"block-ms\":\"50\"}", tags_text[] = "[\"a\"]";
    bv_node_run_opts run = BV_NODE_RUN_OPTS_INIT;
    bv_node_create_opts opts = BV_NODE_CREATE_OPTS_INIT;
    bv_prune_opts prune = BV_PRUNE_OPTS_INIT;
    const uint64_t keep[] = { 1 };
    bv_doc *properties = NULL, *tags = NULL;
    outcome o = { 0 };
    char cursor[64];
    door d;

    door_open(&d, "?nodes=1");
    expect0(0, bv_host_info);
    ck_assert_str_eq(door_str(o.reply, "driver"), "fake");
    expect(0, bv_host_events, -1, 0);
    expect(0, bv_host_events, 0, 1);
    ck_assert_int_eq(bv_doc_parse(properties_text, sizeof(properties_text) - 1, &properties, NULL),
                     0);
    ck_assert_int_eq(bv_doc_parse(tags_text, sizeof(tags_text) - 1, &tags, NULL), 0);
    opts.name = "n";
    opts.image = "fake/fake-main";
    opts.variant = "fake-main";
    opts.network = "none";
    opts.properties = properties;
    opts.tags = tags;
    opts.store_key = "key";
    opts.snapshot_version = 3;
    opts.memory_mb = 100;
    opts.cpus = 1.5;
    expect(0, bv_node_create, &opts);
    ck_assert_str_eq(door_str(o.reply, "store_key"), "key");
    ck_assert_str_eq(door_str(bv_doc_get(o.reply, "properties"), "block-ms"), "50");
    expect(BV_E_EXISTS, bv_node_create, &opts);
    bv_doc_free(properties);
    bv_doc_free(tags);
    expect0(0, bv_node_list);
    ck_assert_uint_eq(bv_doc_count(bv_doc_get(o.reply, "nodes")), 2);
    expect(0, bv_node_show, "n");
    expect(0, bv_node_start, "n");
    expect(0, bv_node_restart, "n", 1);
    run.param = "x";
    run.timeout_ms = 1000;
    expect(0, bv_node_run, "n", "echo", &run);
    ck_assert_str_eq(door_str(o.reply, "result"), "x");
    ck_assert_str_eq(door_str(o.reply, "value"), "x");
    expect(0, bv_node_run, "n", "height", NULL);
    expect(BV_E_NOT_FOUND, bv_node_run, "n", "nothing", NULL);
    expect(0, bv_node_reload, "n");
    ck_assert_int_eq(bv_doc_parse("{\"block-ms\":\"60\"}", 17, &properties, NULL), 0);
    expect(0, bv_node_update, "n", properties);
    ck_assert_str_eq(door_str(bv_doc_get(o.reply, "properties"), "block-ms"), "60");
    bv_doc_free(properties);
    expect(0, bv_node_capabilities, "n");
    expect(0, bv_node_tasks, "n");
    expect(0, bv_node_check, "n", NULL);
    ck_assert(bv_doc_is_true(bv_doc_get(o.reply, "passed")));
    expect(0, bv_job_list, "n");
    expect(0, bv_job_show, "n", "chain");
    expect(0, bv_job_stop, "n", "chain");
    expect(0, bv_job_start, "n", "chain");
    expect(0, bv_job_skip, "n", "chain");
    expect(0, bv_job_cleanup, "n", "chain");
    expect(0, bv_job_logs, "n", "chain", 5, NULL, 0);
    (void)snprintf(cursor, sizeof(cursor), "%s", door_str(o.reply, "cursor"));
    expect(0, bv_job_logs, "n", "chain", 0, cursor, 1);
    expect(0, bv_snapshot_upload, "n");
    expect(0, bv_snapshot_list, "key");
    ck_assert_uint_eq(bv_doc_count(bv_doc_get(o.reply, "snapshots")), 1);
    expect(0, bv_snapshot_list, NULL);
    expect(0, bv_snapshot_verify, "key", 0);
    prune.keep_last = 2;
    prune.keep = keep;
    prune.keep_count = 1;
    prune.grace_secs = -1;
    expect(0, bv_snapshot_prune, "key", &prune);
    ck_assert_uint_eq(bv_doc_count(bv_doc_get(o.reply, "removed")), 0);
    ck_assert_int_eq(bv_doc_int64(bv_doc_get(o.reply, "versions"), 0), 1);
    expect(BV_E_NOT_FOUND, bv_snapshot_diff, "key", 7, 8);
    expect(0, bv_snapshot_download, "key", 1, "/nowhere");
    expect(0, bv_node_stop, "n", 0);
    expect(0, bv_node_delete, "n");
    expect(0, bv_image_import, "/etc", "my/image:1");
    ck_assert_str_eq(door_str(o.reply, "name"), "my/image:1");
    expect0(0, bv_image_list);
    expect(0, bv_image_remove, "my/image:1");
    bv_doc_free(o.reply);
    door_close(&d);
}
END_TEST

START_TEST(options_of_another_size)
{
    bv_node_create_opts opts = BV_NODE_CREATE_OPTS_INIT;
    bv_host_opts host_opts = BV_HOST_OPTS_INIT;
    bv_host *host = NULL;
    door d;

    door_open(&d, "");
    opts.size--;
    ck_assert_int_eq(bv_node_create(d.host, &opts, NULL, NULL, NULL, NULL), BV_E_INVALID);
    host_opts.size = 1;
    ck_assert_int_eq(bv_host_open(d.ctx, "fake:", &host_opts, &host, NULL), BV_E_INVALID);
    /* Neither a callback nor an operation is needed. */
    ck_assert_int_eq(bv_node_list(d.host, NULL, NULL, NULL, NULL), 0);
    door_turn_ms(&d, 30);
    door_close(&d);
}
END_TEST

static const struct {
    const char *uri;
    int code;
    const char *says;
} uris[] = {
    { "", BV_E_INVALID, "must begin with" },
    { "fake", BV_E_INVALID, "must begin with" },
    { "http://example.org", BV_E_INVALID, "must begin with" },
    { "fake:nodes=3", BV_E_INVALID, "fake:" },
    { "fake:?colour=red", BV_E_INVALID, "no setting 'colour=red'" },
    { "fake:?nodes=", BV_E_INVALID, "'nodes='" },
    { "fake:?nodes=-1", BV_E_INVALID, "not a number" },
    { "fake:?nodes=99999", BV_E_INVALID, "up to 4096" },
    { "fake:?nodes=2x", BV_E_INVALID, "not a number" },
};

START_TEST(uris_that_open_nothing)
{
    bv_host *host = NULL;
    bv_error *err = NULL;
    door d;

    door_open(&d, "");
    ck_assert_int_eq(bv_host_open(d.ctx, uris[_i].uri, NULL, &host, &err), uris[_i].code);
    bvt_assert_error_says(err, uris[_i].code, uris[_i].says);
    ck_assert_ptr_null(host);
    bv_error_free(err);
    bv_host_close(NULL);
    door_close(&d);
}
END_TEST

static void on_code(bv_op *op, const bv_doc *reply, const bv_error *err, void *data)
{
    ((outcome *)data)->ended++;
}

/* Everything a fake host does, with every allocation failing once. */
static const struct {
    const char *method;
    const char *args;
} calls[] = {
    { "host.info", "{}" },
    { "host.metrics", "{}" },
    { "host.set_limits", "{\"memory_mib\":100}" },
    { "node.list", "{}" },
    { "node.create", "{\"image\":\"fake/fake-main\",\"name\":\"m\",\"tags\":[\"a\"]}" },
    { "node.show", "{\"node\":\"node-0001\"}" },
    { "node.start", "{\"node\":\"node-0004\"}" },
    { "node.restart", "{\"node\":\"node-0001\"}" },
    { "node.delete", "{\"node\":\"node-0002\"}" },
    { "node.run", "{\"node\":\"node-0001\",\"method\":\"protocol_status\"}" },
    { "node.capabilities", "{\"node\":\"node-0001\"}" },
    { "job.list", "{\"node\":\"node-0001\"}" },
    { "job.logs", "{\"node\":\"node-0001\",\"job\":\"chain\"}" },
    { "job.logs", "{\"node\":\"node-0001\",\"job\":\"chain\",\"cursor\":\"1:0\"}" },
    { "image.import", "{\"path\":\"/etc\"}" },
    { "snapshot.upload", "{\"node\":\"node-0001\"}" },
    { "host.events", "{\"after\":0}" },
};

START_TEST(survives_every_failed_allocation)
{
    bvt_for_each_failed_allocation(n) {
        bv_ctx *ctx = NULL;
        bv_host *host = NULL;
        bv_doc *args = NULL;
        outcome o = { 0 };
        int r = bv_ctx_new(NULL, &ctx, NULL);

        if (r == 0)
            r = bv_host_open(ctx, "fake:?nodes=4", NULL, &host, NULL);
        if (r == 0)
            r = bv_doc_parse(calls[_i].args, strlen(calls[_i].args), &args, NULL);
        if (r == 0)
            r = bv_host_call(host, calls[_i].method, args, on_code, &o, NULL, NULL);
        for (int i = 0; r == 0 && i < 100 && !o.ended; i++)
            (void)bv_ctx_dispatch(ctx, 10);
        ck_assert(r == 0 || r == BV_E_NOMEM);
        ck_assert_uint_eq(o.ended, r == 0 ? 1 : 0);
        bv_doc_free(args);
        bv_host_close(host);
        bv_ctx_free(ctx);
    }
}
END_TEST

BVT_MAIN("host/calls", bvt_times(the_table, BVI_CALL_COUNT), bvt_test(no_such_call),
         bvt_test(typed_calls), bvt_test(options_of_another_size),
         bvt_loop(uris_that_open_nothing, uris), bvt_loop(survives_every_failed_allocation, calls))
