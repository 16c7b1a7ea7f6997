/*
 * fuzz_agent.c - what host and node say to each other, from bytes to handlers. The first byte
 * chooses:
 *
 *   0  requests to the agent: decoding by the real table, with handlers that only look (commands
 * are not run) 1  requests to the engine service: the real handlers over a source that knows every
 * answer 2  an agent's answer, as the host reads it 3  the agent's configuration
 *
 * 0 and 1 are followed by messages: method, length in two bytes, body.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/agent_impl.h"
#include "agent/client_impl.h"
#include "agent/conf.h"
#include "agent/engine_server.h"

#define METHODS_MAX 64u
#define ROUNDS      50

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* ---- a carrier that forgets ---- */

typedef struct pending {
    bool open;
    void (*sent)(void *data);
    void *data;
} pending;

static int carry_send(void *handle, const void *bytes, size_t len, void (*sent)(void *data),
                      void *data, bv_error **err)
{
    pending *p = handle;

    p->sent = sent;
    p->data = data;
    return 0;
}

static void carry_reply(void *handle, const void *bytes, size_t len)
{
    ((pending *)handle)->open = false;
}

static void carry_fail(void *handle, bv_error *err)
{
    if (!err)
        abort();
    bv_error_free(err);
    ((pending *)handle)->open = false;
}

static const bvi_service_carrier carrier = { carry_send, carry_reply, carry_fail };

/* ---- a source that knows every answer ---- */

static int source_metadata(bvi_chunk_source *source, uint64_t data_version,
                           bvi_source_metadata_fn done, void *data, bv_error **err)
{
    return bvi_fail(err, BV_E_NOT_FOUND, "no version %llu", (unsigned long long)data_version);
}

static int source_chunks(bvi_chunk_source *source, uint64_t data_version, const uint32_t *indexes,
                         size_t count, bvi_source_chunks_fn done, void *data, bv_error **err)
{
    uint32_t sum = 0;

    for (size_t i = 0; i < count; i++)
        sum += indexes[i];
    return bvi_fail(err, BV_E_NOT_FOUND, "no chunks %u", sum);
}

static int source_slots(bvi_chunk_source *source, const bvi_slots_request *request,
                        bvi_source_slots_fn done, void *data, bv_error **err)
{
    return bvi_fail(err, BV_E_EXISTS, "lease '%s' of %zu slots",
                    request->lease ? request->lease : "", request->count);
}

static int source_put(bvi_chunk_source *source, uint64_t data_version, const bvi_manifest *manifest,
                      bvi_source_put_fn done, void *data, bv_error **err)
{
    if (manifest->chunks.len && !manifest->chunks.items[0].targets.len)
        abort(); /* the check has to see that */
    return bvi_fail(err, BV_E_DENIED, "%zu chunks", manifest->chunks.len);
}

static void source_cancel(bvi_chunk_source *source)
{
}

static void source_free(bvi_chunk_source *source)
{
    bvi_free(source);
}

static const bvi_chunk_source_vtable source_vtable = {
    "fuzz", source_metadata, source_chunks, source_slots, source_put, source_cancel, source_free,
};

static int open_source(void *data, const char *store_key, bvi_chunk_source **ret_source,
                       bv_error **err)
{
    bvi_chunk_source *source = bvi_new0(bvi_chunk_source);

    if (!source)
        return bvi_fail_nomem(err);
    source->vtable = &source_vtable;
    *ret_source = source;
    return 0;
}

/* ---- a store that has nothing ---- */

static int store_call(bvi_store *store, const bvi_store_request *request, bvi_store_fn done,
                      void *data, bv_error **err)
{
    if (request->verb == BVI_STORE_PUT && request->bytes && request->bytes[request->len])
        abort(); /* it was put together with its end */
    return bvi_fail(err, BV_E_NOT_FOUND, "no '%s' behind '%s' for '%s'",
                    request->key ? request->key : "", request->after ? request->after : "",
                    request->lease ? request->lease : "");
}

static char *store_url(const bvi_store *store, const char *key, bool put)
{
    return NULL;
}

static void store_cancel(bvi_store *store)
{
}

static void store_free(bvi_store *store)
{
    bvi_free(store);
}

static const bvi_store_vtable store_vtable = {
    .name = "fuzz",
    .call = store_call,
    .url = store_url,
    .cancel = store_cancel,
    .free = store_free,
};

static int open_store(void *data, const char *store_key, bvi_store **ret_store, bv_error **err)
{
    bvi_store *store = bvi_new0(bvi_store);

    if (!store)
        return bvi_fail_nomem(err);
    store->vtable = &store_vtable;
    *ret_store = store;
    return 0;
}

static int object_url(void *data, bvi_store *store, const char *key, bool put, char **ret_url,
                      bv_error **err)
{
    *ret_url = bvi_strdup(key);
    return *ret_url ? 0 : bvi_fail_nomem(err);
}

static int store_info(void *data, const char *store_key, uint64_t data_version, bool upload,
                      bvi_store_info_fn done, void *done_data, bv_error **err)
{
    return bvi_fail(err, BV_E_NOT_FOUND, "nothing about '%s'", store_key ? store_key : "");
}

static void on_report(void *data, const char *text)
{
    for (const char *c = text; *c; c++) {
        if ((unsigned char)*c < 0x20)
            abort();
    }
}

/* ---- handlers that only look ---- */

static void look(bvi_service_call *call, const ProtobufCMessage *request, void *service)
{
    bvi_service_reply(call, request); /* encoding reads every field */
}

/* ---- */

static void drain(bv_ctx *ctx, const pending *p)
{
    for (int i = 0; i < ROUNDS && p->open; i++)
        (void)bv_ctx_dispatch(ctx, 0); /* checks of manifests are inline work */
}

static void dispatch(bv_ctx *ctx, const bvi_service_method *methods, size_t count,
                     const uint8_t *data, size_t size, void *service)
{
    while (size >= 3) {
        const bvi_service_method *m = &methods[data[0] % count];
        size_t len = (size_t)data[1] << 8 | data[2];
        pending p = { .open = true };
        bvi_service_origin origin = {
            .ctx = ctx, .carrier = &carrier, .handle = &p, .timeout_ms = 1000
        };
        bvi_service_call *call = NULL;

        data += 3;
        size -= 3;
        len = len < size ? len : size;
        bvi_service_dispatch(methods, count, m->name, data, len, &origin, service, &call);
        if (call)
            drain(ctx, &p);
        if (p.open)
            abort(); /* every call is answered */
        data += len;
        size -= len;
    }
}

static void fuzz_agent(bv_ctx *ctx, const uint8_t *data, size_t size)
{
    bvi_service_method methods[METHODS_MAX];
    size_t count = 0;
    const bvi_service_method *real = bvi_agent_methods(&count);

    memcpy(methods, real, count * sizeof(*methods));
    for (size_t i = 0; i < count; i++)
        methods[i].handle = look;
    dispatch(ctx, methods, count, data, size, NULL);
}

static void fuzz_engine(bv_ctx *ctx, const char *socket_path, const uint8_t *data, size_t size)
{
    const bvi_engine_host host = {
        .open_source = open_source,
        .store = { .open = open_store, .url = object_url, .info = store_info },
        .bv_error = on_report,
    };
    bvi_engine_server *server = NULL;
    size_t count = 0;
    const bvi_service_method *methods = bvi_engine_methods(&count);

    if (bvi_engine_server_new(ctx, socket_path, &host, &server, NULL) < 0)
        abort();
    dispatch(ctx, methods, count, data, size, server);
    bvi_engine_server_free(server);
}

static void fuzz_answer(const uint8_t *data, size_t size)
{
    bvi_agent_kind kind = { .method = "fuzz" };
    bvi_agent_call call = { .kind = &kind, .deadline_us = 1 };
    bvi_agent_parsed parsed = { .text = BVI_BUF_INIT(0), .err_text = BVI_BUF_INIT(0) };
    bv_error *err = NULL;
    size_t half;

    if (size < 2)
        return;
    kind.answer = data[0] % (BVI_ANSWER_FILE + 1);
    half = data[1] < size - 2 ? data[1] : 0;
    bvi_buf_init(&call.out, bvi_agent_answer_max(kind.answer));
    bvi_buf_init(&call.err_out, bvi_agent_answer_max(kind.answer));
    if (half)
        (void)bvi_agent_answer_part(&call, data + 2, half, NULL); /* whatever it says */
    (void)bvi_agent_answer_last(&call, data + 2 + half, size - 2 - half, &parsed, &err);
    bv_error_free(err);
    bvi_agent_parsed_done(&parsed);
    bvi_buf_done(&call.out);
    bvi_buf_done(&call.err_out);
}

static void fuzz_conf(const uint8_t *data, size_t size)
{
    bvi_agent_conf conf = BVI_AGENT_CONF_INIT;

    if (bvi_agent_conf_parse(&conf, (const char *)data, size, NULL) >= 0 &&
        (conf.data_mount_point[0] != '/' || conf.protocol_data_path[0] != '/'))
        abort();
    bvi_agent_conf_done(&conf);
}

static bv_ctx *the_ctx;
static char socket_path[64];

static void clean_up(void)
{
    bv_ctx_free(the_ctx);
}

static bv_ctx *context(void)
{
    if (!the_ctx) {
        (void)snprintf(socket_path, sizeof(socket_path), "/tmp/fuzz-agent-%d.socket",
                       (int)getpid());
        if (bv_ctx_new(NULL, &the_ctx, NULL) < 0)
            abort();
        atexit(clean_up);
    }
    return the_ctx;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    bv_ctx *ctx = context();

    if (size < 1)
        return 0;
    switch (data[0] % 4) {
    case 0:
        fuzz_agent(ctx, data + 1, size - 1);
        break;
    case 1:
        fuzz_engine(ctx, socket_path, data + 1, size - 1);
        break;
    case 2:
        fuzz_answer(data + 1, size - 1);
        break;
    default:
        fuzz_conf(data + 1, size - 1);
        break;
    }
    return 0;
}
