/*
 * check_report.c - gathering findings. See check_report.h.
 */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "plugin/check_report.h"

static const struct {
    const char *id;
    bvi_severity severity;
} rules[] = {
#define X(name, sev, rule_id) [BVI_RULE_##name] = { rule_id, BVI_SEVERITY_##sev },
    BVI_RULES(X)
#undef X
};

static const char *const severity_names[] = {
    [BVI_SEVERITY_ERROR] = "error",
    [BVI_SEVERITY_WARNING] = "warning",
    [BVI_SEVERITY_NOTE] = "note",
};

void bvi_report_done(bvi_report *report)
{
    for (size_t i = 0; i < report->findings.len; i++) {
        bvi_free(report->findings.items[i].file);
        bvi_free(report->findings.items[i].message);
    }
    bvi_vec_done(&report->findings);
}

static bool same(const bvi_finding *a, const bvi_finding *b)
{
    return a->rule == b->rule && a->line == b->line && a->column == b->column &&
           strcmp(a->file, b->file) == 0 && strcmp(a->message, b->message) == 0;
}

static void mark(bvi_finding *finding, size_t variant)
{
    for (size_t i = 0; i < BVI_REPORT_VARIANTS_MAX; i++) {
        if (variant == BVI_REPORT_ALL || variant == i)
            finding->variants[i / 64] |= (uint64_t)1 << (i % 64);
    }
}

static bool applies(const bvi_finding *finding, size_t variant)
{
    return finding->variants[variant / 64] >> (variant % 64) & 1;
}

static bvi_finding *find_or_add(bvi_report *report, bvi_finding *wanted)
{
    bvi_finding *slot;

    for (size_t i = 0; i < report->findings.len; i++) {
        if (same(&report->findings.items[i], wanted))
            return &report->findings.items[i];
    }
    if (report->findings.len == report->findings.max)
        return NULL;
    slot = bvi_vec_push(&report->findings);
    if (!slot) {
        report->no_memory = true;
        return NULL;
    }
    *slot = *wanted;
    wanted->file = wanted->message = NULL;
    return slot;
}

void bvi_report_add(bvi_report *report, bvi_rule rule, size_t variant, bvi_spot spot,
                    const char *fmt, ...)
{
    /* What is about a file as a whole is told at its beginning, for readers that want a place. */
    bvi_finding wanted = { .rule = rule,
                           .line = spot.line ? spot.line : 1,
                           .column = spot.line ? spot.column : 1 };
    bvi_finding *finding = NULL;
    va_list args;

    va_start(args, fmt);
    wanted.message = bvi_vasprintf(fmt, args);
    va_end(args);
    wanted.file = bvi_strdup(spot.file ? spot.file : "");
    if (wanted.message && wanted.file)
        finding = find_or_add(report, &wanted);
    else
        report->no_memory = true;
    if (finding)
        mark(finding, variant);
    bvi_free(wanted.file);
    bvi_free(wanted.message);
}

bvi_severity bvi_rule_severity(bvi_rule rule)
{
    return rules[rule].severity;
}

size_t bvi_report_count(const bvi_report *report, bvi_severity severity)
{
    size_t count = 0;

    for (size_t i = 0; i < report->findings.len; i++)
        count += rules[report->findings.items[i].rule].severity == severity;
    return count;
}

size_t bvi_report_errors_of(const bvi_report *report, size_t variant)
{
    size_t count = 0;

    for (size_t i = 0; i < report->findings.len; i++) {
        const bvi_finding *finding = &report->findings.items[i];

        count += rules[finding->rule].severity == BVI_SEVERITY_ERROR && applies(finding, variant);
    }
    return count;
}

/* ---- as a document ---- */

static int compare(const void *a, const void *b)
{
    const bvi_finding *x = a;
    const bvi_finding *y = b;
    int by_file = strcmp(x->file, y->file);

    if (by_file)
        return by_file;
    if (x->line != y->line)
        return x->line < y->line ? -1 : 1;
    if (x->column != y->column)
        return x->column < y->column ? -1 : 1;
    if (x->rule != y->rule)
        return x->rule < y->rule ? -1 : 1;
    return strcmp(x->message, y->message);
}

static int put_variants(const bvi_report *report, const bvi_finding *finding, bvi_json *object)
{
    bvi_json *list = bvi_json_new_array();
    int r = bvi_json_put(object, "variants", list);

    for (size_t i = 0; r == 0 && i < report->variants->len; i++) {
        if (applies(finding, i))
            r = bvi_json_add(list, bvi_json_new_string(report->variants->items[i]));
    }
    return r;
}

/* Where the files of findings are. */
typedef struct places {
    const char *dir;
    const char *image_path;
} places;

static int put_path(const places *p, const char *file, bvi_json *object)
{
    bool is_image = p->image_path && strcmp(file, BVI_REPORT_IMAGE) == 0;
    bvi_auto_free char *path = is_image ? bvi_strdup(p->image_path)
                               : *file  ? bvi_asprintf("%s/%s", p->dir, file)
                                        : bvi_strdup(p->dir);

    return path ? bvi_json_put_string(object, "path", path) : BV_E_NOMEM;
}

static int put_finding(const bvi_report *report, const bvi_finding *f, const places *p,
                       bvi_json *list)
{
    bvi_json *object = bvi_json_new_object();
    int r = bvi_json_add(list, object);

    if (r == 0)
        r = bvi_json_put_string(object, "severity", severity_names[rules[f->rule].severity]);
    if (r == 0)
        r = bvi_json_put_string(object, "rule", rules[f->rule].id);
    if (r == 0)
        r = bvi_json_put_string(object, "file", f->file[0] ? f->file : NULL);
    if (r == 0)
        r = put_path(p, f->file, object);
    if (r == 0)
        r = bvi_json_put_uint64(object, "line", f->line);
    if (r == 0)
        r = bvi_json_put_uint64(object, "column", f->column);
    if (r == 0)
        r = bvi_json_put_string(object, "message", f->message);
    return r < 0 ? r : put_variants(report, f, object);
}

int bvi_report_json(bvi_report *report, const char *dir, const char *image_path,
                    bvi_json **ret_json, bv_error **err)
{
    const places p = { dir, image_path };
    bvi_auto_json bvi_json *root = bvi_json_new_object();
    bvi_json *list = bvi_json_new_array();
    int r = bvi_json_put(root, "findings", list);

    if (report->findings.len)
        qsort(report->findings.items, report->findings.len, sizeof(report->findings.items[0]),
              compare);
    for (size_t i = 0; r == 0 && i < report->findings.len; i++)
        r = put_finding(report, &report->findings.items[i], &p, list);
    if (r == 0)
        r = bvi_json_put_uint64(root, "errors", bvi_report_count(report, BVI_SEVERITY_ERROR));
    if (r == 0)
        r = bvi_json_put_uint64(root, "warnings", bvi_report_count(report, BVI_SEVERITY_WARNING));
    if (r == 0)
        r = bvi_json_put_uint64(root, "notes", bvi_report_count(report, BVI_SEVERITY_NOTE));
    if (r < 0 || report->no_memory)
        return bvi_fail_nomem(err);
    *ret_json = bvi_take(root);
    return 0;
}
