/*
 * time.h - moments as RFC 3339 text, uptimes, and sums of durations that cannot wrap.
 *
 * Moments are microseconds since 1970-01-01 UTC, as bv_clock.wall_us gives them. Reading the clock
 * is the context's business (io/loop.h).
 */
#ifndef BVI_BASE_TIME_H
#define BVI_BASE_TIME_H

#include "base/mem.h"

#define BVI_US_PER_MS INT64_C(1000)
#define BVI_US_PER_S  INT64_C(1000000)

/* "2024-01-31T10:00:00.250000Z" and its zero, with room to spare. */
#define BVI_TIME_TEXT_SIZE 40u

/* UTC, with no, three or six digits of fraction as needed. Moments outside the years 0 to 9999
 * print as their end. */
void bvi_time_format(int64_t wall_us, char text[BVI_TIME_TEXT_SIZE]);
/* Any offset; digits beyond microseconds are dropped. BV_E_FORMAT for anything else. */
int bvi_time_parse(const char *text, int64_t *ret_wall_us);
/* Days since 1970-01-01 of a date in the Gregorian calendar, and back. */
int64_t bvi_time_days(int64_t year, unsigned month, unsigned day);
void bvi_time_date(int64_t days, int64_t *ret_year, unsigned *ret_month, unsigned *ret_day);

/* "[<D>d ]HH:MM:SS"; negative counts as zero. */
void bvi_time_uptime(int64_t seconds, char text[BVI_TIME_TEXT_SIZE]);

/* These stop at INT64_MIN and INT64_MAX instead of wrapping. */
int64_t bvi_time_add(int64_t a, int64_t b);
int64_t bvi_time_mul(int64_t a, int64_t b);

#endif
