/* SPDX-License-Identifier: MIT */
#include "client/peer.h"

#include "base/check.h"
#include "base/slice.h"
#include "client/url.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static _Atomic uint64_t next_number = 1;

void weir_peer_options_init(struct weir_peer_options *options)
{
    struct peer_options peer;
    peer_options_init(&peer);
    *options = (struct weir_peer_options){
        .protocol = WEIR_HTTP1,
        .verify_cert = true,
        .verify_hostname = true,
        .connection_timeout = peer.limits.connection_timeout,
        .total_connection_timeout = peer.limits.total_connection_timeout,
        .read_timeout = peer.limits.read_timeout,
        .write_timeout = peer.limits.write_timeout,
        .idle_timeout = peer.limits.idle_timeout,
        .max_connection_age = peer.limits.max_connection_age,
        .max_requests_per_connection = peer.limits.max_requests_per_connection,
        .max_connections = peer.limits.max_connections,
        .queue_size = peer.limits.queue_size,
        .queue_timeout = peer.limits.queue_timeout,
        .max_dials = peer.limits.max_dials,
        .max_streams = peer.h2.max_streams,
        .learn = peer.limits.learn,
    };
}

/* A failure, with a sentence for whoever asked for one. */
static enum weir_err refuse(char *ret_why, enum weir_err err, const char *what, const char *why)
{
    if (ret_why)
        (void)snprintf(ret_why, WEIR_WHY_BYTES, "%s: %s", what, why);
    return err;
}

/* --- Its memory ------------------------------------------------------------------------------ */

enum { STRINGS = 7 };

static void strings_of(struct weir_peer_options *options, const char **ret_strings[static STRINGS])
{
    const char **strings[STRINGS] = {
        &options->url,       &options->bind_to,  &options->sni,           &options->ca_file,
        &options->cert_file, &options->key_file, &options->alternative_cn};
    memcpy(ret_strings, strings, sizeof strings);
}

static bool copy_strings(struct weir_peer_options *options)
{
    const char **strings[STRINGS];
    bool whole = true;
    strings_of(options, strings);
    for (unsigned i = 0; i < STRINGS; i++) {
        const char *from = *strings[i];
        *strings[i] = from ? strdup(from) : NULL;
        whole = whole && (!from || *strings[i]);
    }
    return whole;
}

static void peer_free(struct weir_peer *peer)
{
    const char **strings[STRINGS];
    strings_of(&peer->given, strings);
    for (unsigned i = 0; i < STRINGS; i++)
        free((char *)*strings[i]);
    tls_client_free(peer->tls);
    trust_release(&peer->trust);
    free(peer->host);
    free(peer);
}

void client_peer_hold(struct weir_peer *peer)
{
    must(atomic_fetch_add(&peer->holds, 1) > 0);
}

void client_peer_let_go(struct weir_peer *peer)
{
    unsigned before = atomic_fetch_sub(&peer->holds, 1);
    must(before > 0);
    if (before == 1)
        peer_free(peer);
}

bool client_peer_is_wanted(const struct weir_peer *peer)
{
    return atomic_load(&peer->users) > 0;
}

struct weir_peer *weir_peer_ref(struct weir_peer *peer)
{
    must(atomic_fetch_add(&peer->users, 1) > 0);
    return peer;
}

void weir_peer_free(struct weir_peer **peer)
{
    if (!*peer)
        return;
    unsigned before = atomic_fetch_sub(&(*peer)->users, 1);
    must(before > 0);
    if (before == 1)
        client_peer_let_go(*peer);
    *peer = NULL;
}

const char *weir_peer_url(const struct weir_peer *peer)
{
    return peer->given.url;
}

/* --- What it is made of ---------------------------------------------------------------------- */

static enum weir_err set_tls(struct weir_peer *peer, char *ret_why)
{
    const struct weir_peer_options *given = &peer->given;
    struct tls_client_options tls;
    struct tls_fault fault;
    tls_client_options_init(&tls);
    tls.verify_cert = given->verify_cert;
    tls.verify_hostname = given->verify_hostname;
    tls.alternative_cn = given->alternative_cn;
    tls.cert_file = given->cert_file;
    tls.key_file = given->key_file;
    tls.trust_file = given->ca_file ? given->ca_file : TRUST_FILE;
    if (!tls.cert_file != !tls.key_file)
        return refuse(ret_why, WEIR_E_CONFIG, "cert_file", "it goes with a key_file");
    if (tls.verify_cert && !(peer->trust = trust_get(tls.trust_file, &fault)))
        return refuse(ret_why, WEIR_E_CONFIG, fault.key, fault.why);
    peer->tls = tls_client_new(&tls, peer->trust ? peer->trust->store : NULL,
                               peer->trust ? &peer->trust->digest : NULL, &fault);
    if (!peer->tls)
        return refuse(ret_why, WEIR_E_CONFIG, fault.key, fault.why);
    peer->options.tls = peer->tls;
    peer->options.tls_name = given->sni ? given->sni : peer->host;
    return WEIR_OK;
}

static void set_limits(struct weir_peer *peer)
{
    const struct weir_peer_options *given = &peer->given;
    struct peer_limits *limits = &peer->options.limits;
    limits->connection_timeout = given->connection_timeout;
    limits->total_connection_timeout = given->total_connection_timeout;
    limits->read_timeout = given->read_timeout;
    limits->write_timeout = given->write_timeout;
    limits->idle_timeout = given->idle_timeout;
    limits->max_connection_age = given->max_connection_age;
    limits->max_requests_per_connection = given->max_requests_per_connection;
    limits->max_connections = given->max_connections;
    limits->queue_size = given->queue_size;
    limits->queue_timeout = given->queue_timeout;
    limits->max_dials = given->max_dials;
    limits->learn = given->learn;
    peer->options.h2.max_streams = given->max_streams;
    peer->options.group_key = given->group_key;
}

/* h2c:// says it; and without TLS nobody picks. */
static void set_protocol(struct weir_peer *peer, enum url_scheme scheme)
{
    static const enum peer_protocol protocols[] = {
        [WEIR_HTTP1] = PEER_HTTP1, [WEIR_HTTP2] = PEER_HTTP2, [WEIR_HTTP_AUTO] = PEER_AUTO};
    peer->options.protocol = protocols[peer->given.protocol];
    if (scheme == SCHEME_H2C)
        peer->options.protocol = PEER_HTTP2;
    else if (peer->options.protocol == PEER_AUTO && scheme != SCHEME_HTTPS)
        peer->options.protocol = PEER_HTTP1;
}

static enum weir_err set_source(struct weir_peer *peer, char *ret_why)
{
    const char *text = peer->given.bind_to;
    struct peer_options *options = &peer->options;
    if (!text)
        return WEIR_OK;
    if (addr_parse_ip(slice_str(text), &options->source) != WEIR_OK)
        return refuse(ret_why, WEIR_E_ADDRESS, text, "not an IP address without a port");
    if (!peer->host && options->addr.any.sa_family != options->source.any.sa_family)
        return refuse(ret_why, WEIR_E_ADDRESS, text, "not of the same kind as the server's");
    return WEIR_OK;
}

static enum weir_err set_address(struct weir_peer *peer, const struct url *url, char *ret_why)
{
    peer->options.addr = url->addr;
    peer->options.transport = url->transport;
    if (custom_is_any(&url->transport)) /* the end of the URL, which the peer has */
        peer->options.transport_address = url->transport_address.at;
    peer->authority = url->authority.len > 0 ? url->authority : SLICE("localhost");
    if (!url->host[0])
        return WEIR_OK;
    peer->port = url->port;
    peer->host = strdup(url->host);
    return peer->host ? WEIR_OK : refuse(ret_why, WEIR_E_NO_MEMORY, "peer", "out of memory");
}

static enum weir_err fill(struct weir_peer *peer, char *ret_why)
{
    struct url url;
    peer_options_init(&peer->options);
    if (!copy_strings(&peer->given))
        return refuse(ret_why, WEIR_E_NO_MEMORY, "peer", "out of memory");
    const char *text = peer->given.url ? peer->given.url : "";
    const char *why = url_read(slice_str(text), &url);
    if (why)
        return refuse(ret_why, why == url.said ? WEIR_E_TRANSPORT : WEIR_E_ADDRESS, text, why);
    if (peer->given.protocol > WEIR_HTTP_AUTO || peer->given.max_streams == 0)
        return refuse(ret_why, WEIR_E_CONFIG, text, "no such protocol, or no streams");
    TRY(set_address(peer, &url, ret_why));
    TRY(set_source(peer, ret_why));
    set_limits(peer);
    set_protocol(peer, url.scheme);
    return url.scheme == SCHEME_HTTPS ? set_tls(peer, ret_why) : WEIR_OK;
}

enum weir_err weir_peer_new(const struct weir_peer_options *options, char ret_why[WEIR_WHY_BYTES],
                            struct weir_peer **ret_peer)
{
    struct weir_peer *peer = calloc(1, sizeof *peer);
    if (!peer)
        return refuse(ret_why, WEIR_E_NO_MEMORY, "peer", "out of memory");
    peer->given = *options;
    peer->number = atomic_fetch_add_explicit(&next_number, 1, memory_order_relaxed);
    atomic_init(&peer->users, 1);
    atomic_init(&peer->holds, 1);
    enum weir_err err = fill(peer, ret_why);
    if (err)
        peer_free(peer);
    else
        *ret_peer = peer;
    return err;
}
