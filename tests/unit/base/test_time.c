/* RFC 3339, uptimes, saturating sums. */
#include <blockvisor/error.h>

#include "base/time.h"
#include "bvt.h"

#define S BVI_US_PER_S

static const struct {
    int64_t us;
    const char *text;
} moments[] = {
    { 0, "1970-01-01T00:00:00Z" },
    { INT64_C(1704067200) * S, "2024-01-01T00:00:00Z" },
    { INT64_C(1709208000) * S, "2024-02-29T12:00:00Z" },
    { INT64_C(951782400) * S, "2000-02-29T00:00:00Z" },
    { INT64_C(1700000000) * S + 250000, "2023-11-14T22:13:20.250Z" },
    { INT64_C(1700000000) * S + 123456, "2023-11-14T22:13:20.123456Z" },
    { INT64_C(1700000000) * S + 7, "2023-11-14T22:13:20.000007Z" },
    { -1, "1969-12-31T23:59:59.999999Z" },
    { INT64_C(-2208988800) * S, "1900-01-01T00:00:00Z" },
    { INT64_C(-62167219200) * S, "0000-01-01T00:00:00Z" },
    { INT64_C(253402300799) * S + 999999, "9999-12-31T23:59:59.999999Z" },
};

START_TEST(there_and_back)
{
    char text[BVI_TIME_TEXT_SIZE];
    int64_t us = 0;

    bvi_time_format(moments[_i].us, text);
    ck_assert_str_eq(text, moments[_i].text);
    ck_assert_int_eq(bvi_time_parse(text, &us), 0);
    ck_assert_int_eq(us, moments[_i].us);
}
END_TEST

START_TEST(the_ends_of_time_print)
{
    char text[BVI_TIME_TEXT_SIZE];

    bvi_time_format(INT64_MAX, text);
    ck_assert_str_eq(text, "9999-12-31T23:59:59Z");
    bvi_time_format(INT64_MIN, text);
    ck_assert_str_eq(text, "0000-01-01T00:00:00Z");
}
END_TEST

/* Counted rather than asserted one by one: an assertion costs a system call. */
START_TEST(every_day_of_eight_centuries)
{
    int64_t first = bvi_time_days(1600, 1, 1), last = bvi_time_days(2399, 12, 31);
    int64_t year = 1599;
    unsigned month = 12, day = 31, wrong = 0;

    for (int64_t days = first; days <= last; days++) {
        int64_t y = 0;
        unsigned m = 0, d = 0;
        bool next_day, next_month, next_year;

        bvi_time_date(days, &y, &m, &d);
        next_day = y == year && m == month && d == day + 1;
        next_month = y == year && m == month + 1 && d == 1;
        next_year = y == year + 1 && month == 12 && m == 1 && d == 1;
        wrong += !(next_day || next_month || next_year) || bvi_time_days(y, m, d) != days;
        year = y;
        month = m;
        day = d;
    }
    ck_assert_uint_eq(wrong, 0);
    ck_assert_int_eq(last - first, 2 * 146097 - 1);
}
END_TEST

static const struct {
    const char *text;
    int64_t us;
} parsed[] = {
    { "1970-01-01t00:00:01z", S },
    { "1970-01-01 00:00:01Z", S },
    { "1970-01-01T01:00:00+01:00", 0 },
    { "1969-12-31T22:30:00-01:30", 0 },
    { "1970-01-01T00:00:00.1Z", 100000 },
    { "1970-01-01T00:00:00.123456789Z", 123456 },
    { "1970-01-01T00:00:00.9999999999999999999999999999999999Z", 999999 },
    { "2016-12-31T23:59:60Z", INT64_C(1483228800) * S },
};

START_TEST(forms_of_the_same)
{
    int64_t us = 1;

    ck_assert_int_eq(bvi_time_parse(parsed[_i].text, &us), 0);
    ck_assert_int_eq(us, parsed[_i].us);
}
END_TEST

static const char *const refused[] = {
    "",
    "1970",
    "1970-01-01",
    "1970-01-01T00:00:00",
    "1970-13-01T00:00:00Z",
    "1970-00-01T00:00:00Z",
    "1970-01-32T00:00:00Z",
    "1970-01-00T00:00:00Z",
    "1970-02-29T00:00:00Z",
    "1900-02-29T00:00:00Z",
    "1970-04-31T00:00:00Z",
    "1970-01-01T24:00:00Z",
    "1970-01-01T00:60:00Z",
    "1970-01-01T00:00:61Z",
    "1970-01-01T00:00:00.Z",
    "1970-01-01T00:00:00+1:00",
    "1970-01-01T00:00:00+0100",
    "1970-01-01T00:00:00+24:00",
    "1970-01-01T00:00:00Zx",
    "1970-1-1T00:00:00Z",
    "70-01-01T00:00:00Z",
    "1970-01-01X00:00:00Z",
    " 1970-01-01T00:00:00Z",
};

START_TEST(refuses)
{
    int64_t us = 42;

    ck_assert_int_eq(bvi_time_parse(refused[_i], &us), BV_E_FORMAT);
    ck_assert_int_eq(us, 42);
}
END_TEST

static const struct {
    int64_t s;
    const char *text;
} uptimes[] = {
    { -5, "00:00:00" },
    { 0, "00:00:00" },
    { 59, "00:00:59" },
    { 3661, "01:01:01" },
    { 86399, "23:59:59" },
    { 86400, "1d 00:00:00" },
    { 12 * 86400 + 7384, "12d 02:03:04" },
    { INT64_MAX, "106751991167300d 15:30:07" },
};

START_TEST(uptime_text)
{
    char text[BVI_TIME_TEXT_SIZE];

    bvi_time_uptime(uptimes[_i].s, text);
    ck_assert_str_eq(text, uptimes[_i].text);
}
END_TEST

START_TEST(sums_stop_at_the_ends)
{
    ck_assert_int_eq(bvi_time_add(2, 3), 5);
    ck_assert_int_eq(bvi_time_add(INT64_MAX, 1), INT64_MAX);
    ck_assert_int_eq(bvi_time_add(INT64_MIN, -1), INT64_MIN);
    ck_assert_int_eq(bvi_time_add(INT64_MAX, INT64_MIN), -1);
    ck_assert_int_eq(bvi_time_mul(-2, 3), -6);
    ck_assert_int_eq(bvi_time_mul(INT64_MAX, 2), INT64_MAX);
    ck_assert_int_eq(bvi_time_mul(INT64_MAX, -2), INT64_MIN);
    ck_assert_int_eq(bvi_time_mul(INT64_MIN, -1), INT64_MAX);
    ck_assert_int_eq(bvi_time_mul(INT64_MIN, 0), 0);
}
END_TEST

BVT_MAIN("base/time", bvt_loop(there_and_back, moments), bvt_test(the_ends_of_time_print),
         bvt_test(every_day_of_eight_centuries), bvt_loop(forms_of_the_same, parsed),
         bvt_loop(refuses, refused), bvt_loop(uptime_text, uptimes),
         bvt_test(sums_stop_at_the_ends))
