/*
 * fields.h - short forms for the tables of schema.h. Only the files with tables include it.
 */
#ifndef BVI_PLUGIN_FIELDS_H
#define BVI_PLUGIN_FIELDS_H

#include "plugin/schema.h"

#define REQ_STRING(k)                                                                              \
    {                                                                                              \
        .key = (k), .kind = BVI_FIELD_STRING, .required = true                                     \
    }
#define OPT_STRING(k)                                                                              \
    {                                                                                              \
        .key = (k), .kind = BVI_FIELD_STRING                                                       \
    }
#define OPT_ANY(k)                                                                                 \
    {                                                                                              \
        .key = (k), .kind = BVI_FIELD_ANY                                                          \
    }
#define OPT_BOOL(k, d)                                                                             \
    {                                                                                              \
        .key = (k), .kind = BVI_FIELD_BOOL, .def = (d)                                             \
    }
/* What E2 called use_blockchain_data. */
#define OPT_USES_DATA(d)                                                                           \
    {                                                                                              \
        .key = "use_protocol_data", .alias = "use_blockchain_data", .kind = BVI_FIELD_BOOL,        \
        .def = (d)                                                                                 \
    }
/* Keys that only some plugins and readers know. */
#define SPARSE(k, ...)                                                                             \
    {                                                                                              \
        .key = (k), .sparse = true, __VA_ARGS__                                                    \
    }
#define OPT_U64(k)                                                                                 \
    {                                                                                              \
        .key = (k), .kind = BVI_FIELD_UINT, .max = INT64_MAX, .type_name = "u64"                   \
    }
#define REQ_U64(k)                                                                                 \
    {                                                                                              \
        .key = (k), .kind = BVI_FIELD_UINT, .max = INT64_MAX, .type_name = "u64", .required = true \
    }
#define OPT_U32(k)                                                                                 \
    {                                                                                              \
        .key = (k), .kind = BVI_FIELD_UINT, .max = UINT32_MAX, .type_name = "u32"                  \
    }
#define OPT_SIGNAL(k)                                                                              \
    {                                                                                              \
        .key = (k), .kind = BVI_FIELD_SIGNAL                                                       \
    }
#define OPT_OBJECT(k, f)                                                                           \
    {                                                                                              \
        .key = (k), .kind = BVI_FIELD_OBJECT, .fields = (f)                                        \
    }
#define OPT_LIST(k, i, d)                                                                          \
    {                                                                                              \
        .key = (k), .kind = BVI_FIELD_LIST, .item = (i), .def = (d)                                \
    }
#define REQ_LIST(k, i)                                                                             \
    {                                                                                              \
        .key = (k), .kind = BVI_FIELD_LIST, .item = (i), .required = true                          \
    }
#define ENUM(k, t, v, req)                                                                         \
    {                                                                                              \
        .key = (k), .kind = BVI_FIELD_ENUM, .type_name = (t), .variants = (v), .required = (req)   \
    }
#define END_FIELDS                                                                                 \
    {                                                                                              \
        .key = NULL                                                                                \
    }

#endif
