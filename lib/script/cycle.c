/*
 * cycle.c - ends cycles of objects, which reference counts alone never free.
 *
 * Closures share variables with their surroundings, so a closure stored in a variable it uses keeps
 * itself alive. We subtract from each object's count the references that come from other listed
 * objects; what is left are references from outside (stacks, the host, scripts). Objects reachable
 * from such ones live, the rest is emptied and so freed. Runs when a call ends, at the memory
 * ceiling, and under the stress switch at every allocation, where it also checks that no object is
 * referenced more often than it counts.
 */
#include <assert.h>

#include "script/engine.h"

static void count_inside(bvi_traced *child, void *data)
{
    assert(child->outside > 0);
    child->outside--;
}

typedef struct worklist {
    bvi_traced *first;
} worklist;

static void mark(bvi_traced *obj, void *data)
{
    worklist *w = (worklist *)data;

    if (obj->marked)
        return;
    obj->marked = true;
    obj->work = w->first;
    w->first = obj;
}

static void mark_live(bvi_script_engine *engine)
{
    worklist w = { NULL };

    for (bvi_traced *o = engine->objects; o; o = o->next) {
        if (o->outside > 0)
            mark(o, &w);
    }
    while (w.first) {
        bvi_traced *o = w.first;

        w.first = o->work;
        bvi_traced_visit(o, mark, &w);
    }
}

/* Emptying one object may free others of the list, so every doomed one is held until all are empty.
 */
static void free_unmarked(bvi_script_engine *engine)
{
    bvi_traced *doomed = NULL;

    for (bvi_traced *o = engine->objects; o; o = o->next) {
        if (o->marked)
            continue;
        bvi_obj_ref(o);
        o->work = doomed;
        doomed = o;
    }
    for (bvi_traced *o = doomed; o; o = o->work)
        bvi_traced_clear(o);
    while (doomed) {
        bvi_traced *o = doomed;

        doomed = o->work;
        bvi_obj_unref(o);
    }
}

void bvi_script_collect(bvi_script_engine *engine)
{
    if (engine->collecting || engine->draining)
        return;
    engine->collecting = true;
    engine->since_collect = 0;
    engine->may_have_cycles = false;
    for (bvi_traced *o = engine->objects; o; o = o->next) {
        o->marked = false;
        o->outside = o->obj.refs;
    }
    for (bvi_traced *o = engine->objects; o; o = o->next)
        bvi_traced_visit(o, count_inside, NULL);
    mark_live(engine);
    free_unmarked(engine);
    engine->collecting = false;
}
