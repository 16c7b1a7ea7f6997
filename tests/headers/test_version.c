/* The built library, used as a program uses it: only installed headers, only exported symbols. */
#include <stdio.h>
#include <string.h>

#include <blockvisor/error.h>
#include <blockvisor/memory.h>

int main(void)
{
    char version[32];

    (void)snprintf(version, sizeof(version), "%d.%d.%d", BV_VERSION_NUMBER / 1000000,
                   BV_VERSION_NUMBER / 1000 % 1000, BV_VERSION_NUMBER % 1000); /* fits */
    if (strcmp(bv_version(), version) != 0) {
        fprintf(stderr, "the library is %s, the headers are %s\n", bv_version(), version);
        return 1;
    }
    bv_free(NULL);
    return strcmp(bv_code_name(BV_E_BUSY), "busy") == 0 ? 0 : 1;
}
