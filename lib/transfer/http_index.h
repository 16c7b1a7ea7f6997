/*
 * http_index.h - the versions that a web server's index of a directory names: the page of links
 * that nginx, Apache and others make, or nginx's JSON. Used by store_http.c; pure.
 */
#ifndef BVI_TRANSFER_HTTP_INDEX_H
#define BVI_TRANSFER_HTTP_INDEX_H

#include "base/vec.h"

#define BVI_HTTP_INDEX_MAX (8u * 1024u * 1024u) /* bytes of an index */

typedef BVI_VEC(uint64_t) bvi_version_numbers;

/* Ascending, each once, up to numbers->max. False: the text names none, and may be no index at all.
 */
bool bvi_http_index_parse(const char *text, size_t len, bvi_version_numbers *numbers);

#endif
