/* SPDX-License-Identifier: MIT */
/*
 * A byte transport of one's own: HTTP over TCP whose bytes are scrambled. What it shows: the
 * functions that a transport has; that a URL names it, "scrambled:127.0.0.1:9000"; and that weir's
 * pool keeps its connections like those of TCP.
 *
 *     byte_transport 127.0.0.1:8080
 *     curl http://127.0.0.1:8080/a http://127.0.0.1:8080/b     connection 1, requests 1 and 2
 *
 * The server that understands the scrambled bytes is in here too, written as coroutines that wait
 * for their sockets. It answers requests without a body, one after the other.
 */
#define _POSIX_C_SOURCE 200809L
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include <weir/weir.h>

enum { SCRAMBLE = 0x5a, ROOM = 4096 };

static void scramble(char *ret_bytes, const char *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++)
        ret_bytes[i] = (char)(bytes[i] ^ SCRAMBLE);
}

/* --- The transport ---------------------------------------------------------------------------- */

struct link {
    int sock;
    char room[ROOM]; /* what goes, scrambled */
};

static enum weir_err connect_to(int sock, const char *address, struct weir_time deadline)
{
    const char *colon = strrchr(address, ':');
    char host[INET_ADDRSTRLEN] = "";
    if (colon == NULL || (size_t)(colon - address) >= sizeof host)
        return WEIR_E_ADDRESS;
    memcpy(host, address, (size_t)(colon - address));
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)strtoul(colon + 1, NULL, 10))};
    if (inet_pton(AF_INET, host, &to.sin_addr) != 1)
        return WEIR_E_ADDRESS;
    if (connect(sock, (struct sockaddr *)&to, sizeof to) == 0)
        return WEIR_OK;
    if (errno != EINPROGRESS)
        return WEIR_E_REFUSED;
    enum weir_err err = weir_wait_fd(sock, WEIR_WRITABLE, deadline);
    if (err != WEIR_OK)
        return err == WEIR_E_TIMEOUT ? WEIR_E_CONNECT_TIMEOUT : err;
    int failure = 0;
    getsockopt(sock, SOL_SOCKET, SO_ERROR, &failure, &(socklen_t){sizeof failure});
    return failure == 0 ? WEIR_OK : WEIR_E_REFUSED;
}

static enum weir_err link_open(const struct weir_transport_to *to, void **ret_conn)
{
    struct link *link = malloc(sizeof *link);
    if (link == NULL)
        return WEIR_E_NO_MEMORY;
    link->sock = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (link->sock < 0) {
        free(link);
        return WEIR_E_NO_DESCRIPTORS;
    }
    fcntl(link->sock, F_SETFL, O_NONBLOCK);
    enum weir_err err = connect_to(link->sock, to->address, to->deadline);
    if (err != WEIR_OK) {
        close(link->sock);
        free(link);
        return err;
    }
    *ret_conn = link;
    return WEIR_OK;
}

/* Nothing that can be done now: a count of 0, and weir comes again when the socket is ready. */
static enum weir_err done_or_broken(ssize_t count, size_t *ret_count)
{
    if (count < 0 && errno != EAGAIN && errno != EINTR)
        return WEIR_E_RESET;
    *ret_count = count < 0 ? 0 : (size_t)count;
    return WEIR_OK;
}

static enum weir_err link_read(void *conn, char *bytes, size_t size, size_t *ret_count)
{
    struct link *link = conn;
    ssize_t count = recv(link->sock, bytes, size, 0);
    if (count == 0 && size > 0)
        return WEIR_E_EOF;
    if (count > 0)
        scramble(bytes, bytes, (size_t)count);
    return done_or_broken(count, ret_count);
}

static enum weir_err link_write(void *conn, const struct weir_slice *slices, unsigned count,
                                size_t *ret_count)
{
    struct link *link = conn;
    size_t filled = 0;
    for (unsigned i = 0; i < count && filled < ROOM; i++) {
        size_t fits = slices[i].len < ROOM - filled ? slices[i].len : ROOM - filled;
        scramble(link->room + filled, slices[i].at, fits);
        filled += fits;
    }
    return done_or_broken(send(link->sock, link->room, filled, MSG_NOSIGNAL), ret_count);
}

static int link_descriptor(void *conn)
{
    return ((struct link *)conn)->sock;
}

static void link_shut(void *conn)
{
    shutdown(((struct link *)conn)->sock, SHUT_WR);
}

static void link_close(void *conn, bool cut)
{
    struct link *link = conn;
    struct linger at_once = {.l_onoff = 1};
    if (cut) /* the other side sees a reset, not an end */
        setsockopt(link->sock, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    close(link->sock);
    free(link);
}

static const struct weir_byte_transport scrambled = {
    .name = "scrambled",
    .moves = true, /* a socket may be used by another thread, one at a time */
    .open = link_open,
    .read = link_read,
    .write = link_write,
    .descriptor = link_descriptor,
    .shut = link_shut,
    .close = link_close,
};

/* --- The server behind it --------------------------------------------------------------------- */

struct far_end {
    int listener;
    unsigned connections;
};

struct far_connection {
    int sock;
    unsigned number;
};

/* Answers what is a whole head; the bytes that came behind it stay. */
static bool answer(struct far_connection *connection, unsigned request, char *head, size_t *length)
{
    char *end = strstr(head, "\r\n\r\n");
    if (end == NULL)
        return false;
    char body[80], reply[256];
    int body_length =
        snprintf(body, sizeof body, "connection %u, request %u\n", connection->number, request);
    int count = snprintf(reply, sizeof reply,
                         "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
                         "Content-Length: %d\r\n\r\n%s",
                         body_length, body);
    scramble(reply, reply, (size_t)count);
    /* So little fits into a socket that is read. */
    if (send(connection->sock, reply, (size_t)count, MSG_NOSIGNAL) != count)
        shutdown(connection->sock, SHUT_RDWR);
    *length -= (size_t)(end + 4 - head);
    memmove(head, end + 4, *length + 1);
    return true;
}

static void serve_connection(void *argument)
{
    struct far_connection connection = *(struct far_connection *)argument;
    free(argument);
    char head[ROOM + 1];
    size_t length = 0;
    unsigned requests = 0;
    while (length < ROOM && weir_wait_fd(connection.sock, WEIR_READABLE, WEIR_NEVER) == WEIR_OK) {
        ssize_t count = recv(connection.sock, head + length, ROOM - length, 0);
        if (count < 0 && (errno == EAGAIN || errno == EINTR))
            continue;
        if (count <= 0)
            break;
        scramble(head + length, head + length, (size_t)count);
        length += (size_t)count;
        head[length] = '\0';
        while (answer(&connection, requests + 1, head, &length))
            requests++;
    }
    close(connection.sock);
}

/* Until it is canceled: the program ends. */
static void accept_connections(struct far_end *far_end, struct weir_scope *scope)
{
    while (weir_wait_fd(far_end->listener, WEIR_READABLE, WEIR_NEVER) == WEIR_OK) {
        int sock = accept(far_end->listener, NULL, NULL);
        if (sock < 0)
            continue;
        fcntl(sock, F_SETFL, O_NONBLOCK);
        struct far_connection *connection = malloc(sizeof *connection);
        if (connection == NULL) {
            close(sock);
            continue;
        }
        *connection = (struct far_connection){sock, ++far_end->connections};
        if (weir_scope_spawn(scope, serve_connection, connection) != WEIR_OK) {
            free(connection);
            close(sock);
        }
    }
}

static void started(struct weir_service *service, unsigned thread)
{
    struct weir_scope *scope;
    if (thread > 0 || weir_scope_open(&scope) != WEIR_OK)
        return;
    accept_connections(weir_service_owner(service), scope);
    weir_scope_cancel(scope);
    if (weir_scope_join(&scope) != WEIR_OK)
        return; /* canceled, as was to be expected */
}

/* A listener on a free port, which is written into the URL. */
static bool far_end_open(struct far_end *far_end, char *ret_url, size_t size)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof at;
    far_end->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (far_end->listener < 0 || bind(far_end->listener, (struct sockaddr *)&at, length) != 0 ||
        listen(far_end->listener, 64) != 0 ||
        getsockname(far_end->listener, (struct sockaddr *)&at, &length) != 0)
        return false;
    fcntl(far_end->listener, F_SETFL, O_NONBLOCK);
    snprintf(ret_url, size, "scrambled:127.0.0.1:%u", ntohs(at.sin_port));
    return true;
}

/* --- The proxy, with such a URL --------------------------------------------------------------- */

static const struct weir_proxy_ops phases = {.name = "byte_transport"};

static bool serve(const char *address, struct far_end *far_end, const char *url)
{
    struct weir_server_options server_options;
    weir_server_options_init(&server_options);
    server_options.handles_signals = true;
    struct weir_service_options options;
    weir_service_options_init(&options);
    options.proxy = &phases;
    options.owner = far_end;
    options.started = started;
    struct weir_listen_options listener;
    weir_listen_options_init(&listener);
    listener.address = address;
    struct weir_upstream_options upstream;
    weir_upstream_options_init(&upstream);
    upstream.urls = &url;
    upstream.count = 1;

    struct weir_server *server = NULL;
    struct weir_service *service;
    char why[WEIR_WHY_BYTES] = "it cannot start";
    bool served = !weir_transport_register(&scrambled) &&
                  !weir_server_new(&server_options, &server) &&
                  !weir_server_add(server, &options, why, &service) &&
                  !weir_service_listen(service, &listener, why) &&
                  !weir_service_add_upstream(service, &upstream, why) &&
                  printf("listening on %s\n", weir_service_address(service, 0)) > 0 &&
                  fflush(stdout) == 0 && !weir_server_run(server);
    if (!served)
        fprintf(stderr, "byte_transport: %s\n", why);
    weir_server_free(&server);
    return served;
}

int main(int count, char **words)
{
    struct far_end far_end = {0};
    char url[64];
    if (!far_end_open(&far_end, url, sizeof url)) {
        perror("byte_transport");
        return 1;
    }
    bool served = serve(count > 1 ? words[1] : "127.0.0.1:8080", &far_end, url);
    close(far_end.listener);
    return served ? 0 : 1;
}
