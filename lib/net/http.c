/*
 * http.c - HTTP requests: curl's multi interface on the context's loop.
 *
 * curl tells us which descriptors and which one timer it waits for, we tell it when they are due.
 * Its functions must not be called from inside its own callbacks, so starting, resuming and
 * cancelling go through a task of the call, and freeing inside a callback leaves curl's part for
 * later. Timeouts other than connecting are ours: they follow the context's clock, and the idle one
 * knows about pauses.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "net/http.h"
#include "net/http_curl.h"

/* Retry-After beyond this is taken as this. */
#define RETRY_AFTER_MAX_MS (24 * 3600 * 1000ll)
/* How much of a failure's body a message quotes. */
#define QUOTE_MAX 200u

struct bvi_http {
    bv_ctx *ctx;
    bvi_curl_lib curl;
    CURLM *multi;
    bvi_timer *timer; /* curl's */
    bvi_http_call *calls;
    uint32_t count;
    unsigned depth; /* inside one of our callbacks from the loop */
    bool in_curl;   /* inside a function of curl */
    bool dying;     /* freed inside a callback */
    char *user_agent;
    char *ca_file; /* of calls that name none */
    bool budgeted;
};

struct bvi_http_call {
    bvi_http *http;
    bvi_http_call *prev;
    bvi_http_call *next;
    CURL *easy;
    struct curl_slist *headers;
    bvi_http_request req; /* callbacks and numbers only */
    char *method;
    char *shown_url;
    char *unix_socket;
    bvi_buf copy; /* of the body to send, unless it is borrowed */
    const char *body;
    uint64_t body_len;
    uint64_t body_sent;
    bvi_buf head; /* header lines received, each ended by a zero */
    bvi_buf got;  /* collected body */
    uint64_t received;
    bool head_done;
    bvi_task act; /* starts, resumes, ends */
    bool added;   /* curl has it */
    bool want_resume;
    bool cancelled;
    bool over;       /* on_done was called or will not be */
    bool begun;      /* there is a connection: idle time counts */
    bvi_claim place; /* of a budgeted client: its connection, */
    bvi_turn recv;   /* and its bandwidth either way */
    bvi_turn send;
    bool recv_paused;
    bool send_paused;
    bvi_timer *deadline;
    bvi_timer *idle;
    bvi_timer *slow; /* set while a body is on its way */
    int64_t active_us;
    uint64_t idle_sent; /* what had left when idleness was looked at last */
    uint64_t slow_from; /* what had moved when slowness was */
    bv_error *fail;     /* why we ended it ourselves */
    int fail_code;
    char curl_says[CURL_ERROR_SIZE];
};

/* ---- URLs and headers ---- */

char *bvi_http_redact(const char *url)
{
    const char *scheme = strstr(url, "://");
    const char *host = scheme ? scheme + 3 : url;
    size_t authority = strcspn(host, "/?#");
    size_t len = strcspn(host, "?#");
    const char *after_user = host;

    for (size_t i = 0; i < authority; i++) {
        if (host[i] == '@')
            after_user = host + i + 1;
    }
    return bvi_asprintf("%.*s%.*s", (int)(host - url), url,
                        (int)(len - (size_t)(after_user - host)), after_user);
}

static const char *find_header(const bvi_http_call *call, const char *name)
{
    const char *found = NULL;
    size_t name_len = strlen(name);
    const char *end = call->head.data + call->head.len;

    for (const char *line = call->head.data; line && line < end; line += strlen(line) + 1) {
        if (strncasecmp(line, name, name_len) == 0 && line[name_len] == ':') {
            found = line + name_len + 1;
            found += strspn(found, " \t");
        }
    }
    return found;
}

const char *bvi_http_header(const bvi_http_response *response, const char *name)
{
    return response->impl ? find_header(response->impl, name) : NULL;
}

/* Digits up to the end, or -1; at most INT64_MAX. */
static int64_t parse_length(const char *text)
{
    int64_t length = 0;

    if (!text || text[0] < '0' || text[0] > '9')
        return -1;
    for (; *text >= '0' && *text <= '9'; text++) {
        if (__builtin_mul_overflow(length, (int64_t)10, &length) ||
            __builtin_add_overflow(length, (int64_t)(*text - '0'), &length))
            return INT64_MAX;
    }
    return length;
}

/* Seconds or a date. -1: neither. */
static int64_t parse_retry_after(const bvi_http *http, const char *text)
{
    int64_t ms = parse_length(text);
    time_t when;

    if (!text)
        return -1;
    if (ms >= 0) {
        ms = ms > RETRY_AFTER_MAX_MS ? RETRY_AFTER_MAX_MS : ms * 1000;
    } else {
        when = http->curl.getdate(text, NULL);
        if (when == (time_t)-1)
            return -1;
        ms = (int64_t)when * 1000 - bvi_ctx_wall_us(http->ctx) / 1000;
    }
    if (ms < 0)
        return 0;
    return ms > RETRY_AFTER_MAX_MS ? RETRY_AFTER_MAX_MS : ms;
}

static int status_of(const bvi_http_call *call)
{
    long status = 0;

    (void)call->http->curl.easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &status); /* stays 0 */
    return (int)status;
}

static bvi_http_response response_of(const bvi_http_call *call)
{
    return (bvi_http_response){
        .status = status_of(call),
        .content_length = parse_length(find_header(call, "Content-Length")),
        .retry_after_ms = parse_retry_after(call->http, find_header(call, "Retry-After")),
        .etag = find_header(call, "ETag"),
        .body = bvi_buf_str(&call->got),
        .body_len = call->got.len,
        .received = call->received,
        .url = call->shown_url,
        .impl = call,
    };
}

/* ---- ending ---- */

/* Ends the call with an error of ours; curl hears of it from the callback it is in, or from the
 * task. */
static void fail_call(bvi_http_call *call, int code, const char *what)
{
    if (call->fail_code)
        return;
    call->fail_code = code;
    (void)bvi_fail(&call->fail, code, "%s '%s': %s", call->method, call->shown_url,
                   what); /* kept for on_done */
    bvi_task_post(&call->act);
}

static bool must_stop(const bvi_http_call *call)
{
    return call->over || call->fail_code || call->cancelled;
}

static const struct {
    CURLcode curl;
    int code;
} curl_codes[] = {
    { CURLE_UNSUPPORTED_PROTOCOL, BV_E_INVALID },
    { CURLE_URL_MALFORMAT, BV_E_INVALID },
    { CURLE_BAD_FUNCTION_ARGUMENT, BV_E_INVALID },
    { CURLE_SSL_CACERT_BADFILE, BV_E_INVALID },
    { CURLE_SSL_CERTPROBLEM, BV_E_INVALID },
    { CURLE_PEER_FAILED_VERIFICATION, BV_E_DENIED },
    { CURLE_SSL_PINNEDPUBKEYNOTMATCH, BV_E_DENIED },
    { CURLE_OPERATION_TIMEDOUT, BV_E_TIMEOUT },
    { CURLE_OUT_OF_MEMORY, BV_E_NOMEM },
    { CURLE_COULDNT_RESOLVE_HOST, BV_E_REMOTE },
    { CURLE_COULDNT_RESOLVE_PROXY, BV_E_REMOTE },
    { CURLE_COULDNT_CONNECT, BV_E_REMOTE },
    { CURLE_WEIRD_SERVER_REPLY, BV_E_REMOTE },
    { CURLE_HTTP2, BV_E_REMOTE },
    { CURLE_HTTP2_STREAM, BV_E_REMOTE },
    { CURLE_PARTIAL_FILE, BV_E_REMOTE },
    { CURLE_GOT_NOTHING, BV_E_REMOTE },
    { CURLE_SEND_ERROR, BV_E_REMOTE },
    { CURLE_RECV_ERROR, BV_E_REMOTE },
    { CURLE_SSL_CONNECT_ERROR, BV_E_REMOTE },
    { CURLE_TOO_MANY_REDIRECTS, BV_E_REMOTE },
    { CURLE_BAD_CONTENT_ENCODING, BV_E_REMOTE },
    { CURLE_SEND_FAIL_REWIND, BV_E_REMOTE },
    { CURLE_PROXY, BV_E_REMOTE },
};

static int code_of(CURLcode curl, bool begun)
{
    if (begun && curl == CURLE_UNSUPPORTED_PROTOCOL)
        return BV_E_REMOTE; /* the answer was not HTTP, or redirects to something else */
    for (size_t i = 0; i < BVI_COUNT(curl_codes); i++) {
        if (curl_codes[i].curl == curl)
            return curl_codes[i].code;
    }
    return BV_E_IO;
}

static bv_error *take_error(bvi_http_call *call, CURLcode curl)
{
    bv_error *err = bvi_take(call->fail);

    if (call->cancelled && !err)
        (void)bvi_fail(&err, BV_E_CANCELLED, "%s '%s' was cancelled", call->method,
                       call->shown_url);
    else if (!err && call->fail_code)
        (void)bvi_fail(&err, call->fail_code, "%s '%s' failed", call->method, call->shown_url);
    else if (!err && curl != CURLE_OK)
        (void)bvi_fail(&err, code_of(curl, call->begun), "%s '%s'%s%s%s: %s", call->method,
                       call->shown_url, call->unix_socket ? " through socket '" : "",
                       call->unix_socket ? call->unix_socket : "", call->unix_socket ? "'" : "",
                       call->curl_says[0] ? call->curl_says : call->http->curl.easy_strerror(curl));
    return err;
}

/* What the user sees of the end. */
static void report(bvi_http_call *call, CURLcode curl)
{
    bvi_http_response response;
    bv_error *err;

    if (call->over)
        return;
    call->over = true;
    bvi_timer_clear(call->deadline);
    bvi_timer_clear(call->idle);
    bvi_timer_clear(call->slow);
    response = response_of(call);
    err = take_error(call, curl);
    call->req.on_done(call, &response, err, call->req.data);
    bv_error_free(err);
}

/* What curl and we have of it; not from inside curl. */
static void release(bvi_http_call *call)
{
    bvi_http *http = call->http;

    if (call->added) {
        http->in_curl = true; /* removing may close sockets */
        (void)http->curl.multi_remove_handle(
            http->multi, call->easy); /* fails only for handles it does not have */
        http->in_curl = false;
    }
    if (call->prev || http->calls == call) {
        if (call->prev)
            call->prev->next = call->next;
        else
            http->calls = call->next;
        if (call->next)
            call->next->prev = call->prev;
        http->count--;
    }
    bvi_task_done(&call->act);
    bvi_claim_release(&call->place);
    bvi_turn_done(&call->recv);
    bvi_turn_done(&call->send);
    bvi_timer_free(call->deadline);
    bvi_timer_free(call->idle);
    bvi_timer_free(call->slow);
    http->curl.easy_cleanup(call->easy);
    http->curl.slist_free_all(call->headers);
    bv_error_free(call->fail);
    bvi_buf_done(&call->copy);
    bvi_buf_done(&call->head);
    bvi_buf_done(&call->got);
    bvi_free(call->method);
    bvi_free(call->shown_url);
    bvi_free(call->unix_socket);
    bvi_free(call);
}

static void finish(bvi_http_call *call, CURLcode curl)
{
    report(call, curl);
    release(call);
}

static void destroy(bvi_http *http)
{
    while (http->calls)
        release(http->calls);
    if (http->multi)
        (void)http->curl.multi_cleanup(
            http->multi); /* closes kept connections; nothing to do about failures */
    bvi_timer_free(http->timer);
    bvi_free(http->user_agent);
    bvi_free(http->ca_file);
    http->curl.global_cleanup();
    bvi_free(http);
}

static void enter(bvi_http *http)
{
    http->depth++;
}

static void leave(bvi_http *http)
{
    if (--http->depth == 0 && http->dying)
        destroy(http);
}

/* ---- driving curl ---- */

static void take_results(bvi_http *http)
{
    CURLMsg *msg;
    int left;

    while (!http->dying && (msg = http->curl.multi_info_read(http->multi, &left))) {
        char *private = NULL;

        if (msg->msg != CURLMSG_DONE)
            continue;
        (void)http->curl.easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE,
                                      &private); /* always set */
        finish((bvi_http_call *)(void *)private, msg->data.result);
    }
}

static void act_on(bvi_http *http, curl_socket_t fd, int events)
{
    int running;

    enter(http);
    http->in_curl = true;
    (void)http->curl.multi_socket_action(http->multi, fd, events,
                                         &running); /* failures come as messages */
    http->in_curl = false;
    take_results(http);
    leave(http);
}

static void on_timer(bvi_timer *timer, void *data)
{
    (void)timer;
    act_on(data, CURL_SOCKET_TIMEOUT, 0);
}

static void on_fd(bvi_watch *watch, int fd, unsigned events, void *data)
{
    int what = ((events & BV_IO_IN) ? CURL_CSELECT_IN : 0) |
               ((events & BV_IO_OUT) ? CURL_CSELECT_OUT : 0) |
               ((events & BV_IO_ERR) ? CURL_CSELECT_ERR : 0);

    (void)watch;
    act_on(data, fd, what);
}

static int curl_wants_timer(CURLM *multi, long timeout_ms, void *data)
{
    bvi_http *http = data;

    (void)multi;
    if (timeout_ms < 0)
        bvi_timer_clear(http->timer);
    else
        (void)bvi_timer_set(http->timer, (int64_t)timeout_ms * 1000,
                            NULL); /* it stays set and is armed later */
    return 0;
}

static int curl_wants_fd(CURL *easy, curl_socket_t fd, int what, void *data, void *socket_data)
{
    bvi_http *http = data;
    bvi_watch *watch = socket_data;
    unsigned events =
        ((what & CURL_POLL_IN) ? BV_IO_IN : 0u) | ((what & CURL_POLL_OUT) ? BV_IO_OUT : 0u);
    char *private = NULL;
    int r = 0;

    if (what == CURL_POLL_REMOVE) {
        bvi_watch_free(watch);
        (void)http->curl.multi_assign(http->multi, fd, NULL); /* it forgets the socket anyway */
        return 0;
    }
    if (watch) {
        r = bvi_watch_set(watch, events, NULL);
    } else {
        r = bvi_watch_new(http->ctx, fd, events, on_fd, http, &watch, NULL);
        if (r == 0)
            (void)http->curl.multi_assign(http->multi, fd, watch); /* fd is the one it asked for */
    }
    if (r < 0) { /* an error returned from here would end all transfers */
        (void)http->curl.easy_getinfo(easy, CURLINFO_PRIVATE, &private);
        if (private)
            fail_call((bvi_http_call *)(void *)private, r, "its socket cannot be watched");
    }
    return 0;
}

/* ---- what curl hands us and asks us for ---- */

static void note_activity(bvi_http_call *call)
{
    call->active_us = bvi_ctx_now_us(call->http->ctx);
}

/* Bytes of the body that left, not those that were only handed to curl. */
static uint64_t sent_of(const bvi_http_call *call)
{
    curl_off_t sent = 0;

    (void)call->http->curl.easy_getinfo(call->easy, CURLINFO_SIZE_UPLOAD_T, &sent); /* stays 0 */
    return sent > 0 ? (uint64_t)sent : 0;
}

/* Slowness is looked at from the first byte on, and anew after a pause. */
static void note_body(bvi_http_call *call)
{
    if (!call->req.slow_bytes_per_s || bvi_timer_is_set(call->slow))
        return;
    call->slow_from = call->received + sent_of(call);
    (void)bvi_timer_set(call->slow, BVI_HTTP_SLOW_MS * 1000ll, NULL); /* armed later if not now */
}

static int curl_has_connection(void *data, char *peer_ip, char *own_ip, int peer_port, int own_port)
{
    bvi_http_call *call = data;

    (void)peer_ip;
    (void)own_ip;
    (void)peer_port;
    (void)own_port;
    if (must_stop(call))
        return CURL_PREREQFUNC_ABORT;
    call->begun = true;
    note_activity(call);
    if (call->req.idle_timeout_ms > 0)
        (void)bvi_timer_set(call->idle, call->req.idle_timeout_ms * 1000,
                            NULL); /* armed later if not now */
    return CURL_PREREQFUNC_OK;
}

/* "bytes 5-9/10" begins where we asked? */
static bool is_our_range(const bvi_http_call *call, const char *text)
{
    if (!text || strncasecmp(text, "bytes ", 6) != 0)
        return false;
    return parse_length(text + 6) == (int64_t)call->req.range_first;
}

static void check_head(bvi_http_call *call)
{
    bvi_http_response response = response_of(call);
    bool good = response.status >= 200 && response.status < 300;
    int r;

    if (call->req.has_range && good && response.status != 206)
        fail_call(call, BV_E_UNSUPPORTED, "the server ignored the byte range");
    else if (call->req.has_range && good && !is_our_range(call, find_header(call, "Content-Range")))
        fail_call(call, BV_E_REMOTE, "the server answered with another byte range");
    else if ((!call->req.on_data || good) && call->req.response_max && !call->req.compressed &&
             response.content_length > 0 &&
             (uint64_t)response.content_length > call->req.response_max &&
             strcmp(call->method, "HEAD") != 0)
        fail_call(call, BV_E_LIMIT, "the answer is larger than allowed");
    if (call->fail_code || !call->req.on_head)
        return;
    r = call->req.on_head(call, &response, call->req.data);
    if (r < 0)
        fail_call(call, r, "refused by its receiver");
}

static bool is_interim(const bvi_http_call *call)
{
    int status = status_of(call);

    if (status < 200)
        return true;
    return status >= 300 && status < 400 && call->req.redirects_max &&
           find_header(call, "Location");
}

static size_t curl_has_header(char *line, size_t size, size_t count, void *data)
{
    bvi_http_call *call = data;
    size_t len = size * count, text_len = len;

    if (must_stop(call))
        return 0;
    note_activity(call);
    if (len >= 5 &&
        memcmp(line, "HTTP/", 5) == 0) { /* a new answer: after a redirect or 100 Continue */
        bvi_buf_clear(&call->head);
        call->head_done = false;
    }
    while (text_len && (line[text_len - 1] == '\r' || line[text_len - 1] == '\n'))
        text_len--;
    if (text_len) {
        int r =
            memchr(line, 0, text_len) ? BV_E_REMOTE : bvi_buf_append(&call->head, line, text_len);

        if (r == 0)
            r = bvi_buf_append_char(&call->head, '\0');
        if (r < 0)
            fail_call(call, r,
                      r == BV_E_LIMIT ? "its headers are too large"
                                      : "its headers cannot be taken");
    } else if (!call->head_done && !is_interim(call)) {
        call->head_done = true;
        check_head(call);
    }
    return must_stop(call) ? 0 : len;
}

static int collect(bvi_http_call *call, const char *bytes, size_t len)
{
    int r;

    if (call->req.on_data && len > call->got.max - call->got.len)
        len = call->got.max - call->got.len; /* the beginning explains the failure well enough */
    r = bvi_buf_append(&call->got, bytes, len);
    if (r < 0)
        fail_call(call, r, r == BV_E_LIMIT ? "the answer is larger than allowed" : "out of memory");
    return r;
}

static int deliver(bvi_http_call *call, const char *bytes, size_t len)
{
    int r;

    if (call->req.response_max && len > call->req.response_max - call->received) {
        fail_call(call, BV_E_LIMIT, "the answer is larger than allowed");
        return BV_E_LIMIT;
    }
    r = call->req.on_data(call, bytes, len, call->req.data);
    if (r < 0)
        fail_call(call, r, "ended by its receiver");
    return r;
}

static size_t pause_receiving(bvi_http_call *call)
{
    call->recv_paused = true;
    bvi_timer_clear(call->slow);
    return CURL_WRITEFUNC_PAUSE;
}

static size_t curl_has_data(char *bytes, size_t size, size_t count, void *data)
{
    bvi_http_call *call = data;
    size_t len = size * count;
    int status, r;

    if (must_stop(call))
        return 0;
    note_activity(call);
    status = status_of(call);
    if (call->http->budgeted && !bvi_turn_ready(&call->recv))
        return pause_receiving(call);
    if (call->req.on_data && status >= 200 && status < 300)
        r = deliver(call, bytes, len);
    else
        r = collect(call, bytes, len);
    if (must_stop(call))
        return 0; /* differs from len, which is never 0 here */
    if (r == BVI_HTTP_PAUSE)
        return pause_receiving(call);
    note_body(call);
    if (call->http->budgeted)
        bvi_turn_used(&call->recv, len);
    call->received += len;
    return len;
}

static uint64_t body_total(const bvi_http_call *call)
{
    return call->req.on_body ? call->req.body_total : call->body_len;
}

static size_t pause_sending(bvi_http_call *call)
{
    call->send_paused = true;
    bvi_timer_clear(call->slow);
    return CURL_READFUNC_PAUSE;
}

static size_t curl_wants_data(char *dst, size_t size, size_t count, void *data)
{
    bvi_http_call *call = data;
    uint64_t left = body_total(call) - call->body_sent;
    size_t room = size * count;
    ptrdiff_t n;

    if (must_stop(call))
        return CURL_READFUNC_ABORT;
    note_activity(call);
    if (room > left)
        room = (size_t)left;
    if (room == 0)
        return 0;
    if (call->http->budgeted) {
        if (!bvi_turn_ready(&call->send))
            return pause_sending(call);
        if (room > bvi_turn_quantum(&call->send))
            room = (size_t)bvi_turn_quantum(&call->send);
    }
    if (!call->req.on_body) {
        memcpy(dst, call->body + call->body_sent, room);
        n = (ptrdiff_t)room;
    } else {
        n = call->req.on_body(call, dst, room, call->req.data);
        if (n > (ptrdiff_t)room)
            n = BV_E_INTERNAL; /* dst is overrun: nothing of it may leave */
    }
    if (n < 0)
        fail_call(call, (int)n, "its body could not be read");
    if (must_stop(call))
        return CURL_READFUNC_ABORT;
    if (n == 0)
        return pause_sending(call);
    note_body(call);
    if (call->http->budgeted)
        bvi_turn_used(&call->send, (uint64_t)n);
    call->body_sent += (uint64_t)n;
    return (size_t)n;
}

static int curl_wants_rewind(void *data, curl_off_t offset, int origin)
{
    bvi_http_call *call = data;

    if (must_stop(call) || origin != SEEK_SET)
        return CURL_SEEKFUNC_FAIL;
    if (call->req.on_body) {
        if (offset != 0 || !call->req.on_rewind || call->req.on_rewind(call, call->req.data) < 0)
            return CURL_SEEKFUNC_FAIL;
    } else if (offset < 0 || (uint64_t)offset > call->body_len) {
        return CURL_SEEKFUNC_FAIL;
    }
    call->body_sent = (uint64_t)offset;
    return CURL_SEEKFUNC_OK;
}

/* ---- timeouts of ours ---- */

static bool sends_body(const bvi_http_request *req, const char *method)
{
    static const char *const always[] = { "POST", "PUT", "PATCH" };

    for (size_t i = 0; i < BVI_COUNT(always); i++) {
        if (strcmp(method, always[i]) == 0)
            return true;
    }
    return req->body || req->on_body;
}

static void end_by_timer(bvi_http_call *call, const char *what)
{
    bvi_http *http = call->http;

    fail_call(call, BV_E_TIMEOUT, what);
    enter(http);
    finish(call, CURLE_OK);
    leave(http);
}

static void on_deadline(bvi_timer *timer, void *data)
{
    bvi_http_call *call = data;

    (void)timer;
    end_by_timer(call,
                 call->begun ? "not finished within its time" : "no connection within its time");
}

static void on_idle(bvi_timer *timer, void *data)
{
    bvi_http_call *call = data;
    int64_t left_us =
        call->active_us + call->req.idle_timeout_ms * 1000 - bvi_ctx_now_us(call->http->ctx);

    /* Nobody asks us for more while a slow line is at what curl has already. */
    if (call->recv_paused || call->send_paused || sent_of(call) > call->idle_sent)
        left_us = call->req.idle_timeout_ms * 1000;
    call->idle_sent = sent_of(call);
    if (left_us > 0)
        (void)bvi_timer_set(timer, left_us, NULL); /* armed later if not now */
    else
        end_by_timer(call, "nothing moved for too long");
}

static void on_slow(bvi_timer *timer, void *data)
{
    bvi_http_call *call = data;
    uint64_t sent = sent_of(call);
    uint64_t moved = call->received + sent - call->slow_from;
    bool all_sent = sends_body(&call->req, call->method) && sent >= body_total(call);

    /* Nothing at all is for the idle timeout, which also covers the wait for an answer. */
    if (moved == 0 || (all_sent && call->received == 0))
        return;
    if (moved < call->req.slow_bytes_per_s * (BVI_HTTP_SLOW_MS / 1000)) {
        end_by_timer(call, "it is too slow");
        return;
    }
    call->slow_from += moved;
    (void)bvi_timer_set(timer, BVI_HTTP_SLOW_MS * 1000ll, NULL); /* armed later if not now */
}

/* ---- the task of a call ---- */

/* False: its turn comes, or it has failed. */
static bool has_place(bvi_http_call *call)
{
    bv_error *err = NULL;
    int r;

    if (!call->http->budgeted || call->place.granted)
        return true;
    if (call->place.waiting)
        return false;
    r = bvi_claim_ask(&call->place, &(bvi_amounts){ .connections = 1 }, "a request", &err);
    if (r < 0)
        fail_call(call, r, bv_error_message(err));
    bv_error_free(err);
    return r == 1;
}

static void on_place(void *data)
{
    bvi_http_call *call = data;

    bvi_task_post(&call->act);
}

static void on_turn(void *data)
{
    bvi_http_resume(data);
}

static void begin(bvi_http_call *call)
{
    CURLMcode r;

    if (!has_place(call))
        return;
    call->http->in_curl = true;
    r = call->http->curl.multi_add_handle(call->http->multi, call->easy);
    call->http->in_curl = false;
    call->added = r == CURLM_OK;
    if (r != CURLM_OK)
        finish(call, r == CURLM_OUT_OF_MEMORY ? CURLE_OUT_OF_MEMORY : CURLE_FAILED_INIT);
}

static void resume(bvi_http_call *call)
{
    bvi_http *http = call->http;
    CURLcode r;

    call->want_resume = call->recv_paused = call->send_paused = false;
    note_activity(call);
    http->in_curl = true;
    r = http->curl.easy_pause(call->easy, CURLPAUSE_CONT); /* delivers what it held back */
    http->in_curl = false;
    if (must_stop(call) || r != CURLE_OK)
        finish(call, r);
    take_results(http);
}

static void on_act(void *data)
{
    bvi_http_call *call = data;
    bvi_http *http = call->http;

    enter(http);
    if (must_stop(call))
        finish(call, CURLE_OK);
    else if (!call->added)
        begin(call);
    else if (call->want_resume)
        resume(call);
    leave(http);
}

/* ---- making a call ---- */

#define SET(option, value)                                                                         \
    do {                                                                                           \
        CURLcode set_ = call->http->curl.easy_setopt(e, option, value);                            \
        if (set_ != CURLE_OK)                                                                      \
            return set_;                                                                           \
    } while (0)

static CURLcode set_method(bvi_http_call *call, CURL *e)
{
    if (sends_body(&call->req, call->method)) {
        SET(CURLOPT_UPLOAD, 1L);
        SET(CURLOPT_INFILESIZE_LARGE, (curl_off_t)body_total(call));
        SET(CURLOPT_READFUNCTION, curl_wants_data);
        SET(CURLOPT_READDATA, call);
        SET(CURLOPT_SEEKFUNCTION, curl_wants_rewind);
        SET(CURLOPT_SEEKDATA, call);
    } else if (strcmp(call->method, "HEAD") == 0) {
        SET(CURLOPT_NOBODY, 1L);
        return CURLE_OK;
    }
    SET(CURLOPT_CUSTOMREQUEST, call->method);
    return CURLE_OK;
}

static CURLcode set_callbacks(bvi_http_call *call, CURL *e)
{
    SET(CURLOPT_PRIVATE, call);
    SET(CURLOPT_ERRORBUFFER, call->curl_says);
    SET(CURLOPT_HEADERFUNCTION, curl_has_header);
    SET(CURLOPT_HEADERDATA, call);
    SET(CURLOPT_WRITEFUNCTION, curl_has_data);
    SET(CURLOPT_WRITEDATA, call);
    SET(CURLOPT_PREREQFUNCTION, curl_has_connection);
    SET(CURLOPT_PREREQDATA, call);
    return CURLE_OK;
}

static CURLcode set_connection(const bvi_http_call *call, CURL *e, const bvi_http_request *req)
{
    long version = !req->http2                               ? CURL_HTTP_VERSION_1_1
                   : strncasecmp(req->url, "https:", 6) == 0 ? CURL_HTTP_VERSION_2TLS
                                                             : CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE;
    /* As curl's own program does: a node without certificates is told of those in the agent bundle
     * this way. */
    const char *ca_file = req->ca_file          ? req->ca_file
                          : call->http->ca_file ? call->http->ca_file
                                                : secure_getenv("SSL_CERT_FILE");

    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_PROTOCOLS_STR, "http,https");
    SET(CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
    SET(CURLOPT_HTTP_VERSION, version);
    SET(CURLOPT_CONNECTTIMEOUT_MS,
        (long)(req->connect_timeout_ms > 0 ? req->connect_timeout_ms : BVI_HTTP_CONNECT_MS));
    if (req->unix_socket)
        SET(CURLOPT_UNIX_SOCKET_PATH, call->unix_socket);
    if (req->unix_socket || req->no_proxy)
        SET(CURLOPT_PROXY, "");
    if (ca_file && *ca_file)
        SET(CURLOPT_CAINFO, ca_file);
    if (req->cert_file)
        SET(CURLOPT_SSLCERT, req->cert_file);
    if (req->key_file)
        SET(CURLOPT_SSLKEY, req->key_file);
    return CURLE_OK;
}

static CURLcode set_transfer(const bvi_http_call *call, CURL *e, const bvi_http_request *req)
{
    char range[48];

    SET(CURLOPT_URL, req->url);
    SET(CURLOPT_HTTPHEADER, call->headers);
    SET(CURLOPT_USERAGENT, call->http->user_agent);
    SET(CURLOPT_FOLLOWLOCATION, req->redirects_max ? 1L : 0L);
    SET(CURLOPT_MAXREDIRS, (long)req->redirects_max);
    SET(CURLOPT_MAX_RECV_SPEED_LARGE, (curl_off_t)req->recv_bytes_per_s);
    SET(CURLOPT_MAX_SEND_SPEED_LARGE, (curl_off_t)req->send_bytes_per_s);
    if (req->bulk) {
        SET(CURLOPT_BUFFERSIZE, (long)BVI_HTTP_BULK_BYTES);
        SET(CURLOPT_UPLOAD_BUFFERSIZE, (long)BVI_HTTP_BULK_BYTES);
    }
    if (req->compressed)
        SET(CURLOPT_ACCEPT_ENCODING, "");
    if (req->has_range) {
        (void)snprintf(range, sizeof(range), "%llu-%llu", (unsigned long long)req->range_first,
                       (unsigned long long)req->range_last); /* fits */
        SET(CURLOPT_RANGE, range);
    }
    return CURLE_OK;
}

static int add_header(bvi_http_call *call, const char *line, bv_error **err)
{
    struct curl_slist *longer;

    if (strpbrk(line, "\r\n") || !strpbrk(line, ":;"))
        return bvi_fail(err, BV_E_INVALID,
                        "a request header for '%s' is not of the form 'Name: value'",
                        call->shown_url);
    longer = call->http->curl.slist_append(call->headers, line);
    if (!longer)
        return bvi_fail_nomem(err);
    call->headers = longer;
    return 0;
}

static int add_headers(bvi_http_call *call, const bvi_http_request *req, bv_error **err)
{
    /* Waiting for 100 Continue costs a second with servers that do not know it. */
    int r = add_header(call, "Expect:", err);

    for (size_t i = 0; r == 0 && req->headers && req->headers[i]; i++)
        r = add_header(call, req->headers[i], err);
    return r;
}

/* Keeps numbers and callbacks; pointers to the caller's memory are copied elsewhere or not needed
 * again. */
static void keep_request(bvi_http_call *call, const bvi_http_request *req)
{
    call->req = *req;
    call->req.method = call->req.url = call->req.unix_socket = NULL;
    call->req.headers = NULL;
    call->req.ca_file = call->req.cert_file = call->req.key_file = NULL;
    if (!call->req.response_max && !req->on_data)
        call->req.response_max = BVI_HTTP_RESPONSE_MAX;
    if (!call->req.idle_timeout_ms)
        call->req.idle_timeout_ms = BVI_HTTP_IDLE_MS;
    bvi_buf_init(&call->head, BVI_HTTP_HEADERS_MAX);
    bvi_buf_init(&call->got, req->on_data ? BVI_HTTP_FAILURE_MAX : (size_t)call->req.response_max);
    bvi_buf_init(&call->copy, BVI_HTTP_BODY_MAX);
}

static int take_body(bvi_http_call *call, const bvi_http_request *req, bv_error **err)
{
    int r = 0;

    if (req->on_body)
        return 0;
    if (!req->body_borrowed)
        r = bvi_buf_append(&call->copy, req->body, req->body_len);
    if (r == BV_E_LIMIT)
        return bvi_fail(err, r, "a request body of %zu bytes for '%s' is larger than %u",
                        req->body_len, call->shown_url, BVI_HTTP_BODY_MAX);
    if (r < 0)
        return bvi_fail_nomem(err);
    call->body = req->body_borrowed ? req->body : call->copy.data;
    call->body_len = req->body_len;
    return 0;
}

static int copy_request(bvi_http_call *call, const bvi_http_request *req, bv_error **err)
{
    int r;

    call->method = bvi_strdup(req->method ? req->method : "GET");
    call->shown_url = bvi_http_redact(req->url);
    call->unix_socket = bvi_strdup(req->unix_socket);
    if (!call->method || !call->shown_url || (req->unix_socket && !call->unix_socket))
        return bvi_fail_nomem(err);
    r = take_body(call, req, err);
    return r < 0 ? r : add_headers(call, req, err);
}

static int prepare(bvi_http_call *call, const bvi_http_request *req, bv_error **err)
{
    CURLcode code;
    int r = copy_request(call, req, err);

    if (r < 0)
        return r;
    r = bvi_timer_new(call->http->ctx, on_deadline, call, &call->deadline, err);
    if (r < 0)
        return r;
    r = bvi_timer_new(call->http->ctx, on_idle, call, &call->idle, err);
    if (r < 0)
        return r;
    r = bvi_timer_new(call->http->ctx, on_slow, call, &call->slow, err);
    if (r < 0)
        return r;
    call->easy = call->http->curl.easy_init();
    if (!call->easy)
        return bvi_fail_nomem(err);
    code = set_callbacks(call, call->easy);
    if (code == CURLE_OK)
        code = set_connection(call, call->easy, req);
    if (code == CURLE_OK)
        code = set_transfer(call, call->easy, req);
    if (code == CURLE_OK)
        code = set_method(call, call->easy);
    if (code != CURLE_OK)
        return bvi_fail(err, code_of(code, false), "cannot prepare %s '%s': %s", call->method,
                        call->shown_url, call->http->curl.easy_strerror(code));
    return req->deadline_ms > 0 ? bvi_timer_set(call->deadline, req->deadline_ms * 1000, err) : 0;
}

static int check_request(const bvi_http *http, const bvi_http_request *req, bv_error **err)
{
    if (http->dying)
        return bvi_fail(err, BV_E_STATE, "the HTTP client is being freed");
    if (strlen(req->url) > BVI_HTTP_URL_MAX)
        return bvi_fail(err, BV_E_INVALID, "a URL is longer than %u bytes", BVI_HTTP_URL_MAX);
    if (http->count >= BVI_HTTP_CALLS_MAX)
        return bvi_fail(err, BV_E_LIMIT, "more than %u HTTP requests are under way",
                        BVI_HTTP_CALLS_MAX);
    return 0;
}

int bvi_http_start(bvi_http *http, const bvi_http_request *req, bvi_http_call **ret_call,
                   bv_error **err)
{
    bvi_http_call *call;
    int r = check_request(http, req, err);

    if (r < 0)
        return r;
    call = bvi_new0(bvi_http_call);
    if (!call)
        return bvi_fail_nomem(err);
    call->http = http;
    bvi_task_init(&call->act, http->ctx, on_act, call);
    bvi_claim_init(&call->place, http->ctx, on_place, call);
    bvi_turn_init(&call->recv, http->ctx, BVI_DOWN, on_turn, call);
    bvi_turn_init(&call->send, http->ctx, BVI_UP, on_turn, call);
    keep_request(call, req);
    r = prepare(call, req, err);
    if (r < 0) {
        release(call);
        return r;
    }
    call->next = http->calls;
    if (http->calls)
        http->calls->prev = call;
    http->calls = call;
    http->count++;
    bvi_task_post(&call->act);
    if (ret_call)
        *ret_call = call;
    return 0;
}

void bvi_http_cancel(bvi_http_call *call)
{
    if (call->over)
        return;
    call->cancelled = true;
    bvi_task_post(&call->act);
}

void bvi_http_drop(bvi_http_call *call)
{
    if (!call || call->over)
        return;
    call->over = true;
    bvi_timer_clear(call->deadline);
    bvi_timer_clear(call->idle);
    bvi_timer_clear(call->slow);
    if (call->http->in_curl)
        bvi_task_post(&call->act);
    else
        release(call);
}

void bvi_http_resume(bvi_http_call *call)
{
    if (call->over)
        return;
    call->want_resume = true;
    bvi_task_post(&call->act);
}

/* ---- the client ---- */

static CURLMcode set_up_multi(bvi_http *http, const bvi_http_opts *opts)
{
    long per_host = opts && opts->connections_per_host ? (long)opts->connections_per_host
                                                       : (long)BVI_HTTP_CONNECTIONS;
    CURLMcode r = http->curl.multi_setopt(http->multi, CURLMOPT_SOCKETFUNCTION, curl_wants_fd);

    if (r == CURLM_OK)
        r = http->curl.multi_setopt(http->multi, CURLMOPT_SOCKETDATA, http);
    if (r == CURLM_OK)
        r = http->curl.multi_setopt(http->multi, CURLMOPT_TIMERFUNCTION, curl_wants_timer);
    if (r == CURLM_OK)
        r = http->curl.multi_setopt(http->multi, CURLMOPT_TIMERDATA, http);
    if (r == CURLM_OK)
        r = http->curl.multi_setopt(http->multi, CURLMOPT_MAX_HOST_CONNECTIONS, per_host);
    return r;
}

void bvi_http_set_connections(bvi_http *http, uint32_t per_host)
{
    (void)http->curl.multi_setopt(http->multi, CURLMOPT_MAX_HOST_CONNECTIONS,
                                  per_host ? (long)per_host
                                           : (long)BVI_HTTP_CONNECTIONS); /* a known option */
}

static char *own_user_agent(void)
{
    return bvi_asprintf("libblockvisor/%d.%d.%d", BV_VERSION_NUMBER / 1000000,
                        BV_VERSION_NUMBER / 1000 % 1000, BV_VERSION_NUMBER % 1000);
}

int bvi_http_new(bv_ctx *ctx, const bvi_http_opts *opts, bvi_http **ret_http, bv_error **err)
{
    bvi_http *http = bvi_new0(bvi_http);
    int r;

    if (!http)
        return bvi_fail_nomem(err);
    r = bvi_curl_load(&http->curl, err);
    if (r < 0) {
        bvi_free(http);
        return r;
    }
    if (http->curl.global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        bvi_free(http);
        return bvi_fail(err, BV_E_UNSUPPORTED, "the HTTP library cannot be initialised");
    }
    http->ctx = ctx;
    http->user_agent = opts && opts->user_agent ? bvi_strdup(opts->user_agent) : own_user_agent();
    http->ca_file = opts ? bvi_strdup(opts->ca_file) : NULL;
    http->budgeted = opts && opts->budgeted;
    http->multi = http->curl.multi_init();
    if (!http->user_agent || (opts && opts->ca_file && !http->ca_file) || !http->multi ||
        set_up_multi(http, opts) != CURLM_OK) {
        destroy(http);
        return bvi_fail_nomem(err);
    }
    r = bvi_timer_new(ctx, on_timer, http, &http->timer, err);
    if (r < 0) {
        destroy(http);
        return r;
    }
    *ret_http = http;
    return 0;
}

void bvi_http_free(bvi_http *http)
{
    if (!http || http->dying)
        return;
    http->dying = true;
    enter(http);
    for (bvi_http_call *call = http->calls; call; call = call->next) {
        call->cancelled = true;
        report(call, CURLE_OK); /* releases nothing: the list stays as it is */
    }
    leave(http);
}

/*
 * The beginning of a failure's text, as far as it may be shown. Stores answer with XML that repeats
 * tokens of the request, so of XML only the name of the error is quoted.
 */
static void quote_body(const bvi_http_response *response, char quote[QUOTE_MAX + 1])
{
    static const char code[] = "<Code>";
    const char *body = response->body;
    size_t left = response->body_len, len = 0;
    bool xml = left > 0 && *body == '<';

    if (xml) {
        const char *found = memmem(body, left, code, sizeof(code) - 1);

        left = found ? left - (size_t)(found - body) - (sizeof(code) - 1) : 0;
        body = found ? found + sizeof(code) - 1 : body;
    }
    for (; len < left && len < QUOTE_MAX && !(xml && body[len] == '<'); len++)
        quote[len] = body[len] >= ' ' && body[len] < 127 ? body[len] : ' ';
    quote[len] = '\0';
}

int bvi_http_check(const bvi_http_response *response, bv_error **err)
{
    static const struct {
        int status;
        int code;
    } codes[] = {
        { 401, BV_E_DENIED },    { 403, BV_E_DENIED }, { 404, BV_E_NOT_FOUND },
        { 410, BV_E_NOT_FOUND }, { 408, BV_E_AGAIN },  { 425, BV_E_AGAIN },
        { 429, BV_E_AGAIN },     { 503, BV_E_AGAIN },  { 409, BV_E_EXISTS },
        { 412, BV_E_EXISTS },
    };
    int code = response->status >= 400 && response->status < 500 ? BV_E_INVALID : BV_E_REMOTE;
    char quote[QUOTE_MAX + 1];

    if (response->status >= 200 && response->status < 300)
        return 0;
    for (size_t i = 0; i < BVI_COUNT(codes); i++) {
        if (codes[i].status == response->status)
            code = codes[i].code;
    }
    quote_body(response, quote);
    return bvi_fail(err, code, "'%s' answered with status %d%s%s%s", response->url,
                    response->status, *quote ? ": '" : "", quote, *quote ? "'" : "");
}
