/*
 * babel_transfer.c - the work of a download or upload job; see blockvisor/guest.h.
 */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "guest_main.h"

/* Where libcurl looks by itself. */
#define SYSTEM_CERTIFICATES "/etc/ssl/certs/ca-certificates.crt"

/* A node may come without certificates; the bundle, of which this program is bin/babel_transfer,
 * has some. */
static void find_certificates(const char *program)
{
    const char *slash = strrchr(program, '/');
    char path[PATH_MAX];

    if (!slash || access(SYSTEM_CERTIFICATES, R_OK) == 0)
        return;
    if (snprintf(path, sizeof(path), "%.*s/../etc/ca-certificates.crt", (int)(slash - program),
                 program) < (int)sizeof(path) &&
        access(path, R_OK) == 0)
        setenv("SSL_CERT_FILE", path, 0);
}

int main(int argc, char **argv)
{
    find_certificates(argv[0]);
    return guest_main(argc, argv, "babel_transfer", bv_guest_transfer_main);
}
