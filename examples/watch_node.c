/*
 * watch_node.c - follows what happens on a host: prints each event as it comes.
 *
 *     watch_node URI [COUNT]     for example: watch_node unix: 10
 *
 * With COUNT it ends after so many events. A host keeps its latest events under rising numbers;
 * whoever asks says after which one it wants to go on and how long it waits when there is none yet.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <blockvisor/blockvisor.h>

#define WAIT_MS 30000

typedef struct watcher {
    bv_ctx *ctx;
    bv_host *host;
    long left; /* events to print; below 0: no end */
    int failed;
} watcher;

static void ask(watcher *w, int64_t after);

static void fail(watcher *w, const bv_error *err)
{
    char text[1024];

    bv_error_format(err, text, sizeof(text));
    fprintf(stderr, "watch_node: %s\n", text);
    w->failed = 1;
    if (w->ctx)
        bv_ctx_stop(w->ctx);
}

static void on_events(bv_op *op, const bv_doc *reply, const bv_error *err, void *data)
{
    watcher *w = data;

    (void)op;
    if (err) {
        fail(w, err);
        return;
    }
    for (const bv_doc *e = bv_doc_first(bv_doc_get(reply, "events")); e && w->left != 0;
         e = bv_doc_next(e)) {
        printf("%s %s: %s\n", bv_doc_string(bv_doc_get(e, "node"), "-"),
               bv_doc_string(bv_doc_get(e, "type"), "-"),
               bv_doc_string(bv_doc_get(e, "message"), ""));
        w->left -= w->left > 0;
    }
    fflush(stdout);
    if (w->left == 0)
        bv_ctx_stop(w->ctx);
    else
        ask(w, bv_doc_int64(bv_doc_get(reply, "next"), 0));
}

static void ask(watcher *w, int64_t after)
{
    bv_error *err = NULL;

    if (bv_host_events(w->host, after, WAIT_MS, on_events, w, NULL, &err) < 0)
        fail(w, err);
    bv_error_free(err);
}

/* A host in memory is a quiet place, so that something happens there: a node is made, which is one
 * event. */
static void stir(watcher *w)
{
    bv_node_create_opts opts = BV_NODE_CREATE_OPTS_INIT;

    opts.image = "fake/fake-main";
    opts.name = "example";
    (void)bv_node_create(w->host, &opts, NULL, NULL, NULL, NULL);
}

int main(int argc, char **argv)
{
    watcher w = { .left = argc > 2 ? strtol(argv[2], NULL, 10) : -1 };
    bv_error *err = NULL;

    if (argc < 2) {
        fprintf(stderr, "usage: watch_node URI [COUNT]\n");
        return 2;
    }
    if (bv_ctx_new(NULL, &w.ctx, &err) < 0 ||
        bv_host_open(w.ctx, argv[1], NULL, &w.host, &err) < 0) {
        fail(&w, err);
    } else {
        ask(&w, 0);
        if (strncmp(argv[1], "fake:", 5) == 0)
            stir(&w);
        bv_ctx_run(w.ctx);
    }
    bv_error_free(err);
    bv_host_close(w.host);
    bv_ctx_free(w.ctx);
    return w.failed;
}
