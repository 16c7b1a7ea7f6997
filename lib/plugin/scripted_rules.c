/*
 * scripted_rules.c - which rule answers a request, with what, and why none does. See
 * scripted_rules.h.
 */
#include <ctype.h>
#include <fnmatch.h>
#include <string.h>

#include "plugin/scripted_rules.h"

/* Of a request in a message; a command may be a whole script. */
#define SHOWN_MAX 200

/* ---- kinds of requests ---- */

typedef enum matching { GLOB, CONTAINS, EQUAL } matching;

/* What a rule may ask of a request: its key, and the one in the request. */
typedef struct criterion {
    const char *key;
    const char *of_request;
    matching how;
} criterion;

struct bvi_rule_kind {
    const char *section; /* of the document */
    const char *call;
    const criterion *criteria; /* ends with a NULL key */
    bvi_json *(*make_response)(const bvi_json *answer);
};

static bvi_json *http_answer(const bvi_json *answer);
static bvi_json *jrpc_answer(const bvi_json *answer);
static bvi_json *sh_answer(const bvi_json *answer);

static const criterion jrpc_criteria[] = {
    { "method", "method", GLOB }, { "host", "host", GLOB }, { "params", "params", EQUAL }, { 0 }
};
static const criterion rest_criteria[] = { { "url", "url", GLOB }, { 0 } };
static const criterion graphql_criteria[] = { { "url", "url", GLOB },
                                              { "query", "query", CONTAINS },
                                              { "operation_name", "operation_name", GLOB },
                                              { "variables", "variables", EQUAL },
                                              { 0 } };
static const criterion sh_criteria[] = { { "command", "body", GLOB },
                                         { "contains", "body", CONTAINS },
                                         { 0 } };

static const bvi_rule_kind kinds[] = {
    { "jrpc", "run_jrpc", jrpc_criteria, jrpc_answer },
    { "rest", "run_rest", rest_criteria, http_answer },
    { "graphql", "run_graphql", graphql_criteria, http_answer },
    { "sh", "run_sh", sh_criteria, sh_answer },
};

/* ---- responses ---- */

static int64_t number_of(const bvi_json *answer, const char *key, int64_t fallback)
{
    int64_t value = fallback;

    return bvi_json_int64(bvi_json_find(answer, key), &value) < 0 ? fallback : value;
}

static const char *text_of(const bvi_json *answer, const char *key)
{
    const char *text = bvi_json_string(bvi_json_find(answer, key));

    return text ? text : "";
}

/* A text as it is; anything else as JSON; nothing as nothing. NULL: no memory. */
static char *body_text(const bvi_json *body)
{
    const char *text = bvi_json_string(body);
    char *printed = NULL;

    if (text || !body)
        return bvi_strdup(text ? text : "");
    (void)bvi_json_print(body, false, &printed, NULL); /* NULL tells */
    return printed;
}

static bvi_json *http_response(const bvi_json *answer, const bvi_json *body)
{
    bvi_auto_json bvi_json *response = bvi_json_new_object();
    bvi_auto_free char *text = body_text(body);

    if (!response || !text ||
        bvi_json_put_int64(response, "status_code", number_of(answer, "status", 200)) < 0 ||
        bvi_json_put_string(response, "body", text) < 0)
        return NULL;
    return bvi_take(response);
}

static bvi_json *http_answer(const bvi_json *answer)
{
    return http_response(answer, bvi_json_find(answer, "body"));
}

/* "result" and "error" come in JSON-RPC's envelope. */
static bvi_json *jrpc_answer(const bvi_json *answer)
{
    static const char *const members[] = { "result", "error" };
    bvi_auto_json bvi_json *body = bvi_json_new_object();
    bool has_member = false;
    int r = body ? bvi_json_put_string(body, "jsonrpc", "2.0") : BV_E_NOMEM;

    if (r == 0)
        r = bvi_json_put_int64(body, "id", 0);
    for (size_t i = 0; r == 0 && i < BVI_COUNT(members); i++) {
        const bvi_json *member = bvi_json_find(answer, members[i]);

        if (!member)
            continue;
        has_member = true;
        r = bvi_json_put(body, members[i], bvi_json_copy(member));
    }
    if (r < 0)
        return NULL;
    return has_member ? http_response(answer, body) : http_answer(answer);
}

static bvi_json *sh_answer(const bvi_json *answer)
{
    bvi_auto_json bvi_json *response = bvi_json_new_object();

    if (!response ||
        bvi_json_put_int64(response, "exit_code", number_of(answer, "exit_code", 0)) < 0 ||
        bvi_json_put_string(response, "stdout", text_of(answer, "stdout")) < 0 ||
        bvi_json_put_string(response, "stderr", text_of(answer, "stderr")) < 0)
        return NULL;
    return bvi_take(response);
}

/* ---- matching ---- */

/* A command is looked at without the blanks around it. */
static char *trimmed(const char *text)
{
    size_t len;

    while (isspace((unsigned char)*text))
        text++;
    len = strlen(text);
    while (len && isspace((unsigned char)text[len - 1]))
        len--;
    return bvi_strndup(text, len);
}

static bool meets(const criterion *c, const bvi_json *wanted, const bvi_json *actual)
{
    const char *pattern = bvi_json_string(wanted);
    const char *text = bvi_json_string(actual);
    bvi_auto_free char *inner = NULL;

    if (c->how == EQUAL)
        return bvi_json_equal(wanted, actual);
    inner = trimmed(text ? text : "");
    if (!pattern || !inner)
        return false;
    return c->how == GLOB ? fnmatch(pattern, inner, 0) == 0 : strstr(inner, pattern) != NULL;
}

static const bvi_json *subject_of(const bvi_json *request)
{
    const bvi_json *inner = bvi_json_find(request, "request");

    return inner ? inner : request;
}

/* How many of the rule's criteria the request meets; *ret_missed is the first it does not. */
static size_t count_met(const bvi_rule *r, const bvi_json *request, const criterion **ret_missed)
{
    size_t met = 0;

    *ret_missed = NULL;
    for (const criterion *c = r->kind->criteria; c->key; c++) {
        const bvi_json *wanted = bvi_json_find(r->json, c->key);

        if (!wanted)
            continue;
        if (meets(c, wanted, bvi_json_find(subject_of(request), c->of_request)))
            met++;
        else if (!*ret_missed)
            *ret_missed = c;
    }
    return met;
}

static bool is_used_up(const bvi_rule *r)
{
    const bvi_json *times = bvi_json_find(r->json, "times");

    return times && r->used >= number_of(r->json, "times", 0);
}

/* ---- requests without a rule ---- */

static const bvi_rule *nearest_rule(const bvi_rules *rules, const bvi_rule_kind *k,
                                    const bvi_json *request, const criterion **ret_missed)
{
    const bvi_rule *best = NULL;
    size_t most = 0;

    for (size_t i = 0; i < rules->rules.len; i++) {
        const bvi_rule *r = &rules->rules.items[i];
        const criterion *missed = NULL;
        size_t met = r->kind == k ? count_met(r, request, &missed) : 0;

        if (r->kind != k || (best && met <= most))
            continue;
        best = r;
        most = met;
        *ret_missed = missed;
    }
    return best;
}

static void describe_nearest(const bvi_rules *rules, const bvi_rule_kind *k,
                             const bvi_json *request, bvi_buf *text)
{
    const criterion *missed = NULL;
    const bvi_rule *near = nearest_rule(rules, k, request, &missed);
    bvi_auto_free char *wanted = NULL;

    if (!near)
        return;
    if (!missed) {
        (void)bvi_buf_printf(text, " (%s[%zu] fits, but is used up)", k->section, near->index);
        return;
    }
    wanted = body_text(bvi_json_find(near->json, missed->key));
    (void)bvi_buf_printf(text, " (nearest is %s[%zu], with %s '%.*s')", k->section, near->index,
                         missed->key, SHOWN_MAX, wanted ? wanted : "");
}

void bvi_rules_explain(const bvi_rules *rules, const bvi_rule_kind *kind, const bvi_json *request,
                       bvi_buf *text)
{
    (void)bvi_buf_printf(text, "no answer is scripted for %s", kind->call); /* cut when too long */
    for (const criterion *c = kind->criteria; c->key; c++) {
        const bvi_json *value = bvi_json_find(subject_of(request), c->of_request);
        bvi_auto_free char *shown = value ? body_text(value) : NULL;

        if (shown && (c == kind->criteria || strcmp(c->of_request, c[-1].of_request) != 0))
            (void)bvi_buf_printf(text, " %s '%.*s'", c->of_request, SHOWN_MAX, shown);
    }
    describe_nearest(rules, kind, request, text);
    (void)bvi_buf_printf(text, "; add a rule to '%s' in the answers file", kind->section);
}

/* ---- using them ---- */

bvi_rule *bvi_rules_find(const bvi_rules *rules, const bvi_rule_kind *kind, const bvi_json *request)
{
    const criterion *missed = NULL;
    size_t first;

    /* Layers lie one behind the other: from the last one on, each from its beginning. */
    for (size_t end = rules->rules.len; end > 0; end = first) {
        first = end - 1;
        while (first > 0 &&
               rules->rules.items[first - 1].layer == rules->rules.items[end - 1].layer)
            first--;
        for (size_t i = first; i < end; i++) {
            bvi_rule *r = &rules->rules.items[i];

            if (r->kind != kind || is_used_up(r))
                continue;
            (void)count_met(r, request, &missed); /* all that are missed count */
            if (!missed)
                return r;
        }
    }
    return NULL;
}

/* The n-th use takes the n-th of its answers, and the last again and again. */
const bvi_json *bvi_rule_next_answer(bvi_rule *r)
{
    const bvi_json *answers = bvi_json_find(r->json, "answers");
    const bvi_json *chosen = bvi_json_first(answers);

    for (int64_t i = 0; chosen && i < r->used && bvi_json_next(chosen); i++)
        chosen = bvi_json_next(chosen);
    r->used++;
    return chosen ? chosen : r->json;
}

bvi_json *bvi_rule_response(const bvi_rule *r, const bvi_json *answer)
{
    return r->kind->make_response(answer);
}

const bvi_rule_kind *bvi_rule_kind_of(const char *call)
{
    for (size_t i = 0; i < BVI_COUNT(kinds); i++) {
        if (strcmp(kinds[i].call, call) == 0)
            return &kinds[i];
    }
    return NULL;
}

bool bvi_rules_has(const bvi_rules *rules, const bvi_rule_kind *kind)
{
    for (size_t i = 0; i < rules->rules.len; i++) {
        if (rules->rules.items[i].kind == kind)
            return true;
    }
    return false;
}

/* ---- life ---- */

int bvi_rules_add(bvi_rules *rules, const bvi_json *document)
{
    size_t layer = rules->layers++;

    for (size_t k = 0; k < BVI_COUNT(kinds); k++) {
        size_t index = 0;

        bvi_json_each(json, bvi_json_find(document, kinds[k].section)) {
            bvi_rule *r = bvi_vec_push(&rules->rules);

            if (!r)
                return BV_E_NOMEM;
            *r = (bvi_rule){ .kind = &kinds[k], .json = json, .layer = layer, .index = index++ };
        }
    }
    return 0;
}

void bvi_rules_done(bvi_rules *rules)
{
    bvi_vec_done(&rules->rules);
}
