/* SPDX-License-Identifier: MIT */
#include "http/h2_session.h"

#include "base/check.h"

#include <pthread.h>
#include <string.h>

enum {
    PADDING_MAX = 256,             /* with its length */
    TOO_MANY_CONTINUATIONS = -905, /* NGHTTP2_ERR_...: older headers do not name it */
    RESETS_MAX = 10000,            /* of streams that had their response; the others have a guard */
    CONTINUATIONS_MAX = 16,        /* of one head; what they carry is limited beside that */
    /* A head is received in so many bytes at most, packed as it may be. */
    HEAD_WIRE_BYTES = 2 * H2_HEAD_BYTES,
};

static struct {
    pthread_once_t once;
    nghttp2_option *server, *client;
} options = {.once = PTHREAD_ONCE_INIT};

/* Older versions have their own limits, or ours alone. */
#ifdef WEIR_NGHTTP2_CONTINUATIONS
static void limit_continuations(nghttp2_option *option)
{
    nghttp2_option_set_max_continuations(option, CONTINUATIONS_MAX);
}
#else
#define limit_continuations(option) ((void)(option))
#endif

#ifdef WEIR_NGHTTP2_RESETS
static void limit_resets(nghttp2_option *option)
{
    nghttp2_option_set_stream_reset_rate_limit(option, RESETS_MAX, RESETS_MAX / 10);
}
#else
#define limit_resets(option) ((void)(option))
#endif

/* Windows are ours to update; who is flooded is ours to say, with nghttp2 behind us. */
static nghttp2_option *new_options(void)
{
    nghttp2_option *made = NULL;
    must(nghttp2_option_new(&made) == 0);
    nghttp2_option_set_no_auto_window_update(made, 1);
    limit_continuations(made);
    limit_resets(made);
    return made;
}

static void make_options(void)
{
    options.server = new_options();
    nghttp2_option_set_builtin_recv_extension_type(options.server, NGHTTP2_PRIORITY_UPDATE);
    options.client = new_options();
}

/* --- Memory, of the worker that has the session: it may move ---------------------------------- */

static struct spares *spares_of(void *session)
{
    return &((struct h2_session *)session)->loop->spares;
}

static void *mem_alloc(size_t bytes, void *session)
{
    return spares_alloc(spares_of(session), bytes);
}

static void mem_free(void *block, void *session)
{
    spares_free(spares_of(session), block);
}

static void *mem_alloc_zeroed(size_t count, size_t bytes, void *session)
{
    return spares_alloc_zeroed(spares_of(session), count, bytes);
}

static void *mem_resize(void *block, size_t bytes, void *session)
{
    return spares_resize(spares_of(session), block, bytes);
}

static uint32_t least(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

/* --- Beginning and end ----------------------------------------------------------------------- */

static int submit_settings(struct h2_session *session, const struct h2_session_options *how)
{
    const nghttp2_settings_entry server[] = {
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, how->max_streams},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, session->window_first},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, H2_HEAD_BYTES},
        {NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1},
        {NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, 1},
    };
    const nghttp2_settings_entry client[] = {
        {NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, session->window_first},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, H2_HEAD_BYTES},
    };
    bool serves = session->side == H2_SERVER;
    int result = nghttp2_submit_settings(session->ng, NGHTTP2_FLAG_NONE, serves ? server : client,
                                         serves ? COUNT_OF(server) : COUNT_OF(client));
    if (result != 0)
        return result;
    return nghttp2_session_set_local_window_size(session->ng, NGHTTP2_FLAG_NONE, 0,
                                                 (int32_t)how->connection_window);
}

/* All streams that nobody reads, in their first windows, hold no more than one connection may. */
static uint32_t first_window(const struct h2_session_options *how)
{
    uint32_t share = how->connection_window / (how->max_streams > 0 ? how->max_streams : 1);
    return least(how->stream_window, share > H2_WINDOW_FIRST ? share : H2_WINDOW_FIRST);
}

enum weir_err h2_session_init(struct h2_session *session, const struct h2_session_options *how)
{
    bool serves = how->side == H2_SERVER;
    nghttp2_mem memory = {session, mem_alloc, mem_free, mem_alloc_zeroed, mem_resize};
    pthread_once(&options.once, make_options);
    *session = (struct h2_session){
        .loop = how->loop,
        .side = how->side,
        .events = how->events,
        .owner = how->owner,
        .output = how->output,
        .window_first = serves ? H2_WINDOW_FIRST : first_window(how),
        .window_max = how->stream_window,
        .grown_max = how->connection_window,
        .flood = H2_FLOOD_COUNT,
        .fed = loop_now(how->loop),
    };
    /* A server's clients are many: what they send counts against one window until it is taken. */
    session->hold_max = how->connection_window;
    if (!serves)
        session->hold_max += (size_t)session->window_first * how->max_streams;
    list_init(&session->streams);
    h2_guard_init(&session->guard, loop_now(how->loop));
    h2_frames_init(&session->frames, serves);
    int result = serves ? nghttp2_session_server_new3(&session->ng, h2_callbacks(), session,
                                                      options.server, &memory)
                        : nghttp2_session_client_new3(&session->ng, h2_callbacks(), session,
                                                      options.client, &memory);
    if (result == 0)
        result = submit_settings(session, how);
    if (result == 0)
        return WEIR_OK;
    h2_session_fini(session, WEIR_E_NO_MEMORY);
    return WEIR_E_NO_MEMORY;
}

static void close_streams(struct h2_session *session, enum weir_err err)
{
    list_each (link, &session->streams)
        h2_stream_closed(container_of(link, struct h2_stream, link), NGHTTP2_INTERNAL_ERROR, err);
}

void h2_session_fini(struct h2_session *session, enum weir_err err)
{
    must(!session->feeding);
    for (struct list *link; (link = list_first(&session->streams));)
        h2_stream_cut_off(container_of(link, struct h2_stream, link), err);
    struct iobuf *out = h2_session_take_out(session);
    iobuf_give_all(&session->loop->bufs, &out);
    nghttp2_session_del(session->ng);
    session->ng = NULL;
}

void h2_session_ended(struct h2_session *session, enum weir_err err)
{
    if (!session->end)
        session->end = err;
    session->failed = true; /* nobody is there to be sent anything */
    close_streams(session, err);
}

/* --- What comes ------------------------------------------------------------------------------ */

static enum weir_err peer_was_wrong(const struct h2_session *session)
{
    return session->side == H2_SERVER ? WEIR_E_REQUEST_MALFORMED : WEIR_E_RESPONSE_MALFORMED;
}

void h2_session_gave_up(struct h2_session *session)
{
    if (!session->end)
        session->end = peer_was_wrong(session);
    close_streams(session, session->end);
}

void h2_session_flooded(struct h2_session *session, enum h2_flood flood)
{
    if (session->flood != H2_FLOOD_COUNT)
        return;
    session->flood = flood;
    h2_session_terminate(session, NGHTTP2_ENHANCE_YOUR_CALM);
}

void h2_session_count(struct h2_session *session, enum h2_flood flood)
{
    if (!h2_guard_count(&session->guard, flood, loop_now(session->loop)))
        h2_session_flooded(session, flood);
}

/* What nghttp2 takes for the end, without having told the peer. */
static void note_fatal(struct h2_session *session, ssize_t result)
{
    switch (result) {
    case TOO_MANY_CONTINUATIONS:
        h2_session_flooded(session, H2_FLOOD_CONTINUATION);
        break;
    case NGHTTP2_ERR_FLOODED: /* it reads none of the answers that it has us make */
        h2_session_flooded(session, H2_FLOOD_PING);
        break;
    case NGHTTP2_ERR_NOMEM:
    case NGHTTP2_ERR_CALLBACK_FAILURE:
        session->end = WEIR_E_NO_MEMORY;
        session->failed = true;
        break;
    default:
        h2_session_terminate(session, NGHTTP2_PROTOCOL_ERROR);
        break;
    }
    if (!session->end)
        session->end = peer_was_wrong(session);
}

/* Without a byte, or with padding alone. */
static bool is_empty(const struct h2_frame *frame)
{
    return !(frame->flags & NGHTTP2_FLAG_END_STREAM) && frame->length <= frame->padding;
}

static enum h2_flood flood_of(const struct h2_frame *frame)
{
    bool acks = frame->flags & NGHTTP2_FLAG_ACK;
    switch (frame->type) {
    case NGHTTP2_DATA:
        return is_empty(frame) ? H2_FLOOD_EMPTY_FRAMES : H2_FLOOD_COUNT;
    case NGHTTP2_HEADERS:
    case NGHTTP2_RST_STREAM: /* what it ends is counted */
    case NGHTTP2_GOAWAY:
    case NGHTTP2_CONTINUATION: /* and what they carry */
        return H2_FLOOD_COUNT;
    case NGHTTP2_SETTINGS:
        return acks ? H2_FLOOD_COUNT : H2_FLOOD_SETTINGS;
    case NGHTTP2_PING:
        return acks ? H2_FLOOD_COUNT : H2_FLOOD_PING;
    case NGHTTP2_PRIORITY:
    case NGHTTP2_PRIORITY_UPDATE:
        return H2_FLOOD_PRIORITY;
    case NGHTTP2_WINDOW_UPDATE:
        return H2_FLOOD_WINDOW_UPDATE;
    default:
        return H2_FLOOD_UNKNOWN;
    }
}

/* A head that is sent in pieces without end, even empty ones, costs its sender little. */
static bool is_endless_head(struct h2_session *session, const struct h2_frame *frame)
{
    if (frame->type == NGHTTP2_HEADERS) {
        session->head_bytes = 0;
        session->head_began = loop_now(session->loop);
    } else if (frame->type != NGHTTP2_CONTINUATION) {
        return false;
    }
    session->head_bytes += H2_FRAME_HEAD_BYTES + frame->length;
    return session->head_bytes > HEAD_WIRE_BYTES;
}

/* What nghttp2 lets pass, where it does not look at priorities of the old kind. */
static bool is_wrong_priority(const struct h2_frame *frame)
{
    return frame->type == NGHTTP2_PRIORITY && (frame->id == 0 || frame->depends_on == frame->id);
}

/* Why a frame may not pass: the code that its sender is told (RFC 9113 section 7); or 0. */
static uint32_t objection_to(struct h2_session *session, const struct h2_frame *frame,
                             enum h2_flood *ret_flood)
{
    enum h2_flood flood = flood_of(frame);
    *ret_flood = H2_FLOOD_COUNT;
    if (is_endless_head(session, frame))
        *ret_flood = H2_FLOOD_CONTINUATION;
    else if (flood != H2_FLOOD_COUNT &&
             !h2_guard_count(&session->guard, flood, loop_now(session->loop)))
        *ret_flood = flood;
    if (*ret_flood != H2_FLOOD_COUNT)
        return NGHTTP2_ENHANCE_YOUR_CALM;
    if (is_wrong_priority(frame))
        return NGHTTP2_PROTOCOL_ERROR;
    return session->side == H2_SERVER ? h2_past_note(&session->past, frame) : NGHTTP2_NO_ERROR;
}

static void receive(struct h2_session *session, struct weir_slice bytes)
{
    session->feeding = true;
    ssize_t result = nghttp2_session_mem_recv(session->ng, (const uint8_t *)bytes.at, bytes.len);
    session->feeding = false;
    if (result < 0)
        note_fatal(session, result);
}

/* Up to the first frame that may not pass. */
static void receive_frames(struct h2_session *session, struct weir_slice bytes)
{
    struct h2_frame frame;
    enum h2_flood flood;
    uint32_t code = NGHTTP2_NO_ERROR;
    for (size_t at = 0; !code && h2_frames_next(&session->frames, bytes, &at, &frame);)
        code = objection_to(session, &frame, &flood);
    receive(session, code ? slice_of(bytes.at, frame.at) : bytes);
    if (!code)
        return;
    if (flood != H2_FLOOD_COUNT)
        h2_session_flooded(session, flood);
    else
        h2_session_terminate(session, code);
    if (!session->end)
        session->end = peer_was_wrong(session);
}

void h2_session_feed(struct h2_session *session, struct weir_slice bytes)
{
    if (session->end)
        return;
    session->fed = loop_now(session->loop);
    receive_frames(session, bytes);
    /* It has said good-bye because of what came, or because we did. */
    if (!session->end && !nghttp2_session_want_read(session->ng))
        session->end = session->goaway || list_is_empty(&session->streams)
                           ? WEIR_E_EOF
                           : peer_was_wrong(session);
    if (session->flood != H2_FLOOD_COUNT && !session->end)
        session->end = peer_was_wrong(session);
    if (session->end)
        close_streams(session, session->end);
    h2_session_has_output(session);
}

uint32_t h2_session_streams_allowed(const struct h2_session *session)
{
    return nghttp2_session_get_remote_settings(session->ng,
                                               NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);
}

/* --- Windows --------------------------------------------------------------------------------- */

void h2_session_hold(struct h2_session *session, size_t bytes)
{
    session->held_bytes += bytes;
    if (session->held_bytes <= session->hold_max)
        nghttp2_session_consume_connection(session->ng, bytes);
    else
        session->owed_bytes += bytes;
}

void h2_session_let_go(struct h2_session *session, size_t bytes)
{
    size_t paid = bytes < session->owed_bytes ? bytes : session->owed_bytes;
    must(session->held_bytes >= bytes);
    session->held_bytes -= bytes;
    session->owed_bytes -= paid;
    if (paid > 0)
        nghttp2_session_consume_connection(session->ng, paid);
}

/* --- What goes ------------------------------------------------------------------------------- */

void h2_session_has_output(struct h2_session *session)
{
    if (!session->feeding && !session->packing)
        session->output(session);
}

size_t h2_session_room(const struct h2_session *session)
{
    size_t bufs = H2_OUT_BUFS - session->out_count;
    size_t room = bufs * IOBUF_BYTES;
    if (session->out_last)
        room += IOBUF_BYTES - session->out_last->end;
    return room > H2_FRAME_HEAD_BYTES ? room - H2_FRAME_HEAD_BYTES : 0;
}

static struct iobuf *last_with_room(struct h2_session *session)
{
    struct iobuf *last = session->out_last;
    if (last && last->end < IOBUF_BYTES)
        return last;
    if (session->out_count == H2_OUT_BUFS)
        return NULL;
    struct iobuf *buf = iobuf_take(&session->loop->bufs);
    if (!buf) {
        session->failed = true;
        return NULL;
    }
    buf->next = NULL;
    if (last)
        last->next = buf;
    else
        session->out = buf;
    session->out_last = buf;
    session->out_count++;
    return buf;
}

/* What finds no room is left in *bytes. */
static void write_down(struct h2_session *session, struct weir_slice *bytes)
{
    while (bytes->len > 0) {
        struct iobuf *buf = last_with_room(session);
        if (!buf)
            return;
        size_t room = IOBUF_BYTES - buf->end;
        size_t len = bytes->len < room ? bytes->len : room;
        memcpy(buf->bytes + buf->end, bytes->at, len);
        buf->end += (uint32_t)len;
        *bytes = slice_skip(*bytes, len);
    }
}

void h2_session_write(struct h2_session *session, struct weir_slice bytes)
{
    write_down(session, &bytes);
    must(bytes.len == 0 || session->failed);
}

void h2_session_pack(struct h2_session *session)
{
    must(!session->feeding && !session->packing);
    while (!session->failed) {
        write_down(session, &session->left);
        if (session->left.len > 0)
            return;
        const uint8_t *frame = NULL;
        session->packing = true;
        ssize_t len = nghttp2_session_mem_send(session->ng, &frame);
        session->packing = false;
        if (len < 0)
            session->failed = true;
        if (len <= 0)
            return;
        session->left = slice_of((const char *)frame, (size_t)len);
    }
}

struct iobuf *h2_session_take_out(struct h2_session *session)
{
    struct iobuf *out = session->out;
    session->out = session->out_last = NULL;
    session->out_count = 0;
    return out;
}

bool h2_session_is_over(const struct h2_session *session)
{
    if (session->failed)
        return true;
    return !session->out && session->left.len == 0 && !nghttp2_session_want_write(session->ng) &&
           (session->end || !nghttp2_session_want_read(session->ng));
}

void h2_session_announce_end(struct h2_session *session)
{
    nghttp2_submit_shutdown_notice(session->ng);
    h2_session_ping(session);
}

void h2_session_refuse_more(struct h2_session *session)
{
    nghttp2_submit_goaway(session->ng, NGHTTP2_FLAG_NONE,
                          nghttp2_session_get_last_proc_stream_id(session->ng), NGHTTP2_NO_ERROR,
                          NULL, 0);
    h2_session_has_output(session);
}

void h2_session_terminate(struct h2_session *session, uint32_t code)
{
    nghttp2_session_terminate_session(session->ng, code);
    h2_session_has_output(session);
}

void h2_session_ping(struct h2_session *session)
{
    session->pings_sent++;
    nghttp2_submit_ping(session->ng, NGHTTP2_FLAG_NONE, NULL);
    h2_session_has_output(session);
}
