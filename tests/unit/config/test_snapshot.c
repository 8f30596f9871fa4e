/* SPDX-License-Identifier: MIT */
#include "config/snapshot.h"

#include "base/check.h"
#include "tests/unit/config/load.h"

#include <stdlib.h>
#include <unistd.h>

static void check_addr(const struct addr *addr, const char *want)
{
    char text[ADDR_TEXT_SIZE];
    CHECK_SLICE(slice_str(addr_print(addr, text)), want);
}

static const char whole[] = "version: 1\n"
                            "threads: 2\n"
                            "io: epoll\n"
                            "upstream_keepalive_pool_size: 128\n"
                            "max_retries: 2\n"
                            "pid_file: /run/weir.pid\n"
                            "user: nobody\n"
                            "group: nogroup\n"
                            "working_directory: /\n"
                            "error_log: /var/log/weir.log\n"
                            "access_log: off\n"
                            "grace_period_seconds: 30\n"
                            "graceful_shutdown_timeout_seconds: 0\n"
                            "admin: { listen: 127.0.0.1:6190 }\n"
                            "services:\n"
                            "  - name: edge\n"
                            "    listen:\n"
                            "      - 127.0.0.1:8080\n"
                            "      - address: 127.0.0.1:8443\n"
                            "    keepalive_timeout: 75s\n"
                            "    keepalive_request_limit: 100\n"
                            "    upstream_at_limit: keep\n"
                            "    client_header_timeout: 1s\n"
                            "    client_body_timeout: 2s\n"
                            "    client_write_timeout: 3s\n"
                            "    max_request_body: 8MiB\n"
                            "    upstream_keepalive_pool_size: 256\n"
                            "    routes:\n"
                            "      - { host: API.example.com, path: /v1/, upstream: api }\n"
                            "      - { upstream: web }\n"
                            "    upstreams:\n"
                            "      web: http://127.0.0.1:9001\n"
                            "      api:\n"
                            "        servers:\n"
                            "          - 10.0.0.1:8080\n"
                            "          - { address: 10.0.0.2:8080, weight: 3 }\n"
                            "          - unix:/run/app.sock\n"
                            "        bind_to: [127.0.0.2]\n";

static void check_process(const struct snapshot *snapshot)
{
    CHECK_EQ(2, snapshot->threads);
    CHECK_EQ(IO_EPOLL, snapshot->io);
    CHECK_SLICE(slice_str(snapshot->pid_file), "/run/weir.pid");
    CHECK_SLICE(slice_str(snapshot->user), "nobody");
    CHECK_SLICE(slice_str(snapshot->group), "nogroup");
    CHECK_SLICE(slice_str(snapshot->working_directory), "/");
    CHECK_SLICE(slice_str(snapshot->error_log), "/var/log/weir.log");
    CHECK_SLICE(slice_str(snapshot->access_log), "off");
    CHECK_EQ(30000, weir_span_to_ms(snapshot->grace_period));
    CHECK_EQ(0, snapshot->shutdown_timeout.ns);
    CHECK(snapshot->has_admin);
    check_addr(&snapshot->admin_listen, "127.0.0.1:6190");
    CHECK_EQ(1, snapshot->service_count);
}

static void check_service(const struct service_options *service)
{
    CHECK_SLICE(slice_str(service->name), "edge");
    CHECK_EQ(2, service->listen_count);
    check_addr(&service->listen[0].addr, "127.0.0.1:8080");
    check_addr(&service->listen[1].addr, "127.0.0.1:8443");
    CHECK_EQ(75000, weir_span_to_ms(service->client.keepalive_timeout));
    CHECK_EQ(100, service->client.keepalive_request_limit);
    CHECK_EQ(AT_LIMIT_KEEP, service->client.upstream_at_limit);
    CHECK_EQ(1000, weir_span_to_ms(service->client.header_timeout));
    CHECK_EQ(2000, weir_span_to_ms(service->client.body_timeout));
    CHECK_EQ(3000, weir_span_to_ms(service->client.write_timeout));
    CHECK_EQ(8 << 20, service->client.max_request_body);
    CHECK_EQ(256, service->upstream_keepalive_pool_size);
    CHECK_EQ(2, service->route_count);
    CHECK_SLICE(slice_str(service->routes[0].host), "api.example.com");
    CHECK_SLICE(slice_str(service->routes[0].path), "/v1/");
    CHECK_EQ(1, service->routes[0].upstream);
    CHECK(!service->routes[1].host && !service->routes[1].path);
    CHECK_EQ(0, service->routes[1].upstream);
    CHECK_EQ(2, service->upstream_count);
    CHECK_SLICE(slice_str(service->upstreams[0].name), "web");
    CHECK_SLICE(slice_str(service->upstreams[1].name), "api");
    CHECK_EQ(1, service->upstreams[0].server_count);
    CHECK_EQ(3, service->upstreams[1].server_count);
    CHECK_EQ(3, service->upstreams[1].servers[1].weight);
}

TEST(a_whole_configuration)
{
    struct snapshot *snapshot = LOAD(whole);
    if (!CHECK(snapshot))
        return;
    check_process(snapshot);
    check_service(&snapshot->services[0]);
    snapshot_unref(&snapshot);
}

TEST(the_least_configuration)
{
    struct snapshot *snapshot = LOAD(SERVICE_HEAD "    upstream: unix:/x\n");
    if (!CHECK(snapshot))
        return;
    CHECK_EQ(0, snapshot->threads);
    CHECK_EQ(IO_AUTO, snapshot->io);
    CHECK(!snapshot->pid_file && !snapshot->user && !snapshot->group);
    CHECK(!snapshot->working_directory);
    CHECK_SLICE(slice_str(snapshot->error_log), "stderr");
    CHECK_SLICE(slice_str(snapshot->access_log), "stdout");
    CHECK_EQ(300000, weir_span_to_ms(snapshot->grace_period));
    CHECK_EQ(5000, weir_span_to_ms(snapshot->shutdown_timeout));
    CHECK(!snapshot->has_admin);
    snapshot_unref(&snapshot);
}

TEST(the_last_reference_frees)
{
    struct snapshot *snapshot = LOAD(whole);
    if (!CHECK(snapshot))
        return;
    struct snapshot *other = snapshot_ref(snapshot);
    CHECK(other == snapshot);
    snapshot_unref(&snapshot);
    CHECK(!snapshot);
    check_process(other);
    snapshot_unref(&other);
    CHECK(!other);
    snapshot_unref(&other);
}

/* Every way a file can be cut short is an error or a configuration, and frees what it took. */
TEST(files_that_are_cut_short)
{
    for (size_t length = 0; length < sizeof whole; length += 3) {
        struct snapshot *snapshot = NULL;
        struct buf messages;
        buf_init(&messages);
        enum weir_err err =
            snapshot_load_text("t.yaml", slice_of(whole, length), &messages, &snapshot);
        CHECK((err == WEIR_OK) == (snapshot != NULL));
        CHECK((err == WEIR_E_CONFIG) == (messages.len > 0));
        snapshot_unref(&snapshot);
        buf_fini(&messages);
    }
}

static enum weir_err load_file(const char *path, struct buf *messages,
                               struct snapshot **ret_snapshot)
{
    buf_clear(messages);
    return snapshot_load_file(path, messages, ret_snapshot);
}

TEST(files)
{
    char path[] = "/tmp/weir-test-XXXXXX";
    struct snapshot *snapshot = NULL;
    struct buf messages, want;
    int descriptor = mkstemp(path);
    buf_init(&messages);
    buf_init(&want);
    if (!CHECK(descriptor >= 0))
        return;
    CHECK_EQ(sizeof whole - 1, write(descriptor, whole, sizeof whole - 1));
    CHECK_OK(load_file(path, &messages, &snapshot));
    CHECK_SLICE(buf_slice(&messages), "");
    if (CHECK(snapshot))
        check_process(snapshot);
    snapshot_unref(&snapshot);

    CHECK_EQ(5, write(descriptor, "y: 1\n", 5));
    CHECK_ERR(WEIR_E_CONFIG, load_file(path, &messages, &snapshot));
    buf_printf(&want, "%s:39:1: error: unknown key 'y'\n", path);
    CHECK(slice_equal(buf_slice(&messages), buf_slice(&want)));

    CHECK_EQ(0, ftruncate(descriptor, (1 << 20) + 1));
    CHECK_ERR(WEIR_E_CONFIG, load_file(path, &messages, &snapshot));
    buf_clear(&want);
    buf_printf(&want, "%s: error: larger than 1048576 bytes\n", path);
    CHECK(slice_equal(buf_slice(&messages), buf_slice(&want)));

    close(descriptor);
    unlink(path);
    CHECK_ERR(WEIR_E_CONFIG, load_file("/nowhere/weir.yaml", &messages, &snapshot));
    CHECK_SLICE(buf_slice(&messages),
                "/nowhere/weir.yaml: error: cannot be opened: No such file or directory\n");
    CHECK_ERR(WEIR_E_CONFIG, load_file("/", &messages, &snapshot));
    CHECK_SLICE(buf_slice(&messages), "/: error: cannot be read: Is a directory\n");
    buf_fini(&messages);
    buf_fini(&want);
}

TEST(the_command_line)
{
    static const char *const to[] = {"http://127.0.0.1:9001", "unix:/x"};
    struct snapshot *snapshot = NULL;
    struct buf messages;
    buf_init(&messages);
    CHECK_OK(snapshot_of_command_line("127.0.0.1:8080", to, 2, &messages, &snapshot));
    CHECK_SLICE(buf_slice(&messages), "");
    if (!CHECK(snapshot))
        return;
    CHECK(!snapshot->has_admin);
    CHECK_SLICE(slice_str(snapshot->access_log), "stdout");
    CHECK_EQ(1, snapshot->service_count);
    const struct service_options *service = &snapshot->services[0];
    CHECK_EQ(1, service->listen_count);
    check_addr(&service->listen[0].addr, "127.0.0.1:8080");
    CHECK(service->listen[0].speaks_h1 && service->listen[0].speaks_h2);
    CHECK_EQ(PEER_HTTP1, service->upstreams[0].protocol);
    CHECK_EQ(128, service->upstream_keepalive_pool_size);
    CHECK_EQ(1, service->route_count);
    CHECK_EQ(1, service->upstream_count);
    CHECK_EQ(2, service->upstreams[0].server_count);
    check_addr(&service->upstreams[0].servers[0].addr, "127.0.0.1:9001");
    check_addr(&service->upstreams[0].servers[1].addr, "unix:/x");
    CHECK_EQ(1, service->upstreams[0].servers[1].weight);
    CHECK_SLICE(slice_str(service->upstreams[0].servers[0].text), "http://127.0.0.1:9001");
    snapshot_unref(&snapshot);
    buf_fini(&messages);
}

TEST(h2c_on_the_command_line)
{
    static const char *const to[] = {"h2c://127.0.0.1:9001", "h2c://a"};
    struct snapshot *snapshot = NULL;
    struct buf messages;
    buf_init(&messages);
    CHECK_OK(snapshot_of_command_line("127.0.0.1:8080", to, 2, &messages, &snapshot));
    CHECK_SLICE(buf_slice(&messages), "");
    if (!CHECK(snapshot))
        return;
    const struct upstream_options *upstream = &snapshot->services[0].upstreams[0];
    CHECK_EQ(PEER_HTTP2, upstream->protocol);
    CHECK(!upstream->tls);
    check_addr(&upstream->servers[0].addr, "127.0.0.1:9001");
    CHECK_EQ(80, upstream->servers[1].port);
    snapshot_unref(&snapshot);
    buf_fini(&messages);
}

TEST(urls_of_several_kinds_on_the_command_line)
{
    static const char *const to[] = {"h2c://127.0.0.1:9001", "h2c://a", "http://a", "https://a",
                                     "unix:/x"};
    struct snapshot *snapshot = NULL;
    struct buf messages;
    buf_init(&messages);
    CHECK_ERR(WEIR_E_CONFIG,
              snapshot_of_command_line("127.0.0.1:8080", to, COUNT_OF(to), &messages, &snapshot));
    CHECK_SLICE(buf_slice(&messages), "--to: error: http:// and h2c:// do not go together\n"
                                      "--to: error: https:// and h2c:// do not go together\n"
                                      "--to: error: unix: and h2c:// do not go together\n");
    buf_fini(&messages);
}

TEST(mistakes_on_the_command_line)
{
    static const char *const to[] = {"https://example.com", "127.0.0.1:80", "http://127.0.0.1"};
    struct snapshot *snapshot = NULL;
    struct buf messages;
    buf_init(&messages);
    CHECK_ERR(WEIR_E_CONFIG, snapshot_of_command_line("8080", to, 3, &messages, &snapshot));
    CHECK_SLICE(buf_slice(&messages),
                "--to: error: '127.0.0.1:80': not a URL such as http://127.0.0.1:9001, "
                "https://example.com or unix:/run/app.sock\n"
                "--to: error: http:// and https:// do not go together\n"
                "--listen: error: '8080': the port is missing: host:port\n");
    buf_clear(&messages);
    CHECK_ERR(WEIR_E_CONFIG,
              snapshot_of_command_line("127.0.0.1:0", NULL, 0, &messages, &snapshot));
    CHECK_SLICE(buf_slice(&messages), "--to: error: at least one URL is needed\n");
    buf_fini(&messages);
}

CHECK_MAIN
