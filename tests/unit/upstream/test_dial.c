/* SPDX-License-Identifier: MIT */
#include "upstream/dial.h"

#include "tests/unit/http/raw.h"

#include <sys/stat.h>

static struct peer peer;

static void aim(const struct addr *addr, struct weir_span connection_timeout)
{
    struct peer_options options;
    peer_options_init(&options);
    options.addr = *addr;
    options.limits.connection_timeout = connection_timeout;
    peer_init(&peer, &options);
}

WEIR_SUSPENDS static enum weir_err dial_now(struct stream **ret_stream)
{
    struct dial_story story;
    return dial(&stage.streams, &peer, &peer.options.source, false, NULL, &story, ret_stream);
}

/* Bytes pass both ways. */
WEIR_SUSPENDS static void check_talks(struct stream *stream, int server)
{
    struct weir_slice hello = SLICE("hello");
    struct iobuf *buf = NULL;
    CHECK_OK(stream_send(stream, &hello, 1, in_ms(5000), NULL));
    CHECK_EQ(5, raw_read(server, "hello"));
    raw_send(server, "back");
    if (!CHECK_OK(stream_recv(stream, in_ms(5000), &buf)))
        return;
    CHECK_SLICE(iobuf_slice(buf), "back");
    iobuf_give(&stage.loop.bufs, &buf);
}

STAGE_TEST(a_tcp_server_is_reached)
{
    struct raw_listener listener;
    struct stream *stream = NULL;
    raw_listen(&listener);
    aim(&listener.addr, weir_span_s(5));
    if (!CHECK_OK(dial_now(&stream)))
        return;
    struct addr real;
    CHECK_OK(stream_peer(stream, &real));
    CHECK(addr_equal(&listener.addr, &real));
    int server = raw_accept(&listener);
    check_talks(stream, server);
    stream_close(&stream, false);
    CHECK_EQ(0, raw_await_end(server));
    raw_close(server);
    raw_close(listener.descriptor);
}

STAGE_TEST(a_unix_server_is_reached)
{
    char folder[] = "/tmp/weir-dial-XXXXXX";
    must(mkdtemp(folder));
    struct addr addr = {.local.sun_family = AF_UNIX, .len = sizeof addr.local};
    snprintf(addr.local.sun_path, sizeof addr.local.sun_path, "%s/s", folder);
    struct raw_listener listener = {.addr = addr};
    listener.descriptor = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    must(bind(listener.descriptor, &addr.any, addr.len) == 0);
    must(listen(listener.descriptor, 8) == 0);
    struct stream *stream = NULL;
    aim(&addr, weir_span_s(5));
    if (CHECK_OK(dial_now(&stream))) {
        int server = raw_accept(&listener);
        check_talks(stream, server);
        stream_close(&stream, false);
        raw_close(server);
    }
    raw_close(listener.descriptor);
    unlink(addr.local.sun_path);
    CHECK(dial_now(&stream) != WEIR_OK);
    CHECK(!stream);
    rmdir(folder);
}

STAGE_TEST(nobody_there_is_refused)
{
    int taken;
    struct addr addr = raw_refusing(&taken);
    struct stream *stream = NULL;
    aim(&addr, weir_span_s(5));
    CHECK_ERR(WEIR_E_REFUSED, dial_now(&stream));
    CHECK(!stream);
    raw_close(taken);
}

STAGE_TEST(it_comes_from_the_source_that_is_asked_for)
{
    struct raw_listener listener;
    struct stream *stream = NULL;
    struct addr from = {.len = sizeof from.v6};
    raw_listen(&listener);
    aim(&listener.addr, weir_span_s(5));
    CHECK_OK(addr_parse_ip(SLICE("127.0.0.2"), &peer.options.source));
    if (!CHECK_OK(dial_now(&stream)))
        return;
    int server = raw_accept(&listener);
    CHECK_EQ(0, getpeername(server, &from.any, &from.len));
    CHECK_EQ(htonl(0x7f000002), from.v4.sin_addr.s_addr);
    CHECK(from.v4.sin_port != 0);
    stream_close(&stream, false);
    raw_close(server);
    raw_close(listener.descriptor);
}

STAGE_TEST(a_source_that_is_not_ours_fails)
{
    struct raw_listener listener;
    struct stream *stream = NULL;
    raw_listen(&listener);
    aim(&listener.addr, weir_span_s(5));
    CHECK_OK(addr_parse_ip(SLICE("192.0.2.1"), &peer.options.source));
    CHECK(dial_now(&stream) != WEIR_OK);
    CHECK(!stream);
    CHECK(raw_nobody_waits(&listener));
    raw_close(listener.descriptor);
}

enum { FILLERS = 16 };

/* A listener whose queue is full: Linux lets a connect hang there. */
struct full {
    struct raw_listener listener;
    int fillers[FILLERS];
};

static struct full full;

/* The queue of `backlog` takes one more than that; then connects stay under way. */
static void fill(void)
{
    full.listener.descriptor = raw_bound();
    must(listen(full.listener.descriptor, 0) == 0);
    full.listener.addr = raw_addr_of(full.listener.descriptor);
    for (int i = 0; i < FILLERS; i++) {
        full.fillers[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        (void)!connect(full.fillers[i], &full.listener.addr.any, full.listener.addr.len);
    }
}

static void empty(void)
{
    for (int i = 0; i < FILLERS; i++)
        raw_close(full.fillers[i]);
    raw_close(full.listener.descriptor);
}

STAGE_TEST(connection_timeout_ends_it)
{
    struct stream *stream = NULL;
    fill();
    aim(&full.listener.addr, weir_span_ms(20));
    struct weir_time began = loop_now(&stage.loop);
    CHECK_ERR(WEIR_E_CONNECT_TIMEOUT, dial_now(&stream));
    CHECK(!stream);
    struct weir_span took = weir_time_between(began, loop_now(&stage.loop));
    CHECK(took.ns >= weir_span_ms(20).ns && took.ns < weir_span_s(4).ns);
    empty();
}

static enum weir_err canceled_with;
static bool canceled_over;

WEIR_SUSPENDS static void dial_until_canceled(void *unused)
{
    struct stream *stream = NULL;
    (void)unused;
    canceled_with = dial_now(&stream);
    CHECK(!stream);
    canceled_over = true;
}

STAGE_TEST(cancelling_ends_it)
{
    struct co *co;
    fill();
    aim(&full.listener.addr, weir_span_s(8));
    canceled_over = false;
    must(co_spawn(&stage.loop.sched, NULL, "dial", dial_until_canceled, NULL, &co) == WEIR_OK);
    stage_turns();
    CHECK(!canceled_over);
    co_cancel(co);
    STAGE_UNTIL(canceled_over);
    CHECK_ERR(WEIR_E_CANCELED, canceled_with);
    empty();
}

CHECK_MAIN
