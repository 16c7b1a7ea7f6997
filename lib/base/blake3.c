/*
 * blake3.c - BLAKE3: the compression function, the tree and the streaming hasher.
 *
 * The input is cut into chunks of 1 KiB, which are the leaves of a binary tree; a leaf or parent is
 * known to be the root only when the input has ended. So the hasher holds back the last chunk, and
 * beside it a stack of the chaining values of the complete subtrees to its left, one for each bit
 * set in the number of chunks. Long updates are hashed as whole subtrees: their chunks, and then
 * each level of their parents, go through the widest SIMD variant that fits.
 */
#include <string.h>

#include "base/blake3_impl.h"

/* Chunks in the largest subtree that is hashed at once; a power of two. */
#define SUBTREE_CHUNKS 256u

const uint32_t bvi_blake3_iv[8] = {
    0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A, 0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19,
};

/* Which message words the steps of each round take. */
static const uint8_t schedule[7][16] = {
    { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15 },
    { 2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8 },
    { 3, 4, 10, 12, 13, 2, 7, 14, 6, 5, 9, 0, 11, 15, 8, 1 },
    { 10, 7, 12, 9, 14, 3, 13, 15, 4, 0, 11, 2, 5, 8, 1, 6 },
    { 12, 13, 9, 11, 15, 10, 14, 8, 7, 2, 5, 3, 0, 1, 6, 4 },
    { 9, 14, 11, 5, 8, 12, 15, 1, 13, 3, 0, 10, 2, 6, 4, 7 },
    { 11, 15, 5, 0, 1, 9, 8, 6, 14, 10, 2, 12, 3, 4, 7, 13 },
};

/* ---- the compression function ---- */

static uint32_t load32(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static void store32(uint8_t *p, uint32_t v)
{
    p[0] = (uint8_t)v;
    p[1] = (uint8_t)(v >> 8);
    p[2] = (uint8_t)(v >> 16);
    p[3] = (uint8_t)(v >> 24);
}

static uint32_t rotate(uint32_t x, unsigned n)
{
    return x >> n | x << (32 - n);
}

static inline void mix(uint32_t v[16], size_t a, size_t b, size_t c, size_t d, uint32_t x,
                       uint32_t y)
{
    v[a] += v[b] + x;
    v[d] = rotate(v[d] ^ v[a], 16);
    v[c] += v[d];
    v[b] = rotate(v[b] ^ v[c], 12);
    v[a] += v[b] + y;
    v[d] = rotate(v[d] ^ v[a], 8);
    v[c] += v[d];
    v[b] = rotate(v[b] ^ v[c], 7);
}

static void compress(uint32_t cv[8], const uint8_t block[BVI_BLAKE3_BLOCK], uint64_t counter,
                     uint32_t len, uint32_t flags)
{
    uint32_t v[16], m[16];

    for (size_t i = 0; i < 16; i++)
        m[i] = load32(block + 4 * i);
    memcpy(v, cv, 32);
    memcpy(v + 8, bvi_blake3_iv, 16);
    v[12] = (uint32_t)counter;
    v[13] = (uint32_t)(counter >> 32);
    v[14] = len;
    v[15] = flags;
#pragma GCC unroll 7
    for (size_t r = 0; r < 7; r++) {
        const uint8_t *s = schedule[r];

        mix(v, 0, 4, 8, 12, m[s[0]], m[s[1]]);
        mix(v, 1, 5, 9, 13, m[s[2]], m[s[3]]);
        mix(v, 2, 6, 10, 14, m[s[4]], m[s[5]]);
        mix(v, 3, 7, 11, 15, m[s[6]], m[s[7]]);
        mix(v, 0, 5, 10, 15, m[s[8]], m[s[9]]);
        mix(v, 1, 6, 11, 12, m[s[10]], m[s[11]]);
        mix(v, 2, 7, 8, 13, m[s[12]], m[s[13]]);
        mix(v, 3, 4, 9, 14, m[s[14]], m[s[15]]);
    }
    for (size_t i = 0; i < 8; i++)
        cv[i] = v[i] ^ v[i + 8];
}

static void store_cv(uint8_t *out, const uint32_t cv[8])
{
    for (size_t i = 0; i < 8; i++)
        store32(out + 4 * i, cv[i]);
}

/* ---- many inputs ---- */

static void hash_one(const bvi_blake3_batch *b, uint8_t *ret_cv)
{
    size_t blocks = b->stride / BVI_BLAKE3_BLOCK;
    uint32_t cv[8];

    memcpy(cv, bvi_blake3_iv, sizeof(cv));
    for (size_t i = 0; i < blocks; i++) {
        uint32_t flags =
            b->flags | (i == 0 ? b->first_flags : 0u) | (i + 1 == blocks ? b->last_flags : 0u);

        compress(cv, b->data + i * BVI_BLAKE3_BLOCK, b->counter, BVI_BLAKE3_BLOCK, flags);
    }
    store_cv(ret_cv, cv);
}

static void step(bvi_blake3_batch *b, size_t inputs)
{
    b->data += inputs * b->stride;
    b->counter += inputs * b->counter_step;
}

/* ret_cvs may be the batch's own data: inputs are at least twice as long as their results. */
static void hash_many(bvi_blake3_batch b, size_t inputs, size_t max_lanes, uint8_t *ret_cvs)
{
    for (size_t i = 0; i < BVI_BLAKE3_VARIANTS; i++) {
        const bvi_blake3_variant *variant = bvi_blake3_variant_at(i);

        if (!variant || variant->lanes > max_lanes)
            continue;
        for (; inputs >= variant->lanes; inputs -= variant->lanes) {
            variant->hash(&b, ret_cvs);
            ret_cvs += variant->lanes * BVI_BLAKE3_SIZE;
            step(&b, variant->lanes);
        }
    }
    for (; inputs; inputs--) {
        hash_one(&b, ret_cvs);
        ret_cvs += BVI_BLAKE3_SIZE;
        step(&b, 1);
    }
}

/* The chaining value of a complete subtree that is not the root; chunks is a power of two. */
static void hash_subtree(const uint8_t *data, size_t chunks, uint64_t counter, size_t max_lanes,
                         uint8_t ret_cv[BVI_BLAKE3_SIZE])
{
    uint8_t cvs[SUBTREE_CHUNKS * BVI_BLAKE3_SIZE];
    bvi_blake3_batch leaves = {
        .data = data,
        .stride = BVI_BLAKE3_CHUNK,
        .counter = counter,
        .counter_step = 1,
        .first_flags = BLAKE3_CHUNK_START,
        .last_flags = BLAKE3_CHUNK_END,
    };
    bvi_blake3_batch parents = { .data = cvs, .stride = BVI_BLAKE3_BLOCK, .flags = BLAKE3_PARENT };

    hash_many(leaves, chunks, max_lanes, cvs);
    for (; chunks > 1; chunks /= 2)
        hash_many(parents, chunks / 2, max_lanes, cvs);
    memcpy(ret_cv, cvs, BVI_BLAKE3_SIZE);
}

/* ---- the hasher ---- */

static void start_chunk(bvi_blake3 *h)
{
    memcpy(h->chunk_cv, bvi_blake3_iv, sizeof(h->chunk_cv));
    h->block_len = 0;
    h->blocks = 0;
}

void bvi_blake3_init(bvi_blake3 *h)
{
    h->chunks = 0;
    h->height = 0;
    h->max_lanes = 0;
    start_chunk(h);
}

/* Pushes the value of the next complete subtree, merging every pair that it completes. */
static void push_subtree(bvi_blake3 *h, size_t chunks, uint8_t cv[BVI_BLAKE3_SIZE])
{
    h->chunks += chunks;
    for (uint64_t n = h->chunks / chunks; n % 2 == 0; n /= 2) {
        bvi_blake3_batch parent = { .data = h->stack[h->height - 1],
                                    .stride = BVI_BLAKE3_BLOCK,
                                    .flags = BLAKE3_PARENT };
        uint8_t block[BVI_BLAKE3_BLOCK];

        memcpy(block, h->stack[--h->height], BVI_BLAKE3_SIZE);
        memcpy(block + BVI_BLAKE3_SIZE, cv, BVI_BLAKE3_SIZE);
        parent.data = block;
        hash_one(&parent, cv);
    }
    memcpy(h->stack[h->height++], cv, BVI_BLAKE3_SIZE);
}

static size_t chunk_len(const bvi_blake3 *h)
{
    return (size_t)h->blocks * BVI_BLAKE3_BLOCK + h->block_len;
}

static uint32_t start_flag(const bvi_blake3 *h)
{
    return h->blocks == 0 ? BLAKE3_CHUNK_START : 0u;
}

/* Adds to the current chunk, at most to its end. A full block waits: it may be the last. */
static void update_chunk(bvi_blake3 *h, const uint8_t *data, size_t len)
{
    while (len) {
        size_t room, n;

        if (h->block_len == BVI_BLAKE3_BLOCK) {
            compress(h->chunk_cv, h->block, h->chunks, BVI_BLAKE3_BLOCK, start_flag(h));
            h->blocks++;
            h->block_len = 0;
        }
        room = BVI_BLAKE3_BLOCK - h->block_len;
        n = len < room ? len : room;
        memcpy(h->block + h->block_len, data, n);
        h->block_len = (uint8_t)(h->block_len + n);
        data += n;
        len -= n;
    }
}

/* The current chunk's value, with more flags for its last block. */
static void finish_chunk(const bvi_blake3 *h, uint32_t flags, uint8_t ret_cv[BVI_BLAKE3_SIZE])
{
    uint8_t block[BVI_BLAKE3_BLOCK] = { 0 };
    uint32_t cv[8];

    memcpy(cv, h->chunk_cv, sizeof(cv));
    memcpy(block, h->block, h->block_len);
    compress(cv, block, h->chunks, h->block_len, start_flag(h) | BLAKE3_CHUNK_END | flags);
    store_cv(ret_cv, cv);
}

/* The largest aligned subtree that len bytes more than cover; 0: not one chunk and a byte. */
static size_t subtree_size(const bvi_blake3 *h, size_t len)
{
    size_t chunks = SUBTREE_CHUNKS;

    while (chunks && (h->chunks % chunks || len <= chunks * BVI_BLAKE3_CHUNK))
        chunks /= 2;
    return chunks;
}

void bvi_blake3_update(bvi_blake3 *h, const void *data, size_t len)
{
    const uint8_t *at = data;
    size_t max_lanes = h->max_lanes ? h->max_lanes : SIZE_MAX;
    uint8_t cv[BVI_BLAKE3_SIZE];

    while (len) {
        size_t have = chunk_len(h);
        size_t chunks = have ? 0 : subtree_size(h, len);
        size_t n = chunks * BVI_BLAKE3_CHUNK;

        if (chunks) {
            hash_subtree(at, chunks, h->chunks, max_lanes, cv);
            push_subtree(h, chunks, cv);
        } else if (have == BVI_BLAKE3_CHUNK) {
            finish_chunk(h, 0, cv); /* something follows, so it is not the root */
            push_subtree(h, 1, cv);
            start_chunk(h);
        } else {
            n = len < BVI_BLAKE3_CHUNK - have ? len : BVI_BLAKE3_CHUNK - have;
            update_chunk(h, at, n);
        }
        at += n;
        len -= n;
    }
}

/* Joins the rightmost value with all subtrees to its left. */
static void merge(const bvi_blake3 *h, uint8_t digest[BVI_BLAKE3_SIZE])
{
    uint8_t block[BVI_BLAKE3_BLOCK];

    for (size_t i = h->height; i > 0; i--) {
        bvi_blake3_batch parent = { .data = block,
                                    .stride = BVI_BLAKE3_BLOCK,
                                    .flags = BLAKE3_PARENT };

        memcpy(block, h->stack[i - 1], BVI_BLAKE3_SIZE);
        memcpy(block + BVI_BLAKE3_SIZE, digest, BVI_BLAKE3_SIZE);
        parent.flags |= i == 1 ? BLAKE3_ROOT : 0u;
        hash_one(&parent, digest);
    }
}

void bvi_blake3_final(const bvi_blake3 *h, uint8_t digest[BVI_BLAKE3_SIZE])
{
    finish_chunk(h, h->height == 0 ? BLAKE3_ROOT : 0u, digest);
    merge(h, digest);
}

/* ---- all at once: where the end is known, the last chunks too can go side by side ---- */

/* The value of the last subtree, of more than one and at most SUBTREE_CHUNKS chunks, whole or not.
 */
static void hash_tail(const uint8_t *data, size_t len, uint64_t counter, uint32_t flags,
                      uint8_t ret_cv[BVI_BLAKE3_SIZE])
{
    uint8_t cvs[SUBTREE_CHUNKS * BVI_BLAKE3_SIZE];
    size_t whole = len / BVI_BLAKE3_CHUNK;
    size_t n = whole;
    bvi_blake3_batch leaves = {
        .data = data,
        .stride = BVI_BLAKE3_CHUNK,
        .counter = counter,
        .counter_step = 1,
        .first_flags = BLAKE3_CHUNK_START,
        .last_flags = BLAKE3_CHUNK_END,
    };
    bvi_blake3_batch parents = { .data = cvs, .stride = BVI_BLAKE3_BLOCK, .flags = BLAKE3_PARENT };

    hash_many(leaves, whole, SIZE_MAX, cvs);
    if (len % BVI_BLAKE3_CHUNK > 0) {
        bvi_blake3 last;

        bvi_blake3_init(&last);
        last.chunks = counter + whole;
        update_chunk(&last, data + whole * BVI_BLAKE3_CHUNK, len % BVI_BLAKE3_CHUNK);
        finish_chunk(&last, 0, cvs + n++ * BVI_BLAKE3_SIZE);
    }
    for (; n > 2; n = n / 2 + n % 2) {
        hash_many(parents, n / 2, SIZE_MAX, cvs);
        if (n % 2 > 0) /* has no sibling on this level */
            memmove(cvs + n / 2 * BVI_BLAKE3_SIZE, cvs + (n - 1) * BVI_BLAKE3_SIZE,
                    BVI_BLAKE3_SIZE);
    }
    parents.flags |= flags;
    hash_one(&parents, ret_cv);
}

void bvi_blake3_hash(const void *data, size_t len, uint8_t digest[BVI_BLAKE3_SIZE])
{
    const size_t subtree = SUBTREE_CHUNKS * BVI_BLAKE3_CHUNK;
    const uint8_t *at = data;
    size_t tail = len > 0 ? (len - 1) % subtree + 1 : 0;
    bvi_blake3 h;

    bvi_blake3_init(&h);
    if (tail <= BVI_BLAKE3_CHUNK) {
        bvi_blake3_update(&h, data, len);
        bvi_blake3_final(&h, digest);
        return;
    }
    for (; len > tail; len -= subtree, at += subtree) {
        hash_subtree(at, SUBTREE_CHUNKS, h.chunks, SIZE_MAX, digest);
        push_subtree(&h, SUBTREE_CHUNKS, digest);
    }
    hash_tail(at, tail, h.chunks, h.height == 0 ? BLAKE3_ROOT : 0u, digest);
    merge(&h, digest);
}
