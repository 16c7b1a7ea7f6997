/*
 * sources.h - the script files of a plugin, read once at load.
 *
 * They come from an image, so nothing outside the plugin's directory is ever opened and every
 * number has a limit. Having them in memory keeps no file of the node's root open and gives imports
 * nothing to race with. Blocking; used by plugin.c.
 */
#ifndef BVI_PLUGIN_SOURCES_H
#define BVI_PLUGIN_SOURCES_H

#include "base/error.h"
#include "base/vec.h"

/* All files together. */
#define BVI_SOURCES_BYTES_MAX (8u * 1024u * 1024u)
/* Sub-directories of sub-directories. */
#define BVI_SOURCES_DEPTH_MAX 8u

typedef struct bvi_source {
    char *path; /* relative: "main.rhai", "sub/x.rhai" */
    char *text;
    size_t len;
} bvi_source;

typedef struct bvi_sources {
    BVI_VEC(bvi_source) files;
    size_t bytes;
    char *dir; /* host path, for messages */
} bvi_sources;

/* Reads every "*.rhai" in and below root/dir, in the order of their paths; links are passed over.
 */
int bvi_sources_read(const char *root, const char *dir, size_t file_max, uint32_t count_max,
                     bvi_sources *ret_sources, bv_error **err);
void bvi_sources_done(bvi_sources *sources);
const bvi_source *bvi_sources_find(const bvi_sources *sources, const char *path); /* NULL: none */
/* Whether a word stands in some file, be it in a comment. */
bool bvi_sources_mention(const bvi_sources *sources, const char *word);
/* What `import "name"` means: name + ".rhai" below the directory. BV_E_NOT_FOUND, or BV_E_DENIED
 * for a name that leaves the directory. */
int bvi_sources_import(const bvi_sources *sources, const char *name, const bvi_source **ret_source,
                       bv_error **err);

#endif
