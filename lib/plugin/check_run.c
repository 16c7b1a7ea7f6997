/*
 * check_run.c - runs a plugin on a node that is not there, and looks at what its functions return.
 * See check_impl.h.
 *
 * Whether a function works depends on what the node answers, and nobody knows that here. So there
 * are several nodes, which answer in different ways. A function is wrong if it fails without asking
 * anything, or if it returns the same wrong type whatever it was told; a failure after an answer is
 * a note, no more.
 */
#include <string.h>

#include "plugin/check_node.h"
#include "plugin/check_result.h"

#define CONFIG_FUNCTION "plugin_config"

/* ---- failures ---- */

/* The script a failure names: the main one by its path, modules by what was imported. */
static const char *file_of(const bvi_check *check, const char *source)
{
    const bvi_source *module = NULL;
    const char *slash = source ? strrchr(source, '/') : NULL;

    if (!source || strcmp(source, check->ws->main_file) == 0 ||
        (slash && strncmp(source, check->ws->dir, strlen(check->ws->dir)) == 0))
        return check->ws->main_file;
    if (bvi_sources_import(&check->ws->sources, source, &module, NULL) == 0)
        return module->path;
    return NULL;
}

static unsigned number_of(const bvi_json *object, const char *key)
{
    int64_t number = 0;

    return bvi_json_int64(bvi_json_find(object, key), &number) == 0 ? (unsigned)number : 0;
}

static bvi_spot spot_of_failure(const bvi_check *check, const char *function,
                                const bvi_json *failure)
{
    const char *source = bvi_json_string(bvi_json_find(failure, "source"));
    bvi_spot spot = { file_of(check, source), number_of(failure, "line"),
                      number_of(failure, "column") };
    const bvi_note *note;

    if (spot.file && spot.line)
        return spot;
    note = function && check->main ? bvi_check_function(check->main, function, 0) : NULL;
    return note ? bvi_check_spot(check->main, note) : (bvi_spot){ check->ws->main_file, 0, 0 };
}

/* An error at that line was found in the text already. */
static bool is_known(const bvi_report *report, bvi_spot spot)
{
    for (size_t i = 0; i < report->findings.len; i++) {
        const bvi_finding *f = &report->findings.items[i];

        if (spot.line && f->line == spot.line && strcmp(f->file, spot.file) == 0 &&
            bvi_rule_severity(f->rule) == BVI_SEVERITY_ERROR && f->rule != BVI_RULE_RUN_FAILED)
            return true;
    }
    return false;
}

/* How a function failed on several nodes. */
typedef struct failures {
    unsigned count;
    bool differ;
    bool asked_node;
    char *first; /* its text */
} failures;

static void note_failure(failures *f, const bvi_check_node *n)
{
    const char *text = bvi_json_string(bvi_json_find(bvi_json_find(n->outcome, "error"), "text"));

    f->asked_node |= n->asked_node;
    if (!text)
        return;
    f->count++;
    if (!f->first)
        f->first = bvi_strdup(text);
    f->differ |= !f->first || strcmp(f->first, text) != 0;
}

/* A failure that no secret, whatever it was, made any different. */
static bool is_certain(const failures *f)
{
    return f->count == BVI_CHECK_NODES && !f->differ && !f->asked_node;
}

/* Of the node tried last. */
static void report_failure(const bvi_check_node *n, const char *function, const failures *all)
{
    const bvi_json *failure = bvi_json_find(n->outcome, "error");
    const char *message = bvi_json_string(bvi_json_find(failure, "message"));
    bvi_spot spot = spot_of_failure(n->check, function, failure);
    /* Where variant or properties had to be made up, they read as () like those of a wrong node. */
    bool asked = n->asked && !is_certain(all);
    bool excused = asked || n->check->made_up;

    if (!failure || is_known(&n->check->report, spot))
        return;
    bvi_report_add(&n->check->report, excused ? BVI_RULE_FAKE_ANSWER : BVI_RULE_RUN_FAILED,
                   n->variant, spot, "%s%s fails%s: %s", function ? function : "the top level",
                   function ? "()" : "",
                   asked     ? " with made-up answers"
                   : excused ? " on a made-up node"
                             : "",
                   message ? message : "");
}

/* ---- one function on all nodes ---- */

typedef struct verdict {
    unsigned ran;  /* nodes on which it returned something that is not () */
    bool good;     /* on one of them what it has to */
    bool depends;  /* on answers */
    bool mixed;    /* it was wrong in different ways */
    char *mistake; /* the first one */
} verdict;

static void judge(verdict *v, const bvi_check_node *n, const bvi_wanted *w)
{
    bvi_auto_free char *mistake = NULL;

    if (bvi_json_find(n->outcome, "error"))
        return;
    /* () may come from an answer without the expected keys. */
    if (n->asked && !w->takes_unit && bvi_outcome_has_type(n->outcome, "()"))
        return;
    v->ran++;
    mistake = w->judge(n->outcome, n->asked);
    v->good |= !mistake;
    if (mistake && v->mistake && strcmp(mistake, v->mistake) != 0)
        v->mixed = true;
    if (!v->mistake)
        v->mistake = bvi_take(mistake);
}

static void conclude(bvi_check *check, size_t variant, const char *function, const verdict *v)
{
    const bvi_note *note = bvi_check_function(check->main, function, 0);

    if (v->good || v->mixed || !v->mistake || (v->depends && v->ran < 2))
        return;
    bvi_report_add(&check->report, BVI_RULE_RESULT_TYPE, variant, bvi_check_spot(check->main, note),
                   "%s() %s", function, v->mistake);
}

/* The nodes of one variant, made when they are wanted. */
typedef struct nodes {
    bvi_check *check;
    size_t variant;
    bvi_check_node all[BVI_CHECK_NODES];
} nodes;

static int get_node(nodes *ns, size_t i, bvi_check_node **ret_node, bv_error **err)
{
    bvi_check_node *n = &ns->all[i];
    int r = 0;

    if (!n->check) {
        r = bvi_check_node_open(n, ns->check, ns->variant, i, err);
        if (r == 0)
            r = bvi_check_node_reload(n, err); /* what is wrong with it was seen on the first */
    }
    *ret_node = n;
    return r;
}

static int run_function(nodes *ns, const bvi_wanted *w, bv_error **err)
{
    verdict v = { .mistake = NULL };
    failures failed = { .first = NULL };
    int r = 0;

    for (size_t i = 0; i < BVI_CHECK_NODES && r == 0; i++) {
        bvi_check_node *n = NULL;

        r = get_node(ns, i, &n, err);
        if (r == 0)
            r = bvi_check_node_eval(n, w->function, err);
        if (r < 0)
            break;
        v.depends |= n->asked;
        judge(&v, n, w);
        note_failure(&failed, n);
        if (!v.ran && (!n->asked || i + 1 == BVI_CHECK_NODES))
            report_failure(n, w->function, &failed);
        if (v.good || !n->asked)
            break;
    }
    if (r == 0)
        conclude(ns->check, ns->variant, w->function, &v);
    bvi_free(v.mistake);
    bvi_free(failed.first);
    return r;
}

/* ---- jobs the plugin makes itself ---- */

/* Where a job of that name is made. */
static bvi_spot spot_of_job(const bvi_check *check, const char *name)
{
    bvi_check_each(file, check) {
        bvi_check_each_note(note, file) {
            const bvi_note *call =
                note->kind == BVI_NOTE_ARGUMENT ? bvi_check_note(file, note->in) : NULL;
            const bvi_note *text = call ? bvi_check_meaning(file, note->of) : NULL;

            if (call && call->kind == BVI_NOTE_CALL && text && text->kind == BVI_NOTE_STRING &&
                strcmp(text->text, name) == 0 &&
                (strcmp(call->text, "create_job") == 0 || strcmp(call->text, "start_job") == 0))
                return bvi_check_spot(file, call);
        }
    }
    return spot_of_failure(check, "init", NULL);
}

static bool is_service(const bvi_json *job)
{
    return bvi_json_find(bvi_json_find(job, "restart"), "always") != NULL;
}

static void check_made_need(const bvi_check_node *n, const bvi_json *job, const bvi_json *need)
{
    const char *name = bvi_json_string(need);
    const bvi_json *needed = name ? bvi_json_find(n->jobs, name) : NULL;

    if (!name || (needed && !is_service(needed)))
        return;
    if (needed)
        bvi_report_add(&n->check->report, BVI_RULE_UNREACHABLE_JOB, n->variant,
                       spot_of_job(n->check, bvi_json_key(job)),
                       "job '%s' waits for '%s', which is a service and never finishes",
                       bvi_json_key(job), name);
    else
        bvi_report_add(&n->check->report, BVI_RULE_UNKNOWN_JOB, n->variant,
                       spot_of_job(n->check, bvi_json_key(job)),
                       "job '%s' waits for '%s', which init() does not create", bvi_json_key(job),
                       name);
}

/* The map was written out in the call, and its key was found there. */
static bool is_told(const bvi_report *report, const char *about_key)
{
    for (size_t i = 0; i < report->findings.len; i++) {
        if (strncmp(report->findings.items[i].message, about_key, strlen(about_key)) == 0)
            return true;
    }
    return false;
}

/* "job '<name>': unknown key ..." */
static void report_key(const bvi_check_node *n, const char *warning)
{
    const char *start = strchr(warning, '\'') + 1; /* there is one */
    const char *about_key = strstr(start, "unknown key '");
    size_t len = strcspn(start, "'");
    bvi_auto_free char *name = bvi_strndup(start, len);

    if (!name || !about_key || is_told(&n->check->report, about_key))
        return;
    bvi_report_add(&n->check->report,
                   strstr(about_key, "did you mean") ? BVI_RULE_MISSPELT_KEY : BVI_RULE_UNKNOWN_KEY,
                   n->variant, spot_of_job(n->check, name), "%s", about_key);
}

/* After init() of the plugin's own: everything it started must be able to start. */
static void check_made_jobs(const bvi_check_node *n)
{
    bvi_json_each(job, n->jobs) {
        bvi_json_each(need, bvi_json_find(job, "needs"))
            check_made_need(n, job, need);
        bvi_json_each(need, bvi_json_find(job, "wait_for"))
            check_made_need(n, job, need);
    }
    for (size_t i = 0; i < n->warnings.len; i++)
        report_key(n, n->warnings.items[i]);
}

/* ---- the configuration ---- */

/* "Service 'x' ...": where it is; otherwise the configuration as a whole. */
static bvi_spot spot_of_service(const bvi_check *check, const bvi_json *value, const char *message)
{
    static const char prefix[] = "Service '";
    const char *named = strstr(message, prefix);
    size_t index = 0;

    named = named ? named + strlen(prefix) : NULL;
    bvi_json_each(service, bvi_json_find(value, "services")) {
        const char *name = bvi_json_string(bvi_json_find(service, "name"));
        bvi_auto_free char *path = bvi_asprintf("services[%zu].name", index++);

        if (named && path && name && strncmp(named, name, strlen(name)) == 0 &&
            named[strlen(name)] == '\'')
            return bvi_check_config_spot(check, value, path);
    }
    return bvi_check_config_spot(check, value, "");
}

/* Conversion sees more than a document shows: characters, functions, numbers that are none. */
static void check_conversion(bvi_check_node *n, const bvi_json *value, size_t errors_before)
{
    bvi_auto_free char *why = n->err ? bvi_error_text(n->err) : NULL;

    if (!why || bvi_report_errors_of(&n->check->report, n->variant) > errors_before)
        return;
    bvi_report_add(&n->check->report, BVI_RULE_WRONG_VALUE, n->variant,
                   spot_of_service(n->check, value, why), "%s", why);
}

/* The first node on which a function succeeds; NULL, after a report, when there is none. */
static int find_node(nodes *ns, const char *function, bvi_check_node **ret_node, bv_error **err)
{
    failures failed = { .first = NULL };
    bvi_check_node *n = NULL;
    int r = 0;

    for (size_t i = 0; i < BVI_CHECK_NODES && r == 0; i++) {
        r = get_node(ns, i, &n, err);
        if (r == 0)
            r = bvi_check_node_eval(n, function, err);
        if (r == 0)
            note_failure(&failed, n);
        if (r < 0 || !n->asked || !bvi_json_find(n->outcome, "error"))
            break;
    }
    if (r == 0)
        report_failure(n, function, &failed);
    *ret_node = r == 0 && !bvi_json_find(n->outcome, "error") ? n : NULL;
    bvi_free(failed.first);
    return r;
}

/* The configuration as the daemon would have it. value: what plugin_config() returned, or NULL. */
static int convert_config(bvi_check_node *n, const bvi_json *value, size_t errors_before,
                          bv_error **err)
{
    const bvi_json *config;
    int r = bvi_check_node_reload(n, err);

    if (r < 0)
        return r;
    check_conversion(n, value, errors_before);
    config = bvi_plugin_config(n->plugin);
    if (!config)
        config = value; /* has faults, but what its jobs need can be seen all the same */
    if (config)
        bvi_check_jobs(n->check, n->variant, config);
    return 0;
}

static int run_config(nodes *ns, bv_error **err)
{
    size_t errors = bvi_report_errors_of(&ns->check->report, ns->variant);
    bvi_auto_json bvi_json *value = NULL;
    bvi_check_node *n = NULL;
    int r = find_node(ns, CONFIG_FUNCTION, &n, err);

    if (r < 0 || !n)
        return r;
    value = bvi_json_detach(n->outcome, "value");
    if (value)
        bvi_check_config(ns->check, ns->variant, value);
    return convert_config(n, value, errors, err);
}

/* ---- one variant ---- */

static int run_all(nodes *ns, bv_error **err)
{
    const bvi_check_file *main = ns->check->main;
    bvi_check_node *n = NULL;
    int r = find_node(ns, NULL, &n, err);

    if (r < 0 || !n)
        return r; /* every function would fail in the same way */
    if (bvi_check_function(main, CONFIG_FUNCTION, 0))
        r = run_config(ns, err);
    else if (bvi_check_top(main, "PLUGIN_CONFIG", true))
        r = convert_config(n, NULL, bvi_report_errors_of(&ns->check->report, ns->variant), err);
    for (const bvi_wanted *w = bvi_check_wanted; w->function && r == 0; w++) {
        if (!bvi_check_function(main, w->function, 0))
            continue;
        r = run_function(ns, w, err);
        if (r == 0 && w == bvi_check_wanted)
            check_made_jobs(&ns->all[0]);
    }
    return r;
}

int bvi_check_run(bvi_check *check, size_t variant, bv_error **err)
{
    nodes ns = { .check = check, .variant = variant };
    int r = run_all(&ns, err);

    for (size_t i = 0; i < BVI_CHECK_NODES; i++) {
        if (ns.all[i].check)
            bvi_check_node_close(&ns.all[i]);
    }
    return r;
}
