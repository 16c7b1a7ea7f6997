/*
 * blake3_lanes.h - the body of one SIMD variant; blake3_simd.c includes it once for each, hence no
 * include guard.
 *
 * Lane i of every vector belongs to input i. The including file defines LANES, VEC, TARGET, INLINE,
 * NAME(x), the operations ADD, XOR, SPLAT, LOAD, STORE, ROTATE16, ROTATE12, ROTATE8, ROTATE7, and
 * NAME(load_block)(), which turns the lanes' next blocks into 16 vectors of message words.
 */

#define MIX(a, b, c, d, x, y)                                                                      \
    do {                                                                                           \
        a = ADD(ADD(a, b), m[x]);                                                                  \
        d = ROTATE16(XOR(d, a));                                                                   \
        c = ADD(c, d);                                                                             \
        b = ROTATE12(XOR(b, c));                                                                   \
        a = ADD(ADD(a, b), m[y]);                                                                  \
        d = ROTATE8(XOR(d, a));                                                                    \
        c = ADD(c, d);                                                                             \
        b = ROTATE7(XOR(b, c));                                                                    \
    } while (0)

#define ROUND(a, b, c, d, e, f, g, h, i, j, k, l, q, r, s, t)                                      \
    do {                                                                                           \
        MIX(v0, v4, v8, v12, a, b);                                                                \
        MIX(v1, v5, v9, v13, c, d);                                                                \
        MIX(v2, v6, v10, v14, e, f);                                                               \
        MIX(v3, v7, v11, v15, g, h);                                                               \
        MIX(v0, v5, v10, v15, i, j);                                                               \
        MIX(v1, v6, v11, v12, k, l);                                                               \
        MIX(v2, v7, v8, v13, q, r);                                                                \
        MIX(v3, v4, v9, v14, s, t);                                                                \
    } while (0)

/* Sixteen named vectors rather than an array, which not every compiler would keep in registers. */
TARGET INLINE void NAME(compress)(VEC h[8], const VEC m[16], VEC counter_low, VEC counter_high,
                                  uint32_t flags)
{
    VEC v0 = h[0], v1 = h[1], v2 = h[2], v3 = h[3], v4 = h[4], v5 = h[5], v6 = h[6], v7 = h[7];
    VEC v8 = SPLAT(bvi_blake3_iv[0]), v9 = SPLAT(bvi_blake3_iv[1]);
    VEC v10 = SPLAT(bvi_blake3_iv[2]), v11 = SPLAT(bvi_blake3_iv[3]);
    VEC v12 = counter_low, v13 = counter_high, v14 = SPLAT(BVI_BLAKE3_BLOCK), v15 = SPLAT(flags);

    ROUND(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    ROUND(2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8);
    ROUND(3, 4, 10, 12, 13, 2, 7, 14, 6, 5, 9, 0, 11, 15, 8, 1);
    ROUND(10, 7, 12, 9, 14, 3, 13, 15, 4, 0, 11, 2, 5, 8, 1, 6);
    ROUND(12, 13, 9, 11, 15, 10, 14, 8, 7, 2, 5, 3, 0, 1, 6, 4);
    ROUND(9, 14, 11, 5, 8, 12, 15, 1, 13, 3, 0, 10, 2, 6, 4, 7);
    ROUND(11, 15, 5, 0, 1, 9, 8, 6, 14, 10, 2, 12, 3, 4, 7, 13);
    h[0] = XOR(v0, v8);
    h[1] = XOR(v1, v9);
    h[2] = XOR(v2, v10);
    h[3] = XOR(v3, v11);
    h[4] = XOR(v4, v12);
    h[5] = XOR(v5, v13);
    h[6] = XOR(v6, v14);
    h[7] = XOR(v7, v15);
}

TARGET static void NAME(hash)(const bvi_blake3_batch *b, uint8_t *ret_cvs)
{
    size_t blocks = b->stride / BVI_BLAKE3_BLOCK;
    uint32_t low[LANES], high[LANES], words[8][LANES];
    VEC h[8], m[16];

    for (size_t lane = 0; lane < LANES; lane++) {
        uint64_t counter = b->counter + lane * b->counter_step;

        low[lane] = (uint32_t)counter;
        high[lane] = (uint32_t)(counter >> 32);
    }
    for (size_t i = 0; i < 8; i++)
        h[i] = SPLAT(bvi_blake3_iv[i]);
    for (size_t i = 0; i < blocks; i++) {
        uint32_t flags =
            b->flags | (i == 0 ? b->first_flags : 0u) | (i + 1 == blocks ? b->last_flags : 0u);

        NAME(load_block)(b->data + i * BVI_BLAKE3_BLOCK, b->stride, m);
        NAME(compress)(h, m, LOAD(low), LOAD(high), flags);
    }
    for (size_t i = 0; i < 8; i++)
        STORE(words[i], h[i]);
    for (size_t lane = 0; lane < LANES; lane++) {
        for (size_t i = 0; i < 8; i++)
            memcpy(ret_cvs + lane * BVI_BLAKE3_SIZE + 4 * i, &words[i][lane],
                   4); /* x86 is little endian */
    }
}

#undef LANES
#undef VEC
#undef TARGET
#undef NAME
#undef ADD
#undef XOR
#undef SPLAT
#undef LOAD
#undef STORE
#undef ROTATE16
#undef ROTATE12
#undef ROTATE8
#undef ROTATE7
#undef MIX
#undef ROUND
