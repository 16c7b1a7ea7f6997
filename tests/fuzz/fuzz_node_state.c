/* Any bytes are a node's state or refused; what was read prints, and the print reads back. */
#include <stdlib.h>
#include <string.h>

#include "node/node_state.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    bvi_auto_error bv_error *err = NULL;
    bvi_auto_free char *text = NULL;
    bvi_node_state state, again;

    bvi_node_state_init(&state);
    bvi_node_state_init(&again);
    if (bvi_node_state_parse((const char *)data, size, &state, &err) < 0) {
        if (!err || state.id)
            abort();
        return 0;
    }
    if (bvi_node_state_print(&state, &text, NULL) < 0 ||
        bvi_node_state_parse(text, strlen(text), &again, NULL) < 0 ||
        strcmp(state.name, again.name) != 0 || state.expected != again.expected ||
        state.started_at != again.started_at)
        abort();
    bvi_node_state_done(&state);
    bvi_node_state_done(&again);
    return 0;
}
