/* SPDX-License-Identifier: MIT */
#include "downstream/fail.h"

#include "tests/unit/downstream/host.h"

#define GET "GET / HTTP/1.1\r\nHost: h\r\n\r\n"

static enum weir_err fails_with;
static enum weir_err fails_again_with;

WEIR_SUSPENDS static void fail(void *owner, struct exchange *exchange)
{
    must(owner == &host);
    host_note(exchange);
    exchange_fail(exchange, fails_with);
    if (fails_again_with)
        exchange_fail(exchange, fails_again_with);
    host.error = exchange->error;
}

/* One answer, to a request that is whole: the connection stays. */
WEIR_SUSPENDS static void check_answer(int client, enum weir_err err)
{
    char text[256];
    const char *kind = weir_err_proxy_error(err);
    fails_with = err;
    raw_send(client, GET);
    CHECK(raw_read_head(client));
    snprintf(text, sizeof text, "HTTP/1.1 %d ", weir_err_status(err));
    bool right = CHECK(raw_starts(text));
    snprintf(text, sizeof text, "\r\nProxy-Status: weir; error=%s; details=\"%s\"\r\n", kind,
             weir_err_text(err));
    right &= CHECK(*kind ? raw_has(text) : !strstr(raw_text, "Proxy-Status"));
    right &= CHECK(raw_has("\r\nCache-Control: no-store\r\n"));
    right &= CHECK(!strstr(raw_text, "Server:")); /* and no version either */
    right &= CHECK(!strstr(raw_text, "Connection: close"));
    right &= CHECK(raw_read(client, "\n") > 0);
    snprintf(text, sizeof text, "%d ", weir_err_status(err));
    right &= CHECK(raw_starts(text)) && CHECK(raw_has(weir_err_text(err)));
    right &= CHECK_ERR(err, host.error);
    if (!right)
        printf("# %s\n", weir_err_name(err));
}

STAGE_TEST(each_error_with_a_status_is_answered_with_it)
{
    host_open(fail);
    fails_again_with = WEIR_OK;
    int client = host_client();
    for (enum weir_err err = WEIR_OK + 1; err < WEIR_E_COUNT; err++)
        if (weir_err_status(err) != 0)
            check_answer(client, err);
    raw_close(client);
    host_close();
}

STAGE_TEST(each_error_without_a_status_cuts_the_connection)
{
    host_open(fail);
    fails_again_with = WEIR_OK;
    for (enum weir_err err = WEIR_OK + 1; err < WEIR_E_COUNT; err++) {
        if (weir_err_status(err) != 0)
            continue;
        fails_with = err;
        int client = host_client();
        raw_send(client, GET);
        CHECK_EQ(RAW_RESET, raw_read(client, "\r\n"));
        CHECK_EQ(0, strlen(raw_text));
        raw_close(client);
    }
    host_close();
}

STAGE_TEST(the_first_error_is_the_one_that_is_kept)
{
    host_open(fail);
    fails_with = WEIR_E_REFUSED;
    fails_again_with = WEIR_E_RESPONSE_TIMEOUT;
    int client = host_client();
    raw_send(client, GET);
    CHECK(raw_read_all(client));
    CHECK(raw_starts("HTTP/1.1 502 "));
    CHECK(raw_has("error=connection_refused;"));
    CHECK_ERR(WEIR_E_REFUSED, host.error);
    raw_close(client);
    host_close();
}

STAGE_TEST(to_head_goes_the_head_alone)
{
    host_open(fail);
    fails_with = WEIR_E_NO_ROUTE;
    fails_again_with = WEIR_OK;
    int client = host_client();
    raw_send(client, "HEAD / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    CHECK(raw_read_all(client));
    CHECK(raw_starts("HTTP/1.1 404 Not Found\r\n"));
    char *end = strstr(raw_text, "\r\n\r\n");
    CHECK(end && end[4] == '\0');
    CHECK(raw_has("\r\nContent-Length: ") && !strstr(raw_text, "Content-Length: 0"));
    raw_close(client);
    host_close();
}

static bool flushes;

/* Has written its head down, or sent it, when it fails. */
WEIR_SUSPENDS static void begin_and_fail(void *owner, struct exchange *exchange)
{
    static struct http_response response;
    struct http_framing framing = {.body = BODY_CHUNKED};
    must(owner == &host);
    host_note(exchange);
    response = (struct http_response){.status = 200, .minor = 1, .reason = SLICE("OK")};
    fields_init(&response.fields);
    fields_add(&response.fields, SLICE("X-Begun"), SLICE("yes"));
    CHECK_OK(exchange_send_head(exchange, &response, &framing));
    if (flushes)
        CHECK_OK(exchange_flush(exchange));
    CHECK_EQ(!flushes, exchange_retract_head(exchange));
    if (!flushes)
        CHECK_OK(exchange_send_head(exchange, &response, &framing));
    exchange_fail(exchange, WEIR_E_RESPONSE_MALFORMED);
    host.error = exchange->error;
}

STAGE_TEST(a_head_that_has_not_gone_makes_room_for_the_error)
{
    host_open(begin_and_fail);
    flushes = false;
    int client = host_client();
    for (int i = 0; i < 2; i++) {
        raw_send(client, GET);
        CHECK(raw_read_head(client));
        CHECK(raw_starts("HTTP/1.1 502 Bad Gateway\r\n"));
        CHECK(raw_has("error=http_protocol_error;"));
        CHECK(!strstr(raw_text, "X-Begun") && !strstr(raw_text, "chunked"));
        CHECK(raw_read(client, "malformed\n") > 0);
    }
    raw_close(client);
    host_close();
}

STAGE_TEST(a_head_that_has_gone_is_cut_off)
{
    host_open(begin_and_fail);
    flushes = true;
    int client = host_client();
    raw_send(client, GET);
    CHECK_EQ(RAW_RESET, raw_read(client, ""));
    CHECK_ERR(WEIR_E_RESPONSE_MALFORMED, host.error);
    raw_close(client);
    host_close();
}

WEIR_SUSPENDS static void answer_nothing(void *owner, struct exchange *exchange)
{
    must(owner == &host);
    host_note(exchange);
    host.error = exchange_answer(exchange, 503, SLICE("text/plain"), SLICE(""));
}

STAGE_TEST(an_answer_may_be_empty)
{
    host_open(answer_nothing);
    int client = host_client();
    raw_send(client, GET);
    CHECK(raw_read_head(client));
    CHECK(raw_starts("HTTP/1.1 503 Service Unavailable\r\n"));
    CHECK(raw_has("\r\nContent-Length: 0\r\n"));
    CHECK(raw_has("\r\nContent-Type: text/plain\r\n"));
    CHECK_OK(host.error);
    raw_close(client);
    host_close();
}

CHECK_MAIN
