/*
 * snapshot.h - what cmd_snapshot.c (through a host) and cmd_snapshot_store.c (without one) share.
 */
#ifndef BV_CLI_SNAPSHOT_H
#define BV_CLI_SNAPSHOT_H

#include "cli.h"

/* {snapshots: [...]} as JSON or as a table: the latest of each key, or all with --versions. */
void cli_snapshots_print(cli *c, const cli_args *args, const bv_doc *reply);

/* A store that must be there, with its key, and the session's context. An exit code. */
int cli_store_open(cli *c, const cli_args *args, cli_store *store);
/* Reads --mirror: stores as on the command line. The URIs are freed by the caller, also after a
 * failure. */
typedef struct cli_mirrors {
    const char *uris[CLI_LIST_MAX + 1];
    char *owned[CLI_LIST_MAX];
} cli_mirrors;
int cli_mirrors_init(cli_mirrors *mirrors, const cli_args *args);
void cli_mirrors_done(cli_mirrors *mirrors);
/* NULL when there are none. */
const char *const *cli_mirrors_list(const cli_mirrors *mirrors);
/* The host's store is meant: checks the words and opens the host. An exit code. */
int cli_host_form(cli *c, const cli_args *args);

int cli_host_diff(cli *c, const cli_args *args, uint64_t old_version, uint64_t version);

int cmd_store_upload(cli *c, const cli_args *args);
int cmd_store_download(cli *c, const cli_args *args);
int cmd_store_verify(cli *c, const cli_args *args);
int cmd_store_ls(cli *c, const cli_args *args);

#endif
