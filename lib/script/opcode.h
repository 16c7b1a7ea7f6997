/*
 * opcode.h - the instruction set, as one list.
 *
 * X(name, words, effect): words is the length with operands; effect is how the stack height
 * changes, or BVI_OP_VARIES where the compiler works it out (stack_effect() in emit.c). The first
 * word is opcode | a << 8. The order gives the numbers; the dump prints the names; the machine has
 * one case for each.
 */
#ifndef BVI_SCRIPT_OPCODE_H
#define BVI_SCRIPT_OPCODE_H

#define BVI_OP_VARIES 99

/* clang-format off */
/* Operators that also come with their operands built in, so that no stack is needed for them. */
#define BVI_QUICK_OPERATORS(X, form, words)                                                       \
    X(ADD_##form, words, BVI_OP_VARIES)                                                           \
    X(SUB_##form, words, BVI_OP_VARIES)                                                           \
    X(MUL_##form, words, BVI_OP_VARIES)                                                           \
    X(MOD_##form, words, BVI_OP_VARIES)                                                           \
    X(EQ_##form,  words, BVI_OP_VARIES)                                                           \
    X(NE_##form,  words, BVI_OP_VARIES)                                                           \
    X(LT_##form,  words, BVI_OP_VARIES)                                                           \
    X(LE_##form,  words, BVI_OP_VARIES)                                                           \
    X(GT_##form,  words, BVI_OP_VARIES)                                                           \
    X(GE_##form,  words, BVI_OP_VARIES)

#define BVI_OPCODES(X)                                                                            \
    /* constants */                                                                               \
    X(UNIT,         1, 1)                                                                         \
    X(TRUE,         1, 1)                                                                         \
    X(FALSE,        1, 1)                                                                         \
    X(INT,          1, 1)             /* a: 24 bits, signed */                                    \
    X(CONST,        1, 1)             /* a: constant of the unit */                               \
    /* the stack */                                                                               \
    X(POP,          1, -1)                                                                        \
    X(POPN,         1, BVI_OP_VARIES) /* a: how many */                                           \
    X(SLIDE,        1, BVI_OP_VARIES) /* a: how many below the top go */                          \
    /* variables */                                                                               \
    X(GET_LOCAL,    1, 1)             /* a: slot */                                               \
    X(SET_LOCAL,    1, -1)                                                                        \
    X(GET_UP,       1, 1)             /* a: captured variable */                                  \
    X(SET_UP,       1, -1)                                                                        \
    X(GET_THIS,     1, 1)                                                                         \
    X(GET_GLOBAL,   1, 1)             /* a: name, of global::name */                              \
    X(GET_NAME,     1, 1)             /* a: name that is no variable here */                      \
    X(GET_MEMBER,   1, 1)             /* a: member reference */                                   \
    X(OP_LOCAL,     2, -1)            /* a: slot; word: operator */                               \
    X(ADD_LOCAL,    1, -1)            /* OP_LOCAL with + */                                       \
    X(ADD_LOCAL_I,  2, 0)             /* a: slot; word: number to add */                          \
    X(SUB_LOCAL_I,  2, 0)                                                                         \
    X(IS_SHARED,    1, 1)             /* a: path */                                               \
    /* chains of properties and indices; the indices are on the stack */                          \
    X(GET_PATH,     1, BVI_OP_VARIES) /* a: path */                                               \
    X(SET_PATH,     1, BVI_OP_VARIES) /* a: path; the value is on top */                          \
    X(OP_PATH,      2, BVI_OP_VARIES) /* a: path; word: operator; the operand is on top */        \
    /* operators; from ADD to GE in the order of the quick ones below */                          \
    X(DIV,          1, -1)                                                                        \
    X(POW,          1, -1)                                                                        \
    X(SHL,          1, -1)                                                                        \
    X(SHR,          1, -1)                                                                        \
    X(AND,          1, -1)                                                                        \
    X(OR,           1, -1)                                                                        \
    X(XOR,          1, -1)                                                                        \
    X(ADD,          1, -1)                                                                        \
    X(SUB,          1, -1)                                                                        \
    X(MUL,          1, -1)                                                                        \
    X(MOD,          1, -1)                                                                        \
    X(EQ,           1, -1)                                                                        \
    X(NE,           1, -1)                                                                        \
    X(LT,           1, -1)                                                                        \
    X(LE,           1, -1)                                                                        \
    X(GT,           1, -1)                                                                        \
    X(GE,           1, -1)                                                                        \
    X(IN,           1, -1)                                                                        \
    X(NOT_IN,       1, -1)                                                                        \
    X(RANGE,        1, -1)                                                                        \
    X(RANGE_INCL,   1, -1)                                                                        \
    BVI_QUICK_OPERATORS(X, LI, 2)     /* a: slot; word: number on the right */                    \
    BVI_QUICK_OPERATORS(X, LL, 2)     /* a: slot; word: slot on the right */                      \
    BVI_QUICK_OPERATORS(X, SI, 1)     /* left on the stack; a: number, 24 bits, signed */         \
    X(NEG,          1, 0)                                                                         \
    X(PLUS,         1, 0)                                                                         \
    X(NOT,          1, 0)                                                                         \
    /* control; targets are word indices */                                                       \
    X(JUMP,         1, 0)                                                                         \
    X(LOOP,         1, 0)             /* backwards; counts an operation */                        \
    X(JUMP_FALSE,   1, -1)            /* wants a bool */                                          \
    X(JUMP_TRUE,    1, -1)                                                                        \
    X(AND_THEN,     1, -1)            /* false: jump and keep it; true: drop it */                \
    X(OR_ELSE,      1, -1)                                                                        \
    X(WANT_BOOL,    1, 0)                                                                         \
    X(COALESCE,     1, -1)            /* not unit: jump and keep it; unit: drop it */             \
    X(SWITCH,       2, 0)             /* a: table; word: first entry; keeps the value */          \
    X(ITER,         1, 0)             /* a: 1 when the body is empty */                           \
    X(ITER_RANGE,   1, -1)            /* the two numbers on top; a: 1 when the end counts */      \
    X(NEXT,         2, 0)             /* a: iterator slot; word: end target; fills slot + 1 */    \
    X(NEXT_COUNT,   2, 0)             /* the same with the count in slot + 2 */                   \
    X(LOOP_NEXT,    2, 0)             /* LOOP with NEXT: to the body at word, or go on */          \
    /* making */                                                                                  \
    X(ARRAY,        1, BVI_OP_VARIES) /* a: items */                                              \
    X(MAP,          2, BVI_OP_VARIES) /* a: first key constant; word: items */                    \
    X(INTERP,       1, BVI_OP_VARIES) /* a: parts */                                              \
    X(CLOSURE,      1, 1)             /* a: function */                                           \
    /* calls; operands are call sites */                                                          \
    X(CALL,         1, BVI_OP_VARIES)                                                             \
    X(METHOD,       1, BVI_OP_VARIES)                                                             \
    X(CALL_MEMBER,  1, BVI_OP_VARIES)                                                             \
    X(EVAL,         1, 0)             /* a: scope */                                              \
    X(RETURN,       1, -1)                                                                        \
    X(LINE,         1, 0)             /* a: line that is reached; for coverage alone */           \
    /* failures */                                                                                \
    X(THROW,        1, -1)                                                                        \
    X(RETHROW,      1, 0)             /* a: slot of the failure */                                \
    X(CAUGHT,       1, 1)             /* a: slot of the failure; pushes what catch (e) sees */    \
    /* global level */                                                                            \
    X(DEF_CONST,    1, 0)             /* a: name; top becomes global::name too */                 \
    X(DEF_DYNAMIC,  2, -1)            /* a: name; word: 1 for a constant; made by eval() */       \
    X(FORGET,       1, 0)             /* a: variables of that eval() and later ones go */         \
    X(IS_DEF_VAR,   1, 0)             /* a: scope */                                              \
    X(EXPORT,       2, 0)             /* a: slot; word: name */                                   \
    X(IMPORT,       1, 0)             /* path on the stack, becomes the module */                 \
    X(DEF_IMPORT,   1, 0)             /* a: alias; publishes the module on the stack */
/* clang-format on */

typedef enum bvi_opcode {
#define X(name, words, effect) BVI_OP_##name,
    BVI_OPCODES(X)
#undef X
        BVI_OP_COUNT
} bvi_opcode;

#define BVI_OPCODE(word)  ((bvi_opcode)((word)&0xffu))
#define BVI_OPERAND(word) ((word) >> 8)
#define BVI_OPERAND_MAX   0xffffffu

#endif
