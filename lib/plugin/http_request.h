/*
 * http_request.h - the maps scripts give to run_jrpc(), run_rest() and run_graphql(), checked and
 * brought into one form for the environment (spec plugin.md 4.5). Pure; the value's engine's
 * thread.
 *
 * "headers" of the result is always an array of [name, value] pairs in which each name occurs once.
 * Failures are BV_E_FORMAT or BV_E_LIMIT, in the words plugins know.
 */
#ifndef BVI_PLUGIN_HTTP_REQUEST_H
#define BVI_PLUGIN_HTTP_REQUEST_H

#include "base/json.h"
#include "plugin/schema.h"

#define BVI_REQUEST_HEADERS_MAX 256u
/* Of a GraphQL request with its encoded query. */
#define BVI_REQUEST_URL_MAX (256u * 1024u)

/* What the maps hold. */
extern const bvi_field bvi_jrpc_fields[];
extern const bvi_field bvi_rest_fields[];
extern const bvi_field bvi_graphql_fields[];

/* -> {host, method, params?, headers} */
int bvi_http_request_jrpc(const bvi_value *map, bvi_json **ret_request, bv_error **err);
/* -> {url, headers} */
int bvi_http_request_rest(const bvi_value *map, bvi_json **ret_request, bv_error **err);
/* -> the same: GraphQL is a GET with everything in the URL */
int bvi_http_request_graphql(const bvi_value *map, bvi_json **ret_request, bv_error **err);

#endif
