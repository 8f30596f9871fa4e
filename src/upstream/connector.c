/* SPDX-License-Identifier: MIT */
#include "upstream/connector.h"

#include "base/check.h"
#include "upstream/session_h1.h"

enum weir_err connector_get(struct pool *pool, const struct peer *peer, enum connector_want want,
                            struct weir_time deadline, struct session **ret_session)
{
    struct weir_time began = loop_now(pool->loop);
    struct session_story story = {.source = SOURCE_REUSED};
    struct conn *conn = NULL;
    if (want != CONNECTOR_FRESH)
        conn = pool_take(pool, peer, want == CONNECTOR_SURE ? LOOK_SURELY : LOOK_WELL);
    if (conn) {
        story.connection_idle = weir_time_between(conn->released, began);
    } else {
        story.source = SOURCE_NEW;
        TRY(pool_dial(pool, peer, deadline, &conn));
        story.connect = weir_time_between(began, loop_now(pool->loop));
    }
    story.connection_id = conn->id;
    story.connection_requests = ++conn->requests;
    story.connection_age = weir_time_between(conn->born, loop_now(pool->loop));
    stat_add(&conn_stats(conn)->requests[story.source], 1);
    return session_h1_open(&conn, &story, ret_session);
}
