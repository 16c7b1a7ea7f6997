/* Job status and progress files: what loads, what is refused, how they read, and what survives
 * writing. */
#include "bvt.h"
#include "job/job_status.h"

static const struct {
    const char *text;
    int code;
    const char *says; /* the text for people, or the refusal */
} cases[] = {
    { "\"stopped\"", 0, "Stopped" },
    { "\"running\"", 0, "Running" },
    { "{\"pending\":{\"waiting_for\":[\"a\",\"b\"]}}", 0, "Pending (waiting for: [\"a\", \"b\"])" },
    { "{\"pending\":null}", 0, "Pending (waiting for: [])" },
    { "{\"finished\":{\"exit_code\":0,\"message\":\"\"}}", 0, "Finished with exit code 0" },
    { "{\"finished\":{\"exit_code\":1,\"message\":\"oh\"}}", 0,
      "Finished with exit code 1 and message `oh`" },
    { "{\"finished\":{\"exit_code\":null,\"message\":\"\"}}", 0, "Finished" },
    { "{\"finished\":{\"exit_code\":null,\"message\":\"oh\"},\"time\":1,\"x\":2}", 0,
      "Finished with message `oh`" },
    { "{\"stopped\":null,\"time\":5}", 0, "Stopped" },
    { "\"pending\"", BV_E_FORMAT, "not a job status" },
    { "\"asleep\"", BV_E_FORMAT, "not a job status" },
    { "{}", BV_E_FORMAT, "not a job status" },
    { "7", BV_E_FORMAT, "not a job status" },
    { "{\"finished\":7}", BV_E_FORMAT, "'finished' is a number" },
    { "{\"finished\":{\"exit_code\":\"x\"}}", BV_E_FORMAT, "'exit_code'" },
    { "{\"finished\":{\"exit_code\":4294967296}}", BV_E_FORMAT, "'exit_code'" },
    { "{\"finished\":{\"exit_code\":1,\"message\":7}}", BV_E_FORMAT, "'message'" },
    { "{\"pending\":{\"waiting_for\":[1]}}", BV_E_FORMAT, "'waiting_for'" },
    { "{\"pending\"", BV_E_FORMAT, "" },
};

START_TEST(loads_or_explains)
{
    const char *path = bvt_write_file("status.json", cases[_i].text);
    bvi_job_status status = BVI_JOB_STATUS_INIT;
    bv_error *err = NULL;

    ck_assert_int_eq(bvi_job_status_load(path, &status, &err), cases[_i].code);
    bvt_assert_error_says(err, cases[_i].code, cases[_i].says);
    if (cases[_i].code == 0) {
        char *text = bvi_job_status_text(&status);

        ck_assert_str_eq(text, cases[_i].says);
        ck_assert_int_gt(status.time_ms, 0); /* of the file when it has none */
        bvi_free(text);
    }
    bvi_job_status_done(&status);
    bv_error_free(err);
}
END_TEST

START_TEST(missing_is_not_found)
{
    bvi_job_status status = BVI_JOB_STATUS_INIT;

    ck_assert_int_eq(bvi_job_status_load(bvt_path("none"), &status, NULL), BV_E_NOT_FOUND);
}
END_TEST

START_TEST(unknown_fields_survive)
{
    const char *path =
        bvt_write_file("status.json", "{\"pending\":{\"waiting_for\":[]},\"by\":\"upstream\"}");
    bvi_job_status status = {
        .state = BVI_JOB_FINISHED, .has_exit_code = true, .exit_code = -1, .time_ms = 77
    };
    bvi_job_status again = BVI_JOB_STATUS_INIT;
    bv_error *err = NULL;

    bvt_assert_ok(bvi_job_status_save(path, &status, &err), err);
    ck_assert(strstr(bvt_read_file(path, NULL), "\"upstream\"") != NULL);
    ck_assert(strstr(bvt_read_file(path, NULL), "pending") == NULL);
    bvt_assert_ok(bvi_job_status_load(path, &again, &err), err);
    ck_assert_int_eq(again.exit_code, -1);
    ck_assert_int_eq(again.time_ms, 77);
    ck_assert(!bvi_job_status_succeeded(&again));
    bvi_job_status_done(&again);
    status.state = BVI_JOB_STOPPED;
    bvt_assert_ok(bvi_job_status_save(path, &status, &err), err);
    bvt_assert_ok(bvi_job_status_load(path, &again, &err), err);
    ck_assert_int_eq(again.state, BVI_JOB_STOPPED);
    bvi_job_status_done(&again);
}
END_TEST

static const struct {
    const char *text;
    const char *says; /* NULL: refused */
} progresses[] = {
    { "{\"total\":3,\"current\":1,\"message\":\"chunks\"}", "33.33% (1/3 chunks)" },
    { "{\"total\":0,\"current\":0,\"message\":\"chunks\"}", "0.00% (0/0 chunks)" },
    { "{\"total\":4294967295,\"current\":4294967295,\"message\":\"\"}",
      "100.00% (4294967295/4294967295)" },
    { "{\"total\":4294967296,\"current\":1}", NULL },
    { "{\"total\":1}", NULL },
    { "[]", NULL },
    { "", NULL },
};

START_TEST(progress_reads)
{
    const char *path = bvt_write_file("progress.json", progresses[_i].text);
    bvi_job_progress progress = { 0 };
    int r = bvi_job_progress_load(path, &progress, NULL);

    ck_assert_int_eq(r == 0, progresses[_i].says != NULL);
    if (r == 0) {
        char *text = bvi_job_progress_text(&progress);

        ck_assert_str_eq(text, progresses[_i].says);
        bvi_free(text);
    }
    bvi_job_progress_done(&progress);
}
END_TEST

START_TEST(survives_every_failed_allocation)
{
    const char *path = bvt_write_file("status.json", cases[2].text);

    bvt_for_each_failed_allocation(n) {
        bvi_job_status status = BVI_JOB_STATUS_INIT;
        int r = bvi_job_status_load(path, &status, NULL);

        if (r == 0)
            r = bvi_job_status_save(path, &status, NULL);
        ck_assert(r == 0 || r == BV_E_NOMEM || r == BV_E_LIMIT);
        bvi_job_status_done(&status);
    }
}
END_TEST

BVT_MAIN("job/status", bvt_loop(loads_or_explains, cases), bvt_test(missing_is_not_found),
         bvt_test(unknown_fields_survive), bvt_loop(progress_reads, progresses),
         bvt_test(survives_every_failed_allocation))
