/*
 * schema_place.c - the place of a value as text. See schema_place.h.
 */
#include "plugin/schema_place.h"

int bvi_place_print(const bvi_place *at, bvi_buf *text)
{
    int r;

    if (!at)
        return 0;
    r = bvi_place_print(at->outer, text);
    if (r < 0)
        return r;
    if (!at->key)
        return bvi_buf_printf(text, "[%zu]", at->index);
    return bvi_buf_printf(text, "%s%s", at->outer ? "." : "", at->key);
}

int bvi_place_fail(const bvi_place *at, bv_error **err, const char *fmt, ...)
{
    BVI_AUTO(bvi_buf_done) bvi_buf place = BVI_BUF_INIT(BVI_PLACE_TEXT_MAX);
    bvi_auto_free char *text = NULL;
    va_list args;

    va_start(args, fmt);
    text = bvi_vasprintf(fmt, args);
    va_end(args);
    if (!text || bvi_place_print(at, &place) == BV_E_NOMEM) /* a place that is cut still helps */
        return bvi_fail_nomem(err);
    if (!place.len)
        return bvi_fail(err, BV_E_FORMAT, "%s", text);
    return bvi_fail(err, BV_E_FORMAT, "%s: %s", bvi_buf_str(&place), text);
}
