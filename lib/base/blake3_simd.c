/*
 * blake3_simd.c - BLAKE3 of 4, 8 or 16 inputs side by side, with SSE4.1, AVX2 and AVX-512.
 *
 * The code of the variants is one, in blake3_lanes.h; here are the operations it is made of and the
 * transposition that brings word k of every lane's block into vector k. All three are compiled into
 * every x86-64 build, each for its own instruction set, and chosen at run time.
 */
#include <string.h>

#include "base/blake3_impl.h"

#if defined(__x86_64__) && defined(__GNUC__)

#include <immintrin.h>

/* The variants are fast only when everything between load and store is one function. */
#define INLINE __attribute__((always_inline)) static inline
#define UNROLL _Pragma("GCC unroll 16")

/* ---- SSE4.1: four lanes ---- */

#define TARGET_SSE41 __attribute__((target("sse4.1")))

TARGET_SSE41 INLINE void load_block_sse41(const uint8_t *data, size_t stride, __m128i m[16])
{
    UNROLL
    for (size_t k = 0; k < 16; k += 4) {
        __m128i a = _mm_loadu_si128((const __m128i *)(const void *)(data + 4 * k));
        __m128i b = _mm_loadu_si128((const __m128i *)(const void *)(data + stride + 4 * k));
        __m128i c = _mm_loadu_si128((const __m128i *)(const void *)(data + 2 * stride + 4 * k));
        __m128i d = _mm_loadu_si128((const __m128i *)(const void *)(data + 3 * stride + 4 * k));
        __m128i ab_low = _mm_unpacklo_epi32(a, b), ab_high = _mm_unpackhi_epi32(a, b);
        __m128i cd_low = _mm_unpacklo_epi32(c, d), cd_high = _mm_unpackhi_epi32(c, d);

        m[k] = _mm_unpacklo_epi64(ab_low, cd_low);
        m[k + 1] = _mm_unpackhi_epi64(ab_low, cd_low);
        m[k + 2] = _mm_unpacklo_epi64(ab_high, cd_high);
        m[k + 3] = _mm_unpackhi_epi64(ab_high, cd_high);
    }
}

#define LANES       4
#define VEC         __m128i
#define TARGET      TARGET_SSE41
#define NAME(x)     x##_sse41
#define ADD(a, b)   _mm_add_epi32(a, b)
#define XOR(a, b)   _mm_xor_si128(a, b)
#define SPLAT(x)    _mm_set1_epi32((int)(x))
#define LOAD(p)     _mm_loadu_si128((const __m128i *)(const void *)(p))
#define STORE(p, v) _mm_storeu_si128((__m128i *)(void *)(p), v)
#define ROTATE16(x)                                                                                \
    _mm_shuffle_epi8(x, _mm_set_epi8(13, 12, 15, 14, 9, 8, 11, 10, 5, 4, 7, 6, 1, 0, 3, 2))
#define ROTATE12(x) _mm_or_si128(_mm_srli_epi32(x, 12), _mm_slli_epi32(x, 20))
#define ROTATE8(x)                                                                                 \
    _mm_shuffle_epi8(x, _mm_set_epi8(12, 15, 14, 13, 8, 11, 10, 9, 4, 7, 6, 5, 0, 3, 2, 1))
#define ROTATE7(x) _mm_or_si128(_mm_srli_epi32(x, 7), _mm_slli_epi32(x, 25))
#include "base/blake3_lanes.h"

/* ---- AVX2: eight lanes ---- */

#define TARGET_AVX2 __attribute__((target("avx2")))

/* Eight words of eight lanes: pairs of words, then of double words, then of halves change places.
 */
TARGET_AVX2 INLINE void load_half_avx2(const uint8_t *data, size_t stride, __m256i m[8])
{
    __m256i a[8], b[8];

    UNROLL
    for (size_t i = 0; i < 8; i++)
        a[i] = _mm256_loadu_si256((const __m256i *)(const void *)(data + i * stride));
    UNROLL
    for (size_t i = 0; i < 8; i += 2) {
        b[i] = _mm256_unpacklo_epi32(a[i], a[i + 1]);
        b[i + 1] = _mm256_unpackhi_epi32(a[i], a[i + 1]);
    }
    UNROLL
    for (size_t i = 0; i < 8; i += 4) {
        a[i] = _mm256_unpacklo_epi64(b[i], b[i + 2]);
        a[i + 1] = _mm256_unpackhi_epi64(b[i], b[i + 2]);
        a[i + 2] = _mm256_unpacklo_epi64(b[i + 1], b[i + 3]);
        a[i + 3] = _mm256_unpackhi_epi64(b[i + 1], b[i + 3]);
    }
    UNROLL
    for (size_t i = 0; i < 4; i++) {
        m[i] = _mm256_permute2x128_si256(a[i], a[i + 4], 0x20);
        m[i + 4] = _mm256_permute2x128_si256(a[i], a[i + 4], 0x31);
    }
}

TARGET_AVX2 INLINE void load_block_avx2(const uint8_t *data, size_t stride, __m256i m[16])
{
    load_half_avx2(data, stride, m);
    load_half_avx2(data + 32, stride, m + 8);
}

/* The same order of bytes in both halves. */
#define BYTES_AVX2(...) _mm256_broadcastsi128_si256(_mm_set_epi8(__VA_ARGS__))

#define LANES       8
#define VEC         __m256i
#define TARGET      TARGET_AVX2
#define NAME(x)     x##_avx2
#define ADD(a, b)   _mm256_add_epi32(a, b)
#define XOR(a, b)   _mm256_xor_si256(a, b)
#define SPLAT(x)    _mm256_set1_epi32((int)(x))
#define LOAD(p)     _mm256_loadu_si256((const __m256i *)(const void *)(p))
#define STORE(p, v) _mm256_storeu_si256((__m256i *)(void *)(p), v)
#define ROTATE16(x)                                                                                \
    _mm256_shuffle_epi8(x, BYTES_AVX2(13, 12, 15, 14, 9, 8, 11, 10, 5, 4, 7, 6, 1, 0, 3, 2))
#define ROTATE12(x) _mm256_or_si256(_mm256_srli_epi32(x, 12), _mm256_slli_epi32(x, 20))
#define ROTATE8(x)                                                                                 \
    _mm256_shuffle_epi8(x, BYTES_AVX2(12, 15, 14, 13, 8, 11, 10, 9, 4, 7, 6, 5, 0, 3, 2, 1))
#define ROTATE7(x) _mm256_or_si256(_mm256_srli_epi32(x, 7), _mm256_slli_epi32(x, 25))
#include "base/blake3_lanes.h"

/* ---- AVX-512: sixteen lanes, and rotation is an instruction ---- */

#define TARGET_AVX512 __attribute__((target("avx512f")))

TARGET_AVX512 INLINE void load_block_avx512(const uint8_t *data, size_t stride, __m512i m[16])
{
    __m512i a[16], b[16];

    UNROLL
    for (size_t i = 0; i < 16; i++)
        a[i] = _mm512_loadu_si512(data + i * stride);
    UNROLL
    for (size_t i = 0; i < 16; i += 2) {
        b[i] = _mm512_unpacklo_epi32(a[i], a[i + 1]);
        b[i + 1] = _mm512_unpackhi_epi32(a[i], a[i + 1]);
    }
    UNROLL
    for (size_t i = 0; i < 16; i += 4) {
        a[i] = _mm512_unpacklo_epi64(b[i], b[i + 2]);
        a[i + 1] = _mm512_unpackhi_epi64(b[i], b[i + 2]);
        a[i + 2] = _mm512_unpacklo_epi64(b[i + 1], b[i + 3]);
        a[i + 3] = _mm512_unpackhi_epi64(b[i + 1], b[i + 3]);
    }
    /* Quarter q of a[4 * g + k] now holds word 4 * q + k of lanes 4 * g to 4 * g + 3. */
    UNROLL
    for (size_t k = 0; k < 4; k++) {
        __m512i low01 = _mm512_shuffle_i32x4(a[k], a[k + 4], 0x44);
        __m512i high01 = _mm512_shuffle_i32x4(a[k], a[k + 4], 0xEE);
        __m512i low23 = _mm512_shuffle_i32x4(a[k + 8], a[k + 12], 0x44);
        __m512i high23 = _mm512_shuffle_i32x4(a[k + 8], a[k + 12], 0xEE);

        m[k] = _mm512_shuffle_i32x4(low01, low23, 0x88);
        m[k + 4] = _mm512_shuffle_i32x4(low01, low23, 0xDD);
        m[k + 8] = _mm512_shuffle_i32x4(high01, high23, 0x88);
        m[k + 12] = _mm512_shuffle_i32x4(high01, high23, 0xDD);
    }
}

#define LANES       16
#define VEC         __m512i
#define TARGET      TARGET_AVX512
#define NAME(x)     x##_avx512
#define ADD(a, b)   _mm512_add_epi32(a, b)
#define XOR(a, b)   _mm512_xor_si512(a, b)
#define SPLAT(x)    _mm512_set1_epi32((int)(x))
#define LOAD(p)     _mm512_loadu_si512(p)
#define STORE(p, v) _mm512_storeu_si512(p, v)
#define ROTATE16(x) _mm512_ror_epi32(x, 16)
#define ROTATE12(x) _mm512_ror_epi32(x, 12)
#define ROTATE8(x)  _mm512_ror_epi32(x, 8)
#define ROTATE7(x)  _mm512_ror_epi32(x, 7)
#include "base/blake3_lanes.h"

static const bvi_blake3_variant variants[BVI_BLAKE3_VARIANTS] = {
    { "avx512", 16, hash_avx512 },
    { "avx2", 8, hash_avx2 },
    { "sse41", 4, hash_sse41 },
};

const bvi_blake3_variant *bvi_blake3_variant_at(size_t i)
{
    bool can[BVI_BLAKE3_VARIANTS] = {
        __builtin_cpu_supports("avx512f") != 0,
        __builtin_cpu_supports("avx2") != 0,
        __builtin_cpu_supports("sse4.1") != 0,
    };

    return can[i] ? &variants[i] : NULL;
}

#else

const bvi_blake3_variant *bvi_blake3_variant_at(size_t i)
{
    (void)i;
    return NULL;
}

#endif
