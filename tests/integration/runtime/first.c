/*
 * first.c - a stand-in for the first process of containers: `--self-test` ends with 0, anything
 * else with 1.
 *
 * Linked statically, because the self-test's container has nothing in it but this program.
 */
#include <string.h>

int main(int argc, char **argv)
{
    return argc == 2 && strcmp(argv[1], "--self-test") == 0 ? 0 : 1;
}
