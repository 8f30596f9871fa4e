/* SPDX-License-Identifier: MIT */
/* A program's phases, between a client and a server by hand. */
#include "tests/unit/proxy/front.h"
#include <weir/log.h>

/* What the phases saw, in order, and what they are to do. */
static struct {
    char seen[512];
    enum weir_err fails; /* of the phase named by `at` */
    const char *at;
    bool answers, leaves_half, reads_body, keeps_length, forgets;
    unsigned failures_retried;
    struct weir_peer *other;
    enum weir_err logged;
    bool logged_once;
} program;

static void note(const char *phase)
{
    size_t len = strlen(program.seen);
    snprintf(program.seen + len, sizeof program.seen - len, "%s ", phase);
}

static enum weir_err result(const char *phase)
{
    note(phase);
    return program.at && strcmp(program.at, phase) == 0 ? program.fails : WEIR_OK;
}

WEIR_SUSPENDS static enum weir_err request_filter(struct weir_exchange *exchange)
{
    struct weir_response *response;
    struct weir_piece piece;
    if (program.answers)
        return weir_exchange_answer(exchange, 403, "text/plain", weir_str("no\n"));
    if (program.reads_body)
        TRY(weir_exchange_recv(exchange, &piece));
    if (program.leaves_half) {
        TRY(weir_exchange_new_response(exchange, 200, &response));
        TRY(weir_exchange_send_head(exchange, response, 10));
        TRY(weir_exchange_send(exchange, weir_str("half"), false));
    }
    return result("request");
}

WEIR_SUSPENDS static enum weir_err upstream_peer(struct weir_exchange *exchange,
                                                 struct weir_peer **ret_peer)
{
    (void)exchange;
    *ret_peer = NULL;
    return result("peer");
}

WEIR_SUSPENDS static enum weir_err upstream_request_filter(struct weir_exchange *exchange,
                                                           struct weir_request *request)
{
    if (program.keeps_length)
        weir_exchange_keep_length(exchange);
    TRY(weir_fields_set(weir_request_fields(request), "X-Program", weir_str("up")));
    return result("upstream_request");
}

WEIR_SUSPENDS static enum weir_err connected(struct weir_exchange *exchange,
                                             const struct weir_connection *connection)
{
    struct weir_connection again;
    CHECK(weir_exchange_connection(exchange, &again) && again.id == connection->id);
    return result(connection->reused ? "reused" : "connected");
}

WEIR_SUSPENDS static void fail_to_connect(struct weir_exchange *exchange, enum weir_err err,
                                          bool *retry)
{
    (void)exchange;
    CHECK(err);
    note("fail_to_connect");
    *retry = program.failures_retried-- > 0;
}

WEIR_SUSPENDS static void error_while_proxy(struct weir_exchange *exchange, enum weir_err err,
                                            bool reused, bool *retry)
{
    (void)exchange, (void)err, (void)reused;
    note("error_while_proxy");
    if (program.failures_retried > 0) {
        program.failures_retried--;
        *retry = true;
    }
}

/* Every other piece of a body is doubled: "ab" becomes "abab". */
WEIR_SUSPENDS static enum weir_err double_body(struct weir_exchange *exchange,
                                               struct weir_piece *piece)
{
    char *bytes = weir_exchange_alloc(exchange, piece->bytes.len * 2 + 1);
    if (piece->bytes.len == 0)
        return WEIR_OK;
    memcpy(bytes, piece->bytes.at, piece->bytes.len);
    memcpy(bytes + piece->bytes.len, piece->bytes.at, piece->bytes.len);
    piece->bytes = slice_of(bytes, piece->bytes.len * 2);
    return WEIR_OK;
}

WEIR_SUSPENDS static enum weir_err response_filter(struct weir_exchange *exchange,
                                                   struct weir_response *response)
{
    if (program.keeps_length)
        weir_exchange_keep_length(exchange);
    weir_fields_remove(weir_response_fields(response), "Server");
    return result("response");
}

WEIR_SUSPENDS static enum weir_err fail_to_proxy(struct weir_exchange *exchange, enum weir_err err)
{
    note("fail_to_proxy");
    return program.forgets
               ? WEIR_OK
               : weir_exchange_answer(exchange, 599, "text/plain", weir_str(weir_err_name(err)));
}

WEIR_SUSPENDS static void logging(struct weir_exchange *exchange, enum weir_err err)
{
    (void)exchange;
    CHECK(!program.logged_once);
    program.logged_once = true;
    program.logged = err;
}

static struct weir_proxy_ops ops;

static void prepare(unsigned servers)
{
    memset(&program, 0, sizeof program);
    ops = (struct weir_proxy_ops){
        .name = "test",
        .request_filter = request_filter,
        .upstream_peer = upstream_peer,
        .upstream_request_filter = upstream_request_filter,
        .connected_to_upstream = connected,
        .fail_to_connect = fail_to_connect,
        .error_while_proxy = error_while_proxy,
        .response_filter = response_filter,
        .logging = logging,
    };
    front_prepare(servers);
    front.options.ops = &ops;
}

/* The client has its answer; everything is as after any exchange. */
WEIR_SUSPENDS static void end(int client)
{
    STAGE_UNTIL(front.logged >= 1);
    CHECK(program.logged_once);
    raw_close(client);
    front_close();
}

STAGE_TEST(phases_come_in_their_order)
{
    prepare(1);
    front_start();
    int client = front_client();
    raw_send(client, FRONT_GET);
    int server = raw_accept(&front.servers[0]);
    raw_read_head(server);
    CHECK(raw_has("\r\nX-Program: up\r\n"));
    raw_send(server, "HTTP/1.1 200 OK\r\nServer: secret\r\nContent-Length: 5\r\n\r\nhello");
    CHECK(raw_read(client, "hello") > 0);
    CHECK(!strstr(raw_text, "Server"));
    STAGE_UNTIL(front.logged == 1);
    CHECK_SLICE(slice_str(program.seen), "request peer upstream_request connected response ");
    CHECK_OK(program.logged);
    program.logged_once = false;
    program.seen[0] = '\0';
    front_exchange(client, server);
    STAGE_UNTIL(front.logged == 2);
    CHECK_SLICE(slice_str(program.seen), "request peer upstream_request reused response ");
    raw_close(server);
    end(client);
}

STAGE_TEST(a_request_filter_may_answer)
{
    prepare(1);
    program.answers = true;
    front_start();
    int client = front_client();
    raw_send(client, FRONT_GET);
    CHECK(raw_read(client, "no\n") > 0);
    CHECK(raw_starts("HTTP/1.1 403 Forbidden\r\n"));
    CHECK(raw_nobody_waits(&front.servers[0]));
    STAGE_UNTIL(front.logged == 1);
    CHECK_EQ(0, front.record.attempts);
    CHECK_EQ(0, stat_read(&front.service->stats.program_faults));
    end(client);
}

STAGE_TEST(an_error_of_a_phase_is_the_exchanges)
{
    static const char *const phases[] = {"request", "peer", "upstream_request", "connected",
                                         "response"};
    for (size_t i = 0; i < COUNT_OF(phases); i++) {
        prepare(1);
        program.at = phases[i];
        program.fails = WEIR_E_FILTER;
        front_start();
        int client = front_client(), server = -1;
        raw_send(client, FRONT_GET);
        if (i >= 3)
            server = raw_accept(&front.servers[0]);
        if (i == 4) {
            raw_read_head(server);
            raw_send(server, FRONT_OK);
        }
        CHECK(raw_read(client, "a filter failed\n") > 0);
        CHECK(raw_starts("HTTP/1.1 500 "));
        STAGE_UNTIL(front.logged == 1);
        CHECK_ERR(WEIR_E_FILTER, program.logged);
        raw_close(server);
        end(client);
    }
}

STAGE_TEST(what_a_filter_leaves_halfway_is_cut_and_told)
{
    prepare(1);
    program.leaves_half = true;
    front_start();
    int client = front_client();
    raw_send(client, FRONT_GET);
    CHECK_EQ(RAW_RESET, raw_read(client, "\r\n\r\nhalf never more"));
    CHECK(raw_has("\r\nContent-Length: 10\r\n") && raw_has("\r\n\r\nhalf"));
    STAGE_UNTIL(front.logged == 1);
    CHECK_ERR(WEIR_E_FILTER, program.logged);
    CHECK_EQ(1, stat_read(&front.service->stats.program_faults));
    /* And it serves on. */
    memset(&program, 0, sizeof program);
    int other = front_client();
    raw_close(front_exchange(other, -1));
    raw_close(other);
    STAGE_UNTIL(front.logged == 2);
    end(client);
}

/* Gets a session, reads a part of its response, and forgets it. */
WEIR_SUSPENDS static enum weir_err forget_session(struct weir_exchange *exchange)
{
    struct weir_connector *connector = weir_exchange_connector(exchange);
    struct weir_session *session;
    struct weir_request *request;
    struct weir_response *response;
    struct weir_piece piece;
    TRY(weir_connector_get(connector, program.other, WEIR_ANY, WEIR_NEVER, &session));
    TRY(weir_request_new("GET", "other", "/forgotten", &request));
    TRY(weir_session_send_head(session, request, WEIR_BODY_NONE));
    weir_request_free(&request);
    TRY(weir_session_recv_head(session, &response));
    return weir_session_recv(session, WEIR_NEVER, &piece);
}

static void keep_line(void *owner, enum weir_log_level level, const char *line)
{
    (void)level;
    snprintf(owner, 200, "%s", line);
}

STAGE_TEST(a_session_that_is_never_released_is_closed_and_told)
{
    struct weir_peer_options options;
    char line[200] = "", url[ADDR_TEXT_SIZE + 8];
    struct raw_listener other;
    prepare(1);
    raw_listen(&other);
    char address[ADDR_TEXT_SIZE];
    snprintf(url, sizeof url, "http://%s", addr_print(&other.addr, address));
    weir_peer_options_init(&options);
    options.url = url;
    CHECK_OK(weir_peer_new(&options, NULL, &program.other));
    ops.request_filter = forget_session;
    front_start();
    log_set_level(LOG_WARN);
    weir_log_to(keep_line, line);
    int client = front_client();
    raw_send(client, FRONT_GET);
    int asked = raw_accept(&other);
    raw_read_head(asked);
    raw_send(asked, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf");
    int server = raw_accept(&front.servers[0]); /* it goes on all the same */
    raw_read_head(server);
    raw_send(server, FRONT_OK);
    CHECK(raw_read(client, "hello") > 0);
    STAGE_UNTIL(front.logged == 1);
    raw_close(server);
    weir_log_to(NULL, NULL);
    CHECK(strstr(line, "never released") && strstr(line, "request_filter") && strstr(line, url));
    CHECK_EQ(1, stat_read(&front.service->stats.program_faults));
    CHECK_EQ(RAW_RESET, raw_read(asked, "more"));
    raw_close(asked);
    raw_close(other.descriptor);
    weir_peer_free(&program.other);
    end(client);
}

STAGE_TEST(a_body_that_was_read_is_not_sent_as_if_it_were_whole)
{
    prepare(1);
    program.reads_body = true;
    front_start();
    int client = front_client();
    raw_send(client, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nbody");
    CHECK(raw_read(client, "a filter failed\n") > 0);
    CHECK(raw_nobody_waits(&front.servers[0]));
    STAGE_UNTIL(front.logged == 1);
    CHECK_EQ(1, stat_read(&front.service->stats.program_faults));
    end(client);
}

STAGE_TEST(bodies_pass_filters_and_their_length_is_told_anew)
{
    prepare(1);
    ops.request_body_filter = ops.response_body_filter = double_body;
    front_start();
    int client = front_client();
    raw_send(client, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nab");
    int server = raw_accept(&front.servers[0]);
    CHECK(raw_read(server, "0\r\n\r\n") > 0);
    CHECK(raw_has("\r\nTransfer-Encoding: chunked\r\n") && !strstr(raw_text, "Content-Length"));
    CHECK(raw_has("\r\n\r\n4\r\nabab\r\n"));
    raw_send(server, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nxy");
    CHECK(raw_read(client, "0\r\n\r\n") > 0);
    CHECK(raw_has("4\r\nxyxy\r\n") && !strstr(raw_text, "Content-Length"));
    STAGE_UNTIL(front.service->pool.idle_count == 1);
    raw_close(server);
    end(client);
}

STAGE_TEST(a_filter_that_breaks_its_promise_of_the_length)
{
    prepare(1);
    ops.response_body_filter = double_body;
    program.keeps_length = true;
    front_start();
    int client = front_client();
    raw_send(client, FRONT_GET);
    int server = raw_accept(&front.servers[0]);
    raw_read_head(server);
    raw_send(server, FRONT_OK);
    /* Never five bytes as if they were all. */
    CHECK(raw_read(client, "its head said\n") > 0);
    CHECK(!strstr(raw_text, "hello"));
    STAGE_UNTIL(front.logged == 1);
    CHECK_ERR(WEIR_E_BODY_LENGTH, program.logged);
    raw_close(server);
    end(client);
}

STAGE_TEST(failures_may_be_tried_again_or_not)
{
    /* A POST on a new connection that broke is not sent again, unless the program says so. */
    prepare(1);
    program.failures_retried = 1;
    ops.fail_to_proxy = fail_to_proxy;
    front_start();
    int client = front_client();
    raw_send(client, "POST / HTTP/1.1\r\nHost: h\r\n\r\n");
    int server = raw_accept(&front.servers[0]);
    raw_read_head(server);
    raw_close(server);
    server = raw_accept(&front.servers[0]);
    raw_read_head(server);
    raw_close(server);
    CHECK(raw_read(client, "eof") > 0);
    CHECK(raw_starts("HTTP/1.1 599 "));
    STAGE_UNTIL(front.logged == 1);
    CHECK_EQ(2, front.record.attempts);
    CHECK_SLICE(slice_str(program.seen),
                "request peer upstream_request connected error_while_proxy connected "
                "error_while_proxy fail_to_proxy ");
    CHECK_ERR(WEIR_E_EOF, program.logged);
    end(client);
}

STAGE_TEST(a_connection_that_fails_is_told)
{
    prepare(2);
    ops.fail_to_proxy = fail_to_proxy;
    program.forgets = true;
    program.failures_retried =
        0; /* weir would try the other server; the program does not want it */
    front.upstream.retry.attempts = 1;
    raw_close(front.servers[0].descriptor);
    raw_close(front.servers[1].descriptor);
    front.upstream.server_count = 0;
    front.upstream.server_count = 2;
    front_start();
    int client = front_client();
    raw_send(client, FRONT_GET);
    CHECK(raw_read(client, "refused the connection\n") > 0);
    CHECK(raw_starts("HTTP/1.1 502 "));
    STAGE_UNTIL(front.logged == 1);
    CHECK_EQ(1, front.record.attempts);
    CHECK_SLICE(slice_str(program.seen),
                "request peer upstream_request fail_to_connect fail_to_proxy ");
    front.upstream.server_count = 0; /* front_close() would close them again */
    end(client);
}

CHECK_MAIN
