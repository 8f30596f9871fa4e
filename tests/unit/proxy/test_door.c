/* SPDX-License-Identifier: MIT */
/* A service that a handler of a program answers: what it does, and what it leaves undone. */
#include "proxy/door.h"

#include "tests/unit/proxy/front.h"
#include <weir/server.h>

static enum weir_err first, second; /* what the handler was told */

static void start(weir_handler_fn *handler)
{
    first = second = WEIR_OK;
    front_prepare(0);
    front.options.handler = handler;
    front_start();
}

/* The client goes; with the log's word of what it was. */
WEIR_SUSPENDS static void end(int client, enum weir_err err, unsigned faults)
{
    STAGE_UNTIL(front.logged >= 1);
    CHECK_ERR(err, front.error);
    CHECK_EQ(faults, stat_read(&front.service->stats.program_faults));
    raw_close(client);
    front_close();
}

WEIR_SUSPENDS static enum weir_err send_head(struct weir_exchange *exchange, uint64_t body_bytes)
{
    struct weir_response *response;
    TRY(weir_exchange_new_response(exchange, 200, &response));
    TRY(weir_fields_set(weir_response_fields(response), "X-Of", weir_str("handler")));
    return weir_exchange_send_head(exchange, response, body_bytes);
}

/* --- What it does ----------------------------------------------------------------------------- */

WEIR_SUSPENDS static void answers(struct weir_exchange *exchange)
{
    first = weir_exchange_answer(exchange, 404, "text/plain", weir_str("not here"));
    second = weir_exchange_answer(exchange, 200, "text/plain", weir_str("or here"));
}

STAGE_TEST(a_handler_answers_once)
{
    start(answers);
    int client = front_client();
    raw_send(client, FRONT_GET);
    CHECK(raw_read(client, "not here") > 0);
    CHECK(raw_starts("HTTP/1.1 404 ") && raw_has("\r\nContent-Length: 8\r\n"));
    CHECK_OK(first);
    CHECK_ERR(WEIR_E_FILTER, second);
    STAGE_UNTIL(front.logged == 1);
    raw_send(client, FRONT_GET); /* on the same connection, with nothing of "or here" */
    CHECK(raw_read(client, "not here") > 0);
    CHECK(raw_starts("HTTP/1.1 404 "));
    STAGE_UNTIL(front.logged == 2);
    end(client, WEIR_OK, 2);
}

WEIR_SUSPENDS static void echoes(struct weir_exchange *exchange)
{
    struct weir_piece piece;
    first = send_head(exchange, WEIR_BODY_UNKNOWN);
    do {
        second = weir_exchange_recv(exchange, &piece);
        if (!second)
            second = weir_exchange_send(exchange, piece.bytes, piece.last);
    } while (!second && !piece.last);
}

STAGE_TEST(bodies_go_through_it_as_they_come)
{
    start(echoes);
    int client = front_client();
    raw_send(client, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhe");
    CHECK(raw_read(client, "2\r\nhe\r\n") > 0);
    raw_send(client, "llo");
    CHECK(raw_read(client, "3\r\nllo\r\n0\r\n\r\n") > 0);
    CHECK_OK(second);
    end(client, WEIR_OK, 0);
}

WEIR_SUSPENDS static void reads_first(struct weir_exchange *exchange)
{
    struct weir_piece piece = {.last = false};
    while (!first && !piece.last)
        first = weir_exchange_recv(exchange, &piece);
    second = weir_exchange_answer(exchange, 200, "text/plain", weir_str("read"));
}

STAGE_TEST(who_reads_invites_the_body)
{
    start(reads_first);
    int client = front_client();
    raw_send(client, "POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\n"
                     "Content-Length: 2\r\n\r\n");
    CHECK(raw_read_head(client));
    CHECK(raw_starts("HTTP/1.1 100 "));
    raw_send(client, "ab");
    CHECK(raw_read(client, "read") > 0);
    CHECK(raw_starts("HTTP/1.1 200 ") && !strstr(raw_text, "close"));
    end(client, WEIR_OK, 0);
}

STAGE_TEST(who_does_not_read_does_not_invite_it)
{
    start(answers);
    int client = front_client();
    raw_send(client, "POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\n"
                     "Content-Length: 2\r\n\r\n");
    CHECK(raw_read(client, "not here") > 0);
    CHECK(raw_starts("HTTP/1.1 404 ") && raw_has("\r\nConnection: close\r\n"));
    end(client, WEIR_OK, 1);
}

STAGE_TEST(a_client_that_breaks_off_is_told_to_it)
{
    start(reads_first);
    int client = front_client();
    raw_send(client, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhe");
    stage_turns();
    raw_close(client);
    STAGE_UNTIL(front.logged == 1);
    CHECK_ERR(WEIR_E_CLIENT_GONE, first);
    front_close();
}

WEIR_SUSPENDS static void answers_head(struct weir_exchange *exchange)
{
    first = send_head(exchange, 5);
    second = weir_exchange_send(exchange, weir_str("hello"), true);
}

STAGE_TEST(to_head_the_head_is_all)
{
    start(answers_head);
    int client = front_client();
    raw_send(client, "HEAD / HTTP/1.1\r\nHost: h\r\n\r\n");
    CHECK(raw_read_head(client));
    CHECK(raw_has("\r\nContent-Length: 5\r\n") && raw_has("\r\nX-Of: handler\r\n"));
    STAGE_UNTIL(front.logged == 1);
    CHECK_EQ(RAW_NOTHING, raw_recv_now(client, raw_text, 1));
    end(client, WEIR_OK, 0);
}

WEIR_SUSPENDS static void ends_with_nothing(struct weir_exchange *exchange)
{
    first = send_head(exchange, 5);
    first = first ? first : weir_exchange_send(exchange, weir_str("hello"), false);
    second = weir_exchange_send(exchange, weir_str(""), true);
}

STAGE_TEST(the_end_of_a_body_may_come_by_itself)
{
    start(ends_with_nothing);
    int client = front_client();
    raw_send(client, FRONT_GET);
    CHECK(raw_read(client, "hello") > 0);
    STAGE_UNTIL(front.logged == 1);
    CHECK_OK(first);
    CHECK_OK(second);
    raw_send(client, FRONT_GET);
    CHECK(raw_read(client, "hello") > 0);
    STAGE_UNTIL(front.logged == 2);
    end(client, WEIR_OK, 0);
}

WEIR_SUSPENDS static void answers_in_pieces(struct weir_exchange *exchange)
{
    first = send_head(exchange, WEIR_BODY_UNKNOWN);
    first = first ? first : weir_exchange_send(exchange, weir_str("hel"), false);
    second = weir_exchange_send(exchange, weir_str("lo"), true);
}

STAGE_TEST(to_head_pieces_go_nowhere)
{
    start(answers_in_pieces);
    int client = front_client();
    raw_send(client, "HEAD / HTTP/1.1\r\nHost: h\r\n\r\n");
    CHECK(raw_read_head(client));
    STAGE_UNTIL(front.logged == 1);
    CHECK_OK(first);
    CHECK_OK(second);
    CHECK_EQ(RAW_NOTHING, raw_recv_now(client, raw_text, 1));
    end(client, WEIR_OK, 0);
}

WEIR_SUSPENDS static void sends_a_head_alone(struct weir_exchange *exchange)
{
    first = send_head(exchange, WEIR_BODY_UNKNOWN);
}

STAGE_TEST(to_head_no_body_need_be_sent)
{
    start(sends_a_head_alone);
    int client = front_client();
    raw_send(client, "HEAD / HTTP/1.1\r\nHost: h\r\n\r\n");
    CHECK(raw_read_head(client));
    STAGE_UNTIL(front.logged == 1);
    CHECK_EQ(RAW_NOTHING, raw_recv_now(client, raw_text, 1));
    end(client, WEIR_OK, 0);
}

/* --- What it leaves undone -------------------------------------------------------------------- */

WEIR_SUSPENDS static void does_nothing(struct weir_exchange *exchange)
{
    (void)exchange;
}

STAGE_TEST(a_handler_that_does_not_answer)
{
    start(does_nothing);
    int client = front_client();
    raw_send(client, FRONT_GET);
    CHECK(raw_read(client, "a filter failed\n") > 0);
    CHECK(raw_starts("HTTP/1.1 500 "));
    end(client, WEIR_E_FILTER, 1);
}

WEIR_SUSPENDS static void leaves_half(struct weir_exchange *exchange)
{
    first = send_head(exchange, 10);
    second = weir_exchange_send(exchange, weir_str("hello"), false);
}

WEIR_SUSPENDS static void leaves_chunks(struct weir_exchange *exchange)
{
    first = send_head(exchange, WEIR_BODY_UNKNOWN);
    second = weir_exchange_send(exchange, weir_str("hello"), false);
}

STAGE_TEST(a_handler_that_leaves_half)
{
    static weir_handler_fn *const handlers[] = {leaves_half, leaves_chunks};
    for (size_t i = 0; i < COUNT_OF(handlers); i++) {
        start(handlers[i]);
        int client = front_client();
        raw_send(client, FRONT_GET);
        CHECK_EQ(RAW_RESET, raw_read(client, "what never comes"));
        CHECK(raw_has("hello") && !strstr(raw_text, "0\r\n\r\n"));
        CHECK_OK(second);
        end(client, WEIR_E_FILTER, 1);
    }
}

WEIR_SUSPENDS static void only_head(struct weir_exchange *exchange)
{
    first = send_head(exchange, 5);
}

STAGE_TEST(a_head_that_was_only_written_down_is_taken_back)
{
    start(only_head);
    int client = front_client();
    raw_send(client, FRONT_GET);
    CHECK(raw_read(client, "a filter failed\n") > 0);
    CHECK(raw_starts("HTTP/1.1 500 ") && !strstr(raw_text, "X-Of"));
    end(client, WEIR_E_FILTER, 1);
}

WEIR_SUSPENDS static void sends_too_much(struct weir_exchange *exchange)
{
    first = send_head(exchange, 4);
    second = weir_exchange_send(exchange, weir_str("hello"), true);
}

WEIR_SUSPENDS static void sends_too_little(struct weir_exchange *exchange)
{
    first = send_head(exchange, 6);
    second = weir_exchange_send(exchange, weir_str("hello"), true);
}

STAGE_TEST(a_body_that_is_not_as_long_as_its_head_said)
{
    static weir_handler_fn *const handlers[] = {sends_too_much, sends_too_little};
    for (size_t i = 0; i < COUNT_OF(handlers); i++) {
        start(handlers[i]);
        int client = front_client();
        raw_send(client, FRONT_GET);
        CHECK(raw_read(client, "a filter failed\n") > 0);
        CHECK(raw_starts("HTTP/1.1 500 ") && !strstr(raw_text, "hello"));
        CHECK_ERR(WEIR_E_BODY_LENGTH, second);
        end(client, WEIR_E_FILTER, 1);
    }
}

WEIR_SUSPENDS static void answers_untyped(struct weir_exchange *exchange)
{
    first = weir_exchange_answer(exchange, 200, NULL, weir_str("bytes"));
}

STAGE_TEST(an_answer_need_not_have_a_type)
{
    start(answers_untyped);
    int client = front_client();
    raw_send(client, FRONT_GET);
    CHECK(raw_read(client, "bytes") > 0);
    CHECK(raw_starts("HTTP/1.1 200 ") && !strstr(raw_text, "Content-Type"));
    CHECK_OK(first);
    STAGE_UNTIL(front.logged == 1);
    end(client, WEIR_OK, 0);
}

WEIR_SUSPENDS static void answers_oddly(struct weir_exchange *exchange)
{
    first = weir_exchange_answer(exchange, 103, "text/plain", weir_str(""));
    CHECK_ERR(WEIR_E_FIELD,
              weir_exchange_answer(exchange, 200, "text/plain\r\nX-Of: it", weir_str("")));
    second = weir_exchange_answer(exchange, 204, "text/plain", weir_str(""));
}

STAGE_TEST(only_final_statuses_are_answers)
{
    start(answers_oddly);
    int client = front_client();
    raw_send(client, FRONT_GET);
    CHECK(raw_read_head(client));
    CHECK(raw_starts("HTTP/1.1 204 ") && !strstr(raw_text, "Content-Length"));
    CHECK_ERR(WEIR_E_FIELD, first);
    CHECK_OK(second);
    end(client, WEIR_OK, 0);
}

/* What it allocates, remembers and is told lasts as long as the exchange. */
WEIR_SUSPENDS static void remembers(struct weir_exchange *exchange)
{
    char *memory = weir_exchange_alloc(exchange, 6);
    CHECK(!weir_exchange_state(exchange) && memory);
    memcpy(memory, "memory", 6);
    weir_exchange_set_state(exchange, memory);
    CHECK_SLICE(weir_exchange_client(exchange), "127.0.0.1");
    CHECK(!weir_exchange_is_tls(exchange) && !weir_exchange_parent(exchange));
    CHECK(weir_exchange_owner(exchange) == &front);
    CHECK_SLICE(weir_request_path(weir_exchange_request(exchange)), "/");
    first = weir_exchange_answer(exchange, 200, "text/plain",
                                 slice_of(weir_exchange_state(exchange), 6));
    CHECK_EQ(200, weir_exchange_status(exchange));
}

STAGE_TEST(what_it_is_told_and_remembers)
{
    front_prepare(0);
    front.options.handler = remembers;
    front.options.owner = &front;
    front_start();
    int client = front_client();
    raw_send(client, FRONT_GET);
    CHECK(raw_read(client, "memory") > 0);
    end(client, WEIR_OK, 0);
}

CHECK_MAIN
