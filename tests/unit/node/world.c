/*
 * world.c - a host in the test's directory whose containers and agents are fakes.
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "sys/fs.h"
#include "transfer/store.h"
#include "world.h"

#define TURNS_MAX 100000

static const char yaml[] =
    "version: 1.2.3\ncontainer_uri: docker://o/p/v:1\nprotocol_key: chain\nvisibility: public\n"
    "firewall_config: {default_in: deny, default_out: allow, rules: []}\n"
    "properties:\n  - {key: mode, name: Mode, description: how it behaves, default_value: good, "
    "dynamic_value: true,"
    " ui_type: !text }\n"
    "  - {key: kind, name: Kind, default_value: a, dynamic_value: false, ui_type: !text }\n"
    "variants:\n"
    "  - {key: main, sku_code: A-B-C, archive_pointers: [], min_cpu: 1, min_memory_mb: 2, "
    "min_disk_gb: 3}\n"
    "  - {key: other, sku_code: A-B-D, archive_pointers: [{pointer: !store_key some-key }], "
    "min_cpu: 1,"
    " min_memory_mb: 2, min_disk_gb: 3}\n";

static const char script[] =
    "fn init() {\n"
    "    let mode = node_params()[\"mode\"];\n"
    "    if mode == \"throw\" { throw \"no luck today\"; }\n"
    "    if mode == \"spin\" { loop { } }\n"
    "    if mode == \"task\" { add_task(\"t\", \"*/10 * * * * * *\", \"tick\", \"x\"); }\n"
    "    create_job(\"svc\", #{ job_type: #{ run_sh: \"svc\" }, restart: \"never\" });\n"
    "    start_job(\"svc\");\n"
    "}\n"
    "fn height() { 42 }\n"
    "fn protocol_status() { #{ state: \"broadcasting\", health: \"healthy\" } }\n"
    "fn fetch() { create_job(\"download\", #{job_type: #{download: #{}}, restart: \"never\"}); "
    "\"made\" }\n"
    "fn echo(text) { text }\n"
    "fn keep(text) { put_secret(\"k\", text.to_blob()); \"kept\" }\n"
    "fn secret(key) { get_secret(key).as_string() }\n"
    "fn say(text) { print(text); info(text); warn(text); debug(text); \"said\" }\n"
    "fn tick(text) { run_sh(text).unwrap() }\n"
    "fn upload() { create_job(\"upload\", #{ job_type: #{ run_sh: \"up\" }, restart: \"never\" });"
    " start_job(\"upload\"); }\n";

/* ---- the driver between a manager and the fake ---- */

typedef struct shim_call {
    shim *owner; /* NULL: it was freed */
    struct shim_call *next;
    bvi_driver_done_fn done;
    void *data;
    void (*apply)(world *w, const bvi_container_spec *spec);
    world *world;
    bvi_container_spec *spec;
} shim_call;

static fake_agent **agent_slot(world *w, const char *id, bool make)
{
    for (int i = 0; i < WORLD_NODES_MAX; i++) {
        if (strcmp(w->agents[i].id, id) == 0)
            return &w->agents[i].agent;
    }
    for (int i = 0; make && i < WORLD_NODES_MAX; i++) {
        if (!w->agents[i].id[0]) {
            (void)snprintf(w->agents[i].id, sizeof(w->agents[i].id), "%s", id);
            return &w->agents[i].agent;
        }
    }
    ck_assert_msg(!make, "too many nodes");
    return NULL;
}

static void end_agent(world *w, const char *id)
{
    fake_agent **slot = agent_slot(w, id, false);

    if (slot)
        fake_agent_free(bvi_take(*slot));
}

static void apply_prepare(world *w, const bvi_container_spec *spec)
{
    ck_assert_int_eq(bvi_fs_mkdir(spec->root_dir, 0755, NULL), 0);
}

static void apply_start(world *w, const bvi_container_spec *spec)
{
    bvi_auto_free char *socket = bvi_path_join(spec->node_dir, "run/babel.socket", NULL);
    fake_agent **slot = agent_slot(w, spec->id, true);

    apply_prepare(w, spec);
    fake_agent_free(bvi_take(*slot));
    if (!w->agents_mute)
        *slot = fake_agent_new(w->ctx, socket);
}

static void apply_stop(world *w, const bvi_container_spec *spec)
{
    end_agent(w, spec->id);
}

static void apply_remove(world *w, const bvi_container_spec *spec)
{
    end_agent(w, spec->id);
    ck_assert_int_eq(bvi_fs_remove_tree(spec->root_dir, NULL), 0);
}

static void shim_done(const bv_error *err, void *data)
{
    shim_call *c = data;
    shim *owner = c->owner;
    bvi_driver_done_fn done = c->done;
    void *done_data = c->data;

    c->world->steps++;
    if (!err && c->apply)
        c->apply(c->world, c->spec);
    for (shim_call **at = owner ? &owner->calls : NULL; at && *at; at = &(*at)->next) {
        if (*at == c) {
            *at = c->next;
            break;
        }
    }
    bvi_container_spec_free(c->spec);
    free(c);
    if (owner)
        done(err, done_data);
}

static shim_call *shim_begin(bvi_driver *driver, const bvi_container_spec *spec,
                             void (*apply)(world *, const bvi_container_spec *),
                             bvi_driver_done_fn done, void *data)
{
    shim *s = (shim *)driver;
    shim_call *c = calloc(1, sizeof(*c));

    ck_assert_ptr_nonnull(c);
    *c = (shim_call){ s, s->calls, done, data, apply, s->world, NULL };
    if (spec)
        ck_assert_int_eq(bvi_container_spec_copy(spec, &c->spec, NULL), 0);
    s->calls = c;
    return c;
}

static int shim_end(shim_call *c, int r)
{
    if (r < 0) {
        c->owner->calls = c->next;
        bvi_container_spec_free(c->spec);
        free(c);
    }
    return r;
}

static bvi_driver *inner(bvi_driver *driver)
{
    return ((shim *)driver)->world->driver;
}

static bool hangs(bvi_driver *driver, const char *operation)
{
    const char *hang = ((shim *)driver)->world->hang;

    return hang && strcmp(hang, operation) == 0;
}

#define SHIM(operation, apply_fn)                                                                  \
    static int shim_##operation(bvi_driver *driver, const bvi_container_spec *spec,                \
                                bvi_driver_done_fn done, void *data, bv_error **err)               \
    {                                                                                              \
        shim_call *c = shim_begin(driver, spec, apply_fn, done, data);                             \
                                                                                                   \
        if (hangs(driver, #operation))                                                             \
            return 0;                                                                              \
        return shim_end(c,                                                                         \
                        inner(driver)->vtable->operation(inner(driver), spec, shim_done, c, err)); \
    }

SHIM(prepare, apply_prepare)
SHIM(start, apply_start)
SHIM(remove, apply_remove)
SHIM(unmount, NULL)

static int shim_probe(bvi_driver *driver, bvi_driver_done_fn done, void *data, bv_error **err)
{
    shim_call *c = shim_begin(driver, NULL, NULL, done, data);

    if (hangs(driver, "probe"))
        return 0;
    return shim_end(c, inner(driver)->vtable->probe(inner(driver), shim_done, c, err));
}

static int shim_stop(bvi_driver *driver, const bvi_container_spec *spec, int64_t timeout_ms,
                     bvi_driver_done_fn done, void *data, bv_error **err)
{
    shim_call *c = shim_begin(driver, spec, apply_stop, done, data);

    if (hangs(driver, "stop"))
        return 0;
    return shim_end(
        c, inner(driver)->vtable->stop(inner(driver), spec, timeout_ms, shim_done, c, err));
}

static int shim_attach(bvi_driver *driver, const bvi_container_spec *spec,
                       bvi_container_state *ret_state, bv_error **err)
{
    return inner(driver)->vtable->attach(inner(driver), spec, ret_state, err);
}

static bvi_container_state shim_state(bvi_driver *driver, const char *id)
{
    return inner(driver)->vtable->state(inner(driver), id);
}

static pid_t shim_pid(bvi_driver *driver, const char *id)
{
    return inner(driver)->vtable->pid(inner(driver), id);
}

static int shim_stats(bvi_driver *driver, const char *id, bvi_container_stats *ret_stats,
                      bv_error **err)
{
    return inner(driver)->vtable->stats(inner(driver), id, ret_stats, err);
}

static int shim_exec_argv(bvi_driver *driver, const char *id, bvi_strv *argv, bv_error **err)
{
    return inner(driver)->vtable->exec_argv(inner(driver), id, argv, err);
}

/* Calls that the fake still carries out have nobody to tell. Those that hang are gone. */
static void shim_free(bvi_driver *driver)
{
    shim *s = (shim *)driver;
    shim_call *next;

    for (shim_call *c = s->calls; c; c = next) {
        next = c->next;
        c->owner = NULL;
        if (s->world->hang) {
            bvi_container_spec_free(c->spec);
            free(c);
        }
    }
    s->world->driver->on_exit = NULL;
    free(s);
}

static const bvi_driver_vtable shim_vtable = {
    .name = "shim",
    .free = shim_free,
    .probe = shim_probe,
    .prepare = shim_prepare,
    .start = shim_start,
    .attach = shim_attach,
    .stop = shim_stop,
    .remove = shim_remove,
    .state = shim_state,
    .pid = shim_pid,
    .stats = shim_stats,
    .exec_argv = shim_exec_argv,
    .unmount = shim_unmount,
};

static void on_exit_of(bvi_driver *driver, const char *id, void *data)
{
    shim *s = data;

    if (s->base.on_exit)
        s->base.on_exit(&s->base, id, s->base.on_exit_data);
}

static bvi_driver *new_shim(world *w)
{
    shim *s = calloc(1, sizeof(*s));

    ck_assert_ptr_nonnull(s);
    s->base = (bvi_driver){ .vtable = &shim_vtable, .ctx = w->ctx };
    s->world = w;
    w->driver->on_exit = on_exit_of;
    w->driver->on_exit_data = s;
    return &s->base;
}

/* ---- turning ---- */

void world_turn(world *w)
{
    ck_assert_int_ge(bv_ctx_dispatch(w->ctx, 0), 0);
}

void world_settle(world *w)
{
    struct pollfd p = { .fd = bv_ctx_fd(w->ctx), .events = POLLIN };

    for (int i = 0, quiet = 0; quiet < 3; i++) {
        ck_assert_msg(i < TURNS_MAX, "it never settles");
        quiet = bv_ctx_dispatch(w->ctx, 0) == 0 && poll(&p, 1, 0) == 0 ? quiet + 1 : 0;
    }
}

void world_pass(world *w, int64_t us)
{
    for (; us > 0; us -= SECOND_US) {
        bvt_clock_advance(&w->clock, us < SECOND_US ? us : SECOND_US);
        world_settle(w);
    }
}

void world_until(world *w, const answer *a)
{
    for (int i = 0; !a->done; i++) {
        ck_assert_msg(i < 1000, "no answer after 1000 seconds");
        world_settle(w);
        if (!a->done)
            world_pass(w, SECOND_US);
    }
}

/* ---- life ---- */

static void put(const char *path, const char *text)
{
    const char *full = bvt_path("%s", path);

    ck_assert_int_eq(
        bvi_fs_mkdir(bvt_format("%.*s", (int)(strrchr(full, '/') - full), full), 0755, NULL), 0);
    (void)bvt_write_file(path, text);
}

static void keep(bv_op *op, const bvi_json *result, const bv_error *err, void *data)
{
    answer *a = data;

    ck_assert_msg(!a->done, "answered twice");
    a->done = true;
    a->code = bv_error_code(err);
    (void)bv_error_format(err, a->story, sizeof(a->story)); /* cut when longer */
    a->result = result ? bvi_json_copy(result) : NULL;
}

answer *world_answer(world *w)
{
    answer *a = calloc(1, sizeof(*a));

    ck_assert_ptr_nonnull(a);
    a->next = w->answers;
    w->answers = a;
    return a;
}

static void import_image(world *w)
{
    answer *a = world_answer(w);
    bvi_reply *reply = NULL;

    put("img/bin/client", "#!/bin/sh\n");
    put("img/var/lib/babel/babel.yaml", yaml);
    put("img/var/lib/babel/plugin/main.rhai", script);
    ck_assert_int_eq(bvi_reply_new(w->ctx, keep, a, &reply, &a->op, NULL), 0);
    bvi_image_store_import(w->images, bvt_path("img"), "chain/main:1", reply);
    for (int i = 0; !a->done && i < 1000;
         i++) /* it runs cp: the one thing here that takes real time */
        ck_assert_int_ge(bv_ctx_dispatch(w->ctx, 100), 0);
    assert_ok(a);
}

void world_open(world *w)
{
    bv_ctx_opts opts = BV_CTX_OPTS_INIT;
    bvi_store *store = NULL;
    bv_error *err = NULL;

    memset(w, 0, sizeof(*w));
    bvt_clock_init(&w->clock);
    opts.clock = &w->clock.clock;
    opts.log = bvt_log_sink;
    opts.log_data = &w->log;
    bvt_assert_ok(bv_ctx_new(&opts, &w->ctx, &err), err);
    bvt_assert_ok(bvi_host_paths_init(&w->paths, bvt_path("r"), &err), err);
    bvt_assert_ok(bvi_fs_mkdir(w->paths.var_dir, 0755, &err), err);
    bvt_assert_ok(bvi_image_store_open(w->ctx, w->paths.images_dir, &w->images, &err), err);
    w->store_uri = bvi_asprintf("dir:%s", w->paths.snapshots_dir);
    bvt_assert_ok(bvi_store_open(w->ctx, w->store_uri, &store, &err), err);
    bvt_assert_ok(bvi_snapshots_new(store, &w->snapshots, &err), err);
    bvt_assert_ok(bvi_events_new(w->ctx, NULL, &w->events, &err), err);
    bvt_assert_ok(bvi_fake_driver_new(w->ctx, &w->driver, &err), err);
    import_image(w);
    world_load(w);
}

int world_try_load(world *w, bv_error **err)
{
    bvi_manager_opts opts = {
        .paths = &w->paths,
        .driver = new_shim(w),
        .images = w->images,
        .snapshots = w->snapshots,
        .store_uri = w->store_uri,
        .store_dir = w->paths.snapshots_dir,
        .events = w->events,
        .agent_dir = bvt_path("bundle"),
        .host_name = "host-1",
    };
    int r = bvi_manager_new(w->ctx, &opts, &w->manager, err);

    if (r < 0)
        bvi_driver_free(opts.driver);
    return r;
}

void world_load(world *w)
{
    bv_error *err = NULL;

    bvt_assert_ok(world_try_load(w, &err), err);
}

void world_crash(world *w)
{
    bvi_manager_free(bvi_take(w->manager));
}

void world_close(world *w)
{
    bvi_manager_free(w->manager);
    bvi_image_store_free(w->images);
    bvi_snapshots_free(w->snapshots);
    bvi_events_free(w->events);
    world_settle(w); /* the fake carries out what it was asked for, and may start an agent */
    for (int i = 0; i < WORLD_NODES_MAX; i++)
        fake_agent_free(w->agents[i].agent);
    bvi_driver_free(w->driver);
    bv_ctx_free(w->ctx);
    bvi_host_paths_done(&w->paths);
    bvi_free(w->store_uri);
    while (w->answers) {
        answer *next = w->answers->next;

        ck_assert_msg(w->answers->done || !w->answers->op, "a call was never answered");
        bv_op_unref(w->answers->op);
        bvi_json_free(w->answers->result);
        free(w->answers);
        w->answers = next;
    }
}

/* ---- calls ---- */

static void on_progress(bv_op *op, const bv_progress *progress, void *data)
{
    ((answer *)data)->reports++;
}

answer *world_begin(world *w, const char *method, const char *args)
{
    answer *a = world_answer(w);
    bvi_reply *reply = NULL;
    bvi_auto_json bvi_json *root = NULL;
    bvi_auto_free char *text = bvi_strdup(args);
    bv_error *err = NULL;

    for (char *c = text; *c; c++)
        *c = *c == '\'' ? '"' : *c;
    bvt_assert_ok(bvi_json_parse(text, strlen(text), &root, &err), err);
    ck_assert_int_eq(bvi_reply_new(w->ctx, keep, a, &reply, &a->op, NULL), 0);
    bv_op_on_progress(a->op, on_progress, a);
    bvi_manager_call(w->manager, method, root, reply);
    return a;
}

bvi_reply *world_reply(world *w, answer *a)
{
    bvi_reply *reply = NULL;

    (void)bvi_reply_new(w->ctx, keep, a, &reply, &a->op, NULL); /* reply tells */
    return reply;
}

answer *world_call(world *w, const char *method, const char *args)
{
    answer *a = world_begin(w, method, args);

    world_until(w, a);
    return a;
}

void world_assert(const answer *a, int code, const char *says)
{
    ck_assert_msg(a->done, "no answer yet");
    ck_assert_msg(a->code == code, "expected %s, got %s: %s", bv_code_name(code),
                  bv_code_name(a->code), a->story);
    ck_assert_msg(strstr(a->story, says) != NULL, "'%s' does not say '%s'", a->story, says);
}

void world_create(world *w)
{
    assert_ok(world_call(w, "node.create", "{'image':'chain/main:1','name':'n'}"));
}

void world_start(world *w)
{
    world_create(w);
    assert_ok(world_do(w, "node.start"));
}

/* ---- looking ---- */

bvi_node *world_node(world *w)
{
    return bvi_manager_find(w->manager, "n");
}

fake_agent *world_agent(world *w)
{
    fake_agent **slot = agent_slot(w, world_node(w)->state.id, false);

    ck_assert(slot && *slot);
    return *slot;
}

void world_until_container(world *w)
{
    for (int i = 0; world_container(w, world_node(w)->state.id) != BVI_CONTAINER_RUNNING; i++) {
        ck_assert_int_lt(i, 1000);
        world_turn(w);
    }
}

void world_kill(world *w)
{
    const char *id = world_node(w)->state.id;

    end_agent(w, id);
    bvi_fake_driver_kill(w->driver, id);
}

static const char *text_of(world *w, const char *key)
{
    bvi_json *doc = bvi_node_json(world_node(w));
    const char *text = bvi_json_string(bvi_json_find(doc, key));
    const char *copy = bvt_format("%s", text ? text : "");

    bvi_json_free(doc);
    return copy;
}

const char *world_status(world *w)
{
    return text_of(w, "status");
}

const char *world_expected(world *w)
{
    return text_of(w, "expected_status");
}

const char *world_problem(world *w)
{
    return text_of(w, "problem");
}

bool world_has_event(world *w, const char *type)
{
    answer *a = world_answer(w);
    bvi_reply *reply = NULL;

    ck_assert_int_eq(bvi_reply_new(w->ctx, keep, a, &reply, &a->op, NULL), 0);
    bvi_events_read(w->events, 0, 0, reply);
    world_until(w, a);
    bvi_json_each(it, bvi_json_find(a->result, "events")) {
        if (strcmp(bvi_json_string(bvi_json_find(it, "type")), type) == 0)
            return true;
    }
    return false;
}

unsigned world_node_dirs(world *w)
{
    bvi_strv names = BVI_VEC_INIT(1000);
    unsigned count;

    ck_assert_int_eq(bvi_fs_list(w->paths.nodes_dir, &names, NULL), 0);
    count = (unsigned)names.len;
    bvi_strv_done(&names);
    return count;
}

bvi_container_state world_container(world *w, const char *id)
{
    return w->driver->vtable->state(w->driver, id);
}
