/*
 * calls.h - the table of calls: looking them up and checking their arguments.
 */
#ifndef BVI_HOST_CALLS_H
#define BVI_HOST_CALLS_H

#include "base/json.h"

typedef enum bvi_call_id {
#define BV_CALL(id, name, method, path, args) BVI_CALL_##id,
#include "host/calls.def"
#undef BV_CALL
    BVI_CALL_COUNT
} bvi_call_id;

typedef struct bvi_call {
    bvi_call_id id;
    const char *name;        /* "node.start" */
    const char *http_method; /* "POST" */
    const char *path;        /* "/v1/nodes/{node}/start" */
    const char *args;        /* "node:s! force:b" */
} bvi_call;

/* One argument of the table, as bvi_call_next_arg() takes it apart. */
typedef struct bvi_call_arg {
    char name[32];
    char type; /* s b u d o a */
    bool required;
} bvi_call_arg;

const bvi_call *bvi_call_by_id(bvi_call_id id);
const bvi_call *bvi_call_by_name(const char *name); /* NULL: no such call */
/* Steps through the arguments; *cursor starts as call->args. */
bool bvi_call_next_arg(const char **cursor, bvi_call_arg *ret_arg);
bool bvi_call_arg_in_path(const bvi_call *call, const bvi_call_arg *arg);
/* BV_E_INVALID names the missing, mistyped or unknown argument. */
int bvi_call_check(const bvi_call *call, const bvi_json *args, bv_error **err);

#endif
