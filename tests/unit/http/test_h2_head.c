/* SPDX-License-Identifier: MIT */
#include "base/check.h"
#include "h2_text.h"

enum { ARENA_BYTES = 256 * 1024, LIMIT_BYTES = 32 * 1024 };

static struct http_request request;
static struct http_response response;
static struct h2_head head;
static struct arena_cache cache;
static struct arena arena;

static void start_with(size_t arena_bytes)
{
    arena_cache_init(&cache);
    arena_init(&arena, &cache, arena_bytes);
}

static void start(void)
{
    start_with(ARENA_BYTES);
}

static void finish(void)
{
    arena_fini(&arena);
    arena_cache_fini(&cache);
}

static void add(const char *name, const char *value)
{
    h2_head_add(&head, slice_str(name), slice_str(value), false);
}

static enum weir_err request_of(const char *lines)
{
    memset(&request, 0x5a, sizeof request);
    h2_head_begin(&head, &request.fields, &arena, LIMIT_BYTES);
    h2_text_add(&head, lines);
    return h2_head_request(&head, &request);
}

static enum weir_err response_of(const char *lines)
{
    memset(&response, 0x5a, sizeof response);
    h2_head_begin(&head, &response.fields, &arena, LIMIT_BYTES);
    h2_text_add(&head, lines);
    return h2_head_response(&head, &response);
}

#define METHOD(method) ":method: " method "\n"
#define HTTPS ":scheme: https\n"
#define HTTP ":scheme: http\n"
#define AUTHORITY(authority) ":authority: " authority "\n"
#define PATH(path) ":path: " path "\n"
#define GET METHOD("GET") HTTPS PATH("/")
#define BASE GET AUTHORITY("h")

struct request_row {
    const char *lines;
    const char *authority, *path, *fields;
    enum http_method method;
    enum http_target form;
};

static const struct request_row requests[] = {
    {BASE, "h", "/", "", METHOD_GET, TARGET_ORIGIN},
    {METHOD("POST") HTTP AUTHORITY("h:8080") PATH("/a?b=/c"), "h:8080", "/a?b=/c", "", METHOD_POST,
     TARGET_ORIGIN},
    {PATH("//x") AUTHORITY("h") METHOD("PURGE") ":scheme: HTTPS\n", "h", "//x", "", METHOD_OTHER,
     TARGET_ORIGIN},
    {METHOD("OPTIONS") HTTPS AUTHORITY("h") PATH("*"), "h", "*", "", METHOD_OPTIONS,
     TARGET_ASTERISK},
    {METHOD("CONNECT") AUTHORITY("h:443"), "h:443", "", "", METHOD_CONNECT, TARGET_AUTHORITY},
    {BASE "a: 1\n!b: 2\na: \n", "h", "/", "a: 1\n!b: 2\na: \n", METHOD_GET, TARGET_ORIGIN},
    {BASE "content-type: x\n!authorization: y\n", "h", "/", "content-type: x\n!authorization: y\n",
     METHOD_GET, TARGET_ORIGIN},
    {BASE "te: trailers\nhttp2-settings: x\n", "h", "/", "te: trailers\nhttp2-settings: x\n",
     METHOD_GET, TARGET_ORIGIN},
    /* Host */
    {GET "host: h\n", "h", "/", "", METHOD_GET, TARGET_ORIGIN},
    {GET "a: 1\nhost: h:1\nb: 2\n", "h:1", "/", "a: 1\nb: 2\n", METHOD_GET, TARGET_ORIGIN},
    {BASE "host: h\n", "h", "/", "", METHOD_GET, TARGET_ORIGIN},
    {BASE "host: H:443\n", "h", "/", "", METHOD_GET, TARGET_ORIGIN},
    {BASE "host: h:\n", "h", "/", "", METHOD_GET, TARGET_ORIGIN},
    {METHOD("GET") HTTP AUTHORITY("h:080") PATH("/") "host: h\n", "h:080", "/", "", METHOD_GET,
     TARGET_ORIGIN},
    {GET AUTHORITY("[::1]:8443") "host: [::1]:8443\n", "[::1]:8443", "/", "", METHOD_GET,
     TARGET_ORIGIN},
    {METHOD("CONNECT") AUTHORITY("h:1") "host: h:1\n", "h:1", "", "", METHOD_CONNECT,
     TARGET_AUTHORITY},
    /* Cookie */
    {BASE "cookie: a=1\n", "h", "/", "cookie: a=1\n", METHOD_GET, TARGET_ORIGIN},
    {BASE "cookie: a=1\nx: y\ncookie: b=2\n", "h", "/", "cookie: a=1; b=2\nx: y\n", METHOD_GET,
     TARGET_ORIGIN},
    {BASE "cookie: a\ncookie: bb\n!cookie: ccc\n", "h", "/", "!cookie: a; bb; ccc\n", METHOD_GET,
     TARGET_ORIGIN},
    {BASE "!cookie: a\ncookie: b\n", "h", "/", "!cookie: a; b\n", METHOD_GET, TARGET_ORIGIN},
    {BASE "cookie: a\ncookie: \ncookie: b\ncookie: \n", "h", "/", "cookie: a; b\n", METHOD_GET,
     TARGET_ORIGIN},
    {BASE "cookie: \ncookie: \n", "h", "/", "cookie: \n", METHOD_GET, TARGET_ORIGIN},
    {BASE "cookie: \ncookie: a\n", "h", "/", "cookie: ; a\n", METHOD_GET, TARGET_ORIGIN},
};

TEST(requests_as_http1_would_have_them)
{
    start();
    for (size_t i = 0; i < COUNT_OF(requests); i++) {
        const struct request_row *row = &requests[i];
        if (!CHECK_OK(request_of(row->lines)))
            printf("# %s", row->lines);
        CHECK_EQ(row->method, request.method);
        CHECK_EQ(row->form, request.form);
        CHECK_EQ(HTTP_2, request.protocol);
        CHECK_EQ(1, request.minor);
        CHECK_SLICE(request.target, row->form == TARGET_AUTHORITY ? row->authority : row->path);
        CHECK_SLICE(request.scheme, "");
        CHECK_SLICE(request.authority, row->authority);
        CHECK_SLICE(request.path, row->path);
        CHECK_SLICE(h2_text_fields(&request.fields), row->fields);
        CHECK(!fields_have(&request.fields, FIELD_HOST));
    }
    finish();
}

static const char *const bad_requests[] = {
    "",
    /* method */
    HTTPS AUTHORITY("h") PATH("/"),
    METHOD("") HTTPS AUTHORITY("h") PATH("/"),
    METHOD("G T") HTTPS AUTHORITY("h") PATH("/"),
    METHOD("GET\r") HTTPS AUTHORITY("h") PATH("/"),
    /* scheme */
    METHOD("GET") AUTHORITY("h") PATH("/"),
    METHOD("GET") ":scheme: \n" AUTHORITY("h") PATH("/"),
    METHOD("GET") ":scheme: ftp\n" AUTHORITY("h") PATH("/"),
    METHOD("GET") ":scheme: https:\n" AUTHORITY("h") PATH("/"),
    /* path */
    METHOD("GET") HTTPS AUTHORITY("h"),
    METHOD("GET") HTTPS AUTHORITY("h") PATH(""),
    METHOD("GET") HTTPS AUTHORITY("h") PATH("a"),
    METHOD("GET") HTTPS AUTHORITY("h") PATH("*"),
    METHOD("OPTIONS") HTTPS AUTHORITY("h") PATH("*a"),
    METHOD("OPTIONS") HTTPS AUTHORITY("*"),
    METHOD("GET") HTTPS AUTHORITY("h") PATH("http://h/"),
    METHOD("GET") HTTPS AUTHORITY("h") PATH("?a"),
    METHOD("GET") HTTPS AUTHORITY("h") PATH("/a b"),
    METHOD("GET") HTTPS AUTHORITY("h") PATH("/ HTTP/1.1"),
    METHOD("GET") HTTPS AUTHORITY("h") PATH("/#a"),
    METHOD("GET") HTTPS AUTHORITY("h") PATH("/\r"),
    METHOD("GET") HTTPS AUTHORITY("h") PATH("/\xc3\xa4"),
    METHOD("GET") HTTPS AUTHORITY("/a"),
    /* authority */
    GET,
    GET AUTHORITY(""),
    GET AUTHORITY(":80"),
    GET AUTHORITY("u@h"),
    GET AUTHORITY("h/a"),
    GET AUTHORITY("h:x"),
    GET AUTHORITY("h:65536"),
    GET AUTHORITY("h h"),
    GET AUTHORITY("[::1"),
    GET "host: \n",
    GET "host: u@h\n",
    GET "host: h\nhost: h\n",
    BASE "host: \n",
    BASE "host: g\n",
    BASE "host: h:80\n",
    BASE "host: h:444\n",
    BASE "host: h.\n",
    BASE "host: h\nhost: h\n",
    BASE "host: h\nhost: g\n",
    GET AUTHORITY("") "host: h\n",
    /* CONNECT */
    METHOD("CONNECT"),
    METHOD("CONNECT") "host: h:1\n",
    METHOD("CONNECT") AUTHORITY("h"),
    METHOD("CONNECT") AUTHORITY("h:0"),
    METHOD("CONNECT") AUTHORITY("/"),
    METHOD("CONNECT") AUTHORITY("h:1") "host: g:1\n",
    METHOD("CONNECT") AUTHORITY("h:1") HTTPS,
    METHOD("CONNECT") AUTHORITY("h:1") PATH("/"),
    BASE ":protocol: websocket\n",
    /* what speaks of a connection */
    BASE "connection: close\n",
    BASE "keep-alive: timeout=5\n",
    BASE "proxy-connection: keep-alive\n",
    BASE "transfer-encoding: chunked\n",
    BASE "upgrade: h2c\n",
};

/* RFC 8441: to the rest of weir it is the GET that HTTP/1 has in its place. */
TEST(an_extended_connect_is_a_get)
{
    start();
    CHECK_OK(request_of(METHOD("CONNECT") HTTPS AUTHORITY("h:1")
                            PATH("/chat") ":protocol: websocket\n"));
    CHECK(request.extended);
    CHECK_EQ(METHOD_GET, request.method);
    CHECK_SLICE(request.path, "/chat");
    CHECK_SLICE(request.authority, "h:1");
    CHECK_ERR(WEIR_E_REQUEST_METHOD, request_of(METHOD("CONNECT") HTTPS AUTHORITY("h:1")
                                                    PATH("/") ":protocol: connect-udp\n"));
    CHECK_OK(request_of(METHOD("CONNECT") AUTHORITY("h:1")));
    CHECK(!request.extended);
    CHECK_EQ(METHOD_CONNECT, request.method);
    finish();
}

TEST(bad_requests_have_no_fields)
{
    start();
    for (size_t i = 0; i < COUNT_OF(bad_requests); i++) {
        if (!CHECK_ERR(WEIR_E_REQUEST_MALFORMED, request_of(bad_requests[i])))
            printf("# %s", bad_requests[i]);
        CHECK_EQ(0, request.fields.count);
        CHECK_EQ(HTTP_2, request.protocol);
    }
    finish();
}

TEST(a_bad_request_keeps_what_an_answer_and_a_log_need)
{
    start();
    CHECK_ERR(WEIR_E_REQUEST_MALFORMED, request_of(METHOD("HEAD") HTTPS PATH("/a") "host: h\n"
                                                                                   "upgrade: x\n"));
    CHECK_EQ(METHOD_HEAD, request.method);
    CHECK_SLICE(request.method_text, "HEAD");
    CHECK_SLICE(request.path, "/a");
    CHECK_ERR(WEIR_E_REQUEST_MALFORMED, request_of(METHOD("\x01") HTTPS AUTHORITY("h") PATH("/")));
    CHECK_EQ(0, request.method_text.len);
    finish();
}

/* `count` bytes of `byte` behind `front`. */
static const char *longer(const char *front, char byte, size_t count)
{
    static char made[64 * 1024];
    size_t length = strlen(front);
    memcpy(made, front, length);
    memset(made + length, byte, count);
    made[length + count] = '\0';
    return made;
}

static enum weir_err request_with(const char *method, const char *path, size_t limit_bytes)
{
    h2_head_begin(&head, &request.fields, &arena, limit_bytes);
    add(":method", method);
    add(":scheme", "https");
    add(":authority", "h");
    add(":path", path);
    return h2_head_request(&head, &request);
}

TEST(lengths_are_those_of_http1)
{
    struct h1_limits limits;
    h1_limits_init(&limits);
    start();
    CHECK_OK(request_with("GET", longer("/", 'a', limits.target_bytes - 1), LIMIT_BYTES));
    CHECK_ERR(WEIR_E_REQUEST_TARGET_LENGTH,
              request_with("GET", longer("/", 'a', limits.target_bytes), LIMIT_BYTES));
    CHECK_OK(request_with(longer("", 'M', METHOD_BYTES), "/", LIMIT_BYTES));
    CHECK_ERR(WEIR_E_REQUEST_METHOD,
              request_with(longer("", 'M', METHOD_BYTES + 1), "/", LIMIT_BYTES));
    /* it does not depend on how much more it is */
    CHECK_ERR(WEIR_E_REQUEST_TARGET_LENGTH,
              request_with("GET", longer("/", 'a', LIMIT_BYTES), LIMIT_BYTES));
    CHECK_EQ(METHOD_GET, request.method);
    CHECK_EQ(0, request.path.len);
    finish();
}

TEST(a_head_is_as_large_as_hpack_counts)
{
    const size_t bytes = 4 * 32 + 7 + 3 + 7 + 5 + 10 + 1 + 5 + 1;
    start();
    CHECK_OK(request_with("GET", "/", bytes));
    CHECK_EQ(bytes, head.bytes);
    CHECK_ERR(WEIR_E_REQUEST_TARGET_LENGTH, request_with("GET", "/", bytes - 1));

    h2_head_begin(&head, &request.fields, &arena, 50);
    add("a", "b");
    CHECK_OK(head.err);
    add("a", "b");
    CHECK_ERR(WEIR_E_REQUEST_HEAD_LENGTH, head.err);
    add(":method", "HEAD");
    CHECK_EQ(34 + 34 + 32 + 11, head.bytes); /* counted still, for who guards against floods */
    CHECK_EQ(1, head.fields->count);
    CHECK_ERR(WEIR_E_REQUEST_HEAD_LENGTH, h2_head_request(&head, &request));
    CHECK_EQ(0, request.fields.count);
    CHECK_EQ(0, request.method_text.len);
    finish();
}

TEST(fields_are_counted_but_cookies_count_as_one)
{
    start();
    for (unsigned more = 0; more < 2; more++) {
        h2_head_begin(&head, &request.fields, &arena, LIMIT_BYTES);
        h2_text_add(&head, BASE);
        for (unsigned i = 0; i < FIELDS_MAX - 1 + more; i++)
            add("a", "b");
        for (unsigned i = 0; i < 300; i++)
            add("cookie", "c=d");
        CHECK_ERR(more ? WEIR_E_REQUEST_HEAD_LENGTH : WEIR_OK, h2_head_request(&head, &request));
        CHECK_EQ(more ? 0 : FIELDS_MAX, request.fields.count);
        const struct field *cookie = fields_find(&request.fields, FIELD_COOKIE);
        CHECK_EQ(!more, cookie != NULL);
        if (cookie)
            CHECK_EQ(300 * 3 + 299 * 2, cookie->value.len);
    }
    finish();
}

TEST(names_that_are_known_are_not_copied)
{
    char name[] = "content-type", value[] = "v", other[] = "other";
    start();
    h2_head_begin(&head, &request.fields, &arena, LIMIT_BYTES);
    h2_text_add(&head, BASE);
    add(name, value);
    add(other, value);
    memset(name, 'x', strlen(name));
    memset(value, 'x', strlen(value));
    memset(other, 'x', strlen(other));
    CHECK_OK(h2_head_request(&head, &request));
    CHECK_SLICE(h2_text_fields(&request.fields), "content-type: v\nother: v\n");
    CHECK(request.fields.at[0].name.at == field_name(FIELD_CONTENT_TYPE).at);
    finish();
}

TEST(memory_that_is_out_is_an_error)
{
    struct h2_lines lines;
    start();
    CHECK_OK(request_of(BASE "a: b\n"));
    CHECK_OK(response_of(":status: 200\na: b\n"));
    struct arena none;
    arena_init(&none, &cache, 0);
    CHECK_ERR(WEIR_E_NO_MEMORY, h2_lines_of_request(&request, SLICE("http"), &none, &lines));
    CHECK_ERR(WEIR_E_NO_MEMORY, h2_lines_of_response(&response, true, &none, &lines));
    CHECK_ERR(WEIR_E_NO_MEMORY, h2_lines_of_trailers(&response.fields, &none, &lines));
    finish();

    start_with(0);
    CHECK_ERR(WEIR_E_NO_MEMORY, request_of(BASE));
    CHECK_ERR(WEIR_E_NO_MEMORY, request_of("a: b\n"));
    CHECK_ERR(WEIR_E_NO_MEMORY, response_of(":status: 200\na: b\n"));
    finish();

    /* room for the fields alone, and for all but the second cookie or their joining */
    for (size_t length = 4000; length <= 8000; length += 4000) {
        start_with(ARENA_BLOCK_BYTES);
        h2_head_begin(&head, &request.fields, &arena, LIMIT_BYTES);
        h2_text_add(&head, BASE);
        add("cookie", longer("", 'c', length - 200));
        add("cookie", longer("", 'd', 3900));
        CHECK_ERR(WEIR_E_NO_MEMORY, h2_head_request(&head, &request));
        CHECK_EQ(0, request.fields.count);
        finish();
    }
}

struct response_row {
    const char *lines;
    uint16_t status; /* 0: malformed */
};

static const struct response_row responses[] = {
    {":status: 200\n", 200},
    {":status: 100\n", 100},
    {":status: 599\n", 599},
    {":status: 103\na: b\n", 103},
    {"", 0},
    {"a: b\n", 0},
    {":status: \n", 0},
    {":status: 20\n", 0},
    {":status: 2000\n", 0},
    {":status: 2x0\n", 0},
    {":status: +20\n", 0},
    {":status: 200 \n", 0},
    {":status: 099\n", 0},
    {":status: 000\n", 0},
    {":status: 600\n", 0},
    {":status: 101\n", 0},
    {":status: 200\nconnection: close\n", 0},
    {":status: 200\ntransfer-encoding: chunked\n", 0},
    {":status: 200\nupgrade: x\n", 0},
};

TEST(responses_have_a_status_of_three_digits)
{
    start();
    for (size_t i = 0; i < COUNT_OF(responses); i++) {
        const struct response_row *row = &responses[i];
        enum weir_err err = row->status ? WEIR_OK : WEIR_E_RESPONSE_MALFORMED;
        if (!CHECK_ERR(err, response_of(row->lines)))
            printf("# %s", row->lines);
        CHECK_EQ(HTTP_2, response.protocol);
        CHECK_EQ(1, response.minor);
        if (row->status)
            CHECK(slice_equal(response.reason, http_reason(row->status)));
        if (row->status)
            CHECK_EQ(row->status, response.status);
        else
            CHECK_EQ(0, response.fields.count);
    }
    CHECK_OK(response_of(":status: 200\n!set-cookie: a\nset-cookie: b\nserver: s\n"));
    CHECK_SLICE(h2_text_fields(&response.fields), "!set-cookie: a\nset-cookie: b\nserver: s\n");
    h2_head_begin(&head, &response.fields, &arena, 60);
    h2_text_add(&head, ":status: 200\na: b\n");
    CHECK_ERR(WEIR_E_RESPONSE_HEAD_LENGTH, h2_head_response(&head, &response));
    CHECK_EQ(0, response.fields.count);
    finish();
}

CHECK_MAIN
