/*
 * limits.c - see limits.h.
 */
#include "transfer/limits.h"

const bvi_retry_policy bvi_chunk_retry = {
    .first_ms = 1000,
    .factor_percent = 200,
    .ceiling_ms = 30000,
    .jitter_percent = 25,
    .give_up = 6,
};

/* Answers for which the general rule (4xx: fail, 5xx: again) is wrong. */
static const struct {
    int status;
    bvi_verdict verdict;
} special[] = {
    { 401, BVI_VERDICT_NEW_URL }, { 403, BVI_VERDICT_NEW_URL }, { 408, BVI_VERDICT_AGAIN },
    { 425, BVI_VERDICT_AGAIN },   { 429, BVI_VERDICT_AGAIN },   { 501, BVI_VERDICT_FAIL },
    { 505, BVI_VERDICT_FAIL },
};

static bvi_verdict verdict_of_status(int status)
{
    for (size_t i = 0; i < BVI_COUNT(special); i++) {
        if (special[i].status == status)
            return special[i].verdict;
    }
    return status >= 500 ? BVI_VERDICT_AGAIN : BVI_VERDICT_FAIL;
}

bvi_attempt bvi_attempt_of(const bvi_http_response *response, int code)
{
    bvi_attempt attempt = { .verdict = BVI_VERDICT_FAIL, .retry_after_ms = -1 };

    if (response)
        attempt.retry_after_ms = response->retry_after_ms;
    if (code == BV_E_UNSUPPORTED)
        attempt.verdict = BVI_VERDICT_RESTART; /* the server ignores ranges */
    else if (code == BV_E_CHECKSUM)
        attempt.verdict = BVI_VERDICT_REFETCH;
    else if (response && response->status >= 300)
        attempt.verdict = verdict_of_status(response->status);
    else if (bvi_retry_is_worth(code))
        attempt.verdict = BVI_VERDICT_AGAIN;
    return attempt;
}

uint64_t bvi_slow_bytes_per_s(uint64_t limit)
{
    return limit && limit / 8 < BVI_SLOW_BYTES_PER_S ? limit / 8 : BVI_SLOW_BYTES_PER_S;
}

int bvi_admit(uint32_t max_runners, uint32_t memory_mib, uint64_t bytes_each, const char *what,
              uint32_t *ret_runners, bv_error **err)
{
    uint64_t budget = (uint64_t)(memory_mib ? memory_mib : BV_TRANSFER_MEMORY_MIB_DEFAULT) << 20;
    uint32_t runners = max_runners ? max_runners : BV_TRANSFER_RUNNERS_DEFAULT;

    if (bytes_each > budget)
        return bvi_fail(
            err, BV_E_INVALID,
            "%s needs %llu MiB of memory, but only %llu MiB are allowed; raise the limit", what,
            (unsigned long long)((bytes_each + (1u << 20) - 1) >> 20),
            (unsigned long long)(budget >> 20));
    if (runners > BV_TRANSFER_RUNNERS_MAX)
        runners = BV_TRANSFER_RUNNERS_MAX;
    if (runners > budget / bytes_each)
        runners = (uint32_t)(budget / bytes_each);
    *ret_runners = runners;
    return 0;
}
