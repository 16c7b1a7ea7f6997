/*
 * call.c - starting a call and waiting for its end: progress on stderr, Ctrl-C, exit codes.
 */
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include "cli.h"

/* Without a terminal a line of progress at most so often. */
#define PLAIN_PROGRESS_MS 5000
#define BAR_WIDTH         24

int64_t cli_now_ms(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static const struct {
    int code;
    int exit_code;
} exit_codes[] = {
    { BV_E_NOT_FOUND, EXIT_NOT_FOUND },
    { BV_E_EXISTS, EXIT_CONFLICT },
    { BV_E_STATE, EXIT_CONFLICT },
    { BV_E_BUSY, EXIT_CONFLICT },
    { BV_E_DENIED, EXIT_DENIED },
    { BV_E_TIMEOUT, EXIT_TIMEOUT },
    { BV_E_REMOTE, EXIT_UNREACHABLE },
    { BV_E_AGAIN, EXIT_UNREACHABLE },
    { BV_E_FORMAT, EXIT_DAMAGED },
    { BV_E_CHECKSUM, EXIT_DAMAGED },
    { BV_E_UNSUPPORTED, EXIT_UNSUPPORTED },
    { BV_E_NOMEM, EXIT_LIMIT },
    { BV_E_LIMIT, EXIT_LIMIT },
    { BV_E_CANCELLED, EXIT_INTERRUPTED },
};

int cli_exit_code(int code)
{
    for (size_t i = 0; i < sizeof(exit_codes) / sizeof(exit_codes[0]); i++) {
        if (exit_codes[i].code == code)
            return exit_codes[i].exit_code;
    }
    return code == BV_OK ? EXIT_OK : EXIT_FAILED;
}

int cli_report(const bv_error *err)
{
    const bv_error *cause = bv_error_cause(err);

    (void)fflush(stdout); /* what was said before comes first */
    (void)fputs("Error: ", stderr);
    cli_put(stderr, bv_error_message(err));
    (void)fputs(cause ? "\nCaused by:\n" : "\n", stderr);
    for (int i = 0; cause; cause = bv_error_cause(cause), i++) {
        (void)fprintf(stderr, "    %d: ", i);
        cli_put(stderr, bv_error_message(cause));
        (void)fputc('\n', stderr);
    }
    return cli_exit_code(bv_error_code(err));
}

bool cli_interrupted(cli *c)
{
    struct signalfd_siginfo info;

    return c->signal_fd >= 0 && read(c->signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info);
}

/* ---- progress ---- */

static void amount_text(const bv_progress *p, uint64_t value, char *text, size_t size)
{
    if (strcmp(p->unit, "bytes") == 0)
        (void)cli_size_text(value, text, size);
    else
        (void)snprintf(text, size, "%llu", (unsigned long long)value);
}

static void draw_bar(uint64_t done, uint64_t total, char *bar)
{
    size_t filled = total ? (size_t)((double)done / (double)total * BAR_WIDTH) : 0;

    for (size_t i = 0; i < BAR_WIDTH; i++)
        bar[i] = i < filled ? '=' : ' ';
    bar[BAR_WIDTH] = '\0';
}

static void describe(const bv_progress *p, char *text, size_t size)
{
    char done[32], total[32], rate[32] = "", eta[32] = "";
    size_t at = 0;

    amount_text(p, p->done, done, sizeof(done));
    amount_text(p, p->total, total, sizeof(total));
    if (p->bytes_per_s)
        (void)cli_size_text(p->bytes_per_s, rate, sizeof(rate));
    if (p->eta_ms >= 0)
        (void)cli_duration_text(p->eta_ms, eta, sizeof(eta));
    at = (size_t)snprintf(text, size, "%s %s", p->phase, done);
    if (p->total && at < size)
        at += (size_t)snprintf(text + at, size - at, " of %s %s(%u%%)", total,
                               strcmp(p->unit, "bytes") ? p->unit : "",
                               (unsigned)((double)p->done * 100 / (double)p->total));
    if (*rate && at < size)
        at += (size_t)snprintf(text + at, size - at, ", %s/s", rate);
    if (*eta && at < size)
        (void)snprintf(text + at, size - at, ", %s left", eta);
}

/* Columns of the terminal that progress goes to. */
static int columns(void)
{
    struct winsize size = { 0 };

    return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1 ? size.ws_col : 80;
}

void cli_call_draw(cli_call *call, uint64_t done, uint64_t total, const char *text)
{
    bool terminal = isatty(STDERR_FILENO);
    char bar[BAR_WIDTH + 1], line[512];

    if (terminal) {
        draw_bar(done, total, bar);
        (void)snprintf(line, sizeof(line), "%s [%s] %s", call->what, bar, text);
        (void)fprintf(stderr, "\r\033[K%.*s", columns() - 1,
                      line); /* a longer one would leave parts behind */
    } else {
        (void)fprintf(stderr, "%s: %s\n", call->what, text);
    }
    call->drawn = terminal;
    call->shown_ms = cli_now_ms();
}

/* What a host says of its work, in the words of a transfer. */
static void progress_event(const cli_call *call, const bv_progress *p)
{
    bool bytes = strcmp(p->unit, "bytes") == 0;
    const bv_transfer_status status = { .size = sizeof(status),
                                        .phase = p->phase,
                                        .bytes_done = bytes ? p->done : 0,
                                        .bytes_total = bytes ? p->total : 0,
                                        .bytes_per_s = p->bytes_per_s,
                                        .eta_ms = p->eta_ms };

    cli_progress_event("progress", &status, cli_now_ms() - call->began_ms);
}

static void on_progress(bv_op *op, const bv_progress *progress, void *data)
{
    cli_call *call = data;
    bool terminal = isatty(STDERR_FILENO);
    int64_t now = cli_now_ms();
    char text[256];

    (void)op;
    if (call->c->progress == CLI_PROGRESS_JSON) {
        progress_event(call, progress);
        return;
    }
    if (!terminal && now - call->shown_ms < PLAIN_PROGRESS_MS)
        return;
    describe(progress, text, sizeof(text));
    cli_call_draw(call, progress->done, progress->total, text);
}

/* ---- waiting ---- */

static void clear_line(cli_call *call)
{
    if (call->drawn)
        (void)fputs("\r\033[K", stderr);
    call->drawn = false;
}

void cli_call_begin(cli_call *call, cli *c, const char *what)
{
    memset(call, 0, sizeof(*call));
    call->c = c;
    call->what = what;
    call->exit_code = EXIT_FAILED;
    call->shown_ms = call->began_ms = cli_now_ms();
}

/* What failed, for people or for programs. */
static int report(const cli_call *call, const bv_error *err)
{
    int exit_code = cli_exit_code(bv_error_code(err));

    if (call->c->progress != CLI_PROGRESS_JSON)
        return cli_report(err);
    cli_failure_event(err, exit_code);
    return exit_code;
}

int cli_call_failed(cli_call *call, const bv_error *err)
{
    bool expected = call->asked && bv_error_code(err) == BV_E_CANCELLED;

    call->done = true;
    clear_line(call);
    /* Who pressed Ctrl-C need not be told, but a program wants an end. */
    if (!expected || call->c->progress == CLI_PROGRESS_JSON)
        call->exit_code = report(call, err);
    if (expected)
        call->exit_code = call->asked;
    return call->exit_code;
}

void cli_call_done(bv_op *op, const bv_doc *reply, const bv_error *err, void *data)
{
    cli_call *call = data;

    (void)op;
    if (err) {
        (void)cli_call_failed(call, err); /* the call keeps the code */
        return;
    }
    call->done = true;
    clear_line(call);
    call->exit_code = bv_doc_copy(reply, &call->reply, NULL) < 0 ? EXIT_LIMIT : EXIT_OK;
}

/* Returns true when the output's reader is gone and the call is only for it. */
static bool wait_once(const cli_call *call)
{
    struct pollfd fds[3] = { { .fd = bv_ctx_fd(call->c->ctx), .events = POLLIN },
                             { .fd = call->c->signal_fd, .events = POLLIN }, /* -1 is passed over */
                             { .fd = call->while_read ? STDOUT_FILENO : -1 } };

    (void)poll(fds, 3, -1);
    return (fds[2].revents & POLLERR) != 0;
}

/* The second Ctrl-C. The call is still under way and would report to a place that is gone, so the
 * process ends here; a daemon cancels what nobody waits for. */
static void give_up(cli_call *call)
{
    clear_line(call);
    (void)fflush(stdout);
    _exit(EXIT_INTERRUPTED);
}

/* Transfers of our own report by themselves, and more. */
static bool wants_progress(const cli_call *call)
{
    return call->op && !call->is_transfer && call->c->progress != CLI_PROGRESS_NONE &&
           (!call->c->quiet || call->c->progress != CLI_PROGRESS_AUTO);
}

int cli_call_wait(cli_call *call, int r)
{
    if (r < 0) {
        call->exit_code = call->err ? report(call, call->err) : cli_exit_code(r);
        return call->exit_code;
    }
    if (wants_progress(call))
        bv_op_on_progress(call->op, on_progress, call);
    while (!call->done) {
        (void)bv_ctx_dispatch(call->c->ctx, 0);
        if (call->done)
            break;
        if (cli_interrupted(call->c)) {
            if (call->asked)
                give_up(call);
            call->asked = EXIT_INTERRUPTED;
            if (call->op)
                bv_op_cancel(call->op);
            continue;
        }
        if (wait_once(call)) {
            call->while_read = false;
            call->asked = EXIT_PIPE;
            bv_op_cancel(call->op);
        }
    }
    return call->exit_code;
}

void cli_call_end(cli_call *call)
{
    bv_op_unref(call->op);
    bv_doc_free(call->reply);
    bv_error_free(call->err);
}
