/* Publishing from a node into a directory store: what becomes the store's, and what a hostile node
 * gets. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/digest.h"
#include "bvt.h"
#include "node/node_source.h"
#include "sys/fs.h"
#include "transfer/source_store.h"

typedef struct fixture {
    bv_ctx *ctx;
    bvi_chunk_source *source;
    bool done;
    int code;
    char story[4096];
    uint64_t version;
    char url[1024];
} fixture;

static void open_fixture(fixture *f)
{
    bv_ctx_opts opts = BV_CTX_OPTS_INIT;
    const char *store = bvt_path("store");
    const char *staging = bvt_path("store/.staging/id");
    const bvi_node_source_opts node = { .staging_dir = staging,
                                        .store_dir = store,
                                        .store_key = "Some-Key" };
    bvi_chunk_source *inner = NULL;
    bv_error *err = NULL;

    memset(f, 0, sizeof(*f));
    bvt_assert_ok(bv_ctx_new(&opts, &f->ctx, &err), err);
    bvt_assert_ok(bvi_fs_mkdir(staging, 0755, &err), err);
    bvt_assert_ok(bvi_source_open(f->ctx, bvt_format("dir:%s", store), "Some-Key", &inner, &err),
                  err);
    bvt_assert_ok(bvi_node_source_new(f->ctx, inner, &node, &f->source, &err), err);
}

static void close_fixture(fixture *f)
{
    bvi_chunk_source_free(f->source);
    bv_ctx_free(f->ctx);
}

static void keep(fixture *f, const bv_error *err)
{
    ck_assert(!f->done);
    f->done = true;
    f->code = bv_error_code(err);
    (void)bv_error_format(err, f->story, sizeof(f->story));
}

static void wait_done(fixture *f)
{
    for (int i = 0; !f->done; i++) {
        ck_assert_int_lt(i, 10000);
        ck_assert_int_ge(bv_ctx_dispatch(f->ctx, 10), 0);
    }
    f->done = false;
}

static void on_slots(const bv_error *err, uint64_t version, const bvi_upload_slot *slots,
                     size_t count, void *data)
{
    fixture *f = data;

    f->version = version;
    if (count)
        (void)snprintf(f->url, sizeof(f->url), "%s", slots[0].url);
    keep(f, err);
}

static void reserve(fixture *f)
{
    static const uint32_t indexes[] = { 0, 1 };
    const bvi_slots_request request = { .lease = "lease", .indexes = indexes, .count = 2 };
    bv_error *err = NULL;

    bvt_assert_ok(f->source->vtable->slots(f->source, &request, on_slots, f, &err), err);
    wait_done(f);
    ck_assert_msg(f->code == 0, "%s", f->story);
}

static const char *staged(const char *name)
{
    return bvt_format("%s/.staging/id/1/%s", bvt_path("store"), name);
}

static const char *stored(const char *name)
{
    return bvt_format("%s/some-key/1/%s", bvt_path("store"), name);
}

static void write_to(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");

    ck_assert_ptr_nonnull(f);
    ck_assert_int_ge(fputs(text, f), 0);
    ck_assert_int_eq(fclose(f), 0);
}

static void add_chunk(bvi_manifest *manifest, const char *key, const char *content)
{
    bvi_chunk *chunk = bvi_manifest_add_chunk(manifest);
    char path[32];
    uint8_t digest[BVI_DIGEST_SIZE_MAX] = { 0 };
    bv_error *err = NULL;

    chunk->index = (uint32_t)(manifest->chunks.len - 1);
    chunk->size = strlen(content);
    (void)snprintf(path, sizeof(path), "f%u", chunk->index);
    ck_assert_int_eq(bvi_digest_of(BVI_DIGEST_BLAKE3, content, strlen(content), digest, NULL), 0);
    bvt_assert_ok(bvi_checksum_set(&chunk->checksum, BVI_CHECKSUM_BLAKE3, digest, 32, &err), err);
    bvt_assert_ok(bvi_chunk_set_key(chunk, key, &err), err);
    bvt_assert_ok(bvi_chunk_add_target(chunk, path, 0, chunk->size, &err), err);
    manifest->total_size += chunk->size;
}

static void on_put(const bv_error *err, void *data)
{
    keep(data, err);
}

static void make_manifest(bvi_manifest *manifest, const char *key0, const char *key1)
{
    bvi_manifest_init(manifest);
    add_chunk(manifest, key0, "first");
    add_chunk(manifest, key1, "second");
}

static int put(fixture *f, uint64_t version, const bvi_manifest *manifest)
{
    bv_error *err = NULL;
    int r = f->source->vtable->put_manifest(f->source, version, manifest, on_put, f, &err);

    if (r < 0) {
        (void)bv_error_format(err, f->story, sizeof(f->story));
        bv_error_free(err);
        f->code = r;
    } else {
        wait_done(f);
    }
    return f->code;
}

static int publish(fixture *f, uint64_t version, const char *key0, const char *key1)
{
    bvi_manifest manifest;

    make_manifest(&manifest, key0, key1);
    (void)put(f, version, &manifest);
    bvi_manifest_done(&manifest);
    return f->code;
}

#define KEY0 "some-key/1/data.part_0"
#define KEY1 "some-key/1/data.part_1"

static void stage(fixture *f)
{
    reserve(f);
    ck_assert_uint_eq(f->version, 1);
    ck_assert_str_eq(f->url, "file:///opt/blockvisor/upload/1/data.part_0");
    write_to(staged("data.part_0"), "first");
    write_to(staged("data.part_1"), "second");
}

static void on_metadata(const bv_error *err, const bvi_archive_metadata *metadata, void *data)
{
    fixture *f = data;

    f->version = err ? 0 : metadata->data_version;
    keep(f, err);
}

static void on_chunks(const bv_error *err, bvi_chunk *chunks, size_t count, void *data)
{
    fixture *f = data;

    if (count)
        (void)snprintf(f->url, sizeof(f->url), "%s", chunks[0].url);
    keep(f, err);
}

START_TEST(publishes)
{
    static const uint32_t indexes[] = { 1 };
    fixture f;

    open_fixture(&f);
    stage(&f);
    ck_assert_msg(publish(&f, 1, KEY0, KEY1) == 0, "%s", f.story);
    ck_assert_str_eq(bvt_read_file(stored("data.part_1"), NULL), "second");
    ck_assert(bvt_exists(stored("manifest-header.json")));
    ck_assert(!bvt_exists(staged(""))); /* cleared */
    ck_assert_int_eq(f.source->vtable->metadata(f.source, 0, on_metadata, &f, NULL), 0);
    wait_done(&f);
    ck_assert_uint_eq(f.version, 1);
    ck_assert_int_eq(f.source->vtable->chunks(f.source, 1, indexes, 1, on_chunks, &f, NULL), 0);
    wait_done(&f);
    ck_assert_str_eq(f.url, "file:///opt/blockvisor/store/1/data.part_1"); /* as the node sees it */
    close_fixture(&f);
}
END_TEST

START_TEST(goes_on_after_a_part)
{
    fixture f;

    open_fixture(&f);
    stage(&f);
    ck_assert_int_eq(unlink(staged("data.part_1")), 0);
    ck_assert_int_ne(publish(&f, 1, KEY0, KEY1), 0);
    ck_assert(bvt_exists(stored("data.part_0")));
    ck_assert(!bvt_exists(stored("manifest-header.json")));
    write_to(staged("data.part_1"), "second");
    ck_assert_msg(publish(&f, 1, KEY0, KEY1) == 0, "%s", f.story);
    close_fixture(&f);
}
END_TEST

/* ---- a node that wants more than its own ---- */

START_TEST(a_published_chunk_was_never_the_nodes)
{
    fixture f;
    int held;

    open_fixture(&f);
    stage(&f);
    held = open(staged("data.part_0"), O_WRONLY | O_CLOEXEC);
    ck_assert_int_ge(held, 0);
    ck_assert_msg(publish(&f, 1, KEY0, KEY1) == 0, "%s", f.story);
    ck_assert_int_eq(pwrite(held, "other", 5, 0), 5);
    ck_assert_int_eq(close(held), 0);
    ck_assert_str_eq(bvt_read_file(stored("data.part_0"), NULL), "first");
    close_fixture(&f);
}
END_TEST

START_TEST(a_version_without_a_next_one_is_refused)
{
    const bvi_slots_request request = { .data_version = UINT64_MAX, .lease = "lease" };
    bv_error *err = NULL;
    fixture f;

    open_fixture(&f);
    ck_assert_int_eq(f.source->vtable->slots(f.source, &request, on_slots, &f, &err), BV_E_INVALID);
    bvt_assert_error_says(err, BV_E_INVALID, "is too large");
    bv_error_free(err);
    close_fixture(&f);
}
END_TEST

static void a_link(void)
{
    ck_assert_int_eq(unlink(staged("data.part_0")), 0);
    ck_assert_int_eq(symlink(bvt_write_file("secret", "first"), staged("data.part_0")), 0);
}

static void a_hard_link(void)
{
    ck_assert_int_eq(unlink(staged("data.part_0")), 0);
    ck_assert_int_eq(link(bvt_write_file("secret", "first"), staged("data.part_0")), 0);
}

static void a_fifo(void)
{
    ck_assert_int_eq(unlink(staged("data.part_0")), 0);
    ck_assert_int_eq(mkfifo(staged("data.part_0"), 0644), 0);
}

static void a_directory(void)
{
    ck_assert_int_eq(unlink(staged("data.part_0")), 0);
    ck_assert_int_eq(mkdir(staged("data.part_0"), 0755), 0);
}

static void a_shorter_file(void)
{
    write_to(staged("data.part_0"), "fir");
}

static void a_linked_directory(void)
{
    const char *elsewhere = bvt_path("elsewhere");

    ck_assert_int_eq(bvi_fs_remove_tree(bvt_format("%s/.staging/id/1", bvt_path("store")), NULL),
                     0);
    ck_assert_int_eq(mkdir(elsewhere, 0755), 0);
    write_to(bvt_path("elsewhere/data.part_0"), "first");
    write_to(bvt_path("elsewhere/data.part_1"), "second");
    ck_assert_int_eq(symlink(elsewhere, bvt_format("%s/.staging/id/1", bvt_path("store"))), 0);
}

static void nothing(void)
{
}

static const struct {
    void (*prepare)(void);
    uint64_t version;
    const char *key0;
    int code;
    const char *says;
} attacks[] = {
    { a_link, 1, KEY0, BV_E_INVALID, "symbolic link" },
    { a_hard_link, 1, KEY0, BV_E_FORMAT, "not a plain file of its own" },
    { a_fifo, 1, KEY0, BV_E_FORMAT, "not a plain file" },
    { a_directory, 1, KEY0, BV_E_FORMAT, "not a plain file" },
    { a_shorter_file, 1, KEY0, BV_E_FORMAT, "has 3 bytes, its manifest says 5" },
    { a_linked_directory, 1, KEY0, BV_E_NOT_FOUND, "/.staging/id': cannot make '1'" },
    { nothing, 1, "other-key/1/data.part_0", BV_E_DENIED,
      "it is kept as 'other-key/1/data.part_0'" },
    { nothing, 1, "some-key/2/data.part_0", BV_E_DENIED, "instead of 'some-key/1/data.part_0'" },
    { nothing, 1, "some-key/1/data.part_7", BV_E_DENIED, "it is kept as" },
    { nothing, 1, "some-key/1/manifest-header.json", BV_E_DENIED, "it is kept as" },
    { nothing, 1, "../victim", BV_E_DENIED, "it is kept as" },
    { nothing, 1, "", BV_E_DENIED, "it is kept as ''" },
    { nothing, 0, KEY0, BV_E_INVALID, "without a version" },
};

START_TEST(gives_a_hostile_node_nothing)
{
    fixture f;
    const char *victim;

    open_fixture(&f);
    victim = bvt_write_file("store/victim", "precious");
    ck_assert_int_eq(bvi_fs_mkdir(bvt_path("store/other-key/1"), 0755, NULL), 0);
    (void)bvt_write_file("store/other-key/1/data.part_0", "precious");
    stage(&f);
    attacks[_i].prepare();
    ck_assert_int_eq(publish(&f, attacks[_i].version, attacks[_i].key0, KEY1), attacks[_i].code);
    ck_assert_msg(strstr(f.story, attacks[_i].says) != NULL, "%s", f.story);
    ck_assert_str_eq(bvt_read_file(victim, NULL), "precious");
    ck_assert_str_eq(bvt_read_file(bvt_path("store/other-key/1/data.part_0"), NULL), "precious");
    ck_assert(!bvt_exists(stored("manifest-header.json")));
    if (bvt_exists(bvt_path("secret")))
        ck_assert_str_eq(bvt_read_file(bvt_path("secret"), NULL), "first");
    close_fixture(&f);
}
END_TEST

START_TEST(never_touches_a_complete_version)
{
    fixture f;

    open_fixture(&f);
    stage(&f);
    ck_assert_int_eq(publish(&f, 1, KEY0, KEY1), 0);
    ck_assert_int_eq(bvi_fs_mkdir(staged(""), 0755, NULL), 0);
    write_to(staged("data.part_0"), "FIRST");
    write_to(staged("data.part_1"), "SECOND");
    ck_assert_int_eq(publish(&f, 1, KEY0, KEY1), BV_E_EXISTS);
    ck_assert_str_eq(bvt_read_file(stored("data.part_0"), NULL), "first");
    close_fixture(&f);
}
END_TEST

START_TEST(can_be_cancelled)
{
    fixture f;
    bvi_manifest manifest;

    open_fixture(&f);
    stage(&f);
    bvi_manifest_init(&manifest);
    add_chunk(&manifest, KEY0, "first");
    ck_assert_int_eq(f.source->vtable->put_manifest(f.source, 1, &manifest, on_put, &f, NULL), 0);
    for (int i = 0; i < _i; i++)
        (void)bv_ctx_dispatch(f.ctx, 0);
    f.source->vtable->cancel(f.source);
    if (!f.done)
        wait_done(&f);
    ck_assert(f.code == 0 || f.code == BV_E_CANCELLED);
    bvi_manifest_done(&manifest);
    close_fixture(&f);
}
END_TEST

START_TEST(survives_every_failed_allocation)
{
    fixture f;
    bvi_manifest manifest;

    open_fixture(&f);
    stage(&f);
    make_manifest(&manifest, KEY0,
                  "some-key/9/x"); /* never completes, so that it can be repeated */
    bvt_for_each_failed_allocation(n) {
        int code = put(&f, 1, &manifest);

        ck_assert_msg(code == BV_E_NOMEM || code == BV_E_DENIED, "%s", f.story);
    }
    bvi_manifest_done(&manifest);
    close_fixture(&f);
}
END_TEST

BVT_MAIN("node/node_source", bvt_test(publishes), bvt_test(goes_on_after_a_part),
         bvt_test(a_published_chunk_was_never_the_nodes),
         bvt_test(a_version_without_a_next_one_is_refused),
         bvt_loop(gives_a_hostile_node_nothing, attacks),
         bvt_test(never_touches_a_complete_version), bvt_times(can_be_cancelled, 5),
         bvt_test(survives_every_failed_allocation))
