/* SPDX-License-Identifier: MIT */
/* A hundred requests over one connection: get http://127.0.0.1:9001 */
#include <stdio.h>
#include <weir/weir.h>

static void ask(void *peer)
{
    struct weir_connector *connector = NULL;
    struct weir_request *request = NULL;
    struct weir_reply *reply = NULL;
    struct weir_pool_counts counts = {0};
    enum weir_err err = weir_connector_new(weir_loop_here(), NULL, &connector);
    if (!err)
        err = weir_request_new("GET", NULL, "/", &request);
    for (int i = 0; i < 100 && !err; i++) {
        err = weir_fetch(connector, peer, request, weir_str(NULL), 65536, WEIR_NEVER, &reply);
        weir_reply_free(&reply);
    }
    if (connector)
        weir_connector_counts(connector, &counts);
    printf("%s, %llu connections\n", weir_err_text(err), (unsigned long long)counts.opened);
    weir_request_free(&request);
    weir_connector_free(&connector);
}

int main(int argc, char **argv)
{
    struct weir_peer *peer;
    struct weir_peer_options options;
    weir_peer_options_init(&options);
    options.url = argc > 1 ? argv[1] : "http://127.0.0.1:9001";
    if (weir_peer_new(&options, NULL, &peer) || weir_run(NULL, ask, peer))
        return 1;
    weir_peer_free(&peer);
    return 0;
}
