/* SPDX-License-Identifier: MIT */
/* The other half of h2_head.c: framings, heads that go out, and what nghttp2 makes of them. */
#include "base/check.h"
#include "h2_text.h"

static struct http_request request;
static struct http_response response;
static struct fields trailers;
static struct h2_head head;
static struct arena_cache cache;
static struct arena arena;

static void start(void)
{
    arena_cache_init(&cache);
    arena_init(&arena, &cache, 256 * 1024);
}

static void finish(void)
{
    arena_fini(&arena);
    arena_cache_fini(&cache);
}

static enum weir_err request_of(const char *lines)
{
    h2_head_begin(&head, &request.fields, &arena, 32 * 1024);
    h2_text_add(&head, lines);
    return h2_head_request(&head, &request);
}

static enum weir_err response_of(const char *lines)
{
    h2_head_begin(&head, &response.fields, &arena, 32 * 1024);
    h2_text_add(&head, lines);
    return h2_head_response(&head, &response);
}

#define PSEUDO ":method: POST\n:scheme: https\n:authority: h\n:path: /\n"

struct framing_row {
    const char *fields;
    bool ended;
    bool bad;
    enum http_body body;
    uint64_t length;
    uint16_t status; /* of a response; 0 for 200 */
    enum http_method method;
};

static const struct framing_row request_framings[] = {
    {"", .ended = true, .body = BODY_NONE},
    {"", .body = BODY_CHUNKED},
    {"content-length: 0\n", .ended = true, .body = BODY_LENGTH},
    {"content-length: 0\n", .body = BODY_LENGTH},
    {"content-length: 5\n", .body = BODY_LENGTH, .length = 5},
    {"content-length: 9223372036854775807\n", .body = BODY_LENGTH, .length = INT64_MAX},
    {"content-length: 5\n", .ended = true, .bad = true},
    {"content-length: 5\ncontent-length: 5\n", .bad = true},
    {"content-length: 5\ncontent-length: 6\n", .bad = true},
    {"content-length: 5, 5\n", .bad = true},
    {"content-length: \n", .bad = true},
    {"content-length: -5\n", .bad = true},
    {"content-length: 5x\n", .bad = true},
    {"content-length: 9223372036854775808\n", .bad = true},
    {"content-length: x\n", .ended = true, .bad = true},
};

static const struct framing_row response_framings[] = {
    {"", .body = BODY_CHUNKED},
    {"", .ended = true, .body = BODY_LENGTH},
    {"content-length: 0\n", .ended = true, .body = BODY_LENGTH},
    {"content-length: 5\n", .body = BODY_LENGTH, .length = 5},
    {"content-length: 5\n", .ended = true, .bad = true},
    {"content-length: 5\ncontent-length: 5\n", .bad = true},
    {"content-length: 5,6\n", .bad = true},
    {"content-length: x\n", .bad = true, .status = 304},
    {"content-length: 5\n", .ended = true, .body = BODY_NONE, .status = 304},
    {"content-length: 5\n", .ended = true, .body = BODY_NONE, .method = METHOD_HEAD},
    {"", .ended = true, .body = BODY_NONE, .method = METHOD_HEAD},
    {"", .body = BODY_NONE, .method = METHOD_HEAD},
    {"", .ended = true, .body = BODY_NONE, .status = 204},
    {"content-length: 5\n", .ended = true, .body = BODY_NONE, .status = 204},
    {"", .body = BODY_NONE, .status = 103},
    {"", .body = BODY_TUNNEL, .method = METHOD_CONNECT},
};

static void check_framing(const struct framing_row *row, enum weir_err bad, enum weir_err err,
                          const struct http_framing *framing)
{
    if (!CHECK_ERR(row->bad ? bad : WEIR_OK, err))
        printf("# %s", row->fields);
    if (err)
        return;
    CHECK_EQ(row->body, framing->body);
    CHECK_EQ(row->length, framing->length);
    CHECK(!framing->doubtful);
}

TEST(framing_of_requests)
{
    start();
    for (size_t i = 0; i < COUNT_OF(request_framings); i++) {
        const struct framing_row *row = &request_framings[i];
        struct http_framing framing = {0};
        CHECK_OK(request_of(PSEUDO));
        h2_text_add(&head, row->fields);
        enum weir_err err = h2_framing_of_request(&request, row->ended, &framing);
        check_framing(row, WEIR_E_REQUEST_MALFORMED, err, &framing);
    }
    finish();
}

TEST(framing_of_responses)
{
    start();
    for (size_t i = 0; i < COUNT_OF(response_framings); i++) {
        const struct framing_row *row = &response_framings[i];
        enum http_method method = row->method ? row->method : METHOD_GET;
        struct http_framing framing = {0};
        CHECK_OK(response_of(":status: 200\n"));
        h2_text_add(&head, row->fields);
        response.status = row->status ? row->status : 200;
        enum weir_err err = h2_framing_of_response(&response, method, row->ended, &framing);
        check_framing(row, WEIR_E_RESPONSE_MALFORMED, err, &framing);
    }
    finish();
}

/* HTTP/1 heads, as they are after their hop, and what goes out. */
struct out_row {
    const char *head;
    const char *lines;
};

#define H1(method, target) method " " target " HTTP/1.1\r\nHost: h\r\n"
#define OUT(method, path) ":method: " method "\n:scheme: http\n:authority: h\n:path: " path "\n"

static const struct out_row outs[] = {
    {H1("GET", "/a?b"), OUT("GET", "/a?b")},
    {H1("GET", "http://h/x"), OUT("GET", "/x")},
    {H1("OPTIONS", "*"), OUT("OPTIONS", "*")},
    {H1("CONNECT", "h:1"), ":method: CONNECT\n:authority: h:1\n"},
    {"GET / HTTP/1.0\r\n", ":method: GET\n:scheme: http\n:path: /\n"},
    {"GET / HTTP/1.1\r\nHost:\r\n", ":method: GET\n:scheme: http\n:path: /\n"},
    {H1("GET", "/") "A: 1\r\nX-b:\r\nContent-Type: t\r\n",
     OUT("GET", "/") "A: 1\nX-b: \ncontent-type: t\n"},
    {H1("GET", "/") "Connection: TE\r\nKeep-Alive: x\r\nProxy-Connection: x\r\nUpgrade: x\r\n"
                    "Transfer-Encoding: chunked\r\nHTTP2-Settings: x\r\nA: b\r\n",
     OUT("GET", "/") "A: b\n"},
    {H1("GET", "/") "TE: gzip, Trailers;q=0.5\r\n", OUT("GET", "/")},
    {H1("GET", "/") "TE: gzip, Trailers\r\n", OUT("GET", "/") "te: trailers\n"},
    {H1("GET", "/") "TE: trailers\r\n", OUT("GET", "/") "te: trailers\n"},
};

TEST(requests_go_out)
{
    start();
    for (size_t i = 0; i < COUNT_OF(outs); i++) {
        struct h1_limits limits;
        struct h1_cursor cursor = {0};
        struct h2_lines lines;
        size_t bytes;
        enum h1_fault fault;
        char text[1024];
        snprintf(text, sizeof text, "%s\r\n", outs[i].head);
        h1_limits_init(&limits);
        CHECK_EQ(H1_DONE,
                 h1_parse_request(slice_str(text), &cursor, &limits, &request, &bytes, &fault));
        CHECK_OK(h2_lines_of_request(&request, SLICE("http"), &arena, &lines));
        CHECK_SLICE(h2_text_lines(&lines), outs[i].lines);
    }
    finish();
}

TEST(what_came_goes_out_again)
{
    const char *lines_in = PSEUDO "a: b\n!authorization: x\n!cookie: c=d\nte: trailers\n";
    struct h2_lines lines;
    start();
    CHECK_OK(request_of(lines_in));
    CHECK_OK(h2_lines_of_request(&request, SLICE("https"), &arena, &lines));
    CHECK_SLICE(h2_text_lines(&lines), lines_in);
    CHECK(lines.at[4].flags & NGHTTP2_NV_FLAG_NO_COPY_NAME);
    CHECK(lines.at[5].flags & NGHTTP2_NV_FLAG_NO_COPY_NAME);
    finish();
}

TEST(responses_go_out)
{
    struct h2_lines lines;
    start();
    fields_init(&response.fields);
    response.status = 407;
    fields_add(&response.fields, SLICE("Connection"), SLICE("close"));
    fields_add(&response.fields, SLICE("Transfer-Encoding"), SLICE("chunked"));
    fields_add(&response.fields, SLICE("Keep-Alive"), SLICE("timeout=5"));
    fields_add(&response.fields, SLICE("Set-Cookie"), SLICE("a"));
    fields_add(&response.fields, SLICE("Server"), SLICE("s"));
    fields_add(&response.fields, SLICE("gone"), SLICE("s"));
    fields_remove_at(&response.fields, 5);
    CHECK_OK(h2_lines_of_response(&response, false, &arena, &lines));
    CHECK_SLICE(h2_text_lines(&lines), ":status: 407\nSet-Cookie: a\nserver: s\n");
    finish();
}

TEST(copies_outlive_the_message)
{
    char name[] = "X-Name", value[] = "value";
    for (unsigned copies = 0; copies < 2; copies++) {
        struct h2_lines lines;
        start();
        fields_init(&response.fields);
        response.status = 200;
        memcpy(name, "X-Name", 6);
        memcpy(value, "value", 5);
        fields_add(&response.fields, slice_str(name), slice_str(value));
        fields_add(&response.fields, SLICE("Via"), slice_str(value));
        CHECK_OK(h2_lines_of_response(&response, copies, &arena, &lines));
        memset(name, '-', 6);
        memset(value, '-', 5);
        memset(&response, 0, sizeof response);
        CHECK_SLICE(h2_text_lines(&lines), copies ? ":status: 200\nx-name: value\nvia: value\n"
                                                  : ":status: 200\n------: -----\nvia: -----\n");
        finish();
    }
}

TEST(trailers_go_out)
{
    struct h2_lines lines;
    start();
    fields_init(&trailers);
    CHECK_OK(h2_lines_of_trailers(&trailers, &arena, &lines));
    CHECK_EQ(0, lines.count);
    fields_add(&trailers, SLICE("X-Sum"), SLICE("1"));
    fields_add(&trailers, SLICE("connection"), SLICE("x-sum"));
    CHECK_OK(h2_lines_of_trailers(&trailers, &arena, &lines));
    CHECK_SLICE(h2_text_lines(&lines), "X-Sum: 1\n");
    finish();
}

/* A server of nghttp2 that takes heads as weir does. */
static bool whole; /* a head has come to its end */

static int on_begin(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    (void)session, (void)frame, (void)user;
    h2_head_begin(&head, &request.fields, &arena, 32 * 1024);
    return 0;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_length, const uint8_t *value, size_t value_length, uint8_t flags,
                     void *user)
{
    (void)session, (void)frame, (void)user;
    h2_head_add(&head, slice_of((const char *)name, name_length),
                slice_of((const char *)value, value_length), flags & NGHTTP2_NV_FLAG_NO_INDEX);
    return 0;
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    (void)session, (void)user;
    whole |= frame->hd.type == NGHTTP2_HEADERS;
    return 0;
}

/* Sends the lines through a client and a server of nghttp2. Whether the whole head arrived. */
static bool transmit(const nghttp2_nv *lines, size_t count)
{
    nghttp2_session_callbacks *callbacks;
    nghttp2_session *client, *server;
    const uint8_t *bytes;
    whole = false;
    CHECK_EQ(0, nghttp2_session_callbacks_new(&callbacks));
    CHECK_EQ(0, nghttp2_session_client_new(&client, callbacks, NULL));
    nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
    CHECK_EQ(0, nghttp2_session_server_new(&server, callbacks, NULL));
    CHECK_EQ(0, nghttp2_submit_settings(client, NGHTTP2_FLAG_NONE, NULL, 0));
    CHECK_EQ(0, nghttp2_submit_settings(server, NGHTTP2_FLAG_NONE, NULL, 0));
    CHECK_EQ(1, nghttp2_submit_request(client, NULL, lines, count, NULL, NULL));
    for (ssize_t length; (length = nghttp2_session_mem_send(client, &bytes)) > 0;)
        CHECK_EQ(length, nghttp2_session_mem_recv(server, bytes, (size_t)length));
    nghttp2_session_del(client);
    nghttp2_session_del(server);
    nghttp2_session_callbacks_del(callbacks);
    return whole;
}

/* We leave it to nghttp2, which writes in lower case what it copies. */
TEST(nghttp2_sends_names_in_lower_case_and_keeps_secrets)
{
    struct h2_lines lines;
    start();
    CHECK_OK(request_of(PSEUDO "!Cookie: c=d\n!X-Secret: S\nX-Foo: Bar\nContent-Type: T/t\n"));
    CHECK_OK(h2_lines_of_request(&request, SLICE("https"), &arena, &lines));
    CHECK(transmit(lines.at, lines.count));
    CHECK_OK(h2_head_request(&head, &request));
    CHECK_SLICE(h2_text_fields(&request.fields),
                "!cookie: c=d\n!x-secret: S\nx-foo: Bar\ncontent-type: T/t\n");
    CHECK_SLICE(request.authority, "h");
    CHECK_EQ(METHOD_POST, request.method);
    finish();
}

/* What h2_head.c relies on: none of these comes to its end. */
static const char *const refusals[] = {
    PSEUDO ":path: /b\n",
    PSEUDO ":authority: g\n",
    PSEUDO ":foo: x\n",
    PSEUDO ":status: 200\n",
    PSEUDO ":protocol: websocket\n",
    ":method: GET\n:scheme: http\na: b\n:path: /\nhost: h\n",
    ":scheme: http\n:path: /\nhost: h\n",
    ":method: GET\n:path: /\nhost: h\n",
    ":method: GET\n:scheme: http\nhost: h\n",
    ":method: GET\n:scheme: http\n:path: /\n",
    PSEUDO "connection: close\n",
    PSEUDO "keep-alive: x\n",
    PSEUDO "proxy-connection: x\n",
    PSEUDO "transfer-encoding: chunked\n",
    PSEUDO "upgrade: x\n",
    PSEUDO "te: gzip\n",
    PSEUDO "host: h\nhost: h\n",
    PSEUDO "content-length: 5\ncontent-length: 5\n",
    PSEUDO "content-length: 5x\n",
    PSEUDO "content-length: 5\n", /* the stream ends with its head */
    PSEUDO "a: b\rc\n",
    PSEUDO "a: b\x7f\n",
    PSEUDO "a:  b\n",
    PSEUDO "a: b \n",
    PSEUDO "a b: c\n",
    PSEUDO "\xc3\xa4: c\n",
};

TEST(nghttp2_refuses_what_we_do_not_look_at)
{
    for (size_t i = 0; i < COUNT_OF(refusals); i++) {
        nghttp2_nv lines[16];
        size_t count = 0;
        struct weir_slice rest = slice_str(refusals[i]);
        for (; rest.len > 0; count++) {
            size_t end = slice_find(rest, '\n');
            size_t colon = 1 + slice_find(slice_of(rest.at + 1, end - 1), ':');
            lines[count] = (nghttp2_nv){.name = (uint8_t *)rest.at,
                                        .value = (uint8_t *)rest.at + colon + 2,
                                        .namelen = colon,
                                        .valuelen = end - colon - 2};
            rest = slice_skip(rest, end + 1);
        }
        start();
        if (!CHECK(!transmit(lines, count)))
            printf("# %s", refusals[i]);
        finish();
    }
}

CHECK_MAIN
