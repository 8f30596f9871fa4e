/* SPDX-License-Identifier: MIT */
/*
 * A day before a server that ends idle connections after 5 s, as Node.js does by itself, with
 * requests that come every 5 s +- 50 ms, GET and POST by turns: every other one would find the
 * server closing. What is learned from the first closes must keep the pool out of its way.
 */
#include "tests/sim/pool_rig.h"

#include "base/buf.h"
#include "base/check.h"
#include "base/slice.h"

#include "tests/check.h"

#include <stdlib.h>

#define IDLE_TIMEOUT weir_span_s(5)
/* Less of it where a sanitizer makes time dear: see meson.build. */
static unsigned hours = 24;

enum { CLOSES_TO_LEARN = 10 };

struct day {
    struct pool_rig rig;
    bool says_so; /* Keep-Alive: timeout=5 */
    struct census *census;
    unsigned requests, answered, stale, failed, reused;
    unsigned closes; /* by the server */
    bool learned, forgot;
    unsigned closes_first, requests_first; /* until it was known for the first time */
    unsigned stale_after, failed_after, reused_after;
    unsigned under_way, clients_alive;
    struct weir_time end;
};

static struct day day;

/* The server. */

/* Receives one request, whose body is as long as its head says; false: the connection ends. */
WEIR_SUSPENDS static bool await_request(struct server *server, struct stream *stream,
                                        struct buf *got)
{
    struct weir_time end = loop_deadline(server->loop, IDLE_TIMEOUT);
    for (;;) {
        struct iobuf *buf;
        enum weir_err err = stream_recv(stream, end, &buf);
        day.closes += err == WEIR_E_TIMEOUT;
        if (err)
            return false;
        buf_append(got, iobuf_slice(buf));
        iobuf_give(&server->loop->bufs, &buf);
        struct weir_slice head = buf_slice(got);
        const char *head_end = memmem(head.at, head.len, "\r\n\r\n", 4);
        if (!head_end)
            continue;
        const char *length = memmem(head.at, head.len, "Content-Length: ", 16);
        size_t body = length ? strtoull(length + 16, NULL, 10) : 0;
        if (head.len >= (size_t)(head_end - head.at) + 4 + body)
            return true;
    }
}

static void serve(struct server *server, struct stream **stream, unsigned number)
{
    struct weir_slice with =
        SLICE("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\n"
              "Keep-Alive: timeout=5\r\n\r\nok");
    struct weir_slice without = SLICE("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    struct buf got;
    (void)number;
    buf_init(&got);
    while (await_request(server, *stream, &got)) {
        buf_clear(&got);
        if (stream_send(*stream, day.says_so ? &with : &without, 1, WEIR_NEVER, NULL) != WEIR_OK)
            break;
    }
    buf_fini(&got);
}

/* The client. */

struct day_request {
    struct rig_part *part;
    bool is_post;
    struct http_request request;
};

static void write_request(struct day_request *self)
{
    struct http_request *request = &self->request;
    *request = (struct http_request){.minor = 1, .path = SLICE("/")};
    request->method_text = self->is_post ? SLICE("POST") : SLICE("GET");
    request->method = self->is_post ? METHOD_POST : METHOD_GET;
    fields_init(&request->fields);
    must(fields_add(&request->fields, SLICE("Host"), SLICE("day")));
    if (self->is_post)
        must(fields_add(&request->fields, SLICE("Content-Length"), SLICE("3")));
}

WEIR_SUSPENDS static enum weir_err send_request(struct day_request *self, struct session *session)
{
    struct http_framing framing = {.body = self->is_post ? BODY_LENGTH : BODY_NONE};
    struct http_piece body = {.count = 1, .bytes = 3, .last = true};
    body.slices[0] = SLICE("abc");
    framing.length = self->is_post ? 3 : 0;
    TRY(session_send_head(session, &self->request, &framing));
    return self->is_post ? session_send_piece(session, &body) : session_flush(session);
}

WEIR_SUSPENDS static enum weir_err exchange(struct day_request *self, struct session *session)
{
    struct http_response response;
    struct http_framing framing;
    struct http_piece piece;
    size_t bytes = 0;
    TRY(send_request(self, session));
    TRY(session_recv_head(session, &response, &framing));
    do {
        TRY(session_recv_piece(session, WEIR_NEVER, &piece));
        bytes += piece.bytes;
    } while (!piece.last);
    CHECK(response.status == 200 && bytes == 2);
    return WEIR_OK;
}

/* As serve.c and docs/reuse.md: a GET goes again on a fresh connection, a POST does not. */
WEIR_SUSPENDS static enum weir_err attempt(struct day_request *self, enum connector_want want,
                                           bool *ret_stale)
{
    struct pool *pool = &self->part->pool;
    struct session *session = NULL;
    TRY(connector_get(pool, self->part->peer, want, WEIR_NEVER, &session));
    bool reused = session->story.source != SOURCE_NEW;
    day.reused += reused;
    day.reused_after += reused && day.learned;
    enum weir_err err = exchange(self, session);
    *ret_stale = reused && (err == WEIR_E_EOF || err == WEIR_E_RESET);
    if (*ret_stale)
        pool_close_idle_since(pool, self->part->peer, session->released_before);
    session_release(&session, true);
    return err;
}

static void note_what_is_known(void)
{
    bool known = !weir_span_is_forever(census_idle_timeout(day.census));
    day.forgot |= day.learned && !known;
    if (known && !day.learned) {
        day.learned = true;
        day.closes_first = day.closes;
        day.requests_first = day.requests;
    }
}

static void run_request(void *argument)
{
    struct day_request *self = argument;
    bool stale = false;
    note_what_is_known();
    write_request(self);
    day.requests++;
    enum weir_err err = attempt(self, self->is_post ? CONNECTOR_SURE : CONNECTOR_ANY, &stale);
    day.stale += stale;
    day.stale_after += stale && day.learned;
    if (stale && !self->is_post)
        err = attempt(self, CONNECTOR_FRESH, &stale);
    day.answered += !err;
    day.failed += err != WEIR_OK;
    day.failed_after += err && day.learned;
    day.under_way--;
    free(self);
}

static void make_request(struct pool_rig *rig, bool is_post)
{
    struct day_request *request = calloc(1, sizeof *request);
    must(request);
    day.under_way++;
    request->part = &rig->parts[rand_below(&rig->world.rand, rig->part_count)];
    request->is_post = is_post;
    must(co_spawn(&request->part->loop.sched, NULL, "request", run_request, request, NULL) ==
         WEIR_OK);
}

static void run_client(void *argument)
{
    struct pool_rig *rig = argument;
    struct sim_world *world = &rig->world;
    must(co_sleep(sim_span(world, weir_span_ns(1), weir_span_ms(5000))) == WEIR_OK);
    for (bool is_post = false; weir_time_before(world->now, day.end); is_post = !is_post) {
        make_request(rig, is_post);
        must(co_sleep(sim_span(world, weir_span_ms(4950), weir_span_ms(5050))) == WEIR_OK);
    }
    day.clients_alive--;
}

static void live_a_day(struct pool_rig *rig)
{
    struct loop *loop = &rig->parts[0].loop;
    struct pool_key *key = pool_key_of(&rig->parts[0].pool, rig->parts[0].peer);
    unsigned clients = day.clients_alive;
    must(key);
    pool_key_hold(key);
    day.census = key->census;
    day.end = loop_deadline(loop, weir_span_s(hours * 3600));
    for (unsigned i = 0; i < clients; i++)
        must(co_spawn(&loop->sched, NULL, "client", run_client, rig, NULL) == WEIR_OK);
    while (day.clients_alive + day.under_way > 0)
        rig_sleep_ms(1000);
    note_what_is_known();
    int64_t learned_ms = weir_span_to_ms(census_idle_timeout(key->census));
    CHECK(!day.learned || (learned_ms >= 4980 && learned_ms <= 5020));
    pool_key_let_go(&rig->parts[0].pool, key);
}

static void play_day(unsigned clients, unsigned part_count, bool says_so, bool learn)
{
    memset(&day, 0, sizeof day);
    day.says_so = says_so;
    day.clients_alive = clients;
    rig_open(&day.rig, clients, part_count, 8, serve);
    day.rig.world.faults.latency_min = weir_span_ns(200000);
    day.rig.world.faults.latency_max = weir_span_ns(1000000);
    day.rig.options.limits.learn = learn;
    rig_run(&day.rig, live_a_day);
    printf("# %u client(s), %u worker(s)%s%s: %u requests, %u on reused connections, %u stale, %u "
           "failed; known "
           "after %u closes and %u requests, from then on %u reused, %u stale, %u failed; the "
           "server closed %u\n",
           clients, part_count, says_so ? ", told" : "", learn ? "" : ", without learning",
           day.requests, day.reused, day.stale, day.failed, day.closes_first, day.requests_first,
           day.reused_after, day.stale_after, day.failed_after, day.closes);
    CHECK(day.requests > 700 * hours * clients && day.answered + day.failed == day.requests);
}

static void expect_no_stale_hit(bool says_so)
{
    for (unsigned parts = 1; parts <= RIG_PARTS_MAX; parts += RIG_PARTS_MAX - 1)
        for (unsigned clients = 1; clients <= 3; clients += 2) {
            play_day(clients, parts, says_so, true);
            CHECK_EQ(0, day.stale_after);
            CHECK_EQ(0, day.failed_after);
            /* With three it is seldom idle for so long: the server's closes are few, and what they
             * taught comes late and expires. */
            if (clients == 1 || hours == 24)
                CHECK(day.learned && day.closes_first <= CLOSES_TO_LEARN);
            if (clients == 1)
                CHECK(!day.forgot);
            else if (hours == 24)
                CHECK(day.reused_after > day.requests / 3);
        }
}

TEST(after_a_few_closes_no_request_meets_one)
{
    expect_no_stale_hit(false);
}

TEST(a_server_that_says_so_is_never_met_closing)
{
    expect_no_stale_hit(true);
    CHECK_EQ(0, day.stale + day.failed);
}

/* Else the two above would say nothing. */
TEST(without_learning_requests_meet_it)
{
    play_day(1, 1, false, false);
    CHECK(day.stale > 2 * hours && day.failed > hours);
    CHECK(day.failed < day.stale); /* a GET is asked again */
}

int main(int argc, char **argv)
{
    if (argc > 1)
        hours = (unsigned)strtoul(argv[1], NULL, 10);
    must(hours >= 2 && hours <= 24);
    return check_run_all(1, argv);
}
