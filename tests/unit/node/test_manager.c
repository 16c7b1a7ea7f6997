/* The manager: nodes made, started, stopped and deleted, and every way in which that goes wrong. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sys/fs.h"
#include "world.h"

static const char *job_name(const answer *a)
{
    const char *name =
        bvi_json_string(bvi_json_find(bvi_json_first(bvi_json_find(a->result, "jobs")), "name"));

    return name ? name : "";
}

START_TEST(makes_and_runs_a_node)
{
    world w;
    answer *a;
    uint64_t height = 0;

    world_open(&w);
    world_create(&w);
    ck_assert_str_eq(world_status(&w), "stopped");
    ck_assert_str_eq(world_expected(&w), "Stopped");
    assert_ok(world_do(&w, "node.start"));
    assert_ok(world_do(&w, "node.start")); /* running already is success */
    ck_assert_str_eq(world_status(&w), "running");
    ck_assert_uint_eq(fake_agent_calls(world_agent(&w), "start_job"), 1);
    a = world_do(&w, "node.show");
    assert_ok(a);
    ck_assert_str_eq(job_name(a), "svc");
    ck_assert_int_eq(bvi_json_uint64(bvi_json_find(a->result, "height"), &height), 0);
    ck_assert_uint_eq(height, 42);
    assert_ok(world_do(&w, "node.restart"));
    ck_assert_str_eq(world_status(&w), "running");
    ck_assert_uint_eq(fake_agent_calls(world_agent(&w), "start_job"), 0); /* initialised before */
    assert_ok(world_do(&w, "node.stop"));
    assert_ok(world_do(&w, "node.stop"));
    ck_assert_str_eq(world_status(&w), "stopped");
    assert_ok(world_do(&w, "node.delete"));
    ck_assert_ptr_null(world_node(&w));
    ck_assert_uint_eq(world_node_dirs(&w), 0);
    world_close(&w);
}
END_TEST

/* ---- creating ---- */

static const struct {
    const char *args;
    int code;
    const char *says;
} refused[] = {
    { "{}", BV_E_FORMAT, "'image' is missing" },
    { "{'image':7}", BV_E_FORMAT, "'image'" },
    { "{'image':'no/such:1'}", BV_E_NOT_FOUND, "image 'no/such:1' is not in the store" },
    { "{'image':'chain/main:1','variant':'tall'}", BV_E_NOT_FOUND, "no variant 'tall'" },
    { "{'image':'chain/main:1','name':'taken'}", BV_E_EXISTS,
      "a node with the name 'taken' exists" },
    { "{'image':'chain/main:1','name':'../etc'}", BV_E_INVALID, "'../etc' is not a node name" },
    { "{'image':'chain/main:1','name':''}", BV_E_INVALID, "'' is not a node name" },
    { "{'image':'chain/main:1','name':"
      "'a234567890123456789012345678901234567890123456789012345678901234'}",
      BV_E_INVALID, "at most 63" },
    { "{'image':'chain/main:1','network':'bridge'}", BV_E_INVALID, "network 'bridge'" },
    { "{'image':'chain/main:1','properties':{'colour':'red'}}", BV_E_INVALID,
      "no property 'colour'" },
    { "{'image':'chain/main:1','properties':{'mode':7}}", BV_E_INVALID,
      "property 'mode' must be a string" },
    { "{'image':'chain/main:1','tags':['a',7]}", BV_E_INVALID, "tags must be strings" },
    { "{'image':'chain/main:1','store_key':'../../etc'}", BV_E_INVALID, "store key" },
    { "{'image':'chain/main:1','memory_mb':-1}", BV_E_FORMAT, "'memory_mb'" },
    { "{'image':'chain/main:1','memory_mb':99999999999999}", BV_E_INVALID, "memory limit" },
    { "{'image':'chain/main:1','cpus':-0.5}", BV_E_INVALID, "'cpus'" },
    { "{'image':'chain/main:1','cpus':1e300}", BV_E_INVALID, "'cpus'" },
    { "{'image':'chain/main:1','cpus':'two'}", BV_E_INVALID, "'cpus'" },
    { "{'image':'chain/main:1','snapshot_version':-1}", BV_E_INVALID, "'snapshot_version'" },
};

START_TEST(refuses_to_create)
{
    world w;

    world_open(&w);
    assert_ok(world_call(&w, "node.create", "{'image':'chain/main:1','name':'taken'}"));
    world_assert(world_call(&w, "node.create", refused[_i].args), refused[_i].code,
                 refused[_i].says);
    ck_assert_uint_eq(world_node_dirs(&w), 1); /* nothing is left behind */
    ck_assert_uint_eq(w.manager->nodes.len, 1);
    world_close(&w);
}
END_TEST

START_TEST(creates_with_everything)
{
    world w;
    answer *a;
    const bvi_json *doc;

    world_open(&w);
    a = world_call(
        &w, "node.create",
        "{'image':'chain/"
        "main:1','name':'my_node','variant':'other','network':'none','memory_mb':512,"
        "'cpus':1.5,'properties':{'mode':'task'},'tags':['a','b'],'snapshot_version':3}");
    assert_ok(a);
    doc = a->result;
    ck_assert_str_eq(bvi_json_string(bvi_json_find(doc, "network")), "none");
    ck_assert_str_eq(bvi_json_string(bvi_json_find(doc, "store_key")), "some-key");
    ck_assert_str_eq(bvi_json_string(bvi_json_find(bvi_json_find(doc, "properties"), "mode")),
                     "task");
    ck_assert_uint_eq(bvi_json_count(bvi_json_find(doc, "tags")), 2);
    ck_assert_str_eq(bvi_manager_find(w.manager, "my_node")->spec.hostname, "my-node");
    ck_assert_uint_eq(bvi_manager_find(w.manager, "my_node")->spec.memory_bytes, 512000000u);
    ck_assert(bvt_exists(bvt_format("%s/some-key", w.paths.snapshots_dir)));
    a = world_call(&w, "node.create", "{'image':'chain/main:1'}"); /* a name is made up */
    assert_ok(a);
    ck_assert_ptr_nonnull(strchr(bvi_json_string(bvi_json_find(a->result, "name")), '-'));
    a = world_call(&w, "node.list", "{}");
    ck_assert_uint_eq(bvi_json_count(bvi_json_find(a->result, "nodes")), 2);
    assert_ok(world_call(&w, "node.delete", "{'node':'my_node'}"));
    ck_assert(!bvt_exists(bvt_format("%s/.staging/%s", w.paths.snapshots_dir, "x")));
    world_close(&w);
}
END_TEST

/* What is broken while a node is made. */
static void break_prepare(world *w)
{
    bvi_fake_driver_fail(w->driver, "prepare", 1, BV_E_IO);
}

static void break_prepare_and_remove(world *w)
{
    bvi_fake_driver_fail(w->driver, "prepare", 1, BV_E_IO);
    bvi_fake_driver_fail(w->driver, "remove", 1, BV_E_IO);
}

static void break_plugin(world *w)
{
    const bvi_image *image = bvi_image_store_at(w->images, 0);
    const char *path = bvt_format("%s/var/lib/babel/plugin/main.rhai", bvi_image_root(image));

    ck_assert_int_eq(chmod(bvt_format("%s/var/lib/babel/plugin", bvi_image_root(image)), 0755), 0);
    ck_assert_int_eq(unlink(path), 0);
}

static const struct {
    void (*breaks)(world *w);
    int code;
    const char *says;
} broken_creations[] = {
    { break_prepare, BV_E_IO, "cannot create node 'n': prepare its root: scripted failure" },
    { break_prepare_and_remove, BV_E_IO, "prepare its root" },
    { break_plugin, BV_E_NOT_FOUND, "load its plugin" },
};

START_TEST(undoes_a_creation)
{
    world w;

    world_open(&w);
    broken_creations[_i].breaks(&w);
    world_assert(world_call(&w, "node.create", "{'image':'chain/main:1','name':'n'}"),
                 broken_creations[_i].code, broken_creations[_i].says);
    ck_assert_ptr_null(world_node(&w));
    ck_assert_uint_eq(world_node_dirs(&w), 0);
    world_close(&w);
}
END_TEST

/* ---- starting ---- */

static const struct {
    const char *driver; /* operation that fails once; NULL: none */
    const char *method; /* of the agent that misbehaves */
    fake_agent_mood mood;
    int code;
    const char *says;
} failed_starts[] = {
    { "probe", NULL, 0, BV_E_IO, "choose a container runtime" },
    { "start", NULL, 0, BV_E_IO, "start its container" },
    { "prepare", NULL, 0, BV_E_IO, "prepare its root" },
    { NULL, "version", FAKE_AGENT_FAILS, BV_E_INTERNAL, "reach its agent" },
    { NULL, "version", FAKE_AGENT_HANGS, BV_E_TIMEOUT, "reach its agent" },
    { NULL, "setup", FAKE_AGENT_FAILS, BV_E_INTERNAL, "set up its agent" },
    { NULL, "setup", FAKE_AGENT_HANGS, BV_E_TIMEOUT, "set up its agent" },
    { NULL, "create_job", FAKE_AGENT_FAILS, BV_E_INTERNAL, "initialise its plugin" },
    { NULL, "start_job", FAKE_AGENT_FAILS, BV_E_INTERNAL, "initialise its plugin" },
};

/* Turns until the agent of "n" listens, and gives it a mood before the host has talked to it. */
static void upset(world *w, const char *method, fake_agent_mood mood)
{
    for (int i = 0; world_container(w, world_node(w)->state.id) != BVI_CONTAINER_RUNNING; i++) {
        ck_assert_int_lt(i, 1000);
        world_turn(w);
    }
    fake_agent_set(world_agent(w), method, mood, 0);
}

START_TEST(tries_again_after_a_failed_start)
{
    world w;
    answer *a;

    world_open(&w);
    world_create(&w);
    if (failed_starts[_i].driver)
        bvi_fake_driver_fail(w.driver, failed_starts[_i].driver, 1, BV_E_IO);
    a = world_begin(&w, "node.start", "{'node':'n'}");
    if (failed_starts[_i].method)
        upset(&w, failed_starts[_i].method, failed_starts[_i].mood);
    world_until(&w, a);
    ck_assert_msg(strstr(a->story, failed_starts[_i].says) != NULL, "%s", a->story);
    ck_assert_int_ne(a->code, 0);
    ck_assert_str_eq(world_expected(&w), "Running");
    ck_assert_str_eq(world_status(&w), "failed");
    ck_assert_ptr_nonnull(strstr(world_problem(&w), failed_starts[_i].says));
    ck_assert(world_has_event(&w, "node_start_failed"));
    if (failed_starts[_i].method)
        fake_agent_set(world_agent(&w), failed_starts[_i].method, FAKE_AGENT_WORKS, 0);
    world_pass(&w, 14 * SECOND_US);
    ck_assert_str_eq(world_status(&w), "failed"); /* not before its time */
    world_pass(&w, 3 * SECOND_US);
    ck_assert_str_eq(world_status(&w), "running");
    ck_assert_str_eq(world_problem(&w), "");
    world_close(&w);
}
END_TEST

START_TEST(gives_up_after_three_tries)
{
    world w;

    world_open(&w);
    world_create(&w);
    for (unsigned i = 1; i <= 3; i++)
        bvi_fake_driver_fail(w.driver, "start", i, BV_E_IO);
    world_assert(world_do(&w, "node.start"), BV_E_IO, "start its container");
    world_pass(&w, 17 * SECOND_US); /* 15 s and a tenth more */
    ck_assert_str_eq(world_expected(&w), "Running");
    world_pass(&w, 34 * SECOND_US);
    ck_assert_str_eq(world_expected(&w), "Failed");
    ck_assert_str_eq(world_status(&w), "failed");
    ck_assert(world_has_event(&w, "node_failed"));
    world_pass(&w, 300 * SECOND_US);
    ck_assert_str_eq(world_status(&w), "failed");
    world_crash(&w); /* that it was given up is remembered, also by the next daemon */
    world_load(&w);
    world_settle(&w);
    ck_assert_str_eq(world_expected(&w), "Failed");
    ck_assert_ptr_nonnull(strstr(world_problem(&w), "start its container"));
    assert_ok(world_do(&w, "node.start")); /* a person can */
    ck_assert_str_eq(world_status(&w), "running");
    world_close(&w);
}
END_TEST

START_TEST(counts_anew_after_a_person_took_over)
{
    world w;

    world_open(&w);
    world_create(&w);
    for (unsigned i = 1; i <= 4; i++)
        bvi_fake_driver_fail(w.driver, "start", i, BV_E_IO);
    for (int i = 0; i < 4; i++)
        world_assert(world_do(&w, "node.start"), BV_E_IO, "start its container");
    ck_assert_str_eq(world_expected(&w), "Running"); /* the fourth failure was the first in a row */
    world_pass(&w, 17 * SECOND_US);
    ck_assert_str_eq(world_status(&w), "running");
    world_close(&w);
}
END_TEST

START_TEST(says_what_a_plugin_threw)
{
    world w;
    answer *a;

    world_open(&w);
    assert_ok(world_call(&w, "node.create",
                         "{'image':'chain/main:1','name':'n','properties':{'mode':'throw'}}"));
    a = world_do(&w, "node.start");
    ck_assert_ptr_nonnull(strstr(a->story, "no luck today"));
    ck_assert_str_eq(world_status(&w), "failed");
    assert_ok(world_do(&w, "node.stop"));
    ck_assert_str_eq(world_status(&w), "stopped");
    ck_assert_str_eq(world_problem(&w), "");
    world_close(&w);
}
END_TEST

START_TEST(waits_for_a_slow_agent)
{
    world w;
    answer *a;

    world_open(&w);
    world_create(&w);
    w.agents_mute = true;
    a = world_begin(&w, "node.start", "{'node':'n'}");
    world_pass(&w, 10 * SECOND_US);
    ck_assert(!a->done);
    w.agents[0].agent = fake_agent_new(w.ctx, world_node(&w)->paths.agent_socket);
    world_until(&w, a);
    assert_ok(a);
    world_close(&w);
}
END_TEST

/* ---- stopping ---- */

START_TEST(stops_without_its_agent)
{
    world w;

    world_open(&w);
    world_start(&w);
    fake_agent_set(world_agent(&w), "shutdown", _i == 0 ? FAKE_AGENT_FAILS : FAKE_AGENT_HANGS, 0);
    assert_ok(world_do(&w, "node.stop"));
    ck_assert_str_eq(world_status(&w), "stopped");
    world_close(&w);
}
END_TEST

START_TEST(a_forced_stop_hurries_a_patient_one)
{
    world w;
    answer *patient, *forced;
    int64_t before;

    world_open(&w);
    world_start(&w);
    fake_agent_set(world_agent(&w), "shutdown", FAKE_AGENT_HANGS, 0);
    patient = world_begin(&w, "node.stop", "{'node':'n'}");
    world_pass(&w, 2 * SECOND_US);
    ck_assert(!patient->done);
    before = w.clock.monotonic_us;
    forced = world_begin(&w, "node.stop", "{'node':'n','force':true}");
    world_settle(&w);
    assert_ok(forced);
    assert_ok(patient);
    ck_assert_int_eq(before, w.clock.monotonic_us); /* no time passed */
    world_close(&w);
}
END_TEST

START_TEST(tries_again_after_a_failed_stop)
{
    world w;

    world_open(&w);
    world_start(&w);
    bvi_fake_driver_fail(w.driver, "stop", 1, BV_E_TIMEOUT);
    world_assert(world_do(&w, "node.stop"), BV_E_TIMEOUT,
                 "cannot stop node 'n': stop its container");
    ck_assert_str_eq(world_status(&w), "failed");
    world_pass(&w, 44 * SECOND_US);
    ck_assert_str_eq(world_status(&w), "failed");
    world_pass(&w, 7 * SECOND_US);
    ck_assert_str_eq(world_status(&w), "stopped");
    world_close(&w);
}
END_TEST

START_TEST(gives_up_stopping_after_three_tries)
{
    world w;

    world_open(&w);
    world_start(&w);
    for (unsigned i = 1; i <= 3; i++)
        bvi_fake_driver_fail(w.driver, "stop", i, BV_E_TIMEOUT);
    world_assert(world_do(&w, "node.stop"), BV_E_TIMEOUT, "stop its container");
    world_pass(&w, 160 * SECOND_US);
    ck_assert_str_eq(world_expected(&w), "Failed");
    world_pass(&w, 300 * SECOND_US);
    ck_assert_str_eq(world_expected(&w), "Failed");
    assert_ok(world_do(&w, "node.stop"));
    ck_assert_str_eq(world_status(&w), "stopped");
    world_close(&w);
}
END_TEST

START_TEST(a_restart_that_cannot_start_is_a_failed_start)
{
    world w;

    world_open(&w);
    world_start(&w);
    bvi_fake_driver_fail(w.driver, "start", 1, BV_E_IO);
    world_assert(world_do(&w, "node.restart"), BV_E_IO, "cannot start node 'n'");
    ck_assert_str_eq(world_status(&w), "failed");
    world_pass(&w, 17 * SECOND_US);
    ck_assert_str_eq(world_status(&w), "running");
    bvi_fake_driver_fail(w.driver, "stop", 1, BV_E_IO);
    world_assert(world_do(&w, "node.restart"), BV_E_IO, "cannot restart node 'n'");
    ck_assert_str_eq(world_expected(&w), "Running");
    world_close(&w);
}
END_TEST

/* ---- deleting ---- */

START_TEST(deletes_a_running_node)
{
    world w;
    bvi_auto_free char *id = NULL;

    world_open(&w);
    world_start(&w);
    id = bvi_strdup(world_node(&w)->state.id);
    bvt_write_file("r/var/lib/blockvisor/nodes/stray", "x"); /* not a node: left alone */
    assert_ok(world_do(&w, "node.delete"));
    ck_assert_int_eq(world_container(&w, id), BVI_CONTAINER_ABSENT);
    ck_assert_uint_eq(world_node_dirs(&w), 1);
    world_assert(world_do(&w, "node.show"), BV_E_NOT_FOUND, "there is no node 'n'");
    assert_ok(world_call(&w, "node.create",
                         "{'image':'chain/main:1','name':'n'}")); /* its name is free */
    world_close(&w);
}
END_TEST

START_TEST(a_deletion_that_failed_can_only_be_repeated)
{
    world w;

    world_open(&w);
    world_create(&w);
    bvi_fake_driver_fail(w.driver, "remove", 1, BV_E_BUSY);
    world_assert(world_do(&w, "node.delete"), BV_E_BUSY, "remove its container");
    ck_assert_ptr_nonnull(strstr(world_problem(&w), "remove its container"));
    world_assert(world_do(&w, "node.start"), BV_E_STATE, "its deletion was begun");
    world_assert(world_do(&w, "node.restart"), BV_E_STATE, "its deletion was begun");
    assert_ok(world_do(&w, "node.delete"));
    ck_assert_uint_eq(world_node_dirs(&w), 0);
    world_close(&w);
}
END_TEST

START_TEST(deletes_what_is_gone_already)
{
    world w;

    world_open(&w);
    world_create(&w);
    ck_assert_int_eq(bvi_fs_remove_tree(world_node(&w)->paths.dir, NULL), 0);
    assert_ok(world_do(&w, "node.delete"));
    ck_assert_ptr_null(world_node(&w));
    world_close(&w);
}
END_TEST

/* ---- what happens by itself ---- */

START_TEST(starts_again_when_its_container_ends)
{
    world w;

    world_open(&w);
    world_start(&w);
    world_pass(&w, 100 * SECOND_US);
    world_kill(&w);
    world_settle(&w);
    ck_assert_str_eq(world_status(&w), "running");
    ck_assert(world_has_event(&w, "node_exited"));
    ck_assert(fake_agent_is_ready(world_agent(&w)));
    world_kill(&w); /* again, at once: now after a pause */
    world_settle(&w);
    ck_assert_str_eq(world_status(&w), "failed");
    ck_assert_str_eq(world_problem(&w), "its container ended");
    world_pass(&w, 14 * SECOND_US);
    ck_assert_str_eq(world_status(&w), "failed");
    world_pass(&w, 3 * SECOND_US);
    ck_assert_str_eq(world_status(&w), "running");
    world_close(&w);
}
END_TEST

START_TEST(notices_a_container_that_ends_while_it_starts)
{
    world w;
    answer *a;

    world_open(&w);
    world_create(&w);
    a = world_begin(&w, "node.start", "{'node':'n'}");
    upset(&w, "setup", FAKE_AGENT_HANGS);
    world_settle(&w);
    world_kill(&w);
    world_settle(&w);
    world_assert(a, BV_E_STATE, "set up its agent: its container ended");
    world_pass(&w, 17 * SECOND_US);
    ck_assert_str_eq(world_status(&w), "running");
    world_close(&w);
}
END_TEST

START_TEST(a_stopped_node_stays_stopped)
{
    world w;

    world_open(&w);
    world_start(&w);
    assert_ok(world_do(&w, "node.stop"));
    world_pass(&w, 200 * SECOND_US);
    ck_assert_str_eq(world_status(&w), "stopped");
    world_close(&w);
}
END_TEST

START_TEST(finds_its_agent_again)
{
    world w;
    fake_agent *agent;

    world_open(&w);
    world_start(&w);
    agent = world_agent(&w);
    fake_agent_set(agent, "job_info", FAKE_AGENT_DROPS, 2);
    (void)world_call(&w, "job.show", "{'node':'n','job':'svc'}");
    world_pass(&w, 5 * SECOND_US);
    ck_assert_str_eq(world_status(&w), "running");
    fake_agent_free(agent); /* gone while nobody asks; another one takes its place */
    world_settle(&w);
    ck_assert_str_eq(world_status(&w), "failed");
    w.agents[0].agent = fake_agent_new(w.ctx, world_node(&w)->paths.agent_socket);
    fake_agent_set_ready(w.agents[0].agent, true);
    world_pass(&w, 3 * SECOND_US);
    ck_assert_str_eq(world_status(&w), "running");
    ck_assert_uint_eq(fake_agent_calls(world_agent(&w), "setup"), 0);
    world_close(&w);
}
END_TEST

START_TEST(sets_up_an_agent_that_forgot_everything)
{
    world w;

    world_open(&w);
    world_start(&w);
    fake_agent_free(world_agent(&w));
    world_settle(&w);
    w.agents[0].agent = fake_agent_new(w.ctx, world_node(&w)->paths.agent_socket);
    world_pass(&w, 3 * SECOND_US);
    ck_assert_str_eq(world_status(&w), "running");
    ck_assert_uint_eq(fake_agent_calls(world_agent(&w), "setup"), 1);
    world_close(&w);
}
END_TEST

START_TEST(restarts_a_node_whose_agent_stays_away)
{
    world w;
    pid_t pid;

    world_open(&w);
    world_start(&w);
    pid = w.driver->vtable->pid(w.driver, world_node(&w)->state.id);
    fake_agent_free(bvi_take(w.agents[0].agent));
    world_pass(&w, 70 * SECOND_US); /* three looks, 5 and 10 s between them */
    ck_assert_int_ne(w.driver->vtable->pid(w.driver, world_node(&w)->state.id), pid);
    ck_assert_str_eq(world_status(&w), "running");
    w.agents_mute = true; /* and when that does not help either, it is given up */
    fake_agent_free(bvi_take(w.agents[0].agent));
    world_pass(&w, 600 * SECOND_US);
    ck_assert_str_eq(world_expected(&w), "Failed");
    assert_ok(world_do(&w, "node.delete"));
    world_close(&w);
}
END_TEST

/* ---- calls on a node ---- */

START_TEST(answers_calls)
{
    world w;
    answer *a;

    world_open(&w);
    world_create(&w);
    world_assert(world_do(&w, "job.list"), BV_E_STATE, "not running; start it");
    world_assert(world_do(&w, "node.exec"), BV_E_STATE, "not running");
    world_assert(world_do(&w, "snapshot.upload"), BV_E_STATE, "no store key");
    assert_ok(world_do(&w, "node.start"));
    a = world_call(&w, "node.run", "{'node':'n','method':'echo','param':'hello'}");
    assert_ok(a);
    ck_assert_str_eq(bvi_json_string(bvi_json_find(a->result, "result")), "hello");
    world_assert(world_call(&w, "node.run", "{'node':'n','method':'sing'}"), BV_E_NOT_FOUND,
                 "has: echo, fetch, height");
    a = world_do(&w, "node.capabilities");
    ck_assert_uint_ge(bvi_json_count(bvi_json_find(a->result, "capabilities")), 3);
    a = world_do(&w, "node.exec");
    ck_assert_uint_eq(bvi_json_count(bvi_json_find(a->result, "argv")), 2);
    a = world_call(&w, "job.show", "{'node':'n','job':'svc'}");
    assert_ok(a);
    ck_assert_str_eq(bvi_json_string(bvi_json_find(a->result, "status")), "running");
    world_assert(world_call(&w, "job.show", "{'node':'n','job':'x'}"), BV_E_NOT_FOUND,
                 "no such job");
    assert_ok(world_call(&w, "job.stop", "{'node':'n','job':'svc'}"));
    assert_ok(world_call(&w, "job.start", "{'node':'n','job':'svc'}"));
    assert_ok(world_call(&w, "job.skip", "{'node':'n','job':'svc'}"));
    assert_ok(world_call(&w, "job.cleanup", "{'node':'n','job':'svc'}"));
    world_assert(world_do(&w, "job.paint"), BV_E_UNSUPPORTED, "no call 'job.paint'");
    world_assert(world_call(&w, "node.start", "{}"), BV_E_NOT_FOUND, "no node ''");
    world_close(&w);
}
END_TEST

START_TEST(cancels_calls)
{
    static const char *const methods[] = { "job_info", "jobs" };
    world w;
    answer *a;

    world_open(&w);
    world_start(&w);
    fake_agent_set(world_agent(&w), methods[_i], FAKE_AGENT_HANGS, 0);
    a = world_begin(&w, _i == 0 ? "job.show" : "job.list", "{'node':'n','job':'svc'}");
    world_settle(&w);
    ck_assert(!a->done);
    bv_op_cancel(a->op);
    world_settle(&w);
    world_assert(a, BV_E_CANCELLED, "");
    world_close(&w);
}
END_TEST

START_TEST(show_never_waits_long)
{
    world w;
    answer *a;

    world_open(&w);
    world_start(&w);
    fake_agent_set(world_agent(&w), "jobs", FAKE_AGENT_HANGS, 0);
    a = world_begin(&w, "node.show", "{'node':'n'}");
    world_pass(&w, 5 * SECOND_US);
    assert_ok(a);
    ck_assert_int_eq(bvi_json_type_of(bvi_json_find(a->result, "jobs")), BVI_JSON_NULL);
    ck_assert_int_eq(bvi_json_type_of(bvi_json_find(a->result, "height")), BVI_JSON_NUMBER);
    world_close(&w);
}
END_TEST

#define INFO(status)                                                                               \
    "{\"status\":" status ",\"progress\":{\"total\":10,\"current\":4,\"message\":\"chunks\"}}"

static const struct {
    const char *info;
    int code;
    const char *says;
} uploads[] = {
    { INFO("{\"finished\":{\"exit_code\":1,\"message\":\"disk full\"}}"), BV_E_REMOTE,
      "disk full" },
    { INFO("{\"finished\":{\"exit_code\":0,\"message\":\"\"}}"), BV_E_NOT_FOUND, "no version" },
    { INFO("\"stopped\""), BV_E_CANCELLED, "its job was stopped" },
};

static answer *begin_upload(world *w)
{
    answer *a;

    assert_ok(
        world_call(w, "node.create", "{'image':'chain/main:1','name':'n','store_key':'some-key'}"));
    assert_ok(world_do(w, "node.start"));
    a = world_begin(w, "snapshot.upload", "{'node':'n'}");
    world_settle(w);
    fake_agent_set_job(world_agent(w), "upload", INFO("\"running\""));
    world_pass(w, SECOND_US);
    ck_assert(!a->done);
    ck_assert_uint_gt(a->reports, 0);
    return a;
}

START_TEST(follows_an_upload)
{
    world w;
    answer *a;

    world_open(&w);
    a = begin_upload(&w);
    fake_agent_set_job(world_agent(&w), "upload", uploads[_i].info);
    world_pass(&w, SECOND_US);
    world_assert(a, uploads[_i].code, uploads[_i].says);
    world_close(&w);
}
END_TEST

START_TEST(an_upload_ends_with_its_caller_node_or_host)
{
    world w;
    answer *a;

    world_open(&w);
    a = begin_upload(&w);
    if (_i == 0)
        bv_op_cancel(a->op);
    else if (_i == 1)
        (void)world_do(&w, "node.stop");
    else
        world_crash(&w);
    world_pass(&w, 2 * SECOND_US);
    world_assert(a, _i == 1 ? BV_E_STATE : BV_E_CANCELLED, "");
    world_close(&w);
}
END_TEST

/* ---- names and limits ---- */

START_TEST(lists_by_name_and_counts)
{
    world w;
    answer *a;
    bvi_json *counts;
    uint64_t n = 0;

    world_open(&w);
    assert_ok(world_call(&w, "node.create", "{'image':'chain/main:1','name':'b'}"));
    assert_ok(world_call(&w, "node.create", "{'image':'chain/main:1','name':'c'}"));
    assert_ok(world_call(&w, "node.create", "{'image':'chain/main:1','name':'a'}"));
    assert_ok(world_call(&w, "node.start", "{'node':'b'}"));
    a = world_call(&w, "node.list", "{}");
    ck_assert_str_eq(
        bvi_json_string(bvi_json_find(bvi_json_first(bvi_json_find(a->result, "nodes")), "name")),
        "a");
    counts = bvi_manager_counts(w.manager);
    ck_assert_int_eq(bvi_json_uint64(bvi_json_find(counts, "running"), &n), 0);
    ck_assert_uint_eq(n, 1);
    ck_assert_int_eq(bvi_json_uint64(bvi_json_find(counts, "stopped"), &n), 0);
    ck_assert_uint_eq(n, 2);
    bvi_json_free(counts);
    ck_assert(bvi_manager_uses_image(w.manager, w.manager->nodes.items[0]->state.image_id));
    ck_assert(!bvi_manager_uses_image(w.manager, "other"));
    world_close(&w);
}
END_TEST

/* The node can plant links in its root; the host does not follow them. */
START_TEST(links_in_a_root_lead_nowhere)
{
    world w;
    const char *outside;

    world_open(&w);
    world_create(&w);
    outside = bvt_path("outside");
    ck_assert_int_eq(mkdir(outside, 0755), 0);
    ck_assert_int_eq(
        bvi_fs_remove_tree(bvt_format("%s/var/lib", world_node(&w)->paths.rootfs), NULL), 0);
    ck_assert_int_eq(symlink(outside, bvt_format("%s/var/lib", world_node(&w)->paths.rootfs)), 0);
    world_assert(world_do(&w, "node.start"), BV_E_NOT_FOUND, "write its environment");
    ck_assert(!bvt_exists(bvt_format("%s/babel", outside)));
    world_close(&w);
}
END_TEST

BVT_MAIN("node/manager", bvt_test(makes_and_runs_a_node), bvt_loop(refuses_to_create, refused),
         bvt_test(creates_with_everything), bvt_loop(undoes_a_creation, broken_creations),
         bvt_loop(tries_again_after_a_failed_start, failed_starts),
         bvt_test(gives_up_after_three_tries), bvt_test(counts_anew_after_a_person_took_over),
         bvt_test(says_what_a_plugin_threw), bvt_test(waits_for_a_slow_agent),
         bvt_times(stops_without_its_agent, 2), bvt_test(a_forced_stop_hurries_a_patient_one),
         bvt_test(tries_again_after_a_failed_stop), bvt_test(gives_up_stopping_after_three_tries),
         bvt_test(a_restart_that_cannot_start_is_a_failed_start), bvt_test(deletes_a_running_node),
         bvt_test(a_deletion_that_failed_can_only_be_repeated),
         bvt_test(deletes_what_is_gone_already), bvt_test(starts_again_when_its_container_ends),
         bvt_test(notices_a_container_that_ends_while_it_starts),
         bvt_test(a_stopped_node_stays_stopped), bvt_test(finds_its_agent_again),
         bvt_test(sets_up_an_agent_that_forgot_everything),
         bvt_test(restarts_a_node_whose_agent_stays_away), bvt_test(answers_calls),
         bvt_times(cancels_calls, 2), bvt_test(show_never_waits_long),
         bvt_loop(follows_an_upload, uploads),
         bvt_times(an_upload_ends_with_its_caller_node_or_host, 3),
         bvt_test(lists_by_name_and_counts), bvt_test(links_in_a_root_lead_nowhere))
