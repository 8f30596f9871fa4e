/* SPDX-License-Identifier: MIT */
/*
 * A poll is armed for one event, which the kernel looks for when it takes the poll: armed again
 * after each, it tells the level. A poller has an end while something is wanted; the end outlives
 * it until the kernel has given the poll back.
 */
#include "io/uring_poll.h"

#include "base/check.h"

#include <errno.h>

static void let_go(struct uring_end *end)
{
    end->poller->backend_part = NULL;
    end->poller = NULL;
    end->descriptor = -1; /* the caller's to close */
    end->backend->sock_count--;
    uring_end_close(end);
}

static enum weir_err begin(struct backend *backend, struct poller *poller)
{
    struct uring_end *end;
    TRY(uring_end_new(backend, NULL, &end));
    end->poller = poller;
    end->descriptor = poller->descriptor;
    poller->backend_part = end;
    backend->sock_count++;
    uring_start(end, OP_POLL);
    return WEIR_OK;
}

enum weir_err uring_follow(struct backend *backend, struct poller *poller)
{
    struct uring_end *end = poller->backend_part;
    if (!end)
        return poller_events(poller) ? begin(backend, poller) : WEIR_OK;
    if (!poller_events(poller))
        let_go(end);
    else if (end->held & uring_bit(OP_POLL))
        uring_cancel(end, OP_POLL); /* armed anew when it comes back */
    return WEIR_OK;
}

/* Whether a poll that ended so is worth another. */
static bool may_go_on(int result)
{
    return result >= 0 || result == -ECANCELED || result == -ENOMEM || result == -EAGAIN ||
           result == -EINTR;
}

void uring_polled(struct uring_end *end, const struct io_uring_cqe *completion)
{
    uring_returned(end, OP_POLL);
    if (end->poller && completion->res > 0)
        poller_tell(end->poller, (unsigned)completion->res);
    if (!end->poller)
        return;
    if (may_go_on(completion->res))
        uring_start_next_turn(end, OP_POLL);
    else
        let_go(end); /* closed under it: as with epoll, nothing is told any more */
}
