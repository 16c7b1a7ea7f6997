/*
 * runner_kill.h - finding the processes of a job: what its runner started, and what an earlier
 * runner left behind.
 *
 * Only the runner uses this. Nothing is recognised by its command line.
 */
#ifndef BVI_JOB_RUNNER_KILL_H
#define BVI_JOB_RUNNER_KILL_H

#include "job/runner_files.h"

/* More processes than a kernel gives ids for in its default setting are not looked at in one go. */
#define BVI_KILL_MAX 65536u

typedef BVI_VEC(bvi_proc_id) bvi_proc_ids;

/* All living descendants of this process. As a child subreaper it has every process of its job
 * among them. */
int bvi_find_descendants(bvi_proc_ids *ids, bv_error **err);

/* Processes of an earlier run: those that carry the job's mark in their environment, the recorded
 * payload, members of its session, and descendants of all these. Never this process, its ancestors,
 * or process 1. */
int bvi_find_leftovers(const bvi_runner_conf *conf, const bvi_runner_state *state,
                       bvi_proc_ids *ids, bv_error **err);

#endif
