/*
 * url.c - URLs of chunks. Pre-signed URLs are secrets, so messages only ever see bvi_url_redact()
 * of them.
 */
#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "transfer/chunk.h"
#include "transfer/url.h"

static const char file_scheme[] = "file://";

bool bvi_url_is_file(const char *url)
{
    return strncasecmp(url, file_scheme, sizeof(file_scheme) - 1) == 0;
}

bool bvi_url_is_http(const char *url)
{
    return strncasecmp(url, "http://", 7) == 0 || strncasecmp(url, "https://", 8) == 0;
}

static bool is_plain(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c && strchr("-._~/", c));
}

static char *with_encoded(const char *head, const char *tail)
{
    BVI_AUTO(bvi_buf_done) bvi_buf text = BVI_BUF_INIT(4 * BVI_CHUNK_URL_MAX);
    int r = bvi_buf_append_str(&text, head);

    for (; r == 0 && *tail; tail++)
        r = is_plain(*tail) ? bvi_buf_append_char(&text, *tail)
                            : bvi_buf_printf(&text, "%%%02X", (unsigned)(unsigned char)*tail);
    return r < 0 ? NULL : bvi_buf_take(&text);
}

char *bvi_url_from_path(const char *path)
{
    return with_encoded(file_scheme, path);
}

char *bvi_url_join(const char *base, const char *key)
{
    size_t len = strlen(base);
    bvi_auto_free char *head = NULL;

    while (len > 0 && base[len - 1] == '/')
        len--;
    head = bvi_asprintf("%.*s/", (int)len, base);
    return head ? with_encoded(head, key) : NULL;
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static int decode_into(char *out, const char *at)
{
    for (; *at; at++) {
        if (*at == '%') {
            int high = hex_value(at[1]);
            int low = high >= 0 ? hex_value(at[2]) : -1;

            if (low < 0 || high * 16 + low == 0)
                return BV_E_FORMAT;
            *out++ = (char)(high * 16 + low);
            at += 2;
        } else {
            *out++ = *at;
        }
    }
    *out = '\0';
    return 0;
}

int bvi_url_to_path(const char *url, char **ret_path, bv_error **err)
{
    const char *at = url + sizeof(file_scheme) - 1;
    bvi_auto_free char *path = NULL;

    if (!bvi_url_is_file(url))
        return bvi_fail(err, BV_E_INVALID, "'%s' is not a file URL", url);
    if (strncasecmp(at, "localhost/", 10) == 0)
        at += 9;
    if (*at != '/')
        return bvi_fail(err, BV_E_INVALID, "file URL '%s' has no absolute path", url);
    path = bvi_malloc(strlen(at) + 1);
    if (!path)
        return bvi_fail_nomem(err);
    if (decode_into(path, at) < 0)
        return bvi_fail(err, BV_E_INVALID, "file URL '%s' has a wrong escape", url);
    *ret_path = bvi_take(path);
    return 0;
}

char *bvi_url_redact(const char *url)
{
    size_t len = strcspn(url, "?#");
    const char *host = strstr(url, "://");
    const char *at = NULL;

    if (host && (size_t)(host - url) + 3 < len) {
        host += 3;
        at = memchr(host, '@', strcspn(host, "/?#"));
    }
    if (at)
        return bvi_asprintf("%.*s***%.*s", (int)(host - url), url, (int)(len - (size_t)(at - url)),
                            at);
    return bvi_strndup(url, len);
}
