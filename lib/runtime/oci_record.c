/*
 * oci_record.c - reading and writing container.json.
 */
#include <string.h>

#include "base/names.h"
#include "runtime/oci_record.h"
#include "sys/fs.h"

/* A record has some ten short fields. */
#define RECORD_MAX     (64u * 1024u)
#define RECORD_VERSION 1
#define BOOT_ID_MAX    128u
#define BOOT_ID_FILE   "/proc/sys/kernel/random/boot_id"

static const bvi_name status_names[] = {
    { BVI_OCI_PREPARED, "prepared" },
    { BVI_OCI_STARTING, "starting" },
    { BVI_OCI_RUNNING, "running" },
    { 0, NULL },
};

static const struct {
    const char *key;
    size_t offset;
} root_fields[] = {
    { "image_dev", offsetof(bvi_root_key, image_dev) },
    { "image_ino", offsetof(bvi_root_key, image_ino) },
    { "upper_dev", offsetof(bvi_root_key, upper_dev) },
    { "upper_ino", offsetof(bvi_root_key, upper_ino) },
};

static uint64_t *root_field(bvi_root_key *key, size_t i)
{
    return (uint64_t *)(void *)((char *)key + root_fields[i].offset);
}

static int read_boot_id(char **ret_id, bv_error **err)
{
    size_t len = 0;
    int r = bvi_fs_read(BOOT_ID_FILE, BOOT_ID_MAX, ret_id, &len, err);

    if (r == 0)
        (*ret_id)[strcspn(*ret_id, "\n")] = '\0';
    return r;
}

static int parse_fields(const bvi_json *fields, bvi_oci_record *record, const char **ret_boot,
                        bv_error **err)
{
    const char *status = NULL;
    const char *runtime = "";
    int64_t version = 0;
    int64_t pid = 0;
    int value = 0;
    int r = bvi_json_get_int64(fields, "version", &version, err);

    if (r == 0 && version != RECORD_VERSION)
        return bvi_fail(err, BV_E_FORMAT, "version %lld is not known to this program",
                        (long long)version);
    if (r == 0)
        r = bvi_json_get_string(fields, "status", &status, err);
    if (r == 0 && !bvi_name_find(status_names, status, &value))
        return bvi_fail(err, BV_E_FORMAT, "unknown status '%s'", status);
    if (r == 0)
        r = bvi_json_get_string(fields, "boot_id", ret_boot, err);
    if (r == 0)
        r = bvi_json_opt_string(fields, "runtime", &runtime, err);
    if (r == 0)
        r = bvi_json_opt_int64(fields, "pid", &pid, err);
    if (r == 0)
        r = bvi_json_opt_uint64(fields, "start_ticks", &record->proc.start_ticks, err);
    for (size_t i = 0; i < BVI_COUNT(root_fields) && r == 0; i++)
        r = bvi_json_opt_uint64(fields, root_fields[i].key, root_field(&record->root, i), err);
    if (r < 0)
        return r;
    if (pid < 0 || pid > INT32_MAX)
        return bvi_fail(err, BV_E_FORMAT, "'pid' is out of range");
    record->proc.pid = (pid_t)pid;
    record->status = (bvi_oci_status)value;
    return bvi_oci_record_set_runtime(record, runtime, err);
}

static int read_record(const char *path, bvi_oci_record *record, bv_error **err)
{
    bvi_auto_free char *boot = NULL;
    const char *recorded_boot = "";
    int r = bvi_fs_read_json(path, RECORD_MAX, &record->fields, err);

    if (r == 0)
        r = parse_fields(record->fields, record, &recorded_boot, err);
    if (r == 0)
        r = read_boot_id(&boot, err);
    if (r < 0)
        return r;
    record->same_boot = strcmp(boot, recorded_boot) == 0;
    record->exists = true;
    return 0;
}

int bvi_oci_record_load(const char *node_dir, bvi_oci_record *ret_record, bv_error **err)
{
    bvi_auto_free char *path = bvi_path_join(node_dir, "container.json", NULL);
    bvi_oci_record record = { 0 };
    bvi_auto_error bv_error *why = NULL;
    int r = path ? read_record(path, &record, &why) : bvi_fail_nomem(&why);

    if (r < 0) {
        bvi_oci_record_done(&record);
        if (r == BV_E_FORMAT || r == BV_E_LIMIT) {
            r = bvi_fs_quarantine(path, NULL, err);
            record.was_damaged = true;
        } else if (r == BV_E_NOT_FOUND) {
            r = 0;
        } else {
            return bvi_error_move(err, bvi_take(why));
        }
    }
    if (r < 0)
        return r;
    *ret_record = record;
    return 0;
}

int bvi_oci_record_set_runtime(bvi_oci_record *record, const char *path, bv_error **err)
{
    char *copy = bvi_strdup(path);

    if (!copy)
        return bvi_fail_nomem(err);
    bvi_free(record->runtime);
    record->runtime = copy;
    return 0;
}

static int put_fields(bvi_json *fields, const char *id, bvi_oci_record *record, const char *boot)
{
    int r = bvi_json_put_int64(fields, "version", RECORD_VERSION);

    if (r == 0)
        r = bvi_json_put_string(fields, "id", id);
    if (r == 0)
        r = bvi_json_put_string(fields, "status", bvi_name_of(status_names, (int)record->status));
    if (r == 0)
        r = bvi_json_put_string(fields, "boot_id", boot);
    if (r == 0)
        r = bvi_json_put_string(fields, "runtime", record->runtime ? record->runtime : "");
    if (r == 0)
        r = bvi_json_put_int64(fields, "pid", record->proc.pid);
    if (r == 0)
        r = bvi_json_put_uint64(fields, "start_ticks", record->proc.start_ticks);
    for (size_t i = 0; i < BVI_COUNT(root_fields) && r == 0; i++)
        r = bvi_json_put_uint64(fields, root_fields[i].key, *root_field(&record->root, i));
    return r;
}

int bvi_oci_record_save(const char *node_dir, const char *id, bvi_oci_record *record,
                        bv_error **err)
{
    bvi_auto_free char *path = bvi_path_join(node_dir, "container.json", NULL);
    bvi_auto_free char *boot = NULL;
    int r;

    if (!record->fields)
        record->fields = bvi_json_new_object();
    if (!path || !record->fields)
        return bvi_fail_nomem(err);
    r = read_boot_id(&boot, err);
    if (r < 0)
        return r;
    if (put_fields(record->fields, id, record, boot) < 0)
        return bvi_fail_nomem(err);
    r = bvi_fs_replace_json(path, record->fields, 0600, err);
    if (r < 0)
        return r;
    record->exists = true;
    record->same_boot = true;
    return 0;
}

void bvi_oci_record_done(bvi_oci_record *record)
{
    bvi_json_free(record->fields);
    bvi_free(record->runtime);
    *record = (bvi_oci_record){ 0 };
}
