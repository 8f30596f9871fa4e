/* SPDX-License-Identifier: MIT */
#ifndef TESTS_UNIT_CLIENT_ORIGIN_H
#define TESTS_UNIT_CLIENT_ORIGIN_H

/*
 * A server on loopback in threads of its own, which block: plain or over TLS, HTTP/1 or HTTP/2. The
 * path says what it does:
 *
 *   /echo      the body that came          /chunked   three chunks
 *   /big       BIG_BYTES bytes             /interim   100 and 103 before the answer
 *   /stale     an answer; the next request on the connection is not answered, but it is closed
 *   /silent    no answer                   /short     less than it says
 *   /close     an answer, "Connection: close"          /reset     closed, without an answer
 *   else       the method and the path
 */

#include "base/check.h"
#include "base/slice.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <nghttp2/nghttp2.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ORIGIN_CONNS = 400, ORIGIN_HEAD = 16384, BIG_BYTES = 300000 };

struct origin {
    int listener;
    uint16_t port;
    bool http2;
    SSL_CTX *tls; /* NULL: plain */
    pthread_t thread, conns[ORIGIN_CONNS];
    int descriptors[ORIGIN_CONNS];
    unsigned count;
    _Atomic unsigned accepted, requests;
    _Atomic bool stops;
};

struct origin_conn {
    struct origin *origin;
    int descriptor;
    SSL *ssl;
    char bytes[ORIGIN_HEAD]; /* received and not used */
    size_t len;
    bool stale;
};

static inline ssize_t origin_read(struct origin_conn *conn, char *at, size_t size)
{
    return conn->ssl ? SSL_read(conn->ssl, at, (int)size) : recv(conn->descriptor, at, size, 0);
}

static inline bool origin_write(struct origin_conn *conn, const char *at, size_t len)
{
    while (len > 0) {
        ssize_t count = conn->ssl ? SSL_write(conn->ssl, at, (int)len)
                                  : send(conn->descriptor, at, len, MSG_NOSIGNAL);
        if (count <= 0)
            return false;
        at += count;
        len -= (size_t)count;
    }
    return true;
}

static inline bool origin_text(struct origin_conn *conn, const char *text)
{
    return origin_write(conn, text, strlen(text));
}

/* --- HTTP/1 ---------------------------------------------------------------------------------- */

static inline bool origin_fill(struct origin_conn *conn)
{
    if (conn->len == sizeof conn->bytes)
        return false;
    ssize_t count = origin_read(conn, conn->bytes + conn->len, sizeof conn->bytes - conn->len);
    conn->len += count > 0 ? (size_t)count : 0;
    return count > 0;
}

/* A whole request in conn->bytes; how long head and body are. */
static inline bool origin_request(struct origin_conn *conn, size_t *ret_head, size_t *ret_body)
{
    char *end;
    while (!(end = memmem(conn->bytes, conn->len, "\r\n\r\n", 4)))
        if (!origin_fill(conn))
            return false;
    *ret_head = (size_t)(end + 4 - conn->bytes);
    char *length = memmem(conn->bytes, *ret_head, "Content-Length: ", 16);
    *ret_body = length ? strtoul(length + 16, NULL, 10) : 0;
    bool chunked = memmem(conn->bytes, *ret_head, "Encoding: chunked", 17) != NULL;
    for (;;) {
        char *body = conn->bytes + *ret_head;
        size_t have = conn->len - *ret_head;
        char *last = chunked ? memmem(body, have, "0\r\n\r\n", 5) : NULL;
        if (last)
            *ret_body = (size_t)(last + 5 - body);
        if (chunked ? last != NULL : have >= *ret_body)
            return true;
        if (!origin_fill(conn))
            return false;
    }
}

static inline bool origin_answer(struct origin_conn *conn, const char *fields, const char *body,
                                 size_t len)
{
    char head[256];
    int count = snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\n%sContent-Length: %zu\r\n\r\n",
                         fields, len);
    return origin_write(conn, head, (size_t)count) && origin_write(conn, body, len);
}

static inline bool origin_big(struct origin_conn *conn)
{
    static char bytes[BIG_BYTES];
    memset(bytes, 'b', sizeof bytes);
    return origin_answer(conn, "", bytes, sizeof bytes);
}

/* False: the connection is closed. */
static inline bool origin_act(struct origin_conn *conn, const char *path, size_t head, size_t body)
{
    if (strcmp(path, "/echo") == 0)
        return origin_answer(conn, "", conn->bytes + head, body);
    if (strcmp(path, "/big") == 0)
        return origin_big(conn);
    if (strcmp(path, "/chunked") == 0)
        return origin_text(conn, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                                 "3\r\none\r\n3\r\ntwo\r\n5\r\nthree\r\n0\r\n\r\n");
    if (strcmp(path, "/interim") == 0)
        origin_text(conn, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nA: b\r\n\r\n");
    if (strcmp(path, "/short") == 0)
        return origin_text(conn, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort") && false;
    if (strcmp(path, "/silent") == 0)
        return true;
    if (strcmp(path, "/reset") == 0)
        return false;
    conn->stale = strcmp(path, "/stale") == 0;
    bool closes = strcmp(path, "/close") == 0;
    char line[256];
    int count = snprintf(line, sizeof line, "%.*s", (int)strcspn(conn->bytes, "\r"), conn->bytes);
    return origin_answer(conn, closes ? "Connection: close\r\n" : "X-Origin: yes\r\n", line,
                         (size_t)count) &&
           !closes;
}

static inline void origin_serve_h1(struct origin_conn *conn)
{
    size_t head, body;
    while (origin_request(conn, &head, &body)) {
        char path[128] = "";
        if (conn->stale)
            return;
        atomic_fetch_add(&conn->origin->requests, 1);
        (void)sscanf(conn->bytes, "%*31s %127s", path);
        if (!origin_act(conn, path, head, body))
            return;
        conn->len -= head + body;
        memmove(conn->bytes, conn->bytes + head + body, conn->len);
    }
}

/* --- HTTP/2: each request is answered with "two" ---------------------------------------------- */

static inline ssize_t origin_h2_body(nghttp2_session *session, int32_t stream, uint8_t *at,
                                     size_t size, uint32_t *flags, nghttp2_data_source *source,
                                     void *owner)
{
    (void)session;
    (void)stream;
    (void)source;
    (void)owner;
    must(size >= 3);
    memcpy(at, "two", 3);
    *flags |= NGHTTP2_DATA_FLAG_EOF;
    return 3;
}

static inline int origin_h2_frame(nghttp2_session *session, const nghttp2_frame *frame, void *owner)
{
    struct origin_conn *conn = owner;
    nghttp2_nv status = {(uint8_t *)":status", (uint8_t *)"200", 7, 3, 0};
    nghttp2_data_provider body = {.read_callback = origin_h2_body};
    bool ends = frame->hd.flags & NGHTTP2_FLAG_END_STREAM;
    if ((frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA) || !ends)
        return 0;
    atomic_fetch_add(&conn->origin->requests, 1);
    return nghttp2_submit_response(session, frame->hd.stream_id, &status, 1, &body);
}

static inline bool origin_h2_flush(struct origin_conn *conn, nghttp2_session *session)
{
    const uint8_t *bytes;
    ssize_t count;
    while ((count = nghttp2_session_mem_send(session, &bytes)) > 0)
        if (!origin_write(conn, (const char *)bytes, (size_t)count))
            return false;
    return count == 0;
}

static inline void origin_serve_h2(struct origin_conn *conn)
{
    nghttp2_session_callbacks *callbacks;
    nghttp2_session *session;
    ssize_t count;
    must(nghttp2_session_callbacks_new(&callbacks) == 0);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, origin_h2_frame);
    must(nghttp2_session_server_new(&session, callbacks, conn) == 0);
    must(nghttp2_submit_settings(session, NGHTTP2_FLAG_NONE, NULL, 0) == 0);
    while (origin_h2_flush(conn, session) &&
           (count = origin_read(conn, conn->bytes, sizeof conn->bytes)) > 0)
        if (nghttp2_session_mem_recv(session, (uint8_t *)conn->bytes, (size_t)count) != count)
            break;
    nghttp2_session_del(session);
    nghttp2_session_callbacks_del(callbacks);
}

/* --- Connections ----------------------------------------------------------------------------- */

static inline bool origin_shake_hands(struct origin_conn *conn)
{
    if (!conn->origin->tls)
        return true;
    conn->ssl = SSL_new(conn->origin->tls);
    return SSL_set_fd(conn->ssl, conn->descriptor) == 1 && SSL_accept(conn->ssl) == 1;
}

static inline void *origin_serve(void *argument)
{
    struct origin_conn *conn = argument;
    sigset_t broken_pipe; /* which OpenSSL raises here; of weir's own threads it would be fatal */
    sigemptyset(&broken_pipe);
    sigaddset(&broken_pipe, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &broken_pipe, NULL);
    if (origin_shake_hands(conn)) {
        if (conn->origin->http2)
            origin_serve_h2(conn);
        else
            origin_serve_h1(conn);
    }
    if (conn->ssl)
        SSL_free(conn->ssl);
    shutdown(conn->descriptor, SHUT_RDWR);
    free(conn);
    return NULL;
}

static inline void *origin_accept(void *argument)
{
    struct origin *origin = argument;
    int one = 1, descriptor;
    while ((descriptor = accept(origin->listener, NULL, NULL)) >= 0 && !origin->stops) {
        struct origin_conn *conn = calloc(1, sizeof *conn);
        must(conn && origin->count < ORIGIN_CONNS);
        setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        conn->origin = origin;
        conn->descriptor = descriptor;
        origin->descriptors[origin->count] = descriptor;
        atomic_fetch_add(&origin->accepted, 1); /* before anybody has an answer */
        must(pthread_create(&origin->conns[origin->count++], NULL, origin_serve, conn) == 0);
    }
    if (descriptor >= 0)
        close(descriptor);
    return NULL;
}

static inline void origin_open_as(struct origin *origin, SSL_CTX *tls, bool http2)
{
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof addr;
    *origin = (struct origin){.tls = tls, .http2 = http2};
    origin->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    must(bind(origin->listener, (struct sockaddr *)&addr, sizeof addr) == 0);
    must(listen(origin->listener, ORIGIN_CONNS) == 0);
    must(getsockname(origin->listener, (struct sockaddr *)&addr, &len) == 0);
    origin->port = ntohs(addr.sin_port);
    must(pthread_create(&origin->thread, NULL, origin_accept, origin) == 0);
}

static inline void origin_open(struct origin *origin)
{
    origin_open_as(origin, NULL, false);
}

static inline void origin_close(struct origin *origin)
{
    origin->stops = true;
    shutdown(origin->listener, SHUT_RDWR);
    must(pthread_join(origin->thread, NULL) == 0);
    close(origin->listener);
    for (unsigned i = 0; i < origin->count; i++) {
        shutdown(origin->descriptors[i], SHUT_RDWR);
        must(pthread_join(origin->conns[i], NULL) == 0);
        close(origin->descriptors[i]);
    }
}

/* "SCHEME://HOST:port" of it. */
static inline const char *origin_url(const struct origin *origin, const char *begin)
{
    static _Thread_local char url[128];
    (void)snprintf(url, sizeof url, "%s:%u", begin, origin->port);
    return url;
}

#endif
