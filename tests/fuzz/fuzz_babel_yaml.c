/* babel.yaml comes with an image from anywhere: any bytes must give metadata or a reason, and
 * metadata must be whole. */
#include <stdlib.h>
#include <string.h>

#include "image/image_meta.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    bvi_image_meta *meta = NULL;
    bv_error *err = NULL;

    if (bvi_image_meta_parse((const char *)data, size, &meta, &err) < 0) {
        if (!err || meta)
            abort();
        bv_error_free(err);
        return 0;
    }
    if (!meta->version || !meta->protocol_key || meta->variants.len == 0 ||
        bvi_image_meta_variant(meta, NULL) != &meta->variants.items[0])
        abort();
    for (size_t i = 0; i < meta->variants.len; i++) {
        if (!meta->variants.items[i].firewall || !meta->variants.items[i].ramdisks)
            abort();
    }
    bvi_image_meta_free(meta);
    return 0;
}
