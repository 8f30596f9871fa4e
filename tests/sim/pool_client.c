/* SPDX-License-Identifier: MIT */
#include "tests/sim/pool_play.h"

#include "base/check.h"
#include "base/slice.h"
#include "co/wait.h"
#include "upstream/retry.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static struct weir_slice number_text(char text[24], uint64_t number)
{
    return slice_of(text, (size_t)snprintf(text, 24, "%" PRIu64, number));
}

static uint64_t number_field(const struct fields *fields, struct weir_slice name)
{
    const struct field *field = fields_find_name(fields, name);
    uint64_t number = UINT64_MAX;
    if (!field || !slice_to_u64(field->value, &number))
        return UINT64_MAX;
    return number;
}

static void write_request(struct client *self)
{
    struct rand *rand = &self->play->world.rand;
    static const char *const methods[] = {"GET", "GET", "GET", "HEAD", "POST", "PUT", "POST"};
    const char *method = methods[rand_below(rand, self->polite ? 4 : COUNT_OF(methods))];
    struct http_request *request = &self->request;
    *request = (struct http_request){.minor = 1, .path = SLICE("/")};
    request->method_text = slice_str(method);
    request->method = http_method_of(request->method_text);
    fields_init(&request->fields);
    self->nonce = ++self->play->next_nonce;
    bool has_body = method[0] == 'P';
    self->body_len = has_body ? rand_below(rand, BODY_MAX + 1) : 0;
    self->sent_chunked = has_body && rand_below(rand, 2);
    for (size_t i = 0; i < self->body_len; i++)
        self->body[i] = origin_body_byte(self->nonce, false, i);
    struct fields *fields = &request->fields;
    must(fields_add(fields, SLICE("Host"), SLICE("sim")));
    must(fields_add(fields, SLICE("X-Nonce"), number_text(self->nonce_text, self->nonce)));
    must(fields_add(fields, SLICE("X-Key"),
                    number_text(self->key_text, self->peer->options.group_key)));
    struct weir_slice len = number_text(self->len_text, self->body_len);
    must(fields_add(fields, SLICE("X-Len"), len));
    if (sim_chance(&self->play->world, self->polite ? 0 : 20))
        must(fields_add(fields, SLICE("Connection"), SLICE("close")));
    if (self->sent_chunked)
        must(fields_add(fields, SLICE("Transfer-Encoding"), SLICE("chunked")));
    else if (has_body)
        must(fields_add(fields, SLICE("Content-Length"), len));
}

WEIR_SUSPENDS static enum weir_err send_body(struct client *self)
{
    struct rand *rand = &self->play->world.rand;
    size_t at = 0;
    do {
        size_t some = 1 + rand_below(rand, BODY_MAX);
        if (some > self->body_len - at)
            some = self->body_len - at;
        struct http_piece piece = {.count = some > 0, .bytes = some};
        piece.slices[0] = slice_of(self->body + at, some);
        at += some;
        piece.last = at == self->body_len;
        TRY(session_send_piece(self->session, &piece));
    } while (at < self->body_len);
    return WEIR_OK;
}

WEIR_SUSPENDS static enum weir_err send_request(struct client *self)
{
    struct http_framing framing = {.body = BODY_NONE};
    if (self->request.method == METHOD_POST || self->request.method == METHOD_PUT) {
        framing.body = self->sent_chunked ? BODY_CHUNKED : BODY_LENGTH;
        framing.length = self->sent_chunked ? 0 : self->body_len;
    }
    TRY(session_send_head(self->session, &self->request, &framing));
    if (framing.body == BODY_NONE || (framing.body == BODY_LENGTH && framing.length == 0))
        return session_flush(self->session);
    return send_body(self);
}

/*
 * A response must repeat the nonce. One that nobody had asked for may have been under way when the
 * connection was taken, which no client of HTTP/1 can know; where an origin did that, and only
 * there, the connection's further responses prove nothing.
 */
static bool is_mine(struct client *self)
{
    uint64_t nonce = number_field(&self->response.fields, SLICE("X-Nonce"));
    uint64_t connection = number_field(&self->response.fields, SLICE("X-Conn"));
    rules_check_identity(self, connection);
    if (nonce == self->nonce)
        return true;
    size_t origin = self->peer_number / KEYS_PER_ORIGIN;
    must(self->play->origins[origin].tainted[connection]);
    must(self->session->story.source != SOURCE_NEW);
    self->play->tally->unchecked++;
    return false;
}

static void check_piece(struct client *self, const struct http_piece *piece)
{
    size_t bytes = 0;
    for (unsigned i = 0; i < piece->count; i++) {
        must(piece->slices[i].len > 0);
        for (size_t j = 0; j < piece->slices[i].len; j++)
            must(piece->slices[i].at[j] ==
                 origin_body_byte(self->nonce, true, self->got + bytes++));
    }
    must(bytes == piece->bytes);
    self->got += bytes;
}

WEIR_SUSPENDS static enum weir_err recv_response(struct client *self)
{
    do
        TRY(session_recv_head(self->session, &self->response, &self->framing));
    while (http_status_is_interim(self->response.status));
    bool mine = is_mine(self);
    self->says_close = fields_list_has(&self->response.fields, FIELD_CONNECTION, SLICE("close"));
    uint64_t len = number_field(&self->response.fields, SLICE("X-Len"));
    struct http_piece piece = {.last = false};
    self->got = 0;
    while (!piece.last && self->framing.body != BODY_NONE) {
        TRY(session_recv_piece(self->session, WEIR_NEVER, &piece));
        if (mine)
            check_piece(self, &piece);
        if (!piece.last && sim_chance(&self->play->world, self->polite ? 0 : 20))
            return WEIR_E_CLIENT_GONE;
    }
    /* Only a body that ends with its connection may be cut without anyone knowing. */
    must(!mine || self->got == len || (self->framing.body == BODY_UNTIL_CLOSE && self->got < len));
    self->done = true;
    return WEIR_OK;
}

/* Whether the exchange left its connection fit for another, as far as the client saw it. */
static bool is_fit(const struct client *self)
{
    if (!self->began)
        return true;
    return self->done && self->session->request_sent && !self->says_close &&
           self->framing.body != BODY_UNTIL_CLOSE &&
           !fields_list_has(&self->request.fields, FIELD_CONNECTION, SLICE("close"));
}

static void release(struct client *self, bool keep)
{
    uint64_t connection = self->connection;
    bool fit = self->session && keep && is_fit(self);
    bool drained = self->session && self->peer->drained;
    self->play->tally->puts += self->session != NULL;
    session_release(&self->session, keep);
    self->connection = 0;
    rules_check(self->play);
    list_each (link, &self->part->pool.conns)
        must(!drained || container_of(link, struct conn, all_link)->id != connection);
    list_each (link, &self->part->pool.idle)
        must(fit || container_of(link, struct conn, idle_link)->id != connection);
}

/* A sibling of the peer may have been the first to connect. */
static void follow_peer(struct client *self)
{
    struct peer *asked = self->peer, *got = self->session->conn->peer;
    self->play->tally->siblings += got != asked;
    self->peer = peer_ref(got);
    self->peer_number = got->options.upstream_number;
    peer_unref(asked);
}

WEIR_SUSPENDS static enum weir_err attempt(struct client *self, enum connector_want want)
{
    struct play *play = self->play;
    struct weir_time deadline =
        loop_deadline(&self->part->loop, self->peer->options.limits.total_connection_timeout);
    bool drained = self->peer->drained;
    enum weir_err err =
        connector_get(&self->part->pool, self->peer, want, deadline, &self->session);
    must(!drained || err == WEIR_E_PEER_DRAINED);
    TRY(err);
    follow_peer(self);
    play->gets++;
    self->began = self->done = false;
    self->got = 0;
    self->connection = self->session->story.connection_id;
    rules_check_taken(self);
    must(want == CONNECTOR_ANY || self->session->story.source == SOURCE_NEW);
    rules_check(play);
    if (sim_chance(&play->world, self->polite ? 0 : 10))
        return WEIR_E_CLIENT_GONE; /* nothing was sent: it may well be kept */
    self->began = true;
    err = send_request(self);
    if (!err || weir_err_retry(err) == WEIR_RETRY_IF_REUSED)
        err = recv_response(self);
    return err;
}

/* As a proxy does: docs/reuse.md. */
static bool may_replay(struct client *self, enum weir_err err, unsigned attempts)
{
    struct session *session = self->session;
    struct retry_facts facts = {
        .err = err,
        .connected = session != NULL,
        .head_sent = self->got > 0,
        .any_received = session && session->any_received,
        .any_sent = session && session->any_sent,
        .reused = session && session->story.source != SOURCE_NEW,
        .body_whole = true,
        .method = self->request.method,
        .attempts = attempts,
        .attempts_max = 2,
    };
    bool stale = facts.reused && (err == WEIR_E_EOF || err == WEIR_E_RESET);
    self->play->tally->stale += stale;
    bool allowed = retry_is_allowed(retry_decide(&facts));
    /* The end of a reused connection before any byte is no error for who may ask again. */
    if (stale && !facts.any_received && http_method_is_idempotent(facts.method))
        must(allowed);
    if (allowed && facts.reused) {
        struct weir_time broken = session->released_before;
        pool_close_idle_since(&self->part->pool, self->peer, broken);
        list_each (link, &self->part->pool.idle) {
            const struct conn *conn = container_of(link, struct conn, idle_link);
            must(conn->key != session->conn->key || weir_time_before(broken, conn->released));
        }
    }
    return allowed;
}

static void count_end(struct client *self, enum weir_err err)
{
    struct tally *tally = self->play->tally;
    tally->requests++;
    tally->answered += !err;
    tally->canceled += err == WEIR_E_CANCELED;
    tally->failed += err && err != WEIR_E_CANCELED && err != WEIR_E_CLIENT_GONE;
    bool drained = err == WEIR_E_PEER_DRAINED;
    must(!drained || self->peer->drained);
    if (self->polite && err && !drained)
        fprintf(stderr, "# client %u: %s\n", self->number, weir_err_name(err));
    /* Who only ends idle connections breaks nobody's GET. */
    must(!self->polite || !err || drained);
}

WEIR_SUSPENDS static enum weir_err exchange_with_peer(struct client *self)
{
    enum connector_want want = CONNECTOR_ANY;
    struct play *play = self->play;
    self->got = 0;
    write_request(self);
    for (unsigned attempts = 0;; attempts++) {
        enum weir_err err = attempt(self, want);
        /* A drained server's request goes to another one, and here is none. */
        bool again = err && err != WEIR_E_PEER_DRAINED && may_replay(self, err, attempts);
        want = self->session ? CONNECTOR_FRESH : CONNECTOR_ANY;
        release(self, !err || sim_chance(&play->world, 500));
        if (!again) {
            count_end(self, err);
            return err;
        }
        play->tally->replayed++;
    }
}

WEIR_SUSPENDS static enum weir_err exchange(struct client *self)
{
    struct play *play = self->play;
    self->peer_number = (unsigned)rand_below(&play->world.rand, play->peer_count);
    struct peer *peer = self->part->peers[self->peer_number];
    if (!peer)
        return WEIR_OK; /* nobody to ask */
    self->peer = peer_ref(peer);
    enum weir_err err = exchange_with_peer(self);
    peer = self->peer;
    self->peer = NULL;
    peer_unref(peer);
    return err;
}

static void run_client(void *argument)
{
    struct client *self = argument;
    struct play *play = self->play;
    enum weir_err err = WEIR_OK;
    while (self->requests_left-- > 0 && err != WEIR_E_CANCELED) {
        static const int64_t rests_ns[] = {0, 1, 100000, 5000000, 100000000, 2000000000};
        int64_t most = rests_ns[rand_below(&play->world.rand, COUNT_OF(rests_ns))];
        if (most > 0)
            err = co_sleep(weir_span_ns((int64_t)rand_below(&play->world.rand, (uint64_t)most)));
        if (err != WEIR_E_CANCELED)
            err = exchange(self);
    }
    play->clients[self->number] = NULL;
    play->clients_alive--;
    free(self);
}

void client_start(struct play *play, unsigned number)
{
    struct client *client = calloc(1, sizeof *client);
    must(client);
    client->play = play;
    client->number = number;
    client->polite = play->polite;
    client->requests_left = 1 + (unsigned)rand_below(&play->world.rand, 20);
    play->clients[number] = client;
    client->part = &play->parts[rand_below(&play->world.rand, play->part_count)];
    play->clients_alive++;
    must(co_spawn(&client->part->loop.sched, NULL, "client", run_client, client, &client->co) ==
         WEIR_OK);
}
