/* SPDX-License-Identifier: MIT */
/* A request is answered when its head is complete. What one receive has asked for goes out with one
   send, as far as there is room: many streams, few system calls. */
#include "h2.h"
#include "responses.h"
#include "tcp.h"

#include <errno.h>
#include <nghttp2/nghttp2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

enum {
    IN_BYTES = 64 * 1024,
    OUT_BYTES = 256 * 1024,
    FRAME_BYTES = 9 + 16384, /* the largest that the session sends */
    STREAMS = 256,           /* the whole load of a table finds room on one connection */
    SIZE_DIGITS = 8,
};

struct h2 {
    int fd;
    nghttp2_session *session;
    void (*asked)(void *whom);
    void *whom;
    size_t sent;   /* of what is in `out` */
    size_t filled; /* with frames */
    uint8_t out[OUT_BYTES];
};

/* The size in a path like "/75"; 0 if it is none. */
static size_t size_in(const uint8_t *path, size_t length)
{
    if (length < 2 || length > 1 + SIZE_DIGITS || path[0] != '/')
        return 0;
    size_t size = 0;
    for (size_t i = 1; i < length; i++) {
        if (path[i] < '0' || path[i] > '9')
            return 0;
        size = size * 10 + (size_t)(path[i] - '0');
    }
    return size;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_length, const uint8_t *value, size_t value_length, uint8_t flags,
                     void *whose)
{
    (void)flags;
    (void)whose;
    if (name_length == 5 && memcmp(name, ":path", 5) == 0) {
        const struct response *found = response_find(size_in(value, value_length));
        nghttp2_session_set_stream_user_data(session, frame->hd.stream_id, (void *)found);
    }
    return 0;
}

/* The stream knows its response, `source` how far it has come. */
static ssize_t read_body(nghttp2_session *session, int32_t stream, uint8_t *bytes, size_t room,
                         uint32_t *flags, nghttp2_data_source *source, void *whose)
{
    (void)whose;
    const struct response *response = nghttp2_session_get_stream_user_data(session, stream);
    const char *next = source->ptr;
    size_t left = (size_t)(response->bytes + response->size - next);
    size_t count = left < room ? left : room;
    memcpy(bytes, next, count);
    source->ptr = (void *)(next + count);
    if (count == left)
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    return (ssize_t)count;
}

static nghttp2_nv field(const char *name, const char *value)
{
    return (nghttp2_nv){
        .name = (uint8_t *)name,
        .namelen = strlen(name),
        .value = (uint8_t *)value,
        .valuelen = strlen(value),
        .flags = NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE,
    };
}

static int answer(nghttp2_session *session, int32_t stream)
{
    const struct response *response = nghttp2_session_get_stream_user_data(session, stream);
    if (response == NULL) {
        nghttp2_nv not_found = field(":status", "404");
        return nghttp2_submit_response(session, stream, &not_found, 1, NULL);
    }
    nghttp2_nv head[] = {
        field(":status", "200"),
        field("content-type", RESPONSE_TYPE),
        field("content-length", response->body_length),
    };
    nghttp2_data_provider body = {
        .source.ptr = response->bytes + response->head_bytes,
        .read_callback = read_body,
    };
    return nghttp2_submit_response(session, stream, head, sizeof head / sizeof head[0], &body);
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *whose)
{
    struct h2 *h2 = whose;
    if (frame->hd.type != NGHTTP2_HEADERS || frame->headers.cat != NGHTTP2_HCAT_REQUEST)
        return 0;
    h2->asked(h2->whom);
    return answer(session, frame->hd.stream_id);
}

static nghttp2_session *session_new(struct h2 *h2)
{
    static nghttp2_session_callbacks *callbacks;
    static nghttp2_option *options;
    if (callbacks == NULL) {
        if (nghttp2_session_callbacks_new(&callbacks) != 0 || nghttp2_option_new(&options) != 0)
            tcp_die("memory");
        nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
        nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
        nghttp2_option_set_no_closed_streams(options, 1);
    }
    nghttp2_session *session = NULL;
    nghttp2_settings_entry streams = {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, STREAMS};
    if (nghttp2_session_server_new2(&session, callbacks, h2, options) != 0 ||
        nghttp2_submit_settings(session, NGHTTP2_FLAG_NONE, &streams, 1) != 0)
        tcp_die("memory");
    return session;
}

struct h2 *h2_new(int fd, void (*asked)(void *whom), void *whom)
{
    struct h2 *h2 = malloc(sizeof *h2);
    if (h2 == NULL)
        tcp_die("memory");
    h2->fd = fd;
    h2->asked = asked;
    h2->whom = whom;
    h2->sent = h2->filled = 0;
    h2->session = session_new(h2);
    return h2;
}

void h2_free(struct h2 *h2)
{
    if (h2 == NULL)
        return;
    nghttp2_session_del(h2->session);
    free(h2);
}

/* Moves frames that are ready into `out` while a whole one fits. False: the session is broken. */
static bool fill_out(struct h2 *h2)
{
    h2->sent = h2->filled = 0;
    while (OUT_BYTES - h2->filled >= FRAME_BYTES) {
        const uint8_t *frame = NULL;
        ssize_t count = nghttp2_session_mem_send(h2->session, &frame);
        if (count < 0)
            return false;
        if (count == 0)
            break;
        memcpy(h2->out + h2->filled, frame, (size_t)count);
        h2->filled += (size_t)count;
    }
    return true;
}

/* As much as goes; the rest waits for room. False: the connection is gone. */
static bool send_frames(struct h2 *h2)
{
    for (;;) {
        if (h2->sent == h2->filled && !fill_out(h2))
            return false;
        if (h2->filled == 0)
            return true;
        ssize_t count = send(h2->fd, h2->out + h2->sent, h2->filled - h2->sent, MSG_NOSIGNAL);
        if (count < 0 && errno == EAGAIN)
            return true;
        if (count < 0 && errno != EINTR)
            return false;
        h2->sent += count < 0 ? 0 : (size_t)count;
    }
}

/* Takes all that has arrived, and answers receive by receive. False: close. */
static bool receive_frames(struct h2 *h2)
{
    static uint8_t in[IN_BYTES];
    for (;;) {
        ssize_t count = recv(h2->fd, in, IN_BYTES, 0);
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0)
            return errno == EAGAIN;
        if (count == 0 || nghttp2_session_mem_recv(h2->session, in, (size_t)count) < 0 ||
            !send_frames(h2))
            return false;
        /* A short receive has emptied the socket; whatever comes later is an event again. */
        if (count < IN_BYTES)
            return true;
    }
}

bool h2_ready(struct h2 *h2, uint32_t events)
{
    if ((events & EPOLLOUT) != 0 && !send_frames(h2))
        return false;
    if ((events & EPOLLIN) != 0 && !receive_frames(h2))
        return false;
    return nghttp2_session_want_read(h2->session) != 0 ||
           nghttp2_session_want_write(h2->session) != 0 || h2->sent < h2->filled;
}
