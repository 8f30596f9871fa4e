/* SPDX-License-Identifier: MIT */
#ifndef TESTS_UNIT_CLIENT_PLAY_H
#define TESTS_UNIT_CLIENT_PLAY_H

/* A test of the client door: its body runs in a coroutine, with a connector and an origin. */

#include "base/log.h"
#include "client/connector.h"
#include "client/loop.h"
#include "tests/check.h"
#include "tests/unit/client/origin.h"
#include <weir/weir.h>

static struct origin origin;
static struct weir_connector *connector;
static struct weir_peer *peer;

#define PLAY_DEADLINE weir_in(weir_span_s(10))

static inline struct weir_peer *play_peer(const char *url)
{
    struct weir_peer_options options;
    struct weir_peer *made = NULL;
    char why[WEIR_WHY_BYTES] = "";
    weir_peer_options_init(&options);
    options.url = url;
    if (!CHECK_OK(weir_peer_new(&options, why, &made)))
        printf("# %s\n", why);
    return made;
}

static inline struct weir_request *play_request(const char *method, const char *path)
{
    struct weir_request *request = NULL;
    CHECK_OK(weir_request_new(method, "example.com", path, &request));
    return request;
}

/* One exchange in one call, whose answer may be NULL. */
WEIR_SUSPENDS static inline struct weir_reply *play_fetch(const char *method, const char *path)
{
    struct weir_request *request = play_request(method, path);
    struct weir_reply *reply = NULL;
    CHECK_OK(weir_fetch(connector, peer, request, (struct weir_slice){NULL, 0}, 1 << 20,
                        PLAY_DEADLINE, &reply));
    weir_request_free(&request);
    return reply;
}

static inline void play_main(void *body)
{
    CHECK_OK(weir_connector_new(weir_loop_here(), NULL, &connector));
    ((WEIR_SUSPENDS void (*)(void))body)();
    weir_peer_free(&peer);
    weir_connector_free(&connector);
}

/* Over HTTP/1 on the given backend. */
static inline void play_over(enum weir_io io, WEIR_SUSPENDS void (*body)(void))
{
    struct weir_loop_options options;
    weir_loop_options_init(&options);
    options.io = io;
    log_set_level(LOG_ERROR);
    origin_open(&origin);
    peer = play_peer(origin_url(&origin, "http://127.0.0.1"));
    CHECK_OK(weir_run(&options, play_main, (void *)body));
    origin_close(&origin);
}

#define PLAY(test_name)                                                                            \
    WEIR_SUSPENDS static void test_name##_play(void);                                              \
    TEST(test_name)                                                                                \
    {                                                                                              \
        play_over(WEIR_IO_AUTO, test_name##_play);                                                 \
    }                                                                                              \
    WEIR_SUSPENDS static void test_name##_play(void)

#endif
