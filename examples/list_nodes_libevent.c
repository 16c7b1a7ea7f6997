/*
 * list_nodes_libevent.c - the library inside a program that lives in a libevent loop: prints the
 * nodes of a host.
 *
 *     list_nodes_libevent [URI]
 *
 * The adapter makes a context of the program's event base; from then on the library's callbacks
 * come from event_base_dispatch() like any others.
 */
#include <stdio.h>

#include <event2/event.h>

#include <blockvisor/adapters/libevent.h>
#include <blockvisor/blockvisor.h>

static void on_nodes(bv_op *op, const bv_doc *reply, const bv_error *err, void *data)
{
    char text[1024];

    (void)op;
    for (const bv_doc *n = bv_doc_first(bv_doc_get(reply, "nodes")); n; n = bv_doc_next(n))
        printf("%-20s %-10s %s\n", bv_doc_string(bv_doc_get(n, "name"), "-"),
               bv_doc_string(bv_doc_get(n, "status"), "-"),
               bv_doc_string(bv_doc_get(bv_doc_get(n, "image"), "name"), "-"));
    if (err) {
        bv_error_format(err, text, sizeof(text));
        fprintf(stderr, "list_nodes_libevent: %s\n", text);
    }
    event_base_loopbreak(data);
}

static int list(bv_ctx *ctx, struct event_base *base, const char *uri)
{
    bv_host *host = NULL;
    bv_error *err = NULL;
    int r = bv_host_open(ctx, uri, NULL, &host, &err);

    if (r == 0)
        r = bv_node_list(host, on_nodes, base, NULL, &err);
    if (r == 0)
        event_base_dispatch(base);
    else
        fprintf(stderr, "list_nodes_libevent: %s\n", bv_error_message(err));
    bv_error_free(err);
    bv_host_close(host);
    return r;
}

int main(int argc, char **argv)
{
    struct event_base *base = event_base_new();
    bv_ctx_opts opts = BV_CTX_OPTS_INIT;
    bv_ctx *ctx = NULL;
    bv_libevent loop;
    int r;

    if (!base || bv_libevent_ctx_new(&loop, base, &opts, &ctx, NULL) < 0) {
        fprintf(stderr, "list_nodes_libevent: cannot make a context\n");
        return 1;
    }
    r = list(ctx, base, argc > 1 ? argv[1] : "fake:?nodes=3");
    bv_ctx_free(ctx);
    bv_libevent_done(&loop);
    event_base_free(base);
    return r < 0;
}
