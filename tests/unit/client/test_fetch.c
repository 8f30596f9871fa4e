/* SPDX-License-Identifier: MIT */
#include "tests/unit/client/play.h"
#include "tests/unit/http/raw.h"

PLAY(a_fetch_gives_the_whole_answer)
{
    struct weir_reply *reply = play_fetch("GET", "/a?b");
    struct weir_connection connection;
    if (!reply)
        return;
    CHECK_EQ(200, weir_response_status(weir_reply_response(reply)));
    CHECK_SLICE(weir_fields_get(weir_response_fields(weir_reply_response(reply)), "x-origin"),
                "yes");
    CHECK_SLICE(weir_reply_body(reply), "GET /a?b HTTP/1.1");
    weir_reply_connection(reply, &connection);
    CHECK(!connection.reused && !connection.http2 && connection.requests == 1);
    weir_reply_free(&reply);
    CHECK(!reply);
    weir_reply_free(&reply);
}

PLAY(requests_share_a_connection)
{
    struct weir_pool_counts counts;
    for (unsigned i = 0; i < 100; i++) {
        struct weir_reply *reply = play_fetch("GET", i % 2 ? "/" : "/chunked");
        struct weir_connection connection = {.id = 0};
        if (reply)
            weir_reply_connection(reply, &connection);
        CHECK_EQ(i + 1, connection.requests);
        weir_reply_free(&reply);
    }
    weir_connector_counts(connector, &counts);
    CHECK_EQ(1, counts.opened);
    CHECK_EQ(99, counts.reused);
    CHECK_EQ(1, counts.idle);
    CHECK_EQ(0, counts.in_use + counts.dialling);
    CHECK_EQ(1, origin.accepted);
}

PLAY(a_body_is_sent)
{
    struct weir_request *request = play_request("POST", "/echo");
    struct weir_reply *reply = NULL;
    CHECK_OK(weir_fetch(connector, peer, request, SLICE("some body"), 100, PLAY_DEADLINE, &reply));
    if (reply)
        CHECK_SLICE(weir_reply_body(reply), "some body");
    weir_reply_free(&reply);
    weir_request_free(&request);
}

/* Answers when it has seen the head, and reads nothing more of a body that no buffer holds. */
static struct raw_listener hasty;
static bool hasty_may_end;

WEIR_SUSPENDS static void answer_early(void *argument)
{
    char head[512];
    (void)argument;
    CHECK_OK(weir_wait_fd(hasty.descriptor, WEIR_READABLE, PLAY_DEADLINE));
    int sock = accept4(hasty.descriptor, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    CHECK_OK(weir_wait_fd(sock, WEIR_READABLE, PLAY_DEADLINE));
    CHECK(recv(sock, head, sizeof head, 0) > 0);
    static const char answer[] = "HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n";
    CHECK(send(sock, answer, sizeof answer - 1, MSG_NOSIGNAL) > 0);
    while (!hasty_may_end && !weir_sleep(weir_span_ms(1)))
        ;
    raw_close(sock);
}

PLAY(an_answer_before_the_end_of_the_body_is_taken)
{
    enum { BODY_BYTES = 64 << 20 };
    char *body = calloc(1, BODY_BYTES), url[64];
    struct weir_request *request = play_request("PUT", "/");
    struct weir_reply *reply = NULL;
    struct weir_pool_counts counts;
    hasty_may_end = false;
    raw_listen(&hasty);
    snprintf(url, sizeof url, "http://127.0.0.1:%u", addr_port(&hasty.addr));
    struct weir_peer *server = play_peer(url);
    CHECK_OK(weir_spawn(weir_loop_here(), answer_early, NULL));
    if (CHECK_OK(weir_fetch(connector, server, request, slice_of(body, BODY_BYTES), 100,
                            PLAY_DEADLINE, &reply)))
        CHECK_EQ(413, weir_response_status(weir_reply_response(reply)));
    hasty_may_end = true;
    weir_connector_counts(connector, &counts);
    CHECK_EQ(0, counts.idle + counts.in_use);
    weir_reply_free(&reply);
    weir_request_free(&request);
    weir_peer_free(&server);
    raw_close(hasty.descriptor);
    free(body);
}

PLAY(a_stale_connection_costs_nobody_anything)
{
    for (unsigned i = 0; i < 3; i++) {
        struct weir_reply *reply = play_fetch("GET", "/stale");
        CHECK(reply);
        weir_reply_free(&reply);
    }
    CHECK_EQ(3, origin.accepted);
    CHECK_EQ(3, origin.requests);
}

PLAY(what_may_not_go_twice_does_not)
{
    struct weir_request *request = play_request("POST", "/a");
    struct weir_reply *reply = play_fetch("GET", "/stale");
    weir_reply_free(&reply);
    enum weir_err err =
        weir_fetch(connector, peer, request, SLICE("x"), 100, PLAY_DEADLINE, &reply);
    CHECK(err == WEIR_E_EOF || err == WEIR_E_RESET);
    CHECK(!reply);
    CHECK_OK(weir_fields_set(weir_request_fields(request), "Idempotency-Key", SLICE("1")));
    reply = play_fetch("GET", "/stale");
    weir_reply_free(&reply);
    CHECK_OK(weir_fetch(connector, peer, request, SLICE("x"), 100, PLAY_DEADLINE, &reply));
    weir_reply_free(&reply);
    weir_request_free(&request);
}

static enum weir_err fetch(const char *path, uint64_t limit_bytes, struct weir_time deadline)
{
    struct weir_request *request = play_request("GET", path);
    struct weir_reply *reply = NULL;
    enum weir_err err = weir_fetch(connector, peer, request, (struct weir_slice){NULL, 0},
                                   limit_bytes, deadline, &reply);
    weir_request_free(&request);
    weir_reply_free(&reply);
    return err;
}

PLAY(what_is_too_large_is_not_taken)
{
    CHECK_OK(fetch("/big", BIG_BYTES, PLAY_DEADLINE));
    CHECK_ERR(WEIR_E_TOO_LARGE, fetch("/big", BIG_BYTES - 1, PLAY_DEADLINE));
    CHECK_ERR(WEIR_E_TOO_LARGE, fetch("/chunked", 5, PLAY_DEADLINE));
    CHECK_OK(fetch("/chunked", 11, PLAY_DEADLINE));
}

PLAY(errors_are_told)
{
    struct weir_pool_counts counts;
    CHECK_ERR(WEIR_E_RESPONSE_INCOMPLETE, fetch("/short", 100, PLAY_DEADLINE));
    enum weir_err err = fetch("/reset", 100, PLAY_DEADLINE);
    CHECK(err == WEIR_E_EOF || err == WEIR_E_RESET);
    CHECK_ERR(WEIR_E_RESPONSE_TIMEOUT, fetch("/silent", 100, weir_in(weir_span_ms(30))));
    weir_connector_counts(connector, &counts);
    CHECK_EQ(0, counts.idle + counts.in_use);
}

PLAY(nobody_is_there)
{
    struct origin closed;
    origin_open(&closed);
    origin_close(&closed);
    weir_peer_free(&peer);
    peer = play_peer(origin_url(&closed, "http://127.0.0.1"));
    CHECK_ERR(WEIR_E_REFUSED, fetch("/", 100, PLAY_DEADLINE));
    weir_peer_free(&peer);
    peer = play_peer("http://a-name.invalid");
    CHECK_ERR(WEIR_E_DNS_ERROR, fetch("/", 100, PLAY_DEADLINE));
}

CHECK_MAIN
