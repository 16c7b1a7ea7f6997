/*
 * Tokens: what a source is cut into, with the place of each. A token is shown as "line:column
 * what".
 */
#include "bvt.h"
#include "harness.h"
#include "script/engine.h"
#include "script/lex.h"

#define TEXT_MAX 10000u

static int show(bvi_buf *out, const bvi_lexer *lex, const bvi_token *t)
{
    static const char *const kinds[] = {
        [BVI_TOK_STRING] = "string",
        [BVI_TOK_INTERP] = "piece",
        [BVI_TOK_IDENT] = "name",
        [BVI_TOK_RESERVED_WORD] = "reserved",
        [BVI_TOK_RESERVED_SYMBOL] = "symbol",
        [BVI_TOK_UNDERSCORE] = "underscore",
    };
    int r = bvi_buf_printf(out, "%s%u:%u ", out->len > 0 ? " " : "", t->pos.line, t->pos.col);

    if (r < 0)
        return r;
    switch (t->type) {
    case BVI_TOK_EOF:
        return bvi_buf_append_str(out, "end");
    case BVI_TOK_ERROR:
        return bvi_buf_printf(out, "error<%s>", bvi_buf_str(&lex->text));
    case BVI_TOK_INT:
        return bvi_buf_printf(out, "%lld", (long long)t->number);
    case BVI_TOK_FLOAT:
        return bvi_buf_printf(out, "%g", t->real);
    case BVI_TOK_CHAR:
        return bvi_buf_printf(out, "char<%lld>", (long long)t->number);
    default:
        if (t->type <= BVI_TOK_UNDERSCORE)
            return bvi_buf_printf(out, "%s<%.*s>", kinds[t->type], (int)t->len, t->text);
        return bvi_buf_append_str(out, bvi_token_text(t->type));
    }
}

/* The code in ${...} ends at its first }, which is enough here. */
static const char *tokens(const char *source, bool json)
{
    BVI_AUTO(bvi_buf_done) bvi_buf out = BVI_BUF_INIT(TEXT_MAX);
    unsigned open = 0;
    bvi_token t;
    bvi_lexer lex;
    harness h;

    harness_init(&h);
    harness_open(&h);
    bvi_lex_init(&lex, h.engine, source, strlen(source));
    lex.json = json;
    do {
        ck_assert_int_eq(bvi_lex_next(&lex, &t), 0);
        if (t.type == BVI_TOK_RBRACE && open > 0) {
            open--;
            ck_assert_int_eq(bvi_lex_resume_string(&lex, &t), 0);
        }
        open += t.type == BVI_TOK_INTERP;
        ck_assert_int_eq(show(&out, &lex, &t), 0);
    } while (t.type != BVI_TOK_EOF && t.type != BVI_TOK_ERROR);
    bvi_lex_done(&lex);
    harness_close(&h);
    return bvt_format("%s", bvi_buf_str(&out));
}

static const struct {
    const char *source;
    const char *tokens;
} sources[] = {
    /* blanks and comments */
    { "", "1:1 end" },
    { " \t\r\n\v\f\xc2\xa0\xe3\x80\x80x", "2:5 name<x> 2:6 end" },
    { "a // b\nc", "1:1 name<a> 2:1 name<c> 2:2 end" },
    { "a /* b /* c */ d */ e", "1:1 name<a> 1:21 name<e> 1:22 end" },
    { "a /* open", "1:1 name<a> 1:10 end" },
    { "/**/1///* 2\n//!3", "1:5 1 2:5 end" },
    { "\xc3\xa9", "1:1 error<Unexpected '\xc3\xa9'>" },
    /* numbers */
    { "0 007 1_000 0xFf 0b1_1 0o17", "1:1 0 1:3 7 1:7 1000 1:13 255 1:18 3 1:24 15 1:28 end" },
    { "1.5 1. 1e3 1E+2 2.5e-1", "1:1 1.5 1:5 1 1:8 1000 1:12 100 1:17 0.25 1:23 end" },
    { "1.foo 1..2 1.e3", "1:1 1 1:2 . 1:3 name<foo> 1:7 1 1:8 .. 1:10 2 1:12 1 1:13 . 1:14 "
                         "name<e3> 1:16 end" },
    { "-5 a-5 a -5 (-5)", "1:1 -5 1:4 name<a> 1:5 - 1:6 5 1:8 name<a> 1:10 - 1:11 5 1:13 ( 1:14 "
                          "-5 1:16 ) 1:17 end" },
    { "-9223372036854775808", "1:1 -9223372036854775808 1:21 end" },
    { "9223372036854775808", "1:1 9.22337e+18 1:20 end" },
    { "0xffffffffffffffff", "1:1 -1 1:19 end" },
    { "0x1ffffffffffffffff", "1:1 error<Invalid number: '1ffffffffffffffff'>" },
    { "0b", "1:1 error<Invalid number: ''>" },
    { "1_a", "1:1 1 1:3 name<a> 1:4 end" },
    /* names */
    { "a _b __c d1_ _ _1", "1:1 name<a> 1:3 name<_b> 1:6 name<__c> 1:10 name<d1_> 1:14 "
                           "underscore<_> 1:16 underscore<_1> 1:18 end" },
    { "if iff this case Fn global",
      "1:1 if 1:4 name<iff> 1:8 this 1:13 reserved<case> 1:18 reserved<Fn> 1:21 name<global> "
      "1:27 end" },
    /* symbols: the longest wins */
    { "<<=>>=**=..=?"
      "?=",
      "1:1 <<= 1:4 >>= 1:7 **= 1:10 ..= 1:13 ?? 1:15 = 1:16 end" },
    { "a?.b?[0]??c", "1:1 name<a> 1:2 ?. 1:4 name<b> 1:5 ?[ 1:7 0 1:8 ] 1:9 ?? 1:11 name<c> 1:12 "
                     "end" },
    { "a!in b !inner", "1:1 name<a> 1:2 !in 1:6 name<b> 1:8 ! 1:9 name<inner> 1:14 end" },
    { "a::b #{ }", "1:1 name<a> 1:2 :: 1:4 name<b> 1:6 #{ 1:9 } 1:10 end" },
    { "=== !== -> ++ ... ::< := |> $ @ ~ # ?",
      "1:1 symbol<===> 1:5 symbol<!==> 1:9 symbol<->> 1:12 symbol<++> 1:15 symbol<...> 1:19 "
      "symbol<::<> 1:23 symbol<:=> 1:26 symbol<|>> 1:29 symbol<$> 1:31 symbol<@> 1:33 symbol<~> "
      "1:35 symbol<#> 1:37 symbol<?> 1:38 end" },
    { "a--b", "1:1 name<a> 1:2 symbol<--> 1:4 name<b> 1:5 end" },
    { "|x||y|", "1:1 | 1:2 name<x> 1:3 || 1:5 name<y> 1:6 | 1:7 end" },
    /* strings */
    { "\"a\" \"\" \"b\"\"c\"", "1:1 string<a> 1:5 string<> 1:8 string<b\"c> 1:14 end" },
    { "\"\\t\\n\\r\\\\\\\"\\x41\\u00e9\\U0001f600\" x",
      "1:1 string<\t\n\r\\\"A\xc3\xa9\xf0\x9f\x98\x80> 1:34 name<x> 1:35 end" },
    { "\"a \\\n   b\"", "1:1 string<a   b> 2:6 end" },
    { "  \"a \\\n   b\"", "1:3 string<a b> 2:6 end" },
    { "\"open", "1:1 error<Open string is not terminated>" },
    { "\"a\nb\"", "1:1 error<Open string is not terminated>" },
    { "\"\\q\"", "1:3 error<Invalid escape sequence: '\\q'>" },
    { "\"\\ud800\"", "1:7 error<Invalid escape sequence: '\\ud800'>" },
    { "\"\\U00110000\"", "1:11 error<Invalid escape sequence: '\\U00110000'>" },
    { "\"\\/\"", "1:3 error<Invalid escape sequence: '\\/'>" },
    /* characters */
    { "'a' '\\'' '\xc3\xa9' '\\n' '\"'",
      "1:1 char<97> 1:5 char<39> 1:10 char<233> 1:14 char<10> 1:19 char<34> 1:22 end" },
    { "''", "1:1 error<Invalid character: ''>" },
    { "'ab'", "1:1 error<Invalid character: 'ab'>" },
    { "'a", "1:1 error<Open string is not terminated>" },
    /* pieces */
    { "`a\\n``b` c", "1:1 string<a\\n`b> 1:10 name<c> 1:11 end" },
    { "`\n a\r\n b`", "1:1 string< a\n b> 3:4 end" },
    { "`a${x}b${1}`", "1:1 piece<a> 1:5 name<x> 1:7 piece<b> 1:10 1 1:12 string<> 1:13 end" },
    { "`$a $ {b}$`-1", "1:1 string<$a $ {b}$> 1:12 - 1:13 1 1:14 end" },
    { "`a${", "1:1 piece<a> 1:5 end" },
    { "`a", "1:1 error<Open string is not terminated>" },
    /* raw */
    { "#\"a\"# ##\"b\"#c\"## #\"\\${\n\"#",
      "1:1 string<a> 1:7 string<b\"#c> 1:18 string<\\${\n> 2:3 end" },
    { "#\"a\"", "1:1 error<Open string is not terminated>" },
    { "#\"a\"-1", "1:1 error<Open string is not terminated>" },
    { "#\"a\"#-1", "1:1 string<a> 1:6 - 1:7 1 1:8 end" },
};

START_TEST(sources_become_tokens)
{
    ck_assert_str_eq(tokens(sources[_i].source, false), sources[_i].tokens);
}
END_TEST

static const struct {
    const char *source;
    const char *tokens;
} documents[] = {
    { "{\"a\": -1}", "1:1 { 1:2 string<a> 1:5 : 1:7 -1 1:9 } 1:10 end" },
    { "\"\\/\\b\\f\\u00e9\"", "1:1 string</\b\f\xc3\xa9> 1:15 end" },
    { "\"\\ud83d\\ude00\"", "1:1 string<\xf0\x9f\x98\x80> 1:15 end" },
    { "\"\\ud83dx\"", "1:7 error<Invalid escape sequence: '\\ud83d'>" },
    { "\"a\"\"b\"", "1:1 string<a> 1:4 string<b> 1:7 end" },
    { "#\"a\"#", "1:1 symbol<#> 1:2 string<a> 1:5 symbol<#> 1:6 end" },
};

START_TEST(json_has_its_own_escapes)
{
    ck_assert_str_eq(tokens(documents[_i].source, true), documents[_i].tokens);
}
END_TEST

START_TEST(survives_every_failed_allocation)
{
    bvi_script_options options = { .data = NULL };
    bvi_script_engine *engine = NULL;

    ck_assert_int_eq(bvi_script_engine_new(&options, &engine, NULL), 0);
    bvt_for_each_failed_allocation(n) {
        const char *source = "\"some text that is longer\" 'c' `a${b";
        bvi_token t;
        bvi_lexer lex;
        int r;

        bvi_lex_init(&lex, engine, source, strlen(source));
        do {
            r = bvi_lex_next(&lex, &t);
        } while (r == 0 && t.type != BVI_TOK_EOF);
        ck_assert(r == 0 || r == BV_E_NOMEM);
        bvi_lex_done(&lex);
    }
    bvi_script_engine_free(engine);
}
END_TEST

BVT_MAIN("script/lex", bvt_loop(sources_become_tokens, sources),
         bvt_loop(json_has_its_own_escapes, documents), bvt_test(survives_every_failed_allocation))
