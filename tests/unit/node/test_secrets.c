/* Secrets: a node's own, the operator's for all nodes, and files that cannot be used. */
#include <sys/stat.h>
#include <unistd.h>

#include "sys/fs.h"
#include "world.h"

static void common(world *w, const char *text)
{
    ck_assert_int_eq(bvi_fs_mkdir(bvt_format("%s/etc/blockvisor", w->paths.root), 0755, NULL), 0);
    ck_assert_int_eq(bvi_fs_replace(w->paths.secrets, text, strlen(text), 0600, NULL), 0);
}

static answer *run(world *w, const char *method, const char *param)
{
    return world_call(w, "node.run",
                      bvt_format("{'node':'n','method':'%s','param':'%s'}", method, param));
}

static void assert_secret(world *w, const char *key, const char *value)
{
    answer *a = run(w, "secret", key);

    assert_ok(a);
    ck_assert_str_eq(bvi_json_string(bvi_json_find(a->result, "value")), value);
}

START_TEST(keeps_and_finds)
{
    struct stat st;
    world w;

    world_open(&w);
    world_start(&w);
    world_assert(run(&w, "secret", "k"), BV_E_REMOTE, "not_found");
    common(&w, "{\"shared\":\"s3\",\"k\":\"theirs\"}");
    assert_secret(&w, "shared", "s3");
    assert_ok(run(&w, "keep", "mine"));
    assert_secret(&w, "k", "mine"); /* its own comes first */
    assert_ok(run(&w, "keep", ""));
    assert_secret(&w, "k", "");
    assert_ok(run(&w, "keep", "kept"));
    ck_assert_int_eq(stat(world_node(&w)->paths.secrets, &st), 0);
    ck_assert_uint_eq(st.st_mode & 0777, 0600);
    ck_assert_ptr_null(strstr(w.log.text, "kept"));
    world_crash(&w);
    world_load(&w);
    world_settle(&w);
    assert_secret(&w, "k", "kept");
    world_close(&w);
}
END_TEST

static const char *const damages[] = { "{", "[]", "{\"k\":7}" };

START_TEST(files_that_cannot_be_used)
{
    char *bytes = NULL;
    size_t len = 0;
    world w;

    world_open(&w);
    world_create(&w);
    common(&w, damages[_i]);
    ck_assert_int_eq(bvi_node_get_secret(world_node(&w), "k", &bytes, &len, NULL), BV_E_FORMAT);
    ck_assert_int_eq(unlink(w.paths.secrets), 0);
    ck_assert_int_eq(
        bvi_fs_replace(world_node(&w)->paths.secrets, damages[_i], strlen(damages[_i]), 0600, NULL),
        0);
    ck_assert_int_eq(bvi_node_get_secret(world_node(&w), "k", &bytes, &len, NULL), BV_E_FORMAT);
    world_close(&w);
}
END_TEST

START_TEST(is_bounded)
{
    static char large[64 * 1024 + 1];
    bv_error *err = NULL;
    world w;

    world_open(&w);
    world_create(&w);
    ck_assert_int_eq(bvi_node_put_secret(world_node(&w), "k", large, sizeof(large), NULL),
                     BV_E_LIMIT);
    for (int i = 0; i < 64; i++)
        bvt_assert_ok(bvi_node_put_secret(world_node(&w), bvt_format("k%d", i), "\0\xff", 2, &err),
                      err);
    ck_assert_int_eq(bvi_node_put_secret(world_node(&w), "more", "x", 1, NULL), BV_E_LIMIT);
    bvt_assert_ok(bvi_node_put_secret(world_node(&w), "k7", "y", 1, &err), err); /* replaced */
    world_close(&w);
}
END_TEST

START_TEST(survives_every_failed_allocation)
{
    world w;

    world_open(&w);
    world_create(&w);
    bvt_for_each_failed_allocation(n) {
        char *bytes = NULL;
        size_t len = 0;

        if (bvi_node_put_secret(world_node(&w), "k", "value", 5, NULL) == 0 &&
            bvi_node_get_secret(world_node(&w), "k", &bytes, &len, NULL) == 0)
            ck_assert_uint_eq(len, 5);
        bvi_free(bytes);
    }
    world_close(&w);
}
END_TEST

BVT_MAIN("node/secrets", bvt_test(keeps_and_finds), bvt_loop(files_that_cannot_be_used, damages),
         bvt_test(is_bounded), bvt_test(survives_every_failed_allocation))
