/* The fake driver, and what all drivers share: answers from dispatch only, one call a node,
 * scripted failures. */
#include <stdio.h>

#include "bvt.h"
#include "runtime/driver.h"

typedef struct host {
    bv_ctx *ctx;
    bvi_driver *driver;
    unsigned answers;
    int code;
    unsigned exits;
    char exited[64];
    bool free_on_exit;
} host;

static const char *const argv[] = { "/sbin/init", "-x", NULL };
static const char *const env[] = { "A=1", "B=", NULL };
static const bvi_bind binds[] = { { "/srv/data", "/blockjoy", false },
                                  { "/srv/agent", "/opt/agent", true } };

static const bvi_tmpfs tmpfs[] = { { "/mnt/ram", 7 } };

static const bvi_container_spec good = {
    .id = "n1",
    .hostname = "one",
    .image_root = "/images/a/root",
    .node_dir = "/nodes/n1",
    .root_dir = "/nodes/n1/rootfs",
    .binds = binds,
    .bind_count = 2,
    .tmpfs = tmpfs,
    .tmpfs_count = 1,
    .argv = argv,
    .env = env,
    .memory_bytes = 1000,
};

static void on_done(const bv_error *err, void *data)
{
    host *h = data;

    h->answers++;
    h->code = bv_error_code(err);
}

static void on_exit_of(bvi_driver *driver, const char *id, void *data)
{
    host *h = data;

    ck_assert_ptr_eq(driver, h->driver);
    h->exits++;
    (void)snprintf(h->exited, sizeof(h->exited), "%s", id);
    if (h->free_on_exit) {
        bvi_driver_free(driver);
        h->driver = NULL;
    }
}

static void open_host(host *h)
{
    *h = (host){ 0 };
    ck_assert_int_eq(bv_ctx_new(NULL, &h->ctx, NULL), 0);
    ck_assert_int_eq(bvi_fake_driver_new(h->ctx, &h->driver, NULL), 0);
    h->driver->on_exit = on_exit_of;
    h->driver->on_exit_data = h;
}

static void close_host(host *h)
{
    bvi_driver_free(h->driver);
    bv_ctx_free(h->ctx);
}

/* Dispatches until the next answer and returns its code. */
static int answer_of(host *h)
{
    unsigned before = h->answers;

    for (int i = 0; i < 100 && h->answers == before; i++)
        (void)bv_ctx_dispatch(h->ctx, 0);
    ck_assert_uint_eq(h->answers, before + 1);
    return h->code;
}

static void settle(host *h)
{
    while (bv_ctx_dispatch(h->ctx, 0) > 0)
        ;
}

#define CALL(h, name, ...) (h)->driver->vtable->name((h)->driver, __VA_ARGS__)

START_TEST(walks_through_a_life)
{
    host h;
    bvi_container_stats stats = { 0 };
    bvi_container_state state = BVI_CONTAINER_RUNNING;
    bv_error *err = NULL;

    open_host(&h);
    ck_assert_str_eq(h.driver->vtable->name, "fake");
    ck_assert_int_eq(CALL(&h, probe, on_done, &h, NULL), 0);
    ck_assert_uint_eq(h.answers, 0); /* never from inside the call */
    ck_assert_int_eq(answer_of(&h), 0);
    ck_assert_int_eq(CALL(&h, attach, &good, &state, NULL), 0);
    ck_assert_int_eq(state, BVI_CONTAINER_ABSENT);
    ck_assert_int_eq(CALL(&h, prepare, &good, on_done, &h, NULL), 0);
    ck_assert_int_eq(answer_of(&h), 0);
    ck_assert_int_eq(CALL(&h, state, "n1"), BVI_CONTAINER_STOPPED);
    ck_assert_int_eq(CALL(&h, stats, "n1", &stats, &err), BV_E_STATE);
    bvt_assert_error_says(err, BV_E_STATE, "'n1' is not running");
    bv_error_free(err);

    ck_assert_int_eq(CALL(&h, start, &good, on_done, &h, NULL), 0);
    ck_assert_int_eq(CALL(&h, state, "n1"), BVI_CONTAINER_STOPPED);
    ck_assert_int_eq(answer_of(&h), 0);
    ck_assert_int_eq(CALL(&h, state, "n1"), BVI_CONTAINER_RUNNING);
    ck_assert_int_gt(CALL(&h, pid, "n1"), 0);
    ck_assert_int_eq(CALL(&h, stats, "n1", &stats, NULL), 0);
    ck_assert_uint_eq(stats.memory_bytes, 500);
    ck_assert_int_eq(CALL(&h, start, &good, on_done, &h, NULL), BV_E_STATE);
    ck_assert_int_eq(CALL(&h, unmount, &good, on_done, &h, NULL), BV_E_STATE);

    ck_assert_int_eq(CALL(&h, stop, &good, 10, on_done, &h, NULL), 0);
    ck_assert_int_eq(answer_of(&h), 0);
    ck_assert_int_eq(CALL(&h, pid, "n1"), 0);
    ck_assert_int_eq(CALL(&h, remove, &good, on_done, &h, NULL), 0);
    ck_assert_int_eq(answer_of(&h), 0);
    ck_assert_int_eq(CALL(&h, state, "n1"), BVI_CONTAINER_ABSENT);
    ck_assert_int_eq(CALL(&h, remove, &good, on_done, &h, NULL), 0); /* missing is fine */
    ck_assert_int_eq(answer_of(&h), 0);
    ck_assert_uint_eq(h.exits, 0);
    close_host(&h);
}
END_TEST

START_TEST(one_call_for_each_node)
{
    host h;
    bvi_container_spec other = good;

    other.id = "n2";
    open_host(&h);
    ck_assert_int_eq(CALL(&h, start, &good, on_done, &h, NULL), 0);
    ck_assert_int_eq(CALL(&h, stop, &good, 1, on_done, &h, NULL), BV_E_BUSY);
    ck_assert_int_eq(CALL(&h, start, &other, on_done, &h, NULL), 0);
    settle(&h);
    ck_assert_uint_eq(h.answers, 2);
    ck_assert_int_ne(CALL(&h, pid, "n1"), CALL(&h, pid, "n2"));
    close_host(&h);
}
END_TEST

START_TEST(reports_an_exit_once)
{
    host h;

    open_host(&h);
    ck_assert_int_eq(CALL(&h, start, &good, on_done, &h, NULL), 0);
    settle(&h);
    bvi_fake_driver_kill(h.driver, "n1");
    bvi_fake_driver_kill(h.driver, "n1");
    bvi_fake_driver_kill(h.driver, "nobody");
    ck_assert_uint_eq(h.exits, 0);
    ck_assert_int_eq(CALL(&h, state, "n1"), BVI_CONTAINER_STOPPED);
    settle(&h);
    ck_assert_uint_eq(h.exits, 1);
    ck_assert_str_eq(h.exited, "n1");

    /* A stop that overtakes the news silences it. */
    ck_assert_int_eq(CALL(&h, start, &good, on_done, &h, NULL), 0);
    settle(&h);
    ck_assert_int_eq(CALL(&h, stop, &good, 1, on_done, &h, NULL), 0);
    bvi_fake_driver_kill(h.driver, "n1");
    settle(&h);
    ck_assert_uint_eq(h.exits, 1);
    close_host(&h);
}
END_TEST

START_TEST(may_be_freed_from_its_callback)
{
    host h;

    open_host(&h);
    h.free_on_exit = true;
    ck_assert_int_eq(CALL(&h, start, &good, on_done, &h, NULL), 0);
    settle(&h);
    bvi_fake_driver_kill(h.driver, "n1");
    settle(&h);
    ck_assert_ptr_null(h.driver);
    close_host(&h);
}
END_TEST

START_TEST(freeing_abandons_calls)
{
    host h;

    open_host(&h);
    ck_assert_int_eq(CALL(&h, start, &good, on_done, &h, NULL), 0);
    bvi_driver_free(h.driver);
    h.driver = NULL;
    settle(&h);
    ck_assert_uint_eq(h.answers, 0);
    close_host(&h);
}
END_TEST

START_TEST(fails_as_scripted)
{
    host h;
    bvi_container_state state;
    bv_error *err = NULL;

    open_host(&h);
    bvi_fake_driver_fail(h.driver, "start", 2, BV_E_IO);
    bvi_fake_driver_fail(h.driver, "attach", 1, BV_E_DENIED);
    ck_assert_int_eq(CALL(&h, start, &good, on_done, &h, NULL), 0);
    ck_assert_int_eq(answer_of(&h), 0);
    ck_assert_int_eq(CALL(&h, stop, &good, 1, on_done, &h, NULL), 0);
    ck_assert_int_eq(answer_of(&h), 0);
    ck_assert_int_eq(CALL(&h, start, &good, on_done, &h, NULL), 0);
    ck_assert_int_eq(answer_of(&h), BV_E_IO);
    ck_assert_int_eq(CALL(&h, state, "n1"), BVI_CONTAINER_STOPPED);
    ck_assert_int_eq(CALL(&h, start, &good, on_done, &h, NULL), 0);
    ck_assert_int_eq(answer_of(&h), 0);
    ck_assert_int_eq(CALL(&h, attach, &good, &state, &err), BV_E_DENIED);
    bvt_assert_error_says(err, BV_E_DENIED, "scripted failure of 'attach'");
    bv_error_free(err);
    ck_assert_int_eq(CALL(&h, attach, &good, &state, NULL), 0);
    ck_assert_int_eq(state, BVI_CONTAINER_RUNNING);
    close_host(&h);
}
END_TEST

START_TEST(survives_every_failed_allocation)
{
    host h;

    open_host(&h);
    bvt_for_each_failed_allocation(n) {
        bvi_driver *driver = NULL;

        if (bvi_fake_driver_new(h.ctx, &driver, NULL) == 0) {
            int r = driver->vtable->start(driver, &good, on_done, &h, NULL);

            ck_assert(r == 0 || r == BV_E_NOMEM);
            bvi_driver_free(driver);
        }
    }
    bvt_for_each_failed_allocation(n) {
        bvi_container_spec *copy = NULL;
        int r = bvi_container_spec_copy(&good, &copy, NULL);

        ck_assert(r == 0 || r == BV_E_NOMEM);
        bvi_container_spec_free(copy);
    }
    close_host(&h);
}
END_TEST

START_TEST(copies_a_spec)
{
    bvi_container_spec *copy = NULL;

    ck_assert_int_eq(bvi_container_spec_copy(&good, &copy, NULL), 0);
    ck_assert_str_eq(copy->id, "n1");
    ck_assert_ptr_ne(copy->id, good.id);
    ck_assert_str_eq(copy->argv[1], "-x");
    ck_assert_ptr_null(copy->argv[2]);
    ck_assert_str_eq(copy->env[1], "B=");
    ck_assert_uint_eq(copy->bind_count, 2);
    ck_assert_str_eq(copy->binds[1].destination, "/opt/agent");
    ck_assert(copy->binds[1].read_only);
    ck_assert_uint_eq(copy->tmpfs_count, 1);
    ck_assert_str_eq(copy->tmpfs[0].destination, "/mnt/ram");
    ck_assert_uint_eq(copy->tmpfs[0].size_mb, 7);
    ck_assert_uint_eq(copy->memory_bytes, 1000);
    bvi_container_spec_free(copy);
}
END_TEST

static const char *const no_argv[] = { NULL };
static const char *const bad_env[] = { "NOVALUE", NULL };
static const bvi_bind relative[] = { { "data", "/blockjoy", false } };
static const bvi_bind escaping[] = { { "/srv", "/a/../../etc", false } };
static const bvi_tmpfs upwards[] = { { "/mnt/../x", 7 } };
static const bvi_tmpfs empty[] = { { "/mnt/ram", 0 } };
static const bvi_tmpfs over_proc[] = { { "/proc", 7 } };
static const bvi_tmpfs over_bind[] = { { "/opt", 7 } };
static const bvi_bind at_root[] = { { "/srv", "/", false } };

static const struct {
    bvi_container_spec change; /* fields that are set replace the good ones */
    const char *says;
} refused[] = {
    { { .id = "../x" }, "id '../x'" },
    { { .node_dir = "nodes" }, "plain absolute" },
    { { .root_dir = "/nodes/../x" }, "plain absolute" },
    { { .image_root = "image" }, "image root" },
    { { .argv = no_argv }, "no first process" },
    { { .env = bad_env }, "'NOVALUE' is not KEY=value" },
    { { .binds = relative, .bind_count = 1 }, "bind source 'data'" },
    { { .binds = escaping, .bind_count = 1 }, "bind destination '/a/../../etc'" },
    { { .tmpfs = upwards, .tmpfs_count = 1 }, "RAM disk '/mnt/../x'" },
    { { .tmpfs = empty, .tmpfs_count = 1 }, "RAM disk '/mnt/ram'" },
    { { .tmpfs = over_proc, .tmpfs_count = 1 }, "would hide '/proc'" },
    { { .tmpfs = over_bind, .tmpfs_count = 1 }, "would hide '/opt/agent'" },
    { { .binds = at_root, .bind_count = 1 }, "bind destination '/'" },
};

START_TEST(refuses_bad_specs)
{
    bvi_container_spec spec = good;
    const bvi_container_spec *change = &refused[_i].change;
    bv_error *err = NULL;

    spec.id = change->id ? change->id : spec.id;
    spec.node_dir = change->node_dir ? change->node_dir : spec.node_dir;
    spec.root_dir = change->root_dir ? change->root_dir : spec.root_dir;
    spec.image_root = change->image_root ? change->image_root : spec.image_root;
    spec.argv = change->argv ? change->argv : spec.argv;
    spec.env = change->env ? change->env : spec.env;
    spec.binds = change->binds ? change->binds : spec.binds;
    spec.tmpfs = change->tmpfs ? change->tmpfs : spec.tmpfs;
    spec.bind_count = change->binds ? change->bind_count : spec.bind_count;
    ck_assert_int_eq(bvi_container_spec_check(&good, true, NULL), 0);
    ck_assert_int_eq(bvi_container_spec_check(&spec, true, &err), BV_E_INVALID);
    bvt_assert_error_says(err, BV_E_INVALID, refused[_i].says);
    bv_error_free(err);
}
END_TEST

BVT_MAIN("runtime/fake", bvt_test(walks_through_a_life), bvt_test(one_call_for_each_node),
         bvt_test(reports_an_exit_once), bvt_test(may_be_freed_from_its_callback),
         bvt_test(freeing_abandons_calls), bvt_test(fails_as_scripted),
         bvt_test(survives_every_failed_allocation), bvt_test(copies_a_spec),
         bvt_loop(refuses_bad_specs, refused))
