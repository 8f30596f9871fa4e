/* SPDX-License-Identifier: MIT */
#include "io/poller.h"

enum weir_err poller_start(struct loop *loop, struct poller *poller, int descriptor, bool want_read,
                           bool want_write,
                           void (*ready)(struct poller *poller, bool readable, bool writable))
{
    *poller = (struct poller){.loop = loop, .descriptor = descriptor, .ready = ready};
    enum weir_err err = poller_want(poller, want_read, want_write);
    if (err)
        poller->loop = NULL;
    return err;
}

enum weir_err poller_want(struct poller *poller, bool want_read, bool want_write)
{
    bool is_same = poller->want_read == want_read && poller->want_write == want_write;
    if (is_same && poller->backend_part)
        return WEIR_OK;
    poller->want_read = want_read;
    poller->want_write = want_write;
    return poller->loop->ops->follow(poller->loop->backend, poller);
}

void poller_stop(struct poller *poller)
{
    if (!poller->loop)
        return;
    must(poller_want(poller, false, false) == WEIR_OK);
    poller->loop = NULL;
}

void poller_tell(struct poller *poller, unsigned events)
{
    /* An error or an end lets both sides get somewhere: they learn of it. */
    bool is_over = events & (POLLERR | POLLHUP);
    bool readable = poller->want_read && (is_over || events & POLLIN);
    bool writable = poller->want_write && (is_over || events & POLLOUT);
    if (readable || writable)
        poller->ready(poller, readable, writable);
}
