/*
 * manifest.c - see manifest.h.
 *
 * Loading goes through states: the cache (worker), which versions there are, the root, its
 * signature, then parsing (worker). A page is looked for in the cache (worker), else read from its
 * pack and unpacked (worker). Everything that arrives is untrusted until a hash or a signature says
 * otherwise.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "snapshot/frame.h"
#include "snapshot/manifest.h"
#include "sys/fs.h"

typedef struct blob {
    char *text;
    size_t len;
} blob;

/* Wrong bytes of a page are read again so often, from other places than before. */
#define PAGE_REREADS_MAX 4u

struct bvi_snap_manifest {
    bv_ctx *ctx;
    bvi_snap_manifest_opts opts;
    bvi_snap_root root;
    bvi_hash256 id;
    bool loaded;
    uint64_t fetched; /* by the last request */
    bvi_snap_manifest_fn root_fn;
    bvi_snap_page_fn page_fn;
    void *data;
    bvi_work work;
    int (*step)(bvi_snap_manifest *m, bv_error **err); /* on the worker */
    void (*next)(bvi_snap_manifest *m);                /* on the loop, after it */
    bv_error *err;
    /* the root on its way */
    uint64_t *versions;
    size_t n_versions; /* still to try, from the end */
    blob text;
    blob sig;
    bool from_cache;
    /* the page on its way */
    uint32_t index;
    bvi_page page;
    uint8_t *stored;
    unsigned again; /* how often its bytes were wrong */
    bv_error *bad;  /* and what about them */
    bvi_frame_unpacker *unpacker;
    int cache_fd;
    uint64_t *offsets; /* of pages in the cache */
};

static void drop(blob *b)
{
    bvi_free(b->text);
    *b = (blob){ 0 };
}

static int keep(blob *b, const char *bytes, size_t len, bv_error **err)
{
    drop(b);
    b->text = bvi_strndup(bytes ? bytes : "", len);
    b->len = len;
    return b->text ? 0 : bvi_fail_nomem(err);
}

void bvi_snap_manifest_free(bvi_snap_manifest *m)
{
    if (!m)
        return;
    bvi_snap_root_done(&m->root);
    bvi_page_done(&m->page);
    bvi_frame_unpacker_free(m->unpacker);
    drop(&m->text);
    drop(&m->sig);
    bvi_closep(&m->cache_fd);
    bvi_free(m->versions);
    bvi_free(m->stored);
    bvi_free(m->offsets);
    bv_error_free(m->bad);
    bvi_free((char *)m->opts.store_key);
    bvi_free((char *)m->opts.verify_key_file);
    bvi_free((char *)m->opts.cache_dir);
    bv_error_free(m->err);
    bvi_free(m);
}

const bvi_snap_root *bvi_snap_manifest_root(const bvi_snap_manifest *m)
{
    return &m->root;
}

const bvi_hash256 *bvi_snap_manifest_id(const bvi_snap_manifest *m)
{
    return &m->id;
}

uint64_t bvi_snap_manifest_fetched(const bvi_snap_manifest *m)
{
    return m->fetched;
}

/* ---- steps on the worker ---- */

static void step_run(void *data)
{
    bvi_snap_manifest *m = data;

    (void)m->step(m, &m->err); /* the error says it all */
}

static void finish(bvi_snap_manifest *m)
{
    bv_error *err = bvi_take(m->err);
    bvi_snap_page_fn page_fn = m->page_fn;
    bvi_snap_manifest_fn root_fn = m->root_fn;
    bvi_page page = m->page;

    m->page = (bvi_page){ 0 };
    m->page_fn = NULL;
    m->root_fn = NULL;
    if (page_fn)
        page_fn(err, &page, m->data);
    else
        root_fn(err, m->data);
    bvi_page_done(&page);
    bv_error_free(err);
}

static void step_done(void *data, bool cancelled)
{
    bvi_snap_manifest *m = data;

    if (cancelled && !m->err)
        (void)bvi_fail(&m->err, BV_E_CANCELLED, "interrupted");
    if (m->err)
        finish(m);
    else
        m->next(m);
}

static void go(bvi_snap_manifest *m, int (*step)(bvi_snap_manifest *m, bv_error **err),
               void (*next)(bvi_snap_manifest *m))
{
    m->step = step;
    m->next = next;
    bvi_work_submit(&m->work);
}

/* A call of the store that fails at once ends the request from a worker's `done`, so that no
 * callback comes from inside the caller. */
static int nothing(bvi_snap_manifest *m, bv_error **err)
{
    (void)m;
    (void)err;
    return 0;
}

static void ask(bvi_snap_manifest *m, const bvi_store_request *request, bvi_store_fn fn)
{
    if (bvi_store_call(m->opts.store, request, fn, m, &m->err) < 0)
        go(m, nothing, finish);
}

/* ---- the root ---- */

static char *cache_path(const bvi_snap_manifest *m, const char *name)
{
    return bvi_path_join(m->opts.cache_dir, name, NULL);
}

static int check_key(const bvi_snap_manifest *m, bv_error **err)
{
    if (strcmp(m->root.key, m->opts.store_key) != 0)
        return bvi_fail(err, BV_E_FORMAT, "it says to be of '%s'", m->root.key);
    if (m->opts.version && m->root.version != m->opts.version)
        return bvi_fail(err, BV_E_FORMAT, "it says to be version %llu",
                        (unsigned long long)m->root.version);
    return 0;
}

static int check_signature(bvi_snap_manifest *m, bv_error **err)
{
    if (!m->opts.verify_key_file)
        return 0;
    if (!m->sig.text)
        return bvi_fail(err, BV_E_DENIED,
                        "it is not signed; a signature by the key in '%s' is asked for",
                        m->opts.verify_key_file);
    return bvi_snap_check_signature(m->text.text, m->text.len, m->sig.text, m->sig.len,
                                    m->opts.verify_key_file, err);
}

static int layout_cache(bvi_snap_manifest *m, bv_error **err)
{
    uint64_t at = 0;

    m->offsets = bvi_calloc(m->root.pages.len + 1, sizeof(*m->offsets));
    if (!m->offsets)
        return bvi_fail_nomem(err);
    for (size_t i = 0; i < m->root.pages.len; i++) {
        m->offsets[i] = at;
        at += m->root.pages.items[i].frame.stored;
    }
    return 0;
}

/* Pages of another root are not worth keeping. */
static int open_page_cache(bvi_snap_manifest *m, bv_error **err)
{
    bvi_auto_free char *pages = cache_path(m, BVI_SNAP_CACHE_PAGES);
    bvi_auto_free char *root = cache_path(m, BVI_SNAP_CACHE_ROOT);
    bvi_auto_free char *sig = cache_path(m, BVI_SNAP_CACHE_SIG);
    bvi_auto_free char *old = NULL;
    size_t old_len = 0;
    int r = 0;

    if (!pages || !root || !sig)
        return bvi_fail_nomem(err);
    m->cache_fd = open(pages, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (m->cache_fd < 0)
        return bvi_fail_sys(err, errno, "cannot open '%s'", pages);
    if (m->from_cache)
        return 0;
    if (bvi_fs_read(root, BVI_SNAP_ROOT_MAX, &old, &old_len, NULL) < 0 || old_len != m->text.len ||
        memcmp(old, m->text.text, old_len) != 0) {
        if (ftruncate(m->cache_fd, 0) < 0)
            return bvi_fail_sys(err, errno, "cannot empty '%s'", pages);
        r = bvi_fs_replace(root, m->text.text, m->text.len, 0600, err);
    }
    if (r == 0)
        r = m->sig.text ? bvi_fs_replace(sig, m->sig.text, m->sig.len, 0600, err)
                        : bvi_fs_remove(sig, err);
    return r;
}

static int parse_root(bvi_snap_manifest *m, bv_error **err)
{
    int r = check_signature(m, err);

    if (r == 0) {
        bvi_blake3_hash(m->text.text, m->text.len, m->id.bytes);
        r = bvi_snap_root_parse(m->text.text, m->text.len, &m->root, err);
    }
    if (r == 0)
        r = check_key(m, err);
    if (r < 0)
        return bvi_wrap(err, r, "the root of snapshot '%s' is refused", m->opts.store_key);
    r = layout_cache(m, err);
    if (r == 0 && m->opts.cache_dir)
        r = open_page_cache(m, err);
    if (r == 0)
        r = bvi_frame_unpacker_new(&m->unpacker, err);
    drop(&m->text);
    drop(&m->sig);
    m->loaded = r == 0;
    return r;
}

static void ask_root(bvi_snap_manifest *m);

static void on_sig(const bv_error *err, const bvi_store_reply *reply, void *data)
{
    bvi_snap_manifest *m = data;

    if (err && bv_error_code(err) != BV_E_NOT_FOUND) {
        m->err = bvi_error_copy(err);
        (void)bvi_wrap(&m->err, bv_error_code(err), "cannot get the snapshot's signature");
        finish(m);
        return;
    }
    if (!err && keep(&m->sig, reply->bytes, reply->len, &m->err) < 0) {
        finish(m);
        return;
    }
    go(m, parse_root, finish);
}

static void ask_sig(bvi_snap_manifest *m)
{
    bvi_auto_free char *key = bvi_snap_sig_key(m->opts.store_key, m->opts.version);

    if (!key) {
        (void)bvi_fail_nomem(&m->err);
        go(m, nothing, finish);
        return;
    }
    ask(m, &(bvi_store_request){ .verb = BVI_STORE_GET, .key = key, .max = BVI_SNAP_SIG_MAX },
        on_sig);
}

static void on_root(const bv_error *err, const bvi_store_reply *reply, void *data)
{
    bvi_snap_manifest *m = data;
    int code = bv_error_code(err);

    if (code == BV_E_NOT_FOUND && m->n_versions > 0) { /* an archive of the other format */
        ask_root(m);
        return;
    }
    if (code == BV_E_NOT_FOUND) {
        (void)bvi_fail(&m->err, BV_E_NOT_FOUND, "'%s' has no snapshot of version %llu",
                       m->opts.store_key, (unsigned long long)m->opts.version);
    } else if (err) {
        m->err = bvi_error_copy(err);
        (void)bvi_wrap(&m->err, code, "cannot get the root of snapshot '%s'", m->opts.store_key);
    } else {
        (void)keep(&m->text, reply->bytes, reply->len, &m->err); /* err tells */
    }
    if (m->err)
        finish(m);
    else if (m->opts.verify_key_file || m->opts.cache_dir)
        ask_sig(m);
    else
        go(m, parse_root, finish);
}

static void ask_root(bvi_snap_manifest *m)
{
    bvi_auto_free char *key = NULL;

    if (m->n_versions > 0)
        m->opts.version = m->versions[--m->n_versions];
    key = bvi_snap_root_key(m->opts.store_key, m->opts.version);
    if (!key) {
        (void)bvi_fail_nomem(&m->err);
        go(m, nothing, finish);
        return;
    }
    ask(m, &(bvi_store_request){ .verb = BVI_STORE_GET, .key = key, .max = BVI_SNAP_ROOT_MAX },
        on_root);
}

static void on_versions(const bv_error *err, const bvi_store_reply *reply, void *data)
{
    bvi_snap_manifest *m = data;

    if (err) {
        m->err = bvi_error_copy(err);
    } else if (reply->n_versions == 0) {
        (void)bvi_fail(&m->err, BV_E_NOT_FOUND, "'%s' has no snapshot", m->opts.store_key);
    } else {
        m->versions = bvi_new_array(uint64_t, reply->n_versions);
        if (m->versions) {
            memcpy(m->versions, reply->versions, reply->n_versions * sizeof(*m->versions));
            m->n_versions = reply->n_versions;
        } else {
            (void)bvi_fail_nomem(&m->err);
        }
    }
    if (m->err)
        finish(m);
    else
        ask_root(m);
}

static void ask_store(bvi_snap_manifest *m)
{
    if (m->from_cache) {
        go(m, parse_root, finish);
    } else if (!m->opts.store) {
        (void)bvi_fail(&m->err, BV_E_NOT_FOUND,
                       "the manifest of '%s' is not kept here, and there is no store",
                       m->opts.store_key);
        finish(m);
    } else if (m->opts.version) {
        ask_root(m);
    } else {
        ask(m,
            &(bvi_store_request){ .verb = BVI_STORE_VERSIONS,
                                  .format = BVI_STORE_SNAPSHOT,
                                  .store_key = m->opts.store_key },
            on_versions);
    }
}

/* What is cached and of the right key and version is taken; anything else is as good as nothing. */
static int look_into_cache(bvi_snap_manifest *m, bv_error **err)
{
    bvi_auto_free char *root_path = NULL;
    bvi_auto_free char *sig_path = NULL;
    bvi_snap_root root;

    if (!m->opts.cache_dir || (!m->opts.prefer_cache && m->opts.store))
        return 0;
    root_path = cache_path(m, BVI_SNAP_CACHE_ROOT);
    sig_path = cache_path(m, BVI_SNAP_CACHE_SIG);
    if (!root_path || !sig_path)
        return bvi_fail_nomem(err);
    if (bvi_fs_read(root_path, BVI_SNAP_ROOT_MAX, &m->text.text, &m->text.len, NULL) < 0)
        return 0;
    bvi_snap_root_init(&root);
    m->from_cache = bvi_snap_root_parse(m->text.text, m->text.len, &root, NULL) == 0 &&
                    strcmp(root.key, m->opts.store_key) == 0 &&
                    (!m->opts.version || root.version == m->opts.version);
    bvi_snap_root_done(&root);
    if (m->from_cache)
        (void)bvi_fs_read(sig_path, BVI_SNAP_SIG_MAX, &m->sig.text, &m->sig.len, NULL);
    else
        drop(&m->text);
    return 0;
}

void bvi_snap_manifest_load(bvi_snap_manifest *m, bvi_snap_manifest_fn fn, void *data)
{
    m->fetched = 0;
    m->root_fn = fn;
    m->data = data;
    go(m, look_into_cache, ask_store);
}

/* ---- pages ---- */

static const bvi_snap_frame *frame_of(const bvi_snap_manifest *m)
{
    return &m->root.pages.items[m->index].frame;
}

static int open_page(bvi_snap_manifest *m, bv_error **err)
{
    const bvi_snap_frame *frame = frame_of(m);
    bvi_auto_free uint8_t *plain = bvi_malloc(frame->plain ? frame->plain : 1);
    int r;

    if (!plain)
        return bvi_fail_nomem(err);
    r = bvi_frame_unpack(m->unpacker, frame, m->stored, plain, err);
    if (r == 0)
        r = bvi_page_open(&m->page, plain, frame->plain, err);
    if (r < 0)
        return bvi_wrap(err, r, "page %u of snapshot '%s' is refused", m->index, m->opts.store_key);
    (void)bvi_take(plain); /* the page's now */
    return 0;
}

static int take_read_page(bvi_snap_manifest *m, bv_error **err)
{
    const bvi_snap_frame *frame = frame_of(m);
    int r = open_page(m, err);

    if (r == 0 && m->cache_fd >= 0) /* a cache that cannot be written is read past */
        (void)!pwrite(m->cache_fd, m->stored, frame->stored, (off_t)m->offsets[m->index]);
    bvi_free(bvi_take(m->stored));
    if (r == BV_E_CHECKSUM && err) { /* read_page_again() decides about it */
        m->bad = bvi_take(*err);
        r = 0;
    }
    return r;
}

static void read_page(bvi_snap_manifest *m);

/* Wrong bytes may have been wrong only on their way: once more, and no more often, unless they can
 * be had from somewhere else. */
static void read_page_again(bvi_snap_manifest *m)
{
    bvi_auto_free char *key = NULL;
    bool elsewhere;

    if (!m->bad) {
        finish(m);
        return;
    }
    key = bvi_snap_pack_key(m->opts.store_key, &frame_of(m)->pack);
    elsewhere = key && bvi_store_blame(m->opts.store, key);
    if (m->again == 0 || (elsewhere && m->again < PAGE_REREADS_MAX)) {
        m->again++;
        bv_error_free(bvi_take(m->bad));
        read_page(m);
        return;
    }
    m->err = bvi_take(m->bad);
    finish(m);
}

static void on_page_read(const bv_error *err, const bvi_store_reply *reply, void *data)
{
    bvi_snap_manifest *m = data;

    (void)reply;
    if (err) {
        m->err = bvi_error_copy(err);
        (void)bvi_wrap(&m->err, bv_error_code(err), "cannot read page %u of snapshot '%s'",
                       m->index, m->opts.store_key);
        bvi_free(bvi_take(m->stored));
        finish(m);
        return;
    }
    go(m, take_read_page, read_page_again);
}

static void read_page(bvi_snap_manifest *m)
{
    const bvi_snap_frame *frame = frame_of(m);
    bvi_auto_free char *key = NULL;

    if (m->page.bytes) { /* it was in the cache */
        finish(m);
        return;
    }
    if (!m->opts.store) {
        (void)bvi_fail(&m->err, BV_E_NOT_FOUND, "page %u of snapshot '%s' is not kept here",
                       m->index, m->opts.store_key);
        finish(m);
        return;
    }
    m->fetched += frame->stored;
    key = bvi_snap_pack_key(m->opts.store_key, &frame->pack);
    m->stored = bvi_malloc(frame->stored);
    if (!key || !m->stored) {
        (void)bvi_fail_nomem(&m->err);
        finish(m);
        return;
    }
    ask(m,
        &(bvi_store_request){ .verb = BVI_STORE_READ,
                              .key = key,
                              .offset = frame->offset,
                              .into = m->stored,
                              .into_len = frame->stored },
        on_page_read);
}

static int read_cached_page(bvi_snap_manifest *m, bv_error **err)
{
    const bvi_snap_frame *frame = frame_of(m);

    if (m->cache_fd < 0)
        return 0;
    m->stored = bvi_malloc(frame->stored);
    if (!m->stored)
        return bvi_fail_nomem(err);
    if (pread(m->cache_fd, m->stored, frame->stored, (off_t)m->offsets[m->index]) ==
        (ssize_t)frame->stored)
        (void)open_page(m, NULL); /* else it is fetched */
    bvi_free(bvi_take(m->stored));
    return 0;
}

void bvi_snap_manifest_page(bvi_snap_manifest *m, uint32_t index, bvi_snap_page_fn fn, void *data)
{
    m->fetched = 0;
    m->again = 0;
    m->index = index;
    m->page_fn = fn;
    m->data = data;
    go(m, read_cached_page, read_page);
}

/* ---- life ---- */

int bvi_snap_manifest_new(bv_ctx *ctx, const bvi_snap_manifest_opts *opts,
                          bvi_snap_manifest **ret_manifest, bv_error **err)
{
    BVI_AUTO(bvi_snap_manifest_freep) bvi_snap_manifest *m = bvi_new0(bvi_snap_manifest);
    char *key = NULL;
    int r;

    if (!m)
        return bvi_fail_nomem(err);
    m->ctx = ctx;
    m->cache_fd = -1;
    m->opts = *opts;
    m->opts.store_key = NULL;
    m->opts.verify_key_file = bvi_strdup(opts->verify_key_file);
    m->opts.cache_dir = bvi_strdup(opts->cache_dir);
    bvi_snap_root_init(&m->root);
    bvi_work_init(&m->work, ctx, step_run, step_done, m);
    r = bvi_store_key_normalise(opts->store_key, &key, err);
    m->opts.store_key = key;
    if (r < 0)
        return r;
    if ((opts->verify_key_file && !m->opts.verify_key_file) ||
        (opts->cache_dir && !m->opts.cache_dir))
        return bvi_fail_nomem(err);
    *ret_manifest = bvi_take(m);
    return 0;
}
