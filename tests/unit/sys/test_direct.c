/* Writing around the page cache: the same bytes whatever the position, the length and the memory.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/mem.h"
#include "bvt.h"
#include "sys/direct.h"

#define LEN (300u * 1024u)

static const struct {
    uint64_t pos;
    size_t len;
    size_t off; /* of the memory from where it would lie as in the file */
} writes[] = {
    { 0, LEN, 0 },
    { 0, LEN, 1 },
    { 4096, LEN - 1, 0 },
    { 1, LEN, 0 },
    { 4095, LEN, 512 },
    { 123457, 200000, 0 },
    { 100, 10, 0 },
    { 100, 0, 0 },
    { 8191, 64 * 1024, 0 },
    { 8191, 64 * 1024 + 1, 0 },
    { 1ull << 40, 70000, 0 },
};

START_TEST(writes_what_it_was_given)
{
    uint8_t *memory = bvi_malloc(LEN + 3 * BVI_DIRECT_ALIGN);
    uint8_t *bytes = bvi_direct_place(memory, writes[_i].pos) + writes[_i].off;
    uint8_t *back = bvi_malloc(LEN);
    bvi_direct state = { 0 };
    int fd = open(bvt_path("f"), O_RDWR | O_CREAT, 0600);

    for (size_t i = 0; i < writes[_i].len; i++)
        bytes[i] = (uint8_t)(i * 31 + i / 251);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(bvi_direct_write(&state, fd, bytes, writes[_i].len, writes[_i].pos), 0);
    ck_assert(!state.on);
    ck_assert_int_eq(fcntl(fd, F_GETFL) & O_DIRECT, 0);
    ck_assert_int_eq(pread(fd, back, LEN, (off_t)writes[_i].pos), (ssize_t)writes[_i].len);
    ck_assert_mem_eq(back, bytes, writes[_i].len);
    /* Once more over what is there, as another process would. */
    ck_assert_int_eq(bvi_direct_write(&state, fd, bytes, writes[_i].len, writes[_i].pos), 0);
    ck_assert_int_eq(pread(fd, back, LEN, (off_t)writes[_i].pos), (ssize_t)writes[_i].len);
    ck_assert_mem_eq(back, bytes, writes[_i].len);
    (void)close(fd);
    bvi_free(memory);
    bvi_free(back);
}
END_TEST

/* What is no file on a disk takes the bytes all the same. */
START_TEST(does_without_where_it_is_refused)
{
    uint8_t *memory = bvi_malloc(LEN + BVI_DIRECT_ALIGN);
    uint8_t *bytes = bvi_direct_place(memory, 0);
    bvi_direct state = { 0 };
    int fd = open("/dev/null", O_WRONLY);

    memset(bytes, 7, LEN);
    ck_assert_int_eq(bvi_direct_write(&state, fd, bytes, LEN, 0), 0);
    ck_assert(!state.on);
    (void)close(fd);
    bvi_free(memory);
}
END_TEST

START_TEST(says_what_failed)
{
    uint8_t *memory = bvi_malloc(LEN + BVI_DIRECT_ALIGN);
    bvi_direct state = { 0 };
    int fd = open("/dev/full", O_WRONLY);

    memset(memory, 7, LEN + BVI_DIRECT_ALIGN);
    ck_assert_int_eq(bvi_direct_write(&state, fd, bvi_direct_place(memory, 0), LEN, 0), -ENOSPC);
    (void)close(fd);
    ck_assert_int_eq(bvi_direct_write(&state, -1, bvi_direct_place(memory, 0), LEN, 0), -EBADF);
    ck_assert(!state.on);
    bvi_free(memory);
}
END_TEST

BVT_MAIN("sys/direct", bvt_loop(writes_what_it_was_given, writes),
         bvt_test(does_without_where_it_is_refused), bvt_test(says_what_failed))
