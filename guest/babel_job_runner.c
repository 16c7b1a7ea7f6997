/*
 * babel_job_runner.c - the program of lib/job/job_runner.h; its memory is static, so an idle one
 * costs little.
 */
#include "job/job_runner.h"

int main(int argc, char **argv)
{
    static bvi_job_runner runner;

    return bvi_job_runner_main(&runner, argc, argv);
}
