/* The one door: the same expectations of every connection. See door.h. */
#include <stdio.h>
#include <stdlib.h>

#include "door.h"
#include "host/calls.h"

#define open_door(d, settings)                                                                     \
    do {                                                                                           \
        if (door_missing())                                                                        \
            bvt_skip("%s", door_missing());                                                        \
        door_open(&(d), settings);                                                                 \
    } while (0)

/* Every document of this kind has at least these keys. */
static void has_keys(const bv_doc *doc, const char *keys)
{
    char copy[1024];

    ck_assert_int_lt(snprintf(copy, sizeof(copy), "%s", keys), (int)sizeof(copy));
    for (char *save = NULL, *key = strtok_r(copy, " ", &save); key;
         key = strtok_r(NULL, " ", &save))
        ck_assert_msg(bv_doc_get(doc, key) != NULL, "'%s' is missing", key);
}

#define NODE_KEYS                                                                                  \
    "id name image status work expected_status initialized network ip store_key created_at "       \
    "started_at uptime_s pid "                                                                     \
    "properties tags plugin_dir problem metrics"
#define SHOWN_KEYS                                                                                 \
    NODE_KEYS " jobs height block_age protocol_status reported_name address consensus "            \
              "apr jailed jailed_reason sqd_name"
#define JOB_KEYS                                                                                   \
    "name status status_text timestamp progress progress_text restart_count logs upgrade_blocking"
#define IMAGE_KEYS    "id name version protocol variants created_at size_bytes files digest source"
#define SNAPSHOT_KEYS "key version format total_bytes stored_bytes chunks compression created_at"

/* ---- host ---- */

START_TEST(host_facts)
{
    door d;

    open_door(d, "");
    has_keys(door_ask(&d, "host.info", NULL), "version status root driver agent_dir store pid "
                                              "hostname os os_version kernel cpus memory_bytes "
                                              "disk_bytes disk_available_bytes");
    has_keys(
        door_ask(&d, "host.metrics", NULL),
        "nodes images memory_available_bytes load1 load5 load15 uptime_s cpu_busy_us cpu_total_us "
        "net_received_bytes net_sent_bytes");
    has_keys(bv_doc_get(door_ask(&d, "host.metrics", "{}"), "nodes"),
             "total running stopped failed busy");
    door_close(&d);
}
END_TEST

START_TEST(limits_of_transfers)
{
    const bv_doc *limits;
    door d;

    open_door(d, "");
    limits = door_ask(&d, "host.limits", NULL);
    has_keys(limits, "memory_mib connections open_files download_bytes_per_s upload_bytes_per_s");
    has_keys(bv_doc_get(limits, "in_use"), "memory_bytes connections open_files waiting throttled "
                                           "downloaded_bytes uploaded_bytes");
    ck_assert_int_eq(door_num(limits, "connections"), BV_TRANSFER_LIMIT_CONNECTIONS_DEFAULT);
    limits = door_ask(&d, "host.set_limits", "{\"connections\":7,\"upload_bytes_per_s\":1000}");
    ck_assert_int_eq(door_num(limits, "connections"), 7);
    ck_assert_int_eq(door_num(limits, "upload_bytes_per_s"), 1000);
    limits = door_ask(&d, "host.set_limits", "{\"memory_mib\":64}");
    ck_assert_int_eq(door_num(limits, "connections"), 7); /* as it was */
    ck_assert_int_eq(door_num(limits, "memory_mib"), 64);
    limits = door_ask(&d, "host.set_limits", "{\"connections\":0,\"upload_bytes_per_s\":0}");
    ck_assert_int_eq(door_num(limits, "connections"), BV_TRANSFER_LIMIT_CONNECTIONS_DEFAULT);
    has_keys(door_ask(&d, "host.metrics", NULL),
             "transfer_waiting transfer_downloaded_bytes transfers_running transfer_retries");
    door_close(&d);
}
END_TEST

/* ---- arguments ---- */

static const struct {
    const char *method;
    const char *args;
    int code;
    const char *says;
} refused[] = {
    { "host.nothing", NULL, BV_E_NOT_FOUND, "host.nothing" },
    { "", NULL, BV_E_NOT_FOUND, "no call" },
    { "node.show", NULL, BV_E_INVALID, "'node' is missing" },
    { "node.show", "{\"node\":null}", BV_E_INVALID, "'node' is missing" },
    { "node.show", "{\"node\":7}", BV_E_INVALID, "must be a string" },
    { "node.show", "{\"node\":\"a\",\"colour\":\"red\"}", BV_E_INVALID, "no argument 'colour'" },
    { "node.show", "[]", BV_E_INVALID, "must be an object" },
    { "node.stop", "{\"node\":\"a\",\"force\":\"yes\"}", BV_E_INVALID, "true or false" },
    { "node.create", "{\"image\":\"a\",\"tags\":{}}", BV_E_INVALID, "an array" },
    { "node.create", "{\"image\":\"a\",\"properties\":[]}", BV_E_INVALID, "an object" },
    { "node.create", "{\"image\":\"a\",\"cpus\":\"2\"}", BV_E_INVALID, "a number" },
    { "node.create", "{\"image\":\"a\",\"memory_mb\":1.5}", BV_E_INVALID, "whole number" },
    { "host.events", "{\"wait_ms\":-1}", BV_E_INVALID, "whole number" },
    { "snapshot.download", "{\"key\":\"k\"}", BV_E_INVALID, "'dest_dir' is missing" },
};

START_TEST(arguments_are_checked)
{
    door d;

    open_door(d, "");
    if (refused[_i].args)
        door_fails(&d, refused[_i].code, refused[_i].says, refused[_i].method, "%s",
                   refused[_i].args);
    else
        door_fails(&d, refused[_i].code, refused[_i].says, refused[_i].method, NULL);
    door_close(&d);
}
END_TEST

/* Whatever is asked of a node that does not exist. */
START_TEST(no_such_node)
{
    const bvi_call *call = bvi_call_by_id((bvi_call_id)_i);
    const char *const others[][2] = { { "job:", ",\"job\":\"chain\"" },
                                      { "method:", ",\"method\":\"height\"" },
                                      { "properties:", ",\"properties\":{}" } };
    char args[256] = "{\"node\":\"nobody\"";
    door d;

    if (!strstr(call->args, "node:s!"))
        return;
    open_door(d, "");
    for (size_t i = 0; i < BVI_COUNT(others); i++) {
        if (strstr(call->args, others[i][0]))
            strncat(args, others[i][1], sizeof(args) - strlen(args) - 2);
    }
    strncat(args, "}", sizeof(args) - strlen(args) - 1);
    door_fails(&d, BV_E_NOT_FOUND, "no node 'nobody'", call->name, "%s", args);
    door_close(&d);
}
END_TEST

/* ---- nodes ---- */

START_TEST(create_list_show_delete)
{
    const bv_doc *doc;
    char id[64];
    door d;

    open_door(d, "");
    ck_assert_uint_eq(bv_doc_count(bv_doc_get(door_ask(&d, "node.list", NULL), "nodes")), 0);
    door_make_node(&d, "zeta");
    doc = door_ask(
        &d, "node.create",
        "{\"image\":\"tiny/tiny-local-full\",\"name\":\"alpha\",\"variant\":\"tiny-local-full\","
        "\"network\":\"none\",\"properties\":{\"block-ms\":\"50\"},\"tags\":[\"a\",\"b\"],"
        "\"store_key\":\"my-key\",\"memory_mb\":64,\"cpus\":0.5}");
    has_keys(doc, NODE_KEYS);
    ck_assert_str_eq(door_str(doc, "name"), "alpha");
    ck_assert_str_eq(door_str(doc, "status"), "stopped");
    ck_assert_str_eq(door_str(doc, "network"), "none");
    ck_assert_str_eq(door_str(doc, "store_key"), "my-key");
    ck_assert_str_eq(door_str(bv_doc_get(doc, "image"), "name"), DOOR_IMAGE);
    ck_assert_str_eq(door_str(bv_doc_get(doc, "properties"), "block-ms"), "50");
    ck_assert_uint_eq(bv_doc_count(bv_doc_get(doc, "tags")), 2);
    ck_assert_int_eq(bv_doc_type_of(bv_doc_get(doc, "problem")), BV_DOC_NULL);
    (void)snprintf(id, sizeof(id), "%s", door_str(doc, "id"));

    doc = bv_doc_get(door_ask(&d, "node.list", NULL), "nodes"); /* ordered by name */
    ck_assert_uint_eq(bv_doc_count(doc), 2);
    ck_assert_str_eq(door_str(bv_doc_first(doc), "name"), "alpha");
    ck_assert_str_eq(door_str(bv_doc_next(bv_doc_first(doc)), "name"), "zeta");

    doc = door_ask(&d, "node.show", "{\"node\":\"%s\"}", id); /* by id as well as by name */
    has_keys(doc, SHOWN_KEYS);
    ck_assert_str_eq(door_str(doc, "name"), "alpha");
    ck_assert_int_eq(bv_doc_type_of(bv_doc_get(doc, "jobs")), BV_DOC_NULL);
    ck_assert_int_eq(bv_doc_type_of(bv_doc_get(doc, "height")), BV_DOC_NULL);
    ck_assert_int_eq(door_num(bv_doc_get(door_ask(&d, "host.metrics", NULL), "nodes"), "stopped"),
                     2);

    doc = door_ask(&d, "node.delete", "{\"node\":\"alpha\"}");
    ck_assert_str_eq(door_str(doc, "id"), id);
    ck_assert_str_eq(door_str(doc, "name"), "alpha");
    door_fails(&d, BV_E_NOT_FOUND, "alpha", "node.show", "{\"node\":\"alpha\"}");
    ck_assert_uint_eq(bv_doc_count(bv_doc_get(door_ask(&d, "node.list", NULL), "nodes")), 1);
    door_close(&d);
}
END_TEST

START_TEST(names_are_made_up)
{
    char first[128];
    door d;

    open_door(d, "");
    (void)door_ask(&d, "image.import", "{\"path\":\"%s\"}", door_image());
    (void)snprintf(first, sizeof(first), "%s",
                   door_str(door_ask(&d, "node.create", "{\"image\":\"%s\"}", DOOR_IMAGE), "name"));
    ck_assert_str_ne(first, "");
    ck_assert_str_ne(
        door_str(door_ask(&d, "node.create", "{\"image\":\"%s\"}", DOOR_IMAGE), "name"), first);
    door_close(&d);
}
END_TEST

static const struct {
    const char *args;
    int code;
    const char *says;
} bad_nodes[] = {
    { "\"image\":\"nothing\"", BV_E_NOT_FOUND, "image 'nothing'" },
    { "\"image\":\"" DOOR_IMAGE "\",\"name\":\"taken\"", BV_E_EXISTS, "'taken'" },
    { "\"image\":\"" DOOR_IMAGE "\",\"name\":\"../up\"", BV_E_INVALID, "not a node name" },
    { "\"image\":\"" DOOR_IMAGE "\",\"name\":\"\"", BV_E_INVALID, "not a node name" },
    { "\"image\":\"" DOOR_IMAGE "\",\"variant\":\"other\"", BV_E_NOT_FOUND, "variant 'other'" },
    { "\"image\":\"" DOOR_IMAGE "\",\"network\":\"moon\"", BV_E_INVALID, "network 'moon'" },
    { "\"image\":\"" DOOR_IMAGE "\",\"properties\":{\"colour\":\"red\"}", BV_E_INVALID,
      "no property 'colour'" },
    { "\"image\":\"" DOOR_IMAGE "\",\"properties\":{\"block-ms\":5}", BV_E_INVALID,
      "must be a string" },
    { "\"image\":\"" DOOR_IMAGE "\",\"tags\":[1]", BV_E_INVALID, "tags" },
    { "\"image\":\"" DOOR_IMAGE "\",\"cpus\":-1", BV_E_INVALID, "cpus" },
    { "\"image\":\"" DOOR_IMAGE "\",\"store_key\":\"a/b\"", BV_E_INVALID, "store key" },
};

START_TEST(bad_nodes_leave_nothing_behind)
{
    door d;

    open_door(d, "");
    door_make_node(&d, "taken");
    for (size_t i = 0; i < BVI_COUNT(bad_nodes); i++)
        door_fails(&d, bad_nodes[i].code, bad_nodes[i].says, "node.create", "{%s}",
                   bad_nodes[i].args);
    ck_assert_uint_eq(bv_doc_count(bv_doc_get(door_ask(&d, "node.list", NULL), "nodes")), 1);
    door_close(&d);
}
END_TEST

START_TEST(start_stop_restart)
{
    const bv_doc *doc;
    int64_t pid;
    door d;

    open_door(d, "");
    if (!door_runs_nodes(&d)) {
        door_close(&d);
        bvt_skip("there is no agent to start");
    }
    door_make_node(&d, "n");
    doc = door_ask(&d, "node.start", "{\"node\":\"n\"}");
    has_keys(doc, NODE_KEYS);
    ck_assert_str_eq(door_str(doc, "status"), "running");
    ck_assert(bv_doc_is_true(bv_doc_get(doc, "initialized")));
    pid = door_num(doc, "pid");
    ck_assert_int_gt(pid, 0);
    ck_assert_int_ge(door_num(doc, "uptime_s"), 0);
    /* Running already is success and changes nothing. */
    ck_assert_int_eq(door_num(door_ask(&d, "node.start", "{\"node\":\"n\"}"), "pid"), pid);
    ck_assert_int_eq(door_num(bv_doc_get(door_ask(&d, "host.metrics", NULL), "nodes"), "running"),
                     1);

    doc = door_ask(&d, "node.restart", "{\"node\":\"n\"}");
    ck_assert_str_eq(door_str(doc, "status"), "running");
    ck_assert_int_ne(door_num(doc, "pid"), pid);

    doc = door_ask(&d, "node.stop", "{\"node\":\"n\"}");
    ck_assert_str_eq(door_str(doc, "status"), "stopped");
    ck_assert_int_eq(bv_doc_type_of(bv_doc_get(doc, "pid")), BV_DOC_NULL);
    ck_assert_str_eq(
        door_str(door_ask(&d, "node.stop", "{\"node\":\"n\",\"force\":true}"), "status"),
        "stopped");
    /* Restarting a stopped node starts it; deleting a running one stops it. */
    ck_assert_str_eq(
        door_str(door_ask(&d, "node.restart", "{\"node\":\"n\",\"force\":true}"), "status"),
        "running");
    (void)door_ask(&d, "node.delete", "{\"node\":\"n\"}");
    door_close(&d);
}
END_TEST

START_TEST(many_ask_for_the_same)
{
    door_call calls[8];
    door_call refused_call;
    door d;

    open_door(d, "?delay_ms=40");
    if (!door_runs_nodes(&d)) {
        door_close(&d);
        bvt_skip("there is no agent to start");
    }
    door_make_node(&d, "n");
    for (size_t i = 0; i < BVI_COUNT(calls); i++)
        door_begin(&calls[i], &d, "node.start", "{\"node\":\"n\"}");
    door_begin(&refused_call, &d, "node.restart", "{\"node\":\"n\"}");
    for (size_t i = 0; i < BVI_COUNT(calls); i++) {
        door_wait(&calls[i]);
        ck_assert_int_eq(calls[i].code, 0);
        ck_assert_str_eq(door_str(calls[i].reply, "status"), "running");
        door_end(&calls[i]);
    }
    door_wait(&refused_call);
    ck_assert_int_eq(refused_call.code, BV_E_BUSY);
    ck_assert_ptr_nonnull(strstr(refused_call.text, "start is under way"));
    door_end(&refused_call);
    (void)door_ask(&d, "node.delete", "{\"node\":\"n\"}");
    door_close(&d);
}
END_TEST

/* A stop does not wait behind a start; who asked for the start hears of it. */
START_TEST(stop_ends_a_start)
{
    door_call start, stop;
    door d;

    open_door(d, "?delay_ms=400");
    if (!door_runs_nodes(&d)) {
        door_close(&d);
        bvt_skip("there is no agent to start");
    }
    door_make_node(&d, "n");
    door_begin(&start, &d, "node.start", "{\"node\":\"n\"}");
    if (strcmp(d.kind, "oci") != 0) { /* there it may just have come up */
        while (strcmp(
            door_str(bv_doc_first(bv_doc_get(door_ask(&d, "node.list", NULL), "nodes")), "status"),
            "busy"))
            door_turn(&d);
    }
    door_begin(&stop, &d, "node.stop", "{\"node\":\"n\",\"force\":true}");
    door_wait(&start);
    ck_assert(start.code == BV_E_CANCELLED || (start.code == 0 && strcmp(d.kind, "oci") == 0));
    if (strcmp(d.kind, "oci") == 0)
        door_wait(&stop);
    else
        bv_op_cancel(stop.op); /* it goes on, unheard */
    door_wait(&stop);
    door_end(&start);
    door_end(&stop);
    door_close(&d);
}
END_TEST

/* ---- plugin ---- */

START_TEST(methods)
{
    const bv_doc *doc;
    door d;

    open_door(d, "");
    door_make_node(&d, "n");
    doc = bv_doc_get(door_ask(&d, "node.capabilities", "{\"node\":\"n\"}"), "capabilities");
    ck_assert_uint_gt(bv_doc_count(doc), 3);
    for (const bv_doc *it = bv_doc_first(doc); it && bv_doc_next(it);
         it = bv_doc_next(it)) /* ordered */
        ck_assert_int_lt(strcmp(bv_doc_string(it, ""), bv_doc_string(bv_doc_next(it), "")), 0);
    door_fails(&d, BV_E_NOT_FOUND, "height", "node.run", "{\"node\":\"n\",\"method\":\"no_such\"}");
    if (door_runs_nodes(&d)) {
        (void)door_ask(&d, "node.start", "{\"node\":\"n\"}");
        doc = door_ask(&d, "node.run",
                       "{\"node\":\"n\",\"method\":\"echo\",\"param\":\"two words\"}");
        ck_assert_str_eq(door_str(doc, "result"), "two words");
        ck_assert_str_eq(
            door_str(door_ask(&d, "node.run", "{\"node\":\"n\",\"method\":\"echo\"}"), "result"),
            "");
        do { /* a chain grows */
            doc = door_ask(&d, "node.run", "{\"node\":\"n\",\"method\":\"height\"}");
            door_turn(&d);
        } while (strcmp(door_str(doc, "result"), "0") == 0);
        doc = door_ask(&d, "node.show", "{\"node\":\"n\"}");
        has_keys(doc, SHOWN_KEYS);
        ck_assert_int_gt(door_num(doc, "height"), 0);
        ck_assert_str_eq(door_str(bv_doc_get(doc, "protocol_status"), "health"), "healthy");
        ck_assert_ptr_nonnull(door_find(bv_doc_get(doc, "jobs"), "name", "chain"));
        (void)door_ask(&d, "node.delete", "{\"node\":\"n\"}");
    }
    door_close(&d);
}
END_TEST

/* ---- jobs ---- */

static bool chain_is(door *d, const char *status)
{
    const bv_doc *job = door_ask(d, "job.show", "{\"node\":\"n\",\"job\":\"chain\"}");

    has_keys(job, JOB_KEYS);
    if (strcmp(status, "finished") == 0)
        return bv_doc_get(bv_doc_get(job, "status"), "finished") != NULL;
    return strcmp(door_str(job, "status"), status) == 0;
}

START_TEST(jobs_of_a_stopped_node)
{
    door d;

    open_door(d, "");
    door_make_node(&d, "n");
    door_fails(&d, BV_E_STATE, "not running", "job.list", "{\"node\":\"n\"}");
    door_fails(&d, BV_E_STATE, "not running", "job.start", "{\"node\":\"n\",\"job\":\"chain\"}");
    door_fails(&d, BV_E_STATE, "not running", "node.exec", "{\"node\":\"n\"}");
    door_fails(&d, BV_E_STATE, "not running", "snapshot.upload", "{\"node\":\"n\"}");
    door_close(&d);
}
END_TEST

START_TEST(jobs)
{
    const bv_doc *doc;
    door d;

    open_door(d, "");
    if (!door_runs_nodes(&d)) {
        door_close(&d);
        bvt_skip("there is no agent to start");
    }
    door_make_node(&d, "n");
    (void)door_ask(&d, "node.start", "{\"node\":\"n\"}");
    while (!chain_is(&d, "running"))
        door_turn(&d);
    doc = bv_doc_get(door_ask(&d, "job.list", "{\"node\":\"n\"}"), "jobs");
    has_keys(door_find(doc, "name", "chain"), JOB_KEYS);
    ck_assert_str_eq(door_str(door_find(doc, "name", "chain"), "status_text"), "Running");
    door_fails(&d, BV_E_STATE, "active", "job.cleanup", "{\"node\":\"n\",\"job\":\"chain\"}");
    ck_assert_uint_eq(bv_doc_count(door_ask(&d, "job.stop", "{\"node\":\"n\",\"job\":\"chain\"}")),
                      0);
    ck_assert(chain_is(&d, "stopped"));
    (void)door_ask(&d, "job.stop", "{\"node\":\"n\",\"job\":\"chain\"}");
    (void)door_ask(&d, "job.cleanup", "{\"node\":\"n\",\"job\":\"chain\"}");
    (void)door_ask(&d, "job.start", "{\"node\":\"n\",\"job\":\"chain\"}");
    while (!chain_is(&d, "running"))
        door_turn(&d);
    (void)door_ask(&d, "job.start", "{\"node\":\"n\",\"job\":\"chain\"}");
    (void)door_ask(&d, "job.skip", "{\"node\":\"n\",\"job\":\"chain\"}");
    ck_assert(chain_is(&d, "finished"));
    door_fails(&d, BV_E_NOT_FOUND, "'nothing'", "job.show", "{\"node\":\"n\",\"job\":\"nothing\"}");
    door_fails(&d, BV_E_NOT_FOUND, "'nothing'", "job.stop", "{\"node\":\"n\",\"job\":\"nothing\"}");
    (void)door_ask(&d, "node.delete", "{\"node\":\"n\"}");
    door_close(&d);
}
END_TEST

START_TEST(output_of_jobs)
{
    door_call call;
    const bv_doc *doc;
    char cursor[128];
    door d;

    open_door(d, "");
    door_make_node(&d, "n");
    door_fails(&d, BV_E_NOT_FOUND, "chain", "job.logs", "{\"node\":\"n\",\"job\":\"chain\"}");
    door_fails(&d, BV_E_INVALID, "not a job name", "job.logs",
               "{\"node\":\"n\",\"job\":\"../../etc\"}");
    if (!door_runs_nodes(&d)) {
        door_close(&d);
        return;
    }
    (void)door_ask(&d, "node.start", "{\"node\":\"n\"}");
    while (!chain_is(&d, "running"))
        door_turn(&d);
    door_fails(&d, BV_E_INVALID, "cursor", "job.logs",
               "{\"node\":\"n\",\"job\":\"chain\",\"cursor\":\"x\"}");
    doc = door_ask(&d, "job.logs", "{\"node\":\"n\",\"job\":\"chain\",\"lines\":10}");
    has_keys(doc, "text cursor gap");
    (void)snprintf(cursor, sizeof(cursor), "%s", door_str(doc, "cursor"));
    /* At the end there is nothing more to read; the answer comes when the time is over, and
     * continues. */
    (void)door_ask(&d, "job.stop", "{\"node\":\"n\",\"job\":\"chain\"}");
    do {
        doc =
            door_ask(&d, "job.logs",
                     "{\"node\":\"n\",\"job\":\"chain\",\"cursor\":\"%s\",\"wait_ms\":1}", cursor);
        (void)snprintf(cursor, sizeof(cursor), "%s", door_str(doc, "cursor"));
    } while (*door_str(doc, "text"));
    door_begin(&call, &d, "job.logs",
               "{\"node\":\"n\",\"job\":\"chain\",\"cursor\":\"%s\",\"wait_ms\":600000}", cursor);
    door_turn_ms(&d, 50);
    ck_assert_uint_eq(call.ended, 0);
    bv_op_cancel(call.op);
    door_wait(&call);
    ck_assert_int_eq(call.code, BV_E_CANCELLED);
    door_end(&call);
    /* Output can still be read when the node is stopped, and a reader does not outlive its node. */
    (void)door_ask(&d, "node.stop", "{\"node\":\"n\"}");
    (void)door_ask(&d, "job.logs", "{\"node\":\"n\",\"job\":\"chain\"}");
    (void)door_ask(&d, "node.delete", "{\"node\":\"n\"}");
    door_close(&d);
}
END_TEST

/* ---- images ---- */

START_TEST(images)
{
    const char *path = door_image();
    size_t before;
    const bv_doc *doc;
    char id[128];
    door d;

    open_door(d, "");
    before = bv_doc_count(bv_doc_get(door_ask(&d, "image.list", NULL), "images"));
    door_fails(&d, BV_E_NOT_FOUND, "/no/such/place", "image.import",
               "{\"path\":\"/no/such/place\"}");
    door_fails(&d, BV_E_INVALID, "absolute", "image.import", "{\"path\":\"relative\"}");
    doc = door_ask(&d, "image.import", "{\"path\":\"%s\"}", path);
    has_keys(doc, IMAGE_KEYS);
    ck_assert_str_eq(door_str(doc, "name"), DOOR_IMAGE);
    ck_assert_str_eq(door_str(doc, "protocol"), "tiny");
    (void)snprintf(id, sizeof(id), "%s", door_str(doc, "id"));
    ck_assert_str_eq(door_str(door_ask(&d, "image.import", "{\"path\":\"%s\"}", path), "id"), id);
    doc = bv_doc_get(door_ask(&d, "image.list", NULL), "images");
    ck_assert_uint_eq(bv_doc_count(doc), before + 1);
    ck_assert_ptr_nonnull(door_find(doc, "id", id));

    (void)door_ask(&d, "node.create", "{\"image\":\"%.12s\",\"name\":\"n\"}", id);
    door_fails(&d, BV_E_BUSY, "used by a node", "image.remove", "{\"image\":\"%s\"}", DOOR_IMAGE);
    (void)door_ask(&d, "node.delete", "{\"node\":\"n\"}");
    ck_assert_uint_eq(bv_doc_count(door_ask(&d, "image.remove", "{\"image\":\"%s\"}", DOOR_IMAGE)),
                      0);
    door_fails(&d, BV_E_NOT_FOUND, "tiny", "image.remove", "{\"image\":\"%s\"}", DOOR_IMAGE);
    ck_assert_uint_eq(bv_doc_count(bv_doc_get(door_ask(&d, "image.list", NULL), "images")), before);
    door_close(&d);
}
END_TEST

/* ---- snapshots ---- */

START_TEST(snapshots)
{
    const bv_doc *doc;
    door d;

    open_door(d, "");
    ck_assert_uint_eq(bv_doc_count(bv_doc_get(door_ask(&d, "snapshot.list", NULL), "snapshots")),
                      0);
    door_fails(&d, BV_E_NOT_FOUND, "nothing", "snapshot.verify", "{\"key\":\"nothing\"}");
    door_fails(&d, BV_E_INVALID, "absolute", "snapshot.download",
               "{\"key\":\"nothing\",\"dest_dir\":\"here\"}");
    door_fails(&d, BV_E_NOT_FOUND, "nothing", "snapshot.download",
               "{\"key\":\"nothing\",\"dest_dir\":\"%s\"}", bvt_path("out"));
    door_fails(&d, BV_E_NOT_FOUND, "nothing", "snapshot.diff",
               "{\"key\":\"nothing\",\"old_version\":1,\"version\":2}");
    door_fails(&d, BV_E_INVALID, "'keep' is at least 1", "snapshot.prune",
               "{\"key\":\"nothing\",\"keep\":0}");
    door_make_node(&d, "n");
    (void)door_ask(&d, "node.create", "{\"image\":\"%s\",\"name\":\"keyless\",\"store_key\":\"\"}",
                   DOOR_IMAGE);
    door_fails(&d, BV_E_STATE, "no store key", "snapshot.upload", "{\"node\":\"keyless\"}");
    if (door_runs_nodes(&d)) {
        (void)door_ask(&d, "node.start", "{\"node\":\"n\"}");
        do {
            doc = door_ask(&d, "node.run", "{\"node\":\"n\",\"method\":\"height\"}");
            door_turn(&d);
        } while (strcmp(door_str(doc, "result"), "0") == 0);
        doc = door_ask(&d, "snapshot.upload", "{\"node\":\"n\"}");
        has_keys(doc, SNAPSHOT_KEYS);
        ck_assert_str_eq(door_str(doc, "key"), "tiny-local-full-v1");
        ck_assert_int_eq(door_num(doc, "version"), 1);
        ck_assert_int_eq(door_num(door_ask(&d, "snapshot.upload", "{\"node\":\"n\"}"), "version"),
                         2);
        doc = door_ask(&d, "snapshot.list", "{\"key\":\"tiny-local-full-v1\"}");
        ck_assert_uint_eq(bv_doc_count(bv_doc_get(doc, "snapshots")), 2);
        doc = door_ask(&d, "snapshot.verify", "{\"key\":\"tiny-local-full-v1\",\"version\":1}");
        ck_assert(bv_doc_is_true(bv_doc_get(doc, "ok")));
        ck_assert_int_eq(door_num(doc, "version"), 1);
        doc = door_ask(&d, "snapshot.download",
                       "{\"key\":\"tiny-local-full-v1\",\"dest_dir\":\"%s\"}", bvt_path("out"));
        ck_assert_int_eq(door_num(doc, "version"), 2);
        door_fails(&d, BV_E_NOT_FOUND, "", "snapshot.verify",
                   "{\"key\":\"tiny-local-full-v1\",\"version\":7}");
        doc = door_ask(&d, "snapshot.prune",
                       "{\"key\":\"tiny-local-full-v1\",\"keep\":1,\"dry_run\":true}");
        ck_assert_int_eq(door_num(doc, "versions_removed"), 1);
        doc = door_ask(&d, "snapshot.prune",
                       "{\"key\":\"tiny-local-full-v1\",\"keep\":1,\"keep_versions\":[1]}");
        ck_assert_int_eq(door_num(doc, "versions_removed"), 0);
        (void)door_ask(&d, "node.delete", "{\"node\":\"n\"}");
    }
    door_close(&d);
}
END_TEST

/* ---- events ---- */

START_TEST(events)
{
    door_call call;
    const bv_doc *doc;
    int64_t next;
    door d;

    open_door(d, "");
    doc = door_ask(&d, "host.events", NULL); /* where are we? */
    ck_assert_uint_eq(bv_doc_count(bv_doc_get(doc, "events")), 0);
    next = door_num(doc, "next");
    door_make_node(&d, "n");
    doc = door_ask(&d, "host.events", "{\"after\":%lld}", (long long)next);
    ck_assert_uint_eq(bv_doc_count(bv_doc_get(doc, "events")), 1);
    has_keys(bv_doc_first(bv_doc_get(doc, "events")), "seq time_ms type node job message");
    ck_assert_str_eq(door_str(bv_doc_first(bv_doc_get(doc, "events")), "type"), "node_created");
    ck_assert_str_eq(door_str(bv_doc_first(bv_doc_get(doc, "events")), "node"), "n");
    ck_assert_int_eq(door_num(doc, "next"), next + 1);
    next++;

    /* Nothing comes: the answer is empty, after a while. Something comes: the answer has it, at
     * once. */
    doc = door_ask(&d, "host.events", "{\"after\":%lld,\"wait_ms\":20}", (long long)next);
    ck_assert_uint_eq(bv_doc_count(bv_doc_get(doc, "events")), 0);
    door_begin(&call, &d, "host.events", "{\"after\":%lld,\"wait_ms\":600000}", (long long)next);
    door_turn_ms(&d, 30);
    ck_assert_uint_eq(call.ended, 0);
    (void)door_ask(&d, "node.delete", "{\"node\":\"n\"}");
    door_wait(&call);
    ck_assert_int_eq(call.code, 0);
    ck_assert_ptr_nonnull(door_find(bv_doc_get(call.reply, "events"), "type", "node_deleted"));
    door_end(&call);
    door_close(&d);
}
END_TEST

/* ---- cancelling and closing ---- */

START_TEST(a_call_is_cancelled)
{
    door_call call;
    door d;

    open_door(d, "");
    door_begin(&call, &d, "host.events", "{\"wait_ms\":600000}");
    if (_i)
        door_turn_ms(&d, 30); /* it is on its way, or not even that */
    bv_op_cancel(call.op);
    bv_op_cancel(call.op);
    door_wait(&call);
    ck_assert_int_eq(call.code, BV_E_CANCELLED);
    bv_op_cancel(call.op); /* too late is fine */
    door_turn_ms(&d, 20);
    ck_assert_uint_eq(call.ended, 1);
    door_end(&call);
    (void)door_ask(&d, "host.info", NULL);
    door_close(&d);
}
END_TEST

/* 0: closed at once; 1: when all is under way; 2: the context goes and nobody turns the loop again.
 */
START_TEST(closing_ends_what_is_under_way)
{
    door_call calls[6];
    door d;

    open_door(d, "?delay_ms=400");
    door_make_node(&d, "n");
    door_begin(&calls[0], &d, "host.events", "{\"wait_ms\":600000}");
    door_begin(&calls[1], &d, "host.events", "{\"wait_ms\":600000}");
    door_begin(&calls[2], &d, "node.list", NULL);
    door_begin(&calls[3], &d, "node.show", "{\"node\":\"n\"}");
    door_begin(&calls[4], &d, "snapshot.verify", "{\"key\":\"nothing\"}");
    door_begin(&calls[5], &d, "node.delete", "{\"node\":\"n\"}");
    if (_i)
        door_turn_ms(&d, 30);
    bv_host_close(d.host);
    d.host = NULL;
    if (_i != 2) {
        for (size_t i = 0; i < BVI_COUNT(calls); i++)
            door_wait(&calls[i]);
    }
    door_close(&d);
    for (size_t i = 0; i < BVI_COUNT(calls); i++)
        ck_assert_uint_eq(calls[i].ended, 1);
    /* An engine may have deleted the node by then, which is an event. */
    ck_assert(calls[0].code == BV_E_CANCELLED || (calls[0].code == 0 && calls[5].code == 0));
    ck_assert(calls[1].code == BV_E_CANCELLED || (calls[1].code == 0 && calls[5].code == 0));
    for (size_t i = 0; i < BVI_COUNT(calls); i++)
        door_end(&calls[i]);
}
END_TEST

/* Progress is told while something goes on, and never afterwards. */
START_TEST(progress)
{
    door_call call;
    door d;

    open_door(d, "?delay_ms=500");
    if (strcmp(d.kind, "fake") != 0 && strcmp(d.kind, "unix") != 0) {
        door_close(&d);
        bvt_skip("how long it takes is not ours to say");
    }
    door_begin(&call, &d, "image.import", "{\"path\":\"%s\"}", door_image());
    door_wait(&call);
    ck_assert_int_eq(call.code, 0);
    ck_assert_uint_ge(call.reports, 2);
    door_end(&call);
    door_close(&d);
}
END_TEST

START_TEST(many_nodes)
{
    const bv_doc *doc;
    door d;

    open_door(d, "?nodes=2000");
    if (strcmp(d.kind, "fake") != 0 && strcmp(d.kind, "unix") != 0) {
        door_close(&d);
        bvt_skip("only fake hosts have nodes from the start");
    }
    doc = bv_doc_get(door_ask(&d, "node.list", NULL), "nodes");
    ck_assert_uint_eq(bv_doc_count(doc), 2000);
    ck_assert_str_eq(door_str(bv_doc_first(doc), "name"), "node-0001");
    ck_assert_str_eq(door_str(door_find(doc, "name", "node-0004"), "status"), "stopped");
    ck_assert_str_eq(door_str(door_find(doc, "name", "node-2000"), "status"), "stopped");
    ck_assert_str_eq(door_str(door_find(doc, "name", "node-1999"), "status"), "running");
    door_close(&d);
}
END_TEST

BVT_MAIN("host/door", bvt_test(host_facts), bvt_test(limits_of_transfers),
         bvt_loop(arguments_are_checked, refused), bvt_times(no_such_node, BVI_CALL_COUNT),
         bvt_test(create_list_show_delete), bvt_test(names_are_made_up),
         bvt_test(bad_nodes_leave_nothing_behind), bvt_test(start_stop_restart),
         bvt_test(many_ask_for_the_same), bvt_test(stop_ends_a_start), bvt_test(methods),
         bvt_test(jobs_of_a_stopped_node), bvt_test(jobs), bvt_test(output_of_jobs),
         bvt_test(images), bvt_test(snapshots), bvt_test(events), bvt_times(a_call_is_cancelled, 2),
         bvt_times(closing_ends_what_is_under_way, 3), bvt_test(progress), bvt_test(many_nodes))
