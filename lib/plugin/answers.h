/*
 * answers.h - the file beside a plugin that says how a scripted node answers, and what tests expect
 * (doc/dev/plugin-testing.md describes it).
 *
 * Reading is strict: an unknown key or a value of another type is an error that names the key's
 * path, such as "jrpc[2].answers[0].staus". Pure apart from bvi_answers_find(); any thread.
 */
#ifndef BVI_PLUGIN_ANSWERS_H
#define BVI_PLUGIN_ANSWERS_H

#include "base/json.h"

#define BVI_ANSWERS_BYTES_MAX (4u * 1024u * 1024u)
/* Rules of one kind, answers of one rule, expectations. */
#define BVI_ANSWERS_ENTRIES_MAX 1000u

/* What may be in the file, and what a part of it is called in messages. */
typedef enum bvi_answers_part {
    BVI_ANSWERS_FILE,     /* a whole file */
    BVI_ANSWERS_BEHAVIOUR /* what mock() takes: no expectations, no variants */
} bvi_answers_part;

/* BV_E_FORMAT names the key path. */
int bvi_answers_check(const bvi_json *document, bvi_answers_part part, bv_error **err);

/* Reads and checks a file: YAML, or JSON for a name that ends in ".json". */
int bvi_answers_load(const char *path, bvi_json **ret_document, bv_error **err);

/* The path of plugin_test.json, .yaml or .yml in dir; NULL: there is none. Two are an error. */
int bvi_answers_find(const char *dir, char **ret_path, bv_error **err);

#endif
