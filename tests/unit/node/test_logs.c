/* A job's output as the host reads it: from a root that the node may have filled with anything. */
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sys/fs.h"
#include "world.h"

static const char *log_path(world *w, const char *name)
{
    return bvt_format("%s/var/lib/babel/jobs/svc/%s", world_node(w)->paths.rootfs, name);
}

static void append(world *w, const char *text, size_t len)
{
    FILE *f = fopen(log_path(w, "logs"), "a");

    ck_assert_ptr_nonnull(f);
    ck_assert_uint_eq(fwrite(text, 1, len, f), len);
    ck_assert_int_eq(fclose(f), 0);
}

#define say(w, text) append((w), (text), strlen(text))

static void open_with_job(world *w)
{
    world_open(w);
    world_create(w);
    ck_assert_int_eq(bvi_fs_mkdir(log_path(w, ""), 0755, NULL), 0);
}

static const char *text_of(const answer *a)
{
    return bvi_json_string(bvi_json_find(a->result, "text"));
}

static const char *follow_args(const answer *a, int wait_ms)
{
    return bvt_format("{'node':'n','job':'svc','cursor':'%s','wait_ms':%d}",
                      bvi_json_string(bvi_json_find(a->result, "cursor")), wait_ms);
}

START_TEST(reads_the_tail)
{
    world w;
    answer *a;

    open_with_job(&w);
    a = world_call(&w, "job.logs", "{'node':'n','job':'svc'}");
    assert_ok(a);
    ck_assert_str_eq(text_of(a), "");
    say(&w, "one\ntwo\nthree\n");
    a = world_call(&w, "job.logs", "{'node':'n','job':'svc','lines':2}");
    ck_assert_str_eq(text_of(a), "two\nthree\n");
    a = world_call(&w, "job.logs", "{'node':'n','job':'svc','lines':0}"); /* the default */
    ck_assert_str_eq(text_of(a), "one\ntwo\nthree\n");
    world_close(&w);
}
END_TEST

START_TEST(follows)
{
    world w;
    answer *a, *b;

    open_with_job(&w);
    say(&w, "one\n");
    a = world_call(&w, "job.logs", "{'node':'n','job':'svc'}");
    b = world_begin(&w, "job.logs", follow_args(a, 5000));
    world_pass(&w, SECOND_US);
    ck_assert(!b->done);
    say(&w, "two\n");
    world_pass(&w, SECOND_US);
    assert_ok(b);
    ck_assert_str_eq(text_of(b), "two\n");
    ck_assert_int_eq(rename(log_path(&w, "logs"), log_path(&w, "logs.1")),
                     0); /* rotated meanwhile */
    say(&w, "three\n");
    a = world_call(&w, "job.logs", follow_args(b, 5000));
    ck_assert_str_eq(text_of(a), "three\n");
    b = world_begin(&w, "job.logs", follow_args(a, 2000));
    world_pass(&w, 3 * SECOND_US);
    assert_ok(b); /* the time is over */
    ck_assert_str_eq(text_of(b), "");
    world_close(&w);
}
END_TEST

START_TEST(repairs_bytes_that_are_no_text)
{
    world w;
    answer *a;

    open_with_job(&w);
    append(&w,
           "a\xFF"
           "b\0c\n",
           6);
    a = world_call(&w, "job.logs", "{'node':'n','job':'svc'}");
    assert_ok(a);
    ck_assert_msg(strncmp(text_of(a),
                          "a\xEF\xBF\xBD"
                          "b",
                          5) == 0,
                  "'%s'", text_of(a));
    ck_assert_ptr_nonnull(strstr(text_of(a), "c\n")); /* nothing after a zero is lost */
    world_close(&w);
}
END_TEST

static const struct {
    const char *args;
    int code;
    const char *says;
} refused[] = {
    { "{'node':'n'}", BV_E_FORMAT, "'job' is missing" },
    { "{'node':'n','job':'../../../etc'}", BV_E_INVALID, "not a job name" },
    { "{'node':'n','job':'none'}", BV_E_NOT_FOUND, "no logs of job 'none'" },
    { "{'node':'n','job':'svc','cursor':'x'}", BV_E_INVALID, "not a cursor" },
    { "{'node':'n','job':'svc','cursor':'1:2:3'}", BV_E_INVALID, "not a cursor" },
    { "{'node':'n','job':'svc','cursor':'-1:-2'}", BV_E_INVALID, "not a cursor" },
    { "{'node':'n','job':'svc','lines':-1}", BV_E_FORMAT, "'lines'" },
    { "{'node':'n','job':'svc','wait_ms':'x'}", BV_E_FORMAT, "'wait_ms'" },
};

START_TEST(refuses)
{
    world w;

    open_with_job(&w);
    world_assert(world_call(&w, "job.logs", refused[_i].args), refused[_i].code, refused[_i].says);
    world_close(&w);
}
END_TEST

/* What a node may put where its logs are. */
START_TEST(follows_no_links)
{
    world w;
    answer *a;
    const char *secret;

    open_with_job(&w);
    secret = bvt_write_file("secret", "the host's\n");
    switch (_i) {
    case 0:
        ck_assert_int_eq(symlink(secret, log_path(&w, "logs")), 0);
        break;
    case 1:
        ck_assert_int_eq(mkfifo(log_path(&w, "logs"), 0644), 0); /* would block */
        break;
    case 2:
        ck_assert_int_eq(mkdir(log_path(&w, "logs"), 0755), 0);
        break;
    default:
        ck_assert_int_eq(
            bvi_fs_remove_tree(
                bvt_format("%s/var/lib/babel/jobs/svc", world_node(&w)->paths.rootfs), NULL),
            0);
        ck_assert_int_eq(rename(secret, bvt_path("logs")), 0);
        ck_assert_int_eq(symlink(bvt_dir(), bvt_format("%s/var/lib/babel/jobs/svc",
                                                       world_node(&w)->paths.rootfs)),
                         0);
    }
    a = world_call(&w, "job.logs", "{'node':'n','job':'svc'}");
    ck_assert_int_ne(a->code, 0);
    ck_assert_ptr_null(strstr(a->story, "the host's"));
    world_close(&w);
}
END_TEST

START_TEST(readers_end)
{
    world w;
    answer *a, *b;

    open_with_job(&w);
    a = world_begin(&w, "job.logs",
                    "{'node':'n','job':'svc','cursor':'0:0','wait_ms':18446744073709551615}");
    world_pass(&w, SECOND_US);
    bv_op_cancel(a->op);
    world_settle(&w);
    world_assert(a, BV_E_CANCELLED, "");
    a = world_begin(&w, "job.logs",
                    "{'node':'n','job':'svc','cursor':'0:0','wait_ms':18446744073709551615}");
    b = world_begin(&w, "job.logs", "{'node':'n','job':'svc','cursor':'0:0','wait_ms':100000}");
    assert_ok(world_do(&w, "node.delete"));
    world_pass(&w, SECOND_US);
    ck_assert(a->done && b->done); /* there is nothing to follow any longer */
    world_close(&w);
}
END_TEST

START_TEST(limits_readers)
{
    world w;
    answer *a = NULL;

    open_with_job(&w);
    for (int i = 0; i < 257; i++)
        a = world_begin(&w, "job.logs", "{'node':'n','job':'svc','cursor':'0:0','wait_ms':100000}");
    world_settle(&w);
    world_assert(a, BV_E_BUSY, "too many readers");
    world_crash(&w);
    world_settle(&w);
    world_close(&w);
}
END_TEST

BVT_MAIN("node/logs", bvt_test(reads_the_tail), bvt_test(follows),
         bvt_test(repairs_bytes_that_are_no_text), bvt_loop(refuses, refused),
         bvt_times(follows_no_links, 4), bvt_test(readers_end), bvt_test(limits_readers))
