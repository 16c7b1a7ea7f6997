/* Payload output: lines of two streams, cutting, rotation, losses; the last lines and following
 * across rotations. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bvt.h"
#include "job/job_log.h"
#include "sys/fs.h"

static bvi_job_log writer; /* too large for a stack */

static int open_dir(void)
{
    int fd = open(bvt_dir(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    ck_assert_int_ge(fd, 0);
    return fd;
}

static void feed(unsigned stream, const char *text)
{
    bvi_job_log_feed(&writer, stream, text, strlen(text));
}

static const struct {
    const char *steps[8]; /* "0..." stdout, "1..." stderr, "f" flush */
    const char *file;
} mixes[] = {
    { { "0one\ntwo\n" }, "one\ntwo\n" },
    { { "0one", "1bad\n", "0 more\n" }, "bad\none more\n" },
    { { "0prompt> ", "f", "0yes\n" }, "prompt> yes\n" },
    { { "0prompt> ", "f", "1oops\n", "0yes\n" }, "prompt> \noops\nyes\n" },
    { { "0last" }, "last\n" },
    { { "0\n\n", "1\n" }, "\n\n\n" },
    { { "0a\nb", "0c\nd\n" }, "a\nbc\nd\n" },
    { { "0\xff\xfe\x01\n" }, "\xff\xfe\x01\n" },
};

START_TEST(streams_share_a_file_by_lines)
{
    int dir = open_dir();

    bvi_job_log_init(&writer, dir, 1000000, false);
    for (size_t i = 0; i < 8 && mixes[_i].steps[i]; i++) {
        const char *step = mixes[_i].steps[i];

        if (*step == 'f')
            bvi_job_log_flush(&writer);
        else
            feed((unsigned)(*step - '0'), step + 1);
    }
    bvi_job_log_done(&writer);
    ck_assert_str_eq(bvt_read_file(bvt_path("logs"), NULL), mixes[_i].file);
    close(dir);
}
END_TEST

START_TEST(long_lines_are_cut_and_marked)
{
    int dir = open_dir();
    size_t len = 0;
    const char *text;
    size_t cuts = 0;
    size_t xs = 0;
    char block[1000];

    memset(block, 'x', sizeof(block));
    bvi_job_log_init(&writer, dir, 10000000, false);
    for (int i = 0; i < 50; i++)
        bvi_job_log_feed(&writer, 0, block, sizeof(block));
    feed(0, "\nshort\n");
    bvi_job_log_done(&writer);
    text = bvt_read_file(bvt_path("logs"), &len);
    for (const char *at = text; (at = strstr(at, BVI_JOB_LINE_CUT "\n")); at++)
        cuts++;
    for (size_t i = 0; i < len; i++)
        xs += text[i] == 'x';
    ck_assert_uint_eq(cuts, 50000 / BVI_JOB_LINE_MAX);
    ck_assert_uint_eq(xs, 50000); /* cut, not lost */
    ck_assert(strstr(text, "x\nshort\n") != NULL);
    close(dir);
}
END_TEST

START_TEST(files_rotate_at_their_capacity)
{
    int dir = open_dir();
    struct stat st;

    bvi_job_log_init(&writer, dir, 1000, false);
    for (int i = 0; i < 1000; i++)
        feed(0, bvt_format("line %04d\n", i));
    bvi_job_log_done(&writer);
    for (int i = 0; i < 3; i++) {
        const char *path = bvt_path(i ? "logs.%d" : "logs", i);

        ck_assert_int_eq(stat(path, &st), 0);
        ck_assert_int_le(st.st_size, 1000);
        ck_assert_int_eq(bvt_read_file(path, NULL)[0], 'l'); /* never in the middle of a line */
    }
    ck_assert(!bvt_exists(bvt_path("logs.3")));
    ck_assert(strstr(bvt_read_file(bvt_path("logs"), NULL), "line 0999\n") != NULL);
    close(dir);
}
END_TEST

START_TEST(a_restarted_writer_goes_on)
{
    int dir = open_dir();

    for (int i = 0; i < 3; i++) {
        bvi_job_log_init(&writer, dir, 1000, false);
        feed(0, bvt_format("%0*d\n", 498, i));
        bvi_job_log_done(&writer);
    }
    ck_assert(bvt_exists(bvt_path("logs.1")));
    ck_assert(!bvt_exists(bvt_path("logs.2")));
    close(dir);
}
END_TEST

START_TEST(lines_get_the_time)
{
    int dir = open_dir();
    const char *text;

    setenv("TZ", "UTC", 1);
    bvi_job_log_init(&writer, dir, 100000, true);
    feed(0, "one\ntwo");
    bvi_job_log_flush(&writer);
    feed(0, " more\n");
    bvi_job_log_done(&writer);
    text = bvt_read_file(bvt_path("logs"), NULL);
    ck_assert_msg(strstr(text, " +00:00|one\n") != NULL, "%s", text);
    ck_assert_msg(strstr(text, " +00:00|two more\n") != NULL, "%s", text);
    close(dir);
}
END_TEST

START_TEST(a_full_disk_loses_output_and_nothing_else)
{
    int dir = open_dir();

    bvi_job_log_init(&writer, dir, 100000, false);
    writer.fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
    ck_assert_int_ge(writer.fd, 0);
    feed(0, "12345678\n");
    feed(0, "1\n");
    ck_assert_uint_eq(writer.lost_total, 11);
    close(writer.fd);
    writer.fd = -1; /* there is room again */
    feed(0, "back\n");
    bvi_job_log_done(&writer);
    ck_assert_str_eq(bvt_read_file(bvt_path("logs"), NULL),
                     "[11 bytes of output could not be written: No space left on device]\nback\n");
    close(dir);
}
END_TEST

START_TEST(a_missing_directory_is_survived)
{
    int dir = open_dir();

    bvi_job_log_init(&writer, dir, 100000, false);
    bvt_write_file("target", "");
    ck_assert_int_eq(symlink("target", bvt_path("logs")),
                     0); /* not followed: a payload could place it */
    feed(0, "a\n");
    ck_assert_uint_eq(writer.lost_total, 2);
    ck_assert_int_eq(writer.lost_errno, ELOOP);
    bvi_job_log_done(&writer);
    close(dir);
}
END_TEST

/* ---- reading ---- */

static const struct {
    size_t lines;
    const char *text;
} tails[] = {
    { 0, "" },
    { 1, "g\n" },
    { 2, "f\ng\n" },
    { 3, "e\nf\ng\n" },
    { 4, "d\ne\nf\ng\n" },
    { 7, "a\nb\nc\nd\ne\nf\ng\n" },
    { 100, "a\nb\nc\nd\ne\nf\ng\n" },
};

START_TEST(the_last_lines_over_all_files)
{
    bvi_buf out = BVI_BUF_INIT(4096);
    bvi_job_log_pos pos;
    bv_error *err = NULL;

    bvt_write_file("logs.2", "a\nb\n");
    bvt_write_file("logs.1", "c\nd\n");
    bvt_write_file("logs", "e\nf\ng\n");
    bvt_assert_ok(bvi_job_log_tail(bvt_dir(), tails[_i].lines, 1000, &out, &pos, &err), err);
    ck_assert_str_eq(bvi_buf_str(&out), tails[_i].text);
    ck_assert_uint_eq(pos.offset, 6);
    bvi_buf_done(&out);
}
END_TEST

START_TEST(a_line_without_end_counts)
{
    bvi_buf out = BVI_BUF_INIT(4096);
    bvi_job_log_pos pos;
    bv_error *err = NULL;

    bvt_write_file("logs", "e\nf\ng");
    bvt_assert_ok(bvi_job_log_tail(bvt_dir(), 2, 1000, &out, &pos, &err), err);
    ck_assert_str_eq(bvi_buf_str(&out), "f\ng");
    bvi_buf_clear(&out);
    bvt_assert_ok(bvi_job_log_tail(bvt_dir(), 9, 2, &out, &pos, &err), err);
    ck_assert_str_eq(bvi_buf_str(&out), "\ng"); /* the byte limit */
    bvi_buf_done(&out);
}
END_TEST

START_TEST(nothing_yet_is_empty)
{
    bvi_buf out = BVI_BUF_INIT(4096);
    bvi_job_log_pos pos;
    bool gap = true;
    bv_error *err = NULL;

    bvt_assert_ok(bvi_job_log_tail(bvt_dir(), 9, 100, &out, &pos, &err), err);
    ck_assert_str_eq(bvi_buf_str(&out), "");
    bvt_write_file("logs", "first\n");
    bvt_assert_ok(bvi_job_log_next(bvt_dir(), &pos, 100, &out, &gap, &err), err);
    ck_assert_str_eq(bvi_buf_str(&out), "first\n");
    ck_assert(!gap);
    ck_assert_int_eq(bvi_job_log_tail(bvt_path("none"), 9, 100, &out, &pos, &err), BV_E_NOT_FOUND);
    bvt_assert_error_says(err, BV_E_NOT_FOUND, "job directory");
    bv_error_free(err);
    bvi_buf_done(&out);
}
END_TEST

/* A reader that comes by now and then sees every line once, in order, whatever rotates meanwhile.
 */
START_TEST(following_survives_rotation)
{
    int dir = open_dir();
    bvi_buf out = BVI_BUF_INIT(1u << 20);
    bvi_job_log_pos pos = { 0 };
    bool gap = false;
    bv_error *err = NULL;
    int seen = 0;

    bvi_job_log_init(&writer, dir, 1000, false);
    for (int i = 0; i < 2000; i++) {
        feed(0, bvt_format("%08d\n", i));
        if (i % 97 != 0)
            continue;
        bvt_assert_ok(bvi_job_log_next(bvt_dir(), &pos, 1u << 20, &out, &gap, &err), err);
        ck_assert(!gap);
    }
    bvi_job_log_done(&writer);
    do {
        seen = (int)out.len;
        bvt_assert_ok(bvi_job_log_next(bvt_dir(), &pos, 100, &out, &gap, &err),
                      err); /* in small bites */
    } while ((int)out.len > seen);
    ck_assert_uint_eq(out.len, 2000 * 9);
    for (int i = 0; i < 2000; i++)
        ck_assert_int_eq(atoi(out.data + i * 9), i);
    bvi_buf_done(&out);
    close(dir);
}
END_TEST

START_TEST(a_slow_reader_is_told_of_the_gap)
{
    int dir = open_dir();
    bvi_buf out = BVI_BUF_INIT(1u << 20);
    bvi_job_log_pos pos = { 0 };
    bool gap = false;
    bv_error *err = NULL;

    bvi_job_log_init(&writer, dir, 1000, false);
    feed(0, "start\n");
    bvt_assert_ok(bvi_job_log_tail(bvt_dir(), 1, 100, &out, &pos, &err), err);
    ck_assert_int_eq(link(bvt_path("logs"), bvt_path("held")), 0); /* its inode is not used again */
    for (int i = 0; i < 1000; i++)
        feed(0, bvt_format("%08d\n", i));
    bvi_job_log_done(&writer);
    bvt_assert_ok(bvi_job_log_next(bvt_dir(), &pos, 1u << 20, &out, &gap, &err), err);
    ck_assert(gap);
    bvi_buf_done(&out);
    close(dir);
}
END_TEST

BVT_MAIN("job/log", bvt_loop(streams_share_a_file_by_lines, mixes),
         bvt_test(long_lines_are_cut_and_marked), bvt_test(files_rotate_at_their_capacity),
         bvt_test(a_restarted_writer_goes_on), bvt_test(lines_get_the_time),
         bvt_test(a_full_disk_loses_output_and_nothing_else),
         bvt_test(a_missing_directory_is_survived), bvt_loop(the_last_lines_over_all_files, tails),
         bvt_test(a_line_without_end_counts), bvt_test(nothing_yet_is_empty),
         bvt_test(following_survives_rotation), bvt_test(a_slow_reader_is_told_of_the_gap))
