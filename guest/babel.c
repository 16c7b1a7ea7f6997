/*
 * babel.c - the agent inside a node; see blockvisor/guest.h.
 */
#include <stdio.h>
#include <string.h>

#include "guest_main.h"

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--version") == 0) {
        printf("babel %s\n", bv_version());
        return 0;
    }
    return guest_main(argc, argv, "babel", bv_guest_agent_main);
}
