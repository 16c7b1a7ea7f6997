/*
 * bvt.h - what every unit test uses on top of libcheck. See CONTRIBUTING.md for how to add a test.
 *
 *     START_TEST(loads) { ... } END_TEST
 *     BVT_MAIN("job/job_status", bvt_loop(loads_or_explains, cases), bvt_test(loads))
 *
 * Each test runs in its own process and its own directory, and fails when it leaves memory from the
 * library's allocator behind. Results are TAP on standard output. Environment: CK_FORK=no runs all
 * tests in one process, for a debugger; CK_RUN_CASE=<test> runs one; BVT_KEEP=1 keeps the
 * directories.
 */
#ifndef BVT_H
#define BVT_H

#include <check.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <blockvisor/ctx.h>
#include <blockvisor/error.h>
#include <blockvisor/memory.h>

/* ---- main ---- */

typedef struct bvt_entry {
    const TTest *test;
    size_t count; /* how often it runs, with _i from 0 */
} bvt_entry;

#define bvt_test(fn)                                                                               \
    {                                                                                              \
        fn, 1                                                                                      \
    }
#define bvt_loop(fn, array)                                                                        \
    {                                                                                              \
        fn, sizeof(array) / sizeof((array)[0])                                                     \
    }
#define bvt_times(fn, n)                                                                           \
    {                                                                                              \
        fn, (n)                                                                                    \
    }

#define BVT_MAIN(name, ...)                                                                        \
    int main(void)                                                                                 \
    {                                                                                              \
        const bvt_entry bvt_entries_[] = { __VA_ARGS__ };                                          \
                                                                                                   \
        return bvt_run(name, bvt_entries_, sizeof(bvt_entries_) / sizeof(bvt_entries_[0]));        \
    }

int bvt_run(const char *name, const bvt_entry *entries, size_t count);

/* Ends a test, from its own function, as skipped; the reason goes into the results and to standard
 * error. */
#define bvt_skip(...)                                                                              \
    do {                                                                                           \
        bvt_note_skip(__func__, _i, __VA_ARGS__);                                                  \
        return;                                                                                    \
    } while (0)
void bvt_note_skip(const char *function, int i, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* ---- files: in the test's own directory, which goes away with the test; so do all strings
 * returned here ---- */

const char *bvt_dir(void);
const char *bvt_path(const char *fmt, ...)
    __attribute__((format(printf, 1, 2))); /* inside the directory */
const char *bvt_write_file(const char *name, const char *text);
const char *bvt_write_bytes(const char *name, const void *bytes, size_t len);
char *bvt_read_file(const char *path, size_t *ret_len); /* zero-terminated; ret_len may be NULL */
bool bvt_exists(const char *path);
const char *bvt_format(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* ---- errors ---- */

/* The error has the code and its whole story contains the text. Code 0: there is no error. */
#define bvt_assert_error_says(err, code, text)                                                     \
    bvt_check_error((err), (code), (text), __FILE__, __LINE__)
void bvt_check_error(const bv_error *err, int code, const char *text, const char *file, int line);

/* The call worked; if not, the test fails with the error's story. */
#define bvt_assert_ok(call, err) bvt_check_ok((call), (err), #call, __FILE__, __LINE__)
void bvt_check_ok(int r, const bv_error *err, const char *call, const char *file, int line);

/* ---- memory ---- */

/*
 * Runs its body again and again; in the n-th round the n-th allocation of the body fails (cJSON's
 * included), until a round needs fewer. After each round as many blocks must be in use as before
 * it. Do not leave the body by break.
 */
#define bvt_for_each_failed_allocation(n)                                                          \
    for (size_t n = 1; bvt_next_failure(n, __FILE__, __LINE__); n++)
bool bvt_next_failure(size_t n, const char *file, int line);

/* Makes the n-th allocation from now fail (1: the next); 0 takes that back. */
void bvt_fail_allocation(size_t n);
size_t bvt_live_blocks(void); /* blocks in use now */
size_t bvt_live_bytes(void);  /* bytes in use now */
size_t bvt_peak_bytes(void);  /* most bytes in use since bvt_reset_peak() */
void bvt_reset_peak(void);

/* ---- time: a clock whose hands the test turns ---- */

typedef struct bvt_clock {
    int64_t monotonic_us;
    int64_t wall_us;
    bv_clock clock; /* give its address to bv_ctx_opts.clock */
} bvt_clock;

void bvt_clock_init(bvt_clock *clock);                /* monotonic 1 s, wall 2024-01-01T00:00:00Z */
void bvt_clock_advance(bvt_clock *clock, int64_t us); /* both hands */

/* ---- log ---- */

/* A bv_log_fn that keeps what was logged ("warn module: message" lines) in a bvt_log. */
typedef struct bvt_log {
    char text[16384];
    size_t len;
    unsigned counts[BV_LOG_TRACE + 1];
} bvt_log;

void bvt_log_sink(void *log, const bv_log_record *rec);

#endif
