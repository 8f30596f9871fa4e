/* SPDX-License-Identifier: MIT */
/* What passes over a session, and what a caller is told when it does not. */
#include "upstream/session_h1.h"

#include "tests/unit/upstream/swap.h"

#define OK_5 "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"

STAGE_TEST(an_exchange_passes_and_the_next_one_uses_its_connection)
{
    if (!swap_begin("GET"))
        return;
    CHECK(raw_starts("GET / HTTP/1.1\r\nHost: example.com\r\n"));
    CHECK(swap.session->any_sent && swap.session->request_sent && !swap.session->any_received);
    raw_send(swap.server, OK_5);
    CHECK_OK(swap_recv_head());
    CHECK_EQ(200, swap.response.status);
    CHECK_SLICE(swap.response.reason, "OK");
    CHECK_EQ(BODY_LENGTH, swap.framing.body);
    CHECK(swap.session->any_received);
    struct http_piece piece;
    CHECK_OK(swap_recv_body(&piece));
    CHECK(!strcmp("hello", swap.body));
    uint64_t id = swap.session->conn->id;
    swap_release(true);
    CHECK_EQ(1, rig.pool.idle_count);

    if (!swap_get(CONNECTOR_ANY) || !swap_send())
        return;
    CHECK_EQ(id, swap.session->conn->id);
    CHECK(raw_nobody_waits(&rig.servers[0]));
    raw_send(swap.server, OK_5);
    CHECK_OK(swap_recv());
    swap_release(true);
    CHECK_EQ(1, rig.pool.idle_count);
    swap_end();
}

STAGE_TEST(a_session_that_was_not_used_goes_back)
{
    rig_open(8);
    if (!swap_get(CONNECTOR_ANY))
        return;
    uint64_t id = swap.session->conn->id;
    swap_release(true);
    CHECK_EQ(1, rig.pool.idle_count);
    if (!swap_get(CONNECTOR_ANY))
        return;
    CHECK_EQ(id, swap.session->conn->id);
    swap_request("GET");
    CHECK_OK(session_send_head(swap.session, &swap.request, &swap.request_framing));
    swap_release(true); /* the head was only written down */
    CHECK_EQ(1, rig.pool.idle_count);
    CHECK(raw_recv_now(swap.server, raw_text, 1) == RAW_NOTHING);
    swap_end();
}

STAGE_TEST(releasing_no_session_is_fine)
{
    swap.session = NULL;
    session_release(&swap.session, true);
}

STAGE_TEST(a_request_body_goes_in_its_framing)
{
    struct http_piece piece = {.slices = {SLICE("he"), SLICE("llo")}, .count = 2, .bytes = 5};
    rig_open(8);
    swap_request("POST");
    swap_field("Content-Length", "10");
    swap.request_framing = (struct http_framing){.body = BODY_LENGTH, .length = 10};
    if (!swap_get(CONNECTOR_ANY))
        return;
    CHECK_OK(session_send_head(swap.session, &swap.request, &swap.request_framing));
    CHECK_OK(session_send_piece(swap.session, &piece));
    CHECK(!swap.session->request_sent);
    piece.last = true;
    CHECK_OK(session_send_piece(swap.session, &piece));
    CHECK(swap.session->request_sent);
    CHECK(raw_read(swap.server, "\r\n\r\nhellohello") > 0);
    raw_send(swap.server, OK_5);
    CHECK_OK(swap_recv());
    swap_release(true);

    swap_request("POST");
    swap_field("Transfer-Encoding", "chunked");
    swap.request_framing = (struct http_framing){.body = BODY_CHUNKED};
    if (!swap_get(CONNECTOR_ANY) || !swap_send())
        return;
    piece.last = false;
    CHECK_OK(session_send_piece(swap.session, &piece));
    CHECK(raw_read(swap.server, "5\r\nhello\r\n") > 0);
    piece = (struct http_piece){.last = true};
    CHECK_OK(session_send_piece(swap.session, &piece));
    CHECK(raw_read(swap.server, "0\r\n\r\n") > 0);
    raw_send(swap.server, OK_5);
    CHECK_OK(swap_recv());
    swap_release(true);
    CHECK_EQ(1, rig.pool.idle_count);
    swap_end();
}

STAGE_TEST(interim_heads_come_one_by_one)
{
    if (!swap_begin("GET"))
        return;
    raw_send(swap.server, "HTTP/1.1 100 Continue\r\n\r\n"
                          "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" OK_5);
    CHECK_OK(session_recv_head(swap.session, &swap.response, &swap.framing));
    CHECK_EQ(100, swap.response.status);
    CHECK_OK(session_recv_head(swap.session, &swap.response, &swap.framing));
    CHECK_EQ(103, swap.response.status);
    CHECK_SLICE(fields_find_name(&swap.response.fields, SLICE("link"))->value, "</a>");
    CHECK_OK(session_recv_head(swap.session, &swap.response, &swap.framing));
    CHECK_EQ(200, swap.response.status);
    struct http_piece piece;
    CHECK_OK(swap_recv_body(&piece));
    CHECK(!strcmp("hello", swap.body));
    swap_release(true);
    CHECK_EQ(1, rig.pool.idle_count);
    swap_end();
}

STAGE_TEST(trailers_come_with_the_last_piece)
{
    struct http_piece piece;
    if (!swap_begin("GET"))
        return;
    raw_send(swap.server, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                          "3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\nX-Sum: 42\r\n\r\n");
    CHECK_OK(swap_recv_head());
    CHECK_OK(swap_recv_body(&piece));
    CHECK(!strcmp("hello", swap.body));
    if (CHECK(piece.trailers))
        CHECK_SLICE(fields_find_name(piece.trailers, SLICE("x-sum"))->value, "42");
    swap_release(true);
    CHECK_EQ(1, rig.pool.idle_count);
    swap_end();
}

/* RFC 9110 section 6.5.1: what frames or routes a message has no place behind its body. */
STAGE_TEST(trailers_that_must_not_be_trailers_are_left_out)
{
    struct http_piece piece;
    if (!swap_begin("GET"))
        return;
    raw_send(swap.server, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n"
                          "Content-Length: 3\r\nX-Sum: 42\r\nConnection: close\r\n\r\n");
    CHECK_OK(swap_recv_head());
    CHECK_OK(swap_recv_body(&piece));
    if (CHECK(piece.trailers)) {
        CHECK(!fields_find(piece.trailers, FIELD_CONTENT_LENGTH));
        CHECK(!fields_find(piece.trailers, FIELD_CONNECTION));
        CHECK(fields_find_name(piece.trailers, SLICE("x-sum")));
    }
    swap_release(true);
    swap_end();
}

STAGE_TEST(pieces_are_given_as_they_come)
{
    struct http_piece piece;
    if (!swap_begin("GET"))
        return;
    raw_send(swap.server, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe");
    CHECK_OK(swap_recv_head());
    CHECK_OK(session_piece_now(swap.session, &piece));
    CHECK_EQ(2, piece.bytes);
    CHECK(!piece.last);
    CHECK_OK(session_piece_now(swap.session, &piece));
    CHECK(piece.count == 0 && piece.bytes == 0 && !piece.last);
    raw_send(swap.server, "llo");
    CHECK_OK(session_recv_piece(swap.session, WEIR_NEVER, &piece));
    CHECK_EQ(3, piece.bytes);
    CHECK(piece.last);
    CHECK_OK(session_piece_now(swap.session, &piece));
    CHECK(piece.last && piece.bytes == 0);
    CHECK_OK(session_recv_piece(swap.session, WEIR_NEVER, &piece));
    CHECK(piece.last && piece.bytes == 0);
    swap_release(true);
    CHECK_EQ(1, rig.pool.idle_count);
    swap_end();
}

struct broken_case {
    const char *bytes;
    enum { STAYS, CLOSES, RESETS } then;
    enum weir_err err;
    bool any_received;
};

STAGE_TEST(each_way_to_break_has_its_error)
{
    static const struct broken_case cases[] = {
        {"", CLOSES, WEIR_E_EOF, false},
        {"", RESETS, WEIR_E_RESET, false},
        {"H", CLOSES, WEIR_E_RESET, true},
        {"HTTP/1.1 200 OK\r\nContent-Le", CLOSES, WEIR_E_RESET, true},
        {"HTTP/1.1 100 Continue\r\n\r\n", CLOSES, WEIR_E_EOF, true},
        {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel", CLOSES, WEIR_E_RESPONSE_INCOMPLETE,
         true},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", CLOSES,
         WEIR_E_RESPONSE_INCOMPLETE, true},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: ", CLOSES,
         WEIR_E_RESPONSE_INCOMPLETE, true},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n", STAYS,
         WEIR_E_RESPONSE_MALFORMED, true},
        {"SSH-2.0-x\r\n", STAYS, WEIR_E_RESPONSE_MALFORMED, true},
        {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello", STAYS,
         WEIR_E_RESPONSE_MALFORMED, true},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", STAYS, WEIR_E_RESPONSE_CODING, true},
        {"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", STAYS,
         WEIR_E_RESPONSE_MALFORMED, true},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        if (!swap_begin("GET"))
            return;
        raw_send(swap.server, cases[i].bytes);
        if (cases[i].then == CLOSES)
            shutdown(swap.server, SHUT_WR);
        if (cases[i].then == RESETS)
            raw_reset(swap.server);
        bool right = CHECK_ERR(cases[i].err, swap_recv());
        if (!CHECK_EQ(cases[i].any_received, swap.session->any_received) || !right)
            printf("# row %zu\n", i);
        swap_release(true);
        CHECK_EQ(0, rig.pool.idle_count);
        CHECK_EQ(1, rig_closed(0, CLOSE_ERROR));
        CHECK_EQ(1, rig_not_kept(0, KEEP_NOT_RESPONSE_INCOMPLETE));
        if (cases[i].then == RESETS)
            rig_close();
        else
            swap_end();
    }
}

static void use_timeouts(int64_t read_ms, int64_t write_ms)
{
    struct peer_limits limits = rig.peers[0].options.limits;
    limits.read_timeout = weir_span_ms(read_ms);
    limits.write_timeout = weir_span_ms(write_ms);
    rig_peer(0, &limits);
}

STAGE_TEST(read_timeout_ends_the_wait_for_head_and_for_body)
{
    static const char *const beginnings[] = {
        "",
        "HTTP/1.1 2",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel",
    };
    for (size_t i = 0; i < COUNT_OF(beginnings); i++) {
        rig_open(8);
        use_timeouts(20, 5000);
        swap_request("GET");
        if (!swap_get(CONNECTOR_ANY) || !swap_send())
            return;
        raw_send(swap.server, beginnings[i]);
        CHECK_ERR(WEIR_E_RESPONSE_TIMEOUT, swap_recv());
        CHECK_EQ(i > 0, swap.session->any_received);
        swap_release(true);
        CHECK_EQ(1, rig_closed(0, CLOSE_ERROR));
        swap_end();
    }
}

STAGE_TEST(a_pieces_deadline_ends_its_wait_earlier)
{
    struct http_piece piece;
    if (!swap_begin("GET"))
        return;
    raw_send(swap.server, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n");
    CHECK_OK(swap_recv_head());
    CHECK_ERR(WEIR_E_RESPONSE_TIMEOUT, session_recv_piece(swap.session, in_ms(10), &piece));
    raw_send(swap.server, "hello");
    CHECK_OK(swap_recv_body(&piece));
    swap_release(true);
    CHECK_EQ(1, rig.pool.idle_count);
    swap_end();
}

STAGE_TEST(write_timeout_ends_a_send_that_nobody_takes)
{
    static char bytes[64 * 1024];
    struct http_piece piece = {
        .slices = {{bytes, sizeof bytes}}, .count = 1, .bytes = sizeof bytes};
    rig_open(8);
    use_timeouts(5000, 20);
    swap_request("POST");
    swap_field("Transfer-Encoding", "chunked");
    swap.request_framing = (struct http_framing){.body = BODY_CHUNKED};
    if (!swap_get(CONNECTOR_ANY))
        return;
    CHECK_OK(session_send_head(swap.session, &swap.request, &swap.request_framing));
    enum weir_err err = WEIR_OK;
    for (int i = 0; i < 1000 && !err; i++)
        err = session_send_piece(swap.session, &piece);
    CHECK_ERR(WEIR_E_UPSTREAM_WRITE_TIMEOUT, err);
    CHECK(swap.session->any_sent && !swap.session->request_sent);
    swap_release(true);
    CHECK_EQ(1, rig_not_kept(0, KEEP_NOT_REQUEST_INCOMPLETE));
    CHECK_EQ(RAW_RESET, raw_await_end(swap.server));
    swap_end();
}

STAGE_TEST(an_upgrade_that_was_asked_for_becomes_a_tunnel)
{
    struct http_piece piece;
    rig_open(8);
    swap_request("GET");
    swap_field("Connection", "upgrade");
    swap_field("Upgrade", "echo");
    if (!swap_get(CONNECTOR_ANY) || !swap_send())
        return;
    raw_send(swap.server, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\n"
                          "Connection: upgrade\r\n\r\nfirst");
    CHECK_OK(swap_recv_head());
    CHECK_EQ(101, swap.response.status);
    CHECK_EQ(BODY_TUNNEL, swap.framing.body);
    CHECK_OK(session_recv_piece(swap.session, WEIR_NEVER, &piece));
    CHECK_SLICE(piece.slices[0], "first");
    piece = (struct http_piece){.slices = {SLICE("up")}, .count = 1, .bytes = 2};
    CHECK_OK(session_send_piece(swap.session, &piece));
    CHECK(raw_read(swap.server, "up") > 0);
    piece = (struct http_piece){.last = true};
    CHECK_OK(session_send_piece(swap.session, &piece));
    CHECK_EQ(0, raw_await_end(swap.server));
    raw_send(swap.server, "last");
    shutdown(swap.server, SHUT_WR);
    CHECK_OK(swap_recv_body(&piece));
    CHECK(!strcmp("last", swap.body));
    swap_release(true);
    CHECK_EQ(1, rig_not_kept(0, KEEP_NOT_UPGRADED));
    CHECK_EQ(0, rig.pool.idle_count);
    swap_end();
}

STAGE_TEST(a_request_head_that_does_not_fit_is_told_and_nothing_is_sent)
{
    static char value[IOBUF_BYTES + 1];
    memset(value, 'v', IOBUF_BYTES);
    rig_open(8);
    swap_request("GET");
    swap_field("X-Large", value);
    if (!swap_get(CONNECTOR_ANY))
        return;
    CHECK_ERR(WEIR_E_REQUEST_HEAD_LENGTH,
              session_send_head(swap.session, &swap.request, &swap.request_framing));
    CHECK(!swap.session->any_sent);
    swap_release(true);
    CHECK_EQ(1, rig.pool.idle_count);
    swap_end();
}

CHECK_MAIN
