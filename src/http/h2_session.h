/* SPDX-License-Identifier: MIT */
#ifndef HTTP_H2_SESSION_H
#define HTTP_H2_SESSION_H

/*
 * One connection of HTTP/2, either side, over nghttp2: bytes in, bytes out, no sockets
 * (RFC 9113). h2_wire.h joins it with a stream.
 *
 * What comes is recorded at its stream (h2_stream.h), and whoever waits there is woken; what is to
 * be sent is written down in buffers as far as there is room, and the rest waits at its stream.
 * Nothing here suspends, and nothing that is called back may feed, pack or end the session.
 *
 * Windows. What a stream has received and nobody has taken is kept in memory, up to the stream's
 * window. It begins small and grows, twofold at a time, while the reader keeps up, so that many
 * streams that nobody reads hold little, and one that is read can fill a long pipe. The window of
 * the connection is given back as bytes come, not as they are taken, as long as no more than
 * `hold_max` bytes are kept: a stream that nobody reads does not hold up the others.
 */

#include "http/h2_frames.h"
#include "http/h2_guard.h"
#include "http/h2_stream.h"
#include "io/loop.h"

enum h2_side { H2_SERVER, H2_CLIENT };

enum {
    H2_OUT_BUFS = 4,                /* written down and not yet sent, at most */
    H2_HEAD_BYTES = 32768,          /* of a head, as HPACK counts them */
    H2_WINDOW_FIRST = 65535,        /* of a stream, before it grows */
    H2_CONNECTION_WINDOW = 1 << 20, /* of a client's connection */
    H2_SERVER_STREAMS = 128,        /* of a client's connection, at once */
};

struct h2_session;

struct h2_events {
    /*
     * A request begins: where it is kept, made with h2_stream_init(). NULL refuses it. (Servers.)
     */
    struct h2_stream *(*begin)(void *owner);
    /* Its head is there; `err` is what is wrong with it (h2_head_request()). (Servers.) */
    void (*request)(void *owner, struct h2_stream *stream, enum weir_err err);
};

struct h2_session_options {
    enum h2_side side;
    struct loop *loop;
    const struct h2_events *events;
    void *owner; /* for the events */
    /* There is something to be sent. Not called while it is fed, or writes down. */
    void (*output)(struct h2_session *session);
    uint32_t max_streams;       /* a server's: that its client may have at once */
    uint32_t stream_window;     /* how far a stream's window grows */
    uint32_t connection_window; /* bytes */
};

struct h2_session {
    nghttp2_session *ng;
    struct loop *loop; /* whose buffers and arenas it uses */
    enum h2_side side;
    const struct h2_events *events;
    void *owner;
    void (*output)(struct h2_session *session);
    struct list streams; /* that somebody has */
    struct h2_guard guard;
    struct h2_stream *head_of; /* whose head comes; NULL: nobody's who wants it */
    struct h2_frames frames;
    struct h2_past past; /* a server's */
    size_t head_bytes;   /* of the head that comes, in frames */
    struct weir_time head_began;
    /* Written down, to be sent; and of the frame that comes next what found no room. */
    struct iobuf *out, *out_last;
    unsigned out_count;
    struct weir_slice left;
    /* What was received and not taken, over all streams; and what of it is owed to the window. */
    size_t held_bytes, owed_bytes, hold_max;
    size_t grown_bytes, grown_max; /* beyond their first windows, over all streams */
    uint32_t window_first, window_max;
    uint64_t pings_sent, pings_answered; /* by us; by the peer */
    struct weir_time fed;                /* when something came last */
    enum weir_err end;   /* why it is over: nothing more is received; WEIR_OK: it is not */
    enum h2_flood flood; /* if it is over for one; else H2_FLOOD_COUNT */
    bool feeding, packing, failed;
    bool peer_is_set; /* its first SETTINGS have come */
    bool goaway;      /* the peer takes no more streams */
    uint32_t goaway_code;
    int32_t goaway_last; /* the last stream that it has looked at, as it said last */
};

/* Its SETTINGS wait to be sent then. WEIR_E_NO_MEMORY. */
enum weir_err h2_session_init(struct h2_session *session, const struct h2_session_options *options);
/* Streams that somebody still has are cut off from it (h2_stream.h), with `err`. */
void h2_session_fini(struct h2_session *session, enum weir_err err);

/* Takes what was received. What went wrong for all is told in session->end. */
void h2_session_feed(struct h2_session *session, struct weir_slice bytes);

/* The other end has ended the connection, or it broke: so have all streams. */
void h2_session_ended(struct h2_session *session, enum weir_err err);

/* Writes down what there is to send, as far as there is room. */
void h2_session_pack(struct h2_session *session);
/* What was written down; the caller's to send and to give back, first to last by `next`. */
struct iobuf *h2_session_take_out(struct h2_session *session);

/* Whether it is over: nothing is received any more, and nothing is left to be sent. */
bool h2_session_is_over(const struct h2_session *session);

/* Streams that the peer allows us at once now (RFC 9113 section 5.1.2). */
uint32_t h2_session_streams_allowed(const struct h2_session *session);

/*
 * Says that it will end, without naming a last stream yet; then, when the peer has had time to
 * read that, that it takes no more (RFC 9113 section 6.8).
 */
void h2_session_announce_end(struct h2_session *session);
void h2_session_refuse_more(struct h2_session *session);
/* Ends it for a reason: streams above the last one that was begun are not processed. */
void h2_session_terminate(struct h2_session *session, uint32_t code);

/* Sends a PING; session->pings_answered counts the answers. */
void h2_session_ping(struct h2_session *session);

/* --- For h2_stream.c and h2_callbacks.c ------------------------------------------------------ */

/* nghttp2's callbacks, over a session as its user data; and where the bytes of bodies come from. */
const nghttp2_session_callbacks *h2_callbacks(void);
extern const nghttp2_data_provider h2_body;
/* How many bytes of a frame find room to be written down, behind its head. */
size_t h2_session_room(const struct h2_session *session);
/* Writes down; there must be room (checked). */
void h2_session_write(struct h2_session *session, struct weir_slice bytes);
/* Something is to be sent: tells the owner, unless who feeds or packs will. */
void h2_session_has_output(struct h2_session *session);
/* The peer was told that it is wrong: nothing more is received. */
void h2_session_gave_up(struct h2_session *session);
/* One more of it; too many end the session. */
void h2_session_count(struct h2_session *session, enum h2_flood flood);
/* The peer sends more of it than it may. */
void h2_session_flooded(struct h2_session *session, enum h2_flood flood);
/* Bytes of a stream were received, and will be taken; or are of no use. */
void h2_session_hold(struct h2_session *session, size_t bytes);
void h2_session_let_go(struct h2_session *session, size_t bytes);

#endif
