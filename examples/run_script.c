/*
 * run_script.c - the language alone: a program that lets a script decide, and gives it one function
 * and a few limits.
 *
 *     run_script                    runs the script below
 *     run_script FILE FUNCTION TEXT calls a function of a file with a text
 *
 * There is no context and no loop here. The script sees what main() gives it and nothing else; an
 * endless one is ended by Ctrl-C or after ten seconds.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <blockvisor/memory.h>
#include <blockvisor/script.h>

static const char example[] =
    "fn greet(who) {\n"
    "    let when = switch hour() { 0..12 => \"morning\", 12..18 => \"day\", _ => \"evening\" };\n"
    "    print(`greeting ${who}`);\n"
    "    `Good ${when}, ${who}!`\n"
    "}\n";

static bv_script_call *running;

/* One of the few things that a signal handler may do. */
static void on_interrupt(int number)
{
    (void)number;
    if (running)
        bv_script_interrupt(running);
}

/* hour(): what the script may know of this program. */
static int hour(bv_script_call *call, bv_value *args, size_t argc, bv_value *ret, void *data)
{
    (void)call, (void)args, (void)argc;
    *ret = bv_value_int(*(const int *)data);
    return 0;
}

static void on_output(const bv_script_output *output, void *data)
{
    (void)data;
    printf("%s%.*s\n", output->is_debug ? "debug: " : "", (int)output->len, output->text);
}

static char *read_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    char *text = file ? calloc(1, 1 << 20) : NULL;

    if (text)
        text[fread(text, 1, (1 << 20) - 1, file)] = '\0';
    if (file)
        fclose(file);
    return text;
}

/* Calls the function and prints what it returned. */
static int call_function(bv_script_engine *engine, bv_script *script, const char *function,
                         const char *text, bv_error **err)
{
    bv_value argument, result;
    char *shown = NULL;
    int r = bv_value_string(engine, text, strlen(text), &argument);

    if (r < 0)
        return r;
    r = bv_script_call_new(engine, script, function, &argument, 1, &running, err);
    bv_value_drop(&argument);
    if (r < 0)
        return r;
    r = bv_script_call_finish(running); /* or slice by slice, see bv_script_call_run() */
    if (r == BV_SCRIPT_DONE && bv_script_call_result(running, &result) == 0)
        r = bv_value_print(&result, 0, &shown, NULL);
    else
        r = bv_script_call_failure(running, err);
    if (r == 0)
        puts(shown);
    bv_free(shown);
    bv_script_call_free(running);
    running = NULL;
    return r;
}

int main(int argc, char **argv)
{
    static const bv_script_function functions[] = { { "hour", "", hour, NULL, 0, 0 },
                                                    { NULL, NULL, NULL, NULL, 0, 0 } };
    bv_script_opts opts = BV_SCRIPT_OPTS_INIT;
    bv_script_limits limits = BV_SCRIPT_LIMITS_INIT;
    bv_script_engine *engine = NULL;
    bv_script *script = NULL;
    bv_error *err = NULL;
    char *file = argc == 4 ? read_file(argv[1]) : NULL;
    const char *source = file ? file : example;
    int now = 9;
    int r;

    limits.wall_ms = 10000;
    limits.memory_bytes = 8 << 20;
    opts.limits = &limits;
    opts.output = on_output;
    signal(SIGINT, on_interrupt);
    r = bv_script_engine_new(&opts, &engine, &err);
    if (r == 0)
        r = bv_script_engine_register(engine, functions, &now, &err);
    if (r == 0)
        r = bv_script_compile(engine, source, strlen(source), file ? argv[1] : NULL, &script, &err);
    if (r == 0)
        r = call_function(engine, script, file ? argv[2] : "greet", file ? argv[3] : "world", &err);
    if (r < 0)
        fprintf(stderr, "run_script: %s\n", err ? bv_error_message(err) : bv_code_name(r));
    bv_error_free(err);
    bv_script_free(script);
    bv_script_engine_free(engine);
    free(file);
    return r < 0;
}
