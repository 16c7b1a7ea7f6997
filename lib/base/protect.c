/*
 * protect.c - the list of protected paths.
 */
#include <string.h>

#include "base/glob.h"
#include "base/protect.h"

/* Names that clients give to secrets and to the state of signers, and to nothing else. */
const char *const bvi_protect_builtin[] = {
    "**/wallets/**",
    "**/wallet.dat",
    "**/keystore/**",
    "**/keystores/**",
    "**/validator_keys/**",
    "**/nodekey",
    "**/node_key.json",
    "**/priv_validator_key.json",
    "**/priv_validator_state.json",
    "**/slashing_protection.sqlite*",
    "**/jwt.hex",
    "**/jwtsecret",
    "**/*.pem",
    NULL,
};

int bvi_protect_begin(bvi_strv *patterns, bv_error **err)
{
    patterns->max = BVI_PROTECT_MAX;
    for (const char *const *p = bvi_protect_builtin; *p; p++) {
        if (bvi_strv_add(patterns, *p) < 0)
            return bvi_fail_nomem(err);
    }
    return 0;
}

static int take_out(bvi_strv *patterns, const char *pattern, bv_error **err)
{
    for (size_t i = 0; i < patterns->len; i++) {
        if (strcmp(patterns->items[i], pattern) == 0) {
            bvi_free(patterns->items[i]);
            bvi_vec_remove(patterns, i);
            return 0;
        }
    }
    return bvi_fail(err, BV_E_INVALID,
                    "'!%s' takes out nothing: no built-in pattern is written like that", pattern);
}

int bvi_protect_add(bvi_strv *patterns, const char *pattern, bv_error **err)
{
    int r;

    if (pattern[0] == '!')
        return take_out(patterns, pattern + 1, err);
    if (pattern[0] == '/')
        return bvi_fail(err, BV_E_INVALID,
                        "'%s' begins with '/', but paths are relative to the protocol data",
                        pattern);
    r = bvi_glob_check(pattern, err);
    if (r < 0)
        return r;
    r = bvi_strv_has(patterns, pattern) ? 0 : bvi_strv_add(patterns, pattern);
    if (r == BV_E_LIMIT)
        return bvi_fail(err, r, "more than %u protected paths", BVI_PROTECT_MAX);
    return r < 0 ? bvi_fail_nomem(err) : 0;
}

bool bvi_protect_match(const bvi_strv *patterns, const char *path)
{
    for (size_t i = 0; i < patterns->len; i++) {
        if (bvi_glob_match(patterns->items[i], path))
            return true;
    }
    return false;
}
