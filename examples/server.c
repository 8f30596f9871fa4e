/* SPDX-License-Identifier: MIT */
/* A server that answers each request with a line:  server 127.0.0.1:8080 */
#include <stdio.h>
#include <weir/weir.h>

static void hello(struct weir_exchange *exchange)
{
    enum weir_err err = weir_exchange_answer(exchange, 200, "text/plain", weir_str("hello\n"));
    if (err != WEIR_OK)
        fprintf(stderr, "server: %s\n", weir_err_text(err));
}

int main(int count, char **words)
{
    struct weir_server_options server_options;
    weir_server_options_init(&server_options);
    server_options.handles_signals = true;
    struct weir_service_options options;
    weir_service_options_init(&options);
    options.name = "hello";
    options.handler = hello;
    struct weir_listen_options listen;
    weir_listen_options_init(&listen);
    listen.address = count > 1 ? words[1] : "127.0.0.1:8080";

    struct weir_server *server = NULL;
    struct weir_service *service;
    char why[WEIR_WHY_BYTES] = "it cannot start";
    bool served = !weir_server_new(&server_options, &server) &&
                  !weir_server_add(server, &options, why, &service) &&
                  !weir_service_listen(service, &listen, why) &&
                  printf("listening on %s\n", weir_service_address(service, 0)) > 0 &&
                  fflush(stdout) == 0 && !weir_server_run(server);
    if (!served)
        fprintf(stderr, "server: %s\n", why);
    weir_server_free(&server);
    return served ? 0 : 1;
}
