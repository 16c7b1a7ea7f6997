/* Host facts: what os-release files look like, and plausible numbers from this host. */
#include <stdio.h>

#include "bvt.h"
#include "sys/host.h"

static const struct {
    const char *text;
    const char *value; /* of NAME; NULL: absent */
} releases[] = {
    { "PRETTY_NAME=\"x\"\nNAME=\"Debian GNU/Linux\"\nID=debian\n", "Debian GNU/Linux" },
    { "NAME=Alpine\n", "Alpine" },
    { "NAME='single quoted' # no\n", "single quoted" },
    { "NAME=\"a \\\"b\\\" \\$c\"\n", "a \"b\" $c" },
    { "NAMES=1\nNAME=2", "2" },
    { "NAME=", "" },
    { "X_NAME=1\n", NULL },
    { "", NULL },
};

START_TEST(os_release)
{
    char value[64] = "unset";

    ck_assert_int_eq(bvi_os_release_value(releases[_i].text, "NAME", value, sizeof(value)),
                     releases[_i].value != NULL);
    if (releases[_i].value)
        ck_assert_str_eq(value, releases[_i].value);
}
END_TEST

START_TEST(values_are_cut)
{
    char value[4];

    ck_assert(bvi_os_release_value("NAME=abcdefgh", "NAME", value, sizeof(value)));
    ck_assert_str_eq(value, "abc");
}
END_TEST

START_TEST(this_host)
{
    bvi_host_facts facts;
    bvi_host_usage a, b;
    bv_error *err = NULL;

    bvt_assert_ok(bvi_host_facts_get(&facts, &err), err);
    ck_assert_uint_gt(facts.cpus, 0);
    ck_assert_uint_gt(facts.memory_bytes, 1u << 20);
    ck_assert(*facts.hostname && *facts.kernel && *facts.os && *facts.machine);
    bvt_assert_ok(bvi_host_usage_get(&a, &err), err);
    bvt_assert_ok(bvi_host_usage_get(&b, &err), err);
    ck_assert_uint_le(a.memory_available_bytes, facts.memory_bytes);
    ck_assert_uint_ge(b.cpu_total_us, a.cpu_total_us);
    ck_assert_uint_le(a.cpu_busy_us, a.cpu_total_us);
    ck_assert_uint_gt(a.uptime_s, 0);
}
END_TEST

BVT_MAIN("sys/host", bvt_loop(os_release, releases), bvt_test(values_are_cut), bvt_test(this_host))
