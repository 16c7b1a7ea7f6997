/*
 * plan.c - see plan.h.
 */
#include <string.h>

#include "snapshot/cut.h"
#include "snapshot/plan.h"

/* A step gives back so much, or looks at so many entries. */
#define STEP_MEMORY  (512u * 1024u)
#define STEP_ENTRIES 4096u

/* Bundles of files: at least this, on average this much more, at most BVI_CUT_BUNDLE. */
#define BUNDLE_MIN   (256u * 1024u)
#define BUNDLE_MORE  (512u * 1024u)
#define BUNDLE_ENTRY 512u /* what an entry counts besides its bytes */

struct bvi_plan {
    bvi_plan_opts opts;
    bvi_tree_walk *walk;
    bvi_stamps_writer *stamps;
    bvi_stamps_reader *old; /* NULL: none, or no more */
    bvi_stamps_item old_item;
    bool has_old; /* old_item stands behind what was walked last */
    bvi_page_stream base;
    bool base_ended;
    bool has_base; /* base.entries.entry does */
    /* the bundle being made */
    bvi_unit *bundle;
    uint64_t bundle_weight;
    bool bundle_known;   /* all its data so far is the base's, without a gap */
    bool bundle_begun;   /* it has data */
    uint64_t bundle_pos; /* of the base, behind that data */
    /* a large file that is known, given out bit by bit */
    bvi_unit *known;
    bvi_plan_sums sums;
};

uint64_t bvi_plan_path_hash(const char *path)
{
    uint64_t hash = 0xcbf29ce484222325ull;

    for (; *path; path++)
        hash = (hash ^ (unsigned char)*path) * 0x100000001b3ull;
    hash ^= hash >> 32;
    hash *= 0x9e3779b97f4a7c15ull;
    return hash ^ (hash >> 32);
}

/* ---- what the earlier upload knew ---- */

static bool is_old_enough(const bvi_plan *p, const bvi_file_stamp *stamp)
{
    return stamp->mtime_ns < p->opts.before_ns && stamp->ctime_ns < p->opts.before_ns;
}

/* Is the file at `path` what it was? */
static int find_stamp(bvi_plan *p, const bvi_tree_item *item, bool *ret_same, bv_error **err)
{
    *ret_same = false;
    while (p->old) {
        int order = p->has_old ? bvi_snap_path_compare(p->old_item.path, item->entry.path) : -1;

        if (order > 0)
            return 0;
        if (order == 0) {
            *ret_same = p->old_item.kind == BVI_SNAP_FILE &&
                        bvi_file_stamp_equal(&p->old_item.stamp, &item->stamp) &&
                        is_old_enough(p, &item->stamp);
            return 0;
        }
        order = bvi_stamps_next(p->old, &p->old_item, err);
        if (order < 0)
            return bvi_wrap(err, BV_E_CHECKSUM, "what was kept of the last upload");
        p->has_old = order > 0;
        if (order == 0) {
            bvi_stamps_reader_free(p->old);
            p->old = NULL;
        }
    }
    return 0;
}

/* Moves the base to `path`. *ret_there: it has such a file of this size, none of its data passed.
 */
static int find_base(bvi_plan *p, const bvi_tree_item *item, bool *ret_there, bv_error **err)
{
    const bvi_snap_entry *entry = &p->base.entries.entry;

    *ret_there = false;
    while (p->opts.base && !p->base_ended) {
        /* An entry that the stream has only looked at is not the current one yet. */
        bool current = p->has_base && !p->base.has_entry;
        int order = current ? bvi_snap_path_compare(entry->path, item->entry.path) : -1;

        if (order > 0)
            return 0;
        if (order == 0) {
            *ret_there = entry->kind == BVI_SNAP_FILE && entry->size == item->entry.size;
            return 0;
        }
        order = bvi_page_stream_next(&p->base, err);
        if (order < 0)
            return order;
        p->has_base = order > 0;
        p->base_ended = order == 0;
    }
    return 0;
}

static int find_known(bvi_plan *p, const bvi_tree_item *item, bool *ret_known, bv_error **err)
{
    int r = find_stamp(p, item, ret_known, err);

    return r < 0 || !*ret_known ? r : find_base(p, item, ret_known, err);
}

/* Chunks that the base entered go to the unit. */
static int take_begun(bvi_plan *p, bvi_unit *unit, bv_error **err)
{
    for (size_t i = 0; i < p->base.begun.len; i++) {
        const bvi_snap_ref *ref = &p->base.begun.items[i];
        int r = bvi_unit_add_chunk(unit, &ref->hash, ref->plain, err);

        if (r < 0)
            return r;
    }
    p->base.begun.len = 0;
    return 0;
}

/* ---- bundles ---- */

static void end_bundle(bvi_plan *p, bvi_unit_list *units)
{
    bvi_unit *unit = bvi_take(p->bundle);

    if (!unit)
        return;
    if (p->bundle_begun && (!p->bundle_known || !bvi_page_stream_aligned(&p->base))) {
        unit->kind = BVI_UNIT_BUNDLE;
        unit->done = false;
        unit->chunks.len = unit->extents.len = 0;
        for (size_t i = 0; i < unit->items.len; i++)
            unit->items.items[i].n_extents = 0;
    } else {
        p->sums.known_bytes += unit->data_bytes;
    }
    bvi_unit_push(units, unit);
}

static int begin_bundle(bvi_plan *p, bv_error **err)
{
    int r = p->bundle ? 0 : bvi_snap_unit_new(BVI_UNIT_READY, &p->bundle, err);

    if (r < 0 || p->bundle->items.len > 0)
        return r;
    p->bundle_weight = 0;
    p->bundle_known = true;
    p->bundle_begun = false;
    return 0;
}

/* The data of a small file, if the base has it right behind what the bundle has so far. */
static int add_known_data(bvi_plan *p, const bvi_tree_item *item, bv_error **err)
{
    bool known = false;
    int r = find_known(p, item, &known, err);

    if (r < 0)
        return r;
    if (known)
        known = p->bundle_begun ? p->base.pos == p->bundle_pos : bvi_page_stream_aligned(&p->base);
    p->bundle_begun = true;
    p->bundle_known = known;
    while (known) {
        bvi_snap_extent extent;

        r = bvi_page_stream_extent(&p->base, &extent, err);
        if (r <= 0)
            break;
        r = bvi_unit_add_extent(p->bundle, p->bundle->items.len - 1, extent.pos, extent.len, err);
        if (r == 0)
            r = take_begun(p, p->bundle, err);
        if (r < 0)
            return r;
    }
    p->bundle_pos = p->base.pos;
    return r;
}

/* Does a bundle end with this file? Heavier ones end it more often. */
static bool ends_bundle(const bvi_plan *p, const bvi_tree_item *item)
{
    const uint64_t weight = item->entry.size + BUNDLE_ENTRY;

    return p->bundle_weight >= BUNDLE_MIN &&
           (bvi_plan_path_hash(item->entry.path) & 0xffffffffu) * BUNDLE_MORE >> 32 < weight;
}

static int add_to_bundle(bvi_plan *p, const bvi_tree_item *item, bvi_unit_list *units,
                         bv_error **err)
{
    const uint64_t size = item->entry.size;
    int r;

    if (p->bundle && (p->bundle->data_bytes + size > BVI_CUT_BUNDLE ||
                      p->bundle->items.len >= BVI_UNIT_ITEMS_MAX ||
                      p->bundle->room + bvi_page_entry_room(&item->entry) > BVI_PLAN_BUNDLE_ROOM))
        end_bundle(p, units);
    r = begin_bundle(p, err);
    if (r == 0)
        r = bvi_unit_add(p->bundle, item, err);
    if (r == 0 && size > 0 && p->bundle_known)
        r = add_known_data(p, item, err);
    if (r < 0)
        return r;
    p->bundle_begun = p->bundle_begun || size > 0;
    p->bundle_weight += size + BUNDLE_ENTRY;
    if (ends_bundle(p, item))
        end_bundle(p, units);
    return 0;
}

/* ---- large files ---- */

/* A unit that is ready, for the known file from where the last one ended. */
static int known_unit(bvi_plan *p, uint64_t to, bvi_unit **ret_unit, bv_error **err)
{
    int r = bvi_unit_stretch(p->known, p->known->from, to, ret_unit, err);

    if (r < 0)
        return r;
    (*ret_unit)->kind = BVI_UNIT_READY;
    (*ret_unit)->done = true;
    p->known->from = to;
    return 0;
}

static int end_known(bvi_plan *p, bvi_unit_list *units, bv_error **err)
{
    const uint64_t size = p->known->items.items[0].size;
    bvi_unit *unit = NULL;

    if (!bvi_page_stream_aligned(&p->base))
        return bvi_fail(err, BV_E_CHECKSUM, "chunks of the last version hold several files");
    if (p->known->from == 0) { /* nothing but a hole */
        int r = known_unit(p, size, &unit, err);

        if (r < 0)
            return r;
        bvi_unit_push(units, unit);
    }
    bvi_unit_free(bvi_take(p->known));
    return 0;
}

/* One extent of the file that is known, with its chunks, as one unit; or the file's end. */
static int give_known(bvi_plan *p, bvi_unit_list *units, bv_error **err)
{
    BVI_AUTO(bvi_unit_freep) bvi_unit *unit = NULL;
    bvi_snap_extent extent;
    int r = bvi_page_stream_extent(&p->base, &extent, err);

    if (r <= 0)
        return r < 0 ? r : end_known(p, units, err);
    r = known_unit(p, extent.pos + extent.len, &unit, err);
    if (r == 0)
        r = bvi_unit_add_extent(unit, 0, extent.pos, extent.len, err);
    if (r == 0)
        r = take_begun(p, unit, err);
    if (r < 0)
        return r;
    bvi_unit_push(units, bvi_take(unit));
    return 0;
}

static int add_large(bvi_plan *p, const bvi_tree_item *item, bvi_unit_list *units, bv_error **err)
{
    BVI_AUTO(bvi_unit_freep) bvi_unit *unit = NULL;
    bool known = false;
    int r;

    end_bundle(p, units);
    r = find_known(p, item, &known, err);
    if (r == 0)
        r = bvi_snap_unit_new(BVI_UNIT_FILE, &unit, err);
    if (r == 0)
        r = bvi_unit_add(unit, item, err);
    if (r < 0)
        return r;
    unit->large = true;
    unit->to = item->entry.size;
    if (known && bvi_page_stream_aligned(&p->base)) {
        p->sums.known_bytes += item->entry.size;
        p->known = bvi_take(unit);
    } else {
        bvi_unit_push(units, bvi_take(unit));
    }
    return 0;
}

/* ---- the whole ---- */

static int take_item(bvi_plan *p, const bvi_tree_item *item, bvi_unit_list *units, bv_error **err)
{
    int r = bvi_stamps_add(p->stamps, item->entry.kind, item->entry.path, &item->stamp, err);

    if (r < 0)
        return r;
    p->sums.entries++;
    if (item->entry.kind == BVI_SNAP_FILE)
        p->sums.files++;
    p->sums.bytes += item->entry.size;
    return item->entry.size < BVI_CUT_SMALL ? add_to_bundle(p, item, units, err)
                                            : add_large(p, item, units, err);
}

int bvi_plan_step(bvi_plan *p, bvi_unit_list *units, bv_error **err)
{
    const size_t enough = units->memory + STEP_MEMORY;
    int r = 1;

    for (unsigned i = 0; i < STEP_ENTRIES && units->memory < enough; i++) {
        bvi_tree_item item;

        if (p->known) {
            r = give_known(p, units, err);
            if (r < 0)
                return r;
            continue;
        }
        r = bvi_tree_walk_next(p->walk, &item, err);
        if (r == 0) {
            end_bundle(p, units);
            return bvi_stamps_flush(p->stamps, err);
        }
        if (r > 0)
            r = take_item(p, &item, units, err);
        if (r < 0)
            return r;
    }
    return 1;
}

const bvi_plan_sums *bvi_plan_result(const bvi_plan *plan)
{
    return &plan->sums;
}

const bvi_tree_counts *bvi_plan_counts(const bvi_plan *plan)
{
    return bvi_tree_walk_counts(plan->walk);
}

bvi_stamps_writer *bvi_plan_stamps(bvi_plan *plan)
{
    return plan->stamps;
}

int bvi_plan_new(const bvi_plan_opts *opts, bvi_plan **ret_plan, bv_error **err)
{
    BVI_AUTO(bvi_plan_freep) bvi_plan *p = bvi_new0(bvi_plan);
    bvi_stamps_head head;
    int r;

    if (!p)
        return bvi_fail_nomem(err);
    p->opts = *opts;
    bvi_page_stream_init(&p->base, opts->base);
    r = bvi_tree_walk_new(&opts->walk, &p->walk, err);
    if (r == 0)
        r = bvi_stamps_writer_new(opts->new_stamps, &p->stamps, err);
    if (r == 0 && opts->old_stamps && opts->base)
        r = bvi_stamps_reader_new(opts->old_stamps, opts->old_has_head ? &head : NULL, &p->old,
                                  err);
    if (r < 0)
        return r;
    *ret_plan = bvi_take(p);
    return 0;
}

void bvi_plan_free(bvi_plan *p)
{
    if (!p)
        return;
    bvi_tree_walk_free(p->walk);
    bvi_stamps_writer_free(p->stamps);
    bvi_stamps_reader_free(p->old);
    bvi_page_stream_done(&p->base);
    bvi_unit_free(p->bundle);
    bvi_unit_free(p->known);
    bvi_free(p);
}

/* ---- the look back ---- */

static int name_change(const char *path, const char *what, bv_error **err)
{
    return bvi_fail(err, BV_E_STATE, "'%s' %s while it was uploaded; stop what writes to it",
                    *path ? path : ".", what);
}

/* The two next ones, from the walk and from the stamps. */
static int compare_items(const bvi_tree_item *item, const bvi_stamps_item *stamp, bv_error **err)
{
    int order = bvi_snap_path_compare(item->entry.path, stamp->path);

    if (order < 0)
        return name_change(item->entry.path, "appeared", err);
    if (order > 0)
        return name_change(stamp->path, "disappeared", err);
    if (item->entry.kind != stamp->kind || !bvi_file_stamp_equal(&item->stamp, &stamp->stamp))
        return name_change(item->entry.path, "changed", err);
    return 0;
}

int bvi_plan_recheck(const bvi_tree_walk_opts *opts, const char *stamps, bv_error **err)
{
    BVI_AUTO(bvi_tree_walk_freep) bvi_tree_walk *walk = NULL;
    BVI_AUTO(bvi_stamps_reader_freep) bvi_stamps_reader *reader = NULL;
    int r = bvi_tree_walk_new(opts, &walk, err);

    if (r == 0)
        r = bvi_stamps_reader_new(stamps, NULL, &reader, err);
    while (r == 0) {
        bvi_stamps_item stamp;
        bvi_tree_item item;
        int here = bvi_tree_walk_next(walk, &item, err);
        int there = here < 0 ? 0 : bvi_stamps_next(reader, &stamp, err);

        if (here < 0 || there < 0)
            return here < 0 ? here : there;
        if (!here && !there)
            return 0;
        if (here && there)
            r = compare_items(&item, &stamp, err);
        else
            r = here ? name_change(item.entry.path, "appeared", err)
                     : name_change(stamp.path, "disappeared", err);
    }
    return r;
}
