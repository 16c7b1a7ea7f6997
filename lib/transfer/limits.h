/*
 * limits.h - numbers shared by downloads and uploads, and the decision what to do after a failed
 * attempt.
 */
#ifndef BVI_TRANSFER_LIMITS_H
#define BVI_TRANSFER_LIMITS_H

#include <blockvisor/transfer.h>

#include "net/backoff.h"
#include "net/http.h"

/* A worker returns to the loop after so many bytes, so that others get their turn and a cancel is
 * seen. */
#define BVI_SLICE_BYTES (8u * 1024u * 1024u)
/* One buffer between network and worker; each HTTP chunk has two. */
#define BVI_NET_BUFFER_BYTES (384u * 1024u)
/* One buffer between file and worker; what was kept of a chunk is read into one of the others. */
#define BVI_FILE_BUFFER_BYTES (256u * 1024u)
/* Finished chunks wait for their sync no longer, and no more of them do. */
#define BVI_SYNC_US    1000000
#define BVI_SYNC_BYTES (256ull * 1024u * 1024u)
/* A URL that was not used for so long is asked for anew. */
#define BVI_URL_FRESH_US (10ll * 60 * 1000000)

/* An attempt that moved less than this got nowhere: it counts as a failure in a row. */
#define BVI_PROGRESS_BYTES (64u * 1024u)
/* A connection that moves less than this is given up for another; less still with a limit of rate.
 */
#define BVI_SLOW_BYTES_PER_S 1024u

/* So many fresh URLs may be refused in a row before it is taken for a refusal of us. */
#define BVI_URL_RENEWALS_MAX 2u

typedef enum bvi_verdict {
    BVI_VERDICT_FAIL,    /* trying again cannot help */
    BVI_VERDICT_AGAIN,   /* after a wait, going on where it was */
    BVI_VERDICT_RESTART, /* after a wait, from the first byte */
    BVI_VERDICT_NEW_URL, /* with another URL */
    BVI_VERDICT_REFETCH, /* the bytes are wrong: once more from the first one, and no more often */
} bvi_verdict;

/* How one attempt ended, besides its error. */
typedef struct bvi_attempt {
    bvi_verdict verdict;
    int64_t retry_after_ms; /* -1: not told */
} bvi_attempt;

/* Of an answer that is not a 2xx, or of none at all (response->status 0 and an error code). */
bvi_attempt bvi_attempt_of(const bvi_http_response *response, int code);

/* The rate below which a connection with such a limit (0: none) is too slow. */
uint64_t bvi_slow_bytes_per_s(uint64_t limit);

extern const bvi_retry_policy bvi_chunk_retry;

/*
 * How many runners fit: at most max_runners (0: the default) and at most memory_mib / each. Fails
 * with BV_E_INVALID, naming what is needed, when not even one does.
 */
int bvi_admit(uint32_t max_runners, uint32_t memory_mib, uint64_t bytes_each, const char *what,
              uint32_t *ret_runners, bv_error **err);

#endif
