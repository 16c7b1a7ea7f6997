/* file_read and file_write: every size around a piece, what is refused, and that nothing half-done
 * is ever seen. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent.pb-c.h"
#include "agent/message.h"
#include "agent/node_file.h"
#include "agent/protocol.h"
#include "fixture.h"
#include "net/rpc.h"

static const size_t sizes[] = {
    0,
    1,
    BVI_AGENT_PIECE_MAX - 1,
    BVI_AGENT_PIECE_MAX,
    BVI_AGENT_PIECE_MAX + 1,
    9u * 1024u * 1024u + 17,
};

START_TEST(files_survive_the_journey)
{
    char *bytes = malloc(sizes[_i] + 1);
    size_t len = 0;
    struct stat st;
    fixture f;
    answer a;

    for (size_t i = 0; i < sizes[_i]; i++)
        bytes[i] = (char)(i * 31 + i / 251);
    make_node();
    fixture_open(&f, 1, NULL);
    ask(&f, bvi_agent_file_write, &a, "/tmp/file", bytes, sizes[_i]);
    assert_answer_ok(&a);
    answer_done(&a);
    ck_assert_mem_eq(bvt_read_file(bvt_path("n/tmp/file"), &len), bytes, sizes[_i]);
    ck_assert_uint_eq(len, sizes[_i]);
    ck_assert_int_eq(stat(bvt_path("n/tmp/file"), &st), 0);
    ck_assert_int_eq(st.st_mode & 0007, 0);

    ask(&f, bvi_agent_file_read, &a, "/tmp/file");
    assert_answer_ok(&a);
    ck_assert_uint_eq(a.result.out_len, sizes[_i]);
    ck_assert_mem_eq(a.result.out, bytes, sizes[_i]);
    answer_done(&a);
    free(bytes);
    fixture_close(&f);
}
END_TEST

static void prepare_places(void)
{
    bvt_write_file("outside", "secret");
    bvt_write_file("n/tmp/inside", "inside");
    ck_assert_int_eq(symlink("../../outside", bvt_path("n/tmp/escape")), 0);
    ck_assert_int_eq(symlink("/tmp/inside", bvt_path("n/tmp/link")), 0);
    ck_assert_int_eq(symlink("/", bvt_path("n/tmp/root")), 0);
    ck_assert_int_eq(mkfifo(bvt_path("n/tmp/fifo"), 0600), 0);
}

static const struct {
    const char *path;
    int code;
    const char *says;
} places[] = {
    { "/tmp/inside", 0, "inside" },
    { "/tmp/link", 0, "inside" }, /* an absolute link stays in the node */
    { "/tmp/root/tmp/inside", 0, "inside" },
    { "/../tmp/inside", 0, "inside" }, /* the root is its own parent */
    { "/tmp/escape", BV_E_NOT_FOUND, "file_read '/tmp/escape' failed" },
    { "/tmp/none", BV_E_NOT_FOUND, "none" },
    { "/tmp", BV_E_INVALID, "not an ordinary file" },
    { "/tmp/fifo", BV_E_INVALID, "not an ordinary file" },
    { "/tmp/", BV_E_INVALID, "does not name a file" },
    { "/tmp/..", BV_E_INVALID, "does not name a file" },
    { "tmp/inside", BV_E_INVALID, "not an absolute path" },
    { "", BV_E_INVALID, "not an absolute path" },
    { "/tmp/inside/x", BV_E_NOT_FOUND, "inside" },
};

START_TEST(reads_only_files_of_the_node)
{
    fixture f;
    answer a;

    make_node();
    prepare_places();
    fixture_open(&f, 0, NULL);
    ask(&f, bvi_agent_file_read, &a, places[_i].path);
    if (places[_i].code == 0) {
        assert_answer_ok(&a);
        ck_assert_str_eq(a.result.out, places[_i].says);
    } else {
        assert_answer_says(&a, places[_i].code, places[_i].says);
    }
    answer_done(&a);
    fixture_close(&f);
}
END_TEST

static const struct {
    const char *path;
    int code;
    const char *says;
    const char *result; /* below the test's directory */
} targets[] = {
    { "/tmp/new", 0, "", "n/tmp/new" },
    { "/tmp/root/tmp/new", 0, "", "n/tmp/new" },
    { "/tmp/link", 0, "", "n/tmp/link" },     /* the link itself is replaced */
    { "/tmp/escape", 0, "", "n/tmp/escape" }, /* likewise */
    { "/none/new", BV_E_NOT_FOUND, "has to exist", NULL },
    { "/tmp", BV_E_INVALID, "not an ordinary file", NULL },
    { "/tmp/fifo", BV_E_INVALID, "not an ordinary file", NULL },
    { "new", BV_E_INVALID, "not an absolute path", NULL },
    { "/tmp/inside/new", BV_E_NOT_FOUND, "has to exist", NULL },
};

/* Nothing temporary is left beside the target. */
static void assert_clean(void)
{
    ck_assert_int_ne(system(bvt_format("ls -A %s | grep -q '^\\.bv-'", bvt_path("n/tmp"))), 0);
}

START_TEST(writes_only_files_of_the_node)
{
    fixture f;
    answer a;

    make_node();
    prepare_places();
    fixture_open(&f, 0, NULL);
    ask(&f, bvi_agent_file_write, &a, targets[_i].path, "hello", 5);
    assert_answer_says(&a, targets[_i].code, targets[_i].says);
    if (targets[_i].result)
        ck_assert_str_eq(bvt_read_file(bvt_path("%s", targets[_i].result), NULL), "hello");
    ck_assert_str_eq(bvt_read_file(bvt_path("outside"), NULL), "secret");
    ck_assert_str_eq(bvt_read_file(bvt_path("n/tmp/inside"), NULL), "inside");
    assert_clean();
    answer_done(&a);
    fixture_close(&f);
}
END_TEST

START_TEST(a_replaced_file_keeps_its_mode)
{
    struct stat st;
    fixture f;
    answer a;

    make_node();
    ck_assert_int_eq(chmod(bvt_write_file("n/tmp/file", "old"), 0640), 0);
    fixture_open(&f, 0, NULL);
    ask(&f, bvi_agent_file_write, &a, "/tmp/file", "new", 3);
    assert_answer_ok(&a);
    answer_done(&a);
    ck_assert_int_eq(stat(bvt_path("n/tmp/file"), &st), 0);
    ck_assert_int_eq(st.st_mode & 0777, 0640);
    fixture_close(&f);
}
END_TEST

START_TEST(too_much_is_refused)
{
    char *bytes = calloc(1, (size_t)BVI_AGENT_FILE_MAX + 1);
    bvi_agent_wait wait = { 0 };
    bv_error *err = NULL;
    fixture f;
    answer a;

    make_node();
    fixture_open(&f, 0, NULL);
    ck_assert_int_eq(bvi_agent_file_write(f.client, "/tmp/x", bytes, (size_t)BVI_AGENT_FILE_MAX + 1,
                                          &wait, NULL, &err),
                     BV_E_LIMIT);
    bvt_assert_error_says(err, BV_E_LIMIT, "file_write '/tmp/x'");
    bv_error_free(err);
    free(bytes);
    bvt_write_file("n/tmp/big", "");
    ck_assert_int_eq(truncate(bvt_path("n/tmp/big"), (off_t)BVI_AGENT_FILE_MAX + 1), 0);
    ask(&f, bvi_agent_file_read, &a, "/tmp/big");
    assert_answer_says(&a, BV_E_LIMIT, "more than the limit");
    answer_done(&a);
    fixture_close(&f);
}
END_TEST

/* ---- a client that does not keep to the rules ---- */

typedef struct raw {
    fixture f;
    bvi_rpc_client *rpc;
    bool done;
    int code;
} raw;

static void on_raw(bvi_rpc_request *request, const bvi_rpc_reply *reply, void *data)
{
    raw *w = data;

    w->code = bv_error_code(reply->err);
    w->done = true;
}

static int raw_write(raw *w, uint64_t transfer, const char *path, uint64_t offset,
                     const char *bytes, const char *digest)
{
    Bvi__Agent__FileWriteRequest request = BVI__AGENT__FILE_WRITE_REQUEST__INIT;
    bvi_buf body = BVI_BUF_INIT(10000);
    bvi_rpc_request_opts opts = {
        .method = BVI_CALL_FILE_WRITE, .on_reply = on_raw, .data = w, .deadline_ms = 20000
    };

    request.transfer = transfer;
    request.path = (char *)(uintptr_t)path;
    request.offset = offset;
    request.bytes = bvi_message_bytes(bytes, strlen(bytes));
    request.digest = bvi_message_bytes(digest, digest ? strlen(digest) : 0);
    ck_assert_int_eq(bvi_message_encode(&request.base, &body, NULL), 0);
    opts.body = body.data;
    opts.len = body.len;
    w->done = false;
    ck_assert_int_eq(bvi_rpc_request_start(w->rpc, &opts, NULL, NULL), 0);
    dispatch_until(w->f.ctx, &w->done);
    bvi_buf_done(&body);
    return w->code;
}

START_TEST(broken_writes_leave_nothing)
{
    bvi_rpc_client_opts opts = {
        .path = bvt_path("n/run/blockvisor/babel.socket"),
        .self = { .program = "test", .version = "1" },
    };
    raw w = { 0 };

    make_node();
    bvt_write_file("n/tmp/old", "old");
    fixture_open(&w.f, 0, NULL);
    ck_assert_int_eq(bvi_rpc_client_new(w.f.ctx, &opts, &w.rpc, NULL), 0);
    ck_assert_int_eq(raw_write(&w, 1, "/tmp/a", 5, "x", NULL), BV_E_STATE); /* no beginning */
    ck_assert_int_eq(raw_write(&w, 2, "/tmp/a", 0, "x", "short"), BV_E_FORMAT);
    ck_assert_int_eq(raw_write(&w, 3, "/tmp/a", 0, "abc", NULL), 0);
    ck_assert_int_eq(raw_write(&w, 3, "/tmp/a", 2, "d", NULL),
                     BV_E_STATE); /* overlaps: the write is given up */
    ck_assert_int_eq(raw_write(&w, 3, "/tmp/a", 3, "d", NULL), BV_E_STATE);
    assert_clean();
    ck_assert_int_eq(raw_write(&w, 4, "/tmp/old", 0, "new", "0123456789abcdef0123456789abcdef"),
                     BV_E_CHECKSUM);
    assert_clean();
    ck_assert_str_eq(bvt_read_file(bvt_path("n/tmp/old"), NULL), "old");
    for (uint64_t i = 0; i < BVI_AGENT_UPLOADS_MAX; i++)
        ck_assert_int_eq(raw_write(&w, 100 + i, "/tmp/many", 0, "x", NULL), 0);
    ck_assert_int_eq(raw_write(&w, 99, "/tmp/many", 0, "x", NULL), BV_E_BUSY);
    bvi_rpc_client_free(w.rpc);
    fixture_close(&w.f); /* gives up the open ones */
    assert_clean();
}
END_TEST

BVT_MAIN("agent/files", bvt_loop(files_survive_the_journey, sizes),
         bvt_loop(reads_only_files_of_the_node, places),
         bvt_loop(writes_only_files_of_the_node, targets), bvt_test(a_replaced_file_keeps_its_mode),
         bvt_test(too_much_is_refused), bvt_test(broken_writes_leave_nothing))
