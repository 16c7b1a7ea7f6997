/*
 * journal.c - the resume state of downloads and uploads.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/blake3.h"
#include "sys/fs.h"
#include "transfer/journal.h"

#define CHECK_DIGITS 16u
/* Records that wait for a sync; callers sync far more often. */
#define PENDING_MAX (16u * 1024u * 1024u)

void bvi_journal_init(bvi_journal *journal)
{
    *journal = (bvi_journal){ .fd = -1, .pending = BVI_BUF_INIT(PENDING_MAX) };
}

void bvi_journal_done(bvi_journal *journal)
{
    bvi_closep(&journal->fd);
    bvi_free(journal->path);
    bvi_buf_done(&journal->pending);
    bvi_journal_init(journal);
}

static void check_digits(const char *text, size_t len, char digits[CHECK_DIGITS])
{
    static const char hex[] = "0123456789abcdef";
    uint8_t digest[BVI_BLAKE3_SIZE];

    bvi_blake3_hash(text, len, digest);
    for (size_t i = 0; i < CHECK_DIGITS / 2; i++) {
        digits[2 * i] = hex[digest[i] >> 4];
        digits[2 * i + 1] = hex[digest[i] & 15];
    }
}

/* A whole and undamaged record, or NULL. */
static bvi_json *read_record(const char *line, size_t len)
{
    char digits[CHECK_DIGITS];
    bvi_json *record = NULL;
    const char *text = line + CHECK_DIGITS + 1;

    if (len <= CHECK_DIGITS + 1 || len > BVI_JOURNAL_RECORD_MAX || line[CHECK_DIGITS] != ' ')
        return NULL;
    len -= CHECK_DIGITS + 1;
    check_digits(text, len, digits);
    if (memcmp(digits, line, CHECK_DIGITS) != 0 || bvi_json_parse(text, len, &record, NULL) < 0)
        return NULL;
    return record;
}

/* Reads records up to the first that is not whole; *ret_good is where that one begins. */
static int read_records(const char *text, size_t len, bvi_journal_fn fn, void *data,
                        size_t *ret_good, bv_error **err)
{
    const char *at = text;
    const char *end = text + len;

    while (at < end) {
        const char *line_end = memchr(at, '\n', (size_t)(end - at));
        bvi_auto_json bvi_json *record = line_end ? read_record(at, (size_t)(line_end - at)) : NULL;
        int r;

        if (!record)
            break;
        r = fn(record, data, err);
        if (r < 0)
            return r;
        at = line_end + 1;
    }
    *ret_good = (size_t)(at - text);
    return 0;
}

static int load(bvi_journal *journal, bvi_journal_fn fn, void *data, bv_error **err)
{
    bvi_auto_free char *text = NULL;
    size_t len = 0;
    size_t good = 0;
    int r;

    r = bvi_fs_read(journal->path, BVI_JOURNAL_MAX, &text, &len, err);
    if (r == 0)
        r = read_records(text, len, fn, data, &good, err);
    if (r < 0)
        return r;
    if (good < len && ftruncate(journal->fd, (off_t)good) < 0)
        return bvi_fail_sys(err, errno, "cannot cut the damaged end of '%s'", journal->path);
    return 0;
}

int bvi_journal_open(bvi_journal *journal, const char *path, bvi_journal_fn fn, void *data,
                     bv_error **err)
{
    int r;

    journal->path = bvi_strdup(path);
    if (!journal->path)
        return bvi_fail_nomem(err);
    journal->fd = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (journal->fd < 0)
        return bvi_fail_sys(err, errno, "cannot open journal '%s'", path);
    r = load(journal, fn, data, err);
    return r < 0 ? bvi_wrap(err, r, "cannot load journal '%s'", path) : 0;
}

int bvi_journal_append(bvi_journal *journal, const bvi_json *record, bv_error **err)
{
    bvi_auto_free char *text = NULL;
    char digits[CHECK_DIGITS];
    int r;

    r = bvi_json_print(record, false, &text, err);
    if (r < 0)
        return r;
    check_digits(text, strlen(text), digits);
    if (strlen(text) + CHECK_DIGITS + 1 > BVI_JOURNAL_RECORD_MAX ||
        bvi_buf_reserve(&journal->pending, strlen(text) + CHECK_DIGITS + 2) < 0)
        return bvi_fail(err, BV_E_LIMIT, "a record of journal '%s' does not fit", journal->path);
    /* There is room. */
    (void)bvi_buf_append(&journal->pending, digits, CHECK_DIGITS);
    (void)bvi_buf_append_char(&journal->pending, ' ');
    (void)bvi_buf_append_str(&journal->pending, text);
    (void)bvi_buf_append_char(&journal->pending, '\n');
    return 0;
}

int bvi_journal_flush(bvi_journal *journal, bv_error **err)
{
    off_t end;
    int r;

    if (journal->pending.len == 0)
        return 0;
    end = lseek(journal->fd, 0, SEEK_END);
    r = end < 0 ? -errno
                : bvi_fs_write_all(journal->fd, journal->pending.data, journal->pending.len);
    bvi_buf_clear(&journal->pending); /* after a failure the caller says once more what is so */
    if (r == 0)
        return 0;
    (void)bvi_fail_sys(err, -r, "cannot write journal '%s'", journal->path);
    if (end >= 0 && ftruncate(journal->fd, end) < 0) /* half a record would hide those behind it */
        bvi_closep(&journal->fd);
    return BV_E_IO;
}

int bvi_journal_sync(bvi_journal *journal, bv_error **err)
{
    int r = bvi_journal_flush(journal, err);

    if (r == 0 && fdatasync(journal->fd) < 0)
        return bvi_fail_sys(err, errno, "cannot sync journal '%s'", journal->path);
    return r;
}

int bvi_journal_clear(bvi_journal *journal, bv_error **err)
{
    bvi_buf_clear(&journal->pending);
    if (ftruncate(journal->fd, 0) < 0 || fsync(journal->fd) < 0)
        return bvi_fail_sys(err, errno, "cannot clear journal '%s'", journal->path);
    return 0;
}

int bvi_journal_remove(bvi_journal *journal, bv_error **err)
{
    bvi_closep(&journal->fd);
    bvi_buf_clear(&journal->pending);
    return journal->path ? bvi_fs_remove(journal->path, err) : 0;
}
