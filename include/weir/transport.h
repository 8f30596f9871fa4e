/* SPDX-License-Identifier: MIT */
#ifndef WEIR_TRANSPORT_H
#define WEIR_TRANSPORT_H

/*
 * Transports of one's own, which the pool keeps, limits, watches and evicts as it does TCP. A peer
 * whose URL is "NAME:address" uses the transport of that name.
 *
 * A byte transport moves bytes, and HTTP/1, or HTTP/2 by prior knowledge, and TLS run over it. A
 * session transport carries whole exchanges over a protocol of its own.
 *
 * What is registered is not copied and must stay; register it before any thread uses it. None of
 * these functions may block the thread. A connection is used by one thread at a time, but not
 * always by the same one: where `moves` is false it stays where it was opened.
 */

#include <weir/api.h>
#include <weir/err.h>
#include <weir/message.h>
#include <weir/slice.h>
#include <weir/suspends.h>
#include <weir/time.h>

WEIR_BEGIN

struct weir_wire;

/* Where and for whom to open a connection. Valid during the call. */
struct weir_transport_to {
    void *owner;         /* the transport's */
    const char *address; /* what stands behind "NAME:" */
    struct weir_time deadline;
    struct weir_wire
        *wire; /* the connection's other half, for weir_wire_ready(); lives until close */
};

/*
 * Every function but `open` gets what `open` has returned. `read` and `write` do what can be done
 * at once: WEIR_OK with a count of 0 means that nothing can be done now, and they are called again
 * when the descriptor is ready, or after weir_wire_ready(). A count never exceeds what was given or
 * asked for (checked). The descriptor is the same until `close`.
 */
struct weir_byte_transport {
    const char *name; /* of a URL: lower-case letters and digits, at least two */
    void *owner;
    bool moves; /* a connection may go on on another thread */
    /* May suspend. *ret_conn is given to all others until `close`. Errors as of connecting. */
    WEIR_SUSPENDS enum weir_err (*open)(const struct weir_transport_to *to, void **ret_conn);
    /* WEIR_E_EOF at the orderly end, WEIR_E_RESET when it broke. */
    enum weir_err (*read)(void *conn, char *bytes, size_t size, size_t *ret_count);
    /* WEIR_E_RESET. */
    enum weir_err (*write)(void *conn, const struct weir_slice *slices, unsigned count,
                           size_t *ret_count);
    /* What to poll, for reading and for writing; -1, or NULL: weir_wire_ready() tells. */
    int (*descriptor)(void *conn);
    /* Says that nothing more will be written; NULL: the transport has no such thing. */
    void (*shut)(void *conn);
    /* Ends it; `cut`: the other side must not take it for an orderly end. */
    void (*close)(void *conn, bool cut);
};

/*
 * One exchange at a time on a connection. A session's functions are called in the order send_head,
 * send_body until `last` (where there is a body), recv_head, recv_body until `last`, done; an
 * exchange that fails goes to done at once. Sending and receiving may overlap, from two coroutines.
 */
struct weir_session_transport {
    const char *name;
    void *owner;
    WEIR_SUSPENDS enum weir_err (*open)(const struct weir_transport_to *to, void **ret_conn);
    WEIR_SUSPENDS enum weir_err (*send_head)(void *conn, struct weir_request *request,
                                             uint64_t body_bytes, struct weir_time deadline);
    WEIR_SUSPENDS enum weir_err (*send_body)(void *conn, struct weir_slice bytes, bool last,
                                             struct weir_time deadline);
    /*
     * Fills the response; *ret_body_bytes: how long its body is, WEIR_BODY_NONE or _UNKNOWN. To
     * HEAD, and of a 204 or 304, there is none to be received: a length is what it would be, and
     * after _UNKNOWN the exchange is not whole.
     * WEIR_E_EOF or _RESET when the connection broke before any of it: a stale one.
     */
    WEIR_SUSPENDS enum weir_err (*recv_head)(void *conn, struct weir_response *response,
                                             uint64_t *ret_body_bytes, struct weir_time deadline);
    /* The bytes are valid until the next call. */
    WEIR_SUSPENDS enum weir_err (*recv_body)(void *conn, struct weir_piece *ret_piece,
                                             struct weir_time deadline);
    /* The exchange is over; `whole`: both ways to the end. Whether the connection can carry
     * another, which after a cut one few protocols can; false: it is closed. */
    bool (*done)(void *conn, bool whole);
    /* While it rests: whether it can still be used. Never suspends. */
    bool (*alive)(void *conn);
    /* Readable when something has happened to a connection that rests: `alive` is asked then. -1,
     * or NULL: weir_wire_ready() tells. */
    int (*descriptor)(void *conn);
    void (*close)(void *conn);
};

/*
 * From now on URLs may name it. WEIR_E_TRANSPORT when the name is taken, not one, or a function is
 * missing that must be there.
 */
WEIR_API enum weir_err weir_transport_register(const struct weir_byte_transport *transport);
WEIR_API enum weir_err
weir_transport_register_sessions(const struct weir_session_transport *transport);

/*
 * Something has come, has become possible, or has ended: for a connection without a descriptor. On
 * the thread that has it. Enqueues, runs nothing.
 */
WEIR_API void weir_wire_ready(struct weir_wire *wire);

WEIR_END

#endif
