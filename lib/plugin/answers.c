/*
 * answers.c - the shape of an answers file, as tables, and the walk that holds a document against
 * them. See answers.h.
 */
#include <stdio.h>
#include <string.h>

#include "base/near.h"
#include "base/yaml.h"
#include "plugin/answers.h"
#include "sys/fs.h"

/* "expect[12].jrpc[3].answers[7].delay_ms" and longer keys; what does not fit is cut. */
#define PATH_MAX_BYTES 256u

/* ---- shapes ---- */

enum {
    T_TEXT = 1u << BVI_JSON_STRING,
    T_NUMBER = 1u << BVI_JSON_NUMBER,
    T_BOOL = 1u << BVI_JSON_BOOL,
    T_LIST = 1u << BVI_JSON_ARRAY,
    T_OBJECT = 1u << BVI_JSON_OBJECT,
    T_ANY = ~0u,
};

/* One key of an object. */
typedef struct field {
    const char *key;             /* NULL ends a table */
    unsigned types;              /* of its value */
    const struct field *entries; /* of the objects in a list, or of the object itself */
    unsigned values;             /* types of an object's or a list's values, whatever their keys */
    bool required;
} field;

/* clang-format off */
#define HTTP_ANSWER                                                                                \
    { "status", T_NUMBER }, { "body", T_ANY }, { "fail", T_TEXT }, { "delay_ms", T_NUMBER }
#define JRPC_ANSWER HTTP_ANSWER, { "result", T_ANY }, { "error", T_ANY }
#define SH_ANSWER                                                                                  \
    { "exit_code", T_NUMBER }, { "stdout", T_TEXT }, { "stderr", T_TEXT }, { "fail", T_TEXT },     \
    { "delay_ms", T_NUMBER }

static const field jrpc_answer[] = { JRPC_ANSWER, { 0 } };
static const field http_answer[] = { HTTP_ANSWER, { 0 } };
static const field sh_answer[] = { SH_ANSWER, { 0 } };

static const field jrpc_rule[] = {
    { "method", T_TEXT }, { "host", T_TEXT }, { "params", T_ANY },
    { "times", T_NUMBER }, { "answers", T_LIST, jrpc_answer }, JRPC_ANSWER, { 0 },
};
static const field rest_rule[] = {
    { "url", T_TEXT },
    { "times", T_NUMBER }, { "answers", T_LIST, http_answer }, HTTP_ANSWER, { 0 },
};
static const field graphql_rule[] = {
    { "url", T_TEXT }, { "query", T_TEXT }, { "operation_name", T_TEXT }, { "variables", T_ANY },
    { "times", T_NUMBER }, { "answers", T_LIST, http_answer }, HTTP_ANSWER, { 0 },
};
static const field sh_rule[] = {
    { "command", T_TEXT }, { "contains", T_TEXT },
    { "times", T_NUMBER }, { "answers", T_LIST, sh_answer }, SH_ANSWER, { 0 },
};

static const field node[] = {
    { "params", T_OBJECT, NULL, T_TEXT }, { "env", T_OBJECT }, { "time", T_TEXT | T_NUMBER },
    { "data", T_TEXT }, { "protocol_data", T_BOOL }, { "archive", T_BOOL }, { 0 },
};

#define BEHAVIOUR                                                                                  \
    { "node", T_OBJECT, node },                                                                    \
    { "secrets", T_OBJECT, NULL, T_TEXT },                                                         \
    { "files", T_OBJECT, NULL, T_TEXT },                                                           \
    { "jobs", T_OBJECT, NULL, T_TEXT | T_OBJECT },                                                 \
    { "jrpc", T_LIST, jrpc_rule },                                                                 \
    { "rest", T_LIST, rest_rule },                                                                 \
    { "graphql", T_LIST, graphql_rule },                                                           \
    { "sh", T_LIST, sh_rule },                                                                     \
    { "unmatched", T_TEXT }

static const field behaviour[] = { BEHAVIOUR, { 0 } };

static const field expectation[] = {
    { "call", T_TEXT, NULL, 0, true }, { "name", T_TEXT }, { "arg", T_TEXT },
    { "variants", T_LIST, NULL, T_TEXT },
    { "value", T_ANY }, { "error", T_TEXT }, { "requests", T_LIST, NULL, T_OBJECT },
    BEHAVIOUR, { 0 },
};

static const field file[] = {
    { "variants", T_TEXT | T_LIST, NULL, T_TEXT }, { "expect", T_LIST, expectation },
    BEHAVIOUR, { 0 },
};
/* clang-format on */

/* ---- the walk ---- */

static int fail_at(const char *path, bv_error **err, const char *what)
{
    return bvi_fail(err, BV_E_FORMAT, "%s: %s", path[0] ? path : "the document", what);
}

static int check_object(const bvi_json *object, const field *fields, const char *path,
                        bv_error **err);

static void extend(char *path, const char *before, const char *key)
{
    (void)snprintf(path, PATH_MAX_BYTES, "%.*s%s%.100s", (int)(PATH_MAX_BYTES - 104), before,
                   before[0] ? "." : "", key); /* cut when longer */
}

static int check_type(const bvi_json *value, unsigned types, const char *path, bv_error **err)
{
    static const char *const names[] = { "null",   "true or false", "a number",
                                         "a text", "a list",        "an object" };
    BVI_AUTO(bvi_buf_done) bvi_buf text = BVI_BUF_INIT(PATH_MAX_BYTES);

    if (types & 1u << bvi_json_type_of(value))
        return 0;
    for (size_t i = 0; i < BVI_COUNT(names); i++) {
        if (types & 1u << i)
            (void)bvi_buf_printf(&text, "%s%s", text.len ? " or " : "", names[i]); /* short */
    }
    (void)bvi_buf_printf(&text, " is wanted, not a %s", bvi_json_type_name(value));
    return fail_at(path, err, bvi_buf_str(&text));
}

static int check_entry(const bvi_json *value, const field *f, const char *path, bv_error **err)
{
    unsigned types = f->entries ? T_OBJECT : f->values ? f->values : T_ANY;
    int r = check_type(value, types, path, err);

    return r == 0 && f->entries ? check_object(value, f->entries, path, err) : r;
}

static int check_list(const bvi_json *list, const field *f, const char *path, bv_error **err)
{
    size_t i = 0;
    int r = 0;

    bvi_json_each(value, list) {
        char below[PATH_MAX_BYTES];

        if (i >= BVI_ANSWERS_ENTRIES_MAX)
            return fail_at(path, err, "there are too many entries");
        (void)snprintf(below, sizeof(below), "%.*s[%zu]", (int)(sizeof(below) - 24), path, i++);
        r = check_entry(value, f, below, err);
        if (r < 0)
            return r;
    }
    return 0;
}

static int check_values(const bvi_json *object, const field *f, const char *path, bv_error **err)
{
    int r = 0;

    bvi_json_each(value, object) {
        char below[PATH_MAX_BYTES];

        extend(below, path, bvi_json_key(value));
        r = check_type(value, f->values, below, err);
        if (r < 0)
            return r;
    }
    return 0;
}

static int check_field(const bvi_json *value, const field *f, const char *path, bv_error **err)
{
    int r = check_type(value, f->types, path, err);

    if (r < 0)
        return r;
    if (bvi_json_type_of(value) == BVI_JSON_ARRAY && (f->entries || f->values))
        return check_list(value, f, path, err);
    if (bvi_json_type_of(value) != BVI_JSON_OBJECT)
        return 0;
    if (f->entries)
        return check_object(value, f->entries, path, err);
    return f->values ? check_values(value, f, path, err) : 0;
}

static int unknown_key(const field *fields, const char *key, const char *path, bv_error **err)
{
    BVI_AUTO(bvi_buf_done) bvi_buf text = BVI_BUF_INIT(1024);
    bvi_near near = BVI_NEAR_INIT(key);

    for (const field *f = fields; f->key; f++)
        bvi_near_try(&near, f->key);
    (void)bvi_buf_append_str(&text, "there is no such key; "); /* these are short */
    if (near.best)
        (void)bvi_buf_printf(&text, "did you mean '%s'?", near.best);
    else
        (void)bvi_buf_append_str(&text, "there are");
    for (const field *f = fields; f->key && !near.best; f++)
        (void)bvi_buf_printf(&text, " %s", f->key);
    return fail_at(path, err, bvi_buf_str(&text));
}

static int check_object(const bvi_json *object, const field *fields, const char *path,
                        bv_error **err)
{
    char below[PATH_MAX_BYTES];
    int r = 0;

    bvi_json_each(value, object) {
        const field *f = fields;

        extend(below, path, bvi_json_key(value));
        while (f->key && strcmp(f->key, bvi_json_key(value)) != 0)
            f++;
        r = f->key ? check_field(value, f, below, err)
                   : unknown_key(fields, bvi_json_key(value), below, err);
        if (r < 0)
            return r;
    }
    for (const field *f = fields; f->key; f++) {
        extend(below, path, f->key);
        if (f->required && !bvi_json_find(object, f->key))
            return fail_at(below, err, "it is missing");
    }
    return 0;
}

static int check_unmatched(const bvi_json *document, bv_error **err)
{
    const char *word = bvi_json_string(bvi_json_find(document, "unmatched"));

    if (!word || strcmp(word, "error") == 0 || strcmp(word, "default") == 0)
        return 0;
    return fail_at("unmatched", err, "'error' or 'default' is wanted");
}

int bvi_answers_check(const bvi_json *document, bvi_answers_part part, bv_error **err)
{
    int r = check_type(document, T_OBJECT, "", err);

    if (r == 0)
        r = check_object(document, part == BVI_ANSWERS_FILE ? file : behaviour, "", err);
    return r == 0 ? check_unmatched(document, err) : r;
}

/* ---- files ---- */

static bool ends_with(const char *text, const char *end)
{
    size_t len = strlen(text);
    size_t end_len = strlen(end);

    return len >= end_len && strcmp(text + len - end_len, end) == 0;
}

int bvi_answers_load(const char *path, bvi_json **ret_document, bv_error **err)
{
    bvi_auto_json bvi_json *document = NULL;
    bvi_auto_free char *text = NULL;
    size_t len = 0;
    int r = bvi_fs_read(path, BVI_ANSWERS_BYTES_MAX, &text, &len, err);

    if (r == 0)
        r = ends_with(path, ".json") ? bvi_json_parse(text, len, &document, err)
                                     : bvi_yaml_parse(text, len, &document, err);
    if (r == 0)
        r = bvi_answers_check(document, BVI_ANSWERS_FILE, err);
    if (r < 0)
        return bvi_wrap(err, r, "'%s'", path);
    *ret_document = bvi_take(document);
    return 0;
}

int bvi_answers_find(const char *dir, char **ret_path, bv_error **err)
{
    static const char *const names[] = { "plugin_test.json", "plugin_test.yaml",
                                         "plugin_test.yml" };
    bvi_auto_free char *found = NULL;

    for (size_t i = 0; i < BVI_COUNT(names); i++) {
        bvi_auto_free char *path = bvi_path_join(dir, names[i], NULL);

        if (!path)
            return bvi_fail_nomem(err);
        if (!bvi_fs_exists(path))
            continue;
        if (found)
            return bvi_fail(err, BV_E_INVALID, "there are both '%s' and '%s': one must go", found,
                            path);
        found = bvi_take(path);
    }
    *ret_path = bvi_take(found);
    return 0;
}
