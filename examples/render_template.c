/*
 * render_template.c - a configuration file from a template and parameters, as a plugin's
 * config_files make it, without a node.
 *
 *     render_template                  renders the template below
 *     render_template TEMPLATE PARAMS  renders a text with a JSON object
 */
#include <stdio.h>

#include <blockvisor/memory.h>
#include <blockvisor/template.h>

static const char example[] =
    "listen = \"{{ host | default(value='127.0.0.1') }}:{{ port + offset }}\"\n"
    "peers = [\n"
    "{%- for peer in peers %}\n"
    "  \"{{ peer.id | lower }}@{{ peer.host }}\",\n"
    "{%- endfor %}\n"
    "]\n";

static const char example_params[] =
    "{\"port\": 26656, \"offset\": 100, \"peers\": ["
    "{\"id\": \"A1\", \"host\": \"10.0.0.1\"}, {\"id\": \"B2\", \"host\": \"10.0.0.2\"}]}";

int main(int argc, char **argv)
{
    bv_template_place place = BV_TEMPLATE_PLACE_INIT;
    bv_template_opts opts = BV_TEMPLATE_OPTS_INIT;
    char story[4096];
    char *text = NULL;
    bv_error *err = NULL;

    opts.name = "app.toml";
    opts.place = &place;
    if (bv_template_render(argc > 1 ? argv[1] : example, argc > 2 ? argv[2] : example_params, &opts,
                           &text, &err) < 0) {
        (void)bv_error_format(err, story, sizeof(story));
        (void)fprintf(stderr, "%u:%u: %s\n", place.line, place.column, story);
        bv_error_free(err);
        return 1;
    }
    (void)fputs(text, stdout);
    bv_free(text);
    return 0;
}
