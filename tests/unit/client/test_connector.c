/* SPDX-License-Identifier: MIT */
#include "tests/unit/client/play.h"
#include "tests/unit/io/kernels.h"
#include "tests/unit/stream/certificates.h"

#include <fcntl.h>
#include <poll.h>

/* A fetch whose answer must be this. */
WEIR_SUSPENDS static void expect(const char *path, const char *want)
{
    struct weir_reply *reply = play_fetch("GET", path);
    if (reply)
        CHECK_SLICE(weir_reply_body(reply), want);
    weir_reply_free(&reply);
}

static struct weir_connection connection_of(struct weir_reply *reply)
{
    struct weir_connection connection = {.id = 0};
    if (reply)
        weir_reply_connection(reply, &connection);
    return connection;
}

/* --- Peers ----------------------------------------------------------------------------------- */

PLAY(peers_that_agree_share)
{
    struct weir_pool_counts counts;
    for (unsigned i = 0; i < 50; i++) {
        weir_peer_free(&peer);
        peer = play_peer(origin_url(&origin, "http://127.0.0.1"));
        expect("/a", "GET /a HTTP/1.1");
    }
    weir_connector_counts(connector, &counts);
    CHECK_EQ(1, counts.opened);
    CHECK(connector->peers->map.count < 8); /* those that were freed do not stay */
}

PLAY(a_peer_may_go_before_its_session)
{
    struct weir_session *session = NULL;
    CHECK_OK(weir_connector_get(connector, peer, WEIR_ANY, PLAY_DEADLINE, &session));
    weir_peer_free(&peer);
    for (unsigned i = 0; i < 3; i++) { /* those that come sweep */
        weir_peer_free(&peer);
        peer = play_peer(origin_url(&origin, "http://localhost"));
        expect("/a", "GET /a HTTP/1.1");
    }
    CHECK(weir_session_release(&session));
}

static void group_of(unsigned group)
{
    struct weir_peer_options options;
    weir_peer_free(&peer);
    weir_peer_options_init(&options);
    options.url = origin_url(&origin, "http://127.0.0.1");
    options.group_key = group;
    CHECK_OK(weir_peer_new(&options, NULL, &peer));
}

PLAY(groups_do_not_share)
{
    for (unsigned i = 0; i < 6; i++) {
        group_of(i % 3);
        expect("/a", "GET /a HTTP/1.1");
    }
    CHECK_EQ(3, atomic_load(&origin.accepted));
}

/* More than may rest: those that have rested longest are closed. */
PLAY(many_peers)
{
    enum { PEERS = 180, POOL_SIZE = 128 };
    struct weir_pool_counts counts;
    for (unsigned i = 0; i < PEERS; i++) {
        group_of(i + 1);
        expect("/a", "GET /a HTTP/1.1");
    }
    group_of(PEERS);
    expect("/a", "GET /a HTTP/1.1");
    weir_connector_counts(connector, &counts);
    CHECK_EQ(PEERS, counts.opened);
    CHECK_EQ(1, counts.reused);
    CHECK_EQ(POOL_SIZE, counts.idle);
    CHECK(connector->peers->map.count < 8);
}

PLAY(names_are_resolved)
{
    weir_peer_free(&peer);
    peer = play_peer(origin_url(&origin, "http://localhost"));
    for (unsigned i = 0; i < 3; i++)
        expect("/a", "GET /a HTTP/1.1");
    CHECK_EQ(1, atomic_load(&origin.accepted));
}

/* --- Sessions that are left ------------------------------------------------------------------ */

static void leave_a_session(void *argument)
{
    struct weir_session *session = NULL;
    struct weir_connector_options options;
    struct weir_connector *own = NULL;
    (void)argument;
    weir_connector_options_init(&options);
    options.name = "mine";
    CHECK_OK(weir_connector_new(weir_loop_here(), &options, &own));
    CHECK_OK(weir_connector_get(own, peer, WEIR_ANY, PLAY_DEADLINE, &session));
    weir_connector_free(&own);
    CHECK(!own);
    weir_connector_free(&own);
}

TEST(a_session_that_is_left_is_told_of)
{
    char told[512] = "", want[256];
    int pipe_ends[2];
    origin_open(&origin);
    peer = play_peer(origin_url(&origin, "http://127.0.0.1"));
    must(pipe(pipe_ends) == 0);
    log_set_level(LOG_WARN);
    log_set_descriptor(pipe_ends[1]);
    CHECK_OK(weir_run(NULL, leave_a_session, NULL));
    log_set_descriptor(2);
    CHECK(read(pipe_ends[0], told, sizeof told - 1) > 0);
    (void)snprintf(want, sizeof want,
                   "mine: a session with %s was never released (got in the program): closed",
                   weir_peer_url(peer));
    CHECK(strstr(told, want));
    weir_peer_free(&peer);
    origin_close(&origin);
    close(pipe_ends[0]);
    close(pipe_ends[1]);
}

static void get_and_fail(void *argument)
{
    struct weir_connector *own = NULL;
    struct weir_session *session = NULL;
    enum weir_err *err = argument;
    CHECK_OK(weir_connector_new(weir_loop_here(), NULL, &own));
    *err = weir_connector_get(own, peer, WEIR_ANY, WEIR_NEVER, &session);
    weir_connector_free(&own); /* although it is canceled */
}

TEST(who_is_canceled_frees_its_connector)
{
    struct weir_loop *loop = NULL;
    enum weir_err err = WEIR_OK;
    int listener = socket(AF_INET, SOCK_STREAM, 0), filler = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof addr;
    /* a backlog that is full: connecting hangs */
    must(bind(listener, (struct sockaddr *)&addr, len) == 0 && listen(listener, 0) == 0);
    must(getsockname(listener, (struct sockaddr *)&addr, &len) == 0);
    must(connect(filler, (struct sockaddr *)&addr, len) == 0);
    origin.port = ntohs(addr.sin_port);
    peer = play_peer(origin_url(&origin, "http://127.0.0.1"));
    CHECK_OK(weir_loop_new(NULL, &loop));
    CHECK_OK(weir_spawn(loop, get_and_fail, &err));
    for (unsigned i = 0; i < 3; i++)
        weir_loop_step(loop);
    weir_loop_free(&loop);
    CHECK_ERR(WEIR_E_CANCELED, err);
    weir_peer_free(&peer);
    close(filler);
    close(listener);
}

/* --- Who asks while it is freed --------------------------------------------------------------- */

static struct weir_connector *freed;

static void ask(void *argument)
{
    struct weir_session *session = NULL;
    enum weir_err *err = argument;
    *err = weir_connector_get(freed, peer, WEIR_ANY, PLAY_DEADLINE, &session);
    weir_session_release(&session);
}

/* With `argument`, a session is there already. */
static void free_under_one(void *argument)
{
    struct weir_session *session = NULL;
    struct weir_scope *scope = NULL;
    enum weir_err err = WEIR_OK;
    CHECK_OK(weir_connector_new(weir_loop_here(), NULL, &freed));
    if (argument)
        CHECK_OK(weir_connector_get(freed, peer, WEIR_ANY, PLAY_DEADLINE, &session));
    CHECK_OK(weir_scope_open(&scope));
    CHECK_OK(weir_scope_spawn(scope, ask, &err));
    CHECK_OK(weir_yield());
    weir_connector_free(&freed);
    CHECK_OK(weir_scope_join(&scope));
    CHECK(err == WEIR_E_CANCELED || err == WEIR_E_DNS_ERROR || err == WEIR_E_DNS_TIMEOUT);
}

static void free_under(const char *url, unsigned max_connections)
{
    struct weir_peer_options options;
    weir_peer_options_init(&options);
    options.url = url;
    options.max_connections = max_connections;
    log_set_level(LOG_ERROR);
    CHECK_OK(weir_peer_new(&options, NULL, &peer));
    CHECK_OK(weir_run(NULL, free_under_one, max_connections ? &options : NULL));
    weir_peer_free(&peer);
}

TEST(who_asks_while_it_is_freed_gets_nothing)
{
    origin_open(&origin);
    free_under("http://name.invalid", 0);                   /* waits for a name, */
    free_under(origin_url(&origin, "http://127.0.0.1"), 0); /* for a dial, */
    free_under(origin_url(&origin, "http://127.0.0.1"), 1); /* for another's connection */
    origin_close(&origin);
}

static void fetch_big(void *argument)
{
    struct weir_request *request = play_request("GET", "/big");
    struct weir_reply *reply = NULL;
    enum weir_err *err = argument;
    *err = weir_fetch(freed, peer, request, (struct weir_slice){NULL, 0}, BIG_BYTES, PLAY_DEADLINE,
                      &reply);
    CHECK_EQ(BIG_BYTES, reply ? weir_reply_body(reply).len : 0);
    weir_reply_free(&reply);
    weir_request_free(&request);
}

PLAY(who_fetches_while_it_is_freed_goes_on)
{
    struct weir_pool_counts counts;
    struct weir_scope *scope = NULL;
    enum weir_err err = WEIR_E_IO;
    CHECK_OK(weir_connector_new(weir_loop_here(), NULL, &freed));
    CHECK_OK(weir_scope_open(&scope));
    CHECK_OK(weir_scope_spawn(scope, fetch_big, &err));
    do {
        CHECK_OK(weir_yield());
        weir_connector_counts(freed, &counts);
    } while (counts.in_use == 0);
    CHECK_OK(weir_yield());
    weir_connector_free(&freed);
    CHECK_OK(weir_scope_join(&scope));
    CHECK_OK(err);
}

/* --- TLS and HTTP/2 -------------------------------------------------------------------------- */

static int pick_h2(SSL *ssl, const unsigned char **ret_name, unsigned char *ret_len,
                   const unsigned char *names, unsigned len, void *owner)
{
    (void)ssl;
    (void)owner;
    return SSL_select_next_proto((unsigned char **)ret_name, ret_len, (const unsigned char *)"\2h2",
                                 3, names, len) == OPENSSL_NPN_NEGOTIATED
               ? SSL_TLSEXT_ERR_OK
               : SSL_TLSEXT_ERR_ALERT_FATAL;
}

static SSL_CTX *server_tls(bool http2)
{
    SSL_CTX *tls = SSL_CTX_new(TLS_server_method());
    must(SSL_CTX_use_certificate_chain_file(tls, certs[CERT_WWW].cert_file) == 1);
    must(SSL_CTX_use_PrivateKey_file(tls, certs[CERT_WWW].key_file, SSL_FILETYPE_PEM) == 1);
    if (http2)
        SSL_CTX_set_alpn_select_cb(tls, pick_h2, NULL);
    return tls;
}

static struct weir_peer *tls_peer(enum weir_protocol protocol, const char *sni, bool trusts)
{
    struct weir_peer_options options;
    struct weir_peer *made = NULL;
    weir_peer_options_init(&options);
    options.url = origin_url(&origin, "https://127.0.0.1");
    options.protocol = protocol;
    options.sni = sni;
    options.ca_file = certs[trusts ? CERT_CA : CERT_OTHER_CA].cert_file;
    CHECK_OK(weir_peer_new(&options, NULL, &made));
    return made;
}

WEIR_SUSPENDS static enum weir_err try_fetch(void)
{
    struct weir_request *request = play_request("GET", "/");
    struct weir_reply *reply = NULL;
    enum weir_err err = weir_fetch(connector, peer, request, (struct weir_slice){NULL, 0}, 100,
                                   PLAY_DEADLINE, &reply);
    weir_reply_free(&reply);
    weir_request_free(&request);
    return err;
}

WEIR_SUSPENDS static void play_tls(void)
{
    for (unsigned i = 0; i < 3; i++)
        expect("/a", "GET /a HTTP/1.1");
    CHECK_EQ(1, atomic_load(&origin.accepted));
    weir_peer_free(&peer);
    peer = tls_peer(WEIR_HTTP1, "shop.example.com", true);
    CHECK_ERR(WEIR_E_TLS_CERTIFICATE, try_fetch());
    weir_peer_free(&peer);
    peer = tls_peer(WEIR_HTTP1, "www.example.com", false);
    CHECK_ERR(WEIR_E_TLS_CERTIFICATE, try_fetch());
    weir_peer_free(&peer);
    peer = tls_peer(WEIR_HTTP2, "www.example.com", true);
    CHECK_ERR(WEIR_E_NO_HTTP2, try_fetch());
}

/* Many at once are streams of one connection. */
static unsigned answered;

static void fetch_one(void *argument)
{
    struct weir_reply *reply = play_fetch("GET", "/");
    (void)argument;
    if (reply)
        CHECK_SLICE(weir_reply_body(reply), "two");
    CHECK(connection_of(reply).http2);
    answered += reply != NULL;
    weir_reply_free(&reply);
}

WEIR_SUSPENDS static void play_h2(void)
{
    struct weir_scope *scope = NULL;
    answered = 0;
    fetch_one(NULL);
    CHECK_OK(weir_scope_open(&scope));
    for (unsigned i = 0; i < 20; i++)
        CHECK_OK(weir_scope_spawn(scope, fetch_one, NULL));
    CHECK_OK(weir_scope_join(&scope));
    CHECK_EQ(21, answered);
    CHECK_EQ(1, atomic_load(&origin.accepted));
    struct weir_request *request = play_request("POST", "/");
    struct weir_reply *reply = NULL;
    CHECK_OK(weir_fetch(connector, peer, request, SLICE("body"), 100, PLAY_DEADLINE, &reply));
    weir_reply_free(&reply);
    weir_request_free(&request);
}

static void play_against(SSL_CTX *tls, bool http2, enum weir_protocol protocol,
                         WEIR_SUSPENDS void (*body)(void))
{
    log_set_level(LOG_ERROR);
    origin_open_as(&origin, tls, http2);
    peer = tls ? tls_peer(protocol, "www.example.com", true)
               : play_peer(origin_url(&origin, "h2c://127.0.0.1"));
    CHECK_OK(weir_run(NULL, play_main, (void *)body));
    origin_close(&origin);
    SSL_CTX_free(tls);
}

TEST(over_tls)
{
    play_against(server_tls(false), false, WEIR_HTTP1, play_tls);
}

TEST(over_http2_and_tls)
{
    play_against(server_tls(true), true, WEIR_HTTP2, play_h2);
}

TEST(over_http2_if_the_server_picks_it)
{
    play_against(server_tls(true), true, WEIR_HTTP_AUTO, play_h2);
}

TEST(over_http2_without_tls)
{
    play_against(NULL, true, WEIR_HTTP2, play_h2);
}

/* --- Loops ----------------------------------------------------------------------------------- */

WEIR_SUSPENDS static void fetch_some(void)
{
    for (unsigned i = 0; i < 10; i++)
        expect("/a", "GET /a HTTP/1.1");
    expect("/stale", "GET /stale HTTP/1.1");
    expect("/a", "GET /a HTTP/1.1");
}

static void play_each(const struct backend_ops *ops)
{
    play_over(ops == &uring_ops ? WEIR_IO_URING : WEIR_IO_EPOLL, fetch_some);
}
TEST_EACH_KERNEL(fetches, play_each)

/* As a program with a loop of its own does. */
static void drive_from_outside(const struct backend_ops *ops)
{
    struct weir_loop_options options;
    struct weir_loop *loop = NULL;
    int descriptor = -1;
    weir_loop_options_init(&options);
    options.io = ops == &uring_ops ? WEIR_IO_URING : WEIR_IO_EPOLL;
    log_set_level(LOG_ERROR);
    origin_open(&origin);
    peer = play_peer(origin_url(&origin, "http://localhost"));
    CHECK_OK(weir_loop_new(&options, &loop));
    CHECK_OK(weir_loop_fd(loop, &descriptor));
    CHECK_OK(weir_spawn(loop, play_main, (void *)fetch_some));
    weir_loop_step(loop);
    while (weir_loop_is_busy(loop)) {
        struct pollfd poll_fd = {.fd = descriptor, .events = POLLIN};
        if (!CHECK_EQ(1, poll(&poll_fd, 1, 10000)))
            break;
        weir_loop_step(loop);
    }
    weir_loop_free(&loop);
    origin_close(&origin);
}
TEST_EACH_KERNEL(a_program_waits_for_the_descriptor, drive_from_outside)

/* A peer is all threads'; loops and connectors are each thread's own. */
enum { THREADS = 4, EACH = 50 };

/*
 * Loops end together: ThreadSanitizer does not see that one's ring may lie where another's lay.
 */
static pthread_barrier_t all_are_done;

static void fetch_many(void *argument)
{
    struct weir_connector *own = NULL;
    unsigned *count = argument;
    CHECK_OK(weir_connector_new(weir_loop_here(), NULL, &own));
    for (unsigned i = 0; i < EACH; i++) {
        struct weir_request *request = play_request("GET", "/chunked");
        struct weir_reply *reply = NULL;
        CHECK_OK(weir_fetch(own, peer, request, (struct weir_slice){NULL, 0}, 100, PLAY_DEADLINE,
                            &reply));
        *count += reply && weir_reply_body(reply).len == 11;
        weir_reply_free(&reply);
        weir_request_free(&request);
    }
    weir_connector_free(&own);
    pthread_barrier_wait(&all_are_done);
}

static void *run_thread(void *argument)
{
    CHECK_OK(weir_run(NULL, fetch_many, argument));
    return NULL;
}

TEST(each_thread_has_a_loop)
{
    pthread_t threads[THREADS];
    unsigned counts[THREADS] = {0};
    log_set_level(LOG_ERROR);
    origin_open(&origin);
    peer = play_peer(origin_url(&origin, "http://127.0.0.1"));
    must(pthread_barrier_init(&all_are_done, NULL, THREADS) == 0);
    for (unsigned i = 0; i < THREADS; i++)
        must(pthread_create(&threads[i], NULL, run_thread, &counts[i]) == 0);
    for (unsigned i = 0; i < THREADS; i++) {
        must(pthread_join(threads[i], NULL) == 0);
        CHECK_EQ(EACH, counts[i]);
    }
    must(pthread_barrier_destroy(&all_are_done) == 0);
    CHECK_EQ(THREADS, atomic_load(&origin.accepted));
    weir_peer_free(&peer);
    origin_close(&origin);
}

CHECK_MAIN
