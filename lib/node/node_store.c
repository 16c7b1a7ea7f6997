/*
 * node_store.c - see node_store.h.
 *
 * Every request is looked up in a table: which kinds of objects it may name. What is allowed goes
 * on to the real store with the node's key filled in; putting has steps of its own.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/paths.h"
#include "base/hex.h"
#include "base/json.h"
#include "io/work.h"
#include "node/node_store.h"
#include "node/staged.h"
#include "snapshot/root.h"
#include "transfer/url.h"

/* A node may name the version it uploads; beyond this there would soon be no next one. */
#define VERSION_MAX (UINT64_C(1) << 48)
#define SMALL_MAX   (64u * 1024u) /* bytes of a signature or a hint */
#define LOOKS_MAX   16u           /* packs looked for at once */
/* A prune may remove a directory between making it and putting into it. */
#define TAKE_TRIES 3u

typedef enum object_kind {
    OBJECT_ROOT = 1,
    OBJECT_SIGNATURE = 2,
    OBJECT_LATEST = 4,
    OBJECT_PRUNE = 8,
    OBJECT_PACK = 16,
} object_kind;

/* What an object key of the node says. */
typedef struct object_name {
    unsigned kind;
    uint64_t version;              /* ROOT, SIGNATURE */
    uint8_t hash[BVI_BLAKE3_SIZE]; /* PACK */
} object_name;

typedef struct node_store {
    bvi_store base;
    bvi_store *inner;
    char *store_key; /* as it is in the store */
    char *staging_dir;
    char *store_dir;
    char *node_upload_dir;
    char *node_store_dir;
    bvi_node_store_opts opts; /* its functions */
    bool cancelled;
} node_store;

static node_store *of(bvi_store *store)
{
    return (node_store *)store;
}

/* ---- names ---- */

static bool read_pack_name(const char *name, object_name *ret)
{
    if (strncmp(name, "packs/", 6) != 0 || strlen(name) != 6 + 3 + 2 * sizeof(ret->hash) ||
        name[8] != '/' || strncmp(name + 6, name + 9, 2) != 0 ||
        strspn(name + 9, "0123456789abcdef") != 2 * sizeof(ret->hash))
        return false;
    ret->kind = OBJECT_PACK;
    return bvi_hex_decode(name + 9, ret->hash, sizeof(ret->hash));
}

static bool read_version_name(const char *name, object_name *ret)
{
    const char *slash = strchr(name, '/');
    char digits[24];

    if (!slash || name[0] == '0' || (size_t)(slash - name) >= sizeof(digits))
        return false;
    memcpy(digits, name, (size_t)(slash - name));
    digits[slash - name] = '\0';
    ret->version = bvi_store_version_of(digits);
    if (strcmp(slash + 1, BVI_SNAP_ROOT_NAME) == 0)
        ret->kind = OBJECT_ROOT;
    else if (strcmp(slash + 1, BVI_SNAP_SIG_NAME) == 0)
        ret->kind = OBJECT_SIGNATURE;
    return ret->version != 0 && ret->version <= VERSION_MAX && ret->kind != 0;
}

/* The part of an object key behind the node's store key, or NULL. */
static const char *below_key(const node_store *s, const char *key)
{
    size_t len = strlen(s->store_key);

    return key && strncmp(key, s->store_key, len) == 0 && key[len] == '/' ? key + len + 1 : NULL;
}

static int read_name(const node_store *s, const char *key, unsigned allowed, object_name *ret,
                     bv_error **err)
{
    const char *name = below_key(s, key);

    *ret = (object_name){ 0 };
    if (name && strcmp(name, BVI_SNAP_LATEST_NAME) == 0)
        ret->kind = OBJECT_LATEST;
    else if (name && strcmp(name, BVI_SNAP_PRUNE_NAME) == 0)
        ret->kind = OBJECT_PRUNE;
    else if (name && !read_pack_name(name, ret))
        (void)read_version_name(name, ret); /* leaves no kind */
    if ((ret->kind & allowed) == 0)
        return bvi_fail(err, BV_E_DENIED, "a node with the store key '%s' may not use '%s' so",
                        s->store_key, key ? key : "");
    return 0;
}

/* ---- where packs are ---- */

static char *sighted_url(const char *dir, const char *name)
{
    bvi_auto_free char *path = bvi_asprintf("%s/%s", dir, name);

    return path ? bvi_url_from_path(path) : NULL;
}

int bvi_node_store_url(bvi_store *store, const char *key, bool put, char **ret_url, bv_error **err)
{
    node_store *s = of(store);
    object_name name;
    char *url;
    int r = read_name(s, key, OBJECT_PACK, &name, err);

    if (r < 0)
        return r;
    if (s->staging_dir)
        url = sighted_url(put ? s->node_upload_dir : s->node_store_dir, below_key(s, key));
    else
        url = s->inner->vtable->url(s->inner, key, put);
    if (!url)
        return bvi_fail_nomem(err);
    *ret_url = url;
    return 0;
}

/* ---- putting ---- */

typedef struct put_call {
    node_store *store;
    bvi_store_fn done;
    void *data;
    char *key;
    object_name name;
    const char *bytes; /* borrowed from whoever asked */
    size_t len;
    bvi_work work;
    bv_error *err;
    /* A root: the packs of its pages, each once. */
    BVI_VEC(bvi_hash256) packs;
    size_t next;      /* to be looked for */
    unsigned looking; /* on their way */
} put_call;

static void put_free(put_call *p)
{
    bvi_vec_done(&p->packs);
    bv_error_free(p->err);
    bvi_free(p->key);
    bvi_free(p);
}

/* Owns err. */
static void put_end(put_call *p, bv_error *err)
{
    const bvi_store_reply reply = { .len = p->len };

    p->done(err, err ? NULL : &reply, p->data);
    bv_error_free(err);
    put_free(p);
}

static void on_stored(const bv_error *err, const bvi_store_reply *reply, void *data)
{
    put_end(data, err ? bvi_error_copy(err) : NULL);
}

static void put_into_store(put_call *p)
{
    const bvi_store_request request = { .verb = BVI_STORE_PUT,
                                        .key = p->key,
                                        .bytes = p->bytes,
                                        .len = p->len,
                                        .create_only = p->name.kind == OBJECT_ROOT };
    bv_error *err = NULL;

    if (p->store->cancelled)
        (void)bvi_fail(&err, BV_E_CANCELLED, "cancelled");
    if (err || bvi_store_call(p->store->inner, &request, on_stored, p, &err) < 0)
        put_end(p, err);
}

/* ---- a root: checked, its packs are there, the gate agrees ---- */

static int compare_hashes(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(bvi_hash256));
}

static int gather_packs(put_call *p, const bvi_snap_root *root, bv_error **err)
{
    size_t n = 0;

    p->packs.max = BVI_SNAP_PAGES_MAX;
    for (size_t i = 0; i < root->pages.len; i++) {
        bvi_hash256 *slot = bvi_vec_push(&p->packs);

        if (!slot)
            return bvi_fail_nomem(err);
        *slot = root->pages.items[i].frame.pack;
    }
    if (p->packs.len > 1)
        qsort(p->packs.items, p->packs.len, sizeof(bvi_hash256), compare_hashes);
    for (size_t i = 0; i < p->packs.len; i++) {
        if (n == 0 || !bvi_hash256_equal(&p->packs.items[n - 1], &p->packs.items[i]))
            p->packs.items[n++] = p->packs.items[i];
    }
    p->packs.len = n;
    return 0;
}

static int check_root(put_call *p, bv_error **err)
{
    bvi_snap_root root;
    int r;

    bvi_snap_root_init(&root);
    r = bvi_snap_root_parse(p->bytes, p->len, &root, err);
    if (r == 0 && (strcmp(root.key, p->store->store_key) != 0 || root.version != p->name.version))
        r = bvi_fail(err, BV_E_DENIED, "the root of '%s' says it is version %" PRIu64 " of '%s'",
                     p->key, root.version, root.key);
    if (r == 0)
        r = gather_packs(p, &root, err);
    bvi_snap_root_done(&root);
    return r;
}

static void run_check(void *data)
{
    put_call *p = data;

    (void)check_root(p, &p->err); /* the error is kept */
}

static void on_gate(const bv_error *err, void *data)
{
    put_call *p = data;

    if (err)
        put_end(p, bvi_error_copy(err));
    else
        put_into_store(p);
}

static void ask_gate(put_call *p)
{
    node_store *s = p->store;
    bv_error *err = NULL;
    int r = BVI_GATE_NONE;

    if (!s->cancelled && s->opts.gate)
        r = s->opts.gate(s->opts.data, s->store_key, p->name.version, on_gate, p, &err);
    if (r == BVI_GATE_NONE)
        put_into_store(p);
    else if (r < 0)
        put_end(p, err);
}

static void look_for_packs(put_call *p);

static void on_pack(const bv_error *err, const bvi_store_reply *reply, void *data)
{
    put_call *p = data;

    p->looking--;
    if (err && !p->err) {
        p->err = bvi_error_copy(err);
        (void)bvi_wrap(&p->err, bv_error_code(err), "a pack of version %" PRIu64 " of '%s'",
                       p->name.version, p->store->store_key); /* the code stays */
    }
    look_for_packs(p);
}

static int look_for(put_call *p, const bvi_hash256 *pack, bv_error **err)
{
    bvi_auto_free char *key = bvi_snap_pack_key(p->store->store_key, pack);
    const bvi_store_request request = { .verb = BVI_STORE_STAT, .key = key };

    return key ? bvi_store_call(p->store->inner, &request, on_pack, p, err) : bvi_fail_nomem(err);
}

static void look_for_packs(put_call *p)
{
    while (!p->err && !p->store->cancelled && p->looking < LOOKS_MAX && p->next < p->packs.len) {
        if (look_for(p, &p->packs.items[p->next++], &p->err) < 0)
            break;
        p->looking++;
    }
    if (p->looking)
        return;
    if (p->err)
        put_end(p, bvi_take(p->err));
    else
        ask_gate(p);
}

static void checked(void *data, bool cancelled)
{
    put_call *p = data;

    if (cancelled && !p->err)
        (void)bvi_fail(&p->err, BV_E_CANCELLED, "cancelled");
    look_for_packs(p);
}

/* ---- a signature: before its root; the hint: behind it ---- */

static void on_root_looked(const bv_error *why, const bvi_store_reply *reply, void *data)
{
    put_call *p = data;
    bool wanted = p->name.kind == OBJECT_LATEST;
    bv_error *err = NULL;

    if (why && bv_error_code(why) != BV_E_NOT_FOUND)
        err = bvi_error_copy(why);
    else if (wanted && why)
        (void)bvi_fail(&err, BV_E_STATE, "version %" PRIu64 " of '%s' is not complete",
                       p->name.version, p->store->store_key);
    else if (!wanted && !why)
        (void)bvi_fail(&err, BV_E_EXISTS, "version %" PRIu64 " of '%s' is complete",
                       p->name.version, p->store->store_key);
    if (err)
        put_end(p, err);
    else
        put_into_store(p);
}

static int look_at_root(put_call *p, bv_error **err)
{
    bvi_auto_free char *key = bvi_snap_root_key(p->store->store_key, p->name.version);
    const bvi_store_request request = { .verb = BVI_STORE_STAT, .key = key };

    return key ? bvi_store_call(p->store->inner, &request, on_root_looked, p, err)
               : bvi_fail_nomem(err);
}

/* Which version a hint names. */
static int read_hint(put_call *p, bv_error **err)
{
    bvi_auto_json bvi_json *root = NULL;
    int r = bvi_json_parse(p->bytes, p->len, &root, err);

    if (r == 0)
        r = bvi_json_get_uint64(root, "version", &p->name.version, err);
    return r < 0 ? bvi_wrap(err, r, "'%s'", p->key) : 0;
}

static int check_small(const put_call *p, bv_error **err)
{
    return p->len > SMALL_MAX
               ? bvi_fail(err, BV_E_LIMIT, "'%s' is larger than %u bytes", p->key, SMALL_MAX)
               : 0;
}

/* ---- a pack: from the staging directory ---- */

static int open_pack_dirs(const put_call *p, int *ret_staging, int *ret_store, bv_error **err)
{
    const node_store *s = p->store;
    bvi_auto_free char *staged = bvi_strndup(below_key(s, p->key), strlen("packs/xx"));
    bvi_auto_free char *stored = staged ? bvi_asprintf("%s/%s", s->store_key, staged) : NULL;
    int r;

    if (!stored)
        return bvi_fail_nomem(err);
    r = bvi_staged_open_dir(s->staging_dir, staged, false, ret_staging, err);
    return r < 0 ? r : bvi_staged_open_dir(s->store_dir, stored, true, ret_store, err);
}

static int take_pack(const put_call *p, bv_error **err)
{
    const char *name = strrchr(p->key, '/') + 1;
    bvi_auto_close int staging = -1;
    bvi_auto_close int store = -1;
    bvi_auto_close int fd = -1;
    struct stat st;
    int r = open_pack_dirs(p, &staging, &store, err);

    if (r < 0)
        return r;
    if (fstatat(staging, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return bvi_fail_sys(err, errno, "cannot look at staged pack '%s'", name);
    if (st.st_size <= 0 || st.st_size > (off_t)BVI_SNAP_PACK_MAX)
        return bvi_fail(err, BV_E_LIMIT,
                        "staged pack '%s' has %" PRId64 " bytes; 1 to %u are right", name,
                        (int64_t)st.st_size, BVI_SNAP_PACK_MAX);
    r = bvi_staged_open(staging, name, (uint64_t)st.st_size, &fd, err);
    if (r == 0)
        r = bvi_staged_copy(store, fd, name, (uint64_t)st.st_size, p->name.hash, err);
    if (r == 0 && fsync(store) < 0)
        r = bvi_fail_sys(err, errno, "cannot sync the directory of pack '%s'", name);
    if (r == 0 || r == BV_E_CHECKSUM)
        (void)unlinkat(staging, name, 0); /* what stays goes with the staging directory */
    return r;
}

static void run_take(void *data)
{
    put_call *p = data;
    int r = BV_E_NOT_FOUND;

    for (unsigned i = 0; r == BV_E_NOT_FOUND && i < TAKE_TRIES; i++) {
        bv_error_free(bvi_take(p->err));
        r = take_pack(p, &p->err); /* the error is kept */
    }
}

static void taken(void *data, bool cancelled)
{
    put_call *p = data;

    if (cancelled && !p->err)
        (void)bvi_fail(&p->err, BV_E_CANCELLED, "cancelled");
    put_end(p, bvi_take(p->err));
}

/* ---- */

static int begin_put(put_call *p, bv_error **err)
{
    node_store *s = p->store;
    bool staged = p->bytes == NULL;
    int r = 0;

    if (staged != (p->name.kind == OBJECT_PACK) || (staged && !s->staging_dir))
        return bvi_fail(err, BV_E_INVALID, "'%s' is not put like that", p->key);
    if (staged || p->name.kind == OBJECT_ROOT) {
        bvi_work_init(&p->work, s->base.ctx, staged ? run_take : run_check,
                      staged ? taken : checked, p);
        bvi_work_submit(&p->work);
        return 0;
    }
    r = check_small(p, err);
    if (r == 0 && p->name.kind == OBJECT_LATEST)
        r = read_hint(p, err);
    return r < 0 ? r : look_at_root(p, err);
}

static int put(node_store *s, const bvi_store_request *request, bvi_store_fn done, void *data,
               bv_error **err)
{
    put_call *p = bvi_new0(put_call);
    int r;

    if (!p)
        return bvi_fail_nomem(err);
    p->store = s;
    p->done = done;
    p->data = data;
    p->bytes = request->bytes;
    p->len = request->len;
    p->key = bvi_strdup(request->key);
    r = p->key ? read_name(s, p->key, OBJECT_ROOT | OBJECT_SIGNATURE | OBJECT_LATEST | OBJECT_PACK,
                           &p->name, err)
               : bvi_fail_nomem(err);
    if (r == 0)
        r = begin_put(p, err);
    if (r < 0)
        put_free(p);
    return r;
}

/* ---- requests ---- */

static int check_object(const node_store *s, const bvi_store_request *request, unsigned allowed,
                        bv_error **err)
{
    object_name name;

    return read_name(s, request->key, allowed, &name, err);
}

static int check_get(const node_store *s, const bvi_store_request *request, bv_error **err)
{
    return check_object(s, request, OBJECT_ROOT | OBJECT_SIGNATURE | OBJECT_LATEST | OBJECT_PRUNE,
                        err);
}

static int check_stat(const node_store *s, const bvi_store_request *request, bv_error **err)
{
    return check_object(s, request,
                        OBJECT_ROOT | OBJECT_SIGNATURE | OBJECT_LATEST | OBJECT_PRUNE | OBJECT_PACK,
                        err);
}

static int check_prefix(const node_store *s, const bvi_store_request *request, bv_error **err)
{
    if (!below_key(s, request->key) || (request->after && !below_key(s, request->after)))
        return bvi_fail(err, BV_E_DENIED, "a node with the store key '%s' may not list '%s'",
                        s->store_key, request->key ? request->key : "");
    return 0;
}

static int check_lease(const node_store *s, const bvi_store_request *request, bv_error **err)
{
    if (!request->lease || !*request->lease)
        return bvi_fail(err, BV_E_DENIED, "a node's reservation has a lease");
    if (request->version > VERSION_MAX)
        return bvi_fail(err, BV_E_INVALID, "version %" PRIu64 " is too large", request->version);
    return 0;
}

static int check_nothing(const node_store *s, const bvi_store_request *request, bv_error **err)
{
    return 0;
}

/* NULL: not for nodes. PUT and URLs have rules of their own. */
static int (*const checks[BVI_STORE_VERBS])(const node_store *s, const bvi_store_request *request,
                                            bv_error **err) = {
    [BVI_STORE_GET] = check_get,          [BVI_STORE_STAT] = check_stat,
    [BVI_STORE_OBJECTS] = check_prefix,   [BVI_STORE_RESERVE] = check_lease,
    [BVI_STORE_RELEASE] = check_lease,    [BVI_STORE_LEASES] = check_nothing,
    [BVI_STORE_VERSIONS] = check_nothing,
};

static int node_call(bvi_store *store, const bvi_store_request *from, bvi_store_fn done, void *data,
                     bv_error **err)
{
    node_store *s = of(store);
    bvi_store_request request = *from;
    int r;

    if (from->verb == BVI_STORE_PUT)
        return put(s, from, done, data, err);
    if (from->verb >= BVI_STORE_VERBS || !checks[from->verb])
        return bvi_fail(err, BV_E_DENIED, "a node may not ask this of its store");
    r = checks[from->verb](s, from, err);
    if (r < 0)
        return r;
    request.store_key = s->store_key;
    return bvi_store_call(s->inner, &request, done, data, err);
}

static char *node_url(const bvi_store *store, const char *key, bool wants_put)
{
    return NULL; /* bvi_node_store_url() tells why not, too */
}

static void node_cancel(bvi_store *store)
{
    node_store *s = of(store);

    s->cancelled = true;
    s->inner->vtable->cancel(s->inner);
}

static void node_free(bvi_store *store)
{
    node_store *s = of(store);

    bvi_store_free(s->inner);
    bvi_free(s->store_key);
    bvi_free(s->staging_dir);
    bvi_free(s->store_dir);
    bvi_free(s->node_upload_dir);
    bvi_free(s->node_store_dir);
    bvi_free(s);
}

static const bvi_store_vtable vtable = {
    .name = "node",
    .call = node_call,
    .url = node_url,
    .cancel = node_cancel,
    .free = node_free,
};

static int copy_text(char **to, const char *text, bv_error **err)
{
    *to = bvi_strdup(text);
    return text && !*to ? bvi_fail_nomem(err) : 0;
}

static int copy_opts(node_store *s, const bvi_node_store_opts *opts, bv_error **err)
{
    const char *upload = opts->node_upload_dir ? opts->node_upload_dir : BVI_NODE_UPLOAD_DIR;
    const char *store = opts->node_store_dir ? opts->node_store_dir : BVI_NODE_STORE_DIR;
    int r;

    s->opts = *opts;
    if ((r = copy_text(&s->staging_dir, opts->staging_dir, err)) < 0 ||
        (r = copy_text(&s->store_dir, opts->store_dir, err)) < 0 ||
        (r = copy_text(&s->node_upload_dir, upload, err)) < 0 ||
        (r = copy_text(&s->node_store_dir, store, err)) < 0)
        return r;
    return bvi_store_key_normalise(opts->store_key, &s->store_key, err);
}

int bvi_node_store_new(bvi_store *inner, const bvi_node_store_opts *opts, bvi_store **ret_store,
                       bv_error **err)
{
    node_store *s = bvi_new0(node_store);
    int r;

    if (!s) {
        bvi_store_free(inner);
        return bvi_fail_nomem(err);
    }
    s->base = (bvi_store){ .vtable = &vtable, .ctx = inner->ctx, .ca_file = inner->ca_file };
    s->inner = inner;
    r = copy_opts(s, opts, err);
    if (r < 0) {
        node_free(&s->base);
        return r;
    }
    *ret_store = &s->base;
    return 0;
}
