/*
 * upload_begin.c - everything before the first file is read.
 *
 *   open      (worker) the state directory: lock, journal, the head of the stamps
 *   base      the latest version that is a snapshot
 *   reserve   the new version, which also keeps the base from being removed
 *   check     a prune under way may remove what is stored already; the base may be gone meanwhile
 *   packs     which ones there are: what the base or the journal say of others does not count
 *   pages     of the base, into the table and a file
 *   journal   what an interrupted upload has stored, into the table
 *
 * A base that cannot be read costs time, no more: then every file is read and what the table lacks
 * is sent.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "snapshot/prune.h"
#include "snapshot/upload_impl.h"
#include "sys/fs.h"
#include "transfer/url.h"

#define PRUNE_TEXT_MAX (64u * 1024u)
/* Versions below the latest that are tried as the base. */
#define BASE_TRIES 8u

/* ---- journal ---- */

static int step_read_journal(bvi_snap_upload *u, bv_error **err)
{
    int r = bvi_pack_journal_next(u->journal, &u->journal_frames, err);

    u->journal_more = r > 0;
    return r < 0 ? bvi_wrap(err, r, "journal '%s'", u->journal_path) : 0;
}

static int compare_packs(const void *a, const void *b)
{
    return memcmp(((const bvi_known_pack *)a)->id.bytes, ((const bvi_known_pack *)b)->id.bytes,
                  BVI_BLAKE3_SIZE);
}

/* Can the frame be there? `trusted`: it can, if the store cannot tell. */
static bool is_there(bvi_snap_upload *u, const bvi_snap_frame *frame, bool trusted)
{
    const bvi_known_pack wanted = { .id = frame->pack };
    const bvi_known_pack *pack;

    if (u->packs_unknown)
        return trusted;
    if (!u->packs_listed || u->packs.len == 0)
        return false;
    if (!u->packs_sorted)
        qsort(u->packs.items, u->packs.len, sizeof(*u->packs.items), compare_packs);
    u->packs_sorted = true;
    pack = bsearch(&wanted, u->packs.items, u->packs.len, sizeof(wanted), compare_packs);
    return pack && frame->offset <= pack->size && frame->stored <= pack->size - frame->offset;
}

/* Those that are there go into the table. *ret_all: they all are. `trusted`: as above. */
static int add_frames(bvi_snap_upload *u, const bvi_snap_frames *frames, bool trusted,
                      bool *ret_all, bv_error **err)
{
    *ret_all = true;
    for (size_t i = 0; i < frames->len; i++) {
        const bvi_snap_frame *frame = &frames->items[i];
        int r = is_there(u, frame, trusted) ? bvi_chunk_table_add(u->table, frame, err) : 1;

        if (r < 0)
            return r;
        *ret_all = *ret_all && r == 0;
    }
    return 0;
}

static void journal_read(bvi_snap_upload *u)
{
    bv_error *err = NULL;
    bool all;

    if (!u->journal_more) {
        bvi_snap_up_run(u);
        return;
    }
    if (add_frames(u, &u->journal_frames, u->journal_fresh, &all, &err) < 0) {
        bvi_snap_up_fail(u, err);
        return;
    }
    if (all)
        u->report.now.resumed_chunks += (uint32_t)u->journal_frames.len;
    bvi_snap_up_step(u, step_read_journal, journal_read);
}

static void read_journal(bvi_snap_upload *u)
{
    if (u->pruning || bvi_pack_journal_packs(u->journal) == 0) {
        bvi_snap_up_run(u);
        return;
    }
    u->journal_frames.max = BVI_PACK_FRAMES_MAX;
    bvi_snap_up_step(u, step_read_journal, journal_read);
}

/* ---- pages of the base ---- */

static void load_next(bvi_page_load *l);

static void spoil_base(bvi_snap_upload *u, const bv_error *err)
{
    if (!u->base_bad)
        bvi_log_warn(u->ctx, "snapshot",
                     "version %llu of '%s' cannot be read whole, so every file is: %s",
                     (unsigned long long)u->base_version, u->opts.store_key, bv_error_message(err));
    u->base_bad = true;
}

static int collect_chunks(bvi_page_load *l, const bvi_page *page, bv_error **err)
{
    bvi_page_chunks it;
    bvi_snap_frame frame;

    l->frames.len = 0;
    bvi_page_chunks_init(&it, page);
    while (bvi_page_chunks_next(&it, &frame)) {
        bvi_snap_frame *kept = bvi_vec_push(&l->frames);

        if (!kept)
            return bvi_fail_nomem(err);
        *kept = frame;
    }
    return 0;
}

static int unpack_page(bvi_page_load *l, bv_error **err)
{
    const bvi_snap_frame *frame = &l->u->base.pages.items[l->index].frame;
    bvi_page page;
    int r = l->unpacker ? 0 : bvi_frame_unpacker_new(&l->unpacker, err);

    if (r == 0)
        r = bvi_frame_unpack(l->unpacker, frame, l->stored, l->plain, err);
    if (r == 0)
        r = bvi_page_cache_write(l->u->base_pages.fd, l->slot, l->plain, err);
    if (r == 0)
        r = bvi_page_open(&page, l->plain, frame->plain, err);
    if (r < 0)
        return r;
    r = collect_chunks(l, &page, err);
    (void)bvi_take(l->plain); /* the page's */
    bvi_page_done(&page);
    return r;
}

static void load_run(void *data)
{
    bvi_page_load *l = data;

    (void)unpack_page(l, &l->err); /* it says */
}

/* Does it tell of the data, and not of a store that is out of reach? */
static bool is_damage(const bv_error *err)
{
    const int code = bv_error_code(err);

    return code == BV_E_NOT_FOUND || code == BV_E_CHECKSUM || code == BV_E_FORMAT ||
           code == BV_E_LIMIT;
}

static void end_load(bvi_page_load *l, bv_error *err)
{
    bvi_snap_upload *u = l->u;

    l->busy = false;
    bvi_free(bvi_take(l->stored));
    bvi_free(bvi_take(l->plain));
    if (err && is_damage(err)) {
        spoil_base(u, err);
        bv_error_free(bvi_take(err));
    }
    if (err)
        bvi_snap_up_fail(u, err);
    else if (!bvi_snap_up_stopping(u))
        load_next(l);
    bvi_snap_up_settle(u);
}

static void load_done(void *data, bool cancelled)
{
    bvi_page_load *l = data;
    bvi_snap_upload *u = l->u;
    bv_error *err = bvi_take(l->err);
    bool all = true;

    if (cancelled && !err)
        (void)bvi_fail(&err, BV_E_CANCELLED, "upload interrupted");
    if (!err)
        (void)add_frames(u, &l->frames, true, &all, &err); /* it says */
    if (!err && !all)
        (void)bvi_fail(&err, BV_E_NOT_FOUND, "a pack of version %llu is missing or cut short",
                       (unsigned long long)u->base_version);
    if (!err)
        (void)bvi_chunk_table_add(u->table, &u->base.pages.items[l->index].frame, &err);
    end_load(l, err);
}

static void on_page(const bv_error *err, const bvi_store_reply *reply, void *data)
{
    bvi_page_load *l = data;

    (void)reply;
    if (err) {
        end_load(l, bvi_error_copy(err));
        return;
    }
    bvi_work_init(&l->work, l->u->ctx, load_run, load_done, l);
    bvi_work_submit(&l->work);
}

static int start_load(bvi_page_load *l, bv_error **err)
{
    bvi_snap_upload *u = l->u;
    const bvi_snap_frame *frame = &u->base.pages.items[l->index].frame;
    bvi_auto_free char *key = bvi_snap_pack_key(u->opts.store_key, &frame->pack);
    int r;

    if (!is_there(u, frame, true)) /* the base is reserved */
        return bvi_fail(err, BV_E_NOT_FOUND, "the pack of page %zu is missing or cut short",
                        l->index);
    l->stored = bvi_malloc(frame->stored);
    l->plain = bvi_malloc(frame->plain);
    if (!key || !l->stored || !l->plain)
        return bvi_fail_nomem(err);
    r = bvi_page_cache_add(&u->base_pages, frame->plain, &l->slot, err);
    if (r < 0)
        return r;
    bvi_store_try_start(&l->read,
                        &(bvi_store_request){ .verb = BVI_STORE_READ,
                                              .key = key,
                                              .offset = frame->offset,
                                              .into = l->stored,
                                              .into_len = frame->stored },
                        on_page, l);
    return 0;
}

static bool loads_busy(const bvi_snap_upload *u)
{
    for (size_t i = 0; i < BVI_PAGE_LOADS; i++) {
        if (u->loads[i].busy)
            return true;
    }
    return false;
}

/* Slots are given out in the order of pages, so that the file has them in that order. */
static void load_next(bvi_page_load *l)
{
    bvi_snap_upload *u = l->u;

    while (!l->busy && u->next_load < u->base.pages.len) {
        bv_error *err = NULL;

        l->index = u->next_load++;
        l->busy = true;
        if (start_load(l, &err) == 0)
            return;
        l->busy = false;
        bvi_free(bvi_take(l->stored));
        bvi_free(bvi_take(l->plain));
        if (!is_damage(err)) {
            bvi_snap_up_fail(u, err);
            return;
        }
        spoil_base(u, err);
        bv_error_free(err);
    }
    if (u->loading && !loads_busy(u)) {
        u->loading = false;
        read_journal(u);
    }
}

static void load_pages(bvi_snap_upload *u)
{
    bv_error *err = NULL;

    if (!u->base_version || u->pruning) {
        read_journal(u);
        return;
    }
    if (bvi_page_cache_open(&u->base_pages, u->opts.state_dir, &err) < 0) {
        bvi_snap_up_fail(u, err);
        return;
    }
    u->loading = true;
    for (size_t i = 0; i < BVI_PAGE_LOADS; i++) {
        bvi_page_load *l = &u->loads[i];

        l->u = u;
        l->frames.max = BVI_SNAP_PAGE_CHUNKS;
        if (bvi_store_try_init(&l->read, u->ctx, u->opts.store, &u->report.now.retries, &err) < 0) {
            bvi_snap_up_fail(u, err);
            return;
        }
    }
    for (size_t i = 0; i < BVI_PAGE_LOADS && u->loading && !bvi_snap_up_stopping(u); i++)
        load_next(&u->loads[i]);
}

/* ---- which packs there are ---- */

static void ask_packs(bvi_snap_upload *u, const char *after);

static int add_packs(bvi_snap_upload *u, const bvi_store_reply *reply, bv_error **err)
{
    for (size_t i = 0; i < reply->n_objects; i++) {
        bvi_known_pack *pack;
        bvi_hash256 id;

        if (!bvi_snap_pack_of_key(reply->objects[i].key, &id))
            continue;
        pack = bvi_vec_push(&u->packs);
        if (!pack)
            return bvi_fail(err, u->packs.len >= u->packs.max ? BV_E_LIMIT : BV_E_NOMEM,
                            "too many packs");
        *pack = (bvi_known_pack){ .id = id, .size = reply->objects[i].size };
    }
    return 0;
}

static void on_packs(bvi_snap_upload *u, const bv_error *err, const bvi_store_reply *reply)
{
    bv_error *why = NULL;

    if (err && (bv_error_code(err) == BV_E_UNSUPPORTED || bv_error_code(err) == BV_E_NOT_FOUND)) {
        bvi_log_info(u->ctx, "snapshot", "what '%s' has stored already is not known: %s",
                     u->opts.store_key, bv_error_message(err));
        u->packs_unknown = bv_error_code(err) == BV_E_UNSUPPORTED;
        load_pages(u);
        return;
    }
    if (err) {
        bvi_snap_up_fail_copy(u, err, "cannot list packs");
        return;
    }
    if (add_packs(u, reply, &why) < 0) {
        bvi_snap_up_fail(u, why);
    } else if (reply->more && reply->n_objects > 0) {
        ask_packs(u, reply->objects[reply->n_objects - 1].key);
    } else {
        u->packs_listed = true;
        load_pages(u);
    }
}

static void ask_packs(bvi_snap_upload *u, const char *after)
{
    bvi_auto_free char *prefix = bvi_asprintf("%s/packs/", u->opts.store_key);
    bv_error *err = NULL;

    if (!prefix) {
        (void)bvi_fail_nomem(&err);
        bvi_snap_up_fail(u, err);
        return;
    }
    bvi_snap_up_call(
        u, &(bvi_store_request){ .verb = BVI_STORE_OBJECTS, .key = prefix, .after = after },
        on_packs);
}

static void list_packs(bvi_snap_upload *u)
{
    u->packs.max = BVI_SNAP_PACKS_MAX;
    if (u->pruning || (!u->base_version && bvi_pack_journal_packs(u->journal) == 0))
        load_pages(u);
    else
        ask_packs(u, NULL);
}

/* ---- checks after the reservation ---- */

static void drop_base(bvi_snap_upload *u)
{
    bvi_snap_root_done(&u->base);
    bvi_snap_root_init(&u->base);
    u->base_version = 0;
}

static void on_base_there(bvi_snap_upload *u, const bv_error *err, const bvi_store_reply *reply)
{
    (void)reply;
    if (err && bv_error_code(err) == BV_E_NOT_FOUND)
        drop_base(u);
    else if (err) {
        bvi_snap_up_fail_copy(u, err, "cannot look at the version before");
        return;
    }
    list_packs(u);
}

static void check_base(bvi_snap_upload *u)
{
    bvi_auto_free char *key = bvi_snap_root_key(u->opts.store_key, u->base_version);
    bv_error *err = NULL;

    if (!u->base_version) {
        list_packs(u);
        return;
    }
    if (!key) {
        (void)bvi_fail_nomem(&err);
        bvi_snap_up_fail(u, err);
        return;
    }
    bvi_snap_up_call(u, &(bvi_store_request){ .verb = BVI_STORE_STAT, .key = key }, on_base_there);
}

static void on_prune_mark(bvi_snap_upload *u, const bv_error *err, const bvi_store_reply *reply)
{
    if (err && bv_error_code(err) != BV_E_NOT_FOUND) {
        bvi_snap_up_fail_copy(u, err, "cannot see whether the store is being pruned");
        return;
    }
    if (!err && bvi_snap_prune_mark_is_alive(reply->bytes, reply->len, bvi_ctx_wall_us(u->ctx))) {
        bvi_log_warn(u->ctx, "snapshot",
                     "'%s' is being pruned, so everything is sent; later uploads send changes only",
                     u->opts.store_key);
        u->pruning = true;
        drop_base(u);
    }
    check_base(u);
}

static void ask_prune_mark(bvi_snap_upload *u)
{
    bvi_auto_free char *key = bvi_snap_prune_key(u->opts.store_key);
    bv_error *err = NULL;

    if (!key) {
        (void)bvi_fail_nomem(&err);
        bvi_snap_up_fail(u, err);
        return;
    }
    bvi_snap_up_call(
        u, &(bvi_store_request){ .verb = BVI_STORE_GET, .key = key, .max = PRUNE_TEXT_MAX },
        on_prune_mark);
}

/* ---- reserve ---- */

static void reserve(bvi_snap_upload *u);

/* Somebody who took the reservation over may remove what this upload counts on. */
static void on_renewed(const bv_error *err, const bvi_store_reply *reply, void *data)
{
    bvi_snap_upload *u = data;
    const int code = bv_error_code(err);

    (void)reply;
    if (!err)
        u->renewed_us = bvi_ctx_wall_us(u->ctx);
    else if (code == BV_E_BUSY || code == BV_E_EXISTS)
        bvi_snap_up_fail_copy(u, err, "the reservation was lost");
    else if (code != BV_E_CANCELLED)
        bvi_log_warn(u->ctx, "snapshot", "the reservation of version %llu was not renewed: %s",
                     (unsigned long long)u->head.version, bv_error_message(err));
    bvi_snap_up_settle(u);
}

static void on_renew_timer(bvi_timer *timer, void *data)
{
    bvi_snap_upload *u = data;

    if (bvi_snap_up_stopping(u) || u->completed)
        return;
    if (!u->renewal.busy)
        bvi_store_try_start(&u->renewal,
                            &(bvi_store_request){ .verb = BVI_STORE_RESERVE,
                                                  .store_key = u->opts.store_key,
                                                  .version = u->head.version,
                                                  .lease = u->head.lease,
                                                  .base = u->base_version,
                                                  .since_us = u->head.began_us },
                            on_renewed, u);
    (void)bvi_timer_set(timer, BVI_SNAP_RENEW_US, NULL); /* without: the next start has to wait */
}

static int step_reserved(bvi_snap_upload *u, bv_error **err)
{
    return bvi_pack_journal_update(u->journal, &u->head, err);
}

static void reserved(bvi_snap_upload *u, uint64_t version)
{
    const bool known = u->head.version == version && !u->head.publishing;

    u->head.version = u->report.now.data_version = version;
    u->head.publishing = false;
    u->renewed_us = bvi_ctx_wall_us(u->ctx);
    (void)bvi_timer_set(u->renew_timer, BVI_SNAP_RENEW_US, NULL); /* as above */
    if (known)
        ask_prune_mark(u);
    else
        bvi_snap_up_step(u, step_reserved, ask_prune_mark);
}

/* The version of the journal is complete, but not as ours: another one. */
static void reserve_another(bvi_snap_upload *u)
{
    bv_error *err = NULL;

    u->head.publishing = false;
    u->head.version = 0;
    if (u->opts.data_version) {
        (void)bvi_fail(&err, BV_E_EXISTS, "version %llu of '%s' exists already",
                       (unsigned long long)u->opts.data_version, u->opts.store_key);
        bvi_snap_up_fail(u, err);
        return;
    }
    bvi_snap_up_begin(u);
}

static void on_reserved(bvi_snap_upload *u, const bv_error *err, const bvi_store_reply *reply)
{
    const int code = bv_error_code(err);
    const bool retry =
        (code == BV_E_EXISTS || code == BV_E_BUSY) && u->head.version && u->retried_existing++ == 0;

    if (!err) {
        reserved(u, reply->version ? reply->version : u->head.version);
    } else if (code == BV_E_EXISTS && u->head.publishing) {
        bvi_snap_up_end_compare(u, reserve_another);
    } else if (retry && !u->opts.data_version) {
        u->head.version = 0;
        reserve(u);
    } else {
        bvi_snap_up_fail_copy(u, err, "cannot reserve a version");
    }
}

static void reserve(bvi_snap_upload *u)
{
    bvi_snap_up_call(
        u,
        &(bvi_store_request){ .verb = BVI_STORE_RESERVE,
                              .store_key = u->opts.store_key,
                              .version = u->head.version ? u->head.version : u->opts.data_version,
                              .lease = u->head.lease,
                              .base = u->base_version,
                              .since_us = u->head.began_us },
        on_reserved);
}

/* ---- the base ---- */

static void try_base(bvi_snap_upload *u);

static int step_parse_root(bvi_snap_upload *u, bv_error **err)
{
    bvi_blake3_hash(u->text, u->text_len, u->base_hash.bytes);
    return bvi_snap_root_parse(u->text, u->text_len, &u->base, err);
}

static void forget_text(bvi_snap_upload *u)
{
    bvi_free(bvi_take(u->text));
    u->text_len = 0;
}

static void root_parsed(bvi_snap_upload *u)
{
    forget_text(u);
    u->base_version = u->versions.items[u->candidate];
    reserve(u);
}

static void root_refused(bvi_snap_upload *u, bv_error *err)
{
    forget_text(u);
    if (bv_error_code(err) == BV_E_NOMEM || bv_error_code(err) == BV_E_CANCELLED) {
        bvi_snap_up_fail(u, err);
        return;
    }
    bvi_log_warn(u->ctx, "snapshot", "nothing of version %llu of '%s' can be used: %s",
                 (unsigned long long)u->versions.items[u->candidate], u->opts.store_key,
                 bv_error_message(err));
    bv_error_free(err);
    reserve(u);
}

static void on_root(bvi_snap_upload *u, const bv_error *err, const bvi_store_reply *reply)
{
    bv_error *why = NULL;

    if (err && bv_error_code(err) == BV_E_NOT_FOUND && u->candidate > 0 &&
        u->versions.len - u->candidate < BASE_TRIES) {
        u->candidate--;
        try_base(u);
        return;
    }
    if (err && bv_error_code(err) == BV_E_NOT_FOUND) {
        reserve(u);
        return;
    }
    if (err) {
        bvi_snap_up_fail_copy(u, err, "cannot read the version before");
        return;
    }
    u->text = bvi_strndup(reply->bytes, reply->len);
    u->text_len = reply->len;
    if (!u->text) {
        (void)bvi_fail_nomem(&why);
        bvi_snap_up_fail(u, why);
        return;
    }
    bvi_snap_up_step(u, step_parse_root, root_parsed);
    u->step_failed = root_refused;
}

static void try_base(bvi_snap_upload *u)
{
    bvi_auto_free char *key = bvi_snap_root_key(u->opts.store_key, u->versions.items[u->candidate]);
    bv_error *err = NULL;

    if (!key) {
        (void)bvi_fail_nomem(&err);
        bvi_snap_up_fail(u, err);
        return;
    }
    bvi_snap_up_call(
        u, &(bvi_store_request){ .verb = BVI_STORE_GET, .key = key, .max = BVI_SNAP_ROOT_MAX },
        on_root);
}

static void on_versions(bvi_snap_upload *u, const bv_error *err, const bvi_store_reply *reply)
{
    bv_error *why = NULL;

    if (err && bv_error_code(err) != BV_E_NOT_FOUND) {
        bvi_snap_up_fail_copy(u, err, "cannot list versions");
        return;
    }
    u->versions.len = 0;
    for (size_t i = 0; !err && i < reply->n_versions; i++) {
        uint64_t *version = bvi_vec_push(&u->versions);

        if (!version) {
            (void)bvi_fail_nomem(&why);
            bvi_snap_up_fail(u, why);
            return;
        }
        *version = reply->versions[i];
    }
    if (u->versions.len == 0) {
        reserve(u);
        return;
    }
    u->candidate = u->versions.len - 1;
    try_base(u);
}

static void ask_versions(bvi_snap_upload *u)
{
    u->versions.max = BVI_STORE_VERSIONS_MAX;
    bvi_snap_up_call(u,
                     &(bvi_store_request){ .verb = BVI_STORE_VERSIONS,
                                           .format = BVI_STORE_SNAPSHOT,
                                           .store_key = u->opts.store_key },
                     on_versions);
}

/* ---- open ---- */

static int make_paths(bvi_snap_upload *u, bv_error **err)
{
    const char *dir = u->opts.state_dir;

    u->journal_path = bvi_path_join(dir, BVI_SNAP_JOURNAL_FILE, NULL);
    u->stamps_path = bvi_path_join(dir, BVI_SNAP_STAMPS_FILE, NULL);
    u->new_paths[0] = bvi_path_join(dir, BVI_SNAP_STAMPS_FILE ".new0", NULL);
    u->new_paths[1] = bvi_path_join(dir, BVI_SNAP_STAMPS_FILE ".new1", NULL);
    return u->journal_path && u->stamps_path && u->new_paths[0] && u->new_paths[1]
               ? 0
               : bvi_fail_nomem(err);
}

/* Which store it is: its packs are not those of another. */
static int place_of(const bvi_snap_upload *u, bvi_hash256 *ret_place, bv_error **err)
{
    const bvi_store_vtable *vtable = u->opts.store->vtable;
    bvi_auto_free char *url = vtable->url(u->opts.store, u->opts.store_key, false);
    bvi_auto_free char *plain = url ? bvi_url_redact(url) : bvi_strdup(vtable->name);

    if (!plain)
        return bvi_fail_nomem(err);
    bvi_blake3_hash(plain, strlen(plain), ret_place->bytes);
    return 0;
}

/* What a journal says of another store or key does not count here. */
static int open_journal(bvi_snap_upload *u, bv_error **err)
{
    bvi_hash256 place;
    int r = bvi_pack_journal_open(u->journal_path, &u->head, &u->journal, err);

    if (r == 0)
        r = place_of(u, &place, err);
    if (r == 0 && u->opts.data_version && u->head.version != u->opts.data_version) {
        u->head.version = 0; /* its packs count, its reservation runs out */
        u->head.publishing = false;
    }
    if (r < 0 ||
        (strcmp(u->head.key, u->opts.store_key) == 0 && bvi_hash256_equal(&u->head.place, &place)))
        return r;
    if (u->head.key[0])
        bvi_log_info(u->ctx, "snapshot",
                     "'%s' is of an upload of '%s' to another place: nothing of it is used",
                     u->journal_path, u->head.key);
    u->head = (bvi_pack_journal_head){ .place = place, .began_us = u->began_us };
    memcpy(u->head.key, u->opts.store_key, strlen(u->opts.store_key) + 1);
    r = bvi_id_new(u->head.lease, err);
    return r < 0 ? r : bvi_pack_journal_restart(u->journal, &u->head, err);
}

static int read_stamps_head(bvi_snap_upload *u, bv_error **err)
{
    BVI_AUTO(bvi_stamps_reader_freep) bvi_stamps_reader *reader = NULL;
    bvi_auto_error bv_error *why = NULL;
    int r = bvi_stamps_reader_new(u->stamps_path, &u->stamps, &reader, &why);

    if (r == BV_E_NOMEM)
        return bvi_fail_nomem(err);
    if (r < 0 || strcmp(u->stamps.key, u->opts.store_key) != 0)
        u->stamps.version = 0;
    return 0;
}

/* The reservation under which the journal was written has not run out since. */
static bool is_fresh(const bvi_snap_upload *u)
{
    int64_t written_us = 0;

    return bvi_fs_mtime_us(u->journal_path, &written_us, NULL) == 0 &&
           bvi_ctx_wall_us(u->ctx) - written_us < BVI_STORE_LEASE_SECS / 2 * 1000000ll;
}

static int step_open(bvi_snap_upload *u, bv_error **err)
{
    bvi_auto_free char *lock = bvi_path_join(u->opts.state_dir, BVI_SNAP_LOCK_FILE, NULL);
    int r;

    if (!lock)
        return bvi_fail_nomem(err);
    u->source_fd = open(u->opts.source_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (u->source_fd < 0)
        return bvi_fail_sys(err, errno, "cannot open '%s'", u->opts.source_dir);
    r = bvi_fs_mkdir(u->opts.state_dir, 0700, err);
    if (r == 0)
        r = bvi_fs_lock(lock, &u->lock_fd, err);
    if (r == BV_E_BUSY)
        return bvi_wrap(err, r, "another upload uses '%s'", u->opts.state_dir);
    if (r == 0)
        r = make_paths(u, err);
    if (r == 0)
        u->journal_fresh = is_fresh(u);
    if (r == 0)
        r = open_journal(u, err);
    if (r == 0)
        r = read_stamps_head(u, err);
    return r < 0 ? r : bvi_chunk_table_new(u->opts.state_dir, &u->table, err);
}

int bvi_snap_up_begin_init(bvi_snap_upload *u, bv_error **err)
{
    return bvi_timer_new(u->ctx, on_renew_timer, u, &u->renew_timer, err);
}

void bvi_snap_up_begin(bvi_snap_upload *u)
{
    if (!u->journal) {
        bvi_snap_up_step(u, step_open, ask_versions);
        return;
    }
    drop_base(u); /* for another version, after all */
    ask_versions(u);
}

/* ---- the end of it ---- */

bool bvi_snap_up_begin_idle(const bvi_snap_upload *u)
{
    return !loads_busy(u);
}

void bvi_snap_up_begin_stop(bvi_snap_upload *u)
{
    for (size_t i = 0; i < BVI_PAGE_LOADS; i++)
        bvi_store_try_stop(&u->loads[i].read);
    if (u->renew_timer)
        bvi_timer_clear(u->renew_timer);
}

void bvi_snap_up_begin_free(bvi_snap_upload *u)
{
    for (size_t i = 0; i < BVI_PAGE_LOADS; i++) {
        bvi_page_load *l = &u->loads[i];

        bvi_store_try_done(&l->read);
        bvi_frame_unpacker_free(l->unpacker);
        bvi_vec_done(&l->frames);
        bvi_free(l->stored);
        bvi_free(l->plain);
        bv_error_free(l->err);
    }
    bvi_timer_free(u->renew_timer);
    bvi_page_cache_done(&u->base_pages);
    bvi_snap_root_done(&u->base);
    bvi_vec_done(&u->versions);
    bvi_vec_done(&u->packs);
    bvi_vec_done(&u->journal_frames);
    bvi_free(u->text);
    bvi_chunk_table_free(u->table);
    bvi_pack_journal_free(u->journal);
    bvi_free(u->journal_path);
    bvi_free(u->stamps_path);
    bvi_free(u->new_paths[0]);
    bvi_free(u->new_paths[1]);
    bvi_closep(&u->source_fd);
    bvi_closep(&u->lock_fd);
}
