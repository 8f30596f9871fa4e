/* SPDX-License-Identifier: MIT */
/* Subrequests of a program's filters, between a client and a server by hand. */
#include "tests/unit/proxy/front.h"
#include <weir/subrequest.h>

/* What the filter under test does with its exchange, and what came of it. */
static struct {
    enum weir_err (*filter)(struct weir_exchange *exchange);
    enum weir_err (*response_filter)(struct weir_exchange *exchange);
    struct weir_subrequest what;
    struct weir_kept kept;
    enum weir_err err, limit;
    char body[64];
    unsigned deepest;
    bool over;
} program;

static unsigned depth_of(const struct weir_exchange *exchange)
{
    unsigned depth = 0;
    while ((exchange = weir_exchange_parent(exchange)))
        depth++;
    return depth;
}

WEIR_SUSPENDS static enum weir_err request_filter(struct weir_exchange *exchange)
{
    unsigned depth = depth_of(exchange);
    program.deepest = depth > program.deepest ? depth : program.deepest;
    return program.filter ? program.filter(exchange) : WEIR_OK;
}

WEIR_SUSPENDS static enum weir_err response_filter(struct weir_exchange *exchange,
                                                   struct weir_response *response)
{
    (void)response;
    return program.response_filter ? program.response_filter(exchange) : WEIR_OK;
}

static const struct weir_proxy_ops ops = {
    .name = "test", .request_filter = request_filter, .response_filter = response_filter};

static void start(enum weir_err (*filter)(struct weir_exchange *exchange))
{
    memset(&program, 0, sizeof program);
    program.filter = filter;
    front_prepare(1);
    front.options.ops = &ops;
    front_start();
}

/* What a subrequest of these tests is, before its options are changed. */
static void options_init(struct weir_subrequest_options *options)
{
    weir_subrequest_options_init(options);
    options->without_phases = true;
}

/* Asks for /sub and keeps the answer. */
WEIR_SUSPENDS static enum weir_err ask(struct weir_exchange *exchange,
                                       const struct weir_subrequest_options *options)
{
    struct weir_request *request;
    struct weir_reply *reply = NULL;
    TRY(weir_exchange_copy_request(exchange, &request));
    must(weir_request_set_path(request, weir_str("/sub")) == WEIR_OK);
    program.err = weir_subrequest_run(exchange, request, options, &program.what, &reply);
    if (!program.err)
        snprintf(program.body, sizeof program.body, "%.*s",
                 WEIR_SLICE_ARGS(weir_reply_body(reply)));
    weir_reply_free(&reply);
    weir_request_free(&request);
    program.over = true;
    return WEIR_OK;
}

WEIR_SUSPENDS static void end(int client, int server)
{
    raw_close(client);
    raw_close(server);
    front_close();
}

/* --- Run and wait ----------------------------------------------------------------------------- */

WEIR_SUSPENDS static enum weir_err filter_asks(struct weir_exchange *exchange)
{
    struct weir_subrequest_options options;
    options_init(&options);
    return ask(exchange, &options);
}

STAGE_TEST(a_subrequest_goes_through_its_parents_pool)
{
    start(filter_asks);
    int client = front_client();
    raw_send(client, "POST / HTTP/1.1\r\nHost: h\r\nCookie: a\r\nContent-Type: b\r\n"
                     "Connection: X-Of\r\nX-Of: this connection\r\nContent-Length: 2\r\n\r\nab");
    int server = raw_accept(&front.servers[0]);
    CHECK(raw_read_head(server));
    CHECK(!strstr(raw_text, "X-Of"));
    CHECK(raw_starts("POST /sub HTTP/1.1\r\n") && raw_has("\r\nCookie: a\r\n"));
    CHECK(!strstr(raw_text, "Content-") && raw_has("\r\nX-Forwarded-For: 127.0.0.1\r\n"));
    raw_send(server, "HTTP/1.1 201 Created\r\nContent-Length: 3\r\n\r\nsub");
    /* The parent's own request comes on the same connection. */
    CHECK(raw_read(server, "ab") > 0);
    CHECK(raw_starts("POST / HTTP/1.1\r\n"));
    raw_send(server, FRONT_OK);
    CHECK(raw_read(client, "hello") > 0);
    CHECK_OK(program.err);
    CHECK_EQ(201, program.what.status);
    CHECK_SLICE(slice_str(program.body), "sub");
    STAGE_UNTIL(front.logged == 1);
    CHECK_EQ(SOURCE_REUSED, front.record.story.source);
    CHECK_EQ(1, stat_read(&front.service->stats.subrequests[SUBREQUEST_WAITED_FOR][1]));
    CHECK_EQ(1, stat_read(&front.service->stats.requests[200]));
    end(client, server);
}

WEIR_SUSPENDS static enum weir_err filter_asks_for_little(struct weir_exchange *exchange)
{
    struct weir_subrequest_options options;
    options_init(&options);
    options.response_bytes = 2;
    return ask(exchange, &options);
}

STAGE_TEST(a_response_over_the_limit_is_told_and_its_connection_is_not_kept)
{
    start(filter_asks_for_little);
    int client = front_client();
    raw_send(client, FRONT_GET);
    int server = raw_accept(&front.servers[0]);
    raw_read_head(server);
    raw_send(server, "HTTP/1.1 200 OK\r\nContent-Length: 30\r\n\r\nsub");
    int other = raw_accept(&front.servers[0]); /* for the parent's own */
    raw_read_head(other);
    raw_send(other, FRONT_OK);
    CHECK(raw_read(client, "hello") > 0);
    CHECK_ERR(WEIR_E_TOO_LARGE, program.err);
    STAGE_UNTIL(front.logged == 1);
    raw_close(other);
    end(client, server);
}

WEIR_SUSPENDS static enum weir_err filter_asks_impatiently(struct weir_exchange *exchange)
{
    struct weir_subrequest_options options;
    options_init(&options);
    options.deadline = weir_time_after(loop_now(&stage.loop), weir_span_ms(20));
    return ask(exchange, &options);
}

STAGE_TEST(a_deadline_ends_it)
{
    start(filter_asks_impatiently);
    int client = front_client();
    raw_send(client, FRONT_GET);
    int server = raw_accept(&front.servers[0]);
    raw_read_head(server);
    STAGE_UNTIL(program.over);
    CHECK_ERR(WEIR_E_TIMEOUT, program.err);
    int other = raw_accept(&front.servers[0]);
    raw_read_head(other);
    raw_send(other, FRONT_OK);
    CHECK(raw_read(client, "hello") > 0);
    raw_close(other);
    end(client, server);
}

WEIR_SUSPENDS static enum weir_err filter_recurs(struct weir_exchange *exchange)
{
    struct weir_subrequest_options options;
    weir_subrequest_options_init(&options);
    TRY(ask(exchange, &options));
    program.limit = program.err ? program.err : program.limit;
    return program.limit;
}

STAGE_TEST(recursion_meets_a_limit)
{
    start(filter_recurs);
    int client = front_client();
    raw_send(client, FRONT_GET);
    CHECK(raw_read(client, "too deep\n") > 0);
    CHECK(raw_starts("HTTP/1.1 500 "));
    CHECK_EQ(WEIR_SUBREQUEST_DEPTH_MAX, program.deepest);
    STAGE_UNTIL(front.logged == 1);
    CHECK(raw_nobody_waits(&front.servers[0]));
    end(client, -1);
}

STAGE_TEST(a_client_that_goes_takes_it_along)
{
    start(filter_asks);
    int client = front_client();
    raw_send(client, FRONT_GET);
    int server = raw_accept(&front.servers[0]);
    raw_read_head(server);
    downstream_cancel(&front.service->downstream);
    STAGE_UNTIL(front.logged == 1);
    CHECK_ERR(WEIR_E_CANCELED, program.err);
    CHECK_EQ(1, stat_read(&front.service->stats.subrequests[SUBREQUEST_WAITED_FOR][0]));
    end(client, server);
}

/* --- Bodies ----------------------------------------------------------------------------------- */

/* The first one forwards the client's body and keeps it; the second one gets what was kept. */
WEIR_SUSPENDS static enum weir_err filter_chains(struct weir_exchange *exchange)
{
    struct weir_subrequest_options options;
    options_init(&options);
    options.body = WEIR_SEND_PARENT;
    options.keep_bytes = 8;
    TRY(ask(exchange, &options));
    TRY(program.err);
    options.body = WEIR_SEND_KEPT;
    options.kept = program.kept = program.what.kept;
    TRY(ask(exchange, &options));
    return weir_exchange_answer(exchange, 200, "text/plain", weir_str(weir_err_name(program.err)));
}

STAGE_TEST(what_was_kept_goes_to_the_next_one)
{
    start(filter_chains);
    int client = front_client();
    raw_send(client, "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
                     "4\r\nabcd\r\n4\r\nefgh\r\n0\r\n\r\n");
    int server = raw_accept(&front.servers[0]);
    CHECK(raw_read(server, "0\r\n\r\n") > 0);
    CHECK(raw_has("\r\nTransfer-Encoding: chunked\r\n"));
    raw_send(server, FRONT_OK);
    CHECK(raw_read(server, "abcdefgh") > 0);
    CHECK(raw_has("\r\nContent-Length: 8\r\n"));
    raw_send(server, FRONT_OK);
    CHECK(raw_read(client, "ok") > 0);
    CHECK_OK(program.err);
    STAGE_UNTIL(front.logged == 1);
    end(client, server);
}

STAGE_TEST(what_was_not_kept_whole_goes_to_nobody)
{
    start(filter_chains);
    int client = front_client();
    raw_send(client, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nabcdefghi");
    int server = raw_accept(&front.servers[0]);
    CHECK(raw_read(server, "abcdefghi") > 0);
    raw_send(server, FRONT_OK);
    CHECK(raw_read(client, "truncated") > 0);
    CHECK(program.kept.truncated && program.kept.complete);
    CHECK_EQ(8, program.kept.bytes.len);
    STAGE_UNTIL(front.logged == 1);
    CHECK_EQ(RAW_NOTHING, raw_recv_now(server, raw_text, 1));
    end(client, server);
}

/* --- Pipes ------------------------------------------------------------------------------------ */

WEIR_SUSPENDS static enum weir_err to_stars(void *owner, struct weir_response *response,
                                            struct weir_piece *piece, bool *drop)
{
    (void)owner;
    if (response)
        return weir_fields_set(weir_response_fields(response), "X-Piped", weir_str("1"));
    piece->bytes = piece->bytes.len > 0 ? weir_str("**") : piece->bytes;
    *drop = false;
    return WEIR_OK;
}

WEIR_SUSPENDS static enum weir_err filter_pipes(struct weir_exchange *exchange)
{
    struct weir_subrequest_options options;
    struct weir_request *request;
    options_init(&options);
    TRY(weir_exchange_copy_request(exchange, &request));
    program.err = weir_subrequest_pipe(exchange, request, &options, to_stars, NULL, &program.what);
    weir_request_free(&request);
    return program.err;
}

STAGE_TEST(a_pipe_answers_the_client_through_its_filter)
{
    start(filter_pipes);
    int client = front_client();
    raw_send(client, FRONT_GET);
    int server = raw_accept(&front.servers[0]);
    raw_read_head(server);
    raw_send(server, FRONT_OK);
    CHECK(raw_read(client, "0\r\n\r\n") > 0);
    CHECK(raw_has("\r\nX-Piped: 1\r\n") && raw_has("\r\n2\r\n**\r\n"));
    CHECK(!strstr(raw_text, "Content-Length") && program.what.head_sent);
    STAGE_UNTIL(front.logged == 1);
    CHECK_EQ(200, front.status);
    CHECK_OK(front.error);
    CHECK_EQ(0, front.record.attempts);
    STAGE_UNTIL(front.service->pool.idle_count == 1);
    end(client, server);
}

STAGE_TEST(a_pipe_that_breaks_is_cut_at_the_client_too)
{
    start(filter_pipes);
    int client = front_client();
    raw_send(client, FRONT_GET);
    int server = raw_accept(&front.servers[0]);
    raw_read_head(server);
    raw_send(server, "HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello");
    CHECK(raw_read(client, "**\r\n") > 0);
    raw_close(server);
    CHECK_EQ(RAW_RESET, raw_read(client, "0\r\n\r\n"));
    STAGE_UNTIL(front.logged == 1);
    CHECK_ERR(WEIR_E_RESPONSE_INCOMPLETE, front.error);
    CHECK_EQ(0, stat_read(&front.service->stats.program_faults));
    end(client, -1);
}

/* --- The parent's connection ------------------------------------------------------------------ */

WEIR_SUSPENDS static enum weir_err goes_on(struct weir_exchange *exchange)
{
    struct weir_subrequest_options options;
    struct weir_slice body;
    options_init(&options);
    options.on_parents_connection = true;
    TRY(weir_exchange_take_body(exchange, 100, &body));
    CHECK_SLICE(body, "hello");
    return ask(exchange, &options);
}

STAGE_TEST(a_subrequest_on_its_parents_connection)
{
    start(NULL);
    program.response_filter = goes_on;
    int client = front_client();
    raw_send(client, FRONT_GET);
    int server = raw_accept(&front.servers[0]);
    raw_read_head(server);
    raw_send(server, FRONT_OK);
    CHECK(raw_read_head(server));
    CHECK(raw_starts("GET /sub HTTP/1.1\r\n"));
    raw_send(server, "HTTP/1.1 204 No Content\r\n\r\n");
    CHECK(raw_read(client, "hello") > 0);
    CHECK_EQ(204, program.what.status);
    CHECK(program.what.on_parents_connection);
    CHECK(raw_nobody_waits(&front.servers[0]));
    STAGE_UNTIL(front.logged == 1);
    end(client, server);
}

WEIR_SUSPENDS static enum weir_err goes_on_too_early(struct weir_exchange *exchange)
{
    struct weir_subrequest_options options;
    options_init(&options);
    options.on_parents_connection = true;
    return ask(exchange, &options);
}

STAGE_TEST(a_connection_in_the_middle_of_a_response_is_not_gone_on_with)
{
    start(NULL);
    program.response_filter = goes_on_too_early;
    int client = front_client();
    raw_send(client, FRONT_GET);
    int server = raw_accept(&front.servers[0]);
    raw_read_head(server);
    raw_send(server, FRONT_OK);
    int other = raw_accept(&front.servers[0]);
    CHECK(raw_read_head(other));
    raw_send(other, FRONT_OK);
    CHECK(raw_read(client, "hello") > 0);
    CHECK(!program.what.on_parents_connection);
    CHECK_EQ(200, program.what.status);
    raw_close(other);
    STAGE_UNTIL(front.logged == 1);
    end(client, server);
}

/* --- In the background ------------------------------------------------------------------------ */

WEIR_SUSPENDS static enum weir_err filter_starts(struct weir_exchange *exchange)
{
    struct weir_subrequest_options options;
    struct weir_request *request;
    options_init(&options);
    options.body = WEIR_SEND_BYTES;
    options.bytes = weir_str("background");
    TRY(weir_exchange_copy_request(exchange, &request));
    program.err = weir_subrequest_background(exchange, request, &options);
    weir_request_free(&request);
    return weir_exchange_answer(exchange, 202, "text/plain", weir_str("later"));
}

STAGE_TEST(what_runs_in_the_background_outlives_its_parent)
{
    start(filter_starts);
    int client = front_client();
    raw_send(client, "POST / HTTP/1.1\r\nHost: h\r\n\r\n");
    CHECK(raw_read(client, "later") > 0);
    raw_close(client);
    int server = raw_accept(&front.servers[0]);
    CHECK(raw_read(server, "background") > 0);
    STAGE_UNTIL(downstream_is_empty(&front.service->downstream));
    CHECK(!service_has_ended(front.service));
    raw_send(server, FRONT_OK);
    STAGE_UNTIL(service_has_ended(front.service));
    CHECK_EQ(1, stat_read(&front.service->stats.subrequests[SUBREQUEST_BACKGROUND][1]));
    end(-1, server);
}

CHECK_MAIN
