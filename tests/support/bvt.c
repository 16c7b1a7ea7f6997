/*
 * bvt.c - the tests' main function, temporary directories, failing allocator, clock and log.
 *
 * Tests are programs that end soon, so this file may keep state in globals and give up by failing
 * the test.
 */
#include <cjson/cJSON.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bvt.h"

#define TEST_TIMEOUT_S 240
#define SKIPS_MAX      512u

/* ---- strings that live as long as the test ---- */

typedef struct kept {
    struct kept *next;
    char text[];
} kept;

static kept *kept_strings;

static char *keep(size_t size)
{
    kept *k = calloc(1, sizeof(*k) + size);

    if (!k)
        abort();
    k->next = kept_strings;
    kept_strings = k;
    return k->text;
}

static void drop_kept(void)
{
    while (kept_strings) {
        kept *next = kept_strings->next;

        free(kept_strings);
        kept_strings = next;
    }
}

__attribute__((nonnull(1))) BV_PRINTF(1, 0) static const
    char *keep_vformat(const char *fmt, va_list args)
{
    va_list again;
    char *text;
    int len;

    va_copy(again, args);
    len = vsnprintf(NULL, 0, fmt, again);
    va_end(again);
    text = keep((size_t)len + 1);
    (void)vsnprintf(text, (size_t)len + 1, fmt, args); /* measured above */
    return text;
}

const char *bvt_format(const char *fmt, ...)
{
    const char *text;
    va_list args;

    va_start(args, fmt);
    text = keep_vformat(fmt, args);
    va_end(args);
    return text;
}

/* ---- the counting, failing allocator ---- */

/* In front of every block, so that freeing knows its size. Keeps the alignment malloc promises. */
typedef union header {
    size_t size;
    max_align_t align;
} header;

static struct {
    atomic_size_t blocks;
    atomic_size_t bytes;
    atomic_size_t peak;
    atomic_size_t until_failure; /* 0: none planned */
    atomic_bool failed;
    size_t blocks_before; /* in use when the round of bvt_for_each_failed_allocation() began */
} memory;

static bool must_fail(void)
{
    size_t left = atomic_load(&memory.until_failure);

    while (left && !atomic_compare_exchange_weak(&memory.until_failure, &left, left - 1))
        ;
    if (left != 1)
        return false;
    atomic_store(&memory.failed, true);
    return true;
}

static void count(size_t grown, size_t shrunk)
{
    size_t now = atomic_fetch_add(&memory.bytes, grown - shrunk) + grown - shrunk;
    size_t peak = atomic_load(&memory.peak);

    while (now > peak && !atomic_compare_exchange_weak(&memory.peak, &peak, now))
        ;
}

static void *test_alloc(void *data, void *ptr, size_t size)
{
    header *h = ptr ? (header *)ptr - 1 : NULL;
    size_t old_size = h ? h->size : 0;

    (void)data;
    if (size == 0) {
        if (h) {
            count(0, old_size);
            atomic_fetch_sub(&memory.blocks, 1);
            free(h);
        }
        return NULL;
    }
    if (size > SIZE_MAX - sizeof(*h) || must_fail())
        return NULL;
    h = realloc(h, sizeof(*h) + size);
    if (!h)
        return NULL;
    h->size = size;
    count(size, old_size);
    atomic_fetch_add(&memory.blocks, ptr ? 0 : 1);
    return h + 1;
}

static void *cjson_malloc(size_t size)
{
    return test_alloc(NULL, NULL, size ? size : 1);
}

static void cjson_free(void *ptr)
{
    (void)test_alloc(NULL, ptr, 0);
}

static void install_allocator(void)
{
    cJSON_Hooks hooks = { .malloc_fn = cjson_malloc, .free_fn = cjson_free };

    bv_set_allocator(test_alloc, NULL);
    cJSON_InitHooks(&hooks);
}

void bvt_fail_allocation(size_t n)
{
    atomic_store(&memory.failed, false);
    atomic_store(&memory.until_failure, n);
}

size_t bvt_live_blocks(void)
{
    return atomic_load(&memory.blocks);
}

size_t bvt_live_bytes(void)
{
    return atomic_load(&memory.bytes);
}

size_t bvt_peak_bytes(void)
{
    return atomic_load(&memory.peak);
}

void bvt_reset_peak(void)
{
    atomic_store(&memory.peak, atomic_load(&memory.bytes));
}

bool bvt_next_failure(size_t n, const char *file, int line)
{
    bool reached = atomic_load(&memory.failed);
    size_t before = memory.blocks_before;

    bvt_fail_allocation(0);
    if (n > 1 && bvt_live_blocks() != before)
        ck_abort_msg("%s:%d: %zd blocks left over when allocation %zu %s", file, line,
                     (ssize_t)(bvt_live_blocks() - before), n - 1,
                     reached ? "failed" : "was not reached");
    if (n > 1 && !reached)
        return false;
    memory.blocks_before = bvt_live_blocks();
    bvt_fail_allocation(n);
    return true;
}

/* ---- directories and files ---- */

static char root_dir[256];
static char test_dir[sizeof(root_dir) + 16];

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *where)
{
    (void)st;
    (void)kind;
    (void)where;
    (void)remove(path); /* best effort: what cannot go stays for a look */
    return 0;
}

static void remove_tree(const char *path)
{
    if (!getenv("BVT_KEEP"))
        (void)nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS); /* best effort as well */
}

static void make_root(void)
{
    const char *tmp = getenv("TMPDIR");

    /* Short, because Unix socket paths are. */
    (void)snprintf(root_dir, sizeof(root_dir), "%s/bvt-XXXXXX",
                   tmp && *tmp && strlen(tmp) < 64 ? tmp : "/tmp");
    if (!mkdtemp(root_dir)) {
        perror(root_dir);
        exit(99);
    }
}

const char *bvt_dir(void)
{
    return test_dir;
}

const char *bvt_path(const char *fmt, ...)
{
    const char *name;
    va_list args;

    va_start(args, fmt);
    name = keep_vformat(fmt, args);
    va_end(args);
    return bvt_format("%s/%s", test_dir, name);
}

const char *bvt_write_bytes(const char *name, const void *bytes, size_t len)
{
    const char *path = bvt_path("%s", name);
    FILE *f = fopen(path, "wb");

    if (!f)
        ck_abort_msg("cannot create '%s': %s", path, strerror(errno));
    ck_assert_uint_eq(fwrite(bytes, 1, len, f), len);
    ck_assert_int_eq(fclose(f), 0);
    return path;
}

const char *bvt_write_file(const char *name, const char *text)
{
    return bvt_write_bytes(name, text, strlen(text));
}

char *bvt_read_file(const char *path, size_t *ret_len)
{
    FILE *f = fopen(path, "rb");
    struct stat st;
    char *text;

    if (!f || fstat(fileno(f), &st) < 0)
        ck_abort_msg("cannot read '%s': %s", path, strerror(errno));
    text = keep((size_t)st.st_size + 1);
    ck_assert_uint_eq(fread(text, 1, (size_t)st.st_size, f), (size_t)st.st_size);
    (void)fclose(f); /* only read from */
    if (ret_len)
        *ret_len = (size_t)st.st_size;
    return text;
}

bool bvt_exists(const char *path)
{
    struct stat st;

    return lstat(path, &st) == 0;
}

/* ---- errors ---- */

void bvt_check_error(const bv_error *err, int code, const char *text, const char *file, int line)
{
    char story[8192];

    (void)bv_error_format(err, story, sizeof(story)); /* cut when longer */
    if (bv_error_code(err) != code)
        ck_abort_msg("%s:%d: expected %s, got %s: %s", file, line, bv_code_name(code),
                     bv_code_name(bv_error_code(err)), story);
    if (code != BV_OK && !strstr(story, text))
        ck_abort_msg("%s:%d: '%s' does not say '%s'", file, line, story, text);
}

void bvt_check_ok(int r, const bv_error *err, const char *call, const char *file, int line)
{
    char story[8192];

    if (r >= 0)
        return;
    (void)bv_error_format(err, story, sizeof(story)); /* cut when longer */
    ck_abort_msg("%s:%d: %s: %s: %s", file, line, call, bv_code_name(r), story);
}

/* ---- clock ---- */

static int64_t read_monotonic(void *data)
{
    return ((const bvt_clock *)data)->monotonic_us;
}

static int64_t read_wall(void *data)
{
    return ((const bvt_clock *)data)->wall_us;
}

void bvt_clock_init(bvt_clock *clock)
{
    *clock = (bvt_clock){
        .monotonic_us = 1000000,
        .wall_us = INT64_C(1704067200) * 1000000,
        .clock = { sizeof(bv_clock), clock, read_monotonic, read_wall },
    };
}

void bvt_clock_advance(bvt_clock *clock, int64_t us)
{
    clock->monotonic_us += us;
    clock->wall_us += us;
}

/* ---- log ---- */

void bvt_log_sink(void *data, const bv_log_record *rec)
{
    static const char *const levels[] = { "error", "warn", "info", "debug", "trace" };
    bvt_log *log = data;
    int n;

    log->counts[rec->level]++;
    n = snprintf(log->text + log->len, sizeof(log->text) - log->len, "%s %s: %s\n",
                 levels[rec->level], rec->module, rec->message);
    if (n > 0)
        log->len +=
            (size_t)n < sizeof(log->text) - log->len ? (size_t)n : sizeof(log->text) - log->len - 1;
}

/* ---- skipping: tests run in children, so the reasons go through shared memory ---- */

typedef struct skip {
    char test[64];
    int i;
    char reason[256];
} skip;

static struct {
    atomic_uint count;
    skip items[SKIPS_MAX];
} * skips;

void bvt_note_skip(const char *function, int i, const char *fmt, ...)
{
    unsigned n = atomic_fetch_add(&skips->count, 1);
    va_list args;
    skip *s;

    if (n >= SKIPS_MAX)
        ck_abort_msg("more than %u skipped tests", SKIPS_MAX);
    s = &skips->items[n];
    /* libcheck names the function of test "x" "x_fn". */
    (void)snprintf(s->test, sizeof(s->test), "%.*s", (int)strlen(function) - 3, function);
    s->i = i;
    va_start(args, fmt);
    (void)vsnprintf(s->reason, sizeof(s->reason), fmt, args); /* cut when longer */
    va_end(args);
    fprintf(stderr, "SKIPPED %s: %s\n", s->test, s->reason);
}

static const char *skip_reason(const char *test, int i)
{
    unsigned n = atomic_load(&skips->count);

    for (unsigned k = 0; k < n && k < SKIPS_MAX; k++) {
        if (strcmp(skips->items[k].test, test) == 0 && skips->items[k].i == i)
            return skips->items[k].reason;
    }
    return NULL;
}

/* ---- running ---- */

static size_t blocks_at_start;

static void set_up(void)
{
    (void)snprintf(test_dir, sizeof(test_dir), "%s/tXXXXXX", root_dir); /* root_dir is shorter */
    if (!mkdtemp(test_dir))
        ck_abort_msg("cannot create '%s': %s", test_dir, strerror(errno));
    install_allocator(); /* again: in one process an earlier test may have set its own */
    bvt_fail_allocation(0);
    blocks_at_start = bvt_live_blocks();
}

static void tear_down(void)
{
    size_t left = bvt_live_blocks() - blocks_at_start;

    remove_tree(test_dir);
    drop_kept();
    ck_assert_msg(left == 0, "%zu blocks of memory were not freed", left);
}

static Suite *make_suite(const char *name, const bvt_entry *entries, size_t n)
{
    Suite *suite = suite_create(name);

    for (size_t i = 0; i < n; i++) {
        TCase *tc = tcase_create(entries[i].test->name);

        tcase_add_checked_fixture(tc, set_up, tear_down);
        tcase_set_timeout(tc, TEST_TIMEOUT_S);
        tcase_add_loop_test(tc, entries[i].test, 0, (int)entries[i].count);
        suite_add_tcase(suite, tc);
    }
    return suite;
}

static size_t entry_count(const char *test, const bvt_entry *entries, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(entries[i].test->name, test) == 0)
            return entries[i].count;
    }
    return 1;
}

static void print_result(int number, const char *name, const char *reason, TestResult *result)
{
    bool passed = tr_rtype(result) == CK_PASS;
    const char *at = tr_msg(result);

    printf("%s %d - %s%s%s\n", passed ? "ok" : "not ok", number, name, reason ? " # SKIP " : "",
           reason ? reason : "");
    if (passed)
        return;
    printf("# %s:%d: ", tr_lfile(result) ? tr_lfile(result) : "?", tr_lno(result));
    for (; at && *at; at++)
        printf(*at == '\n' ? "\n# " : "%c", *at);
    printf("\n");
}

/* Results come in the order in which the tests ran; a looped test gives one for each round. */
static void print_tap(SRunner *runner, const bvt_entry *entries, size_t n)
{
    TestResult **results = srunner_results(runner);
    int total = srunner_ntests_run(runner);
    const char *last = "";
    int round = 0;

    printf("1..%d\n", total);
    for (int i = 0; i < total; i++) {
        const char *test = tr_tcname(results[i]);
        char name[160];

        round = strcmp(test, last) == 0 ? round + 1 : 0;
        last = test;
        if (entry_count(test, entries, n) > 1)
            (void)snprintf(name, sizeof(name), "%s[%d]", test, round);
        else
            (void)snprintf(name, sizeof(name), "%s", test);
        print_result(i + 1, name, skip_reason(test, round), results[i]);
    }
    free(results);
}

int bvt_run(const char *name, const bvt_entry *entries, size_t n)
{
    SRunner *runner;
    int failed;

    skips = mmap(NULL, sizeof(*skips), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (skips == MAP_FAILED) {
        perror("mmap");
        return 99;
    }
    make_root();
    install_allocator();
    runner = srunner_create(make_suite(name, entries, n));
    srunner_run_all(runner, CK_SILENT);
    print_tap(runner, entries, n);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    remove_tree(root_dir);
    (void)munmap(skips, sizeof(*skips)); /* the process ends */
    return failed ? 1 : 0;
}
