/*
 * chunk_table.c - hash -> frame for all chunks a store has; uploads ask it what need not be sent,
 * downloads what is at hand.
 *
 * Open addressing with rows of 32 bytes, at most three quarters full: 43 to 85 bytes a chunk. Of a
 * hash only half is kept. That is safe: hashes of our own data differ in 128 bits unless by a
 * chance that never comes, and whoever controls the pages of a base could as well name a wrong
 * place for a whole hash; what is found is checked against the whole one wherever it is read. Where
 * a row stands depends on two secret numbers, so that nobody can choose hashes that all meet in one
 * place. Rows are in the order of that place, so growing is one walk over both tables from end to
 * end.
 *
 * A large table lies in a file without a name, whose memory the kernel can take back. The file's
 * space is reserved before it is used, as a full disk would otherwise end the process.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>

#include "snapshot/chunk_table.h"
#include "snapshot/page_impl.h"
#include "transfer/spool.h"

#define HEAP_MAX    (16u * 1024u * 1024u) /* larger areas lie in a file */
#define BITS_FIRST  8u
#define BITS_MAX    36u /* 64 GiB of file: 51 thousand million chunks */
#define PACKS_FIRST 64u
#define PACKS_MAX   UINT32_MAX
/* Packs seen lately; one that was forgotten is only listed twice. */
#define RECENT_PACKS 4096u

typedef struct row {
    uint64_t hash[2];
    uint32_t pack;
    uint32_t offset;
    uint32_t stored;
    uint32_t
        plain_codec; /* plain bytes, and the codec in the two bits on top; 0: the row is free */
} row;

/* Zeroed memory of a fixed size. */
typedef struct area {
    void *bytes;
    size_t len;
    bool mapped;
} area;

struct bvi_chunk_table {
    char *spill_dir; /* NULL: everything in memory */
    area rows;
    unsigned bits; /* 2^bits rows */
    size_t len;
    area packs; /* of bvi_hash256 */
    uint32_t n_packs;
    uint64_t secret[2];
    uint32_t recent[RECENT_PACKS]; /* number + 1 */
};

/* ---- areas ---- */

static void area_done(area *a)
{
    if (a->mapped)
        (void)munmap(a->bytes, a->len); /* ours, and whole */
    else
        bvi_free(a->bytes);
    *a = (area){ 0 };
}

static int area_map(area *a, const char *dir, size_t len, bv_error **err)
{
    BVI_AUTO(bvi_spool_done) bvi_spool spool;
    void *at;
    int r;

    bvi_spool_init(&spool);
    r = bvi_spool_open_unnamed(&spool, dir, err);
    if (r < 0)
        return r;
    r = posix_fallocate(spool.fd, 0, (off_t)len);
    if (r != 0)
        return bvi_fail_sys(err, r, "no room for %zu MiB of a list of chunks in '%s'", len >> 20,
                            dir);
    at = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, spool.fd, 0);
    if (at == MAP_FAILED)
        return bvi_fail_sys(err, errno, "cannot map %zu MiB of a list of chunks", len >> 20);
    *a = (area){ .bytes = at, .len = len, .mapped = true };
    return 0;
}

static int area_make(area *a, const char *dir, size_t count, size_t size, bv_error **err)
{
    if (dir && count > HEAP_MAX / size)
        return area_map(a, dir, count * size, err);
    *a = (area){ .bytes = bvi_calloc(count, size), .len = count * size };
    return a->bytes ? 0 : bvi_fail_nomem(err);
}

/* ---- the table ---- */

int bvi_chunk_table_new(const char *spill_dir, bvi_chunk_table **ret_table, bv_error **err)
{
    BVI_AUTO(bvi_chunk_table_freep) bvi_chunk_table *table = bvi_new0(bvi_chunk_table);
    int r;

    if (!table)
        return bvi_fail_nomem(err);
    table->spill_dir = bvi_strdup(spill_dir);
    if (spill_dir && !table->spill_dir)
        return bvi_fail_nomem(err);
    if (getrandom(table->secret, sizeof(table->secret), 0) != sizeof(table->secret))
        return bvi_fail_sys(err, errno, "cannot get random bytes");
    table->bits = BITS_FIRST;
    r = area_make(&table->rows, NULL, (size_t)1 << BITS_FIRST, sizeof(row), err);
    if (r == 0)
        r = area_make(&table->packs, NULL, PACKS_FIRST, sizeof(bvi_hash256), err);
    if (r < 0)
        return r;
    *ret_table = bvi_take(table);
    return 0;
}

void bvi_chunk_table_free(bvi_chunk_table *table)
{
    if (!table)
        return;
    area_done(&table->rows);
    area_done(&table->packs);
    bvi_free(table->spill_dir);
    bvi_free(table);
}

static size_t place_of(const bvi_chunk_table *table, unsigned bits, const uint64_t hash[2])
{
    return (size_t)((hash[0] * (table->secret[0] | 1) + hash[1] * (table->secret[1] | 1)) >>
                    (64 - bits));
}

/* The row of a hash, or the free one where it belongs. */
static row *row_of(const bvi_chunk_table *table, const area *rows, unsigned bits,
                   const uint64_t hash[2])
{
    row *all = rows->bytes;
    size_t last = ((size_t)1 << bits) - 1;
    size_t at = place_of(table, bits, hash);

    while (all[at].plain_codec > 0 && (all[at].hash[0] != hash[0] || all[at].hash[1] != hash[1]))
        at = (at + 1) & last;
    return &all[at];
}

static int grow(bvi_chunk_table *table, bv_error **err)
{
    const row *old = table->rows.bytes;
    unsigned bits = table->bits + 1;
    area rows;
    int r;

    if (table->len < ((size_t)3 << table->bits) / 4)
        return 0;
    if (bits > BITS_MAX)
        return bvi_fail(err, BV_E_LIMIT, "more than %zu chunks", table->len);
    r = area_make(&rows, table->spill_dir, (size_t)1 << bits, sizeof(row), err);
    if (r < 0)
        return r;
    for (size_t i = 0; i < (size_t)1 << table->bits; i++) {
        if (old[i].plain_codec > 0)
            *row_of(table, &rows, bits, old[i].hash) = old[i];
    }
    area_done(&table->rows);
    table->rows = rows;
    table->bits = bits;
    return 0;
}

static int grow_packs(bvi_chunk_table *table, bv_error **err)
{
    size_t room = table->packs.len / sizeof(bvi_hash256);
    area packs;
    int r;

    if (table->n_packs < room)
        return 0;
    if (room > PACKS_MAX / 2)
        return bvi_fail(err, BV_E_LIMIT, "more than %zu packs", room);
    r = area_make(&packs, table->spill_dir, 2 * room, sizeof(bvi_hash256), err);
    if (r < 0)
        return r;
    memcpy(packs.bytes, table->packs.bytes, table->packs.len);
    area_done(&table->packs);
    table->packs = packs;
    return 0;
}

static int number_of_pack(bvi_chunk_table *table, const bvi_hash256 *pack, uint32_t *ret_number,
                          bv_error **err)
{
    bvi_hash256 *packs;
    uint32_t slot = 0;
    int r = grow_packs(table, err);

    if (r < 0)
        return r;
    packs = table->packs.bytes;
    memcpy(&slot, pack->bytes, sizeof(slot));
    slot %= RECENT_PACKS;
    if (table->recent[slot] == 0 || !bvi_hash256_equal(&packs[table->recent[slot] - 1], pack)) {
        packs[table->n_packs] = *pack;
        table->recent[slot] = ++table->n_packs;
    }
    *ret_number = table->recent[slot] - 1;
    return 0;
}

int bvi_chunk_table_add(bvi_chunk_table *table, const bvi_snap_frame *frame, bv_error **err)
{
    uint64_t hash[2];
    uint32_t pack = 0;
    row *slot;
    int r = bvi_snap_frame_check(frame, err);

    if (r == 0)
        r = grow(table, err);
    if (r < 0)
        return r;
    memcpy(hash, frame->hash.bytes, sizeof(hash));
    slot = row_of(table, &table->rows, table->bits, hash);
    if (slot->plain_codec > 0)
        return 0;
    r = number_of_pack(table, &frame->pack, &pack, err);
    if (r < 0)
        return r;
    *slot = (row){
        .hash = { hash[0], hash[1] },
        .pack = pack,
        .offset = (uint32_t)frame->offset,
        .stored = frame->stored,
        .plain_codec = frame->plain | (uint32_t)frame->codec << 30,
    };
    table->len++;
    return 0;
}

bool bvi_chunk_table_find(const bvi_chunk_table *table, const bvi_hash256 *hash,
                          bvi_snap_frame *ret_frame)
{
    const bvi_hash256 *packs = table->packs.bytes;
    uint64_t half[2];
    const row *found;

    memcpy(half, hash->bytes, sizeof(half));
    found = row_of(table, &table->rows, table->bits, half);
    if (found->plain_codec == 0)
        return false;
    *ret_frame = (bvi_snap_frame){
        .hash = *hash,
        .pack = packs[found->pack],
        .offset = found->offset,
        .stored = found->stored,
        .plain = found->plain_codec & ((1u << 30) - 1),
        .codec = (bvi_snap_codec)(found->plain_codec >> 30),
    };
    return true;
}

size_t bvi_chunk_table_len(const bvi_chunk_table *table)
{
    return table->len;
}
