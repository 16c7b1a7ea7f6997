/*
 * bench_script.c - what a host pays for a plugin, over the public interface of the language:
 *
 *     bench-script calls PLUGIN N [LINE]   calls height() N times, prints the last answer
 *     bench-script compile PLUGIN N        prints the milliseconds of one compilation, the least of
 * N bench-script memory PLUGIN           prints the KiB that a loaded plugin holds after a call
 *
 * LINE is put in front of the source, for calls whose top level must run each time. tools/bench
 * runs it beside tests/bench/script/calls.lua.
 */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <blockvisor/error.h>
#include <blockvisor/script.h>

#define SOURCE_MAX (256u * 1024u)

static char source[SOURCE_MAX];
static size_t source_len;

static void quit(bv_error *err)
{
    fprintf(stderr, "bench-script: %s\n", err ? bv_error_message(err) : "failed");
    exit(1);
}

/* ---- the host's side of the plugin ---- */

static int put_text(bv_script_engine *engine, bv_value *map, const char *key, const char *text)
{
    bv_value v = { 0 };
    int r = bv_value_string(engine, text, strlen(text), &v);

    return r < 0 ? r : bv_value_put(map, key, v);
}

static int node_env(bv_script_call *call, bv_value *args, size_t argc, bv_value *ret, void *data)
{
    static const char *const pairs[][2] = {
        { "node_id", "8c3b7a52-6d6e-4c0e-9f0e-2f7a6c1d9b10" },
        { "node_name", "bench" },
        { "node_version", "1.2.3" },
        { "node_protocol", "client" },
        { "node_variant", "client-mainnet-archive" },
        { "node_ip", "10.0.0.2" },
        { "node_gateway", "10.0.0.1" },
        { "protocol_data_path", "/blockjoy/protocol_data" },
        { "data_mount_point", "/blockjoy" },
    };
    bv_script_engine *engine = bv_script_call_engine(call);
    int r = bv_value_map(engine, ret);

    for (size_t i = 0; r == 0 && i < sizeof(pairs) / sizeof(pairs[0]); i++)
        r = put_text(engine, ret, pairs[i][0], pairs[i][1]);
    return r < 0 ? bv_script_throw_code(call, r) : 0;
}

/* The answer of a chain client, already parsed; expect() is a function of the plugin's host too. */
static int run_jrpc(bv_script_call *call, bv_value *args, size_t argc, bv_value *ret, void *data)
{
    bv_script_engine *engine = bv_script_call_engine(call);
    int r = bv_value_map(engine, ret);

    if (r == 0)
        r = put_text(engine, ret, "jsonrpc", "2.0");
    if (r == 0)
        r = put_text(engine, ret, "result", "0x12d687");
    if (r == 0)
        r = bv_value_put(ret, "id", bv_value_int(0));
    return r < 0 ? bv_script_throw_code(call, r) : 0;
}

static int expect(bv_script_call *call, bv_value *args, size_t argc, bv_value *ret, void *data)
{
    *ret = bv_value_copy(&args[0]);
    return 0;
}

static int parse_hex(bv_script_call *call, bv_value *args, size_t argc, bv_value *ret, void *data)
{
    *ret = bv_value_int(strtoll(bv_value_text(&args[0], NULL), NULL, 16));
    return 0;
}

static int get_secret(bv_script_call *call, bv_value *args, size_t argc, bv_value *ret, void *data)
{
    int r = bv_value_string(bv_script_call_engine(call), "secret", 6, ret);

    return r < 0 ? bv_script_throw_code(call, r) : 0;
}

static bv_script_engine *new_engine(void)
{
    static const bv_script_function functions[] = {
        { "node_env", "", node_env, NULL, BV_SCRIPT_STABLE, 0 },
        { "run_jrpc", "m", run_jrpc, NULL, 0, 0 },
        { "expect", "mi", expect, NULL, 0, 0 },
        { "parse_hex", "s", parse_hex, NULL, BV_SCRIPT_STABLE, 0 },
        { "get_secret", "s", get_secret, NULL, 0, 0 },
        { NULL, NULL, NULL, NULL, 0, 0 },
    };
    bv_script_engine *engine = NULL;
    bv_error *err = NULL;

    if (bv_script_engine_new(NULL, &engine, &err) < 0 ||
        bv_script_engine_register(engine, functions, NULL, &err) < 0)
        quit(err);
    return engine;
}

/* ---- the runs ---- */

static bv_script *compile(bv_script_engine *engine)
{
    bv_script *script = NULL;
    bv_error *err = NULL;

    if (bv_script_compile(engine, source, source_len, "main.rhai", &script, &err) < 0)
        quit(err);
    return script;
}

static int64_t height(bv_script_engine *engine, bv_script *script)
{
    bv_script_call *call = NULL;
    bv_value result = { 0 };
    bv_error *err = NULL;

    if (bv_script_call_new(engine, script, "height", NULL, 0, &call, &err) < 0)
        quit(err);
    if (bv_script_call_finish(call) < 0) {
        (void)bv_script_call_failure(call, &err);
        quit(err);
    }
    (void)bv_script_call_result(call, &result); /* it is done */
    bv_script_call_free(call);
    return result.as.i;
}

static void run_calls(long n)
{
    bv_script_engine *engine = new_engine();
    bv_script *script = compile(engine);
    int64_t last = 0;

    for (long i = 0; i < n; i++)
        last = height(engine, script);
    printf("%lld\n", (long long)last);
    bv_script_free(script);
    bv_script_engine_free(engine);
}

static double now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static void time_compile(long n)
{
    bv_script_engine *engine = new_engine();
    double least = 1e9;

    for (long i = 0; i < n; i++) {
        double begun = now_ms();

        bv_script_free(compile(engine));
        if (now_ms() - begun < least)
            least = now_ms() - begun;
    }
    printf("%.4f\n", least);
    bv_script_engine_free(engine);
}

/* All of the heap that came with it, the library's tables included. */
static void measure_memory(void)
{
    size_t before = mallinfo2().uordblks;
    bv_script_engine *engine = new_engine();
    bv_script *script = compile(engine);

    (void)height(engine, script);
    printf("%.1f\n", (double)(mallinfo2().uordblks - before) / 1024);
    bv_script_free(script);
    bv_script_engine_free(engine);
}

static void load(const char *path, const char *line)
{
    FILE *file = fopen(path, "r");

    if (!file)
        quit(NULL);
    source_len = (size_t)snprintf(source, sizeof(source), "%s\n", line);
    source_len += fread(source + source_len, 1, sizeof(source) - source_len, file);
    fclose(file);
}

int main(int argc, char **argv)
{
    long n = argc > 3 ? strtol(argv[3], NULL, 10) : 1;

    if (argc < 3) {
        fputs("usage: bench-script calls|compile|memory PLUGIN [N [LINE]]\n", stderr);
        return 2;
    }
    load(argv[2], argc > 4 ? argv[4] : "");
    if (strcmp(argv[1], "calls") == 0)
        run_calls(n);
    else if (strcmp(argv[1], "compile") == 0)
        time_compile(n);
    else
        measure_memory();
    return 0;
}
