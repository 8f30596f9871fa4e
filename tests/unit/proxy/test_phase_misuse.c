/* SPDX-License-Identifier: MIT */
/* Phases that do what is not theirs to do: the exchange bears it, and weir serves on. */
#include "tests/unit/proxy/front.h"

/* What the phase under test does. */
static struct {
    enum weir_err (*at_request)(struct weir_exchange *exchange);
    enum weir_err (*at_upstream_request)(struct weir_exchange *exchange);
    enum weir_err (*at_response)(struct weir_exchange *exchange, struct weir_response *response);
    enum weir_err (*at_piece_up)(struct weir_exchange *exchange, struct weir_piece *piece);
    enum weir_err (*at_piece_down)(struct weir_exchange *exchange, struct weir_piece *piece);
    void (*at_logging)(struct weir_exchange *exchange);
    enum weir_err told;
    unsigned calls;
} program;

WEIR_SUSPENDS static enum weir_err request_filter(struct weir_exchange *exchange)
{
    return program.at_request ? program.at_request(exchange) : WEIR_OK;
}

WEIR_SUSPENDS static enum weir_err upstream_request_filter(struct weir_exchange *exchange,
                                                           struct weir_request *request)
{
    (void)request;
    return program.at_upstream_request ? program.at_upstream_request(exchange) : WEIR_OK;
}

WEIR_SUSPENDS static enum weir_err response_filter(struct weir_exchange *exchange,
                                                   struct weir_response *response)
{
    return program.at_response ? program.at_response(exchange, response) : WEIR_OK;
}

WEIR_SUSPENDS static enum weir_err piece_up(struct weir_exchange *exchange,
                                            struct weir_piece *piece)
{
    return program.at_piece_up(exchange, piece);
}

WEIR_SUSPENDS static enum weir_err piece_down(struct weir_exchange *exchange,
                                              struct weir_piece *piece)
{
    return program.at_piece_down(exchange, piece);
}

WEIR_SUSPENDS static void logging(struct weir_exchange *exchange, enum weir_err err)
{
    (void)err;
    if (program.at_logging)
        program.at_logging(exchange);
}

static struct weir_proxy_ops ops;

/* After `program` has been told what to do. */
static void start(void)
{
    ops = (struct weir_proxy_ops){
        .name = "test",
        .request_filter = request_filter,
        .upstream_request_filter = upstream_request_filter,
        .response_filter = response_filter,
        .request_body_filter = program.at_piece_up ? piece_up : NULL,
        .response_body_filter = program.at_piece_down ? piece_down : NULL,
        .logging = logging,
    };
    front_prepare(1);
    front.options.ops = &ops;
    front_start();
}

static void forget(void)
{
    memset(&program, 0, sizeof program);
}

/* It serves on as if nothing had been. */
WEIR_SUSPENDS static void end(int client, int server)
{
    unsigned before = front.logged;
    raw_close(client);
    raw_close(server);
    forget();
    ops.request_body_filter = NULL;
    ops.response_body_filter = NULL;
    int other = front_client();
    server = front_exchange(other, -1);
    STAGE_UNTIL(front.logged == before + 1);
    raw_close(other);
    raw_close(server);
    front_close();
}

/* --- Answers where there is none to give ------------------------------------------------------ */

WEIR_SUSPENDS static enum weir_err answers(struct weir_exchange *exchange)
{
    program.told = weir_exchange_answer(exchange, 403, "text/plain", weir_str("no\n"));
    return WEIR_OK;
}

STAGE_TEST(a_phase_before_the_server_is_asked_cannot_answer)
{
    forget();
    program.at_upstream_request = answers;
    start();
    int client = front_client();
    int server = -1;
    raw_send(client, FRONT_GET);
    server = raw_accept(&front.servers[0]);
    raw_read_head(server);
    raw_send(server, FRONT_OK);
    CHECK(raw_read(client, "hello") > 0);
    CHECK(raw_starts("HTTP/1.1 200 "));
    CHECK_ERR(WEIR_E_FILTER, program.told);
    STAGE_UNTIL(front.logged == 1);
    CHECK_EQ(1, stat_read(&front.service->stats.program_faults));
    end(client, server);
}

WEIR_SUSPENDS static enum weir_err answers_at_piece(struct weir_exchange *exchange,
                                                    struct weir_piece *piece)
{
    (void)piece;
    return answers(exchange);
}

STAGE_TEST(a_filter_of_the_requests_body_cannot_answer)
{
    forget();
    program.at_piece_up = answers_at_piece;
    start();
    int client = front_client();
    raw_send(client, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nab");
    int server = raw_accept(&front.servers[0]);
    CHECK(raw_read(server, "0\r\n\r\n") > 0);
    raw_send(server, FRONT_OK);
    CHECK(raw_read(client, "hello") > 0);
    CHECK(raw_starts("HTTP/1.1 200 "));
    CHECK_ERR(WEIR_E_FILTER, program.told);
    STAGE_UNTIL(front.logged == 1);
    end(client, server);
}

WEIR_SUSPENDS static enum weir_err sends_at_piece(struct weir_exchange *exchange,
                                                  struct weir_piece *piece)
{
    (void)piece;
    program.told = weir_exchange_send(exchange, weir_str("more than there is"), false);
    return WEIR_OK;
}

WEIR_SUSPENDS static enum weir_err keeps_length(struct weir_exchange *exchange,
                                                struct weir_response *response)
{
    (void)response;
    weir_exchange_keep_length(exchange);
    return WEIR_OK;
}

STAGE_TEST(a_filter_of_the_responses_body_cannot_send_beside_it)
{
    forget();
    program.at_piece_down = sends_at_piece;
    program.at_response = keeps_length;
    start();
    int client = front_client();
    raw_send(client, FRONT_GET);
    int server = raw_accept(&front.servers[0]);
    raw_read_head(server);
    raw_send(server, FRONT_OK);
    CHECK(raw_read(client, "hello") > 0);
    CHECK(!strstr(raw_text, "more"));
    CHECK_ERR(WEIR_E_BODY_LENGTH, program.told);
    STAGE_UNTIL(front.logged == 1);
    end(client, server);
}

WEIR_SUSPENDS static void answers_at_logging(struct weir_exchange *exchange)
{
    (void)answers(exchange);
    (void)weir_exchange_send(exchange, weir_str("x"), true);
}

STAGE_TEST(nothing_is_answered_when_it_is_over)
{
    forget();
    program.at_logging = answers_at_logging;
    start();
    int client = front_client();
    raw_send(client, FRONT_GET);
    int server = raw_accept(&front.servers[0]);
    raw_read_head(server);
    raw_send(server, FRONT_OK);
    CHECK(raw_read(client, "hello") > 0);
    STAGE_UNTIL(front.logged == 1);
    CHECK_ERR(WEIR_E_FILTER, program.told);
    end(client, server);
}

/* --- Bodies that are read where they are on their way ----------------------------------------- */

WEIR_SUSPENDS static enum weir_err reads(struct weir_exchange *exchange)
{
    struct weir_piece piece;
    program.told = weir_exchange_recv(exchange, &piece);
    return WEIR_OK;
}

STAGE_TEST(a_body_that_was_read_in_any_phase_is_not_sent_as_if_it_were_whole)
{
    forget();
    program.at_upstream_request = reads;
    start();
    int client = front_client();
    raw_send(client, "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
                     "2\r\nab\r\n0\r\n\r\n");
    CHECK(raw_read(client, "a filter failed\n") > 0);
    CHECK(raw_starts("HTTP/1.1 500 "));
    STAGE_UNTIL(front.logged == 1);
    CHECK_EQ(1, stat_read(&front.service->stats.program_faults));
    raw_close(client);
    int server = raw_accept(&front.servers[0]);
    end(-1, server);
}

WEIR_SUSPENDS static enum weir_err reads_at_piece(struct weir_exchange *exchange,
                                                  struct weir_piece *piece)
{
    (void)piece;
    program.calls++;
    return reads(exchange);
}

STAGE_TEST(a_filter_of_the_requests_body_reads_none_of_it_itself)
{
    forget();
    program.at_piece_up = reads_at_piece;
    start();
    int client = front_client();
    raw_send(client, "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n");
    int server = raw_accept(&front.servers[0]);
    CHECK(raw_read(server, "2\r\nab\r\n") > 0);
    raw_send(client, "2\r\ncd\r\n0\r\n\r\n");
    CHECK(raw_read(server, "cd\r\n0\r\n\r\n") > 0);
    CHECK_ERR(WEIR_E_FILTER, program.told);
    raw_send(server, FRONT_OK);
    CHECK(raw_read(client, "hello") > 0);
    STAGE_UNTIL(front.logged == 1);
    end(client, server);
}

WEIR_SUSPENDS static enum weir_err reads_at_response(struct weir_exchange *exchange,
                                                     struct weir_response *response)
{
    (void)response;
    return reads(exchange);
}

STAGE_TEST(a_body_on_its_way_has_one_reader)
{
    forget();
    program.at_response = reads_at_response;
    start();
    int client = front_client();
    raw_send(client, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nab");
    int server = raw_accept(&front.servers[0]);
    CHECK(raw_read(server, "ab") > 0);
    raw_send(server, FRONT_OK);
    CHECK(raw_read(client, "hello") > 0);
    CHECK_ERR(WEIR_E_FILTER, program.told);
    STAGE_UNTIL(front.logged == 1);
    end(client, server);
}

/* --- Bodies that are taken -------------------------------------------------------------------- */

WEIR_SUSPENDS static enum weir_err takes(struct weir_exchange *exchange)
{
    struct weir_slice body;
    program.told = weir_exchange_take_body(exchange, 1 << 20, &body);
    return WEIR_OK;
}

WEIR_SUSPENDS static enum weir_err takes_at_piece(struct weir_exchange *exchange,
                                                  struct weir_piece *piece)
{
    (void)piece;
    return takes(exchange);
}

STAGE_TEST(a_body_is_taken_when_its_head_is_here)
{
    forget();
    program.at_piece_up = takes_at_piece;
    start();
    int client = front_client();
    raw_send(client, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nab");
    int server = raw_accept(&front.servers[0]);
    CHECK(raw_read(server, "0\r\n\r\n") > 0);
    raw_send(server, FRONT_OK);
    CHECK(raw_read(client, "hello") > 0);
    CHECK_ERR(WEIR_E_FILTER, program.told);
    STAGE_UNTIL(front.logged == 1);
    end(client, server);
}

WEIR_SUSPENDS static enum weir_err takes_at_response(struct weir_exchange *exchange,
                                                     struct weir_response *response)
{
    (void)response;
    return takes(exchange);
}

STAGE_TEST(the_head_outlives_the_body_that_is_taken)
{
    static char filling[3000];
    forget();
    program.at_response = takes_at_response;
    start();
    int client = front_client();
    raw_send(client, FRONT_GET);
    int server = raw_accept(&front.servers[0]);
    raw_read_head(server);
    raw_send(server, "HTTP/1.1 200 OK\r\nX-Of: server\r\nContent-Length: 30000\r\n\r\n");
    memset(filling, 'z', sizeof filling);
    stage_turns();
    for (int i = 0; i < 10; i++) {
        raw_send_bytes(server, filling, sizeof filling);
        stage_turns();
    }
    CHECK(raw_read_head(client));
    CHECK(raw_starts("HTTP/1.1 200 OK\r\n") && raw_has("\r\nX-Of: server\r\n"));
    CHECK(raw_has("\r\nContent-Length: 30000\r\n"));
    CHECK_OK(program.told);
    STAGE_UNTIL(front.logged == 1);
    end(client, server);
}

/* --- Heads whose body is another than it was -------------------------------------------------- */

WEIR_SUSPENDS static enum weir_err sets_get(struct weir_exchange *exchange)
{
    return weir_request_set_method(weir_exchange_request(exchange), weir_str("GET"));
}

STAGE_TEST(who_asked_for_a_head_gets_no_body)
{
    forget();
    program.at_request = sets_get;
    start();
    int client = front_client();
    raw_send(client, "HEAD / HTTP/1.1\r\nHost: h\r\n\r\n");
    int server = raw_accept(&front.servers[0]);
    raw_read_head(server);
    CHECK(raw_starts("GET "));
    raw_send(server, FRONT_OK);
    CHECK(raw_read_head(client));
    STAGE_UNTIL(front.logged == 1);
    stage_turns();
    CHECK_EQ(RAW_NOTHING, raw_recv_now(client, raw_text, 1));
    end(client, server);
}

WEIR_SUSPENDS static enum weir_err sets_head(struct weir_exchange *exchange)
{
    return weir_request_set_method(weir_exchange_request(exchange), weir_str("HEAD"));
}

STAGE_TEST(who_asked_for_more_than_a_head_is_told_of_no_more_than_comes)
{
    forget();
    program.at_upstream_request = sets_head;
    start();
    int client = front_client();
    raw_send(client, FRONT_GET);
    int server = raw_accept(&front.servers[0]);
    raw_read_head(server);
    CHECK(raw_starts("HEAD "));
    raw_send(server, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n");
    CHECK(raw_read_head(client));
    CHECK(raw_has("\r\nContent-Length: 0\r\n") && !strstr(raw_text, "Content-Length: 5"));
    STAGE_UNTIL(front.logged == 1);
    end(client, server);
}

WEIR_SUSPENDS static enum weir_err sets_200(struct weir_exchange *exchange,
                                            struct weir_response *response)
{
    (void)exchange;
    return weir_response_set_status(response, 200);
}

STAGE_TEST(a_304_that_becomes_a_200_has_an_empty_body)
{
    forget();
    program.at_response = sets_200;
    start();
    int client = front_client();
    raw_send(client, FRONT_GET);
    int server = raw_accept(&front.servers[0]);
    raw_read_head(server);
    raw_send(server, "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n");
    CHECK(raw_read_head(client));
    CHECK(raw_starts("HTTP/1.1 200 ") && raw_has("\r\nContent-Length: 0\r\n"));
    CHECK(!strstr(raw_text, "Content-Length: 5"));
    STAGE_UNTIL(front.logged == 1);
    end(client, server);
}

/* --- Trying again ----------------------------------------------------------------------------- */

static bool slow;

/* While a piece of a body is in its hand it waits, the first time. */
WEIR_SUSPENDS static enum weir_err holds_a_piece(struct weir_exchange *exchange,
                                                 struct weir_piece *piece)
{
    (void)exchange;
    (void)piece;
    if (!slow)
        return WEIR_OK;
    program.calls++;
    return co_wait(WEIR_NEVER);
}

STAGE_TEST(what_a_filter_had_in_its_hand_is_gone_when_it_is_tried_again)
{
    forget();
    slow = false;
    program.at_piece_up = holds_a_piece;
    start();
    int client = front_client();
    int server = front_warm(client);
    slow = true;
    raw_send(client, "PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
                     "2\r\nab\r\n0\r\n\r\n");
    STAGE_UNTIL(program.calls == 1);
    slow = false;
    raw_close(server);
    /* Half of it must not come as if it were all. */
    CHECK(raw_read(client, "\n") > 0);
    STAGE_UNTIL(front.logged == 2);
    CHECK_EQ(502, front.status);
    CHECK_EQ(1, front.record.attempts);
    CHECK(raw_nobody_waits(&front.servers[0]));
    end(client, -1);
}

CHECK_MAIN
