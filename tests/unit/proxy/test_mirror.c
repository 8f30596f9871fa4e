/* SPDX-License-Identifier: MIT */
/* A mirror: server 1 gets copies of what server 0 is asked for. */
#include "proxy/mirror.h"

#include "proxy/subrequest.h"
#include "tests/unit/proxy/front.h"

static struct mirror_options mirror;

static void start(uint64_t body_limit)
{
    front_prepare(2);
    front_split();
    mirror = (struct mirror_options){.upstream = 1, .body_limit = body_limit};
    front.route.mirror = &mirror;
    front_start();
}

static uint64_t counted(enum mirror_result result)
{
    return stat_read(&front.service->stats.mirrors[result]);
}

/* What the client sends reaches server 0 up to `until`, and is answered. */
WEIR_SUSPENDS static int serve_one(int client, const char *request, const char *until)
{
    raw_send(client, request);
    int server = raw_accept(&front.servers[0]);
    CHECK(raw_read(server, until) > 0);
    raw_send(server, FRONT_OK);
    CHECK(raw_read(client, "hello") > 0);
    return server;
}

WEIR_SUSPENDS static void end(int client, int server, int shadow)
{
    raw_close(client);
    raw_close(server);
    raw_close(shadow);
    front_close();
}

STAGE_TEST(the_copy_comes_after_the_clients_answer)
{
    start(5);
    int client = front_client();
    int server = serve_one(client,
                           "POST /a HTTP/1.1\r\nHost: h\r\nContent-Type: t\r\n"
                           "Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n3\r\ncde\r\n0\r\n\r\n",
                           "0\r\n\r\n");
    raw_close(client);
    int shadow = raw_accept(&front.servers[1]);
    CHECK(raw_read(shadow, "abcde") > 0);
    CHECK(raw_starts("POST /a HTTP/1.1\r\n") && raw_has("\r\nContent-Length: 5\r\n"));
    CHECK(raw_has("\r\nContent-Type: t\r\n") && raw_has("\r\nVia: 1.1 weir\r\n"));
    CHECK(raw_has("\r\nX-Forwarded-For: 127.0.0.1\r\n") && !strstr(raw_text, "chunked"));
    CHECK_EQ(1, counted(MIRROR_SENT));
    CHECK(!service_has_ended(front.service));
    raw_send(shadow, "HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n");
    STAGE_UNTIL(front.service->background_count == 0);
    CHECK_EQ(1, front.logged);
    CHECK_EQ(200, front.status);
    end(-1, server, shadow);
}

STAGE_TEST(a_body_over_the_limit_is_not_copied)
{
    start(4);
    int client = front_client();
    int server =
        serve_one(client, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nabcde", "abcde");
    STAGE_UNTIL(counted(MIRROR_TOO_LARGE) == 1);
    CHECK_EQ(0, front.service->background_count);
    CHECK(raw_nobody_waits(&front.servers[1]));
    end(client, server, -1);
}

STAGE_TEST(a_body_that_breaks_off_is_not_copied)
{
    start(100);
    int client = front_client();
    raw_send(client, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nab");
    int server = raw_accept(&front.servers[0]);
    CHECK(raw_read(server, "ab") > 0);
    raw_close(client);
    STAGE_UNTIL(counted(MIRROR_INCOMPLETE) == 1);
    CHECK(raw_nobody_waits(&front.servers[1]));
    end(-1, server, -1);
}

STAGE_TEST(an_empty_body_says_so)
{
    start(100);
    int client = front_client();
    int server =
        serve_one(client, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n", "\r\n\r\n");
    int shadow = raw_accept(&front.servers[1]);
    CHECK(raw_read_head(shadow));
    CHECK(raw_has("\r\nContent-Length: 0\r\n"));
    raw_send(shadow, FRONT_OK);
    end(client, server, shadow);
}

STAGE_TEST(a_body_that_is_sent_again_is_copied_once)
{
    start(100);
    int client = front_client();
    int server = serve_one(client, FRONT_GET, "\r\n\r\n");
    int shadow = raw_accept(&front.servers[1]);
    CHECK(raw_read_head(shadow));
    raw_send(shadow, FRONT_OK);
    STAGE_UNTIL(front.service->pool.idle_count == 2);
    raw_send(client, "PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nab");
    CHECK(raw_read(server, "ab") > 0);
    raw_close(server);
    server = raw_accept(&front.servers[0]);
    CHECK(raw_read(server, "ab") > 0);
    raw_send(client, "cd");
    CHECK(raw_read(server, "cd") > 0);
    raw_send(server, FRONT_OK);
    CHECK(raw_read(client, "hello") > 0);
    CHECK(raw_read(shadow, "abcd") > 0);
    raw_send(shadow, FRONT_OK);
    CHECK_EQ(2, counted(MIRROR_SENT));
    end(client, server, shadow);
}

STAGE_TEST(so_many_and_no_more)
{
    start(100);
    front.service->background_count += SUBREQUEST_BACKGROUND_MAX;
    int client = front_client();
    int server = serve_one(client, FRONT_GET, "\r\n\r\n");
    STAGE_UNTIL(counted(MIRROR_REFUSED) == 1);
    front.service->background_count -= SUBREQUEST_BACKGROUND_MAX;
    CHECK(raw_nobody_waits(&front.servers[1]));
    end(client, server, -1);
}

STAGE_TEST(when_all_are_canceled_mirrors_are_too_and_none_begins)
{
    start(100);
    int client = front_client();
    int server = serve_one(client, FRONT_GET, "\r\n\r\n");
    int shadow = raw_accept(&front.servers[1]);
    CHECK(raw_read_head(shadow));
    raw_send(client, FRONT_GET);
    CHECK(raw_read_head(server));
    service_cancel(front.service);
    STAGE_UNTIL(service_has_ended(front.service));
    CHECK_EQ(1, counted(MIRROR_SENT));
    CHECK_EQ(1, counted(MIRROR_REFUSED));
    CHECK_EQ(1, stat_read(&front.service->stats.subrequests[SUBREQUEST_BACKGROUND][0]));
    end(client, server, shadow);
}

CHECK_MAIN
