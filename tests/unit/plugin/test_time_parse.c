/* Dates as nodes write them. */
#include "bvt.h"
#include "plugin/time_parse.h"

/* format NULL: RFC 3339; "2822": RFC 2822. says NULL: good. */
static const struct {
    const char *text;
    const char *format;
    int64_t unix_s;
    const char *says;
} cases[] = {
    { "1970-01-01T00:00:00Z", NULL, 0, NULL },
    { "2024-01-31T10:00:00+02:00", NULL, 1706688000, NULL },
    { "2024-01-31T10:00:00.999Z", NULL, 1706695200, NULL },
    { "1969-12-31T23:59:59.5Z", NULL, -1, NULL },
    { "2024-01-31", NULL, 0, "RFC 3339" },
    { "2024-02-30T10:00:00Z", NULL, 0, "RFC 3339" },
    { "Wed, 31 Jan 2024 10:00:00 +0000", "2822", 1706695200, NULL },
    { "31 Jan 2024 10:00 GMT", "2822", 1706695200, NULL },
    { "  Wed,  31 Jan 2024 10:00:00 EST ", "2822", 1706713200, NULL },
    { "Wed, 31 Jan 2024 10:00:00", "2822", 0, "RFC 2822" },
    { "Wed, 32 Jan 2024 10:00:00 +0000", "2822", 0, "RFC 2822" },
    { "2024-01-31 10:00:00 +0000", "%Y-%m-%d %H:%M:%S %z", 1706695200, NULL },
    { "2024-01-31 10:00:00 -01:30", "%F %T %:z", 1706700600, NULL },
    { "2024-01-31T10:00:00.123456789+00:00", "%+", 1706695200, NULL },
    { "2024-01-31T10:00:00+00:00", "%+", 1706695200, NULL },
    { "31/January/24 01:05:00 pm Z", "%d/%B/%y %I:%M:%S %p %z", 1706706300, NULL },
    { "12:00 am Jan 1 1970 +00", "%I:%M %P %b %e %Y %z", 0, NULL },
    { "1706695200", "%s", 1706695200, NULL },
    { "2024 366 00:00:00 Z", "%Y %j %T %z", 1735603200, NULL },
    { "2023 366 00:00:00 Z", "%Y %j %T %z", 0, "not a date" },
    { "100% 1970-01-01 00:00 +0000", "100%% %F %R %z", 0, NULL },
    { "2024-01-31 10:00:00", "%F %T", 0, "without an offset" },
    { "2023-02-29 10:00:00 Z", "%F %T %z", 0, "not a date" },
    { "2024-01-31 10:00:00 Z x", "%F %T %z", 0, "does not match" },
    { "2024-01-31 10:61:00 Z", "%F %T %z", 0, "does not match" },
    { "2024-01-31 10:00:00 Z", "%F %T %z%", 0, "does not match" },
    { "2024-01-31 10:00:00 Z", "%F %T %q", 0, "does not match" },
    { "10:00:00 Z", "%T %z", 0, "not a date" },
};

START_TEST(parses_or_explains)
{
    bv_error *err = NULL;
    int64_t unix_s = 0;
    int r;

    if (!cases[_i].format)
        r = bvi_time_parse_rfc3339(cases[_i].text, &unix_s, &err);
    else if (strcmp(cases[_i].format, "2822") == 0)
        r = bvi_time_parse_rfc2822(cases[_i].text, &unix_s, &err);
    else
        r = bvi_time_parse_format(cases[_i].text, cases[_i].format, &unix_s, &err);
    if (!cases[_i].says) {
        bvt_assert_ok(r, err);
        ck_assert_int_eq(unix_s, cases[_i].unix_s);
    } else {
        bvt_assert_error_says(err, BV_E_FORMAT, cases[_i].says);
        bv_error_free(err);
    }
}
END_TEST

BVT_MAIN("plugin/time_parse", bvt_loop(parses_or_explains, cases))
