/* SPDX-License-Identifier: MIT */
#ifndef SERVER_SIGNALS_H
#define SERVER_SIGNALS_H

/* Signals are taken by one thread alone, in line, never in a handler. */

#include <weir/err.h>

#include <signal.h>

struct signals {
    sigset_t before; /* what was blocked */
    int descriptor;  /* readable when one has come; -1: none are taken */
};

/*
 * From now on signals_next() takes these, the last of which is 0. Before any other thread is
 * started: the calling thread blocks them, and those that it starts. WEIR_E_NO_DESCRIPTORS.
 */
enum weir_err signals_open(struct signals *signals, const int *numbers);
/* Gives them back to whoever had them; those that have come meanwhile are dropped. */
void signals_close(struct signals *signals);

/* One that has come; 0: none has. */
int signals_next(const struct signals *signals);

/* A peer that has gone shows as an error of the send. A handler of the program's own stays. */
void signals_ignore_pipe(void);

#endif
