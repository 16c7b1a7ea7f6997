/*
 * chunk_table.h - which chunks a store is known to have, and where: hash -> frame. Tens of bytes a
 * chunk, in a mapped, unlinked file of the state directory when it is large, so that the memory it
 * takes can be taken back. One thread at a time.
 */
#ifndef BVI_SNAPSHOT_CHUNK_TABLE_H
#define BVI_SNAPSHOT_CHUNK_TABLE_H

#include "snapshot/format.h"

typedef struct bvi_chunk_table bvi_chunk_table;

int bvi_chunk_table_new(const char *spill_dir, bvi_chunk_table **ret_table, bv_error **err);
void bvi_chunk_table_free(bvi_chunk_table *table);
BVI_DEFINE_FREEP(bvi_chunk_table, bvi_chunk_table_free)
/* The first entry of a hash stays. */
int bvi_chunk_table_add(bvi_chunk_table *table, const bvi_snap_frame *frame, bv_error **err);
bool bvi_chunk_table_find(const bvi_chunk_table *table, const bvi_hash256 *hash,
                          bvi_snap_frame *ret_frame);
size_t bvi_chunk_table_len(const bvi_chunk_table *table);

#endif
