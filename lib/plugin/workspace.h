/*
 * workspace.h - a plugin as its author has it on disk, and the documents a node would give it.
 *
 * A directory holds main.rhai itself, or a root file system that does; babel.yaml may stand beside
 * either. With it there are variants, properties and a version; without it there is one variant
 * without a name. Used by the tools for authors (check, test, eval, call), which have no node.
 * Blocking; read once and then immutable; any thread.
 */
#ifndef BVI_PLUGIN_WORKSPACE_H
#define BVI_PLUGIN_WORKSPACE_H

#include "image/image_meta.h"
#include "plugin/plugin.h"
#include "plugin/sources.h"

typedef struct bvi_workspace {
    char *dir;             /* host path of the directory with the scripts */
    char *main_file;       /* in it: "main.rhai", or the file that was named */
    bvi_sources sources;   /* every *.rhai in and below it */
    char *rootfs;          /* host path of the root file system around it; NULL: none is there */
    char *image_path;      /* host path of babel.yaml; NULL: there is none */
    bvi_image_meta *image; /* what it says; NULL: there is none, or it is broken */
    bvi_strv variants;     /* their names, at least one; "" when there is no image */
} bvi_workspace;

/* What replaces parts of the documents below. A zeroed one changes nothing. */
typedef struct bvi_workspace_overlay {
    const char *variant;    /* NULL: the first; without an image any name is taken */
    const bvi_json *env;    /* an object laid over node_env(), key by key; a variant above stays */
    const bvi_json *params; /* {key: text} laid over the variant's properties */
} bvi_workspace_overlay;

/* path: the directory, or the main script itself. BV_E_NOT_FOUND when there is no main.rhai, nor
 * the babel.rhai of old images. A broken babel.yaml fails as well, unless ret_image_err is given:
 * then it is told there (NULL: it is fine) and the workspace is as without one. */
int bvi_workspace_open(const char *path, bvi_workspace **ret_workspace, bv_error **ret_image_err,
                       bv_error **err);
void bvi_workspace_free(bvi_workspace *workspace);
BVI_DEFINE_FREEP(bvi_workspace, bvi_workspace_free)

/* Whether an overlay is an object of texts, as params are; NULL is. BV_E_INVALID: "<what> are not
 * an object", or which one is no text. */
int bvi_workspace_check_texts(const bvi_json *object, const char *what, bv_error **err);

/* The answers of node_env() and node_params(), made new: the caller's. BV_E_NOT_FOUND names the
 * variants there are. */
int bvi_workspace_node_env(const bvi_workspace *workspace, const bvi_workspace_overlay *overlay,
                           bvi_json **ret_env, bv_error **err);
int bvi_workspace_node_params(const bvi_workspace *workspace, const bvi_workspace_overlay *overlay,
                              bvi_json **ret_params, bv_error **err);

#endif
