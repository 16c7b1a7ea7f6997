/*
 * api.c - the typed calls: each puts its arguments into a document and goes through bv_host_call().
 */
#include <stdarg.h>
#include <string.h>

#include <blockvisor/image.h>
#include <blockvisor/job.h>
#include <blockvisor/node.h>
#include <blockvisor/snapshot.h>

#include "base/json.h"
#include "host/calls.h"

/* The user's end of a call, passed on as it came. */
typedef struct ending {
    bv_reply_fn done;
    void *data;
    bv_op **ret_op;
    bv_error **err;
} ending;

static int start(bv_host *host, bvi_call_id id, bvi_json *args, int built, ending end)
{
    int r = built;

    if (!args || r == BV_E_NOMEM)
        r = bvi_fail_nomem(end.err);
    else
        r = bv_host_call(host, bvi_call_by_id(id)->name, (const bv_doc *)args, end.done, end.data,
                         end.ret_op, end.err);
    bvi_json_free(args);
    return r;
}

/* Arguments as pairs of key and text; a NULL text is left out. Ends with a NULL key. */
static int call_with_strings(bv_host *host, bvi_call_id id, ending end, ...)
{
    bvi_json *args = bvi_json_new_object();
    const char *key;
    va_list list;
    int r = 0;

    va_start(list, end);
    while (r == 0 && args && (key = va_arg(list, const char *))) {
        const char *text = va_arg(list, const char *);

        if (text)
            r = bvi_json_put_string(args, key, text);
    }
    va_end(list);
    return start(host, id, args, r, end);
}

#define END ((ending){ done, data, ret_op, err })

int bv_host_info(bv_host *host, bv_reply_fn done, void *data, bv_op **ret_op, bv_error **err)
{
    return call_with_strings(host, BVI_CALL_HOST_INFO, END, NULL);
}

int bv_host_events(bv_host *host, int64_t after, uint32_t wait_ms, bv_reply_fn done, void *data,
                   bv_op **ret_op, bv_error **err)
{
    bvi_json *args = bvi_json_new_object();
    int r = 0;

    if (args && after >= 0)
        r = bvi_json_put_int64(args, "after", after);
    if (args && r == 0)
        r = bvi_json_put_uint64(args, "wait_ms", wait_ms);
    return start(host, BVI_CALL_HOST_EVENTS, args, r, END);
}

static int put_copy(bvi_json *args, const char *key, const bv_doc *value)
{
    return value ? bvi_json_put(args, key, bvi_json_copy((const bvi_json *)value)) : 0;
}

static int put_text(bvi_json *args, const char *key, const char *text)
{
    return text ? bvi_json_put_string(args, key, text) : 0;
}

static int put_create_args(bvi_json *args, const bv_node_create_opts *o)
{
    int r = 0;

    if (put_text(args, "name", o->name) < 0 || put_text(args, "image", o->image) < 0 ||
        put_text(args, "variant", o->variant) < 0 || put_text(args, "network", o->network) < 0 ||
        put_text(args, "store_key", o->store_key) < 0 ||
        put_text(args, "plugin_dir", o->plugin_dir) < 0 ||
        put_copy(args, "properties", o->properties) < 0 || put_copy(args, "tags", o->tags) < 0)
        return BV_E_NOMEM;
    if (o->snapshot_version)
        r = bvi_json_put_int64(args, "snapshot_version", o->snapshot_version);
    if (r == 0 && o->memory_mb)
        r = bvi_json_put_uint64(args, "memory_mb", o->memory_mb);
    if (r == 0 && o->cpus > 0)
        r = bvi_json_put(args, "cpus", bvi_json_new_double(o->cpus));
    return r;
}

int bv_node_create(bv_host *host, const bv_node_create_opts *opts, bv_reply_fn done, void *data,
                   bv_op **ret_op, bv_error **err)
{
    bvi_json *args;

    if (opts->size != sizeof(*opts))
        return bvi_fail(err, BV_E_INVALID, "node options have an unknown size %zu", opts->size);
    args = bvi_json_new_object();
    return start(host, BVI_CALL_NODE_CREATE, args, args ? put_create_args(args, opts) : 0, END);
}

int bv_node_list(bv_host *host, bv_reply_fn done, void *data, bv_op **ret_op, bv_error **err)
{
    return call_with_strings(host, BVI_CALL_NODE_LIST, END, NULL);
}

int bv_node_show(bv_host *host, const char *node, bv_reply_fn done, void *data, bv_op **ret_op,
                 bv_error **err)
{
    return call_with_strings(host, BVI_CALL_NODE_SHOW, END, "node", node, NULL);
}

int bv_node_start(bv_host *host, const char *node, bv_reply_fn done, void *data, bv_op **ret_op,
                  bv_error **err)
{
    return call_with_strings(host, BVI_CALL_NODE_START, END, "node", node, NULL);
}

int bv_node_update(bv_host *host, const char *node, const bv_doc *properties, bv_reply_fn done,
                   void *data, bv_op **ret_op, bv_error **err)
{
    bvi_json *args = bvi_json_new_object();
    int r = 0;

    if (args && (put_text(args, "node", node) < 0 || put_copy(args, "properties", properties) < 0))
        r = BV_E_NOMEM;
    return start(host, BVI_CALL_NODE_UPDATE, args, r, END);
}

int bv_node_reload(bv_host *host, const char *node, bv_reply_fn done, void *data, bv_op **ret_op,
                   bv_error **err)
{
    return call_with_strings(host, BVI_CALL_NODE_RELOAD, END, "node", node, NULL);
}

static int call_forced(bv_host *host, bvi_call_id id, const char *node, int force, ending end)
{
    bvi_json *args = bvi_json_new_object();
    int r = args ? bvi_json_put_string(args, "node", node) : 0;

    if (args && r == 0)
        r = bvi_json_put_bool(args, "force", force != 0);
    return start(host, id, args, r, end);
}

int bv_node_stop(bv_host *host, const char *node, int force, bv_reply_fn done, void *data,
                 bv_op **ret_op, bv_error **err)
{
    return call_forced(host, BVI_CALL_NODE_STOP, node, force, END);
}

int bv_node_restart(bv_host *host, const char *node, int force, bv_reply_fn done, void *data,
                    bv_op **ret_op, bv_error **err)
{
    return call_forced(host, BVI_CALL_NODE_RESTART, node, force, END);
}

int bv_node_delete(bv_host *host, const char *node, bv_reply_fn done, void *data, bv_op **ret_op,
                   bv_error **err)
{
    return call_with_strings(host, BVI_CALL_NODE_DELETE, END, "node", node, NULL);
}

int bv_node_run(bv_host *host, const char *node, const char *method, const bv_node_run_opts *opts,
                bv_reply_fn done, void *data, bv_op **ret_op, bv_error **err)
{
    const bv_node_run_opts usual = BV_NODE_RUN_OPTS_INIT;
    const bv_node_run_opts *o = opts ? opts : &usual;
    bvi_json *args;
    int r = 0;

    if (o->size != sizeof(*o))
        return bvi_fail(err, BV_E_INVALID, "run options have an unknown size %zu", o->size);
    args = bvi_json_new_object();
    if (args && (put_text(args, "node", node) < 0 || put_text(args, "method", method) < 0 ||
                 put_text(args, "param", o->param) < 0 ||
                 (o->timeout_ms && bvi_json_put_uint64(args, "timeout_ms", o->timeout_ms) < 0)))
        r = BV_E_NOMEM;
    return start(host, BVI_CALL_NODE_RUN, args, r, END);
}

int bv_node_capabilities(bv_host *host, const char *node, bv_reply_fn done, void *data,
                         bv_op **ret_op, bv_error **err)
{
    return call_with_strings(host, BVI_CALL_NODE_CAPABILITIES, END, "node", node, NULL);
}

static int put_check_args(bvi_json *args, const char *node, const bv_node_check_opts *o)
{
    if (put_text(args, "node", node) < 0 || put_copy(args, "checks", o->checks) < 0 ||
        bvi_json_put_bool(args, "start", o->start != 0) < 0 ||
        (o->start_timeout_ms &&
         bvi_json_put_uint64(args, "start_timeout_ms", o->start_timeout_ms) < 0) ||
        (o->jobs_wait_ms >= 0 && bvi_json_put_int64(args, "jobs_wait_ms", o->jobs_wait_ms) < 0))
        return BV_E_NOMEM;
    return 0;
}

int bv_node_check(bv_host *host, const char *node, const bv_node_check_opts *opts, bv_reply_fn done,
                  void *data, bv_op **ret_op, bv_error **err)
{
    const bv_node_check_opts usual = BV_NODE_CHECK_OPTS_INIT;
    const bv_node_check_opts *o = opts ? opts : &usual;
    bvi_json *args;

    if (o->size != sizeof(*o))
        return bvi_fail(err, BV_E_INVALID, "check options have an unknown size %zu", o->size);
    args = bvi_json_new_object();
    return start(host, BVI_CALL_NODE_CHECK, args, args ? put_check_args(args, node, o) : 0, END);
}

int bv_node_tasks(bv_host *host, const char *node, bv_reply_fn done, void *data, bv_op **ret_op,
                  bv_error **err)
{
    return call_with_strings(host, BVI_CALL_NODE_TASKS, END, "node", node, NULL);
}

int bv_job_list(bv_host *host, const char *node, bv_reply_fn done, void *data, bv_op **ret_op,
                bv_error **err)
{
    return call_with_strings(host, BVI_CALL_JOB_LIST, END, "node", node, NULL);
}

int bv_job_show(bv_host *host, const char *node, const char *job, bv_reply_fn done, void *data,
                bv_op **ret_op, bv_error **err)
{
    return call_with_strings(host, BVI_CALL_JOB_SHOW, END, "node", node, "job", job, NULL);
}

int bv_job_start(bv_host *host, const char *node, const char *job, bv_reply_fn done, void *data,
                 bv_op **ret_op, bv_error **err)
{
    return call_with_strings(host, BVI_CALL_JOB_START, END, "node", node, "job", job, NULL);
}

int bv_job_stop(bv_host *host, const char *node, const char *job, bv_reply_fn done, void *data,
                bv_op **ret_op, bv_error **err)
{
    return call_with_strings(host, BVI_CALL_JOB_STOP, END, "node", node, "job", job, NULL);
}

int bv_job_skip(bv_host *host, const char *node, const char *job, bv_reply_fn done, void *data,
                bv_op **ret_op, bv_error **err)
{
    return call_with_strings(host, BVI_CALL_JOB_SKIP, END, "node", node, "job", job, NULL);
}

int bv_job_cleanup(bv_host *host, const char *node, const char *job, bv_reply_fn done, void *data,
                   bv_op **ret_op, bv_error **err)
{
    return call_with_strings(host, BVI_CALL_JOB_CLEANUP, END, "node", node, "job", job, NULL);
}

int bv_job_logs(bv_host *host, const char *node, const char *job, uint32_t lines,
                const char *cursor, uint32_t wait_ms, bv_reply_fn done, void *data, bv_op **ret_op,
                bv_error **err)
{
    bvi_json *args = bvi_json_new_object();
    int r = 0;

    if (args &&
        (bvi_json_put_string(args, "node", node) < 0 || bvi_json_put_string(args, "job", job) < 0 ||
         put_text(args, "cursor", cursor) < 0 || bvi_json_put_uint64(args, "lines", lines) < 0 ||
         bvi_json_put_uint64(args, "wait_ms", wait_ms) < 0))
        r = BV_E_NOMEM;
    return start(host, BVI_CALL_JOB_LOGS, args, r, END);
}

int bv_image_import(bv_host *host, const char *path, const char *name, bv_reply_fn done, void *data,
                    bv_op **ret_op, bv_error **err)
{
    return call_with_strings(host, BVI_CALL_IMAGE_IMPORT, END, "path", path, "name", name, NULL);
}

int bv_image_list(bv_host *host, bv_reply_fn done, void *data, bv_op **ret_op, bv_error **err)
{
    return call_with_strings(host, BVI_CALL_IMAGE_LIST, END, NULL);
}

int bv_image_remove(bv_host *host, const char *image, bv_reply_fn done, void *data, bv_op **ret_op,
                    bv_error **err)
{
    return call_with_strings(host, BVI_CALL_IMAGE_REMOVE, END, "image", image, NULL);
}

int bv_snapshot_upload(bv_host *host, const char *node, bv_reply_fn done, void *data,
                       bv_op **ret_op, bv_error **err)
{
    return call_with_strings(host, BVI_CALL_SNAPSHOT_UPLOAD, END, "node", node, NULL);
}

static int call_versioned(bv_host *host, bvi_call_id id, const char *key, uint64_t version,
                          const char *dest_dir, ending end)
{
    bvi_json *args = bvi_json_new_object();
    int r = 0;

    if (args &&
        (bvi_json_put_string(args, "key", key) < 0 || put_text(args, "dest_dir", dest_dir) < 0 ||
         (version && bvi_json_put_uint64(args, "version", version) < 0)))
        r = BV_E_NOMEM;
    return start(host, id, args, r, end);
}

int bv_snapshot_download(bv_host *host, const char *key, uint64_t version, const char *dest_dir,
                         bv_reply_fn done, void *data, bv_op **ret_op, bv_error **err)
{
    return call_versioned(host, BVI_CALL_SNAPSHOT_DOWNLOAD, key, version, dest_dir, END);
}

int bv_snapshot_list(bv_host *host, const char *key, bv_reply_fn done, void *data, bv_op **ret_op,
                     bv_error **err)
{
    return call_with_strings(host, BVI_CALL_SNAPSHOT_LIST, END, "key", key, NULL);
}

int bv_snapshot_verify(bv_host *host, const char *key, uint64_t version, bv_reply_fn done,
                       void *data, bv_op **ret_op, bv_error **err)
{
    return call_versioned(host, BVI_CALL_SNAPSHOT_VERIFY, key, version, NULL, END);
}

int bv_snapshot_diff(bv_host *host, const char *key, uint64_t old_version, uint64_t version,
                     bv_reply_fn done, void *data, bv_op **ret_op, bv_error **err)
{
    bvi_json *args = bvi_json_new_object();
    int r = 0;

    if (args && (bvi_json_put_string(args, "key", key) < 0 ||
                 bvi_json_put_uint64(args, "old_version", old_version) < 0 ||
                 (version && bvi_json_put_uint64(args, "version", version) < 0)))
        r = BV_E_NOMEM;
    return start(host, BVI_CALL_SNAPSHOT_DIFF, args, r, END);
}

static int put_prune(bvi_json *args, const bv_prune_opts *prune)
{
    bvi_json *keep = bvi_json_new_array();
    int r = bvi_json_put(args, "keep_versions", keep);

    for (size_t i = 0; r == 0 && i < prune->keep_count; i++)
        r = bvi_json_add(keep, bvi_json_new_uint64(prune->keep[i]));
    if (r == 0)
        r = bvi_json_put_uint64(args, "keep", prune->keep_last);
    if (r == 0 && prune->grace_secs != 0)
        r = bvi_json_put_int64(args, "grace_secs", prune->grace_secs > 0 ? prune->grace_secs : 0);
    return r == 0 ? bvi_json_put_bool(args, "dry_run", prune->dry_run != 0) : r;
}

int bv_snapshot_prune(bv_host *host, const char *key, const bv_prune_opts *prune, bv_reply_fn done,
                      void *data, bv_op **ret_op, bv_error **err)
{
    bvi_json *args = bvi_json_new_object();
    int r = 0;

    if (args && (bvi_json_put_string(args, "key", key) < 0 || put_prune(args, prune) < 0))
        r = BV_E_NOMEM;
    return start(host, BVI_CALL_SNAPSHOT_PRUNE, args, r, END);
}
