/*
 * limits.h - the agent protocol's maxima, default timeouts and capability names, for both of its
 * ends.
 */
#ifndef BVI_AGENT_LIMITS_H
#define BVI_AGENT_LIMITS_H

/* Timeouts, in milliseconds. */
#define BVI_AGENT_TIMEOUT_MS     15000 /* a call without one of its own */
#define BVI_AGENT_CONNECT_MS     3000 /* how long a call waits for an agent that is being replaced */
#define BVI_AGENT_HOOK_MS        120000 /* /var/lib/babel/post_setup.sh */
#define BVI_AGENT_SETUP_MS       150000 /* setup: the hook, and what is around it */
#define BVI_AGENT_MARGIN_MS      15000  /* added to the budgets of jobs that are stopped */
#define BVI_AGENT_HTTP_MS        10000  /* run_jrpc and run_rest without a deadline */
#define BVI_AGENT_TIMEOUT_MAX_MS (24 * 3600 * 1000) /* longer ones are cut to it */

/* Bytes. */
#define BVI_AGENT_OUTPUT_MAX  (4u * 1024u * 1024u) /* run_sh: each of stdout and stderr */
#define BVI_AGENT_BODY_MAX    (4u * 1024u * 1024u) /* run_jrpc, run_rest: the response body */
#define BVI_AGENT_COMMAND_MAX (128u * 1024u) /* run_sh: what the kernel takes as one argument */
#define BVI_AGENT_FILE_MAX    (64u * 1024u * 1024u) /* file_read, file_write */
#define BVI_AGENT_PIECE_MAX   (256u * 1024u)        /* one message's share of a file */
#define BVI_AGENT_JSON_MAX                                                                         \
    (2u * 1024u * 1024u) /* job config, template parameters, JSON-RPC parameters */
#define BVI_AGENT_INFOS_MAX                                                                        \
    (64u * 1024u * 1024u) /* the infos of all jobs, their events included                          \
                           */
#define BVI_AGENT_PATH_MAX   4096u
#define BVI_AGENT_URL_MAX    8192u
#define BVI_AGENT_NAME_MAX   128u  /* jobs, store keys */
#define BVI_AGENT_HEADER_MAX 8192u /* one header's name or value */

#define BVI_ARCHIVE_PIECE_BYTES                                                                    \
    (256u * 1024u) /* aimed at when lists of chunks are cut into messages */
#define BVI_ARCHIVE_MESSAGE_MAX (1024u * 1024u)        /* of one such message */
#define BVI_ENGINE_MANIFEST_MAX (512u * 1024u * 1024u) /* of all messages of one manifest */

#define BVI_STORE_OBJECT_BYTES                                                                     \
    (64u * 1024u * 1024u) /* of an object that goes through the daemon: a snapshot's root */
#define BVI_STORE_INFO_BYTES (128u * 1024u) /* of an answer about a store */

/* Counts. */
#define BVI_AGENT_HEADERS_MAX  64u
#define BVI_AGENT_CALLS_MAX    64u /* under way at once on one agent */
#define BVI_AGENT_RAMDISKS_MAX 16u
#define BVI_AGENT_UPLOADS_MAX  16u /* files being written at once */
#define BVI_ENGINE_CALLS_MAX   32u /* under way at once for one node */
/* Connections of one node to its engine, and what may wait on one for a node that does not read. */
#define BVI_ENGINE_CONNECTIONS_MAX 16u
#define BVI_ENGINE_UNSENT_MAX      (16u * 1024u * 1024u)
#define BVI_ENGINE_SOURCES_MAX     4u /* kept idle for one node */

/* Capabilities, exchanged when a connection is made. */
#define BVI_AGENT_CAN_DELETE   "delete_job"
#define BVI_AGENT_CAN_TEMPLATE "render_template"
#define BVI_AGENT_CAN_ARCHIVE  "archive_jobs"

#endif
