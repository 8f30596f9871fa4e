/* SPDX-License-Identifier: MIT */
#include "upstream/session_h2.h"

#include "tests/unit/upstream/h2_host.h"

/* One session whose server has told its SETTINGS. */
WEIR_SUSPENDS static struct session *begin(void)
{
    host_open(100);
    ask_many(1);
    if (!all_have(1) || !STAGE_UNTIL(conn_of(0)->h2->settled))
        return NULL;
    return askers[0].session;
}

WEIR_SUSPENDS static void finish(void)
{
    give_all_back();
    host_fini();
}

static struct end_user *server_user(unsigned user)
{
    return &hosts.at[0].end.users[user];
}

/* Its request has reached the server. */
WEIR_SUSPENDS static bool begin_get(void)
{
    struct session *session = begin();
    return session && CHECK_OK(send_get(session)) && STAGE_UNTIL(hosts.at[0].end.user_count == 1);
}

WEIR_SUSPENDS static enum weir_err recv_head(void)
{
    return session_recv_head(askers[0].session, &swap.response, &swap.framing);
}

/* A frame from the server that its session knows nothing of. */
static void send_frame(uint8_t type, uint8_t flags, int32_t id, struct weir_slice payload)
{
    char frame[256];
    size_t length = end_write_frame(frame, type, flags, id, payload);
    raw_send_bytes(hosts.at[0].descriptor, frame, length);
}

/* --- Requests -------------------------------------------------------------------------------- */

STAGE_TEST(a_request_is_told_whole)
{
    struct session *session = begin();
    if (session) {
        swap_request("PUT");
        swap.request.authority = SLICE("www.example.com:8080");
        swap.request.path = SLICE("/a?b");
        swap_field("x-one", "1");
        swap.request_framing = (struct http_framing){.body = BODY_LENGTH, .length = 0};
        CHECK_OK(session_send_head(session, &swap.request, &swap.request_framing));
        CHECK(!session->any_sent);
        CHECK_OK(session_flush(session));
        CHECK(session->any_sent && session->request_sent);
        STAGE_UNTIL(hosts.at[0].end.user_count == 1);
        const struct http_request *request = server_user(0)->stream.request;
        CHECK_OK(server_user(0)->err);
        CHECK_SLICE(request->method_text, "PUT");
        CHECK_SLICE(request->authority, "www.example.com:8080");
        CHECK_SLICE(request->path, "/a?b");
        CHECK(fields_find_name(&request->fields, SLICE("x-one")));
        CHECK(server_user(0)->stream.received);
    }
    finish();
}

STAGE_TEST(a_body_and_trailers_both_ways)
{
    static char text[100000];
    struct fields trailers;
    struct session *session = begin();
    struct http_piece piece = {
        .slices = {slice_of(text, sizeof text)}, .count = 1, .bytes = sizeof text, .last = true};
    fields_init(&trailers);
    must(fields_add(&trailers, SLICE("x-sum"), SLICE("1")));
    piece.trailers = &trailers;
    if (session) {
        size_t bytes = 0;
        struct http_piece got = {0};
        static struct end_sender sender;
        swap_request("POST");
        swap.request.authority = SLICE("h");
        swap.request_framing = (struct http_framing){.body = BODY_CHUNKED};
        CHECK_OK(session_send_head(session, &swap.request, &swap.request_framing));
        hosts.reads = true;
        CHECK_OK(session_send_piece(session, &piece));
        CHECK(session->request_sent);
        STAGE_UNTIL(server_user(0)->stream.received);
        CHECK(server_user(0)->stream.in_trailers);
        end_answer(server_user(0), false);
        end_spawn(&sender, &server_user(0)->stream, sizeof end_body, true);
        sender.piece.trailers = &trailers;
        CHECK_OK(recv_head());
        CHECK_EQ(BODY_CHUNKED, swap.framing.body);
        while (!got.last && CHECK_OK(session_recv_piece(session, WEIR_NEVER, &got)))
            bytes += got.bytes;
        CHECK_EQ(sizeof end_body, bytes);
        CHECK(got.trailers && fields_find_name(got.trailers, SLICE("x-sum")));
        STAGE_UNTIL(!sender.co);
    }
    finish();
}

/* --- Responses ------------------------------------------------------------------------------- */

STAGE_TEST(interim_responses_come_first)
{
    if (begin_get()) {
        CHECK_OK(h2_stream_interim(&server_user(0)->stream, &end_interim));
        host_answer(&hosts.at[0], 0);
        CHECK_OK(recv_head());
        CHECK_EQ(103, swap.response.status);
        CHECK(askers[0].session->any_received);
        CHECK_OK(recv_head());
        CHECK_EQ(200, swap.response.status);
        CHECK(swap.framing.body == BODY_LENGTH && swap.framing.length == 0);
    }
    finish();
}

static const struct {
    const char *name;
    struct weir_slice block; /* of the head; empty: none comes */
    int64_t code;            /* of the reset that follows; -1: none does */
    enum peer_protocol protocol;
    enum weir_err err;
} answers[] = {
    {"refused", SLICE(""), NGHTTP2_REFUSED_STREAM, PEER_HTTP2, WEIR_E_STREAM_REFUSED},
    {"reset", SLICE(""), NGHTTP2_CANCEL, PEER_HTTP2, WEIR_E_STREAM_RESET},
    {"wants HTTP/1.1", SLICE(""), NGHTTP2_HTTP_1_1_REQUIRED, PEER_AUTO, WEIR_E_HTTP_1_1_REQUIRED},
    {"wants HTTP/1.1, in vain", SLICE(""), NGHTTP2_HTTP_1_1_REQUIRED, PEER_HTTP2,
     WEIR_E_HTTP_1_1_REQUIRED},
    {"101",
     SLICE("\x08\x03"
           "101"),
     -1, PEER_HTTP2, WEIR_E_RESPONSE_MALFORMED},
    {"two lengths",
     SLICE("\x88\x0f\x0d\x01"
           "5\x0f\x0d\x01"
           "6"),
     -1, PEER_HTTP2, WEIR_E_RESPONSE_MALFORMED},
    {"no status", SLICE("\x00\x01x\x01y"), -1, PEER_HTTP2, WEIR_E_RESPONSE_MALFORMED},
};

STAGE_TEST(what_a_server_may_answer)
{
    for (size_t i = 0; i < COUNT_OF(answers); i++) {
        if (!begin_get())
            return;
        struct pool_key *key = conn_of(0)->key;
        rig.peers[0].options.protocol = answers[i].protocol;
        hosts.at[0].mute = true;
        if (answers[i].block.len > 0)
            send_frame(NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, 1, answers[i].block);
        const char code[] = {0, 0, 0, (char)answers[i].code};
        if (answers[i].code >= 0)
            send_frame(NGHTTP2_RST_STREAM, 0, 1, slice_of(code, sizeof code));
        enum weir_err err = recv_head();
        if (!CHECK_ERR(answers[i].err, err))
            printf("# %s\n", answers[i].name);
        CHECK_EQ(answers[i].err == WEIR_E_HTTP_1_1_REQUIRED && answers[i].protocol == PEER_AUTO,
                 census_prefers_http1(key->census, loop_now(&stage.loop)));
        CHECK(!conn_of(0)->h2->retired); /* it was one stream */
        hosts.at[0].mute = false;
        finish();
    }
}

STAGE_TEST(a_response_that_is_cut_off)
{
    static struct end_sender sender;
    struct http_piece piece;
    if (begin_get()) {
        end_answer(server_user(0), false);
        end_spawn(&sender, &server_user(0)->stream, 10, false);
        STAGE_UNTIL(!sender.co);
        CHECK_OK(recv_head());
        CHECK_OK(session_recv_piece(askers[0].session, WEIR_NEVER, &piece));
        CHECK_EQ(10, piece.bytes);
        h2_stream_end(&server_user(0)->stream, NGHTTP2_INTERNAL_ERROR);
        CHECK_ERR(WEIR_E_RESPONSE_INCOMPLETE,
                  session_recv_piece(askers[0].session, WEIR_NEVER, &piece));
        give_back(0);
        CHECK_EQ(1, rig.pool.idle_count); /* the connection is as good as before */
    }
    finish();
}

STAGE_TEST(a_response_that_does_not_come)
{
    struct peer_options options;
    host_open(100);
    options = host_options(0);
    options.limits.read_timeout = weir_span_ms(20);
    peer_init(&rig.peers[0], &options);
    ask_many(1);
    if (all_have(1)) {
        CHECK_OK(send_get(askers[0].session));
        CHECK_ERR(WEIR_E_RESPONSE_TIMEOUT, recv_head());
        give_back(0);
        STAGE_UNTIL(hosts.at[0].end.user_count == 1 && server_user(0)->stream.closed);
        CHECK_EQ(NGHTTP2_CANCEL, server_user(0)->stream.code);
    }
    finish();
}

STAGE_TEST(a_connection_that_breaks)
{
    if (begin_get()) {
        host_close(&hosts.at[0]);
        CHECK_ERR(WEIR_E_EOF, recv_head());
        CHECK(askers[0].session->any_sent && !askers[0].session->any_received);
    }
    finish();
    CHECK_EQ(1, rig_closed(0, CLOSE_PEER_CLOSED));
}

/* What is not read of one does not hold up the other, and what was not read is dropped. */
STAGE_TEST(one_ends_in_the_middle_and_others_go_on)
{
    static struct end_sender sender;
    if (begin_get()) {
        ask_for(1, CONNECTOR_ANY);
        STAGE_UNTIL(askers[1].over);
        CHECK_OK(askers[1].err);
        CHECK_OK(send_get(askers[1].session));
        STAGE_UNTIL(hosts.at[0].end.user_count == 2);
        end_answer(server_user(0), false);
        end_spawn(&sender, &server_user(0)->stream, sizeof end_body, false);
        CHECK_OK(recv_head());
        stage_turns();
        session_release(&askers[0].session, false);
        STAGE_UNTIL(server_user(0)->stream.closed && !sender.co);
        CHECK_EQ(NGHTTP2_CANCEL, server_user(0)->stream.code);
        host_answer(&hosts.at[0], 1);
        CHECK_OK(session_recv_head(askers[1].session, &swap.response, &swap.framing));
        CHECK_EQ(200, swap.response.status);
    }
    finish();
    CHECK_EQ(1, opened_count());
}

STAGE_TEST(a_request_on_one_that_was_retired_is_refused)
{
    struct session *session = begin();
    if (session) {
        h2_session_refuse_more(&hosts.at[0].end.session);
        STAGE_UNTIL(conn_of(0)->h2->retired);
        CHECK_ERR(WEIR_E_STREAM_REFUSED, send_get(session));
        CHECK(!session->any_sent);
    }
    finish();
}

CHECK_MAIN
