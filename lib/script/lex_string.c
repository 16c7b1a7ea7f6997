/*
 * lex_string.c - the lexer's literals of text: "...", '.', `...` in pieces, #"..."#, and escapes.
 */
#include "base/utf8.h"
#include "script/lex_impl.h"

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

    bvi_lex_advance(lex);
    for (unsigned i = 0; i < count; i++) {
        int d = bvi_lex_peek(lex);

        at = lex->pos;
        if (d < 0)
            return bvi_lex_fail(lex, ret, lex->pos, "Open string is not terminated");
        seen[len++] = (char)d;
        if (!bvi_lex_is_digit_of(d, 16))
            return bvi_lex_fail(lex, ret, lex->pos, "Invalid escape sequence: '%s'", seen);
        c = c * 16 + (uint32_t)(d >= '0' && d <= '9' ? d - '0' : (d | 0x20) - 'a' + 10);
        bvi_lex_advance(lex);
    }
    if (lex->json && c >= 0xdc00 && c <= 0xdfff && join_surrogates(lex, c))
        return 0;
    if (lex->json && c >= 0xd800 && c <= 0xdbff && bvi_lex_peek(lex) == '\\' &&
        bvi_lex_peek_at(lex, 1) == 'u')
        return append_lone_surrogate(lex, c);
    if (c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
        return bvi_lex_fail(lex, ret, at, "Invalid escape sequence: '%s'", seen);
    return append_scalar(&lex->text, c);
}

static int invalid_escape(bvi_lexer *lex, bvi_token *ret)
{
    size_t used;

    (void)bvi_utf8_decode(lex->at, (size_t)(lex->end - lex->at), &used);
    return bvi_lex_fail(lex, ret, lex->pos, "Invalid escape sequence: '\\%.*s'", (int)used,
                        lex->at);
}

static int lex_escape(bvi_lexer *lex, bvi_token *ret, char quote)
{
    int c = bvi_lex_peek(lex);

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
        return bvi_lex_fail(lex, ret, ret->pos, "Open string is not terminated");
    default:
        if (c == quote)
            break;
        return invalid_escape(lex, ret);
    }
    bvi_lex_advance(lex);
    return bvi_buf_append_char(&lex->text, (char)c);
}

/* Backslash at the end of a line: blanks of the next line go, but only up to the column of the
 * opening quote. */
static void continue_line(bvi_lexer *lex, uint32_t quote_col)
{
    if (bvi_lex_peek(lex) == '\r')
        bvi_lex_advance(lex);
    bvi_lex_advance(lex);
    while ((bvi_lex_peek(lex) == ' ' || bvi_lex_peek(lex) == '\t') && lex->pos.col <= quote_col)
        bvi_lex_advance(lex);
}

static bool at_line_end(const bvi_lexer *lex)
{
    return bvi_lex_peek(lex) == '\n' ||
           (bvi_lex_peek(lex) == '\r' && bvi_lex_peek_at(lex, 1) == '\n');
}

static int append_char(bvi_lexer *lex)
{
    const char *from = lex->at;

    bvi_lex_advance(lex);
    return bvi_buf_append(&lex->text, from, (size_t)(lex->at - from));
}

/* The content of "..." or '...', behind the opening quote. */
static int lex_quoted(bvi_lexer *lex, bvi_token *ret, char quote)
{
    bvi_pos start = ret->pos;

    bvi_buf_clear(&lex->text);
    for (;;) {
        int c = bvi_lex_peek(lex);
        int r;

        if (c < 0 || at_line_end(lex))
            return bvi_lex_fail(lex, ret, start, "Open string is not terminated");
        if (c == quote && quote == '"' && bvi_lex_peek_at(lex, 1) == quote && !lex->json) {
            bvi_lex_advance(lex);
            r = append_char(lex);
        } else if (c == quote) {
            bvi_lex_advance(lex);
            return 0;
        } else if (c == '\\') {
            bvi_lex_advance(lex);
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

int bvi_lex_string(bvi_lexer *lex, bvi_token *ret)
{
    int r;

    bvi_lex_advance(lex);
    ret->type = BVI_TOK_STRING;
    r = lex_quoted(lex, ret, '"');
    if (r < 0 || ret->type != BVI_TOK_STRING)
        return r;
    if (lex->json && !bvi_utf8_valid(bvi_buf_str(&lex->text), lex->text.len))
        return bvi_lex_fail(lex, ret, ret->pos,
                            "Invalid escape sequence: half of a surrogate pair");
    set_string(lex, ret, BVI_TOK_STRING);
    return 0;
}

int bvi_lex_char(bvi_lexer *lex, bvi_token *ret)
{
    size_t used = 0;
    int r;

    bvi_lex_advance(lex);
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
        return bvi_lex_fail(lex, ret, ret->pos, "Invalid character: '%s'", copy);
    }
    return 0;
}

/* The content of a back-tick string, up to its end or the next ${. */
static int lex_backtick(bvi_lexer *lex, bvi_token *ret)
{
    bvi_buf_clear(&lex->text);
    for (;;) {
        int c = bvi_lex_peek(lex);
        int r;

        if (c < 0)
            return bvi_lex_fail(lex, ret, ret->pos, "Open string is not terminated");
        if (c == '`' && bvi_lex_peek_at(lex, 1) != '`') {
            bvi_lex_advance(lex);
            set_string(lex, ret, BVI_TOK_STRING);
            return 0;
        }
        if (c == '$' && bvi_lex_peek_at(lex, 1) == '{') {
            bvi_lex_advance_by(lex, 2);
            set_string(lex, ret, BVI_TOK_INTERP);
            return 0;
        }
        if (c == '`' || (c == '\r' && bvi_lex_peek_at(lex, 1) == '\n'))
            bvi_lex_advance(lex);
        r = append_char(lex);
        if (r < 0)
            return r;
    }
}

int bvi_lex_backtick(bvi_lexer *lex, bvi_token *ret)
{
    bvi_lex_advance(lex);
    if (at_line_end(lex)) {
        if (bvi_lex_peek(lex) == '\r')
            bvi_lex_advance(lex);
        bvi_lex_advance(lex);
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

    while (bvi_lex_peek_at(lex, hashes) == '#')
        hashes++;
    return hashes > 0 && bvi_lex_peek_at(lex, hashes) == '"' ? hashes : 0;
}

bool bvi_lex_is_raw_string(const bvi_lexer *lex)
{
    return !lex->json && raw_quote(lex) > 0;
}

static bool ends_raw(const bvi_lexer *lex, size_t hashes)
{
    for (size_t i = 0; i < hashes; i++) {
        if (bvi_lex_peek_at(lex, 1 + i) != '#')
            return false;
    }
    return bvi_lex_peek(lex) == '"';
}

int bvi_lex_raw_string(bvi_lexer *lex, bvi_token *ret)
{
    size_t hashes = raw_quote(lex);

    bvi_buf_clear(&lex->text);
    bvi_lex_advance_by(lex, hashes + 1);
    while (!ends_raw(lex, hashes)) {
        int r;

        if (bvi_lex_peek(lex) < 0)
            return bvi_lex_fail(lex, ret, ret->pos, "Open string is not terminated");
        r = append_char(lex);
        if (r < 0)
            return r;
    }
    bvi_lex_advance_by(lex, hashes + 1);
    set_string(lex, ret, BVI_TOK_STRING);
    return 0;
}
