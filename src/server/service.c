/* SPDX-License-Identifier: MIT */
#include "server/server.h"

#include "base/check.h"
#include "client/url.h"
#include "io/lookup.h"

/* --- Services -------------------------------------------------------------------------------- */

static void fill(struct weir_service *service, const struct weir_service_options *options)
{
    struct service_options *inner = &service->options;
    service_options_init(inner);
    service->retries = inner->program.retry.attempts = options->retries;
    inner->name = server_copy(service->server, options->name ? options->name : "service");
    inner->upstream_keepalive_pool_size = options->pool_size;
    inner->client.keepalive_timeout = options->keepalive_timeout;
    inner->client.header_timeout = options->header_timeout;
    inner->client.body_timeout = options->body_timeout;
    inner->client.write_timeout = options->write_timeout;
    inner->client.max_request_body = options->max_request_body;
    inner->handler = options->handler;
    inner->ops = options->proxy;
    inner->started = options->started;
    inner->owner = options->owner;
    inner->door = service;
}

enum weir_err weir_server_add(struct weir_server *server,
                              const struct weir_service_options *options,
                              char ret_why[WEIR_WHY_BYTES], struct weir_service **ret_service)
{
    must(!server->runs);
    if (options->handler && options->proxy)
        return server_tell(WEIR_E_CONFIG, ret_why,
                           "a service has a handler or the phases of a proxy, not both");
    struct weir_service *service = memory_alloc(server->memory, sizeof *service);
    TRY(server_memory(server, ret_why));
    service->server = server;
    fill(service, options);
    TRY(server_memory(server, ret_why));
    enum weir_err err = workers_add(&server->workers, &service->options, &service->number);
    if (err)
        return server_tell(err, ret_why, "%s", weir_err_text(err));
    *ret_service = service;
    return WEIR_OK;
}

void *weir_service_owner(const struct weir_service *service)
{
    return service->options.owner;
}

struct weir_connector *weir_service_connector(struct weir_service *service)
{
    const struct workers *workers = &service->server->workers;
    const struct worker *worker = &workers->all[loop_here()->worker];
    must(loop_here() == &worker->loop.loop);
    return &worker->services[service->number]->connector;
}

/* --- Their addresses ------------------------------------------------------------------------- */

static enum weir_err read_address(const char *text, char ret_why[WEIR_WHY_BYTES],
                                  struct addr *ret_addr)
{
    struct url url;
    text = text ? text : "";
    const char *why = url_read_listen(weir_str(text), &url);
    if (why)
        return server_tell(WEIR_E_ADDRESS, ret_why, "'%s': %s", text, why);
    if (url.host[0] && lookup_host(url.host, url.port, &url.addr, &why) != WEIR_OK)
        return server_tell(WEIR_E_ADDRESS, ret_why, "cannot resolve '%s': %s", url.host, why);
    *ret_addr = url.addr;
    return WEIR_OK;
}

static void free_tls(void *tls)
{
    tls_server_free(tls);
}

static enum weir_err open_tls(struct weir_service *service,
                              const struct weir_listen_options *options,
                              char ret_why[WEIR_WHY_BYTES], struct tls_server **ret_tls)
{
    struct weir_server *server = service->server;
    struct tls_identity *identity = memory_alloc(server->memory, sizeof *identity);
    struct tls_server_options inner;
    struct tls_fault fault;
    unsigned which;
    TRY(server_memory(server, ret_why));
    *identity = (struct tls_identity){
        .cert_file = server_copy(server, options->cert_file),
        .key_file = server_copy(server, options->key_file),
    };
    TRY(server_memory(server, ret_why));
    tls_server_options_init(&inner);
    inner.identities = identity;
    inner.identity_count = 1;
    struct tls_server *tls = tls_server_new(&inner, &which, &fault);
    if (!tls)
        return server_tell(WEIR_E_CONFIG, ret_why, "%s: %s", fault.key, fault.why);
    memory_own(server->memory, tls, free_tls);
    *ret_tls = tls;
    return server_memory(server, ret_why);
}

static enum weir_err fill_listener(struct weir_service *service,
                                   const struct weir_listen_options *options,
                                   char ret_why[WEIR_WHY_BYTES],
                                   struct listener_options *ret_listener)
{
    struct listener_options listener = {
        .expects_preface = options->proxy_protocol,
        .speaks_h1 = options->http1,
        .speaks_h2 = options->http2,
    };
    if (!options->http1 && !options->http2)
        return server_tell(WEIR_E_CONFIG, ret_why, "a listener speaks HTTP/1, HTTP/2 or both");
    if (!options->cert_file != !options->key_file)
        return server_tell(WEIR_E_CONFIG, ret_why, "cert_file and key_file go together");
    TRY(read_address(options->address, ret_why, &listener.addr));
    if (options->cert_file)
        TRY(open_tls(service, options, ret_why, &listener.tls));
    *ret_listener = listener;
    return WEIR_OK;
}

enum weir_err weir_service_listen(struct weir_service *service,
                                  const struct weir_listen_options *options,
                                  char ret_why[WEIR_WHY_BYTES])
{
    struct workers_address *address = NULL;
    struct listener_options listener;
    char text[ADDR_TEXT_SIZE];
    must(!service->server->runs);
    TRY(fill_listener(service, options, ret_why, &listener));
    enum weir_err err =
        workers_listen(&service->server->workers, service->number, &listener, &address);
    if (!err)
        return WEIR_OK;
    return server_tell(err, ret_why, "cannot listen on %s: %s", addr_print(&listener.addr, text),
                       weir_err_text(err));
}

const char *weir_service_address(const struct weir_service *service, unsigned listener)
{
    const struct workers *workers = &service->server->workers;
    for (unsigned i = 0; i < workers->address_count; i++)
        if (workers->addresses[i]->service == service->number && listener-- == 0)
            return workers->addresses[i]->text;
    return NULL;
}
