/*
 * upload_impl.h - the inside of a snapshot upload, shared by its files:
 *   upload.c        starting, failing, completing, and work and requests one at a time
 *   upload_begin.c  the reservation, and what the store is known to have
 *   upload_run.c    a pass over the directory: units are read, and written as pages
 *   upload_put.c    packs under way
 *   upload_end.c    the look back, the gate, and publishing
 */
#ifndef BVI_SNAPSHOT_UPLOAD_IMPL_H
#define BVI_SNAPSHOT_UPLOAD_IMPL_H

#include "io/budget.h"
#include "io/child.h"
#include "io/op.h"
#include "io/work.h"
#include "snapshot/chunk_table.h"
#include "snapshot/manifest_writer.h"
#include "snapshot/pack_journal.h"
#include "snapshot/pack_writer.h"
#include "snapshot/pending_set.h"
#include "snapshot/plan.h"
#include "snapshot/root.h"
#include "snapshot/store_try.h"
#include "snapshot/unit_reader.h"
#include "snapshot/upload.h"
#include "transfer/limits.h"
#include "transfer/report.h"

/* Memory that does not depend on the number of runners: units, pages, lists of chunks. */
#define BVI_SNAP_UPLOAD_MEMORY (32ull * 1024 * 1024)
/* Units that were planned, and those under way, take no more than about this. */
#define BVI_SNAP_TODO_MEMORY   (2u * 1024 * 1024)
#define BVI_SNAP_ACTIVE_MEMORY (8u * 1024 * 1024)
/* Packs of a key that a store may have. */
#define BVI_SNAP_PACKS_MAX (1u << 24)
/* A reservation is renewed so often. */
#define BVI_SNAP_RENEW_US (10ll * 60 * 1000000)
/* A file that was written to so shortly before it was looked at may be written to again without its
 * time telling. */
#define BVI_SNAP_TRUST_US 2000000ll

typedef struct bvi_snap_upload bvi_snap_upload;

/* ---- a pack, from the first frame to its record ---- */

typedef enum bvi_packer_phase {
    BVI_PACKING,    /* frames may be added */
    BVI_PACK_WAITS, /* sealed; for a connection, or its turn */
    BVI_PACK_SENT,
    BVI_PACK_STORED, /* waits for its record */
} bvi_packer_phase;

typedef struct bvi_packer {
    bvi_snap_upload *u;
    bvi_packer_phase phase;
    uint32_t owner; /* in the pending set */
    bvi_pack_writer pack;
    bvi_store_try put;
    bool flush; /* it holds up others: as soon as may be */
} bvi_packer;

/* ---- who reads a unit and packs what is new of it ---- */

typedef struct bvi_snap_runner {
    bvi_packer packer;
    bvi_unit *unit; /* NULL: idle */
    bvi_unit_reader reader;
    bvi_work work;
    bool working;
    bool packing;             /* what the work does: else it reads */
    bool more;                /* the unit has more to read */
    bool full;                /* the pack */
    BVI_VEC(uint32_t) wanted; /* chunks of reader.chunks that the store lacks */
    size_t next;              /* of them */
    bv_error *err;
} bvi_snap_runner;

/* A page of the version this one builds on, on its way here. */
typedef struct bvi_page_load {
    bvi_snap_upload *u;
    size_t index;
    bool busy;
    bool bad; /* it is not what it should be */
    uint8_t *stored;
    uint8_t *plain;
    bvi_page_slot slot;
    bvi_frame_unpacker *unpacker;
    bvi_snap_frames frames; /* of its chunks */
    bvi_store_try read;
    bvi_work work;
    bv_error *err;
} bvi_page_load;

#define BVI_PAGE_LOADS 4u

/* A pack the store has. */
typedef struct bvi_known_pack {
    bvi_hash256 id;
    uint64_t size;
} bvi_known_pack;

struct bvi_snap_upload {
    bv_ctx *ctx;
    bv_op *op;
    bvi_snap_upload_opts opts;
    bvi_strv exclude; /* opts points to these */
    bvi_strv protect;
    bvi_strv gate_argv;
    bv_transfer_done_fn done;
    void *data;
    bvi_report report;
    int64_t began_us; /* wall clock */
    int source_fd;
    int lock_fd;
    char *journal_path;
    char *stamps_path;  /* of the last upload; the new ones beside it */
    char *new_paths[2]; /* those of this pass, and of the one before */
    bvi_pack_journal *journal;
    bvi_pack_journal_head head;
    bvi_stamps_head stamps; /* of the last upload; version 0: none */
    /* one step at a time, on the worker */
    bvi_work step;
    int (*step_run)(bvi_snap_upload *u, bv_error **err);
    void (*step_next)(bvi_snap_upload *u);
    void (*step_failed)(bvi_snap_upload *u, bv_error *err); /* NULL: the upload fails */
    bv_error *step_err;
    bool step_pending;
    /* one request at a time */
    bvi_store_try call;
    void (*call_next)(bvi_snap_upload *u, const bv_error *err, const bvi_store_reply *reply);
    bvi_store_try renewal;
    bvi_timer *renew_timer;
    int64_t renewed_us; /* wall clock */
    /* what the store has */
    bvi_chunk_table *table;
    BVI_VEC(uint64_t) versions; /* complete ones */
    size_t candidate;           /* of them */
    char *text;                 /* an object as it came */
    size_t text_len;
    uint64_t base_version; /* 0: none */
    bvi_snap_root base;
    bvi_hash256 base_hash;
    bool base_bad;     /* it cannot be read */
    bool pruning;      /* what is stored may go */
    bool packs_listed; /* packs has all there are */
    bool packs_sorted;
    bool packs_unknown; /* the store cannot tell; a base's must be there, as it is complete */
    bool journal_fresh; /* and so must those of the journal */
    BVI_VEC(bvi_known_pack) packs;
    bvi_page_cache base_pages;
    bvi_page_load loads[BVI_PAGE_LOADS];
    size_t next_load;
    bool loading;
    bvi_snap_frames journal_frames; /* of the pack read last */
    bool journal_more;
    uint64_t retried_existing;
    /* a pass */
    unsigned pass;
    bool use_stamps;
    bool running;
    bvi_claim claim;
    bvi_plan *plan;
    bvi_work plan_work;
    bool plan_pending;
    bool plan_last; /* the work's answer */
    bool plan_ended;
    bv_error *plan_err;
    bvi_unit_list planned; /* filled on the worker */
    bvi_unit_list todo;
    bvi_unit_list active; /* in the snapshot's order */
    size_t joined;        /* chunks of active.head that the table has */
    bvi_snap_runner *runners;
    uint32_t n_runners;
    uint32_t max_runners; /* to be made */
    uint32_t sending;
    int64_t next_put_us; /* with a limit of rate */
    bvi_timer *put_timer;
    bvi_pending_set pending;
    bvi_manifest_writer writer;
    bool writer_ended;
    bvi_page_cache pages; /* of this pass */
    BVI_VEC(bvi_snap_page_ref) refs;
    /* the page at hand, and the pack of pages */
    bvi_packer pager;
    bvi_buf page;
    bvi_page_slot page_slot;
    bvi_work page_work;
    bool page_pending;
    bool page_packing; /* hashed before */
    bool page_full;
    bvi_hash256 page_hash;
    bv_error *page_err;
    /* one record at a time */
    bvi_work record;
    bool record_pending;
    bvi_packer *recording;
    bv_error *record_err;
    bvi_task join_again;
    bool joining;
    bool restart; /* the pass is begun anew, without stamps, once nothing is under way */
    /* the end */
    bvi_child *gate_child;
    bool gate_busy;
    bool gate_passed;
    bool keep_going; /* also when it is to stop: the root is being put, or was */
    bool finished;
    void (*not_ours)(bvi_snap_upload *u);
    bvi_buf root_text;
    bvi_buf sig_text;
    uint64_t sent_bytes;
    atomic_bool stopping; /* workers read it */
    bool give_back;       /* the reservation is to be released */
    bv_error *err;
    bool completed;
};

/* upload.c */
void bvi_snap_up_fail(bvi_snap_upload *u, bv_error *err);
void bvi_snap_up_settle(bvi_snap_upload *u);
void bvi_snap_up_step(bvi_snap_upload *u, int (*run)(bvi_snap_upload *u, bv_error **err),
                      void (*next)(bvi_snap_upload *u));
void bvi_snap_up_call(bvi_snap_upload *u, const bvi_store_request *request,
                      void (*next)(bvi_snap_upload *u, const bv_error *err,
                                   const bvi_store_reply *reply));
/* Fails with a copy of it. */
void bvi_snap_up_fail_copy(bvi_snap_upload *u, const bv_error *err, const char *what);
static inline bool bvi_snap_up_stopping(const bvi_snap_upload *u)
{
    return atomic_load(&u->stopping);
}
bvi_tree_walk_opts bvi_snap_up_walk_opts(const bvi_snap_upload *u);

/* upload_begin.c */
int bvi_snap_up_begin_init(bvi_snap_upload *u, bv_error **err);
void bvi_snap_up_begin(bvi_snap_upload *u);
bool bvi_snap_up_begin_idle(const bvi_snap_upload *u);
void bvi_snap_up_begin_stop(bvi_snap_upload *u);
void bvi_snap_up_begin_free(bvi_snap_upload *u);

/* upload_run.c */
void bvi_snap_up_run(bvi_snap_upload *u);       /* the first pass */
void bvi_snap_up_run_again(bvi_snap_upload *u); /* on what the last one made */
void bvi_snap_up_pump(bvi_snap_upload *u);
bool bvi_snap_up_run_idle(const bvi_snap_upload *u);
void bvi_snap_up_run_stop(bvi_snap_upload *u);
void bvi_snap_up_run_free(bvi_snap_upload *u);

/* upload_put.c */
int bvi_packer_init(bvi_packer *packer, bvi_snap_upload *u, uint32_t owner, bv_error **err);
void bvi_packer_done(bvi_packer *packer);
void bvi_packer_flush(bvi_packer *packer); /* in PACKING, on the loop; not empty */
bool bvi_packer_idle(const bvi_packer *packer);
void bvi_snap_up_pump_packs(bvi_snap_upload *u);

/* upload_end.c */
void bvi_snap_up_end(bvi_snap_upload *u);
void bvi_snap_up_end_stop(bvi_snap_upload *u);
/* A version that is complete already: was it us, before we died? */
void bvi_snap_up_end_compare(bvi_snap_upload *u, void (*not_ours)(bvi_snap_upload *u));
void bvi_snap_up_give_back(bvi_snap_upload *u);

#endif
