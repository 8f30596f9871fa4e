/* SPDX-License-Identifier: MIT */
#ifndef IO_MAILBOX_H
#define IO_MAILBOX_H

/*
 * Messages to a worker from any thread. The sender owns a mail until it is posted, the receiver's
 * `deliver` after that. Mails of one sender arrive in order. No lock: a push is one exchange.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

struct mail {
    struct mail *next;
    /* Called on the receiving worker, in its loop, not in a coroutine. The mail is its to free. */
    void (*deliver)(struct mail *mail);
};

struct mailbox {
    _Atomic(struct mail *) newest;
};

void mailbox_init(struct mailbox *mailbox);

/* True when the mailbox was empty before: then the receiver must be woken up. */
bool mailbox_push(struct mailbox *mailbox, struct mail *mail);

static inline bool mailbox_is_empty(struct mailbox *mailbox)
{
    return atomic_load_explicit(&mailbox->newest, memory_order_acquire) == NULL;
}

/* Delivers all that has come, oldest first. Returns how many. */
unsigned mailbox_deliver(struct mailbox *mailbox);

#endif
