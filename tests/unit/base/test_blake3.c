/* BLAKE3: published vectors, every SIMD variant against the portable code, and any way of cutting
 * the input. */
#include <stdlib.h>

#include "base/blake3_impl.h"
#include "base/hex.h"
#include "bvt.h"

#define INPUT_MAX (600u * 1024u)

static uint8_t *make_input(size_t len)
{
    uint8_t *input = bvi_malloc(len);

    ck_assert_ptr_nonnull(input);
    for (size_t i = 0; i < len; i++)
        input[i] = (uint8_t)(i % 251);
    return input;
}

static void assert_digest(const uint8_t digest[BVI_BLAKE3_SIZE], const char *expected)
{
    char text[BVI_HEX_SIZE(BVI_BLAKE3_SIZE)];

    bvi_hex_encode(digest, BVI_BLAKE3_SIZE, text);
    ck_assert_str_eq(text, expected);
}

/* From the published test vectors: byte i of the input is i % 251. */
static const struct {
    size_t len;
    const char *digest;
} vectors[] = {
    { 0, "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262" },
    { 1, "2d3adedff11b61f14c886e35afa036736dcd87a74d27b5c1510225d0f592e213" },
    { 2, "7b7015bb92cf0b318037702a6cdd81dee41224f734684c2c122cd6359cb1ee63" },
    { 3, "e1be4d7a8ab5560aa4199eea339849ba8e293d55ca0a81006726d184519e647f" },
    { 4, "f30f5ab28fe047904037f77b6da4fea1e27241c5d132638d8bedce9d40494f32" },
    { 5, "b40b44dfd97e7a84a996a91af8b85188c66c126940ba7aad2e7ae6b385402aa2" },
    { 6, "06c4e8ffb6872fad96f9aaca5eee1553eb62aed0ad7198cef42e87f6a616c844" },
    { 7, "3f8770f387faad08faa9d8414e9f449ac68e6ff0417f673f602a646a891419fe" },
    { 8, "2351207d04fc16ade43ccab08600939c7c1fa70a5c0aaca76063d04c3228eaeb" },
    { 63, "e9bc37a594daad83be9470df7f7b3798297c3d834ce80ba85d6e207627b7db7b" },
    { 64, "4eed7141ea4a5cd4b788606bd23f46e212af9cacebacdc7d1f4c6dc7f2511b98" },
    { 65, "de1e5fa0be70df6d2be8fffd0e99ceaa8eb6e8c93a63f2d8d1c30ecb6b263dee" },
    { 127, "d81293fda863f008c09e92fc382a81f5a0b4a1251cba1634016a0f86a6bd640d" },
    { 128, "f17e570564b26578c33bb7f44643f539624b05df1a76c81f30acd548c44b45ef" },
    { 129, "683aaae9f3c5ba37eaaf072aed0f9e30bac0865137bae68b1fde4ca2aebdcb12" },
    { 1023, "10108970eeda3eb932baac1428c7a2163b0e924c9a9e25b35bba72b28f70bd11" },
    { 1024, "42214739f095a406f3fc83deb889744ac00df831c10daa55189b5d121c855af7" },
    { 1025, "d00278ae47eb27b34faecf67b4fe263f82d5412916c1ffd97c8cb7fb814b8444" },
    { 2048, "e776b6028c7cd22a4d0ba182a8bf62205d2ef576467e838ed6f2529b85fba24a" },
    { 2049, "5f4d72f40d7a5f82b15ca2b2e44b1de3c2ef86c426c95c1af0b6879522563030" },
    { 3072, "b98cb0ff3623be03326b373de6b9095218513e64f1ee2edd2525c7ad1e5cffd2" },
    { 3073, "7124b49501012f81cc7f11ca069ec9226cecb8a2c850cfe644e327d22d3e1cd3" },
    { 4096, "015094013f57a5277b59d8475c0501042c0b642e531b0a1c8f58d2163229e969" },
    { 4097, "9b4052b38f1c5fc8b1f9ff7ac7b27cd242487b3d890d15c96a1c25b8aa0fb995" },
    { 5120, "9cadc15fed8b5d854562b26a9536d9707cadeda9b143978f319ab34230535833" },
    { 5121, "628bd2cb2004694adaab7bbd778a25df25c47b9d4155a55f8fbd79f2fe154cff" },
    { 6144, "3e2e5b74e048f3add6d21faab3f83aa44d3b2278afb83b80b3c35164ebeca205" },
    { 6145, "f1323a8631446cc50536a9f705ee5cb619424d46887f3c376c695b70e0f0507f" },
    { 7168, "61da957ec2499a95d6b8023e2b0e604ec7f6b50e80a9678b89d2628e99ada77a" },
    { 7169, "a003fc7a51754a9b3c7fae0367ab3d782dccf28855a03d435f8cfe74605e7817" },
    { 8192, "aae792484c8efe4f19e2ca7d371d8c467ffb10748d8a5a1ae579948f718a2a63" },
    { 8193, "bab6c09cb8ce8cf459261398d2e7aef35700bf488116ceb94a36d0f5f1b7bc3b" },
    { 16384, "f875d6646de28985646f34ee13be9a576fd515f76b5b0a26bb324735041ddde4" },
    { 31744, "62b6960e1a44bcc1eb1a611a8d6235b6b4b78f32e7abc4fb4c6cdcce94895c47" },
    { 102400, "bc3e3d41a1146b069abffad3c0d44860cf664390afce4d9661f7902e7943e085" },
};

START_TEST(published_vectors)
{
    bvi_auto_free uint8_t *input = make_input(vectors[_i].len);
    uint8_t digest[BVI_BLAKE3_SIZE];

    bvi_blake3_hash(input, vectors[_i].len, digest);
    assert_digest(digest, vectors[_i].digest);
}
END_TEST

START_TEST(archive_vectors)
{
    char chunk[93];
    uint8_t digest[BVI_BLAKE3_SIZE];

    memset(chunk, 'x', sizeof(chunk));
    bvi_blake3_hash(chunk, 91, digest);
    assert_digest(digest, "77af090491da758bf548420cfcf45f1dc697660414e5cd375ac289a76736bb2b");
    memcpy(chunk + 74, "3339   bytes7 bytes", 19);
    bvi_blake3_hash(chunk, 93, digest);
    assert_digest(digest, "8c370ac889991a92e404a642314c8075525af07e5e70f699219683b064ab69f8");
}
END_TEST

static void hash_with(size_t max_lanes, const uint8_t *input, size_t len, size_t piece,
                      uint8_t *ret_digest)
{
    bvi_blake3 h;

    bvi_blake3_init(&h);
    h.max_lanes = (uint8_t)max_lanes;
    for (size_t at = 0; at < len; at += piece)
        bvi_blake3_update(&h, input + at, len - at < piece ? len - at : piece);
    bvi_blake3_final(&h, ret_digest);
}

static const size_t lane_counts[] = { 4, 8, 16 };

START_TEST(lanes_agree_with_portable_code)
{
    bvi_auto_free uint8_t *input = make_input(INPUT_MAX);
    bool found = false;

    for (size_t i = 0; i < BVI_BLAKE3_VARIANTS; i++)
        found = found ||
                (bvi_blake3_variant_at(i) && bvi_blake3_variant_at(i)->lanes == lane_counts[_i]);
    if (!found)
        bvt_skip("this processor has no %zu lanes", lane_counts[_i]);
    /* Around every number of chunks up to 40, then coarser. */
    for (size_t len = 0; len < INPUT_MAX; len += len < 40 * 1024 ? 341 : 5 * 1024 + 1) {
        uint8_t expected[BVI_BLAKE3_SIZE], digest[BVI_BLAKE3_SIZE];

        hash_with(1, input, len, SIZE_MAX / 2, expected);
        hash_with(lane_counts[_i], input, len, SIZE_MAX / 2, digest);
        ck_assert_mem_eq(digest, expected, BVI_BLAKE3_SIZE);
        bvi_blake3_hash(input, len, digest); /* all at once goes another way */
        ck_assert_mem_eq(digest, expected, BVI_BLAKE3_SIZE);
    }
}
END_TEST

/* Each variant on its own, with counters that carry into the high word, unaligned data and parents.
 */
START_TEST(variants_handle_every_batch)
{
    const bvi_blake3_variant *variant = bvi_blake3_variant_at((size_t)_i);
    bvi_auto_free uint8_t *input = make_input(64 * 1024);
    static const uint64_t counters[] = { 0, 1, UINT64_C(0xFFFFFFFE), UINT64_C(0x123456789A) };

    if (!variant)
        bvt_skip("this processor cannot run variant %d", _i);
    for (size_t k = 0; k < BVI_COUNT(counters) * 2; k++) {
        bool parents = k % 2;
        bvi_blake3_batch batch = { .data = input + k,
                                   .stride = parents ? BVI_BLAKE3_BLOCK : BVI_BLAKE3_CHUNK,
                                   .counter = parents ? 0 : counters[k / 2],
                                   .counter_step = parents ? 0 : 1,
                                   .flags = parents ? BLAKE3_PARENT : 0,
                                   .first_flags = parents ? 0 : BLAKE3_CHUNK_START,
                                   .last_flags = parents ? 0 : BLAKE3_CHUNK_END };
        uint8_t side_by_side[16 * BVI_BLAKE3_SIZE], again[16 * BVI_BLAKE3_SIZE];

        variant->hash(&batch, side_by_side);
        /* Lane i of the batch must be lane 0 of the batch that starts at input i. */
        for (size_t lane = 0; lane < variant->lanes; lane++) {
            variant->hash(&batch, again);
            ck_assert_mem_eq(side_by_side + lane * BVI_BLAKE3_SIZE, again, BVI_BLAKE3_SIZE);
            batch.data += batch.stride;
            batch.counter += batch.counter_step;
        }
    }
}
END_TEST

static const size_t pieces[] = { 1,    3,    63,   64,   65,    1000,   1023,
                                 1024, 1025, 4096, 8193, 65536, 262144, 300000 };

START_TEST(pieces_do_not_matter)
{
    size_t len = pieces[_i] < 1000 ? 20000 : INPUT_MAX - 1;
    bvi_auto_free uint8_t *input = make_input(len);
    uint8_t expected[BVI_BLAKE3_SIZE], digest[BVI_BLAKE3_SIZE];

    bvi_blake3_hash(input, len, expected);
    hash_with(0, input, len, pieces[_i], digest);
    ck_assert_mem_eq(digest, expected, BVI_BLAKE3_SIZE);
}
END_TEST

START_TEST(random_pieces_do_not_matter)
{
    bvi_auto_free uint8_t *input = make_input(INPUT_MAX);
    uint32_t seed = (uint32_t)_i + 1;
    uint8_t expected[BVI_BLAKE3_SIZE], digest[BVI_BLAKE3_SIZE];
    size_t len = 0;
    bvi_blake3 h;

    bvi_blake3_init(&h);
    for (int k = 0; k < 30; k++) {
        size_t n;

        seed = seed * 1664525u + 1013904223u;
        n = (seed >> 8) % (k % 3 ? 3000 : 50000);
        n = n < INPUT_MAX - len ? n : INPUT_MAX - len;
        bvi_blake3_update(&h, input + len, n);
        len += n;
        /* Looking at the result so far must not disturb what follows. */
        bvi_blake3_final(&h, digest);
        bvi_blake3_hash(input, len, expected);
        ck_assert_mem_eq(digest, expected, BVI_BLAKE3_SIZE);
    }
}
END_TEST

BVT_MAIN("base/blake3", bvt_loop(published_vectors, vectors), bvt_test(archive_vectors),
         bvt_loop(lanes_agree_with_portable_code, lane_counts),
         bvt_times(variants_handle_every_batch, BVI_BLAKE3_VARIANTS),
         bvt_loop(pieces_do_not_matter, pieces), bvt_times(random_pieces_do_not_matter, 8))
