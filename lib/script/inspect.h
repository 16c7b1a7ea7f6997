/*
 * inspect.h - what a script says, without running it: for tools that check scripts.
 *
 * The compiler writes a note for each declaration, call, name, chain and literal that a checker may
 * ask about, in the order of the source. Notes refer to each other by index; index 0 is "none". A
 * call's or a literal's inside are the notes between it and its `end`, so nesting can be told from
 * indices alone. Costs nothing when nobody inspects. Threads as for the engine.
 */
#ifndef BVI_SCRIPT_INSPECT_H
#define BVI_SCRIPT_INSPECT_H

#include "base/vec.h"
#include "script/script.h"

/* A script of the largest size has fewer. */
#define BVI_NOTES_MAX 1000000u

typedef enum bvi_note_kind {
    BVI_NOTE_NONE,
    BVI_NOTE_FUNCTION,    /* fn text(count parameters) { ... end */
    BVI_NOTE_DECLARE,     /* let or const text = of */
    BVI_NOTE_IMPORT,      /* import text as alias; text NULL: not a plain string */
    BVI_NOTE_EXPORT,      /* of what was declared, as text */
    BVI_NOTE_CALL,        /* text(count arguments) */
    BVI_NOTE_METHOD,      /* of.text(count arguments) */
    BVI_NOTE_MEMBER_CALL, /* alias::text(count arguments); of: its import */
    BVI_NOTE_ARGUMENT,    /* of, of the call `in` */
    BVI_NOTE_VARIABLE,    /* text; of: its declaration */
    BVI_NOTE_UNKNOWN,     /* text, which is no variable here */
    BVI_NOTE_GLOBAL,      /* global::text */
    BVI_NOTE_MEMBER,      /* alias::text; of: its import */
    BVI_NOTE_STEP,        /* of.text or of["text"]; text NULL: a computed index, which is `in` */
    BVI_NOTE_ASSIGN,      /* to the chain `of` */
    BVI_NOTE_MAP,         /* #{ ... end */
    BVI_NOTE_KEY,         /* text: of, in the map `in` */
    BVI_NOTE_STRING,      /* "text" */
} bvi_note_kind;

typedef struct bvi_note {
    bvi_note_kind kind;
    const char *text;
    const char *alias;
    unsigned line, column;
    uint32_t count;
    uint32_t of;
    uint32_t in;
    uint32_t end;    /* the first note behind it */
    bool is_const;   /* DECLARE */
    bool is_private; /* FUNCTION */
    bool is_top;     /* DECLARE, IMPORT: outside of functions and blocks */
    bool is_nested;  /* MEMBER, MEMBER_CALL: alias::inner::text */
    bool is_open;    /* CALL: text!(...), whose function sees the variables here */
} bvi_note;

typedef struct bvi_notes {
    BVI_VEC(bvi_note) items; /* the first is NONE */
    bvi_script *script;      /* owns the texts; NULL: it did not compile */
    char *error;             /* why it did not; NULL: it did */
    unsigned line, column;   /* of the error; 0: of none */
} bvi_notes;

/* Compiles and notes. A syntax error is a result; failures are BV_E_NOMEM only. The notes must go
 * before their engine. */
int bvi_script_inspect(bvi_script_engine *engine, const char *source, size_t len, const char *name,
                       bvi_notes **ret_notes, bv_error **err);
void bvi_notes_free(bvi_notes *notes);
BVI_DEFINE_FREEP(bvi_notes, bvi_notes_free)

/* How many arguments functions registered with the engine take under a name: bit n for n, the
 * receiver counted, properties not. 0: there is no such function. */
uint64_t bvi_script_native_arities(const bvi_script_engine *engine, const char *name);
/* Their names, in no order and some more than once; NULL past the end. */
const char *bvi_script_native_name(const bvi_script_engine *engine, size_t index);

#endif
