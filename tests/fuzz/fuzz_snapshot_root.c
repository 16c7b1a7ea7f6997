/*
 * fuzz_snapshot_root.c - roots and signatures of snapshots from anybody. What loads is printed and
 * loads again, as the same.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "snapshot/root.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    BVI_AUTO(bvi_snap_root_done) bvi_snap_root root;
    BVI_AUTO(bvi_snap_root_done) bvi_snap_root again;
    BVI_AUTO(bvi_buf_done) bvi_buf text = BVI_BUF_INIT(BVI_SNAP_ROOT_MAX);
    BVI_AUTO(bvi_buf_done) bvi_buf twice = BVI_BUF_INIT(BVI_SNAP_ROOT_MAX);
    uint64_t bytes = 0;

    bvi_snap_root_init(&root);
    bvi_snap_root_init(&again);
    if (bvi_snap_root_parse((const char *)data, size, &root, NULL) < 0)
        return 0;
    for (size_t i = 0; i < root.pages.len; i++) {
        const bvi_snap_page_ref *page = &root.pages.items[i];

        require(page->frame.plain <= BVI_SNAP_PAGE_MAX && page->frame.plain > 0);
        require(page->frame.offset + page->frame.stored <= BVI_SNAP_PACK_MAX);
        bytes += page->bytes;
    }
    require(bytes == root.plain_bytes && root.version > root.base);
    require(bvi_snap_root_print(&root, &text, NULL) == 0);
    require(bvi_snap_root_parse(text.data, text.len, &again, NULL) == 0);
    require(bvi_snap_root_print(&again, &twice, NULL) == 0);
    require(text.len == twice.len && memcmp(text.data, twice.data, text.len) == 0);
    return 0;
}
