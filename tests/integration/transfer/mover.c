/*
 * mover.c - one transfer with the settings a test or a measurement wants; the public interface and
 * nothing else.
 *
 *     mover upload|download STORE KEY DIR [SETTING=NUMBER...]
 *     mover formats       prints those it knows
 *
 * Settings: format (1: archive, 2: snapshot), workers (of the context), connections, runners,
 * memory (MiB), rate (bytes a second), chunks (of an upload; 0: by size). Called by test_crash.py
 * and tools/bench.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <blockvisor/transfer.h>

typedef struct settings {
    unsigned workers;
    unsigned connections;
    unsigned runners;
    unsigned memory;
    unsigned rate;
    unsigned chunks;
    unsigned format;
} settings;

typedef struct outcome {
    bv_ctx *ctx;
    int failed;
} outcome;

/* Most memory this process had at once; the kernel's ru_maxrss would include who started it. */
static unsigned long peak_kib(void)
{
    FILE *f = fopen("/proc/self/status", "r");
    unsigned long kib = 0;
    char line[256];

    while (f && fgets(line, sizeof(line), f)) {
        if (strncmp(line, "VmHWM:", 6) == 0)
            kib = strtoul(line + 6, NULL, 10);
    }
    if (f)
        (void)fclose(f);
    return kib;
}

static void on_done(bv_op *op, const bv_error *err, const bv_transfer_status *status, void *data)
{
    outcome *o = data;
    char text[1024];

    (void)op;
    (void)bv_error_format(err, text, sizeof(text));
    if (err)
        (void)fprintf(stderr, "mover: %s\n", text);
    else
        (void)printf("version=%llu bytes=%llu stored=%llu peak_kib=%lu\n",
                     (unsigned long long)status->data_version,
                     (unsigned long long)status->bytes_total,
                     (unsigned long long)status->stored_done, peak_kib());
    o->failed = err != NULL;
    bv_ctx_stop(o->ctx);
}

static int read_settings(char **args, settings *s)
{
    const struct {
        const char *name;
        unsigned *value;
    } known[] = {
        { "workers=", &s->workers }, { "connections=", &s->connections },
        { "runners=", &s->runners }, { "memory=", &s->memory },
        { "rate=", &s->rate },       { "chunks=", &s->chunks },
        { "format=", &s->format },
    };

    for (; *args; args++) {
        size_t i = 0;

        while (i < sizeof(known) / sizeof(*known) &&
               strncmp(*args, known[i].name, strlen(known[i].name)) != 0)
            i++;
        if (i == sizeof(known) / sizeof(*known))
            return -1;
        *known[i].value = (unsigned)strtoul(*args + strlen(known[i].name), NULL, 10);
    }
    return 0;
}

static int start(char **argv, const settings *s, outcome *o, bv_op **ret_op, bv_error **err)
{
    bv_upload_opts up = BV_UPLOAD_OPTS_INIT;
    bv_download_opts down = BV_DOWNLOAD_OPTS_INIT;

    up.store = down.store = argv[2];
    up.key = down.key = argv[3];
    up.source_dir = down.dest_dir = argv[4];
    up.max_connections = down.max_connections = s->connections;
    up.max_runners = down.max_runners = s->runners;
    up.memory_mib = down.memory_mib = s->memory;
    up.bytes_per_s = down.bytes_per_s = s->rate;
    up.number_of_chunks = s->chunks;
    up.format = down.format = (int32_t)s->format;
    up.data = down.data = o;
    return strcmp(argv[1], "upload") == 0 ? bv_upload_start(o->ctx, &up, on_done, ret_op, err)
                                          : bv_download_start(o->ctx, &down, on_done, ret_op, err);
}

int main(int argc, char **argv)
{
    bv_ctx_opts opts = BV_CTX_OPTS_INIT;
    settings s = { .workers = 2 };
    outcome o = { NULL, 1 };
    bv_error *err = NULL;
    bv_op *op = NULL;
    char text[1024];

    if (argc == 2 && strcmp(argv[1], "formats") == 0)
        return puts("archive snapshot") < 0;
    if (argc < 5 || (strcmp(argv[1], "upload") != 0 && strcmp(argv[1], "download") != 0) ||
        read_settings(argv + 5, &s) < 0) {
        (void)fputs("usage: mover upload|download STORE KEY DIR [SETTING=NUMBER...]\n", stderr);
        return 2;
    }
    opts.workers = s.workers;
    if (bv_ctx_new(&opts, &o.ctx, &err) == 0 && start(argv, &s, &o, &op, &err) == 0)
        (void)bv_ctx_run(o.ctx);
    if (err) {
        (void)bv_error_format(err, text, sizeof(text));
        (void)fprintf(stderr, "mover: %s\n", text);
    }
    bv_op_unref(op);
    bv_error_free(err);
    bv_ctx_free(o.ctx);
    return o.failed;
}
