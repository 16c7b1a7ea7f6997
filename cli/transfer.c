/*
 * transfer.c - transfers that bv runs itself: their progress as a line or as NDJSON, and their end.
 * The commands of cmd_snapshot_store.c use it.
 */
#include <string.h>
#include <unistd.h>

#include "cli.h"

/* Without a terminal a line at most so often. */
#define PLAIN_PROGRESS_MS 5000
#define CAUSES_MAX        32

/* ---- NDJSON ---- */

static void put_number(cli_json *j, const char *name, uint64_t value)
{
    char text[64];

    (void)snprintf(text, sizeof(text), ",\"%s\":%llu", name, (unsigned long long)value);
    cli_json_raw(j, text);
}

static void put_text(cli_json *j, const char *name, const char *text)
{
    cli_json_raw(j, ",\"");
    cli_json_raw(j, name);
    cli_json_raw(j, "\":");
    cli_json_string(j, text);
}

/* One write for each line, as others may write to the same place. */
static void end_line(cli_json *j)
{
    bv_doc *doc = NULL;
    char *text = NULL;

    cli_json_raw(j, "}");
    doc = cli_json_doc(j);
    if (doc && bv_doc_print(doc, 0, &text, NULL) == 0)
        (void)fprintf(stderr, "%s\n", text);
    bv_free(text);
    bv_doc_free(doc);
}

void cli_progress_event(const char *event, const bv_transfer_status *s, int64_t elapsed_ms)
{
    cli_json j = { 0 };

    cli_json_raw(&j, "{\"event\":");
    cli_json_string(&j, event);
    put_text(&j, "phase", s->phase ? s->phase : "");
    put_text(&j, "format",
             s->format == BV_FORMAT_SNAPSHOT  ? "snapshot"
             : s->format == BV_FORMAT_ARCHIVE ? "archive"
                                              : "");
    put_number(&j, "version", s->data_version);
    put_number(&j, "bytes_done", s->bytes_done);
    put_number(&j, "bytes_total", s->bytes_total);
    put_number(&j, "stored_done", s->stored_done);
    put_number(&j, "wire_bytes", s->wire_bytes);
    put_number(&j, "reused_bytes", s->reused_bytes);
    put_number(&j, "chunks_done", s->chunks_done);
    put_number(&j, "chunks_total", s->chunks_total);
    put_number(&j, "files", s->files);
    put_number(&j, "retries", s->retries);
    put_number(&j, "bytes_per_s", s->bytes_per_s);
    if (s->eta_ms >= 0)
        put_number(&j, "eta_ms", (uint64_t)s->eta_ms);
    if (s->full_path) {
        put_text(&j, "full_path", s->full_path);
        put_number(&j, "missing_bytes", s->missing_bytes);
    }
    put_number(&j, "elapsed_ms", (uint64_t)elapsed_ms);
    end_line(&j);
}

void cli_failure_event(const bv_error *err, int exit_code)
{
    const bv_error *cause = bv_error_cause(err);
    cli_json j = { 0 };

    cli_json_raw(&j, "{\"event\":\"failed\"");
    put_text(&j, "code", bv_code_name(bv_error_code(err)));
    put_number(&j, "exit_status", (uint64_t)exit_code);
    put_text(&j, "message", bv_error_message(err));
    cli_json_raw(&j, ",\"causes\":[");
    for (int i = 0; cause && i < CAUSES_MAX; cause = bv_error_cause(cause), i++) {
        cli_json_raw(&j, i ? "," : "");
        cli_json_string(&j, bv_error_message(cause));
    }
    cli_json_raw(&j, "]");
    end_line(&j);
}

void cli_differs_event(const char *path, uint64_t pos, uint64_t len)
{
    cli_json j = { 0 };

    cli_json_raw(&j, "{\"event\":\"differs\"");
    put_text(&j, "path", path);
    put_number(&j, "pos", pos);
    put_number(&j, "bytes", len);
    end_line(&j);
}

/* ---- the line ---- */

/* Adds to a line what fits. */
static void add(char *line, size_t size, const char *before, const char *text, const char *behind)
{
    size_t len = strlen(line);

    (void)snprintf(line + len, size - len, "%s%s%s", before, text, behind);
}

static void describe(const bv_transfer_status *s, char *line, size_t size)
{
    char text[48];

    (void)snprintf(line, size, "%s %s", s->phase, cli_size_text(s->bytes_done, text, sizeof(text)));
    if (s->bytes_total) {
        add(line, size, " of ", cli_size_text(s->bytes_total, text, sizeof(text)), "");
        (void)snprintf(text, sizeof(text), "%u",
                       (unsigned)((double)s->bytes_done * 100 / (double)s->bytes_total));
        add(line, size, " (", text, "%)");
    }
    if (s->bytes_per_s)
        add(line, size, ", ", cli_size_text(s->bytes_per_s, text, sizeof(text)), "/s");
    if (s->eta_ms >= 0)
        add(line, size, ", ", cli_duration_text(s->eta_ms, text, sizeof(text)), " left");
    if (s->stored_done)
        add(line, size, ", ", cli_size_text(s->stored_done, text, sizeof(text)), " moved");
    if (s->wire_bytes)
        add(line, size, ", ", cli_size_text(s->wire_bytes, text, sizeof(text)), " on the wire");
    if (s->full_path)
        add(line, size, ", waits for ", cli_size_text(s->missing_bytes, text, sizeof(text)),
            " on a full disk");
    (void)snprintf(text, sizeof(text), "%u", (unsigned)s->retries);
    if (s->retries)
        add(line, size, ", ", text, s->retries == 1 ? " retry" : " retries");
}

static void show(cli_call *call)
{
    bool terminal = isatty(STDERR_FILENO);
    char line[256];

    switch (call->c->progress) {
    case CLI_PROGRESS_JSON:
        cli_progress_event("progress", &call->last, cli_now_ms() - call->began_ms);
        return;
    case CLI_PROGRESS_NONE:
        return;
    case CLI_PROGRESS_AUTO:
        if (!terminal || call->c->quiet)
            return;
        break;
    case CLI_PROGRESS_LINE:
        if (!terminal && cli_now_ms() - call->shown_ms < PLAIN_PROGRESS_MS)
            return;
        break;
    }
    describe(&call->last, line, sizeof(line));
    cli_call_draw(call, call->last.bytes_done, call->last.bytes_total, line);
}

/* ---- the operation's callbacks ---- */

/* The status is the library's; what lives longer is copied. */
static void keep(cli_call *call, const bv_transfer_status *status)
{
    call->last = *status;
    (void)snprintf(call->phase, sizeof(call->phase), "%s", status->phase);
    call->last.phase = call->phase;
    if (status->full_path)
        (void)snprintf(call->full_path, sizeof(call->full_path), "%s", status->full_path);
    call->last.full_path = status->full_path ? call->full_path : NULL;
}

void cli_transfer_status(bv_op *op, const bv_transfer_status *status, void *data)
{
    cli_call *call = data;

    (void)op;
    keep(call, status);
    if (strcmp(status->phase, "done") != 0) /* told once, at the end */
        show(call);
}

void cli_transfer_done(bv_op *op, const bv_error *err, const bv_transfer_status *status, void *data)
{
    cli_call *call = data;
    bool terminal_line = call->drawn;

    (void)op;
    keep(call, status);
    if (err) {
        (void)cli_call_failed(call, err); /* the call keeps the code */
        return;
    }
    if (terminal_line)
        (void)fputs("\r\033[K", stderr);
    call->drawn = false;
    call->done = true;
    call->exit_code = EXIT_OK;
    if (call->c->progress == CLI_PROGRESS_JSON)
        cli_progress_event("done", &call->last, cli_now_ms() - call->began_ms);
}

int cli_transfer_wait(cli_call *call, int r)
{
    call->is_transfer = true;
    return cli_call_wait(call, r);
}

int cli_take_progress(cli *c, const cli_args *args)
{
    static const struct {
        const char *name;
        cli_progress progress;
    } names[] = {
        { "auto", CLI_PROGRESS_AUTO },
        { "none", CLI_PROGRESS_NONE },
        { "line", CLI_PROGRESS_LINE },
        { "json", CLI_PROGRESS_JSON },
    };
    const char *given = cli_text(args, "progress");

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (given && strcmp(names[i].name, given) == 0) {
            c->progress = names[i].progress;
            return EXIT_OK;
        }
    }
    return given ? cli_usage_error(args->command,
                                   "--progress: '%s' must be auto, line, json or none", given)
                 : EXIT_OK;
}
