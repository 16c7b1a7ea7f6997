/*
 * fuzz_page.c - pages of a snapshot from anybody. What opens keeps the format's promises, and what
 * the writer makes of it says the same again.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "snapshot/page.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

static bool open_copy(bvi_page *page, const void *bytes, size_t len)
{
    uint8_t *copy = bvi_malloc(len + 1);

    require(copy != NULL);
    memcpy(copy, bytes, len);
    if (bvi_page_open(page, copy, len, NULL) == 0)
        return true;
    bvi_free(copy);
    return false;
}

static void check_entry(const bvi_snap_entry *entry)
{
    uint64_t end = 0;

    require(strlen(entry->path) <= BVI_SNAP_PATH_MAX && entry->path[0] != '/');
    require(!strstr(entry->path, "//") && !strstr(entry->path, "/../"));
    require(strcmp(entry->path, "..") != 0 && strncmp(entry->path, "../", 3) != 0);
    require((entry->target != NULL) ==
            (entry->kind == BVI_SNAP_SYMLINK || entry->kind == BVI_SNAP_HARDLINK));
    for (size_t i = 0; i < entry->n_extents; i++) {
        require(entry->extents[i].pos >= end && entry->extents[i].len > 0);
        end = entry->extents[i].pos + entry->extents[i].len;
        require(end <= entry->size);
    }
    for (size_t i = 0; i < entry->n_xattrs; i++)
        require(entry->xattrs[i].name[0] != '\0');
}

static void walk(const bvi_page *page, bvi_page_writer *writer)
{
    BVI_AUTO(bvi_page_entries_done) bvi_page_entries it;
    bvi_page_chunks chunks;
    bvi_snap_frame chunk;
    char last[BVI_SNAP_PATH_MAX + 1] = "";
    bvi_snap_kind last_kind = BVI_SNAP_DIR;
    uint32_t entries = 0;
    uint32_t n = 0;
    int r;

    bvi_page_entries_init(&it, page, 0);
    while ((r = bvi_page_entries_next(&it, NULL)) > 0) {
        check_entry(&it.entry);
        require(entries == 0 || bvi_snap_path_follows(last, last_kind, it.entry.path));
        strcpy(last, it.entry.path); /* of the same size */
        last_kind = it.entry.kind;
        entries++;
        require(bvi_page_writer_entry(writer, &it.entry, NULL) == 0);
    }
    require(r == 0 && entries == page->n_entries);
    bvi_page_chunks_init(&chunks, page);
    for (; bvi_page_chunks_next(&chunks, &chunk); n++)
        require(bvi_page_writer_chunk(writer, &chunk, NULL) == 0);
    require(n == page->n_chunks);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    BVI_AUTO(bvi_page_writer_freep) bvi_page_writer *writer = NULL;
    BVI_AUTO(bvi_page_done) bvi_page page = { 0 };
    BVI_AUTO(bvi_page_done) bvi_page again = { 0 };
    BVI_AUTO(bvi_buf_done) bvi_buf bytes = BVI_BUF_INIT(BVI_SNAP_PAGE_MAX);

    if (!open_copy(&page, data, size))
        return 0;
    require(bvi_page_writer_new(&writer, NULL) == 0);
    walk(&page, writer);
    require(bvi_page_writer_finish(writer, &bytes, NULL) == 0);
    require(bytes.len <= size); /* no shorter way to say it is left unused */
    require(open_copy(&again, bytes.data, bytes.len));
    require(again.n_entries == page.n_entries && again.data_bytes == page.data_bytes);
    return 0;
}
