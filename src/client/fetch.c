/* SPDX-License-Identifier: MIT */
#include "client/reply.h"
#include "client/session.h"
#include "upstream/retry.h"

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
    unsigned unprocessed; /* tries of which a server said that */
};

static bool is_too_large(const struct fetching *fetching)
{
    const struct http_framing *framing = &fetching->session->framing;
    return framing->body == BODY_LENGTH && framing->length > fetching->limit_bytes;
}

WEIR_SUSPENDS static enum weir_err send_all(struct fetching *fetching)
{
    bool has_body = fetching->body.at != NULL;
    TRY(weir_session_send_head(fetching->session, fetching->request,
                               has_body ? fetching->body.len : WEIR_BODY_NONE));
    return has_body ? weir_session_send(fetching->session, fetching->body, true) : WEIR_OK;
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

WEIR_SUSPENDS static enum weir_err attempt(struct fetching *fetching, enum weir_want want)
{
    struct weir_response *response;
    TRY(weir_connector_get(fetching->connector, fetching->peer, want, fetching->deadline,
                           &fetching->session));
    list_remove(&fetching->session->link); /* it is released here, and by nobody else */
    fetching->session->inner->until = fetching->deadline;
    enum weir_err err = send_all(fetching);
    /* who stops reading may have answered before */
    if (err && weir_err_retry(err) != WEIR_RETRY_IF_REUSED)
        return err;
    TRY(weir_session_recv_head(fetching->session, &response));
    TRY(reply_set_response(fetching->reply, response->http));
    weir_session_connection(fetching->session, &fetching->reply->connection);
    return receive_body(fetching);
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
