/* A plugin's configuration: whatever JSON a script or a file holds is refused or converted, and
 * converts to itself. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "plugin/config.h"
#include "plugin/jobs.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_same(const bvi_json *config)
{
    bvi_auto_json bvi_json *again = NULL;
    bvi_auto_free char *first = NULL;
    bvi_auto_free char *second = NULL;

    if (bvi_plugin_config_convert(config, &again, NULL, NULL) < 0 ||
        bvi_json_print(config, false, &first, NULL) < 0 ||
        bvi_json_print(again, false, &second, NULL) < 0 || strcmp(first, second) != 0)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    BVI_AUTO(bvi_strv_done) bvi_strv unknown = BVI_VEC_INIT(BVI_SCHEMA_UNKNOWN_MAX);
    bvi_auto_json bvi_json *json = NULL;
    bvi_auto_json bvi_json *config = NULL;
    bvi_auto_json bvi_json *job = NULL;
    bvi_auto_error bv_error *err = NULL;

    if (bvi_json_parse((const char *)data, size, &json, NULL) < 0)
        return 0;
    if (bvi_plugin_config_convert(json, &config, &unknown, &err) >= 0)
        check_same(config);
    (void)bvi_plugin_job_convert(json, &job, NULL); /* must only not crash */
    return 0;
}
