/*
 * main.c - blockvisord: opens a host, serves it on a Unix socket, and runs until it is told to
 * stop.
 *
 * A thin program over the library. Stopping it, or its death, stops no node.
 */
#include <errno.h>
#include <event2/event.h>
#include <getopt.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <blockvisor/adapters/libevent.h>
#include <blockvisor/blockvisor.h>

#define WORKERS_DEFAULT 2u

typedef struct settings {
    const char *root;
    const char *uri;
    const char *socket;
    const char *group;
    unsigned mode;
    unsigned workers;
    int log_level;
    bv_host_opts host;
} settings;

static const char *const level_names[] = { "error", "warn", "info", "debug", "trace" };

/* One line a record: time, level, module, node, message; journald and files both like it. */
static void log_line(void *data, const bv_log_record *rec)
{
    time_t seconds = (time_t)(rec->wall_us / 1000000);
    struct tm utc;
    char when[32] = "";

    (void)data;
    if (gmtime_r(&seconds, &utc))
        (void)strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%S", &utc);
    (void)fprintf(stderr, "%s.%03dZ %-5s %s: %s%s%s%s%s%s\n", when,
                  (int)(rec->wall_us / 1000 % 1000), level_names[rec->level], rec->module,
                  rec->node ? "node " : "", rec->node ? rec->node : "", rec->job ? " job " : "",
                  rec->job ? rec->job : "", rec->node || rec->job ? ": " : "", rec->message);
}

/* ---- options ---- */

enum {
    OPT_ROOT = 256,
    OPT_URI,
    OPT_SOCKET,
    OPT_GROUP,
    OPT_MODE,
    OPT_AGENT,
    OPT_RUNTIME,
    OPT_DRIVER,
    OPT_STORE,
    OPT_FORMAT,
    OPT_WORKERS,
    OPT_LEVEL
};

static const struct option long_options[] = {
    { "root", required_argument, NULL, OPT_ROOT },
    { "uri", required_argument, NULL, OPT_URI },
    { "socket", required_argument, NULL, OPT_SOCKET },
    { "socket-group", required_argument, NULL, OPT_GROUP },
    { "socket-mode", required_argument, NULL, OPT_MODE },
    { "agent-dir", required_argument, NULL, OPT_AGENT },
    { "runtime", required_argument, NULL, OPT_RUNTIME },
    { "driver", required_argument, NULL, OPT_DRIVER },
    { "store", required_argument, NULL, OPT_STORE },
    { "snapshot-format", required_argument, NULL, OPT_FORMAT },
    { "workers", required_argument, NULL, OPT_WORKERS },
    { "log-level", required_argument, NULL, OPT_LEVEL },
    { "version", no_argument, NULL, 'V' },
    { "help", no_argument, NULL, 'h' },
    { NULL, 0, NULL, 0 },
};

static void help(FILE *out)
{
    (void)fputs("Usage: blockvisord [OPTION...]\n\n"
                "Runs blockchain nodes on this host and serves bv on a Unix socket.\n\n"
                "  --root DIR            prefix of every path (default: $BV_ROOT, else /)\n"
                "  --socket PATH         where to listen\n"
                "                        (default: <root>/run/blockvisor/blockvisord.sock)\n"
                "  --socket-group NAME   group that may connect (default: the process's)\n"
                "  --socket-mode OCTAL   mode of the socket (default: 0660)\n"
                "  --agent-dir DIR       agent bundle that is mounted into nodes\n"
                "  --runtime NAME|PATH   OCI runtime (default: the first that works)\n"
                "  --driver NAME         oci or fake (default: oci)\n"
                "  --store URI           snapshots: dir:/path, s3://bucket/prefix or http://...\n"
                "                        (default: <root>/var/lib/blockvisor/snapshots)\n"
                "  --snapshot-format NAME  of what nodes upload: archive or snapshot\n"
                "                        (default: archive)\n"
                "  --uri URI             serve another host than local:<root>\n"
                "  --workers N           threads for blocking work (default: 2)\n"
                "  --log-level LEVEL     error, warn, info, debug or trace (default: info)\n"
                "  -V, --version         print the version\n"
                "  -h, --help            print this help\n",
                out);
}

static int usage_error(const char *what, const char *value)
{
    (void)fprintf(stderr, "Error: %s%s%s%s\nUsage: blockvisord [OPTION...]\n", what,
                  value ? " '" : "", value ? value : "", value ? "'" : "");
    return 2;
}

static int parse_number(const char *text, int base, unsigned long most, unsigned *ret_value)
{
    char *end = NULL;
    unsigned long value;

    errno = 0;
    value = strtoul(text, &end, base);
    if (errno || end == text || *end || value > most || text[0] == '-')
        return -1;
    *ret_value = (unsigned)value;
    return 0;
}

static int parse_level(const char *text, int *ret_level)
{
    for (size_t i = 0; i < sizeof(level_names) / sizeof(level_names[0]); i++) {
        if (strcmp(level_names[i], text) == 0) {
            *ret_level = (int)i;
            return 0;
        }
    }
    return -1;
}

/* An exit code, or -1 to go on. */
static int set_option(settings *s, int option, const char *value)
{
    switch (option) {
    case OPT_ROOT:
        s->root = value;
        return -1;
    case OPT_URI:
        s->uri = value;
        return -1;
    case OPT_SOCKET:
        s->socket = value;
        return -1;
    case OPT_GROUP:
        s->group = value;
        return -1;
    case OPT_MODE:
        return parse_number(value, 8, 0777, &s->mode) < 0
                   ? usage_error("--socket-mode: not a mode:", value)
                   : -1;
    case OPT_AGENT:
        s->host.agent_dir = value;
        return -1;
    case OPT_RUNTIME:
        s->host.runtime = value;
        return -1;
    case OPT_DRIVER:
        s->host.driver = value;
        return -1;
    case OPT_STORE:
        s->host.store = value;
        return -1;
    case OPT_FORMAT:
        s->host.upload_format = value;
        return -1;
    case OPT_WORKERS:
        return parse_number(value, 10, BV_WORKERS_MAX, &s->workers) < 0
                   ? usage_error("--workers: too many:", value)
                   : -1;
    case OPT_LEVEL:
        return parse_level(value, &s->log_level) < 0
                   ? usage_error("--log-level: there is no level", value)
                   : -1;
    case 'V':
        (void)printf("blockvisord %s\n", bv_version());
        return 0;
    case 'h':
        help(stdout);
        return 0;
    default:
        return usage_error("the options are not understood", NULL);
    }
}

static int parse(int argc, char **argv, settings *s)
{
    int option, code;

    while ((option = getopt_long(argc, argv, "Vh", long_options, NULL)) != -1) {
        code = set_option(s, option, optarg);
        if (code >= 0)
            return code;
    }
    return optind < argc ? usage_error("there is one argument too many:", argv[optind]) : -1;
}

/* ---- running ---- */

typedef struct daemon_state {
    struct event_base *base;
    struct event *on_int, *on_term, *on_hup;
    int stopped_by; /* the signal; 0: none yet */
    bv_libevent adapter;
    bv_ctx *ctx;
    bv_host *host;
    bv_server *server;
} daemon_state;

static void stop(evutil_socket_t signum, short events, void *data)
{
    daemon_state *d = data;

    (void)events;
    d->stopped_by = (int)signum;
    (void)event_base_loopbreak(d->base);
}

static struct event *catch_signal(daemon_state *d, int signum)
{
    struct event *ev = evsignal_new(d->base, signum, stop, d);

    if (ev && event_add(ev, NULL) < 0) {
        event_free(ev);
        return NULL;
    }
    return ev;
}

static int fail(const char *what, const bv_error *err)
{
    char text[4096];

    (void)bv_error_format(err, text, sizeof(text));
    (void)fprintf(stderr, "Error: %s%s%s\n", what, err ? ": " : "", err ? text : "");
    return 1;
}

static int open_all(daemon_state *d, const settings *s, const char *uri, const char *socket_path)
{
    bv_ctx_opts ctx_opts = BV_CTX_OPTS_INIT;
    bv_server_opts server_opts = BV_SERVER_OPTS_INIT;
    struct group *group = s->group ? getgrnam(s->group) : NULL;
    bv_error *err = NULL;
    int code = 0;

    if (s->group && !group)
        return fail("--socket-group: there is no such group", NULL);
    ctx_opts.log = log_line;
    ctx_opts.log_level = s->log_level;
    ctx_opts.workers = s->workers;
    server_opts.socket_path = socket_path;
    server_opts.socket_mode = s->mode;
    server_opts.socket_gid = group ? (int64_t)group->gr_gid : -1;
    server_opts.base = d->base;
    if (bv_libevent_ctx_new(&d->adapter, d->base, &ctx_opts, &d->ctx, &err) < 0)
        code = fail("cannot start", err);
    else if (bv_host_open(d->ctx, uri, &s->host, &d->host, &err) < 0)
        code = fail("cannot start", err);
    else if (bv_server_new(d->ctx, d->host, &server_opts, &d->server, &err) < 0)
        code = fail("cannot start", err);
    bv_error_free(err);
    return code;
}

/* Freeing the signals' events brings back what signals do by default; from here on a second one
 * waits for the exit, so that whoever asks twice does not turn an orderly end into a death. */
static void block_signals(void)
{
    sigset_t set;

    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGINT);
    (void)sigaddset(&set, SIGTERM);
    (void)sigaddset(&set, SIGHUP);
    (void)sigprocmask(SIG_BLOCK, &set, NULL);
}

static void close_all(daemon_state *d)
{
    bv_server_free(d->server);
    bv_host_close(d->host);
    bv_ctx_free(d->ctx);
    bv_libevent_done(&d->adapter);
    block_signals();
    if (d->on_int)
        event_free(d->on_int);
    if (d->on_term)
        event_free(d->on_term);
    if (d->on_hup)
        event_free(d->on_hup);
    if (d->base)
        event_base_free(d->base);
}

/* Until a signal ends it; whoever reads the log later sees which. */
static int serve(daemon_state *d)
{
    (void)event_base_dispatch(d->base);
    if (!d->stopped_by)
        return fail("the event loop ended", NULL);
    (void)fprintf(stderr, "blockvisord stops: %s\n", strsignal(d->stopped_by));
    return 0;
}

static int run(const settings *s)
{
    daemon_state d = { 0 };
    char uri[4096], socket_path[4096];
    const char *root = strcmp(s->root, "/") == 0 ? "" : s->root;
    int code = 1;

    (void)snprintf(uri, sizeof(uri), "local:%s", s->root);
    (void)snprintf(socket_path, sizeof(socket_path), "%s%s", root, BV_HOST_SOCKET_DEFAULT);
    d.base = event_base_new();
    if (d.base) {
        d.on_int = catch_signal(&d, SIGINT);
        d.on_term = catch_signal(&d, SIGTERM);
        d.on_hup = catch_signal(&d, SIGHUP);
    }
    if (!d.on_int || !d.on_term || !d.on_hup)
        code = fail("out of memory", NULL);
    else
        code = open_all(&d, s, s->uri ? s->uri : uri, s->socket ? s->socket : socket_path);
    if (code == 0) {
        (void)fprintf(stderr, "blockvisord %s serves %s on %s\n", bv_version(),
                      s->uri ? s->uri : uri, s->socket ? s->socket : socket_path);
        code = serve(&d);
    }
    close_all(&d);
    return code;
}

int main(int argc, char **argv)
{
    const char *root = getenv("BV_ROOT");
    settings s = { .root = root && *root ? root : "/",
                   .workers = WORKERS_DEFAULT,
                   .log_level = BV_LOG_INFO,
                   .host = BV_HOST_OPTS_INIT };
    int code = parse(argc, argv, &s);

    if (code >= 0)
        return code;
    (void)signal(SIGPIPE, SIG_IGN);
    return run(&s);
}
