/*
 * lex.c - the lexer: numbers, names, symbols and the two kinds of strings. Symbols and keywords are
 * found by tables.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/float_text.h"
#include "base/utf8.h"
#include "script/engine.h"
#include "script/lex.h"

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

static int peek_at(const bvi_lexer *lex, size_t offset)
{
    return lex->at + offset < lex->end ? (uint8_t)lex->at[offset] : -1;
}

static int peek(const bvi_lexer *lex)
{
    return peek_at(lex, 0);
}

/* Steps over one character and keeps the position right. */
static void advance(bvi_lexer *lex)
{
    uint8_t c = (uint8_t)*lex->at++;

    if (c == '\n') {
        lex->pos.line++;
        lex->pos.col = 1;
        return;
    }
    while (lex->at < lex->end && ((uint8_t)*lex->at & 0xc0u) == 0x80u)
        lex->at++;
    lex->pos.col++;
}

static void advance_by(bvi_lexer *lex, size_t count)
{
    while (count-- > 0)
        advance(lex);
}

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

static bool is_unicode_space(int32_t c)
{
    return c == 0x85 || c == 0xa0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200a) || c == 0x2028 ||
           c == 0x2029 || c == 0x202f || c == 0x205f || c == 0x3000;
}

static int fail_at(bvi_lexer *lex, bvi_token *ret, bvi_pos pos, const char *fmt, ...)
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
        if (peek(lex) == '/' && peek_at(lex, 1) == '*') {
            advance_by(lex, 2);
            depth++;
        } else if (peek(lex) == '*' && peek_at(lex, 1) == '/') {
            advance_by(lex, 2);
            if (--depth == 0)
                return;
        } else {
            advance(lex);
        }
    }
}

static bool skip_blank(bvi_lexer *lex)
{
    int c = peek(lex);
    size_t used;

    if (c == ' ' || (c >= '\t' && c <= '\r')) {
        advance(lex);
        return true;
    }
    if (c == '/' && peek_at(lex, 1) == '/') {
        while (lex->at < lex->end && peek(lex) != '\n')
            advance(lex);
        return true;
    }
    if (c == '/' && peek_at(lex, 1) == '*') {
        skip_block_comment(lex);
        return true;
    }
    if (c >= 0x80 &&
        is_unicode_space(bvi_utf8_decode(lex->at, (size_t)(lex->end - lex->at), &used))) {
        advance(lex);
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

static bool is_radix_digit(int c, int radix)
{
    if (radix == 16)
        return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
    return c >= '0' && c < '0' + radix;
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

    advance_by(lex, 2);
    while (is_radix_digit(peek(lex), radix) || peek(lex) == '_') {
        if (peek(lex) != '_')
            keep(&d, *lex->at);
        advance(lex);
    }
    d.text[d.len] = '\0';
    errno = 0;
    ret->number = (int64_t)strtoull(d.text, &end, radix);
    if (d.len == 0 || errno != 0 || d.too_long)
        return fail_at(lex, ret, ret->pos, "Invalid number: '%s'", d.text);
    ret->type = BVI_TOK_INT;
    return 0;
}

static void take_digits(bvi_lexer *lex, digits *d)
{
    while (is_digit(peek(lex)) || peek(lex) == '_') {
        if (peek(lex) != '_')
            keep(d, *lex->at);
        advance(lex);
    }
}

/* 1.5 and "1." are numbers, 1.foo is a property, 1..5 a range. */
static bool takes_fraction(const bvi_lexer *lex)
{
    int next = peek_at(lex, 1);

    return peek(lex) == '.' && next >= 0 && next != '.' && !is_name_start(next);
}

static bool takes_exponent(const bvi_lexer *lex)
{
    int sign = peek_at(lex, 1);

    if (peek(lex) != 'e' && peek(lex) != 'E')
        return false;
    return is_digit(sign) || ((sign == '+' || sign == '-') && is_digit(peek_at(lex, 2)));
}

static bool take_fraction(bvi_lexer *lex, digits *d)
{
    bool is_float = false;
    bool digits_after = true;

    if (takes_fraction(lex)) {
        digits_after = is_digit(peek_at(lex, 1));
        keep(d, '.');
        advance(lex);
        take_digits(lex, d);
        is_float = true;
    }
    if (digits_after && takes_exponent(lex)) {
        keep(d, 'e');
        advance(lex);
        if (!is_digit(peek(lex))) {
            keep(d, *lex->at);
            advance(lex);
        }
        take_digits(lex, d);
        is_float = true;
    }
    return is_float;
}

static int lex_number(bvi_lexer *lex, bvi_token *ret)
{
    digits d = { .len = 0 };
    bool negative = peek(lex) == '-';
    int radix;
    char *end;

    if (negative) {
        keep(&d, '-');
        advance(lex);
    }
    radix = peek(lex) == '0' ? radix_of(peek_at(lex, 1)) : 0;
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
        return fail_at(lex, ret, ret->pos, "Invalid number: '%.32s...'", d.text);
    if (ret->type == BVI_TOK_INT) {
        errno = 0;
        ret->number = strtoll(d.text, &end, 10);
        if (errno == 0)
            return 0;
        ret->type = BVI_TOK_FLOAT; /* too large for an INT */
    }
    if (!bvi_parse_double(d.text, &ret->real))
        return fail_at(lex, ret, ret->pos, "Invalid number: '%s'", d.text);
    return 0;
}

/* ---- strings ---- */

static int append_scalar(bvi_buf *out, uint32_t c)
{
    char utf8[4];
    size_t n = bvi_utf8_encode(c, utf8);

    return bvi_buf_append(out, utf8, n);
}

/* JSON writes characters beyond 16 bits as two escapes. The first half waits in the text, in the
 * three-byte form that no valid text contains, for the second. */
static int append_lone_surrogate(bvi_lexer *lex, uint32_t c)
{
    const char bytes[3] = { (char)(0xe0u | c >> 12), (char)(0x80u | (c >> 6 & 0x3fu)),
                            (char)(0x80u | (c & 0x3fu)) };

    return bvi_buf_append(&lex->text, bytes, sizeof(bytes));
}

static bool join_surrogates(bvi_lexer *lex, uint32_t low)
{
    const uint8_t *last;
    uint32_t high;
    char utf8[4];

    if (lex->text.len < 3)
        return false;
    last = (const uint8_t *)lex->text.data + lex->text.len - 3;
    high = (uint32_t)(last[0] & 0x0fu) << 12 | (uint32_t)(last[1] & 0x3fu) << 6 | (last[2] & 0x3fu);
    if (last[0] != 0xed || high < 0xd800 || high > 0xdbff)
        return false;
    (void)bvi_utf8_encode(0x10000u + ((high - 0xd800u) << 10) + (low - 0xdc00u),
                          utf8); /* always four bytes */
    lex->text.len -= 3;
    return bvi_buf_append(&lex->text, utf8, 4) == 0;
}

/* \xHH, \uHHHH, \UHHHHHHHH; the lexer stands on the letter. */
static int lex_hex_escape(bvi_lexer *lex, bvi_token *ret, unsigned count)
{
    char seen[16] = { '\\', *lex->at };
    size_t len = 2;
    uint32_t c = 0;
    bvi_pos at = lex->pos;

    advance(lex);
    for (unsigned i = 0; i < count; i++) {
        int d = peek(lex);

        at = lex->pos;
        if (d < 0)
            return fail_at(lex, ret, lex->pos, "Open string is not terminated");
        seen[len++] = (char)d;
        if (!is_radix_digit(d, 16))
            return fail_at(lex, ret, lex->pos, "Invalid escape sequence: '%s'", seen);
        c = c * 16 + (uint32_t)(is_digit(d) ? d - '0' : (d | 0x20) - 'a' + 10);
        advance(lex);
    }
    if (lex->json && c >= 0xdc00 && c <= 0xdfff && join_surrogates(lex, c))
        return 0;
    if (lex->json && c >= 0xd800 && c <= 0xdbff && peek(lex) == '\\' && peek_at(lex, 1) == 'u')
        return append_lone_surrogate(lex, c);
    if (c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
        return fail_at(lex, ret, at, "Invalid escape sequence: '%s'", seen);
    return append_scalar(&lex->text, c);
}

static int invalid_escape(bvi_lexer *lex, bvi_token *ret)
{
    size_t used;

    (void)bvi_utf8_decode(lex->at, (size_t)(lex->end - lex->at), &used);
    return fail_at(lex, ret, lex->pos, "Invalid escape sequence: '\\%.*s'", (int)used, lex->at);
}

static int lex_escape(bvi_lexer *lex, bvi_token *ret, char quote)
{
    int c = peek(lex);

    switch (c) {
    case 't':
        c = '\t';
        break;
    case 'n':
        c = '\n';
        break;
    case 'r':
        c = '\r';
        break;
    case '\\':
        break;
    case '/':
    case 'b':
    case 'f':
        if (!lex->json)
            return invalid_escape(lex, ret);
        c = c == 'b' ? '\b' : c == 'f' ? '\f' : '/';
        break;
    case 'x':
        return lex_hex_escape(lex, ret, 2);
    case 'u':
        return lex_hex_escape(lex, ret, 4);
    case 'U':
        return lex_hex_escape(lex, ret, 8);
    case -1:
        return fail_at(lex, ret, ret->pos, "Open string is not terminated");
    default:
        if (c == quote)
            break;
        return invalid_escape(lex, ret);
    }
    advance(lex);
    return bvi_buf_append_char(&lex->text, (char)c);
}

/* Backslash at the end of a line: blanks of the next line go, but only up to the column of the
 * opening quote. */
static void continue_line(bvi_lexer *lex, uint32_t quote_col)
{
    if (peek(lex) == '\r')
        advance(lex);
    advance(lex);
    while ((peek(lex) == ' ' || peek(lex) == '\t') && lex->pos.col <= quote_col)
        advance(lex);
}

static bool at_line_end(const bvi_lexer *lex)
{
    return peek(lex) == '\n' || (peek(lex) == '\r' && peek_at(lex, 1) == '\n');
}

static int append_char(bvi_lexer *lex)
{
    const char *from = lex->at;

    advance(lex);
    return bvi_buf_append(&lex->text, from, (size_t)(lex->at - from));
}

/* The content of "..." or '...', behind the opening quote. */
static int lex_quoted(bvi_lexer *lex, bvi_token *ret, char quote)
{
    bvi_pos start = ret->pos;

    bvi_buf_clear(&lex->text);
    for (;;) {
        int c = peek(lex);
        int r;

        if (c < 0 || at_line_end(lex))
            return fail_at(lex, ret, start, "Open string is not terminated");
        if (c == quote && quote == '"' && peek_at(lex, 1) == quote && !lex->json) {
            advance(lex);
            r = append_char(lex);
        } else if (c == quote) {
            advance(lex);
            return 0;
        } else if (c == '\\') {
            advance(lex);
            if (quote == '"' && at_line_end(lex)) {
                continue_line(lex, start.col);
                continue;
            }
            r = lex_escape(lex, ret, quote);
        } else {
            r = append_char(lex);
        }
        if (r < 0 || ret->type == BVI_TOK_ERROR)
            return r;
    }
}

static void set_string(bvi_lexer *lex, bvi_token *ret, bvi_token_type type)
{
    ret->type = type;
    ret->text = bvi_buf_str(&lex->text);
    ret->len = lex->text.len;
}

static int lex_string(bvi_lexer *lex, bvi_token *ret)
{
    int r;

    advance(lex);
    ret->type = BVI_TOK_STRING;
    r = lex_quoted(lex, ret, '"');
    if (r < 0 || ret->type != BVI_TOK_STRING)
        return r;
    if (lex->json && !bvi_utf8_valid(bvi_buf_str(&lex->text), lex->text.len))
        return fail_at(lex, ret, ret->pos, "Invalid escape sequence: half of a surrogate pair");
    set_string(lex, ret, BVI_TOK_STRING);
    return 0;
}

static int lex_char(bvi_lexer *lex, bvi_token *ret)
{
    size_t used = 0;
    int r;

    advance(lex);
    ret->type = BVI_TOK_CHAR;
    r = lex_quoted(lex, ret, '\'');
    if (r < 0 || ret->type == BVI_TOK_ERROR)
        return r;
    ret->number = -1;
    if (lex->text.len > 0)
        ret->number = bvi_utf8_decode(lex->text.data, lex->text.len, &used);
    if (ret->number < 0 || used != lex->text.len) {
        bvi_auto_free char *copy = bvi_strdup(bvi_buf_str(&lex->text));

        if (!copy)
            return BV_E_NOMEM;
        return fail_at(lex, ret, ret->pos, "Invalid character: '%s'", copy);
    }
    return 0;
}

/* The content of a back-tick string, up to its end or the next ${. */
static int lex_backtick(bvi_lexer *lex, bvi_token *ret)
{
    bvi_buf_clear(&lex->text);
    for (;;) {
        int c = peek(lex);
        int r;

        if (c < 0)
            return fail_at(lex, ret, ret->pos, "Open string is not terminated");
        if (c == '`' && peek_at(lex, 1) != '`') {
            advance(lex);
            set_string(lex, ret, BVI_TOK_STRING);
            return 0;
        }
        if (c == '$' && peek_at(lex, 1) == '{') {
            advance_by(lex, 2);
            set_string(lex, ret, BVI_TOK_INTERP);
            return 0;
        }
        if (c == '`' || (c == '\r' && peek_at(lex, 1) == '\n'))
            advance(lex);
        r = append_char(lex);
        if (r < 0)
            return r;
    }
}

static int lex_backtick_start(bvi_lexer *lex, bvi_token *ret)
{
    advance(lex);
    if (at_line_end(lex)) {
        if (peek(lex) == '\r')
            advance(lex);
        advance(lex);
    }
    return lex_backtick(lex, ret);
}

int bvi_lex_resume_string(bvi_lexer *lex, bvi_token *ret)
{
    *ret = (bvi_token){ .pos = lex->pos };
    lex->after_operand = true;
    return lex_backtick(lex, ret);
}

/* #"..."#, with any number of #: nothing inside is special, line breaks neither. */
static size_t raw_quote(const bvi_lexer *lex)
{
    size_t hashes = 0;

    while (peek_at(lex, hashes) == '#')
        hashes++;
    return hashes > 0 && peek_at(lex, hashes) == '"' ? hashes : 0;
}

static bool ends_raw(const bvi_lexer *lex, size_t hashes)
{
    for (size_t i = 0; i < hashes; i++) {
        if (peek_at(lex, 1 + i) != '#')
            return false;
    }
    return peek(lex) == '"';
}

static int lex_raw_string(bvi_lexer *lex, bvi_token *ret, size_t hashes)
{
    bvi_buf_clear(&lex->text);
    advance_by(lex, hashes + 1);
    while (!ends_raw(lex, hashes)) {
        int r;

        if (peek(lex) < 0)
            return fail_at(lex, ret, ret->pos, "Open string is not terminated");
        r = append_char(lex);
        if (r < 0)
            return r;
    }
    advance_by(lex, hashes + 1);
    set_string(lex, ret, BVI_TOK_STRING);
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
    while (is_name(peek(lex)))
        advance(lex);
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
    return t != BVI_TOK_NOT_IN || !is_name(peek_at(lex, 3));
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
        advance_by(lex, len);
        return 0;
    }
    if (reserved >= 0) {
        ret->type = BVI_TOK_RESERVED_SYMBOL;
        ret->len = reserved_len;
        ret->hint = reserved_symbols[reserved].hint;
        ret->is_operator = reserved_symbols[reserved].is_operator;
        advance_by(lex, reserved_len);
        return 0;
    }
    (void)bvi_utf8_decode(lex->at, (size_t)(lex->end - lex->at), &used);
    return fail_at(lex, ret, ret->pos, "Unexpected '%.*s'", (int)used, lex->at);
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
    int c = peek(lex);

    if (c < 0) {
        ret->type = BVI_TOK_EOF;
        return 0;
    }
    if (is_digit(c) || (c == '-' && !lex->after_operand && is_digit(peek_at(lex, 1))))
        return lex_number(lex, ret);
    if (is_name_start(c))
        return lex_name(lex, ret);
    if (c == '"')
        return lex_string(lex, ret);
    if (c == '\'')
        return lex_char(lex, ret);
    if (c == '`')
        return lex_backtick_start(lex, ret);
    if (c == '#' && !lex->json && raw_quote(lex))
        return lex_raw_string(lex, ret, raw_quote(lex));
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
