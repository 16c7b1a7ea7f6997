/*
 * scripted_rules.h - the rules by which a scripted node answers requests (answers.h has their
 * shape). Used by scripted.c.
 *
 * Rules come in layers; those of a later one are tried first, and in a layer the first that fits
 * answers. Rules count how often they were used.
 */
#ifndef BVI_PLUGIN_SCRIPTED_RULES_H
#define BVI_PLUGIN_SCRIPTED_RULES_H

#include "base/json.h"
#include "base/vec.h"

/* Of all layers together. */
#define BVI_RULES_MAX 10000u

/* "jrpc", "sh" and so on. */
typedef struct bvi_rule_kind bvi_rule_kind;

typedef struct bvi_rule {
    const bvi_rule_kind *kind;
    const bvi_json *json; /* in its document */
    size_t layer;
    size_t index; /* in its section, for messages */
    int64_t used;
} bvi_rule;

typedef struct bvi_rules {
    BVI_VEC(bvi_rule) rules;
    size_t layers;
} bvi_rules;

#define BVI_RULES_INIT                                                                             \
    {                                                                                              \
        .rules = BVI_VEC_INIT(BVI_RULES_MAX)                                                       \
    }

/* A further layer from a checked document, which is borrowed until bvi_rules_done(). BV_E_NOMEM. */
int bvi_rules_add(bvi_rules *rules, const bvi_json *document);
void bvi_rules_done(bvi_rules *rules);

/* What answers a call; NULL: no rules do. */
const bvi_rule_kind *bvi_rule_kind_of(const char *call);
bool bvi_rules_has(const bvi_rules *rules, const bvi_rule_kind *kind);
/* The rule that answers a request, as a fake node's handler gets it; NULL: none fits. */
bvi_rule *bvi_rules_find(const bvi_rules *rules, const bvi_rule_kind *kind,
                         const bvi_json *request);
/* Uses a rule: the answer it has this time. Borrowed. */
const bvi_json *bvi_rule_next_answer(bvi_rule *rule);
/* An answer as the environment gives it: {status_code, body} or {exit_code, stdout, stderr}. NULL:
 * no memory. */
bvi_json *bvi_rule_response(const bvi_rule *rule, const bvi_json *answer);

/* Why no rule answers a request: names it, and the rule that comes nearest. */
void bvi_rules_explain(const bvi_rules *rules, const bvi_rule_kind *kind, const bvi_json *request,
                       bvi_buf *text);

#endif
