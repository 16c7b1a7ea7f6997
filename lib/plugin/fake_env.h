/*
 * fake_env.h - a node that is not there: the environment of a plugin in memory, for tests, examples
 * and checking plugins.
 *
 * It keeps jobs, files, secrets and data, writes a line for each request into its journal, and
 * answers at once. Rules change the answer to requests whose line contains a text; a hold keeps
 * them unanswered until released. A handler sees the requests as documents and may answer them in
 * its own way; a scripted node (scripted.h) is one.
 */
#ifndef BVI_PLUGIN_FAKE_ENV_H
#define BVI_PLUGIN_FAKE_ENV_H

#include "plugin/plugin.h"

/* The journal is cut here. */
#define BVI_FAKE_JOURNAL_MAX (1024u * 1024u)

typedef struct bvi_fake_env bvi_fake_env;

int bvi_fake_env_new(bvi_fake_env **ret_fake, bv_error **err);
void bvi_fake_env_free(bvi_fake_env *fake); /* ends the replies it holds */
BVI_DEFINE_FREEP(bvi_fake_env, bvi_fake_env_free)

/* The functions, for bvi_plugin_opts. */
bvi_plugin_env bvi_fake_env_functions(bvi_fake_env *fake);

/* One line for each request: "<function> <arguments>", JSON without spaces. Log lines are "log
 * <level> <text>". */
const char *bvi_fake_env_journal(const bvi_fake_env *fake);
void bvi_fake_env_clear_journal(bvi_fake_env *fake);

/* Later rules win. Requests whose line contains `part` ... */
int bvi_fake_env_answer(bvi_fake_env *fake, const char *part, const char *json); /* ... get this */
int bvi_fake_env_fail(bvi_fake_env *fake, const char *part, int code,
                      const char *message);                  /* ... fail */
int bvi_fake_env_hold(bvi_fake_env *fake, const char *part); /* ... wait */
void bvi_fake_env_release(
    bvi_fake_env *fake); /* answers all that wait with null, and forgets all rules */
size_t bvi_fake_env_held(const bvi_fake_env *fake);
size_t bvi_fake_env_cancelled(
    const bvi_fake_env *fake); /* replies the plugin gave up while they were held */

/* A request is {"call": "<function>", ...} with the arguments under the names they have in
 * bvi_plugin_env; bytes are text, and the value of a secret is left out. A log line is
 * {"call": "log", "level": "info", "text": ...} and has no reply. It comes after the journal and
 * before the rules. True: the handler has ended the reply, or will. */
typedef bool (*bvi_fake_env_handler)(void *data, const bvi_json *request, bvi_plugin_reply *reply);
void bvi_fake_env_set_handler(bvi_fake_env *fake, bvi_fake_env_handler handler, void *data);

/* What the node is like. Take over their documents. */
void bvi_fake_env_set_params(bvi_fake_env *fake, bvi_json *params);
void bvi_fake_env_set_env(bvi_fake_env *fake, bvi_json *env);
/* {key: text}; "*" answers for keys that are missing, else they are not found, lenient or not. */
void bvi_fake_env_set_secrets(bvi_fake_env *fake, bvi_json *secrets);
/* Reading what was never stored gives "secret value", an empty file, empty data, a pending job
 * instead of an error. */
void bvi_fake_env_set_lenient(bvi_fake_env *fake);
void bvi_fake_env_set_data(bvi_fake_env *fake, bool has_data, bool has_archive);
void bvi_fake_env_set_has_data(bvi_fake_env *fake, bool has_data);
void bvi_fake_env_set_has_archive(bvi_fake_env *fake, bool has_archive);
int bvi_fake_env_set_saved(bvi_fake_env *fake, const char *text); /* what load_data() gives */
int bvi_fake_env_set_secret(bvi_fake_env *fake, const char *key, const char *text);
/* A file of the node that was set or written; NULL: there is none. */
const char *bvi_fake_env_file(const bvi_fake_env *fake, const char *path);
int bvi_fake_env_set_file(bvi_fake_env *fake, const char *path, const char *text);
int bvi_fake_env_set_job(bvi_fake_env *fake, const char *name, const char *status_json);
/* Lays members over what job_info() gives for a job that was set. */
int bvi_fake_env_set_job_info(bvi_fake_env *fake, const char *name, const bvi_json *members);

#endif
