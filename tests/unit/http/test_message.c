/* SPDX-License-Identifier: MIT */
#include "http/h1_write.h"
#include "http/message.h"
#include "tests/check.h"
#include "tests/unit/http/stage.h"

static struct weir_request *new_request(void)
{
    struct weir_request *request = NULL;
    CHECK_OK(weir_request_new("GET", "example.com:81", "/a?b=c", &request));
    return request;
}

static bool is_written(const struct weir_request *request, const char *want)
{
    char text[4096];
    size_t bytes = h1_write_request(request->http, text, sizeof text);
    return CHECK_SLICE(slice_of(text, bytes), want);
}

TEST(a_request_has_what_it_was_made_of)
{
    stage_open();
    struct weir_request *request = new_request();
    CHECK_SLICE(weir_request_method(request), "GET");
    CHECK_SLICE(weir_request_authority(request), "example.com:81");
    CHECK_SLICE(weir_request_path(request), "/a?b=c");
    CHECK_EQ(METHOD_GET, request->http->method);
    CHECK_EQ(TARGET_ORIGIN, request->http->form);
    CHECK_EQ(1, request->http->minor);
    is_written(request, "GET /a?b=c HTTP/1.1\r\n\r\n");
    weir_request_free(&request);
    CHECK(!request);
    weir_request_free(&request);
    stage_close();
}

TEST(what_is_no_request_is_refused)
{
    static const struct {
        const char *method, *authority, *path;
    } rows[] = {
        {"", "h", "/"},
        {NULL, "h", "/"},
        {"G T", "h", "/"},
        {"GET", "h", ""},
        {"GET", "h", NULL},
        {"GET", "h", "a"},
        {"GET", "h", "*"},
        {"GET", "h", "/a b"},
        {"GET", "h", "/a\r\nX: y"},
        {"GET", "h", "/#f"},
        {"GET", "a b", "/"},
        {"GET", "h:x", "/"},
        {"GET", ":80", "/"},
        {"GET", "u@h", "/"},
        {"CONNECT", "h:443", "h:443"},
        {"CONNECT", "h:443", "/"},
        {"A-METHOD-OF-MORE-THAN-32-LETTERS!", "h", "/"},
    };
    stage_open();
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct weir_request *request = NULL;
        CHECK_ERR(WEIR_E_FIELD,
                  weir_request_new(rows[i].method, rows[i].authority, rows[i].path, &request));
        CHECK(!request);
    }
    stage_close();
}

TEST(an_asterisk_belongs_to_options)
{
    stage_open();
    struct weir_request *request = NULL;
    CHECK_OK(weir_request_new("OPTIONS", NULL, "*", &request));
    CHECK_EQ(TARGET_ASTERISK, request->http->form);
    CHECK_ERR(WEIR_E_FIELD, weir_request_set_method(request, SLICE("GET")));
    CHECK_SLICE(weir_request_method(request), "OPTIONS");
    CHECK_OK(weir_request_set_path(request, SLICE("/")));
    CHECK_OK(weir_request_set_method(request, SLICE("PROPFIND")));
    CHECK_EQ(METHOD_OTHER, request->http->method);
    is_written(request, "PROPFIND / HTTP/1.1\r\n\r\n");
    weir_request_free(&request);
    stage_close();
}

TEST(the_authority_takes_host_along)
{
    stage_open();
    struct weir_request *request = new_request();
    CHECK(fields_add_known(&request->http->fields, FIELD_HOST, SLICE("example.com:81")));
    CHECK_OK(weir_request_set_authority(request, SLICE("other")));
    CHECK_SLICE(weir_request_authority(request), "other");
    CHECK_SLICE(weir_fields_get(weir_request_fields(request), "host"), "other");
    CHECK_ERR(WEIR_E_FIELD, weir_request_set_authority(request, SLICE("other/")));
    CHECK_SLICE(weir_request_authority(request), "other");
    weir_request_free(&request);
    stage_close();
}

TEST(fields_are_set_added_and_taken_out)
{
    stage_open();
    struct weir_request *request = new_request();
    struct weir_fields *fields = weir_request_fields(request);
    CHECK(!weir_fields_get(fields, "X-One").at);
    CHECK_OK(weir_fields_add(fields, "X-One", SLICE("1")));
    CHECK_OK(weir_fields_add(fields, "x-one", SLICE(" 2\t")));
    CHECK_OK(weir_fields_add(fields, "Cookie", SLICE("")));
    CHECK_OK(weir_fields_add(fields, "X-Two", SLICE("a\tb \xff")));
    is_written(request, "GET /a?b=c HTTP/1.1\r\nX-One: 1\r\nx-one: 2\r\nCookie: \r\n"
                        "X-Two: a\tb \xff\r\n\r\n");
    CHECK_SLICE(weir_fields_get(fields, "X-ONE"), "1");
    CHECK(weir_fields_get(fields, "cookie").at);
    CHECK_OK(weir_fields_set(fields, "X-One", SLICE("3")));
    CHECK_OK(weir_fields_set(fields, "Cookie", SLICE("c=d")));
    CHECK_OK(weir_fields_set(fields, "X-New", SLICE("n")));
    weir_fields_remove(fields, "x-two");
    weir_fields_remove(fields, "x-not-there");
    is_written(request, "GET /a?b=c HTTP/1.1\r\nX-One: 3\r\nCookie: c=d\r\nX-New: n\r\n\r\n");
    weir_request_free(&request);
    stage_close();
}

TEST(a_walk_passes_over_what_was_taken_out)
{
    stage_open();
    struct weir_request *request = new_request();
    struct weir_fields *fields = weir_request_fields(request);
    struct weir_slice name, value;
    unsigned cursor = 0;
    CHECK_OK(weir_fields_add(fields, "A", SLICE("1")));
    CHECK_OK(weir_fields_add(fields, "B", SLICE("2")));
    CHECK_OK(weir_fields_add(fields, "C", SLICE("3")));
    weir_fields_remove(fields, "B");
    CHECK(weir_fields_next(fields, &cursor, &name, &value));
    CHECK_SLICE(name, "A");
    CHECK_SLICE(value, "1");
    CHECK(weir_fields_next(fields, &cursor, &name, &value));
    CHECK_SLICE(name, "C");
    CHECK(!weir_fields_next(fields, &cursor, &name, &value));
    weir_request_free(&request);
    stage_close();
}

TEST(what_is_no_field_or_not_theirs_is_refused)
{
    static const struct {
        const char *name, *value;
    } rows[] = {
        {"", "a"},
        {"a b", "c"},
        {"a:", "c"},
        {":path", "c"},
        {"a\r\nb", "c"},
        {"A", "b\rc"},
        {"A", "b\nc"},
        {"A", "b\r\nC: d"},
        {"A", "b\x7f"},
        {"A", "\x01"},
        {"Host", "h"},
        {"content-length", "1"},
        {"Transfer-Encoding", "chunked"},
        {"CONNECTION", "close"},
        {"Keep-Alive", "timeout=1"},
        {"Proxy-Connection", "close"},
        {"Upgrade", "websocket"},
        {"TE", "trailers"},
        {"HTTP2-Settings", "a"},
    };
    stage_open();
    struct weir_request *request = new_request();
    struct weir_fields *fields = weir_request_fields(request);
    CHECK(fields_add_known(&request->http->fields, FIELD_HOST, SLICE("h")));
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        CHECK_ERR(WEIR_E_FIELD, weir_fields_set(fields, rows[i].name, weir_str(rows[i].value)));
        CHECK_ERR(WEIR_E_FIELD, weir_fields_add(fields, rows[i].name, weir_str(rows[i].value)));
    }
    CHECK_ERR(WEIR_E_FIELD, weir_fields_add(fields, "A", slice_of("b\0c", 3)));
    weir_fields_remove(fields, "Host");
    is_written(request, "GET /a?b=c HTTP/1.1\r\nHost: h\r\n\r\n");
    weir_request_free(&request);
    stage_close();
}

TEST(there_is_a_limit_and_what_was_taken_out_makes_room)
{
    stage_open();
    struct weir_request *request = new_request();
    struct weir_fields *fields = weir_request_fields(request);
    char name[8];
    for (unsigned i = 0; i < FIELDS_MAX; i++) {
        (void)snprintf(name, sizeof name, "A%u", i);
        CHECK_OK(weir_fields_add(fields, name, SLICE("v")));
    }
    CHECK_ERR(WEIR_E_LIMIT, weir_fields_add(fields, "B", SLICE("v")));
    CHECK_OK(weir_fields_set(fields, "A7", SLICE("w")));
    weir_fields_remove(fields, "A9");
    CHECK_OK(weir_fields_set(fields, "B", SLICE("v")));
    CHECK_ERR(WEIR_E_LIMIT, weir_fields_set(fields, "C", SLICE("v")));
    CHECK_SLICE(weir_fields_get(fields, "A7"), "w");
    CHECK_SLICE(weir_fields_get(fields, "A127"), "v");
    weir_request_free(&request);
    stage_close();
}

TEST(memory_has_an_end)
{
    static char long_value[32 * 1024];
    enum weir_err err = WEIR_OK;
    stage_open();
    struct weir_request *request = new_request();
    memset(long_value, 'x', sizeof long_value);
    for (unsigned i = 0; !err && i < 100; i++)
        err = weir_fields_set(weir_request_fields(request), "A",
                              slice_of(long_value, sizeof long_value));
    CHECK_ERR(WEIR_E_NO_MEMORY, err);
    CHECK_EQ(sizeof long_value, weir_fields_get(weir_request_fields(request), "A").len);
    weir_request_free(&request);
    stage_close();
}

TEST(a_copy_does_not_need_the_original)
{
    stage_open();
    struct weir_request *request = new_request(), *copy = NULL;
    CHECK_OK(weir_fields_add(weir_request_fields(request), "A", SLICE("1")));
    CHECK_OK(weir_fields_add(weir_request_fields(request), "B", SLICE("2")));
    weir_fields_remove(weir_request_fields(request), "A");
    CHECK_OK(message_own_request(request->http, &copy));
    weir_request_free(&request);
    CHECK_OK(weir_request_set_path(copy, SLICE("/other")));
    CHECK_SLICE(weir_request_authority(copy), "example.com:81");
    is_written(copy, "GET /other HTTP/1.1\r\nB: 2\r\n\r\n");
    weir_request_free(&copy);
    stage_close();
}

TEST(a_response_is_made_changed_and_copied)
{
    struct arena arena;
    struct weir_response view;
    char text[256];
    stage_open();
    arena_init(&arena, &stage.loop.arenas, 64 * 1024);
    struct http_response *response = message_new_response(&arena, 200);
    message_of_response(&view, response, &arena);
    CHECK_OK(weir_fields_set(weir_response_fields(&view), "Server", SLICE("weir")));
    CHECK_ERR(WEIR_E_FIELD, weir_response_set_status(&view, 101));
    CHECK_ERR(WEIR_E_FIELD, weir_response_set_status(&view, 600));
    CHECK_EQ(200, weir_response_status(&view));
    CHECK_OK(weir_response_set_status(&view, 404));
    response = message_copy_response(response, &arena);
    CHECK_SLICE(slice_of(text, h1_write_response(response, text, sizeof text)),
                "HTTP/1.1 404 Not Found\r\nServer: weir\r\n\r\n");
    arena_fini(&arena);
    stage_close();
}

TEST(lengths_and_framings_stand_for_each_other)
{
    static const uint64_t lengths[] = {0, 1, 1u << 20, WEIR_BODY_NONE, WEIR_BODY_UNKNOWN};
    for (size_t i = 0; i < COUNT_OF(lengths); i++) {
        struct http_framing framing = message_framing(lengths[i]);
        CHECK(message_body_bytes(&framing) == lengths[i]);
    }
    struct http_framing until_close = {.body = BODY_UNTIL_CLOSE};
    CHECK(message_body_bytes(&until_close) == WEIR_BODY_UNKNOWN);
}

CHECK_MAIN
