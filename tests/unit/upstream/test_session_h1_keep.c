/* SPDX-License-Identifier: MIT */
/* Which exchanges leave a connection for the next one: real bytes in, a reason out. */
#include "tests/unit/upstream/swap.h"

struct keep_case {
    const char *method;
    const char *response;
    enum { STAYS, CLOSES } then;
    enum keep keep;
    const char *body;
};

/* How each row ends is what the counters and the pool say afterwards. */
WEIR_SUSPENDS static void check_case(const struct keep_case *row)
{
    if (!swap_begin(row->method))
        return;
    raw_send(swap.server, row->response);
    if (row->then == CLOSES)
        shutdown(swap.server, SHUT_WR);
    bool right = CHECK_OK(swap_recv());
    right &= CHECK_SLICE(slice_of(swap.body, swap.body_bytes), row->body);
    swap_release(true);
    right &= CHECK_EQ(row->keep == KEEP, rig.pool.idle_count);
    right &= CHECK_EQ(row->keep != KEEP, rig_not_kept(0, row->keep));
    right &= CHECK_EQ(row->keep == KEEP_NOT_EXCESS_BODY,
                      stat_read(&rig.stats[0].unexpected_data[PLACE_RELEASE]));
    if (!right)
        printf("# %s after %s: \"%s\"\n", keep_name(row->keep), row->method, row->response);
    swap_end();
}

static const struct keep_case kept[] = {
    {"GET", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", STAYS, KEEP, "hello"},
    {"GET", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", STAYS, KEEP, ""},
    {"GET", "HTTP/1.1 404 No\r\nContent-Length: 2\r\n\r\nno", STAYS, KEEP, "no"},
    {"GET", "HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n", STAYS, KEEP, ""},
    {"POST", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", STAYS,
     KEEP, "hello"},
    {"GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-Sum: 1\r\n\r\n", STAYS,
     KEEP, ""},
    {"HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n", STAYS, KEEP, ""},
    {"HEAD", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", STAYS, KEEP, ""},
    {"HEAD", "HTTP/1.1 200 OK\r\n\r\n", STAYS, KEEP, ""},
    {"GET", "HTTP/1.1 204 No Content\r\n\r\n", STAYS, KEEP, ""},
    {"GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 500\r\n\r\n", STAYS, KEEP, ""},
    {"GET", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx", STAYS,
     KEEP, "x"},
    {"GET", "HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\nx", STAYS, KEEP,
     "x"},
    {"GET", "HTTP/1.1 200 OK\r\nConnection: x-close, closed\r\nContent-Length: 1\r\n\r\nx", STAYS,
     KEEP, "x"},
    {"GET", "HTTP/1.1 200 OK\r\nKeep-Alive: timeout=5, max=99\r\nContent-Length: 1\r\n\r\nx", STAYS,
     KEEP, "x"},
    {"GET", "HTTP/1.1 200 OK\r\nKeep-Alive: timeout=x, max=\r\nContent-Length: 1\r\n\r\nx", STAYS,
     KEEP, "x"},
    {"GET", "HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 1\r\n\r\nx", STAYS, KEEP,
     "x"},
};

STAGE_TEST(what_ends_by_itself_is_kept)
{
    for (size_t i = 0; i < COUNT_OF(kept); i++)
        check_case(&kept[i]);
}

#define CHUNKED "Transfer-Encoding: chunked\r\n"

static const struct keep_case not_kept[] = {
    {"GET", "HTTP/1.1 200 OK\r\n\r\nhello", CLOSES, KEEP_NOT_CLOSE_DELIMITED, "hello"},
    {"GET", "HTTP/1.0 200 OK\r\n\r\n", CLOSES, KEEP_NOT_CLOSE_DELIMITED, ""},
    {"GET", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello!", STAYS, KEEP_NOT_EXCESS_BODY,
     "hello"},
    {"GET", "HTTP/1.1 204 No Content\r\n\r\nhello", STAYS, KEEP_NOT_EXCESS_BODY, ""},
    {"HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", STAYS, KEEP_NOT_EXCESS_BODY, ""},
    {"GET", "HTTP/1.1 200 OK\r\n" CHUNKED "\r\n0\r\n\r\n\r\n", STAYS, KEEP_NOT_EXCESS_BODY, ""},
    {"GET", "HTTP/1.1 304 Not Modified\r\n\r\nHTTP/1.1 200 OK\r\n", STAYS, KEEP_NOT_EXCESS_BODY,
     ""},
    {"GET", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n" CHUNKED "\r\n1\r\nx\r\n0\r\n\r\n", STAYS,
     KEEP_NOT_DOUBTFUL_FRAMING, "x"},
    {"GET", "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", STAYS,
     KEEP_NOT_DOUBTFUL_FRAMING, ""},
    {"GET", "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n" CHUNKED "\r\n1\r\nx\r\n0\r\n\r\n",
     STAYS, KEEP_NOT_HTTP10_TRANSFER_ENCODING, "x"},
    {"GET", "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx", STAYS,
     KEEP_NOT_RESPONSE_CLOSE, "x"},
    {"GET",
     "HTTP/1.1 200 OK\r\nConnection: x\r\nConnection: y , CLOSE\r\nContent-Length: 0\r\n\r\n",
     STAYS, KEEP_NOT_RESPONSE_CLOSE, ""},
    {"HEAD", "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", STAYS, KEEP_NOT_RESPONSE_CLOSE, ""},
    {"GET", "HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx", STAYS, KEEP_NOT_HTTP10_NO_KEEPALIVE,
     "x"},
    {"GET", "HTTP/1.1 200 OK\r\nKeep-Alive: timeout=0\r\nContent-Length: 0\r\n\r\n", STAYS,
     KEEP_NOT_KEEPALIVE_TIMEOUT_ZERO, ""},
    {"GET", "HTTP/1.1 200 OK\r\nKeep-Alive: timeout=1\r\nContent-Length: 0\r\n\r\n", STAYS,
     KEEP_NOT_KEEPALIVE_TIMEOUT_ZERO, ""},
    {"GET", "HTTP/1.1 200 OK\r\nKeep-Alive: timeout=9, max=0\r\nContent-Length: 0\r\n\r\n", STAYS,
     KEEP_NOT_KEEPALIVE_MAX, ""},
};

STAGE_TEST(what_speaks_against_keeping_is_counted_by_name)
{
    for (size_t i = 0; i < COUNT_OF(not_kept); i++)
        check_case(&not_kept[i]);
}

#define OK_1 "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx"

STAGE_TEST(a_close_that_was_sent_ends_it)
{
    rig_open(8);
    swap_request("GET");
    swap_field("Connection", "close");
    if (!swap_get(CONNECTOR_ANY) || !swap_send())
        return;
    raw_send(swap.server, OK_1);
    CHECK_OK(swap_recv());
    swap_release(true);
    CHECK_EQ(1, rig_not_kept(0, KEEP_NOT_SENT_CLOSE));
    swap_end();
}

STAGE_TEST(the_caller_may_not_want_it_kept)
{
    if (!swap_begin("GET"))
        return;
    raw_send(swap.server, OK_1);
    CHECK_OK(swap_recv());
    swap_release(false);
    CHECK_EQ(1, rig_not_kept(0, KEEP_NOT_AT_LIMIT));
    CHECK_EQ(1, rig_closed(0, CLOSE_NOT_REUSABLE));
    CHECK_EQ(0, raw_await_end(swap.server));
    swap_end();
}

/* The whole answer is there before the whole request is: the server must see that it was cut. */
STAGE_TEST(an_answer_before_the_requests_end)
{
    rig_open(8);
    swap_request("POST");
    swap_field("Content-Length", "10");
    swap.request_framing = (struct http_framing){.body = BODY_LENGTH, .length = 10};
    if (!swap_get(CONNECTOR_ANY) || !swap_send())
        return;
    raw_send(swap.server, "HTTP/1.1 413 Too Large\r\nContent-Length: 1\r\n\r\nx");
    CHECK_OK(swap_recv());
    CHECK_EQ(413, swap.response.status);
    CHECK(!swap.session->request_sent);
    swap_release(true);
    CHECK_EQ(1, rig_not_kept(0, KEEP_NOT_REQUEST_INCOMPLETE));
    CHECK_EQ(1, rig_closed(0, CLOSE_ERROR));
    CHECK_EQ(RAW_RESET, raw_await_end(swap.server));
    swap_end();
}

STAGE_TEST(an_answer_that_is_not_read_to_its_end)
{
    struct http_piece piece;
    static const char *const answers[] = {
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel",
        "HTTP/1.1 200 OK\r\n" CHUNKED "\r\n3\r\nhel\r\n",
        "HTTP/1.1 200 OK\r\n\r\nhel",
        "HTTP/1.1 100 Continue\r\n\r\n",
    };
    for (size_t i = 0; i < COUNT_OF(answers); i++) {
        if (!swap_begin("GET"))
            return;
        raw_send(swap.server, answers[i]);
        CHECK_OK(session_recv_head(swap.session, &swap.response, &swap.framing));
        if (i < 3)
            CHECK_OK(session_recv_piece(swap.session, WEIR_NEVER, &piece));
        swap_release(true);
        CHECK_EQ(1, rig_not_kept(0, KEEP_NOT_RESPONSE_INCOMPLETE));
        CHECK_EQ(RAW_RESET, raw_await_end(swap.server));
        swap_end();
    }
}

/* The server answers and ends: the end is seen at release. */
STAGE_TEST(an_end_behind_the_response_is_seen_at_release)
{
    if (!swap_begin("GET"))
        return;
    raw_send(swap.server, OK_1);
    shutdown(swap.server, SHUT_WR);
    stage_turns();
    CHECK_OK(swap_recv());
    swap_release(true);
    CHECK_EQ(1, rig_not_kept(0, KEEP_NOT_CLOSED));
    CHECK_EQ(1, rig_closed(0, CLOSE_PEER_CLOSED));
    swap_end();
}

/* ... and bytes that were not there with the response are seen there too. */
STAGE_TEST(bytes_behind_the_response_are_seen_at_release)
{
    if (!swap_begin("GET"))
        return;
    raw_send(swap.server, OK_1);
    CHECK_OK(swap_recv());
    raw_send(swap.server, "HTTP/1.1 200 OK\r\n");
    stage_turns();
    swap_release(true);
    CHECK_EQ(1, rig_not_kept(0, KEEP_NOT_UNEXPECTED_DATA));
    CHECK_EQ(1, stat_read(&rig.stats[0].unexpected_data[PLACE_RELEASE]));
    CHECK_EQ(1, rig_closed(0, CLOSE_UNEXPECTED_DATA));
    swap_end();
}

/* One exchange's Keep-Alive says nothing for the next. */
STAGE_TEST(each_exchange_is_judged_for_itself)
{
    if (!swap_begin("GET"))
        return;
    raw_send(swap.server, "HTTP/1.1 200 OK\r\nKeep-Alive: max=1\r\nContent-Length: 1\r\n\r\nx");
    CHECK_OK(swap_recv());
    swap_release(true);
    for (int i = 0; i < 3; i++) {
        if (!swap_get(CONNECTOR_ANY) || !swap_send())
            return;
        raw_send(swap.server, OK_1);
        CHECK_OK(swap_recv());
        CHECK_EQ(2 + i, swap.session->story.connection_requests);
        swap_release(true);
        CHECK_EQ(1, rig.pool.idle_count);
    }
    swap_end();
}

CHECK_MAIN
