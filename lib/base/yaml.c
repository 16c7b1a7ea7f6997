/*
 * yaml.c - YAML documents as JSON trees, over libyaml's event parser.
 *
 * Events are turned into nodes with an explicit stack of open containers. Each node is attached to
 * its parent the moment it begins, so the tree has one owner throughout. An alias is replaced by a
 * copy of what its anchor named, measured before it is made: this bounds what a small text can grow
 * into. libyaml's own memory does not come from the allocator hook; the limit on the text bounds
 * it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "base/vec.h"
#include "base/yaml.h"

/* More anchors in one document are refused; looking one up is a walk over the list. */
#define ANCHORS_MAX 1000u

#define CORE_TAG "tag:yaml.org,2002:"

typedef struct level {
    bvi_json *node; /* what an anchor on this container means: the tag's object or the container */
    bvi_json *content; /* the array or object that receives children */
    char *key;         /* of the next value; NULL: the next event is a key */
    size_t line;       /* where it began */
    yaml_mark_t key_at;
} level;

typedef struct anchor {
    char *name;
    const bvi_json *node;
} anchor;

typedef struct builder {
    yaml_parser_t parser;
    level levels[BVI_YAML_DEPTH_MAX];
    unsigned depth; /* open containers and the tags around them */
    unsigned open;  /* open containers */
    BVI_VEC(anchor) anchors;
    bvi_json *root;
    size_t nodes;
    unsigned documents;
    yaml_mark_t at; /* of the event */
    bvi_yaml_marks *marks;
    bv_error **err;
} builder;

static int fail_at(const builder *b, const yaml_event_t *event, int code, const char *what,
                   const char *name)
{
    return bvi_fail(b->err, code, "line %zu, column %zu: %s%s%s%s", event->start_mark.line + 1,
                    event->start_mark.column + 1, what, name ? " '" : "", name ? name : "",
                    name ? "'" : "");
}

/* ---- scalars ---- */

static bool is_one_of(const char *text, const char *const *words)
{
    for (; *words; words++) {
        if (strcmp(text, *words) == 0)
            return true;
    }
    return false;
}

static bool is_null(const char *text)
{
    return is_one_of(text, (const char *const[]){ "", "~", "null", "Null", "NULL", NULL });
}

static bool is_true(const char *text)
{
    return is_one_of(text, (const char *const[]){ "true", "True", "TRUE", NULL });
}

static bool is_false(const char *text)
{
    return is_one_of(text, (const char *const[]){ "false", "False", "FALSE", NULL });
}

static size_t count_digits(const char *text)
{
    return strspn(text, "0123456789");
}

/* A number in decimal with anything JSON allows, and a few forms more that *ret_json is a JSON
 * spelling of. */
static bool is_decimal(const char *text, bvi_buf *json)
{
    const char *at = text + (*text == '-' || *text == '+');
    size_t whole = count_digits(at), fraction = 0;
    const char *rest = at + whole;

    if (whole > 1 && *at == '0')
        return false; /* 007 is a name, not a number */
    if (*rest == '.') {
        fraction = count_digits(rest + 1);
        rest += 1 + fraction;
    }
    if (whole + fraction == 0)
        return false;
    if (*rest == 'e' || *rest == 'E') {
        const char *digits = rest + 1 + (rest[1] == '-' || rest[1] == '+');

        if (count_digits(digits) == 0 || digits[count_digits(digits)])
            return false;
    } else if (*rest) {
        return false;
    }
    (void)bvi_buf_printf(json, "%s%.*s%s%.*s%s", *text == '-' ? "-" : "", (int)(whole ? whole : 1),
                         whole ? at : "0", fraction ? "." : "", (int)fraction, at + whole + 1,
                         rest); /* callers look at its length */
    return true;
}

/* 0x, 0o and 0b; true also when the value does not fit, with a node of NULL for the caller to
 * refuse. */
static bool is_based(const char *text, bvi_json **ret_node)
{
    static const struct {
        const char *prefix, *digits;
        int base;
    } forms[] = {
        { "0x", "0123456789abcdefABCDEF", 16 },
        { "0o", "01234567", 8 },
        { "0b", "01", 2 },
    };
    const char *at = text + (*text == '-' || *text == '+');

    for (size_t i = 0; i < BVI_COUNT(forms); i++) {
        const char *digits = at + 2;
        unsigned long long value;

        if (strncmp(at, forms[i].prefix, 2) != 0 || !*digits ||
            digits[strspn(digits, forms[i].digits)])
            continue;
        errno = 0;
        value = strtoull(digits, NULL, forms[i].base);
        if (errno || (*text == '-' && value > (unsigned long long)INT64_MAX))
            return false;
        *ret_node = *text == '-' ? bvi_json_new_int64(-(int64_t)value) : bvi_json_new_uint64(value);
        return true;
    }
    return false;
}

/* What a plain scalar means in YAML's core schema. Not-a-number and infinities stay strings: JSON
 * has none. */
static bvi_json *plain_value(const char *text)
{
    BVI_AUTO(bvi_buf_done) bvi_buf json = BVI_BUF_INIT(BVI_YAML_BYTES_MAX);
    bvi_json *node = NULL;

    if (is_null(text))
        return bvi_json_new_null();
    if (is_true(text) || is_false(text))
        return bvi_json_new_bool(is_true(text));
    if (is_decimal(text, &json))
        return json.len ? bvi_json_new_number(bvi_buf_str(&json)) : NULL;
    if (is_based(text, &node))
        return node;
    return bvi_json_new_string(text);
}

/* ---- tags ---- */

typedef enum tag_kind {
    TAG_NONE,
    TAG_LOCAL,
    TAG_STRING,
    TAG_CORE, /* another type of the core schema: must be what the plain text means anyway */
    TAG_UNKNOWN,
} tag_kind;

typedef struct core_tag {
    const char *name;
    tag_kind kind;
    bvi_json_type type;
} core_tag;

static const core_tag core_tags[] = {
    { "str", TAG_STRING, BVI_JSON_STRING }, { "null", TAG_CORE, BVI_JSON_NULL },
    { "bool", TAG_CORE, BVI_JSON_BOOL },    { "int", TAG_CORE, BVI_JSON_NUMBER },
    { "float", TAG_CORE, BVI_JSON_NUMBER }, { "seq", TAG_CORE, BVI_JSON_ARRAY },
    { "map", TAG_CORE, BVI_JSON_OBJECT },
};

static tag_kind classify(const char *tag, bvi_json_type *ret_type)
{
    if (!tag)
        return TAG_NONE;
    if (strcmp(tag, "!") == 0) /* "not to be resolved": scalars stay text */
        return TAG_STRING;
    if (tag[0] == '!')
        return TAG_LOCAL;
    if (strncmp(tag, CORE_TAG, strlen(CORE_TAG)) != 0)
        return TAG_UNKNOWN;
    for (size_t i = 0; i < BVI_COUNT(core_tags); i++) {
        if (strcmp(tag + strlen(CORE_TAG), core_tags[i].name) == 0) {
            *ret_type = core_tags[i].type;
            return core_tags[i].kind;
        }
    }
    return TAG_UNKNOWN;
}

/* ---- the tree ---- */

static int count_node(builder *b, const yaml_event_t *event)
{
    if (++b->nodes > BVI_YAML_NODES_MAX)
        return fail_at(b, event, BV_E_LIMIT, "the document has too many values", NULL);
    return 0;
}

/* Remembers where a value, or the key in front of it, stands in the text. */
static int remember_place(builder *b, const level *parent, const bvi_json *value)
{
    const yaml_mark_t *at = parent && parent->key ? &parent->key_at : &b->at;
    bvi_yaml_mark *mark = b->marks ? bvi_vec_push(b->marks) : NULL;

    if (!mark)
        return b->marks ? bvi_fail_nomem(b->err) : 0;
    *mark = (bvi_yaml_mark){ value, (unsigned)at->line + 1, (unsigned)at->column + 1 };
    return 0;
}

/* Gives value to the innermost open container; owns it, also on failure. NULL means no memory. */
static int attach(builder *b, bvi_json *value)
{
    level *top = b->open ? &b->levels[b->open - 1] : NULL;
    int r;

    if (!value)
        return bvi_fail_nomem(b->err);
    r = remember_place(b, top, value);
    if (r < 0) {
        bvi_json_free(value);
        return r;
    }
    if (!top) {
        b->root = value; /* one document has one root: the parser sees to it */
        return 0;
    }
    if (top->key) {
        r = bvi_json_append(top->content, top->key, value);
        bvi_free(bvi_take(top->key));
    } else {
        r = bvi_json_add(top->content, value);
    }
    return r < 0 ? bvi_fail_nomem(b->err) : 0;
}

/* Attaches {tag: value} or the value alone; value is owned, also on failure. */
static int attach_tagged(builder *b, const char *local_tag, bvi_json *value, bvi_json **ret_node)
{
    bvi_json *node = value;

    if (local_tag && value) {
        node = bvi_json_new_object();
        if (!node)
            bvi_json_free(value);
        else if (bvi_json_append(node, local_tag, value) < 0)
            bvi_json_free(bvi_take(node));
    }
    *ret_node = node;
    return attach(b, node);
}

static int remember_anchor(builder *b, const yaml_event_t *event, const yaml_char_t *name,
                           const bvi_json *node)
{
    anchor *slot;
    char *copy;

    if (!name)
        return 0;
    if (b->anchors.len >= b->anchors.max)
        return fail_at(b, event, BV_E_LIMIT, "the document has too many anchors", NULL);
    copy = bvi_strdup((const char *)name);
    slot = copy ? bvi_vec_push(&b->anchors) : NULL;
    if (!slot) {
        bvi_free(copy);
        return bvi_fail_nomem(b->err);
    }
    *slot = (anchor){ copy, node };
    return 0;
}

static bool is_key_next(const builder *b)
{
    const level *top = b->open ? &b->levels[b->open - 1] : NULL;

    return top && bvi_json_type_of(top->content) == BVI_JSON_OBJECT && !top->key;
}

static int on_key(builder *b, const yaml_event_t *event)
{
    level *top = &b->levels[b->open - 1];

    if (event->type != YAML_SCALAR_EVENT || event->data.scalar.anchor)
        return fail_at(b, event, BV_E_UNSUPPORTED, "a key must be plain text", NULL);
    if (memchr(event->data.scalar.value, '\0', event->data.scalar.length))
        return fail_at(b, event, BV_E_FORMAT, "a zero byte in a key", NULL);
    top->key_at = event->start_mark;
    top->key = bvi_strdup((const char *)event->data.scalar.value);
    return top->key ? 0 : bvi_fail_nomem(b->err);
}

static int on_scalar(builder *b, const yaml_event_t *event)
{
    const char *text = (const char *)event->data.scalar.value;
    const char *tag = (const char *)event->data.scalar.tag;
    bool plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    bvi_json_type wanted = BVI_JSON_NULL;
    tag_kind kind = classify(tag, &wanted);
    bvi_json *node = NULL;
    int r;

    if (kind == TAG_UNKNOWN)
        return fail_at(b, event, BV_E_UNSUPPORTED, "unknown tag", tag);
    if (memchr(text, '\0', event->data.scalar.length))
        return fail_at(b, event, BV_E_FORMAT, "a zero byte in a text", NULL);
    r = count_node(b, event);
    if (r < 0)
        return r;
    if (kind == TAG_STRING || (!plain && kind != TAG_CORE))
        node = bvi_json_new_string(text);
    else
        node = plain_value(text);
    if (node && kind == TAG_CORE && bvi_json_type_of(node) != wanted) {
        bvi_json_free(node);
        return fail_at(b, event, BV_E_FORMAT, "the value does not fit its tag", tag);
    }
    r = attach_tagged(b, kind == TAG_LOCAL ? tag : NULL, node, &node);
    return r < 0 ? r : remember_anchor(b, event, event->data.scalar.anchor, node);
}

static int on_start(builder *b, const yaml_event_t *event, bvi_json_type type, const char *tag,
                    const yaml_char_t *anchor_name)
{
    bvi_json_type wanted = type;
    tag_kind kind = classify(tag, &wanted);
    unsigned deeper = kind == TAG_LOCAL ? 2 : 1;
    bvi_json *content, *node = NULL;
    int r;

    if (kind == TAG_UNKNOWN)
        return fail_at(b, event, BV_E_UNSUPPORTED, "unknown tag", tag);
    if (kind == TAG_CORE && wanted != type)
        return fail_at(b, event, BV_E_FORMAT, "the value does not fit its tag", tag);
    if (b->depth + deeper > BVI_YAML_DEPTH_MAX)
        return fail_at(b, event, BV_E_LIMIT, "nested too deeply", NULL);
    r = count_node(b, event);
    if (r < 0)
        return r;
    content = type == BVI_JSON_ARRAY ? bvi_json_new_array() : bvi_json_new_object();
    r = attach_tagged(b, kind == TAG_LOCAL ? tag : NULL, content, &node);
    if (r < 0)
        return r;
    b->depth += deeper;
    b->levels[b->open++] =
        (level){ .node = node, .content = content, .line = event->start_mark.line + 1 };
    return remember_anchor(b, event, anchor_name, node);
}

static int on_end(builder *b)
{
    level *top = &b->levels[--b->open];
    int r;

    b->depth -= top->node == top->content ? 1 : 2;
    r = bvi_json_check_keys(top->content, b->err);
    return r < 0 ? bvi_wrap(b->err, r, "mapping at line %zu", top->line) : 0;
}

/* Counts the nodes below (and with) a node and its depth; gives up beyond the limits. Depth was
 * bounded on entry. */
static void measure(const bvi_json *node, unsigned depth, size_t *nodes, unsigned *deepest)
{
    (*nodes)++;
    if (bvi_json_type_of(node) >= BVI_JSON_ARRAY && depth > *deepest)
        *deepest = depth;
    bvi_json_each(child, node) {
        if (*nodes > BVI_YAML_NODES_MAX)
            return;
        measure(child, depth + 1, nodes, deepest);
    }
}

static const bvi_json *find_anchor(const builder *b, const char *name)
{
    for (size_t i = b->anchors.len; i > 0; i--) { /* the latest of a name counts */
        if (strcmp(b->anchors.items[i - 1].name, name) == 0)
            return b->anchors.items[i - 1].node;
    }
    return NULL;
}

static int on_alias(builder *b, const yaml_event_t *event)
{
    const char *name = (const char *)event->data.alias.anchor;
    const bvi_json *node = find_anchor(b, name);
    unsigned deepest = 0;

    if (!node)
        return fail_at(b, event, BV_E_FORMAT, "no anchor of the name", name);
    for (unsigned i = 0; i < b->open; i++) {
        if (b->levels[i].node == node)
            return fail_at(b, event, BV_E_FORMAT, "an alias inside its own anchor", name);
    }
    measure(node, 1, &b->nodes, &deepest);
    if (b->nodes > BVI_YAML_NODES_MAX)
        return fail_at(b, event, BV_E_LIMIT, "too many values after following the alias", name);
    if (b->depth + deepest > BVI_YAML_DEPTH_MAX)
        return fail_at(b, event, BV_E_LIMIT, "nested too deeply after following the alias", name);
    return attach(b, bvi_json_copy(node));
}

static int on_event(builder *b, const yaml_event_t *event)
{
    if (is_key_next(b) && event->type != YAML_MAPPING_END_EVENT)
        return on_key(b, event);
    switch (event->type) {
    case YAML_DOCUMENT_START_EVENT:
        if (b->documents++)
            return fail_at(b, event, BV_E_FORMAT, "more than one document", NULL);
        return 0;
    case YAML_SCALAR_EVENT:
        return on_scalar(b, event);
    case YAML_ALIAS_EVENT:
        return on_alias(b, event);
    case YAML_SEQUENCE_START_EVENT:
        return on_start(b, event, BVI_JSON_ARRAY, (const char *)event->data.sequence_start.tag,
                        event->data.sequence_start.anchor);
    case YAML_MAPPING_START_EVENT:
        return on_start(b, event, BVI_JSON_OBJECT, (const char *)event->data.mapping_start.tag,
                        event->data.mapping_start.anchor);
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        return on_end(b);
    default:
        return 0; /* stream start and end, document end */
    }
}

/* ---- parsing ---- */

static int explain(const builder *b)
{
    const yaml_parser_t *p = &b->parser;

    if (p->error == YAML_MEMORY_ERROR)
        return bvi_fail_nomem(b->err);
    if (p->error == YAML_READER_ERROR)
        return bvi_fail(b->err, BV_E_FORMAT, "not YAML: byte %zu: %s", p->problem_offset,
                        p->problem ? p->problem : "cannot be read");
    return bvi_fail(b->err, BV_E_FORMAT, "not YAML: line %zu, column %zu: %s%s%s",
                    p->problem_mark.line + 1, p->problem_mark.column + 1,
                    p->problem ? p->problem : "cannot be understood", p->context ? " " : "",
                    p->context ? p->context : "");
}

static int build(builder *b)
{
    for (bool ended = false; !ended;) {
        yaml_event_t event;
        int r;

        if (!yaml_parser_parse(&b->parser, &event))
            return explain(b);
        ended = event.type == YAML_STREAM_END_EVENT;
        b->at = event.start_mark;
        r = on_event(b, &event);
        yaml_event_delete(&event);
        if (r < 0)
            return r;
    }
    if (!b->root)
        return bvi_fail(b->err, BV_E_FORMAT, "not YAML: the document is empty");
    return 0;
}

static void builder_done(builder *b)
{
    for (unsigned i = 0; i < b->open; i++)
        bvi_free(b->levels[i].key);
    for (size_t i = 0; i < b->anchors.len; i++)
        bvi_free(b->anchors.items[i].name);
    bvi_vec_done(&b->anchors);
    bvi_json_free(b->root);
    yaml_parser_delete(&b->parser);
}

int bvi_yaml_parse_marked(const char *text, size_t len, bvi_json **ret_root, bvi_yaml_marks *marks,
                          bv_error **err)
{
    builder b = { .anchors = BVI_VEC_INIT(ANCHORS_MAX), .marks = marks, .err = err };
    int r;

    if (len > BVI_YAML_BYTES_MAX)
        return bvi_fail(err, BV_E_LIMIT, "longer than %u bytes", BVI_YAML_BYTES_MAX);
    if (!yaml_parser_initialize(&b.parser))
        return bvi_fail_nomem(err);
    yaml_parser_set_encoding(&b.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&b.parser, (const unsigned char *)text, len);
    r = build(&b);
    if (r >= 0)
        *ret_root = bvi_take(b.root);
    builder_done(&b);
    return r;
}

int bvi_yaml_parse(const char *text, size_t len, bvi_json **ret_root, bv_error **err)
{
    return bvi_yaml_parse_marked(text, len, ret_root, NULL, err);
}

const bvi_yaml_mark *bvi_yaml_mark_of(const bvi_yaml_marks *marks, const bvi_json *node)
{
    for (size_t i = 0; i < marks->len; i++) {
        if (marks->items[i].node == node)
            return &marks->items[i];
    }
    return NULL;
}
