/* SPDX-License-Identifier: MIT */
#ifndef IO_POLLER_H
#define IO_POLLER_H

/*
 * Watches a descriptor that is no sock: a library's socket, a pipe. It only tells that a read or a
 * write would get somewhere; the descriptor, its reads and its end are the caller's.
 *
 * The level counts: as long as it is ready and that is wanted, `ready` is called once a turn. So
 * who has nothing to write must not want to write.
 *
 * `ready` is called in the loop and must not suspend. It may change what is wanted, stop this
 * poller or any other, and close the descriptor after that.
 */

#include "io/backend.h"
#include "io/loop.h"

#include <poll.h>

/* The caller's memory; it must stay until poller_stop(). */
struct poller {
    struct loop *loop; /* NULL: not started, or stopped */
    int descriptor;
    bool want_read, want_write;
    void (*ready)(struct poller *poller, bool readable, bool writable);
    void *backend_part; /* NULL: the backend does not watch it */
};

/*
 * Starts watching; a loop watches a descriptor once. With neither wanted it rests.
 * WEIR_E_NO_MEMORY, WEIR_E_IO where the backend has no descriptors; it is stopped then.
 */
enum weir_err poller_start(struct loop *loop, struct poller *poller, int descriptor, bool want_read,
                           bool want_write,
                           void (*ready)(struct poller *poller, bool readable, bool writable));
/* Wants something else from now on. On an error it rests. */
enum weir_err poller_want(struct poller *poller, bool want_read, bool want_write);
/* `ready` is not called any more. Before the descriptor is closed. Harmless when it is stopped. */
void poller_stop(struct poller *poller);

/* For backends: what is wanted as the events of poll(2), which are epoll's too; 0: nothing. */
static inline short poller_events(const struct poller *poller)
{
    return (short)((poller->want_read ? POLLIN : 0) | (poller->want_write ? POLLOUT : 0));
}
/* For backends: calls `ready`, if the events are wanted. The poller may be gone after that. */
void poller_tell(struct poller *poller, unsigned events);

#endif
