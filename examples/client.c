/* SPDX-License-Identifier: MIT */
/* A hundred requests, and how many connections they took: client URL [--http2] [--ca FILE] */
#include <stdio.h>
#include <stdlib.h>
#include <weir/weir.h>

static void check(enum weir_err err, const char *why)
{
    if (!err)
        return;
    fprintf(stderr, "client: %s: %s\n", weir_err_name(err), why ? why : weir_err_text(err));
    exit(1);
}

static void ask(void *peer)
{
    struct weir_connector *connector;
    struct weir_request *request;
    struct weir_pool_counts counts;
    check(weir_connector_new(weir_loop_here(), NULL, &connector), NULL);
    check(weir_request_new("GET", NULL, "/", &request), NULL);
    for (int i = 0; i < 100; i++) {
        struct weir_reply *reply;
        check(weir_fetch(connector, peer, request, weir_str(NULL), 1 << 20,
                         weir_in(weir_span_s(10)), &reply),
              NULL);
        weir_reply_free(&reply);
    }
    weir_connector_counts(connector, &counts);
    printf("100 requests, %llu connections\n", (unsigned long long)counts.opened);
    weir_request_free(&request);
    weir_connector_free(&connector);
}

int main(int argc, char **argv)
{
    struct weir_peer_options options;
    struct weir_peer *peer;
    char why[WEIR_WHY_BYTES];
    weir_peer_options_init(&options);
    options.url = argc > 1 ? argv[1] : "";
    for (int i = 2; i < argc; i++) {
        if (strcmp(argv[i], "--http2") == 0)
            options.protocol = WEIR_HTTP2;
        else if (strcmp(argv[i], "--ca") == 0 && i + 1 < argc)
            options.ca_file = argv[++i];
    }
    check(weir_peer_new(&options, why, &peer), why);
    check(weir_run(NULL, ask, peer), NULL);
    weir_peer_free(&peer);
    return 0;
}
