/* SPDX-License-Identifier: MIT */
#include "config/schema.h"

#include "base/check.h"
#include "tests/unit/config/load.h"

TEST(three_mistakes_three_messages)
{
    REJECT("threads: many\n"
           "services:\n"
           "  - name: edge\n"
           "    listen: [127.0.0.1:0]\n"
           "    upstream:\n"
           "      servers: [127.0.0.1:9001]\n"
           "      idel_timeout: 5s\n"
           "      read_timeout: 5\n",
           "t.yaml:1:10: error: 'threads' must be a whole number, not 'many'\n"
           "t.yaml:7:7: error: unknown key 'idel_timeout' (did you mean 'idle_timeout'?)\n"
           "t.yaml:8:21: error: 'read_timeout' must be a duration with its unit such as 500ms, 5s "
           "or 1h, not '5'\n");
}

/* One line in an upstream, and what is said of it from its column on. */
static void check_upstream_line(const char *line, const char *want)
{
    struct buf text, messages;
    buf_init(&text);
    buf_init(&messages);
    buf_printf(&text, UPSTREAM_HEAD "      servers: [127.0.0.1:1]\n      %s\n", line);
    buf_append_byte(&text, '\0');
    if (want[0])
        buf_printf(&messages, "t.yaml:6:%s\n", want);
    buf_append_byte(&messages, '\0');
    struct snapshot *snapshot =
        load_at(line, 0, text.at, want[0] ? WEIR_E_CONFIG : WEIR_OK, messages.at);
    snapshot_unref(&snapshot);
    buf_fini(&text);
    buf_fini(&messages);
}

TEST(values_of_the_wrong_type)
{
    static const char *const rows[][2] = {
        {"group_key: -1", "18: error: 'group_key' must be a whole number, not '-1'"},
        {"group_key: 1.5", "18: error: 'group_key' must be a whole number, not '1.5'"},
        {"group_key: 0x10", "18: error: 'group_key' must be a whole number, not '0x10'"},
        {"group_key: [1]", "18: error: 'group_key' must be a whole number, not a list"},
        {"group_key: {a: 1}", "18: error: 'group_key' must be a whole number, not a mapping"},
        {"group_key:", "7: error: 'group_key' must be a whole number, not empty"},
        {"group_key: 18446744073709551616",
         "18: error: 'group_key' must be a whole number, not '18446744073709551616'"},
        {"group_key: 18446744073709551615", ""},
        {"idle_timeout: soon", "21: error: 'idle_timeout' must be a duration such as 500ms, 5s or "
                               "1h, or none, not 'soon'"},
        {"idle_timeout: 5",
         "21: error: 'idle_timeout' must be a duration with its unit such as 500ms, 5s or 1h, "
         "not '5'"},
        {"idle_timeout: 0", ""},
        {"idle_timeout: none", ""},
        {"idle_timeout: 366d", "21: error: 'idle_timeout' must be from 0 to 365d, not '366d'"},
        {"read_timeout: 0", "21: error: 'read_timeout' must be from 1ms to 365d, not '0'"},
        {"fail_timeout: none",
         "21: error: 'fail_timeout' must be a duration such as 500ms, 5s or 1h, not 'none'"},
        {"max_requests_per_connection: few",
         "36: error: 'max_requests_per_connection' must be a whole number or none, not 'few'"},
        {"max_requests_per_connection: 0",
         "36: error: 'max_requests_per_connection' must be from 1 to 1000000000, not '0'"},
        {"retry: {body_buffer: 64KB}",
         "28: error: 'body_buffer' must be a size such as 512, 64KiB or 8MiB, not '64KB'"},
        {"retry: {body_buffer: 65MiB}",
         "28: error: 'body_buffer' must be from 0 to 64MiB, not '65MiB'"},
        {"retry: {non_idempotent: yes}",
         "31: error: 'non_idempotent' must be true or false, not 'yes'"},
        {"retry: [1]", "14: error: the rules of trying again must be a mapping, not a list"},
        {"retry:", "7: error: the rules of trying again must be a mapping, not empty"},
        {"balance: fair", "16: error: 'balance' must be round_robin or least_connections or random "
                          "or consistent_hash, not 'fair'"},
        {"protocol: http2", ""},
        {"protocol: h2", "17: error: 'protocol' must be http1 or http2 or auto, not 'h2'"},
        {"protocol: [http2]", "17: error: 'protocol' must be http1 or http2 or auto, not a list"},
        {"tcp: {keepalive: {count: 0}}", "32: error: 'count' must be from 1 to 127, not '0'"},
        {"tcp: {keepalive: 5s}", "24: error: the probes of TCP must be a mapping, not '5s'"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        check_upstream_line(rows[i][0], rows[i][1]);
}

TEST(unknown_keys)
{
    static const char *const rows[][2] = {
        {"idel_timeout: 5s", "7: error: unknown key 'idel_timeout' (did you mean 'idle_timeout'?)"},
        {"retyr: {}", "7: error: unknown key 'retyr' (did you mean 'retry'?)"},
        {"colour: red", "7: error: unknown key 'colour'"},
        {"\"a\\tb\": 1", "7: error: unknown key 'a\\x09b'"},
        {"retry: {atempts: 1}", "15: error: unknown key 'atempts' (did you mean 'attempts'?)"},
        {"tcp: {keepalive: {cuont: 1}}", "25: error: unknown key 'cuont' (did you mean 'count'?)"},
        /* The name of a key that belongs elsewhere is no key here. */
        {"keepalive_timeout: 5s", "7: error: unknown key 'keepalive_timeout'"},
        {"health: {interval: 5s}", "15: error: the settings of health checks needs the key 'path'"},
        {"health: {path: /, interval: 1ms}",
         "35: error: 'interval' must be from 10ms to 1d, not '1ms'"},
        {"queue: {length: 5}", "15: error: unknown key 'length'"},
        {"x-colour: red", ""},
        {"tcp: {x-a: {b: [c]}}", ""},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        check_upstream_line(rows[i][0], rows[i][1]);
}

TEST(keys_that_are_missing)
{
    REJECT("version: 1\n", "t.yaml:1:1: error: the configuration needs the key 'services'\n");
    REJECT("admin: {}\nservices: []\n",
           "t.yaml:1:8: error: the admin pages needs the key 'listen'\n"
           "t.yaml:2:11: error: 'services' has no entries\n");
    REJECT("services:\n  - {upstream: http://127.0.0.1}\n",
           "t.yaml:2:5: error: a service needs the key 'name'\n"
           "t.yaml:2:5: error: a service needs the key 'listen'\n");
}

TEST(the_top_of_the_file)
{
    REJECT("", "t.yaml:1:1: error: the configuration must be a mapping, not empty\n");
    REJECT("- a\n", "t.yaml:1:1: error: the configuration must be a mapping, not a list\n");
    REJECT("version: 2\n"
           "threads: 1025\n"
           "io: urgin\n"
           "io_: x\n"
           "user:\n"
           "error_log: \"\"\n"
           "daemon: true\n"
           "grace_period_seconds: 5s\n"
           "services: {}\n",
           "t.yaml:1:10: error: 'version' must be 1, not '2'\n"
           "t.yaml:2:10: error: 'threads' must be from 0 to 256, not '1025'\n"
           "t.yaml:3:5: error: 'io' must be auto or uring or epoll, not 'urgin'\n"
           "t.yaml:4:1: error: unknown key 'io_' (did you mean 'io'?)\n"
           "t.yaml:5:1: error: 'user' must be text, not empty\n"
           "t.yaml:6:12: error: 'error_log' must be text, not ''\n"
           "t.yaml:7:1: error: key 'daemon' is not supported by this version\n"
           "t.yaml:8:23: error: 'grace_period_seconds' must be a whole number of seconds, not "
           "'5s'\n"
           "t.yaml:9:11: error: 'services' must be a list, not a mapping\n");
    REJECT("io: fast\nservices: 5\n",
           "t.yaml:1:5: error: 'io' must be auto or uring or epoll, not 'fast'\n"
           "t.yaml:2:11: error: 'services' must be a list, not '5'\n");
}

TEST(a_mistake_behind_an_alias_is_told_once)
{
    REJECT(
        "x-all: &all\n"
        "  idle_timeout: never\n"
        "services:\n"
        "  - name: s\n"
        "    listen: [127.0.0.1:0]\n"
        "    routes: [{path: /a, upstream: a}, {upstream: b}]\n"
        "    upstreams:\n"
        "      a: {<<: *all, servers: [127.0.0.1:1]}\n"
        "      b: {<<: *all, servers: [127.0.0.1:1]}\n",
        "t.yaml:2:17: error: 'idle_timeout' must be a duration such as 500ms, 5s or 1h, or none, "
        "not 'never'\n");
}

CHECK_MAIN
