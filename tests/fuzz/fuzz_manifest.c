/*
 * fuzz_manifest.c - manifest headers and bodies from anybody. What passes the check must keep its
 * promises, and must survive being written and read again.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "transfer/manifest.h"
#include "transfer/path.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void check_promises(const bvi_manifest *manifest)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < manifest->files.len; i++) {
        const bvi_manifest_file *file = &manifest->files.items[i];

        require(bvi_target_path_check(file->path, NULL) == 0);
        require(bvi_manifest_find(manifest, file->path) == file);
        require(i == 0 ||
                bvi_target_path_compare(manifest->files.items[i - 1].path, file->path) < 0);
        sum += file->size;
    }
    require(sum == manifest->total_size);
}

static void read_again(const bvi_manifest *manifest)
{
    BVI_AUTO(bvi_buf_done) bvi_buf text = BVI_BUF_INIT(64u * 1024u * 1024u);
    bvi_manifest again;

    bvi_manifest_init(&again);
    again.total_size = manifest->total_size;
    again.compression = manifest->compression;
    require(bvi_manifest_body_print(manifest, &text, NULL) == 0);
    require(bvi_manifest_body_parse(text.data, text.len, &again, NULL) == 0);
    require(bvi_manifest_check(&again, NULL) == 0);
    require(again.files.len == manifest->files.len);
    bvi_manifest_done(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    bvi_manifest_header header;
    bvi_manifest manifest;
    bv_error *err = NULL;

    if (bvi_manifest_header_parse(text, size, &header, NULL) == 0)
        require(header.chunks <= BVI_CHUNKS_MAX);
    for (int zstd = 0; zstd < 2; zstd++) {
        bvi_manifest_init(&manifest);
        manifest.compression.kind = zstd ? BVI_CODEC_ZSTD : BVI_CODEC_STORED;
        if (bvi_manifest_body_parse(text, size, &manifest, &err) == 0) {
            /* The sum is in the other object; take the right one, to get beyond it. */
            for (size_t i = 0; i < manifest.chunks.len; i++)
                manifest.total_size += bvi_chunk_plain_bytes(&manifest.chunks.items[i]);
            if (bvi_manifest_check(&manifest, &err) == 0) {
                check_promises(&manifest);
                read_again(&manifest);
            }
        }
        bv_error_free(err);
        err = NULL;
        bvi_manifest_done(&manifest);
    }
    return 0;
}
