/* Users read by hand from passwd and group files. */
#include <unistd.h>

#include "bvt.h"
#include "sys/user.h"

static const char passwd[] = "root:x:0:0:root:/root:/bin/sh\n"
                             "# comment\n"
                             "broken:x:abc:0::/:/bin/sh\n"
                             "short:x:5\n"
                             "chain:x:1001:1002:Chain,,,:/home/chain:/bin/bash\n"
                             "bare:x:7:8:::\n";
static const char group[] =
    "root:x:0:\nchain:x:1002:\nvideo:x:44:root,chain\nchainx:x:45:chainx\ndisk:x:6:chain\n";

START_TEST(a_user_with_groups)
{
    bvi_user user = { 0 };
    bv_error *err = NULL;

    bvt_assert_ok(bvi_user_find("chain", bvt_write_file("p", passwd), bvt_write_file("g", group),
                                &user, &err),
                  err);
    ck_assert_uint_eq(user.uid, 1001);
    ck_assert_uint_eq(user.gid, 1002);
    ck_assert_str_eq(user.home, "/home/chain");
    ck_assert_str_eq(user.shell, "/bin/bash");
    ck_assert_uint_eq(user.group_count, 3);
    ck_assert_uint_eq(user.groups[0], 1002);
    ck_assert_uint_eq(user.groups[1], 44);
    ck_assert_uint_eq(user.groups[2], 6);
}
END_TEST

static const char *const missing[] = { "nobody", "broken", "short", "chai", "", "# comment" };

START_TEST(unusable_users_are_not_found)
{
    bvi_user user = { 0 };

    ck_assert_int_eq(
        bvi_user_find(missing[_i], bvt_write_file("p", passwd), bvt_path("none"), &user, NULL),
        BV_E_NOT_FOUND);
}
END_TEST

START_TEST(missing_files)
{
    bvi_user user = { 0 };
    bv_error *err = NULL;

    bvt_assert_ok(bvi_user_find("bare", bvt_write_file("p", passwd), bvt_path("none"), &user, NULL),
                  NULL);
    ck_assert_uint_eq(user.group_count, 1);
    ck_assert_int_eq(bvi_user_find("bare", bvt_path("none"), NULL, &user, &err), BV_E_NOT_FOUND);
    bvt_assert_error_says(err, BV_E_NOT_FOUND, "cannot look up the user 'bare'");
    bv_error_free(err);
}
END_TEST

BVT_MAIN("sys/user", bvt_test(a_user_with_groups), bvt_loop(unusable_users_are_not_found, missing),
         bvt_test(missing_files))
