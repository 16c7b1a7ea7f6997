/*
 * template.h - the template engine of `render_template` and `config_files`: everything the rest of
 * the library needs, and the only header it includes.
 *
 *     r = bvi_template_parse(text, len, "app.toml", &tpl, &place, err);
 *     r = bvi_template_render(tpl, &options, params, &out, &place, err);
 *
 * A parsed template is immutable: it may be rendered by several threads at once. Both calls block
 * (an include reads a file) for a bounded time: every loop turn, byte and value counts against the
 * limits. doc/dev/templates.md describes the language and where ours differs from Tera 1.20.
 */
#ifndef BVI_TEMPLATE_TEMPLATE_H
#define BVI_TEMPLATE_TEMPLATE_H

#include "base/buf.h"
#include "base/error.h"
#include "base/json.h"

typedef struct bvi_template bvi_template;

/* Of one template's source; includes count for themselves. */
#define BVI_TEMPLATE_BYTES_MAX (4u * 1024u * 1024u)
/* Other templates one rendering may load, and how deep they include each other. */
#define BVI_TEMPLATE_FILES_MAX         64u
#define BVI_TEMPLATE_INCLUDE_DEPTH_MAX 16u
#define BVI_TEMPLATE_NAME_MAX          256u

/* Where a mistake is; line 0: nowhere in particular. */
typedef struct bvi_template_place {
    char file[BVI_TEMPLATE_NAME_MAX];
    uint32_t line;
    uint32_t column; /* characters, from 1 */
} bvi_template_place;

/* Zero means the default. Exceeding one is BV_E_LIMIT. */
typedef struct bvi_template_limits {
    uint64_t operations; /* nodes visited, and one for each 16 bytes moved; 20 million */
    size_t memory_bytes; /* values and copies; 64 MiB */
    size_t output_bytes; /* 16 MiB */
} bvi_template_limits;

/* The source of another template, allocated with bvi_malloc. BV_E_NOT_FOUND: there is none. */
typedef int (*bvi_template_load_fn)(const char *name, char **ret_text, size_t *ret_len,
                                    bv_error **err, void *data);
/* The value of an environment variable, borrowed; NULL: not there, or not for templates. */
typedef const char *(*bvi_template_env_fn)(const char *name, void *data);

typedef struct bvi_template_options {
    bvi_template_limits limits;
    bvi_template_load_fn load; /* NULL: no other templates */
    bvi_template_env_fn env;   /* NULL: no variables */
    void *data;                /* last argument of both */
} bvi_template_options;

/*
 * The text is copied. The name is for messages, and one that ends in .html, .htm or .xml escapes
 * what is printed. BV_E_FORMAT: "Failed to parse 'name': ..." with the line; BV_E_LIMIT: too long
 * or too deep. place may be NULL.
 */
int bvi_template_parse(const char *text, size_t len, const char *name, bvi_template **ret_template,
                       bvi_template_place *place, bv_error **err);
void bvi_template_free(bvi_template *tpl);
BVI_DEFINE_FREEP(bvi_template, bvi_template_free)

/* BV_E_INVALID: parameters are a JSON object. */
int bvi_template_check_params(const bvi_json *params, bv_error **err);

/*
 * Appends the result to out; on failure out has a part of it. BV_E_INVALID: "Failed to render
 * 'name': ..." (also when params is no object), BV_E_FORMAT: an included template, BV_E_LIMIT,
 * BV_E_NOMEM, or what load answered. place may be NULL.
 */
int bvi_template_render(const bvi_template *tpl, const bvi_template_options *options,
                        const bvi_json *params, bvi_buf *out, bvi_template_place *place,
                        bv_error **err);

/* Loads templates below one directory, never from outside of it and through no link: data of the
 * load function is the address of a descriptor. */
int bvi_template_load_beneath(int dir_fd, const char *name, char **ret_text, size_t *ret_len,
                              bv_error **err);

/* Whether get_env() may give out a variable of this name: not when it speaks of a secret. */
bool bvi_template_env_is_public(const char *name);

#endif
