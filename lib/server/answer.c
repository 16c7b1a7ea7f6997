/*
 * answer.c - answers to HTTP requests: status codes, error documents, whole bodies.
 */
#include <event2/buffer.h>
#include <event2/http.h>
#include <string.h>

#include "server/exchange.h"

static const struct {
    int code;
    int status;
} statuses[] = {
    { BV_OK, 200 },        { BV_E_INVALID, 400 },     { BV_E_FORMAT, 422 }, { BV_E_NOT_FOUND, 404 },
    { BV_E_EXISTS, 409 },  { BV_E_STATE, 409 },       { BV_E_BUSY, 409 },   { BV_E_AGAIN, 503 },
    { BV_E_TIMEOUT, 504 }, { BV_E_CANCELLED, 499 },   { BV_E_DENIED, 403 }, { BV_E_CHECKSUM, 422 },
    { BV_E_REMOTE, 502 },  { BV_E_UNSUPPORTED, 501 }, { BV_E_LIMIT, 413 },
};

static const struct {
    int status;
    const char *text;
} reasons[] = {
    { 200, "OK" },
    { 400, "Bad Request" },
    { 403, "Forbidden" },
    { 404, "Not Found" },
    { 405, "Method Not Allowed" },
    { 409, "Conflict" },
    { 413, "Content Too Large" },
    { 422, "Unprocessable Content" },
    { 499, "Cancelled" },
    { 501, "Not Implemented" },
    { 502, "Bad Gateway" },
    { 503, "Service Unavailable" },
    { 504, "Gateway Timeout" },
};

int bvi_http_status_of(int code)
{
    for (size_t i = 0; i < BVI_COUNT(statuses); i++) {
        if (statuses[i].code == code)
            return statuses[i].status;
    }
    return 500;
}

static const char *reason_of(int status)
{
    for (size_t i = 0; i < BVI_COUNT(reasons); i++) {
        if (reasons[i].status == status)
            return reasons[i].text;
    }
    return "Internal Server Error";
}

bvi_json *bvi_error_json(const bv_error *err)
{
    bvi_auto_json bvi_json *root = bvi_json_new_object();
    bvi_auto_free char *whole = bvi_error_text(err);
    bvi_json *error = bvi_json_new_object();
    bvi_json *chain = NULL;

    if (!root || !whole) {
        bvi_json_free(error);
        return NULL;
    }
    if (bvi_json_put(root, "error", error) < 0)
        return NULL;
    chain = bvi_json_new_array();
    if (bvi_json_put(error, "chain", chain) < 0 ||
        bvi_json_put_string(error, "code", bv_code_name(bv_error_code(err))) < 0 ||
        bvi_json_put_string(error, "message", whole) < 0)
        return NULL;
    for (const bv_error *e = err; e; e = bv_error_cause(e)) {
        if (bvi_json_add(chain, bvi_json_new_string(bv_error_message(e))) < 0)
            return NULL;
    }
    return bvi_take(root);
}

void bvi_answer(struct evhttp_request *req, int status, const char *type, const char *text,
                size_t len)
{
    struct evbuffer *body = evbuffer_new();

    if (!body || evbuffer_add(body, text, len) < 0) {
        evhttp_send_error(req, 500, NULL);
    } else {
        (void)evhttp_add_header(evhttp_request_get_output_headers(req), "Content-Type",
                                type); /* helps, not needed */
        evhttp_send_reply(req, status, reason_of(status), body);
    }
    if (body)
        evbuffer_free(body);
}

void bvi_answer_json(struct evhttp_request *req, int status, const bvi_json *json)
{
    bvi_auto_free char *text = NULL;

    if (!json || bvi_json_print(json, false, &text, NULL) < 0)
        evhttp_send_error(req, 500, NULL);
    else
        bvi_answer(req, status, BVI_TYPE_JSON, text, strlen(text));
}

void bvi_answer_error(struct evhttp_request *req, const bv_error *err)
{
    bvi_auto_json bvi_json *json = bvi_error_json(err);

    bvi_answer_json(req, bvi_http_status_of(bv_error_code(err)), json);
}

bool bvi_accepts(struct evhttp_request *req, const char *type)
{
    const char *accept = evhttp_find_header(evhttp_request_get_input_headers(req), "Accept");

    return accept && strstr(accept, type);
}
