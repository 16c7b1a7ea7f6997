/*
 * url.h - the few things the engine needs of URLs: their kind, file paths in them, and hiding
 * secrets.
 */
#ifndef BVI_TRANSFER_URL_H
#define BVI_TRANSFER_URL_H

#include "base/error.h"

bool bvi_url_is_file(const char *url);
bool bvi_url_is_http(const char *url);
char *bvi_url_from_path(const char *path); /* absolute path; NULL: no memory */
int bvi_url_to_path(const char *url, char **ret_path, bv_error **err); /* of a file URL */
char *bvi_url_redact(const char *url);                 /* without user and query; NULL: no memory */
char *bvi_url_join(const char *base, const char *key); /* key is percent-encoded as need be */

#endif
