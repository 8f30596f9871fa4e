/* SPDX-License-Identifier: MIT */
/*
 * A session transport of one's own: exchanges that travel in a protocol which is not HTTP. What it
 * shows: the functions that such a transport has, and that weir's pool keeps, watches and closes
 * its connections.
 *
 *     session_transport 127.0.0.1:8080
 *     curl -d hello http://127.0.0.1:8080/a     connection 1, request 1: POST /a, 5 bytes
 *
 * The protocol: a message is a head, pieces of a body, an end; each is a frame of a letter (H, B,
 * E), three bytes of length, and so many bytes. A request's head is "METHOD PATH\n", a response's
 * "STATUS\n", then come lines of "name: value\n".
 *
 * The server that speaks it is in here too, and both sides send and receive frames alike.
 */
#define _POSIX_C_SOURCE 200809L
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <weir/weir.h>

enum { FRAME_HEAD = 4, FRAME_MAX = 8192 };

/* --- Frames, over a Unix socket --------------------------------------------------------------- */

/* Two descriptors of one socket, since sending and receiving may wait at the same time. */
struct line {
    int in, out;
    char sent[FRAME_HEAD + FRAME_MAX], received[FRAME_MAX + 1];
};

/* Takes the socket, also when it fails. */
static enum weir_err line_new(int sock, struct line **ret_line)
{
    struct line *line = malloc(sizeof *line);
    int out = line == NULL ? -1 : fcntl(sock, F_DUPFD_CLOEXEC, 0);
    if (out < 0) {
        free(line);
        close(sock);
        return line == NULL ? WEIR_E_NO_MEMORY : WEIR_E_NO_DESCRIPTORS;
    }
    fcntl(sock, F_SETFL, O_NONBLOCK);
    line->in = sock;
    line->out = out;
    *ret_line = line;
    return WEIR_OK;
}

static void line_free(struct line *line)
{
    close(line->in);
    close(line->out);
    free(line);
}

static enum weir_err send_all(int sock, const char *bytes, size_t count, struct weir_time deadline)
{
    while (count > 0) {
        ssize_t sent = send(sock, bytes, count, MSG_NOSIGNAL);
        if (sent < 0 && errno != EAGAIN && errno != EINTR)
            return WEIR_E_RESET;
        if (sent < 0) {
            enum weir_err err = weir_wait_fd(sock, WEIR_WRITABLE, deadline);
            if (err != WEIR_OK)
                return err == WEIR_E_TIMEOUT ? WEIR_E_UPSTREAM_WRITE_TIMEOUT : err;
            continue;
        }
        bytes += sent;
        count -= (size_t)sent;
    }
    return WEIR_OK;
}

static enum weir_err recv_all(int sock, char *bytes, size_t count, struct weir_time deadline)
{
    while (count > 0) {
        ssize_t received = recv(sock, bytes, count, 0);
        if (received == 0)
            return WEIR_E_EOF;
        if (received < 0 && errno != EAGAIN && errno != EINTR)
            return WEIR_E_RESET;
        if (received < 0) {
            enum weir_err err = weir_wait_fd(sock, WEIR_READABLE, deadline);
            if (err != WEIR_OK)
                return err == WEIR_E_TIMEOUT ? WEIR_E_RESPONSE_TIMEOUT : err;
            continue;
        }
        bytes += received;
        count -= (size_t)received;
    }
    return WEIR_OK;
}

/* What stands behind the room for a frame's head is sent as one. */
static enum weir_err send_frame(struct line *line, char kind, size_t length,
                                struct weir_time deadline)
{
    const char head[FRAME_HEAD] = {kind, (char)(length >> 16), (char)(length >> 8), (char)length};
    memcpy(line->sent, head, FRAME_HEAD);
    return send_all(line->out, line->sent, FRAME_HEAD + length, deadline);
}

static enum weir_err send_bytes(struct line *line, struct weir_slice bytes, bool last,
                                struct weir_time deadline)
{
    enum weir_err err = WEIR_OK;
    while (err == WEIR_OK && bytes.len > 0) {
        size_t length = bytes.len < FRAME_MAX ? bytes.len : FRAME_MAX;
        memcpy(line->sent + FRAME_HEAD, bytes.at, length);
        err = send_frame(line, 'B', length, deadline);
        bytes.at += length;
        bytes.len -= length;
    }
    return err == WEIR_OK && last ? send_frame(line, 'E', 0, deadline) : err;
}

/* The frame's bytes end in NUL as well, and are valid until the next one. */
static enum weir_err recv_frame(struct line *line, struct weir_time deadline, char *ret_kind,
                                struct weir_slice *ret_bytes)
{
    unsigned char head[FRAME_HEAD];
    enum weir_err err = recv_all(line->in, (char *)head, FRAME_HEAD, deadline);
    if (err != WEIR_OK)
        return err;
    size_t length = (size_t)head[1] << 16 | (size_t)head[2] << 8 | head[3];
    if (length > FRAME_MAX || strchr("HBE", head[0]) == NULL)
        return WEIR_E_RESPONSE_MALFORMED;
    err = recv_all(line->in, line->received, length, deadline);
    if (err != WEIR_OK)
        return err == WEIR_E_EOF ? WEIR_E_RESPONSE_INCOMPLETE : err;
    line->received[length] = '\0';
    *ret_kind = (char)head[0];
    *ret_bytes = WEIR_SLICE_INIT(line->received, length);
    return WEIR_OK;
}

/* Writes at `length` behind what is there; false when it does not fit. */
static bool append(struct line *line, size_t *length, struct weir_slice text, char end)
{
    if (text.len + 1 > FRAME_MAX - *length)
        return false;
    memcpy(line->sent + FRAME_HEAD + *length, text.at, text.len);
    *length += text.len;
    line->sent[FRAME_HEAD + (*length)++] = end;
    return true;
}

/* --- The transport ---------------------------------------------------------------------------- */

static enum weir_err framed_open(const struct weir_transport_to *to, void **ret_conn)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    if (strlen(to->address) >= sizeof at.sun_path)
        return WEIR_E_ADDRESS;
    memcpy(at.sun_path, to->address, strlen(to->address));
    int sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (sock < 0)
        return WEIR_E_NO_DESCRIPTORS;
    /* A Unix socket connects at once, or its listener's queue is full and it would block. */
    fcntl(sock, F_SETFL, O_NONBLOCK);
    if (connect(sock, (struct sockaddr *)&at, sizeof at) != 0) {
        close(sock);
        return WEIR_E_REFUSED;
    }
    struct line *line;
    enum weir_err err = line_new(sock, &line);
    if (err == WEIR_OK)
        *ret_conn = line;
    return err;
}

static enum weir_err framed_send_head(void *conn, struct weir_request *request, uint64_t body_bytes,
                                      struct weir_time deadline)
{
    struct line *line = conn;
    size_t length = 0;
    bool fits = append(line, &length, weir_request_method(request), ' ') &&
                append(line, &length, weir_request_path(request), '\n');
    struct weir_slice name, value;
    for (unsigned cursor = 0;
         fits && weir_fields_next(weir_request_fields(request), &cursor, &name, &value);)
        fits = append(line, &length, name, ':') && append(line, &length, value, '\n');
    if (!fits)
        return WEIR_E_REQUEST_HEAD_LENGTH;
    enum weir_err err = send_frame(line, 'H', length, deadline);
    if (err == WEIR_OK && body_bytes == WEIR_BODY_NONE)
        err = send_frame(line, 'E', 0, deadline);
    return err;
}

static enum weir_err framed_send_body(void *conn, struct weir_slice bytes, bool last,
                                      struct weir_time deadline)
{
    return send_bytes(conn, bytes, last, deadline);
}

/* "name: value" */
static enum weir_err add_field(struct weir_fields *fields, char *text)
{
    char *colon = strchr(text, ':');
    if (colon == NULL)
        return WEIR_E_RESPONSE_MALFORMED;
    *colon = '\0';
    enum weir_err err = weir_fields_add(fields, text, weir_str(colon + 1 + (colon[1] == ' ')));
    return err == WEIR_E_FIELD ? WEIR_E_RESPONSE_MALFORMED : err; /* the server's fault, not ours */
}

static enum weir_err framed_recv_head(void *conn, struct weir_response *response,
                                      uint64_t *ret_body_bytes, struct weir_time deadline)
{
    char kind;
    struct weir_slice head;
    enum weir_err err = recv_frame(conn, deadline, &kind, &head);
    if (err != WEIR_OK)
        return err;
    char *text = ((struct line *)conn)->received;
    if (kind != 'H' ||
        weir_response_set_status(response, (unsigned)strtoul(text, NULL, 10)) != WEIR_OK)
        return WEIR_E_RESPONSE_MALFORMED;
    for (char *end = strchr(text, '\n'); end != NULL && end[1] != '\0' && err == WEIR_OK;) {
        text = end + 1;
        end = strchr(text, '\n');
        if (end != NULL)
            *end = '\0';
        err = add_field(weir_response_fields(response), text);
    }
    *ret_body_bytes = WEIR_BODY_UNKNOWN; /* until an end comes */
    return err;
}

static enum weir_err framed_recv_body(void *conn, struct weir_piece *ret_piece,
                                      struct weir_time deadline)
{
    char kind;
    struct weir_slice bytes;
    enum weir_err err = recv_frame(conn, deadline, &kind, &bytes);
    if (err != WEIR_OK)
        return err == WEIR_E_EOF ? WEIR_E_RESPONSE_INCOMPLETE : err;
    if (kind == 'H')
        return WEIR_E_RESPONSE_MALFORMED;
    *ret_piece = (struct weir_piece){.bytes = bytes, .last = kind == 'E'};
    return WEIR_OK;
}

static bool framed_done(void *conn, bool whole)
{
    (void)conn;
    return whole;
}

/* Nobody asked for anything: whatever can be read, the end included, speaks against it. */
static bool framed_alive(void *conn)
{
    char byte;
    return recv(((struct line *)conn)->in, &byte, 1, MSG_PEEK) < 0 && errno == EAGAIN;
}

static int framed_descriptor(void *conn)
{
    return ((struct line *)conn)->in;
}

static void framed_close(void *conn)
{
    line_free(conn);
}

static const struct weir_session_transport framed = {
    .name = "framed",
    .open = framed_open,
    .send_head = framed_send_head,
    .send_body = framed_send_body,
    .recv_head = framed_recv_head,
    .recv_body = framed_recv_body,
    .done = framed_done,
    .alive = framed_alive,
    .descriptor = framed_descriptor,
    .close = framed_close,
};

/* --- The server behind it --------------------------------------------------------------------- */

struct far_end {
    int listener;
    unsigned connections;
    struct weir_scope *scope;
    struct sockaddr_un at;
};

struct far_connection {
    int sock;
    unsigned number;
};

/* One request: its first line, and how long its body was. */
static enum weir_err recv_request(struct line *line, char *ret_start, size_t size,
                                  size_t *ret_body_bytes)
{
    char kind;
    struct weir_slice bytes;
    size_t body_bytes = 0;
    enum weir_err err = recv_frame(line, WEIR_NEVER, &kind, &bytes);
    if (err != WEIR_OK)
        return err;
    snprintf(ret_start, size, "%.*s", (int)strcspn(bytes.at, "\n"), bytes.at);
    while ((err = recv_frame(line, WEIR_NEVER, &kind, &bytes)) == WEIR_OK && kind == 'B')
        body_bytes += bytes.len;
    *ret_body_bytes = body_bytes;
    return err;
}

static enum weir_err answer(struct line *line, const char *text)
{
    size_t length = 0;
    append(line, &length, weir_str("200\nContent-Type: text/plain"), '\n');
    enum weir_err err = send_frame(line, 'H', length, WEIR_NEVER);
    return err == WEIR_OK ? send_bytes(line, weir_str(text), true, WEIR_NEVER) : err;
}

static void serve_connection(void *argument)
{
    struct far_connection connection = *(struct far_connection *)argument;
    free(argument);
    struct line *line;
    if (line_new(connection.sock, &line) != WEIR_OK)
        return;
    char start[128], text[256];
    size_t body_bytes;
    enum weir_err err = WEIR_OK;
    for (unsigned request = 1; err == WEIR_OK; request++) {
        err = recv_request(line, start, sizeof start, &body_bytes);
        if (err != WEIR_OK)
            break;
        snprintf(text, sizeof text, "connection %u, request %u: %s, %zu bytes\n", connection.number,
                 request, start, body_bytes);
        err = answer(line, text);
    }
    line_free(line);
}

static void accept_one(struct far_end *far_end)
{
    int sock = accept(far_end->listener, NULL, NULL);
    struct far_connection *connection = sock < 0 ? NULL : malloc(sizeof *connection);
    if (connection == NULL) {
        if (sock >= 0)
            close(sock);
        return;
    }
    *connection = (struct far_connection){sock, ++far_end->connections};
    if (weir_scope_spawn(far_end->scope, serve_connection, connection) != WEIR_OK) {
        free(connection);
        close(sock);
    }
}

/* Until it is canceled: the program ends. */
static void started(struct weir_service *service, unsigned thread)
{
    struct far_end *far_end = weir_service_owner(service);
    if (thread > 0 || weir_scope_open(&far_end->scope) != WEIR_OK)
        return;
    while (weir_wait_fd(far_end->listener, WEIR_READABLE, WEIR_NEVER) == WEIR_OK)
        accept_one(far_end);
    weir_scope_cancel(far_end->scope);
    if (weir_scope_join(&far_end->scope) != WEIR_OK)
        return; /* canceled, as was to be expected */
}

static bool far_end_open(struct far_end *far_end)
{
    far_end->at.sun_family = AF_UNIX;
    snprintf(far_end->at.sun_path, sizeof far_end->at.sun_path, "/tmp/weir-framed-%ld",
             (long)getpid());
    far_end->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (far_end->listener < 0 ||
        bind(far_end->listener, (struct sockaddr *)&far_end->at, sizeof far_end->at) != 0 ||
        listen(far_end->listener, 64) != 0)
        return false;
    fcntl(far_end->listener, F_SETFL, O_NONBLOCK);
    return true;
}

/* --- The proxy, with such a URL --------------------------------------------------------------- */

static const struct weir_proxy_ops phases = {.name = "session_transport"};

static bool serve(const char *address, struct far_end *far_end)
{
    char url[sizeof far_end->at.sun_path + 16];
    snprintf(url, sizeof url, "framed:%s", far_end->at.sun_path);
    struct weir_server_options server_options;
    weir_server_options_init(&server_options);
    server_options.handles_signals = true;
    server_options.threads = 1; /* connections of a session transport stay with their thread */
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
    upstream.urls = (const char *[]){url};
    upstream.count = 1;

    struct weir_server *server = NULL;
    struct weir_service *service;
    char why[WEIR_WHY_BYTES] = "it cannot start";
    bool served = !weir_transport_register_sessions(&framed) &&
                  !weir_server_new(&server_options, &server) &&
                  !weir_server_add(server, &options, why, &service) &&
                  !weir_service_listen(service, &listener, why) &&
                  !weir_service_add_upstream(service, &upstream, why) &&
                  printf("listening on %s\n", weir_service_address(service, 0)) > 0 &&
                  fflush(stdout) == 0 && !weir_server_run(server);
    if (!served)
        fprintf(stderr, "session_transport: %s\n", why);
    weir_server_free(&server);
    return served;
}

int main(int count, char **words)
{
    static struct far_end far_end;
    bool open = far_end_open(&far_end);
    if (!open)
        perror("session_transport");
    bool served = open && serve(count > 1 ? words[1] : "127.0.0.1:8080", &far_end);
    close(far_end.listener);
    unlink(far_end.at.sun_path);
    return served ? 0 : 1;
}
