/*
 * door.c - one host, whatever is behind it.
 */
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "door.h"

/* A call that takes longer has hung. */
#define PATIENCE_MS 60000
#define ARGS_MAX    8192

static const char *kind_of_test(void)
{
    const char *kind = getenv("BVT_DOOR");

    return kind ? kind : "fake";
}

const char *door_missing(void)
{
    const char *bundle = getenv("BVT_BUNDLE");

    if (strcmp(kind_of_test(), "oci") != 0)
        return NULL;
    if (geteuid() != 0)
        return "containers need root";
    if (access("/usr/bin/crun", X_OK) < 0 && access("/usr/bin/runc", X_OK) < 0 &&
        access("/usr/sbin/runc", X_OK) < 0)
        return "there is no crun and no runc";
    if (!bundle || access(bvt_format("%s/current", bundle), F_OK) < 0)
        return "there is no agent bundle";
    return access("/bin/busybox", X_OK) == 0 ? NULL : "there is no busybox to make an image of";
}

bool door_runs_nodes(const door *d)
{
    return strcmp(d->kind, "local") != 0;
}

static void open_host(door *d, const char *uri, bv_host **ret_host)
{
    bv_host_opts opts = BV_HOST_OPTS_INIT;
    bv_error *err = NULL;

    if (strcmp(d->kind, "local") == 0)
        opts.driver = "fake";
    if (strcmp(d->kind, "oci") == 0)
        opts.agent_dir = getenv("BVT_BUNDLE");
    bvt_assert_ok(bv_host_open(d->ctx, uri, &opts, ret_host, &err), err);
}

void door_open(door *d, const char *settings)
{
    bv_ctx_opts ctx_opts = BV_CTX_OPTS_INIT;
    bv_server_opts server_opts = BV_SERVER_OPTS_INIT;
    bv_error *err = NULL;

    memset(d, 0, sizeof(*d));
    (void)signal(SIGPIPE, SIG_IGN); /* as server.h asks for */
    d->kind = kind_of_test();
    d->base = event_base_new();
    bvt_assert_ok(bv_libevent_ctx_new(&d->adapter, d->base, &ctx_opts, &d->ctx, &err), err);
    if (strcmp(d->kind, "unix") == 0) {
        open_host(d, bvt_format("fake:%s", settings), &d->inner);
        server_opts.base = d->base;
        server_opts.socket_path = bvt_path("door.sock");
        bvt_assert_ok(bv_server_new(d->ctx, d->inner, &server_opts, &d->server, &err), err);
        open_host(d, bvt_format("unix:%s", bvt_path("door.sock")), &d->host);
    } else if (strcmp(d->kind, "fake") == 0) {
        open_host(d, bvt_format("fake:%s", settings), &d->host);
    } else {
        open_host(d, bvt_format("local:%s", bvt_path("root")), &d->host);
    }
}

/* The last answer, kept for the caller. */
static door_call last;

void door_close(door *d)
{
    door_end(&last);
    bv_host_close(d->host);
    bv_server_free(d->server);
    bv_host_close(d->inner);
    bv_ctx_free(d->ctx);
    bv_libevent_done(&d->adapter);
    event_base_free(d->base);
}

/* ---- turning the loop ---- */

static void wake(evutil_socket_t fd, short events, void *data)
{
}

static void turn(door *d, int ms)
{
    const struct timeval most = { ms / 1000, ms % 1000 * 1000 };

    /* A one-shot event bounds the wait. */
    ck_assert_int_eq(event_base_once(d->base, -1, EV_TIMEOUT, wake, NULL, &most), 0);
    (void)event_base_loop(d->base, EVLOOP_ONCE);
}

void door_turn(door *d)
{
    turn(d, 10);
}

static int64_t now_ms(void)
{
    struct timeval now;

    (void)evutil_gettimeofday(&now, NULL);
    return (int64_t)now.tv_sec * 1000 + now.tv_usec / 1000;
}

void door_turn_ms(door *d, int ms)
{
    int64_t until = now_ms() + ms;

    while (now_ms() < until)
        door_turn(d);
}

/* ---- calls ---- */

static void on_reply(bv_op *op, const bv_doc *reply, const bv_error *err, void *data)
{
    door_call *call = data;

    ck_assert(!reply != !err);
    call->ended++;
    call->code = bv_error_code(err);
    if (err)
        (void)bv_error_format(err, call->text, sizeof(call->text));
    else
        ck_assert_int_eq(bv_doc_copy(reply, &call->reply, NULL), 0);
}

static void on_progress(bv_op *op, const bv_progress *progress, void *data)
{
    door_call *call = data;

    ck_assert_uint_eq(call->ended, 0);
    ck_assert_str_ne(progress->phase, "");
    call->reports++;
}

static int start(door_call *call, door *d, const char *method, const char *text, bv_error **err)
{
    bv_doc *args = NULL;
    int r;

    memset(call, 0, sizeof(*call));
    call->d = d;
    if (text)
        bvt_assert_ok(bv_doc_parse(text, strlen(text), &args, err), *err);
    r = bv_host_call(d->host, method, args, on_reply, call, &call->op, err);
    bv_doc_free(args);
    ck_assert_uint_eq(call->ended, 0); /* never from inside the call */
    if (r == 0)
        bv_op_on_progress(call->op, on_progress, call);
    return r;
}

void door_begin(door_call *call, door *d, const char *method, const char *args, ...)
{
    char text[ARGS_MAX];
    bv_error *err = NULL;
    va_list list;

    va_start(list, args);
    if (args)
        ck_assert_int_lt(vsnprintf(text, sizeof(text), args, list), (int)sizeof(text));
    va_end(list);
    bvt_assert_ok(start(call, d, method, args ? text : NULL, &err), err);
}

void door_wait(door_call *call)
{
    int64_t until = now_ms() + PATIENCE_MS;

    while (!call->ended) {
        ck_assert_msg(now_ms() < until, "the call hangs");
        door_turn(call->d);
    }
    ck_assert_uint_eq(call->ended, 1);
    ck_assert_int_eq(bv_op_is_done(call->op), 1);
}

void door_end(door_call *call)
{
    bv_op_unref(call->op);
    bv_doc_free(call->reply);
    memset(call, 0, sizeof(*call));
}

const bv_doc *door_ask(door *d, const char *method, const char *args, ...)
{
    char text[ARGS_MAX];
    bv_error *err = NULL;
    va_list list;

    door_end(&last);
    va_start(list, args);
    if (args)
        ck_assert_int_lt(vsnprintf(text, sizeof(text), args, list), (int)sizeof(text));
    va_end(list);
    bvt_assert_ok(start(&last, d, method, args ? text : NULL, &err), err);
    door_wait(&last);
    ck_assert_msg(last.code == 0, "%s %s: %s: %s", method, args ? text : "",
                  bv_code_name(last.code), last.text);
    return last.reply;
}

void door_fails(door *d, int code, const char *says, const char *method, const char *args, ...)
{
    char text[ARGS_MAX];
    bv_error *err = NULL;
    door_call call;
    va_list list;

    va_start(list, args);
    if (args)
        ck_assert_int_lt(vsnprintf(text, sizeof(text), args, list), (int)sizeof(text));
    va_end(list);
    if (start(&call, d, method, args ? text : NULL, &err) == 0) {
        door_wait(&call);
    } else {
        call.code = bv_error_code(err);
        (void)bv_error_format(err, call.text, sizeof(call.text));
        bv_error_free(err);
    }
    ck_assert_msg(call.code == code, "%s %s: %s instead of %s: %s", method, args ? text : "",
                  bv_code_name(call.code), bv_code_name(code), call.text);
    ck_assert_msg(strstr(call.text, says) != NULL, "%s %s: '%s' does not say '%s'", method,
                  args ? text : "", call.text, says);
    door_end(&call);
}

/* Containers need a root with programs; for the others a definition, a plugin and an empty root do.
 */
const char *door_image(void)
{
    static const char *const files[] = { "babel.yaml", "main.rhai" };
    const char *from = getenv("BVT_IMAGE");
    const char *to = bvt_path("image");

    ck_assert_msg(from != NULL, "BVT_IMAGE is not set");
    if (bvt_exists(to))
        return to;
    if (strcmp(kind_of_test(), "oci") == 0) {
        ck_assert_int_eq(system(bvt_format("%s/build %s >/dev/null", from, to)), 0);
        return to;
    }
    ck_assert_int_eq(mkdir(to, 0755), 0);
    ck_assert_int_eq(mkdir(bvt_path("image/root"), 0755), 0);
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
        (void)bvt_write_file(bvt_format("image/%s", files[i]),
                             bvt_read_file(bvt_format("%s/%s", from, files[i]), NULL));
    return to;
}

void door_make_node(door *d, const char *name)
{
    (void)door_ask(d, "image.import", "{\"path\":\"%s\"}", door_image());
    (void)door_ask(d, "node.create", "{\"image\":\"%s\",\"name\":\"%s\"}", DOOR_IMAGE, name);
}

/* ---- documents ---- */

const char *door_str(const bv_doc *doc, const char *key)
{
    return bv_doc_string(bv_doc_get(doc, key), "(none)");
}

int64_t door_num(const bv_doc *doc, const char *key)
{
    return bv_doc_int64(bv_doc_get(doc, key), INT64_MIN);
}

const bv_doc *door_find(const bv_doc *array, const char *key, const char *value)
{
    for (const bv_doc *it = bv_doc_first(array); it; it = bv_doc_next(it)) {
        if (strcmp(door_str(it, key), value) == 0)
            return it;
    }
    return NULL;
}
