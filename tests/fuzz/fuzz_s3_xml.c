/*
 * fuzz_s3_xml.c - what an S3 server answers, from anybody: listings, errors, ids of uploads. What
 * is read keeps to its limits.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "transfer/s3_xml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

static int on_element(const char *path, const char *text, void *data, bv_error **err)
{
    size_t *count = data;

    (void)err;
    require(*path && strlen(path) <= BVI_S3_XML_PATH_MAX);
    require(strlen(text) <= BVI_S3_XML_TEXT_MAX);
    (*count)++;
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    bvi_s3_page page;
    bvi_s3_uploads uploads = { 0 };
    bvi_s3_error error;
    size_t count = 0;
    char *id = NULL;

    if (bvi_s3_xml_read(text, size, on_element, &count, NULL) == 0)
        require(count > 0);
    if (bvi_s3_uploads_parse(text, size, &uploads, NULL) == 0)
        require(uploads.len <= BVI_S3_PAGE_MAX);
    bvi_s3_uploads_done(&uploads);
    bvi_s3_page_init(&page);
    if (bvi_s3_page_parse(text, size, &page, NULL) == 0) {
        require(!page.next || *page.next);
        for (size_t i = 0; i < page.objects.len; i++)
            require(page.objects.items[i].key != NULL);
    }
    bvi_s3_page_done(&page);
    if (bvi_s3_error_parse(text, size, &error))
        require(error.code[0] != '\0');
    if (bvi_s3_upload_id_parse(text, size, &id, NULL) == 0)
        require(*id != '\0');
    bvi_free(id);
    return 0;
}
