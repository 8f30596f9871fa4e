/* SPDX-License-Identifier: MIT */
/* Bodies and tunnels through a whole service: both ways at once, slow sides, and sides that go. */
#include "proxy/relay.h"

#include "tests/unit/proxy/front.h"

#define POST_CHUNKED "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
#define CHUNKED_OK "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"

/* Each piece is passed on when it comes, not when the body is whole. */
STAGE_TEST(pieces_pass_both_ways_as_they_come)
{
    front_open(1);
    int client = front_client();
    raw_send(client, POST_CHUNKED);
    int server = raw_accept(&front.servers[0]);
    raw_read_head(server);
    raw_send(server, CHUNKED_OK);
    CHECK(raw_read_head(client));
    for (int i = 0; i < 5; i++) {
        raw_send(client, "2\r\nup\r\n");
        CHECK(raw_read(server, "2\r\nup\r\n") > 0);
        raw_send(server, "4\r\ndown\r\n");
        CHECK(raw_read(client, "4\r\ndown\r\n") > 0);
    }
    raw_send(client, "0\r\nX-Sum: 1\r\nContent-Length: 5\r\n\r\n");
    CHECK(raw_read(server, "0\r\nX-Sum: 1\r\n\r\n") > 0);
    raw_send(server, "0\r\nX-Sum: 2\r\n\r\n");
    CHECK(raw_read(client, "0\r\nX-Sum: 2\r\n\r\n") > 0);
    STAGE_UNTIL(front.service->pool.idle_count == 1);
    raw_close(client);
    raw_close(server);
    front_close();
}

/* The whole answer comes while the client still sends: it is delivered, and the rest is not asked
 * for. */
STAGE_TEST(an_early_answer_ends_the_upload)
{
    front_open(1);
    int client = front_client();
    raw_send(client, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nhello");
    int server = raw_accept(&front.servers[0]);
    CHECK(raw_read(server, "\r\n\r\nhello") > 0);
    raw_send(server, "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno");
    CHECK(raw_read(client, "\r\n\r\nno") > 0);
    CHECK(raw_starts("HTTP/1.1 403 Forbidden\r\n"));
    CHECK_EQ(RAW_RESET, raw_await_end(server));
    STAGE_UNTIL(front.logged == 1);
    CHECK_EQ(1, stat_read(&front_stats()->not_kept[KEEP_NOT_REQUEST_INCOMPLETE]));
    /* The client's connection lives on when the rest of its body is short. */
    raw_send(client, "world");
    raw_close(server);
    server = front_exchange(client, -1);
    raw_close(client);
    raw_close(server);
    front_close();
}

/* A server that answers and closes while it is still sent to: its answer counts, not the broken
 * send. */
STAGE_TEST(an_answer_before_a_reset_is_delivered)
{
    static char bytes[64 * 1024];
    front_open(1);
    int client = front_client();
    raw_send(client, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100000000\r\n\r\n");
    int server = raw_accept(&front.servers[0]);
    raw_read_head(server);
    raw_send(server, "HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno");
    for (int i = 0; i < 4; i++)
        raw_send_bytes(client, bytes, sizeof bytes);
    CHECK(raw_read(client, "\r\n\r\nno") > 0);
    CHECK(raw_starts("HTTP/1.1 413 Too Large\r\n"));
    raw_close(server);
    raw_close(client);
    front_close();
}

STAGE_TEST(expect_waits_for_the_servers_100)
{
    front_open(1);
    int client = front_client();
    raw_send(client,
             "POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
    int server = raw_accept(&front.servers[0]);
    raw_read_head(server);
    CHECK(raw_has("\r\nExpect: 100-continue\r\n"));
    raw_send(server, "HTTP/1.1 100 Continue\r\n\r\n");
    CHECK(raw_read_head(client));
    CHECK(raw_starts("HTTP/1.1 100 Continue\r\n"));
    raw_send(client, "hi");
    CHECK(raw_read(server, "hi") > 0);
    raw_send(server, FRONT_OK);
    CHECK(raw_read(client, "hello") > 0);
    CHECK(!strstr(raw_text, "Connection"));
    STAGE_UNTIL(front.service->pool.idle_count == 1);
    raw_close(client);
    raw_close(server);
    front_close();
}

enum { LARGE_BYTES = 32 * 1024 * 1024 };

/* How much one side takes while the other does not read: bounded by buffers, not by the body. */
WEIR_SUSPENDS static size_t pour(int descriptor)
{
    static char bytes[64 * 1024];
    size_t sum = 0;
    for (int quiet = 0; quiet < 20 && sum < LARGE_BYTES;) {
        ssize_t sent = send(descriptor, bytes, sizeof bytes, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent > 0) {
            sum += (size_t)sent;
            quiet = 0;
        } else {
            quiet++;
            stage_breathe();
        }
    }
    return sum;
}

WEIR_SUSPENDS static size_t drink(int descriptor, size_t bytes)
{
    static char taken[64 * 1024];
    size_t sum = 0;
    while (sum < bytes) {
        ssize_t count = raw_recv_now(descriptor, taken, sizeof taken);
        if (count > 0)
            sum += (size_t)count;
        else if (count != RAW_NOTHING || !stage_breathe())
            break;
    }
    return sum;
}

STAGE_TEST(a_slow_reader_stops_the_sender)
{
    front_open(1);
    int client = front_client();
    raw_send(client, "PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 33554432\r\n\r\n");
    int server = raw_accept(&front.servers[0]);
    raw_read_head(server);
    size_t up = pour(client);
    CHECK(up > 0 && up < LARGE_BYTES);
    CHECK(stage.loop.bufs.used_count <= 4);
    CHECK_EQ(up, drink(server, up));

    raw_send(server, "HTTP/1.1 200 OK\r\nContent-Length: 33554432\r\n\r\n");
    CHECK(raw_read_head(client));
    size_t down = pour(server);
    CHECK(down > 0 && down < LARGE_BYTES);
    CHECK(stage.loop.bufs.used_count <= 4);
    CHECK_EQ(down, drink(client, down));
    raw_reset(client);
    raw_close(server);
    front_close();
}

STAGE_TEST(an_upgrade_is_a_tunnel_from_end_to_end)
{
    front_open(1);
    int client = front_client();
    raw_send(client,
             "GET /chat HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n");
    int server = raw_accept(&front.servers[0]);
    raw_read_head(server);
    CHECK(raw_has("\r\nUpgrade: websocket\r\n"));
    raw_send(server, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                     "Connection: upgrade\r\n\r\nwelcome");
    CHECK(raw_read(client, "welcome") > 0);
    CHECK(raw_starts("HTTP/1.1 101 Switching Protocols\r\n") &&
          raw_has("\r\nUpgrade: websocket\r\n"));
    raw_send(client, FRONT_GET);
    CHECK(raw_read(server, FRONT_GET) > 0);
    raw_send(server, "\x81\x02ok");
    CHECK(raw_read(client, "ok") > 0);
    shutdown(client, SHUT_WR);
    CHECK_EQ(0, raw_await_end(server));
    raw_send(server, "goodbye");
    raw_close(server);
    CHECK(raw_read_all(client));
    CHECK(raw_starts("goodbye"));
    STAGE_UNTIL(front.logged == 1);
    CHECK_EQ(101, front.status);
    CHECK_OK(front.error);
    CHECK_EQ(1, stat_read(&front_stats()->not_kept[KEEP_NOT_UPGRADED]));
    raw_close(client);
    front_close();
}

STAGE_TEST(a_silent_tunnel_ends)
{
    front_prepare(1);
    front.upstream.limits.read_timeout = weir_span_ms(300);
    front_start();
    int client = front_client();
    raw_send(client,
             "GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n");
    int server = raw_accept(&front.servers[0]);
    raw_read_head(server);
    raw_send(server, "HTTP/1.1 101 S\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n");
    CHECK(raw_read_head(client));
    /* The client alone speaks, for longer than the server may be silent. */
    struct weir_time until = in_ms(700);
    while (weir_time_before(loop_now(&stage.loop), until)) {
        raw_send(client, ".");
        if (!CHECK(raw_read(server, ".") > 0) || !stage_breathe())
            break;
    }
    CHECK(raw_await_end(client) != RAW_NOTHING);
    STAGE_UNTIL(front.logged == 1);
    CHECK_ERR(WEIR_E_RESPONSE_TIMEOUT, front.error);
    raw_close(client);
    raw_close(server);
    front_close();
}

struct upgrade_case {
    const char *line;
    const char *fields;
};

/*
 * Any other protocol would take the client past what is decided here; and WebSocket begins with a
 * GET of HTTP/1.1 (RFC 6455 section 4.1).
 */
STAGE_TEST(nothing_else_is_upgraded)
{
    static const struct upgrade_case cases[] = {
        {"GET / HTTP/1.1",
         "Upgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\nConnection: Upgrade, HTTP2-Settings\r\n"},
        {"GET / HTTP/1.1", "Upgrade: TLS/1.0\r\nConnection: upgrade\r\n"},
        {"GET / HTTP/1.1", "Upgrade: websocket\r\n"},
        {"GET / HTTP/1.0", "Upgrade: websocket\r\nConnection: upgrade\r\n"},
        {"HEAD / HTTP/1.1", "Upgrade: websocket\r\nConnection: upgrade\r\n"},
        {"POST / HTTP/1.1", "Upgrade: websocket\r\nConnection: upgrade\r\n"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        char request[256];
        front_open(1);
        int client = front_client();
        snprintf(request, sizeof request, "%s\r\nHost: h\r\n%s\r\n", cases[i].line,
                 cases[i].fields);
        raw_send(client, request);
        int server = raw_accept(&front.servers[0]);
        raw_read_head(server);
        CHECK(!strstr(raw_text, "pgrade") && !strstr(raw_text, "HTTP2"));
        raw_send(server, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                         "Connection: upgrade\r\n\r\n");
        CHECK(raw_read_head(client));
        CHECK(raw_starts("HTTP/1.1 502 Bad Gateway\r\n"));
        raw_close(client);
        raw_close(server);
        front_close();
    }
}

/*
 * A request that has a body and asks for an upgrade: two would read from the client once the tunnel
 * stands. So it is passed on without the wish.
 */
STAGE_TEST(a_request_with_a_body_is_not_upgraded)
{
    static const char *const fields[] = {"Content-Length: 5\r\n", "Transfer-Encoding: chunked\r\n"};
    for (size_t i = 0; i < COUNT_OF(fields); i++) {
        front_open(1);
        int client = front_client();
        raw_send(client, "GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\n"
                         "Connection: upgrade\r\n");
        raw_send(client, fields[i]);
        raw_send(client, "\r\n");
        int server = raw_accept(&front.servers[0]);
        raw_read_head(server);
        CHECK(!strstr(raw_text, "pgrade"));
        raw_send(server, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                         "Connection: upgrade\r\n\r\n");
        CHECK(raw_read_head(client));
        CHECK(raw_starts("HTTP/1.1 502 Bad Gateway\r\n"));
        raw_reset(client);
        raw_close(server);
        front_close();
    }
}

STAGE_TEST(an_upgrade_that_is_declined_is_an_ordinary_exchange)
{
    front_open(1);
    int client = front_client();
    raw_send(client,
             "GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n");
    int server = raw_accept(&front.servers[0]);
    raw_read_head(server);
    raw_send(server, FRONT_OK);
    CHECK(raw_read(client, "hello") > 0);
    STAGE_UNTIL(front.service->pool.idle_count == 1);
    front_exchange(client, server);
    raw_close(client);
    raw_close(server);
    front_close();
}

STAGE_TEST(a_response_until_close_reaches_the_client_whole)
{
    front_open(1);
    int client = front_client();
    raw_send(client, FRONT_GET);
    int server = raw_accept(&front.servers[0]);
    raw_read_head(server);
    raw_send(server, "HTTP/1.1 200 OK\r\n\r\nhello");
    raw_close(server);
    CHECK(raw_read(client, "0\r\n\r\n") > 0);
    CHECK(raw_has("Transfer-Encoding: chunked\r\n") && raw_has("\r\n5\r\nhello\r\n"));
    server = front_exchange(client, -1);
    raw_close(client);
    raw_close(server);
    front_close();
}

CHECK_MAIN
