/* SPDX-License-Identifier: MIT */
/* Subrequests where they do not fit: bodies that are gone, heads that are sent, calls too late. */
#include "tests/unit/proxy/front.h"
#include <weir/subrequest.h>

/* What the filters under test do, and what came of it. */
static struct {
    enum weir_err (*at_request)(struct weir_exchange *exchange);
    enum weir_err (*at_upstream_request)(struct weir_exchange *exchange);
    enum weir_err (*at_response)(struct weir_exchange *exchange);
    struct weir_subrequest what;
    enum weir_err err;
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
    (void)response;
    return program.at_response ? program.at_response(exchange) : WEIR_OK;
}

static const struct weir_proxy_ops ops = {.name = "test",
                                          .request_filter = request_filter,
                                          .upstream_request_filter = upstream_request_filter,
                                          .response_filter = response_filter};

/* After `program` has been told what to do. */
static void start(void)
{
    front_prepare(1);
    front.options.ops = &ops;
    front_start();
}

static void forget(void)
{
    memset(&program, 0, sizeof program);
}

static void options_init(struct weir_subrequest_options *options)
{
    weir_subrequest_options_init(options);
    options->without_phases = true;
}

WEIR_SUSPENDS static enum weir_err run(struct weir_exchange *exchange,
                                       const struct weir_subrequest_options *options)
{
    struct weir_request *request;
    TRY(weir_exchange_copy_request(exchange, &request));
    must(weir_request_set_path(request, weir_str("/sub")) == WEIR_OK);
    enum weir_err err = weir_subrequest_run(exchange, request, options, &program.what, NULL);
    weir_request_free(&request);
    return err;
}

WEIR_SUSPENDS static void end(int client, int server)
{
    raw_close(client);
    raw_close(server);
    front_close();
}

#define POST_CHUNKS                                                                                \
    "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"                             \
    "2\r\nab\r\n2\r\ncd\r\n0\r\n\r\n"

/* --- Bodies ----------------------------------------------------------------------------------- */

WEIR_SUSPENDS static enum weir_err sends_parents(struct weir_exchange *exchange)
{
    struct weir_subrequest_options options;
    options_init(&options);
    options.body = WEIR_SEND_PARENT;
    program.err = run(exchange, &options);
    return WEIR_OK;
}

STAGE_TEST(what_a_subrequest_has_sent_of_its_parents_body_the_parent_has_not)
{
    forget();
    program.at_request = sends_parents;
    start();
    int client = front_client();
    raw_send(client, POST_CHUNKS);
    int server = raw_accept(&front.servers[0]);
    CHECK(raw_read(server, "cd\r\n0\r\n\r\n") > 0);
    raw_send(server, FRONT_OK);
    CHECK(raw_read(client, "a filter failed\n") > 0);
    CHECK_OK(program.err);
    STAGE_UNTIL(front.logged == 1);
    CHECK_EQ(1, stat_read(&front.service->stats.program_faults));
    CHECK_EQ(RAW_NOTHING, raw_recv_now(server, raw_text, 1));
    end(client, server);
}

WEIR_SUSPENDS static enum weir_err reads_and_sends_parents(struct weir_exchange *exchange)
{
    struct weir_piece piece;
    TRY(weir_exchange_recv(exchange, &piece));
    CHECK(!piece.last);
    TRY(sends_parents(exchange));
    return weir_exchange_answer(exchange, 200, "text/plain", weir_str(weir_err_name(program.err)));
}

STAGE_TEST(of_a_body_that_was_read_nobody_sends_the_rest_as_if_it_were_all)
{
    forget();
    program.at_request = reads_and_sends_parents;
    start();
    int client = front_client();
    raw_send(client, POST_CHUNKS);
    CHECK(raw_read(client, "truncated") > 0);
    CHECK_ERR(WEIR_E_TRUNCATED, program.err);
    CHECK(raw_nobody_waits(&front.servers[0]));
    STAGE_UNTIL(front.logged == 1);
    end(client, -1);
}

WEIR_SUSPENDS static enum weir_err sends_parents_twice(struct weir_exchange *exchange)
{
    TRY(sends_parents(exchange));
    CHECK_OK(program.err);
    TRY(sends_parents(exchange));
    return weir_exchange_answer(exchange, 200, "text/plain", weir_str(weir_err_name(program.err)));
}

STAGE_TEST(a_body_is_sent_once_as_it_comes)
{
    forget();
    program.at_request = sends_parents_twice;
    start();
    int client = front_client();
    raw_send(client, POST_CHUNKS);
    int server = raw_accept(&front.servers[0]);
    CHECK(raw_read(server, "cd\r\n0\r\n\r\n") > 0);
    raw_send(server, FRONT_OK);
    CHECK(raw_read(client, "truncated") > 0);
    CHECK_ERR(WEIR_E_TRUNCATED, program.err);
    CHECK_EQ(RAW_NOTHING, raw_recv_now(server, raw_text, 1));
    STAGE_UNTIL(front.logged == 1);
    end(client, server);
}

/* --- Pipes ------------------------------------------------------------------------------------ */

WEIR_SUSPENDS static enum weir_err pipe_through(struct weir_exchange *exchange, const char *method,
                                                weir_pipe_fn *filter)
{
    struct weir_subrequest_options options;
    struct weir_request *request;
    options_init(&options);
    TRY(weir_exchange_copy_request(exchange, &request));
    must(weir_request_set_method(request, weir_str(method)) == WEIR_OK);
    program.what.status = 999; /* whatever happens, it is told */
    program.err =
        weir_subrequest_pipe(exchange, request, &options, filter, exchange, &program.what);
    weir_request_free(&request);
    return WEIR_OK;
}

WEIR_SUSPENDS static enum weir_err answers_by_itself(void *owner, struct weir_response *response,
                                                     struct weir_piece *piece, bool *drop)
{
    (void)piece, (void)drop;
    if (!response)
        return WEIR_OK;
    return weir_exchange_answer(owner, 403, "text/plain", weir_str("no\n"));
}

WEIR_SUSPENDS static enum weir_err pipes_and_answers(struct weir_exchange *exchange)
{
    return pipe_through(exchange, "GET", answers_by_itself);
}

STAGE_TEST(a_pipes_filter_may_not_answer_beside_it)
{
    forget();
    program.at_request = pipes_and_answers;
    start();
    int client = front_client();
    raw_send(client, FRONT_GET);
    int server = raw_accept(&front.servers[0]);
    raw_read_head(server);
    raw_send(server, FRONT_OK);
    CHECK(raw_read(client, "no\n") > 0);
    CHECK(raw_starts("HTTP/1.1 403 "));
    STAGE_UNTIL(front.logged == 1);
    CHECK_ERR(WEIR_E_FILTER, program.err);
    CHECK(!program.what.head_sent);
    end(client, server);
}

WEIR_SUSPENDS static enum weir_err fails(void *owner, struct weir_response *response,
                                         struct weir_piece *piece, bool *drop)
{
    (void)owner, (void)response, (void)piece, (void)drop;
    return WEIR_E_FILTER;
}

WEIR_SUSPENDS static enum weir_err pipes_and_fails(struct weir_exchange *exchange)
{
    TRY(pipe_through(exchange, "GET", fails));
    return weir_exchange_answer(exchange, 200, "text/plain", weir_str("failed"));
}

STAGE_TEST(a_head_that_a_pipes_filter_refused_was_not_sent)
{
    forget();
    program.at_request = pipes_and_fails;
    start();
    int client = front_client();
    raw_send(client, FRONT_GET);
    int server = raw_accept(&front.servers[0]);
    raw_read_head(server);
    raw_send(server, FRONT_OK);
    CHECK(raw_read(client, "failed") > 0);
    CHECK_ERR(WEIR_E_FILTER, program.err);
    CHECK(!program.what.head_sent);
    STAGE_UNTIL(front.logged == 1);
    end(client, server);
}

WEIR_SUSPENDS static enum weir_err pipes_head(struct weir_exchange *exchange)
{
    return pipe_through(exchange, "HEAD", NULL);
}

STAGE_TEST(a_head_alone_that_is_piped_tells_of_no_body)
{
    forget();
    program.at_request = pipes_head;
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

WEIR_SUSPENDS static enum weir_err pipes_plainly(struct weir_exchange *exchange)
{
    return pipe_through(exchange, "GET", NULL);
}

STAGE_TEST(a_phase_that_cannot_answer_cannot_pipe)
{
    forget();
    program.at_upstream_request = pipes_plainly;
    start();
    int client = front_client();
    int server = front_exchange(client, -1);
    CHECK_ERR(WEIR_E_FILTER, program.err);
    CHECK_EQ(0, program.what.status);
    STAGE_UNTIL(front.logged == 1);
    end(client, server);
}

/* --- The parent's connection ------------------------------------------------------------------ */

WEIR_SUSPENDS static enum weir_err goes_on_and_takes(struct weir_exchange *exchange)
{
    struct weir_subrequest_options options;
    struct weir_slice body;
    options_init(&options);
    options.on_parents_connection = true;
    program.err = run(exchange, &options);
    CHECK_OK(weir_exchange_take_body(exchange, 100, &body));
    CHECK_EQ(0, body.len);
    return WEIR_OK;
}

STAGE_TEST(an_empty_body_may_be_taken_when_the_connection_is_anothers)
{
    forget();
    program.at_response = goes_on_and_takes;
    start();
    int client = front_client();
    raw_send(client, FRONT_GET);
    int server = raw_accept(&front.servers[0]);
    raw_read_head(server);
    raw_send(server, "HTTP/1.1 204 No Content\r\n\r\n");
    CHECK(raw_read_head(server));
    raw_send(server, FRONT_OK);
    CHECK(raw_read_head(client));
    CHECK(raw_starts("HTTP/1.1 204 "));
    CHECK_OK(program.err);
    CHECK(program.what.on_parents_connection);
    STAGE_UNTIL(front.logged == 1);
    end(client, server);
}

/* --- In the background ------------------------------------------------------------------------ */

WEIR_SUSPENDS static enum weir_err starts_too_late(struct weir_exchange *exchange)
{
    struct weir_subrequest_options options;
    struct weir_request *request;
    options_init(&options);
    options.deadline = weir_time_after(loop_now(&stage.loop), weir_span_ms(-1));
    TRY(weir_exchange_copy_request(exchange, &request));
    program.err = weir_subrequest_background(exchange, request, &options);
    weir_request_free(&request);
    return weir_exchange_answer(exchange, 202, "text/plain", weir_str("later"));
}

STAGE_TEST(a_deadline_that_has_passed_ends_what_runs_in_the_background)
{
    forget();
    program.at_request = starts_too_late;
    start();
    int client = front_client();
    raw_send(client, FRONT_GET);
    CHECK(raw_read(client, "later") > 0);
    raw_close(client);
    STAGE_UNTIL(service_has_ended(front.service));
    CHECK_EQ(1, stat_read(&front.service->stats.subrequests[SUBREQUEST_BACKGROUND][0]));
    end(-1, -1);
}

CHECK_MAIN
