/*
 * schedule.c - cron expressions with seconds: parsing into bit sets, and finding the next moment.
 * See schedule.h.
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "plugin/schedule.h"

#define US_PER_S 1000000
/* A day that has no match is left in one step, so this covers all years with room to spare. */
#define STEPS_MAX 200000u
#define WORD_MAX  16u

typedef struct word {
    const char *text;
    unsigned value;
} word;

static const word month_words[] = {
    { "jan", 1 },       { "january", 1 },   { "feb", 2 },       { "february", 2 }, { "mar", 3 },
    { "march", 3 },     { "apr", 4 },       { "april", 4 },     { "may", 5 },      { "jun", 6 },
    { "june", 6 },      { "jul", 7 },       { "july", 7 },      { "aug", 8 },      { "august", 8 },
    { "sep", 9 },       { "september", 9 }, { "oct", 10 },      { "october", 10 }, { "nov", 11 },
    { "november", 11 }, { "dec", 12 },      { "december", 12 }, { NULL },
};
static const word day_words[] = {
    { "sun", 1 },      { "sunday", 1 },   { "mon", 2 }, { "monday", 2 },    { "tue", 3 },
    { "tues", 3 },     { "tuesday", 3 },  { "wed", 4 }, { "wednesday", 4 }, { "thu", 5 },
    { "thurs", 5 },    { "thursday", 5 }, { "fri", 6 }, { "friday", 6 },    { "sat", 7 },
    { "saturday", 7 }, { NULL },
};

typedef struct field {
    const char *name;
    unsigned min;
    unsigned max;
    const word *words; /* NULL: numbers only */
    const char *what;  /* "month name", for unknown words */
    bool question;     /* "?" is "*" */
} field;

enum { SECONDS, MINUTES, HOURS, DAYS, MONTHS, WEEKDAYS, YEARS, FIELDS };

static const field fields[FIELDS] = {
    [SECONDS] = { "Seconds", 0, 59, NULL, NULL, false },
    [MINUTES] = { "Minutes", 0, 59, NULL, NULL, false },
    [HOURS] = { "Hours", 0, 23, NULL, NULL, false },
    [DAYS] = { "Days of Month", 1, 31, NULL, NULL, true },
    [MONTHS] = { "Months", 1, 12, month_words, "month name", false },
    [WEEKDAYS] = { "Days of Week", 1, 7, day_words, "day of the week", true },
    [YEARS] = { "Years", BVI_SCHEDULE_YEAR_MIN, BVI_SCHEDULE_YEAR_MAX, NULL, NULL, false },
};

static const struct {
    const char *name;
    const char *text;
} shortcuts[] = {
    { "@yearly", "0 0 0 1 1 * *" }, { "@monthly", "0 0 0 1 * * *" }, { "@weekly", "0 0 0 * * 1 *" },
    { "@daily", "0 0 0 * * * *" },  { "@hourly", "0 0 * * * * *" },
};

/* ---- parsing ---- */

/* While parsing every field is a plain array, so that one piece of code serves all. */
typedef struct set {
    bool has[BVI_SCHEDULE_YEAR_MAX + 1];
} set;

static int check_range(const field *f, unsigned value, bv_error **err)
{
    if (value < f->min)
        return bvi_fail(err, BV_E_INVALID,
                        "%s must be greater than or equal to %u. ('%u' specified.)", f->name,
                        f->min, value);
    if (value > f->max)
        return bvi_fail(err, BV_E_INVALID, "%s must be less than %u. ('%u' specified.)", f->name,
                        f->max, value); /* the largest is allowed: so say plugins' users know it */
    return 0;
}

static int parse_number(const field *f, const char **at, unsigned *ret_value, bv_error **err)
{
    unsigned value = 0;

    if (!isdigit((unsigned char)**at))
        return bvi_fail(err, BV_E_INVALID, "%s: a number is missing at '%s'", f->name, *at);
    for (; isdigit((unsigned char)**at); (*at)++) {
        value = value * 10 + (unsigned)(**at - '0');
        if (value > 100000)
            return bvi_fail(err, BV_E_INVALID, "%s: the number is too large", f->name);
    }
    *ret_value = value;
    return 0;
}

static int parse_word(const field *f, const char **at, unsigned *ret_value, bv_error **err)
{
    char text[WORD_MAX] = "";
    size_t len = 0;

    for (; isalpha((unsigned char)**at); (*at)++) {
        if (len + 1 < sizeof(text))
            text[len++] = **at;
    }
    for (const word *w = f->words; w && w->text; w++) {
        if (strcasecmp(w->text, text) == 0) {
            *ret_value = w->value;
            return 0;
        }
    }
    if (f->words)
        return bvi_fail(err, BV_E_INVALID, "'%s' is not a valid %s.", text, f->what);
    return bvi_fail(err, BV_E_INVALID, "%s: '%s' is not a number", f->name, text);
}

static int parse_value(const field *f, const char **at, unsigned *ret_value, bv_error **err)
{
    int r;

    if (isalpha((unsigned char)**at))
        return parse_word(f, at, ret_value, err);
    r = parse_number(f, at, ret_value, err);
    return r < 0 ? r : check_range(f, *ret_value, err);
}

/* "*", "?", "5" or "5-9". A single value reports no end of its own. */
static int parse_span(const field *f, const char **at, unsigned *ret_from, unsigned *ret_to,
                      bool *ret_single, bv_error **err)
{
    int r;

    *ret_single = false;
    if (**at == '*' || (**at == '?' && f->question)) {
        (*at)++;
        *ret_from = f->min;
        *ret_to = f->max;
        return 0;
    }
    r = parse_value(f, at, ret_from, err);
    if (r < 0)
        return r;
    *ret_to = *ret_from;
    *ret_single = **at != '-';
    if (*ret_single)
        return 0;
    (*at)++;
    r = parse_value(f, at, ret_to, err);
    if (r < 0)
        return r;
    if (*ret_to < *ret_from)
        return bvi_fail(err, BV_E_INVALID, "%s: the range %u-%u is reversed", f->name, *ret_from,
                        *ret_to);
    return 0;
}

static int parse_item(const field *f, const char **at, set *values, bv_error **err)
{
    unsigned from = 0;
    unsigned to = 0;
    unsigned step = 1;
    bool single = false;
    int r;

    r = parse_span(f, at, &from, &to, &single, err);
    if (r < 0)
        return r;
    if (**at == '/') {
        (*at)++;
        r = parse_number(f, at, &step, err);
        if (r < 0)
            return r;
        if (step == 0)
            return bvi_fail(err, BV_E_INVALID, "%s: range step cannot be zero", f->name);
        if (step > f->max)
            return bvi_fail(err, BV_E_INVALID, "%s: range step must be at most %u", f->name,
                            f->max);
        if (single)
            to = f->max;
    }
    for (unsigned v = from; v <= to; v += step)
        values->has[v] = true;
    return 0;
}

static int parse_field(const field *f, const char *text, set *values, bv_error **err)
{
    const char *at = text;
    int r;

    memset(values, 0, sizeof(*values));
    for (;;) {
        r = parse_item(f, &at, values, err);
        if (r < 0)
            return r;
        if (!*at)
            return 0;
        if (*at++ != ',')
            return bvi_fail(err, BV_E_INVALID, "%s: '%s' is not understood", f->name, text);
    }
}

static void store(bvi_schedule *s, int which, const set *values)
{
    const field *f = &fields[which];

    for (unsigned v = f->min; v <= f->max; v++) {
        if (!values->has[v])
            continue;
        switch (which) {
        case SECONDS:
            s->seconds |= UINT64_C(1) << v;
            break;
        case MINUTES:
            s->minutes |= UINT64_C(1) << v;
            break;
        case HOURS:
            s->hours |= UINT32_C(1) << v;
            break;
        case DAYS:
            s->days |= UINT32_C(1) << v;
            break;
        case MONTHS:
            s->months |= UINT32_C(1) << v;
            break;
        case WEEKDAYS:
            s->weekdays |= UINT32_C(1) << v;
            break;
        default:
            s->years[(v - f->min) / 8] |= (uint8_t)(1u << (v - f->min) % 8);
        }
    }
}

static const char *expand_shortcut(const char *text)
{
    for (size_t i = 0; i < BVI_COUNT(shortcuts); i++) {
        if (strcmp(shortcuts[i].name, text) == 0)
            return shortcuts[i].text;
    }
    return text;
}

static int split(char *text, const char *words[FIELDS], bv_error **err)
{
    char *rest = NULL;
    int n = 0;

    for (char *w = strtok_r(text, " \t", &rest); w; w = strtok_r(NULL, " \t", &rest)) {
        if (n >= FIELDS)
            return bvi_fail(err, BV_E_INVALID, "more than 7 fields");
        words[n++] = w;
    }
    if (n == FIELDS - 1)
        words[n++] = "*";
    if (n < FIELDS)
        return bvi_fail(err, BV_E_INVALID,
                        "%d fields; write 'sec min hour day-of-month month day-of-week [year]'", n);
    return 0;
}

int bvi_schedule_parse(const char *text, bvi_schedule *ret_schedule, bv_error **err)
{
    bvi_schedule schedule = { 0 };
    const char *words[FIELDS] = { NULL };
    char copy[BVI_SCHEDULE_TEXT_MAX];
    size_t len = strlen(expand_shortcut(text));
    set values;
    int r;

    if (len >= sizeof(copy))
        return bvi_fail(err, BV_E_INVALID, "schedule longer than %zu characters", sizeof(copy) - 1);
    memcpy(copy, expand_shortcut(text), len + 1);
    r = split(copy, words, err);
    if (r < 0)
        return bvi_wrap(err, r, "schedule '%s'", text);
    for (int i = 0; i < FIELDS; i++) {
        r = parse_field(&fields[i], words[i], &values, err);
        if (r < 0)
            return bvi_wrap(err, r, "schedule '%s'", text);
        store(&schedule, i, &values);
    }
    *ret_schedule = schedule;
    return 0;
}

/* ---- the next moment: walks real instants, so clock changes need no thought ---- */

static bool has_year(const bvi_schedule *s, int year)
{
    unsigned i = (unsigned)(year - BVI_SCHEDULE_YEAR_MIN);

    return s->years[i / 8] >> i % 8 & 1;
}

/* Midnight at the start of a later day, month or year; at least an hour on, should midnight not
 * exist. */
static time_t jump(time_t t, struct tm to)
{
    time_t there;

    to.tm_hour = to.tm_min = to.tm_sec = 0;
    to.tm_isdst = -1;
    there = mktime(&to);
    return there > t ? there : t + 3600;
}

/* The earliest instant after t that might match, given what does not match at t; t itself for a
 * match. */
static time_t advance(const bvi_schedule *s, time_t t, struct tm tm)
{
    if (!has_year(s, tm.tm_year + 1900)) {
        tm.tm_year++;
        tm.tm_mon = 0;
        tm.tm_mday = 1;
        return jump(t, tm);
    }
    if (!(s->months >> (tm.tm_mon + 1) & 1)) {
        tm.tm_mon++;
        tm.tm_mday = 1;
        return jump(t, tm);
    }
    if (!(s->days >> tm.tm_mday & 1) || !(s->weekdays >> (tm.tm_wday + 1) & 1)) {
        tm.tm_mday++;
        return jump(t, tm);
    }
    if (!(s->hours >> tm.tm_hour & 1))
        return t + 3600 - (tm.tm_min * 60 + tm.tm_sec);
    if (!(s->minutes >> tm.tm_min & 1))
        return t + 60 - tm.tm_sec;
    return s->seconds >> tm.tm_sec & 1 ? t : t + 1;
}

int bvi_schedule_after(const bvi_schedule *schedule, int64_t after_wall_us, int64_t *ret_wall_us,
                       bv_error **err)
{
    time_t t = (time_t)(after_wall_us / US_PER_S) + 1;

    if (after_wall_us < 0)
        t = 0; /* nothing is scheduled before 1970 */
    for (unsigned i = 0; i < STEPS_MAX; i++) {
        struct tm tm;
        time_t next;

        if (!localtime_r(&t, &tm) || tm.tm_year + 1900 > BVI_SCHEDULE_YEAR_MAX)
            break;
        next = tm.tm_year + 1900 < BVI_SCHEDULE_YEAR_MIN ? t + 3600 : advance(schedule, t, tm);
        if (next == t) {
            *ret_wall_us = (int64_t)t * US_PER_S;
            return 0;
        }
        t = next;
    }
    return bvi_fail(err, BV_E_NOT_FOUND, "the schedule has no further occurrence");
}

int bvi_schedule_next(const char *text, int64_t after_wall_us, int64_t *ret_wall_us, bv_error **err)
{
    bvi_schedule schedule;
    int r;

    r = bvi_schedule_parse(text, &schedule, err);
    return r < 0 ? r : bvi_schedule_after(&schedule, after_wall_us, ret_wall_us, err);
}
