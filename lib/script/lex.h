/*
 * lex.h - source text to tokens. The compiler asks for one token at a time; back-tick strings come
 * in pieces, because what stands in ${...} is code.
 */
#ifndef BVI_SCRIPT_LEX_H
#define BVI_SCRIPT_LEX_H

#include "script/unit.h"

/* X(token, text): text as it stands in the source and in messages. */
/* clang-format off */
#define BVI_TOKENS(X)                                                                             \
    X(EOF, "") X(ERROR, "") X(INT, "") X(FLOAT, "") X(CHAR, "") X(STRING, "")                     \
    X(INTERP, "") /* a piece of a back-tick string that ends at ${ */                             \
    X(IDENT, "") X(RESERVED_WORD, "") X(RESERVED_SYMBOL, "") X(UNDERSCORE, "_")                   \
    /* keywords */                                                                                \
    X(AS, "as") X(BREAK, "break") X(CATCH, "catch") X(CONST, "const")                             \
    X(CONTINUE, "continue") X(DO, "do") X(ELSE, "else") X(EXPORT, "export")                       \
    X(FALSE, "false") X(FN, "fn") X(FOR, "for") X(IF, "if") X(IMPORT, "import") X(IN, "in")       \
    X(LET, "let") X(LOOP, "loop") X(PRIVATE, "private") X(RETURN, "return")                       \
    X(SWITCH, "switch") X(THIS, "this") X(THROW, "throw") X(TRUE, "true") X(TRY, "try")           \
    X(UNTIL, "until") X(WHILE, "while")                                                           \
    /* symbols, longer ones before their beginnings */                                            \
    X(NOT_IN, "!in") X(RANGE_INCL, "..=") X(RANGE, "..") X(DOT, ".") X(SAFE_DOT, "?.")            \
    X(SAFE_BRACKET, "?[") X(COALESCE, "??") X(POW_SET, "**=") X(POW, "**") X(SHL_SET, "<<=")      \
    X(SHR_SET, ">>=") X(SHL, "<<") X(SHR, ">>") X(LE, "<=") X(GE, ">=") X(EQ, "==")               \
    X(NE, "!=") X(ARROW, "=>") X(ADD_SET, "+=") X(SUB_SET, "-=") X(MUL_SET, "*=")                 \
    X(DIV_SET, "/=") X(MOD_SET, "%=") X(AND_SET, "&=") X(OR_SET, "|=") X(XOR_SET, "^=")           \
    X(AND_AND, "&&") X(OR_OR, "||") X(MAP_OPEN, "#{") X(NAMESPACE, "::") X(PLUS, "+")             \
    X(MINUS, "-") X(STAR, "*") X(SLASH, "/") X(PERCENT, "%") X(LT, "<") X(GT, ">")                \
    X(NOT, "!") X(AND, "&") X(OR, "|") X(XOR, "^") X(SET, "=") X(COMMA, ",")                      \
    X(SEMICOLON, ";") X(COLON, ":") X(LPAREN, "(") X(RPAREN, ")") X(LBRACKET, "[")                \
    X(RBRACKET, "]") X(LBRACE, "{") X(RBRACE, "}")
/* clang-format on */

typedef enum bvi_token_type {
#define X(token, text) BVI_TOK_##token,
    BVI_TOKENS(X)
#undef X
        BVI_TOK_COUNT
} bvi_token_type;

typedef struct bvi_token {
    bvi_token_type type;
    bvi_pos pos;
    const char *text; /* names and symbols: their text in the source; strings: in lexer->text, until
                         the next token */
    size_t len;
    int64_t number;   /* INT, CHAR */
    double real;      /* FLOAT */
    const char *hint; /* RESERVED_SYMBOL: the message, when there is a special one */
    bool is_operator; /* RESERVED_SYMBOL: looks like one */
} bvi_token;

typedef struct bvi_lexer {
    const char *at;
    const char *end;
    bvi_pos pos;        /* of at */
    bool after_operand; /* a minus here is a minus, not a sign */
    bool json;    /* strings have JSON's escapes: \/ \b \f and surrogate pairs, no doubled quotes */
    bvi_buf text; /* of the last string, or the message of ERROR */
} bvi_lexer;

/* What it allocates counts as the engine's memory. */
void bvi_lex_init(bvi_lexer *lex, bvi_script_engine *engine, const char *source, size_t len);
void bvi_lex_done(bvi_lexer *lex);
/* BV_E_NOMEM; bad input is an ERROR token with its message in text. */
int bvi_lex_next(bvi_lexer *lex, bvi_token *ret);
/* After the } that ends ${...}: the rest of the back-tick string, as STRING or INTERP. The lexer
 * must stand just behind that brace, so the compiler may not have asked for a further token. */
int bvi_lex_resume_string(bvi_lexer *lex, bvi_token *ret);
const char *bvi_token_text(bvi_token_type type);

#endif
