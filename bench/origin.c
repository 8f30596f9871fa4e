/* SPDX-License-Identifier: MIT */
/* The origin behind the proxies of the benchmark: `GET /N` is answered with exactly N bytes, head
   included. Why not nginx: its shortest response is twice 75 bytes, and it costs nearly as much a
   request as a proxy does, so on two processors the load generator and the origin would be the
   slower half, and the proxies would idle.

   Over HTTP/2 (`--h2`, with prior knowledge) the body and the fields are the same.

   `GET /served` tells how many requests, connections and TLS handshakes there have been, so that a
   proxy that fails to reuse shows, and how many connections had requests since it was asked last.
   Handshakes are counted once a request came by them.

   One thread, epoll. HTTP/1 without pipelining and without request bodies: a request is what ends
   with an empty line.

   Usage: origin --listen 127.0.0.1:9001 [--h2 127.0.0.1:9003]
                 [--tls 127.0.0.1:9002 CERT.pem KEY.pem] */
#include "h2.h"
#include "responses.h"
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
};

/* Where clients come in, and what they speak there. */
struct door {
    int listener; /* -1: closed */
    SSL_CTX *context;
    bool speaks_h2;
};

enum { PLAIN, H2, TLS, DOORS };

static struct door doors[DOORS] = {
    [PLAIN] = {.listener = -1},
    [H2] = {.listener = -1, .speaks_h2 = true},
    [TLS] = {.listener = -1},
};

struct client {
    int fd;
    struct h2 *h2;              /* NULL: it speaks HTTP/1 */
    SSL *tls;                   /* NULL: plain */
    bool greeted;               /* its handshake was counted */
    unsigned long long used_in; /* which look its last request was in; see count_request() */
    bool more_inside;           /* OpenSSL has taken more off the socket than it gave out */
    size_t received;
    char head[HEAD_BYTES];
    const char *unsent; /* within a response; NULL when nothing waits for room */
    size_t unsent_bytes;
};

static unsigned long long requests_served;
static unsigned long long connections_accepted;
static unsigned long long connections_used; /* since the last look */
static unsigned long long looks = 1;        /* no connection was used in look 0 */
static unsigned long long full_handshakes;
static unsigned long long resumed_handshakes;

static void client_close(struct client *client)
{
    h2_free(client->h2);
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

/* A look is what lies between two of `GET /served`; each counts the connections used in it. */
static void count_request(void *whom)
{
    struct client *client = whom;
    requests_served++;
    if (client->used_in != looks) {
        client->used_in = looks;
        connections_used++;
    }
}

static bool answer_served(struct client *client)
{
    static char answer[256];
    static char body[160];
    int length = snprintf(body, sizeof body,
                          "requests %llu connections %llu full %llu resumed %llu used %llu\n",
                          requests_served, connections_accepted, full_handshakes,
                          resumed_handshakes, connections_used);
    looks++;
    connections_used = 0;
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
    const struct response *response = response_find(strtoul(client->head + 5, NULL, 10));
    count_request(client);
    if (response == NULL)
        return client_send(client, not_found, sizeof not_found - 1);
    return client_send(client, response->bytes, response->size);
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
    if (open && client->h2 != NULL) {
        open = h2_ready(client->h2, events);
    } else {
        if (open && (events & EPOLLOUT) != 0 && client->unsent != NULL)
            open = client_send(client, client->unsent, client->unsent_bytes);
        if (open && (events & EPOLLIN) != 0) {
            do {
                open = client_receive(client);
            } while (open && client->more_inside);
        }
    }
    if (!open)
        client_close(client);
}

static void accept_all(int epoll, const struct door *door)
{
    if (door->listener < 0)
        return;
    for (int fd = tcp_accept(door->listener); fd >= 0; fd = tcp_accept(door->listener)) {
        struct client *client = calloc(1, sizeof *client);
        if (client == NULL)
            tcp_die("memory");
        client->fd = fd;
        if (door->speaks_h2)
            client->h2 = h2_new(fd, count_request, client);
        if (door->context != NULL) {
            client->tls = SSL_new(door->context);
            if (client->tls == NULL || SSL_set_fd(client->tls, fd) != 1)
                tls_die("TLS");
            SSL_set_accept_state(client->tls);
        }
        connections_accepted++;
        tcp_watch(epoll, fd, client);
    }
}

static _Noreturn void usage(const char *program)
{
    fprintf(stderr,
            "usage: %s --listen ADDRESS:PORT [--h2 ADDRESS:PORT] [--tls ADDRESS:PORT CERT KEY]\n",
            program);
    exit(2);
}

static int listen_at(const char *text)
{
    struct sockaddr_in address = tcp_address(text);
    return tcp_listen(&address);
}

static void open_doors(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        int left = argc - 1 - i;
        if (strcmp(argv[i], "--listen") == 0 && left >= 1) {
            doors[PLAIN].listener = listen_at(argv[++i]);
        } else if (strcmp(argv[i], "--h2") == 0 && left >= 1) {
            doors[H2].listener = listen_at(argv[++i]);
        } else if (strcmp(argv[i], "--tls") == 0 && left >= 3) {
            /* Writing to a connection that the proxy has closed is no reason to end. */
            signal(SIGPIPE, SIG_IGN);
            doors[TLS].context = tls_server(argv[i + 2], argv[i + 3]);
            doors[TLS].listener = listen_at(argv[i + 1]);
            i += 3;
        } else {
            usage(argv[0]);
        }
    }
    if (doors[PLAIN].listener < 0)
        usage(argv[0]);
}

int main(int argc, char **argv)
{
    open_doors(argc, argv);
    int epoll = tcp_epoll(doors[PLAIN].listener);
    for (int i = PLAIN + 1; i < DOORS; i++) {
        if (doors[i].listener >= 0)
            tcp_watch_listener(epoll, doors[i].listener);
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
            for (int door = 0; door < DOORS; door++)
                accept_all(epoll, &doors[door]);
        }
    }
}
