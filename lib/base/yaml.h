/*
 * yaml.h - YAML documents as JSON trees; the only user of libyaml.
 *
 * A node with a local tag becomes an object with one key, the tag: `!text` gives {"!text": null}
 * and
 * `!store_key abc` gives {"!store_key": "abc"}. Plain scalars follow the core schema of YAML 1.2:
 * null, true, false and numbers are typed, everything else (off, on, yes, no, 007 and .inf among
 * them) is a string. Where a text is wanted, bvi_json_scalar_text() gives a number as it was
 * written. Aliases are copied, under a limit. Keys are text; a repeated one is refused.
 */
#ifndef BVI_BASE_YAML_H
#define BVI_BASE_YAML_H

#include "base/json.h"
#include "base/vec.h"

/* Larger documents, deeper ones and ones with more nodes after alias expansion are refused. */
#define BVI_YAML_BYTES_MAX (1024u * 1024u)
#define BVI_YAML_DEPTH_MAX 64u
#define BVI_YAML_NODES_MAX 100000u

/* Exactly one document. Messages name line and column. */
int bvi_yaml_parse(const char *text, size_t len, bvi_json **ret_root, bv_error **err);

/* Where values stand in the text: at their key, if they have one. What an alias brought is marked
 * as a whole. */
typedef struct bvi_yaml_mark {
    const bvi_json *node;
    unsigned line, column; /* from 1 */
} bvi_yaml_mark;

typedef BVI_VEC(bvi_yaml_mark) bvi_yaml_marks;

#define BVI_YAML_MARKS_INIT BVI_VEC_INIT(BVI_YAML_NODES_MAX)

/* The same, and marks for every value. */
int bvi_yaml_parse_marked(const char *text, size_t len, bvi_json **ret_root, bvi_yaml_marks *marks,
                          bv_error **err);
const bvi_yaml_mark *bvi_yaml_mark_of(const bvi_yaml_marks *marks, const bvi_json *node);

#endif
