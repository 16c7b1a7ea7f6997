/* The image store: imports from directories and tars in every layout, look-up, removal, crashes,
 * and what is refused. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bvt.h"
#include "image/image_store.h"
#include "image/image_tree.h"
#include "sys/fs.h"
#include "sys/proc.h"

#define WAIT_MS 30000

static const char yaml[] =
    "version: 1.2.3\ncontainer_uri: docker://o/p/v:1\nprotocol_key: chain\nvisibility: public\n"
    "firewall_config: {default_in: deny, default_out: allow, rules: []}\nproperties: []\n"
    "variants: [{key: main-full, sku_code: A-B-C, archive_pointers: [], min_cpu: 1,"
    " min_memory_mb: 2, min_disk_gb: 3}]\n";

typedef struct fixture {
    bv_ctx *ctx;
    bvi_image_store *store;
    bvt_log log;
    unsigned answers;
    int code;
    char story[4096];
    char id[80];
    unsigned reports;
} fixture;

static void open_fixture(fixture *f, unsigned workers)
{
    bv_ctx_opts opts = BV_CTX_OPTS_INIT;
    bv_error *err = NULL;

    memset(f, 0, sizeof(*f));
    opts.workers = workers;
    opts.log = bvt_log_sink;
    opts.log_data = &f->log;
    bvt_assert_ok(bv_ctx_new(&opts, &f->ctx, &err), err);
    bvt_assert_ok(bvi_image_store_open(f->ctx, bvt_path("images"), &f->store, &err), err);
}

static void close_fixture(fixture *f)
{
    bvi_image_store_free(f->store);
    bv_ctx_free(f->ctx);
}

static void answered(bv_op *op, const bvi_json *result, const bv_error *err, void *data)
{
    fixture *f = data;
    const char *id = bvi_json_string(bvi_json_find(result, "id"));

    (void)op;
    f->answers++;
    f->code = bv_error_code(err);
    (void)bv_error_format(err, f->story, sizeof(f->story));
    (void)snprintf(f->id, sizeof(f->id), "%s", id ? id : "");
}

static void wait_answer(fixture *f)
{
    unsigned before = f->answers;
    struct timespec start, now;

    (void)clock_gettime(CLOCK_MONOTONIC, &start);
    now = start;
    while (f->answers == before && now.tv_sec - start.tv_sec < WAIT_MS / 1000) {
        (void)bv_ctx_dispatch(f->ctx, 100);
        (void)clock_gettime(CLOCK_MONOTONIC, &now);
    }
    ck_assert_uint_eq(f->answers, before + 1);
}

static bvi_reply *new_reply(fixture *f, bv_op **ret_op)
{
    bvi_reply *reply = NULL;

    ck_assert_int_eq(bvi_reply_new(f->ctx, answered, f, &reply, ret_op, NULL), 0);
    return reply;
}

static int import(fixture *f, const char *path, const char *name)
{
    bvi_image_store_import(f->store, path, name, new_reply(f, NULL));
    wait_answer(f);
    return f->code;
}

static int remove_image(fixture *f, const char *key, bool (*in_use)(const char *id, void *data))
{
    bvi_image_store_remove(f->store, key, in_use, f, new_reply(f, NULL));
    wait_answer(f);
    return f->code;
}

#define assert_imported(f, path, name)                                                             \
    ck_assert_msg(import(f, path, name) == 0, "%s: %s", bv_code_name((f)->code), (f)->story)

static void put(const char *path, const char *text)
{
    const char *full = bvt_path("%s", path);

    ck_assert_int_eq(
        bvi_fs_mkdir(bvt_format("%.*s", (int)(strrchr(full, '/') - full), full), 0755, NULL), 0);
    (void)bvt_write_file(path, text);
}

static void make_plain(const char *dir)
{
    put(bvt_format("%s/bin/client", dir), "#!/bin/sh\n");
    put(bvt_format("%s/var/lib/babel/babel.yaml", dir), yaml);
    put(bvt_format("%s/var/lib/babel/plugin/main.rhai", dir), "fn init() {}\n");
    ck_assert_int_eq(symlink("client", bvt_path("%s/bin/alias", dir)), 0);
    ck_assert_int_eq(symlink("/etc/passwd", bvt_path("%s/bin/outside", dir)), 0);
}

static void make_bundle(const char *dir)
{
    put(bvt_format("%s/root/bin/client", dir), "#!/bin/sh\n");
    put(bvt_format("%s/babel.yaml", dir), yaml);
    put(bvt_format("%s/main.rhai", dir), "import \"aux\" as aux;\n");
    put(bvt_format("%s/aux.rhai", dir), "fn x() {}\n");
    put(bvt_format("%s/notes.txt", dir), "not part of the image\n");
}

static void run(const char *const *argv)
{
    bvi_spawn spawn = BVI_SPAWN_INIT;
    pid_t pid = 0;
    int status = 0;

    spawn.argv = argv;
    spawn.use_path = true;
    ck_assert_int_eq(bvi_proc_spawn(&spawn, &pid, NULL, NULL), 0);
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(status, 0);
}

/* Besides images there are the lock and nothing else. */
static void assert_tidy(size_t images)
{
    BVI_AUTO(bvi_strv_done) bvi_strv names = BVI_VEC_INIT(64);

    ck_assert_int_eq(bvi_fs_list(bvt_path("images"), &names, NULL), 0);
    ck_assert_msg(names.len == images + 1, "%zu entries, the first '%s'", names.len,
                  names.items[0]);
}

static const struct {
    unsigned workers;
} pools[] = { { 0 }, { 2 } };

START_TEST(imports_a_plain_root)
{
    fixture f;
    const bvi_image *image;
    char first[80];

    open_fixture(&f, pools[_i].workers);
    make_plain("src");
    assert_imported(&f, bvt_path("src"), NULL);
    ck_assert_uint_eq(strlen(f.id), 64);
    ck_assert_uint_eq(bvi_image_store_count(f.store), 1);
    image = bvi_image_store_at(f.store, 0);
    ck_assert_str_eq(bvi_image_id(image), f.id);
    ck_assert_str_eq(bvi_image_name(image), "chain/main-full:1.2.3");
    ck_assert_str_eq(bvi_image_meta_of(image)->version, "1.2.3");
    ck_assert_str_eq(bvi_image_root(image), bvt_path("images/%s/root", f.id));
    ck_assert(bvt_exists(bvt_path("images/%s/root/bin/alias", f.id)));
    ck_assert_str_eq(bvt_read_file(bvt_path("images/%s/babel.yaml", f.id), NULL), yaml);
    assert_tidy(1);

    /* The same again is the same image, also from elsewhere and with other times. */
    (void)snprintf(first, sizeof(first), "%s", f.id);
    make_plain("copy");
    assert_imported(&f, bvt_path("copy"), NULL);
    ck_assert_str_eq(f.id, first);
    ck_assert_uint_eq(bvi_image_store_count(f.store), 1);
    assert_tidy(1);

    /* One byte or one bit of a mode more is another one. */
    put("copy/bin/client", "#!/bin/sh\n ");
    assert_imported(&f, bvt_path("copy"), "other/name:9");
    ck_assert_str_ne(f.id, first);
    ck_assert_int_eq(chmod(bvt_path("copy/bin/client"), 0755), 0);
    (void)snprintf(first, sizeof(first), "%s", f.id);
    assert_imported(&f, bvt_path("copy"), "other/name:10");
    ck_assert_str_ne(f.id, first);
    ck_assert_uint_eq(bvi_image_store_count(f.store), 3);
    close_fixture(&f);
}
END_TEST

START_TEST(imports_a_bundle)
{
    fixture f;

    open_fixture(&f, 1);
    make_bundle("src");
    assert_imported(&f, bvt_path("src"), NULL);
    ck_assert_str_eq(bvt_read_file(bvt_path("images/%s/root/var/lib/babel/babel.yaml", f.id), NULL),
                     yaml);
    ck_assert(bvt_exists(bvt_path("images/%s/root/var/lib/babel/plugin/main.rhai", f.id)));
    ck_assert(bvt_exists(bvt_path("images/%s/root/var/lib/babel/plugin/aux.rhai", f.id)));
    ck_assert(bvt_exists(bvt_path("images/%s/root/bin/client", f.id)));
    ck_assert(!bvt_exists(bvt_path("images/%s/root/notes.txt", f.id)));
    ck_assert(!bvt_exists(bvt_path("src/root/var"))); /* the source is only read */
    assert_tidy(1);
    close_fixture(&f);
}
END_TEST

/* Scripts are copied to where the image has other things of their name: a pipe that nobody reads,
 * and (as root) a device of the host. They are replaced, never opened. */
START_TEST(plugin_files_replace_what_is_there)
{
    fixture f;
    struct stat st;

    open_fixture(&f, 1);
    make_bundle("src");
    ck_assert_int_eq(bvi_fs_mkdir(bvt_path("src/root/var/lib/babel/plugin"), 0755, NULL), 0);
    if (_i == 0)
        ck_assert_int_eq(mkfifo(bvt_path("src/root/var/lib/babel/plugin/aux.rhai"), 0644), 0);
    else if (mknod(bvt_path("src/root/var/lib/babel/plugin/aux.rhai"), S_IFCHR | 0644,
                   makedev(1, 7)) < 0) /* /dev/full: a write would fail */
        bvt_skip("no right to make device nodes");
    assert_imported(&f, bvt_path("src"), NULL);
    ck_assert_int_eq(lstat(bvt_path("images/%s/root/var/lib/babel/plugin/aux.rhai", f.id), &st), 0);
    ck_assert(S_ISREG(st.st_mode));
    close_fixture(&f);
}
END_TEST

static const struct {
    const char *file;
    const char *flag; /* for tar */
    bool bundle;
} tars[] = {
    { "image.tar", "--", false },
    { "image.tar.gz", "--gzip", false },
    { "image.tar.zst", "--zstd", false },
    { "name:with:colons.tar", "--", true },
};

START_TEST(imports_tars)
{
    fixture f;
    char from_tar[80];

    open_fixture(&f, 1);
    if (tars[_i].bundle)
        make_bundle("src");
    else
        make_plain("src");
    if (strcmp(tars[_i].flag, "--") == 0)
        run((const char *[]){ "tar", "--force-local", "-C", bvt_path("src"), "-cf",
                              bvt_path("%s", tars[_i].file), ".", NULL });
    else
        run((const char *[]){ "tar", tars[_i].flag, "-C", bvt_path("src"), "-cf",
                              bvt_path("%s", tars[_i].file), ".", NULL });
    assert_imported(&f, bvt_path("%s", tars[_i].file), NULL);
    (void)snprintf(from_tar, sizeof(from_tar), "%s", f.id);
    assert_tidy(1);
    assert_imported(&f, bvt_path("src"), NULL); /* the form it comes in does not matter */
    ck_assert_str_eq(f.id, from_tar);
    close_fixture(&f);
}
END_TEST

static void no_definition(void)
{
    make_plain("src");
    ck_assert_int_eq(unlink(bvt_path("src/var/lib/babel/babel.yaml")), 0);
}

static void no_plugin(void)
{
    make_plain("src");
    ck_assert_int_eq(unlink(bvt_path("src/var/lib/babel/plugin/main.rhai")), 0);
}

static void bundle_without_plugin(void)
{
    make_bundle("src");
    ck_assert_int_eq(unlink(bvt_path("src/main.rhai")), 0);
}

static void bad_definition(void)
{
    make_plain("src");
    put("src/var/lib/babel/babel.yaml", "version: one\n");
}

static void linked_definition(void)
{
    make_plain("src");
    ck_assert_int_eq(unlink(bvt_path("src/var/lib/babel/babel.yaml")), 0);
    ck_assert_int_eq(symlink("/etc/passwd", bvt_path("src/var/lib/babel/babel.yaml")), 0);
}

static void piped_definition(void)
{
    make_plain("src");
    ck_assert_int_eq(unlink(bvt_path("src/var/lib/babel/babel.yaml")), 0);
    ck_assert_int_eq(mkfifo(bvt_path("src/var/lib/babel/babel.yaml"), 0644), 0);
}

/* The place the plugin is copied to leads out of the image. */
static void leading_out(void)
{
    make_bundle("src");
    ck_assert_int_eq(symlink(bvt_path("victim"), bvt_path("src/root/var")), 0);
    ck_assert_int_eq(mkdir(bvt_path("victim"), 0755), 0);
}

static void not_a_tar(void)
{
    put("src", "this is no tar");
}

static void climbing_tar(void)
{
    put("victim", "not ours");
    ck_assert_int_eq(mkdir(bvt_path("in"), 0755), 0);
    run((const char *[]){ "tar", "-C", bvt_path("in"), "-P", "-cf", bvt_path("src"), "../victim",
                          NULL });
    ck_assert_int_eq(unlink(bvt_path("victim")), 0);
}

static void nothing(void)
{
}

static void empty_dir(void)
{
    ck_assert_int_eq(mkdir(bvt_path("src"), 0755), 0);
}

static const struct {
    void (*make)(void);
    int code;
    const char *says;
} refused[] = {
    { no_definition, BV_E_FORMAT, "no babel.yaml" },
    { no_plugin, BV_E_FORMAT, "no plugin (main.rhai)" },
    { bundle_without_plugin, BV_E_FORMAT, "no plugin (main.rhai)" },
    { bad_definition, BV_E_FORMAT, "version must be semantic" },
    { linked_definition, BV_E_INVALID, "symbolic link" },
    { piped_definition, BV_E_FORMAT, "is not a file" },
    { leading_out, BV_E_INVALID, "symbolic link" },
    { not_a_tar, BV_E_IO, "does not look like a tar archive" },
    { climbing_tar, BV_E_IO, "Member name contains '..'" },
    { nothing, BV_E_NOT_FOUND, "cannot look at" },
    { empty_dir, BV_E_FORMAT, "no babel.yaml" },
};

START_TEST(refuses_and_leaves_nothing)
{
    fixture f;

    open_fixture(&f, 1);
    refused[_i].make();
    ck_assert_int_lt(import(&f, bvt_path("src"), NULL), 0);
    ck_assert_msg(strstr(f.story, refused[_i].says) != NULL, "%s", f.story);
    ck_assert_msg(f.code == refused[_i].code, "%s: %s", bv_code_name(f.code), f.story);
    ck_assert_uint_eq(bvi_image_store_count(f.store), 0);
    assert_tidy(0);
    if (bvt_exists(bvt_path("victim")))
        ck_assert_int_eq(rmdir(bvt_path("victim")), 0); /* nothing was written there */
    close_fixture(&f);
}
END_TEST

START_TEST(refuses_bad_arguments)
{
    fixture f;

    open_fixture(&f, 1);
    make_plain("src");
    ck_assert_int_eq(import(&f, "relative/path", NULL), BV_E_INVALID);
    ck_assert_int_eq(import(&f, NULL, NULL), BV_E_INVALID);
    ck_assert_int_eq(import(&f, "/dev/null", NULL), BV_E_INVALID);
    ck_assert_int_eq(import(&f, bvt_path("src"), "../escape"), BV_E_INVALID);
    ck_assert_int_eq(import(&f, bvt_path("src"), "with blank"), BV_E_INVALID);
    ck_assert_int_eq(import(&f, bvt_path("src"), ""), BV_E_INVALID);
    assert_tidy(0);
    close_fixture(&f);
}
END_TEST

static bool always(const char *id, void *data)
{
    ck_assert_str_eq(id, bvi_image_id(bvi_image_store_at(((fixture *)data)->store, 0)));
    return true;
}

static bool never(const char *id, void *data)
{
    (void)id;
    (void)data;
    return false;
}

START_TEST(finds_and_removes)
{
    fixture f;
    char id[80];
    char prefix[16];

    open_fixture(&f, 1);
    make_plain("src");
    assert_imported(&f, bvt_path("src"), "z/late:1");
    (void)snprintf(id, sizeof(id), "%s", f.id);
    put("src/bin/more", "2");
    assert_imported(&f, bvt_path("src"), "a/early:1");
    put("src/bin/more", "3");
    assert_imported(&f, bvt_path("src"), "a/early:2");
    ck_assert_str_eq(bvi_image_name(bvi_image_store_at(f.store, 0)), "a/early:1");
    ck_assert_str_eq(bvi_image_name(bvi_image_store_at(f.store, 2)), "z/late:1");
    ck_assert_ptr_null(bvi_image_store_at(f.store, 3));

    (void)snprintf(prefix, sizeof(prefix), "%.8s", id);
    ck_assert_str_eq(bvi_image_id(bvi_image_store_find(f.store, id)), id);
    ck_assert_str_eq(bvi_image_id(bvi_image_store_find(f.store, prefix)), id);
    prefix[7] = '\0';
    ck_assert_ptr_null(bvi_image_store_find(f.store, prefix));
    ck_assert_str_eq(bvi_image_id(bvi_image_store_find(f.store, "z/late:1")), id);
    ck_assert_str_eq(bvi_image_name(bvi_image_store_find(f.store, "a/early")), "a/early:2");
    ck_assert_ptr_null(bvi_image_store_find(f.store, "a/earl"));
    ck_assert_ptr_null(bvi_image_store_find(f.store, ""));
    ck_assert_ptr_null(bvi_image_store_find(f.store, NULL));

    ck_assert_int_eq(remove_image(&f, "a/early:1", always), BV_E_BUSY);
    ck_assert_ptr_nonnull(strstr(f.story, "delete the node first"));
    ck_assert_int_eq(remove_image(&f, "nobody", never), BV_E_NOT_FOUND);
    ck_assert_int_eq(remove_image(&f, id, never), 0);
    ck_assert_uint_eq(bvi_image_store_count(f.store), 2);
    ck_assert_ptr_null(bvi_image_store_find(f.store, id));
    assert_tidy(2);
    ck_assert_int_eq(remove_image(&f, "a/early", NULL), 0);
    ck_assert_int_eq(remove_image(&f, "a/early", NULL), 0);
    assert_tidy(0);
    close_fixture(&f);
}
END_TEST

/* An image has one name; the id is that of its content. */
START_TEST(the_same_content_keeps_its_name)
{
    fixture f;

    open_fixture(&f, 1);
    make_plain("src");
    assert_imported(&f, bvt_path("src"), "a/first:1");
    assert_imported(&f, bvt_path("src"), "a/first:1");
    assert_imported(&f, bvt_path("src"), NULL);
    ck_assert_int_eq(import(&f, bvt_path("src"), "b/second:1"), BV_E_EXISTS);
    ck_assert_ptr_nonnull(strstr(f.story, "in the store as 'a/first:1'"));
    ck_assert_uint_eq(bvi_image_store_count(f.store), 1);
    assert_tidy(1);
    close_fixture(&f);
}
END_TEST

START_TEST(opens_again)
{
    fixture f;
    char id[80];

    open_fixture(&f, 1);
    make_plain("src");
    assert_imported(&f, bvt_path("src"), NULL);
    (void)snprintf(id, sizeof(id), "%s", f.id);
    close_fixture(&f);

    /* Half an import, half a removal, a stranger, and an image that cannot be read. */
    put("images/.import-0011/unpacked/x", "x");
    put("images/.removed-0022/root/x", "x");
    put("images/readme.txt", "hello");
    put("images/00000000000000000000000000000000000000000000000000000000000000ff/image.json", "{");
    open_fixture(&f, 0);
    ck_assert_uint_eq(bvi_image_store_count(f.store), 1);
    ck_assert_str_eq(bvi_image_id(bvi_image_store_at(f.store, 0)), id);
    ck_assert_ptr_nonnull(strstr(f.log.text, "passed over"));
    while (bv_ctx_dispatch(f.ctx, 0) > 0)
        ;
    ck_assert(!bvt_exists(bvt_path("images/.import-0011")));
    ck_assert(!bvt_exists(bvt_path("images/.removed-0022")));
    ck_assert(bvt_exists(bvt_path("images/readme.txt")));
    bvi_auto_json bvi_json *document = bvi_image_json(bvi_image_store_at(f.store, 0));
    ck_assert_str_eq(bvi_json_string(bvi_json_find(document, "protocol")), "chain");
    ck_assert_str_eq(bvi_json_string(bvi_json_find(document, "source")), bvt_path("src"));
    ck_assert(bvi_json_find(document, "size_bytes") != NULL);
    close_fixture(&f);

    /* A second user of the store leaves the first one's imports alone. */
    open_fixture(&f, 0);
    put("images/.import-0033/x", "x");
    fixture second;
    open_fixture(&second, 0);
    while (bv_ctx_dispatch(second.ctx, 0) > 0)
        ;
    ck_assert(bvt_exists(bvt_path("images/.import-0033")));
    close_fixture(&second);
    close_fixture(&f);
}
END_TEST

START_TEST(replaces_a_damaged_copy)
{
    fixture f;
    char id[80];

    open_fixture(&f, 1);
    make_plain("src");
    assert_imported(&f, bvt_path("src"), NULL);
    (void)snprintf(id, sizeof(id), "%s", f.id);
    close_fixture(&f);
    ck_assert_int_eq(unlink(bvt_path("images/%s/image.json", id)), 0);
    open_fixture(&f, 1);
    ck_assert_uint_eq(bvi_image_store_count(f.store), 0);
    assert_imported(&f, bvt_path("src"), NULL);
    ck_assert_str_eq(f.id, id);
    ck_assert_uint_eq(bvi_image_store_count(f.store), 1);
    close_fixture(&f);
}
END_TEST

START_TEST(can_be_cancelled)
{
    fixture f;
    bv_op *op = NULL;

    open_fixture(&f, 1);
    make_plain("src");
    bvi_image_store_import(f.store, bvt_path("src"), NULL, new_reply(&f, &op));
    bv_op_cancel(op);
    wait_answer(&f);
    ck_assert_int_eq(f.code, BV_E_CANCELLED);
    bv_op_unref(op);
    assert_tidy(0);
    ck_assert_uint_eq(bvi_image_store_count(f.store), 0);
    close_fixture(&f);
}
END_TEST

START_TEST(ends_imports_when_freed)
{
    fixture f;

    open_fixture(&f, 1);
    make_plain("src");
    bvi_image_store_import(f.store, bvt_path("src"), NULL, new_reply(&f, NULL));
    bvi_image_store_import(f.store, bvt_path("src"), "b/c:1", new_reply(&f, NULL));
    bvi_image_store_free(f.store);
    f.store = NULL;
    ck_assert_uint_eq(f.answers, 0);
    while (f.answers < 2)
        (void)bv_ctx_dispatch(f.ctx, 1000);
    ck_assert_int_eq(f.code, BV_E_CANCELLED);
    assert_tidy(0);
    close_fixture(&f);
}
END_TEST

START_TEST(digests_trees)
{
    bvi_tree_progress progress = { 0 };
    bvi_tree_result a = { 0 };
    bvi_tree_result b = { 0 };
    bv_error *err = NULL;

    make_plain("one");
    make_plain("two");
    bvt_assert_ok(bvi_tree_digest(bvt_path("one"), &progress, &a, &err), err);
    ck_assert_uint_eq(a.files, 11);
    ck_assert_uint_eq(a.bytes, strlen(yaml) + 10 + 13);
    bvt_assert_ok(bvi_tree_digest(bvt_path("two"), &progress, &b, &err), err);
    ck_assert_mem_eq(a.digest, b.digest, sizeof(a.digest));
    ck_assert_int_eq(rename(bvt_path("two/bin/alias"), bvt_path("two/bin/zalias")), 0);
    bvt_assert_ok(bvi_tree_digest(bvt_path("two"), &progress, &b, &err), err);
    ck_assert_mem_ne(a.digest, b.digest, sizeof(a.digest));
    atomic_store(&progress.cancel, true);
    ck_assert_int_eq(bvi_tree_digest(bvt_path("two"), &progress, &b, NULL), BV_E_CANCELLED);
    atomic_store(&progress.cancel, false);
    bvt_for_each_failed_allocation(n) {
        int r = bvi_tree_digest(bvt_path("one"), &progress, &b, NULL);

        ck_assert(r == 0 || r == BV_E_NOMEM);
    }
}
END_TEST

START_TEST(opening_survives_every_failed_allocation)
{
    fixture f;

    open_fixture(&f, 1);
    make_plain("src");
    assert_imported(&f, bvt_path("src"), NULL);
    bvi_image_store_free(f.store);
    f.store = NULL;
    bvt_for_each_failed_allocation(n) {
        bvi_image_store *store = NULL;
        int r = bvi_image_store_open(f.ctx, bvt_path("images"), &store, NULL);

        ck_assert_msg(r == 0 || r == BV_E_NOMEM, "%s", bv_code_name(r));
        bvi_image_store_free(store);
    }
    close_fixture(&f);
}
END_TEST

BVT_MAIN("image/image_store", bvt_loop(imports_a_plain_root, pools), bvt_test(imports_a_bundle),
         bvt_times(plugin_files_replace_what_is_there, 2), bvt_loop(imports_tars, tars),
         bvt_loop(refuses_and_leaves_nothing, refused), bvt_test(refuses_bad_arguments),
         bvt_test(finds_and_removes), bvt_test(the_same_content_keeps_its_name),
         bvt_test(opens_again), bvt_test(replaces_a_damaged_copy), bvt_test(can_be_cancelled),
         bvt_test(ends_imports_when_freed), bvt_test(digests_trees),
         bvt_test(opening_survives_every_failed_allocation))
