/* Exclude patterns, and the small text helpers of URLs. */
#include "base/glob.h"
#include "base/mem.h"
#include "bvt.h"
#include "transfer/url.h"

static const struct {
    const char *pattern;
    const char *path;
    bool matches;
} cases[] = {
    { "a", "a", true },
    { "a", "b", false },
    { "a", "a/b", false },
    { "*", "a/b/c", true },
    { "*.log", "a/b.log", true },
    { "*.log", "a.logs", false },
    { "a*", "a", true },
    { "?", "a", true },
    { "?", "", false },
    { "?", "\xc3\xa9", true },
    { "a?c", "a/c", true },
    { "[abc]x", "bx", true },
    { "[!abc]x", "bx", false },
    { "[!abc]x", "dx", true },
    { "[a-z]", "q", true },
    { "[a-z]", "Q", false },
    { "[]]", "]", true },
    { "[!]]", "a", true },
    { "[a-]", "-", true },
    { "**", "a/b", true },
    { "**", "a", true },
    { "**/b", "b", true },
    { "**/b", "a/b", true },
    { "**/b", "x/y/b", true },
    { "**/b", "ab", false },
    { "a/**/b", "a/b", true },
    { "a/**/b", "a/x/y/b", true },
    { "a/**/b", "a/xb", false },
    { "tmp/**", "tmp/x/y", true },
    { "tmp/**", "tmp", false },
    { "**/x/**", "a/x/b", true },
    { "**/x/**", "x/b", true },
    { "**/x/**", "a/b", false },
    { "*a*b*c", "xxaxxbxxc", true },
    { "*a*b*c", "xxaxxcxxb", false },
    { "A", "a", false },
    { "a*a*a*a*a*a*a*a*b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", false },
};

START_TEST(matches)
{
    ck_assert_int_eq(bvi_glob_check(cases[_i].pattern, NULL), 0);
    ck_assert_msg(bvi_glob_match(cases[_i].pattern, cases[_i].path) == cases[_i].matches,
                  "%s on %s", cases[_i].pattern, cases[_i].path);
}
END_TEST

static const char *const bad[] = { "", "[a", "a**", "**a", "a/**b", "***", "[", "[!", "[]" };

START_TEST(refuses_bad_patterns)
{
    bv_error *err = NULL;

    ck_assert_int_eq(bvi_glob_check(bad[_i], &err), BV_E_INVALID);
    bv_error_free(err);
}
END_TEST

static const struct {
    const char *url;
    const char *redacted;
} secrets[] = {
    { "https://host/path?X-Amz-Signature=abc", "https://host/path" },
    { "https://user:pw@host/path#frag", "https://***@host/path" },
    { "http://host?x=@y", "http://host" },
    { "http://host", "http://host" },
    { "nonsense?secret", "nonsense" },
};

START_TEST(hides_secrets)
{
    char *text = bvi_url_redact(secrets[_i].url);

    ck_assert_str_eq(text, secrets[_i].redacted);
    bv_free(text);
}
END_TEST

START_TEST(file_urls_go_both_ways)
{
    char *url = bvi_url_from_path("/a b/%41/\xc3\xa9?#");
    char *path = NULL;
    bv_error *err = NULL;

    ck_assert_str_eq(url, "file:///a%20b/%2541/%C3%A9%3F%23");
    bvt_assert_ok(bvi_url_to_path(url, &path, &err), err);
    ck_assert_str_eq(path, "/a b/%41/\xc3\xa9?#");
    bv_free(path);
    bv_free(url);
    ck_assert_int_eq(bvi_url_to_path("file://other/x", &path, NULL), BV_E_INVALID);
    ck_assert_int_eq(bvi_url_to_path("file:///a%00b", &path, NULL), BV_E_INVALID);
    ck_assert_int_eq(bvi_url_to_path("file:///a%4", &path, NULL), BV_E_INVALID);
    url = bvi_url_join("http://h/base//", "key/1/data.part_0");
    ck_assert_str_eq(url, "http://h/base/key/1/data.part_0");
    bv_free(url);
}
END_TEST

BVT_MAIN("transfer/glob", bvt_loop(matches, cases), bvt_loop(refuses_bad_patterns, bad),
         bvt_loop(hides_secrets, secrets), bvt_test(file_urls_go_both_ways))
