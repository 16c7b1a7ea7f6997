/*
 * inspect.c - notes on a script's text, and the names an engine knows. See inspect.h.
 */
#include <string.h>

#include "script/compile.h"
#include "script/inspect.h"

/* ---- taking notes, called by the compiler ---- */

uint32_t bvi_c_note(bvi_compiler *c, bvi_note_kind kind, uint32_t name, bvi_pos pos)
{
    bvi_note *note;

    if (!c->notes || c->failed)
        return 0;
    note = bvi_vec_push(&c->notes->items);
    if (!note) {
        bvi_c_nomem(c);
        return 0;
    }
    note->kind = kind;
    note->text = name == BVI_NO_NAME ? NULL : bvi_unit_str(c->unit, name)->data;
    note->line = pos.line;
    note->column = pos.col;
    return (uint32_t)c->notes->items.len - 1;
}

bvi_note *bvi_c_note_at(bvi_compiler *c, uint32_t index)
{
    return &c->notes->items.items[index];
}

uint32_t bvi_c_note_of(bvi_compiler *c, bvi_note_kind kind, uint32_t name, bvi_pos pos, uint32_t of)
{
    uint32_t index = bvi_c_note(c, kind, name, pos);

    if (index)
        bvi_c_note_at(c, index)->of = of;
    return index;
}

void bvi_c_note_end(bvi_compiler *c, uint32_t index, uint32_t count)
{
    if (!index)
        return;
    bvi_c_note_at(c, index)->end = (uint32_t)c->notes->items.len;
    bvi_c_note_at(c, index)->count = count;
}

void bvi_c_note_argument(bvi_compiler *c, uint32_t call, uint32_t of, bvi_pos pos)
{
    uint32_t index = call ? bvi_c_note_of(c, BVI_NOTE_ARGUMENT, BVI_NO_NAME, pos, of) : 0;

    if (index)
        bvi_c_note_at(c, index)->in = call;
}

const char *bvi_c_note_string(bvi_compiler *c, uint32_t index)
{
    const bvi_note *note = index ? bvi_c_note_at(c, index) : NULL;

    return note && note->kind == BVI_NOTE_STRING ? note->text : NULL;
}

void bvi_c_note_step(bvi_compiler *c, bvi_expr *e, const char *key, uint32_t by, bvi_pos pos)
{
    uint32_t index = bvi_c_note_of(c, BVI_NOTE_STEP, BVI_NO_NAME, pos, e->note);

    if (index) {
        bvi_c_note_at(c, index)->text = key;
        bvi_c_note_at(c, index)->in = key ? 0 : by;
    }
    e->note = index;
}

void bvi_c_note_declaration(bvi_compiler *c, uint32_t index, uint32_t of, bool is_const,
                            bool is_top)
{
    bvi_note *note = index ? bvi_c_note_at(c, index) : NULL;

    if (!note || c->failed)
        return;
    note->of = of;
    note->is_const = is_const;
    note->is_top = is_top;
    if (c->func->locals.len > 0)
        c->func->locals.items[c->func->locals.len - 1].note = index;
}

/* ---- the way in ---- */

void bvi_notes_free(bvi_notes *notes)
{
    if (!notes)
        return;
    bvi_vec_done(&notes->items);
    bvi_script_free(notes->script);
    bvi_free(notes->error);
    bvi_free(notes);
}

static int keep_error(bvi_notes *notes, const bvi_compile_error *error, bv_error **err)
{
    notes->error = bvi_strdup(error->text);
    notes->line = error->pos.line;
    notes->column = error->pos.col;
    notes->items.len = 1; /* their texts went with the script */
    return notes->error ? 0 : bvi_fail_nomem(err);
}

int bvi_script_inspect(bvi_script_engine *engine, const char *source, size_t len, const char *name,
                       bvi_notes **ret_notes, bv_error **err)
{
    BVI_AUTO(bvi_notes_freep) bvi_notes *notes = bvi_new0(bvi_notes);
    bvi_compile_error error;
    bvi_note *none;
    int r;

    if (!notes)
        return bvi_fail_nomem(err);
    notes->items.max = BVI_NOTES_MAX;
    none = bvi_vec_push(&notes->items);
    if (!none)
        return bvi_fail_nomem(err);
    r = bvi_compile_noting(engine, source, len, name, notes, &notes->script, &error);
    if (r == BV_E_FORMAT)
        r = keep_error(notes, &error, err);
    if (r < 0)
        return bvi_fail_nomem(err);
    *ret_notes = bvi_take(notes);
    return 0;
}

/* ---- names ---- */

uint64_t bvi_script_native_arities(const bvi_script_engine *engine, const char *name)
{
    uint64_t arities = 0;

    for (const bvi_native *n = bvi_native_find(engine, name, strlen(name)); n;
         n = bvi_native_next(n)) {
        if (!(n->def->flags & BVI_SCRIPT_PROPERTY_ONLY) && n->argc < 64)
            arities |= (uint64_t)1 << n->argc;
    }
    return arities;
}

const char *bvi_script_native_name(const bvi_script_engine *engine, size_t index)
{
    for (const bvi_native_table *t = engine->tables; t; t = t->next) {
        size_t count = (t->bytes - sizeof(*t)) / sizeof(t->natives[0]);

        if (index < count)
            return t->natives[index].def->name;
        index -= count;
    }
    return NULL;
}
