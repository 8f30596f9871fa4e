/* SPDX-License-Identifier: MIT */
/* The client in a program whose loop is libuv's: libuv URL */
#include <stdio.h>
#include <stdlib.h>
#include <uv.h>
#include <weir/weir.h>

static void check(enum weir_err err)
{
    if (!err)
        return;
    fprintf(stderr, "libuv: %s\n", weir_err_text(err));
    exit(1);
}

static void ask(void *peer)
{
    struct weir_connector *connector;
    struct weir_request *request;
    struct weir_reply *reply;
    check(weir_connector_new(weir_loop_here(), NULL, &connector));
    check(weir_request_new("GET", NULL, "/", &request));
    check(weir_fetch(connector, peer, request, weir_str(NULL), 1 << 20, weir_in(weir_span_s(10)),
                     &reply));
    printf("%u, %zu bytes\n", weir_response_status(weir_reply_response(reply)),
           weir_reply_body(reply).len);
    weir_reply_free(&reply);
    weir_request_free(&request);
    weir_connector_free(&connector);
}

/* weir has something to do: it does it, and libuv goes on. */
static void step(uv_poll_t *poll, int status, int events)
{
    struct weir_loop *loop = poll->data;
    (void)status;
    (void)events;
    weir_loop_step(loop);
    if (!weir_loop_is_busy(loop))
        uv_close((uv_handle_t *)poll, NULL);
}

int main(int argc, char **argv)
{
    struct weir_peer_options options;
    struct weir_peer *peer;
    struct weir_loop *loop;
    uv_poll_t poll;
    int descriptor;
    weir_peer_options_init(&options);
    options.url = argc > 1 ? argv[1] : "";
    check(weir_peer_new(&options, NULL, &peer));
    check(weir_loop_new(NULL, &loop));
    check(weir_loop_fd(loop, &descriptor));
    check(weir_spawn(loop, ask, peer));
    poll.data = loop;
    if (uv_poll_init(uv_default_loop(), &poll, descriptor) != 0 ||
        uv_poll_start(&poll, UV_READABLE, step) != 0)
        return 1;
    uv_run(uv_default_loop(), UV_RUN_DEFAULT);
    weir_loop_free(&loop);
    weir_peer_free(&peer);
    return 0;
}
