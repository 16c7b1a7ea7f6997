/*
 * image_firewall.c - firewall_config of babel.yaml, checked and turned into what a node's state
 * keeps.
 */
#include "image/image_fields.h"

static const char *const actions[] = { "allow", "deny", "reject", NULL };
static const char *const directions[] = { "in", "out", NULL };
static const char *const protocols[] = { "tcp", "udp", "both", NULL };

static int read_ips(const bvi_json *rule, const char *key, bvi_json *ips, bv_error **err)
{
    const bvi_json *list = NULL;
    int r = bvi_image_list(rule, "ips", false, BVI_IMAGE_ENTRIES_MAX, &list, err);

    if (r < 0)
        return r;
    bvi_json_each(it, list) {
        const char *ip = NULL;

        r = bvi_image_object(it, "an entry of 'ips'", err);
        if (r == 0)
            r = bvi_json_get_string(it, "ip", &ip, err);
        if (r < 0)
            return r;
        if (!bvi_image_is_cidr(ip))
            return bvi_fail(err, BV_E_FORMAT, "invalid ip (%s) in rule '%s'", ip, key);
        if (bvi_json_add(ips, bvi_json_new_string(ip)) < 0)
            return bvi_fail_nomem(err);
    }
    return 0;
}

static int read_ports(const bvi_json *rule, bvi_json *ports, bv_error **err)
{
    const bvi_json *list = NULL;
    int r = bvi_image_list(rule, "ports", false, BVI_IMAGE_ENTRIES_MAX, &list, err);

    if (r < 0)
        return r;
    bvi_json_each(it, list) {
        uint64_t port = 0;

        r = bvi_image_object(it, "an entry of 'ports'", err);
        if (r == 0)
            r = bvi_json_get_uint64(it, "port", &port, err);
        if (r < 0)
            return r;
        if (port > UINT16_MAX)
            return bvi_fail(err, BV_E_FORMAT, "'port' %llu is above 65535",
                            (unsigned long long)port);
        if (bvi_json_add(ports, bvi_json_new_uint64(port)) < 0)
            return bvi_fail_nomem(err);
    }
    return 0;
}

/* In the order a node's state has them; ips and ports are filled by the caller. */
static int put_rule(bvi_json *rules, const char *key, const char *const words[3],
                    bvi_json **ret_ips, bvi_json **ret_ports)
{
    bvi_json *rule = bvi_json_new_object();
    bvi_json *ips;
    bvi_json *ports;

    if (bvi_json_add(rules, rule) < 0 || bvi_json_put_string(rule, "name", key) < 0 ||
        bvi_json_put_string(rule, "action", words[0]) < 0 ||
        bvi_json_put_string(rule, "direction", words[1]) < 0 ||
        bvi_json_put_string(rule, "protocol", words[2]) < 0)
        return BV_E_NOMEM;
    ips = bvi_json_new_array();
    if (bvi_json_put(rule, "ips", ips) < 0)
        return BV_E_NOMEM;
    ports = bvi_json_new_array();
    if (bvi_json_put(rule, "ports", ports) < 0)
        return BV_E_NOMEM;
    *ret_ips = ips;
    *ret_ports = ports;
    return 0;
}

static int read_rule_fields(const bvi_json *from, const char *key, bvi_json *rules, bv_error **err)
{
    const char *words[3] = { NULL, NULL, NULL };
    bvi_json *ips = NULL;
    bvi_json *ports = NULL;
    int r = bvi_image_check_kebab("firewall rule key", key, err);

    if (r == 0)
        r = bvi_image_word(from, "action", actions, &words[0], err);
    if (r == 0)
        r = bvi_image_word(from, "direction", directions, &words[1], err);
    if (r == 0)
        r = bvi_image_word(from, "protocol", protocols, &words[2], err);
    if (r < 0)
        return r;
    if (put_rule(rules, key, words, &ips, &ports) < 0)
        return bvi_fail_nomem(err);
    r = read_ips(from, key, ips, err);
    return r < 0 ? r : read_ports(from, ports, err);
}

static int read_rule(const bvi_json *from, bvi_json *rules, bv_error **err)
{
    bvi_auto_free char *key = NULL;
    int r = bvi_image_object(from, "a firewall rule", err);

    if (r == 0)
        r = bvi_image_text(from, "key", &key, err);
    if (r < 0)
        return r;
    r = read_rule_fields(from, key, rules, err);
    return r < 0 ? bvi_wrap(err, r, "firewall rule '%s'", key) : 0;
}

int bvi_image_firewall(const bvi_json *config, bvi_json **ret_firewall, bv_error **err)
{
    bvi_auto_json bvi_json *firewall = bvi_json_new_object();
    const bvi_json *list = NULL;
    const char *in = NULL;
    const char *out = NULL;
    bvi_json *rules;
    int r = bvi_image_object(config, "'firewall_config'", err);

    if (r == 0)
        r = bvi_image_word(config, "default_in", actions, &in, err);
    if (r == 0)
        r = bvi_image_word(config, "default_out", actions, &out, err);
    if (r == 0)
        r = bvi_image_list(config, "rules", false, BVI_IMAGE_RULES_MAX, &list, err);
    if (r < 0)
        return r;
    if (!firewall || bvi_json_put_string(firewall, "default_in", in) < 0 ||
        bvi_json_put_string(firewall, "default_out", out) < 0)
        return bvi_fail_nomem(err);
    rules = bvi_json_new_array();
    if (bvi_json_put(firewall, "rules", rules) < 0)
        return bvi_fail_nomem(err);
    bvi_json_each(it, list) {
        r = read_rule(it, rules, err);
        if (r < 0)
            return r;
    }
    *ret_firewall = bvi_take(firewall);
    return 0;
}
