/*
 * time.c - moments as RFC 3339 text, uptimes, and saturating sums.
 *
 * The calendar counts in eras of 400 years, which all have the same number of days, and in years
 * that begin in March, so that the leap day comes last.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <blockvisor/error.h>

#include "base/time.h"

#define DAYS_PER_ERA INT64_C(146097)
#define DAYS_TO_1970 INT64_C(719468) /* from 0000-03-01 */
#define S_PER_DAY    INT64_C(86400)
#define FIRST_SECOND (INT64_C(-719528) * S_PER_DAY)     /* 0000-01-01T00:00:00Z */
#define LAST_SECOND  (INT64_C(2932897) * S_PER_DAY - 1) /* 9999-12-31T23:59:59Z */

static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

int64_t bvi_time_days(int64_t year, unsigned month, unsigned day)
{
    int64_t y = month <= 2 ? year - 1 : year;
    int64_t era = floor_div(y, 400);
    int64_t year_of_era = y - era * 400;
    int64_t day_of_year = (153 * ((int64_t)month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;

    return era * DAYS_PER_ERA + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 +
           day_of_year - DAYS_TO_1970;
}

void bvi_time_date(int64_t days, int64_t *ret_year, unsigned *ret_month, unsigned *ret_day)
{
    int64_t era = floor_div(days + DAYS_TO_1970, DAYS_PER_ERA);
    int64_t d = days + DAYS_TO_1970 - era * DAYS_PER_ERA;
    int64_t year_of_era = (d - d / 1460 + d / 36524 - d / 146096) / 365;
    int64_t day_of_year = d - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t month = (5 * day_of_year + 2) / 153; /* 0 is March */

    *ret_day = (unsigned)(day_of_year - (153 * month + 2) / 5 + 1);
    *ret_month = (unsigned)(month < 10 ? month + 3 : month - 9);
    *ret_year = year_of_era + era * 400 + (*ret_month <= 2);
}

void bvi_time_format(int64_t wall_us, char text[BVI_TIME_TEXT_SIZE])
{
    int64_t s = floor_div(wall_us, BVI_US_PER_S);
    int64_t us = wall_us % BVI_US_PER_S; /* s * BVI_US_PER_S may be below INT64_MIN */
    int64_t year = 0;
    unsigned month = 0, day = 0;
    char fraction[32] = "";

    if (s < FIRST_SECOND || s > LAST_SECOND) {
        s = s < 0 ? FIRST_SECOND : LAST_SECOND;
        us = 0;
    }
    if (us < 0)
        us += BVI_US_PER_S;
    bvi_time_date(floor_div(s, S_PER_DAY), &year, &month, &day);
    s -= floor_div(s, S_PER_DAY) * S_PER_DAY;
    if (us % 1000)
        (void)snprintf(fraction, sizeof(fraction), ".%06" PRId64,
                       us); /* fits, as the next and the last do */
    else if (us)
        (void)snprintf(fraction, sizeof(fraction), ".%03" PRId64, us / 1000);
    (void)snprintf(text, BVI_TIME_TEXT_SIZE, "%04" PRId64 "-%02u-%02uT%02d:%02d:%02d%sZ", year,
                   month, day, (int)(s / 3600), (int)(s / 60 % 60), (int)(s % 60), fraction);
}

/* Reads exactly n digits; -1 when there are fewer. */
static int digits(const char **at, unsigned n)
{
    int value = 0;

    for (unsigned i = 0; i < n; i++, (*at)++) {
        if (**at < '0' || **at > '9')
            return -1;
        value = value * 10 + (**at - '0');
    }
    return value;
}

static bool one_of(const char **at, const char *set)
{
    if (!**at || !strchr(set, **at))
        return false;
    (*at)++;
    return true;
}

static unsigned days_in(int year, int month)
{
    static const unsigned char days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);

    return days[month - 1] + (month == 2 && leap ? 1u : 0u);
}

static bool parse_date(const char **at, int64_t *ret_days)
{
    int year = digits(at, 4);
    int month = year >= 0 && one_of(at, "-") ? digits(at, 2) : -1;
    int day = month >= 1 && month <= 12 && one_of(at, "-") ? digits(at, 2) : -1;

    if (day < 1 || (unsigned)day > days_in(year, month))
        return false;
    *ret_days = bvi_time_days(year, (unsigned)month, (unsigned)day);
    return true;
}

/* A leap second counts as the first one of the next minute. */
static bool parse_clock(const char **at, int64_t *ret_us)
{
    int hour = digits(at, 2);
    int minute = hour >= 0 && one_of(at, ":") ? digits(at, 2) : -1;
    int second = minute >= 0 && one_of(at, ":") ? digits(at, 2) : -1;
    int64_t unit = BVI_US_PER_S;

    if (second < 0 || hour > 23 || minute > 59 || second > 60)
        return false;
    *ret_us = (hour * 3600 + minute * 60 + second) * BVI_US_PER_S;
    if (!one_of(at, "."))
        return true;
    if (**at < '0' || **at > '9')
        return false;
    for (; **at >= '0' && **at <= '9'; (*at)++) {
        unit /= 10;
        *ret_us += (**at - '0') * unit;
    }
    return true;
}

static bool parse_offset(const char **at, int64_t *ret_us)
{
    bool negative = **at == '-';
    int hours, minutes;

    *ret_us = 0;
    if (one_of(at, "Zz"))
        return true;
    if (!one_of(at, "+-"))
        return false;
    hours = digits(at, 2);
    minutes = hours >= 0 && one_of(at, ":") ? digits(at, 2) : -1;
    if (minutes < 0 || hours > 23 || minutes > 59)
        return false;
    *ret_us = (hours * 3600 + minutes * 60) * BVI_US_PER_S * (negative ? -1 : 1);
    return true;
}

int bvi_time_parse(const char *text, int64_t *ret_wall_us)
{
    int64_t days = 0, us = 0, offset_us = 0;

    if (!parse_date(&text, &days) || !one_of(&text, "Tt ") || !parse_clock(&text, &us) ||
        !parse_offset(&text, &offset_us) || *text)
        return BV_E_FORMAT;
    *ret_wall_us = days * S_PER_DAY * BVI_US_PER_S + us - offset_us;
    return 0;
}

void bvi_time_uptime(int64_t seconds, char text[BVI_TIME_TEXT_SIZE])
{
    int64_t s = seconds > 0 ? seconds : 0;
    int day_s = (int)(s % S_PER_DAY);
    char days[32] = "";

    if (s >= S_PER_DAY)
        (void)snprintf(days, sizeof(days), "%" PRId64 "d ", s / S_PER_DAY); /* fits */
    (void)snprintf(text, BVI_TIME_TEXT_SIZE, "%s%02d:%02d:%02d", days, day_s / 3600,
                   day_s / 60 % 60, day_s % 60); /* fits */
}

int64_t bvi_time_add(int64_t a, int64_t b)
{
    int64_t sum = 0;

    if (__builtin_add_overflow(a, b, &sum))
        return a < 0 ? INT64_MIN : INT64_MAX;
    return sum;
}

int64_t bvi_time_mul(int64_t a, int64_t b)
{
    int64_t product = 0;

    if (__builtin_mul_overflow(a, b, &product))
        return (a < 0) != (b < 0) ? INT64_MIN : INT64_MAX;
    return product;
}
