/* Cron expressions: what is understood, what is refused and how, and when the next occurrence is.
 */
#include <stdlib.h>
#include <time.h>

#include "base/time.h"
#include "bvt.h"
#include "plugin/schedule.h"

static const struct {
    const char *zone;
    const char *text;
    const char *after;
    const char *next; /* NULL: none */
} next_cases[] = {
    { "UTC", "* * * * * *", "2024-01-31T10:00:00Z", "2024-01-31T10:00:01Z" },
    { "UTC", "* * * * * *", "2024-01-31T10:00:00.5Z", "2024-01-31T10:00:01Z" },
    { "UTC", "0 0 0 1 1 * 2030", "2024-01-31T10:00:00Z", "2030-01-01T00:00:00Z" },
    { "UTC", "0 0 0 1 1 * 1999", "2024-01-31T10:00:00Z", NULL },
    { "UTC", "0 0 0 31 2 *", "2024-01-31T10:00:00Z", NULL },
    { "UTC", "0 0 0 29 2 *", "2024-03-01T00:00:00Z", "2028-02-29T00:00:00Z" },
    { "UTC", "*/20 * * * * *", "2024-01-31T10:00:19Z", "2024-01-31T10:00:20Z" },
    { "UTC", "50/5 * * * * *", "2024-01-31T10:00:55Z", "2024-01-31T10:01:50Z" },
    { "UTC", "5-9/2 * * * * *", "2024-01-31T10:00:05Z", "2024-01-31T10:00:07Z" },
    { "UTC", "0 30 9-17 ? * MON-FRI", "2024-02-02T17:30:00Z", "2024-02-05T09:30:00Z" },
    { "UTC", "0 0 12 * jan,March Tues", "2024-01-30T12:00:00Z", "2024-03-05T12:00:00Z" },
    { "UTC", "0 0 0 13 * 6 *", "2024-01-01T00:00:00Z",
      "2024-09-13T00:00:00Z" }, /* both days must match */
    { "UTC", "0 0 0 * * 1", "2024-01-31T10:00:00Z", "2024-02-04T00:00:00Z" }, /* Sunday is 1 */
    { "UTC", "@weekly", "2024-01-31T10:00:00Z", "2024-02-04T00:00:00Z" },
    { "UTC", "@yearly", "2024-01-31T10:00:00Z", "2025-01-01T00:00:00Z" },
    { "UTC", "@monthly", "2024-01-31T10:00:00Z", "2024-02-01T00:00:00Z" },
    { "UTC", "@daily", "2024-01-31T10:00:00Z", "2024-02-01T00:00:00Z" },
    { "UTC", "@hourly", "2024-01-31T10:00:00Z", "2024-01-31T11:00:00Z" },
    { "UTC", "0 0 0 1 1 * 2100", "2024-01-31T10:00:00Z", "2100-01-01T00:00:00Z" },
    { "UTC", " 0  0\t0 1 1 * ", "2024-01-31T10:00:00Z", "2025-01-01T00:00:00Z" },
    /* Berlin: 2024-03-31 has no 02:30, 2024-10-27 has it twice. */
    { "Europe/Berlin", "0 30 2 * * *", "2024-03-30T12:00:00Z", "2024-04-01T00:30:00Z" },
    { "Europe/Berlin", "0 30 2 * * *", "2024-10-26T12:00:00Z", "2024-10-27T00:30:00Z" },
    { "Europe/Berlin", "0 30 2 * * *", "2024-10-27T00:30:00Z", "2024-10-27T01:30:00Z" },
    { "Europe/Berlin", "0 30 2 * * *", "2024-10-27T01:30:00Z", "2024-10-28T01:30:00Z" },
    { "Europe/Berlin", "0 0 0 * * *", "2024-06-01T00:00:00Z", "2024-06-01T22:00:00Z" },
};

START_TEST(finds_the_next)
{
    char text[BVI_TIME_TEXT_SIZE];
    bv_error *err = NULL;
    int64_t after = 0;
    int64_t next = 0;
    int r;

    if (strcmp(next_cases[_i].zone, "UTC") != 0 && !bvt_exists("/usr/share/zoneinfo/Europe/Berlin"))
        bvt_skip("no time zone database");
    ck_assert_int_eq(setenv("TZ", next_cases[_i].zone, 1), 0);
    tzset();
    ck_assert_int_eq(bvi_time_parse(next_cases[_i].after, &after), 0);
    r = bvi_schedule_next(next_cases[_i].text, after, &next, &err);
    if (!next_cases[_i].next) {
        bvt_assert_error_says(err, BV_E_NOT_FOUND, "no further occurrence");
        bv_error_free(err);
        return;
    }
    bvt_assert_ok(r, err);
    bvi_time_format(next, text);
    ck_assert_str_eq(text, next_cases[_i].next);
}
END_TEST

static const struct {
    const char *text;
    const char *says;
} bad_cases[] = {
    { "", "0 fields" },
    { "* * * * *", "5 fields" },
    { "* * * * * * * *", "more than 7" },
    { "60 * * * * *", "Seconds must be less than 59. ('60' specified.)" },
    { "* * * 0 * *", "Days of Month must be greater than or equal to 1." },
    { "* * * * 13 *", "Months" },
    { "* * * * * 8", "Days of Week must be less than 7. ('8' specified.)" },
    { "* * * * * * 1969", "Years must be greater than or equal to 1970" },
    { "* * * * * * 2101", "Years" },
    { "* * * * * x", "'x' is not a valid day of the week" },
    { "* * * * Smarch *", "'Smarch' is not a valid month" },
    { "mon * * * * *", "Seconds" },
    { "*/0 * * * * *", "range step cannot be zero" },
    { "*/60 * * * * *", "range step" },
    { "9-5 * * * * *", "reversed" },
    { "? * * * * *", "Seconds" },
    { "1, * * * * *", "Seconds" },
    { "1-2-3 * * * * *", "not understood" },
    { "1- * * * * *", "Seconds" },
    { "*/ * * * * *", "Seconds" },
    { "99999999999999999999 * * * * *", "too large" },
    { "* * * L * *", "'L' is not a number" },
    { "@reboot", "1 fields" },
    { "* * * * * FRI-MON", "reversed" },
};

START_TEST(refuses)
{
    bvi_schedule schedule;
    bv_error *err = NULL;

    ck_assert_int_eq(bvi_schedule_parse(bad_cases[_i].text, &schedule, &err), BV_E_INVALID);
    bvt_assert_error_says(err, BV_E_INVALID, bad_cases[_i].says);
    bv_error_free(err);
}
END_TEST

START_TEST(refuses_endless_text)
{
    char text[BVI_SCHEDULE_TEXT_MAX + 10];
    bvi_schedule schedule;

    memset(text, '*', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    ck_assert_int_eq(bvi_schedule_parse(text, &schedule, NULL), BV_E_INVALID);
}
END_TEST

BVT_MAIN("plugin/schedule", bvt_loop(finds_the_next, next_cases), bvt_loop(refuses, bad_cases),
         bvt_test(refuses_endless_text))
