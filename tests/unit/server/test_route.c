/* HTTP requests to calls: which call, which arguments, and what is refused. */
#include <stdio.h>

#include "bvt.h"
#include "server/exchange.h"

static const struct {
    const char *method, *path, *query, *body;
    const char *call, *args;
} good[] = {
    { "GET", "/v1/host", NULL, "", "host.info", "{}" },
    { "GET", "/v1/host", "", "", "host.info", "{}" },
    { "GET", "/v1/host", "&&", "", "host.info", "{}" },
    { "GET", "/v1/events", "after=7&wait_ms=100", "", "host.events",
      "{\"after\":7,\"wait_ms\":100}" },
    { "GET", "/v1/nodes", NULL, "", "node.list", "{}" },
    { "POST", "/v1/nodes", NULL, "{\"image\":\"a\",\"cpus\":1.5}", "node.create",
      "{\"image\":\"a\",\"cpus\":1.5}" },
    { "GET", "/v1/nodes/a%2Fb%20c+d", NULL, "", "node.show", "{\"node\":\"a/b c+d\"}" },
    { "DELETE", "/v1/nodes/n", NULL, "", "node.delete", "{\"node\":\"n\"}" },
    { "POST", "/v1/nodes/n/stop", NULL, "{\"force\":true}", "node.stop",
      "{\"node\":\"n\",\"force\":true}" },
    { "POST", "/v1/nodes/n/start", NULL, "", "node.start", "{\"node\":\"n\"}" },
    { "GET", "/v1/nodes/n/jobs/j/logs", "cursor=1%3A22&lines=5", "", "job.logs",
      "{\"node\":\"n\",\"job\":\"j\",\"cursor\":\"1:22\",\"lines\":5}" },
    { "DELETE", "/v1/images/p%2Fv%3A1", NULL, "", "image.remove", "{\"image\":\"p/v:1\"}" },
    { "GET", "/v1/snapshots", "key=a+b", "", "snapshot.list", "{\"key\":\"a b\"}" },
    { "POST", "/v1/snapshots/k/verify", NULL, "{\"version\":3}", "snapshot.verify",
      "{\"key\":\"k\",\"version\":3}" },
};

START_TEST(routes)
{
    const bvi_call *call = NULL;
    bvi_json *args = NULL;
    bv_error *err = NULL;
    char *text = NULL;

    bvt_assert_ok(bvi_route(good[_i].method, good[_i].path, good[_i].query, good[_i].body,
                            strlen(good[_i].body), &call, &args, &err),
                  err);
    ck_assert_str_eq(call->name, good[_i].call);
    bvt_assert_ok(bvi_json_print(args, false, &text, &err), err);
    ck_assert_str_eq(text, good[_i].args);
    bvi_free(text);
    bvi_json_free(args);
}
END_TEST

static const struct {
    const char *method, *path, *query, *body;
    int code;
    const char *says;
} bad[] = {
    { "GET", "/", NULL, "", BV_E_NOT_FOUND, "openapi" },
    { "GET", "", NULL, "", BV_E_NOT_FOUND, "nothing at" },
    { "GET", "/v2/nodes", NULL, "", BV_E_NOT_FOUND, "/v2/nodes" },
    { "GET", "/v1/nodes/", NULL, "", BV_E_NOT_FOUND, "nothing at" },
    { "GET", "/v1/nodes/a/b/c/d/e", NULL, "", BV_E_NOT_FOUND, "nothing at" },
    { "PUT", "/v1/nodes", NULL, "", BV_E_UNSUPPORTED, "does not take PUT" },
    { "get", "/v1/nodes", NULL, "", BV_E_UNSUPPORTED, "does not take get" },
    { "GET", "/v1/nodes/a%zz", NULL, "", BV_E_INVALID, "percent-encoded" },
    { "GET", "/v1/nodes/a%4", NULL, "", BV_E_INVALID, "percent-encoded" },
    { "GET", "/v1/nodes/a%00b", NULL, "", BV_E_INVALID, "percent-encoded" },
    { "GET", "/v1/nodes", "colour=red", "", BV_E_INVALID, "'colour'" },
    { "GET", "/v1/nodes/n", "node=m", "", BV_E_INVALID, "'node'" },
    { "GET", "/v1/events", "after", "", BV_E_INVALID, "'after'" },
    { "GET", "/v1/events", "after=-1", "", BV_E_INVALID, "whole number" },
    { "GET", "/v1/events", "after=99999999999999999999", "", BV_E_INVALID, "whole number" },
    { "POST", "/v1/nodes/n/start", "force=true", "", BV_E_INVALID, "body" },
    { "POST", "/v1/nodes", NULL, "", BV_E_INVALID, "'image' is missing" },
    { "POST", "/v1/nodes", NULL, "{", BV_E_INVALID, "request body" },
    { "POST", "/v1/nodes", NULL, "[]", BV_E_INVALID, "must be an object" },
    { "POST", "/v1/nodes", NULL, "{\"image\":1}", BV_E_INVALID, "a string" },
    { "POST", "/v1/nodes", NULL, "{\"image\":\"a\",\"colour\":1}", BV_E_INVALID,
      "no argument 'colour'" },
    { "POST", "/v1/nodes/n/stop", NULL, "{\"node\":\"m\"}", BV_E_INVALID, "in the path already" },
    { "POST", "/v1/nodes/n/stop", NULL, "{\"force\":1}", BV_E_INVALID, "true or false" },
};

START_TEST(refuses)
{
    const bvi_call *call = NULL;
    bvi_json *args = NULL;
    bv_error *err = NULL;
    int r = bvi_route(bad[_i].method, bad[_i].path, bad[_i].query, bad[_i].body,
                      strlen(bad[_i].body), &call, &args, &err);

    ck_assert_int_eq(r, bad[_i].code);
    bvt_assert_error_says(err, bad[_i].code, bad[_i].says);
    ck_assert_ptr_null(call);
    ck_assert_ptr_null(args);
    bv_error_free(err);
}
END_TEST

/* A body of a great many keys is refused at the first one that is unknown. */
START_TEST(many_keys)
{
    BVI_AUTO(bvi_buf_done) bvi_buf body = BVI_BUF_INIT(BVI_SERVER_BODY_MAX);
    const bvi_call *call = NULL;
    bvi_json *args = NULL;
    bv_error *err = NULL;

    ck_assert_int_eq(bvi_buf_append_char(&body, '{'), 0);
    for (int i = 0; i < 50000; i++)
        ck_assert_int_eq(bvi_buf_printf(&body, "\"k%d\":1,", i), 0);
    ck_assert_int_eq(bvi_buf_append_str(&body, "\"image\":\"a\"}"), 0);
    ck_assert_int_eq(
        bvi_route("POST", "/v1/nodes", NULL, bvi_buf_str(&body), body.len, &call, &args, &err),
        BV_E_INVALID);
    bvt_assert_error_says(err, BV_E_INVALID, "'k0'");
    bv_error_free(err);
}
END_TEST

START_TEST(survives_every_failed_allocation)
{
    bvt_for_each_failed_allocation(n) {
        const bvi_call *call = NULL;
        bvi_json *args = NULL;
        int r =
            bvi_route("POST", "/v1/nodes/n/stop", NULL, "{\"force\":true}", 14, &call, &args, NULL);

        ck_assert(r == 0 || r == BV_E_NOMEM || r == BV_E_INVALID);
        bvi_json_free(args);
    }
}
END_TEST

/* ---- error documents ---- */

START_TEST(errors_become_documents)
{
    bv_error *err = NULL;
    bvi_json *json;
    char *text = NULL;

    (void)bvi_fail(&err, BV_E_NOT_FOUND, "there is no 'x'");
    (void)bvi_wrap(&err, BV_E_STATE, "cannot do it");
    json = bvi_error_json(err);
    ck_assert_int_eq(bvi_json_print(json, false, &text, NULL), 0);
    ck_assert_ptr_nonnull(strstr(text, "\"code\":\"wrong_state\""));
    ck_assert_ptr_nonnull(strstr(text, "\"message\":\"cannot do it: there is no 'x'\""));
    ck_assert_ptr_nonnull(strstr(text, "\"chain\":[\"cannot do it\",\"there is no 'x'\"]"));
    bvi_free(text);
    bvi_json_free(json);
    bv_error_free(err);
}
END_TEST

START_TEST(every_code_has_a_status)
{
    for (int code = BV_E_INVALID; code >= BV_E_LIMIT; code--) {
        int status = bvi_http_status_of(code);

        ck_assert(status >= 400 && status < 600);
    }
    ck_assert_int_eq(bvi_http_status_of(0), 200);
    ck_assert_int_eq(bvi_http_status_of(BV_E_NOT_FOUND), 404);
    ck_assert_int_eq(bvi_http_status_of(BV_E_NOMEM), 500);
}
END_TEST

BVT_MAIN("server/route", bvt_loop(routes, good), bvt_loop(refuses, bad), bvt_test(many_keys),
         bvt_test(survives_every_failed_allocation), bvt_test(errors_become_documents),
         bvt_test(every_code_has_a_status))
