/*
 * call.h - what the files about calls share: frame.c (stacks and frames), native.c (built-ins),
 * call.c (functions), method.c (methods), callback.c (functions called by built-ins).
 */
#ifndef BVI_SCRIPT_CALL_H
#define BVI_SCRIPT_CALL_H

#include "script/vm.h"

typedef struct bvi_native_call {
    const bvi_script_function *def;
    void *data;
    uint32_t base; /* of the arguments */
    uint32_t argc;
    uint32_t ret;
    bvi_pos pos;
    bvi_origin origin;
    bool varies;
} bvi_native_call;

typedef struct bvi_script_target {
    const bvi_proto *proto;
    bvi_module *home;
} bvi_script_target;

/* call.c. The code's own functions come first, then those of the main script. */
bool bvi_call_find_script(bvi_script_call *call, bvi_module *from, const bvi_string *name,
                          uint32_t argc, bvi_script_target *ret);
bool bvi_call_find_at_site(bvi_script_call *call, bvi_frame *frame, bvi_site *site,
                           bvi_script_target *ret);
/* The built-in that takes these arguments, or NULL. */
const bvi_native *bvi_call_native_at(bvi_script_call *call, const bvi_frame *frame, bvi_site *site,
                                     const bvi_value *args, uint32_t argc);
/* The receiver of the call just made, if that made a frame; only script functions have one. */
void bvi_call_bind_this(bvi_script_call *call, uint32_t frames_before, const bvi_value *self,
                        bool is_const, bvi_origin origin);

/* native.c */
int bvi_call_native(bvi_script_call *call, const bvi_native_call *n);
/* One whose first argument came from a path, at stack index indices; BVI_NO_PATH: it did not. */
int bvi_call_native_on_path(bvi_script_call *call, bvi_frame *frame, bvi_native_call *n,
                            uint32_t path_index, uint32_t indices);

#endif
