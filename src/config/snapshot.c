/* SPDX-License-Identifier: MIT */
#include "config/snapshot.h"

#include "base/check.h"
#include "base/slice.h"
#include "client/trust.h"
#include "config/address.h"
#include "config/build.h"
#include "config/build_tls.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

/* What is being loaded: until it succeeds, all of it can go. */
struct loading {
    struct memory *memory;
    struct report report;
    struct snapshot *snapshot; /* in the memory; NULL: none came about */
};

static enum weir_err begin(struct loading *loading)
{
    *loading = (struct loading){.memory = memory_new()};
    if (!loading->memory)
        return WEIR_E_NO_MEMORY;
    report_init(&loading->report, loading->memory);
    return WEIR_OK;
}

/* Writes what was found, and hands the snapshot out or frees it. */
static enum weir_err finish(struct loading *loading, enum weir_err err, struct buf *messages,
                            struct snapshot **ret_snapshot)
{
    report_write(&loading->report, messages);
    if (err == WEIR_OK && loading->report.error_count > 0)
        err = WEIR_E_CONFIG;
    if (loading->memory->failed)
        err = WEIR_E_NO_MEMORY;
    if (err == WEIR_OK) {
        must(loading->snapshot);
        *ret_snapshot = loading->snapshot;
    } else {
        memory_free(&loading->memory);
    }
    return err;
}

enum weir_err snapshot_load_text(const char *name, struct weir_slice text, struct buf *messages,
                                 struct snapshot **ret_snapshot)
{
    struct loading loading;
    const struct yaml_node *root = NULL;
    TRY(begin(&loading));
    const char *file = memory_string(loading.memory, slice_str(name));
    enum weir_err err = WEIR_E_NO_MEMORY;
    if (file)
        err = yaml_read(file, text, loading.memory, &loading.report, &root);
    if (err == WEIR_OK)
        loading.snapshot = build_snapshot(&loading.report, loading.memory, root);
    return finish(&loading, err, messages, ret_snapshot);
}

/* Everything that the descriptor gives, at most one byte more than a configuration may have. */
static enum weir_err read_all(int descriptor, struct buf *text)
{
    char piece[512];
    while (text->len <= YAML_BYTES_MAX) {
        ssize_t count = read(descriptor, piece, sizeof piece);
        if (count == 0)
            break;
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0)
            return WEIR_E_IO;
        buf_append(text, slice_of(piece, (size_t)count));
    }
    return text->failed ? WEIR_E_NO_MEMORY : WEIR_OK;
}

enum weir_err snapshot_load_file(const char *path, struct buf *messages,
                                 struct snapshot **ret_snapshot)
{
    int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (descriptor < 0) {
        buf_printf(messages, "%s: error: cannot be opened: %s\n", path, strerror(errno));
        return WEIR_E_CONFIG;
    }
    AUTO(buf_fini) struct buf text;
    buf_init(&text);
    enum weir_err err = read_all(descriptor, &text);
    if (err == WEIR_E_IO) {
        buf_printf(messages, "%s: error: cannot be read: %s\n", path, strerror(errno));
        err = WEIR_E_CONFIG;
    }
    close(descriptor);
    TRY(err);
    return snapshot_load_text(path, buf_slice(&text), messages, ret_snapshot);
}

static const char *scheme_of(const struct server_options *server)
{
    static const char *const names[] = {
        [SCHEME_HTTP] = "http://", [SCHEME_HTTPS] = "https://", [SCHEME_H2C] = "h2c://"};
    if (custom_is_any(&server->transport))
        return custom_name(&server->transport);
    return addr_is_local(&server->addr) ? "unix:" : names[server->scheme];
}

/* All of them are spoken with in the same way. */
static void set_scheme(struct loading *loading, struct upstream_options *upstream)
{
    const struct server_options *servers = upstream->servers;
    const struct yaml_node node = {.type = YAML_SCALAR, .position = {"--to", 0, 0}};
    struct building building = {
        .report = &loading->report, .memory = loading->memory, .ca_file = TRUST_FILE};
    struct upstream_values values = {.options = *upstream};
    for (unsigned i = 1; i < upstream->server_count; i++)
        if (build_was_read(&servers[i]) && build_was_read(&servers[0]) &&
            servers[i].scheme != servers[0].scheme)
            report_error(&loading->report, node.position, "%s and %s do not go together",
                         scheme_of(&servers[i]), scheme_of(&servers[0]));
    if (upstream->server_count > 0 && servers[0].scheme == SCHEME_H2C)
        values.options.protocol = PEER_HTTP2;
    tls_client_options_init(&values.tls);
    build_upstream_tls(&building, &node, &values);
    *upstream = values.options;
}

/* The servers that --to names. Each is read as the URL of an upstream would be. */
static struct upstream_options *single_upstream(struct loading *loading, const char *const *to,
                                                unsigned to_count)
{
    struct upstream_options *upstream = memory_alloc(loading->memory, sizeof *upstream);
    struct server_options *servers = memory_array(loading->memory, to_count, sizeof *servers);
    if (!upstream || !servers)
        return NULL;
    upstream_options_init(upstream);
    upstream->name = BUILD_ONLY_UPSTREAM;
    upstream->servers = servers;
    upstream->server_count = to_count;
    for (unsigned i = 0; i < to_count; i++) {
        servers[i].text = memory_string(loading->memory, slice_str(to[i]));
        servers[i].weight = 1;
        address_read_url(&loading->report, loading->memory, (struct position){"--to", 0, 0},
                         slice_str(to[i]), &servers[i]);
    }
    if (to_count == 0)
        report_error(&loading->report, (struct position){"--to", 0, 0},
                     "at least one URL is needed");
    set_scheme(loading, upstream);
    return upstream;
}

enum weir_err snapshot_of_command_line(const char *listen, const char *const *to, unsigned to_count,
                                       struct buf *messages, struct snapshot **ret_snapshot)
{
    struct loading loading;
    TRY(begin(&loading));
    struct root_values *values = memory_alloc(loading.memory, sizeof *values);
    struct service_options *service = memory_alloc(loading.memory, sizeof *service);
    struct listener_options *listener = memory_alloc(loading.memory, sizeof *listener);
    struct route_options *route = memory_alloc(loading.memory, sizeof *route);
    struct upstream_options *upstream = single_upstream(&loading, to, to_count);
    if (values && service && listener && route && upstream) {
        listener_options_init(listener);
        address_read_listen(&loading.report, (struct position){"--listen", 0, 0}, slice_str(listen),
                            &listener->addr);
        service_options_init(service);
        service->name = "proxy";
        service->listen = listener;
        service->routes = route;
        service->upstreams = upstream;
        service->listen_count = service->route_count = service->upstream_count = 1;
        build_defaults(values);
        loading.snapshot = &values->snapshot;
        loading.snapshot->services = service;
        loading.snapshot->service_count = 1;
        loading.snapshot->memory = loading.memory;
    }
    return finish(&loading, WEIR_OK, messages, ret_snapshot);
}

struct snapshot *snapshot_ref(struct snapshot *snapshot)
{
    atomic_fetch_add_explicit(&snapshot->references, 1, memory_order_relaxed);
    return snapshot;
}

void snapshot_unref(struct snapshot **snapshot)
{
    struct snapshot *last = *snapshot;
    *snapshot = NULL;
    if (!last || atomic_fetch_sub_explicit(&last->references, 1, memory_order_acq_rel) != 1)
        return;
    struct memory *memory = last->memory;
    memory_free(&memory);
}
