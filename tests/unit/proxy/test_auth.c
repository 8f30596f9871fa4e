/* SPDX-License-Identifier: MIT */
/* auth_request: server 1 decides on what server 0 is asked for. */
#include "proxy/auth.h"

#include "tests/unit/proxy/front.h"

static const char *const copied[] = {"X-User", "X-Groups"};
static struct auth_options auth;

static void start(void)
{
    front_prepare(2);
    front_split();
    auth = (struct auth_options){.upstream = 1, .path = "/verify", .copy = copied, .copy_count = 2};
    front.route.auth = &auth;
    front_start();
}

/* The next question, on a connection of its own, answered. */
WEIR_SUSPENDS static int decide(const char *answer)
{
    int decider = raw_accept(&front.servers[1]);
    CHECK(raw_read_head(decider));
    raw_send(decider, answer);
    return decider;
}

WEIR_SUSPENDS static void end(int client, int decider, int server)
{
    raw_close(client);
    raw_close(decider);
    raw_close(server);
    front_close();
}

static uint64_t counted(enum auth_verdict verdict)
{
    return stat_read(&front.service->stats.auth[verdict]);
}

STAGE_TEST(what_is_asked_and_what_passes)
{
    start();
    int client = front_client();
    raw_send(client, "POST /a?b HTTP/1.1\r\nHost: h\r\nX-User: root\r\nX-Groups: wheel\r\n"
                     "X-Original-URI: /open\r\nIf-None-Match: \"1\"\r\nCookie: c\r\n"
                     "Content-Length: 2\r\n\r\nab");
    int decider = raw_accept(&front.servers[1]);
    CHECK(raw_read_head(decider));
    CHECK(raw_starts("GET /verify HTTP/1.1\r\n") && raw_has("\r\nCookie: c\r\n"));
    CHECK(raw_has("\r\nX-Original-Method: POST\r\nX-Original-URI: /a?b\r\n"));
    CHECK(!strstr(raw_text, "/open") && !strstr(raw_text, "If-None"));
    CHECK(!strstr(raw_text, "Content-Length") && raw_has("\r\nX-Forwarded-For: 127.0.0.1\r\n"));
    CHECK(raw_nobody_waits(&front.servers[0]));
    raw_send(decider, "HTTP/1.1 200 OK\r\nX-Groups: a\r\nx-groups: b\r\nContent-Length: 0\r\n\r\n");
    int server = raw_accept(&front.servers[0]);
    CHECK(raw_read(server, "ab") > 0);
    CHECK(raw_starts("POST /a?b HTTP/1.1\r\n"));
    CHECK(raw_has("\r\nX-Groups: a\r\nX-Groups: b\r\n") && !strstr(raw_text, "X-User"));
    CHECK(raw_has("\r\nX-Original-URI: /open\r\n") && raw_has("\r\nIf-None-Match: \"1\"\r\n"));
    raw_send(server, FRONT_OK);
    CHECK(raw_read(client, "hello") > 0);
    STAGE_UNTIL(front.logged == 1);
    CHECK_EQ(1, counted(AUTH_ALLOWED));
    end(client, decider, server);
}

STAGE_TEST(a_denial_is_the_clients_and_nobody_is_asked_then)
{
    start();
    int client = front_client();
    raw_send(client, FRONT_GET);
    int decider = decide("HTTP/1.1 401 No\r\nWWW-Authenticate: Basic\r\nSet-Cookie: a\r\n"
                         "Set-Cookie: b\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nno\r\n0\r\n\r\n");
    CHECK(raw_read(client, "\r\n\r\nno") > 0);
    CHECK(raw_starts("HTTP/1.1 401 No\r\n") && raw_has("\r\nWWW-Authenticate: Basic\r\n"));
    CHECK(raw_has("\r\nSet-Cookie: a\r\nSet-Cookie: b\r\n") && raw_has("Content-Length: 2\r\n"));
    STAGE_UNTIL(front.logged == 1);
    CHECK_EQ(401, front.status);
    CHECK_OK(front.error);
    CHECK(!front.record.upstream && !front.record.peer && front.record.attempts == 0);
    CHECK_EQ(1, counted(AUTH_DENIED));
    CHECK(raw_nobody_waits(&front.servers[0]));
    end(client, decider, -1);
}

static char large[128 * 1024];

STAGE_TEST(no_decision_is_no_pass)
{
    int head = snprintf(large, sizeof large, "HTTP/1.1 200 OK\r\nContent-Length: 65537\r\n\r\n");
    memset(large + head, 'x', 65537);
    const char *const answers[] = {
        "HTTP/1.1 500 Oops\r\nX-User: alice\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 304 Same\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort",
        "no HTTP\r\n\r\n",
        "",
        large,
    };
    for (size_t i = 0; i < COUNT_OF(answers); i++) {
        start();
        int client = front_client();
        raw_send(client, FRONT_GET);
        int decider = decide(answers[i]);
        if (answers[i] != large)
            raw_close(decider);
        CHECK(raw_read(client, "gave no decision\n") > 0);
        CHECK(raw_starts("HTTP/1.1 503 "));
        STAGE_UNTIL(front.logged == 1);
        CHECK_ERR(WEIR_E_AUTH, front.error);
        CHECK_EQ(1, counted(AUTH_UNDECIDED));
        CHECK(raw_nobody_waits(&front.servers[0]));
        end(client, answers[i] == large ? decider : -1, -1);
    }
}

STAGE_TEST(nobody_is_there_to_decide)
{
    start();
    raw_close(front.servers[1].descriptor);
    int client = front_client();
    raw_send(client, FRONT_GET);
    CHECK(raw_read(client, "gave no decision\n") > 0);
    STAGE_UNTIL(front.logged == 1);
    CHECK_ERR(WEIR_E_AUTH, front.error);
    front.upstream.server_count = 1; /* the other one is closed already */
    end(client, -1, -1);
}

STAGE_TEST(who_would_take_out_what_is_said_of_him_is_refused)
{
    start();
    int client = front_client();
    raw_send(client, "GET / HTTP/1.1\r\nHost: h\r\nConnection: a, x-groups\r\n\r\n");
    CHECK(raw_read(client, "malformed\n") > 0);
    CHECK(raw_starts("HTTP/1.1 400 "));
    CHECK(raw_nobody_waits(&front.servers[1]));
    STAGE_UNTIL(front.logged == 1);
    end(client, -1, -1);
}

STAGE_TEST(a_client_that_goes_is_not_decided_on)
{
    start();
    int client = front_client();
    raw_send(client, FRONT_GET);
    int decider = raw_accept(&front.servers[1]);
    CHECK(raw_read_head(decider));
    raw_reset(client);
    STAGE_UNTIL(front.logged == 1);
    CHECK_ERR(WEIR_E_CLIENT_GONE, front.error);
    CHECK_EQ(RAW_RESET, raw_await_end(decider));
    CHECK_EQ(0, counted(AUTH_UNDECIDED));
    CHECK(raw_nobody_waits(&front.servers[0]));
    end(-1, decider, -1);
}

CHECK_MAIN
