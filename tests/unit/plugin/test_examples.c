/* The plugins of the example images, on a node that is not there. */
#include <stdio.h>

#include "bvt.h"
#include "plugin/fake_env.h"

typedef struct outcome {
    unsigned done;
    int code;
    char text[4096]; /* an answer, or an error's story */
} outcome;

static void take_error(outcome *o, const bv_error *err)
{
    o->done++;
    o->code = bv_error_code(err);
    if (err)
        (void)bv_error_format(err, o->text, sizeof(o->text)); /* cut when longer */
}

static void on_answer(bv_op *op, const bvi_plugin_value *value, const bv_error *err, void *data)
{
    outcome *o = data;

    take_error(o, err);
    if (value)
        (void)snprintf(o->text, sizeof(o->text), "%s", value->text); /* cut when longer */
}

static void dispatch(bv_ctx *ctx, const outcome *o, unsigned until)
{
    for (int i = 0; i < 10000 && o->done < until; i++)
        ck_assert_int_ge(bv_ctx_dispatch(ctx, 0), 0);
    ck_assert_uint_eq(o->done, until);
}

/* Requests that contain `part` get `answer`; the function gives `result` (or an error that contains
 * it). */
static const struct {
    const char *image;
    const char *function;
    const char *param;
    struct {
        const char *part;
        const char *answer;
    } node[6];
    const char *result;
    const char *journal; /* NULL: whatever; else a line in it */
} calls[] = {
    { "tiny",
      "height",
      "",
      { { "tail", "{\"exit_code\":0,\"stdout\":\"12 1704067190 abc\\n\",\"stderr\":\"\"}" } },
      "12",
      NULL },
    { "tiny",
      "block_age",
      "",
      { { "tail", "{\"exit_code\":0,\"stdout\":\"12 1704067190 abc\\n\",\"stderr\":\"\"}" } },
      "10",
      NULL },
    { "tiny",
      "best_block",
      "",
      { { "tail", "{\"exit_code\":0,\"stdout\":\"12 1704067190 abc\\n\",\"stderr\":\"\"}" } },
      "abc",
      NULL },
    { "tiny", "height", "", { { NULL } }, "0", NULL },
    { "tiny",
      "protocol_status",
      "",
      { { NULL } },
      "{\"state\":\"starting\",\"health\":\"neutral\"}",
      NULL },
    { "tiny",
      "echo",
      "a b",
      { { "echo", "{\"exit_code\":0,\"stdout\":\"a b\\n\",\"stderr\":\"\"}" } },
      "a b",
      "run_sh echo \"a b\"\n" },
    { "tiny", "echo", "$(id)", { { NULL } }, "Shell unsafe character detected: $", NULL },
    { "tiny",
      "init",
      "",
      { { NULL } },
      "",
      "render_template /var/lib/babel/templates/chain.conf.template /etc/tiny/chain.conf "
      "{\"block_ms\":200," },
    { "litecoin",
      "height",
      "",
      { { "getblockcount", "{\"status_code\":200,\"body\":\"{\\\"result\\\":7}\"}" } },
      "7",
      "run_jrpc "
      "{\"host\":\"http://user:secret@127.0.0.1:19443/"
      "\",\"method\":\"getblockcount\",\"params\":[],"
      "\"headers\":[]}\n" },
    { "litecoin",
      "best_block",
      "",
      { { "getbestblockhash", "{\"status_code\":200,\"body\":\"{\\\"result\\\":\\\"ab\\\"}\"}" } },
      "ab",
      NULL },
    { "litecoin",
      "block_age",
      "",
      { { "getbestblockhash", "{\"status_code\":200,\"body\":\"{\\\"result\\\":\\\"ab\\\"}\"}" },
        { "getblockheader",
          "{\"status_code\":200,\"body\":\"{\\\"result\\\":{\\\"time\\\":1704067197}}\"}" } },
      "3",
      "\"params\":[\"ab\"]" },
    { "litecoin",
      "protocol_status",
      "",
      { { "getblockchaininfo", "{\"status_code\":200,\"body\":\"{\\\"result\\\":{\\\"blocks\\\":1,"
                               "\\\"headers\\\":1}}\"}" } },
      "{\"state\":\"broadcasting\",\"health\":\"healthy\"}",
      NULL },
    { "litecoin",
      "protocol_status",
      "",
      { { "getblockchaininfo", "{\"status_code\":500,\"body\":\"\"}" } },
      "{\"state\":\"starting\",\"health\":\"neutral\"}",
      NULL },
    { "litecoin",
      "mine",
      "2",
      { { "listwallets", "{\"status_code\":200,\"body\":\"{\\\"result\\\":[]}\"}" },
        { "loadwallet", "{\"status_code\":500,\"body\":\"{}\"}" },
        { "getnewaddress", "{\"status_code\":200,\"body\":\"{\\\"result\\\":\\\"addr\\\"}\"}" },
        { "generatetoaddress",
          "{\"status_code\":200,\"body\":\"{\\\"result\\\":[\\\"a\\\",\\\"b\\\"]}\"}" },
        { "getblockcount", "{\"status_code\":200,\"body\":\"{\\\"result\\\":2}\"}" },
        { "getbestblockhash", "{\"status_code\":200,\"body\":\"{\\\"result\\\":\\\"b\\\"}\"}" } },
      "mined 2 blocks, height 2, best block b",
      "\"method\":\"createwallet\"" },
};

START_TEST(answers)
{
    bv_ctx_opts opts = BV_CTX_OPTS_INIT;
    bvi_plugin_opts plugin_opts = { .root = EXAMPLE_IMAGES, .dir = calls[_i].image };
    bvi_plugin_env env;
    bvi_fake_env *fake = NULL;
    bvi_plugin *plugin = NULL;
    bv_ctx *ctx = NULL;
    bvt_clock clock;
    bv_error *err = NULL;
    outcome o = { 0 };

    bvt_clock_init(&clock);
    opts.clock = &clock.clock;
    bvt_assert_ok(bv_ctx_new(&opts, &ctx, &err), err);
    bvt_assert_ok(bvi_fake_env_new(&fake, &err), err);
    env = bvi_fake_env_functions(fake);
    plugin_opts.env = &env;
    ck_assert_int_eq(
        bvi_fake_env_set_file(fake, "/blockjoy/protocol_data/regtest/.cookie", "user:secret"), 0);
    for (size_t i = 0; i < 6 && calls[_i].node[i].part; i++)
        ck_assert_int_eq(
            bvi_fake_env_answer(fake, calls[_i].node[i].part, calls[_i].node[i].answer), 0);
    bvt_assert_ok(bvi_plugin_load(ctx, &plugin_opts, &plugin, &err), err);
    bvt_assert_ok(
        bvi_plugin_call(plugin, calls[_i].function, calls[_i].param, 0, on_answer, &o, NULL, &err),
        err);
    dispatch(ctx, &o, 1);
    if (o.code)
        ck_assert_msg(strstr(o.text, calls[_i].result) && *calls[_i].result, "%s", o.text);
    else
        ck_assert_str_eq(o.text, calls[_i].result);
    if (calls[_i].journal)
        ck_assert_msg(strstr(bvi_fake_env_journal(fake), calls[_i].journal) != NULL, "%s",
                      bvi_fake_env_journal(fake));
    bvi_plugin_free(plugin);
    bv_ctx_free(ctx);
    bvi_fake_env_free(fake);
}
END_TEST

BVT_MAIN("plugin/examples", bvt_loop(answers, calls))
