/*
 * time_parse.h - dates as plugins meet them in answers of their node (spec plugin.md 4.10). Pure;
 * any thread.
 *
 * All give seconds since 1970-01-01 UTC, a fraction dropped, and fail with BV_E_FORMAT. There is
 * always an offset: a local time would mean the host's zone, which has nothing to do with the node.
 */
#ifndef BVI_PLUGIN_TIME_PARSE_H
#define BVI_PLUGIN_TIME_PARSE_H

#include "base/error.h"

int bvi_time_parse_rfc3339(const char *text, int64_t *ret_unix_s, bv_error **err);
int bvi_time_parse_rfc2822(const char *text, int64_t *ret_unix_s, bv_error **err);

/* format in the manner of strftime: %Y %m %d %e %y %j %b %B %h %a %A %H %I %p %P %M %S %f %.f %3f
 * %6f %9f %s %z %:z %#z %Z %T %R %D %F %c %+ %n %t %%. It must contain an offset or %s. White space
 * matches any amount of it. */
int bvi_time_parse_format(const char *text, const char *format, int64_t *ret_unix_s,
                          bv_error **err);

#endif
