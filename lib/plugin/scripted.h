/*
 * scripted.h - a fake node that answers as a document says (answers.h), for the tools that run
 * plugins without a node.
 *
 * It stands on a bvi_fake_env, which keeps jobs, files, secrets and data; the rules of the document
 * answer HTTP requests and commands. Documents lie in layers: a later one's rules are tried first.
 * A request nothing answers is an error that names it and the rule that comes nearest, unless the
 * documents ask for the fake's own answers.
 */
#ifndef BVI_PLUGIN_SCRIPTED_H
#define BVI_PLUGIN_SCRIPTED_H

#include "plugin/answers.h"
#include "plugin/fake_env.h"

/* Requests, and log lines, that are kept; further ones are only answered. */
#define BVI_SCRIPTED_JOURNAL_MAX 10000u
/* Documents on top of each other. */
#define BVI_SCRIPTED_LAYERS_MAX 1000u

typedef struct bvi_scripted bvi_scripted;

/* Takes over how the fake answers; the fake is borrowed. ctx has the clock for delayed answers.
 * rootfs: the root file system that templates are taken from; copied, may be NULL. */
int bvi_scripted_new(bv_ctx *ctx, bvi_fake_env *fake, const char *rootfs,
                     bvi_scripted **ret_scripted, bv_error **err);
void bvi_scripted_free(bvi_scripted *scripted); /* after the plugin, before the fake */
BVI_DEFINE_FREEP(bvi_scripted, bvi_scripted_free)

/* Lays a checked document over those before; copied. A whole file makes unmatched requests an error
 * unless it says otherwise; without one they are for kinds of requests that have rules at all. */
int bvi_scripted_add(bvi_scripted *scripted, const bvi_json *document, bvi_answers_part part,
                     bv_error **err);

/* What the plugin asked for, in order: requests as bvi_fake_env_handler describes them, without
 * null members, and with the "output" of templates that could be rendered; and log lines. Arrays,
 * borrowed until the next request. */
const bvi_json *bvi_scripted_requests(const bvi_scripted *scripted);
const bvi_json *bvi_scripted_log(const bvi_scripted *scripted);
int bvi_scripted_clear_journal(bvi_scripted *scripted);

/* node.time of a document in microseconds since 1970; false: it has none. */
bool bvi_scripted_time(const bvi_json *document, int64_t *ret_wall_us);

#endif
