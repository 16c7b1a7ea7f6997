/*
 * cli.h - what the files of `bv` share: a session with one host, parsed arguments, waiting for
 * calls, output.
 */
#ifndef BV_CLI_H
#define BV_CLI_H

#include <blockvisor/blockvisor.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* Exit codes; one for each class of failure a script may want to tell apart. bv(1) lists them. */
enum {
    EXIT_OK = 0,
    EXIT_FAILED = 1,
    EXIT_USAGE = 2,
    EXIT_NOT_FOUND = 3,
    EXIT_CONFLICT = 4, /* exists, busy, or in a state that does not allow it */
    EXIT_DENIED = 5,
    EXIT_TIMEOUT = 6,
    EXIT_UNREACHABLE = 7, /* the daemon or a remote peer */
    EXIT_DAMAGED = 8,     /* data is not what it should be */
    EXIT_UNSUPPORTED = 9,
    EXIT_LIMIT = 10, /* memory or another maximum */
    EXIT_INTERRUPTED = 130,
    EXIT_PIPE = 141 /* whoever read the output went away */
};

#define CLI_OPTIONS_MAX 40
#define CLI_LIST_MAX    64
#define CLI_PHASE_MAX   24
#define CLI_PATH_MAX    512

typedef enum cli_kind {
    CLI_FLAG,
    CLI_TEXT,
    CLI_NUMBER,
    CLI_LIST /* may be repeated */
} cli_kind;

typedef struct cli_option {
    const char *name; /* long form; NULL ends a table */
    char letter;      /* short form or 0 */
    cli_kind kind;
    const char *value; /* what help calls its value */
    const char *help;
    bool of_host; /* snapshot commands: also without a store on the command line */
} cli_option;

/* A command line taken apart by a command's table. */
typedef struct cli_args {
    const struct cli_command *command;
    int count;
    char **items; /* positional arguments */
    const char
        *values[CLI_OPTIONS_MAX]; /* last value, or "" for a flag that is set; by table index */
    const char *lists[CLI_OPTIONS_MAX][CLI_LIST_MAX];
    int list_counts[CLI_OPTIONS_MAX];
} cli_args;

/* Where progress goes, and how. */
typedef enum cli_progress {
    CLI_PROGRESS_AUTO, /* a line on a terminal */
    CLI_PROGRESS_NONE,
    CLI_PROGRESS_LINE, /* also without a terminal */
    CLI_PROGRESS_JSON, /* NDJSON; failures too are told this way */
} cli_progress;

typedef struct cli {
    bv_ctx *ctx;
    bv_host *host;
    const char *uri;  /* of the host */
    uint32_t workers; /* threads; 0: two */
    cli_progress progress;
    bool json;
    bool quiet; /* no progress, no notes */
    bool colour;
    int verbose;
    int exit_code;
    int signal_fd; /* SIGINT and SIGTERM */
} cli;

typedef int (*cli_run_fn)(cli *c, const cli_args *args); /* an exit code */

typedef struct cli_command {
    const char *group;  /* "node"; NULL for a command without one */
    const char *name;   /* "create" */
    const char *alias;  /* or NULL */
    const char *params; /* "IMAGE" for help */
    int least, most;    /* positional arguments; most -1: any number */
    const cli_option *options;
    cli_run_fn run;
    const char *help; /* one line */
    bool offline;     /* needs no host, or opens it itself */
    bool passes_on;   /* what follows its first argument is for another program */
} cli_command;

extern const cli_command cli_commands[];
extern const size_t cli_command_count;
extern const cli_option cli_global_options[];

/* ---- main.c ---- */

/* Both report a failure and give the exit code; a second time does nothing. */
int cli_open_ctx(cli *c);
int cli_open_host(cli *c);

/* ---- args.c ---- */
const char *cli_text(const cli_args *args, const char *name); /* NULL: not given */
bool cli_flag(const cli_args *args, const char *name);
uint64_t cli_number(const cli_args *args, const char *name,
                    uint64_t fallback); /* checked while parsing */
const char *const *cli_list(const cli_args *args, const char *name, int *ret_count);
/* Parses what follows the command's words. EXIT_OK, or EXIT_USAGE with a message on stderr; -1:
 * help was printed. */
int cli_parse(const cli_command *command, int argc, char **argv, cli_args *args);
bool cli_takes_value(const cli_command *command, const char *word); /* the next word, that is */
const cli_command *cli_find(const char *group, const char *name);
void cli_help(FILE *out);
void cli_help_group(FILE *out, const char *group);
void cli_help_command(FILE *out, const cli_command *command);
int cli_usage_error(const cli_command *command, const char *fmt, ...) BV_PRINTF(2, 3);

/* ---- call.c: starting a call and waiting for its end ---- */

typedef struct cli_call {
    cli *c;
    const char *what; /* for progress: "importing image" */
    bv_op *op;
    bv_doc *reply; /* a copy; NULL on failure */
    bv_error *err; /* why the call could not be started */
    int exit_code;
    bool done;
    int asked;       /* exit code of an end that somebody asked for; 0: nobody did */
    bool while_read; /* of no use when nobody reads the output any more */
    bool drawn;      /* a progress line is on the screen */
    int64_t shown_ms;
    int64_t began_ms;
    bool is_transfer; /* reports by cli_transfer_status() */
    bv_transfer_status last;
    char phase[CLI_PHASE_MAX]; /* its texts */
    char full_path[CLI_PATH_MAX];
} cli_call;

void cli_call_begin(cli_call *call, cli *c, const char *what);
/* For the done and data arguments of a call. */
void cli_call_done(bv_op *op, const bv_doc *reply, const bv_error *err, void *data);
/* r: what the starting function returned. Waits; shows progress on stderr; Ctrl-C cancels. An exit
 * code. */
int cli_call_wait(cli_call *call, int r);
/* The end by an error: tells it, unless somebody asked for it. The exit code. */
int cli_call_failed(cli_call *call, const bv_error *err);
/* The progress line: with a bar on a terminal, else a line of its own. */
void cli_call_draw(cli_call *call, uint64_t done, uint64_t total, const char *text);
void cli_call_end(cli_call *call);
int cli_report(const bv_error *err); /* prints "Error: ..." and gives the exit code */
int cli_exit_code(int code);
bool cli_interrupted(cli *c); /* Ctrl-C came */
int64_t cli_now_ms(void);

/* ---- transfer.c: transfers of our own, without a host ---- */

/* For the status, done and data arguments of a transfer: a cli_call, whose `last` they fill. */
void cli_transfer_status(bv_op *op, const bv_transfer_status *status, void *data);
void cli_transfer_done(bv_op *op, const bv_error *err, const bv_transfer_status *status,
                       void *data);
int cli_transfer_wait(cli_call *call, int r); /* as cli_call_wait() */
/* A line of NDJSON on stderr: "progress", "done"; "differs"; "failed". */
void cli_progress_event(const char *event, const bv_transfer_status *status, int64_t elapsed_ms);
void cli_differs_event(const char *path, uint64_t pos, uint64_t len);
void cli_failure_event(const bv_error *err, int exit_code);
/* Reads --progress into the session. EXIT_USAGE when it is something else. */
int cli_take_progress(cli *c, const cli_args *args);

/* ---- snapshot_store.c: stores on the command line ---- */

typedef struct cli_store {
    char *uri; /* "dir:/path", ... */
    char *key; /* NULL: not said */
} cli_store;

bool cli_is_store(const char *word); /* by its scheme, or as a path with a '/' */
/* An exit code; failures are reported. The store is done by the caller in any case. */
int cli_store_init(cli_store *store, const cli_args *args, const char *word);
/* Unless a key was given: the only one there is. */
int cli_store_find_key(cli *c, const cli_args *args, cli_store *store);
/* Unless a key was given: the name of this directory. */
int cli_store_name_key(const cli_args *args, cli_store *store, const char *dir);
/* That a directory to read from exists; opening a store would make it. */
int cli_store_must_exist(const cli_store *store);
void cli_store_done(cli_store *store);

/* ---- output.c ---- */

/* A table: titles, then rows; columns as wide as needed. Right-aligned columns begin their title
 * with '>'. */
typedef struct cli_table cli_table;
cli_table *cli_table_new(const char *const *titles, int columns);
void cli_table_row(cli_table *table, const char *const *cells,
                   const char *const *colours); /* colours may be NULL */
void cli_table_print(const cli_table *table, const cli *c);
void cli_table_free(cli_table *table);

const char *cli_status_colour(const char *status);
void cli_print_json(const bv_doc *doc);
/* All write into a buffer and return it. */
char *cli_size_text(uint64_t bytes, char *text, size_t size); /* "12.3 MiB" */
bool cli_size_parse(const char *text, uint64_t *ret_bytes);   /* "10M", "1.5GiB", "4096" */
char *cli_uptime_text(int64_t seconds, char *text,
                      size_t size); /* "[3d ]01:02:03", "-" when negative */
char *cli_time_text(int64_t unix_seconds, char *text, size_t size); /* local time */
char *cli_duration_text(int64_t ms, char *text, size_t size);       /* "1m05s" */
bool cli_confirm(cli *c, const char *question);                     /* y in any case */
/* Text from elsewhere, without anything that a terminal would obey. */
void cli_put(FILE *out, const char *text);
void cli_release_signals(void); /* before another program takes our place */

/* A JSON object or array as text, growing; NULL from the end function: no memory. */
typedef struct cli_json {
    char *text;
    size_t len, cap;
    bool failed;
} cli_json;
void cli_json_raw(cli_json *j, const char *text);
void cli_json_string(cli_json *j, const char *text);
bv_doc *cli_json_doc(cli_json *j); /* parsed; frees the text */

/* ---- the commands, by file ---- */
int cmd_node_ls(cli *c, const cli_args *args);
int cmd_node_create(cli *c, const cli_args *args);
int cmd_node_start(cli *c, const cli_args *args);
int cmd_node_stop(cli *c, const cli_args *args);
int cmd_node_restart(cli *c, const cli_args *args);
int cmd_node_set(cli *c, const cli_args *args);
int cmd_node_check(cli *c, const cli_args *args);
int cmd_node_tasks(cli *c, const cli_args *args);
int cmd_node_reload(cli *c, const cli_args *args);
int cmd_node_rm(cli *c, const cli_args *args);
int cmd_node_show(cli *c, const cli_args *args);
int cmd_node_status(cli *c, const cli_args *args);
int cmd_node_run(cli *c, const cli_args *args);
int cmd_node_caps(cli *c, const cli_args *args);
int cmd_node_shell(cli *c, const cli_args *args);
int cmd_job_ls(cli *c, const cli_args *args);
int cmd_job_show(cli *c, const cli_args *args);
int cmd_job_start(cli *c, const cli_args *args);
int cmd_job_stop(cli *c, const cli_args *args);
int cmd_job_skip(cli *c, const cli_args *args);
int cmd_job_cleanup(cli *c, const cli_args *args);
int cmd_job_logs(cli *c, const cli_args *args);
int cmd_image_ls(cli *c, const cli_args *args);
int cmd_image_import(cli *c, const cli_args *args);
int cmd_image_rm(cli *c, const cli_args *args);
int cmd_plugin_call(cli *c, const cli_args *args);
int cmd_plugin_check(cli *c, const cli_args *args);
int cmd_plugin_eval(cli *c, const cli_args *args);
int cmd_plugin_render(cli *c, const cli_args *args);
int cmd_plugin_test(cli *c, const cli_args *args);
int cmd_snapshot_ls(cli *c, const cli_args *args);
int cmd_snapshot_upload(cli *c, const cli_args *args);
int cmd_snapshot_download(cli *c, const cli_args *args);
int cmd_snapshot_restore(cli *c, const cli_args *args);
int cmd_snapshot_files(cli *c, const cli_args *args);
int cmd_snapshot_cat(cli *c, const cli_args *args);
int cmd_snapshot_diff(cli *c, const cli_args *args);
int cmd_snapshot_prune(cli *c, const cli_args *args);
int cmd_snapshot_verify(cli *c, const cli_args *args);
int cmd_host_info(cli *c, const cli_args *args);
int cmd_host_metrics(cli *c, const cli_args *args);
int cmd_host_limits(cli *c, const cli_args *args);
int cmd_events(cli *c, const cli_args *args);
int cmd_completion(cli *c, const cli_args *args);

#endif
