/* SPDX-License-Identifier: MIT */
#include "downstream/greet.h"

#include "base/check.h"
#include "base/log.h"
#include "base/slice.h"
#include "downstream/client_h2.h"
#include "stream/preface.h"
#include "stream/tls_alpn.h"

#include <string.h>

/* What a client of HTTP/2 begins with (RFC 9113 section 3.4). */
static const struct weir_slice http2_preface = {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 24};

/* The first byte of every record of a handshake (RFC 8446 section 5.1). */
enum { HANDSHAKE_RECORD = 22 };

const char *greeting_name(enum greeting greeting)
{
    static const char *const names[] = {
        [GREETING_FULL] = "full",     [GREETING_RESUMED] = "resumed",
        [GREETING_FAILED] = "failed", [GREETING_TIMEOUT] = "timeout",
        [GREETING_PLAIN] = "plain",   [GREETING_BAD_PREFACE] = "bad_preface",
    };
    return names[greeting];
}

static struct iobufs *bufs_of(const struct client *client)
{
    return &client->downstream->loop->bufs;
}

static void note(struct client *client, enum greeting greeting)
{
    stat_add(&client->downstream->greetings[greeting], 1);
}

/* That weir stops is nobody's failure. */
static void note_failure(struct client *client, enum weir_err err)
{
    if (err != WEIR_E_CANCELED)
        note(client, err == WEIR_E_TIMEOUT ? GREETING_TIMEOUT : GREETING_FAILED);
}

void client_note_silence(struct client *client)
{
    if (client->listening->tls || client->listening->expects_preface)
        note(client, client->listening->tls ? GREETING_TIMEOUT : GREETING_BAD_PREFACE);
}

/* Receives behind what is there already; what finds no room there is linked behind it. */
WEIR_SUSPENDS static enum weir_err receive(struct client *client, struct weir_time deadline,
                                           struct iobuf **buf)
{
    struct iobuf *came = NULL;
    if (*buf && (*buf)->next)
        return WEIR_E_LIMIT;
    TRY(stream_recv(client->stream, deadline, &came));
    if (!*buf) {
        *buf = came;
        return WEIR_OK;
    }
    size_t room = IOBUF_BYTES - (*buf)->end;
    struct weir_slice bytes = iobuf_slice(came);
    size_t len = bytes.len < room ? bytes.len : room;
    memcpy((*buf)->bytes + (*buf)->end, bytes.at, len);
    (*buf)->end += (uint32_t)len;
    came->start += (uint32_t)len;
    if (len == bytes.len)
        iobuf_give(bufs_of(client), &came);
    (*buf)->next = came;
    return WEIR_OK;
}

static bool is_ip(const struct addr *addr)
{
    return addr->len > 0 && !addr_is_local(addr);
}

/* An IP that the preface tells is the client's from now on. */
static void believe(struct client *client, const struct preface *preface)
{
    if (is_ip(&preface->source))
        client->from = preface->source;
    if (!is_ip(&preface->destination))
        return;
    if (!client->local)
        client->local = slab_alloc(&client->downstream->addr_slab);
    if (client->local) /* else the listener's own will have to do */
        *client->local = preface->destination;
}

WEIR_SUSPENDS static enum weir_err take_preface(struct client *client, struct weir_time deadline,
                                                struct iobuf **buf)
{
    struct preface preface;
    for (;;) {
        size_t used = 0;
        enum preface_result result = PREFACE_MORE;
        if (*buf)
            result = preface_parse(iobuf_slice(*buf), &preface, &used);
        if (result == PREFACE_BAD)
            return WEIR_E_REQUEST_MALFORMED;
        if (result == PREFACE_MORE) {
            TRY(receive(client, deadline, buf));
            continue;
        }
        believe(client, &preface);
        (*buf)->start += (uint32_t)used;
        if ((*buf)->start == (*buf)->end)
            iobuf_give(bufs_of(client), buf);
        return WEIR_OK;
    }
}

static void tell(const struct client *client, const char *what, const char *why)
{
    char text[ADDR_TEXT_SIZE];
    LOG_LIMITED(LOG_NOTICE, "client %s: %s: %s", addr_print_ip(&client->from, text), what, why);
}

static enum alpn alpn_of(const struct listener_options *listening)
{
    return (enum alpn)((listening->speaks_h1 ? ALPN_HTTP_1 : 0) |
                       (listening->speaks_h2 ? ALPN_HTTP_2 : 0));
}

WEIR_SUSPENDS static enum weir_err start_tls(struct client *client, struct weir_time deadline,
                                             struct iobuf **buf)
{
    struct downstream *downstream = client->downstream;
    char why[TLS_WHY_SIZE];
    if ((*buf)->next) /* a preface came in parts, and more than a buffer behind it */
        return WEIR_E_LIMIT;
    struct ssl_st *ssl = tls_server_ssl(client->listening->tls);
    if (ssl)
        tls_alpn_allow(ssl, alpn_of(client->listening));
    stream_watch(client->stream, NULL, NULL);
    enum weir_err err = tls_open(&downstream->streams->tls, ssl, &client->stream, buf, deadline,
                                 why, &client->stream);
    if (err)
        note_failure(client, err);
    else
        note(client, tls_facts_of(client->stream).resumed ? GREETING_RESUMED : GREETING_FULL);
    if (err && *why)
        tell(client, "TLS", why);
    return err;
}

/* TLS, unless the first byte says that it is something else. */
WEIR_SUSPENDS static enum weir_err expect_tls(struct client *client, struct weir_time deadline,
                                              struct iobuf **buf)
{
    enum weir_err err = *buf ? WEIR_OK : receive(client, deadline, buf);
    if (err) {
        note_failure(client, err);
        return err;
    }
    char first = *iobuf_slice(*buf).at;
    if (first == HANDSHAKE_RECORD)
        return start_tls(client, deadline, buf);
    /* A method begins with a letter; what does not is not HTTP, and understands no answer. */
    if (first < 'A' || first > 'Z') {
        note(client, GREETING_FAILED);
        return WEIR_E_REQUEST_MALFORMED;
    }
    note(client, GREETING_PLAIN);
    client->complaint = WEIR_E_TLS_EXPECTED;
    return WEIR_OK;
}

/*
 * Enough to know whether HTTP/2 is spoken, as a client may that knows of it beforehand (RFC 9113
 * section 3.3). Who says less than that is left to HTTP/1.
 */
WEIR_SUSPENDS static enum weir_err expect_http2(struct client *client, struct weir_time deadline,
                                                struct iobuf **buf)
{
    if (!*buf)
        TRY(receive(client, deadline, buf));
    for (;;) {
        struct weir_slice came = iobuf_slice(*buf);
        if (came.len >= http2_preface.len || !slice_starts(http2_preface, came))
            return WEIR_OK;
        enum weir_err err = receive(client, deadline, buf);
        if (err)
            return err == WEIR_E_CANCELED ? err : WEIR_OK;
    }
}

WEIR_SUSPENDS static enum weir_err greet(struct client *client, struct iobuf **buf)
{
    const struct listener_options *listening = client->listening;
    struct downstream *downstream = client->downstream;
    struct weir_time deadline =
        loop_deadline(downstream->loop, listening->tls ? listening->tls->options.handshake_timeout
                                                       : downstream->client->header_timeout);
    if (listening->expects_preface) {
        enum weir_err err = take_preface(client, deadline, buf);
        if (err == WEIR_E_CANCELED)
            return err;
        if (err) {
            note(client, GREETING_BAD_PREFACE);
            tell(client, "PROXY preface",
                 err == WEIR_E_REQUEST_MALFORMED ? "there is none" : weir_err_text(err));
            return err;
        }
    }
    if (listening->tls)
        TRY(expect_tls(client, deadline, buf));
    else if (listening->speaks_h2)
        return expect_http2(client, deadline, buf);
    return WEIR_OK;
}

/* A request that is whole enough to be told that HTTP/1 is not spoken here. */
static bool looks_like_http1(struct weir_slice bytes)
{
    return memmem(bytes.at, bytes.len, "HTTP/1.", 7);
}

static bool is_http2(const struct client *client, const struct iobuf *buf)
{
    const struct listener_options *listening = client->listening;
    if (tls_facts_of(client->stream).version)
        return tls_facts_of(client->stream).is_http2;
    if (listening->tls || !listening->speaks_h2 || !buf)
        return false;
    return slice_starts(iobuf_slice(buf), http2_preface) ||
           (!listening->speaks_h1 && !looks_like_http1(iobuf_slice(buf)));
}

enum client_next client_greet(struct client *client)
{
    struct iobuf *buf = NULL;
    client->greeting = client->greeted = true;
    enum weir_err err = greet(client, &buf);
    client->greeting = false;
    if (err) {
        iobuf_give_all(bufs_of(client), &buf);
        return CLIENT_CLOSE;
    }
    if (is_http2(client, buf)) {
        client_open_h2(client, &buf);
        return CLIENT_HTTP2;
    }
    if (client->listening->speaks_h2 && !client->listening->speaks_h1 && !client->complaint)
        client->complaint = WEIR_E_REQUEST_VERSION;
    h1_wire_init(&client->wire, client->stream, WIRE_REQUESTS);
    h1_out_init(&client->out, client->stream);
    if (buf)
        h1_wire_put(&client->wire, &buf);
    return CLIENT_NEXT_REQUEST;
}
