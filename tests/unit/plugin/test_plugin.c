/* Plugins as a whole, on a node that is not there: loading, calling, waiting, limits, and ending in
 * the middle. */
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bvt.h"
#include "plugin/fake_env.h"
#include "plugin/plugin.h"

/* ---- a plugin in the test's directory ---- */

typedef struct fixture {
    bvt_clock clock;
    bv_ctx *ctx;
    bvi_fake_env *fake;
    bvi_plugin_env env;
    bvi_plugin_limits limits;
    bvi_plugin *plugin;
    const char *config_path;
    unsigned done;
    unsigned failed;
    char last[4096]; /* the last answer's text, or the error's story */
    int code;
    bvi_plugin_value value;
} fixture;

static void write_script(const char *name, const char *text)
{
    (void)mkdir(bvt_path("plugin"), 0755); /* may exist */
    (void)bvt_write_file(bvt_format("plugin/%s", name), text);
}

static void start(fixture *f)
{
    bv_ctx_opts opts = BV_CTX_OPTS_INIT;
    bv_error *err = NULL;

    memset(f, 0, sizeof(*f));
    f->limits = (bvi_plugin_limits)BVI_PLUGIN_LIMITS_INIT;
    bvt_clock_init(&f->clock);
    opts.clock = &f->clock.clock;
    bvt_assert_ok(bv_ctx_new(&opts, &f->ctx, &err), err);
    bvt_assert_ok(bvi_fake_env_new(&f->fake, &err), err);
    f->env = bvi_fake_env_functions(f->fake);
    f->config_path = bvt_path("plugin_config.json");
}

static int load(fixture *f, bv_error **err)
{
    bvi_plugin_opts opts = { .root = bvt_dir(),
                             .dir = "plugin",
                             .config_path = f->config_path,
                             .limits = &f->limits,
                             .env = &f->env };

    return bvi_plugin_load(f->ctx, &opts, &f->plugin, err);
}

static void start_with(fixture *f, const char *script)
{
    bv_error *err = NULL;

    start(f);
    write_script("main.rhai", script);
    bvt_assert_ok(load(f, &err), err);
}

static void stop(fixture *f)
{
    bvi_plugin_free(f->plugin);
    bv_ctx_free(f->ctx);
    bvi_fake_env_free(f->fake);
}

static void on_done(bv_op *op, const bvi_plugin_value *value, const bv_error *err, void *data)
{
    fixture *f = data;

    f->done++;
    f->code = bv_error_code(err);
    if (err) {
        f->failed++;
        (void)bv_error_format(err, f->last, sizeof(f->last)); /* cut when longer */
        return;
    }
    f->value = *value;
    f->value.text = f->value.state = NULL; /* borrowed */
    (void)snprintf(f->last, sizeof(f->last), "%s", value->text);
}

/* A few rounds: enough for everything that does not wait for a clock or a reply. */
static void dispatch(fixture *f, unsigned until_done)
{
    for (unsigned i = 0; i < 100000 && f->done < until_done; i++)
        ck_assert_int_ge(bv_ctx_dispatch(f->ctx, 0), 0);
}

static const char *call(fixture *f, const char *name, const char *param)
{
    bv_error *err = NULL;

    f->code = BV_OK;
    if (bvi_plugin_call(f->plugin, name, param, 0, on_done, f, NULL, &err) < 0) {
        f->code = bv_error_code(err);
        (void)bv_error_format(err, f->last, sizeof(f->last)); /* cut when longer */
        bv_error_free(err);
        return f->last;
    }
    dispatch(f, f->done + 1);
    return f->last;
}

static const char *query(fixture *f, const char *name)
{
    bv_error *err = NULL;

    bvt_assert_ok(bvi_plugin_query(f->plugin, name, 0, on_done, f, NULL, &err), err);
    dispatch(f, f->done + 1);
    return f->last;
}

static bool journal_has(const fixture *f, const char *text)
{
    return strstr(bvi_fake_env_journal(f->fake), text) != NULL;
}

#define SERVICES "services: [#{ name: \"chain\", run_sh: \"chaind\" }]"
#define CONFIG   "fn plugin_config() {#{ " SERVICES " }}\n"

/* ---- the skeleton of the specification ---- */

static const char skeleton[] =
    "import \"base\" as base;\n"
    "const RPC = \"http://127.0.0.1:8545/\";\n"
    "const VARIANTS = #{ \"variant\": #{ net: \"mainnet\" } };\n"
    "const VARIANT = VARIANTS[node_env().node_variant];\n"
    "const DIR = node_env().protocol_data_path + \"/chain\";\n"
    "fn plugin_config() {#{\n"
    "    config_files: base::config_files(),\n"
    "    aux_services: base::aux_services(),\n"
    "    init: #{ commands: [`mkdir -p ${global::DIR}`], jobs: [] },\n"
    "    services: [ #{ name: \"chain\", run_sh: `/usr/bin/chaind --net ${global::VARIANT.net} "
    "--dir ${global::DIR}`,\n"
    "                   shutdown_timeout_secs: 120 } ],\n"
    "}}\n"
    "fn height() { parse_hex(run_jrpc(#{host: global::RPC, method: "
    "\"eth_blockNumber\"}).expect(200).result) }\n"
    "fn protocol_status() {\n"
    "    if run_jrpc(#{host: global::RPC, method: \"eth_syncing\"}).expect(200).result == false {\n"
    "        #{state: \"broadcasting\", health: \"healthy\"}\n"
    "    } else { #{state: \"syncing\", health: \"neutral\"} }\n"
    "}\n";

static const char base_module[] =
    "fn config_files() { [#{ template: \"/t\", destination: \"/d\", params: #{ port: 1 } }] }\n"
    "fn aux_services() { [#{ name: \"caddy\", run_sh: \"caddy run\" }] }\n";

START_TEST(runs_the_skeleton)
{
    fixture f;
    bv_error *err = NULL;

    start(&f);
    write_script("main.rhai", skeleton);
    write_script("base.rhai", base_module);
    bvt_assert_ok(load(&f, &err), err);
    ck_assert(!bvi_plugin_config(f.plugin));
    ck_assert(!bvi_plugin_has(f.plugin, "init"));
    ck_assert(bvi_plugin_has(f.plugin, "height"));

    ck_assert_str_eq(call(&f, "init", NULL), "");
    ck_assert_str_eq(
        bvi_fake_env_journal(f.fake),
        "stop_all_jobs\n"
        "render_template /t /d {\"port\":1}\n"
        "create_job caddy {\"job_type\":{\"run_sh\":\"caddy run\"},\"restart\":{\"always\":"
        "{\"backoff_timeout_ms\":60000,\"backoff_base_ms\":1000,\"max_retries\":null}},\"needs\":"
        "null,"
        "\"wait_for\":null,\"shutdown_timeout_secs\":null,\"shutdown_signal\":null,\"run_as\":null,"
        "\"log_buffer_capacity_mb\":null,\"log_timestamp\":null,\"use_protocol_data\":null,"
        "\"one_time\":null}\n"
        "start_job caddy\n"
        "run_sh mkdir -p /blockjoy/protocol_data/chain\n"
        "protocol_data_stamp\n"
        "has_protocol_archive\n"
        "create_job chain {\"job_type\":{\"run_sh\":\"/usr/bin/chaind --net mainnet --dir "
        "/blockjoy/protocol_data/chain\"},\"restart\":{\"always\":{\"backoff_timeout_ms\":60000,"
        "\"backoff_base_ms\":1000,\"max_retries\":null}},\"needs\":[],\"wait_for\":[],"
        "\"shutdown_timeout_secs\":120,\"shutdown_signal\":null,\"run_as\":null,"
        "\"log_buffer_capacity_mb\":null,\"log_timestamp\":null,\"use_protocol_data\":true,"
        "\"one_time\":null}\n"
        "start_job chain\n");
    ck_assert(bvi_plugin_has(f.plugin, "init"));
    ck_assert(bvt_exists(f.config_path));

    ck_assert_int_eq(
        bvi_fake_env_answer(f.fake, "eth_blockNumber",
                            "{\"status_code\":200,\"body\":\"{\\\"result\\\":\\\"0x1b4\\\"}\"}"),
        0);
    ck_assert_str_eq(query(&f, "height"), "436");
    ck_assert_uint_eq(f.value.number, 436);
    ck_assert_int_eq(
        bvi_fake_env_answer(f.fake, "eth_syncing",
                            "{\"status_code\":200,\"body\":\"{\\\"result\\\":false}\"}"),
        0);
    ck_assert_str_eq(query(&f, "protocol_status"),
                     "{\"state\":\"broadcasting\",\"health\":\"healthy\"}");
    ck_assert_int_eq(f.value.health, BVI_HEALTH_HEALTHY);
    ck_assert_int_eq(bvi_fake_env_answer(f.fake, "eth_syncing",
                                         "{\"status_code\":200,\"body\":\"{\\\"result\\\":{}}\"}"),
                     0);
    ck_assert_str_eq(query(&f, "protocol_status"),
                     "{\"state\":\"syncing\",\"health\":\"neutral\"}");
    stop(&f);
}
END_TEST

START_TEST(reads_its_configuration_back)
{
    fixture f;
    bv_error *err = NULL;

    start_with(&f, CONFIG);
    (void)call(&f, "init", NULL);
    ck_assert_int_eq(f.code, 0);
    ck_assert(bvt_exists(f.config_path));
    bvi_plugin_free(f.plugin);
    f.plugin = NULL;
    bvt_assert_ok(load(&f, &err), err);
    ck_assert(bvi_plugin_config(f.plugin) != NULL);
    ck_assert(bvi_plugin_has(f.plugin, "upload"));
    bvi_plugin_free(f.plugin);

    f.plugin = NULL; /* a damaged one means none */
    (void)bvt_write_file("plugin_config.json", "{\"services\":7}");
    bvt_assert_ok(load(&f, &err), err);
    ck_assert(!bvi_plugin_config(f.plugin));
    ck_assert(journal_has(&f, "log warn"));
    stop(&f);
}
END_TEST

/* ---- what scripts can call ---- */

/* A custom function f(), what the node answers, and what comes of it. */
static const struct {
    const char *script;
    const char *part; /* NULL: no rule */
    const char *answer;
    const char *result;
    const char *journal; /* NULL: whatever */
    bool fails;          /* with result somewhere in the error */
} functions[] = {
    { "fn f() { run_sh(\"ls\").unwrap() }", "run_sh",
      "{\"exit_code\":0,\"stdout\":\"a b\",\"stderr\":\"\"}", "a b", "run_sh ls\n" },
    { "fn f() { try { run_sh(\"ls\", 3).unwrap() } catch (e) { return e; } }", "run_sh",
      "{\"exit_code\":7,\"stdout\":\"\",\"stderr\":\"no\"}", "unexpected exit_code: 7", NULL },
    { "fn f() { let r = run_sh(\"ls\"); `${r.exit_code} ${r.stdout} ${r.stderr}` }", "run_sh",
      "{\"exit_code\":7,\"stdout\":\"out\",\"stderr\":\"no\"}", "7 out no", NULL },
    { "fn f() { try { run_sh(\"ls\", -1) } catch (e) { return e; } }", NULL, NULL,
      "out of range integral type conversion attempted: timeout of -1 seconds", "" },
    { "fn f() { run_rest(#{url: \"http://x/\"}).expect(200).a.to_string() }", "run_rest",
      "{\"status_code\":200,\"body\":\"{\\\"a\\\":5}\"}", "5",
      "run_rest {\"url\":\"http://x/\",\"headers\":[]}\n" },
    { "fn f() { try { run_rest(#{url: \"u\"}).expect(200) } catch (e) { return e; } }", "run_rest",
      "{\"status_code\":404,\"body\":\"\"}", "unexpected status_code: 404", NULL },
    { "fn f() { let ok = 404; run_rest(#{url: \"u\"}).expect(|code| code == ok).a }", "run_rest",
      "{\"status_code\":404,\"body\":\"{\\\"a\\\":\\\"x\\\"}\"}", "x", NULL },
    { "fn good(c) { c < 300 } fn f() { run_rest(#{url: \"u\"}).expect(good).a }", "run_rest",
      "{\"status_code\":201,\"body\":\"{\\\"a\\\":\\\"x\\\"}\"}", "x", NULL },
    { "fn f() { let r = run_rest(#{url: \"u\"}); `${r.status_code} ${r.body}` }", "run_rest",
      "{\"status_code\":500,\"body\":\"oops\"}", "500 oops", NULL },
    { "fn f() { try { run_rest(#{url: \"u\"}).expect(200) } catch { return \"bad\"; } }",
      "run_rest", "{\"status_code\":200,\"body\":\"[1]\"}", "bad", NULL },
    { "fn f() { run_rest(#{url: \"u\", headers: #{A: \"1\"}}); \"\" }", NULL, NULL, "",
      "run_rest {\"url\":\"u\",\"headers\":[[\"A\",\"1\"]]}\n" },
    { "fn f() { run_jrpc(#{host: \"h\", method: \"m\", params: [1, \"a\"], headers: [[\"A\", "
      "\"1\"], [\"a\", \"2\"]]}); \"\" }",
      NULL, NULL, "",
      "run_jrpc "
      "{\"host\":\"h\",\"method\":\"m\",\"params\":[1,\"a\"],\"headers\":[[\"a\",\"2\"]]}\n" },
    { "fn f() { run_jrpc(#{host: \"h\", method: \"m\", params: ()}, 5); \"\" }", NULL, NULL, "",
      "run_jrpc {\"host\":\"h\",\"method\":\"m\",\"headers\":[]}\n" },
    { "fn f() { try { run_jrpc(#{host: \"h\", method: \"m\", params: 7}) } catch (e) { return e; } "
      "}",
      NULL, NULL, "unsupported jrpc params type", "" },
    { "fn f() { try { run_rest(#{url: \"h\", headers: 7}) } catch (e) { return e; } }", NULL, NULL,
      "unsupported jrpc headers type", "" },
    { "fn f() { try { run_rest(#{url: \"h\", headers: [[\"a\"]]}) } catch (e) { return e; } }",
      NULL, NULL, "headers[0]: Syntax error: invalid length 1, expected a tuple of size 2", "" },
    { "fn f() { try { run_rest(#{}) } catch (e) { return e; } }", NULL, NULL,
      "Syntax error: missing field `url`", "" },
    { "fn f() { run_graphql(#{url: \"http://x?a=1\", query: \"{ a }\", variables: #{b: 1}, "
      "operation_name: \"o\"}); \"\" }",
      NULL, NULL, "",
      "run_rest "
      "{\"url\":\"http://x?a=1&query=%7B%20a%20%7D&variables=%7B%22b%22%3A1%7D&operationName=o\","
      "\"headers\":[[\"Content-Type\",\"application/json\"],[\"Accept\",\"application/"
      "json\"]]}\n" },
    { "fn f() { file_write(\"/a\", \"text\".to_blob()); file_read(\"/a\").as_string() }", NULL,
      NULL, "text", "file_write /a text\nfile_read /a\n" },
    { "fn f() { try { file_read(\"/b\") } catch (e) { return e; } }", NULL, NULL,
      "there is no such thing", NULL },
    { "fn f() { render_template(\"/t\", \"/d\", #{a: 'c', b: 1.5}); \"\" }", NULL, NULL, "",
      "render_template /t /d {\"a\":\"c\",\"b\":1.5}\n" },
    { "fn f() { put_secret(\"k\", \"v\".to_blob()); get_secret(\"k\").as_string() }", NULL, NULL,
      "v", "put_secret k\nget_secret k\n" },
    { "fn f() { try { get_secret(\"k\") } catch (e) { return if e == \"not_found\" { \"yes\" } "
      "else { e }; } }",
      NULL, NULL, "yes", NULL },
    { "fn f() { save_data(\"d\"); load_data() }", NULL, NULL, "d", "save_data d\nload_data\n" },
    { "fn f() { try { load_data() } catch (e) { return e; } }", NULL, NULL, "no data was saved",
      NULL },
    { "fn f() { node_env().node_name + node_params().len().to_string() + "
      "type_of(node_params()[\"none\"]) }",
      NULL, NULL, "node_name0()", "" },
    { "fn f() { let e = node_env(); e.node_name = 7; node_env().node_name }", NULL, NULL,
      "node_name", "" },
    { "fn f() { info(\"i\"); warn(\"w\"); error(\"e\"); print(1); debug(\"d\"); \"\" }", NULL, NULL,
      "", "log info i\nlog warn w\nlog error e\nlog info 1\nlog debug \"d\"\n" },
    { "fn f() { add_task(\"n\", \"@daily\", \"g\"); add_task(\"n\", \"0 0 * * * *\", \"g\", "
      "\"p\"); delete_task(\"n\"); \"\" }",
      NULL, NULL, "", "add_task n '@daily' g ''\nadd_task n '0 0 * * * *' g 'p'\ndelete_task n\n" },
    { "fn f() { try { add_task(\"n\", \"* * * * *\", \"g\") } catch (e) { return e; } }", NULL,
      NULL,
      "schedule '* * * * *': 5 fields; write 'sec min hour day-of-month month day-of-week [year]'",
      "" },
    { "fn f() { parse_hex(\"0xff\").to_string() + sanitize_sh_param(\"a b\") }", NULL, NULL,
      "255\"a b\"", "" },
    { "fn f() { try { parse_hex(\"x\") } catch (e) { return e; } }", NULL, NULL,
      "invalid digit found in string", "" },
    { "fn f() { `${system_time()} ${parse_rfc3339(\"1970-01-01T00:00:07Z\")} "
      "${parse_time(\"1970-01-01 00:00:08 Z\", \"%F %T %z\")} ${parse_rfc2822(\"1 Jan 1970 "
      "00:00:09 GMT\")}` }",
      NULL, NULL, "1704067200 7 8 9", "" },
    { "fn f() { parse_json(`{\"a\":[1,2.5,null]}`).a.len().to_string() }", NULL, NULL, "3", "" },
    { "fn f() { try { parse_json(`{\"a\":1+2}`) } catch (e) { return \"caught\"; } }", NULL, NULL,
      "caught", "" },
    { "fn f() { start_job(\" j \", #{job_type: #{run_sh: \"x\"}, restart: \"never\"}); "
      "job_status(\"j\") }",
      NULL, NULL, "running", NULL },
    { "fn f() { create_job(\"j\", #{job_type: #{run_sh: \"x\"}, restart: \"never\"}); "
      "stop_job(\"j\"); "
      "job_info(\"j\").status + get_jobs().keys()[0] }",
      NULL, NULL, "stoppedj", NULL },
    { "fn f() { try { start_job(\"j\") } catch (e) { return e; } }", NULL, NULL, "unknown job",
      NULL },
    { "fn f() { try { start_job(\"j\", #{job_type: #{run_sh: \"x\"}, restart: \"never\"}) } catch "
      "(e) { return e; } }",
      "start_job", NULL, "cannot start job 'j': refused", NULL },
    { "fn f() { try { create_job(\" \", #{}) } catch (e) { return e; } }", NULL, NULL,
      "empty job name is not allowed", "" },
    { "fn f() { try { create_job(\"j\", #{job_type: #{run_sh: \"x\"}}) } catch (e) { return e; } }",
      NULL, NULL, "Syntax error: missing field `restart`", "" },
    { "fn f() { try { create_job(\"j\", #{job_type: #{run_sh: 1}, restart: \"never\"}) } catch (e) "
      "{ return e; } }",
      NULL, NULL, "job_type.run_sh: Output type incorrect: i64 (expecting String)", "" },
    { "fn f() { job_status(\"j\") }", "job_info",
      "{\"status\":{\"finished\":{\"exit_code\":0,\"message\":\"\"}}}", "finished", NULL },
    { "fn f() { 7 }", NULL, NULL,
      "Rhai function 'f' returned error: Output type incorrect: i64 (expecting string)", "", true },
    { "fn f() { throw \"oops\"; }", NULL, NULL, "oops", NULL, true },
    { "fn f() { default_init(); }", NULL, NULL, "Missing plugin_config function", NULL, true },
    { "fn f() { file_read(\"/b\") }", NULL, NULL, "there is no such thing", NULL, true },
    { "fn g() { throw \"x\"; } fn f() { try { g() } catch (e) { return e; } }", NULL, NULL, "x",
      NULL },
};

START_TEST(serves_scripts)
{
    fixture f;
    const char *result;

    start_with(&f, functions[_i].script);
    if (functions[_i].answer)
        ck_assert_int_eq(bvi_fake_env_answer(f.fake, functions[_i].part, functions[_i].answer), 0);
    else if (functions[_i].part)
        ck_assert_int_eq(bvi_fake_env_fail(f.fake, functions[_i].part, BV_E_REMOTE, "refused"), 0);
    result = call(&f, "f", "");
    ck_assert_msg((f.code != 0) == functions[_i].fails, "%s: %s", functions[_i].script, result);
    if (f.code)
        ck_assert_msg(strstr(result, functions[_i].result) != NULL, "%s: %s", functions[_i].script,
                      result);
    else
        ck_assert_str_eq(result, functions[_i].result);
    if (functions[_i].journal)
        ck_assert_str_eq(bvi_fake_env_journal(f.fake), functions[_i].journal);
    stop(&f);
}
END_TEST

/* ---- the types the host wants ---- */

static const struct {
    const char *script;
    const char *name;
    const char *text; /* of the answer or the error */
    int code;
} typed[] = {
    { "fn height() { 7 }", "height", "7", 0 },
    { "fn height() { -7 }", "height", "out of range integral type conversion attempted",
      BV_E_FORMAT },
    { "fn height() { 7.0 }", "height", "Output type incorrect: f64 (expecting i64)", BV_E_FORMAT },
    { "fn height() { throw \"no\"; }", "height",
      "main.rhai:1:15: Rhai function 'height' returned error", BV_E_REMOTE },
    { "fn height() { let m = #{};\n  m.a.b }", "height",
      "main.rhai:2:7: Rhai function 'height' returned error", BV_E_REMOTE },
    /* No place in the language's text, and one in another text. */
    { "fn height() { let a = 0;\n 4 / a }", "height",
      "main.rhai:2:4: Rhai function 'height' returned error", BV_E_REMOTE },
    { "fn height() {\n tip() }\nfn tip() {\n\n  parse_json(\"\") }", "height",
      "main.rhai:5:3: Rhai function 'height' returned error", BV_E_REMOTE },
    { "fn name() { \"n\" }", "name", "n", 0 },
    { "fn name() { }", "name", "Output type incorrect: () (expecting string)", BV_E_FORMAT },
    { "fn consensus() { true }", "consensus", "true", 0 },
    { "fn consensus() { \"true\" }", "consensus", "expecting bool", BV_E_FORMAT },
    { "fn apr() { \"0.05\" }", "apr", "0.05", 0 },
    { "fn apr() { \"x\" }", "apr", "not a number", BV_E_FORMAT },
    { "fn jailed() { \"true\" }", "jailed", "true", 0 },
    { "fn jailed() { \"yes\" }", "jailed", "neither", BV_E_FORMAT },
    { "fn protocol_status() { #{state: \"s\", health: \"unhealthy\", more: 1} }", "protocol_status",
      "{\"state\":\"s\",\"health\":\"unhealthy\"}", 0 },
    { "fn protocol_status() { #{state: \"s\"} }", "protocol_status", "missing field `health`",
      BV_E_FORMAT },
    { "fn protocol_status() { #{state: \"s\", health: \"fine\"} }", "protocol_status",
      "unknown variant `fine`", BV_E_FORMAT },
    { "fn protocol_status() { 7 }", "protocol_status", "expecting Map", BV_E_FORMAT },
    { "", "protocol_status", "protocol_status", BV_E_NOT_FOUND },
};

START_TEST(checks_types)
{
    fixture f;

    start_with(&f, typed[_i].script);
    (void)query(&f, typed[_i].name);
    ck_assert_int_eq(f.code, typed[_i].code);
    ck_assert_msg(strstr(f.last, typed[_i].text) != NULL, "%s", f.last);
    stop(&f);
}
END_TEST

START_TEST(finds_custom_functions)
{
    fixture f;
    const bvi_strv *names;

    start_with(&f, "fn one(a) { \"one:\" + a } fn none() { \"none\" } fn both() { \"0\" } fn "
                   "both(a) { \"1\" + a }\n"
                   "fn two(a, b) { \"two\" } private fn hidden() { \"h\" } fn apr() { \"1\" }");
    ck_assert_str_eq(call(&f, "one", "x"), "one:x");
    ck_assert_str_eq(call(&f, "one", ""), "one:");
    ck_assert_str_eq(call(&f, "none", ""), "none");
    ck_assert_str_eq(call(&f, "none", "x"), "no matching method 'none' found");
    ck_assert_int_eq(f.code, BV_E_NOT_FOUND);
    ck_assert_str_eq(call(&f, "both", ""), "1");
    ck_assert_str_eq(call(&f, "two", ""), "no matching method 'two' found");
    ck_assert_str_eq(call(&f, "hidden", ""), "h");
    ck_assert_str_eq(call(&f, "apr", ""), "1");
    ck_assert_str_eq(call(&f, "height", ""), "no matching method 'height' found");
    names = bvi_plugin_capabilities(f.plugin);
    ck_assert_uint_eq(names->len, 4);
    ck_assert_str_eq(names->items[0], "apr");
    ck_assert_str_eq(names->items[3], "one");
    stop(&f);
}
END_TEST

static const struct {
    const char *body;
    const char *param;
    int code;
    const char *text;
} gates[] = {
    { "fn snapshot_gate() { }", NULL, 0, "true" },
    { "fn snapshot_gate() { true }", NULL, 0, "true" },
    { "fn snapshot_gate(what) { what == \"v\" }", "v", 0, "true" },
    { "fn snapshot_gate() { 1 > 2 }", NULL, 0, "false" },
    { "fn snapshot_gate() { \"fine\" }", NULL, 0, "fine" },
    { "fn snapshot_gate() { 7 }", NULL, BV_E_FORMAT, NULL },
    { "fn other() { }", NULL, BV_E_FORMAT, NULL }, /* only a gate may end without a word */
};

START_TEST(gates_say_yes_or_no)
{
    fixture f;

    start_with(&f, gates[_i].body);
    (void)call(&f, strstr(gates[_i].body, "other") ? "other" : "snapshot_gate", gates[_i].param);
    ck_assert_msg(f.code == gates[_i].code, "%s: %d", f.last, f.code);
    if (gates[_i].text)
        ck_assert_str_eq(f.last, gates[_i].text);
    stop(&f);
}
END_TEST

START_TEST(derives_status_from_jobs)
{
    fixture f;

    start_with(&f, CONFIG "fn protocol_status() { #{state: \"script\", health: \"healthy\"} }");
    (void)call(&f, "init", NULL);
    ck_assert_str_eq(query(&f, "protocol_status"), "{\"state\":\"script\",\"health\":\"healthy\"}");
    ck_assert_int_eq(bvi_fake_env_set_job(f.fake, "chain", "{\"pending\":{\"waiting_for\":[]}}"),
                     0);
    ck_assert_str_eq(query(&f, "protocol_status"),
                     "{\"state\":\"starting\",\"health\":\"neutral\"}");
    ck_assert_int_eq(bvi_fake_env_set_job(f.fake, "download", "\"running\""), 0);
    ck_assert_str_eq(query(&f, "protocol_status"),
                     "{\"state\":\"downloading\",\"health\":\"neutral\"}");
    ck_assert_int_eq(bvi_fake_env_set_job(f.fake, "upload", "\"running\""), 0);
    ck_assert_str_eq(query(&f, "protocol_status"),
                     "{\"state\":\"uploading\",\"health\":\"neutral\"}");
    ck_assert_int_eq(bvi_fake_env_fail(f.fake, "get_jobs", BV_E_REMOTE, "gone"), 0);
    ck_assert_str_eq(query(&f, "protocol_status"), "cannot list the jobs: gone");
    stop(&f);
}
END_TEST

/* ---- init and upload ---- */

START_TEST(a_custom_init_can_use_the_built_in_one)
{
    fixture f;

    start_with(&f, CONFIG "fn init() { info(\"before\"); default_init(); info(\"after\"); 7 }\n"
                          "fn upload() { default_upload(); }");
    ck_assert_str_eq(call(&f, "init", NULL), "");
    ck_assert_int_eq(f.code, 0);
    ck_assert(journal_has(&f, "log info before\nstop_all_jobs\n"));
    ck_assert(journal_has(&f, "start_job chain\nlog info after\n"));
    bvi_fake_env_clear_journal(f.fake);
    ck_assert_str_eq(call(&f, "upload", NULL), "null");
    ck_assert(journal_has(&f, "stop_job chain\ncreate_job upload"));
    stop(&f);
}
END_TEST

START_TEST(a_failing_init_says_which_step)
{
    fixture f;

    start_with(&f, "fn plugin_config() {#{ init: #{ commands: [\"false\"], jobs: [] }, " SERVICES
                   " }}");
    ck_assert_int_eq(bvi_fake_env_answer(f.fake, "run_sh",
                                         "{\"exit_code\":1,\"stdout\":\"o\",\"stderr\":\"e\"}"),
                     0);
    (void)call(&f, "init", NULL);
    ck_assert_int_eq(f.code, BV_E_REMOTE);
    ck_assert_str_eq(
        f.last,
        "init command 'false' failed with exit_code: ShResponse { exit_code: 1, stdout: \"o\", "
        "stderr: \"e\" }");
    ck_assert(!journal_has(&f, "create_job"));
    stop(&f);
}
END_TEST

START_TEST(a_failing_upload_starts_services_again)
{
    fixture f;

    start_with(&f,
               "fn plugin_config() {#{ pre_upload: #{ commands: [\"false\"] }, " SERVICES " }}");
    (void)call(&f, "init", NULL);
    bvi_fake_env_clear_journal(f.fake);
    ck_assert_int_eq(bvi_fake_env_fail(f.fake, "run_sh false", BV_E_REMOTE, "broken"), 0);
    (void)call(&f, "upload", NULL);
    ck_assert_str_eq(f.last, "cannot run command 'false': broken");
    ck_assert(journal_has(&f, "stop_job chain\nrun_sh false\ncreate_job chain"));
    ck_assert(journal_has(&f, "start_job chain\n"));
    stop(&f);
}
END_TEST

START_TEST(bad_configurations_are_explained)
{
    fixture f;

    start_with(&f, "fn plugin_config() {#{ services: [#{ name: \"a\" }] }}");
    (void)call(&f, "init", NULL);
    ck_assert_str_eq(f.last,
                     "Invalid Rhai script - failed to deserialize plugin_config: services[0]: "
                     "Syntax error: missing field `run_sh`");
    ck_assert(!bvt_exists(f.config_path));
    stop(&f);
}
END_TEST

/* A script's top level runs before each call; a secret fetched there must not cost a request each
 * time. */
START_TEST(queries_share_secrets_for_a_while)
{
    static const char line[] = "get_secret k\n";
    fixture f;

    start_with(
        &f,
        "const K = get_secret(\"k\").as_string(); fn name() { global::K } fn f() { global::K }\n"
        "fn set() { put_secret(\"k\", \"w\".to_blob()); \"\" }");
    ck_assert_int_eq(bvi_fake_env_set_secret(f.fake, "k", "v"), 0);
    ck_assert_str_eq(query(&f, "name"), "v");
    ck_assert_str_eq(query(&f, "name"), "v");
    ck_assert_str_eq(bvi_fake_env_journal(f.fake), line);
    ck_assert_str_eq(call(&f, "f", ""), "v"); /* work asks again */
    ck_assert_str_eq(query(&f, "name"), "v");
    ck_assert_uint_eq(strlen(bvi_fake_env_journal(f.fake)), 2 * strlen(line));
    (void)call(&f, "set", ""); /* a change is seen at once */
    ck_assert_int_eq(f.code, 0);
    ck_assert_str_eq(query(&f, "name"), "w");
    bvi_fake_env_clear_journal(f.fake);
    bvt_clock_advance(&f.clock, 31 * 1000 * 1000);
    ck_assert_str_eq(query(&f, "name"), "w");
    ck_assert_str_eq(bvi_fake_env_journal(f.fake), line);
    stop(&f);
}
END_TEST

START_TEST(reload_evaluates_again)
{
    fixture f;
    bv_error *err = NULL;

    start_with(&f, "fn plugin_config() {#{ services: [#{ name: node_params().n, run_sh: \"x\" }], "
                   "unknwon: 1 }}");
    bvi_fake_env_set_params(f.fake, bvi_json_new_object());
    (void)call(&f, "init", NULL);
    ck_assert_int_ne(f.code, 0); /* n is () */
    {
        bvi_json *params = bvi_json_new_object();

        ck_assert_int_eq(bvi_json_put_string(params, "n", "two"), 0);
        bvi_fake_env_set_params(f.fake, params);
    }
    bvt_assert_ok(bvi_plugin_reload_config(f.plugin, 0, on_done, &f, NULL, &err), err);
    dispatch(&f, f.done + 1);
    ck_assert_int_eq(f.code, 0);
    ck_assert(bvi_plugin_config(f.plugin) != NULL);
    ck_assert(journal_has(&f, "log warn plugin_config: unknown key 'unknwon' is ignored"));
    stop(&f);
}
END_TEST

/* Constants made of node_params() serve many calls, but no longer than the parameters are so. */
START_TEST(constants_follow_the_node)
{
    fixture f;

    start_with(&f, "const N = node_params().n + node_env().node_name; fn f() { global::N }");
    for (int i = 0; i < 3; i++) {
        bvi_json *params = bvi_json_new_object();

        ck_assert_int_eq(bvi_json_put_string(params, "n", i == 1 ? "two" : "one"), 0);
        bvi_fake_env_set_params(f.fake, params);
        ck_assert_str_eq(call(&f, "f", NULL), i == 1 ? "twonode_name" : "onenode_name");
        ck_assert_str_eq(call(&f, "f", NULL), i == 1 ? "twonode_name" : "onenode_name");
    }
    stop(&f);
}
END_TEST

/* ---- limits: a plugin can only harm itself ---- */

static const struct {
    const char *script;
    int code;
    const char *says;
} hostile[] = {
    { "fn f() { loop { } }", BV_E_LIMIT, "operations" },
    { "fn f() { let x = \"aaaaaaaaaaaaaaaa\"; loop { x += x; } }", 0, "" },
    { "fn f() { let x = []; loop { x.push(\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\" + "
      "x.len()); } }",
      0, "" },
    { "fn f() { let x = []; loop { x = [x, x]; } }", 0, "" },
    { "fn f() { f() }", BV_E_LIMIT, "Stack overflow" },
    { "fn f() { try { loop { } } catch { return \"no\"; } }", BV_E_LIMIT, "operations" },
    { "loop { } fn f() { \"\" }", BV_E_LIMIT, "operations" },
};

START_TEST(ends_hostile_plugins)
{
    fixture f;
    bv_error *err = NULL;

    start(&f);
    f.limits.operations = 300000;
    f.limits.memory_bytes = 8u << 20;
    write_script("main.rhai", hostile[_i].script);
    bvt_assert_ok(load(&f, &err), err);
    (void)call(&f, "f", "");
    ck_assert_msg(f.code == hostile[_i].code ||
                      (!hostile[_i].code && (f.code == BV_E_LIMIT || f.code == BV_E_NOMEM)),
                  "%d: %s", f.code, f.last);
    ck_assert_msg(strstr(f.last, hostile[_i].says) != NULL, "%s", f.last);
    /* The plugin is still there. */
    (void)call(&f, "f", "");
    ck_assert_uint_eq(f.done, 2);
    stop(&f);
}
END_TEST

START_TEST(a_loop_does_not_hold_the_loop_up)
{
    fixture f;
    bv_error *err = NULL;

    start_with(&f, "fn f() { loop { } } fn height() { 5 }");
    bvt_assert_ok(bvi_plugin_call(f.plugin, "f", "", 1000, on_done, &f, NULL, &err), err);
    bvt_assert_ok(bvi_plugin_query(f.plugin, "height", 0, on_done, &f, NULL, &err), err);
    dispatch(&f, 1);
    ck_assert_str_eq(f.last, "5"); /* the other lane */
    bvt_clock_advance(&f.clock, 1000 * 1000);
    dispatch(&f, 2);
    ck_assert_int_eq(f.code, BV_E_TIMEOUT);
    ck_assert_str_eq(f.last, "plugin function 'f' did not end within 1000 ms");
    stop(&f);
}
END_TEST

/* ---- waiting ---- */

START_TEST(the_deadline_covers_waiting)
{
    fixture f;
    bv_error *err = NULL;

    start_with(&f, "fn f() { stop_job(\"j\"); \"\" }");
    ck_assert_int_eq(bvi_fake_env_hold(f.fake, "stop_job"), 0);
    bvt_assert_ok(bvi_plugin_call(f.plugin, "f", "", 5000, on_done, &f, NULL, &err), err);
    for (int i = 0; i < 20; i++)
        (void)bv_ctx_dispatch(f.ctx, 0);
    ck_assert_uint_eq(bvi_fake_env_held(f.fake), 1);
    bvt_clock_advance(&f.clock, 5000 * 1000);
    dispatch(&f, 1);
    ck_assert_int_eq(f.code, BV_E_TIMEOUT);
    ck_assert_uint_eq(bvi_fake_env_cancelled(f.fake), 1);
    ck_assert_uint_eq(bvi_fake_env_held(f.fake), 0);
    stop(&f);
}
END_TEST

START_TEST(a_silent_node_is_an_error_scripts_can_catch)
{
    fixture f;
    bv_error *err = NULL;

    start_with(&f, "fn f() { try { run_sh(\"x\", 3) } catch (e) { return \"caught \" + e; } }");
    ck_assert_int_eq(bvi_fake_env_hold(f.fake, "run_sh"), 0);
    bvt_assert_ok(bvi_plugin_call(f.plugin, "f", "", 0, on_done, &f, NULL, &err), err);
    for (int i = 0; i < 20; i++)
        (void)bv_ctx_dispatch(f.ctx, 0);
    bvt_clock_advance(&f.clock, 4900 * 1000);
    for (int i = 0; i < 20; i++)
        (void)bv_ctx_dispatch(f.ctx, 0);
    ck_assert_uint_eq(f.done, 0);
    bvt_clock_advance(&f.clock, 200 * 1000);
    dispatch(&f, 1);
    ck_assert_str_eq(f.last, "caught the node did not answer in time");
    stop(&f);
}
END_TEST

START_TEST(answers_may_come_later)
{
    fixture f;
    bv_error *err = NULL;

    start_with(&f, "fn f() { stop_job(\"j\"); \"stopped\" }");
    ck_assert_int_eq(bvi_fake_env_hold(f.fake, "stop_job"), 0);
    bvt_assert_ok(bvi_plugin_call(f.plugin, "f", "", 0, on_done, &f, NULL, &err), err);
    for (int i = 0; i < 20; i++)
        (void)bv_ctx_dispatch(f.ctx, 0);
    bvi_fake_env_release(f.fake);
    dispatch(&f, 1);
    ck_assert_str_eq(f.last, "stopped");
    stop(&f);
}
END_TEST

START_TEST(sleeping_does_not_hold_the_loop_up)
{
    fixture f;
    bv_error *err = NULL;

    start_with(&f, "fn f() { sleep(1.5); sleep(0); \"awake\" } fn height() { 5 }");
    bvt_assert_ok(bvi_plugin_call(f.plugin, "f", "", 5000, on_done, &f, NULL, &err), err);
    bvt_assert_ok(bvi_plugin_query(f.plugin, "height", 0, on_done, &f, NULL, &err), err);
    dispatch(&f, 1);
    ck_assert_str_eq(f.last, "5");
    bvt_clock_advance(&f.clock, 1499 * 1000);
    for (int i = 0; i < 20; i++)
        (void)bv_ctx_dispatch(f.ctx, 0);
    ck_assert_uint_eq(f.done, 1);
    bvt_clock_advance(&f.clock, 1000);
    dispatch(&f, 2);
    ck_assert_str_eq(f.last, "awake");
    stop(&f);
}
END_TEST

START_TEST(a_sleeper_can_be_ended)
{
    fixture f;
    bv_error *err = NULL;

    start_with(&f, "fn f() { sleep(100); \"awake\" }");
    bvt_assert_ok(bvi_plugin_call(f.plugin, "f", "", 1000, on_done, &f, NULL, &err), err);
    for (int i = 0; i < 20; i++)
        (void)bv_ctx_dispatch(f.ctx, 0);
    bvt_clock_advance(&f.clock, 1000 * 1000);
    dispatch(&f, 1);
    ck_assert_int_eq(f.code, BV_E_TIMEOUT);
    bvt_assert_ok(bvi_plugin_call(f.plugin, "f", "", 1000, on_done, &f, NULL, &err), err);
    for (int i = 0; i < 20; i++)
        (void)bv_ctx_dispatch(f.ctx, 0);
    stop(&f); /* while it sleeps */
}
END_TEST

START_TEST(calls_wait_for_each_other_and_can_be_cancelled)
{
    fixture f;
    bv_error *err = NULL;
    bv_op *ops[3] = { NULL };

    start_with(&f, "fn f(x) { stop_job(x); x }");
    f.limits.queue = 2;
    ck_assert_int_eq(bvi_fake_env_hold(f.fake, "stop_job"), 0);
    for (int i = 0; i < 3; i++)
        bvt_assert_ok(
            bvi_plugin_call(f.plugin, "f", bvt_format("%d", i), 0, on_done, &f, &ops[i], &err),
            err);
    for (int i = 0; i < 20; i++)
        (void)bv_ctx_dispatch(f.ctx, 0);
    ck_assert_uint_eq(bvi_fake_env_held(f.fake), 1);
    bv_op_cancel(ops[1]); /* waiting */
    dispatch(&f, 1);
    ck_assert_int_eq(f.code, BV_E_CANCELLED);
    bv_op_cancel(ops[0]); /* in the middle of a request */
    dispatch(&f, 2);
    ck_assert_int_eq(f.code, BV_E_CANCELLED);
    ck_assert_uint_eq(bvi_fake_env_cancelled(f.fake), 1);
    for (int i = 0; i < 20; i++)
        (void)bv_ctx_dispatch(f.ctx, 0);
    bvi_fake_env_release(f.fake);
    dispatch(&f, 3);
    ck_assert_str_eq(f.last, "2");
    for (int i = 0; i < 3; i++)
        bv_op_unref(ops[i]);
    stop(&f);
}
END_TEST

START_TEST(a_full_queue_is_busy)
{
    fixture f;
    bv_error *err = NULL;

    start(&f);
    f.limits.queue = 1;
    write_script("main.rhai", "fn f() { stop_job(\"j\"); \"\" }");
    bvt_assert_ok(load(&f, &err), err);
    ck_assert_int_eq(bvi_fake_env_hold(f.fake, "stop_job"), 0);
    bvt_assert_ok(bvi_plugin_call(f.plugin, "f", "", 0, on_done, &f, NULL, &err), err);
    bvt_assert_ok(bvi_plugin_call(f.plugin, "f", "", 0, on_done, &f, NULL, &err), err);
    ck_assert_int_eq(bvi_plugin_call(f.plugin, "f", "", 0, on_done, &f, NULL, &err), BV_E_BUSY);
    bvt_assert_error_says(err, BV_E_BUSY, "1 calls of the plugin are waiting already");
    bv_error_free(err);
    bvi_plugin_free(f.plugin); /* both end */
    f.plugin = NULL;
    dispatch(&f, 2);
    ck_assert_uint_eq(f.failed, 2);
    ck_assert_int_eq(f.code, BV_E_CANCELLED);
    stop(&f);
}
END_TEST

static void free_plugin(bv_op *op, const bvi_plugin_value *value, const bv_error *err, void *data)
{
    fixture *f = data;

    f->done++;
    bvi_plugin_free(bvi_take(f->plugin));
}

START_TEST(may_be_freed_in_a_callback)
{
    fixture f;
    bv_error *err = NULL;

    start_with(&f, "fn f() { \"\" }");
    bvt_assert_ok(bvi_plugin_call(f.plugin, "f", "", 0, free_plugin, &f, NULL, &err), err);
    bvt_assert_ok(bvi_plugin_call(f.plugin, "f", "", 0, on_done, &f, NULL, &err), err);
    dispatch(&f, 2);
    ck_assert_ptr_null(f.plugin);
    stop(&f);
}
END_TEST

static fixture *freeing;

static void free_in_log(void *data, int level, const char *text)
{
    bvi_plugin_free(bvi_take(freeing->plugin));
}

START_TEST(may_be_freed_by_its_environment)
{
    fixture f;
    bv_error *err = NULL;

    start(&f);
    f.env.log = free_in_log;
    freeing = &f;
    write_script("main.rhai", "fn f() { info(\"x\"); info(\"y\"); run_sh(\"ls\").unwrap() }");
    bvt_assert_ok(load(&f, &err), err);
    bvt_assert_ok(bvi_plugin_call(f.plugin, "f", "", 0, on_done, &f, NULL, &err), err);
    dispatch(&f, 1);
    ck_assert_int_eq(f.code, BV_E_CANCELLED);
    stop(&f);
}
END_TEST

/* ---- loading ---- */

START_TEST(refuses_what_is_not_a_script)
{
    fixture f;
    bv_error *err = NULL;

    start(&f);
    ck_assert_int_lt(load(&f, &err), 0);
    bvt_assert_error_says(err, bv_error_code(err), "plugin");
    bv_error_free(err);
    err = NULL;
    write_script("other.rhai", "fn f() { }");
    ck_assert_int_eq(load(&f, &err), BV_E_NOT_FOUND);
    bvt_assert_error_says(err, BV_E_NOT_FOUND, "there is no plain file 'main.rhai'");
    bv_error_free(err);
    err = NULL;
    write_script("main.rhai", "fn f() {\n  let = 7;\n}");
    ck_assert_int_eq(load(&f, &err), BV_E_FORMAT);
    bvt_assert_error_says(err, BV_E_FORMAT, "main.rhai:2:7: Rhai syntax error");
    bv_error_free(err);
    err = NULL;
    f.limits.file_bytes = 10;
    ck_assert_int_eq(load(&f, &err), BV_E_LIMIT);
    bvt_assert_error_says(err, BV_E_LIMIT, "larger than 10 bytes");
    bv_error_free(err);
    err = NULL;
    f.limits.file_bytes = 1000;
    f.limits.files = 1;
    ck_assert_int_eq(load(&f, &err), BV_E_LIMIT);
    bvt_assert_error_says(err, BV_E_LIMIT, "more than 1 script files");
    bv_error_free(err);
    stop(&f);
}
END_TEST

static const struct {
    const char *import;
    const char *says; /* NULL: found */
} imports[] = {
    { "good", NULL },
    { "./good", NULL },
    { "sub/deep", NULL },
    { "good.rhai", NULL },
    { "sub/../good", NULL },
    { "sub/./..//sub/deep.rhai", NULL },
    { "missing", "Module not found: missing" },
    { "../secret", "outside of the plugin's directory" },
    { "sub/../../secret", "outside of the plugin's directory" },
    { "/etc/secret", "outside of the plugin's directory" },
    { "link", "Module not found: link" },
    { "linked/secret", "Module not found: linked/secret" },
};

START_TEST(imports_stay_inside)
{
    fixture f;
    const char *secret = bvt_write_file("secret.rhai", "fn x() { \"escaped\" }");

    write_script("good.rhai", "fn x() { \"inside\" }");
    ck_assert_int_eq(mkdir(bvt_path("plugin/sub"), 0755), 0);
    write_script("sub/deep.rhai", "fn x() { \"inside\" }");
    ck_assert_int_eq(symlink(secret, bvt_path("plugin/link.rhai")), 0);
    ck_assert_int_eq(symlink(bvt_dir(), bvt_path("plugin/linked")), 0);
    ck_assert_int_eq(mkfifo(bvt_path("plugin/pipe.rhai"), 0644), 0);
    start_with(&f, bvt_format("fn f() { import \"%s\" as m; m::x() }", imports[_i].import));
    (void)call(&f, "f", "");
    if (imports[_i].says)
        ck_assert_msg(f.code && strstr(f.last, imports[_i].says), "%s", f.last);
    else
        ck_assert_str_eq(f.last, "inside");
    stop(&f);
}
END_TEST

START_TEST(the_directory_itself_may_not_be_a_link)
{
    fixture f;

    start(&f);
    ck_assert_int_eq(mkdir(bvt_path("elsewhere"), 0755), 0);
    (void)bvt_write_file("elsewhere/main.rhai", "");
    ck_assert_int_eq(symlink(bvt_path("elsewhere"), bvt_path("plugin")), 0);
    ck_assert_int_lt(load(&f, NULL), 0);
    stop(&f);
}
END_TEST

/* ---- no memory ---- */

static const struct {
    const char *script;
    const char *calls[3];
} starved[] = {
    { CONFIG "fn f() { run_sh(\"x\").unwrap() + run_rest(#{url: \"u\"}).body }", { "init", "f" } },
    { "fn plugin_config() {#{ config_files: [#{template: \"t\", destination: \"d\", params: #{a: "
      "1}}],"
      " aux_services: [#{name: \"aux\", run_sh: \"a\"}], init: #{commands: [\"c\"], jobs: [#{name: "
      "\"i\", run_sh: \"x\"}]}, services: [#{name: \"el\", run_sh: \"x\", store_key: \"k\", "
      "banana: 1}], scheduled: [#{name: \"t\", schedule: \"@daily\", function: \"f\"}] }}",
      { "init", "upload" } },
    { "const BASE_CONFIG = #{config_files: [#{template: \"t\", destination: \"d\", params: "
      "#{}}]};\n"
      "const DEFAULT_SERVICES = [#{name: \"aux\", run_sh: \"a\"}];\n"
      "const METADATA = #{protocol: 1};\n"
      "const PLUGIN_CONFIG = #{services: [#{name: BLOCKCHAIN_DATA_PATH, run_sh: \"x\"}]};\n"
      "fn sync_status() { node_env().node_type }",
      { "init", "protocol_status" } },
    { "fn init(keys) { run_graphql(#{url: \"u\", query: \"q\", headers: [[\"a\", "
      "\"b\"]]}).expect(|c| "
      "c > 0); create_job(\"d\", #{job_type: #{download: #{}}, restart: \"never\", neds: []}); }",
      { "init" } },
};

START_TEST(survives_every_failed_allocation)
{
    write_script("main.rhai", starved[_i].script);
    bvt_for_each_failed_allocation(n) {
        bv_ctx_opts opts = BV_CTX_OPTS_INIT;
        fixture f = { .limits = BVI_PLUGIN_LIMITS_INIT };
        bv_op *op = NULL;

        bvt_clock_init(&f.clock);
        opts.clock = &f.clock.clock;
        if (bv_ctx_new(&opts, &f.ctx, NULL) == 0 && bvi_fake_env_new(&f.fake, NULL) == 0) {
            f.env = bvi_fake_env_functions(f.fake);
            for (size_t i = 0; load(&f, NULL) == 0 && i < 3 && starved[_i].calls[i]; i++) {
                f.done = 0;
                if (bvi_plugin_call(f.plugin, starved[_i].calls[i], NULL, 0, on_done, &f, &op,
                                    NULL) == 0)
                    dispatch(&f, 1);
                bv_op_unref(op);
                op = NULL;
                bvi_plugin_free(f.plugin);
                f.plugin = NULL;
            }
        }
        bvi_plugin_free(f.plugin);
        bv_ctx_free(f.ctx);
        bvi_fake_env_free(f.fake);
    }
}
END_TEST

BVT_MAIN("plugin/plugin", bvt_test(runs_the_skeleton), bvt_test(reads_its_configuration_back),
         bvt_loop(serves_scripts, functions), bvt_loop(checks_types, typed),
         bvt_test(finds_custom_functions), bvt_loop(gates_say_yes_or_no, gates),
         bvt_test(derives_status_from_jobs), bvt_test(a_custom_init_can_use_the_built_in_one),
         bvt_test(a_failing_init_says_which_step), bvt_test(a_failing_upload_starts_services_again),
         bvt_test(bad_configurations_are_explained), bvt_test(queries_share_secrets_for_a_while),
         bvt_test(reload_evaluates_again), bvt_test(constants_follow_the_node),
         bvt_loop(ends_hostile_plugins, hostile), bvt_test(a_loop_does_not_hold_the_loop_up),
         bvt_test(the_deadline_covers_waiting),
         bvt_test(a_silent_node_is_an_error_scripts_can_catch),
         bvt_test(sleeping_does_not_hold_the_loop_up), bvt_test(a_sleeper_can_be_ended),
         bvt_test(answers_may_come_later), bvt_test(calls_wait_for_each_other_and_can_be_cancelled),
         bvt_test(a_full_queue_is_busy), bvt_test(may_be_freed_in_a_callback),
         bvt_test(may_be_freed_by_its_environment), bvt_test(refuses_what_is_not_a_script),
         bvt_loop(imports_stay_inside, imports), bvt_test(the_directory_itself_may_not_be_a_link),
         bvt_loop(survives_every_failed_allocation, starved))
