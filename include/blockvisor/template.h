/**
 * @file blockvisor/template.h
 * Rendering a template: what `render_template()` and `config_files` of a plugin do, without a node.
 *
 * The language is Tera's (which is close to Jinja2's): `{{ value | filter }}`, `{% if %}`,
 * `{% for %}`, `{% set %}`, macros, includes. A call is self-contained: it keeps nothing, needs no
 * context, and may be made from any thread. It blocks for a bounded time.
 */
#ifndef BLOCKVISOR_TEMPLATE_H
#define BLOCKVISOR_TEMPLATE_H

#include <stddef.h>
#include <stdint.h>

#include <blockvisor/error.h>

BV_BEGIN_DECLS

/** Where a mistake is. */
typedef struct bv_template_place {
    size_t size;     /**< sizeof(bv_template_place); lets the struct grow. */
    uint32_t line;   /**< From 1; 0: nowhere in particular. */
    uint32_t column; /**< From 1, in characters. */
    char file[256];  /**< The template's name, or that of the file it includes. */
} bv_template_place;

#define BV_TEMPLATE_PLACE_INIT                                                                     \
    {                                                                                              \
        .size = sizeof(bv_template_place)                                                          \
    }

/**
 * Tells the value of an environment variable to `get_env()`. Names that speak of a secret (KEY,
 * TOKEN, PASSWORD and so on) are never asked for.
 *
 * @return the value, borrowed until the rendering ends; NULL: there is none.
 */
typedef const char *(*bv_template_env_fn)(const char *name, void *data);

typedef struct bv_template_opts {
    size_t size;              /**< sizeof(bv_template_opts); lets the struct grow. */
    const char *name;         /**< For messages; one that ends in .html, .htm or .xml makes printed
                                   strings be escaped. NULL: "template". */
    const char *include_dir;  /**< Where `include` and `import` look; they never leave it and follow
                                   no link. NULL: they find nothing. */
    bv_template_env_fn env;   /**< NULL: `get_env()` finds nothing. */
    void *data;               /**< Last argument of env. */
    bv_template_place *place; /**< Filled when the template is wrong. May be NULL. */
    uint64_t max_operations;  /**< 0: 20 million: a second or two. */
    uint64_t max_memory_bytes; /**< 0: 64 MiB. */
    uint64_t max_output_bytes; /**< 0: 16 MiB. */
} bv_template_opts;

#define BV_TEMPLATE_OPTS_INIT                                                                      \
    {                                                                                              \
        .size = sizeof(bv_template_opts)                                                           \
    }

/**
 * Renders a template.
 *
 * @param text      The template, UTF-8, at most 4 MiB.
 * @param params    Its parameters: a JSON object as text. NULL: none.
 * @param opts      NULL: all defaults.
 * @param ret_text  The result, freed with bv_free().
 * @return 0; BV_E_FORMAT: the template or the parameters cannot be parsed; BV_E_INVALID: rendering
 *         failed, such as for a variable that is not there; BV_E_LIMIT, BV_E_NOMEM, or why an
 *         included file could not be read.
 * @since 0.1
 */
BV_API int bv_template_render(const char *text, const char *params, const bv_template_opts *opts,
                              char **ret_text, bv_error **err);

BV_END_DECLS

#endif
