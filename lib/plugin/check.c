/*
 * check.c - the order of a check: read the scripts, read the image, run each variant. See check.h.
 */
#include <string.h>

#include <blockvisor/plugin.h>

#include "base/doc.h"
#include "plugin/check_impl.h"

/* ---- variants ---- */

static bool is_variant_name(const bvi_check_file *file, uint32_t index)
{
    const bvi_note *note = bvi_check_meaning(file, index);
    const bvi_note *of =
        note && note->kind == BVI_NOTE_STEP ? bvi_check_meaning(file, note->of) : NULL;

    return of && note->text && strcmp(note->text, "node_variant") == 0 &&
           of->kind == BVI_NOTE_CALL && strcmp(of->text, "node_env") == 0;
}

static int add_keys(bvi_check *check, const bvi_check_file *file, const bvi_note *map)
{
    uint32_t index = (uint32_t)(map - file->notes->items.items);
    int r = 0;

    for (uint32_t i = index + 1; i < map->end && r == 0; i++) {
        const bvi_note *key = bvi_check_note(file, i);

        if (key->kind == BVI_NOTE_KEY && key->in == index &&
            !bvi_strv_has(&check->variants, key->text))
            r = bvi_strv_add(&check->variants, key->text);
    }
    return r == BV_E_LIMIT ? 0 : r;
}

/* Without an image, the keys of the tables that are read with node_env().node_variant. */
static int guess_variants(bvi_check *check)
{
    int r = 0;

    bvi_check_each(file, check) {
        bvi_check_each_note(note, file) {
            const bvi_note *table;

            if (r < 0 || note->kind != BVI_NOTE_STEP || note->text ||
                !is_variant_name(file, note->in))
                continue;
            table = bvi_check_meaning(file, note->of);
            if (table && table->kind == BVI_NOTE_MAP)
                r = add_keys(check, file, table);
        }
    }
    return r;
}

static bool asks_for_variant(const bvi_check *check)
{
    bvi_check_each(file, check) {
        bvi_check_each_note(note, file) {
            if (note->kind == BVI_NOTE_STEP && note->text &&
                strcmp(note->text, "node_variant") == 0)
                return true;
        }
    }
    return false;
}

static bool asks_for_params(const bvi_check *check)
{
    bvi_check_each(file, check) {
        bvi_check_each_note(note, file) {
            if (note->kind == BVI_NOTE_CALL && strcmp(note->text, "node_params") == 0)
                return true;
        }
    }
    return false;
}

static int choose_variants(bvi_check *check, bv_error **err)
{
    const char *wanted = check->opts->variant;
    int r = 0;

    if (wanted && check->ws->image && !bvi_image_meta_variant(check->ws->image, wanted)) {
        const bvi_workspace_overlay overlay = { .variant = wanted };
        bvi_json *none = NULL;

        return bvi_workspace_node_params(check->ws, &overlay, &none, err); /* fails with names */
    }
    if (wanted)
        r = bvi_strv_add(&check->variants, wanted);
    for (size_t i = 0; !wanted && check->ws->image && r == 0 && i < check->ws->variants.len; i++)
        r = bvi_strv_add(&check->variants, check->ws->variants.items[i]);
    if (r == 0 && !check->variants.len)
        r = guess_variants(check);
    check->made_up = !check->ws->image &&
                     (asks_for_params(check) || (!check->variants.len && asks_for_variant(check)));
    if (r == 0 && !check->variants.len)
        r = bvi_strv_add(&check->variants, "");
    return r < 0 ? bvi_fail_nomem(err) : 0;
}

/* ---- the whole ---- */

static int check_all(bvi_check *check, const bv_error *image_err, bv_error **err)
{
    int r = 0;

    bvi_check_image(check, image_err);
    bvi_check_names(check);
    bvi_check_keys(check);
    bvi_check_functions(check);
    for (size_t i = 0; check->compiles && check->main && i < check->variants.len && r == 0; i++)
        r = bvi_check_run(check, i, err);
    return r;
}

static int describe(bvi_check *check, bvi_json **ret_report, bv_error **err)
{
    bvi_auto_json bvi_json *report = NULL;
    bvi_json *list = bvi_json_new_array();
    int r = bvi_report_json(&check->report, check->ws->dir, check->ws->image_path, &report, err);

    if (r < 0) {
        bvi_json_free(list);
        return r;
    }
    r = bvi_json_put(report, "variants", list);
    for (size_t i = 0; r == 0 && i < check->variants.len; i++)
        r = bvi_json_add(list, bvi_json_new_string(check->variants.items[i]));
    if (r == 0)
        r = bvi_json_put_string(report, "plugin", check->ws->dir);
    if (r < 0)
        return bvi_fail_nomem(err);
    *ret_report = bvi_take(report);
    return 0;
}

int bvi_plugin_check(const char *path, const bvi_check_opts *opts, bvi_json **ret_report,
                     bv_error **err)
{
    BVI_AUTO(bvi_workspace_freep) bvi_workspace *ws = NULL;
    bvi_auto_error bv_error *image_err = NULL;
    bvi_check check = { .opts = opts, .variants = BVI_VEC_INIT(BVI_REPORT_VARIANTS_MAX) };
    int r = bvi_workspace_open(path, &ws, &image_err, err);

    if (r < 0)
        return r;
    check.ws = ws;
    check.report = (bvi_report)BVI_REPORT_INIT(&check.variants);
    r = bvi_check_open_files(&check, err);
    if (r == 0)
        r = choose_variants(&check, err);
    if (r == 0)
        r = check_all(&check, image_err, err);
    if (r == 0)
        r = describe(&check, ret_report, err);
    bvi_report_done(&check.report);
    bvi_check_close_files(&check);
    bvi_strv_done(&check.variants);
    return r;
}

/* ---- in public ---- */

int bv_plugin_check(const char *path, const bv_plugin_check_opts *opts, bv_doc **ret_report,
                    bv_error **err)
{
    const bv_plugin_check_opts defaults = BV_PLUGIN_CHECK_OPTS_INIT;
    bvi_check_opts given;
    bvi_json *report = NULL;
    int r;

    opts = opts ? opts : &defaults;
    if (opts->size != sizeof(*opts))
        return bvi_fail(err, BV_E_INVALID, "options have an unknown size %zu", opts->size);
    if (opts->env && bv_doc_type_of(opts->env) != BV_DOC_OBJECT)
        return bvi_fail(err, BV_E_INVALID, "the environment is not an object");
    r = bvi_workspace_check_texts(bvi_json_of(opts->params), "parameters", err);
    if (r == 0)
        r = bvi_workspace_check_texts(bvi_json_of(opts->secrets), "secrets", err);
    if (r < 0)
        return r;
    given = (bvi_check_opts){ opts->variant, bvi_json_of(opts->env), bvi_json_of(opts->params),
                              bvi_json_of(opts->secrets) };
    r = bvi_plugin_check(path, &given, &report, err);
    if (r == 0)
        *ret_report = bvi_doc_of(report);
    return r;
}
