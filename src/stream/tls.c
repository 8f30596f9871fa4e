/* SPDX-License-Identifier: MIT */
#include "stream/tls.h"

#include "base/check.h"
#include "base/slice.h"
#include "stream/tls_alpn.h"
#include "stream/tls_bio.h"
#include "stream/tls_error.h"
#include "stream/tls_text.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <string.h>

enum {
    SEND_RECORDS = 4,   /* that are made before they are sent */
    TALK_BUFS = 2,      /* with its answers to it that may wait to be sent */
    TALK_RECORDS = 256, /* of the protocol's own that may come between two that bear bytes */
};

struct tls_stream {
    struct stream stream;
    struct tls_streams *streams;
    SSL *ssl;
    struct tls_bufs bufs;
    struct iobuf *plain;   /* what a watch has found and nobody has taken yet */
    enum stream_state end; /* STREAM_QUIET as long as there is none */
    enum weir_err failure; /* why it is STREAM_BROKEN */
    enum stream_state cut; /* how the stream below was seen to end, which it may tell only once */
    unsigned talk_records; /* since bytes came */
    bool sending;
    bool said_goodbye;
    bool mute; /* what OpenSSL still writes would follow a record that was cut */
    stream_watch_fn *watch;
    void *watch_owner;
};

static struct tls_stream *of(struct stream *stream)
{
    return container_of(stream, struct tls_stream, stream);
}

static struct iobufs *bufs_of(struct tls_stream *self)
{
    return &self->stream.loop->bufs;
}

/* --- What OpenSSL has written ---------------------------------------------------------------- */

/* A record is lost, or may be: what came behind it would mean nothing to the peer. */
static void end_sending(struct tls_stream *self)
{
    self->said_goodbye = self->mute = true;
    tls_bufs_drop_out(&self->bufs);
}

/* Sends all of it; *ret_sent_any: some of it may have got through. */
WEIR_SUSPENDS static enum weir_err flush(struct tls_stream *self, struct weir_time deadline,
                                         bool *ret_sent_any)
{
    struct weir_slice slices[TLS_OUT_SLICES];
    enum weir_err err = WEIR_OK;
    while (self->bufs.out && !err) {
        unsigned count;
        size_t sent = 0;
        struct iobuf *first = tls_bufs_take_out(&self->bufs, slices, &count);
        err = stream_send(self->stream.over, slices, count, deadline, &sent);
        *ret_sent_any |= sent > 0;
        tls_bufs_give(&self->bufs, first);
    }
    if (err)
        end_sending(self);
    return err;
}

/* Sends what goes at once. Who is sending sends it anyway. */
static void flush_now(struct tls_stream *self)
{
    struct tls_bufs *bufs = &self->bufs;
    if (self->mute)
        tls_bufs_drop_out(bufs);
    while (!self->sending && self->stream.over && bufs->out) {
        struct iobuf *buf = bufs->out;
        buf->start += (uint32_t)stream_send_now(self->stream.over, iobuf_slice(buf));
        if (buf->start < buf->end)
            return;
        tls_bufs_give(bufs, tls_bufs_pop_out(bufs));
    }
}

/* --- Receiving ------------------------------------------------------------------------------- */

/* The stream cannot go on. To a server an alert of its client's is just an end. */
static void fail(struct tls_stream *self)
{
    char why[TLS_WHY_SIZE];
    enum weir_err err = tls_error(self->ssl, why);
    self->end = STREAM_BROKEN;
    self->failure = err == WEIR_E_TLS_ALERT && !SSL_is_server(self->ssl) ? err : WEIR_E_RESET;
}

static bool has_unread(const struct tls_stream *self)
{
    return self->bufs.in || SSL_pending(self->ssl) > 0;
}

/*
 * OpenSSL wants more after each record of the protocol's own. Who sends nothing else is cut off,
 * and so is who asks for answers and takes none.
 */
static bool is_too_talkative(struct tls_stream *self)
{
    if (has_unread(self) || !tls_bufs_in_record(&self->bufs))
        self->talk_records++;
    return self->talk_records > TALK_RECORDS || self->bufs.out_count > TALK_BUFS;
}

/* Fills the buffer from what has come. */
static void read_into(struct tls_stream *self, struct iobuf *buf)
{
    while (buf->end < IOBUF_BYTES && self->end == STREAM_QUIET && has_unread(self)) {
        size_t got = 0;
        ERR_clear_error();
        int result = SSL_read_ex(self->ssl, buf->bytes + buf->end, IOBUF_BYTES - buf->end, &got);
        int why = result == 1 ? SSL_ERROR_NONE : SSL_get_error(self->ssl, result);
        buf->end += (uint32_t)got;
        if (why == SSL_ERROR_NONE)
            self->talk_records = 0;
        else if (why == SSL_ERROR_ZERO_RETURN)
            self->end = STREAM_ENDED;
        else if (why != SSL_ERROR_WANT_READ || is_too_talkative(self))
            fail(self);
    }
}

/* What is here without asking the stream below: bytes, the end, or nothing. */
static enum stream_state decrypt(struct tls_stream *self, struct iobuf **ret_buf)
{
    struct iobuf *buf = self->plain;
    self->plain = NULL;
    if (!buf && self->end == STREAM_QUIET && has_unread(self)) {
        buf = iobuf_take(bufs_of(self));
        if (!buf) {
            self->end = STREAM_BROKEN;
            self->failure = WEIR_E_NO_MEMORY;
            return self->end;
        }
        read_into(self, buf);
        flush_now(self);
    }
    if (!buf)
        return self->end;
    if (buf->end > buf->start) {
        *ret_buf = buf;
        return STREAM_BYTES;
    }
    iobuf_give(bufs_of(self), &buf);
    return self->end;
}

WEIR_SUSPENDS static enum weir_err tls_recv(struct stream *stream, struct weir_time deadline,
                                            struct iobuf **ret_buf)
{
    struct tls_stream *self = of(stream);
    for (;;) {
        switch (decrypt(self, ret_buf)) {
        case STREAM_BYTES:
            return WEIR_OK;
        case STREAM_ENDED:
            return WEIR_E_EOF;
        case STREAM_BROKEN:
            return self->failure;
        default:
            break;
        }
        if (self->cut != STREAM_QUIET)
            return WEIR_E_RESET;
        enum weir_err err = stream_recv(stream->over, deadline, &self->bufs.in);
        if (err)
            return err == WEIR_E_EOF ? WEIR_E_RESET : err;
    }
}

static enum stream_state look_through(struct tls_stream *self, enum look look,
                                      struct iobuf **ret_buf)
{
    for (;;) {
        enum stream_state state = decrypt(self, ret_buf);
        if (state != STREAM_QUIET || self->cut != STREAM_QUIET)
            return state != STREAM_QUIET ? state : self->cut;
        state = stream_look(self->stream.over, look, &self->bufs.in);
        if (state == STREAM_ENDED || state == STREAM_BROKEN)
            self->cut = state;
        if (state != STREAM_BYTES)
            return state;
    }
}

/* A part of a record may be a part of bytes: that is not quiet, though there are none to show yet.
 */
static enum stream_state tls_look(struct stream *stream, enum look look, struct iobuf **ret_buf)
{
    struct tls_stream *self = of(stream);
    enum stream_state state = look_through(self, look, ret_buf);
    if (state != STREAM_QUIET || !tls_bufs_in_record(&self->bufs))
        return state;
    *ret_buf = iobuf_take(bufs_of(self));
    return *ret_buf ? STREAM_BYTES : STREAM_BROKEN;
}

static bool tls_peer_ended(const struct stream *stream)
{
    const struct tls_stream *self = container_of(stream, const struct tls_stream, stream);
    return self->end != STREAM_QUIET || self->cut != STREAM_QUIET ||
           stream_peer_ended(stream->over);
}

/* Not in the middle of a record: some versions of OpenSSL lose it then (CVE-2024-4741). */
static void free_buffers(struct tls_stream *self)
{
    if (!tls_bufs_in_record(&self->bufs))
        SSL_free_buffers(self->ssl);
}

/* Only what is more than the protocol's own talk is worth a call. */
static void on_below(struct stream *below, void *owner)
{
    struct tls_stream *self = owner;
    struct iobuf *found = NULL;
    must(below == self->stream.over);
    if (!self->plain && look_through(self, LOOK_TOLD, &found) == STREAM_QUIET) {
        free_buffers(self); /* a ticket has used them */
        return;
    }
    if (found)
        self->plain = found;
    self->watch(&self->stream, self->watch_owner);
}

static void tls_watch(struct stream *stream, stream_watch_fn *watch, void *owner)
{
    struct tls_stream *self = of(stream);
    self->watch = watch;
    self->watch_owner = owner;
    if (watch)
        free_buffers(self);
    stream_watch(stream->over, watch ? on_below : NULL, self);
}

/* --- Sending --------------------------------------------------------------------------------- */

static enum weir_err write_record(struct tls_stream *self, struct weir_slice text)
{
    size_t written = 0;
    ERR_clear_error();
    int result = SSL_write_ex(self->ssl, text.at, text.len, &written);
    if (result == 1 && written == text.len)
        return WEIR_OK;
    fail(self);
    return WEIR_E_RESET;
}

/* Makes a few records of it; *ret_bytes of plain text. */
static enum weir_err encrypt(struct tls_stream *self, struct tls_text *text, size_t *ret_bytes)
{
    *ret_bytes = 0;
    for (unsigned i = 0; i < SEND_RECORDS; i++) {
        struct weir_slice record;
        TRY(tls_text_next(text, bufs_of(self), &record));
        if (record.len == 0)
            break;
        TRY(write_record(self, record));
        *ret_bytes += record.len;
    }
    return WEIR_OK;
}

WEIR_SUSPENDS static enum weir_err send_all(struct tls_stream *self, struct tls_text *text,
                                            struct weir_time deadline, size_t *sent_bytes)
{
    for (;;) {
        size_t bytes;
        bool sent_any = false;
        enum weir_err err = encrypt(self, text, &bytes);
        if (!err && bytes == 0)
            return WEIR_OK;
        if (err)
            end_sending(self); /* what was made of it must not go later, when it is given up */
        else
            err = flush(self, deadline, &sent_any);
        if (sent_any)
            *sent_bytes += bytes;
        TRY(err);
    }
}

WEIR_SUSPENDS static enum weir_err tls_send(struct stream *stream, const struct weir_slice *slices,
                                            unsigned count, struct weir_time deadline,
                                            size_t *ret_sent)
{
    struct tls_stream *self = of(stream);
    struct tls_text text;
    size_t sent_bytes = 0;
    must(!self->sending);
    self->sending = true;
    tls_text_init(&text, slices, count);
    enum weir_err err = self->end == STREAM_BROKEN || self->said_goodbye
                            ? WEIR_E_RESET
                            : send_all(self, &text, deadline, &sent_bytes);
    self->sending = false;
    tls_text_fini(&text, bufs_of(self));
    if (ret_sent)
        *ret_sent = sent_bytes;
    return err;
}

static size_t tls_send_now(struct stream *stream, struct weir_slice bytes)
{
    struct tls_stream *self = of(stream);
    if (bytes.len > TLS_RECORD_BYTES)
        bytes.len = TLS_RECORD_BYTES;
    if (self->sending || self->bufs.out || self->end == STREAM_BROKEN || self->said_goodbye ||
        write_record(self, bytes) != WEIR_OK)
        return 0;
    flush_now(self);
    return bytes.len;
}

/* --- The end --------------------------------------------------------------------------------- */

/* RFC 8446 section 6.1: who ends its side says so first. */
static void say_goodbye(struct tls_stream *self)
{
    if (self->said_goodbye || self->end == STREAM_BROKEN || self->sending)
        return;
    self->said_goodbye = true;
    ERR_clear_error();
    (void)SSL_shutdown(self->ssl);
    flush_now(self);
}

WEIR_SUSPENDS static void tls_shut(struct stream *stream, struct weir_time deadline)
{
    struct tls_stream *self = of(stream);
    bool sent_any = false;
    say_goodbye(self);
    if (self->bufs.out && !self->sending) {
        self->sending = true;
        (void)flush(self, deadline, &sent_any);
        self->sending = false;
    }
    stream_shut(stream->over, deadline);
}

/* A session stays good when its connection ends, however it does (RFC 5246 section 7.2.1). */
static void free_ssl(SSL *ssl)
{
    SSL_set_shutdown(ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    SSL_free(ssl);
    ERR_clear_error();
}

static void free_stream(struct tls_stream *self)
{
    tls_bufs_clear(&self->bufs);
    iobuf_give(bufs_of(self), &self->plain);
    if (self->ssl)
        free_ssl(self->ssl);
    slab_free(&self->streams->slab, self);
}

static void tls_close(struct stream **stream, bool reset)
{
    struct tls_stream *self = of(*stream);
    *stream = NULL;
    must(!self->sending);
    if (!reset)
        say_goodbye(self);
    stream_close(&self->stream.over, reset);
    free_stream(self);
}

static enum weir_err tls_peer(struct stream *stream, struct addr *ret_addr)
{
    return stream_peer(stream->over, ret_addr);
}

/* --- From worker to worker ------------------------------------------------------------------- */

/* What came is ciphertext: tells instead what it means. */
static void judge(struct tls_stream *self, struct detached *came)
{
    struct iobuf *found = NULL, *next = came->received;
    enum stream_state state = decrypt(self, &found);
    came->received = NULL;
    while (next) {
        struct iobuf *buf = next;
        next = buf->next;
        buf->next = NULL;
        iobuf_join(bufs_of(self));
        if (state == STREAM_QUIET) {
            self->bufs.in = buf;
            state = decrypt(self, &found);
        } else {
            iobuf_give(bufs_of(self), &buf);
        }
    }
    if (state == STREAM_QUIET && tls_bufs_in_record(&self->bufs))
        found = iobuf_take(bufs_of(self)); /* as tls_look() has it */
    bool is_lost =
        state == STREAM_BROKEN || self->bufs.out || (tls_bufs_in_record(&self->bufs) && !found);
    if (found)
        iobuf_leave(bufs_of(self));
    came->received = found;
    if (came->end == IO_NOTHING && (is_lost || state == STREAM_ENDED))
        came->end = is_lost ? IO_RESET : IO_EOF;
}

WEIR_SUSPENDS static void tls_detach(struct stream **stream, struct stream_parcel *ret_parcel)
{
    struct tls_stream *self = of(*stream);
    *stream = NULL;
    stream_detach(&self->stream.over, ret_parcel);
    judge(self, &ret_parcel->socket);
    ret_parcel->tls = self->ssl;
    self->ssl = NULL;
    free_stream(self);
}

static const struct stream_ops tls_ops = {
    .name = "tls",
    .recv = tls_recv,
    .send = tls_send,
    .look = tls_look,
    .peer_ended = tls_peer_ended,
    .watch = tls_watch,
    .send_now = tls_send_now,
    .shut = tls_shut,
    .detach = tls_detach,
    .peer = tls_peer,
    .close = tls_close,
};

void tls_streams_init(struct tls_streams *streams, struct loop *loop)
{
    slab_init(&streams->slab, "TLS stream", sizeof(struct tls_stream));
    tls_turns_init(&streams->turns, loop);
}

void tls_streams_fini(struct tls_streams *streams)
{
    slab_fini(&streams->slab);
}

/* Takes the SSL object and the stream below, also when memory is out. */
static struct tls_stream *new_stream(struct tls_streams *streams, SSL *ssl, struct stream **below)
{
    struct tls_stream *self = ssl ? slab_alloc(&streams->slab) : NULL;
    if (!self) {
        SSL_free(ssl);
        stream_close(below, true);
        return NULL;
    }
    struct loop *loop = (*below)->loop;
    self->stream = (struct stream){.ops = &tls_ops, .loop = loop, .over = *below};
    self->streams = streams;
    self->ssl = ssl;
    self->end = self->cut = STREAM_QUIET;
    self->bufs.bufs = &loop->bufs;
    *below = NULL;
    return self;
}

enum weir_err tls_adopt(struct tls_streams *streams, struct stream_parcel *parcel,
                        struct stream **stream)
{
    struct tls_stream *self = new_stream(streams, parcel->tls, stream);
    parcel->tls = NULL;
    if (!self)
        return WEIR_E_NO_MEMORY;
    tls_bufs_rejoin(&self->bufs, self->ssl);
    *stream = &self->stream;
    return WEIR_OK;
}

void tls_drop(struct stream_parcel *parcel)
{
    if (parcel->tls)
        free_ssl(parcel->tls);
    parcel->tls = NULL;
}

/* --- The handshake --------------------------------------------------------------------------- */

/* One step: as far as OpenSSL gets with what has come. WEIR_E_TIMEOUT here: it wants more. */
static enum weir_err step(struct tls_stream *self, char ret_why[static TLS_WHY_SIZE])
{
    ERR_clear_error();
    int result = SSL_do_handshake(self->ssl);
    int why = result == 1 ? SSL_ERROR_NONE : SSL_get_error(self->ssl, result);
    if (why == SSL_ERROR_NONE)
        return WEIR_OK;
    if (why == SSL_ERROR_WANT_READ)
        return WEIR_E_TIMEOUT;
    self->end = STREAM_BROKEN;
    return tls_error(self->ssl, ret_why);
}

static enum weir_err ended_early(char ret_why[static TLS_WHY_SIZE])
{
    snprintf(ret_why, TLS_WHY_SIZE, "the peer ended the connection in the middle of the handshake");
    return WEIR_E_TLS_PROTOCOL;
}

WEIR_SUSPENDS static enum weir_err receive_more(struct tls_stream *self, struct weir_time deadline,
                                                char ret_why[static TLS_WHY_SIZE])
{
    enum weir_err err = stream_recv(self->stream.over, deadline, &self->bufs.in);
    if (err != WEIR_E_EOF && err != WEIR_E_RESET)
        return err;
    return ended_early(ret_why);
}

WEIR_SUSPENDS static enum weir_err shake_hands(struct tls_stream *self, struct weir_time deadline,
                                               char ret_why[static TLS_WHY_SIZE])
{
    struct tls_turns *turns = &self->streams->turns;
    bool sent_any = false;
    for (;;) {
        TRY(tls_turns_enter(turns, deadline));
        enum weir_err err = step(self, ret_why);
        tls_turns_leave(turns);
        if (err && err != WEIR_E_TIMEOUT) {
            flush_now(self); /* the alert */
            return err;
        }
        enum weir_err flushed = flush(self, deadline, &sent_any);
        if (flushed || !err)
            return flushed == WEIR_E_RESET ? ended_early(ret_why) : flushed;
        if (!self->bufs.in)
            TRY(receive_more(self, deadline, ret_why));
    }
}

enum weir_err tls_open(struct tls_streams *streams, struct ssl_st *ssl, struct stream **below,
                       struct iobuf **first, struct weir_time deadline,
                       char ret_why[static TLS_WHY_SIZE], struct stream **ret_stream)
{
    struct loop *loop = (*below)->loop;
    snprintf(ret_why, TLS_WHY_SIZE, "%s", "");
    struct tls_stream *self = new_stream(streams, ssl, below);
    if (!self) {
        iobuf_give(&loop->bufs, first);
        return WEIR_E_NO_MEMORY;
    }
    self->bufs.in = *first;
    *first = NULL;
    enum weir_err err = tls_bufs_join(&self->bufs, self->ssl) ? shake_hands(self, deadline, ret_why)
                                                              : WEIR_E_NO_MEMORY;
    struct stream *stream = &self->stream;
    if (err) {
        self->said_goodbye = true; /* there is nothing to end */
        stream_close(&stream, false);
    } else {
        *ret_stream = stream;
    }
    return err;
}

struct tls_facts tls_facts_of(const struct stream *stream)
{
    if (stream->ops != &tls_ops)
        return (struct tls_facts){.version = NULL};
    const SSL *ssl = container_of(stream, const struct tls_stream, stream)->ssl;
    return (struct tls_facts){
        .version = SSL_get_version(ssl),
        .resumed = SSL_session_reused(ssl),
        .is_http2 = tls_alpn_is_http2(ssl),
        .certificate = SSL_get0_peer_certificate(ssl),
        .server_name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name),
    };
}
