/* What the steps of a container's life do to plain files; the rest is in tests/integration/runtime.
 */
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bvt.h"
#include "runtime/oci_box.h"

#define MIB (1024 * 1024)

static off_t size_of(const char *name)
{
    struct stat st;

    return stat(bvt_path("%s", name), &st) == 0 ? st.st_size : -1;
}

START_TEST(large_consoles_are_cut)
{
    int fd = open(bvt_path("console.log"), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(ftruncate(fd, 15 * MIB), 0);
    bvi_oci_box_trim_console(bvt_path("."));
    ck_assert_int_eq(size_of("console.log"), 15 * MIB); /* not large enough yet */

    ck_assert_int_eq(ftruncate(fd, INT64_C(40000) * MIB), 0); /* a hole that pretends */
    ck_assert_int_eq(write(fd, "end", 3), 3);
    bvi_oci_box_trim_console(bvt_path("."));
    ck_assert_int_eq(size_of("console.log"), 0);
    ck_assert_int_eq(size_of("console.log.1"), MIB);
    size_t len = 0;
    const char *kept = bvt_read_file(bvt_path("console.log.1"), &len);
    ck_assert_uint_eq(len, MIB);
    ck_assert_str_eq(kept + MIB - 3, "end");

    ck_assert_int_eq(write(fd, "on", 2), 2); /* the writer did not notice */
    ck_assert_int_eq(size_of("console.log"), 2);
    ck_assert_int_eq(close(fd), 0);
}
END_TEST

START_TEST(other_things_are_left_alone)
{
    const char *victim = bvt_write_file("victim", "precious");

    bvi_oci_box_trim_console(bvt_path(".")); /* nothing there */
    ck_assert_int_eq(truncate(victim, 20 * MIB), 0);
    ck_assert_int_eq(symlink(victim, bvt_path("console.log")), 0);
    bvi_oci_box_trim_console(bvt_path("."));
    ck_assert_int_eq(size_of("victim"), 20 * MIB);
    ck_assert(!bvt_exists(bvt_path("console.log.1")));
}
END_TEST

BVT_MAIN("runtime/oci_box", bvt_test(large_consoles_are_cut), bvt_test(other_things_are_left_alone))
