/*
 * sequence.h - the built-in init and upload: lists of actions, made by planners and carried out one
 * by one.
 *
 * A planner is a pure function that appends actions. When they are used up the next planner, if one
 * was named, goes on from what was learned (is there protocol data? an archive?). A failing action
 * ends the sequence; a planner named for that case may append what has to be put right first. Run
 * by run.c, started by the phases and by default_init() and default_upload() of a script.
 */
#ifndef BVI_PLUGIN_SEQUENCE_H
#define BVI_PLUGIN_SEQUENCE_H

#include "plugin/internal.h"

/* Actions of one sequence. */
#define BVI_SEQUENCE_MAX 20000u

typedef enum bvi_action_kind {
    BVI_ACTION_STOP_ALL,
    BVI_ACTION_STOP_JOB,
    BVI_ACTION_CREATE_JOB,
    BVI_ACTION_START_JOB,
    BVI_ACTION_RENDER,
    BVI_ACTION_COMMAND,
    BVI_ACTION_ADD_TASK,
    BVI_ACTION_ASK_STAMP,
    BVI_ACTION_ASK_ARCHIVE,
} bvi_action_kind;

typedef struct bvi_action {
    bvi_action_kind kind;
    char *name;    /* job or command; else NULL */
    bvi_json *doc; /* job's configuration, config file or task; else NULL */
} bvi_action;

/* Appends actions and may name what comes after them. */
typedef int (*bvi_plan_fn)(bvi_sequence *seq, bv_error **err);

struct bvi_sequence {
    bvi_json *config; /* own copy */
    BVI_VEC(bvi_action) actions;
    size_t at;          /* the next one to begin */
    bvi_plan_fn plan;   /* when the actions are used up; NULL: complete */
    bvi_plan_fn repair; /* after a failure; NULL: nothing */
    bvi_strv stage;     /* jobs the next stage has to wait for */
    bool has_data;      /* answers: protocol data was used before */
    bool has_archive;
    bv_error *failure; /* the first one */
};

/* BV_E_STATE "Missing plugin_config function" for a NULL config, which is copied. */
int bvi_sequence_new(const bvi_json *config, bvi_plan_fn plan, bvi_sequence **ret_seq,
                     bv_error **err);
void bvi_sequence_free(bvi_sequence *seq);
BVI_DEFINE_FREEP(bvi_sequence, bvi_sequence_free)
/* Goes on with run->sequence: a phase result, or the failure. */
int bvi_sequence_drive(bvi_run *run, bv_error **err);

/* For planners. add takes doc over, also on failure. */
int bvi_sequence_add(bvi_sequence *seq, bvi_action_kind kind, const char *name, bvi_json *doc,
                     bv_error **err);
int bvi_sequence_add_job(bvi_sequence *seq, const char *name, bvi_json *config,
                         bv_error **err); /* create, start */
/* Commands and jobs of an Actions entry; and a list of jobs that need the present stage. Both move
 * the stage on to what they started, unless that is nothing. */
int bvi_sequence_add_actions(bvi_sequence *seq, const bvi_json *actions, bv_error **err);
int bvi_sequence_add_jobs(bvi_sequence *seq, const bvi_json *jobs, bv_error **err);
int bvi_sequence_set_stage(bvi_sequence *seq, const char *name, bv_error **err);

/* The planners to start with (default_init.c, default_upload.c). */
int bvi_plan_init(bvi_sequence *seq, bv_error **err);
int bvi_plan_upload(bvi_sequence *seq, bv_error **err);

#endif
