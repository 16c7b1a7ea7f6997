/* Answers files: whatever YAML there is is refused, or answers requests of every kind by its rules.
 */
#include <stdint.h>
#include <string.h>

#include "base/yaml.h"
#include "plugin/answers.h"
#include "plugin/graphql.h"
#include "plugin/scripted_rules.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct {
    const char *call;
    const char *request;
} requests[] = {
    { "run_jrpc", "{\"request\":{\"host\":\"http://h\",\"method\":\"m\",\"params\":[1]}}" },
    { "run_rest", "{\"request\":{\"url\":\"http://h/x?query=%7ba%7D&variables=%5B1]\",\"headers\":"
                  "[[\"Content-Type\",\"application/json\"],[\"Accept\",\"application/json\"]]}}" },
    { "run_sh", "{\"body\":\" ls -l \"}" },
};

static void ask(bvi_rules *rules, const char *call, const bvi_json *request)
{
    const bvi_rule_kind *kind = bvi_rule_kind_of(call);
    BVI_AUTO(bvi_buf_done) bvi_buf text = BVI_BUF_INIT(BVI_ERROR_MESSAGE_MAX);
    bvi_rule *rule = bvi_rules_find(rules, kind, request);

    if (rule)
        bvi_json_free(bvi_rule_response(rule, bvi_rule_next_answer(rule)));
    else
        bvi_rules_explain(rules, kind, request, &text);
}

static void ask_all(const bvi_json *document)
{
    BVI_AUTO(bvi_rules_done) bvi_rules rules = BVI_RULES_INIT;

    if (bvi_rules_add(&rules, document) < 0)
        return;
    for (size_t i = 0; i < 2 * BVI_COUNT(requests); i++) {
        const char *text = requests[i / 2].request;
        bvi_auto_json bvi_json *request = NULL;
        bvi_auto_json bvi_json *graphql = NULL;

        if (bvi_json_parse(text, strlen(text), &request, NULL) < 0)
            return;
        ask(&rules, requests[i / 2].call, request);
        graphql = bvi_graphql_read(request);
        if (graphql)
            ask(&rules, "run_graphql", graphql);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    bvi_auto_json bvi_json *document = NULL;
    bvi_auto_error bv_error *err = NULL;

    if (bvi_yaml_parse((const char *)data, size, &document, NULL) < 0)
        return 0;
    if (bvi_answers_check(document, BVI_ANSWERS_FILE, &err) >= 0)
        ask_all(document);
    return 0;
}
