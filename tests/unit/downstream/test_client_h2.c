/* SPDX-License-Identifier: MIT */
#include "downstream/client_h2.h"

#include "tests/unit/downstream/host.h"

/* After those in which its names stand for other things. */
#include "tests/unit/http/h2_end.h"

static const struct listener_options both = {.speaks_h1 = true, .speaks_h2 = true};
static int sock; /* the client's; `end` is its session */
static bool sock_ended;

static void move(void)
{
    static char bytes[32768];
    ssize_t count;
    end_send(&end, NULL);
    if (end.sent_bytes > 0 && !sock_ended)
        raw_send_bytes(sock, end.sent, end.sent_bytes);
    while ((count = raw_recv_now(sock, bytes, sizeof bytes)) > 0)
        h2_session_feed(&end.session, slice_of(bytes, (size_t)count));
    sock_ended |= count != RAW_NOTHING;
}

/* Client and server go on until it holds. */
#define TALK_UNTIL(condition)                                                                      \
    ({                                                                                             \
        move();                                                                                    \
        while (!(condition) && stage_breathe())                                                    \
            move();                                                                                \
        CHECK(condition);                                                                          \
    })

WEIR_SUSPENDS static void begin(exchange_handler_fn *handler)
{
    host_open(handler);
    sock = host_client_to(&both);
    sock_ended = false;
    end_open(&end, end_asking());
}

/* Before anyone comes, so that these options count. */
#define BEGIN_WITH(handler, option, value)                                                         \
    do {                                                                                           \
        host_open(handler);                                                                        \
        host.options.option = (value);                                                             \
        sock = host_client_to(&both);                                                              \
        sock_ended = false;                                                                        \
        end_open(&end, end_asking());                                                              \
    } while (0)

WEIR_SUSPENDS static void finish(void)
{
    end_close(&end);
    raw_close(sock);
    host_close();
}

/* What has come of the user's response; its body as text. */
static const char *text_of(struct end_user *user)
{
    static char text[4096];
    struct http_piece piece;
    size_t length = 0;
    if (h2_stream_piece_now(&user->stream, &piece) == WEIR_OK)
        for (unsigned i = 0; i < piece.count; i++) {
            must(length + piece.slices[i].len < sizeof text);
            memcpy(text + length, piece.slices[i].at, piece.slices[i].len);
            length += piece.slices[i].len;
        }
    text[length] = '\0';
    return text;
}

static unsigned status_of(const struct end_user *user)
{
    const struct h2_response *last = user->stream.responses_last;
    return last && !(user->stream.head.fields && !last->next) ? last->response.status : 0;
}

/* A request without a body; its response is waited for. */
WEIR_SUSPENDS static struct end_user *get(void)
{
    struct end_user *user = end_ask(&end, true);
    TALK_UNTIL(user->stream.closed || sock_ended);
    return user;
}

/* --- Requests -------------------------------------------------------------------------------- */

STAGE_TEST(requests_are_served)
{
    begin(host_echo);
    for (unsigned i = 0; i < 3; i++) {
        struct end_user *user = get();
        CHECK_EQ(200, status_of(user));
        CHECK_OK(user->stream.err);
        CHECK(user->stream.received);
        CHECK_SLICE(slice_str(text_of(user)), "[POST / ]");
        CHECK(host.sent_bytes > 9);
    }
    CHECK_EQ(3, host.requests);
    CHECK_EQ(3, stat_read(&host.downstream.requests[HTTP_2]));
    CHECK_EQ(0, stat_read(&host.downstream.requests[HTTP_1]));
    STAGE_UNTIL(host_only()->h2->request_count == 0);
    CHECK(scope_is_empty(&host.downstream.work)); /* it costs nothing now */
    finish();
}

STAGE_TEST(a_body_is_read)
{
    static struct end_sender sender;
    begin(host_echo);
    struct end_user *user = end_ask(&end, false);
    memset(end_body, 'b', 3000);
    end_spawn(&sender, &user->stream, 3000, true);
    TALK_UNTIL(user->stream.closed);
    CHECK_EQ(200, status_of(user));
    CHECK_EQ(3000, host.received_bytes);
    CHECK_EQ(strlen("[POST / ]") + 3000, strlen(text_of(user)));
    finish();
}

STAGE_TEST(a_response_that_does_not_need_the_body)
{
    begin(host_ignore_body);
    struct end_user *user = end_ask(&end, false);
    TALK_UNTIL(user->stream.closed);
    CHECK_EQ(200, status_of(user));
    CHECK(user->stream.received);
    CHECK_EQ(NGHTTP2_NO_ERROR, user->stream.code);
    CHECK_SLICE(slice_str(text_of(user)), "[ignored]");
    finish();
}

static unsigned waiting;
static bool may_go;

/* All at once, or none. */
WEIR_SUSPENDS static void wait_for_all(void *owner, struct exchange *exchange)
{
    waiting++;
    while (!may_go && co_sleep(weir_span_ms(1)) == WEIR_OK)
        ;
    waiting--;
    if (may_go)
        host_ignore_body(owner, exchange);
    else
        exchange->error = WEIR_E_CANCELED;
}

STAGE_TEST(many_run_at_once)
{
    begin(wait_for_all);
    waiting = 0;
    may_go = false;
    for (unsigned i = 0; i < 100; i++)
        end_ask(&end, true);
    TALK_UNTIL(waiting == 100);
    CHECK_EQ(100, host_only()->h2->request_count);
    may_go = true;
    TALK_UNTIL(host.requests == 100 && waiting == 0);
    for (unsigned i = 0; i < 100; i++)
        if (!TALK_UNTIL(end.users[i].stream.closed) || !CHECK_EQ(200, status_of(&end.users[i])))
            break;
    finish();
}

/* The client does not know yet how many it may have, and asks for more. */
STAGE_TEST(more_than_are_allowed_are_refused)
{
    static char requests[200 * 32];
    size_t length = 0;
    begin(wait_for_all);
    waiting = 0;
    may_go = false;
    for (int32_t id = 1; id < 2 * 130; id += 2)
        length += end_write_frame(requests + length, NGHTTP2_HEADERS, END_WHOLE, id, END_GET);
    move();
    raw_send_bytes(sock, requests, length);
    STAGE_UNTIL(waiting == H2_SERVER_STREAMS);
    stage_turns();
    CHECK_EQ(H2_SERVER_STREAMS, host_only()->h2->request_count);
    may_go = true;
    STAGE_UNTIL(host.requests == H2_SERVER_STREAMS);
    end_close(&end);
    raw_close(sock);
    host_close();
}

/* --- What is wrong with a request ------------------------------------------------------------ */

STAGE_TEST(a_head_that_is_too_large_is_answered)
{
    static char value[40000];
    nghttp2_nv lines[5];
    begin(host_echo);
    memset(value, 'v', sizeof value);
    memcpy(lines, end_request_lines, sizeof end_request_lines);
    lines[4] = (nghttp2_nv){(uint8_t *)"x", (uint8_t *)value, 1, sizeof value, 0};
    struct end_user *user = end_new_user(&end);
    CHECK_OK(h2_stream_request(&user->stream, &end.session, &(struct h2_lines){lines, 5}, true));
    TALK_UNTIL(user->stream.closed);
    CHECK_EQ(431, status_of(user));
    CHECK_ERR(WEIR_E_REQUEST_HEAD_LENGTH, host.error);
    CHECK_EQ(200, status_of(get()));
    finish();
}

STAGE_TEST(a_malformed_request_is_one_stream)
{
    nghttp2_nv lines[5];
    begin(host_echo);
    memcpy(lines, end_request_lines, sizeof end_request_lines);
    lines[4] = (nghttp2_nv)END_LINE("connection", "close");
    struct end_user *user = end_new_user(&end);
    CHECK_OK(h2_stream_request(&user->stream, &end.session, &(struct h2_lines){lines, 5}, true));
    TALK_UNTIL(user->stream.closed);
    CHECK_EQ(NGHTTP2_PROTOCOL_ERROR, user->stream.code);
    CHECK_EQ(0, host.requests);
    CHECK_EQ(200, status_of(get()));
    finish();
}

STAGE_TEST(a_body_over_the_limit_is_answered)
{
    static struct end_sender sender;
    BEGIN_WITH(host_echo, max_request_body, 100);
    struct end_user *user = end_ask(&end, false);
    end_spawn(&sender, &user->stream, 1000, false);
    TALK_UNTIL(user->stream.closed);
    CHECK_EQ(413, status_of(user));
    CHECK_EQ(NGHTTP2_NO_ERROR, user->stream.code);
    finish();
}

STAGE_TEST(a_body_that_does_not_come_is_answered)
{
    BEGIN_WITH(host_echo, body_timeout, weir_span_ms(20));
    struct end_user *user = end_ask(&end, false);
    TALK_UNTIL(user->stream.closed);
    CHECK_EQ(408, status_of(user));
    CHECK_ERR(WEIR_E_REQUEST_TIMEOUT, host.error);
    finish();
}

STAGE_TEST(a_flood_ends_the_connection_and_is_counted)
{
    int64_t last;
    begin(host_echo);
    TALK_UNTIL(end.session.peer_is_set);
    for (unsigned i = 0; i < 200; i++)
        h2_session_ping(&end.session);
    TALK_UNTIL(sock_ended);
    CHECK_EQ(1, stat_read(&host.downstream.floods[H2_FLOOD_PING]));
    CHECK(end.session.goaway);
    CHECK_EQ(NGHTTP2_ENHANCE_YOUR_CALM, end.session.goaway_code);
    (void)end_goaway_code(&end, &last);
    finish();
}

/* --- The end of a response ------------------------------------------------------------------- */

/* A head and a piece, and not the rest. */
WEIR_SUSPENDS static void answer_in_part(void *owner, struct exchange *exchange)
{
    struct http_response response = {.status = 200, .minor = 1};
    struct http_framing framing = {.body = BODY_LENGTH, .length = 10};
    struct http_piece piece = {.slices = {SLICE("half")}, .count = 1, .bytes = 4};
    (void)owner;
    fields_init(&response.fields);
    CHECK_OK(exchange_send_head(exchange, &response, &framing));
    CHECK_OK(exchange_send_piece(exchange, &piece));
    exchange->error = WEIR_E_RESPONSE_INCOMPLETE;
}

STAGE_TEST(a_response_that_is_cut_off_is_told_so)
{
    begin(answer_in_part);
    struct end_user *user = get();
    CHECK_EQ(200, status_of(user));
    CHECK(!user->stream.received);
    CHECK_EQ(NGHTTP2_INTERNAL_ERROR, user->stream.code);
    CHECK(!sock_ended && !end.session.goaway);
    finish();
}

/* Goes on until the client does not want it any more. */
WEIR_SUSPENDS static void answer_without_end(void *owner, struct exchange *exchange)
{
    struct http_response response = {.status = 200, .minor = 1};
    struct http_framing framing = {.body = BODY_CHUNKED};
    struct http_piece piece = {
        .slices = {slice_of(end_body, sizeof end_body)}, .count = 1, .bytes = sizeof end_body};
    (void)owner;
    host.requests++;
    fields_init(&response.fields);
    CHECK_OK(exchange_send_head(exchange, &response, &framing));
    do
        host.error = exchange_send_piece(exchange, &piece);
    while (!host.error);
    exchange->error = host.error;
    host.requests++;
}

STAGE_TEST(a_client_that_resets_is_gone)
{
    begin(answer_without_end);
    struct end_user *user = end_ask(&end, true);
    TALK_UNTIL(status_of(user) == 200);
    h2_stream_end(&user->stream, NGHTTP2_CANCEL);
    TALK_UNTIL(host.requests == 2);
    CHECK(host.error == WEIR_E_CLIENT_GONE || host.error == WEIR_E_CANCELED);
    CHECK(!sock_ended);
    finish();
}

STAGE_TEST(a_client_that_goes_ends_what_runs)
{
    begin(wait_for_all);
    waiting = 0;
    may_go = false;
    for (unsigned i = 0; i < 5; i++)
        end_ask(&end, true);
    TALK_UNTIL(waiting == 5);
    end_close(&end);
    raw_close(sock);
    STAGE_UNTIL(waiting == 0);
    host_close();
}

STAGE_TEST(a_client_that_does_not_read_runs_out_of_time)
{
    BEGIN_WITH(answer_without_end, write_timeout, weir_span_ms(30));
    struct end_user *user = end_ask(&end, true);
    TALK_UNTIL(status_of(user) == 200);
    STAGE_UNTIL(host.requests == 2);
    CHECK_ERR(WEIR_E_CLIENT_WRITE_TIMEOUT, host.error);
    finish();
}

/* --- The end of a connection ----------------------------------------------------------------- */

STAGE_TEST(one_that_rests_for_long_is_closed)
{
    BEGIN_WITH(host_echo, keepalive_timeout, weir_span_ms(20));
    CHECK_EQ(200, status_of(get()));
    TALK_UNTIL(sock_ended);
    CHECK(end.session.goaway);
    CHECK_EQ(NGHTTP2_NO_ERROR, end.session.goaway_code);
    finish();
}

STAGE_TEST(a_head_that_does_not_end_has_its_time)
{
    BEGIN_WITH(host_echo, header_timeout, weir_span_ms(30));
    TALK_UNTIL(end.session.peer_is_set);
    char frame[64];
    raw_send_bytes(sock, frame, end_write_frame(frame, NGHTTP2_HEADERS, 0, 1, END_GET));
    TALK_UNTIL(sock_ended);
    CHECK(end.session.goaway);
    CHECK_EQ(0, host.requests);
    finish();
}

STAGE_TEST(after_so_many_requests_it_takes_no_more)
{
    BEGIN_WITH(host_echo, keepalive_request_limit, 2);
    CHECK_EQ(200, status_of(get()));
    CHECK(!end.session.goaway && !host.at_limit);
    CHECK_EQ(200, status_of(get()));
    CHECK(host.at_limit);
    TALK_UNTIL(sock_ended);
    CHECK(end.session.goaway);
    CHECK_EQ(NGHTTP2_NO_ERROR, end.session.goaway_code);
    finish();
}

/* What is on its way when it is announced is still served. */
STAGE_TEST(draining_lets_requests_end)
{
    begin(wait_for_all);
    waiting = 0;
    may_go = false;
    end_ask(&end, true);
    TALK_UNTIL(waiting == 1);
    struct end_user *late = end_ask(&end, true);
    downstream_drain(&host.downstream);
    TALK_UNTIL(end.session.goaway && waiting == 2);
    CHECK(!late->stream.closed);
    TALK_UNTIL(host_only()->h2->refuses); /* the PING was answered */
    CHECK(!sock_ended);
    may_go = true;
    TALK_UNTIL(sock_ended);
    for (unsigned i = 0; i < 2; i++)
        CHECK_EQ(200, status_of(&end.users[i]));
    finish();
}

STAGE_TEST(draining_does_not_wait_for_a_silent_client)
{
    begin(wait_for_all);
    waiting = 0;
    may_go = false;
    end_ask(&end, true);
    TALK_UNTIL(waiting == 1);
    struct weir_time began = loop_now(&stage.loop);
    downstream_drain(&host.downstream);
    STAGE_UNTIL(host_only()->h2->refuses); /* nobody answers the PING */
    CHECK(weir_time_between(began, loop_now(&stage.loop)).ns >= 1000000000);
    may_go = true;
    TALK_UNTIL(sock_ended);
    CHECK_EQ(200, status_of(&end.users[0]));
    finish();
}

STAGE_TEST(draining_closes_one_that_rests)
{
    begin(host_echo);
    CHECK_EQ(200, status_of(get()));
    downstream_drain(&host.downstream);
    TALK_UNTIL(sock_ended);
    CHECK(end.session.goaway);
    finish();
}

STAGE_TEST(canceling_ends_what_runs)
{
    begin(wait_for_all);
    waiting = 0;
    may_go = false;
    end_ask(&end, true);
    TALK_UNTIL(waiting == 1);
    downstream_drain(&host.downstream);
    downstream_cancel(&host.downstream);
    STAGE_UNTIL(waiting == 0);
    TALK_UNTIL(sock_ended);
    finish();
}

/* --- Which protocol -------------------------------------------------------------------------- */

STAGE_TEST(a_preface_in_pieces_is_one)
{
    begin(host_echo);
    end_send(&end, NULL);
    for (size_t i = 0; i < end.sent_bytes; i++) {
        raw_send_bytes(sock, end.sent + i, 1);
        if (i < 30)
            stage_turns();
    }
    CHECK_EQ(200, status_of(get()));
    finish();
}

STAGE_TEST(what_is_no_preface_is_http1)
{
    host_open(host_echo);
    int client = host_client_to(&both);
    raw_send(client, "PRINT / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    CHECK(raw_read_all(client));
    CHECK(raw_has("[PRINT / ]"));
    raw_close(client);
    host_close();
}

CHECK_MAIN
