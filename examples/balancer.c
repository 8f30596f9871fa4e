/* SPDX-License-Identifier: MIT */
/*
 * A proxy before several servers. What it shows: an upstream that balances by itself, and a choice
 * of one's own in front of that: a request that names a server in X-Server gets it, and is balanced
 * like all others when that server cannot be reached.
 *
 *     balancer 127.0.0.1:8080 http://127.0.0.1:9001 http://127.0.0.1:9002
 *     curl -i http://127.0.0.1:8080/                     one after the other
 *     curl -i -H 'X-Server: 1' http://127.0.0.1:8080/    always the second
 *
 * X-Upstream of a response tells how often a server was asked for, and how its connection came.
 */
#include <stdio.h>
#include <weir/weir.h>

enum { SERVERS_MAX = 16 };

/* Peers live as long as the program. They share their connections with the upstream's own. */
struct servers {
    unsigned count;
    const char *urls[SERVERS_MAX];
    struct weir_peer *peers[SERVERS_MAX];
};

static enum weir_err upstream_peer(struct weir_exchange *exchange, struct weir_peer **ret_peer)
{
    struct servers *servers = weir_exchange_owner(exchange);
    struct weir_slice wish =
        weir_fields_get(weir_request_fields(weir_exchange_request(exchange)), "X-Server");
    if (wish.len != 1 || weir_exchange_attempts(exchange) > 0)
        return WEIR_OK; /* the upstream picks */
    unsigned number = (unsigned)(wish.at[0] - '0');
    if (number < servers->count)
        *ret_peer = servers->peers[number];
    return WEIR_OK;
}

/* Nothing was sent yet, so whatever the request is, it may go elsewhere. */
static void fail_to_connect(struct weir_exchange *exchange, enum weir_err err, bool *retry)
{
    struct servers *servers = weir_exchange_owner(exchange);
    fprintf(stderr, "balancer: %s\n", weir_err_text(err));
    *retry = weir_exchange_attempts(exchange) <= servers->count;
}

static enum weir_err response_filter(struct weir_exchange *exchange, struct weir_response *response)
{
    struct weir_connection connection = {0};
    bool known = weir_exchange_connection(exchange, &connection);
    char text[64];
    snprintf(text, sizeof text, "attempts=%u, connection=%s", weir_exchange_attempts(exchange),
             !known              ? "none"
             : connection.reused ? "reused"
                                 : "new");
    return weir_fields_set(weir_response_fields(response), "X-Upstream", weir_str(text));
}

static const struct weir_proxy_ops phases = {
    .name = "balancer",
    .upstream_peer = upstream_peer,
    .fail_to_connect = fail_to_connect,
    .response_filter = response_filter,
};

/* Says what is wrong with a URL, and is false then. */
static bool make_peers(struct servers *servers, int count, char **urls)
{
    for (int i = 0; i < count && i < SERVERS_MAX; i++) {
        struct weir_peer_options options;
        weir_peer_options_init(&options);
        options.url = servers->urls[i] = urls[i];
        char why[WEIR_WHY_BYTES] = "out of memory";
        if (weir_peer_new(&options, why, &servers->peers[i]) != WEIR_OK) {
            fprintf(stderr, "balancer: %s: %s\n", urls[i], why);
            return false;
        }
        servers->count++;
    }
    return servers->count > 0;
}

static bool serve(struct servers *servers, const char *address)
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
    upstream.urls = servers->urls;
    upstream.count = servers->count;
    upstream.balance = WEIR_ROUND_ROBIN;

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
        fprintf(stderr, "balancer: %s\n", why);
    weir_server_free(&server);
    return served;
}

int main(int count, char **words)
{
    if (count < 3) {
        fprintf(stderr, "usage: balancer ADDRESS URL...\n");
        return 2;
    }
    struct servers servers = {0};
    bool served = make_peers(&servers, count - 2, words + 2) && serve(&servers, words[1]);
    for (unsigned i = 0; i < servers.count; i++)
        weir_peer_free(&servers.peers[i]);
    return served ? 0 : 1;
}
