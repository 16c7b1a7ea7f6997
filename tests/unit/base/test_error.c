/* Errors: the story from the outside in, codes, limits, and what is left when memory runs out. */
#include <errno.h>
#include <stdlib.h>

#include "base/error.h"
#include "bvt.h"

START_TEST(wrapping_tells_a_story)
{
    bvi_auto_error bv_error *err = NULL;
    char text[200];
    size_t len;

    ck_assert_int_eq(bvi_fail(&err, BV_E_FORMAT, "unknown compression '%s'", "br"), BV_E_FORMAT);
    ck_assert_int_eq(bvi_wrap(&err, BV_E_FORMAT, "manifest '%s'", "m.json"), BV_E_FORMAT);
    ck_assert_int_eq(bvi_wrap(&err, BV_E_STATE, "cannot resume"), BV_E_STATE);
    ck_assert_int_eq(bv_error_code(err), BV_E_STATE);
    ck_assert_str_eq(bv_error_message(err), "cannot resume");
    ck_assert_int_eq(bv_error_code(bv_error_cause(err)), BV_E_FORMAT);
    len = bv_error_format(err, text, sizeof(text));
    ck_assert_str_eq(text, "cannot resume: manifest 'm.json': unknown compression 'br'");
    ck_assert_uint_eq(len, strlen(text));
}
END_TEST

START_TEST(formatting_is_cut_like_snprintf)
{
    bvi_auto_error bv_error *err = NULL;
    char text[8] = "#######";

    bvi_fail(&err, BV_E_IO, "inner");
    bvi_wrap(&err, BV_E_IO, "outer");
    ck_assert_uint_eq(bv_error_format(err, NULL, 0), 12);
    for (size_t size = 1; size <= sizeof(text); size++) {
        ck_assert_uint_eq(bv_error_format(err, text, size), 12);
        ck_assert_uint_eq(strlen(text), size - 1);
        ck_assert(strncmp(text, "outer: inner", size - 1) == 0);
    }
    ck_assert_uint_eq(bv_error_format(NULL, text, sizeof(text)), 0);
    ck_assert_str_eq(text, "");
}
END_TEST

START_TEST(nobody_has_to_want_the_error)
{
    ck_assert_int_eq(bvi_fail(NULL, BV_E_BUSY, "x"), BV_E_BUSY);
    ck_assert_int_eq(bvi_fail_sys(NULL, ENOENT, "x"), BV_E_NOT_FOUND);
    ck_assert_int_eq(bvi_fail_nomem(NULL), BV_E_NOMEM);
    ck_assert_int_eq(bvi_wrap(NULL, BV_E_IO, "x"), BV_E_IO);
    ck_assert_int_eq(bv_error_code(NULL), BV_OK);
    ck_assert_str_eq(bv_error_message(NULL), "");
    ck_assert_ptr_null(bv_error_cause(NULL));
    ck_assert_int_eq(bv_error_errno(NULL), 0);
    ck_assert_ptr_null(bvi_error_copy(NULL));
    bv_error_free(NULL);
}
END_TEST

START_TEST(system_errors_keep_their_number)
{
    bvi_auto_error bv_error *err = NULL;

    ck_assert_int_eq(bvi_fail_sys(&err, EACCES, "cannot open '%s'", "/x"), BV_E_DENIED);
    bvi_wrap(&err, BV_E_STATE, "cannot start");
    bvt_assert_error_says(err, BV_E_STATE, "cannot start: cannot open '/x': Permission denied");
    ck_assert_int_eq(bv_error_errno(err), EACCES);
}
END_TEST

/* An allocator that ruins errno, as a host's may. */
static void *rude_alloc(void *data, void *ptr, size_t size)
{
    (void)data;
    errno = EILSEQ;
    if (size == 0) {
        free(ptr);
        return NULL;
    }
    return realloc(ptr, size);
}

START_TEST(the_reason_survives_an_allocator_that_sets_errno)
{
    bv_error *err = NULL;

    bv_set_allocator(rude_alloc, NULL);
    bvi_fail_sys(&err, ENOENT, "cannot open");
    bvt_assert_error_says(err, BV_E_NOT_FOUND, "No such file or directory");
    bv_error_free(err);
}
END_TEST

static const struct {
    int errnum, code;
} errnos[] = {
    { ENOENT, BV_E_NOT_FOUND }, { EEXIST, BV_E_EXISTS },      { EPERM, BV_E_DENIED },
    { ENOMEM, BV_E_NOMEM },     { EINVAL, BV_E_INVALID },     { EBUSY, BV_E_BUSY },
    { EAGAIN, BV_E_AGAIN },     { ETIMEDOUT, BV_E_TIMEOUT },  { EIO, BV_E_IO },
    { ENOSPC, BV_E_IO },        { ENOSYS, BV_E_UNSUPPORTED },
};

START_TEST(errnos_become_codes)
{
    ck_assert_int_eq(bvi_code_from_errno(errnos[_i].errnum), errnos[_i].code);
}
END_TEST

START_TEST(every_code_has_a_name)
{
    for (int code = BV_OK; code >= BV_E_LIMIT; code--) {
        ck_assert_str_ne(bv_code_name(code), "unknown");
        ck_assert_int_eq(bvi_code_from_name(bv_code_name(code)), code);
    }
    ck_assert_str_eq(bv_code_name(1), "unknown");
    ck_assert_str_eq(bv_code_name(-1000), "unknown");
    ck_assert_int_eq(bvi_code_from_name("no such code"), BV_E_INTERNAL);
}
END_TEST

START_TEST(long_messages_are_cut_between_characters)
{
    bvi_auto_error bv_error *err = NULL;
    char text[BVI_ERROR_MESSAGE_MAX + 100];

    for (size_t i = 0; i + 2 < sizeof(text); i += 2)
        memcpy(text + i, "\xC3\xA4", 2);
    text[sizeof(text) - 2] = '\0';
    bvi_fail(&err, BV_E_INVALID, "x%s", text);
    ck_assert_uint_eq(strlen(bv_error_message(err)), BVI_ERROR_MESSAGE_MAX - 1);
}
END_TEST

START_TEST(deep_chains_keep_the_innermost)
{
    bvi_auto_error bv_error *err = NULL;
    unsigned depth = 0;

    bvi_fail(&err, BV_E_INVALID, "the reason");
    for (int i = 0; i < 100; i++)
        ck_assert_int_eq(bvi_wrap(&err, BV_E_INVALID, "layer %d", i), BV_E_INVALID);
    for (const bv_error *e = err; e; e = bv_error_cause(e))
        depth++;
    ck_assert_uint_eq(depth, BVI_ERROR_DEPTH_MAX);
    bvt_assert_error_says(err, BV_E_INVALID, "the reason");
}
END_TEST

START_TEST(wrapping_nothing_makes_an_error)
{
    bvi_auto_error bv_error *err = NULL;

    ck_assert_int_eq(bvi_wrap(&err, BV_E_IO, "cannot do it"), BV_E_IO);
    bvt_assert_error_says(err, BV_E_IO, "cannot do it");
}
END_TEST

START_TEST(copies_and_moves)
{
    bv_error *err = NULL;
    bvi_auto_error bv_error *copy = NULL;
    bvi_auto_error bv_error *moved = NULL;
    bvi_auto_free char *text = NULL;

    bvi_fail_sys(&err, ENOENT, "inner");
    bvi_wrap(&err, BV_E_STATE, "outer");
    copy = bvi_error_copy(err);
    text = bvi_error_text(copy);
    ck_assert_str_eq(text, "outer: inner: No such file or directory");
    ck_assert_int_eq(bv_error_errno(copy), ENOENT);
    ck_assert_int_eq(bvi_error_move(&moved, err), BV_E_STATE);
    ck_assert_ptr_eq(moved, err);
    ck_assert_int_eq(bvi_error_move(NULL, bvi_error_copy(moved)), BV_E_STATE);
}
END_TEST

START_TEST(out_of_memory_is_a_cause_like_any_other)
{
    bvi_auto_error bv_error *err = NULL;
    bvi_auto_error bv_error *copy = NULL;
    bvi_auto_free char *text = NULL;

    ck_assert_int_eq(bvi_fail_nomem(&err), BV_E_NOMEM);
    ck_assert_int_eq(bvi_wrap(&err, BV_E_NOMEM, "cannot load"), BV_E_NOMEM);
    copy = bvi_error_copy(err);
    text = bvi_error_text(copy);
    ck_assert_str_eq(text, "cannot load: out of memory");
}
END_TEST

START_TEST(survives_every_failed_allocation)
{
    bvt_for_each_failed_allocation(n) {
        bvi_auto_error bv_error *err = NULL;
        bvi_auto_error bv_error *copy = NULL;
        bvi_auto_free char *text = NULL;

        ck_assert_int_eq(bvi_fail_sys(&err, ENOENT, "inner"), BV_E_NOT_FOUND);
        ck_assert_ptr_nonnull(err);
        ck_assert_int_eq(bvi_wrap(&err, BV_E_STATE, "outer"), BV_E_STATE);
        copy = bvi_error_copy(err);
        ck_assert_ptr_nonnull(copy);
        text = bvi_error_text(copy);
    }
}
END_TEST

BVT_MAIN("base/error", bvt_test(wrapping_tells_a_story), bvt_test(formatting_is_cut_like_snprintf),
         bvt_test(nobody_has_to_want_the_error), bvt_test(system_errors_keep_their_number),
         bvt_test(the_reason_survives_an_allocator_that_sets_errno),
         bvt_loop(errnos_become_codes, errnos), bvt_test(every_code_has_a_name),
         bvt_test(long_messages_are_cut_between_characters),
         bvt_test(deep_chains_keep_the_innermost), bvt_test(wrapping_nothing_makes_an_error),
         bvt_test(copies_and_moves), bvt_test(out_of_memory_is_a_cause_like_any_other),
         bvt_test(survives_every_failed_allocation))
