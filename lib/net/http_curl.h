/*
 * http_curl.h - libcurl, found when the first HTTP client is made; only http.c uses it.
 *
 * libcurl brings some thirty libraries along. A program that makes no request, as most runs of `bv`
 * do, would spend most of its time loading them, so the library is opened by name instead of being
 * linked. It stays loaded: its own dependencies do not survive being unloaded.
 */
#ifndef BVI_NET_HTTP_CURL_H
#define BVI_NET_HTTP_CURL_H

#define CURL_DISABLE_TYPECHECK
#include <curl/curl.h>

#include "base/error.h"

#define BVI_CURL_FUNCTIONS(X)                                                                      \
    X(global_init)                                                                                 \
    X(global_cleanup)                                                                              \
    X(getdate)                                                                                     \
    X(slist_append)                                                                                \
    X(slist_free_all)                                                                              \
    X(easy_init)                                                                                   \
    X(easy_cleanup)                                                                                \
    X(easy_setopt)                                                                                 \
    X(easy_getinfo)                                                                                \
    X(easy_pause)                                                                                  \
    X(easy_strerror)                                                                               \
    X(multi_init)                                                                                  \
    X(multi_cleanup)                                                                               \
    X(multi_setopt)                                                                                \
    X(multi_assign)                                                                                \
    X(multi_add_handle)                                                                            \
    X(multi_remove_handle)                                                                         \
    X(multi_info_read)                                                                             \
    X(multi_socket_action)

typedef struct bvi_curl_lib {
#define X(name) __typeof__(curl_##name) *name;
    BVI_CURL_FUNCTIONS(X)
#undef X
} bvi_curl_lib;

/* Fills *lib. BV_E_UNSUPPORTED: libcurl is not installed, or too old. */
int bvi_curl_load(bvi_curl_lib *lib, bv_error **err);

#endif
