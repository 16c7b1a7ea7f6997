/*
 * config_eval.c - two phases of init and reload: evaluate plugin_config(), and keep the result on
 * disk.
 *
 * The write is durable, so it runs on a worker; it owns what it needs and may outlive the run that
 * wanted it.
 */
#include <string.h>

#include "io/work.h"
#include "plugin/config.h"
#include "plugin/internal.h"
#include "plugin/schema.h"
#include "sys/fs.h"

#define CONFIG_FUNCTION "plugin_config"

/* ---- evaluating ---- */

static int convert(bvi_plugin *plugin, const bvi_value *result, bvi_json **ret_config,
                   bv_error **err)
{
    BVI_AUTO(bvi_strv_done) bvi_strv unknown = BVI_VEC_INIT(BVI_SCHEMA_UNKNOWN_MAX);
    int r = bvi_plugin_config_convert_value(result, ret_config, &unknown, err);

    if (r == BV_E_INVALID)
        return r; /* the names clash: its own message says all */
    if (r < 0)
        return bvi_wrap(err, r, "Invalid Rhai script - failed to deserialize plugin_config");
    bvi_plugin_warn_unknown(plugin, CONFIG_FUNCTION, &unknown);
    return 0;
}

int bvi_phase_eval_config(bvi_run *run, bv_error **err)
{
    bvi_plugin *plugin = run->plugin;
    bool has_function = bvi_script_has_function(run->lane->script, CONFIG_FUNCTION, 0);
    bvi_json *config = NULL;
    int r;

    r = bvi_run_script(run, has_function ? CONFIG_FUNCTION : NULL, NULL, err);
    if (r != BVI_PHASE_NEXT)
        return r;
    if (has_function) {
        r = convert(plugin, bvi_script_result(run->script), &config, err);
        if (r < 0)
            return r;
    }
    bvi_run_drop_script(run);
    bvi_json_free(plugin->config);
    plugin->config = config;
    return bvi_plugin_update_capabilities(plugin, err);
}

/* ---- keeping ---- */

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
    r = plugin->config ? bvi_json_print(plugin->config, true, &save->text, err) : 0;
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

    if (!run->plugin->config_path)
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
