/* SPDX-License-Identifier: MIT */
/* A proxy that keeps its connections:  proxy 127.0.0.1:8080 https://example.com [CA.pem] */
#include <stdio.h>
#include <weir/weir.h>

static const struct weir_proxy_ops phases = {.name = "proxy"}; /* filter.c fills them */

int main(int count, char **words)
{
    struct weir_server_options server_options;
    weir_server_options_init(&server_options);
    server_options.handles_signals = true;
    struct weir_service_options options;
    weir_service_options_init(&options);
    options.proxy = &phases;
    struct weir_listen_options listen;
    weir_listen_options_init(&listen);
    listen.address = count > 1 ? words[1] : "127.0.0.1:8080";
    struct weir_upstream_options upstream;
    weir_upstream_options_init(&upstream);
    upstream.urls = (const char *[]){count > 2 ? words[2] : "http://127.0.0.1:9001"};
    upstream.count = 1;
    upstream.peer.ca_file = count > 3 ? words[3] : NULL; /* NULL: whom the system trusts */

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
        fprintf(stderr, "proxy: %s\n", why);
    weir_server_free(&server);
    return served ? 0 : 1;
}
