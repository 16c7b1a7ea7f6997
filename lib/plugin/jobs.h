/*
 * jobs.h - the configuration of a job (spec babel.md 6.1) as scripts write it and as the agent gets
 * it.
 *
 * Scripts pass a map to create_job(); the built-in init and upload derive one from an entry of the
 * plugin's configuration. Both end as the same document with every key present. Pure; any thread.
 */
#ifndef BVI_PLUGIN_JOBS_H
#define BVI_PLUGIN_JOBS_H

#include "plugin/schema.h"

/* Names the built-in init and upload give to their own jobs. */
#define BVI_DOWNLOAD_JOB "download"
#define BVI_UPLOAD_JOB   "upload"

/* Shared with config.c: {backoff_timeout_ms, backoff_base_ms, max_retries}, and one string. */
extern const bvi_field bvi_restart_config_fields[];
extern const bvi_field bvi_string_item;
extern const bvi_field bvi_level_field;
/* What create_job() takes. */
extern const bvi_field bvi_job_fields[];

/* Checks a script's map; unknown as for bvi_schema_convert(). */
int bvi_plugin_job_convert(const bvi_json *map, bvi_json **ret_config, bv_error **err);
int bvi_plugin_job_convert_value(const bvi_value *map, bvi_json **ret_config, bvi_strv *unknown,
                                 bv_error **err);

/* The settings of spec plugin.md 5.3. needs and wait_for: NULL for none. The entries are converted
 * ones (config.h); the last four take null for "not given" where the configuration may leave them
 * out. */
int bvi_plugin_job_from_service(const bvi_json *service, const bvi_strv *needs,
                                const bvi_strv *wait_for, bvi_json **ret_config, bv_error **err);
int bvi_plugin_job_from_aux_service(const bvi_json *service, bvi_json **ret_config, bv_error **err);
int bvi_plugin_job_from_job(const bvi_json *job, const bvi_strv *needs, bvi_json **ret_config,
                            bv_error **err);
int bvi_plugin_job_from_download(const bvi_json *download, const bvi_strv *needs,
                                 bvi_json **ret_config, bv_error **err);
int bvi_plugin_job_from_upload(const bvi_json *upload, const bvi_strv *needs, bvi_json **ret_config,
                               bv_error **err);
/* The same for configurations whose services have archives of their own: a service with a store_key
 * that uses protocol data is a client, and is uploaded unless its "archive" is false. */
bool bvi_plugin_has_clients(const bvi_json *config);
int bvi_plugin_job_from_multi_download(const bvi_json *config, const bvi_strv *needs,
                                       bvi_json **ret_config, bv_error **err);
int bvi_plugin_job_from_multi_upload(const bvi_json *config, const bvi_strv *needs,
                                     bvi_json **ret_config, bv_error **err);
/* A multi-client job made by a script gets its clients from the configuration (NULL: none). Other
 * jobs stay as they are. */
int bvi_plugin_job_add_clients(bvi_json *job, const bvi_json *config, bv_error **err);
/* A plain archive job of a plugin of before node_env() works on another directory than today's
 * (NULL: it is not that old), unless it names one. */
int bvi_plugin_job_add_path(bvi_json *job, const char *path, bv_error **err);
/* alternative_download and cold_init */
int bvi_plugin_job_from_download_script(const bvi_json *entry, const bvi_strv *needs,
                                        bvi_json **ret_config, bv_error **err);

#endif
