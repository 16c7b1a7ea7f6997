/*
 * scripted_render.h - templates of a plugin, rendered where there is no node.
 *
 * A template is one of the scripted node's files, or lies in the root file system around the
 * plugin. Blocking; used by scripted.c.
 */
#ifndef BVI_PLUGIN_SCRIPTED_RENDER_H
#define BVI_PLUGIN_SCRIPTED_RENDER_H

#include "plugin/fake_env.h"

/* request: what a fake node's handler gets for render_template. rootfs: a host path; may be NULL.
 * *ret_text is NULL when there is no such template. Failures are worded as a node does. */
int bvi_scripted_render(const bvi_fake_env *fake, const char *rootfs, const bvi_json *request,
                        char **ret_text, bv_error **err);

#endif
