/*
 * runner_files.c - reading and writing the files between a manager and its runners, except events
 * (job_events.c).
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "job/runner_files.h"
#include "sys/fs.h"

#define CONF_VERSION "1"

/* ---- runner.conf: a table of keys ---- */

typedef enum field_kind { FIELD_TEXT, FIELD_NUMBER, FIELD_BOOL, FIELD_LIST } field_kind;

typedef struct field {
    const char *key;
    field_kind kind;
    size_t offset;
} field;

#define FIELD(key, kind, member)                                                                   \
    {                                                                                              \
        key, kind, offsetof(bvi_runner_conf, member)                                               \
    }

static const field fields[] = {
    FIELD("name", FIELD_TEXT, name),
    FIELD("instance", FIELD_TEXT, instance),
    FIELD("run", FIELD_TEXT, run),
    FIELD("body", FIELD_TEXT, body),
    FIELD("arg", FIELD_LIST, args),
    FIELD("env", FIELD_LIST, env),
    FIELD("run_as", FIELD_TEXT, run_as),
    FIELD("data_lock", FIELD_TEXT, data_lock),
    FIELD("one_time", FIELD_TEXT, one_time),
    FIELD("one_time_again", FIELD_BOOL, one_time_again),
    FIELD("is_restart", FIELD_BOOL, is_restart),
    FIELD("log_timestamp", FIELD_BOOL, log_timestamp),
    FIELD("log_capacity_bytes", FIELD_NUMBER, log_capacity_bytes),
    FIELD("shutdown_timeout_ms", FIELD_NUMBER, shutdown_timeout_ms),
    FIELD("shutdown_signal", FIELD_NUMBER, shutdown_signal),
    FIELD("backoff_timeout_ms", FIELD_NUMBER, restart.backoff_timeout_ms),
    FIELD("backoff_base_ms", FIELD_NUMBER, restart.backoff_base_ms),
};

static const char *const policies[] = {
    [BVI_RESTART_NEVER] = "never",
    [BVI_RESTART_ALWAYS] = "always",
    [BVI_RESTART_ON_FAILURE] = "on_failure",
};

static int parse_number(const char *text, uint64_t *ret_value)
{
    char *end = NULL;

    errno = 0;
    *ret_value = strtoull(text, &end, 10);
    return errno || end == text || *end || *text == '-' ? BV_E_FORMAT : 0;
}

static int set_policy(bvi_runner_conf *conf, const char *value)
{
    for (size_t i = 0; i < BVI_COUNT(policies); i++) {
        if (strcmp(policies[i], value) == 0) {
            conf->restart.policy = (bvi_restart)i;
            return 0;
        }
    }
    return BV_E_FORMAT;
}

static int set_max_retries(bvi_runner_conf *conf, const char *value)
{
    uint64_t number = 0;

    if (parse_number(value, &number) < 0 || number > UINT32_MAX)
        return BV_E_FORMAT;
    conf->restart.has_max_retries = true;
    conf->restart.max_retries = (uint32_t)number;
    return 0;
}

static int set_list(bvi_ptrs *list, const char *value)
{
    const char **slot;

    if (list->len >= list->max)
        return BV_E_LIMIT;
    slot = bvi_vec_push(list);
    if (!slot)
        return BV_E_NOMEM;
    *slot = value;
    return 0;
}

static int set_field(bvi_runner_conf *conf, const char *key, const char *value)
{
    if (strcmp(key, "version") == 0)
        return strcmp(value, CONF_VERSION) == 0 ? 0 : BV_E_FORMAT;
    if (strcmp(key, "restart") == 0)
        return set_policy(conf, value);
    if (strcmp(key, "max_retries") == 0)
        return set_max_retries(conf, value);
    for (size_t i = 0; i < BVI_COUNT(fields); i++) {
        void *member = (char *)conf + fields[i].offset;

        if (strcmp(fields[i].key, key) != 0)
            continue;
        switch (fields[i].kind) {
        case FIELD_TEXT:
            *(const char **)member = value;
            return 0;
        case FIELD_NUMBER:
            return parse_number(value, member);
        case FIELD_BOOL:
            *(bool *)member = strcmp(value, "1") == 0;
            return 0;
        case FIELD_LIST:
            return set_list(member, value);
        }
    }
    return 0; /* from a newer manager: not for us */
}

static int check_conf(const bvi_runner_conf *conf, bv_error **err)
{
    if (!conf->name || !*conf->name || !conf->instance || !*conf->instance || !conf->run)
        return bvi_fail(err, BV_E_FORMAT, "'" BVI_RUNNER_CONF_FILE "' does not say whose it is");
    if (!conf->body == !conf->args.len)
        return bvi_fail(err, BV_E_FORMAT,
                        "'" BVI_RUNNER_CONF_FILE "' needs either a body or arguments");
    if (conf->shutdown_signal == 0 || conf->shutdown_signal >= NSIG)
        return bvi_fail(err, BV_E_FORMAT, "'" BVI_RUNNER_CONF_FILE "' names no valid signal");
    if (conf->log_capacity_bytes == 0)
        return bvi_fail(err, BV_E_FORMAT, "'" BVI_RUNNER_CONF_FILE "' has no log capacity");
    return 0;
}

int bvi_runner_conf_parse(char *text, size_t len, bvi_runner_conf *conf, bv_error **err)
{
    size_t at = 0;

    bvi_free(conf->text);
    conf->text = text;
    while (at < len) {
        char *record = text + at;
        char *equals;
        int r;

        at += strlen(record) + 1;
        equals = strchr(record, '=');
        if (!equals)
            return bvi_fail(err, BV_E_FORMAT,
                            "'" BVI_RUNNER_CONF_FILE "' has a record without '='");
        *equals = '\0';
        r = set_field(conf, record, equals + 1);
        if (r == BV_E_NOMEM)
            return bvi_fail_nomem(err);
        if (r < 0)
            return bvi_fail(err, r, "'" BVI_RUNNER_CONF_FILE "' has a bad '%s'", record);
    }
    return check_conf(conf, err);
}

int bvi_runner_conf_load(int dir_fd, bvi_runner_conf *conf, bv_error **err)
{
    char *text = NULL;
    size_t len = 0;
    int r = bvi_fs_read_at(dir_fd, BVI_RUNNER_CONF_FILE, BVI_RUNNER_CONF_MAX, &text, &len, err);

    return r < 0 ? r : bvi_runner_conf_parse(text, len, conf, err);
}

static int put_text(bvi_buf *buf, const char *key, const char *value)
{
    int r = bvi_buf_printf(buf, "%s=%s", key, value);

    return r < 0 ? r : bvi_buf_append_char(buf, '\0');
}

static int put_number(bvi_buf *buf, const char *key, uint64_t value)
{
    int r = bvi_buf_printf(buf, "%s=%llu", key, (unsigned long long)value);

    return r < 0 ? r : bvi_buf_append_char(buf, '\0');
}

static int put_list(bvi_buf *buf, const char *key, const bvi_ptrs *list)
{
    int r = 0;

    for (size_t i = 0; i < list->len && r == 0; i++)
        r = put_text(buf, key, list->items[i]);
    return r;
}

static int put_field(bvi_buf *buf, const bvi_runner_conf *conf, const field *f)
{
    const void *member = (const char *)conf + f->offset;

    switch (f->kind) {
    case FIELD_TEXT: {
        const char *text = *(const char *const *)member;

        return text ? put_text(buf, f->key, text) : 0;
    }
    case FIELD_NUMBER:
        return put_number(buf, f->key, *(const uint64_t *)member);
    case FIELD_BOOL:
        return put_number(buf, f->key, *(const bool *)member ? 1 : 0);
    case FIELD_LIST:
        return put_list(buf, f->key, member);
    }
    return 0;
}

int bvi_runner_conf_save(int dir_fd, const bvi_runner_conf *conf, bv_error **err)
{
    BVI_AUTO(bvi_buf_done) bvi_buf buf = BVI_BUF_INIT(BVI_RUNNER_CONF_MAX);
    int r = check_conf(conf, err);

    if (r < 0)
        return r;
    r = put_text(&buf, "version", CONF_VERSION);
    for (size_t i = 0; i < BVI_COUNT(fields) && r == 0; i++)
        r = put_field(&buf, conf, &fields[i]);
    if (r == 0)
        r = put_text(&buf, "restart", policies[conf->restart.policy]);
    if (r == 0 && conf->restart.has_max_retries)
        r = put_number(&buf, "max_retries", conf->restart.max_retries);
    if (r == BV_E_LIMIT)
        return bvi_fail(err, r,
                        "job '%s' has more than %u bytes of body, arguments and environment",
                        conf->name, BVI_RUNNER_CONF_MAX);
    if (r < 0)
        return bvi_fail_nomem(err);
    return bvi_fs_replace_at(dir_fd, BVI_RUNNER_CONF_FILE, buf.data, buf.len, 0600, err);
}

void bvi_runner_conf_done(bvi_runner_conf *conf)
{
    bvi_free(conf->text);
    conf->text = NULL;
    bvi_vec_done(&conf->args);
    bvi_vec_done(&conf->env);
}

/* ---- runner.state: "key value..." lines ---- */

void bvi_boot_id(char text[BVI_BOOT_SIZE])
{
    bvi_auto_close int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    char boot[BVI_INSTANCE_SIZE];
    ssize_t n = fd >= 0 ? read(fd, boot, sizeof(boot) - 1) : 0;
    struct stat ns = { 0 };

    boot[n > 0 ? n : 0] = '\0';
    boot[strcspn(boot, "\n")] = '\0';
    (void)stat("/proc/self/ns/pid", &ns); /* 0 when there are no namespaces */
    (void)snprintf(text, BVI_BOOT_SIZE, "%s/%llu", boot, (unsigned long long)ns.st_ino); /* fits */
}

/* Up to max numbers of a line; returns how many there were. */
static size_t read_numbers(const char *text, uint64_t *numbers, size_t max)
{
    size_t n = 0;

    while (n < max) {
        char *end = NULL;

        numbers[n] = strtoull(text, &end, 10);
        if (end == text)
            break;
        text = end;
        n++;
    }
    return n;
}

static bool to_proc_id(const char *text, bvi_proc_id *ret_id)
{
    uint64_t n[2];

    if (read_numbers(text, n, 2) != 2 || n[0] > INT32_MAX)
        return false;
    *ret_id = (bvi_proc_id){ .pid = (pid_t)n[0], .start_ticks = n[1] };
    return true;
}

static bool add_restarts(const char *text, bvi_restarts *restarts)
{
    uint64_t n[2];
    size_t slot;

    if (read_numbers(text, n, 2) != 2 || n[0] > INT64_MAX || n[1] > UINT32_MAX)
        return false;
    slot = (size_t)(n[0] % BVI_BACKOFF_HOURS);
    restarts->hour[slot] = (int64_t)n[0];
    restarts->count[slot] = (uint32_t)n[1];
    return true;
}

static bool set_state(bvi_runner_state *state, const char *key, const char *value)
{
    uint64_t n = 0;

    if (strcmp(key, "boot") == 0)
        return (size_t)snprintf(state->boot, sizeof(state->boot), "%s", value) <
               sizeof(state->boot);
    if (strcmp(key, "runner") == 0)
        return to_proc_id(value, &state->runner);
    if (strcmp(key, "payload") == 0)
        return to_proc_id(value, &state->payload);
    if (strcmp(key, "restarts") == 0)
        return add_restarts(value, &state->restarts);
    if (strcmp(key, "clean") == 0)
        state->clean = strcmp(value, "1") == 0;
    if (strcmp(key, "started_ms") == 0 && read_numbers(value, &n, 1) == 1 && n <= INT64_MAX)
        state->payload_started_ms = (int64_t)n;
    return true;
}

int bvi_runner_state_parse(char *text, bvi_runner_state *ret_state, bv_error **err)
{
    bvi_runner_state state = { 0 };
    bool complete = false;
    char *save = NULL;

    for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        char *blank = strchr(line, ' ');

        if (strcmp(line, "end") == 0)
            complete = true;
        if (!blank)
            continue;
        *blank = '\0';
        if (!set_state(&state, line, blank + 1))
            return bvi_fail(err, BV_E_FORMAT, "'" BVI_RUNNER_STATE_FILE "' has a bad '%s'", line);
    }
    if (!complete)
        return bvi_fail(err, BV_E_FORMAT, "'" BVI_RUNNER_STATE_FILE "' is not complete");
    *ret_state = state;
    return 0;
}

int bvi_runner_state_load(int dir_fd, bvi_runner_state *ret_state, bv_error **err)
{
    bvi_auto_free char *text = NULL;
    size_t len = 0;
    int r = bvi_fs_read_at(dir_fd, BVI_RUNNER_STATE_FILE, BVI_RUNNER_STATE_MAX, &text, &len, err);

    return r < 0 ? r : bvi_runner_state_parse(text, ret_state, err);
}

/* The lines of a state; always fits: 25 counters of at most 42 bytes and a few lines. */
static size_t print_state(const bvi_runner_state *state, char *text, size_t size)
{
    size_t n = (size_t)snprintf(
        text, size, "boot %s\nrunner %d %llu\npayload %d %llu\nstarted_ms %lld\nclean %d\n",
        state->boot, (int)state->runner.pid, (unsigned long long)state->runner.start_ticks,
        (int)state->payload.pid, (unsigned long long)state->payload.start_ticks,
        (long long)state->payload_started_ms, state->clean ? 1 : 0);

    for (size_t i = 0; i < BVI_BACKOFF_HOURS && n < size; i++) {
        if (state->restarts.count[i])
            n += (size_t)snprintf(text + n, size - n, "restarts %lld %u\n",
                                  (long long)state->restarts.hour[i], state->restarts.count[i]);
    }
    if (n < size)
        n += (size_t)snprintf(text + n, size - n, "end\n");
    return n;
}

int bvi_runner_state_save(int dir_fd, const bvi_runner_state *state, bool sync, bv_error **err)
{
    static const char temporary[] =
        "." BVI_RUNNER_STATE_FILE ".tmp"; /* one runner at a time writes here */
    char text[BVI_RUNNER_STATE_MAX];
    size_t len = print_state(state, text, sizeof(text));
    bvi_auto_close int fd =
        openat(dir_fd, temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    int r;

    if (fd < 0)
        return bvi_fail_sys(err, errno, "cannot create '%s'", temporary);
    r = bvi_fs_write_all(fd, text, len);
    if (r == 0 && sync && fsync(fd) < 0)
        r = -errno;
    if (r == 0 && renameat(dir_fd, temporary, dir_fd, BVI_RUNNER_STATE_FILE) < 0)
        r = -errno;
    if (r == 0 && sync && fsync(dir_fd) < 0)
        r = -errno;
    return r < 0 ? bvi_fail_sys(err, -r, "cannot write '" BVI_RUNNER_STATE_FILE "'") : 0;
}

/* ---- lock ---- */

/* A manager that looks holds the lock for a moment, and so does the child of a runner that was just
 * killed. */
#define LOCK_TRIES    40u
#define LOCK_PAUSE_MS 10

static int try_lock(int fd, int how)
{
    int r;

    do {
        r = flock(fd, how | LOCK_NB);
    } while (r < 0 && errno == EINTR);
    return r;
}

int bvi_runner_lock(int dir_fd, int *ret_fd, bv_error **err)
{
    bvi_auto_close int fd =
        openat(dir_fd, BVI_RUNNER_LOCK_FILE, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    char text[64];
    bvi_proc_id self = { 0 };
    int len, r;

    if (fd < 0)
        return bvi_fail_sys(err, errno, "cannot open '" BVI_RUNNER_LOCK_FILE "'");
    for (unsigned i = 0; (r = try_lock(fd, LOCK_EX)) < 0 && errno == EWOULDBLOCK && i < LOCK_TRIES;
         i++)
        (void)usleep(LOCK_PAUSE_MS * 1000); /* cut short by a signal: looks earlier */
    if (r < 0 && errno == EWOULDBLOCK)
        return bvi_fail(err, BV_E_BUSY, "another runner of this job lives");
    if (r < 0)
        return bvi_fail_sys(err, errno, "cannot lock '" BVI_RUNNER_LOCK_FILE "'");
    r = bvi_proc_identify(getpid(), &self, err);
    if (r < 0)
        return r;
    len = snprintf(text, sizeof(text), "%d %llu\n", (int)self.pid,
                   (unsigned long long)self.start_ticks);
    if (ftruncate(fd, 0) < 0 || pwrite(fd, text, (size_t)len, 0) != len)
        return bvi_fail_sys(err, errno, "cannot sign '" BVI_RUNNER_LOCK_FILE "'");
    *ret_fd = bvi_take_fd(&fd);
    return 0;
}

bool bvi_runner_is_locked(int dir_fd, bvi_proc_id *ret_id)
{
    bvi_auto_close int fd = openat(dir_fd, BVI_RUNNER_LOCK_FILE, O_RDONLY | O_CLOEXEC);
    char text[64];
    ssize_t n;

    *ret_id = (bvi_proc_id){ 0 };
    if (fd < 0 || try_lock(fd, LOCK_SH) == 0)
        return false; /* closing gives it back */
    n = pread(fd, text, sizeof(text) - 1, 0);
    text[n > 0 ? n : 0] = '\0';
    (void)to_proc_id(text, ret_id); /* else not signed yet */
    if (ret_id->pid && !bvi_proc_is_alive(ret_id))
        *ret_id = (bvi_proc_id){ 0 }; /* an old signature under a new lock */
    return true;
}

/* ---- intent ---- */

static const char *const intents[] = {
    [BVI_INTENT_NONE] = "none",
    [BVI_INTENT_RUN] = "run",
    [BVI_INTENT_STOP] = "stop",
    [BVI_INTENT_SKIP] = "skip",
};

bvi_intent bvi_intent_load(int dir_fd, char *run)
{
    bvi_auto_free char *text = NULL;
    char *rest;
    size_t len = 0;

    if (run)
        *run = '\0';
    if (bvi_fs_read_at(dir_fd, BVI_JOB_INTENT_FILE, 128, &text, &len, NULL) < 0)
        return BVI_INTENT_NONE;
    text[strcspn(text, "\n")] = '\0';
    rest = text + strcspn(text, " ");
    if (*rest)
        *rest++ = '\0';
    if (run)
        (void)snprintf(run, BVI_INSTANCE_SIZE, "%s",
                       rest); /* a longer one is not ours and matches nothing */
    for (size_t i = 0; i < BVI_COUNT(intents); i++) {
        if (strcmp(intents[i], text) == 0)
            return (bvi_intent)i;
    }
    return BVI_INTENT_NONE;
}

int bvi_intent_save(int dir_fd, bvi_intent intent, const char *run, bv_error **err)
{
    char text[16 + BVI_INSTANCE_SIZE];
    int len =
        snprintf(text, sizeof(text), "%s%s%s\n", intents[intent], run ? " " : "", run ? run : "");

    return bvi_fs_replace_at(dir_fd, BVI_JOB_INTENT_FILE, text, (size_t)len, 0600, err);
}
