/*
 * api_host.c - host functions and types behind blockvisor/script.h. For each function that an
 * embedder adds there is a bridge, which the machine calls as it calls a built-in, and which
 * converts arguments and results.
 */
#include <string.h>

#include "base/vec.h"
#include "script/api.h"
#include "script/vm.h"

/* Of one table. */
#define FUNCTIONS_MAX 4096u
/* All letters that params may have. */
#define LETTERS "vifntscabmpkrheu"
#define FLAGS   (BV_SCRIPT_MUTATES | BV_SCRIPT_PROPERTY | BV_SCRIPT_PROPERTY_ONLY | BV_SCRIPT_STABLE)

_Static_assert((int)BV_SCRIPT_MUTATES == (int)BVI_SCRIPT_MUTATES &&
                   (int)BV_SCRIPT_PROPERTY == (int)BVI_SCRIPT_PROPERTY &&
                   (int)BV_SCRIPT_PROPERTY_ONLY == (int)BVI_SCRIPT_PROPERTY_ONLY &&
                   (int)BV_SCRIPT_STABLE == (int)BVI_SCRIPT_STABLE,
               "flags are handed on as they are");

typedef struct bridge {
    bv_script_fn fn;
    bv_script_then_fn then;
    void *data;
} bridge;

/* The functions of one registration, or of one type. */
typedef struct bvi_bridges {
    struct bvi_bridges *next;
    bvi_strv names;             /* all strings that the tables refer to */
    bvi_script_function *inner; /* ends with a NULL name */
    bridge *items;
    bvi_script_type type;
} bvi_bridges;

/* ---- calling ---- */

static void all_out(const bvi_value *args, size_t argc, bv_value *ret)
{
    for (size_t i = 0; i < argc; i++)
        ret[i] = bvi_value_out(&args[i]);
}

/* What a function did to its arguments stays done. */
static void all_in(const bv_value *outer, size_t argc, bvi_value *args)
{
    for (size_t i = 0; i < argc; i++)
        args[i] = bvi_value_in(&outer[i]);
}

/* The answer of an embedder's function is checked before the machine acts on it. */
static int finish(bvi_script_call *call, const bridge *b, int answer, bv_value *result,
                  bvi_value *ret)
{
    if (answer == BV_SCRIPT_DONE) {
        *ret = bvi_value_in(result);
        return 0;
    }
    bv_value_drop(result);
    if (answer < 0)
        return call->failure || call->code < 0 ? answer : bvi_script_throw_code(call, answer);
    if (answer == BV_SCRIPT_PENDING)
        return BVI_SCRIPT_PENDING;
    if (answer == BV_SCRIPT_INVOKE && b->then && call->asked_fn.type != BVI_T_UNIT)
        return BVI_SCRIPT_INVOKE;
    return bvi_script_throw(call, "a host function gave the unknown answer %d", answer);
}

static int then_bridge(bvi_script_call *call, bvi_value *args, size_t argc, const bvi_value *result,
                       bvi_value *ret, void *data)
{
    const bridge *b = data;
    bv_value outer[BV_SCRIPT_PARAMS_MAX + 1];
    bv_value first = bvi_value_out(result);
    bv_value value = { .type = BV_VALUE_UNIT };
    int r;

    all_out(args, argc, outer);
    r = b->then((bv_script_call *)call, outer, argc, &first, &value, b->data);
    all_in(outer, argc, args);
    return finish(call, b, r, &value, ret);
}

static int call_bridge(bvi_script_call *call, bvi_value *args, size_t argc, bvi_value *ret,
                       void *data)
{
    const bridge *b = data;
    bv_value outer[BV_SCRIPT_PARAMS_MAX + 1];
    bv_value value = { .type = BV_VALUE_UNIT };
    int r;

    bvi_drop(&call->asked_fn); /* of a getter that could not wait for it */
    all_out(args, argc, outer);
    r = b->fn((bv_script_call *)call, outer, argc, &value, b->data);
    all_in(outer, argc, args);
    return finish(call, b, r, &value, ret);
}

int bv_script_invoke(bv_script_call *call, const bv_value *fn, const bv_value *args, size_t argc)
{
    bvi_value function = bvi_value_in(fn);
    bvi_value inner[BV_SCRIPT_PARAMS_MAX];

    if (argc > BV_SCRIPT_PARAMS_MAX)
        return bvi_script_throw(bvi_call_in(call), "more than %u arguments", BV_SCRIPT_PARAMS_MAX);
    all_in(args, argc, inner);
    return bvi_script_invoke(bvi_call_in(call), &function, inner, argc, then_bridge);
}

/* ---- throwing ---- */

int bv_script_throw(bv_script_call *call, const char *text)
{
    return bvi_script_throw(bvi_call_in(call), "%s", text);
}

int bv_script_throw_value(bv_script_call *call, bv_value value)
{
    return bvi_script_throw_value(bvi_call_in(call), bvi_value_in(&value));
}

int bv_script_throw_code(bv_script_call *call, int code)
{
    return bvi_script_throw_code(bvi_call_in(call), code < 0 ? code : BV_E_INTERNAL);
}

/* ---- adding ---- */

void bvi_bridges_free(bvi_bridges *bridges)
{
    while (bridges) {
        bvi_bridges *next = bridges->next;

        bvi_strv_done(&bridges->names);
        bvi_free(bridges->inner);
        bvi_free(bridges->items);
        bvi_free(bridges);
        bridges = next;
    }
}
BVI_DEFINE_FREEP(bvi_bridges, bvi_bridges_free)

static int check(const bv_script_function *f, bv_error **err)
{
    if (!f->params || !f->fn)
        return bvi_fail(err, BV_E_INVALID, "function '%s' is not complete", f->name);
    if (strlen(f->params) > BV_SCRIPT_PARAMS_MAX)
        return bvi_fail(err, BV_E_INVALID, "function '%s' has more than %u parameters", f->name,
                        BV_SCRIPT_PARAMS_MAX);
    if (f->params[strspn(f->params, LETTERS)] != '\0')
        return bvi_fail(err, BV_E_INVALID, "function '%s' has an unknown parameter letter '%c'",
                        f->name, f->params[strspn(f->params, LETTERS)]);
    if (f->flags & ~(uint32_t)FLAGS)
        return bvi_fail(err, BV_E_INVALID, "function '%s' has unknown flags", f->name);
    return 0;
}

/* A copy that lives as long as the table. */
static const char *keep(bvi_bridges *bridges, const char *text)
{
    if (bvi_strv_add(&bridges->names, text) < 0)
        return NULL;
    return bridges->names.items[bridges->names.len - 1];
}

static int add(bvi_bridges *bridges, const bv_script_function *f, size_t at, void *data)
{
    const char *name = keep(bridges, f->name);
    const char *params = name ? keep(bridges, f->params) : NULL;

    if (!params)
        return BV_E_NOMEM;
    bridges->items[at] = (bridge){ f->fn, f->then, data };
    bridges->inner[at] =
        (bvi_script_function){ name, params, call_bridge, f->flags, &bridges->items[at] };
    return 0;
}

static int make(const bv_script_function *functions, void *data, bvi_bridges **ret, bv_error **err)
{
    BVI_AUTO(bvi_bridges_freep) bvi_bridges *bridges = bvi_new0(bvi_bridges);
    size_t count = 0;
    int r = 0;

    for (; r == 0 && functions[count].name; count++)
        r = count < FUNCTIONS_MAX
                ? check(&functions[count], err)
                : bvi_fail(err, BV_E_LIMIT, "more than %u functions", FUNCTIONS_MAX);
    if (r < 0)
        return r;
    if (!bridges)
        return bvi_fail_nomem(err);
    bridges->names.max = 2 * count + 1;
    bridges->inner = bvi_calloc(count + 1, sizeof(*bridges->inner));
    bridges->items = bvi_calloc(count + 1, sizeof(*bridges->items));
    r = bridges->inner && bridges->items ? 0 : BV_E_NOMEM;
    for (size_t i = 0; r == 0 && i < count; i++)
        r = add(bridges, &functions[i], i, data);
    if (r < 0)
        return bvi_fail_nomem(err);
    *ret = bvi_take(bridges);
    return 0;
}

/* The engine keeps them until its end. */
static bvi_bridges *hand_over(bvi_script_engine *engine, bvi_bridges *bridges)
{
    bvi_script_face *face = bvi_script_face_of(engine);

    bridges->next = face->bridges;
    face->bridges = bridges;
    return bridges;
}

int bv_script_engine_register(bv_script_engine *engine, const bv_script_function *functions,
                              void *data, bv_error **err)
{
    BVI_AUTO(bvi_bridges_freep) bvi_bridges *bridges = NULL;
    int r = make(functions, data, &bridges, err);

    if (r >= 0)
        r = bvi_script_register(bvi_engine_in(engine), bridges->inner, NULL, err);
    if (r < 0)
        return r;
    (void)hand_over(bvi_engine_in(engine), bvi_take(bridges));
    return 0;
}

int bv_script_engine_add_type(bv_script_engine *engine, const char *name,
                              const bv_script_function *methods, void (*release)(void *object),
                              void *data, const bv_script_type **ret_type, bv_error **err)
{
    BVI_AUTO(bvi_bridges_freep) bvi_bridges *bridges = NULL;
    int r = make(methods, data, &bridges, err);

    if (r < 0)
        return r;
    bridges->type = (bvi_script_type){ keep(bridges, name), bridges->inner, release };
    if (!bridges->type.name)
        return bvi_fail_nomem(err);
    *ret_type = (const bv_script_type *)&hand_over(bvi_engine_in(engine), bvi_take(bridges))->type;
    return 0;
}

int bv_value_host(bv_script_engine *engine, const bv_script_type *type, void *object,
                  bv_value *ret_value)
{
    bvi_value v = BVI_VALUE_UNIT;
    int r = bvi_value_host(bvi_engine_in(engine), (const bvi_script_type *)type, object, &v);

    if (r < 0)
        return r;
    *ret_value = bvi_value_out(&v);
    return 0;
}

void *bv_value_object(const bv_value *value, const bv_script_type *type)
{
    bvi_value inner = bvi_value_in(value);

    return bvi_value_object(&inner, (const bvi_script_type *)type);
}
