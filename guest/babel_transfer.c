/*
 * babel_transfer.c - the work of a download or upload job; see blockvisor/guest.h.
 */
#include "guest_main.h"

int main(int argc, char **argv)
{
    return guest_main(argc, argv, "babel_transfer", bv_guest_transfer_main);
}
