/*
 * job_config.h - what a job is: config.json of spec babel.md 6.1 to 6.4 as a struct.
 *
 * The manager keeps one for each job; the agent uses it to refuse a bad request before anything
 * happens. Unknown fields are ignored here and survive on disk (bvi_job_config_complete() works on
 * the document).
 */
#ifndef BVI_JOB_JOB_CONFIG_H
#define BVI_JOB_JOB_CONFIG_H

#include "base/json.h"
#include "base/names.h"
#include "base/vec.h"
#include "job/job_backoff.h"

#define BVI_JOB_NAME_MAX           128u
#define BVI_JOB_BODY_MAX           (128u * 1024u - 1u) /* what the kernel takes as one argument */
#define BVI_JOB_DEPS_MAX           128u
#define BVI_JOB_CLIENTS_MAX        64u
#define BVI_JOB_LIST_MAX           4096u /* exclude patterns */
#define BVI_JOB_CONFIG_FILE_MAX    (1024u * 1024u)
#define BVI_JOB_SHUTDOWN_DEFAULT_S 60u
#define BVI_JOB_SHUTDOWN_MAX_S     (7u * 24u * 3600u)
#define BVI_JOB_LOG_DEFAULT_MB     128u
#define BVI_JOB_LOG_MAX_MB         (1024u * 1024u)

typedef enum bvi_job_type {
    BVI_JOB_RUN_SH,
    BVI_JOB_DOWNLOAD,
    BVI_JOB_UPLOAD,
    BVI_JOB_MULTI_DOWNLOAD,
    BVI_JOB_MULTI_UPLOAD,
} bvi_job_type;

extern const bvi_name bvi_job_type_names[]; /* the keys of job_type: "run_sh", "download" ... */

/* The settings of archive jobs. A missing one is has_... = false or 0 where 0 makes no sense. */
typedef struct bvi_job_archive {
    uint32_t max_connections; /* 0: default */
    uint32_t max_runners;
    bvi_strv exclude;
    bool has_compression; /* upload: {"ZSTD": level} */
    int32_t zstd_level;
    uint32_t number_of_chunks;
    uint32_t url_expires_secs;
    bool has_data_version;
    uint64_t data_version;
    char *dir;         /* another directory than the protocol data, absolute; NULL: that */
    bvi_json *clients; /* multi-client: [{name, data_dir, store_key}]; NULL: none */
} bvi_job_archive;

typedef struct bvi_job_config {
    bvi_job_type type;
    char *body; /* run_sh: normalised as in babel.md 3.3, never empty; else NULL */
    bvi_job_archive archive;
    bvi_backoff_config restart;
    uint32_t shutdown_timeout_secs;
    int shutdown_signal;
    bvi_strv needs;
    bvi_strv wait_for;
    char *run_as; /* NULL: as the runner */
    uint32_t log_buffer_capacity_mb;
    bool log_timestamp;
    bool use_protocol_data;
    bool one_time;
} bvi_job_config;

int bvi_job_config_parse(const bvi_json *root, bvi_job_config **ret_config, bv_error **err);
void bvi_job_config_free(bvi_job_config *config);
BVI_DEFINE_FREEP(bvi_job_config, bvi_job_config_free)

/* A copy of a valid document in which every optional key is present (null when it was not), as
 * upstream writes it. */
int bvi_job_config_complete(const bvi_json *root, bvi_json **ret_root, bv_error **err);

/* The document of a config made by the program itself. */
int bvi_job_config_to_json(const bvi_job_config *config, bvi_json **ret_root, bv_error **err);

/* A node update is refused while such a job runs: "never", or "on_failure" with a limit. */
bool bvi_job_config_blocks_upgrade(const bvi_job_config *config);

/* In place: outer white space, trailing '\' and '&&' go, as babel.md 3.3 says. Also used by run_sh
 * requests. */
void bvi_job_body_normalise(char *body);

/* BV_E_INVALID with a message that names the job and the rule. */
int bvi_job_name_check(const char *name, bv_error **err);

#endif
