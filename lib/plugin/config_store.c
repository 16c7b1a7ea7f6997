/*
 * config_store.c - a plugin's configuration on disk: plugin_config.json, read when the plugin is
 * loaded, replaced when it was evaluated.
 *
 * With it is kept a fingerprint of the scripts and parameters it was made from, so that a
 * configuration older than its script is noticed. The write is durable, so it runs on a worker; it
 * owns what it needs and may outlive the run that wanted it.
 */
#include <string.h>

#include "base/blake3.h"
#include "base/hex.h"
#include "io/work.h"
#include "plugin/config.h"
#include "plugin/internal.h"
#include "sys/fs.h"

/* A key of our own beside the schema's; other readers pass it over. */
#define FINGERPRINT_KEY "bv_fingerprint"

typedef char fingerprint[BVI_HEX_SIZE(BVI_BLAKE3_SIZE)];

static int make_fingerprint(const bvi_plugin *plugin, fingerprint ret_text)
{
    const bvi_plugin_env *env = &plugin->env;
    bvi_auto_free char *params = NULL;
    uint8_t digest[BVI_BLAKE3_SIZE];
    bvi_blake3 hash;

    if (bvi_json_print(env->node_params(env->data), false, &params, NULL) < 0)
        return BV_E_NOMEM;
    bvi_blake3_init(&hash);
    for (size_t i = 0; i < plugin->sources.files.len; i++) {
        const bvi_source *source = &plugin->sources.files.items[i];

        /* With their zeros: no two sets of files give the same bytes. */
        bvi_blake3_update(&hash, source->path, strlen(source->path) + 1);
        bvi_blake3_update(&hash, &source->len, sizeof(source->len));
        bvi_blake3_update(&hash, source->text, source->len);
    }
    bvi_blake3_update(&hash, params, strlen(params));
    bvi_blake3_final(&hash, digest);
    bvi_hex_encode(digest, sizeof(digest), ret_text);
    return 0;
}

/* ---- reading ---- */

static int read_file(bvi_plugin *plugin, bv_error **err)
{
    bvi_auto_json bvi_json *root = NULL;
    const char *kept;
    fingerprint now;
    int r;

    r = bvi_fs_read_json(plugin->config_path, BVI_PLUGIN_CONFIG_MAX, &root, err);
    if (r >= 0)
        r = bvi_plugin_config_convert(root, &plugin->config, NULL, err);
    if (r < 0)
        return bvi_wrap(err, r, "plugin configuration '%s'", plugin->config_path);
    if (make_fingerprint(plugin, now) < 0)
        return bvi_fail_nomem(err);
    kept = bvi_json_string(bvi_json_find(root, FINGERPRINT_KEY));
    plugin->config_stale = kept && strcmp(kept, now) != 0; /* upstream's file has none */
    return 0;
}

int bvi_plugin_load_config(bvi_plugin *plugin)
{
    const bvi_plugin_env *env = &plugin->env;
    bvi_auto_error bv_error *err = NULL;
    bvi_auto_free char *text = NULL;
    int r;

    if (!plugin->config_path)
        return 0;
    r = read_file(plugin, &err);
    if (r == BV_E_NOMEM || r == BV_E_NOT_FOUND)
        return r == BV_E_NOMEM ? r : 0;
    if (r < 0) {
        text = bvi_error_text(err);
        env->log(env->data, BV_LOG_WARN, text ? text : "the plugin's configuration is unreadable");
    } else if (plugin->config_stale) {
        env->log(env->data, BV_LOG_INFO,
                 "the stored plugin configuration was made from other scripts or parameters; it is "
                 "evaluated anew before it is used");
    }
    return 0;
}

/* ---- writing ---- */

struct bvi_save {
    bvi_run *run; /* NULL: nobody waits any more */
    bvi_work work;
    bool finished;
    char *path;
    char *text; /* NULL: there is no configuration, so the file goes */
    int code;
    bv_error *err;
};

static void save_free(bvi_save *save)
{
    if (!save)
        return;
    bvi_free(save->path);
    bvi_free(save->text);
    bv_error_free(save->err);
    bvi_free(save);
}
BVI_DEFINE_FREEP(bvi_save, save_free)

static void write_file(void *data)
{
    bvi_save *save = data;

    save->code = save->text
                     ? bvi_fs_replace(save->path, save->text, strlen(save->text), 0640, &save->err)
                     : bvi_fs_remove(save->path, &save->err);
}

static void on_written(void *data, bool cancelled)
{
    bvi_save *save = data;

    if (!save->run) {
        save_free(save);
        return;
    }
    if (cancelled)
        save->code = bvi_fail(&save->err, BV_E_CANCELLED, "the write was cancelled");
    save->finished = true;
    bvi_task_post(&save->run->task);
}

void bvi_save_detach(bvi_save *save)
{
    if (!save)
        return;
    save->run = NULL;
    if (save->finished)
        save_free(save);
    else
        bvi_work_cancel(&save->work); /* on_written() frees it */
}

static int print_config(const bvi_plugin *plugin, char **ret_text, bv_error **err)
{
    bvi_auto_json bvi_json *copy = bvi_json_copy(plugin->config);
    fingerprint now;

    if (!copy || make_fingerprint(plugin, now) < 0 ||
        bvi_json_put_string(copy, FINGERPRINT_KEY, now) < 0)
        return bvi_fail_nomem(err);
    return bvi_json_print(copy, true, ret_text, err);
}

static int begin_save(bvi_run *run, bv_error **err)
{
    bvi_plugin *plugin = run->plugin;
    BVI_AUTO(save_freep) bvi_save *save = bvi_new0(bvi_save);
    int r;

    if (!save)
        return bvi_fail_nomem(err);
    save->path = bvi_strdup(plugin->config_path);
    if (!save->path)
        return bvi_fail_nomem(err);
    r = plugin->config ? print_config(plugin, &save->text, err) : 0;
    if (r < 0)
        return r;
    bvi_work_init(&save->work, plugin->ctx, write_file, on_written, save);
    save->run = run;
    run->save = bvi_take(save);
    bvi_work_submit(&run->save->work);
    return BVI_PHASE_WAIT;
}

int bvi_phase_save_config(bvi_run *run, bv_error **err)
{
    BVI_AUTO(save_freep) bvi_save *save = NULL;
    int r;

    if (!run->plugin->config_path || !run->evaluated)
        return BVI_PHASE_NEXT;
    if (!run->save)
        return begin_save(run, err);
    if (!run->save->finished)
        return BVI_PHASE_WAIT;
    save = bvi_take(run->save);
    if (save->code >= 0)
        return BVI_PHASE_NEXT;
    r = bvi_error_move(err, bvi_take(save->err));
    return bvi_wrap(err, r, "cannot keep the plugin's configuration");
}
