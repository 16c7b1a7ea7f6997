/*
 * id.h - UUIDs of nodes and other random identifiers.
 */
#ifndef BVI_BASE_ID_H
#define BVI_BASE_ID_H

#include "base/error.h"

#define BVI_ID_TEXT_SIZE 37u /* 36 characters and the zero */

int bvi_random_bytes(void *bytes, size_t len, bv_error **err);
int bvi_id_new(char text[BVI_ID_TEXT_SIZE],
               bv_error **err); /* a random (version 4) UUID, lower case */
bool bvi_id_valid(const char *text);
/* Names of nodes, jobs, images and snapshots: [A-Za-z0-9][A-Za-z0-9._-]*, at most max characters,
 * no "..". */
bool bvi_name_valid(const char *text, size_t max);

#endif
