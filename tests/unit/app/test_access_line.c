/* SPDX-License-Identifier: MIT */
#include "app/access_line.h"

#include "tests/check.h"
#include "tests/unit/app/record.h"

static struct record record;
static struct access_clock clock_text;
static char line[ACCESS_LINE_BYTES];

/* 2026-01-02T03:04:05.678Z */
static const int64_t wall_ms = 1767323045678;

static struct weir_slice written(void)
{
    return slice_of(line, access_line_write(&record.access, wall_ms, &clock_text, line));
}

static bool has(struct weir_slice text, const char *part)
{
    return memmem(text.at, text.len, part, strlen(part)) != NULL;
}

TEST(a_reused_connection)
{
    record_init(&record);
    CHECK_SLICE(
        written(),
        "{\"time\":\"2026-01-02T03:04:05.678Z\",\"service\":\"edge\",\"client\":\"127.0.0.1\","
        "\"client_tls\":null,\"client_tls_resumed\":null,\"client_sni\":null,"
        "\"method\":\"GET\",\"host\":\"example.com:80\",\"path\":\"/a?b\","
        "\"protocol\":\"HTTP/1.1\",\"status\":200,\"request_bytes\":12,"
        "\"response_bytes\":345,\"duration_us\":1234,\"upstream\":\"web\","
        "\"peer\":\"10.0.0.1:8080\",\"upstream_protocol\":\"http/1.1\","
        "\"connection\":\"reused\",\"connection_id\":17,"
        "\"connection_requests\":40,\"connection_age_ms\":5120,\"connection_idle_ms\":12,"
        "\"miss\":null,\"wait\":null,\"wait_us\":0,\"connect_us\":0,\"tls_us\":0,"
        "\"tls_version\":null,\"tls_resumed\":null,\"attempts\":1,"
        "\"retried\":null,\"not_kept\":null,\"error\":null}\n");
}

TEST(a_new_connection_tells_how_long_connecting_took)
{
    record_init(&record);
    record.access.story = (struct session_story){.source = SOURCE_NEW,
                                                 .connection_id = UINT64_MAX,
                                                 .connection_requests = 1,
                                                 .missed = true,
                                                 .miss = MISS_BUSY,
                                                 .waited = WAIT_DIALLED,
                                                 .wait = weir_span_ns(1234567),
                                                 .connect = weir_span_ns(98765)};
    record.access.retried = WEIR_E_RESET;
    record.access.not_kept = KEEP_NOT_RESPONSE_CLOSE;
    struct weir_slice text = written();
    CHECK(has(text, "\"connection\":\"new\",\"connection_id\":18446744073709551615,"
                    "\"connection_requests\":1,\"connection_age_ms\":0,\"connection_idle_ms\":0,"
                    "\"miss\":\"busy\",\"wait\":\"dialled\",\"wait_us\":1234,\"connect_us\":98,"
                    "\"tls_us\":0,\"tls_version\":null,\"tls_resumed\":null"));
    CHECK(has(text, "\"retried\":\"reset\",\"not_kept\":\"response_close\",\"error\":null"));
}

/* Each side has its own: what came in HTTP/2 may go on in HTTP/1, and the other way round. */
TEST(protocols)
{
    static const struct {
        enum http_protocol client, server;
        const char *protocol, *upstream_protocol;
    } rows[] = {
        {HTTP_1, HTTP_1, "\"protocol\":\"HTTP/1.1\",", "\"upstream_protocol\":\"http/1.1\","},
        {HTTP_1, HTTP_2, "\"protocol\":\"HTTP/1.1\",", "\"upstream_protocol\":\"h2\","},
        {HTTP_2, HTTP_1, "\"protocol\":\"HTTP/2\",", "\"upstream_protocol\":\"http/1.1\","},
        {HTTP_2, HTTP_2, "\"protocol\":\"HTTP/2\",", "\"upstream_protocol\":\"h2\","},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        record_init(&record);
        record.request.protocol = rows[i].client;
        record.access.story.protocol = rows[i].server;
        struct weir_slice text = written();
        CHECK(has(text, rows[i].protocol));
        CHECK(has(text, rows[i].upstream_protocol));
    }
}

TEST(without_a_connection_its_members_are_null)
{
    record_init(&record);
    record.access.connected = false;
    record.access.attempts = 3;
    record.exchange.status = 502;
    record.exchange.error = WEIR_E_REFUSED;
    struct weir_slice text = written();
    CHECK(has(text, "\"status\":502"));
    CHECK(has(
        text,
        "\"peer\":\"10.0.0.1:8080\",\"upstream_protocol\":null,\"connection\":null,\"connection_"
        "id\":null,"
        "\"connection_requests\":null,\"connection_age_ms\":null,"
        "\"connection_idle_ms\":null,\"miss\":null,\"wait\":null,\"wait_us\":0,"
        "\"connect_us\":0,\"tls_us\":0,\"tls_version\":null,\"tls_resumed\":null,"
        "\"attempts\":3,\"retried\":null,\"not_kept\":null,\"error\":\"connection_refused\"}\n"));
}

TEST(a_malformed_request_has_no_method_host_and_path)
{
    record_init(&record);
    memset(&record.request, 0, offsetof(struct http_request, fields));
    record.request.minor = 1;
    record.access.upstream = record.access.peer = NULL;
    record.access.connected = false;
    record.access.attempts = 0;
    record.exchange.status = 400;
    record.exchange.error = WEIR_E_REQUEST_MALFORMED;
    struct weir_slice text = written();
    CHECK(has(text, "\"method\":null,\"host\":null,\"path\":null,\"protocol\":null,"));
    CHECK(has(text,
              "\"upstream\":null,\"peer\":null,\"upstream_protocol\":null,\"connection\":null"));
    CHECK(has(text, "\"attempts\":0,\"retried\":null,\"not_kept\":null,"
                    "\"error\":\"request_malformed\"}\n"));
}

TEST(what_clients_send_is_escaped)
{
    record_init(&record);
    record.request.minor = 0;
    record.request.path = SLICE("/\"quoted\"\\\n\x1b[31m");
    record.request.authority = SLICE("a\xff");
    struct weir_slice text = written();
    CHECK(has(text, "\"host\":\"a\\ufffd\""));
    CHECK(has(text, "\"path\":\"/\\\"quoted\\\"\\\\\\n\\u001b[31m\",\"protocol\":\"HTTP/1.0\""));
    CHECK_EQ(text.len - 1, slice_find(text, '\n'));
}

TEST(clients_are_told_by_their_ip)
{
    static const struct {
        const char *addr, *want;
    } rows[] = {
        {"192.0.2.255:1", "\"client\":\"192.0.2.255\","},
        {"0.0.0.0:1", "\"client\":\"0.0.0.0\","},
        {"[2001:db8::1]:1", "\"client\":\"2001:db8::1\","},
        {"[::ffff:10.1.2.3]:1", "\"client\":\"10.1.2.3\","},
        {"unix:/run/x", "\"client\":\"unix\","},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        record_init(&record);
        CHECK_OK(addr_parse(slice_str(rows[i].addr), &record.exchange.client));
        CHECK(has(written(), rows[i].want));
    }
}

TEST(the_time_follows_the_clock)
{
    static const struct {
        int64_t ms;
        const char *want;
    } rows[] = {
        {1767323045000, "2026-01-02T03:04:05.000Z"},
        {1767323045999, "2026-01-02T03:04:05.999Z"},
        {1767323046007, "2026-01-02T03:04:06.007Z"},
        {1767323045010, "2026-01-02T03:04:05.010Z"}, /* the clock was set back */
    };
    record_init(&record);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        size_t len = access_line_write(&record.access, rows[i].ms, &clock_text, line);
        CHECK(len > 40);
        CHECK_SLICE(slice_of(line + sizeof "{\"time\":\"" - 1, 24), rows[i].want);
    }
}

/* The longest that the parser lets through, each byte of it escaped, and names without a limit. */
TEST(nothing_is_too_long_for_the_line)
{
    static char path[8 * 1024], host[32 * 1024], name[9000];
    memset(path, '"', sizeof path);
    memset(host, '\xff', sizeof host);
    memset(name, '\\', sizeof name - 1);
    record_init(&record);
    record.options.name = record.access.upstream = record.access.peer = name;
    record.request.method_text = record.request.authority = slice_of(host, sizeof host);
    record.request.path = slice_of(path, sizeof path);
    (void)addr_parse(SLICE("[1111:2222:3333:4444:5555:6666:7777:8888]:1"), &record.exchange.client);
    record.exchange.received_bytes = UINT64_MAX;
    record.access.duration = weir_span_ns(INT64_MAX);
    record.access.attempts = UINT32_MAX;
    record.access.retried = record.exchange.error = WEIR_E_RESPONSE_HEAD_LENGTH;
    record.access.not_kept = KEEP_NOT_HTTP10_TRANSFER_ENCODING;
    record.access.story.missed = true;
    record.access.story.miss = MISS_POOLING_OFF;
    record.access.story.waited = WAIT_TAKEN_OVER;
    struct weir_slice text = written();
    CHECK(text.len < ACCESS_LINE_BYTES);
    CHECK(text.at[text.len - 1] == '\n');
    char *begin = memmem(text.at, text.len, "\"path\":\"", 8);
    if (!CHECK(begin != NULL))
        return;
    struct weir_slice rest = slice_of(begin + 8, text.len - (size_t)(begin + 8 - text.at));
    for (size_t i = 0; i < 2 * sizeof path; i++)
        if (!CHECK(rest.at[i] == (i % 2 ? '"' : '\\')))
            return;
    CHECK(slice_starts(slice_skip(rest, 2 * sizeof path), SLICE("\",\"protocol\"")));
}

CHECK_MAIN
