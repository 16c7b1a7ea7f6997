/* How fast BLAKE3 is, with each SIMD variant this processor has and without. */
#include <stdio.h>
#include <time.h>

#include "base/blake3.h"

#define BUFFER_BYTES (4u * 1024u * 1024u) /* about what a chunk is read in */
#define ROUNDS       128u

static double seconds(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now); /* cannot fail */
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static void measure(const char *what, uint8_t max_lanes)
{
    static uint8_t buffer[BUFFER_BYTES];
    uint8_t digest[BVI_BLAKE3_SIZE];
    double start = seconds();
    bvi_blake3 h;

    bvi_blake3_init(&h);
    h.max_lanes = max_lanes;
    for (unsigned i = 0; i < ROUNDS; i++)
        bvi_blake3_update(&h, buffer, sizeof(buffer));
    bvi_blake3_final(&h, digest);
    printf("%-22s %6.2f GB/s\n", what, (double)BUFFER_BYTES * ROUNDS / (seconds() - start) / 1e9);
}

int main(void)
{
    measure("widest", 0);
    measure("at most 8 lanes", 8);
    measure("at most 4 lanes", 4);
    measure("portable", 1);
    return 0;
}
