/* Memory: the hook is used for everything, sizes cannot overflow, cleanup leaves nothing behind. */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <unistd.h>

#include "base/mem.h"
#include "bvt.h"

START_TEST(calloc_zeroes_and_checks_overflow)
{
    unsigned char *p = bvi_calloc(7, 3);

    ck_assert_ptr_nonnull(p);
    for (size_t i = 0; i < 21; i++)
        ck_assert_uint_eq(p[i], 0);
    bvi_free(p);
    ck_assert_ptr_null(bvi_calloc(SIZE_MAX / 2, 3));
    ck_assert_ptr_null(bvi_calloc(SIZE_MAX, SIZE_MAX));
}
END_TEST

START_TEST(zero_sizes_give_a_block)
{
    void *a = bvi_malloc(0);
    void *b = bvi_calloc(0, 10);

    ck_assert_ptr_nonnull(a);
    ck_assert_ptr_nonnull(b);
    a = bvi_realloc(a, 0);
    ck_assert_ptr_nonnull(a);
    bvi_free(a);
    bvi_free(b);
    bvi_free(NULL);
    bv_free(NULL);
}
END_TEST

START_TEST(strings_are_copied)
{
    bvi_auto_free char *a = bvi_strdup("node");
    bvi_auto_free char *b = bvi_strndup("node", 2);
    bvi_auto_free char *c = bvi_strndup("a\0b", 3);
    bvi_auto_free char *d = bvi_asprintf("%s-%d", "job", 7);
    bvi_auto_free char *e = bvi_strndup(NULL, 0);

    ck_assert_str_eq(a, "node");
    ck_assert_str_eq(b, "no");
    ck_assert_mem_eq(c, "a\0b", 4);
    ck_assert_str_eq(d, "job-7");
    ck_assert_str_eq(e, "");
    ck_assert_ptr_null(bvi_strdup(NULL));
    ck_assert_ptr_null(bvi_strndup("x", SIZE_MAX));
}
END_TEST

START_TEST(scopes_clean_up)
{
    size_t before = bvt_live_blocks();
    int copy = -1;

    {
        bvi_auto_free char *p = bvi_strdup("gone at the end of this scope");
        bvi_auto_close int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

        ck_assert_ptr_nonnull(p);
        ck_assert_int_ge(fd, 0);
        ck_assert_uint_eq(bvt_live_blocks(), before + 1);
        copy = fd;
        errno = ENOTTY;
    }
    ck_assert_int_eq(errno, ENOTTY);
    ck_assert_uint_eq(bvt_live_blocks(), before);
    ck_assert_int_eq(fcntl(copy, F_GETFD), -1);
}
END_TEST

START_TEST(take_hands_over)
{
    char *kept = NULL;
    int fd = -1;

    {
        bvi_auto_free char *p = bvi_strdup("kept");
        bvi_auto_close int opened = open("/dev/null", O_RDONLY | O_CLOEXEC);

        kept = bvi_take(p);
        fd = bvi_take_fd(&opened);
        ck_assert_ptr_null(p);
        ck_assert_int_eq(opened, -1);
    }
    ck_assert_str_eq(kept, "kept");
    ck_assert_int_ge(fcntl(fd, F_GETFD), 0);
    ck_assert_int_eq(close(fd), 0);
    bv_free(kept);
}
END_TEST

static void *refuse(void *data, void *ptr, size_t size)
{
    (void)ptr;
    (void)size;
    (*(int *)data)++;
    return NULL;
}

START_TEST(the_hook_sees_everything)
{
    int calls = 0;

    bv_set_allocator(refuse, &calls);
    ck_assert_ptr_null(bvi_malloc(1));
    ck_assert_ptr_null(bvi_calloc(1, 1));
    ck_assert_ptr_null(bvi_strdup("x"));
    ck_assert_ptr_null(bvi_strndup("x", 1));
    ck_assert_ptr_null(bvi_asprintf("x"));
    ck_assert_int_eq(calls, 5);

    bv_set_allocator(NULL, &calls);
    bvi_free(bvi_malloc(1));
    ck_assert_int_eq(calls, 5);
}
END_TEST

START_TEST(survives_every_failed_allocation)
{
    bvt_for_each_failed_allocation(n) {
        bvi_auto_free char *a = bvi_strdup("one");
        bvi_auto_free char *b = bvi_asprintf("%d", 2);

        ck_assert((a && b) || n <= 2);
    }
}
END_TEST

BVT_MAIN("base/mem", bvt_test(calloc_zeroes_and_checks_overflow), bvt_test(zero_sizes_give_a_block),
         bvt_test(strings_are_copied), bvt_test(scopes_clean_up), bvt_test(take_hands_over),
         bvt_test(the_hook_sees_everything), bvt_test(survives_every_failed_allocation))
