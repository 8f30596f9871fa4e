/* SPDX-License-Identifier: MIT */
/*
 * A proxy that sends a body to two servers, though the client sends it once. What it shows: a
 * subrequest that takes the client's body as it comes and keeps a copy on the way up, whose
 * response streams back to the client through a filter; then a second subrequest with what was
 * kept. A body that was larger than the limit is never sent on in part: the log tells instead.
 *
 *     capture 127.0.0.1:8080 http://127.0.0.1:9001 http://127.0.0.1:9002 2000000
 *     curl --data-binary @FILE http://127.0.0.1:8080/
 */
#include <stdio.h>
#include <stdlib.h>
#include <weir/weir.h>

struct servers {
    struct weir_peer *first, *second;
    uint64_t limit_bytes;
};

/* The first server's head and the pieces of its body come by on their way to the client. */
static enum weir_err mark(void *owner, struct weir_response *response, struct weir_piece *piece,
                          bool *drop)
{
    (void)owner, (void)piece, (void)drop;
    if (response == NULL)
        return WEIR_OK;
    return weir_fields_set(weir_response_fields(response), "X-Captured", weir_str("yes"));
}

static void tell(struct weir_exchange *exchange, const char *what, unsigned status)
{
    struct weir_slice path = weir_request_path(weir_exchange_request(exchange));
    fprintf(stderr, "capture: %.*s: second server: %s (%u)\n", WEIR_SLICE_ARGS(path), what, status);
}

/* The client has its answer; what happens here is for the log. */
static void send_kept(struct weir_exchange *exchange, const struct servers *servers,
                      struct weir_request *request, struct weir_kept kept)
{
    struct weir_subrequest_options options;
    weir_subrequest_options_init(&options);
    options.peer = servers->second;
    options.without_phases = true;
    options.body = WEIR_SEND_KEPT;
    options.kept = kept;
    options.response_bytes = 65536;
    struct weir_subrequest what = {0};
    struct weir_reply *reply = NULL;
    enum weir_err err = weir_subrequest_run(exchange, request, &options, &what, &reply);
    /* WEIR_E_TRUNCATED: not one byte was sent. */
    tell(exchange, err == WEIR_OK ? "sent" : weir_err_text(err), what.status);
    weir_reply_free(&reply);
}

static enum weir_err request_filter(struct weir_exchange *exchange)
{
    const struct servers *servers = weir_exchange_owner(exchange);
    struct weir_slice method = weir_request_method(weir_exchange_request(exchange));
    if (method.len != 4 || memcmp(method.at, "POST", 4) != 0)
        return WEIR_OK; /* an ordinary request of the proxy */
    struct weir_request *request = NULL;
    enum weir_err err = weir_exchange_copy_request(exchange, &request);
    if (err != WEIR_OK)
        return err;
    struct weir_subrequest_options options;
    weir_subrequest_options_init(&options);
    options.peer = servers->first;
    options.without_phases = true;
    options.body = WEIR_SEND_PARENT;
    options.keep_bytes = servers->limit_bytes;
    struct weir_subrequest what = {0};
    err = weir_subrequest_pipe(exchange, request, &options, mark, NULL, &what);
    if (err == WEIR_OK)
        send_kept(exchange, servers, request, what.kept);
    weir_request_free(&request);
    return err;
}

static const struct weir_proxy_ops phases = {.name = "capture", .request_filter = request_filter};

static struct weir_peer *new_peer(const char *url)
{
    struct weir_peer_options options;
    weir_peer_options_init(&options);
    options.url = url;
    struct weir_peer *peer = NULL;
    char why[WEIR_WHY_BYTES] = "out of memory";
    if (weir_peer_new(&options, why, &peer) != WEIR_OK)
        fprintf(stderr, "capture: %s: %s\n", url, why);
    return peer;
}

static bool serve(const char *address, struct servers *servers, const char *url)
{
    struct weir_server_options server_options;
    weir_server_options_init(&server_options);
    server_options.handles_signals = true;
    struct weir_service_options options;
    weir_service_options_init(&options);
    options.proxy = &phases;
    options.owner = servers;
    struct weir_listen_options listen;
    weir_listen_options_init(&listen);
    listen.address = address;
    struct weir_upstream_options upstream;
    weir_upstream_options_init(&upstream);
    upstream.urls = &url;
    upstream.count = 1;

    struct weir_server *server = NULL;
    struct weir_service *service;
    char why[WEIR_WHY_BYTES] = "it cannot start";
    bool served = !weir_server_new(&server_options, &server) &&
                  !weir_server_add(server, &options, why, &service) &&
                  !weir_service_listen(service, &listen, why) &&
                  !weir_service_add_upstream(service, &upstream, why) &&
                  printf("listening on %s\n", weir_service_address(service, 0)) > 0 &&
                  fflush(stdout) == 0 && !weir_server_run(server);
    if (!served)
        fprintf(stderr, "capture: %s\n", why);
    weir_server_free(&server);
    return served;
}

int main(int count, char **words)
{
    if (count != 5) {
        fprintf(stderr, "usage: capture ADDRESS FIRST-URL SECOND-URL LIMIT-BYTES\n");
        return 2;
    }
    struct servers servers = {
        .first = new_peer(words[2]),
        .second = new_peer(words[3]),
        .limit_bytes = strtoull(words[4], NULL, 10),
    };
    bool served = servers.first && servers.second && serve(words[1], &servers, words[2]);
    weir_peer_free(&servers.first);
    weir_peer_free(&servers.second);
    return served ? 0 : 1;
}
