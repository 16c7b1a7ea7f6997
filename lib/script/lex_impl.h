/*
 * lex_impl.h - what the lexer's two files share: lex.c and lex_string.c. Nobody else includes it.
 */
#ifndef BVI_SCRIPT_LEX_IMPL_H
#define BVI_SCRIPT_LEX_IMPL_H

#include "script/lex.h"

/* The next byte, or one further on; -1 behind the end. */
static inline int bvi_lex_peek_at(const bvi_lexer *lex, size_t offset)
{
    return lex->at + offset < lex->end ? (uint8_t)lex->at[offset] : -1;
}

static inline int bvi_lex_peek(const bvi_lexer *lex)
{
    return bvi_lex_peek_at(lex, 0);
}

/* Steps over one character and keeps the position right. */
static inline void bvi_lex_advance(bvi_lexer *lex)
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

static inline void bvi_lex_advance_by(bvi_lexer *lex, size_t count)
{
    while (count-- > 0)
        bvi_lex_advance(lex);
}

static inline bool bvi_lex_is_digit_of(int c, int radix)
{
    if (radix == 16)
        return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
    return c >= '0' && c < '0' + radix;
}

/* Makes the token an ERROR. */
int bvi_lex_fail(bvi_lexer *lex, bvi_token *ret, bvi_pos pos, const char *fmt, ...) BV_PRINTF(4, 5);

/* Literals, from their first character on; BV_E_NOMEM. */
int bvi_lex_string(bvi_lexer *lex, bvi_token *ret);
int bvi_lex_char(bvi_lexer *lex, bvi_token *ret);
int bvi_lex_backtick(bvi_lexer *lex, bvi_token *ret);
int bvi_lex_raw_string(bvi_lexer *lex, bvi_token *ret); /* the lexer stands on its first # */
bool bvi_lex_is_raw_string(const bvi_lexer *lex);

#endif
