/* The ring of events: reading, waiting, falling behind, and a daemon that began anew. */
#include "bvt.h"
#include "node/events.h"

typedef struct answer {
    bool done;
    int code;
    bvi_json *doc;
    bv_op *op;
} answer;

typedef struct fixture {
    bvt_clock clock;
    bv_ctx *ctx;
    bvi_events *events;
} fixture;

static void open_fixture(fixture *f)
{
    bv_ctx_opts opts = BV_CTX_OPTS_INIT;
    bv_error *err = NULL;

    bvt_clock_init(&f->clock);
    opts.clock = &f->clock.clock;
    bvt_assert_ok(bv_ctx_new(&opts, &f->ctx, &err), err);
    bvt_assert_ok(bvi_events_new(f->ctx, NULL, &f->events, &err), err);
}

static void settle(fixture *f)
{
    for (int i = 0; i < 20; i++)
        ck_assert_int_ge(bv_ctx_dispatch(f->ctx, 0), 0);
}

static void close_fixture(fixture *f)
{
    bvi_events_free(f->events);
    settle(f);
    bv_ctx_free(f->ctx);
}

static void keep(bv_op *op, const bvi_json *result, const bv_error *err, void *data)
{
    answer *a = data;

    ck_assert(!a->done);
    a->done = true;
    a->code = bv_error_code(err);
    a->doc = result ? bvi_json_copy(result) : NULL;
}

static void read_events(fixture *f, int64_t after, int64_t wait_ms, answer *a)
{
    bvi_reply *reply = NULL;

    *a = (answer){ 0 };
    ck_assert_int_eq(bvi_reply_new(f->ctx, keep, a, &reply, &a->op, NULL), 0);
    bvi_events_read(f->events, after, wait_ms, reply);
    settle(f);
}

static void answer_done(answer *a)
{
    ck_assert(a->done);
    bvi_json_free(a->doc);
    bv_op_unref(a->op);
}

static size_t count(const answer *a)
{
    return bvi_json_count(bvi_json_find(a->doc, "events"));
}

static int64_t number(const bvi_json *object, const char *key)
{
    int64_t value = -1;

    ck_assert_int_eq(bvi_json_int64(bvi_json_find(object, key), &value), 0);
    return value;
}

START_TEST(reads_from_a_cursor)
{
    fixture f;
    answer a;
    const bvi_json *first;

    open_fixture(&f);
    read_events(&f, 0, 0, &a);
    ck_assert_uint_eq(count(&a), 0);
    ck_assert_int_eq(number(a.doc, "next"), 0);
    answer_done(&a);
    bvi_events_add(f.events, "one", "n", NULL, "text %d", 7);
    bvi_events_add(f.events, "two", NULL, "j", "x");
    read_events(&f, 1, 0, &a);
    ck_assert_uint_eq(count(&a), 1);
    first = bvi_json_first(bvi_json_find(a.doc, "events"));
    ck_assert_str_eq(bvi_json_string(bvi_json_find(first, "type")), "two");
    ck_assert_int_eq(number(first, "seq"), 2);
    ck_assert_int_eq(number(first, "time_ms"), INT64_C(1704067200000));
    ck_assert_int_eq(number(a.doc, "next"), 2);
    answer_done(&a);
    read_events(&f, -1, 0, &a); /* only new ones */
    ck_assert_uint_eq(count(&a), 0);
    answer_done(&a);
    close_fixture(&f);
}
END_TEST

START_TEST(waits_for_the_next)
{
    fixture f;
    answer a, b;

    open_fixture(&f);
    bvi_events_add(f.events, "old", NULL, NULL, "x");
    read_events(&f, -1, 1000, &a);
    read_events(&f, 1, 5000, &b);
    ck_assert(!a.done && !b.done);
    bvt_clock_advance(&f.clock, 1000000);
    settle(&f);
    ck_assert(a.done && !b.done);
    ck_assert_uint_eq(count(&a), 0);
    bvi_events_add(f.events, "new", NULL, NULL, "x");
    settle(&f);
    ck_assert_uint_eq(count(&b), 1);
    answer_done(&a);
    answer_done(&b);
    close_fixture(&f);
}
END_TEST

START_TEST(bounds_the_wait)
{
    fixture f;
    answer a;

    open_fixture(&f);
    read_events(&f, -1, INT64_MAX, &a);
    ck_assert(!a.done);
    bvt_clock_advance(&f.clock, BVI_EVENTS_WAIT_MAX_MS * INT64_C(1000));
    settle(&f);
    answer_done(&a);
    read_events(&f, INT64_MAX, INT64_MIN, &a);
    answer_done(&a);
    close_fixture(&f);
}
END_TEST

/* A cursor of an earlier run is larger than anything counted here. */
START_TEST(begins_anew_for_an_old_cursor)
{
    fixture f;
    answer a;

    open_fixture(&f);
    read_events(&f, 5000, 1000, &a);
    ck_assert(!a.done);
    bvi_events_add(f.events, "first", NULL, NULL, "x");
    settle(&f);
    ck_assert_uint_eq(count(&a), 1);
    answer_done(&a);
    read_events(&f, 5000, 1000, &a);
    ck_assert_uint_eq(count(&a), 1);
    ck_assert_int_eq(number(a.doc, "next"), 1);
    answer_done(&a);
    close_fixture(&f);
}
END_TEST

START_TEST(forgets_the_oldest)
{
    fixture f;
    answer a;

    open_fixture(&f);
    for (unsigned i = 0; i < BVI_EVENTS_KEPT + 10; i++)
        bvi_events_add(f.events, "e", NULL, NULL, "%u", i);
    read_events(&f, 0, 0, &a);
    ck_assert_uint_eq(count(&a), BVI_EVENTS_KEPT);
    ck_assert_int_eq(number(bvi_json_first(bvi_json_find(a.doc, "events")), "seq"), 11);
    answer_done(&a);
    close_fixture(&f);
}
END_TEST

START_TEST(cuts_long_messages)
{
    static char long_text[100000];
    fixture f;
    answer a;

    open_fixture(&f);
    for (size_t i = 0; i + 2 < sizeof(long_text); i += 2)
        memcpy(long_text + i, "\xC3\xA4", 2);
    bvi_events_add(f.events, "e", NULL, NULL, "x%s", long_text);
    read_events(&f, 0, 0, &a);
    ck_assert_int_eq(a.code, 0);
    ck_assert_uint_lt(strlen(bvi_json_string(bvi_json_find(
                          bvi_json_first(bvi_json_find(a.doc, "events")), "message"))),
                      3000);
    answer_done(&a);
    close_fixture(&f);
}
END_TEST

START_TEST(ends_its_readers)
{
    fixture f;
    answer a, b, many[BVI_EVENTS_WAITERS_MAX];

    open_fixture(&f);
    read_events(&f, -1, 1000, &a);
    bv_op_cancel(a.op);
    settle(&f);
    ck_assert_int_eq(a.code, BV_E_CANCELLED);
    for (unsigned i = 0; i < BVI_EVENTS_WAITERS_MAX; i++)
        read_events(&f, -1, 1000, &many[i]);
    read_events(&f, -1, 1000, &b);
    ck_assert_int_eq(b.code, BV_E_BUSY);
    bvi_events_free(bvi_take(f.events));
    settle(&f);
    for (unsigned i = 0; i < BVI_EVENTS_WAITERS_MAX; i++) {
        ck_assert_int_eq(many[i].code, BV_E_CANCELLED);
        answer_done(&many[i]);
    }
    answer_done(&a);
    answer_done(&b);
    close_fixture(&f);
}
END_TEST

static int64_t next_number(fixture *f)
{
    int64_t next;
    answer a;

    bvi_events_add(f->events, "e", NULL, NULL, "x");
    read_events(f, -1, 0, &a);
    next = number(a.doc, "next");
    answer_done(&a);
    return next;
}

static void reopen(fixture *f)
{
    bv_error *err = NULL;

    bvt_assert_ok(bvi_events_new(f->ctx, bvt_path("seq"), &f->events, &err), err);
}

START_TEST(numbers_go_on)
{
    bvi_events *crashed;
    int64_t last;
    fixture f;

    open_fixture(&f);
    bvi_events_free(f.events);
    reopen(&f);
    ck_assert_int_eq(next_number(&f), 1);
    for (int i = 0; i < 3000; i++)
        last = next_number(&f);
    ck_assert_int_eq(last, 3001);
    bvi_events_free(f.events);
    reopen(&f); /* an orderly end leaves no gap */
    ck_assert_int_eq(next_number(&f), 3002);
    crashed = f.events;
    reopen(&f); /* after a crash numbers are left out, and none is given twice */
    last = next_number(&f);
    ck_assert_int_gt(last, 3002);
    ck_assert_int_le(last, 3003 + 1024);
    bvi_events_free(crashed);
    close_fixture(&f);
}
END_TEST

static const char *const bad_files[] = { "", "x\n", "-5\n", "12", "99999999999999999999\n" };

START_TEST(a_bad_file_begins_anew)
{
    fixture f;

    open_fixture(&f);
    bvi_events_free(f.events);
    (void)bvt_write_file("seq", bad_files[_i]);
    reopen(&f);
    ck_assert_int_eq(next_number(&f), 1);
    close_fixture(&f);
}
END_TEST

START_TEST(survives_every_failed_allocation)
{
    fixture f;
    answer warm;

    open_fixture(&f);
    read_events(&f, -1, 1, &warm); /* the context keeps its room for timers */
    bvt_clock_advance(&f.clock, 1000);
    settle(&f);
    answer_done(&warm);
    bvt_for_each_failed_allocation(n) {
        bvi_events *events = NULL;
        bvi_reply *reply = NULL;
        answer a = { 0 };

        if (bvi_events_new(f.ctx, bvt_path("seq"), &events, NULL) == 0) {
            bvi_events_add(events, "type", "node", "job", "message %d", 1);
            if (bvi_reply_new(f.ctx, keep, &a, &reply, NULL, NULL) == 0) {
                bvi_events_read(events, (int64_t)(n % 2), 100, reply);
                settle(&f);
                bvi_events_add(events, "type", "node", "job", "message %d", 2);
                settle(&f);
                if (!a.done)
                    bvi_events_free(bvi_take(events));
                settle(&f);
                ck_assert(a.done);
            }
        }
        bvi_json_free(a.doc);
        bvi_events_free(events);
    }
    close_fixture(&f);
}
END_TEST

BVT_MAIN("node/events", bvt_test(reads_from_a_cursor), bvt_test(waits_for_the_next),
         bvt_test(bounds_the_wait), bvt_test(begins_anew_for_an_old_cursor),
         bvt_test(forgets_the_oldest), bvt_test(cuts_long_messages), bvt_test(ends_its_readers),
         bvt_test(numbers_go_on), bvt_loop(a_bad_file_begins_anew, bad_files),
         bvt_test(survives_every_failed_allocation))
