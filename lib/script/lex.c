/*
 * lex.c - the lexer: blanks, numbers, names and symbols. Symbols and keywords are found by tables.
 * Strings are in lex_string.c.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/float_text.h"
#include "base/utf8.h"
#include "script/engine.h"
#include "script/lex_impl.h"

#define NUMBER_TEXT_MAX 400u
/* A string literal cannot be longer than its source. */
#define LITERAL_MAX (64u * 1024u * 1024u)

static const char *const token_texts[] = {
#define X(token, text) text,
    BVI_TOKENS(X)
#undef X
};

const char *bvi_token_text(bvi_token_type type)
{
    return token_texts[type];
}

void bvi_lex_init(bvi_lexer *lex, bvi_script_engine *engine, const char *source, size_t len)
{
    *lex = (bvi_lexer){ .at = source,
                        .end = source + len,
                        .pos = { 1, 1 },
                        .text = BVI_SCRIPT_BUF_INIT(engine, LITERAL_MAX) };
}

void bvi_lex_done(bvi_lexer *lex)
{
    bvi_buf_done(&lex->text);
}

/* ---- characters ---- */

static bool is_digit(int c)
{
    return c >= '0' && c <= '9';
}

static bool is_name_start(int c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static bool is_name(int c)
{
    return is_name_start(c) || is_digit(c);
}

int bvi_lex_fail(bvi_lexer *lex, bvi_token *ret, bvi_pos pos, const char *fmt, ...)
{
    va_list args;
    int r;

    ret->type = BVI_TOK_ERROR;
    ret->pos = pos;
    bvi_buf_clear(&lex->text);
    va_start(args, fmt);
    r = bvi_buf_vprintf(&lex->text, fmt, args);
    va_end(args);
    return r;
}

/* ---- blanks and comments ---- */

static void skip_block_comment(bvi_lexer *lex)
{
    unsigned depth = 0;

    while (lex->at < lex->end) { /* an unterminated one runs to the end without error */
        if (bvi_lex_peek(lex) == '/' && bvi_lex_peek_at(lex, 1) == '*') {
            bvi_lex_advance_by(lex, 2);
            depth++;
        } else if (bvi_lex_peek(lex) == '*' && bvi_lex_peek_at(lex, 1) == '/') {
            bvi_lex_advance_by(lex, 2);
            if (--depth == 0)
                return;
        } else {
            bvi_lex_advance(lex);
        }
    }
}

static bool skip_blank(bvi_lexer *lex)
{
    int c = bvi_lex_peek(lex);
    size_t used;

    if (c == ' ' || (c >= '\t' && c <= '\r')) {
        bvi_lex_advance(lex);
        return true;
    }
    if (c == '/' && bvi_lex_peek_at(lex, 1) == '/') {
        while (lex->at < lex->end && bvi_lex_peek(lex) != '\n')
            bvi_lex_advance(lex);
        return true;
    }
    if (c == '/' && bvi_lex_peek_at(lex, 1) == '*') {
        skip_block_comment(lex);
        return true;
    }
    if (c >= 0x80 &&
        bvi_utf8_is_space(bvi_utf8_decode(lex->at, (size_t)(lex->end - lex->at), &used))) {
        bvi_lex_advance(lex);
        return true;
    }
    return false;
}

/* ---- numbers ---- */

typedef struct digits {
    char text[NUMBER_TEXT_MAX];
    size_t len;
    bool too_long;
} digits;

static void keep(digits *d, char c)
{
    if (d->len + 1 < sizeof(d->text))
        d->text[d->len++] = c;
    else
        d->too_long = true;
}

static int radix_of(int c)
{
    switch (c) {
    case 'x':
    case 'X':
        return 16;
    case 'o':
    case 'O':
        return 8;
    case 'b':
    case 'B':
        return 2;
    default:
        return 0;
    }
}

static int lex_radix(bvi_lexer *lex, bvi_token *ret, int radix)
{
    digits d = { .len = 0 };
    char *end;

    bvi_lex_advance_by(lex, 2);
    while (bvi_lex_is_digit_of(bvi_lex_peek(lex), radix) || bvi_lex_peek(lex) == '_') {
        if (bvi_lex_peek(lex) != '_')
            keep(&d, *lex->at);
        bvi_lex_advance(lex);
    }
    d.text[d.len] = '\0';
    errno = 0;
    ret->number = (int64_t)strtoull(d.text, &end, radix);
    if (d.len == 0 || errno != 0 || d.too_long)
        return bvi_lex_fail(lex, ret, ret->pos, "Invalid number: '%s'", d.text);
    ret->type = BVI_TOK_INT;
    return 0;
}

static void take_digits(bvi_lexer *lex, digits *d)
{
    while (is_digit(bvi_lex_peek(lex)) || bvi_lex_peek(lex) == '_') {
        if (bvi_lex_peek(lex) != '_')
            keep(d, *lex->at);
        bvi_lex_advance(lex);
    }
}

/* 1.5 and "1." are numbers, 1.foo is a property, 1..5 a range. */
static bool takes_fraction(const bvi_lexer *lex)
{
    int next = bvi_lex_peek_at(lex, 1);

    return bvi_lex_peek(lex) == '.' && next >= 0 && next != '.' && !is_name_start(next);
}

static bool takes_exponent(const bvi_lexer *lex)
{
    int sign = bvi_lex_peek_at(lex, 1);

    if (bvi_lex_peek(lex) != 'e' && bvi_lex_peek(lex) != 'E')
        return false;
    return is_digit(sign) || ((sign == '+' || sign == '-') && is_digit(bvi_lex_peek_at(lex, 2)));
}

static bool take_fraction(bvi_lexer *lex, digits *d)
{
    bool is_float = false;
    bool digits_after = true;

    if (takes_fraction(lex)) {
        digits_after = is_digit(bvi_lex_peek_at(lex, 1));
        keep(d, '.');
        bvi_lex_advance(lex);
        take_digits(lex, d);
        is_float = true;
    }
    if (digits_after && takes_exponent(lex)) {
        keep(d, 'e');
        bvi_lex_advance(lex);
        if (!is_digit(bvi_lex_peek(lex))) {
            keep(d, *lex->at);
            bvi_lex_advance(lex);
        }
        take_digits(lex, d);
        is_float = true;
    }
    return is_float;
}

static int lex_number(bvi_lexer *lex, bvi_token *ret)
{
    digits d = { .len = 0 };
    bool negative = bvi_lex_peek(lex) == '-';
    int radix;
    char *end;

    if (negative) {
        keep(&d, '-');
        bvi_lex_advance(lex);
    }
    radix = bvi_lex_peek(lex) == '0' ? radix_of(bvi_lex_peek_at(lex, 1)) : 0;
    if (radix) {
        int r = lex_radix(lex, ret, radix);

        if (negative)
            ret->number = (int64_t)(0 - (uint64_t)ret->number);
        return r;
    }
    take_digits(lex, &d);
    ret->type = take_fraction(lex, &d) ? BVI_TOK_FLOAT : BVI_TOK_INT;
    d.text[d.len] = '\0';
    if (d.too_long)
        return bvi_lex_fail(lex, ret, ret->pos, "Invalid number: '%.32s...'", d.text);
    if (ret->type == BVI_TOK_INT) {
        errno = 0;
        ret->number = strtoll(d.text, &end, 10);
        if (errno == 0)
            return 0;
        ret->type = BVI_TOK_FLOAT; /* too large for an INT */
    }
    if (!bvi_parse_double(d.text, &ret->real))
        return bvi_lex_fail(lex, ret, ret->pos, "Invalid number: '%s'", d.text);
    return 0;
}

/* ---- names ---- */

static bool matches(const char *text, size_t len, const char *word)
{
    return strlen(word) == len && memcmp(text, word, len) == 0;
}

static bool is_reserved_word(const char *text, size_t len)
{
    static const char *const words[] = {
        "use",    "case",      "async",  "public",    "package",    "super",
        "var",    "protected", "spawn",  "shared",    "is",         "sync",
        "static", "default",   "thread", "yield",     "new",        "match",
        "await",  "null",      "with",   "void",      "nil",        "module",
        "go",     "goto",      "print",  "debug",     "type_of",    "eval",
        "Fn",     "call",      "curry",  "is_def_fn", "is_def_var", "is_shared",
    };

    for (size_t i = 0; i < BVI_COUNT(words); i++) {
        if (matches(text, len, words[i]))
            return true;
    }
    return false;
}

static bool has_letter(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (text[i] != '_' && !is_digit((uint8_t)text[i]))
            return true;
    }
    return false;
}

static int lex_name(bvi_lexer *lex, bvi_token *ret)
{
    while (is_name(bvi_lex_peek(lex)))
        bvi_lex_advance(lex);
    ret->len = (size_t)(lex->at - ret->text);
    ret->type = BVI_TOK_IDENT;
    for (int t = BVI_TOK_AS; t <= BVI_TOK_WHILE; t++) {
        if (matches(ret->text, ret->len, token_texts[t]))
            ret->type = (bvi_token_type)t;
    }
    if (ret->type == BVI_TOK_IDENT && is_reserved_word(ret->text, ret->len))
        ret->type = BVI_TOK_RESERVED_WORD;
    if (!has_letter(ret->text, ret->len))
        ret->type = BVI_TOK_UNDERSCORE;
    return 0;
}

/* ---- symbols ---- */

/* Symbols that mean nothing here, with what to say; longer ones before their beginnings. */
static const struct {
    const char *text;
    const char *hint;
    bool is_operator;
} reserved_symbols[] = {
    { "===", "'===' is not a valid operator. This is not JavaScript! Should it be '=='?", true },
    { "!==", "'!==' is not a valid operator. This is not JavaScript! Should it be '!='?", true },
    { "->", "'->' is not a valid symbol. This is not C or C++!", true },
    { "<-", "'<-' is not a valid symbol. This is not Go! Should it be '<='?", true },
    { ":=",
      "':=' is not a valid assignment operator. This is not Go or Pascal! Should it be simply '='?",
      true },
    { "::<", "'::<>' is not a valid symbol. This is not Rust! Should it be '::'?", true },
    { "(*", "'(*' is not a valid comment format. This is not Pascal! Should it be '/*'?", true },
    { "*)", "'*)' is not a valid comment format. This is not Pascal! Should it be '*/'?", true },
    { "...", NULL, true },
    { "++", NULL, true },
    { "--", NULL, true },
    { "|>", NULL, true },
    { "<|", NULL, true },
    { "!.", NULL, true },
    { "?", NULL, true },
    { "#!", NULL, false },
    { "#", NULL, false },
    { "@", NULL, false },
    { "$", NULL, false },
    { "~", NULL, false },
};

static bool starts_with(const bvi_lexer *lex, const char *text)
{
    size_t len = strlen(text);

    return (size_t)(lex->end - lex->at) >= len && memcmp(lex->at, text, len) == 0;
}

/* "!in" is an operator only as a whole word. */
static bool symbol_fits(const bvi_lexer *lex, bvi_token_type t)
{
    if (!starts_with(lex, token_texts[t]))
        return false;
    return t != BVI_TOK_NOT_IN || !is_name(bvi_lex_peek_at(lex, 3));
}

static int find_reserved(const bvi_lexer *lex)
{
    for (size_t i = 0; i < BVI_COUNT(reserved_symbols); i++) {
        if (starts_with(lex, reserved_symbols[i].text))
            return (int)i;
    }
    return -1;
}

static int lex_symbol(bvi_lexer *lex, bvi_token *ret)
{
    int reserved = find_reserved(lex);
    size_t reserved_len = reserved < 0 ? 0 : strlen(reserved_symbols[reserved].text);
    size_t used;

    for (int t = BVI_TOK_NOT_IN; t < BVI_TOK_COUNT; t++) {
        size_t len = strlen(token_texts[t]);

        if (len < reserved_len || !symbol_fits(lex, (bvi_token_type)t))
            continue;
        ret->type = (bvi_token_type)t;
        ret->len = len;
        bvi_lex_advance_by(lex, len);
        return 0;
    }
    if (reserved >= 0) {
        ret->type = BVI_TOK_RESERVED_SYMBOL;
        ret->len = reserved_len;
        ret->hint = reserved_symbols[reserved].hint;
        ret->is_operator = reserved_symbols[reserved].is_operator;
        bvi_lex_advance_by(lex, reserved_len);
        return 0;
    }
    (void)bvi_utf8_decode(lex->at, (size_t)(lex->end - lex->at), &used);
    return bvi_lex_fail(lex, ret, ret->pos, "Unexpected '%.*s'", (int)used, lex->at);
}

static bool ends_operand(bvi_token_type t)
{
    switch (t) {
    case BVI_TOK_INT:
    case BVI_TOK_FLOAT:
    case BVI_TOK_CHAR:
    case BVI_TOK_STRING:
    case BVI_TOK_IDENT:
    case BVI_TOK_RESERVED_WORD:
    case BVI_TOK_THIS:
    case BVI_TOK_TRUE:
    case BVI_TOK_FALSE:
    case BVI_TOK_RPAREN:
    case BVI_TOK_RBRACKET:
    case BVI_TOK_RBRACE:
        return true;
    default:
        return false;
    }
}

static int lex_token(bvi_lexer *lex, bvi_token *ret)
{
    int c = bvi_lex_peek(lex);

    if (c < 0) {
        ret->type = BVI_TOK_EOF;
        return 0;
    }
    if (is_digit(c) || (c == '-' && !lex->after_operand && is_digit(bvi_lex_peek_at(lex, 1))))
        return lex_number(lex, ret);
    if (is_name_start(c))
        return lex_name(lex, ret);
    if (c == '"')
        return bvi_lex_string(lex, ret);
    if (c == '\'')
        return bvi_lex_char(lex, ret);
    if (c == '`')
        return bvi_lex_backtick(lex, ret);
    if (c == '#' && bvi_lex_is_raw_string(lex))
        return bvi_lex_raw_string(lex, ret);
    return lex_symbol(lex, ret);
}

int bvi_lex_next(bvi_lexer *lex, bvi_token *ret)
{
    int r;

    while (lex->at < lex->end && skip_blank(lex))
        ;
    *ret = (bvi_token){ .pos = lex->pos, .text = lex->at };
    r = lex_token(lex, ret);
    lex->after_operand = ends_operand(ret->type);
    return r;
}
