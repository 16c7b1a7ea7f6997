/* Which name was meant. */
#include "base/near.h"
#include "bvt.h"

static const struct {
    const char *a;
    const char *b;
    unsigned distance;
} distances[] = {
    { "", "", 0 },       { "abc", "abc", 0 },        { "abc", "ABC", 0 },
    { "abc", "", 3 },    { "", "abc", 3 },           { "abc", "abd", 1 },
    { "abc", "acb", 1 }, { "kitten", "sitting", 3 }, { "max_retires", "max_retries", 1 },
    { "ab", "ba", 1 },   { "needs", "need", 1 },
};

START_TEST(measures)
{
    ck_assert_uint_eq(bvi_edit_distance(distances[_i].a, distances[_i].b), distances[_i].distance);
    ck_assert_uint_eq(bvi_edit_distance(distances[_i].b, distances[_i].a), distances[_i].distance);
}
END_TEST

static const struct {
    const char *wrong;
    const char *meant; /* NULL: nothing is near */
} guesses[] = {
    { "max_retires", "max_retries" },
    { "restart-config", "restart_config" },
    { "service", "services" },
    { "banana", NULL },
    { "", NULL },
    { "x", NULL },
    { "run_Sh", "run_sh" },
};

START_TEST(guesses_what_was_meant)
{
    static const char *const names[] = { "services", "max_retries", "restart_config", "run_sh" };
    bvi_near near = BVI_NEAR_INIT(guesses[_i].wrong);

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        bvi_near_try(&near, names[i]);
    if (guesses[_i].meant)
        ck_assert_str_eq(near.best, guesses[_i].meant);
    else
        ck_assert_ptr_null(near.best);
}
END_TEST

START_TEST(long_names_are_near_nothing)
{
    char text[BVI_NEAR_LEN_MAX + 2];
    bvi_near near = BVI_NEAR_INIT(text);

    memset(text, 'a', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    bvi_near_try(&near, text);
    ck_assert_ptr_null(near.best);
}
END_TEST

BVT_MAIN("base/near", bvt_loop(measures, distances), bvt_loop(guesses_what_was_meant, guesses),
         bvt_test(long_names_are_near_nothing))
