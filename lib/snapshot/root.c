/*
 * root.c - the root of a snapshot: its JSON, and the keys of a snapshot's objects.
 *
 * A root comes from a store, so everything in it is checked against its limit and against the other
 * fields, before anybody reckons with it. Pure; any thread.
 */
#include <string.h>

#include "base/hex.h"
#include "base/json.h"
#include "base/json_text.h"
#include "base/names.h"
#include "snapshot/page_impl.h"
#include "snapshot/root.h"
#include "transfer/store.h"

#define FORMAT_NAME    "blockvisor-snapshot"
#define FORMAT_VERSION 1u
/* A page takes ten values and some 300 bytes; a root with a value in every few bytes is made to
 * fill our memory. */
#define BYTES_PER_VALUE 12u
#define VALUES_FREE     1000u

static const bvi_name codec_names[] = {
    { BVI_SNAP_STORED, "stored" },
    { BVI_SNAP_ZSTD, "zstd" },
    { BVI_SNAP_LZ4, "lz4" },
    { 0, NULL },
};

void bvi_snap_root_init(bvi_snap_root *root)
{
    *root = (bvi_snap_root){ .pages = BVI_VEC_INIT(BVI_SNAP_PAGES_MAX) };
}

void bvi_snap_root_done(bvi_snap_root *root)
{
    bvi_free(root->key);
    bvi_vec_done(&root->pages);
    bvi_snap_root_init(root);
}

/* ---- keys of objects ---- */

char *bvi_snap_pack_key(const char *store_key, const bvi_hash256 *pack)
{
    char hex[BVI_HEX_SIZE(BVI_BLAKE3_SIZE)];

    bvi_hex_encode(pack->bytes, sizeof(pack->bytes), hex);
    return bvi_asprintf("%s/packs/%.2s/%s", store_key, hex, hex);
}

bool bvi_snap_pack_of_key(const char *key, bvi_hash256 *ret_id)
{
    const char *name = strrchr(key, '/');

    return name && strlen(name + 1) == 2 * sizeof(ret_id->bytes) &&
           bvi_hex_decode(name + 1, ret_id->bytes, sizeof(ret_id->bytes));
}

char *bvi_snap_root_key(const char *store_key, uint64_t version)
{
    return bvi_store_object_key(store_key, version, BVI_SNAP_ROOT_NAME);
}

char *bvi_snap_sig_key(const char *store_key, uint64_t version)
{
    return bvi_store_object_key(store_key, version, BVI_SNAP_SIG_NAME);
}

char *bvi_snap_latest_key(const char *store_key)
{
    return bvi_asprintf("%s/%s", store_key, BVI_SNAP_LATEST_NAME);
}

char *bvi_snap_prune_key(const char *store_key)
{
    return bvi_asprintf("%s/%s", store_key, BVI_SNAP_PRUNE_NAME);
}

/* ---- reading ---- */

static int get_u32(const bvi_json *object, const char *key, uint32_t *ret_value, bv_error **err)
{
    uint64_t value = 0;
    int r = bvi_json_get_uint64(object, key, &value, err);

    if (r < 0)
        return r;
    if (value > UINT32_MAX)
        return bvi_fail(err, BV_E_FORMAT, "'%s' is too large", key);
    *ret_value = (uint32_t)value;
    return 0;
}

static int get_hash(const bvi_json *object, const char *key, bvi_hash256 *ret_hash, bv_error **err)
{
    const char *text = NULL;
    int r = bvi_json_get_string(object, key, &text, err);

    if (r < 0)
        return r;
    if (!bvi_hex_decode(text, ret_hash->bytes, sizeof(ret_hash->bytes)))
        return bvi_fail(err, BV_E_FORMAT, "'%s' is not a hash in 64 hexadecimal digits", key);
    return 0;
}

static int get_codec(const bvi_json *object, bvi_snap_codec *ret_codec, bv_error **err)
{
    const char *name = NULL;
    int value = 0;
    int r = bvi_json_get_string(object, "codec", &name, err);

    if (r < 0)
        return r;
    if (!bvi_name_find(codec_names, name, &value))
        return bvi_fail(err, BV_E_UNSUPPORTED, "unknown codec '%s'", name);
    *ret_codec = (bvi_snap_codec)value;
    return 0;
}

static int read_page(const bvi_json *object, bvi_snap_page_ref *page, bv_error **err)
{
    int r = get_hash(object, "hash", &page->frame.hash, err);

    if (r == 0)
        r = get_hash(object, "pack", &page->frame.pack, err);
    if (r == 0)
        r = bvi_json_get_uint64(object, "offset", &page->frame.offset, err);
    if (r == 0)
        r = get_u32(object, "stored", &page->frame.stored, err);
    if (r == 0)
        r = get_u32(object, "plain", &page->frame.plain, err);
    if (r == 0)
        r = get_codec(object, &page->frame.codec, err);
    if (r == 0)
        r = get_u32(object, "entries", &page->entries, err);
    if (r == 0)
        r = get_u32(object, "chunks", &page->chunks, err);
    if (r == 0)
        r = bvi_json_get_uint64(object, "bytes", &page->bytes, err);
    if (r == 0)
        r = bvi_snap_frame_check(&page->frame, err);
    if (r < 0)
        return r;
    if (page->frame.plain > BVI_SNAP_PAGE_MAX)
        return bvi_fail(err, BV_E_FORMAT, "a page of %u bytes", page->frame.plain);
    return 0;
}

static int read_pages(const bvi_json *json, bvi_snap_root *root, bv_error **err)
{
    const bvi_json *pages = NULL;
    int r = bvi_json_get_array(json, "pages", &pages, err);

    if (r < 0)
        return r;
    bvi_json_each(it, pages) {
        bvi_snap_page_ref *page = bvi_vec_push(&root->pages);

        if (!page)
            return root->pages.len < root->pages.max
                       ? bvi_fail_nomem(err)
                       : bvi_fail(err, BV_E_LIMIT, "more than %u pages", BVI_SNAP_PAGES_MAX);
        r = read_page(it, page, err);
        if (r < 0)
            return bvi_wrap(err, r, "page %zu", root->pages.len - 1);
    }
    return 0;
}

/* What the pages hold together is what the root says. */
static int check_sums(const bvi_snap_root *root, bv_error **err)
{
    uint64_t bytes = 0;
    uint64_t chunks = 0;
    uint64_t entries = 0;

    for (size_t i = 0; i < root->pages.len; i++) {
        const bvi_snap_page_ref *page = &root->pages.items[i];

        chunks += page->chunks; /* 2^16 pages of less than 2^32 */
        entries += page->entries;
        if (__builtin_add_overflow(bytes, page->bytes, &bytes))
            return bvi_fail(err, BV_E_FORMAT, "its pages hold more bytes than there can be");
    }
    if (bytes != root->plain_bytes || chunks != root->chunks)
        return bvi_fail(err, BV_E_FORMAT,
                        "it promises %llu bytes in %llu chunks, its pages have %llu in %llu",
                        (unsigned long long)root->plain_bytes, (unsigned long long)root->chunks,
                        (unsigned long long)bytes, (unsigned long long)chunks);
    if (root->entries > entries || root->files > root->entries)
        return bvi_fail(err, BV_E_FORMAT, "it promises more files or entries than its pages have");
    return 0;
}

static int read_head(const bvi_json *json, bv_error **err)
{
    const char *format = NULL;
    uint64_t version = 0;
    int r = bvi_json_get_string(json, "format", &format, err);

    if (r == 0 && strcmp(format, FORMAT_NAME) != 0)
        return bvi_fail(err, BV_E_FORMAT, "its format is '%s', not '%s'", format, FORMAT_NAME);
    if (r == 0)
        r = bvi_json_get_uint64(json, "format_version", &version, err);
    if (r == 0 && version != FORMAT_VERSION)
        return bvi_fail(err, BV_E_UNSUPPORTED,
                        "its format has version %llu, this program reads %u; use a newer one",
                        (unsigned long long)version, FORMAT_VERSION);
    return r;
}

static int read_names(const bvi_json *json, bvi_snap_root *root, bv_error **err)
{
    const char *key = NULL;
    int r = bvi_json_get_string(json, "key", &key, err);

    if (r == 0)
        r = bvi_store_key_normalise(key, &root->key, err);
    if (r == 0)
        r = bvi_json_get_uint64(json, "version", &root->version, err);
    if (r == 0)
        r = bvi_json_opt_uint64(json, "base", &root->base, err);
    if (r == 0)
        r = bvi_json_get_int64(json, "created_us", &root->created_us, err);
    if (r < 0)
        return r;
    if (root->version == 0 || root->base >= root->version)
        return bvi_fail(err, BV_E_FORMAT, "version %llu made from version %llu",
                        (unsigned long long)root->version, (unsigned long long)root->base);
    return 0;
}

static int read_figures(const bvi_json *json, bvi_snap_root *root, bv_error **err)
{
    const struct {
        const char *key;
        uint64_t *value;
    } figures[] = {
        { "plain_bytes", &root->plain_bytes },
        { "stored_bytes", &root->stored_bytes },
        { "sent_bytes", &root->sent_bytes },
        { "entries", &root->entries },
        { "files", &root->files },
        { "chunks", &root->chunks },
    };

    for (size_t i = 0; i < BVI_COUNT(figures); i++) {
        int r = bvi_json_get_uint64(json, figures[i].key, figures[i].value, err);

        if (r < 0)
            return r;
    }
    return 0;
}

static int read_compression(const bvi_json *json, bvi_snap_root *root, bv_error **err)
{
    const bvi_json *compression = NULL;
    int64_t level = 0;
    int r = bvi_json_get_object(json, "compression", &compression, err);

    if (r == 0)
        r = get_codec(compression, &root->codec, err);
    if (r == 0)
        r = bvi_json_opt_int64(compression, "level", &level, err);
    if (r < 0)
        return r;
    if (level < INT32_MIN || level > INT32_MAX)
        return bvi_fail(err, BV_E_FORMAT, "'level' is out of range");
    root->level = (int32_t)level;
    return 0;
}

static int read_root(const bvi_json *json, bvi_snap_root *root, bv_error **err)
{
    int r = read_head(json, err);

    if (r == 0)
        r = read_names(json, root, err);
    if (r == 0)
        r = read_figures(json, root, err);
    if (r == 0)
        r = read_compression(json, root, err);
    if (r == 0)
        r = read_pages(json, root, err);
    if (r == 0)
        r = check_sums(root, err);
    return r;
}

/* A document in memory takes many times its bytes where its values are small, so they are counted
 * first: there is a comma or an open bracket before each. */
static bool is_dense(const char *text, size_t len)
{
    size_t values = 0;

    for (size_t i = 0; i < len; i++)
        values += text[i] == ',' || text[i] == '{' || text[i] == '[';
    return values > VALUES_FREE + len / BYTES_PER_VALUE;
}

int bvi_snap_root_parse(const char *text, size_t len, bvi_snap_root *ret_root, bv_error **err)
{
    bvi_auto_json bvi_json *json = NULL;
    BVI_AUTO(bvi_snap_root_done) bvi_snap_root root;
    int r;

    bvi_snap_root_init(&root);
    if (len > BVI_SNAP_ROOT_MAX)
        return bvi_fail(err, BV_E_LIMIT, "root of the snapshot: %zu bytes are more than %u", len,
                        BVI_SNAP_ROOT_MAX);
    r = is_dense(text, len)
            ? bvi_fail(err, BV_E_LIMIT, "it has more values than a snapshot could have")
            : bvi_json_parse(text, len, &json, err);
    if (r == 0)
        r = read_root(json, &root, err);
    if (r < 0)
        return bvi_wrap(err, r, "root of the snapshot");
    *ret_root = root;
    bvi_snap_root_init(&root);
    return 0;
}

/* ---- writing ---- */

static void put_uint(bvi_json_text *w, const char *key, uint64_t value)
{
    bvi_json_text_key(w, key);
    bvi_json_text_uint(w, value);
}

static void put_str(bvi_json_text *w, const char *key, const char *text)
{
    bvi_json_text_key(w, key);
    bvi_json_text_str(w, text);
}

static void put_hash(bvi_json_text *w, const char *key, const bvi_hash256 *hash)
{
    char hex[BVI_HEX_SIZE(BVI_BLAKE3_SIZE)];

    bvi_hex_encode(hash->bytes, sizeof(hash->bytes), hex);
    put_str(w, key, hex);
}

static void put_page(bvi_json_text *w, const bvi_snap_page_ref *page)
{
    bvi_json_text_open(w, '{');
    put_hash(w, "hash", &page->frame.hash);
    put_hash(w, "pack", &page->frame.pack);
    put_uint(w, "offset", page->frame.offset);
    put_uint(w, "stored", page->frame.stored);
    put_uint(w, "plain", page->frame.plain);
    put_str(w, "codec", bvi_name_of(codec_names, (int)page->frame.codec));
    put_uint(w, "entries", page->entries);
    put_uint(w, "chunks", page->chunks);
    put_uint(w, "bytes", page->bytes);
    bvi_json_text_close(w, '}');
}

static void put_head(bvi_json_text *w, const bvi_snap_root *root)
{
    put_str(w, "format", FORMAT_NAME);
    put_uint(w, "format_version", FORMAT_VERSION);
    put_str(w, "key", root->key);
    put_uint(w, "version", root->version);
    if (root->base > 0)
        put_uint(w, "base", root->base);
    bvi_json_text_key(w, "created_us");
    bvi_json_text_int(w, root->created_us);
    put_uint(w, "plain_bytes", root->plain_bytes);
    put_uint(w, "stored_bytes", root->stored_bytes);
    put_uint(w, "sent_bytes", root->sent_bytes);
    put_uint(w, "entries", root->entries);
    put_uint(w, "files", root->files);
    put_uint(w, "chunks", root->chunks);
    bvi_json_text_key(w, "compression");
    bvi_json_text_open(w, '{');
    put_str(w, "codec", bvi_name_of(codec_names, (int)root->codec));
    bvi_json_text_key(w, "level");
    bvi_json_text_int(w, root->level);
    bvi_json_text_close(w, '}');
}

int bvi_snap_root_print(const bvi_snap_root *root, bvi_buf *text, bv_error **err)
{
    bvi_json_text w;
    int r;

    bvi_json_text_init(&w, text, false);
    bvi_json_text_open(&w, '{');
    put_head(&w, root);
    bvi_json_text_key(&w, "pages");
    bvi_json_text_open(&w, '[');
    for (size_t i = 0; i < root->pages.len; i++)
        put_page(&w, &root->pages.items[i]);
    bvi_json_text_close(&w, ']');
    bvi_json_text_close(&w, '}');
    r = bvi_json_text_end(&w);
    if (r == BV_E_NOMEM)
        return bvi_fail_nomem(err);
    return r < 0 ? bvi_fail(err, r, "the root of the snapshot is longer than %zu bytes", text->max)
                 : 0;
}
