/* SPDX-License-Identifier: MIT */
#include "upstream/session_custom.h"

#include "tests/unit/upstream/swap.h"

#include <stdarg.h>

/* What the toy's server answers, and what the toy was asked to do. */
struct script {
    unsigned status;
    uint64_t body_bytes;
    const char *pieces[4];
    enum weir_err send_head, send_body, recv_head, recv_body; /* what it says in their place */
    bool keeps_broken;  /* it can go on after an exchange that was cut */
    bool is_dead, ends; /* at rest; after an exchange */
    unsigned next_piece;
    char told[512];
    unsigned opened, closed;
    struct weir_wire *wire;
};

static struct script script;
static struct peer peer;

__attribute__((format(printf, 1, 2))) static void tell(const char *format, ...)
{
    size_t at = strlen(script.told);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(script.told + at, sizeof script.told - at, format, arguments);
    va_end(arguments);
}

static void check_told(const char *want)
{
    CHECK_SLICE(slice_str(script.told), want);
    script.told[0] = '\0';
}

static enum weir_err toy_open(const struct weir_transport_to *to, void **ret_conn)
{
    script.opened++;
    script.wire = to->wire;
    tell("open %s;", to->address);
    *ret_conn = to->owner;
    return WEIR_OK;
}

static enum weir_err toy_send_head(void *conn, struct weir_request *request, uint64_t body_bytes,
                                   struct weir_time deadline)
{
    struct weir_slice method = weir_request_method(request), path = weir_request_path(request);
    struct weir_fields *fields = weir_request_fields(request);
    CHECK(conn == &script && weir_time_before(loop_now(&stage.loop), deadline));
    CHECK_SLICE(weir_fields_get(fields, "host"), "example.com");
    CHECK(!weir_fields_get(fields, "transfer-encoding").at);
    tell(" %.*s %.*s %lld;", SLICE_ARGS(method), SLICE_ARGS(path), (long long)body_bytes);
    return script.send_head;
}

static enum weir_err toy_send_body(void *conn, struct weir_slice bytes, bool last,
                                   struct weir_time deadline)
{
    (void)conn;
    (void)deadline;
    tell(" '%.*s'%s;", SLICE_ARGS(bytes), last ? "." : "");
    return script.send_body;
}

static enum weir_err toy_recv_head(void *conn, struct weir_response *response,
                                   uint64_t *ret_body_bytes, struct weir_time deadline)
{
    (void)conn;
    (void)deadline;
    tell(" head;");
    TRY(script.recv_head);
    script.next_piece = 0;
    if (script.status)
        CHECK_OK(weir_response_set_status(response, script.status));
    CHECK_OK(weir_fields_set(weir_response_fields(response), "x-toy", SLICE("yes")));
    *ret_body_bytes = script.body_bytes;
    return WEIR_OK;
}

static enum weir_err toy_recv_body(void *conn, struct weir_piece *ret_piece,
                                   struct weir_time deadline)
{
    (void)conn;
    (void)deadline;
    TRY(script.recv_body);
    const char *text = script.pieces[script.next_piece];
    bool is_last = !text || !script.pieces[script.next_piece + 1];
    script.next_piece += text != NULL;
    *ret_piece = (struct weir_piece){weir_str(text ? text : ""), is_last};
    return WEIR_OK;
}

static bool toy_done(void *conn, bool whole)
{
    (void)conn;
    tell(" done%s;", whole ? "" : " broken");
    return (whole || script.keeps_broken) && !script.ends;
}

static bool toy_alive(void *conn)
{
    (void)conn;
    return !script.is_dead;
}

static void toy_close(void *conn)
{
    (void)conn;
    script.closed++;
    tell(" close;");
}

static const struct weir_session_transport toy = {
    .name = "toy",
    .owner = &script,
    .open = toy_open,
    .send_head = toy_send_head,
    .send_body = toy_send_body,
    .recv_head = toy_recv_head,
    .recv_body = toy_recv_body,
    .done = toy_done,
    .alive = toy_alive,
    .close = toy_close,
};

static void begin(void)
{
    struct peer_options options;
    rig_open(8);
    script = (struct script){.status = 200, .body_bytes = 5, .pieces = {"he", "llo"}};
    peer_options_init(&options);
    options.upstream = "web";
    options.transport.sessions = &toy;
    options.transport_address = "there";
    addr_of_text(SLICE("toy:there"), &options.addr);
    peer_init(&peer, &options);
    swap_request("GET");
}

WEIR_SUSPENDS static bool get(enum connector_want want)
{
    return CHECK_OK(connector_get(&rig.pool, &peer, want, in_ms(5000), &swap.session));
}

WEIR_SUSPENDS static enum weir_err send_all(void)
{
    TRY(session_send_head(swap.session, &swap.request, &swap.request_framing));
    return session_flush(swap.session);
}

WEIR_SUSPENDS static enum weir_err whole_exchange(void)
{
    TRY(send_all());
    return swap_recv();
}

STAGE_TEST(an_exchange_passes_and_the_next_one_uses_its_connection)
{
    begin();
    if (!get(CONNECTOR_ANY))
        return;
    CHECK_EQ(SOURCE_NEW, swap.session->story.source);
    CHECK_EQ(HTTP_CUSTOM, swap.session->story.protocol);
    CHECK_EQ(1, stat_read(&rig.stats[0].in_use[HTTP_CUSTOM]));
    CHECK_OK(whole_exchange());
    CHECK(swap.session->request_sent && swap.session->any_sent && swap.session->any_received);
    CHECK(!strcmp("hello", swap.body));
    CHECK_EQ(200, swap.response.status);
    CHECK_SLICE(swap.response.reason, "OK");
    CHECK_EQ(BODY_LENGTH, swap.framing.body);
    const struct field *length = fields_find(&swap.response.fields, FIELD_CONTENT_LENGTH);
    CHECK(length && slice_equal(length->value, SLICE("5")));
    CHECK(fields_find_name(&swap.response.fields, SLICE("X-Toy")));
    session_finish(swap.session, true);
    CHECK(swap.session->conn); /* its last piece is still looked at */
    swap_release(true);
    CHECK_EQ(1, rig.pool.idle_count);
    CHECK_EQ(1, stat_read(&rig.stats[0].idle[HTTP_CUSTOM]));
    check_told("open there; GET / -1; head; done;");
    if (!get(CONNECTOR_SURE))
        return;
    CHECK_EQ(SOURCE_REUSED, swap.session->story.source);
    CHECK_OK(whole_exchange());
    swap_release(true);
    check_told(" GET / -1; head; done;");
    CHECK_EQ(1, script.opened);
    rig_close();
    CHECK_EQ(1, script.closed);
}

STAGE_TEST(a_request_body_goes_piece_by_piece)
{
    struct http_piece piece = {.slices = {SLICE("he"), SLICE("llo")}, .count = 2, .bytes = 5};
    begin();
    swap_request("POST");
    swap_field("Transfer-Encoding", "chunked");
    for (unsigned way = 0; way < 2; way++) {
        swap.request_framing = (struct http_framing){.body = BODY_CHUNKED};
        if (!get(CONNECTOR_ANY))
            return;
        CHECK_OK(session_send_head(swap.session, &swap.request, &swap.request_framing));
        swap.request.path = SLICE("/gone"); /* it was written down */
        piece.last = way == 0;
        CHECK_OK(session_send_piece(swap.session, &piece));
        CHECK_EQ(way == 0, swap.session->request_sent);
        struct http_piece last = {.last = true};
        CHECK_OK(session_send_piece(swap.session, &last)); /* once is enough */
        CHECK(swap.session->request_sent);
        CHECK_OK(swap_recv());
        swap_release(true);
        swap.request.path = SLICE("/");
    }
    check_told("open there; POST / -2; 'he'; 'llo'.; head; done;"
               " POST / -2; 'he'; 'llo'; ''.; head; done;");
    rig_close();
}

STAGE_TEST(a_session_that_was_not_used_goes_back)
{
    begin();
    if (!get(CONNECTOR_ANY))
        return;
    CHECK_OK(session_send_head(swap.session, &swap.request, &swap.request_framing));
    swap_release(true);
    CHECK_EQ(1, rig.pool.idle_count);
    check_told("open there;");
    rig_close();
}

/* What a response is framed as, and what is left to read of it. */
STAGE_TEST(lengths_are_what_the_transport_says)
{
    static const struct {
        const char *method;
        unsigned status;
        uint64_t body_bytes;
        enum http_body want;
        const char *length, *body;
    } rows[] = {
        {"GET", 200, 5, BODY_LENGTH, "5", "hello"},
        {"GET", 200, WEIR_BODY_UNKNOWN, BODY_CHUNKED, NULL, "hello"},
        {"GET", 200, WEIR_BODY_NONE, BODY_LENGTH, "0", ""},
        {"HEAD", 200, 5, BODY_NONE, "5", ""},
        {"GET", 304, 5, BODY_NONE, "5", ""},
        {"GET", 204, 5, BODY_NONE, NULL, ""},
        {"GET", 204, WEIR_BODY_NONE, BODY_NONE, NULL, ""},
    };
    begin();
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        script.status = rows[i].status;
        script.body_bytes = rows[i].body_bytes;
        swap_request(rows[i].method);
        if (!get(CONNECTOR_ANY) || !CHECK_OK(whole_exchange()))
            return;
        const struct field *length = fields_find(&swap.response.fields, FIELD_CONTENT_LENGTH);
        CHECK_EQ(rows[i].want, swap.framing.body);
        CHECK_EQ(rows[i].length != NULL, length != NULL);
        if (length)
            CHECK_SLICE(length->value, rows[i].length);
        CHECK_SLICE(slice_str(swap.body), rows[i].body);
        swap_release(true);
        CHECK_EQ(1, rig.pool.idle_count);
    }
    CHECK_EQ(1, script.opened);
    rig_close();
}

/* The next exchange would begin with it. */
STAGE_TEST(a_body_that_nobody_receives_is_not_left_to_the_next)
{
    begin();
    script.body_bytes = WEIR_BODY_UNKNOWN;
    swap_request("HEAD");
    if (!get(CONNECTOR_ANY))
        return;
    CHECK_OK(whole_exchange());
    CHECK_EQ(BODY_NONE, swap.framing.body);
    swap_release(true);
    check_told("open there; HEAD / -1; head; done broken; close;");
    rig_close();
}

STAGE_TEST(what_goes_wrong_is_told_as_over_http1)
{
    static const struct {
        struct script script;
        enum weir_err want;
        enum keep keep;
    } rows[] = {
        {{.send_head = WEIR_E_TIMEOUT}, WEIR_E_UPSTREAM_WRITE_TIMEOUT, KEEP_NOT_REQUEST_INCOMPLETE},
        {{.send_head = WEIR_E_RESET}, WEIR_E_RESET, KEEP_NOT_REQUEST_INCOMPLETE},
        {{.recv_head = WEIR_E_TIMEOUT}, WEIR_E_RESPONSE_TIMEOUT, KEEP_NOT_RESPONSE_INCOMPLETE},
        {{.recv_head = WEIR_E_EOF}, WEIR_E_EOF, KEEP_NOT_RESPONSE_INCOMPLETE},
        {{.recv_head = WEIR_E_CANCELED}, WEIR_E_CANCELED, KEEP_NOT_RESPONSE_INCOMPLETE},
        {{.status = 0}, WEIR_E_RESPONSE_MALFORMED, KEEP_NOT_RESPONSE_INCOMPLETE},
        {{.status = 200, .body_bytes = 9, .pieces = {"hello"}},
         WEIR_E_RESPONSE_INCOMPLETE,
         KEEP_NOT_RESPONSE_INCOMPLETE},
        {{.status = 200, .body_bytes = 4, .pieces = {"hello"}},
         WEIR_E_RESPONSE_MALFORMED,
         KEEP_NOT_RESPONSE_INCOMPLETE},
        {{.status = 200, .body_bytes = 5, .recv_body = WEIR_E_TIMEOUT},
         WEIR_E_RESPONSE_TIMEOUT,
         KEEP_NOT_RESPONSE_INCOMPLETE},
        {{.status = 200, .body_bytes = 5, .recv_body = WEIR_E_RESET},
         WEIR_E_RESPONSE_INCOMPLETE,
         KEEP_NOT_RESPONSE_INCOMPLETE},
        {{.status = 200, .body_bytes = 5, .pieces = {"hello"}, .ends = true},
         WEIR_OK,
         KEEP_NOT_RESPONSE_CLOSE},
    };
    begin();
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        script = rows[i].script;
        if (!get(CONNECTOR_ANY))
            return;
        CHECK_ERR(rows[i].want, whole_exchange());
        uint64_t before = rig_not_kept(0, rows[i].keep);
        swap_release(true);
        CHECK_EQ(before + 1, rig_not_kept(0, rows[i].keep));
        CHECK_EQ(1, script.closed);
        CHECK(strstr(script.told, rows[i].want ? " done broken; close;" : " done; close;"));
    }
    CHECK_EQ(0, rig.pool.idle_count);
    rig_close();
}

STAGE_TEST(an_exchange_that_has_failed_is_only_ended)
{
    begin();
    script.send_head = WEIR_E_RESET;
    if (!get(CONNECTOR_ANY))
        return;
    CHECK_ERR(WEIR_E_RESET, send_all());
    CHECK_ERR(WEIR_E_RESET, session_send_piece(swap.session, &(struct http_piece){.last = true}));
    CHECK_ERR(WEIR_E_RESET, swap_recv());
    swap_release(true);
    check_told("open there; GET / -1; done broken; close;");
    rig_close();
}

/* A transport that can end an exchange in the middle keeps its connection. */
STAGE_TEST(a_cut_exchange_need_not_cost_the_connection)
{
    begin();
    script.keeps_broken = true;
    if (!get(CONNECTOR_ANY))
        return;
    CHECK_OK(send_all());
    swap_release(true);
    check_told("open there; GET / -1; done broken;");
    CHECK_EQ(1, rig.pool.idle_count);
    rig_close();
}

STAGE_TEST(one_that_dies_at_rest_is_closed)
{
    begin();
    if (!get(CONNECTOR_ANY))
        return;
    CHECK_OK(whole_exchange());
    swap_release(true);
    script.is_dead = true;
    weir_wire_ready(script.wire);
    CHECK_EQ(1, rig.pool.idle_count);
    STAGE_UNTIL(rig.pool.idle_count == 0);
    CHECK_EQ(1, rig_closed(0, CLOSE_PEER_CLOSED));

    script.is_dead = false;
    if (!get(CONNECTOR_ANY))
        return;
    CHECK_OK(whole_exchange());
    swap_release(true);
    script.is_dead = true; /* and nobody says so */
    if (!get(CONNECTOR_SURE))
        return;
    CHECK_EQ(SOURCE_NEW, swap.session->story.source);
    CHECK_EQ(2, rig_closed(0, CLOSE_PEER_CLOSED));
    script.is_dead = false;
    swap_release(true);
    rig_close();
}

CHECK_MAIN
