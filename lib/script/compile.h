/*
 * compile.h - the compiler's inside, shared by compile.c (driver), emit.c (code), scope.c
 * (variables), expr.c, chain.c, stmt.c, loop.c and switch.c (grammar).
 *
 * One pass, no tree: each grammar function reads tokens and emits code. The compiler knows the
 * stack height at every instruction from the effects in opcode.h, so a variable is simply the stack
 * slot where its value was left. The first error wins: it is remembered, the token becomes EOF, and
 * every loop of the grammar ends at EOF.
 */
#ifndef BVI_SCRIPT_COMPILE_H
#define BVI_SCRIPT_COMPILE_H

#include "base/vec.h"
#include "script/engine.h"
#include "script/inspect.h"
#include "script/lex.h"
#include "script/unit.h"

#define BVI_LOCALS_MAX  65535u
#define BVI_PATCHES_MAX 65535u
#define BVI_ARGS_MAX    250u
/* Each is compared with those before it, so a source with more would take seconds to compile. */
#define BVI_FUNCTIONS_MAX 4096u
#define BVI_KEYS_MAX      16384u /* of one map literal */

typedef struct bvi_local {
    uint32_t name;
    uint32_t depth; /* of the block */
    uint32_t slot;
    uint32_t since; /* calls of eval() before it */
    bool is_const;
    bool is_import; /* an alias; its own name space */
    uint32_t note;  /* of its declaration */
} bvi_local;

typedef BVI_VEC(uint32_t) bvi_patches; /* jumps that wait for their target */

typedef struct bvi_loop {
    struct bvi_loop *parent;
    uint32_t height; /* where the loop's value will be */
    uint32_t body_height;
    uint32_t evals; /* before the body */
    bvi_patches breaks;
    bvi_patches continues;
} bvi_loop;

typedef struct bvi_func {
    struct bvi_func *enclosing; /* the one being compiled around this one */
    struct bvi_func *parent;    /* whose variables can be captured; closures only */
    bvi_proto *proto;
    BVI_VEC(bvi_local) locals;
    uint32_t depth;   /* of blocks */
    uint32_t evals;   /* calls of eval() so far */
    uint32_t height;  /* of the stack */
    uint32_t last_op; /* word of the last instruction; UINT32_MAX: unknown */
    uint32_t prev_op; /* of the one before it */
    uint32_t barrier; /* words before it may not be taken back: something jumps behind them */
    bvi_loop *loop;
    uint32_t catch_slot; /* the failure that a bare throw repeats; UINT32_MAX outside catch */
} bvi_func;

typedef enum bvi_literal {
    BVI_LIT_NONE,
    BVI_LIT_NUMBER,
    BVI_LIT_STRING,
    BVI_LIT_CHAR,
    BVI_LIT_ARRAY,
    BVI_LIT_MAP,
    BVI_LIT_UNIT,
    BVI_LIT_BOOL,
    BVI_LIT_FN,
} bvi_literal;

/* What an expression left: a value on the stack, or a chain that can still become a load, a store
 * or a call. */
typedef struct bvi_expr {
    bool is_path;
    bvi_root root;
    uint32_t slot;
    uint32_t name; /* of the variable; 0 when none */
    bool is_const;
    uint32_t since;      /* as in bvi_path */
    uint32_t first_step; /* in compiler->steps */
    uint32_t indices;
    bvi_literal literal;
    bool pure; /* the optimizer of the reference would drop it as a statement */
    bvi_pos pos;
    bvi_pos name_pos; /* behind the aliases; otherwise as pos */
    uint32_t note;    /* of the chain or literal that it is; 0: anything else */
} bvi_expr;

typedef struct bvi_compiler {
    bvi_script_engine *engine;
    bvi_lexer lex;
    bvi_token tok; /* the one to look at */
    bvi_script *unit;
    bvi_func *func;
    bvi_compile_error *error;
    bool failed;
    bool no_memory;
    unsigned depth; /* of nesting in the source */
    BVI_VEC(bvi_step) steps;
    uint32_t *interned; /* open hash of string constants, +1 */
    uint32_t interned_cap;
    uint32_t interned_len;
    uint32_t anonymous;
    /* eval(): variables of the surrounding code that can be captured */
    const bvi_proto *outer;
    uint32_t outer_scope;
    bvi_notes *notes; /* NULL: nobody inspects */
} bvi_compiler;

/* ---- compile.c ---- */
void bvi_c_error(bvi_compiler *c, bvi_pos pos, const char *fmt, ...) BV_PRINTF(3, 4);
void bvi_c_nomem(bvi_compiler *c);
void bvi_c_next(bvi_compiler *c);
bool bvi_c_accept(bvi_compiler *c, bvi_token_type type);
/* "Expecting '<token>' <purpose>", or "Script is incomplete" where the language says so */
bool bvi_c_expect(bvi_compiler *c, bvi_token_type type, const char *fmt, ...) BV_PRINTF(3, 4);
void bvi_c_unexpected(bvi_compiler *c);
void bvi_c_unknown_operator(bvi_compiler *c);
bool bvi_c_enter(bvi_compiler *c); /* counts nesting; false: too deep, an error was set */
void bvi_c_leave(bvi_compiler *c);
/* The token as a variable's or function's name, interned; UINT32_MAX after an error. */
uint32_t bvi_c_variable_name(bvi_compiler *c);

/* ---- emit.c ---- */
uint32_t bvi_c_intern(bvi_compiler *c, const char *text, size_t len);
uint32_t bvi_c_constant(bvi_compiler *c, bvi_value v); /* takes v */
void bvi_c_emit(bvi_compiler *c, bvi_opcode op, uint32_t a, bvi_pos pos);
void bvi_c_emit2(bvi_compiler *c, bvi_opcode op, uint32_t a, uint32_t word, bvi_pos pos);
/* A binary operator; with its operands built in where they are variables and small numbers. */
void bvi_c_operator(bvi_compiler *c, bvi_opcode op, bvi_pos pos);
/* local op= the value on top */
void bvi_c_operator_local(bvi_compiler *c, uint32_t slot, bvi_opcode op, bvi_pos pos);
/* Makes an iterator of the value on top; a range need not be made for it. */
void bvi_c_iterate(bvi_compiler *c, bvi_pos pos);
/* Whether what is on top is certainly a bool. */
bool bvi_c_ends_with_truth(const bvi_compiler *c);
void bvi_c_pop(bvi_compiler *c); /* takes back a value without effects instead of dropping it */
uint32_t bvi_c_jump(bvi_compiler *c, bvi_opcode op,
                    bvi_pos pos);                 /* forward; returns what to patch */
void bvi_c_patch(bvi_compiler *c, uint32_t jump); /* to here */
void bvi_c_patch_later(bvi_compiler *c, bvi_patches *list, uint32_t jump);
void bvi_c_patch_all(bvi_compiler *c, bvi_patches *list);
uint32_t bvi_c_here(bvi_compiler *c); /* a place that will be jumped to */
void bvi_c_number(bvi_compiler *c, int64_t i, bvi_pos pos);
uint32_t bvi_c_add_path(bvi_compiler *c, const bvi_expr *e);
uint32_t bvi_c_add_site(bvi_compiler *c, const bvi_site *site);
/* The keys of a map literal, see BVI_RANKED_KEYS_MAX; returns where they stand. */
uint32_t bvi_c_add_keys(bvi_compiler *c, const uint32_t *keys, uint32_t count);
uint32_t bvi_c_add_name(bvi_compiler *c, uint32_t name);
void bvi_c_push_func(bvi_compiler *c, bvi_func *f, uint32_t name, bool closure);
void bvi_c_pop_func(bvi_compiler *c);
void bvi_c_add_handler(bvi_compiler *c, bvi_handler h);
uint32_t bvi_c_add_switch(bvi_compiler *c);
void bvi_c_add_case(bvi_compiler *c, uint32_t table, bvi_case entry); /* takes its value */

/* ---- inspect.c: all do nothing when nobody inspects ---- */
#define BVI_NO_NAME UINT32_MAX

/* Returns the note's index, 0 for none. */
uint32_t bvi_c_note(bvi_compiler *c, bvi_note_kind kind, uint32_t name, bvi_pos pos);
uint32_t bvi_c_note_of(bvi_compiler *c, bvi_note_kind kind, uint32_t name, bvi_pos pos,
                       uint32_t of);
bvi_note *bvi_c_note_at(bvi_compiler *c, uint32_t index); /* not of index 0 */
void bvi_c_note_end(bvi_compiler *c, uint32_t index, uint32_t count);
void bvi_c_note_argument(bvi_compiler *c, uint32_t call, uint32_t of, bvi_pos pos);
/* by: the note of a computed index. */
void bvi_c_note_step(bvi_compiler *c, bvi_expr *e, const char *key, uint32_t by, bvi_pos pos);
const char *bvi_c_note_string(bvi_compiler *c, uint32_t index); /* NULL: it is no string */
/* The latest declaration is what this note tells. */
void bvi_c_note_declaration(bvi_compiler *c, uint32_t index, uint32_t of, bool is_const,
                            bool is_top);
/* compile.c: as bvi_compile(), with notes. */
int bvi_compile_noting(bvi_script_engine *engine, const char *source, size_t len, const char *name,
                       bvi_notes *notes, bvi_script **ret, bvi_compile_error *error);

/* ---- scope.c ---- */
typedef struct bvi_found {
    bvi_root root; /* LOCAL, UP, or NAME when there is none */
    uint32_t slot;
    bool is_const;
    uint32_t note;  /* of the declaration */
    uint32_t since; /* as in bvi_path */
    bool by_name;   /* UP, but whatever has that name when the closure is made */
} bvi_found;

void bvi_c_declare(bvi_compiler *c, uint32_t name, bool is_const); /* names the top of the stack */
void bvi_c_declare_import(bvi_compiler *c, uint32_t name);
bvi_found bvi_c_resolve(bvi_compiler *c, uint32_t name, bool import, bvi_pos pos);
/* Returns what bvi_c_end_block() wants. */
uint32_t bvi_c_begin_block(bvi_compiler *c);
void bvi_c_end_block(bvi_compiler *c, uint32_t block); /* the block's value is on top */
/* Variables made by eval() since then end here. */
void bvi_c_forget(bvi_compiler *c, uint32_t evals);
uint32_t bvi_c_snapshot_scope(bvi_compiler *c); /* what eval() here can see */
bool bvi_c_at_global_level(const bvi_compiler *c);

/* ---- expr.c, chain.c ---- */
/* Lowest precedence of a whole expression. */
#define BVI_PREC_LOWEST 1

void bvi_c_parse(bvi_compiler *c, int precedence, bvi_expr *e); /* may leave a chain */
void bvi_c_load(bvi_compiler *c, bvi_expr *e); /* turns it into a value on the stack */
bvi_expr bvi_c_expression(bvi_compiler *c);    /* both */
void bvi_c_condition(bvi_compiler *c); /* an expression that is not a literal of another type */
void bvi_c_want_bool(bvi_compiler *c, const bvi_expr *e);
/* "a string" and the like; NULL: not a literal, or a boolean. */
const char *bvi_c_literal_name(bvi_literal literal);
void bvi_c_variable(bvi_compiler *c, bvi_expr *e); /* prefix rule of names */
void bvi_c_this(bvi_compiler *c, bvi_expr *e);
void bvi_c_reserved_call(bvi_compiler *c, bvi_expr *e);
void bvi_c_property(bvi_compiler *c, bvi_expr *e);
void bvi_c_index(bvi_compiler *c, bvi_expr *e);
/* The operator of an assignment token, or BVI_OP_COUNT for a plain one; false: the token is none.
 */
bool bvi_c_assignment_op(bvi_token_type type, bvi_opcode *ret);
void bvi_c_assign(bvi_compiler *c, bvi_expr *e);
bvi_value bvi_c_literal_value(bvi_compiler *c); /* of a switch case; sets an error otherwise */
uint32_t bvi_c_params(bvi_compiler *c, bvi_token_type end,
                      const char *function); /* until end, which is consumed */

/* ---- stmt.c ---- */
typedef struct bvi_stmt {
    bool has_value; /* on the stack */
    bool closed;    /* ended with }: no semicolon needed */
    bool pure;
} bvi_stmt;

#define BVI_NO_VALUE ((bvi_stmt){ false, false, false })

bvi_stmt bvi_c_statement(bvi_compiler *c);
void bvi_c_optional_value(bvi_compiler *c); /* behind return, break, throw: an expression or () */
void bvi_c_plain_block(bvi_compiler *c);
bvi_stmt bvi_c_break_statement(bvi_compiler *c);
bvi_stmt bvi_c_continue_statement(bvi_compiler *c);
/* { ... }: leaves its value. Returns whether all statements were pure; *ret_last_pure: the last one
 * was. */
bool bvi_c_block(bvi_compiler *c, bool *ret_last_pure, bool *ret_empty);
void bvi_c_if(bvi_compiler *c, bvi_expr *e);
void bvi_c_switch(bvi_compiler *c, bvi_expr *e);
void bvi_c_while(bvi_compiler *c, bvi_expr *e);
void bvi_c_loop(bvi_compiler *c, bvi_expr *e);
void bvi_c_do(bvi_compiler *c, bvi_expr *e);
void bvi_c_for(bvi_compiler *c, bvi_expr *e);
void bvi_c_block_expr(bvi_compiler *c, bvi_expr *e);
/* Statements until the end token, which is not consumed; leaves a value. */
bool bvi_c_statements(bvi_compiler *c, bvi_token_type end, bool *ret_last_pure, bool *ret_empty);

#endif
