/*
 * sign.c - signatures of a snapshot's root, as they lie beside it. Reads key files, so for a worker
 * or a program that may wait.
 */
#include <string.h>

#include "base/hex.h"
#include "base/json.h"
#include "base/json_text.h"
#include "base/signature.h"
#include "snapshot/root.h"
#include "sys/fs.h"

/* What is signed begins with it, so that no signature of something else fits. */
#define CONTEXT        "blockvisor-snapshot-v1\n"
#define KEY_FILE_MAX   (16u * 1024u)
#define SIGNATURES_MAX 64u
#define SIG_MAX        (64u * 1024u)

static int read_key(const char *path, bool secret, bvi_ed25519_key **ret_key, bv_error **err)
{
    bvi_auto_free char *pem = NULL;
    size_t len = 0;
    int r = bvi_fs_read(path, KEY_FILE_MAX, &pem, &len, err);

    if (r < 0)
        return r; /* names the file */
    r = secret ? bvi_ed25519_secret(pem, len, ret_key, err)
               : bvi_ed25519_public(pem, len, ret_key, err);
    explicit_bzero(pem, len);
    return r < 0 ? bvi_wrap(err, r, "key file '%s'", path) : 0;
}

static int signed_bytes(const char *root_text, size_t len, bvi_buf *bytes, bv_error **err)
{
    int r;

    bvi_buf_init(bytes, sizeof(CONTEXT) + BVI_SNAP_ROOT_MAX);
    r = bvi_buf_reserve(bytes, sizeof(CONTEXT) + len);
    if (r == 0)
        r = bvi_buf_append_str(bytes, CONTEXT);
    if (r == 0)
        r = bvi_buf_append(bytes, root_text, len);
    if (r == BV_E_NOMEM)
        return bvi_fail_nomem(err);
    return r < 0 ? bvi_fail(err, r, "a root of %zu bytes is too large to be signed", len) : 0;
}

static void put_hex(bvi_json_text *w, const char *key, const uint8_t *bytes, size_t len)
{
    char hex[BVI_HEX_SIZE(BVI_ED25519_SIZE)];

    bvi_hex_encode(bytes, len, hex);
    bvi_json_text_key(w, key);
    bvi_json_text_str(w, hex);
}

static int print(const bvi_ed25519_key *key, const uint8_t *signature, bvi_buf *sig)
{
    uint8_t public[BVI_ED25519_KEY_SIZE];
    bvi_json_text w;

    bvi_ed25519_bytes(key, public);
    bvi_json_text_init(&w, sig, false);
    bvi_json_text_open(&w, '{');
    bvi_json_text_key(&w, "signatures");
    bvi_json_text_open(&w, '[');
    bvi_json_text_open(&w, '{');
    put_hex(&w, "key", public, sizeof(public));
    put_hex(&w, "signature", signature, BVI_ED25519_SIZE);
    bvi_json_text_close(&w, '}');
    bvi_json_text_close(&w, ']');
    bvi_json_text_close(&w, '}');
    return bvi_json_text_end(&w);
}

int bvi_snap_sign(const char *root_text, size_t len, const char *secret_key_file, bvi_buf *sig,
                  bv_error **err)
{
    BVI_AUTO(bvi_ed25519_freep) bvi_ed25519_key *key = NULL;
    BVI_AUTO(bvi_buf_done) bvi_buf bytes = BVI_BUF_INIT(0);
    uint8_t signature[BVI_ED25519_SIZE];
    int r = read_key(secret_key_file, true, &key, err);

    if (r == 0)
        r = signed_bytes(root_text, len, &bytes, err);
    if (r == 0)
        r = bvi_ed25519_sign(key, bytes.data, bytes.len, signature, err);
    if (r < 0)
        return bvi_wrap(err, r, "cannot sign the snapshot");
    r = print(key, signature, sig);
    return r < 0 ? bvi_fail(err, r, "cannot write the signature of the snapshot") : 0;
}

/* 0: this one is by the key, and right; 1: it is by another. */
static int check_one(const bvi_json *one, const bvi_ed25519_key *key, const bvi_buf *bytes,
                     bv_error **err)
{
    uint8_t want[BVI_ED25519_KEY_SIZE];
    uint8_t by[BVI_ED25519_KEY_SIZE];
    uint8_t signature[BVI_ED25519_SIZE];
    const char *key_hex = NULL;
    const char *sig_hex = NULL;
    int r = bvi_json_get_string(one, "key", &key_hex, err);

    if (r == 0)
        r = bvi_json_get_string(one, "signature", &sig_hex, err);
    if (r < 0)
        return r;
    bvi_ed25519_bytes(key, want);
    if (!bvi_hex_decode(key_hex, by, sizeof(by)) || memcmp(by, want, sizeof(by)) != 0)
        return 1;
    if (!bvi_hex_decode(sig_hex, signature, sizeof(signature)))
        return bvi_fail(err, BV_E_DENIED, "the signature is not 128 hexadecimal digits");
    return bvi_ed25519_verify(key, bytes->data, bytes->len, signature, err);
}

static int check_all(const bvi_json *json, const bvi_ed25519_key *key, const bvi_buf *bytes,
                     bv_error **err)
{
    const bvi_json *all = NULL;
    size_t n = 0;
    int r = bvi_json_get_array(json, "signatures", &all, err);

    if (r < 0)
        return r;
    bvi_json_each(one, all) {
        r = ++n <= SIGNATURES_MAX
                ? check_one(one, key, bytes, err)
                : bvi_fail(err, BV_E_LIMIT, "more than %u signatures", SIGNATURES_MAX);
        if (r <= 0)
            return r;
    }
    return bvi_fail(err, BV_E_DENIED, "none of its %zu signatures is by this key", n);
}

int bvi_snap_check_signature(const char *root_text, size_t len, const char *sig_text,
                             size_t sig_len, const char *public_key_file, bv_error **err)
{
    BVI_AUTO(bvi_ed25519_freep) bvi_ed25519_key *key = NULL;
    BVI_AUTO(bvi_buf_done) bvi_buf bytes = BVI_BUF_INIT(0);
    bvi_auto_json bvi_json *json = NULL;
    int r = read_key(public_key_file, false, &key, err);

    if (r == 0)
        r = signed_bytes(root_text, len, &bytes, err);
    if (r < 0)
        return r;
    r = sig_len <= SIG_MAX ? bvi_json_parse(sig_text, sig_len, &json, err)
                           : bvi_fail(err, BV_E_LIMIT, "it is longer than %u bytes", SIG_MAX);
    if (r == 0)
        r = check_all(json, key, &bytes, err);
    if (r < 0 && r != BV_E_NOMEM)
        return bvi_wrap(err, BV_E_DENIED, "the snapshot is not signed by the key of '%s'",
                        public_key_file);
    return r;
}
