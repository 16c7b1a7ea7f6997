/*
 * snapshot.h - what cmd_snapshot.c (through a host) and cmd_snapshot_store.c (without one) share.
 */
#ifndef BV_CLI_SNAPSHOT_H
#define BV_CLI_SNAPSHOT_H

#include "cli.h"

/* {snapshots: [...]} as JSON or as a table: the latest of each key, or all with --versions. */
void cli_snapshots_print(cli *c, const cli_args *args, const bv_doc *reply);

int cmd_store_upload(cli *c, const cli_args *args);
int cmd_store_download(cli *c, const cli_args *args);
int cmd_store_verify(cli *c, const cli_args *args);
int cmd_store_ls(cli *c, const cli_args *args);

#endif
