/*
 * job_status.h - what became of a job: status.json and progress.json (babel.md 6.5, 6.6), and their
 * texts for people.
 *
 * While a runner lives, only it writes status.json (the final one); otherwise only the manager
 * does. Reading accepts upstream's form; writing adds "time" (milliseconds since 1970), and unknown
 * fields are kept.
 */
#ifndef BVI_JOB_JOB_STATUS_H
#define BVI_JOB_JOB_STATUS_H

#include "base/json.h"
#include "base/vec.h"

#define BVI_JOB_STATUS_FILE_MAX   (64u * 1024u)
#define BVI_JOB_PROGRESS_FILE_MAX (16u * 1024u)
#define BVI_JOB_MESSAGE_MAX       4096u
#define BVI_JOB_WAITING_MAX       256u

typedef enum bvi_job_state {
    BVI_JOB_PENDING,
    BVI_JOB_RUNNING,
    BVI_JOB_FINISHED,
    BVI_JOB_STOPPED,
} bvi_job_state;

typedef struct bvi_job_status {
    bvi_job_state state;
    bvi_strv waiting_for; /* pending */
    bool has_exit_code;   /* finished; false is null */
    int32_t exit_code;
    char *message;   /* finished; NULL is "" */
    int64_t time_ms; /* of the change; 0: not known */
} bvi_job_status;

#define BVI_JOB_STATUS_INIT                                                                        \
    {                                                                                              \
        .state = BVI_JOB_STOPPED, .waiting_for = BVI_VEC_INIT(BVI_JOB_WAITING_MAX)                 \
    }

void bvi_job_status_done(bvi_job_status *status);

/* The document: parse into a status in its initial state; make the wire form ("running",
 * {"finished": ...}). */
int bvi_job_status_parse(const bvi_json *root, bvi_job_status *status, bv_error **err);
int bvi_job_status_to_json(const bvi_job_status *status, bvi_json **ret_root, bv_error **err);

/* The file. Load takes the file's time of change when the document has none. BV_E_NOT_FOUND: there
 * is no file. */
int bvi_job_status_load(const char *path, bvi_job_status *status, bv_error **err);
int bvi_job_status_save(const char *path, const bvi_job_status *status, bv_error **err);

/* Final and successful. */
bool bvi_job_status_succeeded(const bvi_job_status *status);

/* "Finished with exit code 1 and message `..`" and so on (plugin.md 4.3). NULL: no memory. */
char *bvi_job_status_text(const bvi_job_status *status);

typedef struct bvi_job_progress {
    uint32_t total;
    uint32_t current;
    char *message;
    /* What transfers tell besides; bytes_total 0: nothing. */
    uint64_t bytes_total;
    uint64_t bytes_done;
    uint64_t rate; /* bytes a second */
    int64_t eta_ms;
} bvi_job_progress;

int bvi_job_progress_load(const char *path, bvi_job_progress *ret_progress, bv_error **err);
int bvi_job_progress_parse(const bvi_json *root, bvi_job_progress *ret_progress, bv_error **err);
void bvi_job_progress_done(bvi_job_progress *progress);
int bvi_job_progress_to_json(const bvi_job_progress *progress, bvi_json **ret_root, bv_error **err);
char *bvi_job_progress_text(const bvi_job_progress *progress); /* "33.33% (1/3 chunks)" */

/* The same two texts from the documents of a job info (6.7); for `bv`. */
char *bvi_job_status_json_text(const bvi_json *status);
char *bvi_job_progress_json_text(const bvi_json *progress);

#endif
