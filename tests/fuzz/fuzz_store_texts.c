/*
 * fuzz_store_texts.c - small texts that stores find, from anybody: roots of snapshots cut off
 * anywhere, indexes of web servers, reservations, marks of prunes.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "snapshot/prune.h"
#include "transfer/http_index.h"
#include "transfer/root_peek.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void check_lock(const char *text, size_t size)
{
    bvi_store_lock lock, again;
    char printed[BVI_STORE_LOCK_MAX];

    bvi_store_lock_parse(text, size, &lock);
    require(strlen(lock.lease) <= BVI_STORE_LEASE_MAX && lock.started_us >= 0);
    bvi_store_lock_parse(printed, bvi_store_lock_print(&lock, printed), &again);
    require(strcmp(again.lease, lock.lease) == 0 && again.base == lock.base &&
            again.started_us == lock.started_us);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    /* Without a zero behind, so that reading too far is seen. */
    char *text = malloc(size ? size : 1);
    bvi_version_numbers numbers = BVI_VEC_INIT(100);
    bvi_snapshot_info info = { 0 };

    if (size > 0)
        memcpy(text, data, size);
    if (bvi_root_peek(text, size, &info, NULL) == 0)
        require(info.format == BVI_STORE_SNAPSHOT);
    require(bvi_http_index_parse(text, size, &numbers) == (numbers.len > 0));
    for (size_t i = 0; i < numbers.len; i++)
        require(numbers.items[i] > (i ? numbers.items[i - 1] : 0));
    check_lock(text, size);
    (void)bvi_snap_prune_mark_is_alive(text, size, 1);
    bvi_vec_done(&numbers);
    free(text);
    return 0;
}
