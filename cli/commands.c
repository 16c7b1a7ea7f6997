/*
 * commands.c - every command of `bv` in one table: help, parsing, completion and a test of the man
 * page follow it.
 */
#include <stddef.h>

#include "cli.h"
#include "plugin_options.h"

#define END                                                                                        \
    {                                                                                              \
        NULL, 0, CLI_FLAG, NULL, NULL                                                              \
    }

const cli_option cli_global_options[] = {
    { "host", 'H', CLI_TEXT, "URI",
      "unix:SOCKET, local:ROOT or fake: (default: $BV_HOST, else unix:)" },
    { "output", 'o', CLI_TEXT, "FORMAT", "table or json" },
    { "quiet", 'q', CLI_FLAG, NULL, "no progress and no notes" },
    { "verbose", 'v', CLI_FLAG, NULL, "log to stderr; twice for debugging" },
    { "version", 'V', CLI_FLAG, NULL, "print the version" },
    { "help", 'h', CLI_FLAG, NULL, "print help" },
    END,
};

static const cli_option no_options[] = { END };

static const cli_option ls_options[] = {
    { "running", 'r', CLI_FLAG, NULL, "only running nodes" },
    { "tag", 0, CLI_LIST, "TAG", "only nodes with this tag; may be repeated" },
    END,
};

static const cli_option create_options[] = {
    { "name", 'n', CLI_TEXT, "NAME", "name of the node (default: made up)" },
    { "variant", 0, CLI_TEXT, "KEY", "variant of the image (default: the first)" },
    { "network", 0, CLI_TEXT, "NET", "host or none (default: host)" },
    { "prop", 'p', CLI_LIST, "KEY=VALUE", "property; may be repeated" },
    { "tag", 0, CLI_LIST, "TAG", "tag; may be repeated" },
    { "store-key", 0, CLI_TEXT, "KEY", "snapshot to restore and upload to (\"\": none)" },
    { "snapshot-version", 0, CLI_NUMBER, "N", "version to restore (default: the latest)" },
    { "memory-mb", 0, CLI_NUMBER, "N", "memory limit in 10^6 bytes" },
    { "cpus", 0, CLI_TEXT, "N", "CPU limit, such as 1.5" },
    { "dev", 0, CLI_TEXT, "DIR", "development node: read its plugin from here" },
    END,
};

static const cli_option limits_options[] = {
    { "memory-mib", 0, CLI_NUMBER, "N", "set their memory in MiB (0: the default)" },
    { "connections", 0, CLI_NUMBER, "N", "set their connections (0: the default)" },
    { "open-files", 0, CLI_NUMBER, "N", "set their open files (0: the default)" },
    { "download-rate", 0, CLI_TEXT, "RATE", "set bytes per second, such as 20M (0: no limit)" },
    { "upload-rate", 0, CLI_TEXT, "RATE", "set bytes per second, such as 20M (0: no limit)" },
    END,
};

static const cli_option force_options[] = {
    { "force", 'f', CLI_FLAG, NULL, "do not wait for its jobs to end well" },
    END,
};

static const cli_option yes_options[] = {
    { "yes", 'y', CLI_FLAG, NULL, "do not ask" },
    END,
};

static const cli_option run_options[] = {
    { "param", 0, CLI_TEXT, "TEXT", "parameter of the method" },
    { "param-file", 0, CLI_TEXT, "PATH", "read the parameter from a file" },
    { "timeout", 't', CLI_NUMBER, "SECONDS", "how long it may take (default: 60)" },
    END,
};

static const cli_option node_check_options[] = {
    { "start", 's', CLI_FLAG, NULL, "start it if it does not run" },
    { "start-timeout", 0, CLI_NUMBER, "SECONDS", "how long that may take (default: 30)" },
    { "jobs-wait", 0, CLI_NUMBER, "SECONDS", "pause before looking at jobs (default: 5)" },
    END,
};

static const cli_option logs_options[] = {
    { "lines", 'n', CLI_NUMBER, "N", "how many lines from the end (default: 100)" },
    { "follow", 'f', CLI_FLAG, NULL, "go on with new output until interrupted" },
    END,
};

static const cli_option import_options[] = {
    { "name", 'n', CLI_TEXT, "NAME", "protocol/variant:version (default: from babel.yaml)" },
    END,
};

/* ---- snapshots: those marked `true` also with the store of a host ---- */

#define STORE_OPTIONS                                                                              \
    { "key", 'k', CLI_TEXT, "KEY", "key in the store (also STORE#KEY)" },                          \
        { "credentials", 0, CLI_TEXT, "FILE", "S3: file of profiles with keys" },                  \
    {                                                                                              \
        "profile", 0, CLI_TEXT, "NAME", "S3: profile in it (default: default)"                     \
    }
#define VERSION_OPTION                                                                             \
    {                                                                                              \
        "version", 0, CLI_NUMBER, "N", "version (default: the latest)", true                       \
    }
#define TRANSFER_OPTIONS                                                                           \
    { "connections", 0, CLI_NUMBER, "N", "requests at the same time (default: 4)" },               \
        { "workers", 0, CLI_NUMBER, "N", "threads, and pieces worked on at the same time" },       \
        { "memory-mib", 0, CLI_NUMBER, "N", "memory for buffers (default: 128)" },                 \
    {                                                                                              \
        "progress", 0, CLI_TEXT, "HOW", "auto, line, json (NDJSON on stderr) or none", true        \
    }
#define RATE_OPTION                                                                                \
    { "limit-rate", 0, CLI_TEXT, "SIZE", "bytes a second at most, such as 10M" },                  \
    {                                                                                              \
        "space-wait", 0, CLI_NUMBER, "S", "seconds to wait on a full disk (default: 600)"          \
    }
#define STATE_OPTION                                                                               \
    {                                                                                              \
        "state-dir", 0, CLI_TEXT, "DIR", "what a resume needs (default: DIR.transfer)"             \
    }
#define MIRROR_OPTION                                                                              \
    {                                                                                              \
        "mirror", 0, CLI_LIST, "STORE", "read from this one too; may be repeated"                  \
    }
#define VERIFY_KEY_OPTION                                                                          \
    {                                                                                              \
        "verify-key", 0, CLI_TEXT, "FILE", "refuse what this public key did not sign (PEM)"        \
    }
#define PROTECT_OPTION                                                                             \
    {                                                                                              \
        "protect", 0, CLI_LIST, "GLOB", "protect as keys are; !GLOB: not; may be repeated"         \
    }
#define RESTORE_OPTIONS                                                                            \
    { "seed", 0, CLI_LIST, "DIR", "reuse equal data of this directory; may be repeated" },         \
        { "no-owner", 0, CLI_FLAG, NULL, "leave owners as they come" },                            \
    {                                                                                              \
        "xattrs", 0, CLI_FLAG, NULL, "with extended attributes"                                    \
    }

static const cli_option snapshot_ls_options[] = {
    STORE_OPTIONS,
    { "versions", 0, CLI_FLAG, NULL, "all versions of each key, not only the latest", true },
    END,
};

static const cli_option snapshot_upload_options[] = {
    STORE_OPTIONS,
    { "format", 0, CLI_TEXT, "NAME", "snapshot or archive (default: snapshot)", true },
    { "exclude", 'x', CLI_LIST, "GLOB", "leave out; may be repeated" },
    PROTECT_OPTION,
    { "codec", 0, CLI_TEXT, "NAME", "zstd, lz4 or none (default: zstd)" },
    { "level", 'l', CLI_NUMBER, "N", "of the compression (default: 3)" },
    { "sign", 0, CLI_TEXT, "FILE", "sign with this Ed25519 key (PEM)" },
    { "gate", 0, CLI_TEXT, "COMMAND", "publish only if it finds DIR good (exits with 0)" },
    { "rehash", 0, CLI_FLAG, NULL, "read files that seem unchanged, too" },
    { "no-owner", 0, CLI_FLAG, NULL, "do not record owners" },
    { "xattrs", 0, CLI_FLAG, NULL, "record extended attributes" },
    RATE_OPTION,
    STATE_OPTION,
    TRANSFER_OPTIONS,
    END,
};

static const cli_option snapshot_download_options[] = {
    STORE_OPTIONS,
    VERSION_OPTION,
    MIRROR_OPTION,
    VERIFY_KEY_OPTION,
    PROTECT_OPTION,
    { "delete", 0, CLI_FLAG, NULL, "remove what the snapshot does not have" },
    { "recheck", 0, CLI_FLAG, NULL, "read and check what is there, whatever is known" },
    RESTORE_OPTIONS,
    RATE_OPTION,
    STATE_OPTION,
    TRANSFER_OPTIONS,
    END,
};

static const cli_option snapshot_restore_options[] = {
    STORE_OPTIONS,
    { "include", 'i', CLI_LIST, "GLOB", "paths to restore; may be repeated" },
    VERSION_OPTION,
    MIRROR_OPTION,
    VERIFY_KEY_OPTION,
    PROTECT_OPTION,
    RESTORE_OPTIONS,
    RATE_OPTION,
    STATE_OPTION,
    TRANSFER_OPTIONS,
    END,
};

static const cli_option snapshot_files_options[] = {
    STORE_OPTIONS, VERSION_OPTION, MIRROR_OPTION, VERIFY_KEY_OPTION, END,
};

static const cli_option snapshot_diff_options[] = {
    STORE_OPTIONS,
    MIRROR_OPTION,
    VERIFY_KEY_OPTION,
    END,
};

static const cli_option snapshot_prune_options[] = {
    STORE_OPTIONS,
    { "keep", 0, CLI_NUMBER, "N", "how many versions stay", true },
    { "keep-version", 0, CLI_LIST, "N", "one that stays besides; may be repeated", true },
    { "grace", 0, CLI_TEXT, "TIME", "spare younger data: 90s, 30m, 12h, 7d (default: 1d)", true },
    { "dry-run", 'n', CLI_FLAG, NULL, "only tell what would be done", true },
    END,
};

static const cli_option snapshot_verify_options[] = {
    STORE_OPTIONS,
    VERSION_OPTION,
    { "repair", 0, CLI_FLAG, NULL, "fetch again what is wrong in DIR" },
    MIRROR_OPTION,
    VERIFY_KEY_OPTION,
    PROTECT_OPTION,
    STATE_OPTION,
    TRANSFER_OPTIONS,
    END,
};

static const cli_option stop_all_options[] = {
    { "all", 'a', CLI_FLAG, NULL, "all jobs that are not stopped" },
    END,
};

static const cli_option events_options[] = {
    { "follow", 'f', CLI_FLAG, NULL, "go on until interrupted" },
    { "after", 0, CLI_NUMBER, "SEQ", "only events after this number" },
    END,
};

static const cli_option check_options[] = {
    PLUGIN_NODE_OPTIONS,
    { "strict", 0, CLI_FLAG, NULL, "warnings are failures" },
    { "notes", 0, CLI_FLAG, NULL, "print notes as well" },
    END,
};

static const cli_option eval_options[] = {
    { "expression", 'e', CLI_TEXT, "SCRIPT", "run this text instead of a file" },
    { "typed", 't', CLI_FLAG, NULL, "print the type before the value" },
    { "json", 'j', CLI_FLAG, NULL, "print the value alone, as JSON" },
    { "call", 'c', CLI_TEXT, "FN", "call this function afterwards, with ARG if given" },
    { "dir", 'd', CLI_TEXT, "DIR", "where modules are (default: the file's directory)" },
    PLUGIN_NODE_OPTIONS,
    { "timeout", 0, CLI_NUMBER, "S", "seconds it may take (default: no limit)" },
    { "max-operations", 0, CLI_NUMBER, "N", "calls and loop turns (default: no limit)" },
    { "max-memory-mb", 0, CLI_NUMBER, "N", "memory in 10^6 bytes (default: 1073)" },
    { "max-call-depth", 0, CLI_NUMBER, "N", "nested functions (default: 64)" },
    { "max-expression-depth", 0, CLI_NUMBER, "N", "nesting in the source (default: 192)" },
    { "max-string-bytes", 0, CLI_NUMBER, "N", "one string (default: 536870912)" },
    { "max-array-items", 0, CLI_NUMBER, "N", "one array (default: 67108864)" },
    { "max-map-entries", 0, CLI_NUMBER, "N", "one map (default: 67108864)" },
    { "max-modules", 0, CLI_NUMBER, "N", "modules loaded (default: 4096)" },
    END,
};

static const cli_option call_options[] = {
    PLUGIN_NODE_OPTIONS,
    { "answers", 0, CLI_TEXT, "FILE", "how the node answers (default: plugin_test.json)" },
    { "typed", 't', CLI_FLAG, NULL, "print type and debug form" },
    { "json", 'j', CLI_FLAG, NULL, "print the value alone, as JSON" },
    { "journal", 0, CLI_FLAG, NULL, "print what it asked of its node to stderr" },
    { "timeout", 0, CLI_NUMBER, "S", "seconds it may take (default: 60)" },
    END,
};

static const cli_option test_options[] = {
    PLUGIN_NODE_OPTIONS,
    { "answers", 0, CLI_TEXT, "FILE", "how the node answers (default: plugin_test.json)" },
    { "filter", 'f', CLI_TEXT, "GLOB", "only tests whose names match" },
    { "update", 'u', CLI_FLAG, NULL, "keep what comes out as golden results" },
    { "tap", 0, CLI_FLAG, NULL, "print TAP" },
    { "coverage-min", 0, CLI_NUMBER, "PERCENT", "fail when fewer lines ran" },
    { "lcov", 0, CLI_TEXT, "FILE", "write which lines ran for lcov" },
    { "timeout", 0, CLI_NUMBER, "S", "seconds a test may take (default: 60)" },
    END,
};

static const cli_option render_options[] = {
    { "params", 0, CLI_TEXT, "FILE", "JSON object with the parameters" },
    { "param", 'p', CLI_LIST, "KEY=VALUE", "a parameter that is text; may be repeated" },
    { "name", 'n', CLI_TEXT, "NAME", "file it is for (default: TEMPLATE less \".template\")" },
    { "include-dir", 'I', CLI_TEXT, "DIR", "where includes are (default: the template's)" },
    END,
};

const cli_command cli_commands[] = {
    { "node", "ls", "list", "", 0, 0, ls_options, cmd_node_ls, "list nodes", false },
    { "node", "create", "c", "IMAGE", 1, 1, create_options, cmd_node_create,
      "create a node from an image", false },
    { "node", "start", NULL, "NODE...", 1, -1, no_options, cmd_node_start, "start nodes", false },
    { "node", "stop", NULL, "NODE...", 1, -1, force_options, cmd_node_stop, "stop nodes", false },
    { "node", "restart", NULL, "NODE...", 1, -1, force_options, cmd_node_restart,
      "stop and start nodes", false },
    { "node", "rm", "delete", "NODE...", 1, -1, yes_options, cmd_node_rm,
      "delete nodes with their data", false },
    { "node", "show", "info", "NODE", 1, 1, no_options, cmd_node_show,
      "all about a node and its jobs", false },
    { "node", "status", NULL, "NODE...", 1, -1, no_options, cmd_node_status,
      "one word for each node", false },
    { "node", "run", NULL, "METHOD NODE", 2, 2, run_options, cmd_node_run,
      "call a method of its plugin", false },
    { "node", "set", NULL, "NODE KEY=VALUE...", 2, -1, no_options, cmd_node_set,
      "change properties of a node", false },
    { "node", "reload", "reload-plugin", "NODE...", 1, -1, no_options, cmd_node_reload,
      "read their plugins anew", false },
    { "node", "caps", "capabilities", "NODE", 1, 1, no_options, cmd_node_caps,
      "list methods of its plugin", false },
    { "node", "check", NULL, "NODE [CHECK...]", 1, 5, node_check_options, cmd_node_check,
      "check its plugin, jobs and protocol", false },
    { "node", "tasks", NULL, "NODE", 1, 1, no_options, cmd_node_tasks,
      "list what its plugin has scheduled", false },
    { "node", "shell", NULL, "NODE [COMMAND...]", 1, -1, no_options, cmd_node_shell,
      "a shell, or a command, inside a node", false, true },

    { "job", "ls", "list", "NODE", 1, 1, no_options, cmd_job_ls, "list the jobs of a node", false },
    { "job", "show", "info", "NODE JOB", 2, 2, no_options, cmd_job_show, "all about a job", false },
    { "job", "start", NULL, "NODE JOB", 2, 2, no_options, cmd_job_start, "start a job", false },
    { "job", "stop", NULL, "NODE [JOB]", 1, 2, stop_all_options, cmd_job_stop, "stop a job",
      false },
    { "job", "skip", NULL, "NODE JOB", 2, 2, no_options, cmd_job_skip,
      "count a job as finished well", false },
    { "job", "cleanup", NULL, "NODE JOB", 2, 2, no_options, cmd_job_cleanup,
      "remove its intermediate files", false },
    { "job", "logs", NULL, "NODE JOB", 2, 2, logs_options, cmd_job_logs, "print its output",
      false },

    { "image", "ls", "list", "", 0, 0, no_options, cmd_image_ls, "list images in the store",
      false },
    { "image", "import", NULL, "DIR|TAR", 1, 1, import_options, cmd_image_import,
      "bring an image into the store", false },
    { "image", "rm", "delete", "IMAGE...", 1, -1, no_options, cmd_image_rm,
      "remove images no node uses", false },

    { "plugin", "call", NULL, "DIR FN [ARG]", 2, 3, call_options, cmd_plugin_call,
      "call a function of a plugin without a node", true },
    { "plugin", "check", NULL, "DIR", 1, 1, check_options, cmd_plugin_check,
      "look for mistakes in a plugin", true },
    { "plugin", "eval", NULL, "[FILE] [ARG]", 0, 2, eval_options, cmd_plugin_eval,
      "run a script without a node", true },
    { "plugin", "render", NULL, "TEMPLATE", 1, 1, render_options, cmd_plugin_render,
      "print what a template gives", true },
    { "plugin", "test", NULL, "DIR", 1, 1, test_options, cmd_plugin_test,
      "run the tests of a plugin without a node", true },

    { "snapshot", "ls", "list", "[KEY|STORE]", 0, 1, snapshot_ls_options, cmd_snapshot_ls,
      "list snapshots in a store", true },
    { "snapshot", "upload", NULL, "NODE | DIR STORE", 1, 2, snapshot_upload_options,
      cmd_snapshot_upload, "upload a node's data, or a directory to a store", true },
    { "snapshot", "download", NULL, "KEY|STORE DIR", 2, 2, snapshot_download_options,
      cmd_snapshot_download, "fetch a snapshot into a directory", true },
    { "snapshot", "restore", NULL, "STORE DIR", 2, 2, snapshot_restore_options,
      cmd_snapshot_restore, "fetch some paths of a snapshot", true },
    { "snapshot", "files", NULL, "STORE", 1, 1, snapshot_files_options, cmd_snapshot_files,
      "list what is in a snapshot", true },
    { "snapshot", "cat", NULL, "STORE PATH", 2, 2, snapshot_files_options, cmd_snapshot_cat,
      "print a file of a snapshot", true },
    { "snapshot", "diff", NULL, "KEY|STORE A [B]", 2, 3, snapshot_diff_options, cmd_snapshot_diff,
      "list what changed from one version to another", true },
    { "snapshot", "prune", NULL, "KEY|STORE", 1, 1, snapshot_prune_options, cmd_snapshot_prune,
      "remove old versions and what only they need", true },
    { "snapshot", "verify", NULL, "KEY | STORE [DIR] | DIR", 1, 2, snapshot_verify_options,
      cmd_snapshot_verify, "check every chunk of a snapshot, or a directory", true },

    { "host", "info", "i", "", 0, 0, no_options, cmd_host_info, "facts about the host", false },
    { "host", "metrics", "m", "", 0, 0, no_options, cmd_host_metrics, "what the host uses", false },
    { "host", "limits", NULL, "", 0, 0, limits_options, cmd_host_limits, "what its transfers share",
      false },

    { NULL, "events", NULL, "", 0, 0, events_options, cmd_events, "what happened on the host",
      false },
    { NULL, "completion", NULL, "bash", 1, 1, no_options, cmd_completion,
      "print the shell completion script", true },
};

const size_t cli_command_count = sizeof(cli_commands) / sizeof(cli_commands[0]);
