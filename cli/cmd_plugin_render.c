/*
 * cmd_plugin_render.c - bv plugin render: what a template gives, for whoever writes one.
 */
#include <libgen.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "plugin_options.h"

#define TEMPLATE_ENDING ".template"
#define STORY_MAX       16384u

/* ---- parameters ---- */

static void add_member(cli_json *json, const bv_doc *member)
{
    char *text = NULL;

    cli_json_raw(json, json->len > 1 ? "," : "");
    cli_json_string(json, bv_doc_key(member));
    cli_json_raw(json, ":");
    if (bv_doc_print(member, 0, &text, NULL) < 0)
        json->failed = true;
    else
        cli_json_raw(json, text);
    bv_free(text);
}

/* Those of the file, then those of the command line, which go before them. */
static char *merge_params(const bv_doc *file, const bv_doc *given)
{
    cli_json json = { 0 };

    cli_json_raw(&json, "{");
    for (const bv_doc *m = bv_doc_first(file); m; m = bv_doc_next(m)) {
        if (!bv_doc_get(given, bv_doc_key(m)))
            add_member(&json, m);
    }
    for (const bv_doc *m = bv_doc_first(given); m; m = bv_doc_next(m))
        add_member(&json, m);
    cli_json_raw(&json, "}");
    if (!json.failed)
        return json.text;
    free(json.text);
    return NULL;
}

static int read_params(const cli_args *args, char **ret_params)
{
    bv_doc *file = NULL;
    bv_doc *given = NULL;
    int code = plugin_read_document(args, "params", &file);

    if (code == EXIT_OK)
        code = plugin_read_params(args, &given);
    if (code == EXIT_OK) {
        *ret_params = merge_params(file, given);
        code = *ret_params ? EXIT_OK : EXIT_LIMIT;
    }
    bv_doc_free(file);
    bv_doc_free(given);
    return code;
}

/* ---- the template ---- */

/* A template and what follows from where it lies. */
typedef struct source {
    const char *path; /* as given */
    char *text;
    size_t len;
    char *params;
    char *name;     /* of what it becomes */
    char *dir_copy; /* dir may point into it */
    const char *dir;
} source;

/* "conf/app.html.template" becomes "app.html". */
static char *name_for(const char *path)
{
    const char *slash = strrchr(path, '/');
    const char *name = slash ? slash + 1 : path;
    size_t len = strlen(name), ending = strlen(TEMPLATE_ENDING);

    if (len > ending && strcmp(name + len - ending, TEMPLATE_ENDING) == 0)
        len -= ending;
    return strndup(name, len);
}

static int open_source(const cli_args *args, source *s)
{
    const char *name = cli_text(args, "name");
    int code = EXIT_OK;

    s->path = args->items[0];
    s->text = plugin_read_file(s->path, &s->len, &code);
    if (code != EXIT_OK)
        return code;
    if (strlen(s->text) != s->len) {
        (void)fprintf(stderr, "Error: '%s' is not text: it has a zero byte\n", s->path);
        return EXIT_DAMAGED;
    }
    s->name = name ? strdup(name) : name_for(s->path);
    s->dir_copy = strdup(s->path);
    if (!s->name || !s->dir_copy)
        return EXIT_LIMIT;
    s->dir = cli_text(args, "include-dir");
    if (!s->dir)
        s->dir = dirname(s->dir_copy);
    return read_params(args, &s->params);
}

static void close_source(source *s)
{
    free(s->text);
    free(s->params);
    free(s->name);
    free(s->dir_copy);
}

/* ---- what is printed ---- */

/* The mistake lies in the template itself, which has another name here, or in an include. */
static const char *file_of(const source *s, const bv_template_place *place)
{
    return strcmp(place->file, s->name) == 0 ? s->path : place->file;
}

/* Line by line: the story of a syntax error shows the place on lines of its own. */
static void put_lines(FILE *out, char *story)
{
    char *rest = NULL;

    for (char *line = strtok_r(story, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        cli_put(out, line);
        (void)fputc('\n', out);
    }
}

static void tell(const source *s, const bv_template_place *place, char *story)
{
    if (place->line) {
        cli_put(stderr, file_of(s, place));
        (void)fprintf(stderr, ":%u:%u: ", place->line, place->column);
    } else {
        (void)fputs("Error: ", stderr);
    }
    put_lines(stderr, story);
}

static void print_failure(const source *s, const bv_template_place *place, const char *story)
{
    cli_json json = { 0 };
    char number[64];
    bv_doc *doc;

    cli_json_raw(&json, "{\"error\":");
    cli_json_string(&json, story);
    if (place->line) {
        cli_json_raw(&json, ",\"file\":");
        cli_json_string(&json, file_of(s, place));
        (void)snprintf(number, sizeof(number), ",\"line\":%u,\"column\":%u", place->line,
                       place->column);
        cli_json_raw(&json, number);
    }
    cli_json_raw(&json, "}");
    doc = cli_json_doc(&json);
    if (doc)
        cli_print_json(doc);
    bv_doc_free(doc);
}

static void print_text(const char *text, bool json)
{
    cli_json object = { 0 };
    bv_doc *doc;

    if (!json) {
        (void)fputs(text, stdout);
        return;
    }
    cli_json_raw(&object, "{\"text\":");
    cli_json_string(&object, text);
    cli_json_raw(&object, "}");
    doc = cli_json_doc(&object);
    if (doc)
        cli_print_json(doc);
    bv_doc_free(doc);
}

/* ---- the command ---- */

static const char *environment(const char *name, void *data)
{
    (void)data;
    return getenv(name);
}

static int render(const cli *c, const source *s)
{
    bv_template_place place = BV_TEMPLATE_PLACE_INIT;
    bv_template_opts opts = BV_TEMPLATE_OPTS_INIT;
    char story[STORY_MAX];
    bv_error *err = NULL;
    char *text = NULL;

    opts.name = s->name;
    opts.include_dir = s->dir;
    opts.env = environment;
    opts.place = &place;
    if (bv_template_render(s->text, s->params, &opts, &text, &err) == 0) {
        print_text(text, c->json);
        bv_free(text);
        return EXIT_OK;
    }
    (void)bv_error_format(err, story, sizeof(story)); /* cut when too long */
    bv_error_free(err);
    if (c->json)
        print_failure(s, &place, story);
    else
        tell(s, &place, story);
    return EXIT_FAILED;
}

int cmd_plugin_render(cli *c, const cli_args *args)
{
    source s = { NULL };
    int code;

    cli_release_signals(); /* nothing needs an orderly end: Ctrl-C just ends us */
    code = open_source(args, &s);
    if (code == EXIT_OK)
        code = render(c, &s);
    close_source(&s);
    return code;
}
