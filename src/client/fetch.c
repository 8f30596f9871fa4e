/* SPDX-License-Identifier: MIT */
#include "client/reply.h"
#include "client/session.h"
#include "co/scope.h"
#include "upstream/retry.h"

/* What goes into any socket at once; more is sent beside the receiving. */
enum { SENT_FIRST_BYTES = 16 * 1024 };

/* A whole exchange, tried until it has an answer or the ladder of upstream/retry.c says no. */
struct fetching {
    struct weir_connector *connector;
    struct weir_peer *peer;
    struct weir_request *request;
    struct weir_slice body;
    uint64_t limit_bytes;
    struct weir_time deadline;
    struct weir_session *session;
    struct weir_reply *reply;
    unsigned unprocessed;  /* tries of which a server said that */
    struct co *receiver;   /* who waits for the response while a child sends the body */
    enum weir_err failure; /* what the child has canceled it for */
};

static bool is_too_large(const struct fetching *fetching)
{
    const struct http_framing *framing = &fetching->session->framing;
    return framing->body == BODY_LENGTH && framing->length > fetching->limit_bytes;
}

static enum weir_err send_head(struct fetching *fetching)
{
    bool has_body = fetching->body.at != NULL;
    return weir_session_send_head(fetching->session, fetching->request,
                                  has_body ? fetching->body.len : WEIR_BODY_NONE);
}

WEIR_SUSPENDS static enum weir_err receive_body(struct fetching *fetching)
{
    struct weir_piece piece = {.last = false};
    if (is_too_large(fetching))
        return WEIR_E_TOO_LARGE;
    while (!piece.last) {
        TRY(weir_session_recv(fetching->session, fetching->deadline, &piece));
        TRY(reply_add(fetching->reply, piece.bytes, fetching->limit_bytes));
    }
    return WEIR_OK;
}

WEIR_SUSPENDS static enum weir_err receive(struct fetching *fetching)
{
    struct weir_response *response;
    TRY(weir_session_recv_head(fetching->session, &response));
    TRY(reply_set_response(fetching->reply, response->http));
    weir_session_connection(fetching->session, &fetching->reply->connection);
    return receive_body(fetching);
}

/* Who stops reading may have answered before: only other errors are the end. */
static bool ends_it(enum weir_err err)
{
    return err && weir_err_retry(err) != WEIR_RETRY_IF_REUSED;
}

WEIR_SUSPENDS static void send_beside(void *argument)
{
    struct fetching *fetching = argument;
    enum weir_err err = weir_session_send(fetching->session, fetching->body, true);
    if (!ends_it(err) || err == WEIR_E_CANCELED)
        return;
    fetching->failure = err;
    co_cancel(fetching->receiver);
}

/* A server may answer before it has read everything, and need not read on then. */
WEIR_SUSPENDS static enum weir_err exchange_large(struct fetching *fetching)
{
    struct scope sending;
    scope_init(&sending);
    fetching->receiver = co_self();
    fetching->failure = WEIR_OK;
    TRY(scope_spawn(&sending, "fetch", send_beside, fetching));
    enum weir_err err = receive(fetching);
    scope_cancel(&sending);
    enum weir_err joined = scope_join(&sending);
    if (!fetching->failure)
        return err ? err : joined;
    co_uncancel();
    return err == WEIR_E_CANCELED ? fetching->failure : err;
}

WEIR_SUSPENDS static enum weir_err attempt(struct fetching *fetching, enum weir_want want)
{
    TRY(weir_connector_get(fetching->connector, fetching->peer, want, fetching->deadline,
                           &fetching->session));
    list_remove(&fetching->session->link); /* it is released here, and by nobody else */
    fetching->session->inner->until = fetching->deadline;
    TRY(send_head(fetching));
    if (fetching->body.len > SENT_FIRST_BYTES)
        return exchange_large(fetching);
    enum weir_err err = WEIR_OK;
    if (fetching->body.at)
        err = weir_session_send(fetching->session, fetching->body, true);
    return ends_it(err) ? err : receive(fetching);
}

static struct retry_facts facts_of(const struct fetching *fetching, enum weir_err err)
{
    const struct session *inner = fetching->session ? fetching->session->inner : NULL;
    const struct http_request *request = fetching->request->http;
    return (struct retry_facts){
        .err = err,
        .connected = inner != NULL,
        .any_received = inner && inner->any_received,
        .any_sent = inner && inner->any_sent,
        .reused = inner && inner->story.source != SOURCE_NEW,
        .body_whole = true,
        .has_idempotency_key = fields_have(&request->fields, FIELD_IDEMPOTENCY_KEY),
        .method = request->method,
        .unprocessed = fetching->unprocessed,
    };
}

static enum weir_want want_first(const struct fetching *fetching)
{
    struct retry_facts facts = facts_of(fetching, WEIR_OK);
    return retry_may_repeat(&facts) ? WEIR_ANY : WEIR_SURE;
}

/* Where connecting failed all addresses were tried: nothing else is left. */
static bool prepare_retry(struct fetching *fetching, enum weir_err err, enum weir_want *ret_want)
{
    struct retry_facts facts = facts_of(fetching, err);
    enum retry_verdict verdict = retry_decide(&facts);
    if (!retry_is_allowed(verdict))
        return false;
    weir_session_release(&fetching->session);
    fetching->unprocessed += verdict == RETRY_AGAIN;
    *ret_want = verdict == RETRY_FRESH ? WEIR_FRESH : want_first(fetching);
    return true;
}

enum weir_err weir_fetch(struct weir_connector *connector, struct weir_peer *peer,
                         struct weir_request *request, struct weir_slice body, uint64_t limit_bytes,
                         struct weir_time deadline, struct weir_reply **ret_reply)
{
    struct fetching fetching = {
        .connector = connector,
        .peer = peer,
        .request = request,
        .body = body,
        .limit_bytes = limit_bytes,
        .deadline = deadline,
    };
    enum weir_want want = want_first(&fetching);
    TRY(reply_new(&fetching.reply));
    enum weir_err err;
    connector->getting++;
    do
        err = attempt(&fetching, want);
    while (err && prepare_retry(&fetching, err, &want));
    weir_session_release(&fetching.session);
    connector->getting--;
    if (err)
        weir_reply_free(&fetching.reply);
    else
        *ret_reply = fetching.reply;
    return err;
}
