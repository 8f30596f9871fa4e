/* SPDX-License-Identifier: MIT */
#ifndef APP_SIGNALS_H
#define APP_SIGNALS_H

/* Signals are taken by the main thread alone, in line, never in a handler. */

struct program;

/* Before any other thread is started. */
void signals_block(void);

/*
 * Waits for signals and does what they ask for, until the program has been told to stop: SIGTERM
 * gracefully, SIGINT at once (also after SIGTERM). Returns when the workers are on their way out.
 */
void signals_serve(struct program *program);

#endif
