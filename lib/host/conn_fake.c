/*
 * conn_fake.c - "fake:": a host in memory. fake.h says what it is for.
 *
 *     fake:                          no nodes, one image (BVI_FAKE_IMAGE)
 *     fake:?nodes=100                that many nodes from the start, every fourth of them stopped
 *     fake:?nodes=100&delay_ms=50    and starting, stopping, importing, transfers take that long
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "host/fake.h"
#include "host/transfer_limits.h"

#define FIRST_PID 100000
/* What the machine is said to have. */
#define HOST_CPUS         8u
#define HOST_MEMORY_BYTES (UINT64_C(32) << 30)
#define HOST_DISK_BYTES   (UINT64_C(1) << 40)

/* ---- opening ---- */

typedef struct settings {
    uint64_t nodes;
    uint64_t delay_ms;
} settings;

/* "nodes=100" */
static int read_setting(const char *text, size_t len, settings *s, bv_error **err)
{
    const struct {
        const char *name;
        uint64_t *value;
        uint64_t most;
    } known[] = { { "nodes=", &s->nodes, BVI_NODES_MAX },
                  { "delay_ms=", &s->delay_ms, BVI_FAKE_DELAY_MS_MAX } };

    for (size_t i = 0; i < BVI_COUNT(known); i++) {
        size_t name = strlen(known[i].name);
        uint64_t value = 0;
        size_t at = name;

        if (len <= name || strncmp(text, known[i].name, name) != 0)
            continue;
        for (; at < len && text[at] >= '0' && text[at] <= '9' && value <= known[i].most; at++)
            value = value * 10 + (uint64_t)(text[at] - '0');
        if (at < len || value > known[i].most)
            return bvi_fail(err, BV_E_INVALID, "'%.*s' is not a number up to %llu",
                            (int)(len > 64 ? 64 : len), text, (unsigned long long)known[i].most);
        *known[i].value = value;
        return 0;
    }
    return bvi_fail(err, BV_E_INVALID,
                    "there is no setting '%.*s'; there are nodes=N and delay_ms=N",
                    (int)(len > 64 ? 64 : len), text);
}

static int read_settings(const char *rest, settings *s, bv_error **err)
{
    if (*rest && *rest != '?')
        return bvi_fail(err, BV_E_INVALID, "after fake: comes nothing, or ? and settings");
    rest += *rest == '?';
    while (*rest) {
        size_t len = strcspn(rest, "&");
        int r = len ? read_setting(rest, len, s, err) : 0;

        if (r < 0)
            return r;
        rest += len + (rest[len] == '&');
    }
    return 0;
}

static void fake_close(bvi_conn *conn)
{
    bvi_fake *fake = (bvi_fake *)conn;

    bvi_fake_readers_end(fake, NULL);
    bvi_fake_nodes_done(fake);
    while (fake->works.len)
        bvi_fake_work_abort(fake->works.items[0], "the host is being closed");
    bvi_events_free(fake->events);
    bvi_fake_images_done(fake);
    bvi_vec_done(&fake->snapshots);
    bvi_vec_done(&fake->works);
    bvi_vec_done(&fake->readers);
    bvi_free(fake);
}

static int fill(bvi_fake *fake, const settings *s, bv_error **err)
{
    int r = bvi_events_new(fake->base.ctx, NULL, &fake->events, err);

    if (r == 0)
        r = bvi_fake_images_init(fake, err);
    return r < 0 ? r : bvi_fake_nodes_populate(fake, s->nodes, err);
}

static int fake_open(bv_ctx *ctx, const char *rest, const bv_host_opts *opts, bvi_conn **ret_conn,
                     bv_error **err)
{
    settings s = { 0 };
    bvi_fake *fake;
    int r = read_settings(rest, &s, err);

    if (r < 0)
        return r;
    fake = bvi_new0(bvi_fake);
    if (!fake)
        return bvi_fail_nomem(err);
    fake->base = (bvi_conn){ &bvi_conn_fake, ctx };
    fake->delay_us = (int64_t)s.delay_ms * 1000;
    fake->next_pid = FIRST_PID;
    fake->opened_us = bvi_ctx_now_us(ctx);
    fake->images.max = BVI_FAKE_IMAGES_MAX;
    fake->nodes.max = BVI_NODES_MAX;
    fake->snapshots.max = BVI_FAKE_SNAPSHOTS_MAX;
    fake->works.max = BVI_NODES_MAX;
    fake->readers.max = BVI_FAKE_READERS_MAX;
    r = fill(fake, &s, err);
    if (r < 0) {
        fake_close(&fake->base);
        return r;
    }
    *ret_conn = &fake->base;
    return 0;
}

/* ---- host.* ---- */

static void host_info(bvi_fake *fake, const bvi_json *args, bvi_reply *reply)
{
    bvi_auto_json bvi_json *root = bvi_json_new_object();

    if (!root || bvi_json_put_string(root, "version", bv_version()) < 0 ||
        bvi_json_put_string(root, "status", "ok") < 0 ||
        bvi_json_put_string(root, "root", "fake:") < 0 ||
        bvi_json_put_string(root, "driver", "fake") < 0 ||
        bvi_json_put_string(root, "agent_dir", NULL) < 0 ||
        bvi_json_put_string(root, "store", "fake:") < 0 ||
        bvi_json_put_int64(root, "pid", getpid()) < 0 ||
        bvi_json_put_string(root, "hostname", "fake") < 0 ||
        bvi_json_put_string(root, "os", "Linux") < 0 ||
        bvi_json_put_string(root, "os_version", "") < 0 ||
        bvi_json_put_string(root, "kernel", "fake") < 0 ||
        bvi_json_put_uint64(root, "cpus", HOST_CPUS) < 0 ||
        bvi_json_put_uint64(root, "memory_bytes", HOST_MEMORY_BYTES) < 0 ||
        bvi_json_put_uint64(root, "disk_bytes", HOST_DISK_BYTES) < 0 ||
        bvi_json_put_uint64(root, "disk_available_bytes", HOST_DISK_BYTES / 2) < 0) {
        bvi_reply_ok(reply, NULL);
        return;
    }
    bvi_reply_ok(reply, bvi_take(root));
}

static void host_metrics(bvi_fake *fake, const bvi_json *args, bvi_reply *reply)
{
    bvi_auto_json bvi_json *root = bvi_json_new_object();
    uint64_t up_us = (uint64_t)(bvi_ctx_now_us(fake->base.ctx) - fake->opened_us);

    if (!root || bvi_json_put(root, "nodes", bvi_fake_node_counts(fake)) < 0 ||
        bvi_json_put_uint64(root, "images", fake->images.len) < 0 ||
        bvi_json_put_uint64(root, "memory_available_bytes", HOST_MEMORY_BYTES / 2) < 0 ||
        bvi_json_put(root, "load1", bvi_json_new_double(0.5)) < 0 ||
        bvi_json_put(root, "load5", bvi_json_new_double(0.5)) < 0 ||
        bvi_json_put(root, "load15", bvi_json_new_double(0.5)) < 0 ||
        bvi_json_put_uint64(root, "uptime_s", up_us / 1000000) < 0 ||
        bvi_json_put_uint64(root, "cpu_busy_us", up_us * HOST_CPUS / 4) < 0 ||
        bvi_json_put_uint64(root, "cpu_total_us", up_us * HOST_CPUS) < 0 ||
        bvi_json_put_uint64(root, "net_received_bytes", up_us / 10) < 0 ||
        bvi_json_put_uint64(root, "net_sent_bytes", up_us / 20) < 0 ||
        bvi_json_put_uint64(root, "transfers_running", fake->works.len) < 0 ||
        bvi_json_put_uint64(root, "transfer_retries", 0) < 0 ||
        bvi_host_limits_metrics(fake->base.ctx, root) < 0) {
        bvi_reply_ok(reply, NULL);
        return;
    }
    bvi_reply_ok(reply, bvi_take(root));
}

static void host_limits(bvi_fake *fake, const bvi_json *args, bvi_reply *reply)
{
    (void)args;
    bvi_reply_ok(reply, bvi_host_limits_json(fake->base.ctx));
}

static void host_set_limits(bvi_fake *fake, const bvi_json *args, bvi_reply *reply)
{
    bv_error *err = NULL;

    if (bvi_host_limits_take(fake->base.ctx, args, &err) < 0)
        bvi_reply_fail(reply, err);
    else
        bvi_reply_ok(reply, bvi_host_limits_json(fake->base.ctx));
}

static void host_events(bvi_fake *fake, const bvi_json *args, bvi_reply *reply)
{
    int64_t after = -1, wait_ms = 0;
    bv_error *err = NULL;

    if (bvi_json_opt_int64(args, "after", &after, &err) < 0 ||
        bvi_json_opt_int64(args, "wait_ms", &wait_ms, &err) < 0) {
        bvi_reply_fail(reply, err);
        return;
    }
    bvi_events_read(fake->events, after, wait_ms, reply);
}

/* ---- calls ---- */

static const struct {
    bvi_call_id id;
    void (*call)(bvi_fake *fake, const bvi_json *args, bvi_reply *reply);
} host_calls[] = {
    { BVI_CALL_HOST_INFO, host_info },
    { BVI_CALL_HOST_EVENTS, host_events },
    { BVI_CALL_HOST_METRICS, host_metrics },
    { BVI_CALL_HOST_LIMITS, host_limits },
    { BVI_CALL_HOST_SET_LIMITS, host_set_limits },
    { BVI_CALL_NODE_LIST, bvi_fake_node_list },
    { BVI_CALL_NODE_CREATE, bvi_fake_node_create },
    { BVI_CALL_IMAGE_LIST, bvi_fake_image_list },
    { BVI_CALL_IMAGE_IMPORT, bvi_fake_image_import },
    { BVI_CALL_IMAGE_REMOVE, bvi_fake_image_remove },
    { BVI_CALL_SNAPSHOT_LIST, bvi_fake_snapshot_list },
    { BVI_CALL_SNAPSHOT_DOWNLOAD, bvi_fake_snapshot_download },
    { BVI_CALL_SNAPSHOT_VERIFY, bvi_fake_snapshot_verify },
    { BVI_CALL_SNAPSHOT_DIFF, bvi_fake_snapshot_diff },
    { BVI_CALL_SNAPSHOT_PRUNE, bvi_fake_snapshot_prune },
};

static const struct {
    bvi_call_id id;
    void (*call)(bvi_fake_node *node, const bvi_json *args, bvi_reply *reply);
} node_calls[] = {
    { BVI_CALL_NODE_SHOW, bvi_fake_node_show },
    { BVI_CALL_NODE_DELETE, bvi_fake_node_delete },
    { BVI_CALL_NODE_START, bvi_fake_node_start },
    { BVI_CALL_NODE_STOP, bvi_fake_node_stop },
    { BVI_CALL_NODE_RESTART, bvi_fake_node_restart },
    { BVI_CALL_NODE_UPDATE, bvi_fake_node_update },
    { BVI_CALL_NODE_RELOAD, bvi_fake_node_reload },
    { BVI_CALL_NODE_RUN, bvi_fake_node_run },
    { BVI_CALL_NODE_CAPABILITIES, bvi_fake_node_capabilities },
    { BVI_CALL_NODE_CHECK, bvi_fake_node_check },
    { BVI_CALL_NODE_TASKS, bvi_fake_node_tasks },
    { BVI_CALL_NODE_EXEC, bvi_fake_node_exec },
    { BVI_CALL_JOB_LOGS, bvi_fake_job_logs },
    { BVI_CALL_SNAPSHOT_UPLOAD, bvi_fake_snapshot_upload },
};

static void call_node(bvi_fake *fake, const bvi_call *call, const bvi_json *args, bvi_reply *reply)
{
    const char *name = bvi_json_string(bvi_json_find(args, "node"));
    bvi_fake_node *node = name ? bvi_fake_node_find(fake, name) : NULL;

    if (!node) {
        bvi_reply_failf(reply, BV_E_NOT_FOUND, "there is no node '%s'; see `bv node ls`",
                        name ? name : "");
        return;
    }
    bvi_fake_node_catch_up(node);
    for (size_t i = 0; i < BVI_COUNT(node_calls); i++) {
        if (node_calls[i].id == call->id) {
            node_calls[i].call(node, args, reply);
            return;
        }
    }
    bvi_fake_job_call(node, call->id, args, reply);
}

static void fake_call(bvi_conn *conn, const bvi_call *call, const bvi_json *args, bvi_reply *reply)
{
    bvi_fake *fake = (bvi_fake *)conn;

    for (size_t i = 0; i < BVI_COUNT(host_calls); i++) {
        if (host_calls[i].id == call->id) {
            host_calls[i].call(fake, args, reply);
            return;
        }
    }
    call_node(fake, call, args, reply);
}

const bvi_conn_vtable bvi_conn_fake = {
    .scheme = "fake", .open = fake_open, .close = fake_close, .call = fake_call
};
