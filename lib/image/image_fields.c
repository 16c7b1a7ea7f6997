/*
 * image_fields.c - the small readers and checks that babel.yaml is made of.
 */
#include <arpa/inet.h>
#include <string.h>

#include "image/image_fields.h"

#define URI_MAX 4096u

static bool is_absent(const bvi_json *object, const char *key)
{
    return bvi_json_type_of(bvi_json_find(object, key)) == BVI_JSON_NULL;
}

int bvi_image_text(const bvi_json *object, const char *key, char **ret_text, bv_error **err)
{
    int r;

    if (is_absent(object, key))
        return bvi_fail(err, BV_E_FORMAT, "'%s' is missing", key);
    r = bvi_json_scalar_text(bvi_json_find(object, key), ret_text, err);
    return r < 0 ? bvi_wrap(err, r, "'%s'", key) : 0;
}

int bvi_image_opt_text(const bvi_json *object, const char *key, char **ret_text, bv_error **err)
{
    if (is_absent(object, key)) {
        *ret_text = NULL;
        return 0;
    }
    return bvi_image_text(object, key, ret_text, err);
}

int bvi_image_list(const bvi_json *object, const char *key, bool required, size_t max,
                   const bvi_json **ret_list, bv_error **err)
{
    const bvi_json *list = bvi_json_find(object, key);

    if (is_absent(object, key)) {
        *ret_list = NULL;
        return required ? bvi_fail(err, BV_E_FORMAT, "'%s' is missing", key) : 0;
    }
    if (bvi_json_type_of(list) != BVI_JSON_ARRAY)
        return bvi_fail(err, BV_E_FORMAT, "'%s' must be a list, not %s", key,
                        bvi_json_type_name(list));
    if (bvi_json_count(list) > max)
        return bvi_fail(err, BV_E_LIMIT, "'%s' has more than %zu entries", key, max);
    *ret_list = list;
    return 0;
}

int bvi_image_object(const bvi_json *node, const char *what, bv_error **err)
{
    if (bvi_json_type_of(node) != BVI_JSON_OBJECT)
        return bvi_fail(err, BV_E_FORMAT, "%s must be a mapping, not %s", what,
                        bvi_json_type_name(node));
    return 0;
}

int bvi_image_word(const bvi_json *object, const char *key, const char *const *words,
                   const char **ret_word, bv_error **err)
{
    const char *text = bvi_json_string(bvi_json_find(object, key));

    if (!text)
        return bvi_fail(err, BV_E_FORMAT,
                        is_absent(object, key) ? "'%s' is missing" : "'%s' must be text", key);
    for (size_t i = 0; words[i]; i++) {
        if (strcmp(words[i], text) == 0) {
            *ret_word = words[i];
            return 0;
        }
    }
    return bvi_fail(err, BV_E_FORMAT, "'%s' cannot be '%s'", key, text);
}

int bvi_image_check_kebab(const char *what, const char *value, bv_error **err)
{
    if (value[strspn(value, "abcdefghijklmnopqrstuvwxyz0123456789-")] == '\0')
        return 0;
    return bvi_fail(err, BV_E_FORMAT, "'%s: %s' isn't lower-kebab-case", what, value);
}

/* ---- semantic versions ---- */

/* A number without leading zeros; moves on behind it. */
static bool take_number(const char **at)
{
    size_t len = strspn(*at, "0123456789");

    if (len == 0 || (len > 1 && **at == '0'))
        return false;
    *at += len;
    return true;
}

/* Identifiers separated by dots, none empty; numeric ones of a pre-release without leading zeros.
 */
static bool take_identifiers(const char **at, bool numbers_plain)
{
    for (;;) {
        size_t len = strspn(*at, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-");

        if (len == 0 ||
            (numbers_plain && len > 1 && **at == '0' && strspn(*at, "0123456789") == len))
            return false;
        *at += len;
        if (**at != '.')
            return true;
        (*at)++;
    }
}

static bool is_semver(const char *at)
{
    for (int i = 0; i < 3; i++) {
        if ((i > 0 && *at++ != '.') || !take_number(&at))
            return false;
    }
    if (*at == '-' && (at++, !take_identifiers(&at, true)))
        return false;
    if (*at == '+' && (at++, !take_identifiers(&at, false)))
        return false;
    return *at == '\0';
}

int bvi_image_check_version(const char *version, bv_error **err)
{
    return is_semver(version)
               ? 0
               : bvi_fail(err, BV_E_FORMAT, "version must be semantic, not '%s'", version);
}

/* ---- the rest ---- */

int bvi_image_check_uri(const char *uri, bv_error **err)
{
    size_t scheme =
        strspn(uri, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+.-");
    bool starts_well =
        scheme > 0 && strncmp(uri + scheme, "://", 3) == 0 && uri[scheme + 3] != '\0';
    size_t len = strlen(uri);

    for (size_t i = 0; i < len && starts_well; i++)
        starts_well = (unsigned char)uri[i] > ' ' && uri[i] != 0x7f;
    if (starts_well && len <= URI_MAX)
        return 0;
    return bvi_fail(err, BV_E_FORMAT, "invalid container_uri '%s'", uri);
}

int bvi_image_check_sku(const char *variant, const char *sku, bv_error **err)
{
    const char *at = sku;
    int parts = 0;

    for (;; at++) {
        size_t len = strspn(at, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789");

        parts += len > 0 ? 1 : 4;
        at += len;
        if (*at != '-')
            break;
    }
    if (*at == '\0' && parts == 3)
        return 0;
    return bvi_fail(
        err, BV_E_FORMAT,
        "Invalid SKU format for variant '%s': '%s' is not three parts of A-Z and 0-9 joined by '-'",
        variant, sku);
}

bool bvi_image_is_cidr(const char *text)
{
    char address[INET6_ADDRSTRLEN];
    unsigned char bytes[16];
    size_t len = strcspn(text, "/");
    int family = memchr(text, ':', len) ? AF_INET6 : AF_INET;
    const char *prefix = text + len;
    unsigned bits = 0;

    if (len >= sizeof(address))
        return false;
    memcpy(address, text, len);
    address[len] = '\0';
    if (inet_pton(family, address, bytes) != 1)
        return false;
    if (*prefix == '\0')
        return true;
    prefix++;
    if (strlen(prefix) == 0 || strlen(prefix) > 3)
        return false;
    for (; *prefix; prefix++) {
        if (*prefix < '0' || *prefix > '9')
            return false;
        bits = bits * 10 + (unsigned)(*prefix - '0');
    }
    return bits <= (family == AF_INET6 ? 128u : 32u);
}
