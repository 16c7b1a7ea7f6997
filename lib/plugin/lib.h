/*
 * lib.h - the functions scripts can call, as tables; and what their files share. Only this folder
 * includes it.
 *
 * A function that needs the node asks through bvi_hostlib_ask() and returns BVI_SCRIPT_PENDING; the
 * answer becomes its result through a bvi_value_fn. Every failure is an error the script can catch,
 * except for lack of memory.
 */
#ifndef BVI_PLUGIN_LIB_H
#define BVI_PLUGIN_LIB_H

#include "plugin/internal.h"

extern const bvi_script_function bvi_hostlib_jobs[];
extern const bvi_script_function bvi_hostlib_sh[];
extern const bvi_script_function bvi_hostlib_http[];
extern const bvi_script_function bvi_hostlib_files[];
extern const bvi_script_function bvi_hostlib_node[];
extern const bvi_script_function bvi_hostlib_util[];
extern const bvi_script_function bvi_hostlib_sleep[];
/* Of the values they return. */
extern const bvi_script_function *const bvi_hostlib_sh_methods;
extern const bvi_script_function *const bvi_hostlib_http_methods;

/* Registers all functions; data as for bvi_script_register(). */
int bvi_hostlib_register(bvi_script_engine *engine, void *data, bv_error **err);

/* The run whose script called; its environment. */
bvi_run *bvi_hostlib_run(const bvi_script_call *call);
const bvi_plugin_env *bvi_hostlib_env(const bvi_script_call *call);

/* Arguments: text without zero bytes; seconds as ms. */
int bvi_hostlib_text(bvi_script_call *call, const bvi_value *arg, const char **ret_text);
int bvi_hostlib_seconds(bvi_script_call *call, const bvi_value *arg, int64_t *ret_ms);
int bvi_hostlib_json(bvi_script_call *call, const bvi_value *arg, bvi_json **ret_json);
int64_t bvi_hostlib_request_ms(const bvi_script_call *call); /* the default */

/* Starts a request; the caller hands *ret_reply to the environment and returns what this returned.
 */
int bvi_hostlib_ask(bvi_script_call *call, int64_t timeout_ms, bvi_value_fn to_value,
                    bvi_plugin_reply **ret_reply);

/* Answers as values: (), the document, the bytes as text, the bytes as they are. */
int bvi_to_unit(bvi_run *run, const bvi_answer *answer, bvi_value *ret_value, bv_error **err);
int bvi_to_json(bvi_run *run, const bvi_answer *answer, bvi_value *ret_value, bv_error **err);
int bvi_to_text(bvi_run *run, const bvi_answer *answer, bvi_value *ret_value, bv_error **err);
int bvi_to_blob(bvi_run *run, const bvi_answer *answer, bvi_value *ret_value, bv_error **err);

/* Throws *err and frees it. */
int bvi_hostlib_throw(bvi_script_call *call, bv_error *err);

#endif
