/*
 * protocol.h - the names of requests, once for both ends. Bodies are in proto/agent.proto.
 */
#ifndef BVI_AGENT_PROTOCOL_H
#define BVI_AGENT_PROTOCOL_H

/* Host to agent. */
#define BVI_CALL_VERSION         "version"
#define BVI_CALL_SETUP           "setup"
#define BVI_CALL_SHUTDOWN        "shutdown"
#define BVI_CALL_JOBS_TIMEOUT    "jobs_timeout"
#define BVI_CALL_CREATE_JOB      "create_job"
#define BVI_CALL_START_JOB       "start_job"
#define BVI_CALL_STOP_JOB        "stop_job"
#define BVI_CALL_SKIP_JOB        "skip_job"
#define BVI_CALL_DELETE_JOB      "delete_job"
#define BVI_CALL_CLEANUP_JOB     "cleanup_job"
#define BVI_CALL_STOP_ALL_JOBS   "stop_all_jobs"
#define BVI_CALL_JOB_INFO        "job_info"
#define BVI_CALL_JOB_TIMEOUT     "job_timeout"
#define BVI_CALL_JOBS            "jobs"
#define BVI_CALL_RUN_SH          "run_sh"
#define BVI_CALL_RUN_JRPC        "run_jrpc"
#define BVI_CALL_RUN_REST        "run_rest"
#define BVI_CALL_FILE_READ       "file_read"
#define BVI_CALL_FILE_WRITE      "file_write"
#define BVI_CALL_RENDER_TEMPLATE "render_template"
#define BVI_CALL_DATA_STAMP      "protocol_data_stamp"

/* Node to host. */
#define BVI_CALL_METADATA     "get_download_metadata"
#define BVI_CALL_CHUNKS       "get_download_chunks"
#define BVI_CALL_SLOTS        "get_upload_slots"
#define BVI_CALL_PUT_MANIFEST "put_download_manifest"
#define BVI_CALL_STORE_INFO   "store_info"
#define BVI_CALL_STORE        "store_call"
#define BVI_CALL_STORE_URL    "store_url"
#define BVI_CALL_STORE_PUT    "store_put"
#define BVI_CALL_BV_ERROR     "bv_error"

#endif
