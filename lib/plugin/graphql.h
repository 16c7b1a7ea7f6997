/*
 * graphql.h - telling GraphQL requests from other ones on their way to a node. Pure; any thread.
 */
#ifndef BVI_PLUGIN_GRAPHQL_H
#define BVI_PLUGIN_GRAPHQL_H

#include "base/json.h"

/* request: what a fake node's handler gets for run_rest. If it is what run_graphql() makes (a GET
 * with the query in its URL, and JSON both ways), then {"call": "run_graphql", "request": {url,
 * query, variables?, operation_name?}}; NULL otherwise, and without memory. */
bvi_json *bvi_graphql_read(const bvi_json *request);

#endif
