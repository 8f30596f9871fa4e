/* SPDX-License-Identifier: MIT */
#ifndef STREAM_TLS_TURNS_H
#define STREAM_TLS_TURNS_H

/*
 * The handshakes of one worker take turns. A step of a handshake may cost a signature, and many may
 * be ready at once; if all of them took their step in one turn of the loop, everything else would
 * wait for them. So a turn has a budget, and who comes when it is spent waits for the next turn,
 * first come, first served: the others' requests are served in between.
 */

#include "co/wait.h"
#include "io/loop.h"

struct tls_turns {
    struct loop *loop;
    struct wait_queue waiting; /* behind the one that is next */
    bool has_next;             /* somebody waits for the next turn itself, or was woken to */
    uint64_t turn;             /* the loop's turn that `spent` is of */
    struct weir_span spent;
    struct weir_time began; /* of the step that is being taken */
};

void tls_turns_init(struct tls_turns *turns, struct loop *loop);

/* Waits until a step may be taken, and begins it. WEIR_E_TIMEOUT, _CANCELED. */
WEIR_SUSPENDS enum weir_err tls_turns_enter(struct tls_turns *turns, struct weir_time deadline);
/* The step has been taken. Nothing may have suspended since. */
void tls_turns_leave(struct tls_turns *turns);

#endif
