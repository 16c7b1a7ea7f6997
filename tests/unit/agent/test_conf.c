/* The agent's configuration: what is accepted, what is refused and how, and that unknown fields
 * survive. */
#include "agent/conf.h"
#include "agent/paths.h"
#include "bvt.h"

static const struct {
    const char *text;
    int code;
    const char *says;
} cases[] = {
    { "{}", BV_OK, "" },
    { "{\"node_env\":null,\"ramdisks\":null}", BV_OK, "" },
    { "{\"node_env\":{\"node_id\":\"x\",\"future\":[1]},\"more\":{}}", BV_OK, "" },
    { "{\"ramdisks\":[{\"ram_disk_mount_point\":\"/mnt/ram/\",\"ram_disk_size_mb\":512}]}", BV_OK,
      "" },
    { "[]", BV_E_FORMAT, "not an object" },
    { "{", BV_E_FORMAT, "" },
    { "{\"node_env\":7}", BV_E_FORMAT, "'node_env' is a number" },
    { "{\"node_env\":{\"data_mount_point\":\"blockjoy\"}}", BV_E_FORMAT, "'data_mount_point'" },
    { "{\"node_env\":{\"data_mount_point\":\"/a/../b\"}}", BV_E_FORMAT, "'/a/../b'" },
    { "{\"node_env\":{\"protocol_data_path\":\"/a/..\"}}", BV_E_FORMAT, "'protocol_data_path'" },
    { "{\"node_env\":{\"protocol_data_path\":3}}", BV_E_FORMAT, "protocol_data_path" },
    { "{\"ramdisks\":{}}", BV_E_FORMAT, "'ramdisks' is a object" },
    { "{\"ramdisks\":[{\"ram_disk_size_mb\":1}]}", BV_E_FORMAT, "ram_disk_mount_point" },
    { "{\"ramdisks\":[{\"ram_disk_mount_point\":\"/x\"}]}", BV_E_FORMAT, "ram_disk_size_mb" },
    { "{\"ramdisks\":[{\"ram_disk_mount_point\":\"/x\",\"ram_disk_size_mb\":0}]}", BV_E_FORMAT,
      "'/x'" },
    { "{\"ramdisks\":[{\"ram_disk_mount_point\":\"x\",\"ram_disk_size_mb\":1}]}", BV_E_FORMAT,
      "'x'" },
    { "{\"ramdisks\":[{\"ram_disk_mount_point\":\"/\",\"ram_disk_size_mb\":1}]}", BV_E_FORMAT,
      "'/'" },
};

START_TEST(parses_or_explains)
{
    bvi_agent_conf conf = BVI_AGENT_CONF_INIT;
    bv_error *err = NULL;

    ck_assert_int_eq(bvi_agent_conf_parse(&conf, cases[_i].text, strlen(cases[_i].text), &err),
                     cases[_i].code);
    bvt_assert_error_says(err, cases[_i].code, cases[_i].says);
    if (!err) {
        ck_assert_str_eq(conf.data_mount_point, "/blockjoy");
        ck_assert_str_eq(conf.protocol_data_path, "/blockjoy/protocol_data");
    }
    if (conf.ramdisks.len) {
        ck_assert_str_eq(conf.ramdisks.items[0].mount_point, "/mnt/ram");
        ck_assert_uint_eq(conf.ramdisks.items[0].size_mb, 512);
    }
    bvi_agent_conf_done(&conf);
    bv_error_free(err);
}
END_TEST

START_TEST(refuses_too_many_ramdisks)
{
    bvi_agent_conf conf = BVI_AGENT_CONF_INIT;
    bvi_buf text = BVI_BUF_INIT(1u << 16);
    bv_error *err = NULL;

    ck_assert_int_eq(bvi_buf_append_str(&text, "{\"ramdisks\":["), 0);
    for (unsigned i = 0; i <= BVI_AGENT_RAMDISKS_MAX; i++)
        ck_assert_int_eq(
            bvi_buf_printf(&text, "%s{\"ram_disk_mount_point\":\"/r%u\",\"ram_disk_size_mb\":1}",
                           i ? "," : "", i),
            0);
    ck_assert_int_eq(bvi_buf_append_str(&text, "]}"), 0);
    ck_assert_int_eq(bvi_agent_conf_parse(&conf, text.data, text.len, &err), BV_E_LIMIT);
    bvt_assert_error_says(err, BV_E_LIMIT, "16");
    bv_error_free(err);
    bvi_buf_done(&text);
}
END_TEST

START_TEST(keeps_what_it_does_not_know)
{
    const char *path =
        bvt_write_file("babel.conf", "{\"node_env\":{\"x\":18446744073709551615},\"new\":[true]}");
    bvi_agent_conf conf = BVI_AGENT_CONF_INIT;
    bv_error *err = NULL;

    bvt_assert_ok(bvi_agent_conf_load(&conf, path, &err), err);
    bvt_assert_ok(bvi_agent_conf_save(&conf, bvt_path("copy"), &err), err);
    ck_assert_ptr_nonnull(strstr(bvt_read_file(bvt_path("copy"), NULL), "18446744073709551615"));
    ck_assert_ptr_nonnull(strstr(bvt_read_file(bvt_path("copy"), NULL), "new"));
    bvi_agent_conf_done(&conf);
    ck_assert_int_eq(bvi_agent_conf_load(&conf, bvt_path("none"), &err), BV_E_NOT_FOUND);
    bv_error_free(err);
}
END_TEST

START_TEST(sees_unmounted_ramdisks)
{
    const char *text =
        "{\"ramdisks\":[{\"ram_disk_mount_point\":\"/ram\",\"ram_disk_size_mb\":1}]}";
    bvi_agent_conf conf = BVI_AGENT_CONF_INIT;
    bv_error *err = NULL;
    bool all = true;

    bvt_assert_ok(bvi_agent_conf_parse(&conf, text, strlen(text), &err), err);
    bvt_assert_ok(bvi_agent_ramdisks_mounted(&conf, bvt_dir(), &all, &err), err);
    ck_assert(!all);
    bvi_agent_conf_done(&conf);
    bvt_assert_ok(bvi_agent_ramdisks_mounted(&conf, bvt_dir(), &all, &err), err);
    ck_assert(all);
}
END_TEST

START_TEST(survives_every_failed_allocation)
{
    const char *text = "{\"node_env\":{},\"ramdisks\":[{\"ram_disk_mount_point\":\"/"
                       "ram\",\"ram_disk_size_mb\":1}]}";

    bvt_for_each_failed_allocation(n) {
        bvi_agent_conf conf = BVI_AGENT_CONF_INIT;
        bvi_agent_paths paths;
        int r = bvi_agent_conf_parse(&conf, text, strlen(text), NULL);

        ck_assert(r == 0 || r == BV_E_NOMEM);
        bvi_agent_conf_done(&conf);
        r = bvi_agent_paths_init(&paths, "/tmp/x", NULL, NULL);
        ck_assert(r == 0 || r == BV_E_NOMEM);
        if (r == 0)
            bvi_agent_paths_done(&paths);
    }
}
END_TEST

START_TEST(places_are_behind_the_prefix)
{
    bvi_agent_paths paths;

    ck_assert_int_eq(bvi_agent_paths_init(&paths, "", NULL, NULL), 0);
    ck_assert_str_eq(paths.root, "/");
    ck_assert_str_eq(paths.agent_socket, "/run/blockvisor/babel.socket");
    ck_assert_str_eq(paths.runner, "/opt/blockvisor/agent/current/bin/babel_job_runner");
    bvi_agent_paths_done(&paths);
    ck_assert_int_eq(bvi_agent_paths_init(&paths, "/t", "/b", NULL), 0);
    ck_assert_str_eq(paths.jobs_dir, "/t/var/lib/babel/jobs");
    ck_assert_str_eq(paths.loader, "/b/lib/ld.so");
    bvi_agent_paths_done(&paths);
}
END_TEST

BVT_MAIN("agent/conf", bvt_loop(parses_or_explains, cases), bvt_test(refuses_too_many_ramdisks),
         bvt_test(keeps_what_it_does_not_know), bvt_test(sees_unmounted_ramdisks),
         bvt_test(survives_every_failed_allocation), bvt_test(places_are_behind_the_prefix))
