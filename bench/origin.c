/* SPDX-License-Identifier: MIT */
/* The origin behind the proxies of the benchmark: `GET /N` is answered with exactly N bytes, head
   included. Why not nginx: its shortest response is twice 75 bytes, and it costs nearly as much a
   request as a proxy does, so on two processors the load generator and the origin would be the
   slower half, and the proxies would idle.

   `GET /served` tells how many requests, connections and TLS handshakes there have been, so that a
   proxy that fails to reuse shows. Handshakes are counted once a request came by them.

   One thread, epoll, no pipelining, no request bodies: a request is what ends with an empty line.

   Usage: origin --listen 127.0.0.1:9001 [--tls 127.0.0.1:9002 CERT.pem KEY.pem] */
#include "tcp.h"
#include "tls.h"

#include <errno.h>
#include <openssl/err.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    HEAD_BYTES = 4096,
    EVENTS_A_WAIT = 256,
    SIZES = 16, /* different sizes in one run */
    SMALLEST = 75,
    LARGEST = 64 * 1024 * 1024,
};

struct response {
    size_t size;
    char *bytes;
};

struct client {
    int fd;
    SSL *tls;         /* NULL: plain */
    bool greeted;     /* its handshake was counted */
    bool more_inside; /* OpenSSL has taken more off the socket than it gave out */
    size_t received;
    char head[HEAD_BYTES];
    const char *unsent; /* within a response; NULL when nothing waits for room */
    size_t unsent_bytes;
};

static struct response responses[SIZES];
static unsigned long long requests_served;
static unsigned long long connections_accepted;
static unsigned long long full_handshakes;
static unsigned long long resumed_handshakes;

/* A response of `size` bytes in all: the body is what the head leaves. */
static char *response_new(size_t size)
{
    static const char form[] = "HTTP/1.1 200 OK\r\n"
                               "Content-Type: text/plain\r\n"
                               "Content-Length: %zu\r\n\r\n";
    char *bytes = malloc(size + 1);
    if (bytes == NULL)
        tcp_die("memory");
    /* The head's length depends on the digits of the body's, so the second step settles it. (A size
       that no head and body add up to, like 165, comes out one byte off, and is refused.) */
    size_t head = (size_t)snprintf(NULL, 0, form, size);
    head = (size_t)snprintf(NULL, 0, form, size - head);
    size_t body = size - head;
    if ((size_t)snprintf(NULL, 0, form, body) != head) {
        free(bytes);
        return NULL;
    }
    snprintf(bytes, size + 1, form, body);
    memset(bytes + head, 'x', body);
    return bytes;
}

/* The response of that size, made on first use; NULL if there cannot be one. */
static const char *response_find(size_t size)
{
    if (size < SMALLEST || size > LARGEST)
        return NULL;
    for (size_t i = 0; i < SIZES; i++) {
        if (responses[i].bytes == NULL)
            responses[i] = (struct response){.size = size, .bytes = response_new(size)};
        if (responses[i].size == size)
            return responses[i].bytes;
    }
    return NULL;
}

static void client_close(struct client *client)
{
    SSL_free(client->tls);
    close(client->fd);
    free(client);
}

/* What recv() or send() would have returned, for what an SSL function did. */
static ssize_t as_socket(SSL *tls, int count)
{
    if (count > 0)
        return count;
    int error = SSL_get_error(tls, count);
    if (error == SSL_ERROR_ZERO_RETURN)
        return 0;
    errno = error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE ? EAGAIN : EPROTO;
    return -1;
}

static void count_handshake(struct client *client)
{
    client->greeted = true;
    if (SSL_session_reused(client->tls))
        resumed_handshakes++;
    else
        full_handshakes++;
}

static ssize_t wire_receive(struct client *client, char *bytes, size_t room)
{
    if (client->tls == NULL)
        return recv(client->fd, bytes, room, 0);
    ERR_clear_error();
    ssize_t count = as_socket(client->tls, SSL_read(client->tls, bytes, (int)room));
    client->more_inside = count > 0 && SSL_has_pending(client->tls) == 1;
    if (count > 0 && !client->greeted)
        count_handshake(client);
    return count;
}

static ssize_t wire_send(struct client *client, const char *bytes, size_t count)
{
    if (client->tls == NULL)
        return send(client->fd, bytes, count, MSG_NOSIGNAL);
    ERR_clear_error();
    return as_socket(client->tls, SSL_write(client->tls, bytes, (int)count));
}

/* As much as goes, record by record over TLS; the rest waits for room. False: the connection is
 * gone. */
static bool client_send(struct client *client, const char *bytes, size_t count)
{
    size_t done = 0;
    while (done < count) {
        ssize_t sent = wire_send(client, bytes + done, count - done);
        if (sent < 0 && errno == EAGAIN)
            break;
        if (sent < 0 && errno != EINTR)
            return false;
        done += sent < 0 ? 0 : (size_t)sent;
    }
    client->unsent = done < count ? bytes + done : NULL;
    client->unsent_bytes = count - done;
    return true;
}

static bool answer_served(struct client *client)
{
    static char answer[256];
    static char body[160];
    int length =
        snprintf(body, sizeof body, "requests %llu connections %llu full %llu resumed %llu\n",
                 requests_served, connections_accepted, full_handshakes, resumed_handshakes);
    int total = snprintf(answer, sizeof answer, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s",
                         length, body);
    return client_send(client, answer, (size_t)total);
}

/* Answers the request in `head`. False: close. */
static bool client_answer(struct client *client)
{
    static const char not_found[] = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";
    client->received = 0;
    if (strncmp(client->head, "GET /", 5) != 0)
        return false;
    if (strncmp(client->head, "GET /served ", 12) == 0)
        return answer_served(client);
    size_t size = strtoul(client->head + 5, NULL, 10);
    const char *bytes = response_find(size);
    requests_served++;
    if (bytes == NULL)
        return client_send(client, not_found, sizeof not_found - 1);
    return client_send(client, bytes, size);
}

/* Receives what is there and answers if it completes a request. False: close. */
static bool client_receive(struct client *client)
{
    size_t room = HEAD_BYTES - 1 - client->received;
    if (room == 0)
        return false;
    ssize_t count = wire_receive(client, client->head + client->received, room);
    if (count < 0)
        return errno == EAGAIN || errno == EINTR;
    if (count == 0)
        return false;
    client->received += (size_t)count;
    client->head[client->received] = '\0';
    if (client->received < 4 || strcmp(client->head + client->received - 4, "\r\n\r\n") != 0)
        return true;
    return client_answer(client);
}

static void client_ready(struct client *client, uint32_t events)
{
    bool open = (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) == 0;
    if (open && (events & EPOLLOUT) != 0 && client->unsent != NULL)
        open = client_send(client, client->unsent, client->unsent_bytes);
    if (open && (events & EPOLLIN) != 0) {
        do {
            open = client_receive(client);
        } while (open && client->more_inside);
    }
    if (!open)
        client_close(client);
}

static void accept_all(int epoll, int listener, SSL_CTX *context)
{
    for (int fd = tcp_accept(listener); fd >= 0; fd = tcp_accept(listener)) {
        struct client *client = calloc(1, sizeof *client);
        if (client == NULL)
            tcp_die("memory");
        client->fd = fd;
        if (context != NULL) {
            client->tls = SSL_new(context);
            if (client->tls == NULL || SSL_set_fd(client->tls, fd) != 1)
                tls_die("TLS");
            SSL_set_accept_state(client->tls);
        }
        connections_accepted++;
        tcp_watch(epoll, fd, client);
    }
}

static void usage(const char *program)
{
    fprintf(stderr, "usage: %s --listen ADDRESS:PORT [--tls ADDRESS:PORT CERT KEY]\n", program);
    exit(2);
}

int main(int argc, char **argv)
{
    bool with_tls = argc == 7 && strcmp(argv[3], "--tls") == 0;
    if ((argc != 3 && !with_tls) || strcmp(argv[1], "--listen") != 0)
        usage(argv[0]);
    struct sockaddr_in listen_at = tcp_address(argv[2]);
    int listener = tcp_listen(&listen_at);
    int epoll = tcp_epoll(listener);
    SSL_CTX *context = NULL;
    int tls_listener = -1;
    if (with_tls) {
        /* Writing to a connection that the proxy has closed is no reason to end. */
        signal(SIGPIPE, SIG_IGN);
        context = tls_server(argv[5], argv[6]);
        struct sockaddr_in tls_at = tcp_address(argv[4]);
        tls_listener = tcp_listen(&tls_at);
        tcp_watch_listener(epoll, tls_listener);
    }
    static struct epoll_event events[EVENTS_A_WAIT];
    for (;;) {
        int count = epoll_wait(epoll, events, EVENTS_A_WAIT, -1);
        if (count < 0 && errno != EINTR)
            tcp_die("epoll_wait");
        for (int i = 0; i < count; i++) {
            if (events[i].data.ptr != NULL) {
                client_ready(events[i].data.ptr, events[i].events);
                continue;
            }
            accept_all(epoll, listener, NULL);
            if (with_tls)
                accept_all(epoll, tls_listener, context);
        }
    }
}
