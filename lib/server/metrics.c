/*
 * metrics.c - /metrics: what the host counts, as Prometheus text.
 */
#include <event2/http.h>
#include <string.h>

#include "base/buf.h"
#include "server/exchange.h"

#define METRICS_TEXT_MAX (4u * 1024u * 1024u)
#define TYPE_METRICS     "text/plain; version=0.0.4"

/* A number of host.metrics: its key, its name, its type and what it means. */
static const struct {
    const char *key;
    const char *name;
    const char *type;
    const char *help;
    double scale;
} numbers[] = {
    { "images", "blockvisor_images", "gauge", "Images in the store.", 1 },
    { "memory_available_bytes", "blockvisor_host_memory_available_bytes", "gauge",
      "Memory that can be had without swapping.", 1 },
    { "load1", "blockvisor_host_load1", "gauge", "Load average over one minute.", 1 },
    { "uptime_s", "blockvisor_host_uptime_seconds", "gauge", "Time since the host started.", 1 },
    { "cpu_busy_us", "blockvisor_host_cpu_busy_seconds_total", "counter", "Processor time used, all processors.", 1e-6 },
    { "net_received_bytes", "blockvisor_host_network_received_bytes_total", "counter",
      "Bytes received on all interfaces but loopback.", 1 },
    { "net_sent_bytes", "blockvisor_host_network_sent_bytes_total", "counter",
      "Bytes sent on all interfaces but loopback.", 1 },
};

typedef struct scrape {
    bv_server *server;
    struct evhttp_request *req; /* NULL: the peer is gone */
    bv_op *op;
    bvi_buf text;
} scrape;

static void scrape_free(scrape *s)
{
    if (s->req)
        evhttp_connection_set_closecb(evhttp_request_get_connection(s->req), NULL, NULL);
    bv_op_unref(s->op);
    bvi_buf_done(&s->text);
    bvi_free(s);
}

static void head(bvi_buf *text, const char *name, const char *type, const char *help)
{
    (void)bvi_buf_printf(text, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type); /* a full buffer is cut */
}

static void add_host(bvi_buf *text, const bv_doc *reply)
{
    for (size_t i = 0; i < BVI_COUNT(numbers); i++) {
        const bv_doc *value = bv_doc_get(reply, numbers[i].key);

        if (bv_doc_type_of(value) != BV_DOC_NUMBER)
            continue;
        head(text, numbers[i].name, numbers[i].type, numbers[i].help);
        (void)bvi_buf_printf(text, "%s %.15g\n", numbers[i].name, bv_doc_double(value, 0) * numbers[i].scale);
    }
    head(text, "blockvisor_nodes", "gauge", "Nodes by status.");
    for (const bv_doc *n = bv_doc_first(bv_doc_get(reply, "nodes")); n; n = bv_doc_next(n)) {
        if (strcmp(bv_doc_key(n), "total") != 0)
            (void)bvi_buf_printf(text, "blockvisor_nodes{status=\"%s\"} %.15g\n", bv_doc_key(n), bv_doc_double(n, 0));
    }
}

/* Names are of a safe alphabet; images are quoted as Prometheus wants it. */
static void add_quoted(bvi_buf *text, const char *value)
{
    for (; *value; value++) {
        if (*value == '"' || *value == '\\')
            (void)bvi_buf_append_char(text, '\\');
        (void)bvi_buf_append_char(text, *value == '\n' ? ' ' : *value);
    }
}

static void add_nodes(bvi_buf *text, const bv_doc *reply)
{
    head(text, "blockvisor_node_up", "gauge", "1 for a node that runs as it should.");
    for (const bv_doc *n = bv_doc_first(bv_doc_get(reply, "nodes")); n; n = bv_doc_next(n)) {
        (void)bvi_buf_printf(text, "blockvisor_node_up{node=\"%s\",image=\"",
                             bv_doc_string(bv_doc_get(n, "name"), ""));
        add_quoted(text, bv_doc_string(bv_doc_get(bv_doc_get(n, "image"), "name"), ""));
        (void)bvi_buf_printf(text, "\"} %d\n", strcmp(bv_doc_string(bv_doc_get(n, "status"), ""), "running") == 0);
    }
}

static void finish(scrape *s, const bv_error *err)
{
    struct evhttp_request *req = s->req;

    if (req) {
        evhttp_connection_set_closecb(evhttp_request_get_connection(req), NULL, NULL);
        s->req = NULL;
        if (err)
            bvi_exchange_fail(req, err);
        else
            bvi_exchange_send(req, 200, TYPE_METRICS, bvi_buf_str(&s->text), s->text.len);
    }
    scrape_free(s);
}

static void on_nodes(bv_op *op, const bv_doc *reply, const bv_error *err, void *data)
{
    scrape *s = data;

    if (!err)
        add_nodes(&s->text, reply);
    finish(s, err);
}

static void on_host(bv_op *op, const bv_doc *reply, const bv_error *err, void *data)
{
    scrape *s = data;
    bvi_auto_error bv_error *failure = NULL;

    if (!err) {
        add_host(&s->text, reply);
        bv_op_unref(s->op);
        s->op = NULL;
        if (bv_host_call(s->server->host, "node.list", NULL, on_nodes, s, &s->op, &failure) == 0)
            return;
    }
    finish(s, err ? err : failure);
}

static void on_gone(struct evhttp_connection *conn, void *data)
{
    scrape *s = data;

    s->req = NULL;
    bv_op_cancel(s->op);
}

void bvi_exchange_metrics(bv_server *server, struct evhttp_request *req)
{
    scrape *s = bvi_new0(scrape);
    bvi_auto_error bv_error *err = NULL;

    if (!s) {
        evhttp_send_error(req, 500, NULL);
        return;
    }
    s->server = server;
    bvi_buf_init(&s->text, METRICS_TEXT_MAX);
    if (bv_host_call(server->host, "host.metrics", NULL, on_host, s, &s->op, &err) < 0) {
        scrape_free(s);
        bvi_exchange_fail(req, err);
        return;
    }
    s->req = req;
    evhttp_connection_set_closecb(evhttp_request_get_connection(req), on_gone, s);
}
