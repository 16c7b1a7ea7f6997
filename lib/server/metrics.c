/*
 * metrics.c - /metrics: what the host counts, as Prometheus text.
 */
#include <event2/http.h>
#include <string.h>

#include "server/exchange.h"

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
    { "cpu_busy_us", "blockvisor_host_cpu_busy_seconds_total", "counter",
      "Processor time used, all processors.", 1e-6 },
    { "net_received_bytes", "blockvisor_host_network_received_bytes_total", "counter",
      "Bytes received on all interfaces but loopback.", 1 },
    { "net_sent_bytes", "blockvisor_host_network_sent_bytes_total", "counter",
      "Bytes sent on all interfaces but loopback.", 1 },
    { "transfers_running", "blockvisor_transfers_running", "gauge",
      "Downloads, verifications and the like that the daemon itself runs.", 1 },
    { "transfer_retries", "blockvisor_transfer_retries_total", "counter",
      "Attempts beyond the first of the daemon's own transfers that have ended.", 1 },
    { "transfer_downloaded_bytes", "blockvisor_transfer_downloaded_bytes_total", "counter",
      "Bytes that the daemon's own transfers fetched from the network.", 1 },
    { "transfer_uploaded_bytes", "blockvisor_transfer_uploaded_bytes_total", "counter",
      "Bytes that the daemon's own transfers put to the network.", 1 },
    { "transfer_memory_bytes", "blockvisor_transfer_memory_bytes", "gauge",
      "Memory given out to the daemon's own transfers.", 1 },
    { "transfer_connections", "blockvisor_transfer_connections", "gauge",
      "Connections of the daemon's own transfers.", 1 },
    { "transfer_waiting", "blockvisor_transfer_waiting", "gauge",
      "Parts of the daemon's own transfers that wait for memory, connections, files or bandwidth.",
      1 },
};

static void head(bvi_buf *text, const char *name, const char *type, const char *help)
{
    (void)bvi_buf_printf(text, "# HELP %s %s\n# TYPE %s %s\n", name, help, name,
                         type); /* at the maximum the text is cut */
}

static void add_host(bvi_buf *text, const bv_doc *reply)
{
    head(text, "blockvisor_info", "gauge", "Always 1; its label says which version answers.");
    (void)bvi_buf_printf(text, "blockvisor_info{version=\"%s\"} 1\n", bv_version());
    for (size_t i = 0; i < BVI_COUNT(numbers); i++) {
        const bv_doc *value = bv_doc_get(reply, numbers[i].key);

        if (bv_doc_type_of(value) != BV_DOC_NUMBER)
            continue;
        head(text, numbers[i].name, numbers[i].type, numbers[i].help);
        (void)bvi_buf_printf(text, "%s %.15g\n", numbers[i].name,
                             bv_doc_double(value, 0) * numbers[i].scale);
    }
    head(text, "blockvisor_nodes", "gauge", "Nodes by status.");
    for (const bv_doc *n = bv_doc_first(bv_doc_get(reply, "nodes")); n; n = bv_doc_next(n)) {
        if (strcmp(bv_doc_key(n), "total") != 0)
            (void)bvi_buf_printf(text, "blockvisor_nodes{status=\"%s\"} %.15g\n", bv_doc_key(n),
                                 bv_doc_double(n, 0));
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
        (void)bvi_buf_printf(text, "\"} %d\n",
                             strcmp(bv_doc_string(bv_doc_get(n, "status"), ""), "running") == 0);
    }
}

/* A value of a node's metrics. */
static const struct {
    const char *key;
    const char *name;
    const char *help;
} values[] = {
    { "height", "blockvisor_node_block_height", "Number of the newest block." },
    { "block_age", "blockvisor_node_block_age_seconds", "Time since the newest block was made." },
    { "consensus", "blockvisor_node_consensus", "1 for a node that takes part in consensus." },
    { "apr", "blockvisor_node_apr", "Yearly rate of reward that the node reports." },
    { "jailed", "blockvisor_node_jailed", "1 for a node that was jailed by its network." },
};

/* Answers no number for what is absent. */
static bool number_of(const bv_doc *value, double *ret_number)
{
    *ret_number =
        bv_doc_type_of(value) == BV_DOC_BOOL ? bv_doc_is_true(value) : bv_doc_double(value, 0);
    return bv_doc_type_of(value) == BV_DOC_BOOL || bv_doc_type_of(value) == BV_DOC_NUMBER;
}

static void add_value(bvi_buf *text, const bv_doc *nodes, size_t at)
{
    bool begun = false;

    for (const bv_doc *n = bv_doc_first(nodes); n; n = bv_doc_next(n)) {
        const bv_doc *value = bv_doc_get(bv_doc_get(n, "metrics"), values[at].key);
        double number = 0;

        if (!number_of(value, &number))
            continue;
        if (!begun)
            head(text, values[at].name, "gauge", values[at].help);
        begun = true;
        (void)bvi_buf_printf(text, "%s{node=\"%s\"} %.15g\n", values[at].name,
                             bv_doc_string(bv_doc_get(n, "name"), ""), number);
    }
}

static void add_protocols(bvi_buf *text, const bv_doc *nodes)
{
    head(text, "blockvisor_node_protocol_info", "gauge",
         "Always 1; its labels say what the node's protocol reports.");
    for (const bv_doc *n = bv_doc_first(nodes); n; n = bv_doc_next(n)) {
        const bv_doc *status = bv_doc_get(bv_doc_get(n, "metrics"), "protocol_status");

        if (bv_doc_type_of(status) != BV_DOC_OBJECT)
            continue;
        (void)bvi_buf_printf(text,
                             "blockvisor_node_protocol_info{node=\"%s\",health=\"%s\",state=\"",
                             bv_doc_string(bv_doc_get(n, "name"), ""),
                             bv_doc_string(bv_doc_get(status, "health"), ""));
        add_quoted(text, bv_doc_string(bv_doc_get(status, "state"), ""));
        (void)bvi_buf_append_str(text, "\"} 1\n");
    }
}

static void add_metrics(bvi_buf *text, const bv_doc *reply)
{
    const bv_doc *nodes = bv_doc_get(reply, "nodes");

    add_protocols(text, nodes);
    for (size_t i = 0; i < BVI_COUNT(values); i++)
        add_value(text, nodes, i);
}

static void finish(bvi_exchange *x, const bv_error *err)
{
    BVI_AUTO(bvi_buf_done) bvi_buf text = x->text;
    struct evhttp_request *req;

    bvi_buf_init(&x->text, BVI_SERVER_TEXT_MAX); /* it is ours now */
    req = bvi_exchange_end(x);
    if (req && err)
        bvi_answer_error(req, err);
    else if (req)
        bvi_answer(req, 200, BVI_TYPE_METRICS, bvi_buf_str(&text), text.len);
}

static void on_nodes(bv_op *op, const bv_doc *reply, const bv_error *err, void *data)
{
    bvi_exchange *x = data;

    (void)op;
    if (!err) {
        add_nodes(&x->text, reply);
        add_metrics(&x->text, reply);
    }
    finish(x, err);
}

static void on_host(bv_op *op, const bv_doc *reply, const bv_error *err, void *data)
{
    bvi_exchange *x = data;
    bvi_auto_error bv_error *failure = NULL;

    (void)op;
    if (!err && x->req && x->server) {
        add_host(&x->text, reply);
        if (bvi_exchange_call(x, "node.list", NULL, on_nodes, &failure) == 0)
            return;
    }
    finish(x, err ? err : failure);
}

void bvi_serve_metrics(bv_server *server, struct evhttp_request *req)
{
    bvi_auto_error bv_error *err = NULL;
    bvi_exchange *x = bvi_exchange_new(server, req, &err);

    if (!x)
        bvi_answer_error(req, err);
    else if (bvi_exchange_call(x, "host.metrics", NULL, on_host, &err) < 0)
        finish(x, err);
}
