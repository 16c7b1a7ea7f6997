/*
 * s3_config.c - see s3_config.h.
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "sys/fs.h"
#include "transfer/manifest.h"
#include "transfer/s3_config.h"
#include "transfer/url.h"

typedef enum parameter {
    REGION,
    ENDPOINT,
    STYLE,
    CA,
    PROFILE,
    CREDENTIALS,
    PARAMETERS,
} parameter;

static const char *const parameter_names[PARAMETERS] = {
    [REGION] = "region", [ENDPOINT] = "endpoint", [STYLE] = "style",
    [CA] = "ca",         [PROFILE] = "profile",   [CREDENTIALS] = "credentials",
};

/* A URI taken apart. */
typedef struct parts {
    char *bucket;
    char *values[PARAMETERS];
} parts;

static void parts_done(parts *p)
{
    bvi_free(p->bucket);
    for (size_t i = 0; i < PARAMETERS; i++)
        bvi_free(p->values[i]);
}

static void free_secret(char *text)
{
    if (text)
        explicit_bzero(text, strlen(text));
    bvi_free(text);
}

static void keys_done(bvi_s3_credentials *keys)
{
    free_secret(keys->access_key_id);
    free_secret(keys->secret_access_key);
    free_secret(keys->session_token);
    *keys = (bvi_s3_credentials){ 0 };
}

void bvi_s3_config_done(bvi_s3_config *config)
{
    bvi_free(config->name);
    bvi_free(config->prefix);
    bvi_free(config->region);
    bvi_free(config->origin);
    bvi_free(config->host);
    bvi_free(config->base);
    bvi_free(config->ca_file);
    keys_done(&config->keys);
}

static bool only_has(const char *text, const char *others)
{
    for (; *text; text++) {
        char low = (char)(*text | 0x20);

        if (!(low >= 'a' && low <= 'z') && !(*text >= '0' && *text <= '9') &&
            !strchr(others, *text))
            return false;
    }
    return true;
}

/* ---- the URI ---- */

static int set_bucket(parts *p, const char *text, size_t len, bv_error **err)
{
    p->bucket = bvi_strndup(text, len);
    if (!p->bucket)
        return bvi_fail_nomem(err);
    if (len < 3 || len > 63 || !only_has(p->bucket, "-._") || strstr(p->bucket, ".."))
        return bvi_fail(err, BV_E_INVALID,
                        "the bucket must have 3 to 63 letters, digits, '-', '.' and '_', and keys "
                        "do not belong into the URI");
    return 0;
}

static int set_prefix(bvi_s3_config *config, const char *text, size_t len, bv_error **err)
{
    bvi_auto_free char *path = NULL;

    while (len > 0 && text[len - 1] == '/')
        len--;
    while (len > 0 && *text == '/') {
        text++;
        len--;
    }
    path = bvi_strndup(text, len);
    config->prefix = bvi_asprintf("%.*s%s", (int)len, text, len > 0 ? "/" : "");
    if (!config->prefix || !path)
        return bvi_fail_nomem(err);
    if (len > BVI_S3_PREFIX_MAX || !only_has(path, "-._/"))
        return bvi_fail(err, BV_E_INVALID,
                        "the prefix may have up to %u letters, digits, '-', '.', '_' and '/'",
                        BVI_S3_PREFIX_MAX);
    return len > 0 && bvi_target_path_check(path, NULL) < 0
               ? bvi_fail(err, BV_E_INVALID, "the prefix has an empty name, '.' or '..'")
               : 0;
}

/* Values are percent-encoded as in any URI; without any '%' a path or an address stands as it is.
 */
static int decode_value(const char *text, size_t len, char **ret_value, bv_error **err)
{
    bvi_auto_free char *as_url = bvi_asprintf("file:///%.*s", (int)len, text);
    bvi_auto_free char *path = NULL;
    int r;

    if (!as_url)
        return bvi_fail_nomem(err);
    r = bvi_url_to_path(as_url, &path, NULL);
    if (r == BV_E_NOMEM)
        return bvi_fail_nomem(err);
    if (r < 0)
        return bvi_fail(err, BV_E_INVALID, "a parameter has a wrong escape");
    bvi_free(*ret_value);
    *ret_value = bvi_strdup(path + 1);
    return *ret_value ? 0 : bvi_fail_nomem(err);
}

static int set_parameter(parts *p, const char *text, size_t len, bv_error **err)
{
    const char *equals = memchr(text, '=', len);
    size_t name_len = equals ? (size_t)(equals - text) : len;

    for (size_t i = 0; i < PARAMETERS; i++) {
        if (strlen(parameter_names[i]) == name_len &&
            memcmp(parameter_names[i], text, name_len) == 0 && equals)
            return decode_value(equals + 1, len - name_len - 1, &p->values[i], err);
    }
    /* It may be a secret that was put here by mistake, so only its name is told. */
    return bvi_fail(err, BV_E_INVALID,
                    "there is no parameter '%.*s': there are region, endpoint, style, ca, profile "
                    "and credentials",
                    (int)(name_len < 40 ? name_len : 40), text);
}

static int set_parameters(parts *p, const char *query, bv_error **err)
{
    int r = 0;

    while (r == 0 && *query) {
        size_t len = strcspn(query, "&");

        if (len > 0)
            r = set_parameter(p, query, len, err);
        query += len + (query[len] == '&');
    }
    return r;
}

static int take_apart(bvi_s3_config *config, const char *uri, parts *p, bv_error **err)
{
    const char *at = uri + strlen(BVI_S3_SCHEME);
    size_t bucket_len = strcspn(at, "/?#");
    size_t prefix_len = strcspn(at + bucket_len, "?#");
    const char *query = at + bucket_len + prefix_len;
    int r = set_bucket(p, at, bucket_len, err);

    if (r == 0)
        r = set_prefix(config, at + bucket_len, prefix_len, err);
    if (r == 0 && *query == '#')
        r = bvi_fail(err, BV_E_INVALID, "it has a fragment");
    return r == 0 && *query == '?' ? set_parameters(p, query + 1, err) : r;
}

/* ---- region and endpoint ---- */

static const char *environment(const char *name)
{
    const char *value = secure_getenv(name);

    return value && *value ? value : NULL;
}

static const char *first_of(const char *a, const char *b, const char *c, const char *d)
{
    const char *const all[] = { a, b, c };

    for (size_t i = 0; i < BVI_COUNT(all); i++) {
        if (all[i] && *all[i])
            return all[i];
    }
    return d;
}

/* "https://Host:443/" -> "https", "host". */
static int check_endpoint(const char *endpoint, const char **ret_scheme, char **ret_host,
                          bv_error **err)
{
    bool tls = strncasecmp(endpoint, "https://", 8) == 0;
    const char *host = endpoint + (tls ? 8 : 7);
    const char *default_port = tls ? ":443" : ":80";
    size_t len = bvi_url_is_http(endpoint) ? strlen(host) : 0;
    size_t port_len = strlen(default_port);

    while (len > 0 && host[len - 1] == '/')
        len--;
    if (len > port_len && memcmp(host + len - port_len, default_port, port_len) == 0)
        len -= port_len;
    *ret_host = bvi_strndup(host, len);
    if (!*ret_host)
        return bvi_fail_nomem(err);
    if (len == 0 || !only_has(*ret_host, "-.:[]"))
        return bvi_fail(err, BV_E_INVALID,
                        "the endpoint must be http://HOST[:PORT] or https://HOST[:PORT], without a "
                        "path");
    *ret_scheme = tls ? "https" : "http";
    return 0;
}

/* In the name of the host where that is usual and works: not with our own servers, and not with
 * dots under TLS. */
static int wants_host_style(const parts *p, bool own_endpoint, bool *ret_host_style, bv_error **err)
{
    const char *style = p->values[STYLE];

    if (style && strcmp(style, "path") != 0 && strcmp(style, "host") != 0)
        return bvi_fail(err, BV_E_INVALID, "the style '%s' is neither 'path' nor 'host'", style);
    *ret_host_style = style ? strcmp(style, "host") == 0 : !own_endpoint && !strchr(p->bucket, '.');
    return 0;
}

static int set_place(bvi_s3_config *config, const parts *p, bv_error **err)
{
    const char *region = first_of(p->values[REGION], environment("AWS_REGION"),
                                  environment("AWS_DEFAULT_REGION"), BVI_S3_REGION);
    const char *own = first_of(p->values[ENDPOINT], environment("AWS_ENDPOINT_URL_S3"),
                               environment("AWS_ENDPOINT_URL"), NULL);
    const char *ca = first_of(p->values[CA], environment("AWS_CA_BUNDLE"), NULL, NULL);
    bvi_auto_free char *usual = bvi_asprintf("https://s3.%s.amazonaws.com", region);
    bvi_auto_free char *host = NULL;
    const char *scheme = NULL;
    bool host_style = false;
    int r;

    if (!only_has(region, "-"))
        return bvi_fail(err, BV_E_INVALID, "the region '%s' is not a name", region);
    if (!usual)
        return bvi_fail_nomem(err);
    r = check_endpoint(own ? own : usual, &scheme, &host, err);
    if (r == 0)
        r = wants_host_style(p, own != NULL, &host_style, err);
    if (r < 0)
        return r;
    config->region = bvi_strdup(region);
    config->host = host_style ? bvi_asprintf("%s.%s", p->bucket, host) : bvi_strdup(host);
    config->base = host_style ? bvi_strdup("") : bvi_asprintf("/%s", p->bucket);
    config->origin = config->host ? bvi_asprintf("%s://%s", scheme, config->host) : NULL;
    config->ca_file = bvi_strdup(ca);
    if (!config->region || !config->base || !config->origin || (ca && !config->ca_file))
        return bvi_fail_nomem(err);
    return 0;
}

/* ---- keys ---- */

static int copy_key(char **to, const char *from, bv_error **err)
{
    if (!from || !*from)
        return 0;
    for (const char *at = from; *at; at++) {
        if (*at <= ' ' || *at > '~' || (size_t)(at - from) >= BVI_S3_KEY_MAX)
            return bvi_fail(err, BV_E_INVALID, "a key has characters keys do not have");
    }
    free_secret(*to);
    *to = bvi_strdup(from);
    return *to ? 0 : bvi_fail_nomem(err);
}

static int copy_keys(bvi_s3_credentials *to, const char *id, const char *secret, const char *token,
                     bv_error **err)
{
    int r = copy_key(&to->access_key_id, id, err);

    if (r == 0)
        r = copy_key(&to->secret_access_key, secret, err);
    return r < 0 ? r : copy_key(&to->session_token, token, err);
}

/* Cuts spaces at both ends; the text is changed. */
static char *trimmed(char *text)
{
    size_t len;

    text += strspn(text, " \t\r");
    len = strlen(text);
    while (len > 0 && strchr(" \t\r", text[len - 1]))
        len--;
    text[len] = '\0';
    return text;
}

/* One line inside the profile: "name = value". */
static int take_setting(bvi_s3_credentials *keys, char *line, bv_error **err)
{
    char *equals = strchr(line, '=');
    const char *name;

    if (!equals)
        return 0;
    *equals = '\0';
    name = trimmed(line);
    if (strcasecmp(name, "aws_access_key_id") == 0)
        return copy_key(&keys->access_key_id, trimmed(equals + 1), err);
    if (strcasecmp(name, "aws_secret_access_key") == 0)
        return copy_key(&keys->secret_access_key, trimmed(equals + 1), err);
    if (strcasecmp(name, "aws_session_token") == 0)
        return copy_key(&keys->session_token, trimmed(equals + 1), err);
    return 0;
}

static bool is_profile(char *line, const char *profile)
{
    size_t len = strlen(line);

    if (line[len - 1] != ']')
        return false;
    line[len - 1] = '\0';
    return strcmp(trimmed(line + 1), profile) == 0;
}

static int read_profile(bvi_s3_credentials *keys, char *text, const char *profile, bv_error **err)
{
    bool inside = false;
    char *next = text;
    int r = 0;

    while (r == 0 && next) {
        char *line = trimmed(strsep(&next, "\n"));

        if (*line == '[')
            inside = is_profile(line, profile);
        else if (inside && *line != '#' && *line != ';')
            r = take_setting(keys, line, err);
    }
    return r;
}

static int keys_from_file(bvi_s3_credentials *keys, const char *path, const char *profile,
                          bv_error **err)
{
    char *text = NULL;
    size_t len = 0;
    int r = bvi_fs_read(path, BVI_S3_KEYS_FILE_MAX, &text, &len, err);

    if (r == 0)
        r = read_profile(keys, text, profile, err);
    if (text)
        explicit_bzero(text, len);
    bvi_free(text);
    if (r == 0 && !keys->access_key_id)
        r = bvi_fail(err, BV_E_DENIED, "'%s' has no profile '%s' with an access key", path,
                     profile);
    return r < 0 ? bvi_wrap(err, r, "cannot take the keys from a file") : 0;
}

/* NULL: the user has none. */
static char *usual_keys_file(void)
{
    const char *named = environment("AWS_SHARED_CREDENTIALS_FILE");
    const char *home = environment("HOME");

    if (named)
        return bvi_strdup(named);
    return home ? bvi_asprintf("%s/.aws/credentials", home) : NULL;
}

static int find_keys(bvi_s3_credentials *keys, const parts *p, bv_error **err)
{
    const char *profile = first_of(p->values[PROFILE], environment("AWS_PROFILE"), NULL, "default");
    bvi_auto_free char *usual = NULL;

    if (!p->values[CREDENTIALS] && !p->values[PROFILE] && environment("AWS_ACCESS_KEY_ID"))
        return copy_keys(keys, environment("AWS_ACCESS_KEY_ID"),
                         environment("AWS_SECRET_ACCESS_KEY"), environment("AWS_SESSION_TOKEN"),
                         err);
    usual = usual_keys_file();
    if (!p->values[CREDENTIALS] && !usual)
        return 0;
    return keys_from_file(keys, p->values[CREDENTIALS] ? p->values[CREDENTIALS] : usual, profile,
                          err);
}

static int set_keys(bvi_s3_config *config, const parts *p, const bvi_s3_credentials *keys,
                    bv_error **err)
{
    int r;

    if (keys)
        r = copy_keys(&config->keys, keys->access_key_id, keys->secret_access_key,
                      keys->session_token, err);
    else
        r = find_keys(&config->keys, p, err);
    if ((r == 0 && (!config->keys.access_key_id || !config->keys.secret_access_key)) ||
        r == BV_E_NOT_FOUND)
        r = bvi_fail(r < 0 ? NULL : err, BV_E_DENIED, "there is no access key");
    return r == BV_E_DENIED
               ? bvi_wrap(err, r,
                          "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or name a file of "
                          "profiles with 'credentials='")
               : r;
}

int bvi_s3_config_init(bvi_s3_config *config, const char *uri, const bvi_s3_credentials *keys,
                       bv_error **err)
{
    parts p = { 0 };
    int r;

    *config = (bvi_s3_config){ .name = bvi_url_redact(uri) };
    if (!config->name)
        return bvi_fail_nomem(err);
    r = take_apart(config, uri, &p, err);
    if (r == 0)
        r = set_place(config, &p, err);
    if (r == 0)
        r = set_keys(config, &p, keys, err);
    parts_done(&p);
    return r < 0 ? bvi_wrap(err, r, "cannot use the store '%s'", config->name) : 0;
}

static bool is_same(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

bool bvi_s3_config_renew(bvi_s3_config *config, const char *uri)
{
    bvi_s3_config fresh = { 0 };
    bool differs = false;

    if (bvi_s3_config_init(&fresh, uri, NULL, NULL) == 0) {
        const bvi_s3_credentials old = config->keys;

        differs = !is_same(old.access_key_id, fresh.keys.access_key_id) ||
                  !is_same(old.secret_access_key, fresh.keys.secret_access_key) ||
                  !is_same(old.session_token, fresh.keys.session_token);
        config->keys = fresh.keys;
        fresh.keys = old;
    }
    bvi_s3_config_done(&fresh);
    return differs;
}
