/*
 * time_parse.c - dates from text by a format. See time_parse.h.
 *
 * RFC 2822 dates are formats as well; composite conversions such as %T are formats inside the
 * format.
 */
#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "base/time.h"
#include "plugin/time_parse.h"

#define NESTING_MAX 3u

typedef struct date {
    int64_t year;
    unsigned month;
    unsigned day;
    unsigned hour;
    unsigned minute;
    unsigned second;
    unsigned day_of_year; /* 0: not given */
    int64_t unix_s;
    int offset_s;
    bool has_offset;
    bool has_unix_s;
    bool has_year;
    bool is_pm;
    bool is_12h;
} date;

static const char *const months[] = { "january",   "february", "march",    "april",
                                      "may",       "june",     "july",     "august",
                                      "september", "october",  "november", "december" };
static const char *const weekdays[] = { "sunday",   "monday", "tuesday", "wednesday",
                                        "thursday", "friday", "saturday" };

static bool take_number(const char **at, unsigned max_digits, int64_t *ret)
{
    int64_t value = 0;
    unsigned n = 0;

    for (; n < max_digits && isdigit((unsigned char)**at); n++, (*at)++)
        value = value * 10 + (**at - '0');
    *ret = value;
    return n > 0;
}

/* A number of at most max_digits in a range. */
static bool take_unsigned(const char **at, unsigned max_digits, unsigned min, unsigned max,
                          unsigned *ret)
{
    int64_t value = 0;

    if (!take_number(at, max_digits, &value) || value < min || value > max)
        return false;
    *ret = (unsigned)value;
    return true;
}

/* A name, whole or its first three letters; its place in the table. */
static bool take_name(const char **at, const char *const *names, size_t count, unsigned *ret)
{
    for (size_t i = 0; i < count; i++) {
        size_t len = strlen(names[i]);

        if (strncasecmp(*at, names[i], len) != 0)
            len = 3;
        if (strncasecmp(*at, names[i], len) == 0) {
            *at += len;
            *ret = (unsigned)i;
            return true;
        }
    }
    return false;
}

static bool take_am_pm(const char **at, date *d)
{
    if (strncasecmp(*at, "am", 2) != 0 && strncasecmp(*at, "pm", 2) != 0)
        return false;
    d->is_pm = tolower((unsigned char)**at) == 'p';
    d->is_12h = true;
    *at += 2;
    return true;
}

/* "+01:00", "-0500", "+01", "Z" */
static bool take_offset(const char **at, date *d)
{
    unsigned hours = 0;
    unsigned minutes = 0;
    int sign = **at == '-' ? -1 : 1;

    d->has_offset = true;
    d->offset_s = 0;
    if (**at == 'Z' || **at == 'z') {
        (*at)++;
        return true;
    }
    if (**at != '+' && **at != '-')
        return false;
    (*at)++;
    if (!take_unsigned(at, 2, 0, 23, &hours))
        return false;
    *at += **at == ':';
    if (isdigit((unsigned char)**at) && !take_unsigned(at, 2, 0, 59, &minutes))
        return false;
    d->offset_s = sign * (int)(hours * 3600 + minutes * 60);
    return true;
}

static bool take_fraction(const char **at)
{
    int64_t ignored;

    return take_number(at, 18, &ignored);
}

static bool skip_word(const char **at)
{
    const char *start = *at;

    while (isalpha((unsigned char)**at))
        (*at)++;
    return *at > start;
}

static bool take_year(const char **at, unsigned digits, date *d)
{
    bool negative = digits == 4 && **at == '-';

    *at += negative;
    d->has_year = true;
    if (!take_number(at, digits, &d->year))
        return false;
    if (digits == 2)
        d->year += d->year < 70 ? 2000 : 1900;
    d->year = negative ? -d->year : d->year;
    return true;
}

static bool take_format(const char **at, const char *format, date *d, unsigned depth);

static bool take_unix_s(const char **at, date *d)
{
    bool negative = **at == '-';

    *at += negative;
    d->has_unix_s = true;
    if (!take_number(at, 15, &d->unix_s))
        return false;
    d->unix_s = negative ? -d->unix_s : d->unix_s;
    return true;
}

/* A name of the table as a number from 1. */
static bool take_month(const char **at, date *d)
{
    if (!take_name(at, months, BVI_COUNT(months), &d->month))
        return false;
    d->month++;
    return true;
}

static bool take_hour12(const char **at, date *d)
{
    d->is_12h = true;
    return take_unsigned(at, 2, 1, 12, &d->hour);
}

static void skip_space(const char **at)
{
    while (isspace((unsigned char)**at))
        (*at)++;
}

/* One conversion, its letter without the '%'. */
static bool take_conversion(const char **at, char letter, date *d, unsigned depth)
{
    unsigned ignored;

    if (strchr("deHIkl", letter))
        skip_space(at); /* numbers may be padded with spaces */
    switch (letter) {
    case 'Y':
        return take_year(at, 4, d);
    case 'y':
        return take_year(at, 2, d);
    case 'm':
        return take_unsigned(at, 2, 1, 12, &d->month);
    case 'd':
    case 'e':
        return take_unsigned(at, 2, 1, 31, &d->day);
    case 'j':
        return take_unsigned(at, 3, 1, 366, &d->day_of_year);
    case 'b':
    case 'B':
    case 'h':
        return take_month(at, d);
    case 'a':
    case 'A':
        return take_name(at, weekdays, BVI_COUNT(weekdays), &ignored);
    case 'H':
    case 'k':
        return take_unsigned(at, 2, 0, 23, &d->hour);
    case 'I':
    case 'l':
        return take_hour12(at, d);
    case 'p':
    case 'P':
        return take_am_pm(at, d);
    case 'M':
        return take_unsigned(at, 2, 0, 59, &d->minute);
    case 'S':
        return take_unsigned(at, 2, 0, 60, &d->second);
    case 'f':
        return take_fraction(at);
    case 's':
        return take_unix_s(at, d);
    case 'z':
        return take_offset(at, d);
    case 'Z':
        return skip_word(at);
    case 'T':
        return take_format(at, "%H:%M:%S", d, depth + 1);
    case 'R':
        return take_format(at, "%H:%M", d, depth + 1);
    case 'D':
        return take_format(at, "%m/%d/%y", d, depth + 1);
    case 'F':
        return take_format(at, "%Y-%m-%d", d, depth + 1);
    case 'c':
        return take_format(at, "%a %b %e %H:%M:%S %Y", d, depth + 1);
    case '+':
        return take_format(at, "%Y-%m-%dT%H:%M:%S%.f%:z", d, depth + 1);
    case 'n':
    case 't':
        skip_space(at);
        return true;
    case '%':
        return *(*at)++ == '%';
    default:
        return false;
    }
}

/* "%.f" is a fraction with its point, or nothing; the other marks between '%' and the letter change
 * nothing here. */
static bool take_marked(const char **at, const char **format, date *d, unsigned depth)
{
    bool optional_fraction = **format == '.';

    while (**format && strchr(".:#-_0369", **format))
        (*format)++;
    if (optional_fraction && **format == 'f') {
        if (**at != '.')
            return true;
        (*at)++;
    }
    return **format && take_conversion(at, **format, d, depth);
}

static bool take_format(const char **at, const char *format, date *d, unsigned depth)
{
    if (depth > NESTING_MAX)
        return false;
    for (; *format; format++) {
        if (isspace((unsigned char)*format)) {
            skip_space(at);
        } else if (*format == '%') {
            format++;
            if (!take_marked(at, &format, d, depth))
                return false;
        } else if (*(*at) != *format) {
            return false;
        } else {
            (*at)++;
        }
    }
    return true;
}

static bool is_leap(int64_t year)
{
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static bool date_exists(const date *d)
{
    static const unsigned days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };

    if (!d->has_year)
        return false;
    if (d->day_of_year)
        return d->day_of_year <= (is_leap(d->year) ? 366u : 365u);
    if (!d->month || !d->day)
        return false;
    return d->day <= days[d->month - 1] + (d->month == 2 && is_leap(d->year));
}

static int to_unix(const char *text, date *d, int64_t *ret_unix_s, bv_error **err)
{
    int64_t days;

    if (d->has_unix_s) {
        *ret_unix_s = d->unix_s;
        return 0;
    }
    if (!d->has_offset)
        return bvi_fail(err, BV_E_FORMAT,
                        "the time '%s' is parsed without an offset from UTC (%%z)", text);
    if (!date_exists(d))
        return bvi_fail(err, BV_E_FORMAT, "'%s' is not a date that exists", text);
    if (d->is_12h)
        d->hour = d->hour % 12 + (d->is_pm ? 12 : 0);
    days = d->day_of_year ? bvi_time_days(d->year, 1, 1) + d->day_of_year - 1
                          : bvi_time_days(d->year, d->month, d->day);
    *ret_unix_s = days * 86400 + d->hour * 3600 + d->minute * 60 + d->second - d->offset_s;
    return 0;
}

int bvi_time_parse_format(const char *text, const char *format, int64_t *ret_unix_s, bv_error **err)
{
    const char *at = text;
    date d = { 0 };

    if (!take_format(&at, format, &d, 0) || *at)
        return bvi_fail(err, BV_E_FORMAT, "'%s' does not match the format '%s'", text, format);
    return to_unix(text, &d, ret_unix_s, err);
}

int bvi_time_parse_rfc3339(const char *text, int64_t *ret_unix_s, bv_error **err)
{
    int64_t us = 0;

    if (bvi_time_parse(text, &us) < 0)
        return bvi_fail(err, BV_E_FORMAT,
                        "'%s' is not an RFC 3339 date such as 2024-01-31T10:00:00Z", text);
    *ret_unix_s = us / BVI_US_PER_S - (us % BVI_US_PER_S < 0);
    return 0;
}

/* The zones RFC 2822 still allows by name. */
static bool take_zone_name(const char **at, date *d)
{
    static const struct {
        const char *name;
        int hours;
    } zones[] = { { "GMT", 0 },  { "UTC", 0 },  { "UT", 0 },   { "EST", -5 },
                  { "EDT", -4 }, { "CST", -6 }, { "CDT", -5 }, { "MST", -7 },
                  { "MDT", -6 }, { "PST", -8 }, { "PDT", -7 } };

    for (size_t i = 0; i < BVI_COUNT(zones); i++) {
        size_t len = strlen(zones[i].name);

        if (strncasecmp(*at, zones[i].name, len) == 0) {
            *at += len;
            d->has_offset = true;
            d->offset_s = zones[i].hours * 3600;
            return true;
        }
    }
    return false;
}

int bvi_time_parse_rfc2822(const char *text, int64_t *ret_unix_s, bv_error **err)
{
    const char *at = text;
    date d = { 0 };
    unsigned weekday;
    bool good;

    skip_space(&at);
    if (take_name(&at, weekdays, BVI_COUNT(weekdays), &weekday) && *at == ',')
        at++;
    good = take_format(&at, " %d %b %Y %H:%M", &d, 0);
    if (good && *at == ':')
        good = take_format(&at, ":%S", &d, 0);
    skip_space(&at);
    good = good && (take_offset(&at, &d) || take_zone_name(&at, &d));
    skip_space(&at);
    if (!good || *at)
        return bvi_fail(err, BV_E_FORMAT,
                        "'%s' is not an RFC 2822 date such as Wed, 31 Jan 2024 10:00:00 +0000",
                        text);
    return to_unix(text, &d, ret_unix_s, err);
}
