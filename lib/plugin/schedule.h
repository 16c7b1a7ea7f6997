/*
 * schedule.h - when a scheduled task is due: cron expressions of six or seven fields. Pure; any
 * thread.
 *
 * "sec min hour day-of-month month day-of-week [year]" as in spec plugin.md 9: lists, ranges,
 * steps, names, "?" in the two day fields, Sunday = 1, both day fields must match, and the
 * shortcuts @yearly @monthly @weekly @daily @hourly. Times are local times of the host; one skipped
 * by a clock change does not occur.
 */
#ifndef BVI_PLUGIN_SCHEDULE_H
#define BVI_PLUGIN_SCHEDULE_H

#include "base/error.h"

#define BVI_SCHEDULE_TEXT_MAX 512u
#define BVI_SCHEDULE_YEAR_MIN 1970
#define BVI_SCHEDULE_YEAR_MAX 2100

/* A parsed expression: one bit for each value. No memory of its own. */
typedef struct bvi_schedule {
    uint64_t seconds;
    uint64_t minutes;
    uint32_t hours;
    uint32_t days;     /* bit 1 .. 31 */
    uint32_t months;   /* bit 1 .. 12 */
    uint32_t weekdays; /* bit 1 (Sunday) .. 7 */
    uint8_t years[(BVI_SCHEDULE_YEAR_MAX - BVI_SCHEDULE_YEAR_MIN + 8) / 8];
} bvi_schedule;

/* BV_E_INVALID with a message that names the field and the value. */
int bvi_schedule_parse(const char *text, bvi_schedule *ret_schedule, bv_error **err);

/* The first occurrence strictly after a moment, both in microseconds since 1970 UTC.
 * BV_E_NOT_FOUND: there is none. */
int bvi_schedule_after(const bvi_schedule *schedule, int64_t after_wall_us, int64_t *ret_wall_us,
                       bv_error **err);

/* Both in one. */
int bvi_schedule_next(const char *text, int64_t after_wall_us, int64_t *ret_wall_us,
                      bv_error **err);

#endif
