/* SPDX-License-Identifier: MIT */
#include "proxy/relay.h"

#include "base/check.h"
#include "co/wait.h"

void upload_init(struct upload *upload, struct exchange *exchange, struct session *session,
                 struct replay *replay)
{
    *upload = (struct upload){
        .exchange = exchange,
        .session = session,
        .replay = replay,
        .kept = replay ? replay->first : NULL,
        .receiver = co_self(),
        .moved = loop_now(exchange->loop),
        .done = true,
    };
    scope_init(&upload->scope);
}

WEIR_SUSPENDS static enum weir_err pass(struct upload *upload, const struct http_piece *piece)
{
    TRY(session_send_piece(upload->session, piece));
    upload->done = piece->last;
    upload->moved = loop_now(upload->exchange->loop);
    return WEIR_OK;
}

/* What an earlier try had received goes out again, in as few pieces as it fits. */
WEIR_SUSPENDS static enum weir_err pass_kept(struct upload *upload)
{
    struct replay *replay = upload->replay;
    const struct replay_part *part = upload->kept;
    while (part) {
        struct http_piece piece = {.count = 0};
        for (; part && piece.count < PIECE_SLICES; part = part->next) {
            piece.slices[piece.count++] = part->bytes;
            piece.bytes += part->bytes.len;
        }
        piece.last = !part && replay->complete;
        TRY(pass(upload, &piece));
    }
    return WEIR_OK;
}

static void keep_for_replay(struct upload *upload, const struct http_piece *piece)
{
    if (!upload->replay)
        return;
    /* A second try follows when a reused connection breaks, or a server of HTTP/2 did nothing. */
    const struct session_story *story = &upload->session->story;
    if (story->source == SOURCE_NEW && story->protocol != HTTP_2)
        replay_drop(upload->replay);
    replay_keep(upload->replay, piece);
}

/* What is here goes with the head; when nothing is, the head goes before the client is waited for.
 */
WEIR_SUSPENDS static enum weir_err next_of_request(struct upload *upload,
                                                   struct http_piece *ret_piece)
{
    TRY(exchange_piece_now(upload->exchange, ret_piece));
    if (!piece_is_nothing(ret_piece))
        return WEIR_OK;
    TRY(session_flush(upload->session));
    return exchange_recv_piece(upload->exchange, ret_piece);
}

WEIR_SUSPENDS static enum weir_err keep_and_pass(struct upload *upload,
                                                 const struct http_piece *piece)
{
    keep_for_replay(upload, piece);
    return pass(upload, piece);
}

/* One turn of a piece: *ret_kept, it is kept now, where anything is. */
WEIR_SUSPENDS static enum weir_err filter_and_pass(struct upload *upload,
                                                   const struct http_piece *piece, unsigned turn,
                                                   bool *ret_kept)
{
    struct http_piece changed;
    *ret_kept = false;
    TRY(body_filter_piece(upload->filter, piece, turn, &changed));
    *ret_kept = true;
    return piece_is_nothing(&changed) ? WEIR_OK : keep_and_pass(upload, &changed);
}

/* What stops in the middle of a piece is not to be sent again without the rest of it. */
WEIR_SUSPENDS static enum weir_err filter_all(struct upload *upload, const struct http_piece *piece)
{
    unsigned turns = body_filter_turns(piece);
    enum weir_err err = WEIR_OK;
    bool kept = true;
    for (unsigned turn = 0; turn < turns && !err; turn++) {
        err = filter_and_pass(upload, piece, turn, &kept);
        kept = kept && turn + 1 == turns;
    }
    if (err && !kept && upload->replay)
        replay_drop(upload->replay);
    return err;
}

/* What the client has sent. */
WEIR_SUSPENDS static enum weir_err pass_received(struct upload *upload,
                                                 const struct http_piece *piece)
{
    if (upload->mirrored)
        kept_add(upload->mirrored, piece);
    return upload->filter ? filter_all(upload, piece) : keep_and_pass(upload, piece);
}

/* Until all is sent or one side fails. */
WEIR_SUSPENDS static enum weir_err pass_all(struct upload *upload)
{
    struct http_piece piece;
    TRY(pass_kept(upload));
    while (!upload->done) {
        TRY(next_of_request(upload, &piece));
        TRY(pass_received(upload, &piece));
    }
    return WEIR_OK;
}

WEIR_SUSPENDS static void run(void *argument)
{
    struct upload *upload = argument;
    enum weir_err err = pass_all(upload);
    bool server_ended = weir_err_retry(err) == WEIR_RETRY_IF_REUSED;
    if (!err || err == WEIR_E_CANCELED || server_ended)
        return;
    upload->failure = err;
    co_cancel(upload->receiver);
}

enum weir_err upload_start(struct upload *upload)
{
    upload->done = false;
    return scope_spawn(&upload->scope, "upload", run, upload);
}

enum weir_err upload_end(struct upload *upload, enum weir_err err)
{
    if (!scope_is_empty(&upload->scope)) {
        scope_cancel(&upload->scope);
        enum weir_err joined = scope_join(&upload->scope);
        if (!err && !upload->failure)
            err = joined;
    }
    if (!upload->failure)
        return err;
    co_uncancel();
    return err == WEIR_E_CANCELED ? upload->failure : err;
}

enum weir_err relay_piece(struct exchange *exchange, const struct http_piece *piece,
                          struct body_filter *filter)
{
    struct http_piece changed;
    if (!filter)
        return exchange_send_piece(exchange, piece);
    for (unsigned turn = 0; turn < body_filter_turns(piece); turn++) {
        TRY(body_filter_piece(filter, piece, turn, &changed));
        if (!piece_is_nothing(&changed))
            TRY(exchange_send_piece(exchange, &changed));
    }
    return WEIR_OK;
}

enum weir_err relay_download(struct exchange *exchange, struct session *session, bool keep,
                             struct body_filter *filter)
{
    struct http_piece piece;
    do {
        /* What is here already goes with the head; what is not must not hold the head up. */
        TRY(session_piece_now(session, &piece));
        if (piece_is_nothing(&piece)) {
            TRY(exchange_flush(exchange));
            TRY(session_recv_piece(session, WEIR_NEVER, &piece));
        }
        if (piece.last)
            session_finish(session, keep);
        TRY(relay_piece(exchange, &piece, filter));
    } while (!piece.last);
    return WEIR_OK;
}

/* Down, until the server ends. Silence counts only when nothing passes upwards either. */
WEIR_SUSPENDS static enum weir_err tunnel_down(struct upload *upload, struct weir_span idle)
{
    struct exchange *exchange = upload->exchange;
    struct http_piece piece = {.last = false};
    while (!piece.last) {
        struct weir_time silent_at = weir_time_after(upload->moved, idle);
        enum weir_err err = session_recv_piece(upload->session, silent_at, &piece);
        bool moved = weir_time_before(silent_at, weir_time_after(upload->moved, idle));
        if (err == WEIR_E_RESPONSE_TIMEOUT && moved)
            continue;
        TRY(err);
        upload->moved = loop_now(exchange->loop);
        TRY(exchange_send_piece(exchange, &piece));
    }
    return WEIR_OK;
}

enum weir_err relay_tunnel(struct exchange *exchange, struct session *session,
                           struct weir_span idle)
{
    struct upload upload;
    TRY(exchange_flush(exchange));
    upload_init(&upload, exchange, session, NULL);
    TRY(upload_start(&upload));
    return upload_end(&upload, tunnel_down(&upload, idle));
}
