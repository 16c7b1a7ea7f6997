/*
 * version.c - which version of the library is loaded. BVI_VERSION comes from the build, the number
 * in the header does not: the build compares the two.
 */
#include <blockvisor/export.h>

const char *bv_version(void)
{
    return BVI_VERSION;
}
