/* Planning the built-in init and upload: which actions, in which order, with which needs. */
#include "bvt.h"
#include "plugin/config.h"
#include "plugin/sequence.h"

static const char *const kinds[] = {
    [BVI_ACTION_STOP_ALL] = "stop-all",    [BVI_ACTION_STOP_JOB] = "stop",
    [BVI_ACTION_CREATE_JOB] = "create",    [BVI_ACTION_START_JOB] = "start",
    [BVI_ACTION_RENDER] = "render",        [BVI_ACTION_COMMAND] = "run",
    [BVI_ACTION_ADD_TASK] = "task",        [BVI_ACTION_ASK_STAMP] = "stamp?",
    [BVI_ACTION_ASK_ARCHIVE] = "archive?",
};

static bvi_json *config_of(const char *text)
{
    bvi_auto_json bvi_json *json = NULL;
    bvi_json *config = NULL;
    bv_error *err = NULL;

    bvt_assert_ok(bvi_json_parse(text, strlen(text), &json, &err), err);
    bvt_assert_ok(bvi_plugin_config_convert(json, &config, NULL, &err), err);
    return config;
}

static void print_names(bvi_buf *out, const char *what, const bvi_json *list)
{
    if (bvi_json_type_of(list) == BVI_JSON_NULL)
        return;
    ck_assert_int_eq(bvi_buf_printf(out, " %s(", what), 0);
    bvi_json_each(name, list)
        ck_assert_int_eq(bvi_buf_printf(out, "%s%s", name == bvi_json_first(list) ? "" : ",",
                                        bvi_json_string(name)),
                         0);
    ck_assert_int_eq(bvi_buf_append_char(out, ')'), 0);
}

/* "create chain:run_sh needs(download) wait(); " */
static void print_action(bvi_buf *out, const bvi_action *a)
{
    const bvi_json *type = bvi_json_find(a->doc, "job_type");

    ck_assert_int_eq(
        bvi_buf_printf(out, "%s%s%s", kinds[a->kind], a->name ? " " : "", a->name ? a->name : ""),
        0);
    if (type) {
        ck_assert_int_eq(bvi_buf_printf(out, ":%s", bvi_json_key(bvi_json_first(type))), 0);
        print_names(out, "needs", bvi_json_find(a->doc, "needs"));
        print_names(out, "wait", bvi_json_find(a->doc, "wait_for"));
    }
    ck_assert_int_eq(bvi_buf_append_str(out, "; "), 0);
}

static void plan_and_print(bvi_sequence *seq, bvi_buf *out)
{
    bv_error *err = NULL;

    while (seq->plan) {
        bvi_plan_fn plan = seq->plan;

        seq->plan = NULL;
        bvt_assert_ok(plan(seq, &err), err);
        for (; seq->at < seq->actions.len; seq->at++)
            print_action(out, &seq->actions.items[seq->at]);
    }
}

#define S                                                                                          \
    "\"services\":[{\"name\":\"chain\",\"run_sh\":\"x\"},{\"name\":\"web\",\"run_sh\":\"x\","      \
    "\"use_protocol_data\":false}]"
#define JOB(n) "{\"name\":\"" n "\",\"run_sh\":\"x\"}"
#define INIT   "\"init\":{\"commands\":[\"mkdir a\",\"mkdir b\"],\"jobs\":[" JOB("prep") "]}"
#define POST                                                                                       \
    "\"post_download\":[" JOB(                                                                     \
        "unpack") ",{\"name\":\"check\",\"run_sh\":\"x\",\"needs\":[\"unpack\"]}]"

static const struct {
    const char *config;
    bvi_plan_fn plan;
    bool has_data;
    bool has_archive;
    const char *actions;
} cases[] = {
    { "{" S "}", bvi_plan_init, true, true,
      "stop-all; stamp?; create chain:run_sh needs() wait(); start chain; create web:run_sh; start "
      "web; " },
    { "{" S "}", bvi_plan_init, false, true,
      "stop-all; stamp?; archive?; create download:download needs(); start download; "
      "create chain:run_sh needs(download) wait(); start chain; create web:run_sh; start web; " },
    { "{" S "," INIT "," POST "}", bvi_plan_init, false, true,
      "stop-all; run mkdir a; run mkdir b; create prep:run_sh needs(); start prep; stamp?; "
      "archive?; "
      "create download:download needs(prep); start download; create unpack:run_sh needs(download); "
      "start unpack; "
      "create check:run_sh needs(unpack,download); start check; "
      "create chain:run_sh needs(unpack,check) wait(); start chain; create web:run_sh; start "
      "web; " },
    { "{" S "," INIT "," POST "}", bvi_plan_init, true, true,
      "stop-all; run mkdir a; run mkdir b; create prep:run_sh needs(); start prep; stamp?; "
      "create chain:run_sh needs(prep) wait(); start chain; create web:run_sh; start web; " },
    { "{" S "," POST
      ",\"alternative_download\":{\"run_sh\":\"w\"},\"cold_init\":{\"run_sh\":\"c\"}}",
      bvi_plan_init, false, false,
      "stop-all; stamp?; archive?; create download:run_sh needs(); start download; "
      "create unpack:run_sh needs(download); start unpack; create check:run_sh "
      "needs(unpack,download); start check; "
      "create chain:run_sh needs(unpack,check) wait(); start chain; create web:run_sh; start "
      "web; " },
    { "{" S "," POST ",\"cold_init\":{\"run_sh\":\"c\"}}", bvi_plan_init, false, false,
      "stop-all; stamp?; archive?; create download:run_sh needs(); start download; "
      "create chain:run_sh needs(download) wait(); start chain; create web:run_sh; start web; " },
    { "{" S "}", bvi_plan_init, false, false,
      "stop-all; stamp?; archive?; create chain:run_sh needs() wait(); start chain; create "
      "web:run_sh; start web; " },
    { "{\"services\":[],\"config_files\":[{\"template\":\"t\",\"destination\":\"d\",\"params\":{}}]"
      ","
      "\"aux_services\":[" JOB(
          "aux") "],"
                 "\"scheduled\":[{\"name\":\"n\",\"schedule\":\"@daily\",\"function\":\"f\"}]}",
      bvi_plan_init, true, false,
      "stop-all; render d; create aux:run_sh; start aux; stamp?; task n; " },
    { "{" S "}", bvi_plan_upload, false, false,
      "stop chain; create upload:upload needs(); start upload; "
      "create chain:run_sh needs() wait(upload); start chain; " },
    { "{" S ",\"pre_upload\":{\"commands\":[\"sync\"],\"jobs\":[" JOB(
          "pack") "]},\"post_upload\":[" JOB("tidy") "]}",
      bvi_plan_upload, false, false,
      "stop chain; run sync; create pack:run_sh needs(); start pack; create upload:upload "
      "needs(pack); start upload; "
      "create tidy:run_sh needs(upload); start tidy; create chain:run_sh needs() wait(tidy); start "
      "chain; " },
};

START_TEST(plans)
{
    BVI_AUTO(bvi_buf_done) bvi_buf out = BVI_BUF_INIT(100000);
    BVI_AUTO(bvi_sequence_freep) bvi_sequence *seq = NULL;
    bvi_auto_json bvi_json *config = config_of(cases[_i].config);
    bv_error *err = NULL;

    bvt_assert_ok(bvi_sequence_new(config, cases[_i].plan, &seq, &err), err);
    seq->has_data = cases[_i].has_data;
    seq->has_archive = cases[_i].has_archive;
    plan_and_print(seq, &out);
    ck_assert_str_eq(bvi_buf_str(&out), cases[_i].actions);
}
END_TEST

/* After a failure the services that were stopped come back, behind the upload when that is on its
 * way. */
static const struct {
    size_t begun;
    const char *actions;
} repairs[] = {
    { 0, "" },
    { 1, "create chain:run_sh needs() wait(); start chain; " },
    { 2, "create chain:run_sh needs() wait(); start chain; " },
    { 3, "create chain:run_sh needs() wait(upload); start chain; " },
};

START_TEST(repairs_an_upload)
{
    BVI_AUTO(bvi_buf_done) bvi_buf out = BVI_BUF_INIT(100000);
    BVI_AUTO(bvi_sequence_freep) bvi_sequence *seq = NULL;
    bvi_auto_json bvi_json *config = config_of("{" S "}");
    bv_error *err = NULL;
    size_t planned;

    bvt_assert_ok(bvi_sequence_new(config, NULL, &seq, &err), err);
    bvt_assert_ok(bvi_plan_upload(seq, &err), err);
    planned = seq->actions.len;
    seq->at = repairs[_i].begun;
    bvt_assert_ok(seq->repair(seq, &err), err);
    for (size_t i = planned; i < seq->actions.len; i++)
        print_action(&out, &seq->actions.items[i]);
    ck_assert_str_eq(bvi_buf_str(&out), repairs[_i].actions);
}
END_TEST

START_TEST(needs_a_configuration)
{
    bvi_sequence *seq = NULL;
    bv_error *err = NULL;

    ck_assert_int_eq(bvi_sequence_new(NULL, bvi_plan_init, &seq, &err), BV_E_STATE);
    bvt_assert_error_says(err, BV_E_STATE, "Missing plugin_config function");
    bv_error_free(err);
}
END_TEST

START_TEST(survives_every_failed_allocation)
{
    bvi_auto_json bvi_json *config = config_of(cases[_i].config);

    bvt_for_each_failed_allocation(n) {
        BVI_AUTO(bvi_sequence_freep) bvi_sequence *seq = NULL;
        int r = bvi_sequence_new(config, cases[_i].plan, &seq, NULL);

        while (r == 0 && seq->plan) {
            bvi_plan_fn plan = seq->plan;

            seq->plan = NULL;
            r = plan(seq, NULL);
        }
        ck_assert(r == 0 || r == BV_E_NOMEM);
    }
}
END_TEST

BVT_MAIN("plugin/sequence", bvt_loop(plans, cases), bvt_loop(repairs_an_upload, repairs),
         bvt_test(needs_a_configuration), bvt_loop(survives_every_failed_allocation, cases))
