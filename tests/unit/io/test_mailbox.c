/* SPDX-License-Identifier: MIT */
#include "io/mailbox.h"

#include "base/check.h"

#include "tests/check.h"

#include <pthread.h>
#include <sched.h>

enum { SENDERS = 2, LETTERS = 20000 };

struct letter {
    struct mail mail;
    int sender, number;
};

static int next_number[SENDERS];
static unsigned delivered, out_of_order;

static void read_letter(struct mail *mail)
{
    struct letter *letter = container_of(mail, struct letter, mail);
    out_of_order += letter->number != next_number[letter->sender]++;
    delivered++;
}

TEST(mails_come_in_order)
{
    struct mailbox mailbox;
    struct letter letters[3];
    mailbox_init(&mailbox);
    next_number[0] = 0;
    delivered = out_of_order = 0;
    CHECK(mailbox_is_empty(&mailbox));
    CHECK_EQ(0, mailbox_deliver(&mailbox));
    for (int i = 0; i < 3; i++) {
        letters[i] = (struct letter){.mail = {.deliver = read_letter}, .number = i};
        CHECK_EQ(i == 0, mailbox_push(&mailbox, &letters[i].mail)); /* only the first wakes */
    }
    CHECK(!mailbox_is_empty(&mailbox));
    CHECK_EQ(3, mailbox_deliver(&mailbox));
    CHECK_EQ(0, out_of_order);
    CHECK(mailbox_is_empty(&mailbox));
}

static struct mailbox shared;
static struct letter again_letter;

static void post_again(struct mail *mail)
{
    if (++delivered < 3)
        CHECK(mailbox_push(&shared, mail));
}

TEST(a_mail_may_be_posted_again_while_it_is_delivered)
{
    mailbox_init(&shared);
    delivered = 0;
    again_letter.mail.deliver = post_again;
    CHECK(mailbox_push(&shared, &again_letter.mail));
    for (unsigned i = 1; i <= 3; i++) {
        CHECK_EQ(1, mailbox_deliver(&shared));
        CHECK_EQ(i, delivered);
    }
    CHECK_EQ(0, mailbox_deliver(&shared));
}

static struct letter sent[SENDERS][LETTERS];
static _Atomic unsigned wakes;

static void *send_letters(void *argument)
{
    struct letter *letters = argument;
    for (int i = 0; i < LETTERS; i++)
        if (mailbox_push(&shared, &letters[i].mail))
            atomic_fetch_add(&wakes, 1);
    return NULL;
}

TEST(many_senders_lose_nothing)
{
    pthread_t threads[SENDERS];
    unsigned received = 0, rounds = 0;
    mailbox_init(&shared);
    delivered = out_of_order = 0;
    for (int s = 0; s < SENDERS; s++) {
        next_number[s] = 0;
        for (int i = 0; i < LETTERS; i++)
            sent[s][i] = (struct letter){{.deliver = read_letter}, s, i};
        CHECK_EQ(0, pthread_create(&threads[s], NULL, send_letters, sent[s]));
    }
    while (received < SENDERS * LETTERS) {
        unsigned count = mailbox_deliver(&shared);
        received += count;
        rounds += count > 0;
        if (count == 0)
            sched_yield();
    }
    for (int s = 0; s < SENDERS; s++)
        pthread_join(threads[s], NULL);
    CHECK_EQ(SENDERS * LETTERS, delivered);
    CHECK_EQ(0, out_of_order);
    CHECK_EQ(rounds, wakes); /* each time it had been empty exactly one sender was told so */
}

CHECK_MAIN
