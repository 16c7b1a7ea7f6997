/* Any bytes are JSON or refused; what was read prints, and the print reads back as the same print.
 */
#include <stdlib.h>
#include <string.h>

#include "base/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    bvi_auto_json bvi_json *root = NULL;
    bvi_auto_json bvi_json *again = NULL;
    bvi_auto_error bv_error *err = NULL;
    bvi_auto_free char *first = NULL;
    bvi_auto_free char *second = NULL;

    if (bvi_json_parse((const char *)data, size, &root, &err) < 0) {
        if (!err)
            abort();
        return 0;
    }
    if (bvi_json_print(root, size % 2, &first, NULL) < 0 ||
        bvi_json_parse(first, strlen(first), &again, NULL) < 0 ||
        bvi_json_print(again, size % 2, &second, NULL) < 0 || strcmp(first, second) != 0)
        abort();
    return 0;
}
