/*
 * near.c - edit distances. See near.h.
 */
#include <ctype.h>
#include <stdbool.h>
#include <string.h>

#include "base/near.h"

static unsigned least(unsigned a, unsigned b, unsigned c)
{
    unsigned ab = a < b ? a : b;

    return ab < c ? ab : c;
}

static bool same(char a, char b)
{
    return tolower((unsigned char)a) == tolower((unsigned char)b);
}

unsigned bvi_edit_distance(const char *a, const char *b)
{
    /* Rows of the usual table: entry j of row i is the distance of a's first i letters and b's
     * first j. */
    unsigned row[3][BVI_NEAR_LEN_MAX + 1];
    unsigned *before = row[0];
    unsigned *last = row[1];
    unsigned *now = row[2];
    size_t a_len = strlen(a);
    size_t b_len = strlen(b);

    if (a_len > BVI_NEAR_LEN_MAX || b_len > BVI_NEAR_LEN_MAX)
        return BVI_NEAR_LEN_MAX;
    for (size_t j = 0; j <= b_len; j++)
        last[j] = before[j] = (unsigned)j;
    for (size_t i = 1; i <= a_len; i++) {
        unsigned *oldest = before;

        now[0] = (unsigned)i;
        for (size_t j = 1; j <= b_len; j++) {
            now[j] = least(last[j] + 1, now[j - 1] + 1,
                           last[j - 1] + (same(a[i - 1], b[j - 1]) ? 0 : 1));
            if (i > 1 && j > 1 && same(a[i - 1], b[j - 2]) && same(a[i - 2], b[j - 1]) &&
                before[j - 2] + 1 < now[j])
                now[j] = before[j - 2] + 1;
        }
        before = last;
        last = now;
        now = oldest;
    }
    return last[b_len];
}

/* A third of the letters may be wrong. */
void bvi_near_try(bvi_near *near, const char *name)
{
    unsigned distance = bvi_edit_distance(near->wrong, name);
    size_t len = strlen(name);

    if (distance > len / 3 || (near->best && distance >= near->distance))
        return;
    near->best = name;
    near->distance = distance;
}
