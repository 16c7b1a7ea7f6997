/* Protected paths: what is built in, what a list adds and takes out. */
#include "base/glob.h"
#include "base/protect.h"
#include "bvt.h"

static const struct {
    const char *path;
    bool is_protected;
} cases[] = {
    { "regtest/wallets/main/wallet.dat", true },
    { "wallets/w", true },
    { "wallet.dat", true },
    { "geth/nodekey", true },
    { "keystore/UTC--2020", true },
    { "data/priv_validator_state.json", true },
    { "config/node_key.json", true },
    { "tls/server.pem", true },
    { "chaindata/000001.ldb", false },
    { "blocks/blk00000.dat", false },
    { "lmdb/data.mdb", false },
    { "mywallets/w", false },
    { "priv_validator_state.json.d/db", false },
};

START_TEST(built_in)
{
    BVI_AUTO(bvi_strv_done) bvi_strv list = { 0 };
    bv_error *err = NULL;

    bvt_assert_ok(bvi_protect_begin(&list, &err), err);
    ck_assert_msg(bvi_protect_match(&list, cases[_i].path) == cases[_i].is_protected, "%s",
                  cases[_i].path);
}
END_TEST

START_TEST(built_in_patterns_are_right)
{
    for (size_t i = 0; bvi_protect_builtin[i]; i++)
        ck_assert_int_eq(bvi_glob_check(bvi_protect_builtin[i], NULL), 0);
}
END_TEST

START_TEST(a_list_adds_and_takes_out)
{
    BVI_AUTO(bvi_strv_done) bvi_strv list = { 0 };
    bv_error *err = NULL;

    bvt_assert_ok(bvi_protect_begin(&list, &err), err);
    bvt_assert_ok(bvi_protect_add(&list, "signer/**", &err), err);
    bvt_assert_ok(bvi_protect_add(&list, "signer/**", &err), err);
    bvt_assert_ok(bvi_protect_add(&list, "!**/*.pem", &err), err);
    ck_assert(bvi_protect_match(&list, "signer/state"));
    ck_assert(!bvi_protect_match(&list, "tls/server.pem"));
}
END_TEST

static const char *const bad[] = { "/abs", "a**", "[", "", "!**/nothing/**" };

START_TEST(bad_patterns)
{
    BVI_AUTO(bvi_strv_done) bvi_strv list = { 0 };
    bv_error *err = NULL;

    bvt_assert_ok(bvi_protect_begin(&list, &err), err);
    ck_assert_int_eq(bvi_protect_add(&list, bad[_i], &err), BV_E_INVALID);
    bv_error_free(err);
}
END_TEST

START_TEST(too_many)
{
    BVI_AUTO(bvi_strv_done) bvi_strv list = { 0 };
    bv_error *err = NULL;
    int r = bvi_protect_begin(&list, &err);

    for (unsigned i = 0; r == 0 && i <= BVI_PROTECT_MAX; i++)
        r = bvi_protect_add(&list, bvt_format("p%u", i), &err);
    bvt_assert_error_says(err, BV_E_LIMIT, "256");
    bv_error_free(err);
}
END_TEST

START_TEST(no_memory)
{
    bvt_for_each_failed_allocation(n) {
        BVI_AUTO(bvi_strv_done) bvi_strv list = { 0 };
        bv_error *err = NULL;
        int r = bvi_protect_begin(&list, &err);

        if (r == 0)
            r = bvi_protect_add(&list, "x", &err);
        ck_assert(r == 0 || r == BV_E_NOMEM);
        bv_error_free(err);
    }
}
END_TEST

BVT_MAIN("base/protect", bvt_loop(built_in, cases), bvt_test(built_in_patterns_are_right),
         bvt_test(a_list_adds_and_takes_out), bvt_loop(bad_patterns, bad), bvt_test(too_many),
         bvt_test(no_memory))
