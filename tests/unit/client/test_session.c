/* SPDX-License-Identifier: MIT */
#include "client/session.h"

#include "client/peer.h"
#include "client/transports.h"

#include "tests/unit/client/play.h"
#include "tests/unit/io/kernels.h"
#include "tests/unit/stream/toy_transport.h"

#include <poll.h>

/* A session whose head is written down. */
WEIR_SUSPENDS static struct weir_session *begin(const char *method, const char *path,
                                                uint64_t body_bytes)
{
    struct weir_request *request = play_request(method, path);
    struct weir_session *session = NULL;
    CHECK_OK(weir_connector_get(connector, peer, WEIR_ANY, PLAY_DEADLINE, &session));
    CHECK_OK(weir_session_send_head(session, request, body_bytes));
    weir_request_free(&request); /* it was copied */
    return session;
}

WEIR_SUSPENDS static unsigned recv_status(struct weir_session *session)
{
    struct weir_response *response = NULL;
    return CHECK_OK(weir_session_recv_head(session, &response)) ? weir_response_status(response)
                                                                : 0;
}

/* The whole body. */
WEIR_SUSPENDS static struct weir_slice recv_body(struct weir_session *session)
{
    static char body[BIG_BYTES + 1];
    struct weir_piece piece = {.last = false};
    size_t len = 0;
    while (!piece.last && CHECK_OK(weir_session_recv(session, PLAY_DEADLINE, &piece))) {
        if (!CHECK(len + piece.bytes.len < sizeof body))
            break;
        if (piece.bytes.len > 0)
            memcpy(body + len, piece.bytes.at, piece.bytes.len);
        len += piece.bytes.len;
    }
    return slice_of(body, len);
}

static unsigned idle_count(void)
{
    struct weir_pool_counts counts;
    weir_connector_counts(connector, &counts);
    return counts.idle;
}

PLAY(a_whole_exchange_keeps_the_connection)
{
    struct weir_connection connection;
    struct weir_piece piece;
    struct weir_session *session = begin("GET", "/a", WEIR_BODY_NONE);
    CHECK_EQ(200, recv_status(session));
    CHECK_SLICE(recv_body(session), "GET /a HTTP/1.1");
    CHECK_EQ(1, idle_count()); /* before the release */
    CHECK_OK(weir_session_recv(session, PLAY_DEADLINE, &piece));
    CHECK(piece.last && piece.bytes.len == 0);
    weir_session_connection(session, &connection);
    CHECK_EQ(1, connection.requests);
    CHECK(connection.connect.ns > 0);
    CHECK(weir_session_release(&session));
    CHECK(!session);
    CHECK(!weir_session_release(&session));
    CHECK_EQ(1, idle_count());
}

PLAY(the_head_lasts_until_the_release)
{
    struct weir_response *response = NULL;
    struct weir_session *session = begin("GET", "/big", WEIR_BODY_NONE);
    CHECK_OK(weir_session_recv_head(session, &response));
    CHECK_EQ(BIG_BYTES, recv_body(session).len);
    CHECK_SLICE(weir_fields_get(weir_response_fields(response), "content-length"), "300000");
    CHECK_OK(weir_fields_set(weir_response_fields(response), "A", SLICE("b")));
    CHECK(weir_session_release(&session));
}

PLAY(interim_heads_are_dropped)
{
    struct weir_session *session = begin("GET", "/interim", WEIR_BODY_NONE);
    CHECK_EQ(200, recv_status(session));
    CHECK_SLICE(recv_body(session), "GET /interim HTTP/1.1");
    CHECK(weir_session_release(&session));
}

PLAY(a_body_goes_in_pieces)
{
    static const uint64_t lengths[] = {9, WEIR_BODY_UNKNOWN};
    for (size_t i = 0; i < COUNT_OF(lengths); i++) {
        struct weir_session *session = begin("POST", "/echo", lengths[i]);
        CHECK_OK(weir_session_send(session, SLICE("one"), false));
        CHECK_OK(weir_session_send(session, SLICE(""), false));
        CHECK_OK(weir_session_send(session, SLICE("twothr"), lengths[i] == 9));
        if (lengths[i] != 9)
            CHECK_OK(weir_session_send(session, SLICE(""), true));
        CHECK_EQ(200, recv_status(session));
        struct weir_slice body = recv_body(session);
        CHECK(memmem(body.at, body.len, "one", 3) && memmem(body.at, body.len, "twothr", 6));
        CHECK(weir_session_release(&session));
    }
}

PLAY(what_is_not_as_long_as_was_said_is_refused)
{
    static const struct {
        uint64_t said;
        const char *sent;
        bool last;
    } rows[] = {{3, "four", false},
                {3, "four", true},
                {3, "ab", true},
                {3, "", true},
                {0, "a", true},
                {0, "a", false},
                {WEIR_BODY_NONE, "a", false},
                {WEIR_BODY_NONE, "a", true}};
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct weir_session *session = begin("POST", "/echo", rows[i].said);
        CHECK_ERR(WEIR_E_BODY_LENGTH,
                  weir_session_send(session, weir_str(rows[i].sent), rows[i].last));
        weir_session_release(&session);
    }
    CHECK_EQ(0, atomic_load(&origin.requests));
}

PLAY(no_body_needs_no_send)
{
    static const uint64_t lengths[] = {0, WEIR_BODY_NONE};
    for (size_t i = 0; i < COUNT_OF(lengths); i++) {
        struct weir_session *session = begin("PUT", "/a", lengths[i]);
        CHECK_OK(weir_session_send(session, SLICE(""), true));
        CHECK_EQ(200, recv_status(session));
        CHECK_SLICE(recv_body(session), "PUT /a HTTP/1.1");
        CHECK(weir_session_release(&session));
    }
    CHECK_EQ(1, origin.accepted);
}

PLAY(what_is_not_whole_is_not_kept)
{
    struct weir_session *session = begin("POST", "/echo", 9);
    CHECK_OK(weir_session_send(session, SLICE("part"), false));
    CHECK(!weir_session_release(&session));
    session = begin("GET", "/big", WEIR_BODY_NONE);
    CHECK_EQ(200, recv_status(session));
    CHECK(!weir_session_release(&session));
    session = begin("GET", "/close", WEIR_BODY_NONE);
    CHECK_EQ(200, recv_status(session));
    CHECK_SLICE(recv_body(session), "GET /close HTTP/1.1");
    CHECK(!weir_session_release(&session));
    CHECK_EQ(0, idle_count());
}

PLAY(a_session_that_was_not_used_is_kept)
{
    struct weir_session *session = NULL;
    CHECK_OK(weir_connector_get(connector, peer, WEIR_SURE, PLAY_DEADLINE, &session));
    CHECK(weir_session_release(&session));
    CHECK_EQ(1, idle_count());
    CHECK_OK(weir_connector_get(connector, peer, WEIR_FRESH, PLAY_DEADLINE, &session));
    CHECK(weir_session_release(&session));
    CHECK_EQ(2, idle_count());
}

PLAY(who_has_no_authority_gets_the_urls)
{
    struct weir_request *request = NULL;
    struct weir_session *session = NULL;
    char want[64];
    CHECK_OK(weir_request_new("GET", NULL, "/", &request));
    CHECK_OK(weir_connector_get(connector, peer, WEIR_ANY, PLAY_DEADLINE, &session));
    CHECK_OK(weir_session_send_head(session, request, WEIR_BODY_NONE));
    (void)snprintf(want, sizeof want, "127.0.0.1:%u", origin.port);
    CHECK_SLICE(session->peer->authority, want);
    CHECK_EQ(200, recv_status(session));
    CHECK_SLICE(weir_request_authority(request), "");
    weir_session_release(&session);
    weir_request_free(&request);
}

/* One sends while the other receives. */
struct duplex {
    struct weir_session *session;
    enum weir_err err;
};

static void send_slowly(void *argument)
{
    struct duplex *duplex = argument;
    for (unsigned i = 0; i < 4 && !duplex->err; i++) {
        CHECK_OK(weir_sleep(weir_span_ms(1)));
        duplex->err = weir_session_send(duplex->session, SLICE("ab"), i == 3);
    }
}

PLAY(two_coroutines_send_and_receive)
{
    struct weir_scope *scope = NULL;
    struct duplex duplex = {.session = begin("POST", "/echo", 8)};
    CHECK_OK(weir_scope_open(&scope));
    CHECK_OK(weir_scope_spawn(scope, send_slowly, &duplex));
    CHECK_EQ(200, recv_status(duplex.session));
    CHECK_SLICE(recv_body(duplex.session), "abababab");
    CHECK_OK(weir_scope_join(&scope));
    CHECK_OK(duplex.err);
    CHECK(weir_session_release(&duplex.session));
}

/* --- Over a transport that takes what it is told to take -------------------------------------- */

/* A peer whose sends and receives may take that long. */
static struct weir_peer *toy_peer(struct weir_span timeout)
{
    struct weir_peer_options options;
    struct weir_peer *made = NULL;
    if (!transports_find(SLICE("toymemory:x"), &(struct weir_slice){NULL, 0}).bytes)
        CHECK_OK(weir_transport_register(&toy_memory));
    toy = (struct toy){.room = 0};
    weir_peer_options_init(&options);
    options.url = "toymemory:x";
    options.read_timeout = options.write_timeout = timeout;
    CHECK_OK(weir_peer_new(&options, NULL, &made));
    return made;
}

static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

/* However much of it was sent: the rest would be taken for what is missing. */
PLAY(after_a_send_has_failed_nothing_is_sent)
{
    weir_peer_free(&peer);
    peer = toy_peer(weir_span_ms(5));
    struct weir_session *session = begin("PUT", "/", 10);
    toy.room = strlen("PUT / HTTP/1.1\r\nHost: example.com\r\nContent-Length: 10\r\n\r\n012");
    CHECK_ERR(WEIR_E_UPSTREAM_WRITE_TIMEOUT, weir_session_send(session, SLICE("01234"), false));
    toy_take(1000);
    CHECK_ERR(WEIR_E_UPSTREAM_WRITE_TIMEOUT, weir_session_send(session, SLICE("56789"), true));
    CHECK_SLICE(slice_of(toy.out + toy.out_bytes - 3, 3), "012");
    toy_say(answer);
    CHECK_EQ(200, recv_status(session));
    CHECK(!weir_session_release(&session));
}

static void send_nothing(void *argument)
{
    struct duplex *duplex = argument;
    duplex->err = weir_session_send(duplex->session, SLICE(""), false);
}

/* Only one of them sends the head. */
PLAY(a_head_may_be_on_its_way_when_one_receives)
{
    struct weir_scope *scope = NULL;
    struct weir_response *response;
    weir_peer_free(&peer);
    peer = toy_peer(weir_span_ms(5));
    struct duplex duplex = {.session = begin("PUT", "/", WEIR_BODY_UNKNOWN)};
    CHECK_OK(weir_scope_open(&scope));
    CHECK_OK(weir_scope_spawn(scope, send_nothing, &duplex));
    CHECK_OK(weir_yield());
    CHECK_ERR(WEIR_E_RESPONSE_TIMEOUT, weir_session_recv_head(duplex.session, &response));
    CHECK_OK(weir_scope_join(&scope));
    CHECK_ERR(WEIR_E_UPSTREAM_WRITE_TIMEOUT, duplex.err);
    CHECK(!weir_session_release(&duplex.session));
}

static void receive_one(void *argument)
{
    bool *received = argument;
    CHECK_OK(weir_connector_new(weir_loop_here(), NULL, &connector));
    struct weir_session *session = begin("GET", "/", WEIR_BODY_NONE);
    *received = recv_status(session) == 200;
    CHECK(weir_session_release(&session));
    weir_connector_free(&connector);
}

/* What a transport hears of in a callback of the program's own loop. */
static void tell_from_outside(const struct backend_ops *kernel)
{
    struct weir_loop_options options;
    struct weir_loop *loop = NULL;
    struct pollfd waits = {.events = POLLIN};
    bool received = false;
    weir_loop_options_init(&options);
    options.io = kernel == &epoll_ops ? WEIR_IO_EPOLL : WEIR_IO_URING;
    peer = toy_peer(weir_span_s(10));
    toy.room = 1000;
    CHECK_OK(weir_loop_new(&options, &loop));
    CHECK_OK(weir_loop_fd(loop, &waits.fd));
    CHECK_OK(weir_spawn(loop, receive_one, &received));
    weir_loop_step(loop);
    while (poll(&waits, 1, 20) > 0)
        weir_loop_step(loop);
    toy_say(answer);
    CHECK_EQ(1, poll(&waits, 1, 5000));
    weir_loop_step(loop);
    CHECK(received);
    weir_loop_free(&loop);
    weir_peer_free(&peer);
}
TEST_EACH_KERNEL(a_word_from_outside_makes_the_descriptor_readable, tell_from_outside)

CHECK_MAIN
