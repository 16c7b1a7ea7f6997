/*
 * The daemon is killed, at every step of every sequence; the next one ends what was begun. And
 * state files that are damaged, twice there, or missing.
 */
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sys/fs.h"
#include "world.h"

/* More turns than any sequence takes; checked below. */
#define TURNS 44

static const struct {
    const char *method;
    const char *args;
    bool running; /* before */
} works[] = {
    { "node.create", "{'image':'chain/main:1','name':'n','store_key':'some-key'}", false },
    { "node.start", "{'node':'n'}", false },
    { "node.stop", "{'node':'n'}", true },
    { "node.restart", "{'node':'n'}", true },
    { "node.delete", "{'node':'n'}", true },
    { "node.delete", "{'node':'n'}", false },
    { "node.update", "{'node':'n','properties':{'mode':'task'}}", true },
};

#define WORKS (sizeof(works) / sizeof(works[0]))

static bool mode_is(const bvi_node *node, const char *mode)
{
    return strcmp(bvi_json_string(bvi_json_find(node->state.properties, "mode")), mode) == 0;
}

/* What there must be after a crash somewhere in the work: as before, or as after, and nothing in
 * between. */
static void check(world *w, size_t work, const answer *a, bool existed)
{
    bvi_node *node = world_node(w);

    ck_assert_uint_eq(world_node_dirs(w), node ? 1 : 0);
    ck_assert_uint_eq(w->log.counts[BV_LOG_ERROR], 0);
    if (node) {
        ck_assert_int_eq(node->state.intent, BVI_INTENT_NONE);
        ck_assert_ptr_null(node->activity.sequence);
        ck_assert_str_eq(world_problem(w), "");
        ck_assert_str_eq(world_status(w),
                         strcmp(world_expected(w), "Running") == 0 ? "running" : "stopped");
        ck_assert_int_eq(world_container(w, node->state.id) == BVI_CONTAINER_RUNNING,
                         node->state.expected == BVI_EXPECT_RUNNING);
        if (node->state.expected == BVI_EXPECT_RUNNING)
            ck_assert(fake_agent_is_ready(world_agent(w)));
    }
    switch (work) {
    case 0: /* the caller heard that it exists, or it does not exist */
        ck_assert(a->code != 0 || node);
        break;
    case 1:
        ck_assert_ptr_nonnull(node);
        if (a->done && a->code == 0)
            ck_assert_str_eq(world_status(w), "running");
        break;
    case 2:
        ck_assert_ptr_nonnull(node);
        if (a->done && a->code == 0)
            ck_assert_str_eq(world_status(w), "stopped");
        break;
    case 3:
        ck_assert_ptr_nonnull(node);
        ck_assert_str_eq(world_status(w), "running");
        break;
    case 6: /* init has run with the one value or with the other */
        ck_assert_str_eq(world_status(w), "running");
        ck_assert(node->state.initialized);
        ck_assert_uint_eq(bvi_json_count(node->tasks), mode_is(node, "task") ? 1 : 0);
        ck_assert(a->code != 0 || !a->done || mode_is(node, "task"));
        break;
    default:
        if (a->done && a->code == 0)
            ck_assert_ptr_null(node);
    }
    ck_assert(existed || !node || work == 0);
}

static void begin_work(world *w, size_t work, answer **ret_answer)
{
    if (work != 0)
        world_create(w);
    if (works[work].running)
        assert_ok(world_do(w, "node.start"));
    *ret_answer = world_begin(w, works[work].method, works[work].args);
}

START_TEST(ends_what_was_begun)
{
    size_t work = (size_t)_i / TURNS;
    int turns = _i % TURNS;
    world w;
    answer *a;

    world_open(&w);
    begin_work(&w, work, &a);
    for (int i = 0; i < turns; i++)
        world_turn(&w);
    ck_assert_msg(a->done || turns < TURNS - 1, "TURNS is too small");
    world_crash(&w);
    world_settle(&w);
    world_load(&w);
    world_settle(&w);
    check(&w, work, a, work != 0);
    world_crash(&w); /* and once more: what was ended stays so */
    world_load(&w);
    world_settle(&w);
    check(&w, work, a, work != 0);
    if (world_node(&w))
        assert_ok(world_do(&w, "node.delete"));
    ck_assert_uint_eq(world_node_dirs(&w), 0);
    world_close(&w);
}
END_TEST

/* Killed again and again, each time a little later, while the same work is being ended. */
START_TEST(survives_a_series_of_crashes)
{
    world w;
    answer *a;

    world_open(&w);
    begin_work(&w, (size_t)_i, &a);
    for (int turns = 0; turns < 40; turns++) {
        for (int i = 0; i < turns; i++)
            world_turn(&w);
        world_crash(&w);
        world_settle(&w);
        world_load(&w);
    }
    world_settle(&w);
    check(&w, (size_t)_i, a, _i != 0);
    world_close(&w);
}
END_TEST

static const char *copy_to;
static size_t copy_skip;

/* ---- every durable moment: the directory is copied after each step and given to a host of its own
 * ---- */

static int copy_one(const char *path, const struct stat *st, int kind, struct FTW *where)
{
    const char *to = bvt_format("%s%s", copy_to, path + copy_skip);
    bvi_auto_free char *text = NULL;
    size_t len = 0;

    if (kind == FTW_D)
        ck_assert_int_eq(bvi_fs_mkdir(to, 0755, NULL), 0);
    if (kind != FTW_F || !S_ISREG(st->st_mode))
        return 0; /* sockets are made anew */
    ck_assert_int_eq(bvi_fs_read(path, 1u << 20, &text, &len, NULL), 0);
    ck_assert_int_eq(bvi_fs_replace(to, text, len, 0600, NULL), 0);
    return 0;
}

static void copy_tree(const char *from, const char *to)
{
    ck_assert_int_eq(bvi_fs_remove_tree(to, NULL), 0);
    copy_to = to;
    copy_skip = strlen(from);
    ck_assert_int_eq(nftw(from, copy_one, 16, FTW_PHYS), 0);
}

/* As after a reboot: no container runs. */
START_TEST(starts_from_what_was_on_disk)
{
    size_t work = (size_t)_i / TURNS;
    int turns = _i % TURNS;
    world w;
    answer *a;
    bv_error *err = NULL;

    world_open(&w);
    begin_work(&w, work, &a);
    for (int i = 0; i < turns; i++)
        world_turn(&w);
    copy_tree(w.paths.nodes_dir, bvt_path("saved"));
    world_crash(&w);
    world_settle(&w);
    copy_tree(bvt_path("saved"), w.paths.nodes_dir);
    for (int i = 0; i < WORLD_NODES_MAX; i++)
        fake_agent_free(bvi_take(w.agents[i].agent));
    bvi_driver_free(w.driver);
    bvt_assert_ok(bvi_fake_driver_new(w.ctx, &w.driver, &err), err);
    world_load(&w);
    world_settle(&w);
    check(&w, work, a, work != 0);
    world_close(&w);
}
END_TEST

/* ---- state files ---- */

static const char *state_path(world *w)
{
    return bvt_format("%s", world_node(w)->paths.state);
}

static void rewrite(const char *path, const char *from, const char *to)
{
    char *text = bvt_read_file(path, NULL);
    char *at = strstr(text, from);
    FILE *f = fopen(path, "wb");

    ck_assert_ptr_nonnull(at);
    ck_assert_ptr_nonnull(f);
    fprintf(f, "%.*s%s%s", (int)(at - text), text, to, at + strlen(from));
    ck_assert_int_eq(fclose(f), 0);
}

static const struct {
    const char *from;
    const char *to;
    const char *says;
} damages[] = {
    { "{", "[", "JSON" },
    { "\"expected_status\": \"Stopped\"", "\"expected_status\": \"Asleep\"", "Asleep" },
    { "\"intent\": \"none\"", "\"intent\": \"burn\"", "burn" },
    { "\"id\": \"", "\"id\": \"x", "UUID" },
    { "\"mem_size_mb\": 0", "\"mem_size_mb\": 18446744073709551615", "memory limit" },
};

START_TEST(sets_damaged_state_aside)
{
    world w;
    const char *dir, *data;
    bvi_strv names = BVI_VEC_INIT(100);
    bool kept = false;

    world_open(&w);
    world_create(&w);
    dir = bvt_format("%s", world_node(&w)->paths.dir);
    data = bvt_format("%s/data/chain", dir);
    rewrite(state_path(&w), damages[_i].from, damages[_i].to);
    ck_assert_int_eq(bvi_fs_touch(data, NULL), 0);
    for (int i = 0; i < 2; i++) { /* the second time there is nothing more to do */
        world_crash(&w);
        world_load(&w);
        world_settle(&w);
        ck_assert_ptr_null(world_node(&w));
        ck_assert(bvt_exists(data));
    }
    ck_assert_msg(strstr(w.log.text, damages[_i].says) != NULL, "%s", w.log.text);
    ck_assert_uint_eq(w.log.counts[BV_LOG_ERROR], 1);
    ck_assert(world_has_event(&w, "node_damaged"));
    ck_assert_int_eq(bvi_fs_list(dir, &names, NULL), 0);
    for (size_t i = 0; i < names.len; i++)
        kept = kept || strncmp(names.items[i], "state.json.damaged-", 19) == 0;
    ck_assert(kept);
    bvi_strv_done(&names);
    assert_ok(world_call(&w, "node.create", "{'image':'chain/main:1','name':'n'}"));
    world_close(&w);
}
END_TEST

START_TEST(knows_a_state_of_another_node)
{
    world w;
    const char *copy;

    world_open(&w);
    world_create(&w);
    copy = bvt_format("%s/4931bafa-92d9-4521-9fc6-a77eee047530", w.paths.nodes_dir);
    copy_tree(world_node(&w)->paths.dir, copy);
    if (_i == 1) /* the copy has an id of its own, but the same name */
        rewrite(bvt_format("%s/state.json", copy), world_node(&w)->state.id,
                "4931bafa-92d9-4521-9fc6-a77eee047530");
    world_crash(&w);
    world_load(&w);
    world_settle(&w);
    ck_assert_uint_eq(w.manager->nodes.len, 1);
    ck_assert_ptr_nonnull(world_node(&w));
    ck_assert(strstr(w.log.text, _i ? "its name 'n' is taken" : "it says it is node") != NULL);
    ck_assert(bvt_exists(copy));
    world_close(&w);
}
END_TEST

/* What is in a directory without a state file, and whether it stays. */
static const struct {
    const char *dirs[3];
    const char *file;
    bool stays;
} shells[] = {
    { { NULL }, NULL, false },
    { { "data", "run" }, NULL, false },
    { { "data", "run" }, ".state.json.tmp-1234abcd", false },
    { { "data", "run" }, "data/chain", true },
    { { "data", "rootfs" }, NULL, true },
    { { NULL }, "notes.txt", true },
    { { "data" }, "state.json.damaged-1700000000", true },
};

START_TEST(removes_only_empty_directories)
{
    static const char id[] = "4931bafa-92d9-4521-9fc6-a77eee047530";
    world w;
    const char *dir;

    world_open(&w);
    world_crash(&w);
    dir = bvt_format("%s/%s", w.paths.nodes_dir, id);
    ck_assert_int_eq(bvi_fs_mkdir(dir, 0755, NULL), 0);
    for (size_t i = 0; i < 3 && shells[_i].dirs[i]; i++)
        ck_assert_int_eq(bvi_fs_mkdir(bvt_format("%s/%s", dir, shells[_i].dirs[i]), 0755, NULL), 0);
    if (shells[_i].file)
        ck_assert_int_eq(bvi_fs_touch(bvt_format("%s/%s", dir, shells[_i].file), NULL), 0);
    world_load(&w);
    ck_assert_int_eq(bvt_exists(dir), shells[_i].stays);
    if (shells[_i].stays && shells[_i].file)
        ck_assert(bvt_exists(bvt_format("%s/%s", dir, shells[_i].file)));
    world_close(&w);
}
END_TEST

START_TEST(manages_a_node_whose_image_is_gone)
{
    world w;

    world_open(&w);
    world_create(&w);
    world_crash(&w);
    ck_assert_int_eq(rename(w.paths.images_dir, bvt_path("elsewhere")), 0);
    bvi_image_store_free(w.images);
    bvt_assert_ok(bvi_image_store_open(w.ctx, w.paths.images_dir, &w.images, NULL), NULL);
    world_load(&w);
    world_settle(&w);
    ck_assert_ptr_nonnull(strstr(world_problem(&w), "is not in the store; import it again"));
    world_assert(world_do(&w, "node.start"), BV_E_NOT_FOUND, "find its image");
    world_assert(world_call(&w, "node.run", "{'node':'n','method':'echo'}"), BV_E_STATE,
                 "has no plugin");
    assert_ok(world_do(&w, "node.stop"));
    if (_i == 0) {
        assert_ok(world_do(&w, "node.delete"));
    } else { /* it comes back */
        bvi_image_store_free(w.images);
        ck_assert_int_eq(bvi_fs_remove_tree(w.paths.images_dir, NULL), 0);
        ck_assert_int_eq(rename(bvt_path("elsewhere"), w.paths.images_dir), 0);
        bvt_assert_ok(bvi_image_store_open(w.ctx, w.paths.images_dir, &w.images, NULL), NULL);
        world_crash(&w);
        world_load(&w);
        world_settle(&w);
        assert_ok(world_do(&w, "node.start"));
    }
    world_close(&w);
}
END_TEST

START_TEST(attaches_to_what_runs)
{
    world w;
    pid_t pid;

    world_open(&w);
    world_start(&w);
    pid = w.driver->vtable->pid(w.driver, world_node(&w)->state.id);
    world_crash(&w);
    if (_i == 1)
        fake_agent_set(w.agents[0].agent, "version", FAKE_AGENT_FAILS, 1);
    if (_i == 2)
        bvi_fake_driver_fail(w.driver, "attach", 1, BV_E_IO);
    world_load(&w);
    world_settle(&w);
    if (_i == 1) { /* looked at again, without a restart */
        ck_assert_str_eq(world_status(&w), "running");
        ck_assert_ptr_nonnull(strstr(world_problem(&w), "the fake fails"));
    }
    world_pass(&w, 6 * SECOND_US);
    ck_assert_str_eq(world_status(&w), "running");
    ck_assert_int_eq(w.driver->vtable->pid(w.driver, world_node(&w)->state.id), pid);
    ck_assert_uint_eq(fake_agent_calls(world_agent(&w), "create_job"), 1);
    world_close(&w);
}
END_TEST

START_TEST(starts_what_ended_while_nobody_looked)
{
    world w;

    world_open(&w);
    world_start(&w);
    if (_i == 1)
        assert_ok(world_do(&w, "node.stop"));
    world_kill(&w);
    world_crash(&w);
    world_load(&w);
    world_settle(&w);
    ck_assert_str_eq(world_status(&w), _i == 0 ? "running" : "stopped");
    world_close(&w);
}
END_TEST

/* ---- no memory ---- */

START_TEST(survives_every_failed_allocation)
{
    world w;

    world_open(&w);
    world_create(&w);
    assert_ok(world_call(&w, "node.create",
                         "{'image':'chain/main:1','name':'m','store_key':'some-key'}"));
    world_crash(&w);
    world_settle(&w);
    bvt_for_each_failed_allocation(n) {
        bv_error *err = NULL;
        bvi_json *doc = NULL, *counts = NULL;
        int r = world_try_load(&w, &err);

        if (r == 0) {
            ck_assert_uint_eq(w.manager->nodes.len, 2);
            doc = bvi_node_json(w.manager->nodes.items[0]);
            counts = bvi_manager_counts(w.manager);
            world_crash(&w);
        }
        bvi_json_free(doc);
        bvi_json_free(counts);
        ck_assert_msg(r == 0 || r == BV_E_NOMEM, "%s", bv_code_name(r));
        bv_error_free(err);
    }
    world_load(&w);
    world_settle(&w);
    ck_assert_uint_eq(w.manager->nodes.len, 2);
    world_close(&w);
}
END_TEST

START_TEST(lists_with_every_failed_allocation)
{
    static const char *const methods[] = { "node.list", "node.capabilities", "job.logs" };
    world w;
    bvi_json *args = NULL;
    static const char text[] = "{\"node\":\"n\",\"job\":\"svc\"}";
    answer *warm;

    world_open(&w);
    world_create(&w);
    ck_assert_int_eq(
        bvi_fs_mkdir(bvt_format("%s/var/lib/babel/jobs/svc", world_node(&w)->paths.rootfs), 0755,
                     NULL),
        0);
    warm = world_call(&w, methods[_i], "{'node':'n','job':'svc'}");
    assert_ok(warm);
    ck_assert_int_eq(bvi_json_parse(text, strlen(text), &args, NULL), 0);
    bvt_for_each_failed_allocation(n) {
        answer a = { 0 };
        bvi_reply *reply = world_reply(&w, &a);

        if (reply) {
            bvi_manager_call(w.manager, methods[_i], args, reply);
            for (int i = 0; i < 4; i++)
                world_turn(&w);
            ck_assert(a.done);
            ck_assert(a.code == 0 || a.code == BV_E_NOMEM);
        }
        bvi_json_free(a.result);
        bv_op_unref(a.op);
    }
    bvi_json_free(args);
    world_close(&w);
}
END_TEST

BVT_MAIN("node/crash", bvt_times(ends_what_was_begun, WORKS *TURNS),
         bvt_times(survives_a_series_of_crashes, WORKS),
         bvt_times(starts_from_what_was_on_disk, WORKS *TURNS),
         bvt_loop(sets_damaged_state_aside, damages), bvt_times(knows_a_state_of_another_node, 2),
         bvt_loop(removes_only_empty_directories, shells),
         bvt_times(manages_a_node_whose_image_is_gone, 2), bvt_times(attaches_to_what_runs, 3),
         bvt_times(starts_what_ended_while_nobody_looked, 2),
         bvt_test(survives_every_failed_allocation),
         bvt_times(lists_with_every_failed_allocation, 3))
