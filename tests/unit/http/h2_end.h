/* SPDX-License-Identifier: MIT */
#ifndef TESTS_UNIT_HTTP_H2_END_H
#define TESTS_UNIT_HTTP_H2_END_H

/*
 * Both ends of an HTTP/2 connection in one test, without a stream between them: a session that is
 * tested, what it sends as a list of frames, and frames by hand or another session as its peer. It
 * is written down as h2_wire.c does, and sent when the test says.
 */

#include "http/h2_session.h"
#include "tests/unit/http/stage.h"

enum {
    END_FRAMES = 512,
    END_PAYLOAD = 32,   /* of a frame's payload that is kept */
    END_REQUESTS = 640, /* at most, of a server */
    END_FRAME_HEAD = 9,
    END_ARENA_BYTES = 512 * 1024,
    END_SENT_BYTES = 512 * 1024,
};

/* A user of a stream. */
struct end_user {
    struct h2_stream stream;
    struct arena arena;
    enum weir_err err; /* of the request's head */
    bool asked;        /* the request has come */
};

struct end_frame {
    uint8_t type, flags;
    uint32_t length;
    int32_t id;
    unsigned char payload[END_PAYLOAD];
};

struct end {
    struct h2_session session;
    struct end_user users[END_REQUESTS];
    unsigned user_count;
    bool refuses;     /* the next request */
    unsigned outputs; /* how often it was told that there is something to be sent */
    bool packing;
    struct end_frame frames[END_FRAMES]; /* that it has sent, since end_forget() */
    unsigned frame_count;
    size_t body_bytes;         /* of DATA among them */
    char sent[END_SENT_BYTES]; /* since the last end_send() */
    size_t sent_bytes, preface_bytes;
};

static struct end end, peer;

static void end_pack(struct end *of)
{
    must(!of->packing && !of->session.feeding);
    of->packing = true;
    h2_session_pack(&of->session);
    of->packing = false;
}

static void end_on_output(struct h2_session *session)
{
    struct end *of = container_of(session, struct end, session);
    of->outputs++;
    end_pack(of);
}

static struct end_user *end_new_user(struct end *of)
{
    must(of->user_count < END_REQUESTS);
    struct end_user *user = &of->users[of->user_count++];
    *user = (struct end_user){0};
    arena_init(&user->arena, &stage.loop.arenas, END_ARENA_BYTES);
    h2_stream_init(&user->stream, &user->arena);
    return user;
}

static struct h2_stream *end_on_begin(void *owner)
{
    struct end *of = owner;
    return of->refuses ? NULL : &end_new_user(of)->stream;
}

static void end_on_request(void *owner, struct h2_stream *stream, enum weir_err err)
{
    struct end_user *user = container_of(stream, struct end_user, stream);
    (void)owner;
    CHECK(!user->asked);
    user->asked = true;
    user->err = err;
}

static const struct h2_events end_events = {.begin = end_on_begin, .request = end_on_request};

/* As weir has them, for one that serves. */
__attribute__((unused)) static struct h2_session_options end_serving(void)
{
    return (struct h2_session_options){.side = H2_SERVER,
                                       .max_streams = H2_SERVER_STREAMS,
                                       .stream_window = H2_CONNECTION_WINDOW,
                                       .connection_window = H2_CONNECTION_WINDOW};
}

__attribute__((unused)) static struct h2_session_options end_asking(void)
{
    return (struct h2_session_options){.side = H2_CLIENT,
                                       .max_streams = 100,
                                       .stream_window = 8 << 20,
                                       .connection_window = 8 << 20};
}

__attribute__((unused)) static void end_open(struct end *of, struct h2_session_options options)
{
    of->user_count = of->outputs = of->frame_count = 0;
    of->body_bytes = of->sent_bytes = 0;
    of->packing = of->refuses = false;
    of->preface_bytes = options.side == H2_CLIENT ? NGHTTP2_CLIENT_MAGIC_LEN : 0;
    options.loop = &stage.loop;
    options.owner = of;
    options.events = &end_events;
    options.output = end_on_output;
    must(h2_session_init(&of->session, &options) == WEIR_OK);
}

/* Its users' streams end first, but for those that have ended. */
__attribute__((unused)) static void end_close(struct end *of)
{
    for (unsigned i = 0; i < of->user_count; i++) {
        h2_stream_end(&of->users[i].stream, NGHTTP2_CANCEL);
        arena_fini(&of->users[i].arena);
    }
    CHECK_EQ(0, of->session.held_bytes);
    CHECK_EQ(0, of->session.grown_bytes);
    h2_session_fini(&of->session, WEIR_E_EOF);
}

/* --- What it sends --------------------------------------------------------------------------- */

static uint32_t end_number(const void *bytes, unsigned count)
{
    const unsigned char *at = bytes;
    uint32_t number = 0;
    for (unsigned i = 0; i < count; i++)
        number = number << 8 | at[i];
    return number;
}

static void end_note_frames(struct end *of)
{
    size_t at = of->preface_bytes;
    of->preface_bytes = 0;
    while (at < of->sent_bytes) {
        must(of->frame_count < END_FRAMES && of->sent_bytes - at >= END_FRAME_HEAD);
        const char *head = of->sent + at;
        struct end_frame *frame = &of->frames[of->frame_count++];
        *frame = (struct end_frame){.type = (uint8_t)head[3], .flags = (uint8_t)head[4]};
        frame->length = end_number(head, 3);
        frame->id = (int32_t)end_number(head + 5, 4);
        must(of->sent_bytes - at >= END_FRAME_HEAD + frame->length);
        memcpy(frame->payload, head + END_FRAME_HEAD,
               frame->length < END_PAYLOAD ? frame->length : END_PAYLOAD);
        if (frame->type == NGHTTP2_DATA)
            of->body_bytes += frame->length;
        at += END_FRAME_HEAD + frame->length;
    }
}

/* Sends all that there is to send, for who waits to write it down too; to `to`, or nobody. */
static void end_send(struct end *of, struct end *to)
{
    of->sent_bytes = 0;
    end_pack(of);
    for (struct iobuf *buf, *next; (buf = h2_session_take_out(&of->session)); end_pack(of)) {
        for (; buf; buf = next) {
            struct weir_slice bytes = iobuf_slice(buf);
            next = buf->next;
            must(END_SENT_BYTES - of->sent_bytes >= bytes.len);
            memcpy(of->sent + of->sent_bytes, bytes.at, bytes.len);
            of->sent_bytes += bytes.len;
            iobuf_give(&stage.loop.bufs, &buf);
        }
    }
    end_note_frames(of);
    if (to && of->sent_bytes > 0)
        h2_session_feed(&to->session, slice_of(of->sent, of->sent_bytes));
}

/* Until nobody has anything to say. */
__attribute__((unused)) static void end_talk(void)
{
    do {
        end_send(&end, &peer);
        end_send(&peer, &end);
    } while (peer.sent_bytes > 0);
}

__attribute__((unused)) static void end_forget(struct end *of)
{
    of->frame_count = 0;
    of->body_bytes = 0;
}

/* The `nth` frame of a type that was sent, from 0; NULL: so many were not. */
__attribute__((unused)) static const struct end_frame *end_sent(const struct end *of, uint8_t type,
                                                                unsigned nth)
{
    for (unsigned i = 0; i < of->frame_count; i++)
        if (of->frames[i].type == type && nth-- == 0)
            return &of->frames[i];
    return NULL;
}

__attribute__((unused)) static unsigned end_count_sent(const struct end *of, uint8_t type)
{
    unsigned count = 0;
    while (end_sent(of, type, count))
        count++;
    return count;
}

/* The code of the first RST_STREAM on a stream; -1: none. */
__attribute__((unused)) static int64_t end_reset_code(const struct end *of, int32_t id)
{
    for (unsigned i = 0; i < of->frame_count; i++)
        if (of->frames[i].type == NGHTTP2_RST_STREAM && of->frames[i].id == id)
            return end_number(of->frames[i].payload, 4);
    return -1;
}

/* The code of the last GOAWAY; -1: none. *ret_last is its last stream. */
__attribute__((unused)) static int64_t end_goaway_code(const struct end *of, int64_t *ret_last)
{
    unsigned count = end_count_sent(of, NGHTTP2_GOAWAY);
    if (count == 0)
        return -1;
    const struct end_frame *frame = end_sent(of, NGHTTP2_GOAWAY, count - 1);
    *ret_last = end_number(frame->payload, 4);
    return end_number(frame->payload + 4, 4);
}

/* How much a stream's window (0: the connection's) was enlarged. */
__attribute__((unused)) static uint64_t end_granted(const struct end *of, int32_t id)
{
    uint64_t bytes = 0;
    for (unsigned i = 0; i < of->frame_count; i++)
        if (of->frames[i].type == NGHTTP2_WINDOW_UPDATE && of->frames[i].id == id)
            bytes += end_number(of->frames[i].payload, 4);
    return bytes;
}

/* --- What it gets, by hand ------------------------------------------------------------------- */

static size_t end_write_frame(char *at, uint8_t type, uint8_t flags, int32_t id,
                              struct weir_slice payload)
{
    const char head[END_FRAME_HEAD] = {(char)(payload.len >> 16),
                                       (char)(payload.len >> 8),
                                       (char)payload.len,
                                       (char)type,
                                       (char)flags,
                                       (char)(id >> 24),
                                       (char)(id >> 16),
                                       (char)(id >> 8),
                                       (char)id};
    memcpy(at, head, sizeof head);
    if (payload.len > 0)
        memcpy(at + sizeof head, payload.at, payload.len);
    return sizeof head + payload.len;
}

__attribute__((unused)) static void end_feed(struct end *of, uint8_t type, uint8_t flags,
                                             int32_t id, struct weir_slice payload)
{
    static char frame[END_FRAME_HEAD + 64 * 1024];
    must(payload.len <= sizeof frame - END_FRAME_HEAD);
    size_t length = end_write_frame(frame, type, flags, id, payload);
    h2_session_feed(&of->session, slice_of(frame, length));
}

/* DATA of so many bytes, in frames of 16 KiB at most. */
__attribute__((unused)) static void end_feed_body(struct end *of, int32_t id, size_t bytes,
                                                  bool ends)
{
    static const char zeros[16384];
    do {
        size_t length = bytes < sizeof zeros ? bytes : sizeof zeros;
        bytes -= length;
        end_feed(of, NGHTTP2_DATA, ends && bytes == 0 ? NGHTTP2_FLAG_END_STREAM : 0, id,
                 slice_of(zeros, length));
    } while (bytes > 0);
}

/* What a client says first, or a server. */
__attribute__((unused)) static void end_feed_hello(struct end *of)
{
    if (of->session.side == H2_SERVER)
        h2_session_feed(&of->session, SLICE("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"));
    end_feed(of, NGHTTP2_SETTINGS, 0, 0, SLICE(""));
}

enum { END_WHOLE = NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM };

#define END_GET SLICE("\x82\x87\x84\x41\x01h")
#define END_POST SLICE("\x83\x87\x84\x41\x01h")
/* A POST whose body has 5 bytes. */
#define END_POST_5                                                                                 \
    SLICE("\x83\x87\x84\x41\x01h\x0f\x0d\x01"                                                      \
          "5")
#define END_OK SLICE("\x88")

#define END_LINE(name, value)                                                                      \
    {                                                                                              \
        (uint8_t *)(name), (uint8_t *)(value), sizeof(name) - 1, sizeof(value) - 1, 0              \
    }

static nghttp2_nv end_request_lines[] = {END_LINE(":method", "POST"), END_LINE(":scheme", "https"),
                                         END_LINE(":authority", "h"), END_LINE(":path", "/")};
static nghttp2_nv end_response_lines[] = {END_LINE(":status", "200"), END_LINE("server", "weir")};
static nghttp2_nv end_interim_lines[] = {END_LINE(":status", "103"), END_LINE("link", "</a>")};

static const struct h2_lines end_request = {end_request_lines, COUNT_OF(end_request_lines)};
static const struct h2_lines end_response = {end_response_lines, COUNT_OF(end_response_lines)};
static const struct h2_lines end_interim = {end_interim_lines, COUNT_OF(end_interim_lines)};

/* A request of a client; NULL: refused. */
__attribute__((unused)) static struct end_user *end_ask(struct end *of, bool ends)
{
    struct end_user *user = end_new_user(of);
    CHECK_OK(h2_stream_request(&user->stream, &of->session, &end_request, ends));
    return user;
}

__attribute__((unused)) static void end_answer(struct end_user *user, bool ends)
{
    CHECK_OK(h2_stream_response(&user->stream, &end_response, ends));
    h2_session_has_output(user->stream.session);
}

/* --- Openings ----------------------------------------------------------------------------- */

/* A session that has heard its peer's hello. */
__attribute__((unused)) static void end_open_server(void)
{
    end_open(&end, end_serving());
    end_feed_hello(&end);
    end_send(&end, NULL);
    end_forget(&end);
}

__attribute__((unused)) static void end_open_client(void)
{
    end_open(&end, end_asking());
    end_feed_hello(&end);
    end_send(&end, NULL);
    end_forget(&end);
}

/* It was ended, and its peer told so. */
__attribute__((unused)) static bool end_was_told(uint32_t code)
{
    int64_t last;
    end_send(&end, NULL);
    return CHECK_EQ(code, end_goaway_code(&end, &last)) && CHECK(end.session.end) &&
           CHECK(h2_session_is_over(&end.session));
}

/* An HPACK string with a length of two bytes (RFC 7541 section 5.1) and 'v' in it. */
__attribute__((unused)) static size_t end_write_long_field(char *at, size_t length)
{
    static const char front[] = "\x00\x01x\x7f";
    char *to = at + sizeof front - 1;
    memcpy(at, front, sizeof front - 1);
    size_t rest = length - 127;
    for (; rest >= 128; rest /= 128)
        *to++ = (char)(rest % 128 | 128);
    *to++ = (char)rest;
    memset(to, 'v', length);
    return (size_t)(to - at) + length;
}

/* A request's head of fields with so many bytes, in frames that are as long as they may be. */
__attribute__((unused)) static void end_feed_long_head(int32_t id, size_t length, unsigned count)
{
    static char block[256 * 1024];
    struct weir_slice rest = slice_of(block, END_GET.len);
    memcpy(block, END_GET.at, END_GET.len);
    for (unsigned i = 0; i < count; i++)
        rest.len += end_write_long_field(block + rest.len, length);
    for (uint8_t type = NGHTTP2_HEADERS; rest.len > 0; type = NGHTTP2_CONTINUATION) {
        size_t len = rest.len < 16384 ? rest.len : 16384;
        uint8_t flags = type == NGHTTP2_HEADERS ? NGHTTP2_FLAG_END_STREAM : 0;
        if (len == rest.len)
            flags |= NGHTTP2_FLAG_END_HEADERS;
        end_feed(&end, type, flags, id, slice_of(rest.at, len));
        rest = slice_skip(rest, len);
    }
}

/* --- Who sends a body ------------------------------------------------------------------------ */

struct end_sender {
    struct h2_stream *stream;
    struct http_piece piece;
    enum weir_err err;
    struct co *co; /* NULL: it is through */
};

static char end_body[(H2_OUT_BUFS + 2) * IOBUF_BYTES]; /* more than can be written down */

WEIR_SUSPENDS static void end_run_sender(void *argument)
{
    struct end_sender *sender = argument;
    sender->err = h2_stream_send_piece(sender->stream, &sender->piece, WEIR_NEVER);
    sender->co = NULL;
}

/* Sends a piece in a coroutine of its own, which begins when this one waits. */
__attribute__((unused)) static void end_spawn(struct end_sender *sender, struct h2_stream *stream,
                                              size_t bytes, bool last)
{
    must(bytes <= sizeof end_body);
    *sender = (struct end_sender){.stream = stream};
    sender->piece.last = last;
    sender->piece.bytes = bytes;
    if (bytes > 0)
        sender->piece.slices[sender->piece.count++] = slice_of(end_body, bytes);
    CHECK_OK(co_spawn(&stage.loop.sched, NULL, "sender", end_run_sender, sender, &sender->co));
}

#endif
