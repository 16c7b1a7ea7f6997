/* render_template: what is written, what is left alone when it fails, and what it says. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/node_file.h"
#include "fixture.h"

static void open_node(fixture *f)
{
    make_node();
    ck_assert_int_eq(mkdir(bvt_path("n/t"), 0755), 0);
    fixture_open(f, 1, NULL);
}

static void render(fixture *f, const char *source, const char *destination, const char *params,
                   answer *a)
{
    bvi_json *json = parse(params);

    ask(f, bvi_agent_render_template, a, source, destination, json);
    bvi_json_free(json);
}

static unsigned count_files(const char *dir)
{
    unsigned count = 0;
    const char *list = bvt_path("list");
    char *text;

    ck_assert_int_eq(system(bvt_format("ls -A '%s' > '%s'", dir, list)), 0);
    text = bvt_read_file(list, NULL);
    for (const char *at = text; (at = strchr(at, '\n')) != NULL; at++)
        count++;
    return count;
}

START_TEST(renders_into_new_directories)
{
    struct stat st;
    fixture f;
    answer a;

    open_node(&f);
    (void)umask(022);
    bvt_write_file("n/t/app.template", "host = {{ host }}\nports = {{ ports | json_encode }}\n"
                                       "{% for p in ports %}p{{ p }} {% endfor %}{{ big }}\n");
    render(&f, "/t/app.template", "/etc/app/conf.d/app.toml",
           "{\"host\":\"a\",\"ports\":[1,2],\"big\":18446744073709551615}", &a);
    assert_answer_ok(&a);
    answer_done(&a);
    ck_assert_str_eq(bvt_read_file(bvt_path("n/etc/app/conf.d/app.toml"), NULL),
                     "host = a\nports = [1,2]\np1 p2 18446744073709551615\n");
    ck_assert_int_eq(stat(bvt_path("n/etc/app/conf.d/app.toml"), &st), 0);
    ck_assert_int_eq(st.st_mode & 07777, 0644);
    ck_assert_int_eq(stat(bvt_path("n/etc/app"), &st), 0);
    ck_assert_int_eq(st.st_mode & 07777, 0755);
    fixture_close(&f);
}
END_TEST

START_TEST(keeps_mode_and_replaces_whole)
{
    struct stat st;
    fixture f;
    answer a;

    open_node(&f);
    bvt_write_file("n/t/a", "{{ x }}");
    bvt_write_file("n/tmp/out", "something longer than the new text");
    ck_assert_int_eq(chmod(bvt_path("n/tmp/out"), 0600), 0);
    render(&f, "/t/a", "/tmp/out", "{\"x\":\"new\"}", &a);
    assert_answer_ok(&a);
    answer_done(&a);
    ck_assert_str_eq(bvt_read_file(bvt_path("n/tmp/out"), NULL), "new");
    ck_assert_int_eq(stat(bvt_path("n/tmp/out"), &st), 0);
    ck_assert_int_eq(st.st_mode & 07777, 0600);
    ck_assert_uint_eq(count_files(bvt_path("n/tmp")), 1);
    fixture_close(&f);
}
END_TEST

#define PREFIX "failed to render template file with: "

static const struct {
    const char *source;
    const char *destination;
    const char *params;
    int code;
    const char *says;
} refused[] = {
    { "/t/undefined", "/tmp/out", "{}", BV_E_INVALID,
      PREFIX "Failed to render 'out': Variable `missing` not found in context while rendering "
             "'out': line 2, column 7" },
    { "/t/syntax", "/tmp/out", "{}", BV_E_FORMAT, PREFIX "Failed to parse 'out'" },
    { "/t/syntax", "/tmp/out", "{}", BV_E_FORMAT, " --> 1:11" },
    { "/t/plain", "/tmp/out", "[1]", BV_E_INVALID,
      PREFIX "Creating a Context from a Value/Serialize requires it being a JSON object" },
    { "/t/none", "/tmp/out", "{}", BV_E_NOT_FOUND, "'/t/none'" },
    { "t/plain", "/tmp/out", "{}", BV_E_INVALID, "'t/plain' is not an absolute path" },
    { "/t/plain", "tmp/out", "{}", BV_E_INVALID, "'tmp/out' is not an absolute path" },
    { "/t/plain", "/tmp/", "{}", BV_E_INVALID, "does not name a file" },
    { "/t/plain", "/tmp/out/below", "{}", BV_E_NOT_FOUND, "Not a directory" },
    { "/t/escape", "/tmp/out", "{}", BV_E_INVALID, "leads out of its directory" },
    { "/t/link", "/tmp/out", "{}", BV_E_INVALID, "symbolic link" },
    { "/t/binary", "/tmp/out", "{}", BV_E_FORMAT, "is not UTF-8" },
    { "/t", "/tmp/out", "{}", BV_E_INVALID, "'/t' is not an ordinary file" },
    { "/t/env", "/tmp/out", "{}", BV_E_INVALID, "speak of a secret" },
    { "/t/forever", "/tmp/out", "{}", BV_E_LIMIT, "operations" },
};

START_TEST(leaves_the_destination_alone)
{
    fixture f;
    answer a;

    open_node(&f);
    bvt_write_file("n/t/undefined", "half\nis {{ missing }}");
    bvt_write_file("n/t/syntax", "{% if t %}");
    bvt_write_file("n/t/plain", "plain");
    bvt_write_file("n/t/binary", "\xff\xfe");
    bvt_write_file("n/t/escape", "{% include \"../tmp/out\" %}");
    bvt_write_file("n/t/link", "{% include \"linked\" %}");
    bvt_write_file("n/t/env", "{{ get_env(name=\"BABEL_API_TOKEN\") }}");
    bvt_write_file("n/t/forever", "{% for a in range(end=10000) %}{% for b in range(end=10000) %}"
                                  "{% endfor %}{% endfor %}");
    ck_assert_int_eq(symlink("/t/plain", bvt_path("n/t/linked")), 0);
    bvt_write_file("n/tmp/out", "old");
    render(&f, refused[_i].source, refused[_i].destination, refused[_i].params, &a);
    assert_answer_says(&a, refused[_i].code, refused[_i].says);
    answer_done(&a);
    ck_assert_str_eq(bvt_read_file(bvt_path("n/tmp/out"), NULL), "old");
    ck_assert_uint_eq(count_files(bvt_path("n/tmp")), 1);
    fixture_close(&f);
}
END_TEST

START_TEST(includes_from_the_directory_of_the_template)
{
    fixture f;
    answer a;

    open_node(&f);
    bvt_write_file("n/t/main", "{% include \"part/x\" %}|{% include \"none\" ignore missing %}");
    ck_assert_int_eq(mkdir(bvt_path("n/t/part"), 0755), 0);
    bvt_write_file("n/t/part/x", "<{{ a }}>");
    render(&f, "/t/main", "/tmp/out", "{\"a\":1}", &a);
    assert_answer_ok(&a);
    answer_done(&a);
    ck_assert_str_eq(bvt_read_file(bvt_path("n/tmp/out"), NULL), "<1>|");
    fixture_close(&f);
}
END_TEST

START_TEST(follows_links_as_the_node_sees_them)
{
    struct stat st;
    fixture f;
    answer a;

    open_node(&f);
    bvt_write_file("n/t/a", "a");
    ck_assert_int_eq(symlink("/tmp", bvt_path("n/t/away")), 0);
    ck_assert_int_eq(symlink("/tmp/deep/real", bvt_path("n/tmp/link")), 0);
    ck_assert_int_eq(symlink("loop", bvt_path("n/tmp/loop")), 0);
    render(&f, "/t/a", "/t/away/deep/er/out", "{}", &a);
    assert_answer_ok(&a);
    answer_done(&a);
    ck_assert_str_eq(bvt_read_file(bvt_path("n/tmp/deep/er/out"), NULL), "a");
    for (int i = 0; i < 2; i++) { /* its target is not there, then it is */
        render(&f, "/t/a", "/t/away/link", "{}", &a);
        assert_answer_ok(&a);
        answer_done(&a);
        ck_assert_str_eq(bvt_read_file(bvt_path("n/tmp/deep/real"), NULL), "a");
    }
    ck_assert_int_eq(lstat(bvt_path("n/tmp/link"), &st), 0);
    ck_assert(S_ISLNK(st.st_mode));
    render(&f, "/t/a", "/tmp/loop", "{}", &a);
    assert_answer_says(&a, BV_E_INVALID, "'/tmp/loop' leads through more than 16 symbolic links");
    answer_done(&a);
    fixture_close(&f);
}
END_TEST

START_TEST(reads_its_environment)
{
    fixture f;
    answer a;

    ck_assert_int_eq(setenv("BVT_PLACE", "here", 1), 0);
    open_node(&f);
    bvt_write_file("n/t/a", "{{ get_env(name=\"BVT_PLACE\") }}");
    render(&f, "/t/a", "/tmp/out", "{}", &a);
    assert_answer_ok(&a);
    answer_done(&a);
    ck_assert_str_eq(bvt_read_file(bvt_path("n/tmp/out"), NULL), "here");
    fixture_close(&f);
}
END_TEST

START_TEST(whole_files_survive_failed_allocations)
{
    const char *root = bvt_path("n");

    make_node();
    bvt_for_each_failed_allocation(n) {
        char *text = NULL;
        size_t len = 0;
        int r = bvi_node_make_parents(root, "/tmp/a/b/file", NULL);

        ck_assert(r == 0 || r == BV_E_NOMEM);
        if (r == 0)
            r = bvi_node_replace_file(root, "/tmp/a/b/file", "text", 4, 0666, NULL);
        ck_assert(r == 0 || r == BV_E_NOMEM);
        if (r == 0)
            r = bvi_node_read_file(root, "/tmp/a/b/file", 4, &text, &len, NULL);
        ck_assert(r == 0 || r == BV_E_NOMEM);
        bv_free(text);
    }
    ck_assert_uint_eq(count_files(bvt_path("n/tmp/a/b")), 1);
}
END_TEST

BVT_MAIN("agent/template", bvt_test(renders_into_new_directories),
         bvt_test(keeps_mode_and_replaces_whole), bvt_loop(leaves_the_destination_alone, refused),
         bvt_test(includes_from_the_directory_of_the_template),
         bvt_test(follows_links_as_the_node_sees_them), bvt_test(reads_its_environment),
         bvt_test(whole_files_survive_failed_allocations))
