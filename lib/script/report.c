/*
 * report.c - failures as documents, for tools and bindings: what happened, where, and the way it
 * came up.
 */
#include <stdio.h>
#include <string.h>

#include "script/vm.h"

#define PLACE_FORMAT " (line %u, position %u)"

static int put_text(bvi_json *object, const char *key, const char *text, size_t len)
{
    return bvi_json_put(object, key, text ? bvi_json_new_string_n(text, len) : bvi_json_new_null());
}

static int put_name(bvi_json *object, const char *key, const char *text)
{
    return put_text(object, key, text && text[0] ? text : NULL, text ? strlen(text) : 0);
}

static int put_place(bvi_json *object, bvi_pos pos)
{
    int r =
        bvi_json_put(object, "line", pos.line ? bvi_json_new_int64(pos.line) : bvi_json_new_null());

    return r < 0 ? r
                 : bvi_json_put(object, "column",
                                pos.line ? bvi_json_new_int64(pos.col) : bvi_json_new_null());
}

/* A part of the failure's text; none when the text was cut before it. */
static int put_part(bvi_json *object, const char *key, const bvi_failure *f, uint32_t at,
                    uint32_t len)
{
    bool there = len > 0 && (size_t)at + len <= f->text.len;

    return put_text(object, key, there ? f->text.data + at : NULL, len);
}

static bvi_json *step_json(const bvi_failure *f, const bvi_failure_step *step)
{
    bvi_auto_json bvi_json *json = bvi_json_new_object();

    if (!json || bvi_json_put_string(json, "what", step->what) < 0 ||
        put_part(json, "name", f, step->name_at, step->name_len) < 0 ||
        put_part(json, "source", f, step->source_at, step->source_len) < 0 ||
        put_place(json, step->pos) < 0)
        return NULL;
    return bvi_take(json);
}

static bvi_json *trace_json(const bvi_failure *f)
{
    bvi_auto_json bvi_json *trace = bvi_json_new_array();

    for (size_t i = 0; trace && f && i < f->steps.len; i++) {
        if (bvi_json_add(trace, step_json(f, &f->steps.items[i])) < 0)
            return NULL;
    }
    return bvi_take(trace);
}

/* A value without a JSON form is left out. */
static int put_value(bvi_json *object, const bvi_failure *f)
{
    bvi_json *value = NULL;

    if (!f || !f->has_value || bvi_value_to_json(&f->value, &value, NULL) < 0)
        return 0;
    return bvi_json_put(object, "value", value);
}

/* The source the failure comes from: that of the first function it left, else the script's. */
static int put_source(bvi_json *object, const bvi_failure *f, const char *main_source)
{
    if (f && f->steps.len > 0)
        return put_part(object, "source", f, f->steps.items[0].source_at,
                        f->steps.items[0].source_len);
    return put_name(object, "source", main_source);
}

int bvi_script_failure_json(const bvi_script_call *call, bvi_json **ret_json, bv_error **err)
{
    bvi_auto_json bvi_json *json = bvi_json_new_object();
    const bvi_failure *f = call->failure;
    const char *text = bvi_script_failure_text(call);
    bool left = f && f->steps.len > 0;

    if (call->state != BVI_CALL_FAILED)
        return bvi_fail(err, BV_E_STATE, "the script call has not failed");
    if (!json || bvi_json_put_string(json, "kind", f ? bvi_failure_kind_name(f) : "Error") < 0 ||
        put_text(json, "message", f ? bvi_buf_str(&f->text) : text,
                 left ? f->message_len
                 : f  ? f->text.len
                      : strlen(text)) < 0 ||
        bvi_json_put_string(json, "text", text) < 0 ||
        put_source(json, f, call->unit->source_name) < 0 ||
        put_place(json, !f                   ? (bvi_pos){ 0, 0 }
                        : f->origin.line > 0 ? f->origin
                                             : f->pos) < 0 ||
        bvi_json_put(json, "trace", trace_json(f)) < 0 || put_value(json, f) < 0)
        return bvi_fail_nomem(err);
    *ret_json = bvi_take(json);
    return 0;
}

/* Splits "<message> (line L, position P)", as bvi_script_compile() writes it. */
static size_t split_place(const char *text, bvi_pos *ret_pos)
{
    const char *at = NULL;

    for (const char *next = text; (next = strstr(next, " (line ")) != NULL; next++)
        at = next;
    if (!at || sscanf(at, PLACE_FORMAT, &ret_pos->line, &ret_pos->col) != 2) {
        *ret_pos = (bvi_pos){ 0, 0 };
        return strlen(text);
    }
    return (size_t)(at - text);
}

int bvi_script_syntax_json(const bv_error *failure, const char *source, bvi_json **ret_json,
                           bv_error **err)
{
    bvi_auto_json bvi_json *json = bvi_json_new_object();
    const char *text = bv_error_message(failure);
    bvi_pos pos = { 0, 0 };
    size_t len = split_place(text, &pos);

    if (!json || bvi_json_put_string(json, "kind", "ErrorParsing") < 0 ||
        put_text(json, "message", text, len) < 0 || bvi_json_put_string(json, "text", text) < 0 ||
        put_name(json, "source", source) < 0 || put_place(json, pos) < 0 ||
        bvi_json_put(json, "trace", bvi_json_new_array()) < 0)
        return bvi_fail_nomem(err);
    *ret_json = bvi_take(json);
    return 0;
}
