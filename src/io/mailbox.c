/* SPDX-License-Identifier: MIT */
#include "io/mailbox.h"

void mailbox_init(struct mailbox *mailbox)
{
    atomic_init(&mailbox->newest, NULL);
}

bool mailbox_push(struct mailbox *mailbox, struct mail *mail)
{
    struct mail *before = atomic_load_explicit(&mailbox->newest, memory_order_relaxed);
    do {
        mail->next = before;
    } while (!atomic_compare_exchange_weak_explicit(&mailbox->newest, &before, mail,
                                                    memory_order_release, memory_order_relaxed));
    return before == NULL;
}

/* What was taken lies newest first. */
static struct mail *reverse(struct mail *newest)
{
    struct mail *oldest = NULL;
    while (newest) {
        struct mail *next = newest->next;
        newest->next = oldest;
        oldest = newest;
        newest = next;
    }
    return oldest;
}

unsigned mailbox_deliver(struct mailbox *mailbox)
{
    if (mailbox_is_empty(mailbox))
        return 0;
    struct mail *mail =
        reverse(atomic_exchange_explicit(&mailbox->newest, NULL, memory_order_acquire));
    unsigned count = 0;
    while (mail) {
        struct mail *next = mail->next;
        mail->next = NULL;
        mail->deliver(mail);
        mail = next;
        count++;
    }
    return count;
}
